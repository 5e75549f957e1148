"""Which phases are drawn, which are held out, and which go when one is not to be known."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.random import uniform
from powderlens.corpus.splits import split_of
from powderlens.crystal.reduce import niggli_cell
from powderlens.evaluate.trials.pool import Pool, held_out
from powderlens.library.store import PhaseLibrary


def test_a_vote_for_each_name_by_the_shares(known: PhaseLibrary, pool: Pool) -> None:
    picked = Counter(pool.pick(u) for u in uniform(1, np.arange(4000), 14, 3))
    measured = sum(count for row, count in picked.items() if known.measured[row])
    assert measured / 4000 == pytest.approx(0.6, abs=0.03)
    assert set(picked) == set(range(len(known)))
    spread = [picked[row] for row in range(len(known)) if known.measured[row]]
    assert max(spread) < 1.4 * min(spread)


def test_only_rows_that_are_allowed(known: PhaseLibrary) -> None:
    some = Pool.of(known, [3, 5], {"measured": 1.0})
    assert {some.pick(u) for u in uniform(1, np.arange(50), 14, 3)} == {3, 5}
    assert {some.only("measured").pick(u) for u in uniform(1, np.arange(50), 14, 3)} == {3, 5}


@pytest.mark.parametrize(
    ("rows", "shares", "said"),
    [
        ([], {"measured": 1.0}, "0 rows"),
        ([0, 99], {"measured": 1.0}, "from 0 to 13"),
        ([0], {"calculated": 1.0}, "no calculated phase among 1 rows"),
        ([0], {"guessed": 1.0}, "give measured and calculated"),
        ([0], {"measured": 0.0}, "not both 0"),
    ],
)
def test_what_cannot_be_drawn_of_is_refused(
    known: PhaseLibrary, rows: list[int], shares: dict[str, float], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        Pool.of(known, rows, shares)


def test_a_phase_goes_with_its_like(pool: Pool, row_of: dict[str, int]) -> None:
    """Rutile with the same crystal as calculated, 2.6 % longer; halite alone: 20 % is another phase."""
    assert pool.hidden_with(row_of["Rutile"]).tolist() == sorted([row_of["Rutile"], row_of["oqmd:0"]])
    assert pool.hidden_with(row_of["oqmd:0"]).tolist() == sorted([row_of["Rutile"], row_of["oqmd:0"]])
    assert pool.hidden_with(row_of["Halite"]).tolist() == [row_of["Halite"]]


def test_reduced_cells_are_those_of_the_structures(known: PhaseLibrary, pool: Pool) -> None:
    for row in range(len(known)):
        assert pool.reduced(row) == pytest.approx(niggli_cell(known.structure(row)), abs=1e-4)


def test_held_out_by_elements_and_group(known: PhaseLibrary) -> None:
    rows = held_out(known)
    expected = []
    for row in range(len(known)):
        elements = " ".join(sorted(set(known.structure(row).elements)))
        if split_of(elements, int(known.space_group[row])) != "train":
            expected.append(row)
    assert rows.tolist() == expected
    assert len(rows) > 0
