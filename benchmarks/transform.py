r"""Weierstrass transform and exponent of polynomials, against SymPy's own polynomials and against bare flint.

The question asked of each: read a SymPy formula, G h = exp(Laplacian/2) h, and the smallest k >= 1 with a
non-zero part of degree k.  `Poly` does it in a fresh process with SYMPY_GROUND_TYPES=python (SymPy otherwise
computes with flint too).  `flint` starts from a dictionary of terms, so it pays for no reading of SymPy.

    python benchmarks/transform.py
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import flint
import sympy as sp

from sie_sym.functions import token
from sie_sym.weierstrass import weierstrass_transform

ROOT = Path(__file__).resolve().parent.parent
DEGREE = 8


def formulas() -> dict[str, tuple[sp.Expr, int]]:
    """Name -> (formula, tokens)."""
    found = {}
    for tokens in (4, 6):
        z = [token(l) for l in range(1, tokens + 1)]
        power = sp.Add(*z) ** DEGREE
        expanded = sp.expand(power)
        draw = random.Random(tokens)
        scattered = sp.Add(
            *(sp.Rational(draw.randint(1, 99), draw.randint(1, 99)) * sp.Mul(*m.args) for m in expanded.args)
        )
        found[f"(z1+..+z{tokens})^{DEGREE}"] = (power, tokens)
        found[f"(z1+..+z{tokens})^{DEGREE} expanded"] = (expanded, tokens)
        found[f"random coefficients, {tokens} tokens"] = (scattered, tokens)
    return found


def ours(formula: sp.Expr, tokens: int) -> int:
    transform = weierstrass_transform(formula)
    return next(k for k in range(1, DEGREE + 1) if transform.vanishes(k) is False)


def by_poly(formula: sp.Expr, tokens: int) -> int:
    z = [token(l) for l in range(1, tokens + 1)]
    total = sp.Poly(formula, *z)
    for x in z:
        term, n = total, 0
        while not term.is_zero:
            n += 1
            term = term.diff((x, 2)) * sp.Rational(1, 2 * n)
            total += term
    return min(sum(powers) for powers, _ in total.terms() if sum(powers) > 0)


def by_flint(terms: dict[tuple[int, ...], flint.fmpq], tokens: int) -> int:
    context = flint.fmpq_mpoly_ctx.get([f"x{i}" for i in range(tokens)], "degrevlex")
    value = context.from_dict(terms)
    for variable in range(tokens):
        term, n = value, 0
        while not term.is_zero():
            n += 1
            term = term.derivative(variable).derivative(variable) * flint.fmpq(1, 2 * n)
            value += term
    position = len(value) - 1  # degrevlex: the lowest degrees come last
    while sum(value.monomial(position)) == 0:
        position -= 1
    return int(sum(value.monomial(position)))


def flint_terms(formula: sp.Expr, tokens: int) -> dict[tuple[int, ...], flint.fmpq]:
    z = [token(l) for l in range(1, tokens + 1)]
    return {p: flint.fmpq(int(c.p), int(c.q)) for p, c in sp.Poly(formula, *z).terms()}


def seconds(action: Callable[[], int], least: float = 0.3) -> tuple[float, int]:
    """The best of several runs."""
    best, spent, answer = float("inf"), 0.0, 0
    while spent < least:
        start = time.perf_counter()
        answer = action()
        best = min(best, time.perf_counter() - start)
        spent += time.perf_counter() - start
    return best, answer


def main() -> None:
    if "--poly" in sys.argv:
        print(json.dumps({name: seconds(lambda: by_poly(*case)) for name, case in formulas().items()}))  # noqa: B023
        return
    environment = {**os.environ, "SYMPY_GROUND_TYPES": "python", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, __file__, "--poly"], env=environment, capture_output=True, text=True, check=True
    )
    poly = json.loads(run.stdout)
    print(f"{'':34}{'ours':>10}{'Poly':>11}{'flint':>10}{'Poly/ours':>11}{'ours/flint':>12}")
    for name, (formula, tokens) in formulas().items():
        terms = flint_terms(formula, tokens)
        (mine, answer), (best, reference) = (
            seconds(lambda: ours(formula, tokens)),  # noqa: B023
            seconds(lambda: by_flint(terms, tokens)),  # noqa: B023
        )
        theirs, third = poly[name]
        assert answer == reference == third, (name, answer, reference, third)
        print(
            f"{name:34}{mine * 1e3:8.2f}ms{theirs * 1e3:9.1f}ms{best * 1e3:8.2f}ms"
            f"{theirs / mine:11.0f}{mine / best:12.1f}"
        )


if __name__ == "__main__":
    main()
