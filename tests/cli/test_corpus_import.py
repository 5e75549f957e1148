"""`powderlens corpus import`, as a user calls it: what is told, what is counted, what is refused."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.corpus.exchange.simxrd_records import Record, write_records
from powderlens.corpus.store.manifest import read_manifest, write_manifest

Run = Callable[..., Any]
ANGLES = np.round(np.arange(15, 75, 0.05), 3)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def database() -> Path:
    """Two patterns of SimXRD's form and a record without one."""
    axis = 1.54184 / 2 / np.sin(np.radians(np.arange(10, 80, 0.02) / 2))
    pairs = {
        "tager": "[14, 6, 'P']",
        "chem_form": "MgO",
        "simulation_param": "[11.5, [0.1, 0.2], 0.1, 0.3]",
        "latt_dis": str(axis.tolist()),
        "intensity": str(np.random.default_rng(0).random(len(axis)).tolist()),
    }
    columns = {"ctime": 0.0, "mtime": 0.0, "username": "x", "cell": bytes(72), "pbc": 0, "natoms": 0}
    rows = [Record(at, {"unique_id": f"{at:032x}", **columns}, pairs) for at in range(2)]
    write_records([*rows, Record(2, {"unique_id": f"{2:032x}", **columns}, {})], Path("demo.db"))
    return Path("demo.db")


@pytest.fixture
def folder() -> Path:
    source = Path("patterns")
    source.mkdir()
    y = 10 + 1000 * np.exp(-(((ANGLES - 28.44) / 0.1) ** 2))
    (source / "si.xy").write_text("".join(f"{a:.3f} {b:.2f}\n" for a, b in zip(ANGLES, y, strict=True)))
    (source / "bad.xy").write_text("nothing\n")
    (source / "labels.csv").write_text("file,space_group\nsi.xy,227\nbad.xy,1\n")
    return source


def test_simxrd(run: Run, database: Path) -> None:
    result = run("corpus", "import", database, "--format", "simxrd", "--output", "c")
    assert (result.code, result.err) == (1, ""), "1: something was left out"
    told = json.loads(result.out)
    assert (told["kind"], told["format"], told["patterns"], told["left_out"]) == ("stored", "simxrd", 2, 1)
    assert told["rejects"] == {"no text in tager": 1}
    assert told["axis"] == "d_A"
    assert json.loads(run("corpus", "info", "c", "--json").out)["patterns"] == 2
    info = run("corpus", "info", "c")
    assert info.code == 0
    assert "c: 2 patterns, stored;" in info.out
    assert "every byte is as it was written" in run("corpus", "verify", "c").out
    assert run("corpus", "import", database, "--format", "simxrd", "--output", "c").complaint == (
        "c: holds a corpus already; give another folder, or remove it first"
    )


def test_a_folder_of_measured_patterns(run: Run, folder: Path) -> None:
    command = ["corpus", "import", folder, "--format", "folder", "--wavelength", "CuKa"]
    result = run(*command, "--output", "c")
    assert result.code == 1
    told = json.loads(result.out)
    assert (told["kind"], told["patterns"], told["left_out"]) == ("measured", 1, 1)
    assert [refused["file"] for refused in told["refused"]] == ["bad.xy"]
    (folder / "labels.csv").write_text("file,space_group\nsi.xy,227\n")
    assert run(*command, "--output", "whole").code == 0
    shutil.move(folder / "labels.csv", "mine.csv")
    assert run(*command, "--labels", "mine.csv", "--output", "mine").code == 0
    for option in (["--workers", 1], []):
        export = ["corpus", "export", "whole", "--format", "npy", "--split", "all", "--output", "x", *option]
        assert run(*export).code == 0
    assert len(np.load("x/intensity.npy")[0]) == len(ANGLES)


def test_what_is_refused(run: Run, database: Path, folder: Path) -> None:
    for words, complaint in (
        (["none.db", "--format", "simxrd"], "none.db: no such file; give SimXRD's database (.db)"),
        (["none", "--format", "rruff"], "none: no such folder of patterns"),
        ([folder, "--format", "nix"], "format 'nix': measured patterns come as rruff, dif, folder, opxrd"),
        (
            [database, "--format", "simxrd", "--wavelength", "CuKa"],
            "--labels and --wavelength have no effect on SimXRD's records; leave them out",
        ),
        (
            [folder, "--format", "rruff", "--labels", "x.csv"],
            "a table of labels goes with --format folder; rruff files carry their own labels",
        ),
    ):
        result = run("corpus", "import", *words, "--output", "c")
        assert (result.code, result.complaint) == (2, complaint)
    wrong = run("corpus", "import", folder, "--format", "opxrd", "--output", "c")
    assert (wrong.code, wrong.complaint) == (2, "c: not one usable pattern: there are none")
    wrong = run("corpus", "import", folder / "si.xy", "--format", "simxrd", "--output", "c")
    assert wrong.complaint.startswith("patterns/si.xy: not an ASE database of version 9, or a damaged one")
    assert not Path("c").exists()


def test_a_truncated_database(run: Run, database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])
    result = run("corpus", "import", database, "--format", "simxrd", "--output", "c")
    assert result.code == 2
    assert result.complaint.startswith("demo.db: not an ASE database of version 9, or a damaged one")
    assert not Path("c").exists()


def test_a_corpus_of_a_newer_version(run: Run, database: Path) -> None:
    run("corpus", "import", database, "--format", "simxrd", "--output", "c")
    write_manifest(Path("c"), {**read_manifest(Path("c")), "schema_version": 9, "powderlens": "7.0"})
    for command in (
        ["info", "c"],
        ["verify", "c"],
        ["export", "c", "--format", "npy", "--split", "all", "--output", "x"],
    ):
        result = run("corpus", *command)
        assert (result.code, result.complaint) == (
            2,
            "c: a corpus of version 9, made by powderlens 7.0; this program reads version 1: update powderlens",
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


def test_no_room(run: Run, database: Path) -> None:
    """A limit on the size of files stands for a full disk."""

    command = ["corpus", "import", database, "--format", "simxrd", "--output", "c"]
    with largest_file(20_000):
        result = run(*command)
    assert result.code == 2
    assert result.complaint.startswith("c: cannot be written (")
    assert "make room" in result.complaint
    assert not Path("c").exists(), "nothing half written"
    assert run(*command).code == 1
