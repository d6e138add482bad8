"""Softmax attention, every reduction: coefficients, injections and the Hessians of Figs. 1 and 2 with their signs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import sympy as sp
from independent import Array
from scipy import special

from sie_sym.errors import FormulaError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import He, softmax, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.landscape import Landscape, landscape
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import LinearMap, Model, formula_model, softmax_attention
from sie_sym.population_loss import population_loss
from sie_sym.quadratures.measure import measure
from sie_sym.quadratures.spectral import hermite_coefficients, softmax_matrix
from sie_sym.target import Target

Z1, Z2 = token(1), token(2)
FIGURE_1 = Target.of(He(2, Z1) + He(2, Z2))
FIGURE_2 = Target.of(sp.Rational(4, 3) + He(4, Z1) + 2 * He(4, Z2))

A = [sp.Rational(1, 2), -2, 3]
B = [1, sp.Rational(1, 3), 5]


def attention(z: Array) -> Array:
    """softmax_rows(z z^T) by its definition, (L, N) to (L, L, N)."""
    scores = np.exp(z[:, None] * z[None, :] - (z[:, None] * z[None, :]).max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def grid(tokens: int) -> tuple[Array, Array]:
    """Points and weights of the trapezoidal rule for N(0, I)."""
    step = {2: 0.15, 3: 0.3}[tokens]
    x = np.arange(-round(8 / step), round(8 / step) + 1) * step
    w = step * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    points = np.stack([axis.ravel() for axis in np.meshgrid(*[x] * tokens, indexing="ij")])
    weights = np.prod([axis.ravel() for axis in np.meshgrid(*[w] * tokens, indexing="ij")], axis=0)
    return points, np.asarray(weights)


def by_quadrature(values: Array, points: Array, weights: Array, alpha: Sequence[int]) -> Array:
    basis = np.prod([special.eval_hermitenorm(n, x) for n, x in zip(alpha, points, strict=True)], axis=0)
    return np.asarray(values @ (basis * weights))


def numeric_map(tokens: int, reduction: str | LinearMap) -> Array:
    """The reduction as a k x L^2 array, written down again."""
    if reduction == "identity":
        return np.eye(tokens**2)
    if reduction == "trace":
        return np.eye(tokens).reshape(1, -1)
    if reduction == "mean-trace":
        return np.eye(tokens).reshape(1, -1) / math.sqrt(tokens)
    if isinstance(reduction, tuple):
        a, b = (np.array([float(x) for x in side]) for side in reduction)
        return np.outer(a, b).reshape(1, -1)
    assert isinstance(reduction, sp.MatrixBase)
    return np.array(reduction.tolist(), dtype=float)


def linear_map(tokens: int) -> sp.Matrix:
    return sp.Matrix(2, tokens**2, lambda i, j: sp.Rational((3 * i + 2 * j) % 5 - 2, 3))


CASES = [
    (tokens, reduction)
    for tokens in (2, 3)
    for reduction in ("identity", "trace", "mean-trace", (A[:tokens], B[:tokens]), linear_map(tokens))
]


@pytest.mark.parametrize(("tokens", "reduction"), CASES, ids=lambda case: str(case)[:18])
def test_every_reduction_against_its_definition(tokens: int, reduction: str | LinearMap) -> None:
    """The function at random points, and one coefficient of each component by the trapezoidal rule."""
    model = softmax_attention(tokens, reduction)
    matrix = numeric_map(tokens, reduction)
    assert len(model.components) == len(matrix)
    z = np.random.default_rng(0).standard_normal((tokens, 3))
    expected = matrix @ attention(z).reshape(-1, 3)
    for n in range(3):
        at = {token(l + 1): sp.Float(z[l, n]) for l in range(tokens)}
        values = [float(c.subs(at).rewrite(sp.exp).evalf()) for c in map(_plain, model.components)]
        assert values == pytest.approx(expected[:, n], abs=1e-12)
    points, weights = grid(tokens)
    alpha = [1, 1, 0][:tokens]
    by_rule = by_quadrature(matrix @ attention(points).reshape(tokens**2, -1), points, weights, alpha)
    expansion = HermiteExpansion.of(model.components[:1], tokens)
    (found,) = expansion.coefficient(tuple((l, n) for l, n in enumerate(alpha, start=1) if n))
    value = measure(found.value)
    assert abs(value.value - by_rule[0]) <= value.error + 1e-7
    assert found.evidence is (Evidence.ENCLOSED if tokens == 2 else Evidence.NUMERICAL)
    assert value.error < 1e-7


def _plain(component: sp.Expr) -> sp.Expr:
    """softmax(k, ...) replaced by its definition."""
    return component.replace(softmax, lambda k, *x: sp.exp(x[int(k) - 1]) / sp.Add(*map(sp.exp, x)))


def test_reductions_of_the_wrong_shape() -> None:
    with pytest.raises(FormulaError, match="give two vectors of 2"):
        softmax_attention(2, ([1, 2, 3], [1, 2]))
    with pytest.raises(FormulaError, match="k x 4"):
        softmax_attention(2, sp.ones(2, 2))
    with pytest.raises(FormulaError, match="unknown reduction 'sum'"):
        softmax_attention(2, "sum")
    assert softmax_attention(2, ([1, 1], [1, 1])).reduction == "projection"
    assert softmax_attention(2, linear_map(2)).reduction == "linear map"


@pytest.mark.parametrize("tokens", [4, 5])
def test_more_tokens_are_numerical_with_an_honest_error(tokens: int) -> None:
    """Against Monte Carlo, and against the identity that rows have sum 1."""
    found = hermite_coefficients(lambda z: softmax_matrix(z).reshape(tokens**2, -1), tokens, 2)
    assert 0 < found.error < 1e-2
    z = np.random.default_rng(7).standard_normal((tokens, 300_000))
    values = attention(z)
    for i, j, alpha in ((0, 0, (0, 0)), (0, 1, (1, 1)), (1, 1, (0, 2))):
        samples = values[i, j] * special.eval_hermitenorm(alpha[0], z[0]) * special.eval_hermitenorm(alpha[1], z[1])
        coefficient = found.coefficient((*alpha, *[0] * (tokens - 2)))[i * tokens + j]
        error = math.sqrt(2) * found.error + 5 * samples.std() / math.sqrt(samples.size)
        assert abs(coefficient - samples.mean()) < error
    rows = found.coefficient((2, *[0] * (tokens - 1))).reshape(tokens, tokens).sum(axis=1)
    assert np.abs(rows).max() <= tokens * math.sqrt(2) * found.error


def test_many_tokens_by_random_points() -> None:
    """Eight tokens: a confidence interval, against more plain draws."""
    found = hermite_coefficients(lambda z: softmax_matrix(z)[0, :1], 8, 2)
    z = np.random.default_rng(9).standard_normal((8, 200_000))
    samples = attention(z)[0, 0] * (z[0] ** 2 - 1)
    error = math.sqrt(2) * float(found.errors[2]) + 5 * samples.std() / math.sqrt(samples.size)
    assert abs(found.coefficient((2, *[0] * 7))[0] - samples.mean()) < error
    assert "99.9% confidence" in found.method


# ---- injected encodings (App. D; theory 10.2)


def test_injection_into_both_factors_has_odd_tensors() -> None:
    """softmax((z + c)(z + c)^T): C_1 is not zero, by a ball; its value by the trapezoidal rule."""
    model = softmax_attention(2).with_injection([1, 0])
    expansion = HermiteExpansion.of(model.components, 2)
    assert expansion.vanishes(1) == (False, "a coefficient is not zero")
    found = measure(expansion.coefficient(((1, 1),))[0].value)
    points, weights = grid(2)
    expected = by_quadrature(attention(points + np.array([[1.0], [0.0]]))[0, :1], points, weights, (1, 0))[0]
    assert abs(found.value - expected) <= found.error + 1e-9
    assert (found.evidence, found.sign) == (Evidence.ENCLOSED, int(np.sign(expected)))


def test_injection_as_displayed_has_none() -> None:
    """softmax(z z^T + c c^T) is even in z: all odd tensors vanish, by symmetry."""
    c, z = (sp.Integer(1), sp.Rational(-1, 2)), (Z1, Z2)
    matrix = sp.Matrix(2, 2, lambda i, j: softmax(j + 1, *(z[i] * y + c[i] * d for y, d in zip(z, c, strict=True))))
    model = formula_model(matrix, 2)
    expansion = HermiteExpansion.of(model.components, 2)
    for k in (1, 3, 5):
        assert expansion.vanishes(k) == (True, "the function is even under z -> -z")
    vanishes, _ = expansion.vanishes(2)
    assert vanishes is False
    coefficient = expansion.coefficient(((1, 1),))[0]
    assert (coefficient.value, coefficient.evidence) == (0, Evidence.EXACT)


# ---- Figs. 1 and 2


def encoded(reduction: str) -> Model:
    return softmax_attention(2, reduction).with_encoding([[1, -1]])


def check_hessian(found: Landscape, semantic: float, positional: float, tolerance: float) -> None:
    h = found.hessian
    assert h[0, 1] == h[1, 0] == 0
    for entry, printed in ((h[0, 0], semantic), (h[1, 1], positional)):
        value = measure(entry)
        assert abs(value.value - printed) < tolerance
        assert decide_sign(entry) == np.sign(printed)
    assert found.evidence is Evidence.ENCLOSED


@pytest.mark.slow
def test_figure_1() -> None:
    """Theory section 9: H_mm = -1.1278271103 and H_epseps = 2.0760082143, signs proved."""
    found = landscape(population_loss(FIGURE_1, encoded("trace")))
    check_hessian(found, -1.1278271103, 2.0760082143, 6e-11)
    assert found.hessian[0, 0].has(GaussianExpectation)
    assert (found.escape.order, found.escape.kind, found.escape.evidence) == (2, "semantic", Evidence.ENCLOSED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reduction", "positional", "kind"), [("trace", 0.1903901311, None), ("mean-trace", -0.2953292262, "positional")]
)
def test_figure_2_needs_the_mean_trace(reduction: str, positional: float, kind: str | None) -> None:
    """Theory 10.1: the encoding helps this target with trace / sqrt L only.  With the trace, R has a strict minimum."""
    found = landscape(population_loss(FIGURE_2, encoded(reduction)))
    check_hessian(found, 0, positional, 1e-10)
    assert found.flatness_index == 2
    assert (found.escape.kind, found.escape.proved, found.escape.evidence) == (kind, True, Evidence.ENCLOSED)
    assert found.escape.order == (2 if kind else None)


@pytest.mark.parametrize(
    ("target", "reduction", "expected"),
    [
        (FIGURE_1, "trace", [-1.1278271103, 2.0760082143]),
        (FIGURE_2, "trace", [0.0, 0.1903901311]),
        (FIGURE_2, "mean-trace", [0.0, -0.2953292262]),
    ],
)
def test_hessians_of_the_tables(target: Target, reduction: str, expected: list[float]) -> None:
    """The same numbers from the tabulated loss; 0.2953 is theory section 9."""
    hessian = tabulated_loss(target, encoded(reduction)).hessian(0.0, 0.0)
    assert hessian == pytest.approx(np.diag(expected), abs=1e-9)
