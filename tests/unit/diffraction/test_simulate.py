"""`simulate` and `peaks`: what a user calls."""

from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
import pytest

import powderlens
from powderlens.core.errors import InputError, StructureError, WavelengthError
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction.profile import scherrer_fwhm_deg
from powderlens.diffraction.reflections import lorentz_polarisation, reflections
from powderlens.diffraction.scattering import Table
from powderlens.diffraction.simulate import peaks, simulate

CU_KA1, CU_KA2 = 1.5405929, 1.5444274


@pytest.fixture(scope="module")
def quartz(root: Path) -> Path:
    return root / "examples" / "quartz.cif"


def test_peaks_of_quartz(quartz: Path) -> None:
    """Positions of ICDD 33-1161 scaled to this cell; 101 and 011 coincide and are listed apart."""
    found = peaks(quartz, "CuKa1")
    angles = [p.two_theta_deg for p in found]
    assert angles == sorted(angles)
    assert 5 <= angles[0] < angles[-1] <= 90
    assert max(p.intensity for p in found) == 100.0
    assert [(p.h, p.k, p.l, p.multiplicity) for p in found[:4]] == [
        (1, 0, 0, 6),
        (1, 0, 1, 6),
        (0, 1, 1, 6),
        (1, 1, 0, 6),
    ]
    assert found[1].two_theta_deg == pytest.approx(26.631, abs=1e-3)
    for p in found:
        assert p.two_theta_deg == pytest.approx(2 * np.degrees(np.arcsin(CU_KA1 / 2 / p.d_A)), abs=1e-9)


def test_peaks_that_coincide_are_listed_apart(rock_salt: Structure) -> None:
    found = [p for p in peaks(rock_salt, "CuKa1", two_theta_deg=(89, 93)) if p.d_A == pytest.approx(5.64 / np.sqrt(27))]
    assert {(p.h, p.k, p.l): p.multiplicity for p in found} == {(5, 1, 1): 24, (3, 3, 3): 8}


def test_every_source_of_a_structure_gives_the_same_peaks(rock_salt: Structure, tmp_path: Path) -> None:
    """POSCAR, pymatgen and ASE come without symmetry, which is found, so that families are gathered as in the CIF."""
    from ase.build import bulk
    from pymatgen.core import Lattice
    from pymatgen.core import Structure as PymatgenStructure

    from powderlens.crystal.formats.cif_write import write_cif

    cif, poscar = tmp_path / "salt.cif", tmp_path / "POSCAR"
    write_cif(rock_salt, cif)
    places = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    anions = [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0.5]]
    rows = "\n".join(" ".join(str(v) for v in row) for row in places + anions)
    poscar.write_text(f"salt\n5.64\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n4 4\nDirect\n{rows}\n")
    expected = peaks(rock_salt, "CuKa1")
    for source in (
        cif,
        poscar,
        gemmi.read_small_structure(str(cif)),
        PymatgenStructure(Lattice.cubic(5.64), ["Na"] * 4 + ["Cl"] * 4, places + anions),
        bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    ):
        found = peaks(source, "CuKa1")
        assert [p[:4] for p in found] == [p[:4] for p in expected]
        np.testing.assert_allclose([p[4:] for p in found], [p[4:] for p in expected], rtol=1e-9)
    primitive = peaks(bulk("NaCl", "rocksalt", a=5.64), "CuKa1")
    assert [p.multiplicity for p in primitive] == [p.multiplicity for p in expected]
    np.testing.assert_allclose([p[4:] for p in primitive], [p[4:] for p in expected], rtol=1e-9)


def test_the_doublets_peaks_are_at_its_mean(quartz: Path) -> None:
    d = peaks(quartz, "CuKa")[0].d_A
    mean = (2 * CU_KA1 + CU_KA2) / 3
    assert peaks(quartz, "CuKa")[0].two_theta_deg == pytest.approx(2 * np.degrees(np.arcsin(mean / 2 / d)), abs=1e-9)


def test_the_doublet_is_drawn_as_two_lines(make: Callable[..., Structure]) -> None:
    nickel = make("F m -3 m", (3.52, 3.52, 3.52, 90.0, 90.0, 90.0), [("Ni", (0, 0, 0))])
    narrow = {"two_theta_deg": (76.0, 77.0), "step_deg": 0.001, "caglioti_w_deg2": 1e-4, "crystallite_size_nm": 1e5}
    pattern = simulate(nickel, "CuKa", **narrow)
    assert pattern.wavelength_A == pytest.approx((2 * CU_KA1 + CU_KA2) / 3)
    first, second = (2 * np.degrees(np.arcsin(line / 2 / (3.52 / np.sqrt(8)))) for line in (CU_KA1, CU_KA2))
    areas = [pattern.intensity[np.abs(pattern.two_theta_deg - centre) < 0.08].sum() for centre in (first, second)]
    lp = lorentz_polarisation(np.array([first, second]))
    assert areas[1] / areas[0] == pytest.approx(0.5 * lp[1] / lp[0], rel=0.005)
    single = simulate(nickel, "CuKa1", **narrow)
    assert single.intensity[np.abs(single.two_theta_deg - second) < 0.02].max() < 1.0


def test_a_pattern_is_the_sum_of_its_peaks(quartz: Path) -> None:
    pattern = simulate(quartz, "CuKa1", step_deg=0.01, crystallite_size_nm=1e4)
    listed = peaks(quartz, "CuKa1")
    top = pattern.two_theta_deg[pattern.intensity.argmax()]
    assert top == pytest.approx(26.631, abs=0.01)
    assert pattern.intensity.max() == 100.0
    near = [sum(p.intensity for p in listed if abs(p.two_theta_deg - at) < 0.05) for at in (20.848, 26.631)]
    areas = [pattern.intensity[np.abs(pattern.two_theta_deg - at) < 0.5].sum() for at in (20.848, 26.631)]
    assert areas[0] / areas[1] == pytest.approx(near[0] / near[1], rel=0.01)


def test_small_crystallites_broaden_by_scherrer(make: Callable[..., Structure]) -> None:
    copper = make("F m -3 m", (3.615, 3.615, 3.615, 90.0, 90.0, 90.0), [("Cu", (0, 0, 0))])
    pattern = simulate(
        copper, "CuKa1", two_theta_deg=(40, 47), step_deg=0.002, crystallite_size_nm=20, caglioti_w_deg2=0.0
    )
    above = pattern.two_theta_deg[pattern.intensity >= 50]
    expected = scherrer_fwhm_deg(np.array([above.mean()]), CU_KA1, 20.0)[0]
    assert np.ptp(above) == pytest.approx(expected, rel=0.02)


def test_tails_of_small_crystallites_reach_far(make: Callable[..., Structure]) -> None:
    """30 widths from the only line there is still what the Lorentzian has there, 1 / (1 + 4 * 30^2)."""
    copper = make("F m -3 m", (3.615, 3.615, 3.615, 90.0, 90.0, 90.0), [("Cu", (0, 0, 0))])
    pattern = simulate(copper, "CuKa1", two_theta_deg=(20, 45), crystallite_size_nm=20, caglioti_w_deg2=0.0)
    fwhm = scherrer_fwhm_deg(np.array([43.3]), CU_KA1, 20.0)[0]
    position = 2 * np.degrees(np.arcsin(CU_KA1 * np.sqrt(3) / 2 / 3.615))
    found = np.interp(position - 30 * fwhm, pattern.two_theta_deg, pattern.intensity)
    assert found == pytest.approx(100 / (1 + 4 * 30**2), rel=0.1)


def test_both_backends_draw_the_same(quartz: Path) -> None:
    fast, slow = (simulate(quartz, "CuKa", dispersion=True, backend=name) for name in ("numba", "numpy"))
    np.testing.assert_allclose(fast.intensity, slow.intensity, rtol=1e-6, atol=1e-5)


def test_form_factors_on_request(quartz: Path) -> None:
    plain, other, neutrons = (peaks(quartz, "CuKa1", form_factors=name) for name in ("it92", "pymatgen", "neutron"))
    assert [p[:6] for p in plain] == [p[:6] for p in other] == [p[:6] for p in neutrons]
    pairs = list(zip(plain, other, neutrons, strict=True))
    assert 0.01 < max(abs(p.intensity - q.intensity) for p, q, _ in pairs) < 1.0
    assert max(abs(p.intensity - n.intensity) for p, _, n in pairs) > 10
    curve = simulate(quartz, "CuKa1", form_factors="neutron")
    top = max(neutrons, key=lambda p: p.intensity).two_theta_deg
    assert curve.two_theta_deg[curve.intensity.argmax()] == pytest.approx(top, abs=0.02)
    for call in (peaks, simulate):
        with pytest.raises(InputError, match="form_factors = 'x'"):
            call(quartz, "CuKa1", form_factors="x")


@pytest.mark.parametrize(("table", "dispersion"), [("it92", True), ("pymatgen", False), ("neutron", False)])
def test_both_backends_list_the_same_peaks(quartz: Path, table: Table, dispersion: bool) -> None:
    """Also where the wavelength is too long for many spacings, and what `Reflections` says."""
    for wavelength, limits in ((1.54, (10.0, 90.0)), (3.5, (5.0, 179.0))):
        options = {"two_theta_deg": limits, "dispersion": dispersion, "form_factors": table}
        fast, slow = (peaks(quartz, wavelength, backend=name, **options) for name in ("numba", "numpy"))
        assert [p[:4] for p in fast] == [p[:4] for p in slow]
        np.testing.assert_allclose([p[4:] for p in fast], [p[4:] for p in slow], rtol=1e-9, atol=1e-9)
        found = reflections(
            read_structure(quartz),
            d_min_A=wavelength / 2 / np.sin(np.radians(limits[1] / 2)),
            dispersion_wavelength_A=wavelength if dispersion else None,
            form_factors=table,
        )
        angle, intensity = found.two_theta_deg(wavelength), found.intensity(wavelength)
        inside = angle >= limits[0]
        np.testing.assert_allclose([p.two_theta_deg for p in fast], angle[inside], rtol=1e-12)
        expected = 100 * intensity[inside] / intensity[inside].max()
        np.testing.assert_allclose([p.intensity for p in fast], expected, rtol=1e-9, atol=1e-9)


def test_peaks_are_plain_numbers(quartz: Path) -> None:
    peak = peaks(quartz, "CuKa1")[0]
    assert [type(value) for value in peak] == [int, int, int, int, float, float, float]
    assert peak._asdict()["h"] == 1


def test_dispersion_only_on_request(zinc_blende: Structure) -> None:
    plain, asked = (peaks(zinc_blende, "CuKa1", dispersion=on) for on in (False, True))
    assert [p[:6] for p in plain] == [p[:6] for p in asked]
    assert max(abs(p.intensity - q.intensity) for p, q in zip(plain, asked, strict=True)) > 0.5


def test_the_grid_is_the_one_that_was_asked_for(quartz: Path) -> None:
    pattern = powderlens.simulate(quartz, wavelength=1.54056, two_theta_deg=(10.0, 60.0), step_deg=0.05)
    assert len(pattern.two_theta_deg) == 1001
    assert pattern.two_theta_deg[[0, -1]] == pytest.approx([10.0, 60.0])
    assert pattern.wavelength_A == 1.54056
    assert "quartz.cif" in pattern.source


def test_lines_just_beyond_the_end_still_cast_their_tails(quartz: Path) -> None:
    pattern = simulate(quartz, "CuKa1", two_theta_deg=(20.0, 26.5), crystallite_size_nm=10)
    whole = simulate(quartz, "CuKa1", two_theta_deg=(20.0, 60.0), crystallite_size_nm=10)
    shared = whole.intensity[: len(pattern.intensity)]
    scaled = 100 * shared / shared.max()
    np.testing.assert_allclose(pattern.intensity, scaled, rtol=0.02)


@pytest.mark.parametrize("call", [simulate, peaks])
@pytest.mark.parametrize("limits", [(0.5, 10.0), (5.0, 20.0), (21.5, 26.0)])
def test_a_range_without_reflections_is_refused(call: Callable, limits: tuple[float, float], quartz: Path) -> None:
    with pytest.raises(
        InputError, match=rf"quartz.cif: no reflection from {limits[0]:g} to {limits[1]:g} degrees"
    ) as found:
        call(quartz, "CuKa1", two_theta_deg=limits)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"two_theta_deg": (60.0, 20.0)}, "the smaller first"),
        ({"two_theta_deg": (-5.0, 20.0)}, "the smaller first"),
        ({"two_theta_deg": (5.0, 180.0)}, "from 0 to 179"),
        ({"two_theta_deg": (float("nan"), 20.0)}, "give two angles"),
        ({"step_deg": 0.0}, "must be positive"),
        ({"step_deg": 10.0}, "makes 10 points"),
        ({"step_deg": 1e-6}, "are possible"),
        ({"crystallite_size_nm": 0.0}, "crystallite_size_nm = 0"),
        ({"microstrain": -1.0}, "microstrain = -1"),
        ({"backend": "torch"}, "choose numba or numpy"),
        ({"wavelength": 0.05, "two_theta_deg": (5.0, 179.0)}, "narrow the range"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, words: str, quartz: Path) -> None:
    with pytest.raises(InputError, match=words):
        simulate(quartz, **{"wavelength": "CuKa1", **options})


def test_errors_of_the_readers_come_through(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no such file"):
        simulate(tmp_path / "none.cif")
    with pytest.raises(WavelengthError, match="not understood"):
        simulate(tmp_path / "none.cif", "UKa")


def test_a_long_wavelength_that_reaches_few_spacings(rock_salt: Structure) -> None:
    found = peaks(rock_salt, 5.0, two_theta_deg=(5.0, 179.0))
    assert [(p.h, p.k, p.l) for p in found] == [(1, 1, 1), (2, 0, 0)]


def p1_lines(structure: Structure, d_min_A: float) -> dict[float, float]:
    """Multiplicity times |F|^2 by spacing: every reflection, every atom, form factors from gemmi, no symmetry."""
    steps = [np.arange(-int(a / d_min_A) - 1, int(a / d_min_A) + 2) for a in structure.cell[:3]]
    hkl = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    inv_d2 = ((hkl @ np.linalg.inv(structure.lattice).T) ** 2).sum(axis=1)
    hkl, inv_d2 = (values[(inv_d2 > 0) & (inv_d2 <= d_min_A**-2)] for values in (hkl, inv_d2))
    factor = np.array([[gemmi.Element(e).it92.calculate_sf(q / 4) for e in structure.elements] for q in inv_d2])
    squares = np.abs((factor * np.exp(2j * np.pi * hkl @ structure.frac.T)).sum(axis=1)) ** 2
    lines: dict[float, float] = {}
    for spacing, square in zip(np.round(1 / np.sqrt(inv_d2), 4), squares, strict=True):
        lines[spacing] = lines.get(spacing, 0.0) + square
    return {spacing: square for spacing, square in lines.items() if square > 1e-6 * max(lines.values())}


def perovskite(c_A: float, off_A: float) -> Structure:
    """Five atoms without operators, the titanium off its place along c."""
    frac = [[0, 0, 0], [0.5, 0.5, 0.5 + off_A / c_A], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Structure.from_cell((4.0, 4.0, c_A, 90, 90, 90), ["Ba", "Ti", "O", "O", "O"], frac)


def test_a_small_distortion_without_operators_is_drawn_as_the_lines_it_is() -> None:
    """a = 4.000, c = 4.005 A: cubic to 0.01 A, but 200 and 002 are two lines, 2 : 1."""
    found = [p for p in peaks(perovskite(4.005, 0.0), "CuKa1") if 45 < p.two_theta_deg < 46]
    assert [(p.h, p.k, p.l, p.multiplicity) for p in found] == [(0, 0, 2, 2), (2, 0, 0, 4)]
    assert [p.two_theta_deg for p in found] == pytest.approx([45.245, 45.305], abs=2e-3)
    assert found[1].intensity / found[0].intensity == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(("c_A", "off_A"), [(4.005, 0.0), (4.005, 0.003), (4.0, 0.003), (4.2, 0.0)])
def test_lines_without_operators_are_those_of_a_sum_over_p1(c_A: float, off_A: float) -> None:
    """Intensities of atoms within the tolerance are right to the second order in how far they are off."""
    crystal = perovskite(c_A, off_A)
    expected = p1_lines(crystal, CU_KA1 / 2 / np.sin(np.radians(45)))
    lines: dict[float, float] = {}
    for p in peaks(crystal, "CuKa1"):
        spacing = round(p.d_A, 4)
        lines[spacing] = lines.get(spacing, 0.0) + p.intensity / lorentz_polarisation(np.array(p.two_theta_deg))
    top = max(expected.values()) / max(lines.values())
    assert lines.keys() == expected.keys()
    assert [lines[d] * top for d in expected] == pytest.approx(
        list(expected.values()), abs=(1e-3 if off_A else 1e-5) * max(expected.values())
    )
