"""Crystals of a table with their coordinates, their lattice or both drawn anew, all else kept.

With them ML4pXRDs finds what in synthetic crystals differs from real ones; "nothing" is its reference: the crystals as
they are, every site filled by one element. Source: Schopmans, Reiser and Friederich (2023), sections 3.3 and S3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.generate.distance import overlapping
from powderlens.generate.draw import MIN_VOLUME_PER_ATOM_A3, TRIES
from powderlens.generate.extract import MAX_VOLUME_A3
from powderlens.generate.occupation import Occupation
from powderlens.generate.sites import group_sites, has_group
from powderlens.generate.statistics import CrystalStatistics
from powderlens.generate.stream import Stream

What = Literal["nothing", "coordinates", "lattice", "both"]
LATTICE = ("lattice", "both")
"""Those that need statistics."""
PURPOSE = 2
"""A stream of random numbers of its own."""


def check_what(what: str) -> What:
    """The word itself.

    Raises:
        InputError: not one of the four.
    """
    if what not in get_args(What):
        raise InputError(f"randomise {what!r}: choose nothing, coordinates, lattice or both")
    return cast(What, what)


def randomised(
    given: Occupation, frac: NDArray[np.float64], what: What, statistics: CrystalStatistics, *, seed: int, index: int
) -> Structure | None:
    """One crystal with some of it drawn anew; every site filled by one element.

    Coordinates are uniform on the Wyckoff position of each site. The lattice has a shape and a volume from the density
    estimates of the generator. Drawn again, up to `TRIES` times, until the group is the same.

    Args:
        given: group, cell, letter and element of each site.
        frac: (n, 3) all atoms of the conventional cell in the standard setting, the images of a site together.
        what: is drawn anew.
        statistics: the density estimates; asked only by those in `LATTICE`.
        seed: with index, says which random numbers are used.
        index: of the crystal.

    Returns:
        The conventional cell, all occupancies 1; or None where no try keeps the group.

    Raises:
        InputError: the statistics have no such lattices, or nothing for the group.
    """
    stream = Stream(seed, index, PURPOSE)
    sites = group_sites(given.space_group)
    table = {position.letter: position for position in sites.positions}
    positions = [table[letter] for letter in given.letters]
    many = np.array([position.multiplicity for position in positions])
    elements = tuple(np.repeat(given.elements, many).tolist())
    kinds = [NUMBER[element] for element in elements]
    base = Structure.from_cell(given.cell, elements, frac, space_group=given.space_group)
    for _ in range(1 if what == "nothing" else TRIES):
        drawn = base
        if what in ("coordinates", "both"):
            xyz = stream.uniform(3 * len(positions)).reshape(-1, 3)
            drawn = replace(drawn, frac=np.concatenate([p.sites(at) for p, at in zip(positions, xyz, strict=True)]))
        if what in LATTICE:
            volume_A3 = statistics.of_group(given.space_group)[0].volumes.draw(stream, given.atomic_A3)
            if not MIN_VOLUME_PER_ATOM_A3 * len(kinds) <= volume_A3 <= MAX_VOLUME_A3:
                continue
            try:
                cell = statistics.lattice(given.space_group).draw(stream, volume_A3)
            except StructureError:
                continue
            drawn = replace(drawn, lattice=lattice_from_cell(cell))
        if overlapping(drawn.frac, np.cumsum(many) - many, drawn.lattice):
            continue
        if has_group(drawn.lattice, drawn.frac, kinds, given.space_group, cells=sites.centring):
            return drawn
    return None
