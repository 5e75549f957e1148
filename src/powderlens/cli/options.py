"""Options that several commands share, and where what they write goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from powderlens.core.errors import InputError

WAVELENGTHS = "Angstrom, an energy (20keV), or an anode's line: CuKa (the doublet), CuKa1, MoKa, CoKa."

KINDS = (
    "AMCSD or ASE sqlite (.db), Materials Project or OPTIMADE lines (.jsonl, .jsonl.gz), OPTIMADE responses or "
    "Materials Project documents (.json), a folder or an archive of CIF and POSCAR"
)
"""Databases of crystals that `crystal.sources.open_source` opens."""

Database = Annotated[Path, typer.Argument(metavar="DATABASE", help=KINDS + ".")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only the first crystals.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; the variable NO_COLOR does the same.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for machines.")]


def places(files: Sequence[Path], wanted: Path | None, option: str, extension: str) -> list[Path | None]:
    """One name to write to for each input file.

    The name may be a directory, where each file gets its own name with the extension, or contain {}, which is replaced
    by the file's name without its extension. Several files need one or the other.

    Args:
        files: the input files.
        wanted: what the option says, or None.
        option: the option's name, for the message.
        extension: for a directory, such as ".png".

    Raises:
        InputError: several files would go to one place.
    """
    if wanted is None:
        return [None] * len(files)
    if wanted.is_dir():
        wanted = wanted / ("{}" + extension)
    made: list[Path | None] = [Path(str(wanted).replace("{}", file.stem)) for file in files]
    if len(files) > 1 and "{}" not in str(wanted):
        raise InputError(
            f"{option} {wanted}: {len(files)} files need a name each; give a directory that exists, or a name with {{}}"
        )
    for i, name in enumerate(made):
        if name in made[:i]:
            raise InputError(f"{option} {wanted}: {files[made.index(name)]} and {files[i]} would both become {name}")
    return made
