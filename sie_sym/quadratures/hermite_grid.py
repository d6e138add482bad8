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

from sie_sym.errors import DomainError
from sie_sym.quadratures.quadrature import (
    Array,
    NumericFunction,
    checked,
    density,
    normalised_hermite,
    total_degree,
    uniform_grid,
)
from sie_sym.quadratures.random_shifts import has_kinks
from sie_sym.quadratures.spectral import Parity, SpectralExpansion, hermite_coefficients

_RUNGS = {
    1: ((160, 10.4, math.inf), (320, 10.4, math.inf), (640, 10.4, math.inf), (1280, 10.4, math.inf)),
    2: (
        (78, 10.0, 1e-7),
        (98, 10.3, 1.5e-6),
        (128, 10.8, 6e-5),
        (192, 11.4, 1e-3),
        (320, 12.0, math.inf),
        (512, 12.0, math.inf),
    ),
}
"""Nodes a token and range of the finer of two grids, tried in turn, and the roughness up to which they are worth it.
sqrt(density) at 10 is 1e-11: so much of a bounded function is cut off."""
KINKED_NODES = {1: 1600, 2: 256}
"""Nodes a token of each of the grids for a function with kinks."""
_ROUNDING = 8 * float(np.finfo(float).eps)
_GOAL = 1e-10
"""The error of a coefficient, relative to the norm, that ends the search for a rung."""


@dataclass(frozen=True, eq=False)
class HermiteGrid:
    r"""The nodes of a tensor grid of one or two tokens in a disk, mapped to itself by z -> -z, and their weights.

    The corners outside of the disk have the weight of what lies beyond the range.  `points` is (L, N), its second half
    those with z_1 > 0; `weights` are he_k(x) density(x) step of one token, shape (order + 1, n); `places` says which
    point each of the n^L nodes is, `inside` is 0 where it is none; `densities` (N,) are the weights of the points.
    """

    points: Array
    weights: Array
    places: NDArray[np.intp]
    inside: Array
    densities: Array

    def coefficients(self, values: Array) -> Array:
        """E[h he_alpha] of `values` (k, N), shape (k, order + 1, ...).

        From the N/2 values at z_1 > 0 alone; then those of the other parity than h are meaningless.
        """
        half, nodes = self._half(values), self.weights.shape[1]
        first = 2 * self.weights[:, nodes // 2 :] if half else self.weights
        if len(self.points) == 1:
            return values @ first.T
        used = slice(len(self.places) // 2 if half else 0, None)
        # what "clip" makes of the nodes that are no points is multiplied by 0
        square = values.take(self.places[used] - half * values.shape[1], axis=1, mode="clip")
        square *= self.inside[used]
        return np.asarray(first @ (square.reshape(-1, nodes) @ self.weights.T).reshape(len(values), -1, len(first)))

    def means(self, values: Array, sign: int = 0) -> tuple[Array, Array]:
        """E h (k,) and E h h^T (k, k), whose trace is E|h|^2, of an h of parity `sign`."""
        half = self._half(values)
        weights = self.densities[half * values.shape[1] :]
        mean = np.zeros(len(values)) if sign < 0 else (1 + half) * (values @ weights)
        return mean, (1 + half) * ((values * weights) @ values.T)

    def norms(self, values: Array) -> float:
        """E|h|^2."""
        return float(self.means(values)[1].trace())

    def roughness(self, values: Array) -> float:
        """How much of h sqrt(density), h: (2, N) -> (1, N), has the highest frequency of the grid along an axis.

        What is even along the axis does not show: a hint of where to start, and no estimate of an error.
        """
        return float(np.abs(self._alternating @ values[0]).max() / math.sqrt(np.vdot(values * self.densities, values)))

    @functools.cached_property
    def _alternating(self) -> Array:
        """Signs that alternate along one axis, with random weights of the rows along it, times sqrt(density)."""
        nodes = self.weights.shape[1]
        weights = np.random.default_rng(7).standard_normal((2, nodes, 1))
        along = weights * (-1.0) ** np.arange(nodes)
        both = np.concatenate([along, along.transpose(0, 2, 1)]).reshape(4, -1)
        return np.asarray(both[:, self.inside > 0] * np.sqrt(self.densities))

    def _half(self, values: Array) -> bool:
        """Whether the values are those at z_1 > 0 alone."""
        return bool(2 * values.shape[1] == self.points.shape[1])


@functools.lru_cache(maxsize=24)
def hermite_grid(tokens: int, order: int, half_width: float, step: float) -> HermiteGrid:
    """The grid of one or two tokens, offset by half a step so that no node is its own mirror image."""
    x = uniform_grid(half_width, step, 0.5)
    weights = normalised_hermite(order, x, step * density(x))
    nodes = np.array(np.meshgrid(*[x] * tokens, indexing="ij")).reshape(tokens, -1)
    inside = np.square(nodes).sum(axis=0) <= half_width**2
    densities = functools.reduce(np.multiply.outer, [weights[0]] * tokens).ravel()
    return HermiteGrid(nodes[:, inside], weights, np.cumsum(inside) - 1, inside.astype(float), densities[inside])


@dataclass(frozen=True, eq=False)
class Moments:
    """E h (k,) and E|h|^2 of all outputs, and the error of the latter."""

    mean: Array
    norm2: float
    norm2_error: float


def smooth_coefficients(function: NumericFunction, tokens: int, order: int) -> SpectralExpansion:
    r"""The coefficients of `hermite_coefficients` for h: (L, N) -> (k, N), quicker where h is smooth and L <= 2.

    Two grids of different step and range that agree to 5e-11 of the norm decide, finer and finer ones while that helps;
    h(-z) = h(z) or -h(z) is looked for at all the nodes of one of them, and halves the other.  Where it does not help
    (kinks), and for three tokens and more, the answer is that of `hermite_coefficients`.

    >>> h = smooth_coefficients(lambda z: np.cos(z[:1] + z[1:]), 2, 8)
    >>> abs(h.coefficient((1, 1))[0] + math.exp(-1)) < 1e-11, h.error < 1e-11
    (np.True_, True)
    """
    found = _on_rungs(function, tokens, order, None)
    return found[0] if found else _general(function, tokens, order)


def spanned_coefficients(
    function: NumericFunction, tokens: int, order: int, basis: Array
) -> tuple[SpectralExpansion, Moments]:
    """The coefficients of basis^T h, as those of `smooth_coefficients`, and the moments of all of h: (L, N) -> (k, N).

    `basis` is (k, j), of orthonormal columns.  The error of degree 0 is that of E h, too.

    >>> h, moments = spanned_coefficients(lambda z: np.concatenate([z, 1 - z]), 1, 2, np.eye(2)[:, :1])
    >>> h.coefficient((1,)).round(9), moments.mean.round(9), round(moments.norm2, 9)
    (array([1.]), array([0., 1.]), 3.0)
    """
    found = _on_rungs(function, tokens, order, basis)
    if found:
        return found
    all_outputs = _general(function, tokens, 0)
    mean = all_outputs.coefficients.ravel()
    if len(mean) != len(basis):
        raise DomainError(f"the function and the basis have {sorted({len(mean), len(basis)})} outputs: they must agree")
    along = _general(lambda z: basis.T @ np.reshape(function(z), (len(mean), -1)), tokens, order)
    along.errors[0] = max(along.errors[0], all_outputs.error)
    return along, Moments(mean, all_outputs.norm2, all_outputs.norm2_error)


def _general(function: NumericFunction, tokens: int, order: int) -> SpectralExpansion:
    """Those of `hermite_coefficients`, with more nodes for kinks."""
    function = checked(function, tokens, None, None)
    kinked = KINKED_NODES[tokens] if tokens in KINKED_NODES and has_kinks(function, tokens) else None
    return hermite_coefficients(function, tokens, order, nodes=kinked, parity=parity_of(function, tokens))


def _on_rungs(
    function: NumericFunction, tokens: int, order: int, basis: Array | None
) -> tuple[SpectralExpansion, Moments] | None:
    """The answer of the first pair of grids that agree; None where there is none."""
    last, before, rough = math.inf, 1, 0.0
    for nodes, reach, limit in _RUNGS.get(tokens, ()):
        if rough > limit:
            continue
        step = 2 * reach / nodes
        coarse = hermite_grid(tokens, order, 0.97 * reach, 1.05 * step)
        values = _values(function, coarse.points)
        if values is None or (basis is not None and len(values) != len(basis)):
            return None
        if rough == 0 and limit < math.inf:
            rough = coarse.roughness(_mixture(len(values)) @ values)
            if rough > limit:
                continue
        found = _by_two_grids(function, values, coarse, hermite_grid(tokens, order, reach, step), basis)
        if found is None:
            return None
        along, moments = found
        error = max(along.error * math.sqrt(moments.norm2), moments.norm2_error)
        if error <= _GOAL * moments.norm2:
            return found
        if error > last * (before / nodes) ** 4:
            return None  # kinks: more nodes do not pay
        last, before = error, nodes
    return None


def _by_two_grids(
    function: NumericFunction, values: Array, coarse: HermiteGrid, fine: HermiteGrid, basis: Array | None
) -> tuple[SpectralExpansion, Moments] | None:
    """The coefficients on a grid, their errors from the values on a coarser one; None where the function is refused."""
    # one random combination of the outputs has the parity of all of them, and errors as large as theirs
    mixture = _mixture(len(values))
    mixed = mixture @ values
    # z -> -z reverses the order of the nodes
    middle = values.shape[1] // 2
    there, back = mixed[0, middle:], mixed[0, middle - 1 :: -1]
    limit = 1e-14 * float(np.abs(there).max(initial=0.0))
    sign = next((s for s in (1, -1) if abs(there[0] - s * back[0]) <= limit >= np.abs(there - s * back).max()), 0)
    if sign:
        values, mixed = values[:, middle:], mixed[:, middle:]
    check = mixture if basis is None else _mixture(basis.shape[1])
    other = coarse.coefficients(mixed if basis is None else (check @ basis.T) @ values)
    other_mean, other_gram = coarse.means(values, sign)
    found = _values(function, fine.points[:, fine.points.shape[1] // 2 :] if sign else fine.points)
    if found is None or len(found) != len(other_mean):
        return None
    mean, gram = fine.means(found, sign)
    seen = found if basis is None else basis.T @ found
    tokens, order = len(fine.points), len(fine.weights) - 1
    by_degree, starts, kept = _degrees(tokens, order, sign)
    value = fine.coefficients(seen)
    value *= kept
    other *= kept
    difference = (other.reshape(1, -1) - check @ value.reshape(len(value), -1))[0]
    spread = np.maximum.reduceat(np.abs(difference).take(by_degree), starts)
    spread[0] = max(spread[0], float(np.abs(mixture @ (mean - other_mean))[0]))
    norm2, norm2_error = _trace(gram, other_gram)
    rounding = _ROUNDING * math.sqrt(norm2)
    moments = Moments(mean, norm2, norm2_error)
    if basis is not None:
        norm2, norm2_error = _trace(basis.T @ gram @ basis, basis.T @ other_gram @ basis)
    method = f"2 uniform grids of about {fine.weights.shape[1]} nodes a token"
    return SpectralExpansion(value, 2 * spread + rounding, norm2, norm2_error, method), moments


def _trace(gram: Array, other: Array) -> tuple[float, float]:
    """E|h|^2 and its error, from two grids."""
    norm2 = float(gram.trace())
    return norm2, 2 * abs(float(other.trace()) - norm2) + _ROUNDING * norm2


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
    return values if math.isfinite(np.vdot(values, values)) else None


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


__all__ = [
    "KINKED_NODES",
    "HermiteGrid",
    "Moments",
    "hermite_grid",
    "parity_of",
    "smooth_coefficients",
    "spanned_coefficients",
]
