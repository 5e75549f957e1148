"""Patterns for training: the same seed gives the same bytes, labels belong to their pattern, shares are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.corpus.reflection_table import ReflectionTable
from powderlens.corpus.stream import PatternStream, origin, sampling_weights
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=5.0, step_deg=0.05, points=1700, wavelength_A=1.5418711)


@pytest.fixture(scope="module")
def lab() -> Protocol:
    return load_protocol("lab")


def tiny(ids: list[str], names: list[str], elements: list[str], groups: list[int]) -> ReflectionTable:
    """A table with labels only."""
    n = len(ids)
    nothing = np.zeros(n + 1, np.int64)
    return ReflectionTable(
        ids=ids,
        names=names,
        formulas=[""] * n,
        elements=elements,
        space_group=np.array(groups, np.int16),
        niggli=np.ones((n, 6), np.float32),
        lattice_A=np.tile(np.eye(3), (n, 1, 1)),
        rotations=np.zeros((0, 3, 3), np.int8),
        rotation_offset=nothing,
        hkl=np.zeros((0, 3), np.int16),
        strength=np.zeros(0, np.float32),
        family_offset=nothing,
    )


@pytest.fixture(scope="module")
def stream(small_table: ReflectionTable, lab: Protocol) -> PatternStream:
    rows = np.arange(600)
    return PatternStream(small_table, rows, sampling_weights(small_table, rows, {"amcsd": 1.0}), GRID, lab, seed=3)


def test_a_pattern_is_the_same_alone_and_among_others(stream: PatternStream, small_table: ReflectionTable, lab) -> None:
    together = stream.batch(40, 6)
    alone = stream.batch(43, 1)
    assert together.x[3].tobytes() == alone.x[0].tobytes()
    assert together.space_group[3] == alone.space_group[0]
    assert together.x[3].tobytes() != together.x[4].tobytes()
    other = PatternStream(small_table, stream.rows, np.diff(stream.cumulative, prepend=0.0), GRID, lab, seed=4)
    assert other.batch(43, 1).x.tobytes() != alone.x.tobytes()


def test_one_crystal_is_never_drawn_twice_alike(stream: PatternStream) -> None:
    batch = stream.batch(0, 4, np.full(4, 10))
    assert len({x.tobytes() for x in batch.x}) == 4
    assert len(set(batch.space_group.tolist())) == 1


def test_shapes_and_scale(stream: PatternStream) -> None:
    batch = stream.batch(100, 40)
    assert batch.x.shape == (40, 2, 1700)
    assert batch.x.dtype == np.float32
    assert (batch.space_group.dtype, batch.system.dtype) == (np.int64, np.int64)
    assert batch.niggli.shape == (40, 6)
    assert np.isfinite(batch.x).all()
    assert batch.x[:, 0].min() == 0
    assert batch.x[:, 0].max(axis=1) == pytest.approx(np.ones(40), abs=1e-6)


def test_what_is_not_measured_is_masked_and_empty(stream: PatternStream) -> None:
    batch = stream.batch(200, 60)
    mask = batch.x[:, 1]
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert (batch.x[:, 0][mask == 0] == 0).all()
    whole = mask.all(axis=1)
    assert 0.4 < whole.mean() < 0.9, "some scans are whole, some are cut"
    for row in mask[~whole]:
        inside = np.flatnonzero(row)
        assert (np.diff(inside) == 1).all(), "a range has no holes"
        assert GRID.two_theta_deg[inside[0]] <= 20.01
        assert GRID.two_theta_deg[inside[-1]] >= 49.9


def test_labels_belong_to_the_crystal(stream: PatternStream, small_table: ReflectionTable) -> None:
    rows = np.array([0, 5, 100, 333, 599])
    batch = stream.batch(300, 5, rows)
    limits = [2, 15, 74, 142, 167, 194, 230]
    for i, row in enumerate(rows):
        number = int(small_table.space_group[row])
        assert batch.space_group[i] == number - 1
        assert batch.system[i] == next(k for k, last in enumerate(limits) if number <= last)
        assert batch.niggli[i].tolist() == small_table.niggli[row].tolist()


def test_the_pattern_shows_its_crystal(stream: PatternStream, small_table: ReflectionTable) -> None:
    """Lines stand where Bragg's law puts the strongest family of the crystal whose labels the pattern carries."""
    rows = np.arange(0, 600, 20)
    batch = stream.batch(400, len(rows), rows)
    hits = []
    for row, x in zip(rows, batch.x, strict=True):
        lattice, _, hkl, strength = small_table.crystal(row)
        d_A = 1 / np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
        angle = 2 * np.degrees(np.arcsin(np.minimum(GRID.wavelength_A / (2 * d_A), 1)))
        seen = (angle > 21) & (angle < 49)
        if not seen.any():
            continue
        line = angle[seen][strength[seen].argmax()]
        near = np.abs(GRID.two_theta_deg - line) < 0.7
        hits.append(x[0, near].max() > 3 * np.median(x[0][x[1] > 0]))
    assert len(hits) > 20
    assert np.mean(hits) > 0.7


def test_crystals_are_picked_by_weight(small_table: ReflectionTable, lab: Protocol) -> None:
    rows, weights = np.array([4, 9, 2]), np.array([0.2, 0.0, 0.8])
    stream = PatternStream(small_table, rows, weights, GRID, lab, seed=5)
    picked = stream.pick(np.arange(4000))
    assert set(picked) == {2, 4}
    assert (picked == 2).mean() == pytest.approx(0.8, abs=0.02)
    others = stream.pick(np.arange(4000), Purpose.IMPURITY)
    assert (others == picked).mean() == pytest.approx(0.68, abs=0.03), "the second phase is drawn on its own"


def test_the_last_crystal_can_be_picked_and_none_beyond(
    small_table: ReflectionTable, lab: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = PatternStream(small_table, np.array([7, 8]), np.array([0.5, 0.5]), GRID, lab, seed=0)
    monkeypatch.setattr("powderlens.core.random.uniform", lambda *_: np.ones((1, 1)))
    assert stream.pick(np.arange(1)).tolist() == [8]


def test_a_protocol_that_moves_atoms_is_refused(small_table: ReflectionTable) -> None:
    with pytest.raises(InputError, match="protocol simxrd: moves atoms"):
        PatternStream(small_table, np.arange(2), np.ones(2), GRID, load_protocol("simxrd"), seed=0)


def test_a_crystal_without_lines_on_the_grid_is_refused(small_table: ReflectionTable, lab: Protocol) -> None:
    short = Grid(start_deg=5.0, step_deg=0.001, points=400, wavelength_A=1.5418711)
    stream = PatternStream(small_table, np.array([0]), np.ones(1), short, lab, seed=0)
    with pytest.raises(InputError, match="no line falls on the grid"):
        stream.batch(0, 1)


def test_weights_sum_to_one_and_keep_the_shares() -> None:
    table = tiny(
        ["amcsd:1", "amcsd:2", "mp:1", "mp:2", "mp:3"],
        ["Quartz", "Halite", "", "", "Iron"],
        ["O Si", "Cl Na", "Fe", "Fe", "Fe"],
        [154, 225, 229, 229, 225],
    )
    weights = sampling_weights(table, np.arange(5), {"amcsd": 3.0, "mp": 1.0})
    assert weights.sum() == pytest.approx(1.0)
    assert weights[:2].sum() == pytest.approx(0.75)
    # Nameless crystals are no copies of each other: the two are damped for their group 229 alone.
    assert weights[2:] == pytest.approx(0.25 * np.array([1 / np.sqrt(2), 1 / np.sqrt(2), 1]) / (1 + np.sqrt(2)))


def test_repeated_names_and_groups_are_damped_and_salts_raised() -> None:
    table = tiny(
        [f"amcsd:{i}" for i in range(5)],
        ["Quartz", "Quartz", "Iron", "Rutile", "Gold"],
        ["O Si", "O Si", "Fe", "O Ti", "Au"],
        [154, 154, 229, 136, 229],
    )
    weights = sampling_weights(table, np.arange(5), {"amcsd": 1.0})
    raw = np.array([2 / np.sqrt(2) / np.sqrt(2), 2 / np.sqrt(2) / np.sqrt(2), 1 / np.sqrt(2), 2, 1 / np.sqrt(2)])
    assert weights == pytest.approx(raw / raw.sum())


def test_weights_are_of_the_rows_given(small_table: ReflectionTable) -> None:
    rows = np.array([5, 17, 300])
    weights = sampling_weights(small_table, rows, {"amcsd": 1.0, "mp": 1.0})
    assert weights.shape == (3,)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()


def test_an_unknown_database_is_refused() -> None:
    table = tiny(["cod:1", "amcsd:2"], ["", ""], ["O", "O"], [1, 2])
    with pytest.raises(InputError, match=r"no sampling share for \['cod'\]; shares are given for \['amcsd'\]"):
        sampling_weights(table, np.arange(2), {"amcsd": 1.0})


def test_the_origin_stands_before_the_colon() -> None:
    assert origin("amcsd:123") == "amcsd"
    assert origin("mp:line 3") == "mp"


def test_a_relaxed_cell_is_shrunk(small_table: ReflectionTable, lab: Protocol) -> None:
    """Cells of DFT are some 0.8 % too large: their lines are drawn at higher angles than a measured crystal's."""
    rows = np.array([0])
    as_dft = replace(small_table, ids=["mp:1", *small_table.ids[1:]])
    assert small_table.names[0] == "Galena"
    d_200 = small_table.lattice_A[0, 0, 0] / 2

    def mean_angle(table: ReflectionTable) -> float:
        stream = PatternStream(table, rows, np.ones(1), GRID, lab, seed=6)
        expected = 2 * np.degrees(np.arcsin(GRID.wavelength_A / (2 * d_200)))
        near = np.abs(GRID.two_theta_deg - expected) < 1.5
        x = stream.batch(0, 60, np.zeros(60, np.int64)).x[:, 0, near]
        return float(np.median(GRID.two_theta_deg[near][x.argmax(axis=1)] - expected))

    assert abs(mean_angle(small_table)) < 0.1
    assert mean_angle(as_dft) > mean_angle(small_table) + 0.1
