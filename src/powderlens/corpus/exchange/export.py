"""Patterns of a corpus as files: Parquet, NumPy, or SimXRD's ASE database.

An export is made in parts. Whoever ends it at any moment and gives the same command again gets the same bytes as if
nothing had happened: a part is on disk whole or not at all, and what it holds follows from the corpus alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.core.parts import make_parts
from powderlens.core.pool import Mapper, here
from powderlens.corpus.exchange.export_rows import label_schema, labels, lists_of
from powderlens.corpus.exchange.export_simxrd import drawn_records, stored_records
from powderlens.corpus.exchange.simxrd_records import write_records
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import NAME, Manifest, read_manifest, write_manifest
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.crystals.columns import equal_lists, parquet_writer

FORMATS = ("parquet", "npy", "ase")
DTYPES = ("float16", "float32")
FLOAT16_MAX = float(np.finfo(np.float16).max)
PART_ROWS = 2048
"""Patterns of a part: a Parquet file, or what is drawn again after an interruption."""
ROW_GROUP = 512
"""Patterns of a row group of Parquet; some 4 MB as float16."""
JOB, PARTS, TABLES = ".export.json", ".parts", "patterns"
FINAL = {"npy": "intensity.npy", "ase": "patterns.db"}
UNITS = {"two_theta_deg": "degrees", "d_A": "A", "cell": "A and degrees", "niggli": "A and degrees"}


@dataclass(frozen=True)
class ExportPart:
    """Patterns `first` to `first + count` of an export; all that a worker needs, but for the corpus."""

    index: int
    first: int
    count: int
    corpus: Path
    job: dict[str, Any]


def export_corpus(
    corpus: Path,
    output: Path,
    *,
    form: str,
    part: str,
    dtype: str = "float32",
    limit: int | None = None,
    mapper: Mapper = here,
    progress: Callable[[str], None] = lambda message: None,
    part_rows: int = PART_ROWS,
) -> Manifest:
    """Write the patterns of one part of a corpus, or go on where an earlier call ended.

    Args:
        corpus: the folder of a corpus, drawn or stored.
        output: a folder, made if it is not there.
        form: one of `FORMATS`.
        part: of the corpus's split, as "test".
        dtype: of the intensities, one of `DTYPES`; "ase" keeps all digits of stored patterns.
        limit: only the first so many patterns.
        mapper: does the work.
        progress: told how far it is.
        part_rows: patterns of a part.

    Returns:
        The manifest of the export.

    Raises:
        InputError: a format, part or folder that cannot be used, a pattern that cannot be drawn, or a disk that
            refuses.
    """
    job = _job(corpus, form, part, dtype, limit, part_rows)
    if (output / NAME).exists():
        manifest = _finished(output, job)
    else:
        source = Corpus.open(corpus)
        numbers = _numbers(source, part)[:limit]
        _claim(output, job)
        try:
            if form not in FINAL or not (output / FINAL[form]).exists():
                _make(output, source, numbers, job, mapper, progress)
            about = {"patterns": len(numbers), "axis": source.axis_name, "units": UNITS}
            manifest = write_manifest(output, {"kind": "export", "job": job, **about})
        except OSError as error:
            raise InputError(
                f"{output}: cannot be written ({error.strerror or error}); make room and give the same command again"
            ) from None
    shutil.rmtree(output / PARTS, ignore_errors=True)
    (output / JOB).unlink(missing_ok=True)
    return manifest


def make_part(wanted: ExportPart) -> tuple[int, bytes]:
    """The bytes of one part; runs in a worker.

    Returns:
        The part's index; a Parquet file, or the numbers of an array.

    Raises:
        InputError: a pattern that cannot be drawn, or an intensity too large for the type.
    """
    job = wanted.job
    source = _kept_open(wanted.corpus, job["corpus_sha256"])
    numbers = _numbers(source, job["part"])[wanted.first : wanted.first + wanted.count]
    dtype = np.dtype(job["dtype"])
    if job["format"] == "parquet":
        return wanted.index, _parquet_file(source, numbers, dtype)
    return wanted.index, np.ascontiguousarray(_cast(source.draw(numbers), dtype)).tobytes()


def _job(corpus: Path, form: str, part: str, dtype: str, limit: int | None, part_rows: int) -> dict[str, Any]:
    """What makes two exports the same."""
    for what, value, known in (("format", form, FORMATS), ("dtype", dtype, DTYPES)):
        if value not in known:
            raise InputError(f"{what} {value!r}: there are {', '.join(known)}")
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: export at least 1 pattern")
    return {
        "corpus_sha256": read_manifest(corpus)["sha256"],
        "format": form,
        "part": part,
        "dtype": dtype,
        "limit": limit,
        "part_rows": part_rows,
        "powderlens": __version__,
        "pyarrow": pa.__version__,
    }


def _finished(output: Path, job: dict[str, Any]) -> Manifest:
    manifest = read_manifest(output)
    if manifest.get("job") != job:
        raise InputError(f"{output}: holds a corpus or another export; give another folder, or remove it first")
    return manifest


def _claim(output: Path, job: dict[str, Any]) -> None:
    """Leave word of what is under way in a folder, or see that it is the same; sweep up what was half written.

    Raises:
        InputError: another export is under way there, or other files lie there.
    """
    make_folder(output)
    note = output / JOB
    if note.exists():
        if note.read_text(encoding="utf-8") != json.dumps(job):
            raise InputError(f"{output}: another export was begun here; finish it, or remove the folder")
        for left in (*output.glob(".*"), *output.glob("*/.*")):
            if left.is_file() and left != note:
                left.unlink()
        return
    if any(not path.name.startswith(".") for path in output.iterdir()):
        raise InputError(f"{output}: holds other files; give an empty folder, or one that is not there")
    with atomic_write(note) as aside:
        aside.write_text(json.dumps(job), encoding="utf-8")


def _make(
    output: Path,
    source: Corpus,
    numbers: NDArray[np.int64],
    job: dict[str, Any],
    mapper: Mapper,
    progress: Callable[[str], None],
) -> None:
    """Everything but the manifest."""
    form, dtype = job["format"], np.dtype(job["dtype"])
    if form == "ase" and isinstance(source, StoredCorpus):
        _write_database(output, stored_records(source, numbers))
        return
    step = job["part_rows"]
    parts = [
        ExportPart(at, first, min(step, len(numbers) - first), source.path, job)
        for at, first in enumerate(range(0, len(numbers), step))
    ]
    folder, suffix = (TABLES, ".parquet") if form == "parquet" else (PARTS, ".bin")
    make_folder(output / folder)
    paths = [output / folder / f"patterns-{part.index:05d}{suffix}" for part in parts]
    done, total = sum(part.count for part in parts if paths[part.index].is_file()), len(numbers)
    if done:
        progress(f"{done:,} of {total:,} patterns are there from before")
    for at in make_parts(make_part, paths, parts.__getitem__, mapper):
        done += parts[at].count
        progress(f"{done:,} of {total:,} patterns")
    if form == "parquet":
        return
    shape = (len(numbers), source.draw(numbers[:1]).shape[1])
    if form == "npy":
        _write_axis(output, source, numbers)
        _write_labels(output, source, numbers)
        with atomic_write(output / FINAL["npy"]) as aside, open(aside, "wb") as handle:
            handle.write(_npy_head(shape, dtype))
            for path in paths:
                with open(path, "rb") as part:
                    shutil.copyfileobj(part, handle, 2**20)
    else:
        assert isinstance(source, DrawnCorpus)
        block = (row for path in paths for row in np.fromfile(path, dtype).reshape(-1, shape[1]))
        _write_database(output, drawn_records(source, numbers, block, job["corpus_sha256"]))


@lru_cache(maxsize=2)
def _kept_open(corpus: Path, sha256: str) -> Corpus:
    """An open corpus, kept by a worker from part to part; the sum tells a changed one apart."""
    source = Corpus.open(corpus)
    if source.manifest["sha256"] != sha256:
        raise InputError(f"{corpus}: the corpus was changed while it was exported; export it anew")
    return source


def _numbers(source: Corpus, part: str) -> NDArray[np.int64]:
    if part not in source.parts:
        raise InputError(f"part {part!r}: the corpus has {', '.join(source.parts)}")
    numbers = source.numbers(part)
    if not len(numbers):
        raise InputError(f"part {part!r}: holds no patterns; choose another")
    return numbers


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == np.float16 and np.abs(values).max() > FLOAT16_MAX:
        raise InputError(f"an intensity of {np.abs(values).max():g}: float16 ends at {FLOAT16_MAX:g}; take float32")
    return values.astype(dtype)


def _parquet_file(source: Corpus, numbers: NDArray[np.int64], dtype: np.dtype[Any]) -> bytes:
    name, axis = source.axis_name, source.axis
    values = pa.from_numpy_dtype(dtype)
    schema = pa.schema([*label_schema(source), (name, pa.list_(pa.float64())), ("intensity", pa.list_(values))])
    about = {"version": __version__, "units": {**UNITS, "intensity": "strongest point at the protocol's scale"}}
    schema = schema.with_metadata({"powderlens": json.dumps(about)})
    sink = BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=_repeating(schema)) as writer:
        for some in _slices(numbers, ROW_GROUP):
            if axis is None:
                assert isinstance(source, StoredCorpus)
                curves = source.rows(some, [name, "intensity"]).combine_chunks()
                given = [_cast(row.values.to_numpy(), dtype) for row in curves["intensity"]]
                columns = [curves[name].chunk(0), lists_of(given, values)]
            else:
                shared = np.broadcast_to(axis, (len(some), len(axis)))
                columns = [equal_lists(shared), equal_lists(_cast(source.draw(some), dtype))]
            said = labels(source, some).combine_chunks()
            whole = [said[column].chunk(0) for column in said.schema.names]
            writer.write_table(pa.Table.from_arrays([*whole, *columns], schema=schema))
    return sink.getvalue()


def _repeating(schema: pa.Schema) -> list[str]:
    """Columns worth a dictionary: all but the intensities. The axis, the same in every row, costs next to nothing."""
    sink = BytesIO()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.read_metadata(sink).schema
    paths = (columns.column(i).path for i in range(len(columns)))
    return [path for path in paths if path.split(".")[0] != "intensity"]


def _write_axis(output: Path, source: Corpus, numbers: NDArray[np.int64]) -> None:
    """(points,) where all patterns share it, else (n, points)."""
    with atomic_write(output / f"axis_{source.axis_name}.npy") as aside:
        if source.axis is not None:
            np.save(aside, source.axis)
            return
        first = next(_axes(source, numbers))
        if all(np.array_equal(first, other) for other in _axes(source, numbers)):
            np.save(aside, first)
            return
        with open(aside, "wb") as handle:
            handle.write(_npy_head((len(numbers), len(first)), first.dtype))
            for axis in _axes(source, numbers):
                handle.write(axis.tobytes())


def _axes(source: Corpus, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """The axes of stored patterns, one after the other."""
    assert isinstance(source, StoredCorpus)
    for some in _slices(numbers, ROW_GROUP):
        for row in source.rows(some, [source.axis_name])[source.axis_name]:
            yield np.asarray(row.values.to_numpy())


def _write_labels(output: Path, source: Corpus, numbers: NDArray[np.int64]) -> None:
    with parquet_writer(output / "labels.parquet", label_schema(source)) as writer:
        for some in _slices(numbers, PART_ROWS):
            writer.write_table(labels(source, some))


def _slices(numbers: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (numbers[first : first + size] for first in range(0, len(numbers), size))


def _write_database(output: Path, records: Iterable[Any]) -> None:
    with atomic_write(output / FINAL["ase"]) as aside:
        write_records(records, aside)


def _npy_head(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    """What stands before the numbers in a .npy file."""
    sink = BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(sink, about)
    return sink.getvalue()
