"""Files of instruments: xrdml by our own reader, the others by geddes with the wavelength looked up."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import PatternError
from powderlens.pattern.read import read_pattern

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"
MEAN_A = (2 * 1.540598 + 1.544426) / 3
POSITIONS = (
    '<positions axis="2Theta" unit="deg"><startPosition>10</startPosition><endPosition>15.9</endPosition></positions>'
)
COUNTS = [50 + (7 * i) % 11 for i in range(60)]


def _scan(values=COUNTS, positions=POSITIONS, tag="intensities", more="", axis="Gonio") -> str:
    numbers = f'<{tag} unit="counts">{" ".join(map(str, values))}</{tag}>'
    return f'<scan scanAxis="{axis}"><dataPoints>{positions}{more}{numbers}</dataPoints></scan>'


def _xrdml(
    *scans: str, beam="", ratio="0.5", intended="K-Alpha 1", space="http://www.xrdml.com/XRDMeasurement/2.1"
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<xrdMeasurements xmlns="{space}"><sample><name>S 1</name></sample>'
        f'<xrdMeasurement><usedWavelength intended="{intended}"><kAlpha1 unit="Angstrom">1.540598</kAlpha1>'
        '<kAlpha2 unit="Angstrom">1.544426</kAlpha2><kBeta unit="Angstrom">1.39225</kBeta>'
        f"<ratioKAlpha2KAlpha1>{ratio}</ratioKAlpha2KAlpha1></usedWavelength><incidentBeamPath>{beam}</incidentBeamPath>"
        f"{''.join(scans)}</xrdMeasurement></xrdMeasurements>"
    )


def test_real_xrdml() -> None:
    pattern = read_pattern(GOLDEN / "panalytical.xrdml")
    assert len(pattern.intensity) == 1200
    assert pattern.two_theta_deg[[0, -1]] == pytest.approx([25.01501742, 40.75822635], abs=1e-7)
    assert pattern.intensity.max() == 100168
    assert pattern.wavelength_A == pytest.approx(MEAN_A, abs=1e-9)
    assert pattern.metadata["anode"] == "Cu"


def test_real_rasx() -> None:
    pattern = read_pattern(GOLDEN / "rigaku.rasx")
    assert len(pattern.intensity) == 600
    assert pattern.two_theta_deg[[0, -1]].tolist() == [22.0, 39.97]
    assert pattern.intensity.max() == pytest.approx(1808.7352, abs=1e-3)
    assert pattern.wavelength_A == pytest.approx((2 * 1.540593 + 1.544414) / 3, abs=1e-7)


def test_real_bruker_raw4() -> None:
    pattern = read_pattern(GOLDEN / "bruker4.raw")
    assert len(pattern.intensity) == 4059
    assert pattern.two_theta_deg[[0, -1]] == pytest.approx([37.0001, 120.0046], abs=1e-4)
    assert pattern.intensity.max() == 94855
    assert pattern.wavelength_A == pytest.approx((2 * 1.5406 + 1.54439) / 3, abs=1e-7)


@pytest.mark.parametrize("name", ["renamed.xy", "renamed.csv", "renamed"])
@pytest.mark.parametrize("original", ["panalytical.xrdml", "rigaku.rasx", "bruker4.raw"])
def test_content_goes_before_extension(original: str, name: str, put: Callable[..., Path]) -> None:
    again = read_pattern(put((GOLDEN / original).read_bytes(), name))
    assert again.intensity.tolist() == read_pattern(GOLDEN / original).intensity.tolist()


@pytest.mark.parametrize(
    "space", ["http://www.xrdml.com/XRDMeasurement/1.0", "http://www.xrdml.com/XRDMeasurement/2.3", ""]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xrdml_namespaces_and_encodings(space: str, encoding: str, put: Callable[..., Path]) -> None:
    pattern = read_pattern(put(_xrdml(_scan(), space=space).encode(encoding), "a.xrdml"))
    assert pattern.two_theta_deg == pytest.approx(10 + 0.1 * np.arange(60))
    assert pattern.intensity.tolist() == COUNTS
    assert pattern.metadata["sample"] == "S 1"


def test_xrdml_listed_positions_and_descending(put: Callable[..., Path]) -> None:
    angles = [20 - 0.1 * i - 0.001 * i * i for i in range(60)]
    listed = (
        f'<positions axis="2Theta" unit="deg"><listPositions>{" ".join(map(str, angles))}</listPositions></positions>'
    )
    pattern = read_pattern(put(_xrdml(_scan(positions=listed))))
    assert pattern.two_theta_deg == pytest.approx(angles[::-1])
    assert pattern.intensity.tolist() == COUNTS[::-1]


def test_xrdml_attenuation_applies_to_counts_only(put: Callable[..., Path]) -> None:
    factors = [1] * 30 + [10] * 30
    more = f"<beamAttenuationFactors>{' '.join(map(str, factors))}</beamAttenuationFactors>"
    counts = read_pattern(put(_xrdml(_scan(tag="counts", more=more))))
    assert counts.intensity.tolist() == [c * f for c, f in zip(COUNTS, factors, strict=True)]
    assert read_pattern(put(_xrdml(_scan(more=more)))).intensity.tolist() == COUNTS


def test_xrdml_counting_times(put: Callable[..., Path]) -> None:
    more = f"<countingTimes>{' '.join(['1'] * 30 + ['3'] * 30)}</countingTimes>"
    pattern = read_pattern(put(_xrdml(_scan(values=[10.0] * 30 + [36.0] * 30, more=more))))
    assert np.unique(pattern.intensity) == pytest.approx([20.0, 24.0])


@pytest.mark.parametrize(
    ("options", "wavelength_A"),
    [
        ({}, MEAN_A),
        ({"ratio": "0"}, 1.540598),
        ({"ratio": "1.0"}, (1.540598 + 1.544426) / 2),
        ({"intended": "K-Beta"}, 1.39225),
        ({"beam": '<monochromator name="Inc. Beam 1xGe111"><crystal>Ge</crystal></monochromator>'}, 1.540598),
        ({"beam": '<monochromator name="m"><crystal>Graphite</crystal></monochromator>'}, MEAN_A),
    ],
)
def test_xrdml_wavelength(options: dict[str, str], wavelength_A: float, put: Callable[..., Path]) -> None:
    pattern = read_pattern(put(_xrdml(_scan(), **options)))
    assert pattern.wavelength_A == pytest.approx(wavelength_A, abs=1e-9)
    assert pattern.metadata["wavelength"]


def test_xrdml_several_scans(put: Callable[..., Path]) -> None:
    added = read_pattern(put(_xrdml(_scan(), _scan(values=[2 * c for c in COUNTS]))))
    assert added.intensity.tolist() == [3 * c for c in COUNTS]
    assert "added up" in added.metadata["note on scans"]
    short = POSITIONS.replace("15.9", "12.9")
    longest = read_pattern(put(_xrdml(_scan(values=range(30), positions=short), _scan())))
    assert longest.intensity.tolist() == COUNTS
    assert "number 2" in longest.metadata["note on scans"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + _xrdml(_scan())[39:], "DOCTYPE"),
        (_xrdml(), "holds no scan"),
        (_xrdml(_scan(values=[])), "empty scan"),
        (_xrdml(_scan(values=["x"] * 60)), "no number"),
        (_xrdml(_scan(positions="")), "2theta at rest"),
        (_xrdml(_scan(axis="Omega", positions=POSITIONS.replace("startP", "commonP"))), "scan"),
        (_xrdml(_scan(positions=POSITIONS.replace("10<", "<"))), "startPosition> is empty"),
        (_xrdml(_scan(positions=POSITIONS.replace('"deg"', '"rad"'))), "'rad'"),
        (
            _xrdml(
                _scan(positions='<positions axis="2Theta" unit="deg"><listPositions>1 2</listPositions></positions>')
            ),
            "2 angles but 60 intensities",
        ),
        (_xrdml(_scan(tag="counts", more="<beamAttenuationFactors>1 2</beamAttenuationFactors>")), "2 attenuation"),
        (_xrdml(_scan(more=f"<countingTimes>{'0 ' * 60}</countingTimes>")), "must be positive"),
    ],
)
def test_xrdml_refusals(text: str, message: str, put: Callable[..., Path]) -> None:
    with pytest.raises(PatternError, match=message) as caught:
        read_pattern(put(text, "a.xrdml"))
    assert "\n" not in str(caught.value)


def _raw101(counts: list[float]) -> bytes:
    """A RAW1.01 file of one range, 10 degrees in steps of 0.1, copper."""
    head = bytearray(712)
    head[:7] = b"RAW1.01"
    struct.pack_into("<I", head, 8, 1)
    struct.pack_into("<I", head, 12, 1)
    struct.pack_into("<5d", head, 616, 1.54184, 1.5406, 1.54439, 1.39222, 0.5)
    span = bytearray(304)
    struct.pack_into("<II", span, 0, 304, len(counts))
    struct.pack_into("<dd", span, 8, 5.0, 10.0)
    struct.pack_into("<d", span, 176, 0.1)
    struct.pack_into("<II", span, 252, 4, 0)
    return bytes(head + span) + struct.pack(f"<{len(counts)}f", *counts)


def test_bruker_raw101(put: Callable[..., Path]) -> None:
    pattern = read_pattern(put(_raw101([float(c) for c in COUNTS]), "a.raw"))
    assert pattern.two_theta_deg == pytest.approx(10 + 0.1 * np.arange(60))
    assert pattern.intensity.tolist() == COUNTS
    assert pattern.wavelength_A == pytest.approx((2 * 1.5406 + 1.54439) / 3, abs=1e-7)


def test_uxd_gsas_ras_and_cif(put: Callable[..., Path]) -> None:
    angles = [10 + i / 10 for i in range(60)]
    pairs = "".join(f"{a:.1f} {c}\n" for a, c in zip(angles, COUNTS, strict=True))
    uxd = (
        "; converted\n_FILEVERSION=2\n_WL1=1.540600\n_WL2=1.544390\n_WLRATIO=0.5\n"
        f"_STEPSIZE=0.1\n_START=10\n_2THETACOUNTS\n{pairs}"
    )
    rows = "".join("".join(f"{c:8d}" for c in COUNTS[i : i + 10]) + "\n" for i in range(0, 60, 10))
    gsas = f"title\nBANK 1 60 6 CONST 1000.0 10.0 0 0 STD\n{rows}"
    ras = (
        "*RAS_DATA_START\n*RAS_HEADER_START\n"
        '*MEAS_COND_XG_WAVE_LENGTH_ALPHA1 "1.540593"\n*MEAS_COND_XG_WAVE_LENGTH_ALPHA2 "1.544414"\n'
        f"*RAS_HEADER_END\n*RAS_INT_START\n{pairs.replace(chr(10), ' 1' + chr(10))}*RAS_INT_END\n*RAS_DATA_END\n"
    )
    cif = (
        "data_p\n_diffrn_radiation_probe x-ray\n_diffrn_radiation_wavelength 0.4130(1)\n"
        f"loop_\n_pd_meas_2theta_scan\n_pd_meas_counts_total\n{pairs}"
    )
    for name, text, wavelength_A in (
        ("a.uxd", uxd, (2 * 1.5406 + 1.54439) / 3),
        ("a.gsa", gsas, None),
        ("a.ras", ras, (2 * 1.540593 + 1.544414) / 3),
        ("a.cif", cif, 0.413),
    ):
        pattern = read_pattern(put(text, name))
        assert pattern.two_theta_deg == pytest.approx(angles), name
        assert pattern.intensity.tolist() == COUNTS, name
        assert pattern.wavelength_A == (None if wavelength_A is None else pytest.approx(wavelength_A, abs=1e-7)), name


def test_zip_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powderlens.pattern.formats.vendor.MAX_UNPACKED_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.rasx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Data0/Profile0.txt", "1 2\n" * 1000)
    with pytest.raises(PatternError, match="the limit is"):
        read_pattern(tmp_path / "a.rasx")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("letter.txt", "hello")
    with pytest.raises(PatternError, match="without a scan"):
        read_pattern(tmp_path / "b.zip")
