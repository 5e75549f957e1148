"""`powderlens corpus bench`: what it tells, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from powderlens.corpus.store.build import build_corpus
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals


@pytest.fixture(scope="module")
def corpus(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "m.parquet")
    build_corpus(folder / "m.parquet", folder / "c", protocol="ideal", per_crystal=33, split="in-library", workers=1)
    return folder / "c"


def test_the_figures_of_a_corpus(run: Callable[..., Any], corpus: Path) -> None:
    options = ["--workers", 1, "--minutes", 0.01, "--batch", 8]
    result = run("corpus", "bench", corpus, *options, "--part", "test", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    assert (found["corpus"], found["part"], found["workers"], found["batch"]) == ("c", "test", 1, 8)
    assert found["patterns"] == 8 * found["batches"] > 0
    assert found["patterns_per_hour"] == pytest.approx(3600 * found["patterns"] / found["seconds"], rel=1e-3)
    assert found["gap_ratio"] >= 1
    assert len(found["memory"]) >= 2
    table = run("corpus", "bench", corpus, *options)
    assert table.code == 0
    for words in ("c, train: 1 workers, batches of 8", "patterns an hour", "late batches", "resident memory"):
        assert words in table.out


def test_what_it_refuses(run: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    wrong = run("corpus", "bench", corpus, "--part", "all")
    assert wrong.code == 2
    assert "part 'all': the corpus has test, train, validation" in wrong.complaint
    missing = run("corpus", "bench", tmp_path / "nothing")
    assert missing.code == 2
    assert "nothing" in missing.complaint
    assert run("corpus", "bench", corpus, "--workers", 0).code == 2
