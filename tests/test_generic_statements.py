"""Statements proved for every order and every length, against the package at orders and lengths drawn at random.

The generic formulas are written here a second time, from theory sections 2 and 7, and share no code with the pages.
"""

from __future__ import annotations

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from derivations import every_length
from sie_sym.functions import He, token
from sie_sym.gain import gain
from sie_sym.hermite import Tensor
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.target import Target
from sie_sym.tensors.symmetric_tensor import contract_all_ones
from sie_sym.untied import tied_loss, untied_loss

u = ACTIVATION_VARIABLE
SMALL = st.fractions(min_value=-3, max_value=3, max_denominator=4)
POLYNOMIAL = st.lists(SMALL, min_size=1, max_size=4)  # coefficients of He_0, He_1, ..


def hermite_sum(coefficients: list[Fraction], variable: sp.Symbol) -> sp.Expr:
    terms = (sp.Rational(c.numerator, c.denominator) * He(k, variable) for k, c in enumerate(coefficients))
    return sp.Add(*terms).expand(func=True)


def separable(coefficients: list[Fraction], tokens: int) -> Target:
    h = hermite_sum(coefficients, token(1))
    return Target.of(sp.Add(*(h.subs(token(1), token(l)) for l in range(1, tokens + 1))), tokens)


def norm(coefficients: list[Fraction]) -> Fraction:
    """E h^2 of sum_k c_k He_k is sum_k k! c_k^2."""
    return sum((math.factorial(k) * c * c for k, c in enumerate(coefficients)), Fraction(0))


@settings(max_examples=25, deadline=None)
@given(link=POLYNOMIAL, activation=POLYNOMIAL, tokens=st.integers(1, 6))
def test_the_loss_of_a_separable_target_for_every_length(
    link: list[Fraction], activation: list[Fraction], tokens: int
) -> None:
    # With h = sum h_k He_k, sigma = sum s_k He_k: c_k c_k(h)/k! = k! h_k s_k.
    loss = tied_loss(separable(link, tokens), hermite_sum(activation, u))
    (m,) = loss.statistics
    mean = link[0]
    constant = tokens * norm(link) + tokens * (tokens - 1) * mean**2 + norm(activation)
    for value in (0.3, -0.8):
        paired = sum(
            float(math.factorial(k) * a * b) * tokens ** (1 - k / 2) * value**k
            for k, (a, b) in enumerate(zip(link, activation, strict=False))
        )
        assert float(loss.expression.subs(m, value)) == pytest.approx(float(constant) - 2 * paired, rel=1e-9, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(link=POLYNOMIAL, activation=POLYNOMIAL, tokens=st.integers(1, 4), data=st.data())
def test_the_untied_drift_of_a_separable_target_for_every_length(
    link: list[Fraction], activation: list[Fraction], tokens: int, data: st.DataObject
) -> None:
    loss = untied_loss(separable(link, tokens), hermite_sum(activation, u))
    overlaps = data.draw(st.lists(st.floats(-0.9, 0.9), min_size=tokens, max_size=tokens))
    by_token = dict(zip(range(1, tokens + 1), overlaps, strict=True))
    point = {s: by_token[tokens_of_class[0]] for s, tokens_of_class in zip(loss.statistics, loss.classes, strict=True)}
    for s, drift in zip(loss.statistics, loss.drift(), strict=True):
        own = point[s]
        pull = sum(
            k * float(math.factorial(k) * a * b) * tokens ** (-k / 2) * own ** (k - 1)
            for k, (a, b) in enumerate(zip(link, activation, strict=False))
            if k
        )
        assert float(drift.subs(point)) == pytest.approx((1 - own**2) * 2 * pull, rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(j=st.integers(0, 9), k=st.integers(0, 9), rho=st.floats(-0.95, 0.95))
def test_the_pairing_of_correlated_fields(j: int, k: int, rho: float) -> None:
    # Gauss-Hermite quadrature with 20 nodes each is exact up to degree 39.
    x, w = np.polynomial.hermite_e.hermegauss(20)
    w = w / w.sum()
    a, b = np.meshgrid(x, x, indexing="ij")
    fields = (j, a), (k, rho * a + math.sqrt(1 - rho**2) * b)
    values = [np.polynomial.hermite_e.hermeval(y, [0] * n + [1]) for n, y in fields]
    scale = math.sqrt(math.factorial(j) * math.factorial(k))
    found = float(np.sum(values[0] * values[1] * np.outer(w, w))) / scale
    assert found == pytest.approx(rho**k if j == k else 0.0, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(degrees=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_the_gain_of_products(degrees: list[int]) -> None:
    s, tokens = sum(degrees), len(degrees)
    target = Target.of(sp.Mul(*(He(k, token(l)) for l, k in enumerate(degrees, 1))), tokens)
    found = gain(target, sp.exp(u))
    rho = math.prod((s / k) ** (k / 2) for k in degrees)
    assert float(sp.sympify(found.rho.value, strict=True)) == pytest.approx(rho, rel=1e-9)
    assert rho <= tokens ** (s / 2) * (1 + 1e-12)
    assert found.contraction == math.factorial(s)


@settings(max_examples=10, deadline=None)
@given(tokens=st.integers(2, 7), order=st.integers(1, 4))
def test_separable_contractions_grow_as_the_length(tokens: int, order: int) -> None:
    tensor: Tensor = {((l, order),): sp.Integer(5) for l in range(1, tokens + 1)}
    assert contract_all_ones(tensor) == 5 * tokens


def test_the_noise_at_a_length_the_page_has_not_checked() -> None:
    formula = dict(every_length._noise().formulas)["V"]
    L = sp.Symbol("L", integer=True, positive=True)
    network = tied_loss(separable([Fraction(0), Fraction(0), Fraction(1)], 6), u**2)
    (m,) = network.statistics
    # By hand at m = 0: 16 (E u^6 - 2 E g E u^4 + E g^2 E u^2) = 16 (15 + 2 L).
    assert formula.subs({L: 6, every_length.m: 0}) == 16 * 27
    assert sp.expand(network.noise().subs(m, every_length.m) - formula.subs(L, 6)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("every_length", "tied_loss"),
        ("lemma_6", "contract_all_ones"),
        ("local_fields", "weierstrass_transform"),
        ("hermite_tensors", "weierstrass_transform"),
        ("tied_and_untied_examples", "contract_all_ones"),
        ("quadrature_g1", "logistic_moment"),
        ("attention_reduction", "attention_matrix"),
    ],
)
def test_a_page_notices_a_wrong_ingredient(page: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page with one function of the package replaced by a wrong one: some claim comes out otherwise."""
    module = importlib.import_module(f"derivations.{page}")
    right = getattr(module, name)

    def wrong(*arguments: object, **named: object) -> object:
        if name == "tied_loss":
            target, activation = arguments
            return right(target, activation + u)
        if name == "weierstrass_transform":
            (h,) = arguments
            return right(h.subs(token(1), 2 * token(1)))  # type: ignore[attr-defined]
        if name in ("contract_all_ones", "logistic_moment"):
            return 2 * right(*arguments)
        matrix = right(*arguments)
        return matrix + sp.ones(*matrix.shape) * token(1)

    monkeypatch.setattr(module, name, wrong)
    assert [claim.verdict.value for claim in module.derive()] != list(module.EXPECTED)
