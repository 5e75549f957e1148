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

from powderlens import __version__
from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.core.tables import check_parquet, main_reasons, write_beside
from powderlens.corpus.columns import SCHEMAS
from powderlens.crystal.structure import Reject
from powderlens.crystals.columns import equal_lists, parquet_writer
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
SCHEMA = SCHEMAS["patterns"].append(pa.field("conditions", CONDITIONS))


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
    check_parquet(path, "patterns are written as a Parquet table")
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
    with parquet_writer(path, schema) as writer:
        for item in items:
            crystals += 1
            if isinstance(item, Reject):
                reasons[item.reason] += 1
                refused.append({"source": item.source, "reason": item.reason})
                continue
            writer.write_table(_rows(item, schema))
            patterns += len(item.index)
        if patterns == 0:
            raise InputError(f"{path}: not one pattern of {crystals} crystals: {main_reasons(reasons)}")
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
    write_beside(path, manifest)
    return manifest


def _rows(item: Drawn, schema: pa.Schema) -> pa.Table:
    n = len(item.index)
    conditions = [from_record(record).values() for record in item.records]
    columns = [
        pa.array([item.source] * n),
        pa.array([item.name] * n),
        pa.array([item.space_group] * n, pa.int16()),
        pa.array(item.index),
        pa.array(item.impurities),
        equal_lists(item.intensity.astype(np.float32)),
        pa.array(conditions, CONDITIONS),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
