"""What a table of crystals holds, in numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import InputError
from powderlens.crystals.table import CrystalTable
from powderlens.symmetry.groups import SYSTEMS

MANIFEST_FIELDS = (
    "origin", "protocol", "without", "limit_per_source", "crystals_in", "crystals_kept", "rejects", "by_source",
    "each_rule_alone", "statistics_of", "sha256",
)  # fmt: skip


def summary(path: Path) -> dict[str, Any]:
    """Counts of a table, with those of its manifest where it has one.

    Raises:
        InputError: not a table of crystals; or a manifest beside it that is not one.
    """
    table = CrystalTable.load(path)
    groups = Counter(table.space_group.tolist())
    systems = Counter(table.column("crystal_system"))
    types = Counter(table.column("structure_type"))
    volumes, atoms = table.column("volume_A3"), table.column("atoms")
    found: dict[str, Any] = {
        "crystals": len(table),
        "sources": dict(sorted(Counter(table.column("source")).items())),
        "crystal_systems": {system: systems[system] for system in SYSTEMS if systems[system]},
        "space_groups": dict(sorted(groups.items())),
        "extinction_classes": len(set(table.column("extinction_class").tolist())),
        "structure_types": len(types),
        "commonest_types": dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))[:10]),
        "elements": len({element for elements in table.column("elements") for element in elements}),
        "median_volume_A3": round(float(np.median(volumes)), 3) if len(table) else None,
        "median_atoms": float(np.median(atoms)) if len(table) else None,
    }
    manifest = path.with_suffix(".json")
    if manifest.is_file():
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{manifest}: not a manifest ({error}); curate again, or move it away") from None
        found |= {name: content[name] for name in MANIFEST_FIELDS if name in content}
    return found
