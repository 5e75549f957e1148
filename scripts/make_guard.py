"""Write tests/golden/guard/guard.json: what a change of the code alone must not move.

    python scripts/make_guard.py

prism-1 on sixteen patterns, the bytes of a small corpus of each protocol, ten training steps of a recipe of each
family; all by the commands that users type, so that no change inside can hide from it. The tables of results/ have a
test of their own. To be run when a number moves on purpose, in a commit that says why.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.cli.main import main as powderlens
from powderlens.diffraction.protocol import protocol_names

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "tests" / "golden" / "guard" / "guard.json"
CIFS = ROOT / "tests" / "golden" / "cif"
RECIPES = ("prism-small", "simxrd-small", "ml4pxrds-resnet-small", "alphadiffract-small")
"""One of each family."""


def call(*arguments: object) -> str:
    """What the program prints on stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = powderlens([str(argument) for argument in arguments])
    assert code == 0, f"{arguments} ended with {code}"
    return out.getvalue()


def prism_answers() -> dict[str, Any]:
    """Beliefs of prism-1, no other evidence, about measured examples and crystals under four radiations."""
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        patterns = [(ROOT / "examples" / f"{name}.txt", "CuKa") for name in ("quartz", "rutile")]
        for number, radiation in [
            *((n, "CuKa") for n in (10, 161, 173, 2, 200, 205, 26, 33, 92)),
            *((n, "MoKa1") for n in (10, 161)),
            (173, "CoKa1"),
            (200, "FeKa1"),
            (92, "AgKa1"),
        ]:
            path = Path(folder) / f"{number}-{radiation}.xy"
            call("simulate", CIFS / f"{number}.cif", "--wavelength", radiation, "--output", path)
            patterns.append((path, radiation))
        for path, radiation in patterns:
            said = json.loads(call("identify", path, "--wavelength", radiation, "--evidence", "network", "--json"))
            answers[f"{path.stem}"] = {
                "crystal_system": {one["name"]: one["probability"] for one in said["crystal_system"]},
                "space_group": {str(one["number"]): one["probability"] for one in said["space_group"][:10]},
                "lattice": said["lattice"],
            }
    return answers


def crystal_table(folder: Path) -> Path:
    """The nine crystals of tests/golden/cif, labelled."""
    table = folder / "crystals.parquet"
    if not table.exists():
        call("crystals", "curate", CIFS, "--protocol", "alphadiffract", "--output", table, "--workers", 1)
    return table


def corpus_hashes(folder: Path) -> dict[str, str]:
    """sha256 of the training patterns of nine crystals, three patterns each, under every protocol."""
    hashes, table = {}, crystal_table(folder)
    for name in protocol_names():
        corpus, out = folder / f"all-{name}", folder / f"{name}-npy"
        call(
            "corpus",
            "build",
            "--crystals",
            table,
            "--protocol",
            name,
            "--per-crystal",
            3,
            "--split",
            "in-library",
            "--seed",
            3,
            "--output",
            corpus,
            "--workers",
            1,
        )
        call("corpus", "export", corpus, "--format", "npy", "--split", "train", "--output", out, "--workers", 1)
        hashes[name] = hashlib.sha256(np.ascontiguousarray(np.load(out / "intensity.npy")).tobytes()).hexdigest()
    return hashes


def short_recipe(name: str) -> str:
    """A shipped recipe that stops after ten steps of eight patterns."""
    text = (ROOT / "src/powderlens/train/recipes" / f"{name}.toml").read_text()
    changes = {
        "batch": "8",
        "steps": "10",
        "validate_every": "10",
        "validation_patterns": "8",
        "epoch_patterns": "80",
        "epochs": "1",
        "patterns": "80",
    }
    for key, value in changes.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    if "[limits]" in text:
        text = re.sub(r"\[limits\]\n(.*\n)*?(?=\[|\Z)", "[limits]\nsteps = 10\n", text + "\n")
    return text.replace('kind = "corpus"', 'kind = "corpus"\nvalidate_patterns = 80')


def training_losses(folder: Path) -> dict[str, float]:
    """Validation loss after ten steps."""
    losses, table = {}, crystal_table(folder)
    for name in RECIPES:
        recipe, run = folder / f"{name}.toml", folder / name
        recipe.write_text(short_recipe(name))
        options: list[object] = []
        if name == "prism-small":
            options = ["--data", ROOT / "examples" / "crystals-small.parquet"]
        elif 'kind = "corpus"' in recipe.read_text():
            protocol = "simxrd" if name.startswith("simxrd") else "alphadiffract-clean"
            call(
                "corpus",
                "build",
                "--crystals",
                table,
                "--protocol",
                protocol,
                "--per-crystal",
                33,
                "--split",
                "in-library",
                "--seed",
                3,
                "--output",
                folder / protocol,
                "--workers",
                1,
            )
            options = ["--corpus", folder / protocol]
        call("train", recipe, "--output", run, "--workers", 0, "--threads", 1, *options)
        with open(run / "metrics.csv", newline="") as handle:
            losses[name] = float([row["val_loss"] for row in csv.DictReader(handle) if row["val_loss"]][-1])
    return losses


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        guard = {
            "prism-1": prism_answers(),
            "corpora": corpus_hashes(Path(folder)),
            "training": training_losses(Path(folder)),
        }
    PATH.write_text(json.dumps(guard, indent=1) + "\n")
    print(PATH.relative_to(ROOT))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
