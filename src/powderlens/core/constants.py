"""Physical constants, each with its source."""

from typing import NamedTuple

HC_KEV_A = 12.398419843320026
"""Planck constant times speed of light, keV A. Source: SI 2019 exact values (CODATA 2018)."""


class KAlpha(NamedTuple):
    """The K-alpha doublet of an anode, in angstrom."""

    ka1_A: float
    ka2_A: float

    @property
    def mean_A(self) -> float:
        """Mean weighted 2 : 1, the convention for the unresolved doublet."""
        return (2.0 * self.ka1_A + self.ka2_A) / 3.0


ANODES: dict[str, KAlpha] = {
    "Cr": KAlpha(2.2897260, 2.2936510),
    "Mn": KAlpha(2.1018540, 2.1058220),
    "Fe": KAlpha(1.9360410, 1.9399730),
    "Co": KAlpha(1.7889960, 1.7928350),
    "Ni": KAlpha(1.6579300, 1.6617560),
    "Cu": KAlpha(1.5405929, 1.5444274),
    "Mo": KAlpha(0.70931715, 0.71360700),
    "Ag": KAlpha(0.55942178, 0.56381310),
}
"""K-alpha lines of laboratory anodes, A. Source: International Tables for Crystallography C (2004),
Table 4.2.2.4 (Cr to Cu: Hoelzer et al., Phys. Rev. A 56, 4554 (1997); Mo, Ag: Bearden rescaled)."""

KA2_OVER_KA1 = 0.5
"""Intensity ratio of the doublet from the statistical weights of the 2p states (observed 0.50 to 0.52)."""

K_BETA_A: dict[str, float] = {
    "Cr": 2.0848810,
    "Mn": 1.9102160,
    "Fe": 1.7566040,
    "Co": 1.6208260,
    "Ni": 1.5001520,
    "Cu": 1.3922340,
    "Mo": 0.6323030,
    "Ag": 0.4970817,
}
"""K-beta-1,3 of the same anodes, A; of molybdenum and silver K-beta-1, a tenth of a per cent from K-beta-3. Source: as
`ANODES`."""

CU_K_BETA_A = K_BETA_A["Cu"]
"""Of copper, A."""

W_L_ALPHA_A = 1.47639
"""L-alpha-1 of tungsten, from the filament, A. Source: Bearden, Rev. Mod. Phys. 39, 78 (1967)."""
