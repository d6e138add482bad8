r"""The Hermite coefficients C_beta(phi(. + C eps)) of a model at Chebyshev nodes of eps: all that a loss needs of it.

R is linear in the target but for E|g|^2 (theory section 4), so that one table serves every target: each costs its own
coefficients and one product with the table.  In coordinates along and across the encoding (the singular frame of C) a
shift of the means touches only rank(C) coordinates: phi is evaluated once, and a shift moves the Hermite functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sie_sym.errors import DomainError
from sie_sym.losses.degree_products import DegreePairs, DegreeProducts
from sie_sym.losses.shifted_coefficients import MeanCoefficients, ModelGrid, ShiftedCoefficients
from sie_sym.quadratures.hermite_grid import KINKED_NODES
from sie_sym.quadratures.quadrature import (
    DEFAULT_NODES,
    MEMORY_LIMIT,
    Array,
    NumericFunction,
    grid_range,
    refuse_memory,
    total_degree,
)
from sie_sym.quadratures.random_shifts import SHIFTS, half_width, has_kinks, random_grids

_DEFAULT_ORDER = {1: 80, 2: 80, 3: 30, 4: 10, 5: 6}
_FINEST = {1: 1600, 2: 512}
_GOAL, _SMOOTH = 1e-8, 1e-11
"""The errors of the coefficients, relative to the norm of phi, below which more nodes are not tried, and below which
kinks are not looked for."""


@dataclass(frozen=True, eq=False)
class ModelTable:
    r"""C_beta(phi(. + C eps))/sqrt(beta!), |beta| <= `order`, at Chebyshev nodes of the reduced overlaps p in [-1, 1].

    The columns of `rotation` (L, L) are the directions along, then across the encoding, those of `frame` (r, rank) the
    directions of p in eps.  `rows` are the coefficients node by node, kept or computed anew; the last `checks` rows are
    differences between two grids of quadrature, or if phi has `kinks` those of each of the grids from their mean.
    `norm2` and `tail` are the Chebyshev series of E|phi(Z + e)|^2 and of its part beyond `order`, `norm_error` is their
    error.  `sizes[k]` is the largest |C_k(phi(. + e))|, `error` estimates the largest error of such a vector relative
    to the norm of phi.
    """

    encoding: Array
    rotation: Array
    frame: Array
    order: int
    outputs: int
    rows: DegreeProducts | ShiftedCoefficients | MeanCoefficients
    checks: int
    layout: Layout
    norm2: Array
    tail: Array
    norm_error: float
    sizes: Array
    error: float
    kinks: bool

    @property
    def basis(self) -> Array | None:
        """An orthonormal basis (k, j) of what the outputs of phi span but for a constant, if known and j < k."""
        basis = self.rows.basis if isinstance(self.rows, DegreeProducts) else None
        return None if basis is None or basis.shape[1] == len(basis) else basis

    @functools.cached_property
    def weights(self) -> Array:
        """By how much an error of all coefficients of one degree changes a_k at most (Cauchy-Schwarz)."""
        return np.asarray(self.sizes * np.sqrt(self.layout.numbers))

    def overlaps(self, coefficients: Array, means: Array | None = None) -> tuple[Array, Array]:
        r"""The Chebyshev series of a_k(e) = sum_{|b|=k} C_b(g).C_b(phi(. + e))/b!, shape (n, *nodes, order + 1).

        `coefficients`, (n, k, order + 1, ...), are those of n targets, normalised and in the rotated coordinates.  With
        the estimated errors of the a_k that the table and its interpolation make, (n, order + 1).
        """
        found = (
            self.rows.products(coefficients, means)
            if isinstance(self.rows, DegreeProducts)
            else self.layout.products(self.layout.row(coefficients), self.rows)
        )
        count = found.shape[1] - self.checks
        series = self.layout.series(found[:, :count], 1, odd=True)
        errors = _errors(found[:, count:], self.kinks)
        return series, errors + remainder(series, len(self.layout.nodes))[:, None]


@dataclass(frozen=True, eq=False)
class Layout:
    """How coefficients are laid out, by Chebyshev nodes and degrees.

    If phi is `even`, only the first half of the nodes of the first overlap is computed: C_k(phi(. - e)) is (-1)^k times
    C_k(phi(. + e)).
    `columns` are the places of |beta| <= `order` in an array (k, j_{r+1}, ..., j_L, j_1, ..., j_r), `places` those in
    (k, j_1, ..., j_L), both sorted by |beta|; those of degree k begin at `starts[k]`.
    """

    nodes: tuple[int, ...]
    even: bool
    order: int
    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]

    @functools.cached_property
    def numbers(self) -> NDArray[np.int64]:
        """How many coefficients of all outputs have each degree."""
        return np.diff(self.starts, append=len(self.columns))

    @classmethod
    def of(cls, nodes: tuple[int, ...], even: bool, tokens: int, outputs: int, order: int) -> Layout:
        """The layout of the coefficients of `outputs` functions of `tokens` tokens."""
        rank = len(nodes)
        degree = np.tile(total_degree(tokens, order).ravel(), outputs)
        columns = np.argsort(degree, kind="stable")[: int((degree <= order).sum())]
        starts = np.searchsorted(degree[columns], np.arange(order + 1))
        axes = (0, *range(1 + rank, 1 + tokens), *range(1, 1 + rank))
        moved = np.arange(len(degree)).reshape(outputs, *[order + 1] * tokens).transpose(axes)
        return cls(nodes, even and rank > 0, order, columns, moved.ravel()[columns], starts)

    def row(self, coefficients: Array) -> Array:
        """Coefficients (n, k, order + 1, ...) laid out as rows, (n, columns)."""
        return np.asarray(coefficients.reshape(len(coefficients), -1)[:, self.places])

    def products(self, weights: Array, rows: Iterable[Array]) -> Array:
        """The inner products in each degree of n rows with others, shape (n, others, order + 1)."""
        ends = [*self.starts[1:], len(self.columns)]
        # a polynomial has few degrees, a function with a parity half of them
        live = np.flatnonzero(np.logical_or.reduceat(weights.any(axis=0), self.starts))
        found = []
        for part in rows:
            found.append(np.zeros((len(weights), len(part), self.order + 1)))
            for k in live:
                block = slice(self.starts[k], ends[k])
                np.matmul(weights[:, block], part[:, block].T, out=found[-1][:, :, k])
        return np.concatenate(found, axis=1)

    def series(self, values: Array, lead: int, odd: bool = False) -> Array:
        """Chebyshev series from the values at the computed nodes, the axis after the first `lead` ones.

        `odd`: those in the last axis are odd in e for odd k if phi is even; else they are even.
        """
        shape = (*values.shape[:lead], *self.nodes, *values.shape[lead + 1 :])
        half = self.nodes[0] // 2 if self.even else 0
        for axis, number in enumerate(self.nodes, start=lead):
            transform = _transform(number)
            if half and axis == lead:  # the other half of the nodes adds the same, or cancels it
                transform = 2 * transform[:, :half]
            values = transform @ values.reshape(math.prod(shape[:axis]), transform.shape[1], -1)
        values = values.reshape(shape)
        if half:
            values *= _parity(self.nodes, len(shape) - lead - len(self.nodes), self.order + 1 if odd else 1)
        return values


@functools.lru_cache(maxsize=16)
def _parity(nodes: tuple[int, ...], others: int, last: int) -> Array:
    """1 where the sum of the places in all axes, `nodes` and others of length 1, then `last`, is even, else 0."""
    shape = (*nodes, *(1,) * (others - 1), last) if others else nodes
    return np.asarray((np.indices(shape).sum(axis=0) + 1) % 2, dtype=float)


@functools.lru_cache(maxsize=16)
def _transform(number: int) -> Array:
    """From values at the Chebyshev nodes to the coefficients of T_0, ..., T_{number-1}."""
    n = np.arange(number)
    scale = np.where(n == 0, 1, 2) / number
    return np.asarray(scale[:, None] * np.cos(n[:, None] * np.pi * (n + 0.5) / number))


def model_table(
    model: NumericFunction, encoding: ArrayLike, *, order: int | None = None, nodes: int | None = None
) -> ModelTable:
    r"""The table of a numeric phi: (L, N) -> (k, N) with encoding C of shape (L, r), r = 0 without encoding.

    `order` (default 80 for L <= 2, then 30, 10, 6) truncates the sum over k; `nodes` is the number of nodes a token, by
    default doubled for L <= 2 while that makes phi more accurate; a phi with kinks is averaged over grids at random
    places (`random_shifts`).  Tables beyond `MEMORY_LIMIT` are computed anew whenever they are used.  Raises
    `DomainError` where phi is not finite, `TruncationError` when its values would not fit into memory.

    >>> table = model_table(lambda z: z[:1] ** 2, [[1.0]], order=4)
    >>> float(table.sizes[2].round(9)), abs(table.norm2.round(9)[:5])     # He_2, and E (z + p)^4 = 3 + 6 p^2 + p^4
    (1.414213562, array([6.375, 0.   , 3.5  , 0.   , 0.125]))
    """
    C = np.asarray(encoding, dtype=float)
    if C.ndim != 2 or len(C) not in DEFAULT_NODES:
        raise DomainError(f"encoding of shape {C.shape}: give an L x r array, L <= {max(DEFAULT_NODES)} tokens")
    tokens, K = len(C), _DEFAULT_ORDER[len(C)] if order is None else order
    U, sigma, Vt = np.linalg.svd(C, full_matrices=True) if C.size else (np.eye(tokens), np.zeros(0), np.eye(0))
    rank = int(np.sum(sigma > 1e-12 * max(sigma, default=0.0)))
    frame = Vt[:rank].T.copy()

    def rotated(y: Array) -> Array:
        return np.reshape(model(U @ y), (-1, y.shape[1]))

    count = nodes or DEFAULT_NODES[tokens]
    best = _on_nodes(rotated, C, U, sigma[:rank], frame, K, count)
    if best.error > _SMOOTH and has_kinks(rotated, tokens):
        return _on_nodes(rotated, C, U, sigma[:rank], frame, K, nodes or KINKED_NODES.get(tokens, count), kinks=True)
    while nodes is None and tokens <= 2 and best.error > _GOAL and count < _FINEST[tokens]:
        count *= 2
        finer = _on_nodes(rotated, C, U, sigma[:rank], frame, K, count)
        if finer.error > best.error / 8:
            break  # more nodes do not pay
        best = finer
    return best


def _errors(checks: Array, kinks: bool) -> Array:
    """The largest error at a few of the shifts (axis 1; those of one grid, then of the next) from differences."""
    if not kinks:
        return np.asarray(2 * np.abs(checks).max(axis=1))
    by_grid = checks.reshape(len(checks), SHIFTS, -1, *checks.shape[2:])
    return np.asarray(half_width(np.moveaxis(by_grid, 1, 0)).max(axis=1))


def _on_nodes(
    phi: NumericFunction, C: Array, U: Array, sigma: Array, frame: Array, order: int, count: int, kinks: bool = False
) -> ModelTable:
    """The table from a grid of `count` nodes a token, its errors from another one at a few of the shifts.

    With `kinks` it is the mean over grids at random places, and the errors are what they scatter.
    """
    tokens, rank = len(C), len(sigma)
    outputs = len(phi(np.zeros((tokens, 1))))
    size = outputs * (order + 1) ** tokens
    refuse_memory(4 * size, f"{size} coefficients ({tokens} tokens to order {order})", "lower the order")
    reach = grid_range(count, order)
    step = 2 * reach / count

    def grid(coarser: float, relative: float, offsets: tuple[float, ...]) -> ModelGrid:
        return ModelGrid.of(phi, tokens, order, relative * reach, coarser * step, offsets, sigma)

    if kinks:
        grids = [grid(*one) for one in random_grids(tokens, 2)]
        points = np.random.default_rng(2).standard_normal((tokens, 64))
        even = bool(np.allclose(phi(points), phi(-points), rtol=1e-14, atol=0))
    else:
        grids = [grid(1.0, 1.0, (0.5,) * tokens)]
        even = grids[0].even
    pairs = DegreePairs.of(tokens, order)
    probe = np.random.default_rng(3).standard_normal((1, outputs, *[order + 1] * tokens))
    number, last = 2 * math.ceil(11 + 5 * max(sigma, default=0.0)), math.inf
    while True:
        layout = Layout.of((number,) * rank, even, tokens, outputs, order)
        columns, starts = layout.columns, layout.starts
        points = np.cos(np.pi * (np.arange(number) + 0.5) / number)
        shifts = [s * points for s in sigma]
        if layout.even:
            shifts[0] = shifts[0][: number // 2]
        each = [one.shifted(shifts, columns) for one in grids]
        found = MeanCoefficients(tuple(each)) if kinks else each[0]
        rows = list(found) if 8 * found.floats * pairs.padding <= MEMORY_LIMIT else found
        series = layout.series(layout.products(layout.row(probe), rows), 1, odd=True)
        left = float(remainder(series, rank)[0])
        # the error of a kink jumps from node to node: more of them would interpolate it, and make derivatives worse
        if left < 1e-13 * float(np.abs(series).max()) or number > 200 or (kinks and left > last / 8):
            break
        number, last = 2 * number, left
    squares = np.concatenate([np.add.reduceat(part**2, starts, axis=1) for part in rows])
    norm2 = found.norm2.ravel()
    few = [slice(None, None, max(1, len(s) // 4)) for s in shifts]
    here = [one.some(few) for one in each]
    if kinks:
        blocks = np.stack([np.concatenate(list(one)) for one in here])
        checks = np.concatenate(blocks - blocks.mean(axis=0))
        norms = np.stack([one.norm2.ravel() for one in each])
        norm_error = float(half_width(norms - norm2).max())
    else:
        # a second grid, of other step and range, at a few of the shifts
        coarse = grid(1.07, 0.97, (0.0,) * tokens)
        there = coarse.shifted([s[place] for s, place in zip(shifts, few, strict=True)], columns)
        checks = np.concatenate([a - b for a, b in zip(here[0], there, strict=True)])
        norm_error = 2 * float(np.abs(here[0].norm2 - there.norm2).max())
    worst = float(np.add.reduceat(checks**2, starts, axis=1).max())
    if isinstance(rows, list):
        rows.append(checks)
        kept: DegreeProducts | ShiftedCoefficients | MeanCoefficients = DegreeProducts.of(
            rows, len(norm2), layout.places, outputs, pairs
        )
    else:
        kept = replace(rows, checks=checks)
    return ModelTable(
        C,
        U,
        frame,
        order,
        outputs,
        kept,
        len(checks),
        layout,
        layout.series(norm2, 0),
        layout.series(norm2 - squares.sum(axis=1), 0),
        norm_error + 1e-14 * float(norm2.max()),
        np.sqrt(squares.max(axis=0)),
        2 * math.sqrt(worst / float(norm2.max())) if worst else 0.0,
        kinks,
    )


def remainder(series: Array, rank: int) -> Array:
    """The largest of the last two Chebyshev coefficients along any of `rank` axes after the first one, shape (n,)."""
    ends = [np.abs(series.take((-2, -1), axis=1 + axis)).reshape(len(series), -1).max(axis=1) for axis in range(rank)]
    return np.max(ends, axis=0) if rank else np.zeros(len(series))


__all__ = ["Layout", "ModelTable", "ShiftedCoefficients", "model_table"]
