"""`powderlens protocol`: the conditions under which patterns are drawn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import console, print_json, table
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
    from rich.text import Text

    columns = ("protocol", "2theta (deg)", "points", "lambda (A)", "what it draws")
    listed = table(columns, right=columns[1:4], whole=True)
    for protocol in found:
        grid = protocol.grid
        extent = f"{grid.start_deg:g} to {grid.end_deg:g}"
        listed.add_row(
            Text(protocol.name), extent, str(grid.points), f"{grid.wavelength_A:.5f}", Text(protocol.summary)
        )
    console(no_color).print(listed)


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
    said = {name: getattr(protocol, name) for name in ("name", "summary", "source")}
    return {**said, "grid": asdict(protocol.grid), "axis": protocol.axis, "scale": protocol.scale}
