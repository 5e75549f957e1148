"""Axial divergence: the tail of a line towards low angles (high ones beyond 90 degrees) from tall specimens and slits.

A powder line is a cone of rays of half angle 2theta. A ray that leaves the specimen at height z and enters the detector
slit at height z' has risen by h = z' - z on its way, so the detector, which moves in the plane z = 0, meets it at an
apparent angle below 2theta:

    cos(apparent) = cos(2theta) sqrt(1 + (h / L)^2)

Sources: van Laar and Yelon, J. Appl. Cryst. 17, 47 (1984); Finger, Cox and Jephcoat, J. Appl. Cryst. 27, 892 (1994).
Their density of apparent angles is L W(h) / (h cos(apparent)), with W the share of pairs (z, z') that rise by h. It
grows without bound towards 2theta; over the azimuth psi of the ray on its cone it is W(h) alone, smooth everywhere,
because d psi / d(apparent) = L / (h cos(apparent)). The azimuth is therefore what is divided into nodes.

Valid for a parallel incident beam, 0 < 2theta < 180 degrees, and slits narrow beside the width of the line. The tail
of a line shorter than 6 of its FWHM is drawn to 0.15 % of its height, one of 10 FWHM to 1.3 %; centroids are good to
0.001 degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powderlens.core.elementary import gauss_legendre

Floats = NDArray[np.float64]

MAX_NODES = 24
"""Most sub-lines of one line."""
FEWEST, DENSITY = 4, 3.4
"""Sub-lines of a short tail, and how many more for each FWHM of it."""
NARROW = 0.15
"""The strongest line, where its tail is shorter than this share of its FWHM, is drawn as one, at its centroid."""
STEEP, MEAN_NODES = 0.4, 10
"""Up to this sine of the largest azimuth a centroid is a closed form, beyond it the mean of so many nodes."""
NEAR = 5.0
"""How far around a split line its sub-lines tell, beyond its tail, in units of sqrt(span FWHM)."""


def _gauss_legendre() -> tuple[Floats, Floats]:
    """Rules with 1 to `MAX_NODES` nodes."""
    nodes, weights = np.zeros((MAX_NODES + 1, MAX_NODES)), np.zeros((MAX_NODES + 1, MAX_NODES))
    for count in range(1, MAX_NODES + 1):
        x, w = gauss_legendre(count)
        nodes[count, :count], weights[count, :count] = (x + 1) / 2, w / 2
    return nodes, weights


NODES, WEIGHTS = _gauss_legendre()
"""(25, 24) Gauss-Legendre nodes on 0..1 and weights; row n holds the rule with n nodes, then zeros."""


def azimuth_limit(two_theta_deg: Floats, sample_over_l: float, detector_over_l: float) -> Floats:
    """Largest azimuth psi, radians, under which a ray of the cone still enters the detector.

    sin(psi) = h / (sqrt(1 + h^2) sin(2theta)) with h = S/L + H/L; pi / 2 where the whole cone fits into the slit.

    Args:
        two_theta_deg: Bragg angles, degrees.
        sample_over_l: S/L, half height of the irradiated specimen over the radius of the goniometer.
        detector_over_l: H/L, half height of the detector slit over the radius.

    Returns:
        Angles, same shape; 0 for a line that a shift has moved to 0 degrees or below.
    """
    rise = sample_over_l + detector_over_l
    sine = np.sin(np.radians(two_theta_deg))
    lit = sine > 0
    return np.where(lit, np.arcsin(np.minimum(rise / (np.sqrt(1 + rise * rise) * np.where(lit, sine, 1.0)), 1.0)), 0.0)


def axial_span_deg(two_theta_deg: Floats, sample_over_l: float, detector_over_l: float) -> Floats:
    """Length of the tail: from 2theta to the farthest apparent angle, degrees, not negative. Arguments as above."""
    two_theta = np.radians(two_theta_deg)
    psi = azimuth_limit(two_theta_deg, sample_over_l, detector_over_l)
    return np.asarray(np.degrees(np.abs(two_theta - np.arctan2(np.sin(two_theta) * np.cos(psi), np.cos(two_theta)))))


def axial_count(span_deg: Floats, fwhm_deg: Floats, height: Floats | float = 1.0) -> NDArray[np.int64]:
    """How many sub-lines stand for a line: one where none would tell, else 4 + ceil(3.4 span / FWHM), at most 24.

    One node, at the centroid, is wrong by about 0.15 (span / FWHM)^2 of the line's height. It stands where that is
    below 0.3 % of the strongest line: (span / FWHM)^2 height < 0.15^2. With more, a profile is within 0.4 % of its
    height for tails up to 5 FWHM, and 2 % up to 8.

    Args:
        span_deg: length of the tail, degrees.
        fwhm_deg: width of the line without it, degrees.
        height: of the line, relative to the strongest of its pattern.

    Returns:
        Counts, the shape of all.
    """
    ratio = np.asarray(span_deg) / np.asarray(fwhm_deg)
    many = np.minimum(FEWEST + np.ceil(DENSITY * ratio), MAX_NODES)
    return np.where(ratio * ratio * height < NARROW * NARROW, 1, many).astype(np.int64)


def moments(sample_over_l: Any, detector_over_l: Any) -> tuple[Any, Any]:
    """Means of h^2 and h^4 over all pairs of heights, each from -S to S and from -H to H, in units of L."""
    s2, h2 = sample_over_l**2, detector_over_l**2
    return (s2 + h2) / 3, s2 * s2 / 5 + 2 * s2 * h2 / 3 + h2 * h2 / 5


def centroid_shift(sine: Any, cosine: Any, second: Any, fourth: Any) -> Any:
    """How far the centroid lies below 2theta, radians, to fourth order in the heights.

    A rise h lowers 2theta by cot h^2 / 2 + cot (cot^2 - 1) h^4 / 8, and one of the azimuths, which are even on the
    cone, has it with the weight 1 + h^2 / (2 sin^2). Within 0.001 degrees of the integral where the largest azimuth
    has a sine of 0.4 or less.

    Args:
        sine: of 2theta, above 0.
        cosine: of 2theta.
        second: mean of h^2, see `moments`.
        fourth: mean of h^4.
    """
    cot = cosine / sine
    flat = cot / 2.0 * (second + (fourth - second * second) / (2.0 * sine * sine))
    return flat + cot * (cot * cot - 1.0) * fourth / 8.0


def near_deg(span_deg: Floats, fwhm_deg: Floats) -> Floats:
    """Distance from the centroid beyond which a split line is one Lorentzian there, degrees.

    The tails of sub-lines differ from it by their variance, 0.07 (span FWHM)^2 / distance^4 of the height: 4e-5 here.
    """
    return np.asarray(span_deg + NEAR * np.sqrt(span_deg * fwhm_deg))


def axial_nodes(
    two_theta_deg: Floats, sample_over_l: float, detector_over_l: float, count: int
) -> tuple[Floats, Floats]:
    """Sub-lines that together make the axial profile of each line.

    Gauss-Legendre nodes in the azimuth psi of the ray, from 0 to `azimuth_limit`:
    apparent = atan2(sin(2theta) cos(psi), cos(2theta)), h^2 = sin^2 psi sin^2 2theta / (1 - sin^2 psi sin^2 2theta),
    weight W(h) = min(2 min(S, H), S + H - h) / L. With one node: the centroid, see `centroid_shift`.

    Args:
        two_theta_deg: (...) Bragg angles, degrees.
        sample_over_l: S/L.
        detector_over_l: H/L; both 0 gives the line itself.
        count: nodes of each line, 1 to 24.

    Returns:
        (..., count) apparent angles in degrees and (..., count) weights with sum 1.
    """
    two_theta = np.radians(np.asarray(two_theta_deg, float))[..., None]
    cosine, sine = np.cos(two_theta), np.sin(two_theta)
    if count == 1:
        places, shares = axial_nodes(two_theta_deg, sample_over_l, detector_over_l, MEAN_NODES)
        mean = (places * shares).sum(axis=-1, keepdims=True)
        steep = np.sin(azimuth_limit(two_theta_deg, sample_over_l, detector_over_l))[..., None] > STEEP
        lit = np.where(sine > 0, sine, 1.0)
        shift = np.where(
            sine > 0, centroid_shift(lit, cosine, *moments(np.asarray(sample_over_l), np.asarray(detector_over_l))), 0.0
        )
        return np.where(steep, mean, np.degrees(two_theta - shift)), np.ones(two_theta.shape)
    psi = azimuth_limit(two_theta_deg, sample_over_l, detector_over_l)[..., None] * NODES[count, :count]
    up = (np.sin(psi) * sine) ** 2
    rise = np.sqrt(up / (1 - up))
    # Flat where every height of the lower of the two can be reached, then falling to 0 at S + H.
    plateau = max(2 * min(sample_over_l, detector_over_l), 1e-12)
    weights = WEIGHTS[count, :count] * np.minimum((sample_over_l + detector_over_l - rise) / plateau, 1.0)
    if sample_over_l + detector_over_l == 0:
        weights = np.broadcast_to(WEIGHTS[count, :count], psi.shape)
    apparent = np.degrees(np.arctan2(sine * np.cos(psi), cosine))
    return np.asarray(apparent), np.asarray(weights / weights.sum(axis=-1, keepdims=True))
