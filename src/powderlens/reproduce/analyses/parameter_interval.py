"""Accuracy within intervals of each parameter that the simulation draws.

SimXRD (Cao et al. 2025) Table 6 cuts its test patterns in three: poor conditions (1), nearly ideal ones (2), the rest
(3). All its accuracies in category 1 are multiples of 1/32: so many patterns it seems to have. Here each parameter also
stands alone, in five intervals of equally many patterns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.diffraction.conditions import RECORD
from powderlens.evaluate.answers import Answers, scored
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, check_corpus, grouped
from powderlens.reproduce.analyses.drawing import COLUMN_IN, canvas, heat_map, heat_size

INTERVALS = 5
FEW = 30
"""Patterns below which a field has no colour."""
SAME = 1e-3
"""Relative spread up to which a parameter counts as the same for all patterns."""
SIGNED = ("zero_shift_deg", "displacement_mm", "slit_tilt")
"""Fields whose size counts, not their sign."""

TABLE_6 = {
    "1 (poor)": {
        "crystallite_size_nm": (2.0, 10.0),
        "thermal_offset_A": (0.4, 0.5),
        "intensity_perturbation": (0.3, 0.4),
        "abs_zero_shift_deg": (1.0, 1.2),
    },
    "2 (nearly ideal)": {
        "crystallite_size_nm": (40.0, 50.0),
        "thermal_offset_A": (0.0, 0.1),
        "intensity_perturbation": (0.0, 0.1),
        "abs_zero_shift_deg": (0.0, 0.2),
    },
}
"""All four at once; category 3 is what is in neither (SimXRD, appendix B.8)."""
REST = "3 (the rest)"


def parameters(records: NDArray[np.void]) -> dict[str, NDArray[np.float64]]:
    """What patterns were drawn under, as one number each.

    Args:
        records: (n,) conditions, see `diffraction.conditions.RECORD`.

    Returns:
        By name, (n,): every field that is a number (sizes of signed ones, `abs_...`); of the strain the largest
        principal one, as drawn, before it is projected on the crystal's symmetry (`largest_strain`); of the smooth
        background highest minus lowest point, relative to the strongest of the pattern (`background_span`).
    """
    assert RECORD.names is not None
    found: dict[str, NDArray[np.float64]] = {}
    for name in RECORD.names:
        values = records[name]
        if name == "strain":
            xx, yy, zz, yz, xz, xy = values.T
            tensor = np.stack([np.stack(row, -1) for row in ([xx, xy, xz], [xy, yy, yz], [xz, yz, zz])], -2)
            found["largest_strain"] = np.abs(np.linalg.eigvalsh(tensor)).max(axis=-1)
        elif name == "chebyshev":
            curves = chebyshev.chebval(np.linspace(-1, 1, 201), values.T)
            found["background_span"] = np.ptp(curves, axis=-1)
        elif values.ndim == 1 and values.dtype.kind == "f":
            found[f"abs_{name}" if name in SIGNED else name] = np.abs(values) if name in SIGNED else values
    return found


def intervals(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Five intervals of equally many values, fewer where many are equal; each holds its upper end, the first both.

    Args:
        values: (n,) of one parameter.
    """
    edges = np.unique(np.quantile(values, np.linspace(0, 1, INTERVALS + 1)))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def analyse(inputs: Inputs) -> Result:
    """Each parameter alone, and the three categories of SimXRD's Table 6 where its four parameters vary.

    Raises:
        InputError: patterns that are not drawn, or drawn with nothing that varies.
    """
    inputs, left = inputs.on_corpus("tested")
    asked = inputs.asked("crystal_system", "space_group", "extinction_class")
    assert inputs.corpus is not None
    for one in asked:
        corpus = check_corpus(inputs.corpus, one.record.tested, "was tested on")
    if not isinstance(corpus, DrawnCorpus):
        raise InputError(f"{inputs.corpus}: its patterns are not drawn, so their conditions are not known")
    said = [one.answers() for one in asked]
    numbers = np.unique(np.concatenate([answers.pattern for answers in said]))
    every = parameters(corpus.conditions(numbers))
    varied = {name: values for name, values in every.items() if np.ptp(values) > SAME * np.abs(values).max()}
    if not varied:
        raise InputError(
            f"{inputs.corpus}: protocol {corpus.protocol.name} draws all patterns under the same conditions"
        )
    fixed = {name: float(every[name][0]) for name in ("background_span", "noise_sigma") if name not in varied}
    cuts = {name: intervals(values) for name, values in varied.items()}
    rows: list[dict[str, Any]] = []
    for one, answers in zip(asked, said, strict=True):
        at = np.searchsorted(numbers, answers.pattern)
        mine = {name: values[at] for name, values in varied.items()}
        for name, values in mine.items():
            for i, ((low, high), words) in enumerate(zip(cuts[name], _names(cuts[name]), strict=True)):
                inside = (values <= high) & ((values > low) | (i == 0))
                rows.append(_row(one, answers, inside, parameter=name, interval=words, low=low, high=high))
        for name, where in categories(mine).items():
            rows.append(_row(one, answers, where, parameter="Table 6", interval=name))
    return Result(rows, _figure(rows, asked, said), [*_notes(rows, said, fixed), *left])


def _names(cuts: list[tuple[float, float]]) -> list[str]:
    """Both ends of each interval, in as few digits as tell the intervals apart."""
    for digits in (2, 3, 4, 6):
        names = [f"{0.0 if low < 0.01 * high else low:.{digits}g}-{high:.{digits}g}" for low, high in cuts]
        if len(set(names)) == len(names):
            break
    return names


def categories(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """SimXRD's three categories: (n,) truth values of each; empty where one of the four parameters is missing."""
    if not set(next(iter(TABLE_6.values()))) <= values.keys():
        return {}
    found = {
        name: np.logical_and.reduce([(values[key] >= low) & (values[key] <= high) for key, (low, high) in box.items()])
        for name, box in TABLE_6.items()
    }
    return {**found, REST: ~np.logical_or.reduce(list(found.values()))}


def _row(one: AskedTask, answers: Answers, where: NDArray[np.bool_], **field: object) -> dict[str, Any]:
    return {"network": one.label, "task": one.task, **field, **scored(answers.right[where], answers.crystal[where])}


def _figure(rows: list[dict[str, Any]], asked: list[AskedTask], said: list[Answers]) -> Figure:
    by_parameter = grouped(rows, lambda row: str(row["parameter"]))
    words = [one.label for one in asked]
    columns = {name: list(grouped(some, lambda row: str(row["interval"]))) for name, some in by_parameter.items()}
    widths = [len(intervals) for intervals in columns.values()]
    width, height = heat_size(len(asked), sum(widths), names=words, above=1.9)
    width += 0.3 * COLUMN_IN * len(columns)
    figure, (line,) = canvas(width, height, across=len(columns), width_ratios=widths)
    own = np.array([100 * answers.right.mean() for answers in said])[:, None]
    for i, (axes, (name, some)) in enumerate(zip(line, by_parameter.items(), strict=True)):
        few = np.array([row["patterns"] < FEW for row in some]).reshape(len(asked), -1)
        values = np.array([100 * row["accuracy"] for row in some]).reshape(len(asked), -1)
        shade = np.where(few, 0.0, values - own)
        labels = words if i == 0 else [""] * len(words)
        heat_map(axes, values, labels, columns[name], shade=shade, limits=(-15, 15), colours="RdBu")
        axes.set_title(name.replace("_", " "), fontsize=8)
    figure.suptitle(
        "accuracy (%); colour: above (blue) or below (red) the network's own mean, none for few patterns", fontsize=10
    )
    return figure


def _notes(rows: list[dict[str, Any]], said: list[Answers], fixed: dict[str, float]) -> list[str]:
    notes = []
    spread = {}
    for name, some in grouped(rows, lambda row: str(row["parameter"])).items():
        if name == "Table 6":
            counts = {row["interval"]: row["patterns"] for row in some[:3]}
            held = ", ".join(f"{count:,} in {category}" for category, count in counts.items())
            notes.append(
                f"Categories of SimXRD's Table 6 in the first record's {len(said[0].truth):,} patterns: {held}."
            )
            continue
        ends = grouped(some, lambda row: (row["network"], row["task"])).values()
        spread[name] = 100 * float(np.mean([mine[-1]["accuracy"] - mine[0]["accuracy"] for mine in ends]))
    ordered = sorted(spread.items(), key=lambda item: -abs(item[1]))
    notes.insert(
        0,
        f"Accuracy in the highest interval minus the lowest, mean of {len(said)} rows, in points: "
        f"{', '.join(f'{name} {value:+.1f}' for name, value in ordered)}.",
    )
    errors = [100 * row["standard_error"] for row in rows if row["parameter"] != "Table 6" and row["patterns"] > 1]
    notes.append(
        f"Intervals hold equally many patterns; the median standard error of a field is {np.nanmedian(errors):.1f} "
        "points (by crystal). Parameters are drawn independently, so each is seen at the mean of the others."
    )
    if fixed:
        notes.append(f"The same for all patterns: {', '.join(f'{name} {value:.3g}' for name, value in fixed.items())}.")
    return notes
