"""PANalytical's xrdml: XML that states axis, wavelength and counting time (geddes reads it, without the wavelength)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powderlens.core.errors import PatternError
from powderlens.pattern.formats.header import combine_doublet
from powderlens.pattern.formats.scan import Scan


def parse_xrdml(text: str, who: str) -> Scan:
    """Read the scan of an xrdml file, schema 1.0 to 2.x, whatever its XML namespace.

    `counts` are multiplied by the beam attenuation factors, `intensities` have them already. Points counted for
    different times are brought to the mean time. Scans over the same angles are added up; of others the longest
    is taken. Both are noted in the metadata.

    The wavelength is the mean of K-alpha-1 and K-alpha-2 by the stated ratio; K-alpha-1 alone when the ratio is
    0 or a crystal monochromator other than graphite stands in the incident beam; K-beta where it is intended.

    Args:
        text: the whole file.
        who: the file's name, for messages.

    Raises:
        PatternError: not well-formed, no scan in it, or a scan over something other than 2theta.
    """
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise PatternError(f"{who}: XML with a DOCTYPE or entities is not read; export the scan again as plain xrdml")
    try:
        root = ET.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL))
    except (ET.ParseError, ValueError) as error:
        raise PatternError(f"{who}: is not well-formed XML ({error}); the file may be cut off") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    scans: list[Scan] = []
    reason = "holds no scan with intensities"
    for measurement in root.iter("xrdMeasurement"):
        wavelength_A, how = _wavelength(measurement)
        for scan in measurement.iter("scan"):
            read = _scan(scan, who)
            if isinstance(read, str):
                reason = read
                continue
            about = {"wavelength": how} if how else {}
            scans.append(replace(read, wavelength_A=wavelength_A, metadata={**read.metadata, **about}))
    if not scans:
        raise PatternError(f"{who}: {reason}; a 2theta scan is needed")
    chosen = _join(scans)
    anode = root.findtext(".//anodeMaterial")
    sample = root.findtext("./sample/name")
    about = {k: v.strip() for k, v in (("anode", anode), ("sample", sample)) if v and v.strip()}
    return replace(chosen, metadata={**about, **chosen.metadata})


def _scan(scan: ET.Element, who: str) -> Scan | str:
    """One scan, or the reason why it is none."""
    points = scan.find("dataPoints")
    counts = None if points is None else points.find("counts")
    values = counts if counts is not None or points is None else points.find("intensities")
    if points is None or values is None:
        return "holds no scan with intensities"
    y = _numbers(values, who)
    if len(y) == 0:
        return "holds an empty scan"
    axis = scan.get("scanAxis", "")
    position = next((p for p in points.findall("positions") if p.get("axis") == "2Theta"), None)
    if position is None or position.find("commonPosition") is not None:
        return f"holds a scan over {axis or 'another axis'} with 2theta at rest"
    listed, start, end = position.find("listPositions"), position.find("startPosition"), position.find("endPosition")
    if listed is not None:
        x = _numbers(listed, who)
    elif start is not None and end is not None:
        x = np.linspace(_numbers(start, who)[0], _numbers(end, who)[0], len(y))
    else:
        return "gives no 2theta positions"
    if position.get("unit", "deg") != "deg":
        raise PatternError(f"{who}: 2theta in {position.get('unit')!r}; degrees are needed")
    factors = np.ones(1) if counts is None else _factors(points, "beamAttenuationFactors", who)
    times = _factors(points, "countingTimes", who)
    for what, found in (("angles", x), ("attenuation factors", factors), ("counting times", times)):
        if len(found) not in ({len(y)} if found is x else {1, len(y)}):
            raise PatternError(f"{who}: {len(found)} {what} but {len(y)} intensities; the file may be cut off")
    if not (times > 0).all():
        raise PatternError(f"{who}: counting time {times.min():g} s must be positive; remove the points not measured")
    y = y * factors * (times.mean() / times)
    return Scan(two_theta_deg=x, intensity=y, metadata={"scan axis": axis} if axis else {})


def _numbers(element: ET.Element, who: str) -> NDArray[np.float64]:
    try:
        numbers = np.array((element.text or "").split(), dtype=float)
    except ValueError as error:
        raise PatternError(f"{who}: <{element.tag}> holds something that is no number ({error})") from None
    if len(numbers) == 0 and element.tag.endswith("Position"):
        raise PatternError(f"{who}: <{element.tag}> is empty; the file may be cut off")
    return numbers


def _factors(points: ET.Element, tag: str, who: str) -> NDArray[np.float64]:
    """(n,) factors, or (1,) where the file has none (one factor for all points is only a scale)."""
    element = points.find(tag)
    if element is None or not (element.text or "").strip():
        return np.ones(1)
    return _numbers(element, who)


def _wavelength(measurement: ET.Element) -> tuple[float | None, str]:
    """(wavelength in A, how it was chosen)."""
    used = measurement.find("usedWavelength")
    if used is None:
        return None, ""
    intended = used.get("intended", "")
    ka1, ka2, kb, ratio = (_angstrom(used.find(tag)) for tag in ("kAlpha1", "kAlpha2", "kBeta", "ratioKAlpha2KAlpha1"))
    if "beta" in intended.lower() and kb is not None:
        return kb, "K-beta, as intended"
    crystal = ""
    for monochromator in measurement.findall("./incidentBeamPath//monochromator"):
        said = f"{monochromator.get('name', '')} {monochromator.findtext('crystal') or ''}".strip()
        crystal = crystal or ("" if "graphite" in said.lower() else said or "monochromator")
    if crystal:
        return ka1, f"K-alpha-1 alone ({crystal} in the incident beam)"
    mean = combine_doublet(ka1, ka2, ratio)
    return mean, "mean of K-alpha-1 and K-alpha-2" if mean != ka1 else "K-alpha-1 alone"


def _angstrom(element: ET.Element | None) -> float | None:
    try:
        value = float((element.text or "") if element is not None else "")
    except ValueError:
        return None
    return value * 10 if element is not None and element.get("unit", "").lower() in ("nm", "nanometer") else value


def _join(scans: list[Scan]) -> Scan:
    """Add up scans over the same angles; otherwise the longest (the first of equals)."""
    chosen = max(range(len(scans)), key=lambda i: len(scans[i].intensity))
    longest = scans[chosen]
    if len(scans) == 1:
        return longest
    angles = longest.two_theta_deg
    if all(len(s.two_theta_deg) == len(angles) and np.allclose(s.two_theta_deg, angles, 0, 1e-4) for s in scans):
        note = f"{len(scans)} scans over the same angles, added up"
        total = np.sum([s.intensity for s in scans], axis=0)
        return replace(longest, intensity=total, metadata={**longest.metadata, "note on scans": note})
    note = f"{len(scans)} scans over different angles; used the longest, number {chosen + 1}"
    return replace(longest, metadata={**longest.metadata, "note on scans": note})
