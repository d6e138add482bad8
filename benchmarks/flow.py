"""Flows against the usual ways of integrating them, in one run, as ratios at stated accuracies.

The problem: the spherical gradient flow of R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4 (linear
attention, L = 2, g = He_2 + He_2, encoding (1, 1/2)) from s = (1e-4, 0.3) to t = 1.2, through its escape.
"Error" is the largest deviation from DOP853 at rtol 1e-13 on 200 common times.

    python benchmarks/flow.py [--starts 1000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from sie_sym.flow import gradient_flow, gradient_flow_batch
from sie_sym.numeric import NumericLoss

m, eps = sp.symbols("m eps", real=True)
u = 3 * eps / 2
LOSS = NumericLoss(4 - 4 * m**2 + (u**4 + 12 * u**2 + 12) / 4, (m, eps))
START, HORIZON = np.array([1e-4, 0.3]), 1.2
TIMES = np.linspace(0, HORIZON, 200)


def usual_field() -> Callable[[float, np.ndarray], np.ndarray]:
    """What a notebook does: expand, lambdify with numpy, wrap in an array."""
    slopes = [sp.diff(LOSS.expression, s) for s in (m, eps)]
    radial = m * slopes[0] + eps * slopes[1]
    field = sp.lambdify((m, eps), [sp.expand(s * radial - g) for s, g in zip((m, eps), slopes, strict=True)], "numpy")
    return lambda t, s: np.array(field(s[0], s[1]))


def best(run: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    field = usual_field()

    def usual(start: np.ndarray, method: str, **tolerances: float) -> np.ndarray:
        return solve_ivp(field, (0, HORIZON), start, method, t_eval=TIMES, **tolerances).y.T

    reference = usual(START, "DOP853", rtol=1e-13, atol=1e-18)
    gradient_flow(LOSS, START, HORIZON)
    ours, flow = best(lambda: gradient_flow(LOSS, START, HORIZON), options.repeat)
    peers = {
        "RK45, numpy lambdify, rtol 1e-11": lambda: usual(START, "RK45", rtol=1e-11, atol=1e-17),
        "DOP853, numpy lambdify, rtol 1e-11": lambda: usual(START, "DOP853", rtol=1e-11, atol=1e-17),
        "LSODA, numpy lambdify, rtol 1e-11": lambda: usual(START, "LSODA", rtol=1e-11, atol=1e-17),
        "RK45, default tolerances": lambda: usual(START, "RK45"),
        "LSODA, default tolerances": lambda: usual(START, "LSODA"),
    }
    error = abs(flow.states - reference).max()
    print(f"{'one flow':38s} {'ms':>9s} {'ratio':>7s} {'error':>9s}")
    print(f"{'gradient_flow (compiled each time)':38s} {1e3 * ours:9.2f} {1.0:7.1f} {error:9.1e}")
    for name, run in peers.items():
        seconds, states = best(run, options.repeat)
        error = abs(states - reference).max()
        print(f"{name:38s} {1e3 * seconds:9.2f} {seconds / ours:7.1f} {error:9.1e}")

    starts = np.random.default_rng(0).normal(size=(options.starts, 2)) * 0.03
    batch_seconds, batch = best(lambda: gradient_flow_batch(LOSS, starts, HORIZON), 3)
    some = min(20, options.starts)
    scale = options.starts / some
    loop, states = best(lambda: [gradient_flow(LOSS, s, HORIZON).states for s in starts[:some]], 2)
    print(f"\n{options.starts} starts (loops extrapolated from {some})")
    print(f"{'gradient_flow_batch':38s} {batch_seconds:9.3f} s")
    print(f"{'a loop over gradient_flow':38s} {loop * scale:9.3f} s {loop * scale / batch_seconds:7.1f} x")
    for method in ("LSODA", "RK45"):
        slow, _ = best(lambda m=method: [usual(s, m, rtol=1e-11, atol=1e-17) for s in starts[:some]], 1)
        name = f"a loop over {method}, numpy lambdify"
        print(f"{name:38s} {slow * scale:9.3f} s {slow * scale / batch_seconds:7.1f} x")
    apart = abs(np.array(states) - batch.states[:some]).max()
    print(f"{'largest difference':38s} {apart:9.1e}")


if __name__ == "__main__":
    main()
