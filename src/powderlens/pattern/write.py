"""`write_pattern`: a pattern as columns of text that `read_pattern` reads back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PatternError
from powderlens.core.files import atomic_write
from powderlens.pattern.pattern import Pattern

_EXTENSIONS = (".xy", ".xye", ".csv")


def write_pattern(pattern: Pattern, path: str | os.PathLike[str]) -> None:
    """Write a pattern as xy, xye or csv, by the extension; whole or not at all.

    Comments above the columns give wavelength and source. Angles are written with 6 decimals, intensities
    with 9 significant figures. csv holds uncertainties when the pattern has them, xye requires them.

    Args:
        pattern: what to write.
        path: a name that ends in .xy, .xye or .csv; an existing file is replaced.

    Raises:
        InputError: another extension, or a place that cannot be written to.
        PatternError: xye without uncertainties.
    """
    extension = Path(path).suffix.lower()
    if extension not in _EXTENSIONS:
        raise InputError(f"{os.fspath(path)}: a pattern is not written as {extension!r}; use .xy, .xye or .csv")
    columns = {"two_theta_deg": pattern.two_theta_deg, "intensity": pattern.intensity}
    if extension == ".xye" and pattern.sigma is None:
        raise PatternError(f"{os.fspath(path)}: no uncertainties to write as xye; use .xy")
    if pattern.sigma is not None and extension != ".xy":
        columns["sigma"] = pattern.sigma
    comments = []
    if pattern.wavelength_A is not None:
        comments.append(f"wavelength_A = {pattern.wavelength_A:.8f}")
    if pattern.source:
        comments.append("source: " + " ".join(pattern.source.split()))
    write_columns(path, columns, comments)


def write_columns(
    path: str | os.PathLike[str], columns: Mapping[str, NDArray[np.float64]], comments: Sequence[str]
) -> None:
    """Write comments, names and columns; with commas where the name ends in .csv, else with blanks.

    Args:
        path: the file, replaced if it exists.
        columns: (n,) numbers by name: the first with 6 decimals, the others with 9 significant figures.
        comments: lines above them.

    Raises:
        InputError: a place that cannot be written to.
    """
    commas = Path(path).suffix.lower() == ".csv"
    head = [f"# {line}" for line in comments]
    head.append(",".join(columns) if commas else "# " + " ".join(columns))
    form = ["%.6f"] + ["%.9g"] * (len(columns) - 1)
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(head) + "\n")
        np.savetxt(out, np.column_stack(list(columns.values())), fmt=form, delimiter="," if commas else " ")
