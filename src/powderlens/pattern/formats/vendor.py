"""Instrument formats that the library geddes reads; it gives no wavelength, which is looked up here.

Where Bruker RAW1.01 and RAW4.00 keep it was found in the bytes of copper scans that xylib and geddes ship as test
data; Rigaku, UXD, CIF and Bruker's brml state it in words.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

import numpy as np

from powderlens.core.errors import PatternError
from powderlens.pattern.formats.header import combine_doublet, stated_wavelength
from powderlens.pattern.formats.scan import Scan

MAX_UNPACKED_BYTES = 500_000_000
_MAX_HEADER_LINES = 2000


def parse_vendor(data: bytes, kind: str, who: str) -> Scan:
    """Read one scan with geddes.

    Args:
        data: the file's bytes.
        kind: "raw", "zip", "uxd", "ras", "gsas" or "cif", found by content.
        who: the file's name, for messages.

    Raises:
        PatternError: geddes cannot read it; the message carries its reason.
    """
    import geddes

    hint, metadata = kind, {"format": kind}
    if kind == "zip":
        hint, wavelength_A = _look_into_zip(data, who)
        metadata["format"] = hint
    elif kind == "raw":
        wavelength_A = _bruker_raw_wavelength(data)
    elif kind == "cif":
        wavelength_A = _cif_wavelength(data, metadata)
    else:
        wavelength_A = stated_wavelength(data.decode("utf-8", errors="replace").splitlines()[:_MAX_HEADER_LINES])
    try:
        read = geddes.read_bytes(data, f"scan.{hint}")
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise PatternError(f"{who}: cannot be read as {hint} ({reason}); export the scan as two-column text") from None
    try:
        geddes.read_bytes(data, f"scan.{hint}", index=1)
        metadata["note on scans"] = "several scans; used the first"
    except Exception:
        pass  # asked only whether there is a second scan
    return Scan(
        two_theta_deg=np.array(read.x, dtype=float),
        intensity=np.array(read.y, dtype=float),
        wavelength_A=wavelength_A,
        metadata=metadata,
    )


def _look_into_zip(data: bytes, who: str) -> tuple[str, float | None]:
    """("rasx" or "brml", wavelength in A); refuses other archives and those that unpack to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > MAX_UNPACKED_BYTES:
                raise PatternError(
                    f"{who}: unpacks to {unpacked / 1e6:.0f} MB, the limit is {MAX_UNPACKED_BYTES / 1e6:.0f} MB"
                )
            profiles = [e for e in entries if re.search(r"Profile\d*\.txt$", e.filename)]
            raw = sorted((e for e in entries if re.search(r"RawData\d*\.xml$", e.filename)), key=lambda e: e.filename)
            if profiles:
                about = [e for e in entries if re.search(r"Conditions\d*\.xml$", e.filename)]
                text = archive.read(about[0]).decode("utf-8", errors="replace") if about else ""
                return "rasx", _rigaku_wavelength(text)
            if raw:
                return "brml", _brml_wavelength(archive.read(raw[0]).decode("utf-8", errors="replace"))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        if isinstance(error, PatternError):
            raise
        raise PatternError(f"{who}: a damaged zip archive ({error}); export the scan again") from None
    raise PatternError(f"{who}: a zip archive without a scan (rasx and brml are read); unpack it first")


def _xml_number(text: str, pattern: str) -> float | None:
    match = re.search(pattern, text)
    return float(match[1]) if match else None


def _rigaku_wavelength(text: str) -> float | None:
    ka1 = _xml_number(text, r"<WavelengthKalpha1>\s*(\d+\.?\d*)")
    ka2 = _xml_number(text, r"<WavelengthKalpha2>\s*(\d+\.?\d*)")
    kind = re.search(r"<WaveType>\s*(\w+)", text)
    if kind and kind[1].lower() in ("kb", "kbeta"):
        return combine_doublet(_xml_number(text, r"<WavelengthKbeta>\s*(\d+\.?\d*)"), None)
    return combine_doublet(ka1, None if kind and kind[1].lower() in ("ka1", "kalpha1") else ka2)


def _brml_wavelength(text: str) -> float | None:
    ka1, ka2, ratio = (
        _xml_number(text, rf'<WaveLength{name}\b[^>]*?\bValue="(\d+\.?\d*)"') for name in ("Alpha1", "Alpha2", "Ratio")
    )
    return combine_doublet(ka1, ka2, ratio)


def _bruker_raw_wavelength(data: bytes) -> float | None:
    """From the header of RAW1.01 (float64 at 624, 632, 648) or the type-30 record of RAW4.00 (at +80, +88, +104)."""
    try:
        if data.startswith(b"RAW1.01"):
            return _doublet_at(data, 624)
        if data.startswith(b"RAW4.00"):
            offset = 61
            while True:
                kind, length = struct.unpack_from("<2I", data, offset)
                if kind == 30:
                    return _doublet_at(data, offset + 80)
                if kind in (0, 160) or length < 8:
                    return None
                offset += length
    except struct.error:
        return None
    return None


def _doublet_at(data: bytes, offset: int) -> float | None:
    """Four float64: K-alpha-1, K-alpha-2, K-beta, ratio. Some programs fill them from single precision."""
    ka1, ka2, _, ratio = struct.unpack_from("<4d", data, offset)
    mean = combine_doublet(ka1, ka2, ratio)
    return None if mean is None else round(mean, 7)


def _cif_wavelength(data: bytes, metadata: dict[str, str]) -> float | None:
    """`_diffrn_radiation_wavelength` of the block; two values are a doublet."""
    import gemmi

    try:
        document = gemmi.cif.read_string(data.decode("utf-8", errors="replace"))
    except (ValueError, RuntimeError):
        return None
    for block in document:
        probe = block.find_value("_diffrn_radiation_probe")
        if probe:
            metadata["probe"] = gemmi.cif.as_string(probe)
        values = [gemmi.cif.as_number(v) for v in block.find_values("_diffrn_radiation_wavelength")]
        if values:
            return combine_doublet(values[0], values[1] if len(values) > 1 else None)
    return None
