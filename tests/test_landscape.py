"""The landscape at initialization: Hessian blocks, indices, and what a model never sees."""

from __future__ import annotations

import itertools
import math

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import coefficient_by_quadrature

from sie_sym.exponents import information_exponent
from sie_sym.functions import He, gelu, relu, token
from sie_sym.landscape import Landscape, landscape
from sie_sym.model import ACTIVATION_VARIABLE, Model, formula_model, linear_attention, tied_network
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

U = ACTIVATION_VARIABLE
Z1, Z2, Z3 = token(1), token(2), token(3)
M, EPS = sp.symbols("m eps", real=True)
HALF = sp.Rational(1, 2)
ACTIVATIONS = [relu(U), sp.erf(U), gelu(U), sp.exp(U), sp.cos(U), sp.sign(U), U**2 + U]
COLUMNS = [[1, HALF]]


def landscape_of(target: sp.Expr, model: Model, order: int = 12) -> Landscape:
    return landscape(population_loss(Target.of(target, model.tokens), model, order))


def test_linear_attention_of_the_theory_page() -> None:
    """R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4 (theory section 9)."""
    found = landscape_of(He(2, Z1) + He(2, Z2), linear_attention(2).with_encoding(COLUMNS))
    assert found.gradient == (0, 0)
    assert found.hessian == sp.diag(-8, sp.Rational(27, 2))
    assert sorted(found.eigenvalues) == [-8, sp.Rational(27, 2)]
    assert found.flatness_index == 2
    assert (found.escape.order, found.escape.direction, found.escape.kind) == (2, (1, 0), "semantic")
    assert (found.visible.exponent, found.visible.proved) == (2, True)


PAIRS = [
    (sp.sin(Z1) * Z2 + He(2, Z1), sp.exp((Z1 + Z2) / 2)),
    (He(2, Z2) - Z1 + 1, sp.erf(Z1 + Z2 / 2) * Z2),
    (gelu(Z1 - Z2), sp.cos(Z1) + Z2 + Z1 * Z2),
]


@pytest.mark.parametrize(("g", "phi"), PAIRS, ids=str)
@pytest.mark.parametrize("columns", [[[1, HALF]], [[1, -1], [0, 2]]], ids=["rank-1", "rank-2"])
def test_gradient_and_hessian_blocks(g: sp.Expr, phi: sp.Expr, columns: list[list[sp.Expr]]) -> None:
    """Theory section 5, its Hermite coefficients by quadrature; the gradient from the loss at first order."""
    found = landscape_of(g, formula_model(phi, 2).with_encoding(columns))

    def c(h: sp.Expr, *alpha: int) -> float:
        return coefficient_by_quadrature(h, alpha, 50)

    units = [(1, 0), (0, 1)]
    seconds = [(2, 0), (1, 1), (0, 2)]
    h_mm = -4 * sum(c(g, *b) * c(phi, *b) / math.prod(map(math.factorial, b)) for b in seconds)
    h_me = [-2 * sum(c(g, *b) * c(phi, *(x + y for x, y in zip(a, b, strict=True))) for b in units) for a in units]
    h_ee = [[_second(phi, g, a, b, c) for b in units] for a in units]
    g_e = [c(phi**2, *a) - 2 * c(g, 0, 0) * c(phi, *a) for a in units]
    assert float(found.gradient[0]) == pytest.approx(-2 * sum(c(g, *b) * c(phi, *b) for b in units), abs=1e-9)
    assert float(found.hessian[0, 0]) == pytest.approx(h_mm, abs=1e-9)
    for i, column in enumerate(columns, start=1):
        x = [float(entry) for entry in column]
        assert float(found.gradient[i]) == pytest.approx(sum(map(lambda a, b: a * b, x, g_e)), abs=1e-9)
        assert float(found.hessian[0, i]) == pytest.approx(sum(map(lambda a, b: a * b, x, h_me)), abs=1e-9)
        for j, other in enumerate(columns, start=1):
            y = [float(entry) for entry in other]
            expected = sum(x[a] * h_ee[a][b] * y[b] for a, b in itertools.product(range(2), repeat=2))
            assert float(found.hessian[i, j]) == pytest.approx(expected, abs=1e-9)
    assert found.hessian == found.hessian.T


def _second(phi: sp.Expr, g: sp.Expr, a: tuple[int, int], b: tuple[int, int], c) -> float:  # type: ignore[no-untyped-def]
    both = tuple(x + y for x, y in zip(a, b, strict=True))
    return float(c(phi**2, *both) - 2 * c(g, 0, 0) * c(phi, *both))


@pytest.mark.parametrize("activation", [relu(U), gelu(U), sp.erf(U), sp.cos(U)], ids=str)
def test_derivatives_of_the_loss_by_differences(activation: sp.Expr) -> None:
    """mpmath's finite differences of the enclosed values."""
    model = tied_network(2, activation).with_encoding(COLUMNS)
    loss = population_loss(Target.of(Z1 + He(2, Z2)), model)
    found = landscape(loss)

    def value(m: mpmath.mpf, eps: mpmath.mpf) -> mpmath.mpf:
        return mpmath.mpf(loss.value({M: sp.Float(str(m), 20), EPS: sp.Float(str(eps), 20)})[0])

    h = 1e-3
    assert float(found.gradient[0]) == pytest.approx((value(h, 0) - value(-h, 0)) / (2 * h), abs=1e-5)
    assert float(found.gradient[1]) == pytest.approx((value(0, h) - value(0, -h)) / (2 * h), abs=1e-5)
    curvature = (value(0, h) - 2 * value(0, 0) + value(0, -h)) / h**2
    mixed = (value(h, h) - value(h, -h) - value(-h, h) + value(-h, -h)) / (4 * h**2)
    assert float(found.hessian[1, 1]) == pytest.approx(curvature, abs=1e-4)
    assert float(found.hessian[0, 1]) == pytest.approx(mixed, abs=1e-4)


RICH = formula_model(sp.exp(Z1 + Z2 / 2), 2)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=3).filter(
        lambda terms: any(i + j for i, j, _ in terms)
    )
)
def test_rich_models_see_the_exponent(terms: list[tuple[int, int, int]]) -> None:
    """Prop. 1: C_b(phi) > 0 for all b, so kappa = SIE = the lowest order of R = the visible order."""
    target = sp.Add(*(c * He(i, Z1) * He(j, Z2) for i, j, c in terms))
    found = landscape_of(target, RICH)
    exponent = information_exponent(Target.of(target, 2)).exponent
    assert found.flatness_index == found.visible.exponent == exponent
    assert exponent is not None
    powers = [p for (p,), _ in sp.Poly(found.loss.expression, M).terms() if p]
    assert min(powers) == exponent


@settings(max_examples=12)
@given(
    st.sampled_from([He(2, Z1) + He(2, Z2), He(3, Z1) - Z2**2, He(2, Z1) * Z2, Z1 + He(3, Z2), He(4, Z1)]),
    st.sampled_from([U**2, U**3 + U**2, sp.exp(U), sp.cos(U)]),
    st.lists(st.integers(-2, 2), min_size=2, max_size=2),
)
def test_encodings_only_lower_the_flatness_index(target: sp.Expr, activation: sp.Expr, column: list[int]) -> None:
    """Lemma 1."""
    model = tied_network(2, activation)
    bare = landscape_of(target, model).flatness_index
    encoded = landscape_of(target, model.with_encoding([column])).flatness_index
    assert bare is None or (encoded is not None and encoded <= bare)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize(
    "target", [Z1 - Z2, Z1**2 - Z2**2, sp.sin(Z1) - sp.sin(Z2), sp.sign(Z1) - sp.sign(Z2)], ids=str
)
def test_antisymmetric_targets_are_invisible_to_tied_models(target: sp.Expr, activation: sp.Expr) -> None:
    """App. E.4 and its Fig. 11: the tied model never learns."""
    found = landscape_of(target, tied_network(2, activation), order=6)
    assert (found.visible.exponent, found.visible.proved) == (None, True)
    assert (found.escape.order, found.escape.proved) == (None, True)
    assert found.flatness_index is None


def test_directions_that_sum_to_zero_are_invisible() -> None:
    """No exchange shows it: z1 - 3 z2 + 2 z3 is constant along (1, 1, 1)."""
    found = landscape_of(sp.erf(Z1 - 3 * Z2 + 2 * Z3), tied_network(3, sp.exp(U)), order=6)
    assert (found.visible.exponent, found.visible.proved) == (None, True)
    assert "linear form along which" in found.visible.reason


def test_third_order_targets_are_invisible_to_relu() -> None:
    """c_3(relu) = 0: SIE 3, and the tied relu model sees nothing of it."""
    target = Target.of(He(3, Z1) + He(3, Z2))
    found = landscape(population_loss(target, tied_network(2, relu(U))))
    assert information_exponent(target).exponent == 3
    assert (found.visible.exponent, found.visible.proved, found.flatness_index) == (None, True, None)
    assert found.escape.proved


@pytest.mark.parametrize("target", [Z1 + Z2, He(3, Z1), sp.sign(Z1), sp.erf(Z1) * Z2**2], ids=str)
def test_odd_targets_need_an_injection_for_linear_attention(target: sp.Expr) -> None:
    """App. D: phi is even, so that only the shift lets odd orders in."""
    blind = landscape_of(target, linear_attention(2)).visible
    assert (blind.exponent, blind.proved) == (None, True)
    seen = landscape_of(target, linear_attention(2).with_injection([1, 1])).visible
    first = Target.of(target, 2)
    assert seen.proved
    assert seen.exponent == (1 if information_exponent(first).exponent == 1 else None)


def test_opposite_parities_are_a_proof() -> None:
    found = landscape_of(sp.sign(Z1), formula_model(sp.cos(Z1) + sp.Abs(Z2), 2), order=4)
    assert (found.visible.proved, found.visible.exponent) == (True, None)
    assert "even and the other odd" in found.visible.reason


def test_an_undecided_visibility_says_so() -> None:
    """Orthogonal at every order, by no rule that is known here: c_k(g) is zero for odd k, c_k(phi) for even k > 0."""
    model = formula_model(sp.sin(Z1 + Z2) + He(2, Z1 - Z2), 2)
    found = landscape_of(sp.cos(Z1 + Z2), model, order=4).visible
    assert (found.exponent, found.proved) == (None, False)
    assert "higher orders were not examined" in found.reason


def test_rows_of_an_encoding_that_depend_are_silent() -> None:
    """Two equal columns: R reads eps1 + eps2 alone, so the flat direction (0, 1, -1) hides no escape."""
    target, model = He(2, Z1) + 1, tied_network(1, sp.cos(U))
    one = landscape_of(target, model.with_encoding([[1]]))
    two = landscape_of(target, model.with_encoding([[1], [1]]))
    assert one.hessian[1, 1] == two.hessian[1, 2] != 0
    for found in (one, two):
        assert (found.escape.order, found.escape.proved) == (None, True)
        assert "positive definite" in found.escape.reason


def test_directions_stay_readable() -> None:
    """The unit gradient is not rationalised, which would multiply its length."""
    found = landscape_of(relu(Z1) + relu(Z2), tied_network(2, sp.exp(U)).with_encoding([[1, 0], [0, 1]]))
    assert found.escape.order == 1
    assert found.escape.direction is not None
    assert math.hypot(*(float(x) for x in found.escape.direction)) == pytest.approx(1)
    for entry in found.escape.direction:
        assert len(str(entry)) < 200


def test_parameters_stay_symbols() -> None:
    w = sp.Symbol("w", real=True)
    found = landscape_of(w * He(2, Z1), linear_attention(1).with_encoding([[1]]))
    assert found.hessian[0, 0] == -8 * w
    assert found.flatness_index == 2
    assert found.escape.reason == "parameters decide: give them values"
    at = landscape(population_loss(Target.of(w * He(2, Z1)).substitute({w: sp.Integer(3)}), linear_attention(1)))
    assert at.hessian[0, 0] == -24
    assert at.escape.order == 2


def test_order_three() -> None:
    """R = const - 2 * 3! m^3 for g = phi = He_3: it decreases for m > 0."""
    found = landscape_of(He(3, Z1), formula_model(He(3, Z1), 1))
    assert found.loss.expression == 12 - 12 * M**3
    assert (found.flatness_index, found.escape.order, found.escape.direction) == (3, 3, (1,))
    opposite = landscape_of(-He(4, Z1), formula_model(He(4, Z1), 1))
    assert (opposite.flatness_index, opposite.escape.order, opposite.escape.proved) == (4, None, True)
