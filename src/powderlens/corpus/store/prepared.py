"""`Prepared`: the reflections of one crystal as a corpus stores them; and phases from what is stored.

A corpus whose protocol moves atoms stores the reflections of the crystal at rest, for its readers; patterns are drawn
from the atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import arcsin, inverse, lengths, product
from powderlens.core.errors import InputError
from powderlens.corpus.columns import SCHEMAS
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.structure import Structure
from powderlens.diffraction import kernel
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.reflections import lorentz_polarisation, plain, reflections
from powderlens.symmetry.settings import operators

MAX_FAMILIES = 20_000
"""Of one crystal; drawing takes some 2 microseconds a family, so more would hold up a whole batch."""
FAINT = 1e-3
"""A crystal is refused where no line of this share of its strongest is on the grid."""

SCHEMA = SCHEMAS["reflections"]
"""Columns of `reflections.parquet`."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Families of reflections of a crystal in the standard setting of its space group, to the digits that are stored.

    Attributes:
        phase: ready to be drawn; without atoms.
        multiplicity: (m,) members of each family.
    """

    phase: Phase
    multiplicity: NDArray[np.int64]

    def row(self) -> dict[str, Any]:
        """Of `reflections.parquet`."""
        return {
            "id": self.phase.source,
            "space_group": self.phase.space_group,
            "lattice_A": self.phase.lattice.ravel(),
            "mean_mass_u": self.phase.mean_mass_u,
            "hkl": self.phase.hkl.astype(np.int16).ravel(),
            "multiplicity": self.multiplicity.astype(np.int16),
            "strength": self.phase.strength.astype(np.float32),
        }

    def two_theta_deg(self, wavelength_A: float) -> NDArray[np.float64]:
        """(m,) Bragg angles of the crystal at rest, degrees; NaN beyond 180."""
        inv_d = lengths(product(self.phase.hkl, inverse(self.phase.lattice).T))
        return np.asarray(2 * np.degrees(arcsin(0.5 * wavelength_A * inv_d)))

    def share_of_strongest(self, two_theta_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """(m,) intensities, 1 for the strongest line; 0 where the angle is not a number."""
        shown = np.isfinite(two_theta_deg)
        angle = np.where(shown, np.minimum(two_theta_deg, 170.0), 90.0)
        intensity = np.where(shown, self.phase.strength * lorentz_polarisation(angle), 0.0)
        return np.asarray(intensity / max(intensity.max(initial=0.0), 1e-300))


def prepare_crystal(structure: Structure, protocol: Protocol) -> Prepared:
    """The reflections that a protocol's patterns of a crystal are drawn from.

    Args:
        structure: of a `CrystalTable`: whole cell, operators of the standard setting.
        protocol: says how far they reach, and with which form factors.

    Raises:
        InputError: the message begins with what a corpus counts such crystals under: no line on the grid, too many
            families, or an element without form factor.
    """
    if protocol.wants_offsets:
        moving = protocol_phase(structure, protocol)
        assert moving.atoms is not None
        hkl, multiplicity, strength = moving.hkl, moving.atoms.multiplicity, moving.strength
    else:
        found = reflections(
            structure,
            d_min_A=protocol.d_min_A,
            dispersion_wavelength_A=protocol.dispersion_wavelength_A,
            form_factors=protocol.form_factors,
        )
        hkl, multiplicity, strength = found.hkl, found.multiplicity, found.multiplicity * found.f_squared
    if len(hkl) > MAX_FAMILIES:
        raise InputError(f"more than {MAX_FAMILIES:,} families of reflections")
    masses = np.array([atomic_mass_u(element) for element in structure.elements])
    assert structure.space_group is not None
    mean_mass_u = float((masses * structure.occupancy).sum() / structure.occupancy.sum())
    phase = stored_phase(
        structure.lattice,
        point_rotations(structure.space_group),
        hkl,
        strength.astype(np.float32),
        mean_mass_u,
        structure.space_group,
        structure.name,
        structure.source,
    )
    prepared = Prepared(phase, multiplicity)
    grid = protocol.grid
    angle = prepared.two_theta_deg(grid.wavelength_A)
    on_grid = (angle >= grid.start_deg) & (angle <= grid.end_deg)
    if not (prepared.share_of_strongest(angle)[on_grid] >= FAINT).any():
        raise InputError("no line on the grid of the protocol")
    return prepared


def protocol_phase(structure: Structure, protocol: Protocol) -> Phase:
    """A labelled crystal for the patterns of a protocol, with its atoms where that moves them.

    Raises:
        InputError: as `phase_of`.
    """
    return phase_of(structure, **protocol.phase_options, labelled=True)


def phase_for(structure: Structure, protocol: Protocol) -> Phase:
    """What a corpus draws a crystal from, made anew: with atoms where they move, else as it is stored."""
    return protocol_phase(structure, protocol) if protocol.wants_offsets else prepare_crystal(structure, protocol).phase


def stored_phase(
    lattice_A: NDArray[Any],
    rotations: NDArray[Any],
    hkl: NDArray[Any],
    strength: NDArray[Any],
    mean_mass_u: float,
    space_group: int,
    name: str,
    source: str,
) -> Phase:
    """A phase from what is stored, in whatever types: the arguments as the attributes of `Phase`."""
    lattice, rotations, hkl, strength = map(np.array, (lattice_A, rotations, hkl, strength))
    return Phase(lattice, rotations, hkl, strength, float(mean_mass_u), int(space_group), name, source)


@lru_cache(maxsize=256)
def point_rotations(space_group: int) -> NDArray[np.int64]:
    """(r, 3, 3) distinct rotations of a space group in its standard setting."""
    rotations, _ = operators(space_group)
    return np.asarray(kernel.distinct(plain(rotations, np.int64), False))
