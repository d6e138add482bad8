"""The population loss against quadrature, Monte Carlo, known kernels and the triple sum of theory section 4."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import (
    coefficient_by_quadrature,
    hermite_grid,
    loss_by_monte_carlo,
    loss_by_quadrature,
    mean_by_quadrature,
    numeric,
)

from sie_sym.errors import DomainError, FormulaError
from sie_sym.evidence import Evidence
from sie_sym.functions import TOKENS, He, gelu, relu, token
from sie_sym.hermite import sparse
from sie_sym.model import ACTIVATION_VARIABLE, Model, formula_model, linear_attention, softmax_attention, tied_network
from sie_sym.population_loss import PopulationLoss, population_loss
from sie_sym.target import Target
from sie_sym.weierstrass import weierstrass_transform

U = ACTIVATION_VARIABLE
Z1, Z2 = token(1), token(2)
M, EPS, EPS1, EPS2 = sp.symbols("m eps eps1 eps2", real=True)
HALF = sp.Rational(1, 2)
RANK1 = [[1, HALF]]
RANK2 = [[1, -1], [HALF, 2]]


def test_linear_attention_of_the_theory_page() -> None:
    """Theory section 9."""
    target = Target.of(He(2, Z1) + He(2, Z2))
    loss = population_loss(target, linear_attention(2).with_encoding(RANK1))
    x = sp.Rational(3, 2) * EPS
    assert sp.expand(loss.expression - (4 - 4 * M**2 + (x**4 + 12 * x**2 + 12) / 4)) == 0
    assert (loss.order, loss.bound, loss.evidence) == (None, 0, Evidence.EXACT)
    assert loss.statistics == (M, EPS)


TARGETS = {
    "hermite": Target.of(He(2, Z1) + He(2, Z2)),
    "polynomial": Target.of(Z1 + Z1 * Z2 - Z2**3 / 3, 2),
    "sine": Target.of(sp.sin(Z1) * Z2 + sp.cos(Z2), 2),
    "ridge": Target.of(sp.erf(Z1 - Z2), 2),
}
SMOOTH_ACTIVATIONS = [U**3 - U, sp.erf(U), sp.exp(U / 3), sp.cos(U), gelu(U)]
POINTS = [(0.3, 0.2, -0.4), (-0.8, 0.5, 0.1)]


def place(model: Model, m: float, *eps: float) -> dict[sp.Symbol, float]:
    return {model.semantic: m, **dict(zip(model.positional, eps, strict=False))}


def check(loss: PopulationLoss, at: dict[sp.Symbol, float], expected: float, tolerance: float) -> None:
    value, error = loss.value({s: sp.Float(x, 30) for s, x in at.items()})
    assert abs(value - expected) <= error + tolerance


@pytest.mark.parametrize("activation", SMOOTH_ACTIVATIONS, ids=str)
@pytest.mark.parametrize("name", ["hermite", "polynomial"])
@pytest.mark.parametrize("columns", [[], RANK1, RANK2], ids=["bare", "rank-1", "rank-2"])
def test_polynomial_targets_against_quadrature(activation: sp.Expr, name: str, columns: list[list[sp.Expr]]) -> None:
    model = tied_network(2, activation).with_encoding(columns)
    loss = population_loss(TARGETS[name], model)
    assert loss.order is None
    for m, *eps in POINTS:
        at = place(model, m, *eps)
        check(loss, at, loss_by_quadrature(TARGETS[name], model, at, 28), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("activation", SMOOTH_ACTIVATIONS, ids=str)
@pytest.mark.parametrize("name", ["sine", "ridge"])
def test_truncated_losses_against_quadrature(activation: sp.Expr, name: str) -> None:
    model = tied_network(2, activation).with_encoding(RANK1)
    loss = population_loss(TARGETS[name], model, order=8)
    assert (loss.order is None) == (name == "ridge" or bool(activation.is_polynomial(U)))
    for m, *eps in POINTS:
        at = place(model, m, *eps)
        check(loss, at, loss_by_quadrature(TARGETS[name], model, at, 34), 1e-5)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (TARGETS["polynomial"], tied_network(2, sp.sign(U)).with_encoding(RANK1)),
        (TARGETS["hermite"], tied_network(2, relu(U)).with_encoding(RANK2)),
        (TARGETS["hermite"], tied_network(2, sp.Heaviside(U - HALF)).with_encoding(RANK1).with_injection([1, 0])),
        (Target.of(sp.sign(Z1 * Z2)), linear_attention(2).with_encoding(RANK1).with_injection([HALF, -1])),
        (Target.of(sp.Abs(Z1) - Z2, 2), tied_network(2, relu(U)).with_encoding(RANK1)),
        (Target.of(sp.Matrix([relu(Z1), Z1 * Z2])), formula_model(sp.Matrix([Z2 + Z1, sp.Abs(Z1)]), 2)),
        (
            Target.of(sp.Matrix([He(2, Z1), Z2])),
            formula_model(sp.Matrix([sp.sin(Z1) * Z2, gelu(Z2)]), 2).with_encoding(RANK2),
        ),
        (Target.of(sp.sign(Z1), 1), tied_network(1, sp.sign(U)).with_encoding([[1]])),
    ],
    ids=lambda value: str(value.components) if isinstance(value, Target) else value.family,
)
def test_against_monte_carlo(target: Target, model: Model) -> None:
    loss = population_loss(target, model)
    at = place(model, 0.4, 0.3, -0.5)
    expected, error = loss_by_monte_carlo(target, model, at)
    check(loss, at, expected, 5 * error)


def test_sums_over_tokens_are_reached_by_the_encoding() -> None:
    """phi = sum_l z_l^2 as a structured sum and as a plain one."""
    index = sp.Symbol("l", integer=True)
    target = Target.of(Z1 * Z2)
    structured = formula_model(sp.Sum(TOKENS[index] ** 2, (index, 1, 2)), 2).with_encoding(RANK1)
    plain = formula_model(Z1**2 + Z2**2, 2).with_encoding(RANK1)
    loss = population_loss(target, structured)
    assert loss.expression == population_loss(target, plain).expression
    assert loss.expression.has(EPS)


COEFFICIENTS = st.lists(st.integers(-3, 3), min_size=6, max_size=6).filter(any)
MONOMIALS = (sp.Integer(1), Z1, Z2, Z1 * Z2, Z1**2, Z1 * Z2**2)


@settings(max_examples=15)
@given(COEFFICIENTS, COEFFICIENTS, st.floats(-1, 1), st.floats(-1, 1))
def test_polynomial_pairs_against_quadrature(a: list[int], b: list[int], m: float, eps: float) -> None:
    """Tensor Gauss-Hermite with 8 nodes is exact up to degree 15."""
    g, phi = (sp.Add(*(c * x for c, x in zip(row, MONOMIALS, strict=True))) for row in (a, b))
    target, model = Target.of(g, 2), formula_model(phi, 2).with_encoding(RANK1)
    at = place(model, m, eps)
    expected = loss_by_quadrature(target, model, at, 8)
    assert float(population_loss(target, model).at(at)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("activation", [sp.exp(U / 2), sp.erf(U)], ids=str)
def test_triple_sum_of_hermite_coefficients(activation: sp.Expr) -> None:
    """Theory section 4, third line, its coefficients by quadrature."""
    g = Z1 * Z2 + He(2, Z2) / 2 - Z1
    model = tied_network(2, activation).with_encoding(RANK1)
    (phi,) = model.components
    m, eps = 0.4, 0.1
    e = (eps, eps / 2)
    orders = 7

    def c(h: sp.Expr, alpha: tuple[int, ...]) -> float:
        return coefficient_by_quadrature(h, alpha, 40)

    total = mean_by_quadrature(g**2, 2, 20)
    for alpha in itertools.product(range(orders), repeat=2):
        if sum(alpha) >= orders:
            continue
        weight = math.prod(x**n / math.factorial(n) for x, n in zip(e, alpha, strict=True))
        total += weight * c(phi**2, alpha)
        for beta in itertools.product(range(3), repeat=2):
            both = (alpha[0] + beta[0], alpha[1] + beta[1])
            factor = m ** sum(beta) / math.prod(map(math.factorial, beta))
            total -= 2 * factor * weight * c(g, beta) * c(phi, both)
    loss = population_loss(Target.of(g), model)
    check(loss, place(model, m, eps), total, 1e-7)


def arc_cosine(rho: float) -> float:
    """E relu(x) relu(y) at correlation rho (Cho and Saul 2009)."""
    return (math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)


@pytest.mark.parametrize("order", [3, 12])
def test_relu_pair_stays_within_its_bound(order: int) -> None:
    loss = population_loss(Target.of(relu(Z1)), tied_network(1, relu(U)), order)
    largest = 0.0
    for m in np.linspace(-1, 1, 21):
        exact = 1 - 2 * arc_cosine(float(m))
        cut = float(loss.expression.subs(M, float(m)))
        bound = float(loss.bound.subs(M, float(m)))
        assert abs(cut - exact) <= bound + 1e-14
        largest = max(largest, abs(cut - exact))
        value, error = loss.value({M: sp.Rational(round(float(m) * 10), 10)})
        assert abs(value - exact) <= error + 1e-14
    assert largest > 1e-5  # the cut is real, so the bound is not vacuous
    assert float(loss.bound.subs(M, 1)) < 20 * largest


def test_relu_pair_with_encoding_stays_within_its_bound() -> None:
    """E relu(a) relu(z + eps) given a is smooth: the outer integral is split at the kink by a fine trapezoid."""
    loss = population_loss(Target.of(relu(Z1)), tied_network(1, relu(U)).with_encoding([[1]]), 6)
    a = np.linspace(0, 12, 20_001)
    weight = np.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)
    smoothed = numeric([gelu(Z1), sp.exp(-(Z1**2) / 2) / sp.sqrt(2 * sp.pi)], 1)
    for m, eps in [(0.3, 0.4), (-0.6, -0.2), (0.8, 0.5), (0.05, 0.9)]:
        s = math.sqrt(1 - m * m)
        means = (m * a + eps) / s
        gate, density = smoothed(means[None, :])
        overlap = np.trapezoid(a * weight * s * (gate + density), a)
        norm = (1 + eps**2) * float(sp.N((1 + sp.erf(eps / sp.sqrt(2))) / 2))
        norm += eps * math.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi)
        exact = 0.5 + norm - 2 * overlap
        at = {M: m, EPS: eps}
        cut, bound = float(loss.expression.subs(at)), float(loss.bound.subs(at))
        assert abs(cut - exact) <= bound + 1e-7
        assert abs(cut - exact) > 1e-9


def test_a_longer_sum_has_a_smaller_bound() -> None:
    bounds = [
        float(population_loss(Target.of(sp.Abs(Z1)), tied_network(1, relu(U)), order).bound.subs(M, 1))
        for order in (2, 6, 14)
    ]
    assert bounds[0] > bounds[1] > bounds[2] > 0


@pytest.mark.parametrize("expression", [relu(Z1 + Z2), sp.sign(Z1) * Z2, sp.erf(Z1)], ids=str)
def test_a_model_equal_to_its_target_has_no_loss_at_full_overlap(expression: sp.Expr) -> None:
    value, error = population_loss(Target.of(expression, 2), formula_model(expression, 2)).value({M: sp.Integer(1)})
    assert abs(value) <= error + 1e-12


def test_full_overlap_is_the_direct_distance() -> None:
    """R(m = 1, eps = 0) = E |g - phi|^2."""
    g, phi = He(2, Z1) * Z2, sp.exp(Z1 / 2) + sp.sin(Z2)
    loss = population_loss(Target.of(g), formula_model(phi, 2).with_encoding(RANK1))
    points, weights = hermite_grid(2, 60)
    expected = float(numeric([(g - phi) ** 2], 2)(points)[0] @ weights)
    assert float(loss.at({M: sp.Integer(1), EPS: sp.Integer(0)})) == pytest.approx(expected, rel=1e-9)


def test_orders_end_output_by_output() -> None:
    """One side of each output is a polynomial, though neither the target nor the model is."""
    target = Target.of(sp.Matrix([sp.sin(Z1), Z2**2]))
    model = formula_model(sp.Matrix([Z1 + Z2, sp.exp(Z2 / 2)]), 2).with_encoding(RANK1)
    loss = population_loss(target, model)
    assert (loss.order, loss.bound) == (None, 0)
    at = place(model, 0.4, -0.3)
    assert float(loss.at(at)) == pytest.approx(loss_by_quadrature(target, model, at, 24), abs=1e-9)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (sp.erf(Z1 - Z2), tied_network(2, sp.exp(U / 3)).with_encoding(RANK1)),
        (sp.sin(Z1), formula_model(sp.cos(Z1) * sp.exp(Z2 / 3), 2)),
    ],
    ids=["orthogonal", "parity"],
)
def test_unseen_targets_have_an_exact_loss(target: sp.Expr, model: Model) -> None:
    loss = population_loss(Target.of(target, 2), model)
    assert (loss.order, loss.bound, loss.evidence) == (None, 0, Evidence.EXACT)
    assert not loss.expression.has(M)
    at = place(model, 0.7, 0.3)
    check(loss, at, loss_by_quadrature(Target.of(target, 2), model, at, 34), 1e-6)


def test_a_cut_in_one_output_is_bounded_by_that_output() -> None:
    """The polynomial output adds nothing to the bound."""
    alone = population_loss(Target.of(sp.erf(Z1)), formula_model(sp.sin(Z1), 1), 5)
    both = population_loss(
        Target.of(sp.Matrix([sp.erf(Z1), Z1**9])), formula_model(sp.Matrix([sp.sin(Z1), sp.exp(Z1)]), 1), 9
    )
    longer = population_loss(Target.of(sp.erf(Z1)), formula_model(sp.sin(Z1), 1), 9)
    assert both.bound == longer.bound
    assert alone.order == 5


def test_building_blocks() -> None:
    """a_k = sum_{|b| = k} C_b(g) C_b(phi_e) / b! at e = 0, by coefficients."""
    g, phi = Z1 * Z2 + Z2**3, sp.exp(Z1 + Z2 / 2)
    loss = population_loss(Target.of(g), formula_model(phi, 2))
    a, b = weierstrass_transform(g), weierstrass_transform(phi)
    for k, overlap in enumerate(loss.overlaps):
        pairs = [sparse(alpha) for alpha in itertools.product(range(k + 1), repeat=2) if sum(alpha) == k]
        direct = sum(a.coefficient(x) * b.coefficient(x) / math.prod(math.factorial(n) for _, n in x) for x in pairs)
        assert sp.simplify(overlap - direct) == 0
    assert (loss.target_norm, sp.simplify(loss.model_norm - sp.exp(sp.Rational(5, 2)))) == (1 + 15, 0)


def test_free_parameters() -> None:
    w = sp.Symbol("w", real=True)
    loss = population_loss(Target.of(w * Z1), tied_network(1, U).with_encoding([[1]]))
    assert loss.parameters == (w,)
    with pytest.raises(FormulaError, match="still depends on eps, w: give a value to each"):
        loss.value({M: sp.Integer(0)})
    value, error = loss.value({M: HALF, EPS: sp.Integer(0), w: sp.Integer(2)})
    assert (value, error < 1e-15) == (pytest.approx(4 - 2 + 1), True)


@pytest.mark.parametrize(
    ("target", "model", "message"),
    [
        (Target.of(Z1), linear_attention(2), "has 1 tokens and the model 2"),
        (Target.of(Z1 + Z2), softmax_attention(2), "1 outputs and the model 4"),
        (Target.of(M * Z1), linear_attention(1), "parameter m is the name of an overlap"),
        (Target.of(Z1), tied_network(1, M * U), "parameter m is the name of an overlap"),
        (Target.of(Z1 * EPS), linear_attention(1).with_encoding([[1]]), "parameter eps is the name"),
    ],
)
def test_incompatible_sides(target: Target, model: Model, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        population_loss(target, model)


def test_infinite_moments() -> None:
    with pytest.raises(DomainError, match="square-integrable"):
        population_loss(Target.of(sp.exp(Z1**2 / 3)), linear_attention(1))
    with pytest.raises(DomainError):
        population_loss(Target.of(Z1), tied_network(1, sp.exp(U**2 / 3)))


def test_the_bound_is_parseval_s_tail() -> None:
    """relu has C_0^2 = C_2^2 = 1/(2 pi), C_1 = 1/2, C_3 = 0 and E relu^2 = 1/2: tail_2 = tail_3 = 1/4 - 3/(4 pi)."""
    for order in (2, 3):
        loss = population_loss(Target.of(relu(Z1)), tied_network(1, relu(U)), order)
        assert (loss.order, loss.evidence, len(loss.overlaps)) == (order, Evidence.ENCLOSED, order + 1)
        expected = 2 * 0.4 ** (order + 1) * (1 / 4 - 3 / (4 * math.pi))
        assert float(loss.bound.subs(M, -0.4)) == pytest.approx(expected, rel=1e-12)
        _, error = loss.value({M: sp.Rational(-2, 5)})
        assert error == pytest.approx(expected, rel=1e-12)


def test_the_bound_moves_with_the_encoding() -> None:
    """E relu(Z + eps)^2 and its C_0, C_1 in closed form (theory section 2), at order 1."""
    loss = population_loss(Target.of(relu(Z1)), tied_network(1, relu(U)).with_encoding([[1]]), 1)
    eps, m = 0.7, 0.5
    cdf, density = (1 + math.erf(eps / math.sqrt(2))) / 2, math.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi)
    tail = (1 + eps**2) * cdf + eps * density - (eps * cdf + density) ** 2 - cdf**2
    fixed = 1 / 2 - 1 / (2 * math.pi) - 1 / 4
    assert float(loss.bound.subs({M: m, EPS: eps})) == pytest.approx(2 * m**2 * math.sqrt(tail * fixed), rel=1e-12)


def test_an_injection_of_one_is_not_lost() -> None:
    """phi = (z1 + 1 + z2)/sqrt 2: R = E z^2 - 2 m/sqrt 2 + (2 + 1)/2; with (1, -2): E phi^2 = (2 + 1)/2 too."""
    target = Target.of(Z1, 2)
    for injected in ([1, 0], [0, 1], [1, -2], [2, -1]):
        loss = population_loss(target, tied_network(2, U).with_injection(injected))
        assert sp.expand(loss.expression - (sp.Rational(5, 2) - sp.sqrt(2) * M)) == 0
        assert loss.parameters == ()
