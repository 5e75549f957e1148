"""Exports: what was drawn comes back from every format, and an interruption leaves no trace."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.core.pool import in_processes
from powderlens.corpus.exchange import export as module
from powderlens.corpus.exchange.export import FORMATS, export_corpus
from powderlens.corpus.exchange.export_rows import conditions_array
from powderlens.corpus.exchange.pattern_table import CONDITIONS
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.manifest import read_manifest
from powderlens.diffraction.conditions import from_record
from powderlens.diffraction.protocol import load_protocol, protocol_names


@pytest.fixture(scope="module")
def folder(built: Callable[[str], Path]) -> Path:
    return built("simxrd")


def sums(output: Path) -> dict[str, str]:
    return {str(path.relative_to(output)): file_sha256(path) for path in sorted(output.rglob("*")) if path.is_file()}


def test_parquet(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(folder)
    manifest = export_corpus(folder, tmp_path / "x", form="parquet", part="train", part_rows=30)
    table = pq.read_table(tmp_path / "x" / "patterns")
    numbers = corpus.numbers("train")
    assert manifest["patterns"] == len(table) == len(numbers) == 100
    assert sorted(path.name for path in (tmp_path / "x" / "patterns").iterdir()) == [
        f"patterns-0000{i}.parquet" for i in range(4)
    ]
    assert table["number"].to_pylist() == numbers.tolist()
    drawn = np.array(table["intensity"].to_pylist(), np.float32)
    np.testing.assert_array_equal(drawn, corpus.draw(numbers))
    axis = np.array(table["d_A"][7].as_py())
    np.testing.assert_allclose(axis, 1.54184 / 2 / np.sin(np.radians(corpus.grid.two_theta_deg / 2)), rtol=1e-14)
    row = table.slice(5, 1).to_pylist()[0]
    crystal = int(numbers[5]) // 6
    assert (row["crystal"], row["condition"]) == (corpus.crystals.ids[crystal], int(numbers[5]) % 6)
    assert row["id"] == f"{row['crystal']}#{row['condition']}"
    assert row["space_group"] == corpus.crystals.space_group[crystal]
    np.testing.assert_array_equal(row["cell"], corpus.crystals.column("cell")[crystal])
    record = from_record(corpus.conditions(numbers[5:6])[0]).values()
    assert row["conditions"]["zero_shift_deg"] == record["zero_shift_deg"]
    assert json.loads(table.schema.metadata[b"powderlens"])["units"]["d_A"] == "A"


@pytest.mark.parametrize("name", protocol_names())
def test_conditions_as_a_column(name: str) -> None:
    records = load_protocol(name).draw(3, 40)
    column = conditions_array(records)
    assert column.type == CONDITIONS
    for row, record in zip(column.to_pylist(), records, strict=True):
        plain = json.loads(json.dumps(from_record(record).values()))
        assert row == plain


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_npy(folder: Path, tmp_path: Path, dtype: str) -> None:
    corpus = Corpus.open(folder)
    export_corpus(folder, tmp_path / "x", form="npy", part="test", dtype=dtype, limit=20, part_rows=7)
    intensity = np.load(tmp_path / "x" / "intensity.npy", mmap_mode="r")
    assert (intensity.shape, intensity.dtype) == ((20, 3501), dtype)
    np.testing.assert_array_equal(intensity, corpus.draw(corpus.numbers("test")[:20]).astype(dtype))
    labels = pq.read_table(tmp_path / "x" / "labels.parquet")
    assert labels["number"].to_pylist() == corpus.numbers("test")[:20].tolist()
    assert np.load(tmp_path / "x" / "axis_d_A.npy").shape == (3501,)


def test_a_two_theta_protocol_has_a_two_theta_axis(built: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = Corpus.open(built("lab"))
    export_corpus(built("lab"), tmp_path / "x", form="parquet", part="test", limit=3, dtype="float16")
    table = pq.read_table(tmp_path / "x" / "patterns")
    np.testing.assert_array_equal(table["two_theta_deg"][2].as_py(), corpus.grid.two_theta_deg)
    np.testing.assert_array_equal(
        np.array(table["intensity"].to_pylist(), np.float16), corpus.draw(corpus.numbers("test")[:3]).astype(np.float16)
    )


def test_ase_reads_what_was_written(folder: Path, tmp_path: Path) -> None:
    connect = pytest.importorskip("ase.db").connect
    corpus = Corpus.open(folder)
    export_corpus(folder, tmp_path / "x", form="ase", part="validation", part_rows=10)
    numbers = corpus.numbers("validation")
    drawn, records = corpus.draw(numbers), corpus.conditions(numbers)
    with connect(tmp_path / "x" / "patterns.db", use_lock_file=False) as database:
        rows = list(database.select())
    assert len(rows) == len(numbers)
    for at, row in enumerate(rows):
        crystal = int(numbers[at]) // 6
        group, code, centring = json.loads(row.tager.replace("'", '"'))
        assert group == corpus.crystals.space_group[crystal]
        system = corpus.crystals.column("crystal_system")[crystal]
        systems = ["cubic", "hexagonal", "tetragonal", "orthorhombic", "trigonal", "monoclinic", "triclinic"]
        assert (systems[code - 1], centring in "PABCIFR") == (system, True)
        assert row.chem_form == corpus.crystals.column("formula")[crystal]
        np.testing.assert_array_equal(np.array(json.loads(row.intensity), np.float32), drawn[at])
        axis = json.loads(row.latt_dis)
        assert (len(axis), axis[0] > axis[-1]) == (3501, True)
        size, (low, high), offset, shift = json.loads(row.simulation_param)
        assert size == records[at]["crystallite_size_nm"]
        assert low == high == records[at]["intensity_perturbation"]
        assert (offset, shift) == (records[at]["thermal_offset_A"], records[at]["zero_shift_deg"])
        np.testing.assert_allclose(row.cell, corpus.crystals.structure(crystal).lattice)
        assert row.toatoms().get_volume() == pytest.approx(corpus.crystals.column("volume_A3")[crystal])


@pytest.mark.parametrize("form", FORMATS)
def test_workers_and_parts_change_nothing(folder: Path, tmp_path: Path, form: str) -> None:
    export_corpus(folder, tmp_path / "a", form=form, part="test", limit=12, part_rows=5)
    export_corpus(folder, tmp_path / "b", form=form, part="test", limit=12, part_rows=5, mapper=in_processes(2))
    assert sums(tmp_path / "a") == sums(tmp_path / "b")


class Stop(Exception):
    pass


def stopping(after: int) -> Callable[..., Iterator[Any]]:
    """A mapper that does so many tasks and then breaks down."""

    def mapped(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        for done, task in enumerate(tasks):
            if done == after:
                raise Stop
            yield function(task)

    return mapped


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupted_export_goes_on(folder: Path, tmp_path: Path, form: str) -> None:
    how: dict[str, Any] = {"form": form, "part": "test", "limit": 20, "part_rows": 4}
    export_corpus(folder, tmp_path / "whole", **how)
    with pytest.raises(Stop):
        export_corpus(folder, tmp_path / "x", mapper=stopping(2), **how)
    assert not (tmp_path / "x" / "manifest.json").exists()
    for left in ("", "patterns/" if form == "parquet" else ".parts/"):
        (tmp_path / "x" / f"{left}.half.1234abcd.parquet").write_bytes(b"half")
    asked: list[int] = []

    def counting(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        for task in tasks:
            asked.append(task.index)
            yield function(task)

    export_corpus(folder, tmp_path / "x", mapper=counting, **how)
    assert asked == [2, 3, 4]
    assert sums(tmp_path / "x") == sums(tmp_path / "whole")
    export_corpus(folder, tmp_path / "x", mapper=stopping(0), **how)
    assert sums(tmp_path / "x") == sums(tmp_path / "whole")


@pytest.mark.parametrize("form", FORMATS)
def test_stopped_before_the_manifest(folder: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how: dict[str, Any] = {"form": form, "part": "test", "limit": 6, "part_rows": 4}
    export_corpus(folder, tmp_path / "whole", **how)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_manifest", lambda *_: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            export_corpus(folder, tmp_path / "x", **how)
    export_corpus(folder, tmp_path / "x", **how)
    assert sums(tmp_path / "x") == sums(tmp_path / "whole")


KILLED = """
import os
import signal
import sys
from pathlib import Path
from powderlens.corpus.exchange.export import export_corpus

left = int(sys.argv[4])


def deadly(function):
    def called(*arguments):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return called


os.fsync, Path.replace = deadly(os.fsync), deadly(Path.replace)
export_corpus(Path(sys.argv[1]), Path(sys.argv[2]), form=sys.argv[3], part="train", part_rows=4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_killed_at_any_file(folder: Path, tmp_path: Path, form: str) -> None:
    """Killed before a file is on the disk, and before it has its name; `benchmarks/corpus_kill.py` kills at random."""
    export_corpus(folder, tmp_path / "whole", form=form, part="train", part_rows=4)
    command = [sys.executable, "-c", KILLED, str(folder), str(tmp_path / "x"), form]
    for moment in (1, 2, 4, 5):
        assert subprocess.run([*command, str(moment)], check=False).returncode == -signal.SIGKILL
    subprocess.run([*command, "0"], check=True)
    assert sums(tmp_path / "x") == sums(tmp_path / "whole")


def test_another_job_in_the_same_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        export_corpus(folder, tmp_path / "x", form="npy", part="test", limit=8, part_rows=4, mapper=stopping(1))
    with pytest.raises(InputError, match="another export was begun here"):
        export_corpus(folder, tmp_path / "x", form="npy", part="test", limit=9, part_rows=4)
    export_corpus(folder, tmp_path / "y", form="npy", part="test", limit=1)
    with pytest.raises(InputError, match="holds a corpus or another export"):
        export_corpus(folder, tmp_path / "y", form="npy", part="train", limit=1)
    with pytest.raises(InputError, match="holds a corpus or another export"):
        export_corpus(folder, folder, form="npy", part="train", limit=1)
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mine.txt").touch()
    with pytest.raises(InputError, match="holds other files"):
        export_corpus(folder, tmp_path / "z", form="npy", part="train", limit=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"form": "hdf5"}, "format 'hdf5': there are parquet, npy, ase"),
        ({"dtype": "float64"}, "dtype 'float64'"),
        ({"part": "dev"}, "part 'dev': the corpus has train, validation, test"),
        ({"limit": 0}, "limit 0"),
    ],
)
def test_what_cannot_be_exported(folder: Path, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    how: dict[str, Any] = {"form": "npy", "part": "test", **changed}
    with pytest.raises(InputError, match=message):
        export_corpus(folder, tmp_path / "x", **how)
    assert not (tmp_path / "x").exists()


def test_a_full_disk(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for form in FORMATS:
        target = {"parquet": "write_bytes", "npy": "write_bytes", "ase": "write_bytes"}[form]
        with monkeypatch.context() as patch:
            patch.setattr(Path, target, full)
            with pytest.raises(InputError, match="No space left on device"):
                export_corpus(folder, tmp_path / form, form=form, part="test", limit=4)
        export_corpus(folder, tmp_path / form, form=form, part="test", limit=4)
        assert read_manifest(tmp_path / form)["patterns"] == 4


def test_too_large_for_float16(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOAT16_MAX", 50.0)
    with pytest.raises(InputError, match="an intensity of 100: float16 ends at 50; take float32"):
        export_corpus(folder, tmp_path / "x", form="npy", part="test", dtype="float16", limit=1)


def test_a_part_that_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    def losing(function: Callable[[Any], Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        return (function(task) for task in tasks if task.index != 1)

    with pytest.raises(InputError, match="part 1 was handed out and did not come back"):
        export_corpus(folder, tmp_path / "x", form="npy", part="test", limit=8, part_rows=4, mapper=losing)
