"""Cost of the training engine: patterns a second against a plain PyTorch loop on tensors that are ready.

Both train the same network from the same weights on the same batches, of a corpus that is held in memory: the plain
loop has every batch as a tensor beforehand, the engine takes its batches from the stream and looks at the loss.
They take turns; the record holds the median of each and of their ratios. The stream chooses the patterns of many
batches at once, before the first of them; what that takes is measured on its own, and every step is charged its share.

    python benchmarks/train_throughput.py --corpus CORPUS --output results/train-throughput.json

With --precision bf16-mixed both compute so, and the record holds the rate beside that in 32 bits.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import powderlens
from powderlens.core.files import atomic_write
from powderlens.models.registry import NAMES, build
from powderlens.models.task import TASKS
from powderlens.train import engine as trainer
from powderlens.train.components.batches import AHEAD, HeldBatches, Item
from powderlens.train.components.callbacks import Progress
from powderlens.train.components.data import TrainingData, open_data
from powderlens.train.components.losses import TaskLoss
from powderlens.train.components.machine import Machine
from powderlens.train.recipe import Recipe, load_recipe, parse_recipe, with_choices

WARM = 3
"""Steps that are not timed."""


class Timed(Progress):
    """Notes when steps end."""

    ends: list[float]

    def on_train_batch_end(self, trainer: Any, module: Any, *args: object) -> None:
        if trainer.global_step == 1:
            type(self).ends = []
        type(self).ends.append(time.perf_counter())
        super().on_train_batch_end(trainer, module, *args)


def plain(recipe: Recipe, batches: list[Item], losses: list[TaskLoss], points: int, device: torch.device) -> float:
    chosen = recipe.network
    tasks = [TASKS[name]() for name in recipe.tasks]
    network = build(chosen.name, tasks, points=points, size=chosen.size, seed=recipe.seed).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.optimiser.learning_rate, fused=True)
    ready = [(x.to(device), {name: t.to(device) for name, t in answers.items()}) for x, _, answers in batches]
    half = torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16-mixed")
    for loss in losses:
        loss.to(device)
    began = 0.0
    for i, (x, answers) in enumerate(ready):
        if i == WARM:
            synchronise(device)
            began = time.perf_counter()
        with half:
            outputs = network(x)
            total = torch.stack(
                [loss(outputs[t.name], answers[t.name]) for t, loss in zip(tasks, losses, strict=True)]
            ).sum()
        optimiser.zero_grad()
        total.backward()
        if recipe.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        optimiser.step()
    synchronise(device)
    return (len(ready) - WARM) * recipe.batch / (time.perf_counter() - began)


def choosing_s(held: HeldBatches) -> float:
    """Time in which the stream chooses the patterns of one batch of many."""
    times = []
    for block in range(5):
        numbers = [held.stream.numbers(AHEAD * block + i) for i in range(AHEAD)]
        began = time.perf_counter()
        held.stream.corpus_numbers(np.concatenate(numbers))
        times.append(time.perf_counter() - began)
    return median(times) / AHEAD


def engine(recipe: Recipe, corpus: Path, machine: Machine, choosing: float) -> float:
    trainer.Progress = Timed  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train(recipe, Path(folder) / "run", corpus=corpus, machine=machine)
    ends = Timed.ends
    steps = len(ends) - WARM
    return steps * recipe.batch / (ends[-1] - ends[WARM - 1] + steps * choosing)


def rates(
    recipe: Recipe,
    given: argparse.Namespace,
    machine: Machine,
    data: TrainingData,
    batches: list[Item],
    choosing: float,
) -> list[tuple[float, float]]:
    """Patterns a second of the plain loop and of the engine, in turns."""
    counts = data.counts or {}
    losses = [TaskLoss(t, recipe.tasks[t.name].loss, counts.get(t.name)) for t in data.tasks]
    device = torch.device("cuda" if given.accelerator == "gpu" else "cpu")
    found: list[tuple[float, float]] = []
    began = time.monotonic()
    while len(found) < given.rounds or time.monotonic() < began + given.seconds:
        one = plain(recipe, batches, losses, data.grid.points, device)
        found.append((one, engine(recipe, given.corpus, machine, choosing)))
    return found


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def command(given: argparse.Namespace) -> str:
    """What was asked for, without the places of this machine."""
    words = ["python benchmarks/train_throughput.py --corpus CORPUS"]
    if given.networks != list(NAMES):
        words.append(f"--networks {' '.join(given.networks)}")
    words.append(f"--size {given.size} --steps {given.steps} --rounds {given.rounds}")
    if given.precision != "32-true":
        words.append(f"--precision {given.precision}")
    if given.output is not None:
        words.append(f"--output results/{given.output.name}")
    return " ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--recipe", default="simxrd-small")
    parser.add_argument("--networks", nargs="*", default=list(NAMES))
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--steps", type=int, default=23)
    parser.add_argument("--rounds", type=int, default=5, help="of each network at least")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each network at least")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    base = load_recipe(given.recipe).model_dump(mode="json")
    limited = parse_recipe({**base, "limits": {"steps": given.steps}}, str(given.recipe))
    networks: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(workers=0, cache=Path(folder), threads=given.threads, accelerator=given.accelerator)
        data = open_data(limited, corpus=given.corpus, machine=machine)
        if data.epoch_patterns < given.steps * limited.batch:
            sys.exit(
                f"{given.corpus}: {data.epoch_patterns} training patterns, fewer than the steps show; lower --steps"
            )
        held = data.batches(0, given.steps)
        assert isinstance(held, HeldBatches)
        batches, choosing = list(held), choosing_s(held)
        for name in given.networks:
            wanted = {"network": name, "size": given.size}
            recipe = with_choices(limited, **wanted, precision=given.precision)
            turns = rates(recipe, given, machine, data, batches, choosing)
            networks[name] = {
                "rounds": len(turns),
                "plain_per_s": round(median(a for a, _ in turns), 1),
                "engine_per_s": round(median(b for _, b in turns), 1),
                "cost_percent": round(100 * (median(a / b for a, b in turns) - 1), 1),
            }
            if given.precision != "32-true":
                full = [engine(with_choices(limited, **wanted), given.corpus, machine, choosing) for _ in turns]
                networks[name]["engine_32_true_per_s"] = round(median(full), 1)
            print(name, networks[name], file=sys.stderr, flush=True)
    record = {
        "what": "training throughput, engine and stream against a plain PyTorch loop on ready tensors",
        "command": command(given),
        "recipe": limited.model_dump(mode="json"),
        "size": given.size,
        "precision": given.precision,
        "data": data.about,
        "steps": given.steps,
        "choosing_ms": round(1000 * choosing, 3),
        "hardware": {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": given.threads,
            "accelerator": torch.cuda.get_device_name() if given.accelerator == "gpu" else "none",
        },
        "versions": {"powderlens": powderlens.__version__, "torch": torch.__version__},
        "note": given.note,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "networks": networks,
    }
    text = json.dumps(record, indent=2) + "\n"
    if given.output is None:
        print(text, end="")
        return
    with atomic_write(given.output) as aside:
        aside.write_text(text)


if __name__ == "__main__":
    main()
