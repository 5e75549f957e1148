"""Candidates held against a profile: derivatives, what comes back of a cell, and several phases together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.simulate import simulate
from powderlens.pattern.pattern import Pattern
from powderlens.refine.candidate_kernel import CAPILLARY, REFLECTION, TRANSMISSION, Lines, draw
from powderlens.refine.candidates import fit, line_shift_deg
from powderlens.refine.measured import GEOMETRIES, FurtherLine, Instrument, Measured

STRAIN = np.array([[0.006, 0.0, 0.0], [0.0, 0.006, 0.0], [0.0, 0.0, -0.009]])


def strained(structure: Structure, strain: np.ndarray) -> Structure:
    return replace(structure, lattice=structure.lattice @ (np.eye(3) + strain))


def pattern_of(structure: Structure, shift_deg: float = 0.0, noise: float = 0.003) -> Pattern:
    clean = simulate(structure, "CuKa", two_theta_deg=(10, 80), crystallite_size_nm=80)
    rng = np.random.default_rng(3)
    y = clean.intensity / 100 + noise * rng.standard_normal(len(clean.intensity))
    return Pattern(clean.two_theta_deg + shift_deg, y, clean.wavelength_A, radiation=clean.radiation)


@pytest.fixture(scope="module")
def phases(minerals: Mapping[str, Structure]) -> dict[str, Phase]:
    return {name: phase_of(minerals[name], d_min_A=1.1) for name in ("Rutile", "Quartz", "Halite")}


@pytest.mark.parametrize("geometry", [REFLECTION, TRANSMISSION, CAPILLARY])
def test_every_derivative_is_that_of_differences(phases: dict[str, Phase], geometry: int) -> None:
    rutile, halite = phases["Rutile"], phases["Halite"]
    basis = np.zeros((2, 6, 3, 3))
    basis[0, 0], basis[0, 1], basis[1, 0] = np.diag([1.0, 1, 0]), np.diag([0.0, 0, 1]), np.eye(3)
    lines = (
        np.concatenate([rutile.hkl, halite.hkl]).astype(float),
        np.concatenate([rutile.strength / rutile.strength.max(), halite.strength / halite.strength.max()]),
        np.repeat([0, 1], [len(rutile.hkl), len(halite.hkl)]),
        np.stack([np.linalg.inv(one.lattice).T for one in (rutile, halite)]),
        basis, np.array([2, 1]), np.array([4, 7]), np.array([1.5406, 1.5444]), np.array([0.67, 0.33]), geometry, 0.8,
    )  # fmt: skip
    par = np.array([0.02, -0.03, np.log(0.15), np.log(0.06), 0.2, 0.003, -0.002, -0.4, 0.001])
    for sharp, blur in ((True, 0.0), (False, 0.3)):
        y, slope = np.zeros(1800), np.zeros((9, 1800))
        draw(par, 10.0, 0.04, Lines(*lines), blur, sharp, y, slope)
        for i in range(9):
            if not sharp and i in (2, 3):
                continue  # widths are not refined on broadened profiles
            ends = []
            for sign in (1, -1):
                moved = par.copy()
                moved[i] += sign * 1e-6
                end, ignored = np.zeros(1800), np.zeros((9, 1800))
                draw(moved, 10.0, 0.04, Lines(*lines), blur, sharp, end, ignored)
                ends.append(end)
            difference = (ends[0] - ends[1]) / 2e-6
            # Strains act through the place of a line; that intensities follow with LP is left out, as it is tiny.
            # A line's last point may come or go with the step: a few points are let off.
            worst = np.sort(np.abs(slope[i] - difference))[-12] / np.abs(slope[i]).max()
            assert worst < (0.05 if i in (5, 6, 8) else 1e-3), (sharp, i, worst)


def test_a_strained_cell_comes_back(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    truth = strained(minerals["Rutile"], STRAIN)
    found = fit(Measured.of(pattern_of(truth, shift_deg=0.06)), [phases["Rutile"]], [1.002])
    lengths = np.linalg.norm(found.phases[0].lattice, axis=1)
    assert lengths == pytest.approx(np.linalg.norm(truth.lattice, axis=1), rel=7e-4)
    assert found.agreement > 0.97
    assert found.shift_deg == pytest.approx(0.06, abs=0.02)
    assert found.phases[0].mean_strain == pytest.approx(0.001, abs=5e-4)
    assert found.phases[0].shape_strain == pytest.approx(np.sqrt((0.005**2 * 2 + 0.01**2) / 3), rel=0.15)
    assert found.phases[0].missing < 0.05


def test_another_phase_fits_worse(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    measured = Measured.of(pattern_of(minerals["Rutile"]))
    right = fit(measured, [phases["Rutile"]], [1.0])
    wrong = fit(measured, [phases["Quartz"]], [1.0])
    assert right.agreement > 0.98
    assert right.explained > 0.85
    assert wrong.agreement < 0.7
    assert wrong.phases[0].missing > 0.1


def test_two_phases_share_their_intensity(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    one, other = (simulate(minerals[name], "CuKa", two_theta_deg=(10, 80)) for name in ("Rutile", "Halite"))
    y = one.intensity + 0.5 * other.intensity
    measured = Measured.of(Pattern(one.two_theta_deg, y, one.wavelength_A, radiation=one.radiation))
    alone = fit(measured, [phases["Rutile"]], [1.0])
    both = fit(measured, [phases["Rutile"], phases["Halite"]], [1.0, 1.001], start=alone)
    assert both.agreement > alone.agreement + 0.05
    share = other.intensity.sum() * 0.5 / y.sum()
    assert both.phases[1].intensity == pytest.approx(share, abs=0.03)
    rest = measured.without(alone.calculated)
    assert fit(rest, [phases["Halite"]], [1.0]).agreement > 0.9


def test_what_is_masked_has_no_say(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    clean = pattern_of(minerals["Rutile"])
    spoilt, mask = clean.intensity.copy(), np.ones(len(clean.intensity), bool)
    spoilt[1500:1600] += 5.0
    mask[1490:1610] = False
    found = fit(Measured.of(replace(clean, intensity=spoilt, mask=mask)), [phases["Rutile"]], [1.0])
    assert found.agreement > 0.97


def test_a_phase_without_lines_in_the_range_is_refused(
    minerals: Mapping[str, Structure], phases: dict[str, Phase]
) -> None:
    clean = simulate(minerals["Quartz"], "CuKa", two_theta_deg=(19, 24))
    measured = Measured.of(Pattern(clean.two_theta_deg, clean.intensity + 1e-3, clean.wavelength_A))
    with pytest.raises(InputError, match="no reflection in the measured range"):
        fit(measured, [phases["Halite"]], [1.0])


@pytest.mark.parametrize(("geometry", "moves"), [("reflection", 0.766), ("transmission", 0.643), ("capillary", 0.985)])
def test_a_displaced_specimen_moves_lines_as_its_geometry_has_it(
    minerals: Mapping[str, Structure], phases: dict[str, Phase], geometry: str, moves: float
) -> None:
    """By cos 40, sin 40 and sin 80 degrees for a line at 80 degrees; cells take most of it up in a fit."""
    number, halite = GEOMETRIES[geometry], phases["Halite"]
    wavelength = 2 * np.sin(np.radians(40.0)) / np.sqrt(3) * halite.lattice[0, 0]
    reciprocal = np.linalg.inv(halite.lattice).T
    lines = (
        np.ones((1, 3)), np.ones(1), np.zeros(1, np.int64), reciprocal[None], np.eye(3)[None, None],
        np.array([1]), np.array([4]), np.array([wavelength]), np.ones(1), number, 1.0,
    )  # fmt: skip
    y, slope = np.zeros(1000), np.zeros((6, 1000))
    draw(np.array([0.0, 0.15, np.log(0.1), np.log(0.01), 0.0, 0.0]), 60.0, 0.04, Lines(*lines), 0.0, True, y, slope)
    place = (y * (60.0 + 0.04 * np.arange(1000))).sum() / y.sum()
    assert place - 80.0 == pytest.approx(0.15 * moves, abs=1e-3)
    measured = Measured.of(pattern_of(minerals["Halite"]), Instrument(geometry))
    fitted = fit(measured, [halite], [1.0])
    sine = np.sin(np.radians([20.0, 40.0]))
    shift = line_shift_deg(measured, replace(fitted, zero_shift_deg=0.01, displacement_deg=0.15), sine)
    assert shift[1] == pytest.approx(0.01 + 0.15 * moves, abs=1e-3)
    assert line_shift_deg(measured, fitted, sine)[0] == pytest.approx(fitted.shift_deg)


def test_a_monochromator_weakens_what_it_should(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    clean = pattern_of(minerals["Rutile"], noise=0.0)
    cos2 = np.cos(np.radians(clean.two_theta_deg)) ** 2
    polarised = np.cos(np.radians(80.0)) ** 2
    seen = replace(clean, intensity=clean.intensity * (1 + polarised * cos2) / (1 + cos2))
    with_it = fit(Measured.of(seen, Instrument(monochromator_two_theta_deg=80.0)), [phases["Rutile"]], [1.0])
    assert with_it.agreement > fit(Measured.of(seen), [phases["Rutile"]], [1.0]).agreement + 0.001


@pytest.mark.parametrize("wrong", [{"geometry": "sideways"}, {"monochromator_two_theta_deg": 0.0}])
def test_instruments_that_do_not_exist_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"choose one of|such as 26\.6"):
        Instrument(**wrong)  # type: ignore[arg-type]


def test_a_further_line_of_the_tube_is_drawn(minerals: Mapping[str, Structure], phases: dict[str, Phase]) -> None:
    """Also of spacings whose main line is beyond the range."""
    rutile = minerals["Rutile"]
    main, ghost = (simulate(rutile, w, two_theta_deg=(10, 60), crystallite_size_nm=80) for w in ("CuKa", 1.392234))
    area = ghost.intensity.sum() / main.intensity.sum()
    y = main.intensity + 0.2 * ghost.intensity
    measured = Measured.of(Pattern(main.two_theta_deg, y, main.wavelength_A, radiation=main.radiation))
    alone = fit(measured, [phases["Rutile"]], [1.0])
    both = measured.with_further([FurtherLine("K-beta of copper", 1.392234, 0.2 * area)])
    assert both.mean_wavelength_A == pytest.approx(main.wavelength_A)
    assert both.d_min_A == pytest.approx(measured.d_min_A * 1.392234 / measured.wavelength.min())
    found = fit(both, [phases["Rutile"]], [1.0])
    assert found.agreement > alone.agreement + 0.02
    assert found.explained > 0.9
    assert found.phases[0].lines == alone.phases[0].lines
