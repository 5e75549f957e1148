"""Rows of a library: made of crystals, gathered in columns, chosen and joined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.crystal.curation import LOOSE, RULES, Candidate, declared_group
from powderlens.crystal.duplicates import FULL
from powderlens.crystal.label import Symmetry, find_symmetry
from powderlens.crystal.read import is_cif_name
from powderlens.crystal.stability import groups_at, symmetry_at
from powderlens.crystal.structure import Structure
from powderlens.library.packed import OCCUPANCY_STEPS, SYMBOLS, PackedCell, pack
from powderlens.library.store import (
    CONTENT,
    LISTED,
    MEASURED,
    PHASE_COLUMNS,
    RAGGED,
    SEPARATOR,
    SITE,
    SYMMETRY,
    PhaseLibrary,
)
from powderlens.symmetry.groups import either_hand

AMBIENT_K = (263.0, 323.0)
AMBIENT_GPA = 0.01
"""Temperatures and pressures within these are ambient and not kept."""

_DOUBTS = {"content": CONTENT, "symmetry": SYMMETRY, "site": SITE}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_GNOME = re.compile(r"(?:^|:)mp[:-](?:mp-)?32\d{5}$")
GNOME = "licence: the GNoME block of the Materials Project (mp-32xxxxx) is not free for every use"

UNREFERENCED = "reference: its source states none"

Arrays = dict[str, NDArray[Any]]


class Row(NamedTuple):
    """One crystal, before it is a row of columns.

    Attributes:
        packed: its cell and sites.
        declared: the group that the source declares, or 0.
        flags: see `store.MEASURED`.
        year: or 0; temperature_K, pressure_GPa: NaN where ambient or not stated.
        prefix, entry: its identity, before and behind the first colon.
        name: or "" where the source gives none; reference: or "".
    """

    packed: PackedCell
    declared: int
    flags: int
    year: int
    temperature_K: float
    pressure_GPa: float
    prefix: str
    entry: str
    name: str
    reference: str


def row_of(structure: Structure) -> Row:
    """Find the symmetry of a crystal and pack it.

    A calculated crystal has the symmetry that its atoms have at `curation.LOOSE`, as the Materials Project finds it:
    what they are off is the calculation's noise, and measured crystals of the same phases have the higher group.

    Raises:
        StructureError: no symmetry is found; two filled sites nearly meet; or what `packed.pack` raises.
    """
    symmetry = find_symmetry(structure)
    objection = RULES["distances"].objection
    assert objection is not None
    if objection(Candidate(symmetry)) is not None:
        raise StructureError("distances: two filled sites nearly meet")
    prefix, _, entry = structure.source.partition(":")
    measured = is_measured(structure.source)
    packed = None if measured else _packed_loosely(symmetry)
    labels = structure.labels
    flags = MEASURED * measured
    for doubt in structure.doubts:
        flags |= _DOUBTS[doubt.kind]
    return Row(
        packed=packed or pack(symmetry),
        declared=declared_group(structure) or 0,
        flags=flags,
        year=int(_number(labels.get("year"), 0.0)),
        temperature_K=_unless_ambient(_number(labels.get("temperature_K")), *AMBIENT_K),
        pressure_GPa=_unless_ambient(_number(labels.get("pressure_GPa")), 0.0, AMBIENT_GPA),
        prefix=_plain(prefix),
        entry=_plain(entry),
        # What calculations are called is their number and formula.
        name=_plain(structure.name) if measured else "",
        reference=_plain(str(labels.get("reference") or "")),
    )


def _packed_loosely(symmetry: Symmetry) -> PackedCell | None:
    """The crystal as it is at `curation.LOOSE`; None where it has no other group there, or cannot be packed."""
    if groups_at(symmetry, (LOOSE,))[0] == symmetry.number:
        return None
    loose = symmetry_at(symmetry, *LOOSE)
    try:
        return None if loose is None else pack(loose)
    except StructureError:
        return None


def is_measured(identity: str) -> bool:
    """Whether a crystal was measured: those of AMCSD and of CIF are, those of POSCAR and of databases of calculations
    are not.
    """
    prefix, _, entry = identity.partition(":")
    return prefix == "amcsd" or is_cif_name(entry.partition("#")[0].lower().removesuffix(".gz"))


def is_gnome(identity: str) -> bool:
    """Whether an identity is of the block of the Materials Project that holds GNoME's crystals, mp-3200000 on.

    Their licence, CC BY-NC 4.0, does not go with that of a library.
    """
    return _GNOME.search(identity) is not None


def columns_of(rows: Sequence[Row]) -> tuple[Arrays, list[str]]:
    """Columns of rows that have no key lines yet, and the prefixes of their identities."""
    prefixes = list(dict.fromkeys(row.prefix for row in rows))
    values: dict[str, Sequence[Any]] = {
        "cell": [row.packed.cell for row in rows],
        "space_group": [row.packed.space_group for row in rows],
        "declared": [row.declared for row in rows],
        "flags": [row.flags for row in rows],
        "source": [prefixes.index(row.prefix) for row in rows],
        "determinations": [1] * len(rows),
        "year": [row.year for row in rows],
        "temperature_K": [row.temperature_K for row in rows],
        "pressure_GPa": [row.pressure_GPa for row in rows],
    }
    arrays = {
        name: np.array(values[name], dtype).reshape(len(rows), *shape) for name, (dtype, shape) in PHASE_COLUMNS.items()
    }
    packed = [row.packed for row in rows]
    fields = {"site_element": "element", "site_frac": "frac", "site_multiplicity": "multiplicity",
              "site_occupancy": "occupancy", "site_u_iso": "u_iso"}  # fmt: skip
    sites = {name: [getattr(one, attribute) for one in packed] for name, attribute in fields.items()}
    arrays |= _ragged("site", sites, len(rows))
    arrays |= _ragged("key", {"key_log_d": [], "key_amplitude": []}, len(rows))
    texts = [text_of(row.name, row.entry, row.reference) for row in rows]
    return arrays | _ragged("text", {"text": texts}, len(rows)), prefixes


def text_of(
    name: str, entry: str, reference: str, folded: Iterable[str] = (), aliases: Iterable[str] = ()
) -> NDArray[np.uint8]:
    """A row's text as it is stored."""
    whole = SEPARATOR.join([name, entry, reference, LISTED.join(folded), LISTED.join(aliases)])
    return np.frombuffer(whole.encode("utf-8"), np.uint8)


def join(libraries: Sequence[PhaseLibrary]) -> tuple[Arrays, list[str]]:
    """All rows of several libraries, one library after the other, and the prefixes of their identities."""
    prefixes = list(dict.fromkeys(prefix for library in libraries for prefix in library.header["prefixes"]))
    arrays: Arrays = {}
    for name, (dtype, _) in PHASE_COLUMNS.items():
        arrays[name] = np.concatenate([library.arrays[name] for library in libraries]).astype(dtype)
    code = [np.array([prefixes.index(p) for p in library.header["prefixes"]], np.uint8) for library in libraries]
    arrays["source"] = np.concatenate(
        [own[library.arrays["source"]] for own, library in zip(code, libraries, strict=True)]
    )
    for name, columns in RAGGED.items():
        lengths = [np.diff(library.arrays[f"{name}_start"].astype(np.int64)) for library in libraries]
        arrays[f"{name}_start"] = _starts(np.concatenate(lengths))
        for column in columns:
            arrays[column] = np.concatenate([library.arrays[column] for library in libraries])
    return arrays, prefixes


def take(arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Arrays:
    """Some of the rows, in the order given."""
    out = {name: arrays[name][rows] for name in PHASE_COLUMNS}
    for name, columns in RAGGED.items():
        start = arrays[f"{name}_start"].astype(np.int64)
        lengths = np.diff(start)[rows]
        places = np.repeat(start[rows] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        out[f"{name}_start"] = _starts(lengths)
        for column in columns:
            out[column] = arrays[column][places]
    return out


def with_ragged(arrays: Arrays, name: str, columns: Mapping[str, Sequence[NDArray[Any]]]) -> Arrays:
    """The same rows with other key lines or texts: for each column an array a row."""
    return arrays | _ragged(name, columns, len(arrays["space_group"]))


def bucket_of(packed: PackedCell) -> str:
    """What two crystals must share before they are compared: the group, of either hand, and `duplicates.bucket_of`."""
    group = str(either_hand(packed.space_group))
    counts: dict[str, int] = {}
    for code, count in zip(packed.element.tolist(), packed.multiplicity.tolist(), strict=True):
        name = "H" if SYMBOLS[code] == "D" else SYMBOLS[code]
        counts[name] = counts.get(name, 0) + count
    if int(packed.occupancy.min()) < FULL * OCCUPANCY_STEPS:
        return " ".join([group, *sorted(counts), "~"])
    common = int(np.gcd.reduce(list(counts.values())))
    return " ".join([group, *(f"{name}{count // common}" for name, count in sorted(counts.items()))])


def _ragged(name: str, columns: Mapping[str, Sequence[NDArray[Any]]], n: int) -> Arrays:
    kinds = RAGGED[name]
    first = next(iter(columns.values()))
    lengths = np.array([len(one) for one in first] if first else [0] * n, np.int64)
    out: Arrays = {f"{name}_start": _starts(lengths)}
    for column, (dtype, shape) in kinds.items():
        pieces = columns[column]
        empty = np.empty((0, *shape), dtype)
        out[column] = np.concatenate([empty, *pieces]).astype(dtype)
    return out


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)


def _plain(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


def _number(value: object, otherwise: float = float("nan")) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _unless_ambient(value: float, low: float, high: float) -> float:
    return float("nan") if low <= value <= high else value
