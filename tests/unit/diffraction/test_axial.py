"""Axial divergence against the geometry of cones, integrated over the heights of specimen and slit."""

import numpy as np
import pytest

from powderlens.diffraction.axial import MAX_NODES, axial_count, axial_nodes, axial_span_deg

HEIGHTS = (0.005, 0.01, 0.02, 0.03, 0.04)
ANGLES = (5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 80.0, 89.0, 91.0, 100.0, 120.0, 135.0, 150.0)


def over_heights(two_theta_deg: float, sample: float, detector: float, nodes: int = 200) -> tuple[np.ndarray, ...]:
    """Apparent angles and weights for every pair of heights z, z' (Gauss-Legendre in both).

    A ray that rises by h comes from the azimuth at which cos(apparent) = cos(2theta) sqrt(1 + h^2). The cone is lit
    evenly in azimuth, so dz' counts for d azimuth / dh = cos^2(2theta) / (cos^2(apparent) sin(apparent)).
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    h = detector * x[None, :] - sample * x[:, None]
    cosine = np.cos(np.radians(two_theta_deg)) * np.sqrt(1 + h * h)
    assert (np.abs(cosine) < 1).all(), "the slit takes in the whole cone"
    apparent = np.arccos(cosine)
    weight = w[:, None] * w[None, :] / ((1 + h * h) * np.sin(apparent))
    return np.degrees(apparent).ravel(), (weight / weight.sum()).ravel()


@pytest.mark.parametrize("fwhm_deg", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("two_theta_deg", ANGLES)
def test_centroid_with_the_nodes_that_a_line_gets(two_theta_deg: float, fwhm_deg: float) -> None:
    angle = np.array([two_theta_deg])
    for sample in HEIGHTS:
        for detector in HEIGHTS:
            apparent, weight = over_heights(two_theta_deg, sample, detector, 60)
            count = int(axial_count(axial_span_deg(angle, sample, detector), fwhm_deg)[0])
            nodes, shares = axial_nodes(angle, sample, detector, count)
            assert (nodes * shares).sum() == pytest.approx((apparent * weight).sum(), abs=0.002), (sample, detector)
            assert shares.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("sample", "detector"), [(0.02, 0.02), (0.01, 0.03), (0.03, 0.01), (0.0, 0.03), (0.03, 0.0)])
@pytest.mark.parametrize("two_theta_deg", [8.0, 40.0, 140.0])
def test_share_of_the_line_on_each_part_of_the_tail(two_theta_deg: float, sample: float, detector: float) -> None:
    """The whole distribution, as the share beyond a tenth, a third and two thirds of the span."""
    apparent, weight = over_heights(two_theta_deg, sample, detector, 900)
    angle = np.array([two_theta_deg])
    span = axial_span_deg(angle, sample, detector)[0]
    nodes, shares = axial_nodes(angle, sample, detector, MAX_NODES)
    assert np.abs(apparent - two_theta_deg).max() == pytest.approx(span, rel=0.01)
    # Smoothed by a Gaussian, as any line is, so that 24 nodes make a curve.
    sigma = span / 12
    for part in (0.0, 0.1, 0.33, 0.67):
        at = two_theta_deg - np.sign(90 - two_theta_deg) * part * span
        height = (np.exp(-0.5 * ((nodes[0] - at) / sigma) ** 2) * shares[0]).sum()
        true = (np.exp(-0.5 * ((apparent - at) / sigma) ** 2) * weight).sum()
        assert height == pytest.approx(true, abs=2e-3), part


def test_the_density_of_finger_cox_and_jephcoat() -> None:
    """Between two nodes the line has the share that integrates L W / (h cos(apparent)), their equation for D."""
    two_theta, sample, detector = 20.0, 0.015, 0.025
    angle = np.array([two_theta])
    span = axial_span_deg(angle, sample, detector)[0]
    t = (np.arange(200_000) + 0.5) / 200_000  # apparent = 2theta - span t^2 takes the singular root away
    apparent = np.radians(two_theta - span * t * t)
    h = np.sqrt((np.cos(apparent) / np.cos(np.radians(two_theta))) ** 2 - 1)
    density = np.minimum(2 * min(sample, detector), sample + detector - h) / (h * np.cos(apparent)) * t
    density = np.maximum(density, 0) / np.maximum(density, 0).sum()
    nodes, shares = axial_nodes(angle, sample, detector, MAX_NODES)
    for power in (1, 2, 3):
        moment = (density * (span * t * t) ** power).sum()
        assert (shares * (two_theta - nodes) ** power).sum() == pytest.approx(moment, rel=2e-3)


def test_tail_points_to_low_angles_below_90_and_to_high_ones_beyond() -> None:
    nodes, _ = axial_nodes(np.array([30.0, 150.0, 90.0]), 0.02, 0.02, 8)
    assert (nodes[0] < 30).all()
    assert (nodes[1] > 150).all()
    np.testing.assert_allclose(nodes[0] - 30, 150 - nodes[1], atol=1e-12)
    np.testing.assert_allclose(nodes[2], 90, atol=1e-10)


def test_one_node_is_the_centroid_of_many() -> None:
    angles = np.array([15.0, 40.0, 90.0, 120.0])
    one, whole = axial_nodes(angles, 0.005, 0.01, 1)
    many, shares = axial_nodes(angles, 0.005, 0.01, MAX_NODES)
    np.testing.assert_allclose(one[:, 0], (many * shares).sum(axis=1), atol=2e-5)
    assert whole.tolist() == [[1.0]] * 4


def test_a_slit_that_takes_in_the_whole_cone() -> None:
    """A line at 1 degree and heights of 0.04 + 0.04: apparent angles run down to 0, mean 2 / pi degrees."""
    angle = np.array([1.0])
    assert axial_span_deg(angle, 0.04, 0.04)[0] == pytest.approx(1.0, abs=1e-9)
    nodes, shares = axial_nodes(angle, 0.08, 0.01, 12)
    assert ((nodes >= 0) & (nodes < 1)).all()
    assert (nodes * shares).sum() == pytest.approx(2 / np.pi, rel=1e-3)
    assert axial_nodes(angle, 0.08, 0.01, 1)[0][0, 0] == pytest.approx(2 / np.pi, rel=1e-3)


def test_lines_outside_the_scan_stay_finite() -> None:
    """A zero shift can move a line below 0; it is drawn there and never seen."""
    for count in (1, 6):
        nodes, shares = axial_nodes(np.array([-0.5, 0.0]), 0.02, 0.02, count)
        np.testing.assert_allclose(nodes, np.broadcast_to([[-0.5], [0.0]], nodes.shape), atol=1e-12)
        np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_no_heights_no_tail() -> None:
    nodes, shares = axial_nodes(np.array([20.0, 70.0]), 0.0, 0.0, 5)
    np.testing.assert_allclose(nodes, np.broadcast_to([[20.0], [70.0]], (2, 5)), atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_count() -> None:
    spans = np.array([0.0, 0.0099, 0.011, 0.05, 0.1, 5.0])
    assert axial_count(spans, np.full(6, 0.1)).tolist() == [1, 1, 1, 6, 8, MAX_NODES]
    assert axial_count(spans, np.full(6, 0.1), 0.01).tolist() == [1, 1, 1, 1, 1, MAX_NODES], "weak lines"


@pytest.mark.parametrize("ratio", [0.09, 0.16, 0.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize(("sample", "detector"), [(0.02, 0.02), (0.01, 0.03)])
def test_a_drawn_line_is_that_of_many_nodes(ratio: float, sample: float, detector: float) -> None:
    """For tails up to 5 FWHM a Gaussian line is right to 0.4 % of its height."""
    angle = np.array([15.0])
    span = axial_span_deg(angle, sample, detector)[0]
    fwhm = span / ratio
    count = int(axial_count(span, fwhm))
    x = np.linspace(15 - span - 2 * fwhm, 15 + 2 * fwhm, 500)[:, None]
    nodes, shares = axial_nodes(angle, sample, detector, count)
    apparent, weight = over_heights(15.0, sample, detector, 300)
    order = np.argsort(apparent)
    # Pairs of heights in 4,000 bins of equal number, for speed.
    parts = np.array_split(order, 4000)
    places = np.array([np.average(apparent[p], weights=weight[p]) for p in parts])
    true = (np.array([weight[p].sum() for p in parts]) * np.exp(-4 * np.log(2) * ((x - places) / fwhm) ** 2)).sum(
        axis=1
    )
    drawn = (shares * np.exp(-4 * np.log(2) * ((x - nodes) / fwhm) ** 2)).sum(axis=1)
    assert np.abs(drawn - true).max() < 4e-3 * true.max()
