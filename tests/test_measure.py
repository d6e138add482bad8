"""Float values with their errors: exact, enclosed, numerical; each against another route."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy import integrate

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.functions import He, relu, sigmoid, softmax, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.quadratures.measure import Measured, measure
from sie_sym.quadratures.sampled_coefficients import HermiteSum, sampled_coefficients
from sie_sym.quadratures.spectral import softmax_matrix

measure_module = importlib.import_module("sie_sym.quadratures.measure")

Z1, Z2, Z3 = (token(l) for l in range(1, 4))


def normal(x: float) -> float:
    return float(np.exp(-x * x / 2) / np.sqrt(2 * np.pi))


def test_exact_values() -> None:
    found = measure(sp.sqrt(2) + sp.erf(1))
    assert found.value == pytest.approx(np.sqrt(2) + 0.8427007929497149, abs=1e-15)
    assert found.error < 1e-15
    assert found.evidence is Evidence.EXACT
    assert measure(sp.Integer(0)) == Measured(0.0, 0.0, Evidence.EXACT)


@pytest.mark.parametrize("weight", [0, 2])
def test_one_token_against_scipy(weight: int) -> None:
    node = GaussianExpectation(sp.tanh(Z1) ** 2, {Z1: sp.Rational(1, 3)}, {1: weight})
    found = measure(node)
    hermite = (lambda x: 1.0) if weight == 0 else (lambda x: x * x - 1)
    expected, _ = integrate.quad(lambda x: np.tanh(x + 1 / 3) ** 2 * hermite(x) * normal(x), -12, 12, epsabs=1e-13)
    assert abs(found.value - expected) < 1e-12
    assert abs(found.value - expected) <= found.error + 1e-12
    assert found.evidence is Evidence.ENCLOSED


def test_kinks_are_enclosed() -> None:
    """E relu(tanh Z) = int_0^inf tanh: grids converge slowly there, the ball does not."""
    found = measure(GaussianExpectation(relu(sp.tanh(Z1)), {}, {}))
    expected, _ = integrate.quad(lambda x: np.tanh(x) * normal(x), 0, 12, epsabs=1e-14)
    assert abs(found.value - expected) < 1e-12
    assert found.error < 1e-8


def test_two_tokens_enclosed() -> None:
    """E[S11 z1 z2], theory section 9."""
    found = measure(GaussianExpectation(sigmoid(Z1 * (Z1 - Z2)), {}, {1: 1, 2: 1}))
    assert abs(found.value + 0.1062875009) < 6e-11
    assert found.error < 1e-8
    assert (found.evidence, found.sign) == (Evidence.ENCLOSED, -1)


def test_three_tokens_are_numerical() -> None:
    """E softmax_1(z1^2, z1 z2, z1 z3) against Monte Carlo of a million draws."""
    node = GaussianExpectation(softmax(1, Z1**2, Z1 * Z2, Z1 * Z3), {}, {})
    found = measure(node)
    z = np.random.default_rng(5).standard_normal((3, 10**6))
    scores = z[0] * z
    values = 1 / np.exp(scores - scores[0]).sum(axis=0)
    assert abs(found.value - values.mean()) < 5 * values.std() / 1e3 + found.error
    assert found.evidence is Evidence.NUMERICAL
    assert 0 < found.error < 1e-6
    # each row has sum 1 and the two others are alike: an exact identity that the numbers keep
    other = measure(GaussianExpectation(softmax(2, Z1**2, Z1 * Z2, Z1 * Z3), {}, {}))
    assert abs(found.value + 2 * other.value - 1) <= found.error + 2 * other.error


def test_the_error_covers_cancellation() -> None:
    """x - x' with x' a decimal of x: the error is that of x, not that of the difference."""
    node = GaussianExpectation(sp.tanh(Z1), {}, {1: 1})
    found = measure(10**6 * (node - sp.Rational("0.605705509602158825583540")))  # the digits by mpmath
    assert abs(found.value) <= found.error
    assert found.sign is None


def test_signs() -> None:
    slope = GaussianExpectation(sp.tanh(Z1), {}, {1: 1})
    assert (measure(slope - 1).sign, measure(slope - 1).evidence) == (-1, Evidence.ENCLOSED)
    three = GaussianExpectation(softmax(1, Z1**2, Z1 * Z2, Z1 * Z3), {}, {})
    found = measure(three)
    assert (found.sign, found.evidence) == (1, Evidence.NUMERICAL)
    assert measure(three - sp.Rational(found.value)).sign is None


def test_free_symbols_are_named() -> None:
    with pytest.raises(FormulaError, match="omega left free"):
        measure(sp.Symbol("omega", real=True) * He(2, sp.Integer(3)))


def test_two_routes_that_disagree_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["sie_sym.quadratures.measure"], "_grid_value", lambda node: arb(0.7, 1e-9))
    with pytest.raises(SieSymError, match="disagree"):
        measure(GaussianExpectation(sp.tanh(sp.Rational(9, 8) * Z1), {}, {1: 1}))  # of which no value is kept yet


@pytest.mark.parametrize("square", [2500, 10**4, 10**6])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_underflows_is_not_zero(square: int, sign: int) -> None:
    """E exp(-(Z - c)^2/2) = exp(-c^2/4)/sqrt 2, at c = 100: about 1e-1086, which no float holds."""
    found = measure(sign * sp.sqrt(2) / 2 * sp.exp(-square))
    assert (found.value, found.evidence) == (0.0, Evidence.EXACT)
    assert found.error >= np.nextafter(0.0, 1.0) > 0
    assert found.sign is None


def test_subnormal_values_have_the_error_of_their_few_bits() -> None:
    found = measure(sp.Rational(1, 3) * sp.Rational(1, 2) ** 1072)
    assert 0 < found.value < sys.float_info.min
    exact = sp.Rational(1, 3) * sp.Rational(1, 2) ** 1072
    assert abs(sp.Rational(found.value) - exact) <= sp.Rational(found.error)


# ---- many tokens ---------------------------------------------------------------------------------


def entry(i: int, tokens: int, alpha: dict[int, int]) -> sp.Expr:
    """C_alpha of S_ii of softmax(z z^T)."""
    scores = (token(i) * token(l) for l in range(1, tokens + 1))
    return GaussianExpectation(softmax(sp.Integer(i), *scores), None, alpha)


@pytest.mark.parametrize("alpha", [{}, {1: 2}, {2: 2}, {1: 1, 4: 1}, {2: 2, 3: 2}])
def test_five_tokens_against_samples(alpha: dict[int, int]) -> None:
    """Grids wide enough for the weight, against scrambled points, which share nothing with them."""
    found = measure(entry(1, 5, alpha))
    degrees = [alpha.get(l, 0) for l in range(1, 6)]
    sampled = sampled_coefficients(lambda z: softmax_matrix(z)[0, :1], [degrees], log2=12)
    scale = np.sqrt(np.prod([float(sp.factorial(n)) for n in degrees]))
    assert abs(found.value - scale * sampled.coefficients.mean()) < scale * sampled.errors[0, 0] + found.error
    assert found.error < 1e-4
    assert found.evidence is Evidence.NUMERICAL


def test_six_tokens_are_sampled_once_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any, **options: Any) -> HermiteSum:
        calls.append(arguments)
        return sampled_coefficients(*arguments, log2=12, **options)

    monkeypatch.setattr(measure_module, "sampled_coefficients", counted)
    for cached in (measure_module._samples, measure_module._value, measure):
        cached.cache_clear()
    trace = [sp.Add(*(entry(i, 6, alpha) for i in range(1, 7))) for alpha in ({1: 2}, {6: 2}, {2: 1, 5: 1})]
    own, last, pair = map(measure, trace)
    assert (own.value, own.error) == pytest.approx((last.value, last.error), rel=1e-12)
    assert len(calls) == 1
    for cached in (measure_module._samples, measure_module._value, measure):
        cached.cache_clear()
    # by plain draws of the definition
    z = np.random.default_rng(29).standard_normal((6, 300_000))
    scores = np.exp(z[:, None] * z[None] - np.max(z[:, None] * z[None], axis=1, keepdims=True))
    phi = (np.einsum("iin->in", scores) / scores.sum(axis=1)).sum(axis=0)
    for found, draws in ((own, phi * (z[0] ** 2 - 1)), (pair, phi * z[1] * z[4])):
        noise = 4.5 * float(draws.std()) / np.sqrt(300_000)
        assert abs(found.value - draws.mean()) < noise + found.error
        assert found.error < 0.01


def test_the_error_of_a_sum_is_that_of_its_samples() -> None:
    """A row of softmax sums to 1; the errors of its entries are not independent, and need not add up."""
    row = [GaussianExpectation(softmax(sp.Integer(j), *(token(1) * token(l) for l in range(1, 7)))) for j in (1, 2)]
    own, other = map(measure, row)
    total = measure(row[0] + 5 * row[1])
    assert abs(total.value - 1) < total.error
    assert total.error < 0.9 * (own.error + 5 * other.error)
