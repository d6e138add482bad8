"""A polynomial times a ridge, against the general closed form by tilted moments, which knows nothing of ridges."""

from __future__ import annotations

import math

import pytest
import sympy as sp
from independent import coefficient_by_quadrature

from sie_sym.errors import TruncationError
from sie_sym.functions import TOKENS, He, Phi, gelu, relu, token
from sie_sym.hermite import multi_indices, sparse
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.parseval import function_of, second_moment
from sie_sym.transforms.coupled_transform import CoupledTransform
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.weighted_ridge import WeightedRidgeTransform
from sie_sym.weierstrass import weierstrass_transform

Z1, Z2, Z3 = (token(l) for l in (1, 2, 3))
R = sp.Rational
B = sp.Symbol("b", real=True)

TABLE = {
    "relu": (Z2**2 - 2) * relu(Z1 + Z2 - R(1, 3)),
    "sign": (He(3, Z1) - Z2) * sp.sign(2 * Z1 - Z2),
    "modulus": Z1 * Z2 * sp.Abs(3 * Z1 / 5 - 4 * Z2 / 5 + 1),
    "gaussian": (Z1 - 2 * Z2) ** 3 * sp.exp(-((Z1 + Z2) ** 2) / 5),
    "one-token": (Z1 * Z2 - 1) * Phi(2 * Z1 - 1),
    "wave": (Z2 + 1) * sp.cos(Z1 + Z2),
    "three": (Z1 * Z3 + Z2) * gelu(Z1 - Z3),
    "parameter": (B * Z1 + Z2) * relu(Z1 + Z2),
    "irrational": (Z2**2 - Z1) * sp.sign(sp.sqrt(2) * Z1 + Z2),
}


def peer(h: sp.Expr) -> CoupledTransform:
    labels = tuple(l for l in (1, 2, 3) if h.has(token(l)))
    return CoupledTransform(Smoothed.of(h, [token(l) for l in labels]), labels)


@pytest.mark.parametrize("name", TABLE)
def test_coefficients_series_and_values_by_tilted_moments(name: str) -> None:
    h = TABLE[name]
    transform, other = weierstrass_transform(h), peer(h)
    assert isinstance(transform, WeightedRidgeTransform)
    for k in range(4):
        for alpha in multi_indices(other.labels, k):
            assert decide_zero(transform.coefficient(alpha) - other.coefficient(alpha)) is True
    v = {1: R(1, 2), 2: R(-2, 3), 3: sp.Integer(1)}
    ours, theirs = transform.along(v, 3), [other._directional(v, j) for j in range(4)]
    assert [decide_zero(a - b) for a, b in zip(ours, theirs, strict=True)] == [True] * 4
    t = {1: R(1, 4), 2: R(1, 3), 3: R(-1, 2)}
    assert decide_zero(transform.expression(t) - other.expression(t)) is True


@pytest.mark.parametrize("name", ["relu", "sign", "modulus", "gaussian", "one-token"])
def test_mean_squares_by_tilted_moments(name: str) -> None:
    transform = weierstrass_transform(TABLE[name])
    assert decide_zero(second_moment(transform) - peer(TABLE[name]).profile.second_moment()) is True


def test_without_a_closed_form_one_token_integrals_remain() -> None:
    """(z1 + z2) tanh(z1): E over z2 is done, so that the enclosure is of one token."""
    transform = weierstrass_transform((Z1 + Z2) * sp.tanh(Z1 + Z2 / 2))
    assert isinstance(transform, WeightedRidgeTransform)
    assert not transform.is_closed
    for alpha in ((0, 0), (1, 1), (2, 0), (0, 3)):
        closed = transform.coefficient(sparse(alpha))
        by_grid = coefficient_by_quadrature((Z1 + Z2) * sp.tanh(Z1 + Z2 / 2), alpha, nodes=150)
        assert float(closed.evalf(12)) == pytest.approx(by_grid, abs=1e-6)


def test_parity_proves_zeros_beyond_a_degree() -> None:
    """z1 relu(S) is half z1 S, of degree 2, and half z1 |S|, odd."""
    index = sp.Symbol("l", integer=True)
    transform = weierstrass_transform(Z1 * relu(sp.Sum(TOKENS[index], (index, 1, 30))))
    assert [transform.vanishes(k) for k in (0, 1, 2, 4, 6, 40)] == [False, False, False, True, True, True]


def test_long_tensors_are_refused_and_foreign_tokens_are_zero() -> None:
    index = sp.Symbol("l", integer=True)
    transform = weierstrass_transform(Z1 * relu(sp.Sum(TOKENS[index], (index, 1, 60))))
    with pytest.raises(TruncationError, match="couples 60 tokens"):
        transform.derivatives(6)
    assert transform.coefficient(((61, 1),)) == 0
    # C along (1, ..., 1)/sqrt(60), order 2: E z1 relu(S) He_2(S/sqrt 60) = E relu(S)(S/60) He_2, S = sqrt(60) x,
    # = E relu(x) x He_2(x) = E x^2 He_2(x)/2 = 1
    direction = {l: 1 / sp.sqrt(60) for l in range(1, 61)}
    assert decide_zero(transform.along(direction, 2)[2] - 1) is True
    assert math.isclose(float(transform.coefficient(()).evalf()), 0.5)


def test_the_function_itself() -> None:
    transform = weierstrass_transform(TABLE["relu"])
    h = function_of(transform)
    for point in ((1, 1), (R(-1, 2), 3), (-2, 0)):
        at = {Z1: point[0], Z2: point[1]}
        assert decide_zero(h.subs(at) - TABLE["relu"].subs(at)) is True


def test_a_parameter_in_the_direction() -> None:
    """E (t2 + Z2) relu(b (t1 + Z1) + t2 + Z2) = t2 r(u) + r'(u), s = 1 + b^2, u = b t1 + t2 (theory section 2)."""
    expression = weierstrass_transform(Z2 * relu(B * Z1 + Z2)).expression({1: R(1, 4), 2: R(1, 3)})
    for b in (R(2, 3), R(-3)):
        u, width = float(b) / 4 + 1 / 3, math.sqrt(1 + float(b) ** 2)
        cdf = (1 + math.erf(u / width / math.sqrt(2))) / 2
        smoothed = u * cdf + width * math.exp(-((u / width) ** 2) / 2) / math.sqrt(2 * math.pi)
        assert float(expression.subs(B, b)) == pytest.approx(smoothed / 3 + cdf, rel=1e-13)


def test_tensors_list_the_coefficients_that_are_not_zero() -> None:
    """G (z2 sign(z1 + z2)) = t2 S + S', S = erf((t1 + t2)/2) and S' = exp(-(t1 + t2)^2/4)/sqrt(pi)."""
    transform = weierstrass_transform(Z2 * sp.sign(Z1 + Z2))
    assert isinstance(transform, WeightedRidgeTransform)
    # S'(0) = -2 S'''(0) = 1/sqrt(pi) and S''(0) = 0: the order 1 is empty
    assert transform.derivatives(0) == {(): 1 / sp.sqrt(sp.pi)}
    assert transform.derivatives(1) == {}
    second = {((1, 2),): R(-1, 2), ((1, 1), (2, 1)): R(1, 2), ((2, 2),): R(3, 2)}
    assert transform.derivatives(2) == {alpha: c / sp.sqrt(sp.pi) for alpha, c in second.items()}
    assert weierstrass_transform(Z1 * sp.sqrt(sp.pi) * sp.sign(Z1 + Z2)).derivatives(0) == {(): 1}


def test_the_constant_half_of_a_step_is_not_lost() -> None:
    """z1 1[S > 0] = z1/2 + z1 sign(S)/2, S = z1 + z2: odd orders are those of z1/2, which has the first only."""
    transform = weierstrass_transform(Z1 * sp.Heaviside(Z1 + Z2))
    assert isinstance(transform, WeightedRidgeTransform)
    assert [transform.vanishes(k) for k in (0, 1, 2, 3, 5)] == [False, False, False, True, True]
    assert transform.derivatives(1) == {((1, 1),): R(1, 2)}
