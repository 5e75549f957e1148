"""Columns of the tables that a corpus, an export or a reflection table consists of; `columns.toml` lists them."""

from __future__ import annotations

from powderlens.crystals.columns import read_schemas

SCHEMAS = read_schemas(__package__)
