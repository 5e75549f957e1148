"""Temperature and pressure at which a structure was determined, as sources state them in their notes."""

from __future__ import annotations

import re

NAN = float("nan")
ICE_K = 273.15

_TEMPERATURE = re.compile(r"\bT\s*=\s*([-+]?\d+(?:\.\d+)?)\s*(?:\(\d+\))?\s*(?:deg(?:rees)?\.?\s*|°\s*)?([CK])\b")
_PRESSURE = re.compile(r"\bP\s*=\s*(\d+(?:\.\d+)?)\s*(?:\(\d+\))?\s*(GPa|[Kk]bars?|kPa|MPa|[Bb]ars?|atm)\b")
_GPA = {"gpa": 1.0, "kbar": 0.1, "mpa": 1e-3, "kpa": 1e-6, "bar": 1e-4, "atm": 1.01325e-4}
_BEFORE = re.compile(r"synth|grown|anneal|quench|treat|heated|heating|fired|prepared|recovered", re.IGNORECASE)
"""What a note speaks of when its temperature or pressure is not that of the measurement."""


def stated_temperature_K(text: str) -> float:
    """The first temperature that a note such as "Note: T = 423 C" states, K; NaN where none does.

    Notes on how a crystal was made are passed over, line by line.
    """
    for line in text.splitlines():
        found = _TEMPERATURE.search(line)
        if found and not _BEFORE.search(line[: found.start()]):
            value = float(found[1]) + (ICE_K if found[2] == "C" else 0.0)
            return value if value > 0 else NAN
    return NAN


def stated_pressure_GPa(text: str) -> float:
    """The first pressure that a note such as "P = 56.8 kbar" states, GPa; NaN where none does."""
    for line in text.splitlines():
        found = _PRESSURE.search(line)
        if found and not _BEFORE.search(line[: found.start()]):
            return float(found[1]) * _GPA[found[2].lower().removesuffix("s")]
    return NAN


def reference(authors: str, journal: str, volume: str, year: str, first: str, last: str) -> str:
    """A reference in one line: "Authors; Journal 79 (1994) 1042-1052"; what is not known is left out."""
    where = " ".join(text for text in (journal, volume, f"({year})" if year else "") if text)
    pages = "-".join(dict.fromkeys(text for text in (first, last) if text))
    return "; ".join(text for text in (authors, f"{where} {pages}".strip()) if text)
