r"""Hermite coefficients of smooth functions of one or two tokens on grids that are kept: a fraction of a millisecond.

The weights he_k(x) density(x) step of a grid depend on nothing else, so that a new function costs its values and two
matrix products (`spectral` is for any number of tokens, and for the functions that two grids cannot decide).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sie_sym.quadrature import (
    Array,
    NumericFunction,
    checked,
    density,
    normalised_hermite,
    total_degree,
    uniform_grid,
)
from sie_sym.random_shifts import has_kinks
from sie_sym.spectral import Parity, SpectralExpansion, hermite_coefficients

_RUNGS = {1: (160, 320, 640, 1280), 2: (120, 192, 320, 512)}
"""Nodes a token of the finer of two grids, tried in turn."""
_RANGE = 10.4
"""sqrt(density) at 10.4 is 1e-12: so much of a coefficient is cut off, and the shorter range makes the step finer."""
KINKED_NODES = {1: 1600, 2: 256}
"""Nodes a token of each of the grids for a function with kinks."""
_GOAL = 1e-10
"""The error of a coefficient, relative to the norm, that ends the search for a rung."""


@dataclass(frozen=True, eq=False)
class HermiteGrid:
    r"""A tensor grid of one or two tokens that z -> -z maps to itself, and the weights of the coefficients.

    `points` is (L, N), its second half those with z_1 > 0; `weights` are he_k(x) density(x) step of one token, shape
    (order + 1, n), and `inner` those of k = 0 on the 85% of the range that must carry the norm.
    """

    points: Array
    weights: Array
    inner: Array

    def coefficients(self, values: Array) -> Array:
        """E[h he_alpha] of `values` (k, N), shape (k, order + 1, ...).

        From the N/2 values at z_1 > 0 alone; then those of the other parity than h are meaningless.
        """
        rows, factor = self._half(values)
        first, nodes = factor * self.weights[:, rows], self.weights.shape[1]
        if len(self.points) == 1:
            return values @ first.T
        return np.asarray(first @ (values.reshape(-1, nodes) @ self.weights.T).reshape(len(values), -1, len(first)))

    def norms(self, values: Array) -> tuple[float, float]:
        """E|h|^2 and its part from the inner range."""
        rows, factor = self._half(values)
        weight, inner = factor * self.weights[0, rows], factor * self.inner[rows]
        square = np.einsum("kn,kn->n", values, values).reshape(len(weight), -1)
        if len(self.points) == 1:
            return float(weight @ square[:, 0]), float(inner @ square[:, 0])
        return float(weight @ square @ self.weights[0]), float(inner @ square @ self.inner)

    def _half(self, values: Array) -> tuple[slice, float]:
        """The nodes of the first token that the values are for, and how often they count."""
        half = 2 * values.shape[1] == self.points.shape[1]
        return (slice(self.weights.shape[1] // 2, None), 2.0) if half else (slice(None), 1.0)


@functools.lru_cache(maxsize=24)
def hermite_grid(tokens: int, order: int, half_width: float, step: float) -> HermiteGrid:
    """The grid of one or two tokens, offset by half a step so that no node is its own mirror image."""
    x = uniform_grid(half_width, step, 0.5)
    weights = normalised_hermite(order, x, step * density(x))
    points = np.array(np.meshgrid(*[x] * tokens, indexing="ij")).reshape(tokens, -1)
    return HermiteGrid(points, weights, np.where(np.abs(x) <= 0.85 * half_width, weights[0], 0.0))


def smooth_coefficients(function: NumericFunction, tokens: int, order: int) -> SpectralExpansion:
    r"""The coefficients of `hermite_coefficients` for h: (L, N) -> (k, N), quicker where h is smooth and L <= 2.

    Two grids of different step and range that agree to 5e-11 of the norm decide, finer and finer ones while that helps;
    h(-z) = h(z) or -h(z) is looked for at all the nodes of one of them, and halves the other.  Where it does not help
    (kinks), and for three tokens and more, the answer is that of `hermite_coefficients`.

    >>> h = smooth_coefficients(lambda z: np.cos(z[:1] + z[1:]), 2, 8)
    >>> abs(h.coefficient((1, 1))[0] + math.exp(-1)) < 1e-11, h.error < 1e-11
    (np.True_, True)
    """
    last = math.inf
    for nodes in _RUNGS.get(tokens, ()):
        found = _by_two_grids(function, tokens, order, nodes)
        if found is None:
            break
        if found.error <= _GOAL * math.sqrt(found.norm2):
            return found
        if found.error > last / 8:
            break  # kinks: more nodes do not pay
        last = found.error
    function = checked(function, tokens, None, None)
    kinked = KINKED_NODES[tokens] if tokens in KINKED_NODES and has_kinks(function, tokens) else None
    return hermite_coefficients(function, tokens, order, nodes=kinked, parity=parity_of(function, tokens))


def _by_two_grids(function: NumericFunction, tokens: int, order: int, nodes: int) -> SpectralExpansion | None:
    """The coefficients on a grid, their errors from a coarser one; None where the function is refused."""
    step = 2 * _RANGE / nodes
    coarse, fine = hermite_grid(tokens, order, 0.97 * _RANGE, 1.05 * step), hermite_grid(tokens, order, _RANGE, step)
    values = _values(function, coarse.points)
    if values is None:
        return None
    # one random combination of the outputs has the parity of all of them, and errors as large as theirs
    mixture = _mixture(len(values))
    mixed = mixture @ values
    # z -> -z reverses the order of the nodes
    middle = values.shape[1] // 2
    there, back = mixed[:, middle:], mixed[:, middle - 1 :: -1]
    limit = 1e-14 * float(np.abs(there).max(initial=0.0))
    sign = next((s for s in (1, -1) if float(np.abs(there - s * back).max()) <= limit), 0)
    other = coarse.coefficients(there if sign else mixed)
    other_norm2, _ = coarse.norms(values[:, middle:] if sign else values)
    values = _values(function, fine.points[:, fine.points.shape[1] // 2 :] if sign else fine.points)
    if values is None or len(values) != len(mixture[0]):
        return None
    value = fine.coefficients(values)
    norm2, inner = fine.norms(values)
    if norm2 - inner > 1e-3 * norm2:
        return None
    by_degree, starts, kept = _degrees(tokens, order, sign)
    value *= kept
    spread = np.abs((other[0] - np.tensordot(mixture[0], value, axes=1)) * kept).ravel()[by_degree]
    norm = math.sqrt(norm2)
    rounding = 8 * np.finfo(float).eps * norm
    errors = 2 * np.maximum.reduceat(spread, starts) + rounding
    method = f"2 uniform grids of about {nodes} nodes a token"
    return SpectralExpansion(value, errors, norm2, 2 * abs(other_norm2 - norm2) + rounding * norm, method)


@functools.lru_cache(maxsize=24)
def _degrees(tokens: int, order: int, sign: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The places with |alpha| <= order sorted by |alpha|, where each degree starts among them, and 1 where a function
    of that parity (0: none) may have coefficients, else 0.
    """
    degree = total_degree(tokens, order)
    by_degree = np.argsort(degree.ravel(), kind="stable")[: int((degree <= order).sum())]
    starts = np.searchsorted(degree.ravel()[by_degree], np.arange(order + 1))
    right = (degree % 2 == (sign < 0)) if sign else np.ones(degree.shape, dtype=bool)
    return by_degree, starts, ((degree <= order) & right).astype(float)


@functools.lru_cache(maxsize=8)
def _mixture(outputs: int) -> Array:
    """Weights of magnitude 1 to 2 and random signs, (1, k)."""
    random = np.random.default_rng(5)
    return np.asarray(random.choice([-1.0, 1.0], (1, outputs)) * random.uniform(1, 2, (1, outputs)))


def _values(function: NumericFunction, points: Array) -> Array | None:
    """The values as (k, N); None where they are not what `hermite_coefficients` would accept."""
    values = np.asarray(function(points), dtype=float)
    if values.shape[-1:] != points.shape[-1:]:
        return None
    values = values.reshape(-1, points.shape[1])
    return values if math.isfinite(float(values.sum())) else None


def parity_of(function: NumericFunction, tokens: int) -> Parity | None:
    """The parity that some points show.  Only for two tokens or fewer: there one of the grids that estimate the error
    does not use it, and would find it out.
    """
    points = np.random.default_rng(2).standard_normal((tokens, 64))
    here, there = function(points), function(-points)
    limit = 1e-14 * float(np.abs(here).max())
    if tokens > 2 or min(np.abs(here - there).max(), np.abs(here + there).max()) > limit:
        return None
    return "even" if np.abs(here - there).max() <= limit else "odd"


__all__ = ["KINKED_NODES", "HermiteGrid", "hermite_grid", "parity_of", "smooth_coefficients"]
