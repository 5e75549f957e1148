"""Radii of the elements: atomic volumes, on which the density factor rests, and how close two atoms may be."""

from __future__ import annotations

import math
from functools import lru_cache

import gemmi


@lru_cache(maxsize=128)
def atomic_volume_A3(symbol: str) -> float:
    """Volume of a ball whose radius is the mean of the covalent and the van der Waals radius, A^3.

    Args:
        symbol: "H" to "Lr", or "D".

    Source: ML4pXRDs (Schopmans, Reiser and Friederich, 2023), section S1, step 7. Radii as gemmi tabulates them:
    covalent after Cordero et al., Dalton Trans. 2832 (2008), van der Waals after cctbx.
    """
    element = gemmi.Element(symbol)
    radius_A = (element.covalent_r + element.vdw_r) / 2
    return 4 / 3 * math.pi * radius_A**3


@lru_cache(maxsize=128)
def covalent_radius_A(symbol: str) -> float:
    """Covalent radius, A.

    Args:
        symbol: "H" to "Lr", or "D".

    Source: Cordero et al., Dalton Trans. 2832 (2008), as gemmi tabulates it.
    """
    return float(gemmi.Element(symbol).covalent_r)


def density_factor(volume_A3: float, atomic_A3: float) -> float:
    """Volume of the cell over the summed volume of its atoms. Source: as above, figure 4a."""
    return volume_A3 / atomic_A3
