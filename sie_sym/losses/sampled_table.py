r"""The tables of a loss over many tokens, one for each scrambling of quasi-Monte Carlo points.

    R(m, eps) = E|g|^2 - 2 sum_k m^k a_k(e) + E|phi(Z + e)|^2,     a_k(e) = E[g_k(Z) . phi(Z + e)]

(theory section 4; arXiv:2506.02651, eq. 9), g_k the part of g of degree k: integrals over the L tokens of z alone, not
over the 2L of (z*, z).  A polynomial's g_k are exact; those of another g are sampled at other points, so that the
products stay unbiased.  The points of one scrambling serve all shifts e: its table is a smooth function of (m, eps),
whose derivatives and flows are as unbiased as its values, and scatter from scrambling to scrambling as they err.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.hermite import MultiIndex, dense, factorial
from sie_sym.linear_forms import written_out
from sie_sym.losses.model_table import Layout
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.quadrature import Array, NumericFunction
from sie_sym.quadratures.sampled_coefficients import (
    HermiteSum,
    basis_cost,
    block_rows,
    centre,
    evaluation_cost,
    finite,
    indices_up_to,
    parity_seen,
    points_within,
    sampled_coefficients,
)
from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, confidence, normal_points

_MOST_TERMS = 20_000.0
"""Nanoseconds a point that the coefficients of a sampled target may take."""
_HIGHEST_ORDER = 12
_INTERPOLATION = 1e-10
"""Far below what samples scatter, after two derivatives too."""


def sampled_tables(
    target: Sequence[sp.Expr], model: NumericFunction, encoding: Array, *, order: int | None = None, seed: int = 0
) -> tuple[SpectralLoss, tuple[SpectralLoss, ...]]:
    """The mean table of a target (its components) and a numeric phi: (L, N) -> (k, N), and that of each scrambling.

    `encoding` is C, (L, r); `order` truncates the powers of m of a target that is no polynomial (default: as far as its
    coefficients can be sampled).  The errors of the mean table are 99.9% confidence half-widths over the scramblings.
    Raises `TruncationError` for an order or a number of tokens, outputs or shifts out of reach.

    >>> phi = lambda z: z.sum(axis=0, keepdims=True) ** 2
    >>> mean, each = sampled_tables([token(1) ** 2], phi, np.zeros((6, 0)))
    >>> len(each), bool(abs(mean.overlap[2] - 2) < mean.overlap_error[2])
    (16, True)
    """
    tokens = len(encoding)
    parts = target_parts(target, tokens, order, seed)
    degrees, _ = parts.degrees
    U, sigma, Vt = np.linalg.svd(encoding, full_matrices=False) if encoding.size else (encoding, np.zeros(0), encoding)
    rank = int(np.sum(sigma > 1e-12 * max(sigma, default=0.0)))
    frame = np.asarray(Vt[:rank].T).reshape(encoding.shape[1], rank)
    parity = parity_seen(model, tokens)
    number = node_number(float(max(sigma, default=0.0)))
    empty = np.zeros(0, dtype=np.int64)
    layout = Layout((number,) * rank, parity == 1 and rank > 0, parts.order, empty, empty, empty)
    nodes = np.cos(np.pi * (np.arange(number) + 0.5) / number)
    axes = [s * nodes for s in sigma[:rank]]
    if layout.even:
        axes[0] = axes[0][: number // 2]
    shifts = [U[:, :rank] @ np.array(p) for p in itertools.product(*axes)] if rank else [np.zeros(tokens)]
    overlaps, norms = _sampled(parts, model, shifts, seed)
    if rank == 0 and parity is not None:
        overlaps[..., (-1) ** np.arange(parts.order + 1) != parity] = 0.0
    series, norm2 = layout.series(overlaps, 1, odd=True), layout.series(norms, 1)
    if layout.even:  # what is 0 by symmetry stays so, whatever is rounded
        odd = np.indices((number,) * rank).sum(axis=0) % 2
        norm2[:, odd == 1] = 0.0
        series[:, odd[..., None] != np.arange(parts.order + 1) % 2] = 0.0
    errors = confidence(overlaps)
    _, target_tail = parts.sizes()
    # Cauchy-Schwarz: a_k^2 <= |g_k|^2 |phi_k|^2 tells how much of phi lies within the order.
    least = np.maximum(np.abs(overlaps.mean(axis=0)) - errors, 0.0)[:, degrees] ** 2
    most = np.bincount(parts.alphas.sum(axis=1), (parts.coefficients.mean(axis=0) ** 2).sum(axis=0))[degrees]
    within = np.divide(least, most, out=np.zeros_like(least), where=most > 0)
    tail = norms.mean(axis=0) + confidence(norms) - within.sum(axis=1)
    model_tail = layout.series(np.maximum(tail, 0.0), 0)
    norm_error = float(confidence(norms).max()) + (float(confidence(parts.norm2)) if len(parts.norm2) > 1 else 0.0)

    mean = SpectralLoss(
        encoding,
        frame,
        parts.order,
        float(parts.norm2.mean()),
        target_tail,
        series.mean(axis=0),
        norm2.mean(axis=0),
        model_tail,
        errors.max(axis=0),
        norm_error,
    )
    targets, exact = np.broadcast_to(parts.norm2, SCRAMBLINGS), np.zeros(parts.order + 1)
    each = (
        replace(mean, target_norm2=float(a), overlap=b, model_norm2=c, overlap_error=exact, norm_error=0.0)
        for a, b, c in zip(targets, series, norm2, strict=True)
    )
    return mean, tuple(each)


def node_number(sigma: float) -> int:
    r"""The even number n of Chebyshev nodes on [-1, 1] for p -> E h(Z + sigma p v), |v| = 1, relative to |h|.

    Its derivatives are at most sqrt(n!) sigma^n |h(. + sigma p v)| (Parseval), so that interpolation errs by no more
    than 2 (sigma/2)^n / sqrt(n!) times that.

    >>> node_number(1.0), node_number(2.0)
    (16, 22)
    """
    slope = math.log(max(sigma, 1e-300) / 2)
    enough = math.log(_INTERPOLATION / 2)
    return next(n for n in itertools.count(2, 2) if n * slope - math.lgamma(n + 1) / 2 <= enough)


def target_parts(components: Sequence[sp.Expr], tokens: int, order: int | None, seed: int) -> HermiteSum:
    """The Hermite sum of a target: exact for polynomials, else sampled as far as its coefficients are not too many."""
    expansion = HermiteExpansion.of(tuple(components), tokens)
    if expansion.degree is not None:
        return _exact(expansion, expansion.degree)
    symbols = [token(l) for l in range(1, tokens + 1)]
    function = numeric_function(symbols, [written_out(component) for component in components])
    parity = parity_seen(function, tokens)

    def count(k: int) -> int:
        return sum(math.comb(tokens + j - 1, j) for j in range(k + 1) if parity is None or (-1) ** j == parity)

    outputs = len(components)
    reach = max(k for k in range(_HIGHEST_ORDER + 1) if k == 0 or basis_cost(count(k), outputs) <= _MOST_TERMS)
    if order is not None and order > reach:
        raise TruncationError(
            f"order {order}: {count(order)} coefficients of the target would have to be sampled: pass order={reach} or "
            "less, at which the target's coefficients are sampled with a confidence interval"
        )
    chosen = indices_up_to(tokens, reach if order is None else order, parity)
    return sampled_coefficients(function, chosen, seed=seed + 1)


def _exact(expansion: HermiteExpansion, degree: int) -> HermiteSum:
    zero = (sp.Integer(0),) * len(expansion.functions)
    rows: dict[MultiIndex, tuple[sp.Expr, ...]] = expansion.table(degree) or {(): zero}
    alphas = np.array([dense(alpha, expansion.tokens) for alpha in rows], dtype=np.int64).reshape(-1, expansion.tokens)
    scales = [math.sqrt(factorial(alpha)) for alpha in rows]
    values = np.array([[float(c) / s for c in row] for row, s in zip(rows.values(), scales, strict=True)])
    values = values.reshape(len(rows), len(expansion.functions))
    return HermiteSum(alphas, values.T[None], np.array([float((values**2).sum())]))


def _sampled(parts: HermiteSum, model: NumericFunction, shifts: Sequence[Array], seed: int) -> tuple[Array, Array]:
    """a_k and E|phi|^2 at the shifts, for each scrambling: (s, shifts, order + 1) and (s, shifts)."""
    tokens = len(shifts[0])
    outputs = parts.coefficients.shape[1]
    degrees, _ = parts.degrees
    cost = len(shifts) * (evaluation_cost(tokens, outputs) + 4.0 * outputs * len(degrees))
    cost += basis_cost(len(parts.alphas), outputs)
    log2 = points_within(cost, f"sampling a model of {outputs} outputs and {tokens} tokens at {len(shifts)} shifts")
    rows = block_rows(len(parts.alphas) + outputs * (len(degrees) + 1) + tokens)
    moved = [_moved(model, shift) for shift in shifts]
    middles = [centre(phi, tokens) for phi in moved]
    overlaps, norms = np.zeros((SCRAMBLINGS, len(shifts), parts.order + 1)), np.zeros((SCRAMBLINGS, len(shifts)))
    for i, generator in enumerate(np.random.default_rng(seed).spawn(SCRAMBLINGS)):
        points = normal_points(tokens, log2, generator)
        for start in range(0, 2**log2, rows):
            here = np.ascontiguousarray(points[:, start : start + rows])
            goals = parts.by_degree(i, here).reshape(len(degrees), -1)
            for j, (phi, middle) in enumerate(zip(moved, middles, strict=True)):
                values = finite(phi, here)
                norms[i, j] += np.vdot(values, values) / 2**log2
                values -= middle
                overlaps[i, j, degrees] += goals @ values.ravel() / 2**log2
        constant = parts.coefficients[i % len(parts.coefficients)][:, ~parts.alphas.any(axis=1)].sum(axis=1)
        overlaps[i, :, 0] += np.array([constant @ middle[:, 0] for middle in middles])
    return overlaps, norms


def _moved(function: NumericFunction, shift: Array) -> NumericFunction:
    return lambda points: function(points + shift[:, None])


__all__ = ["sampled_tables", "target_parts"]
