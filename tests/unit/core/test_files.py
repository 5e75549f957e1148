"""`atomic_write`: the old file or the new one, never half of one."""

import os
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder, read_arrays


def test_writes_and_leaves_nothing_beside(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".txt"
        aside.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_write(target) as aside:
            aside.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with target.open() as reader:
        with atomic_write(target) as aside:
            aside.write_text("new")
        assert reader.read() == "old"
    assert target.read_text() == "new"


def test_replaces_keeping_mode_and_link(tmp_path: Path) -> None:
    target, link = tmp_path / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_write(link) as aside:
        aside.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", "missing/a.txt"])
def test_impossible_places_are_one_clear_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught, atomic_write(tmp_path / name) as aside:
        aside.write_text("x")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    with atomic_write(os.devnull) as aside:
        assert str(aside) == os.devnull


def test_a_folder_is_made_with_its_parents_or_refused(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b") == make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for taken in ("file", "file/b"):
        with pytest.raises(InputError, match="no folder can be made there"):
            make_folder(tmp_path / taken)


def test_arrays_are_read_by_name_and_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, one=np.arange(5), two=np.array(["x", "yz"]))
    read = read_arrays(path)
    assert sorted(read) == ["one", "two"]
    assert read["one"].tolist() == [0, 1, 2, 3, 4]
    assert read["two"].tolist() == ["x", "yz"]
    whole = path.read_bytes()
    for damaged in (b"", b"words", whole[:-30], whole[:60] + bytes(20) + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.npz: not a NumPy archive"):
            read_arrays(path)
    np.savez(path, one=np.array([{"pickled": 1}], dtype=object))
    with pytest.raises(InputError, match="not a NumPy archive"):
        read_arrays(path)
    with pytest.raises(InputError, match="no such file"):
        read_arrays(tmp_path / "none.npz")


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
