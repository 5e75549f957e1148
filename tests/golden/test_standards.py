"""Line positions of powder standards from their certified cells, at Cu K-alpha-1; SOURCES.md says whose figures."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from powderlens.core.constants import ANODES
from powderlens.diffraction.simulate import Peak, peaks, simulate

CU_KA1_A = 1.5405929
RANGE_DEG = (15.0, 150.0)


class Standard(NamedTuple):
    """Cell and structure; `allowed` says which hkl the space group lets through."""

    a_A: float
    c_A: float
    hexagonal: bool
    group: str
    sites: str
    allowed: Callable[[int, int, int], bool]


def _diamond(h: int, k: int, l: int) -> bool:
    odd = {h % 2, k % 2, l % 2}
    return odd == {1} or (odd == {0} and (h + k + l) % 4 == 0)


def _corundum(h: int, k: int, l: int) -> bool:
    """-h + k + l = 3n of the lattice, and of the c glide h -h 0 l, 0 k l, h 0 l: l = 2n (for hkl of one family)."""
    return (-h + k + l) % 3 == 0 and not (0 in (h, k, h + k) and l % 2)


STANDARDS = {
    "Si 640f": Standard(5.431144, 5.431144, False, "F d -3 m:1", "Si1 Si 0 0 0", _diamond),
    "LaB6 660c": Standard(
        4.156826, 4.156826, False, "P m -3 m", "La1 La 0 0 0\nB1 B 0.19925 0.5 0.5", lambda h, k, l: True
    ),
    "Al2O3 676a": Standard(4.759091, 12.991779, True, "R -3 c:H", "Al1 Al 0 0 0.35219\nO1 O 0.30624 0 0.25", _corundum),
}

# Published positions, degrees at 1.5405929 A, to three decimals.
SI_640E_A = 5.431179
SI_640E = {
    (1, 1, 1): 28.441,
    (2, 2, 0): 47.300,
    (3, 1, 1): 56.120,
    (4, 0, 0): 69.126,
    (3, 3, 1): 76.372,
    (4, 2, 2): 88.025,
    (5, 1, 1): 94.947,
    (4, 4, 0): 106.701,
    (5, 3, 1): 114.084,
    (6, 2, 0): 127.534,
    (5, 3, 3): 136.880,
}
SI_640D_A = 5.43123
SI_640D = dict(
    zip(SI_640E, (28.441, 47.3, 56.119, 69.126, 76.371, 88.024, 94.946, 106.7, 114.082, 127.532, 136.877), strict=True)
)
CORUNDUM = {
    (0, 1, 2): 25.574,
    (1, 0, 4): 35.149,
    (1, 1, 0): 37.773,
    (1, 1, 3): 43.351,
    (0, 2, 4): 52.548,
    (1, 1, 6): 57.497,
    (2, 1, 4): 66.513,
    (3, 0, 0): 68.203,
    (1, 0, 10): 76.873,
    (1, 1, 9): 77.233,
    (2, 2, 3): 84.348,
    (0, 2, 10): 88.994,
    (1, 3, 4): 91.179,
    (2, 2, 6): 95.240,
    (2, 1, 10): 101.070,
    (3, 2, 4): 116.085,
    (0, 1, 14): 116.602,
    (4, 1, 0): 117.835,
    (4, 1, 3): 122.019,
    (1, 3, 10): 127.671,
    (3, 0, 12): 129.870,
    (2, 0, 14): 131.098,
    (1, 4, 6): 136.056,
    (1, 1, 15): 142.314,
    (4, 0, 10): 145.153,
    (0, 5, 4): 149.185,
}


def write(folder: Path, standard: Standard) -> Path:
    path = folder / "standard.cif"
    path.write_text(
        f"""data_standard
_cell_length_a {standard.a_A}
_cell_length_b {standard.a_A}
_cell_length_c {standard.c_A}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {120 if standard.hexagonal else 90}
_space_group_name_H-M_alt '{standard.group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{standard.sites}
"""
    )
    return path


def inv_d2_per_A2(standard: Standard, h: int, k: int, l: int) -> float:
    """1/d^2, written out for cubic and for hexagonal axes."""
    if standard.hexagonal:
        return 4 / 3 * (h * h + h * k + k * k) / standard.a_A**2 + l * l / standard.c_A**2
    return (h * h + k * k + l * l) / standard.a_A**2


def bragg_deg(standard: Standard, h: int, k: int, l: int) -> float:
    """2theta in degrees: sin(theta) = lambda / (2 d)."""
    return float(2 * np.degrees(np.arcsin(CU_KA1_A * np.sqrt(inv_d2_per_A2(standard, h, k, l)) / 2)))


def expected_deg(standard: Standard) -> list[float]:
    """Every angle at which the standard may reflect, once each."""
    n = 16
    triples = ((h, k, l) for h in range(-n, n + 1) for k in range(-n, n + 1) for l in range(n + 1))
    found = [
        bragg_deg(standard, *hkl)
        for hkl in triples
        if hkl != (0, 0, 0) and standard.allowed(*hkl) and CU_KA1_A**2 * inv_d2_per_A2(standard, *hkl) < 4
    ]
    inside = sorted(angle for angle in found if RANGE_DEG[0] <= angle <= RANGE_DEG[1])
    return [angle for i, angle in enumerate(inside) if i == 0 or angle - inside[i - 1] > 1e-6]


def lines(folder: Path, standard: Standard) -> list[Peak]:
    return peaks(write(folder, standard), "CuKa1", two_theta_deg=RANGE_DEG)


@pytest.mark.parametrize("name", STANDARDS)
def test_positions_are_those_of_the_certified_cell(name: str, tmp_path: Path) -> None:
    """Within 1e-4 degrees of Bragg's law, hkl by hkl, and no line too many or too few."""
    assert ANODES["Cu"].ka1_A == CU_KA1_A
    standard = STANDARDS[name]
    found = lines(tmp_path, standard)
    for peak in found:
        assert peak.two_theta_deg == pytest.approx(bragg_deg(standard, peak.h, peak.k, peak.l), abs=1e-4, rel=0)
        assert standard.allowed(peak.h, peak.k, peak.l)
    angles = sorted(peak.two_theta_deg for peak in found)
    distinct = [angle for i, angle in enumerate(angles) if i == 0 or angle - angles[i - 1] > 1e-6]
    expected = expected_deg(standard)
    assert len(expected) >= 11
    assert distinct == pytest.approx(expected, abs=1e-4, rel=0)


@pytest.mark.parametrize(("a_A", "published"), [(SI_640E_A, SI_640E), (SI_640D_A, SI_640D)], ids=["Si 640e", "Si 640d"])
def test_published_positions_of_silicon(
    a_A: float, published: dict[tuple[int, int, int], float], tmp_path: Path
) -> None:
    """The tables round to 0.001 degrees: within half of that, and as much for the rounding of the cell."""
    found = {
        tuple(sorted((p.h, p.k, p.l), reverse=True)): p.two_theta_deg
        for p in lines(tmp_path, STANDARDS["Si 640f"]._replace(a_A=a_A, c_A=a_A))
    }
    assert set(found) == set(published) | {(3, 3, 3)}, "which lies on 511"
    for hkl, angle in published.items():
        assert found[hkl] == pytest.approx(angle, abs=6e-4, rel=0)


def test_published_positions_of_corundum(tmp_path: Path) -> None:
    """The list names no cell: its 26 lines fix two lengths, and what is left is the rounding of the list."""
    inv_d2 = [(2 * np.sin(np.radians(angle / 2)) / CU_KA1_A) ** 2 for angle in CORUNDUM.values()]
    terms = [(4 / 3 * (h * h + h * k + k * k), l * l) for h, k, l in CORUNDUM]
    (a_star2, c_star2), *_ = np.linalg.lstsq(np.array(terms), np.array(inv_d2), rcond=None)
    standard = STANDARDS["Al2O3 676a"]._replace(a_A=a_star2**-0.5, c_A=c_star2**-0.5)
    assert standard.a_A == pytest.approx(4.759091, rel=1e-4), "near the other standard's"
    found = np.array([peak.two_theta_deg for peak in lines(tmp_path, standard)])
    for angle in CORUNDUM.values():
        assert np.abs(found - angle).min() < 6e-4


@pytest.mark.parametrize("name", STANDARDS)
def test_the_curve_peaks_at_the_lines(name: str, tmp_path: Path) -> None:
    """The drawn pattern too: around each strong line that stands alone, the highest point is on it, to the grid."""
    path, step_deg = write(tmp_path, STANDARDS[name]), 0.002
    found = lines(tmp_path, STANDARDS[name])
    pattern = simulate(path, "CuKa1", two_theta_deg=RANGE_DEG, step_deg=step_deg, crystallite_size_nm=1000.0)
    alone = [
        peak
        for peak in found
        if peak.intensity > 5 and sum(abs(peak.two_theta_deg - other.two_theta_deg) < 2 for other in found) == 1
    ]
    assert len(alone) >= 5
    for peak in alone:
        near = np.flatnonzero(np.abs(pattern.two_theta_deg - peak.two_theta_deg) < 0.5)
        top = pattern.two_theta_deg[near[np.argmax(pattern.intensity[near])]]
        assert top == pytest.approx(peak.two_theta_deg, abs=step_deg / 2 + 1e-4)
