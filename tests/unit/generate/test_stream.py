"""Numbers with an address: the same for ever, different for every crystal."""

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.generate.stream import BLOCK, Stream


def test_the_numbers_of_a_crystal_are_these_for_ever():
    stream = Stream(7, 3)
    assert [round(stream.number(), 12) for _ in range(3)] == [0.706338654177, 0.08719280989, 0.205542621349]
    assert np.allclose(Stream(7, 3).uniform(3), [0.482128601876, 0.724135572625, 0.050254039486], atol=1e-12)


def test_seed_index_and_purpose_each_change_the_numbers():
    streams = [Stream(1, 0), Stream(2, 0), Stream(1, 1), Stream(1, 0, purpose=1)]
    drawn = np.array([stream.uniform(50) for stream in streams])
    assert len(np.unique(drawn)) == drawn.size


def test_numbers_are_spread_and_never_repeat_across_blocks():
    numbers = [stream.number() for stream in [Stream(0, 0)] for _ in range(20 * BLOCK)]
    assert len(set(numbers)) == len(numbers)
    assert 0 < min(numbers) < max(numbers) < 1
    assert np.mean(numbers) == pytest.approx(0.5, abs=0.03)
    assert np.std(Stream(0, 1).normal(5000)) == pytest.approx(1, abs=0.04)


def test_choices_follow_their_weights():
    stream = Stream(0, 2)
    chosen = np.bincount([stream.choose([2.0, 2.0, 3.0, 10.0]) for _ in range(10_000)], minlength=4)
    assert chosen[1] == 0
    assert chosen / 10_000 == pytest.approx([0.2, 0, 0.1, 0.7], abs=0.02)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed -1"):
        Stream(-1, 0)
