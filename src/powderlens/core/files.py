"""Writing files whole or not at all, and reading archives of arrays."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write aside, then rename: a reader sees the old file or the new one, never half of one.

    Use it as `with atomic_write("out.xy") as aside: aside.write_text(...)`. The name handed out has the same
    suffix and lies in the same directory. It is renamed when the block ends well and removed when it raises.
    A device or a pipe (`/dev/stdout`) cannot be renamed onto and is handed out itself.

    Args:
        path: the file wanted; an existing file is replaced, a symbolic link is followed.

    Yields:
        The path to write to.

    Raises:
        InputError: the directory does not exist or may not be written to, the path is a directory, or the disk
            refuses the write.
    """
    wanted = Path(path)
    if wanted.is_dir():
        raise InputError(f"{wanted}: is a directory; give a file name")
    if wanted.exists() and not wanted.is_file():
        yield wanted
        return
    target = Path(os.path.realpath(wanted))
    if not target.parent.is_dir():
        raise InputError(f"{wanted}: no directory {wanted.parent}; make it first")
    aside = target.with_name(f".{target.stem[:64]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        if target.exists():
            aside.chmod(target.stat().st_mode & 0o777)
        aside.replace(target)
    except OSError as error:
        raise InputError(f"{wanted}: cannot be written ({error.strerror or error}); choose another place") from error
    finally:
        aside.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made with its parents where it is not there.

    Raises:
        InputError: it cannot be made, or a file has its name.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder can be made there ({error.strerror}); choose another place") from None
    return folder


def file_sha256(path: str | os.PathLike[str]) -> str:
    """sha256 of a file, hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a NumPy archive (`.npz`) by name; nothing pickled is read.

    Raises:
        InputError: a missing or damaged file, or another kind of file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        return {name.removesuffix(".npy"): _array(content) for name, content in members}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not a NumPy archive (.npz), or a damaged one ({error})") from None


def _array(content: bytes) -> NDArray[Any]:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
