"""Losses of single heads, from logits or cells.

Shapes: B patterns, C classes. A label of -1 and a cell of NaN stand for "not known": such patterns cost nothing, and
the mean is over the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from powderlens.core.errors import InputError
from powderlens.models.mixture import log_density
from powderlens.models.task import Task
from powderlens.symmetry.subgroups import distance_matrix
from powderlens.train.own import own_loss
from powderlens.train.recipe_parts import CellLikelihood, Focal, Gemd, LossRecipe, OwnLoss, SquaredCell, Weighted

UNKNOWN = -1
"""Label of a pattern whose class is not known, or is none of the task's."""


def cross_entropy(
    logits_BC: Tensor, labels_B: Tensor, *, weights_C: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Mean of -log p(truth), by class weight where weights are given.

    Args:
        logits_BC: (B, C).
        labels_B: (B,) 0 to C - 1, or `UNKNOWN`.
        weights_C: (C,) weight of patterns of each class; the mean is divided by the sum of weights, as torch does.
        smoothing: share of the truth that is spread over all classes.
    """
    cost_B = functional.cross_entropy(
        logits_BC, labels_B, weights_C, ignore_index=UNKNOWN, reduction="none", label_smoothing=smoothing
    )
    known_B = (labels_B != UNKNOWN).to(cost_B.dtype)
    counted_B = known_B if weights_C is None else known_B * weights_C[labels_B.clamp(min=0)]
    return cost_B.sum() / counted_B.sum().clamp(min=torch.finfo(cost_B.dtype).tiny)


def focal(logits_BC: Tensor, labels_B: Tensor, *, gamma: float, alpha: float) -> Tensor:
    """Mean of -alpha (1 - p)^gamma log p, p the probability of the truth: what is learnt already counts less.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 4, doi:10.1109/ICCV.2017.324.

    Args:
        logits_BC: (B, C).
        labels_B: (B,) 0 to C - 1, or `UNKNOWN`.
        gamma: 0 is the cross-entropy.
        alpha: factor of the whole.
    """
    cost_B = functional.cross_entropy(logits_BC, labels_B, ignore_index=UNKNOWN, reduction="none")
    return alpha * ((1 - torch.exp(-cost_B)).clamp(min=0) ** gamma * cost_B).sum() / _known(labels_B)


def expected_distance(logits_BC: Tensor, labels_B: Tensor, distance_CC: Tensor) -> Tensor:
    """Mean over patterns of the distance to the truth that the predicted probabilities expect.

    Args:
        logits_BC: (B, C).
        labels_B: (B,) 0 to C - 1, or `UNKNOWN`.
        distance_CC: (C, C), of row truth and column prediction.
    """
    expected_B = (distance_CC[labels_B.clamp(min=0)] * logits_BC.softmax(dim=1)).sum(dim=1)
    return (expected_B * (labels_B != UNKNOWN)).sum() / _known(labels_B)


def gemd(logits_BC: Tensor, labels_B: Tensor, distance_CC: Tensor, *, mu: float, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy plus mu times the expected graph distance.

    Source: AlphaDiffract, arXiv:2603.23367, section 2.2; mu = 1 there.
    """
    expected = expected_distance(logits_BC, labels_B, distance_CC)
    return cross_entropy(logits_BC, labels_B, smoothing=smoothing) + mu * expected


def squared_cell_loss(predicted_B6: Tensor, true_B6: Tensor) -> Tensor:
    """Mean squared error over the six values of a cell, in A^2 and degrees^2 as they are (AlphaDiffract)."""
    filled_B6, share = _fill(predicted_B6, true_B6)
    return functional.mse_loss(predicted_B6, filled_B6) / share


def cell_likelihood(mixture_BM: Tensor, true_B6: Tensor) -> Tensor:
    """Mean of the negative logarithm of the density at the true cell, over patterns whose cell is known."""
    seen_B = torch.isfinite(true_B6).all(dim=1)
    typical_6 = torch.tensor([7.0, 7.0, 7.0, 90.0, 90.0, 90.0], dtype=true_B6.dtype, device=true_B6.device)
    density_B = log_density(mixture_BM, torch.where(seen_B[:, None], true_B6, typical_6))
    return -(density_B * seen_B).sum() / seen_B.sum().clamp(min=1)


def lattice_loss(predicted_B6: Tensor, true_B6: Tensor) -> Tensor:
    """Mean Huber loss of log lengths (transition at 5 %) and of angles in units of 20 degrees (at 1 degree).

    Logarithms make an error of 1 % count the same for 3 A and for 30 A.
    """
    lengths = functional.smooth_l1_loss(predicted_B6[:, :3].log(), true_B6[:, :3].log(), beta=0.05)
    angles = functional.smooth_l1_loss(predicted_B6[:, 3:] / 20, true_B6[:, 3:] / 20, beta=0.05)
    return lengths + angles


class TaskLoss(nn.Module):
    """The loss of one head as a recipe asks for it.

    Args:
        task: of the head.
        wanted: which loss.
        counts: patterns in training by class (`task.classes`), for inverse frequency.

    Raises:
        InputError: a loss that does not fit the task, frequencies that are not known, or a loss of the user's that
            cannot be found.
    """

    weights_C: Tensor | None
    distance_CC: Tensor | None

    def __init__(self, task: Task, wanted: LossRecipe, counts: Mapping[int, int] | None = None) -> None:
        super().__init__()
        self.wanted = wanted
        weights = distance = None
        if isinstance(wanted, Weighted):
            if counts is None:
                raise InputError(f"task {task.name}: inverse frequencies need a corpus, whose classes can be counted")
            weights = inverse_frequencies(task, counts)
        if isinstance(wanted, Gemd):
            if task.name != "space_group":
                raise InputError(f"task {task.name}: graph distances are between space groups; take another loss")
            at = np.array(task.classes) - 1
            distance = torch.from_numpy(distance_matrix()[np.ix_(at, at)].astype(np.float32))
        self.own = own_loss(wanted.name) if isinstance(wanted, OwnLoss) else None
        self.register_buffer("weights_C", weights, persistent=False)
        self.register_buffer("distance_CC", distance, persistent=False)

    def forward(self, answer: Tensor, truth: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            answer: (B, C) logits, or (B, 6) cells.
            truth: (B,) labels, or (B, 6) cells.
        """
        w, answer = self.wanted, answer.float()
        if isinstance(w, OwnLoss):
            return self._of_user(w, answer, truth)
        if isinstance(w, Gemd):
            assert self.distance_CC is not None
            return gemd(answer, truth, self.distance_CC, mu=w.mu, smoothing=w.smoothing)
        if isinstance(w, Focal):
            return focal(answer, truth, gamma=w.gamma, alpha=w.alpha)
        if isinstance(w, CellLikelihood):
            return cell_likelihood(answer, truth)
        if isinstance(w, SquaredCell):
            return squared_cell_loss(answer, truth)
        if w.kind == "log_huber":
            filled, share = _fill(answer, truth)
            return lattice_loss(answer, filled) / share
        return cross_entropy(answer, truth, weights_C=self.weights_C, smoothing=getattr(w, "smoothing", 0.0))

    def _of_user(self, wanted: OwnLoss, answer: Tensor, truth: Tensor) -> Tensor:
        """The user's loss of the patterns whose truth is known; 0 of none."""
        assert self.own is not None
        seen_B = truth != UNKNOWN if truth.ndim == 1 else torch.isfinite(truth).all(dim=1)
        if not seen_B.any():
            return answer.sum() * 0.0
        loss = self.own(answer[seen_B], truth[seen_B], **wanted.settings)
        if not isinstance(loss, Tensor) or loss.ndim:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise InputError(f"loss {wanted.name}: gives {got}; a loss is one number, a tensor of no dimension")
        return loss


def inverse_frequencies(task: Task, counts: Mapping[int, int]) -> Tensor:
    """(C,) weights N / (K n), n patterns of a class, N of all, K classes that occur; a class that does not counts 1.

    Args:
        task: with classes.
        counts: patterns by class.
    """
    n = np.array([counts.get(value, 0) for value in task.classes], float)
    return torch.from_numpy((n.sum() / (max((n > 0).sum(), 1) * np.maximum(n, 1))).astype(np.float32))


def _known(labels_B: Tensor) -> Tensor:
    return (labels_B != UNKNOWN).sum().clamp(min=1)


def _fill(predicted_B6: Tensor, true_B6: Tensor) -> tuple[Tensor, Tensor]:
    """The true cells, unknown ones replaced by what is predicted, and the share of known ones."""
    known_B1 = torch.isfinite(true_B6).all(dim=1, keepdim=True)
    share = known_B1.float().mean().clamp(min=1 / len(true_B6))
    return torch.where(known_B1, true_B6, predicted_B6.detach()), share
