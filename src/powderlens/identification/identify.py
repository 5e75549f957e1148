"""From a pattern to an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError, PatternError, WavelengthError
from powderlens.identification.answer import Answer, Group, Phase, System
from powderlens.identification.evidence import EVIDENCE, Evidence, Weights, join, system_belief
from powderlens.library.search import Matches, Search
from powderlens.library.table import LibraryTable
from powderlens.models.runtime import DEFAULT_MODEL, Network, Prediction, load_network
from powderlens.pattern.background import noise_sigma, subtract_background
from powderlens.pattern.grid import Grid, convert_two_theta, to_grid
from powderlens.pattern.pattern import MIN_POINTS, Pattern
from powderlens.pattern.prepare import network_input
from powderlens.pattern.read import read_pattern
from powderlens.symmetry.groups import SYSTEMS, symbol

SHOWN_PHASES, DRAWN_PHASES = 10, 3
SYMBOLS = tuple(symbol(number) for number in range(1, 231))
BATCH = 64
LEAST_HEIGHT = 6.0
"""A pattern whose highest point is lower than this, in units of the noise, shows no reflection."""
LITTLE_COVER = 0.4
"""A range below this share of the network's grid is warned of."""


class Identifier:
    """Loads network and library once and answers for any number of patterns.

    Args:
        evidence: "network", "library" or "all".
        model: name of a shipped network.
        threads: for the network; 0 lets the runtime choose.

    Raises:
        InputError: unknown evidence or model.
    """

    def __init__(self, evidence: Evidence = "all", *, model: str = DEFAULT_MODEL, threads: int = 0) -> None:
        if evidence not in EVIDENCE:
            raise InputError(f"evidence {evidence!r}: choose one of {', '.join(EVIDENCE)}")
        self.evidence: Evidence = evidence
        self.network: Network = load_network(model, threads=threads)
        self.grid: Grid = self.network.grid
        self.search = None if evidence == "network" else Search(LibraryTable.load(), self.grid)
        self.weights = Weights.load()

    def identify(self, pattern: Pattern) -> Answer:
        """The answer for one pattern; see `identify_many` for what it raises."""
        return self.identify_many([pattern])[0]

    def identify_many(self, patterns: Sequence[Pattern]) -> list[Answer]:
        """Answers in the order of the patterns; faster than one by one.

        Raises:
            WavelengthError: a pattern without wavelength.
            InputError: a pattern outside the grid, or one in which no reflection stands out.
        """
        answers: list[Answer] = []
        for start in range(0, len(patterns), BATCH):
            chunk = patterns[start : start + BATCH]
            prepared = [self.prepare(pattern) for pattern in chunk]
            answers += self._answer(chunk, np.stack([x for x, _ in prepared]), [w for _, w in prepared])
        return answers

    def prepare(self, pattern: Pattern) -> tuple[NDArray[np.float32], list[str]]:
        """Network input (2, points) of a pattern, and what to warn of."""
        if pattern.wavelength_A is None:
            raise WavelengthError(
                f"{pattern.source or 'pattern'}: no wavelength in the file; give one (angstrom, CuKa, MoKa, ...)"
            )
        warnings: list[str] = []
        if pattern.metadata.get("probe") == "neutron":
            warnings.append("measured with neutrons: networks and library know X-ray intensities only")
        flat, removed = subtract_background(pattern)
        if removed:
            warnings.append("a background was estimated and subtracted")
        intensity, mask = to_grid(flat, self.grid)
        height, points = _height(intensity[mask]), int(mask.sum())
        if points < MIN_POINTS or height < LEAST_HEIGHT:
            raise PatternError(
                f"{pattern.source or 'pattern'}: no reflection stands out in the measured range "
                f"({points} points on the network's grid, the highest {height:.1f} times the noise; "
                f"{MIN_POINTS} points and {LEAST_HEIGHT:g} times are needed); measure longer, or another range"
            )
        cover = float(mask.mean())
        if cover < LITTLE_COVER:
            low, high = self.grid.two_theta_deg[mask][[0, -1]]
            warnings.append(
                f"only {low:.1f} to {high:.1f} degrees (as with copper) of {self.grid.start_deg:g} to "
                f"{self.grid.end_deg:g} are measured: the answer is less sure than it says"
            )
        x = network_input(intensity, mask)
        return x, warnings

    def evidence_of(self, x: NDArray[np.float32]) -> tuple[Prediction | None, Matches | None]:
        """What network and library say of (b, 2, points) inputs, before they are joined; None for one not asked."""
        return None if self.evidence == "library" else self.network(x), self.search(x) if self.search else None

    def _answer(
        self, patterns: Sequence[Pattern], x: NDArray[np.float32], warnings: Sequence[list[str]]
    ) -> list[Answer]:
        prediction, matches = self.evidence_of(x)
        group, phase = join(prediction, matches, self.weights)
        system = system_belief(group, prediction, self.weights)
        return [
            self._one(pattern, system[i], group[i], phase[i], prediction, matches, i, warnings[i])
            for i, pattern in enumerate(patterns)
        ]

    def _one(
        self,
        pattern: Pattern,
        system: NDArray[np.float64],
        group: NDArray[np.float64],
        phase: NDArray[np.float64],
        prediction: Prediction | None,
        matches: Matches | None,
        i: int,
        warnings: list[str],
    ) -> Answer:
        assert pattern.wavelength_A is not None
        phases: list[Phase] = []
        leans_on = None
        if prediction is not None:
            cell, cell_from = prediction.niggli[i], "network"
        if matches is not None and self.search is not None:
            named = self._by_name(matches, phase, i)
            best, probability = named[0]
            if probability > 0.5:
                leans_on = self._name(matches.row[i, best])
            if leans_on or prediction is None:
                cell, cell_from = self.search.table.niggli[matches.row[i, best]], self._name(matches.row[i, best])
            phases = [
                self._phase(
                    matches.row[i, k], float(matches.score[i, k]), p, pattern.wavelength_A if n < DRAWN_PHASES else None
                )
                for n, (k, p) in enumerate(named[:SHOWN_PHASES])
            ]
        return Answer(
            file=pattern.source,
            wavelength_A=float(pattern.wavelength_A),
            model="none" if self.evidence == "library" else self.network.name,
            evidence=self.evidence,
            crystal_system=[System(SYSTEMS[s], p) for s, p in _ranked(system)],
            space_group=[Group(g + 1, SYMBOLS[g], p) for g, p in _ranked(group)],
            lattice={key: float(value) for key, value in zip(CELL_NAMES, cell, strict=True)},
            lattice_source=cell_from,
            phases=phases,
            leans_on=leans_on,
            warnings=warnings,
        )

    def _by_name(self, matches: Matches, phase: NDArray[np.float64], i: int) -> list[tuple[int, float]]:
        """The likeliest entry of each differently named phase with the probability of the name, likeliest first."""
        total: dict[str, float] = {}
        entry: dict[str, int] = {}
        for k in np.lexsort((-matches.score[i], -phase)):
            name = self._name(matches.row[i, k])
            total[name] = total.get(name, 0.0) + float(phase[k])
            entry.setdefault(name, int(k))
        return sorted(((k, total[name]) for name, k in entry.items()), key=lambda item: -item[1])

    def _name(self, row: np.int64) -> str:
        assert self.search is not None
        return str(self.search.table.name[row]) or str(self.search.table.formula[row])

    def _phase(self, row: np.int64, score: float, probability: float, wavelength_A: float | None) -> Phase:
        """A phase of the library; its lines at a wavelength, or without lines."""
        assert self.search is not None
        table, lines = self.search.table, None
        if wavelength_A is not None:
            d_A, intensity = table.lines(int(row))
            angle = convert_two_theta(np.degrees(2 * np.arcsin(0.5 / d_A)), 1.0, wavelength_A)
            reached = np.isfinite(angle)
            lines = (angle[reached], intensity[reached])
        return Phase(self._name(row), str(table.formula[row]), str(table.source[row]), score, probability, lines)


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
) -> Answer:
    """Identify one measured pattern.

    For many patterns make one `Identifier` and call its `identify_many`.

    Args:
        pattern: a `Pattern`, or a file that `read_pattern` reads.
        wavelength: angstrom or an anode line such as "CuKa", when the file does not say it or says it wrongly.
        evidence: "network", "library" or "all".

    Returns:
        Ranked crystal systems, space groups, cell and phases with probabilities.

    Raises:
        InputError: unreadable file, no wavelength, nothing to see in the measured range.
    """
    if not isinstance(pattern, Pattern):
        pattern = read_pattern(pattern, wavelength=wavelength)
    elif wavelength is not None:
        from dataclasses import replace

        from powderlens.pattern.wavelength import parse_radiation

        pattern = replace(pattern, wavelength_A=parse_radiation(wavelength).wavelength_A)
    return Identifier(evidence).identify(pattern)
