"""Opening whatever crystals come in: databases, folders, archives, responses and Python objects."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.core.text import printable
from powderlens.crystal.archives import ARCHIVES, members
from powderlens.crystal.formats.amcsd import iter_amcsd
from powderlens.crystal.formats.ase_database import iter_ase_database
from powderlens.crystal.formats.cif import cif_blocks
from powderlens.crystal.formats.cif_text import decoded
from powderlens.crystal.formats.materials_project import (
    is_document,
    iter_materials_project,
    json_of,
    materials_project_structure,
    record_structure,
    text_lines,
)
from powderlens.crystal.formats.optimade import iter_optimade
from powderlens.crystal.formats.poscar import poscar_structure
from powderlens.crystal.from_sites import attempt
from powderlens.crystal.read import is_cif_name, is_poscar_name, read_structure
from powderlens.crystal.structure import BAD_RECORD, Reject, Structure

LINES = (".jsonl", ".jsonl.gz")
DOCUMENTS = (".json", ".json.gz")


def open_source(path: Path) -> Iterator[Structure | Reject]:
    """Crystals of a file or folder, and what in it cannot be read, in an order that is always the same.

    Args:
        path: a folder or an archive of CIF and POSCAR (also a single one); a database: AMCSD or ASE's in sqlite;
            lines of JSON: flat cells, Materials Project documents, OPTIMADE entries; JSON: an OPTIMADE response, a
            list of Materials Project documents.

    Raises:
        InputError: no such file, or none of the kinds that are known.
    """
    if path.is_dir():
        return _folder(path)
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: no such database; known are {_known()}")
    if name.endswith(ARCHIVES):
        return _texts(members(path, _is_crystal), name_of(path))
    if name.endswith(LINES):
        return _lines(path)
    if name.endswith(DOCUMENTS):
        return _document(path)
    if name.endswith(".db"):
        return _sqlite(path)
    if is_cif_name(name) or is_poscar_name(name):
        return _texts([(path.name, path.read_bytes())], path.stem)
    raise InputError(f"{path}: not a database of a known kind; known are {_known()}")


def iter_objects(objects: Iterable[object], name: str = "python") -> Iterator[Structure | Reject]:
    """Crystals from Python: pymatgen, ASE and gemmi objects, mp-api documents, paths, `Structure`.

    Args:
        objects: any mixture of them.
        name: before the colon of an id; behind it the place in the order, from 1, unless the object has an identity.
    """
    for number, item in enumerate(objects, start=1):
        source = f"{name}:{number}"
        try:
            if isinstance(item, Reject):
                yield item
            elif isinstance(item, Structure):
                yield item if ":" in item.source else replace(item, source=source)
            elif is_document(item):
                found = materials_project_structure(item)
                yield replace(found, source=source) if found.source == "mp:unnamed" else found
            else:
                yield replace(read_structure(item), source=source)
        except BAD_RECORD as error:
            yield Reject.record(source, error)


def name_of(path: Path) -> str:
    """What the ids of a folder, archive or single file begin with: its name without what says its kind."""
    name = path.resolve().name
    for ending in sorted((*ARCHIVES, *LINES, *DOCUMENTS, ".cif", ".db"), key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def _known() -> str:
    return (
        "AMCSD sqlite (.db), ASE database (.db), Materials Project or OPTIMADE lines (.jsonl, .jsonl.gz), OPTIMADE "
        "responses and Materials Project documents (.json, .json.gz), CIF and POSCAR, one or a folder or an archive "
        f"of them ({', '.join(ARCHIVES)})"
    )


def _sqlite(path: Path) -> Iterator[Structure | Reject]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type='table'")}
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: not a database ({error})") from None
    if "minerals" in tables:
        return iter_amcsd(path)
    if "systems" in tables:
        return iter_ase_database(path)
    raise InputError(f"{path}: not a database of a known kind; known are {_known()}")


def _lines(path: Path) -> Iterator[Structure | Reject]:
    """Lines are OPTIMADE's where the first is its header or an entry with attributes."""
    with closing(text_lines(path)) as lines:
        first, _ = json_of(next((line for line in lines if line.strip()), "null"))
    if isinstance(first, dict) and ("x-optimade" in first or "attributes" in first):
        return _optimade_lines(path)
    return iter_materials_project(path)


def _optimade_lines(path: Path) -> Iterator[Structure | Reject]:
    name = name_of(path)
    for number, line in enumerate(text_lines(path), start=1):
        entry, problem = json_of(line) if line.strip() else ({}, "")
        if problem:
            yield Reject(f"{name}:line {number}", problem)
            continue
        if isinstance(entry, dict) and ("x-optimade" in entry or entry.get("type", "structures") != "structures"):
            continue
        if entry:
            yield from iter_optimade({"data": entry}, name)


def _document(path: Path) -> Iterator[Structure | Reject]:
    try:
        content: Any = json.loads("".join(text_lines(path)))
    except RecursionError:
        raise InputError(f"{path}: JSON that is nested too deep") from None
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"{path}: not JSON ({error})") from None
    if isinstance(content, dict) and isinstance(content.get("data"), list | dict):
        inside = content["data"]
        entries = inside if isinstance(inside, list) else [inside]
        if not entries or any(isinstance(entry, dict) and "attributes" in entry for entry in entries):
            return iter_optimade(content, name_of(path))
        content = entries
    if is_document(content):
        content = [content]
    if isinstance(content, list):
        return (record_structure(record, f"mp:entry {n}") for n, record in enumerate(content, start=1))
    raise InputError(f"{path}: neither an OPTIMADE response nor Materials Project documents")


def _folder(path: Path) -> Iterator[Structure | Reject]:
    names = files_of(path)
    if not names:
        raise InputError(f"{path}: no CIF or POSCAR in this folder (names such as x.cif, POSCAR-x, x.vasp)")
    return _texts(((name, (path / name).read_bytes()) for name in names), name_of(path))


def source_sha256(path: Path) -> str:
    """sha256 of what `open_source` reads: of a file, or of the names and contents of a folder's crystals."""
    if not path.is_dir():
        return file_sha256(path)
    made = hashlib.sha256()
    for name in files_of(path):
        made.update(f"{name} {file_sha256(path / name)}\n".encode())
    return made.hexdigest()


def files_of(folder: Path) -> list[str]:
    """Names of the CIFs and POSCARs below a folder, relative to it, in the order of their characters."""
    found = []
    for here, _, names in os.walk(folder):
        inside = Path(here).relative_to(folder)
        found += [(inside / name).as_posix() for name in names if _is_crystal((inside / name).as_posix())]
    return sorted(found)


def _is_crystal(name: str) -> bool:
    """Whether a file's name is that of a CIF or a POSCAR, packed or not, and not hidden."""
    parts = PurePosixPath(name).parts
    if not parts or any(part.startswith((".", "__MACOSX")) for part in parts):
        return False
    last = parts[-1].lower().removesuffix(".gz")
    return is_cif_name(last) or is_poscar_name(last)


def _texts(files: Iterable[tuple[str, bytes | str]], prefix: str) -> Iterator[Structure | Reject]:
    """Structures of CIFs and POSCARs; a CIF with several gives each its block's name.

    Args:
        files: names with what is in them; text in place of bytes says why it cannot be had.
        prefix: of the ids.
    """
    for name, content in files:
        source = printable(f"{prefix}:{name}")
        if isinstance(content, str):
            yield Reject(source, content)
            continue
        try:
            if name.lower().endswith(".gz"):
                content = gzip.decompress(content)
            text = decoded(content)
            if is_cif_name(PurePosixPath(name).name.lower().removesuffix(".gz")):
                blocks = cif_blocks(text)
                for block, read in blocks:
                    own = source if len(blocks) == 1 else printable(f"{source}#{block}")
                    made = attempt(own, read)
                    yield made if isinstance(made, Reject) else replace(made, source=own)
            else:
                yield replace(poscar_structure(text), source=source)
        except BAD_RECORD as error:
            yield Reject.record(source, error)
        except (OSError, EOFError, zlib.error):
            yield Reject(source, "file: not a whole gzip file")
