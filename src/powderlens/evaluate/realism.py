"""How well a linear classifier tells simulated patterns from measured ones of the same minerals, by simple statistics.

Half is chance: such a protocol looks like the measurement in everything that `appearance.STATISTICS` sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose, words
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.render import render
from powderlens.evaluate.appearance import STATISTICS, THOUSANDTH, Expected, appearance, expected_lines
from powderlens.evaluate.development import Match
from powderlens.pattern.grid import convert_two_theta
from powderlens.pattern.prepare import residual_floor

Floats = NDArray[np.float64]

FIRST_DEG, STEP_DEG, WAVELENGTH_A = 5.0, 0.01, 1.541838
"""Axis of the measured set (its README)."""
FOLDS, REGULARISATION = 5, 1.0
WINSOR = 5.0
"""Standardised statistics are cut at this many standard deviations, so that single outliers do not steer the classifier."""
TREATMENT = (
    "measured values (whole thousandths of the maximum, cut off) are spread evenly over their thousandth; simulated "
    "ones get the scatter of the same rounding and, as in RRUFF's processing, the absolute value of what is negative; "
    "both are averaged over whole points to the coarser of the two steps, cut to the common range and divided by "
    "their maximum; nothing is interpolated, measured angles are converted to the protocol's wavelength"
)


@dataclass(frozen=True, eq=False)
class Scan:
    """A pattern ready to be described: (n,) angles at the protocol's wavelength, (n,) intensities, strongest 1."""

    two_theta_deg: Floats
    intensity: Floats


@dataclass(frozen=True, eq=False)
class Sides:
    """Statistics of both sides under one protocol.

    Attributes:
        measured: (n, statistics).
        simulated: (draws, n, statistics) of the same minerals in the same order.
        mineral: n names.
        skipped: patterns left out, by reason.
    """

    measured: Floats
    simulated: Floats
    mineral: list[str]
    skipped: dict[str, int]


def measured_scan(intensity: Floats, protocol: Protocol, rng: np.random.Generator) -> Scan:
    """A measured pattern on a protocol's axis: see `TREATMENT`."""
    angle = FIRST_DEG + STEP_DEG * np.arange(len(intensity))
    y = (intensity / intensity.max() * round(1 / THOUSANDTH) + rng.random(len(intensity))) * THOUSANDTH
    angle, y = averaged(angle, y, measured_points(protocol))
    angle = convert_two_theta(angle, WAVELENGTH_A, protocol.grid.wavelength_A)
    grid = protocol.grid
    inside = (angle >= grid.start_deg) & (angle <= grid.end_deg)
    return Scan(angle[inside], y[inside] / y[inside].max())


def simulated_scan(intensity: Floats, protocol: Protocol, limits_deg: tuple[float, float], rng: np.random.Generator) -> Scan:
    """A simulated pattern, treated as a measured one: see `TREATMENT`."""
    x = protocol.grid.two_theta_deg
    y = intensity / intensity.max()
    raw = measured_points(protocol)
    cut = rng.random((raw, len(y))) - rng.random((raw, len(y)))
    x, y = averaged(x, np.abs(y + THOUSANDTH * cut.mean(axis=0)), simulated_points(protocol))
    inside = (x >= limits_deg[0]) & (x <= limits_deg[1])
    return Scan(x[inside], y[inside] / y[inside].max())


def _steps_per_point(protocol: Protocol) -> float:
    """The protocol's step over that of the measured scans, at the middle of the protocol's range."""
    grid = protocol.grid
    middle = (grid.start_deg + grid.end_deg) / 2
    pair = convert_two_theta(np.array([middle, middle + grid.step_deg]), grid.wavelength_A, WAVELENGTH_A)
    return float(np.diff(pair)[0] / STEP_DEG)


def measured_points(protocol: Protocol) -> int:
    """How many measured points make one compared point."""
    return max(1, round(_steps_per_point(protocol)))


def simulated_points(protocol: Protocol) -> int:
    """How many simulated points make one compared point."""
    return max(1, round(1 / _steps_per_point(protocol)))


def averaged(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """Means over blocks of so many points; an incomplete one at the end is left out."""
    n = len(x) // points * points
    return x[:n].reshape(-1, points).mean(axis=1), y[:n].reshape(-1, points).mean(axis=1)


def without_floor(scan: Scan) -> Scan:
    """The local 30th percentile subtracted and cut at zero, as before the network (`pattern.prepare`)."""
    y = np.maximum(scan.intensity - residual_floor(scan.intensity), 0)
    return Scan(scan.two_theta_deg, y / y.max())


def prepare_phases(matches: Sequence[Match], protocol: Protocol) -> tuple[list[Phase | None], Counter[str]]:
    """The structures as the protocol wants them; None, counted by reason, where one cannot be drawn."""
    made: dict[str, Phase | None] = {}
    reasons: dict[str, str] = {}
    for match in matches:
        source = match.structure.source
        if source in made:
            continue
        try:
            made[source] = phase_of(
                match.structure,
                d_min_A=protocol.d_min_A,
                dispersion_wavelength_A=protocol.dispersion_wavelength_A,
                table=protocol.form_factors,
                offsets=protocol.wants_offsets,
            )
        except InputError as error:
            made[source], reasons[source] = None, str(error).removeprefix(f"{source}: ").split(":")[0]
    phases = [made[match.structure.source] for match in matches]
    return phases, Counter(reasons[m.structure.source] for m in matches if m.structure.source in reasons)


def describe(
    matches: Sequence[Match],
    protocol: Protocol,
    *,
    seed: int,
    draws: int = 2,
    treat: Callable[[Scan], Scan] = lambda scan: scan,
) -> Sides:
    """Statistics of measured patterns and of simulated ones of the same structures.

    Conditions come from the protocol alone. Only the range is not drawn: the measured scans are whole, so what the
    protocol leaves unmeasured is measured here.

    Args:
        matches: measured patterns with their structures.
        protocol: that draws the conditions.
        seed: of everything that is drawn.
        draws: simulated patterns for each measured one.
        treat: applied to every scan, measured or simulated, before it is described.
    """
    phases, skipped = prepare_phases(matches, protocol)
    usable = [i for i, phase in enumerate(phases) if phase is not None]
    drawable: list[Phase] = [phase for phase in phases if phase is not None]
    n = len(usable)
    records = protocol.draw(seed, n * draws)
    records["first_deg"], records["last_deg"] = 0.0, 180.0
    impurities: list[Phase | None] = [None] * (n * draws)
    if protocol.wants_impurity:
        other = words(seed, np.arange(n * draws), Purpose.IMPURITY, 1)[:, 0].astype(np.int64)
        impurities = [drawable[int(k) % n] for k in other]
    patterns = render(drawable * draws, records, protocol.grid, seed=seed, impurities=impurities)
    rng = np.random.default_rng(seed)
    measured, simulated, kept = [], [], []
    for k, i in enumerate(usable):
        scan = measured_scan(matches[i].intensity, protocol, rng)
        x = scan.two_theta_deg
        limits = float(x[0]), float(x[-1])
        drawn = [patterns[d * n + k] for d in range(draws)]
        if min(float(y.max()) for y in drawn) <= 0:
            skipped["no line in the protocol's range"] += 1
            continue
        expected = expected_lines(drawable[k], protocol.grid.wavelength_A, *limits)
        measured.append(_row(treat(scan), expected, protocol))
        simulated.append([_row(treat(simulated_scan(y, protocol, limits, rng)), expected, protocol) for y in drawn])
        kept.append(i)
    if len(kept) < 2 * FOLDS:
        raise InputError(f"{len(kept)} patterns have a structure; at least {2 * FOLDS} are needed to tell sides apart")
    return Sides(
        np.array(measured), np.array(simulated).swapaxes(0, 1), [matches[i].label.mineral for i in kept], dict(skipped)
    )


def _row(scan: Scan, expected: Expected, protocol: Protocol) -> list[float]:
    found = appearance(scan.two_theta_deg, scan.intensity, expected, protocol.grid.wavelength_A)
    return [found[name] for name in STATISTICS]


def tell_apart(sides: Sides) -> dict[str, object]:
    """Cross-validated figures of a logistic regression, and of boosted trees on the same statistics.

    Five folds, all patterns of a mineral in the same one, measured and simulated. Statistics are standardised on the
    training folds, a missing one is the median there. Simulated patterns are several to a measured one and weigh
    accordingly less, so that guessing gives an accuracy of a half.

    Returns:
        `accuracy` (balanced), `standard_error`, `auc`, `boosted_trees_accuracy`, `boosted_trees_auc`, and the ten
        largest standardised `coefficients` of a regression on everything (positive: larger means simulated).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    draws, n, k = sides.simulated.shape
    x = np.concatenate([sides.measured, sides.simulated.reshape(draws * n, k)])
    truth = np.concatenate([np.zeros(n, int), np.ones(draws * n, int)])
    mineral = np.array(sides.mineral * (draws + 1))

    def linear() -> object:
        return make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            FunctionTransformer(_winsorised),
            LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=5000),
        )

    def trees() -> object:
        return HistGradientBoostingClassifier(
            max_iter=150, learning_rate=0.06, min_samples_leaf=10, class_weight="balanced", random_state=0
        )

    out: dict[str, object] = {}
    for name, make in (("", linear), ("boosted_trees_", trees)):
        chance = np.zeros(len(x))
        for inside, outside in GroupKFold(FOLDS).split(x, truth, mineral):
            model = make()
            model.fit(x[inside], truth[inside])  # type: ignore[attr-defined]
            chance[outside] = model.predict_proba(x[outside])[:, 1]  # type: ignore[attr-defined]
        right = (chance > 0.5) == truth
        out[f"{name}accuracy"] = round(float(balanced_accuracy_score(truth, chance > 0.5)), 4)
        if not name:
            out["standard_error"] = round(_grouped_error(right, truth, mineral), 4)
        out[f"{name}auc"] = round(float(roc_auc_score(truth, chance)), 4)
    model = linear()
    model.fit(x, truth)  # type: ignore[attr-defined]
    weight = model[-1].coef_[0]  # type: ignore[index]
    order = np.argsort(-np.abs(weight), kind="stable")[:10]
    out["coefficients"] = {list(STATISTICS)[i]: round(float(weight[i]), 3) for i in order}
    return out


def _winsorised(x: Floats) -> Floats:
    return np.clip(x, -WINSOR, WINSOR)


def _grouped_error(right: NDArray[np.bool_], truth: NDArray[np.int64], mineral: NDArray[np.str_]) -> float:
    """Standard error of the balanced accuracy, minerals (not patterns) being independent."""
    _, at = np.unique(mineral, return_inverse=True)
    variance = 0.0
    for side in (0, 1):
        mine = truth == side
        error = np.bincount(at[mine], right[mine] - right[mine].mean())
        variance += float((error**2).sum()) / mine.sum() ** 2
    return float(np.sqrt(variance)) / 2


def side_by_side(sides: Sides) -> dict[str, dict[str, float | None]]:
    """Median and quartiles of every statistic on both sides, and how well it tells them apart alone (its AUC)."""
    out: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(STATISTICS):
        a, b = sides.measured[:, k], sides.simulated[:, :, k].ravel()
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        row: dict[str, float | None] = {}
        for side, values in (("measured", a), ("simulated", b)):
            p25, p50, p75 = np.percentile(values, [25, 50, 75]) if len(values) else (None,) * 3
            for label, value in (("median", p50), ("p25", p25), ("p75", p75)):
                row[f"{side}_{label}"] = None if value is None else round(float(value), 4)
        row["auc"] = round(_auc(a, b), 4) if len(a) and len(b) else None
        out[name] = row
    return out


def _auc(a: Floats, b: Floats) -> float:
    """Chance that a number of b is above one of a (ties count half)."""
    ordered = np.sort(a)
    below = np.searchsorted(ordered, b, "left") + np.searchsorted(ordered, b, "right")
    return float(below.mean() / (2 * len(a)))


def evaluate_realism(matches: Sequence[Match], protocols: Sequence[Protocol], *, seed: int, draws: int = 2) -> dict[str, object]:
    """Figures of every protocol, hardest to tell first.

    Args:
        matches: measured patterns with their structures.
        protocols: to be judged.
        seed: of everything that is drawn.
        draws: simulated patterns for each measured one.
    """
    figures: dict[str, dict[str, object]] = {}
    for protocol in protocols:
        sides = describe(matches, protocol, seed=seed, draws=draws)
        bare = describe(matches, protocol, seed=seed, draws=draws, treat=without_floor)
        told = tell_apart(bare)
        figures[protocol.name] = {
            "patterns": {"measured": len(sides.measured), "simulated": draws * len(sides.measured)},
            "skipped": sides.skipped,
            **tell_apart(sides),
            "floor_subtracted": {name: told[name] for name in ("accuracy", "auc", "boosted_trees_accuracy")},
            "statistics": side_by_side(sides),
        }
    ordered = sorted(figures, key=lambda name: (figures[name]["accuracy"], figures[name]["auc"]))
    return {
        "seed": seed,
        "draws": draws,
        "minerals": len({match.label.mineral for match in matches}),
        "treatment": TREATMENT,
        "classifier": f"logistic regression, L2 with C = {REGULARISATION:g}, {len(STATISTICS)} standardised statistics, "
        f"{FOLDS} folds grouped by mineral; balanced accuracy, 0.5 is chance",
        "definitions": STATISTICS,
        "protocols": {name: figures[name] for name in ordered},
    }
