"""Ratios of exponentials as softmax: numeric values at random points, and what must stay as it is."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import sympy as sp

from sie_sym.evidence import Evidence
from sie_sym.exponents import information_exponent
from sie_sym.functions import TOKENS, sigmoid, softmax, token
from sie_sym.model import formula_model
from sie_sym.parse import parse_formula
from sie_sym.quadratures.measure import measure
from sie_sym.softmax_form import softmax_form
from sie_sym.target import Target

A = sp.Symbol("a", real=True)
L = sp.Symbol("l", integer=True)

REWRITTEN = [
    "exp(z1^2)/(exp(z1^2) + exp(z1*z2))",
    "1/(1 + exp(z1*z2 - z1^2))",
    "3*z2*exp(z1)/(2*exp(z1) + exp(a*z2))",
    "exp(2*z1)/(exp(z1) + exp(z2))^2",
    "exp(z1 + z2)/((exp(z1) + exp(z3))*(exp(z2) + exp(-z3)))",
    "exp(z3)/(exp(z1) + exp(z2) + 2*exp(z3)/3)",
    "tanh(exp(z1)/(exp(z1) + exp(z2)) - 1/2)^2",
    "exp(z1*(z1 - z2))/(exp(z1^2 - z1*z2) + exp(-z2))",
    "exp(2*z2)*z1/((1 + exp(-z1))*(exp(z1) + exp(z2))^2)",
    "exp(z2)/sum(l, 1, 3, exp(z[l]))",
    "exp(z3)/(exp(z1) + exp(z2))",  # nothing cancels, but all exponents are affine
    "z2*exp(z1 - 1)/((exp(z1) + 2*exp(z2))^3*(1 + exp(z3)))",
    "1/(exp(a*z1) + exp(z2) + exp(z3))",
]


def value(expression: sp.Expr, point: dict[sp.Symbol, sp.Rational]) -> sp.Float:
    """By SymPy's own functions: softmax is written out by its definition."""
    plain = expression.replace(softmax, lambda k, *x: sp.exp(x[int(k) - 1]) / sp.Add(*map(sp.exp, x)))
    plain = plain.replace(sigmoid, lambda x: 1 / (1 + sp.exp(-x)))
    plain = plain.doit().subs({TOKENS[l]: token(l) for l in range(1, 4)})
    return plain.subs(point).evalf(30)


@pytest.mark.parametrize("text", REWRITTEN)
def test_it_is_an_identity(text: str) -> None:
    before = parse_formula(text)
    after = softmax_form(before)
    assert after.has(sigmoid, softmax)
    draw = random.Random(text)
    for _ in range(5):
        point = {s: sp.Rational(draw.randint(-300, 300), 100) for s in (token(1), token(2), token(3), A)}
        assert abs(value(before, point) - value(after, point)) < sp.Float("1e-25") * (1 + abs(value(before, point)))


@pytest.mark.parametrize(
    "text",
    [
        "exp(z3)/(exp(z1^2) + exp(z2))",  # nothing cancels
        "exp(z1)/(exp(z1) + a^2*exp(z2) + z2^2 + 1)",  # not a sum of positive exponentials
        "1/(1 + exp(z1) + exp(z2))",  # bounded as it stands
        "exp(z1)/(exp(2) + exp(1))",
        "1/(1 + z1^2)",
    ],
)
def test_the_rest_stays(text: str) -> None:
    formula = parse_formula(text)
    assert softmax_form(formula) == formula


def test_differences_of_exponentials_are_not_rewritten() -> None:
    formula = sp.exp(token(1)) / (sp.exp(token(1)) - sp.exp(token(2)))
    assert softmax_form(formula) == formula


def test_a_written_softmax_is_attention() -> None:
    """C_(2,0) = sqrt(2)/8 of an entry of softmax attention (theory section 9)."""
    entry = sigmoid(token(1) * (token(1) - token(2)))
    for text in REWRITTEN[:2]:
        formula = parse_formula(text)
        assert Target.of(formula).components == formula_model(formula, 2).components == (entry,)
    found = information_exponent(Target.of(parse_formula(REWRITTEN[0])))
    assert found.exponent == 2
    (tensor,) = found.leading_tensors()
    assert next(iter(tensor.values())) == sp.sqrt(2) / 8


def test_inside_sums_and_products() -> None:
    formula = parse_formula("sum(l, 1, 3, exp(z[l])/(1 + exp(z[l]))) + prod(l, 1, 2, 1/(1 + exp(-z[l])))")
    assert softmax_form(formula) == parse_formula("sum(l, 1, 3, sigmoid(z[l])) + prod(l, 1, 2, sigmoid(z[l]))")


def test_one_exponential_and_its_reciprocal() -> None:
    z = token(1)
    assert softmax_form(sp.exp(z) / (1 + sp.exp(z))) == sigmoid(z)
    assert softmax_form(z / (1 + sp.exp(z))) == z * sigmoid(-z)


def test_an_exponential_over_a_sum_of_others_has_its_coefficients() -> None:
    """exp(z3)/(exp(z1) + exp(z2)) = exp(z3 - s)/(2 cosh d), s and d half of z1 + z2 and z1 - z2, independent.

    So E g = e^(1/2) e^(1/4) E 1/(2 cosh d) with d ~ N(0, 1/2), by a trapezoid rule; E g He_k(z3) = E g, and as
    g(z + c) = g(z) for equal shifts of all tokens, the slopes in z1 and z2 are half of it each, negative.
    """
    d = np.arange(-8, 8, 1 / 64)
    mean = math.exp(0.75) * float(np.sum(np.exp(-(d**2)) / np.sqrt(np.pi) / (2 * np.cosh(d)))) / 64
    found = information_exponent(Target.of(parse_formula("exp(z3)/(exp(z1) + exp(z2))")))
    (tensor,) = found.leading_tensors()
    assert found.evidence is Evidence.ENCLOSED
    values = {alpha: measure(entry).value for alpha, entry in tensor.items()}
    assert values == pytest.approx({((1, 1),): -mean / 2, ((2, 1),): -mean / 2, ((3, 1),): mean}, rel=1e-11)
