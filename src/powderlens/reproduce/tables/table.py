"""What a table is, before it is written in any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | float | bool | None
DASH = "–"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in CSV, with the unit; also the key of a row's value.
        head: its name everywhere else; "" where it stands in CSV alone.
        form: format of its numbers.
        error: key of the value that stands behind the number, after ±.
        group: stands above the heads of neighbouring columns that share it.
        wide: left out of the format "text", which has no room.
        section: the only section where it is shown; "" for all.
    """

    key: str
    head: str = ""
    form: str = ""
    error: str = ""
    group: str = ""
    wide: bool = False
    section: str = ""


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        values: by the key of their column.
        section: that it stands in.
        hidden: it stands in CSV alone.
        marks: words for a reader in the place of the dash, by the key of the column, where no value is wanted.
    """

    values: Mapping[str, Value]
    section: str = ""
    hidden: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: as in `powderlens table NAME`.
        title: one line.
        columns: in their order.
        rows: in their order; those of a section follow each other.
        notes: what stands under it, a sentence or two each.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    def shown(self, section: str, *, wide: bool) -> list[Column]:
        """The columns of a section in a format for people."""
        return [one for one in self.columns if one.head and (wide or not one.wide) and one.section in ("", section)]

    def sections(self) -> list[tuple[str, list[Row]]]:
        """Title and visible rows of each section, in order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            if not row.hidden:
                found.setdefault(row.section, []).append(row)
        return list(found.items())


def cell(row: Row, column: Column) -> str:
    """What a reader sees of a value; a dash where there is none."""
    value = row.values.get(column.key)
    if value is None:
        return row.marks.get(column.key, DASH)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = format(value, "" if isinstance(value, str) else column.form)
    error = row.values.get(column.error)
    return text if error is None else f"{text} ± {error:{column.form.lstrip('+')}}"


def is_number(rows: Sequence[Row], column: Column) -> bool:
    """Whether a column holds numbers."""
    values = [row.values.get(column.key) for row in rows]
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values) or bool(column.form)


Format = Literal["text", "md", "csv", "latex"]
