"""DIF files: calculated lines of a mineral, as AMCSD and RRUFF publish them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import InputError

MAX_BYTES = 10_000_000
_CELL = re.compile(r"CELL PARAMETERS:\s*((?:[\d.]+\s+){5}[\d.]+)")
_GROUP = re.compile(r"SPACE GROUP:[ \t]*(\S[^\r\n]*)")
_WAVELENGTH = re.compile(r"X-RAY WAVELENGTH:\s*([\d.]+)")
_SAMPLE = re.compile(r"powder pattern for\s+([RX]\d{6})")
_TABLE = re.compile(r"2-THETA\s+INTENSITY\s+D-SPACING")


@dataclass(frozen=True, eq=False)
class Dif:
    """What a DIF file says.

    Attributes:
        name: of the mineral.
        sample: RRUFF's number of the sample whose cell this is, such as "R050374".
        cell: a, b, c in A and alpha, beta, gamma in degrees.
        space_group: its symbol, as written.
        wavelength_A: of the angles, A.
        two_theta_deg: (n,) rising.
        intensity: (n,) of the lines, the strongest about 100.
        head: the text before the lines.
    """

    name: str
    sample: str | None
    cell: tuple[float, ...]
    space_group: str
    wavelength_A: float
    two_theta_deg: NDArray[np.float64]
    intensity: NDArray[np.float64]
    head: str


def is_dif(path: Path) -> bool:
    """Whether a file begins like a DIF file."""
    try:
        with open(path, "rb") as handle:
            return _TABLE.search(handle.read(20_000).decode("latin-1")) is not None
    except OSError:
        return False


def read_dif(path: Path) -> Dif:
    """Read a DIF file; of one with several minerals, the first.

    Raises:
        InputError: it cannot be read, lacks one of cell, space group and wavelength, or has no lines.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB, too large for a DIF file")
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    table = _TABLE.search(text)
    if table is None:
        raise InputError(f"{path}: not a DIF file, it has no table of 2-THETA, INTENSITY and D-SPACING")
    head = text[: table.start()]
    found = {name: pattern.search(head) for name, pattern in _WANTED.items()}
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise InputError(f"{path}: a DIF file without its {missing[0]}")
    cell, group, wavelength = (match[1].strip() for match in found.values() if match is not None)
    sample = _SAMPLE.search(head)
    lines = _lines(text[table.end() :], path)
    return Dif(
        name=next((line.strip() for line in head.splitlines() if line.strip()), ""),
        sample=None if sample is None else sample[1],
        cell=tuple(_number(value, path) for value in cell.split()),
        space_group=group,
        wavelength_A=_number(wavelength, path),
        two_theta_deg=lines[:, 0],
        intensity=lines[:, 1],
        head=head.strip(),
    )


_WANTED = {"cell parameters": _CELL, "space group": _GROUP, "wavelength": _WAVELENGTH}


def _lines(text: str, path: Path) -> NDArray[np.float64]:
    rows: list[tuple[float, float]] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 3 or not all(re.fullmatch(r"-?\d*\.?\d+", word) for word in words[:3]):
            if rows:
                break
            continue
        rows.append((float(words[0]), float(words[1])))
    lines = np.array(rows).reshape(-1, 2)
    inside = (lines[:, 0] > 0) & (lines[:, 0] < 180) & (lines[:, 1] > 0)
    if not inside.any():
        raise InputError(f"{path}: a DIF file without lines")
    lines = lines[inside]
    return lines[np.argsort(lines[:, 0], kind="stable")]


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}: {text!r} is not a number") from None
