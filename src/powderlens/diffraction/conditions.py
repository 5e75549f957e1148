"""`Conditions`: everything about specimen and instrument that shapes one pattern, and how training draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Specimen, instrument and counting of one pattern. The defaults are a sharp, clean laboratory scan.

    Attributes:
        ka1_A, ka2_A: the two lines, A; equal for a single line.
        ka2_ratio: intensity of the second line relative to the first; 0 for a single line.
        zero_shift_deg: added to every 2theta.
        displacement_deg: sample height error, as -x cos(theta) on 2theta (x = 2 s / R in degrees).
        caglioti_u_deg2, caglioti_v_deg2, caglioti_w_deg2: Gaussian instrument width.
        crystallite_size_nm: Lorentzian size broadening (Scherrer, K = 0.9).
        microstrain: Lorentzian strain broadening, 4 epsilon tan(theta).
        u_overall_A2: isotropic mean-square displacement of every atom, in addition to the structure's own.
        texture_axis: hkl of the March-Dollase axis.
        march_r: March parameter; 1 is no texture.
        intensity_jitter: sigma of the lognormal scatter of single families (graininess).
        strain: six components xx, yy, zz, yz, xz, xy of a small strain; projected on the crystal's symmetry.
        slit_tilt: log of the intensity's linear trend over the grid (divergence slits, absorption).
        noise_sigma: standard deviation of the noise far from peaks, in units of the strongest point.
        background_share: flat background under the counts, in the same unit; sets how noise grows on peaks.
        pedestal: what remains of the background, in units of noise_sigma; then cut at zero as RRUFF does.
        humps: up to three broad residues as (centre_deg, fwhm_deg, height in units of the strongest point).
        range_deg: first and last measured 2theta on the grid.
    """

    ka1_A: float = ANODES["Cu"].ka1_A
    ka2_A: float = ANODES["Cu"].ka2_A
    ka2_ratio: float = 0.5
    zero_shift_deg: float = 0.0
    displacement_deg: float = 0.0
    caglioti_u_deg2: float = 0.0
    caglioti_v_deg2: float = 0.0
    caglioti_w_deg2: float = 0.0049
    crystallite_size_nm: float = 200.0
    microstrain: float = 0.0
    u_overall_A2: float = 0.0
    texture_axis: tuple[int, int, int] = (0, 0, 1)
    march_r: float = 1.0
    intensity_jitter: float = 0.0
    strain: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    slit_tilt: float = 0.0
    noise_sigma: float = 0.0
    background_share: float = 0.0
    pedestal: float = 0.0
    humps: tuple[tuple[float, float, float], ...] = ()
    range_deg: tuple[float, float] = (0.0, 180.0)

    def __post_init__(self) -> None:
        for name in ("ka1_A", "ka2_A", "crystallite_size_nm", "march_r"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)}: must be positive")
        for name in ("microstrain", "noise_sigma", "intensity_jitter", "ka2_ratio", "background_share"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} = {getattr(self, name)}: must not be negative")
        if self.texture_axis == (0, 0, 0):
            raise InputError("texture_axis 0 0 0 is no direction; give an hkl such as 0 0 1")


def draw_conditions(rng: np.random.Generator, *, dft_cell: bool = False) -> Conditions:
    """Conditions of one training pattern of the first network.

    The ranges of width, noise and pedestal enclose what the development minerals of RRUFF show
    (docs/notes/first-light.md); the rest is chosen wide.

    Args:
        rng: the only source of randomness.
        dft_cell: the structure was relaxed by DFT (PBE): its cell is some 1 % too large on average and scattered.
    """
    u = rng.random(24)
    g = rng.standard_normal(20)
    single = u[0] < 0.12
    copper = ANODES["Cu"]
    instrument = 0.03 + 0.07 * u[1]
    size = float(np.exp(np.log(25.0) + u[2] ** 0.6 * np.log(40.0))) if u[3] < 0.8 else 1500.0
    microstrain = float(np.exp(np.log(1e-4) + u[4] * np.log(30.0))) if u[5] < 0.6 else 0.0
    textured = u[6] < 0.6
    spread = 0.0015 if u[7] < 0.6 else 0.005
    shear = spread * g[3:6] * 0.5
    scale = -0.008 + 0.010 * g[6] if dft_cell else 0.0
    noise = float(np.clip(np.exp(np.log(0.0055) + 1.0 * g[7]), 2e-4, 0.06)) if u[8] < 0.93 else 0.0
    humps: list[tuple[float, float, float]] = []
    if u[9] < 0.35:
        for i in range(1 + int(3 * u[10])):
            humps.append((5.0 + 60.0 * float(u[11 + i]), 4.0 + 14.0 * float(u[14 + i]), 0.04 * float(u[17 + i]) ** 2))
    full = u[20] < 0.65
    axis = (0, 0, 0)
    while axis == (0, 0, 0):
        axis = tuple(int(v) for v in rng.integers(-1, 2, 3))  # type: ignore[assignment]
    return Conditions(
        ka1_A=copper.mean_A if single else copper.ka1_A,
        ka2_A=copper.mean_A if single else copper.ka2_A,
        ka2_ratio=0.0 if single else 0.46 + 0.08 * u[21],
        zero_shift_deg=float(np.clip(0.02 * g[8], -0.08, 0.08)),
        displacement_deg=float(np.clip(0.04 * g[9], -0.15, 0.15)),
        caglioti_w_deg2=float(instrument**2),
        caglioti_u_deg2=float((0.10 * u[22]) ** 2),
        crystallite_size_nm=size,
        microstrain=microstrain,
        u_overall_A2=float(0.02 * u[23] ** 2),
        texture_axis=axis,
        march_r=float(np.exp(-abs(0.35 * g[10]) if g[11] > -0.6 else abs(0.3 * g[10]))) if textured else 1.0,
        intensity_jitter=float(abs(0.22 * g[12])),
        strain=(
            float(scale + spread * g[0]),
            float(scale + spread * g[1]),
            float(scale + spread * g[2]),
            float(shear[0]),
            float(shear[1]),
            float(shear[2]),
        ),
        slit_tilt=float(0.4 * g[13]),
        noise_sigma=noise,
        background_share=float(np.exp(np.log(0.08) + 0.8 * g[14])),
        pedestal=float(np.clip(1.8 + 0.8 * g[15], -0.5, 4.0)),
        humps=tuple(humps),
        range_deg=(5.0, 90.0) if full else (5.0 + 15.0 * float(u[18]) ** 1.5, 90.0 - 40.0 * float(u[19])),
    )
