"""Lines of a profile: where they stand, how high and how wide they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Peaks:
    """Lines in ascending order.

    Attributes:
        two_theta_deg: (n,) of the highest points, by a parabola.
        height: (n,) above what is around.
        fwhm_deg: (n,) full widths at half of that height.
    """

    two_theta_deg: Floats
    height: Floats
    fwhm_deg: Floats

    def __len__(self) -> int:
        return len(self.two_theta_deg)

    def take(self, at: NDArray[np.bool_] | NDArray[np.int64]) -> Peaks:
        """Some of them."""
        return Peaks(self.two_theta_deg[at], self.height[at], self.fwhm_deg[at])


def find_lines(two_theta_deg: Floats, intensity: Floats, least_height: float | Floats) -> Peaks:
    """Lines that stand out by at least a height, by prominence (scipy.signal).

    Args:
        two_theta_deg: (n,) in equal steps.
        intensity: (n,) without background, any scale.
        least_height: above what is around, in units of the intensity; one number, or (n,) for each point.

    Returns:
        The lines; a doublet that is resolved is two.
    """
    from scipy.signal import find_peaks, peak_widths

    at, found = find_peaks(intensity, prominence=least_height)
    if not len(at):
        none = np.zeros(0)
        return Peaks(none, none, none)
    step = float(two_theta_deg[1] - two_theta_deg[0])
    prominence = found["prominences"]
    width = peak_widths(intensity, at, 0.5, (prominence, found["left_bases"], found["right_bases"]))[0]
    left, middle, right = intensity[at - 1], intensity[at], intensity[at + 1]
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    return Peaks(two_theta_deg[at] + step * np.clip(shift, -0.5, 0.5), prominence, width * step)
