r"""Prop. 2 and Assumption 2: the drifts of tied and untied networks at a finite learning rate.

Claims (arXiv:2506.02651, Prop. 2, Assumption 2, eq. 11 and 28): in time t = gamma step / d,

    tied:   dm/dt   = (1 - m^2) 2 sum_k c_k L^{-k/2} S_k m^{k-1}/(k-1)! - (gamma/2) V m,
    untied: dm_l/dt = (1 - m_l^2) 2 sum_k c_k L^{-k/2}/(k-1)! [C_k(m_vec, .., m_vec, .)]_l - (gamma/2) (V/L) m_l,

V = 4 E (sigma(u) - g)^2 sigma'(u)^2.  The print omits the factor k of the derivative of m^k in the untied drift.
"""

from __future__ import annotations

import itertools

import numpy as np
import sympy as sp

from derivations.closed_form_loss import polynomial
from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.functions import He, hermite_polynomial, token
from sie_sym.gradient_noise import gradient_noise
from sie_sym.model import ACTIVATION_VARIABLE, linear_attention
from sie_sym.population_loss import population_loss
from sie_sym.target import Target
from sie_sym.untied import tied_loss, untied_loss

PAGE = Page("proposition_2", "Prop. 2, Assumption 2", "the drift of the overlaps at a finite learning rate")
EXPECTED = ("proved", "proved", "proved", "refuted", "proved")

u = ACTIVATION_VARIABLE
z = token(1), token(2)
TARGET, ACTIVATION = polynomial("p", z, 3), polynomial("s", (u,), 3)


def derive() -> list[Claim]:
    """One step of spherical SGD, the noise, the drifts, the slip, and V by Monte Carlo."""
    return [_step(), _noise(), _drifts(), _without_k(), _example()]


def _step() -> Claim:
    # One token: w <- w - gamma delta x, then |w|^2 = d; a, h the parts of x along w* and along the rest of w,
    # 1/d of its square beyond them: |x|^2 = a^2/d + h^2/d + (1 - 2/d) up to O(d^{-1/2}).
    m, q, a, h, delta, gamma, n = sp.symbols("m q a h delta gamma n", real=True)  # n = 1/d
    moved = m - gamma * n * delta * a
    norm2 = moved**2 + (q - gamma * n * delta * h) ** 2 + gamma**2 * n * delta**2 * (1 - 2 * n)
    first = sp.diff(moved / sp.sqrt(norm2), n).subs(n, 0) / gamma  # d m / d t, t = gamma step / d
    first = first.subs(q, sp.sqrt(1 - m**2))
    radial = m * a + sp.sqrt(1 - m**2) * h
    expected = -delta * a + m * delta * radial - gamma / 2 * delta**2 * m
    return PAGE.claim(
        "a step of spherical SGD moves m by gamma/d times -delta a + m delta z - (gamma/2) delta^2 m as d grows: the "
        "finite rate adds -(gamma/2) V m with V = E sum_l delta_l^2",
        all_zero([first - expected]),
        "the first order in 1/d of the normalised step, symbolic",
        source="Assumption 2, eq. 11 and 28",
        formulas={"dm/dt": expected},
    )


def _noise() -> Claim:
    differences = []
    x, r = sp.symbols("x1 x2", real=True), sp.symbols("r1 r2", real=True)
    g, sigma = polynomial("p", z, 2), polynomial("s", (u,), 2)
    loss = untied_loss(Target.of(g, 2), sigma)
    field = sum(m * zl + rl * xl for m, rl, zl, xl in zip(loss.statistics, r, z, x, strict=True)) / sp.sqrt(2)
    # delta_l = -2 (g - sigma) sigma' / sqrt L for each of the L tokens: sum_l delta_l^2 = 4 (g - sigma)^2 sigma'^2
    squares = (2 * (g - sigma) * sp.diff(sigma, u)).subs(u, field)
    direct = gaussian_mean(sp.expand(squares**2), (*z, *x))
    for m, rl in zip(loss.statistics, r, strict=True):
        direct = sp.rem(direct, rl**2 + m**2 - 1, rl)
    differences.append(sp.expand(loss.noise() - direct))
    return PAGE.claim(
        "V = 4 E (sigma(u) - g)^2 sigma'(u)^2; each of the L untied vectors has its share V/L",
        all_zero(differences),
        "every quadratic target of two tokens and activation, symbolic coefficients, by the moments (k-1)!!",
    )


def _drifts() -> Claim:
    gamma, V = sp.symbols("gamma V", real=True)
    L = 2
    untied, tied = untied_loss(Target.of(TARGET, L), ACTIVATION), tied_loss(Target.of(TARGET, L), ACTIVATION)
    overlaps, (m,) = untied.statistics, tied.statistics
    differences = []
    for l, own in enumerate(overlaps):
        pull = sp.Add(*(_weight(k) * _partial(k, l, overlaps) / sp.factorial(k - 1) for k in range(1, 4)))
        expected = (1 - own**2) * 2 * pull - gamma / 2 * (V / L) * own
        differences.append(sp.expand(untied.drift(gamma, V)[l] - expected))
    sums = [sp.Add(*(_partial(k, l, (sp.Integer(1),) * L) for l in range(L))) for k in range(1, 4)]
    pull = sp.Add(*(_weight(k) * S * m ** (k - 1) / sp.factorial(k - 1) for k, S in enumerate(sums, start=1)))
    differences.append(sp.expand(tied.drift(gamma, V)[0] - ((1 - m**2) * 2 * pull - gamma / 2 * V * m)))
    return PAGE.claim(
        "the drifts of Prop. 2 with the factor k, 2 sum_k k c_k L^{-k/2} [C_k(m_vec, .., .)]_l / k!",
        all_zero(differences),
        "the package's drift against tensors contracted index by index, their entries E[g He_alpha] by the moments; "
        "every cubic target and activation, symbolic coefficients",
    )


def _weight(k: int) -> sp.Expr:
    """c_k L^{-k/2}."""
    return gaussian_mean(sp.expand(ACTIVATION * hermite_polynomial(k, u)), (u,)) / sp.sqrt(2) ** k


def _partial(k: int, l: int, point: tuple[sp.Expr, ...]) -> sp.Expr:
    """[C_k(point, .., point, .)]_l, from the definition of every entry."""
    total = sp.Integer(0)
    for indices in itertools.product(range(2), repeat=k - 1):
        counts = [(*indices, l).count(token_number) for token_number in range(2)]
        weight = sp.prod(hermite_polynomial(n, zl) for n, zl in zip(counts, z, strict=True))
        total += gaussian_mean(sp.expand(TARGET * weight), z) * sp.prod(point[i] for i in indices)
    return sp.expand(total)


def _without_k() -> Claim:
    found = untied_loss(Target.of(He(2, token(1))), hermite_polynomial(2, u))
    (m,) = found.statistics
    slope = -(1 - m**2) * sp.diff(4 - 4 * m**2, m)  # R = E He_2^2 + E He_2^2 - 2 m^2 E He_2^2
    printed = (1 - m**2) * 2 * 2 * 2 * m / sp.factorial(2)  # c_2 = C_2 = 2, 1/k! instead of 1/(k-1)!
    known = all_zero([sp.expand(found.drift()[0] - slope)])
    return PAGE.claim(
        "the untied drift of Prop. 2 as printed, without the factor k",
        all_zero([sp.expand(printed - slope)]) if known else None,
        "L = 1, g = sigma = He_2, where R = 4 - 4 m^2 is known: half of -(1 - m^2) dR/dm",
        formulas={"-(1 - m^2) dR/dm": sp.factor(slope), "as printed": sp.factor(printed)},
    )


def _example() -> Claim:
    target = Target.of(He(2, token(1)) + He(2, token(2)))
    model = linear_attention(2).with_encoding([[sp.Integer(1), sp.Rational(1, 2)]])
    noise = gradient_noise(population_loss(target, model)).expression
    m, eps = model.statistics
    x, r = sp.symbols("x1 x2", real=True), sp.Symbol("r", real=True)
    total = m * (z[0] + z[1]) + r * (x[0] + x[1]) + eps * sp.Rational(3, 2)
    delta = -2 * ((z[0] ** 2 + z[1] ** 2 - 2) - total**2 / 2) * total  # d phi/d z_l = z_1 + z_2, for both tokens
    direct = sp.rem(gaussian_mean(sp.expand(2 * delta**2), (*z, *x)), r**2 + m**2 - 1, r)
    value = noise.subs({m: sp.Rational(3, 10), eps: sp.Rational(1, 4)})
    mean, error = _monte_carlo()
    return PAGE.claim(
        "V of linear attention for g = He_2(z1) + He_2(z2), C = (1, 1/2); 334.847 at (m, eps) = (0.3, 0.25)",
        all_zero([sp.expand(noise - direct), value - sp.Rational(1097226929, 3276800)])
        and abs(mean - value) < 4 * error,
        f"E sum_l delta_l^2 by the moments (k-1)!!; seeded Monte Carlo {mean:.1f} +- {error:.1f} (heavy tails: small "
        "samples err by more than their error bar)",
        source="eq. 11 and 28",
        formulas={"V": noise},
    )


def _monte_carlo() -> tuple[float, float]:
    """V(0.3, 0.25) and its standard error."""
    generator = np.random.default_rng(28)
    star, x = generator.standard_normal((2, 2, 1_000_000))
    fields = 0.3 * star + np.sqrt(0.91) * x + 0.25 * np.array([[1.0], [0.5]])
    total = fields.sum(axis=0)
    delta = -2 * ((star**2 - 1).sum(axis=0) - total**2 / 2) * total
    squares = 2 * delta**2
    return float(squares.mean()), float(squares.std() / np.sqrt(squares.size))
