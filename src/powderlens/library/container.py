"""A file of named arrays that is mapped into memory: a library of phases on disk, and the parts it is made of.

Layout, little-endian: 16 bytes of `MAGIC`; uint32 version; uint32 CRC-32 of the header; uint64 length of the header;
the header, JSON in UTF-8; then each array at a multiple of `ALIGNMENT` bytes. The header's `arrays` name them in their
order, each with dtype, shape, offset and CRC-32; its `sha256` is that of the arrays' bytes, one after the other.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write

MAGIC = b"POWDERLENSPHASES"
VERSION = 1
ALIGNMENT = 64
_START = struct.Struct("<16sIIQ")
REMEDY = "make it anew with `powderlens library build`, or copy it again from where it came"


class Container(NamedTuple):
    """What a file holds: its header, and its arrays, which are views of the mapped file and cannot be written to."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_container(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays and what is said of them, aside and then renamed; the same input gives the same bytes.

    Args:
        path: of the file.
        header: values for JSON; `arrays` and `sha256` are added.
        arrays: by name, in their order.

    Returns:
        The sha256 of the content.

    Raises:
        InputError: the disk refuses.
    """
    plain = {name: _little(array) for name, array in arrays.items()}
    digest = sha256()
    listed: dict[str, dict[str, Any]] = {}
    for name, array in plain.items():
        digest.update(array.data)
        listed[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "crc32": zlib.crc32(array.data)}
    # Offsets count from the end of the header, whose own length they would change.
    at = 0
    for name, array in plain.items():
        listed[name]["offset"] = at
        at = _aligned(at + array.nbytes)
    text = json.dumps({**header, "sha256": digest.hexdigest(), "arrays": listed}, ensure_ascii=False).encode()
    with atomic_write(path) as aside, open(aside, "wb") as handle:
        handle.write(_START.pack(MAGIC, VERSION, zlib.crc32(text), len(text)))
        handle.write(text)
        for array in plain.values():
            handle.write(bytes(_aligned(handle.tell()) - handle.tell()))
            handle.write(array.data)
    return digest.hexdigest()


def read_container(path: Path, *, check: bool = True) -> Container:
    """Map a file into memory.

    Args:
        path: of the file.
        check: hold every array against its checksum.

    Raises:
        InputError: a missing, damaged or truncated file, one of another version, or another kind of file.
    """
    try:
        with open(path, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            start = handle.read(_START.size)
            if not start.startswith(MAGIC[: len(start)]) or not start:
                raise InputError(f"{path}: not a library of phases; make one with `powderlens library build`")
            if size < _START.size:
                raise InputError(f"{path}: cut short ({size} bytes); {REMEDY}")
            view = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise InputError(f"{path}: no such library; make one with `powderlens library build`") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    _, version, crc32, length = _START.unpack(start)
    if version != VERSION:
        raise InputError(
            f"{path}: a library of version {version}; this powderlens reads version {VERSION}: build it anew with "
            "`powderlens library build`"
        )
    text = view[_START.size : _START.size + length]
    if len(text) < length:
        raise InputError(f"{path}: cut short ({size:,} bytes, its header alone has {length:,}); {REMEDY}")
    if zlib.crc32(text) != crc32:
        raise InputError(f"{path}: damaged, its header has not its checksum; {REMEDY}")
    header: dict[str, Any] = json.loads(bytes(text))
    base = _aligned(_START.size + length)
    arrays = {}
    for name, said in header["arrays"].items():
        dtype = np.dtype(said["dtype"])
        count = math.prod(said["shape"])
        first = base + said["offset"]
        if first + count * dtype.itemsize > size:
            raise InputError(f"{path}: cut short ({size:,} bytes), array {name} ends behind that; {REMEDY}")
        inside = view[first : first + count * dtype.itemsize]
        if check and zlib.crc32(inside) != said["crc32"]:
            raise InputError(f"{path}: damaged, array {name} has not its checksum; {REMEDY}")
        arrays[name] = np.frombuffer(inside, dtype).reshape(said["shape"])
    return Container(header, arrays)


def content_sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    """The sha256 of the arrays' bytes, one after the other."""
    digest = sha256()
    for array in arrays.values():
        digest.update(array.data)
    return digest.hexdigest()


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _aligned(at: int) -> int:
    return -(-at // ALIGNMENT) * ALIGNMENT
