"""Which column is 2theta, and whether an axis is an angle at all."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import PatternError

_ANGLE = re.compile(r"2\s*-?\s*(th|θ|ϑ)|two[\s_-]*theta|tth\b|^ttheta|^angle|^pos\b|^pos(ition)?\b|^x\b|^x_")
_THETA = re.compile(r"^(theta|θ|th)\b")
_OTHER = re.compile(
    r"^(q|s|d|d[\s_-]?(spacing|value|hkl)s?|sin.*|energy|e|wave[\s_-]?(length|number)|raman.*|scattering.*vector|"
    r"time|t|channel|nm|k?ev|radi(al|us).*|r|chi|phi|omega|frequency|temperature)(?![a-z])"
)
_INTENSITY = re.compile(r"^(intensit(y|ies)|int|inten|i|i[\s_-]?obs|y[\s_-]?obs|y|obs|counts?|cps|detector)(?![a-z])")
_SIGMA = re.compile(r"^(sigma|σ|e\.?s\.?d|errors?|err|su|s\.u\.|uncertainty|std|e|dy|sig)(?![a-z])")
_SIGMA_EXTENSIONS = (".xye", ".fxye")


@dataclass(frozen=True)
class Columns:
    """Positions of the columns used."""

    angle: int = 0
    intensity: int = 1
    sigma: int | None = None


def find_columns(
    names: list[str], table: NDArray[np.float64], who: str, extension: str, metadata: dict[str, str]
) -> Columns:
    """Choose the columns by their names where the file gives names, else the first two.

    Args:
        names: one for each column; empty when the file has none.
        table: (rows, columns) numbers.
        who: the file's name, for messages.
        extension: lower case with its dot.
        metadata: receives a note when columns are left out.

    Raises:
        PatternError: the axis is named and is not 2theta.
    """
    width = table.shape[1]
    plain = [_plain(name) for name in names]
    named = [i for i, n in enumerate(plain) if _ANGLE.search(n)]
    angle = named[0] if named else 0
    if not named:
        _refuse_other_axis(plain[0], names[0], table[:, 0], who)
    rest = [i for i in range(width) if i != angle]
    intensities = [i for i in rest if _INTENSITY.search(plain[i])]
    intensity = intensities[0] if intensities else rest[0]
    sigmas = [i for i in rest if i != intensity and _SIGMA.search(plain[i])]
    sigma = sigmas[0] if sigmas else None
    if sigma is None and width == 3 and extension in _SIGMA_EXTENSIONS:
        sigma = 3 - angle - intensity
    unused = [i for i in rest if i not in (intensity, sigma)]
    if unused:
        metadata["note on columns"] = f"{width} columns; used {angle + 1} and {intensity + 1}, left out " + ", ".join(
            names[i] or str(i + 1) for i in unused
        )
    return Columns(angle, intensity, sigma)


def are_names(fields: list[str], spoken: bool) -> bool:
    """Whether words above the rows are the names of the columns.

    Args:
        fields: one for each column.
        spoken: a comment, or words between blanks, may say anything: an axis and an intensity are both needed.
    """
    plain = [_plain(f) for f in fields]
    axis = any(p.search(n) for p in (_ANGLE, _THETA, _OTHER) for n in plain)
    intensity = any(_INTENSITY.search(n) for n in plain)
    return (axis and intensity) if spoken else (axis or intensity)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).lower().strip(" []()_")


def _refuse_other_axis(plain: str, name: str, values: NDArray[np.float64], who: str) -> None:
    if _THETA.search(plain) and np.nanmax(values) <= 90:
        raise PatternError(
            f"{who}: the first column is called {name!r}, not 2theta; double it if it is theta, or name it 2theta"
        )
    if _OTHER.search(plain):
        raise PatternError(f"{who}: the first column is called {name!r}; 2theta in degrees is needed, convert it first")


def refuse_d_spacings(axis: NDArray[np.float64], who: str) -> None:
    """Refuse an axis that looks like spacings of an equally stepped scan.

    In d such a scan is widely spaced at the large end: the step grows as d^2 (Bragg's law). No instrument
    widens its step in 2theta like that. A scan in q cannot be told from one in 2theta by its steps.

    Args:
        axis: (n,) monotonic values.
        who: the file's name, for the message.

    Raises:
        PatternError: all values are below 30, and the step grows about as the square of the value.
    """
    x = np.sort(axis)
    step = np.diff(x)
    if len(x) < 20 or x[0] <= 0 or x[-1] > 30 or x[-1] < 1.5 * x[0] or (step <= 0).any():
        return
    middle, log_step = np.log((x[1:] + x[:-1]) / 2), np.log(step)
    if np.ptp(log_step) < 0.7:
        return
    slope, _ = np.polyfit(middle, log_step, 1)
    if slope > 1.4 and np.corrcoef(middle, log_step)[0, 1] > 0.95:
        raise PatternError(
            f"{who}: the axis, {x[0]:g} to {x[-1]:g} with steps from {step[0]:.2g} to {step[-1]:.2g}, looks like "
            "d spacings; 2theta in degrees is needed, convert it first"
        )
