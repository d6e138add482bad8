r"""The drift of the sufficient statistics s = (m, eps_1, ..., eps_r), with its domain and its laws.

`ds/dt = -(Gamma - s s^T) grad R(s) - (gamma/2) V(s) s` (arXiv:2506.02651, Assumption 2, eq. 11 and 28), with
t = gamma * step / d, on s^T Gamma^{-1} s <= 1.  `flow` integrates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any, TypeAlias

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import SieSymError
from sie_sym.gradient_noise import GradientNoise
from sie_sym.numeric import (
    FloatArray,
    LossFunction,
    NumericLoss,
    numeric_function,
    scalar_function,
)
from sie_sym.numerical_loss import loss_function

Variance: TypeAlias = sp.Expr | float | Callable[..., Any] | GradientNoise
"""V(m, eps) as a formula, a number, a callable, or a `GradientNoise`."""
Recovery: TypeAlias = float | tuple[str | sp.Symbol, float]
"""The threshold of |s|, or a pair (statistic, threshold of its modulus)."""


class Drift:
    """The right-hand side of one flow, what it watches for, its domain and its checks."""

    def __init__(
        self,
        loss: Any,
        rate: float = 0.0,
        variance: Variance | None = None,
        gram: ArrayLike | None = None,
        recovery: Recovery | None = None,
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
        self.watched, self.threshold = self._checked_recovery(recovery)

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

    def _checked_recovery(self, recovery: Recovery | None) -> tuple[int | None, float]:
        if recovery is None:
            return None, math.inf
        name, threshold = recovery if isinstance(recovery, tuple) else (None, recovery)
        if not 0 < threshold <= 1:
            raise SieSymError(f"weak recovery threshold {threshold}: give a number in (0, 1]")
        if name is None:
            return None, float(threshold)
        known = [str(s) for s in self.statistics]
        if str(name) not in known:
            raise SieSymError(f"weak recovery of {name}, not a statistic: choose one of {self.names}")
        return known.index(str(name)), float(threshold)

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

    def squared_radius(self, points: FloatArray) -> FloatArray:
        """s^T Gamma^{-1} s along the last axis."""
        if self.precision is None:
            return np.asarray(np.sum(points**2, axis=-1))
        return np.asarray(np.einsum("...i,ij,...j->...", points, self.precision, points))

    def progress(self, point: Sequence[float]) -> float:
        """What weak recovery watches: |s|, or the modulus of one statistic."""
        return abs(point[self.watched]) if self.watched is not None else math.hypot(*point)

    def losses(self, points: FloatArray) -> FloatArray:
        """R along the last axis of `points`."""
        return np.asarray(self.loss.value(*np.moveaxis(points, -1, 0)), dtype=np.float64)

    # -- right-hand sides

    def _exact_terms(self) -> list[sp.Expr] | None:
        """The gradient and V as formulas, when both are."""
        if not isinstance(self.loss, NumericLoss) or callable(self.variance):
            return None
        terms = [_horner(e, self.statistics) for e in self.loss.gradient_expressions]
        return [*terms, sp.sympify(self.variance, strict=True)]

    def _numerical_variance(self) -> Callable[..., Any]:
        if callable(self.variance):
            return self.variance
        formula = numeric_function(self.statistics, [sp.sympify(self.variance, strict=True)])
        return lambda *point: formula(np.stack(np.broadcast_arrays(*point)))[0]

    def _numerical_terms(self, *point: Any) -> list[Any]:
        """The gradient and V from the loss's own methods, for floats or for arrays."""
        gradient = self.loss.gradient(*point)
        return [*gradient, np.broadcast_to(self.noise(*point), np.shape(gradient[0]))]

    def scalar_field(self) -> Callable[[float, FloatArray], Any]:
        """The right-hand side (t, s) -> ds/dt on floats."""
        exact = self._exact_terms()
        terms: Callable[..., Sequence[float]]
        if exact is not None:
            terms = scalar_function(self.statistics, exact)
        else:
            terms = lambda *s: [float(v) for v in self._numerical_terms(*s)]  # noqa: E731
        half_rate = self.half_rate
        gram = None if self.gram is None else self.gram.tolist()

        def field(t: float, state: FloatArray) -> list[float]:
            s: list[float] = state.tolist()
            try:
                *gradient, noise = terms(*s)
            except (ValueError, ZeroDivisionError, OverflowError) as error:
                *gradient, noise = terms(*self._pulled_inside(s, error))
            pull = sum(map(mul, s, gradient)) - half_rate * noise
            if gram is not None:
                gradient = [sum(map(mul, row, gradient)) for row in gram]
            return [pull * a - b for a, b in zip(s, gradient, strict=True)]

        return field

    def _pulled_inside(self, s: list[float], error: Exception) -> list[float]:
        """Rounding may put a trial point on the sphere or past it, where arcsin has no derivative."""
        radius = math.sqrt(float(self.squared_radius(np.asarray(s))))
        if radius < 1 - 1e-9:
            raise SieSymError(
                f"the flow's right-hand side is undefined at ({self.names}) = {tuple(s)}: {error}"
            ) from error
        return [a / radius * (1 - 1e-13) for a in s]

    def array_field(self, count: int) -> Callable[[float, FloatArray], FloatArray]:
        """The right-hand side of `count` stacked starts, statistics first."""
        exact = self._exact_terms()
        function = None if exact is None else numeric_function(self.statistics, exact)
        n = len(self.statistics)

        def field(t: float, flat: FloatArray) -> FloatArray:
            s = flat.reshape(n, count)
            radii = np.sqrt(self.squared_radius(s.T))
            # trial points of rejected steps may lie outside, where a loss need not be defined
            inside = s if radii.max() < 1 else np.where(radii < 1, s, s / np.maximum(radii, 1) * (1 - 1e-13))
            terms = np.array(self._numerical_terms(*inside)) if function is None else function(inside)
            gradient, noise = terms[:n], terms[n]
            pull = np.einsum("ij,ij->j", s, gradient) - self.half_rate * noise
            if self.gram is not None:
                gradient = self.gram @ gradient
            return np.asarray(pull * s - gradient).ravel()

        return field

    # -- checks

    def check(self, states: FloatArray, losses: FloatArray, rtol: float) -> None:
        """Raise when a trajectory (second last axis: time) breaks what the flow cannot break."""
        tolerance = max(1e3 * rtol, 1e-11)
        radius = float(np.max(self.squared_radius(states)))
        if not radius <= 1 + tolerance:
            raise SieSymError(
                f"the flow left the ball: squared norm {radius:.12g}; the loss or the variance is not that "
                "of overlaps of unit vectors, or rtol is too large"
            )
        if self.half_rate == 0 and losses.shape[-1] > 1:
            rise = float(np.max(np.diff(losses, axis=-1)))
            if not rise <= tolerance * (1 + float(np.max(np.abs(losses)))):
                raise SieSymError(
                    f"the loss increases by {rise:.3g} along its own gradient flow: the gradient and value "
                    f"of {type(self.loss).__name__} disagree, or rtol = {rtol:g} is too large"
                )


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
