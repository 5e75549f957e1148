"""Protocols: every distribution against scipy on the same random numbers, the shipped files, and what is refused."""

import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose, normal, uniform
from powderlens.diffraction.background import chebyshev, gaussian_process_chebyshev, lifted
from powderlens.diffraction.conditions import FIELDS, Conditions, from_record, to_record
from powderlens.diffraction.protocol import Protocol, load_protocol, parse_protocol, protocol_names
from powderlens.diffraction.values import KINDS

NAMES = [
    "alphadiffract",
    "alphadiffract-clean",
    "ideal",
    "lab",
    "ml4pxrds",
    "ml4pxrds-measured",
    "simxrd",
    "simxrd-code",
]
MANY = np.arange(20_000)

HEAD = """
name = "mine"
summary = "for tests"
citation = "none"
scale = 1.0
"""
GRID = """
[grid]
start_deg = 5.0
step_deg = 0.1
points = 851
wavelength_A = 1.5418711
"""


def made(tables: str, head: str = "", grid: str = GRID) -> Protocol:
    return parse_protocol(HEAD + head + grid + tables, "mine.toml")


def drawn(field: str, value: str, count: int = len(MANY), seed: int = 5) -> np.ndarray:
    """A field's values under a protocol that says nothing else."""
    return made(f"[{FIELDS[field][0]}]\n{field} = {value}\n").draw(seed, count)[field]


def same_numbers(count: int = 1, seed: int = 5) -> np.ndarray:
    """What the protocol of one field is made of."""
    return uniform(seed, MANY, Purpose.CONDITIONS, count)


def test_the_shipped_protocols() -> None:
    assert protocol_names() == NAMES


@pytest.mark.parametrize(
    ("name", "start", "end", "points", "wavelength", "axis", "scale"),
    [
        ("ideal", 5, 90, 4251, 1.5405929, "two_theta", 100),
        ("lab", 5, 90, 4251, 1.5418711, "two_theta", 100),
        ("simxrd", 10, 80, 3501, 1.54184, "d", 100),
        ("simxrd-code", 10, 80, 3501, 1.54184, "d", 100),
        ("ml4pxrds", 5, 90, 8501, 1.5406, "two_theta", 1),
        ("ml4pxrds-measured", 5, 90, 8501, 1.5406, "two_theta", 1),
        ("alphadiffract", 5, 20, 8192, 12.398419843 / 20, "two_theta", 100),
    ],
)
def test_grids_are_those_of_the_papers(
    name: str, start: float, end: float, points: int, wavelength: float, axis: str, scale: float
) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    assert protocol.grid.start_deg == start
    assert protocol.grid.end_deg == pytest.approx(end, abs=1e-9)
    assert protocol.grid.points == points
    assert protocol.grid.wavelength_A == pytest.approx(wavelength, rel=1e-9)
    assert (protocol.axis, protocol.scale) == (axis, scale)
    assert protocol.summary
    assert protocol.source


PAPER = {
    "simxrd": {
        "intensity_perturbation": (0, 0.4),
        "thermal_offset_A": (0.01, 0.5),
        "crystallite_size_nm": (2, 50),
        "zero_shift_deg": (-1.2, 1.2),
        "noise_sigma": (0.02, 0.02),
    },
    "simxrd-code": {
        "intensity_perturbation": (0, 0.4),
        "u_overall_A2": (0, 0.3**2 / 3),
        "crystallite_size_nm": (2, 20),
        "zero_shift_deg": (-1.5, 1.5),
    },
    "ml4pxrds": {"crystallite_size_nm": (20, 100), "scherrer_k": (0.9, 0.9)},
    "ml4pxrds-measured": {
        "eta": (0, 1),
        "caglioti_u_deg2": (0, 0.01),
        "caglioti_v_deg2": (0, 0),
        "caglioti_w_deg2": (0, 0.01),
        "noise_sigma": (0, 0.02),
        "multiplicative_sigma": (0, 0.16),
        "impurity_share": (0, 0.05),
    },
    "alphadiffract": {
        "microstrain": (500e-6 / 4, 10_000e-6 / 4),
        "crystallite_size_nm": (100, 1000),
        "caglioti_u_deg2": (0, 8 * np.log(2) * 3e-4),
        "caglioti_v_deg2": (-8 * np.log(2) * 1e-4, 0),
        "caglioti_w_deg2": (0, 8 * np.log(2) * 4e-4),
        "counts_at_max": (1, 100),
        "noise_sigma": (1e-3, 1e-1),
    },
}


@pytest.mark.parametrize("name", PAPER)
def test_ranges_are_those_of_the_papers(name: str) -> None:
    records = load_protocol(name).draw(3, 4000)
    for field, (low, high) in PAPER[name].items():
        values = records[field]
        width = (high - low) or 1.0
        assert values.min() >= low - 1e-6 * width, field
        assert values.max() <= high + 1e-6 * width, field
        assert values.min() - low < 2e-3 * width, field
        assert high - values.max() < 2e-3 * width, field


def test_simxrd_strains_every_axis_by_up_to_ten_percent() -> None:
    strain = load_protocol("simxrd").draw(3, 4000)["strain"]
    assert np.abs(strain[:, :3]).max(axis=0) == pytest.approx([0.1] * 3, rel=1e-2)
    assert np.abs(np.corrcoef(strain.T) - np.eye(6)).max() < 0.06


@pytest.mark.parametrize(("name", "share"), [("simxrd", 0.02), ("simxrd-code", 0.05)])
def test_simxrd_backgrounds_are_of_sixth_order(name: str, share: float) -> None:
    protocol = load_protocol(name)
    for record in protocol.draw(3, 20):
        assert record["terms"] == 7
        heights = chebyshev(record["chebyshev"][:7], protocol.grid.points)
        assert heights.min() == pytest.approx(0, abs=1e-3 * share)
        assert heights.max() == pytest.approx(share, rel=2e-3)
        assert np.polynomial.polynomial.polyfit(np.linspace(-1, 1, len(heights)), heights, 6)[6] != 0


def test_records_are_what_conditions_hold() -> None:
    for name in NAMES:
        protocol = load_protocol(name)
        for record in protocol.draw(11, 100):
            again = to_record(from_record(record))[0]
            for field in record.dtype.names:
                assert np.array_equal(record[field], again[field]), (name, field)
        assert isinstance(protocol.conditions(11), Conditions)
        assert protocol.conditions(11, 7) == from_record(protocol.draw(11, 1, 7)[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_does_not_depend_on_the_others(name: str) -> None:
    protocol = load_protocol(name)
    whole = protocol.draw(2**40 + 9, 301)
    assert protocol.draw(2**40 + 9, 301).tobytes() == whole.tobytes()
    assert protocol.draw(2**40 + 9, 58, first=101).tobytes() == whole[101:159].tobytes()
    some = np.array([300, 3, 3, 129, 0])
    assert protocol.draw(2**40 + 9, some).tobytes() == whole[some].tobytes()
    for i in (0, 1, 128, 200):
        assert protocol.draw(2**40 + 9, 1, i).tobytes() == whole[i : i + 1].tobytes()
    assert len(protocol.draw(1, 0)) == 0


def test_seeds_differ_and_pickling_keeps_everything() -> None:
    protocol = load_protocol("lab")
    assert protocol.draw(1, 5).tobytes() != protocol.draw(2, 5).tobytes()
    again = pickle.loads(pickle.dumps(protocol))
    assert again.text == protocol.text == protocol.to_toml()
    assert again.draw(1, 50).tobytes() == protocol.draw(1, 50).tobytes()
    assert again.d_min_A == protocol.d_min_A


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{ uniform = [0.2, 3.0] }", stats.uniform(0.2, 2.8)),
        ("{ log_uniform = [0.2, 3.0] }", stats.loguniform(0.2, 3.0)),
        ("{ normal = [2.0, 0.1] }", stats.norm(2.0, 0.1)),
        ("{ log_normal = [1.0, 0.2] }", stats.lognorm(0.2)),
        ("{ normal = [1.0, 0.5], within = [0.9, 3.0] }", stats.truncnorm(-0.2, 4, 1.0, 0.5)),
        ("{ normal = [1.0, 1.0], within = [1.0, inf] }", stats.truncnorm(0, np.inf, 1.0, 1.0)),
        ("{ squared = [1.0, 2.0] }", None),
        ("{ power = [5.0, 0.5, 1.5] }", None),
        ("{ log_power = [0.5, 5.0, 0.6] }", None),
        ("{ log_normal = [1.0, 0.7], within = [0.1, 1.0] }", None),
        ("{ normal = [1.0, 0.5], clip = [0.8, 1.3] }", None),
    ],
)
def test_distributions_against_scipy(value: str, expected: object) -> None:
    u = same_numbers()[:, 0]
    if expected is not None:
        wanted = expected.ppf(u)  # type: ignore[attr-defined]
    elif "squared" in value:
        wanted = (1 + u) ** 2
    elif "log_power" in value:
        wanted = 0.5 * 10 ** (u**0.6)
    elif "power" in value:
        wanted = 5 - 4.5 * u**1.5
    elif "clip" in value:
        wanted = np.clip(stats.norm.ppf(u, 1, 0.5), 0.8, 1.3)
    else:
        wanted = np.exp(stats.truncnorm(np.log(0.1) / 0.7, 0, 0, 0.7).ppf(u))
    assert_allclose(drawn("mu_t", value), wanted, rtol=1e-6, atol=1e-7)


def test_half_a_log_normal_is_its_absolute_value() -> None:
    got = drawn("march_r", "{ log_normal = [1.0, 0.35], within = [0.05, 1.0] }")
    wanted = np.exp(-np.abs(0.35 * normal(77, MANY, 0, 1)[:, 0]))
    assert stats.ks_2samp(got, wanted).pvalue > 0.01


def test_texture_axes_are_all_but_zero_and_equally_likely() -> None:
    axes = drawn("texture_axis", "{ integers = [-1, 1] }")
    found, counts = np.unique(axes, axis=0, return_counts=True)
    assert len(found) == 26
    assert not (found == 0).all(axis=1).any()
    assert stats.chisquare(counts).pvalue > 0.001
    positive = np.unique(drawn("texture_axis", "{ integers = [1, 2] }"), axis=0)
    assert positive.tolist() == [[a, b, c] for a in (1, 2) for b in (1, 2) for c in (1, 2)]


def test_choices() -> None:
    axes = drawn("texture_axis", "{ choice = [[0, 0, 1], [1, 1, 1]], weights = [1, 3] }")
    assert np.isin(axes[:, 0], [0, 1]).all()
    assert (axes[:, 0] == axes[:, 1]).all()
    assert (axes[:, 2] == 1).all()
    assert axes[:, 0].mean() == pytest.approx(0.75, abs=0.01)
    assert drawn("raw_points", "{ choice = [1, 2] }").mean() == pytest.approx(1.5, abs=0.01)
    both = made("[counting]\nrescale = { choice = [true, false], weights = [0.2, 0.8] }\n").draw(5, len(MANY))[
        "rescale"
    ]
    assert both.mean() == pytest.approx(0.2, abs=0.01)
    shapes = made('[profile]\nshape = { choice = ["voigt", "tch"] }\n').draw(1, 100)
    assert {from_record(record).profile.shape for record in shapes} == {"voigt", "tch"}


def test_a_mixture_takes_each_part_by_its_share() -> None:
    u = same_numbers(2)
    got = drawn(
        "mu_t", "{ mixture = [{ share = 0.3, value = 7.0 }, { share = 0.7, value = { uniform = [1.0, 2.0] } }] }"
    )
    assert_allclose(got, np.where(u[:, 0] < 0.3, 7.0, 1 + u[:, 1]), rtol=1e-12)
    inf_or_not = drawn(
        "crystallite_size_nm", "{ mixture = [{ share = 0.5, value = inf }, { share = 0.5, value = 9 }] }"
    )
    assert set(np.unique(inf_or_not)) == {9.0, np.inf}


def test_strain_has_a_common_part() -> None:
    u = same_numbers(7)
    text = """{ strain = { common = { uniform = [0.0, 0.01] }, axial = { uniform = [0.0, 0.02] },
        shear = { uniform = [0.0, 0.03] } } }"""
    got = drawn("strain", text.replace("\n", " "))
    wanted = np.column_stack([0.01 * u[:, :1] + 0.02 * u[:, 1:4], 0.03 * u[:, 4:]])
    assert_allclose(got, wanted, rtol=1e-12)
    assert_allclose(drawn("strain", "{ uniform = [0.0, 0.02] }"), 0.02 * u[:, :6], rtol=1e-12)
    listed = drawn("strain", "[0, { uniform = [0.0, 0.02] }, 0, 0, -0.01, 0]")
    assert_allclose(listed[:, 1], 0.02 * u[:, 0], rtol=1e-12)
    assert (listed[:, [0, 2, 3, 4, 5]] == [0, 0, 0, -0.01, 0]).all()


def test_a_mixture_of_strains_picks_once_for_all_components() -> None:
    got = drawn("strain", "{ mixture = [{ share = 0.5, value = 0.01 }, { share = 0.5, value = 0 }] }")
    assert set(map(tuple, got.tolist())) == {(0.01,) * 6, (0.0,) * 6}


def test_a_polynomial_is_that_of_its_normal_numbers() -> None:
    protocol = made("[background]\nchebyshev = { polynomial = { degree = 4, share = { uniform = [0.1, 0.2] } } }\n")
    records = protocol.draw(5, 40)
    n = normal(5, np.arange(40), Purpose.BACKGROUND, 5)
    share = 0.1 + 0.1 * uniform(5, np.arange(40), Purpose.CONDITIONS, 1)[:, 0]
    x = np.linspace(-1, 1, protocol.grid.points)
    for record, c, top in zip(records, n, share, strict=True):
        curve = np.polyval(c[::-1], x)
        curve = top * (curve - curve.min()) / np.ptp(curve)
        assert chebyshev(record["chebyshev"][: record["terms"]], len(x)) == pytest.approx(curve, abs=1e-3 * top)


def test_a_gaussian_process_is_lifted_and_scaled() -> None:
    text = "[background]\nchebyshev = { gaussian_process = { length_deg = 9, sum = { uniform = [10, 20] } } }\n"
    protocol = made(text)
    sums = 10 + 10 * uniform(8, np.arange(60), Purpose.CONDITIONS, 1)[:, 0]
    for i, (record, total) in enumerate(zip(protocol.draw(8, 60), sums, strict=True)):
        coefficients = record["chebyshev"][: record["terms"]]
        heights = chebyshev(coefficients, 851)
        assert heights.min() == pytest.approx(0, abs=2e-3 * heights.max())
        assert heights.sum() == pytest.approx(total, rel=1e-9)
        # The slow and simple way, one pattern at a time.
        alone = gaussian_process_chebyshev(9.0, 85.0, normal(8, i, Purpose.BACKGROUND, 48))
        assert heights == pytest.approx(chebyshev(lifted(alone, 851, total), 851), abs=2e-3 * heights.max())


def test_ml4pxrds_backgrounds_add_up_to_half_a_normal_number() -> None:
    sums = [
        chebyshev(record["chebyshev"][: record["terms"]], 8501).sum()
        for record in load_protocol("ml4pxrds-measured").draw(8, 600)
    ]
    assert stats.kstest(sums, stats.truncnorm(0, 2, 0, 75).cdf).pvalue > 0.001


def test_a_gaussian_process_has_its_kernel() -> None:
    text = "[background]\nchebyshev = { gaussian_process = { length_deg = 20, sum = 1 } }\n"
    protocol = made(text)
    heights = np.array([chebyshev(r["chebyshev"][: r["terms"]], 851) for r in protocol.draw(4, 3000)])
    # Scale and offset differ from pattern to pattern; ratios of mean squared differences do not know them.
    scale = np.sqrt(np.mean((heights[:, 100:] - heights[:, :-100]) ** 2, axis=1, keepdims=True))
    z = heights / scale
    measured = [np.mean((z[:, lag:] - z[:, :-lag]) ** 2) for lag in (25, 50, 100)]
    wanted = [2 * (1 - np.exp(-((0.1 * lag) ** 2) / (2 * 20.0**2))) for lag in (25, 50, 100)]
    assert measured[0] / measured[2] == pytest.approx(wanted[0] / wanted[2], rel=0.05)
    assert measured[1] / measured[2] == pytest.approx(wanted[1] / wanted[2], rel=0.05)


def test_backgrounds_may_be_mixed() -> None:
    text = """[[background.chebyshev.mixture]]
share = 0.5
value = []
[[background.chebyshev.mixture]]
share = 0.3
value = { polynomial = { degree = 3, share = 0.1 } }
[[background.chebyshev.mixture]]
share = 0.2
value = [0.5, { uniform = [0.1, 0.2] }]
"""
    terms, counts = np.unique(made(text).draw(1, 4000)["terms"], return_counts=True)
    assert terms.tolist() == [0, 2, 4]
    assert counts / 4000 == pytest.approx([0.5, 0.2, 0.3], abs=0.03)


def test_humps() -> None:
    text = """[background.humps]
share = 0.4
count = [1, 3]
centre_deg = { uniform = [20.0, 30.0] }
fwhm_deg = 8.0
height = { power = [0.0, 0.1, 2.0] }
"""
    rows = made(text).draw(5, len(MANY))["humps"]
    there = rows[:, :, 1] == 8.0
    assert (rows[~there] == 0).all()
    many = there.sum(axis=1)
    assert [np.mean(many == k) for k in range(5)] == pytest.approx([0.6, *[0.4 / 3] * 3, 0], abs=0.01)
    centres, heights = rows[there][:, 0], rows[there][:, 2]
    assert stats.kstest(centres, stats.uniform(20, 10).cdf).pvalue > 0.001
    assert stats.kstest(np.sqrt(heights / 0.1), stats.uniform().cdf).pvalue > 0.001
    fixed = made("[background]\nhumps = [[25, 8, 0.1], [40, 9, 0.2]]\n").conditions(1)
    assert fixed.background.humps == ((25.0, 8.0, 0.1), (40.0, 9.0, 0.2))


ONE_OF = """
[source]
ka1_A = 1.5418711
ka2_ratio = 0.0
[[one_of.lines]]
share = 0.25
source = { ka2_ratio = { uniform = [0.4, 0.5] } }
profile = { caglioti_w_deg2 = 0.01 }
[[one_of.lines]]
share = 0.75
[[one_of.range]]
share = 0.5
counting = { last_deg = 60 }
[[one_of.range]]
share = 0.5
counting = { first_deg = 10 }
"""


def test_alternatives_come_together() -> None:
    records = made(ONE_OF).draw(5, len(MANY))
    doublet = records["ka2_ratio"] > 0
    assert doublet.mean() == pytest.approx(0.25, abs=0.01)
    assert np.array_equal(doublet, records["caglioti_w_deg2"] == 0.01)
    assert (records["caglioti_w_deg2"][~doublet] == Conditions().profile.caglioti_w_deg2).all()
    late = records["first_deg"] == 10
    assert np.array_equal(late, records["last_deg"] == 180)
    assert np.corrcoef(late, doublet)[0, 1] == pytest.approx(0, abs=0.03)


def test_every_kind_of_field_may_have_alternatives() -> None:
    text = """
[[one_of.kind]]
share = 0.5
background = { chebyshev = { polynomial = { degree = 3, share = 0.1 } } }
profile = { shape = "voigt" }
counting = { rescale = true, raw_points = 2 }
[[one_of.kind]]
share = 0.5
background = { humps = [[20, 5, 1]], chebyshev = [0.5, { uniform = [0.1, 0.2] }] }
specimen = { texture_axis = [1, 1, 0], strain = [0.01, 0, 0, 0, 0, 0] }
"""
    protocol = made(text)
    changes = [protocol.conditions(2, i).changes() for i in range(40)]
    first = {"chebyshev", "shape", "rescale", "raw_points"}
    assert {frozenset(change) for change in changes} == {
        frozenset(first),
        frozenset({"humps", "chebyshev", "texture_axis", "strain"}),
    }
    for change in changes:
        if set(change) == first:
            assert (len(change["chebyshev"]), change["shape"], change["raw_points"]) == (4, "voigt", 2)
        else:
            assert (change["humps"], change["texture_axis"]) == (((20.0, 5.0, 1.0),), (1, 1, 0))
            assert change["strain"] == (0.01, 0, 0, 0, 0, 0)
            assert change["chebyshev"][0] == 0.5


def test_an_energy_is_a_wavelength() -> None:
    grid = GRID.replace("wavelength_A = 1.5418711", "energy_keV = 20")
    assert made("[source]\nka1_A = 0.61992\nka2_ratio = 0\n", grid=grid).grid.wavelength_A == pytest.approx(
        0.6199209922
    )


def test_scattering_is_told() -> None:
    assert (load_protocol("ml4pxrds").form_factors, load_protocol("ml4pxrds").dispersion_wavelength_A) == (
        "pymatgen",
        None,
    )
    assert load_protocol("alphadiffract").dispersion_wavelength_A == pytest.approx(0.61992, abs=1e-5)
    assert load_protocol("simxrd").form_factors == "it92"


@pytest.mark.parametrize("name", NAMES)
def test_d_min_is_just_beyond_what_is_drawn(name: str) -> None:
    protocol = load_protocol(name)
    r = protocol.draw(17, 6000)
    shift = np.abs(r["zero_shift_deg"]) + np.degrees(2 * np.abs(r["displacement_mm"]) / r["radius_mm"])
    theta = np.radians(protocol.grid.end_deg + 2 + shift) / 2
    line = np.where(r["ka2_ratio"] > 0, np.minimum(r["ka1_A"], r["ka2_A"]), r["ka1_A"])
    line = np.where(r["kbeta_ratio"] > 0, np.minimum(line, r["kbeta_A"]), line)
    xx, yy, zz, yz, xz, xy = r["strain"].T
    tensors = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).transpose(2, 0, 1)
    stretch = np.maximum(np.linalg.eigvalsh(tensors).max(axis=1), 0)
    reached = line / (2 * np.sin(theta)) / (1 + stretch)
    assert reached.min() >= protocol.d_min_A * (1 - 1e-12)
    assert reached.min() <= protocol.d_min_A * 1.06


def test_wants() -> None:
    wanting = {name for name in NAMES if load_protocol(name).wants_impurity}
    assert {"ml4pxrds-measured", "lab"} >= wanting > set()
    assert {name for name in NAMES if load_protocol(name).wants_offsets} - {"lab"} == {"simxrd"}


GOLDEN = [
    (
        "simxrd",
        {
            "crystallite_size_nm": 26.0450039,
            "intensity_perturbation": 0.0189720082,
            "thermal_offset_A": 0.0424393299,
            "zero_shift_deg": 0.291603089,
            "strain": -0.0089630125,
            "chebyshev": 0.0154707424,
        },
    ),
    ("simxrd-code", {"crystallite_size_nm": 11.0168765, "u_overall_A2": 0.00013148398, "strain": 0.000518493749}),
    ("ml4pxrds", {"crystallite_size_nm": 23.7944016}),
    (
        "ml4pxrds-measured",
        {"eta": 0.95427229, "caglioti_u_deg2": 0.00560418757, "multiplicative_sigma": 0.0105924342},
    ),
    (
        "alphadiffract",
        {"microstrain": 0.000449266374, "caglioti_v_deg2": -2.53568248e-05, "counts_at_max": 13.8564659},
    ),
]
"""Pattern 12,345 of seed 7, as this version drew it first."""


@pytest.mark.parametrize(("name", "values"), GOLDEN)
def test_the_numbers_of_a_seed_do_not_change(name: str, values: dict[str, float]) -> None:
    record = load_protocol(name).draw(7, 1, 12_345)[0]
    for field, value in values.items():
        assert np.ravel(record[field])[-1 if field == "strain" else 0] == pytest.approx(value, rel=1e-6), field


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + GRID)
    assert load_protocol(path).name == load_protocol(str(path)).name == "mine"
    with pytest.raises(
        InputError,
        match=r"no protocol 'labs'; there are alphadiffract, alphadiffract-clean, .* ending in \.toml",
    ):
        load_protocol("labs")
    with pytest.raises(InputError, match=r"nowhere\.toml: No such file"):
        load_protocol(tmp_path / "nowhere.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not TOML"):
        load_protocol(path)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("[specimen]\nmarch = 1\n", r"specimen\.march: no such field; there are texture_axis, march_r"),
        ("[specimen]\neta = 1\n", r"specimen\.eta: no such field; it belongs to \[profile\]"),
        ("[sample]\nmarch_r = 1\n", r"sample: no such key"),
        ("[specimen]\nmarch_r = 30\n", r"specimen\.march_r = 30: must be at least 0\.05 and at most 20"),
        ("[specimen]\nmarch_r = nan\n", r"specimen\.march_r = nan: must be at least 0\.05"),
        (
            "[profile]\ncrystallite_size_nm = { uniform = [-1, 5] }\n",
            r"crystallite_size_nm = -1 nm: must be above 0 nm",
        ),
        ("[profile]\ncrystallite_size_nm = { uniform = [0, 5] }\n", r"crystallite_size_nm = 0 nm: must be above 0 nm"),
        ("[source]\nka1_A = 0\n", r"source\.ka1_A = 0 A: must be at least 0\.05 and at most 10 A"),
        ("[specimen]\nmarch_r = { uniform = [1, 30] }\n", r"march_r = 30: must be at least 0\.05 and at most 20"),
        ("[specimen]\nmarch_r = { normal = [1.0, 0.3] }\n", r"march_r = -0\.902: must be at least 0\.05"),
        (
            "[specimen]\nmarch_r = { mixture = [{ share = 0.5, value = 1 }, { share = 0.5, value = 0 }] }\n",
            "march_r = 0",
        ),
        (
            "[specimen]\nstrain = { strain = { common = 0.2, axial = 0.1 } }\n",
            r"strain = 0\.3: must be at least -0\.25",
        ),
        ("[specimen]\nstrain = [0, 0, 0]\n", r"specimen\.strain = \(0\.0, 0\.0, 0\.0\): give 6 numbers"),
        ("[specimen]\ntexture_axis = [0, 0, 0]\n", r"specimen\.texture_axis = 0 0 0: is no direction; give an hkl"),
        ("[specimen]\ntexture_axis = { choice = [[0, 0, 1], [0, 0, 0]] }\n", r"texture_axis = 0 0 0: is no direction"),
        ("[specimen]\ntexture_axis = [0, 0.5, 1]\n", "texture_axis = .* give three whole numbers"),
        ("[specimen]\ntexture_axis = { uniform = [0, 1] }\n", "texture_axis = .* give three whole numbers"),
        ('[specimen]\nmarch_r = "strong"\n', "march_r = 'strong': give a number or a distribution of numbers"),
        ("[specimen]\nmarch_r = true\n", "march_r = True: give a number"),
        ("[specimen]\nmarch_r = { integers = [1, 2] }\n", "march_r = .*: give a number"),
        ('[profile]\nshape = "lorenz"\n', "profile.shape = 'lorenz': choose one of tch, pseudo-voigt"),
        ("[profile]\nshape = 1\n", "profile.shape = 1.0: give a word"),
        ("[counting]\nrescale = 1\n", "counting.rescale = 1.0: give true, false"),
        ("[counting]\nraw_points = 1.5\n", "raw_points = 1.5: give a whole number"),
        ("[counting]\nraw_points = { integers = [1, 3] }\n", "raw_points = 3: must be at least 1 and at most 2"),
        (
            "[specimen]\nmarch_r = { unifrom = [1, 2] }\n",
            r"specimen\.march_r: must be a constant or a table with one of",
        ),
        ("[specimen]\nmarch_r = { uniform = [2, 1] }\n", r"specimen\.march_r: 2 must be below 1"),
        ("[specimen]\nmarch_r = { uniform = [1] }\n", r"specimen\.march_r\.uniform\.1: Field required"),
        ("[specimen]\nmarch_r = { uniform = [1, 2], clip = [1, 2] }\n", r"march_r\.clip: no such key"),
        ("[specimen]\nmarch_r = { normal = [1, -2] }\n", "the spread -2 must be above 0"),
        ("[specimen]\nmarch_r = { normal = [1, 0.01], within = [2, 3] }\n", "less than a millionth of it lies within"),
        ("[specimen]\nmarch_r = { log_uniform = [0, 1] }\n", "0 must be above 0 on a logarithmic scale"),
        ("[specimen]\nmarch_r = { power = [1, 1, 2] }\n", "1 to 1 is no range"),
        (
            "[specimen]\nmarch_r = { mixture = [{ share = -0.5, value = 1 }, { share = 1.5, value = 2 }] }\n",
            r"\(got -0\.5\)",
        ),
        (
            "[specimen]\nmarch_r = { mixture = [{ share = 0.5, value = 1 }, { share = 0.4, value = 2 }] }\n",
            r"0\.5 \+ 0\.4",
        ),
        ("[specimen]\nmarch_r = { choice = [1, 2], weights = [1] }\n", "1 weights for 2 values"),
        ("[specimen]\nmu_r = 1\nmu_t = 1\n", "impossible: mu_r = 1 and mu_t = 1: a specimen is a cylinder or flat"),
        (
            "[specimen]\nmu_r = { uniform = [0, 1] }\nmu_t = { mixture = [{ share = 0.9, value = 0 }, "
            "{ share = 0.1, value = 2 }] }\n",
            "impossible: mu_r = 1 and mu_t = 2",
        ),
        (
            '[profile]\nshape = { choice = ["tch", "gaussian"], weights = [1000, 1] }\n',
            "impossible: shape = gaussian: size_shape = lorentzian",
        ),
        (
            "[counting]\nfirst_deg = { uniform = [5, 50] }\nlast_deg = { uniform = [45, 90] }\n",
            r"impossible: first_deg = 50: must be below last_deg = 45",
        ),
        ("[counting]\nfirst_deg = 95\n", r"counting\.first_deg = 95: leaves nothing of the grid from 5 to 90"),
        ("[background]\nchebyshev = { polynomial = { degree = 60, share = 0.1 } }\n", r"degree: .* less than 48"),
        (
            "[background]\nchebyshev = { polynomial = { degree = 6, share = -0.1 } }\n",
            r"chebyshev\.share = -0\.1: must be",
        ),
        ('[background]\nchebyshev = { polynomial = { degree = 6, share = "a" } }\n', "chebyshev = .* give a list"),
        (
            "[background]\nchebyshev = { gaussian_process = { length_deg = 2, sum = 1 } }\n",
            "length_deg = 2: must be at least",
        ),
        ("[background]\nchebyshev = 1\n", "chebyshev = 1.0: give a list of coefficients"),
        ("[background]\nhumps = [[25, 0, 1]]\n", "humps = 25 0 1: the FWHM must be above 0"),
        (
            "[background.humps]\ncount = [1, 5]\ncentre_deg = 20\nfwhm_deg = 5\nheight = 1\n",
            r"background\.humps\.count\.1: .* less than or equal to 4",
        ),
        (
            "[background.humps]\ncount = [1, 2]\ncentre_deg = 20\nfwhm_deg = { uniform = [-1, 5] }\nheight = 1\n",
            "impossible: humps = 20 -1 1: the FWHM must be above 0",
        ),
        (
            ONE_OF.replace("ka2_ratio = 0.0", "ka2_ratio = 0.0\nkbeta_ratio = 2", 1),
            "kbeta_ratio = 2: must be at least 0",
        ),
        (
            ONE_OF.replace("share = 0.75", "share = 0.65", 1),
            r"one_of\.lines: the shares 0\.25 \+ 0\.65 = 0\.9 must add up to 1",
        ),
        (
            ONE_OF.replace("last_deg = 60", "last_deg = 200", 1),
            r"one_of\.range\.0\.counting\.last_deg = 200 degrees: must",
        ),
        (ONE_OF.replace("last_deg = 60", "last_dg = 60", 1), r"one_of\.range\.0\.counting\.last_dg: no such field"),
        (
            ONE_OF + "profile = { caglioti_w_deg2 = 0.02 }\n",
            r"one_of\.range\.1\.profile\.caglioti_w_deg2: one_of\.lines sets it too",
        ),
        (
            ONE_OF.replace("share = 0.75", "share = 0.75\nsource = { ka2_ratio = 0.1 }", 1),
            r"source\.ka2_ratio: every alternative of one_of\.lines sets it",
        ),
        ('[scattering]\nform_factors = "it93"\n', r"scattering\.form_factors: Input should be 'it92', 'pymatgen' or"),
        (
            "[source]\nka1_A = 0.71\nka2_A = 0.71\n",
            r"grid\.wavelength_A = 1\.54187: the source draws lines of 0\.71 to 0\.71",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_on_loading(tables: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(tables)
    assert str(caught.value).startswith("mine.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points = 851", "points = 1741", r"grid\.points = 1741: the last one lies at 179 degrees; .* Ewald sphere"),
        ("points = 851", "points = 1", r"grid\.points: Input should be greater than or equal to 2"),
        ("step_deg = 0.1", "step_deg = 0.0", r"grid\.step_deg: Input should be greater than 0"),
        ("start_deg = 5.0", "start_deg = -5.0", r"grid\.start_deg: Input should be greater than or equal to 0"),
        ("wavelength_A = 1.5418711", "wavelength_A = 0.0", r"grid\.wavelength_A: Input should be greater"),
        ("wavelength_A = 1.5418711", "", r"grid: give wavelength_A or energy_keV"),
        (
            "wavelength_A = 1.5418711",
            "wavelength_A = 1.5418711\nenergy_keV = 8.0",
            r"grid: give wavelength_A or energy_keV",
        ),
        ("wavelength_A = 1.5418711", "energy_keV = 1000", r"grid: energy_keV = 1000: is outside"),
        ("step_deg", "stepp_deg", r"grid\.step(p)?_deg: (no such key|Field required)"),
        ("scale = 1.0", "scale = 0.0", r"scale: Input should be greater than 0"),
        ("scale = 1.0", 'scale = 1.0\naxis = "q"', r"axis: Input should be 'two_theta' or 'd' \(got 'q'\)"),
        ('name = "mine"', 'name = "my own"', r"name: String should match"),
        ('name = "mine"', "", r"name: Field required"),
        ("[grid]", "[grid", r"not TOML"),
    ],
)
def test_bad_grids_and_heads_are_refused(old: str, new: str, message: str) -> None:
    text = (HEAD + GRID).replace(old, new, 1)
    with pytest.raises(InputError, match=message) as caught:
        parse_protocol(text, "mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert "\n" not in str(caught.value)


def test_a_d_axis_needs_a_start() -> None:
    with pytest.raises(InputError, match=r"mine\.toml: grid\.start_deg = 0: has no spacing"):
        made("", head='axis = "d"\n', grid=GRID.replace("start_deg = 5.0", "start_deg = 0.0"))


def test_bad_numbers_of_patterns_are_refused() -> None:
    protocol = load_protocol("ideal")
    for seed, count, first, message in (
        (1, -1, 0, "count -1"),
        (1, 1, -1, "pattern -1"),
        (-1, 1, 0, "seed -1"),
        (1, np.array([3, -2]), 0, "pattern -2"),
    ):
        with pytest.raises(InputError, match=message):
            protocol.draw(seed, count, first)  # type: ignore[arg-type]


def test_the_table_of_equations_names_what_is_there(root: Path) -> None:
    text = (root / "docs" / "PROTOCOLS.md").read_text()
    named = set(re.findall(r"`([a-z_]+)\.([A-Za-z_]+)`", text)) - {("powderlens", "diffraction")}
    assert len(named) > 25
    for module, name in named:
        assert hasattr(importlib.import_module(f"powderlens.diffraction.{module}"), name), f"{module}.{name}"
    for field in re.findall(r"`([a-z]+_[A-Za-z0-9_]+)`", text.split("## SimXRD-4M")[1]):
        assert field in {*FIELDS, *KINDS, "d_min_A"}, field
    for name in NAMES:
        assert f"| `{name}` |" in text


def test_loading_needs_no_extra() -> None:
    code = "import sys; from powderlens.diffraction.protocol import load_protocol; load_protocol('lab').draw(1, 2);"
    code += "print([m for m in ('scipy', 'torch', 'numba', 'gemmi', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1200, check=True)
    assert done.stdout.strip() == "[]"
