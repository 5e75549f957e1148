"""What synthetic crystals are drawn from: counts and density estimates by space group, in one readable file."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write
from powderlens.crystal.elements import NUMBER
from powderlens.generate.density import SHAPE_PARAMETERS, LatticeShapes, Volumes
from powderlens.symmetry.groups import SYSTEMS, crystal_system, symbol
from powderlens.symmetry.wyckoff import wyckoff_positions

FORMAT = "powderlens crystal statistics"
VERSION = 1
MIN_CRYSTALS = 50
"""Groups with fewer examples have no statistics of their own. Source: ML4pXRDs, section 2.1."""


@dataclass(frozen=True)
class ElementCounts:
    """How one element occurs in the crystals of a group, or of a pool of groups.

    Attributes:
        crystals: with so many elements in all, how many crystals have this one.
        repetitions: in those, on how many sites of the asymmetric unit it sits: {elements: {sites: crystals}}.
        places: of one group, its number of sites on each Wyckoff letter; of a pool, on positions with "0" to "3" free
            coordinates.
    """

    crystals: Mapping[int, int]
    repetitions: Mapping[int, Mapping[int, int]]
    places: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Occupancies:
    """How the crystals of one group, or of a pool of groups, are filled.

    Attributes:
        crystals: how many were seen.
        number_of_elements: how many of them have so many elements.
        elements: by symbol.
        volumes: density estimate of the volume.
    """

    crystals: int
    number_of_elements: Mapping[int, int]
    elements: Mapping[str, ElementCounts]
    volumes: Volumes


@dataclass(frozen=True, eq=False)
class CrystalStatistics:
    """Statistics of a database of crystals.

    Attributes:
        groups: of each space group that has at least `MIN_CRYSTALS` examples.
        pools: of each point group and crystal system, under "point group mmm" or "crystal system cubic": for the
            groups that have no statistics of their own.
        lattices: shapes of the cells, by crystal system.
        counts: crystals of every space group that was seen, those without statistics of their own too.
        origin: where the crystals came from: name, licence, citation.
        left_out: crystals that were not used, by reason.
        leave_out_types: structure types that were kept out on purpose.
    """

    groups: Mapping[int, Occupancies]
    pools: Mapping[str, Occupancies]
    lattices: Mapping[str, LatticeShapes]
    counts: Mapping[int, int]
    origin: tuple[Mapping[str, object], ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    leave_out_types: tuple[str, ...] = ()

    @cached_property
    def crystals(self) -> int:
        """All crystals that were used."""
        return sum(self.counts.values())

    def of_group(self, number: int) -> tuple[Occupancies, str]:
        """Statistics for a group, and whose they are: "own", or the name of a pool.

        A group without statistics of its own takes those of its point group, or failing that of its crystal system.

        Raises:
            InputError: not a space group, or neither has enough examples.
        """
        if number in self.groups:
            return self.groups[number], "own"
        for pool in pools_of(number):
            if pool in self.pools:
                return self.pools[pool], pool
        seen = sum(n for g, n in self.counts.items() if crystal_system(g) == crystal_system(number))
        raise InputError(
            f"space group {number} ({symbol(number)}): no statistics; its crystal system has {seen} examples, at least "
            f"{MIN_CRYSTALS} are needed; choose other groups, or statistics of a larger table"
        )

    def lattice(self, number: int) -> LatticeShapes:
        """Shapes of the cells of a group's crystal system.

        Raises:
            InputError: there are none.
        """
        system = crystal_system(number)
        if system not in self.lattices:
            raise InputError(
                f"space group {number}: the statistics have no {system} cells; take those of a larger table"
            )
        return self.lattices[system]

    def save(self, path: Path) -> None:
        """Write the statistics as JSON, aside first; gzipped, always to the same bytes, when the name ends in .gz.

        Raises:
            InputError: the file cannot be written.
        """
        text = json.dumps(_to_json(self), indent=1, separators=(",", ":")) + "\n"
        with atomic_write(path) as aside:
            if path.suffix == ".gz":
                aside.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
            else:
                aside.write_text(text)

    @classmethod
    def load(cls, path: Path) -> CrystalStatistics:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, no statistics, or a field that is missing or makes no sense.
        """
        try:
            content = path.read_bytes()
            document = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        except FileNotFoundError:
            raise InputError(f"{path}: no such statistics; make them with `powderlens crystals statistics`") from None
        except (OSError, EOFError, ValueError) as error:
            raise InputError(
                f"{path}: not JSON ({error}); make it again with `powderlens crystals statistics`"
            ) from None
        try:
            return _from_json(document)
        except InputError as error:
            raise InputError(f"{path}: {error}; make it again with `powderlens crystals statistics`") from None


@lru_cache(maxsize=1)
def shipped_statistics() -> CrystalStatistics:
    """The statistics that come with powderlens, of the union of the open databases."""
    return _from_json(json.loads(gzip.decompress(_shipped().read_bytes())))


def shipped_sha256() -> str:
    """sha256 of their file, hexadecimal."""
    return hashlib.sha256(_shipped().read_bytes()).hexdigest()


def _shipped() -> Traversable:
    return files("powderlens.generate") / "data" / "statistics.json.gz"


def pools_of(number: int) -> tuple[str, str]:
    """Names of the pools that a group belongs to, the closer one first.

    Raises:
        InputError: not a space-group number.
    """
    system = crystal_system(number)
    return f"point group {gemmi.SpaceGroup(number).point_group_hm()}", f"crystal system {system}"


def _occupancies_to_json(one: Occupancies) -> dict[str, object]:
    return {
        "crystals": one.crystals,
        "number_of_elements": _pairs(one.number_of_elements),
        "elements": {
            symbol: {
                "crystals": _pairs(counts.crystals),
                "repetitions": {str(n): _pairs(table) for n, table in counts.repetitions.items()},
                "places": _pairs(counts.places),
            }
            for symbol, counts in one.elements.items()
        },
        "volumes": {
            "bandwidth": [float(f"{v:.6g}") for v in one.volumes.bandwidth],
            "atomic_A3": " ".join(f"{v:.5g}" for v in one.volumes.atomic_A3),
            "factor": " ".join(f"{v:.4g}" for v in one.volumes.factor),
            "elements": " ".join(map(str, one.volumes.elements)),
        },
    }


def _pairs(table: Mapping[Any, int]) -> str:
    """Counts in short, as "a:3 b:1"."""
    return " ".join(f"{key}:{count}" for key, count in table.items())


def _to_json(statistics: CrystalStatistics) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "origin": [dict(source) for source in statistics.origin],
        "crystals": statistics.crystals,
        "left_out": dict(statistics.left_out),
        "leave_out_types": list(statistics.leave_out_types),
        "min_crystals": MIN_CRYSTALS,
        "counts": {str(number): count for number, count in sorted(statistics.counts.items())},
        "lattices": {
            system: {
                "parameters": list(SHAPE_PARAMETERS[system]),
                "crystals": shapes.crystals,
                "bandwidth": [[float(f"{v:.6g}") for v in row] for row in shapes.bandwidth],
                "points": [" ".join(f"{v:.5g}" for v in column) for column in shapes.points.T],
            }
            for system, shapes in statistics.lattices.items()
        },
        "groups": {str(number): _occupancies_to_json(one) for number, one in sorted(statistics.groups.items())},
        "pools": {name: _occupancies_to_json(one) for name, one in statistics.pools.items()},
    }


def _from_json(document: object) -> CrystalStatistics:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError("holds no crystal statistics")
    if document.get("version") != VERSION:
        raise InputError(f"version {document.get('version')} of the statistics, this program reads {VERSION}")
    where = "the file"
    try:
        counts = {int(number): int(count) for number, count in document["counts"].items()}
        groups, pools, lattices = {}, {}, {}
        for name, entry in document["groups"].items():
            where = f"group {name}"
            number = int(name)
            letters = {position.letter for position in wyckoff_positions(number)}
            groups[number] = _occupancies_from_json(entry, letters)
        for number, count in counts.items():
            where = f"group {number}"
            if count >= MIN_CRYSTALS and number not in groups:
                raise ValueError(f"{count} crystals are counted, but its statistics are missing")
        for name, entry in document["pools"].items():
            where = str(name)
            pools[where] = _occupancies_from_json(entry, set("0123"))
        for system, entry in document["lattices"].items():
            where = f"lattices of {system}"
            lattices[system] = _lattice_from_json(system, entry)
        where = "the file"
        return CrystalStatistics(
            groups=groups,
            pools=pools,
            lattices=lattices,
            counts=counts,
            origin=tuple(document["origin"]),
            left_out=dict(document["left_out"]),
            leave_out_types=tuple(document["leave_out_types"]),
        )
    except KeyError as error:
        raise InputError(f"{where}: field {error} is missing") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: {error}") from None


def _occupancies_from_json(entry: dict[str, Any], places: set[str]) -> Occupancies:
    elements = {}
    for name, counts in entry["elements"].items():
        if name not in NUMBER:
            raise ValueError(f"{name!r} is no element")
        elements[name] = ElementCounts(
            crystals=_whole(counts["crystals"]),
            repetitions={int(n): _whole(text) for n, text in counts["repetitions"].items()},
            places=_counts(counts["places"]),
        )
        if unknown := set(elements[name].places) - places:
            raise ValueError(f"no Wyckoff position {min(unknown)!r}")
        if set(elements[name].crystals) != set(elements[name].repetitions):
            raise ValueError(f"crystals and repetitions of {name} differ")
    if not elements:
        raise ValueError("elements are empty")
    volumes = entry["volumes"]
    atomic, factor = _column(volumes["atomic_A3"]), _column(volumes["factor"])
    many = _column(volumes["elements"]).astype(np.int64)
    if not 0 < len(atomic) == len(factor) == len(many) or min(atomic.min(), factor.min()) <= 0:
        raise ValueError("volumes must be rows of positive numbers")
    width = tuple(float(v) for v in volumes["bandwidth"])
    if len(width) != 2 or not all(0 <= v < 10 for v in width):
        raise ValueError(f"bandwidth {width}: two numbers from 0 to 10 are wanted")
    crystals = _count(entry["crystals"], "crystals")
    number_of_elements = _whole(entry["number_of_elements"])
    return Occupancies(
        crystals, number_of_elements, elements, Volumes(crystals, atomic, factor, many, (width[0], width[1]))
    )


def _counts(text: str) -> dict[str, int]:
    """What `_pairs` wrote."""
    table = {}
    for pair in text.split():
        key, _, count = pair.partition(":")
        table[key] = _count(int(count), key)
    if not table:
        raise ValueError("a table of counts is empty")
    return table


def _whole(text: str) -> dict[int, int]:
    return {int(key): count for key, count in _counts(text).items()}


def _lattice_from_json(system: str, entry: dict[str, Any]) -> LatticeShapes:
    if system not in SYSTEMS:
        raise ValueError("no crystal system")
    d = len(SHAPE_PARAMETERS[system])
    crystals = _count(entry["crystals"], "crystals")
    columns = [_column(text) for text in entry["points"]]
    points = np.stack(columns, axis=1) if columns else np.zeros((1, 0))
    bandwidth = np.array(entry["bandwidth"], dtype=float).reshape(d, d)
    if points.shape[1] != d or not len(points) or not np.isfinite(bandwidth).all():
        raise ValueError(f"{d} columns of points and a {d} x {d} bandwidth are wanted")
    return LatticeShapes(system, crystals, points, bandwidth)


def _column(text: str) -> NDArray[np.float64]:
    values = np.array([float(v) for v in text.split()])
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name}: {value!r} is no count")
    return value
