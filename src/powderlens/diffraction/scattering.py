"""X-ray form factors and dispersion corrections, both taken from gemmi."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import HC_KEV_A
from powderlens.core.errors import StructureError


@lru_cache(maxsize=256)
def it92_coefficients(element: str) -> tuple[float, ...]:
    """The nine coefficients a1..a4, b1..b4, c of f0(s) = c + sum a_i exp(-b_i s^2), s = sin(theta)/lambda in 1/A.

    Source: International Tables for Crystallography C (1992), Table 6.1.1.4, as tabulated in gemmi; neutral
    atoms, valid for s up to 2 1/A. Deuterium scatters X-rays as hydrogen.

    Raises:
        StructureError: the table has no such element (it ends at californium).
    """
    import gemmi

    found = gemmi.Element("H" if element == "D" else element)
    table = found.it92 if found.atomic_number else None
    if table is None:
        raise StructureError(f"element {element!r}: no X-ray form factor (International Tables hold H to Cf)")
    return tuple(table.get_coefs())


def form_factors(elements: Sequence[str], s2: NDArray[np.float64]) -> NDArray[np.float64]:
    """f0 in electrons.

    Args:
        elements: n symbols.
        s2: (m,) values of (sin(theta)/lambda)^2 = 1/(4 d^2), 1/A^2.

    Returns:
        (n, m) form factors.
    """
    c = np.array([it92_coefficients(e) for e in elements])
    return np.asarray(c[:, 8:9] + sum(c[:, i : i + 1] * np.exp(-c[:, 4 + i : 5 + i] * s2) for i in range(4)))


def dispersion(elements: Sequence[str], wavelength_A: float) -> NDArray[np.complex128]:
    """f' + i f'' in electrons for n elements at one wavelength, (n,).

    Source: Cromer and Liberman, Acta Cryst. A37, 267 (1981), with the Kissel and Pratt correction, as computed
    by gemmi; poor within some eV of an absorption edge, and for energies above 70 keV.
    """
    import gemmi

    values = []
    for element in elements:
        z = gemmi.Element("H" if element == "D" else element).atomic_number
        values.append(complex(*gemmi.cromer_liberman(z=z, energy=HC_KEV_A / wavelength_A * 1000.0)))
    return np.array(values)
