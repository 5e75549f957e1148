"""The renderer that training draws with, held against the readable widths and against what must be so."""

from collections.abc import Callable

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.structure import Structure
from powderlens.diffraction import reference
from powderlens.diffraction.conditions import Conditions, draw_conditions
from powderlens.diffraction.profile import (
    caglioti_fwhm_deg,
    microstrain_fwhm_deg,
    scherrer_fwhm_deg,
    thompson_cox_hastings,
)
from powderlens.diffraction.reflections import lorentz_polarisation, reflections
from powderlens.diffraction.render import add_background_and_noise, clean_profile, draw_wavelength
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=5.0, step_deg=0.02, points=4251, wavelength_A=1.5418)
SINGLE = {"ka1_A": 1.5406, "ka2_A": 1.5406, "ka2_ratio": 0.0}


def crystal(structure: Structure):
    found = reflections(structure, d_min_A=GRID.d_min_A * 0.98)
    return structure.lattice, structure.rotations, found.hkl, found.multiplicity * found.f_squared


@pytest.fixture(scope="module")
def salt(rock_salt: Structure):
    return crystal(rock_salt)


def test_one_line_is_what_the_readable_widths_make_of_it() -> None:
    inv_d2, wavelength, size_nm, microstrain, w, u, u_overall = 0.2, 1.5406, 30.0, 0.002, 0.004, 0.01, 0.01
    fast = np.zeros(GRID.points)
    draw_wavelength(
        fast, GRID.start_deg, GRID.step_deg, np.array([inv_d2]), np.array([7.0]), wavelength, 0.5, u_overall, 0.03, 0.1,
        w, u, size_nm, microstrain,
    )  # fmt: skip
    angle = 2 * np.degrees(np.arcsin(np.array([wavelength * np.sqrt(inv_d2) / 2])))
    fwhm, eta = thompson_cox_hastings(
        caglioti_fwhm_deg(angle, u, 0.0, w),
        scherrer_fwhm_deg(angle, wavelength, size_nm) + microstrain_fwhm_deg(angle, microstrain),
    )
    area = 0.5 * 7.0 * lorentz_polarisation(angle) * np.exp(-16 * np.pi**2 * u_overall * inv_d2 / 4)
    moved = angle + 0.03 - 0.1 * np.cos(np.radians(angle / 2))
    slow = np.zeros(GRID.points)
    reference.draw_pseudo_voigt(slow, GRID.start_deg, GRID.step_deg, moved, area, fwhm, eta, np.array([12.0]))
    np.testing.assert_allclose(fast, slow, rtol=1e-8, atol=1e-8 * slow.max())


def test_the_same_seed_makes_the_same_bytes(salt) -> None:
    def draw(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        conditions = draw_conditions(rng)
        return add_background_and_noise(clean_profile(*salt, conditions, GRID, rng), conditions, GRID, rng).tobytes()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_second_line_of_the_doublet_is_weaker_as_asked(make: Callable[..., Structure]) -> None:
    nickel = make("F m -3 m", (3.52, 3.52, 3.52, 90.0, 90.0, 90.0), [("Ni", (0, 0, 0))])
    narrow = {"caglioti_w_deg2": 0.05**2, "crystallite_size_nm": 1e6}
    x = GRID.two_theta_deg
    for ratio in (0.5, 0.3):
        both = clean_profile(*crystal(nickel), Conditions(ka2_ratio=ratio, **narrow), GRID)
        first, second = (2 * np.degrees(np.arcsin(line / 2 / (3.52 / np.sqrt(8)))) for line in (1.5405929, 1.5444274))
        areas = [both[np.abs(x - centre) < 0.09].sum() for centre in (first, second)]
        lp = lorentz_polarisation(np.array([first, second]))
        assert areas[1] / areas[0] == pytest.approx(ratio * lp[1] / lp[0], rel=0.01)


def test_the_strongest_point_is_one_and_a_range_without_lines_is_empty(salt) -> None:
    assert clean_profile(*salt, Conditions(), GRID).max() == 1.0
    below = Grid(start_deg=5.0, step_deg=0.02, points=500, wavelength_A=1.5418)
    assert not clean_profile(*salt, Conditions(), below).any()


def test_shifts_move_the_lines(salt) -> None:
    plain, moved = (
        clean_profile(*salt, Conditions(**SINGLE, zero_shift_deg=shift), GRID).argmax() for shift in (0.0, 0.1)
    )
    assert moved - plain == 5
    high = clean_profile(*salt, Conditions(**SINGLE, displacement_deg=0.1), GRID).argmax()
    assert high - plain == -round(0.1 * np.cos(np.radians(GRID.two_theta_deg[plain] / 2)) / 0.02)


def test_texture_changes_intensities_and_strain_positions(salt) -> None:
    plain = clean_profile(*salt, Conditions(**SINGLE), GRID)
    textured = clean_profile(*salt, Conditions(**SINGLE, texture_axis=(1, 1, 1), march_r=0.5), GRID)
    strained = clean_profile(*salt, Conditions(**SINGLE, strain=(0.01, 0.01, 0.01, 0, 0, 0)), GRID)
    at = [round((angle - 5.0) / 0.02) for angle in (27.37, 31.70)]
    assert textured[at[0]] / textured[at[1]] > 3 * plain[at[0]] / plain[at[1]]
    expected = 2 * np.degrees(np.arcsin(1.5406 / (5.64 * 1.01)))
    assert GRID.two_theta_deg[strained.argmax()] == pytest.approx(expected, abs=0.02)


def test_noise_has_the_size_that_was_asked_for_and_is_never_negative() -> None:
    conditions = Conditions(noise_sigma=0.01, background_share=0.1, pedestal=20.0)
    noisy = add_background_and_noise(np.zeros(GRID.points), conditions, GRID, np.random.default_rng(0))
    # A grid point is the mean of two raw points.
    assert noisy.std() == pytest.approx(0.01 / np.sqrt(2), rel=0.05)
    assert noisy.mean() == pytest.approx(0.2, rel=0.01)
    cut = add_background_and_noise(
        np.zeros(GRID.points), Conditions(noise_sigma=0.01, pedestal=-0.5), GRID, np.random.default_rng(0)
    )
    assert cut.min() == 0.0


def test_without_noise_only_humps_are_added() -> None:
    conditions = Conditions(humps=((30.0, 10.0, 0.02),))
    out = add_background_and_noise(np.zeros(GRID.points), conditions, GRID, np.random.default_rng(0))
    assert out.max() == pytest.approx(0.02, rel=1e-4)
    assert GRID.two_theta_deg[out.argmax()] == pytest.approx(30.0, abs=0.02)
    assert out[1500] == pytest.approx(0.01, rel=1e-3), "half of it 5 degrees away"


@pytest.mark.parametrize("seed", range(30))
def test_drawn_conditions_are_possible(seed: int) -> None:
    drawn = draw_conditions(np.random.default_rng(seed), dft_cell=seed % 2 == 0)
    assert 0 <= drawn.range_deg[0] < drawn.range_deg[1] <= 180


@pytest.mark.parametrize(
    "wrong",
    [
        {"ka1_A": 0.0},
        {"crystallite_size_nm": -1.0},
        {"march_r": 0.0},
        {"noise_sigma": -0.1},
        {"texture_axis": (0, 0, 0)},
    ],
)
def test_impossible_conditions_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Conditions(**wrong)
