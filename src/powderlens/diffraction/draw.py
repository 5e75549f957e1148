"""Patterns of a structure under a protocol: conditions drawn, lines calculated, noise added, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core import random
from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.crystal.common import common_minerals, crystals_of_every_group
from powderlens.crystal.read import read_structure
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.diffraction.protocol_file import SecondPhases
from powderlens.diffraction.render import RenderBackend, render


@dataclass(frozen=True, eq=False)
class Drawn:
    """Patterns of one crystal.

    Attributes:
        source, name, space_group: of the crystal.
        index: (n,) number of each pattern under the seed.
        intensity: (n, points) on the protocol's grid, the strongest point of each at the protocol's scale.
        records: (n,) their conditions.
        impurities: n names of second phases, empty words where there is none.
        phase: the crystal as it was drawn.
    """

    source: str
    name: str
    space_group: int | None
    index: NDArray[np.int64]
    intensity: NDArray[np.float64]
    records: NDArray[np.void]
    impurities: tuple[str, ...]
    phase: Phase


def prepare(structure: object, protocol: Protocol) -> Phase:
    """A structure ready to be drawn under a protocol.

    Raises:
        InputError: not a structure, or one without reflections where the protocol looks.
    """
    return phase_of(read_structure(structure), **protocol.phase_options)


def second_phases(protocol: Protocol) -> tuple[Phase, ...]:
    """What a protocol mixes in, ready to be drawn: common minerals, or a crystal of every space group; or nothing."""
    if not protocol.wants_impurity:
        return ()
    return _second_phases(protocol.second_phases, tuple(protocol.phase_options.items()))


@lru_cache(maxsize=8)
def _second_phases(which: SecondPhases, options: tuple[tuple[str, Any], ...]) -> tuple[Phase, ...]:
    found = []
    for structure in common_minerals() if which == "common" else crystals_of_every_group():
        try:
            found.append(phase_of(structure, **dict(options)))
        except InputError:
            # None of its spacings is so long: it would not be seen as an impurity either.
            continue
    return tuple(found)


def draw_patterns(
    structure: object,
    protocol: str | Protocol = "lab",
    *,
    count: int = 1,
    seed: int = 0,
    first: int = 0,
    impurities: Sequence[Phase] | None = None,
    backend: RenderBackend = "numba",
) -> Drawn:
    """Patterns of one structure under the conditions of a protocol.

    Args:
        structure: whatever `powderlens.read_structure` takes, or a `Phase` that `prepare` made for this protocol.
        protocol: a name, a file, or a `Protocol`.
        count: how many.
        seed: of conditions and noise; pattern `first + i` is the same whatever the count.
        first: number of the first pattern.
        impurities: second phases to choose from; None takes those that the protocol names, see `second_phases`.
        backend: see `render`.

    Raises:
        InputError: of the structure, the protocol, the seed or the count; no impurity to choose from where one is
            wanted.
    """
    chosen = load_protocol(protocol) if isinstance(protocol, str) else protocol
    if count < 1:
        raise InputError(f"count {count}: at least one pattern must be asked for")
    phase = structure if isinstance(structure, Phase) else prepare(structure, chosen)
    index = first + np.arange(count, dtype=np.int64)
    records = chosen.draw(seed, index)
    pool = second_phases(chosen) if impurities is None else tuple(impurities)
    seconds = pick_impurities(phase, pool, records, seed, index)
    intensity = render(
        [phase] * count, records, chosen.grid, seed=seed, index=index, impurities=seconds, backend=backend
    )
    top = intensity.max(axis=1, keepdims=True)
    if not (top > 0).all():
        raise InputError(f"{phase.source or phase.name}: no line falls on the grid of protocol {chosen.name}")
    return Drawn(
        source=phase.source,
        name=phase.name,
        space_group=phase.space_group,
        index=index,
        intensity=intensity * (chosen.scale / top),
        records=records,
        impurities=tuple("" if second is None else second.name or second.source for second in seconds),
        phase=phase,
    )


def pick_impurities(
    phase: Phase, pool: Sequence[Phase], records: NDArray[np.void], seed: int, index: NDArray[np.int64]
) -> list[Phase | None]:
    """The second phase of each pattern that has one: any of the pool but the crystal itself.

    Raises:
        InputError: the pool is empty and a pattern has an impurity.
    """
    wanted = records["impurity_share"] > 0
    if not wanted.any():
        return [None] * len(records)
    others = [other for other in pool if not (other.source == phase.source and other.name == phase.name)]
    if not others:
        raise InputError(f"{phase.source or phase.name}: no other phase to mix in as an impurity; give one")
    u = random.uniform(seed, index, Purpose.IMPURITY, 1)[:, 0]
    return [others[int(v * len(others))] if mixed else None for v, mixed in zip(u, wanted, strict=True)]


def steps(conditions: Conditions) -> list[tuple[str, NDArray[np.void]]]:
    """How a pattern comes about: records in which one step after the other takes effect, the last being all of them.

    Returns:
        Pairs of what was added and (1,) records: ideal lines, specimen, profile, geometry, background, counting.
    """
    sharp = {"caglioti_w_deg2": 0.0009, "crystallite_size_nm": 1000.0}
    plain = Conditions.of(**sharp)
    made = Conditions(source=conditions.source, profile=plain.profile)
    out = [("ideal lines", to_record(made))]
    for name in ("specimen", "profile", "geometry", "background", "counting"):
        made = Conditions(**{**made.__dict__, name: getattr(conditions, name)})
        out.append((f"+ {name}", to_record(made)))
    return out
