"""Patterns for training: the same seed gives the same bytes, labels belong to their pattern, shares are kept."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.corpus.store.drawn import ATTEMPT
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import Balance, CrystalStream, origin, sampling_weights
from powderlens.corpus.stream.shared_table import MappedTable
from powderlens.corpus.stream.stream import Batch, FloorStream, _by_group
from powderlens.diffraction.conditions import from_record
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.pattern.grid import Grid
from powderlens.symmetry.extinction import extinction_class

GRID = Grid(start_deg=5.0, step_deg=0.05, points=1700, wavelength_A=1.5418711)


@pytest.fixture(scope="module")
def lab() -> Protocol:
    return load_protocol("lab")


def equal(one: Batch, other: Batch) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one.arrays().values(), other.arrays().values(), strict=True))


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
def plain(small_table: ReflectionTable, lab: Protocol) -> CrystalStream:
    rows = np.arange(600)
    weights = sampling_weights(small_table, rows, {"amcsd": 1.0})
    return CrystalStream(small_table, rows, weights, lab, size=6, seed=3, grid=GRID)


@pytest.fixture(scope="module")
def stream(plain: CrystalStream) -> FloorStream:
    return FloorStream(plain)


def only(table: ReflectionTable, protocol: Protocol, row: int, **options: object) -> CrystalStream:
    """A stream of one crystal."""
    given: dict[str, object] = {"size": 4, "seed": 3, "grid": GRID, **options}
    return CrystalStream(table, np.array([row]), np.ones(1), protocol, **given)  # type: ignore[arg-type]


def test_a_pattern_is_the_same_alone_and_among_others(stream: FloorStream, plain: CrystalStream) -> None:
    together = stream.batch(7)
    alone = stream.with_size(1).batch(45)
    assert together.numbers.tolist() == [42, 43, 44, 45, 46, 47]
    assert together.patterns[3].tobytes() == alone.patterns[0].tobytes()
    assert together.space_group[3] == alone.space_group[0]
    assert together.patterns[3].tobytes() != together.patterns[4].tobytes()
    backwards = stream.draw(together.numbers[::-1])
    assert backwards.patterns[::-1].tobytes() == together.patterns.tobytes()
    weights = np.diff(plain.cumulative, prepend=0.0)
    other = CrystalStream(plain.table, plain.rows, weights, plain.protocol, size=6, seed=4, grid=GRID)
    assert FloorStream(other).batch(7).patterns.tobytes() != together.patterns.tobytes()


def test_one_crystal_is_never_drawn_twice_alike(small_table: ReflectionTable, lab: Protocol) -> None:
    batch = only(small_table, lab, 10).batch(0)
    assert len({x.tobytes() for x in batch.patterns}) == 4
    assert set(batch.crystal.tolist()) == {10}


def test_patterns_of_a_crystal_follow_each_other_where_that_is_asked_for(plain: CrystalStream, lab: Protocol) -> None:
    weights = np.diff(plain.cumulative, prepend=0.0)
    pairs = CrystalStream(plain.table, plain.rows, weights, lab, size=6, seed=3, grid=GRID, per_crystal=2)
    batch = pairs.batch(0)
    assert (batch.crystal[0::2] == batch.crystal[1::2]).all()
    assert batch.crystal[0::2].tolist() == plain.batch(0).crystal[:3].tolist()
    assert all(a.tobytes() != b.tobytes() for a, b in zip(batch.patterns[0::2], batch.patterns[1::2], strict=True))
    with pytest.raises(InputError, match="batches of 5: give a multiple of 2"):
        pairs.with_size(5)
    with pytest.raises(InputError, match="batches of 5 with 2 patterns a crystal"):
        CrystalStream(plain.table, plain.rows, weights, lab, size=5, seed=3, per_crystal=2)


def test_shapes_and_scale(stream: FloorStream, plain: CrystalStream) -> None:
    batch = stream.with_size(40).batch(2)
    assert batch.patterns.shape == (40, 1700)
    assert batch.patterns.dtype == np.float32
    assert (batch.numbers.dtype, batch.space_group.dtype, batch.crystal_system.dtype) == (np.int64, np.int16, np.int8)
    assert batch.niggli.shape == batch.cell.shape == (40, 6)
    assert np.isfinite(batch.patterns).all()
    assert batch.patterns.min() == 0
    assert batch.patterns.max(axis=1) == pytest.approx(np.ones(40), abs=1e-6)
    bare = plain.with_size(40).batch(2)
    assert bare.patterns.shape == (40, 1700)
    assert bare.patterns.max(axis=1) == pytest.approx(np.full(40, 100.0), rel=1e-6), "the protocol's scale"
    assert len(bare) == 40


def test_what_is_not_measured_is_masked_and_empty(stream: FloorStream, plain: CrystalStream) -> None:
    batch = stream.with_size(60).batch(3)
    points = np.arange(GRID.points)
    mask = (points >= batch.measured[:, :1]) & (points < batch.measured[:, 1:])
    assert (batch.patterns[~mask] == 0).all()
    whole = mask.all(axis=1)
    assert 0.4 < whole.mean() < 0.9, "some scans are whole, some are cut"
    for first, end in batch.measured:
        assert GRID.two_theta_deg[first] <= 20.01
        assert GRID.two_theta_deg[end - 1] >= 49.9
    bare = plain.with_size(60).batch(3)
    at = int(np.flatnonzero(~whole)[0])
    first, end = bare.measured[at]
    assert not bare.patterns[at, :first].any()
    assert not bare.patterns[at, end:].any()


def test_labels_belong_to_the_crystal(stream: FloorStream, small_table: ReflectionTable) -> None:
    batch = stream.with_size(30).batch(10)
    limits = [2, 15, 74, 142, 167, 194, 230]
    for i, row in enumerate(batch.crystal.tolist()):
        number = int(small_table.space_group[row])
        assert batch.space_group[i] == number
        assert batch.crystal_system[i] == next(k for k, last in enumerate(limits) if number <= last)
        assert batch.niggli[i].tolist() == small_table.niggli[row].tolist()
        lengths = np.linalg.norm(small_table.lattice_A[row], axis=1)
        assert batch.cell[i, :3] == pytest.approx(lengths, rel=1e-6)
        if number == 225:
            assert batch.cell[i, 3:] == pytest.approx([90, 90, 90], abs=1e-4)
    assert len(set(batch.space_group.tolist())) > 5


def test_the_pattern_shows_its_crystal(stream: FloorStream, small_table: ReflectionTable) -> None:
    """Lines stand where Bragg's law puts the strongest family of the crystal whose labels the pattern carries."""
    batch = stream.with_size(40).batch(10)
    hits = []
    for row, x, (first, end) in zip(batch.crystal.tolist(), batch.patterns, batch.measured, strict=True):
        phase = small_table.phase(row)
        lattice, hkl, strength = phase.lattice, phase.hkl, phase.strength
        d_A = 1 / np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
        angle = 2 * np.degrees(np.arcsin(np.minimum(GRID.wavelength_A / (2 * d_A), 1)))
        seen = (angle > 21) & (angle < 49)
        if not seen.any():
            continue
        line = angle[seen][strength[seen].argmax()]
        near = np.abs(GRID.two_theta_deg - line) < 0.7
        hits.append(np.sqrt(x[near].max()) > 3 * np.sqrt(np.median(x[first:end])))
    assert len(hits) > 20
    assert np.mean(hits) > 0.7


def test_crystals_are_picked_by_weight(small_table: ReflectionTable, lab: Protocol) -> None:
    rows, weights = np.array([4, 9, 2]), np.array([0.2, 0.0, 0.8])
    stream = CrystalStream(small_table, rows, weights, lab, size=1, seed=5)
    picked = stream.pick(np.arange(4000))
    assert set(picked) == {2, 4}
    assert (picked == 2).mean() == pytest.approx(0.8, abs=0.02)
    others = stream.pick(np.arange(4000), Purpose.IMPURITY)
    assert (others == picked).mean() == pytest.approx(0.68, abs=0.03), "the second phase is drawn on its own"


def test_the_last_crystal_can_be_picked_and_none_beyond(
    small_table: ReflectionTable, lab: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = CrystalStream(small_table, np.array([7, 8]), np.array([0.5, 0.5]), lab, size=1, seed=0)
    monkeypatch.setattr("powderlens.core.random.uniform", lambda *_: np.ones((1, 1)))
    assert stream.pick(np.arange(1)).tolist() == [8]


def test_classes_are_balanced_by_the_power_that_is_stated(small_table: ReflectionTable, lab: Protocol) -> None:
    groups = small_table.space_group.astype(int)
    systems = np.searchsorted([2, 15, 74, 142, 167, 194], groups)
    for by, classes in (("space_group", groups), ("crystal_system", systems)):
        _, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
        for power in (0.5, 1.0):
            balance = Balance(by=by, power=power)  # type: ignore[arg-type]
            rows = np.arange(600)
            stream = CrystalStream(small_table, rows, np.full(600, 1 / 600), lab, size=1, seed=1, balance=balance)
            drawn = np.bincount(inverse, weights=np.diff(stream.cumulative, prepend=0.0))
            wanted = counts ** (1 - power)
            assert drawn == pytest.approx(wanted / wanted.sum())
    seen = np.unique(stream.pick(np.arange(20_000)), return_inverse=True)
    share = np.bincount(classes[seen[0]][seen[1]]) / 20_000
    assert share[share > 0] == pytest.approx(np.full(7, 1 / 7), abs=0.02)
    with pytest.raises(InputError, match=r"balance with power 1\.5"):
        Balance(power=1.5)
    with pytest.raises(InputError, match="balance by 'colour'"):
        Balance(by="colour")  # type: ignore[arg-type]


def test_impurities_can_be_left_out(plain: CrystalStream, lab: Protocol, small_table: ReflectionTable) -> None:
    pure = only(small_table, lab, 10, impurities=False).batch(0)
    mixed = only(small_table, lab, 10).batch(0)
    share = lab.draw(3, 4)["impurity_share"]
    same = [a.tobytes() == b.tobytes() for a, b in zip(pure.patterns, mixed.patterns, strict=True)]
    assert share.any()
    assert same == (share == 0).tolist()
    assert from_record(lab.draw(3, 1)[0]).specimen.impurity_share == pytest.approx(share[0])
    with pytest.raises(InputError, match="protocol ideal: mixes in no impurities"):
        only(small_table, load_protocol("ideal"), 0, impurities=False)


def test_a_pattern_without_lines_is_replaced_by_the_stated_rule(small_table: ReflectionTable, lab: Protocol) -> None:
    """On a short grid many crystals show nothing: the one 2^44 further on takes the place, and that is counted."""
    short = Grid(start_deg=12.0, step_deg=0.01, points=300, wavelength_A=1.5418711)
    rows = np.arange(600)
    stream = CrystalStream(small_table, rows, np.full(600, 1 / 600), lab, size=40, seed=3, grid=short)
    batch = stream.batch(0)
    assert 3 < (batch.replaced > 0).sum() < 40
    assert batch.patterns.max(axis=1) == pytest.approx(np.full(40, 100.0), rel=1e-6)
    for at in np.flatnonzero(batch.replaced)[:3]:
        later = batch.numbers[at : at + 1] + batch.replaced[at] * ATTEMPT
        instead = stream.draw(later)
        assert instead.patterns[0].tobytes() == batch.patterns[at].tobytes()
        assert instead.crystal[0] == batch.crystal[at]
        assert instead.replaced[0] == 0


def test_a_crystal_without_lines_on_the_grid_is_named(small_table: ReflectionTable, lab: Protocol) -> None:
    short = Grid(start_deg=5.0, step_deg=0.001, points=400, wavelength_A=1.5418711)
    with pytest.raises(InputError, match=rf"pattern 8: no crystal of 64 .*{small_table.ids[0]}: no line falls on"):
        only(small_table, lab, 0, grid=short).batch(2)


def test_a_protocol_that_moves_atoms_is_refused(small_table: ReflectionTable) -> None:
    with pytest.raises(InputError, match="protocol simxrd: moves atoms"):
        only(small_table, load_protocol("simxrd"), 0)


@pytest.mark.parametrize(
    ("rows", "weights", "message"),
    [([], [], "0 crystals, 0"), ([1, 2], [1.0], "2 crystals, 1"), ([1], [-1.0], "none below 0"), ([1], [0.0], "all 0")],
)
def test_crystals_that_cannot_be_drawn_from_are_refused(
    small_table: ReflectionTable, lab: Protocol, rows: list[int], weights: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        CrystalStream(small_table, np.array(rows, int), np.array(weights), lab, size=1, seed=0)


def test_batches_are_numbered_from_0(plain: CrystalStream) -> None:
    with pytest.raises(InputError, match="batch -1: batches are numbered from 0"):
        plain.batch(-1)
    with pytest.raises(InputError, match="batches of 0"):
        plain.with_size(0)


def test_a_mapped_table_gives_the_same_patterns(plain: CrystalStream, stream: FloorStream, tmp_path: Path) -> None:
    shared = stream.shared(tmp_path)
    sent = pickle.dumps(shared)
    assert len(sent) < 60_000, "the tables stay in their files"
    there = pickle.loads(sent)
    assert equal(there.batch(5), stream.batch(5))
    assert there.identity() == stream.identity()
    table = there.inner.table
    assert isinstance(table, MappedTable)
    assert list(table.ids) == plain.table.ids
    assert (table.ids[-1], table.ids[1:3]) == (plain.table.ids[-1], plain.table.ids[1:3])
    assert list(table.names) == plain.table.names
    with pytest.raises(IndexError):
        table.ids[600]
    (tmp_path / "hkl.npy").unlink()
    with pytest.raises(InputError, match="its tables cannot be mapped"):
        pickle.loads(sent)


def test_streams_of_other_make_have_another_identity(plain: CrystalStream, small_table: ReflectionTable, lab) -> None:
    weights = np.diff(plain.cumulative, prepend=0.0)
    others = [
        plain.with_size(12),
        CrystalStream(small_table, plain.rows, weights, lab, size=6, seed=4, grid=GRID),
        CrystalStream(small_table, plain.rows, weights[::-1], lab, size=6, seed=3, grid=GRID),
        CrystalStream(small_table, plain.rows[::-1], weights, lab, size=6, seed=3, grid=GRID),
        CrystalStream(small_table, plain.rows, weights, lab, size=6, seed=3),
        CrystalStream(small_table, plain.rows, weights, lab, size=6, seed=3, grid=GRID, impurities=False),
        CrystalStream(small_table, plain.rows, weights, load_protocol("ideal"), size=6, seed=3, grid=GRID),
    ]
    identities = [str(one.identity()) for one in (plain, *others)]
    assert len(set(identities)) == len(identities)


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
    as_dft = replace(small_table, ids=["mp:1", *small_table.ids[1:]])
    assert small_table.names[0] == "Galena"
    d_200 = small_table.lattice_A[0, 0, 0] / 2

    def mean_angle(table: ReflectionTable) -> float:
        expected = 2 * np.degrees(np.arcsin(GRID.wavelength_A / (2 * d_200)))
        near = np.abs(GRID.two_theta_deg - expected) < 1.5
        x = FloorStream(only(table, lab, 0, size=60, seed=6)).batch(0).patterns[:, near]
        return float(np.median(GRID.two_theta_deg[near][x.argmax(axis=1)] - expected))

    assert abs(mean_angle(small_table)) < 0.1
    assert mean_angle(as_dft) > mean_angle(small_table) + 0.1


def test_a_group_that_is_not_known_has_no_class() -> None:
    systems, classes = _by_group()
    assert (len(systems), len(classes)) == (231, 231)
    assert (systems[136], classes[136]) == (3, extinction_class(136).id)
    assert classes[0] == 0
    assert systems[0] == -1
    assert classes[1:].min() > 0
