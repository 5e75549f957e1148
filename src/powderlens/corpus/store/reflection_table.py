"""Reflections of many crystals as one Parquet table: made once, read into memory whole, drawn from for ever.

A row is a crystal: labels, lattice, point-group rotations, and its families of reflections with their strength
(multiplicity times |F|^2, strongest intensity 1 under copper radiation).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.files import file_sha256
from powderlens.core.pool import in_order
from powderlens.core.tables import check_parquet, main_reasons, write_beside
from powderlens.corpus.columns import SCHEMAS
from powderlens.corpus.store.prepared import stored_phase
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Reject, Structure
from powderlens.crystals.columns import flat, parquet_writer, whole
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import lorentz_polarisation, reflections

D_MIN_A = 1.07
"""Covers 2theta up to 90 degrees with copper K-alpha, with room for 2 % of strain."""
MAX_ATOMS = 500
MAX_FAMILIES = 1500
WEAKEST = 1e-4
"""Families weaker than this share of the strongest line are left out."""
CHUNK = 200

SCHEMA = SCHEMAS["reflection_table"]


def reflection_row(structure: Structure, *, d_min_A: float = D_MIN_A) -> dict[str, object]:
    """The table's row of one crystal.

    Raises:
        InputError: too many atoms, no reflections, symmetry not found; the message begins with the reason.
    """
    if len(structure.elements) > MAX_ATOMS:
        raise InputError(f"too many atoms: {len(structure.elements)}, the limit is {MAX_ATOMS}")
    labelled = with_symmetry(structure)
    table = reflections(labelled, d_min_A=d_min_A)
    strength = table.multiplicity * table.f_squared
    copper = ANODES["Cu"].mean_A
    intensity = strength * lorentz_polarisation(np.minimum(table.two_theta_deg(copper), 170.0))
    keep = np.flatnonzero(intensity >= WEAKEST * intensity.max())
    if len(keep) > MAX_FAMILIES:
        keep = np.sort(keep[np.argsort(intensity[keep], kind="stable")[-MAX_FAMILIES:]])
    return {
        "id": structure.source,
        "name": structure.name,
        "formula": structure.formula,
        "elements": " ".join(sorted(set(structure.elements))),
        "space_group": labelled.space_group,
        "cell": list(labelled.cell),
        "niggli": list(niggli_cell(labelled)),
        "lattice_A": labelled.lattice.ravel().tolist(),
        "rotations": np.unique(labelled.rotations.reshape(-1, 9), axis=0).astype(np.int8).ravel(),
        "hkl": table.hkl[keep].astype(np.int16).ravel(),
        "strength": (strength[keep] / intensity.max()).astype(np.float32),
    }


def _rows_of(batch: list[Structure | Reject], d_min_A: float) -> tuple[list[dict[str, object]], list[str]]:
    """Rows of a batch, and the reasons of what gave none."""
    rows: list[dict[str, object]] = []
    reasons: list[str] = []
    for item in batch:
        if isinstance(item, Reject):
            reasons.append(item.reason)
            continue
        try:
            rows.append(reflection_row(item, d_min_A=d_min_A))
        except (PowderlensError, np.linalg.LinAlgError) as error:
            reasons.append(Reject.of(item, error).reason)
    return rows, reasons


def build_table(
    items: Iterable[Structure | Reject],
    path: Path,
    *,
    origin: str,
    d_min_A: float = D_MIN_A,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, object]:
    """Write the table and, beside it, a manifest (`.json`) with counts, rejects by reason and the table's sha256.

    Args:
        items: structures and what could not be read.
        path: the Parquet file, `.parquet`; written aside, then renamed.
        origin: one line that says where the crystals came from.
        d_min_A: smallest spacing of the families that are kept, A.
        workers: processes; 1 works in this one.
        progress: called with the number of crystals seen so far.

    Returns:
        The manifest.

    Raises:
        InputError: a path that does not end in `.parquet` or cannot be written to; not one crystal gives a row.
    """
    check_parquet(path, "a reflection table is a Parquet file")
    reasons: Counter[str] = Counter()
    seen = kept = 0
    with parquet_writer(path, SCHEMA) as writer:
        iterator = iter(items)
        batches: Iterator[list[Structure | Reject]] = iter(lambda: list(islice(iterator, CHUNK)), [])
        for rows, refused in in_order(partial(_rows_of, d_min_A=d_min_A), batches, workers):
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            reasons.update(refused)
            seen, kept = seen + len(rows) + len(refused), kept + len(rows)
            progress(seen)
        if kept == 0:
            raise InputError(f"{origin}: no crystal of {seen} can be used: {main_reasons(reasons)}")
    manifest: dict[str, object] = {
        "origin": origin,
        "crystals_in": seen,
        "crystals_kept": kept,
        "rejects": dict(reasons.most_common()),
        "d_min_A": d_min_A,
        "weakest_family": WEAKEST,
        "max_families": MAX_FAMILIES,
        "sha256": file_sha256(path),
    }
    write_beside(path, manifest)
    return manifest


@dataclass(frozen=True, eq=False)
class ReflectionTable:
    """A table in memory; list columns as one flat array and offsets.

    Attributes:
        ids, names, formulas, elements: n strings each.
        space_group: (n,) int16.
        niggli: (n, 6) float32, A and degrees.
        lattice_A: (n, 3, 3) rows are cell vectors.
        rotations, hkl, strength: flat values; `*_offset` are (n + 1,) row starts in units of matrices or families.
    """

    ids: Sequence[str]
    names: Sequence[str]
    formulas: Sequence[str]
    elements: Sequence[str]
    space_group: NDArray[np.int16]
    niggli: NDArray[np.float32]
    lattice_A: NDArray[np.float64]
    rotations: NDArray[np.int8]
    rotation_offset: NDArray[np.int64]
    hkl: NDArray[np.int16]
    strength: NDArray[np.float32]
    family_offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def phase(self, i: int) -> Phase:
        """Crystal i, ready to be drawn; without atoms."""
        a, b = self.rotation_offset[i : i + 2]
        c, d = self.family_offset[i : i + 2]
        return stored_phase(
            self.lattice_A[i],
            self.rotations[a:b],
            self.hkl[c:d],
            self.strength[c:d],
            mean_mass_u(self.formulas[i]),
            int(self.space_group[i]),
            self.names[i],
            self.ids[i],
        )

    @classmethod
    def load(cls, *paths: Path) -> ReflectionTable:
        """Read one or several tables as one.

        Raises:
            InputError: a file is missing, or is not a reflection table.
        """
        table = pa.concat_tables([_read(path) for path in paths])

        def ragged(name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
            column = whole(table[name])
            return flat(column), column.offsets.to_numpy().astype(np.int64)

        rotations, rotation_offset = ragged("rotations")
        hkl, _ = ragged("hkl")
        strength, family_offset = ragged("strength")
        return cls(
            ids=table["id"].to_pylist(),
            names=table["name"].to_pylist(),
            formulas=table["formula"].to_pylist(),
            elements=table["elements"].to_pylist(),
            space_group=table["space_group"].to_numpy(),
            niggli=flat(table["niggli"]).reshape(-1, 6),
            lattice_A=flat(table["lattice_A"]).reshape(-1, 3, 3),
            rotations=rotations.reshape(-1, 3, 3),
            rotation_offset=rotation_offset // 9,
            hkl=hkl.reshape(-1, 3),
            strength=strength,
            family_offset=family_offset,
        )


@lru_cache(maxsize=1 << 18)
def mean_mass_u(formula: str) -> float:
    """Mean atomic mass of a formula such as "Al2O3", u; that of silicon dioxide where there is none."""
    parts = re.findall(r"([A-Z][a-z]?)([\d.]*)", formula) or [("O", "2"), ("Si", "1")]
    counts = [float(count or 1) for _, count in parts]
    return sum(n * atomic_mass_u(element) for (element, _), n in zip(parts, counts, strict=True)) / sum(counts)


def _read(path: Path) -> pa.Table:
    make = "make it with `powderlens corpus reflections`"
    if not path.is_file():
        raise InputError(f"{path}: no such reflection table; {make}")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}); {make}") from None
    if not table.schema.equals(SCHEMA) or len(table) == 0:
        what = "is empty" if table.schema.equals(SCHEMA) else "has other columns than a reflection table"
        raise InputError(f"{path}: {what}; {make}")
    return table
