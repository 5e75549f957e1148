"""Ask a network about the first half of the measured development patterns, and count the look.

    python scripts/look_at_first_half.py NETWORK DEV.npz AMCSD.parquet --record LOOKS.json --why TEXT

NETWORK is a checkpoint of a run, or weights by name or file as `identify --model` takes them. See
`powderlens.evaluate.first_half`: the second half is not read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.files import file_sha256
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.evaluate.first_half import look
from powderlens.evaluate.measured import MeasuredSet


def opened(network: str, averaged: float) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
    """How to ask a network, its grid, whether it reads floor and mask, and what it is."""
    if not network.endswith(".ckpt"):
        from powderlens.models.runtime import load_model

        model = load_model(network, threads=1)
        of = model.weights
        return model, model.grid, of.floor, of.mask, {"network": model.card.id, "step": of.step}
    import torch

    from powderlens.train.components.checkpoint import load_network

    made, grid, about = load_network(Path(network), averaged=averaged)

    def ask(x: Any, mask: Any) -> dict[str, Any]:
        parts = []
        with torch.inference_mode():
            for at in range(0, len(x), 64):
                seen = None if mask is None else torch.from_numpy(mask[at : at + 64])
                parts.append(made(torch.from_numpy(x[at : at + 64]), seen))
        return {name: np.concatenate([one[name].float().numpy() for one in parts]) for name in parts[0]}

    told = {"network": about["network"]["name"], "step": about["step"], "sha256": file_sha256(network)}
    return ask, grid, bool(about["floor"]), made.mask, told


def main() -> None:
    """Look, print the figures, and add them to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("patterns", type=Path)
    parser.add_argument("minerals", type=Path)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--why", required=True, help="why it is looked at, for the record")
    parser.add_argument("--averaged", type=float, default=1.0, help="share of the averaged weights of a checkpoint")
    given = parser.parse_args()
    ask, grid, floor, mask, about = opened(given.network, given.averaged)
    about = {**about, "averaged": given.averaged, "why": given.why}
    names = [Path(given.network).name, given.patterns.name, given.minerals.name]
    made = look(
        MeasuredSet.read(given.patterns),
        given.patterns,
        ReflectionTable.load(given.minerals),
        ask,
        grid,
        floor=floor,
        mask=mask,
        about=about,
        record=given.record,
        command=f"python scripts/look_at_first_half.py {' '.join(names)} --record {given.record.name} --why ...",
    )
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
