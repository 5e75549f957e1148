"""`read_pattern`: any pattern file in, a checked `Pattern` out, or one clear line that says why not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from powderlens.core.errors import PatternError
from powderlens.pattern.formats.axis import refuse_d_spacings
from powderlens.pattern.formats.columns import parse_columns
from powderlens.pattern.formats.decode import decode_text
from powderlens.pattern.formats.scan import Scan
from powderlens.pattern.formats.vendor import parse_vendor
from powderlens.pattern.formats.xrdml import parse_xrdml
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import Radiation, parse_radiation

MAX_FILE_BYTES = 200_000_000
"""The largest pattern file that is read; a million points are some 20 MB of text."""

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}


def read_pattern(path: str | os.PathLike[str], wavelength: str | float | Radiation | None = None) -> Pattern:
    """Read a measured powder pattern.

    The format is found by content first, by extension second: two- and three-column text (xy, xye, dat, txt,
    csv, chi), the RRUFF text format, PANalytical xrdml, and through geddes Bruker raw, brml and uxd, Rigaku ras
    and rasx, GSAS raw and powder CIF. Cell parameters and names in a header are metadata and nothing else.

    Args:
        path: the file.
        wavelength: angstrom, or what `parse_radiation` reads ("CuKa", "20keV"); it wins over what the file states.

    Returns:
        The pattern, angles ascending. `wavelength_A` is None when neither the argument nor the file gives one.
        `metadata` holds the header and notes on what was done: a descending scan reversed, scans or columns
        left out, where the wavelength came from.

    Raises:
        PatternError: the file cannot be read or is not a powder pattern; one line with the remedy.
        WavelengthError: `wavelength` is not one.
    """
    radiation = None if wavelength is None else parse_radiation(wavelength)
    who = os.fspath(path)
    scan = _parse(_load(Path(path), who), who)
    return _finish(scan, radiation, who)


def _load(path: Path, who: str) -> bytes:
    try:
        if path.is_dir():
            raise PatternError(f"{who}: is a directory; give a pattern file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise PatternError(f"{who}: {size / 1e6:.0f} MB, the limit is {MAX_FILE_BYTES / 1e6:.0f} MB")
        data = path.read_bytes()
    except FileNotFoundError:
        raise PatternError(f"{who}: no such file; check the name") from None
    except (OSError, ValueError) as error:
        if isinstance(error, PatternError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise PatternError(f"{who}: cannot be read ({reason})") from None
    if not data.strip(b"\0 \t\r\n"):
        raise PatternError(f"{who}: the file is empty; export the scan again")
    return data


def _parse(data: bytes, who: str) -> Scan:
    """Recognise the format by its content and read it."""
    extension = Path(who).suffix.lower()
    if data.startswith(b"PK\x03\x04"):
        return parse_vendor(data, "zip", who)
    for magic, name in _PACKED.items():
        if data.startswith(magic):
            raise PatternError(f"{who}: is packed with {name}; unpack it first")
    if data.startswith((b"RAW1.01", b"RAW2", b"RAW4", b"RAW ")):
        return parse_vendor(data, "raw", who)
    text = decode_text(data, who)
    start = text[:200_000].lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        if "xrdMeasurement" in start:
            return parse_xrdml(text, who)
        raise PatternError(f"{who}: is XML or HTML but no xrdml scan; export the scan as two-column text")
    kind = _text_kind(start)
    if kind:
        return parse_vendor(text.lstrip("\ufeff").encode(), kind, who)
    scan = parse_columns(text, who, extension)
    if np.isfinite(scan.two_theta_deg).all():
        refuse_d_spacings(scan.two_theta_deg, who)
    return scan


def _text_kind(start: str) -> str | None:
    """The geddes format of a text file, or None for plain columns."""
    if start.startswith("*RAS_DATA_START"):
        return "ras"
    if re.search(r"^_(FILEVERSION|2THETACOUNTS|2THETACPS)\b", start, re.MULTILINE):
        return "uxd"
    if re.search(r"^BANK\s+\d+\s+\d+\s+\d+\s+(CONST|RALF|SLOG|TIME_MAP)", start, re.MULTILINE):
        return "gsas"
    if re.search(r"^data_\S*\s*$", start, re.MULTILINE) and re.search(r"^_[a-z]+_", start, re.MULTILINE):
        return "cif"
    return None


def _finish(scan: Scan, radiation: Radiation | None, who: str) -> Pattern:
    """Reverse where needed, name the wavelength's origin, and let `Pattern` check the rest."""
    x, y, sigma = scan.two_theta_deg, scan.intensity, scan.sigma
    metadata = dict(scan.metadata)
    step = np.diff(x)
    if len(x) > 1 and (step <= 0).all() and x[0] > x[-1]:
        x, y, sigma = x[::-1].copy(), y[::-1].copy(), None if sigma is None else sigma[::-1].copy()
        metadata["note on order"] = "angles descend in the file; reversed"
        step = np.diff(x)
    twice = np.flatnonzero(step == 0)
    if len(twice) and (step >= 0).all():
        raise PatternError(
            f"{who}: angle {x[twice[0]]:g} degrees occurs twice ({len(twice)} repeated in all); write angles with "
            "enough decimals, and one intensity for each"
        )
    if radiation is not None:
        wavelength_A: float | None = radiation.wavelength_A
        metadata["note on wavelength"] = f"given by the user: {radiation.name}"
    else:
        wavelength_A = scan.wavelength_A
        if wavelength_A is not None:
            metadata["note on wavelength"] = "stated in the file"
    return Pattern(
        two_theta_deg=x,
        intensity=y,
        wavelength_A=wavelength_A,
        sigma=sigma,
        source=who,
        metadata=metadata,
        radiation=radiation,
    )
