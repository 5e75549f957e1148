"""`powderlens crystals statistics`: what synthetic crystals are drawn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json
from powderlens.cli.extras import need


def statistics(
    tables: Annotated[
        list[Path], typer.Argument(metavar="TABLE...", help="Crystals, as `crystals curate` writes them.")
    ],
    output: Annotated[Path, typer.Option(help="The statistics, .json or .json.gz.")],
    leave_out_types: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Structure types to keep out, one a line, as in the table.")
    ] = None,
) -> None:
    """Count, by space group, what synthetic crystals are drawn from."""
    need("a table of crystals", "pyarrow")
    from powderlens.core.errors import InputError
    from powderlens.crystals.statistics import table_statistics

    types: list[str] = []
    if leave_out_types is not None:
        try:
            lines = leave_out_types.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{leave_out_types}: cannot be read ({error}); give a text file, a type a line") from None
        types = [line.strip() for line in lines if line.strip()]
    if not output.name.endswith((".json", ".json.gz")):
        raise InputError(f"{output}: statistics are JSON; give a name that ends in .json or .json.gz")
    found = table_statistics(tables, leave_out_types=types)
    found.save(output)
    print_json(
        {
            "crystals": found.crystals,
            "left_out": dict(found.left_out),
            "space_groups": len(found.counts),
            "with_statistics": len(found.groups),
        }
    )
