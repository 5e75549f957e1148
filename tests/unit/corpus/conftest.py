"""A small table of crystals, and small corpora made of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mineral_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 25 minerals that ship with powderlens as a table of crystals."""
    import pyarrow as pa

    from powderlens.corpus.crystal_table import SCHEMA, crystal_row, write_crystals
    from powderlens.crystal.common import common_minerals
    from powderlens.crystal.label import find_symmetry

    path = tmp_path_factory.mktemp("crystals") / "minerals.parquet"
    rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


@pytest.fixture(scope="session")
def built(mineral_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The corpus "minerals" of a protocol, 6 patterns of each mineral, in-library; not to be changed."""
    from powderlens.corpus.build import build_corpus

    made: dict[str, Path] = {}

    def of(protocol: str) -> Path:
        if protocol not in made:
            made[protocol] = tmp_path_factory.mktemp("corpus") / "minerals"
            build_corpus(mineral_table, made[protocol], protocol=protocol, per_crystal=6, split="in-library", workers=1)
        return made[protocol]

    return of


@pytest.fixture
def own_copy(built: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the simxrd corpus that a test may damage."""
    return Path(shutil.copytree(built("simxrd"), tmp_path / "minerals"))
