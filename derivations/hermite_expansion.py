r"""Thm 3 and Parseval: the Hermite tensors are the derivatives at 0 of the Weierstrass transform.

Claims (arXiv:2506.02651, Thm 3; the paper's C_k = E[f H_k]/k! is C_k/k! here): for C_alpha(h) = E[h(Z) He_alpha(Z)]
and (G h)(t) = E h(t + Z), Z ~ N(0, I),

    C_alpha(h) = d^alpha (G h)(0)   and   E h h' = sum_alpha C_alpha(h) C_alpha(h') / alpha!.
"""

from __future__ import annotations

import itertools

import numpy as np
import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.hermite import sparse
from sie_sym.numeric import numeric_function
from sie_sym.parseval import second_moment
from sie_sym.quadratures.measure import measure
from sie_sym.quadratures.spectral import hermite_coefficients
from sie_sym.weierstrass import weierstrass_transform

PAGE = Page("hermite_expansion", "Thm 3", "Hermite coefficients are derivatives of the Weierstrass transform")
EXPECTED = ("proved", "proved", "confirmed numerically")


def derive() -> list[Claim]:
    """The three claims."""
    return [_derivatives(), _parseval(), _functions_without_polynomials()]


def _derivatives() -> Claim:
    x, t, k = sp.symbols("x t k", real=True)
    generating = sp.exp(t * x - t**2 / 2)
    density = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
    # F_t = (x - t) F; on sum_k He_k t^k/k! the right side reads He_{k+1} = x He_k - k He_{k-1}, k! = k (k-1)!.
    recurrence = sp.diff(generating, t) - (x - t) * generating
    weight = sp.combsimp(sp.gamma(k + 1) / sp.gamma(k)) - k
    # E h(Z) F(Z, t) = E h(Z + t): the density times the generating function is the density moved by t.
    moved = sp.expand(sp.log(density * generating / density.subs(x, x - t)), force=True)
    exponents = sp.expand(sp.expand_log(moved, force=True))
    # The exponentials, which span: C_alpha = a^alpha exp(|a|^2/2) from E exp(<a,Z>) F(Z, t), and from the transform.
    a, b, s = sp.symbols("a b s", real=True)
    found = weierstrass_transform(sp.exp(a * token(1) + b * token(2))).expression({1: t, 2: s})
    expected = sp.exp((a**2 + b**2) / 2 + a * t + b * s)
    return PAGE.claim(
        "C_alpha(h) = d^alpha (G h)(0) at every order alpha",
        all_zero([recurrence, weight, exponents, found - expected]),
        "Cameron-Martin with the generating function exp(tx - t^2/2), whose equation F_t = (x - t) F is the recurrence "
        "of He_k for symbolic k; the package's transform of exp(a z1 + b z2), symbolic a and b",
        formulas={"G exp(a z1 + b z2)": found},
    )


def _parseval() -> Claim:
    a, b = sp.symbols("a b", real=True)
    k = sp.Symbol("k", integer=True, nonnegative=True)
    series = sp.exp((a**2 + b**2) / 2) * sp.summation((a * b) ** k / sp.factorial(k), (k, 0, sp.oo))
    differences = [series - sp.exp((a + b) ** 2 / 2)]
    # Two functions of two tokens with symbolic coefficients, and the moments of their product from the definition.
    z = token(1), token(2)
    powers = [p for p in itertools.product(range(4), repeat=2) if sum(p) <= 3]
    left = sp.Add(*(sp.Symbol(f"p{i}{j}", real=True) * z[0] ** i * z[1] ** j for i, j in powers))
    direct = gaussian_mean(sp.expand(left**2), z)
    differences.append(sp.expand(second_moment(weierstrass_transform(left)) - direct))
    expansion = HermiteExpansion.of((left,), 2)
    terms = [expansion.coefficient(sparse(p))[0].value ** 2 / sp.prod(map(sp.factorial, p)) for p in powers]
    differences.append(sp.expand(sp.Add(*terms) - direct))
    return PAGE.claim(
        "E h h' = sum_alpha C_alpha(h) C_alpha(h') / alpha!",
        all_zero(differences),
        "all orders at once on exponentials, sum_k (ab)^k/k! = e^(ab) with symbolic k; every polynomial of degree 3 in "
        "two tokens, its coefficients symbolic, against the moments (k-1)!!",
        formulas={"E exp(az) exp(bz)": series},
    )


def _functions_without_polynomials() -> Claim:
    z1, z2 = token(1), token(2)
    worst = 0.0
    for h in (sp.erf(z1 + z2) * z2, sp.cos(z1 - 2 * z2) + z1 * sp.exp(z2 / 2), sp.tanh(z1) * z2**2):
        expansion = HermiteExpansion.of((h,), 2)
        grid = hermite_coefficients(numeric_function((z1, z2), [h]), 2, 5)
        for alpha in itertools.product(range(6), repeat=2):
            if sum(alpha) <= 5:
                ours = measure(expansion.coefficient(sparse(alpha))[0].value).value
                worst = max(worst, float(np.abs(grid.coefficient(alpha)[0] - ours)))
    return PAGE.claim(
        "the derivatives of G h are E[h He_alpha] to order 5 for products of erf, cos, exp, tanh and polynomials",
        worst < 1e-9,
        f"trapezoid sums over h itself on three grids; largest difference {worst:.0e}",
        evidence=Evidence.NUMERICAL,
    )
