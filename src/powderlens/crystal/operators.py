"""Symmetry operators: from text, to text, and the space group they make."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import gemmi
import moyopy
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError

Operators = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(m, 3, 3) rotations, acting on fractional columns, and (m, 3) translations."""

SEITZ_DENOMINATOR = 24
"""gemmi keeps operators as integers in units of 1/24."""


def operators_from_triplets(triplets: Iterable[str]) -> Operators:
    """Operators from texts such as "-y,x-y,z+1/3".

    Args:
        triplets: one text an operator.

    Returns:
        (m, 3, 3) integer rotations acting on fractional columns and (m, 3) translations in [0, 1); repeats dropped.

    Raises:
        StructureError: a text that is no operator.
    """
    seen: dict[tuple[int, ...], None] = {}
    for text in triplets:
        try:
            operator = gemmi.Op(text.lower().replace(" ", "")).wrap()
        except (RuntimeError, ValueError) as error:
            raise StructureError(f"symmetry: {text!r} is no operator ({error})") from None
        entries = [v for row in operator.rot for v in row]
        if any(v % SEITZ_DENOMINATOR for v in entries):
            raise StructureError(f"symmetry: {text!r} is no operator of a lattice")
        seen[(*(v // SEITZ_DENOMINATOR for v in entries), *operator.tran)] = None
    if not seen:
        raise StructureError("symmetry: no operators")
    table = np.array(list(seen), dtype=np.int64)
    return table[:, :9].reshape(-1, 3, 3), table[:, 9:] / SEITZ_DENOMINATOR


def triplet(rotation: NDArray[np.int64], translation: NDArray[np.float64]) -> str:
    """Text of one operator, as "-y,x-y,z+1/3"."""
    tran = [int(Fraction(float(t)).limit_denominator(SEITZ_DENOMINATOR) * SEITZ_DENOMINATOR) for t in translation]
    operator = gemmi.Op()
    operator.rot = (rotation * SEITZ_DENOMINATOR).tolist()
    operator.tran = tran
    return operator.wrap().triplet()


def space_group_number(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> int | None:
    """International Tables number (1 to 230) of a complete set of operators in any setting; None when it is none.

    Args:
        rotations: (m, 3, 3), acting on fractional columns, centring included.
        translations: (m, 3).
    """
    operators = []
    for rotation, translation in zip(rotations, translations, strict=True):
        operator = gemmi.Op()
        operator.rot = (rotation * SEITZ_DENOMINATOR).tolist()
        operator.tran = np.round(translation * SEITZ_DENOMINATOR).astype(int).tolist()
        operators.append(operator.wrap())
    found: gemmi.SpaceGroup | None = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operators))
    if found is not None:
        return int(found.number)
    basis = primitive_basis(rotations, translations)
    into = np.linalg.inv(basis.T)
    primitive_rotations = np.round(into @ rotations @ basis.T).astype(np.int64)
    primitive_translations = (translations @ into.T) % 1.0
    first = np.unique(primitive_rotations.reshape(-1, 9), axis=0, return_index=True)[1]
    # Any cell that the rotations keep will do: the mean metric, as a lattice.
    metric = np.mean(rotations.transpose(0, 2, 1) @ rotations, axis=0)
    try:
        kind = moyopy.SpaceGroup(
            primitive_rotations[first].tolist(),
            primitive_translations[first].tolist(),
            basis=(basis @ np.linalg.cholesky(metric)).tolist(),
        )
    except ValueError:
        return None
    return int(kind.number)


def primitive_basis(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Basis vectors of the primitive lattice, from the pure translations among the operators.

    Args:
        rotations: (m, 3, 3).
        translations: (m, 3).

    Returns:
        (3, 3), rows in fractions of the given cell, right-handed.

    Raises:
        StructureError: the pure translations are no group.
    """
    pure = translations[(rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))]
    k = len(pure)
    if k <= 1:
        return np.eye(3)
    # k translations are a group of order k: each is a multiple of 1/k, so that k * translation is whole.
    steps = np.round(pure * k).astype(int)
    rows = _row_basis([[k, 0, 0], [0, k, 0], [0, 0, k], *steps.tolist()])
    if np.abs(pure * k - steps).max() > 0.1 or round(k**3 / abs(rows[0][0] * rows[1][1] * rows[2][2])) != k:
        raise StructureError("symmetry: the centring translations are no group")
    basis = np.array(rows) / k
    return basis if np.linalg.det(basis) > 0 else -basis


def check_group(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> None:
    """Refuse operators that are not a whole group modulo lattice translations.

    Raises:
        StructureError: identity missing, a product of two missing, or a matrix that is no rotation or reflection.
    """
    if not (np.abs(np.linalg.det(rotations)).round(6) == 1).all():
        raise StructureError("symmetry: an operator is no rotation or reflection")
    packed = _pack(rotations, translations)
    if _pack(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)))[0] not in packed:
        raise StructureError("symmetry: the operators lack the identity x,y,z")
    products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 3, 3)
    shifts = (np.einsum("aij,bj->abi", rotations, translations) + translations[:, None, :]).reshape(-1, 3)
    if np.abs(products).max() > 3 or not np.isin(_pack(products, shifts), packed).all():
        raise StructureError("symmetry: the operators are no group, a product of two is missing")


def _pack(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> NDArray[np.int64]:
    """One integer for each operator: rotation entries -3..3 in base 7, translations modulo 1 in 1/24."""
    steps = np.round(translations * SEITZ_DENOMINATOR).astype(np.int64) % SEITZ_DENOMINATOR
    codes = (rotations.reshape(-1, 9).astype(np.int64) + 3) @ (7 ** np.arange(9, dtype=np.int64))
    packed: NDArray[np.int64] = codes * SEITZ_DENOMINATOR**3 + steps @ np.array(
        [SEITZ_DENOMINATOR**2, SEITZ_DENOMINATOR, 1], dtype=np.int64
    )
    return packed


def _row_basis(rows: list[list[int]]) -> list[list[int]]:
    """Triangular basis of the lattice that whole-number rows span (Hermite, by Euclid's algorithm)."""
    basis: list[list[int]] = []
    for column in range(3):
        while True:
            live = [row for row in rows if row[column]]
            if len(live) <= 1:
                break
            pivot = min(live, key=lambda row: abs(row[column]))
            for row in live:
                if row is not pivot:
                    factor = row[column] // pivot[column]
                    row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        basis += live
        rows = [row for row in rows if not row[column]]
    return basis
