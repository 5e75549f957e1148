"""Patterns of a corpus as SimXRD's records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.exchange.export_rows import pattern_id
from powderlens.corpus.exchange.import_simxrd import stored_record
from powderlens.corpus.exchange.simxrd_records import (
    AXIS,
    INTENSITY,
    NO_DATA,
    PERIODIC,
    SYSTEM_CODES,
    Record,
    number_list,
)
from powderlens.corpus.store.stored import STORED_LABELS, StoredCorpus
from powderlens.crystal.convert import shared_sites
from powderlens.crystal.elements import NUMBER, atomic_mass_u
from powderlens.symmetry.groups import crystal_system, symbol

if TYPE_CHECKING:
    from powderlens.corpus.store.drawn import DrawnCorpus
    from powderlens.crystal.structure import Structure

TOGETHER = 512
MADE = {"ctime": 0.0, "mtime": 0.0, "username": "powderlens"}
"""No time and no person: the same patterns give the same bytes."""
NO_ATOMS = {
    "numbers": b"",
    "positions": b"",
    "cell": bytes(72),
    "pbc": 0,
    "data": NO_DATA,
    "natoms": 0,
    "mass": 0.0,
    "charge": 0.0,
}


def drawn_records(
    corpus: DrawnCorpus, numbers: NDArray[np.int64], block: Iterator[NDArray[np.floating[Any]]], corpus_sha256: str
) -> Iterator[Record]:
    """Records of drawn patterns, with the atoms and the cell that SimXRD leaves empty.

    `simulation_param` is [crystallite size in nm, [p, p] of the perturbation of intensities, thermal offset in A, zero
    shift in degrees]; a pair more than SimXRD has, `pattern`, holds the pattern's id.

    Args:
        corpus: that the patterns are of.
        numbers: (n,) which.
        block: n times (points,) as drawn.
        corpus_sha256: makes the records' unique ids.
    """
    axis = number_list(corpus.d_A)
    crystals = corpus.crystals
    last, columns = -1, dict[str, Any]()
    for first in range(0, len(numbers), TOGETHER):
        some = numbers[first : first + TOGETHER]
        rows, records = corpus.crystal_of(some).tolist(), corpus.conditions(some)
        for number, row, record in zip(some.tolist(), rows, records, strict=True):
            if row != last:
                last, columns = row, atoms_columns(crystals.structure(row))
            unique = hashlib.sha256(f"{corpus_sha256}|{number}".encode()).hexdigest()[:32]
            pairs = {
                "tager": _tager(int(crystals.space_group[row])),
                "chem_form": crystals.column("formula")[row],
                "simulation_param": _parameters(record),
                AXIS: axis,
                INTENSITY: number_list(next(block)),
                "pattern": pattern_id(crystals.ids[row], number - row * corpus.per_crystal),
            }
            yield Record(number, {"unique_id": unique, **MADE, **columns}, pairs)


def stored_records(corpus: StoredCorpus, numbers: NDArray[np.int64]) -> Iterator[Record]:
    """Records of stored patterns: SimXRD's own as they were, of others what is known.

    Args:
        corpus: that the patterns are of.
        numbers: (n,) which.

    Raises:
        InputError: a pattern without d spacings: its axis is 2theta and no wavelength is known.
    """
    own = corpus.manifest["format"] == "simxrd"
    for first in range(0, len(numbers), TOGETHER):
        some = numbers[first : first + TOGETHER]
        table = corpus.rows(some)
        for at, number in enumerate(some.tolist()):
            row = {name: table[name][at] for name in table.schema.names}
            axis, intensity = (row[name].values.to_numpy() for name in (corpus.axis_name, "intensity"))
            if own:
                yield stored_record(row["record"].as_py(), axis, intensity)
                continue
            plain = {name: row[name].as_py() for name in STORED_LABELS.names}
            if corpus.axis_name != "d_A":
                axis, intensity = _against_d(plain, axis, intensity)
            group = plain["space_group"]
            pairs = {
                "tager": _tager(group) if group else "[0, 0, '']",
                "chem_form": plain["formula"] or "",
                "simulation_param": "[]",
                AXIS: number_list(axis),
                INTENSITY: number_list(intensity),
                "pattern": plain["id"],
            }
            unique = hashlib.sha256(f"{corpus.manifest['sha256']}|{number}".encode()).hexdigest()[:32]
            yield Record(number, {"unique_id": unique, **MADE, **NO_ATOMS}, pairs)


def _against_d(
    row: dict[str, Any], two_theta_deg: NDArray[np.float64], intensity: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if row["wavelength_A"] is None:
        raise InputError(f"{row['id']}: no wavelength is known, so no d spacings; export as parquet or npy")
    seen = two_theta_deg > 0
    return row["wavelength_A"] / (2 * np.sin(np.radians(two_theta_deg[seen] / 2))), intensity[seen]


def _tager(group: int) -> str:
    return str([group, SYSTEM_CODES.index(crystal_system(group)) + 1, symbol(group)[0]])


def _parameters(record: Any) -> str:
    share = float(record["intensity_perturbation"])
    size, offset, shift = (
        float(record[name]) for name in ("crystallite_size_nm", "thermal_offset_A", "zero_shift_deg")
    )
    return str([size, [share, share], offset, shift])


def atoms_columns(structure: Structure) -> dict[str, Any]:
    """Atoms and cell as ASE stores them; a shared site goes to the element that fills most of it."""
    rows = [max(site, key=lambda row: structure.occupancy[row]) for site in shared_sites(structure)]
    elements = [structure.elements[row] for row in rows]
    numbers = np.array([NUMBER[element] for element in elements], dtype="<i4")
    return {
        "numbers": numbers.tobytes(),
        "positions": (structure.frac[rows] @ structure.lattice).astype("<f8").tobytes(),
        "cell": structure.lattice.astype("<f8").tobytes(),
        "pbc": PERIODIC,
        "data": NO_DATA,
        "natoms": len(numbers),
        "volume": structure.volume_A3,
        "mass": sum(atomic_mass_u(element) for element in elements),
        "charge": 0.0,
    }
