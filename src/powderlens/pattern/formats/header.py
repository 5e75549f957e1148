"""What a header says: its words are kept as metadata, and only the wavelength is taken from them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from powderlens.core.constants import ANODES, HC_KEV_A
from powderlens.pattern.wavelength import MAX_WAVELENGTH_A, MIN_WAVELENGTH_A

MAX_HEADER_CHARACTERS = 4000
_PAIR = re.compile(r"^([A-Za-z_*][^=:,;\t\d]{0,39}?)\s*[=:]\s*(\S.*)$")
_KEYWORD = re.compile(r"wave[\s_-]?length|lambda|λ|\b_?wl[\s_-]?[12]?\b|\b_?wl(?=_|ratio)")
_ALPHA = re.compile(r"(?:k[\s_-]?)?(?:alpha|α)[\s_-]?([12])|\bk[\s_-]?a[\s_-]?([12])\b|(?:\b|_)wl[\s_-]?([12])\b")
_VALUE = re.compile(r"(\d*\.\d+|\d+(?=\s*pm\b))\s*(nm|pm|kev)?")
_LINE = re.compile(r"\b([a-z]{1,2})[\s_-]*k[\s_-]*(?:alpha|α|a)[\s_-]*(1\+2|12|[12])?(?![a-z0-9.])")
_RATIO = re.compile(r"(?:wl[\s_-]?ratio|ratio.*k[\s_-]?(?:alpha|α|a)[\s_-]?2.*?1\b)[^\d.]*(\d*\.?\d+)")
_GAP = re.compile(r'[^\d=:,;]{0,25}[12]?[^\w=:,;]{0,4}[=:,;"\t][\s"]*|[_\s]*(?:a|å|nm|ang\w*|[(\[].{0,10}[)\]])?[_\s]*')
"""What may stand between the word "wavelength" and its number: a few words and a sign, or next to nothing."""
_ENERGY = re.compile(r"energy\D{0,20}(\d+\.?\d*)\s*kev")


def header_metadata(lines: Iterable[str]) -> dict[str, str]:
    """The header as `key: value` where it has that form, and as it stands under "header".

    Args:
        lines: header and comment lines, comment signs still on.
    """
    lines = list(lines)
    found: dict[str, str] = {}
    for line in lines:
        pair = _PAIR.match(strip_comment_sign(line))
        if pair:
            found.setdefault(pair[1].strip().lower(), pair[2].strip()[:500])
    whole = "\n".join(lines)[:MAX_HEADER_CHARACTERS]
    return {**found, "header": whole} if whole else found


def strip_comment_sign(line: str) -> str:
    """The line without leading comment signs, asterisks and quotes."""
    return line.strip().lstrip("#;!'\"/%* ").rstrip("\"' ")


def combine_doublet(ka1_A: float | None, ka2_A: float | None, ratio: float | None = None) -> float | None:
    """Mean of the two lines weighted by intensity (K-alpha-2 : K-alpha-1, 0.5 unless stated), A."""
    if not _is_wavelength(ka1_A):
        return None
    assert ka1_A is not None
    if not _is_wavelength(ka2_A) or ratio == 0:
        return ka1_A
    assert ka2_A is not None
    weight = ratio if ratio is not None and 0 < ratio <= 1 else 0.5
    return (ka1_A + weight * ka2_A) / (1 + weight)


def stated_wavelength(lines: Iterable[str]) -> float | None:
    """The wavelength that header lines state, in angstrom, or None.

    Understands `wavelength = 1.5406`, `lambda: 0.15406 nm`, `_WL1=` and `_WL2=` (Bruker), `K-Alpha1 wavelength`
    and `K-Alpha2 wavelength` (PANalytical), `WAVE_LENGTH_ALPHA1` (Rigaku), `Wavelength: CuKa`, `Energy: 20.0 keV`.
    Both lines of a doublet give their mean. What is no wavelength (outside 0.05 to 10 A) counts as not stated.
    """
    found: dict[str, float] = {}
    for line in lines:
        text = unicodedata.normalize("NFKC", strip_comment_sign(line)).lower()
        if line.startswith("##") and not _KEYWORD.search(re.split("[=:]", text, maxsplit=1)[0]):
            continue  # RRUFF's lines are key=value; descriptions may speak of wavelengths
        ratio = _RATIO.search(text)
        if ratio:
            found.setdefault("ratio", float(ratio[1]))
            continue
        energy = _ENERGY.search(text)
        if energy and float(energy[1]) > 0:
            _keep(found, "general", HC_KEV_A / float(energy[1]))
            continue
        keyword = _KEYWORD.search(text)
        alpha = _ALPHA.search(text)
        if keyword is None or "beta" in text or "β" in text:
            continue
        value = _VALUE.search(text, keyword.end())
        if value and _GAP.fullmatch(text, keyword.end(), value.start()):
            number = float(value[1])
            unit = value[2]
            if unit == "kev":
                number = HC_KEV_A / number if number > 0 else math.nan
            key = next((g for g in alpha.groups() if g), "general") if alpha else "general"
            _keep(found, key, number * {"nm": 10.0, "pm": 0.01}.get(unit or "", 1.0))
            continue
        named = _LINE.search(text, keyword.end())
        if named and re.search("[=:,]", text[keyword.end() : named.start()]) and named[1].capitalize() in ANODES:
            anode = ANODES[named[1].capitalize()]
            _keep(found, "general", {"1": anode.ka1_A, "2": anode.ka2_A}.get(named[2] or "", anode.mean_A))
    if "1" in found and ("2" in found or "general" not in found):
        return combine_doublet(found["1"], found.get("2"), found.get("ratio"))
    return found.get("general")


def _keep(found: dict[str, float], key: str, value: float) -> None:
    if _is_wavelength(value):
        found.setdefault(key, value)


def _is_wavelength(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and MIN_WAVELENGTH_A <= value <= MAX_WAVELENGTH_A
