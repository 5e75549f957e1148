"""What a user, or a file, says about the radiation: a wavelength, a photon energy or an anode's line."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from powderlens.core.constants import ANODES, HC_KEV_A, KA2_OVER_KA1, KAlpha
from powderlens.core.errors import WavelengthError

MIN_WAVELENGTH_A = 0.05
MAX_WAVELENGTH_A = 10.0
DOUBLET_TOLERANCE = 2e-4
"""Relative. Wide enough for the means in use (Bearden's 1.541838, the rounded 1.5418, 1.54184, 1.54178 for
copper), and a quarter of the distance from K-alpha-1 to the mean."""
SAME_WAVELENGTH = 1e-6
LINE_TOLERANCE = 1e-4
"""Relative. Copper's K-alpha-1 is written 1.54051 to 1.5406 in the literature."""

_HINT = "in angstrom; for photon energy use e.g. 20keV"
_LINES = "CuKa (doublet), CuKa1, MoKa, CoKa ..."
_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|[+-]?inf(?:inity)?)"
_QUANTITY = re.compile(_NUMBER + r"\s*(a|å|ang|angstroms?|ångströms?|ångstroms?|nm|pm|kev|ev)?")
_ANODE = re.compile(r"([a-z]{1,2}?)(?:k(?:alpha|a)(12|1\+2|1,2|1|2)?|(kbeta|kb)\d*)?")


@dataclass(frozen=True)
class Radiation:
    """One radiation, monochromatic or a K-alpha doublet.

    Attributes:
        wavelength_A: the wavelength, A; the mean weighted 2 : 1 of a doublet.
        ka1_A: the single line, or the stronger line of the doublet, A.
        ka2_A: the weaker line of the doublet, A; None for a single line.
        name: a few words, such as "CuKa" or "0.6199 A".
    """

    wavelength_A: float
    ka1_A: float
    ka2_A: float | None = None
    name: str = ""

    @property
    def ka2_ratio(self) -> float:
        """K-alpha-2 over K-alpha-1 in intensity: a half, or 0 for a single line."""
        return 0.0 if self.ka2_A is None else KA2_OVER_KA1

    def is_of(self, wavelength_A: float | None) -> bool:
        """Whether this is the radiation of a wavelength, to a millionth."""
        return wavelength_A is not None and abs(wavelength_A / self.wavelength_A - 1) <= SAME_WAVELENGTH


def check_wavelength(wavelength_A: float, stated: str | None = None) -> float:
    """The wavelength itself when it is between 0.05 and 10 A.

    Args:
        wavelength_A: A.
        stated: how the user wrote it, for the message.

    Raises:
        WavelengthError: not a number, not positive, or outside the range.
    """
    words = f"{wavelength_A:g} A" if stated is None else repr(stated)
    if not math.isfinite(wavelength_A):
        raise WavelengthError(f"wavelength {words} is not a finite number; give it {_HINT}")
    if wavelength_A <= 0:
        raise WavelengthError(f"wavelength {words} must be positive; give it {_HINT}")
    if not MIN_WAVELENGTH_A <= wavelength_A <= MAX_WAVELENGTH_A:
        raise WavelengthError(
            f"wavelength {words} is outside {MIN_WAVELENGTH_A:g} to {MAX_WAVELENGTH_A:g} A; give it {_HINT}"
        )
    return wavelength_A


def infer_radiation(wavelength_A: float) -> Radiation:
    """Tell a doublet from a single line by the wavelength alone.

    Within 2e-4 (relative) of the mean of an anode's doublet it is that doublet; within 1e-4 of a K-alpha-1 it is
    that line; otherwise it is a single line without a name (a synchrotron's). The given wavelength is kept, and
    a doublet's two lines are scaled with it, so that spacings follow the value that was given.

    Args:
        wavelength_A: A, 0.05 to 10.

    Raises:
        WavelengthError: outside the range.
    """
    check_wavelength(wavelength_A)
    for anode, lines in ANODES.items():
        if abs(wavelength_A / lines.mean_A - 1) <= DOUBLET_TOLERANCE:
            scale = wavelength_A / lines.mean_A
            return Radiation(wavelength_A, lines.ka1_A * scale, lines.ka2_A * scale, f"{anode}Ka")
        if abs(wavelength_A / lines.ka1_A - 1) <= LINE_TOLERANCE:
            return Radiation(wavelength_A, wavelength_A, None, f"{anode}Ka1")
    return Radiation(wavelength_A, wavelength_A, None, f"{wavelength_A:g} A")


def parse_radiation(text: str | float | Radiation) -> Radiation:
    """Read a wavelength, a photon energy, or the name of an anode's line.

    Args:
        text: angstrom as a number or as text ("1.54056", "0.154056 nm"), an energy ("20keV"), or a line: "CuKa"
            (the doublet), "CuKa1", "CuKa2", "Cu K-alpha", "Cu-Ka1"; upper and lower case alike, "alpha" also as
            a Greek letter. A `Radiation` is handed back.

    Raises:
        WavelengthError: no wavelength can be read from it, or it is outside 0.05 to 10 A.
    """
    if isinstance(text, Radiation):
        return text
    if not isinstance(text, str):
        try:
            return infer_radiation(float(text))
        except (TypeError, ValueError) as error:
            if isinstance(error, WavelengthError):
                raise
            raise WavelengthError(f"wavelength {text!r} is not a number; give it {_HINT}") from None
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    quantity = _QUANTITY.fullmatch(plain)
    if quantity:
        value, unit = float(quantity[1]), quantity[2] or "a"
        if unit in ("kev", "ev"):
            energy_keV = value if unit == "kev" else value / 1000
            if not energy_keV > 0 or not math.isfinite(energy_keV):
                raise WavelengthError(f"photon energy {text!r} must be positive; give it as e.g. 20keV")
            value = HC_KEV_A / energy_keV
        else:
            value *= {"nm": 10.0, "pm": 0.01}.get(unit, 1.0)
        check_wavelength(value, text.strip())
        return infer_radiation(value)
    return _parse_line(plain, text)


def _parse_line(plain: str, text: str) -> Radiation:
    """An anode and its line; `plain` is lower case, `text` what the user wrote."""
    word = re.sub(r"[\s_\-]", "", plain.replace("α", "alpha").replace("β", "beta"))
    match = _ANODE.fullmatch(word)
    symbol = match[1].capitalize() if match else ""
    lines: KAlpha | None = ANODES.get(symbol)
    if match is None or lines is None:
        known = ", ".join(ANODES)
        raise WavelengthError(
            f"wavelength {text!r} is not understood; give it {_HINT}, or name a line: {_LINES} (anodes: {known})"
        )
    if match[3]:
        raise WavelengthError(f"wavelength {text!r}: K-beta lines are not listed; give the number {_HINT}")
    if word == match[1]:
        raise WavelengthError(
            f"wavelength {text!r} names an anode but no line; write {symbol}Ka for the doublet or {symbol}Ka1"
        )
    if match[2] == "1":
        return Radiation(lines.ka1_A, lines.ka1_A, None, f"{symbol}Ka1")
    if match[2] == "2":
        return Radiation(lines.ka2_A, lines.ka2_A, None, f"{symbol}Ka2")
    return Radiation(lines.mean_A, lines.ka1_A, lines.ka2_A, f"{symbol}Ka")
