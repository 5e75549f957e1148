"""The maximal-subgroup graph: every edge proven from operators, distances, and other tables."""

import itertools
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import gemmi
import moyopy
import numpy as np
import pymatgen.symmetry
import pytest
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.symmetry.subgroups import Edge, distance_matrix, distances, edges, within_edges

ENANTIOMORPHS = [(76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179),
                 (180, 181), (212, 213)]  # fmt: skip
GRAIN = 48  # translations and origins are whole multiples of 1/48; gemmi's of 1/24


@cache
def operators(number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rotations (n, 3, 3), shifts (n, 3) in 1/GRAIN, and centring (m, 3) by gemmi, in moyo's standard setting."""
    standard = moyopy.operations_from_number(number, setting=moyopy.Setting.standard(), primitive=False)
    wanted = {(np.array(w).tobytes(), tuple(np.rint(np.array(t) * 24).astype(int) % 24)) for w, t in
              zip(standard.rotations, standard.translations, strict=True)}  # fmt: skip
    for group in gemmi.spacegroup_table():
        if group.number == number:
            ops = [(np.array(op.rot) // op.DEN, np.array(op.tran)) for op in group.operations()]
            if {(w.tobytes(), tuple(t % 24)) for w, t in ops} == wanted:
                found = group.operations()
                rotations = np.array([op.rot for op in found.sym_ops]) // found.sym_ops[0].DEN
                shifts = np.array([op.tran for op in found.sym_ops]) * (GRAIN // 24)
                return rotations, shifts, np.array(found.cen_ops) * (GRAIN // 24)
    raise AssertionError(f"gemmi has no setting with moyo's operators of group {number}")


def embedded(edge: Edge) -> NDArray[np.int64] | None:
    """Which operators of the group the subgroup's standard ones become, (n,); None where one is no operator."""
    rotations, shifts, centring = operators(edge.group)
    theirs, their_shifts, their_centring = operators(edge.subgroup)
    inverse = np.linalg.inv(edge.matrix)
    lattice = {tuple(vector % GRAIN) for vector in centring}
    find = {rotation.tobytes(): i for i, rotation in enumerate(rotations)}
    # Its translations are translations of the group.
    for vector in [*(np.eye(3) * GRAIN), *their_centring]:
        moved = edge.matrix @ vector
        if tuple(np.rint(moved).astype(int) % GRAIN) not in lattice or np.abs(moved - np.rint(moved)).max() > 1e-6:
            return None
    out = []
    for rotation, shift in zip(theirs, their_shifts, strict=True):
        turned = edge.matrix @ rotation @ inverse
        whole = np.rint(turned).astype(np.int64)
        found = find.get(whole.tobytes())
        if found is None or np.abs(turned - whole).max() > 1e-9:
            return None
        moved = edge.matrix @ shift + (np.eye(3) - whole) @ edge.origin * GRAIN - shifts[found]
        if tuple(np.rint(moved).astype(int) % GRAIN) not in lattice or np.abs(moved - np.rint(moved)).max() > 1e-6:
            return None
        out.append(found)
    return np.array(out)


def lattice_index(edge: Edge) -> float:
    return np.linalg.det(edge.matrix) * len(operators(edge.group)[2]) / len(operators(edge.subgroup)[2])


def test_each_edge_is_a_subgroup_of_its_group_by_the_operators_of_gemmi() -> None:
    for edge in edges():
        found = embedded(edge)
        assert found is not None, edge
        assert len(set(found)) == len(found)


def test_a_wrong_origin_or_cell_is_no_subgroup() -> None:
    edge = next(e for e in edges() if (e.group, e.subgroup) == (225, 224))
    assert embedded(edge) is not None
    assert embedded(Edge(225, 224, "k", 4, edge.matrix, edge.origin + np.array([0.25, 0, 0]))) is None
    assert embedded(Edge(225, 224, "k", 4, edge.matrix * [1, 1, 1.5], edge.origin)) is None
    assert embedded(Edge(225, 222, "k", 4, edge.matrix, edge.origin)) is None


def test_t_edges_keep_the_translations_and_k_edges_the_point_group_and_the_index_is_right() -> None:
    for edge in edges():
        points = len(operators(edge.group)[0]) / len(operators(edge.subgroup)[0])
        lattice = lattice_index(edge)
        assert np.isclose(points * lattice, edge.index), edge
        if edge.kind == "t":
            assert np.isclose(lattice, 1)
            assert points > 1
        else:
            assert edge.kind == "k"
            assert points == 1
            assert lattice > 1.5


def between_in_point_group(edge: Edge) -> bool:
    """Whether one more operator makes less than the whole group of the subgroup's."""
    rotations = operators(edge.group)[0]
    find = {rotation.tobytes(): i for i, rotation in enumerate(rotations)}
    products = [[find[(one @ other).tobytes()] for other in rotations] for one in rotations]
    members = embedded(edge)
    assert members is not None
    for extra in set(range(len(rotations))) - set(members):
        grown, size = {*members, extra}, 0
        while size < len(grown):
            size = len(grown)
            grown |= {products[i][j] for i in grown for j in grown}
        if size < len(rotations):
            return True
    return False


def between_in_lattice(edge: Edge) -> bool:
    """Whether one more translation, with all that the operators make of it, spans less than the whole lattice."""
    rotations, _, centring = operators(edge.group)
    vectors = [*np.eye(3), *(centring / GRAIN)]
    primitive = next(
        np.array(three).T
        for three in itertools.combinations(vectors, 3)
        if np.isclose(abs(np.linalg.det(three)) * len(centring), 1)
    )
    to_primitive = np.linalg.inv(primitive)
    turns = np.rint(to_primitive @ rotations @ primitive).astype(int)
    kept = np.array([*np.eye(3), *(operators(edge.subgroup)[2] / GRAIN)]) @ (to_primitive @ edge.matrix).T
    prime = next(p for p in (2, 3) if edge.index % p == 0)
    rows = np.vstack([np.rint(kept).astype(int), prime * np.eye(3, dtype=int)])
    if round(edge.index / prime ** (3 - rank(rows, prime))) != 1:
        return True  # prime times the lattice is not in the subgroup's: together they are a lattice between
    for vector in itertools.product(range(prime), repeat=3):
        spanned = rank(np.vstack([rows, turns @ np.array(vector)]), prime)
        if rank(rows, prime) < spanned < 3:
            return True
    return False


def rank(rows: NDArray[np.int64], prime: int) -> int:
    """Rank modulo a prime."""
    left, out = rows % prime, 0
    while left.any():
        row = left[np.nonzero(left.any(axis=1))[0][0]]
        column = np.nonzero(row)[0][0]
        row = row * pow(int(row[column]), -1, prime)
        left = (left - np.outer(left[:, column], row)) % prime
        out += 1
    return out


def test_no_group_lies_between_the_two_of_an_edge() -> None:
    """A prime index leaves no room; the others are looked at one by one."""
    rest = [edge for edge in edges() if edge.index not in (2, 3, 5)]
    assert {(edge.kind, edge.index) for edge in rest} == {("t", 4), ("k", 4), ("k", 27)}
    for edge in rest:
        assert not (between_in_point_group(edge) if edge.kind == "t" else between_in_lattice(edge)), edge


def test_the_search_for_a_group_between_finds_one() -> None:
    one, none = np.eye(3), np.zeros(3)
    doubled = Edge(47, 47, "k", 4, one * [2, 2, 1], none)
    assert embedded(doubled) is not None
    assert between_in_lattice(doubled)
    assert between_in_lattice(Edge(47, 47, "k", 4, one * [4, 1, 1], none))
    assert not between_in_lattice(Edge(47, 47, "k", 2, one * [2, 1, 1], none))
    assert between_in_point_group(Edge(47, 2, "t", 4, one, none))
    assert not between_in_point_group(Edge(47, 16, "t", 2, one, none))


def test_pairs_agree_with_the_table_of_pymatgen_but_for_one() -> None:
    """It leaves out P4332 in P4132, of index 27."""
    text = (Path(pymatgen.symmetry.__path__[0]) / "symm_data.json").read_text(encoding="utf-8")
    table = json.loads(text)["maximal_subgroups"]
    theirs = {(int(group), sub) for group, subs in table.items() for sub in subs if sub != int(group)}
    ours = {(edge.group, edge.subgroup) for edge in edges()}
    assert len(ours) == len(edges()) == 1296
    assert ours - theirs == {(212, 213), (213, 212)}
    assert theirs <= ours


@pytest.mark.parametrize(
    ("group", "t", "k"),
    [
        (1, [], []),
        (2, [1], []),
        (4, [1], []),
        (14, [2, 4, 7], []),
        (19, [4], []),
        (62, [11, 14, 19, 26, 31, 33], []),
        (76, [4], [78]),
        (97, [22, 23, 79], [89, 90, 93, 94]),
        (225, [139, 166, 202, 209, 216], [221, 224]),
    ],
)
def test_subgroups_of_some_groups(group: int, t: list[int], k: list[int]) -> None:
    found = [(edge.kind, edge.subgroup) for edge in edges() if edge.group == group]
    assert found == sorted([*(("t", n) for n in t), *(("k", n) for n in k)], key=lambda pair: pair[1])


def test_enantiomorphic_types_are_two_types_one_edge_apart() -> None:
    both = {(edge.group, edge.subgroup): edge for edge in edges()}
    for pair in ENANTIOMORPHS:
        for way in (pair, pair[::-1]):
            assert both[way].kind == "k"
            assert both[way].index in (2, 3, 5, 27)
    assert distances(*zip(*ENANTIOMORPHS, strict=True)).tolist() == [1] * 11


def test_distances_are_symmetric_connected_and_zero_only_on_the_diagonal() -> None:
    matrix = distance_matrix()
    assert matrix.shape == (230, 230)
    assert matrix.dtype == np.int8
    assert (matrix == matrix.T).all()
    assert ((matrix == 0) == np.eye(230, dtype=bool)).all()
    assert matrix.max() == 6
    assert not matrix.flags.writeable
    linked = {(edge.group, edge.subgroup) for edge in edges()}
    ones = {(int(i) + 1, int(j) + 1) for i, j in np.argwhere(matrix == 1)}
    assert ones == linked | {pair[::-1] for pair in linked}


def test_each_distance_is_one_more_than_that_of_a_neighbour_and_none_is_shorter() -> None:
    matrix = distance_matrix().astype(int)
    for i in range(230):
        nearest = matrix[matrix[i] == 1].min(axis=0)
        others = np.arange(230) != i
        assert (matrix[i, others] == nearest[others] + 1).all()


def test_share_within_some_edges() -> None:
    predicted, truth = [225, 221, 2, 1, 230], np.array([225, 225, 225, 2, 1])
    steps = distances(predicted, truth)
    assert steps[:2].tolist() == [0, 1]
    assert steps.tolist() == [int(distance_matrix()[p - 1, t - 1]) for p, t in zip(predicted, truth, strict=True)]
    assert within_edges(predicted, truth, 0) == 0.2
    assert within_edges(predicted, truth, 1) == 0.6
    assert within_edges(predicted, truth, 6) == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth", "k", "message"),
    [
        ([0], [1], 1, "predicted space group 0: numbers run from 1 to 230"),
        ([1], [231], 1, "true space group 231: numbers run from 1 to 230"),
        ([1, 2], [1], 1, "2 predicted and 1 true space groups"),
        ([], [], 1, r"of shape \(0,\); give a list of at least one number"),
        ([1.0], [1], 1, "of type float64; give whole numbers"),
        ([1], [1], -1, "-1 edges: give 0 or more"),
    ],
)
def test_bad_input_is_refused(predicted: list[int], truth: list[int], k: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        within_edges(predicted, truth, k)


def test_the_table_needs_no_other_library_than_numpy() -> None:
    code = "import sys, powderlens.symmetry.subgroups as s; s.edges(), s.distance_matrix(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"'scipy'", "'gemmi'", "'moyopy'", "'torch'"} & set(done.stdout.strip("[]\n").split(", "))
