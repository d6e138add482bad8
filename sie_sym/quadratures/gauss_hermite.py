r"""Hermite coefficients of numeric polynomials by Gauss-Hermite rules, exact up to rounding.

A tensor rule of n nodes a token integrates total degree 2n - 1 exactly, whatever the rotation of the tokens; g of
degree D times He_alpha, |alpha| <= D, needs n = D + 1.  Uniform grids (`spectral`) are for functions like softmax: with
few nodes a token they cut polynomials off too early.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from sie_sym.errors import DomainError, TruncationError
from sie_sym.quadratures.quadrature import (
    Array,
    NumericFunction,
    checked,
    normalised_hermite,
    refuse_memory,
    total_degree,
)
from sie_sym.quadratures.spectral import SpectralExpansion

HIGHEST_DEGREE = 96
"""Up to here the nodes and weights of numpy are accurate."""


def polynomial_coefficients(function: NumericFunction, tokens: int, order: int, degree: int) -> SpectralExpansion:
    r"""E[g(Z) he_alpha(Z)], |alpha| <= order, of a numeric polynomial g: (L, N) -> (k, N) of total degree <= `degree`.

    E|g|^2 is the sum of the squares (Parseval).  A second rule, of one node more, gives the error estimate: rounding.
    Raises `DomainError` where the two rules differ, as they do when g is no polynomial of that degree, and
    `TruncationError` above `HIGHEST_DEGREE` or when a rule would not fit into memory.

    >>> h = polynomial_coefficients(lambda z: z[:1] ** 2 * z[1:], 2, 4, degree=3)
    >>> h.coefficient((2, 1)).round(10), round(h.norm2, 10)
    (array([2.]), 3.0)
    """
    if degree > HIGHEST_DEGREE:
        raise TruncationError(f"a polynomial of degree {degree}: the rules reach {HIGHEST_DEGREE}")
    function = checked(function, tokens, None, None)
    low = min(order, degree)
    value, other = (_by_rule(function, tokens, degree, degree + extra) for extra in (1, 2))
    norm2 = float(np.sum(value**2))
    norm = math.sqrt(norm2)
    spread = float(np.abs(other - value).max())
    if spread > 1e-8 * norm:
        raise DomainError(f"two Gauss-Hermite rules differ by {spread:.1e}: no polynomial of degree {degree}")
    error = 2 * spread + 8 * np.finfo(float).eps * norm
    coefficients = np.zeros((len(value), *[order + 1] * tokens))
    part = (slice(None), *[slice(low + 1)] * tokens)
    coefficients[part] = np.where(total_degree(tokens, low) <= low, value[part], 0.0)
    method = f"Gauss-Hermite rules of {degree + 1} and {degree + 2} nodes a token, exact for the degree {degree}"
    # |sum of a^2 - sum of b^2| <= |a - b| (|a| + |b|)
    norm2_error = 2 * norm * error * math.sqrt(value.size)
    return SpectralExpansion(coefficients, np.full(order + 1, error), norm2, norm2_error, method)


@functools.lru_cache(maxsize=64)
def _rule(degree: int, nodes: int) -> tuple[Array, Array]:
    """The nodes, and the weights times he_k, k <= degree."""
    x, density = np.polynomial.hermite_e.hermegauss(nodes)
    return x, normalised_hermite(degree, x, density / math.sqrt(2 * math.pi))


def _by_rule(function: NumericFunction, tokens: int, degree: int, nodes: int) -> Array:
    """The normalised coefficients of total degree <= `degree`, shape (k, degree + 1, ...)."""
    x, weights = _rule(degree, nodes)
    outputs = len(function(np.zeros((tokens, 1))))
    size = nodes**tokens
    refuse_memory(3 * size * (tokens + outputs), f"a rule of {size} nodes", "lower the degree of the target")
    points = np.array(np.meshgrid(*[x] * tokens, indexing="ij")).reshape(tokens, -1)
    values = function(points).reshape(outputs, *[nodes] * tokens)
    for _ in range(tokens):
        values = np.tensordot(values, weights, axes=(1, 1))
    values[:, total_degree(tokens, degree) > degree] = 0.0
    return values
