"""What a `Pattern` refuses."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import PatternError, WavelengthError
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.wavelength import parse_radiation

X = np.linspace(10, 20, 60)
Y = np.arange(60.0)


def test_takes_lists_and_integers() -> None:
    pattern = Pattern(list(range(10, 70)), list(range(60)))  # type: ignore[arg-type]
    assert pattern.two_theta_deg.dtype == pattern.intensity.dtype == np.float64


def _with(values: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:-1], Y, "59"),
        (X[:49], Y[:49], "49 points; at least 50"),
        (X, _with(Y, 5, np.nan), "point 6 is not a number"),
        (X, _with(Y, 5, np.inf), "point 6 is not a number"),
        (_with(X, 7, np.nan), Y, "point 8 is not a number"),
        (X - 15, Y, "-5 degrees is negative"),
        (X * 10, Y, "reaches 200"),
        (_with(X, 10, X[12]), Y, "does not ascend at point 12"),
        (_with(X, 10, X[9]), Y, "does not ascend at point 11"),
        (X, np.full(60, 3.0), "every intensity is 3"),
        (X, np.full(60, "a"), "must be numbers"),
    ],
)
def test_refusals(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(PatternError, match=message) as caught:
        Pattern(x, y, source="scan.xy")
    assert str(caught.value).startswith("scan.xy: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sigma", [np.ones(59), _with(np.ones(60), 3, -1.0), _with(np.ones(60), 3, np.nan)])
def test_refuses_uncertainties(sigma: np.ndarray) -> None:
    with pytest.raises(PatternError, match="uncertainty"):
        Pattern(X, Y, sigma=sigma)


@pytest.mark.parametrize("wavelength_A", [0.0, -1.0, float("nan")])
def test_refuses_wavelengths(wavelength_A: float) -> None:
    with pytest.raises(WavelengthError, match="must be positive"):
        Pattern(X, Y, wavelength_A=wavelength_A)


def test_a_mask_and_what_is_left() -> None:
    mask = X > 11
    pattern = Pattern(X, Y, mask=mask, sigma=np.sqrt(Y + 1))
    left = pattern.measured_only()
    assert left.two_theta_deg.tolist() == X[mask].tolist()
    assert left.sigma is not None
    assert left.sigma.tolist() == np.sqrt(Y + 1)[mask].tolist()
    assert left.mask is None
    assert left.measured_only() is left
    with pytest.raises(PatternError, match=r"a mask of shape \(59,\)"):
        Pattern(X, Y, mask=mask[1:])
    with pytest.raises(PatternError, match=r"leaves 10 of 60 points; .* at least 50"):
        Pattern(X, Y, mask=np.arange(60) < 10)
    with pytest.raises(PatternError, match="constant"):
        Pattern(X, np.where(mask, 3.0, Y), mask=mask)


def test_the_radiation_goes_with_its_wavelength() -> None:
    """A line that the user named brings its doublet; another wavelength is another radiation."""
    copper = parse_radiation("CuKa")
    pattern = Pattern(X, Y, copper.wavelength_A, radiation=copper)
    assert pattern.radiation is copper
    assert (copper.ka2_ratio, parse_radiation("CuKa1").ka2_ratio) == (0.5, 0.0)
    assert copper.wavelength_A == pytest.approx((copper.ka1_A + copper.ka2_ratio * copper.ka2_A) / 1.5)
    assert replace(pattern, intensity=Y + 1).radiation is copper
    for other in (0.7107, None):
        assert replace(pattern, wavelength_A=other).radiation is None
