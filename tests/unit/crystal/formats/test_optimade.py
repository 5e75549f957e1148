"""OPTIMADE responses, written here after the specification's examples."""

from copy import deepcopy
from typing import Any

import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.optimade import iter_optimade, optimade_structure
from powderlens.crystal.structure import Reject, Structure

ENTRY: dict[str, Any] = {
    "type": "structures",
    "id": "550",
    "attributes": {
        "chemical_formula_reduced": "ClNa",
        "lattice_vectors": [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 1.0, 4.0]],
        "dimension_types": [1, 1, 1],
        "cartesian_site_positions": [[0.0, 0.0, 0.0], [2.0, 2.5, 2.0]],
        "species": [
            {"name": "Na", "chemical_symbols": ["Na"], "concentration": [1.0]},
            {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]},
        ],
        "species_at_sites": ["Na", "Cl"],
        "structure_features": [],
    },
}


def changed(**attributes: Any) -> dict[str, Any]:
    entry = deepcopy(ENTRY)
    entry["attributes"].update(attributes)
    return entry


def test_an_entry_becomes_a_structure() -> None:
    found = optimade_structure(ENTRY, "cod:550")
    assert (found.source, found.name, found.elements) == ("cod:550", "ClNa", ("Na", "Cl"))
    assert found.frac[1] == pytest.approx([0.5, 0.5, 0.5])
    assert found.lattice[2].tolist() == [0.0, 1.0, 4.0]
    assert found.space_group is None
    assert len(found.rotations) == 1


def test_mixed_and_vacant_sites_and_deuterium() -> None:
    species = [
        {"name": "M", "chemical_symbols": ["Mg", "Fe", "vacancy"], "concentration": [0.5, 0.3, 0.2]},
        {"name": "D", "chemical_symbols": ["H"], "concentration": [1.0], "mass": [2.014]},
    ]
    found = optimade_structure(changed(species=species, species_at_sites=["M", "D"]), "x:1")
    assert found.elements == ("Mg", "Fe", "D")
    assert found.occupancy.tolist() == [0.5, 0.3, 1.0]
    assert (found.frac[0] == found.frac[1]).all()
    assert found.frac[2] == pytest.approx([0.5, 0.5, 0.5])


def test_a_stated_group_is_kept() -> None:
    assert optimade_structure(changed(space_group_it_number=225), "x:1").labels == {"spacegroup": 225}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"lattice_vectors": None}, "no lattice_vectors"),
        ({"species_at_sites": []}, "no species_at_sites"),
        ({"species_at_sites": ["Na"]}, "2 positions for 1"),
        ({"species_at_sites": ["Na", "Br"]}, "species 'Br' is not among species"),
        ({"dimension_types": [1, 1, 0]}, "not periodic"),
        ({"lattice_vectors": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "no volume"),
        ({"structure_features": ["implicit_atoms"]}, "left out (implicit_atoms)"),
        ({"species": [{"name": n, "chemical_symbols": ["X"]} for n in ("Na", "Cl")]}, "unknown element 'X'"),
        ({"species": [{"name": n, "chemical_symbols": ["Na", "K"], "concentration": [1]} for n in ("Na", "Cl")]},
         "other lengths"),
        ({"species": [{"name": n, "chemical_symbols": ["C"], "attached": ["H"]} for n in ("Na", "Cl")]}, "attached"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_why(attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(StructureError) as caught:
        optimade_structure(changed(**attributes), "x:1")
    assert reason in str(caught.value)


def test_a_response_goes_on_after_a_bad_entry() -> None:
    broken = {"type": "structures", "id": "7", "attributes": {**ENTRY["attributes"], "lattice_vectors": "no"}}
    document = {"data": [ENTRY, broken, {"id": "8"}, "words"], "meta": {"provider": {"prefix": "cod"}}}
    first, second, third, fourth = iter_optimade(document, "file")
    assert isinstance(first, Structure)
    assert [r.source for r in (first, second, third, fourth)] == ["cod:550", "cod:7", "cod:8", "cod:entry 4"]
    assert all(isinstance(r, Reject) and r.reason for r in (second, third, fourth))


def test_without_a_provider_the_file_gives_the_name_and_one_entry_may_stand_alone() -> None:
    (found,) = iter_optimade({"data": ENTRY}, "page1")
    assert isinstance(found, Structure)
    assert found.source == "page1:550"
