"""Measured patterns with known labels: how good the answers are, and how loudly each source should speak."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from powderlens.core.errors import InputError
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import lattice_from_cell
from powderlens.evaluate.metrics import classification, lattice
from powderlens.identification.evidence import EVIDENCE, GROUP_TO_SYSTEM, SYSTEM_OF_GROUP, Evidence, Weights, join
from powderlens.identification.identify import Identifier
from powderlens.library.search import Matches
from powderlens.models.runtime import Prediction
from powderlens.pattern.pattern import Pattern
from powderlens.symmetry.groups import symbol

FOLDS = 5
BLOCK = 20
"""Rows are sorted by mineral: folds take blocks of rows, so that few minerals are cut in two."""


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


def read_rruff_set(
    npz: Path, *, start_deg: float = 5.0, step_deg: float = 0.01, wavelength_A: float = 1.541838
) -> MeasuredSet:
    """Read `NAME.npz` (`intensity`, one row a pattern) and `NAME.csv` (`space_group`, `a_A` ..., `cell_accepted`).

    Raises:
        InputError: a file is missing, or the two do not belong together.
    """
    try:
        with np.load(npz, allow_pickle=False) as stored:
            intensity = stored["intensity"].astype(float)
        with open(npz.with_suffix(".csv"), newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{npz}: not a set of measured patterns with a table beside it ({error})") from None
    if len(rows) != len(intensity):
        raise InputError(f"{npz}: {len(intensity)} patterns but {len(rows)} rows in the table beside it")
    angle = start_deg + step_deg * np.arange(intensity.shape[1])
    names = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
    return MeasuredSet(
        [Pattern(angle, y, wavelength_A, source=f"{npz.stem}/{i}") for i, y in enumerate(intensity)],
        np.array([int(row["space_group"]) for row in rows]),
        np.array([[float(row[n]) if row["cell_accepted"] == "1" else np.nan for n in names] for row in rows]),
    )


def gather(identifier: Identifier, patterns: list[Pattern]) -> tuple[Prediction, Matches, NDArray[np.int64]]:
    """What network and library say of all patterns, and the groups of the library's phases."""
    assert identifier.search is not None
    predictions, rows, scores = [], [], []
    for i in range(0, len(patterns), 64):
        x = np.stack([identifier.prepare(p)[0] for p in patterns[i : i + 64]])
        prediction, matches = identifier.evidence_of(x)
        assert matches is not None
        predictions.append(prediction)
        rows.append(matches.row)
        scores.append(matches.score)
    matches = Matches(np.concatenate(rows), np.concatenate(scores))
    joined = Prediction(*(np.concatenate(c) for c in zip(*predictions, strict=True)))
    return joined, matches, identifier.search.table.space_group[matches.row].astype(np.int64)


def _belief(
    evidence: Evidence,
    prediction: Prediction,
    matches: Matches,
    groups: NDArray[np.int64],
    weights: Weights,
) -> NDArray[np.float64]:
    return join(
        None if evidence == "library" else prediction,
        None if evidence == "network" else matches,
        None if evidence == "network" else groups,
        weights,
    )[0]


def choose_weights(
    prediction: Prediction, matches: Matches, groups: NDArray[np.int64], truth: NDArray[np.int64]
) -> Weights:
    """The four weights of least mean log loss of group and system, over network alone and all evidence.

    Args:
        prediction, matches, groups: evidence for n patterns.
        truth: (n,) space-group indices from 0.
    """
    system = SYSTEM_OF_GROUP[truth]
    index = np.arange(len(truth))

    def weights_of(p: NDArray[np.float64]) -> Weights:
        return Weights(
            temperature=float(np.exp(p[0])),
            system_pull=float(1 / (1 + np.exp(-p[1]))),
            sharpness=float(np.exp(p[2])),
            unknown=float(p[3]),
        )

    def loss(p: NDArray[np.float64]) -> float:
        total = 0.0
        for evidence in ("network", "all"):
            group = _belief(evidence, prediction, matches, groups, weights_of(p))  # type: ignore[arg-type]
            total -= np.log(group[index, truth] + 1e-9).mean()
            total -= np.log((group @ GROUP_TO_SYSTEM)[index, system] + 1e-9).mean()
        return float(total)

    found = minimize(loss, np.array([0.2, 0.0, np.log(25.0), -9.0]), method="Nelder-Mead", options={"maxiter": 400})
    return weights_of(found.x)


def choose_on(identifier: Identifier, measured: MeasuredSet) -> Weights:
    """The weights that suit a measured set best; see `choose_weights`."""
    return choose_weights(*gather(identifier, measured.patterns), measured.space_group - 1)


def evaluate_measured(identifier: Identifier, measured: MeasuredSet) -> dict[str, object]:
    """Figures for each kind of evidence with the shipped weights, and cross-validated ones with weights chosen without
    the patterns they are judged on (five folds)."""
    prediction, matches, groups = gather(identifier, measured.patterns)
    truth = measured.space_group - 1
    system = SYSTEM_OF_GROUP[truth]
    shipped = {e: _belief(e, prediction, matches, groups, identifier.weights) for e in EVIDENCE}
    fold = (np.arange(len(truth)) // BLOCK) % FOLDS
    crossed = {e: np.zeros_like(b) for e, b in shipped.items()}
    for k in range(FOLDS):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)

        def part(at: NDArray[np.int64]) -> tuple[Prediction, Matches, NDArray[np.int64]]:
            return Prediction(*(a[at] for a in prediction)), Matches(matches.row[at], matches.score[at]), groups[at]

        weights = choose_weights(*part(inside), truth[inside])
        for evidence in EVIDENCE:
            crossed[evidence][outside] = _belief(evidence, *part(outside), weights)
    primitive = np.array([symbol(int(n)).startswith("P") for n in measured.space_group])
    known = np.flatnonzero(np.isfinite(measured.cell).all(axis=1) & primitive)
    cells = np.array([niggli_cell(lattice_from_cell(cell)) for cell in measured.cell[known]])
    return {
        "patterns": len(truth),
        "unanswered": 0,
        "shipped_weights": {e: classification(b @ GROUP_TO_SYSTEM, b, truth, system) for e, b in shipped.items()},
        "weights_cross_validated": {e: classification(b @ GROUP_TO_SYSTEM, b, truth, system) for e, b in crossed.items()},
        "niggli_cell_of_the_network": {
            "patterns": len(known),
            "which": "accepted cells of groups with a primitive lattice; naive: the mean of these cells for all",
            **lattice(prediction.niggli[known].astype(float), cells, cells.mean(axis=0)),
        },
        "weights": asdict(identifier.weights),
    }
