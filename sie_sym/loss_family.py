r"""Builds the population losses of numeric targets and models, and of all linear combinations of some
targets.

R is bilinear in the target apart from E|g|^2 (theory section 4): a `LossFamily` holds the table of several
targets, and the loss of any linear combination of them, such as every (omega, a) of section 4 of the paper,
costs microseconds.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.gauss_hermite import HIGHEST_DEGREE, polynomial_coefficients
from sie_sym.quadrature import (
    DEFAULT_NODES,
    Array,
    NumericFunction,
    density,
    grid_range,
    normalised_hermite,
    refuse_memory,
    total_degree,
    uniform_grid,
)
from sie_sym.spectral import SpectralExpansion, hermite_coefficients, softmax_matrix
from sie_sym.spectral_loss import SpectralLoss

_DEFAULT_ORDER = {1: 72, 2: 72, 3: 30, 4: 10, 5: 6}


@dataclass(frozen=True, eq=False)
class LossFamily:
    r"""The losses of all linear combinations g = sum_i w_i g_i of n targets against one model, from one
    table.

    `gram` holds E g_i.g_j and `tails` its part beyond `order`; `overlaps[i]`, `overlap_errors[i]` are those
    of `SpectralLoss` for g_i.
    """

    encoding: Array
    frame: Array
    order: int
    gram: Array
    tails: Array
    overlaps: Array
    model_norm2: Array
    model_tail: Array
    overlap_errors: Array
    norm_error: float

    def at(self, weights: ArrayLike) -> SpectralLoss:
        """The loss of the target sum_i w_i g_i (microseconds)."""
        w = np.asarray(weights, dtype=float)
        if w.shape != (len(self.gram),):
            raise DomainError(f"weights of shape {w.shape}: give {len(self.gram)} numbers, one a target of the family")
        size = max(1.0, float(np.abs(w).sum()) ** 2)
        norm2 = float(w @ self.gram @ w)
        return SpectralLoss(
            self.encoding,
            self.frame,
            self.order,
            norm2,
            # the difference of two floats; 0 is kept for targets of which nothing is cut off
            max(float(w @ self.tails @ w), float(np.finfo(float).eps) * norm2),
            np.tensordot(w, self.overlaps, axes=1),
            self.model_norm2,
            self.model_tail,
            np.abs(w) @ self.overlap_errors,
            size * self.norm_error,
        )


def spectral_loss(
    target: NumericFunction,
    model: NumericFunction,
    encoding: ArrayLike,
    *,
    order: int | None = None,
    nodes: int | None = None,
    degree: int | None = None,
) -> SpectralLoss:
    """The loss of numeric g and phi, (L, N) -> (k, N), with encoding C of shape (L, r); see `loss_family`."""
    return loss_family([target], model, encoding, order=order, nodes=nodes, degrees=[degree]).at([1.0])


def loss_family(
    targets: Sequence[NumericFunction],
    model: NumericFunction,
    encoding: ArrayLike,
    *,
    constants: ArrayLike = (),
    order: int | None = None,
    nodes: int | None = None,
    degrees: Sequence[int | None] = (),
) -> LossFamily:
    r"""The table of a family of losses; L = number of rows of `encoding` (shape (L, r), r = 0 without
    encoding).

    The family is `targets` followed by the constant targets `constants`, of shape (c, k), which cost nothing.
    `order` truncates the sum over k (default 72 for L <= 2, then 30, 10, 6), `nodes` a token as in
    `hermite_coefficients`; `degrees` says which targets are polynomials of what degree: theirs are the rules of
    `gauss_hermite`.  Raises `DomainError` if targets and model differ in their number of outputs, and
    `TruncationError` when the table would not fit into memory.
    """
    C = np.asarray(encoding, dtype=float)
    if C.ndim != 2 or len(C) not in DEFAULT_NODES:
        raise DomainError(f"encoding of shape {C.shape}: give an L x r array, L <= {max(DEFAULT_NODES)} tokens")
    tokens, K = len(C), _DEFAULT_ORDER[len(C)] if order is None else order
    U, sigma, Vt = np.linalg.svd(C, full_matrices=True) if C.size else (np.eye(tokens), np.zeros(0), np.eye(0))
    rank = int(np.sum(sigma > 1e-12 * max(sigma, default=0.0)))
    sigma = sigma[:rank]

    def in_frame(function: NumericFunction) -> NumericFunction:
        return lambda y: np.reshape(function(U @ y), (-1, y.shape[1]))

    functions = [in_frame(target) for target in targets]
    outputs = {len(f(np.zeros((tokens, 1)))) for f in (*functions, in_frame(model))}
    if len(outputs) > 1:
        raise DomainError(f"targets and model have {sorted(outputs)} outputs: they must agree")
    k, n = outputs.pop(), len(targets)
    vectors = np.reshape(np.asarray(constants, dtype=float), (-1, k))
    expansions = [
        polynomial_coefficients(f, tokens, K, degree)
        if degree is not None and degree <= HIGHEST_DEGREE
        else hermite_coefficients(f, tokens, K, nodes=nodes, parity=_parity(f, tokens))
        for f, degree in zip(functions, degrees or [None] * n, strict=True)
    ]
    coefficients = np.stack([e.coefficients for e in expansions])
    gram, gram_error = _gram(functions, expansions, vectors, nodes)
    tails = np.zeros_like(gram)
    flat = coefficients.reshape(n, -1)
    tails[:n, :n] = gram[:n, :n] - flat @ flat.T
    # the model's table keeps the shifted coordinates last: see _model_table
    weights = np.moveaxis(coefficients, range(2, 2 + rank), range(tokens + 2 - rank, tokens + 2))

    count = nodes or DEFAULT_NODES[tokens]
    half_width = grid_range(count, K)
    step = 2 * half_width / count
    number = 2 * math.ceil(11 + 5 * max(sigma, default=0.0))
    while True:
        angles = np.pi * (np.arange(number) + 0.5) / number
        shifts = [s * np.cos(angles) for s in sigma]
        table = _model_table(in_frame(model), tokens, K, weights, vectors, shifts, half_width, step, 0.5)
        transform = 2 / number * np.cos(np.arange(number)[:, None] * angles)
        transform[0] /= 2
        series = [_transform_axes(part, transform, rank, lead) for part, lead in zip(table[:3], (1, 0, 0), strict=True)]
        left = max(
            (float(np.abs(np.moveaxis(series[0], 1 + axis, 0)[-2:]).max()) for axis in range(rank)),
            default=0.0,
        )
        if left < 1e-13 * max(1.0, float(np.abs(series[0]).max())) or number > 200:
            break
        number *= 2
    # a second grid, of other step and range, at a few of the shifts
    some = slice(None, None, max(1, number // 4))
    few = [s[some] for s in shifts]
    check = _model_table(in_frame(model), tokens, K, weights, vectors, few, 0.97 * half_width, 1.07 * step, 0.0)
    place = (slice(None), *[some] * rank)
    axes = tuple(range(1, 1 + rank))
    overlap_errors = 2 * np.abs(check[0] - table[0][place]).max(axis=axes) + left
    number_of = np.bincount(total_degree(tokens, K).ravel())[: K + 1] * k
    for row, expansion in zip(overlap_errors, expansions, strict=False):  # constants come after
        row += table[3] * np.sqrt(number_of) * expansion.errors  # Cauchy-Schwarz in each degree
    norm_error = gram_error + 2 * float(np.abs(check[1] - table[1][place[1:]]).max())
    norm_error += 1e-14 * float(table[1].max())
    return LossFamily(
        C,
        Vt[:rank].T.copy(),
        K,
        gram,
        tails,
        series[0],
        series[1],
        series[2],
        overlap_errors,
        norm_error,
    )


def _parity(function: NumericFunction, tokens: int) -> Literal["even", "odd"] | None:
    """The parity that some points show.  Only for two tokens or fewer: there one of the grids that estimate
    the error does not use it, and would find it out.
    """
    points = np.random.default_rng(2).standard_normal((tokens, 64))
    here, there = function(points), function(-points)
    limit = 1e-14 * float(np.abs(here).max())
    if tokens > 2 or min(np.abs(here - there).max(), np.abs(here + there).max()) > limit:
        return None
    return "even" if np.abs(here - there).max() <= limit else "odd"


def _gram(
    functions: Sequence[NumericFunction], expansions: Sequence[SpectralExpansion], vectors: Array, nodes: int | None
) -> tuple[Array, float]:
    """All inner products of the functions and the constant vectors, and the largest error of one."""
    n = len(functions)
    gram = np.zeros((n + len(vectors), n + len(vectors)))
    means = np.array([e.coefficient((0,) * e.tokens) for e in expansions])
    gram[:n, n:] = means @ vectors.T
    gram[n:, :n] = gram[:n, n:].T
    gram[n:, n:] = vectors @ vectors.T
    error = max(e.norm2_error for e in expansions)
    error = max(
        error, max(float(e.errors[0]) for e in expansions) * float(np.abs(vectors).sum(axis=-1).max(initial=0.0))
    )
    for i, e in enumerate(expansions):
        gram[i, i] = e.norm2
    if n > 1:
        pairs = list(itertools.combinations(range(n), 2))

        def products(y: Array) -> Array:
            values = [f(y) for f in functions]
            return np.stack([np.einsum("kn,kn->n", values[i], values[j]) for i, j in pairs])

        inner = hermite_coefficients(products, expansions[0].tokens, 0, nodes=nodes)
        for (i, j), product in zip(pairs, inner.coefficients.reshape(-1), strict=True):
            gram[i, j] = gram[j, i] = product
        error = max(error, inner.error)
    return gram, error


def _transform_axes(values: Array, transform: Array, rank: int, lead: int) -> Array:
    """Values at Chebyshev nodes to Chebyshev coefficients along `rank` axes after the first `lead`."""
    for axis in range(lead, lead + rank):
        values = np.moveaxis(np.tensordot(transform, values, axes=(1, axis)), 0, axis)
    return values


def _model_table(
    model: NumericFunction,
    tokens: int,
    order: int,
    weights: Array,
    constants: Array,
    shifts: Sequence[Array],
    half_width: float,
    step: float,
    offset: float,
) -> tuple[Array, Array, Array, Array]:
    r"""a_k, E|phi|^2 and its tail at a tensor grid of shifts of the first coordinates, and max |C_k(phi)| of
    all.

    `weights` (n, k, j_{r+1}, ..., j_L, i_1, ..., i_r) are the targets' coefficients.  phi is evaluated once:
    a shift moves the Hermite functions of the shifted coordinates, not phi.
    """
    rank = len(shifts)
    fixed = uniform_grid(half_width, step, offset)
    fixed_weights = normalised_hermite(order, fixed, step * density(fixed))
    moving = [uniform_grid(half_width + float(np.abs(s).max()), step, offset) for s in shifts]
    axes = [*moving, *[fixed] * (tokens - rank)]
    size = math.prod(len(x) for x in axes)
    outputs = weights.shape[1]
    refuse_memory(4 * outputs * size, f"the model on {size} grid nodes", "pass fewer nodes")
    points = np.array(np.meshgrid(*axes, indexing="ij")).reshape(tokens, -1)
    values = np.asarray(model(points), dtype=float).reshape(outputs, *(len(x) for x in axes))
    if not np.isfinite(values).all():
        raise DomainError("the model is not finite everywhere on the grid: it must be defined on all of R^L")
    square = np.einsum("k...,k...->...", values, values)
    # if phi is even on the grid, a_k(-e) = (-1)^k a_k(e) on the grid: half of the shifts are enough
    even = (
        rank > 0
        and offset == 0.5
        and len(shifts[0]) % 2 == 0
        and float(np.abs(values - np.flip(values, axis=tuple(range(1, tokens + 1)))).max())
        < 1e-14 * np.abs(values).max()
    )
    computed = [s[: len(s) // 2] if even and axis == 0 else s for axis, s in enumerate(shifts)]
    moving_weights = [
        normalised_hermite(order, distance, step * density(distance))
        for distance in (x - s[:, None] for x, s in zip(moving, computed, strict=True))
    ]
    values = np.moveaxis(values, 0, rank)
    for _ in range(tokens - rank):
        values = np.tensordot(values, fixed_weights, axes=(rank + 1, 1))
        square = square @ fixed_weights[0]
    degree = total_degree(tokens, order).ravel()
    shape = tuple(len(s) for s in shifts)
    overlaps = np.zeros((len(weights) + len(constants), *shape, order + 1))
    norm2, tail = np.zeros(shape), np.zeros(shape)
    largest = np.zeros(order + 1)

    def visit(index: tuple[int, ...], part: Array, part_square: Array) -> None:
        if len(index) < rank:
            for i in range(len(computed[len(index)])):
                weight = moving_weights[len(index)][:, i]
                moved = np.tensordot(part, weight, axes=(0, 1))
                visit((*index, i), moved, np.tensordot(weight[0], part_square, axes=1))
            return
        for target, row in enumerate(weights):
            summed = np.einsum("k...,k...->...", row, part).ravel()
            overlaps[(target, *index)] = np.bincount(degree, summed)[: order + 1]
        mean = part.reshape(outputs, -1)[:, 0]
        for row, constant in enumerate(constants, start=len(weights)):
            overlaps[(row, *index, 0)] = constant @ mean
        size2 = np.bincount(degree, np.einsum("k...,k...->...", part, part).ravel())[: order + 1]
        np.maximum(largest, size2, out=largest)
        norm2[index] = part_square
        tail[index] = part_square - size2.sum()

    visit((), values, square)
    if even:
        half = shape[0] // 2
        back = tuple(range(rank))
        norm2[half:] = np.flip(norm2, back)[half:]
        tail[half:] = np.flip(tail, back)[half:]
        sign = np.where(np.arange(order + 1) % 2, -1.0, 1.0)
        overlaps[:, half:] = (np.flip(overlaps, tuple(axis + 1 for axis in back)) * sign)[:, half:]
    return overlaps, norm2, tail, np.sqrt(largest)


@functools.lru_cache(maxsize=2)
def positional_semantic_family(order: int = 72) -> LossFamily:
    """The table of section 4 of the paper: targets softmax, identity, all ones; model softmax, L = 2, C = (1,
    -1)."""
    matrices = [np.eye(2).ravel(), np.ones(4)]
    return loss_family([softmax_matrix], softmax_matrix, [[1.0], [-1.0]], constants=matrices, order=order)


def positional_semantic_loss(omega: float, a: float = 1.0) -> SpectralLoss:
    r"""R(m, eps) for the target (1-omega) softmax(z z^T) + omega A, A = softmax_rows(a^2 [[1,-1],[-1,1]]).

    From one cached table: microseconds a call.  Source: arXiv:2506.02651, section 4 and App. F.

    >>> float(positional_semantic_loss(0.67).value(0.5, 0.3).round(9))
    0.238829094
    """
    p = 1 / (1 + math.exp(-2 * a * a))
    return positional_semantic_family().at([1 - omega, omega * (2 * p - 1), omega * (1 - p)])
