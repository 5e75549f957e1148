"""`powderlens evaluate`: records of accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from powderlens.cli.console import command_line, print_json
from powderlens.cli.evaluate_network import evaluate_network
from powderlens.cli.evaluate_search_match import search_match
from powderlens.cli.evaluate_trials import trials
from powderlens.cli.extras import need

NETWORK = "network"


class OrNetwork(TyperGroup):
    """A group whose command `network` need not be named: what is no command is its RECIPE or CHECKPOINT."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in front where there is none; typer's own context and words."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [NETWORK, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=OrNetwork,
    help="Records of accuracy: powderlens evaluate RECIPE|CHECKPOINT --on CORPUS, or one of the commands.",
    no_args_is_help=True,
)
app.command(NETWORK)(evaluate_network)
app.command()(search_match)
app.command()(trials)

Output = Annotated[Path, typer.Option(help="The record, .json.")]


@app.command()
def measured(
    data: Annotated[Path, typer.Argument(metavar="SET.npz", help="Patterns; SET.csv beside it holds the labels.")],
    output: Output,
    library: Annotated[
        list[Path] | None, typer.Option(help="Libraries in place of the one that ships; may be given often.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="In place of the one that ships.")] = None,
) -> None:
    """Accuracy on measured patterns with known labels, for each kind of evidence."""
    from powderlens.evaluate.measured import MeasuredSet, measured_record
    from powderlens.evaluate.record import write_result
    from powderlens.identification.identify import Identifier, Search

    patterns = MeasuredSet.read(data)
    search = Search(libraries=tuple(map(str, library or ())), shipped=not library)
    identifier = Identifier("all", search=search, calibration=calibration)
    body = measured_record(identifier, patterns, data)
    command = command_line("evaluate", "measured", data, output=output, library=library, calibration=calibration)
    write_result(output, command=command, body=body)
    print_json({"record": output.name, **{k: body[k] for k in ("evidence", "cells", "not_in_the_library")}})


@app.command()
def held_out(
    data: Annotated[list[Path], typer.Option(help="Reflection table; may be given often.")],
    output: Output,
    patterns: Annotated[int, typer.Option(min=1, help="How many are drawn.")] = 4096,
    seed: Annotated[int, typer.Option(help="Of crystals and conditions.")] = 7,
) -> None:
    """Accuracy of the shipped network on simulated patterns of crystals held out of training."""
    need("patterns of held-out crystals", "pyarrow")
    from powderlens.core.files import file_sha256
    from powderlens.corpus.store.reflection_table import ReflectionTable
    from powderlens.evaluate.held_out import evaluate_held_out
    from powderlens.evaluate.record import write_result
    from powderlens.models.runtime import load_model

    model = load_model()
    shares = model.weights.training["recipe"]["data"]["shares"]
    figures = evaluate_held_out(model, ReflectionTable.load(*data), shares=shares, patterns=patterns, seed=seed)
    body = {
        "data": {path.name: file_sha256(path) for path in data},
        "model": model.name,
        "model_chosen_by": model.weights.chosen_by,
        "split": "sets of elements within a space group held apart (corpus/splits.py)",
        **figures,
    }
    write_result(output, command=command_line("evaluate", "held-out", data=data, output=output), body=body)
    print_json({"record": output.name, "all": figures["all"]})


@app.command()
def realism(
    data: Annotated[
        Path, typer.Argument(metavar="SET.npz", help="Measured patterns; SET.csv beside it names minerals.")
    ],
    crystals: Annotated[Path, typer.Option(help="Database with the structures of the minerals.")],
    output: Output,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Protocol, or its .toml file; may be given often. All shipped ones if left out."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 7,
    draws: Annotated[int, typer.Option(min=1, help="Simulated patterns for each measured one.")] = 2,
) -> None:
    """How well simulated patterns are told from measured ones of the same minerals, for each protocol."""
    need("telling patterns apart", "sklearn")
    from importlib.metadata import version

    from powderlens.core.files import file_sha256
    from powderlens.crystal.sources import open_source
    from powderlens.diffraction.protocol import load_protocol, protocol_names
    from powderlens.evaluate.record import write_result
    from powderlens.reproduce.realism.development import match_structures
    from powderlens.reproduce.realism.realism import evaluate_realism

    protocols = [load_protocol(name) for name in protocol or protocol_names()]
    matches, unmatched, unread = match_structures(data, open_source(crystals))
    figures = evaluate_realism(matches, protocols, seed=seed, draws=draws)
    files = (data, data.with_suffix(".csv"), crystals)
    body = {
        "versions": {name: version(name) for name in ("numpy", "numba", "scikit-learn")},
        "data": {path.name: file_sha256(path) for path in files},
        "patterns": {"matched": len(matches), "unmatched": unmatched},
        "crystals_not_read": unread,
        **figures,
    }
    chosen: dict[str, Any] = {"protocol": [Path(name).name for name in protocol or ()], "seed": seed, "draws": draws}
    command = command_line("evaluate", "realism", data, crystals=crystals, output=output, **chosen)
    write_result(output, command=command, body=body)
    told: dict[str, dict[str, object]] = figures["protocols"]  # type: ignore[assignment]
    brief = {name: {key: told[name][key] for key in ("accuracy", "auc")} for name in told}
    print_json({"record": output.name, "patterns": len(matches), "protocols": brief})
