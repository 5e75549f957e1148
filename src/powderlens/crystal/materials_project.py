"""DFT-relaxed cells of the Materials Project, as the topology_databases collection lists them (CC-BY 4.0).

Source: Jain et al., APL Materials 1, 011002 (2013), doi:10.1063/1.4812323. One JSON object a line.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from powderlens.core.errors import StructureError
from powderlens.crystal.structure import Reject, Structure


def iter_materials_project(path: str | Path) -> Iterator[Structure | Reject]:
    """Every line of a `jsonl` or `jsonl.gz` file with the fields `id`, `cell`, `el` and `x`.

    The cells are given without symmetry, so that `space_group` is None and the operators are the identity;
    `label.with_symmetry` finds them.

    Args:
        path: cells as a, b, c (A), alpha, beta, gamma (degrees); fractional coordinates.

    Yields:
        A `Structure` (source "mp:ID"), or a `Reject` with the reason.

    Raises:
        StructureError: the file is missing or is not gzip where it says so.
    """
    path = Path(path)
    if not path.is_file():
        raise StructureError(f"{path}: no such file")
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _structure(line, number)
    except (gzip.BadGzipFile, EOFError) as error:
        raise StructureError(f"{path}: not a whole gzip file ({error})") from None


def _structure(line: str, number: int) -> Structure | Reject:
    source = f"mp:line {number}"
    try:
        record = json.loads(line)
        source = f"mp:{record['id'].removeprefix('mp-')}"
        return Structure.from_cell(record["cell"], record["el"], record["x"], source=source)
    except KeyError as error:
        return Reject(source, f"record: no field {error}")
    except (ValueError, TypeError, AttributeError) as error:
        return Reject(source, str(error))
