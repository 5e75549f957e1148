"""Rendered patterns against closed forms, on every backend: places, widths, areas, ratios, background and noise."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.crystal.structure import Structure
from powderlens.diffraction.conditions import RECORD, Conditions, from_record, to_record
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.render import BACKENDS, render
from powderlens.pattern.grid import Grid

INFINITE = float("inf")
GRID = Grid(start_deg=5.0, step_deg=0.01, points=8501, wavelength_A=1.5405929)
SINGLE = {"ka2_ratio": 0.0, "crystallite_size_nm": INFINITE}
GAUSS = {**SINGLE, "shape": "gaussian"}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "torch":
        pytest.importorskip("torch")
    return str(request.param)


def one_line(d_A: float = 2.5, *others_A: float) -> Phase:
    """A cubic crystal of which only the families h00 with the given spacings diffract."""
    a = 30.0
    rows = [(round(a / d), 0, 0) for d in (d_A, *others_A)]
    return Phase(
        a * np.eye(3),
        np.eye(3, dtype=np.int64)[None],
        np.array(rows, np.int64),
        np.ones(len(rows)),
    )


def draw(phase: Phase, backend: str, grid: Grid = GRID, seed: int = 0, **values: object) -> NDArray[np.float64]:
    return render([phase], to_record(Conditions.of(**values)), grid, seed=seed, backend=backend)[0]  # type: ignore[arg-type]


def angle_deg(d_A: float, wavelength_A: float = 1.5405929) -> float:
    return float(2 * np.degrees(np.arcsin(wavelength_A / (2 * d_A))))


def fwhm_deg(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Full width at half maximum, between the points joined by lines; the top by a parabola."""
    i = int(y.argmax())
    a, b, c = y[i - 1], y[i], y[i + 1]
    half = (b - (a - c) ** 2 / (8 * (a - 2 * b + c))) / 2
    left = i - int(np.argmax(y[i::-1] < half))
    right = i + int(np.argmax(y[i:] < half))
    low = x[left] + (half - y[left]) / (y[left + 1] - y[left]) * (x[1] - x[0])
    high = x[right] - (half - y[right]) / (y[right - 1] - y[right]) * (x[1] - x[0])
    return float(high - low)


def test_a_gaussian_line_has_its_place_width_and_area(backend: str) -> None:
    y = draw(one_line(), backend, **GAUSS, caglioti_w_deg2=0.01)
    x = GRID.two_theta_deg
    assert (x * y).sum() / y.sum() == pytest.approx(angle_deg(2.5), abs=1e-4)
    assert fwhm_deg(y, x) == pytest.approx(0.1, rel=0.005)
    assert y.sum() * 0.01 / y.max() == pytest.approx(0.1 * np.sqrt(np.pi / np.log(2)) / 2, rel=0.005)


@pytest.mark.parametrize("angle_A", [2.5, 1.2])
def test_size_broadening_is_scherrers(backend: str, angle_A: float) -> None:
    y = draw(
        one_line(angle_A), backend, shape="lorentzian", ka2_ratio=0.0, caglioti_w_deg2=0.0, crystallite_size_nm=30.0
    )
    cosine = np.cos(np.radians(angle_deg(angle_A) / 2))
    expected = np.degrees(0.9 * 1.5405929 / (300.0 * cosine))
    assert fwhm_deg(y, GRID.two_theta_deg) == pytest.approx(expected, rel=0.005)
    # Of a Lorentzian 2 / (pi FWHM) high with unit area; what lies beyond the grid is known.
    x0 = angle_deg(angle_A)
    inside = (np.arctan(2 * (90 - x0) / expected) + np.arctan(2 * (x0 - 5) / expected)) / np.pi
    assert y.sum() * 0.01 / y.max() == pytest.approx(inside * np.pi * expected / 2, rel=0.005)


def test_strain_broadening_is_stokes_and_wilsons(backend: str) -> None:
    y = draw(one_line(), backend, shape="lorentzian", ka2_ratio=0.0, caglioti_w_deg2=0.0, crystallite_size_nm=INFINITE,
             microstrain=0.002)  # fmt: skip
    expected = np.degrees(4 * 0.002 * np.tan(np.radians(angle_deg(2.5) / 2)))
    assert fwhm_deg(y, GRID.two_theta_deg) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("shape", ["tch", "voigt"])
def test_a_voigt_has_the_width_of_the_convolution(backend: str, shape: str) -> None:
    """Olivero and Longbothum (1977): 0.5346 L + sqrt(0.2166 L^2 + G^2), good to 0.02 %."""
    size_nm = 40.0
    lorentz = np.degrees(0.9 * 1.5405929 / (10 * size_nm * np.cos(np.radians(angle_deg(2.5) / 2))))
    y = draw(one_line(), backend, shape=shape, ka2_ratio=0.0, caglioti_w_deg2=0.04, crystallite_size_nm=size_nm)
    expected = 0.5346 * lorentz + np.sqrt(0.2166 * lorentz**2 + 0.04)
    assert fwhm_deg(y, GRID.two_theta_deg) == pytest.approx(expected, rel=0.005)


def test_the_widths_of_caglioti(backend: str) -> None:
    for d_A in (3.0, 1.2):
        y = draw(one_line(d_A), backend, **GAUSS, caglioti_u_deg2=0.05, caglioti_v_deg2=-0.02, caglioti_w_deg2=0.01)
        t = np.tan(np.radians(angle_deg(d_A) / 2))
        expected = np.sqrt(0.05 * t * t - 0.02 * t + 0.01)
        assert fwhm_deg(y, GRID.two_theta_deg) == pytest.approx(expected, rel=0.005)


def test_the_doublet_is_two_to_one_and_its_lines_follow_braggs_law(backend: str) -> None:
    y = draw(one_line(1.2), backend, shape="gaussian", crystallite_size_nm=INFINITE, caglioti_w_deg2=0.0036)
    x = GRID.two_theta_deg
    first, second = angle_deg(1.2), angle_deg(1.2, 1.5444274)
    areas = [y[np.abs(x - centre) < 0.12].sum() for centre in (first, second)]
    places = [(x * y)[np.abs(x - c) < 0.12].sum() / y[np.abs(x - c) < 0.12].sum() for c in (first, second)]
    assert places == pytest.approx([first, second], abs=5e-4)

    def lp(two_theta: float) -> float:
        theta = np.radians(two_theta / 2)
        return float((1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta)))

    assert areas[1] / areas[0] == pytest.approx(0.5 * lp(second) / lp(first), rel=0.005)


def test_lorentz_and_polarisation_set_the_ratio_of_two_lines(backend: str) -> None:
    x = GRID.two_theta_deg
    low, high = angle_deg(3.0), angle_deg(1.2)
    plain, mono = (
        draw(one_line(3.0, 1.2), backend, **GAUSS, caglioti_w_deg2=0.01, monochromator_deg=m) for m in (0.0, 26.6)
    )
    for y, a in ((plain, 1.0), (mono, np.cos(np.radians(26.6)) ** 2)):
        areas = [y[np.abs(x - centre) < 1].sum() for centre in (low, high)]
        theta = np.radians(np.array([low, high]) / 2)
        expected = (1 + a * np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        assert areas[1] / areas[0] == pytest.approx(expected[1] / expected[0], rel=0.005)


def test_displacement_damps_by_its_factor(backend: str) -> None:
    x = GRID.two_theta_deg
    ratios = []
    for u in (0.0, 0.02):
        y = draw(one_line(3.0, 1.2), backend, **GAUSS, caglioti_w_deg2=0.01, u_overall_A2=u)
        ratios.append(y[np.abs(x - angle_deg(1.2)) < 1].sum() / y[np.abs(x - angle_deg(3.0)) < 1].sum())
    expected = np.exp(-16 * np.pi**2 * 0.02 * (1 / 1.2**2 - 1 / 3.0**2) / 4)
    assert ratios[1] / ratios[0] == pytest.approx(expected, rel=0.005)


def test_shifts_move_a_line_as_geometry_says(backend: str) -> None:
    x = GRID.two_theta_deg
    theta = np.radians(angle_deg(2.5) / 2)
    for values, shift in (
        ({"zero_shift_deg": 0.1}, 0.1),
        ({"displacement_mm": 0.2, "radius_mm": 200.0}, -np.degrees(2 * 0.2 / 200.0 * np.cos(theta))),
        ({"transparency_mm": 0.5, "radius_mm": 200.0}, -np.degrees(0.5 / 400.0 * np.sin(2 * theta))),
    ):
        y = draw(one_line(), backend, **GAUSS, caglioti_w_deg2=0.01, **values)
        assert (x * y).sum() / y.sum() == pytest.approx(angle_deg(2.5) + shift, abs=1e-4)


def test_axial_divergence_keeps_the_area_and_pulls_the_centroid(backend: str) -> None:
    x = GRID.two_theta_deg
    s, h = 0.02, 0.03
    d_A = 5.0
    y = draw(one_line(d_A), backend, **GAUSS, caglioti_w_deg2=0.0025, sample_over_l=s, detector_over_l=h)
    two_theta = np.radians(angle_deg(d_A))
    expected = angle_deg(d_A) - np.degrees((s * s + h * h) / 6 / np.tan(two_theta))
    assert (x * y).sum() / y.sum() == pytest.approx(expected, abs=0.002)
    assert y[x < angle_deg(d_A) - 0.2].sum() > 20 * y[x > angle_deg(d_A) + 0.2].sum()


def test_an_impurity_has_its_share(backend: str) -> None:
    main, other = one_line(3.0), one_line(1.5)
    record = to_record(Conditions.of(**GAUSS, caglioti_w_deg2=0.01, impurity_share=0.2))
    y = render([main], record, GRID, seed=0, impurities=[other], backend=backend)[0]  # type: ignore[arg-type]
    x = GRID.two_theta_deg
    low, high = (y[np.abs(x - angle_deg(d)) < 0.5].max() for d in (3.0, 1.5))
    assert high / low == pytest.approx(0.2 / 0.8, rel=0.005)
    alone = render([main], record, GRID, seed=0, backend=backend)[0]  # type: ignore[arg-type]
    assert alone[np.abs(x - angle_deg(1.5)) < 0.5].max() == pytest.approx(0, abs=1e-9)


def test_background_is_what_was_asked_for(backend: str) -> None:
    x = GRID.two_theta_deg
    y = draw(one_line(3.0), backend, **GAUSS, caglioti_w_deg2=0.01, chebyshev=(0.2, 0.1, 0.05),
             humps=((60.0, 10.0, 0.3),), air_scatter=0.4, air_decay_deg=5.0)  # fmt: skip
    t = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
    expected = 0.2 + 0.1 * t + 0.05 * (2 * t * t - 1) + 0.4 * np.exp(-x / 5)
    expected += 0.3 * np.exp(-4 * np.log(2) * ((x - 60) / 10) ** 2)
    far = np.abs(x - angle_deg(3.0)) > 1
    np.testing.assert_allclose(y[far], expected[far], atol=1e-5)


def test_noise_has_the_size_that_was_asked_for(backend: str) -> None:
    grid = Grid(start_deg=5.0, step_deg=0.01, points=8001, wavelength_A=1.54)
    quiet = {**GAUSS, "caglioti_w_deg2": 0.01}
    far = grid.two_theta_deg < 75
    phase = one_line(1.2)  # beyond the grid's quiet part
    y = draw(phase, backend, grid, **quiet, first_deg=5.0, last_deg=85.0, noise_sigma=0.01, chebyshev=(0.5,))
    y = y[far]
    assert y.std() == pytest.approx(0.01, rel=0.05)
    assert y.mean() == pytest.approx(0.5, abs=0.001)
    counted = draw(one_line(3.0), backend, grid, **quiet, chebyshev=(1.0,), counts_at_max=100.0)
    away = np.abs(grid.two_theta_deg - angle_deg(3.0)) > 2
    # Half of the strongest point is background: 50 counts, of which the scatter is a seventh.
    assert counted[away].std() / counted[away].mean() == pytest.approx(1 / np.sqrt(50), rel=0.05)


def test_what_is_not_measured_is_zero(backend: str) -> None:
    y = draw(one_line(3.0), backend, **SINGLE, first_deg=20.0, last_deg=60.0, noise_sigma=0.01, chebyshev=(0.5,))
    x = GRID.two_theta_deg
    assert not y[(x < 19.999) | (x > 60.001)].any()
    assert (y[(x > 20.001) & (x < 59.999)] != 0).all()


def test_a_range_without_lines_stays_empty(backend: str) -> None:
    below = Grid(start_deg=5.0, step_deg=0.02, points=500, wavelength_A=1.5418)
    noise = {"noise_sigma": 0.01, "chebyshev": (0.5,), "pedestal": 2.0}
    assert not draw(one_line(1.2), backend, below, **GAUSS, **noise).any()
    assert draw(one_line(8.0), backend, below, **GAUSS, **noise).all()
    assert not draw(one_line(3.0), backend, **GAUSS, **noise, first_deg=40.0, last_deg=60.0).any()


def test_strain_moves_lines_and_keeps_them_together(backend: str, rock_salt: Structure) -> None:
    phase = phase_of(rock_salt, d_min_A=1.0)
    y = draw(phase, backend, **GAUSS, caglioti_w_deg2=0.01, strain=(0.03, 0.0, 0.0, 0.0, 0.0, 0.0))
    # The mean over the cubic group makes 1 % of stretch along every axis (to first order) of 3 % along one.
    a = rock_salt.cell[0] * np.sqrt((1.03**2 + 2) / 3)
    assert GRID.two_theta_deg[y.argmax()] == pytest.approx(angle_deg(a / 2), abs=0.011)


def test_texture_favours_its_axis(backend: str, rock_salt: Structure) -> None:
    phase = phase_of(rock_salt, d_min_A=1.0)
    x = GRID.two_theta_deg
    plain = draw(phase, backend, **GAUSS, caglioti_w_deg2=0.01)
    textured = draw(phase, backend, **GAUSS, caglioti_w_deg2=0.01, texture_axis=(1, 1, 1), march_r=0.5)
    at = [np.abs(x - angle_deg(rock_salt.cell[0] / np.sqrt(n))).argmin() for n in (3, 4)]
    assert textured[at[0]] / textured[at[1]] > 3 * plain[at[0]] / plain[at[1]]


def test_offsets_need_atoms(backend: str, rock_salt: Structure) -> None:
    with pytest.raises(InputError, match="thermal offsets need its atoms"):
        draw(phase_of(rock_salt, d_min_A=1.0), backend, thermal_offset_A=0.1)


def test_a_wrong_backend_and_a_wrong_number_are_refused(make: Callable[..., Structure]) -> None:
    record = to_record(Conditions())
    with pytest.raises(InputError, match="backend 'cuda': choose one of numba, numpy, torch"):
        render([one_line()], record, GRID, seed=0, backend="cuda")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 phases, 2 records"):
        render([one_line()], np.concatenate([record, record]), GRID, seed=0)


def test_records_hold_every_condition() -> None:
    conditions = Conditions.of(
        march_r=0.5, chebyshev=(1.0, 2.0), humps=((20.0, 5.0, 0.1),), slits="automatic", rescale=True, raw_points=2,
        texture_axis=(1, 0, 2), strain=(0.1, 0.0, 0.0, 0.0, 0.0, -0.1),
    )  # fmt: skip
    record = to_record(conditions)
    assert record.dtype == RECORD
    assert from_record(record[0]) == conditions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ka1_A": 0.0}, "ka1_A = 0 A: must be at least 0.05"),
        ({"crystallite_size_nm": -1.0}, "crystallite_size_nm = -1 nm: must be above 0 nm"),
        ({"march_r": 0.0}, "march_r = 0: must be at least 0.05"),
        ({"noise_sigma": -0.1}, "noise_sigma = -0.1: must be at least 0"),
        ({"texture_axis": (0, 0, 0)}, "texture_axis = 0 0 0: is no direction"),
        ({"shape": "gauss"}, "shape = 'gauss': choose one of tch"),
        ({"shape": "gaussian"}, "size_shape = lorentzian gives a Lorentzian width, which it leaves out"),
        ({"mu_r": 1.0, "mu_t": 1.0}, "a specimen is a cylinder or flat"),
        ({"first_deg": 50.0, "last_deg": 20.0}, "first_deg = 50: must be below last_deg = 20"),
        ({"humps": ((20.0, 0.0, 0.1),)}, "the FWHM must be above 0"),
        ({"strain": (0.1, 0.1)}, "strain = .*give 6 numbers"),
        ({"strain": (float("nan"),) * 6}, "strain = nan"),
        ({"colour": 1.0}, "conditions have no field 'colour'"),
    ],
)
def test_impossible_conditions_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Conditions.of(**wrong)
