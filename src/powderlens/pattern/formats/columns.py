"""Columns of numbers in a text file: xy, xye, dat, txt, csv, chi and the RRUFF text format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import PatternError
from powderlens.pattern.formats.axis import are_names, find_columns
from powderlens.pattern.formats.header import header_metadata, stated_wavelength, strip_comment_sign
from powderlens.pattern.formats.scan import Scan

_COMMENT = ("#", ";", "!", "'", "//")
_IS_NUMBER = re.compile(
    r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[ed][+-]?\d{1,4})?|[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE
)
_COMMA_NUMBER = re.compile(r"[+-]?\d+(?:,\d+)?(?:[eEdD][+-]?\d+)?")
_SAMPLE_ROWS = 500


@dataclass
class _Lines:
    """The file's lines by their kind; rows keep their line numbers, counted from 1."""

    comments: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    rows: list[tuple[int, str]] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    single: int = 0


def parse_columns(text: str, who: str, extension: str) -> Scan:
    """Read the two columns of a scan, and the third where it is an uncertainty.

    Columns are separated by blanks, tabs, commas or semicolons. A comma is read as the decimal sign only where
    it can be nothing else (columns separated by blanks, tabs or semicolons, and no point in any number). Lines
    that start with `#`, `;`, `!`, `'` or `//` are comments, also between the rows; lines of words before the
    first row are a header; words after the last row a footer. A header that names the columns is believed.

    Args:
        text: the whole file.
        who: the file's name, for messages.
        extension: lower case with its dot; ".xye" says that the third column is the uncertainty.

    Returns:
        The columns in the file's own order; the wavelength where header or comments state one.

    Raises:
        PatternError: no numbers, one column, ragged rows, text between the rows, a missing value, or an axis
            that the header names and that is not 2theta.
    """
    lines = _sort_lines(text, who)
    said = lines.comments + lines.header
    stepped = _start_step_end(lines.rows)
    if stepped is not None:
        angles, intensities = stepped
        note = {"note on angles": "from start, step and end in the first row of numbers"}
        return Scan(
            two_theta_deg=angles,
            intensity=intensities,
            wavelength_A=stated_wavelength(said),
            metadata={**header_metadata(said), **note},
        )
    separator, decimal_comma = _dialect([row for _, row in lines.rows[:_SAMPLE_ROWS]], who)
    table = _table(lines.rows, separator, decimal_comma, who)
    names = _names(lines, separator, table.shape[1])
    metadata = header_metadata(said)
    chosen = find_columns(names, table, who, extension, metadata)
    sigma = None if chosen.sigma is None else table[:, chosen.sigma].copy()
    if sigma is not None and not (np.isfinite(sigma).all() and (sigma > 0).all()):
        metadata["note on uncertainties"] = "not all positive numbers; left out"
        sigma = None
    return Scan(
        two_theta_deg=table[:, chosen.angle].copy(),
        intensity=table[:, chosen.intensity].copy(),
        sigma=sigma,
        wavelength_A=stated_wavelength(said),
        metadata=metadata,
    )


def _sort_lines(text: str, who: str) -> _Lines:
    """Comments, header, rows; refuses text between rows and files without two columns of numbers."""
    lines = _Lines()
    stray: tuple[int, str] | None = None
    for number, raw in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = raw.strip(" \t\r\f\v\x00\x1a\ufeff")
        if not line:
            continue
        if line.startswith(_COMMENT):
            lines.comments.append(line)
            if not lines.rows:
                lines.above.append(line)
            if line.upper().startswith("##END"):
                break
            continue
        row = line.replace('"', "") if '"' in line else line
        if "#" in row:
            row = row[: row.index("#")].rstrip()
        fields = row.replace(",", " ").replace(";", " ").split()
        if not all(_IS_NUMBER.fullmatch(f) for f in fields):
            fields = []
        if len(fields) >= 2 or (fields and lines.rows):
            if stray:
                raise PatternError(
                    f"{who}: line {stray[0]} ({stray[1][:40]!r}) stands between rows of numbers; "
                    "keep one scan and remove other text"
                )
            lines.rows.append((number, row))
        elif lines.rows:
            stray = stray or (number, line)
        else:
            lines.single += len(fields)
            lines.header.append(line)
            lines.above.append(line)
    if stray and _looks_like_data(stray[1]):
        raise PatternError(f"{who}: line {stray[0]} ({stray[1][:40]!r}) is not a row of numbers; remove or mend it")
    if not lines.rows:
        if lines.single > 1:
            raise PatternError(f"{who}: one column of numbers; two are needed (2theta in degrees, intensity)")
        raise PatternError(f"{who}: holds no rows of numbers; two columns are needed (2theta in degrees, intensity)")
    return lines


def _looks_like_data(line: str) -> bool:
    """A last line that begins with a number and holds something that is none: a damaged row, not a footer."""
    return bool(re.match(r"[+-]?\.?\d", line))


def _dialect(sample: list[str], who: str) -> tuple[str | None, bool]:
    """(separator, decimal comma) of the rows; None separates at blanks and tabs."""
    has_point = any("." in row for row in sample)
    if any(";" in row for row in sample):
        has_comma = any("," in row for row in sample)
        if has_comma and has_point:
            raise PatternError(f"{who}: both points and commas in numbers ({sample[0][:40]!r}); write 1234.5")
        return ";", has_comma
    if not any("," in row for row in sample):
        return None, False
    if not has_point:
        split = [row.split() for row in sample]
        if all(len(fields) >= 2 and all(_COMMA_NUMBER.fullmatch(f) for f in fields) for fields in split):
            return None, True
        if all(row.strip(", ").count(",") == 3 for row in sample):
            raise PatternError(
                f"{who}: cannot tell decimal commas from separators ({sample[0][:40]!r}); "
                "separate the columns with ; or write decimal points"
            )
    return ",", False


def _table(rows: list[tuple[int, str]], separator: str | None, decimal_comma: bool, who: str) -> NDArray[np.float64]:
    """(rows, columns) numbers; refuses ragged rows and missing values with their line."""
    values: list[list[float]] = []
    width = 0
    for number, row in rows:
        fields = row.strip().rstrip(separator).split(separator) if separator else row.split()
        try:
            numbers = [float(f.replace(",", ".") if decimal_comma else f) for f in fields]
        except ValueError:
            numbers = [_to_float(f, decimal_comma, number, row, who) for f in fields]
        if not values:
            width = len(numbers)
        elif len(numbers) != width:
            raise PatternError(
                f"{who}: line {number} has {len(numbers)} values but line {rows[0][0]} has {width}; "
                "every row needs the same columns (2theta in degrees, intensity)"
            )
        values.append(numbers)
    if width < 2:
        raise PatternError(f"{who}: one column of numbers; two are needed (2theta in degrees, intensity)")
    return np.array(values, dtype=float)


def _to_float(word: str, decimal_comma: bool, number: int, row: str, who: str) -> float:
    word = word.strip()
    if not word:
        raise PatternError(f"{who}: line {number} ({row[:40]!r}) lacks a value; fill it in or remove the line")
    word = word.replace(",", ".") if decimal_comma else word
    if not _IS_NUMBER.fullmatch(word):
        raise PatternError(
            f"{who}: line {number}: {word[:40]!r} is not a number; if the decimal sign is a comma, separate the "
            "columns with ; or tabs"
        )
    return float(word.lower().replace("d", "e") if word.lower()[-1].isdigit() else word)


def _start_step_end(rows: list[tuple[int, str]]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Angles and intensities of a DBWS or FullProf file: start, step, end, then the intensities, many to a row.

    Only where the number of intensities is exactly what start, step and end say.
    """
    first = rows[0][1].split()
    if len(first) != 3 or len(rows) < 3 or len(rows[1][1].split()) < 4 or "," in rows[1][1]:
        return None
    try:
        start, step, end = (float(word) for word in first)
        values: NDArray[np.float64] = np.array([word for _, row in rows[1:] for word in row.split()], dtype=float)
    except ValueError:
        return None
    if not (np.isfinite([start, step, end]).all() and step > 0 and end > start):
        return None
    if abs((end - start) / step + 1 - len(values)) > 0.01:
        return None
    angles: NDArray[np.float64] = start + step * np.arange(len(values), dtype=float)
    return angles, values


def _names(lines: _Lines, separator: str | None, width: int) -> list[str]:
    """Column names from one of the last lines above the first row; empty strings when there are none.

    A line counts when it splits into as many words as there are columns, none of them a number or a key with
    its value, and at least one is a word for an angle, an intensity or another axis.
    """
    if len(lines.header) >= 3 and re.fullmatch(r"\d+", lines.header[-1]) and width == 2:
        return lines.header[-3:-1]  # FIT2D's chi: title, axis, ordinate, number of points
    for raw in reversed(lines.above[-3:]):
        line = strip_comment_sign(raw).replace('"', "")
        if "=" in line or ":" in line:
            continue
        splits = [line.split(separator)] if separator else []
        for candidate in (*splits, line.split("\t"), line.split(";"), line.split(","), line.split()):
            fields = [f.strip() for f in candidate if f.strip()]
            spoken = raw.startswith(_COMMENT) or candidate == line.split()
            numbers = any(_IS_NUMBER.fullmatch(f) for f in fields)
            if len(fields) == width and not numbers and are_names(fields, spoken):
                return fields
    return [""] * width
