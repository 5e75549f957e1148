"""How far the peaks of powderlens are from those made of gemmi's own structure factors.

    python benchmarks/gemmi_agreement.py CIF_DIR --output results/gemmi-agreement.json
    python benchmarks/gemmi_agreement.py CIF_DIR --databases CRYSTALS --output results/gemmi-agreement.json

The yardstick takes everything from gemmi: its reader of small structures, its operators, its treatment of special
positions, its International Tables 1992 form factors and its sum over atoms; it evaluates form factors in single
precision, so that some 1e-5 % of the strongest line is the floor. Reflections are enumerated and gathered in families
here, and the Lorentz-polarisation factor is written out once more. The first form compares every CIF of a folder as it
stands, without dispersion. With `--databases`, a folder that `crystal_sample.py` describes, crystals of
every system join them, each calculated in the modes of `MODES`:

- minerals: gemmi gets a CIF written here from the database's raw numbers (listed sites and operators), powderlens its
  own reading of the database. Only the element of a site label comes from one reader.
- relaxed cells: a CIF with one atom of each orbit and the operators. For disorder and displacement both read a CIF in
  which half of the sites hold two elements or too few atoms, and every site has a U or a tensor, drawn by chance.
- dispersion: f' is gemmi's addend; f'' is its addend too, in a sum of its own with the sum without addends taken
  off, and |F(h)|^2 and |F(-h)|^2 are averaged.

Exit code 1 when something that both read deviates by more than the tolerances and no reason was found.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

import powderlens
from powderlens.core.errors import PowderlensError
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import Peak, peaks

WAVELENGTH_A = 1.5405929
RANGE_DEG = (5.0, 90.0)
TOLERANCE_PERCENT, TOLERANCE_DEG = 0.01, 1e-5
ONE_ATOM_A, GEMMI_DEFAULT_A = 0.05, 0.4
SEED, MAX_ATOMS = 20261121, 120
QUOTA = {"amcsd": 400, "oqmd": 150, "mp": 150}
"""Crystals of each system from each database; what one lacks the next makes up for."""
MODES = {
    "plain": "no displacement, no dispersion, occupancies as they are",
    "dispersion": "no displacement, f' and f'' at the wavelength",
    "disorder": "crystals with partial occupancy or isotropic displacement, both in use; tensors left out",
    "anisotropic": "crystals with tensors, in use; no dispersion",
    "everything": "crystals with tensors, in use; f' and f''",
}
PARTNERS = ("Mg", "Fe", "Al", "Ca", "Ti", "Zr", "Ba", "Pb", "S", "Cl")

Hkl = tuple[int, int, int]


class Line(NamedTuple):
    """One family by gemmi: its multiplicity, its angle in degrees and its intensity (100 for the strongest)."""

    multiplicity: int
    two_theta_deg: float
    intensity: float


class Deviation(NamedTuple):
    """Largest differences, in per cent of the strongest line and in degrees, and how many families were compared."""

    percent: float
    degrees: float
    families: int

    def beyond(self) -> bool:
        return self.percent > TOLERANCE_PERCENT or self.degrees > TOLERANCE_DEG


def read_with_gemmi(path: Path) -> tuple[gemmi.SmallStructure, list[gemmi.Op], list[str]]:
    """Atoms with occupancies that count special positions once, every operator, and where gemmi's default was left."""
    return prepared(gemmi.read_small_structure(str(path)))


def prepared(
    small: gemmi.SmallStructure, *, repeats_count_once: bool = True
) -> tuple[gemmi.SmallStructure, list[gemmi.Op], list[str]]:
    """See `read_with_gemmi`; the structure is changed in place.

    By default gemmi takes images within 0.4 A for one atom, which swallows split sites, and sums a site that a file
    lists twice both times. Here 0.05 A is one atom, and a repeated site counts once, as an atom does.
    """
    listed = [gemmi.Op(text) for text in small.symops]
    operators = list(gemmi.GroupOps(listed) if listed else small.spacegroup.operations())
    images = len(small.cell.images) + 1
    if images != len(operators):
        raise ValueError(f"gemmi expands sites by {images} operators, the file has {len(operators)}")
    notes = []
    for i in reversed(range(1, len(small.sites) if repeats_count_once else 0)):
        for j in range(i):
            one, other = small.sites[i], small.sites[j]
            if one.element == other.element and one.occ + other.occ > 1.01:
                here, there = small.cell.orthogonalize(one.fract), small.cell.orthogonalize(other.fract)
                if small.cell.find_nearest_image(here, there, gemmi.Asu.Any).dist() < ONE_ATOM_A:
                    notes.append(f"{one.label} repeats {other.label}: counted once")
                    del small.sites[i]
                    break
    for site in small.sites:
        mates, by_default = (small.cell.is_special_position(site.fract, d) for d in (ONE_ATOM_A, GEMMI_DEFAULT_A))
        if mates != by_default:
            notes.append(f"{site.label} is split: its images within {GEMMI_DEFAULT_A} A are atoms of their own")
    small.change_occupancies_to_crystallographic(ONE_ATOM_A)
    return small, operators, notes


def families_of(small: gemmi.SmallStructure, operators: list[gemmi.Op]) -> dict[Hkl, tuple[frozenset[Hkl], float]]:
    """Every family in the range as {any member: (all members, 2theta in degrees)}."""
    sine_max = np.sin(np.radians(RANGE_DEG[1] / 2))
    limits = [int(length * 2 * sine_max / WAVELENGTH_A) for length in (small.cell.a, small.cell.b, small.cell.c)]
    axes = [np.arange(-n, n + 1) for n in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    sine = 0.5 * WAVELENGTH_A * np.sqrt(small.cell.calculate_1_d2_array(hkl))
    angle = 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0)))
    inside = (angle >= RANGE_DEG[0]) & (angle <= RANGE_DEG[1])
    turns = np.unique([operator.rot for operator in operators], axis=0) // gemmi.Op.DEN
    turns = np.unique(np.concatenate([turns, -turns]), axis=0)
    found: dict[Hkl, tuple[frozenset[Hkl], float]] = {}
    for index, two_theta_deg in zip(hkl[inside].tolist(), angle[inside].tolist(), strict=True):
        if tuple(index) not in found:
            members = frozenset(map(tuple, (np.array(index) @ turns).tolist()))
            found.update(dict.fromkeys(members, (members, two_theta_deg)))
    return found


def lines_of_gemmi(
    small: gemmi.SmallStructure, operators: list[gemmi.Op], *, dispersion: bool = False
) -> dict[Hkl, Line]:
    """{any member of a family: Line}; families that symmetry extinguishes are there, with an intensity near zero."""
    families = families_of(small, operators)
    groups = list(set(families.values()))
    first = [max(members) for members, _ in groups]
    theta = np.radians([angle / 2 for _, angle in groups])
    lp = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    count = np.array([len(members) for members, _ in groups])
    strength = count * lp * (_with_dispersion(small, first) if dispersion else np.abs(_sums(small, first)) ** 2)
    shares = 100 * strength / strength.max()
    by_members = {
        members: Line(len(members), angle, float(share)) for (members, angle), share in zip(groups, shares, strict=True)
    }
    return {hkl: by_members[members] for hkl, (members, _) in families.items()}


def _sums(
    small: gemmi.SmallStructure, hkl: list[Hkl], addends: dict[str, float] | None = None
) -> NDArray[np.complex128]:
    """gemmi's sum over atoms at each hkl, the given numbers added to the form factors of the elements."""
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    for element, value in (addends or {}).items():
        calculator.addends.set(gemmi.Element(element), value)
    return np.array([calculator.calculate_sf_from_small_structure(small, list(index)) for index in hkl])


def _with_dispersion(small: gemmi.SmallStructure, hkl: list[Hkl]) -> NDArray[np.float64]:
    """|F|^2 with f' and f'', the mean of h and -h."""
    energy_eV = gemmi.hc / WAVELENGTH_A
    names = {site.element.name for site in small.sites}
    both = {
        name: gemmi.cromer_liberman(z=gemmi.Element(name).atomic_number, energy=energy_eV) for name in sorted(names)
    }
    squares = []
    for sign in (1, -1):
        there = [(sign * h, sign * k, sign * l) for h, k, l in hkl]
        real = _sums(small, there, {name: values[0] for name, values in both.items()})
        # The sums are linear in the form factors: f'' alone is what it adds.
        alone = _sums(small, there, {name: values[1] for name, values in both.items()}) - _sums(small, there)
        squares.append(np.abs(real + 1j * alone) ** 2)
    return (squares[0] + squares[1]) / 2


def compare(ours: list[Peak], theirs: dict[Hkl, Line]) -> Deviation:
    """Families that only one of the two has count with their whole intensity.

    Raises:
        ValueError: a family with another multiplicity, or listed twice.
    """
    left = set(theirs.values())
    percent = degrees = 0.0
    for peak in ours:
        line = theirs.get((peak.h, peak.k, peak.l))
        if line is None:
            percent = max(percent, peak.intensity)
            continue
        if line.multiplicity != peak.multiplicity:
            raise ValueError(f"{peak}: gemmi's operators make {line.multiplicity} members")
        percent = max(percent, abs(peak.intensity - line.intensity))
        degrees = max(degrees, abs(peak.two_theta_deg - line.two_theta_deg))
        left.discard(line)
    return Deviation(max([percent, *(line.intensity for line in left)]), degrees, len(ours))


def compare_file(path: Path) -> tuple[Deviation, list[str]]:
    """One CIF, read by both; and notes, see `read_with_gemmi`.

    Raises:
        PowderlensError: powderlens does not read it.
        RuntimeError, ValueError: gemmi does not read it.
    """
    ours = peaks(read_structure(path), WAVELENGTH_A, two_theta_deg=RANGE_DEG)
    small, operators, notes = read_with_gemmi(path)
    return compare(ours, lines_of_gemmi(small, operators)), notes


# --- crystals of the databases, in every mode ---------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """What a CIF lists: cell, operators as texts, and the sites."""

    cell: tuple[float, ...]
    operators: tuple[str, ...]
    elements: tuple[str, ...]
    frac: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]
    u_A2: NDArray[np.float64]
    """(n, 3, 3) in the CIF convention, NaN where there is none."""

    def cif(self) -> str:
        """As a CIF, numbers written in full."""
        names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        lines = ["data_listed", *(f"_cell_{name} {value!r}" for name, value in zip(names, self.cell, strict=True))]
        lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{text}'" for text in self.operators)]
        lines += ["loop_", *("_atom_site_" + t for t in ("label", "type_symbol", "fract_x", "fract_y", "fract_z"))]
        lines += ["_atom_site_occupancy", "_atom_site_U_iso_or_equiv"]
        labels = [f"{element}{i + 1}" for i, element in enumerate(self.elements)]
        for i, (label, element) in enumerate(zip(labels, self.elements, strict=True)):
            x, y, z = self.frac[i].tolist()
            u = repr(float(self.u_iso_A2[i])) if np.isfinite(self.u_iso_A2[i]) else "?"
            lines.append(f"{label} {element} {x!r} {y!r} {z!r} {float(self.occupancy[i])!r} {u}")
        moving = [i for i in range(len(labels)) if np.isfinite(self.u_A2[i]).all()]
        if moving:
            lines += ["loop_", "_atom_site_aniso_label"]
            lines += [f"_atom_site_aniso_U_{ij}" for ij in ("11", "22", "33", "12", "13", "23")]
            for i in moving:
                six = [self.u_A2[i][a] for a in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
                lines.append(" ".join([labels[i], *(repr(float(v)) for v in six)]))
        return "\n".join(lines) + "\n"

    def still(self) -> Listed:
        return replace(
            self, u_iso_A2=np.full(len(self.elements), np.nan), u_A2=np.full((len(self.elements), 3, 3), np.nan)
        )

    def isotropic(self, equivalent: NDArray[np.float64]) -> Listed:
        """Without tensors; where only a tensor is given, its equivalent (n,) takes its place."""
        u = np.where(np.isfinite(self.u_iso_A2), self.u_iso_A2, equivalent)
        return replace(self, u_iso_A2=u, u_A2=np.full((len(self.elements), 3, 3), np.nan))


class Work(NamedTuple):
    """One crystal in one mode: powderlens's structure, and what gemmi is given as a CIF."""

    mode: str
    ours: Structure
    listed: Listed


def small_of(listed: Listed) -> gemmi.SmallStructure:
    return gemmi.make_small_structure_from_block(gemmi.cif.read_string(listed.cif()).sole_block())


def equivalents(listed: Listed) -> NDArray[np.float64]:
    """U equivalent to each tensor by gemmi's own formula, A^2; NaN where there is no tensor."""
    cell = gemmi.UnitCell(*listed.cell)
    return np.array([cell.calculate_u_eq(_smat(u)) if np.isfinite(u).all() else np.nan for u in listed.u_A2])


def _smat(u: NDArray[np.float64]) -> gemmi.SMat33d:
    return gemmi.SMat33d(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])


def without_displacement(structure: Structure) -> Structure:
    return replace(structure, beta=None, u_iso_A2=np.full(len(structure.elements), np.nan))


def modes_of(ours: Structure, listed: Listed) -> Iterator[Work]:
    """The modes that a crystal can be calculated in; displacements that powderlens does not believe leave two."""
    for mode in ("plain", "dispersion"):
        yield Work(mode, without_displacement(ours), listed.still())
    if ours.labels.get("displacements_dropped"):
        return
    if (listed.occupancy < 0.999).any() or np.isfinite(listed.u_iso_A2).any():
        yield Work("disorder", replace(ours, beta=None), listed.isotropic(equivalents(listed)))
    if np.isfinite(listed.u_A2).all(axis=(1, 2)).any():
        for mode in ("anisotropic", "everything"):
            yield Work(mode, ours, listed)


def minerals(folder: Path, structures: list[Structure]) -> Iterator[tuple[Structure, Listed]]:
    """Each mineral with the sites that its database lists, decoded here once more."""
    import base64
    import sqlite3

    from powderlens.crystal.site_labels import element_of_label

    connection = sqlite3.connect(f"{(folder / 'amcsd.db').resolve().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    for structure in structures:
        entry = int(structure.source.split(":")[1])
        row = connection.execute(
            "select cif.*, symmetry_xyz from cif join spacegroups on spacegroups.id = spacegroup_id where cif.id = ?",
            (entry,),
        ).fetchone()
        query = connection.execute("select element from cif_elements where cif_id = ?", (str(entry),))
        present = {element for (element,) in query}
        labels = json.loads(row["atoms_sites"])

        def column(name: str, absent: float, row: Any = row, n: int = len(labels)) -> NDArray[np.float64]:
            text = row["atoms_" + name]
            if text in (None, "0"):
                return np.full(n, absent)
            return np.array([v / 4_000_000 for v in np.frombuffer(base64.b64decode(text), "<i4").tolist()])

        occupancy, u_iso = column("occupancy", 1.0), column("u_iso", 0.0)
        u = np.full((len(labels), 3, 3), np.nan)
        if row["atoms_aniso_u11"] not in (None, "0"):
            six = np.stack([column("aniso_u" + ij, 0.0) for ij in ("11", "22", "33", "12", "13", "23")], axis=1)
            free = list(range(len(labels)))
            for label, (u11, u22, u33, u12, u13, u23) in zip(json.loads(row["atoms_aniso_label"]), six, strict=True):
                rows = [i for i in free if labels[i] == label]
                if rows and (u11, u22, u33, u12, u13, u23) != (0,) * 6:
                    free.remove(rows[0])
                    u[rows[0]] = [[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]]
        elements = [element_of_label(label, present) for label in labels]
        yield (
            structure,
            Listed(
                cell=tuple(float(row[k]) for k in ("a", "b", "c", "alpha", "beta", "gamma")),
                operators=tuple(json.loads(row["symmetry_xyz"])),
                elements=tuple(element or "?" for element in elements),
                frac=np.stack([column(axis, 0.0) for axis in "xyz"], axis=1),
                # The database writes 0, and rounded 1.000x, where it means a full site.
                occupancy=np.where(occupancy <= 0, 1.0, np.minimum(occupancy, 1.0)),
                u_iso_A2=np.where(u_iso == 0, np.nan, u_iso),
                u_A2=u,
            ),
        )
    connection.close()


def one_of_each_orbit(structure: Structure) -> Listed:
    """A relaxed cell as a CIF would list it: ordered, one atom of each orbit, and the operators."""
    from powderlens.crystal.expand import asymmetric_rows
    from powderlens.crystal.operators import triplet

    rows = asymmetric_rows(structure)
    if rows is None:
        raise ValueError("the operators do not make the atoms")
    texts = [triplet(w, t) for w, t in zip(structure.rotations, structure.translations, strict=True)]
    n = len(rows)
    return Listed(
        cell=structure.cell,
        operators=tuple(texts),
        elements=tuple(structure.elements[row] for row in rows),
        frac=structure.frac[rows],
        occupancy=np.ones(n),
        u_iso_A2=np.full(n, np.nan),
        u_A2=np.full((n, 3, 3), np.nan),
    )


def disturbed(listed: Listed, rng: np.random.Generator) -> Listed:
    """The same crystal with made-up disorder: see the top of the file. Tensors have the symmetry of their sites."""
    n = len(listed.elements)
    share = np.where(rng.random(n) < 0.5, np.round(rng.uniform(0.3, 1.0, n), 4), 1.0)
    shared = np.flatnonzero((share < 1) & (rng.random(n) < 0.5))
    whole = listed.occupancy  # a site beside its own image is filled to a part, or the two would be one atom
    partners = tuple(str(name) for name in rng.choice(PARTNERS, len(shared)))
    u_iso = np.round(rng.uniform(0.003, 0.04, n), 5)
    u = np.empty((n, 3, 3))
    for i in range(n):
        half = rng.normal(0.0, 0.1, (3, 3))
        u[i] = _u_of_cartesian(listed, 0.003 * np.eye(3) + half @ half.T)
    every = np.concatenate([np.arange(n), shared])
    made = replace(
        listed,
        elements=listed.elements + partners,
        frac=listed.frac[every],
        occupancy=np.round(np.concatenate([share * whole, (1 - share[shared]) * whole[shared]]), 4),
        u_iso_A2=u_iso[every],
        u_A2=u[every],
    )
    return on_special_positions(made, tensors=True)


def _orth(listed: Listed) -> NDArray[np.float64]:
    """gemmi's matrix from fractions to Cartesian coordinates, A."""
    return np.array(gemmi.UnitCell(*listed.cell).orth.mat.tolist())


def _u_of_cartesian(listed: Listed, tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Cartesian tensor in the CIF convention: U_ij is its part along a_i a*_i, a_j a*_j."""
    inverse = np.linalg.inv(_orth(listed))
    lengths = np.linalg.norm(inverse, axis=1)
    return np.asarray(inverse @ tensor @ inverse.T / np.outer(lengths, lengths))


def on_special_positions(listed: Listed, *, tensors: bool) -> Listed:
    """Sites moved onto the special position they lie within `ONE_ATOM_A` of, and their tensors made to fit it.

    The position is the mean of the images there, the tensor the mean over the operators that make those images.
    """
    orth = _orth(listed)
    lengths = np.linalg.norm(np.linalg.inv(orth), axis=1)
    operators = [gemmi.Op(text.lower().replace(" ", "")) for text in listed.operators]
    frac, u = listed.frac.copy(), listed.u_A2.copy()
    for i, at in enumerate(listed.frac):
        places, turned = [], []
        for operator in operators:
            away = np.array(operator.apply_to_xyz(at.tolist())) - at
            away -= np.round(away)
            if np.linalg.norm(orth @ away) < ONE_ATOM_A:
                w = np.array(operator.rot) / gemmi.Op.DEN
                places.append(at + away)
                turned.append(w @ (listed.u_A2[i] * np.outer(lengths, lengths)) @ w.T)
        frac[i] = np.mean(places, axis=0)
        if tensors:
            u[i] = np.mean(turned, axis=0) / np.outer(lengths, lengths)
    return replace(listed, frac=frac, u_A2=u)


def deviation(work: Work) -> Deviation:
    """Powderlens against gemmi for one crystal in one mode.

    Raises:
        PowderlensError: powderlens does not calculate it.
        RuntimeError, ValueError: gemmi does not.
    """
    dispersion = work.mode in ("dispersion", "everything")
    ours = peaks(work.ours, WAVELENGTH_A, two_theta_deg=RANGE_DEG, dispersion=dispersion)
    # The database's sites are distinct; a file may list one twice.
    small, operators, _ = prepared(small_of(work.listed), repeats_count_once=not work.ours.source.startswith("amcsd"))
    return compare(ours, lines_of_gemmi(small, operators, dispersion=dispersion))


def reason_of(work: Work) -> tuple[str, Deviation | None]:
    """Why a crystal deviates, each guess checked by giving gemmi such an input; "" where none explains it."""
    listed = work.listed
    turns = np.array([gemmi.Op(text.lower().replace(" ", "")).rot for text in listed.operators]) // gemmi.Op.DEN
    metric = _orth(listed).T @ _orth(listed)
    if np.abs(turns.transpose(0, 2, 1) @ metric @ turns - metric).max() > 1e-6 * metric.max():
        return "the cell does not have the symmetry of its operators: members of a family differ in angle", None
    placed = on_special_positions(listed, tensors=False)
    again = deviation(work._replace(listed=placed))
    if not again.beyond():
        shift_A = np.linalg.norm((placed.frac - listed.frac) @ _orth(listed).T, axis=1).max()
        return f"sites listed off their special positions, by up to {shift_A:.2g} A: powderlens moves them there", again
    again = deviation(work._replace(listed=on_special_positions(listed, tensors=True)))
    if not again.beyond():
        return "tensors without the symmetry of their sites: powderlens takes the mean over the site's operators", again
    return "", again


def relaxed(structure: Structure, rng: np.random.Generator, folder: Path) -> Iterator[Work]:
    """A relaxed cell as it is, then disturbed; both programs read the disturbed one from a file in the folder."""
    listed = one_of_each_orbit(structure)
    yield from modes_of(structure, listed)
    made = disturbed(listed, rng)
    path = folder / "disturbed.cif"
    path.write_text(made.cif(), encoding="utf-8")
    ours = replace(read_structure(path), source=structure.source)
    assert not ours.labels["displacements_dropped"]
    yield from (work for work in modes_of(ours, made) if work.mode not in ("plain", "dispersion"))


def listed_in(path: Path) -> Listed:
    """What gemmi reads from a CIF."""
    small = gemmi.read_small_structure(str(path))
    cell = small.cell
    operators = list(small.symops) or [operator.triplet() for operator in small.spacegroup.operations()]
    u = np.array([site.aniso.as_mat33().tolist() for site in small.sites])
    u[~u.any(axis=(1, 2))] = np.nan
    u_iso = np.array([site.u_iso for site in small.sites])
    return Listed(
        cell=(cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma),
        operators=tuple(operators),
        elements=tuple(site.element.name for site in small.sites),
        frac=np.array([site.fract.tolist() for site in small.sites]),
        occupancy=np.array([site.occ for site in small.sites]),
        u_iso_A2=np.where(u_iso == 0, np.nan, u_iso),
        u_A2=u,
    )


def all_works(cifs: list[Path], folder: Path, structures: list[Structure], seed: int) -> Iterator[list[Work]]:
    """Every crystal in its modes."""
    for path in cifs:
        ours = read_structure(path)
        yield list(modes_of(ours, listed_in(path)))
    for structure, listed in minerals(folder, [s for s in structures if s.source.startswith("amcsd")]):
        yield list(modes_of(structure, listed))
    with tempfile.TemporaryDirectory() as aside:
        for i, structure in enumerate(s for s in structures if not s.source.startswith("amcsd")):
            yield list(relaxed(structure, np.random.default_rng([seed, i]), Path(aside)))


def in_every_mode(cifs: list[Path], folder: Path, seed: int, quota: dict[str, int]) -> dict[str, Any]:
    """The record of `--databases`."""
    from crystal_sample import data_of, draw, hardware, origin

    from powderlens.symmetry.groups import SYSTEMS, crystal_system

    start = time.monotonic()
    sample = draw(folder, quota, seed, max_atoms=MAX_ATOMS)
    found: dict[str, list[tuple[str, str, Deviation]]] = defaultdict(list)
    beyond: dict[str, list[dict[str, Any]]] = defaultdict(list)
    failed: dict[str, str] = {}
    systems: Counter[str] = Counter()
    dropped = 0
    for works in all_works(cifs, folder, sample.structures, seed):
        source, number = works[0].ours.source, works[0].ours.space_group
        system = crystal_system(number) if number else "not stated"
        systems[system] += 1
        dropped += bool(works[0].ours.labels.get("displacements_dropped"))
        for work in works:
            try:
                here = deviation(work)
            except (PowderlensError, RuntimeError, ValueError) as error:
                failed[f"{source} {work.mode}"] = " ".join(str(error).split())
                continue
            found[work.mode].append((source, system, here))
            if here.beyond():
                why, again = reason_of(work)
                beyond[work.mode].append({"id": source, **_rounded(here), "reason": why or "not found"})
                if again is not None:
                    beyond[work.mode][-1]["so_read_by_gemmi"] = _rounded(again)
                print(f"{source} {work.mode}: {here.percent:.2e} % {here.degrees:.1e} deg {why}", file=sys.stderr)
        if sum(systems.values()) % 250 == 0:
            print(f"{sum(systems.values())} crystals, {time.monotonic() - start:.0f} s", file=sys.stderr)
    modes = {}
    for mode, meaning in MODES.items():
        rows = found[mode]
        named = {entry["id"] for entry in beyond[mode]}
        modes[mode] = {
            "what": meaning,
            "crystals": len(rows),
            "families": sum(here.families for _, _, here in rows),
            "by_collection": dict(Counter(origin(source) for source, _, _ in rows)),
            "by_system": {
                system: _summary([here for _, its, here in rows if its == system])
                for system in (*SYSTEMS, "not stated")
                if any(its == system for _, its, _ in rows)
            },
            "within_tolerance": len(rows) - len(named),
            "largest_within": _summary([here for source, _, here in rows if source not in named]),
            "largest": _summary([here for _, _, here in rows]),
            "beyond_tolerance": sorted(beyond[mode], key=lambda entry: -entry["percent"]),
            "beyond_for": dict(Counter(str(entry["reason"]).split(",")[0].split(":")[0] for entry in beyond[mode])),
        }
    return {
        "data_sha256": data_of(folder, quota),
        "seed": seed,
        "drawn_of_each_system": quota,
        "largest_cell_atoms": MAX_ATOMS,
        "crystals": sum(systems.values()),
        "crystals_by_system": {system: systems[system] for system in (*SYSTEMS, "not stated") if systems[system]},
        "sample_sha256": sample.digest(),
        "passed_over": sample.passed_over,
        "displacements_not_believed": dropped,
        "failed": failed,
        "modes": modes,
        "seconds": round(time.monotonic() - start),
        "hardware": hardware(),
    }


def _rounded(found: Deviation) -> dict[str, float]:
    return {"percent": float(f"{found.percent:.3g}"), "degrees": float(f"{found.degrees:.3g}")}


def _summary(rows: list[Deviation]) -> dict[str, float]:
    if not rows:
        return {"crystals": 0}
    percent = [row.percent for row in rows]
    return {
        "crystals": len(rows),
        "largest_percent": float(f"{max(percent):.3g}"),
        "median_percent": float(f"{np.median(percent):.3g}"),
        "largest_degrees": float(f"{max(row.degrees for row in rows):.3g}"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="CIF_DIR")
    parser.add_argument("--databases", type=Path, metavar="CRYSTALS", help="folder of the crystal databases")
    parser.add_argument("--each", type=int, help="crystals of each system and database instead of the full number")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    compared: dict[str, dict[str, float]] = {}
    notes: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    files = sorted(arguments.folder.glob("*.cif"), key=lambda p: (len(p.stem), p.stem))
    for path in files:
        try:
            found, remarks = compare_file(path)
        except (PowderlensError, RuntimeError, ValueError) as error:
            unread[path.name] = " ".join(str(error).split())
            print(f"{path.name:12} {unread[path.name]}", file=sys.stderr)
            continue
        compared[path.name] = found._asdict()
        if remarks:
            notes[path.name] = remarks
        if arguments.databases is None:
            print(f"{path.name:12} {found.percent:.2e} % {found.degrees:.1e} deg {found.families}", file=sys.stderr)
    beyond = [name for name, found in compared.items() if Deviation(**found).beyond()]  # type: ignore[arg-type]
    unexplained = len(beyond)
    command = f"python benchmarks/gemmi_agreement.py CIF_DIR --output results/{arguments.output.name}"
    record: dict[str, Any] = {
        "what": "largest deviation of peaks from gemmi's structure factors, by CIF",
        "command": command.replace("CIF_DIR", "CIF_DIR --databases CRYSTALS") if arguments.databases else command,
        "wavelength_A": WAVELENGTH_A,
        "range_deg": RANGE_DEG,
        "tolerance": {"percent_of_strongest": TOLERANCE_PERCENT, "degrees": TOLERANCE_DEG},
        "versions": {
            "powderlens": powderlens.__version__,
            "gemmi": gemmi.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).date().isoformat(),
        "files": len(compared) + len(unread),
        "compared": len(compared),
        "largest": {
            "percent": max((found["percent"] for found in compared.values()), default=None),
            "degrees": max((found["degrees"] for found in compared.values()), default=None),
        },
        "beyond_tolerance": beyond,
        "not_parsed": unread,
        "not_as_gemmi_does_by_default": notes,
        "by_file": {
            name: {**found, "percent": float(f"{found['percent']:.3g}"), "degrees": float(f"{found['degrees']:.3g}")}
            for name, found in compared.items()
        },
    }
    print(f"{len(compared)} files compared, {len(beyond)} beyond tolerance, {len(unread)} not parsed")
    if arguments.databases is not None:
        quota = {name: arguments.each or count for name, count in QUOTA.items()}
        readable = [path for path in files if path.name not in unread]
        every = in_every_mode(readable, arguments.databases, arguments.seed, quota)
        record["in_every_mode"] = every
        for mode, said in every["modes"].items():
            outside = said["beyond_tolerance"]
            unexplained += sum(entry["reason"] == "not found" for entry in outside)
            print(f"{mode}: {said['crystals']} crystals, {len(outside)} beyond tolerance {said['beyond_for']}")
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
