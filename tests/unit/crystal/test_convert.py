"""Round trips through pymatgen, ASE and gemmi."""

import builtins

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import MissingExtraError, StructureError
from powderlens.crystal.convert import to_ase, to_gemmi, to_pymatgen
from powderlens.crystal.read import read_structure
from powderlens.crystal.structure import Structure

MIXED = Structure.from_cell(
    (4.0, 5.0, 6.0, 85, 95, 100),
    ["Fe", "Mg", "O", "D", "H"],
    [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.6, 0.7, 0.8], [0.4, 0.4, 0.1], [0.9, 0.1, 0.6]],
    occupancy=np.array([0.6, 0.4, 0.5, 1.0, 1.0]),
)


def same(one: Structure, two: Structure) -> None:
    assert two.cell == pytest.approx(one.cell)
    rows = [
        (e, *np.round(x % 1, 6), round(float(o), 6))
        for e, x, o in zip(one.elements, one.frac, one.occupancy, strict=True)
    ]
    back = [
        (e, *np.round(x % 1, 6), round(float(o), 6))
        for e, x, o in zip(two.elements, two.frac, two.occupancy, strict=True)
    ]
    assert sorted(rows) == sorted(back)


@pytest.mark.parametrize("convert", [to_pymatgen, to_ase, to_gemmi])
def test_round_trip_keeps_cell_elements_places_and_occupancies(convert) -> None:
    same(MIXED, read_structure(convert(MIXED)))


def test_pymatgen_gets_one_disordered_site_and_gives_charges_back_as_elements() -> None:
    from pymatgen.core import Lattice
    from pymatgen.core import Structure as Pymatgen

    there = to_pymatgen(MIXED)
    assert len(there) == 4
    assert there[0].species.as_dict() == {"Fe": 0.6, "Mg": 0.4}
    salt = Pymatgen.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na+", "Cl-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    back = read_structure(salt)
    assert back.elements == ("Na",) * 4 + ("Cl",) * 4
    assert (back.space_group, len(back.rotations)) == (None, 1)
    with pytest.raises(StructureError, match="is no element"):
        read_structure(Pymatgen(Lattice.cubic(4), ["X"], [[0, 0, 0]]))


def test_ase_plain_atoms_and_its_own_occupancies() -> None:
    from ase.build import bulk

    back = read_structure(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    assert back.cell == pytest.approx((5.64, 5.64, 5.64, 90, 90, 90))
    assert sorted(back.elements) == ["Cl"] * 4 + ["Na"] * 4
    there = to_ase(MIXED)
    assert there.get_chemical_symbols() == ["Fe", "O", "H", "H"]
    assert there.get_masses()[2:] == pytest.approx([2.014, 1.008])
    assert {"Fe": 0.6, "Mg": 0.4} in there.info["occupancy"].values()
    plain = to_ase(Structure.from_cell((4, 4, 4, 90, 90, 90), ["Cu"], [[0, 0, 0]]))
    assert "occupancy" not in plain.info


def test_ase_without_a_cell_is_refused() -> None:
    from ase import Atoms

    for atoms in (Atoms("Cu", pbc=True), Atoms("Cu", cell=[4, 4, 4], pbc=[True, True, False])):
        with pytest.raises(StructureError, match="no unit cell periodic in three directions"):
            read_structure(atoms)
    with pytest.raises(StructureError, match="atomic number 0"):
        read_structure(Atoms("X", cell=[4, 4, 4], pbc=True))


def test_gemmi_structures_are_expanded_and_keep_displacements() -> None:
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(4, 4, 6, 90, 90, 90)
    small.spacegroup_hm = "P 4"
    for label, place, u in (("Fe1", (0, 0, 0.3), 0.01), ("O1", (0.1, 0.2, 0.3), 0.02)):
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol, site.element = label, label[:-1], gemmi.Element(label[:-1])
        site.fract, site.occ, site.u_iso = gemmi.Fractional(*place), 1.0, u
        if label == "O1":
            site.aniso = gemmi.SMat33d(0.01, 0.02, 0.03, 0, 0, 0)
        small.add_site(site)
    found = read_structure(small)
    assert found.elements == ("Fe",) + ("O",) * 4
    assert found.space_group == 75
    assert found.u_iso_A2.tolist() == [0.01] + [0.02] * 4
    assert np.isnan(found.beta[0]).all()
    assert found.beta[1, 2, 2] == pytest.approx(2 * np.pi**2 * 0.03 / 36)
    back = read_structure(to_gemmi(found))
    same(found, back)
    assert back.beta == pytest.approx(found.beta, nan_ok=True)
    assert back.u_iso_A2 == pytest.approx(found.u_iso_A2)


def test_gemmi_structures_that_cannot_be_read() -> None:
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(4, 4, 6, 90, 90, 90)
    with pytest.raises(StructureError, match="no atoms"):
        read_structure(small)
    site = gemmi.SmallStructure.Site()
    site.label = site.type_symbol = "Qq"
    small.add_site(site)
    with pytest.raises(StructureError, match="unknown element 'Qq'"):
        read_structure(small)
    small.spacegroup_hm = "P 99"
    with pytest.raises(StructureError, match="'P 99' is not known"):
        read_structure(small)


@pytest.mark.parametrize("convert", [to_pymatgen, to_ase])
def test_a_site_with_more_than_one_atom_is_refused(convert) -> None:
    crowded = Structure.from_cell((4, 4, 4, 90, 90, 90), ["Fe", "Mg"], [[0, 0, 0], [0, 0, 0]], name="crowded")
    with pytest.raises(StructureError, match=r"crowded: the site at .* holds 2 atoms"):
        convert(crowded)


@pytest.mark.parametrize(("convert", "library"), [(to_pymatgen, "pymatgen"), (to_ase, "ase")])
def test_a_missing_library_is_named(convert, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *args, **kwargs):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingExtraError, match=f"pip install {library}"):
        convert(MIXED)
