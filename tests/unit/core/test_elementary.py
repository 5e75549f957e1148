"""Functions that round the same everywhere: as good as the C library's, and the same bytes compiled or not."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from powderlens.core import elementary, elementary_compiled

Floats = NDArray[np.float64]
RNG = np.random.default_rng(1)
ARGUMENTS = {
    "exp": np.concatenate([RNG.uniform(-745, 709, 3000), RNG.uniform(-1, 1, 3000), [0.0, 709.78, -745.1, 1e-300]]),
    "log": np.concatenate([10.0 ** RNG.uniform(-307, 308, 3000), RNG.uniform(0.5, 2, 3000), [1.0, 5e-324, 1e-310]]),
    "sin": np.concatenate([RNG.uniform(-10, 10, 3000), RNG.uniform(-1.5e6, 1.5e6, 3000), np.arange(9) * np.pi / 2]),
    "cos": np.concatenate([RNG.uniform(-10, 10, 3000), RNG.uniform(-1.5e6, 1.5e6, 3000), np.arange(9) * np.pi / 2]),
    "arctan": np.concatenate(
        [RNG.uniform(-5, 5, 3000), 10.0 ** RNG.uniform(-9, 9, 3000), [0.0, 0.4375, 1.1875, -2.4375]]
    ),
    "arcsin": np.concatenate([RNG.uniform(-1, 1, 3000), 1 - 10.0 ** RNG.uniform(-16, -1, 3000), [0.0, 1.0, -1.0]]),
    "arccos": np.concatenate([RNG.uniform(-1, 1, 3000), 10.0 ** RNG.uniform(-16, -1, 3000) - 1, [0.0, 1.0]]),
}
COMPILED = ("exp", "log", "arctan", "arcsin")


@njit
def _mapped(function, x):  # type: ignore[no-untyped-def]
    out = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        out[i] = function(x[i])
    return out


@pytest.mark.parametrize("name", ARGUMENTS)
def test_good_to_two_units_in_the_last_place(name: str) -> None:
    x = ARGUMENTS[name]
    exact = getattr(np, name)(x.astype(np.longdouble))
    off = np.abs(getattr(elementary, name)(x).astype(np.longdouble) - exact)
    assert (off / np.spacing(np.abs(exact).astype(float)) < 2.1).all()


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("many", [10**9, 0])
def test_compiled_or_not_the_bytes_are_the_same(name: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementary, "MANY", many)
    x = np.concatenate([ARGUMENTS[name], [-0.0]])
    assert getattr(elementary, name)(x).tobytes() == _mapped(getattr(elementary_compiled, name), x).tobytes()


def test_sine_and_cosine_compiled_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    x = ARGUMENTS["sin"]
    compiled = elementary.sin_cos(x)
    monkeypatch.setattr(elementary, "MANY", 10**9)
    for plain, other in zip(elementary.sin_cos(x), compiled, strict=True):
        assert plain.tobytes() == other.tobytes()
    assert np.isnan(elementary.sin(2e6))


@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos"])
def test_one_number_gives_what_an_array_gives(name: str) -> None:
    function, ends = getattr(elementary, name), [0.0, -1.0, np.inf, -np.inf, np.nan, 800.0, -800.0, 2e6]
    for x in [*ARGUMENTS[name][::7].tolist(), *ends]:
        one = function(x)
        assert type(one) is float
        np.testing.assert_array_equal(one, function(np.array([x]))[0])


def test_at_the_ends() -> None:
    np.testing.assert_array_equal(elementary.exp([800.0, np.inf, -800.0, -np.inf]), [np.inf, np.inf, 0, 0])
    np.testing.assert_array_equal(elementary.log([0.0, np.inf, -1.0]), [-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(elementary.arcsin([1.0, -1.0, 1.5]), [np.pi / 2, -np.pi / 2, np.nan])
    np.testing.assert_array_equal(elementary.arccos([-1.0, 0.0, 1.0, 1.5]), [np.pi, np.pi / 2, 0.0, np.nan])


def test_an_angle_from_both_its_sides() -> None:
    angle = np.linspace(0, np.pi, 101)
    sine, cosine = np.sin(angle), np.cos(angle)
    found = [elementary_compiled.angle_of(3 * max(s, 0.0), 3 * c) for s, c in zip(sine, cosine, strict=True)]
    np.testing.assert_allclose(found, angle, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("x", "share"), [(0.0, 0.5), (1.0, 0.8413447460685429), (-3.0, 0.0013498980316300933), (9, 1)])
def test_share_of_the_normal_distribution(x: float, share: float) -> None:
    assert elementary.normal_share(x) == pytest.approx(share, abs=2e-15)


def test_cube_root() -> None:
    for x in (1e-9, 0.3, 8.0, 1e12):
        assert elementary.cube_root(x) ** 3 == pytest.approx(x, rel=1e-15)


def test_matrices() -> None:
    m, v = RNG.normal(size=(40, 3, 3)), RNG.normal(size=(40, 3))
    np.testing.assert_allclose(elementary.product(m, m[0]), m @ m[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(elementary.product(v, m[0]), v @ m[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(elementary.turned(m, v[0]), m @ v[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(elementary.determinant(m), np.linalg.det(m), rtol=0, atol=1e-13)
    np.testing.assert_allclose(elementary.inverse(m) @ m, np.broadcast_to(np.eye(3), m.shape), rtol=0, atol=1e-11)
    np.testing.assert_allclose(elementary.lengths(v), np.linalg.norm(v, axis=1), rtol=1e-15)
    whole = np.arange(9, dtype=np.int64).reshape(3, 3)
    assert elementary.product(whole, whole).dtype == np.int64
    with pytest.raises(np.linalg.LinAlgError):
        elementary.inverse(np.zeros((3, 3)))


@pytest.mark.parametrize("count", [1, 2, 7, 24, 40])
def test_gauss_legendre(count: int) -> None:
    nodes, weights = elementary.gauss_legendre(count)
    exact_nodes, exact_weights = np.polynomial.legendre.leggauss(count)
    np.testing.assert_allclose(nodes, exact_nodes, rtol=0, atol=1e-15)
    np.testing.assert_allclose(weights, exact_weights, rtol=0, atol=1e-14)
    assert sum(weights * nodes ** (2 * count - 2)) == pytest.approx(2 / (2 * count - 1), rel=1e-13)
