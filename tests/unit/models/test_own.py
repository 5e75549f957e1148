"""Networks from outside the package: found by entry point or by module and attribute, and never imported unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.models import own
from powderlens.models.registry import build, card, check_build, count_parameters, resolve
from powderlens.models.task import crystal_system, lattice

CODE = '''
from pathlib import Path
import torch
from torch import nn

Path("imported").touch()

class Mean(nn.Module):
    """Means of so many pieces.

    Nothing else.
    """

    options = ("pieces",)
    preprocessing = "max100"
    min_points = 10

    def __init__(self, points, pieces=5):
        super().__init__()
        self.features = self.pieces = pieces

    def forward(self, x_BCL):
        return nn.functional.adaptive_avg_pool1d(x_BCL, self.pieces).flatten(1)

class Both(Mean):
    channels = 2
    points = 50

    def __init__(self, points):
        super().__init__(points)
        assert points == 50
        self.features = 10

    @staticmethod
    def head(features, outputs):
        return nn.Sequential(nn.Linear(features, 3), nn.Linear(3, outputs))

    @staticmethod
    def cell(raw_B6):
        return 4 + 0 * raw_B6

class NoFeatures(Mean):
    def __init__(self, points):
        super().__init__(points)
        self.features = 7

class NoArgument(nn.Module):
    pass

class Loud(Mean):
    preprocessing = "louder"

number = 5
'''
TASKS = [crystal_system(), lattice()]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module, in which the user works; nothing of it is known before or after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "_KNOWN", {})
    (tmp_path / "my_networks.py").write_text(CODE)
    (tmp_path / "broken_networks.py").write_text("1 / 0")
    (tmp_path / "wanting_networks.py").write_text("import no_such_thing")
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    for name in ("my_networks", "broken_networks", "wanting_networks"):
        sys.modules.pop(name, None)


def test_a_class_is_a_network(here: Path) -> None:
    known = resolve("my_networks:Mean", imports=True)
    assert (known.name, known.family, known.title) == ("my_networks:Mean", "own", "Means of so many pieces")
    network = build("my_networks:Mean", TASKS, points=40, mask=True, options={"pieces": 4}, seed=0).eval()
    said = network(torch.rand(3, 40), torch.ones(3, 40))
    assert {task: answer.shape for task, answer in said.items()} == {"crystal_system": (3, 7), "lattice": (3, 6)}
    assert network.features == 4
    assert count_parameters("my_networks:Mean", TASKS, points=40) == 5 * 13 + 13
    assert card("my_networks:Mean") is known, "once imported it is known"


def test_it_may_say_more_of_itself(here: Path) -> None:
    resolve("my_networks:Both", imports=True)
    network = build("my_networks:Both", TASKS, points=200, mask=True, seed=0).eval()
    assert network.stem is None
    assert network.length == 50, "other grids are resampled"
    said = network(torch.rand(3, 200))
    assert said["lattice"].tolist() == [[4.0] * 6] * 3
    assert len(network.heads["crystal_system"]) == 2  # type: ignore[arg-type]
    whole, part = (network.embed(torch.ones(1, 200), torch.arange(200)[None] < end) for end in (200, 100))
    assert whole.shape == (1, 10)
    assert not torch.allclose(whole, part)


def test_a_file_that_names_a_module_does_not_import_it(here: Path) -> None:
    for ask in (card, lambda name: check_build(name, TASKS, points=40), lambda name: build(name, TASKS, points=40)):
        with pytest.raises(InputError, match=r"only if the command line names it too.*--network my_networks:Mean"):
            ask("my_networks:Mean")
    assert not (here / "imported").exists()
    resolve("my_networks:Mean", imports=True)
    assert (here / "imported").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_networks:Mean", "no module 'no_networks'"),
        ("wanting_networks:Mean", "'wanting_networks', which wants 'no_such_thing'"),
        ("broken_networks:Mean", "cannot be imported .ZeroDivisionError"),
        ("my_networks:None", "holds no 'None'"),
        ("my_networks:number", "is no network but int"),
        ("my_networks:torch.Tensor", "is no network but"),
        ("my_networks:Loud", "preprocessing 'louder'; there are max100"),
        ("my_networks:", "holds no ''"),
        (":Mean", "cannot be imported .ValueError"),
    ],
)
def test_what_is_no_network(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        resolve(name, imports=True)


def test_settings_that_do_not_fit() -> None:
    resolve("my_networks:Mean", imports=True)
    for name, words in (("NoFeatures", "features are 7"), ("NoArgument", "cannot be made for 40 points")):
        resolve(f"my_networks:{name}", imports=True)
        with pytest.raises(InputError, match=words):
            build(f"my_networks:{name}", TASKS, points=40)
    with pytest.raises(InputError, match="size small has no effect"):
        check_build("my_networks:Mean", TASKS, points=40, size="small")
    with pytest.raises(InputError, match="no option 'parts'; there are: pieces"):
        check_build("my_networks:Mean", TASKS, points=40, options={"parts": 4})
    with pytest.raises(InputError, match="at least 10"):
        check_build("my_networks:Mean", TASKS, points=9)


def test_an_entry_point_of_an_installed_package(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mean", "my_networks:Mean", own.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == own.GROUP else [])
    assert card("mean").name == "mean"
    assert build("mean", TASKS, points=40).features == 5
    with pytest.raises(InputError, match="no network 'means'"):
        card("means")
