"""Measured patterns with known labels: how good the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.measured_labels import label_of
from powderlens.crystal.reduce import niggli_of_group
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import Cell, lattice_from_cell
from powderlens.evaluate.metrics import ACCURACIES, classification
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.score import SURE
from powderlens.identification.evidence import EVIDENCE, SYSTEM_OF_GROUP, Evidence, Prediction
from powderlens.identification.hypotheses import LOWER, Known, Posterior, likeliest, weigh
from powderlens.identification.identify import Identifier
from powderlens.identification.write_answer import Asked
from powderlens.pattern.formats.rruff_set import read_rruff_set
from powderlens.pattern.pattern import Pattern

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """Patterns with labels.

    Attributes:
        patterns: n patterns.
        space_group: (n,) International Tables numbers.
        cell: (n, 6) A and degrees; NaN where none is accepted.
        name: n names of minerals, "" where none is known.
    """

    patterns: list[Pattern]
    space_group: NDArray[np.int64]
    cell: NDArray[np.float64]
    name: list[str]

    @classmethod
    def read(cls, npz: Path) -> MeasuredSet:
        """A set of RRUFF patterns with its table, see `read_rruff_set`.

        Raises:
            InputError: what the reader refuses, a pattern without space group, or fewer than two patterns.
        """
        found = read_rruff_set(npz)
        if len(found) < 2:
            raise InputError(
                f"{npz}: {len(found)} patterns; at least 2 are needed to judge weights on others than chose them"
            )
        group, cell = np.zeros(len(found), np.int64), np.full((len(found), 6), np.nan)
        for i in range(len(found)):
            try:
                label = label_of(found.stated(i))
            except InputError as error:
                raise InputError(f"{npz.with_suffix('.csv')}: row {i + 1}: {error}") from None
            if label.space_group is None:
                raise InputError(f"{npz.with_suffix('.csv')}: row {i + 1}: states no space group")
            group[i] = label.space_group
            if label.cell is not None:
                cell[i] = label.cell
        names = [found.stated(i).name or "" for i in range(len(found))]
        return cls([found.pattern(i) for i in range(len(found))], group, cell, names)


def measured_record(identifier: Identifier, measured: MeasuredSet, npz: Path) -> dict[str, Any]:
    """What a record on a measured set says; `write_result` adds command, date and versions.

    Args:
        identifier: with network, library and calibration.
        measured: the set.
        npz: the file it was read from.
    """
    model, table = identifier.model, npz.with_suffix(".csv")
    assert identifier.shelf is not None
    return {
        "data": {npz.name: file_sha256(npz), table.name: file_sha256(table)},
        "lacks": "no trigonal mineral is in this set",
        "model": model.name,
        "model_chosen_by": f"{model.weights.chosen_by}; no measured pattern was trained on",
        "library": identifier.shelf.sha256,
        "calibration": identifier.calibrated,
        "calibration_made_by": identifier.calibration.made,
        **evaluate_measured(identifier, measured),
    }


@dataclass(frozen=True, eq=False)
class Heard:
    """What is known of one pattern, and the reduced cells that its hypotheses would answer."""

    known: Known
    cells: list[Cell]


def evaluate_measured(identifier: Identifier, measured: MeasuredSet) -> dict[str, object]:
    """Figures for each kind of evidence, of cells, and of phases that are taken out of the library.

    A pattern without an answer counts as a wrong one.
    """
    assert identifier.shelf is not None
    pool = Pool.of(identifier.shelf.libraries[0], shares={"measured": 1.0})
    answered, heard, without = [], [], []
    for i, pattern in enumerate(measured.patterns):
        try:
            asked = identifier.prepare(pattern)
        except InputError:
            continue
        prediction = identifier.predictions([asked])[0]
        answered.append(i)
        heard.append(_heard(identifier, asked, prediction))
        if measured.name[i] and np.isfinite(measured.cell[i]).all():
            hidden = rows_of_mineral(pool, measured.name[i])
            if len(hidden):
                without.append((len(heard) - 1, _heard(identifier.without(hidden), asked, prediction)))
    at = np.array(answered)
    truth = LOWER[measured.space_group[at] - 1]
    share = len(at) / len(measured.patterns)
    of_all = {kind: [_weighed(identifier, one, kind) for one in heard] for kind in EVIDENCE}
    figures = {kind: _figures(found, truth, share) for kind, found in of_all.items()}
    rows = np.array([row for row, _ in without], np.int64)
    removed = [_weighed(identifier, one, "all") for _, one in without]
    return {
        "patterns": len(measured.patterns),
        "unanswered": len(measured.patterns) - len(at),
        "evidence": figures,
        "cells": _cells(of_all["all"], heard, measured.cell[at], measured.space_group[at]),
        "not_in_the_library": {
            "which": "patterns with an accepted cell and a named mineral that the library has: every entry of that "
            "name, and of the same elements with a reduced cell within 3 %, taken out",
            "patterns": len(rows),
            "all": _figures(removed, truth[rows], 1.0),
            "network": _figures([of_all["network"][row] for row in rows], truth[rows], 1.0),
            "paired": _paired(removed, [of_all["network"][row] for row in rows], truth[rows]),
        },
    }


def rows_of_mineral(pool: Pool, name: str) -> NDArray[np.int64]:
    """Rows that go when a mineral is not to be known: all of its name, and all of their elements with a cell near."""
    library = pool.library
    named = [
        row for row in np.flatnonzero(library.measured).tolist() if library.name(row).casefold() == name.casefold()
    ]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(pool.hidden_with(row) for row in named)]))


def _heard(identifier: Identifier, asked: Asked, prediction: Prediction | None) -> Heard:
    _, found, known = identifier.gathered(asked, prediction)
    assert identifier.shelf is not None
    group = identifier.shelf.space_group
    return Heard(known, [niggli_of_group(one.fit.phases[0].lattice, int(group[one.rows[0]])) for one in found])


def _weighed(identifier: Identifier, heard: Heard, evidence: Evidence) -> Posterior:
    known = heard.known
    if evidence == "network":
        known = Known(np.zeros((0, known.quantities.shape[1])), np.zeros(0, np.int64), known.network)
    elif evidence == "library":
        known = Known(known.quantities, known.group, None)
    return weigh(known, identifier.calibration)


def _figures(found: Sequence[Posterior], truth: NDArray[np.int64], share: float) -> dict[str, Any]:
    """Figures of some patterns; shares of right answers are lowered by those that were not answered."""
    if not len(found):
        return {}
    group, system = np.stack([one.group for one in found]), np.stack([one.system for one in found])
    plain = classification(system, group, truth, SYSTEM_OF_GROUP[truth])
    out: dict[str, Any] = {
        name: round(value * share, 4) if name in ACCURACIES else value for name, value in plain.items()
    }
    top, right = group.max(axis=1), group.argmax(axis=1) == truth
    sure = top > SURE
    out |= {"over_0.9": round(float(sure.mean()) * share, 4)}
    if sure.any():
        out |= {"over_0.9_right": round(float(right[sure].mean()), 4)}
    error, low, high = equal_mass_error(top, right)
    return out | {"calibration_error_equal_mass": error, "calibration_error_95": [low, high]}


def equal_mass_error(confidence: Floats, right: NDArray[np.bool_], bins: int = 10) -> tuple[float, float, float]:
    """Mean gap of confidence and accuracy in bins of equally many answers, and its 95 % interval (bootstrap)."""

    def gap(c: Floats, r: NDArray[np.bool_]) -> float:
        parts = np.array_split(np.argsort(c, kind="stable"), bins)
        return float(np.mean([abs(c[part].mean() - r[part].mean()) for part in parts if len(part)]))

    rng = np.random.default_rng(1)
    draws = rng.integers(0, len(right), (1000, len(right)))
    spread = np.quantile([gap(confidence[at], right[at]) for at in draws], [0.025, 0.975])
    return round(gap(confidence, right), 4), round(float(spread[0]), 4), round(float(spread[1]), 4)


def _cells(
    found: Sequence[Posterior], heard: Sequence[Heard], cell: Floats, group: NDArray[np.int64]
) -> dict[str, Any]:
    """Share of accepted cells that the answer's cell is equivalent to: reduced, lengths 0.5 %, angles 0.5 degrees."""
    known = np.flatnonzero(np.isfinite(cell).all(axis=1))
    right = given = 0
    for i in known.tolist():
        first = int(found[i].group.argmax())
        best = likeliest(found[i], heard[i].known.group, first)
        if best is None:
            continue
        given += 1
        true = niggli_of_group(lattice_from_cell(cell[i]), int(group[i]))
        right += bool(same_lattice(true, [heard[i].cells[best]])[0])
    return {"patterns": len(known), "answered": given, "equivalent": round(right / max(len(known), 1), 4)}


def _paired(one: Sequence[Posterior], other: Sequence[Posterior], truth: NDArray[np.int64]) -> dict[str, int]:
    """How often only the first, and only the second is right about the group."""
    if not len(one):
        return {}
    first = np.array([p.group.argmax() for p in one]) == truth
    second = np.array([p.group.argmax() for p in other]) == truth
    return {"only_all_right": int((first & ~second).sum()), "only_network_right": int((second & ~first).sum())}
