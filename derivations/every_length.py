r"""Lemma 5, Prop. 2 and Thm 2 for every length L at once: separable and ridge targets, tied and untied networks.

Claims (arXiv:2506.02651, Lemma 5, Prop. 2, Thm 2, App. C): for g = sum_l h(z_l) and every L, with
c_k(h) = E h He_k and c_k = E sigma He_k,

    R_tied(m)    = E g^2 + E sigma^2 - 2 sum_k c_k c_k(h) L^{1 - k/2} m^k / k!,
    R_untied     = E g^2 + E sigma^2 - 2 sum_k c_k c_k(h) L^{-k/2} sum_l m_l^k / k!,
    E g^2        = L E h^2 + L (L-1) (E h)^2,
    dm/dt        = (1 - m^2) 2 sum_k c_k c_k(h) L^{1 - k/2} m^{k-1} / (k-1)!  - (gamma/2) V m      (tied),
    dm_l/dt      = (1 - m_l^2) 2 sum_k c_k c_k(h) L^{-k/2} m_l^{k-1} / (k-1)! - (gamma/2) (V/L) m_l (untied),

and for the ridge g = h((1/sqrt L) sum_l z_l) the tied loss does not depend on L.  k and L are symbols; the package,
which needs a number for L, is compared over a range that each claim names.
"""

from __future__ import annotations

import sympy as sp

from derivations.closed_form_loss import polynomial
from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.functions import He, hermite_polynomial, token
from sie_sym.gain import gain
from sie_sym.model import ACTIVATION_VARIABLE, linear_attention
from sie_sym.population_loss import population_loss
from sie_sym.target import Target
from sie_sym.untied import tied_loss, untied_loss

PAGE = Page("every_length", "Lemma 5, Prop. 2, Thm 2", "losses and drifts for every number of tokens")
EXPECTED = ("proved",) * 6

u = ACTIVATION_VARIABLE
LENGTH = sp.Symbol("L", integer=True, positive=True)
m, gamma, V = sp.symbols("m gamma V", real=True)
k = sp.Symbol("k", integer=True, nonnegative=True)
DEGREE = 3
LINK, ACTIVATION = polynomial("p", (token(1),), DEGREE), polynomial("s", (u,), DEGREE)


def coefficient(function: sp.Expr, variable: sp.Symbol, order: int) -> sp.Expr:
    """E h He_k by the moments (k-1)!!."""
    return gaussian_mean(sp.expand(function * hermite_polynomial(order, variable)), (variable,))


def series(overlap: sp.Expr, tokens: sp.Expr, power: sp.Expr) -> sp.Expr:
    """sum_k c_k c_k(h) L^{power - k/2} overlap^k / k! for the cubic link and activation."""
    return sp.Add(
        *(
            coefficient(ACTIVATION, u, j) * coefficient(LINK, token(1), j) * tokens ** (power - sp.Rational(j, 2))
            * overlap**j / sp.factorial(j) for j in range(DEGREE + 1)
        )
    )  # fmt: skip


def norms(tokens: sp.Expr) -> sp.Expr:
    """E g^2 + E sigma^2, g = sum_l h(z_l)."""
    square, mean = (gaussian_mean(sp.expand(LINK**n), (token(1),)) for n in (2, 1))
    return tokens * square + tokens * (tokens - 1) * mean**2 + gaussian_mean(sp.expand(ACTIVATION**2), (u,))


def summed(link: sp.Expr, tokens: int) -> Target:
    """g = sum_l h(z_l)."""
    return Target.of(sp.Add(*(link.subs(token(1), token(l)) for l in range(1, tokens + 1))), tokens)


def derive() -> list[Claim]:
    """Separable targets, their drifts and noise, ridges, and linear attention with an encoding."""
    return [_separable(), _drifts(), _noise(), _ridge(), _gains(), _encoded()]


def _separable() -> Claim:
    # h = exp(a z), sigma = exp(b u): E e^{a z*_l} e^{b u} with the covariance m/sqrt L of z*_l and u, L times.
    a, b = sp.symbols("a b", real=True)
    l = sp.Symbol("l", integer=True, positive=True)
    direct = sp.summation(sp.exp((a**2 + b**2 + 2 * a * b * m / sp.sqrt(LENGTH)) / 2), (l, 1, LENGTH))
    general = sp.summation((a * b * m / sp.sqrt(LENGTH)) ** k / sp.factorial(k), (k, 0, sp.oo))
    term = a**k * b**k * LENGTH ** (1 - k / 2) * m**k / sp.factorial(k)
    same_term = LENGTH * (a * b * m / sp.sqrt(LENGTH)) ** k / sp.factorial(k) / term
    differences = [
        sp.expand(direct - LENGTH * general * sp.exp((a**2 + b**2) / 2)),
        sp.powsimp(sp.expand_power_base(sp.expand_power_exp(same_term), force=True), force=True) - 1,
    ]
    for tokens in (1, 2, 3, 7):
        found = tied_loss(summed(LINK, tokens), ACTIVATION)
        formula = norms(sp.Integer(tokens)) - 2 * series(found.statistics[0], sp.Integer(tokens), sp.Integer(1))
        differences.append(sp.expand(found.expression - formula))
    untied = untied_loss(summed(LINK, 3), ACTIVATION)
    three = sp.Integer(3)
    formula = norms(three) - 2 * sp.Add(*(series(x, three, sp.Integer(0)) for x in untied.statistics))
    differences.append(sp.expand(untied.expression - formula))
    return PAGE.claim(
        "R = E g^2 + E sigma^2 - 2 sum_k c_k c_k(h) L^{1-k/2} m^k/k! (tied), sum_l m_l^k for L m^k (untied), every L",
        all_zero(differences),
        "exponentials, which generate all links, at symbolic k and L; the package at L = 1, 2, 3, 7 (tied) and 3 "
        "(untied) for every cubic h and sigma, symbolic coefficients",
        source="Lemma 5",
        formulas={"E g sigma of exponentials": direct, "R for cubic h and sigma": norms(LENGTH)
                  - 2 * series(m, LENGTH, sp.Integer(1))},
    )  # fmt: skip


def _drifts() -> Claim:
    # d/dm of m^k/k! is m^{k-1}/(k-1)!: the factor k of the derivative, at symbolic k
    order = sp.Symbol("n", integer=True, positive=True)
    factor = sp.combsimp(sp.diff(m**order / sp.factorial(order), m) / (m ** (order - 1) / sp.factorial(order - 1))) - 1
    differences = [sp.powsimp(factor)]
    for tokens in (1, 2, 5):
        L = sp.Integer(tokens)
        found = tied_loss(summed(LINK, tokens), ACTIVATION)
        (x,) = found.statistics
        expected = (1 - x**2) * 2 * sp.diff(series(x, L, sp.Integer(1)), x) - gamma / 2 * V * x
        differences.append(sp.expand(found.drift(gamma, V)[0] - expected))
    untied = untied_loss(summed(LINK, 3), ACTIVATION)
    for x, drift in zip(untied.statistics, untied.drift(gamma, V), strict=True):
        expected = (1 - x**2) * 2 * sp.diff(series(x, sp.Integer(3), sp.Integer(0)), x) - gamma / 2 * V / 3 * x
        differences.append(sp.expand(drift - expected))
    return PAGE.claim(
        "the drifts of Prop. 2 for g = sum_l h(z_l) and every L: tokens decouple in the untied network",
        all_zero(differences),
        "the derivative of m^k/k! at symbolic k; the package at L = 1, 2, 5 (tied) and 3 (untied) for every cubic h "
        "and sigma, symbolic coefficients",
        source="Prop. 2",
        formulas={"dm/dt at gamma = 0": (1 - m**2) * 2 * sp.diff(series(m, LENGTH, sp.Integer(1)), m)},
    )


def _noise() -> Claim:
    # g = sum He_2(z*_l), sigma = u^2: V = 16 E u^2 (u^2 - g)^2 from the generating function M(x, t) = E e^{x g + t u},
    # a product over the tokens: E e^{x (Z^2 - 1) + q y} = e^{-x} (1 - 2x)^{-1/2} e^{q^2 (1 - m^2 + m^2/(1 - 2x))/2}.
    x, q, r, y = sp.symbols("x q r y", real=True)
    z, h = token(1), sp.Symbol("h", real=True)
    token_mean = sp.exp(-x) / sp.sqrt(1 - 2 * x) * sp.exp(q**2 * (1 - m**2 + m**2 / (1 - 2 * x)) / 2)
    differences = []
    for i in range(3):
        for j in range(5):
            seen = sp.diff(token_mean, x, i, q, j).subs({x: 0, q: 0})
            direct = gaussian_mean(sp.expand((z**2 - 1) ** i * (m * z + r * h) ** j), (z, h))
            differences.append(sp.expand(seen - sp.rem(direct, r**2 + m**2 - 1, r)))
    logarithm = LENGTH * (-x - sp.log(1 - 2 * x) / 2) + y**2 / 2 * (1 - m**2 + m**2 / (1 - 2 * x))  # q = y/sqrt L
    mean = sp.exp(logarithm)
    sixth, fourth, second = (sp.diff(mean, *orders).subs({x: 0, y: 0}) for orders in ((y, 6), (x, y, 4), (x, 2, y, 2)))
    found = sp.expand(16 * (sixth - 2 * fourth + second))
    for tokens in (1, 2, 3, 4):
        network = tied_loss(summed(He(2, z).expand(func=True), tokens), u**2)
        differences.append(sp.expand(network.noise().subs(network.statistics[0], m) - found.subs(LENGTH, tokens)))
    return PAGE.claim(
        "V = 16 E u^2 (u^2 - g)^2 of g = sum_l He_2(z_l), sigma(u) = u^2, in closed form for every L",
        all_zero(differences),
        "E e^{x g + t u} as the L-th power of one token's mean, which is checked against the moments (k-1)!! to order "
        "(2, 4); the package's noise at L = 1, 2, 3, 4",
        source="Prop. 2",
        formulas={"V": sp.collect(found, m)},
    )


def _ridge() -> Claim:
    # u* = (1/sqrt L) sum z*_l and u are normal with the covariance m, whatever L: C_k = c_k(h) L^{-k/2} 1^{(x) k}.
    a, b = sp.symbols("a b", real=True)
    covariance = sp.summation(m / LENGTH, (sp.Symbol("l", integer=True), 1, LENGTH)) - m
    general = sp.summation((a * b * m) ** k / sp.factorial(k), (k, 0, sp.oo)) - sp.exp(a * b * m)
    differences = [covariance, general]
    for tokens in (1, 2, 3):
        total = sp.Add(*(token(l) for l in range(1, tokens + 1))) / sp.sqrt(tokens)
        found = tied_loss(Target.of(sp.expand(LINK.subs(token(1), total)), tokens), ACTIVATION)
        formula = gaussian_mean(sp.expand(LINK**2), (token(1),)) + gaussian_mean(sp.expand(ACTIVATION**2), (u,))
        formula -= 2 * series(found.statistics[0], sp.Integer(1), sp.Integer(0))
        differences.append(sp.expand(found.expression - formula))
    return PAGE.claim(
        "g = h((1/sqrt L) sum_l z_l): R_tied = E h^2 + E sigma^2 - 2 sum_k c_k c_k(h) m^k/k!, the same for every L",
        all_zero(differences),
        "the covariance of the two sums at symbolic L, exponentials at symbolic k; the package at L = 1, 2, 3, every "
        "cubic h and sigma",
        source="Lemma 5",
    )


def _gains() -> Claim:
    # separable: S_s/||C_s|| = L c/c for s >= 2, and sqrt L * L c/(sqrt L c) for s = 1; ridge: L^{s/2}, and L for s = 1
    order = sp.Symbol("s", integer=True, positive=True)
    one, l = sp.Symbol("c", positive=True), sp.Symbol("l", integer=True, positive=True)
    ratios = [
        sp.summation(one, (l, 1, LENGTH)) / one - LENGTH,
        sp.sqrt(LENGTH) * sp.summation(one, (l, 1, LENGTH)) / sp.sqrt(sp.summation(one**2, (l, 1, LENGTH))) - LENGTH,
        sp.powsimp(LENGTH ** (-order / 2) * LENGTH**order / LENGTH ** (order / 2)) - 1,
    ]
    agree = []
    for tokens in (2, 3, 4):
        total = sp.Add(*(token(l) for l in range(1, tokens + 1))) / sp.sqrt(tokens)
        for s in (1, 2, 3):
            sigma = sp.Add(He(s, u).expand(func=True), u**3)
            ridge = Target.of(sp.expand(He(s, total).expand(func=True)), tokens)
            separable = summed(He(s, token(1)).expand(func=True), tokens)
            for target, expected in ((separable, tokens), (ridge, sp.Integer(tokens) ** sp.Rational(max(s, 2), 2))):
                agree.append(sp.sympify(gain(target, sigma).rho.value, strict=True) - expected)
    return PAGE.claim(
        "rho = L for every separable g = sum_l h(z_l), and L^{max(s, 2)/2} for every ridge: the gain is L^2 and "
        "L^{max(s, 2)}, the largest possible",
        all_zero([*ratios, *map(sp.expand, agree)]),
        "S_s and ||C_s||_op at symbolic L and s (page hermite_tensors); the package for s = 1, 2, 3 and L = 2, 3, 4",
        source="Thm 2",
    )


def _encoded() -> Claim:
    # u = sqrt(1-m^2).. + m u* + kappa, kappa = eps (sum_l C_l)/sqrt L: E (u + kappa)^4 = kappa^4 + 6 kappa^2 + 3.
    shift = sp.Symbol("kappa", real=True)
    x = sp.Symbol("x", real=True)
    fourth = gaussian_mean(sp.expand((x + shift) ** 4), (x,))
    formula = 2 * LENGTH - 4 * m**2 + fourth  # E g^2 = 2 L, and C_0(g) = 0
    differences = []
    for tokens in (1, 2, 3, 5):
        column = [sp.Symbol(f"k{l}", real=True) for l in range(1, tokens + 1)]
        model = linear_attention(tokens).with_encoding([column])
        found = population_loss(summed(He(2, token(1)).expand(func=True), tokens), model)
        own, eps = found.statistics
        at = {LENGTH: tokens, m: own, shift: eps * sp.Add(*column) / sp.sqrt(tokens)}
        differences.append(sp.expand(found.expression - formula.subs(at, simultaneous=True)))
    return PAGE.claim(
        "linear attention and g = sum_l He_2(z_l), any encoding C: R = 2 L - 4 m^2 + kappa^4 + 6 kappa^2 + 3 with "
        "kappa = eps sum_l C_l/sqrt L, for every L",
        all_zero(differences),
        "the moments of u + kappa and c_2 = c_2(h) = 2 in the formula of Lemma 5; the package at L = 1, 2, 3, 5 with a "
        "symbolic encoding",
        source="eq. 9, eq. 12",
        formulas={"R": formula},
    )
