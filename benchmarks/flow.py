"""Flows against the usual ways of integrating them, at stated accuracies.

The problem: the spherical gradient flow of R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4 (linear
attention, L = 2, g = He_2 + He_2, encoding (1, 1/2)) from s = (1e-4, 0.3) to t = 1.2, through its escape.
The error is the largest deviation from DOP853 at rtol 1e-13 on 200 common times.  heyoka compiles Taylor
series of the field: once a problem, and the integrator is used again for other starts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from benchmarks.comparison import Growth, Row, Section, best, deviation
from sie_sym.flow import gradient_flow, gradient_flow_batch
from sie_sym.numeric import NumericLoss

Array = np.ndarray[Any, np.dtype[np.float64]]
m, eps = sp.symbols("m eps", real=True)
LOSS = NumericLoss(4 - 4 * m**2 + ((3 * eps / 2) ** 4 + 12 * (3 * eps / 2) ** 2 + 12) / 4, (m, eps))
START, HORIZON = np.array([1e-4, 0.3]), 1.2
TIMES = np.linspace(0, HORIZON, 200)
TIGHT = {"rtol": 1e-11, "atol": 1e-17}


@cache
def usual_field() -> Callable[[float, Array], Array]:
    """What a notebook does: expand, lambdify with numpy, wrap in an array."""
    slopes = [sp.diff(LOSS.expression, s) for s in (m, eps)]
    radial = m * slopes[0] + eps * slopes[1]
    field = sp.lambdify((m, eps), [sp.expand(s * radial - g) for s, g in zip((m, eps), slopes, strict=True)], "numpy")
    return lambda t, s: np.array(field(s[0], s[1]))


def usual(start: Array, method: Any, **tolerances: float) -> Array:
    return np.asarray(solve_ivp(usual_field(), (0, HORIZON), start, method, t_eval=TIMES, **tolerances).y.T)


def taylor() -> Callable[[Array], Array]:
    """The integrator of heyoka for this flow, compiled; raises `ImportError` without heyoka."""
    import heyoka

    x, y = heyoka.make_vars("m", "eps")
    u = 1.5 * y
    loss = 4 - 4 * x**2 + (u**4 + 12 * u**2 + 12) / 4
    slopes = [heyoka.diff(loss, s) for s in (x, y)]
    radial = x * slopes[0] + y * slopes[1]
    equations = [(s, s * radial - g) for s, g in zip((x, y), slopes, strict=True)]
    heyoka.llvm_state.clear_memcache()  # what it compiled before
    integrator = heyoka.taylor_adaptive(equations, START, tol=TIGHT["rtol"])

    def run(start: Array) -> Array:
        integrator.time = 0.0
        integrator.state[:] = start
        return np.asarray(integrator.propagate_grid(TIMES)[-1])

    return run


def with_taylor(tasks: dict[str, Callable[[], Any]], starts: Array | None = None) -> str:
    """Add heyoka's tasks; the note that says that they are missing, if they are."""
    try:
        run = taylor()
    except ImportError:
        return "not installed: pip install heyoka"
    if starts is None:
        tasks["heyoka, compilation included"] = lambda: taylor()(START)
        tasks["heyoka, compiled before"] = lambda: run(START)
    else:
        tasks["a loop over heyoka, compiled before"] = lambda: np.array([run(start) for start in starts])
    return ""


def single(quick: bool) -> list[Row]:
    reference = usual(START, "DOP853", rtol=1e-13, atol=1e-18)
    tasks: dict[str, Callable[[], Any]] = {
        "ours": lambda: gradient_flow(LOSS, START, HORIZON).states,
        "RK45, numpy lambdify, rtol 1e-11": lambda: usual(START, "RK45", **TIGHT),
        "DOP853, numpy lambdify, rtol 1e-11": lambda: usual(START, "DOP853", **TIGHT),
        "LSODA, numpy lambdify, rtol 1e-11": lambda: usual(START, "LSODA", **TIGHT),
        "RK45, numpy lambdify, default rtol": lambda: usual(START, "RK45"),
        "LSODA, numpy lambdify, default rtol": lambda: usual(START, "LSODA"),
    }
    missing = with_taylor(tasks)
    found = best(tasks, 1 if quick else 9, least=0.05)
    ours = found.pop("ours")
    error = deviation(ours.value, reference)
    rows = [
        Row("one flow", name, ours.seconds, theirs.seconds, error, deviation(theirs.value, reference),
            target=10 if name.startswith("RK45") and "1e-11" in name else None)
        for name, theirs in found.items()
    ]  # fmt: skip
    return rows + [Row("one flow", "heyoka", ours.seconds, our_error=error, note=missing)] * bool(missing)


def many(quick: bool) -> list[Row]:
    """A batch of starts; the slow loops are timed on some of them."""
    count, some = (100, 2) if quick else (1000, 20)
    starts = np.random.default_rng(0).normal(size=(count, 2)) * 0.03
    reference = np.array([usual(start, "DOP853", rtol=1e-13, atol=1e-18) for start in starts[:some]])
    tasks: dict[str, Callable[[], Any]] = {
        "ours": lambda: gradient_flow_batch(LOSS, starts, HORIZON).states,
        "a loop over gradient_flow": lambda: np.array(
            [gradient_flow(LOSS, start, HORIZON).states for start in starts[:some]]
        ),
        "a loop over RK45, numpy lambdify": lambda: np.array(
            [usual(start, "RK45", **TIGHT) for start in starts[:some]]
        ),
        "a loop over LSODA, numpy lambdify": lambda: np.array(
            [usual(start, "LSODA", **TIGHT) for start in starts[:some]]
        ),
    }
    with_taylor(tasks, starts[:some])
    found = best(tasks, 1 if quick else 5)
    ours = found.pop("ours")
    error = deviation(ours.value[:some], reference)
    return [
        Row(f"{count} starts", name, ours.seconds, theirs.seconds * count / some, error,
            deviation(theirs.value, reference), target=None if "heyoka" in name else 40)
        for name, theirs in found.items()
    ]  # fmt: skip


def growths(quick: bool) -> tuple[Growth, ...]:
    counts = (10, 100) if quick else (10, 100, 1000)
    starts = np.random.default_rng(0).normal(size=(counts[-1], 2)) * 0.03
    tasks: dict[str, Callable[[], Any]] = {
        str(n): lambda n=n: gradient_flow_batch(LOSS, starts[:n], HORIZON)  # type: ignore[misc]
        for n in counts
    }
    times = best(tasks, 1 if quick else 3)
    return (Growth("a batch of flows", "starts", counts, tuple(one.seconds for one in times.values())),)


def section(quick: bool) -> Section:
    return Section(
        "Flows",
        "The gradient flow of a loss of degree 4 in (m, eps) through its escape, 200 times, relative tolerance 1e-11; "
        "ours derives and compiles its field in every call and checks its result. Loops over the starts are timed on "
        "some and extrapolated. Errors: largest deviation from DOP853 at rtol 1e-13.",
        (*single(quick), *many(quick)),
        growths(quick),
    )
