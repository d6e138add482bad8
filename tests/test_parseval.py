"""Inner products and second moments against quadrature, Monte Carlo and known kernels."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import draws, mean_and_error, mean_by_quadrature, numeric

from sie_sym.errors import DomainError
from sie_sym.functions import TOKENS, He, Phi, gelu, relu, token
from sie_sym.parseval import contraction, function_of, second_moment
from sie_sym.transforms.composite_transform import SumTransform
from sie_sym.weierstrass import weierstrass_transform

Z1, Z2, Z3 = token(1), token(2), token(3)
INDEX = sp.Symbol("l", integer=True)
S = sp.Sum(TOKENS[INDEX] ** 2, (INDEX, 1, 3))

SMOOTH = [
    Z1**2 * Z2 - 3,
    sp.exp(Z1 / 2) + sp.sin(Z2),
    sp.erf(Z1) * sp.cos(Z2) + Z1,
    gelu((Z1 + Z2) / sp.sqrt(2)) + sp.cos(Z1 + Z2),
    (1 + Z1) * Phi(Z2) + He(3, Z1 + Z2),
    sp.exp(-(Z1**2)) * Z2 + sp.exp(-Z1 * Z2 / 4),
    sp.sinh(Z1 / 3) * sp.cosh(Z1 / 3) + 2,
]
SHARP = [
    relu(Z1) + relu(Z2) * Z1,
    sp.sign(Z1) * Z2 + sp.Abs(Z1),
    sp.Heaviside(Z1 - 1) * Z1**2 + sp.Heaviside(Z2),
    sp.Max(Z1, Z2) + sp.sign(Z3),
    relu(Z1 + Z2) * sp.sign(Z1 - Z2) + Z3,
    sp.sign(Z1 + Z2) + sp.sign(Z1),
]


@pytest.mark.parametrize("expression", SMOOTH, ids=str)
def test_second_moments_against_quadrature(expression: sp.Expr) -> None:
    value = second_moment(weierstrass_transform(expression))
    assert float(value) == pytest.approx(mean_by_quadrature(expression**2, 2, 80), rel=1e-9)


@pytest.mark.parametrize("expression", SHARP, ids=str)
def test_second_moments_against_monte_carlo(expression: sp.Expr) -> None:
    value = float(second_moment(weierstrass_transform(expression)))
    points, _ = draws(3, 400_000, seed=1)
    mean, error = mean_and_error(numeric([expression], 3)(points)[0] ** 2)
    assert abs(value - mean) < 5 * error


def test_known_second_moments() -> None:
    """E relu^2 = 1/2, E sign^2 = 1, E He_k^2 = k!, E (sum z^2)^2 = L^2 + 2L for chi-squared."""
    assert second_moment(weierstrass_transform(relu(Z1))) == sp.Rational(1, 2)
    assert second_moment(weierstrass_transform(sp.sign(Z1 * Z2))) == 1
    assert second_moment(weierstrass_transform(He(5, Z1))) == 120
    assert second_moment(weierstrass_transform(S)) == 15
    long = sp.Sum(TOKENS[INDEX] ** 2, (INDEX, 1, 300))
    assert second_moment(weierstrass_transform(long)) == 300**2 + 2 * 300


def test_parts_that_are_equal_count_twice() -> None:
    double = weierstrass_transform(sp.sign(Z1) + sp.Abs(Z2))
    assert isinstance(double, SumTransform)
    twice = SumTransform((*double.parts, *double.parts))
    assert second_moment(twice) == sp.expand(4 * second_moment(double))


def test_infinite_second_moment() -> None:
    with pytest.raises(DomainError):
        second_moment(weierstrass_transform(sp.exp(Z1**2 / 3)))


@pytest.mark.parametrize("rho", [-1, -0.6, 0.0, 0.35, 1])
def test_arc_cosine_kernel(rho: float) -> None:
    """E relu(x) relu(y) = (sqrt(1 - rho^2) + rho (pi - arccos rho)) / (2 pi) (Cho and Saul 2009)."""
    transform = weierstrass_transform(relu(Z1))
    series = sum(float(contraction(transform, transform, k)) * rho**k for k in range(41))
    exact = (np.sqrt(1 - rho**2) + rho * (np.pi - np.arccos(rho))) / (2 * np.pi)
    assert series == pytest.approx(exact, abs=1e-12 if abs(rho) < 0.5 else 2e-4)


@pytest.mark.parametrize("rho", [-0.5, 0.3])
def test_arc_sine_kernels(rho: float) -> None:
    """E sign sign = (2/pi) arcsin rho; E erf erf = (2/pi) arcsin(2 rho / 3) (Williams 1997)."""
    for h, exact in ((sp.sign(Z1), np.arcsin(rho)), (sp.erf(Z1), np.arcsin(2 * rho / 3))):
        transform = weierstrass_transform(h)
        series = sum(float(contraction(transform, transform, k)) * rho**k for k in range(60))
        assert series == pytest.approx(2 / np.pi * exact, abs=1e-9)


PAIRS = [
    (Z1 * Z2, sp.exp(Z1 + Z2)),
    (sp.sin(Z1) + sp.cos(Z2), sp.erf(Z1 + Z2)),
    (sp.sin(Z1) * sp.exp(Z2 / 2), Z1 * Z2**2 + sp.erf(Z2)),
    (sp.sin(Z1 + Z2), sp.sin(Z1 - Z2) + sp.exp(Z1 / 2)),
    (sp.exp(-Z1 * Z2 / 8), sp.cos(Z1) * Z2**2),
]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_parseval(left: sp.Expr, right: sp.Expr) -> None:
    """E h h' by quadrature is the sum of the contractions."""
    a, b = weierstrass_transform(left), weierstrass_transform(right)
    # A function that couples tokens is differentiated as a whole: high orders are slow.
    last = 8 if left.has(Z1 * Z2) else 18
    total = sum(float(contraction(a, b, k)) for k in range(last + 1))
    assert total == pytest.approx(mean_by_quadrature(left * right, 2, 80), abs=1e-6)
    assert contraction(a, b, 3) == contraction(b, a, 3)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4))
def test_parseval_is_exact_for_polynomials(terms: list[tuple[int, int, int]]) -> None:
    """Moments of polynomials by the double factorials."""
    h = sp.Add(*(c * Z1**i * Z2**j for c, i, j in terms))
    square = sp.Poly(h**2, Z1, Z2)
    moment = {n: sp.factorial2(n - 1) if n % 2 == 0 else sp.Integer(0) for n in range(13)}
    expected = sum(c * moment[i] * moment[j] for (i, j), c in square.terms())
    assert second_moment(weierstrass_transform(h)) == expected


@pytest.mark.parametrize("expression", [*SMOOTH, *SHARP, S, sp.Product(1 + TOKENS[INDEX], (INDEX, 1, 3))], ids=str)
def test_the_inverse_transform_returns_the_function(expression: sp.Expr) -> None:
    points, _ = draws(3, 50, seed=2)
    plain = expression.doit().xreplace({TOKENS[l]: token(l) for l in (1, 2, 3)})
    back = function_of(weierstrass_transform(expression))
    assert np.allclose(numeric([back], 3)(points), numeric([plain], 3)(points), rtol=1e-9, atol=1e-9)
