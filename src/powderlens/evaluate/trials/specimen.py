"""What a phase of the library is like in a specimen: never the entry itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.elementary import cholesky, exp, lengths
from powderlens.core.errors import PowderlensError
from powderlens.core.random import Purpose
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.formats.amcsd import read_amcsd_entry
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import Cell, Structure, cell_from_lattice
from powderlens.diffraction.conditions import Record
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.specimen import strain_tensor, strained_metric
from powderlens.evaluate.trials.pool import NEAR_ANGLE_DEG, NEAR_LENGTH, Pool, reduced_of
from powderlens.evaluate.trials.trial import TruePhase
from powderlens.symmetry.groups import crystal_system

LOOSENED = "loosened"
LARGEST_STRAIN = 0.03
ROOM = 1 + LARGEST_STRAIN + 0.01
"""By which spacings may grow into the range of a protocol."""
ATTEMPTS = 16
"""Strains drawn anew where one is too large."""
COMMON, RARE, RARE_BEYOND = 0.85, 1.6, 1.44
"""Strains are of two normal distributions, whose widths are these times the whole one's: 15 % of them, those for which
a standard normal number is beyond the last, have the broad one."""


@dataclass(frozen=True, kw_only=True)
class Loosening:
    """How far a specimen is from the entry that it is drawn from, in place of strain and jitter of the protocol's own.

    Attributes:
        measured_strain, calculated_strain: standard deviation of the lengths of a cell against those of an entry that
            was measured, or calculated.
        jitter: standard deviation of the logarithm of single families' strengths.
    """

    measured_strain: float = 0.003
    calculated_strain: float = 0.015
    jitter: float = 0.28


@dataclass(frozen=True, eq=False)
class Specimen:
    """A phase as it is drawn.

    Attributes:
        phase: strained, and its families jittered.
        structure: before that, standard setting.
        row, name, formula, space_group, origin: see `TruePhase`.
    """

    phase: Phase
    structure: Structure
    row: int
    name: str
    formula: str
    space_group: int
    origin: str

    @property
    def loosened(self) -> bool:
        """Whether it is the entry itself, strained and jittered."""
        return self.origin == LOOSENED

    @property
    def mass_u(self) -> float:
        """Of all atoms of the cell."""
        s = self.structure
        return float(sum(atomic_mass_u(e) * float(o) for e, o in zip(s.elements, s.occupancy, strict=True)))

    def metric(self, c: Record) -> NDArray[np.float64]:
        """(3, 3) metric of the conventional cell under the strain of its conditions, A^2."""
        strain = strain_tensor(c["strain"])
        return np.asarray(strained_metric(self.phase.lattice, self.phase.rotations, strain))

    def truth(self, c: Record, *, weight_fraction: float, intensity_share: float) -> TruePhase:
        """What there is to know of it, under its conditions."""
        cell: Cell = cell_from_lattice(cholesky(self.metric(c)))
        return TruePhase(
            row=self.row,
            name=self.name,
            formula=self.formula,
            space_group=self.space_group,
            cell=cell,
            reduced=reduced_of(cell, self.space_group),
            weight_fraction=weight_fraction,
            intensity_share=intensity_share,
            origin=self.origin,
            structure=self.structure,
        )


def specimen_of(
    pool: Pool,
    row: int,
    protocol: Protocol,
    *,
    seed: int,
    number: int,
    wavelength_ratio: float,
    amcsd: Path | None,
    loosening: Loosening,
) -> Specimen:
    """A row of the library as it may be found in a specimen.

    Where the database is given and has another determination of the phase, which the library folded into this entry, it
    is that one as it stands. Else it is the entry with a strained cell and jittered strengths.

    Args:
        pool: of the library.
        row: of the library.
        protocol: of which form factors, dispersion and range are taken.
        seed: of all random numbers.
        number: under which the phase draws.
        wavelength_ratio: of the radiation to the protocol's.
        amcsd: the database of AMCSD, or None.
        loosening: how far from the entry.

    Raises:
        InputError: no reflection in range, or a damaged entry.
    """
    library = pool.library
    other = None if amcsd is None else _other_determination(pool, row, amcsd, seed, number)
    structure = library.structure(row) if other is None else other
    phase = prepared_phase(structure, protocol, wavelength_ratio)
    if other is None:
        size = loosening.measured_strain if library.measured[row] else loosening.calculated_strain
        lattice = strained(phase.lattice, phase.rotations, int(library.space_group[row]), size, seed, number)
        z = random.normal(seed, number, Purpose.TRIAL_INTENSITIES, len(phase.strength))
        phase = replace(phase, lattice=lattice, strength=phase.strength * exp(loosening.jitter * z))
    return Specimen(
        phase=phase,
        structure=structure,
        row=row,
        name=library.name(row),
        formula=library.formula(row),
        space_group=int(library.space_group[row]),
        origin=LOOSENED if other is None else other.source,
    )


def prepared_phase(structure: Structure, protocol: Protocol, wavelength_ratio: float) -> Phase:
    """A structure with its operators, ready to be drawn under a protocol at another wavelength.

    Raises:
        InputError: no reflection in range.
    """
    dispersion_A = protocol.dispersion_wavelength_A
    return phase_of(
        structure,
        d_min_A=protocol.d_min_A * wavelength_ratio / ROOM,
        dispersion_wavelength_A=None if dispersion_A is None else dispersion_A * wavelength_ratio,
        table=protocol.form_factors,
        offsets=protocol.wants_offsets,
        labelled=True,
    )


def strained(
    lattice: NDArray[np.float64], rotations: NDArray[np.int64], space_group: int, size: float, seed: int, number: int
) -> NDArray[np.float64]:
    """A cell with a random strain that its symmetry allows; none of its lengths changes by more than 3 %.

    Args:
        lattice: (3, 3) rows are cell vectors, A.
        rotations: (n, 3, 3) of its point group.
        space_group: International Tables number.
        size: standard deviation of the lengths, root mean square over the three directions.
        seed: of the random numbers.
        number: under which the phase draws.

    Returns:
        (3, 3) rows are cell vectors, A; a along x, b in the xy plane.
    """
    # The mean over a point group takes the spread of what it averages: by how much, its crystal system says.
    system = crystal_system(space_group)
    independent = {"cubic": 1, "tetragonal": 2, "trigonal": 2, "hexagonal": 2}.get(system, 3)
    z = random.normal(seed, number, Purpose.TRIAL_STRAIN, 7 * ATTEMPTS).reshape(ATTEMPTS, 7)
    edges = lengths(lattice)
    for one in z:
        width = size * (RARE if abs(one[6]) > RARE_BEYOND else COMMON) * (3 / independent) ** 0.5
        tensor = strain_tensor(width * one[:6] * np.array([1, 1, 1, 0.5, 0.5, 0.5]))
        made = cholesky(strained_metric(lattice, rotations, tensor))
        if float(np.abs(lengths(made) / edges - 1).max()) <= LARGEST_STRAIN:
            return made
    return np.array(lattice)


def _other_determination(pool: Pool, row: int, amcsd: Path, seed: int, number: int) -> Structure | None:
    """Another entry that is the same phase, in the standard setting; None where there is none."""
    prefix = "amcsd:"
    ids = [int(i.removeprefix(prefix)) for i in pool.library.folded(row) if i.startswith(prefix)]
    if not ids:
        return None
    at = int(random.uniform(seed, number, Purpose.TRIAL_STRAIN, 1)[0] * len(ids))
    group, reduced = int(pool.library.space_group[row]), tuple(pool.reduced(row))
    for identity in [*ids[at:], *ids[:at]]:
        structure = _standard(amcsd, identity, group, reduced)
        if structure is not None:
            return structure
    return None


@lru_cache(maxsize=512)
def _standard(amcsd: Path, identity: int, group: int, reduced: Sequence[float]) -> Structure | None:
    """An entry of AMCSD in the standard setting, where it has this group and a cell near this one."""
    found = read_amcsd_entry(amcsd, identity)
    if not isinstance(found, Structure):
        return None
    try:
        symmetry = find_symmetry(found)
        standard = symmetry.standard
        cell = reduced_of(standard.cell, symmetry.number)
    except PowderlensError:
        return None
    near = same_lattice(reduced, [cell], length=NEAR_LENGTH, angle_deg=NEAR_ANGLE_DEG)
    return standard if symmetry.number == group and near[0] else None
