"""The closed class against 25-digit quadrature, split at the kinks, of functions written again in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import mpmath
import pytest
import sympy as sp

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, SignProduct, gelu, relu
from sie_sym.integrals.enclosure import decide_zero, enclose
from sie_sym.integrals.vanishing import vanishes_identically
from sie_sym.transforms.normal_form import normal_form, vanishes_on_null_set
from sie_sym.transforms.real_roots import real_roots
from sie_sym.transforms.smooth_sign import SmoothSign, merge_signs
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.tilted import positive_definite, real_part

x, y, u = sp.symbols("x y u", real=True)
a, b, c = sp.symbols("a b c", real=True)
s = sp.Symbol("s", positive=True)
R = sp.Rational
Function = Callable[[mpmath.mpf], mpmath.mpf]

mp = mpmath.MPContext()
mp.dps = 32


def step(t: mpmath.mpf) -> mpmath.mpf:
    return mp.mpf(t > 0)


def hinge(t: mpmath.mpf) -> mpmath.mpf:
    return t if t > 0 else mp.mpf(0)


def gaussian_mean(f: Function, mean: sp.Rational, variance: sp.Rational, kinks: Sequence[float] = ()) -> mpmath.mpf:
    """E f(mean + sqrt(variance) Z) by quadrature on pieces without kinks; beyond 16 deviations nothing is left."""
    center, deviation = mp.mpf(mean.p) / mean.q, mp.sqrt(mp.mpf(variance.p) / variance.q)
    ends = sorted({center + deviation * n for n in range(-16, 17, 4)} | {mp.mpf(k) for k in kinks})

    def integrand(t: mpmath.mpf) -> mpmath.mpf:
        z = (t - center) / deviation
        return f(t) * mp.exp(-z * z / 2) / (deviation * mp.sqrt(2 * mp.pi))

    return mp.quad(integrand, ends)


def value(expression: sp.Expr) -> mpmath.mpf:
    return mp.mpf(enclose(expression, 128).mid().str(40, radius=False))


def close(left: mpmath.mpf, right: mpmath.mpf) -> bool:
    return bool(abs(left - right) < mp.mpf(10) ** -25 * (1 + abs(right)))


THIRD, ROOT = mp.mpf(1) / 3, mp.sqrt(2)

ATOMS: dict[str, tuple[sp.Expr, Function, Sequence[float]]] = {
    "exp": (sp.exp(-2 * x / 3 + 1), lambda t: mp.exp(-2 * t / 3 + 1), ()),
    "cos": (sp.cos(2 * x + 1), lambda t: mp.cos(2 * t + 1), ()),
    "sin": (3 * sp.sin(1 - x), lambda t: 3 * mp.sin(1 - t), ()),
    "bell": (sp.exp(-2 * x**2 + x), lambda t: mp.exp(-2 * t * t + t), ()),
    "chirp": (sp.cos(x**2 - x), lambda t: mp.cos(t * t - t), ()),
    "step": (sp.Heaviside(1 - 3 * x), lambda t: step(1 - 3 * t), (THIRD,)),
    "sign": (sp.sign(2 * x - 1), lambda t: mp.sign(2 * t - 1), (0.5,)),
    "relu": (relu(1 - 2 * x), lambda t: hinge(1 - 2 * t), (0.5,)),
    "abs": (sp.Abs(3 * x + 2), lambda t: abs(3 * t + 2), (-2 * THIRD,)),
    "erf": (sp.erf(1 - 2 * x), lambda t: mp.erf(1 - 2 * t), ()),
    "Phi": (Phi(x / 2 + 1), lambda t: mp.ncdf(t / 2 + 1), ()),
    "gelu": (gelu(1 - 2 * x), lambda t: (1 - 2 * t) * mp.ncdf(1 - 2 * t), ()),
    "power": (x**5 - x**2, lambda t: t**5 - t**2, ()),
    "Hermite": (He(4, 2 * x - 1), lambda t: (2 * t - 1) ** 4 - 6 * (2 * t - 1) ** 2 + 3, ()),
    "Hermite of relu": (He(2, relu(x)), lambda t: hinge(t) ** 2 - 1, (0,)),
    "cosh": (x * sp.cosh(x / 2), lambda t: t * mp.cosh(t / 2), ()),
    "sinh": (sp.sinh(x - 1), lambda t: mp.sinh(t - 1), ()),
    "power erf": (x**3 * sp.erf(x), lambda t: t**3 * mp.erf(t), ()),
    "power relu": ((x**2 - 1) * relu(x + 1), lambda t: (t * t - 1) * hinge(t + 1), (-1,)),
    "exp sign": (sp.exp(x) * sp.sign(x - 1), lambda t: mp.exp(t) * mp.sign(t - 1), (1,)),
    "bell relu": (x * sp.exp(-(x**2)) * relu(x), lambda t: t * mp.exp(-t * t) * hinge(t), (0,)),
    "sin sign": (sp.sin(x) * sp.sign(x - R(1, 2)), lambda t: mp.sin(t) * mp.sign(t - 0.5), (0.5,)),
    "x cos relu": (x * sp.cos(2 * x) * relu(x), lambda t: t * mp.cos(2 * t) * hinge(t), (0,)),
    "chirp sign": (sp.cos(x**2) * sp.sign(x), lambda t: mp.cos(t * t) * mp.sign(t), (0,)),
    "cos erf": (sp.cos(x) * sp.erf(x - 1), lambda t: mp.cos(t) * mp.erf(t - 1), ()),
    "erf squared": (sp.erf(x) ** 2, lambda t: mp.erf(t) ** 2, ()),
    "erf times erf": (sp.erf(x) * sp.erf(1 - 2 * x), lambda t: mp.erf(t) * mp.erf(1 - 2 * t), ()),
    "sign erf": (sp.sign(x - 1) * sp.erf(x), lambda t: mp.sign(t - 1) * mp.erf(t), (1,)),
    "relu erf": (relu(1 - x) * sp.erf(x), lambda t: hinge(1 - t) * mp.erf(t), (1,)),
    "two relus": (relu(x) * relu(x - 1), lambda t: hinge(t) * hinge(t - 1), (0, 1)),
    "opposed relus": (relu(x) * relu(2 - x), lambda t: hinge(t) * hinge(2 - t), (0, 2)),
    "three signs": (
        sp.sign(x) * sp.sign(x + 1) * sp.sign(1 - 2 * x),
        lambda t: mp.sign(t) * mp.sign(t + 1) * mp.sign(1 - 2 * t),
        (-1, 0, 0.5),
    ),
    "sign of a square": (sp.sign(x**2 - 2), lambda t: mp.sign(t * t - 2), (-ROOT, ROOT)),
    "sign of a cubic": (sp.sign(x**3 - x), lambda t: mp.sign(t**3 - t), (-1, 0, 1)),
    "abs of a square": (
        sp.Abs(x**2 + x - 1),
        lambda t: abs(t * t + t - 1),
        ((-1 - mp.sqrt(5)) / 2, (mp.sqrt(5) - 1) / 2),
    ),
    "abs of abs": (sp.Abs(sp.Abs(x) - 1), lambda t: abs(abs(t) - 1), (-1, 0, 1)),
    "relu of relu": (relu(1 - relu(x - 1)), lambda t: hinge(1 - hinge(t - 1)), (1, 2)),
    "sign of relu": (sp.sign(relu(x - 1)), lambda t: step(t - 1), (1,)),
    "sign of relu squared": (sp.sign(relu(x) ** 2), lambda t: step(t), (0,)),
    "sign of Max": (sp.sign(sp.Max(0, x)), lambda t: step(t), (0,)),
    "sign of |relu|": (sp.sign(sp.Abs(relu(x))), lambda t: step(t), (0,)),
    "sign of step": (sp.sign(sp.Heaviside(x) - R(1, 3)), lambda t: mp.sign(t), (0,)),
    "relu power": (relu(x) ** 3, lambda t: hinge(t) ** 3, (0,)),
    "abs power": (sp.Abs(x - 1) ** 3, lambda t: abs(t - 1) ** 3, (1,)),
    "max": (sp.Max(x, 1 - x, 2), lambda t: max(t, 1 - t, mp.mpf(2)), (-1, 2)),
    "min": (sp.Min(x, x**2), lambda t: min(t, t * t), (0, 1)),
    "clip": (sp.Min(1, sp.Max(-1, x)), lambda t: min(mp.mpf(1), max(mp.mpf(-1), t)), (-1, 1)),
    "max of abs": (sp.Max(sp.Abs(x), 1), lambda t: max(abs(t), mp.mpf(1)), (-1, 0, 1)),
}


@pytest.mark.parametrize("name", ATOMS)
def test_closed_forms_agree_with_quadrature(name: str) -> None:
    expression, f, kinks = ATOMS[name]
    for mean, variance in ((R(0), R(1)), (R(-3, 5), R(7, 4))):
        smoothed = Smoothed.of(expression, [x], variance)
        closed = smoothed.expression([u]).subs(u, mean)
        assert close(value(closed), gaussian_mean(f, mean, variance, kinks))


@pytest.mark.parametrize("name", ATOMS)
def test_derivatives_at_zero_are_hermite_coefficients(name: str) -> None:
    """d^k/du^k G_s f (0) = E f(x) He_k(x/sqrt s)/s^{k/2}, by quadrature, and by differentiating the closed form."""
    expression, f, kinks = ATOMS[name]
    variance, k = R(7, 4), 3
    smoothed = Smoothed.of(expression, [x], variance)
    found = smoothed.derivatives(k)
    assert len(found) == k + 1
    q = mp.mpf(7) / 4
    hermite = gaussian_mean(lambda t: f(t) * (t**3 - 3 * q * t) / q**3, R(0), variance, kinks)
    assert close(value(found[k]), hermite)
    assert close(value(found[1]), gaussian_mean(lambda t: f(t) * t / q, R(0), variance, kinks))
    assert close(value(found[2]), value(sp.diff(smoothed.expression([u]), u, 2).subs(u, 0)))


def normal_cdf(t: sp.Expr) -> sp.Expr:
    return (1 + sp.erf(t / sp.sqrt(2))) / 2


def density(t: sp.Expr) -> sp.Expr:
    return sp.exp(-(t**2) / 2) / sp.sqrt(2 * sp.pi)


w = (u - c) / sp.sqrt(s)
TABLE = {
    "exp": (sp.exp(a * x), sp.exp(a * u + a**2 * s / 2)),
    "cos": (sp.cos(a * x), sp.exp(-(a**2) * s / 2) * sp.cos(a * u)),
    "sin": (sp.sin(a * x), sp.exp(-(a**2) * s / 2) * sp.sin(a * u)),
    "bell": (sp.exp(-b * x**2), sp.exp(-b * u**2 / (1 + 2 * b * s)) / sp.sqrt(1 + 2 * b * s)),
    "step": (sp.Heaviside(x - c), normal_cdf(w)),
    "sign": (sp.sign(x - c), sp.erf((u - c) / sp.sqrt(2 * s))),
    "relu": (relu(x - c), (u - c) * normal_cdf(w) + sp.sqrt(s) * density(w)),
    "abs": (sp.Abs(x - c), (u - c) * sp.erf((u - c) / sp.sqrt(2 * s)) + 2 * sp.sqrt(s) * density(w)),
    "erf": (sp.erf(a * x), sp.erf(a * u / sp.sqrt(1 + 2 * a**2 * s))),
    "Phi": (Phi(a * x), normal_cdf(a * u / sp.sqrt(1 + a**2 * s))),
    "power": (x**4, u**4 + 6 * s * u**2 + 3 * s**2),
    "Stein": (x * sp.sign(x), u * sp.erf(u / sp.sqrt(2 * s)) + 2 * sp.sqrt(s) * density(u / sp.sqrt(s))),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_closed_forms_holds_with_parameters(name: str) -> None:
    """The formulas of the table, parameters and variance symbolic."""
    h, expected = TABLE[name]
    found = Smoothed.of(h, [x], s).expression([u])
    if name in ("step", "relu", "sign", "abs", "Stein", "power"):
        assert vanishes_identically(found - expected)
    values = {u: R(1, 3), c: R(-2, 5), a: R(3, 7), b: R(2, 9), s: R(5, 4)}
    assert close(value(found.subs(values)), value(expected.subs(values)))
    assert decide_zero(found - expected) is not False


def test_thresholds_may_be_parameters() -> None:
    found = Smoothed.of(sp.Heaviside(x - a) * sp.sign(b - x), [x]).expression([u])
    for low, high in ((-0.25, 0.5), (0.5, -0.25), (0.25, 0.25)):
        values = {a: sp.Rational(low), b: sp.Rational(high), u: R(1, 5)}
        expected = gaussian_mean(lambda t: step(t - low) * mp.sign(high - t), R(1, 5), R(1), (low, high))  # noqa: B023
        assert close(value(found.subs(values)), expected)


def test_trigonometric_results_are_real_and_say_so() -> None:
    plain = Smoothed.of(sp.cos(2 * x + 1) + sp.sin(x) ** 2, [x]).expression([u])
    assert not plain.has(sp.I)
    assert vanishes_identically(plain - sp.exp(-2) * sp.cos(2 * u + 1) - (1 - sp.exp(-2) * sp.cos(2 * u)) / 2)
    kinked = Smoothed.of(sp.sin(x) * sp.sign(x - R(1, 2)), [x])
    assert enclose(kinked.expression([R(1, 3)])).rad() < 1e-30
    assert all(enclose(entry).is_finite() for entry in kinked.derivatives(4))


def test_phases_of_many_variables_add_up() -> None:
    """cos(x1^2 + .. + xn^2) is Re (1 - 2i)^(-n/2): for n > 2 the principal root of the determinant is another."""
    for n in (1, 2, 3, 5):
        variables = sp.symbols(f"x1:{n + 1}", real=True)
        found = Smoothed.of(sp.cos(sp.Add(*(v**2 for v in variables))), variables).expression([sp.Integer(0)] * n)
        expected = mp.re((1 / mp.sqrt(mp.mpc(1, -2))) ** n)
        assert close(value(found), expected)


def test_high_derivatives_stay_short() -> None:
    """The 16th derivative of a shifted Gaussian: a polynomial of nine terms; not expanded it had 17,546 operations."""
    (term,) = Smoothed.of(sp.exp(-((x + a) ** 2) / 12), [x]).terms
    assert sp.count_ops(term.derivatives(16)[16]) < 100


def test_readable_forms() -> None:
    assert Smoothed.of(sp.Abs(x - 1), [x]).expression([u]) == (u - 1) * sp.erf(sp.sqrt(2) * (u - 1) / 2) + sp.sqrt(
        2
    ) * sp.exp(-((u - 1) ** 2) / 2) / sp.sqrt(sp.pi)
    coupled = Smoothed.of(x * relu(x + y), [x, y]).expression([x, y])
    assert len(coupled.atoms(sp.erf)) == len(coupled.atoms(sp.exp)) == 1
    assert len(coupled.args) <= 5


def test_sharp_parallel_signs_merge_exactly() -> None:
    zero = sp.Integer(0)
    up, down = SmoothSign((sp.Integer(1),), sp.Integer(-1), zero), SmoothSign((sp.Integer(1),), sp.Integer(2), zero)
    assert merge_signs([up, up]) == {(): 1}
    assert merge_signs([up, down]) == {(): 1, (up,): 1, (down,): -1}
    assert merge_signs([up, down, up]) == merge_signs([down])
    noisy = SmoothSign((sp.Integer(1),), zero, R(1, 2))
    assert merge_signs([noisy, noisy]) == {(noisy, noisy): 1}  # two independent noises


@pytest.mark.parametrize(
    ("left", "right", "product"),
    [
        (sp.sqrt(2) * x + 2 * y, x + sp.sqrt(2) * y, 1),
        ((1 + sp.sqrt(2)) * x + y, -x - (sp.sqrt(2) - 1) * y, -1),
        (a * x + a * b * y, x + b * y, sp.sign(a)),
        ((a + b) * x + (a + b) ** 2 * y, x + (a + b) * y, sp.sign(a + b)),
    ],
)
def test_parallel_signs_are_seen_through_radicals_and_parameters(
    left: sp.Expr, right: sp.Expr, product: sp.Expr
) -> None:
    """Were they taken for two correlated signs, rho = 1 would make the derivatives divide by 0."""
    smoothed = Smoothed.of(sp.sign(left) * sp.sign(right), [x, y])
    assert smoothed.expression([x, y]) == product


def test_two_correlated_signs() -> None:
    """Sheppard: (2/pi) arcsin(rho) at the origin."""
    smoothed = Smoothed.of(sp.sign(x) * sp.sign(x + sp.sqrt(3) * y), [x, y])
    assert smoothed.expression([sp.Integer(0)] * 2) == R(1, 3)
    assert smoothed.expression([x, y]).has(SignProduct)


def test_reading_gives_like_terms_once() -> None:
    assert normal_form(relu(x) - relu(-x) - x, [x]) == {}
    assert normal_form(sp.cos(x) ** 2 + sp.sin(x) ** 2 - 1, [x]) == {}
    assert normal_form(sp.Abs(x) * sp.sign(x) - x, [x]) == {}
    assert normal_form(sp.Max(x, y) + sp.Min(x, y) - x - y, [x, y]) == {}
    assert normal_form((x + 1) ** 2 * sp.exp(x) - sp.exp(x) * (x**2 + 2 * x + 1), [x]) == {}


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        (sp.tanh(x), "tanh"),
        (sp.exp(x**3), "exponent is not quadratic"),
        (sp.exp(sp.Abs(x)), "exponent is not quadratic"),
        (sp.erf(x * y), "not affine"),
        (sp.sign(x**2 + y**2 - 1), "neither affine nor of one sign"),
        (sp.sign(x**3 - 3 * x + 1), "neither affine nor of one sign"),
        (sp.sign(x**2 - a), "neither affine nor of one sign"),
        (sp.sign(sp.cos(x)), "neither affine nor of one sign"),
        (relu(x) * relu(x + y) * relu(y), "product of"),
        (sp.Max(x, y, 0, x + y), "product of"),
        (sp.cos(x) * sp.sign(x) * sp.sign(x + y), "product of"),
        (sp.cos(x**2) * sp.sign(x) * sp.sign(x + y), "product of"),
        (He(a, x), "He"),
        (x**a, "x"),
        (1 / x, "1/x"),
        (sp.prod(1 + sp.exp(k * x) + sp.exp(sp.sqrt(k) * x) for k in range(2, 12)), "more than 3000 terms"),
    ],
)
def test_what_has_no_closed_form_is_refused_by_name(expression: sp.Expr, part: str) -> None:
    with pytest.raises(NoClosedForm, match=part):
        Smoothed.of(expression, [x, y])


def test_means_that_do_not_exist() -> None:
    with pytest.raises(DomainError, match="degree of a Hermite polynomial"):
        Smoothed.of(He(-1, x), [x])
    for exponent in (x**2, x**2 / 2, x * y, R(3, 4) * x**2 - y**2):
        with pytest.raises(DomainError, match="no mean"):
            Smoothed.of(sp.exp(exponent), [x, y])
    barely = Smoothed.of(sp.exp(x**2 / 3), [x])
    assert not barely.square_integrable
    assert barely.expression([u]) == sp.sqrt(3) * sp.exp(u**2)
    assert Smoothed.of(sp.exp(x**2 / 5), [x]).square_integrable
    assert not Smoothed.of(sp.exp(x**2 / 5), [x], R(5, 4)).square_integrable
    assert Smoothed.of(sp.cos(5 * x**2), [x]).square_integrable
    assert not Smoothed.of(sp.exp(x * y / 2), [x, y]).square_integrable


def test_parameters_give_conditions() -> None:
    smoothed = Smoothed.of(sp.exp(b * x**2), [x])
    assert set(smoothed.conditions) == {1 - 2 * b, 1 - 4 * b}
    assert Smoothed.of(sp.exp(-(x**2)), [x]).conditions == ()


def test_definiteness() -> None:
    assert positive_definite(sp.Matrix([[2, 1], [1, 1]])) == (True, ())
    assert positive_definite(sp.Matrix([[1, 2], [2, 1]])) == (False, ())
    assert positive_definite(sp.Matrix([[1 - 5 * sp.I]])) == (True, ())
    assert positive_definite(sp.Matrix([[sp.sqrt(2) - sp.sqrt(3)]])) == (False, ())


def test_parity() -> None:
    """The part of relu of odd parity is x/2; |x| is even; an odd function has no even part."""
    assert Smoothed.of(relu(x), [x]).parity_degrees == (None, 1)
    assert Smoothed.of(x * relu(x + y), [x, y]).parity_degrees == (2, None)
    assert Smoothed.of(x * sp.Abs(x + y), [x, y]).parity_degrees == (-1, None)
    assert Smoothed.of(sp.sign(x - 1) + sp.sign(x + 1), [x]).parity_degrees == (-1, None)
    assert Smoothed.of(sp.sign(x - 1), [x]).parity_degrees == (None, None)


def test_second_moments_and_the_function_itself() -> None:
    """E h^2 against quadrature, h from its normal form against h."""
    for name in ("relu", "sin sign", "abs of abs", "bell relu", "gelu", "clip"):
        expression, f, kinks = ATOMS[name]
        smoothed = Smoothed.of(expression, [x], R(3, 2))
        if name != "gelu":  # a product of two noisy signs and their own kind is outside the class
            square = gaussian_mean(lambda t: f(t) ** 2, R(0), R(3, 2), kinks)  # noqa: B023
            assert close(value(smoothed.second_moment()), square)
        for t in (R(-7, 3), R(1, 7), R(9, 4)):
            assert close(value(smoothed.function([t])), f(mp.mpf(t.p) / t.q))


@pytest.mark.parametrize(
    ("e", "verdict"),
    [
        (x**2 - 1, True),
        (sp.Abs(x) * sp.exp(x), True),
        (sp.sign(x**3), True),
        (sp.cos(x) + sp.erf(x), True),
        (relu(x), False),
        (sp.Max(0, x), False),
        (sp.Heaviside(x) * x, False),
        (sp.Abs(x) + x, False),
        (sp.Integer(0), False),
    ],
)
def test_null_sets(e: sp.Expr, verdict: bool) -> None:
    assert vanishes_on_null_set(e) is verdict


def test_roots() -> None:
    assert real_roots(sp.expand((x - 3) ** 2 * (x**2 - 2) * (2 * x + 1)), x) == [-sp.sqrt(2), -R(1, 2), sp.sqrt(2), 3]
    assert real_roots(x**2 + x + 1, x) == []
    assert real_roots(sp.Integer(0), x) == []
    with pytest.raises(NoClosedForm, match="no simple form"):
        real_roots(x**3 - 2 * x - 7, x)


def test_real_parts() -> None:
    assert real_part(sp.exp(sp.I * u) + sp.exp(-sp.I * u)) == 2 * sp.cos(u)
    assert real_part(u + 1) == u + 1


def test_constants_are_recognised() -> None:
    assert Smoothed.of(sp.sign(x**2 + 1) + sp.exp(0 * x), [x]).is_constant
    assert not Smoothed.of(sp.sign(x), [x]).is_constant
    assert math.isclose(float(value(Smoothed.of(sp.sign(sp.Abs(x)) * 3, [x]).expression([u]))), 3)
