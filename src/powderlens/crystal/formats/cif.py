"""Crystallographic Information Files, read through gemmi.

Source of the data names: core CIF dictionary 2.4 and its DDLm successor, International Union of Crystallography, as
`cif_text.Names` spells them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import StructureError
from powderlens.core.text import printable
from powderlens.crystal.content import Content, contradictions, counted
from powderlens.crystal.displacement import believable, u_from_beta
from powderlens.crystal.elements import NUMBER, element_from_text, shares_from_text
from powderlens.crystal.expand import FULL, check_sites, crowded, expand_sites, without_repeats
from powderlens.crystal.formats.cif_symmetry import stated_number, stated_symbol, stated_symmetry
from powderlens.crystal.formats.cif_text import Names, decoded, number, parsed
from powderlens.crystal.from_sites import symmetric_cell
from powderlens.crystal.operators import Operators, space_group_number
from powderlens.crystal.stated_conditions import reference
from powderlens.crystal.stated_symmetry import Chosen, Reading, choose
from powderlens.crystal.structure import FULLEST, Structure, lattice_from_cell

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_NAME = ("_chemical_name_mineral", "_chemical_name_common", "_chemical_name_systematic", "_chemical_formula_sum")
_FORMULA = ("_chemical_formula_sum",)
_DENSITY = ("_exptl_crystal_density_diffrn",)
_IJ = ("11", "22", "33", "12", "13", "23")
_DEFAULT_ANGLE = 90.0


def read_cif(path: str | Path, block: str | None = None) -> Structure:
    """A structure with every atom of its cell, from a CIF.

    Args:
        path: the file.
        block: name of the data block; without it the first block with a cell and atoms.

    Returns:
        The structure with the operators that the file states, see `stated_symmetry.choose`; the identity and
        `space_group` None where it states nothing. `labels` hold what the file states: `formula`, `symbol`,
        `stated_number`, `reference`, `year`, `temperature_K`, `pressure_GPa`; and `displacements_dropped`.

    Raises:
        StructureError: see `powderlens.crystal.read.read_structure`.
    """
    path = Path(path)
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise StructureError(f"{path.name}: not a readable CIF ({error.strerror})") from None
    try:
        return _structure(Names(_choose(parsed(text), block)), f"cif:{path.name}")
    except StructureError as error:
        raise StructureError(f"{path.name}: {error}") from None


def cif_blocks(text: str) -> list[tuple[str, Callable[[], Structure]]]:
    """The structures in a CIF's text: name of each block with a cell and atoms, and what reads it.

    Where no block has both, the first that has one of them is listed, so that reading it says what is missing.

    Raises:
        StructureError: not a readable CIF, or nothing of a structure in it. What is listed raises its own.
    """
    document = parsed(text)
    blocks = [block for block in document if _has_structure(Names(block))] or [_choose(document, None)]

    def reader(block: gemmi.cif.Block) -> Callable[[], Structure]:
        return lambda: _structure(Names(block), f"cif:{block.name}")

    return [(block.name, reader(block)) for block in blocks]


def _has_structure(names: Names) -> bool:
    return bool(names.column("_atom_site_fract_x") and names.pair("_cell_length_a"))


def _choose(document: gemmi.cif.Document, name: str | None) -> gemmi.cif.Block:
    names = [block.name for block in document]
    if name is not None:
        for block in document:
            if block.name.lower() == name.lower():
                return block
        raise StructureError(f"no data block {name!r}; it has {', '.join(names) or 'none'}")
    if len(document) == 0:
        raise StructureError("no data block; is it a CIF?")
    stated = [(block, Names(block)) for block in document]
    whole = [block for block, inside in stated if _has_structure(inside)]
    # Let the reader of the first block with atoms, or a cell, say what is missing.
    tags = ("_atom_site_fract_x", "_atom_site_label", "_cell_length_a")
    parts = [block for tag in tags for block, inside in stated if inside.column(tag)]
    return [*whole, *parts, document[0]][0]


@dataclass(frozen=True)
class _Listed:
    """The sites as the file lists them, a mixed one once for each element."""

    labels: list[str]
    elements: list[str]
    frac: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    u_iso_A2: NDArray[np.float64]


def _structure(names: Names, source: str) -> Structure:
    lattice = lattice_from_cell(_cell(names))
    listed = _sites(names)
    u_iso, beta, dropped = believable(listed.u_iso_A2, _tensors(names, listed.labels, lattice), lattice)
    formula = names.pair(*_FORMULA)
    content = Content.of(formula, number(names.pair("_cell_formula_units_z")), number(names.pair(*_DENSITY)))
    volume_A3 = float(np.linalg.det(lattice))

    def read(operators: Operators) -> Reading:
        made = expand_sites(lattice, listed.elements, listed.frac, listed.occupancy, u_iso, beta, *operators)
        sites = without_repeats(made, lattice)
        return Reading(sites, contradictions(content, sites.elements, sites.occupancy, volume_A3))

    stated, notes = stated_symmetry(names)
    chosen = choose(stated, lattice, read, lambda sites: crowded(sites, lattice))
    if chosen is None:
        operators = np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))
        chosen = Chosen(operators, *read(operators))
        group = None
    else:
        group = space_group_number(*chosen.operators)
    sites = chosen.sites
    return symmetric_cell(
        lattice,
        sites,
        chosen.operators,
        space_group=group,
        name=names.pair(*_NAME) or printable(names.block_name),
        source=source,
        labels={
            "formula": formula,
            "symbol": stated_symbol(names),
            "stated_number": stated_number(names),
            "displacements_dropped": dropped,
            **_publication(names),
        },
        doubts=(*chosen.doubts, *check_sites(lattice, sites.elements, sites.frac, sites.occupancy)),
        notes=notes,
    )


def _publication(names: Names) -> dict[str, object]:
    """Reference, year, temperature and pressure, where they are stated."""
    authors = ", ".join(text for text in names.column("_publ_author_name") if text)
    year = names.pair("_journal_year")
    pages = names.pair("_journal_page_first"), names.pair("_journal_page_last")
    cited = reference(authors, names.pair("_journal_name_full"), names.pair("_journal_volume"), year, *pages)
    temperature_K = number(names.pair("_diffrn_ambient_temperature", "_cell_measurement_temperature"))
    pressure_kPa = number(names.pair("_diffrn_ambient_pressure", "_cell_measurement_pressure"))
    said = {
        "reference": cited,
        "year": int(year) if year.isdigit() else None,
        "temperature_K": temperature_K if temperature_K > 0 else None,
        "pressure_GPa": pressure_kPa * 1e-6 if pressure_kPa >= 0 else None,
    }
    return {name: value for name, value in said.items() if value}


def _cell(names: Names) -> list[float]:
    texts = [names.column(f"_cell_{tag}")[:1] for tag in _CELL]
    if not any(texts):
        raise StructureError("no unit cell; give _cell_length_a to _cell_angle_gamma")
    cell = []
    for tag, text in zip(_CELL, texts, strict=True):
        value = number(text[0], _DEFAULT_ANGLE if tag.startswith("angle") else np.nan) if text else np.nan
        if np.isnan(value):
            raise StructureError(f"_cell_{tag}: no number there; give all six of the cell")
        cell.append(value)
    return cell


def _sites(names: Names) -> _Listed:
    labels = names.column("_atom_site_label")
    types = names.column("_atom_site_type_symbol")
    axes = [names.column(f"_atom_site_fract_{axis}") for axis in "xyz"]
    if not labels and not types and not axes[0]:
        raise StructureError("no atoms; the file may hold only a powder pattern, or the structure without coordinates")
    n = len(axes[0])
    if not n or len(axes[1]) != n or len(axes[2]) != n:
        remedy = "convert Cartn to fract" if names.column("_atom_site_cartn_x") else "give _atom_site_fract_x, y and z"
        raise StructureError(f"the atoms have no coordinates; {remedy}")
    labels = labels if len(labels) == n else types if len(types) == n else [""] * n
    present = frozenset(counted(names.pair(*_FORMULA)) or ()) & NUMBER.keys()
    optional = {
        name: column if len(column := names.column(name)) == n else []
        for name in ("_atom_site_calc_flag", "_atom_site_occupancy", "_atom_site_type_symbol",
                     "_atom_site_u_iso_or_equiv", "_atom_site_b_iso_or_equiv")
    }  # fmt: skip
    dummy, occupancy_text, types, u_text, b_text = optional.values()
    listed: list[tuple[str, str, list[float], float, float]] = []
    for i in range(n):
        filled = number(occupancy_text[i], 1.0) if occupancy_text else 1.0
        filled = 1.0 if np.isnan(filled) else filled
        if filled == 0 or (dummy and dummy[i].lower() == "dum"):
            continue
        if not 0 < filled <= FULLEST:
            raise StructureError(f"atom {labels[i]}: occupancy {filled:g}; it must lie between 0 and 1")
        xyz = [number(axis[i], 0.0) for axis in axes]
        if np.isnan(xyz).any():
            raise StructureError(f"atom {labels[i]} has no coordinates; give them, or take its line out")
        u = number(u_text[i]) if u_text else np.nan
        if np.isnan(u) and b_text:
            u = number(b_text[i]) / (8 * np.pi**2)
        text = types[i] if types and types[i] not in {"", "?", "."} else labels[i]
        for element, share in _elements(text, labels[i], present):
            listed.append((labels[i], element, xyz, min(filled * share, 1.0), u))
    if not listed:
        raise StructureError("no atoms: every one is a dummy or has occupancy 0")
    kept, elements, frac, occupancy, u_iso = zip(*listed, strict=True)
    return _Listed(list(kept), list(elements), np.array(frac), np.array(occupancy), np.array(u_iso))


def _elements(text: str, label: str, present: frozenset[str]) -> list[tuple[str, float]]:
    """Element or elements that a type symbol stands for, with their shares."""
    if mixed := shares_from_text(text):
        if sum(share for _, share in mixed) > FULL:
            raise StructureError(f"atom {label}: {text!r} is more than one atom; give shares that sum to 1")
        return mixed
    element = element_from_text(text, present)
    if element is None:
        raise StructureError(f"atom {label}: unknown element {text!r}; give it in _atom_site_type_symbol")
    return [(element, 1.0)]


def _tensors(names: Names, labels: list[str], lattice: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(n, 3, 3) U_ij of the listed sites, A^2, NaN where not given; from U, from B, or from beta.

    Of beta the convention is exp(-(beta_11 h^2 + ... + 2 beta_12 h k + ...)), dimensionless: Trueblood et al., Acta
    Cryst. A52, 770 (1996), equation 11.
    """
    owners = names.column("_atom_site_aniso_label")
    for kind in ("u", "b", "beta"):
        columns = [names.column(f"_atom_site_aniso_{kind}_{ij}") for ij in _IJ]
        if owners and all(len(column) == len(owners) for column in columns):
            break
    else:
        return None
    six_of = {name: [number(column[k]) for column in columns] for k, name in enumerate(owners)}
    given = np.full((len(labels), 3, 3), np.nan)
    for i, label in enumerate(labels):
        if label in six_of:
            t11, t22, t33, t12, t13, t23 = six_of[label]
            given[i] = [[t11, t12, t13], [t12, t22, t23], [t13, t23, t33]]
    if kind == "beta":
        return u_from_beta(given, lattice)
    return given / (8 * np.pi**2) if kind == "b" else given
