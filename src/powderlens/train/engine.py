"""The training run: a Lightning module over the endless stream, resumable, with averaged weights."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder
from powderlens.corpus.split import split_indices
from powderlens.corpus.store.reflection_table import ReflectionTable
from powderlens.corpus.stream.from_crystals import CrystalStream, sampling_weights
from powderlens.corpus.stream.stream import Batch, NetworkStream
from powderlens.diffraction.protocol import load_protocol
from powderlens.models.prism import Prism
from powderlens.train.curve import Curve
from powderlens.train.datasets import StreamDataset
from powderlens.train.losses import joint_loss
from powderlens.train.recipe import Recipe

if TYPE_CHECKING:
    from powderlens.corpus.cluster.connect import Cluster

Tensors = tuple[Tensor, Tensor, Tensor, Tensor]
VALIDATION_FIRST = 2**40
"""Number of the first validation pattern under the recipe's seed: far beyond what training reaches."""


def tensors(batch: Batch) -> Tensors:
    """What a step takes: patterns (b, 2, points), system (b,) 0..6, space group (b,) 0..229, Niggli cell (b, 6)."""
    return (
        torch.from_numpy(batch.patterns),
        torch.from_numpy(batch.system.astype(np.int64)),
        torch.from_numpy(batch.space_group.astype(np.int64) - 1),
        torch.from_numpy(batch.niggli),
    )


class _Fixed(Dataset[Tensors]):
    def __init__(self, batches: list[Tensors]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Tensors:
        return self.batches[index]


class PrismModule(lightning.LightningModule):
    """`Prism` with its loss, optimiser, schedule and validation figures."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = Prism(recipe.grid.points, recipe.network.widths, recipe.network.hidden, recipe.network.dropout)
        self.started = time.monotonic()
        self._random_state: Tensor | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep torch's random state, from which dropout draws (on the CPU), so that a resumed run repeats."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the random state; loaders still draw from it before the first step."""
        self._random_state = checkpoint.get("random_state")

    def on_train_batch_start(self, batch: Tensors, index: int) -> None:
        """Take up the random state of a checkpoint."""
        if self._random_state is not None:
            torch.set_rng_state(self._random_state.cpu())
            self._random_state = None

    def _loss(self, outputs: tuple[Tensor, Tensor, Tensor], batch: Tensors) -> Tensor:
        r = self.recipe
        return joint_loss(outputs, *batch[1:], label_smoothing=r.label_smoothing, lattice_weight=r.lattice_weight)

    def training_step(self, batch: Tensors, index: int) -> Tensor:
        """Loss of one batch."""
        loss = self._loss(self.network(batch[0]), batch)
        self.log("train_loss", loss)
        self.log("patterns", float((self.global_step + 1) * self.recipe.batch))
        self.log("seconds", time.monotonic() - self.started)
        return loss

    def validation_step(self, batch: Tensors, index: int) -> None:
        """Loss and accuracies of the averaged weights."""
        outputs = self.network(batch[0])
        system, group = outputs[0].argmax(1) == batch[1], outputs[1].topk(5, dim=1).indices == batch[2][:, None]
        length_error = (outputs[2][:, :3] / batch[3][:, :3] - 1).abs().median()
        for name, value in {
            "val_loss": self._loss(outputs, batch),
            "val_system": system.float().mean(),
            "val_group": group[:, 0].float().mean(),
            "val_group_top5": group.any(1).float().mean(),
            "val_length_error": length_error,
        }.items():
            self.log(name, value, batch_size=len(batch[0]))

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """AdamW under a one-cycle schedule."""
        r = self.recipe
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=r.learning_rate, weight_decay=r.weight_decay, betas=(0.9, 0.98), fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, r.learning_rate, total_steps=r.steps + 1, pct_start=r.warmup, final_div_factor=1000
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_streams(recipe: Recipe, tables: list[Path]) -> tuple[NetworkStream, NetworkStream, dict[str, int]]:
    """Training and validation streams, and the number of crystals in each part.

    Raises:
        InputError: no table, a table that cannot be read, or a part without crystals.
    """
    if not tables:
        raise InputError("no reflection table is given; make one with `powderlens corpus reflections`")
    table = ReflectionTable.load(*tables)
    parts = split_indices(table.elements, table.space_group.tolist())
    for part in ("train", "validation"):
        if not len(parts[part]):
            raise InputError(f"none of {len(table)} crystals is in the part {part!r}; give more crystals")
    streams = [
        NetworkStream(
            CrystalStream(
                table,
                parts[part],
                sampling_weights(table, parts[part], recipe.data.shares),
                load_protocol(recipe.data.protocol),
                size=recipe.batch,
                seed=recipe.seed,
                grid=recipe.grid.grid(),
            )
        )
        for part in ("train", "validation")
    ]
    return streams[0], streams[1], {part: len(rows) for part, rows in parts.items()}


def train(
    recipe: Recipe,
    tables: list[Path],
    output: Path,
    *,
    resume: bool = False,
    workers: int = 1,
    threads: int = 2,
    accelerator: str = "cpu",
    cluster: Cluster | None = None,
) -> Path:
    """Train and leave checkpoints (`best.ckpt`, `last.ckpt`), `metrics.csv` and `run.json` in `output`.

    Args:
        recipe: what to do.
        tables: reflection tables; their sha256 go into `run.json`.
        output: folder of the run.
        resume: go on from `last.ckpt`, or begin where there is none.
        workers: processes that draw patterns.
        threads: torch threads.
        accelerator: as Lightning names it.
        cluster: a Ray that draws patterns instead of `workers`.

    Returns:
        The checkpoint that the validation chose.

    Raises:
        InputError: a table that cannot be used; the folder holds a run and it is not to be resumed, or one of another
            recipe or of other tables.
    """
    torch.set_num_threads(threads)
    lightning.seed_everything(recipe.seed, workers=False, verbose=False)
    training, validation, counts = make_streams(recipe, tables)
    run: dict[str, object] = {
        "powderlens": __version__,
        "torch": torch.__version__,
        "recipe": recipe.model_dump(mode="json"),
        "tables": {path.name: file_sha256(path) for path in tables},
        "crystals": counts,
    }
    last = make_folder(output) / "last.ckpt"
    first = 0
    if last.exists():
        _check_same_run(output, run, resume=resume)
        first = int(torch.load(last, map_location="cpu", weights_only=False)["global_step"])
    size = min(recipe.batch, recipe.data.validation_patterns)
    fixed = [
        tensors(validation.draw(VALIDATION_FIRST + np.arange(i * size, (i + 1) * size)))
        for i in range(recipe.data.validation_patterns // size)
    ]
    with atomic_write(output / "run.json") as aside:
        aside.write_text(json.dumps(run, indent=2) + "\n")
    checkpoints = ModelCheckpoint(output, filename="best", monitor="val_loss", enable_version_counter=False)
    # A callback of its own: `save_last` of the one above would only follow improvements. It saves after each validation
    # and after the callback above, so that a resumed run knows the best loss so far.
    newest = ModelCheckpoint(output, filename="last", save_on_train_epoch_end=False, enable_version_counter=False)
    try:
        trainer = lightning.Trainer(
            accelerator=accelerator,
            devices=1,
            max_steps=recipe.steps,
            max_epochs=1 if first == 0 else -1,
            val_check_interval=recipe.validate_every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            gradient_clip_val=1.0,
            logger=Curve(output / "metrics.csv", first),
            log_every_n_steps=50,
            callbacks=[checkpoints, newest, EMAWeightAveraging(decay=recipe.ema_decay)],
            enable_model_summary=False,
            enable_progress_bar=True,
        )
    except MisconfigurationException as error:
        raise InputError(f"accelerator {accelerator}: {str(error).splitlines()[0]}") from None
    drawn = StreamDataset(
        training,
        workers=0 if cluster is not None else workers,
        first=first,
        stop=recipe.steps,
        convert=tensors,
        cluster=cluster,
    )
    trainer.fit(
        PrismModule(recipe),
        DataLoader(drawn, batch_size=None),
        DataLoader(_Fixed(fixed), batch_size=None),
        ckpt_path=last if first else None,
    )
    return Path(checkpoints.best_model_path or last)


def _check_same_run(output: Path, run: dict[str, object], *, resume: bool) -> None:
    """Refuse to overwrite a run, or to go on with another recipe or other crystals."""
    if not resume:
        raise InputError(f"{output}: holds a run already; go on with --resume, or give another folder")
    try:
        before = json.loads((output / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{output}: a checkpoint but no readable run.json beside it ({error})") from None
    for what in ("recipe", "tables"):
        if before.get(what) != run[what]:
            raise InputError(f"{output}: this run began with other {what}; --resume goes on with the same only")
