"""What in synthetic crystals differs from real ones: accuracy on real crystals with some of them drawn anew.

A network that has learnt synthetic crystals does worse on real ones. Its accuracy on real crystals whose coordinates,
lattice or both were drawn as those of synthetic ones are says how much of that gap either makes up. Source: ML4pXRDs
(Schopmans, Reiser and Friederich 2023), sections 3.3 and S3.
"""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.generate.randomise import What
from powderlens.reproduce.analyses.base import AskedTask, Inputs, Result, grouped, labels
from powderlens.reproduce.analyses.drawing import beside, canvas, name_panel, strokes, tidy

REAL, REFERENCE, SYNTHETIC = "real", "nothing", "synthetic"
ORDER = (REAL, REFERENCE, "lattice", "coordinates", "both", SYNTHETIC)
NAMES = {
    REAL: "as they are",
    REFERENCE: "reference: sites\nfilled by one element",
    "lattice": "lattice\ndrawn anew",
    "coordinates": "coordinates\ndrawn anew",
    "both": "both\ndrawn anew",
    SYNTHETIC: "synthetic",
}
DRAWS = 2000
"""Resamples of the crystals, for the interval of the share of the gap."""


Accuracy = dict[str, float]
"""Identity of a crystal before anything was drawn anew -> share of its patterns that are right."""


def origin(identity: str) -> tuple[str, str]:
    """What was drawn anew of a crystal, and which crystal it was before.

    Args:
        identity: as `powderlens crystals generate` gives it: "coordinates:SEED-ID", "synthetic:SEED-INDEX".

    Returns:
        One of `ORDER`, and the id; any other identity is of a real crystal, and its own.
    """
    first, _, rest = identity.partition(":")
    if first in get_args(What):
        return first, rest.partition("-")[2]
    return (SYNTHETIC if first == SYNTHETIC else REAL), identity


def analyse(inputs: Inputs) -> Result:
    """Records of a network on real crystals, on the same ones drawn anew, and on synthetic ones.

    Raises:
        InputError: nothing to compare: see `_groups`.
    """
    asked = inputs.asked("space_group")
    rows: list[dict[str, Any]] = []
    said: list[str] = []
    for label, many in _networks(asked).items():
        tested = _groups(label, many)
        found = _rows(label, tested, inputs.seed)
        rows += found
        said += _said(label, found)
    said.append(
        "Crystals are those that every record of real or redrawn crystals has; errors of gains are of differences "
        "crystal by crystal, but crystallite sizes of two corpora can differ. Shares of the gap come with 95 % "
        f"intervals from {DRAWS} resamples of the crystals. What remains of the gap is also of space groups, elements "
        "and Wyckoff positions, which are not drawn anew and may be other ones among the synthetic crystals."
    )
    return Result(rows, _figure(rows), said)


def gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    """Mean difference of two accuracies over the same crystals, and its standard error.

    Args:
        before: (n,) share of right answers of each crystal.
        after: (n,) of the same crystals.
    """
    apart = after - before
    return float(apart.mean()), _standard_error(apart)


def shares_of_gap(
    before: NDArray[np.float64], after: NDArray[np.float64], synthetic: NDArray[np.float64], seed: int
) -> tuple[float, float, float] | None:
    """Share of the gap between real and synthetic crystals that drawing anew closes.

    Args:
        before: (n,) accuracy of each crystal as it is.
        after: (n,) of the same crystals drawn anew.
        synthetic: (m,) of synthetic crystals.
        seed: of the resamples.

    Returns:
        (after - before) / (synthetic - before) of the means, and the 2.5 and 97.5 % quantiles over resamples of the n
        crystals, in pairs, and of the m. None where more than 2.5 % of the resamples have no gap: no interval holds.
    """
    rng = np.random.default_rng(seed)
    closed, gaps = [], []
    for _ in range(DRAWS):
        one, other = (rng.integers(len(of), size=len(of)) for of in (before, synthetic))
        low = before[one].mean()
        closed.append(after[one].mean() - low)
        gaps.append(synthetic[other].mean() - low)
    there = np.array(gaps) > 0
    if there.mean() < 0.975:
        return None
    low, high = np.quantile(np.array(closed)[there] / np.array(gaps)[there], [0.025, 0.975]).tolist()
    return float((after.mean() - before.mean()) / (synthetic.mean() - before.mean())), low, high


def _networks(asked: list[AskedTask]) -> dict[str, list[AskedTask]]:
    """Records by network: the same recipe, training patterns and checkpoint."""

    def network(one: AskedTask) -> str:
        training = one.record.training
        key = [one.record.network, training.recipe, training.data.sha256, training.checkpoint_step, one.record.passes]
        return json.dumps(key, sort_keys=True)

    found = grouped(asked, network)
    named = labels([many[0].record.model_copy(update={"tested": asked[0].record.tested}) for many in found.values()])
    return dict(zip(named, found.values(), strict=True))


def _groups(label: str, many: list[AskedTask]) -> dict[str, Accuracy]:
    """What each record tested, by what was drawn anew.

    Raises:
        InputError: crystals of two kinds in one record, two records of one kind, no record to compare with, or no
            crystal that all have.
    """
    found: dict[str, Accuracy] = {}
    for one in many:
        answers = one.answers()
        origins = [origin(identity) for identity in answers.columns["crystal"].to_pylist()]
        kinds = {what for what, _ in origins}
        if len(kinds) > 1:
            raise InputError(
                f"{one.path}: tests {' and '.join(sorted(kinds))} crystals at once; test one kind a record"
            )
        what = kinds.pop()
        if what in found:
            raise InputError(
                f"{one.path}: a second record of {label} with {what} crystals; give one each of {', '.join(ORDER)}"
            )
        names, code = np.unique([name for _, name in origins], return_inverse=True)
        right = np.bincount(code, answers.right) / np.bincount(code)
        found[what] = dict(zip(names.tolist(), right.tolist(), strict=True))
    paired = [kind for kind in found if kind != SYNTHETIC]
    if len(paired) < 2 or not {REAL, REFERENCE} & set(paired):
        raise InputError(
            f"{label}: records of {', '.join(found)} crystals only; give that of crystals as they are or with nothing "
            "drawn anew, and some of the same with coordinates, lattice or both (`crystals generate --randomise`)"
        )
    common = set.intersection(*(set(found[kind]) for kind in paired))
    if len(common) < 2:
        raise InputError(f"{label}: {len(common)} crystals are in all of its records; draw anew those that were tested")
    kept = {kind: {name: found[kind][name] for name in sorted(common)} for kind in paired}
    return {kind: kept.get(kind, found[kind]) for kind in ORDER if kind in found}


def _rows(label: str, tested: dict[str, Accuracy], seed: int) -> list[dict[str, Any]]:
    right = {what: np.array(list(one.values())) for what, one in tested.items()}
    before = REFERENCE if REFERENCE in right else REAL
    base = right[before]
    rows = []
    for what, values in right.items():
        mean, error = float(values.mean()), _standard_error(values)
        if what == SYNTHETIC:
            more, more_error = float(values.mean() - base.mean()), float(np.hypot(error, _standard_error(base)))
        else:
            more, more_error = gain(base, values)
        found = None
        if SYNTHETIC in right and what in ("lattice", "coordinates", "both"):
            found = shares_of_gap(base, values, right[SYNTHETIC], seed)
        part, low, high = found or (None, None, None)
        rows.append(
            {
                "network": label,
                "drawn_anew": what,
                "crystals": len(values),
                "accuracy": mean,
                "standard_error": error,
                "compared_with": before,
                "gain": more,
                "gain_standard_error": more_error,
                "share_of_gap": part,
                "share_from": low,
                "share_to": high,
            }
        )
    return rows


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _said(label: str, rows: list[dict[str, Any]]) -> list[str]:
    notes = []
    for row in rows:
        name = NAMES[row["drawn_anew"]].replace("\n", " ")
        if row["drawn_anew"] == row["compared_with"]:
            notes.append(f"{label}, {name}: {row['accuracy']:.1%} of {row['crystals']:,} crystals.")
            continue
        text = f"{label}, {name}: {row['accuracy']:.1%}, {100 * row['gain']:+.2f} ± "
        text += f"{100 * row['gain_standard_error']:.2f} points"
        if row["share_of_gap"] is not None:
            text += f", {row['share_of_gap']:.0%} of the gap to synthetic crystals "
            text += f"({row['share_from']:.0%} to {row['share_to']:.0%})"
        notes.append(f"{text}.")
    return notes


def _figure(rows: list[dict[str, Any]]) -> Figure:
    figure, ((axes,),) = canvas(8.5, 4.6)
    kinds = [kind for kind in ORDER if any(row["drawn_anew"] == kind for row in rows)]
    networks = grouped(rows, lambda row: str(row["network"]))
    for i, ((network, mine), stroke) in enumerate(zip(networks.items(), strokes(len(networks)), strict=True)):
        x = np.array([kinds.index(row["drawn_anew"]) for row in mine]) + 0.12 * (i - (len(networks) - 1) / 2)
        y, error = (100 * np.array([row[field] for row in mine]) for field in ("accuracy", "standard_error"))
        axes.errorbar(
            x, y, error, label=network, linewidth=0.8, capsize=3, **{**stroke, "linestyle": "none", "markersize": 6}
        )
        for at, row in zip(x, mine, strict=True):
            if row["drawn_anew"] != row["compared_with"]:
                axes.annotate(
                    f"{100 * row['gain']:+.1f}",
                    (at, 100 * row["accuracy"]),
                    xytext=(7, 5),
                    textcoords="offset points",
                    fontsize=8,
                    color=stroke["color"],
                )
    axes.set_xticks(range(len(kinds)), [NAMES[kind] for kind in kinds])
    axes.set_xlim(-0.4, len(kinds) - 0.5 + 0.1)
    axes.set_ylabel("space groups that are right (%)")
    tidy(axes)
    if len(networks) > 1:
        beside(axes)
    else:
        name_panel(axes, network, 10)
    return figure
