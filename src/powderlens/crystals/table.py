"""Labelled crystals as one Parquet table: a row a crystal, its asymmetric unit in the standard setting.

docs/CRYSTALS.md describes the columns. Every table of crystals that powderlens writes, curated or synthetic, has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.elementary import product
from powderlens.core.errors import InputError, StructureError
from powderlens.core.files import atomic_write
from powderlens.core.tables import check_parquet
from powderlens.crystal.composition import anonymous_formula, elements_of
from powderlens.crystal.curation import declared_group
from powderlens.crystal.duplicates import bucket_of
from powderlens.crystal.label import Symmetry
from powderlens.crystal.orbits import asymmetric_unit, expand
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.crystal.structure_type import structure_type
from powderlens.crystals.columns import flat, read_schemas, whole
from powderlens.symmetry.extinction import extinction_class
from powderlens.symmetry.groups import bravais_lattice, crystal_system, point_group
from powderlens.symmetry.settings import operators

SCHEMA = read_schemas(__package__)["crystals"]
CALLED = "a table of crystals is a Parquet file"
ROW_GROUP = 10_000
_UPPER = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def crystal_row(symmetry: Symmetry) -> dict[str, Any]:
    """The table's row of one crystal.

    Args:
        symmetry: from `label.find_symmetry`; the structure's source becomes the id.

    Raises:
        StructureError: the standard cell is not made by its operators, or its lattice cannot be reduced.
    """
    given, standard = symmetry.structure, symmetry.standard
    unit = asymmetric_unit(standard)
    number, formula = symmetry.number, standard.formula
    letters = [symmetry.wyckoff[row] for row in symmetry.standard_rows[unit.rows].tolist()]
    u_iso = standard.u_iso_A2[unit.rows]
    return {
        "id": given.source,
        "source": given.source.split(":")[0],
        "name": given.name,
        "formula": formula,
        "anonymous_formula": anonymous_formula(formula),
        "elements": elements_of(formula),
        "atoms": symmetry.standard_sites,
        "primitive_atoms": symmetry.primitive_sites,
        "space_group": number,
        "declared_space_group": declared_group(given),
        "crystal_system": crystal_system(number),
        "point_group": point_group(number),
        "bravais": bravais_lattice(number),
        "extinction_class": extinction_class(number).id,
        "cell": list(standard.cell),
        "niggli": list(niggli_cell(standard)),
        "volume_A3": standard.volume_A3,
        "wyckoff": "".join(letters),
        "structure_type": structure_type(symmetry),
        "prototype": _text(given.labels.get("prototype") or given.labels.get("proto_name")),
        "bucket": bucket_of(symmetry),
        "site_element": [standard.elements[row] for row in unit.rows],
        "site_frac": standard.frac[unit.rows].ravel(),
        "site_multiplicity": unit.multiplicity.astype(np.int16),
        "site_occupancy": standard.occupancy[unit.rows],
        "site_u_iso_A2": u_iso if np.isfinite(u_iso).any() else None,
        "site_beta": None if unit.beta is None else np.stack([unit.beta[:, i, j] for i, j in _UPPER], axis=1).ravel(),
    }


def write_crystals(table: pa.Table, path: Path) -> None:
    """Write a table of crystals, aside and then renamed; the same rows give the same bytes.

    Raises:
        InputError: a path that does not end in `.parquet` or cannot be written to.
    """
    check_parquet(path, CALLED)
    with atomic_write(path) as aside:
        pq.write_table(table.combine_chunks(), aside, compression="zstd", row_group_size=ROW_GROUP)


@dataclass(frozen=True, eq=False)
class CrystalTable:
    """A table of crystals; columns are unpacked when first asked for.

    Attributes:
        path: the file, mapped into memory; or None.
        rows: how many crystals.
    """

    path: Path | None
    rows: int
    _arrow: pa.Table | None = None
    _columns: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> CrystalTable:
        """Open a table.

        Raises:
            InputError: the file is missing, or is not a table of crystals.
        """
        path = Path(path)
        make = "make one with `powderlens crystals curate`"
        if not path.is_file():
            raise InputError(f"{path}: no such table of crystals; {make}")
        try:
            metadata, schema = pq.read_metadata(path), pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}); {make}") from None
        missing = [name for name in SCHEMA.names if name not in schema.names]
        if missing:
            raise InputError(f"{path}: not a table of crystals, it lacks the column {missing[0]!r}; {make}")
        return cls(path, metadata.num_rows)

    @classmethod
    def of(cls, arrow: pa.Table) -> CrystalTable:
        """A table from rows in memory."""
        return cls(None, len(arrow), arrow)

    def __len__(self) -> int:
        return self.rows

    def column(self, name: str) -> Any:
        """A column: a list of str (or None, or lists) where it holds text, else a NumPy array.

        Cells are (n, 6); `declared_space_group` has 0 where nothing is declared.

        Raises:
            InputError: no such column.
        """
        if name not in SCHEMA.names:
            raise InputError(f"column {name!r}: a table of crystals has {', '.join(SCHEMA.names)}")
        if name not in self._columns:
            column, kind = self._read(name), SCHEMA.field(name).type
            if pa.types.is_fixed_size_list(kind):
                self._columns[name] = flat(column).reshape(-1, 6)
            elif pa.types.is_string(kind) or pa.types.is_list(kind):
                self._columns[name] = column.to_pylist()
            else:
                self._columns[name] = column.fill_null(0).to_numpy()
        return self._columns[name]

    @property
    def ids(self) -> list[str]:
        """Identities, "source:entry"."""
        return list(self.column("id"))

    @property
    def space_group(self) -> NDArray[np.int16]:
        """(n,) International Tables numbers."""
        return np.asarray(self.column("space_group"))

    def structure(self, i: int) -> Structure:
        """Crystal i: every atom of its conventional cell, with the operators of the standard setting.

        Raises:
            IndexError: there is no such crystal.
            InputError: the row is damaged: its sites do not make the cell.
        """
        if not 0 <= i < self.rows:
            raise IndexError(f"crystal {i}: the table has {self.rows}")
        sites = self._sites
        a, b = sites.start[i], sites.start[i + 1]
        number = int(self.space_group[i])
        rotations, translations, turns = _operators(number)
        lattice = lattice_from_cell(self.column("cell")[i])
        multiplicity = sites.multiplicity[a:b]
        try:
            frac, operator = expand(lattice, sites.frac[a:b], multiplicity, turns, translations)
        except StructureError as error:
            raise InputError(f"{self.ids[i]}: damaged row ({error})") from None
        row = np.repeat(np.arange(a, b), multiplicity)
        beta = None
        if sites.has_beta[i]:
            beta = product(product(turns[operator], sites.beta[row]), turns[operator].transpose(0, 2, 1))
        return Structure(
            lattice=lattice,
            elements=tuple(sites.names[code] for code in sites.element[row].tolist()),
            frac=frac,
            occupancy=sites.occupancy[row],
            u_iso_A2=sites.u_iso_A2[row],
            beta=beta,
            rotations=rotations,
            translations=translations,
            space_group=number,
            name=self.column("name")[i],
            source=self.column("id")[i],
        )

    def structures(self, chosen: Sequence[int] | None = None) -> Iterator[Structure]:
        """Several crystals by index, or all in their order."""
        return (self.structure(int(i)) for i in (range(self.rows) if chosen is None else chosen))

    def _read(self, name: str) -> pa.ChunkedArray:
        if self._arrow is not None:
            return self._arrow[name]
        return pq.read_table(self.path, columns=[name], memory_map=True)[name]

    @cached_property
    def _sites(self) -> _Sites:
        element = whole(self._read("site_element"))
        start = _starts(element)
        codes = element.flatten().dictionary_encode()
        total = int(start[-1])
        beta, has_beta = np.full((total, 3, 3), np.nan), np.zeros(self.rows, dtype=bool)
        u_iso = np.full(total, np.nan)
        lengths = np.diff(start)
        known = whole(self._read("site_u_iso_A2"))
        u_iso[np.repeat(~_nulls(known), lengths)] = flat(known)
        tensors = whole(self._read("site_beta"))
        has_beta = ~_nulls(tensors)
        six = flat(tensors).reshape(-1, 6)
        with_beta = np.repeat(has_beta, lengths)
        for k, (i, j) in enumerate(_UPPER):
            beta[with_beta, i, j] = beta[with_beta, j, i] = six[:, k]
        return _Sites(
            start=start,
            names=codes.dictionary.to_pylist(),
            element=codes.indices.to_numpy(),
            frac=flat(self._read("site_frac")).reshape(-1, 3),
            multiplicity=flat(self._read("site_multiplicity")).astype(np.int64),
            occupancy=flat(self._read("site_occupancy")),
            u_iso_A2=u_iso,
            has_beta=has_beta,
            beta=beta if has_beta.any() else np.empty((0, 3, 3)),
        )


@dataclass(frozen=True, eq=False)
class _Sites:
    """Sites of all crystals one after the other; those of crystal i are `start[i]` to `start[i + 1]`."""

    start: NDArray[np.int64]
    names: list[str]
    element: NDArray[np.int32]
    frac: NDArray[np.float64]
    multiplicity: NDArray[np.int64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]
    has_beta: NDArray[np.bool_]
    beta: NDArray[np.float64]


@lru_cache(maxsize=256)
def _operators(number: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rotations and translations of a group in its standard setting, and the rotations as floats."""
    rotations, translations = operators(number)
    turns = rotations.astype(np.float64)
    turns.setflags(write=False)
    return rotations, translations, turns


def _starts(lists: pa.ListArray) -> NDArray[np.int64]:
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0]


def _nulls(lists: pa.ListArray) -> NDArray[np.bool_]:
    return np.asarray(lists.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)
