"""`powderlens evaluate RECIPE|CHECKPOINT --on CORPUS`: trained once, asked often, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")

PROTOCOL = """
name = "coarse"
summary = "Broad lines on a coarse grid"
citation = "made for tests"
scale = 100.0

[grid]
start_deg = 10.0
step_deg = 0.1
points = 701
wavelength_A = 1.5405929

[profile]
shape = "gaussian"
size_shape = "gaussian"
caglioti_w_deg2 = 0.04
crystallite_size_nm = { uniform = [10.0, 100.0] }
"""

RECIPE = """
format = 2
name = "tiny"
seed = 5
batch = 8

[network]
name = "cnn5"
size = "small"

[tasks.crystal_system]
loss = { kind = "cross_entropy" }

[data]
kind = "corpus"

[optimiser]
kind = "adam"
learning_rate = 1e-3

[schedule]
kind = "constant"

[limits]
steps = 4
"""


@pytest.fixture(scope="module")
def corpus(minerals: dict[str, Structure], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven minerals x 5 in-library."""
    from powderlens.corpus.store.build import build_corpus
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

    folder = tmp_path_factory.mktemp("corpus")
    (folder / "coarse.toml").write_text(PROTOCOL)
    rows = [crystal_row(find_symmetry(mineral)) for mineral in minerals.values()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "minerals.parquet")
    how: dict[str, Any] = {"protocol": str(folder / "coarse.toml"), "per_crystal": 5, "workers": 1}
    build_corpus(folder / "minerals.parquet", folder / "known", split="in-library", **how)
    return folder / "known"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Four steps."""
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


def test_a_recipe_is_trained_once_and_asked(
    run: Callable[..., Any], recipe: Path, corpus: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records"
    words = ("--on", corpus, "--output", records, "--workers", 0, "--threads", 1, "--no-timing")
    made = run("evaluate", recipe, *words, "--loss", "focal=3", "--task", "space_group", "--json")
    assert made.code == 0, made.err
    told = json.loads(made.out)
    name = "cnn5-small-space_group-focal3-known-in-library-s5"
    assert (told["name"], told["protocol"], told["loss"]) == (name, "in-library", {"space_group": "focal=3"})
    assert (told["training"]["steps"], told["tested"]["patterns"]) == (4, 7)
    assert told["command"] == (
        "powderlens evaluate tiny.toml --on known --task space_group --loss focal=3 --output FOLDER"
    )
    text = (records / f"{name}.json").read_text()
    assert str(tmp_path) not in text
    assert (records / f"{name}.parquet").is_file()
    trained = records / "runs" / "cnn5-small-space_group-focal3-known-s5"
    before = (trained / "last.ckpt").stat().st_mtime_ns
    again = run("evaluate", trained, *words)
    assert again.code == 0, again.err
    assert "test of known, in-library; 7 patterns" in again.out.replace("\n", " ")
    assert "7 of 7" in again.out
    assert (trained / "last.ckpt").stat().st_mtime_ns == before
    refused = run("evaluate", trained, *words, "--seed", 3)
    assert (refused.code, "trained already; --seed is for recipes" in refused.complaint) == (2, True)
    part = run("evaluate", trained, "--on", f"{corpus}:train", *words[2:], "--json")
    assert json.loads(part.out)["protocol"] == "listed"


def test_search_match_needs_no_training(run: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    words = ("evaluate", "search-match", "--on", corpus, "--output", tmp_path, "--no-timing")
    made = run(*words, "--window", 0.01, "--task", "space_group", "--json")
    assert made.code == 0, made.err
    [told] = json.loads(made.out)
    assert (told["network"], told["protocol"], told["tested"]["patterns"]) == ("search-match", "in-library", 7)
    assert told["command"] == (
        "powderlens evaluate search-match --on known --task space_group --window 0.01 --output FOLDER"
    )
    shown = run(*words)
    assert shown.code == 0, shown.err
    assert "7 of 7" in shown.out
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        f"search-match-{task}-known-in-library.json" for task in ("crystal_system", "space_group")
    ]
    refused = run(*words, "--task", "lattice")
    assert refused.code == 2
    assert refused.complaint == "task 'lattice': search-match answers space_group and crystal_system"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("none.toml",), "none.toml: No such file or directory"),
        (("none",), "none: no such run or checkpoint"),
        (("{recipe}", "--network", "cnn12"), "no network 'cnn12'"),
        (("{recipe}", "--protocol", "honest"), "protocol 'honest': there are in-library"),
        (("{recipe}", "--on", "nowhere"), "nowhere: no such corpus"),
        (("{recipe}", "--on", "{corpus}:exam"), "no part 'exam'; it has train, validation, test"),
        (("{prism}",), "has learnt crystals patterns, of crystals that cannot be compared with these"),
        (("{words}",), "not the folder of a run, or a checkpoint outside of it"),
    ],
)
def test_what_is_refused(
    run: Callable[..., Any],
    recipe: Path,
    corpus: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    complaint: str,
) -> None:
    (tmp_path / "words.txt").write_text("words")
    places = {"recipe": recipe, "corpus": corpus, "prism": "prism", "words": tmp_path / "words.txt"}
    filled = [word.format(**places) for word in words]
    where = () if "--on" in words else ("--on", corpus)
    refused = run("evaluate", *filled, *where, "--output", tmp_path / "records")
    assert refused.code == 2
    assert complaint in refused.complaint
    assert not (tmp_path / "records").exists()


def test_the_other_commands_stay(run: Callable[..., Any]) -> None:
    listed = run("evaluate", "--help").out
    assert all(name in listed for name in ("network", "measured", "held-out", "realism"))
    assert "Measured patterns" in run("evaluate", "realism", "--help").out
    assert "CORPUS[:PART]" in run("evaluate", "network", "--help").out
    assert run("evaluate", "some-run").complaint.startswith("Missing option '--on'")
