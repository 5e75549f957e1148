"""`write_pattern`: a pattern as columns of text that `read_pattern` reads back."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

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
    columns = [pattern.two_theta_deg, pattern.intensity]
    names = ["two_theta_deg", "intensity"]
    if extension == ".xye" and pattern.sigma is None:
        raise PatternError(f"{os.fspath(path)}: no uncertainties to write as xye; use .xy")
    if pattern.sigma is not None and extension != ".xy":
        columns.append(pattern.sigma)
        names.append("sigma")
    separator = "," if extension == ".csv" else " "
    head = []
    if pattern.wavelength_A is not None:
        head.append(f"# wavelength_A = {pattern.wavelength_A:.8f}")
    if pattern.source:
        head.append("# source: " + " ".join(pattern.source.split()))
    head.append(separator.join(names) if extension == ".csv" else "# " + " ".join(names))
    form = ["%.6f"] + ["%.9g"] * (len(columns) - 1)
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(head) + "\n")
        np.savetxt(out, np.column_stack(columns), fmt=form, delimiter=separator)
