"""What a `Structure` will not be: cells that are none, places that are none, shares that are none."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.structure import Doubt, Structure, right_handed

GOOD = Structure.from_cell((3, 4, 5, 90, 90, 90), ["Cu", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("lattice", "reason"),
    [
        (np.diag([3, 4, np.nan]), "finite"),
        (np.diag([3, 4, np.inf]), "finite"),
        (np.diag([3, 4, 1e308]), "cell vector of 1e\\+308 A"),
        (np.diag([3, 4, 0.0]), "no volume"),
        (np.array([[3, 0, 0], [0, 4, 0], [3, 4, 1e-5]]), "no volume"),
        (np.diag([3, 4, -5]), "left-handed"),
        (np.diag([3e-9, 4e-9, 5e-9]), "cell vector of 3e-09 A"),
        (np.eye(4), "nine"),
    ],
)
def test_cells_that_are_none(lattice: np.ndarray, reason: str) -> None:
    with pytest.raises(StructureError, match=reason):
        replace(GOOD, lattice=lattice)


@pytest.mark.parametrize("edge", [0.0, -4.0, float("nan"), float("inf"), 1e300, 0.01, 20_000.0])
def test_edges_that_are_none(edge: float) -> None:
    with pytest.raises(StructureError, match="cell"):
        Structure.from_cell((edge, 4, 5, 90, 90, 90), ["Cu"], [[0, 0, 0]])


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "no coordinates"), (np.inf, "no coord"), (-1e308, "-1e\\+308")])
def test_places_that_are_none(value: float, reason: str) -> None:
    with pytest.raises(StructureError, match=reason):
        replace(GOOD, frac=np.array([[0, 0, value], [0.5, 0.5, 0.5]]))


@pytest.mark.parametrize("share", [-0.1, 1.2, np.nan, np.inf])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(StructureError, match="occupancy"):
        replace(GOOD, occupancy=np.array([1.0, share]))


def test_a_left_handed_basis_becomes_right_handed_with_every_atom_in_its_place() -> None:
    lattice, frac = np.array([[0, 4.0, 0], [3.0, 0, 0], [1.0, 1.0, 5.0]]), np.array([[0.1, 0.2, 0.3], [0.5, 0.7, 0.9]])
    turned, moved = right_handed(lattice, frac)
    assert np.linalg.det(turned) > 0
    assert moved @ turned == pytest.approx(frac @ lattice, abs=1e-15)
    same, kept = right_handed(turned, moved)
    assert same is turned
    assert kept is moved


def test_remarks_are_notes_and_doubts_in_one_line() -> None:
    assert GOOD.remarks == ""
    assert replace(GOOD, notes=("a",), doubts=(Doubt("site", "b"), Doubt("content", "c"))).remarks == "a; b; c"
