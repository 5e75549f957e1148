"""The two corpora of a benchmark: crystals that are learnt from, and crystals that are not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.crystals.table import CrystalTable, write_crystals
from powderlens.reproduce.benchmark.plan import Plan
from powderlens.train.components.drawn import draw_part
from powderlens.train.components.machine import Machine, Report

KNOWN, UNSEEN = "known", "unseen"


def choose(buckets: NDArray[np.object_], known: int, unseen: int, seed: int) -> dict[str, NDArray[np.intp]]:
    """Rows at random: classes fall as they do in the table.

    Args:
        buckets: of each crystal; crystals that could be the same one share theirs (`CrystalTable`, column `bucket`).
        known: how many to learn from.
        unseen: how many of other buckets.
        seed: of the choice.

    Returns:
        `known` and `unseen`: rising rows.

    Raises:
        InputError: the table has too few.
    """
    order = np.random.default_rng(seed).permutation(len(buckets))
    first, rest = order[:known], order[known:]
    taken = set(buckets[first])
    others = rest[[bucket not in taken for bucket in buckets[rest]]][:unseen]
    if len(first) < known or len(others) < unseen:
        raise InputError(
            f"{len(buckets)} crystals: {known} known and {unseen} unlike them are asked for, {len(others)} of the "
            "latter are there; give a larger table or ask for fewer"
        )
    return {KNOWN: np.sort(first), UNSEEN: np.sort(others)}


def make_corpora(plan: Plan, crystals: Path, folder: Path, *, workers: int, report: Report) -> dict[str, Path]:
    """Draw crystals, build both corpora and draw the patterns that every run reads; what is there already stays.

    Args:
        plan: how many of what.
        crystals: table of curated crystals.
        folder: of the benchmark.
        workers: processes.
        report: is told what is being done.

    Returns:
        `known` and `unseen`: folders of the corpora.
    """
    corpora = {KNOWN: folder / KNOWN, UNSEEN: folder / UNSEEN}
    if not all((path / "manifest.json").is_file() for path in corpora.values()):
        _build(plan, crystals, folder, corpora, workers=workers, report=report)
    known = DrawnCorpus.open(corpora[KNOWN])
    machine = Machine(workers=workers, cache=make_folder(folder / "drawn"))
    for part, precision in (("train", "float16"), ("validation", "float16"), ("test", "float32")):
        draw_part(known, part, precision, machine, report=report)  # type: ignore[arg-type]
    draw_part(DrawnCorpus.open(corpora[UNSEEN]), "test", "float32", machine, report=report)
    return corpora


def _build(plan: Plan, crystals: Path, folder: Path, corpora: dict[str, Path], *, workers: int, report: Report) -> None:
    wanted = plan.crystals
    table = CrystalTable.load(crystals)
    rows = choose(np.array(table.column("bucket"), object), wanted.known, wanted.unseen, plan.seed)
    arrow = pq.read_table(crystals)
    make_folder(folder)
    for name, per_crystal in ((KNOWN, wanted.per_crystal), (UNSEEN, wanted.unseen_per_crystal)):
        chosen, split = folder / f"{name}.parquet", "in-library"
        part = arrow.take(rows[name])
        write_crystals(part, chosen)
        if name == UNSEEN:
            split = str(folder / "unseen.csv")
            with atomic_write(Path(split)) as aside, open(aside, "w", newline="") as handle:
                csv.writer(handle).writerows([("id", "part"), *((i, "test") for i in part["id"].to_pylist())])
        report(f"{name} crystals: {len(part):,}")
        if not (corpora[name] / "manifest.json").is_file():
            build_corpus(
                chosen,
                corpora[name],
                protocol=wanted.protocol,
                per_crystal=per_crystal,
                split=split,
                seed=plan.seed + (name == UNSEEN),
                workers=workers,
                progress=report,
            )
