"""How well a linear classifier tells simulated patterns from measured ones of the same minerals, by simple statistics.

Half is chance: such a protocol looks like the measurement in everything that `appearance.STATISTICS` sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose, words
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.render import render
from powderlens.reproduce.realism.appearance import STATISTICS, Expected, appearance, expected_lines
from powderlens.reproduce.realism.development import Match
from powderlens.reproduce.realism.treatment import (
    TREATMENT,
    Treated,
    measured_scan,
    quantum,
    scanned_grid,
    simulated_scan,
    without_floor,
)

Floats = NDArray[np.float64]

FOLDS, REGULARISATION, TREES = 5, 1.0, 300
WINSOR = 5.0
"""Standardised statistics are cut at this many standard deviations, so that no outlier steers a classifier."""


@dataclass(frozen=True, eq=False)
class Sides:
    """Statistics of both sides under one protocol.

    Attributes:
        measured: (n, statistics).
        simulated: (draws, n, statistics), the same minerals in the same order.
        mineral: n names.
    """

    measured: Floats
    simulated: Floats
    mineral: list[str]


def prepare_phases(matches: Sequence[Match], protocol: Protocol) -> tuple[list[tuple[Match, Phase]], Counter[str]]:
    """Patterns with their structures as the protocol wants them; a count by reason of those that cannot be drawn."""
    made: dict[str, Phase | str] = {}
    for match in matches:
        source = match.structure.source
        if source in made:
            continue
        try:
            made[source] = phase_of(match.structure, **protocol.phase_options)
        except InputError as error:
            made[source] = str(error).removeprefix(f"{source}: ").split(":")[0]
    found = [made[match.structure.source] for match in matches]
    used = [(match, phase) for match, phase in zip(matches, found, strict=True) if isinstance(phase, Phase)]
    return used, Counter(phase for phase in found if isinstance(phase, str))


def describe(
    matches: Sequence[Match], protocol: Protocol, *, seed: int, draws: int = 2
) -> tuple[Sides, Sides, dict[str, int]]:
    """Statistics of measured patterns, and of simulated ones of the same structures.

    Conditions come from the protocol alone, and a second phase, where it wants one, is another of the minerals.

    Args:
        matches: measured patterns with their structures.
        protocol: that draws the conditions.
        seed: of everything that is drawn.
        draws: simulated patterns for each measured one.

    Returns:
        Both sides as they are; the same with the floor of each scan subtracted; patterns left out, by reason.

    Raises:
        InputError: too few patterns to be told apart.
    """
    used, left = prepare_phases(matches, protocol)
    minerals = {match.label.name for match, _ in used}
    if len(minerals) < FOLDS:
        raise InputError(
            f"{len(minerals)} minerals have a pattern and a structure; at least {FOLDS} are needed to judge"
        )
    n = len(used)
    records = protocol.draw(seed, n * draws)
    records["first_deg"], records["last_deg"] = 0.0, 180.0
    raw = int(records["raw_points"].min())
    grid = scanned_grid(protocol, raw)
    if raw > 1:
        records["raw_points"] = 1
    impurities: list[Phase | None] = [None] * (n * draws)
    if protocol.wants_impurity:
        number = words(seed, np.arange(n * draws), Purpose.IMPURITY, 1)[:, 0].astype(np.int64)
        impurities = [used[k][1] for k in number % n]
    rng = np.random.default_rng(seed)
    wavelength_A = protocol.grid.wavelength_A
    names: list[str] = []
    rows: list[list[list[list[float]]]] = []
    for k, (match, phase) in enumerate(used):
        mine = k + n * np.arange(draws)
        second = [impurities[i] for i in mine]
        drawn = render([phase] * draws, records[mine], grid, seed=seed, index=mine, impurities=second)
        if drawn.max(axis=1).min() <= 0:
            left["no line in the protocol's range"] += 1
            continue
        scan = measured_scan(match.pattern, protocol, rng)
        loss = quantum(match.pattern.intensity)
        scans = [scan, *(simulated_scan(y, protocol, scan, loss, rng) for y in drawn)]
        expected = expected_lines(phase, wavelength_A, float(scan.two_theta_deg[0]), float(scan.two_theta_deg[-1]))
        names.append(str(match.label.name))
        bare = [without_floor(one) for one in scans]
        rows.append([[_row(one, expected, wavelength_A) for one in both] for both in (scans, bare)])
    values = np.array(rows)
    sides = [Sides(values[:, part, 0], values[:, part, 1:].swapaxes(0, 1), names) for part in (0, 1)]
    return sides[0], sides[1], dict(left)


def _row(scan: Treated, expected: Expected, wavelength_A: float) -> list[float]:
    found = appearance(scan.two_theta_deg, scan.intensity, expected, wavelength_A)
    return [found[name] for name in STATISTICS]


def tell_apart(sides: Sides) -> dict[str, object]:
    """Cross-validated figures of a logistic regression, and of a random forest on the same statistics.

    Five folds, all patterns of a mineral in one of them, measured and simulated. Statistics are standardised on the
    training folds, a missing one is the median there. Where simulated patterns are several to a measured one they
    weigh accordingly less, so that guessing gives an accuracy of a half.

    Returns:
        `accuracy` (balanced), its `standard_error` with minerals as the independent units, `auc`;
        `forest_accuracy`, `forest_auc`; and `coefficients`, the ten largest of a regression on
        everything, standardised (positive: more of it means simulated).
    """
    draws, n, k = sides.simulated.shape
    x = np.concatenate([sides.measured, sides.simulated.reshape(draws * n, k)])
    x[:, ~np.isfinite(x).any(axis=0)] = 0.0
    truth = np.concatenate([np.zeros(n, np.int64), np.ones(draws * n, np.int64)])
    mineral = np.array(sides.mineral * (draws + 1))
    forest = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        RandomForestClassifier(TREES, min_samples_leaf=2, class_weight="balanced", random_state=0),
    )
    out: dict[str, object] = {}
    for name, model in (("", _regression()), ("forest_", forest)):
        belief = np.zeros(len(x))
        for inside, outside in GroupKFold(FOLDS).split(x, truth, mineral):
            belief[outside] = model.fit(x[inside], truth[inside]).predict_proba(x[outside])[:, 1]
        said = belief > 0.5
        out[f"{name}accuracy"] = round(float(balanced_accuracy_score(truth, said)), 4)
        if not name:
            out["standard_error"] = round(_standard_error(said == truth, truth, mineral), 4)
        out[f"{name}auc"] = round(float(roc_auc_score(truth, belief)), 4)
    weight = _regression().fit(x, truth)[-1].coef_[0]
    largest = np.argsort(-np.abs(weight), kind="stable")[:10]
    out["coefficients"] = {list(STATISTICS)[i]: round(float(weight[i]), 3) for i in largest}
    return out


def _regression() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args={"a_min": -WINSOR, "a_max": WINSOR}),
        LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=5000),
    )


def _standard_error(right: NDArray[np.bool_], truth: NDArray[np.int64], mineral: NDArray[np.str_]) -> float:
    """Of the balanced accuracy: minerals, not patterns, are independent."""
    _, at = np.unique(mineral, return_inverse=True)
    error = np.zeros(at.max() + 1)
    for side in (0, 1):
        mine = truth == side
        error += np.bincount(at[mine], right[mine] - right[mine].mean(), len(error)) / mine.sum() / 2
    return float(np.sqrt((error**2).sum()))


def side_by_side(sides: Sides) -> dict[str, dict[str, float | None]]:
    """Median and quartiles of every statistic on both sides, and how well it tells them apart alone (its AUC)."""
    out: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(STATISTICS):
        both = {"measured": sides.measured[:, k], "simulated": sides.simulated[:, :, k].ravel()}
        known = {side: values[np.isfinite(values)] for side, values in both.items()}
        row: dict[str, float | None] = {}
        for side, values in known.items():
            for label, percent in (("median", 50), ("p25", 25), ("p75", 75)):
                row[f"{side}_{label}"] = round(float(np.percentile(values, percent)), 4) if len(values) else None
        sides_of = np.repeat([0, 1], list(map(len, known.values())))
        there = all(map(len, known.values()))
        row["auc"] = round(float(roc_auc_score(sides_of, np.concatenate([*known.values()]))), 4) if there else None
        out[name] = row
    return out


def evaluate_realism(
    matches: Sequence[Match], protocols: Sequence[Protocol], *, seed: int, draws: int = 2
) -> dict[str, object]:
    """Figures of every protocol, hardest to tell apart first.

    Args:
        matches: measured patterns with their structures.
        protocols: to be judged.
        seed: of everything that is drawn.
        draws: simulated patterns for each measured one.
    """
    figures: dict[str, dict[str, object]] = {}
    for protocol in protocols:
        sides, bare, left = describe(matches, protocol, seed=seed, draws=draws)
        told = tell_apart(bare)
        figures[protocol.name] = {
            "measured": len(sides.measured),
            "simulated": draws * len(sides.measured),
            "left_out": left,
            **tell_apart(sides),
            "floor_subtracted": {key: told[key] for key in ("accuracy", "standard_error", "auc", "forest_accuracy")},
            "statistics": side_by_side(sides),
        }

    def hardest(name: str) -> tuple[float, float]:
        return float(str(figures[name]["accuracy"])), float(str(figures[name]["auc"]))

    return {
        "seed": seed,
        "draws": draws,
        "minerals": len({match.label.name for match in matches}),
        "treatment": TREATMENT,
        "classifier": f"logistic regression, L2 with C = {REGULARISATION:g}, {len(STATISTICS)} standardised "
        f"statistics, {FOLDS} folds grouped by mineral; balanced accuracy, 0.5 is chance",
        "definitions": STATISTICS,
        "protocols": {name: figures[name] for name in sorted(figures, key=hardest)},
    }
