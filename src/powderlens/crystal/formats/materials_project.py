"""Cells of the Materials Project: its documents, as the mp-api client hands them out, and lines of JSON.

Source: Jain et al., APL Materials 1, 011002 (2013), doi:10.1063/1.4812323. The lines with `cell`, `el` and `x` are
those of the topology_databases collection (CC-BY 4.0). The client itself is not needed: a document is anything that
has `structure`, as an attribute or a key.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.cell import CELL_LETTERS
from powderlens.core.elementary import inverse, product
from powderlens.core.errors import StructureError
from powderlens.crystal.convert import from_pymatgen
from powderlens.crystal.elements import element_from_text
from powderlens.crystal.expand import check_sites
from powderlens.crystal.from_sites import whole_cell
from powderlens.crystal.structure import BAD_RECORD, Reject, Structure, check_lattice, lattice_from_cell


def iter_materials_project(path: str | Path) -> Iterator[Structure | Reject]:
    """Every line of a `jsonl` or `jsonl.gz` file: flat cells (`id`, `cell`, `el`, `x`) or documents.

    The cells are given without symmetry, so that `space_group` is None and the operators are the identity;
    `label.with_symmetry` finds them.

    Args:
        path: cells as a, b, c (A), alpha, beta, gamma (degrees); fractional coordinates.

    Yields:
        A `Structure` (source "mp:ID"), or a `Reject` with the reason.

    Raises:
        StructureError: the file is missing or is not gzip where it says so.
    """
    for number, line in enumerate(text_lines(path), start=1):
        if line.strip():
            source = f"mp:line {number}"
            record, problem = json_of(line)
            yield Reject(source, problem) if problem else record_structure(record, source)


def text_lines(path: str | Path) -> Generator[str]:
    """Lines of a text file, unpacked where it is a `.gz`.

    Raises:
        StructureError: the file is missing, not text, or not a whole gzip file.
    """
    path = Path(path)
    if not path.is_file():
        raise StructureError(f"{path}: no such file")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            yield from lines
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StructureError(f"{path}: not a whole gzip file ({error})") from None
    except UnicodeDecodeError as error:
        raise StructureError(f"{path}: not a text file ({error.reason} at byte {error.start})") from None


def json_of(line: str) -> tuple[Any, str]:
    """What a line of JSON says; None and why, where it is none."""
    try:
        return json.loads(line), ""
    except RecursionError:
        return None, "record: nested too deep"
    except ValueError:
        return None, "record: not JSON"


def materials_project_structure(document: Any) -> Structure:
    """A document of the mp-api client (SummaryDoc, MPDataDoc and their kin), or a dict of the same fields.

    Args:
        document: with `structure` (a pymatgen `Structure` or its dict); `material_id` and `symmetry.number` are taken
            where they are there.

    Returns:
        The cell (source "mp:ID"), without symmetry operators; a stated group is the label `spacegroup`.

    Raises:
        StructureError: no structure in it, or one that cannot be read.
    """
    inside = _field(document, "structure")
    if inside is None:
        raise StructureError("record: no field 'structure'; ask the client for it")
    structure = _from_dict(inside) if isinstance(inside, Mapping) else from_pymatgen(inside)
    identity = _field(document, "material_id")
    identity = _field(document, "task_id") if identity is None else identity
    number = _field(_field(document, "symmetry"), "number")
    return replace(
        structure,
        source=f"mp:{str(identity).removeprefix('mp-')}" if identity is not None else "mp:unnamed",
        labels={} if number is None else {"spacegroup": int(number)},
    )


def is_document(thing: object) -> bool:
    """Whether it looks like a document: it has a structure inside."""
    return _field(thing, "structure") is not None


def _field(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def record_structure(record: Any, source: str) -> Structure | Reject:
    """A flat record or a document, or why it is neither."""
    try:
        if is_document(record):
            found = materials_project_structure(record)
            return replace(found, source=source) if found.source == "mp:unnamed" else found
        source = f"mp:{record['id'].removeprefix('mp-')}"
        cell, elements, frac = record["cell"], record["el"], record["x"]
        for element in elements:
            if element_from_text(element) != element:
                raise StructureError(f"atoms: unknown element {element!r}")
        made = Structure.from_cell(cell, elements, frac, source=source)
        check_sites(made.lattice, made.elements, made.frac, made.occupancy)
        return made
    except KeyError as error:
        return Reject(source, f"record: no field {error}")
    except BAD_RECORD as error:
        return Reject.record(source, error)


def _from_dict(inside: Mapping[str, Any]) -> Structure:
    """A structure as pymatgen's `as_dict` writes it."""
    lattice = inside["lattice"]
    if "matrix" in lattice:
        basis = np.array(lattice["matrix"], dtype=float).reshape(3, 3)
        check_lattice(basis, either_hand=True)
    else:
        basis = lattice_from_cell([lattice[name] for name in CELL_LETTERS])
    elements, frac, occupancy = [], [], []
    for site in inside["sites"]:
        place = site["abc"] if "abc" in site else product(np.array(site["xyz"], dtype=float), inverse(basis))
        for species in site["species"]:
            element = element_from_text(species["element"])
            if element is None:
                raise StructureError(f"atoms: unknown element {species['element']!r}")
            elements.append(element)
            frac.append(place)
            occupancy.append(float(species.get("occu", 1.0)))
    return whole_cell(basis, elements, frac, occupancy)
