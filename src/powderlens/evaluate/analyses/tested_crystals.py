"""What the tested patterns are of: cells, sites and crystallite sizes, looked up in the corpora of the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.corpus.corpus import Corpus
from powderlens.corpus.crystal_statistics import occupations
from powderlens.corpus.manifest import NAME, read_manifest
from powderlens.evaluate.analyses.base import check_corpus
from powderlens.evaluate.zoo_record import CorpusPart


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


def tested_corpus(given: Path, wanted: CorpusPart) -> Corpus:
    """The corpus that a record was tested on.

    Args:
        given: with `--corpus`: the corpus, or a folder that holds it among others.
        wanted: what the record names.

    Raises:
        InputError: another corpus, none in the folder, or patterns without crystals.
    """
    path = given
    if given.is_dir() and not (given / NAME).is_file():
        inside = (child for child in sorted(given.iterdir()) if (child / NAME).is_file())
        found = next((child for child in inside if read_manifest(child)["sha256"] == wanted.sha256), None)
        if found is None:
            raise InputError(
                f"{given}: no corpus in it has the sha256 {wanted.sha256[:12]} of {wanted.corpus}, which a record was "
                "tested on; give the folder where that one is"
            )
        path = found
    corpus = check_corpus(path, wanted, "was tested on")
    if not isinstance(corpus, Corpus):
        raise InputError(f"{path}: stored patterns have no crystals; take records of a corpus that is drawn")
    return corpus


def descriptors(corpus: Corpus, numbers: NDArray[np.int64]) -> Descriptors:
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
