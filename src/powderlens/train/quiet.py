"""Lightning without its advertisements and its stopwatches."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from typing import ClassVar

from lightning.pytorch.profilers import Profiler


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Its bar goes to stderr where progress belongs, its advertisements and its remarks on a folder in use nowhere."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        yield


class NoProfiler(Profiler):
    """Measures nothing, at no cost: Lightning's own makes a context manager forty times a step to do the same."""

    nothing: ClassVar[AbstractContextManager[None]] = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """A context that does nothing."""
        return self.nothing

    def start(self, action_name: str) -> None:
        """Nothing."""

    def stop(self, action_name: str) -> None:
        """Nothing."""
