"""Mixtures: shares are exact, every stream gives its own patterns in their order and none is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.stream.mixture import BLOCK, MixtureStream
from powderlens.corpus.stream.stream import Batch, Stream
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=5.0, step_deg=1.0, points=4, wavelength_A=1.5)


class Counting(Stream):
    """Patterns that say which stream they are of and their number there."""

    def __init__(self, name: int, *, grid: Grid = GRID, per_crystal: int = 1) -> None:
        super().__init__(size=per_crystal, grid=grid, seed=0, per_crystal=per_crystal)
        self.name = name

    def draw(self, numbers: NDArray[np.int64]) -> Batch:
        out = Batch.zeros(len(numbers), self.shape)
        out.patterns[:, 0], out.patterns[:, 1] = self.name, numbers
        out.numbers[:], out.crystal[:] = numbers, self.name
        return out

    def identity(self) -> dict[str, Any]:
        return self._identity(name=self.name)


def test_shares_are_exact_and_nothing_is_left_out_or_given_twice() -> None:
    mixture = MixtureStream([Counting(1), Counting(2), Counting(3)], [0.7, 0.2, 0.1], size=BLOCK, seed=5)
    for block in (0, 7):
        batch = mixture.batch(block)
        assert batch.numbers.tolist() == list(range(block * BLOCK, (block + 1) * BLOCK))
        for name, count in ((1, 700), (2, 200), (3, 100)):
            own = batch.patterns[batch.crystal == name, 1].astype(int)
            assert own.tolist() == list(range(block * count, (block + 1) * count)), "its own, in their order"
    assert mixture.batch(0).crystal.tolist() != mixture.batch(1).crystal.tolist()
    other = MixtureStream(mixture.streams, [7, 2, 1], size=BLOCK, seed=6)
    assert other.batch(0).crystal.tolist() != mixture.batch(0).crystal.tolist()


def test_it_is_mixed_well() -> None:
    batch = MixtureStream([Counting(1), Counting(2)], [1, 1], size=BLOCK, seed=0).batch(0)
    halves = [(batch.crystal[a : a + 100] == 1).mean() for a in range(0, BLOCK, 100)]
    assert 0.3 < min(halves) < max(halves) < 0.7


def test_a_pattern_is_the_same_in_any_batch() -> None:
    mixture = MixtureStream([Counting(1), Counting(2)], [3, 1], size=8, seed=2)
    whole = mixture.with_size(64).batch(31)
    assert len(set(whole.crystal.tolist())) == 2
    parts = [mixture.batch(248 + i) for i in range(8)]
    assert np.concatenate([part.patterns for part in parts]).tobytes() == whole.patterns.tobytes()
    assert mixture.draw(whole.numbers[::-1]).patterns.tobytes() == whole.patterns[::-1].tobytes()


def test_the_patterns_of_a_crystal_stay_together() -> None:
    streams = [Counting(1, per_crystal=2), Counting(2, per_crystal=2)]
    batch = MixtureStream(streams, [1, 1], size=100, seed=2).batch(0)
    assert (batch.crystal[0::2] == batch.crystal[1::2]).all()
    assert (batch.patterns[0::2, 1] + 1 == batch.patterns[1::2, 1]).all()
    assert (batch.patterns[0::2, 1] % 2 == 0).all()


def test_weights_are_rounded_to_thousandths() -> None:
    streams = [Counting(1), Counting(2), Counting(3)]
    assert MixtureStream(streams, [1, 1, 1], size=1, seed=0).counts in ((334, 333, 333), (333, 334, 333))
    assert sum(MixtureStream(streams, [5, 3, 0.01], size=1, seed=0).counts) == BLOCK
    with pytest.raises(InputError, match=r"a weight of 0\.0001 of 2\.0001 rounds to nothing"):
        MixtureStream(streams, [1, 1, 1e-4], size=1, seed=0)
    with pytest.raises(InputError, match="weights 1, 0, 1: each must be a number above 0"):
        MixtureStream(streams, [1, 0, 1], size=1, seed=0)


def test_streams_that_do_not_fit_are_refused() -> None:
    wider = Grid(start_deg=5.0, step_deg=1.0, points=5, wavelength_A=1.5)
    with pytest.raises(InputError, match="need the same grid"):
        MixtureStream([Counting(1), Counting(2, grid=wider)], [1, 1], size=1, seed=0)
    with pytest.raises(InputError, match="need the same per crystal"):
        MixtureStream([Counting(1), Counting(2, per_crystal=2)], [1, 1], size=2, seed=0)
    with pytest.raises(InputError, match="1 streams with 1 weights"):
        MixtureStream([Counting(1)], [1], size=1, seed=0)


def test_what_it_is_made_of_is_its_identity(tmp_path: Path) -> None:
    mixture = MixtureStream([Counting(1), Counting(2)], [1, 3], size=4, seed=2)
    assert mixture.shared(tmp_path).identity() == mixture.identity()
    for other in (
        MixtureStream([Counting(1), Counting(3)], [1, 3], size=4, seed=2),
        MixtureStream([Counting(1), Counting(2)], [1, 2], size=4, seed=2),
        MixtureStream([Counting(1), Counting(2)], [1, 3], size=4, seed=3),
    ):
        assert other.identity() != mixture.identity()
