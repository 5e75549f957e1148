"""`powderlens crystals`: databases in, labelled crystals out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import console, print_json, tell
from powderlens.cli.crystals_compare import compare
from powderlens.cli.crystals_generate import generate
from powderlens.cli.crystals_statistics import statistics
from powderlens.cli.extras import need
from powderlens.cli.options import KINDS, Json, Limit, NoColor

app = typer.Typer(help="Databases in, labelled crystals out.", no_args_is_help=True)

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="Crystals, as `crystals curate` writes them.")]


@app.command()
def curate(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help=KINDS + ".")],
    protocol: Annotated[str, typer.Option(help="Whose rules: simxrd or alphadiffract.")],
    output: Annotated[
        Path, typer.Option(help="The Parquet table; a manifest (.json) and the rejects (.rejects.csv) lie beside it.")
    ],
    without: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Leave out a rule; repeat it.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first crystals of each source.")] = None,
) -> None:
    """Read crystals, label them, and keep those that a published protocol keeps.

    Interrupted, it goes on from the parts on disk when the same command is given again.
    """
    need("a table of crystals", "pyarrow")
    from powderlens.crystals.curate import CrystalSource, curate
    from powderlens.crystals.info import summary

    curate(
        [CrystalSource.of_path(path) for path in sources],
        output,
        protocol=protocol,
        without=without or (),
        limit=limit,
        workers=workers,
        progress=tell,
    )
    print_json(summary(output))


@app.command()
def info(
    table: Table,
    plot: Annotated[Path | None, typer.Option(help="Draw the crystal systems and space groups, .png.")] = None,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """What a table holds: counts, crystal systems, space groups, rejects by reason."""
    need("a table of crystals", "pyarrow")
    from powderlens.crystals.info import summary

    found = summary(table)
    if plot is not None:
        from powderlens.crystals.figure import draw_groups

        draw_groups(found["space_groups"], plot, title=f"{table.stem}: {found['crystals']:,} crystals")
    if as_json:
        print_json(found)
    else:
        from powderlens.cli.crystals_tables import print_summary

        print_summary(found, console(no_color))


@app.command()
def export(
    table: Table,
    output: Annotated[Path, typer.Option(help="A folder, made if it is not there.")],
    form: Annotated[str, typer.Option("--format", help="cif or poscar.")] = "cif",
    limit: Limit = None,
) -> None:
    """Write each crystal of a table to a file of its own.

    Exit code 1 when some cannot be written, such as shared sites in a POSCAR.
    """
    need("a table of crystals", "pyarrow")
    from powderlens.crystals.export import export_crystals

    report = export_crystals(table, output, form=form, limit=limit)
    print_json(report)
    if report["left_out"]:
        raise typer.Exit(1)


for command in (compare, statistics, generate):
    app.command()(command)
