"""How long a network takes for an answer (torch)."""

from __future__ import annotations

import platform
import time
from statistics import median

import torch
from torch import Tensor

from powderlens.evaluate.record import Inference
from powderlens.models.network import Network

REPEATS, SECONDS, AT_MOST_S = 5, 0.3, 30.0
"""Calls and time that a median is taken over at least, and time after which no further call begins."""


def inference_time(network: Network, device: str = "cpu", threads: int = 1) -> Inference:
    """Time of the forward pass on ready random patterns, in evaluation mode.

    Args:
        network: stays where it is told.
        device: as torch names it.
        threads: torch threads; set back afterwards.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    network = network.eval().to(device)
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.inference_mode():
            ms = {}
            for batch in (1, 100):
                x_BL = torch.rand(batch, network.points, generator=generator).to(device)
                ms[batch] = 1000 * _median_seconds(network, x_BL, device) / batch
    finally:
        torch.set_num_threads(before)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"cpu ({platform.machine()})"
    return Inference(batch_1_ms=ms[1], batch_100_ms=ms[100], threads=threads, device=name)


def _median_seconds(network: Network, x_BL: Tensor, device: str) -> float:
    """Of one call; the first one does not count."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    network(x_BL)
    wait()
    took: list[float] = []
    while (len(took) < REPEATS or sum(took) < SECONDS) and (not took or sum(took) < AT_MOST_S):
        began = time.perf_counter()
        network(x_BL)
        wait()
        took.append(time.perf_counter() - began)
    return median(took)
