"""Trials of common minerals under other radiations and ranges."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import Structure
from powderlens.evaluate.trials.of_phases import nothing_shows, of_one
from powderlens.evaluate.trials.pool import NEAR_ANGLE_DEG, NEAR_LENGTH, Pool, reduced_of
from powderlens.evaluate.trials.setup import Setup, over_the_grid, with_radiation
from powderlens.evaluate.trials.specimen import Specimen, prepared_phase
from powderlens.evaluate.trials.trial import Trial
from powderlens.pattern.wavelength import parse_radiation


class Scan(NamedTuple):
    """A radiation and, where it is not the protocol's grid, a range in degrees."""

    radiation: str
    range_deg: tuple[float, float] | None = None


SCANS = (
    Scan("CuKa"),
    Scan("MoKa"),
    Scan("AgKa"),
    Scan("CoKa"),
    Scan("CrKa"),
    Scan("20keV"),
    Scan("CuKa", (10.0, 60.0)),
    Scan("CuKa", (20.0, 80.0)),
)
"""Under which every mineral is drawn: trial 25 s + m is mineral m under scan s, and from 200 on with other numbers."""


def radiations(setup: Setup, number: int, records: NDArray[np.void]) -> Trial:
    """A mineral that ships with powderlens, as its CIF has it, without the protocol's own second phase."""
    minerals = common_minerals()
    scan = SCANS[number // len(minerals) % len(SCANS)]
    mineral = number % len(minerals)
    over_the_grid(records)
    radiation = parse_radiation(scan.radiation)
    with_radiation(records, radiation)
    setting = scan.radiation
    if scan.range_deg is not None:
        records["first_deg"], records["last_deg"] = scan.range_deg
        setting = f"{setting} {scan.range_deg[0]:g}-{scan.range_deg[1]:g}"
    structure = _standard(mineral)
    assert structure.space_group is not None
    try:
        ratio = radiation.wavelength_A / setup.protocol.grid.wavelength_A
        phase = prepared_phase(structure, setup.protocol, ratio)
    except InputError:
        raise nothing_shows(setup, number) from None
    specimen = Specimen(
        phase=phase,
        structure=structure,
        row=_row_of(setup.pool, mineral),
        name=structure.name,
        formula=structure.formula,
        space_group=structure.space_group,
        origin=structure.source,
    )
    trial = of_one(setup, number, records, specimen, told=radiation, setting=setting)
    if trial is None:
        raise nothing_shows(setup, number)
    return trial


@cache
def _standard(mineral: int) -> Structure:
    return find_symmetry(common_minerals()[mineral]).standard


def _row_of(pool: Pool, mineral: int) -> int:
    """The library's row of a mineral: its group and elements, a measured one, the nearest cell; -1 for none."""
    structure, library = _standard(mineral), pool.library
    assert structure.space_group is not None
    rows = pool.rows_with(structure.elements, structure.space_group)
    if not len(rows):
        return -1
    reduced = reduced_of(structure.cell, structure.space_group)
    cells = np.array([pool.reduced(row) for row in rows.tolist()])
    near = np.flatnonzero(same_lattice(reduced, cells, length=NEAR_LENGTH, angle_deg=NEAR_ANGLE_DEG))
    if not len(near):
        return -1
    off = np.abs(cells[near, :3] / np.array(reduced[:3]) - 1).max(axis=1)
    return int(rows[near[np.lexsort((off, ~library.measured[rows[near]]))[0]]])
