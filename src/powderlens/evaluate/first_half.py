"""The first half of the measured development patterns, for gates and ablations of a network; the second is not read.

The patterns of a mineral stand together: the half is a hash of its name, of the pattern's place where no name is known.
Every look is counted in the record that it leaves. The second half has no door here: it is for the final record alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.crystal.reduce import niggli_of_group
from powderlens.crystal.structure import lattice_from_cell
from powderlens.evaluate.measured import MeasuredSet
from powderlens.evaluate.metrics import top_k
from powderlens.evaluate.record import write_result
from powderlens.pattern.prepare import prepare
from powderlens.pattern.spacing import AnyGrid
from powderlens.symmetry.groups import SYSTEM_OF

Ask = Callable[[NDArray[np.float32], Any], Mapping[str, NDArray[Any]]]
"""Patterns (n, points) and their mask to the answers of a network, by task."""

NEAR = 0.03
"""Relative difference of lengths up to which a cell is found."""
SEEDS = 10


def in_first_half(name: str, place: int) -> bool:
    """Whether a pattern belongs to the first half.

    Args:
        name: of its mineral, "" where none is known.
        place: of the pattern in the set, from 0.
    """
    key = name.strip().lower() or f"pattern {place}"
    return hashlib.sha256(f"powderlens halves|{key}".encode()).digest()[0] % 2 == 0


def first_half(measured: MeasuredSet) -> MeasuredSet:
    """The patterns of the first half, in their order."""
    rows = [at for at, name in enumerate(measured.name) if in_first_half(name, at)]
    return MeasuredSet(
        [measured.patterns[at] for at in rows],
        measured.space_group[rows],
        measured.cell[rows],
        [measured.name[at] for at in rows],
    )


def matched(measured: MeasuredSet, minerals: ReflectionTable) -> NDArray[np.bool_]:
    """(n,) patterns with an accepted cell whose mineral stands in a table by its name, with the stated group."""
    known = {
        (name.strip().lower(), int(group))
        for name, group in zip(minerals.names, minerals.space_group, strict=True)
        if name
    }
    named = [
        (name.strip().lower(), int(group)) in known
        for name, group in zip(measured.name, measured.space_group, strict=True)
    ]
    return np.array(named) & np.isfinite(measured.cell).all(axis=1)


def figures(
    half: MeasuredSet, found: NDArray[np.bool_], ask: Ask, grid: AnyGrid, *, floor: bool, mask: bool
) -> dict[str, Any]:
    """What a network alone says of the patterns: all, those with a match, and the rest.

    Args:
        half: the patterns.
        found: (n,) those with a match, see `matched`.
        ask: the network; it answers with space groups, all 230 of them.
        grid: its grid.
        floor: it reads patterns above their floor.
        mask: it reads a mask.

    Raises:
        InputError: a pattern that cannot be put on the grid, or a network without the 230 groups.
    """
    prepared = [prepare(pattern, grid) for pattern in half.patterns]
    reads = np.stack([one.for_network(floor=floor, mask=mask) for one in prepared])
    said = ask(reads, np.stack([one.seen for one in prepared]) if mask else None)
    if "space_group" not in said or said["space_group"].shape[1] != 230:
        raise InputError("the network gives no probabilities of all 230 space groups; take one that does")
    log_p = log_softmax(said["space_group"].astype(float), axis=1)
    truth = half.space_group - 1
    system = np.array(SYSTEM_OF[1:])
    per_system = np.stack([np.exp(log_p)[:, system == at].sum(axis=1) for at in range(7)], axis=1)
    own = said.get("crystal_system", np.log(per_system))
    cells = _cells(half, said)

    def of(rows: NDArray[np.intp]) -> dict[str, Any]:
        if not len(rows):
            return {"patterns": 0}
        p, right = np.exp(log_p[rows]), truth[rows]
        told: dict[str, Any] = {
            "patterns": len(rows),
            "crystal_system": float((own[rows].argmax(axis=1) == system[right]).mean()),
            "space_group": top_k(p, right, 1),
            "space_group_top5": top_k(p, right, 5),
            "log_loss": float(-np.maximum(log_p[rows, right], -20).mean()),
        }
        seen = rows[np.isfinite(cells["error"][rows]).all(axis=1)] if "error" in cells else rows[:0]
        if len(seen):
            told["cells"] = len(seen)
            told["length_error_mean"] = float(cells["error"][seen].mean())
            told["length_error_median"] = float(np.median(cells["error"][seen]))
        if len(seen) and "in_ten" in cells:
            told["cell_in_ten"] = float(cells["in_ten"][seen].mean())
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}

    every = np.arange(len(truth))
    return {"all": of(every), "matched": of(every[found]), "rest": of(every[~found])}


def look(
    measured: MeasuredSet,
    npz: Path,
    minerals: ReflectionTable,
    ask: Ask,
    grid: AnyGrid,
    *,
    floor: bool,
    mask: bool,
    about: Mapping[str, Any],
    record: Path,
    command: str,
) -> dict[str, Any]:
    """Figures of a network on the first half, added to a record that counts the looks.

    Args:
        measured: the whole set; only its first half is asked about.
        npz: the file it was read from.
        minerals: that are known, for `matched`.
        ask: the network.
        grid: its grid.
        floor: see `figures`.
        mask: see `figures`.
        about: which network, and why it is looked at.
        record: the JSON to which the look is added; made where it is not there.
        command: that repeats it.

    Returns:
        The look.

    Raises:
        InputError: see `figures`; or a file that is no such record.
    """
    before: list[Any] = []
    if record.exists():
        try:
            before = list(json.loads(record.read_text())["looks"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{record}: not a record of looks at the first half; give another file") from None
    half = first_half(measured)
    made = {
        "look": len(before) + 1,
        "date": datetime.now(UTC).date().isoformat(),
        **about,
        "figures": figures(half, matched(half, minerals), ask, grid, floor=floor, mask=mask),
    }
    body = {
        "what": "networks alone on the first half of the measured development patterns, split by mineral and hash; "
        "every look is here, the second half was not looked at",
        "data": {npz.name: file_sha256(npz)},
        "patterns": len(half.patterns),
        "looks": [*before, made],
    }
    write_result(record, command=command, body=body)
    return made


def _cells(half: MeasuredSet, said: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """(n,) mean relative error of the lengths of the Niggli cell, NaN where it is not known; and whether the true
    cell is among the likeliest of a mixture.
    """
    if "lattice" not in said:
        return {}
    true = np.full((len(half.space_group), 6), np.nan)
    for at in np.flatnonzero(np.isfinite(half.cell).all(axis=1)).tolist():
        true[at] = niggli_of_group(lattice_from_cell(half.cell[at]), int(half.space_group[at]))
    found: dict[str, NDArray[Any]] = {"error": np.abs(said["lattice"][:, :3] / true[:, :3] - 1)}
    if "cell_mixture" in said:
        import torch

        from powderlens.models.mixture import found_among

        raw, wanted = torch.from_numpy(said["cell_mixture"]), torch.from_numpy(np.nan_to_num(true, nan=1.0)).float()
        found["in_ten"] = found_among(raw, wanted, count=SEEDS, within=NEAR).numpy()
    return found
