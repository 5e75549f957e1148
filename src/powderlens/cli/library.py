"""`powderlens library`: files of known phases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import console, print_json, tell
from powderlens.cli.extras import need
from powderlens.cli.options import KINDS, Json, NoColor

if TYPE_CHECKING:
    from powderlens.library.make import PhaseSource

app = typer.Typer(help="Files of known phases.", no_args_is_help=True)

Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help=KINDS + "; a table that `crystals curate` wrote (.parquet).")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
First = Annotated[int | None, typer.Option(min=1, help="Take only the first crystals of each source.")]


@app.command()
def build(
    sources: Sources,
    output: Annotated[Path, typer.Option(help="The library, such as mine.phases.")],
    workers: Workers = 2,
    limit: First = None,
) -> None:
    """Make a library of all phases of some sources: labelled, folded, packed, with key lines for a search.

    Interrupted, it goes on from the parts on disk when the same command is given again.
    """
    from powderlens.library.make import build

    print_json(build(_opened(sources), output, limit=limit, workers=workers, progress=tell))


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A library.")],
    sources: Sources,
    output: Annotated[Path, typer.Option(help="The new library.")],
    workers: Workers = 2,
    limit: First = None,
) -> None:
    """Write a new library of the phases of another and of some sources; what is there already is folded into it."""
    from powderlens.library.make import build
    from powderlens.library.store import PhaseLibrary

    onto = PhaseLibrary.open(file)
    print_json(build(_opened(sources), output, onto=onto, limit=limit, workers=workers, progress=tell))


@app.command()
def info(
    file: Annotated[Path | None, typer.Argument(help="A library; without it the one that ships.")] = None,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """What a library holds: counts, sources with their licences, rejects by reason."""
    from powderlens.library.info import summary
    from powderlens.library.store import PhaseLibrary

    found = summary(PhaseLibrary.open(file))
    if as_json:
        print_json(found)
    else:
        _print(found, no_color)


def _opened(paths: list[Path]) -> list[PhaseSource]:
    from powderlens.core.files import file_sha256
    from powderlens.library.make import PhaseSource

    sources = []
    for path in paths:
        if path.suffix != ".parquet":
            sources.append(PhaseSource.of_path(path))
            continue
        need("a table of crystals", "pyarrow")
        from powderlens.crystals.table import CrystalTable

        table = CrystalTable.load(path)
        sources.append(PhaseSource(path.resolve().name, file_sha256(path), table.structures))
    return sources


def _print(found: dict[str, Any], no_color: bool) -> None:
    from powderlens.cli.console import show_counts
    from powderlens.symmetry.groups import symbol

    to, total = console(no_color), found["phases"]
    to.print(
        f"{found['library']}: {total:,} phases of {found['entries']:,} entries, {found['measured']:,} of them "
        f"measured; {found['bytes'] / 1e6:.1f} MB, {found['key_lines']:,} key lines; sha256 {found['sha256'][:12]}"
    )
    to.print(
        f"{found['not_ambient']:,} not at room conditions; of {found['other_group_declared']:,} the source declares "
        "another space group than the atoms have"
    )
    for prefix, count in found["sources"].items():
        origin = found["origins"].get(prefix, {})
        known = "; ".join(origin[part] for part in ("name", "link", "licence") if part in origin)
        to.print(f"{prefix}: {count:,} phases{known and f'. {known}'}", soft_wrap=True)
    systems = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in found["crystal_systems"].items()]
    show_counts(to, "Crystal systems", ("system", "phases", "share"), systems)
    groups = [(str(g), symbol(g), f"{n:,}") for g, n in list(found["space_groups"].items())[:10]]
    show_counts(to, "The commonest space groups", ("number", "symbol", "phases"), groups)
    rejects = [(reason, f"{n:,}") for reason, n in found["rejects"].items()]
    show_counts(to, "Rejects", ("reason", "entries"), rejects)
