"""Three backends, one truth: the same patterns from NumPy, numba and torch, under every setting and every protocol.

NumPy is the one to read, so the others are held against it: numba within 1e-6 of the maximum, torch within 1e-4 (it
draws in float32; in float64 within 1e-9).
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction import noise
from powderlens.diffraction.conditions import FIELDS, Conditions, to_record
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import load_protocol, protocol_names
from powderlens.diffraction.render import BACKENDS, RenderBackend, render
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=5.0, step_deg=0.05, points=1601, wavelength_A=1.5405929)
SEED, FIRST = 2**40 + 11, 2**33 + 5
TOLERANCE = {"numba": 1e-6, "torch": 1e-4}

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "wavelength": {"ka1_A": 1.7889, "ka2_A": 1.7928},
    "single line": {"ka2_ratio": 0.0},
    "K-beta leak": {"kbeta_ratio": 0.03, "kbeta_A": 1.40},
    "monochromator": {"monochromator_deg": 26.6},
    "synchrotron": {"polarised_share": 0.95},
    "zero shift": {"zero_shift_deg": -0.12},
    "displacement": {"displacement_mm": 0.3, "radius_mm": 150.0},
    "transparency": {"transparency_mm": 1.5},
    "automatic slits": {"slits": "automatic"},
    "tilt": {"slit_tilt": 0.5},
    "axial divergence": {"sample_over_l": 0.03, "detector_over_l": 0.02},
    "axial divergence of one height": {"sample_over_l": 0.03},
    "axial divergence of sharp lines": {
        "sample_over_l": 0.06, "detector_over_l": 0.06, "caglioti_w_deg2": 1e-4, "crystallite_size_nm": 2000.0,
    },
    "instrument": {
        "caglioti_u_deg2": 0.02, "caglioti_v_deg2": -0.01, "caglioti_w_deg2": 0.012, "lorentz_x_deg": 0.02,
        "lorentz_y_deg": 0.05,
    },
    "negative width": {"caglioti_v_deg2": -0.05},
    "size": {"crystallite_size_nm": 12.0, "scherrer_k": 1.1, "size_shape": "both"},
    "no size": {"crystallite_size_nm": np.inf},
    "microstrain": {"microstrain": 0.006, "strain_shape": "both"},
    "pseudo-Voigt": {"shape": "pseudo-voigt", "eta": 0.3, "size_shape": "gaussian"},
    "Gaussian": {
        "shape": "gaussian", "size_shape": "gaussian", "crystallite_size_nm": 30.0, "microstrain": 0.003,
        "strain_shape": "gaussian",
    },
    "Lorentzian": {"shape": "lorentzian", "caglioti_w_deg2": 0.0, "lorentz_x_deg": 0.06},
    "Voigt": {"shape": "voigt", "lorentz_x_deg": 0.04},
    "Voigt, nearly Gaussian": {"shape": "voigt", "crystallite_size_nm": 1e5, "caglioti_w_deg2": 0.04},
    "Voigt, purely Lorentzian": {"shape": "voigt", "caglioti_w_deg2": 0.0, "lorentz_x_deg": 0.3},
    "widths of zero": {"caglioti_w_deg2": 0.0, "crystallite_size_nm": np.inf, "zero_shift_deg": 0.013},
    "texture": {"march_r": 0.5, "texture_axis": (1, 1, 0)},
    "needles": {"march_r": 2.5},
    "jitter": {"intensity_jitter": 0.8},
    "perturbation": {"intensity_perturbation": 0.4},
    "strain": {"strain": (0.01, -0.012, 0.008, 0.004, 0.006, -0.005)},
    "thermal offsets": {"thermal_offset_A": 0.4},
    "overall displacement": {"u_overall_A2": 0.02},
    "Debye": {"debye_temperature_K": 180.0, "temperature_K": 600.0},
    "cylinder": {"mu_r": 1.8},
    "plate": {"mu_t": 0.2},
    "impurity": {"impurity_share": 0.3},
    "impurity of everything": {
        "impurity_share": 0.3, "thermal_offset_A": 0.2, "intensity_jitter": 0.5, "intensity_perturbation": 0.3,
        "march_r": 0.7, "debye_temperature_K": 250.0, "sample_over_l": 0.02,
    },
    "Chebyshev": {"chebyshev": (0.1, -0.05, 0.02, 0.01, -0.01)},
    "humps": {"humps": ((22.0, 8.0, 0.2), (60.0, 3.0, 0.1))},
    "air": {"air_scatter": 0.5, "air_decay_deg": 6.0},
    "Poisson": {"counts_at_max": 400.0, "chebyshev": (0.05,)},
    "many counts": {"counts_at_max": 1e5},
    "noise": {"noise_sigma": 0.02},
    "subtracted background": {
        "noise_sigma": 0.01, "background_share": 0.1, "pedestal": 1.5, "below_zero": "cut", "raw_points": 2,
    },
    "folded": {"noise_sigma": 0.01, "pedestal": 1.2, "below_zero": "fold", "raw_points": 2},
    "multiplicative noise": {"multiplicative_sigma": 0.05, "chebyshev": (0.1,)},
    "rescaled": {"rescale": True, "counts_at_max": 900.0, "noise_sigma": 0.02, "chebyshev": (0.05,)},
    "part of the range": {"first_deg": 24.0, "last_deg": 61.0, "noise_sigma": 0.01},
    "nothing measured": {"first_deg": 2.0, "last_deg": 3.0, "noise_sigma": 0.01, "chebyshev": (0.1,)},
}  # fmt: skip
LIMITS = ("Gaussian", "Lorentzian", "Voigt, nearly Gaussian", "Voigt, purely Lorentzian")
"""Here the default shape, Thompson, Cox and Hastings, is the same one."""
EFFECTS = [(case, field) for case, values in CASES.items() for field in values if case != "nothing measured"]


def installed(backend: str) -> RenderBackend:
    """The backend, where what it needs is there."""
    if backend == "torch":
        pytest.importorskip("torch")
    return backend  # type: ignore[return-value]


@pytest.fixture(scope="module")
def crystals(minerals: dict[str, Structure], root: Path) -> list[Structure]:
    """Cubic with isotropic displacements, trigonal with tensors, polar orthorhombic, monoclinic, triclinic."""
    halite, calcite = minerals["Halite"], minerals["Calcite"]
    u = np.where(np.array(calcite.elements) == "O", 0.02, 0.01)
    reciprocal = np.linalg.inv(calcite.lattice @ calcite.lattice.T)
    # Shorter along c: symmetric in any trigonal group.
    tensors = 2 * np.pi**2 * u[:, None, None] * reciprocal * np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0.5]])
    files = [read_structure(root / "tests" / "golden" / "cif" / f"{number}.cif") for number in (26, 10, 2)]
    return [
        replace(halite, u_iso_A2=np.full(len(halite.elements), 0.015)),
        replace(calcite, u_iso_A2=u, beta=tensors),
        *files,
    ]


@pytest.fixture(scope="module")
def phases(crystals: list[Structure]) -> list[Phase]:
    """The same, ready to be drawn; the even ones with dispersion."""
    made = [
        phase_of(crystal, d_min_A=1.0, dispersion_wavelength_A=None if i % 2 else 1.5406, offsets=True)
        for i, crystal in enumerate(crystals)
    ]
    assert [len(phase.rotations) for phase in made] == [48, 12, 4, 4, 2]
    assert made[0].atoms is not None
    assert made[0].atoms.u_iso_A2.all()
    assert made[1].atoms is not None
    assert len(made[1].atoms.beta)
    return made


@pytest.fixture(scope="module")
def draw(phases: list[Phase]) -> Callable[..., np.ndarray]:
    """All phases under the same conditions, each with the next one as an impurity."""

    def drawn(backend: str, values: dict[str, Any], seed: int = SEED) -> np.ndarray:
        records = to_record([Conditions.of(**values)] * len(phases))
        seconds = [*phases[1:], phases[0]]
        return render(phases, records, GRID, seed=seed, index=FIRST, impurities=seconds, backend=installed(backend))

    return drawn


@pytest.fixture(scope="module")
def truth(draw: Callable[..., np.ndarray]) -> Callable[[str], np.ndarray]:
    """What NumPy draws for a case, once."""
    known: dict[str, np.ndarray] = {}

    def of(case: str) -> np.ndarray:
        if case not in known:
            known[case] = draw("numpy", CASES[case])
        return known[case]

    return of


def assert_same(found: np.ndarray, true: np.ndarray, tolerance: float, counts: np.ndarray) -> None:
    """Within a share of the maximum; in float32 a Poisson count may be one off, in one of 500 points."""
    assert found.shape == true.shape
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    top = np.abs(true).max(axis=1, keepdims=True)
    off = np.abs(found - true)
    wrong = off > tolerance * top
    if tolerance < 1e-5:
        assert not wrong.any(), (off / np.where(top > 0, top, 1)).max()
        return
    for row, mistakes, height, number in zip(off, wrong, top[:, 0], counts, strict=True):
        assert mistakes.sum() <= (0.002 * len(row) if number > 0 else 0), (row.max() / height, int(mistakes.sum()))
        assert row.max() <= tolerance * height + (1.5 * height / number if number > 0 else 0)


# --- the same pattern on all backends ---


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_every_setting_gives_the_same_pattern(backend: str, case: str, draw, truth) -> None:
    counts = np.full(5, CASES[case].get("counts_at_max", 0.0))
    assert_same(draw(backend, CASES[case]), truth(case), TOLERANCE[backend], counts)


@pytest.mark.parametrize("case", CASES)
def test_torch_in_double_precision_is_as_numpy(case: str, truth, phases: list[Phase]) -> None:
    torch = pytest.importorskip("torch")
    from powderlens.diffraction.render_torch import render as draw_torch

    records = to_record([Conditions.of(**CASES[case])] * len(phases))
    seconds = [*phases[1:], phases[0]]
    found = draw_torch(phases, records, GRID, SEED, FIRST + np.arange(len(phases)), seconds, dtype=torch.float64)
    assert_same(found, truth(case), 1e-9, np.zeros(len(phases)))


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_batch_of_all_settings_is_as_each_alone(backend: str, draw, phases: list[Phase]) -> None:
    records = to_record([Conditions.of(**values) for values in CASES.values()])
    many = [phases[2]] * len(CASES)
    index = np.full(len(CASES), FIRST + 2)
    together = render(
        many, records, GRID, seed=SEED, index=index, impurities=[phases[3]] * len(CASES), backend=installed(backend)
    )
    for values, row in zip(CASES.values(), together, strict=True):
        alone = draw(backend, values)[2]
        np.testing.assert_allclose(row, alone, rtol=0, atol=(0 if backend == "numba" else 2e-6) * np.abs(alone).max())


@pytest.fixture(scope="module")
def under_protocol(crystals: list[Structure]) -> Callable[[str, str], tuple[np.ndarray, np.ndarray]]:
    """Ten patterns under a protocol and their greatest counts; those of NumPy are drawn once."""
    known: dict[str, np.ndarray] = {}

    def of(name: str, backend: str) -> tuple[np.ndarray, np.ndarray]:
        protocol = load_protocol(name)
        records = protocol.draw(SEED, 10)
        if name in known and backend == "numpy":
            return known[name], records["counts_at_max"]
        ready = [
            phase_of(
                crystal,
                d_min_A=protocol.d_min_A,
                dispersion_wavelength_A=protocol.dispersion_wavelength_A,
                table=protocol.form_factors,
                offsets=protocol.wants_offsets,
            )
            for crystal in crystals
        ]
        many, seconds = ready * 2, (ready[1:] + ready[:1]) * 2
        drawn = render(many, records, protocol.grid, seed=SEED, impurities=seconds, backend=installed(backend))
        if backend == "numpy":
            known[name] = drawn
        return drawn, records["counts_at_max"]

    return of


@pytest.mark.parametrize("name", protocol_names())
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_every_protocol_gives_the_same_patterns(backend: str, name: str, under_protocol) -> None:
    found, counts = under_protocol(name, backend)
    assert_same(found, under_protocol(name, "numpy")[0], TOLERANCE[backend], counts)


# --- no setting is without effect ---


def test_every_field_of_the_conditions_is_switched_on_in_some_case() -> None:
    used = {field for case, values in CASES.items() if case != "nothing measured" for field in values}
    assert used == set(FIELDS)


@pytest.mark.parametrize("case", [case for case in CASES if case != "default"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_case_changes_the_pattern(backend: str, case: str, draw, truth) -> None:
    found = truth(case) if backend == "numpy" else draw(backend, CASES[case])
    changed = np.abs(found - truth("default")).max(axis=1)
    if case == "thermal offsets":
        assert changed[[0, 3]].max() < 1e-4  # the sites of these crystals leave no freedom
        changed = changed[[1, 2, 4]]
    assert (changed > 1e-3).all()


@pytest.mark.parametrize(("case", "field"), EFFECTS)
def test_every_field_of_a_case_has_an_effect(case: str, field: str, draw) -> None:
    rest = {name: value for name, value in CASES[case].items() if name != field}
    try:
        Conditions.of(**rest)
    except InputError:
        return  # the shape cannot do without it
    changed = np.abs(draw("numba", CASES[case]) - draw("numba", rest)).max()
    if field == "shape" and case in LIMITS:
        assert changed < 1e-3
    else:
        assert changed > 1e-3


# --- addresses ---

EVERYTHING = {
    "intensity_jitter": 0.5, "intensity_perturbation": 0.3, "thermal_offset_A": 0.1, "impurity_share": 0.2,
    "counts_at_max": 300.0, "noise_sigma": 0.01, "multiplicative_sigma": 0.02, "raw_points": 2, "chebyshev": (0.05,),
}  # fmt: skip
RANDOM = [
    {"intensity_jitter": 0.5},
    {"intensity_perturbation": 0.3},
    {"thermal_offset_A": 0.2},
    {"counts_at_max": 300.0},
    {"noise_sigma": 0.01},
    {"multiplicative_sigma": 0.05},
    {"impurity_share": 0.4, "intensity_jitter": 0.5},
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pattern_is_known_by_its_number(backend: str, phases: list[Phase]) -> None:
    backend = installed(backend)
    records = np.repeat(to_record(Conditions.of(**EVERYTHING)), 5)
    seconds = [*phases[1:], phases[0]]
    numbers = np.array([3, 0, 2**62, 77, 2**32])

    def drawn(rows: list[int], index: int | np.ndarray) -> np.ndarray:
        return render(
            [phases[i] for i in rows], records[rows], GRID, seed=SEED, index=index,
            impurities=[seconds[i] for i in rows], backend=backend,
        )  # fmt: skip

    together = drawn([0, 1, 2, 3, 4], numbers)
    rounding = 0 if backend != "torch" else 2e-6
    shuffled = [4, 2, 0, 3, 1]
    np.testing.assert_allclose(drawn(shuffled, numbers[shuffled]), together[shuffled], rtol=0, atol=rounding)
    for i, number in enumerate(numbers):
        np.testing.assert_allclose(drawn([i], int(number))[0], together[i], rtol=0, atol=rounding)
    counted_on = drawn([0, 1, 2], 40)
    np.testing.assert_allclose(drawn([1, 2], 41), counted_on[1:], rtol=0, atol=rounding)


@pytest.mark.parametrize("values", RANDOM, ids=lambda values: " ".join(values))
@pytest.mark.parametrize("backend", BACKENDS)
def test_seeds_and_numbers_make_a_difference(backend: str, values: dict[str, float], phases: list[Phase]) -> None:
    backend = installed(backend)
    records = np.repeat(to_record(Conditions.of(**values)), 1)
    # With a share the second phase alone must differ: the first has one line on this grid.
    first, second = ([phases[4]], None) if "impurity_share" not in values else ([phases[4]], [phases[3]])

    def drawn(seed: int, index: int) -> np.ndarray:
        return render(first, records, GRID, seed=seed, index=index, impurities=second, backend=backend)

    base = drawn(1, 0)
    assert (drawn(1, 0) == base).all()
    for seed, index in ((2, 0), (1 + 2**32, 0), (1, 1), (1, 2**32)):
        assert np.abs(drawn(seed, index) - base).max() > 1e-3


def test_a_second_phase_has_streams_of_its_own(phases: list[Phase]) -> None:
    # Twice the same crystal: with the same numbers the mixture would be the crystal itself.
    for values in ({"intensity_jitter": 0.5}, {"intensity_perturbation": 0.4}, {"thermal_offset_A": 0.2}):
        for backend in BACKENDS:
            records = to_record(Conditions.of(impurity_share=0.5, **values))
            one, two = (
                render([phases[4]], records, GRID, seed=3, impurities=[second], backend=installed(backend))
                for second in (None, phases[4])
            )
            assert np.abs(one - two).max() > 1e-3


def test_threads_and_processes_give_the_same_bytes(phases: list[Phase]) -> None:
    records = np.repeat(to_record(Conditions.of(**EVERYTHING, sample_over_l=0.02, march_r=0.7)), 24)
    many, seconds = [phases[i % 5] for i in range(24)], [phases[(i + 1) % 5] for i in range(24)]
    true = render(many, records, GRID, seed=SEED, impurities=seconds)

    def piece(pool: Any, rows: range) -> Any:
        return pool.submit(
            render, [many[i] for i in rows], records[list(rows)], GRID, seed=SEED, index=np.array(rows),
            impurities=[seconds[i] for i in rows],
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        threaded = [(rows, piece(pool, rows)) for rows in (range(i, 24, 8) for i in range(8))]
        for rows, future in threaded:
            assert future.result().tobytes() == true[list(rows)].tobytes()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        for rows, future in [(rows, piece(processes, rows)) for rows in (range(0, 24, 2), range(1, 24, 2))]:
            assert future.result().tobytes() == true[list(rows)].tobytes()


# --- torch alone: random numbers, and batches for a training step ---


def test_torch_reads_the_same_random_numbers() -> None:
    torch = pytest.importorskip("torch")
    from powderlens.diffraction import torch_random

    index = np.array([0, 1, 2**31, 2**32, 2**32 + 1, 2**62 + 12345])
    for seed in (0, 1, 2**32 - 1, 2**32, random.MAX_SEED):
        for count in (1, 2, 3, 4, 5, 802):
            where = torch.from_numpy(index)
            found = torch_random.words(seed, where, Purpose.NOISE, count).numpy()
            np.testing.assert_array_equal(found, random.words(seed, index, Purpose.NOISE, count).astype(np.int64))
            u, z = (f(seed, index, Purpose.COUNTS, count) for f in (random.uniform, random.normal))
            np.testing.assert_array_equal(torch_random.uniform(seed, where, Purpose.COUNTS, count).numpy(), u)
            np.testing.assert_allclose(torch_random.normal(seed, where, Purpose.COUNTS, count).numpy(), z, atol=1e-14)
            # Single numbers of any pattern, in any order.
            row, place = np.divmod(np.arange(len(index) * count)[::-1], count)
            at = torch.from_numpy(index[row]), Purpose.COUNTS, torch.from_numpy(place)
            np.testing.assert_array_equal(torch_random.uniform_at(seed, *at).numpy(), u[row, place])
            np.testing.assert_allclose(torch_random.normal_at(seed, *at).numpy(), z[row, place], atol=1e-14)


def test_torch_counts_as_numpy_does() -> None:
    torch = pytest.importorskip("torch")
    from powderlens.diffraction.torch_random import poisson_inverse

    mean = np.concatenate([np.zeros(50), np.logspace(-8, 7, 4000), np.linspace(199, 201, 500)]).reshape(-1, 50)
    u = random.uniform(5, 0, Purpose.COUNTS, mean.size).reshape(mean.shape)
    u[:, 0], u[:, 1] = 2.0**-33, 1 - 2.0**-33
    found = poisson_inverse(torch.from_numpy(mean), torch.from_numpy(u)).numpy()
    true = noise.poisson_inverse(mean, u)
    # Beyond the exact means two libraries' logarithms may round to different sides of a whole number.
    np.testing.assert_array_equal(found[mean <= 200], true[mean <= 200])
    assert (found != true).mean() < 1e-3
    np.testing.assert_allclose(found, true, atol=1)


def test_a_renderer_of_packed_crystals_draws_as_the_call_does(phases: list[Phase]) -> None:
    torch = pytest.importorskip("torch")
    from powderlens.diffraction.render_torch import TorchRenderer

    values = [case for name, case in CASES.items() if name != "nothing measured"]
    records = to_record([Conditions.of(**case) for case in values])
    rows = np.arange(len(values)) % 5
    seconds = np.where(np.arange(len(values)) % 3 == 0, -1, (rows + 1) % 5)
    index = 100 + np.arange(len(values))
    true = render(
        [phases[i] for i in rows], records, GRID, seed=9, index=index,
        impurities=[None if i < 0 else phases[i] for i in seconds], backend="torch",
    )  # fmt: skip
    renderer = TorchRenderer(phases, GRID)
    found = renderer.batch(rows, records, 9, index, seconds)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert found.numpy().tobytes() == true.astype(np.float32).tobytes()
    # Bounded memory cuts the batch and the drawing into pieces.
    for size in (2000, 30000):
        small = TorchRenderer(phases, GRID, max_elements=size)
        np.testing.assert_allclose(
            small.batch(rows, records, 9, index, seconds).numpy(), true, rtol=0, atol=2e-6 * np.abs(true).max()
        )
    assert renderer.batch(rows[:0], records[:0], 9, index[:0]).shape == (0, GRID.points)


def test_a_phase_without_a_line_in_the_range_is_no_pattern(phases: list[Phase]) -> None:
    none = replace(phases[0], hkl=phases[0].hkl[:0], strength=phases[0].strength[:0])
    low = Grid(start_deg=20.0, step_deg=0.01, points=300, wavelength_A=1.5405929)
    # Salt's first line stands at 27.4 degrees, calcite's at 23; their tails reach the grid.
    wide = {"lorentz_x_deg": 2.0, "chebyshev": (0.25,), "noise_sigma": 0.1, "march_r": 0.5, "impurity_share": 0.3}
    rescaled = {**wide, "rescale": True, "counts_at_max": 100.0}
    shown = {"zero_shift_deg": -0.5}
    records = to_record([Conditions.of(**values) for values in (wide, wide, rescaled, {**wide, **shown})])
    rows = [none, phases[0], phases[0], phases[1]]
    seconds = [phases[1], phases[1], None, none]
    for backend in BACKENDS:
        found = render(rows, records, low, seed=1, impurities=seconds, backend=installed(backend))
        assert (found[:3] == 0).all()
        # A second phase that shows no line takes nothing away.
        alone = render(rows[3:], records[3:], low, seed=1, index=3, backend=installed(backend))
        assert found[3].max() > 1
        assert (found[3] == alone[0]).all()


def test_skewed_cells_and_unused_coefficients_are_no_trouble(phases: list[Phase]) -> None:
    # The same trigonal crystal with a sheared cell, whose rotations hold a 2; its lines are those of the usual cell.
    shear = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    back = np.rint(np.linalg.inv(shear.T)).astype(np.int64)
    usual = phases[1]
    skewed = replace(
        usual,
        lattice=shear @ usual.lattice,
        rotations=back @ usual.rotations @ shear.T,
        hkl=usual.hkl @ shear.T,
        atoms=None,
    )
    assert np.abs(skewed.rotations).max() > 1
    axis = np.array([1, 0, 2])
    records = to_record(
        [
            Conditions.of(march_r=0.5, texture_axis=tuple(map(int, a)), chebyshev=(0.1, 0.05))
            for a in (axis, shear @ axis)
        ]
    )
    records["chebyshev"][:, 2:] = 9.0
    for backend in BACKENDS:
        found = render([usual, skewed], records, GRID, seed=1, backend=installed(backend))
        np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)
        assert found.max() < 1.2


def test_nothing_of_a_batch_stays_on_the_host(phases: list[Phase], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from powderlens.diffraction.render_torch import TorchRenderer

    # Tensors of the device "meta" have shapes but no numbers, and refuse company from the CPU as CUDA's do. What the
    # host asks of them is counted and made up: edges of the buckets of windows, and the number of sub-lines.
    asked: list[str] = []

    def tolist(edges: Any) -> list[list[int]]:
        asked.append("windows")
        return [[2 * k for k in range(edges.shape[1])] for _ in range(edges.shape[0])]

    def number(total: Any) -> int:
        asked.append("sub-lines")
        return 5000

    monkeypatch.setattr(torch.Tensor, "tolist", tolist)
    monkeypatch.setattr(torch.Tensor, "__int__", number)
    # The search for counts looks at its points, and is left out.
    every = [Conditions.of(**values) for values in CASES.values() if "counts_at_max" not in values]
    rows = np.arange(len(every)) % 5
    for some, axial in ((every, ["sub-lines"]), ([Conditions.of(impurity_share=0.1)] * len(every), [])):
        asked.clear()
        renderer = TorchRenderer(phases, GRID, device="meta")
        found = renderer.batch(rows, to_record(some), SEED, np.arange(len(every)), (rows + 1) % 5)
        assert (found.device.type, found.shape) == ("meta", (len(every), GRID.points))
        assert asked == 2 * [*axial, "windows"]


def test_what_a_renderer_cannot_draw_is_refused(phases: list[Phase]) -> None:
    pytest.importorskip("torch")
    from powderlens.diffraction.render_torch import TorchRenderer

    with pytest.raises(InputError, match="no phases"):
        TorchRenderer([], GRID)
    renderer = TorchRenderer([replace(phases[0], atoms=None, name="salt"), phases[1]], GRID)
    records = np.repeat(to_record(Conditions()), 2)
    number = np.arange(2)
    with pytest.raises(InputError, match="3 rows, 2 records"):
        renderer.batch(np.zeros(3, int), records, 1, number)
    with pytest.raises(InputError, match="row 2: there are 2 phases"):
        renderer.batch(np.array([0, 2]), records, 1, number)
    with pytest.raises(InputError, match="row -1: "):
        renderer.batch(np.array([0, -1]), records, 1, number)
    with pytest.raises(InputError, match="row 5: "):
        renderer.batch(np.array([0, 1]), records, 1, number, np.array([-1, 5]))
    with pytest.raises(InputError, match="seed -3"):
        renderer.batch(np.array([0, 1]), records, -3, number)
    moving = to_record([Conditions.of(thermal_offset_A=0.1)] * 2)
    with pytest.raises(InputError, match="salt: thermal offsets need its atoms"):
        renderer.batch(np.array([1, 0]), moving, 1, number)
    with pytest.raises(InputError, match="salt: thermal offsets need its atoms"):
        renderer.batch(np.array([1, 1]), moving, 1, number, np.array([-1, 0]))
    renderer.batch(np.array([1, 1]), moving, 1, number)
