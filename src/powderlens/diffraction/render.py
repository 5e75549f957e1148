"""Patterns of crystals under given conditions: one call, three backends, the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.random import check_seed
from powderlens.diffraction.conditions import RECORD
from powderlens.diffraction.phase import Phase
from powderlens.pattern.grid import Grid

RenderBackend = Literal["numba", "numpy", "torch"]
BACKENDS = ("numba", "numpy", "torch")


def render(
    phases: Sequence[Phase],
    records: NDArray[np.void],
    grid: Grid,
    *,
    seed: int,
    index: int | NDArray[np.int64] = 0,
    impurities: Sequence[Phase | None] | None = None,
    backend: RenderBackend = "numba",
) -> NDArray[np.float64]:
    """One pattern for each phase and record.

    The strongest point of the lines is 1 before background and noise are added. Pattern `index` of a seed is the same
    alone or among others, on every backend (within 1e-4 of the maximum on `torch`, which draws in float32).

    Args:
        phases: b crystals, see `phase_of`.
        records: (b,) conditions, from `Protocol.draw` or `to_record`.
        grid: where to draw; its `wavelength_A` is not used, the conditions hold the lines.
        seed: of all random numbers.
        index: (b,) the number of each pattern under this seed, or that of the first, from which the others count on.
        impurities: b second phases, or None in their place.
        backend: "numba" (compiled), "numpy" (the one to read) or "torch" (batches, see `render_torch`).

    Returns:
        (b, points) intensities; zero where nothing was measured. A pattern whose first phase shows no line in the
        measured range is zero everywhere: noise alone would carry its labels.

    Raises:
        InputError: numbers of phases and records that differ, thermal offsets for a phase prepared without atoms.
    """
    check_seed(seed)
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    seconds: Sequence[Phase | None] = [None] * len(phases) if impurities is None else impurities
    if records.dtype != RECORD or not len(phases) == len(records) == len(seconds):
        raise InputError(f"{len(phases)} phases, {len(records)} records and {len(seconds)} impurities: one of each")
    moving = records["thermal_offset_A"] > 0
    for phase, second, moves in zip(phases, seconds, moving, strict=True):
        for one in (phase, second):
            if moves and one is not None and one.atoms is None:
                raise InputError(f"{one.name or 'phase'}: thermal offsets need its atoms; prepare it with offsets=True")
    numbers = np.asarray(index, np.int64)
    if numbers.ndim == 0:
        numbers = numbers + np.arange(len(phases))
    if backend == "numpy":
        from powderlens.diffraction.render_numpy import render as draw
    elif backend == "torch":
        from powderlens.diffraction.render_torch import render as draw
    else:
        from powderlens.diffraction.render_numba import render as draw
    return draw(phases, records, grid, seed, numbers, seconds)
