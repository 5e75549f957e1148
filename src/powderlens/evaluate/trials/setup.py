"""What the makers of trials share: the library's phases, the protocol, and how a scan becomes a pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.random import Purpose
from powderlens.diffraction.mixture import as_measured, lines_alone
from powderlens.diffraction.protocol import Protocol
from powderlens.diffraction.render_numba import measured_points
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.specimen import Loosening, Specimen, specimen_of
from powderlens.evaluate.trials.trial import KINDS, Kind
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation, parse_radiation

MAX_PHASES = 4
ATTEMPTS = 24
"""How many choices of phases are tried until one shows lines in the range that is measured."""
CHOICES = 16
"""Random numbers that a choice may use."""
TOP = 100.0
"""Strongest point of a pattern."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Setup:
    """Of what, how and by which numbers trials of one kind are drawn."""

    pool: Pool
    protocol: Protocol
    kind: Kind
    seed: int
    amcsd: Path | None = None
    loosening: Loosening = field(default_factory=Loosening)

    def address(self, number: int, phase: int = 0) -> int:
        """Under which number of the seed a phase of a trial draws: no two kinds, trials or phases share one."""
        return (KINDS.index(self.kind) << 40) + MAX_PHASES * number + phase

    def choices(self, number: int) -> Floats:
        """(attempts, choices) numbers between 0 and 1 by which a trial chooses."""
        u = random.uniform(self.seed, self.address(number), Purpose.TRIAL, ATTEMPTS * CHOICES)
        return u.reshape(ATTEMPTS, CHOICES)

    def specimen(self, row: int, number: int, phase: int = 0, wavelength_ratio: float = 1.0) -> Specimen:
        """A row of the library as it may be found."""
        return specimen_of(
            self.pool,
            row,
            self.protocol,
            seed=self.seed,
            number=self.address(number, phase),
            wavelength_ratio=wavelength_ratio,
            amcsd=self.amcsd,
            loosening=self.loosening,
        )

    def curves(self, specimens: list[Specimen], records: NDArray[np.void], number: int) -> Floats:
        """(phases, points) lines of each, see `lines_alone`."""
        only_once(records, specimens)
        index = np.array([self.address(number, at) for at in range(len(specimens))])
        return lines_alone(
            [one.phase for one in specimens], records[: len(specimens)], self.protocol.grid, seed=self.seed, index=index
        )

    def measured(self, curve: Floats, records: NDArray[np.void], number: int) -> Floats:
        """(points,) a curve with background and noise of the first record."""
        index = np.array([self.address(number)])
        return as_measured(curve[None], records[:1], self.protocol.grid, seed=self.seed, index=index)[0]

    def inside(self, records: NDArray[np.void]) -> slice:
        """The points that the first record measures."""
        lo, hi = measured_points(records[:1], self.protocol.grid)
        return slice(int(lo[0]), int(hi[0]))

    def pattern(
        self, intensity: Floats, records: NDArray[np.void], number: int, told: float | Radiation | None = None
    ) -> Pattern:
        """What a user hands in: the measured points, and the wavelength that is stated; None is the protocol's."""
        inside = self.inside(records)
        radiation = parse_radiation(self.protocol.grid.wavelength_A if told is None else told)
        y = intensity[inside]
        return Pattern(
            two_theta_deg=self.protocol.grid.two_theta_deg[inside],
            intensity=y * (TOP / float(y.max())),
            wavelength_A=radiation.wavelength_A,
            source=f"trial {self.kind} {number} of seed {self.seed}",
            radiation=radiation,
        )


def only_once(records: NDArray[np.void], specimens: list[Specimen]) -> None:
    """Strain and jitter of a loosened entry stand for those of the protocol, in place: they are the same thing."""
    for at, one in enumerate(specimens):
        if one.loosened:
            records["strain"][at], records["intensity_jitter"][at] = 0.0, 0.0


def over_the_grid(records: NDArray[np.void]) -> None:
    """Measure the whole grid, in place."""
    records["first_deg"], records["last_deg"] = 0.0, 180.0


def with_radiation(records: NDArray[np.void], radiation: Radiation) -> None:
    """Draw with other lines, in place; without the K-beta of the protocol's anode."""
    records["ka1_A"] = radiation.ka1_A
    records["ka2_A"] = radiation.ka2_A or radiation.ka1_A
    records["ka2_ratio"] = radiation.ka2_ratio
    records["kbeta_ratio"] = 0.0
