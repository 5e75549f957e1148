"""`powderlens evaluate search-match --on CORPUS`: what d-I lists answer, beside the networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powderlens.cli.console import command_line, console, print_json, table
from powderlens.cli.evaluate_network import corpus_and_part
from powderlens.cli.extras import need
from powderlens.cli.options import Json, NoColor
from powderlens.core.errors import InputError

if TYPE_CHECKING:
    from powderlens.reproduce.search_match.search_match import Task


def search_match(
    on: Annotated[str, typer.Option(metavar="CORPUS[:PART]", help="Patterns; the part is test if not named.")],
    output: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.parquet of each task.")],
    trained_on: Annotated[
        Path | None, typer.Option(help="The corpus whose crystals have cards, where it is not the tested one.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="space_group or crystal_system; both if not given, a record each.")
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(help="Largest error of d, as a share of it; the validation part chooses it if not given."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="listed: take it knowingly that crystals were learnt, or may have been.")
    ] = None,
    timing: Annotated[bool, typer.Option(help="Measure the time of an answer.")] = True,
    as_json: Json = False,
    no_color: NoColor = False,
) -> None:
    """Answer patterns with the group of the card that they match best, and write records as networks have them.

    A card is the d-I list of a learnt crystal: found by its three strongest lines, as in Hanawalt's index, ranked by a
    figure of merit over all lines.
    """
    need("evaluating on a corpus", "pyarrow")
    from powderlens.reproduce.search_match.search_match import TASKS, evaluate_search_match

    corpus, part = corpus_and_part(on)
    chosen: list[Task] = []
    for name in task or TASKS:
        if name not in TASKS:
            raise InputError(f"task {name!r}: search-match answers {' and '.join(TASKS)}")
        chosen.append(name)
    records = evaluate_search_match(
        corpus,
        part,
        output,
        tasks=chosen,
        trained_on=trained_on,
        window=window,
        protocol=protocol,
        timing=timing,
        command=command_line(
            "evaluate",
            "search-match",
            on=corpus.resolve().name + (f":{part}" if part else ""),
            trained_on=None if trained_on is None else trained_on.resolve(),
            task=task,
            window=window,
            protocol=protocol,
            output="FOLDER",
        ),
    )
    if as_json:
        print_json([one.model_dump(mode="json", exclude={"training": {"curve"}}) for one in records])
        return
    screen = console(no_color)
    columns = ("task", "answered", "accuracy", "macro F1", "top 5", "most frequent")
    shown = table(columns, right=columns[1:])
    for one in records:
        screen.print(f"{one.name}: {one.protocol}; chosen by {one.training.chosen_by}", markup=False)
        figures = one.classes[one.tasks[0]]
        shares = (figures.accuracy, figures.macro_f1, figures.top_k["5"], figures.majority)
        answered = f"{figures.answered:,} of {figures.patterns:,}"
        shown.add_row(one.tasks[0], answered, *(f"{share:.1%}" for share in shares))
    screen.print(shown)
