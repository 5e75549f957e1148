"""`Answer`: what powderlens says of a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powderlens.core.cell import CELL_NAMES

SCHEMA = 2
"""Of the written answer; keys are added under the same number, and never renamed or removed."""
Six = tuple[float, float, float, float, float, float]


class System(NamedTuple):
    """A crystal system and its probability."""

    name: str
    probability: float


class Group(NamedTuple):
    """A space group and its probability; of an enantiomorphic pair the lower number, which powder data cannot part.

    `mirror` is the number of the other one, or None.
    """

    number: int
    symbol: str
    probability: float
    mirror: int | None = None


@dataclass(frozen=True, kw_only=True)
class RefinedCell:
    """A unit cell as a fit found it.

    Attributes:
        conventional: a, b, c in A; alpha, beta, gamma in degrees, in the standard setting.
        esd: standard uncertainties of the six; 0 where symmetry fixes them.
        centring: letter of the lattice: P, A, C, I, F or R (hexagonal axes).
        reduced: Niggli cell.
        volume_A3, volume_esd_A3: of the conventional cell.
        source: name of the phase that was refined, or "indexing".
    """

    conventional: Six
    esd: Six
    centring: str
    reduced: Six
    volume_A3: float
    volume_esd_A3: float
    source: str


class Lines(NamedTuple):
    """Lines of a phase in its refined cell: hkl (m, 3), intensities, and 2theta in degrees where they stand in the
    pattern, its shift added; of a doublet, the mean.
    """

    hkl: NDArray[np.int64]
    two_theta_deg: NDArray[np.float64]
    intensity: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class KnownPhase:
    """A known phase.

    Attributes:
        name, formula: what it is.
        source: where the entry comes from, as "amcsd:0001234".
        reference: who published it; "" where the source does not say.
        score: cosine of measured and calculated square-root profiles after the fit, 0 to 1; in a mixture that of all.
        probability: that it is there, alone or beside others.
        row: of the library.
        space_group: number.
        strain: of its cell against the entry's, the mean relative change of spacings.
        cell: as refined.
        fraction, fraction_esd: share of the crystalline weight; None where the phase is not in the best answer, the esd
            also where the fit does not bound it.
        size_nm: mean size of the crystallites, of the main phase of the best answer where the instrument's width is
            known and lines are clearly broader; else None.
        lines: in the refined cell; None where it was not asked for.
    """

    name: str
    formula: str
    source: str
    reference: str = ""
    score: float
    probability: float
    row: int
    space_group: int
    strain: float
    cell: RefinedCell
    fraction: float | None = None
    fraction_esd: float | None = None
    size_nm: float | None = None
    lines: Lines | None = None


class UnexplainedPeak(NamedTuple):
    """A line that nothing in the answer explains; the strongest measured line has intensity 100."""

    two_theta_deg: float
    d_A: float
    intensity: float


@dataclass(frozen=True, eq=False)
class Curve:
    """The best answer as a profile: (n,) each, on the pattern's points that were measured."""

    two_theta_deg: NDArray[np.float64]
    observed: NDArray[np.float64]
    calculated: NDArray[np.float64]
    background: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Ranked candidates with probabilities. System, group, cell and phases are marginals of one set of hypotheses.

    Attributes:
        file: where the pattern came from.
        wavelength_A: wavelength used, A.
        model: name of the network; "none" when only the library was asked.
        evidence: what was asked: network, library or all.
        crystal_system: seven, most probable first.
        space_group: most probable first; the probabilities of all sum to 1. Empty where nothing that was asked tells
            groups of one system apart.
        extinction_class: symbol of the class of the first group, and all groups of it, which line positions cannot
            part; None without groups.
        cell: the cell of the best hypothesis, refined; None where no hypothesis has one.
        lattice: Niggli cell, A and degrees: of `cell`, else the network's guess; empty where there is neither.
        lattice_source: "network", the name of the phase whose cell it is, or "none".
        phases: known phases, most probable first.
        leans_on: the phase that carries more than half of the belief, or None.
        explained: share of the measured intensity that the best answer explains; None where nothing was fitted.
        rwp: weighted profile residual of the best answer; None where nothing was fitted.
        unexplained_peaks: strongest first.
        abstains: why the answer commits itself to nothing, or None.
        warnings: what the reader should know.
        library: sha256 of the library, "" where it was not asked.
        calibration: sha256 of the calibration; "uncalibrated" where none is of this network and library.
        amorphous, amorphous_esd: share of the weight that no phase has, by a standard of known weight; None without
            one. With it fractions are of the whole, the standard included, without it of the crystalline part.
        curve: for figures and columns.
    """

    file: str
    wavelength_A: float
    model: str
    evidence: str
    crystal_system: list[System]
    space_group: list[Group]
    extinction_class: tuple[str, tuple[int, ...]] | None = None
    cell: RefinedCell | None = None
    lattice: Mapping[str, float] = field(default_factory=dict)
    lattice_source: str = "none"
    phases: list[KnownPhase] = field(default_factory=list)
    leans_on: str | None = None
    explained: float | None = None
    rwp: float | None = None
    unexplained_peaks: list[UnexplainedPeak] = field(default_factory=list)
    abstains: str | None = None
    warnings: list[str] = field(default_factory=list)
    library: str = ""
    calibration: str = "uncalibrated"
    amorphous: float | None = None
    amorphous_esd: float | None = None
    curve: Curve | None = None

    @property
    def best_phases(self) -> list[KnownPhase]:
        """The phases of the best hypothesis, the main one first and the others by weight; empty where it has none."""
        inside = [phase for phase in self.phases if phase.fraction is not None]
        main = None if self.cell is None else self.cell.source
        return sorted(inside, key=lambda phase: (phase.name != main, -(phase.fraction or 0.0)))

    def without_curves(self) -> Answer:
        """The same without profiles and lines, which take most of the memory."""
        return replace(self, curve=None, phases=[replace(phase, lines=None) for phase in self.phases])

    def to_dict(self, *, groups: int = 10) -> dict[str, object]:
        """The answer as plain numbers and strings; the keys are documented in README and never renamed."""
        known = self.extinction_class
        return {
            "schema": SCHEMA,
            "file": self.file,
            "wavelength_A": self.wavelength_A,
            "model": self.model,
            "evidence": self.evidence,
            "warnings": list(self.warnings),
            "abstains": self.abstains,
            "crystal_system": [{"name": s.name, "probability": round(s.probability, 6)} for s in self.crystal_system],
            "space_group": [
                {"number": g.number, "symbol": g.symbol, "probability": round(g.probability, 6), "mirror": g.mirror}
                for g in self.space_group[: max(groups, 10)]
            ],
            "extinction_class": None if known is None else {"symbol": known[0], "groups": list(known[1])},
            "cell": None if self.cell is None else _cell(self.cell),
            "lattice": {**{k: round(v, 4) for k, v in self.lattice.items()}, "cell": "niggli"},
            "lattice_source": self.lattice_source,
            "leans_on": self.leans_on,
            "phases": [_phase(phase) for phase in self.phases],
            "amorphous": _rounded(self.amorphous, 4),
            "amorphous_esd": _rounded(self.amorphous_esd, 4),
            "explained": _rounded(self.explained, 4),
            "rwp": _rounded(self.rwp, 4),
            "unexplained_peaks": [
                {"two_theta_deg": round(p.two_theta_deg, 3), "d_A": round(p.d_A, 4), "intensity": round(p.intensity, 2)}
                for p in self.unexplained_peaks
            ],
            "library": self.library,
            "calibration": self.calibration,
        }


def named_cell(six: Six) -> dict[str, float]:
    """A cell by the names of its six numbers."""
    return dict(zip(CELL_NAMES, six, strict=True))


def _cell(cell: RefinedCell) -> dict[str, object]:
    return {
        **{name: round(value, 5) for name, value in named_cell(cell.conventional).items()},
        "esd": {name: _rounded(value, 6) for name, value in named_cell(cell.esd).items()},
        "centring": cell.centring,
        "volume_A3": round(cell.volume_A3, 3),
        "volume_esd_A3": round(cell.volume_esd_A3, 4),
        "reduced": {name: round(value, 5) for name, value in named_cell(cell.reduced).items()},
        "source": cell.source,
    }


def _phase(phase: KnownPhase) -> dict[str, Any]:
    """What is written of a phase: all but its lines."""
    digits = {"score": 4, "probability": 6, "strain": 5, "fraction": 4, "fraction_esd": 4, "size_nm": 1}
    fields = {name: value for name, value in vars(phase).items() if name != "lines"}
    plain = {name: _rounded(value, digits[name]) if name in digits else value for name, value in fields.items()}
    return {**plain, "cell": _cell(phase.cell)}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
