"""Making a library: variants are folded, what cannot be used is counted, an interruption costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.structure import Doubt, Reject, Structure
from powderlens.library import make, part
from powderlens.library.make import PhaseSource, build
from powderlens.library.rows import GNOME
from powderlens.library.store import PhaseLibrary

CIF = """data_{name}
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
_journal_name_full Acta
_journal_year 1999
_diffrn_ambient_temperature 100
_diffrn_ambient_pressure 2500000
loop_
_publ_author_name
'Braun A'
'Curie B'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cs1 Cs 0 0 0
Cl1 Cl 0.5 0.5 0.5
"""


def source(*items: Structure | Reject, name: str = "test") -> PhaseSource:
    return PhaseSource(name, "0", lambda: iter(items))


@pytest.fixture
def rutile(minerals: Mapping[str, Structure]) -> Structure:
    return replace(minerals["Rutile"], name="Rutile", labels={}, u_iso_A2=np.full(6, 0.005), beta=None)


def variant(structure: Structure, identity: str, stretch: float = 1.0, **changes: Any) -> Structure:
    return replace(structure, lattice=structure.lattice * stretch, source=identity, **changes)


def made(path: Path, *sources: PhaseSource, **options: Any) -> tuple[PhaseLibrary, dict[str, Any]]:
    said = build(sources, path, workers=0, **options)
    return PhaseLibrary.open(path), said


def test_the_best_leads(rutile: Structure, tmp_path: Path) -> None:
    unknown = np.full(6, np.nan)
    entries = [
        variant(rutile, "mp:1", 1.012, u_iso_A2=unknown),
        variant(rutile, "amcsd:1", labels={"year": 2001}, doubts=(Doubt("content", "another formula"),)),
        variant(rutile, "amcsd:2", labels={"year": 2020, "temperature_K": 700.0}),
        variant(rutile, "amcsd:3", labels={"year": 2020}, u_iso_A2=unknown),
        variant(rutile, "amcsd:4", labels={"year": 1970}),
        variant(rutile, "amcsd:5", labels={"year": 1990, "reference": "Acta 5"}, name="Sagenite"),
        variant(rutile, "cif:6.cif", 1.05, labels={"year": 2020}),
    ]
    library, said = made(tmp_path / "t.phases", source(*entries))
    assert said["entries"] == 7
    assert said["rejects"] == {}
    assert [library.identity(i) for i in range(2)] == ["amcsd:5", "cif:6.cif"], "five percent is another phase"
    assert library.folded(0) == ["amcsd:4", "amcsd:3", "amcsd:2", "amcsd:1", "mp:1"]
    assert library.determinations.tolist() == [6, 1]
    assert (library.name(0), library.aliases(0), library.reference(0)) == ("Sagenite", ["Rutile"], "Acta 5")


def test_either_hand_is_one_phase(minerals: Mapping[str, Structure], tmp_path: Path) -> None:
    right = minerals["Quartz"]
    plain = {"rotations": np.eye(3, dtype=int)[None], "translations": np.zeros((1, 3)), "space_group": None}
    pair = [variant(right, "mp:1", **plain), variant(right, "mp:2", frac=-right.frac % 1, **plain)]
    for item, number in zip(pair, (1, 2), strict=True):
        alone, _ = made(tmp_path / f"{number}.phases", source(item))
        assert alone.space_group.tolist() == [154 if number == (1 if right.space_group == 154 else 2) else 152]
    library, _ = made(tmp_path / "t.phases", source(*pair, variant(right, "mp:3", labels={"spacegroup": 154}, **plain)))
    assert library.determinations.tolist() == [3]
    assert not library.doubtful.any()


def test_a_declared_group_that_is_not_found_is_a_doubt(rutile: Structure, tmp_path: Path) -> None:
    wrong = variant(rutile, "mp:1", labels={"spacegroup": 65}, rotations=np.eye(3, dtype=int)[None],
                    translations=np.zeros((1, 3)), space_group=None)  # fmt: skip
    library, _ = made(tmp_path / "t.phases", source(wrong))
    assert (library.declared.tolist(), library.space_group.tolist()) == ([65], [136])
    assert library.doubtful.all()
    right, _ = made(tmp_path / "u.phases", source(wrong, variant(rutile, "mp:2", labels={"spacegroup": 136})))
    assert right.identity(0) == "mp:2"


def test_noise_of_a_calculation_is_no_lower_group(rutile: Structure, tmp_path: Path) -> None:
    off = rutile.frac + np.array([[0.003, -0.004, 0.006], *[[0.0, 0.0, 0.0]] * 5])
    plain = {"rotations": np.eye(3, dtype=int)[None], "translations": np.zeros((1, 3)), "space_group": None}
    noisy = [variant(rutile, identity, frac=off, **plain) for identity in ("mp:1", "cif:1.cif")]
    library, _ = made(tmp_path / "t.phases", source(*noisy, variant(rutile, "amcsd:1", **plain)))
    assert {library.identity(i): int(library.space_group[i]) for i in range(2)} == {"cif:1.cif": 8, "amcsd:1": 136}
    assert library.folded(1) == ["mp:1"]


def test_what_cannot_be_used_is_counted(rutile: Structure, tmp_path: Path) -> None:
    crowded = Structure.from_cell([3.0] * 3 + [90] * 3, ["Fe", "Fe"], [[0, 0, 0], [0.1, 0, 0]], source="mp:4")
    tiny = Structure.from_cell([0.6] * 3 + [90] * 3, ["H"], [[0, 0, 0]], source="mp:5")
    items = [
        variant(rutile, "mp:3212345"),
        Reject("mp:2", "record: no field 'cell'"),
        crowded,
        tiny,
        variant(rutile, "mp:6"),
        variant(rutile, "mp:6", 1.5),
    ]
    library, said = made(tmp_path / "t.phases", source(*items))
    assert len(library) == 1
    assert said["entries"] == 6
    assert said["rejects"] == {
        GNOME: 1,
        "distances: two filled sites nearly meet": 1,
        "identity: listed before": 1,
        "lines: none between 0.7 and 40 A": 1,
        "unreadable: record: no field '...'": 1,
    }


def test_a_folder_with_an_index_gives_what_it_has_references_for(tmp_path: Path) -> None:
    folder = tmp_path / "salts"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.cif").write_text(
            CIF.format(name=name).replace("4.2", {"a": "4.2", "b": "4.9"}.get(name, "5.5"))
        )
    index = "file,reference_status\na.cif,stated by the source\nb.cif,not stated by the source\n"
    (folder / "index.csv").write_text(index)
    library, said = made(tmp_path / "t.phases", PhaseSource.of_path(folder))
    assert [library.identity(i) for i in range(len(library))] == ["salts:a.cif"]
    assert library.reference(0) == "Braun A, Curie B; Acta (1999)"
    assert library.year.tolist() == [1999]
    assert library.temperature_K.tolist() == [100]
    assert library.pressure_GPa.tolist() == [2.5]
    assert said["rejects"] == {"reference: its source states none": 2}
    (folder / "index.csv").unlink()
    assert len(made(tmp_path / "u.phases", PhaseSource.of_path(folder))[0]) == 3


def test_added_to_another(rutile: Structure, minerals: Mapping[str, Structure], tmp_path: Path) -> None:
    halite = replace(minerals["Halite"], source="mp:9")
    first, _ = made(tmp_path / "a.phases", source(variant(rutile, "mp:1", 1.01), halite))
    more = source(variant(rutile, "amcsd:1"), replace(minerals["Quartz"], source="amcsd:2"))
    both, said = made(tmp_path / "b.phases", more, onto=first)
    assert [both.identity(i) for i in range(3)] == ["mp:9", "amcsd:1", "amcsd:2"]
    assert both.folded(1) == ["mp:1"]
    assert both.determinations.tolist() == [1, 2, 1]
    assert (said["entries"], said["phases"]) == (4, 3)
    whole, _ = made(tmp_path / "c.phases", source(variant(rutile, "mp:1", 1.01), halite), more)
    assert whole.sha256 == both.sha256


def test_what_was_done_is_not_done_again(
    minerals: Mapping[str, Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "BLOCK", 2)
    items = source(*minerals.values())
    whole, _ = made(tmp_path / "whole.phases", items)
    done: list[int] = []

    def failing(block: part.PhaseBlock, **more: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(block.number)
        part.make_part(block, **more)

    with monkeypatch.context() as patched:
        patched.setattr(make, "make_part", failing)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "t.phases", items)
    assert not (tmp_path / "t.phases").exists()

    def counting(block: part.PhaseBlock, **more: Any) -> None:
        done.append(block.number)
        part.make_part(block, **more)

    monkeypatch.setattr(make, "make_part", counting)
    again, _ = made(tmp_path / "t.phases", items)
    assert done == [0, 1, 2, 3]
    assert again.path.read_bytes() == whole.path.read_bytes()


def test_nothing_to_make_one_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no source"):
        build([], tmp_path / "t.phases")
    with pytest.raises(InputError, match="no directory"):
        build([source()], tmp_path / "none" / "t.phases")
    with pytest.raises(InputError, match="no phase of 0 is kept"):
        made(tmp_path / "t.phases", source())
