"""`atomic_write`: the old file or the new one, never half of one."""

import os
from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write


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
