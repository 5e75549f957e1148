"""What the tested patterns are of: cells, sites and crystallite sizes, looked up in the corpora of the records."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import NAME, read_manifest
from powderlens.crystals.statistics import occupations
from powderlens.reproduce.analyses.base import Inputs, check_corpus


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Of n patterns.

    Attributes:
        volume_A3: (n,) of the conventional cell.
        sites: (n,) int64, occupied places in the asymmetric unit; several elements on one count once.
        density_factor: (n,) volume of the cell over the summed volume of its atoms (ML4pXRDs Fig. 4a).
        crystallite_size_nm: (n,) that the pattern is drawn with; inf for no broadening.
    """

    volume_A3: NDArray[np.float64]
    sites: NDArray[np.int64]
    density_factor: NDArray[np.float64]
    crystallite_size_nm: NDArray[np.float64]


def tested_corpora(inputs: Inputs) -> tuple[Inputs, dict[str, DrawnCorpus], list[str]]:
    """The corpora that the records were tested on, by their sha256.

    Args:
        inputs: with `--corpus`: a corpus, or a folder that holds several.

    Returns:
        The records whose corpus is there; the corpora; a sentence where other records are left out.

    Raises:
        InputError: no record is of a corpus that is given, or its patterns have no crystals.
    """
    given = inputs.corpus
    assert given is not None
    single = not given.is_dir() or (given / NAME).is_file()
    folders = [given] if single else [child for child in sorted(given.iterdir()) if (child / NAME).is_file()]
    found = {read_manifest(folder)["sha256"]: folder for folder in folders}
    fits = tuple((path, record) for path, record in inputs.records if record.tested.sha256 in found)
    if not fits:
        named = ", ".join(sorted({f"{one.tested.corpus} with {one.tested.sha256[:12]}" for _, one in inputs.records}))
        raise InputError(
            f"{given}: holds no corpus that a record was tested on; these are {named} (sha256); give the corpus or the "
            "folder where it is with --corpus"
        )
    corpora: dict[str, DrawnCorpus] = {}
    for _, record in fits:
        corpus = check_corpus(found[record.tested.sha256], record.tested, "was tested on")
        if not isinstance(corpus, DrawnCorpus):
            raise InputError(f"{corpus.path}: stored patterns have no crystals; take records of a corpus that is drawn")
        corpora[record.tested.sha256] = corpus
    left = len(inputs.records) - len(fits)
    note = f"{left} of {len(inputs.records)} records were tested on another corpus and are left out."
    return replace(inputs, records=fits), corpora, [note] if left else []


def descriptors(corpus: DrawnCorpus, numbers: NDArray[np.int64]) -> Descriptors:
    """Look patterns up.

    Args:
        corpus: that they are of.
        numbers: (n,) of the patterns.
    """
    rows, code = np.unique(corpus.crystal_of(numbers), return_inverse=True)
    crystals = list(occupations(corpus.crystals, rows.tolist()))
    volume_A3 = np.array([one.volume_A3 for one in crystals])
    atomic_A3 = np.array([one.atomic_A3 for one in crystals])
    return Descriptors(
        volume_A3=volume_A3[code],
        sites=np.array([len(one.letters) for one in crystals])[code],
        density_factor=(volume_A3 / atomic_A3)[code],
        crystallite_size_nm=np.asarray(corpus.conditions(numbers)["crystallite_size_nm"], np.float64),
    )
