"""E |g - phi| and its gradient noise, against integrals by hand and Monte Carlo of what SGD reads."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from sie_sym.errors import DomainError, FormulaError, TruncationError
from sie_sym.frobenius_loss import frobenius_loss, frobenius_noise
from sie_sym.functions import token
from sie_sym.model import formula_model, linear_attention, softmax_attention
from sie_sym.paper_targets import named_target
from sie_sym.simulation.fields import fields_of
from sie_sym.target import Target

z1, z2 = token(1), token(2)
ENCODED = softmax_attention(2).with_encoding([[1, -1]])


def mixture(omega: float, a: float = 1.0) -> Target:
    values = {sp.Symbol("a", real=True): sp.Float(a, 17), sp.Symbol("omega", real=True): sp.Float(omega, 17)}
    return named_target("@positional-semantic").substitute(values)


@pytest.mark.parametrize("m", [0.0, 0.5, -0.8])
def test_the_mean_modulus_of_a_gaussian(m: float) -> None:
    # z* - z is N(-eps, 2 - 2m); E |N(u, s^2)| = s sqrt(2/pi) e^{-u^2/(2 s^2)} + u erf(u/(s sqrt 2))
    from scipy.special import erf

    loss = frobenius_loss(Target.of(z1), formula_model(z1, 1).with_encoding([[1]]))
    eps, s = 0.5, np.sqrt(2 - 2 * m)
    expected = s * np.sqrt(2 / np.pi) * np.exp(-(eps**2) / (2 * s**2)) + eps * erf(eps / (s * np.sqrt(2)))
    assert float(loss.value(m, eps)) == pytest.approx(expected, abs=max(2e-4, float(loss.error(m, eps))))
    assert float(loss.error(m, eps)) < 0.03


def test_the_noise_of_a_ridge_needs_no_residual() -> None:
    # one output, phi = z: delta = -sign(residual), V = 1 everywhere
    noise = frobenius_noise(Target.of(z1), formula_model(z1, 1).with_encoding([[1]]), order=8)
    assert float(noise(0.3, 0.4)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("m", "eps"), [(0.0, 0.0), (0.3, 0.5), (-0.6, 0.7)])
def test_softmax_against_monte_carlo_of_what_sgd_reads(m: float, eps: float) -> None:
    target = mixture(0.67)
    fields = fields_of(target, ENCODED)
    star, h = np.random.default_rng(3).standard_normal((2, 2, 200_000))
    z = m * star + np.sqrt(1 - m * m) * h + eps * np.array([[1.0], [-1.0]])
    delta, square = fields.response(fields.target(star), z)
    for sample, table in (
        (np.sqrt(square), frobenius_loss(target, ENCODED, order=16, nodes=36)),
        ((delta**2).sum(axis=0) / (4 * square), frobenius_noise(target, ENCODED, order=16, nodes=36)),
    ):
        error = 4 * sample.std() / np.sqrt(sample.size)
        assert float(table.value(m, eps)) == pytest.approx(sample.mean(), abs=error + float(table.error(m, eps)))
        assert float(table.error(m, eps)) < 0.06 * sample.mean()


def test_curvatures_agree_at_0_628() -> None:
    # theory section 10, finding 6, and the page frobenius_vs_squared by other sums
    hessians = [frobenius_loss(mixture(omega), ENCODED, order=8).hessian(0.0, 0.0) for omega in (0.62, 0.636)]
    low, high = (float(hessian[0, 0] - hessian[1, 1]) for hessian in hessians)
    assert low < 0 < high
    assert 0.62 - 0.016 * low / (high - low) == pytest.approx(0.628, abs=1e-3)
    assert abs(hessians[0][0, 1]) < 1e-12


def test_a_constant_that_is_never_met_gives_the_norm() -> None:
    # |3 - 0|
    loss = frobenius_loss(Target.of(sp.Integer(3), 2), formula_model(0 * z1, 2))
    assert float(loss.value(0.4)) == pytest.approx(3.0, abs=1e-8)  # what lies beyond the grid


def test_what_no_table_holds_is_refused() -> None:
    with pytest.raises(TruncationError, match="3 tokens is an integral over 6 dimensions"):
        frobenius_loss(Target.of(z1, 3), linear_attention(3))
    with pytest.raises(FormulaError, match="left free"):
        frobenius_loss(named_target("@positional-semantic"), ENCODED)
    with pytest.raises(DomainError, match="jumps"):
        frobenius_noise(Target.of(z1, 2), formula_model(sp.sign(z1), 2))
    with pytest.raises(TruncationError, match="GiB"):
        frobenius_loss(mixture(0.5), ENCODED, nodes=200)
