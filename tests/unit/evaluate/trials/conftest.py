"""A library of nine measured minerals and five calculated crystals."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest

from powderlens.crystal.common import common_minerals
from powderlens.crystal.structure import Structure
from powderlens.evaluate.trials.pool import Pool
from powderlens.library.make import PhaseSource, build
from powderlens.library.store import PhaseLibrary

MEASURED = ("Calcite", "Corundum", "Fluorite", "Forsterite", "Galena", "Gypsum", "Halite", "Quartz", "Rutile")
CALCULATED = {"Rutile": 1.026, "Hematite": 1.0, "Siderite": 1.0, "Periclase": 1.0, "Halite": 1.2}
"""And by how much longer than in the mineral their cells are."""


QUARTZ = ["x,y,z", "y,x,-z", "-y,x-y,z+1/3", "-x,-x+y,-z+1/3", "-x+y,-x,z+2/3", "x-y,-y,-z+2/3"]
"""P3121."""


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> PhaseLibrary:
    minerals = {mineral.name: mineral for mineral in common_minerals()}
    items: list[Structure] = [minerals[name] for name in MEASURED]
    # A second determination of quartz, which is folded into the first.
    items.append(replace(minerals["Quartz"], source="amcsd:77", labels={}, lattice=minerals["Quartz"].lattice * 1.001))
    for number, (name, stretch) in enumerate(CALCULATED.items()):
        one = minerals[name]
        items.append(replace(one, source=f"oqmd:{number}", labels={}, lattice=one.lattice * stretch))
    path = tmp_path_factory.mktemp("library") / "known.phases"
    build([PhaseSource("made", "0", lambda: iter(items))], path, workers=0)
    return PhaseLibrary.open(path)


@pytest.fixture(scope="session")
def pool(known: PhaseLibrary) -> Pool:
    return Pool.of(known)


@pytest.fixture(scope="session")
def row_of(known: PhaseLibrary) -> dict[str, int]:
    """Row by name and kind, as "Quartz" of a measured and "oqmd:3" of a calculated one."""
    return {known.name(row) if known.measured[row] else known.identity(row): row for row in range(len(known))}


@pytest.fixture(scope="session")
def amcsd(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of AMCSD's form with one entry, 77: quartz as another refinement has it, a = 4.92 and c = 5.41 A."""
    made = run_path(str(root / "tests" / "unit" / "crystal" / "formats" / "test_amcsd.py"))
    packed = made["packed"]
    row = {
        **made["ROW"],
        "id": 77,
        "formula": "SiO2",
        "crystal_density": "2.65",
        **dict(zip("abc", ("4.92", "4.92", "5.41"), strict=True)),
        "gamma": "120",
        "atoms_sites": json.dumps(["Si", "O"]),
        "atoms_x": packed([0.47, 0.413]),
        "atoms_y": packed([0.0, 0.267]),
        "atoms_z": packed([1 / 3, 0.214]),
    }
    path = tmp_path_factory.mktemp("amcsd") / "amcsd.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(made["SCHEMA"])
        connection.execute("INSERT INTO spacegroups VALUES (1, 'P3_121', ?, '')", (json.dumps(QUARTZ),))
        connection.execute(f"INSERT INTO cif ({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
        connection.executemany("INSERT INTO cif_elements VALUES ('77', ?)", [("Si",), ("O",)])
    return path
