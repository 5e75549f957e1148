"""A set of RRUFF patterns as two files: intensities (.npz) and, beside them, a table of labels (.csv)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import read_arrays
from powderlens.corpus.measured_labels import CELL, label_of
from powderlens.corpus.store.stored_write import Item

FIRST_DEG, STEP_DEG, WAVELENGTH_A = 5.0, 0.01, 1.541838
"""The axis of all patterns. Source: Salgado et al., npj Comput. Mater. 9, 214 (2023), whose repository holds them."""

COLUMNS = ("row", "space_group", "mineral_inferred", *CELL, "cell_accepted")


def read_set(path: Path) -> Iterator[tuple[str, Callable[[], Item]]]:
    """Patterns of a set, in its order.

    Args:
        path: the .npz with (n, points) `intensity`; the .csv of the same name has n rows with `row`, `space_group`,
            `mineral_inferred`, `a_A` to `gamma_deg` and `cell_accepted`. Cells that are not accepted are left out, and
            those of which a number is missing (nan).

    Yields:
        The id of a pattern, and what makes the item of it or raises an error that says why not.

    Raises:
        InputError: a file is missing or damaged, or the two do not go together.
    """
    arrays, table = read_arrays(path), path.with_suffix(".csv")
    if "intensity" not in arrays or arrays["intensity"].ndim != 2:
        raise InputError(f"{path}: holds no table of intensities; it needs an array intensity (patterns, points)")
    intensity = arrays["intensity"]
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            rows, head = list(reader), reader.fieldnames or ()
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it holds the labels of the patterns") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a table of labels ({error})") from None
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise InputError(f"{table}: no column {missing[0]}; it needs {', '.join(COLUMNS)}")
    if len(rows) != len(intensity):
        raise InputError(f"{table}: {len(rows)} labels for {len(intensity)} patterns")
    axis = np.asarray(FIRST_DEG + STEP_DEG * np.arange(intensity.shape[1]), dtype=np.float64)
    for row, values in zip(rows, intensity, strict=True):
        identity = f"{path.stem}:{row['row']}"
        yield identity, partial(_item, identity, row, axis, values)


def _item(identity: str, row: dict[str, str], axis: NDArray[np.float64], intensity: NDArray[Any]) -> Item:
    cell = [float(row[name]) for name in CELL] if row["cell_accepted"] == "1" else None
    if cell is not None and not np.isfinite(cell).all():
        cell = None
    label = label_of(group=row["space_group"], cell=cell, name=row["mineral_inferred"] or None)
    return Item(
        id=identity,
        name=label.name,
        space_group=label.space_group,
        crystal_system=label.crystal_system,
        cell=label.cell,
        niggli=label.niggli,
        wavelength_A=WAVELENGTH_A,
        axis=axis,
        intensity=intensity.astype(np.float64),
    )
