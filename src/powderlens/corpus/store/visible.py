"""Which patterns show a line for certain, told from the conditions without drawing them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import arcsin, sin
from powderlens.pattern.grid import Grid

ENOUGH = 2
"""Strong lines that must stay in range: preferred orientation can hide one."""


def shows_line(marks_deg: NDArray[np.float64], records: NDArray[np.void], grid: Grid) -> NDArray[np.bool_]:
    """Whether at least `ENOUGH` of a crystal's marked lines stay in the measured range, by an estimate that is never
    too good.

    Strain moves 1/d by no more than the largest axial plus all shear components; zero shift, displacement and
    transparency move a line by no more than their sum.

    Args:
        marks_deg: (b, k) 2theta of strong lines of the crystal at rest, at the wavelength of the grid; NaN for none.
        records: (b, c) conditions, c for each crystal.
        grid: where patterns are drawn.

    Returns:
        (b, c); False means that it is not certain.
    """
    strain = np.abs(records["strain"])
    slack = np.minimum(strain[..., :3].max(axis=-1) + strain[..., 3:].sum(axis=-1), 0.9)
    radius = records["radius_mm"]
    bend = 2 * np.abs(records["displacement_mm"]) / radius + np.abs(records["transparency_mm"]) / radius
    shift = np.abs(records["zero_shift_deg"]) + np.degrees(bend) + grid.step_deg
    sine = sin(np.radians(marks_deg / 2))[:, None, :] * (records["ka1_A"] / grid.wavelength_A)[..., None]
    with np.errstate(invalid="ignore"):
        lowest = np.degrees(2 * arcsin(sine * (1 - slack[..., None]))) - shift[..., None]
        highest = np.degrees(2 * arcsin(sine / (1 - slack[..., None]))) + shift[..., None]
        first = np.maximum(records["first_deg"], grid.start_deg)[..., None]
        last = np.minimum(records["last_deg"], grid.end_deg)[..., None]
        inside = (lowest >= first) & (highest <= last)
    return np.asarray(inside.sum(axis=-1) >= ENOUGH)
