"""What `powderlens corpus info` tells of a corpus, of whatever kind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from powderlens.corpus.store.manifest import NAME, read_manifest
from powderlens.crystals.table import CrystalTable
from powderlens.symmetry.groups import SYSTEMS, crystal_system

_TOLD = (
    "name", "kind", "crystals_in", "crystals", "per_crystal", "patterns", "families", "seed", "redrawn", "rejects",
    "grid", "scale", "split", "source", "versions", "command", "sha256",
)  # fmt: skip


def corpus_summary(path: Path) -> dict[str, Any]:
    """What a corpus holds; plain values, for JSON.

    Raises:
        InputError: no corpus, a newer version, a missing or changed file.
    """
    manifest = read_manifest(path)
    told: dict[str, Any] = {key: manifest[key] for key in _TOLD if key in manifest}
    if "protocol" in manifest:
        told["protocol"] = manifest["protocol"]["name"]
    told["files"] = {name: sums["bytes"] for name, sums in manifest["files"].items()}
    told["bytes"] = sum(told["files"].values()) + (path / NAME).stat().st_size
    if "crystals.parquet" in manifest["files"]:
        crystals = CrystalTable.load(path / "crystals.parquet")
        groups = Counter(crystals.space_group.tolist())
        systems: Counter[str] = Counter()
        for group, count in groups.items():
            systems[crystal_system(group)] += count
        told["sources"] = dict(sorted(Counter(crystals.column("source")).items()))
        told["crystal_systems"] = {name: systems[name] for name in SYSTEMS if systems[name]}
        told["space_groups"] = dict(sorted(groups.items()))
        told["structure_types"] = len(set(crystals.column("structure_type")))
    return told
