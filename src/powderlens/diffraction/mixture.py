"""Patterns of any number of phases, or of none: the lines of each alone, their sum, then background and counting once.

`render` draws one phase with a trace of another whose share is that of its strongest line. Here areas of all phases are
on one scale, so that weights decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.random import check_seed
from powderlens.diffraction.axial import moments
from powderlens.diffraction.conditions import RECORD
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.render_numba import (
    COUNTING,
    MAIN,
    OFFSETS,
    Address,
    Axis,
    Planes,
    add_background,
    clean,
    counted,
    measured_points,
    prepared,
    scale,
)
from powderlens.diffraction.render_numpy import FADE
from powderlens.pattern.grid import Grid

Floats = NDArray[np.float64]


def scale_of_weight(weight: float, mass_u: float, volume_A3: float) -> float:
    """By what the lines of a phase in a mixture are multiplied, up to a constant of the whole mixture.

    W is proportional to S Z M V, where the intensity is S multiplicity |F|^2 LP, |F|^2 of the whole cell, and Z M is
    the mass of that cell. Source: Hill and Howard, J. Appl. Cryst. 20, 467 (1987). Without microabsorption.

    Args:
        weight: W, share of the weight.
        mass_u: of all atoms of the cell, u.
        volume_A3: of the same cell.
    """
    return weight / (mass_u * volume_A3)


def lines_alone(
    phases: Sequence[Phase], records: NDArray[np.void], grid: Grid, *, seed: int, index: NDArray[np.int64]
) -> Floats:
    """The lines of each phase under its own record: no background, no counting, areas multiplicity |F|^2 LP.

    Args:
        phases: b crystals.
        records: (b,) conditions. Phases of one specimen agree in source, geometry and the instrument's profile.
        grid: where to draw.
        seed: of all random numbers.
        index: (b,) the number under the seed that each phase's jitter and offsets are drawn by.

    Returns:
        (b, points) on one scale; zero for a phase without a line in the measured range.

    Raises:
        InputError: numbers of phases, records and indices that differ, or offsets of a phase without atoms.
    """
    check_seed(seed)
    if records.dtype != RECORD or not len(phases) == len(records) == len(index):
        raise InputError(f"{len(phases)} phases, {len(records)} records and {len(index)} indices: one of each")
    out = np.zeros((len(phases), grid.points))
    second, fourth = moments(np.asarray(records["sample_over_l"]), np.asarray(records["detector_over_l"]))
    for at, (phase, axis) in enumerate(zip(phases, _axes(records, grid), strict=True)):
        if records["thermal_offset_A"][at] > 0 and phase.atoms is None:
            raise InputError(f"{phase.name or 'phase'}: thermal offsets need its atoms; prepare it with offsets=True")
        number = int(index[at])
        strength, u_total_A2 = prepared(phase, records[at], seed, number, OFFSETS)
        planes = Planes(phase.lattice, phase.rotations, phase.hkl, strength, u_total_A2, *MAIN)
        address = Address(seed, number, *COUNTING)
        clean(out[at], axis, records, at, planes, address, FADE, (float(second[at]), float(fourth[at])))
    return out


def as_measured(
    curves: Floats, records: NDArray[np.void], grid: Grid, *, seed: int, index: NDArray[np.int64]
) -> Floats:
    """Curves with the background and the counting of their records.

    Args:
        curves: (b, points) lines, or whatever else stands over the background, any scale; zeros for a scan of nothing.
        records: (b,) conditions; of them background and counting count.
        grid: of the curves.
        seed: of all random numbers.
        index: (b,) number of each pattern under the seed.

    Returns:
        (b, points); the strongest point of each curve was made 1 before background and noise were added, and what was
        not measured is zero.
    """
    check_seed(seed)
    out = np.array(curves, np.float64)
    for at, axis in enumerate(_axes(records, grid)):
        if axis.first < axis.last:
            scale(out[at], axis.first, axis.last)
            add_background(out[at], axis, records, at)
            counted(out[at], axis, records, at, Address(seed, int(index[at]), *COUNTING))
    return out


def _axes(records: NDArray[np.void], grid: Grid) -> list[Axis]:
    ramp = np.arange(grid.points, dtype=np.float32)  # exact: whole numbers below 2^24
    lo, hi = measured_points(records, grid)
    ends = zip(lo.tolist(), hi.tolist(), strict=True)
    return [Axis(ramp, float(grid.start_deg), float(grid.step_deg), first, last) for first, last in ends]
