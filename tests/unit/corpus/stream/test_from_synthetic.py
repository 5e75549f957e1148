"""Patterns of synthetic crystals: the generator's own crystals, replaced by rule where they cannot be drawn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store.drawn import ATTEMPT
from powderlens.corpus.stream import from_synthetic as stream_synthetic
from powderlens.corpus.stream.from_crystals import Balance
from powderlens.corpus.stream.from_synthetic import SyntheticStream
from powderlens.crystal.reduce import niggli_cell
from powderlens.diffraction.draw import draw_patterns
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.generate.draw import CrystalGenerator
from powderlens.generate.statistics import shipped_statistics


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol("ml4pxrds")


@pytest.fixture(scope="module")
def stream(protocol: Protocol) -> SyntheticStream:
    return SyntheticStream(protocol, size=16, seed=11)


def test_the_crystals_are_those_of_the_generator(stream: SyntheticStream, protocol: Protocol) -> None:
    generator = CrystalGenerator(shipped_statistics(), seed=11)
    batch = stream.batch(2)
    assert batch.crystal.tolist() == list(range(32, 48))
    for at in (0, 7, 15):
        made = generator.crystal(32 + at)
        structure = made.structure()
        alone = draw_patterns(structure, protocol, seed=11, first=32 + at)
        assert batch.patterns[at].tobytes() == alone.intensity[0].astype(np.float32).tobytes()
        assert batch.space_group[at] == made.occupation.space_group
        assert batch.cell[at] == pytest.approx(made.occupation.cell, rel=1e-6)
        assert batch.niggli[at] == pytest.approx(niggli_cell(structure), rel=1e-6)
    assert batch.patterns.max(axis=1) == pytest.approx(np.ones(16))
    assert len(set(batch.space_group.tolist())) > 5


def test_a_pattern_is_the_same_alone_and_after_a_journey(stream: SyntheticStream) -> None:
    batch = stream.batch(1)
    there = pickle.loads(pickle.dumps(stream))
    assert len(pickle.dumps(stream)) < 20_000, "the shipped statistics are read where it arrives"
    assert there.with_size(1).batch(20).patterns[0].tobytes() == batch.patterns[4].tobytes()
    assert there.identity() == stream.identity()


def test_two_patterns_of_a_crystal_differ_in_their_conditions(protocol: Protocol) -> None:
    batch = SyntheticStream(protocol, size=8, seed=11, per_crystal=2).batch(0)
    assert batch.crystal.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (batch.niggli[0::2] == batch.niggli[1::2]).all()
    assert all(a.tobytes() != b.tobytes() for a, b in zip(batch.patterns[0::2], batch.patterns[1::2], strict=True))


def test_classes_are_balanced(protocol: Protocol) -> None:
    systems = SyntheticStream(protocol, size=1, seed=3, balance=Balance(by="crystal_system", power=1.0))
    groups = [systems._generator(address).groups[0] for address in range(700)]
    share = np.bincount(np.searchsorted([2, 15, 74, 142, 167, 194], groups), minlength=7) / 700
    assert share == pytest.approx(np.full(7, 1 / 7), abs=0.05)
    again = pickle.loads(pickle.dumps(systems))
    assert again.batch(5).patterns.tobytes() == systems.batch(5).patterns.tobytes()
    assert again.batch(5).space_group[0] == groups[5]
    assert systems.identity() != SyntheticStream(protocol, size=1, seed=3).identity()


def test_a_crystal_that_cannot_be_drawn_is_replaced_and_counted(
    stream: SyntheticStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stream.batch(0)
    monkeypatch.setattr(stream_synthetic, "MAX_FAMILIES", 300)
    batch = stream.batch(0)
    gone = batch.replaced > 0
    assert 0 < gone.sum() < 16
    assert batch.patterns[~gone].tobytes() == whole.patterns[~gone].tobytes()
    assert (batch.crystal[gone] == batch.numbers[gone] + batch.replaced[gone] * ATTEMPT).all()
    monkeypatch.setattr(stream_synthetic, "MAX_FAMILIES", 0)
    with pytest.raises(InputError, match=r"pattern 3: no crystal of 64 .*more than 0 families"):
        stream.draw(np.array([3]))


def test_impurities_are_common_minerals() -> None:
    lab = load_protocol("lab")
    mixed = SyntheticStream(lab, size=4, seed=1).batch(0)
    pure = SyntheticStream(lab, size=4, seed=1, impurities=False).batch(0)
    share = lab.draw(1, 4)["impurity_share"]
    assert share.any()
    same = [a.tobytes() == b.tobytes() for a, b in zip(mixed.patterns, pure.patterns, strict=True)]
    assert same == (share == 0).tolist()
