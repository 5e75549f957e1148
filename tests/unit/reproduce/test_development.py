"""A measured pattern gets the structure of its own mineral, chosen without looking at the pattern."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.measured_labels import Labelled
from powderlens.crystal.structure import Reject, Structure
from powderlens.pattern.formats.rruff_set import read_rruff_set
from powderlens.reproduce.realism.development import match_structures, nearest_structure

HEADER = "index,space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted\n"
HALITE = "0,225,Halite,5.6402,5.6402,5.6402,90,90,90,1\n"


def stretched(structure: Structure, factor: float, source: str) -> Structure:
    return replace(structure, lattice=structure.lattice * factor, source=source)


@pytest.fixture
def halites(minerals: dict[str, Structure]) -> list[Structure]:
    """Cells that are 3, 1, -0.4 and 0.4 % larger."""
    return [stretched(minerals["Halite"], f, n) for f, n in ((1.03, "a"), (1.01, "b"), (0.996, "c"), (1.004, "d"))]


def test_the_nearest_cell_is_taken(halites: list[Structure]) -> None:
    label = Labelled(name="Halite", space_group=225, cell=(5.6402, 5.6402, 5.6402, 90.0, 90.0, 90.0))
    found = nearest_structure(label, halites)
    assert not isinstance(found, str)
    assert found[0].source == "c", "of two as near the first of the database"
    assert found[1] == pytest.approx(0.004)
    assert nearest_structure(label, halites[:1]) == "only structures with another cell"
    assert nearest_structure(replace(label, space_group=227), halites) == "only structures in other space groups"
    assert nearest_structure(label, []) == "no structure of that name"
    assert nearest_structure(replace(label, cell=None), halites) == "no cell accepted"
    assert nearest_structure(replace(label, name=""), halites) == "no mineral known"
    turned = replace(label, cell=(5.6402, 5.6402, 5.6402, 90.0, 92.5, 90.0))
    assert nearest_structure(turned, halites) == "only structures with another cell"


def test_a_set_is_matched_and_everything_else_counted(tmp_path: Path, halites: list[Structure]) -> None:
    table = HEADER + HALITE + "1,225,,,,,,,,0\n" + HALITE.replace("Halite", "Salt") + HALITE.replace("90,1", "90,0")
    (tmp_path / "set.csv").write_text(table)
    np.savez(tmp_path / "set.npz", intensity=np.arange(240, dtype=np.int16).reshape(4, 60))
    items = [Reject("x", "cell: not six numbers"), *halites, replace(halites[0], name="Sylvite")]
    matches, left, unread = match_structures(tmp_path / "set.npz", items)
    assert [match.row for match in matches] == [0]
    assert matches[0].structure.source == "c"
    assert matches[0].pattern.intensity.tolist() == list(range(60))
    assert left == {"no mineral known": 1, "no structure of that name": 1, "no cell accepted": 1}
    assert unread == {"cell": 1}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "no such file"),
        ("a,b\n1,2\n", "no column space_group"),
        (HEADER.replace("mineral_inferred", "name") + HALITE, "needs a column mineral_inferred"),
        (HEADER + HALITE.replace("225", "x"), "space group 'x': no such symbol"),
        (HEADER + HALITE.replace("225", ""), "set:0: the table states no space group"),
        (HEADER + HALITE.replace("5.6402", "?"), "not six numbers"),
        (HEADER, "1 patterns but 0 rows"),
    ],
)
def test_sets_that_cannot_be_used(tmp_path: Path, table: str | None, message: str) -> None:
    if table is not None:
        (tmp_path / "set.csv").write_text(table)
    np.savez(tmp_path / "set.npz", intensity=np.zeros((1, 60), np.int16))
    with pytest.raises(InputError, match=message):
        match_structures(tmp_path / "set.npz", [])


def test_patterns_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(HEADER + HALITE)
    np.savez(tmp_path / "set.npz", other=np.zeros((1, 10)))
    with pytest.raises(InputError, match="needs an array `intensity`"):
        match_structures(tmp_path / "set.npz", [])


@pytest.mark.data
def test_the_development_patterns(data: Path, tmp_path: Path) -> None:
    """With the entries of the minerals that have a pattern: no other is looked at."""
    from powderlens.crystal.formats.amcsd import iter_amcsd

    npz = data / "patterns" / "rruff" / "rruff-dev.npz"
    database = Path(shutil.copy(data / "crystals" / "amcsd.db", tmp_path))
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        names = {(row["mineral_inferred"].lower(),) for row in read_rruff_set(npz).rows}
        connection.execute("CREATE TEMP TABLE wanted (name TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO wanted VALUES (?)", sorted(names))
        connection.execute(
            "DELETE FROM cif WHERE mineral_id NOT IN (SELECT id FROM minerals WHERE lower(name) IN wanted)"
        )
    matches, left, _ = match_structures(npz, iter_amcsd(database))
    assert len(matches) == 239
    assert len(matches) + sum(left.values()) == len(read_rruff_set(npz)) == 496
    assert max(match.cell_difference for match in matches) <= 0.02
