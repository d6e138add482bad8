"""The logistic lemma: exact values of theory section 9, and enclosures that know nothing of the lemma."""

from __future__ import annotations

import hypothesis
import mpmath
import pytest
import sympy as sp
from hypothesis import strategies

from sie_sym.functions import sigmoid, softmax, token
from sie_sym.gaussian import enclose_expectation
from sie_sym.integrals.enclosure import enclose
from sie_sym.integrals.logistic import logistic_coefficient, logistic_moment

R = sp.Rational
z1, z2, z3 = token(1), token(2), token(3)
v = z1 - z2
S11, S12 = sigmoid(z1 * v), sigmoid(-z1 * v)
S22 = sigmoid(z2 * (z2 - z1))
TRACE = S11 + S22


@pytest.mark.parametrize(
    ("h", "weight", "expected"),
    [
        (S11, 1, 1 - sp.sqrt(2) / 4),
        (S12, 1, sp.sqrt(2) / 4),
        (S11, v**2 - 2, sp.sqrt(2) / 4),
        (TRACE, 1, 2 - 1 / sp.sqrt(2)),
        (TRACE, v**2 - 2, 1 / sp.sqrt(2)),
    ],
)
def test_values_of_theory_section_9(h: sp.Expr, weight: sp.Expr, expected: sp.Expr) -> None:
    assert logistic_moment(h, sp.sympify(weight)) == sp.expand(expected)


def test_coefficients_of_theory_section_9() -> None:
    assert logistic_coefficient(S11, {1: 2}) == sp.sqrt(2) / 8
    assert logistic_coefficient(softmax(1, z1**2, z1 * z2), {1: 2, 2: 0}) == sp.sqrt(2) / 8
    # E[S11 z1 z2] = -0.1062875009 has a weight odd in x and in v: it stays an integral.
    assert logistic_coefficient(S11, {1: 1, 2: 1}) is None
    assert logistic_coefficient(TRACE, {1: 2}) is None


def test_integrals_cancel_between_sigmoids() -> None:
    """S11 + S12 = 1, and S11 - S22 is odd under the exchange of the tokens."""
    assert logistic_moment(S11 + S12, z1 * z2) == 0
    assert logistic_moment(S11 + S12, z1**2) == 1
    assert logistic_moment(S11 - S22, z1 * z2) == 0


def plane_quadrature(h: sp.Expr) -> mpmath.mpf:
    """The trapezoidal rule with step 1/8 on [-9, 9]^2: it knows neither the lemma nor ball arithmetic."""
    function = sp.lambdify((z1, z2), h.replace(sigmoid, lambda x: 1 / (1 + sp.exp(-x))), "mpmath")
    total = mpmath.mpf(0)
    for i in range(-72, 73):
        for j in range(-72, 73):
            x, y = i / 8, j / 8
            total += function(x, y) * mpmath.exp(-(x * x + y * y) / 2)
    return total / 64 / (2 * mpmath.pi)


@pytest.mark.parametrize(
    ("h", "weight"),
    [
        (S11, 2 * z1**3 * v**3 - z1 * v**5 + 2 * z1 * v**3),
        (S11, z1**4 * v**2 - 3 * z1**2),
        (sigmoid((2 * z1 + z2) * v / 9), (2 * z1 + z2) ** 2 * v**2),
        (sp.tanh(z1 * v / 2), z1**2 * v**4),
        (z1**2 * S11 - z2**2 * S22 + z1, 3 + v**2),
    ],
)
def test_the_whole_class_against_quadrature(h: sp.Expr, weight: sp.Expr) -> None:
    exact = logistic_moment(h, weight)
    assert exact is not None
    assert abs(float(enclose(exact)) - float(plane_quadrature(h * weight))) < 1e-6


def test_an_enclosure_agrees() -> None:
    weight = 2 * z1**3 * v**3 - z1 * v**5 + 2 * z1 * v**3
    exact = logistic_moment(S11, weight)
    assert enclose_expectation(S11 * weight, precision=24).overlaps(enclose(exact, 64))


@hypothesis.given(strategies.integers(0, 4), strategies.integers(0, 4))
@hypothesis.settings(max_examples=15, deadline=None)
def test_weights_even_in_v_are_always_exact(a: int, b: int) -> None:
    value = logistic_moment(S11, z1**a * v ** (2 * b))
    assert value is not None
    # sigmoid(w) + sigmoid(-w) = 1
    assert sp.expand(value + logistic_moment(S12, z1**a * v ** (2 * b)) - moment(a, 2 * b)) == 0


def moment(a: int, n: int) -> sp.Expr:
    """E[z1^a (z1 - z2)^n] from one-dimensional moments."""

    def gaussian(k: int) -> sp.Expr:
        return sp.factorial2(k - 1) if k % 2 == 0 else sp.Integer(0)

    return sum(sp.binomial(n, j) * (-1) ** j * gaussian(a + n - j) * gaussian(j) for j in range(n + 1))


def test_other_tokens_and_parameters() -> None:
    p = sp.Symbol("p", real=True)
    assert logistic_moment(p * S11, z3**2) == sp.expand(p * (1 - sp.sqrt(2) / 4))
    assert logistic_moment(S11, z3) == 0
    assert logistic_moment(z1**2 + p) == 1 + p


@pytest.mark.parametrize(
    "h",
    [
        sigmoid(2 * z1 * v),  # not the ratio of the lemma
        sigmoid(z1 * z2),  # independent forms
        sigmoid(z1 * v + 1),
        sigmoid(z1**2),
        S11**2,
        S11 * S22,
        sp.exp(z1) * S11,
        sp.tanh(z1),
    ],
)
def test_outside_the_class_there_is_no_answer(h: sp.Expr) -> None:
    assert logistic_moment(h) is None
