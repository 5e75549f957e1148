"""Patterns of a structure under a protocol: addressed by number, mixed as asked, refused where nothing can be seen."""

import numpy as np
import pytest

import powderlens
from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals, crystals_of_every_group
from powderlens.crystal.label import find_symmetry
from powderlens.diffraction.conditions import Conditions, from_record
from powderlens.diffraction.draw import draw_patterns, pick_impurities, prepare, second_phases, steps
from powderlens.diffraction.protocol import load_protocol, parse_protocol
from powderlens.diffraction.render import render

QUARTZ = "examples/quartz.cif"


def test_pattern_i_is_the_same_whatever_the_count() -> None:
    many = draw_patterns(QUARTZ, "lab", count=6, seed=7)
    late = draw_patterns(QUARTZ, "lab", count=2, seed=7, first=4)
    assert late.index.tolist() == [4, 5]
    assert late.intensity.tobytes() == many.intensity[4:].tobytes()
    assert late.impurities == many.impurities[4:]
    assert draw_patterns(QUARTZ, "lab", seed=8).intensity.tobytes() != many.intensity[:1].tobytes()


@pytest.mark.parametrize("name", ["lab", "simxrd", "alphadiffract"])
def test_the_strongest_point_has_the_protocols_scale(name: str) -> None:
    protocol = load_protocol(name)
    drawn = draw_patterns(QUARTZ, protocol, count=3, seed=1)
    assert drawn.intensity.shape == (3, protocol.grid.points)
    assert drawn.intensity.max(axis=1) == pytest.approx(np.full(3, protocol.scale))
    assert (drawn.space_group, drawn.source) == (154, "cif:quartz.cif")


def test_impurities_come_from_the_pool_and_are_never_the_crystal_itself() -> None:
    protocol = load_protocol("lab")
    pool = second_phases(protocol)
    assert 20 <= len(pool) <= len(common_minerals()) == 25
    quartz = next(phase for phase in pool if phase.name == "Quartz")
    index = np.arange(600)
    picked = pick_impurities(quartz, pool, protocol.draw(3, index), 3, index)
    names = {second.name for second in picked if second is not None}
    assert len(names) == len(pool) - 1
    assert "Quartz" not in names
    with pytest.raises(InputError, match="no other phase to mix in as an impurity"):
        pick_impurities(quartz, [quartz], protocol.draw(3, index), 3, index)


def test_an_impurity_of_a_random_space_group() -> None:
    """Every crystal has the group that it stands for, and a protocol that asks for them picks among them all."""
    crystals = crystals_of_every_group()
    assert [one.space_group for one in crystals] == list(range(1, 231))
    for one in crystals[::23]:
        assert find_symmetry(one).number == one.space_group
    protocol = load_protocol("ml4pxrds-measured")
    pool = second_phases(protocol)
    assert [phase.space_group for phase in pool] == list(range(1, 231))
    index = np.arange(2000)
    picked = pick_impurities(prepare(QUARTZ, protocol), pool, protocol.draw(3, index), 3, index)
    assert len({second.space_group for second in picked if second is not None}) > 225
    unheeded = protocol.text.replace("impurity_share = { uniform = [0.0, 0.05] }", "impurity_share = 0.0")
    with pytest.raises(InputError, match="second_phases = 'every-group' has no effect"):
        parse_protocol(unheeded)


def test_a_chosen_impurity_is_seen() -> None:
    protocol = load_protocol("ml4pxrds-measured")
    halite = prepare(next(one for one in common_minerals() if one.name == "Halite"), protocol)
    drawn = draw_patterns(QUARTZ, protocol, count=4, seed=2, impurities=[halite])
    assert set(drawn.impurities) == {"Halite"}


def test_steps_end_with_the_pattern_itself() -> None:
    protocol = load_protocol("lab")
    drawn = draw_patterns(QUARTZ, protocol, count=1, seed=11, impurities=[prepare(common_minerals()[0], protocol)])
    records = steps(from_record(drawn.records[0]))
    assert [name for name, _ in records] == [
        "ideal lines", "+ specimen", "+ profile", "+ geometry", "+ background", "+ counting",
    ]  # fmt: skip
    assert from_record(records[-1][1][0]) == from_record(drawn.records[0])
    last = render([drawn.phase], records[-1][1], protocol.grid, seed=11, impurities=[None])[0]
    first = render([drawn.phase], records[0][1], protocol.grid, seed=11)[0]
    assert np.abs(last - first).max() > 0.05


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="count 0: at least one pattern"):
        draw_patterns(QUARTZ, "lab", count=0)
    with pytest.raises(InputError, match="seed -1: give a whole number"):
        draw_patterns(QUARTZ, "lab", seed=-1)
    with pytest.raises(InputError, match="no protocol 'labb'; there are"):
        draw_patterns(QUARTZ, "labb")


def test_public_names() -> None:
    assert powderlens.draw_patterns is draw_patterns
    assert powderlens.load_protocol("lab").name == "lab"
    assert powderlens.Conditions is Conditions
