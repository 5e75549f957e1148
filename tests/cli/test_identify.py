"""`powderlens identify`: the answer as JSON, table and picture; batches; and every bad input."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

from powderlens.crystal.common import common_minerals
from powderlens.crystal.formats.cif_write import write_cif
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.read import read_structure
from powderlens.diffraction.simulate import simulate
from powderlens.identification.standard import standards
from powderlens.models.task import crystal_system
from powderlens.symmetry.groups import SYSTEM_OF, SYSTEMS

RUTILE, QUARTZ = "examples/rutile.txt", "examples/quartz.txt"
CU = ("--wavelength", "CuKa")
NETWORK = ("--evidence", "network")

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def ask(run: Callable, small_library: Path) -> Callable:
    """`run` with the 25 common minerals in the place of the library that ships."""

    def call(command: str, *arguments: object) -> tuple:
        return run(command, *arguments, "--library", small_library, "--only-library")

    return call


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
    done = run("identify", "bad.xy", *CU, "--evidence", "network")
    assert done.code == 2
    assert done.complaint.startswith("bad.xy: ")
    assert words in done.complaint


@pytest.mark.parametrize("case", ["empty", "NaN"])
def test_one_bad_file_as_json_is_the_object_of_a_batch(run: Callable, case: str) -> None:
    words = write(case)
    alone = run("identify", "bad.xy", *CU, "--evidence", "network", "--json")
    batch = run("identify", "bad.xy", RUTILE, *CU, "--evidence", "network", "--json")
    assert (alone.code, alone.err, batch.code) == (2, "", 1)
    assert alone.out == batch.out.splitlines(keepends=True)[0]
    said = json.loads(alone.out)
    assert list(said) == ["file", "error"]
    assert words in said["error"]


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
    done = run("identify", "bare.xy", "--evidence", "network")
    assert done.code == 2
    assert "wavelength" in done.complaint
    assert "--wavelength" in done.complaint
    batch = run("identify", "bare.xy", RUTILE, "--json", "--evidence", "network")
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
        ([RUTILE, *CU, "--elements", "Si,O", *NETWORK], "--elements has no effect with --evidence network"),
        ([RUTILE, *CU, "--max-phases", "1", *NETWORK], "--max-phases has no effect"),
        ([RUTILE, *CU, "--phase", "examples/quartz.cif", *NETWORK], "--phase has no effect"),
        ([RUTILE, *CU, "--max-phases", "5"], "--max-phases"),
        ([RUTILE, *CU, "--max-strain", "3"], "max strain 3: 0.002 to 0.15, relative"),
        ([RUTILE, *CU, "--time-limit", "0"], "time limit 0 s must be positive"),
        ([RUTILE, *CU, "--geometry", "capillary", *NETWORK], "--geometry has no effect"),
        ([RUTILE, *CU, "--geometry", "sideways"], "--geometry"),
        ([RUTILE, *CU, "--monochromator", "180"], "give its 2theta, above 0 and below 180"),
        ([RUTILE, *CU, "--standard", "salt"], "standard 'salt': choose one of Si, LaB6"),
        ([RUTILE, *CU, "--standard", "Si=120"], "give its per cent of the weight"),
        ([RUTILE, *CU, "--instrument", RUTILE], "examples/rutile.txt: a pattern of none of the standards Si, LaB6"),
        ([RUTILE, *CU, "--only-library"], "give --library FILE too"),
        ([RUTILE, *CU, "--library", "none.phases", "--only-library"], "none.phases: no such library"),
        ([RUTILE, *CU, "--library", RUTILE, "--only-library"], "not a library of phases"),
        ([RUTILE, *CU, *NETWORK, "--range", "80-20"], "--range 80-20: the first angle must lie below the last"),
        ([RUTILE, *CU, *NETWORK, "--range", "20"], "such as 20-80"),
        ([RUTILE, *CU, *NETWORK, "--range", "100-120"], "leave 0, and 50 are needed"),
        ([RUTILE, *CU, *NETWORK, "--exclude", "3-170"], "leave 0, and 50 are needed"),
        ([RUTILE, *CU, *NETWORK, "--output", "answer.txt"], "is not written as '.txt'; use .json, .csv or .cif"),
        ([RUTILE, *CU, *NETWORK, "--output", "none/answer.csv"], "no directory none"),
        ([RUTILE, *CU, *NETWORK, "--axis", "log"], "--axis has no effect without --plot"),
        ([RUTILE, *CU, "--model", "cnn5", "--evidence", "library"], "--model cnn5 has no effect"),
        ([RUTILE, *CU, "--top", "0"], "--top"),
        ([RUTILE, *CU, "--top", "3", "--json"], "--top has no effect"),
        ([RUTILE, *CU, "--evidenc", "all"], "No such option"),
        (["none.xy", *CU, *NETWORK], "no such file"),
        (["scans/*.xy", *CU, *NETWORK], "no such file"),
        (["examples", *CU, *NETWORK], "is a directory"),
        ([], "Missing argument"),
        ([RUTILE, QUARTZ, *CU, "--plot", "both.png"], "2 files need a name each"),
    ],
)
def test_bad_requests(run: Callable, arguments: list[str], words: str) -> None:
    done = run("identify", *arguments)
    assert done.code == 2
    assert words in done.complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--elements", "Si,Xx"], "element 'Xx' does not exist; give symbols such as Si,O,Al"),
        (["--elements", ","], "--elements: no element"),
        (["--elements", "Au"], "exclude every phase of the library"),
        (["--with-elements", "Si", "--without-elements", "O"], "exclude every phase of the library"),
        (["--phase", "none.cif"], "none.cif: no such file"),
        (["--phase", "examples/quartz.cif", "--phase", "examples/quartz.cif"], "give each phase once"),
        (["--range", "5-20", "--max-phases", "3"], "lines in the range do not tell 3 phases apart; ask for fewer"),
        (["--range", "19-28", "--elements", "Mg,O"], "no phase of the library has its lines between 19 and 28 degrees"),
    ],
)
def test_bad_requests_of_the_library(ask: Callable, arguments: list[str], words: str) -> None:
    """None of them is a traceback, and each says what to do."""
    done = ask("match", QUARTZ, *CU, *arguments)
    assert done.code == 2
    assert words in done.complaint


def test_the_shipped_model_by_its_names(run: Callable) -> None:
    answers = [
        run("identify", RUTILE, *CU, *NETWORK, *name, "--json").out for name in ([], ["--model", "prism.prism-1"])
    ]
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
    done = run("identify", "far.xy", *CU, *NETWORK)
    assert done.code == 2
    assert done.complaint.startswith("far.xy: ")
    batch = run("identify", RUTILE, "far.xy", QUARTZ, *CU, *NETWORK, "--json")
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
    assert systems[0]["name"] == SYSTEMS[SYSTEM_OF[groups[0]["number"]]]
    for rows in (systems[1:], groups):
        shares = [row["probability"] for row in rows]
        assert shares == sorted(shares, reverse=True)
    lattice = said["lattice"]
    assert lattice["cell"] == "niggli"
    for key in ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg"):
        assert 0 < lattice[key] < 1000
    for phase in said["phases"]:
        assert {type(phase[key]) for key in ("name", "formula", "source")} == {str}
        assert 0 <= phase["score"] <= 1


@pytest.mark.parametrize("evidence", ["library", "all"])
def test_an_answer_as_json(ask: Callable, evidence: str) -> None:
    done = ask("identify", RUTILE, *CU, "--json", "--evidence", evidence)
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert done.out.count("\n") == 1
    check_answer(said)
    assert said["file"] == RUTILE
    assert said["wavelength_A"] == pytest.approx(1.54187, abs=1e-4)
    assert said["crystal_system"][0]["name"] == "tetragonal"
    assert said["space_group"][0]["number"] == 136
    assert (said["cell"]["source"], said["cell"]["centring"], said["leans_on"]) == ("Rutile", "P", "Rutile")


def test_a_network_alone_as_json(run: Callable) -> None:
    said = json.loads(run("identify", RUTILE, *CU, "--json", *NETWORK).out)
    check_answer(said)
    assert (said["phases"], said["cell"], said["leans_on"], said["lattice_source"]) == ([], None, None, "network")


def test_all_evidence_is_the_default_and_names_the_mineral(ask: Callable) -> None:
    one, two = (ask("identify", QUARTZ, *CU, "--json", *more).out for more in ([], ["--evidence", "all"]))
    assert one == two
    assert json.loads(one)["phases"][0]["name"] == "Quartz"
    assert "leans on Quartz" in ask("identify", QUARTZ, *CU).out


def test_match_is_identify_with_the_library_alone(ask: Callable) -> None:
    match = ask("match", QUARTZ, *CU, "--json")
    assert match == ask("identify", QUARTZ, *CU, "--json", "--evidence", "library")
    assert json.loads(match.out)["model"] == "none"


def test_names_and_cells_in_a_header_are_not_used(ask: Callable) -> None:
    """The measured points alone, without RRUFF's header, get the same answer."""
    lines = [line for line in Path(RUTILE).read_text().splitlines() if line.strip() and not line.startswith("##")]
    Path("bare.csv").write_text("\n".join(lines) + "\n")
    with_header, bare = (json.loads(ask("identify", name, *CU, "--json").out) for name in (RUTILE, "bare.csv"))
    assert {**with_header, "file": ""} == {**bare, "file": ""}


def test_a_table(ask: Callable) -> None:
    done = ask("identify", RUTILE, *CU)
    assert (done.code, done.err) == (0, "")
    for words in ("tetragonal", "136", "P42/mnm", "of Rutile, refined; Rwp", "TiO2", "weight %", "leans on Rutile"):
        assert words in done.out
    assert re.search(r"a 4\.5\d+\(\d+\) +b 4\.5\d+\(\d+\) +c 2\.9\d+\(\d+\) A", done.out)
    assert re.search(r"volume 62\.\d+\(\d+\) A\^3, primitive", done.out)
    assert re.search(r"explained \d\d % of the intensity", done.out)
    assert "\x1b" not in done.out
    three, eight = (ask("identify", RUTILE, *CU, "--top", count).out.splitlines() for count in (3, 8))
    assert len(eight) > len(three) + 5


def test_a_table_of_a_mixture_on_a_narrow_terminal(ask: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off, and a long path does not break it."""
    monkeypatch.setattr("powderlens.cli.console.PIPED_WIDTH", 60)
    name = "a-" + "very-" * 30 + "long-name.xy"
    mixture(name)
    out = ask("match", name, *CU).out
    assert max(map(len, out.splitlines())) <= 60
    assert name in "".join(out.split("\n")[:5]).replace(" ", "")
    table = [line for line in out.splitlines() if line.startswith(("Calcite", "Quartz", "Halite"))]
    assert len(table) == 3
    for line, formula in zip(sorted(table), ("CaCO3", "NaCl", "SiO2"), strict=True):
        assert formula in line
        assert re.search(r"\d(\.\d)?\(\d+\)", line), "weight fraction with its uncertainty"


def mixture(name: str) -> None:
    """Calcite, quartz and halite in counts, as copper shows them."""
    minerals = {one.name: one for one in common_minerals()}
    total = np.zeros(0)
    for mineral, weight in {"Calcite": 1.0, "Quartz": 0.7, "Halite": 0.3}.items():
        pattern = simulate(minerals[mineral], "CuKa", two_theta_deg=(15.0, 75.0))
        part = weight * pattern.intensity / pattern.intensity.max()
        total = total + part if len(total) else part
    counts = np.random.default_rng(1).poisson(5000 * total / total.max() + 40).astype(float)
    Path(name).write_text(scan(pattern.two_theta_deg, counts))


def test_what_is_amorphous(ask: Callable) -> None:
    """A standard of known weight tells; fractions are of the whole then."""
    write_standard("spiked.xy")
    said = json.loads(ask("match", "spiked.xy", *CU, "--standard", "Si=20", "--geometry", "reflection", "--json").out)
    inside = {phase["name"]: phase["fraction"] for phase in said["phases"] if phase["fraction"] is not None}
    assert inside["Silicon"] == pytest.approx(0.2, abs=1e-3)
    assert sum(inside.values()) + said["amorphous"] == pytest.approx(1.0, abs=2e-3)
    assert "amorphous" in ask("match", "spiked.xy", *CU, "--standard", "Si=20").out


def write_standard(name: str) -> None:
    """Calcite and silicon."""
    calcite = next(one for one in common_minerals() if one.name == "Calcite")
    parts = [simulate(one, "CuKa", two_theta_deg=(15, 75)) for one in (calcite, standards()["Si"])]
    y = parts[0].intensity + 1.5 * parts[1].intensity
    counts = np.random.default_rng(1).poisson(50 * y + 40).astype(float)
    Path(name).write_text(scan(parts[0].two_theta_deg, counts))


def test_what_is_the_rest(ask: Callable) -> None:
    """Phases that are given are in every candidate, by their own atoms."""
    mixture("mix.xy")
    minerals = {one.name: one for one in common_minerals()}
    for mineral in ("Halite", "Quartz"):
        write_cif(minerals[mineral], f"{mineral}.cif")
    done = ask("match", "mix.xy", *CU, "--phase", "Halite.cif", "--phase", "Quartz.cif", "--json")
    said = json.loads(done.out)
    inside = {phase["name"]: phase for phase in said["phases"] if phase["fraction"] is not None}
    assert set(inside) == {"Calcite", "Quartz", "Halite"}
    assert {inside[name]["source"] for name in ("Quartz", "Halite")} == {"given:Quartz.cif", "given:Halite.cif"}
    assert sum(phase["fraction"] for phase in inside.values()) == pytest.approx(1.0, abs=1e-3)
    assert said["space_group"][0]["number"] == 167, "of the strongest phase"
    only = json.loads(ask("match", "mix.xy", *CU, "--phase", "Halite.cif", "--max-phases", 1, "--json").out)
    assert [phase["name"] for phase in only["phases"]] == ["Halite"]
    assert only["explained"] < 0.5
    assert len(only["unexplained_peaks"]) > 5
    write_cif(minerals["Periclase"], "periclase.cif")
    done = ask("match", "mix.xy", *CU, "--phase", "periclase.cif", "--range", "20-33")
    assert done.code == 2
    assert re.search("Periclase: no reflection .*: it is given, and cannot show", done.complaint)


def test_elements_choose_among_the_phases(ask: Callable) -> None:
    for option, wanted in (("--elements", "Ti,O"), ("--with-elements", "ti o"), ("--without-elements", "Si,Fe,Al")):
        said = json.loads(ask("match", RUTILE, *CU, option, wanted, "--json").out)
        assert said["phases"][0]["name"] == "Rutile"
        formulas = {phase["formula"] for phase in said["phases"]}
        assert not any("Si" in formula for formula in formulas)
        if option != "--without-elements":
            assert formulas == {"TiO2"}


def test_what_is_excluded_has_no_say(ask: Callable) -> None:
    """A line that nothing explains, and a range without it, by which the answer is that of the clean pattern."""
    rows = np.array([line.split(",") for line in Path(QUARTZ).read_text().splitlines() if re.match(r"\d", line)], float)
    rows[:, 1] += 0.4 * rows[:, 1].max() * np.exp(-(((rows[:, 0] - 30) / 0.08) ** 2))
    Path("dirty.xy").write_text(scan(*rows.T))
    dirty, clean = (
        json.loads(ask("match", "dirty.xy", *CU, "--elements", "Si,O", "--json", *more).out)
        for more in ([], ["--exclude", "29.3-30.7", "--range", "10-80"])
    )
    assert [round(peak["two_theta_deg"]) for peak in dirty["unexplained_peaks"][:1]] == [30]
    assert not any(29 < peak["two_theta_deg"] < 31 for peak in clean["unexplained_peaks"])
    assert clean["phases"][0]["name"] == "Quartz"
    assert clean["explained"] > dirty["explained"] + 0.02


def test_a_search_that_is_cut_short_says_so(ask: Callable) -> None:
    said = json.loads(ask("match", QUARTZ, *CU, "--time-limit", "1e-9", "--json").out)
    assert any("cut short after 1e-09 s" in warning for warning in said["warnings"])
    assert len(said["phases"]) == 1, "the first that was tried"
    whole = json.loads(ask("match", QUARTZ, *CU, "--time-limit", 600, "--json").out)
    assert not any("cut short" in warning for warning in whole["warnings"])


def test_answers_as_files(ask: Callable) -> None:
    """JSON, the profile in columns, and the best phases as a CIF that can be read."""
    alone = json.loads(ask("match", QUARTZ, *CU, "--json", "--output", "one.json").out)
    assert json.loads(Path("one.json").read_text()) == alone
    ask("match", QUARTZ, *CU, "--output", "one.csv")
    text = Path("one.csv").read_text().splitlines()
    assert text[2] == "two_theta_deg,observed,calculated,background,difference"
    x, observed, calculated, background, difference = np.array([line.split(",") for line in text[3:]], float).T
    assert (np.diff(x) > 0).all()
    assert difference == pytest.approx(observed - calculated, abs=1e-4 * observed.max())
    assert (calculated >= background - 1e-6 * observed.max()).all()
    assert abs(x[calculated.argmax()] - x[observed.argmax()]) < 0.1
    ask("match", QUARTZ, *CU, "--output", "one.cif")
    assert re.search(r"_cell_length_a +4\.91\d+\(\d+\)", Path("one.cif").read_text())
    found = find_symmetry(read_structure("one.cif"))
    assert (found.number, found.standard.formula) == (152, "O2Si")
    assert found.standard.cell[0] == pytest.approx(alone["cell"]["a_A"], abs=2e-3)


def test_a_batch_as_files(ask: Callable) -> None:
    write("constant")
    files = (RUTILE, "bad.xy", QUARTZ)
    assert ask("match", *files, *CU, "--output", "all.csv", "--json", "--max-phases", 1).code == 1
    with open("all.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["file"] for row in rows] == list(files)
    assert [row["phases"] for row in rows] == ["Rutile", "", "Quartz"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert float(rows[2]["c_A"]) == pytest.approx(5.405, abs=0.01)
    assert ask("match", *files, *CU, "--output", "all.json").code == 1
    assert ["error" in row for row in json.loads(Path("all.json").read_text())] == [False, True, False]
    assert ask("match", RUTILE, QUARTZ, *CU, "--output", "all.cif", "--max-phases", 1).code == 0
    assert re.findall(r"^data_(.*)$", Path("all.cif").read_text(), re.MULTILINE) == ["rutile_Rutile", "quartz_Quartz"]


def test_what_has_no_profile_is_not_written_as_one(run: Callable) -> None:
    for name, words in (("a.csv", "no phase was fitted"), ("a.cif", "no known phase")):
        done = run("identify", RUTILE, *CU, *NETWORK, "--output", name)
        assert done.code == 2
        assert words in done.err
        assert not Path(name).exists()


def test_a_batch_as_a_table(ask: Callable) -> None:
    write("constant")
    done = ask("identify", RUTILE, "bad.xy", QUARTZ, *CU)
    assert done.code == 1
    assert [line.split()[0] for line in done.out.splitlines()] == ["file", RUTILE, QUARTZ]
    assert re.search(r"Quartz +\d\d%", done.out)
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


def test_a_batch_answers_as_one_by_one(ask: Callable) -> None:
    alone = json.loads(ask("identify", QUARTZ, *CU, "--json").out)
    together = json.loads(ask("identify", RUTILE, QUARTZ, *CU, "--json").out.splitlines()[1])
    for row, same in zip(alone["space_group"], together["space_group"], strict=True):
        assert row["probability"] == pytest.approx(same["probability"], abs=1e-4)
    for key, value in alone["phases"][0].items():
        same = together["phases"][0][key]
        assert value == same or value == pytest.approx(same, abs=1e-4)
    assert alone["cell"]["c_A"] == pytest.approx(together["cell"]["c_A"], abs=1e-4)


@pytest.mark.parametrize("axis", ["sqrt", "linear", "log"])
def test_a_picture(ask: Callable, axis: str) -> None:
    done = ask("match", RUTILE, *CU, "--plot", "out.svg", "--axis", axis, "--exclude", "30-32")
    assert (done.code, done.err) == (0, "")
    assert "136" in done.out
    drawn = Path("out.svg").read_text()
    assert "<svg" in drawn
    assert "difference" in drawn


def test_a_picture_of_a_network_alone(run: Callable) -> None:
    assert run("identify", RUTILE, *CU, "--plot", "out.png", *NETWORK).code == 0
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_of_a_batch(run: Callable) -> None:
    Path("pictures").mkdir()
    assert run("identify", RUTILE, QUARTZ, *CU, *NETWORK, "--json", "--plot", "pictures").code == 0
    assert {path.name for path in Path("pictures").iterdir()} == {"rutile.png", "quartz.png"}


@pytest.mark.parametrize(("name", "words"), [("out.gif", "use .png"), ("none/out.png", "no directory")])
def test_a_picture_that_cannot_be_written(run: Callable, name: str, words: str) -> None:
    done = run("identify", RUTILE, *CU, "--plot", name, "--evidence", "network")
    assert done.code == 2
    assert words in done.complaint, "before anything is asked"


def test_a_reader_that_leaves_early_is_no_error(workplace: Path) -> None:
    command = [sys.executable, "-m", "powderlens.cli.main", "identify", QUARTZ, RUTILE, *CU, *NETWORK, "--json"]
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
    done = run("identify", RUTILE, *CU, *NETWORK)
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_mistake_of_ours_is_not_hidden(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("powderlens.pattern.read.read_pattern", fail)
    with pytest.raises(ZeroDivisionError):
        run("identify", RUTILE, *CU, *NETWORK)


def test_version_and_help(run: Callable) -> None:
    import powderlens

    assert run("--version").out == f"powderlens {powderlens.__version__}\n"
    for words in ([], ["--help"], ["identify", "--help"], ["match", "--help"], ["simulate", "-h"]):
        done = run(*words)
        assert done.code == 0
        assert "Usage" in done.out


def test_nothing_but_one_line_reaches_the_terminal(run_apart: Callable, workplace: Path) -> None:
    done = run_apart("identify", "none.xy", *CU, *NETWORK, cwd=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "powderlens: none.xy: no such file; check the name\n"
