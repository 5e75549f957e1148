"""`powderlens protocol`: the list, the files, and a file of one's own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from powderlens.diffraction.protocol import load_protocol, protocol_names

NAMES = protocol_names()


def test_the_list_has_a_line_for_each(run: Callable) -> None:
    done = run("protocol", "list")
    assert (done.code, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert head.split()[0] == "protocol"
    assert [row.split()[0] for row in rows] == NAMES
    simxrd = next(row for row in rows if row.startswith("simxrd "))
    assert simxrd.split()[1:6] == ["10", "to", "80", "3501", "1.54184"]
    assert simxrd.rstrip().endswith(load_protocol("simxrd").summary)


def test_the_list_as_json(run: Callable) -> None:
    done = run("protocol", "list", "--json")
    found = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert [one["name"] for one in found] == NAMES
    for one in found:
        assert list(one) == ["name", "summary", "source", "grid", "axis", "scale"]
        assert list(one["grid"]) == ["start_deg", "step_deg", "points", "wavelength_A"]


@pytest.mark.parametrize("name", NAMES)
def test_show_prints_the_file(run: Callable, root: Path, name: str) -> None:
    text = (root / "src" / "powderlens" / "diffraction" / "protocols" / f"{name}.toml").read_text()
    done = run("protocol", "show", name)
    assert (done.code, done.out, done.err) == (0, text, "")
    shown = json.loads(run("protocol", "show", name, "--json").out)
    assert shown["text"] == text
    assert shown["deviations"] == list(load_protocol(name).deviations)


def test_an_unknown_name_lists_the_known_ones(run: Callable) -> None:
    done = run("protocol", "show", "labs")
    assert done.code == 2
    for name in ("'labs'", *NAMES):
        assert name in done.complaint


def test_a_file_of_ones_own_is_checked(run: Callable, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = load_protocol("ideal").text
    own.write_text(text)
    assert run("protocol", "show", own).out == text
    own.write_text(text.replace("caglioti_w_deg2 = 0.0025", "caglioti_w_deg2 = 25"))
    done = run("protocol", "show", own)
    assert done.code == 2
    assert done.complaint == (
        f"{own}: profile.caglioti_w_deg2 = 25 degrees^2: must be at least -1 and at most 10 degrees^2"
    )


def test_no_command_shows_the_help(run: Callable) -> None:
    done = run("protocol")
    assert "list" in done.out + done.err
    assert "show" in done.out + done.err
