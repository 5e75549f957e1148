"""opXRD's files: one JSON object a pattern, whose label and metadata are JSON texts inside it.

Source of the layout: the packages opxrd 0.1.0 and xrdpattern 0.9.9 (`xrd/data.py`, `serialization.py`), and the example
that xrdpattern carried at 0.9.1 and 0.9.2; Hollarek et al., "opXRD: Open Experimental Powder X-ray Diffraction
Database" (2025), arXiv:2503.05577.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from powderlens.core.errors import InputError
from powderlens.pattern.formats.header import combine_doublet
from powderlens.pattern.formats.stated import Stated
from powderlens.pattern.pattern import Pattern

MAX_BYTES = 200_000_000


def read_opxrd(path: Path) -> tuple[Pattern, Stated, dict[str, Any]]:
    """A pattern, what is stated of its phase, and everything else that the file says.

    A sample of several phases has no single group or cell: its phases stay in the rest, and nothing is stated.

    Raises:
        InputError: not such a file, a simulated pattern, or not a powder pattern.
    """
    said = _object(path)
    label, metadata = _inner(said.get("label"), path), _inner(said.get("metadata"), path)
    if _true(label.get("is_simulated")):
        raise InputError(f"{path}: a simulated pattern; only measured ones are taken")
    x, y = _values(said, "two_theta_values", path), _values(said, "intensities", path)
    if len(x) != len(y):
        raise InputError(f"{path}: {len(x)} angles but {len(y)} intensities")
    if len(x) > 1 and (np.diff(x) < 0).all():
        x, y = x[::-1], y[::-1]
    phases = label.get("phases") or []
    inner = [_inner(phase, path) for phase in phases] if isinstance(phases, list) else []
    pattern = Pattern(two_theta_deg=x, intensity=y, wavelength_A=_wavelength(label, path), source=str(path))
    rest = {"label": {**label, "phases": inner}, "metadata": metadata}
    return pattern, _stated(inner[0]) if len(inner) == 1 else Stated(), rest


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB")
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON") from None
    if not isinstance(said, dict) or "two_theta_values" not in said:
        raise InputError(f"{path}: not a file of opXRD, it has no two_theta_values")
    return said


def _inner(value: Any, path: Path) -> dict[str, Any]:
    """An object that may be written as a text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InputError(f"{path}: a label that is not JSON") from None
    return value if isinstance(value, dict) else {}


def _values(said: dict[str, Any], name: str, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        values = np.array(said.get(name), dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(())
    if values.ndim != 1:
        raise InputError(f"{path}: {name} is not a list of numbers")
    return values


def _wavelength(label: dict[str, Any], path: Path) -> float | None:
    """The mean of the doublet, whichever of its lines is called the first; None where none is stated."""
    info = _inner(label.get("xray_info"), path)
    stated = sorted(
        value for value in (_float(info.get(f"{which}_wavelength")) for which in ("primary", "secondary")) if value
    )
    return combine_doublet(stated[0], stated[1] if len(stated) > 1 else None) if stated else None


def _stated(phase: dict[str, Any]) -> Stated:
    group = phase.get("spacegroup")
    formula = phase.get("chemical_composition")
    return Stated(
        group=None if group in (None, "", "None") else str(group).removesuffix(".0"),
        cell=_cell(phase),
        formula=None if formula in (None, "", "None") else str(formula),
    )


def _cell(phase: dict[str, Any]) -> tuple[float, ...] | None:
    """The cell, written as one text of six numbers, or by older programs as lengths and angles; None if not whole."""
    stated: list[Any] = re.findall(r"\d+\.?\d*(?:e[-+]?\d+)?", str(phase.get("lattice") or ""))
    if len(stated) != 6:
        stated = [value for name in ("lengths", "angles") for value in _three(phase.get(name))]
    cell = tuple(value for value in map(_float, stated) if value is not None)
    return cell if len(cell) == 6 else None


def _three(value: Any) -> list[Any]:
    """A list, or the values of an object; either may be written as a text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    if isinstance(value, dict):
        value = list(value.values())
    return value if isinstance(value, list) else []


def _float(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _true(value: Any) -> bool:
    return str(value).lower() in ("true", "1")
