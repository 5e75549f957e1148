"""What a `Pattern` refuses."""

import numpy as np
import pytest

from powderlens.core.errors import PatternError, WavelengthError
from powderlens.pattern.pattern import Pattern

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
