"""Archives of which a part is damaged."""

import zipfile
from pathlib import Path

import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.archives import members


def packed(path: Path, kind: int, names: list[str]) -> bytes:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name in names:
            archive.writestr(name, f"data_{name}\n" * 200)
    return path.read_bytes()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_one_damaged_member_of_three(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "x.zip"
    whole = bytearray(packed(path, kind, ["a.cif", "b.cif", "c.cif"]))
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("b.cif").header_offset + 30 + len("b.cif")
    whole[at + 12 : at + 30] = b"\xff" * 18
    path.write_bytes(bytes(whole))
    found = dict(members(path, lambda name: True))
    assert [type(content) for content in found.values()] == [bytes, str, bytes]
    assert found["b.cif"] == "archive: the file in it is damaged"
    assert found["c.cif"] == b"data_c.cif\n" * 200


def test_a_member_that_needs_a_password_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    whole = bytearray(packed(path, zipfile.ZIP_STORED, ["a.cif", "b.cif"]))
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        whole[whole.find(mark) + place] |= 1
    path.write_bytes(bytes(whole))
    found = dict(members(path, lambda name: True))
    assert found["a.cif"] == "archive: the file in it is encrypted, or packed in a way that is not known"
    assert isinstance(found["b.cif"], bytes)


def test_a_name_that_is_not_utf_8_though_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    whole = packed(path, zipfile.ZIP_DEFLATED, ["ä.cif", "b.cif"])
    path.write_bytes(whole.replace("ä".encode(), b"\xff\xfe"))
    found = dict(members(path, lambda name: True))
    assert sorted(map(len, found.values())) == [200 * len("data_b.cif\n"), 200 * len("data_ä.cif\n".encode())]
    assert "b.cif" in found


def test_a_directory_that_is_damaged_as_well(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    whole = bytearray(packed(path, zipfile.ZIP_DEFLATED, ["ä.cif"]).replace("ä".encode(), b"\xff\xfe"))
    whole[whole.rfind(b"PK\x05\x06") + 10] = 9
    path.write_bytes(bytes(whole))
    with pytest.raises(StructureError, match="not a whole zip archive"):
        list(members(path, lambda name: True))


def test_names_that_are_not_wanted_are_not_unpacked(tmp_path: Path) -> None:
    packed(tmp_path / "x.zip", zipfile.ZIP_DEFLATED, ["a.cif", "b.txt"])
    assert [name for name, _ in members(tmp_path / "x.zip", lambda name: name.endswith(".txt"))] == ["b.txt"]
