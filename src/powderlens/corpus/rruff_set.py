"""A set of RRUFF patterns as two files: intensities (.npz) and, beside them, a table of labels (.csv)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from powderlens.core.errors import InputError
from powderlens.core.files import read_arrays
from powderlens.corpus.measured_labels import CELL, label_of
from powderlens.corpus.stored_write import Item

FIRST_DEG, STEP_DEG, WAVELENGTH_A = 5.0, 0.01, 1.541838
"""The axis of all patterns. Source: Salgado et al., npj Comput. Mater. 9, 214 (2023), whose repository holds them."""


def read_set(path: Path) -> Iterator[Item]:
    """Patterns of a set, in its order.

    Args:
        path: the .npz with (n, points) `intensity`; the .csv of the same name has n rows with `row`, `space_group`,
            `mineral_inferred`, `a_A` to `gamma_deg` and `cell_accepted`. Cells that are not accepted are left out.

    Raises:
        InputError: a file is missing or damaged, or the two do not go together.
    """
    arrays, table = read_arrays(path), path.with_suffix(".csv")
    if "intensity" not in arrays or arrays["intensity"].ndim != 2:
        raise InputError(f"{path}: holds no table of intensities; it needs an array intensity (patterns, points)")
    intensity = arrays["intensity"]
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        if len(rows) != len(intensity):
            raise InputError(f"{table}: {len(rows)} labels for {len(intensity)} patterns")
        axis = np.asarray(FIRST_DEG + STEP_DEG * np.arange(intensity.shape[1]), dtype=np.float64)
        for row, values in zip(rows, intensity, strict=True):
            label = label_of(
                group=row["space_group"],
                cell=[float(row[name]) for name in CELL] if row["cell_accepted"] == "1" else None,
                name=row["mineral_inferred"] or None,
            )
            yield Item(
                id=f"{path.stem}:{row['row']}",
                name=label.name,
                space_group=label.space_group,
                crystal_system=label.crystal_system,
                cell=label.cell,
                wavelength_A=WAVELENGTH_A,
                axis=axis,
                intensity=values.astype(np.float64),
            )
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it holds the labels of the patterns") from None
    except KeyError as error:
        raise InputError(f"{table}: no column {error}") from None
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{table}: not a table of labels ({error})") from None
