"""The library that ships: whole, small enough, with references, and nothing in it that may not be there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from powderlens.library.container import content_sha256
from powderlens.library.origins import ORIGINS
from powderlens.library.rows import is_gnome
from powderlens.library.store import PhaseLibrary, shipped


@pytest.fixture(scope="module")
def known() -> PhaseLibrary:
    if not shipped().is_file():
        pytest.skip("no library is there yet; `powderlens library build` makes it")
    return PhaseLibrary.open()


def test_whole_and_small_enough(known: PhaseLibrary) -> None:
    assert content_sha256(known.arrays) == known.sha256
    assert known.path.stat().st_size < 60e6
    assert len(known) > 150_000


def test_every_entry_has_its_identity_and_none_is_of_the_gnome_block(known: PhaseLibrary) -> None:
    every = [identity for i in range(len(known)) for identity in (known.identity(i), *known.folded(i))]
    assert len(every) == len(set(every)) == int(known.determinations.astype(np.int64).sum())
    assert not [identity for identity in every if is_gnome(identity)]
    assert {identity.split(":")[0] for identity in every} <= ORIGINS.keys()


def test_what_was_measured_has_a_reference(known: PhaseLibrary) -> None:
    assert all(known.reference(i) for i in np.flatnonzero(known.measured).tolist())


def test_every_phase_has_key_lines_and_can_be_drawn(known: PhaseLibrary) -> None:
    assert (np.diff(known.key_start.astype(np.int64)) > 0).all()
    for i in np.random.default_rng(5).choice(len(known), 40, replace=False).tolist():
        phase = known.lines(i, 1.5)
        assert phase.space_group == known.space_group[i]
        assert phase.strength.max() > 0


def test_the_notice_names_every_source(root: Path) -> None:
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    for origin in ORIGINS.values():
        assert origin["link"] in notice
    for word in ("CC-BY-4.0", "CC0-1.0", "symmetry was found anew", "folded", "quantised", "GNoME"):
        assert word in notice
