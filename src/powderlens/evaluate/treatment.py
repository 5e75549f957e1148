"""Measured and simulated patterns brought to the same form, so that nothing but their making tells them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.diffraction.protocol import Protocol
from powderlens.pattern.grid import convert_two_theta
from powderlens.pattern.prepare import residual_floor

Floats = NDArray[np.float64]

FIRST_DEG, STEP_DEG, WAVELENGTH_A = 5.0, 0.01, 1.541838
"""Axis of the measured set (its README)."""
TREATMENT = (
    "Measured values are whole thousandths of the maximum, cut off: they are spread evenly over their thousandth, "
    "and simulated ones get the scatter of the same loss. RRUFF's processing leaves absolute values, so what is "
    "negative in a simulated pattern loses its sign. Both are averaged over whole points to the coarser of the two "
    "steps, kept where both have a range, and divided by their maximum. Nothing is interpolated: measured angles are "
    "converted to the protocol's wavelength. The range is not drawn, as the measured scans are whole."
)
"""What is done to the patterns before they are described."""


@dataclass(frozen=True, eq=False)
class Scan:
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


def quantum(intensity: Floats) -> float:
    """Step of the stored values as a share of the maximum: that of whole numbers, or 0."""
    return 1 / float(intensity.max()) if np.array_equal(intensity, np.floor(intensity)) else 0.0


def measured_scan(intensity: Floats, protocol: Protocol, rng: np.random.Generator) -> Scan:
    """A measured pattern on a protocol's axis; see `TREATMENT`."""
    angle = np.asarray(FIRST_DEG + STEP_DEG * np.arange(len(intensity)), dtype=np.float64)
    y = intensity / intensity.max() + quantum(intensity) * rng.random(len(intensity))
    angle, y = averaged(angle, y, measured_points(protocol))
    angle = convert_two_theta(angle, WAVELENGTH_A, protocol.grid.wavelength_A)
    inside = (angle >= protocol.grid.start_deg) & (angle <= protocol.grid.end_deg)
    return Scan(angle[inside], y[inside] / y[inside].max())


def simulated_scan(intensity: Floats, protocol: Protocol, like: Scan, loss: float, rng: np.random.Generator) -> Scan:
    """A simulated pattern, treated as a measured one; see `TREATMENT`.

    Args:
        intensity: on the protocol's grid.
        protocol: that drew it.
        like: the measured scan whose range is kept.
        loss: `quantum` of the measured pattern.
        rng: for the scatter of what is cut off.
    """
    x, y = averaged(protocol.grid.two_theta_deg, intensity / intensity.max(), simulated_points(protocol))
    raw = measured_points(protocol)
    y = np.abs(y + loss * (rng.random((raw, len(y))) - rng.random((raw, len(y)))).mean(axis=0))
    inside = (x >= like.two_theta_deg[0]) & (x <= like.two_theta_deg[-1])
    return Scan(x[inside], y[inside] / y[inside].max())


def averaged(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """Means over blocks of so many points; an incomplete one at the end is left out."""
    n = len(x) // points * points
    return x[:n].reshape(-1, points).mean(axis=1), y[:n].reshape(-1, points).mean(axis=1)


def without_floor(scan: Scan) -> Scan:
    """The local 30th percentile subtracted and cut at zero, as before the network (`pattern.prepare`)."""
    y = np.maximum(scan.intensity - residual_floor(scan.intensity), 0)
    return Scan(scan.two_theta_deg, y / y.max())
