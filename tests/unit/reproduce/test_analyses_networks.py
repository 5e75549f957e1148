"""Analyses that ask a network again: masked peaks, maps, and class activation of networks known by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.evaluate.evaluate_network import evaluate_network
from powderlens.evaluate.record import read_records
from powderlens.models.network import Network
from powderlens.models.registry import build, card
from powderlens.models.task import Task, crystal_system
from powderlens.reproduce.analyses import grad_cam, masked_peaks, t_sne
from powderlens.reproduce.analyses.asked_networks import asked_networks, some_of
from powderlens.reproduce.analyses.base import Inputs
from powderlens.train.components.machine import Machine

pytestmark = pytest.mark.filterwarnings("ignore:.*OpenMP.*:RuntimeWarning")


@pytest.fixture(scope="module")
def inputs(make_run: Callable[..., Path], corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A run of two heads and its record on nine patterns."""
    place = tmp_path_factory.mktemp("asked")
    run = make_run(place / "run", tasks=("space_group", "crystal_system"))
    evaluate_network(
        run, corpora["learnt"], "test", place / "records", timing=False, machine=Machine(workers=0, threads=1)
    )
    return Inputs(records=tuple(read_records([place / "records"])), corpus=corpora["learnt"], runs=(run,))


def changed(inputs: Inputs, **changes: Any) -> Inputs:
    from dataclasses import replace

    return replace(inputs, **changes)


def test_a_run_and_its_record(
    inputs: Inputs, make_run: Callable[..., Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    [one] = asked_networks(inputs)
    patterns = one.corpus.draw(one.corpus.numbers("test"))
    for task in ("space_group", "crystal_system"):
        assert one.ask(patterns)[task].tolist() == one.answers(task).predicted.tolist()
    other = make_run(tmp_path / "other", tasks=("space_group",), batch=16)
    with pytest.raises(InputError, match="other: of the records on learnt, none is of this checkpoint"):
        asked_networks(changed(inputs, runs=(other,)))
    with pytest.raises(InputError, match="the records were tested on learnt with"):
        asked_networks(changed(inputs, corpus=corpora["fresh"]))
    assert some_of(np.array([5, 3, 4]), 3, 0).tolist() == [3, 4, 5]
    assert len(set(some_of(np.arange(100), 7, 0).tolist())) == 7


def hat(at: int, height: float, points: int = 600, wide: float = 8.0) -> np.ndarray:
    return height * np.exp(-(((np.arange(points) - at) / wide) ** 2))


def test_peaks_and_their_bands() -> None:
    pattern = (hat(100, 100.0) + hat(300, 50.0) + hat(500, 10.0)).astype(np.float32)
    peaks = masked_peaks.find(pattern)
    assert peaks.band.tolist() == [4, 2, 0]
    assert len(peaks.edges) == 4
    for band, at in ((4, 100), (2, 300), (0, 500)):
        left = masked_peaks.cut(pattern, peaks, band)
        assert left[at] < 0.5, "cut off at the floor"
        others = [x for x in (100, 300, 500) if x != at]
        assert left[others].tolist() == pattern[others].tolist()
    assert masked_peaks.cut(pattern, peaks, 1).tolist() == pattern.tolist(), "no peak there"
    on_a_slope = pattern + np.linspace(0, 20, 600, dtype=np.float32)
    assert masked_peaks.cut(on_a_slope, masked_peaks.find(on_a_slope), 4)[100] == pytest.approx(3.34, abs=0.3)


def test_patterns_without_peaks() -> None:
    flat = masked_peaks.find(np.zeros(50, np.float32))
    assert flat.band.tolist() == []
    noise = np.random.default_rng(0).normal(0, 2.0, 600) + hat(300, 100.0)
    assert masked_peaks.find(noise).band.tolist() == [4], "noise of 2 % makes no peaks"


def test_masked_peaks_of_a_network(inputs: Inputs) -> None:
    result = masked_peaks.analyse(inputs)
    table = result.table.to_pylist()
    assert [(row["task"], row["band"]) for row in table] == [
        (task, band) for task in ("space_group", "crystal_system") for band in masked_peaks.BANDS
    ]
    record = inputs.records[0][1]
    assert {row["accuracy"] for row in table if row["task"] == "space_group"} == {
        record.classes["space_group"].accuracy
    }
    strongest = [row for row in table if row["band"] == "80-100 %"]
    assert all(row["patterns_with_peaks"] == 9 and row["peaks_per_pattern"] >= 1 for row in strongest)
    assert any("100.00 % of the answers are the record's" in note for note in result.notes)


def test_neighbours_of_another_crystal() -> None:
    points = np.array([[0.0], [0.1], [1.0], [1.1], [5.0]])
    crystal = np.array([0, 0, 1, 2, 3])
    kind = np.array(["a", "a", "b", "b", "a"])
    # 0 and 1 look past each other to 2 (b); 2 and 3 see each other; 4 sees 3 (b)
    assert t_sne.neighbours_agree(points, crystal, kind) == pytest.approx(2 / 5)
    assert np.isnan(t_sne.neighbours_agree(points, np.zeros(5), kind))


def test_maps_of_patterns_and_features(inputs: Inputs) -> None:
    plain = t_sne.analyse(changed(inputs, runs=()))
    features = t_sne.analyse(inputs)
    assert set(plain.table["of"].to_pylist()) == {"patterns"}
    assert set(features.table["of"].to_pylist()) == {"features of cnn5"}
    corpus = Corpus.open(inputs.corpus or "")
    assert features.table["pattern"].to_pylist() == corpus.numbers("test").tolist()
    assert np.isfinite(features.table["x"].to_numpy()).all()


class Toy(nn.Module):
    """One convolution of two channels with kernels of one point, then flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.features = 8
        self.layers = nn.Sequential(nn.Conv1d(1, 2, 1, bias=False), nn.Flatten())
        with torch.no_grad():
            self.layers[0].weight.copy_(torch.tensor([[[1.0]], [[-1.0]]]))

    def forward(self, x_B1L: Tensor) -> Tensor:
        return self.layers(x_B1L)


def toy(weight: list[list[float]]) -> Network:
    """Channels (x, -x) of four points, and a dense layer of so many classes without bias."""
    head = nn.Linear(8, len(weight), bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor(weight))
    task = Task("t", "classes", len(weight), tuple(range(len(weight))))
    return Network(card("park_cnn_small"), Toy(), {"t": head}, [task], points=4, length=4).eval()


def test_class_activation_by_hand() -> None:
    # park_cnn_small scales to maximum 1: the pattern becomes (1, 0.5, 0, 0.25).
    pattern = np.array([4.0, 2.0, 0.0, 1.0], np.float32)
    speaks = toy([[2.0, 0, 0, 0, 0, 0, 0, 0], [0.0] * 8])
    # d(answer)/dA is 2 at unit 0 of channel 0: its mean 0.5 times x, the other channel 0.
    cam, answer, probability = grad_cam.class_activation(speaks, pattern, "t")
    assert cam == pytest.approx([1.0, 0.5, 0.0, 0.25])
    assert answer == 0
    assert probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    both = toy([[2.0, 0, 0, 0, 0, 0, 0, -8.0], [0.0] * 8])
    # channel 1 (-x): mean -2 times -x, so 0.5 x + 2 x: the same shape
    assert grad_cam.class_activation(both, pattern, "t")[0] == pytest.approx([1.0, 0.5, 0.0, 0.25])
    against = toy([[4.0, -8.0, 0, 0, 0, 0, 0, 0], [-9.0, 0, 0, 0, 0, 0, 0, 0]])
    cam, answer, _ = grad_cam.class_activation(against, pattern, "t")  # outputs 0 and -9; mean (4 - 8) / 4 = -1
    assert answer == 0
    assert cam.tolist() == [0.0] * 4, "nothing speaks for it"


@pytest.mark.parametrize(
    ("name", "points", "units", "first", "step", "window"),
    [
        ("cnn5", 3501, 435, 14.0, 8.0, 29),  # three kernels of 5, strides of 2: 2 + 4 + 8, 5 + 8 + 16
        ("cnn9", 3501, 857, 36.5, 4.0, None),
        ("resnet10", 3501, 14, 42.0, 256.0, None),
        ("prism", 4250, 88, 25.5, 48.0, None),
    ],
)
def test_where_units_stand(name: str, points: int, units: int, first: float, step: float, window: int | None) -> None:
    network = build(name, [crystal_system()], points=points, size="small", seed=0).eval()
    places, seen = grad_cam.unit_positions(network)
    assert len(places) == units
    assert places[:2] == pytest.approx([first, first + step])
    assert window in (None, seen)
    cam, *_ = grad_cam.class_activation(network, np.random.default_rng(1).random(points, np.float32), "crystal_system")
    assert len(cam) == units


def test_places_on_a_resampled_grid() -> None:
    network = build("cnn5", [crystal_system()], points=7002, size="small", seed=0).eval()
    places, _ = grad_cam.unit_positions(network)
    assert places[:2] == pytest.approx([28.5, 44.5]), "twice as many points: (14 + 1/2) * 2 - 1/2"


@pytest.mark.parametrize("name", ["mlp", "gru", "itransformer", "patchtst"])
def test_networks_that_do_not_convolve(name: str) -> None:
    network = build(name, [crystal_system()], points=701, size="small", seed=0)
    with pytest.raises(InputError, match=f"{name}: has no convolution to look at; .* such as cnn11"):
        grad_cam.unit_positions(network)


def test_grad_cam_of_a_run(inputs: Inputs) -> None:
    first = int(Corpus.open(inputs.corpus or "").numbers("test")[0])
    result = grad_cam.analyse(changed(inputs, patterns=(first,)))
    table = result.table.to_pylist()
    [one] = asked_networks(inputs)
    units = len(grad_cam.unit_positions(one.network)[0])
    assert len(table) == 2 * units
    for task in ("space_group", "crystal_system"):
        mine = [row for row in table if row["task"] == task]
        assert {row["answered"] for row in mine} == {int(one.answers(task).predicted[0])}
        assert max(row["activation"] for row in mine) in (0.0, 1.0)
    with pytest.raises(InputError, match=rf"pattern {first + 1}: not in learnt:test, .* its first one is {first}"):
        grad_cam.analyse(changed(inputs, patterns=(first + 1,)))
