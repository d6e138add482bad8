"""Gradient noise and linear stability: exact quadrature, Monte Carlo, and the linearised flow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from independent import draws, hermite_grid, mean_and_error, noise_samples

from sie_sym.errors import DomainError, SieSymError
from sie_sym.functions import He, gelu, relu, token
from sie_sym.gradient_noise import GradientNoise, gradient_noise, stability_rate
from sie_sym.integrals.enclosure import enclose
from sie_sym.landscape import landscape
from sie_sym.model import ACTIVATION_VARIABLE, Model, formula_model, linear_attention, tied_network
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

U = ACTIVATION_VARIABLE
Z1, Z2 = token(1), token(2)
HALF = sp.Rational(1, 2)
FIGURE_1 = Target.of(He(2, Z1) + He(2, Z2))


def noise_of(target: Target, model: Model, order: int = 12) -> GradientNoise:
    return gradient_noise(population_loss(target, model, order), order)


def place(model: Model, *values: float) -> dict[sp.Symbol, float]:
    return dict(zip(model.statistics, values, strict=False))


def test_one_token_by_hand() -> None:
    """delta = -4 z* z + 4 z^3: E delta^2 = 16 E z*^2 z^2 - 32 E z* z^4 + 16 E z^6 = 16 (1 + 2 m^2) + 240."""
    noise = noise_of(Target.of(Z1), linear_attention(1))
    (m,) = noise.statistics
    assert noise.expression == 256 + 32 * m**2
    assert (noise.order, noise.bound) == (None, 0)


def test_linear_attention_where_the_theory_page_is_off() -> None:
    """Theory section 9 gives 335.6(1) at (m, eps) = (0.3, 0.25), a Monte Carlo value outside its own error bar.

    delta is a polynomial of degree 3 in z and 2 in z*: Gauss-Hermite with 8 nodes integrates its square exactly.
    """
    model = linear_attention(2).with_encoding([[1, HALF]])
    at = {s: sp.Rational(x) for s, x in zip(model.statistics, ("3/10", "1/4"), strict=True)}
    value = float(noise_of(FIGURE_1, model).expression.subs(at))
    a, b, xa, xb = hermite_grid(4, 8)[0]
    weights = hermite_grid(4, 8)[1]
    z1 = 0.3 * a + math.sqrt(0.91) * xa + 0.25
    z2 = 0.3 * b + math.sqrt(0.91) * xb + 0.125
    residual = a**2 - 1 + b**2 - 1 - (z1 + z2) ** 2 / 2
    exact = float((2 * (2 * residual * (z1 + z2)) ** 2) @ weights)  # two tokens, d_l phi = z1 + z2
    assert value == pytest.approx(exact, rel=1e-12)
    assert value == pytest.approx(334.847085266113, abs=1e-9)
    assert abs(value - 335.6) > 5 * 0.1


SMOOTH = [
    (FIGURE_1, tied_network(2, U**3).with_encoding([[1, -1]])),
    (Target.of(Z1 * Z2 + Z1), formula_model(Z1 * Z2**2 - Z2, 2).with_encoding([[1, 0], [1, 1]])),
    (
        Target.of(sp.Matrix([Z1, Z2 * Z1])),
        formula_model(sp.Matrix([Z1 * Z2, Z2**2]), 2).with_encoding([[HALF, 1]]),
    ),
]


@pytest.mark.parametrize(("target", "model"), SMOOTH, ids=["tied", "rank-2", "vector"])
def test_polynomials_against_quadrature(target: Target, model: Model) -> None:
    points, weights = hermite_grid(4, 10)
    at = place(model, 0.4, -0.3, 0.6)
    expected = float(noise_samples(target, model, at, points[:2], points[2:]) @ weights)
    assert float(noise_of(target, model).expression.subs(at)) == pytest.approx(expected, rel=1e-5)


MIXED = [
    (FIGURE_1, tied_network(2, relu(U)).with_encoding([[1, HALF]])),
    (Target.of(Z1 + Z2), tied_network(2, sp.erf(U)).with_encoding([[1, HALF]])),
    (Target.of(sp.sign(Z1 * Z2)), linear_attention(2).with_encoding([[1, -1]])),
    (Target.of(Z1 * Z2), tied_network(2, sp.exp(U / 4))),
    (Target.of(He(2, Z1), 1), tied_network(1, gelu(U)).with_injection([HALF])),
    (Target.of(sp.Abs(Z1) - Z2, 2), tied_network(2, relu(U)).with_encoding([[1, HALF]])),
    (Target.of(sp.sin(Z1), 1), tied_network(1, sp.cos(U)).with_encoding([[1]])),
]


@pytest.mark.parametrize(("target", "model"), MIXED, ids=lambda value: str(value.components))
def test_against_monte_carlo(target: Target, model: Model) -> None:
    noise = noise_of(target, model, 8)
    at = place(model, 0.4, 0.3)
    mean, error = mean_and_error(noise_samples(target, model, at, *draws(model.tokens, 400_000, seed=3)))
    value, bound = (float(enclose(e.subs(at)).mid()) for e in (noise.expression, noise.bound))
    assert abs(value - mean) < 5 * error + bound


def test_a_cut_noise_stays_within_its_bound() -> None:
    """Against a longer sum."""
    target, model = Target.of(sp.erf(Z1)), tied_network(1, sp.sin(U))
    short, long = noise_of(target, model, 2), noise_of(target, model, 7)
    (m,) = short.statistics
    assert (short.order, long.order) == (2, 7)
    for x in (-0.9, 0.3, 0.7):
        gap = abs(float((short.expression - long.expression).subs(m, x)))
        assert 1e-6 < gap <= float((short.bound + long.bound).subs(m, x))


def test_jumps_have_no_gradient() -> None:
    for activation in (sp.sign(U), sp.Heaviside(U)):
        with pytest.raises(DomainError, match="jumps"):
            noise_of(Target.of(Z1), tied_network(1, activation))


@pytest.mark.parametrize("fraction", [0.5, 0.95, 1.05, 2.0])
def test_above_the_stability_rate_the_flow_decays(fraction: float) -> None:
    """ds/dt = -grad R - (gamma/2) V s near 0 (eq. 11), integrated by Euler steps."""
    model = linear_attention(2).with_encoding([[1, HALF]])
    loss = population_loss(FIGURE_1, model)
    noise = gradient_noise(loss)
    critical = stability_rate(landscape(loss), noise)
    assert critical == 16 / noise.expression.subs(dict.fromkeys(noise.statistics, 0))
    slope = sp.lambdify(loss.statistics, [sp.diff(loss.expression, s) for s in loss.statistics])
    strength = sp.lambdify(loss.statistics, noise.expression)
    s = np.array([1e-4, 1e-4])
    for _ in range(200):
        s = s - 0.01 * (np.array(slope(*s)) + fraction * float(critical) / 2 * strength(*s) * s)
    assert (abs(s[0]) > 1e-4) == (fraction < 1)


def test_stability_needs_an_escape_at_order_two() -> None:
    loss = population_loss(Target.of(Z1), tied_network(1, relu(U)))
    with pytest.raises(SieSymError, match="here the order is 1"):
        stability_rate(landscape(loss), gradient_noise(loss))


def test_no_noise_no_limit() -> None:
    """g = phi = 0 at the start only in the noise: V(0) = 0 for a silent residual."""
    loss = population_loss(FIGURE_1, linear_attention(2))
    silent = GradientNoise(sp.Integer(0), loss.statistics, None, sp.Integer(0))
    assert stability_rate(landscape(loss), silent) is sp.oo
