"""`powderlens protocol`: the conditions under which patterns are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import console, print_json
from powderlens.cli.options import Json, NoColor

if TYPE_CHECKING:
    from powderlens.diffraction.protocol import Protocol

app = typer.Typer(help="The conditions under which patterns are drawn.", no_args_is_help=True)


@app.command("list")
def list_protocols(as_json: Json = False, no_color: NoColor = False) -> None:
    """List the protocols that ship with powderlens."""
    from powderlens.diffraction.protocol import load_protocol, protocol_names

    found = [load_protocol(name) for name in protocol_names()]
    if as_json:
        print_json([_facts(protocol) for protocol in found])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("protocol", no_wrap=True)
    for name in ("2theta (deg)", "points", "lambda (A)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it draws")
    for protocol in found:
        grid = protocol.grid
        extent = f"{grid.start_deg:g} to {grid.end_deg:g}"
        table.add_row(Text(protocol.name), extent, str(grid.points), f"{grid.wavelength_A:.5f}", Text(protocol.summary))
    console(no_color).print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A protocol of the list, or a file ending in .toml.")],
    as_json: Json = False,
) -> None:
    """Show a protocol's file; one of your own is checked."""
    from powderlens.diffraction.protocol import load_protocol

    protocol = load_protocol(name)
    if as_json:
        print_json({**_facts(protocol), "deviations": list(protocol.deviations), "text": protocol.text})
    else:
        typer.echo(protocol.text, nl=not protocol.text.endswith("\n"))


def _facts(protocol: Protocol) -> dict[str, Any]:
    grid = protocol.grid
    return {
        "name": protocol.name,
        "summary": protocol.summary,
        "source": protocol.source,
        "grid": {
            "start_deg": grid.start_deg,
            "step_deg": grid.step_deg,
            "points": grid.points,
            "wavelength_A": grid.wavelength_A,
        },
        "axis": protocol.axis,
        "scale": protocol.scale,
    }
