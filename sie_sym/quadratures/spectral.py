r"""Hermite coefficients and Gaussian expectations of numeric functions, in float64, with error estimates.

For functions without closed form, softmax attention above all (theory section 2).  On smooth functions the
trapezoidal rule on a uniform grid converges faster than any power of the step, and faster than Gauss-Hermite
rules, whose nodes are too far apart where softmax varies: on L = 2 softmax 100 nodes a token give 4e-13.
Kinks and jumps make it O(step^2) and O(step): the answer is then the mean over grids at random places, with a
confidence interval (`random_shifts`); `weierstrass` has closed forms.

Up to 5 tokens the grid is a tensor product, streamed slice by slice; two or three grids of different step,
offset and range give the error estimate.  From 6 tokens on it is scrambled Sobol points, and a confidence
interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sie_sym.errors import DomainError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.quadratures.quadrature import (
    DEFAULT_NODES,
    GRIDS,
    MEMORY_LIMIT,
    Array,
    NumericFunction,
    checked,
    density,
    grid_range,
    largest_by_degree,
    normalised_hermite,
    refuse_memory,
    total_degree,
    uniform_grid,
)
from sie_sym.quadratures.random_shifts import half_width as confidence
from sie_sym.quadratures.random_shifts import has_kinks, random_grids
from sie_sym.quadratures.sampled_coefficients import HermiteBasis, indices_up_to
from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, normal_points
from sie_sym.quadratures.scrambled_sobol import confidence as sobol_confidence

Parity = Literal["even", "odd"]
"""The behaviour of a function under z -> -z."""
BLOCK = 2**21
"""Function values evaluated at once (16 MB; numpy functions need a few times that for temporaries)."""
SMOOTH = 1e-10
"""Grids that differ by less, relative to the norm, saw no kink."""


def softmax_matrix(z: Array) -> Array:
    r"""softmax_rows(z z^T) at N points: (L, N) -> (L, L, N), stable for scores of any size.

    >>> softmax_matrix(np.array([[40.0], [-40.0]]))[:, :, 0].round(3)
    array([[1., 0.],
           [0., 1.]])
    """
    if len(z) == 2:
        result = np.empty((2, 2, *z.shape[1:]))
        gap = z[1] - z[0]
        # exp may overflow to inf, and 1/(1 + inf) = 0 is then the right value
        with np.errstate(over="ignore"):
            for l, scores in enumerate((z[0] * gap, -z[1] * gap)):
                np.exp(scores, out=scores)
                scores += 1
                np.divide(1.0, scores, out=result[l, l])
                np.subtract(1.0, result[l, l], out=result[l, 1 - l])
        return result
    scores = z[:, None] * z[None, :]
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


@dataclass(frozen=True, eq=False)
class SpectralExpansion:
    r"""The Hermite coefficients of h: R^L -> R^k up to total degree `order`, as floats with an error.

    `coefficients[i, a_1, ..., a_L]` is C_alpha(h_i)/sqrt(alpha!) = E[h_i(Z) he_alpha(Z)], shape (k, order+1,
    ...), and 0 where |alpha| > order.  `errors[j]` estimates the largest absolute error of those of degree j,
    `error` of any; `norm2` is E|h|^2 and `norm2_error` its error; `method` says what the estimates rest on.
    Source: arXiv:2506.02651, Thm 3.
    """

    coefficients: Array
    errors: Array
    norm2: float
    norm2_error: float
    method: str

    evidence = Evidence.NUMERICAL

    @property
    def error(self) -> float:
        """The estimated largest absolute error of any normalised coefficient."""
        return float(self.errors.max())

    @property
    def order(self) -> int:
        """The total degree up to which coefficients are known."""
        return int(self.coefficients.shape[1]) - 1

    @property
    def tokens(self) -> int:
        """The number L of tokens."""
        return self.coefficients.ndim - 1

    def coefficient(self, alpha: Sequence[int]) -> Array:
        """C_alpha(h) = E[h(Z) He_alpha(Z)], shape (k,); `TruncationError` beyond `order`."""
        if len(alpha) != self.tokens or min(alpha) < 0:
            raise DomainError(f"multi-index {tuple(alpha)}: give {self.tokens} integers >= 0, one a token")
        if sum(alpha) > self.order:
            raise TruncationError(
                f"coefficient {tuple(alpha)} has degree {sum(alpha)} but the expansion is known to degree "
                f"{self.order}: pass order={sum(alpha)}"
            )
        scale = math.sqrt(math.prod(math.factorial(a) for a in alpha))
        place: tuple[slice | int, ...] = (slice(None), *alpha)
        return np.asarray(self.coefficients[place] * scale)

    @property
    def tail(self) -> float:
        r"""E|h|^2 - sum_{|alpha| <= order} C_alpha^2/alpha!, the squared norm of what is left out (>= 0)."""
        return max(self.norm2 - float(np.vdot(self.coefficients, self.coefficients)), 0.0)


def hermite_coefficients(
    function: NumericFunction,
    tokens: int,
    order: int,
    *,
    nodes: int | None = None,
    outputs: int | None = None,
    parity: Parity | None = None,
    seed: int = 0,
) -> SpectralExpansion:
    r"""E[h(Z) he_alpha(Z)] for |alpha| <= order, Z ~ N(0, I_L), of a numeric h: (L, N) -> (k, N).

    `nodes` a token (tensor grids, up to 5 tokens) or points a scrambling (6 tokens and more; `seed` chooses
    them) replace the defaults; `outputs` = k is checked if given.  `parity` promises h(-z) = h(z) or -h(z)
    and halves the work (spot-checked).  The error estimate is twice the largest difference between grids, or
    a 99.9% confidence half-width (functions with kinks, and from 6 tokens on).  Raises `DomainError` where h
    is not finite, not of the promised shape or parity, or visibly not square-integrable; `TruncationError` if
    more memory than `MEMORY_LIMIT` were needed.

    >>> h = hermite_coefficients(lambda z: z[:1] ** 2 * z[1:], 2, 4)
    >>> h.coefficient((2, 1)).round(10), round(h.norm2, 10), h.error < 1e-13
    (array([2.]), 3.0, True)
    """
    if tokens < 1 or order < 0:
        raise DomainError(f"{tokens} tokens to order {order}: there must be at least one token and order >= 0")
    function = checked(function, tokens, outputs, parity)
    size = len(function(np.zeros((tokens, 1)))) * (order + 1) ** tokens
    refuse_memory(3 * size, f"{size} coefficients ({tokens} tokens to order {order})", "lower the order")
    if tokens > max(DEFAULT_NODES):
        return _by_sobol(function, tokens, order, nodes or 2**13, parity, seed)
    count = nodes or DEFAULT_NODES[tokens]
    half_width = grid_range(count, order)
    results = [
        _on_grid(
            function, tokens, order, reach * half_width, coarser * 2 * half_width / count, (offset,) * tokens, parity
        )
        for coarser, reach, offset in GRIDS[: 3 if tokens <= 2 else 2]
    ]
    value, norm2, inner = results[0]
    if norm2 - inner > 1e-3 * norm2:
        raise DomainError(
            f"the function is too large far out: {(norm2 - inner) / norm2:.1e} of E|h|^2 comes from the edge of the "
            f"grid of {count} nodes a token; it is not square-integrable, or needs more nodes"
        )
    spread = np.max([np.abs(other[0] - value) for other in results[1:]], axis=0)
    rounding = 8 * np.finfo(float).eps * math.sqrt(norm2)
    if spread.max() > SMOOTH * math.sqrt(norm2) and has_kinks(function, tokens):
        return _by_random_shifts(function, tokens, order, half_width, count, parity, rounding)
    norm2_error = 2 * max(abs(other[1] - norm2) for other in results[1:]) + rounding * math.sqrt(norm2)
    method = f"{len(results)} uniform grids of about {count} nodes a token"
    return SpectralExpansion(value, 2 * largest_by_degree(spread) + rounding, norm2, norm2_error, method)


def _by_random_shifts(
    function: NumericFunction,
    tokens: int,
    order: int,
    half_width: float,
    count: int,
    parity: Parity | None,
    rounding: float,
) -> SpectralExpansion:
    """The mean over grids of `count` nodes a token at random places."""
    results = [
        _on_grid(function, tokens, order, reach * half_width, coarser * 2 * half_width / count, offsets, None)
        for coarser, reach, offsets in random_grids(tokens, 1)
    ]
    values, norms = np.stack([r[0] for r in results]), np.array([r[1] for r in results])
    if parity is not None:
        values[:, :, total_degree(tokens, order) % 2 == (parity == "even")] = 0.0
    value, norm2 = values.mean(axis=0), float(norms.mean())
    errors = largest_by_degree(confidence(values - value)) + rounding
    norm2_error = float(confidence(norms - norm2)) + rounding * math.sqrt(norm2)
    method = f"{len(results)} uniform grids of about {count} nodes a token at random places, 99.9% confidence"
    return SpectralExpansion(value, errors, norm2, norm2_error, method)


def _on_grid(
    function: NumericFunction,
    tokens: int,
    order: int,
    half_width: float,
    step: float,
    offsets: tuple[float, ...],
    parity: Parity | None,
) -> tuple[Array, float, float]:
    """Coefficients, E|h|^2, and the part of E|h|^2 from the inner 85% of the range, on one tensor grid."""
    axes = [uniform_grid(half_width, step, offset) for offset in offsets]
    weights = [normalised_hermite(order, x, step * density(x)) for x in axes]
    inner = [np.where(np.abs(x) <= 0.85 * half_width, w[0], 0.0) for x, w in zip(axes, weights, strict=True)]
    first, first_weights = axes[0], weights[0]
    if parity is not None and set(offsets) <= {0.0, 0.5}:
        # z -> -z maps the grid to itself: the half x_1 > 0 counts twice, the middle slice once
        keep = first > -step / 4
        first = first[keep]
        first_weights = first_weights[:, keep] * np.where(first > step / 4, 2.0, 1.0)
    else:
        parity = None
    lengths = [len(x) for x in axes[1:]]
    slice_size = math.prod(lengths)
    outputs = len(function(np.zeros((tokens, 1))))
    needed = 3 * slice_size * (outputs + tokens)
    refuse_memory(needed, f"one slice of {slice_size} nodes and {outputs} outputs", "pass fewer nodes")
    rest = np.array(np.meshgrid(*axes[1:], indexing="ij")).reshape(tokens - 1, 1, slice_size)
    rows = max(1, BLOCK // (slice_size * outputs))
    total = np.zeros((outputs, *[order + 1] * tokens))
    norm2 = inner2 = 0.0
    ratio = np.where(np.abs(first) <= 0.85 * half_width, 1.0, 0.0)
    for start in range(0, len(first), rows):
        block = slice(start, start + rows)
        here = first[block]
        points = np.empty((tokens, len(here), slice_size))
        points[0] = here[:, None]
        points[1:] = rest
        values = function(points.reshape(tokens, -1)).reshape(outputs, len(here), *lengths)
        square = np.einsum("i...,i...->...", values, values)
        inner_square = square
        for l in range(1, tokens):
            square, inner_square = square @ weights[-l][0], inner_square @ inner[-l]
            values = np.tensordot(values, weights[l], axes=(2, 1))
        norm2 += float(square @ first_weights[0, block])
        inner2 += float(inner_square @ (first_weights[0, block] * ratio[block]))
        total += np.moveaxis(np.tensordot(values, first_weights[:, block], axes=(1, 1)), -1, 1)
    degree = total_degree(tokens, order)
    wrong = degree > order
    if parity is not None:
        wrong |= degree % 2 == (parity == "even")
    total[:, wrong] = 0.0
    return total, norm2, inner2


def _by_sobol(
    function: NumericFunction, tokens: int, order: int, count: int, parity: str | None, seed: int
) -> SpectralExpansion:
    """Coefficients by `SCRAMBLINGS` independently scrambled Sobol sequences of `count` points.

    One more sequence fits a polynomial p of that order; the others integrate h - p, whose variance is that of
    the tail of h only.  p is independent of them, so their means stay unbiased and the confidence interval is
    valid.
    """
    alphas = indices_up_to(tokens, order, None if parity is None else 1 if parity == "even" else -1)
    basis_at = HermiteBasis(alphas)
    outputs = len(function(np.zeros((tokens, 1))))
    log2 = max(1, math.ceil(math.log2(count)))
    block = max(256, min(2**log2, BLOCK // max(len(alphas), outputs)))

    def batches(generator: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        points = normal_points(tokens, log2, generator)
        for start in range(0, 2**log2, block):
            z = np.ascontiguousarray(points[:, start : start + block])
            yield basis_at(z), function(z)

    first, *others = np.random.default_rng(seed).spawn(SCRAMBLINGS + 1)
    pilot = np.zeros((outputs, len(alphas)))
    if 4 * len(alphas) <= 2**log2:
        gram, moments = np.zeros((len(alphas), len(alphas))), np.zeros((len(alphas), outputs))
        for basis, values in batches(first):
            gram += basis @ basis.T
            moments += basis @ values.T
        pilot = np.asarray(np.linalg.solve(gram, moments).T, dtype=np.float64)
    estimates = np.zeros((SCRAMBLINGS, outputs * len(alphas) + 1))
    for row, generator in zip(estimates, others, strict=True):
        for basis, values in batches(generator):
            row[:-1] += ((values - pilot @ basis) @ basis.T).ravel() / 2**log2
            row[-1] += np.sum(values**2) / 2**log2
    mean = estimates.mean(axis=0)
    half_width = sobol_confidence(estimates)
    coefficients, spread = np.zeros((2, outputs, *[order + 1] * tokens))
    place = (slice(None), *alphas.T)
    coefficients[place] = pilot + mean[:-1].reshape(outputs, -1)
    spread[place] = half_width[:-1].reshape(outputs, -1)
    method = f"{SCRAMBLINGS} scrambled Sobol sequences of {2**log2} points, 99.9% confidence"
    return SpectralExpansion(coefficients, largest_by_degree(spread), float(mean[-1]), float(half_width[-1]), method)


__all__ = [
    "BLOCK",
    "MEMORY_LIMIT",
    "SMOOTH",
    "Array",
    "NumericFunction",
    "Parity",
    "SpectralExpansion",
    "hermite_coefficients",
    "softmax_matrix",
]
