"""Resampling by hand and by torch; folding and thinning keep the points in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from powderlens.models.simxrd.resample import Fold, Resample, Thin


def by_hand(y: np.ndarray, length: int) -> np.ndarray:
    """Point i sits at (i + 1/2) * old / new - 1/2; beyond the ends the end values hold."""
    at = (np.arange(length) + 0.5) * y.shape[-1] / length - 0.5
    return np.stack([np.interp(at, np.arange(y.shape[-1]), row) for row in y])


@pytest.mark.parametrize("length", [10001, 4501, 2251, 8192, 8500, 1167, 3500])
def test_half_pixel_centres(length: int) -> None:
    y = np.random.default_rng(0).random((3, 3501)) * 100
    got = Resample(length)(torch.from_numpy(y)[:, None])[:, 0]
    assert np.abs(got.numpy() - by_hand(y, length)).max() < 100 * 2.5e-4  # torch finds places in single precision
    same = functional.interpolate(torch.from_numpy(y)[:, None], size=length, mode="linear", align_corners=False)
    assert torch.equal(got, same[:, 0])


def test_it_is_not_corner_to_corner() -> None:
    """Doubling 0, 1 gives 0, 1/4, 3/4, 1 and not 0, 1/3, 2/3, 1."""
    assert Resample(4)(torch.tensor([[[0.0, 1.0]]])).flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_the_right_length_passes_untouched() -> None:
    x = torch.rand(2, 1, 20)
    assert Resample(20)(x) is x


def test_one_point_a_step() -> None:
    x = torch.rand(2, 1, 11)
    assert torch.equal(Fold(11, 1)(x), x.transpose(1, 2))


def test_neighbours_share_a_step() -> None:
    fold = Fold(12, 4)
    assert fold.steps == 3
    assert fold(torch.arange(12.0).reshape(1, 1, 12)).tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]]
    assert Fold(3501, 20)(torch.rand(2, 1, 3501)).shape == (2, 175, 20)


@pytest.mark.parametrize("points", [20, 21, 29])
def test_thinning_keeps_the_last_point(points: int) -> None:
    kept = Thin(10)(torch.arange(float(points)).reshape(1, 1, points)).flatten().tolist()
    assert kept[-1] == points - 1
    assert set(np.diff(kept)) == {10.0}
    assert kept[0] < 10
