"""Reflections of many crystals as one Parquet table: made once, read into memory whole, drawn from for ever.

A row is a crystal: labels, lattice, point-group rotations, and its families of reflections with their strength
(multiplicity times |F|^2, strongest intensity 1 under copper radiation).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.files import atomic_write, file_sha256
from powderlens.core.pool import in_order
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Reject, Structure
from powderlens.diffraction.phase import Phase
from powderlens.diffraction.reflections import lorentz_polarisation, reflections

D_MIN_A = 1.07
"""Covers 2theta up to 90 degrees with copper K-alpha, with room for 2 % of strain."""
MAX_ATOMS = 500
MAX_FAMILIES = 1500
WEAKEST = 1e-4
"""Families weaker than this share of the strongest line are left out."""
CHUNK = 200

Rows = list[dict[str, object]]
Worked = tuple[Rows, list[str]]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("formula", pa.string()),
        ("elements", pa.string()),
        ("space_group", pa.int16()),
        ("cell", pa.list_(pa.float32(), 6)),
        ("niggli", pa.list_(pa.float32(), 6)),
        ("lattice_A", pa.list_(pa.float64(), 9)),
        ("rotations", pa.list_(pa.int8())),
        ("hkl", pa.list_(pa.int16())),
        ("strength", pa.list_(pa.float32())),
    ]
)


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


def _rows_of(batch: list[Structure | Reject]) -> Worked:
    """Rows of a batch, and the reasons of what gave none."""
    rows: Rows = []
    reasons: list[str] = []
    for item in batch:
        if isinstance(item, Reject):
            reasons.append(item.reason)
            continue
        try:
            rows.append(reflection_row(item))
        except (PowderlensError, np.linalg.LinAlgError) as error:
            reasons.append(Reject.of(item, error).reason)
    return rows, reasons


def build_table(
    items: Iterable[Structure | Reject],
    path: Path,
    *,
    origin: str,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, object]:
    """Write the table and, beside it, a manifest (`.json`) with counts, rejects by reason and the table's sha256.

    Args:
        items: structures and what could not be read.
        path: the Parquet file, `.parquet`; written aside, then renamed.
        origin: one line that says where the crystals came from.
        workers: processes; 1 works in this one.
        progress: called with the number of crystals seen so far.

    Returns:
        The manifest.

    Raises:
        InputError: a path that does not end in `.parquet` or cannot be written to; not one crystal gives a row.
    """
    if path.suffix != ".parquet":
        raise InputError(f"{path}: a reflection table is a Parquet file; give it a name that ends in .parquet")
    reasons: Counter[str] = Counter()
    seen = kept = 0
    with atomic_write(path) as aside:
        with pq.ParquetWriter(aside, SCHEMA, compression="zstd") as writer:
            iterator = iter(items)
            batches: Iterator[list[Structure | Reject]] = iter(lambda: list(islice(iterator, CHUNK)), [])
            for rows, refused in in_order(_rows_of, batches, workers):
                if rows:
                    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                reasons.update(refused)
                seen, kept = seen + len(rows) + len(refused), kept + len(rows)
                progress(seen)
        if kept == 0:
            why = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3)) or "there are none"
            raise InputError(f"{origin}: no crystal of {seen} can be used: {why}")
    manifest: dict[str, object] = {
        "origin": origin,
        "crystals_in": seen,
        "crystals_kept": kept,
        "rejects": dict(reasons.most_common()),
        "d_min_A": D_MIN_A,
        "weakest_family": WEAKEST,
        "max_families": MAX_FAMILIES,
        "sha256": file_sha256(path),
    }
    with atomic_write(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(manifest, indent=2) + "\n")
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

    ids: list[str]
    names: list[str]
    formulas: list[str]
    elements: list[str]
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

    def crystal(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Lattice (3, 3), rotations (r, 3, 3), hkl (m, 3) and strength (m,) of crystal i."""
        a, b = self.rotation_offset[i : i + 2]
        c, d = self.family_offset[i : i + 2]
        return (
            self.lattice_A[i],
            self.rotations[a:b].astype(np.int64),
            self.hkl[c:d].astype(np.int64),
            self.strength[c:d].astype(np.float64),
        )

    def phase(self, i: int) -> Phase:
        """Crystal i, ready to be drawn; without atoms."""
        lattice, rotations, hkl, strength = self.crystal(i)
        return Phase(
            lattice, rotations, hkl, strength, mean_mass_u(self.formulas[i]), int(self.space_group[i]), self.names[i],
            self.ids[i],
        )  # fmt: skip

    @classmethod
    def load(cls, *paths: Path) -> ReflectionTable:
        """Read one or several tables as one.

        Raises:
            InputError: a file is missing, or is not a reflection table.
        """
        table = pa.concat_tables([_read(path) for path in paths])

        def flat(name: str) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
            column = table[name].combine_chunks()
            column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
            return column.flatten().to_numpy(), column.offsets.to_numpy().astype(np.int64)

        def fixed(name: str, width: int) -> NDArray[np.generic]:
            return np.concatenate([c.flatten().to_numpy() for c in table[name].chunks]).reshape(-1, width)

        rotations, rotation_offset = flat("rotations")
        hkl, _ = flat("hkl")
        strength, family_offset = flat("strength")
        return cls(
            ids=table["id"].to_pylist(),
            names=table["name"].to_pylist(),
            formulas=table["formula"].to_pylist(),
            elements=table["elements"].to_pylist(),
            space_group=table["space_group"].to_numpy(),
            niggli=fixed("niggli", 6).astype(np.float32),
            lattice_A=fixed("lattice_A", 9).astype(np.float64).reshape(-1, 3, 3),
            rotations=rotations.reshape(-1, 3, 3),  # type: ignore[arg-type]
            rotation_offset=rotation_offset // 9,
            hkl=hkl.reshape(-1, 3),  # type: ignore[arg-type]
            strength=strength,  # type: ignore[arg-type]
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
