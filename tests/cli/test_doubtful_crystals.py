"""What the program says of crystals that are misstated, damaged or hostile."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.cli.console import console, one_line, tell, warn

pytestmark = pytest.mark.usefixtures("workplace")
PEAKS = ("--wavelength", "CuKa1", "--json")


@pytest.fixture(scope="module")
def cases(root: Path) -> Path:
    return root / "tests" / "unit" / "crystal" / "cases"


def twisted(cases: Path, path: Path, *changes: tuple[str, str]) -> Path:
    """Rock salt of `m13` with something else stated."""
    text = (cases / "m13_blank_before_esd.cif").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["3scale", "latnan", "panic", "same", "scale0", "scaleinf", "scalenan"])
def test_a_poscar_that_is_none_gives_one_line_and_exit_code_2(run: Callable, cases: Path, name: str) -> None:
    done = run("simulate", cases / "hostile" / f"POSCAR-{name}", *PEAKS)
    assert done.code == 2
    assert done.complaint.startswith(f"POSCAR-{name}: ")


def test_escapes_in_a_label_never_reach_a_terminal(run: Callable, cases: Path, tmp_path: Path) -> None:
    done = run("simulate", cases / "hostile" / "esc.cif", *PEAKS)
    assert done.code == 2
    assert r"\x1b]52;c;" in done.complaint
    both = run("simulate", cases / "hostile" / "esc.cif", cases / "m03_identity_only.cif", "--wavelength", "CuKa1")
    assert both.code == 1
    assert "\x1b" not in both.err + both.out
    name = tmp_path / "a\x1b[2Jb.cif"
    shutil.copy(cases / "m03_identity_only.cif", name)
    table = run("simulate", name, "--wavelength", "CuKa1")
    assert (table.code, table.err) == (0, "")
    assert r"a\x1b[2Jb.cif" in table.out
    assert "\x1b" not in table.out
    gone = run("simulate", f"{name}x", *PEAKS)
    assert (gone.code, "\x1b" in gone.err) == (2, False)


def test_every_way_of_printing_is_tame(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("a\x1b[2J\nb\x9b", markup=False)
    warn("c\x07")
    tell("d\x1b")
    captured = capsys.readouterr()
    assert captured.out == "a\\x1b[2J\nb\\x9b\n"
    assert captured.err == "powderlens: warning: c\npowderlens: d\\x1b\n", "rich drops a bell itself"
    assert one_line(ValueError("e\x1b\nf")) == r"e\x1b f"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((("data_salt", "data_salt\n_chemical_formula_sum 'Cl2 Na'"),), "formula 'Cl2 Na' stated, 'Cl4 Na4' found"),
        ((("data_salt", "data_salt\n_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 1"),), "Z 1 stated, 4 found"),
        ((("data_salt", "data_salt\n_space_group_IT_number 216"),), "group 216 stated, the operators are of group 225"),
    ],
)
def test_simulate_warns_in_one_line_and_goes_on(
    run: Callable, cases: Path, tmp_path: Path, changes: tuple, said: str
) -> None:
    path = twisted(cases, tmp_path / "odd.cif", *changes)
    done = run("simulate", path, *PEAKS)
    assert (done.code, done.err) == (0, f"powderlens: warning: odd.cif: {said}\n")
    assert len(json.loads(done.out)) > 5
    drawn = run("simulate", path, "--protocol", "ideal", "--json")
    assert (drawn.code, drawn.err) == (0, done.err)


def test_simulate_says_nothing_where_all_agrees(run: Callable, cases: Path) -> None:
    for name in ("m03_identity_only.cif", "m04_origin_choice_2_unsaid.cif", "m10_centring_left_out.cif"):
        assert run("simulate", cases / name, *PEAKS).err == ""


def test_silicon_has_its_line_220(run: Callable, cases: Path) -> None:
    """With the other origin there are sixteen atoms, and 220 is not among the strong lines."""
    for name in ("m04_origin_choice_2_unsaid.cif", "m14_origin_in_coordinate_system_code.cif"):
        peaks = json.loads(run("simulate", cases / name, *PEAKS).out)
        strongest = sorted(peaks, key=lambda peak: -peak["intensity"])[:2]
        assert [round(peak["d_A"], 3) for peak in strongest] == [round(5.431 / 3**0.5, 3), round(5.431 / 8**0.5, 3)]


def test_curate_counts_what_contradicts_its_source(run: Callable, cases: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "cifs"
    folder.mkdir()
    twisted(cases, folder / "good.cif")
    twisted(cases, folder / "formula.cif", ("data_salt", "data_salt\n_chemical_formula_sum 'Cl2 Na'"), ("5.64", "5.65"))
    twisted(cases, folder / "number.cif", ("data_salt", "data_salt\n_space_group_IT_number 216"), ("5.64", "5.66"))
    shutil.copy(cases / "hostile" / "POSCAR-same", folder)
    shutil.copy(cases / "m01_magnetic_operators.mcif", folder)
    done = run("crystals", "curate", folder, "--protocol", "simxrd", "--output", "t.parquet", "--workers", "1")
    assert done.code == 0
    report = json.loads(done.out)
    assert (report["crystals"], sum(report["rejects"].values())) == (2, 3)
    assert report["rejects"] == {
        "content": 1, "stated-symmetry": 1,
        "unreadable: N atoms on one site, '...' at N, N, N; give their occupancies, or take one out": 1,
    }  # fmt: skip
    with Path("t.rejects.csv").open() as handle:
        details = {row["id"]: row["detail"] for row in csv.DictReader(handle)}
    assert details["cifs:formula.cif"] == "formula 'Cl2 Na' stated, 'Cl4 Na4' found"
    kept = run("crystals", "curate", folder, "--protocol", "simxrd", "--output", "u.parquet", "--workers", "1",
               "--without", "content", "--without", "stated-symmetry", "--without", "duplicates")  # fmt: skip
    assert json.loads(kept.out)["crystals"] == 4


def test_curate_reads_the_rest_of_damaged_archives(run: Callable, cases: Path) -> None:
    pytest.importorskip("pyarrow")
    sources = [cases / "hostile" / name for name in ("lzma.zip", "overflow.jsonl", "infgroup.json", "badname.zip")]
    done = run("crystals", "curate", *sources, "--protocol", "alphadiffract", "--output", "t.parquet", "--workers", "1")
    assert done.code == 0
    assert "Traceback" not in done.err
    unreadable = {name: n for name, n in json.loads(done.out)["rejects"].items() if name.startswith("unreadable")}
    assert unreadable == {
        "unreadable: archive: the file in it is damaged": 1,
        "unreadable: record: int too large to convert to float": 1,
        "unreadable: record: cannot convert float infinity to integer": 1,
        "unreadable: no unit cell; give _cell_length_a to _cell_angle_gamma": 1,
    }
