"""A table of crystals in, a corpus out; interrupted at any point, it goes on where it stopped.

Blocks of crystals are worked on by whatever mapper is given, and each leaves a part on disk. When all parts are there
the files of the corpus are written into a folder beside, the manifest last, and the folder is renamed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import powderlens
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder
from powderlens.core.parts import make_parts, parts_folder
from powderlens.core.pool import Mapper, in_processes
from powderlens.core.random import check_seed
from powderlens.core.tables import commonest_first, main_reasons
from powderlens.corpus.columns import SCHEMAS
from powderlens.corpus.splits import Split, make_split
from powderlens.corpus.store.build_part import BLOCK, MARKS, PART, CorpusPart, make_part, part_of
from powderlens.corpus.store.drawn import draw_until_seen
from powderlens.corpus.store.manifest import SCHEMA_VERSION, Manifest, read_manifest, write_manifest
from powderlens.corpus.store.prepared import SCHEMA, phase_for
from powderlens.corpus.store.visible import shows_line
from powderlens.crystals import table as crystal_table
from powderlens.crystals.columns import parquet_writer
from powderlens.crystals.table import CrystalTable
from powderlens.diffraction.protocol import Protocol, load_protocol

MOST_CONDITIONS = 100_000
TOGETHER = 2**15
"""Patterns whose conditions are in memory at a time; those of a row group of `conditions.parquet`."""
PROBES = 8
"""Patterns that are kept to compare with: by them another machine sees whether it draws what this one drew."""
REPORT_S = 5.0

CONDITIONS = SCHEMAS["conditions"]
"""Columns of `conditions.parquet`."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Wanted:
    """What is asked for."""

    crystals: Path
    output: Path
    protocol: Protocol
    per_crystal: int
    split: str
    seed: int


def build_corpus(
    crystals: Path,
    output: Path,
    *,
    protocol: str,
    per_crystal: int,
    split: str,
    seed: int = 0,
    workers: int = 2,
    mapper: Mapper | None = None,
    progress: Progress = lambda message: None,
) -> Manifest:
    """Build a corpus.

    Args:
        crystals: a table of crystals, `.parquet`.
        output: the folder of the corpus, which must not be there yet. Until it is, `OUTPUT.parts` holds what has been
            done; the same call goes on from there.
        protocol: name or file of the conditions.
        per_crystal: patterns of each crystal.
        split: as `splits.make_split` takes it.
        seed: of conditions, noise and split.
        workers: processes.
        mapper: does the work instead of them.
        progress: called with what is being done.

    Returns:
        The manifest.

    Raises:
        InputError: what is asked for cannot be had, there is no room, or something else has the name.
        PowderlensError: a worker died.
    """
    if not 1 <= per_crystal <= MOST_CONDITIONS:
        raise InputError(f"per_crystal {per_crystal}: give 1 to {MOST_CONDITIONS:,}")
    wanted = _Wanted(crystals, output, load_protocol(protocol), per_crystal, split, check_seed(seed))
    mapper = mapper or in_processes(workers)
    CrystalTable.load(crystals)
    settings = _settings(wanted)
    if (done := _there_already(output, settings)) is not None:
        shutil.rmtree(_parts(output), ignore_errors=True)
        return done
    folder = _parts_folder(output, settings, progress)
    table = pq.read_table(crystals, columns=crystal_table.SCHEMA.names, memory_map=True)
    _make_parts(table, folder, wanted.protocol, mapper, progress)
    manifest = _join(table, folder, wanted, settings, progress)
    _rename(folder / "whole", output)
    shutil.rmtree(folder)
    return manifest


def _settings(wanted: _Wanted) -> dict[str, Any]:
    """What the result depends on, and nothing else."""
    listed = Path(wanted.split)
    return {
        "kind": "drawn",
        "name": wanted.output.resolve().name,
        "protocol": {"name": wanted.protocol.name, "text": wanted.protocol.text},
        "seed": wanted.seed,
        "per_crystal": wanted.per_crystal,
        "split_asked": {
            "name": listed.name,
            "sha256": file_sha256(listed) if listed.suffix == ".csv" and listed.is_file() else None,
        },
        "source": {"name": wanted.crystals.name, "sha256": file_sha256(wanted.crystals)},
        "versions": {
            "powderlens": powderlens.__version__,
            "numpy": np.__version__,
            "numba": numba.__version__,
            "pyarrow": pa.__version__,
        },
        "command": f"powderlens corpus build --crystals {wanted.crystals.name} --protocol {wanted.protocol.name} "
        f"--per-crystal {wanted.per_crystal} --split {listed.name} --seed {wanted.seed} "
        f"--output {wanted.output.resolve().name}",
    }


def _there_already(output: Path, settings: dict[str, Any]) -> Manifest | None:
    """The manifest of a finished corpus of the same settings; None where the name is free."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    try:
        manifest = read_manifest(output) if output.is_dir() else {}
    except InputError:
        manifest = {}
    if manifest and {key: manifest.get(key) for key in settings} == settings:
        return manifest
    raise InputError(f"{output}: there is something else of that name; choose another name, or remove it first")


def _parts(output: Path) -> Path:
    return output.with_name(output.name + ".parts")


def _parts_folder(output: Path, settings: dict[str, Any], progress: Progress) -> Path:
    """The folder of the parts; those made with other settings are thrown away."""
    if not output.resolve().parent.is_dir():
        raise InputError(f"{output}: no directory {output.resolve().parent}; make it first")
    # Parts hold reflections alone: seed, split and number of conditions come in when they are joined.
    used = {key: settings[key] for key in ("protocol", "source", "versions")}
    key = json.dumps({**used, "block": BLOCK, "layout": SCHEMA_VERSION, "columns": PART.names}, indent=1)
    anew = f"{_parts(output).name} was made of other crystals, or with another protocol: starting anew"
    folder = parts_folder(_parts(output), key, anew=lambda: progress(anew))
    shutil.rmtree(folder / "whole", ignore_errors=True)
    return folder


def _part_paths(folder: Path, crystals: int) -> list[Path]:
    return [folder / f"part-{number:06d}.parquet" for number in range(-(-crystals // BLOCK))]


def _make_parts(table: pa.Table, folder: Path, protocol: Protocol, mapper: Mapper, progress: Progress) -> None:
    """Have every part made that is not there."""
    paths = _part_paths(folder, len(table))
    before = sum(path.is_file() for path in paths)
    if before:
        progress(f"{before} of {len(paths)} parts are there from before")

    def block(number: int) -> CorpusPart:
        return part_of(number, table.slice(number * BLOCK, BLOCK), protocol)

    began = told = time.monotonic()
    for done, _ in enumerate(make_parts(make_part, paths, block, mapper), start=1):
        if time.monotonic() - told > REPORT_S or before + done == len(paths):
            told = time.monotonic()
            rate = min(done * BLOCK, len(table)) / max(told - began, 1e-3)
            ready = min((before + done) * BLOCK, len(table))
            progress(f"reflections of {ready:,} crystals; {rate:.0f} a second")


def _join(table: pa.Table, folder: Path, wanted: _Wanted, settings: dict[str, Any], progress: Progress) -> Manifest:
    """Write the files of the corpus into `FOLDER/whole`."""
    whole = make_folder(folder / "whole")
    kept, rejects, marks, families = _write_reflections(len(table), folder, whole / "reflections.parquet")
    if not len(kept):
        raise InputError(f"{wanted.crystals}: no crystal of {len(table)} can be drawn: {main_reasons(rejects)}")
    progress(f"writing {len(kept):,} crystals")
    _write_crystals(table, kept, whole / "crystals.parquet")
    crystals = CrystalTable.load(whole / "crystals.parquet")
    split = make_split(wanted.split, crystals, wanted.per_crystal, wanted.seed)
    parts = _write_split(split, crystals, make_folder(whole / "split"))
    progress(f"conditions of {len(kept) * wanted.per_crystal:,} patterns")
    redrawn = _write_conditions(whole / "conditions.parquet", crystals, marks, split, wanted)
    _write_probe(whole / "probe.npy", crystals, redrawn, wanted)
    grid = wanted.protocol.grid
    return write_manifest(
        whole,
        {
            **settings,
            "split": {"name": split.name, "statement": split.statement, "parts": parts},
            "crystals_in": len(table),
            "crystals": len(kept),
            "patterns": len(kept) * wanted.per_crystal,
            "families": families,
            "rejects": commonest_first(rejects),
            "redrawn": len(redrawn),
            "grid": asdict(grid),
            "scale": wanted.protocol.scale,
        },
    )


def _write_reflections(
    crystals_in: int, folder: Path, path: Path
) -> tuple[NDArray[np.int64], Counter[str], NDArray[np.float64], int]:
    """Join the parts.

    Returns:
        Rows of the crystals that are kept, the others by reason, the marks of the kept (n, MARKS), and the number of
        families of reflections.
    """
    kept: list[NDArray[np.int64]] = []
    marks: list[NDArray[np.float64]] = []
    rejects: Counter[str] = Counter()
    families = 0
    with parquet_writer(path, SCHEMA, use_dictionary=["multiplicity.list.element"]) as writer:
        for number, made in enumerate(_part_paths(folder, crystals_in)):
            part = pq.read_table(made, schema=PART)
            drawn = part["refused"].is_null()
            rejects.update(part["refused"].drop_null().to_pylist())
            kept.append(number * BLOCK + np.flatnonzero(drawn.to_numpy()))
            rows = part.filter(drawn)
            if not len(rows):
                continue
            writer.write_table(rows.select(SCHEMA.names).combine_chunks())
            families += len(rows["strength"].combine_chunks().flatten())
            padded = np.full((len(rows), MARKS), np.nan)
            for at, mine in enumerate(rows["marks"].to_pylist()):
                padded[at, : len(mine)] = mine
            marks.append(padded)
    return np.concatenate(kept), rejects, np.concatenate([*marks, np.empty((0, MARKS))]), families


def _write_crystals(table: pa.Table, kept: NDArray[np.int64], path: Path) -> None:
    with parquet_writer(path, crystal_table.SCHEMA) as writer:
        for first in range(0, len(kept), crystal_table.ROW_GROUP):
            rows = table.take(kept[first : first + crystal_table.ROW_GROUP])
            writer.write_table(rows.cast(crystal_table.SCHEMA).combine_chunks())


def _write_split(split: Split, crystals: CrystalTable, folder: Path) -> dict[str, dict[str, int]]:
    """An id file for each part; how many crystals and patterns each has."""
    counts = {}
    for part in split.names:
        ids = split.id_table(crystals.ids, part)
        with atomic_write(folder / f"{part}.parquet") as aside:
            pq.write_table(ids, aside, compression="zstd")
        counts[part] = {"crystals": len(ids), "patterns": len(split.numbers(part))}
    return counts


def _write_conditions(
    path: Path, crystals: CrystalTable, marks: NDArray[np.float64], split: Split, wanted: _Wanted
) -> dict[int, int]:
    """Write the table of patterns; the index of each pattern that is not drawn under its number."""
    per_crystal = wanted.per_crystal
    names = pa.array(split.names, pa.string())
    redrawn: dict[int, int] = {}
    step = max(TOGETHER // per_crystal, 1)
    encoding = dict.fromkeys(("crystal", "index"), "DELTA_BINARY_PACKED")
    with parquet_writer(path, CONDITIONS, use_dictionary=["condition", "part"], column_encoding=encoding) as writer:
        for first in range(0, len(crystals), step):
            rows = np.arange(first, min(first + step, len(crystals)))
            numbers = rows[:, None] * per_crystal + np.arange(per_crystal)
            records = wanted.protocol.draw(wanted.seed, numbers.ravel()).reshape(numbers.shape)
            sure = shows_line(marks[rows], records, wanted.protocol.grid)
            for at in np.flatnonzero(~sure.all(axis=1)):
                phase = phase_for(crystals.structure(int(rows[at])), wanted.protocol)
                for number in numbers[at, ~sure[at]].tolist():
                    index, _ = draw_until_seen(phase, wanted.protocol, wanted.seed, number)
                    if index != number:
                        redrawn[number] = index
            flat = numbers.ravel()
            code = np.asarray(split.part_of[rows]).ravel()
            table = {
                "crystal": flat // per_crystal,
                "condition": flat % per_crystal,
                "index": [redrawn.get(number, number) for number in flat.tolist()],
                "part": names.take(pa.array(code, mask=code < 0)),
            }
            writer.write_table(pa.table(table).cast(CONDITIONS))
    return redrawn


def _write_probe(path: Path, crystals: CrystalTable, redrawn: dict[int, int], wanted: _Wanted) -> None:
    """Draw the patterns of `probe_numbers`."""
    drawn = []
    for number in probe_numbers(len(crystals) * wanted.per_crystal).tolist():
        phase = phase_for(crystals.structure(number // wanted.per_crystal), wanted.protocol)
        drawn.append(draw_until_seen(phase, wanted.protocol, wanted.seed, redrawn.get(number, number))[1])
    with atomic_write(path) as aside:
        np.save(aside, np.array(drawn, np.float32))


def probe_numbers(patterns: int) -> NDArray[np.int64]:
    """Numbers of the patterns that `probe.npy` holds, spread over the corpus."""
    return np.unique(np.linspace(0, patterns - 1, PROBES).astype(np.int64))


def _rename(whole: Path, output: Path) -> None:
    try:
        whole.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be put there ({error.strerror}); the finished corpus is {whole}") from None
