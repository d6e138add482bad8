"""Functions without a closed form: exponents with their evidence, closed forms the nodes find, when integrals run."""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp
from independent import coefficient_by_quadrature

import sie_sym.integrals.gaussian_enclosure
from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import information_exponent
from sie_sym.functions import He, sigmoid, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.hermite import MultiIndex
from sie_sym.landscape import landscape
from sie_sym.model import formula_model, tied_network
from sie_sym.population_loss import population_loss
from sie_sym.quadratures.measure import measure
from sie_sym.target import Target
from sie_sym.transforms.integral import Integral

Z1, Z2, Z3 = (token(l) for l in range(1, 4))
U = sp.Symbol("u", real=True)
S11 = sigmoid(Z1 * (Z1 - Z2))
TRACE = S11 + sigmoid(Z2 * (Z2 - Z1))


def coefficient(h: sp.Expr, alpha: MultiIndex) -> sp.Expr:
    return HermiteExpansion.of((h,), 2).coefficient(alpha)[0].value


# ---- exponents and what they rest on


@pytest.mark.parametrize(
    ("target", "exponent", "evidence"),
    [
        (sp.tanh(Z1) * He(2, Z2), 3, Evidence.ENCLOSED),
        (sp.tanh(Z1) ** 2 - sp.tanh(Z2) ** 2, 2, Evidence.ENCLOSED),
        (S11, 2, Evidence.EXACT),  # C_(2,0) = sqrt2/8
        (sp.tanh(Z1) + Z2, 1, Evidence.EXACT),  # z2 proves it
        (sp.tanh(Z1) + He(2, Z2), 1, Evidence.ENCLOSED),
        (sp.tanh(Z1 * Z2) - sp.tanh(Z1 * Z2), None, Evidence.EXACT),
    ],
)
def test_exponents(target: sp.Expr, exponent: int | None, evidence: Evidence) -> None:
    found = information_exponent(Target.of(target, 2))
    assert (found.exponent, found.evidence) == (exponent, evidence)


@pytest.mark.parametrize("digits", [12, 18, 25])
def test_a_coefficient_that_nearly_cancels_is_not_zero(digits: int) -> None:
    """tanh(z) - q z with q = E[z tanh z] to some digits: C_1 is 10^-digits, not 0, and the SIE 1, not 3."""
    context = mpmath.MPContext()
    context.dps = 40
    slope = context.quad(lambda x: context.tanh(x) * x * context.npdf(x), [-20, -5, -2, 0, 2, 5, 20])
    near = sp.Rational(context.nstr(slope, digits))
    found = information_exponent(Target.of(sp.tanh(Z1) - near * Z1))
    assert (found.exponent, found.evidence) == (1, Evidence.ENCLOSED)


def test_what_landscapes_and_losses_rest_on() -> None:
    exact = population_loss(Target.of(He(2, Z1)), formula_model(Z1**2, 1))
    assert (exact.evidence, landscape(exact).evidence, landscape(exact).escape.evidence) == (Evidence.EXACT,) * 3
    integral = population_loss(Target.of(Z1), tied_network(1, sp.tanh(U)))
    found = landscape(integral)
    assert (integral.evidence, found.evidence, found.escape.evidence) == (Evidence.ENCLOSED,) * 3
    assert (found.escape.order, found.escape.kind) == (1, "semantic")
    three = formula_model(sp.tanh(Z1 * Z2 * Z3), 3)
    assert population_loss(Target.of(Z1 * Z2 * Z3), three).evidence is Evidence.NUMERICAL
    # truncated, but in closed form otherwise
    cut = population_loss(Target.of(sp.Abs(Z1)), formula_model(sp.Abs(Z1), 1))
    assert cut.evidence is Evidence.ENCLOSED


# ---- the logistic identities


def test_closed_forms_of_two_token_softmax() -> None:
    """Theory section 9; the numbers by mpmath and Gauss-Hermite below."""
    assert coefficient(S11, ()) == 1 - sp.sqrt(2) / 4
    assert coefficient(S11, ((1, 2),)) == sp.sqrt(2) / 8
    assert coefficient(TRACE, ()) == 2 - sp.sqrt(2) / 2
    # C_cc, c = (1, -1): in the tokens y = ((z1 - z2)/sqrt2, (z1 + z2)/sqrt2) it is |c|^2 C_(2,0)
    half = 1 / sp.sqrt(2)
    for h, along in ((S11, sp.sqrt(2) / 4), (TRACE, 1 / sp.sqrt(2))):
        rotated = h.subs({Z1: half * (Z1 + Z2), Z2: half * (Z2 - Z1)}, simultaneous=True)
        assert sp.expand(2 * coefficient(rotated, ((1, 2),)) - along) == 0
    assert coefficient(S11, ((1, 1), (2, 1))).has(GaussianExpectation)  # E[S11 z1 z2] has no closed form here


@pytest.mark.slow
def test_coefficients_by_two_dimensional_mpmath() -> None:
    context = mpmath.MPContext()

    def integrand(x: mpmath.mpf, y: mpmath.mpf) -> mpmath.mpf:
        return x * y / (1 + context.exp(-x * (x - y))) * context.npdf(x) * context.npdf(y)

    panels = [-8, -4, 0, 4, 8]
    value = float(context.quad(integrand, panels, panels, maxdegree=4))
    found = measure(coefficient(S11, ((1, 1), (2, 1))))
    assert value == pytest.approx(-0.1062875009, abs=5e-11)  # theory section 9
    assert abs(found.value - value) < 1e-10
    assert found.error < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha", "printed"),
    [
        (((1, 2),), 0.1409783888),
        (((1, 1), (2, 1)), -0.2125750018),
        (((1, 4),), -0.2402565161),  # theory section 9 prints ...164, a misprint
        (((1, 2), (2, 2)), -0.0800855054),
        (((1, 3), (2, 1)), 0.1450367849),  # printed ...848, cut off: it is 0.14503678487
    ],
)
def test_coefficients_of_the_trace(alpha: MultiIndex, printed: float) -> None:
    """Theory section 9, and Gauss-Hermite rules of 200 nodes (which see softmax to about 1e-8)."""
    found = measure(coefficient(TRACE, alpha))
    assert found.evidence is Evidence.ENCLOSED
    assert abs(found.value - printed) < 6e-11
    assert found.error < 1e-8
    degrees = dict(alpha)
    dense = [degrees.get(1, 0), degrees.get(2, 0)]
    assert found.value == pytest.approx(coefficient_by_quadrature(TRACE, dense, 200), abs=1e-7)


# ---- the interface


def test_scale_shift_and_parity() -> None:
    e = sp.Symbol("e", real=True)
    smoothed = Integral.of(sp.tanh(U + e), [U], sp.Integer(4), [e])
    assert smoothed.parity_degrees == (None, None)
    centred = Integral.of(sp.tanh(U), [U], sp.Integer(4))
    assert centred.parity_degrees == (-1, None)
    assert centred.coefficient({1: 2}) == 0
    # d/du E tanh(u + 2 Z) = E tanh'(2 Z)
    context = mpmath.MPContext()
    slope = context.quad(lambda x: context.sech(2 * x) ** 2 * context.npdf(x), [-10, -1, 0, 1, 10])
    assert measure(centred.coefficient({1: 1})).value == pytest.approx(float(slope), abs=1e-12)
    at_mean = smoothed.coefficient({1: 1}).subs(e, sp.Rational(1, 2))
    moved = context.quad(lambda x: context.sech(2 * x + 0.5) ** 2 * context.npdf(x), [-10, -1, 0, 1, 10])
    assert measure(at_mean).value == pytest.approx(float(moved), abs=1e-12)
    assert smoothed.function([Z1]) == sp.tanh(Z1 + e)
    second = context.quad(lambda x: context.tanh(2 * x) ** 2 * context.npdf(x), [-10, -1, 0, 1, 10])
    assert measure(centred.second_moment()).value == pytest.approx(float(second), abs=1e-12)


def test_what_grows_too_fast_is_refused() -> None:
    with pytest.raises(DomainError):
        Integral.of(sp.tanh(U) * sp.exp(U**2), [U])
    tame = Integral.of(sp.tanh(U) * sp.exp(U**2 / 3), [U])
    assert not tame.square_integrable
    assert Integral.of(sp.tanh(U), [U]).square_integrable


# ---- one canonical form, and no integration before it is asked for


def test_names_and_order_of_tokens_do_not_matter() -> None:
    h = sigmoid(Z1 * (Z1 - Z2))
    swapped = h.subs({Z1: Z2, Z2: Z1}, simultaneous=True)
    renamed = h.subs({Z1: token(7), Z2: Z3}, simultaneous=True)
    first = GaussianExpectation(h, {}, {1: 1, 2: 1})
    assert first == GaussianExpectation(swapped, {}, {1: 1, 2: 1}) == GaussianExpectation(renamed, {}, {7: 1, 3: 1})
    assert first != GaussianExpectation(h, {}, {1: 3, 2: 1})


def test_symmetry_and_expansion() -> None:
    assert GaussianExpectation(sp.tanh(Z1), {}, {}) == 0
    assert GaussianExpectation(sp.tanh(Z1 * Z2), {}, {1: 2}) == 0
    node = GaussianExpectation(sigmoid(Z1 * (Z1 - Z2)), {}, {1: 1, 2: 1})
    assert isinstance(node, GaussianExpectation)
    assert sp.expand((node + 1) ** 2) == node**2 + 2 * node + 1
    assert sp.expand(node).args == node.args
    assert sp.factor(sp.expand(node * (node + 1))) == node * (node + 1)


def test_printing_and_assumptions_never_integrate(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[GaussianExpectation] = []
    afresh = sie_sym.integrals.gaussian_enclosure._enclose_afresh

    def counted(node: GaussianExpectation, bits: int, below: int) -> object:
        calls.append(node)
        return afresh(node, bits, below)

    monkeypatch.setattr(sie_sym.integrals.gaussian_enclosure, "_enclose_afresh", counted)
    sie_sym.integrals.gaussian_enclosure._finest_balls.cache_clear()
    node = GaussianExpectation(sp.tanh(Z1) ** 4, {}, {1: 2})
    value = 3 * node**2 - sp.sqrt(2) * node + 1
    for ask in (str, sp.srepr, sp.latex, sp.expand, sp.factor_terms, hash, sp.count_ops):
        ask(value)
    loss = population_loss(Target.of(He(2, Z1)), tied_network(1, sp.tanh(U) ** 2))
    for fact in ("is_real", "is_positive", "is_zero", "is_nonnegative", "is_finite", "is_number", "is_constant"):
        answer = getattr(value, fact)
        if callable(answer) and fact != "is_constant":
            answer()
    assert sorted([value, node, 2 * node], key=sp.default_sort_key)
    assert loss.expression.has(GaussianExpectation)
    assert calls == []
    assert sp.N(node) > 0
    assert len(calls) > 0
