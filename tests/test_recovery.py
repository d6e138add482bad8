"""Weak recovery of tied and untied networks: the ratios of theory section 7 and Figs. 3, 7, 8, 9 and 11."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.flow import weak_recovery_time
from sie_sym.functions import TOKENS, He, relu, token
from sie_sym.gain import gain
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.numeric import NumericLoss
from sie_sym.recovery import critical_rate, leading_direction, recovery_time, recovery_times, start_vector
from sie_sym.target import Target
from sie_sym.tensors.independent_sum import equivalent_tokens
from sie_sym.untied import tied_loss, untied_loss

z1, z2, z3 = (token(i) for i in range(1, 4))
l = sp.Symbol("l", integer=True)
u = ACTIVATION_VARIABLE


def he2(tokens: int) -> Target:
    return Target.of(sp.Sum(He(2, TOKENS[l]), (l, 1, tokens)) / sp.sqrt(2))


def mean(tokens: int) -> sp.Expr:
    return sp.Sum(TOKENS[l], (l, 1, tokens)) / sp.sqrt(tokens)


def rho(target: Target, activation: sp.Expr) -> float:
    return gain(target, activation).rho.bounds[0]


@pytest.mark.parametrize("tokens", [2, 10, 200])
def test_fig_7_equal_rates_and_equal_overlaps_gain_l(tokens: int) -> None:
    # For a symmetric target with equal overlaps the untied drift is the tied one over L, its noise included.
    found = recovery_times(he2(tokens), relu(u), overlap=1 / math.sqrt(3000), eta=2 / math.sqrt(1000), rate=0.005)
    assert found.time_ratio == pytest.approx(tokens, rel=1e-6)
    assert found.step_ratio == pytest.approx(found.time_ratio)
    assert rho(he2(tokens), relu(u)) == pytest.approx(tokens)


def test_log_d_in_the_limit() -> None:
    # s = 2: t = log(eta/m0) / (1/tau), tied drift 2 m / sqrt(pi) for g = sum He_2 / sqrt 2 and relu.
    found = recovery_times(he2(4), relu(u), start="leading", overlap=1e-12, eta=0.01)
    rate = 2 / math.sqrt(math.pi)
    assert found.tied == pytest.approx(math.log(0.01 / 1e-12) / rate, rel=1e-4)
    # |m_vec| starts at m0, not at m0 sqrt L: log sqrt(L) more, which does not grow with d.
    assert found.untied == pytest.approx(4 * math.log(0.02 / 1e-12) / rate, rel=1e-4)


def test_fig_8_normalised_sum() -> None:
    target = Target.of(mean(50))
    found = recovery_times(target, relu(u), overlap=1 / math.sqrt(1000), eta=2 / math.sqrt(1000), rate=0.015)
    assert found.time_ratio == pytest.approx(rho(target, relu(u)), rel=1e-6)


def test_fig_9_untied_at_l_times_the_tied_rate_stops_recovering() -> None:
    start, eta = 1 / math.sqrt(3000), 2 / math.sqrt(1000)
    outcomes = {}
    for tokens in (10, 100, 160, 180, 200):
        found = recovery_times(Target.of(mean(tokens)), relu(u), overlap=start, eta=eta, rate=(0.05, 0.05 * tokens))
        assert math.isfinite(found.tied)
        outcomes[tokens] = math.isfinite(found.untied)
    # Both networks have one critical rate, 8.4: the untied one passes it at L = 168.
    tied = critical_rate(tied_loss(Target.of(mean(10)), relu(u)), start, eta)
    assert outcomes == {tokens: 0.05 * tokens < tied for tokens in outcomes}
    assert set(outcomes.values()) == {True, False}


@pytest.mark.parametrize("tokens", [2, 10, 100])
def test_both_networks_have_one_critical_rate(tokens: int) -> None:
    # -(gamma/2)(V/L) m_l against a drift of 1/L: so at their limits the ratio of steps is rho^2 / L, not rho^2.
    target = he2(tokens)
    tied = tied_loss(target, relu(u))
    untied = untied_loss(target, relu(u), equivalent_tokens(target))
    limit = critical_rate(tied, 1e-6, 0.05)
    assert critical_rate(untied, 1e-6, 0.05) == pytest.approx(limit, rel=1e-9)
    # Linear stability: gamma = 2 alpha / V(0), alpha = 2 / sqrt(pi), V(0) = 2 L + 2.
    assert limit == pytest.approx(2 * (2 / math.sqrt(math.pi)) / (2 * tokens + 2), rel=2e-2)
    assert recovery_time(tied, [1e-6], 0.05, rate=0.97 * limit) < math.inf
    assert recovery_time(tied, [1e-6], 0.05, rate=1.01 * limit) == math.inf
    assert recovery_time(untied, [1e-6], 0.05, rate=1.01 * limit) == math.inf


def test_fig_3_the_gain_is_rho_squared_only_if_the_rates_go_as_one_over_t() -> None:
    tokens, small = 10, 0.05
    target = he2(tokens)
    limit = critical_rate(tied_loss(target, relu(u)), 1e-6, 0.05)
    found = gain(target, relu(u))
    assert found.gain_optimal_rate is not None
    assert found.gain_stability_limit is not None
    # gamma_untied = gamma_tied / rho (both gamma ~ 1/t): L^2, up to the slowing of the tied one by its noise.
    rates = recovery_times(target, relu(u), overlap=1e-6, eta=0.05, rate=(small * limit, small * limit / tokens))
    assert rates.step_ratio == pytest.approx(found.gain_optimal_rate.bounds[0], rel=0.06)
    # Both at the same fraction of their own limit: L.
    both = recovery_times(target, relu(u), overlap=1e-6, eta=0.05, rate=(0.5 * limit, 0.5 * limit))
    assert both.step_ratio == pytest.approx(found.gain_stability_limit.bounds[0], rel=1e-6)


@pytest.mark.parametrize("sphere", ["token", "whole"])
@pytest.mark.parametrize("tokens", [2, 5, 10])
@pytest.mark.parametrize("formula", [z1 - z2, (z1**2 - z2**2) / sp.sqrt(2)])
def test_fig_11_tied_stays_and_untied_learns(formula: sp.Expr, tokens: int, sphere: str) -> None:
    found = recovery_times(
        Target.of(formula, tokens), relu(u), overlap=0.03, eta=2 / math.sqrt(1000), rate=0.005, sphere=sphere
    )
    assert found.tied == math.inf
    assert math.isfinite(found.untied)
    assert (found.time_ratio, found.step_ratio) == (0, 0)


@pytest.mark.parametrize("s", [3, 4])
@pytest.mark.parametrize("tokens", [2, 9])
def test_starts_spread_over_the_tokens_lose_a_factor_for_s_above_two(s: int, tokens: int) -> None:
    # g = He_s(sum z / sqrt L): rho = L^{s/2} from |m_vec| = m0; with all m_l = m0 it is L^{-(s-2)/2} of that.
    target = Target.of(He(s, mean(tokens)))
    leading = recovery_times(target, sp.exp(u / 2), start="leading", overlap=1e-4, eta=0.1).time_ratio
    everywhere = recovery_times(target, sp.exp(u / 2), start="all", overlap=1e-4, eta=0.1).time_ratio
    assert leading == pytest.approx(tokens ** (s / 2), rel=2e-3)
    assert everywhere == pytest.approx(leading * tokens ** (-(s - 2) / 2), rel=2e-3)


def test_the_even_order_of_the_wrong_sign() -> None:
    # gain says: the tied network is pulled back, the untied one leaves along token 1.
    found = recovery_times(Target.of(z1**2 - 2 * z2**2), relu(u), overlap=1e-3, eta=0.1)
    assert (found.tied, found.time_ratio) == (math.inf, 0)
    assert math.isfinite(found.untied)
    # diag(4, 4, -6): the rate is that of eigenvalue 4, as `gain_equal_rate` has it, not of the norm 6.
    target = Target.of(2 * z1**2 + 2 * z2**2 - 3 * z3**2)
    times = recovery_times(target, relu(u), start="leading", overlap=1e-30, eta=0.1)
    assert times.time_ratio == pytest.approx(0.5, rel=0.02)


def test_tied_times_are_those_of_the_flow() -> None:
    # Another integrator and another right-hand side: the spherical flow of the same R.
    target = Target.of(z1 + He(2, z1) + z2 * z3)
    loss = tied_loss(target, u + u**2)
    for rate in (0.0, 0.02):
        variance = loss.noise() if rate else None
        expected = weak_recovery_time(
            NumericLoss(loss.expression, loss.statistics), [1e-3], 0.3, 1e3, rate=rate, variance=variance
        )
        assert recovery_time(loss, [1e-3], 0.3, rate=rate) == pytest.approx(expected, rel=1e-7)


def test_the_noise_at_the_start_is_enough_near_it() -> None:
    loss = tied_loss(he2(3), relu(u))
    exact, constant = (recovery_time(loss, [1e-4], 0.02, rate=0.1, noise=noise) for noise in ("exact", "start"))
    assert exact != constant
    assert constant == pytest.approx(exact, rel=1e-3)


def test_activations_without_closed_form_are_evaluated() -> None:
    target = Target.of(mean(5))
    assert recovery_times(target, sp.tanh(u), rate=0.01).time_ratio == pytest.approx(5, rel=1e-6)
    # c_1 of tanh by a Riemann sum: the tied time is atanh(eta) / (2 c_1) up to the start.
    grid = np.linspace(-10, 10, 20_001)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    first = float((np.tanh(grid) * grid * density).sum()) * (grid[1] - grid[0])
    expected = (math.atanh(0.1) - math.atanh(1e-3)) / (2 * first)
    assert recovery_times(target, sp.tanh(u)).tied == pytest.approx(expected, rel=1e-6)


def test_leading_directions() -> None:
    assert leading_direction(Target.of(3 * z1 - 4 * z2), -u) == pytest.approx([-0.6, 0.8])
    assert leading_direction(Target.of(z1**2 - 2 * z2**2), relu(u)) == pytest.approx([1, 0], abs=1e-6)
    assert leading_direction(he2(4), relu(u)) == pytest.approx(np.full(4, 0.5))
    product = leading_direction(Target.of(z1 * z2 * z3), sp.exp(u))
    assert np.abs(product) == pytest.approx(np.full(3, 1 / math.sqrt(3)), abs=1e-6)
    assert np.prod(product) > 0
    with pytest.raises(SieSymError, match="c_3 = 0"):
        leading_direction(Target.of(z1 * z2 * z3), relu(u))


def test_random_starts_are_seeded_and_explicit_ones_taken() -> None:
    target = Target.of(z1 - z2)
    one, two = (start_vector(target, u, "random", 0.1, seed) for seed in (1, 1))
    assert (one == two).all()
    assert (one != start_vector(target, u, "random", 0.1, 2)).any()
    found = recovery_times(target, u, start=[0.0, -0.1], eta=0.3)
    assert found.start == (0.0, -0.1)
    assert math.isfinite(found.untied)


def test_a_start_beyond_the_threshold_and_one_at_rest() -> None:
    loss = tied_loss(Target.of(z1 - z2), u)
    assert recovery_time(loss, [0.5], 0.2) == 0
    assert recovery_time(loss, [0.1], 0.2) == math.inf


def test_errors() -> None:
    target = Target.of(z1 + z2)
    with pytest.raises(SieSymError, match="unknown start"):
        recovery_times(target, u, start="everywhere")
    with pytest.raises(SieSymError, match="one a token"):
        recovery_times(target, u, start=[0.1])
    with pytest.raises(SieSymError, match="learning rates"):
        recovery_times(target, u, rate=-1.0)
    with pytest.raises(SieSymError, match="overlap"):
        recovery_times(target, u, overlap=0.0)
    with pytest.raises(SieSymError, match="unknown noise"):
        recovery_times(target, u, noise="none")
    with pytest.raises(SieSymError, match="pass a longer time"):
        recovery_times(target, u, time=1e-6)
    with pytest.raises(SieSymError, match="2 statistics"):
        critical_rate(untied_loss(target, u), 0.1, 0.2)
    with pytest.raises(SieSymError, match="0 < start < eta"):
        critical_rate(tied_loss(target, u), 0.2, 0.1)
    with pytest.raises(SieSymError, match="depends on b"):
        recovery_times(Target.of(sp.Symbol("b", real=True) * z1), u)
