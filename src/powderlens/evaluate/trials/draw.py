"""`draw_trials`: simulated patterns of which the truth is known, each by its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError
from powderlens.core.random import check_seed
from powderlens.diffraction.protocol import Protocol, load_protocol
from powderlens.evaluate.trials.of_minerals import radiations
from powderlens.evaluate.trials.of_phases import known, mixture, single
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.setup import MAX_PHASES, Setup
from powderlens.evaluate.trials.specimen import Loosening
from powderlens.evaluate.trials.spoilt import hump, nanometre, noise, one_line, other_anode, short_range, two_percent
from powderlens.evaluate.trials.trial import KINDS, Kind, Trial
from powderlens.library.store import PhaseLibrary

BLOCK = 32
"""Trials whose conditions are drawn at a time."""

MAKERS: dict[Kind, Callable[[Setup, int, NDArray[np.void]], Trial]] = {
    "known": known,
    "removed": known,
    "mixture": mixture,
    "single": single,
    "noise": noise,
    "hump": hump,
    "one_line": one_line,
    "other_anode": other_anode,
    "nanometre": nanometre,
    "two_percent": two_percent,
    "short_range": short_range,
    "radiations": radiations,
}


def draw_trials(
    phases: PhaseLibrary | Pool,
    kind: Kind,
    count: int,
    seed: int,
    *,
    first: int = 0,
    rows: NDArray[np.int64] | Sequence[int] | None = None,
    protocol: str | Protocol = "lab",
    amcsd: str | Path | None = None,
    loosening: Loosening | None = None,
) -> Iterator[Trial]:
    """Trials of one kind; number `first + i` of a seed is the same alone or among others.

    Each has one phase of the library (`mixture`: two to four; `noise` and `hump`: none), never as its entry stands:
    from another determination where AMCSD is given and has one, else with a strained cell and jittered strengths, see
    `specimen.specimen_of`. Conditions are the protocol's.

    - `known`: with the protocol's own trace of a second phase; `single`: without.
    - `removed`: as `known`; `Trial.hidden` lists what must go from the library.
    - `mixture`: weights of 5 to 95 %, lines by weight over (mass of the cell times its volume).
    - `noise`, `hump`: no crystal. `one_line`: one family of planes and its orders.
    - `other_anode`: of Co, Cr, Fe, Mo or Ag, said to be copper. `nanometre`: 0.154 A for 0.154 nm.
    - `two_percent`: a wavelength 2 % off, measured phases only. `short_range`: one to four lines.
    - `radiations`: the 25 minerals that ship, each under eight scans, see `of_minerals.SCANS`.

    Args:
        phases: a library; or a pool made of it, which keeps from call to call what it found out.
        kind: one of `trial.KINDS`.
        count: how many.
        seed: of all random numbers; kinds share none.
        first: number of the first.
        rows: of the library that may be drawn, such as `pool.held_out(library)`; None is all of them. Not with a pool.
        protocol: that draws the conditions: a name, a file, or a `Protocol`. Its grid must be
            one of copper's K-alpha, the wavelength that is stated.
        amcsd: AMCSD's database, for other determinations.
        loosening: how far a specimen is from its entry; None for 0.3 % and 1.5 % of strain and 0.28 of jitter.

    Yields:
        Trials by number.

    Raises:
        InputError: no such kind, a count or number below 0, a seed or rows out of range; no phase shows lines.
    """
    if kind not in MAKERS:
        raise InputError(f"trials of kind {kind!r}: there are {', '.join(KINDS)}")
    if count < 0 or first < 0:
        raise InputError(f"{count} trials from number {first}: neither can be below 0")
    if isinstance(phases, Pool) and rows is not None:
        raise InputError("rows and a pool: the pool has its own; give the library with rows, or the pool alone")
    check_seed(seed)
    pool = phases if isinstance(phases, Pool) else Pool.of(phases, rows)
    chosen = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    database = None if amcsd is None else Path(amcsd)
    setup = Setup(pool, chosen, kind, seed, database, loosening or Loosening())
    return _drawn(setup, first, count)


def _drawn(setup: Setup, first: int, count: int) -> Iterator[Trial]:
    make = MAKERS[setup.kind]
    for begin in range(first, first + count, BLOCK):
        numbers = range(begin, min(begin + BLOCK, first + count))
        index = np.array([[setup.address(number, at) for at in range(MAX_PHASES)] for number in numbers], np.int64)
        records = setup.protocol.draw(setup.seed, index.ravel()).reshape(index.shape)
        for number, own in zip(numbers, records, strict=True):
            yield make(setup, number, own)
