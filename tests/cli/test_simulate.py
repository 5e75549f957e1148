"""`powderlens simulate`: what it writes and prints, and every bad input."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import powderlens

KEYS = ["h", "k", "l", "multiplicity", "d_A", "two_theta_deg", "intensity"]
PEAKS = ("--peaks", "--json")
CIF = """data_test
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
"""
ATOMS = """loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""
QUARTZ = "examples/quartz.cif"

pytestmark = pytest.mark.usefixtures("workplace")


def test_peaks_as_json(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "1.54056", *PEAKS)
    assert (done.code, done.err) == (0, "")
    peaks = json.loads(done.out)
    assert all(list(peak) == KEYS for peak in peaks)
    assert [type(peaks[0][key]) for key in KEYS] == [int, int, int, int, float, float, float]
    assert max(peak["intensity"] for peak in peaks) == 100
    assert [peak["two_theta_deg"] for peak in peaks] == sorted(peak["two_theta_deg"] for peak in peaks)
    assert len([peak for peak in peaks if abs(peak["d_A"] - 3.34456) < 1e-4]) == 2, "101 and 011 apart"


def test_json_alone_means_the_peaks(run: Callable) -> None:
    one, two = (run("simulate", QUARTZ, "--wavelength", "CuKa1", *words) for words in (["--json"], PEAKS))
    assert one.out == two.out


def test_peaks_as_a_table(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "CuKa1", "--range", 20, 30)
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert [row[:4] for row in rows] == [["1", "0", "0", "6"], ["1", "0", "1", "6"], ["0", "1", "1", "6"]]
    assert [row[6] for row in rows] == ["28.11", "43.01", "100.00"]


@pytest.mark.parametrize("name", ["quartz.xy", "quartz.csv"])
def test_a_pattern_can_be_read_back(run: Callable, name: str) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "CuKa1", "--output", name, "--range", 10, 60, "--step", 0.05)
    assert done == (0, "", "")
    pattern = powderlens.read_pattern(name)
    assert pattern.wavelength_A == pytest.approx(1.5405929)
    assert pattern.two_theta_deg[[0, -1]] == pytest.approx([10.0, 60.0])
    assert np.diff(pattern.two_theta_deg) == pytest.approx(0.05)
    assert pattern.two_theta_deg[pattern.intensity.argmax()] == pytest.approx(26.65, abs=0.03)


def test_a_simulated_pattern_has_no_uncertainties_to_write(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "CuKa1", "--output", "quartz.xye")
    assert done.code == 2
    assert "use .xy" in done.complaint


def test_output_and_peaks_together(run: Callable) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "CuKa1", "--output", "quartz.xy", *PEAKS)
    assert len(json.loads(done.out)) > 30
    assert Path("quartz.xy").stat().st_size > 0


def test_dispersion_changes_intensities_only(run: Callable) -> None:
    words = ("simulate", QUARTZ, "--wavelength", "CuKa1", *PEAKS)
    plain, asked = (json.loads(run(*words, *more).out) for more in ([], ["--dispersion"]))
    for key in KEYS[:6]:
        assert [p[key] for p in plain] == [p[key] for p in asked]
    assert max(abs(p["intensity"] - q["intensity"]) for p, q in zip(plain, asked, strict=True)) > 0.05


@pytest.mark.parametrize(("name", "start"), [("q.png", b"\x89PNG"), ("q.svg", b"<?xml"), ("q.pdf", b"%PDF")])
def test_a_picture(run: Callable, name: str, start: bytes) -> None:
    done = run("simulate", QUARTZ, "--wavelength", "CuKa", "--plot", name)
    assert done == (0, "", "")
    assert Path(name).read_bytes().startswith(start)


def test_several_files(run: Callable) -> None:
    Path("copper.cif").write_text(CIF + ATOMS + "Cu 0 0 0\n")
    Path("out").mkdir()
    done = run(
        "simulate", QUARTZ, "copper.cif", "--wavelength", "CuKa1", "--output", "out", "--plot", "out/{}.png", "--json"
    )
    assert done.code == 0
    assert [json.loads(line)["file"] for line in done.out.splitlines()] == [QUARTZ, "copper.cif"]
    assert {path.name for path in Path("out").iterdir()} == {"quartz.xy", "copper.xy", "quartz.png", "copper.png"}


def test_several_files_do_not_go_to_one_place(run: Callable) -> None:
    Path("copper.cif").write_text(CIF + ATOMS + "Cu 0 0 0\n")
    done = run("simulate", QUARTZ, "copper.cif", "--wavelength", "CuKa1", "--output", "both.xy")
    assert done.code == 2
    assert "2 files need a name each" in done.complaint
    Path("other").mkdir()
    Path("other/copper.cif").write_text(CIF + ATOMS + "Cu 0 0 0\n")
    done = run("simulate", "copper.cif", "other/copper.cif", "--wavelength", "CuKa1", "--output", "{}.xy")
    assert done.code == 2
    assert "would both become copper.xy" in done.complaint


BAD_STRUCTURES = {
    "no atoms": (CIF, "no atoms"),
    "an unknown element": (CIF + ATOMS + "Xx1 0 0 0\n", "unknown element"),
    "no cell": (ATOMS + "Cu 0 0 0\n", "cif"),
    "empty": ("", "cif"),
    "not a CIF": ("this is not a structure\n", "cif"),
}


@pytest.mark.parametrize("case", BAD_STRUCTURES)
def test_bad_structures(run: Callable, case: str) -> None:
    text, words = BAD_STRUCTURES[case]
    Path("bad.cif").write_text(text)
    done = run("simulate", "bad.cif", "--wavelength", "CuKa1", *PEAKS)
    assert done.code == 2
    assert words in done.complaint
    assert "bad.cif" in done.complaint


@pytest.mark.parametrize("case", BAD_STRUCTURES)
def test_bad_structures_in_a_batch(run: Callable, case: str) -> None:
    text, words = BAD_STRUCTURES[case]
    Path("bad.cif").write_text(text)
    done = run("simulate", "bad.cif", QUARTZ, "--wavelength", "CuKa1", *PEAKS)
    assert (done.code, done.err) == (1, "")
    bad, good = (json.loads(line) for line in done.out.splitlines())
    assert list(bad) == ["file", "error"]
    assert bad["file"] == "bad.cif"
    assert words in bad["error"]
    assert len(good["peaks"]) > 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([QUARTZ], "no wavelength; give --wavelength"),
        ([QUARTZ, "--wavelength", "Cu"], "names an anode but no line"),
        ([QUARTZ, "--wavelength", "-1.5"], "must be positive"),
        ([QUARTZ, "--wavelength", "nan"], "not a finite number"),
        ([QUARTZ, "--wavelength", "1.54", "--range", "1", "10"], "no reflection from 1 to 10 degrees"),
        ([QUARTZ, "--wavelength", "1.54", "--range", "90", "10"], "the smaller first"),
        ([QUARTZ, "--wavelength", "1.54", "--step", "0.1"], "--step has no effect"),
        ([QUARTZ, "--wavelength", "1.54", "--step", "0", "--output", "a.xy"], "must be positive"),
        ([QUARTZ, "--wavelength", "1.54", "--output", "a.txt"], "use .xy"),
        ([QUARTZ, "--wavelength", "1.54", "--output", "none/a.xy"], "no directory"),
        ([QUARTZ, "--wavelength", "1.54", "--plot", "a.gif"], "use .png"),
        (["none.cif", "--wavelength", "1.54"], "no such file"),
        (["examples", "--wavelength", "1.54"], "is a directory"),
        (["examples/quartz.txt", "--wavelength", "1.54"], "what format"),
        ([QUARTZ, "--wavelengt"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_bad_requests(run: Callable, arguments: list[str], words: str) -> None:
    done = run("simulate", *arguments)
    assert done.code == 2
    assert words in done.complaint


def test_a_poscar_has_no_other_way_than_its_name(run: Callable) -> None:
    Path("POSCAR").write_text("Cu\n3.61\n0 .5 .5\n.5 0 .5\n.5 .5 0\nCu\n1\nDirect\n0 0 0\n")
    peaks = json.loads(run("simulate", "POSCAR", "--wavelength", "CuKa1", *PEAKS).out)
    assert [peak["multiplicity"] for peak in peaks] == [8, 6, 12], "symmetry was found, 311 lies just beyond 90"


def test_nothing_but_one_line_reaches_the_terminal(run_apart: Callable, workplace: Path) -> None:
    done = run_apart("simulate", "none.cif", "--wavelength", "CuKa", cwd=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "powderlens: none.cif: no such file; check the name\n"
