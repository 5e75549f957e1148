"""A corpus of the 25 common minerals that ship with powderlens, and a small network that learns to tell their systems.

Run it from anywhere, in a folder that may be written to: `python train_small_network.py`. It takes under a minute.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import torch

from powderlens import Corpus, CorpusStream, StreamDataset, build_corpus
from powderlens.crystal.common import common_minerals
from powderlens.crystal.label import find_symmetry
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals


def make_corpus(folder: Path) -> Path:
    """Build the corpus; one that is there already is taken."""
    crystals = folder / "minerals.parquet"
    rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), crystals)
    corpus = folder / "minerals"
    build_corpus(crystals, corpus, protocol="lab", per_crystal=33, split="in-library", workers=1)
    return corpus


def train(folder: Path, *, steps: int = 150, workers: int = 1) -> float:
    """Train, and return the share of the corpus's test patterns whose crystal system is right."""
    corpus = Corpus.open(folder)
    network = torch.nn.Sequential(
        torch.nn.AvgPool1d(4),
        torch.nn.Conv1d(1, 16, 15, stride=3),
        torch.nn.ReLU(),
        torch.nn.Conv1d(16, 32, 15, stride=3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool1d(24),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 24, 7),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for batch in StreamDataset(CorpusStream(corpus, "train", size=32, seed=0), workers=workers, stop=steps):
        roots = (batch["patterns"].clamp(min=0) / 100).sqrt()[:, None]
        loss = torch.nn.functional.cross_entropy(network(roots), batch["crystal_system"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    test = next(iter(StreamDataset(CorpusStream(corpus, "test", size=len(corpus.numbers("test")), seed=0))))
    answers = network((test["patterns"].clamp(min=0) / 100).sqrt()[:, None]).argmax(dim=1)
    return float((answers == test["crystal_system"]).float().mean())


if __name__ == "__main__":
    torch.manual_seed(0)
    print(  # noqa: T201
        f"{100 * train(make_corpus(Path.cwd())):.0f} % of the test patterns have the right crystal system"
    )
