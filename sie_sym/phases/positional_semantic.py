r"""The positional-semantic model (arXiv:2506.02651, section 4 and App. F) is a model of one output, four times over.

Rows of softmax sum to 1, and exchanging the tokens together with z -> -z maps one row to the other: with
S(z) = softmax_rows(z z^T)_11 = sigmoid(z_1 (z_1 - z_2)), p = sigmoid(2 a^2), L = 2, C = (1, -1),

    R(m, eps) = 4 E |(1-omega) S(z*) + omega p - S(z)|^2
              = 4 E|t|^2 + 4 [ n(eps) - 2 (1-omega) P(m, eps) - 2 omega p f(eps) ],

P = E S(z*) S(z), f = E S(Z + eps c), n = E S(Z + eps c)^2.  Every question about the model is one about these three
functions, and R is their sum with the weights (1, 1-omega, omega p): `mixture`.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.losses.loss_family import LossFamily, loss_family
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.phases.landscape_table import LandscapeTable, landscape_table
from sie_sym.quadratures.quadrature import Array

ENCODING = (1.0, -1.0)
ORDER = 80
"""Where the sum over k of the tables ends."""


def attention(z: Array) -> Array:
    """S, (2, N) -> (1, N)."""
    with np.errstate(over="ignore"):  # 1/(1 + inf) = 0 is the right value
        return np.asarray(1 / (1 + np.exp(z[:1] * (z[1:] - z[:1]))))


def one(z: Array) -> Array:
    """The constant 1, (2, N) -> (1, N)."""
    return np.ones_like(z[:1])


def attention_derivatives(z: Array) -> tuple[Array, Array, Array]:
    """z.grad S - Laplacian S, (c.grad) S and (c.grad)^2 S, from S = sigmoid(u), u = z_1 (z_1 - z_2)."""
    x, y = z
    value = attention(z)[0]
    first, turn = value * (1 - value), 1 - 2 * value  # S', and S''/S'
    left = 2 * x - y  # grad u = (2 x - y, -x), Laplacian u = 2, z.grad u = 2 u
    number = first * (2 * x * (x - y) - 2 - turn * (left * left + x * x))
    slope = left + x  # (c.grad) u, and (c.grad)^2 u = 4
    return number[None], (first * slope)[None], (first * (turn * slope * slope + 4))[None]


def positional_weight(a: ArrayLike) -> Array:
    """p = sigmoid(2 a^2), the diagonal of A; `DomainError` unless every a is positive."""
    scale = np.asarray(a, dtype=float)
    if not (scale > 0).all():
        wrong = scale[~(scale > 0)].flat[0]
        raise DomainError(f"a = {wrong:g}: the positional scale must be positive")
    return np.asarray(1 / (1 + np.exp(-2 * scale * scale)))


def mixture(a: ArrayLike, omega: ArrayLike) -> Array:
    """The weights (1, 1-omega, omega p(a)) of the three functions, shape (*broadcast shape, 3).

    >>> mixture(1.0, [0.0, 1.0]).round(4)
    array([[1.    , 1.    , 0.    ],
           [1.    , 0.    , 0.8808]])
    """
    p, w = np.broadcast_arrays(positional_weight(a), np.asarray(omega, dtype=float))
    weights = np.ones((*w.shape, 3))
    weights[..., 1], weights[..., 2] = 1 - w, w * p
    return weights


@functools.lru_cache(maxsize=1)
def corner_table() -> LandscapeTable:
    """The landscape at the start and at the corners, of R - 4 E|t|^2, for targets with weights of S and of 1."""
    table = landscape_table([attention, one], attention, ENCODING, derivatives=attention_derivatives, even=True)
    return LandscapeTable(4 * table.linear, 4 * table.constant, 4 * table.errors)


@functools.lru_cache(maxsize=2)
def attention_family(order: int = ORDER) -> LossFamily:
    """The losses E|t - S|^2 of the targets with weights of S and of 1."""
    encoding = np.reshape(ENCODING, (2, 1))
    return loss_family([attention], attention, encoding, constants=[[1.0]], order=order)


def three_losses(order: int = ORDER) -> list[SpectralLoss]:
    """The losses E|t - S|^2 of t = 0, S and 1."""
    return [attention_family(order).at(weights) for weights in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])]


def three_functions(values: list[Array]) -> Array:
    """A quantity of 4 n, -8 P and -8 f from that quantity of the `three_losses`, without their E|t|^2."""
    return 4 * np.array([values[0], values[1] - values[0], values[2] - values[0]])


@functools.lru_cache(maxsize=2)
def rim_series(order: int = ORDER) -> Array:
    """The three functions on the rim m^2 + eps^2 = 1: Chebyshev coefficients in x = 1 - 2 m^2, shape (degree + 1, 3).

    S is even, so only even k occur in P = sum_k m^k a_k(eps), and the a_k are even: interpolated as the tables do, all
    three are polynomials in t = m^2 on the rim.  R on the rim is a polynomial in t whose derivatives are exact.
    """
    losses = three_losses(order)
    count = order // 2 + len(losses[0].overlap) // 2 + 1
    n = np.arange(count)
    angle = np.pi * (n + 0.5) / count
    m, eps = np.sin(angle / 2), np.cos(angle / 2)  # x = cos(angle) = eps^2 - m^2
    values = three_functions([loss.value(m, eps) - loss.target_norm2 for loss in losses])
    scale = np.where(n == 0, 1, 2)[:, None] / count
    return np.asarray(scale * np.cos(n[:, None] * angle) @ values.T)


def rim_values(t: Array, derivative: int = 0, order: int = ORDER) -> Array:
    """A derivative in t = m^2 of the three functions on the rim, shape (3, *t.shape)."""
    series = rim_series(order)
    return np.asarray((-2.0) ** derivative * chebyshev.chebval(1 - 2 * t, chebyshev.chebder(series, derivative)))


__all__ = [
    "ENCODING",
    "ORDER",
    "attention",
    "attention_derivatives",
    "attention_family",
    "corner_table",
    "mixture",
    "one",
    "positional_weight",
    "rim_series",
    "rim_values",
    "three_functions",
    "three_losses",
]
