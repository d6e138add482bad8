r"""The population loss of numeric functions, fast on whole grids of (m, eps), with a bound on the truncation.

    R(m, eps) = E|g|^2 - 2 sum_k m^k a_k(e) + E|phi(Z + e)|^2,   a_k(e) = sum_{|b|=k} C_b(g).C_b(phi(.+e))/b!

(theory section 4).  In coordinates along and across the encoding (the singular frame of C) a shift of the
means touches only rank(C) coordinates, so phi is evaluated once; a_k(e) is smooth in e and stored as a
Chebyshev series, and a grid of values is a product of matrices.  `loss_family` builds these losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.quadratures.quadrature import Array

_POINTS = 2**20
"""Floats in one temporary array of a pointwise evaluation (8 MB)."""
_FEW = 64
"""Points below which what costs is the number of calls."""


@dataclass(frozen=True, eq=False)
class SpectralLoss:
    r"""R(m, eps_1, ..., eps_r) = E|g(z*) - phi(z)|^2 on m^2 <= 1, |eps|^2 <= 1 (arXiv:2506.02651, eq. 9).

    `overlap[..., k]` are Chebyshev coefficients of a_k in the reduced overlaps p = `frame`^T eps (one axis
    for each of the rank(C) of them), `model_norm2` those of E|phi(Z+e)|^2, `model_tail` those of its part
    beyond `order`; `target_tail` is that of E|g|^2, 0 if g is a polynomial of degree <= `order`.
    `overlap_error[k]` estimates the error of a_k, `norm_error` that of the two norms.
    Evaluation broadcasts m and eps like numpy; a grid given as `value(m[:, None], eps[None, :])` is
    recognised and costs one matrix product.

    >>> from sie_sym.losses.loss_family import spectral_loss
    >>> g, phi = (lambda z: z[:1] ** 2 - 1), (lambda z: z[:1] ** 2)
    >>> loss = spectral_loss(g, phi, encoding=[[1.0]], order=4)
    >>> float(loss.value(0.5, 0.5).round(10))     # E g^2 - 2 m^2 E He_2(z) phi + E (z + eps)^4
    5.5625
    """

    encoding: Array
    frame: Array
    order: int
    target_norm2: float
    target_tail: float
    overlap: Array
    model_norm2: Array
    model_tail: Array
    overlap_error: Array
    norm_error: float

    evidence = Evidence.NUMERICAL

    def value(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """R, of the broadcast shape of the arguments."""
        m_array, p, shape = self._arguments(m, eps)
        return self._evaluate(m_array, p, shape, 0, (0,) * len(p))

    def gradient(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """(R_m, R_eps1, ...), shape (1 + r, ...)."""
        m_array, p, shape = self._arguments(m, eps)
        reduced = np.empty((len(p), *shape))
        for i in range(len(p)):
            reduced[i] = self._evaluate(m_array, p, shape, 0, _unit(len(p), i))
        in_m = self._evaluate(m_array, p, shape, 1, (0,) * len(p))
        return np.concatenate([in_m[None], np.tensordot(self.frame, reduced, axes=1)])

    def hessian(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """The second derivatives in (m, eps_1, ...), shape (1 + r, 1 + r, ...)."""
        m_array, p, shape = self._arguments(m, eps)
        rank = len(p)
        reduced = np.empty((1 + rank, 1 + rank, *shape))
        reduced[0, 0] = self._evaluate(m_array, p, shape, 2, (0,) * rank)
        for i in range(rank):
            reduced[0, 1 + i] = reduced[1 + i, 0] = self._evaluate(m_array, p, shape, 1, _unit(rank, i))
            for j in range(i + 1):
                orders = tuple(a + b for a, b in zip(_unit(rank, i), _unit(rank, j), strict=True))
                second = self._evaluate(m_array, p, shape, 0, orders)
                reduced[1 + i, 1 + j] = reduced[1 + j, 1 + i] = second
        jacobian = np.zeros((1 + rank, 1 + len(eps)))
        jacobian[0, 0] = 1.0
        jacobian[1:, 1:] = self.frame.T
        return np.asarray(np.einsum("ai,ab...,bj->ij...", jacobian, reduced, jacobian))

    def error(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        r"""Bound on |value - R|: 2 |m|^{K+1} sqrt(tail_K(g) tail_K(phi(.+e))) (rigorous, Parseval and
        Cauchy-Schwarz) plus the estimated quadrature and interpolation errors of what is kept.
        """
        return np.asarray(2 * (self.pairing_error(m, *eps) + self.norm_error), dtype=np.float64)

    def pairing(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """E g(z*).phi(z) = sum_k m^k a_k(e) (Mehler), of the broadcast shape of the arguments."""
        m_array, p, shape = self._arguments(m, eps)
        return np.broadcast_to(_polynomial_in_m(self.overlap, p, m_array), shape).copy()

    def pairing_error(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """The error of `pairing`, as that of `error`."""
        m_array, p, shape = self._arguments(m, eps)
        tail = np.maximum(_interpolate(self.model_tail, p), 0.0) + self.norm_error
        size = np.abs(m_array)
        target_tail = self.target_tail + self.norm_error if self.target_tail else 0.0
        truncation = size ** (self.order + 1) * np.sqrt(tail * target_tail)
        quadrature = np.polynomial.polynomial.polyval(size, self.overlap_error)
        return np.array(np.broadcast_to(truncation + quadrature, shape), dtype=np.float64)

    def _arguments(self, m: ArrayLike, eps: Sequence[ArrayLike]) -> tuple[Array, list[Array], tuple[int, ...]]:
        """m, the reduced overlaps p in [-1, 1], and the broadcast shape."""
        if len(eps) != self.encoding.shape[1]:
            raise DomainError(
                f"the loss has {self.encoding.shape[1]} positional overlaps but {len(eps)} were given: "
                f"call value(m{''.join(f', eps{i + 1}' for i in range(self.encoding.shape[1]))})"
            )
        m_array, *eps_arrays = (np.asarray(x, dtype=float) for x in (m, *eps))
        p = [np.asarray(sum(v * x for v, x in zip(row, eps_arrays, strict=True))) for row in self.frame.T]
        for name, x in (("m", m_array), *((f"eps.v{i + 1}", x) for i, x in enumerate(p))):
            if not (np.abs(x) <= 1 + 1e-9).all():
                worst = x.ravel()[np.argmax(np.where(np.isnan(x), np.inf, np.abs(x)))]
                raise DomainError(f"{name} = {worst}: the overlaps satisfy m^2 + |eps|^2 <= 1")
        return m_array, p, np.broadcast_shapes(m_array.shape, *(x.shape for x in eps_arrays))

    def _evaluate(
        self, m: Array, p: list[Array], shape: tuple[int, ...], m_order: int, p_orders: tuple[int, ...]
    ) -> Array:
        """One partial derivative of R in (m, p)."""
        if m_order > self.order:
            return np.zeros(shape)
        overlap, norm2 = self.overlap, self.model_norm2
        for axis, order in enumerate(p_orders):
            if order:
                overlap = np.asarray(chebyshev.chebder(overlap, order, axis=axis), dtype=np.float64)
                norm2 = np.asarray(chebyshev.chebder(norm2, order, axis=axis), dtype=np.float64)
        powers = -2 * overlap[..., m_order:]
        if m_order:
            powers *= _power_weights(self.order, m_order)
        else:  # the norms are part of the power m^0
            constant = powers[..., 0]
            constant[tuple(slice(n) for n in norm2.shape)] += norm2
            if not any(p_orders):
                constant[(0,) * constant.ndim] += self.target_norm2
        result = _polynomial_in_m(powers, p, m)
        return result if np.shape(result) == shape else np.broadcast_to(result, shape).copy()


def _unit(rank: int, i: int) -> tuple[int, ...]:
    return tuple(int(j == i) for j in range(rank))


def _power_weights(order: int, derivative: int) -> Array:
    """k (k-1) ... of d^derivative m^k, k = derivative..order."""
    k = np.arange(derivative, order + 1, dtype=float)
    return np.asarray(np.prod([np.ones_like(k), *(k - j for j in range(derivative))], axis=0))


def _powers(m: Array, count: int) -> Array:
    """m^k, k < count, shape (*m.shape, count)."""
    if m.size < _FEW:
        return np.asarray(m[..., None] ** np.arange(count))
    factors = np.repeat(m[..., None], count, axis=-1)
    factors[..., :1] = 1.0
    return np.cumprod(factors, axis=-1, out=factors)


def _chebyshev_values(x: Array, count: int) -> Array:
    """T_n(x), n < count, shape (*x.shape, count), of |x| <= 1."""
    if x.size < _FEW:
        return np.cos(np.arccos(x)[..., None] * np.arange(count))
    values = np.ones((count, *x.shape))
    values[1:2] = x
    for n in range(2, count):
        np.multiply(2 * x, values[n - 1], out=values[n])
        values[n] -= values[n - 2]
    return np.moveaxis(values, 0, -1)


def _interpolate(series: Array, p: list[Array]) -> Array:
    """Chebyshev series in len(p) leading axes, at broadcast points; the other axes of `series` stay last."""
    rest = series.shape[len(p) :]
    if not p:
        return series
    shape = np.broadcast_shapes(*(x.shape for x in p))
    flat = [(x if x.shape == shape else np.broadcast_to(x, shape)).ravel().clip(-1.0, 1.0) for x in p]
    result = _chebyshev_values(flat[0], len(series)) @ series.reshape(len(series), -1)
    result = result.reshape(len(flat[0]), *series.shape[1:])
    for x in flat[1:]:
        result = np.einsum("an...,an->a...", result, _chebyshev_values(x, result.shape[1]))
    return result.reshape((*shape, *rest))


def _polynomial_in_m(series: Array, p: list[Array], m: Array) -> Array:
    """sum_k m^k series_k(p), k the last axis of `series`: one matrix product where (m, p) is a grid."""
    if series.shape[-1] > 2 and not series[..., 1::2].any():  # even in m: half of the powers
        return _polynomial_in_m(series[..., ::2], p, m * m)
    if series.shape[-1] > 2 and not series[..., 2::2].any():
        return _interpolate(series[..., 0], p) + m * _polynomial_in_m(series[..., 1::2], p, m * m)
    p_shape = np.broadcast_shapes(*(x.shape for x in p))
    dimension = max(m.ndim, len(p_shape))
    p_full = (1,) * (dimension - len(p_shape)) + p_shape
    m_full = (1,) * (dimension - m.ndim) + m.shape
    width = math.prod(series.shape[1:]) if p else 1
    if all(1 in pair for pair in zip(m_full, p_full, strict=True)) and math.prod(p_full) * width <= 64 * _POINTS:
        columns = _interpolate(series, p).reshape(-1, series.shape[-1])
        product = _powers(m, series.shape[-1]).reshape(-1, series.shape[-1]) @ columns.T
        axes = [axis for pair in zip(range(dimension), range(dimension, 2 * dimension), strict=True) for axis in pair]
        shape = tuple(max(pair) for pair in zip(m_full, p_full, strict=True))
        return product.reshape((*m_full, *p_full)).transpose(axes).reshape(shape)
    m_all, *p_all = (x.ravel() for x in np.broadcast_arrays(m, *p))
    result = np.empty(len(m_all))
    rows = max(1, _POINTS // max(width, series.shape[-1]))
    for start in range(0, len(m_all), rows):
        here = slice(start, start + rows)
        values = _interpolate(series, [x[here] for x in p_all])
        result[here] = np.einsum("ak,ak->a", _powers(m_all[here], series.shape[-1]), values)
    return result.reshape(np.broadcast_shapes(m.shape, p_shape))
