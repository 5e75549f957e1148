"""Form factors and scattering lengths against what is published or follows from first principles."""

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import InputError, StructureError
from powderlens.diffraction.scattering import amplitude_coefficients, dispersion, form_factors


@pytest.mark.parametrize("table", ["it92", "pymatgen"])
def test_form_factors_at_zero_are_the_number_of_electrons(table: str) -> None:
    elements = [gemmi.Element(z).name for z in range(1, 99)]
    np.testing.assert_allclose(form_factors(elements, np.zeros(1), table)[:, 0], np.arange(1, 99), atol=0.1)
    assert form_factors(["D"], np.array([0.1]), table) == form_factors(["H"], np.array([0.1]), table)


def test_it92_is_what_gemmi_calculates() -> None:
    """In single precision."""
    s2 = np.linspace(0.0, 1.0, 21)
    for element in ("H", "O", "Si", "Fe", "U"):
        expected = [gemmi.Element(element).it92.calculate_sf(stol2=value) for value in s2]
        np.testing.assert_allclose(form_factors([element], s2)[0], expected, rtol=1e-6)


def test_pymatgens_table_is_the_installed_one() -> None:
    """The file in the package against the one of pymatgen, by its formula as written there."""
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

    s2 = np.linspace(0.0, 0.5, 21)
    for symbol, rows in ATOMIC_SCATTERING_PARAMS.items():
        terms = sum(a * np.exp(-b * s2) for a, b in rows)
        expected = gemmi.Element("H" if symbol == "D" else symbol).atomic_number - 41.78214 * s2 * terms
        np.testing.assert_allclose(form_factors([symbol], s2, "pymatgen")[0], expected, rtol=1e-12, atol=1e-12)


def test_the_two_tables_of_x_rays_differ_by_little() -> None:
    """Two fits to the same atoms."""
    s2 = np.linspace(0.0, 0.4, 9)
    apart = form_factors(["O", "Fe", "Pb"], s2, "pymatgen") - form_factors(["O", "Fe", "Pb"], s2)
    assert 0.01 < np.abs(apart).max() < 1.0


@pytest.mark.parametrize(
    ("element", "length_fm"), [("H", -3.739), ("D", 6.671), ("O", 5.803), ("Ti", -3.438), ("V", -0.3824), ("Ni", 10.3)]
)
def test_scattering_lengths(element: str, length_fm: float) -> None:
    """Sears, Neutron News 3(3), 26 (1992)."""
    found = form_factors([element], np.array([0.0, 0.3]), "neutron")
    np.testing.assert_allclose(found, [[length_fm, length_fm]], rtol=1e-3)


@pytest.mark.parametrize(
    ("element", "table", "words"),
    [
        ("Es", "it92", "'Es': no X-ray form factor"),
        ("Es", "pymatgen", "'Es': no form factor in pymatgen's table"),
        ("Po", "neutron", "'Po': no neutron scattering length"),
        ("Xx", "neutron", "'Xx': no neutron scattering length"),
    ],
)
def test_an_element_that_a_table_lacks_is_refused(element: str, table: str, words: str) -> None:
    with pytest.raises(StructureError, match=words):
        form_factors([element], np.zeros(1), table)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(InputError, match="form_factors = 'waasmaier': choose one of it92, pymatgen, neutron"):
        amplitude_coefficients("Si", "waasmaier")


def test_dispersion_near_tabulated_values() -> None:
    """International Tables C, Table 4.2.6.8, Cu K-alpha: Fe -1.1336 and 3.1974, Si 0.2541 and 0.3302."""
    found = dispersion(["Fe", "Si"], 1.54187)
    np.testing.assert_allclose(found.real, [-1.1336, 0.2541], atol=0.1)
    np.testing.assert_allclose(found.imag, [3.1974, 0.3302], atol=0.05)
