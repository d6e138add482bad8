"""One quantity, three routes: closed form, rigorous integration of the definition, and seeded Monte Carlo.

They share no formula: the closed form differentiates the Weierstrass transform, the enclosure integrates
h(z + t) He_alpha(z) in ball arithmetic, Monte Carlo averages it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from independent import draws, mean_and_error, numeric
from scipy import special

from sie_sym.functions import He, Phi, gelu, relu, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.hermite import sparse
from sie_sym.integrals.enclosure import enclose
from sie_sym.parseval import second_moment
from sie_sym.weierstrass import weierstrass_transform

Z1, Z2 = token(1), token(2)
HALF = sp.Rational(1, 2)
A, XI = draws(2, 400_000, seed=11)

TABLE = {
    "polynomial": (He(3, Z1) - 2 * Z1 * Z2**2, (1, 2)),
    "sign": (sp.sign(Z1), (3, 0)),
    "shifted-sign": (sp.sign(Z1 - HALF), (2, 0)),
    "step": (sp.Heaviside(Z1 - HALF), (1, 0)),
    "relu": (relu(Z1), (4, 0)),
    "abs": (sp.Abs(Z1 - 1), (2, 0)),
    "erf": (sp.erf(Z1), (1, 0)),
    "gelu": (gelu(Z1), (2, 0)),
    "normal-cdf": (Phi(2 * Z1), (3, 0)),
    "gaussian": (sp.exp(-(Z1**2)), (4, 0)),
    "wave": (sp.cos(2 * Z1) + sp.sin(Z1), (3, 0)),
    "ridge": (relu(Z1 + Z2), (1, 1)),
    "product": (sp.sign(Z1) * sp.Abs(Z2), (1, 2)),
    "sum": (sp.exp(Z1 / 2) + relu(Z2) * Z1, (1, 1)),
    "maximum": (sp.Max(Z1, 0) * sp.erf(Z2), (1, 1)),
    "coupled": (sp.exp(-Z1 * Z2 / 4) * Z2, (1, 2)),
}


def enclosure_of(h: sp.Expr, weights: tuple[int, int] = (0, 0), shift: tuple[sp.Expr, sp.Expr] = (0, 0)) -> arb:
    """E h(Z + t) He_alpha(Z) from the definition, integrated; the exact rules of the node are linearity and such."""
    means = {token(l): sp.sympify(t, strict=True) for l, t in enumerate(shift, start=1) if t != 0}
    return enclose(GaussianExpectation(h, means, {l: n for l, n in enumerate(weights, start=1) if n}), 60)


def sampled(
    h: sp.Expr, weights: tuple[int, int] = (0, 0), shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float]:
    basis = special.eval_hermitenorm(weights[0], A[0]) * special.eval_hermitenorm(weights[1], A[1])
    return mean_and_error(numeric([h], 2)(A + np.array(shift)[:, None])[0] * basis)


@pytest.mark.parametrize("name", TABLE)
def test_coefficients(name: str) -> None:
    h, alpha = TABLE[name]
    closed = enclose(weierstrass_transform(h).coefficient(sparse(alpha)))
    ball = enclosure_of(h, alpha)
    assert closed.overlaps(ball)
    assert float(ball.rad()) < 1e-10
    mean, error = sampled(h, alpha)
    assert abs(float(closed.mid()) - mean) <= 5 * error + 1e-12
    assert error < 0.1 * (1 + math.sqrt(math.prod(map(math.factorial, alpha))))


@pytest.mark.parametrize("name", TABLE)
def test_transforms(name: str) -> None:
    """(G h)(t) at t = (1/3, -1/2)."""
    h, _ = TABLE[name]
    t = (sp.Rational(1, 3), -HALF)
    closed = enclose(weierstrass_transform(h).expression({1: t[0], 2: t[1]}))
    ball = enclosure_of(h, shift=t)
    assert closed.overlaps(ball)
    assert float(ball.rad()) < 1e-10
    mean, error = sampled(h, shift=(1 / 3, -0.5))
    assert abs(float(closed.mid()) - mean) <= 5 * error + 1e-12


@pytest.mark.parametrize("name", TABLE)
def test_second_moments(name: str) -> None:
    h, _ = TABLE[name]
    closed = enclose(second_moment(weierstrass_transform(h)))
    ball = enclosure_of(h**2)
    assert closed.overlaps(ball)
    assert float(ball.rad()) < 1e-10
    mean, error = sampled(h**2)
    assert abs(float(closed.mid()) - mean) <= 5 * error + 1e-12
