"""`powderlens corpus verify`: is every byte of a corpus as it was written?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import console, print_json
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor
from powderlens.core.errors import InputError

SHOWN = 20


def verify(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="The folder of a corpus.")],
    draw: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Draw N patterns twice as well and compare them, and those that were kept when the corpus was built.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Which patterns are drawn.")] = 0,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Read every file of a corpus and compare it with its checksums; names file, MiB and rows of what was changed.

    Exit code 2 when anything was.
    """
    need("a corpus", "pyarrow")
    from powderlens.corpus.store.verify import verify as check

    report = check(corpus, draw=draw, seed=seed)
    if as_json:
        print_json({"whole": report.whole, **asdict(report)})
    else:
        to = console(no_color)
        for damage in report.damage[:SHOWN]:
            to.print(str(damage), markup=False, soft_wrap=True)
        if len(report.damage) > SHOWN:
            to.print(f"and {len(report.damage) - SHOWN:,} more")
        for name in report.unlisted:
            to.print(f"{name}: is no part of the corpus", markup=False, soft_wrap=True)
        if report.whole:
            to.print(f"{report.files} files, {report.bytes / 1e6:,.1f} MB: every byte is as it was written")
            if report.drawn:
                to.print(f"{report.drawn:,} patterns drawn twice are the same, bit by bit")
        if report.probe_difference is not None:
            _print_probe(report.probe_difference, to.print)
    if not report.whole:
        raise InputError(f"{corpus}: {report.damage[0]}; {len(report.damage)} in all: copy these files again")


def _print_probe(difference: float, say: object) -> None:
    assert callable(say)
    if difference == 0:
        say("Patterns kept when it was built are drawn again, bit by bit")
    else:
        say(f"Patterns kept when it was built are drawn again to {difference:.1g} of their maximum")
