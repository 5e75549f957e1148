"""The reader of a set of RRUFF patterns, and what tables state, as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError, PatternError
from powderlens.pattern.formats.rruff_set import read_rruff_set
from powderlens.pattern.formats.stated import Row, cell_in_text, cell_of_words

HEAD = "row,space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted\n"
LINES = [
    "7,P 42/m n m, Rutile ,4.6,4.6,2.96,90,90,90,1\n",
    "8,136,,4.6,4.6,nan,90,90,90,1\n",
    "9,,Rutile,4.6,4.6,2.96,90,90,90,0\n",
    "10,136,Rutile,4.6,4.6,wide,90,90,90,1\n",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    y = np.arange(4 * 60, dtype=np.int16).reshape(4, 60)
    y[3] = 5
    np.savez(tmp_path / "set.npz", intensity=y)
    (tmp_path / "set.csv").write_text(HEAD + "".join(LINES))
    return tmp_path / "set.npz"


def test_patterns_and_what_is_stated_of_them(path: Path) -> None:
    """Nothing is interpreted: a group is text, a cell is there where it is whole and accepted."""
    found = read_rruff_set(path)
    assert (len(found), found.name(0)) == (4, "set:7")
    first = found.pattern(0)
    assert (first.source, first.wavelength_A) == ("set:7", 1.541838)
    assert first.two_theta_deg[[0, 50]].tolist() == [5.0, 5.5]
    assert first.intensity.tolist() == list(range(60))
    said = [found.stated(i) for i in range(3)]
    assert [one.group for one in said] == ["P 42/m n m", "136", None]
    assert [one.name for one in said] == ["Rutile", None, "Rutile"]
    assert [one.cell for one in said] == [(4.6, 4.6, 2.96, 90, 90, 90), None, None]
    with pytest.raises(InputError, match=r"cell 4.6 4.6 wide 90 90 90: not six numbers"):
        found.stated(3)
    with pytest.raises(PatternError, match="set:10: every intensity is 5"):
        found.pattern(3)


def test_a_table_without_rows_numbers_and_names(path: Path) -> None:
    """They may be left out, the rest may not."""
    table = path.with_suffix(".csv")
    cut = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join([line[1], *line[3:]]) for line in cut) + "\n")
    found = read_rruff_set(path)
    assert (found.name(2), found.stated(0).name, found.stated(0).group) == ("set:2", None, "P 42/m n m")
    table.write_text(HEAD + "".join(LINES[:3]) + "10,136\n")
    with pytest.raises(InputError, match=r"set\.csv: row 4 has fewer columns than the header"):
        read_rruff_set(path)


def test_cells_as_words_and_in_a_text() -> None:
    assert cell_of_words(["1", "2", "3", "90", "90", "90"]) == (1, 2, 3, 90, 90, 90)
    assert cell_of_words(["1", "2", "", "90", "90", "90"]) is None
    assert cell_of_words(["1", "2", "inf", "90", "90", "90"]) is None
    whole = "a: 4.9 b: 4.9 c: 5.4 alpha: 90 beta: 90 gamma: 120 volume: 112"
    assert cell_in_text(whole) == (4.9, 4.9, 5.4, 90, 90, 120)
    assert cell_in_text(whole.replace("gamma: 120", "")) is None
    row = Row("a.xy", {"file": "a.xy", "space_group": "", "name": "Quartz", "by": "me"})
    assert (row.stated().group, row.stated().cell, row.stated().name, row.rest) == (None, None, "Quartz", {"by": "me"})
