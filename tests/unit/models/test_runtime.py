"""Running a network without torch, with a session whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.models.runtime import BATCH, DEFAULT_MODEL, Network, load_network, read_card
from powderlens.pattern.grid import Grid


class Session:
    """Answers with the sum of its input, and lists the sizes of what it was asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        x = inputs["x"]
        self.sizes.append(len(x))
        total = x.sum(axis=(1, 2))[:, None]
        return [np.repeat(total, n, axis=1) for n in (7, 230, 6)]


def test_many_patterns_go_in_parts_and_come_back_in_order() -> None:
    session = Session()
    network = Network("n", Grid(start_deg=5, step_deg=0.1, points=10, wavelength_A=1.54), session)
    x = np.zeros((2 * BATCH + 3, 2, 10), np.float32)
    x[:, 0, 0] = np.arange(len(x))
    said = network(x)
    assert session.sizes == [BATCH, BATCH, 3]
    assert (said.system_logits.shape, said.group_logits.shape, said.niggli.shape) == (
        (len(x), 7),
        (len(x), 230),
        (len(x), 6),
    )
    assert said.group_logits[:, 0].tolist() == list(range(len(x)))


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(InputError, match=rf"no model 'prism-99' in data; there are: {DEFAULT_MODEL}"):
        load_network("prism-99")


def test_a_folder_without_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there are: none"):
        read_card("tiny", folder=tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps({"grid": {}}))
    with pytest.raises(InputError, match="no model 'tiny'"):
        read_card("tiny", folder=tmp_path)


@pytest.mark.parametrize("card", ["", "{not json", "[1]", '{"name": "tiny"}', '{"grid": {"points": 5}}'])
def test_a_damaged_card(tmp_path: Path, card: str) -> None:
    (tmp_path / "tiny.json").write_text(card)
    (tmp_path / "tiny.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r"tiny\.json: not the card of a model"):
        load_network("tiny", folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"these are words"])
def test_a_damaged_network(tmp_path: Path, content: bytes) -> None:
    grid = {"start_deg": 5.0, "step_deg": 0.02, "points": 4250, "wavelength_A": 1.54}
    (tmp_path / "tiny.json").write_text(json.dumps({"grid": grid}))
    (tmp_path / "tiny.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"tiny\.onnx: not a network that ONNX Runtime can load"):
        load_network("tiny", folder=tmp_path)
