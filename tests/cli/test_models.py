"""`powderlens models`: the list, a card, a count."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from powderlens.models.registry import NAMES, card

NO_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "scipy"):
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
"""


def test_the_list_has_a_line_for_each(run: Callable) -> None:
    done = run("models", "list")
    assert (done.code, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert head.split()[:3] == ["network", "points", "parameters"]
    named = [row.split()[0] for row in rows if not row.startswith(" ")]
    assert named == [*NAMES]
    row = next(row for row in rows if row.startswith("resnet10 "))
    assert row.split()[1:4] == ["8501", "9,416,870", "541"]
    assert next(row for row in rows if row.startswith("mlp ")).split()[4] == "yes"


def test_the_list_as_json(run: Callable) -> None:
    done = run("models", "list", "--json")
    assert done.out.count("\n") == 1
    found = json.loads(done.out)
    assert [one["name"] for one in found] == [*NAMES]
    for one in found:
        assert set(one) >= {"paper", "source_licence", "points", "preprocessing", "parameters", "trained_on", "faults"}
        assert set(one["preprocessing"]) == {"name", "text"}


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (["resnet10", "--classes", "145", "--points", "8501"], 9_395_025),
        (["park_cnn_big", "--classes", "145"], 4_959_585),
        (["cnn5", "--classes", "7"], 127_270),
        (["cnn5", "--classes", "7", "--as-published"], 12_727),
        (["cnn5", "--classes", "7", "--size", "small"], 38_181),
    ],
)
def test_show_counts(run: Callable, arguments: list[str], parameters: int) -> None:
    done = run("models", "show", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    shown = json.loads(done.out)
    assert shown["name"] == arguments[0]
    assert shown["parameters"] == parameters
    assert shown["built"]["classes"] == int(arguments[2])
    assert f" {parameters:,}" in run("models", "show", *arguments).out.splitlines()[-1]


def test_show_prints_the_card(run: Callable) -> None:
    known = card("mlp")
    done = run("models", "show", "mlp")
    for text in (known.title, known.paper, known.grid, known.trained_on, known.small, *known.faults, *known.notes):
        assert text in done.out
    assert "98,829,730" in done.out


@pytest.mark.parametrize("name", ["prism-1", "prism.prism-1"])
def test_show_prints_the_card_of_weights(run: Callable, name: str) -> None:
    text = run("models", "show", name).out
    for words in ("prism.prism-1: ", "4250 points, 5 to 89.98 degrees", "space_group (230)", "4,718,899", "step 8,500"):
        assert words in text
    shown = json.loads(run("models", "show", name, "--json").out)
    assert shown["name"] == "prism.prism-1"
    assert shown["weights"]["grid"]["points"] == 4250


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx"], ["none.onnx: no such file"]),
        (["nix:Net"], ["nix:Net: no module 'nix'"]),
        (["resnet-5"], ["'resnet-5'", "resnet50"]),
        (["mlp", "--as-published", "--points", "8501"], ["3501 points only", "8501"]),
        (["cnn9", "--as-published"], ["as_published has no effect"]),
        (["alphadiffract", "--points", "1000"], ["1000 points is too short", "1555"]),
        (["cnn1", "--classes", "1"], ["--classes", "greater than or equal to 2"]),
    ],
)
def test_refused(run: Callable, arguments: list[str], words: list[str]) -> None:
    done = run("models", "show", *arguments)
    assert done.code == 2
    for word in words:
        assert word in done.complaint


def without_torch(call: str) -> str:
    code = f"{NO_TORCH}\nfrom powderlens.cli.models import list_networks, show\n{call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1200, check=True).stdout


def test_without_torch_the_card_is_shown_and_the_count_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    call = "show('cnn1', classes=230, points=None, as_published=False, as_json={})"
    call = "import powderlens.cli.models as m; m.find_spec = lambda name: None; " + call
    text = without_torch(call.format(False))
    assert "Park 2017" in text
    assert text.rstrip().endswith("counting needs torch: pip install 'powderlens[train]'")
    assert json.loads(without_torch(call.format(True)))["parameters"] is None


def test_without_torch_the_list_is_whole() -> None:
    assert len(json.loads(without_torch("list_networks(as_json=True)"))) == len(NAMES)
