"""`Scan`: what a file holds, before it is checked and becomes a `Pattern`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Columns and header of one file, in the file's own order.

    Attributes:
        two_theta_deg: (n,) angles, degrees, as written.
        intensity: (n,) intensities, as written.
        sigma: (n,) standard uncertainties, or None.
        wavelength_A: what the file states, A (the mean of a doublet), or None.
        metadata: the header's words.
    """

    two_theta_deg: NDArray[np.float64]
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64] | None = None
    wavelength_A: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
