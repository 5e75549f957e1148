"""`powderlens calibrate`: how much each kind of evidence counts, from simulated patterns of phases with a known truth.

A weight is good when the right hypothesis is believed in: the loss is the mean over patterns, weighted by kind, of
-ln P(true group) and -ln P(right set of phases, or none of them where the phase was taken out of the library).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.pool import in_order
from powderlens.crystal.reduce import niggli_of_group
from powderlens.crystal.same_cell import same_lattice
from powderlens.evaluate.trials.draw import draw_trials
from powderlens.evaluate.trials.pool import Pool, held_out
from powderlens.evaluate.trials.score import StructureTypes
from powderlens.evaluate.trials.trial import Kind, Trial, TruePhase
from powderlens.identification.candidates import Candidate
from powderlens.identification.evidence import GROUPS
from powderlens.identification.hypotheses import (
    LOWER,
    QUANTITIES,
    Calibration,
    Known,
    corrected,
    of_groups,
    shared_out,
    told,
)
from powderlens.identification.identify import Identifier
from powderlens.library.shelf import ElementFilter, Shelf
from powderlens.library.store import PhaseLibrary

Floats = NDArray[np.float64]

SHARES: dict[Kind, float] = {"known": 0.6, "removed": 0.2, "mixture": 0.2}
"""What each kind counts: a library of 169,000 phases lacks that of perhaps one pattern in five; as many are mixed."""
DRAWN: dict[Kind, float] = {"known": 0.4, "removed": 0.2, "mixture": 0.4}
"""Of the patterns that are drawn: of mixtures there is more to learn."""
ABOVE = 0.05
"""Share of the intensity from which on a phase belongs to the right set."""
RIDGE = 2e-3
"""Of the squares of the weights, which keeps those at rest that the patterns say nothing of."""
TRAINING = {"amcsd": 0.5, "oqmd": 0.2, "mp": 0.3}
"""Share of each database among the patterns that the network was trained with; see its recipe."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """One simulated pattern, its hypotheses and which of them are right.

    Attributes:
        kind: of the trial.
        known: the hypotheses.
        right: (k,) whether each is the set of phases that the pattern was drawn of; where none is, whether it is a part
            of that, and no other one names more.
        group: index of the true group, of an enantiomorphic pair the lower.
    """

    kind: Kind
    known: Known
    right: NDArray[np.bool_]
    group: int


def gather(identifier: Identifier, trials: Iterator[Trial]) -> Iterator[Gathered]:
    """Ask for the hypotheses of trials; those that are refused are left out. Of every second mixture the elements are
    told.
    """
    assert identifier.shelf is not None
    types = StructureTypes(identifier.shelf.structure)
    for trial in trials:
        if not trial.phases:
            continue
        asking = identifier.without(trial.hidden)
        if trial.kind == "mixture" and trial.number % 2:
            asking = asking.among(ElementFilter(only=trial.elements))
        try:
            asked = asking.prepare(trial.pattern)
        except PowderlensError:
            continue
        _, found, known = asking.gathered(asked, asking.predictions([asked])[0])
        if len(known.group):
            named = np.array([_named(one, trial, identifier.shelf, types) for one in found])
            right = (named > 0) & (named > named.max() - 1e-9)
            yield Gathered(trial.kind, known, right, int(LOWER[trial.phases[0].space_group - 1]))


def _named(one: Candidate, trial: Trial, shelf: Shelf, types: StructureTypes) -> float:
    """Share of the intensity of the strong true phases that are there; 0 where there is anything else but weak true
    ones and the trace that the protocol added.
    """
    said = list(range(len(one.rows)))
    share = 0.0
    for true in trial.phases:
        mine = [at for at in said if _is(one, at, true, shelf, types)]
        said = [at for at in said if at not in mine]
        if mine and true.intensity_share >= ABOVE:
            share += true.intensity_share
    trace = trial.impurity.casefold()
    return share if all(trace and shelf.name(one.rows[at]).casefold() == trace for at in said) else 0.0


def _is(one: Candidate, at: int, true: TruePhase, shelf: Shelf, types: StructureTypes) -> bool:
    row, fitted = one.rows[at], one.fit.phases[at]
    if LOWER[int(shelf.space_group[row]) - 1] != LOWER[true.space_group - 1]:
        return False
    if not same_lattice(true.reduced, [niggli_of_group(fitted.lattice, int(shelf.space_group[row]))])[0]:
        return False
    return types.same(row, true)


@dataclass(frozen=True, eq=False)
class Problem:
    """Many gathered patterns as arrays, padded to the same number of hypotheses.

    Attributes:
        quantities: (n, k, quantities).
        group: (n, k).
        there: (n, k) whether there is a hypothesis.
        right: (n, k).
        network: (n, 230) log-probabilities.
        truth: (n,) true groups.
        weight: (n,) what each pattern counts, summing to 1, see `SHARES`.
        correction: (230,), see `group_shares`.
    """

    quantities: Floats
    group: NDArray[np.int64]
    there: NDArray[np.bool_]
    right: NDArray[np.bool_]
    network: Floats
    truth: NDArray[np.int64]
    weight: Floats
    correction: Floats

    @classmethod
    def of(cls, gathered: Sequence[Gathered], correction: Floats) -> Problem:
        """Of some patterns."""
        n, k = len(gathered), max(len(one.known.group) for one in gathered)
        quantities, group = np.zeros((n, k, len(QUANTITIES))), np.zeros((n, k), np.int64)
        there, right = np.zeros((n, k), bool), np.zeros((n, k), bool)
        network = np.full((n, GROUPS), -np.log(GROUPS))
        for i, one in enumerate(gathered):
            m = len(one.known.group)
            quantities[i, :m], group[i, :m], right[i, :m], there[i, :m] = (
                one.known.quantities, one.known.group, one.right, True,
            )  # fmt: skip
            if one.known.network is not None:
                network[i] = np.maximum(one.known.network, -60.0)
        truth, count = np.array([one.group for one in gathered]), Counter(one.kind for one in gathered)
        weight = np.array([SHARES.get(one.kind, 0.0) / count[one.kind] for one in gathered])
        return cls(quantities, group, there, right, network, truth, weight / weight.sum(), correction)

    def beliefs(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """(n, k) of hypotheses, (n, 230) of none and (n, 230) of groups for a vector of weights, as in `weigh`."""
        size = len(QUANTITIES)
        network, alone, prior, unknown, doubt = p[size:]
        folded, none = of_groups(corrected(self.network, prior, self.correction), alone)
        known = self.quantities @ p[:size] + network * told(folded, self.group)
        return shared_out(
            np.where(self.there, known, -np.inf), self.group, none, unknown, float(1 / (1 + np.exp(-doubt)))
        )

    def loss(self, p: Floats, rest: Floats) -> float:
        """Mean of -ln P(true group) and -ln P(right hypotheses), and the ridge."""
        known, none, group = self.beliefs(p)
        at = np.arange(len(self.truth))
        of_group = -np.log(group[at, self.truth] + 1e-7)
        any_right = self.right.any(axis=1)
        right = np.where(any_right, (known * self.right).sum(axis=1), none.sum(axis=1))
        return float(self.weight @ (of_group - np.log(right + 1e-7)) + RIDGE * ((p - rest) ** 2 / SCALE**2).sum())


REST = np.array(
    [20.0, -4.0, -1.0, -1.0, -0.7, -1.0, -0.3, 0.0, -1.0, 0.3, -3.0, -3.0, 1.0, -0.5, 0.6, 0.8, 0.5, 12.0, -3.0]
)
"""Where weights are drawn to: of `QUANTITIES`, then network, alone, prior, unknown and doubt."""
SCALE = np.array([20.0, 3.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.5, 0.5, 3.0, 3.0, 1.0, 0.5, 0.4, 0.4, 0.5, 10.0, 1.5])


def choose(problem: Problem) -> Floats:
    """The weights of least loss."""
    from scipy.optimize import minimize

    found = minimize(problem.loss, REST, args=(REST,), method="L-BFGS-B", options={"maxiter": 80})
    return np.asarray(found.x)


def calibration_of(
    p: Floats, correction: Floats, minerals: Floats, *, model: str, library: str, made: str
) -> Calibration:
    """A calibration from a vector of weights."""
    size = len(QUANTITIES)
    return Calibration(
        weights={name: round(float(v), 5) for name, v in zip(QUANTITIES, p[:size], strict=True)},
        network=round(float(p[size]), 5),
        alone=round(float(p[size + 1]), 5),
        prior=round(float(p[size + 2]), 5),
        unknown=round(float(p[size + 3]), 5),
        doubt=round(float(1 / (1 + np.exp(-p[size + 4]))), 6),
        correction=[round(float(v), 4) for v in correction],
        minerals=[round(float(v), 6) for v in minerals],
        model=model,
        library=library,
        made=made,
    )


def group_shares(shelf: Shelf) -> tuple[Floats, Floats]:
    """(230,) shares of each group among minerals, and in the training.

    Minerals: differently named measured phases, one added to every count. Training: databases by `TRAINING`; in one,
    crystals of a group are drawn as the square root of their number, see `corpus.stream.from_crystals`.
    """
    number = shelf.space_group.astype(np.int64) - 1
    source = np.array([identity.split(":")[0] for identity in map(shelf.identity, range(len(shelf)))])
    named = {(shelf.name(row), int(number[row])) for row in np.flatnonzero(shelf.measured).tolist()}
    minerals = 1.0 + np.bincount([g for _, g in named], minlength=GROUPS)
    training = np.full(GROUPS, 1e-4)
    for name, share in TRAINING.items():
        root = np.sqrt(np.bincount(number[source == name], minlength=GROUPS))
        if root.sum() > 0:
            training += share * root / root.sum()
    return minerals / minerals.sum(), training / training.sum()


@dataclass(frozen=True)
class Task:
    """Some trials of one kind, for a worker."""

    kind: Kind
    first: int
    count: int
    seed: int
    libraries: tuple[str, ...]
    shipped: bool
    model: str


BLOCK = 10


def gather_many(
    task: Callable[[Kind, int, int], Task], patterns: int, workers: int, progress: Callable[[int], None]
) -> list[Gathered]:
    """Gather trials of all kinds in processes, in the order of their numbers."""
    tasks = [
        task(kind, first, min(BLOCK, count - first))
        for kind, count in ((kind, round(share * patterns)) for kind, share in DRAWN.items())
        for first in range(0, count, BLOCK)
    ]
    out: list[Gathered] = []
    for done, some in enumerate(in_order(_work, tasks, workers), start=1):
        out += some
        progress(done * BLOCK)
    if not out:
        raise InputError("not one simulated pattern could be used; give more")
    return out


def drawn_of(library: PhaseLibrary) -> Pool:
    """The phases that trials are drawn of: those that the network did not train with."""
    return Pool.of(library, held_out(library))


_KEPT: dict[tuple[object, ...], tuple[Identifier, Pool]] = {}


def _work(task: Task) -> list[Gathered]:
    from powderlens.identification.identify import Search

    key = (task.libraries, task.shipped, task.model)
    if key not in _KEPT:
        identifier = Identifier(
            "all", model=task.model, threads=1, search=Search(libraries=task.libraries, shipped=task.shipped)
        )
        assert identifier.shelf is not None
        library = identifier.shelf.libraries[0]
        _KEPT[key] = identifier, drawn_of(library)
    identifier, pool = _KEPT[key]
    return list(gather(identifier, draw_trials(pool, task.kind, task.count, task.seed, first=task.first)))


def counted(gathered: Sequence[Gathered]) -> dict[str, int]:
    """How many patterns of each kind were used."""
    return dict(Counter(one.kind for one in gathered))
