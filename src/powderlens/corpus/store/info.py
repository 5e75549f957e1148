"""What `powderlens corpus info` tells of a corpus, of whatever kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from powderlens.corpus.store.manifest import NAME, read_manifest
from powderlens.crystals.info import counted
from powderlens.crystals.table import CrystalTable

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
        found = counted(CrystalTable.load(path / "crystals.parquet"))
        told |= {key: found[key] for key in ("sources", "crystal_systems", "space_groups", "structure_types")}
    return told
