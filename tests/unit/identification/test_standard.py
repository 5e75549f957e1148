"""Certified standards: how they are asked for, cells that are held, and the amorphous rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.simulate import simulate
from powderlens.identification.candidates import Candidate, given_candidates
from powderlens.identification.identify import Identifier, Search
from powderlens.identification.standard import parse_standard, standards, with_width_of
from powderlens.identification.write_answer import crystallite_size_nm, of_the_whole, refined_cell, weight_fractions
from powderlens.library.shelf import Shelf
from powderlens.pattern.pattern import Pattern
from powderlens.refine.candidates import fit
from powderlens.refine.measured import Instrument, Measured


@pytest.mark.parametrize(
    ("formula", "atoms", "d_A"), [("Si", 8, 3.1356), ("LaB6", 7, 4.1568), ("CeO2", 12, 3.1244), ("Al2O3", 30, 3.4801)]
)
def test_standards_are_the_crystals_that_they_are_called(formula: str, atoms: int, d_A: float) -> None:
    """Longest spacing with intensity, from the certified cell."""
    crystal = standards()[formula]
    assert len(crystal.elements) == atoms
    phase = phase_of(crystal, d_min_A=1.0)
    d = 1 / np.sqrt(((phase.hkl @ np.linalg.inv(phase.lattice).T) ** 2).sum(axis=1))
    assert d[phase.strength > 1e-6 * phase.strength.max()].max() == pytest.approx(d_A, abs=1e-4)


def test_what_people_write() -> None:
    assert parse_standard("si").weight_fraction is None
    assert parse_standard("LaB6 = 12.5 %").weight_fraction == pytest.approx(0.125)
    for wrong in ("salt", "Si=", "Si=0", "Si=100", "Si=much"):
        with pytest.raises(InputError, match=r"choose one of Si, LaB6|above 0 and below 100"):
            parse_standard(wrong)


@pytest.fixture(scope="module")
def shelf(small_library: Path) -> Shelf:
    return Shelf([small_library], shipped=False, standard=standards()["Si"])


def mixed(shift_deg: float = 0.0) -> Measured:
    return Measured.of(pattern_of_both(shift_deg))


def pattern_of_both(shift_deg: float = 0.0) -> Pattern:
    """Calcite and silicon, on one scale of multiplicity |F|^2 LP."""
    calcite = next(one for one in common_minerals() if one.name == "Calcite")
    parts = [absolute(calcite), absolute(standards()["Si"])]
    y = sum(intensity for _, intensity in parts)
    x, pattern = parts[0][0].two_theta_deg, parts[0][0]
    return Pattern(x + shift_deg, y, pattern.wavelength_A, radiation=pattern.radiation)


def absolute(structure: Structure) -> tuple[Pattern, np.ndarray]:
    """A pattern on the scale of multiplicity |F|^2 LP of one line of it."""
    phase = phase_of(structure, d_min_A=1.0)
    d = 1 / np.sqrt(((phase.hkl @ np.linalg.inv(phase.lattice).T) ** 2).sum(axis=1))
    drawn = simulate(structure, "CuKa", two_theta_deg=(20, 70), crystallite_size_nm=80)
    sine2 = (0.5 * 1.541867 / d) ** 2
    inside = np.degrees(2 * np.arcsin(np.sqrt(np.minimum(sine2, 1.0))))
    inside = (inside > 21) & (inside < 69)
    area = (phase.strength * (1 + (1 - 2 * sine2) ** 2) / (sine2 * np.sqrt(np.maximum(1 - sine2, 1e-9))))[inside].sum()
    return drawn, drawn.intensity * area / drawn.intensity.sum()


def test_the_cell_is_held_and_the_shift_is_its(shelf: Shelf) -> None:
    measured = mixed(shift_deg=0.06)
    assert shelf.standard is not None
    calcite = next(row for row in range(len(shelf)) if shelf.name(row) == "Calcite")
    rows = [shelf.standard, calcite]
    lines = [shelf.lines(row, measured.d_min_A) for row in rows]
    both = Candidate.of(rows, fit(measured, lines, [1.01, 1.0]), lines)
    assert both.rows == (calcite, shelf.standard), "the standard is never the main phase"
    held, free = both.fit.phases[1], both.fit.phases[0]
    assert held.lattice == pytest.approx(standards()["Si"].lattice, rel=1e-7)
    assert both.fit.shift_deg == pytest.approx(0.06, abs=0.01)
    assert abs(free.mean_strain) < 2e-4
    cell = refined_cell(held, shelf.standard, shelf)
    assert cell.conventional[0] == pytest.approx(5.431144, abs=1e-6)
    assert set(cell.esd) == {0.0}
    assert given_candidates(measured, shelf)[0].rows == (shelf.standard,)


def test_weights_follow_from_the_scales_and_the_rest_is_amorphous(shelf: Shelf) -> None:
    measured = mixed()
    assert shelf.standard is not None
    calcite = next(row for row in range(len(shelf)) if shelf.name(row) == "Calcite")
    rows = [calcite, shelf.standard]
    lines = [shelf.lines(row, measured.d_min_A) for row in rows]
    both = Candidate.of(rows, fit(measured, lines, [1.0, 1.0]), lines)
    shares = weight_fractions(both, shelf)
    # The same scale: weights are as mass times volume of the cells.
    mass = [shelf.cell_mass_u(row) * abs(np.linalg.det(shelf.structure(row).lattice)) for row in rows]
    assert shares[0][0] == pytest.approx(mass[0] / sum(mass), abs=0.03)
    whole, (amorphous, esd) = of_the_whole(shares, both.rows.index(shelf.standard), 0.5 * shares[1][0])
    assert amorphous == pytest.approx(0.5)
    assert whole[0][0] == pytest.approx(0.5 * shares[0][0])
    assert 0 < esd < 0.2
    assert sum(share for share, _ in whole) + amorphous == pytest.approx(1.0)
    assert atomic_mass_u("Si") * 8 == pytest.approx(shelf.cell_mass_u(shelf.standard))


def test_the_answer_gives_shares_of_the_whole(small_library: Path) -> None:
    """Calcite is found beside the standard, and leads."""
    standard = parse_standard("Si=10")
    search = Search(libraries=(str(small_library),), shipped=False, standard=standard)
    answer = Identifier("library", search=search).identify(pattern_of_both())
    assert [phase.name for phase in answer.best_phases] == ["Calcite", "Silicon"]
    calcite, silicon = answer.best_phases
    assert answer.cell is not None
    assert answer.cell.source == "Calcite"
    assert silicon.fraction == pytest.approx(0.1)
    assert answer.amorphous is not None
    assert calcite.fraction is not None
    assert calcite.fraction + 0.1 + answer.amorphous == pytest.approx(1.0)
    # Mass times volume of the cells: 600.5 u and 367.8 A^3 of calcite, 224.7 and 160.2 of silicon, 14 % of the whole.
    assert answer.amorphous == pytest.approx(1 - 0.1 / 0.140, abs=0.05)
    assert answer.to_dict()["amorphous"] == pytest.approx(answer.amorphous, abs=1e-4)


def test_a_standard_counts_among_the_phases_that_are_known(small_library: Path) -> None:
    with pytest.raises(InputError, match="2 phases are given, and at most 1"):
        Search(max_phases=1, standard=parse_standard("Si"), given=(str(small_library),))


@pytest.mark.parametrize("size_nm", [20.0, 60.0])
def test_widths_are_sizes_only_where_the_instrument_is_known(size_nm: float) -> None:
    rutile = next(one for one in common_minerals() if one.name == "Rutile")
    own = simulate(standards()["LaB6"], "CuKa", two_theta_deg=(15, 90), crystallite_size_nm=5000)
    instrument = with_width_of(Instrument(), own)
    assert instrument.width_deg is not None
    assert instrument.width_deg[0] == pytest.approx(0.075, abs=0.03), "0.07 degrees were drawn"
    pattern = simulate(rutile, "CuKa", two_theta_deg=(15, 90), crystallite_size_nm=size_nm)
    phase = phase_of(rutile, d_min_A=1.0)
    measured = Measured.of(pattern, instrument)
    found = crystallite_size_nm(measured, fit(measured, [phase], [1.0]))
    assert found == pytest.approx(size_nm, rel=0.12)
    unknown = Measured.of(pattern)
    assert crystallite_size_nm(unknown, fit(unknown, [phase], [1.0])) is None
    coarse = Measured.of(simulate(rutile, "CuKa", two_theta_deg=(15, 90), crystallite_size_nm=5000), instrument)
    assert crystallite_size_nm(coarse, fit(coarse, [phase], [1.0])) is None
    with pytest.raises(InputError, match="a pattern of none of the standards Si, LaB6"):
        with_width_of(Instrument(), pattern)
