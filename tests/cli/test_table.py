"""`powderlens table`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_lists_its_tables(run: Callable[..., Any]):
    for words in (["table"], ["table", "--list"]):
        result = run(*words)
        assert result.code == 0
        for name in ("simxrd-table2", "simxrd-faults", "ml4pxrds-table1", "alphadiffract-rruff", "gemd", "records"):
            assert f"\n{name} " in result.out


def test_lists_without_torch_and_pyarrow():
    code = (
        "import sys; from powderlens.cli.main import main; main(['table', '--list']);"
        "assert not {'torch', 'pyarrow', 'numba', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("form", "begins"), [("text", "SimXRD, "), ("md", "## SimXRD, "), ("csv", "section,task,"), ("latex", "\\begin{")]
)
def test_writes_what_it_prints(
    form: str, begins: str, tmp_path: Path, run: Callable[..., Any], make_record: Callable[..., Path]
):
    make_record(tmp_path, "cnn9")
    words = ["table", "simxrd-table2", "--records", tmp_path, "--format", form]
    printed = run(*words)
    assert printed.code == 0
    assert printed.out.startswith(begins)
    assert "cnn9" in printed.out
    assert run(*words, "--output", tmp_path / "out.txt").out == ""
    assert (tmp_path / "out.txt").read_text() == printed.out


def test_records_of_several_folders_and_files(tmp_path: Path, run: Callable[..., Any], make_record: Any):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    make_record(tmp_path / "one", "cnn9")
    path = make_record(tmp_path / "other", "cnn10")
    make_record(tmp_path / "other", "cnn11")
    result = run("table", "records", "--format", "csv", "--records", tmp_path / "one", "--records", path)
    assert [line.split(",")[2] for line in result.out.splitlines()[1:]] == ["cnn9", "cnn10"]


def test_bad_input(tmp_path: Path, run: Callable[..., Any]):
    assert "near it: simxrd-table2" in run("table", "simxrd-tabel2", "--records", tmp_path).complaint
    assert "give the folder" in run("table", "gemd").complaint
    assert "no records" in run("table", "gemd", "--records", tmp_path).complaint
    assert "takes nothing else" in run("table", "gemd", "--list").complaint
    (tmp_path / "some.json").write_text("{}")
    assert "no record of `powderlens evaluate`" in run("table", "gemd", "--records", tmp_path / "some.json").complaint
    assert run("table", "gemd", "--records", tmp_path, "--format", "html").code == 2
