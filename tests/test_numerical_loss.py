"""Tabulated losses against the symbolic loss, another quadrature and Monte Carlo; their errors, limits and flows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
from independent import Array

from sie_sym.errors import DomainError, FormulaError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.flow import gradient_flow, weak_recovery_time
from sie_sym.functions import He, token
from sie_sym.losses.numerical_loss import NumericalLoss, loss_function, tabulated_loss
from sie_sym.model import Model, attention_matrix, linear_attention, softmax_attention, tied_network
from sie_sym.numeric import NumericLoss
from sie_sym.population_loss import population_loss
from sie_sym.quadratures.gauss_hermite import polynomial_coefficients
from sie_sym.quadratures.spectral import hermite_coefficients
from sie_sym.target import Target

Z1, Z2 = token(1), token(2)
U = sp.Symbol("u", real=True)
SUM = Target.of(He(2, Z1) + He(2, Z2))


def attention(z: Array) -> Array:
    """softmax_rows(z z^T), (L, N) to (L^2, N)."""
    scores = z[:, None] * z[None, :]
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True)).reshape(-1, z.shape[1])


def trace(z: Array) -> Array:
    n = len(z)
    return attention(z)[:: n + 1].sum(axis=0, keepdims=True)


def monte_carlo(
    g: Callable[[Array], Array], phi: Callable[[Array], Array], m: float, e: Array, samples: int = 200_000
) -> tuple[float, float]:
    """R and its standard error."""
    a, xi = np.random.default_rng(11).standard_normal((2, len(e), samples))
    values = ((g(a) - phi(m * a + math.sqrt(1 - m * m) * xi + e[:, None])) ** 2).sum(axis=0)
    return float(values.mean()), float(values.std() / math.sqrt(samples))


# ---- two tokens: softmax against softmax


def positional_semantic(omega: float) -> NumericalLoss:
    """Theory section 8 at a = 1."""
    w, p = sp.Rational(omega), 1 / (1 + sp.exp(-2))
    positional = sp.Matrix([[p, 1 - p], [1 - p, p]])
    target = Target.of(sp.ImmutableDenseMatrix((1 - w) * attention_matrix(2) + w * positional))
    return tabulated_loss(target, softmax_attention(2).with_encoding([[1, -1]]))


def mehler(omega: float, m: float, eps: float) -> float:
    """The same loss from the joint density of (z*, z), token by token, on uniform grids: no Hermite series."""
    p = 1 / (1 + math.exp(-2))
    constant = np.array([p, 1 - p, 1 - p, p])[:, None, None]
    step = 0.125
    x = np.arange(-72, 73, dtype=np.float64) * step
    y = np.arange(-80, 81, dtype=np.float64) * step
    weight = step * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    def on_grid(u: Array, v: Array) -> Array:
        points = np.stack(np.meshgrid(u, v, indexing="ij")).reshape(2, -1)
        return attention(points).reshape(4, len(u), len(v))

    g = (1 - omega) * on_grid(x, x) + omega * constant
    if abs(m) == 1:
        smoothed = on_grid(m * x + eps, m * x - eps)
    else:
        sigma = math.sqrt(1 - m * m)
        first, second = (
            step * np.exp(-(((y[None] - m * x[:, None] - e) / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * sigma)
            for e in (eps, -eps)
        )
        smoothed = first @ on_grid(y, y) @ second.T
    phi = on_grid(x + eps, x - eps)
    return float(weight @ (g**2 - 2 * g * smoothed + phi**2).sum(axis=0) @ weight)


def test_positional_semantic_error_covers_the_truth() -> None:
    """K = 80, at 50 random points of the disk and at m = +-1, where the truncation is largest."""
    loss = positional_semantic(0.625)
    assert loss.table.order == 80
    generator = np.random.default_rng(3)
    radius, angle = np.sqrt(generator.uniform(size=50)), generator.uniform(0, 2 * math.pi, 50)
    points = [(0.97 * r * math.cos(t), r * math.sin(t)) for r, t in zip(radius, angle, strict=True)]
    for m, eps in [*points, (1.0, 0.0), (-1.0, 0.0)]:
        difference = abs(float(loss.value(m, eps)) - mehler(0.625, m, eps))
        assert difference <= float(loss.error(m, eps)) + 2e-14
    # neither blind nor careless: the bound is of the size of what is cut off
    assert abs(float(loss.value(1, 0)) - mehler(0.625, 1, 0)) > float(loss.error(1, 0)) / 10
    assert float(loss.error(0.5, 0.3)) < 1e-11


@pytest.mark.parametrize(
    ("m", "eps", "printed"),
    # theory section 9 prints ...518 (0.26350415189 cut off) and ...174 (a misprint of 0.20746321754)
    [(0, 0, 0.2635041519), (0.5, 0.3, 0.2388290940), (0.8, 0.5, 0.2074632175)],
)
def test_reference_values(m: float, eps: float, printed: float) -> None:
    """Theory section 9, a = 1, omega = 0.67."""
    loss = positional_semantic(sp.Rational(67, 100))
    assert abs(float(loss.value(m, eps)) - printed) < 6e-11
    assert mehler(0.67, m, eps) == pytest.approx(printed, abs=6e-11)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["trace", "mean-trace"])
def test_the_table_lies_in_the_symbolic_enclosure(reduction: str) -> None:
    model = softmax_attention(2, reduction).with_encoding([[1, -1]])
    symbolic, table = population_loss(SUM, model), tabulated_loss(SUM, model)
    m, eps = model.statistics
    for point in ((0, 0), (sp.Rational(1, 2), sp.Rational(3, 10)), (-1, 0)):
        value, bound = symbolic.value({m: sp.sympify(point[0]), eps: sp.sympify(point[1])})
        at = tuple(map(float, point))
        assert bound < 1e-6
        assert abs(float(table.value(*at)) - value) <= bound + float(table.error(*at))


# ---- more tokens


@pytest.mark.parametrize(("tokens", "tolerance"), [(3, 1e-8), (4, 1e-5), (5, 5e-4)])
def test_polynomial_targets_of_more_tokens(tokens: int, tolerance: float) -> None:
    """sum He_2(z_l) against the trace: E|g|^2 = 2 L exactly, R by Monte Carlo."""
    z = [token(l) for l in range(1, tokens + 1)]
    column = [1, *[-1] * (tokens - 1)]
    target = Target.of(sp.Add(*(He(2, x) for x in z)))
    loss = tabulated_loss(target, softmax_attention(tokens, "trace").with_encoding([column]))
    assert loss.evidence is Evidence.NUMERICAL
    assert loss.table.target_norm2 == pytest.approx(2 * tokens, abs=1e-12)
    assert loss.table.target_tail == 0
    for m, eps in ((0.6, 0.4), (1.0, 0.0)):
        value, deviation = monte_carlo(
            lambda a: (a**2 - 1).sum(axis=0, keepdims=True), trace, m, eps * np.array(column, dtype=float)
        )
        error = float(loss.error(m, eps))
        assert error < tolerance
        assert abs(float(loss.value(m, eps)) - value) < 5 * deviation + error


@pytest.mark.parametrize("tokens", [3, 4, 5])
def test_softmax_targets_of_more_tokens(tokens: int) -> None:
    """softmax against softmax: R vanishes at m = 1, and the error covers what the table says instead."""
    target = Target.of(attention_matrix(tokens).trace())
    loss = tabulated_loss(target, softmax_attention(tokens, "trace"))
    assert abs(float(loss.value(1.0))) <= float(loss.error(1.0))
    value, deviation = monte_carlo(trace, trace, 0.5, np.zeros(tokens))
    assert abs(float(loss.value(0.5)) - value) < 5 * deviation + float(loss.error(0.5))
    assert float(loss.error(0.5)) < 0.01


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5])
def test_polynomial_models_have_an_honest_error(tokens: int) -> None:
    """Linear attention has a closed form; far out, grids of few nodes lose part of its |phi|^2, and must say so."""
    target, model = Target.of(He(2, Z1), tokens), linear_attention(tokens).with_encoding([[1] * tokens])
    exact, table = loss_function(population_loss(target, model)), tabulated_loss(target, model)
    assert isinstance(exact, NumericLoss)
    for m, eps in ((0.0, 0.0), (0.6, 0.5), (-0.3, -0.9)):
        assert abs(float(table.value(m, eps)) - float(exact.value(m, eps))) <= float(table.error(m, eps)) + 1e-12


def test_gauss_hermite_rules_are_exact() -> None:
    """prod He_k(z_l): C_alpha = prod k!, all others 0, whatever the rotation of the tokens."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    h = polynomial_coefficients(lambda z: ((z[0] ** 3 - 3 * z[0]) * (z[2] ** 2 - 1))[None], 3, 7, degree=5)
    assert h.coefficient((3, 0, 2)) == pytest.approx([12.0], abs=1e-12)
    assert np.count_nonzero(np.abs(h.coefficients) > 1e-13) == 1
    assert (h.norm2, h.order) == (pytest.approx(12.0), 7)
    turned = polynomial_coefficients(lambda z: ((turn @ z) ** 3).sum(axis=0, keepdims=True), 3, 3, degree=3)
    assert turned.norm2 == pytest.approx(45.0, abs=1e-11)  # three independent z^3, E z^6 = 15
    assert turned.error < 1e-12
    with pytest.raises(DomainError, match="no polynomial of degree 2"):
        polynomial_coefficients(lambda z: z[:1] ** 4, 2, 4, degree=2)
    with pytest.raises(TruncationError, match="degree 200"):
        polynomial_coefficients(lambda z: z[:1], 2, 4, degree=200)


# ---- limits


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TruncationError, match="GiB"):
        tabulated_loss(Target.of(attention_matrix(5).trace()), softmax_attention(5, "trace"), order=40)
    with pytest.raises(FormulaError, match="outputs"):
        tabulated_loss(Target.of(Z1, 2), softmax_attention(2))
    with pytest.raises(FormulaError, match="3 tokens and the model 2"):
        tabulated_loss(Target.of(token(3)), softmax_attention(2, "trace"))
    free = Target.of(sp.Symbol("b", real=True) * Z1)
    with pytest.raises(FormulaError, match="b left free"):
        tabulated_loss(free, tied_network(1, sp.tanh(U)))


def test_three_tokens_to_order_sixty_stream() -> None:
    found = hermite_coefficients(trace, 3, 60)
    assert found.coefficients.shape == (1, 61, 61, 61)
    assert found.error < 1e-6
    with pytest.raises(TruncationError, match="lower the order"):
        hermite_coefficients(trace, 5, 60)


# ---- flows


def tanh_loss() -> tuple[Target, Model]:
    return Target.of(Z1), tied_network(1, sp.tanh(U))


def test_flow_of_a_loss_with_expectations() -> None:
    """One token, g = z, phi = tanh: R = const - 2 m E tanh', so m = tanh(2 c t), c = E tanh' by its 9 digits."""
    loss = population_loss(*tanh_loss())
    slope = 0.605705509602158825
    flow = gradient_flow(loss, [0.0], 0.7)
    assert flow.states[-1, 0] == pytest.approx(math.tanh(2 * slope * 0.7), abs=1e-9)
    assert weak_recovery_time(loss, [0.0], 0.5, 5.0) == pytest.approx(math.atanh(0.5) / (2 * slope), abs=1e-9)


def test_flow_of_softmax_attention_reaches_its_fixed_point() -> None:
    """Positional-semantic at omega = 0.67, a = 1 (theory section 8): positional dynamics from a small start."""
    w, p = sp.Rational(67, 100), 1 / (1 + sp.exp(-2))
    positional = sp.Matrix([[p, 1 - p], [1 - p, p]])
    target = Target.of(sp.ImmutableDenseMatrix((1 - w) * attention_matrix(2) + w * positional))
    loss = population_loss(target, softmax_attention(2).with_encoding([[1, -1]]), order=1)
    flow = gradient_flow(loss, [1e-3, 1e-3], 2000.0)
    assert flow.ended == "fixed point"
    m, eps = flow.states[-1]
    assert abs(eps) > abs(m)
    assert flow.losses[-1] == pytest.approx(mehler(0.67, m, eps), abs=1e-9)


def test_a_closed_form_stays_one() -> None:
    assert isinstance(loss_function(population_loss(SUM, linear_attention(2))), NumericLoss)
    table = loss_function(population_loss(*tanh_loss()))
    assert isinstance(table, NumericalLoss)
    assert loss_function(table) is table
    gradient, hessian = table.gradient(0.3), table.hessian(0.3)
    assert gradient == pytest.approx([-2 * 0.605705509602158825], abs=1e-12)
    assert hessian == pytest.approx(np.zeros((1, 1)), abs=1e-12)
