"""What watches a run: its limits and patience, the newest checkpoint, and what it tells meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback, Checkpoint

from powderlens.train.recipe import Recipe

if TYPE_CHECKING:
    from powderlens.train.module import RunModule

TELL_EVERY_S = 10.0


class Stops(Callback):
    """Ends a run at its limits or when patience is lost; the step at which it ends is validated.

    Args:
        recipe: of the run.
        total_steps: where steps, epochs or patterns end it.

    Attributes:
        reason: why it has ended: "steps", "seconds" or "patience"; empty while it goes on.
        seconds: of the run until now, over all its resumptions.
        cpu_seconds: that this process has computed meanwhile, with all its threads, and those before it.
        best: lowest validation loss, with the step after which it was found.
        newest: validation loss of the newest validation.
    """

    def __init__(self, recipe: Recipe, total_steps: int | None) -> None:
        self.recipe, self.total_steps = recipe, total_steps
        self.reason = ""
        self.best, self.best_step, self.newest = math.inf, 0, math.inf
        self._reference, self._waited = math.inf, 0
        self._before, self._since = 0.0, time.monotonic()
        self._cpu_before, self._cpu_since = 0.0, time.process_time()

    @property
    def seconds(self) -> float:
        """Time that the run has taken."""
        return self._before + time.monotonic() - self._since

    @property
    def cpu_seconds(self) -> float:
        """Time that the processor has spent on the run."""
        return self._cpu_before + time.process_time() - self._cpu_since

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "reason": self.reason,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "best": self.best,
            "best_step": self.best_step,
            "newest": self.newest,
            "reference": self._reference,
            "waited": self._waited,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.reason, self._before, self._since = state["reason"], state["seconds"], time.monotonic()
        self._cpu_before, self._cpu_since = state["cpu_seconds"], time.process_time()
        self.best, self.best_step, self.newest = state["best"], state["best_step"], state["newest"]
        self._reference, self._waited = state["reference"], state["waited"]

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """What was drawn before does not count."""
        self._since, self._cpu_since = time.monotonic(), time.process_time()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: object) -> None:
        """Limits; with several devices the first one's clock decides."""
        limit = self.recipe.limits.seconds
        if limit is not None:
            over = self.seconds > limit
            if (trainer.strategy.broadcast(over) if trainer.world_size > 1 else over) and not self.reason:
                self.reason = "seconds"
        if self.total_steps is not None and trainer.global_step >= self.total_steps:
            self.reason = "steps"
        if self.reason:
            trainer.should_stop = True

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Patience: a validation is better when its loss lies below the reference by at least `min_delta`."""
        loss = float(trainer.callback_metrics["val_loss"])
        self.newest = loss
        if loss < self.best:
            self.best, self.best_step = loss, trainer.global_step
        if loss < self._reference - (self.recipe.min_delta or 0.0):
            self._reference, self._waited = loss, 0
        else:
            self._waited += 1
            if self.recipe.patience is not None and self._waited >= self.recipe.patience:
                self.reason = self.reason or "patience"
                trainer.should_stop = True


class Newest(Checkpoint):
    """Writes `last.ckpt` after every validation, after all other callbacks, and every so many steps.

    Args:
        path: where.
        every: steps between; None for validations only.
        validate_every: steps between validations, whose own checkpoints serve.
    """

    def __init__(self, path: Path, every: int | None, validate_every: int) -> None:
        self.path, self.every, self.validate_every = path, every, validate_every

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: object) -> None:
        """Between validations."""
        step = trainer.global_step
        if self.every and step % self.every == 0 and step % self.validate_every and not trainer.should_stop:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """After a validation."""
        trainer.save_checkpoint(self.path)


class Progress(Callback):
    """Tells every ten seconds how far the run is, how fast, and how much time is left.

    Args:
        report: is told one line.
        stops: knows the limits.
    """

    def __init__(self, report: Callable[[str], None], stops: Stops) -> None:
        self.report, self.stops = report, stops
        self._told = self._began = time.monotonic()
        self._first = 0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Rates count from here."""
        self._told = self._began = time.monotonic()
        self._first = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: object) -> None:
        """Tell."""
        now = time.monotonic()
        if now < self._told + TELL_EVERY_S or not trainer.is_global_zero:
            return
        self._told = now
        self.report(self.line(trainer.global_step, now - self._began, module))

    def line(self, step: int, seconds: float, module: RunModule) -> str:
        """One line.

        Args:
            step: done until now.
            seconds: since this process began to train.
            module: what learns.
        """
        rate = (step - self._first) / seconds
        ends = (
            [] if self.stops.recipe.limits.seconds is None else [self.stops.recipe.limits.seconds - self.stops.seconds]
        )
        total = self.stops.total_steps
        if total is not None and rate > 0:
            ends.append((total - step) / rate)
        left = max(min(ends), 0.0) if ends else math.nan
        of = "" if total is None else f" of {total:,}"
        best = "" if math.isinf(self.stops.best) else f", best validation {self.stops.best:.4f}"
        return (
            f"epoch {step / module.epoch_steps:.2f}, step {step:,}{of}: {rate * module.recipe.batch:,.0f} patterns/s, "
            f"loss {module.recent_loss:.4f}{best}, {clock(left)} left"
        )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
