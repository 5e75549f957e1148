"""Simulated patterns as one Parquet table, with the protocol, the seed and every condition that made them.

A row is a pattern: where its crystal came from, its number under the seed, its intensities on the protocol's grid and
its conditions field by field. The file's own metadata hold the protocol's text, the grid and the versions, so that the
table explains itself; a manifest (`.json`) beside it adds the sha256 and what was refused, by reason and by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256
from powderlens.crystal.structure import Reject
from powderlens.diffraction.conditions import FIELDS, Conditions, from_record
from powderlens.diffraction.draw import Drawn
from powderlens.diffraction.protocol import Protocol

_PLAIN = Conditions().values()


def _arrow_type(name: str) -> pa.DataType:
    limits, plain = FIELDS[name][1], _PLAIN[name]
    if limits.words:
        return pa.string()
    if limits.rows:
        return pa.list_(pa.list_(pa.float64()))
    if limits.items:
        return pa.list_(pa.int64() if name == "texture_axis" else pa.float64())
    if isinstance(plain, bool):
        return pa.bool_()
    return pa.int64() if isinstance(plain, int) else pa.float64()


CONDITIONS = pa.struct([(name, _arrow_type(name)) for name in FIELDS])
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("name", pa.string()),
        ("space_group", pa.int16()),
        ("index", pa.int64()),
        ("impurity", pa.string()),
        ("intensity", pa.list_(pa.float32())),
        ("conditions", CONDITIONS),
    ]
)


def write_patterns(
    items: Iterable[Drawn | Reject], path: Path, *, protocol: Protocol, seed: int, command: str = ""
) -> dict[str, Any]:
    """Write the table whole or not at all, and its manifest.

    Args:
        items: patterns of one crystal after the other, and crystals that gave none.
        path: ends in `.parquet`.
        protocol: what they were drawn from.
        seed: of all of them.
        command: how to make the table again, for the manifest.

    Returns:
        The manifest.

    Raises:
        InputError: another extension, a place that cannot be written to, or not one pattern.
    """
    if path.suffix != ".parquet":
        raise InputError(f"{path}: patterns are written as a Parquet table; give it a name that ends in .parquet")
    about = {
        "protocol": protocol.name,
        "protocol_text": protocol.text,
        "seed": seed,
        "grid": protocol.grid.__dict__,
        "axis": protocol.axis,
        "scale": protocol.scale,
        "powderlens": __version__,
    }
    schema = SCHEMA.with_metadata({"powderlens": json.dumps(about)})
    reasons: Counter[str] = Counter()
    refused: list[dict[str, str]] = []
    patterns = crystals = 0
    with atomic_write(path) as aside:
        with pq.ParquetWriter(aside, schema, compression="zstd") as writer:
            for item in items:
                crystals += 1
                if isinstance(item, Reject):
                    reasons[item.reason] += 1
                    refused.append({"source": item.source, "reason": item.reason})
                    continue
                writer.write_table(_rows(item, schema))
                patterns += len(item.index)
        if patterns == 0:
            why = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3)) or "there are none"
            raise InputError(f"{path}: not one pattern of {crystals} crystals: {why}")
    manifest: dict[str, Any] = {
        **{key: value for key, value in about.items() if key != "protocol_text"},
        "command": command,
        "crystals_in": crystals,
        "crystals_drawn": crystals - len(refused),
        "patterns": patterns,
        "rejects": dict(reasons.most_common()),
        "refused": refused,
        "sha256": file_sha256(path),
    }
    with atomic_write(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def _rows(item: Drawn, schema: pa.Schema) -> pa.Table:
    n, points = item.intensity.shape
    flat = pa.array(item.intensity.astype(np.float32).ravel())
    intensity = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * points), flat)
    conditions = [from_record(record).values() for record in item.records]
    columns = [
        pa.array([item.source] * n),
        pa.array([item.name] * n),
        pa.array([item.space_group] * n, pa.int16()),
        pa.array(item.index),
        pa.array(item.impurities),
        intensity,
        pa.array(conditions, CONDITIONS),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
