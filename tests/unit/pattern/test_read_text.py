"""Two- and three-column text in the dialects that people have."""

from collections.abc import Callable

import numpy as np
import pytest

from powderlens.pattern.read import read_pattern

RRUFF = """##NAMES=Quartz
##RRUFFID=R040031
##IDEAL CHEMISTRY=SiO_2_
##DESCRIPTION=Colorless, wavelength of light 0.589 units
##CELL PARAMETERS=a: 4.9134 b: 4.9134 c: 5.4042 alpha: 90 beta: 90 gamma: 120 volume: 112.991
##FILETYPE=Processed Powder Diffraction Profile

{rows}##END=

5.0, 17
"""


def _same(pattern, scan) -> None:
    np.testing.assert_array_equal(pattern.two_theta_deg, scan[0])
    np.testing.assert_array_equal(pattern.intensity, scan[1])


@pytest.mark.parametrize("separator", [" ", "   ", "\t", ",", ", ", ";", " ; ", ";\t"])
@pytest.mark.parametrize("name", ["scan.xy", "scan.csv", "scan.dat", "scan.txt", "scan", "SCAN.XY", "scan.raw"])
def test_separators(separator, name, scan, rows, put) -> None:
    _same(read_pattern(put(rows(separator), name)), scan)


@pytest.mark.parametrize("separator", [";", "; ", "\t", "  "])
def test_decimal_commas_where_unambiguous(separator, scan, rows, put) -> None:
    _same(read_pattern(put(rows(separator, comma=True))), scan)


def test_whole_numbers_separated_by_commas(put) -> None:
    pattern = read_pattern(put("".join(f"{i},{i * i}\n" for i in range(5, 70)), "a.csv"))
    assert pattern.two_theta_deg[[0, -1]].tolist() == [5, 69]
    assert pattern.intensity[-1] == 69 * 69


@pytest.mark.parametrize(
    "head",
    [
        "# a comment\n",
        "; a comment\n! another\n",
        "' TOPAS\n// slashes\n\n",
        "2theta,intensity\n",
        "2Theta Intensity\n",
        '"2Theta (deg)";"Counts"\n',
        "Angle\tIntensity\n",
        "Sample 17 of 20\nmeasured by 2 people\n\n\n",
        "# time series\n",
        "Time series\n",
        "quartz x\n",
        "# Å °2Th\n",
        "# d spacing\n# of quartz\n",
        "[Scan points]\nPos. [°2Th.],Iobs [cts]\n",
    ],
)
def test_headers_and_comments(head, scan, rows, put) -> None:
    _same(read_pattern(put(head + rows(), "a.txt")), scan)
    assert head.strip().splitlines()[0][:6] in read_pattern(put(head + rows())).metadata["header"]


def test_comments_between_rows_and_a_footer(scan, rows, put) -> None:
    lines = rows().splitlines()
    text = "\n".join(
        [*lines[:30], "# refilled", "", *lines[30:40], lines[40] + "  # spike?", *lines[41:], "end of scan"]
    )
    _same(read_pattern(put(text)), scan)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_and_line_endings(encoding, ending, scan, rows, put) -> None:
    text = "# 2θ" if encoding != "latin-1" else "# Å °2Th"
    content = (text + "\n" + rows()).replace("\n", ending).encode(encoding)
    _same(read_pattern(put(content)), scan)


@pytest.mark.parametrize(
    ("line", "wavelength_A"),
    [
        ("# wavelength_A = 1.54187113", 1.54187113),
        ("# Wavelength: 1.5406", 1.5406),
        ("! lambda=0.41234 A", 0.41234),
        ("# λ = 0.154056 nm", 1.54056),
        ("##WAVELENGTH=1.541838", 1.541838),
        ("##X-RAY WAVELENGTH: 1.541838", 1.541838),
        ("# Wavelength: CuKa", 1.5418711),
        ("# wavelength (Mo K-alpha): 0.7107", 0.7107),
        ("; _WL1=1.540600\n; _WL2=1.544390\n; _WLRATIO=0.5", (2 * 1.5406 + 1.54439) / 3),
        ("K-Alpha1 wavelength,1.540598\nK-Alpha2 wavelength,1.544426\nRatio K-Alpha2/K-Alpha1,0.5", 1.541874),
        ("K-Alpha1 wavelength,1.540598\nK-Alpha2 wavelength,1.544426\nRatio K-Alpha2/K-Alpha1,0", 1.540598),
        ("# Energy: 20.0 keV", 0.61992099),
        ("# K-Beta wavelength: 1.39225", None),
        ("# wavelength = 0", None),
        ("# wavelength = unknown", None),
        ("# detector Lambda 750K, threshold 5.0", None),
        ("# sample 1.5406", None),
        ("##WAVELENGTH (A): 1.541838", 1.541838),
        ("##DESCRIPTION=lambda: 0.589", None),
        ('*MEAS_COND_XG_WAVE_LENGTH_ALPHA1 "1.540593"', 1.540593),
        ("Wavelength Ka1 = 1.5406\nWavelength Ka2 = 1.54439", (2 * 1.5406 + 1.54439) / 3),
        ("Wavelength 1.5406 Angstrom", 1.5406),
    ],
)
def test_wavelength_in_the_header(line, wavelength_A, rows, put) -> None:
    found = read_pattern(put(line + "\n" + rows())).wavelength_A
    assert found == (None if wavelength_A is None else pytest.approx(wavelength_A, abs=2e-7))


def test_the_argument_wins_and_nothing_is_assumed(rows, put) -> None:
    path = put("# wavelength: 0.7107\n" + rows())
    assert read_pattern(path).wavelength_A == 0.7107
    assert read_pattern(path, 1.5406).wavelength_A == 1.5406
    assert read_pattern(path, "CuKa").wavelength_A == pytest.approx(1.5418711)
    assert "given by the user" in read_pattern(path, "CuKa").metadata["note on wavelength"]
    assert read_pattern(put(rows(), "b.xy")).wavelength_A is None


def test_rruff(scan, rows, put) -> None:
    pattern = read_pattern(put(RRUFF.format(rows=rows(", ")), "quartz.txt"))
    _same(pattern, scan)
    assert pattern.wavelength_A is None
    assert pattern.metadata["names"] == "Quartz"
    assert pattern.metadata["cell parameters"].startswith("a: 4.9134")


def test_third_column(scan, rows, put) -> None:
    text = rows(extra=" 2.5")
    assert np.unique(read_pattern(put(text, "a.xye")).sigma).tolist() == [2.5]
    other = read_pattern(put(text, "a.xy"))
    assert other.sigma is None
    assert "left out 3" in other.metadata["note on columns"]
    named = read_pattern(put("2theta,intensity,esd\n" + rows(",", extra=",2.5"), "a.csv"))
    assert np.unique(named.sigma).tolist() == [2.5]
    zeros = read_pattern(put(rows(extra=" 0"), "a.xye"))
    assert zeros.sigma is None
    assert "left out" in zeros.metadata["note on uncertainties"]
    for pattern in (other, named, zeros):
        _same(pattern, scan)


def test_named_columns_in_any_order(scan, put) -> None:
    text = "index,counts,two_theta_deg\n" + "".join(
        f"{i},{b:.1f},{a:.2f}\n" for i, (a, b) in enumerate(zip(*scan, strict=True))
    )
    _same(read_pattern(put(text, "a.csv")), scan)


def test_descending_scan_is_reversed_with_its_uncertainties(scan, put) -> None:
    text = "".join(f"{a:.2f} {b:.1f} {i + 1}\n" for i, (a, b) in enumerate(zip(*scan, strict=True)))
    pattern = read_pattern(put("\n".join(reversed(text.splitlines())), "a.xye"))
    _same(pattern, scan)
    assert pattern.sigma.tolist() == list(range(1, 81))
    assert "reversed" in pattern.metadata["note on order"]


def test_start_step_end_then_intensities(put) -> None:
    """DBWS and FullProf: no angles but the first row's."""
    values = [100 + (i * 7) % 13 for i in range(101)]
    text = "title\n 10.0 0.05 15.0\n" + "".join(
        " ".join(map(str, values[i : i + 10])) + "\n" for i in range(0, 101, 10)
    )
    pattern = read_pattern(put(text, "a.dat"))
    assert pattern.two_theta_deg == pytest.approx(10 + 0.05 * np.arange(101))
    assert pattern.intensity.tolist() == values


def test_fit2d_chi(scan, rows, put) -> None:
    _same(read_pattern(put("file.tif\n2-Theta Angle (Degrees)\nIntensity\n   80\n" + rows("  "), "a.chi")), scan)


def test_fortran_exponents(put) -> None:
    text = "".join(f"{10 + i}.0D+00 {i * i}.5d-01\n" for i in range(60))
    pattern = read_pattern(put(text))
    assert pattern.two_theta_deg[-1] == 69
    assert pattern.intensity[-1] == pytest.approx(348.15)


def test_long_lines_of_digits_are_refused_quickly(rows: Callable[..., str], put: Callable[..., object]) -> None:
    pattern = read_pattern(put("1" * 200_000 + "x\n" + rows()))
    assert len(pattern.intensity) == 80
