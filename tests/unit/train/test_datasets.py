"""Torch datasets over streams: any number of processes gives the same batches, and a checkpoint resumes exactly."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.pattern.grid import Grid
from powderlens.train.datasets import StreamDataset

GRID = Grid(start_deg=5.0, step_deg=0.1, points=850, wavelength_A=1.5418711)
forked = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

Named = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def stream(small_table: ReflectionTable) -> CrystalStream:
    lab = load_protocol("lab")
    return CrystalStream(small_table, np.arange(600), np.full(600, 1 / 600), lab, size=5, seed=1, grid=GRID)


def equal(one: list[Named], other: list[Named]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


def test_what_a_batch_holds(stream: CrystalStream) -> None:
    named = next(iter(StreamDataset[Named](stream, first=2)))
    batch = stream.batch(2)
    assert named["patterns"].shape == (5, 850)
    assert named["patterns"].dtype == torch.float32
    assert named["space_group"].tolist() == (batch.space_group - 1).tolist()
    assert named["crystal_system"].tolist() == batch.crystal_system.tolist()
    assert named["crystal_system"].dtype == named["space_group"].dtype == torch.int64
    assert named["numbers"].tolist() == [10, 11, 12, 13, 14]
    assert named.keys() == batch.arrays().keys()


@forked
def test_any_number_of_processes_of_either_kind_gives_the_same_batches(stream: CrystalStream) -> None:
    alone = list(StreamDataset[Named](stream, stop=7))
    assert len(alone) == 7
    assert equal(list(StreamDataset[Named](stream, workers=2, stop=7, start="fork")), alone)
    assert equal(list(StreamDataset[Named](stream, workers=1, first=4, stop=7, start="fork")), alone[4:])
    for workers in (0, 2):
        loader = DataLoader(StreamDataset[Named](stream, stop=7), batch_size=None, num_workers=workers)
        assert equal(list(loader), alone)
    inside = DataLoader(StreamDataset[Named](stream, workers=1, stop=7), batch_size=None, num_workers=1)
    with pytest.raises(InputError, match="1 workers of the dataset inside 1 of a DataLoader"):
        list(inside)


@forked
@pytest.mark.parametrize("workers", [0, 2])
def test_a_checkpoint_goes_on_with_the_batch_that_was_not_handed_out(stream: CrystalStream, workers: int) -> None:
    whole = list(StreamDataset[Named](stream, stop=6))
    dataset = StreamDataset[Named](stream, workers=workers, stop=6, start="fork")
    batches = iter(DataLoader(dataset, batch_size=None))
    before = [next(batches) for _ in range(3)]
    file = io.BytesIO()
    torch.save(dataset.state_dict(), file)
    file.seek(0)
    del batches
    resumed = StreamDataset[Named](stream, workers=workers, stop=6, start="fork")
    resumed.load_state_dict(torch.load(file))
    assert resumed.next_batch == 3
    assert equal(before + list(resumed), whole)


def test_the_state_of_another_stream_is_refused(stream: CrystalStream) -> None:
    state = StreamDataset[Any](stream.with_size(6)).state_dict()
    with pytest.raises(InputError, match="the state is of another stream: size differ"):
        StreamDataset[Any](stream).load_state_dict(state)
    with pytest.raises(InputError, match="no state of a stream"):
        StreamDataset[Any](stream).load_state_dict({})
    with pytest.raises(InputError, match="-1 workers from batch 0"):
        StreamDataset[Any](stream, workers=-1)


def test_the_example_builds_a_corpus_and_trains_with_it(root: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("example", root / "examples" / "train_small_network.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    torch.manual_seed(0)
    corpus = example.make_corpus(tmp_path)
    assert example.train(corpus, steps=1, workers=0) < 0.6
    assert example.train(corpus, steps=100, workers=0) > 0.75
