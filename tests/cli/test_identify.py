"""`powderlens identify`: the answer as JSON, table and picture; batches; and every bad input."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

from powderlens.models.task import crystal_system
from powderlens.symmetry.groups import SYSTEMS

RUTILE, QUARTZ = "examples/rutile.txt", "examples/quartz.txt"
CU = ("--wavelength", "CuKa")

pytestmark = pytest.mark.usefixtures("workplace")


def scan(x: np.ndarray, y: np.ndarray) -> str:
    return "".join(f"{a:g} {b:g}\n" for a, b in zip(x, y, strict=True))


X = np.arange(10.0, 80.0, 0.05)
Y = 1000 * np.exp(-(((X - 30) / 0.1) ** 2)) + 500 * np.exp(-(((X - 45) / 0.1) ** 2)) + 5 + np.sin(37 * X)


def with_value(y: np.ndarray, value: float) -> np.ndarray:
    out = y.copy()
    out[500] = value
    return out


BAD_PATTERNS = {
    "empty": ("", "empty"),
    "spaces": ("\n \n\n", "empty"),
    "not text": (bytes(range(256)) * 20, ""),
    "a letter": ("Dear colleague,\nplease find enclosed the pattern.\n", ""),
    "a web page": ("<html><body>404 not found</body></html>", "XML or HTML"),
    "one column": ("".join(f"{v:g}\n" for v in Y), ""),
    "not monotonic": (scan(np.concatenate([X[:700], X[600:]]), np.concatenate([Y[:700], Y[600:]])), "ascend"),
    "an angle twice": (scan(np.repeat(X, 2), np.repeat(Y, 2)), "twice"),
    "constant": (scan(X, np.full_like(X, 7.0)), "constant"),
    "zero": (scan(X, np.zeros_like(X)), "constant"),
    "NaN": (scan(X, with_value(Y, np.nan)), "not a number"),
    "infinite": (scan(X, with_value(Y, np.inf)), "not a number"),
    "negative angles": (scan(X - 20, Y), "negative"),
    "energies, not angles": (scan(X * 100, Y), "angle"),
    "spacings, not angles": ("# d_A intensity\n" + scan((1.54 / 2 / np.sin(np.radians(X / 2)))[::-1], Y[::-1]), ""),
    "few points": (scan(X[:20], Y[:20]), "20 points"),
}


def write(case: str, name: str = "bad.xy") -> str:
    content = BAD_PATTERNS[case][0]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return BAD_PATTERNS[case][1]


@pytest.mark.parametrize("case", BAD_PATTERNS)
def test_one_bad_file_is_one_line_and_exit_code_2(run: Callable, case: str) -> None:
    words = write(case)
    for more in ([], ["--json"]):
        done = run("identify", "bad.xy", *CU, *more)
        assert done.code == 2
        assert done.complaint.startswith("bad.xy: ")
        assert words in done.complaint


@pytest.mark.parametrize("case", BAD_PATTERNS)
def test_a_bad_file_in_a_batch_is_an_error_object_and_exit_code_1(run: Callable, case: str) -> None:
    words = write(case)
    done = run("identify", RUTILE, "bad.xy", *CU, "--json", "--evidence", "network")
    assert (done.code, done.err) == (1, "")
    good, bad = (json.loads(line) for line in done.out.splitlines())
    assert good["file"] == RUTILE
    assert list(bad) == ["file", "error"]
    assert bad["file"] == "bad.xy"
    assert words in bad["error"]
    assert "\n" not in bad["error"]


def test_there_is_no_silent_copper(run: Callable) -> None:
    Path("bare.xy").write_text(scan(X, Y))
    done = run("identify", "bare.xy")
    assert done.code == 2
    assert "wavelength" in done.complaint
    assert "--wavelength" in done.complaint
    batch = run("identify", "bare.xy", RUTILE, "--json")
    assert "wavelength" in json.loads(batch.out.splitlines()[0])["error"]
    assert batch.code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([RUTILE, "--wavelength", "Cu"], "names an anode but no line"),
        ([RUTILE, "--wavelength", "copper"], "not understood"),
        ([RUTILE, "--wavelength", "0"], "must be positive"),
        ([RUTILE, "--wavelength", "154.06"], "outside"),
        ([RUTILE, *CU, "--evidence", "guess"], "guess"),
        ([RUTILE, *CU, "--model", "prism-2"], "no model 'prism-2'; there are: prism-1"),
        ([RUTILE, *CU, "--model", "none.onnx"], "none.onnx: no such file"),
        ([RUTILE, *CU, "--model", RUTILE], "no model"),
        ([RUTILE, *CU, "--model", "cnn5", "--evidence", "library"], "--model cnn5 has no effect"),
        ([RUTILE, *CU, "--top", "0"], "--top"),
        ([RUTILE, *CU, "--top", "3", "--json"], "--top has no effect"),
        ([RUTILE, *CU, "--evidenc", "all"], "No such option"),
        (["none.xy", *CU], "no such file"),
        (["scans/*.xy", *CU], "no such file"),
        (["examples", *CU], "is a directory"),
        ([], "Missing argument"),
        ([RUTILE, QUARTZ, *CU, "--plot", "both.png"], "2 files need a name each"),
    ],
)
def test_bad_requests(run: Callable, arguments: list[str], words: str) -> None:
    done = run("identify", *arguments)
    assert done.code == 2
    assert words in done.complaint


def test_the_shipped_model_by_its_names(run: Callable) -> None:
    answers = [run("identify", RUTILE, *CU, *name, "--json").out for name in ([], ["--model", "prism.prism-1"])]
    assert answers[0] == answers[1] != ""


def test_a_model_in_a_file(run: Callable, root: Path) -> None:
    """As table, batch, figure and JSON, with a network that knows crystal systems only; and one that reads no mask."""
    write = run_path(str(root / "tests" / "unit" / "models" / "exported.py"))["write_model"]
    masked, plain = (
        write(Path.cwd(), [crystal_system()], name=name, mask=mask)[0].name
        for name, mask in (("masked", True), ("plain", False))
    )
    alone = ("--evidence", "network", "--model", masked)
    said = json.loads(run("identify", RUTILE, *CU, *alone, "--json").out)
    assert (said["model"], said["space_group"], said["lattice_source"]) == ("masked", [], "none")
    text = run("identify", RUTILE, *CU, *alone, "--plot", "answer.svg").out
    assert "no space group is given" in " ".join(text.split())
    assert "reduced cell" not in text
    assert "<svg" in Path("answer.svg").read_text()
    assert run("identify", RUTILE, QUARTZ, *CU, *alone).code == 0
    Path("part.xy").write_text(scan(X[:700], Y[:700]))
    refused = run("identify", "part.xy", *CU, "--evidence", "network", "--model", plain)
    assert refused.code == 2
    assert "reads no mask" in refused.complaint


def test_a_range_in_which_nothing_can_be_seen(run: Callable) -> None:
    Path("far.xy").write_text(scan(0.001 * X, Y))
    done = run("identify", "far.xy", *CU)
    assert done.code == 2
    assert done.complaint.startswith("far.xy: ")
    batch = run("identify", RUTILE, "far.xy", QUARTZ, *CU, "--json")
    assert batch.code == 1
    assert ["error" in json.loads(line) for line in batch.out.splitlines()] == [False, True, False]


def check_answer(said: dict) -> None:
    """The JSON object as the issue writes it; keys may be added."""
    assert {type(said[key]) for key in ("file", "model")} == {str}
    assert type(said["wavelength_A"]) is float
    assert all(isinstance(warning, str) for warning in said["warnings"])
    systems, groups = said["crystal_system"], said["space_group"]
    assert {row["name"] for row in systems} == set(SYSTEMS)
    assert sum(row["probability"] for row in systems) == pytest.approx(1.0, abs=1e-4)
    assert len(groups) >= 10
    assert all(1 <= row["number"] <= 230 and isinstance(row["symbol"], str) for row in groups)
    for rows in (systems, groups):
        shares = [row["probability"] for row in rows]
        assert shares == sorted(shares, reverse=True)
    lattice = said["lattice"]
    assert lattice["cell"] == "niggli"
    for key in ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg"):
        assert 0 < lattice[key] < 1000
    for phase in said["phases"]:
        assert {type(phase[key]) for key in ("name", "formula", "source")} == {str}
        assert 0 <= phase["score"] <= 1


@pytest.mark.parametrize("evidence", ["network", "library", "all"])
def test_an_answer_as_json(run: Callable, evidence: str) -> None:
    done = run("identify", RUTILE, *CU, "--json", "--evidence", evidence)
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert done.out.count("\n") == 1
    check_answer(said)
    assert said["file"] == RUTILE
    assert said["wavelength_A"] == pytest.approx(1.54187, abs=1e-4)
    assert said["crystal_system"][0]["name"] == "tetragonal"
    assert said["space_group"][0]["number"] == 136
    assert bool(said["phases"]) == (evidence != "network")


def test_all_evidence_is_the_default_and_names_the_mineral(run: Callable) -> None:
    one, two = (run("identify", QUARTZ, *CU, "--json", *more).out for more in ([], ["--evidence", "all"]))
    assert one == two
    assert json.loads(one)["phases"][0]["name"] == "Quartz"
    assert "leans on Quartz" in run("identify", QUARTZ, *CU).out


def test_names_and_cells_in_a_header_are_not_used(run: Callable) -> None:
    """The measured points alone, without RRUFF's header, get the same answer."""
    lines = [line for line in Path(RUTILE).read_text().splitlines() if line.strip() and not line.startswith("##")]
    Path("bare.csv").write_text("\n".join(lines) + "\n")
    with_header, bare = (json.loads(run("identify", name, *CU, "--json").out) for name in (RUTILE, "bare.csv"))
    assert {**with_header, "file": ""} == {**bare, "file": ""}


def test_a_table(run: Callable) -> None:
    done = run("identify", RUTILE, *CU, "--top", 3)
    assert (done.code, done.err) == (0, "")
    for words in ("tetragonal", "136", "P42/mnm", "Niggli", "Rutile", "leans on Rutile"):
        assert words in done.out
    assert "\x1b" not in done.out
    assert len(run("identify", RUTILE, *CU, "--top", 8).out.splitlines()) == len(done.out.splitlines()) + 10


def test_a_batch_as_a_table(run: Callable) -> None:
    write("constant")
    done = run("identify", RUTILE, "bad.xy", QUARTZ, *CU)
    assert done.code == 1
    assert [line.split()[0] for line in done.out.splitlines()] == ["file", RUTILE, QUARTZ]
    assert done.err.startswith("powderlens: bad.xy: ")
    assert done.err.count("\n") == 1


def test_a_long_batch_is_answered_in_order_whatever_its_parts(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powderlens.cli.identify.CHUNK", 2)
    write("NaN")
    files = [RUTILE, QUARTZ, "bad.xy", QUARTZ, RUTILE, "none.xy", QUARTZ]
    done = run("identify", *files, *CU, "--json", "--evidence", "network")
    assert done.code == 1
    said = [json.loads(line) for line in done.out.splitlines()]
    assert [row["file"] for row in said] == files
    assert [i for i, row in enumerate(said) if "error" in row] == [2, 5]
    best = [row["space_group"][0]["number"] for row in said if "error" not in row]
    assert best == [136, best[1], best[1], 136, best[1]]


def test_a_batch_answers_as_one_by_one(run: Callable) -> None:
    alone = json.loads(run("identify", QUARTZ, *CU, "--json").out)
    together = json.loads(run("identify", RUTILE, QUARTZ, *CU, "--json").out.splitlines()[1])
    for row, same in zip(alone["space_group"], together["space_group"], strict=True):
        assert row["probability"] == pytest.approx(same["probability"], abs=1e-4)
    assert alone["phases"][0] == together["phases"][0]


@pytest.mark.parametrize("evidence", ["network", "all"])
def test_a_picture(run: Callable, evidence: str) -> None:
    done = run("identify", RUTILE, *CU, "--plot", "out.png", "--evidence", evidence)
    assert (done.code, done.err) == (0, "")
    assert "136" in done.out
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_of_a_batch(run: Callable) -> None:
    Path("pictures").mkdir()
    assert run("identify", RUTILE, QUARTZ, *CU, "--json", "--plot", "pictures").code == 0
    assert {path.name for path in Path("pictures").iterdir()} == {"rutile.png", "quartz.png"}


@pytest.mark.parametrize(("name", "words"), [("out.gif", "use .png"), ("none/out.png", "no directory")])
def test_a_picture_that_cannot_be_written(run: Callable, name: str, words: str) -> None:
    done = run("identify", RUTILE, *CU, "--plot", name, "--evidence", "network")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert words in done.err


def test_a_reader_that_leaves_early_is_no_error(workplace: Path) -> None:
    command = [sys.executable, "-m", "powderlens.cli.main", "identify", QUARTZ, RUTILE, *CU, "--json"]
    with subprocess.Popen(command, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == ""
        assert program.wait(timeout=1200) == 1


def test_an_interruption_is_exit_code_130(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("powderlens.pattern.read.read_pattern", interrupt)
    done = run("identify", RUTILE, *CU)
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_mistake_of_ours_is_not_hidden(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("powderlens.pattern.read.read_pattern", fail)
    with pytest.raises(ZeroDivisionError):
        run("identify", RUTILE, *CU)


def test_version_and_help(run: Callable) -> None:
    import powderlens

    assert run("--version").out == f"powderlens {powderlens.__version__}\n"
    for words in ([], ["--help"], ["identify", "--help"], ["simulate", "-h"]):
        done = run(*words)
        assert done.code == 0
        assert "Usage" in done.out


def test_nothing_but_one_line_reaches_the_terminal(run_apart: Callable, workplace: Path) -> None:
    done = run_apart("identify", "none.xy", *CU, cwd=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "powderlens: none.xy: no such file; check the name\n"
