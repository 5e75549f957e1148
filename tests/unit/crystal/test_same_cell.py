"""One lattice, whatever its reduced cell looks like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import lattice_from_cell


def test_tolerances() -> None:
    others = [(4, 5, 6, 90, 90, 90), (4.019, 5, 6, 90.4, 90, 90), (4.03, 5, 6, 90, 90, 90), (4, 5, 6, 90, 90.6, 90)]
    assert same_lattice((4, 5, 6, 90, 90, 90), others).tolist() == [True, True, False, False]
    assert same_lattice((4, 5, 6, 90, 90, 90), others, length=0.01, angle_deg=1.0).all()


def test_the_same_lattice_by_another_reduced_cell() -> None:
    """Nearly hexagonal: 60 or 120 degrees; nearly tetragonal: either of two lengths comes first."""
    assert same_lattice((3, 3, 5, 90, 90, 60.01), [(3, 3.0001, 5, 90, 90, 119.99)])[0]
    assert same_lattice((4.0, 4.01, 6, 90, 91, 90), [(4.0, 4.01, 6, 91, 90, 90)])[0]
    assert not same_lattice((3, 3, 5, 90, 90, 60), [(3, 3, 5, 90, 90, 90)])[0]


@given(
    st.tuples(*[st.floats(3, 9)] * 3, *[st.floats(65, 115)] * 3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2), st.sampled_from([-1, 1])), max_size=3),
    st.lists(st.floats(-1e-3, 1e-3), min_size=9, max_size=9),
)
def test_any_basis_of_a_nearly_equal_lattice(
    cell: tuple[float, ...], shears: list[tuple[int, int, int]], e: list[float]
) -> None:
    lattice = lattice_from_cell(cell)
    moved = lattice @ (np.eye(3) + np.array(e).reshape(3, 3))
    for row, step, sign in shears:
        moved[row] += sign * moved[(row + step) % 3]
    assert same_lattice(niggli_cell(lattice), [niggli_cell(moved)])[0]
    assert not same_lattice(niggli_cell(lattice), [niggli_cell(moved * 1.01)])[0]


@pytest.mark.parametrize("n", [0, 3])
def test_one_answer_for_each(n: int) -> None:
    assert same_lattice((4, 5, 6, 90, 90, 90), np.tile((4.0, 5, 6, 90, 90, 90), (n, 1)).reshape(-1, 6)).shape == (n,)
