"""Measured sets with labels: read, judged, and weights chosen on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from powderlens.evaluate.calibration import Gathered, choose_weights, gather
from powderlens.library.search import Matches

from powderlens.core.errors import InputError
from powderlens.evaluate.measured import MeasuredSet, evaluate_measured
from powderlens.identification.evidence import EVIDENCE, Evidence, Prediction, Weights
from powderlens.identification.identify import Identifier
from powderlens.pattern.read import read_pattern

HEADER = "name,space_group,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted"
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
def identifier() -> Identifier:
    return Identifier("all", threads=1)


def keep_the_shipped_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choosing takes seconds; one test here does it, and those of the command line."""
    monkeypatch.setattr("powderlens.evaluate.measured.choose_weights", lambda *_: Weights.load())


def test_two_measured_minerals_are_judged(make: Make, identifier: Identifier) -> None:
    """Rutile is answered right, quartz carries the other hand's label in half of the rows."""
    rows = [RUTILE, QUARTZ, RUTILE, QUARTZ.replace("154", "152"), RUTILE, QUARTZ]
    found = evaluate_measured(identifier, MeasuredSet.read(make(rows=rows)))
    assert (found["patterns"], found["unanswered"]) == (6, 0)
    for kind in ("shipped_weights", "weights_cross_validated"):
        of_kind = found[kind]
        assert isinstance(of_kind, dict)
        assert set(of_kind) == set(EVIDENCE)
        assert of_kind["all"]["crystal_system"] == 1.0
        assert of_kind["all"]["space_group_top5"] == 1.0
    cells = found["niggli_cell_of_the_network"]
    assert isinstance(cells, dict)
    assert cells["patterns"] == 6
    assert 0 <= cells["length_mean_relative_error"] < 1


def test_a_pattern_without_an_answer_counts_as_wrong(
    make: Make, identifier: Identifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_the_shipped_weights(monkeypatch)
    path = make()
    measured = MeasuredSet.read(path)
    whole = evaluate_measured(identifier, measured)
    with np.load(path) as stored:
        intensity = stored["intensity"].copy()
    intensity[4] = np.where(np.arange(intensity.shape[1]) % 4000 == 10, -1.0, 0.0)  # nothing stands out
    part = evaluate_measured(identifier, MeasuredSet.read(make(intensity=intensity)))
    assert part["unanswered"] == 1
    assert part["patterns"] == 6
    before, after = whole["shipped_weights"], part["shipped_weights"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["all"]["crystal_system"] == 1.0
    assert after["all"]["crystal_system"] == pytest.approx(5 / 6, abs=1e-4)


def test_no_accepted_cell_is_no_crash(make: Make, identifier: Identifier, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_the_shipped_weights(monkeypatch)
    rows = [row.removesuffix("1") + "0" for row in [RUTILE, QUARTZ] * 3]
    cells = evaluate_measured(identifier, MeasuredSet.read(make(rows=rows)))["niggli_cell_of_the_network"]
    assert isinstance(cells, dict)
    assert cells["patterns"] == 0
    assert "length_mean_relative_error" not in cells


def test_one_mineral_repeated_has_one_evidence(make: Make, identifier: Identifier) -> None:
    gathered = gather(identifier, MeasuredSet.read(make()).patterns)
    assert gathered.answered.tolist() == list(range(6))
    systems, groups = gathered.belief("all", identifier.weights)
    assert systems[0] == pytest.approx(systems[2], abs=1e-5)
    assert groups[0] == pytest.approx(groups[2], abs=1e-5)
    assert groups[0].argmax() == 135


def test_weights_are_chosen_for_what_is_right() -> None:
    """Overconfident logits want a temperature above 1; a library that is always right is believed."""
    rng = np.random.default_rng(0)
    n = 200
    truth = rng.integers(0, 230, n)
    logits = 12 * rng.standard_normal((n, 230))
    logits[np.arange(n), truth] += 20
    share = np.full(230, 1 / 230)
    prediction = Prediction(system_logits=np.zeros((n, 7)), group_logits=logits.astype(np.float32))
    score = np.column_stack([np.full(n, 0.95), np.full((n, 3), 0.6)]).astype(np.float32)
    others = rng.integers(1, 231, (n, 3))
    right = Matches(np.zeros((n, 4), np.int64), score, np.column_stack([truth + 1, others]), share)
    wrong = Matches(np.zeros((n, 4), np.int64), score, rng.integers(1, 231, (n, 4)), share)
    index = np.arange(n)

    def loss(evidence: Evidence, matches: Matches, weights: Weights) -> float:
        _, groups = Gathered(index, prediction, matches).belief(evidence, weights)
        return float(-np.log(groups[index, truth] + 1e-9).mean())

    believed = choose_weights(Gathered(index, prediction, right), truth)
    doubted = choose_weights(Gathered(index, prediction, wrong), truth)
    for weights in (believed, doubted):
        assert weights.temperature > 1.5
        assert loss("network", right, weights) < loss("network", right, Weights.load())
    assert loss("all", right, believed) < 0.05
    assert loss("all", wrong, doubted) < loss("network", wrong, doubted) + 0.05, (
        "a library that is wrong is not believed"
    )
    assert loss("all", wrong, doubted) < loss("all", wrong, believed) - 1
