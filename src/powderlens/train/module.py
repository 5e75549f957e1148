"""`RunModule`: a network in training, with its losses, optimiser, schedule and validation figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from powderlens.core.errors import PowderlensError
from powderlens.models.mixture import found_among
from powderlens.models.network import Network
from powderlens.models.task import Task
from powderlens.train.components.batches import Item
from powderlens.train.components.losses import TaskLoss
from powderlens.train.components.optimiser import make_optimiser, make_schedule
from powderlens.train.components.targets import known
from powderlens.train.recipe import Recipe

LOOK_EVERY = 50
"""Steps after which an accelerator is asked whether the loss is still a number; asking makes it wait."""


TOP = 5
"""Of a task with more classes, the share of truths among so many likeliest is told too."""


def columns(tasks: Sequence[Task], *, measured: bool) -> list[str]:
    """Of the curve: what a validation tells.

    Args:
        tasks: of the network.
        measured: whether there are measured patterns.
    """
    figures = []
    for task in tasks:
        if task.kind == "classes":
            figures += [task.name, *([f"{task.name}_top{TOP}"] if task.outputs > TOP else [])]
        elif task.kind == "lattice":
            figures += ["length_A", "angle_deg"]
        else:
            figures += ["cell_in_ten"]
    named = [f"{of}_{name}" for of in ("val", "measured")[: 1 + measured] for name in figures]
    return ["step", "epoch", "patterns", "seconds", "learning_rate", "train_loss", "val_loss", *named]


class DivergedError(PowderlensError):
    """The loss is no number any more; the last good checkpoint is kept."""


class RunModule(lightning.LightningModule):
    """A network with what it needs to learn.

    Args:
        network: fresh or loaded.
        recipe: of the run.
        losses: of the tasks, in their order.
        epoch_steps: steps of an epoch.
        total_steps: steps of the run; None where only time ends it.
        about: what goes into every checkpoint, so that it can be read without its run.
        clock: seconds that the run has taken.
    """

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        losses: list[TaskLoss],
        *,
        epoch_steps: int,
        total_steps: int | None,
        about: dict[str, Any],
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # Lightning's own way takes a millisecond a step more
        self.network, self.recipe, self.about, self.clock = network, recipe, about, clock
        self.losses = torch.nn.ModuleList(losses)
        self.epoch_steps, self.total_steps = epoch_steps, total_steps
        self.recent_loss = math.nan
        self._random_state: dict[str, Any] | None = None
        self._train_sum, self._train_count = torch.zeros(()), 0
        self._sums: dict[str, Tensor] = {}

    def training_step(self, batch: Item, index: int) -> Tensor:
        """One step; its loss."""
        loss = self._loss(self.network(*batch[:2]), batch[2])
        self._train_sum = self._train_sum.to(loss.device) + loss.detach()
        self._train_count += 1
        if loss.device.type == "cpu" or self.global_step % LOOK_EVERY == 0:
            self._look()
        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimiser, LightningOptimizer)
        assert isinstance(schedule, LRScheduler)
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()
        schedule.step()
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients, which half precision has no longer scaled."""
        if self.recipe.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_clip)

    def on_validation_epoch_start(self) -> None:
        """Nothing that diverged is validated, so none of it reaches a checkpoint."""
        self._look()
        self._sums = {}

    def validation_step(self, batch: Item, index: int, dataloader_idx: int = 0) -> None:
        """Add up losses and right answers; of measured patterns, the second loader, no loss: they choose nothing."""
        outputs, answers = self.network(*batch[:2]), batch[2]
        of = "measured" if dataloader_idx else "val"
        if not dataloader_idx:
            self._add("val_loss", self._loss(outputs, answers) * len(batch[0]), len(batch[0]))
        for task in self.network.tasks:
            said, right = outputs[task.name].float(), answers[task.name]
            seen = known(task, right)
            if task.kind == "classes":
                self._add(f"{of}_{task.name}", ((said.argmax(dim=1) == right) & seen).sum(), seen.sum())
                if task.outputs > TOP:
                    among = (said.topk(TOP, dim=1).indices == right[:, None]).any(dim=1)
                    self._add(f"{of}_{task.name}_top{TOP}", (among & seen).sum(), seen.sum())
                continue
            if task.kind == "mixture":
                among = found_among(said, right, count=10, within=0.03)
                self._add(f"{of}_cell_in_ten", (among & seen).sum(), seen.sum())
                continue
            off = torch.where(seen[:, None], said - right, 0).abs()
            self._add(f"{of}_length_A", off[:, :3].sum(), 3 * seen.sum())
            self._add(f"{of}_angle_deg", off[:, 3:].sum(), 3 * seen.sum())

    def on_validation_epoch_end(self) -> None:
        """Add a row to the curve."""
        figures = {name: float(total / count) for name, (total, count) in self._sums.items() if count > 0}
        if not math.isfinite(figures["val_loss"]):
            self._diverged("validation loss", figures["val_loss"])
        row = {
            "epoch": self.global_step / self.epoch_steps,
            "patterns": float(self.global_step * self.recipe.batch),
            "learning_rate": self.optimizers().param_groups[0]["lr"],  # type: ignore[union-attr]
            "train_loss": float(self._train_sum) / max(self._train_count, 1),
            "seconds": round(self.clock(), 3),
            **figures,
        }
        self._train_sum, self._train_count = torch.zeros(()), 0
        self.log("val_loss", figures["val_loss"], logger=False)
        for logger in self.loggers:
            logger.log_metrics(row, step=self.global_step)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        """As the recipe says."""
        optimiser = make_optimiser(self.recipe.optimiser, self.network, fused=self.recipe.precision != "16-mixed")
        schedule = make_schedule(
            self.recipe.schedule, optimiser, epoch_steps=self.epoch_steps, total_steps=self.total_steps
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the checkpoint is of, and the random states from which dropout draws."""
        accelerator = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint["random_state"] = {"cpu": torch.get_rng_state(), "cuda": accelerator}
        checkpoint["train_loss"] = {"sum": float(self._train_sum), "count": self._train_count}
        checkpoint["powderlens"] = self.about

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the random states; loaders still draw from them before the first step."""
        self._random_state = checkpoint["random_state"]
        before = checkpoint["train_loss"]
        self._train_sum, self._train_count = torch.tensor(before["sum"]), before["count"]

    def on_train_batch_start(self, batch: Item, index: int) -> None:
        """Take up the random states of a checkpoint."""
        if self._random_state is not None:
            torch.set_rng_state(self._random_state["cpu"].cpu())
            if torch.cuda.is_available() and len(self._random_state["cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all([state.cpu() for state in self._random_state["cuda"]])
            self._random_state = None

    def _loss(self, outputs: dict[str, Tensor], answers: dict[str, Tensor]) -> Tensor:
        parts = [
            self.recipe.tasks[task.name].weight * loss(outputs[task.name], answers[task.name])
            for task, loss in zip(self.network.tasks, self.losses, strict=True)
        ]
        return torch.stack(parts).sum()

    def _add(self, name: str, total: Tensor, count: Tensor | int) -> None:
        before = self._sums.get(name)
        now = torch.stack([total.double(), torch.as_tensor(count, device=total.device).double()])
        self._sums[name] = now if before is None else before + now

    def _look(self) -> None:
        """Stop where the sum of losses is no number."""
        if self._train_count:
            self.recent_loss = float(self._train_sum) / self._train_count
            if not math.isfinite(self.recent_loss):
                self._diverged("training loss", self.recent_loss)

    def _diverged(self, what: str, value: float) -> None:
        raise DivergedError(
            f"step {self.global_step}: the {what} is {value} at a learning rate of "
            f"{self.optimizers().param_groups[0]['lr']:.3g}; the last good checkpoint is kept. "  # type: ignore[union-attr]
            "Lower optimiser.learning_rate, or set gradient_clip"
        )
