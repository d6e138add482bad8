r"""Weierstrass transform and exponent of polynomials, against SymPy's own polynomials and against bare flint.

The question asked of each: read a SymPy formula, G h = exp(Laplacian/2) h, and the smallest k >= 1 with a
non-zero part of degree k.  `Poly` does it in a fresh process with SYMPY_GROUND_TYPES=python (SymPy otherwise
computes with flint too).  `flint` starts from a dictionary of terms, so it pays for no reading of SymPy.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable

import flint
import sympy as sp

from benchmarks.comparison import Growth, Row, Section, apart, best
from sie_sym.functions import token
from sie_sym.weierstrass import weierstrass_transform

DEGREE = 8
SLOWER = 1 / 3
"""What is exact may take three times as long as bare flint, which reads no formula."""


def power_sum(tokens: int, degree: int = DEGREE) -> sp.Expr:
    """(z_1 + ... + z_L)^degree."""
    return sp.Add(*map(token, range(1, tokens + 1))) ** degree


def unstructured(tokens: int, degree: int = DEGREE) -> sp.Expr:
    """Every monomial of the degree, with rational coefficients drawn at random."""
    draw = random.Random(tokens)
    return sp.Add(
        *(
            sp.Rational(draw.randint(1, 99), draw.randint(1, 99)) * monomial
            for monomial in sp.expand(power_sum(tokens, degree)).args
        )
    )


def formulas(quick: bool) -> dict[str, tuple[sp.Expr, int]]:
    """Name -> (formula, tokens)."""
    found = {}
    for tokens in (3,) if quick else (4, 6):
        power = power_sum(tokens)
        found[f"(z1+..+z{tokens})^{DEGREE}"] = (power, tokens)
        found[f"(z1+..+z{tokens})^{DEGREE} expanded"] = (sp.expand(power), tokens)
        found[f"unstructured, {tokens} tokens, degree {DEGREE}"] = (unstructured(tokens), tokens)
    return found


def ours(formula: sp.Expr) -> int:
    transform = weierstrass_transform(formula)
    return next(k for k in range(1, 100) if transform.vanishes(k) is False)


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


def section(quick: bool) -> Section:
    cases = formulas(quick)
    limit = 60.0
    poly = apart("transform", ["quick"] * quick, limit, SYMPY_GROUND_TYPES="python")
    rows = []
    for name, (formula, tokens) in cases.items():
        terms = flint_terms(formula, tokens)
        found = best(
            {"ours": lambda: ours(formula), "flint": lambda: by_flint(terms, tokens)},  # noqa: B023
            repeat=1 if quick else 9,
        )
        mine, bare = found["ours"], found["flint"]
        theirs, answer = (limit, mine.value) if poly is None else poly[name]
        if not mine.value == bare.value == answer:
            raise AssertionError(f"{name}: {mine.value}, flint {bare.value}, Poly {answer}")
        target = SLOWER if name.startswith("unstructured") else None
        rows.append(Row(name, "flint, from its terms", mine.seconds, bare.seconds, target=target))
        rows.append(Row(name, "SymPy Poly, Python rationals", mine.seconds, theirs, killed=poly is None))
    return Section(
        "Exponents of polynomials, exactly",
        "Read a SymPy formula h, transform it, G h = exp(Laplacian/2) h, and find the smallest order with a non-zero "
        "tensor. flint starts from a dictionary of terms and so reads no formula; it is the limit of what can be done. "
        "All answers are exact and agree.",
        tuple(rows),
        growths(quick),
    )


def growths(quick: bool) -> tuple[Growth, ...]:
    """Seconds as the number of tokens and the degree grow."""

    def seconds(cases: dict[int, sp.Expr]) -> tuple[float, ...]:
        tasks: dict[str, Callable[[], int]] = {str(n): lambda f=f: ours(f) for n, f in cases.items()}  # type: ignore[misc]
        return tuple(found.seconds for found in best(tasks, repeat=1 if quick else 5).values())

    in_tokens = {n: unstructured(n, 6) for n in ((2, 3) if quick else (2, 3, 4, 5, 6, 7, 8))}
    in_degree = {n: unstructured(4, n) for n in ((4, 6) if quick else (4, 6, 8, 10, 12, 16))}
    powers = {n: power_sum(6, n) for n in ((4, 8) if quick else (4, 8, 16, 32))}
    many = seconds(in_tokens)
    return (
        Growth("exponent, unstructured, degree 6", "tokens L", tuple(in_tokens), many),
        Growth("exponent, unstructured, degree 6", "terms", tuple(len(f.args) for f in in_tokens.values()), many),
        Growth("exponent, unstructured, 4 tokens", "degree", tuple(in_degree), seconds(in_degree)),
        Growth("exponent of (z1+..+z6)^n", "degree n", tuple(powers), seconds(powers)),
    )


if __name__ == "__main__":
    print(
        json.dumps(
            {
                name: (found.seconds, found.value)
                for name, (formula, tokens) in formulas("quick" in sys.argv).items()
                for found in best({name: lambda f=formula, n=tokens: by_poly(f, n)}, repeat=2).values()
            }
        )
    )
