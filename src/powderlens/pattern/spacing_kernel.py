"""Compiled loops of grids of spacings: angles of positions, means over cells, the floor under the lines."""

from __future__ import annotations

import numpy as np

from powderlens.core.elementary_compiled import arcsin, compiled, exp

DEGREES = 180.0 / np.pi
BACKSCATTERED_DEG = 180.0


@compiled
def angles_deg(d_max_A, log_step, count, shift, wavelength_A):  # type: ignore[no-untyped-def]
    """(count,) 2theta of the spacings d_max exp(-log_step (i - shift)), degrees; 180 where there is none."""
    out = np.empty(count)
    for i in range(count):
        sine = 0.5 * wavelength_A / (d_max_A * exp(-log_step * (i - shift)))
        out[i] = 2.0 * DEGREES * arcsin(sine) if sine < 1.0 else BACKSCATTERED_DEG
    return out


@compiled
def means(x, y, edges, out):  # type: ignore[no-untyped-def]
    """Mean of the linearly joined profile over each cell, see `grid.cell_means`, in one walk.

    Args:
        x: (n,) positions, rising, at least two.
        y: (n,) values there.
        edges: (cells + 1,), not falling.
        out: (cells,) takes the means; 0 for a cell without profile.
    """
    at, last = 0, x.shape[0] - 2
    whole, before, edge_before = 0.0, 0.0, min(max(edges[0], x[0]), x[last + 1])
    for i in range(edges.shape[0]):
        edge = min(max(edges[i], x[0]), x[last + 1])
        while at < last and x[at + 1] < edge:
            whole += 0.5 * (x[at + 1] - x[at]) * (y[at + 1] + y[at])
            at += 1
        t = edge - x[at]
        area = whole + t * (y[at] + 0.5 * t * (y[at + 1] - y[at]) / (x[at + 1] - x[at]))
        if i > 0:
            width = edge - edge_before
            out[i - 1] = (area - before) / width if width > 1e-12 else 0.0
        before, edge_before = area, edge


@compiled
def subtract_floor(measured, angle, count, quantile):  # type: ignore[no-untyped-def]
    """Subtract the local quantile from consecutive points, and cut at zero, in place.

    Args:
        measured: (n,) intensities, n above 0.
        angle: (n,) positions, rising.
        count: windows, equally wide in the angle; the floor is linear between their middles.
        quantile: from 0 to 1.
    """
    n = measured.shape[0]
    at, level = np.empty(count), np.empty(count)
    found, low = 0, 0
    for window in range(count):
        end = angle[0] + (angle[n - 1] - angle[0]) * (window + 1) / count
        high = n if window == count - 1 else low
        while high < n and angle[high] < end:
            high += 1
        if high > low:
            rank = int(quantile * (high - low - 1))
            at[found] = 0.5 * (angle[low] + angle[high - 1])
            level[found] = np.partition(measured[low:high], rank)[rank]
            found += 1
        low = high
    k = 0
    for i in range(n):
        while k < found - 1 and at[k + 1] < angle[i]:
            k += 1
        floor = level[k]
        if k < found - 1 and angle[i] > at[k]:
            floor += (level[k + 1] - level[k]) * (angle[i] - at[k]) / (at[k + 1] - at[k])
        measured[i] = max(measured[i] - floor, 0.0)
