"""What the specimen does to the ideal pattern: strain of the cell and preferred orientation (compiled)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary_compiled import compiled
from powderlens.core.errors import InputError
from powderlens.crystal.label import find_symmetry, with_whole_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction.kernel import inv_d2_of, metric_of


@compiled
def strained_metric(lattice, rotations, strain):  # type: ignore[no-untyped-def]
    """Metric tensor of the strained cell, averaged over the point group so that the crystal system stays.

    The symmetric tensors invariant under a point group form a linear space, and the mean over the group projects
    onto it (International Tables for Crystallography D, section 1.1.4): W^T G W = G holds for the mean.

    Args:
        lattice: (3, 3) rows are cell vectors, A.
        rotations: (n, 3, 3) rotation parts W, x' = W x; a full group.
        strain: (3, 3) symmetric, Cartesian, dimensionless and small.

    Returns:
        (3, 3) metric tensor G = L (1 + e)^2 L^T after the mean, A^2.
    """
    stretched = lattice.copy()
    for i in range(3):
        for j in range(3):
            for k in range(3):
                stretched[i, j] += lattice[i, k] * strain[k, j]
    metric = metric_of(stretched)
    out = np.zeros((3, 3))
    n = rotations.shape[0]
    for r in range(n):
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    for m in range(3):
                        out[i, j] += rotations[r, k, i] * metric[k, m] * rotations[r, m, j]
    return out / n


@compiled
def march_dollase(hkl, reciprocal_metric, rotations, axis, r):  # type: ignore[no-untyped-def]
    """Mean March-Dollase factor of each family.

    (r^2 cos^2 a + sin^2 a / r)^(-3/2) with a the angle between the reflection and the texture axis, averaged over the
    family. Source: Dollase, J. Appl. Cryst. 19, 267 (1986). r = 1: no texture; r < 1: plates; r > 1: needles.

    Args:
        hkl: (m, 3) representatives.
        reciprocal_metric: (3, 3) G*, 1/A^2.
        rotations: (n, 3, 3) a full group.
        axis: (3,) hkl of the texture axis.
        r: March parameter, positive.

    Returns:
        (m,) factors.
    """
    m, n = hkl.shape[0], rotations.shape[0]
    out, norm2 = np.empty(m), inv_d2_of(hkl, reciprocal_metric)
    t = np.empty(3)
    for i in range(3):
        t[i] = reciprocal_metric[i, 0] * axis[0] + reciprocal_metric[i, 1] * axis[1] + reciprocal_metric[i, 2] * axis[2]
    t_norm = np.sqrt(axis[0] * t[0] + axis[1] * t[1] + axis[2] * t[2])
    # h W . t equals h . (W t): turn the axis once instead of every reflection.
    turned = np.empty((n, 3))
    for k in range(n):
        for i in range(3):
            turned[k, i] = rotations[k, i, 0] * t[0] + rotations[k, i, 1] * t[1] + rotations[k, i, 2] * t[2]
    for j in range(m):
        h0, h1, h2 = float(hkl[j, 0]), float(hkl[j, 1]), float(hkl[j, 2])
        total = 0.0
        for k in range(n):
            cosine = (h0 * turned[k, 0] + h1 * turned[k, 1] + h2 * turned[k, 2]) / t_norm
            c2 = min(cosine * cosine / norm2[j], 1.0)
            base = r * r * c2 + (1.0 - c2) / r
            total += 1.0 / (base * np.sqrt(base))
        out[j] = total / n
    return out


def strain_tensor(strain: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) symmetric tensor from its xx, yy, zz, yz, xz, xy (tensor components, not engineering shears)."""
    xx, yy, zz, yz, xz, xy = strain
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def strained_structure(
    structure: Structure, strain: Sequence[float] | NDArray[np.float64], *, keep_system: bool = True
) -> Structure:
    """The crystal under a small strain; fractional coordinates stay.

    With `keep_system` the strained metric is averaged over the point group, as in `strained_metric`: crystal system,
    space group and operators stay, and only what the symmetry allows of the strain is left. The cell is not turned:
    L' = L S with S symmetric, S^2 = L^-1 G' L^-T. Without it the lattice is L (1 + e), and group and operators are
    found anew.

    Args:
        structure: its symmetry is found where it has none; a supercell that lacks operators of its crystal becomes its
            primitive cell.
        strain: xx, yy, zz, yz, xz, xy, Cartesian, dimensionless. Linear elasticity ends near 0.1.
        keep_system: average over the point group, or let the symmetry break.

    Returns:
        The strained structure, labelled.

    Raises:
        InputError: the strain turns the cell inside out.
    """
    tensor = strain_tensor(strain)
    least = float(np.linalg.eigvalsh(tensor).min())
    if not least > -1:
        given = " ".join(f"{v:g}" for v in strain)
        raise InputError(f"strain = {given}: shrinks a direction by {-least:.0%}; stay below 100 %")
    if not keep_system:
        stretched = replace(structure, lattice=structure.lattice @ (np.eye(3) + tensor))
        found = find_symmetry(stretched)
        return replace(stretched, rotations=found.rotations, translations=found.translations, space_group=found.number)
    labelled = with_whole_symmetry(structure)
    lattice = np.ascontiguousarray(labelled.lattice, float)
    metric = strained_metric(lattice, labelled.rotations, tensor)
    inverse = np.linalg.inv(lattice)
    squares, axes = np.linalg.eigh(inverse @ metric @ inverse.T)
    return replace(labelled, lattice=lattice @ (axes * np.sqrt(squares)) @ axes.T)
