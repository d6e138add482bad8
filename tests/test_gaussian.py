"""Expectation nodes and their enclosures: against mpmath quadrature split at the kinks and closed forms of theory 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from flint import arb

from sie_sym.errors import DomainError, FormulaError, NoClosedForm
from sie_sym.functions import TOKENS, He, Phi, gelu, relu, sigmoid, softmax, softplus, token
from sie_sym.gaussian import GaussianExpectation, enclose_expectation
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.enclosure import decide_zero, enclose
from sie_sym.integrals.gaussian_enclosure import _even_axes, bits_below_one, enclose_constant
from sie_sym.integrals.growth import GrowthReader, truncation

R = sp.Rational
z1, z2, z3 = token(1), token(2), token(3)
t, e, a = sp.symbols("t e a", real=True)
S11 = sigmoid(z1 * (z1 - z2))


def contains(ball: arb, value: mpmath.mpf | float, slack: float) -> bool:
    """The ball, widened by the error of the other route, contains its value."""
    with working_precision(128):
        return (ball + arb(0, slack)).contains(arb(str(value)))


def python_function(h: sp.Expr, context: mpmath.ctx_mp.MPContext) -> object:
    c = context
    names = {
        "sigmoid": lambda x: 1 / (1 + c.exp(-x)),
        "softplus": lambda x: c.log(1 + c.exp(x)),
        "relu": lambda x: max(x, c.mpf(0)),
        "Phi": c.ncdf,
        "gelu": lambda x: x * c.ncdf(x),
        "He": lambda k, x: c.hermite(int(k), x / c.sqrt(2)) / c.sqrt(2) ** int(k),
        "Abs": abs,
        "Heaviside": lambda x, half: c.mpf(x > 0) if x else half,
        "Max": max,
        "Min": min,
        "sign": c.sign,
        "pi": c.pi,
        **{
            name: getattr(c, name)
            for name in ("exp", "tanh", "sin", "cos", "erf", "atan", "sinh", "cosh", "log", "sqrt")
        },
    }
    return sp.lambdify(z1, h, [names, "mpmath"])


ONE_TOKEN = [
    (sp.tanh(z1), []),
    (sp.tanh(3 * z1 - 1) ** 2, []),
    (sigmoid(z1 + R(1, 2)), []),
    (sigmoid(z1) * (1 - sigmoid(z1)), []),
    (softplus(z1), []),
    (softplus(2 * z1 - 1) * z1, []),
    (softplus(z1) ** 3, []),
    (sp.log(1 + z1**2), []),
    (1 / (1 + z1**2), []),
    (1 / sp.sqrt(2 + z1**4), []),
    (sp.exp(-(z1**4)), []),
    (sp.exp(z1 / 2) * sp.tanh(z1), []),
    (sp.exp(z1**2 / 4 + z1), []),
    (sp.atan(z1 - 2), []),
    (sp.sin(z1**2), []),
    (sp.cos(3 * z1) * sp.erf(z1), []),
    (sp.erf(z1) ** 2, []),
    (gelu(z1) * sp.tanh(z1), []),
    (Phi(z1) ** 2, []),
    (sp.sinh(z1) * sp.tanh(z1), []),
    (He(5, z1) * sigmoid(z1), []),
    (sp.Abs(z1 - R(3, 10)) * sp.tanh(z1), [0.3]),
    (relu(z1 + 1) * sigmoid(z1), [-1]),
    (sp.sign(z1 - R(3, 10)), [0.3]),
    (sp.Heaviside(z1 - R(1, 2)) * sp.exp(z1), [0.5]),
    (sp.sqrt(sp.Abs(z1)), [0]),
    (sp.Max(z1, z1**2), [0, 1]),
    (sp.Min(z1, R(1, 3)) * softplus(z1), [1 / 3]),
    (sp.sign(sp.Abs(z1) - 1), [-1, 1]),
    (relu(sp.tanh(z1) - R(1, 2)), [0.5493061443340548457]),
    (sp.sign(z1**2 - 2) * z1**2, [-(2**0.5), 2**0.5]),
]


@pytest.mark.parametrize(("h", "kinks"), ONE_TOKEN, ids=lambda v: str(v) if isinstance(v, sp.Expr) else "")
@pytest.mark.parametrize("weight", [0, 3])
def test_an_enclosure_contains_the_quadrature_split_at_the_kinks(h: sp.Expr, kinks: list[float], weight: int) -> None:
    c = mpmath.MPContext()
    c.dps = 20
    mean = c.mpf(1) / 4 if weight else c.mpf(0)
    kernel = python_function(He(weight, z1).expand(func=True), c)
    plain = python_function(h, c)
    reach = 26 if h.has(z1**2 / 4) else 12
    points = sorted({*range(-reach, reach + 1, 2), *(c.mpf(k) - mean for k in kinks)})
    expected = c.quad(lambda z: plain(z + mean) * kernel(z) * c.npdf(z), points)
    ball = enclose_expectation(h, {1: weight}, {1: R(1, 4) if weight else R(0)}, precision=50)
    assert float(ball.rad()) < 1e-12
    # Quadrature at kinks given as floats, and across |z|^(1/2), is good to about 1e-9.
    assert contains(ball, expected, 1e-7 if h.has(sp.Pow(sp.Abs(z1), R(1, 2))) else 1e-13)


@pytest.mark.parametrize(
    ("h", "mean", "closed"),
    [  # theory section 2, all in balls of more than 30 digits
        (sp.exp(z1 / 3), R(1, 2), sp.exp(R(1, 6) + R(1, 18))),
        (sp.cos(2 * z1), R(1, 2), sp.exp(-2) * sp.cos(1)),
        (sp.exp(-(z1**2)), R(1, 2), sp.exp(R(-1, 12)) / sp.sqrt(3)),
        (sp.Heaviside(z1 - 1), R(1, 2), Phi(R(-1, 2))),
        (sp.sign(z1 - R(3, 10)), R(0), -sp.erf(R(3, 10) / sp.sqrt(2))),
        (relu(z1 - sp.sqrt(2)), R(2), (2 - sp.sqrt(2)) * Phi(2 - sp.sqrt(2)) + Phi(2 - sp.sqrt(2)).fdiff()),
        (sp.erf(z1), R(1, 2), sp.erf(1 / (2 * sp.sqrt(3)))),
        (Phi(2 * z1), R(1, 3), Phi(2 / (3 * sp.sqrt(5)))),
    ],
    ids=str,
)
def test_closed_forms_to_thirty_digits(h: sp.Expr, mean: sp.Expr, closed: sp.Expr) -> None:
    ball = enclose_expectation(h, None, {1: mean}, precision=120)
    exact = enclose(closed, 160)
    assert abs(ball - exact).upper() < arb("1e-33")
    value = arb(str(GaussianExpectation(h, {z1: mean}).evalf(30)))
    with working_precision(160):
        assert abs(value / exact - 1).upper() < arb("1e-15")


def test_two_tokens_theory_section_9() -> None:
    ball = enclose_expectation(S11, {1: 1, 2: 1})
    assert contains(ball, "-0.1062875009", 6e-11)
    assert float(ball.rad()) < 1e-11
    assert decide_zero(GaussianExpectation(S11, None, {1: 1, 2: 1})) is False


def test_two_tokens_against_the_logistic_lemma() -> None:
    """C_(2,0) = sqrt 2 / 8 (theory section 9)."""
    assert enclose_expectation(S11, {1: 2}, precision=30).overlaps(enclose(sp.sqrt(2) / 8))


EVEN = [
    # even in all tokens together; in one; in each; in none but with its weight; not with a mean or an odd weight
    (S11**2, {1: 1, 2: 1}, 0, lambda x, y: 1 / (1 + np.exp(-x * (x - y))) ** 2, ["z1"]),
    (sp.tanh(z1 * z2**2 + z1), {1: 1}, 0, lambda x, y: np.tanh(x * y**2 + x), ["z1", "z2"]),
    (sp.tanh(z1 * z2**2 + z1), {1: 1}, R(1, 4), lambda x, y: np.tanh(x * y**2 + x), ["z2"]),
    (1 / (1 + z1**2 * z2**2), {1: 2, 2: 2}, 0, lambda x, y: 1 / (1 + x**2 * y**2), ["z1", "z2"]),
    (sp.exp(z1 / 3 - (z1 * z2) ** 2), {1: 2}, 0, lambda x, y: np.exp(x / 3 - (x * y) ** 2), ["z2"]),
    (sigmoid(z1 * z2 + z2), {1: 1, 2: 1}, 0, lambda x, y: 1 / (1 + np.exp(-x * y - y)), []),
]


@pytest.mark.parametrize(("h", "alpha", "mean", "function", "halved"), EVEN, ids=lambda case: str(case)[:24])
def test_an_even_integrand_needs_half_of_an_axis(
    h: sp.Expr, alpha: dict[int, int], mean: sp.Expr, function: Callable[[Any, Any], Any], halved: list[str]
) -> None:
    """Against a trapezoid rule over the whole plane."""
    x = np.arange(-9, 9, 1 / 32)
    first, second = np.meshgrid(x, x, indexing="ij")
    weight = np.exp(-(first**2 + second**2) / 2) / (2 * np.pi) / 32**2
    for values, degree in ((first, alpha.get(1, 0)), (second, alpha.get(2, 0))):
        weight *= np.polynomial.hermite_e.hermeval(values, [0] * degree + [1])
    expected = float((weight * function(first + float(mean), second)).sum())
    ball = enclose_expectation(h, alpha, {1: mean}, precision=30)
    assert float(ball.rad()) < 1e-8
    assert contains(ball, expected, 1e-9)
    node = GaussianExpectation(h, {z1: mean}, alpha)
    assert [str(s) for s in _even_axes(node, [arb(str(float(m))) for m in node.means.values()])] == halved


def test_two_tokens_with_kinks_along_the_axes() -> None:
    """E sign(z1 - 1/3) tanh(z1 z2) z2: trapezoid in z2, Gauss-Legendre in z1 on each side of the kink."""
    y = np.arange(-9, 9, 1 / 16)
    nodes, gauss = np.polynomial.legendre.leggauss(80)

    def side(low: float, high: float) -> float:
        x = (low + high) / 2 + (high - low) / 2 * nodes
        inner = np.sum(np.tanh(np.outer(x, y)) * y * np.exp(-(y**2) / 2), axis=1) / 16
        return float((high - low) / 2 * np.sum(gauss * inner * np.exp(-(x**2) / 2)) / (2 * np.pi))

    expected = side(1 / 3, 9) - side(-9, 1 / 3)
    ball = enclose_expectation(sp.sign(z1 - R(1, 3)) * sp.tanh(z1 * z2) * z2, precision=30)
    assert float(ball.rad()) < 1e-8
    assert contains(ball, expected, 1e-9)


def test_a_kink_across_the_axes_leaves_a_true_ball() -> None:
    """E sign(z1 z2 - 1) = 4 int_0^oo phi(x) Phi(-1/x) dx - 1 (both quadrants)."""
    c = mpmath.MPContext()
    expected = 4 * c.quad(lambda x: c.npdf(x) * c.ncdf(-1 / x), [0, 0.5, 1, 3, 9]) - 1
    assert contains(enclose_expectation(sp.sign(z1 * z2 - 1), precision=6), expected, 1e-9)


@pytest.mark.parametrize("distance", [30, 100])
def test_trap_5_a_narrow_integrand_far_away(distance: int) -> None:
    """E exp(-(Z - c)^2/2) = e^(-c^2/4)/sqrt 2; at c = 100 SymPy answers 2.7e-616 and mpmath 0."""
    exact = (sp.exp(-R(distance**2, 4)) / sp.sqrt(2)).evalf(20)
    value = GaussianExpectation(sp.exp(-((z1 - distance) ** 2) / 2)).evalf(12)
    assert abs(value / exact - 1) < 1e-10


def test_trap_5_a_narrow_peak() -> None:
    """E exp(-(1000 Z - 3000)^2/2): a Gaussian of width 1/1000, theory section 2."""
    bump = sp.exp(-((1000 * z1 - 3000) ** 2) / 2)
    closed = sp.exp(R(-9, 2) * R(10**6, 10**6 + 1)) / sp.sqrt(1 + 10**6)
    assert enclose_expectation(bump, precision=80).overlaps(enclose(closed))


def test_what_no_ball_separates_from_zero_stays_unevaluated() -> None:
    """E[f'(Z) - Z f(Z)] = 0 (Stein) with f = exp(sin z)."""
    stein = GaussianExpectation(sp.exp(sp.sin(z1)) * (sp.cos(z1) - z1))
    assert enclose_expectation(stein.integrand).contains(0)
    assert stein.evalf(10) == stein


@pytest.mark.parametrize(
    ("g", "zeros", "first"),
    [
        # 1[z > 1/2] - c0 - c1 z, c1 = phi(1/2): SIE 2 with C_2 = phi(1/2)/2.
        (sp.Heaviside(z1 - R(1, 2)) - sp.exp(R(-1, 8)) / sp.sqrt(2 * sp.pi) * z1, (1,), 2),
        # |z| - (1/2) sqrt(2/pi) (z^2 - 1): SIE 4.
        (sp.Abs(z1) - sp.sqrt(2 / sp.pi) * (z1**2 - 1) / 2, (1, 2, 3), 4),
    ],
)
def test_trap_11_kinked_targets(g: sp.Expr, zeros: tuple[int, ...], first: int) -> None:
    """Gauss-Hermite sees C_1 = -0.0235 and C_2 = 0.041 where these balls shrink around 0."""
    for k in zeros:
        ball = enclose_expectation(g, {1: k}, precision=90)
        assert ball.contains(0)
        assert float(ball.rad()) < 1e-24
    assert not enclose_expectation(g, {1: first}).contains(0)


def test_trap_12_high_degrees_stay_finite() -> None:
    """C_k(sign) = 2 phi(0) He_{k-1}(0), k = 41, where float quadratures overflow or lose all digits."""
    ball = enclose_expectation(sp.sign(z1), {1: 41}, precision=200)
    exact = enclose(sp.sqrt(2 / sp.pi) * sp.factorial2(39), 400)
    with working_precision(300):
        assert abs(ball / exact - 1).upper() < arb("1e-30")


def test_trap_13_an_oscillating_integrand() -> None:
    """E cos(100 Z) = e^-5000, where mpmath.quad gives -0.085."""
    ball = enclose_expectation(sp.cos(100 * z1), precision=60)
    assert ball.contains(0)
    assert float(ball.rad()) < 1e-16


# ---- the node ----------------------------------------------------------------------------------


def test_derivatives_raise_the_weight() -> None:
    node = GaussianExpectation(relu(z1) * sigmoid(z1 * z2), {z1: t, z2: 2 * e})
    assert node.diff(t).weights == {1: 1}
    assert node.diff(e, 2) == 4 * GaussianExpectation(relu(z1) * sigmoid(z1 * z2), {z1: t, z2: 2 * e}, {2: 2})
    assert node.diff(a) == 0


def test_derivative_against_a_difference_quotient() -> None:
    node = GaussianExpectation(sp.Abs(z1) * sp.tanh(z1 + 1), {z1: t})
    step = R(1, 10**6)
    quotient = (node.subs(t, R(1, 3) + step).evalf(25) - node.subs(t, R(1, 3) - step).evalf(25)) / (2 * step)
    assert abs(quotient - node.diff(t).subs(t, R(1, 3)).evalf(20)) < 1e-10


def test_parameters_are_differentiated_under_the_integral_unless_h_jumps() -> None:
    node = GaussianExpectation(sp.tanh(a * z1) * z1, {z1: t})
    assert node.diff(a) == GaussianExpectation(z1**2 * (1 - sp.tanh(a * z1) ** 2), {z1: t})
    with pytest.raises(NoClosedForm, match="jumps"):
        GaussianExpectation(sp.sign(z1 - a) * sp.tanh(z1)).diff(a)


def test_free_and_bound_symbols() -> None:
    node = GaussianExpectation(sp.tanh(a * z1), {z1: t})
    assert node.free_symbols == {a, t}
    assert node.bound_symbols == [z1]
    assert node.subs(z1, 5) == node
    assert node.subs({a: 2, t: 0}) == GaussianExpectation(sp.tanh(2 * z1))
    assert node.xreplace({t: e}) == GaussianExpectation(sp.tanh(a * z1), {z1: e})
    assert node.func(*node.args) == node


def test_substitution_does_not_capture_tokens() -> None:
    node = GaussianExpectation(sp.tanh(a * z1), {z1: t})
    moved = node.subs(a, z1)
    assert moved.free_symbols == {z1, t}
    assert moved.subs({z1: 3, t: 0}).evalf(15) == node.subs({a: 3, t: 0}).evalf(15)
    assert node.subs(t, z1).free_symbols == {a, z1}
    assert node.subs(t, z1).subs(z1, 2) == node.subs(t, 2)


def test_exact_rules() -> None:
    tanh = sp.tanh(z1)
    assert GaussianExpectation(z1**4, None, {1: 2}) == 12
    assert GaussianExpectation(z1**3, {z1: t}) == t**3 + 3 * t
    assert GaussianExpectation(tanh, None, {2: 1}) == 0
    product = GaussianExpectation(3 * tanh * z2**2, {z2: e})
    assert sp.expand(product) == sp.expand(3 * (1 + e**2) * GaussianExpectation(tanh))
    assert GaussianExpectation(tanh + z1**2) == GaussianExpectation(tanh) + 1
    assert GaussianExpectation(a) == a
    l = sp.Symbol("l", integer=True)
    total = sp.tanh(sp.Sum(TOKENS[l], (l, 1, 30)) / sp.sqrt(30))
    assert GaussianExpectation(total, None, {7: 1}) == GaussianExpectation(tanh, None, {1: 1}) / sp.sqrt(30)


@pytest.mark.parametrize("k", range(9))
@pytest.mark.parametrize("weight", range(4))
def test_moments(k: int, weight: int) -> None:
    """E (Z + t)^k He_a(Z) is the k-th derivative at s = 0 of e^(s t + s^2/2) s^a (E e^(sZ) He_a(Z) = s^a e^(s^2/2))."""
    s = sp.Symbol("s")
    generating = sp.exp(s * t + s**2 / 2) * s**weight
    expected = sp.diff(generating, s, k).subs(s, 0) if k else generating.subs(s, 0)
    assert sp.expand(GaussianExpectation(z1**k, {z1: t}, {1: weight}) - expected) == 0


@pytest.mark.parametrize("factor", [a, sp.tanh(a), sp.tanh(a) * sp.exp(a) * a, sp.exp(a) * sp.cos(e)], ids=str)
@pytest.mark.parametrize("h", [z1 * sp.tanh(z1), sp.tanh(z1) * sp.exp(z1 / 3)], ids=str)
def test_what_reads_no_token_leaves_the_expectation(factor: sp.Expr, h: sp.Expr) -> None:
    """Wherever it stands among the factors."""
    assert GaussianExpectation(factor * h) == factor * GaussianExpectation(h)
    both = GaussianExpectation(factor * h * sp.atan(z2 + 1))
    assert both == factor * GaussianExpectation(h) * GaussianExpectation(sp.atan(z1 + 1))


def test_ridge_against_the_plane() -> None:
    """tanh((z1 + 2 z2)/sqrt 5) as one token, and hidden in a function of the plane that no rule recognises."""
    ridge = sp.tanh((z1 + 2 * z2) / sp.sqrt(5))
    one = enclose_expectation(ridge, {1: 1, 2: 2}, {1: R(1, 2)}, precision=60)
    whole = sp.tanh((z1 + 2 * z2) / sp.sqrt(5)) * sp.cos(z1 * z2) ** 2
    rest = sp.tanh((z1 + 2 * z2) / sp.sqrt(5)) * sp.sin(z1 * z2) ** 2
    plane = enclose_expectation(whole + rest, {1: 1, 2: 2}, {1: R(1, 2)}, precision=20)
    assert float(plane.rad()) < 1e-4
    assert one.overlaps(plane)


def test_parity_is_proved() -> None:
    assert GaussianExpectation(sp.tanh(z1) * sp.cos(z1)) == 0
    assert GaussianExpectation(sp.tanh(z1 * z2)) == 0
    assert GaussianExpectation(sp.tanh(z1 * z2), None, {1: 1, 2: 1}) != 0
    assert GaussianExpectation(sp.tanh(z1 * z2), {z1: t}) == 0
    assert GaussianExpectation(sp.tanh(z1), None, {1: 1}) != 0
    assert GaussianExpectation(sp.tanh(z1), {z1: t}) != 0


@pytest.mark.parametrize("odd", [1 / z1, sp.tan(z1), z1 * sp.exp(z1**2), sp.tanh(z1) / z1**2])
def test_odd_functions_without_a_mean_are_not_zero(odd: sp.Expr) -> None:
    """A principal value is no expectation."""
    assert GaussianExpectation(odd) != 0


def test_latex() -> None:
    node = GaussianExpectation(sp.tanh(z1), {z1: t}, {1: 2})
    assert sp.latex(node) == (
        r"\mathbb{E}_{Z\sim\mathcal{N}(0,I)}"
        r"\left[\tanh{\left(Z_{1} + t \right)} \mathrm{He}_{2}\left(Z_{1}\right)\right]"
    )
    assert sp.latex(node**2).endswith(r"\right]^{2}")


def test_inside_an_expression() -> None:
    node = GaussianExpectation(sp.tanh(z1) ** 2)
    # E tanh^2 + E sech^2 = 1.
    other = GaussianExpectation(1 / sp.cosh(z1) ** 2)
    assert abs(enclose(node + other - 1)).upper() < 1e-30
    assert decide_zero(node - R(39, 100)) is False
    assert decide_zero(a * node - a * node + t * GaussianExpectation(sp.tanh(z1), None, {1: 1})) is False


def test_errors() -> None:
    with pytest.raises(FormulaError, match="degree"):
        GaussianExpectation(sp.tanh(z1), None, {1: -1})
    with pytest.raises(FormulaError, match="token"):
        GaussianExpectation(sp.tanh(z1), {a: 1})
    with pytest.raises(NoClosedForm, match="depends on a"):
        enclose_expectation(sp.tanh(a * z1) ** 2)
    with pytest.raises(NoClosedForm, match="3 tokens"):
        enclose_expectation(softmax(1, z1 * z1, z1 * z2, z1 * z3))
    with pytest.raises(DomainError, match="integrable"):
        enclose_expectation(sp.exp(z1**2 / 2))
    with pytest.raises(NoClosedForm, match="no positive lower bound of z1"):
        enclose_expectation(1 / z1)
    with pytest.raises(NoClosedForm, match="growth"):
        enclose_expectation(sp.tan(z1))
    # Bounded by 1, but at z1 = 5 no ball of the argument is finite; nor does the integrand then tell its size.
    tower = sp.tanh(sp.cosh(sp.exp(sp.exp(sp.exp(z1)))))
    with pytest.raises(DomainError, match="no finite enclosure"):
        enclose_expectation(tower, precision=4)
    assert bits_below_one(GaussianExpectation(tower)) == 0
    assert bits_below_one(GaussianExpectation(sp.exp(-500 - sp.tanh(z1)))) > 700  # 501 / log 2 at most, 722.8


def test_a_finer_ball_answers_coarser_questions() -> None:
    node = GaussianExpectation(1 / (3 + sp.tanh(z1)))
    fine = enclose_constant(node, 90)
    assert enclose_constant(node, 20) is fine
    assert enclose_constant(node, 100) is not fine


def test_what_is_not_real_has_no_enclosure() -> None:
    """E sqrt(Z) = (1 + i) E sqrt(|Z|) / 2, and its real part is no answer; that of |Z| is real everywhere."""
    for h in (sp.sqrt(z1), sp.sqrt(1 - z1**2), sp.sqrt(z1 + z2) * sp.cos(z1)):
        with pytest.raises(DomainError, match="not real"):
            enclose_expectation(h, precision=8)
    expected = 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi)
    assert contains(enclose_expectation(sp.sqrt(sp.Abs(z1)), precision=20), expected, 1e-12)


def test_the_tail_bound_holds() -> None:
    """E|Z|^3 e^|Z + 1/2| beyond R, by mpmath, is below the bound and not absurdly so."""
    with working_precision(64):
        radius, bound = truncation(sp.exp(z1) * z1**3, {z1: 2}, {z1: arb("0.5")}, arb("1e-9"))
        assert len(GrowthReader({}).growth(sp.exp(z1) * z1**3)) == 1
    c = mpmath.MPContext()
    true = c.quad(
        lambda x: c.npdf(x) * (x * x - 1) * (c.exp(x + 0.5) * (x + 0.5) ** 3 + c.exp(0.5 - x) * (x - 0.5) ** 3),
        [radius, radius + 2, radius + 10],
    )
    assert true < float(bound) < 100 * true


def test_digits_asked_for_survive_cancellation() -> None:
    """E cos(12 Z) = e^(-72): 104 bits cancel, and thirty digits are still given and right."""
    value = GaussianExpectation(sp.cos(12 * z1)).evalf(30)
    assert value.is_Float
    assert value._prec >= 100
    assert abs(value / sp.exp(-72).evalf(40) - 1) < R(1, 10**28)


def test_a_captured_token_gets_a_name_of_its_own() -> None:
    """With z1 put for a, the bound z1 moves to z3: z2 is bound already."""
    node = GaussianExpectation(sp.tanh(a * z1 * z2 + z1) * z2, {z1: t})
    moved = node.subs(a, z1)
    assert moved.free_symbols == {z1, t}
    assert len(moved.tokens) == 2
    assert moved.subs(z1, R(1, 2)) == node.subs(a, R(1, 2))


def test_a_node_is_replaced_inside_an_expression() -> None:
    node = GaussianExpectation(sp.tanh(z1), {z1: t})
    assert (2 * node + e).xreplace({node: a}) == 2 * a + e
    assert (2 * node + e).subs(node, a) == 2 * a + e
