"""What a machine does for a run, which decides nothing but the time. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.corpus.cluster.connect import Cluster


Report = Callable[[str], None]
"""Is told one line now and then."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How patterns are drawn, and what the network works on.

    Attributes:
        workers: processes that draw; 0 draws in this one.
        memory_GB: a corpus whose two parts fit is drawn once.
        cache: a folder for drawn patterns, see `draw_part`; with it size does not matter.
        cluster: a Ray that draws instead of `workers`.
        threads: of torch.
        accelerator: as Lightning names it: cpu, gpu, auto.
        devices: each takes its share of every batch.
        rank: number of this process among those of the devices.
    """

    workers: int = 1
    memory_GB: float = 4.0
    cache: Path | None = None
    cluster: Cluster | None = None
    threads: int = 2
    accelerator: str = "cpu"
    devices: int = 1
    rank: int = 0

    def batch(self, step: int) -> int:
        """Number, in a stream of this process's share, of the batch of a step."""
        return step * self.devices + self.rank

    def device(self) -> str:
        """The device as torch names it, "cpu" or "cuda"; needs torch.

        Raises:
            InputError: there is no such one.
        """
        import torch

        there = torch.cuda.is_available()
        if self.accelerator == "gpu" and not there:
            raise InputError("accelerator gpu: torch finds none here; leave it out, or give auto")
        return "cuda" if there and self.accelerator != "cpu" else "cpu"
