"""Crystals that ship with powderlens to be mixed in as a second phase: common minerals, and one of every group."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from powderlens.crystal.formats.cif import read_cif
from powderlens.crystal.structure import Structure
from powderlens.symmetry.wyckoff import operators, wyckoff_positions


@lru_cache(maxsize=1)
def common_minerals() -> tuple[Structure, ...]:
    """Twenty-five measured structures, quartz and calcite among them; sources in `data/common/SOURCES.md`."""
    folder = Path(str(files("powderlens.crystal") / "data" / "common"))
    return tuple(read_cif(path) for path in sorted(folder.glob("*.cif")))


@lru_cache(maxsize=1)
def crystals_of_every_group() -> tuple[Structure, ...]:
    """230 synthetic crystals, one of each space group, in the standard setting; `data/groups.json` says from where."""
    text = (files("powderlens.crystal") / "data" / "groups.json").read_text(encoding="utf-8")
    return tuple(_of_sites(**row) for row in json.loads(text)["crystals"])


def _of_sites(group: int, cell: list[float], sites: list[list[str | float]]) -> Structure:
    positions = {position.letter: position for position in wyckoff_positions(group)}
    atoms = [positions[str(letter)].sites(np.array(xyz, float)) for _, letter, *xyz in sites]
    rotations, translations = operators(group)
    return Structure.from_cell(
        cell,
        [str(element) for (element, *_), here in zip(sites, atoms, strict=True) for _ in here],
        np.concatenate(atoms),
        rotations=rotations,
        translations=translations,
        space_group=group,
        name=f"synthetic, group {group}",
        source=f"powderlens:group-{group}",
    )
