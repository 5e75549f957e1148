"""Least squares: derivatives, what is recovered from known patterns and how well, figures of merit, and bad input."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError, StructureError, WavelengthError
from powderlens.crystal.formats.amcsd import iter_amcsd
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.diffraction.conditions import Conditions, Counting, to_record
from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.profile import microstrain_fwhm_deg, scherrer_fwhm_deg
from powderlens.diffraction.protocol import parse_protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.read import read_pattern
from powderlens.pattern.wavelength import parse_radiation
from powderlens.refine.figure import plot_fit
from powderlens.refine.fit import _distinct_axes, _model, fit
from powderlens.refine.model import PROFILE, Model, invariant_strains
from powderlens.refine.protocol import protocol_text
from powderlens.refine.result import Fit, at_bounds, covariance
from powderlens.refine.search import counting_noise, estimate_sigma

CU = ANODES["Cu"]
GRID = Grid(start_deg=15.0, step_deg=0.02, points=3501, wavelength_A=CU.mean_A)
COUNTS = 20000.0
WANTED = Conditions.of(
    strain=(0.016, 0.016, -0.012, 0.0, 0.0, 0.0), zero_shift_deg=0.15, crystallite_size_nm=80.0, microstrain=8e-4,
    caglioti_u_deg2=0.03, caglioti_w_deg2=0.006, march_r=0.75, texture_axis=(0, 0, 1), u_overall_A2=0.012,
    chebyshev=(0.03, -0.01, 0.005),
)  # fmt: skip


def drawn(structure: Structure, conditions: Conditions, grid: Grid = GRID) -> np.ndarray:
    """By the readable renderer, which shares no code with the model of the fit."""
    phase = phase_of(structure, d_min_A=0.95, dispersion_wavelength_A=grid.wavelength_A)
    return render([phase], to_record(conditions), grid, seed=1, backend="numpy")[0]


def counted(clean: np.ndarray, seed: int, grid: Grid = GRID, *, given: bool = True) -> Pattern:
    mean = COUNTS * clean
    y = np.random.default_rng(seed).poisson(mean).astype(float)
    return Pattern(grid.two_theta_deg, y, grid.wavelength_A, np.sqrt(mean) if given else None, source="drawn")


def model_of(structure: Structure, *, terms: int = 4) -> Model:
    x = np.arange(20.0, 70.0, 0.02)
    return _model(structure, parse_radiation("CuKa"), Pattern(x, np.sin(x), CU.mean_A), terms, False)


@pytest.fixture(scope="module")
def quartz(minerals: dict[str, Structure]) -> Structure:
    return minerals["Quartz"]


@pytest.fixture(scope="module")
def clean(quartz: Structure) -> np.ndarray:
    return drawn(quartz, WANTED)


@pytest.fixture(scope="module")
def found(quartz: Structure, clean: np.ndarray) -> Fit:
    return fit(quartz, counted(clean, 1))


def test_strains_are_those_that_the_symmetry_allows(random_structure: Structure) -> None:
    system = {1: 6, 2: 6, 14: 4, 63: 3, 92: 2, 161: 2, 169: 2, 206: 1}
    rotations = np.unique(random_structure.rotations, axis=0)
    basis = invariant_strains(random_structure.lattice, rotations)
    assert len(basis) == system[random_structure.space_group or 0]
    cartesian = random_structure.lattice.T @ rotations @ np.linalg.inv(random_structure.lattice.T)
    for strain in basis:
        assert cartesian @ strain @ cartesian.transpose(0, 2, 1) == pytest.approx(
            np.broadcast_to(strain, cartesian.shape), abs=1e-9
        )
        assert np.abs(strain).max() == pytest.approx(1)
    flat = basis.reshape(len(basis), 9)
    assert np.linalg.matrix_rank(flat) == len(basis)


def test_a_strained_cell_keeps_its_system(random_structure: Structure) -> None:
    model = model_of(random_structure)
    values = model.start()
    values[: len(model.basis)] = np.linspace(-0.02, 0.03, len(model.basis))
    metric = model.metric(values)[0]
    for rotation in model.rotations:
        assert rotation.T @ metric @ rotation == pytest.approx(metric, abs=1e-9)
    # A lattice that has the symmetry only nearly, as relaxed ones do, gets it.
    crooked = replace(model, lattice=model.lattice + 1e-3 * np.arange(9.0).reshape(3, 3))
    metric = crooked.metric(values)[0]
    for rotation in model.rotations:
        assert rotation.T @ metric @ rotation == pytest.approx(metric, abs=1e-9)


@pytest.mark.parametrize("march_r", [0.8, 1.0])
def test_derivatives_agree_with_differences(random_structure: Structure, march_r: float) -> None:
    model = replace(model_of(random_structure), texture_axis=(1, 1, 2))
    values = model.start()
    values[: len(model.basis)] = np.linspace(0.001, 0.003, len(model.basis))
    for name, value in zip(PROFILE, (0.03, 0.05, 0.02, -0.008, 0.012, 0.05, 0.12, march_r, 0.01), strict=True):
        values[model.at(name)] = value
    values[model.at("scale") :] = 3.0, 0.5, -0.2, 0.1, 0.05
    jacobian = model.jacobian(values, np.arange(len(values)))
    for place, name in enumerate(model.names):
        step = 1e-6 * max(abs(values[place]), 0.01)
        above, below = values.copy(), values.copy()
        above[place] += step
        below[place] -= step
        slope = (model.calculate(above) - model.calculate(below)) / (2 * step)
        # The cell's influence on the angles of the texture is left out.
        tolerance = 0.01 if name.startswith("strain") and march_r != 1 else 1e-4
        # A cubic crystal's pattern does not change with r at r = 1.
        limit = max(tolerance * np.linalg.norm(slope), 1e-6)
        assert np.linalg.norm(jacobian[:, place] - slope) < limit, name


def test_the_conditions_give_the_calculated_pattern_again(found: Fit, quartz: Structure) -> None:
    quiet = replace(found.conditions, counting=Counting())
    top = (found.calculated - found.background).max()
    assert top * drawn(quartz, quiet) == pytest.approx(found.calculated, abs=1e-6 * top)


def test_known_parameters_are_recovered(found: Fit, quartz: Structure) -> None:
    degree = 180 / np.pi
    wanted = {
        "zero_shift_deg": 0.15,
        "caglioti_u_deg2": 0.03,
        "caglioti_w_deg2": 0.006,
        "lorentz_x_deg": degree * 0.9 * CU.ka1_A / 800,
        "lorentz_y_deg": degree * 4 * 8e-4,
        "march_r": 0.75,
        "u_overall_A2": 0.012,
    }
    assert found.texture_axis == (0, 0, 1)
    for name, value in wanted.items():
        parameter = found.parameter(name)
        assert parameter.uncertainty is not None, name
        assert abs(parameter.value - value) < 3.5 * parameter.uncertainty, name
        assert parameter.uncertainty < max(0.6 * abs(value), 0.01), name
    cell = np.array(quartz.cell) * (1.016, 1.016, 0.988, 1, 1, 1)
    for value, uncertainty, true in zip(found.cell[:3], found.cell_uncertainty[:3], cell[:3], strict=True):
        assert uncertainty is not None
        assert abs(value - true) < 3 * uncertainty < 1e-3
    assert found.cell[3:] == pytest.approx((90, 90, 120), abs=1e-9)
    assert found.cell_uncertainty[3:] == (0, 0, 0)
    assert found.chi2 == pytest.approx(1, abs=0.1)
    assert found.sigma_given
    assert found.warnings == ()


def test_the_conditions_are_those_of_the_pattern(found: Fit) -> None:
    conditions = found.conditions
    assert conditions.specimen.strain == pytest.approx(WANTED.specimen.strain, abs=2e-4)
    assert conditions.profile.crystallite_size_nm == pytest.approx(80, rel=0.15)
    assert conditions.source.ka2_A == CU.ka2_A
    # Counted, with its background: variance grows as the intensity.
    counting = conditions.counting
    top = (found.calculated - found.background).max()
    made = counting.noise_sigma**2 * (1 + np.array([0.03, 0.5]) / counting.background_share)
    assert made == pytest.approx(np.array([0.03, 0.5]) / top, rel=0.35)


def test_sizes_are_those_of_the_width_formulas(found: Fit) -> None:
    assert found.crystallite_size_nm is not None
    assert found.microstrain is not None
    angle = np.array([60.0])
    cosine, tangent = np.cos(np.radians(30)), np.tan(np.radians(30))
    size, spread = found.crystallite_size_nm
    assert scherrer_fwhm_deg(angle, CU.ka1_A, size)[0] == pytest.approx(found.parameter("lorentz_x_deg").value / cosine)
    assert spread / size == pytest.approx(
        found.parameter("lorentz_x_deg").uncertainty / found.parameter("lorentz_x_deg").value  # type: ignore[operator]
    )
    assert microstrain_fwhm_deg(angle, found.microstrain[0])[0] == pytest.approx(
        found.parameter("lorentz_y_deg").value * tangent
    )


def test_figures_of_merit_by_their_definitions(found: Fit) -> None:
    y, c, b, w = found.pattern.intensity, found.calculated, found.background, found.sigma**-2
    free = sum(p.state in ("refined", "at its bound") for p in found.parameters)
    assert found.r_p == pytest.approx(np.abs(y - c).sum() / y.sum())
    assert found.r_wp == pytest.approx(np.sqrt((w * (y - c) ** 2).sum() / (w * y**2).sum()))
    assert found.r_wp_above_background == pytest.approx(np.sqrt((w * (y - c) ** 2).sum() / (w * (y - b) ** 2).sum()))
    assert found.r_expected == pytest.approx(np.sqrt((len(y) - free) / (w * y**2).sum()))
    assert found.chi2 == pytest.approx((found.r_wp / found.r_expected) ** 2)


def test_the_cell_scatters_as_its_uncertainty_says(minerals: dict[str, Structure]) -> None:
    grid = Grid(start_deg=40.0, step_deg=0.04, points=1000, wavelength_A=CU.ka1_A)
    rutile = minerals["Rutile"]
    clean = drawn(rutile, Conditions.of(ka2_ratio=0.0, caglioti_w_deg2=0.01, chebyshev=(0.05,)), grid)
    scores = []
    for seed in range(30):
        found = fit(rutile, counted(clean, seed, grid), texture=False, background_terms=2)
        for k in (0, 2):
            assert found.cell_uncertainty[k] is not None
            scores.append((found.cell[k] - rutile.cell[k]) / found.cell_uncertainty[k])
    assert np.abs(scores).max() < 3
    assert 0.7 < np.std(scores) < 1.3
    assert abs(np.mean(scores)) < 0.5


@pytest.mark.parametrize(("percent", "shift_deg"), [(-2.0, 0.2), (2.0, 0.2)])
def test_a_start_two_per_cent_away(random_structure: Structure, percent: float, shift_deg: float) -> None:
    still = replace(random_structure, name="still")
    grid = Grid(start_deg=10.0, step_deg=0.02, points=3501, wavelength_A=CU.mean_A)
    clean = drawn(still, Conditions.of(zero_shift_deg=shift_deg, chebyshev=(0.02,), caglioti_w_deg2=0.01), grid)
    basis = invariant_strains(still.lattice, np.unique(still.rotations, axis=0))
    signs = np.array([1, -1, 1, -1, 1, -1])[: len(basis)]
    strain = np.tensordot(percent / 100 * signs, basis, axes=1)
    away = replace(still, lattice=still.lattice @ (np.eye(3) + strain))
    found = fit(away, counted(clean, 1, grid), texture=False)
    assert found.chi2 < 1.2
    assert np.array(found.cell[:3]) == pytest.approx(np.array(still.cell[:3]), rel=1e-3)
    assert found.parameter("zero_shift_deg").value == pytest.approx(shift_deg, abs=0.02)


def test_a_displacement_is_told_from_a_zero_shift_only_by_asking(quartz: Structure) -> None:
    clean = drawn(quartz, Conditions.of(displacement_mm=0.1, chebyshev=(0.02,)))
    pattern = counted(clean, 3)
    one, both = fit(quartz, pattern, shift="displacement"), fit(quartz, pattern, shift="both")
    assert one.parameter("displacement_mm").value == pytest.approx(0.1, abs=0.01)
    assert one.parameter("zero_shift_deg").state == "fixed"
    assert one.conditions.geometry.displacement_mm == one.parameter("displacement_mm").value
    assert any("zero_shift_deg and displacement_mm go together" in warning for warning in both.warnings)
    assert both.parameter("displacement_mm").uncertainty > 10 * one.parameter("displacement_mm").uncertainty  # type: ignore[operator]


def test_nothing_moves_the_lines_when_asked(quartz: Structure, clean: np.ndarray) -> None:
    found = fit(quartz, counted(clean, 1), shift="none", texture=False)
    for name in ("zero_shift_deg", "displacement_mm", "march_r"):
        assert found.parameter(name).state == "fixed"
    assert found.parameter("zero_shift_deg").value == 0
    assert found.texture_axis is None


def test_a_synchrotron_pattern(quartz: Structure) -> None:
    grid = Grid(start_deg=5.0, step_deg=0.004, points=4000, wavelength_A=0.61992)
    conditions = Conditions.of(
        ka1_A=0.61992, ka2_ratio=0.0, strain=(-0.015, -0.015, 0.01, 0, 0, 0), caglioti_w_deg2=1e-4, chebyshev=(0.02,)
    )
    phase = phase_of(quartz, d_min_A=0.8, dispersion_wavelength_A=0.61992)
    clean = render([phase], to_record(conditions), grid, seed=1, backend="numpy")[0]
    found = fit(quartz, counted(clean, 1, grid))
    assert found.cell[:3] == pytest.approx(np.array(quartz.cell[:3]) * (0.985, 0.985, 1.01), rel=1e-4)
    assert found.chi2 < 1.1


def test_uncertainties_are_estimated_where_none_are_given(quartz: Structure, clean: np.ndarray, found: Fit) -> None:
    estimated = fit(quartz, counted(clean, 1, given=False))
    assert not estimated.sigma_given
    assert np.median(estimated.sigma / found.sigma) == pytest.approx(1, abs=0.1)
    assert estimated.sigma[clean > 0.2] == pytest.approx(found.sigma[clean > 0.2], rel=0.25)
    assert estimated.chi2 == pytest.approx(1, abs=0.25)
    assert estimated.cell == pytest.approx(found.cell, rel=1e-4)
    assert "sigma estimated" in estimated.text
    assert "sigma as given" in found.text


@pytest.mark.parametrize(("subtracted", "background"), [(0.0, 400.0), (400.0, 400.0), (30.0, 30.0)])
def test_noise_is_that_of_counting(clean: np.ndarray, subtracted: float, background: float) -> None:
    lines = 9000 * (clean - clean.min())
    y = np.random.default_rng(4).poisson(lines + background) / 4.0 - subtracted / 4
    floor, gain = counting_noise(y)
    # y = n / 4 - s / 4 has the variance n / 16 = (y + s / 4) / 4.
    for level in (background / 4 - subtracted / 4, 500.0):
        assert floor + gain * level == pytest.approx((level + subtracted / 4) / 4, rel=0.3)


def test_data_without_noise_get_weights_too(clean: np.ndarray) -> None:
    smooth = np.sin(np.linspace(0, 3, 2000))
    assert counting_noise(smooth)[0] < 1e-9
    sigma, floor, gain = estimate_sigma(smooth)
    assert (sigma > 0).all()
    assert floor > 0
    assert gain > 0
    assert counting_noise(np.zeros(1000)) == (0.0, 0.0)


def test_points_without_weight_are_left_out(quartz: Structure, clean: np.ndarray) -> None:
    pattern = counted(clean, 1)
    assert pattern.sigma is not None
    sigma, y = pattern.sigma.copy(), pattern.intensity.copy()
    sigma[1000:1010], y[1000:1010] = 0.0, 1e6
    found = fit(quartz, replace(pattern, sigma=sigma, intensity=y))
    assert len(found.pattern.two_theta_deg) == len(y) - 10
    assert found.chi2 < 1.1


def test_a_width_that_is_not_there_ends_at_its_bound(minerals: dict[str, Structure]) -> None:
    clean = drawn(
        minerals["Halite"], Conditions.of(crystallite_size_nm=np.inf, caglioti_w_deg2=0.02, chebyshev=(0.02,))
    )
    found = fit(minerals["Halite"], counted(clean, 5), texture=False)
    stopped = [p.name for p in found.parameters if p.state == "at its bound"]
    assert {"lorentz_x_deg", "lorentz_y_deg"} & set(stopped)
    assert not any("bound" in warning for warning in found.warnings)
    assert "  at its bound" in found.text
    if "lorentz_x_deg" in stopped:
        assert found.crystallite_size_nm is None
    assert found.conditions.profile.caglioti_w_deg2 == pytest.approx(0.02, rel=0.1)


def test_bounds_and_lost_parameters() -> None:
    jacobian = np.stack([np.arange(50.0), np.arange(50.0) ** 2, 2 * np.arange(50.0) ** 2, np.zeros(50)], axis=1)
    matrix, lost = covariance(jacobian[:, :2], 2.0)
    assert matrix == pytest.approx(2 * np.linalg.inv(jacobian[:, :2].T @ jacobian[:, :2]), rel=1e-9)
    assert not lost.any()
    assert covariance(jacobian, 1.0)[1].tolist() == [False, True, True, True]


def test_values_at_bounds(quartz: Structure) -> None:
    model = model_of(quartz)
    values = model.start()
    values[model.at("u_overall_A2")] = 1e-9
    values[model.at("lorentz_x_deg")] = 0.3
    assert at_bounds(model, values, np.arange(len(values)))[-1] == model.at("u_overall_A2")
    assert model.at("lorentz_x_deg") not in at_bounds(model, values, np.arange(len(values)))


def test_another_structure_is_said_not_to_be_there(minerals: dict[str, Structure], clean: np.ndarray) -> None:
    found = fit(minerals["Calcite"], counted(clean, 1))
    assert found.unexplained > 0.7
    assert any("does not seem to hold Calcite" in warning for warning in found.warnings)
    assert any("at a bound: " in warning or "the cell would move" in warning for warning in found.warnings)


def test_noise_alone(quartz: Structure) -> None:
    rng = np.random.default_rng(1)
    found = fit(quartz, Pattern(GRID.two_theta_deg, rng.normal(100, 3, GRID.points), CU.mean_A))
    assert any("does not seem to hold Quartz" in warning for warning in found.warnings)


def test_equal_axes_are_tried_once(rock_salt: Structure, random_structure: Structure) -> None:
    assert _distinct_axes(model_of(rock_salt)) == [(0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 0, 4)]
    axes = _distinct_axes(model_of(random_structure))
    assert len(axes) == len(set(axes)) <= 8
    assert axes[0] == (0, 0, 1)


def test_the_texture_axis_can_be_chosen(quartz: Structure, clean: np.ndarray, found: Fit) -> None:
    other = fit(quartz, counted(clean, 1), texture_axis=(1, 0, 0))
    assert other.texture_axis == other.conditions.specimen.texture_axis == (1, 0, 0)
    assert other.chi2 > 1.5 * found.chi2


def test_a_part_of_the_range(quartz: Structure, clean: np.ndarray) -> None:
    found = fit(quartz, counted(clean, 1), two_theta_deg=(19.0, 62.0))
    assert found.pattern.two_theta_deg[[0, -1]] == pytest.approx([19, 62])
    assert found.line_deg.min() > 19
    assert found.line_deg.max() < 62
    assert found.chi2 < 1.15


def test_the_whole_as_json_and_text(found: Fit) -> None:
    import json

    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert said["cell"]["a_A"] == found.cell[0]
    assert said["texture_axis"] == [0, 0, 1]
    assert {p["name"] for p in said["parameters"]} >= set(PROFILE)
    assert said["conditions"]["march_r"] == found.parameter("march_r").value
    for words in (
        "Rp ",
        "Rwp ",
        "Rexp ",
        "chi^2 ",
        "crystallite size",
        "microstrain",
        "by symmetry",
        "march_r along 0 0 1",
    ):
        assert words in found.text
    with pytest.raises(KeyError):
        found.parameter("nothing")


def test_the_conditions_as_a_protocol(found: Fit) -> None:
    protocol = parse_protocol(protocol_text(found), "made")
    assert protocol.conditions(0) == found.conditions
    assert protocol.grid.two_theta_deg == pytest.approx(GRID.two_theta_deg)
    assert protocol.dispersion_wavelength_A == pytest.approx(GRID.wavelength_A)
    odd = replace(found, structure=replace(found.structure, name='2 "µ"\n\x7f'))
    assert parse_protocol(protocol_text(odd), "made").summary == 'Conditions of 2 "µ"   as measured'


@pytest.mark.parametrize("name", ["fit.png", "fit.svg", "fit.pdf"])
def test_a_picture(found: Fit, tmp_path: Path, name: str) -> None:
    plot_fit(found, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"two_theta_deg": (1, 2)}, "points with weight in the range"),
        ({"two_theta_deg": (30, 20)}, "the smaller first"),
        ({"two_theta_deg": (26, 28)}, "points for 2. parameters"),
        ({"two_theta_deg": (15, 19.5)}, "no reflection from 15 to 19.5 degrees"),
        ({"background_terms": 0}, "give 1 to 24"),
        ({"background_terms": 25}, "give 1 to 24"),
        ({"shift": "some"}, "choose one of"),
        ({"texture": False, "texture_axis": (0, 0, 1)}, "without texture"),
        ({"texture_axis": (0, 0, 0)}, "is no direction"),
        ({"wavelength": "Xx"}, "is not understood"),
    ],
)
def test_options_that_cannot_be(quartz: Structure, clean: np.ndarray, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        fit(quartz, counted(clean, 1), **options)
    assert "\n" not in str(caught.value)


def test_patterns_that_cannot_be_fitted(quartz: Structure, clean: np.ndarray, make: Callable[..., Structure]) -> None:
    pattern = counted(clean, 1)
    with pytest.raises(WavelengthError, match="no wavelength is known"):
        fit(quartz, replace(pattern, wavelength_A=None))
    with pytest.raises(InputError, match="0 points with weight"):
        fit(quartz, replace(pattern, sigma=np.zeros(len(clean))))
    flat = np.where(np.arange(len(clean)) < 2000, 5.0, pattern.intensity)
    with pytest.raises(InputError, match="every intensity in the range is 5"):
        fit(quartz, replace(pattern, intensity=flat), two_theta_deg=(16, 40))
    large = make("P 1", (90.0, 91.0, 92.0, 90.0, 90.0, 90.0), [("C", (0.1, 0.2, 0.3))])
    with pytest.raises(InputError, match="families of reflections"):
        fit(large, pattern)
    with pytest.raises(StructureError):
        fit("nowhere.cif", pattern)


def test_quartz_of_rruff(root: Path) -> None:
    """The header's cell comes from RRUFF's own refinement: 4.9134, 5.4042."""
    found = fit(root / "examples" / "quartz.cif", read_pattern(root / "examples" / "quartz.txt", "CuKa"))
    assert found.cell[:3] == pytest.approx((4.9134, 4.9134, 5.4042), rel=2e-4)
    assert found.r_wp < 0.37
    assert found.unexplained < 0.4


@pytest.mark.data
def test_rutile_of_rruff(data: Path) -> None:
    """87 % rutile, 13 % hematite: what is not rutile must not move the cell, 4.5955 and 2.9598 in the header."""
    (file,) = (data / "patterns" / "rruff-original").glob("Rutile*")
    rutile = next(
        s for s in iter_amcsd(data / "crystals" / "amcsd.db") if isinstance(s, Structure) and s.name == "Rutile"
    )
    found = fit(rutile, read_pattern(file, "CuKa"))
    assert found.cell[:3] == pytest.approx((4.5955, 4.5955, 2.9598), rel=3e-4)


def test_a_structure_without_operators(minerals: dict[str, Structure]) -> None:
    rutile = minerals["Rutile"]
    bare = replace(rutile, rotations=np.eye(3, dtype=np.int64)[None], translations=np.zeros((1, 3)), space_group=None)
    bare = replace(bare, lattice=lattice_from_cell(np.array(rutile.cell) * (1.01, 1.01, 0.99, 1, 1, 1)))
    clean = drawn(rutile, Conditions.of(chebyshev=(0.02,)))
    found = fit(bare, counted(clean, 1), texture=False)
    assert found.structure.space_group == 136
    assert found.cell[0] == pytest.approx(rutile.cell[0], rel=2e-4)
    assert sum(p.name.startswith("strain") for p in found.parameters) == 2
