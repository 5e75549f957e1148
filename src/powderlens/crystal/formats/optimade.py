"""Structures of OPTIMADE responses: the JSON in which materials databases answer.

Source: OPTIMADE specification 1.2, sections "Structures Entries" and "JSON Response Schema" (Evans et al., Digital
Discovery 3, 1509 (2024)). Read are a response's `data`, one entry or a list, and single entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from powderlens.core.elementary import inverse, product
from powderlens.core.errors import StructureError
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.from_sites import whole_cell
from powderlens.crystal.structure import BAD_RECORD, Reject, Structure, check_lattice

VACANCY = "vacancy"
_DEUTERIUM_MASS_U = (1.9, 2.1)


def iter_optimade(document: Mapping[str, Any], provider: str) -> Iterator[Structure | Reject]:
    """Structures of a response, in its order.

    Args:
        document: the response.
        provider: name for the ids where the response's `meta.provider.prefix` gives none.

    Yields:
        A `Structure` (source "PROVIDER:ID", no symmetry operators, `labels` with `spacegroup` where the entry states
        one), or a `Reject` with the reason.
    """
    meta = document.get("meta")
    named = (meta.get("provider") or {}) if isinstance(meta, Mapping) else {}
    provider = str(named.get("prefix") or provider) if isinstance(named, Mapping) else provider
    data = document.get("data")
    for number, entry in enumerate(data if isinstance(data, list) else [data], start=1):
        identity = entry.get("id") if isinstance(entry, Mapping) else None
        source = f"{provider}:{identity if identity is not None else f'entry {number}'}"
        try:
            yield optimade_structure(entry, source)
        except BAD_RECORD as error:
            yield Reject(source, str(error) if isinstance(error, StructureError) else "OPTIMADE: not a structure entry")


def optimade_structure(entry: Mapping[str, Any], source: str) -> Structure:
    """One entry of type "structures".

    A species is an element, a mixture with concentrations, or partly vacant; hydrogen of mass 2 is deuterium.

    Raises:
        StructureError: not periodic in three directions, attributes that are missing, an unknown element, atoms that
            the entry itself says are left out.
    """
    if not isinstance(entry, Mapping) or entry.get("type", "structures") != "structures":
        raise StructureError("OPTIMADE: not a structure entry")
    attributes = entry.get("attributes")
    if not isinstance(attributes, Mapping):
        raise StructureError("OPTIMADE: no attributes")
    for name in ("lattice_vectors", "cartesian_site_positions", "species", "species_at_sites"):
        if not attributes.get(name):
            raise StructureError(f"OPTIMADE: no {name}; ask for it with response_fields")
    if list(attributes.get("dimension_types") or [1, 1, 1]) != [1, 1, 1]:
        raise StructureError("cell: not periodic in all three directions")
    left_out = {"implicit_atoms", "site_attachments", "unknown_positions"} & set(
        attributes.get("structure_features") or ()
    )
    if left_out:
        raise StructureError(f"OPTIMADE: atoms are left out ({', '.join(sorted(left_out))})")
    lattice = np.array(attributes["lattice_vectors"], dtype=float)
    check_lattice(lattice, either_hand=True)
    positions = np.array(attributes["cartesian_site_positions"], dtype=float).reshape(-1, 3)
    at_sites = attributes["species_at_sites"]
    if len(at_sites) != len(positions):
        raise StructureError(f"atoms: {len(positions)} positions for {len(at_sites)} species_at_sites")
    kinds = {species["name"]: _shares(species) for species in attributes["species"]}
    elements, rows, occupancy = [], [], []
    for row, name in enumerate(at_sites):
        if name not in kinds:
            raise StructureError(f"atoms: species {name!r} is not among species")
        for element, share in kinds[name]:
            elements.append(element)
            rows.append(row)
            occupancy.append(share)
    stated = attributes.get("space_group_it_number")
    return whole_cell(
        lattice,
        elements,
        product(positions, inverse(lattice))[rows],
        occupancy,
        name=str(attributes.get("chemical_formula_reduced") or ""),
        source=source,
        labels={} if stated is None else {"spacegroup": stated},
    )


def _shares(species: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Elements of a species and how much of the site each fills; what is vacant is left out."""
    symbols: Sequence[str] = species["chemical_symbols"]
    concentrations = species.get("concentration") or [1.0] * len(symbols)
    masses = species.get("mass") or [None] * len(symbols)
    if species.get("attached"):
        raise StructureError(f"OPTIMADE: atoms are left out (attached to {species['name']!r})")
    if not len(symbols) == len(concentrations) == len(masses):
        raise StructureError(f"atoms: species {species['name']!r} has symbols and concentrations of other lengths")
    shares = []
    for symbol, share, mass in zip(symbols, concentrations, masses, strict=True):
        if symbol == VACANCY:
            continue
        if symbol == "H" and mass is not None and _DEUTERIUM_MASS_U[0] < mass < _DEUTERIUM_MASS_U[1]:
            symbol = "D"
        if symbol not in NUMBER:
            raise StructureError(f"atoms: unknown element {symbol!r}")
        if not 0 <= share <= 1.001:
            raise StructureError(f"atoms: concentration {share:g} of {symbol}; it must lie between 0 and 1")
        if share > 0:
            shares.append((symbol, min(float(share), 1.0)))
    return shares
