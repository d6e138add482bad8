r"""Single Gaussian integrals E h(Z) He_alpha(Z), against SymPy's integration and its statistics, chaospy and thewalrus.

SymPy works in a process of its own that is killed after a limit.  chaospy is asked for moments of polynomials
(`chaospy.E`) and for coefficients of a smooth function by its Gauss quadrature; thewalrus for moments as hafnians of
matrices of ones, `hafnian_repeated`, term by term.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from benchmarks.comparison import Row, Section, apart, best, deviation
from benchmarks.transform import power_sum, unstructured
from sie_sym.functions import He, token
from sie_sym.hermite import MultiIndex
from sie_sym.quadratures.hermite_grid import smooth_coefficients
from sie_sym.quadratures.spectral import hermite_coefficients, softmax_matrix
from sie_sym.weierstrass import weierstrass_transform

Array = np.ndarray[Any, np.dtype[np.float64]]
z1, z2, z3 = (token(l) for l in (1, 2, 3))
ORDER = 8


def cases(quick: bool) -> dict[str, tuple[sp.Expr, MultiIndex, float]]:
    """Name -> (h, alpha, value): the values by hand."""
    hinge = {"C_(2) of max(z1, 0)": (sp.Max(z1, 0), ((1, 2),), 1 / math.sqrt(2 * math.pi))}
    if quick:
        return hinge
    return hinge | {
        "C_(2,2) of (z1+z2)^4": ((z1 + z2) ** 4, ((1, 2), (2, 2)), 24.0),
        # twice C_(2) of x^8, variance 2: 8!/(6! 2) 2^3 15 = 28 E[(sqrt2 x)^6] = 28 * 8 * 15, times 2 for d^2
        "C_(2,0) of (z1+z2)^8": (power_sum(2), ((1, 2),), 56 * 8 * 15.0),
        "C_(2,0,0,0) of (z1+..+z4)^8": (power_sum(4), ((1, 2),), 56 * 64 * 15.0),
        "C_(1,1,1) of sign(z1 z2 z3)": (
            sp.sign(z1 * z2 * z3), ((1, 1), (2, 1), (3, 1)), (2 / math.pi) ** 1.5,
        ),
        "C_0 of max(z1 z2, 0)": (sp.Max(z1 * z2, 0), (), 1 / math.pi),
    }  # fmt: skip


def ours(formula: sp.Expr, alpha: MultiIndex) -> sp.Expr:
    return weierstrass_transform(formula).coefficient(alpha)


def tested(formula: sp.Expr, alpha: MultiIndex) -> tuple[sp.Expr, list[sp.Symbol]]:
    """h He_alpha with polynomials for the He, and its tokens."""
    product = formula * sp.Mul(*(sp.expand(He(n, token(l)), func=True) for l, n in alpha))
    return product, sorted(product.free_symbols, key=str)


def by_integrate(formula: sp.Expr, alpha: MultiIndex) -> sp.Expr:
    value, tokens = tested(formula, alpha)
    value = sp.expand(value) if value.is_polynomial(*tokens) else value
    for z in tokens:
        value = sp.integrate(value * sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi), (z, -sp.oo, sp.oo))
    return value


def by_stats(formula: sp.Expr, alpha: MultiIndex) -> sp.Expr:
    from sympy.stats import E, Normal

    value, tokens = tested(formula, alpha)
    return E(value.subs({z: Normal(f"X{l}", 0, 1) for l, z in enumerate(tokens)}))


METHODS = {"ours": ours, "integrate": by_integrate, "stats.E": by_stats}


def sympy_rows(quick: bool) -> list[Row]:
    """Each answer from a fresh process, so that nobody has it in a cache."""
    rows = []
    limit = 20.0
    for name, (_, _, value) in cases(quick).items():
        mine, found = apart("moments", ["ours", name], limit)
        error = deviation(found, value) / value
        for method in ("integrate", "stats.E"):
            answer = apart("moments", [method, name], limit)
            if answer is None:
                rows.append(Row(name, f"SymPy {method}", mine, limit, error, killed=True))
                continue
            theirs, found = answer
            note = "left unevaluated" if found is None else ""
            apart_by = None if found is None else deviation(found, value) / value
            rows.append(Row(name, f"SymPy {method}", mine, theirs, error, apart_by, note=note))
    return rows


def chaospy_mean(powers: list[tuple[int, ...]], weights: list[float]) -> Callable[[], float]:
    """E of a polynomial of independent standard normals; raises `ImportError` without chaospy."""
    import chaospy
    import numpoly

    polynomial = numpoly.polynomial(dict(zip(powers, weights, strict=True)))
    law = chaospy.Iid(chaospy.Normal(0, 1), len(powers[0]))
    return lambda: float(chaospy.E(polynomial, law))


def hafnian_mean(powers: list[tuple[int, ...]], weights: list[float]) -> Callable[[], float]:
    """The same by one hafnian a term; raises `ImportError` without thewalrus."""
    from thewalrus import hafnian_repeated

    covariance = np.eye(len(powers[0]))
    return lambda: sum(
        c * float(np.real(hafnian_repeated(covariance, list(p)))) for p, c in zip(powers, weights, strict=True)
    )


def polynomial_rows(quick: bool) -> list[Row]:
    """E h(Z): ours comes with every other coefficient of h."""
    tokens, degree = (2, 4) if quick else (4, 8)
    formula = unstructured(tokens, degree)
    terms = sp.Poly(formula, *map(token, range(1, tokens + 1))).terms()
    exact = sum(c * math.prod(0 if n % 2 else int(sp.factorial2(n - 1)) for n in p) for p, c in terms)
    powers, weights = [p for p, _ in terms], [float(c) for _, c in terms]
    task = f"E h, unstructured, {tokens} tokens, degree {degree}"

    def relative(value: object) -> float:
        return deviation(value, exact) / float(exact)

    rows = []
    for peer, package, make in (
        ("chaospy.E", "chaospy", chaospy_mean),
        ("thewalrus.hafnian_repeated", "thewalrus", hafnian_mean),
    ):
        tasks: dict[str, Callable[[], Any]] = {"ours": lambda: ours(formula, ())}
        try:
            tasks[peer] = make(powers, weights)
        except ImportError:
            mine = best(tasks, repeat=1)["ours"]
            note = f"not installed: pip install {package}"
            rows.append(Row(task, peer, mine.seconds, our_error=relative(mine.value), note=note))
            continue
        begin = time.perf_counter()
        tasks[peer]()  # thewalrus compiles
        first = time.perf_counter() - begin
        found = best(tasks, repeat=1 if quick else 3)
        theirs = found[peer]
        note = f"first call {first:.0f} s" if first > 10 * theirs.seconds and first > 1 else ""
        errors = relative(found["ours"].value), relative(theirs.value)
        rows.append(Row(task, peer, found["ours"].seconds, theirs.seconds, *errors, note=note))
    return rows


def attention(z: Array) -> Array:
    """The entry S_11 of softmax attention, (2, N) -> (1, N)."""
    return softmax_matrix(z)[0, :1]


def chaospy_coefficients(order: int, nodes: int) -> Callable[[], Array]:
    """C_alpha/alpha!^(1/2) of S_11, |alpha| <= order, in chaospy's order of alpha: Gauss quadrature, as documented."""
    import chaospy

    law = chaospy.Iid(chaospy.Normal(0, 1), 2)
    basis, _ = chaospy.generate_expansion(order, law, retall=True, normed=True)
    points, weights = chaospy.generate_quadrature(nodes - 1, law, rule="gaussian")

    def run() -> Array:
        _, found = chaospy.fit_quadrature(basis, points, weights, attention(points)[0], retall=True)
        return np.asarray(found, dtype=float)

    return run


def smooth_rows(quick: bool) -> list[Row]:
    """All coefficients of the softmax entry S_11 to order 8, orthonormal."""

    def orthonormal(expansion: Any) -> Array:
        return np.asarray(expansion.coefficients[0])

    converged = orthonormal(hermite_coefficients(attention, 2, ORDER, nodes=400))
    # chaospy sorts by degree, then by the last variable: compare the sorted values of each
    low = np.add.outer(np.arange(ORDER + 1), np.arange(ORDER + 1)) <= ORDER
    expected = np.sort(converged[low])
    task, peer = f"45 coefficients of softmax S_11, order {ORDER}", "chaospy, Gauss rule of 40^2 nodes"
    tasks: dict[str, Callable[[], Any]] = {"ours": lambda: orthonormal(smooth_coefficients(attention, 2, ORDER))}
    note = ""
    try:
        tasks[peer] = chaospy_coefficients(ORDER, 40)
    except ImportError:
        note = "not installed: pip install chaospy"
    found = best(tasks, repeat=1 if quick else 5)
    mine = found["ours"]
    error = deviation(np.sort(mine.value[low]), expected)
    if note:
        return [Row(task, peer, mine.seconds, our_error=error, note=note)]
    return [Row(task, peer, mine.seconds, found[peer].seconds, error, deviation(np.sort(found[peer].value), expected))]


def section(quick: bool) -> Section:
    return Section(
        "Single Gaussian integrals",
        "E h(Z) He_alpha(Z), Z standard normal, against the value by hand (relative errors); ours reads the formula, "
        "transforms it and takes one coefficient, all others being there then. In the rows of SymPy every answer, ours "
        "too, is the first of a fresh process, whose start is not counted.",
        (*sympy_rows(quick), *polynomial_rows(quick), *smooth_rows(quick)),
    )


def main() -> None:
    method, name = sys.argv[1:]
    formula, alpha, _ = cases(False)[name]
    begin = time.perf_counter()
    value = METHODS[method](formula, alpha)
    seconds = time.perf_counter() - begin
    number = None if value.has(sp.Integral) or value.free_symbols else float(sp.N(value))
    print(json.dumps([seconds, number]))


if __name__ == "__main__":
    main()
