"""`powderlens evaluate trials`: what `identify` makes of simulated patterns with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import command_line, counting, print_json
from powderlens.cli.extras import need


def trials(
    output: Annotated[Path, typer.Option(help="The record, .json; parts lie beside it until it is whole.")],
    kinds: Annotated[
        str | None, typer.Option(metavar="KIND,...", help="Such as noise,hump,single,mixture; all if not given.")
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Of each kind; of radiations as many rounds of 200 as that holds, at least one.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 11,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    elements: Annotated[bool, typer.Option("--elements", help="Tell the elements of the true phases.")] = False,
    library: Annotated[
        list[Path] | None, typer.Option(help="Libraries in place of the one that ships; may be given often.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="The network that is asked.")] = "prism-1",
    calibration: Annotated[Path | None, typer.Option(help="In place of the one that ships.")] = None,
    amcsd: Annotated[Path | None, typer.Option(help="AMCSD's database, for other determinations of a phase.")] = None,
    chosen_by: Annotated[
        str, typer.Option(metavar="TEXT", help="What chose thresholds and weights; stands in the record.")
    ] = "trials of other seeds",
) -> None:
    """Simulate patterns of many kinds, good and spoilt, identify each, and count what is right, flagged and false.

    The same command goes on where it was ended. Phases are those that the network did not train with, never as the
    library has them; see docs/notes/trials.md.
    """
    need("phases held out of training", "pyarrow")
    from powderlens.core.files import file_sha256
    from powderlens.evaluate.record import write_result
    from powderlens.evaluate.trials.run import figures, kinds_of, run_trials, tasks_of
    from powderlens.identification.hypotheses import Calibration
    from powderlens.library.shelf import Shelf

    chosen = kinds_of(kinds)
    libraries = tuple(map(str, library or ()))
    tasks = tasks_of(
        chosen,
        count,
        seed=seed,
        libraries=libraries,
        model=model,
        calibration=None if calibration is None else str(calibration),
        amcsd=None if amcsd is None else str(amcsd),
        elements=elements,
    )
    parts = output.with_name(output.name + ".parts")
    found = run_trials(tasks, parts, workers, counting(100, "{:,} trials"))
    counted = figures(found)
    body = {
        "what": "simulated patterns of which the truth is known, put to identify with all evidence",
        "data": {
            "library": Shelf(libraries, shipped=not libraries).sha256,
            "model": model,
            "calibration": Calibration.load(calibration)[1],
            **({} if amcsd is None else {amcsd.name: file_sha256(amcsd)}),
        },
        "split": "phases whose elements and space group the network's training left out (corpus/splits.py)",
        "chosen_by": chosen_by,
        "seed": seed,
        "elements_told": elements,
        **counted,
    }
    command = command_line(
        "evaluate",
        "trials",
        kinds=kinds,
        count=count,
        seed=seed,
        elements=elements or None,
        library=library,
        model=None if model == "prism-1" else model,
        calibration=calibration,
        amcsd=amcsd,
        output=output,
    )
    write_result(output, command=command, body=body)
    parts.unlink()
    print_json({"record": output.name, "kinds": counted["kinds"], "common": counted.get("common")})
