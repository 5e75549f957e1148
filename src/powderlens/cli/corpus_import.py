"""`powderlens corpus import`: patterns of others, simulated or measured, as a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import print_json
from powderlens.cli.extras import need
from powderlens.cli.options import WAVELENGTHS


def import_patterns(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="SimXRD's database, or a folder of patterns.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="simxrd; or measured patterns: rruff (text and DIF files), dif, folder (with labels.csv), opxrd.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The folder of the corpus.")],
    labels: Annotated[Path | None, typer.Option(help="The table of labels of a folder.")] = None,
    wavelength: Annotated[str | None, typer.Option(help=f"Of measured patterns that state none. {WAVELENGTHS}")] = None,
) -> None:
    """Store patterns of others as a corpus; what cannot be used is counted by its reason.

    Exit code 1 when some were left out.
    """
    need("importing a corpus", "pyarrow")
    from powderlens.core.errors import InputError

    if form == "simxrd":
        from powderlens.corpus.exchange.import_simxrd import import_simxrd

        if labels is not None or wavelength is not None:
            raise InputError("--labels and --wavelength have no effect on SimXRD's records; leave them out")
        manifest = import_simxrd(source, output)
    else:
        from powderlens.corpus.measured import import_measured

        manifest = import_measured(source, output, form=form, labels=labels, wavelength=wavelength)
    print_json({key: value for key, value in manifest.items() if key != "files"})
    if manifest["left_out"]:
        raise typer.Exit(1)
