"""What a library of phases holds, counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from powderlens.core.errors import InputError
from powderlens.core.tables import commonest_first
from powderlens.library.container import REMEDY, content_sha256
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.groups import SYSTEMS, crystal_system

LACKS = "organic crystals, drugs and metal-organic frameworks"
"""Of what kinds the library that ships has next to nothing."""


def summary(library: PhaseLibrary) -> dict[str, Any]:
    """Counts of a library, what it was made of, and its sources' licences.

    Raises:
        InputError: its content has not the sha256 that its header states.
    """
    if content_sha256(library.arrays) != library.sha256:
        raise InputError(f"{library.path}: damaged, its content has not the sha256 of its header; {REMEDY}")
    prefixes = library.header["prefixes"]
    by_source = np.bincount(library.arrays["source"], minlength=len(prefixes))
    systems = Counter(crystal_system(group) for group in library.space_group.tolist())
    groups = Counter(library.space_group.tolist())
    other = ~np.isnan(library.temperature_K) | ~np.isnan(library.pressure_GPa)
    return {
        "library": library.path.name,
        "sha256": library.sha256,
        "bytes": library.path.stat().st_size,
        "phases": len(library),
        "measured": int(library.measured.sum()),
        "entries": library.header["entries"],
        "sites": len(library.arrays["site_element"]),
        "key_lines": len(library.key_log_d),
        "not_ambient": int(other.sum()),
        "other_group_declared": int(library.doubtful.sum()),
        "space_groups": commonest_first(groups),
        "crystal_systems": {name: systems[name] for name in SYSTEMS if systems[name]},
        "sources": {prefix: int(count) for prefix, count in zip(prefixes, by_source, strict=True)},
        "rejects": library.header["rejects"],
        "made_of": library.header["made_of"],
        "origins": library.header["origins"],
    }
