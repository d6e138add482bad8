"""Enclosures, zero tests and sign tests of constants: against mpmath and against identities from any handbook."""

from __future__ import annotations

import flint
import mpmath
import pytest
import sympy as sp
from flint import acb, arb

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, SignProduct, gelu, relu, sigmoid, softmax, softplus
from sie_sym.integrals.balls import evaluate, working_precision
from sie_sym.integrals.enclosure import decide_sign, decide_zero, enclose

R = sp.Rational
a, b = sp.symbols("a b", real=True)


def as_mpf(ball: arb, context: mpmath.ctx_mp.MPContext) -> mpmath.mpf:
    mantissa, exponent = ball.mid().man_exp()
    return context.mpf(int(mantissa)) * context.mpf(2) ** int(exponent)


def context_with(digits: int) -> mpmath.ctx_mp.MPContext:
    context = mpmath.MPContext()
    context.dps = digits
    return context


MPMATH_VALUES = {
    sp.sqrt(2) + sp.pi: lambda c: c.sqrt(2) + c.pi,
    sp.exp(R(1, 3)) * sp.log(5): lambda c: c.exp(c.mpf(1) / 3) * c.log(5),
    sp.sin(2) * sp.cos(3) + sp.tan(1): lambda c: c.sin(2) * c.cos(3) + c.tan(1),
    sp.sinh(1) * sp.cosh(2) * sp.tanh(3): lambda c: c.sinh(1) * c.cosh(2) * c.tanh(3),
    sp.erf(R(1, 2)) + sp.erfc(2): lambda c: c.erf(c.mpf(1) / 2) + c.erfc(2),
    sp.erfi(R(3, 2)): lambda c: c.erfi(c.mpf(3) / 2),
    -sp.I * sp.erf(2 * sp.I): lambda c: c.erfi(2),
    sp.asin(R(1, 3)) + sp.acos(R(1, 7)) + sp.atan(5): lambda c: c.asin(c.mpf(1) / 3) + c.acos(c.mpf(1) / 7) + c.atan(5),
    sp.Integer(2) ** R(2, 3) * sp.Integer(3) ** R(-1, 5): lambda c: c.mpf(2) ** (c.mpf(2) / 3) / c.root(3, 5),
    sp.pi**sp.E: lambda c: c.pi**c.e,
    Phi(R(-5, 2)): lambda c: c.ncdf(-2.5),
    sigmoid(R(-5, 2)): lambda c: 1 / (1 + c.exp(2.5)),
    softplus(sp.sqrt(3)): lambda c: c.log(1 + c.exp(c.sqrt(3))),
    gelu(R(3, 4)): lambda c: 0.75 * c.ncdf(0.75),
    relu(sp.pi - 3) + relu(3 - sp.pi): lambda c: c.pi - 3,
    He(5, sp.sqrt(2)): lambda c: c.sqrt(2) ** 5 - 10 * c.sqrt(2) ** 3 + 15 * c.sqrt(2),
    softmax(2, sp.Integer(1), sp.sqrt(2), sp.pi): lambda c: c.exp(c.sqrt(2)) / (c.e + c.exp(c.sqrt(2)) + c.exp(c.pi)),
    sp.Max(sp.exp(1), sp.pi, 3) - sp.Min(sp.sqrt(2), R(141, 100)): lambda c: c.pi - c.mpf(141) / 100,
    sp.Abs(sp.erf(1) - sp.erf(2)): lambda c: c.erf(2) - c.erf(1),
    sp.sign(sp.log(2) - R(7, 10), evaluate=False) + sp.Heaviside(sp.pi - 3): lambda c: c.mpf(0),
}


@pytest.mark.parametrize("expression", MPMATH_VALUES, ids=str)
def test_a_ball_contains_the_value_and_is_narrow(expression: sp.Expr) -> None:
    context = context_with(60)
    expected = MPMATH_VALUES[expression](context)
    ball = enclose(expression, 128)
    distance = abs(as_mpf(ball, context) - expected)
    assert distance <= float(ball.rad()) + 1e-55
    assert float(ball.rad()) < 1e-35


@pytest.mark.parametrize(("h", "k", "rho"), [(R(1, 3), R(-1, 5), R(2, 3)), (1, 2, R(-9, 10)), (0, R(1, 2), R(1, 4))])
def test_sign_product_against_the_conditional_integral(h: sp.Expr, k: sp.Expr, rho: sp.Expr) -> None:
    """E sign(h + Z) erf((k + rho Z)/sqrt(2 (1 - rho^2))), split at the kink: mpmath quadrature."""
    c = context_with(30)
    hm, km, rm = (c.mpf(v.p) / v.q for v in map(sp.Rational, (h, k, rho)))

    def integrand(z: mpmath.mpf) -> mpmath.mpf:
        return c.npdf(z) * c.sign(hm + z) * c.erf((km + rm * z) / c.sqrt(2 * (1 - rm**2)))

    expected = c.quad(integrand, [-12, -hm, 12])
    assert abs(as_mpf(enclose(SignProduct(h, k, rho)), c) - expected) < 1e-25


@pytest.mark.parametrize("rho", [1, -1])
def test_sign_product_at_full_correlation(rho: int) -> None:
    near = enclose(SignProduct(R(1, 3), R(1, 5), rho * (1 - R(1, 10**8))))
    assert abs(float(near) - float(enclose(SignProduct(R(1, 3), R(1, 5), rho)))) < 1e-3


@pytest.mark.parametrize(
    "zero",
    [
        sp.sqrt(2 + sp.sqrt(3)) - (sp.sqrt(6) + sp.sqrt(2)) / 2,
        sp.sqrt(5 + 2 * sp.sqrt(6)) - sp.sqrt(2) - sp.sqrt(3),
        sp.cos(sp.pi / 7) - sp.cos(2 * sp.pi / 7) + sp.cos(3 * sp.pi / 7) - R(1, 2),
        sp.log(6) - sp.log(2) - sp.log(3),
        sp.pi * (sp.sqrt(2) + 1) * (sp.sqrt(2) - 1) - sp.pi,
        Phi(1) + Phi(-1) - 1,
        Phi(sp.sqrt(2)) - (1 + sp.erf(1)) / 2,
        sigmoid(3) + sigmoid(-3) - 1,
        sp.exp(2) * sp.exp(R(-1, 2), evaluate=False) - sp.exp(R(3, 2)),
        sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1,
        sp.sinh(a) * sp.tanh(a / 2) - sp.cosh(a) + 1,
        softplus(a) - softplus(-a) - a,
        softmax(1, a, b, a * b) + softmax(2, a, b, a * b) + softmax(3, a, b, a * b) - 1,
        relu(a) + relu(-a) - sp.Abs(a),
        sp.Max(a, b) + sp.Min(a, b) - a - b,
        sp.erf(sp.I * a) - sp.I * sp.erfi(a),
        SignProduct(a, b, R(1, 3)) + SignProduct(-b, a, R(-1, 3)),
        1 / (1 + a) - (1 - a) / (1 - a**2),
        1 / (1 + 1 / (1 + a)) - (1 + a) / (2 + a),
        a / sp.sqrt(1 + a**2) - a * sp.sqrt(1 + a**2) / (1 + a**2),
        He(4, a) - a**4 + 6 * a**2 - 3,
    ],
    ids=str,
)
def test_zeros_are_proved(zero: sp.Expr) -> None:
    assert decide_zero(zero) is True
    assert decide_zero(zero + R(1, 10**30)) is False


@pytest.mark.parametrize(
    "value",
    [
        sp.exp(sp.pi * sp.sqrt(163)) - 262537412640768744,
        sp.erf(1) ** 2 - R(71, 100),
        a - b,
        sp.Abs(a) - a,
        a**2,
    ],
)
def test_non_zeros_are_proved(value: sp.Expr) -> None:
    assert decide_zero(value) is False


def test_rationals_and_what_cannot_be_decided() -> None:
    assert decide_zero(sp.Integer(0)) is True
    assert decide_zero(R(-3, 7)) is False
    f = sp.Function("f")
    assert decide_zero(f(a) - f(a) + f(b)) is None
    assert decide_zero(2 * f(a * (1 + b)) - 2 * f(a + a * b)) is True
    # sqrt((1 - a)(1 + a)) = sqrt(1 - a) sqrt(1 + a) on (-1, 1) only: no claim in either direction.
    assert decide_zero(sp.sqrt(1 - a**2) - sp.sqrt(1 - a) * sp.sqrt(1 + a)) is None


def test_parameters_keep_their_assumptions() -> None:
    p = sp.Symbol("p", positive=True)
    n = sp.Symbol("n", negative=True)
    k = sp.Symbol("k", integer=True)
    assert decide_zero(sp.Abs(p, evaluate=False) - p) is not False
    assert decide_zero(relu(n)) is not False
    assert decide_zero(sp.sin(sp.pi * k, evaluate=False)) is not False


def test_signs() -> None:
    assert decide_sign(R(-1, 3)) == -1
    assert decide_sign(sp.exp(sp.pi) - sp.pi**sp.E) == 1
    assert decide_sign(sp.sqrt(2 + sp.sqrt(3)) - (sp.sqrt(6) + sp.sqrt(2)) / 2) == 0
    # 1 - 10^-60 apart: needs 256 bits.
    assert decide_sign(sp.sqrt(2) - sp.sqrt(2 + R(1, 10**60))) == -1
    with pytest.raises(NoClosedForm, match="free symbols"):
        decide_sign(a)


def test_errors_name_the_object() -> None:
    with pytest.raises(NoClosedForm, match="symbol a has no value"):
        enclose(a + 1)
    with pytest.raises(NoClosedForm, match="zeta"):
        enclose(sp.zeta(3))
    with pytest.raises(DomainError, match="not real"):
        enclose(sp.sqrt(-2) + 1)
    with pytest.raises(DomainError, match="finite"):
        enclose(1 / (sp.sin(1) ** 2 + sp.cos(1) ** 2 - 1))


def test_a_tiny_denominator_gets_more_bits() -> None:
    value = enclose(1 / (sp.sqrt(2) - sp.sqrt(2 + R(1, 10**60))), 64)
    assert value < -1e59


def test_precision_does_not_leak() -> None:
    before = flint.ctx.prec
    enclose(sp.pi, 300)
    with pytest.raises(NoClosedForm):
        enclose(sp.zeta(3), 300)
    with working_precision(99):
        assert flint.ctx.prec == 99
    assert flint.ctx.prec == before


def test_integrand_without_the_analytic_flag_is_enclosed_falsely() -> None:
    """trap 14: int_{-1}^{1} sign(z - 3/10) phi(z) dz, true value 1 - 2 Phi(3/10) = -0.2358."""
    z = sp.Symbol("z", real=True)
    integrand = sp.sign(z - R(3, 10)) * sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    half = sp.erf(R(3, 10) / sp.sqrt(2))
    exact = enclose(-half)
    with working_precision(64):
        honest = acb.integral(lambda x, flag: evaluate(integrand, {z: x}, flag), -8, 8).real
        broken = acb.integral(lambda x, flag: evaluate(integrand, {z: x}, False), -8, 8).real
    assert abs(honest - exact).upper() < 1e-9
    assert not broken.overlaps(exact)


@pytest.mark.parametrize(
    "expression",
    [
        sp.log(a),
        sp.sqrt(a),
        a ** R(1, 3),
        sp.Abs(a),
        sp.sign(a),
        relu(a),
        sp.Max(a, a**2),
        sp.asin(1 + a),
        sp.acos(1 + a),
        sp.Heaviside(a),
        softplus(a + sp.I * sp.pi),
        sp.atan(sp.I + a),
    ],
    ids=str,
)
def test_the_analytic_flag_refuses_balls_that_meet_a_kink_or_cut(expression: sp.Expr) -> None:
    with working_precision(64):
        wide = acb(arb(0, "0.1"), arb(0, "0.1"))
        assert not evaluate(expression, {a: wide}, analytic=True).is_finite()
        away = acb(arb("0.4", "0.01"), arb(0, "0.01"))
        if expression.has(sp.asin, sp.acos, softplus):
            away = acb(arb("-0.4", "0.01"), arb(0, "0.01"))
        assert evaluate(expression, {a: away}, analytic=True).is_finite()


def test_kinks_at_the_kink() -> None:
    assert evaluate(sp.Heaviside(a), {a: acb(0)}).real == arb("0.5")
    straddling = acb(arb(0, "0.1"))
    for value in (0, 1, "0.5"):
        assert evaluate(sp.Heaviside(a), {a: straddling}).contains(acb(arb(value)))
    assert evaluate(a ** R(1, 3), {a: straddling}).contains(acb(arb("0.1") ** arb(flint.fmpq(1, 3))))
