r"""Hermite sums sum_alpha c_alpha he_alpha of many tokens: exact ones of polynomials, sampled ones of other functions.

Only the multi-indices that are asked for are touched, so that 6 tokens and more cost no (order + 1)^L array; c_alpha =
E[h(Z) he_alpha(Z)] is a mean over scrambled Sobol points (`scrambled_sobol`), one for each scrambling.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import DomainError, TruncationError
from sie_sym.quadratures.quadrature import Array, NumericFunction, normalised_hermite
from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, confidence, normal_points

_BLOCK = 2**18
"""Floats in one temporary array (2 MB): it stays in the cache."""
_ROWS = (64, 4096)
_FEWEST, _MOST = 10, 16
"""Points of one scrambling, as powers of 2."""
_BUDGET = 3e9
_REFUSED = 8
"""How far beyond the budget the fewest points may go."""


@dataclass(frozen=True, eq=False)
class HermiteSum:
    r"""sum_alpha c_alpha he_alpha: R^L -> R^k, he_alpha = He_alpha/sqrt(alpha!).

    `alphas` (n, L) are sorted by degree; `coefficients`, (s, k, n), are exact with s = 1, or known once for each of s =
    SCRAMBLINGS scramblings; so is `norm2` (s,), E|h|^2 of the function h that the sum approximates.
    """

    alphas: NDArray[np.int64]
    coefficients: Array
    norm2: Array

    @property
    def order(self) -> int:
        """The largest degree."""
        return int(self.alphas.sum(axis=1).max(initial=0))

    @property
    def errors(self) -> Array:
        """The 99.9% confidence half-widths of the coefficients, (k, n); 0 for exact ones."""
        exact = len(self.coefficients) == 1
        return np.zeros(self.coefficients.shape[1:]) if exact else confidence(self.coefficients)

    def sizes(self) -> tuple[Array, float]:
        """E|h_j|^2 of the parts of each degree j = 0..order, and that of all degrees beyond.

        Without the bias of squared estimates; where they are sampled, the second is an upper limit (99.9%).
        """
        others = self.coefficients
        if len(others) > 1:
            others = (len(others) * others.mean(axis=0) - others) / (len(others) - 1)
        degree = self.alphas.sum(axis=1)
        products = (self.coefficients * others).sum(axis=1)
        parts = np.array([np.bincount(degree, row, minlength=self.order + 1) for row in products])
        if len(parts) == 1:
            return parts[0], 0.0
        # the mean of the squares moves by 2 c dc
        scatter = confidence(self.norm2 - 2 * parts.sum(axis=1))
        return parts.mean(axis=0), max(float(self.norm2.mean() - parts.mean(axis=0).sum()), 0.0) + float(scatter)

    @cached_property
    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The degrees that occur, and where each starts."""
        return np.unique(self.alphas.sum(axis=1), return_index=True)

    @cached_property
    def _basis(self) -> HermiteBasis:
        return HermiteBasis(self.alphas)

    def by_degree(self, scrambling: int, points: Array) -> Array:
        """The parts of the degrees that occur, at points (L, N), shape (degrees, k, N)."""
        coefficients = self.coefficients[scrambling % len(self.coefficients)]
        basis = self._basis(points)
        starts = self.degrees[1].tolist()
        ends = [*starts[1:], len(basis)]
        return np.stack([coefficients[:, a:b] @ basis[a:b] for a, b in zip(starts, ends, strict=True)])


class HermiteBasis:
    """he_alpha at points (L, N), shape (n, N), for some alphas (n, L): products of those of two halves of the tokens.

    >>> HermiteBasis(np.array([[1, 2], [0, 1]]))(np.array([[2.0], [3.0]])) * np.sqrt([[2], [1]])
    array([[16.],
           [ 3.]])
    """

    def __init__(self, alphas: NDArray[np.int64]) -> None:
        middle = alphas.shape[1] // 2
        self.order = int(alphas.max(initial=0))
        # the halves have few distinct rows
        self.halves = [
            (tokens, *np.unique(alphas[:, tokens], axis=0, return_inverse=True))
            for tokens in (slice(0, middle), slice(middle, None))
        ]

    def __call__(self, points: Array) -> Array:
        """The basis at points."""
        first, second = (self._products(points[tokens], rows)[place] for tokens, rows, place in self.halves)
        first *= second
        return first

    def _products(self, points: Array, alphas: NDArray[np.int64]) -> Array:
        found = np.ones((len(alphas), points.shape[1]))
        for column, values in zip(alphas.T, np.moveaxis(normalised_hermite(self.order, points), 1, 0), strict=True):
            (rows,) = np.nonzero(column)
            found[rows] *= values[column[rows]]
        return found


def indices_of_degree(tokens: int, degree: int) -> NDArray[np.int64]:
    """All multi-indices of one degree, (n, L).

    >>> indices_of_degree(2, 2).tolist()
    [[2, 0], [1, 1], [0, 2]]
    """
    chosen = itertools.combinations_with_replacement(range(tokens), degree)
    return np.array([np.bincount(np.array(c, dtype=int), minlength=tokens) for c in chosen]).reshape(-1, tokens)


def indices_up_to(tokens: int, order: int, parity: int | None = None) -> NDArray[np.int64]:
    """All multi-indices of degree at most `order`, those of one parity (1 even, -1 odd) if given, sorted by degree.

    >>> indices_up_to(2, 2, parity=1).tolist()
    [[0, 0], [2, 0], [1, 1], [0, 2]]
    """
    degrees = [k for k in range(order + 1) if parity is None or (-1) ** k == parity]
    return np.concatenate([np.zeros((0, tokens), dtype=np.int64), *(indices_of_degree(tokens, k) for k in degrees)])


def parity_seen(function: NumericFunction, tokens: int) -> int | None:
    """1 or -1 if random points show h(-z) = h(z) or -h(z), else None.

    >>> parity_seen(lambda z: z[:1] * z[1:2], 6), parity_seen(np.tanh, 6), parity_seen(np.exp, 6)
    (1, -1, None)
    """
    points = np.random.default_rng(2).standard_normal((tokens, 64))
    here, there = np.asarray(function(points)), np.asarray(function(-points))
    limit = 1e-13 * float(np.abs(here).max())
    return next((s for s in (1, -1) if float(np.abs(here - s * there).max()) <= limit), None)


def points_within(cost: float, what: str) -> int:
    """log2 of the points of each scrambling that some seconds allow, `cost` the nanoseconds of one point.

    Raises `TruncationError` where even a few points would take minutes.
    """
    most = math.floor(math.log2(_BUDGET / (SCRAMBLINGS * cost)))
    if most < _FEWEST - math.log2(_REFUSED):
        raise TruncationError(f"{what} would take minutes: give fewer tokens, outputs or encoding columns, or run SGD")
    return min(max(most, _FEWEST), _MOST)


def block_rows(floats: int) -> int:
    """How many points are taken at once, `floats` numbers each."""
    return min(max(_BLOCK // floats, _ROWS[0]), _ROWS[1])


def evaluation_cost(tokens: int, outputs: int) -> float:
    """Nanoseconds that so many outputs of softmax attention over so many tokens take at one point."""
    return 16.0 * tokens**2 + 30.0 * outputs


def basis_cost(count: int, outputs: int) -> float:
    """Nanoseconds that the products of a Hermite basis with some outputs take at one point."""
    return count * (12.0 + outputs)


def sampled_coefficients(
    function: NumericFunction,
    alphas: Sequence[Sequence[int]] | NDArray[np.int64],
    *,
    log2: int | None = None,
    seed: int = 0,
) -> HermiteSum:
    r"""E[h(Z) he_alpha(Z)] of a numeric h: (L, N) -> (k, N) for some alphas (n, L), sorted by degree.

    `log2` is that of the points of each scrambling (default: what some seconds allow).  Raises `DomainError` where h is
    not finite, `TruncationError` where it would take minutes.

    >>> found = sampled_coefficients(lambda z: np.tanh(z.sum(axis=0, keepdims=True)), indices_up_to(6, 1), log2=10)
    >>> bool((np.abs(np.diff(found.coefficients.mean(axis=0)[0, 1:])) < 2 * found.errors.max()).all())
    True
    """
    chosen = np.asarray(alphas, dtype=np.int64)
    tokens = chosen.shape[1]
    outputs = len(np.asarray(function(np.zeros((tokens, 1)))))
    if log2 is None:
        cost = evaluation_cost(tokens, outputs) + basis_cost(len(chosen), outputs)
        log2 = points_within(cost, f"sampling {len(chosen)} coefficients of {outputs} functions of {tokens} tokens")
    rows = block_rows(len(chosen) + outputs + tokens)
    basis, middle = HermiteBasis(chosen), centre(function, tokens)
    coefficients, norm2 = np.zeros((SCRAMBLINGS, outputs, len(chosen))), np.zeros(SCRAMBLINGS)
    for i, generator in enumerate(np.random.default_rng(seed).spawn(SCRAMBLINGS)):
        points = normal_points(tokens, log2, generator)
        for start in range(0, 2**log2, rows):
            here = np.ascontiguousarray(points[:, start : start + rows])
            values = finite(function, here)
            norm2[i] += np.vdot(values, values)
            values -= middle
            coefficients[i] += values @ basis(here).T
    coefficients /= 2**log2
    coefficients[:, :, ~chosen.any(axis=1)] += middle
    return HermiteSum(chosen, coefficients, norm2 / 2**log2)


def centre(function: NumericFunction, tokens: int) -> Array:
    """About E h(Z), shape (k, 1): a constant that C_alpha does not see for alpha != 0, only its scatter."""
    values = finite(function, np.random.default_rng(6).standard_normal((tokens, 512)))
    return np.asarray(values.mean(axis=1, keepdims=True))


def finite(function: NumericFunction, points: Array) -> Array:
    """The values (k, N).  Raises `DomainError` where one is not finite."""
    values = np.array(function(points), dtype=float).reshape(-1, points.shape[1])
    if not math.isfinite(float(values.sum())):
        bad = points[:, ~np.isfinite(values).all(axis=0)]
        where = f" at z = ({', '.join(f'{x:.6g}' for x in bad[:, 0])})" if bad.size else ""
        raise DomainError(f"the function is not finite{where}")
    return values


__all__ = [
    "HermiteBasis", "HermiteSum", "basis_cost", "block_rows", "centre", "evaluation_cost", "finite",
    "indices_of_degree", "indices_up_to", "parity_seen", "points_within", "sampled_coefficients",
]  # fmt: skip
