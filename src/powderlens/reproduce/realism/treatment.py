"""Measured and simulated patterns brought to the same form, so that nothing but their making tells them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.diffraction.protocol import Protocol
from powderlens.pattern.formats.rruff_set import STEP_DEG, WAVELENGTH_A
from powderlens.pattern.grid import Grid, convert_two_theta
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import above_floor

Floats = NDArray[np.float64]

TREATMENT = (
    "Measured values are whole thousandths of the maximum, cut off: they are spread evenly over their thousandth. "
    "RRUFF's processing leaves absolute values, so what is negative in a simulated pattern loses its sign; it is then "
    "cut off and spread as the measured ones. Where a protocol's point is the mean of two scanned ones, as in lab, the "
    "scanned ones are drawn, and this is done to each of them; where a protocol's point stands for several measured "
    "ones, it gets the scatter that they would have. Both sides are averaged over whole points to the coarser of the "
    "two steps, kept where both have a range, and divided by their maximum. Nothing is interpolated: measured angles "
    "are converted to the protocol's wavelength. The range is not drawn, as the measured scans are whole."
)
"""What is done to the patterns before they are described."""


@dataclass(frozen=True, eq=False)
class Treated:
    """A pattern ready to be described: (n,) angles at the protocol's wavelength, (n,) intensities, strongest 1."""

    two_theta_deg: Floats
    intensity: Floats


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


def scanned_grid(protocol: Protocol, raw_points: int) -> Grid:
    """Axis of the scanned points whose means are the protocol's points."""
    grid = protocol.grid
    step = grid.step_deg / raw_points
    start = grid.start_deg - step * (raw_points - 1) / 2
    return Grid(start_deg=start, step_deg=step, points=raw_points * grid.points, wavelength_A=grid.wavelength_A)


def quantum(intensity: Floats) -> float:
    """Step of the stored values as a share of the maximum: that of whole numbers, or 0."""
    return 1 / float(intensity.max()) if np.array_equal(intensity, np.floor(intensity)) else 0.0


def measured_scan(pattern: Pattern, protocol: Protocol, rng: np.random.Generator) -> Treated:
    """A pattern of the measured set on a protocol's axis; see `TREATMENT`."""
    assert pattern.wavelength_A is not None
    intensity = pattern.intensity
    y = intensity / intensity.max() + quantum(intensity) * rng.random(len(intensity))
    angle, y = averaged(pattern.two_theta_deg, y, measured_points(protocol))
    angle = convert_two_theta(angle, pattern.wavelength_A, protocol.grid.wavelength_A)
    inside = (angle >= protocol.grid.start_deg) & (angle <= protocol.grid.end_deg)
    return Treated(angle[inside], y[inside] / y[inside].max())


def stored(intensity: Floats, step: float, rng: np.random.Generator) -> Floats:
    """Values cut off to whole steps, as the set holds them, and spread evenly over their step again."""
    if step == 0:
        return intensity
    return step * (np.floor(intensity / step) + rng.random(intensity.shape))


def simulated_scan(
    intensity: Floats, protocol: Protocol, like: Treated, loss: float, rng: np.random.Generator
) -> Treated:
    """A simulated pattern, treated as a measured one; see `TREATMENT`.

    Args:
        intensity: on the protocol's grid, or on its `scanned_grid` of two points to each.
        protocol: that drew it.
        like: the measured scan whose range is kept.
        loss: `quantum` of the measured pattern.
        rng: for the scatter of what is cut off.
    """
    raw, held = len(intensity) // protocol.grid.points, measured_points(protocol)
    grid = scanned_grid(protocol, raw)
    x, y = averaged(grid.two_theta_deg, intensity / intensity.max(), simulated_points(protocol))
    y = np.abs(y)
    if raw == held:
        x, y = averaged(x, stored(y, loss, rng), raw)
    else:
        x, y = averaged(x, y, raw)
        y = np.abs(y + loss * (rng.random((held, len(y))) - rng.random((held, len(y)))).mean(axis=0))
    inside = (x >= like.two_theta_deg[0]) & (x <= like.two_theta_deg[-1])
    return Treated(x[inside], y[inside] / y[inside].max())


def averaged(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """Means over blocks of so many points; an incomplete one at the end is left out."""
    n = len(x) // points * points
    return x[:n].reshape(-1, points).mean(axis=1), y[:n].reshape(-1, points).mean(axis=1)


def without_floor(scan: Treated) -> Treated:
    """The local 30th percentile subtracted and cut at zero, as before the network (`pattern.prepare`)."""
    return Treated(scan.two_theta_deg, above_floor(scan.intensity, np.ones(len(scan.intensity), bool)))
