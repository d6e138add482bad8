r"""Eq. 9: the population loss in closed form from the Hermite tensors.

Claims (arXiv:2506.02651, eq. 9; R = E|g(z*) - phi(z)|^2 without the factor 1/2 of the official code): with z* ~ N(0, I)
and z_l = m z*_l + sqrt(1 - m^2) x_l + e_l,

    R(e, m) = E g^2 - 2 sum_beta m^|beta|/beta! C_beta(g) d^beta (G phi)(e) + G[phi^2](e),

and a sum cut after m^K errs by at most 2 |m|^{K+1} sqrt(tail_K(g) tail_K(phi_e)).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import formula_model, softmax_attention
from sie_sym.paper_targets import named_target
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

PAGE = Page("closed_form_loss", "eq. 9", "the population loss in closed form")
EXPECTED = ("proved", "proved", "proved", "confirmed numerically")

REFERENCE = {(0.0, 0.0): 0.2635041518, (0.5, 0.3): 0.2388290940, (0.8, 0.5): 0.2074632174}
"""R(m, eps) of the positional-semantic model at a = 1, omega = 0.67, from four-dimensional quadrature."""


def polynomial(name: str, tokens: Sequence[sp.Symbol], degree: int) -> sp.Expr:
    """Every monomial up to a degree, with symbolic coefficients."""
    powers = [p for p in itertools.product(range(degree + 1), repeat=len(tokens)) if sum(p) <= degree]
    return sp.Add(
        *(
            sp.Symbol(name + "".join(map(str, p)), real=True) * sp.prod(z**k for z, k in zip(tokens, p, strict=True))
            for p in powers
        )
    )


def derive() -> list[Claim]:
    """Two families with symbolic coefficients, the bound, and the softmax model against Monte Carlo."""
    return [_polynomials(), _exponentials(), _bound(), _softmax()]


def _polynomials() -> Claim:
    z = token(1), token(2)
    x = sp.symbols("x1 x2", real=True)
    g, phi = polynomial("p", z, 3), polynomial("q", z, 2)
    encoding = sp.symbols("k1 k2", real=True)
    model = formula_model(phi, 2).with_encoding([encoding])
    found = population_loss(Target.of(g, 2), model)
    m, eps = model.statistics
    root = sp.Symbol("r", real=True)  # sqrt(1 - m^2)
    field = {zl: m * zl + root * xl + c * eps for zl, xl, c in zip(z, x, encoding, strict=True)}
    direct = gaussian_mean(sp.expand((g - phi.subs(field, simultaneous=True)) ** 2), (*z, *x))
    direct = sp.rem(sp.expand(direct), root**2 + m**2 - 1, root)
    return PAGE.claim(
        "eq. 9 for every cubic target and quadratic model of two tokens, with any encoding",
        all_zero([sp.expand(found.expression - direct)]),
        "the expectation over z* and x from the moments (k-1)!!, all coefficients symbolic",
    )


def _exponentials() -> Claim:
    # A generating function again: R of exp(a z*), exp(b z) holds every order of the sum over beta.
    a, b, m, e = sp.symbols("a b m e", real=True)
    k = sp.Symbol("k", integer=True, nonnegative=True)
    # C_k(exp(a z)) = a^k e^{a^2/2}; d^k (G exp(b z))(e) = b^k e^{b^2/2 + b e}
    series = sp.summation((m * a * b) ** k / sp.factorial(k), (k, 0, sp.oo)) * sp.exp((a**2 + b**2) / 2 + b * e)
    # E exp(a z* + b z) of a Gaussian: the exponent of its variance a^2 + b^2 + 2 m a b
    direct = sp.exp((a**2 + b**2 + 2 * m * a * b) / 2 + b * e)
    model = formula_model(sp.exp(b * token(1)), 1).with_encoding([[sp.Integer(1)]])
    cut = population_loss(Target.of(sp.exp(a * token(1))), model, order=3)
    mm, eps = cut.statistics
    terms = [
        sp.diff(cut.expression, mm, j).subs(mm, 0) + 2 * sp.diff(direct, m, j).subs({m: 0, e: eps}) for j in range(1, 4)
    ]
    return PAGE.claim(
        "the sum over all orders beta of eq. 9 is E g(z*) phi(z)",
        all_zero([series - direct, *terms]),
        "exponentials, which generate every pair of functions: the sum in closed form at symbolic order against the "
        "variance of a z* + b z; the package's terms to order 3",
        formulas={"E exp(a z* + b z)": direct},
    )


def _bound() -> Claim:
    z = token(1)
    model = formula_model(sp.erf(z), 1)
    m = model.semantic
    # E erf(z*) erf(z) = (2/pi) asin(2m/3) (Sheppard's formula), so R is known without any series
    exact = (4 / sp.pi) * (sp.asin(sp.Rational(2, 3)) - sp.asin(2 * m / 3))
    holds = True
    for order, point in itertools.product((1, 4, 9), (sp.Rational(1, 3), sp.Rational(9, 10), sp.Rational(-1, 2))):
        cut = population_loss(Target.of(sp.erf(z)), model, order)
        error = sp.Abs((cut.expression - exact).subs(m, point))
        holds = holds and decide_sign(error) == 1 and decide_sign(cut.bound.subs(m, point) - error) == 1
    return PAGE.claim(
        "the cut loss of erf against erf lies within 2 |m|^{K+1} sqrt(tail tail); K = 1, 4, 9, m = 1/3, 9/10, -1/2",
        holds,
        "balls around the difference to Sheppard's arcsine formula",
        evidence=Evidence.ENCLOSED,
        formulas={"R": exact},
    )


def _softmax() -> Claim:
    values = {sp.Symbol("a", real=True): sp.Integer(1), sp.Symbol("omega", real=True): sp.Rational(67, 100)}
    target = named_target("positional-semantic").substitute(values)
    model = softmax_attention(2, "identity").with_encoding([[sp.Integer(1), sp.Integer(-1)]])
    loss = tabulated_loss(target, model)
    worst = max(abs(float(loss.value(*point)) - value) for point, value in REFERENCE.items())
    mean, error = _monte_carlo(0.5, 0.3)
    agrees = abs(mean - REFERENCE[0.5, 0.3]) < 4 * error
    return PAGE.claim(
        "R(eps, m) of the softmax model at a = 1, omega = 0.67 is 0.26350, 0.23883, 0.20746 at (0,0), (.3,.5), (.5,.8)",
        worst < 2e-10 and agrees,
        f"independent quadrature values to {worst:.0e}; seeded Monte Carlo {mean:.5f} +- {error:.5f} at (.3,.5)",
        evidence=Evidence.NUMERICAL,
    )


def _monte_carlo(m: float, eps: float, samples: int = 400_000) -> tuple[float, float]:
    """R by sampling, softmax of two tokens written out as logistic functions; and its standard error."""
    generator = np.random.default_rng(20250602)
    star, x = generator.standard_normal((2, 2, samples))
    z = m * star + np.sqrt(1 - m * m) * x + eps * np.array([[1.0], [-1.0]])

    def diagonal(y: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-y * (y - y[::-1])))

    p = 1 / (1 + np.exp(-2.0))
    losses = 2 * (((1 - 0.67) * diagonal(star) + 0.67 * p - diagonal(z)) ** 2).sum(axis=0)
    return float(losses.mean()), float(losses.std() / np.sqrt(samples))
