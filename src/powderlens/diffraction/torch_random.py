"""`core.random` and the inverse distributions of `noise.py` on an accelerator: word for word, number for number."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from powderlens.core.random import MASK, MULTIPLIER_0, MULTIPLIER_1, ROUNDS, WEYL_0, WEYL_1
from powderlens.diffraction.noise import EXACT_MEAN, cornish_fisher, far_tail, middle, near_tail

POISSON_ROUND = 16
"""Steps of the search for Poisson counts between two looks at which points are done."""


def philox(counter: tuple[Tensor | int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`core.random.philox` in int64: products wrap around, and masks keep the 32 bits that count.

    Args:
        counter: four int64 tensors (or numbers) that broadcast together, each below 2^32.
        seed: the key, below 2^63.

    Returns:
        Four int64 tensors that hold 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = seed & MASK, seed >> 32
    for _ in range(ROUNDS):
        a, b = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        # Words 1 and 3 keep their upper halves until they have been joined with the next product.
        c0, c1, c2, c3 = ((b >> 32) ^ c1 ^ k0) & MASK, b, ((a >> 32) ^ c3 ^ k1) & MASK, a
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1 & MASK, c2, c3 & MASK  # type: ignore[return-value]


def _blocks(seed: int, index: Tensor, purpose: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four words of every block of each pattern, (b, blocks) each."""
    blocks = torch.arange(-(-count // 4), device=index.device)
    return philox((blocks, int(purpose), index[:, None] & MASK, index[:, None] >> 32), seed)


def words(seed: int, index: Tensor, purpose: int, count: int) -> Tensor:
    """(b, count) int64, see `core.random.words`; index (b,) int64."""
    return torch.stack(_blocks(seed, index, purpose, count), dim=-1).reshape(len(index), -1)[:, :count]


def _unit(word: Tensor) -> Tensor:
    return (word.to(torch.float64) + 0.5) * 2.0**-32


def _pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two normal numbers of two words (Box and Muller), float64."""
    radius, turn = torch.sqrt(-2 * torch.log(_unit(first))), (2 * np.pi) * _unit(second)
    return radius * torch.cos(turn), radius * torch.sin(turn)


def uniform(seed: int, index: Tensor, purpose: int, count: int) -> Tensor:
    """(b, count) float64, see `core.random.uniform`."""
    return _unit(words(seed, index, purpose, count))


def normal(seed: int, index: Tensor, purpose: int, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """(b, count) in `dtype`, see `core.random.normal`."""
    w = _blocks(seed, index, purpose, count)
    four = torch.stack([z.to(dtype) for z in (*_pair(w[0], w[1]), *_pair(w[2], w[3]))], dim=-1)
    return four.reshape(len(index), -1)[:, :count]


def _words_at(seed: int, index: Tensor, purpose: int, place: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The blocks that hold number `place` of pattern `index`, (n,) each."""
    return philox((place >> 2, int(purpose), index & MASK, index >> 32), seed)


def uniform_at(seed: int, index: Tensor, purpose: int, place: Tensor) -> Tensor:
    """(n,) float64: number `place` of pattern `index`, both (n,) int64."""
    w = torch.stack(_words_at(seed, index, purpose, place))
    return _unit(w.gather(0, (place & 3)[None])[0])


def normal_at(seed: int, index: Tensor, purpose: int, place: Tensor) -> Tensor:
    """(n,) float64, as `uniform_at`."""
    w0, w1, w2, w3 = _words_at(seed, index, purpose, place)
    late = (place & 2) > 0
    cosine, sine = _pair(torch.where(late, w2, w0), torch.where(late, w3, w1))
    return torch.where((place & 1) > 0, sine, cosine)


def normal_inverse(u: Tensor) -> Tensor:
    """`noise.normal_inverse` (algorithm AS 241)."""
    q = u - 0.5
    depth = torch.sqrt(-torch.log(torch.minimum(u, 1 - u)))
    tail = torch.sign(q) * torch.where(depth <= 5, near_tail(depth), far_tail(depth))
    return torch.where(q.abs() <= 0.425, middle(q), tail)


def poisson_inverse(mean: Tensor, u: Tensor) -> Tensor:
    """`noise.poisson_inverse`: float64 of any shape; points whose search has ended leave it after every round."""
    many = mean.clamp(min=EXACT_MEAN)
    out = torch.floor(cornish_fisher(many, torch.sqrt(many), normal_inverse(u))).clamp(min=0)
    out = torch.where(mean > EXACT_MEAN, out, torch.zeros_like(out)).ravel()
    mean, u = mean.ravel(), u.ravel()
    total = torch.exp(-mean)
    at = torch.nonzero((mean <= EXACT_MEAN) & (u > total))[:, 0]
    mean, u, total = mean[at], u[at], total[at]
    probability, count = total, torch.zeros_like(total)
    k = 0
    while k < 1000 and len(at):
        for _ in range(POISSON_ROUND):
            more = u > total
            k += 1
            probability = probability * mean / k
            total = torch.where(more, total + probability, total)
            count = torch.where(more, float(k), count)
        out[at] = count
        more = torch.nonzero(u > total)[:, 0]
        at, mean, u, total, probability, count = (v[more] for v in (at, mean, u, total, probability, count))
    return out.view(many.shape)
