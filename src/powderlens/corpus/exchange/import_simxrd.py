"""SimXRD's database as a stored corpus, every field kept, and a stored corpus as such records again."""

from __future__ import annotations

import ast
import base64
import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.exchange.simxrd_records import AXIS, INTENSITY, PAIRS, SYSTEM_CODES, Record, read_records
from powderlens.corpus.store.corpus import STORED
from powderlens.corpus.store.manifest import Manifest
from powderlens.corpus.store.stored_write import StoredPattern, StoredWriter

WAVELENGTH_A = 1.54184
"""At which SimXRD turned its 0.02 degree grid into d."""


def import_simxrd(database: Path, output: Path) -> Manifest:
    """Import one of SimXRD's databases.

    Args:
        database: its file (.db).
        output: the folder of the corpus, not there yet or empty.

    Returns:
        The manifest. `rejects` counts the records that hold no pattern, by reason; the others are kept whole.

    Raises:
        InputError: no such database, not one usable record, or a folder that cannot be written.
    """
    rejects: Counter[str] = Counter()
    with StoredWriter(output, kind=STORED, form="simxrd", axis="d_A") as writer:
        for record in read_records(database):
            try:
                writer.add(_item(record, database.stem))
            except ValueError as error:
                rejects[str(error)] += 1
        return writer.finish(rejects, source={"name": database.name, "sha256": file_sha256(database)})


def _item(record: Record, stem: str) -> StoredPattern:
    """A record as a row.

    Raises:
        ValueError: it holds no pattern; the reason.
    """
    missing = [key for key in PAIRS if not isinstance(record.pairs.get(key), str)]
    if missing:
        raise ValueError(f"no text in {missing[0]}")
    group, system = _labels(record.pairs["tager"])
    axis, intensity = _numbers(record.pairs[AXIS], AXIS), _numbers(record.pairs[INTENSITY], INTENSITY)
    if len(axis) != len(intensity):
        raise ValueError(f"{AXIS} and {INTENSITY} differ in length")
    if not (np.isfinite(axis).all() and np.isfinite(intensity).all()):
        raise ValueError("a value that is not a number")
    if not (len(axis) > 1 and axis[-1] > 0 and (np.diff(axis) < 0).all()):
        raise ValueError(f"{AXIS} does not fall")
    return StoredPattern(
        id=f"{stem}:{record.entry}",
        formula=record.pairs["chem_form"],
        space_group=group,
        crystal_system=system,
        wavelength_A=WAVELENGTH_A,
        axis=axis,
        intensity=intensity,
        record=_to_json(record, axis, intensity),
    )


def stored_record(text: str, axis: NDArray[np.float64], intensity: NDArray[np.float64]) -> Record:
    """The record that a row of an imported SimXRD corpus came from.

    Args:
        text: the row's `record`.
        axis: (points,) its d.
        intensity: (points,) its intensities.

    Raises:
        InputError: the text is not such a record.
    """
    given = {AXIS: axis, INTENSITY: intensity}
    try:
        said = json.loads(text)
        columns = {
            key: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
            for key, value in said["columns"].items()
        }
        pairs = {key: str(given[key].tolist()) if value is None else value for key, value in said["pairs"].items()}
        return Record(said["entry"], columns, pairs)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"a damaged record ({error}); import the database again") from None


def _to_json(record: Record, axis: NDArray[np.float64], intensity: NDArray[np.float64]) -> str:
    """All of a record but what the columns hold; null stands for a text that follows from one of them."""
    columns = {
        key: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for key, value in record.columns.items()
    }
    pairs = dict(record.pairs)
    for key, values in ((AXIS, axis), (INTENSITY, intensity)):
        if str(values.tolist()) == pairs[key]:
            pairs[key] = None
    return json.dumps({"entry": record.entry, "columns": columns, "pairs": pairs})


def _labels(text: str) -> tuple[int, str]:
    try:
        group, code, _ = ast.literal_eval(text)
        if not (1 <= group <= 230 and 1 <= code <= len(SYSTEM_CODES)):
            raise ValueError
        return int(group), SYSTEM_CODES[code - 1]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("tager is not [space group, crystal system, centring]") from None


def _numbers(text: str, name: str) -> NDArray[np.float64]:
    try:
        values = json.loads(text)
        if not (isinstance(values, list) and all(type(value) in (float, int) for value in values)):
            raise ValueError
        return np.array(values, dtype=np.float64)
    except (ValueError, OverflowError, RecursionError):
        raise ValueError(f"{name} is not a list of numbers") from None
