"""A library of phases: what goes in comes out, and a file that is not whole is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.diffraction.phase import phase_of
from powderlens.library import container
from powderlens.library.keys import COPPER_D_A, LINES, key_lines, spacing_A, weight
from powderlens.library.make import PhaseSource, build
from powderlens.library.packed import FRAC_STEPS, pack, settled, unpack
from powderlens.library.rows import bucket_of, is_gnome, is_measured
from powderlens.library.store import UNKNOWN_U_A2, PhaseLibrary, with_displacements

NAMES = ("Rutile", "Quartz", "Halite", "Fluorite", "Corundum", "Calcite", "Sphalerite")


@pytest.fixture(scope="module")
def crystals(minerals: Mapping[str, Structure]) -> list[Structure]:
    """The seven minerals as if they came from a folder of CIF, with a year and a reference."""
    return [
        replace(
            minerals[name],
            source=f"cif:{name}.cif",
            name=name,
            labels={"year": 1990 + i, "reference": f"Bragg W L; Acta {i}", "temperature_K": 290.0 + 20 * i},
        )
        for i, name in enumerate(NAMES)
    ]


@pytest.fixture(scope="module")
def library(crystals: list[Structure], tmp_path_factory: pytest.TempPathFactory) -> PhaseLibrary:
    path = tmp_path_factory.mktemp("library") / "seven.phases"
    build([PhaseSource("seven", "0", lambda: iter(crystals))], path, workers=0)
    return PhaseLibrary.open(path)


def test_what_goes_in_comes_out(library: PhaseLibrary, crystals: list[Structure]) -> None:
    assert len(library) == 7
    assert library.measured.all()
    assert not library.doubtful.any()
    assert library.determinations.tolist() == [1] * 7
    assert library.year.tolist() == list(range(1990, 1997))
    assert np.isnan(library.temperature_K[:2]).all(), "ambient"
    assert library.temperature_K[2:].tolist() == [330, 350, 370, 390, 410]
    assert np.isnan(library.pressure_GPa).all()
    assert [library.name(i) for i in range(7)] == list(NAMES)
    assert [library.formula(i) for i in range(3)] == ["TiO2", "SiO2", "NaCl"]
    assert library.identity(1) == "cif:Quartz.cif"
    assert library.reference(1) == "Bragg W L; Acta 1"
    assert library.folded(1) == library.aliases(1) == []
    found = [find_symmetry(crystal) for crystal in crystals]
    assert library.space_group.tolist() == [symmetry.number for symmetry in found]
    for i, symmetry in enumerate(found):
        assert library.cell[i] == pytest.approx(symmetry.standard.cell, rel=1e-6)


def test_masks_of_elements(library: PhaseLibrary) -> None:
    masks = library.elements_mask()
    assert masks.shape == (7, 2)
    assert int(masks[1, 0]) == 1 << 14 | 1 << 8
    assert int(masks[2, 0]) == 1 << 17 | 1 << 11
    assert not masks[:, 1].any()


def test_heavy_elements_are_in_the_second_word(tmp_path: Path) -> None:
    lead = Structure.from_cell([4.95] * 3 + [90] * 3, ["Pb"] * 4, FACES, source="cif:lead.cif")
    water = Structure.from_cell([4.0] * 3 + [90] * 3, ["D", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]], source="cif:d.cif")
    build([PhaseSource("two", "0", lambda: iter([lead, water]))], tmp_path / "t.phases", workers=0)
    library = PhaseLibrary.open(tmp_path / "t.phases")
    assert library.elements_mask().tolist() == [[0, 1 << (82 - 64)], [1 << 1 | 1 << 8, 0]]
    assert set(library.structure(1).elements) == {"D", "O"}


FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


@pytest.mark.parametrize("i", range(7))
def test_lines_are_those_of_the_crystal(library: PhaseLibrary, crystals: list[Structure], i: int) -> None:
    whole = phase_of(with_displacements(find_symmetry(crystals[i]).standard), d_min_A=0.8, labelled=True)
    found = library.lines(i, 0.8)
    assert library.lines(i, 0.8) is found
    there = {tuple(hkl): strength for hkl, strength in zip(whole.hkl.tolist(), whole.strength, strict=True)}
    mine = {tuple(hkl): strength for hkl, strength in zip(found.hkl.tolist(), found.strength, strict=True)}
    strongest = max(there.values())
    assert there.keys() == mine.keys()
    for hkl, strength in there.items():
        assert mine[hkl] == pytest.approx(strength, rel=0.03, abs=1e-3 * strongest)


def test_atoms_without_displacements_are_given_one(library: PhaseLibrary) -> None:
    i = NAMES.index("Halite")
    assert np.isnan(library.structure(i).u_iso_A2).all()
    moving = replace(library.structure(i), u_iso_A2=np.full(8, UNKNOWN_U_A2))
    assert library.lines(i, 1.0).strength == pytest.approx(phase_of(moving, d_min_A=1.0, labelled=True).strength)


@pytest.mark.parametrize("i", range(7))
def test_key_lines(library: PhaseLibrary, i: int) -> None:
    part = slice(int(library.key_start[i]), int(library.key_start[i + 1]))
    d_A, share = spacing_A(library.key_log_d[part]), weight(library.key_amplitude[part])
    assert 0 < len(d_A) <= LINES
    assert share[0] == 1
    assert (np.diff(share) <= 0).all()
    assert share[-1] >= 0.05**2
    assert len(np.unique(library.key_log_d[part])) == len(d_A)
    phase = library.lines(i, 0.7)
    every = 1 / np.linalg.norm(phase.hkl @ np.linalg.inv(phase.lattice).T, axis=1)
    sums = {d: (phase.strength * every**2)[np.abs(every / d - 1) < 3e-4].sum() for d in d_A.tolist()}
    strongest = max(sums.values())
    assert strongest == pytest.approx((phase.strength * every**2).max(), rel=1.2)
    for d, w in zip(d_A.tolist(), share.tolist(), strict=True):
        assert sums[d] / strongest == pytest.approx(w, abs=0.01)


def test_key_lines_of_many_are_mostly_those_that_copper_sees(library: PhaseLibrary) -> None:
    big = Structure.from_cell(
        (11.0, 12.3, 13.7, 95, 103, 99), ["Fe", "O", "Si"], [[0.1, 0.2, 0.3], [0.4, 0.9, 0.6], [0.7, 0.5, 0.05]]
    )
    log_d, amplitude = key_lines(phase_of(with_displacements(big), d_min_A=0.7))
    assert len(log_d) == LINES
    assert (spacing_A(log_d) > COPPER_D_A).sum() >= 32
    assert amplitude[0] == 255


def test_a_site_on_a_special_position_stays_there() -> None:
    fluorite = find_symmetry(Structure.from_cell([5.4631] * 3 + [90] * 3, ["Ca"] * 4 + ["F"] * 8, [*FACES, *QUARTERS]))
    packed = pack(fluorite)
    assert (packed.frac.astype(int) * 8 % FRAC_STEPS == 0).all(), "eighths are exact"
    # x, 2x, z: a third of an axis in thousandths, off which rounding puts it.
    rotations = unpack(packed).rotations.astype(float)
    off = np.array([[0.25001, 0.24999, 0.25]])
    moved = settled(fluorite.standard.lattice, off, np.array([8]), rotations, unpack(packed).translations)
    assert moved[0] == pytest.approx([0.25] * 3, abs=1e-12)


QUARTERS = [[x, y, z] for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]


def test_deuterium_is_hydrogen_to_a_fold() -> None:
    def hydride(element: str) -> str:
        rock = Structure.from_cell(
            [4.08] * 3 + [90] * 3, ["Li"] * 4 + [element] * 4, [*FACES, *[[x + 0.5, y, z] for x, y, z in FACES]]
        )
        return bucket_of(pack(find_symmetry(rock)))

    assert hydride("H") == hydride("D") == "225 H1 Li1"


def test_the_same_bytes(library: PhaseLibrary, crystals: list[Structure], tmp_path: Path) -> None:
    path = tmp_path / "again.phases"
    build([PhaseSource("seven", "0", lambda: iter(crystals))], path, workers=2)
    assert path.read_bytes() == library.path.read_bytes()
    assert not (tmp_path / "again.phases.parts").exists()


def test_arrays_are_views_that_cannot_be_written_to(library: PhaseLibrary) -> None:
    for array in library.arrays.values():
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.__array_interface__["data"][0] % container.ALIGNMENT == 0 or not array.size


@pytest.mark.parametrize("name", ["cell", "site_frac", "key_log_d", "text"])
def test_damage_is_named(library: PhaseLibrary, tmp_path: Path, name: str) -> None:
    content = bytearray(library.path.read_bytes())
    place = content.find(library.arrays[name].tobytes())
    content[place + 3] ^= 4
    bad = tmp_path / "bad.phases"
    bad.write_bytes(content)
    with pytest.raises(InputError, match=f"damaged, array {name} has not its checksum; make it anew"):
        PhaseLibrary.open(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-10], "cut short"),
        (lambda content: content[:200], "cut short"),
        (lambda content: content[:20], "cut short"),
        (lambda content: b"", "not a library"),
        (lambda content: b"PK" + content, "not a library"),
        (lambda content: content[:16] + b"\x07" + content[17:], "version 7; this powderlens reads version 1"),
        (lambda content: content[:100] + b"x" + content[101:], "its header has not its checksum"),
    ],
)
def test_a_file_that_is_not_whole(library: PhaseLibrary, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.phases"
    bad.write_bytes(change(library.path.read_bytes()))
    with pytest.raises(InputError, match=message) as raised:
        PhaseLibrary.open(bad)
    assert "\n" not in str(raised.value)
    assert "library build" in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such library; make one"):
        PhaseLibrary.open(tmp_path / "none.phases")
    with pytest.raises(InputError, match="cannot be read"):
        PhaseLibrary.open(tmp_path)


def test_an_array_that_is_missing_or_of_another_form(library: PhaseLibrary, tmp_path: Path) -> None:
    header = {"prefixes": ["cif"]}
    arrays = dict(library.arrays)
    cells = arrays.pop("cell")
    bad = tmp_path / "bad.phases"
    container.write_container(bad, header, arrays)
    with pytest.raises(InputError, match="lacks the array cell"):
        PhaseLibrary.open(bad)
    container.write_container(bad, header, arrays | {"cell": cells.astype("<f8")})
    with pytest.raises(InputError, match=r"its array cell is <f8 \(7, 6\)"):
        PhaseLibrary.open(bad)


def test_no_phase_of_that_number(library: PhaseLibrary) -> None:
    with pytest.raises(IndexError, match="the library has 7"):
        library.structure(7)


@pytest.mark.parametrize(
    ("identity", "gnome"),
    [
        ("mp:3200000", True),
        ("mp:mp-3299999", True),
        ("response:mp-3212345", True),
        ("mp:320000", False),
        ("mp:32000000", False),
        ("mp:2320000", False),
        ("mp:3300000", False),
        ("amcsd:3200000", False),
    ],
)
def test_the_gnome_block(identity: str, gnome: bool) -> None:
    assert is_gnome(identity) is gnome


@pytest.mark.parametrize(
    ("identity", "measured"),
    [
        ("amcsd:12", True),
        ("cod:1000041.cif", True),
        ("cod:a/b.cif.gz#block", True),
        ("mine:POSCAR-1", False),
        ("mp:12", False),
        ("oqmd:3", False),
    ],
)
def test_what_was_measured(identity: str, measured: bool) -> None:
    assert is_measured(identity) is measured
