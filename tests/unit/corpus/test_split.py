"""The split: the same for ever, and no crystal of a held-out chemical system and group in training."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from powderlens.corpus.splits import PARTS, split_indices, split_of
from powderlens.corpus.store.reflection_table import ReflectionTable

ELEMENTS = [
    "Al",
    "B",
    "Ba",
    "Be",
    "C",
    "Ca",
    "Cl",
    "Co",
    "Cr",
    "Cu",
    "F",
    "Fe",
    "H",
    "K",
    "Li",
    "Mg",
    "Mn",
    "N",
    "Na",
    "Ni",
    "O",
    "P",
    "Pb",
    "S",
    "Si",
    "Sr",
    "Ti",
    "V",
    "W",
    "Zn",
]


def systems(count: int) -> list[tuple[str, int]]:
    """Different made-up sets of elements, each with a space group."""
    choices = np.random.default_rng(0).integers(0, (len(ELEMENTS), len(ELEMENTS), 230), size=(count, 3))
    return [(" ".join(sorted({ELEMENTS[a], ELEMENTS[b], "O"})), int(group) + 1) for a, b, group in choices]


@pytest.mark.parametrize(
    ("elements", "space_group", "part"),
    [
        ("O Ti", 136, "train"),
        ("O Si", 154, "train"),
        ("Ba O S", 62, "validation"),
        ("Cu S", 225, "validation"),
        ("Mg O Si", 62, "test"),
        ("S Zn", 216, "test"),
    ],
)
def test_the_split_stays_as_published(elements: str, space_group: int, part: str) -> None:
    assert split_of(elements, space_group) == part


def test_shares_of_the_parts() -> None:
    count = Counter(split_of(*key) for key in systems(20_000))
    assert count["validation"] / 20_000 == pytest.approx(0.01, abs=0.003)
    assert count["test"] / 20_000 == pytest.approx(0.02, abs=0.004)
    assert set(count) == set(PARTS)


def test_every_row_is_in_one_part(small_table: ReflectionTable) -> None:
    parts = split_indices(small_table.elements, small_table.space_group.tolist())
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(600))
    assert all(len(parts[part]) > 0 for part in PARTS), "the small table can be trained, validated and tested with"


def test_no_chemical_system_crosses_over(small_table: ReflectionTable) -> None:
    groups = small_table.space_group.tolist()
    parts = split_indices(small_table.elements, groups)
    keys = {part: {(small_table.elements[i], groups[i]) for i in rows} for part, rows in parts.items()}
    assert not keys["train"] & (keys["validation"] | keys["test"])
    assert not keys["validation"] & keys["test"]
    forsterite = {
        part for part, rows in parts.items() for i in rows if (small_table.elements[i], groups[i]) == ("Mg O Si", 62)
    }
    assert forsterite == {"test"}, "five determinations of one mineral stay together"


def test_other_crystals_change_nothing() -> None:
    some = systems(300)
    more = systems(600)
    first = split_indices([e for e, _ in some], [g for _, g in some])
    second = split_indices([e for e, _ in more], [g for _, g in more])
    assert more[:300] == some
    for part in PARTS:
        assert first[part].tolist() == [i for i in second[part].tolist() if i < 300]


def test_columns_of_different_length_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        split_indices(["O Ti", "O Si"], [136])
