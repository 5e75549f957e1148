"""What the statistics need of a crystal: its group, its cell, and which element sits on which Wyckoff position."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from powderlens.generate.radii import atomic_volume_A3
from powderlens.symmetry.wyckoff import WyckoffPosition, wyckoff_positions

Cell = tuple[float, float, float, float, float, float]


class Occupation(NamedTuple):
    """A crystal without its coordinates.

    Attributes:
        space_group: International Tables number.
        cell: conventional cell in the standard setting, A and degrees.
        volume_A3: of that cell.
        letters: Wyckoff letter of each site of the asymmetric unit.
        elements: symbol of each site; where several elements share one, the most frequent of them.
        structure_type: as the table names it; empty when not known.
    """

    space_group: int
    cell: Cell
    volume_A3: float
    letters: tuple[str, ...]
    elements: tuple[str, ...]
    structure_type: str = ""

    @property
    def atoms(self) -> int:
        """Atoms in the conventional cell."""
        table = positions_by_letter(self.space_group)
        return sum(table[letter].multiplicity for letter in self.letters)

    @property
    def atomic_A3(self) -> float:
        """Summed volume of the atoms of the conventional cell."""
        table = positions_by_letter(self.space_group)
        return sum(
            table[letter].multiplicity * atomic_volume_A3(element)
            for letter, element in zip(self.letters, self.elements, strict=True)
        )


@lru_cache(maxsize=256)
def positions_by_letter(number: int) -> dict[str, WyckoffPosition]:
    """Wyckoff positions of a group by their letters."""
    return {position.letter: position for position in wyckoff_positions(number)}
