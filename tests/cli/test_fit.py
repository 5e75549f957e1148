"""`powderlens fit`: what it prints and writes, and every bad input."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import powderlens

QUARTZ = ("fit", "examples/quartz.cif", "examples/quartz.txt", "--wavelength", "CuKa")
COPPER = """data_copper
_cell_length_a 3.615
_cell_length_b 3.615
_cell_length_c 3.615
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


def test_quartz(run: Callable) -> None:
    done = run(*QUARTZ)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "Quartz in examples/quartz.txt, CuKa"
    assert "sigma estimated" in lines[1]
    assert re.search(r"Rp [\d.]+ % +Rwp [\d.]+ %", done.out)
    assert re.search(r"^a +4\.913\d*\(\d+\) A$", done.out, re.MULTILINE)
    assert re.search(r"^c +5\.40\d*\(\d+\) A$", done.out, re.MULTILINE)
    assert re.search(r"^gamma +120 deg +by symmetry$", done.out, re.MULTILINE)
    assert re.search(r"^march_r along ", done.out, re.MULTILINE)
    assert "displacement" not in done.out


def test_everything_at_once(run: Callable) -> None:
    done = run(*QUARTZ, "--json", "--plot", "fit.png", "--output", "fit.xy", "--protocol", "fit.toml")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["cell"]["a_A"] == pytest.approx(4.9134, rel=2e-4)
    assert 0 < said["cell_uncertainty"]["a_A"] < 1e-3
    assert said["pattern"] == "examples/quartz.txt"
    assert Path("fit.png").read_bytes().startswith(b"\x89PNG")
    text = Path("fit.xy").read_text()
    assert text.splitlines()[2] == "# two_theta_deg measured calculated background"
    x, measured, calculated, background = np.loadtxt("fit.xy").T
    given = powderlens.read_pattern("examples/quartz.txt")
    assert x == pytest.approx(given.two_theta_deg)
    assert measured == pytest.approx(given.intensity)
    assert np.abs(measured - calculated).sum() / measured.sum() == pytest.approx(said["r_p"], rel=1e-4)
    assert (background < calculated + 1e-6).all()


def test_the_conditions_are_drawn_again(run: Callable) -> None:
    run(*QUARTZ, "--output", "fit.csv", "--protocol", "fit.toml")
    done = run("simulate", "examples/quartz.cif", "--protocol", "fit.toml", "--output", "again.xy")
    assert (done.code, done.err) == (0, "")
    again = powderlens.read_pattern("again.xy").intensity
    assert Path("fit.csv").read_text().splitlines()[2] == "two_theta_deg,measured,calculated,background"
    calculated = np.loadtxt("fit.csv", delimiter=",", skiprows=3)[:, 2]
    assert np.corrcoef(again, calculated)[0, 1] > 0.98


def test_options(run: Callable) -> None:
    done = run(*QUARTZ, "--json", "--no-texture", "--shift", "displacement", "--range", 20, 80, "--background", 4)
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["texture_axis"] is None
    assert said["range_deg"] == [20, 80]
    state = {p["name"]: p["state"] for p in said["parameters"]}
    assert state["zero_shift_deg"] == state["march_r"] == "fixed"
    assert state["displacement_mm"] == "refined"
    assert len([name for name in state if name.startswith("background")]) == 4
    axis = json.loads(run(*QUARTZ, "--json", "--texture-axis", 1, 0, -1).out)["texture_axis"]
    assert axis == [1, 0, -1]


def test_a_structure_that_is_not_there(run: Callable) -> None:
    Path("copper.cif").write_text(COPPER)
    done = run("fit", "copper.cif", "examples/quartz.txt", "--wavelength", "CuKa", "--json")
    assert done.code == 0
    assert "powderlens: warning: the pattern does not seem to hold" in done.err
    said = json.loads(done.out)
    assert said["unexplained"] > 0.7
    assert said["warnings"]
    assert all(line.startswith("powderlens: warning: ") for line in done.err.splitlines())
    assert len(done.err.splitlines()) == len(said["warnings"])


def test_two_shifts_that_go_together_are_told(run: Callable) -> None:
    done = run(*QUARTZ, "--shift", "both")
    assert done.code == 0
    assert "zero_shift_deg and displacement_mm go together" in done.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("examples/quartz.cif", "examples/quartz.txt"), "no wavelength is known"),
        (("examples/none.cif", "examples/quartz.txt", "--wavelength", "CuKa"), "no such file"),
        (("examples/quartz.cif", "none.xy", "--wavelength", "CuKa"), "no such file"),
        ((*QUARTZ[1:], "--range", 5, 19), "no reflection from 5 to 19 degrees"),
        ((*QUARTZ[1:], "--range", 26, 27), "points for"),
        ((*QUARTZ[1:], "--range", 95, 99), "0 points with weight"),
        ((*QUARTZ[1:], "--plot", "fit.gif"), "use .png, .svg or .pdf"),
        ((*QUARTZ[1:], "--output", "fit.xye"), "use .xy or .csv"),
        ((*QUARTZ[1:], "--protocol", "fit.txt"), "use .toml"),
        ((*QUARTZ[1:], "--output", "nowhere/fit.xy"), "no directory"),
        ((*QUARTZ[1:], "--no-texture", "--texture-axis", 0, 0, 1), "without texture"),
        ((*QUARTZ[1:], "--texture-axis", 0, 0, 0), "is no direction"),
        ((*QUARTZ[1:], "--background", 99), "give 1 to 24"),
        ((*QUARTZ[1:], "--shift", "some"), "some"),
    ],
)
def test_bad_input(run: Callable, words: tuple[object, ...], complaint: str) -> None:
    done = run("fit", *words)
    assert done.code == 2
    assert complaint in done.complaint
