"""Reduced SGD against the d-dimensional one, in one run, as ratios.  `python benchmarks/sgd.py`.

Three peers at d = 1000, one replica at a time: `torch autograd` is the loop as one writes it first (X = randn(L, d),
loss.backward(), w -= lr grad, renormalise; float32, the default), `numpy by hand` one written for this one model with
its gradient (the fastest honest one), `plain_sgd` the package's d-dimensional SGD for any model.  All times are
wall-clock; every figure is the best of several repetitions, the peers and ourselves taken in turn so that a noisy
machine disturbs both.  The replicas are shared evenly by `--workers` threads.  torch is optional:
`pip install torch==2.13.0`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import sympy as sp

from sie_sym.fields import Fields, fields_of
from sie_sym.functions import He, token
from sie_sym.model import linear_attention
from sie_sym.replicas import Engine
from sie_sym.sgd import SGDSettings, plain_sgd, run_sgd
from sie_sym.target import Target

RATE, PLAIN_STEPS = 0.05, 500


def example() -> Fields:
    """g = He_2(z1) + He_2(z2), linear attention, C = (1, 1/2)."""
    target = Target.of(He(2, token(1)) + He(2, token(2)))
    return fields_of(target, linear_attention(2).with_encoding([[1, sp.Rational(1, 2)]]))


def plain(dimension: int, steps: int) -> None:
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.standard_normal((dimension, 3)))[0].T * np.sqrt(dimension)
    w_star, u, w = frame
    encoding, scale = np.outer([1, 0.5], u) / dimension, 1 / np.sqrt(dimension)
    for _ in range(steps):
        sample = rng.standard_normal((2, dimension)) * scale
        z_star = sample @ w_star
        sample += encoding
        total = (sample @ w).sum()
        delta = -2 * ((z_star * z_star - 1).sum() - total * total / 2) * total
        w = w - RATE * delta * sample.sum(axis=0)
        w *= np.sqrt(dimension / (w @ w))


def torch_loop() -> Callable[[int, int], None]:
    """The same SGD by automatic differentiation; raises `ImportError` without torch."""
    import torch

    def run(dimension: int, steps: int) -> None:
        torch.manual_seed(0)
        frame = torch.linalg.qr(torch.randn(dimension, 3))[0].T * dimension**0.5
        w_star, u, w = frame[0], frame[1], frame[2].clone().requires_grad_()
        encoding = torch.outer(torch.tensor([1.0, 0.5]), u) / dimension
        for _ in range(steps):
            sample = torch.randn(2, dimension) / dimension**0.5
            goal = ((sample @ w_star) ** 2 - 1).sum()
            loss = (goal - ((sample + encoding) @ w).sum() ** 2 / 2) ** 2
            loss.backward()
            with torch.no_grad():
                w -= RATE * w.grad
                w *= dimension**0.5 / w.norm()
            w.grad = None

    return run


def reduced(fields: Fields, dimension: float, steps: int, runs: int, engine: Engine, workers: int) -> None:
    settings = SGDSettings(dimension, RATE, steps, runs, seed=1, record=2, block=-(-runs // workers))  # type: ignore[arg-type]
    run_sgd(fields, settings, engine, workers)


def best(tasks: dict[str, tuple[Callable[[], object], int]], repetitions: int) -> dict[str, float]:
    """Seconds a replica-step of each task (its function, its number of replica-steps)."""
    times = dict.fromkeys(tasks, np.inf)
    for _ in range(repetitions):
        for name, (task, size) in tasks.items():
            begin = time.perf_counter()
            task()
            times[name] = min(times[name], (time.perf_counter() - begin) / size)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--runs", type=int, default=8192)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=7)
    given = parser.parse_args()
    fields, size = example(), given.steps * given.runs
    settings = SGDSettings(1000, RATE, PLAIN_STEPS, 1, seed=1, record=2)
    tasks: dict[str, tuple[Callable[[], object], int]] = {
        "numpy by hand": (lambda: plain(1000, PLAIN_STEPS), PLAIN_STEPS),
        "plain_sgd": (lambda: plain_sgd(fields, settings), PLAIN_STEPS),
    }
    try:
        by_torch = torch_loop()
    except ImportError:
        print("torch is not installed: its loop is left out (pip install torch==2.13.0)", file=sys.stderr)
    else:
        tasks["torch autograd"] = (lambda: by_torch(1000, PLAIN_STEPS), PLAIN_STEPS)
    peers = list(tasks)
    engines: list[Engine] = ["numpy"]
    try:
        import numba  # noqa: F401
    except ImportError:
        print("numba is not installed: its engine is left out (pip install 'sie-sym[fast]')", file=sys.stderr)
    else:
        engines.append("numba")
        reduced(fields, 1000, 1, 1, "numba", 1)  # compile
    for engine in engines:
        for dimension in (10**3, 10**9):
            tasks[f"{engine}, d = {dimension:.0e}"] = (
                lambda engine=engine, dimension=dimension: reduced(  # type: ignore[misc]
                    fields, dimension, given.steps, given.runs, engine, given.workers
                ),
                size,
            )
    times = best(tasks, given.repetitions)
    report: dict[str, float] = {f"{name}: us a replica-step": 1e6 * value for name, value in times.items()}
    for engine in engines:
        ours = times[f"{engine}, d = 1e+03"]
        report |= {f"{engine}: times faster than {peer}": times[peer] / ours for peer in peers}
        report[f"{engine}: cost at d = 1e9 over d = 1e3"] = times[f"{engine}, d = 1e+09"] / ours
    print(json.dumps({name: round(value, 4) for name, value in report.items()}, indent=1))


if __name__ == "__main__":
    main()
