"""Titles and columns of the tables: data/tables.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from powderlens.reproduce.tables.published import read_data
from powderlens.reproduce.tables.table import Column, Row, Table


def laid_out(name: str, rows: Sequence[Row], notes: Sequence[str]) -> Table:
    """A table with the title and the columns that the file has for it.

    Args:
        name: of the table.
        rows: in their order.
        notes: what stands under it.
    """
    layouts = read_data("tables")
    of_table = layouts[name]
    columns = tuple(_columns(of_table["columns"], layouts["sets"]))
    return Table(name, of_table["title"], columns, tuple(rows), tuple(notes))


def _columns(stated: Sequence[str | dict[str, Any]], sets: dict[str, Any]) -> Iterator[Column]:
    for one in stated:
        if not isinstance(one, str):
            yield Column(**one)
        elif one.startswith("@"):
            yield from _columns(sets[one[1:]], sets)
        else:
            yield Column(one)
