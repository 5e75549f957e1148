"""Every kind of analysis by name: listed without torch, matplotlib or pyarrow, loaded when it is asked for.

A kind is a file `powderlens/evaluate/analyses/NAME.py` (hyphens become underscores) with one public function,
`analyse(inputs: Inputs) -> Result`, see `base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from powderlens.core.errors import InputError

Need = Literal["no", "may", "must"]
"""Whether a kind takes something: never, where it is given, or not without."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of analysis.

    Attributes:
        name: as on the command line.
        title: one line: what it shows.
        source: the figure or table that it is after.
        records: records of `powderlens evaluate`.
        corpus: `--corpus`.
        runs: `--run`.
        patterns: `--pattern`.
        modules: what it needs beyond pyarrow.
    """

    name: str
    title: str
    source: str
    records: Need = "must"
    corpus: Need = "no"
    runs: Need = "no"
    patterns: Need = "no"
    modules: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Where its function `analyse` is."""
        return f"powderlens.reproduce.analyses.{self.name.replace('-', '_')}"


KINDS: tuple[Kind, ...] = (
    Kind(
        name="class-frequency",
        title="accuracy by crystal system, and by how frequent a space group is in the training",
        source="SimXRD Fig. 5, AlphaDiffract Fig. S5",
        corpus="may",
    ),
    Kind(
        name="parameter-interval",
        title="accuracy within intervals of each parameter of the simulation",
        source="SimXRD Table 6",
        corpus="must",
    ),
    Kind(
        name="masked-peaks",
        title="loss of accuracy when the peaks of one band of intensity are cut off",
        source="SimXRD Fig. 6",
        corpus="must",
        runs="must",
        modules=("torch", "scipy"),
    ),
    Kind(
        name="t-sne",
        title="patterns, or a network's features of them, as a map in the plane",
        source="SimXRD Fig. 10",
        corpus="must",
        runs="may",
        modules=("torch", "sklearn"),
    ),
    Kind(
        name="class-distribution",
        title="how patterns are distributed over crystal systems and space groups",
        source="SimXRD Figs. 3 and 4",
        records="may",
        corpus="may",
    ),
    Kind(
        name="graph-distance",
        title="edges between the answer and the truth in the graph of maximal subgroups",
        source="AlphaDiffract Fig. 2c-e, 3b, S6",
    ),
    Kind(
        name="parity",
        title="predicted against true cell, six parameters, beside the naive mean",
        source="AlphaDiffract Fig. 3c-e",
    ),
    Kind(
        name="ensemble-size",
        title="accuracy against the number of networks whose probabilities are averaged",
        source="AlphaDiffract Fig. 3a",
    ),
    Kind(
        name="grad-cam",
        title="which angles speak for the answer: class activation of the last convolutional stage",
        source="AlphaDiffract Figs. S7 and S8",
        corpus="must",
        runs="must",
        patterns="must",
        modules=("torch",),
    ),
    Kind(
        name="top-k",
        title="truths among the k likeliest classes, against k",
        source="ML4pXRDs Figs. S3 and S4",
    ),
    Kind(
        name="recall-per-group",
        title="recall of every space group against its training patterns",
        source="ML4pXRDs Figs. S7 and S8",
        corpus="may",
    ),
    Kind(
        name="volume-and-sites",
        title="error by the volume of the cell and by the number of sites",
        source="ML4pXRDs Fig. 6",
        corpus="must",
    ),
    Kind(
        name="descriptor-histograms",
        title="tested crystals by density, size, volume and sites, with the wrong ones",
        source="ML4pXRDs Fig. 4",
        corpus="must",
    ),
    Kind(
        name="learning-curve",
        title="error against patterns seen, with its power law",
        source="ML4pXRDs Figs. 5, S5 and S6",
    ),
    Kind(
        name="randomised-gap",
        title="what of the gap between synthetic and real crystals their coordinates and lattices make",
        source="ML4pXRDs section 3.3",
    ),
    Kind(
        name="confusion",
        title="true against predicted crystal system",
        source="AlphaDiffract Fig. S5",
    ),
)


def kind(name: str) -> Kind:
    """A kind by its name.

    Raises:
        InputError: no such kind; names that look alike are listed.
    """
    names = [one.name for one in KINDS]
    if name in names:
        return KINDS[names.index(name)]
    near = get_close_matches(name.lower().replace("_", "-"), names, n=3, cutoff=0.4)
    meant = f"near it: {', '.join(near)}; " if near else ""
    raise InputError(f"no analysis {name!r}; {meant}`powderlens analyse --list` names all {len(names)}")
