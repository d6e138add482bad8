r"""Flows of the sufficient statistics s = (m, eps_1, ..., eps_r): the limits of SGD at large dimension.

`ds/dt = -(Gamma - s s^T) grad R(s) - (gamma/2) V(s) s` (arXiv:2506.02651, Assumption 2, eq. 11 and 28), with
t = gamma * step / d.  Gamma is the Gram matrix of (w*, u_1, ..., u_r)/d, the identity unless the target has
a positional part (App. F.3); the domain is s^T Gamma^{-1} s <= 1.  gamma = 0 is the spherical gradient flow.

Escape times are decided where s is tiny: the absolute tolerance lies far below the start, and the result is
checked (R may not increase along the gradient flow, s may not leave its domain).  One start is integrated by LSODA,
many by steps of Dormand and Prince that they share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from sie_sym.errors import SieSymError
from sie_sym.flows.dormand_prince import Arcs, DormandPrince, Field
from sie_sym.flows.drift import Drift, Recovery, Variance
from sie_sym.flows.lsoda import FIXED_POINT, LOOK_EVERY, MOST_STEPS, RECOVERY, TIME, sampled, until
from sie_sym.flows.rest import Rest
from sie_sym.numeric import FloatArray

_TOGETHER = 1 << 13
"""How many statistics share their steps: their stages stay in the cache."""


@dataclass(frozen=True)
class Flow:
    """One trajectory on `samples` equally spaced times from 0 to the end of the integration.

    `t` (n,) in units of gamma * step / d; `states` (n, 1 + r), columns in the order of `statistics`; `losses`
    (n,); `ended` is "time", "weak recovery" or "fixed point"; `recovery_time` is None if there was none.
    """

    t: FloatArray
    states: FloatArray
    losses: FloatArray
    statistics: tuple[sp.Symbol, ...]
    ended: str
    recovery_time: float | None


@dataclass(frozen=True)
class FlowBatch:
    """Trajectories of n starts on common times: `states` (n, samples, 1 + r), `losses` (n, samples).

    `recovery_times` (n,) holds nan where the threshold was not reached (everywhere if none was asked for).
    """

    t: FloatArray
    states: FloatArray
    losses: FloatArray
    statistics: tuple[sp.Symbol, ...]
    recovery_times: FloatArray


def gradient_flow(
    loss: Any,
    start: ArrayLike,
    time: float,
    *,
    rate: float = 0.0,
    variance: Variance | None = None,
    gram: ArrayLike | None = None,
    recovery: Recovery | None = None,
    encoding: ArrayLike | None = None,
    samples: int = 200,
    rtol: float = 1e-11,
) -> Flow:
    r"""Integrate `ds/dt = -(Gamma - s s^T) grad R - (rate/2) V s` from `start` to `time` or an earlier end.

    `loss` has an exact `expression` in its `statistics` (a population loss), or `statistics` and the methods
    `value`, `gradient`, `hessian`.  `variance` is V(m, eps), a formula, a number or a callable, needed when
    `rate` > 0.  `gram` is Gamma (default: identity).  `recovery` is the threshold eta of weak recovery,
    |(e, m)| >= eta with e = C eps (Def. 1) and C = `encoding`, (L, r); without it C has orthonormal columns, so that
    this is |s|.  Or it is a pair (statistic, eta).  The integration ends there, or at a fixed point.  LSODA with
    relative tolerance `rtol` and an absolute one far below the smallest start.

    Raises `SieSymError` for starts outside the ball, free parameters, and a trajectory that breaks a law of
    the flow (R increases although rate = 0; s leaves the ball).  arXiv:2506.02651, eq. 11 and 28.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> flow = gradient_flow(NumericLoss(-2 * m, (m,)), [0.0], 0.5)
    >>> bool(abs(flow.states[-1, 0] - math.tanh(1)) < 1e-9)
    True
    """
    drift = Drift(loss, rate, variance, gram, recovery, encoding)
    s0 = drift.checked_starts(start)
    if s0.ndim != 1:
        raise SieSymError(f"start of shape {s0.shape}: give one point, or use gradient_flow_batch")
    t = _times(time, samples)
    atol = float(_tolerances(s0, rtol))
    field = drift.scalar_field()
    rests = Rest(lambda s: field(0.0, s), s0, time)
    if drift.size(s0) >= drift.threshold:
        t, states, ended = t[:1], s0[None, :].copy(), RECOVERY
    elif rests(0.0, s0):
        t, states, ended = t[:1], s0[None, :].copy(), FIXED_POINT
    elif recovery is None:
        t, states, ended = _until_rest(field, rests, s0, t, rtol, atol)
    else:
        end, last, ended = until(field, s0, time, lambda s: float(drift.size(s)) - drift.threshold, rtol, atol, rests)
        t = _times(end, samples)
        states = sampled(field, s0, t, rtol, atol)
        states[-1] = last
    losses = drift.checked_losses(states, rtol)
    return Flow(t, states, losses, drift.statistics, ended, float(t[-1]) if ended == RECOVERY else None)


def _times(time: float, samples: int) -> FloatArray:
    if not (math.isfinite(time) and time > 0):
        raise SieSymError(f"time {time}: give a finite horizon > 0, in units of gamma * step / d")
    if samples < 2:
        raise SieSymError(f"{samples} samples: a trajectory needs 2 or more")
    return np.linspace(0.0, time, samples)


def _tolerances(starts: FloatArray, rtol: float) -> FloatArray:
    """The absolute tolerance of each start (..., 1 + r): far below its smallest statistic."""
    if not 3e-14 <= rtol <= 1e-6:
        raise SieSymError(f"rtol = {rtol}: choose one in [3e-14, 1e-6], escape times need no less")
    smallest = np.where(starts == 0, 1.0, np.abs(starts)).min(axis=-1)
    # LSODA squares speed / tolerance for its first step: below 1e-150 that overflows
    return np.asarray(np.maximum(rtol * 1e-2 * smallest, 1e-140))


def _until_rest(
    field: Any, rests: Rest, start: FloatArray, t: FloatArray, rtol: float, atol: float
) -> tuple[FloatArray, FloatArray, str]:
    """Sample at the times t; when the flow rests before the last, zoom in until the approach fills the samples."""
    ended = TIME
    while True:
        states = sampled(field, start, t, rtol, atol)
        if not rests(t[-1], states[-1]):
            return t, states, ended
        # what rests stays at rest: the first such sample by bisection
        ended, low, high = FIXED_POINT, 0, len(t) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if rests(t[middle], states[middle]) else (middle, high)
        if high == len(t) - 1:
            return t, states, ended
        t = np.linspace(0.0, t[high], len(t))


def weak_recovery_time(
    loss: Any,
    start: ArrayLike,
    threshold: Recovery,
    time: float,
    *,
    rate: float = 0.0,
    variance: Variance | None = None,
    gram: ArrayLike | None = None,
    encoding: ArrayLike | None = None,
    rtol: float = 1e-11,
) -> float:
    """The first t with |(e, m)| >= threshold (Def. 1), or inf if the flow stops or `time` passes before.

    In units t = gamma * step / d: multiply by d / gamma for steps.  Arguments, errors: see `gradient_flow`.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> escape = weak_recovery_time(NumericLoss(-2 * m, (m,)), [0.0], 0.5, 10.0)
    >>> abs(escape - math.atanh(0.5) / 2) < 1e-9
    True
    """
    flow = gradient_flow(
        loss, start, time, rate=rate, variance=variance, gram=gram, recovery=threshold, encoding=encoding, samples=2,
        rtol=rtol,
    )  # fmt: skip
    return math.inf if flow.recovery_time is None else flow.recovery_time


def gradient_flow_batch(
    loss: Any,
    starts: ArrayLike,
    time: float,
    *,
    rate: float = 0.0,
    variance: Variance | None = None,
    gram: ArrayLike | None = None,
    recovery: Recovery | None = None,
    encoding: ArrayLike | None = None,
    samples: int = 200,
    rtol: float = 1e-11,
) -> FlowBatch:
    """As `gradient_flow` for `starts` of shape (n, 1 + r), each as accurate as alone, in steps that they share.

    Every start is followed to `time` (nothing ends at weak recovery, whose times are recorded); where all that share
    their steps have arrived at fixed points the integration stops and the last state is repeated.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> gradient_flow_batch(NumericLoss(-2 * m, (m,)), [[0.0], [0.1]], 1.0, samples=5).states.shape
    (2, 5, 1)
    """
    drift = Drift(loss, rate, variance, gram, recovery, encoding)
    points = drift.checked_starts(starts)
    if points.ndim != 2 or not points.size:
        raise SieSymError(f"starts of shape {points.shape}: give (n, {len(drift.statistics)}) with n >= 1")
    t = _times(time, samples)
    atol = _tolerances(points, rtol)
    field = drift.array_field()
    count, n = points.shape
    states, recovered = np.empty((samples, n, count)), np.empty(count)
    together = max(1, _TOGETHER // n)
    for first in range(0, count, together):
        block = slice(first, first + together)
        solver = DormandPrince(field, np.ascontiguousarray(points[block].T), time, rtol, atol[block])
        recovered[block] = _followed(drift, field, solver, t, states[..., block])
    losses = drift.checked_losses(states, rtol)
    return FlowBatch(t, np.moveaxis(states, -1, 0), losses.T, drift.statistics, recovered)


def _followed(drift: Drift, field: Field, solver: DormandPrince, t: FloatArray, states: FloatArray) -> FloatArray:
    """Write the states (samples, 1 + r, count) at the times t; the recovery times."""

    def velocity(s: FloatArray) -> FloatArray:
        out = np.empty_like(s)
        field(s, out)
        return out

    states[0] = solver.state
    rests = Rest(velocity, solver.state, float(t[-1]))
    recovered = np.where(drift.size(solver.state) >= drift.threshold, 0.0, np.nan)
    arcs: list[tuple[NDArray[np.int64], Arcs]] = []
    filled = 1
    for step in range(MOST_STEPS):
        if step % LOOK_EVERY == 0 and rests(solver.t, solver.state):
            states[filled:] = solver.state
            break
        solver.step()
        due = int(np.searchsorted(t, solver.t, side="right"))
        if due > filled:
            solver.sample(t[filled:due], states[filled:due])
            filled = due
        if drift.threshold < math.inf:
            crossed = np.isnan(recovered) & (drift.size(solver.state) >= drift.threshold)
            if crossed.any():
                recovered[crossed] = solver.t
                arcs.append((np.flatnonzero(crossed), solver.arcs(crossed)))
        if solver.t == t[-1]:
            break
    else:
        raise SieSymError(f"more than {MOST_STEPS} steps for {len(recovered)} starts: pass a shorter time")
    if arcs:
        found = np.concatenate([which for which, _ in arcs])
        recovered[found] = _crossings(drift, Arcs.joined([arc for _, arc in arcs]))
    return recovered


def _crossings(drift: Drift, arcs: Arcs) -> FloatArray:
    """When each start crosses the threshold within its step, by bisection of the interpolants."""
    low, high = np.zeros_like(arcs.h), np.ones_like(arcs.h)
    for _ in range(53):
        middle = (low + high) / 2
        above = drift.size(arcs.at(middle)) >= drift.threshold
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(arcs.t_old + high * arcs.h)


__all__ = [
    "FIXED_POINT",
    "RECOVERY",
    "TIME",
    "Flow",
    "FlowBatch",
    "gradient_flow",
    "gradient_flow_batch",
    "weak_recovery_time",
]
