"""Measured patterns with known labels: how good the answers are, and how loudly each source should speak."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, MissingExtraError
from powderlens.core.files import read_arrays
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import lattice_from_cell
from powderlens.evaluate.metrics import ACCURACIES, classification, lattice
from powderlens.identification.answer import CELL_NAMES
from powderlens.identification.evidence import (
    EVIDENCE,
    SYSTEM_OF_GROUP,
    Evidence,
    Prediction,
    Weights,
    join,
    system_belief,
)
from powderlens.identification.identify import BATCH, Identifier, Prepared
from powderlens.library.search import Matches
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


def read_rruff_set(
    npz: Path, *, start_deg: float = 5.0, step_deg: float = 0.01, wavelength_A: float = 1.541838
) -> MeasuredSet:
    """Read `NAME.npz` (`intensity`, one row a pattern) and `NAME.csv` (`space_group`, `a_A` ..., `cell_accepted`).

    Raises:
        InputError: a file is missing, or the two do not belong together.
    """
    stored = read_arrays(npz)
    intensity = stored.get("intensity")
    if intensity is None or intensity.ndim != 2 or intensity.dtype.kind not in "iuf":
        raise InputError(f"{npz}: needs an array `intensity` of numbers, a row for each pattern")
    table = npz.with_suffix(".csv")
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        if any(None in row.values() for row in rows):
            raise ValueError("a row has fewer columns than the header")
        group = np.array([int(row["space_group"]) for row in rows], np.int64)
        accepted = np.array([row["cell_accepted"] == "1" for row in rows], bool)
        cell = np.array(
            [[float(row[n]) if ok else np.nan for n in CELL_NAMES] for row, ok in zip(rows, accepted, strict=True)]
        )
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it holds the labels of {npz.name}") from None
    except KeyError as error:
        raise InputError(f"{table}: no column {error}") from None
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{table}: not a table of labels ({error})") from None
    if len(rows) != len(intensity):
        raise InputError(f"{npz}: {len(intensity)} patterns but {len(rows)} rows in the table beside it")
    if len(rows) < 2:
        raise InputError(
            f"{npz}: {len(rows)} patterns; at least 2 are needed to judge weights on others than chose them"
        )
    wrong = np.flatnonzero((group < 1) | (group > 230))
    if len(wrong):
        raise InputError(f"{table}: row {wrong[0] + 1}: space group {group[wrong[0]]}; they run from 1 to 230")
    angle = np.asarray(start_deg + step_deg * np.arange(intensity.shape[1]), dtype=np.float64)
    return MeasuredSet(
        [Pattern(angle, y, wavelength_A, source=f"{npz.stem}/{i}") for i, y in enumerate(intensity)], group, cell
    )


@dataclass(frozen=True, eq=False)
class Gathered:
    """What network and library say of n patterns.

    Attributes:
        answered: (n,) rows of the set that could be prepared.
        prediction: of the network.
        matches: of the library.
    """

    answered: NDArray[np.int64]
    prediction: Prediction
    matches: Matches

    def take(self, at: NDArray[np.int64]) -> Gathered:
        """A part of it."""
        return Gathered(self.answered[at], self.prediction.take(at), self.matches.take(at))

    def belief(self, evidence: Evidence, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, 7) probabilities of the systems and (n, 230) of the groups."""
        asked = None if evidence == "library" else self.prediction
        group = join(asked, None if evidence == "network" else self.matches, weights)[0]
        return system_belief(group, asked, weights), group


def gather(identifier: Identifier, patterns: list[Pattern]) -> Gathered:
    """Ask network and library about all patterns; those that cannot be prepared are left out."""
    assert identifier.search is not None
    answered: list[int] = []
    inputs: list[Prepared] = []
    for i, pattern in enumerate(patterns):
        try:
            inputs.append(identifier.prepare(pattern))
        except InputError:
            continue
        answered.append(i)
    if not answered:
        raise InputError("not one of the patterns can be answered")
    said = [identifier.evidence_of(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    prediction = Prediction.joined([p for p, _ in said if p is not None])
    found = [m for _, m in said if m is not None]
    matches = Matches(
        np.concatenate([m.row for m in found]),
        np.concatenate([m.score for m in found]),
        np.concatenate([m.group for m in found]),
        found[0].group_share,
    )
    return Gathered(np.array(answered, np.int64), prediction, matches)


def choose_weights(gathered: Gathered, truth: NDArray[np.int64]) -> Weights:
    """The six weights of least mean log loss of group and system, over network alone and all evidence.

    Args:
        gathered: evidence for n patterns.
        truth: (n,) their space-group indices from 0.

    Raises:
        MissingExtraError: scipy, of the extra `train`, is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtraError("choosing weights needs scipy: pip install 'powderlens[train]'") from None

    system = SYSTEM_OF_GROUP[truth]
    index = np.arange(len(truth))

    def weights_of(p: NDArray[np.float64]) -> Weights:
        return Weights(
            temperature=float(np.exp(p[0])),
            system_pull=float(1 / (1 + np.exp(-p[1]))),
            sharpness=float(np.exp(p[2])),
            unknown=float(p[3]),
            kinship=float(1 / (1 + np.exp(-p[4]))),
            doubt=float(1 / (1 + np.exp(-p[5]))),
        )

    def loss(p: NDArray[np.float64]) -> float:
        total = 0.0
        kinds: tuple[Evidence, ...] = ("network", "all")
        for evidence in kinds:
            systems, groups = gathered.belief(evidence, weights_of(p))
            total -= np.log(groups[index, truth] + 1e-9).mean() + np.log(systems[index, system] + 1e-9).mean()
        return float(total)

    start = np.array([-0.1, -1.0, 4.7, -31.0, -0.3, -1.4])
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 500, "xatol": 0.01, "fatol": 1e-4, "adaptive": True}
    )
    return weights_of(found.x)


def choose_on(identifier: Identifier, measured: MeasuredSet) -> Weights:
    """The weights that suit a measured set best; see `choose_weights`."""
    gathered = gather(identifier, measured.patterns)
    return choose_weights(gathered, measured.space_group[gathered.answered] - 1)


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
