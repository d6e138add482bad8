"""Sampled tables of a loss against grids, closed forms, plain Monte Carlo and exact values; their landscapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.functions import TOKENS, He, token
from sie_sym.losses import numerical_loss as numerical_loss_module
from sie_sym.losses.numerical_loss import NumericalLoss, encoding_matrix, tabulated_loss
from sie_sym.losses.sampled_table import node_number, sampled_tables, target_parts
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.model import Model, attention_matrix, linear_attention, softmax_attention
from sie_sym.numeric import numeric_function, numeric_loss
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.numerical_noise import tabulated_noise
from sie_sym.population_loss import population_loss
from sie_sym.quadratures import sampled_coefficients
from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, confidence
from sie_sym.target import Target

Array = np.ndarray
L = sp.Symbol("l", integer=True)
POINTS = [(0.3, 0.5), (0.9, -0.3), (-0.7, 0.0), (0.0, 1.0), (1.0, 0.0)]


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^11 points a scrambling: the intervals get wider, and have to hold as before."""
    monkeypatch.setattr(sampled_coefficients, "_MOST", 11)
    numerical_loss_module._sampled.cache_clear()


def squares(tokens: int) -> Target:
    return Target.of(sp.Sum(He(2, TOKENS[L]), (L, 1, tokens)), tokens)


def sampled(target: Target, model: Model, order: int | None = None) -> NumericalLoss:
    """Of any number of tokens."""
    symbols = [token(l) for l in range(1, model.tokens + 1)]
    phi = numeric_function(symbols, list(model.components))
    return NumericalLoss(model.statistics, *sampled_tables(target.components, phi, encoding_matrix(model), order=order))


def assert_agree(
    loss: NumericalLoss, exact: Callable[[str, Sequence[float]], Array], points: Sequence[Sequence[float]]
) -> None:
    """Values within `error`, derivatives within what the replicates scatter, at all points."""
    for point in points:
        value = float(loss.value(*point))
        assert abs(value - float(exact("value", point))) <= float(loss.error(*point)) + 1e-9
        for name in ("gradient", "hessian"):
            each = np.stack([getattr(table, name)(*point) for table in loss.replicates])
            difference = np.abs(getattr(loss, name)(*point) - exact(name, point))
            assert (difference <= confidence(each) + 1e-7).all(), (name, point)


@pytest.mark.parametrize("columns", [[[1, -1, 0, 0]], [[1, 0, 0, 1]]])
def test_four_tokens_against_the_table_of_grids(columns: list[list[int]]) -> None:
    model = softmax_attention(4, "trace").with_encoding(columns)
    grid = tabulated_loss(squares(4), model)
    assert not grid.replicates
    loss = sampled(squares(4), model)
    assert_agree(loss, lambda name, point: getattr(grid, name)(*point), POINTS)
    assert float(loss.error(0.3, 0.5)) < 0.02


def test_seven_tokens_against_the_closed_form() -> None:
    """Linear attention: a polynomial loss.  Two columns that are not orthogonal."""
    model = linear_attention(7).with_encoding([[1, -1, 0, 2, 0, 0, 1], [1, 1, 0, 0, 0, 0, 0]])
    exact = numeric_loss(population_loss(squares(7), model))
    loss = tabulated_loss(squares(7), model)
    points = [(0.3, 0.2, -0.4), (0.9, -0.3, 0.1), (0.0, 0.0, 0.0)]
    assert_agree(loss, lambda name, point: getattr(exact, name)(*point), points)


def test_a_target_that_is_the_model_is_learnt_exactly() -> None:
    """R(m = 1, eps = 0) = 0, and every truncation of the sampled target says so within its error."""
    target = Target.of(attention_matrix(6).trace(), 6)
    model = softmax_attention(6, "trace").with_encoding([[1, -1, 0, 0, 0, 0]])
    for order in (2, 4):
        loss = sampled(target, model, order)
        assert abs(float(loss.value(1.0, 0.0))) <= float(loss.error(1.0, 0.0))
    assert float(loss.error(1.0, 0.0)) < 0.1
    assert float(loss.error(0.3, 0.0)) < 0.02


def test_the_landscape_of_six_tokens_against_plain_monte_carlo() -> None:
    """H_mm = -4 E[g phi] for g of degree 2 and H_ee = E[phi^2 ((c.z)^2 - |c|^2)], written out in numpy."""
    z = np.random.default_rng(23).standard_normal((6, 300_000))
    scores = np.exp(z[:, None] * z[None] - np.max(z[:, None] * z[None], axis=1, keepdims=True))
    phi = (np.einsum("iin->in", scores) / scores.sum(axis=1)).sum(axis=0)
    draws = np.stack([-4 * (z**2 - 1).sum(axis=0) * phi, phi**2 * ((z[0] - z[1]) ** 2 - 2)])
    mean, noise = draws.mean(axis=1), draws.std(axis=1) / math.sqrt(z.shape[1])
    model = softmax_attention(6, "trace").with_encoding([[1, -1, 0, 0, 0, 0]])
    found = numerical_landscape(tabulated_loss(squares(6), model))
    errors = np.diag(found.hessian_error)
    assert (np.abs(np.diag(found.hessian) - mean) < 4.5 * noise + errors).all()
    assert (errors < [0.1, 0.1]).all()
    assert (found.hessian[0, 1], found.hessian_error[0, 1]) == (0.0, 0.0)  # R is even in eps: exactly 0
    assert (found.gradient == 0).all()
    assert (found.gradient_error == 0).all()
    assert (found.flatness_index, found.escape.order, found.escape.kind) == (2, 2, "semantic")
    assert found.evidence.value == "numerical"


def quadratic(semantic: float, positional: float, noise: float, seed: int = 0) -> NumericalLoss:
    """R = (semantic m^2 + positional eps^2)/2 from replicates that scatter by `noise`."""

    def table(a: float, b: float) -> SpectralLoss:
        overlap = np.zeros((3, 3))
        overlap[0, 2] = -a / 4  # R = -2 a_2 m^2 + n
        norm2 = np.array([b / 4, 0.0, b / 4])  # eps^2 = (T_0 + T_2)/2
        one = np.ones((1, 1))
        return SpectralLoss(one, one, 2, 0.0, 0.0, overlap, norm2, norm2, np.zeros(3), 0.0)

    draws = np.random.default_rng(seed).standard_normal((SCRAMBLINGS, 2)) * noise
    draws -= draws.mean(axis=0)
    each = tuple(table(semantic + x, positional + y) for x, y in draws)
    return NumericalLoss(sp.symbols("m eps", real=True), table(semantic, positional), each)


def test_a_direction_is_stated_only_where_the_intervals_decide() -> None:
    clear = numerical_landscape(quadratic(-2.0, -1.0, 0.01)).escape
    assert (clear.order, clear.kind) == (2, "semantic")
    close = numerical_landscape(quadratic(-2.0, -1.99, 0.1)).escape
    assert (close.order, close.direction, close.kind) == (2, None, None)
    assert "undecided" in close.reason
    flat = numerical_landscape(quadratic(0.01, 0.02, 0.1)).escape
    assert not flat.proved
    minimum = numerical_landscape(quadratic(1.0, 2.0, 0.01)).escape
    assert (minimum.order, minimum.proved) == (None, True)


def test_the_noise_of_seven_tokens_against_its_closed_form() -> None:
    """V of linear attention on z_1: delta_l = -2 (z*_1 - S^2/L) 2 S/L, so V = 16/L E (z*_1 - S^2/L)^2 S^2, S ~ N(0, L).

    With S = sqrt(L) u and z*_1 of correlation m/sqrt L with u: E (z - u^2)^2 u^2 = 1 + 2 m^2/L + 15.
    """
    m = 0.6
    noise = tabulated_noise(Target.of(token(1), 7), linear_attention(7))
    expected = 16 * (16 + 2 * m * m / 7)
    assert abs(float(noise.value(m)) - expected) <= float(noise.error(m))
    assert float(noise.error(m)) < 0.2 * expected


def test_parts_of_polynomials_are_exact_and_of_others_sampled() -> None:
    exact = target_parts([He(2, token(1)) * token(7)], 7, None, 0)
    assert exact.alphas.tolist() == [[2, 0, 0, 0, 0, 0, 1]]
    assert exact.coefficients.ravel() == pytest.approx([math.sqrt(2)])
    assert exact.norm2 == pytest.approx([2.0])
    zero = target_parts([sp.Integer(0)], 6, None, 0)
    assert zero.norm2 == [0.0]
    found = target_parts([sp.tanh(token(1) * token(2))], 6, 2, 0)
    place = found.alphas.tolist().index([1, 1, 0, 0, 0, 0])
    x = np.linspace(-9, 9, 200)
    weight = np.exp(-(x**2) / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)  # the trapezoid rule
    grid = float((np.tanh(np.outer(x, x)) * np.outer(x * weight, x * weight)).sum())
    assert abs(found.coefficients[:, 0, place].mean() - grid) < found.errors[0, place]


@pytest.mark.parametrize("sigma", [0.3, 1.0, math.sqrt(2), 3.0])
def test_enough_nodes(sigma: float) -> None:
    """E cos(sigma p + Z) = exp(-1/2) cos(sigma p), interpolated."""
    chebyshev = np.polynomial.chebyshev
    number = node_number(sigma)
    nodes = np.cos(np.pi * (np.arange(number) + 0.5) / number)
    series = chebyshev.chebfit(nodes, math.exp(-0.5) * np.cos(sigma * nodes), number - 1)
    p = np.linspace(-1, 1, 101)
    assert np.abs(chebyshev.chebval(p, series) - math.exp(-0.5) * np.cos(sigma * p)).max() < 1e-10


def test_refusals() -> None:
    model = softmax_attention(6, "trace")
    columns = [[int(l == 2 * i) - int(l == 2 * i + 1) for l in range(6)] for i in range(3)]
    with pytest.raises(TruncationError, match="2916 shifts would take minutes"):
        tabulated_loss(squares(6), model.with_encoding([*columns]))
    with pytest.raises(TruncationError, match="pass order=7 or less"):
        tabulated_loss(Target.of(attention_matrix(6).trace(), 6), model, order=10)
