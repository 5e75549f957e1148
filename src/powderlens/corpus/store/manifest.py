"""`manifest.json` of a corpus: what it holds, how it was made, and the sums by which any changed bit is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write

NAME = "manifest.json"
SCHEMA_VERSION = 1
"""Of the folder's layout; raised when an older program could misread a newer corpus."""
BLOCK_BYTES = 2**20
KEPT_DIGITS = 16
"""Of the sha256 of a block: enough to find an accident, and a corpus of 1 GB needs 16 kB of them."""

Manifest = dict[str, Any]


def file_sums(path: Path) -> dict[str, Any]:
    """Size, sha256, and the beginning of the sha256 of each MiB.

    Returns:
        `bytes`, `sha256` and `blocks`, a list of 16 hexadecimal digits a MiB.
    """
    whole, blocks, size = hashlib.sha256(), [], 0
    for block in blocks_of(path):
        whole.update(block)
        blocks.append(hashlib.sha256(block).hexdigest()[:KEPT_DIGITS])
        size += len(block)
    return {"bytes": size, "sha256": whole.hexdigest(), "blocks": blocks}


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file MiB by MiB."""
    with open(path, "rb") as handle:
        while block := handle.read(BLOCK_BYTES):
            yield block


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Add version, the sums of every file of the folder and the manifest's own, and write it.

    Args:
        folder: of the corpus; all its other files are there. Names that begin with a dot are no part of it.
        manifest: what else is to be said.

    Returns:
        The manifest as it was written.
    """
    full = {"schema_version": SCHEMA_VERSION, **manifest}
    full["files"] = {name: file_sums(path) for name, path in listed_files(folder).items()}
    full["sha256"] = _own_sum(full)
    with atomic_write(folder / NAME) as aside:
        aside.write_bytes(_text(full))
    return full


def listed_files(folder: Path) -> dict[str, Path]:
    """The files of a corpus by name, in alphabetical order; the manifest and hidden ones left out."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name != NAME and not _hidden(name)}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a corpus, checked against its own sum, and the presence and sizes of the files that it lists.

    Raises:
        InputError: no corpus, one of a newer version, a manifest that was changed, a file that is missing or has
            another size.
    """
    manifest, damage = load_manifest(folder)
    if damage:
        raise InputError(f"{folder / NAME}: {damage}; build the corpus again, or copy it again from where it is whole")
    for name, sums in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: this file of the corpus is missing; copy it again, or build the corpus again")
        if path.stat().st_size != sums["bytes"]:
            raise InputError(
                f"{path}: has {path.stat().st_size:,} bytes and should have {sums['bytes']:,}; `powderlens corpus "
                "verify` says what else is wrong, copy it again"
            )
    return manifest


def load_manifest(folder: Path) -> tuple[Manifest, str | None]:
    """The manifest, and what is wrong with it; None where every byte is as it was written.

    Raises:
        InputError: there is none, or it is of a newer version.
    """
    path = folder / NAME
    if not folder.exists():
        raise InputError(f"{folder}: no such corpus; make one with `powderlens corpus build`")
    if not path.is_file():
        raise InputError(f"{folder}: not a corpus, it has no {NAME}; make one with `powderlens corpus build`")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        manifest = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        return {}, f"damaged ({error})"
    if not isinstance(manifest, dict) or "schema_version" not in manifest or "files" not in manifest:
        return {}, "damaged, or of another program"
    whole = raw == _text(manifest) and manifest.get("sha256") == _own_sum(manifest)
    version = manifest["schema_version"]
    if whole and isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{folder}: a corpus of version {version}, made by powderlens {manifest.get('powderlens', '?')}; this "
            f"program reads version {SCHEMA_VERSION}: update powderlens"
        )
    if whole:
        return manifest, None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return (
            manifest,
            f"of version {version}, while this program reads {SCHEMA_VERSION}, or changed; update powderlens",
        )
    return manifest, "does not agree with its own checksum: it was changed"


def _own_sum(manifest: Manifest) -> str:
    return hashlib.sha256(_text({key: value for key, value in manifest.items() if key != "sha256"})).hexdigest()


def _text(manifest: Manifest) -> bytes:
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
