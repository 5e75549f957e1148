"""`Protocol`: a named distribution over `Conditions`, read from a TOML file that is checked when it is loaded.

docs/PROTOCOLS.md describes the file. The shipped ones lie in `protocols/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.named_files import find_file, names_in, read_text
from powderlens.core.random import check_seed
from powderlens.diffraction.conditions import Conditions, from_record
from powderlens.diffraction.protocol_file import Meaning, Plan, SecondPhases, read_protocol_file
from powderlens.diffraction.scattering import Table
from powderlens.pattern.grid import Grid

_FOLDER = Path(str(files("powderlens.diffraction") / "protocols"))


@dataclass(frozen=True, eq=False)
class Protocol:
    """A named distribution over conditions, with the grid that its patterns are drawn on.

    Attributes:
        name, summary: what it is called, and what it is for.
        source: where it comes from.
        grid: the points of its patterns.
        axis: "two_theta" or "d", in which patterns are written; drawn is always on `grid`.
        scale: value of the strongest point of written patterns.
        deviations: where it departs from its source, and why.
        form_factors: table of form factors, see `scattering.form_factors`.
        dispersion_wavelength_A: wavelength for f' and f'', A; None for none.
        d_min_A: smallest spacing, in the crystal as given, that any of its conditions reaches.
        second_phases: which crystals are mixed in, see `draw.second_phases`.
        wants_impurity: some of its patterns hold a second phase.
        wants_offsets: some of its patterns move the atoms.
        text: the file, as it was read.
    """

    name: str
    summary: str
    source: str
    grid: Grid
    axis: str
    scale: float
    deviations: tuple[str, ...]
    form_factors: Table
    dispersion_wavelength_A: float | None
    d_min_A: float
    second_phases: SecondPhases
    wants_impurity: bool
    wants_offsets: bool
    text: str
    _origin: str
    _plan: Plan

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_protocol, (self.text, self._origin)

    def __repr__(self) -> str:
        return f"Protocol({self.name!r})"

    @property
    def phase_options(self) -> dict[str, Any]:
        """How `phase.phase_of` prepares a crystal for it."""
        return {
            "d_min_A": self.d_min_A,
            "dispersion_wavelength_A": self.dispersion_wavelength_A,
            "table": self.form_factors,
            "offsets": self.wants_offsets,
        }

    def to_toml(self) -> str:
        """The file's text, for what was made with it."""
        return self.text

    def draw(self, seed: int, count: int | NDArray[np.int64], first: int = 0) -> NDArray[np.void]:
        """Conditions of the patterns `first` to `first + count - 1` of a seed, or of any.

        Args:
            seed: of the whole set of patterns.
            count: how many, or the (b,) numbers of the patterns wanted.
            first: number of the first one; 0 with an array.

        Returns:
            (b,) records of `conditions.RECORD`; those of a pattern do not depend on the others.

        Raises:
            InputError: a seed, count or number below 0.
        """
        if isinstance(count, int | np.integer):
            if count < 0:
                raise InputError(f"count {count}: must not be negative")
            index = first + np.arange(count, dtype=np.int64)
        else:
            index = first + np.asarray(count, np.int64)
        if index.size and index.min() < 0:
            raise InputError(f"pattern {index.min()}: patterns are numbered from 0")
        return self._plan.records(check_seed(seed), index)

    def conditions(self, seed: int, index: int = 0) -> Conditions:
        """The conditions of one pattern."""
        return from_record(self.draw(seed, 1, index)[0])


def protocol_names() -> list[str]:
    """The shipped protocols."""
    return names_in(_FOLDER)


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by name, or any by the path of its file (ending in .toml).

    Raises:
        InputError: no such protocol, or something in it cannot be used; one line with file, field, value and limit.
    """
    path = name_or_path if isinstance(name_or_path, Path) else find_file(name_or_path, _FOLDER, "protocol")
    return _shipped(path) if path.parent == _FOLDER else parse_protocol(read_text(path), str(name_or_path))


@cache
def _shipped(path: Path) -> Protocol:
    return parse_protocol(read_text(path), path.name)


def parse_protocol(text: str, origin: str = "protocol") -> Protocol:
    """A protocol from the text of its file.

    Args:
        text: TOML.
        origin: name of the file, for messages.

    Raises:
        InputError: as `load_protocol`.
    """
    try:
        file = read_protocol_file(text)
        meaning = Meaning(file)
        plan = meaning.plan()
        wants_impurity = meaning.top("impurity_share") > 0
        if file.second_phases != "common" and not wants_impurity:
            raise InputError(
                f"second_phases = {file.second_phases!r} has no effect: specimen.impurity_share is 0; leave it out"
            )
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    return Protocol(
        name=file.name,
        summary=file.summary,
        source=file.citation,
        grid=meaning.grid,
        axis=file.axis,
        scale=file.scale,
        deviations=file.deviations,
        form_factors=file.scattering.form_factors,
        dispersion_wavelength_A=meaning.grid.wavelength_A if file.scattering.dispersion else None,
        d_min_A=meaning.d_min_A(),
        second_phases=file.second_phases,
        wants_impurity=wants_impurity,
        wants_offsets=meaning.top("thermal_offset_A") > 0,
        text=text,
        _origin=origin,
        _plan=plan,
    )
