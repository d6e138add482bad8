"""`sie-sym sie` from the shell, start-up included, beside the time that Python needs to import SymPy."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.comparison import ROOT, Growth, Row, Section, best
from sie_sym.exponents import information_exponent
from sie_sym.parse import parse_formula
from sie_sym.target import Target

SECONDS = 1.0
"""No answer may take longer."""
FORMULAS = {
    "sum(l,1,1000,He(4,z[l]))": 4,
    "He(1,z1)*He(4,z2)+He(2,z3)*He(2,z4)": 4,
    "4/3+He(4,z1)+2*He(4,z2)": 4,
    "z1*prod(l,2,30,1+z[l])": 1,
    "abs(z1)-sqrt(2/pi)*(z1^2-1)/2": 4,
    "sign(z1*z2*z3)": 3,
    "relu(z1+z2)-(z1+z2)/2": 2,
    "z1*z2": 2,
}
"""Formula -> its exponent by hand."""


def run(arguments: list[str]) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def answer(formula: str) -> int:
    """The exponent that the command prints."""
    return int(json.loads(run(["-m", "sie_sym", "sie", "-g", formula, "--json"]))["sie"])


def processor_seconds(action: Callable[[], Any]) -> tuple[float, float, Any]:
    """Processor time of the processes that an action starts and waits for, its wall-clock time, its value."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    value = action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - begin, value


def section(quick: bool) -> Section:
    formulas = dict(list(FORMULAS.items())[:2]) if quick else FORMULAS
    tasks: dict[str, Callable[[], Any]] = {"import": lambda: run(["-c", "import sympy"])}
    tasks |= {formula: lambda formula=formula: answer(formula) for formula in formulas}  # type: ignore[misc]
    runs = {name: [processor_seconds(task)] for name, task in tasks.items()}
    for _ in range(0 if quick else 3):
        for name, task in tasks.items():
            runs[name].append(processor_seconds(task))
    for formula, exponent in formulas.items():
        if any(found != exponent for _, _, found in runs[formula]):
            raise AssertionError(f"{formula}: {runs[formula]}, by hand {exponent}")
    busy, wall = ({name: min(one[i] for one in found) for name, found in runs.items()} for i in (0, 1))
    return Section(
        "Commands from the shell",
        "`sie-sym sie -g FORMULA`, Python's start included: at most one second. Judged by processor time, on one "
        "thread, which a busy machine hardly changes; the wall-clock time stands beside it. A fresh Python that does "
        f"nothing but import SymPy takes {busy['import']:.2f} s (wall {wall['import']:.2f} s) here.",
        tuple(
            Row(f"`{formula}`", f"at most 1 s; our wall {wall[formula]:.2f} s", busy[formula], SECONDS, target=1.0)
            for formula in formulas
        ),
        growths(quick),
    )


def growths(quick: bool) -> tuple[Growth, ...]:
    """Structured targets in many tokens, from the formula to the exponent, in one process."""

    def seconds(pattern: str, sizes: tuple[int, ...]) -> tuple[float, ...]:
        tasks: dict[str, Callable[[], Any]] = {
            str(n): lambda n=n: information_exponent(Target.of(parse_formula(pattern % n)))  # type: ignore[misc]
            for n in sizes
        }
        return tuple(one.seconds for one in best(tasks, 1 if quick else 5).values())

    sums = (10, 1000) if quick else (10, 100, 1000, 10_000)
    products = (10, 30) if quick else (10, 30, 100, 300)
    return (
        Growth("exponent of sum(l,1,L,He(4,z[l]))", "tokens L", sums, seconds("sum(l,1,%d,He(4,z[l]))", sums)),
        Growth("exponent of z1*prod(l,2,L,1+z[l])", "tokens L", products, seconds("z1*prod(l,2,%d,1+z[l])", products)),
    )
