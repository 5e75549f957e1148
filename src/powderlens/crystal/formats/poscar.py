"""VASP's POSCAR and CONTCAR.

Source of the layout: VASP wiki, "POSCAR". Both forms are read, with element names (VASP 5) and without (VASP 4), when
the first line or the end of each coordinate line names them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import cube_root, determinant, inverse, product
from powderlens.core.errors import StructureError
from powderlens.core.text import printable
from powderlens.crystal.elements import element_from_text
from powderlens.crystal.from_sites import whole_cell
from powderlens.crystal.structure import BAD_RECORD, FARTHEST, MAX_ATOMS, Structure, check_lattice

LARGEST_NUMBER = 1e9
"""Vectors and scale factors beyond this are no lengths in any unit."""


def read_poscar(path: str | Path) -> Structure:
    """A structure from a POSCAR or CONTCAR; it has no symmetry operators, see `label.with_symmetry`.

    Raises:
        StructureError: not a POSCAR, no element names, or fewer coordinate lines than atoms.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise StructureError(f"{path.name}: cannot be read ({error.strerror})") from None
    try:
        return replace(_parse(lines), source=f"poscar:{path.name}")
    except StructureError as error:
        raise StructureError(f"{path.name}: {error}") from None


def poscar_structure(text: str) -> Structure:
    """A structure from the text of a POSCAR; see `read_poscar`.

    Raises:
        StructureError: as `read_poscar`.
    """
    return _parse(text.splitlines())


def _parse(lines: list[str]) -> Structure:
    try:
        return _read(lines)
    except BAD_RECORD as error:
        if isinstance(error, StructureError):
            raise
        raise StructureError("not a POSCAR: a number or line is missing") from None


def _read(lines: list[str]) -> Structure:
    rows = np.array([[float(v) for v in line.split()[:3]] for line in lines[2:5]])
    lattice = _scaled(rows, [float(v) for v in lines[1].split()])
    at = 5
    species: list[str] = []
    if not lines[at].split()[0].isdigit():
        species = [word.split("/")[0].split("_")[0] for word in lines[at].split()]
        at += 1
    counts = [int(word) for word in lines[at].split("!")[0].split()]
    n = sum(counts)
    if not 0 < n <= MAX_ATOMS:
        raise StructureError(f"{n} atoms; between 1 and {MAX_ATOMS} can be read")
    at += 1
    if lines[at].strip()[:1] in {"S", "s"}:
        at += 1
    cartesian = lines[at].strip()[:1] in {"C", "c", "K", "k"}
    coordinates = lines[at + 1 : at + 1 + n]
    if len(coordinates) < n:
        raise StructureError(f"{len(coordinates)} coordinate lines for {n} atoms")
    frac = np.array([[float(v) for v in line.split()[:3]] for line in coordinates])
    if not (near := np.abs(frac) < FARTHEST).all():
        raise StructureError(f"coordinate {frac.flat[near.argmin()]:g}; a cell runs from 0 to 1, or over its vectors")
    if cartesian:
        frac = product(product(frac, product(lattice, inverse(rows))), inverse(lattice))
    elements = _elements(species, counts, lines[0], coordinates)
    return whole_cell(lattice, elements, frac, name=printable(lines[0].strip()), source="poscar")


def _scaled(rows: NDArray[np.float64], scale: list[float]) -> NDArray[np.float64]:
    """Cell vectors times one factor, three factors, or up to a volume given as a negative number.

    Raises:
        StructureError: factors that are none, or vectors that are no cell.
    """
    if rows.shape != (3, 3):
        raise ValueError
    one = len(scale) == 1 and scale[0] != 0
    if not np.isfinite(scale).all() or not (one or (len(scale) == 3 and min(scale) > 0)):
        given = ", ".join(f"{v:g}" for v in scale) or "nothing"
        raise StructureError(f"scale factor {given}; give one number, not 0 (negative: the volume), or three above 0")
    if not np.isfinite(rows).all() or np.abs(rows).max() > LARGEST_NUMBER:
        raise StructureError("cell vectors: nine finite numbers are needed")
    factor = np.array(scale)
    if scale[0] < 0:
        check_lattice(rows)
        factor = np.full(1, cube_root(-scale[0] / float(determinant(rows))))
    if factor.max() > LARGEST_NUMBER:
        raise StructureError(f"scale factor {factor.max():g}; at most {LARGEST_NUMBER:g} is possible")
    scaled: NDArray[np.float64] = rows * factor
    check_lattice(scaled)
    return scaled


def _elements(species: list[str], counts: list[int], title: str, coordinates: list[str]) -> tuple[str, ...]:
    """One element for each atom: from the names, else the title, else the end of the coordinate lines."""
    if not species:
        words = title.split()
        if len(words) == len(counts) and all(element_from_text(word) == word for word in words):
            species = words
    if species:
        if len(species) != len(counts):
            raise StructureError(f"{len(species)} element names for {len(counts)} counts")
        texts = [name for name, count in zip(species, counts, strict=True) for _ in range(count)]
    else:
        texts = [line.split()[-1] if len(line.split()) > 3 else "" for line in coordinates]
    elements = []
    for text in texts:
        element = element_from_text(text)
        if element is None:
            known = f"unknown element {text!r}" if species else "no element names"
            raise StructureError(f"{known}; write them on the line above the counts")
        elements.append(element)
    return tuple(elements)
