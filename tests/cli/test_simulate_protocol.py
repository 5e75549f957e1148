"""`powderlens simulate --protocol`: tables, single files, pictures, conditions; and every bad request."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import powderlens

QUARTZ = "examples/quartz.cif"

COPPER = """data_copper
_cell_length_a 3.6149
_cell_length_b 3.6149
_cell_length_c 3.6149
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu 0 0 0
"""

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_table_of_patterns(run: Callable) -> None:
    words = ("simulate", QUARTZ, QUARTZ, "--protocol", "simxrd", "--count", 3, "--seed", 7, "--output", "p.parquet")
    done = run(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out == "p.parquet: 6 patterns of 2 crystals, protocol simxrd, seed 7\n"
    table = pq.read_table("p.parquet")
    assert table["index"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert {len(row) for row in table["intensity"].to_pylist()} == {3501}
    manifest = json.loads(Path("p.json").read_text())
    assert (manifest["protocol"], manifest["seed"], manifest["axis"]) == ("simxrd", 7, "d")
    assert manifest["command"].startswith("powderlens simulate quartz.cif quartz.cif --protocol simxrd")
    again = Path("p.parquet").read_bytes()
    assert run(*words).code == 0
    assert Path("p.parquet").read_bytes() == again


def test_a_bad_file_is_counted_by_its_reason_and_the_rest_goes_on(run: Callable) -> None:
    Path("bad.cif").write_text("data_x\n")
    done = run("simulate", QUARTZ, "bad.cif", QUARTZ, "--protocol", "ideal", "--output", "p.parquet", "--json")
    assert done.code == 1
    *complaints, manifest = (json.loads(line) for line in done.out.splitlines())
    assert [c["file"] for c in complaints] == ["bad.cif"]
    assert (manifest["crystals_in"], manifest["crystals_drawn"], manifest["patterns"]) == (3, 2, 2)
    assert [r["source"] for r in manifest["refused"]] == ["bad.cif"]
    assert sum(manifest["rejects"].values()) == 1
    assert pq.read_table("p.parquet")["index"].to_pylist() == [0, 2], "numbers of the others do not depend on it"


@pytest.mark.parametrize("bad_at", [0, 1])
def test_after_a_bad_file_the_others_get_their_files_and_pictures(run: Callable, bad_at: int) -> None:
    Path("bad.cif").write_text("data_x\n")
    Path("copper.cif").write_text(COPPER)
    Path("out").mkdir()
    files = ["copper.cif", QUARTZ]
    files.insert(bad_at, "bad.cif")
    words = ("--protocol", "ideal", "--output", "out", "--plot", "out/{}.svg")
    done = run("simulate", *files, *words)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "bad.cif: " in done.err
    assert {path.name for path in Path("out").iterdir()} == {"copper.xy", "quartz.xy", "copper.svg", "quartz.svg"}
    alone = powderlens.draw_patterns(QUARTZ, "ideal", seed=0, first=2).intensity[0]
    pattern = powderlens.read_pattern("out/quartz.xy")
    assert pattern.intensity == pytest.approx(alone, rel=1e-5), "the numbers of the others do not depend on it"
    (listed,) = {
        json.loads(line)["index"] for line in run("simulate", *files, *words[:2], "--json").out.splitlines()[-1:]
    }
    assert listed == 2


def test_one_pattern_as_text_can_be_read_back(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--protocol", "lab", "--seed", 3, "--output", "q.xy")
    assert (done.code, done.out, done.err) == (0, "", "")
    pattern = powderlens.read_pattern("q.xy")
    assert pattern.wavelength_A == pytest.approx(1.5418711)
    assert len(pattern.intensity) == powderlens.load_protocol("lab").grid.points
    assert pattern.intensity.max() == pytest.approx(powderlens.load_protocol("lab").scale)


@pytest.mark.parametrize("more", [(), ("--steps",), ("--count", 3)])
def test_pictures(run: Callable, more: tuple) -> None:
    done = run("simulate", QUARTZ, "--protocol", "lab", "--seed", 7, "--plot", "out.svg", *more)
    assert (done.code, done.err) == (0, "")
    text = Path("out.svg").read_text()
    shown = text.count("<!-- pattern") if not more or more[0] != "--steps" else text.count("<!-- + ")
    assert shown == {(): 1, ("--steps",): 5}.get(more, 3)


def test_conditions_as_json(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--protocol", "lab", "--seed", 7, "--count", 2, "--json")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert (first["index"], second["index"]) == (0, 1)
    expected = powderlens.load_protocol("lab").conditions(7, 1).values()
    assert second["conditions"]["crystallite_size_nm"] == expected["crystallite_size_nm"]
    assert first["conditions"] != second["conditions"]


@pytest.mark.parametrize("name", powderlens.protocol_names())
def test_conditions_of_every_protocol_are_json(run: Callable, name: str) -> None:
    done = run("simulate", QUARTZ, "--protocol", name, "--json")
    assert (done.code, done.err) == (0, "")
    assert len(json.loads(done.out)["conditions"]) > 40


def test_an_impurity_of_the_users_choice(run: Callable) -> None:
    Path("copper.cif").write_text(COPPER)
    words = ("simulate", QUARTZ, "--protocol", "ml4pxrds-measured", "--count", 2, "--output", "p.parquet")
    done = run(*words, "--impurity", "copper.cif")
    assert (done.code, done.err) == (0, "")
    assert pq.read_table("p.parquet")["impurity"].to_pylist() == ["copper"] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--protocol", "labb", "--json"), "no protocol 'labb'; there are"),
        (("--protocol", "lab"), "nothing to write; give --output"),
        (("--protocol", "lab", "--count", "0", "--json"), "--count 0: at least one pattern"),
        (("--protocol", "lab", "--seed", "-4", "--json"), "seed -4: give a whole number"),
        (("--protocol", "lab", "--wavelength", "CuKa", "--json"), "--wavelength has no effect with --protocol"),
        (("--protocol", "lab", "--range", "5", "90", "--json"), "--range has no effect with --protocol"),
        (("--protocol", "lab", "--steps", "--json"), "give --plot with it"),
        (("--protocol", "lab", "--count", "2", "--output", "p.xy"), "holds one pattern, not 2"),
        (("--protocol", "lab", "--output", "p.pdf"), "a pattern is not written as '.pdf'"),
        (("--protocol", "lab", "--output", "nowhere/p.parquet"), "no directory nowhere"),
        (("--wavelength", "CuKa", "--seed", "4"), "--seed has no effect without --protocol"),
        (("--wavelength", "CuKa", "--count", "4"), "--count has no effect without --protocol"),
    ],
)
def test_bad_requests(run: Callable, words: tuple, message: str) -> None:
    done = run("simulate", QUARTZ, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
