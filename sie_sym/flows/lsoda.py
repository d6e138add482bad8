"""One trajectory by LSODA (scipy's): at given times, or until an event."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sie_sym.errors import SieSymError
from sie_sym.numeric import FloatArray

TIME, RECOVERY, FIXED_POINT = "time", "weak recovery", "fixed point"

MOST_STEPS = 100_000
LOOK_EVERY = 10
"""How many steps are between two looks for a fixed point."""


def sampled(field: Callable[..., Any], start: FloatArray, t: FloatArray, rtol: float, atol: float) -> FloatArray:
    """The states at the times t, (len(t), n), by the compiled loop."""
    from scipy.integrate import odeint

    states, info = odeint(field, start, t, rtol=rtol, atol=atol, tfirst=True, mxstep=MOST_STEPS, full_output=True)
    if info["message"] != "Integration successful.":
        raise SieSymError(f"the integration to t = {t[-1]:g} fails: {info['message']}")
    return np.asarray(states)


def until(
    field: Callable[..., Any],
    start: FloatArray,
    time: float,
    excess: Callable[[FloatArray], float],
    rtol: float,
    atol: float,
    rests: Callable[[float, FloatArray], bool] = lambda t, s: False,
) -> tuple[float, FloatArray, str]:
    """Step until `excess` of the state reaches 0, the trajectory rests or the time is over: when, where and which."""
    from scipy.integrate import LSODA

    solver = LSODA(field, 0.0, start.copy(), time, rtol=rtol, atol=atol)
    t_old, y_old = 0.0, start
    for step in range(MOST_STEPS):
        message = solver.step()
        t, y = float(solver.t), np.array(solver.y)
        if solver.status == "failed" or not all(map(math.isfinite, y.tolist())):
            raise SieSymError(f"the integration fails at t = {t:g}, state {y.tolist()}: {message}")
        if excess(y) >= 0:
            return *_crossing(field, t_old, y_old, t, excess, rtol, atol), RECOVERY
        finished = solver.status == "finished"
        if (step % LOOK_EVERY == 0 or finished) and rests(t, y):
            return t, y, FIXED_POINT
        if finished:
            return t, y, TIME
        t_old, y_old = t, y
    raise SieSymError(
        f"more than {MOST_STEPS} steps, at t = {t_old:g} of {time:g}: pass a shorter time or a larger rtol"
    )


def _crossing(
    field: Callable[..., Any],
    t_old: float,
    y_old: FloatArray,
    t_new: float,
    excess: Callable[[FloatArray], float],
    rtol: float,
    atol: float,
) -> tuple[float, FloatArray]:
    """When and where the excess crosses 0, within one accepted step."""
    from scipy.optimize import brentq

    def state(t: float) -> FloatArray:
        return y_old if t == t_old else sampled(field, y_old, np.array([t_old, t]), rtol, atol)[-1]

    # the short integration may differ from the step by rounding: then the step's end is the crossing
    t = t_new
    if excess(state(t_new)) > 0:
        t = float(brentq(lambda t: excess(state(t)), t_old, t_new, xtol=1e-13 * max(t_new, 1e-300), rtol=1e-13))
    return t, state(t)
