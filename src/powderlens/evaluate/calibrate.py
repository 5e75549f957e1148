"""`powderlens calibrate`: how much each kind of evidence counts, from simulated patterns of phases with a known truth.

A weight is good when the right hypothesis is believed in: the loss is the mean over patterns of -ln P(true group) and
-ln P(right set of phases, or none of them where the phase was taken out of the library).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.core.pool import in_order
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure_type import structure_type
from powderlens.evaluate.trials.draw import draw_trials
from powderlens.evaluate.trials.pool import Pool, held_out
from powderlens.evaluate.trials.trial import Kind, Trial, TruePhase
from powderlens.identification.candidates import Candidate
from powderlens.identification.evidence import GROUPS, log_softmax
from powderlens.identification.hypotheses import LOWER, QUANTITIES, Calibration, Known
from powderlens.identification.identify import Identifier
from powderlens.identification.write_answer import primitive
from powderlens.library.shelf import Shelf
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.groups import symbol

Floats = NDArray[np.float64]

KINDS: tuple[Kind, ...] = ("known", "removed", "mixture")
SHARES: dict[Kind, float] = {"known": 0.6, "removed": 0.2, "mixture": 0.2}
"""Of the patterns: a library of 169,000 phases lacks that of perhaps one pattern in five, and as many are mixed."""
ABOVE = 0.05
"""Share of the intensity from which on a phase belongs to the right set."""
RIDGE = 2e-3
"""Of the squares of the weights, which keeps those at rest that the patterns say nothing of."""
SAME_CELL = 0.005
TRAINING = {"amcsd": 0.5, "oqmd": 0.2, "mp": 0.3}
"""Share of each database among the patterns that the network was trained with; see its recipe."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """One simulated pattern, its hypotheses and which of them are right.

    Attributes:
        kind: of the trial.
        known: the hypotheses.
        right: (k,) whether each is the set of phases that the pattern was drawn of.
        group: index of the true group, of an enantiomorphic pair the lower.
    """

    kind: Kind
    known: Known
    right: NDArray[np.bool_]
    group: int


def gather(identifier: Identifier, trials: Iterator[Trial]) -> Iterator[Gathered]:
    """Ask for the hypotheses of trials; those that are refused are left out."""
    assert identifier.shelf is not None
    types: dict[int, str] = {}
    for trial in trials:
        if not trial.phases:
            continue
        asking = _without(identifier, trial.hidden) if len(trial.hidden) else identifier
        try:
            asked = asking.prepare(trial.pattern)
        except PowderlensError:
            continue
        found, known = asking.gathered(asked, asking.predictions([asked])[0])
        if len(known.group):
            right = np.array([_is_right(one, trial, identifier.shelf, types) for one in found])
            yield Gathered(trial.kind, known, right, int(LOWER[trial.phases[0].space_group - 1]))


def _without(identifier: Identifier, rows: NDArray[np.int64]) -> Identifier:
    """The same, with phases taken out of its library."""
    assert identifier.shelf is not None
    out = copy.copy(identifier)
    out.shelf = identifier.shelf.without(rows)
    return out


def _is_right(one: Candidate, trial: Trial, shelf: Shelf, types: dict[int, str]) -> bool:
    """Every strong true phase is there, and nothing else but weak true ones."""
    said = list(range(len(one.rows)))
    for true in trial.phases:
        mine = [at for at in said if _is(one, at, true, shelf, types)]
        said = [at for at in said if at not in mine]
        if not mine and true.intensity_share >= ABOVE:
            return False
    return not said


def _is(one: Candidate, at: int, true: TruePhase, shelf: Shelf, types: dict[int, str]) -> bool:
    row, fitted = one.rows[at], one.fit.phases[at]
    if LOWER[int(shelf.space_group[row]) - 1] != LOWER[true.space_group - 1]:
        return False
    letter = symbol(int(shelf.space_group[row]))[0]
    if not same_lattice(true.reduced, [niggli_cell(primitive(fitted.lattice, letter))], length=SAME_CELL)[0]:
        return False
    if row == true.row:
        return True
    for number, structure in ((row, None), (true.row, true.structure)):
        if number not in types:
            types[number] = structure_type(find_symmetry(structure or shelf.structure(number)))
    return types[row] == types[true.row]


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
        correction: (230,), see `group_shares`.
    """

    quantities: Floats
    group: NDArray[np.int64]
    there: NDArray[np.bool_]
    right: NDArray[np.bool_]
    network: Floats
    truth: NDArray[np.int64]
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
        return cls(quantities, group, there, right, network, np.array([one.group for one in gathered]), correction)

    def beliefs(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """(n, k) of hypotheses, (n, 230) of none and (n, 230) of groups for a vector of weights, as in `weigh`."""
        size = len(QUANTITIES)
        network, alone, prior, unknown, doubt = p[size:]
        opinion = log_softmax(np.maximum(self.network + prior * self.correction, -60.0))
        folded = np.full_like(opinion, -np.inf)
        for g in range(GROUPS):
            folded[:, LOWER[g]] = np.logaddexp(folded[:, LOWER[g]], opinion[:, g])
        finite = np.isfinite(folded)
        safe = np.where(finite, folded, -80.0)
        none = log_softmax(np.where(finite, alone * safe, -np.inf))
        known = self.quantities @ p[:size] + network * np.take_along_axis(safe, self.group, axis=1)
        everything = np.concatenate([np.where(self.there, known, -np.inf), unknown + none], axis=1)
        share = np.exp(log_softmax(everything))
        weight = 1 / (1 + np.exp(-doubt))
        k = self.group.shape[1]
        p_known, p_none = (1 - weight) * share[:, :k], (1 - weight) * share[:, k:] + weight * np.exp(none)
        group = p_none.copy()
        for i in range(len(group)):
            np.add.at(group[i], self.group[i], p_known[i])
        return p_known, p_none, group

    def loss(self, p: Floats, rest: Floats) -> float:
        """Mean of -ln P(true group) and -ln P(right hypotheses), and the ridge."""
        known, none, group = self.beliefs(p)
        at = np.arange(len(self.truth))
        of_group = -np.log(group[at, self.truth] + 1e-7)
        any_right = self.right.any(axis=1)
        right = np.where(any_right, (known * self.right).sum(axis=1), none.sum(axis=1))
        return float((of_group - np.log(right + 1e-7)).mean() + RIDGE * ((p - rest) ** 2 / SCALE**2).sum())


REST = np.array([20.0, -4.0, -1.0, -1.0, -0.7, -1.0, -0.3, 0.0, -1.0, 0.3, -3.0, 0.6, 0.8, 0.5, 12.0, -3.0])
"""Where weights are drawn to: of `QUANTITIES`, then network, alone, prior, unknown and doubt."""
SCALE = np.array([20.0, 3.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.5, 0.5, 3.0, 0.4, 0.4, 0.5, 10.0, 1.5])


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
        for kind, count in ((kind, round(share * patterns)) for kind, share in SHARES.items())
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
