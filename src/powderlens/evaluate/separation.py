"""What tested patterns have in common with those that a network learnt: the protocol of a record, proved or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.corpus.store.corpus import MEASURED, Corpus
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.crystal.duplicates import find_duplicates
from powderlens.crystal.structure import Structure
from powderlens.evaluate.record import CorpusPart, SplitProtocol
from powderlens.evaluate.training_run import Learnt
from powderlens.generate.statistics import CrystalStatistics

Trained = DrawnCorpus | CrystalStatistics
"""What a network has learnt from: crystals, or what is known of many."""

OF_SPLIT: dict[str, SplitProtocol] = {
    "in-library": "in-library",
    "out-of-library": "out-of-library",
    "out-of-library-consecutive": "out-of-library",
    "structure-type": "structure-type",
    "composition": "composition",
}
"""Protocol of another part of the corpus that was learnt, by the name of its split; else "listed"."""


def derive_protocol(
    learnt: Learnt, tested: Corpus, part: str, trained: Trained | None, wanted: str | None
) -> SplitProtocol:
    """The protocol under which a network answers patterns.

    Patterns of the corpus that was learnt: what its split holds apart; "listed" for the part that was learnt or that
    chose the checkpoint. Measured patterns: "measured". Patterns of another simulated corpus: "out-of-library" when not
    one of its crystals, under whatever id or setting, was learnt or chose the checkpoint; "structure-type" when
    synthetic crystals were learnt and their statistics left out every structure type of the test.

    Args:
        learnt: by the network.
        tested: an open corpus.
        part: of its split.
        trained: the corpus or the statistics that were learnt, where they are at hand.
        wanted: "listed" takes whatever there is in common knowingly; any other must be what is found.

    Raises:
        InputError: it is not what is wanted; crystals were learnt; or it cannot be known.
    """
    if wanted == "listed":
        return "listed"
    found = _found(learnt, tested, part, trained)
    if wanted not in (None, found):
        raise InputError(
            f"protocol {wanted}: part {part} of {tested.path.name} is {found} for this network; leave it out, or say "
            "listed"
        )
    return found


def shared_crystals(
    trained: DrawnCorpus, learnt: NDArray[np.int64], tested: DrawnCorpus, asked: NDArray[np.int64]
) -> list[tuple[str, str]]:
    """Crystals of a test that were learnt, under the same id or another, in whatever setting.

    Args:
        trained: the corpus that was learnt.
        learnt: rows of its crystals that were.
        tested: another corpus.
        asked: rows of its crystals that are tested.

    Returns:
        Id in the training and id in the test of each tested crystal that is among the learnt ones.
    """
    places = [(corpus.crystals, int(row)) for corpus, rows in ((trained, learnt), (tested, asked)) for row in rows]
    ids = [crystals.ids[row] for crystals, row in places]
    buckets = [crystals.column("bucket")[row] for crystals, row in places]
    many = len(learnt)
    both = set(buckets[:many]) & set(buckets[many:])
    kept = [i for i, bucket in enumerate(buckets) if bucket in both]

    def structure(i: int) -> Structure:
        crystals, row = places[kept[i]]
        return crystals.structure(row)

    known = set(ids[:many])
    found = {one: one for one in ids[many:] if one in known}
    learnt_as: dict[int, str] = {}  # kind of crystal -> its first id in the training
    for i, kind in zip(kept, find_duplicates([buckets[i] for i in kept], structure).tolist(), strict=True):
        if i < many:
            learnt_as.setdefault(kind, ids[i])
        elif kind in learnt_as:
            found.setdefault(ids[i], learnt_as[kind])
    return [(learnt_id, tested_id) for tested_id, learnt_id in found.items()]


def describe_part(corpus: Corpus, part: str) -> CorpusPart:
    """A part of a corpus as a record has it.

    Raises:
        InputError: no such part.
    """
    numbers = corpus.numbers(part)
    manifest = corpus.manifest
    return CorpusPart(
        corpus=corpus.path.resolve().name,
        sha256=manifest["sha256"],
        part=part,
        protocol_of_patterns=corpus.made_by,
        crystals=len(np.unique(corpus.crystal_of(numbers))),
        patterns=len(numbers),
    )


def open_trained(learnt: Learnt, tested: Corpus, folder: Path | None) -> Trained | None:
    """What was learnt: the tested corpus, the given one, or the given statistics; None where it is not at hand.

    Raises:
        InputError: the given one is another than that of the run.
    """
    if isinstance(tested, DrawnCorpus) and tested.manifest["sha256"] == learnt.sha256:
        return tested
    if folder is None:
        return None
    if learnt.kind == "synthetic" and learnt.files:
        statistics = CrystalStatistics.load(folder)
        if file_sha256(folder) not in learnt.files:
            raise InputError(f"{folder}: not the statistics that synthetic crystals were drawn from; give those")
        return statistics
    if learnt.corpus is None:
        raise InputError(f"{folder}: the recipe's data are {learnt.kind}, it learns no corpus; leave --trained-on out")
    given = DrawnCorpus.open(folder)
    if given.manifest["sha256"] != learnt.sha256:
        raise InputError(
            f"{folder}: not the corpus that was learnt ({learnt.corpus}, sha256 {str(learnt.sha256)[:16]}); give that "
            "one"
        )
    return given


def _found(learnt: Learnt, tested: Corpus, part: str, trained: Trained | None) -> SplitProtocol:
    if tested.kind == MEASURED:
        return "measured"
    name = tested.path.name
    if tested is trained:
        return "listed" if part in learnt.parts else OF_SPLIT.get(tested.manifest["split"]["name"], "listed")
    if not isinstance(tested, DrawnCorpus):
        raise InputError(
            f"{name}: an imported corpus has no structures, so nobody knows whether its crystals were learnt; "
            "--protocol listed takes it knowingly"
        )
    if isinstance(trained, CrystalStatistics):
        return _of_other_types(trained, tested, part)
    if learnt.corpus is None:
        raise InputError(
            f"{name}: the network has learnt {learnt.kind} patterns, of crystals that cannot be compared with "
            "these; --protocol listed takes it knowingly"
        )
    if trained is None:
        raise InputError(
            f"{name}: not the corpus that was learnt ({learnt.corpus}, sha256 {str(learnt.sha256)[:16]}); give it "
            "with --trained-on, so that their crystals can be compared"
        )
    rows = np.unique(np.concatenate([trained.crystal_of(trained.numbers(one)) for one in learnt.parts]))
    asked = np.unique(tested.crystal_of(tested.numbers(part)))
    shared = shared_crystals(trained, rows, tested, asked)
    if shared:
        raise InputError(
            f"{name}: {len(shared):,} of {len(asked):,} crystals of its part {part} are in {' or '.join(learnt.parts)} "
            f"of {learnt.corpus} ({' = '.join(shared[0])}); test others, or take it knowingly with --protocol listed"
        )
    return "out-of-library"


def _of_other_types(trained: CrystalStatistics, tested: DrawnCorpus, part: str) -> SplitProtocol:
    types = tested.crystals.column("structure_type")
    asked = {types[row] for row in np.unique(tested.crystal_of(tested.numbers(part))).tolist()}
    if known := sorted(asked - set(trained.leave_out_types)):
        raise InputError(
            f"{tested.path.name}: {len(known):,} of {len(asked):,} structure types of part {part} were not left out "
            f"of the statistics ({known[0]}); leave them out with `crystals statistics --leave-out-types`, or take it "
            "knowingly with --protocol listed"
        )
    return "structure-type"
