"""docs/OWN_NETWORK.md, block by block, from a class in a file to a measured mineral that it is asked about."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.models import own as own_networks
from powderlens.models.runtime import load_model
from powderlens.models.weights import weights_of
from powderlens.train import own as own_losses

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "OWN_NETWORK.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(?:# (\S+)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore::UserWarning")
Run = Callable[..., Any]
ALONE = ["--workers", "0", "--threads", "1"]
QUICK = {
    "crystals": ["--workers", "1"],
    "corpus": ["--workers", "1"],
    "train": ALONE,
    "evaluate": [*ALONE, "--no-timing"],
}
"""What the page leaves to the machine: a test is alone in its process."""


def forget() -> None:
    """Of the user's module, as a new process would."""
    sys.modules.pop("my_networks", None)
    own_networks._KNOWN.clear()
    own_losses._KNOWN.clear()


@pytest.fixture
def here(workplace: Path) -> Iterator[Path]:
    """A folder in which the page's files lie."""
    forget()
    for _, name, text in BLOCKS:
        if name:
            Path(name).write_text(text)
    yield workplace
    forget()


def commands() -> list[list[str]]:
    text = "\n".join(text for language, _, text in BLOCKS if language == "sh").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def test_the_page(here: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert [words[1] for words in commands()] == ["crystals", "corpus", "train", "evaluate", "export", "identify"]
    for words in commands():
        forget()
        quick = QUICK.get(words[1], [])
        if words[1] in ("evaluate", "export"):
            refused = run(*words[1 : words.index("--network")])
            assert refused.code == 2
            assert "only if the command line names it too; if you trust it, add --network my_networks:Slopes" in (
                refused.complaint
            )
        done = run(*words[1:], *quick)
        assert done.code == 0, done.err
    assert "rutile" in done.out
    assert "my_networks" not in sys.modules, "asking an exported network imports nothing of its module"
    record = json.loads(next(Path("records").glob("*.json")).read_text())
    assert record["network"] == "my_networks:Slopes"
    recipe = json.loads(Path("runs/slopes/run.json").read_text())["recipe"]
    assert recipe["tasks"]["space_group"]["loss"] == {"kind": "own", "name": "my_networks:confident", "settings": {}}
    assert sorted(path.name for path in Path("models").iterdir()) == [
        f"slopes-1.{e}" for e in ("json", "onnx", "safetensors")
    ]
    model = load_model("models/slopes-1.onnx")
    weights = weights_of(model.card)
    assert model.card.id == "my_networks:Slopes.slopes-1"
    assert weights.tasks[1].classes == (62, 136, 225)
    assert (weights.mask, weights.floor) == (True, True)
    said = run("identify", "examples/rutile.txt", "--wavelength", "CuKa", "--evidence", "network", "--json",
               "--model", "models/slopes-1.onnx")  # fmt: skip
    answer = json.loads(said.out)
    assert answer["model"] == "slopes-1"
    assert sum(one["probability"] for one in answer["space_group"][:3]) == pytest.approx(1.0, abs=1e-5)
    assert any("knows 3 of the 230" in warning for warning in answer["warnings"])
    shown = run("models", "show", "models/slopes-1.onnx")
    assert "space_group (3)" in shown.out
    code = next(text for language, name, text in BLOCKS if language == "python" and not name)
    capsys.readouterr()
    exec(code, {})
    assert "'space_group': (2, 3)" in capsys.readouterr().out
    with np.errstate(all="raise"):
        assert np.isfinite(model(np.zeros((1, model.grid.points), np.float32))["lattice"]).all()
