r"""The landscape at initialization of a loss known by its numbers: derivatives at 0 with error estimates.

A derivative counts as non-zero only where it exceeds its error, and as zero where it does not: such an answer is
`numerical`, never a proof.  R is read in the reduced overlaps p = F^T eps (F an orthonormal frame of the encoding's
row space), on which alone it depends,

    R(m, p) = E|g|^2 - 2 sum_k m^k a_k(p) + n(p),      n(p) = E|phi(Z + C eps)|^2

(theory sections 4 and 5; arXiv:2506.02651, eq. 9 and Prop. 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.polynomial import chebyshev

from sie_sym.digits import plus_minus, with_error
from sie_sym.errors import TruncationError
from sie_sym.escape import Escape
from sie_sym.evidence import Evidence
from sie_sym.landscape import Visibility
from sie_sym.losses.numerical_loss import NumericalLoss
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.quadratures.quadrature import Array
from sie_sym.quadratures.scrambled_sobol import confidence

_ROUNDING = 64 * float(np.finfo(float).eps)
"""Of an inner product on a grid, relative to the norms of its factors."""


@dataclass(frozen=True, eq=False)
class NumericalLandscape:
    """Gradient, Hessian and indices at (m, eps) = 0, as `Landscape`, in floats.

    `gradient` (1 + r,) and `hessian` (1 + r, 1 + r) are accurate to `gradient_error` and `hessian_error`, entry by
    entry; entries within their error count as 0.  `evidence` is `numerical`, or `undecided` where the numbers do not
    tell whether R decreases from 0; `escape.reason` then says what is missing.
    """

    loss: NumericalLoss
    gradient: Array
    gradient_error: Array
    hessian: Array
    hessian_error: Array
    flatness_index: int | None
    escape: Escape
    visible: Visibility
    evidence: Evidence

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """(m, eps_1, ..., eps_r), the order of all vectors and matrices."""
        return self.loss.statistics


def numerical_landscape(loss: NumericalLoss) -> NumericalLandscape:
    """The landscape of a tabulated loss at initialization.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import linear_attention
    >>> from sie_sym.losses.numerical_loss import tabulated_loss
    >>> from sie_sym.target import Target
    >>> found = numerical_landscape(tabulated_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2)))
    >>> found.hessian.round(9), found.escape.kind, found.evidence.value
    (array([[-8.]]), 'semantic', 'numerical')
    """
    origin = _Origin(loss)
    frame = _back(loss.table)
    gradient, gradient_error = origin.gradient()
    hessian, hessian_error = origin.hessian()
    escape = _escape(origin)
    return NumericalLandscape(
        loss,
        frame @ gradient,
        np.abs(frame) @ gradient_error,
        frame @ hessian @ frame.T,
        np.abs(frame) @ hessian_error @ np.abs(frame.T),
        _flatness(origin),
        escape,
        _visibility(origin),
        Evidence.NUMERICAL if escape.proved else Evidence.UNDECIDED,
    )


def _back(table: SpectralLoss) -> Array:
    """Columns: the directions of m and of each reduced overlap in (m, eps)."""
    columns = np.zeros((1 + len(table.frame), 1 + table.frame.shape[1]))
    columns[0, 0] = 1.0
    columns[1:, 1:] = table.frame
    return columns


class _Origin:
    """Derivatives at (m, p) = 0 in the reduced overlaps, each with its error: what replicates scatter, where there are
    any, else the errors of a table's entries grown by differentiation.
    """

    def __init__(self, loss: NumericalLoss) -> None:
        self.table = table = loss.table
        self.replicates = [_Origin(replace(loss, table=each, replicates=())) for each in loss.replicates]
        self.rank = table.frame.shape[1]
        self.order = table.order
        norms = table.target_norm2 * _at_zero(table.model_norm2, ())[0]
        self.rounding = _ROUNDING * float(np.sqrt(max(norms, 0.0)))

    def _pair(self, value: float, error: float, each: Callable[[_Origin], tuple[float, float]]) -> tuple[float, float]:
        """A number and its error: with replicates rounding and what they scatter; a 0 by symmetry is exact in all."""
        if not self.replicates:
            return value, error
        scatter = float(confidence(np.array([each(origin)[0] for origin in self.replicates])))
        return value, error + scatter if value or scatter else 0.0

    def _overlap_error(self, k: int) -> float:
        """Of a_k: two grids may agree by symmetry where each is only right to the rounding of its sums."""
        return (0.0 if self.replicates else float(self.table.overlap_error[k])) + self.rounding

    def derivative(self, m_order: int, *axes: int) -> tuple[float, float]:
        """The derivative of R, `m_order` times in m and once for each of `axes` in p, and its error."""
        if m_order > self.order:
            if self.table.target_tail == 0:
                return 0.0, 0.0  # a polynomial target: its loss has no higher powers of m
            raise TruncationError(f"the table ends at m^{self.order}: pass order={m_order} or more to tabulated_loss")
        size = _factorial(m_order)
        overlap, error = _at_zero(self.table.overlap[..., m_order], axes)
        value = -2.0 * size * overlap
        error = 2.0 * size * (error + _growth(self.table.overlap, axes) * self._overlap_error(m_order))
        if m_order == 0 and axes:
            norm, norm_error = _at_zero(self.table.model_norm2, axes)
            value += norm
            error += norm_error
            if not self.replicates:
                error += _growth(self.table.model_norm2, axes) * self.table.norm_error
        return self._pair(value, error, lambda origin: origin.derivative(m_order, *axes))

    def power(self, k: int) -> tuple[float, float]:
        """-2 a_k(0), the coefficient of m^k in R(m, 0), and its error."""
        overlap, error = _at_zero(self.table.overlap[..., k], ())
        return self._pair(-2.0 * overlap, 2.0 * (error + self._overlap_error(k)), lambda origin: origin.power(k))

    def gradient(self) -> tuple[Array, Array]:
        """The slopes in (m, p)."""
        entries = [self.derivative(1), *(self.derivative(0, i) for i in range(self.rank))]
        return _split(np.array(entries))

    def hessian(self) -> tuple[Array, Array]:
        """The second derivatives in (m, p)."""
        entries = np.zeros((1 + self.rank, 1 + self.rank, 2))
        entries[0, 0] = self.derivative(2)
        for i in range(self.rank):
            entries[0, 1 + i] = entries[1 + i, 0] = self.derivative(1, i)
            for j in range(i + 1):
                entries[1 + i, 1 + j] = entries[1 + j, 1 + i] = self.derivative(0, i, j)
        return _split(entries)


def _split(entries: Array) -> tuple[Array, Array]:
    """Values that exceed their error (the others 0), and errors."""
    value, error = entries[..., 0], entries[..., 1]
    return np.where(np.abs(value) > error, value, 0.0), error


def _at_zero(series: Array, axes: tuple[int, ...]) -> tuple[float, float]:
    """A derivative at 0 of a Chebyshev series, and the rounding of its sum."""
    for axis in axes:
        series = np.asarray(chebyshev.chebder(series, axis=axis))
    size = float(np.abs(series).sum())
    for _ in range(series.ndim):
        series = np.asarray(chebyshev.chebval(0.0, series))
    return float(series), 4 * np.finfo(float).eps * size


def _growth(series: Array, axes: tuple[int, ...]) -> float:
    """The growth of an error on [-1, 1] by differentiating at 0: N for each derivative, N the degree (Bernstein)."""
    return float(np.prod([series.shape[axis] for axis in axes], initial=1.0))


# ---- the indices -------------------------------------------------------------------------------------------------


def _first_power(origin: _Origin, start: int) -> int | None:
    """The lowest k >= start with |a_k(0)| above its error."""
    return next((k for k in range(start, origin.order + 1) if _exceeds(origin.power(k))), None)


def _exceeds(pair: tuple[float, float]) -> bool:
    return abs(pair[0]) > pair[1]


def _flatness(origin: _Origin) -> int | None:
    if origin.gradient()[0].any():
        return 1
    if origin.hessian()[0].any():
        return 2
    for k in range(3, origin.order + 1):
        lower = (
            origin.derivative(k - n, *axes)
            for n in range(k + 1)
            for axes in itertools.combinations_with_replacement(range(origin.rank), n)
        )
        if any(map(_exceeds, lower)):
            return k
    return None


def _visibility(origin: _Origin) -> Visibility:
    k = _first_power(origin, 1)
    if k is None:
        return Visibility(None, False, f"<C_j(g), C_j(phi)> is 0 within its error up to order {origin.order}")
    value, error = (-entry / 2 * _factorial(k) for entry in origin.power(k))
    return Visibility(k, False, f"<C_{k}(g), C_{k}(phi)> = {plus_minus(value, abs(error))}")


def _factorial(k: int) -> float:
    return float(sp.factorial(k))


def _escape(origin: _Origin) -> Escape:
    slope, slope_error = origin.gradient()
    if slope.any():
        return _descent(origin, -slope, 1, f"the gradient is {np.linalg.norm(slope):.8g} long")
    hessian, error = origin.hessian()
    curvatures, directions = np.linalg.eigh(hessian)
    steepest, size = directions[:, 0], np.abs(directions[:, 0])
    uncertain = float(size @ error @ size)
    if curvatures[0] < -uncertain:
        reason = f"curvature {with_error(float(curvatures[0]), uncertain)} < 0"
        if origin.replicates and slope_error.any():
            reason += f", the gradient is 0 within {float(slope_error.max()):.1e}"
        close = directions[:, curvatures - curvatures[0] <= 2 * np.linalg.norm(error, 2)]
        if close.shape[1] > 1 and close[0].any():
            reason += ", along m and eps alike within the errors: which is steeper is undecided"
            return Escape(2, None, None, True, reason, Evidence.NUMERICAL)
        return _descent(origin, steepest, 2, reason)
    if _positive_definite(hessian, error):
        flat = f"the gradient is 0 within {float(slope_error.max()):.1e}"
        reason = f"{flat} and the lowest curvature is {curvatures[0]:.8g} > 0: a local minimum"
        return Escape(None, None, None, True, reason, Evidence.NUMERICAL)
    if hessian[0].any() or not _positive_definite(hessian[1:, 1:], error[1:, 1:]):
        return Escape.undecided(f"the lowest curvature is 0 within {uncertain:.1e}, along a direction other than m")
    return _along_m(origin, hessian[1:, 1:])


def _positive_definite(matrix: Array, error: Array) -> bool:
    """Whether every matrix within `error`, entry by entry, is: by Weyl, the diagonal scaled to 1."""
    if (np.diag(matrix) <= 0).any():
        return False
    scale = 1 / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    lowest = np.linalg.eigvalsh(matrix * scale)[:1]
    return bool((lowest > np.linalg.norm(error * scale)).all())


def _along_m(origin: _Origin, curvature: Array) -> Escape:
    """m alone is flat: the lowest power of m on the valley p(m) decides.

    p follows R_p = 0: with b_j = d_p of the coefficient of m^j, p = -H_pp^{-1} b_j m^j + ... lowers R by
    b_j^T H_pp^{-1} b_j m^{2j}/2, j the lowest order with b_j != 0.
    """
    k = _first_power(origin, 3)
    # A polynomial target has no powers of m beyond the table.
    top = k or (2 * origin.order if origin.table.target_tail == 0 else origin.order)
    bend: tuple[int, Array] | None = None
    for j in range(2, top // 2 + 1):
        slope = np.array([origin.derivative(j, i) for i in range(origin.rank)]).reshape(-1, 2) / _factorial(j)
        slope = _split(slope)[0]
        if slope.any():
            bend = j, slope
            break
    semantic = np.eye(1 + origin.rank)[0]
    if bend is not None:
        j, slope = bend
        gain = float(slope @ np.linalg.solve(curvature, slope)) / 2
        if k is None or 2 * j < k:
            return _descent(origin, semantic, 2 * j, f"along a bending valley R falls as {-gain:.8g} m^{2 * j}")
        value, error = origin.power(k)
        total = value - gain
        if abs(total) <= 2 * error + 1e-9 * gain:
            return Escape.undecided(f"the coefficient of m^{k} along the valley is {total:.2g}, within its error")
    elif k is not None:
        total = origin.power(k)[0]
    else:
        return Escape.undecided(f"R is flat along m within its error up to order {origin.order}")
    if k is not None and k % 2 == 1:
        direction = semantic if total < 0 else -semantic
        return _descent(origin, direction, k, f"R changes as {total:.8g} m^{k}")
    if total < 0:
        return _descent(origin, semantic, int(k or 0), f"R falls as {total:.8g} m^{k}")
    return Escape(None, None, None, True, f"R rises as {total:.8g} m^{k}: a local minimum", Evidence.NUMERICAL)


def _descent(origin: _Origin, direction: Array, order: int, reason: str) -> Escape:
    """A descent seen in the numbers, in (m, eps), of length 1; entries lost in rounding are 0."""
    vector = _back(origin.table) @ direction
    vector = np.where(np.abs(vector) > 1e-12 * np.abs(vector).max(), vector, 0.0) / np.linalg.norm(vector)
    if vector[np.argmax(np.abs(vector))] < 0 and order % 2 == 0:
        vector = -vector
    semantic, positional = bool(vector[0]), bool(vector[1:].any())
    kind = "mixed" if semantic and positional else "semantic" if semantic else "positional"
    entries = tuple(sp.Float(entry, 12) if entry != round(entry) else sp.Integer(round(entry)) for entry in vector)
    return Escape(order, entries, kind, True, reason, Evidence.NUMERICAL)


__all__ = ["NumericalLandscape", "numerical_landscape"]
