"""Whether strained crystals keep their crystal system: 10,000 of them, judged by spglib with 0.001 A.

    python benchmarks/strain_systems.py CRYSTALS --output results/strained-systems.json

CRYSTALS is a folder that `crystal_sample.py` describes; crystals of every system are taken as their databases give
them. Each is strained three times, as the protocols `simxrd` and `lab` draw it, and by tensors of which all six
components are even in -10 to 10 %, by `strained_structure`, which takes the mean of the strain over the crystal's point
group. spglib finds the space group before and after. The same strains without the mean are the contrast.

Two kinds of crystal are counted apart before any strain, and are no part of the 10,000: those in which spglib finds
another system than their label, with the reason, and those whose atoms are at the edge of the tolerance (the system is
another one with 0.0005 A): a stretched cell moves such atoms by a few per cent more and across 0.001 A. The latter are
strained all the same and counted by themselves. Exit code 1 when one of the 10,000 loses its system; a strain may by
coincidence make one higher (a = b to 0.001 A in an orthorhombic cell), which is counted and named.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from numpy.typing import NDArray

import powderlens
from powderlens.core.errors import PowderlensError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction.protocol import load_protocol
from powderlens.diffraction.specimen import strained_structure
from powderlens.symmetry.groups import SYSTEMS, crystal_system, system_index

SYMPREC_A, EDGE_A, LABEL_SYMPREC_A = 1e-3, 5e-4, 1e-2
SEED, MAX_ATOMS, CRYSTALS = 20261121, 120, 10_000
QUOTA = {"amcsd": 450, "oqmd": 600, "mp": 900}
"""Crystals of each system drawn from each database; what one lacks the next makes up for. More than are needed."""
PROTOCOLS = ("simxrd", "lab")
WHOLE_TENSOR, LARGEST = "whole tensor", 0.1
DRAWS = (*PROTOCOLS, WHOLE_TENSOR)


def number_of(structure: Structure, symprec_A: float = SYMPREC_A) -> int | None:
    """International Tables number that spglib finds; None where it finds none. H and D are one kind of atom."""
    places: list[NDArray[np.float64]] = []
    kinds: list[list[tuple[int, int]]] = []
    for element, occupancy, place in zip(structure.elements, structure.occupancy, structure.frac, strict=True):
        atom = (NUMBER[element], round(1000 * float(occupancy)))
        if places:
            away = np.array(places) - place
            near = np.flatnonzero(np.linalg.norm((away - np.round(away)) @ structure.lattice, axis=1) < 2 * symprec_A)
            if len(near):
                kinds[near[0]].append(atom)
                continue
        places.append(place)
        kinds.append([atom])
    names: dict[tuple[tuple[int, int], ...], int] = {}
    numbers = [names.setdefault(tuple(sorted(kind)), len(names) + 1) for kind in kinds]
    try:
        found = spglib.get_symmetry_dataset((structure.lattice, np.array(places), numbers), symprec=symprec_A)
    except spglib.SpglibError:
        return None
    return None if found is None else int(found.number)


def reason_apart(structure: Structure, before: int | None) -> str:
    """Why spglib's system before the strain is not that of the label."""
    if before is None:
        return "spglib finds no symmetry"
    label = structure.space_group or 1
    if system_index(before) > system_index(label):
        return "the atoms have a higher symmetry than the source declares"
    looser = number_of(structure, LABEL_SYMPREC_A)
    if looser is not None and system_index(looser) == system_index(label):
        return "atoms or cell have the symmetry to 0.01 A, not to 0.001 A"
    return "the declared operators fit cell or atoms only to more than 0.01 A"


class Tally:
    """What the strains of one kind did to the systems."""

    def __init__(self) -> None:
        self.system_kept = self.group_kept = self.unstrained = 0
        self.system_changed: list[dict[str, Any]] = []
        self.group_changed: list[dict[str, Any]] = []
        self.stretch: list[float] = []
        self.freely: dict[str, Counter[str]] = {system: Counter() for system in SYSTEMS}

    def add(self, structure: Structure, before: int, strained: Structure, freely: Structure) -> None:
        """One crystal, strained with the mean over its point group, and freely."""
        system = crystal_system(before)
        after = number_of(strained)
        self.stretch.append(_largest_stretch(structure, strained))
        same = after is not None and crystal_system(after) == system
        self.system_kept += same
        self.group_kept += after == before
        entry: dict[str, Any] = {
            "id": structure.source,
            "label": structure.space_group,
            "before": before,
            "after": after,
        }
        if after != before:
            entry["why"] = _why_changed(structure, strained, before, after)
        if not same:
            self.system_changed.append(entry)
        elif after != before:
            self.group_changed.append(entry)
        general = number_of(freely)
        self.freely[system]["none found" if general is None else crystal_system(general)] += 1

    def record(self) -> dict[str, Any]:
        return {
            "unstrained_draws": self.unstrained,
            "stretch_after_the_mean": {
                "median": float(f"{np.median(self.stretch):.3g}"),
                "largest": float(f"{max(self.stretch):.3g}"),
            },
            "system_kept": self.system_kept,
            "space_group_kept": self.group_kept,
            "system_lost": sum(_lower(entry) for entry in self.system_changed),
            "system_gained": sum(not _lower(entry) for entry in self.system_changed),
            "system_changed": self.system_changed,
            "space_group_changed": self.group_changed,
            "without_the_mean": {
                "system_kept": sum(self.freely[system][system] for system in SYSTEMS),
                "from_to": {system: dict(self.freely[system].most_common()) for system in SYSTEMS},
            },
        }


def _lower(entry: dict[str, Any]) -> bool:
    """Whether the system after the strain is lower than before it, or none."""
    return entry["after"] is None or system_index(entry["after"]) < system_index(entry["before"])


def _why_changed(structure: Structure, strained: Structure, before: int, after: int | None) -> str:
    """The reason for another group, each checked."""
    if not find_symmetry(structure).operators_complete:
        return "the cell is a supercell that lacks operators of its crystal, so the mean leaves them out"
    if number_of(structure, EDGE_A) != before or number_of(structure, 2 * SYMPREC_A) != before:
        return "the atoms lie at the edge of the tolerance: another group already before the strain at half or twice it"
    if after is not None and after > before and number_of(strained, SYMPREC_A / 10) == before:
        return "the strained cell has a higher metric by coincidence: to 0.001 A, not to 0.0001 A"
    return "not found"


def _largest_stretch(structure: Structure, strained: Structure) -> float:
    """Largest relative change of length in any direction."""
    values = np.linalg.svd(np.linalg.solve(structure.lattice, strained.lattice), compute_uv=False)
    return float(np.abs(values - 1).max())


def main() -> int:
    from crystal_sample import data_of, draw, hardware, origin

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("databases", type=Path, metavar="CRYSTALS")
    parser.add_argument("--crystals", type=int, default=CRYSTALS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    start = time.monotonic()
    quota = {name: max(1, round(count * arguments.crystals / CRYSTALS)) for name, count in QUOTA.items()}
    sample = draw(arguments.databases, quota, arguments.seed, max_atoms=MAX_ATOMS, as_given=True)
    order = np.random.default_rng(arguments.seed).permutation(len(sample.structures))
    strains = {name: load_protocol(name).draw(arguments.seed, len(order))["strain"].astype(float) for name in PROTOCOLS}
    strains[WHOLE_TENSOR] = np.random.default_rng([arguments.seed, 1]).uniform(-LARGEST, LARGEST, (len(order), 6))
    tallies = {name: Tally() for name in DRAWS}
    at_edge = {name: Tally() for name in DRAWS}
    apart: Counter[str] = Counter()
    apart_by_system: Counter[str] = Counter()
    edge_by_system: Counter[str] = Counter()
    by_system: Counter[str] = Counter()
    by_database: Counter[str] = Counter()
    failed: dict[str, str] = {}
    for rank, place in enumerate(order):
        if by_system.total() == arguments.crystals:
            break
        structure = sample.structures[place]
        system = crystal_system(structure.space_group or 1)
        before, closer = number_of(structure), number_of(structure, EDGE_A)
        if before is None or crystal_system(before) != system:
            apart[reason_apart(structure, before)] += 1
            apart_by_system[system] += 1
            continue
        edge = closer is None or crystal_system(closer) != system
        try:
            made = {
                name: [strained_structure(structure, strains[name][rank], keep_system=keep) for keep in (True, False)]
                for name in DRAWS
            }
        except PowderlensError as error:
            failed[structure.source] = str(error)
            continue
        for name in DRAWS:
            tally = (at_edge if edge else tallies)[name]
            tally.unstrained += not strains[name][rank].any()
            tally.add(structure, before, *made[name])
        if edge:
            edge_by_system[system] += 1
            continue
        by_system[system] += 1
        by_database[origin(structure.source)] += 1
        if by_system.total() % 1000 == 0:
            print(f"{by_system.total()} crystals, {time.monotonic() - start:.0f} s", file=sys.stderr)
    record: dict[str, Any] = {
        "what": "crystal system and space group of strained crystals by spglib, before and after",
        "command": f"python benchmarks/strain_systems.py CRYSTALS --output results/{arguments.output.name}",
        "data_sha256": data_of(arguments.databases, quota),
        "seed": arguments.seed,
        "sample_sha256": sample.digest(),
        "symprec_A": SYMPREC_A,
        "largest_cell_atoms": MAX_ATOMS,
        "crystals": by_system.total(),
        "crystals_by_system": {system: by_system[system] for system in SYSTEMS},
        "crystals_by_database": dict(by_database),
        "counted_apart": {
            "crystals": apart.total(),
            "why": dict(apart.most_common()),
            "by_labelled_system": {system: apart_by_system[system] for system in SYSTEMS},
        },
        "at_the_edge": {
            "what": f"the system is another one with {EDGE_A:g} A than with {SYMPREC_A:g} A, before any strain",
            "crystals": edge_by_system.total(),
            "by_system": {system: edge_by_system[system] for system in SYSTEMS},
            "system_kept": {name: at_edge[name].system_kept for name in DRAWS},
        },
        "failed": failed,
        "strains": {
            name: {"largest_component": float(f"{np.abs(strains[name]).max():.3g}"), **tallies[name].record()}
            for name in DRAWS
        },
        "versions": {
            "powderlens": powderlens.__version__,
            "spglib": spglib.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "hardware": hardware(),
        "seconds": round(time.monotonic() - start),
        "date": datetime.now(UTC).date().isoformat(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, tally in tallies.items():
        print(
            f"{name}: {tally.system_kept} of {by_system.total()} keep their system, {tally.group_kept} their space "
            f"group; without the mean {tally.record()['without_the_mean']['system_kept']} keep their system"
        )
    print(f"{apart.total()} counted apart: {dict(apart)}; {edge_by_system.total()} at the edge; {len(failed)} failed")
    return 1 if any(_lower(entry) for tally in tallies.values() for entry in tally.system_changed) else 0


if __name__ == "__main__":
    sys.exit(main())
