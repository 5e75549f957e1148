"""Crystals drawn anew: what is asked for changes, everything else stays, and the group is the same."""

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.label import find_symmetry
from powderlens.generate.draw import CrystalGenerator, SyntheticCrystal
from powderlens.generate.randomise import What, check_what, randomised
from powderlens.generate.statistics import CrystalStatistics


@pytest.fixture(scope="module")
def crystals(shipped: CrystalStatistics) -> list[SyntheticCrystal]:
    generator = CrystalGenerator(shipped, seed=8, groups=[2, 14, 62, 136, 148, 166, 186, 217])
    return [generator.crystal(i) for i in range(12)]


@pytest.mark.parametrize("what", ["nothing", "coordinates", "lattice", "both"])
def test_only_what_is_asked_for_changes(shipped: CrystalStatistics, crystals: list[SyntheticCrystal], what: What):
    for i, crystal in enumerate(crystals):
        before = crystal.structure()
        after = randomised(crystal.occupation, before.frac, what, shipped, seed=1, index=i)
        assert after is not None
        assert after.elements == before.elements
        assert find_symmetry(after).number == before.space_group
        same = np.allclose(after.lattice, before.lattice), np.allclose(after.frac, before.frac)
        assert same == (what in ("nothing", "coordinates"), what in ("nothing", "lattice"))
        again = randomised(crystal.occupation, before.frac, what, shipped, seed=1, index=i)
        assert again is not None
        assert np.array_equal(after.lattice, again.lattice)
        assert np.array_equal(after.frac, again.frac)


def test_a_group_that_cannot_be_kept_gives_none(shipped: CrystalStatistics, crystals: list[SyntheticCrystal]):
    one = crystals[0].occupation
    alike = one._replace(elements=("O",) * len(one.elements), space_group=1, letters=("a",), cell=one.cell)
    assert (
        randomised(alike._replace(elements=("O",)), np.zeros((1, 3)), "coordinates", shipped, seed=0, index=0) is None
    )


def test_other_words_are_refused():
    assert check_what("both") == "both"
    with pytest.raises(InputError, match="randomise 'everything': choose nothing, coordinates, lattice or both"):
        check_what("everything")
