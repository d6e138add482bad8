r"""The explicit Runge-Kutta method of Dormand and Prince of order 8(5,3), for many starts of one autonomous field.

All starts share a step, small enough for each of them: the error norm is that of the worst start, so that a start
among many is as accurate as one alone.  With a common step a stage is one product of a vector and a matrix, and so
are the states at any times within it, by the interpolant of order 7 (Hairer, Norsett, Wanner, Solving Ordinary
Differential Equations I, II.5 and II.6); steps of their own would take fewer but gather every sample one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import SieSymError
from sie_sym.numeric import FloatArray

Field = Callable[[FloatArray, FloatArray], object]
"""Writes the velocities at (n, count) states to an array of their shape."""

_STAGES = 12
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


@dataclass(frozen=True)
class _Tableau:
    """Rows over the slopes: `stages` (16, 16), the 13th at the end of the step; `errors` (2, 12).

    `interpolant` (8, 17): a row a function of `_basis`, over the state and the slopes.
    """

    stages: FloatArray
    errors: FloatArray
    interpolant: FloatArray


@cache
def _tableau() -> _Tableau:
    from scipy.integrate import DOP853

    stages = np.zeros((16, 16))
    stages[:_STAGES, :_STAGES] = DOP853.A
    stages[_STAGES, :_STAGES] = DOP853.B
    stages[_STAGES + 1 :] = DOP853.A_EXTRA
    first, whole, last = np.eye(16)[0], stages[_STAGES], np.eye(16)[_STAGES]
    interpolant = np.eye(8, 17)
    interpolant[1:, 1:] = [whole, first - whole, 2 * whole - first - last, *DOP853.D]
    return _Tableau(stages, np.vstack([DOP853.E5[:_STAGES], DOP853.E3[:_STAGES]]), interpolant)


def _basis(x: FloatArray) -> FloatArray:
    """1, x, x (1 - x), x^2 (1 - x), x^2 (1 - x)^2, ..., of shape (8, ...), x in [0, 1] along the step."""
    return np.cumprod([np.ones_like(x), x, 1 - x, x, 1 - x, x, 1 - x, x], axis=0)


def _aligned(*shape: int) -> FloatArray:
    """An empty array on a boundary of 64 bytes, where products are faster by a third."""
    size = 8 * math.prod(shape)
    memory = np.empty(size + 64, dtype=np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + size].view(np.float64).reshape(shape)


@dataclass(frozen=True)
class Arcs:
    """Starts within one step each: t = `t_old` + x `h`, state = sum_p basis_p(x) `terms`_p, (8, n, count)."""

    t_old: FloatArray
    h: FloatArray
    terms: FloatArray

    def at(self, x: FloatArray) -> FloatArray:
        """The states (n, count), each at its own x."""
        return np.asarray(np.einsum("pj,pij->ij", _basis(x), self.terms))

    @classmethod
    def joined(cls, arcs: Sequence[Arcs]) -> Arcs:
        """The starts of all of them."""
        parts = ([arc.t_old for arc in arcs], [arc.h for arc in arcs], [arc.terms for arc in arcs])
        return cls(*(np.concatenate(part, axis=-1) for part in parts))


class DormandPrince:
    """Steps of `starts` (n, count) to `time`; `rtol` and `atol`, one number a start, bound each start's error norm."""

    def __init__(self, field: Field, starts: FloatArray, time: float, rtol: float, atol: FloatArray) -> None:
        self.field, self.shape, self.time, self.rtol, self.atol = field, starts.shape, time, rtol, atol
        # the state and the slopes at the stages: a stage is a combination of the rows above it
        self._rows = _aligned(17, starts.size)
        self._stack = self._rows.reshape(17, *starts.shape)
        self._dense = False
        self.state = starts.copy()
        """(n, count), at the time `t`."""
        self._weights = np.ones((16, 17))
        self._trial = _aligned(*starts.shape)
        parts = ((self._weights[stage, : stage + 1], self._rows[: stage + 1]) for stage in range(16))
        self._stages = [(weights, rows, self._stack[len(rows)]) for weights, rows in parts]
        self._errors, self._scale = np.empty((2, starts.size)), np.empty(starts.shape)
        self.t = self.t_old = 0.0
        field(self.state, self._stack[_STAGES + 1])
        # a tenth of the fastest relative time scale: the control does the rest
        rates = np.abs(self._stack[_STAGES + 1]) / (np.abs(starts) + atol / rtol)
        fastest = float(rates.max())
        self.h = self._proposed = min(time, 0.1 / fastest) if fastest > 0 else time

    @np.errstate(all="ignore")
    def step(self) -> None:
        """One accepted step; raises `SieSymError` where none is short enough."""
        tableau, rows, stack = _tableau(), self._rows, self._stack
        stack[0], stack[1] = self.state, stack[_STAGES + 1]
        self.t_old, growth, self._dense = self.t, _GROW, False
        size = np.abs(self.state)
        while True:
            left = self.time - self.t
            h = left if self._proposed > 0.99 * left else self._proposed
            if not h > 4 * np.spacing(self.t):
                raise SieSymError(f"the integration of {self.shape[1]} starts fails at t = {self.t:g}")
            self.h = h
            np.multiply(h, tableau.stages, out=self._weights[:, 1:])
            self._evaluate(1, _STAGES + 1)
            np.dot(h * tableau.errors, rows[1 : _STAGES + 1], out=self._errors)
            np.maximum(size, np.abs(self._trial), out=self._scale)
            self._scale *= self.rtol
            self._scale += self.atol
            errors = self._errors.reshape(2, *self.shape)
            errors /= self._scale
            fifth, third = np.einsum("eij,eij->ej", errors, errors)
            norm = float((fifth**2 / (fifth + 0.01 * third + 1e-300)).max()) / self.shape[0]
            if norm <= 1:
                break
            growth = 1.0
            self._proposed = h * (max(_SHRINK, _SAFETY * norm ** (-1 / 16)) if norm < np.inf else _SHRINK)
        self._proposed = h * min(growth, _SAFETY * norm ** (-1 / 16) if norm > 0 else _GROW)
        self.t = self.time if h == left else self.t + h
        self.state = self._trial.copy()

    def _evaluate(self, first: int, last: int) -> None:
        """The slopes of some stages; the state of the last one stays in `_trial`."""
        trial, field = self._trial, self.field
        flat = trial.reshape(-1)
        for weights, rows, slope in self._stages[first:last]:
            np.dot(weights, rows, out=flat)
            field(trial, slope)

    def _interpolant(self) -> FloatArray:
        """Its rows for this step, after the slopes that it needs."""
        if not self._dense:
            self._evaluate(_STAGES + 1, 16)
            self._dense = True
        rows = _tableau().interpolant.copy()
        rows[:, 1:] *= self.h
        return rows

    def sample(self, times: FloatArray, out: FloatArray) -> None:
        """The states at `times` within the last step, to `out` (times, n, count)."""
        weights = _basis((times - self.t_old) / self.h).T @ self._interpolant()
        out[:] = (weights @ self._rows).reshape(out.shape)

    def arcs(self, which: NDArray[np.bool_]) -> Arcs:
        """The last step of the starts where `which` (count,) is true."""
        terms = np.tensordot(self._interpolant(), self._stack[:, :, which], axes=1)
        count = terms.shape[-1]
        return Arcs(np.full(count, self.t_old), np.full(count, self.h), terms)
