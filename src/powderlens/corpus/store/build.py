"""A table of crystals in, a corpus out; interrupted at any point, it goes on where it stopped.

Blocks of crystals are worked on by whatever mapper is given, and each leaves a part on disk. When all parts are there
the files of the corpus are written into a folder beside, the manifest last, and the folder is renamed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from powderlens.core.pool import Mapper, in_processes
from powderlens.core.random import check_seed
from powderlens.corpus.splits import Split, make_split
from powderlens.corpus.store.build_part import BLOCK, MARKS, PART, Task, make_part, task_of
from powderlens.corpus.store.corpus import draw_until_seen
from powderlens.corpus.store.manifest import SCHEMA_VERSION, Manifest, read_manifest, write_manifest
from powderlens.corpus.store.prepared import SCHEMA, phase_for
from powderlens.corpus.store.visible import shows_line
from powderlens.crystals import table as crystal_table
from powderlens.crystals.table import CrystalTable
from powderlens.diffraction.protocol import Protocol, load_protocol

MOST_CONDITIONS = 100_000
TOGETHER = 2**15
"""Patterns whose conditions are in memory at a time; those of a row group of `conditions.parquet`."""
PROBES = 8
"""Patterns that are kept to compare with: by them another machine sees whether it draws what this one drew."""
REPORT_S = 5.0

CONDITIONS = pa.schema(
    [("crystal", pa.int32()), ("condition", pa.int32()), ("index", pa.int64()), ("part", pa.string())]
)
"""Columns of `conditions.parquet`."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Plan:
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
    plan = _Plan(crystals, output, load_protocol(protocol), per_crystal, split, check_seed(seed))
    mapper = mapper or in_processes(workers)
    CrystalTable.load(crystals)
    settings = _settings(plan)
    if (done := _there_already(output, settings)) is not None:
        shutil.rmtree(_parts(output), ignore_errors=True)
        return done
    folder = _parts_folder(output, settings, progress)
    table = pq.read_table(crystals, columns=crystal_table.SCHEMA.names, memory_map=True)
    _make_parts(table, folder, plan.protocol, mapper, progress)
    manifest = _join(table, folder, plan, settings, progress)
    _rename(folder / "whole", output)
    shutil.rmtree(folder)
    return manifest


def _settings(plan: _Plan) -> dict[str, Any]:
    """What the result depends on, and nothing else."""
    listed = Path(plan.split)
    return {
        "kind": "drawn",
        "name": plan.output.resolve().name,
        "protocol": {"name": plan.protocol.name, "text": plan.protocol.text},
        "seed": plan.seed,
        "per_crystal": plan.per_crystal,
        "split_asked": {
            "name": listed.name,
            "sha256": file_sha256(listed) if listed.suffix == ".csv" and listed.is_file() else None,
        },
        "source": {"name": plan.crystals.name, "sha256": file_sha256(plan.crystals)},
        "versions": {
            "powderlens": powderlens.__version__,
            "numpy": np.__version__,
            "numba": numba.__version__,
            "pyarrow": pa.__version__,
        },
        "command": f"powderlens corpus build --crystals {plan.crystals.name} --protocol {plan.protocol.name} "
        f"--per-crystal {plan.per_crystal} --split {listed.name} --seed {plan.seed} "
        f"--output {plan.output.resolve().name}",
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
    folder = _parts(output)
    # Parts hold reflections alone: seed, split and number of conditions come in when they are joined.
    used = {key: settings[key] for key in ("protocol", "source", "versions")}
    key = json.dumps({**used, "block": BLOCK, "layout": SCHEMA_VERSION, "columns": PART.names}, indent=1)
    kept = folder / "settings.json"
    if folder.is_dir() and not (kept.is_file() and kept.read_text(encoding="utf-8") == key):
        progress(f"{folder.name} was made of other crystals, or with another protocol: starting anew")
        shutil.rmtree(folder)
    make_folder(folder)
    with atomic_write(kept) as aside:
        aside.write_text(key, encoding="utf-8")
    for left in folder.glob(".*"):
        left.unlink()
    shutil.rmtree(folder / "whole", ignore_errors=True)
    return folder


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06d}.parquet"


def _make_parts(table: pa.Table, folder: Path, protocol: Protocol, mapper: Mapper, progress: Progress) -> None:
    """Have every part made that is not there."""
    blocks = -(-len(table) // BLOCK)
    missing = [number for number in range(blocks) if not _part_path(folder, number).is_file()]
    if len(missing) < blocks:
        progress(f"{blocks - len(missing)} of {blocks} parts are there from before")

    def tasks() -> Iterator[Task]:
        for number in missing:
            yield task_of(number, table.slice(number * BLOCK, BLOCK), protocol)

    began = told = time.monotonic()
    for done, (number, content) in enumerate(mapper(make_part, tasks()), start=1):
        with atomic_write(_part_path(folder, number)) as aside:
            aside.write_bytes(content)
        if time.monotonic() - told > REPORT_S or done == len(missing):
            told = time.monotonic()
            rate = min(done * BLOCK, len(table)) / max(told - began, 1e-3)
            ready = min((blocks - len(missing) + done) * BLOCK, len(table))
            progress(f"reflections of {ready:,} crystals; {rate:.0f} a second")
    lost = [number for number in missing if not _part_path(folder, number).is_file()]
    if lost:
        raise InputError(f"part {lost[0]} was handed out and did not come back; give the same command again")


def _join(table: pa.Table, folder: Path, plan: _Plan, settings: dict[str, Any], progress: Progress) -> Manifest:
    """Write the files of the corpus into `FOLDER/whole`."""
    whole = make_folder(folder / "whole")
    kept, rejects, marks, families = _write_reflections(len(table), folder, whole / "reflections.parquet")
    if not len(kept):
        why = "; ".join(f"{reason} ({count})" for reason, count in rejects.most_common(3)) or "there are none"
        raise InputError(f"{plan.crystals}: no crystal of {len(table)} can be drawn: {why}")
    progress(f"writing {len(kept):,} crystals")
    _write_crystals(table, kept, whole / "crystals.parquet")
    crystals = CrystalTable.load(whole / "crystals.parquet")
    split = make_split(plan.split, crystals, plan.per_crystal, plan.seed)
    parts = _write_split(split, crystals, make_folder(whole / "split"))
    progress(f"conditions of {len(kept) * plan.per_crystal:,} patterns")
    redrawn = _write_conditions(whole / "conditions.parquet", crystals, marks, split, plan)
    _write_probe(whole / "probe.npy", crystals, redrawn, plan)
    grid = plan.protocol.grid
    return write_manifest(
        whole,
        {
            **settings,
            "split": {"name": split.name, "statement": split.statement, "parts": parts},
            "crystals_in": len(table),
            "crystals": len(kept),
            "patterns": len(kept) * plan.per_crystal,
            "families": families,
            "rejects": dict(sorted(rejects.items(), key=lambda item: (-item[1], item[0]))),
            "redrawn": len(redrawn),
            "grid": asdict(grid),
            "scale": plan.protocol.scale,
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
    with (
        atomic_write(path) as aside,
        pq.ParquetWriter(aside, SCHEMA, compression="zstd", use_dictionary=["multiplicity.list.element"]) as writer,
    ):
        for number in range(-(-crystals_in // BLOCK)):
            part = pq.read_table(_part_path(folder, number), schema=PART)
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
    with (
        atomic_write(path) as aside,
        pq.ParquetWriter(aside, crystal_table.SCHEMA, compression="zstd") as writer,
    ):
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
    path: Path, crystals: CrystalTable, marks: NDArray[np.float64], split: Split, plan: _Plan
) -> dict[int, int]:
    """Write the table of patterns; the index of each pattern that is not drawn under its number."""
    per_crystal = plan.per_crystal
    names = pa.array(split.names, pa.string())
    redrawn: dict[int, int] = {}
    step = max(TOGETHER // per_crystal, 1)
    with (
        atomic_write(path) as aside,
        pq.ParquetWriter(
            aside,
            CONDITIONS,
            compression="zstd",
            use_dictionary=["condition", "part"],
            column_encoding={"crystal": "DELTA_BINARY_PACKED", "index": "DELTA_BINARY_PACKED"},
        ) as writer,
    ):
        for first in range(0, len(crystals), step):
            rows = np.arange(first, min(first + step, len(crystals)))
            numbers = rows[:, None] * per_crystal + np.arange(per_crystal)
            records = plan.protocol.draw(plan.seed, numbers.ravel()).reshape(numbers.shape)
            sure = shows_line(marks[rows], records, plan.protocol.grid)
            for at in np.flatnonzero(~sure.all(axis=1)):
                phase = phase_for(crystals.structure(int(rows[at])), plan.protocol)
                for number in numbers[at, ~sure[at]].tolist():
                    index, _ = draw_until_seen(phase, plan.protocol, plan.seed, number)
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


def _write_probe(path: Path, crystals: CrystalTable, redrawn: dict[int, int], plan: _Plan) -> None:
    """Draw the patterns of `probe_numbers`."""
    drawn = []
    for number in probe_numbers(len(crystals) * plan.per_crystal).tolist():
        phase = phase_for(crystals.structure(number // plan.per_crystal), plan.protocol)
        drawn.append(draw_until_seen(phase, plan.protocol, plan.seed, redrawn.get(number, number))[1])
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
