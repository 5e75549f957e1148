"""`powderlens calibrate`: the weights of the evidence, from simulated patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from powderlens.cli.console import command_line, counting, print_json
from powderlens.cli.extras import need


def calibrate(
    output: Annotated[Path, typer.Option(help="The calibration, .json.")],
    library: Annotated[
        list[Path] | None, typer.Option(help="Libraries in place of the one that ships; may be given often.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="The network that it is made for.")] = "prism-1",
    patterns: Annotated[
        int, typer.Option(min=20, help="Simulated patterns: known phases, unknown ones, mixtures.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Make every weight of the evidence anew, for one network and one library.

    Patterns are drawn of phases that the network did not train with, never from the entry that must be found. Measured
    patterns have no say.
    """
    need("phases held out of training", "pyarrow")
    from powderlens.evaluate.calibrate import (
        Problem,
        Task,
        calibration_of,
        choose,
        counted,
        gather_many,
        group_shares,
    )
    from powderlens.identification.identify import Identifier, Search

    libraries = tuple(map(str, library or ()))
    identifier = Identifier("all", model=model, search=Search(libraries=libraries, shipped=not libraries))
    assert identifier.shelf is not None
    gathered = gather_many(
        lambda kind, first, count: Task(kind, first, count, seed, libraries, not libraries, model),
        patterns,
        workers,
        counting(100, "{:,} patterns"),
    )
    minerals, training = group_shares(identifier.shelf)
    correction = np.log(minerals / training)
    problem = Problem.of(gathered, correction)
    found = choose(problem)
    made = command_line("calibrate", output=output, library=library, model=model, patterns=patterns, seed=seed)
    calibration = calibration_of(
        found, correction, minerals, model=identifier.model.name, library=identifier.shelf.sha256, made=made
    )
    calibration.save(output)
    print_json({"calibration": output.name, "patterns": counted(gathered), "weights": calibration.weights})
