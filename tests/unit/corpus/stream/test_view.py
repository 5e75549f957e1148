"""Patterns of many instruments: each a function of its number, each crystal in its turn, labels as they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import Balance, CrystalStream
from powderlens.corpus.stream.mixture import MixtureStream
from powderlens.corpus.stream.strained import strained_cells
from powderlens.corpus.stream.stream import seen_of
from powderlens.corpus.stream.view import View
from powderlens.diffraction.protocol import load_protocol
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import prepare
from powderlens.pattern.spacing import SpacingGrid

GRID = SpacingGrid(d_max_A=18.3, log_step=0.0018, points=1568)
NUMBERS = np.arange(40, dtype=np.int64)


@pytest.fixture(scope="module")
def table(small_table_path: Path) -> ReflectionTable:
    return ReflectionTable.load(small_table_path)


def stream(table: ReflectionTable, *, rows: int = 30, seed: int = 3, **how: float) -> CrystalStream:
    protocol = load_protocol("lab")
    view = View(grid=GRID, home=protocol.grid, **how)  # type: ignore[arg-type]
    even = np.full(rows, 1 / rows)
    return CrystalStream(table, np.arange(rows), even, protocol, size=8, seed=seed, in_turn=True, view=view)


def test_a_pattern_is_a_function_of_its_number(table: ReflectionTable) -> None:
    whole = stream(table).draw(NUMBERS)
    order = np.random.default_rng(1).permutation(NUMBERS)
    again = stream(table)
    for some in np.array_split(order, 7):
        part = again.draw(some)
        for name, values in part.arrays().items():
            np.testing.assert_array_equal(values, getattr(whole, name)[some], err_msg=name)
    assert len(np.unique(whole.wavelength_A)) > 5
    assert (np.abs(whole.wavelength_A - ANODES["Cu"].mean_A) < 1e-6).mean() > 0.3
    assert (whole.patterns.max(axis=1) == 1).all()
    assert not np.array_equal(stream(table, seed=4).draw(NUMBERS).patterns, whole.patterns)


def test_it_reads_where_it_measured(table: ReflectionTable) -> None:
    batch = stream(table, instruments=1.0).draw(NUMBERS)
    seen = seen_of(batch, GRID)
    assert seen.dtype == np.float32
    assert not batch.patterns[seen == 0].any()
    at = seen > 0
    sine = np.broadcast_to(batch.wavelength_A[:, None] / (2 * GRID.d_A), seen.shape)
    np.testing.assert_allclose(seen[at], sine[at], rtol=1e-5)
    assert at.mean(axis=1).min() > 0.1
    assert np.ptp(at.mean(axis=1)) > 0.4


def test_every_crystal_in_its_turn(table: ReflectionTable) -> None:
    one = stream(table, instruments=0.0)
    rows = [one.pick(np.arange(start, start + 30)) for start in (0, 30, 60)]
    assert all(sorted(some.tolist()) == list(range(30)) for some in rows)
    assert not np.array_equal(rows[0], rows[1])
    protocol = load_protocol("lab")
    with pytest.raises(InputError, match="in turn cannot be balanced"):
        CrystalStream(table, np.arange(5), np.ones(5), protocol, size=8, seed=1, in_turn=True, balance=Balance())


def test_labels_are_of_the_crystal_as_drawn(table: ReflectionTable) -> None:
    """Lines of the drawn pattern stand where the strained cell puts them, and the crystal system stays."""
    still = stream(table, loosened=0.0, instruments=0.0).draw(NUMBERS)
    loose = stream(table, loosened=1.0, instruments=0.0).draw(NUMBERS)
    np.testing.assert_array_equal(still.crystal, loose.crystal)
    change = loose.niggli[:, :3] / still.niggli[:, :3] - 1
    assert 0.01 < np.nanstd(change) < 0.06
    cubic = still.crystal_system == 6
    assert cubic.any()
    np.testing.assert_allclose(np.ptp(loose.cell[cubic, :3], axis=1), 0, atol=1e-4)
    for at in np.flatnonzero(cubic)[:3].tolist():
        a = loose.cell[at, 0]
        phase = table.phase(int(loose.crystal[at]))
        intensity = phase.strength / np.maximum((phase.hkl**2).sum(axis=1), 1)
        near = a / np.sqrt((phase.hkl[np.argsort(intensity)[-6:]] ** 2).sum(axis=1))
        top = GRID.d_A[loose.patterns[at].argmax()]
        assert np.abs(near / top - 1).min() < 0.012


def test_strained_cells(table: ReflectionTable) -> None:
    """One per cent in all directions is one per cent of every length; no strain changes nothing."""
    rows = np.arange(60)
    phases = [table.phase(int(row)) for row in rows]
    niggli = table.niggli[rows].astype(float)
    cell, same = strained_cells(phases, niggli, niggli, np.zeros((60, 6)))
    np.testing.assert_array_equal(same, niggli)
    np.testing.assert_array_equal(cell, niggli)
    even = np.tile([0.01, 0.01, 0.01, 0.0, 0.0, 0.0], (60, 1))
    _, grown = strained_cells(phases, niggli, niggli, even)
    assert np.isfinite(grown).all()
    np.testing.assert_allclose(grown[:, :3], 1.01 * niggli[:, :3], rtol=2e-4)
    angles = np.sort(np.minimum(grown[:, 3:], 180 - grown[:, 3:]), axis=1)
    np.testing.assert_allclose(angles, np.sort(np.minimum(niggli[:, 3:], 180 - niggli[:, 3:]), axis=1), atol=0.05)


def test_a_measured_pattern_takes_the_same_way(table: ReflectionTable) -> None:
    """What the stream draws at home, handed to `prepare` as a pattern, is what the stream gives."""
    from powderlens.diffraction.render import render

    one = stream(table, instruments=0.0, loosened=0.0)
    number = np.array([5], np.int64)
    batch = one.draw(number)
    phase = table.phase(int(batch.crystal[0]))
    records = one.protocol.draw(one.seed, number)
    one._alter(records, number, batch.crystal)
    second = one._seconds([phase], records, number)
    y = render([phase], records, one.protocol.grid, seed=one.seed, index=number, impurities=second)[0]
    pattern = Pattern(one.protocol.grid.two_theta_deg, y, wavelength_A=one.protocol.grid.wavelength_A)
    prepared = prepare(pattern, GRID, background=False)
    np.testing.assert_array_equal(prepared.for_network(floor=True, mask=True), batch.patterns[0])
    np.testing.assert_allclose(prepared.seen, seen_of(batch, GRID)[0], rtol=1e-6)


def test_a_mixture_writes_one_table_once(table: ReflectionTable, tmp_path: Path) -> None:
    mixed = MixtureStream([stream(table), stream(table, seed=9)], [0.7, 0.3], size=8, seed=1)
    shared = mixed.shared(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    for name, values in shared.batch(2).arrays().items():
        np.testing.assert_array_equal(values, getattr(mixed.batch(2), name), err_msg=name)
