"""Files of an archive, one after another, and what in it is damaged."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from powderlens.core.errors import StructureError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""Endings of the names that are known."""

LARGEST_MEMBER = 64 * 2**20
"""Files of an archive beyond this are not unpacked, bytes."""

_DAMAGED = (zipfile.BadZipFile, OSError, EOFError, zlib.error, lzma.LZMAError)


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | str]]:
    """Name and content of each file of an archive whose name is wanted; text in place of bytes says why it is lost.

    Raises:
        StructureError: not a whole archive, or a file in it of more than `LARGEST_MEMBER`.
    """
    return _zip(path, wanted) if path.name.lower().endswith(".zip") else _tar(path, wanted)


def _zip(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | str]]:
    """Members by name. One that is damaged is a reject: the others have their own places and sums."""
    try:
        with _open_zip(path) as archive:
            for member in sorted(archive.infolist(), key=lambda info: info.filename):
                if wanted(member.filename):
                    _check_size(path, member.filename, member.file_size)
                    yield member.filename, _member(archive, member)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise StructureError(f"{path}: not a whole zip archive ({error})") from None


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except UnicodeDecodeError:
        # A name that says it is UTF-8 and is not: zipfile gives up on the whole archive, so the flags are put right.
        try:
            return zipfile.ZipFile(io.BytesIO(_with_names_as_bytes(path.read_bytes())))
        except struct.error:
            raise zipfile.BadZipFile("its directory is damaged") from None


def _with_names_as_bytes(content: bytes) -> bytes:
    """A zip archive whose directory no longer calls names UTF-8 that are not.

    Source of the layout: PKWARE, APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16; bit 11 of the flags is "UTF-8".
    """
    mended = bytearray(content)
    end = content.rfind(b"PK\x05\x06")
    entries, _, at = struct.unpack_from("<HII", content, end + 10)
    for _ in range(entries):
        lengths = struct.unpack_from("<HHH", content, at + 28)
        (member,) = struct.unpack_from("<I", content, at + 42)
        try:
            content[at + 46 : at + 46 + lengths[0]].decode("utf-8")
        except UnicodeDecodeError:
            for place in (at + 8, member + 6):
                (flags,) = struct.unpack_from("<H", content, place)
                struct.pack_into("<H", mended, place, flags & ~0x800)
        at += 46 + sum(lengths)
    return bytes(mended)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | str:
    """What a member holds, or why it cannot be unpacked."""
    try:
        return archive.read(member)
    except _DAMAGED:
        return "archive: the file in it is damaged"
    except (NotImplementedError, RuntimeError):
        return "archive: the file in it is encrypted, or packed in a way that is not known"


def _tar(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | str]]:
    """Members in their order. Where the stream is damaged there is a reject, and no more: a tar has no list of them."""
    last = "its beginning"
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile() and wanted(member.name.removeprefix("./")):
                    _check_size(path, member.name, member.size)
                    handle = archive.extractfile(member)
                    assert handle is not None
                    yield member.name.removeprefix("./"), handle.read()
                    last = member.name.removeprefix("./")
    except (lzma.LZMAError, zlib.error):
        yield f"after {last}", "archive: damaged; what follows in it is lost"
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StructureError(f"{path}: not a whole tar archive ({error})") from None


def _check_size(path: Path, name: str, size: int) -> None:
    if size > LARGEST_MEMBER:
        raise StructureError(f"{path}: {name} has {size} bytes, a crystal at most {LARGEST_MEMBER}; unpack it yourself")
