r"""The drift of the sufficient statistics s = (m, eps_1, ..., eps_r), with its domain and its laws.

`ds/dt = -(Gamma - s s^T) grad R(s) - (gamma/2) V(s) s` (arXiv:2506.02651, Assumption 2, eq. 11 and 28), with
t = gamma * step / d, on s^T Gamma^{-1} s <= 1.  `flow` integrates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import SieSymError
from sie_sym.gradient_noise import GradientNoise
from sie_sym.losses.numerical_loss import loss_function
from sie_sym.numeric import (
    FloatArray,
    LossFunction,
    NumericLoss,
    numeric_function,
    scalar_function,
)

Variance: TypeAlias = sp.Expr | float | Callable[..., Any] | GradientNoise
"""V(m, eps) as a formula, a number, a callable, or a `GradientNoise`."""
Recovery: TypeAlias = float | tuple[str | sp.Symbol, float]
"""The threshold of |(e, m)|, or a pair (statistic, threshold of its modulus)."""

_INSIDE = 1 - 1e-13
_POINTS = 1 << 14
"""How many states are evaluated together: what stays in the cache."""


class Drift:
    """The right-hand side of one flow, what it watches for, its domain and its checks."""

    def __init__(
        self,
        loss: Any,
        rate: float = 0.0,
        variance: Variance | None = None,
        gram: ArrayLike | None = None,
        recovery: Recovery | None = None,
        encoding: ArrayLike | None = None,
    ) -> None:
        self.loss: LossFunction = loss_function(loss)
        self.statistics = tuple(self.loss.statistics)
        self.names = ", ".join(map(str, self.statistics))
        if not (math.isfinite(rate) and rate >= 0):
            raise SieSymError(f"learning rate {rate}: give a finite number >= 0")
        if rate > 0 and variance is None:
            raise SieSymError(f"learning rate {rate} without its noise term: pass variance=V(m, eps), or rate=0")
        self.half_rate = rate / 2
        given: Variance = 0.0 if variance is None or rate == 0 else variance
        self.variance = given.expression if isinstance(given, GradientNoise) else given
        self.noise = self._numerical_variance()
        self.gram = None if gram is None else self._checked_gram(gram)
        self.precision = None if self.gram is None else np.linalg.inv(self.gram)
        self.gauge, self.threshold = self._checked_recovery(recovery, encoding)

    def _checked_gram(self, gram: ArrayLike) -> FloatArray:
        matrix = np.asarray(gram, dtype=np.float64)
        n = len(self.statistics)
        sound = matrix.shape == (n, n) and bool(np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12))
        if not sound or np.linalg.eigvalsh(matrix)[0] <= 0:
            raise SieSymError(
                f"Gram matrix {matrix.tolist()}: it must be symmetric, positive definite and {n} x {n}, "
                f"one row a statistic ({self.names})"
            )
        return matrix

    def _checked_recovery(self, recovery: Recovery | None, encoding: ArrayLike | None) -> tuple[FloatArray, float]:
        """The matrix W of the size |W s| that weak recovery watches, and its threshold."""
        n = len(self.statistics)
        name, threshold = recovery if isinstance(recovery, tuple) else (None, recovery)
        if threshold is not None and not 0 < threshold <= 1:
            raise SieSymError(f"weak recovery threshold {threshold}: give a number in (0, 1]")
        gauge = np.eye(n)
        if name is not None:
            known = [str(s) for s in self.statistics]
            if str(name) not in known:
                raise SieSymError(f"weak recovery of {name}, not a statistic: choose one of {self.names}")
            gauge = gauge[[known.index(str(name))]]
        elif encoding is not None:
            columns = np.asarray(encoding, dtype=np.float64)
            if columns.ndim != 2 or columns.shape[1] != n - 1 or not np.isfinite(columns).all():
                raise SieSymError(
                    f"encoding of shape {columns.shape} for {n - 1} positional overlaps: give one finite row a token "
                    "and one column a direction"
                )
            gauge = np.vstack([gauge[:1], np.pad(columns, ((0, 0), (1, 0)))])
        return gauge, math.inf if threshold is None else float(threshold)

    def checked_starts(self, starts: ArrayLike) -> FloatArray:
        """`starts` of shape (..., 1 + r) as floats inside the domain."""
        try:
            points = np.asarray(starts, dtype=np.float64)
        except (TypeError, ValueError):
            raise SieSymError(f"start {starts!r} is not made of numbers: give one a statistic") from None
        if points.shape[-1:] != (len(self.statistics),):
            given = points.shape[-1] if points.ndim else 1
            raise SieSymError(
                f"a start of {given} numbers for the {len(self.statistics)} statistics ({self.names}): "
                "give one number a statistic"
            )
        if not np.isfinite(points).all():
            bad = points[~np.isfinite(points).all(axis=-1)] if points.ndim > 1 else points
            raise SieSymError(f"start {bad.tolist()} is not finite: give finite overlaps")
        radii = self.squared_radius(points)
        if (radii > 1 + 1e-12).any():
            worst = points.reshape(-1, points.shape[-1])[int(np.argmax(radii))]
            raise SieSymError(
                f"start ({self.names}) = ({', '.join(f'{v:g}' for v in worst)}) lies outside the ball: "
                f"its squared norm is {float(np.max(radii)):g} and overlaps of unit vectors keep it at most 1"
            )
        return points

    def squared_radius(self, points: FloatArray, axis: int = -1) -> FloatArray:
        """s^T Gamma^{-1} s along an axis."""
        dual = points
        if self.precision is not None:
            dual = np.moveaxis(np.tensordot(self.precision, points, axes=(1, axis)), 0, axis)
        return np.asarray((points * dual).sum(axis=axis))

    def size(self, points: FloatArray) -> FloatArray:
        """What weak recovery watches at `points` (1 + r, ...): |(e, m)|, |s|, or the modulus of one statistic."""
        return np.asarray(np.sqrt(np.square(np.tensordot(self.gauge, points, axes=1)).sum(axis=0)))

    # -- right-hand sides

    def _formulas(self) -> list[sp.Expr] | None:
        """ds/dt as formulas that share their terms, when the loss and V are formulas."""
        if not isinstance(self.loss, NumericLoss) or callable(self.variance):
            return None
        slopes = [_horner(slope, self.statistics) for slope in self.loss.gradient_expressions]
        # unevaluated: SymPy would multiply the shared terms out
        pull = _sum(map(_product, self.statistics, slopes))
        if self.half_rate:
            pull = _sum([pull, _product(sp.Float(-self.half_rate), sp.sympify(self.variance, strict=True))])
        if self.gram is not None:
            slopes = [_sum(_product(sp.Float(a), slope) for a, slope in zip(row, slopes, strict=True) if a)
                      for row in self.gram.tolist()]  # fmt: skip
        pairs = zip(self.statistics, slopes, strict=True)
        return [_sum([_product(pull, s), _product(-1, slope)]) for s, slope in pairs]

    def _numerical_variance(self) -> Callable[..., Any]:
        if callable(self.variance):
            return self.variance
        formula = numeric_function(self.statistics, [sp.sympify(self.variance, strict=True)])
        return lambda *point: formula(np.stack(np.broadcast_arrays(*point)))[0]

    def _numerical_velocity(self, s: FloatArray) -> FloatArray:
        """ds/dt at s (1 + r, ...) from the methods of the loss and of the variance."""
        gradient = np.asarray(self.loss.gradient(*s), dtype=np.float64)
        pull = (s * gradient).sum(axis=0)
        if self.half_rate:
            pull = pull - self.half_rate * np.asarray(self.noise(*s))
        return np.asarray(pull * s - (gradient if self.gram is None else np.tensordot(self.gram, gradient, axes=1)))

    def scalar_field(self) -> Callable[[float, FloatArray], Sequence[float]]:
        """The right-hand side (t, s) -> ds/dt on floats."""
        formulas = self._formulas()
        velocity: Callable[..., Sequence[float]]
        if formulas is not None:
            velocity = scalar_function(self.statistics, formulas)
        else:
            velocity = lambda *s: self._numerical_velocity(np.array(s)).tolist()  # noqa: E731

        def field(t: float, state: FloatArray) -> Sequence[float]:
            s: list[float] = state.tolist()
            try:
                return velocity(*s)
            except (ValueError, ZeroDivisionError, OverflowError) as error:
                return velocity(*self._pulled_inside(s, error))

        return field

    def _pulled_inside(self, s: list[float], error: Exception) -> list[float]:
        """Rounding may put a trial point on the sphere or past it, where arcsin has no derivative."""
        radius = math.sqrt(float(self.squared_radius(np.asarray(s))))
        if radius < 1 - 1e-9:
            raise SieSymError(
                f"the flow's right-hand side is undefined at ({self.names}) = {tuple(s)}: {error}"
            ) from error
        return [a / radius * _INSIDE for a in s]

    def array_field(self) -> Callable[[FloatArray, FloatArray], None]:
        """The right-hand side of many points: (s, out), both (1 + r, points)."""
        formulas = self._formulas()
        velocity: Callable[[FloatArray, FloatArray], None]
        if formulas is None:
            velocity = lambda s, out: np.copyto(out, self._numerical_velocity(s))  # noqa: E731
        else:
            velocity = numeric_function(self.statistics, formulas).write
            if all(formula.is_polynomial(*self.statistics) for formula in formulas):
                return velocity

        @np.errstate(all="ignore")
        def field(s: FloatArray, out: FloatArray) -> None:
            # trial points of rejected steps may lie outside, where a loss need not be defined
            radii = np.sqrt(self.squared_radius(s, axis=0))
            velocity(s if radii.max() < 1 else np.where(radii < 1, s, s / np.maximum(radii, 1) * _INSIDE), out)

        return field

    # -- checks

    def checked_losses(self, states: FloatArray, rtol: float) -> FloatArray:
        """R along trajectories (times, 1 + r, ...); raises when they break what the flow cannot break."""
        losses = np.empty((len(states), *states.shape[2:]))
        tolerance, radius = max(1e3 * rtol, 1e-11), np.float64(0)
        together = max(1, _POINTS // losses[0].size)
        for first in range(0, len(states), together):
            part = np.moveaxis(states[first : first + together], 1, 0)
            losses[first : first + together] = self.loss.value(*part)
            radius = np.maximum(radius, self.squared_radius(part, axis=0).max())
        if not radius <= 1 + tolerance:
            raise SieSymError(
                f"the flow left the ball: squared norm {radius:.12g}; the loss or the variance is not that "
                "of overlaps of unit vectors, or rtol is too large"
            )
        if self.half_rate == 0 and len(losses) > 1:
            rise = float(np.max(np.diff(losses, axis=0)))
            if not rise <= tolerance * (1 + float(np.max(np.abs(losses)))):
                raise SieSymError(
                    f"the loss increases by {rise:.3g} along its own gradient flow: the gradient and value "
                    f"of {type(self.loss).__name__} disagree, or rtol = {rtol:g} is too large"
                )
        return losses


def _product(a: Any, b: Any) -> sp.Expr:
    return sp.Mul(a, b, evaluate=False)


def _sum(terms: Iterable[Any]) -> sp.Expr:
    return sp.Add(*terms, evaluate=False)


def _horner(expression: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> sp.Expr:
    """Horner's form of an expanded polynomial; anything already factored stays as it is."""
    if not isinstance(expression, sp.Add) or not 3 < len(expression.args) <= 200:
        return expression
    monomials = all(
        factor.is_number or factor in symbols or (isinstance(factor, sp.Pow) and factor.base in symbols)
        for term in expression.args
        for factor in sp.Mul.make_args(term)
    )
    return sp.horner(expression, *symbols) if monomials and expression.is_polynomial(*symbols) else expression
