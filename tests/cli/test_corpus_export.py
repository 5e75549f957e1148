"""`powderlens corpus export`, as a user calls it."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.files import file_sha256
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def made(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "m.parquet")
    build_corpus(folder / "m.parquet", folder / "c", protocol="ideal", per_crystal=8, split="in-library", workers=1)
    return folder / "c"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sums(folder: str) -> dict[str, str]:
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_sha256(path) for path in found}


@pytest.mark.parametrize("form", ["parquet", "npy", "ase"])
def test_the_files(run: Run, made: Path, form: str) -> None:
    command = ["corpus", "export", made, "--format", form, "--split", "test", "--limit", 5, "--workers", 1]
    result = run(*command, "--output", "x")
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    assert told["patterns"] == 5
    assert (told["job"]["format"], told["job"]["part"], told["job"]["limit"]) == (form, "test", 5)
    names = {
        "parquet": {"patterns/patterns-00000.parquet"},
        "npy": {"axis_two_theta_deg.npy", "intensity.npy", "labels.parquet"},
        "ase": {"patterns.db"},
    }
    assert set(told["files"]) == names[form]
    first = sums("x")
    assert set(first) == {*names[form], "manifest.json"}
    assert run(*command, "--output", "x").code == 0, "given again, it says the same"
    assert sums("x") == first
    other = run(*command[:-4], "--limit", 4, "--output", "x")
    assert (other.code, other.complaint) == (
        2,
        "x: holds a corpus or another export; give another folder, or remove it first",
    )


def test_half_precision(run: Run, made: Path) -> None:
    run("corpus", "export", made, "--format", "parquet", "--split", "validation", "--dtype", "float16", "--output", "x")
    table = pq.read_table("x/patterns")
    assert table.schema.field("intensity").type.value_type == pa.float16()
    corpus = Corpus.open(made)
    drawn = corpus.draw(corpus.numbers("validation")).astype(np.float16)
    np.testing.assert_array_equal(np.array(table["intensity"].to_pylist(), np.float16), drawn)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"--format": "hdf5"}, "format 'hdf5': there are parquet, npy, ase"),
        ({"--dtype": "int8"}, "dtype 'int8': there are float16, float32"),
        ({"--split": "all"}, "part 'all': the corpus has train, validation, test"),
    ],
)
def test_what_is_refused(run: Run, made: Path, changed: dict[str, str], complaint: str) -> None:
    options = {"--format": "npy", "--split": "test", "--output": "x", "--workers": "1", **changed}
    result = run("corpus", "export", made, *(word for pair in options.items() for word in pair))
    assert (result.code, result.complaint) == (2, complaint)
    assert not Path("x").exists()


def test_no_corpus_and_a_damaged_one(run: Run, made: Path) -> None:
    options = ["--format", "npy", "--split", "test", "--output", "x", "--workers", 1]
    assert run("corpus", "export", "nix", *options).complaint == (
        "nix: no such corpus; make one with `powderlens corpus build`"
    )
    Path("empty").mkdir()
    assert run("corpus", "export", "empty", *options).complaint.startswith("empty: not a corpus, it has no manifest")
    Path("half").mkdir()
    Path("half/manifest.json").write_bytes((made / "manifest.json").read_bytes())
    assert run("corpus", "export", "half", *options).complaint == (
        "half/conditions.parquet: this file of the corpus is missing; copy it again, or build the corpus again"
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes: what a program sees of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("form", ["parquet", "npy", "ase"])
def test_no_room(run: Run, made: Path, form: str) -> None:
    """A limit on the size of files stands for a full disk; with room again the export is as if it had never failed."""

    command = ["corpus", "export", made, "--format", form, "--split", "test", "--workers", 1, "--output"]
    with largest_file(30_000):
        result = run(*command, "x")
    assert result.code == 2
    assert result.complaint.startswith("x")
    assert "cannot be written" in result.complaint
    assert not Path("x/manifest.json").exists()
    assert run(*command, "x").code == run(*command, "whole").code == 0
    assert sums("x") == sums("whole")
