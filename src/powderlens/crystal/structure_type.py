"""Structure types: which crystals are built alike, whatever their elements and the size of their cell."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import groupby
from math import gcd

from powderlens.crystal.label import Symmetry
from powderlens.symmetry.groups import either_hand
from powderlens.symmetry.normaliser import letter_permutations
from powderlens.symmetry.wyckoff import wyckoff_positions


def structure_type(symmetry: Symmetry) -> str:
    """Anonymous formula, space group and Wyckoff sequence, such as "A2B3 167 c e" for corundum.

    The letters of an element stand together, in the order of the formula, with a number where a position is occupied
    more than once ("ABC3 62 a c cd"; "A2B 14 e2 e"). Other choices of origin and axes permute the letters, and elements
    with equal counts can change names: of all descriptions of a crystal the first in the alphabet is taken. A pair of
    mirror-image groups goes by its lower number. A site that is shared or part-filled counts for the element that fills
    most of it, so that a solid solution has the type of its end member.

    Equal texts mean isopointal crystals: free coordinates and axial ratios are not compared.

    Args:
        symmetry: from `label.find_symmetry`.

    Source: Parthe and Gelato, Acta Cryst. A40, 169 (1984), for Wyckoff sequences; Lima-de-Faria et al., Acta Cryst.
    A46, 1 (1990), for isopointal structures.
    """
    multiplicity = _multiplicities(symmetry.number)
    letters = _letters_by_element(symmetry)
    atoms = {element: sum(multiplicity[letter] for letter in own) for element, own in letters.items()}
    common = gcd(*atoms.values())
    best: list[tuple[int, list[str]]] = []
    for change in _changes(symmetry.number, frozenset(symmetry.wyckoff)):
        # Elements with equal counts are put in the order of their letters: their names do not count.
        described = sorted(
            (atoms[element] // common, sorted(change[letter] for letter in own)) for element, own in letters.items()
        )
        best = min(best, described) if best else described
    formula = "".join(chr(ord("A") + i) + (str(count) if count > 1 else "") for i, (count, _) in enumerate(best))
    words = ["".join(_run(letter, len(list(run))) for letter, run in groupby(group)) for _, group in best]
    return " ".join([formula, str(either_hand(symmetry.number)), *words])


def _run(letter: str, times: int) -> str:
    return letter if times == 1 else f"{letter}{times}"


def _letters_by_element(symmetry: Symmetry) -> dict[str, list[str]]:
    """Wyckoff letters of the orbits of each element; an orbit belongs to what fills most of it."""
    filled: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    structure = symmetry.structure
    for row, orbit in enumerate(symmetry.orbit.tolist()):
        element = structure.elements[row]
        filled[orbit]["H" if element == "D" else element] += float(structure.occupancy[row])
    letters: dict[str, list[str]] = defaultdict(list)
    for orbit, shares in filled.items():
        letters[max(sorted(shares), key=lambda name: shares[name])].append(symmetry.wyckoff[orbit])
    return letters


@lru_cache(maxsize=256)
def _multiplicities(number: int) -> dict[str, int]:
    return {position.letter: position.multiplicity for position in wyckoff_positions(number)}


@lru_cache(maxsize=4096)
def _changes(number: int, letters: frozenset[str]) -> tuple[dict[str, str], ...]:
    """What other choices of origin and axes make of these letters, each outcome once."""
    used = sorted(letters)
    outcomes = {tuple(change[letter] for letter in used) for change in letter_permutations(number)}
    return tuple(dict(zip(used, outcome, strict=True)) for outcome in sorted(outcomes))
