r"""Gaussian quadrature on uniform grids: nodes, weights times orthonormal Hermite polynomials, and its
limits.

On smooth functions the trapezoidal rule converges faster than any power of the step, and faster than
Gauss-Hermite rules, whose nodes are too far apart where softmax varies.  Kinks and jumps make it O(step^2)
and O(step).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sie_sym.errors import DomainError, TruncationError

Array = NDArray[np.float64]
NumericFunction = Callable[[Array], Array]
"""h: an array (L, N) of N points to the array (k, N) of values (any leading shape is read row-major as k)."""

MEMORY_LIMIT = 2**30
"""No call allocates more bytes than this; it refuses instead."""
_RANGE = 13.0
"""sqrt(density) at 13 is 4e-19, and sqrt(density) |he_k| < 1 for every k: nothing is cut off."""
DEFAULT_NODES = {1: 400, 2: 128, 3: 72, 4: 32, 5: 18}
GRIDS = ((1.0, 1.0, 0.5), (1.07, 0.97, 0.0), (1.04, 0.98, 0.25))
"""(step, range, offset in steps) relative to the finest grid, which gives the value; the others check it.
Different steps, not just a shift, because shifting all tokens by half a step leaves the aliasing term (1, 1)
unseen."""


def normalised_hermite(order: int, x: Array, start: ArrayLike = 1.0) -> Array:
    r"""he_k(x) = He_k(x)/sqrt(k!) times `start`, k = 0..order: shape (order + 1, *x.shape).

    The orthonormal recurrence; with `start` the density it gives the weights he_k(x) density(x) without
    overflow.

    >>> normalised_hermite(2, np.array([2.0]))[:, 0] * np.sqrt([1, 1, 2])
    array([1., 2., 3.])
    """
    values = np.empty((order + 1, *np.shape(x)))
    values[0] = start
    if order:
        values[1] = x * values[0]
    for k in range(1, order):
        np.multiply(x, values[k], out=values[k + 1])
        values[k + 1] -= math.sqrt(k) * values[k - 1]
        values[k + 1] /= math.sqrt(k + 1)
    return values


def density(x: Array) -> Array:
    """The standard normal density."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def grid_range(nodes: int, order: int) -> float:
    """The half-width T of a grid of `nodes` nodes: 13, or less where a finer step gains more than the range
    loses.

    The balance is struck for functions with poles like those of softmax, whose error is about exp(-6/step).
    """

    candidates = np.arange(1.0, _RANGE + 0.05, 0.1)
    cut_off = np.abs(normalised_hermite(order, candidates, density(candidates))).max(axis=0)
    enough = cut_off <= np.exp(-3 * nodes / candidates)
    return float(candidates[np.argmax(enough)]) if enough.any() else _RANGE


def uniform_grid(half_width: float, step: float, offset: float) -> Array:
    """The points step (j + offset), j integer, of [-half_width, half_width]."""
    first = math.ceil(-half_width / step - offset)
    last = math.floor(half_width / step - offset)
    return np.asarray(step * (np.arange(first, last + 1) + offset), dtype=np.float64)


def largest_by_degree(values: Array) -> Array:
    """The largest of non-negative values of shape (k, order+1, ...) among those of each total degree
    0..order."""
    tokens, order = values.ndim - 1, values.shape[1] - 1
    largest = np.zeros(tokens * order + 1)
    np.maximum.at(largest, total_degree(tokens, order).ravel(), values.max(axis=0).ravel())
    return largest[: order + 1]


def total_degree(tokens: int, order: int) -> NDArray[np.int64]:
    """|alpha| for every alpha in {0..order}^L."""
    degree = np.zeros((), dtype=np.int64)
    for _ in range(tokens):
        degree = np.add.outer(degree, np.arange(order + 1))
    return degree


def refuse_memory(floats: float, what: str, remedy: str) -> None:
    """Raise `TruncationError` instead of allocating more than `MEMORY_LIMIT`."""
    if 8 * floats > MEMORY_LIMIT:
        raise TruncationError(f"{what} would need {8 * floats / 2**30:.1f} GiB (limit 1 GiB): {remedy}")


def checked(
    function: NumericFunction, tokens: int, outputs: int | None, parity: Literal["even", "odd"] | None
) -> NumericFunction:
    """The function with values of shape (k, N), after a look at a few points."""

    def values(z: Array) -> Array:
        result = np.asarray(function(z), dtype=float)
        if result.shape[-1:] != z.shape[-1:]:
            raise DomainError(
                f"the function maps an array of shape {z.shape} to shape {result.shape}: the last axis must stay "
                f"{z.shape[-1]} (a constant must be broadcast)"
            )
        result = result.reshape(-1, z.shape[-1])
        if not np.isfinite(result).all():
            bad = z[:, ~np.isfinite(result).all(axis=0)][:, 0]
            raise DomainError(f"the function is not finite at z = ({', '.join(f'{x:.6g}' for x in bad)})")
        return result

    points = np.random.default_rng(1).standard_normal((tokens, 5))
    probe = values(points)
    if outputs is not None and len(probe) != outputs:
        raise DomainError(f"the function has {len(probe)} outputs, not the {outputs} announced")
    if parity is not None:
        sign = 1 if parity == "even" else -1
        if not np.allclose(values(-points), sign * probe, rtol=1e-9, atol=1e-12):
            raise DomainError(f"the function is not {parity} under z -> -z: leave parity=None")
    return values
