"""Symmetries are proofs: never a false claim."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import numeric

from sie_sym.functions import TOKENS, He, gelu, relu, sigmoid, token
from sie_sym.integrals.symmetry import Symmetries, antisymmetric_pair, orthogonal_tensors, parity
from sie_sym.weierstrass import weierstrass_transform

Z1, Z2, Z3 = token(1), token(2), token(3)
INDEX = sp.Symbol("l", integer=True)

_LEAVES = st.sampled_from([Z1, Z2, Z1 + Z2, Z1 - Z2, sp.Integer(2), sp.Rational(-1, 3), sp.sqrt(2)])
_UNARY = (sp.sin, sp.cos, sp.tanh, sp.Abs, sp.sign, sp.erf, relu, gelu, sigmoid, lambda x: He(3, x), lambda x: He(2, x))


def _grow(inner: st.SearchStrategy[sp.Expr]) -> st.SearchStrategy[sp.Expr]:
    return st.one_of(
        st.builds(lambda f, x: f(x), st.sampled_from(_UNARY), inner),
        st.builds(lambda x, y: x + y, inner, inner),
        st.builds(lambda x, y: x * y, inner, inner),
        st.builds(lambda x, n: x**n, inner, st.integers(1, 3)),
    )


EXPRESSIONS = st.recursive(_LEAVES, _grow, max_leaves=5)
POINTS = np.random.default_rng(5).standard_normal((2, 40))


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9))


@settings(max_examples=150)
@given(EXPRESSIONS, st.sampled_from([None, frozenset({1}), frozenset({2})]))
def test_claimed_parities_hold(expression: sp.Expr, flipped: frozenset[int] | None) -> None:
    claim = parity(expression, flipped)
    if claim is None:
        return
    h = numeric([expression], 2)
    signs = np.array([[-1.0 if flipped is None or l in flipped else 1.0] for l in (1, 2)])
    assert _close(h(signs * POINTS), claim * h(POINTS))


@settings(max_examples=100)
@given(EXPRESSIONS)
def test_claimed_symmetries_hold_without_the_constant(expression: sp.Expr) -> None:
    found = Symmetries.of(expression)
    constant = float(found.constant)
    h = numeric([expression], 2)
    if found.overall is not None:
        assert _close(h(-POINTS) - constant, found.overall * (h(POINTS) - constant))
    for l, sign in found.single.items():
        signs = np.array([[-1.0 if k == l else 1.0] for k in (1, 2)])
        assert _close(h(signs * POINTS) - constant, sign * (h(POINTS) - constant))


@settings(max_examples=60)
@given(EXPRESSIONS)
def test_claimed_antisymmetries_hold(expression: sp.Expr) -> None:
    pair = antisymmetric_pair(expression)
    h = numeric([expression], 2)
    if pair is not None:
        assert pair == (1, 2)
        assert _close(h(POINTS[::-1]), -h(POINTS))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (sp.tanh(Z1) * Z2**2, -1),
        (sp.sin(Z1) * sp.erf(Z2), 1),
        (He(5, Z1 - Z2), -1),
        (sp.exp(-(Z1**2)), 1),
        (sp.Abs(Z1**3), 1),
        (1 / Z1, -1),
        (relu(Z1), None),
        (Z1 + Z1**2, None),
        (sp.Sum(TOKENS[INDEX] ** 3, (INDEX, 1, 4)), -1),
        (sp.Product(TOKENS[INDEX], (INDEX, 1, 4)), 1),
        (sp.Product(TOKENS[INDEX], (INDEX, 2, 4)), -1),
        (sp.Product(1 + TOKENS[INDEX], (INDEX, 2, 4)), None),
        (sp.Integer(0), 1),
    ],
)
def test_parities(expression: sp.Expr, expected: int | None) -> None:
    assert parity(expression) == expected


def test_a_constant_is_only_seen_by_the_mean() -> None:
    found = Symmetries.of(sigmoid(Z1))
    assert (found.overall, found.constant) == (-1, sp.Rational(1, 2))
    assert found.forbids(()) is None
    assert found.forbids_order(0) is None
    assert found.forbids(((1, 2),)) == "the function is odd under z -> -z"
    assert found.forbids(((1, 3),)) is None
    assert Symmetries.of(sp.sin(Z1)).forbids_order(0) is not None


def test_what_symmetry_forbids_is_zero() -> None:
    """Against closed-form coefficients."""
    h = sp.sin(Z1) * sp.cos(Z2) * Z3**2 + 5
    found, transform = Symmetries.of(h), weierstrass_transform(h)
    assert found.single == {1: -1, 2: 1, 3: 1}
    forbidden = 0
    for alpha in [(), ((1, 1),), ((2, 1),), ((1, 1), (2, 2)), ((1, 2),), ((1, 1), (3, 1)), ((1, 1), (3, 2))]:
        if found.forbids(alpha) is not None:
            forbidden += 1
            assert transform.coefficient(alpha) == 0
    assert forbidden == 3


def test_odd_in_several_tokens_forbids_low_orders() -> None:
    found = Symmetries.of(sp.sign(Z1 * Z2 * Z3) + 1)
    assert [found.forbids_order(k) is None for k in range(6)] == [True, False, False, True, False, True]


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (Z1**3, sp.cos(Z1), "under z -> -z"),
        (sp.sign(Z1) + 3, sp.cos(Z1 + Z2), "under z -> -z"),
        (Z1 * Z2**2, sp.exp(Z2), "in z1"),
        (Z1 - Z2, relu(Z1 + Z2), "exchanging z1 and z2"),
        (sp.exp(Z1) + sp.exp(Z2), sp.sin(Z1) - sp.sin(Z2), "exchanging z1 and z2"),
    ],
)
def test_functions_told_apart(left: sp.Expr, right: sp.Expr, reason: str) -> None:
    found = orthogonal_tensors(left, right)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Z1 + Z2, relu(Z1 + Z2)),
        (Z1 - Z2, Z1),
        (Z1 - Z2, sp.exp(Z1)),
        (sp.sin(Z1), sp.exp(Z1)),
        (Z1 * Z2, (Z1 + Z2) ** 2),
    ],
)
def test_functions_not_told_apart(left: sp.Expr, right: sp.Expr) -> None:
    assert orthogonal_tensors(left, right) is None
