"""The library on disk: lines of known phases as one compressed, unpickled NumPy file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.constants import ANODES
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Structure

WAVELENGTH_A = ANODES["Cu"].mean_A
RANGE_DEG = (3.0, 92.0)
WEAKEST = 0.004
MAX_LINES = 90
UNKNOWN_U_A2 = 0.010
"""Displacement given to atoms whose structure states none: without one, lines at high angle come out too strong."""
PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Order of the six components of a symmetric tensor."""


def quadratic(hkl: NDArray[np.int64]) -> NDArray[np.float64]:
    """(m, 6) products h_i h_j (twice off the diagonal), so that 1/d^2 = quadratic(hkl) @ G* in the order of PAIRS."""
    h = hkl.astype(float)
    return np.stack([h[:, i] * h[:, j] * (1 if i == j else 2) for i, j in PAIRS], axis=1)


def invariant_metrics(rotations: NDArray[np.int64], metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Basis of the changes of the reciprocal metric that a point group allows.

    Args:
        rotations: (n, 3, 3) real-space rotation parts W; the reciprocal metric transforms as W G* W^T.
        metric: (3, 3) reciprocal metric; its diagonal sets the scale of each component.

    Returns:
        (6, 6) rows are basis changes in the order of PAIRS, orthonormal after division by the scale; unused rows 0.
    """
    size = np.sqrt(np.diag(metric))
    scale = np.array([size[i] * size[j] for i, j in PAIRS])
    projected = np.zeros((6, 6))
    for row, (i, j) in enumerate(PAIRS):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = scale[row]
        mean = np.mean([w @ unit @ w.T for w in rotations], axis=0)
        projected[row] = [mean[a, b] for a, b in PAIRS]
    _, values, vectors = np.linalg.svd(projected / scale)
    vectors[values < 1e-6] = 0.0
    return vectors * scale


class Entry(NamedTuple):
    """What the table keeps of one phase."""

    name: str
    formula: str
    source: str
    space_group: int
    niggli: tuple[float, ...]
    metric: NDArray[np.float64]
    freedom: NDArray[np.float64]
    hkl: NDArray[np.int64]
    amplitude: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LibraryTable:
    """n phases and their lines.

    Attributes:
        name, formula, source: (n,) strings.
        space_group: (n,) International Tables numbers.
        niggli: (n, 6) A and degrees.
        metric: (n, 6) reciprocal metric tensor in the order of PAIRS, 1/A^2.
        freedom: (n, 6, 6) see `invariant_metrics`.
        offset: (n + 1,) first line of each phase.
        hkl: (lines, 3) int8.
        amplitude: (lines,) uint8, 255 * sqrt(intensity / strongest), copper K-alpha.
    """

    name: NDArray[np.str_]
    formula: NDArray[np.str_]
    source: NDArray[np.str_]
    space_group: NDArray[np.int16]
    niggli: NDArray[np.float32]
    metric: NDArray[np.float64]
    freedom: NDArray[np.float32]
    offset: NDArray[np.int32]
    hkl: NDArray[np.int8]
    amplitude: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.name)

    def lines(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Spacings in A and intensities (strongest 1) of phase i, longest spacing first."""
        part = slice(self.offset[i], self.offset[i + 1])
        d = 1 / np.sqrt(quadratic(self.hkl[part].astype(np.int64)) @ self.metric[i])
        order = np.argsort(-d)
        return d[order], (self.amplitude[part][order] / 255.0) ** 2

    def save(self, path: Path) -> None:
        """Write the table; aside first, then renamed."""
        with atomic_write(path) as aside, open(aside, "wb") as handle:
            np.savez_compressed(handle, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path | None = None) -> LibraryTable:
        """Read a table; None means the minerals that ship with powderlens."""
        where = path or Path(str(files("powderlens.library") / "data" / "minerals.npz"))
        try:
            with np.load(where, allow_pickle=False) as stored:
                return cls(**{f.name: stored[f.name] for f in fields(cls)})
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{where}: not a library of powderlens ({error})") from None


def library_entry(structure: Structure) -> Entry:
    """Lines of one phase under copper K-alpha, strongest first, families at one angle joined.

    Raises:
        InputError: no reflection in range.
    """
    from powderlens.crystal.label import with_symmetry
    from powderlens.diffraction.reflections import reflections

    labelled = with_symmetry(structure)
    assert labelled.space_group is not None
    known = np.where(np.isfinite(labelled.u_iso_A2), labelled.u_iso_A2, UNKNOWN_U_A2)
    filled = Structure(
        lattice=labelled.lattice,
        elements=labelled.elements,
        frac=labelled.frac,
        occupancy=labelled.occupancy,
        u_iso_A2=known,
        beta=labelled.beta,
        rotations=labelled.rotations,
        translations=labelled.translations,
        name=labelled.name,
    )
    table = reflections(filled, d_min_A=WAVELENGTH_A / (2 * np.sin(np.radians(RANGE_DEG[1] / 2))))
    angle, intensity = table.two_theta_deg(WAVELENGTH_A), table.intensity(WAVELENGTH_A)
    inside = angle >= RANGE_DEG[0]
    if not inside.any():
        raise InputError("no reflection in range")
    angle, intensity, hkl = angle[inside], intensity[inside], table.hkl[inside]
    fits = np.abs(hkl).max(axis=1) < 128
    angle, intensity, hkl = angle[fits], intensity[fits], hkl[fits]
    start = np.flatnonzero(np.concatenate([[True], np.diff(angle) > 0.002]))
    total = np.add.reduceat(intensity, start)
    strongest = [s + int(np.argmax(part)) for s, part in zip(start, np.split(intensity, start[1:]), strict=True)]
    keep = np.argsort(-total)[:MAX_LINES]
    keep = keep[total[keep] >= WEAKEST * total.max()]
    metric = labelled.reciprocal @ labelled.reciprocal.T
    return Entry(
        name=labelled.name,
        formula=labelled.formula,
        source=labelled.source,
        space_group=labelled.space_group,
        niggli=niggli_cell(labelled),
        metric=np.array([metric[i, j] for i, j in PAIRS]),
        freedom=invariant_metrics(labelled.rotations, metric),
        hkl=hkl[np.array(strongest)[keep]],
        amplitude=np.sqrt(total[keep] / total.max()),
    )


def join_entries(entries: Iterable[Entry]) -> LibraryTable:
    """The table of many entries."""
    rows = list(entries)
    if not rows:
        raise InputError("a library needs at least one phase")
    return LibraryTable(
        name=np.array([e.name for e in rows]),
        formula=np.array([e.formula[:80] for e in rows]),
        source=np.array([e.source for e in rows]),
        space_group=np.array([e.space_group for e in rows], np.int16),
        niggli=np.array([e.niggli for e in rows], np.float32),
        metric=np.array([e.metric for e in rows]),
        freedom=np.array([e.freedom for e in rows], np.float32),
        offset=np.cumsum([0, *(len(e.hkl) for e in rows)]).astype(np.int32),
        hkl=np.concatenate([e.hkl for e in rows]).astype(np.int8),
        amplitude=np.concatenate([np.round(255 * e.amplitude) for e in rows]).astype(np.uint8),
    )
