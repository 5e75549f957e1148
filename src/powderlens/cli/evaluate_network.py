"""`powderlens evaluate RECIPE|CHECKPOINT --on CORPUS`: train where needed, ask, and write the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli import training_options as options
from powderlens.cli.console import command_line, console, print_json, table, tell
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor
from powderlens.core.cell import CELL_LETTERS
from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.evaluate.record import Record


def evaluate_network(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE|CHECKPOINT", help="A recipe (.toml or a shipped one's name), a run or checkpoint."
        ),
    ],
    on: Annotated[str, typer.Option(metavar="CORPUS[:PART]", help="Patterns; the part is test if not named.")],
    output: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.parquet, and for runs/ of a recipe.")],
    name: Annotated[str | None, typer.Option(help="Of the record; made of what it is of if not given.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="listed: take it knowingly that crystals were learnt, or may have been.")
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help="The corpus that is learnt, where it is not the tested one; of synthetic crystals their statistics."
        ),
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="Mean over so many passes with dropout on.")] = 1,
    timing: Annotated[bool, typer.Option(help="Measure the time of a forward pass on one thread.")] = True,
    network: options.Network = None,
    task: options.Tasks = None,
    loss: options.Loss = None,
    size: options.Sizes = None,
    as_published: options.AsPublished = False,
    seed: options.Seed = None,
    data: options.Data = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw patterns.")] = 1,
    threads: options.Threads = 2,
    accelerator: options.Accelerators = options.Accelerator.cpu,
    cache: options.Cache = None,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Ask a network about a corpus and write the record; a recipe is trained first, or goes on where it stopped.

    What tested and learnt patterns have in common (the protocol) is found out: another corpus than the learnt one must
    share no crystal with it. The choices from --network to --data are those of `powderlens train`.
    """
    need("evaluating", "torch", "lightning", "pyarrow")
    from powderlens.core.named_files import names_in
    from powderlens.evaluate.evaluate_network import check_test
    from powderlens.evaluate.evaluate_network import evaluate_network as evaluate
    from powderlens.evaluate.training_run import run_name
    from powderlens.train.components.machine import Machine
    from powderlens.train.engine import train
    from powderlens.train.own import admit
    from powderlens.train.quiet import quiet_lightning
    from powderlens.train.recipe import RECIPES, load_recipe, with_choices

    corpus, part = corpus_and_part(on)
    admit(network, loss)
    machine = Machine(workers=workers, cache=cache, threads=threads, accelerator=accelerator.value)
    machine.device()
    choices: dict[str, Any] = {
        "network": network,
        "task": task,
        "loss": loss,
        "size": None if size is None else size.value,
        "as-published": as_published or None,
        "seed": seed,
        "data": data,
    }
    chosen = {option: value for option, value in choices.items() if value not in (None, [])}
    words = {**chosen, "name": name, "protocol": protocol, "trained-on": trained_on}
    on = corpus.resolve().name + (f":{part}" if part else "")
    shown_passes = None if passes == 1 else passes
    command = command_line("evaluate", source.resolve(), on=on, **words, passes=shown_passes, output="FOLDER")
    checkpoint = source
    if source.suffix == ".toml" or (not source.exists() and source.name in names_in(RECIPES)):
        recipe = with_choices(
            load_recipe(source),
            network=network,
            size=choices["size"],
            as_published=as_published,
            tasks=task or [],
            loss=loss,
            seed=seed,
        )
        learns = check_test(recipe, corpus, part, protocol=protocol, trained_on=trained_on)
        checkpoint = output / "runs" / run_name(recipe, None if learns is None else learns.resolve().name)
        with quiet_lightning():
            train(recipe, checkpoint, corpus=learns, tables=data or [], resume=True, machine=machine, report=tell)
    elif others := [option for option in chosen if option != "network" or ":" not in str(network)]:
        raise InputError(f"{source}: trained already; --{others[0]} is for recipes, leave it out")
    record = evaluate(
        checkpoint,
        corpus,
        part,
        output,
        name=name,
        protocol=protocol,
        trained_on=trained_on,
        passes=passes,
        timing=timing,
        machine=machine,
        command=command,
    )
    if as_json:
        print_json(record.model_dump(mode="json", exclude={"training": {"recipe", "curve"}}))
    else:
        _show(record, no_color=no_color)


def corpus_and_part(on: str) -> tuple[Path, str | None]:
    """A folder that is there is taken as it is; else what stands behind the last colon is the part."""
    folder, colon, part = on.rpartition(":")
    if colon and folder and not Path(on).exists():
        return Path(folder), part
    return Path(on), None


def _show(record: Record, *, no_color: bool) -> None:
    """For people."""
    screen = console(no_color)

    def say(line: str) -> None:
        screen.print(line, markup=False)

    tested = record.tested
    say(f"{record.name}: {tested.part} of {tested.corpus}, {record.protocol}; {tested.patterns:,} patterns")
    say(f"Chosen by {record.training.chosen_by}")
    if record.classes:
        columns = ("task", "answered", "accuracy", "macro F1", "precision", "recall", "top 5", "within 1 edge")
        shown = table(columns, right=columns[1:])
        for task, one in record.classes.items():
            shares = [one.accuracy, one.macro_f1, one.macro_precision, one.macro_recall, one.top_k.get("5")]
            shares.append(None if one.within_edges is None else one.within_edges["1"])
            shown.add_row(
                task, f"{one.answered:,} of {one.patterns:,}", *("-" if x is None else f"{x:.1%}" for x in shares)
            )
        screen.print(shown)
    if record.lattice is not None:
        rows = {
            "mean error, A and degrees": record.lattice.mae,
            "of the naive mean": record.lattice.naive_mae,
            "mean error, %": record.lattice.mape_percent,
            "of the naive mean, %": record.lattice.naive_mape_percent,
            "R2": record.lattice.r2,
        }
        cells = ((name, *("-" if v is None else f"{v:.3g}" for v in values)) for name, values in rows.items())
        screen.print(table(("Niggli cell", *CELL_LETTERS), cells, right=CELL_LETTERS))
    for reason, number in record.missing.items():
        say(f"Missing: {reason}, {number:,} patterns")
    if record.inference is not None:
        times = f"{record.inference.batch_1_ms:.3g} ms alone, {record.inference.batch_100_ms:.3g} ms in hundreds"
        say(f"Time of a pattern: {times} ({record.inference.threads} thread, {record.inference.device})")
