"""Gradient-weighted class activation: which angles speak for a network's answer (AlphaDiffract, Figs. S7 and S8).

Selvaraju et al., ICCV 2017: the channels A_c of the last convolutional stage are added up, each with the mean over its
units of d(answer) / dA_c, and what is negative is left out. The answer is the network's output for the class that it
names. A unit stands where the patch of the pattern that it sees has its middle.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from powderlens.core.errors import InputError
from powderlens.models.network import Network
from powderlens.models.task import Task
from powderlens.pattern.spacing import angles_of
from powderlens.reproduce.analyses.asked_networks import AskedNetwork, asked_networks
from powderlens.reproduce.analyses.base import Inputs, Result, grouped
from powderlens.reproduce.analyses.drawing import canvas, name_panel
from powderlens.symmetry.groups import SYSTEMS, symbol

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.BatchNorm1d)
NORMS = (nn.BatchNorm1d, nn.GroupNorm, nn.LayerNorm)


def last_stage(body: nn.Module) -> nn.Module | None:
    """The layer whose output is looked at; None where nothing in the body convolves.

    In the outermost sequence of layers with convolutions, the last layer that is one or holds one (a residual block as
    a whole), or the activation that follows it.
    """
    for part in body.modules():
        if isinstance(part, nn.Sequential):
            convolve = [any(isinstance(m, nn.Conv1d) for m in child.modules()) for child in part]
            if any(convolve):
                at = len(convolve) - 1 - convolve[::-1].index(True)
                while at + 1 < len(part) and isinstance(part[at + 1], ELEMENTWISE):
                    at += 1
                return part[at]
    return None


def class_activation(
    network: Network, pattern: NDArray[np.float32], task: str, mask: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], int, float]:
    """How much each unit of the last convolutional stage speaks for the answer.

    Args:
        network: in evaluation mode.
        pattern: (points,).
        task: one with classes.
        mask: (points,) where it is measured, for a network that reads a mask.

    Returns:
        (units,) from 0 to 1, all 0 where nothing speaks for it; the index of the answer; its probability.

    Raises:
        InputError: a network without convolutions.
    """
    stage = _stage(network)
    kept: list[Tensor] = []
    handle = stage.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        mask_1L = None if mask is None else torch.from_numpy(mask)[None]
        outputs = network(torch.from_numpy(np.asarray(pattern, np.float32))[None], mask_1L)[task]
    finally:
        handle.remove()
    answer = int(outputs.argmax())
    (gradient,) = torch.autograd.grad(outputs[0, answer], kept[0])
    weight_C = gradient[0].mean(dim=1)
    cam = (weight_C[:, None] * kept[0][0]).sum(dim=0).clamp(min=0).detach().double().numpy()
    return cam / max(float(cam.max()), 1e-30), answer, float(outputs.softmax(dim=1)[0, answer].detach())


def unit_positions(network: Network) -> tuple[NDArray[np.float64], int]:
    """Where the units of the last convolutional stage stand, and how much one sees.

    Found from a copy of the body in which every kernel sees only its middle (the two middle points of an even one),
    pools take means and norms do nothing: what is left of the gradient of a unit lies about the middle of what it sees.
    Two units near the middle of the pattern give offset and step, so that padding at the ends does no harm. With whole
    kernels, the gradient of the middle unit reaches over what it sees.

    Returns:
        (units,) places in points of the pattern, and the points between the first and the last that the middle unit
        depends on.

    Raises:
        InputError: a network without convolutions.
    """
    _stage(network)
    kept, x_11L = _probe(network, middle_only=True)
    units = kept.shape[2]
    low, high = max(0, units // 2 - max(1, units // 8)), min(units - 1, units // 2 + max(1, units // 8))
    middles = []
    for unit in (low, high):
        weight = _seen(kept, x_11L, unit)
        middles.append(float((weight * np.arange(len(weight))).sum() / weight.sum()))
    step = (middles[1] - middles[0]) / max(high - low, 1)
    seen = np.flatnonzero(_seen(*_probe(network, middle_only=False), units // 2))
    return np.asarray(middles[0] + step * (np.arange(units) - low), np.float64), int(seen[-1] - seen[0] + 1)


def _seen(kept_1CU: Tensor, x_11L: Tensor, unit: int) -> NDArray[np.float64]:
    """(points,) gradient of one unit, all channels together."""
    (gradient,) = torch.autograd.grad(kept_1CU[0, :, unit].sum(), x_11L, retain_graph=True)
    return gradient[0, 0].double().numpy()


def _probe(network: Network, *, middle_only: bool) -> tuple[Tensor, Tensor]:
    """Units (1, C, U) of a copy of the body whose layers take plain means, of a pattern (1, 1, L) of ones.

    Args:
        network: whose body it is.
        middle_only: kernels see only their middle.
    """
    body = copy.deepcopy(network.body)
    for part in list(body.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, NORMS):
                setattr(part, name, nn.Identity())
            elif isinstance(child, nn.MaxPool1d):
                setattr(part, name, nn.AvgPool1d(child.kernel_size, child.stride, child.padding))
            elif isinstance(child, nn.Conv1d | nn.Linear):
                _average(child, middle_only)
    stage = last_stage(body)
    assert stage is not None
    kept: list[Tensor] = []
    stage.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    x_11L = torch.ones(1, 1, network.points, requires_grad=True)
    fitted_11L = x_11L
    if network.length != network.points:
        fitted_11L = functional.interpolate(x_11L, size=network.length, mode="linear", align_corners=False)
    body.eval()(fitted_11L.expand(-1, network.channels, -1))  # where a mask is the second channel, it is one as well
    return kept[0], x_11L


def _average(layer: nn.Conv1d | nn.Linear, middle_only: bool) -> None:
    """Let a layer take the mean over its channels, of its kernel or of the middle of that."""
    with torch.no_grad():
        layer.weight.zero_()
        kernel = layer.weight.shape[2] if layer.weight.ndim == 3 else 1
        middle = slice((kernel - 1) // 2, kernel // 2 + 1) if middle_only else slice(None)
        seen = layer.weight if layer.weight.ndim == 2 else layer.weight[:, :, middle]
        seen.fill_(1 / seen[0].numel())
        if layer.bias is not None:
            layer.bias.zero_()


def _stage(network: Network) -> nn.Module:
    stage = last_stage(network.body)
    if stage is None:
        raise InputError(
            f"{network.card.name}: has no convolution to look at; grad-cam takes networks with some, such as cnn11, "
            "resnet10 or alphadiffract"
        )
    return stage


def analyse(inputs: Inputs) -> Result:
    """Every pattern under every network and task.

    Raises:
        InputError: a network without convolutions, or a pattern that the record was not tested on.
    """
    rows: list[dict[str, Any]] = []
    panels: list[dict[str, Any]] = []
    notes = []
    for one in asked_networks(inputs):
        at, window = unit_positions(one.network)
        grid = angles_of(one.corpus.grid, one.label)
        angle = grid.start_deg + grid.step_deg * at
        notes.append(
            f"{one.label}: {len(at)} units in the last convolutional stage, one every "
            f"{grid.step_deg * abs(at[-1] - at[0]) / max(len(at) - 1, 1):.2f} degrees, with middles from "
            f"{angle[0]:.1f} to {angle[-1]:.1f}. One sees {grid.step_deg * (window - 1):.1f} degrees, so activation "
            "may lie up to half of that beside the line that causes it."
        )
        for task in one.tasks:
            for number in inputs.patterns:
                panel = _panel(one, task, number)
                cam, index, probability = class_activation(one.network, panel["pattern"], task.name, panel["mask"])
                panel["row"] |= {"answered": task.classes[index], "probability": probability}
                panels.append({**panel, "angle": angle, "cam": cam})
                units = zip(angle.tolist(), cam.tolist(), strict=True)
                rows += [{**panel["row"], "two_theta_deg": x, "activation": y} for x, y in units]
    if dead := sum(not panel["cam"].any() for panel in panels):
        notes.append(f"In {dead} of {len(panels)} panels no unit speaks for the answer: all is negative.")
    notes.append(
        "Activation is scaled to its own maximum in every panel. It says where the last stage reacts in favour of the "
        "answer, not why, and not which other angles would do as well."
    )
    return Result(rows, _figure(panels, inputs.patterns), notes)


def _panel(one: AskedNetwork, task: Task, number: int) -> dict[str, Any]:
    answers = one.record.answers(one.path.parent, ["pattern", "crystal", f"{task.name}_true"])
    found = answers.filter(pc.equal(answers["pattern"], number)).to_pylist()
    if not found:
        raise InputError(
            f"pattern {number}: not in {one.record.tested.name}, which {one.label} was tested on; its first one is "
            f"{answers['pattern'][0]}"
        )
    patterns, masks = one.read(np.array([number]))
    return {
        "row": {
            "network": one.label,
            "task": task.name,
            "pattern": number,
            "crystal": found[0]["crystal"],
            "true": found[0][f"{task.name}_true"],
        },
        "pattern": patterns[0],
        "mask": None if masks is None else masks[0],
        "two_theta": one.corpus.grid.two_theta_deg,
    }


def _word(task: str, value: int | None) -> str:
    if value is None:
        return "unknown"
    if task == "crystal_system":
        return SYSTEMS[value]
    return f"{value} ({symbol(value)})" if task == "space_group" else str(value)


def _figure(panels: list[dict[str, Any]], numbers: tuple[int, ...]) -> Figure:
    columns = list(grouped(panels, lambda panel: (panel["row"]["network"], panel["row"]["task"])))
    down, across = len(numbers), len(columns)
    figure, grid = canvas(6.2 * across, 0.6 + 1.9 * down, down, across, sharex="col")
    for panel in panels:
        row = panel["row"]
        axes = grid[numbers.index(row["pattern"]), columns.index((row["network"], row["task"]))]
        x, top = panel["two_theta"], float(panel["pattern"].max())
        shown = np.interp(x, panel["angle"], panel["cam"])
        image = axes.imshow(
            shown[None], extent=(x[0], x[-1], 0.0, 1.08), aspect="auto", cmap="YlOrRd", vmin=0, vmax=1, origin="lower"
        )
        axes.plot(x, np.sqrt(np.maximum(panel["pattern"], 0) / max(top, 1e-12)), color="#1f2933", linewidth=0.6)
        truth, said = (_word(row["task"], row[name]) for name in ("true", "answered"))
        verdict = f"{truth}, found" if truth == said else f"{truth}, taken for {said}"
        name_panel(axes, f"{row['pattern']}: {row['crystal']}, {verdict} ({row['probability']:.2f})", 8)
        axes.set_yticks([])
        axes.set_ylim(0, 1.08)
    for axes, (network, task) in zip(grid[-1], columns, strict=True):
        axes.set_xlabel(f"2θ (degrees); {network}, {task.replace('_', ' ')}", fontsize=9)
    figure.colorbar(image, ax=grid, label="activation", shrink=0.8)
    return figure
