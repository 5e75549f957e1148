"""Variants of one phase become one row, led by the best of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.pool import in_order
from powderlens.crystal.duplicates import find_duplicates
from powderlens.library.rows import Arrays, bucket_of, take, text_of, with_ragged
from powderlens.library.store import CONTENT, SITE, SYMMETRY, PhaseLibrary

CHUNK = 400
"""Crystals that one task compares, at least."""

MOST_DETERMINATIONS = 65535


def preference(library: PhaseLibrary) -> NDArray[np.int64]:
    """Rows from the best to lead to the worst.

    Measured before calculated, without doubts before doubtful ones, ambient before others, with displacements of all
    sites before without, the most recent first; of equals the earlier row.
    """
    a = library.arrays
    start = a["site_start"][:-1].astype(np.int64)
    known = np.minimum.reduceat(a["site_u_iso"], start) > 0
    ambient = np.isnan(library.temperature_K) & np.isnan(library.pressure_GPa)
    doubt = library.doubtful | ((a["flags"] & (CONTENT | SYMMETRY | SITE)) > 0)
    keys = (library.measured, ~doubt, ambient, known, library.year)
    return np.lexsort([-key.astype(np.int64) for key in reversed(keys)]).astype(np.int64)


def heads_of(path: Path, workers: int, folded_already: int = 0) -> NDArray[np.int64]:
    """(n,) for each row of a library on disk the row that leads its phase; its own where it leads itself.

    Two rows are one phase when group and composition are the same and `crystal.duplicates` finds them equal. Each is
    compared with those before it, in the order of `preference`, that lead.

    Args:
        path: the library; its key lines are not needed.
        workers: processes.
        folded_already: so many of the first rows are not compared where they are among themselves.
    """
    library = PhaseLibrary.open(path, check=False)
    groups: dict[str, list[int]] = {}
    for row in preference(library).tolist():
        groups.setdefault(bucket_of(library.packed(row)), []).append(row)
    head = np.arange(len(library), dtype=np.int64)
    open_groups = [rows for rows in groups.values() if len(rows) > 1 and max(rows) >= folded_already]
    for rows, leads in in_order(partial(_compared, path), _chunks(open_groups), workers):
        head[rows] = leads
    return head


def folded(library: PhaseLibrary, head: NDArray[np.int64]) -> Arrays:
    """The rows that lead, in their order; they count, name and list those that follow them."""
    n = len(library)
    order = np.empty(n, np.int64)
    order[preference(library)] = np.arange(n)
    followers: dict[int, list[int]] = {}
    for row in np.flatnonzero(head != np.arange(n)).tolist():
        followers.setdefault(int(head[row]), []).append(row)
    leads = np.flatnonzero(head == np.arange(n))
    counts = library.determinations.astype(np.int64)
    total = np.bincount(head, counts, minlength=n)[leads]
    texts = []
    for row in leads.tolist():
        name, entry, reference, *_ = library.text(row)
        mine = sorted(followers.get(row, ()), key=lambda other: order[other])
        others = [*library.folded(row), *(text for at in mine for text in (library.identity(at), *library.folded(at)))]
        called = [*library.aliases(row), *(text for at in mine for text in (library.text(at)[0], *library.aliases(at)))]
        aliases = [text for text in dict.fromkeys(called) if text and text != name]
        texts.append(text_of(name, entry, reference, others, aliases))
    arrays = take(library.arrays, leads)
    arrays["determinations"] = np.minimum(total, MOST_DETERMINATIONS).astype(np.uint16)
    return with_ragged(arrays, "text", {"text": texts})


def _chunks(groups: list[list[int]]) -> Iterator[list[list[int]]]:
    """Groups, some hundred rows together."""
    chunk: list[list[int]] = []
    for rows in groups:
        chunk.append(rows)
        if sum(map(len, chunk)) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _compared(path: Path, groups: list[list[int]]) -> tuple[list[int], list[int]]:
    """In a worker: rows, and the row that each is led by."""
    library = PhaseLibrary.open(path, check=False)
    rows = [row for group in groups for row in group]
    names = [str(number) for number, group in enumerate(groups) for _ in group]
    first = find_duplicates(names, lambda i: library.structure(rows[i]))
    return rows, [rows[i] for i in first.tolist()]
