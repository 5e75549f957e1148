"""The statistics that come with powderlens, and crystals drawn from them as examples of a database."""

import pytest

from powderlens.generate.draw import CrystalGenerator
from powderlens.generate.occupation import Occupation
from powderlens.generate.statistics import CrystalStatistics, shipped_statistics


@pytest.fixture(scope="session")
def shipped() -> CrystalStatistics:
    return shipped_statistics()


@pytest.fixture(scope="session")
def examples(shipped: CrystalStatistics) -> list[Occupation]:
    """120 crystals each of the groups 14, 62 and 225, and ten of group 48."""
    drawn = [
        CrystalGenerator(shipped, seed=9, groups=[group]).crystal(i).occupation
        for group, count in ((14, 120), (62, 120), (225, 120), (48, 10))
        for i in range(count)
    ]
    return [one._replace(structure_type=f"type {len(one.letters)}") for one in drawn]
