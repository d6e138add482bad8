r"""Flows of the sufficient statistics s = (m, eps_1, ..., eps_r): the limits of SGD at large dimension.

`ds/dt = -(Gamma - s s^T) grad R(s) - (gamma/2) V(s) s` (arXiv:2506.02651, Assumption 2, eq. 11 and 28), with
t = gamma * step / d.  Gamma is the Gram matrix of (w*, u_1, ..., u_r)/d, the identity unless the target has
a positional part (App. F.3); the domain is s^T Gamma^{-1} s <= 1.  gamma = 0 is the spherical gradient flow.

Escape times are decided where s is tiny: the absolute tolerance lies far below the start, and the result is
checked (R may not increase along the gradient flow, s may not leave its domain).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.drift import Drift, Recovery, Variance
from sie_sym.errors import SieSymError
from sie_sym.numeric import FloatArray

TIME, RECOVERY, FIXED_POINT = "time", "weak recovery", "fixed point"

_MOST_STEPS = 100_000
_STILL = 1e-9
"""A statistic is still when its relative rate is this fraction of the local rate of relaxation."""
_LOOK_EVERY = 10


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


def _tolerances(starts: FloatArray, rtol: float) -> float:
    if not 3e-14 <= rtol <= 1e-6:
        raise SieSymError(f"rtol = {rtol}: choose one in [3e-14, 1e-6], escape times need no less")
    moduli = np.abs(starts[starts != 0])
    # LSODA squares speed / tolerance for its first step: below 1e-150 that overflows
    return max(rtol * 1e-2 * float(moduli.min(initial=1.0)), 1e-140)


class _Arrival:
    """Decides that trajectories rest: each statistic is still, or decays far below the start."""

    def __init__(self, field: Callable[[float, FloatArray], Any], start: FloatArray, time: float) -> None:
        self.field = field
        self.time = time
        self.negligible = 1e-10 * np.where(start == 0, 1.0, np.abs(start)).min(axis=0)

    def __call__(self, t: float, s: FloatArray) -> bool:
        """Whether all of `s` (1 + r, ...) rests at time t."""
        velocity = np.asarray(self.field(t, s))
        size, speed = np.abs(s), np.abs(velocity)
        rates = np.divide(speed, size, out=np.where(speed > 0, np.inf, 0.0), where=size > 0)
        decays = ((s * velocity < 0) | (velocity == 0)) & (size <= self.negligible)
        if not np.all(decays | (rates < np.inf)):
            return False
        # a tiny statistic that grows is an escape, however slow (SIE >= 3), if the time left suffices
        grows = (s * velocity > 0) & (size < 1e-2) & (rates * (self.time - t) >= 1e-3)
        still = (rates <= _STILL * self._relaxation(t, s, velocity)) & ~grows
        return bool(np.all(still | decays))

    def _relaxation(self, t: float, s: FloatArray, velocity: FloatArray) -> FloatArray:
        """The largest entry of the Jacobian, by differences taken towards the inside of the ball."""
        entries = []
        for j in range(len(s)):
            h = np.where(s[j] > 0, -1e-7, 1e-7)
            moved = s.copy()
            moved[j] += h
            entries.append(np.abs((np.asarray(self.field(t, moved)) - velocity) / h).max(axis=0))
        return np.asarray(np.max(entries, axis=0))


def gradient_flow(
    loss: Any,
    start: ArrayLike,
    time: float,
    *,
    rate: float = 0.0,
    variance: Variance | None = None,
    gram: ArrayLike | None = None,
    recovery: Recovery | None = None,
    samples: int = 200,
    rtol: float = 1e-11,
) -> Flow:
    r"""Integrate `ds/dt = -(Gamma - s s^T) grad R - (rate/2) V s` from `start` to `time` or an earlier end.

    `loss` has an exact `expression` in its `statistics` (a population loss), or `statistics` and the methods
    `value`, `gradient`, `hessian`.  `variance` is V(m, eps), a formula, a number or a callable, needed when
    `rate` > 0.  `gram` is Gamma (default: identity).  `recovery` is the threshold eta of |s| >= eta (Def. 1),
    or a pair (statistic, eta); the integration ends there, or at a fixed point.  LSODA with relative
    tolerance `rtol` and an absolute one far below the smallest start.

    Raises `SieSymError` for starts outside the ball, free parameters, and a trajectory that breaks a law of
    the flow (R increases although rate = 0; s leaves the ball).  arXiv:2506.02651, eq. 11 and 28.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> flow = gradient_flow(NumericLoss(-2 * m, (m,)), [0.0], 0.5)
    >>> bool(abs(flow.states[-1, 0] - math.tanh(1)) < 1e-9)
    True
    """
    drift = Drift(loss, rate, variance, gram, recovery)
    s0 = drift.checked_starts(start)
    if s0.ndim != 1:
        raise SieSymError(f"start of shape {s0.shape}: give one point, or use gradient_flow_batch")
    _check_span(time, samples)
    atol = _tolerances(s0, rtol)
    field = drift.scalar_field()
    arrived = _Arrival(field, s0, time)
    if drift.progress(s0.tolist()) >= drift.threshold:
        t, states, ended = np.zeros(1), s0[None, :].copy(), RECOVERY
    elif arrived(0.0, s0):
        t, states, ended = np.zeros(1), s0[None, :].copy(), FIXED_POINT
    elif recovery is None:
        t, states, ended = _until_rest(field, arrived, s0, time, samples, rtol, atol)
    else:
        end, last, ended = _until_recovery(drift, field, arrived, s0, time, rtol, atol)
        t = np.linspace(0.0, end, samples)
        states = _sampled(field, s0, t, rtol, atol)
        states[-1] = last
    losses = drift.losses(states)
    drift.check(states, losses, rtol)
    recovery_time = float(t[-1]) if ended == RECOVERY else None
    return Flow(t, states, losses, drift.statistics, ended, recovery_time)


def _until_rest(
    field: Callable[..., Any],
    arrived: _Arrival,
    start: FloatArray,
    time: float,
    samples: int,
    rtol: float,
    atol: float,
) -> tuple[FloatArray, FloatArray, str]:
    """Sample to `time`; when the flow rests before, zoom in until the approach fills the samples."""
    end, ended = float(time), TIME
    while True:
        t = np.linspace(0.0, end, samples)
        states = _sampled(field, start, t, rtol, atol)
        if not arrived(end, states[-1]):
            return t, states, ended
        # what rests stays at rest: the first such sample by bisection
        ended, low, high = FIXED_POINT, 0, samples - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if arrived(t[middle], states[middle]) else (middle, high)
        if end == t[high] or end == 0.0:
            return t, states, ended
        end = float(t[high])


def _until_recovery(
    drift: Drift,
    field: Callable[..., Any],
    arrived: _Arrival,
    start: FloatArray,
    time: float,
    rtol: float,
    atol: float,
) -> tuple[float, FloatArray, str]:
    """Step until the watched size reaches its threshold, the flow rests or the time is over."""
    from scipy.integrate import LSODA

    solver = LSODA(field, 0.0, start.copy(), time, rtol=rtol, atol=atol)
    t_old, y_old = 0.0, start
    for step in range(_MOST_STEPS):
        message = solver.step()
        t, y = float(solver.t), np.array(solver.y)
        if solver.status == "failed" or not all(map(math.isfinite, y.tolist())):
            raise SieSymError(f"the integration fails at t = {t:g}, state {y.tolist()}: {message}")
        if drift.progress(y.tolist()) >= drift.threshold:
            return *_crossing(drift, field, t_old, y_old, t, rtol, atol), RECOVERY
        rests = (step % _LOOK_EVERY == 0 or solver.status == "finished") and arrived(t, y)
        if rests or solver.status == "finished":
            return t, y, FIXED_POINT if rests else TIME
        t_old, y_old = t, y
    raise SieSymError(
        f"more than {_MOST_STEPS} steps, at t = {t_old:g} of {time:g}: pass a shorter time or a larger rtol"
    )


def _check_span(time: float, samples: int) -> None:
    if not (math.isfinite(time) and time > 0):
        raise SieSymError(f"time {time}: give a finite horizon > 0, in units of gamma * step / d")
    if samples < 2:
        raise SieSymError(f"{samples} samples: a trajectory needs 2 or more")


def _sampled(
    field: Callable[..., Any], start: FloatArray, t: FloatArray, rtol: float, atol: float
) -> FloatArray:
    """The states at the times t, by the compiled LSODA loop."""
    from scipy.integrate import odeint

    states, info = odeint(
        field, start, t, rtol=rtol, atol=atol, tfirst=True, mxstep=_MOST_STEPS, full_output=True
    )
    if info["message"] != "Integration successful.":
        raise SieSymError(f"the integration to t = {t[-1]:g} fails: {info['message']}")
    return np.asarray(states)


def _crossing(
    drift: Drift,
    field: Callable[..., Any],
    t_old: float,
    y_old: FloatArray,
    t_new: float,
    rtol: float,
    atol: float,
) -> tuple[float, FloatArray]:
    """When and where the watched size crosses the threshold, within one accepted step."""
    from scipy.optimize import brentq

    def state(t: float) -> FloatArray:
        return y_old if t == t_old else _sampled(field, y_old, np.array([t_old, t]), rtol, atol)[-1]

    def excess(t: float) -> float:
        return drift.progress(state(t).tolist()) - drift.threshold

    # the short integration may differ from the step by rounding: then the step's end is the crossing
    t = t_new
    if excess(t_new) > 0:
        t = float(brentq(excess, t_old, t_new, xtol=1e-13 * max(t_new, 1e-300), rtol=1e-13))
    return t, state(t)


def weak_recovery_time(
    loss: Any,
    start: ArrayLike,
    threshold: Recovery,
    time: float,
    *,
    rate: float = 0.0,
    variance: Variance | None = None,
    gram: ArrayLike | None = None,
    rtol: float = 1e-11,
) -> float:
    """The first t with |s| >= threshold (Def. 1), or inf if the flow stops or `time` passes before.

    In units t = gamma * step / d: multiply by d / gamma for steps.  Arguments, errors: see `gradient_flow`.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> escape = weak_recovery_time(NumericLoss(-2 * m, (m,)), [0.0], 0.5, 10.0)
    >>> abs(escape - math.atanh(0.5) / 2) < 1e-9
    True
    """
    flow = gradient_flow(
        loss, start, time, rate=rate, variance=variance, gram=gram, recovery=threshold, samples=2, rtol=rtol
    )
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
    samples: int = 200,
    rtol: float = 1e-11,
) -> FlowBatch:
    """As `gradient_flow` for `starts` of shape (n, 1 + r), in one stacked DOP853 integration to `time`.

    Every start is followed to `time` (nothing ends at weak recovery, whose times are recorded); when all have
    arrived at fixed points the integration stops and the last state is repeated.

    >>> from sie_sym.numeric import NumericLoss
    >>> m = sp.Symbol("m", real=True)
    >>> gradient_flow_batch(NumericLoss(-2 * m, (m,)), [[0.0], [0.1]], 1.0, samples=5).states.shape
    (2, 5, 1)
    """
    from scipy.integrate import DOP853

    drift = Drift(loss, rate, variance, gram, recovery)
    points = drift.checked_starts(starts)
    if points.ndim != 2 or not points.size:
        raise SieSymError(f"starts of shape {points.shape}: give (n, {len(drift.statistics)}) with n >= 1")
    _check_span(time, samples)
    count, n = points.shape
    atol = _tolerances(points, rtol)
    field = drift.array_field(count)
    # the step control averages over all starts: a single one may be worse by sqrt(count)
    strict = max(rtol / math.sqrt(count), 3e-14)
    t = np.linspace(0.0, time, samples)
    states = np.empty((samples, n, count))
    states[0] = points.T
    recovered = np.where(_sizes(drift, points.T) >= drift.threshold, 0.0, np.nan)
    arrived = _Arrival(lambda t, s: field(t, s.ravel()).reshape(n, count), points.T, time)
    filled = 1
    if arrived(0.0, points.T):
        states[:], filled = states[0], samples
    else:
        solver = DOP853(field, 0.0, points.T.ravel(), time, rtol=strict, atol=atol / math.sqrt(count))
        for step in range(_MOST_STEPS):
            solver.step()
            y = solver.y.reshape(n, count)
            if solver.status == "failed" or not np.isfinite(y).all():
                raise SieSymError(f"the integration of {count} starts fails at t = {solver.t:g}")
            due = int(np.searchsorted(t, solver.t, side="right"))
            crossed = np.isnan(recovered) & (_sizes(drift, y) >= drift.threshold)
            if due > filled or crossed.any():
                dense = solver.dense_output()
                states[filled:due] = dense(t[filled:due]).T.reshape(-1, n, count)
                filled = max(filled, due)
                for j in map(int, np.flatnonzero(crossed)):
                    recovered[j] = _bisected(drift, dense, j, count, solver.t_old, solver.t)
            if solver.status == "finished":
                break
            if step % _LOOK_EVERY == 0 and arrived(solver.t, y):
                states[filled:] = y
                filled = samples
                break
        else:
            raise SieSymError(f"more than {_MOST_STEPS} steps for {count} starts: pass a shorter time")
    trajectories = np.ascontiguousarray(np.moveaxis(states, -1, 0))
    losses = drift.losses(trajectories)
    drift.check(trajectories, losses, rtol)
    return FlowBatch(t, trajectories, losses, drift.statistics, recovered)


def _sizes(drift: Drift, y: FloatArray) -> FloatArray:
    watched = drift.watched
    return np.asarray(np.sqrt((y**2).sum(axis=0)) if watched is None else np.abs(y[watched]))


def _bisected(drift: Drift, dense: Any, j: int, count: int, low: float, high: float) -> float:
    """When start j crosses the threshold within one step, on the step's interpolant."""
    from scipy.optimize import brentq

    def excess(t: float) -> float:
        return drift.progress(dense(t)[j::count].tolist()) - drift.threshold

    return low if excess(low) >= 0 else float(brentq(excess, low, high, xtol=1e-13 * high, rtol=1e-13))
