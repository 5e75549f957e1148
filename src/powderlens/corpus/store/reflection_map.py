"""The reflections of a corpus unpacked into flat files, which any number of processes map into memory.

Parquet cannot be mapped: a row must be unpacked before it is read. So the file is unpacked once into a hidden folder of
the corpus, `.unpacked-` and the beginning of its sha256. That folder is no part of the corpus; it may be deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256

FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "lattice_A": ("<f8", (3, 3)),
    "mean_mass_u": ("<f8", ()),
    "space_group": ("<i2", ()),
    "count": ("<i8", ()),
    "hkl": ("<i2", (3,)),
    "strength": ("<f4", ()),
}
"""Type and shape of a row of each flat file."""


@dataclass(frozen=True, eq=False)
class ReflectionMap:
    """Reflections of n crystals; those of crystal i are `start[i]` to `start[i + 1]`.

    Attributes:
        lattice_A: (n, 3, 3) rows are cell vectors.
        mean_mass_u, space_group: (n,).
        start: (n + 1,).
        hkl: (m, 3) int16.
        strength: (m,) float32.
        kept: holds on to a temporary folder where the corpus could not be written to; None else.
    """

    lattice_A: NDArray[np.float64]
    mean_mass_u: NDArray[np.float64]
    space_group: NDArray[np.int16]
    start: NDArray[np.int64]
    hkl: NDArray[np.int16]
    strength: NDArray[np.float32]
    kept: tempfile.TemporaryDirectory[str] | None


def map_reflections(path: Path, sha256: str) -> ReflectionMap:
    """Map `reflections.parquet`, after unpacking it where no process has done so before.

    Args:
        path: the file.
        sha256: as the manifest states it; unpacked files of another table are not taken.

    Raises:
        InputError: the file was changed, or there is no room to unpack it.
    """
    folder = path.parent / f".unpacked-{sha256[:16]}"
    kept = None
    if not folder.is_dir():
        if file_sha256(path) != sha256:
            raise InputError(
                f"{path}: was changed, its sha256 is not that of the manifest; `powderlens corpus verify` says where, "
                "copy it again"
            )
        try:
            aside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=path.parent))
        except OSError:  # a corpus that may only be read
            kept = tempfile.TemporaryDirectory(prefix="powderlens-")
            folder = aside = Path(kept.name)
        try:
            _unpack(path, aside)
            if kept is None:
                _settle(aside, folder)
        except (pa.ArrowException, OSError, KeyError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise InputError(
                f"{path}: cannot be unpacked ({str(error).splitlines()[0]}); make room, or see what `powderlens corpus "
                "verify` says"
            ) from None
    arrays = {name: _mapped(folder / name, *how) for name, how in FILES.items()}
    start = np.concatenate([[0], np.cumsum(arrays.pop("count"))]).astype(np.int64)
    return ReflectionMap(start=start, kept=kept, **arrays)


def _unpack(path: Path, folder: Path) -> None:
    """Write the flat files, one row group after the other."""
    handles = {name: open(folder / name, "wb") for name in FILES}  # noqa: SIM115
    try:
        table = pq.ParquetFile(path)
        columns = [name for name in FILES if name != "count"]
        for group in range(table.num_row_groups):
            rows = table.read_row_group(group, columns=columns)
            for batch in rows.to_batches():
                for name in columns:
                    column = batch.column(name)
                    flat = column.flatten() if pa.types.is_nested(column.type) else column
                    handles[name].write(flat.to_numpy().astype(FILES[name][0]).tobytes())
                lengths = np.diff(batch.column("strength").offsets.to_numpy())
                handles["count"].write(lengths.astype(FILES["count"][0]).tobytes())
    finally:
        for handle in handles.values():
            handle.close()


def _settle(aside: Path, folder: Path) -> None:
    """Give the unpacked files their place, unless another process was quicker."""
    aside.chmod(0o755)
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(aside)


def _mapped(path: Path, kind: str, row: tuple[int, ...]) -> NDArray[Any]:
    try:
        return np.memmap(path, dtype=kind, mode="r").reshape(-1, *row)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be mapped ({error}); delete the folder {path.parent.name}") from None
