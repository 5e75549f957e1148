"""The group that a source states: by operators, Hall symbol, Hermann-Mauguin symbol or number, in its setting.

What is left open (the origin, the axes, a centring) is decided by the cell and by what the source says that it holds.
Tables of symbols and settings: gemmi, after International Tables A (2016) and B (2010), table A1.4.2.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.expand import Sites, check_metric
from powderlens.crystal.operators import Operators, check_group, operators_from_triplets, space_group_number
from powderlens.crystal.structure import Doubt

_SUFFIXES = {"s": "1", "z": "2", "o1": "1", "o2": "2", "1": "1", "2": "2", "h": "H", "hr": "H", "r": "R", "rs": "R"}
"""How files mark origin (ICSD: S and Z) and axes of a rhombohedral group; the values are gemmi's."""

_SUFFIX = re.compile(
    r"(?:\s*[:(]\s*(?:origin(?:\s+choice)?\s*)?(o?[12]|hr?|rs?)\s*\)?|\s*(o[12]|[sz]))$", re.IGNORECASE
)
_RHOMBOHEDRAL = re.compile(r"(?<=[\dmcn])\s*(rs|r|hr|h)$", re.IGNORECASE)
_CODE = re.compile(r"([12hr]?)((?:-?[abc]){0,3}\d?)", re.IGNORECASE)
_SCREW = re.compile(r"(\d)\((\d)\)")
_MONOCLINIC = range(3, 16)


@dataclass(frozen=True)
class Stated:
    """What a source says of its symmetry; "" or None where it says nothing.

    Attributes:
        listed: texts of the operators as listed.
        hall: Hall symbol.
        symbol: Hermann-Mauguin symbol, with what marks origin or axes.
        number: International Tables number.
        code: of the coordinate system, as `_space_group_IT_coordinate_system_code` has it: "2", "b1", "2cab", "h".
        from_symbols: False where symbol and number are not those of `listed` (magnetic and superspace groups).
    """

    listed: tuple[str, ...] = ()
    hall: str = ""
    symbol: str = ""
    number: int | None = None
    code: str = ""
    from_symbols: bool = True


class Reading(NamedTuple):
    """One reading of what is stated, carried out.

    Attributes:
        sites: every atom of the cell.
        off: what the source says of the content and the cell does not hold, see `content.contradictions`.
    """

    sites: Sites
    off: list[Doubt]


class Chosen(NamedTuple):
    """The operators taken, the atoms they make, and what speaks against them."""

    operators: Operators
    sites: Sites
    doubts: Sequence[Doubt]


class _Candidate(NamedTuple):
    operators: Operators
    origin: str
    """What tells it from its like where the symbol leaves it open: origin "1" or "2", else ""."""
    listed: bool


def choose(
    stated: Stated,
    lattice: NDArray[np.float64],
    read: Callable[[Operators], Reading],
    crowded: Callable[[Sites], bool],
) -> Chosen | None:
    """The first reading of what is stated that fits cell and content; the first that fits the cell where none does.

    Operators that are listed come first, with the centring of the symbol where they lack it. The identity alone says
    nothing beside a symbol or number: those come first then.

    Args:
        stated: by the source.
        lattice: (3, 3), rows are the cell vectors, A.
        read: makes the atoms of the cell by given operators.
        crowded: whether atoms lie impossibly close; it helps to choose between two origins.

    Returns:
        None where nothing is stated.

    Raises:
        StructureError: operators that are none, no group, or do not fit the cell; a symbol that is not known; a number
            that is none.
    """
    readings: list[tuple[_Candidate, Reading]] = []
    good: list[tuple[_Candidate, Reading]] = []
    misfit: StructureError | None = None
    for candidate in _candidates(stated):
        if good and good[0][0].origin in {"", candidate.origin}:
            break
        if good and not candidate.origin:
            continue
        try:
            check_group(*candidate.operators)
            check_metric(lattice, candidate.operators[0])
        except StructureError as error:
            if candidate.listed:
                raise
            misfit = misfit or error
            continue
        reading = read(candidate.operators)
        readings.append((candidate, reading))
        if not reading.off and not (candidate.origin and crowded(reading.sites)):
            good.append((candidate, reading))
    if not readings:
        if misfit is not None:
            raise misfit
        return None
    best, reading = (good or readings)[0]
    doubts = [*reading.off, *group_doubts(stated, best.operators)]
    if not best.listed and stated.symbol and not stated.hall and not settings_of_symbol(stated.symbol):
        doubts.append(Doubt("symmetry", f"symbol {stated.symbol!r} is not known, group {stated.number} taken as it is"))
    if best.listed and len(stated.listed) == 1 and stated.symbol and not settings_of_symbol(stated.symbol):
        doubts.append(Doubt("symmetry", f"symbol {stated.symbol!r} is not known, and only the identity is listed"))
    if best.origin and len(good) != 1:
        which = f"origin of {stated.symbol or stated.number} not stated, choice {best.origin} taken"
        doubts.append(Doubt("symmetry", which))
    return Chosen(best.operators, reading.sites, doubts)


def _candidates(stated: Stated) -> Iterator[_Candidate]:
    """Readings of what is stated, those to be believed first at the beginning."""
    listed = operators_from_triplets(stated.listed) if stated.listed else None
    more_than_identity = listed is not None and len(listed[0]) > 1
    tables = list(_from_tables(stated)) if stated.from_symbols else []
    if listed is not None and more_than_identity:
        completed = _with_centring(listed, stated) if stated.from_symbols else None
        if completed is not None:
            yield _Candidate(completed, "", listed=False)
        # Without its centring a list may be no group by itself: two diamond glides make a centring.
        yield _Candidate(listed, "", listed=completed is None)
    yield from tables
    if listed is not None and not more_than_identity:
        yield _Candidate(listed, "", listed=True)


def _from_tables(stated: Stated) -> Iterator[_Candidate]:
    """Groups of the Hall symbol, the Hermann-Mauguin symbol and the number, each in the settings it may mean.

    Raises:
        StructureError: nothing is listed, and the symbol or number is not known.
    """
    seen: set[str] = set()
    if stated.hall:
        with suppress(RuntimeError, ValueError):
            yield _Candidate(_of_gemmi(gemmi.symops_from_hall(stated.hall)), "", listed=False)
    entries = settings_of_symbol(stated.symbol, stated.code) if stated.symbol else ()
    if not entries and stated.number is not None:
        if not 1 <= stated.number <= 230:
            raise StructureError(f"space group {stated.number}: numbers run from 1 to 230")
        entries = _settings_of_number(stated.number, stated.code)
    if stated.symbol and not (entries or stated.hall or stated.listed):
        raise StructureError(f"space group {stated.symbol!r} is not known; list the operators")
    open_origin = not any(_marks(stated))
    for entry in entries:
        if entry.hall not in seen:
            seen.add(entry.hall)
            origin = entry.ext if open_origin and entry.ext in "12" else ""
            yield _Candidate(_of_gemmi(entry.operations()), origin, listed=False)


@lru_cache(maxsize=1024)
def settings_of_symbol(symbol: str, code: str = "") -> tuple[gemmi.SpaceGroup, ...]:
    """Settings that a Hermann-Mauguin symbol may mean, the likeliest first; none where the symbol is not known.

    A symbol that leaves open the origin, the axes of a rhombohedral group or the unique axis of a monoclinic one has
    them all; those that a suffix or a code names come first.

    Args:
        symbol: in any of the usual spellings: "P 21/c", "P21/c", "P2(1)/c", "P 2_1/c", "F d -3 m :2", "F d -3 m Z",
            "R -3 c RS", "Fd3m".
        code: as `_space_group_IT_coordinate_system_code` has it.
    """
    base, ext = _split(symbol)
    found: gemmi.SpaceGroup | None = gemmi.find_spacegroup_by_name(base)
    if found is None:
        return ()
    short = found.number in _MONOCLINIC and _squeezed(base) in {_short(found), found.short_name().lower()}
    alike = [
        entry
        for entry in gemmi.spacegroup_table()
        if entry.number == found.number and (entry.hm == found.hm or (short and _short(entry) == _short(found)))
    ]
    code_ext, qualifier = _read_code(code)
    ext = ext or code_ext
    return tuple(
        sorted(
            alike,
            key=lambda e: (
                bool(ext) and e.ext != ext,
                bool(qualifier) and e.qualifier not in _meant(qualifier),
                e.hm != found.hm,
                e.qualifier.startswith("-"),
            ),
        )
    )


def _settings_of_number(number: int, code: str) -> tuple[gemmi.SpaceGroup, ...]:
    """The setting that a code names; without one the standard axes, both origins, and each unique axis."""
    entries = [entry for entry in gemmi.spacegroup_table() if entry.number == number]
    ext, qualifier = _read_code(code)
    if ext or qualifier:
        wanted = [
            e for e in entries if (not ext or e.ext == ext) and (not qualifier or e.qualifier in _meant(qualifier))
        ]
        if wanted:
            return tuple(wanted)
    standard = [e for e in entries if e.qualifier in {"", "b", "b1"}]
    return tuple(standard + [e for e in entries if e.qualifier in {"c", "c1", "a", "a1"}])


def _split(symbol: str) -> tuple[str, str]:
    """A symbol without what marks origin or axes, and that mark as gemmi has it ("1", "2", "H", "R" or "")."""
    text = _SCREW.sub(r"\1\2", " ".join(symbol.replace("_", "").replace("~", "").split()))
    rhombohedral = text[:1] in {"R", "r", "H", "h"}
    for pattern in (_RHOMBOHEDRAL, _SUFFIX) if rhombohedral else (_SUFFIX,):
        if found := pattern.search(text):
            mark = next(group for group in found.groups() if group).lower()
            rest = text[: found.start()].strip()
            if len(rest) > 1 and (rhombohedral or mark not in {"h", "hr", "r", "rs"}):
                return rest, _SUFFIXES[mark]
    return text, ""


def _read_code(code: str) -> tuple[str, str]:
    """Origin or axes, and order of axes, of a coordinate-system code; both empty where it is none."""
    found = _CODE.fullmatch(code.strip())
    if found is None:
        return "", ""
    return found[1].upper(), found[2].lower()


def _meant(qualifier: str) -> set[str]:
    """gemmi's names of an order of axes: the standard order has none."""
    return {qualifier, "" if qualifier == "abc" else qualifier, qualifier.removesuffix("1")}


def _marks(stated: Stated) -> tuple[str, str]:
    return _split(stated.symbol)[1] if stated.symbol else "", _read_code(stated.code)[0]


def _short(entry: gemmi.SpaceGroup) -> str:
    return _squeezed("".join(part for part in entry.hm.split() if part != "1"))


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()


def _of_gemmi(operations: gemmi.GroupOps) -> Operators:
    return operators_from_triplets(operation.triplet() for operation in operations)


def _with_centring(listed: Operators, stated: Stated) -> Operators | None:
    """Listed operators with the centring that the symbol names and they lack, if that makes the group stated."""
    rotations, translations = listed
    if len(rotations) != len(np.unique(rotations.reshape(-1, 9), axis=0)):
        return None
    wanted = _stated_group(stated)
    letter = (stated.symbol or stated.hall.lstrip("-")).strip()[:1].upper()
    letter = letter or (gemmi.SpaceGroup(wanted).centring_type() if wanted else "P")
    if letter not in "ABCFIR":
        return None
    extra = np.array(gemmi.symops_from_hall(f"{letter} 1").cen_ops) / gemmi.Op.DEN
    both = (
        np.repeat(rotations, len(extra), axis=0),
        (translations[:, None, :] + extra[None, :, :]).reshape(-1, 3) % 1.0,
    )
    try:
        check_group(*both)
    except StructureError:
        return None
    return both if wanted in (None, space_group_number(*both)) else None


def _stated_group(stated: Stated) -> int | None:
    """Number of the group by symbol, else by number, else by Hall symbol."""
    if stated.symbol and (entries := settings_of_symbol(stated.symbol)):
        return int(entries[0].number)
    if stated.number is not None:
        return stated.number
    try:
        return space_group_number(*_of_gemmi(gemmi.symops_from_hall(stated.hall))) if stated.hall else None
    except (RuntimeError, ValueError):
        return None


def group_doubts(stated: Stated, operators: Operators) -> list[Doubt]:
    """Whether the stated symbol or number is not of the group of some operators; one doubt, or none."""
    if not stated.from_symbols:
        return []
    entries = settings_of_symbol(stated.symbol) if stated.symbol else ()
    said = entries[0].number if entries else stated.number
    number = _number_of(operators)
    if said is not None and said != number:
        text = f"symbol {stated.symbol!r}" if entries else f"group {said}"
        return [Doubt("symmetry", f"{text} stated, the operators are of group {number or 'none'}")]
    if stated.number not in (None, number):
        return [Doubt("symmetry", f"group {stated.number} stated, the operators are of group {number or 'none'}")]
    return []


def _number_of(operators: Operators) -> int | None:
    rotations, translations = operators
    key = (rotations.tobytes(), translations.tobytes(), len(rotations))
    return _number_of_bytes(*key)


@lru_cache(maxsize=1024)
def _number_of_bytes(rotations: bytes, translations: bytes, m: int) -> int | None:
    return space_group_number(
        np.frombuffer(rotations, dtype=np.int64).reshape(m, 3, 3), np.frombuffer(translations).reshape(m, 3)
    )
