"""Measured patterns as a corpus of kind "measured": RRUFF, DIF files, folders with a table of labels, opXRD.

They are there to judge models by, and streams for training refuse them unless the user insists. A file that cannot be
used is counted by its reason; the rest goes on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.files import file_sha256
from powderlens.corpus.measured_labels import label_of
from powderlens.corpus.store.corpus import MEASURED
from powderlens.corpus.store.manifest import Manifest
from powderlens.corpus.store.stored_write import StoredPattern, StoredWriter
from powderlens.pattern.formats.dif import Dif, is_dif, read_dif
from powderlens.pattern.formats.opxrd import read_opxrd
from powderlens.pattern.formats.rruff_set import WAVELENGTH_A, RruffSet, read_rruff_set
from powderlens.pattern.formats.stated import Row, Stated, cell_in_text, read_label_table
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.read import read_pattern
from powderlens.pattern.wavelength import parse_radiation

DIF_STEP_DEG = 0.01
FORMATS = ("rruff", "dif", "folder", "opxrd")
_NUMBER = re.compile(r"(?<![A-Za-z])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
REFUSED_SHOWN = 200
"""Names of files in the manifest, beside the counts."""

Found = Iterator[tuple[str, Callable[[], StoredPattern]]]
"""Name of a file, and what reads it or says why not."""


def import_measured(
    source: Path, output: Path, *, form: str, labels: Path | None = None, wavelength: str | float | None = None
) -> Manifest:
    """Import a folder of measured patterns.

    Args:
        source: the folder; for "rruff" also a set of patterns (.npz with its .csv beside).
        output: the folder of the corpus, not there yet or empty.
        form: one of `FORMATS`.
        labels: for "folder", the table of labels; None takes `labels.csv` in the folder.
        wavelength: of patterns that state none, as `parse_radiation` reads it.

    Returns:
        The manifest; `rejects` counts what could not be used by reason, `refused` names the files.

    Raises:
        InputError: no such folder or format, not one usable pattern, or a folder that cannot be written.
    """
    if form not in FORMATS:
        raise InputError(f"format {form!r}: measured patterns come as {', '.join(FORMATS)}")
    if labels is not None and form != "folder":
        raise InputError(f"a table of labels goes with --format folder; {form} files carry their own labels")
    fallback = None if wavelength is None else parse_radiation(wavelength).wavelength_A
    if source.suffix == ".npz" and form == "rruff":
        patterns = read_rruff_set(source)
        found: Found = ((patterns.name(i), partial(_set_item, patterns, i)) for i in range(len(patterns)))
        origin: dict[str, Any] = {"name": source.name, "sha256": file_sha256(source)}
    else:
        files = _files(source)
        origin = {"name": source.resolve().name, "files": len(files), "sha256": _sum(files, source)}
        found = _found(form, source, files, labels or source / "labels.csv")
    reasons: Counter[str] = Counter()
    refused: list[dict[str, str]] = []
    with StoredWriter(output, kind=MEASURED, form=form, axis="two_theta_deg") as writer:
        for name, read in found:
            try:
                item = read()
                writer.add(item if item.wavelength_A is not None else replace(item, wavelength_A=fallback))
            except (PowderlensError, ValueError) as error:
                reason = _reason(error, source if source.is_file() else source / name)
                reasons[_NUMBER.sub("N", reason)] += 1
                refused.append({"file": name, "reason": reason})
        return writer.finish(reasons, refused=refused[:REFUSED_SHOWN], source=origin)


def _found(form: str, source: Path, files: list[Path], labels: Path) -> Found:
    if form == "folder":
        return ((row.file, partial(_folder_item, row, source)) for row in read_label_table(labels))
    if form == "rruff":
        return _rruff(source, files)
    if form == "dif":
        return _each(files, source, _dif_item)
    return _each((path for path in files if path.suffix == ".json"), source, _opxrd_item)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: no such folder of patterns")
    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(f"{source}: the folder is empty")
    return files


def _sum(files: Iterable[Path], source: Path) -> str:
    """One sum for the names and contents of all files."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{_name(path, source)}\0{file_sha256(path)}\n".encode())
    return whole.hexdigest()


def _name(path: Path, source: Path) -> str:
    return path.name if path == source else path.relative_to(source).as_posix()


def _identity(path: Path, source: Path) -> str:
    """The file's name below the folder, without its extension."""
    return _name(path.with_suffix("") if path != source else path, source)


def _reason(error: Exception, path: Path) -> str:
    """What is wrong, without the name of the file and the remedy."""
    text = " ".join(str(error).split()).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
    return text.split(";")[0][:200] or type(error).__name__


def _item(pattern: Pattern, identity: str, stated: Stated, said: dict[str, Any] | None = None) -> StoredPattern:
    return StoredPattern(
        id=identity,
        wavelength_A=pattern.wavelength_A,
        axis=pattern.two_theta_deg,
        intensity=pattern.intensity,
        record=None if said is None else json.dumps(said, ensure_ascii=False),
        **vars(label_of(stated)),
    )


def _each(files: Iterable[Path], source: Path, read: Callable[[Path, Path], StoredPattern]) -> Found:
    return ((_name(path, source), partial(read, path, source)) for path in files)


def _set_item(patterns: RruffSet, i: int) -> StoredPattern:
    return _item(patterns.pattern(i), patterns.name(i), patterns.stated(i))


def _rruff(source: Path, files: list[Path]) -> Found:
    """RRUFF's text files; DIF files among them give the group and the cell of the sample with the same number."""
    texts, difs = [], dict[str, Dif]()
    for path in files:
        if not is_dif(path):
            texts.append(path)
            continue
        try:
            dif = read_dif(path)
        except PowderlensError:
            continue  # the pattern goes on with what its own header says
        sample = dif.sample or _sample_in(path.name)
        if sample:
            difs.setdefault(sample, dif)
    return _each(texts, source, partial(_rruff_item, difs=difs))


def _rruff_item(path: Path, source: Path, difs: dict[str, Dif]) -> StoredPattern:
    pattern = read_pattern(path)
    header = {key: value for key, value in pattern.metadata.items() if key != "header"}
    sample = header.get("rruffid")
    if sample is None:
        raise InputError("not a RRUFF text file, it has no ##RRUFFID")
    dif = difs.get(sample)
    stated = Stated(
        group=dif.space_group if dif else None,
        cell=dif.cell if dif else cell_in_text(header.get("cell parameters", "")),
        name=header.get("names") or None,
        formula=re.sub(r"\^[^^]*\^|_", "", header.get("ideal chemistry", "")) or None,
    )
    # RRUFF's powder patterns are taken with copper.
    known = WAVELENGTH_A if pattern.wavelength_A is None else pattern.wavelength_A
    said = {"header": header, "dif": None if dif is None else dif.head}
    return _item(replace(pattern, wavelength_A=known), _identity(path, source), stated, said)


def _sample_in(name: str) -> str | None:
    found = re.search(r"(?<![A-Za-z0-9])[RX]\d{6}(?!\d)", name)
    return found[0] if found else None


def _dif_item(path: Path, source: Path) -> StoredPattern:
    """Lines of a DIF file as a pattern: each line's intensity on the two nearest points of a 0.01 degree grid."""
    dif = read_dif(path)
    first = np.floor(min(5.0, dif.two_theta_deg[0] - 1) / DIF_STEP_DEG)
    last = np.ceil(max(90.0, dif.two_theta_deg[-1] + 1) / DIF_STEP_DEG)
    axis = np.arange(first, last + 1) * DIF_STEP_DEG
    intensity = np.zeros(len(axis))
    place = dif.two_theta_deg / DIF_STEP_DEG - first
    low = np.floor(place).astype(int)
    np.add.at(intensity, low, dif.intensity * (1 - (place - low)))
    np.add.at(intensity, low + 1, dif.intensity * (place - low))
    pattern = Pattern(two_theta_deg=axis, intensity=intensity, wavelength_A=dif.wavelength_A, source=path.name)
    stated = Stated(group=dif.space_group, cell=dif.cell, name=dif.name)
    return replace(_item(pattern, _identity(path, source), stated, {"dif": dif.head}), calculated=True)


def _folder_item(row: Row, source: Path) -> StoredPattern:
    pattern = read_pattern(source / row.file, row.wavelength)
    header = {key: value for key, value in pattern.metadata.items() if key != "header"}
    identity = Path(row.file).with_suffix("").as_posix()
    return _item(pattern, identity, row.stated(), {"header": header, "table": row.rest})


def _opxrd_item(path: Path, source: Path) -> StoredPattern:
    pattern, stated, said = read_opxrd(path)
    return _item(pattern, _identity(path, source), stated, said)
