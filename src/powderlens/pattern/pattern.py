"""`Pattern`: intensity against 2theta, with its wavelength and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import PatternError, WavelengthError
from powderlens.pattern.wavelength import Radiation

MIN_POINTS = 50
MAX_TWO_THETA_DEG = 180.0


@dataclass(frozen=True, eq=False)
class Pattern:
    """One powder pattern.

    Attributes:
        two_theta_deg: (n,) strictly ascending angles, degrees, 0 to 180.
        intensity: (n,) intensities, any scale; finite; may dip below zero after background subtraction.
        wavelength_A: wavelength in angstrom, the 2 : 1 mean for an unresolved doublet; None when not known.
        sigma: (n,) standard uncertainties of the intensities, not negative, or None.
        source: file name or a few words.
        metadata: what the file's header said. Of it only `probe` touches an answer: neutrons are warned of.
        mask: (n,) True where measured, False for points that are excluded; None is everywhere.
        radiation: the lines behind `wavelength_A`, where the user named them, such as CuKa; else None. It is dropped
            where `wavelength_A` is changed.
    """

    two_theta_deg: NDArray[np.float64]
    intensity: NDArray[np.float64]
    wavelength_A: float | None = None
    sigma: NDArray[np.float64] | None = None
    source: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    mask: NDArray[np.bool_] | None = None
    radiation: Radiation | None = None

    def __post_init__(self) -> None:
        who = self.source or "pattern"
        if self.radiation is not None and not self.radiation.is_of(self.wavelength_A):
            object.__setattr__(self, "radiation", None)
        try:
            for name in ("two_theta_deg", "intensity", "sigma"):
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        except (TypeError, ValueError):
            raise PatternError(f"{who}: angles, intensities and uncertainties must be numbers") from None
        x, y, sigma = self.two_theta_deg, self.intensity, self.sigma
        if x.ndim != 1 or x.shape != y.shape:
            raise PatternError(f"{who}: {x.shape} angles but {y.shape} intensities")
        if len(x) < MIN_POINTS:
            raise PatternError(f"{who}: {len(x)} points; at least {MIN_POINTS} are needed")
        bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
        if len(bad):
            raise PatternError(
                f"{who}: point {bad[0] + 1} is not a number ({x[bad[0]]}, {y[bad[0]]}); remove it and try again"
            )
        if x[0] < 0:
            raise PatternError(f"{who}: angle {x[0]:g} degrees is negative; 2theta runs from 0 to 180")
        if x.max() > MAX_TWO_THETA_DEG:
            raise PatternError(
                f"{who}: first column reaches {x.max():g}; 2theta in degrees runs from 0 to 180. Is it an angle?"
            )
        back = np.flatnonzero(np.diff(x) <= 0)
        if len(back):
            i = back[0]
            raise PatternError(
                f"{who}: 2theta does not ascend at point {i + 2} ({x[i]:g} then {x[i + 1]:g}); sort the scan"
            )
        if sigma is not None and (sigma.shape != y.shape or not np.isfinite(sigma).all() or (sigma < 0).any()):
            raise PatternError(f"{who}: each of {len(x)} points needs one finite uncertainty that is not negative")
        if self.mask is not None:
            object.__setattr__(self, "mask", np.asarray(self.mask, dtype=bool))
            if self.mask.shape != x.shape or self.mask.sum() < MIN_POINTS:
                raise PatternError(
                    f"{who}: a mask of shape {self.mask.shape} that leaves {int(self.mask.sum())} of {len(x)} points; "
                    f"give one value for each point and leave at least {MIN_POINTS}"
                )
        if self.wavelength_A is not None and not (np.isfinite(self.wavelength_A) and self.wavelength_A > 0):
            raise WavelengthError(f"{who}: wavelength {self.wavelength_A:g} A must be positive; give it in angstrom")
        if np.ptp(y if self.mask is None else y[self.mask]) == 0:
            raise PatternError(f"{who}: every intensity is {y[0]:g}; a constant scan holds no reflection")

    def measured_only(self) -> Pattern:
        """The pattern without its masked points."""
        keep = self.mask
        if keep is None:
            return self
        sigma = None if self.sigma is None else self.sigma[keep]
        return replace(
            self, two_theta_deg=self.two_theta_deg[keep], intensity=self.intensity[keep], sigma=sigma, mask=None
        )
