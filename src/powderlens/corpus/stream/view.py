"""`View`: patterns as many instruments measure them, put on one grid of spacings.

Half of the patterns are those of the protocol on the protocol's grid. The others are measured with another tube or with
one wavelength of 10 to 40 keV, over another range, in other steps, with other widths of lines. All are then treated as
a measured pattern that is asked about: `pattern.prepare.onto_spacings` and `above_local_floor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.constants import ANODES, HC_KEV_A, K_BETA_A
from powderlens.core.elementary import arcsin, exp, log, sin
from powderlens.corpus.stream.stream import StreamPurpose
from powderlens.diffraction.conditions import BELOW_ZERO
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid
from powderlens.pattern.prepare import above_local_floor, onto_spacings
from powderlens.pattern.spacing import COPPER_A, SpacingGrid

TUBES: tuple[tuple[str, float], ...] = (
    ("Cu", 0.22),
    ("Co", 0.15),
    ("Mo", 0.15),
    ("Ag", 0.08),
    ("Fe", 0.07),
    ("Cr", 0.07),
    ("", 0.26),
)
"""Shares of other instruments; the last is a single wavelength, as of a synchrotron."""
ENERGIES_KEV = (10.0, 40.0)
MONOCHROMATED = 0.2
"""Share of tubes of which only K-alpha-1 is left."""
LAST_DEG = 150.0
LARGEST_STRAIN = 0.09
SHEAR = 0.5
"""Spread of the shear components of a loosened cell, relative to that of the others."""


@dataclass(frozen=True, kw_only=True)
class View:
    """How the patterns of a stream are measured.

    Attributes:
        grid: of spacings, on which they are read.
        home: grid on which those of the protocol's own instrument are drawn.
        instruments: share of patterns of other instruments.
        loosened: share of patterns of a crystal with another cell and other strengths of its lines.
        strain: the spread of the strain of those is drawn evenly between these.
        jitter: spread of the logarithm of the strengths of families of those.
    """

    grid: SpacingGrid
    home: Grid
    instruments: float = 0.5
    loosened: float = 0.5
    strain: tuple[float, float] = (0.02, 0.04)
    jitter: float = 0.5

    def identity(self) -> dict[str, Any]:
        """What decides the patterns, as JSON knows it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def loosen(self, records: NDArray[np.void], seed: int, index: NDArray[np.int64]) -> None:
        """Strain the cells and jitter the families of a share of the patterns, in place.

        Args:
            records: (n,) conditions.
            seed: of the stream.
            index: (n,) numbers of the patterns.
        """
        u = random.uniform(seed, index, StreamPurpose.LOOSENED, 2)
        loose = np.flatnonzero(u[:, 0] < self.loosened)
        if not len(loose):
            return
        z = random.normal(seed, index[loose], StreamPurpose.LOOSENED_STRAIN, 6)
        low, high = self.strain
        spread = (low + (high - low) * u[loose, 1])[:, None] * np.array([1, 1, 1, SHEAR, SHEAR, SHEAR])
        strain = np.clip(records["strain"][loose] + spread * z, -LARGEST_STRAIN, LARGEST_STRAIN)
        records["strain"][loose] = strain
        records["intensity_jitter"][loose] = np.sqrt(records["intensity_jitter"][loose] ** 2 + self.jitter**2)

    def measure(
        self,
        phases: Sequence[Phase],
        records: NDArray[np.void],
        seed: int,
        index: NDArray[np.int64],
        seconds: Sequence[Phase | None],
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
        """Draw patterns, each on its instrument, and read them on the grid.

        Args:
            phases: n crystals.
            records: (n,) conditions; those of other instruments are changed in place.
            seed: of the stream.
            index: (n,) numbers of the patterns.
            seconds: n second phases, or None in their place.

        Returns:
            (n, points) intensities above their floor, the strongest 1, and 0 where no line is on the instrument's
            range; (n, 2) first point measured and the one after the last; (n,) wavelengths, A.
        """
        n = len(phases)
        out, ends, wavelength_A = np.zeros((n, self.grid.points)), np.zeros((n, 2), np.int32), np.zeros(n)
        u = random.uniform(seed, index, StreamPurpose.INSTRUMENT, 16)
        other = u[:, 0] < self.instruments
        changed = records[other]
        grids = [other_instrument(record, row, self.grid) for record, row in zip(changed, u[other], strict=True)]
        records[other] = changed
        at_home = np.flatnonzero(~other)
        drawn: list[tuple[int, Grid, NDArray[np.float64]]] = []
        if len(at_home):
            some = [phases[i] for i in at_home.tolist()], records[at_home], self.home
            second = [seconds[i] for i in at_home.tolist()]
            patterns = render(*some, seed=seed, index=index[at_home], impurities=second)
            drawn += [(int(i), self.home, y) for i, y in zip(at_home, patterns, strict=True)]
        for i, grid in zip(np.flatnonzero(other).tolist(), grids, strict=True):
            y = render([phases[i]], records[[i]], grid, seed=seed, index=index[[i]], impurities=[seconds[i]])[0]
            drawn.append((i, grid, y))
        for i, grid, y in drawn:
            wavelength_A[i] = grid.wavelength_A
            if not y.max() > 0:
                continue
            x = grid.two_theta_deg
            seen = (x >= records["first_deg"][i] - 1e-6) & (x <= records["last_deg"][i] + 1e-6)
            y, mask = onto_spacings(x[seen], y[seen], grid.wavelength_A, self.grid)
            if mask.any():
                out[i] = above_local_floor(y, mask, self.grid)
                ends[i] = np.flatnonzero(mask)[[0, -1]] + [0, 1]
        return out, ends, wavelength_A


def other_instrument(record: Any, u: NDArray[np.float64], grid: SpacingGrid) -> Grid:
    """Make the conditions of a pattern those of another instrument, in place.

    Args:
        record: of `conditions.RECORD`, with what the protocol drew.
        u: (16,) even random numbers; the first is spent.
        grid: of spacings; nothing is measured beyond it.

    Returns:
        Where the instrument measures: its range, its step, and the wavelength that its patterns are said to have.
    """
    ends = np.cumsum([share for _, share in TUBES])
    name = TUBES[min(int(np.searchsorted(ends, u[1] * ends[-1], side="right")), len(TUBES) - 1)][0]
    if name:
        lines = ANODES[name]
        single = u[2] < MONOCHROMATED
        wavelength_A = lines.ka1_A if single else lines.mean_A
        record["ka1_A"], record["ka2_A"], record["kbeta_A"] = lines.ka1_A, lines.ka2_A, K_BETA_A[name]
        narrow = _between(0.7, 2.0, u[3])
    else:
        low, high = ENERGIES_KEV
        wavelength_A, single, narrow = HC_KEV_A / _between(low, high, u[2]), True, _between(0.15, 0.7, u[3])
        record["ka1_A"] = record["ka2_A"] = record["kbeta_A"] = wavelength_A
        record["polarised_share"] = 0.8 + 0.2 * u[4]
    if single:
        record["ka2_ratio"] = 0.0
    if single or u[5] < 0.5:
        record["kbeta_ratio"] = 0.0
    for width in ("caglioti_u_deg2", "caglioti_v_deg2", "caglioti_w_deg2"):
        record[width] *= narrow**2
    for width in ("lorentz_x_deg", "lorentz_y_deg"):
        record[width] *= narrow
    if u[6] < 0.3:
        record["crystallite_size_nm"] = _between(20.0, 500.0, u[7])
    scale = wavelength_A / COPPER_A
    record["zero_shift_deg"] = min(scale, 1.0) * 0.06 * (2 * u[8] - 1)
    record["sample_over_l"] *= min(narrow, 1.0)
    record["detector_over_l"] *= min(narrow, 1.0)
    if u[9] < 0.5:
        record["below_zero"] = BELOW_ZERO.index("keep")
    reach = min(wavelength_A / (2 * grid.d_min_A), float(sin(np.radians(LAST_DEG / 2))))
    if u[10] < 0.5:
        reach *= 0.55 + 0.45 * u[11]
    last = 2 * float(np.degrees(arcsin(np.array([reach]))[0]))
    first = min(max(scale * (3.0 + 15.0 * u[12]), 1.0), 0.4 * last)
    step = _between(0.01, 0.04, u[13]) * min(1.0, 2.0 * narrow) * min(1.0, 2.0 * scale)
    return Grid(start_deg=first, step_deg=step, points=int((last - first) / step) + 1, wavelength_A=float(wavelength_A))


def _between(low: float, high: float, u: float) -> float:
    """Evenly in the logarithm."""
    return float(low * exp(float(u) * log(high / low)))
