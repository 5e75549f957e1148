"""How strongly atoms scatter: form factors and dispersion corrections of X-rays, scattering lengths of neutrons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import HC_KEV_A
from powderlens.core.errors import InputError, StructureError

Table = Literal["it92", "pymatgen", "neutron"]
"""Tables of scattering amplitudes.

`it92`: International Tables for Crystallography C (1992), Table 6.1.1.4, as tabulated in gemmi; neutral atoms, H to
Cf, valid for s = sin(theta)/lambda up to 2 1/A.

`pymatgen`: what pymatgen's XRDCalculator uses, neutral atoms; from De Graef and McHenry, Structure of Materials
(2007), chapter 12, for comparison with results of that program. See `data/pymatgen-form-factors.json`.

`neutron`: bound coherent scattering lengths of the natural elements, fm; Sears, Neutron News 3(3), 26 (1992), as
tabulated in gemmi. Absorption and magnetism are left out.
"""

MOTT_BETHE_A2 = 41.78214
"""8 pi^2 m e^2 / h^2 as pymatgen has it, from electron to X-ray form factors. Source: De Graef and McHenry (2007)."""

EXTINCT = 1e-12
"""Families weaker than this share of the strongest |F|^2 are symmetry-extinct up to rounding."""
AT_THE_LIMIT = 1e-9
"""A family with 1/d^2 this little (relative) beyond the limit counts: rounding decides nothing."""

DISPERSION_DIGITS = 9
"""f' and f'' are rounded to so many digits after the point, electrons."""

Row = tuple[float, ...]


@lru_cache(maxsize=1024)
def amplitude_coefficients(element: str, table: Table = "it92") -> Row:
    """Eleven numbers c, p, q, a1..a4, b1..b4 of one element: f(s) = c + (p + q s^2) sum a_i exp(-b_i s^2).

    s = sin(theta)/lambda in 1/A. `it92` has p = 1 and q = 0, `pymatgen` has c = Z, p = 0 and q = -41.78214 (the
    formula of Mott and Bethe), `neutron` has c alone. Deuterium scatters X-rays as hydrogen, and neutrons as itself.

    Raises:
        InputError: an unknown table.
        StructureError: the table has no such element.
    """
    if table == "it92":
        return _it92(element)
    if table == "pymatgen":
        return _pymatgen(element)
    if table == "neutron":
        return _neutron(element)
    raise InputError(f"form_factors = {table!r}: choose one of {', '.join(get_args(Table))}")


def _it92(element: str) -> Row:
    import gemmi

    found = gemmi.Element("H" if element == "D" else element)
    table = found.it92 if found.atomic_number else None
    if table is None:
        raise StructureError(f"element {element!r}: no X-ray form factor (International Tables hold H to Cf)")
    *terms, constant = table.get_coefs()
    return (constant, 1.0, 0.0, *terms)


def _pymatgen(element: str) -> Row:
    entry = _pymatgen_table().get("H" if element == "D" else element)
    if entry is None:
        raise StructureError(f"element {element!r}: no form factor in pymatgen's table; choose it92")
    number, *terms = entry
    return (float(number), 0.0, -MOTT_BETHE_A2, *terms)


def _neutron(element: str) -> Row:
    import gemmi

    length_fm = gemmi.Element(element).neutron92.get_coefs()[0] if gemmi.Element(element).atomic_number else 0.0
    if length_fm == 0.0:  # gemmi's mark of "not measured": no element scatters by exactly nothing
        raise StructureError(f"element {element!r}: no neutron scattering length is tabulated; choose it92")
    return (length_fm, *(0.0,) * 10)


@lru_cache(maxsize=1)
def _pymatgen_table() -> dict[str, list[float]]:
    """Z, a1..a4, b1..b4 by element; made by `scripts/make_pymatgen_form_factors.py`."""
    path = files("powderlens.diffraction") / "data" / "pymatgen-form-factors.json"
    elements: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))["elements"]
    return elements


def coefficients(elements: Sequence[str], table: Table = "it92") -> NDArray[np.float64]:
    """(n, 11) rows of `amplitude_coefficients`, the form in which compiled code takes them."""
    return np.array([amplitude_coefficients(element, table) for element in elements])


def form_factors(elements: Sequence[str], s2: NDArray[np.float64], table: Table = "it92") -> NDArray[np.float64]:
    """Scattering amplitudes without dispersion, in electrons (of neutrons in fm).

    Args:
        elements: n symbols.
        s2: (m,) values of (sin(theta)/lambda)^2 = 1/(4 d^2), 1/A^2.
        table: see `Table`.

    Returns:
        (n, m) form factors.
    """
    return amplitudes(coefficients(elements, table), s2)


def amplitudes(coefficients: NDArray[np.float64], s2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same, from (n, 11) rows of `amplitude_coefficients`."""
    c, p, q = (coefficients[:, i : i + 1] for i in range(3))
    a, b = coefficients[:, 3:7, None], coefficients[:, 7:11, None]
    return np.asarray(c + (p + q * s2) * (a * np.exp(-b * s2)).sum(axis=1))


@lru_cache(maxsize=1024)
def _dispersion_of(element: str, wavelength_A: float) -> complex:
    import gemmi

    z = gemmi.Element("H" if element == "D" else element).atomic_number
    real, imag = gemmi.cromer_liberman(z=z, energy=HC_KEV_A / wavelength_A * 1000.0)
    # gemmi asks the C library for logarithms: rounded, its last bits on this or that processor do not tell.
    return complex(round(real, DISPERSION_DIGITS), round(imag, DISPERSION_DIGITS))


def dispersion(elements: Sequence[str], wavelength_A: float) -> NDArray[np.complex128]:
    """f' + i f'' in electrons for n elements at one wavelength, (n,).

    Source: Cromer and Liberman, Acta Cryst. A37, 267 (1981), with the Kissel and Pratt correction, as computed
    by gemmi; poor within some eV of an absorption edge, and for energies above 70 keV.
    """
    return np.array([_dispersion_of(element, wavelength_A) for element in elements])
