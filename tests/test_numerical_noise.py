"""Tabulated gradient noise: closed forms, quadrature and Monte Carlo by other routes, and flows around gamma_max."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner
from independent import Array, draws, hermite_grid, mean_and_error, noise_samples

from sie_sym.cli import main
from sie_sym.errors import DomainError, FormulaError, SieSymError
from sie_sym.flow import gradient_flow
from sie_sym.functions import He, relu, token
from sie_sym.gradient_noise import GradientNoise, gradient_noise
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import ACTIVATION_VARIABLE, Model, formula_model, linear_attention, softmax_attention, tied_network
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.numerical_noise import noise_function, numerical_stability_rate, tabulated_noise
from sie_sym.paper_targets import named_target
from sie_sym.population_loss import population_loss
from sie_sym.target import Target
from sie_sym.task import Formulas, Task, run_task

U = ACTIVATION_VARIABLE
Z1, Z2, Z3 = token(1), token(2), token(3)
PAIR = Target.of(He(2, Z1) + He(2, Z2))
TRACE = softmax_attention(2, "trace").with_encoding([[1, -1]])
PLACES = [(0.0, 0.0), (0.4, 0.3), (-0.7, 0.5), (0.9, -0.2)]


def mixture(omega: str = "67/100") -> Target:
    """The positional-semantic target of section 4 at a = 1."""
    target = named_target("positional-semantic")
    values = {sp.Symbol("omega", real=True): sp.Rational(omega), sp.Symbol("a", real=True): sp.Integer(1)}
    return Target(tuple(c.subs(values) for c in target.components), 2)


POLYNOMIALS = [
    (PAIR, linear_attention(2).with_encoding([[1, sp.Rational(1, 2)]])),
    (Target.of(sp.Matrix([Z1, Z2 * Z1])), formula_model(sp.Matrix([Z1 * Z2, Z2**2]), 2).with_encoding([[1, -1]])),
]


@pytest.mark.parametrize(("target", "model"), POLYNOMIALS, ids=["linear attention", "two outputs"])
@pytest.mark.parametrize("at", PLACES)
def test_tables_agree_with_the_closed_form(target: Target, model: Model, at: tuple[float, float]) -> None:
    exact = gradient_noise(population_loss(target, model)).expression
    noise = tabulated_noise(target, model)
    expected = float(exact.subs(dict(zip(model.statistics, at, strict=True))))
    assert abs(float(noise.value(*at)) - expected) <= float(noise.error(*at)) + 1e-12 * expected
    assert float(noise.error(*at)) < 1e-8


def softmax(z: Array) -> Array:
    """(2, N) to (2, 2, N), rows of softmax(z z^T)."""
    scores = z[:, None] * z[None, :]
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def softmax_noise(goal: Array, z: Array, reduce: Array) -> Array:
    """sum_l delta_l^2 of Red softmax(z z^T), with d S_ij = S_ij (d s_ij - sum_k S_ik d s_ik), s = z z^T."""
    S = softmax(z)
    total = np.zeros(z.shape[1])
    residual = goal - np.einsum("oij,ijn->on", reduce, S)
    for l in range(2):
        unit = np.eye(2)[l]
        scores = unit[:, None, None] * z[None, :] + z[:, None] * unit[None, :, None]
        slope = S * (scores - np.einsum("ikn,ikn->in", S, scores)[:, None])
        total += (2 * np.einsum("on,on->n", residual, np.einsum("oij,ijn->on", reduce, slope))) ** 2
    return total


IDENTITY = np.eye(4).reshape(4, 2, 2)
PLAIN = np.eye(2)[None]


@pytest.mark.parametrize(("case", "at"), list(zip(("trace", "identity", "mixture"), PLACES[1:], strict=True)))
def test_softmax_attention_against_a_grid_in_four_dimensions(case: str, at: tuple[float, float]) -> None:
    """E over (z*, z) by the trapezoid rule in all four normals, slopes of softmax by hand."""
    x = np.linspace(-6.5, 6.5, 37)
    axes = np.stack([axis.ravel() for axis in np.meshgrid(x, x, x, x, indexing="ij")])
    weight = np.exp(-(axes**2).sum(axis=0) / 2) * (x[1] - x[0]) ** 4 / (2 * math.pi) ** 2
    a, xi = axes[:2], axes[2:]
    m, eps = at
    z = m * a + math.sqrt(1 - m * m) * xi + eps * np.array([[1.0], [-1.0]])
    quadratic = (a**2 - 1).sum(axis=0)
    if case == "trace":
        target, model, reduce = PAIR, TRACE, PLAIN
        goal = quadratic[None]
    else:
        model, reduce = softmax_attention(2).with_encoding([[1, -1]]), IDENTITY
        if case == "identity":
            entries = [Z1 * Z2, He(2, Z1), 1 + 0 * Z1, Z2]
            target = Target.of(sp.Matrix(2, 2, entries))
            goal = np.stack([a[0] * a[1], a[0] ** 2 - 1, np.ones_like(a[0]), a[1]])
        else:
            target = mixture()
            p = 1 / (1 + math.exp(-2))
            fixed = np.array([p, 1 - p, 1 - p, p])[:, None]
            goal = 0.33 * softmax(a).reshape(4, -1) + 0.67 * fixed
    expected = float(softmax_noise(goal, z, reduce) @ weight)
    noise = tabulated_noise(target, model)
    assert float(noise.value(*at)) == pytest.approx(expected, rel=1e-6)
    assert float(noise.error(*at)) < 1e-6


MIXED = [
    (Target.of(sp.tanh(Z1) * Z2), tied_network(2, sp.tanh(U)).with_encoding([[1, -1]])),
    (Target.of(sp.sign(Z1 * Z2)), softmax_attention(2, "trace").with_encoding([[1, sp.Rational(1, 2)]])),
    (Target.of(sp.cos(Z1) + Z3), tied_network(3, sp.tanh(U)).with_encoding([[1, 0, -1]])),
]


@pytest.mark.parametrize(("target", "model"), MIXED, ids=["tanh", "jumps in g", "three tokens"])
def test_other_functions_against_monte_carlo(target: Target, model: Model) -> None:
    noise = tabulated_noise(target, model)
    at = dict(zip(model.statistics, (0.4, 0.3), strict=True))
    mean, error = mean_and_error(noise_samples(target, model, at, *draws(model.tokens, 400_000, seed=5)))
    assert abs(float(noise.value(0.4, 0.3)) - mean) < 4 * error + float(noise.error(0.4, 0.3))
    assert float(noise.error(0.4, 0.3)) < 0.1 * mean


def test_jumps_of_the_slopes_are_in_the_error() -> None:
    """relu: V has a closed form, and grids see its jump of sigma' to O(step) only."""
    model = tied_network(2, relu(U)).with_encoding([[1, sp.Rational(1, 2)]])
    exact = gradient_noise(population_loss(PAIR, model)).expression
    noise = tabulated_noise(PAIR, model)
    for at in PLACES:
        gap = abs(float(noise.value(*at)) - float(exact.subs(dict(zip(model.statistics, at, strict=True)))))
        assert 1e-4 < gap < float(noise.error(*at)) < 0.3  # of 10 to 20


def test_a_truncation_is_within_its_bound() -> None:
    long, short = (tabulated_noise(mixture(), softmax_attention(2), order) for order in (72, 4))
    for m in (0.3, 0.6, -0.9):
        gap = abs(float(long.value(m)) - float(short.value(m)))
        assert 1e-8 < gap < float(short.error(m))


def test_noise_function_takes_the_closed_form_where_there_is_one() -> None:
    loss = population_loss(PAIR, linear_attention(2))
    noise = noise_function(loss)
    assert isinstance(noise, GradientNoise)
    assert noise.expression == gradient_noise(loss).expression
    assert not isinstance(noise_function(population_loss(PAIR, softmax_attention(2, "trace"))), GradientNoise)


def test_integrals_of_six_tokens_are_taken_by_their_digits() -> None:
    """delta depends on z* through sum_l He_2(z*_l) and on z through u: quadrature over the 6 + 1 normals by moments."""
    tokens = 6
    target = Target.of(sp.Add(*(He(2, token(l)) for l in range(1, tokens + 1))), tokens)
    noise = noise_function(population_loss(target, tied_network(tokens, sp.tanh(U) ** 2)))
    assert isinstance(noise, GradientNoise)
    (m,) = noise.statistics
    # z*: its part A along 1/sqrt L, and g - (A^2 - 1) = chi^2_{L-1} - (L - 1), of variance 2 (L - 1)
    points, weights = hermite_grid(2, 80)
    A, xi = points
    u = 0.5 * A + math.sqrt(0.75) * xi
    slope = 2 * np.tanh(u) * (1 - np.tanh(u) ** 2)
    squares = ((A**2 - 1 - np.tanh(u) ** 2) ** 2 + 2 * (tokens - 1)) * slope**2
    assert float(noise.expression.subs(m, 0.5)) == pytest.approx(4 * float(squares @ weights), rel=1e-4)


# ---- gamma_max ---------------------------------------------------------------------------------


SOFTMAX = {"trace": (PAIR, TRACE), "mixture": (mixture(), softmax_attention(2).with_encoding([[1, -1]]))}


@pytest.mark.parametrize("name", SOFTMAX)
def test_gamma_max_is_where_the_start_becomes_stable(name: str) -> None:
    """theory section 6: -2 lambda/V(0); below it the flow leaves the start, above it returns to it."""
    target, model = SOFTMAX[name]
    loss, noise = tabulated_loss(target, model), tabulated_noise(target, model)
    rate, error = numerical_stability_rate(numerical_landscape(loss), noise)
    assert error < 1e-6 * rate
    lowest = np.linalg.eigvalsh(loss.hessian(0.0, 0.0))[0]
    assert rate == pytest.approx(-2 * lowest / float(noise.value(0.0, 0.0)), rel=1e-9)
    begin = 1e-3
    for fraction, leaves in ((0.9, True), (0.99, True), (1.01, False), (1.1, False), (2.0, False)):
        time = 5 / (abs(lowest) * abs(1 - fraction))
        flow = gradient_flow(loss, [begin, begin], time, rate=fraction * rate, variance=noise)
        assert (float(np.linalg.norm(flow.states[-1])) > 3 * begin) == leaves
        if not leaves:  # e^{-5} of the slower direction, or less
            assert float(np.linalg.norm(flow.states[-1])) < 0.02 * begin


def test_below_gamma_max_the_noise_stops_the_flow_short_of_the_minimum() -> None:
    target, model = PAIR, softmax_attention(2, "trace")
    loss, noise = tabulated_loss(target, model), tabulated_noise(target, model)
    ends = [
        float(gradient_flow(loss, [0.1], 400.0, rate=rate, variance=noise).states[-1, 0]) for rate in (0.0, 0.1, 0.3)
    ]
    assert ends[0] == pytest.approx(1, abs=1e-6)
    assert 1 > ends[1] > ends[2] > 0.1
    # a fixed point of eq. 28: (1 - m^2) R_m = -(gamma/2) V m
    for rate, m in zip((0.1, 0.3), ends[1:], strict=True):
        slope = float(loss.gradient(m)[0])
        assert (1 - m * m) * slope == pytest.approx(-rate / 2 * float(noise.value(m)) * m, rel=1e-6)


def test_no_limit_of_the_rate_without_escape_at_order_two() -> None:
    target, model = Target.of(Z1, 2), tied_network(2, sp.tanh(U))
    landscape = numerical_landscape(tabulated_loss(target, model))
    with pytest.raises(SieSymError, match="here the order is 1"):
        numerical_stability_rate(landscape, tabulated_noise(target, model))


# ---- refusals and commands ---------------------------------------------------------------------


def test_refusals() -> None:
    with pytest.raises(DomainError, match="jumps"):
        tabulated_noise(PAIR, tied_network(2, sp.sign(U)))
    with pytest.raises(FormulaError, match="omega left free"):
        tabulated_noise(named_target("positional-semantic"), softmax_attention(2))


COMMANDS = {
    "trace": ("-g", "He(2,z1) + He(2,z2)", "--reduction", "trace"),
    "mixture": ("-g", "@positional-semantic", "--param", "omega=.67", "--param", "a=1"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_flow_takes_a_rate_and_tells_its_limit(name: str) -> None:
    arguments = ("flow", *COMMANDS[name], "--model", "softmax-attention", "--encoding", "1,-1",
                 "--start", "m=.1,eps=.05", "--time", "4", "--rate", ".2", "--samples", "3", "--json")  # fmt: skip
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    target, model = SOFTMAX[name]
    loss, noise = tabulated_loss(target, model), tabulated_noise(target, model)
    flow = gradient_flow(loss, [0.1, 0.05], 4.0, rate=0.2, variance=noise, samples=3)
    assert found["m"] == pytest.approx(flow.states[:, 0], rel=1e-9)
    assert found["eps"] == pytest.approx(flow.states[:, 1], rel=1e-9)
    assert found["gamma_max"] == pytest.approx(numerical_stability_rate(numerical_landscape(loss), noise)[0])


def test_tasks_know_the_noise_of_softmax_attention() -> None:
    formulas = Formulas("He(2,z1) + He(2,z2)", model="softmax-attention", reduction="trace", encoding="1,-1")
    settings: dict[str, str | float] = {"start": "m=.1,eps=.1", "time": 2.0, "rate": 0.1}
    rows = [
        run_task(Task("flow", formulas, (*settings.items(), ("method", method)))) for method in ("exact", "tabulated")
    ]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["result"]["m"] == pytest.approx(rows[1]["result"]["m"], rel=1e-9)
    still = run_task(Task("flow", formulas, (*(settings | {"rate": 0.0}).items(),)))
    assert abs(still["result"]["m"][-1] - rows[0]["result"]["m"][-1]) > 1e-3
