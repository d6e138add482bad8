r"""The population loss without the square, E |g(z*) - phi(z)|, and its gradient noise: SGD with `loss="frobenius"`.

The official code trains on this norm, while the paper analyses its square.  It is not bilinear in target and model,
so it has no transform of its own: with K(x, y) = |g(x) - phi(y)| and Mehler's formula

    R(m, eps) = sum_b m^{|b|}/b! E K(x, y + e) He_b(x) He_b(y),    x, y independent N(0, I_L),

a four-dimensional integral for L = 2, taken on grids.  So is V = E sum_l delta_l^2, with
delta_l = -<g - phi, d_l phi>/|g - phi|.  Tables are those of `SpectralLoss`: a series in m whose coefficients are
Chebyshev series in eps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import sympy as sp

from sie_sym.errors import DomainError, TruncationError
from sie_sym.functions import token
from sie_sym.linear_forms import written_out
from sie_sym.losses.numerical_loss import NumericalLoss, require_tabulated
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.model import Model
from sie_sym.numeric import numeric_function
from sie_sym.numerical_noise import NumericalNoise
from sie_sym.quadratures.quadrature import Array, density, normalised_hermite, refuse_memory, total_degree, uniform_grid
from sie_sym.target import Target

_HALF_WIDTH = 6.5
_NODES = {1: 400, 2: 44}
_CHECK = (1.1, 0.97)
"""Step and range of the grid that estimates the error, relative to the one that gives the value."""

Kernel: TypeAlias = Callable[[Array, Array], Array]
"""K of the points x (L, A) and y (L, B): (A, B)."""


def frobenius_loss(target: Target, model: Model, order: int = 32, nodes: int | None = None) -> NumericalLoss:
    r"""E |g(z*) - phi(z)|, the norm of all outputs together, on m^2 + |eps|^2 <= 1; one or two tokens.

    `order` truncates the series in m; `nodes` grid nodes a token, by default 44, or 400 for one token.  Errors are
    estimates: of the grids from a second one, of the truncation from the last term; they are largest near a perfect
    fit, where R has a square root.  Its gradient is what SGD with rate gamma on |y - f| follows (arXiv:2506.02651,
    Figs. 5, 12, 13, where gamma is the learning rate of the official code).

    Raises as `tabulated_loss`, and `TruncationError` for more than two tokens.

    >>> from sie_sym.model import linear_attention
    >>> loss = frobenius_loss(Target.of(token(1)), linear_attention(1), order=8)
    >>> abs(float(loss.value(0.0)) - 1.4021975) < 1e-5  # E |x - y^2| by nested adaptive quadrature
    True
    """
    symbols = _symbols(target, model)
    g, phi = (numeric_function(symbols, _formulas(side)) for side in (target, model))
    table = _table(target, model, lambda x, y: np.sqrt(_squares(g(x), phi(y))), order, nodes)
    table = replace(table, overlap=-table.overlap / 2, overlap_error=table.overlap_error / 2)
    return NumericalLoss(model.statistics, table)


def frobenius_noise(target: Target, model: Model, order: int = 32, nodes: int | None = None) -> NumericalNoise:
    r"""V = E sum_l delta_l^2 of the unsquared loss, the `variance` of its flow at a finite rate; see `frobenius_loss`.

    Raises as `frobenius_loss`, and `DomainError` for a phi with jumps.

    >>> from sie_sym.model import linear_attention
    >>> noise = frobenius_noise(Target.of(token(1)), linear_attention(1), order=4)
    >>> abs(float(noise.value(0.0)) - 4) < 1e-6  # E (2 y)^2: the residual keeps its sign alone
    True
    """
    symbols = _symbols(target, model)
    phis = _formulas(model)
    slopes = [[sp.diff(phi, symbol) for phi in phis] for symbol in symbols]
    if any(slope.has(sp.DiracDelta) for row in slopes for slope in row):
        raise DomainError(f"phi = {phis[0]} jumps: its gradient has no finite variance, SGD is not defined for it")
    g, phi = (numeric_function(symbols, formulas) for formulas in (_formulas(target), phis))
    gradients = [numeric_function(symbols, row) for row in slopes]

    def kernel(x: Array, y: Array) -> Array:
        goals, values = g(x), phi(y)
        total = np.zeros((x.shape[1], y.shape[1]))
        for gradient in gradients:
            slope = gradient(y)
            along = goals.T @ slope
            along -= np.einsum("kB,kB->B", values, slope)
            total += along * along
        squares = _squares(goals, values)
        return np.divide(total, squares, out=np.zeros_like(total), where=squares > 0)

    table = _table(target, model, kernel, order, nodes)
    table = replace(table, overlap=table.overlap / 4, overlap_error=table.overlap_error / 4)
    return NumericalNoise(model.statistics, table)


def _symbols(target: Target, model: Model) -> list[sp.Symbol]:
    """z1..zL, where a table can hold this target and model."""
    require_tabulated(target, model)
    if model.tokens > 2:
        raise TruncationError(
            f"E |g - phi| of {model.tokens} tokens is an integral over {2 * model.tokens} dimensions: tables reach two "
            "tokens; simulate SGD with loss='frobenius', or take the squared loss"
        )
    return [token(l) for l in range(1, model.tokens + 1)]


def _formulas(side: Target | Model) -> list[sp.Expr]:
    return [written_out(component) for component in side.components]


def _squares(goals: Array, values: Array) -> Array:
    """|g(x) - phi(y)|^2, (A, B)."""
    total = np.zeros((goals.shape[1], values.shape[1]))
    for goal, value in zip(goals, values, strict=True):
        difference = goal[:, None] - value
        difference *= difference
        total += difference
    return total


def _table(target: Target, model: Model, kernel: Kernel, order: int, nodes: int | None) -> SpectralLoss:
    """E K(z*, z) as the `pairing` of a table."""
    step = 2 * _HALF_WIDTH / (nodes or _NODES[model.tokens])
    encoding = np.array(model.encoding.tolist(), dtype=float).reshape(model.tokens, model.encoding.cols)
    U, sigma, Vt = np.linalg.svd(encoding) if encoding.size else (np.eye(model.tokens), np.zeros(0), np.eye(0))
    rank = int(np.sum(sigma > 1e-12 * max(sigma, default=0.0)))
    number = 2 * math.ceil(11 + 5 * max(sigma, default=0.0))
    angles = np.pi * (np.arange(number) + 0.5) / number
    shifts = [scale * np.cos(angles) for scale in sigma[:rank]]

    def in_frame(x: Array, y: Array) -> Array:
        return kernel(U @ x, U @ y)

    values = _coefficients(in_frame, model.tokens, shifts, order, _HALF_WIDTH, step)
    few = slice(None, None, max(1, number // 4))
    check = _coefficients(
        in_frame, model.tokens, [s[few] for s in shifts], order, _CHECK[1] * _HALF_WIDTH, _CHECK[0] * step
    )
    error = 2 * np.abs(check - values[(few,) * rank]).max(axis=tuple(range(rank)))
    # terms that fall like k^{-3/2}, those of a square root at m = 1, leave 2 K times the last one
    error[-1] += 2 * order * np.abs(values[..., -2:]).max()
    transform = 2 / number * np.cos(np.arange(number)[:, None] * angles)
    transform[0] /= 2
    for axis in range(rank):
        values = np.moveaxis(np.tensordot(transform, values, axes=(1, axis)), 0, axis)
    nothing = np.zeros((1,) * rank)
    return SpectralLoss(encoding, Vt[:rank].T.copy(), order, 0.0, 0.0, values, nothing, nothing, error, 0.0)


def _coefficients(
    kernel: Kernel, tokens: int, shifts: Sequence[Array], order: int, half_width: float, step: float
) -> Array:
    """The coefficients of m^k, k = 0..order (the last axis), at a tensor grid of shifts of the first coordinates."""
    rank = len(shifts)
    fixed = [uniform_grid(half_width, step, 0.5)] * tokens
    # between the others: where g meets phi on the diagonal x = y, the kernel has a kink
    reach = [half_width + float(np.abs(s).max()) for s in shifts] + [half_width] * (tokens - rank)
    moving = [uniform_grid(width, step, 0.0) for width in reach]
    stars, fields = (np.array(np.meshgrid(*axes, indexing="ij")).reshape(tokens, -1) for axes in (fixed, moving))
    refuse_memory(4 * stars.shape[1] * fields.shape[1], "the table of |g - phi|", "pass fewer nodes")
    values = kernel(stars, fields)
    if not np.isfinite(values).all():
        raise DomainError("g - phi is not finite everywhere on the grid: both must be defined on all of R^L")
    degree = total_degree(tokens, order)
    kept = degree <= order

    def weights(axes: Sequence[Array]) -> Array:
        """he_b(x) times density and step, a row for each |b| <= order."""
        tables = [normalised_hermite(order, x, step * density(x)) for x in axes]
        product = tables[0] if tokens == 1 else np.einsum("ai,bj->abij", *tables)
        return product[kept].reshape(int(kept.sum()), -1)

    left = weights(fixed) @ values
    result = np.empty((*map(len, shifts), order + 1))
    for index in np.ndindex(result.shape[:-1]):
        shifted = [x - s[i] for x, s, i in zip(moving, shifts, index, strict=False)] + moving[rank:]
        result[index] = np.bincount(degree[kept], np.einsum("bn,bn->b", left, weights(shifted)))
    return result


__all__ = ["frobenius_loss", "frobenius_noise"]
