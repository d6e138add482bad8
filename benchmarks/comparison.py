"""What the benchmarks share: rows of ratios, times taken in alternation, peers that are killed after a limit."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One task: our seconds, the peer's, and the largest deviation of both from a converged value, if compared.

    `theirs` is None where the peer does not answer, and `killed` says that it is a limit at which it was killed;
    `target` is how many times faster than the peer we mean to be (below 1: that much slower is good enough).
    """

    task: str
    peer: str
    ours: float
    theirs: float | None = None
    our_error: float | None = None
    their_error: float | None = None
    target: float | None = None
    killed: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster than the peer we are; a lower bound for a peer that was killed."""
        return None if self.theirs is None else self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target, or where the peer has no time."""
        return None if self.target is None or self.ratio is None else self.ratio >= self.target


@dataclass(frozen=True)
class Growth:
    """Our seconds as one size grows, everything else being fixed."""

    task: str
    size: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def slope(self) -> float:
        """The exponent p of the least-squares fit seconds ~ size^p."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])


@dataclass(frozen=True)
class Section:
    """A table of the page: its title, what its rows say, the rows, and lines below it."""

    title: str
    text: str
    rows: tuple[Row, ...] = ()
    growths: tuple[Growth, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timed:
    """The best time of an action, in seconds, and what it returned last."""

    seconds: float
    value: Any = field(repr=False)


def best(
    tasks: Mapping[str, Callable[[], Any]], repeat: int = 5, least: float = 0.02, most: int = 1000
) -> dict[str, Timed]:
    """The best single time of each task.

    The tasks take turns `repeat` times, so that a noisy machine disturbs all of them; in its turn a task runs until
    `least` seconds or `most` runs are over, once at least.
    """
    found: dict[str, Timed] = {}
    for _ in range(repeat):
        for name, task in tasks.items():
            shortest, spent, value, runs = math.inf, 0.0, None, 0
            while runs == 0 or (spent < least and runs < most):
                begin = time.perf_counter()
                value = task()
                elapsed = time.perf_counter() - begin
                shortest, spent, runs = min(shortest, elapsed), spent + elapsed, runs + 1
            before = found[name].seconds if name in found else math.inf
            found[name] = Timed(min(before, shortest), value)
    return found


def apart(module: str, arguments: Sequence[str], limit: float, **environment: str) -> Any:
    """What `python -m benchmarks.MODULE ARGUMENTS` prints as JSON; None if it was killed after `limit` seconds."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    try:
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=limit,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {run.stderr.strip().splitlines()[-1:]}")
    return json.loads(run.stdout)


def deviation(found: Any, converged: Any) -> float:
    """The largest absolute difference of two numbers or arrays."""
    return float(np.abs(np.asarray(found, dtype=float) - np.asarray(converged, dtype=float)).max())
