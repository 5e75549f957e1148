"""Measured sets with labels: read, and judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.evaluate.measured import MeasuredSet, equal_mass_error, evaluate_measured
from powderlens.identification.evidence import EVIDENCE
from powderlens.identification.identify import Identifier, Search
from powderlens.pattern.read import read_pattern

HEADER = "mineral_inferred,space_group,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted"
RUTILE = "Rutile,136,4.5955,4.5955,2.9598,90,90,90,1"
QUARTZ = "Quartz,154,4.9134,4.9134,5.4042,90,90,120,1"
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def pair(root: Path) -> list[np.ndarray]:
    """Intensities of rutile and quartz."""
    return [read_pattern(root / "examples" / f"{n}.txt", wavelength=1.54).intensity for n in ("rutile", "quartz")]


@pytest.fixture
def make(tmp_path: Path, pair: list[np.ndarray]) -> Make:
    """`make(rows=[...], intensity=...)`: a set of the two measured examples, one after the other, repeated."""

    def write(rows: list[str] | None = None, intensity: Any = None, header: str = HEADER) -> Path:
        rows = [RUTILE, QUARTZ] * 3 if rows is None else rows
        if intensity is None:
            intensity = np.array([pair[i % 2] for i in range(6)])
        np.savez(tmp_path / "set.npz", intensity=intensity)
        (tmp_path / "set.csv").write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / "set.npz"

    return write


def test_a_set_is_read(make: Make) -> None:
    measured = MeasuredSet.read(make(rows=[RUTILE, QUARTZ.removesuffix("1") + "0"] * 3))
    assert measured.space_group.tolist() == [136, 154] * 3
    first = measured.patterns[0]
    assert first.two_theta_deg[[0, -1]] == pytest.approx([5.0, 90.0])
    assert first.wavelength_A == 1.541838
    assert first.source == "set:0"
    assert measured.cell[0] == pytest.approx([4.5955, 4.5955, 2.9598, 90, 90, 90])
    assert np.isnan(measured.cell[1]).all(), "a cell that was not accepted is not used"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [RUTILE] * 5}, "6 patterns but 5 rows"),
        ({"rows": [RUTILE.replace("136", "231")] * 6}, "row 1: space group 231: numbers run from 1 to 230"),
        ({"rows": [RUTILE.replace("136", "P42/mno")] * 6}, "row 1: space group 'P42/mno': no such symbol"),
        ({"rows": [RUTILE.replace("136", "")] * 6}, "row 1: states no space group"),
        ({"rows": [RUTILE.replace("4.5955", "wide")] * 6}, "row 1: cell wide wide .*: not six numbers"),
        ({"rows": ["Rutile,136"] * 6}, "row 1 has fewer columns"),
        ({"header": HEADER.replace("space_group", "group")}, "no column space_group; it needs space_group, a_A"),
        ({"intensity": np.zeros(10)}, "needs an array `intensity`"),
        ({"intensity": np.array([["a", "b"]])}, "needs an array `intensity`"),
        ({"intensity": np.zeros((6, 8501))}, "constant scan"),
        ({"rows": [RUTILE], "intensity": np.ones((1, 8501))}, "at least 2"),
    ],
)
def test_a_set_that_cannot_be_used(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MeasuredSet.read(make(**changes))


def test_files_that_are_missing(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        MeasuredSet.read(tmp_path / "none.npz")
    path = make()
    path.with_suffix(".csv").unlink()
    with pytest.raises(InputError, match=r"set\.csv: no such file; it holds the labels of set\.npz"):
        MeasuredSet.read(path)
    path.write_text("words")
    with pytest.raises(InputError, match="not a NumPy archive"):
        MeasuredSet.read(path)


@pytest.fixture(scope="module")
def identifier(small_library: Path) -> Identifier:
    return Identifier("all", threads=1, search=Search(libraries=(str(small_library),), shipped=False, max_phases=1))


def test_two_measured_minerals_are_judged(make: Make, identifier: Identifier) -> None:
    """Rutile is answered right, quartz carries the other hand's label in half of the rows: mirror images are one."""
    rows = [RUTILE, QUARTZ, RUTILE, QUARTZ.replace("154", "152"), RUTILE, QUARTZ]
    found: Any = evaluate_measured(identifier, MeasuredSet.read(make(rows=rows)))
    assert (found["patterns"], found["unanswered"]) == (6, 0)
    assert set(found["evidence"]) == set(EVIDENCE)
    for kind in ("library", "all"):
        assert found["evidence"][kind]["crystal_system"] == 1.0
        assert found["evidence"][kind]["space_group"] == 1.0
        assert 0 <= found["evidence"][kind]["calibration_error_equal_mass"] <= 1
    assert found["cells"] == {"patterns": 6, "answered": 6, "equivalent": 1.0}
    without = found["not_in_the_library"]
    assert without["patterns"] == 6
    assert without["paired"].keys() == {"only_all_right", "only_network_right"}


def test_a_wrong_label_is_a_wrong_answer(make: Make, identifier: Identifier) -> None:
    rows = [RUTILE.replace("136", "225"), QUARTZ] * 3
    found: Any = evaluate_measured(identifier, MeasuredSet.read(make(rows=rows)))
    assert found["evidence"]["all"]["space_group"] == 0.5
    assert found["evidence"]["all"]["crystal_system"] == 0.5


def test_no_accepted_cell_is_no_crash(make: Make, identifier: Identifier) -> None:
    rows = [row.removesuffix("1") + "0" for row in [RUTILE, QUARTZ] * 3]
    found: Any = evaluate_measured(identifier, MeasuredSet.read(make(rows=rows)))
    assert found["cells"] == {"patterns": 0, "answered": 0, "equivalent": 0.0}
    assert found["not_in_the_library"]["patterns"] == 0


def test_the_error_of_calibration_by_hand() -> None:
    """Two bins: sure ones right in half, unsure ones always."""
    confidence = np.repeat([0.9, 0.5], 10)
    right = np.array([True, False] * 5 + [True] * 10)
    error, low, high = equal_mass_error(confidence, right, bins=2)
    assert error == pytest.approx((0.4 + 0.5) / 2)
    assert low <= error <= high
