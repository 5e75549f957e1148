"""`powderlens simulate`: the pattern or the peaks of a structure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import console, print_json, report_bad_file, table, warn_of_structure
from powderlens.cli.options import WAVELENGTHS, Json, NoColor, places
from powderlens.core.errors import InputError, PowderlensError

if TYPE_CHECKING:
    from powderlens.diffraction.simulate import Peak

STEP_DEG = 0.02


def simulate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Structures: CIF or POSCAR.")],
    wavelength: Annotated[str | None, typer.Option(metavar="W", help=WAVELENGTHS)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write the pattern, as .xy or .csv. For several files a directory, or {} in the name."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Draw the pattern: .png, .svg or .pdf. Several files as above.")
    ] = None,
    peaks: Annotated[
        bool, typer.Option("--peaks", help="List the peaks, which is what it does without --output and --plot.")
    ] = False,
    as_json: Json = False,
    two_theta_deg: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="FIRST LAST", help="2theta, degrees; 5 90 unless given."),
    ] = None,
    step_deg: Annotated[
        float | None, typer.Option("--step", metavar="S", help=f"Distance of points, degrees; {STEP_DEG} unless given.")
    ] = None,
    dispersion: Annotated[
        bool, typer.Option("--dispersion", help="Add the dispersion corrections f' and f''.")
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Draw conditions from a protocol (`protocol list` names them) or its file."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", help="With --protocol: patterns of each structure; 1.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="S", help="With --protocol: of all that is random; 0.")] = None,
    impurity: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --protocol: a second phase, in place of the common minerals."),
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="With --protocol: plot how the pattern comes about.")] = False,
    no_color: NoColor = False,
) -> None:
    """Simulate the powder pattern of a structure, or list its peaks; with a protocol, patterns like measured ones."""
    if protocol is not None:
        given = {"--wavelength": wavelength, "--range": two_theta_deg, "--step": step_deg}
        given |= {"--peaks": peaks or None, "--dispersion": dispersion or None}
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} has no effect with --protocol, which has its own; leave one out")
        from powderlens.cli.simulate_protocol import simulate_by_protocol

        code = simulate_by_protocol(
            files, protocol, count=1 if count is None else count, seed=seed or 0, impurities=impurity or (),
            output=output, plot=plot, steps=steps, as_json=as_json, no_color=no_color,
        )  # fmt: skip
        raise typer.Exit(code)
    ours = {"--count": count is not None, "--seed": seed is not None, "--impurity": bool(impurity), "--steps": steps}
    for option, present in ours.items():
        if present:
            raise InputError(f"{option} has no effect without --protocol; name one, such as lab")
    two_theta_deg = two_theta_deg or (5.0, 90.0)
    from powderlens.crystal.read import read_structure
    from powderlens.diffraction import simulate as diffraction
    from powderlens.pattern.wavelength import parse_radiation
    from powderlens.pattern.write import write_pattern

    drawing = output is not None or plot is not None
    if wavelength is None:
        raise InputError("no wavelength; give --wavelength in angstrom, or a line such as CuKa or CuKa1")
    if step_deg is not None and not drawing:
        raise InputError("--step has no effect on a list of peaks; give --output or --plot with it")
    radiation = parse_radiation(wavelength)
    outputs, plots = places(files, output, "--output", ".xy"), places(files, plot, "--plot", ".png")
    listing = peaks or as_json or not drawing
    failed = False
    for file, to_file, to_plot in zip(files, outputs, plots, strict=True):
        try:
            structure = read_structure(file)
            warn_of_structure(file, structure, no_color=no_color)
            found = diffraction.peaks(structure, radiation, two_theta_deg=two_theta_deg, dispersion=dispersion)
            if drawing:
                pattern = diffraction.simulate(
                    structure,
                    radiation,
                    two_theta_deg=two_theta_deg,
                    step_deg=STEP_DEG if step_deg is None else step_deg,
                    dispersion=dispersion,
                )
        except PowderlensError as error:
            if len(files) == 1:
                raise
            failed = True
            report_bad_file(file, error, as_json=as_json, no_color=no_color)
            continue
        if to_file is not None:
            write_pattern(pattern, to_file)
        if to_plot is not None:
            from powderlens.diffraction.figure import plot_simulation

            plot_simulation(pattern, found, to_plot, title=file.name)
        if as_json:
            listed = [peak._asdict() for peak in found]
            print_json(listed if len(files) == 1 else {"file": str(file), "peaks": listed})
        elif listing:
            _show(file, radiation.name, found, no_color)
    raise typer.Exit(1 if failed else 0)


def _show(file: Path, radiation: str, found: list[Peak], no_color: bool) -> None:
    from rich.text import Text

    columns = ("h", "k", "l", "multiplicity", "d (A)", "2theta (deg)", "intensity")
    shown = table(columns, right=columns, title=Text(f"{file}, {radiation}"), pad_edge=True)
    for *whole, d_A, angle, intensity in found:
        shown.add_row(*(str(v) for v in whole), f"{d_A:.5f}", f"{angle:.4f}", f"{intensity:.2f}")
    console(no_color).print(shown)
