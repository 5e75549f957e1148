"""What the mp-api client hands out: objects and dicts, without the client."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymatgen.core import DummySpecies, Lattice, Species
from pymatgen.core import Structure as PymatgenStructure

from powderlens.core.errors import StructureError
from powderlens.crystal.formats.materials_project import (
    is_document,
    iter_materials_project,
    materials_project_structure,
)
from powderlens.crystal.structure import Reject, Structure

SALT = PymatgenStructure(Lattice.cubic(5.6), [Species("Na", 1), Species("Cl", -1)], [[0, 0, 0], [0.5, 0.5, 0.5]])
MIXED = PymatgenStructure(Lattice.cubic(3.0), [{"Fe": 0.5, "Ni": 0.25}], [[0, 0, 0]])


class Identity:
    """As emmet's MPID: text only when asked for."""

    def __str__(self) -> str:
        return "mp-22862"


def test_an_object_with_attributes() -> None:
    document = SimpleNamespace(structure=SALT, material_id=Identity(), symmetry=SimpleNamespace(number=221))
    found = materials_project_structure(document)
    assert (found.source, found.elements) == ("mp:22862", ("Na", "Cl"))
    assert found.labels == {"spacegroup": 221}
    assert found.cell == pytest.approx((5.6, 5.6, 5.6, 90, 90, 90))


@pytest.mark.parametrize("inside", ["object", "dict"])
@pytest.mark.parametrize(("structure", "elements"), [(SALT, ("Na", "Cl")), (MIXED, ("Fe", "Ni"))])
def test_a_dict(structure: PymatgenStructure, elements: tuple[str, ...], inside: str) -> None:
    document = {"material_id": "mp-1", "structure": structure if inside == "object" else structure.as_dict()}
    found = materials_project_structure(document)
    assert (found.source, found.elements, found.labels) == ("mp:1", elements, {})
    assert found.occupancy.tolist() == ([1, 1] if structure is SALT else [0.5, 0.25])


def test_a_dict_with_cell_parameters_and_cartesian_places() -> None:
    sites = [{"species": [{"element": "Cs"}], "xyz": [1.5, 1.5, 1.5]}]
    lattice = {"a": 3, "b": 3, "c": 3, "alpha": 90, "beta": 90, "gamma": 90}
    found = materials_project_structure({"structure": {"lattice": lattice, "sites": sites}})
    assert found.source == "mp:unnamed"
    assert found.frac[0] == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize("document", [{"material_id": "mp-1"}, SimpleNamespace(structure=None), {"structure": None}])
def test_no_structure_in_it(document: Any) -> None:
    assert not is_document(document)
    with pytest.raises(StructureError, match="no field 'structure'"):
        materials_project_structure(document)


def test_a_species_that_is_no_element() -> None:
    ghost = PymatgenStructure(Lattice.cubic(3.0), [DummySpecies("X")], [[0, 0, 0]])
    for inside in (ghost, ghost.as_dict()):
        with pytest.raises(StructureError, match="element"):
            materials_project_structure({"structure": inside})


def test_lines_of_documents(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl.gz"
    records = [
        {"material_id": "mp-1", "structure": SALT.as_dict()},
        {"structure": SALT.as_dict()},
        {"id": "mp-3", "cell": [3, 3, 3, 90, 90, 90], "el": ["Xx"], "x": [[0, 0, 0]]},
    ]
    path.write_bytes(gzip.compress("\n".join(json.dumps(r) for r in records).encode()))
    first, second, third = iter_materials_project(path)
    assert isinstance(first, Structure)
    assert (first.source, second.source) == ("mp:1", "mp:line 2")
    assert isinstance(third, Reject)
    assert "unknown element 'Xx'" in third.reason


def test_bytes_that_are_no_text_or_a_gzip_file_with_a_flaw(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(StructureError, match="not a text file"):
        list(iter_materials_project(tmp_path / "x.jsonl"))
    packed = bytearray(gzip.compress(bytes(range(256)) * 400, mtime=0))
    packed[40:60] = b"\x00" * 20
    (tmp_path / "y.jsonl.gz").write_bytes(packed)
    with pytest.raises(StructureError, match=r"not a whole gzip file|not a text file"):
        list(iter_materials_project(tmp_path / "y.jsonl.gz"))
