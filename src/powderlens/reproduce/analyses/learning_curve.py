"""Error against the number of patterns seen in training, with the power law that it follows.

Source: ML4pXRDs (Schopmans, Reiser and Friederich 2023), Figs. 5, S5 and S6: the law is error = a N^-b, a straight line
on logarithmic scales.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped, labels
from powderlens.reproduce.analyses.drawing import MARKERS, beside, canvas, logarithmic, name_panel, strokes, tidy

LEAST = 4
"""Points that a law is fitted to at least."""
VALIDATION, TEST, TEST_5 = "validation", "test", "test, 5 likeliest"


@dataclass(frozen=True)
class PowerLaw:
    """error = a N^-b, by least squares on the logarithms of both.

    Attributes:
        a, b: of the law.
        b_error: standard error of b from the scatter about the line.
        late: b of the second half of the points alone; NaN where these are fewer than `LEAST`.
        first, last: smallest and largest N of the fit.
        points: of the fit.
    """

    a: float
    b: float
    b_error: float
    late: float
    first: float
    last: float
    points: int

    def __call__(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        """The error after n patterns."""
        return np.asarray(self.a * n**-self.b)


@dataclass(frozen=True)
class Curve:
    """Errors of one run: patterns seen and error of each point."""

    label: str
    task: str
    of: str
    tested: str
    points: tuple[tuple[float, float], ...]


def fit_power_law(n: NDArray[np.float64], error: NDArray[np.float64]) -> PowerLaw | None:
    """The law through points of which n and error are above 0; None for fewer than `LEAST`.

    Args:
        n: (m,) patterns seen.
        error: (m,) shares of wrong answers.
    """
    good = (n > 0) & (error > 0)
    n, error = n[good], error[good]
    if len(np.unique(n)) < LEAST:
        return None
    x, y = np.log(n), np.log(error)
    slope, start = np.polyfit(x, y, 1)
    left = y - (start + slope * x)
    spread = float(np.sqrt((left**2).sum() / (len(x) - 2) / ((x - x.mean()) ** 2).sum()))
    half = np.argsort(x)[len(x) // 2 :]
    late = -float(np.polyfit(x[half], y[half], 1)[0]) if len(half) >= LEAST else float("nan")
    return PowerLaw(float(np.exp(start)), -float(slope), spread, late, float(n.min()), float(n.max()), len(n))


def analyse(inputs: Inputs) -> Result:
    """The validation curve of every run, and the tested error at every checkpoint that has a record.

    Records of one run (the same recipe on the same patterns) share a curve; each record gives one point of the error on
    its tested part, at its checkpoint.

    Raises:
        InputError: no run has more than one point.
    """
    asked = inputs.asked("space_group", "crystal_system", "extinction_class")
    curves: list[Curve] = []
    short = 0
    for task, of_task in grouped(asked, lambda one: one.task).items():
        runs = grouped(of_task, _run)
        first = [many[0].record for many in runs.values()]
        alike = [one.model_copy(update={"tested": first[0].tested, "protocol": first[0].protocol}) for one in first]
        for name, many in zip(labels(alike, [task] * len(alike)), runs.values(), strict=True):
            found = _curves(name, many)
            curves += found if any(len(curve.points) > 1 for curve in found) else []
            short += all(len(curve.points) < 2 for curve in found)
    if not curves:
        raise InputError(
            f"each of {short} runs was validated once, and has one checkpoint with a record; a curve needs several: "
            "train with more than one epoch"
        )
    laws = [fit_power_law(*np.array(curve.points).T) for curve in curves]
    rows = [_row(curve, law, *point) for curve, law in zip(curves, laws, strict=True) for point in curve.points]
    return Result(rows, _figure(curves, laws), _notes(curves, laws, short))


def _run(one: AskedTask) -> str:
    """What tells one run from another."""
    record = one.record
    return json.dumps([one.task, record.network, record.training.recipe, record.training.data.sha256], sort_keys=True)


def _curves(label: str, many: Sequence[AskedTask]) -> list[Curve]:
    """Of the records of one run."""
    record, task = many[0].record, many[0].task
    seen = [(point.patterns, point.accuracy[task]) for point in record.training.curve if task in point.accuracy]
    curves = []
    if seen:
        part = record.training.validation
        where = "" if part is None else part.name
        curves.append(Curve(label, task, VALIDATION, where, tuple((float(n), 1 - right) for n, right in seen)))
    for tested, records in grouped(many, lambda one: one.record.tested.name).items():
        for of, k in ((TEST, "1"), (TEST_5, "5")):
            points = sorted({(_seen(one), 1 - one.record.classes[task].top_k[k]) for one in records})
            curves.append(Curve(label, task, of, tested, tuple(points)))
    return curves


def _seen(one: AskedTask) -> float:
    """Patterns that had been shown when the checkpoint was written."""
    training = one.record.training
    return float(training.patterns_seen * training.checkpoint_step / training.steps)


def _row(curve: Curve, law: PowerLaw | None, n: float, error: float) -> dict[str, Any]:
    return {
        "network": curve.label,
        "task": curve.task,
        "of": curve.of,
        "tested": curve.tested,
        "patterns_seen": n,
        "error": error,
        "law_a": law and law.a,
        "law_b": law and law.b,
        "law_b_standard_error": law and law.b_error,
        "law_b_second_half": law and law.late,
        "law_error": law and float(law(np.array(n))),
    }


def _figure(curves: list[Curve], laws: list[PowerLaw | None]) -> Figure:
    tasks = grouped(zip(curves, laws, strict=True), lambda drawn: drawn[0].task)
    figure, grid = canvas(9.5, 4.8 * len(tasks), len(tasks))
    for axes, (task, mine) in zip(grid[:, 0], tasks.items(), strict=True):
        networks = list(dict.fromkeys(curve.label for curve, _ in mine))
        kinds = list(dict.fromkeys((curve.of, curve.tested) for curve, _ in mine))
        alone = len(networks) == 1  # then colours tell the kinds apart, else the networks
        colours = [stroke["color"] for stroke in strokes(len(kinds) if alone else len(networks))]
        for curve, law in mine:
            kind = kinds.index((curve.of, curve.tested))
            colour = colours[kind if alone else networks.index(curve.label)]
            n, error = np.array(curve.points).T
            mark = {"marker": MARKERS[kind % len(MARKERS)], "markersize": 4.5, "color": colour}
            axes.plot(n, 100 * error, linestyle="none" if law else ":", linewidth=0.9, **mark)
            if law is not None:
                ends = np.geomspace(law.first, law.last, 50)
                axes.plot(ends, 100 * law(ends), color=colour, linewidth=1.2)
        for i, name in enumerate([] if alone else networks):
            axes.plot([], [], color=colours[i], linewidth=3, label=name)
        for i, (of, tested) in enumerate(kinds):
            colour = colours[i] if alone else "0.3"
            axes.plot([], [], MARKERS[i % len(MARKERS)], color=colour, markersize=4.5, label=f"{of} ({tested})")
        for scale in ("x", "y"):
            logarithmic(axes, scale)
        if alone:
            name_panel(axes, networks[0], 10)
        axes.set_xlabel("patterns seen in training, repeated ones counted each time")
        axes.set_ylabel(f"{task.replace('_', ' ')}: wrong answers (%)")
        tidy(axes)
        beside(axes)
    return figure


def _notes(curves: list[Curve], laws: list[PowerLaw | None], short: int) -> list[str]:
    notes = []
    for curve, law in zip(curves, laws, strict=True):
        name = f"{curve.label}, {curve.task.replace('_', ' ')}, {curve.of} ({curve.tested})"
        n, error = curve.points[-1]
        if law is None:
            notes.append(f"{name}: error {error:.1%} after {n:,.0f} patterns; too few points for a law.")
            continue
        late = "" if np.isnan(law.late) else f", second half alone {law.late:.3f}"
        notes.append(
            f"{name}: error {error:.1%} after {n:,.0f} patterns; error = {law.a:.3g} N^-{law.b:.3f}, exponent ± "
            f"{law.b_error:.3f} from {law.points} points between {law.first:,.0f} and {law.last:,.0f}{late}."
        )
    notes.append(
        "Lines end where the points end: nothing is extrapolated. The standard error takes points as independent, and "
        "those of one run are not; a second half with another exponent says that the law has not settled. A schedule "
        "that lowers the rate towards the end of a run steepens its curve."
    )
    if short:
        notes.append(f"{short} runs that were validated once and tested at one checkpoint are left out.")
    return notes
