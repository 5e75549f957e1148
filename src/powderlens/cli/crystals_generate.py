"""`powderlens crystals generate`: synthetic crystals, and crystals of a table drawn anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powderlens.cli.console import complain, print_json
from powderlens.cli.extras import need
from powderlens.core.errors import InputError


def generate(
    output: Annotated[Path, typer.Option(help="The Parquet table; its manifest (.json) is written beside it.")],
    count: Annotated[int | None, typer.Option(min=1, help="How many crystals; of a table, the first so many.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same crystals.")] = 0,
    statistics: Annotated[
        Path | None, typer.Option(help="What is drawn from; left out, the open databases' own, which come along.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these space groups, such as 225,62,75-80, or all.")
    ] = None,
    elements: Annotated[str | None, typer.Option(metavar="LIST", help="Only these elements, such as Si,O.")] = None,
    uniform: Annotated[bool, typer.Option("--uniform", help="Every space group equally often.")] = False,
    max_sites: Annotated[int, typer.Option(help="Most sites in the asymmetric unit.")] = 100,
    max_volume: Annotated[float, typer.Option(metavar="A3", help="Largest conventional cell.")] = 7000.0,
    min_volume_per_atom: Annotated[float, typer.Option(metavar="A3", help="Smallest; 0 asks nothing.")] = 0.75,
    min_distance: Annotated[float, typer.Option(metavar="A", help="No two atoms closer; 0 asks nothing.")] = 0.0,
    distances: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="covalent: no two atoms closer than 0.7 of the sum of their covalent radii, 0.8 for two nonmetals; "
            "published: nothing asked, as ML4pXRDs.",
        ),
    ] = "covalent",
    randomise: Annotated[
        str | None, typer.Option(metavar="WHAT", help="Of --crystals draw anew coordinates, lattice, both or nothing.")
    ] = None,
    crystals: Annotated[Path | None, typer.Option(metavar="TABLE", help="Whose crystals are drawn anew.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the table is the same with any number.")] = 2,
) -> None:
    """Draw crystals that no database holds, with the statistics of one that does."""
    need("a table of crystals", "pyarrow")
    from powderlens.crystals.synthetic import SyntheticOptions, build_synthetic
    from powderlens.generate.distance import check_distances
    from powderlens.generate.draw import Limits
    from powderlens.generate.randomise import check_what

    options = SyntheticOptions(
        seed=seed,
        statistics=statistics,
        groups=None if groups is None else parse_groups(groups),
        elements=None if elements is None else tuple(word.strip() for word in elements.split(",")),
        uniform=uniform,
        limits=Limits(
            max_sites=max_sites,
            max_volume_A3=max_volume,
            min_volume_per_atom_A3=min_volume_per_atom,
            min_distance_A=min_distance,
            distances=check_distances(distances),
        ),
        crystals=crystals,
        what=None if randomise is None else check_what(randomise),
    )
    step, told = 10_000, 0

    def progress(seen: int) -> None:
        nonlocal told
        if seen // step > told:
            told = seen // step
            complain(f"{seen:,} crystals")

    manifest = build_synthetic(options, output, count=count, workers=workers, progress=progress)
    if pooled := manifest["groups_with_a_pool"]:
        groups_of = ", ".join(f"{number} ({pool})" for number, pool in pooled.items())
        complain(f"too few examples for statistics of their own, drawn from a pool: {groups_of}")
    print_json(manifest)


def parse_groups(text: str) -> tuple[int, ...]:
    """Space groups of a text such as "225,62,75-80" or "all".

    Raises:
        InputError: anything else, or a number beyond 1 to 230.
    """
    if text == "all":
        return tuple(range(1, 231))
    found: set[int] = set()
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"--groups {text}: {word.strip()!r} is no space group; give numbers such as 225,62,75-80")
        run = range(int(first), int(last if dash else first) + 1)
        if not run or run[0] < 1 or run[-1] > 230:
            raise InputError(f"--groups {text}: {word.strip()} is not within 1 to 230")
        found.update(run)
    return tuple(sorted(found))
