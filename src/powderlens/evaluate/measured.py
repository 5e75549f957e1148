"""Measured patterns with known labels: how good the answers are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.measured_labels import label_of
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import lattice_from_cell
from powderlens.evaluate.calibration import choose_weights, gather
from powderlens.evaluate.metrics import ACCURACIES, classification, lattice
from powderlens.identification.evidence import EVIDENCE, SYSTEM_OF_GROUP, Evidence, Weights
from powderlens.identification.identify import Identifier
from powderlens.pattern.formats.rruff_set import read_rruff_set
from powderlens.pattern.pattern import Pattern
from powderlens.symmetry.groups import symbol

FOLDS = 5
BLOCK = 20
"""Rows are sorted by mineral: folds take blocks of rows, so that few minerals are cut in two. Small sets have smaller
blocks, so that every fold has a row."""


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """Patterns with labels.

    Attributes:
        patterns: n patterns.
        space_group: (n,) International Tables numbers.
        cell: (n, 6) A and degrees; NaN where none is accepted.
    """

    patterns: list[Pattern]
    space_group: NDArray[np.int64]
    cell: NDArray[np.float64]

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
        return cls([found.pattern(i) for i in range(len(found))], group, cell)


def choose_on(identifier: Identifier, measured: MeasuredSet) -> Weights:
    """The weights that suit a measured set best; see `choose_weights`."""
    gathered = gather(identifier, measured.patterns)
    return choose_weights(gathered, measured.space_group[gathered.answered] - 1)


def measured_record(identifier: Identifier, measured: MeasuredSet, npz: Path) -> dict[str, Any]:
    """What a record on a measured set says; `write_result` adds command, date and versions.

    Args:
        identifier: with the weights that are judged.
        measured: the set.
        npz: the file it was read from.
    """
    model, table = identifier.model, npz.with_suffix(".csv")
    return {
        "data": {npz.name: file_sha256(npz), table.name: file_sha256(table)},
        "model": model.name,
        "model_chosen_by": f"{model.weights.chosen_by}; no measured pattern was trained on",
        "weights_chosen_by": "least log loss on the same measured patterns (a number for each weight); see the "
        "cross-validated figures for weights chosen without the patterns they are judged on",
        **evaluate_measured(identifier, measured),
    }


def evaluate_measured(identifier: Identifier, measured: MeasuredSet) -> dict[str, object]:
    """Figures for each kind of evidence with the shipped weights, and cross-validated ones with weights chosen without
    the patterns they are judged on (five folds). A pattern without an answer counts as a wrong one.
    """
    gathered = gather(identifier, measured.patterns)
    prediction = gathered.prediction
    truth = measured.space_group[gathered.answered] - 1
    shipped = {e: gathered.belief(e, identifier.weights) for e in EVIDENCE}
    fold = (np.arange(len(truth)) // max(1, min(BLOCK, len(truth) // FOLDS))) % FOLDS
    crossed = {e: (np.zeros_like(s), np.zeros_like(g)) for e, (s, g) in shipped.items()}
    for k in range(FOLDS):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if not len(outside):
            continue
        weights = choose_weights(gathered.take(inside), truth[inside])
        for evidence, (systems, groups) in crossed.items():
            systems[outside], groups[outside] = gathered.take(outside).belief(evidence, weights)

    def figures(
        beliefs: dict[Evidence, tuple[NDArray[np.float64], NDArray[np.float64]]],
    ) -> dict[str, dict[str, float]]:
        share = len(truth) / len(measured.patterns)
        out: dict[str, dict[str, float]] = {}
        for evidence, (systems, groups) in beliefs.items():
            found = classification(systems, groups, truth, SYSTEM_OF_GROUP[truth])
            out[evidence] = {k: round(v * share, 4) if k in ACCURACIES else v for k, v in found.items()}
        return out

    primitive = np.array([symbol(int(n)).startswith("P") for n in truth + 1])
    accepted = measured.cell[gathered.answered]
    known = np.flatnonzero(np.isfinite(accepted).all(axis=1) & primitive)
    cells = np.array([niggli_cell(lattice_from_cell(cell)) for cell in accepted[known]])
    assert prediction.niggli is not None  # of prism-1, which this is about
    of_cells = lattice(prediction.niggli[known].astype(float), cells, cells.mean(axis=0)) if len(known) else {}
    return {
        "patterns": len(measured.patterns),
        "unanswered": len(measured.patterns) - len(truth),
        "shipped_weights": figures(shipped),
        "weights_cross_validated": figures(crossed),
        "niggli_cell_of_the_network": {
            "patterns": len(known),
            "which": "accepted cells of groups with a primitive lattice; naive: the mean of these cells for all",
            **of_cells,
        },
        "weights": asdict(identifier.weights),
    }
