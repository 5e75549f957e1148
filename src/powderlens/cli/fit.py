"""`powderlens fit`: least squares of a structure on a measured pattern."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import console, print_json, warn, warn_of_structure
from powderlens.cli.options import WAVELENGTHS, Json, NoColor
from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.refine.result import Fit


class Shift(StrEnum):
    """What moves the lines apart from the cell."""

    zero = "zero"
    displacement = "displacement"
    both = "both"
    none = "none"


def fit(
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE", help="A CIF or POSCAR.")],
    pattern: Annotated[Path, typer.Argument(metavar="PATTERN", help="The measured pattern.")],
    wavelength: Annotated[str | None, typer.Option(metavar="W", help=WAVELENGTHS)] = None,
    two_theta_deg: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="FIRST LAST", help="2theta, degrees; all of the pattern unless given."),
    ] = None,
    no_texture: Annotated[bool, typer.Option("--no-texture", help="Leave out preferred orientation.")] = False,
    texture_axis: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="H K L", help="Axis of the orientation; the best of a few unless given."),
    ] = None,
    shift: Annotated[
        Shift, typer.Option(help="What moves the lines besides the cell; both only for data far beyond 90 degrees.")
    ] = Shift.zero,
    background: Annotated[int, typer.Option(metavar="TERMS", help="Chebyshev polynomials of the background.")] = 8,
    no_dispersion: Annotated[bool, typer.Option("--no-dispersion", help="Leave out f' and f''.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Draw it: measured, calculated, difference; .png, .svg or .pdf.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write 2theta, measured, calculated and background, as .xy or .csv."),
    ] = None,
    protocol: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write the conditions found as a protocol (.toml) for simulate --protocol."),
    ] = None,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Fit a structure to a measured pattern: cell, shifts, widths, texture; the atoms stay.

    Prints the R factors, and each parameter with its standard uncertainty in units of the last digits.
    """
    from powderlens.crystal.read import read_structure
    from powderlens.diffraction.figure import check_format
    from powderlens.pattern.read import read_pattern
    from powderlens.refine.fit import fit as least_squares

    if plot is not None:
        check_format(plot)
    if output is not None and output.suffix.lower() not in (".xy", ".csv"):
        raise InputError(f"{output}: a fit is not written as {output.suffix!r}; use .xy or .csv")
    if protocol is not None and protocol.suffix.lower() != ".toml":
        raise InputError(f"{protocol}: a protocol is not written as {protocol.suffix!r}; use .toml")
    found = least_squares(
        structure,
        read_pattern(pattern, wavelength),
        wavelength,
        two_theta_deg=two_theta_deg,
        texture=not no_texture,
        texture_axis=texture_axis,
        shift=shift.value,
        background_terms=background,
        dispersion=not no_dispersion,
    )
    if output is not None:
        _write(found, output)
    if plot is not None:
        from powderlens.refine.figure import plot_fit

        plot_fit(found, plot)
    if protocol is not None:
        from powderlens.core.files import atomic_write
        from powderlens.refine.protocol import protocol_text

        with atomic_write(protocol) as aside:
            aside.write_text(protocol_text(found), encoding="utf-8", newline="\n")
    warn_of_structure(structure, read_structure(structure), no_color=no_color)
    for warning in found.warnings:
        warn(warning, no_color=no_color)
    if as_json:
        print_json(found.as_json())
    else:
        console(no_color).print(found.text, markup=False, soft_wrap=True)


def _write(found: Fit, path: Path) -> None:
    from powderlens.pattern.write import write_columns

    x, y = found.pattern.two_theta_deg, found.pattern.intensity
    columns = {"two_theta_deg": x, "measured": y, "calculated": found.calculated, "background": found.background}
    comments = [f"wavelength_A = {found.radiation.wavelength_A:.8f}"]
    comments.append(f"{found.name} fitted to {' '.join(found.pattern.source.split())}")
    write_columns(path, columns, comments)
