"""Lines of known phases: right angles and intensities, written and read without loss, damage noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.structure import Reject, Structure
from powderlens.library.build import build_library, library_entry
from powderlens.library.table import ANGLE_STEP_DEG, MAX_LINES, LibraryTable


def test_labels(library: LibraryTable, minerals: Mapping[str, Structure]) -> None:
    assert library.name.tolist() == list(minerals)
    assert library.source.tolist() == [f"test:{name}" for name in minerals]
    assert library.formula.tolist() == ["O2Ti", "O2Si", "ClNa", "CaF2", "Al2O3", "CCaO3", "SZn"]
    assert library.space_group.tolist() == [136, 154, 225, 225, 167, 167, 216]
    for i, structure in enumerate(minerals.values()):
        assert library.niggli[i] == pytest.approx(niggli_cell(structure), rel=1e-6)


def test_lines_of_halite_follow_from_its_cell(library: LibraryTable) -> None:
    """Face-centred: 111, 200, 220, 311, 222, 400 ... and 200 the strongest, textbook intensity of 220 55 to 66."""
    d_A, intensity = library.lines(2)
    hkl2 = np.array([3, 4, 8, 11, 12, 16, 19, 20, 24])
    assert d_A[:9] == pytest.approx(5.6402 / np.sqrt(hkl2), rel=3e-4)
    assert intensity.argmax() == 1
    assert intensity[1] == 1.0
    assert 0.5 < intensity[2] < 0.7
    assert 0.03 < intensity[0] < 0.15


@pytest.mark.parametrize(
    ("a_A", "first_deg", "last_deg"), [(29.0, 3.05, 45.2), (3.034, 29.44, 91.89), (3.02, 29.58, 77.41)]
)
def test_lines_from_3_to_92_degrees_are_kept(a_A: float, first_deg: float, last_deg: float) -> None:
    """Of primitive cubic cells: 100 at 3.05 degrees is in, 220 at 91.89 is, at 92.44 not."""
    iron = Structure.from_cell((a_A, a_A, a_A, 90, 90, 90), ["Fe"], [[0, 0, 0]])
    angle = library_entry(iron).angle_deg
    assert angle.min() == pytest.approx(first_deg, abs=0.01)
    assert angle.max() == pytest.approx(last_deg, abs=0.01)


def test_angles_are_kept_to_the_step(library: LibraryTable, minerals: Mapping[str, Structure]) -> None:
    for i, structure in enumerate(minerals.values()):
        entry = library_entry(structure)
        part = slice(library.offset[i], library.offset[i + 1])
        assert library.angle[part] * ANGLE_STEP_DEG == pytest.approx(entry.angle_deg, abs=0.51 * ANGLE_STEP_DEG)
        assert library.amplitude[part] / 255 == pytest.approx(entry.amplitude, abs=0.51 / 255)
        assert 5 < len(entry.angle_deg) <= MAX_LINES
        assert entry.amplitude[0] == entry.amplitude.max() == 1


def test_lines_at_one_angle_are_joined() -> None:
    """333 and 511 of a cubic cell coincide; so do 300 and 221."""
    iron = Structure.from_cell((10.0, 10.0, 10.0, 90, 90, 90), ["Fe"], [[0, 0, 0]])
    angle = np.sort(library_entry(iron).angle_deg)
    assert (np.diff(angle) > ANGLE_STEP_DEG).all()


def test_what_cannot_be_drawn_is_counted_by_reason(minerals: Mapping[str, Structure]) -> None:
    tiny = Structure.from_cell((0.9, 0.9, 0.9, 90, 90, 90), ["Fe"], [[0, 0, 0]], name="Tiny", source="test:tiny")
    unknown = Structure.from_cell((4.0, 4.0, 4.0, 90, 90, 90), ["Es"], [[0, 0, 0]], source="test:es")
    rejects = [Reject("test:1", "cell: not six numbers"), Reject("test:2", "cell: not six numbers")]
    table, counted = build_library([tiny, minerals["Rutile"], *rejects, unknown, minerals["Quartz"]])
    assert table.name.tolist() == ["Rutile", "Quartz"]
    assert counted.total() == 4
    assert counted["cell: not six numbers"] == 2
    assert counted["element 'Es'"] == 1
    assert sum(n for reason, n in counted.items() if reason.startswith("no reflection")) == 1


def test_a_library_needs_a_phase() -> None:
    with pytest.raises(InputError, match="at least one phase"):
        build_library([Reject("a", "b")])


def test_saved_and_loaded(library: LibraryTable, tmp_path: Path) -> None:
    library.save(tmp_path / "l.npz")
    again = LibraryTable.load(tmp_path / "l.npz")
    for f in fields(LibraryTable):
        before, after = getattr(library, f.name), getattr(again, f.name)
        assert before.dtype == after.dtype
        assert before.tolist() == after.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["l.npz"]


def test_a_damaged_or_other_file_is_refused(library: LibraryTable, tmp_path: Path) -> None:
    path = tmp_path / "l.npz"
    library.save(path)
    whole = path.read_bytes()
    with pytest.raises(InputError, match="no such file"):
        LibraryTable.load(tmp_path / "none.npz")
    for damaged in (b"", b"words", whole[: len(whole) // 2], whole[:200] + b"\0" * 50 + whole[250:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"l\.npz: not a NumPy archive"):
            LibraryTable.load(path)
    np.savez(path, intensity=np.zeros(3))
    with pytest.raises(InputError, match=r"not a library of powderlens \(without name, "):
        LibraryTable.load(path)
    columns = {f.name: getattr(library, f.name) for f in fields(LibraryTable)}
    for name in ("angle", "amplitude", "formula", "niggli", "offset"):
        np.savez(path, **{**columns, name: columns[name][:-1]})
        with pytest.raises(InputError, match="columns differ in length"):
            LibraryTable.load(path)
    np.savez(path, **{**columns, "name": np.array([{"pickled": 1}], dtype=object)})
    with pytest.raises(InputError, match="not a NumPy archive"):
        LibraryTable.load(path)


def test_share_of_the_groups_counts_names_not_entries() -> None:
    rows = [("Quartz", 154), ("Quartz", 154), ("Quartz", 152), ("Halite", 225), ("Galena", 225), ("Galena", 225)]
    n = len(rows)
    table = LibraryTable(
        name=np.array([name for name, _ in rows]),
        formula=np.array([""] * n),
        source=np.array([""] * n),
        space_group=np.array([group for _, group in rows], np.int16),
        niggli=np.ones((n, 6), np.float32),
        offset=np.arange(n + 1, dtype=np.int32),
        angle=np.full(n, 15000, np.uint16),
        amplitude=np.full(n, 255, np.uint8),
    )
    share = table.group_share()
    assert share.sum() == pytest.approx(1.0)
    assert share[[153, 151, 224, 0]] == pytest.approx(np.array([2, 2, 3, 1]) / (230 + 4))
