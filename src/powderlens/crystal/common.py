"""The common minerals that ship with powderlens: what an impurity is likely to be."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from powderlens.crystal.formats.cif import read_cif
from powderlens.crystal.structure import Structure


@lru_cache(maxsize=1)
def common_minerals() -> tuple[Structure, ...]:
    """Twenty-five measured structures, quartz and calcite among them; sources in `data/common/SOURCES.md`."""
    folder = Path(str(files("powderlens.crystal") / "data" / "common"))
    return tuple(read_cif(path) for path in sorted(folder.glob("*.cif")))
