"""Reduced SGD against the d-dimensional one.

Three peers at d = 1000, one replica at a time: `torch autograd` is the loop as one writes it first (X = randn(L, d),
loss.backward(), w -= lr grad, renormalise; float32, the default), `numpy by hand` one written for this one model with
its gradient (the fastest honest one), `plain_sgd` the package's d-dimensional SGD for any model.  The replicas are
shared evenly by the threads.  torch is optional: `pip install torch==2.13.0`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from benchmarks.comparison import Growth, Row, Section, best
from sie_sym.functions import He, token
from sie_sym.model import linear_attention
from sie_sym.sgd import SGDSettings, plain_sgd, run_sgd
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine
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


WORKERS, STEPS, RUNS = 2, 200, 8192


def section(quick: bool) -> Section:
    fields, workers = example(), WORKERS
    steps, runs, plain_steps, repeat = (20, 512, 20, 1) if quick else (STEPS, RUNS, PLAIN_STEPS, 9)
    settings = SGDSettings(1000, RATE, plain_steps, 1, seed=1, record=2)
    tasks: dict[str, Callable[[], Any]] = {
        "a loop in numpy, by hand": lambda: plain(1000, plain_steps),
        "plain_sgd, any model": lambda: plain_sgd(fields, settings),
    }
    remarks = []
    try:
        by_torch = torch_loop()
    except ImportError:
        remarks.append("torch is not installed: its loop is left out (pip install torch==2.13.0).")
    else:
        tasks["a loop in torch, autograd"] = lambda: by_torch(1000, plain_steps)
    peers = list(tasks)
    engines: list[Engine] = ["numpy"]
    try:
        import numba  # noqa: F401
    except ImportError:
        remarks.append("numba is not installed: its engine is left out (pip install 'sie-sym[fast]').")
    else:
        engines.append("numba")
        reduced(fields, 1000, 1, 1, "numba", 1)  # compile
    for engine in engines:
        tasks[engine] = lambda engine=engine: reduced(fields, 1000, steps, runs, engine, workers)  # type: ignore[misc]
    found = best(tasks, repeat)
    targets = {"numpy": 1000, "numba": 4000}
    rows = []
    for engine in engines:
        ours = found[engine].seconds / (steps * runs)
        rows += [
            Row(f"a step of a replica, {engine} engine", peer, ours, found[peer].seconds / plain_steps,
                target=targets[engine] if peer.startswith("a loop") else None)
            for peer in peers
        ]  # fmt: skip
    return Section(
        "SGD",
        f"One step of one replica, g = He_2(z1) + He_2(z2), linear attention, C = (1, 1/2), d = 1000: the chain of the "
        f"overlaps, exact in law, {runs} replicas on {workers} threads, against loops over w in R^d.",
        tuple(rows),
        growths(quick, fields, engines[-1]),
        tuple(remarks),
    )


def growths(quick: bool, fields: Fields, engine: Engine) -> tuple[Growth, ...]:
    """Seconds as the replicas and the dimension grow, by the fastest engine there is."""
    counts = (256, 1024) if quick else (512, 2048, 8192, 32768)
    dimensions = (10**3, 10**9) if quick else (10**3, 10**6, 10**9, 10**12)
    steps = 10 if quick else 100
    in_counts: dict[str, Callable[[], Any]] = {
        str(n): lambda n=n: reduced(fields, 1000, steps, n, engine, WORKERS)  # type: ignore[misc]
        for n in counts
    }
    in_dimension: dict[str, Callable[[], Any]] = {
        str(d): lambda d=d: reduced(fields, d, steps, 1024, engine, WORKERS)  # type: ignore[misc]
        for d in dimensions
    }
    repeat = 1 if quick else 5
    return tuple(
        Growth(task, size, sizes, tuple(one.seconds for one in best(tasks, repeat).values()))
        for task, size, sizes, tasks in (
            (f"{steps} steps of SGD, {engine} engine", "replicas", counts, in_counts),
            (f"{steps} steps of 1024 replicas, {engine} engine", "dimension d", dimensions, in_dimension),
        )
    )
