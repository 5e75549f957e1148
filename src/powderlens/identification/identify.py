"""From a pattern to an answer."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError, PowderlensError
from powderlens.identification.answer import Answer
from powderlens.identification.candidates import Candidate, given_candidates, groups, quantities, single_candidates
from powderlens.identification.checks import DOUBTED_SHARE, look
from powderlens.identification.deadline import Deadline
from powderlens.identification.evidence import EVIDENCE, Evidence, Prediction, network_opinion
from powderlens.identification.hypotheses import Calibration, Known, Posterior, tempered, weigh
from powderlens.identification.instrument import settle
from powderlens.identification.mixtures import mixtures
from powderlens.identification.standard import Standard
from powderlens.identification.wavelength import Tested, a_little_off, no_anode, other_anode
from powderlens.identification.write_answer import Asked, write_answer
from powderlens.library.shelf import ElementFilter, Shelf
from powderlens.models.runtime import Model, load_model
from powderlens.models.weights import DEFAULT_MODEL, find_weights
from powderlens.pattern.background import subtract_background
from powderlens.pattern.grid import Grid
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import prepare
from powderlens.pattern.read import read_pattern
from powderlens.pattern.spacing import COPPER_A, SpacingGrid
from powderlens.pattern.wavelength import parse_radiation
from powderlens.refine.measured import Instrument, Measured

BATCH = 64
MOST_PHASES = 4
"""That can be told apart in one pattern."""
LITTLE_COVER = 0.4
"""A range below this share of the network's grid is warned of."""

COPPER = Grid(start_deg=5.0, step_deg=0.02, points=4250, wavelength_A=COPPER_A)
"""Where the pattern is looked at where the network's grid is one of spacings."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is looked for.

    Attributes:
        libraries: files of the user's, added to the shipped one.
        shipped: ask the shipped library too.
        elements: which a phase may have.
        max_phases: most phases of a mixture, those that are given included; None for four, or as many as a pattern has
            lines.
        max_strain: how far a cell may be from its entry's, relative.
        time_limit_s: of a pattern; None for none.
        given: files of crystals that are known to be there.
        instrument: how a pattern was measured.
        standard: that was mixed into the specimen.
    """

    libraries: tuple[str, ...] = ()
    shipped: bool = True
    elements: ElementFilter = field(default_factory=ElementFilter)
    max_phases: int | None = None
    max_strain: float = 0.03
    time_limit_s: float | None = None
    given: tuple[str, ...] = ()
    instrument: Instrument = field(default_factory=Instrument)
    standard: Standard | None = None

    def __post_init__(self) -> None:
        most = MOST_PHASES if self.max_phases is None else self.max_phases
        if not 1 <= most <= MOST_PHASES:
            raise InputError(f"max phases {most}: 1 to {MOST_PHASES} can be told apart in one pattern")
        if self.known > most:
            raise InputError(f"{self.known} phases are given, and at most {most} are asked for; give fewer")
        if not 0.002 <= self.max_strain <= 0.15:
            raise InputError(f"max strain {self.max_strain:g}: 0.002 to 0.15, relative, such as 0.03")
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise InputError(f"time limit {self.time_limit_s:g} s must be positive")

    @property
    def known(self) -> int:
        """How many phases are known to be there."""
        return len(self.given) + (self.standard is not None)


class Identifier:
    """Loads network and library once and answers for any number of patterns.

    Args:
        evidence: "network", "library" or "all".
        model: name of a shipped network, or an exported FILE.onnx with its card beside it.
        threads: for the network; 0 lets the runtime choose.
        search: what is looked for, and where.
        calibration: file of `powderlens calibrate`; None is the one that ships.

    Attributes:
        model: the network.
        grid: its grid.
        shelf: the libraries; None where none is asked.
        calibration: how much each kind of evidence counts.

    Raises:
        InputError: unknown evidence or model, a library that cannot be read, or a network alone that says nothing of
            symmetry.
    """

    def __init__(
        self,
        evidence: Evidence = "all",
        *,
        model: str | Path = DEFAULT_MODEL,
        threads: int = 0,
        search: Search | None = None,
        calibration: Path | None = None,
    ) -> None:
        if evidence not in EVIDENCE:
            raise InputError(f"evidence {evidence!r}: choose one of {', '.join(EVIDENCE)}")
        self.evidence: Evidence = evidence
        self.search = search or Search()
        self.model: Model = load_model(model, threads=threads)
        own = self.model.grid
        self.grid: Grid = COPPER if isinstance(own, SpacingGrid) else own
        self._knows = {task.name for task in self.model.weights.tasks}
        if evidence == "network" and self._knows == {"lattice"}:
            raise InputError(
                f"{self.model.card.id}: answers with a cell and says nothing of symmetry; ask it together with the "
                "library, evidence all"
            )
        self.shelf: Shelf | None = None
        if evidence != "network":
            s = self.search
            self.shelf = Shelf(
                s.libraries,
                shipped=s.shipped,
                elements=s.elements,
                max_strain=s.max_strain,
                given=s.given,
                standard=None if s.standard is None else s.standard.structure,
            )
        self.calibration, self._calibration_sha = Calibration.load(calibration)
        fits = self.model.name == self.calibration.model and (
            self.shelf is None or self.shelf.sha256 == self.calibration.library
        )
        self.calibrated = self._calibration_sha if fits else "uncalibrated"
        self._remarks = [] if evidence == "library" else _remarks(self.model, evidence, calibrated=fits)

    def identify(self, pattern: Pattern) -> Answer:
        """The answer for one pattern.

        Raises:
            WavelengthError: a pattern without wavelength.
            InputError: a pattern outside the grid, or one measured in part for a network that reads no mask.
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
            good = [one for one in asked if isinstance(one, Asked)]
            said = iter(self.predictions(good))
            for one in asked:
                yield one if isinstance(one, PowderlensError) else self._answered(one, next(said))

    def prepare(self, pattern: Pattern) -> Asked:
        """What network and library read of a pattern, and what to warn of.

        Raises:
            WavelengthError: no wavelength.
            InputError: nothing on the grid, or a pattern measured in part for a network without mask.
        """
        warnings: list[str] = []
        if pattern.metadata.get("probe") == "neutron":
            warnings.append("measured with neutrons: networks and library know X-ray intensities only")
        measured = Measured.of(pattern, self.search.instrument)
        sight = look(measured)
        try:
            flat, removed = subtract_background(pattern)
            prepared = replace(prepare(flat, self.grid, background=False), background=removed)
            reads = seen = None
            if self.evidence != "library":
                of = self.model.weights
                own = prepared if of.grid == self.grid else prepare(flat, of.grid, background=False)
                reads = own.for_network(floor=of.floor, mask=of.mask, name=self.model.card.id)
                seen = own.seen
        except InputError:
            if sight.abstains is None or not len(sight.lines):
                raise
            # A wavelength in nanometres puts a pattern where the network sees nothing: that is to be said.
            return Asked(pattern, None, measured, sight, None, None, warnings)
        if prepared.background:
            warnings.append("a background was estimated and subtracted")
        mask = prepared.mask
        if mask.mean() < LITTLE_COVER:
            low, high = self.grid.two_theta_deg[mask][[0, -1]]
            warnings.append(
                f"only {low:.1f} to {high:.1f} degrees (as with copper) of {self.grid.start_deg:g} to "
                f"{self.grid.end_deg:g} are measured: the answer is less sure than it says"
            )
        return Asked(pattern, prepared, measured, sight, reads, seen, warnings)

    def predictions(self, asked: Sequence[Asked]) -> list[Prediction | None]:
        """What the network says of each pattern; None where it is not asked, or sees nothing."""
        of = self.model.weights
        read = [
            (one.network_reads, one.network_sees)
            for one in asked
            if one.network_reads is not None and one.network_sees is not None
        ]
        if not read:
            return [None] * len(asked)
        x, mask = (np.stack(part) for part in zip(*read, strict=True))
        said = Prediction.of(of.tasks, self.model(x, mask if of.mask else None))
        each = iter([said.take(slice(i, i + 1)) for i in range(len(read))])
        return [None if one.network_reads is None else next(each) for one in asked]

    def candidates(self, asked: Asked, deadline: Deadline | None = None) -> tuple[Asked, list[Candidate]]:
        """Phases, alone and mixed, refined against the pattern, and the pattern as it is once the instrument is known;
        no phase where nothing stands out, or nothing can be said.

        Raises:
            InputError: more phases are asked for than there are lines; or one that is given has none in the range.
        """
        if self.shelf is None or asked.sight.abstains is not None:
            return asked, []
        most, until = self._most_phases(asked), deadline or Deadline()
        shelf, weights = self.shelf, self.calibration.vector()

        def weight_in(measured: Measured) -> Callable[[Candidate], float]:
            return lambda one: float(quantities(shelf, measured, [one])[0] @ weights)

        def first(measured: Measured) -> list[Candidate]:
            if shelf.given:
                return given_candidates(measured, shelf)
            return single_candidates(measured, shelf, until)

        measured = asked.measured
        settled = settle(measured, shelf, first(measured), weight_in(measured), self._in_specimen)
        measured = settled.measured
        roots = first(measured) if settled.cleared else settled.roots
        asked = replace(asked, measured=measured, warnings=[*asked.warnings, *settled.remarks])
        return asked, roots + mixtures(measured, shelf, roots, most, weight_in(measured), until)

    @property
    def _in_specimen(self) -> frozenset[str]:
        """Elements that the specimen is said to have."""
        said = (*self.search.elements.only, *self.search.elements.required)
        return frozenset(element.strip().capitalize() for element in said)

    def _most_phases(self, asked: Asked) -> int:
        """How many phases a mixture may have; no more than there are lines."""
        wanted, lines = self.search.max_phases, asked.sight.distinct
        needed = max(wanted or 1, self.search.known)
        if needed > lines:
            raise InputError(
                f"{asked.pattern.source or 'pattern'}: {lines} lines in the range do not tell {needed} phases apart; "
                "ask for fewer"
            )
        return min(wanted or MOST_PHASES, lines)

    def without(self, rows: NDArray[np.int64]) -> Identifier:
        """The same, but for phases that are taken out of the library."""
        out = copy.copy(self)
        out.shelf = None if self.shelf is None else self.shelf.without(rows)
        return out

    def among(self, elements: ElementFilter) -> Identifier:
        """The same, of phases with certain elements alone.

        Raises:
            InputError: the elements exclude every phase.
        """
        out = copy.copy(self)
        out.search = replace(self.search, elements=elements)
        out.shelf = None if self.shelf is None else self.shelf.among(elements)
        return out

    def gathered(
        self, asked: Asked, prediction: Prediction | None, deadline: Deadline | None = None
    ) -> tuple[Asked, list[Candidate], Known]:
        """A pattern once the instrument is known, its hypotheses, and what is known of each before they are weighed."""
        asked, found = self.candidates(asked, deadline)
        opinion = None if prediction is None else network_opinion(prediction)
        if self.shelf is None:
            return asked, [], Known(np.zeros((0, 0)), np.zeros(0, np.int64), opinion)
        known = Known(quantities(self.shelf, asked.measured, found), groups(self.shelf, found), opinion)
        return asked, found, known

    def _answered(self, asked: Asked, prediction: Prediction | None) -> Answer | PowderlensError:
        try:
            return self._answer(asked, prediction)
        except PowderlensError as error:
            return error

    def _answer(self, asked: Asked, prediction: Prediction | None) -> Answer:
        deadline = Deadline(self.search.time_limit_s)
        bare = asked.measured
        asked, found, known = self.gathered(asked, prediction, deadline)
        remarks = list(self._remarks)
        if self.shelf is not None and asked.sight.abstains is None and not found:
            first, last = asked.measured.levels[-1].first, asked.measured.last_deg
            nothing = f"no phase of the library has its lines between {first:g} and {last:g} degrees"
            if self.evidence == "library":
                raise InputError(
                    f"{asked.pattern.source or 'pattern'}: {nothing}; measure more, or give another library"
                )
            remarks.append(nothing)
        if deadline.cut:
            remarks.append(
                f"cut short after {deadline.limit_s:g} s: the best so far; a longer time limit may find more"
            )
        calibration = self.calibration
        if self.search.given and found:
            # What is given is there: "none of these" is no question.
            calibration = replace(calibration, unknown=-np.inf, doubt=0.0)
        posterior, abstains = self._doubted(asked, bare, found, weigh(known, calibration), deadline)
        niggli: NDArray[np.float32] | None = None if prediction is None else prediction.niggli
        return write_answer(
            asked,
            found,
            posterior,
            self.shelf,
            evidence=self.evidence,
            model="none" if self.evidence == "library" else self.model.name,
            network_cell=None if niggli is None else niggli[0],
            tells_groups=self.shelf is not None or bool(self._knows & {"space_group", "extinction_class"}),
            calibration=self.calibrated,
            abstains=abstains,
            remarks=remarks,
            standard_weight=None if self.search.standard is None else self.search.standard.weight_fraction,
        )

    def _doubted(
        self, asked: Asked, bare: Measured, found: list[Candidate], posterior: Posterior, deadline: Deadline
    ) -> tuple[Posterior, str | None]:
        """The belief that is left where something is wrong with a pattern, and what that is; `bare` is the pattern
        before the instrument was known.
        """
        if asked.sight.abstains is not None:
            return tempered(posterior, self.calibration, 0.0), asked.sight.abstains
        reason = asked.sight.warnings[0] if asked.sight.warnings else None
        if reason is None and self.shelf is not None and found:
            shelf, weights = self.shelf, self.calibration.vector()
            test = Tested(
                asked.measured,
                bare,
                shelf,
                found,
                lambda measured, some: quantities(shelf, measured, some) @ weights,
                self.calibration.unknown,
                asked.sight.distinct,
                deadline,
            )
            reason = no_anode(test) or other_anode(test) or a_little_off(shelf, found, posterior.known)
        if reason is None:
            return posterior, None
        return tempered(posterior, self.calibration, DOUBTED_SHARE), reason


def _remarks(model: Model, evidence: Evidence, *, calibrated: bool) -> list[str]:
    """What to say of every answer of a network that is not the one the evidence was weighed for."""
    tasks, said = {task.name: task for task in model.weights.tasks}, []
    if not calibrated:
        said.append(f"the probabilities of {model.name} are uncalibrated; `powderlens calibrate` makes them honest")
    if "space_group" in tasks:
        count = tasks["space_group"].outputs
        if count < 230:
            said.append(f"{model.name} knows {count} of the 230 space groups and never names another")
    elif "extinction_class" in tasks:
        said.append(
            f"{model.name} tells extinction classes apart; between groups of one only how common they are decides"
        )
    elif "crystal_system" in tasks:
        end = "no space group is given" if evidence == "network" else "only the library tells groups of one apart"
        said.append(f"{model.name} tells crystal systems apart; {end}")
    else:
        said.append(f"{model.name} says nothing of symmetry; system and group are the library's")
    if "lattice" not in tasks:
        said.append(f"{model.name} gives no cell" + ("" if evidence == "network" else "; it is the best phase's"))
    return said


def identify(
    pattern: Pattern | str | os.PathLike[str],
    *,
    wavelength: str | float | None = None,
    evidence: Evidence = "all",
    model: str | Path = DEFAULT_MODEL,
    search: Search | None = None,
) -> Answer:
    """Identify one measured pattern.

    Network and library are loaded once and kept; a file of weights that has changed is read anew. For many patterns
    make one `Identifier` and call its `identify_many`.

    Args:
        pattern: a `Pattern`, or a file that `read_pattern` reads.
        wavelength: angstrom or an anode line such as "CuKa", when the file does not say it or says it wrongly.
        evidence: "network", "library" or "all".
        model: see `Identifier`.
        search: which libraries, elements and how many phases; see `Search`.

    Returns:
        Ranked crystal systems, space groups, cell and phases with probabilities.

    Raises:
        InputError: unreadable file, no such model, no wavelength.
    """
    if not isinstance(pattern, Pattern):
        pattern = read_pattern(pattern, wavelength=wavelength)
    elif wavelength is not None:
        radiation = parse_radiation(wavelength)
        pattern = replace(pattern, wavelength_A=radiation.wavelength_A, radiation=radiation)
    weights = find_weights(model)
    return _kept(evidence, str(model), weights.stat().st_mtime_ns, search).identify(pattern)


@lru_cache(maxsize=len(EVIDENCE))
def _kept(evidence: Evidence, model: str, changed_ns: int, search: Search | None) -> Identifier:
    return Identifier(evidence, model=model, search=search)
