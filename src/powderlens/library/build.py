"""Making a library: the lines of each phase from its structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from powderlens.core.errors import InputError, PowderlensError
from powderlens.crystal.label import with_symmetry
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Reject, Structure
from powderlens.diffraction.reflections import reflections
from powderlens.library.table import (
    ANGLE_STEP_DEG,
    MAX_LINES,
    RANGE_DEG,
    UNKNOWN_U_A2,
    WAVELENGTH_A,
    WEAKEST,
    LibraryPhase,
    LibraryTable,
    join_entries,
)


def library_entry(structure: Structure) -> LibraryPhase:
    """Lines of one phase under copper K-alpha, strongest first, families at one angle joined.

    Raises:
        InputError: no reflection in range.
    """
    labelled = with_symmetry(structure)
    assert labelled.space_group is not None
    known = np.where(np.isfinite(labelled.u_iso_A2), labelled.u_iso_A2, UNKNOWN_U_A2)
    filled = replace(labelled, u_iso_A2=known)
    table = reflections(filled, d_min_A=WAVELENGTH_A / (2 * np.sin(np.radians(RANGE_DEG[1] / 2))))
    angle, intensity = table.two_theta_deg(WAVELENGTH_A), table.intensity(WAVELENGTH_A)
    inside = angle >= RANGE_DEG[0]
    if not inside.any():
        raise InputError("no reflection in range")
    angle, intensity = angle[inside], intensity[inside]
    start = np.flatnonzero(np.concatenate([[True], np.diff(angle) > ANGLE_STEP_DEG]))
    total = np.add.reduceat(intensity, start)
    keep = np.argsort(-total)[:MAX_LINES]
    keep = keep[total[keep] >= WEAKEST * total.max()]
    return LibraryPhase(
        name=labelled.name,
        formula=labelled.formula,
        source=labelled.source,
        space_group=labelled.space_group,
        niggli=niggli_cell(labelled),
        angle_deg=angle[start][keep],
        amplitude=np.sqrt(total[keep] / total.max()),
    )


def build_library(items: Iterable[Structure | Reject]) -> tuple[LibraryTable, Counter[str]]:
    """A library of all structures that can be drawn, and the others counted by reason."""
    entries: list[LibraryPhase] = []
    rejects: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Reject):
            rejects[item.reason] += 1
            continue
        try:
            entries.append(library_entry(item))
        except PowderlensError as error:
            rejects[Reject.of(item, error).reason] += 1
    return join_entries(entries), rejects
