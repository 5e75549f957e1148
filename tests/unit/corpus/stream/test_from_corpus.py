"""A corpus as a stream: every pattern once an epoch, in an order that needs no list, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.stream.from_corpus import CorpusStream, shuffled
from powderlens.corpus.stream.from_crystals import Balance
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals


@pytest.fixture(scope="module")
def corpus(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Seven minerals of five groups under 33 conditions of `lab`: 210 patterns to train with."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "minerals.parquet")
    build_corpus(
        folder / "minerals.parquet", folder / "c", protocol="lab", per_crystal=33, split="in-library", workers=1
    )
    return Corpus.open(folder / "c")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 210, 1000])
def test_a_permutation_holds_every_place_once(count: int) -> None:
    place = np.arange(count)
    orders = [shuffled(7, np.full(count, epoch), place, count) for epoch in range(3)]
    assert all(sorted(order.tolist()) == place.tolist() for order in orders)
    other = shuffled(8, np.zeros(count, int), place, count)
    assert sorted(other.tolist()) == place.tolist()
    if count > 100:
        assert len({tuple(order.tolist()) for order in (*orders, other)}) == 4
        steps = np.abs(np.diff(orders[0]))
        assert 0.25 * count < steps.mean() < 0.42 * count, "neighbours end up a third of the way apart"


def test_every_place_is_taken_as_often_as_any_other() -> None:
    """Over 3,000 epochs place 0 of 10 goes everywhere about 300 times: chi^2 of 9 degrees of freedom below 27.9."""
    epochs = np.arange(3000)
    seen = np.bincount(shuffled(1, epochs, np.zeros(3000, int), 10), minlength=10)
    assert ((seen - 300) ** 2 / 300).sum() < 27.9


def test_places_do_not_depend_on_what_they_are_asked_with() -> None:
    place, epoch = np.array([5, 800_000, 17]), np.array([3, 2**33, 0])
    together = shuffled(4, epoch, place, 4_000_000)
    alone = [int(shuffled(4, epoch[i : i + 1], place[i : i + 1], 4_000_000)[0]) for i in range(3)]
    assert together.tolist() == alone


def test_an_epoch_gives_every_pattern_once_and_the_next_another_order(corpus: Corpus) -> None:
    stream = CorpusStream(corpus, size=30, seed=2)
    assert stream.epoch_patterns == 210
    epochs = [stream.corpus_numbers(np.arange(210) + 210 * epoch) for epoch in range(3)]
    wanted = corpus.numbers("train").tolist()
    assert all(sorted(epoch.tolist()) == wanted for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    assert [stream.epoch(i) for i in (0, 6, 7, 14)] == [0, 0, 1, 2]
    plain = CorpusStream(corpus, size=30, seed=2, shuffle=False)
    assert plain.corpus_numbers(np.arange(210)).tolist() == wanted


def test_the_patterns_and_labels_are_those_of_the_corpus(corpus: Corpus) -> None:
    stream = CorpusStream(corpus, "test", size=14, seed=2)
    batch = stream.batch(3)
    numbers = stream.corpus_numbers(batch.numbers)
    labels = corpus.labels(numbers)
    assert batch.patterns.tobytes() == corpus.draw(numbers).tobytes()
    assert batch.crystal.tolist() == corpus.crystal_of(numbers).tolist()
    assert batch.space_group.tolist() == labels.space_group.tolist()
    assert batch.crystal_system.tolist() == labels.crystal_system.tolist()
    assert batch.extinction_class.tolist() == labels.extinction_class.tolist()
    assert batch.cell == pytest.approx(labels.cell, rel=1e-6)
    assert batch.niggli == pytest.approx(labels.niggli, rel=1e-6)
    x, records = corpus.grid.two_theta_deg, corpus.conditions(numbers)
    for pattern, (first, end), record in zip(batch.patterns, batch.measured, records, strict=True):
        assert x[first] >= record["first_deg"] - 1e-6
        assert x[end - 1] <= record["last_deg"] + 1e-6
        assert not pattern[:first].any()
        assert not pattern[end:].any()
    assert len({int(first) for first, _ in batch.measured}) > 1


def test_patterns_of_a_crystal_are_taken_together(corpus: Corpus) -> None:
    stream = CorpusStream(corpus, size=8, seed=2, per_crystal=2)
    batch = stream.batch(4)
    assert (batch.crystal[0::2] == batch.crystal[1::2]).all()
    numbers = stream.corpus_numbers(np.arange(210))
    assert sorted(numbers.tolist()) == corpus.numbers("train").tolist()
    with pytest.raises(InputError, match="part 'train': its patterns cannot be taken 4 of a crystal at a time"):
        CorpusStream(corpus, size=8, seed=2, per_crystal=4)


def test_a_balanced_stream_evens_out_the_groups(corpus: Corpus) -> None:
    """Two of seven minerals are fluorite's group, two corundum's: five groups of which each gets a fifth."""
    stream = CorpusStream(corpus, size=1, seed=2, balance=Balance(by="space_group", power=1.0))
    groups = corpus.labels(stream.corpus_numbers(np.arange(4000))).space_group
    share = np.unique(groups, return_counts=True)[1] / 4000
    assert share == pytest.approx(np.full(5, 0.2), abs=0.03)
    with pytest.raises(InputError, match="a balanced stream draws by chance"):
        CorpusStream(corpus, size=1, seed=2, balance=Balance(), shuffle=False)


def test_a_shared_stream_gives_the_same_from_its_file(corpus: Corpus, tmp_path: Path) -> None:
    stream = CorpusStream(corpus, size=6, seed=2)
    shared = stream.shared(tmp_path)
    sent = pickle.dumps(shared)
    assert stream.chosen.tobytes() not in sent
    there = pickle.loads(sent)
    assert isinstance(there.chosen, np.memmap)
    assert there.batch(2).patterns.tobytes() == stream.batch(2).patterns.tobytes()
    alone = pickle.loads(pickle.dumps(stream))
    assert alone.chosen.tolist() == there.chosen.tolist() == stream.chosen.tolist()
    assert alone.identity() == there.identity() == stream.identity()
    for other in (
        CorpusStream(corpus, size=6, seed=3),
        CorpusStream(corpus, "test", size=6, seed=2),
        CorpusStream(corpus, size=6, seed=2, shuffle=False),
        CorpusStream(corpus, size=6, seed=2, balance=Balance()),
    ):
        assert other.identity() != stream.identity()


def test_what_cannot_be_trained_with_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="part 'everything': the corpus has test, train, validation"):
        CorpusStream(corpus, "everything", size=1, seed=0)
    measured = SimpleNamespace(
        kind="measured", manifest={}, grid=corpus.grid, parts=("all",), numbers=lambda part: np.arange(3)
    )
    with pytest.raises(InputError, match=r"measured patterns is for testing.*allow_measured=True insists"):
        CorpusStream(measured, "all", size=1, seed=0)  # type: ignore[arg-type]
    assert CorpusStream(measured, "all", size=1, seed=0, allow_measured=True).epoch_patterns == 3  # type: ignore[arg-type]
    measured.numbers = lambda part: np.arange(0)
    with pytest.raises(InputError, match="holds no patterns"):
        CorpusStream(measured, "all", size=1, seed=0, allow_measured=True)  # type: ignore[arg-type]
