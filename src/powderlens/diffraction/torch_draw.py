"""Lines of many patterns drawn on an accelerator: each only over its own window, those of about one length together.

Read `render_numpy.draw` first. l is the number of lines of all patterns, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from powderlens.diffraction.axial import NEAR
from powderlens.diffraction.conditions import SHAPES
from powderlens.diffraction.profile import VOIGT_COEFFICIENTS, VOIGT_FAR, VOIGT_L
from powderlens.diffraction.render_numpy import GAUSS_FADE, MIN_FWHM_DEG, TAIL
from powderlens.pattern.grid import Grid

LOG2, ROOT_PI = log(2.0), sqrt(pi)
SHORTEST_WINDOW = 8
PSEUDO_VOIGT, GAUSSIAN, LORENTZIAN, VOIGT = (
    SHAPES.index(name) for name in ("pseudo-voigt", "gaussian", "lorentzian", "voigt")
)


@dataclass(frozen=True)
class Lines:
    """(l,) pattern, position and widths in degrees, area; an area of 0 is no line.

    Then, by the conditions' shape, FWHM and Lorentzian share (of a Voigt, those of its stand-in), and the height in
    units of what can just be seen; below 1 a line is left out.
    """

    row: Tensor
    position: Tensor
    area: Tensor
    gauss: Tensor
    lorentz: Tensor
    width: Tensor
    eta: Tensor
    seen: Tensor


@dataclass(frozen=True)
class SubLines:
    """What axial divergence makes of lines: (s,) line, place in degrees and share; (l,) centroid, span, count."""

    line: Tensor
    place: Tensor
    share: Tensor
    centroid: Tensor
    span: Tensor
    count: Tensor


@dataclass(frozen=True)
class _Part:
    """One component of every line.

    Attributes:
        shape: the function that draws it.
        row, lo, length: (l,) the pattern, the first point and the number of points; 0 for lines without this component.
        centre: (l,) the grid point nearest to the line, which may lie off the grid.
        columns: what the shape wants of each line.
    """

    shape: Callable[..., Tensor]
    row: Tensor
    lo: Tensor
    length: Tensor
    centre: Tensor
    columns: tuple[Tensor, ...]


Window = tuple[Tensor, Tensor]


def thompson_cox_hastings(g: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """`profile.thompson_cox_hastings`, with eta kept within 0 to 1."""
    fifth = g**5 + 2.69269 * g**4 * x + 2.42843 * g**3 * x**2 + 4.47163 * g**2 * x**3 + 0.07842 * g * x**4 + x**5
    fwhm = fifth**0.2
    q = x / fwhm.clamp(min=1e-12)
    return fwhm, (1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3).clamp(0, 1)


def visible(
    row: Tensor,
    position: Tensor,
    area: Tensor,
    gauss: Tensor,
    lorentz: Tensor,
    *,
    shape: NDArray[np.int64],
    shape_b: Tensor,
    eta_b: Tensor,
    fade_b: Tensor,
) -> Lines:
    """`render_numpy.shapes`, and the area of what is too weak set to 0.

    The first five are (l,), see `Lines`; `shape` is (b,) each pattern's place in SHAPES on the host, `shape_b` the same
    on the device, `eta_b` the Lorentzian share of "pseudo-voigt", `fade_b` the weakest line over the strongest.
    """
    of = shape_b[row]
    width, eta = thompson_cox_hastings(gauss, lorentz)
    stand_ins: tuple[tuple[int, Tensor, Tensor | float], ...] = (
        (PSEUDO_VOIGT, gauss, eta_b[row]),
        (GAUSSIAN, gauss, 0.0),
        (LORENTZIAN, lorentz, 1.0),
    )
    for name, w, share in stand_ins:
        if (shape == name).any():
            width, eta = torch.where(of == name, w, width), torch.where(of == name, share, eta)
    width = width.clamp(min=MIN_FWHM_DEG)
    height = area / width
    top = torch.zeros(len(shape), dtype=torch.float64, device=row.device)
    top = top.scatter_reduce(0, row, height, "amax").clamp(min=1e-300)
    seen = height / (fade_b * top)[row]
    return Lines(row, position, torch.where(seen >= 1, area, 0.0), gauss, lorentz, width, eta, seen.clamp(min=1))


# Shapes: steps from the nearest grid point (l, w); offset of that point from the line and length of a step, both in the
# shape's own unit, and height (l, 1). The offset was taken in float64, so that float32 does no harm.


def _lorentzian(steps: Tensor, offset: Tensor, unit: Tensor, height: Tensor) -> Tensor:
    u = torch.addcmul(offset, unit, steps)
    return height / (u * u + 1.0)


def _gaussian(steps: Tensor, offset: Tensor, unit: Tensor, height: Tensor) -> Tensor:
    u = torch.addcmul(offset, unit, steps)
    return height * torch.exp(-(u * u))


def _voigt_far(steps: Tensor, offset: Tensor, unit: Tensor, height: Tensor, y: Tensor) -> Tensor:
    """Re w(z), z = x + i y, for |z| from VOIGT_FAR on: the fraction of `profile.faddeeva` in v = 1 / z^2.

    w = i / (sqrt(pi) z) (1 - 2.5 v) / (1 - 3 v + 0.75 v^2) does not overflow in float32, where powers of z do.
    """
    x = torch.addcmul(offset, unit, steps)
    d = 1.0 / (x * x + y * y)
    vr, vi = (x * x - y * y) * d * d, -2.0 * x * y * d * d
    nr, ni = 1.0 - 2.5 * vr, -2.5 * vi
    dr, di = 1.0 - 3.0 * vr + 0.75 * (vr * vr - vi * vi), (1.5 * vr - 3.0) * vi
    real, imaginary = nr * dr + ni * di, ni * dr - nr * di
    return height / ROOT_PI * d * (y * real - x * imaginary) / (dr * dr + di * di)


def _voigt_near(steps: Tensor, offset: Tensor, unit: Tensor, height: Tensor, y: Tensor) -> Tensor:
    """Re w(z) by the series of `profile.faddeeva` in Z = (L + i z) / (L - i z)."""
    x = torch.addcmul(offset, unit, steps)
    level = float(VOIGT_L)
    below = level + y
    d = 1.0 / (below * below + x * x)
    zr, zi = ((level - y) * below - x * x) * d, (x * below + (level - y) * x) * d
    sr, si = torch.full_like(x, float(VOIGT_COEFFICIENTS[0])), torch.zeros_like(x)
    for a in VOIGT_COEFFICIENTS[1:]:
        sr, si = sr * zr - si * zi + float(a), sr * zi + si * zr
    ir, ii = below * d, x * d
    jr, ji = ir * ir - ii * ii, 2.0 * ir * ii
    return height * (2.0 * (sr * jr - si * ji) + ir / ROOT_PI)


class Drawer:
    """Draws on one grid.

    Args:
        grid: where.
        device: of the lines.
        dtype: of the drawing.
        max_elements: no intermediate array is larger.
    """

    def __init__(self, grid: Grid, device: torch.device, dtype: torch.dtype, max_elements: int) -> None:
        self.points, self.device, self.dtype, self.max_elements = grid.points, device, dtype, max_elements
        # Numbers of Python: one of NumPy would take a tensor to the host.
        self.start_deg, self.step_deg = float(grid.start_deg), float(grid.step_deg)
        self.widths = [SHORTEST_WINDOW]
        while self.widths[-1] < grid.points:
            self.widths.append(min(2 * self.widths[-1], grid.points))
        self._edges = torch.tensor([0, *self.widths], dtype=torch.float64, device=device)
        self._buckets = torch.arange(1, len(self.widths) + 2, device=device)
        self._ramp = torch.arange(self.widths[-1], device=device)

    def draw(self, found: Lines, sub: SubLines | None, shape: NDArray[np.int64], shape_b: Tensor) -> Tensor:
        """The sum of all lines of each pattern, `render_numpy.draw`.

        Args:
            found: all lines.
            sub: their sub-lines; None where no pattern has axial divergence.
            shape: (b,) place of each pattern's shape in SHAPES, on the host.
            shape_b: the same on the device.

        Returns:
            (b, points).
        """
        there, voigt, points = found.area > 0, shape_b[found.row] == VOIGT, self.points
        far = found.width * (0.5 * torch.sqrt(found.eta * found.seen)).clamp(min=TAIL)
        far = torch.where(found.eta > 0, far, 0.0)
        core = found.width * torch.sqrt(torch.log(found.seen / GAUSS_FADE) / (4 * LOG2))
        height = found.area / found.width
        centroid = found.position if sub is None else sub.centroid
        whole = self._window(centroid, far, there & ~voigt & (found.eta > 0))
        per_degree, lorentz = 2 / found.width, (2 / pi) * found.eta * height
        peak = 2 * sqrt(LOG2 / pi) * (1 - found.eta) * height
        inner, parts = whole, []
        if sub is None:
            everything = torch.arange(len(found.row), device=self.device)
            sub = SubLines(
                everything, found.position, torch.ones_like(height), centroid, far, torch.ones_like(everything)
            )
        else:
            near = sub.span + NEAR * torch.sqrt(sub.span * found.width)
            near_lo, near_hi = self._window(centroid, torch.minimum(near, far), there)
            one = sub.count <= 1
            near_lo = torch.where(one, whole[0], torch.minimum(torch.maximum(near_lo, whole[0]), whole[1]))
            near_hi = torch.where(one, whole[1], torch.maximum(torch.minimum(near_hi, whole[1]), near_lo))
            inner = (near_lo, near_hi)
            for tail in ((whole[0], near_lo), (near_hi, whole[1])):
                parts.append(self._part(_lorentzian, found.row, centroid, tail, per_degree, lorentz))
        line, place, share = sub.line, sub.place, sub.share
        row = found.row[line]
        if (shape != VOIGT).any():
            mine = (inner[0][line], inner[1][line])
            parts.append(self._part(_lorentzian, row, place, mine, per_degree[line], share * lorentz[line]))
            mine = self._window(place, core[line], (there & ~voigt & (found.eta < 1))[line])
            per_degree = 2 * sqrt(LOG2) / found.width
            parts.append(self._part(_gaussian, row, place, mine, per_degree[line], share * peak[line]))
        if (shape == VOIGT).any():
            lo, hi = self._window(centroid, torch.maximum(far, core), there & voigt)
            area = share * found.area[line]
            parts += self._voigt_parts(row, place, (lo[line], hi[line]), found.gauss[line], found.lorentz[line], area)
        # Windows are rounded up, so the last one may reach beyond the last pattern.
        out = torch.zeros(len(shape) * points + self.widths[-1], dtype=self.dtype, device=self.device)
        self._add(out, parts)
        return out[: len(shape) * points].view(len(shape), points)

    def _window(self, position: Tensor, reach_deg: Tensor, there: Tensor) -> Window:
        """First point and end of what lies within a reach; empty where there is no line."""
        start, step, points = self.start_deg, self.step_deg, self.points
        lo = torch.ceil((position - reach_deg - start) / step).clamp(0, points)
        hi = (torch.floor((position + reach_deg - start) / step) + 1).clamp(0, points)
        return lo, torch.where(there, torch.maximum(hi, lo), lo)

    def _part(
        self,
        shape: Callable[..., Tensor],
        row: Tensor,
        position: Tensor,
        window: Window,
        per_degree: Tensor,
        height: Tensor,
        *more: Tensor,
    ) -> _Part:
        """A component whose own unit is 1 / per_degree."""
        lo, hi = window
        place = (position - self.start_deg) / self.step_deg
        centre, unit = torch.round(place), self.step_deg * per_degree
        columns = tuple(column.to(self.dtype) for column in ((centre - place) * unit, unit, height, *more))
        return _Part(shape, row, lo, hi - lo, centre, columns)

    def _voigt_parts(
        self, row: Tensor, position: Tensor, whole: Window, gauss: Tensor, lorentz: Tensor, area: Tensor
    ) -> list[_Part]:
        """True Voigts: the series near the centre, the fraction on both sides of it."""
        per_degree = 2 * sqrt(LOG2) / gauss.clamp(min=MIN_FWHM_DEG)
        y = 0.5 * lorentz * per_degree
        lo, hi = whole
        reach = torch.sqrt((VOIGT_FAR**2 - y * y).clamp(min=0)) / per_degree
        near_lo, near_hi = self._window(position, reach, y < VOIGT_FAR)
        near_lo = torch.minimum(torch.maximum(near_lo, lo), hi)
        near_hi = torch.maximum(torch.minimum(near_hi, hi), near_lo)
        height = area * per_degree / ROOT_PI
        windows = (_voigt_near, (near_lo, near_hi)), (_voigt_far, (lo, near_lo)), (_voigt_far, (near_hi, hi))
        return [self._part(shape, row, position, window, per_degree, height, y) for shape, window in windows]

    def _add(self, out: Tensor, parts: Sequence[_Part]) -> None:
        """Add all parts to the patterns, which lie one after the other in `out`."""
        sorted_parts = [torch.sort(torch.bucketize(part.length, self._edges), stable=True) for part in parts]
        edges = [torch.searchsorted(bucket, self._buckets) for bucket, _ in sorted_parts]
        integer = torch.int32 if len(out) < 2**31 else torch.int64
        # The one wait for the device: how many lines have windows of each length.
        for part, (_, order), counted in zip(parts, sorted_parts, torch.stack(edges).tolist(), strict=True):
            for width, first, last in zip(self.widths, counted[:-1], counted[1:], strict=True):
                ramp = self._ramp[:width].to(integer)
                run, size = ramp.to(self.dtype), max(1, self.max_elements // width)
                for at in range(first, last, size):
                    mine = order[at : min(at + size, last)]
                    lo = part.lo[mine]
                    begin = (part.row[mine] * self.points + lo.to(torch.int64)).to(integer)
                    steps = (lo - part.centre[mine]).to(self.dtype)[:, None] + run
                    value = part.shape(steps, *(column[mine, None] for column in part.columns))
                    value = torch.where(run < part.length[mine, None].to(self.dtype), value, 0.0)
                    out.index_add_(0, (begin[:, None] + ramp).view(-1), value.view(-1))
