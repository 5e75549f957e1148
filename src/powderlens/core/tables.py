"""What goes with a table on disk: its name, its manifest, and what was left out of it counted by reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write


def check_parquet(path: Path, what: str) -> None:
    """Refuse a name that is not a Parquet file's.

    Args:
        path: of the table.
        what: the sentence that says so, such as "a table of crystals is a Parquet file".

    Raises:
        InputError: the path does not end in `.parquet`.
    """
    if path.suffix != ".parquet":
        raise InputError(f"{path}: {what}; give it a name that ends in .parquet")


def write_beside(path: Path, manifest: Mapping[str, Any], *, ensure_ascii: bool = True) -> None:
    """Write the manifest of a table into the file of its name that ends in `.json`.

    Raises:
        InputError: the disk refuses.
    """
    with atomic_write(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(manifest, indent=2, ensure_ascii=ensure_ascii) + "\n", encoding="utf-8")


def commonest_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by size, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def main_reasons(counts: Mapping[str, int]) -> str:
    """The three commonest reasons why things were left out, in words."""
    return "; ".join(f"{reason} ({n})" for reason, n in Counter(counts).most_common(3)) or "there are none"
