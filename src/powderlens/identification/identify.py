"""From a pattern to an answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError, PatternError, PowderlensError
from powderlens.identification.answer import Answer, Group, KnownPhase, System
from powderlens.identification.evidence import EVIDENCE, Evidence, Prediction, join, system_belief, weights_for
from powderlens.library.search import Matches, Search
from powderlens.library.table import LibraryTable
from powderlens.models.runtime import Model, load_model
from powderlens.models.weights import DEFAULT_MODEL, find_weights
from powderlens.pattern.background import noise_sigma
from powderlens.pattern.grid import Grid, convert_two_theta
from powderlens.pattern.pattern import MIN_POINTS, Pattern
from powderlens.pattern.prepare import Prepared, prepare
from powderlens.pattern.read import read_pattern
from powderlens.pattern.wavelength import parse_radiation
from powderlens.symmetry.groups import SYSTEMS, symbol

SHOWN_PHASES, DRAWN_PHASES = 10, 3
SYMBOLS = tuple(symbol(number) for number in range(1, 231))
BATCH = 64
LEAST_HEIGHT = 6.0
"""A pattern whose highest point is lower than this, in units of the noise, shows no reflection."""
LITTLE_COVER = 0.4
"""A range below this share of the network's grid is warned of."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A pattern that can be asked about.

    Attributes:
        pattern: as it came.
        prepared: on the network's grid.
        network_reads: (points,) what the network reads of it; None where it is not asked.
        warnings: what the reader should know.
    """

    pattern: Pattern
    prepared: Prepared
    network_reads: NDArray[np.float32] | None
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of one pattern: (7,) systems, (230,) groups, (k,) phases, its k matches, the network's cell."""

    system: NDArray[np.float64]
    group: NDArray[np.float64]
    phase: NDArray[np.float64]
    matches: Matches | None
    niggli: NDArray[np.float32] | None


class Identifier:
    """Loads network and library once and answers for any number of patterns.

    Args:
        evidence: "network", "library" or "all".
        model: name of a shipped network, or an exported FILE.onnx with its card beside it.
        threads: for the network; 0 lets the runtime choose.

    Attributes:
        model: the network.
        grid: its grid.
        search: the library on that grid; None where it is not asked.
        weights: how loudly each speaks.

    Raises:
        InputError: unknown evidence or model, or a network alone that says nothing of symmetry.
    """

    def __init__(self, evidence: Evidence = "all", *, model: str | Path = DEFAULT_MODEL, threads: int = 0) -> None:
        if evidence not in EVIDENCE:
            raise InputError(f"evidence {evidence!r}: choose one of {', '.join(EVIDENCE)}")
        self.evidence: Evidence = evidence
        self.model: Model = load_model(model, threads=threads)
        self.grid: Grid = self.model.grid
        self._knows = {task.name for task in self.model.weights.tasks}
        if evidence == "network" and self._knows == {"lattice"}:
            raise InputError(
                f"{self.model.card.id}: answers with a cell and says nothing of symmetry; ask it together with the "
                "library, evidence all"
            )
        self.search = None if evidence == "network" else Search(LibraryTable.load(), self.grid)
        self.weights, calibrated = weights_for(self.model.name)
        self._remarks = [] if evidence == "library" else _remarks(self.model, evidence, calibrated=calibrated)

    def identify(self, pattern: Pattern) -> Answer:
        """The answer for one pattern.

        Raises:
            WavelengthError: a pattern without wavelength.
            InputError: a pattern outside the grid, one in which no reflection stands out, or one measured in part for a
                network that reads no mask.
        """
        answer = next(self.identify_many([pattern]))
        if isinstance(answer, PowderlensError):
            raise answer
        return answer

    def identify_many(self, patterns: Iterable[Pattern]) -> Iterator[Answer | PowderlensError]:
        """Answers in the order of the patterns; faster than one by one.

        Args:
            patterns: as many as one likes; 64 are taken at a time.

        Yields:
            The answer, or, in its place, the error that `identify` would raise.
        """
        rest = iter(patterns)
        while some := list(islice(rest, BATCH)):
            asked: list[Asked | PowderlensError] = []
            for pattern in some:
                try:
                    asked.append(self.prepare(pattern))
                except PowderlensError as error:
                    asked.append(error)
            answers = iter(self._answer([one for one in asked if isinstance(one, Asked)]))
            for one in asked:
                yield one if isinstance(one, PowderlensError) else next(answers)

    def prepare(self, pattern: Pattern) -> Asked:
        """What network and library read of a pattern, and what to warn of.

        Raises:
            WavelengthError: no wavelength.
            InputError: nothing on the grid, no reflection, or a pattern measured in part for a network without mask.
        """
        warnings: list[str] = []
        if pattern.metadata.get("probe") == "neutron":
            warnings.append("measured with neutrons: networks and library know X-ray intensities only")
        prepared = prepare(pattern, self.grid)
        if prepared.background:
            warnings.append("a background was estimated and subtracted")
        mask = prepared.mask
        height, points = _height(prepared.flat[mask]), int(mask.sum())
        if points < MIN_POINTS or height < LEAST_HEIGHT:
            raise PatternError(
                f"{pattern.source or 'pattern'}: no reflection stands out in the measured range "
                f"({points} points on the network's grid, the highest {height:.1f} times the noise; "
                f"{MIN_POINTS} points and {LEAST_HEIGHT:g} times are needed); measure longer, or another range"
            )
        if mask.mean() < LITTLE_COVER:
            low, high = self.grid.two_theta_deg[mask][[0, -1]]
            warnings.append(
                f"only {low:.1f} to {high:.1f} degrees (as with copper) of {self.grid.start_deg:g} to "
                f"{self.grid.end_deg:g} are measured: the answer is less sure than it says"
            )
        reads = None
        if self.evidence != "library":
            of = self.model.weights
            reads = prepared.for_network(floor=of.floor, mask=of.mask, name=self.model.card.id)
        return Asked(pattern, prepared, reads, warnings)

    def evidence_of(self, asked: Sequence[Asked]) -> tuple[Prediction | None, Matches | None]:
        """What network and library say of patterns, before they are joined; None for one not asked."""
        said, found = None, None
        mask = np.stack([one.prepared.mask for one in asked])
        if self.evidence != "library":
            of = self.model.weights
            x = np.stack([one.network_reads for one in asked if one.network_reads is not None])
            said = Prediction.of(of.tasks, self.model(x, mask if of.mask else None))
        if self.search is not None:
            flat = np.stack([one.prepared.above_floor for one in asked])
            found = self.search(np.stack([flat, mask], axis=1, dtype=np.float32))
        return said, found

    def _answer(self, asked: Sequence[Asked]) -> list[Answer]:
        if not asked:
            return []
        prediction, matches = self.evidence_of(asked)
        group, phase = join(prediction, matches, self.weights)
        system = system_belief(group, prediction, self.weights)
        niggli = None if prediction is None else prediction.niggli
        answers = []
        for i, one in enumerate(asked):
            near = None if matches is None else matches.take(np.array([i]))
            cell = None if niggli is None else niggli[i]
            answers.append(self._one(one, Belief(system[i], group[i], phase[i], near, cell)))
        return answers

    def _one(self, asked: Asked, belief: Belief) -> Answer:
        pattern = asked.pattern
        assert pattern.wavelength_A is not None
        phases: list[KnownPhase] = []
        leans_on = None
        cell, cell_from = belief.niggli, "none" if belief.niggli is None else "network"
        if belief.matches is not None and self.search is not None:
            row, score = belief.matches.row[0], belief.matches.score[0]
            named = self._by_name(row, score, belief.phase)
            best, probability = named[0]
            if probability > 0.5:
                leans_on = self._name(row[best])
            if leans_on or cell is None:
                cell, cell_from = self.search.table.niggli[row[best]], self._name(row[best])
            phases = [
                self._phase(row[k], float(score[k]), p, pattern.wavelength_A if n < DRAWN_PHASES else None)
                for n, (k, p) in enumerate(named[:SHOWN_PHASES])
            ]
        return Answer(
            file=pattern.source,
            wavelength_A=float(pattern.wavelength_A),
            model="none" if self.evidence == "library" else self.model.name,
            evidence=self.evidence,
            crystal_system=[System(SYSTEMS[s], p) for s, p in _ranked(belief.system)],
            space_group=[Group(g + 1, SYMBOLS[g], p) for g, p in _ranked(belief.group)] if self._tells_groups else [],
            lattice={} if cell is None else {key: float(v) for key, v in zip(CELL_NAMES, cell, strict=True)},
            lattice_source=cell_from,
            phases=phases,
            leans_on=leans_on,
            warnings=[*asked.warnings, *self._remarks],
        )

    @property
    def _tells_groups(self) -> bool:
        """Whether anything that is asked tells space groups of one system apart."""
        return self.search is not None or bool(self._knows & {"space_group", "extinction_class"})

    def _by_name(
        self, row: NDArray[np.int64], score: NDArray[np.float32], phase: NDArray[np.float64]
    ) -> list[tuple[int, float]]:
        """The likeliest entry of each differently named phase with the probability of the name, likeliest first."""
        total: dict[str, float] = {}
        entry: dict[str, int] = {}
        for k in np.lexsort((-score, -phase)):
            name = self._name(row[k])
            total[name] = total.get(name, 0.0) + float(phase[k])
            entry.setdefault(name, int(k))
        return sorted(((k, total[name]) for name, k in entry.items()), key=lambda item: -item[1])

    def _name(self, row: np.int64) -> str:
        assert self.search is not None
        return str(self.search.table.name[row]) or str(self.search.table.formula[row])

    def _phase(self, row: np.int64, score: float, probability: float, wavelength_A: float | None) -> KnownPhase:
        """A phase of the library; its lines at a wavelength, or without lines."""
        assert self.search is not None
        table, lines = self.search.table, None
        if wavelength_A is not None:
            d_A, intensity = table.lines(int(row))
            angle = convert_two_theta(np.degrees(2 * np.arcsin(0.5 / d_A)), 1.0, wavelength_A)
            reached = np.isfinite(angle)
            lines = (angle[reached], intensity[reached])
        formula, source = str(table.formula[row]), str(table.source[row])
        return KnownPhase(self._name(row), formula, source, score, probability, lines)


def _remarks(model: Model, evidence: Evidence, *, calibrated: bool) -> list[str]:
    """What to say of every answer of a network that is not the one the evidence was weighed for."""
    tasks, said = {task.name: task for task in model.weights.tasks}, []
    if not calibrated:
        said.append(f"the probabilities of {model.name} are its own: no measured pattern has calibrated them")
    if "space_group" in tasks:
        count = tasks["space_group"].outputs
        if count < len(SYMBOLS):
            said.append(f"{model.name} knows {count} of the {len(SYMBOLS)} space groups and never names another")
    elif "extinction_class" in tasks:
        said.append(f"{model.name} tells extinction classes apart; the groups of one share its probability evenly")
    elif "crystal_system" in tasks:
        end = "no space group is given" if evidence == "network" else "only the library tells groups of one apart"
        said.append(f"{model.name} tells crystal systems apart; {end}")
    else:
        said.append(f"{model.name} says nothing of symmetry; system and group are the library's")
    if "lattice" not in tasks:
        said.append(f"{model.name} gives no cell" + ("" if evidence == "network" else "; it is the best phase's"))
    return said


def _height(intensity: NDArray[np.float64]) -> float:
    """How far the highest point stands above the median, in units of the noise, both after a mean of five points.

    Pure noise on 4,250 points reaches about 4.
    """
    if len(intensity) < MIN_POINTS:
        return 0.0
    smooth = np.convolve(intensity, np.full(5, 0.2), mode="valid")
    top = float(smooth.max() - np.median(smooth))
    # Peaks raise the mean bend of the profile: this noise is never too small, and costs no sorting.
    noise = 1.2533 * float(np.abs(np.diff(intensity, n=2)).mean()) / np.sqrt(6.0 * 5.0)
    if top > LEAST_HEIGHT * noise:
        return top / noise if noise > 0 else np.inf
    noise = noise_sigma(intensity) / np.sqrt(5.0)
    return top / noise if noise > 0 else (np.inf if top > 0 else 0.0)


def _ranked(probability: NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    order = np.argsort(-probability, kind="stable")
    return zip(order.tolist(), probability[order].tolist(), strict=True)


def identify(
    pattern: Pattern | str | os.PathLike[str],
    *,
    wavelength: str | float | None = None,
    evidence: Evidence = "all",
    model: str | Path = DEFAULT_MODEL,
) -> Answer:
    """Identify one measured pattern.

    Network and library are loaded once and kept; a file of weights that has changed is read anew. For many patterns
    make one `Identifier` and call its `identify_many`.

    Args:
        pattern: a `Pattern`, or a file that `read_pattern` reads.
        wavelength: angstrom or an anode line such as "CuKa", when the file does not say it or says it wrongly.
        evidence: "network", "library" or "all".
        model: see `Identifier`.

    Returns:
        Ranked crystal systems, space groups, cell and phases with probabilities.

    Raises:
        InputError: unreadable file, no such model, no wavelength, nothing to see in the measured range.
    """
    if not isinstance(pattern, Pattern):
        pattern = read_pattern(pattern, wavelength=wavelength)
    elif wavelength is not None:
        radiation = parse_radiation(wavelength)
        pattern = replace(pattern, wavelength_A=radiation.wavelength_A, radiation=radiation)
    weights = find_weights(model)
    return _kept(evidence, str(model), weights.stat().st_mtime_ns).identify(pattern)


@lru_cache(maxsize=len(EVIDENCE))
def _kept(evidence: Evidence, model: str, changed_ns: int) -> Identifier:
    return Identifier(evidence, model=model)
