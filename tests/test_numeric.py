"""Float64 functions against mpmath, SciPy and quadrature; shapes, casts, names and errors."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from sie_sym.errors import DomainError, NoClosedForm, SieSymError
from sie_sym.functions import (
    TOKENS,
    He,
    Phi,
    SignProduct,
    gelu,
    relu,
    sigmoid,
    softmax,
    softplus,
    token,
)
from sie_sym.numeric import (
    LossFunction,
    NumericLoss,
    numeric_function,
    numeric_loss,
    scalar_function,
    sign_product,
)

Z = [token(l) for l in range(1, 5)]
x = Z[0]
m, eps = sp.symbols("m eps", real=True)
i, j = sp.symbols("i j", integer=True)

# one-variable formulas against an independent route: SciPy or numpy, never the generated code
PEERS = [
    (relu(x), lambda v: np.maximum(v, 0)),
    (Phi(x), special.ndtr),
    (gelu(x), lambda v: v * special.ndtr(v)),
    (sigmoid(x), special.expit),
    (softplus(x), lambda v: np.logaddexp(0, v)),
    (sp.erf(x) - sp.erfc(x), lambda v: special.erf(v) - special.erfc(v)),
    (sp.Heaviside(x), lambda v: np.heaviside(v, 0.5)),
    (sp.Heaviside(x, 0), lambda v: np.heaviside(v, 0.0)),
    (sp.sign(x), np.sign),
    (sp.Abs(x), np.abs),
    (sp.Max(x, 1, -x), lambda v: np.maximum(np.abs(v), 1)),
    (sp.Min(x, 1, -x), lambda v: np.minimum(-np.abs(v), 1)),
    (sp.tanh(x) + sp.cosh(x) * sp.sin(x), lambda v: np.tanh(v) + np.cosh(v) * np.sin(v)),
    (sp.sqrt(1 + x**2) ** -3, lambda v: (1 + v**2) ** -1.5),
    (2**x + sp.atan(x), lambda v: np.exp2(v) + np.arctan(v)),
    (
        sp.Piecewise((1, x < -1), (x**2, sp.And(x >= -1, x < 2)), (4, True)),
        lambda v: np.where(v < -1, 1, np.minimum(v**2, 4)),
    ),
    (sp.Piecewise((1, sp.Or(x < -1, x > 1)), (0, True)), lambda v: (np.abs(v) > 1) * 1.0),
    (He(5, x) / 3 - sp.pi, lambda v: special.eval_hermitenorm(5, v) / 3 - np.pi),
]
GRID = np.array([-3.5, -1.0, -0.25, 0.0, 1e-9, 0.5, 1.0, 2.25])


@pytest.mark.parametrize(
    ("formula", "peer"), PEERS, ids=lambda v: str(v)[:25] if isinstance(v, sp.Expr) else ""
)
def test_agrees_with_a_peer_as_arrays_and_as_floats(formula, peer):
    expected = np.asarray(peer(GRID), dtype=float)
    np.testing.assert_allclose(
        numeric_function([x], [formula])(GRID[None])[0], expected, rtol=4e-15, atol=1e-15
    )
    floats = scalar_function([x], [formula])
    assert [floats(float(v))[0] for v in GRID] == pytest.approx(list(expected), rel=4e-15, abs=1e-15)


@pytest.mark.parametrize("k", [0, 1, 2, 7, 12, 13, 60])
def test_hermite_by_the_recurrence(k):
    """Reference: the explicit sum in exact rationals; an expanded He_60 in floats is off by 1e4 at 8."""
    point = Fraction(8)
    terms = [
        (-1) ** q
        * Fraction(math.factorial(k), math.factorial(q) * math.factorial(k - 2 * q) * 2**q)
        * point ** (k - 2 * q)
        for q in range(k // 2 + 1)
    ]
    exact = float(sum(terms))
    scale = max(abs(exact), math.sqrt(math.factorial(k)))
    assert abs(numeric_function([x], [He(k, x)])([8])[0] - exact) < 1e-12 * scale
    assert abs(scalar_function([x], [He(k, x)])(8.0)[0] - exact) < 1e-12 * scale


def test_integer_arrays_do_not_overflow():
    value = numeric_function([x], [He(12, x), x**12])(np.array([[50, 100]]))
    assert value[1, 1] == 1e24
    assert value[0, 0] == pytest.approx(float(sp.expand_func(He(12, sp.Integer(50)))), rel=1e-15)


def test_extreme_arguments_neither_overflow_nor_lose_nan():
    f = numeric_function(
        [x],
        [sigmoid(x), softplus(x), Phi(x), relu(x), sp.Heaviside(x), sp.sign(x), sp.Max(x, 0), sp.Min(0, x)],
    )
    low, high, nan = f(np.array([[-2000.0, 2000.0, np.nan]])).T
    assert list(low[:4]) == [0, 0, 0, 0]
    assert list(high[:4]) == [1, 2000, 1, 2000]
    assert np.isnan(nan).all()
    assert scalar_function([x], [sigmoid(x), softplus(x)])(-2000.0) == (0.0, 0.0)
    assert all(
        math.isnan(v) for v in scalar_function([x], [sp.Heaviside(x), relu(x), sp.Max(x, 0)])(math.nan)
    )


def test_softmax_is_stable_and_sums_to_one():
    rows = [softmax(k, Z[0] ** 2, Z[0] * Z[1], Z[0] * Z[2]) for k in (1, 2, 3)]
    points = np.random.default_rng(1).normal(size=(3, 50)) * 40
    values = numeric_function(Z[:3], rows)(points)
    scores = points[0] * points
    np.testing.assert_allclose(values, special.softmax(scores, axis=0), rtol=1e-13)
    np.testing.assert_allclose(values.sum(axis=0), 1, rtol=1e-15)


def test_shapes_constants_and_no_symbols():
    f = numeric_function(Z[:2], [sp.Integer(3), Z[0] * Z[1], sp.sqrt(2)])
    assert f(np.ones((2, 3, 5))).shape == (3, 3, 5)
    assert f([2, 3]).tolist() == [3, 6, math.sqrt(2)]
    assert numeric_function([], [sp.pi])(np.empty((0, 2))).tolist() == [[math.pi, math.pi]]
    with pytest.raises(SieSymError, match="one entry a symbol"):
        f(np.ones((3, 2)))
    with pytest.raises(SieSymError, match="not an array of numbers"):
        f(["a", "b"])
    with pytest.raises(SieSymError, match="complex"):
        f([1j, 0])


def test_negated_terms_are_subtracted():
    """At x = 3, y = 5: every place where a minus may stand, and what only begins with one."""
    x, y = sp.symbols("x y", real=True)
    sign = sp.Piecewise((-1, x < 0), (1, True))
    shared = sp.sin(x) - x * y
    cases = [
        (x - y, -2), (y - x, 2), (-x - y, -8), (x**2 - x * y, -6), (x - 2 * y, -7), (x - x / y, 2.4), (x + sign, 4),
        (shared, math.sin(3) - 15), (2 - shared, 17 - math.sin(3)), (x * (x - y) - y, -11), (sp.Max(x, -y) - y, -2),
    ]  # fmt: skip
    expressions, expected = [case[0] for case in cases], [float(case[1]) for case in cases]
    points = np.array([[3.0, 3.0], [5.0, 5.0]])
    np.testing.assert_allclose(numeric_function([x, y], expressions)(points).T, [expected] * 2, rtol=1e-15)
    assert scalar_function([x, y], expressions)(3.0, 5.0) == pytest.approx(expected, rel=1e-15)
    # single points, where a row is a number
    np.testing.assert_allclose(numeric_function([x, y], expressions)([3, 5]), expected, rtol=1e-15)


def test_values_are_written_to_the_array_given():
    x = sp.Symbol("x", real=True)
    out = np.full((3, 2), np.nan)
    numeric_function([x], [x - 1, sp.Integer(7), x**2]).write(np.array([[2.0, 3.0]]), out)
    np.testing.assert_array_equal(out, [[1, 2], [7, 7], [4, 9]])


def test_unselected_branches():
    safe = sp.Piecewise((sp.log(x) / x, x > 0), (0, True))
    assert numeric_function([x], [safe])([[0.0, -1.0, 1.0]]).tolist() == [[0, 0, 0]]
    assert scalar_function([x], [safe + safe**2])(0.0) == (0.0,)


def test_structured_sums_and_products_stay_loops():
    many = 1000
    tokens = [token(l) for l in range(1, many + 1)]
    total = sp.Sum(i * He(2, TOKENS[i]), (i, 1, many))
    pairs = sp.Sum(TOKENS[i] * TOKENS[j], (j, i + 1, 4), (i, 1, 3))
    neighbours = sp.Product(1 + TOKENS[i] * TOKENS[i + 1], (i, 2, 9))
    points = np.random.default_rng(2).normal(size=(many, 3))
    values = numeric_function(tokens, [total, total**2, pairs, neighbours])(points)
    first = (np.arange(1, many + 1)[:, None] * (points**2 - 1)).sum(axis=0)
    np.testing.assert_allclose(values[0], first, rtol=1e-12)
    np.testing.assert_allclose(values[1], first**2, rtol=1e-12)
    np.testing.assert_allclose(
        values[2], (points[:4].sum(axis=0) ** 2 - (points[:4] ** 2).sum(axis=0)) / 2, rtol=1e-11
    )
    np.testing.assert_allclose(values[3], (1 + points[1:9] * points[2:10]).prod(axis=0), rtol=1e-12)
    floats = scalar_function(tokens, [total, pairs, neighbours], vector=True)
    assert floats(points[:, 0].tolist()) == pytest.approx(values[[0, 2, 3], 0], rel=1e-12)


def test_structured_sums_with_the_tokens_in_any_order():
    total = sp.Sum(TOKENS[i] ** i + m, (i, 1, 3))
    symbols = [Z[2], m, Z[0], Z[1]]
    assert numeric_function(symbols, [total])([5, 10, 2, 3])[0] == 2 + 9 + 125 + 30
    assert scalar_function(symbols, [total])(5.0, 10.0, 2.0, 3.0) == (166.0,)
    with pytest.raises(SieSymError, match="z3"):
        numeric_function(Z[:2], [total])


def test_long_sums_compile():
    tokens = [token(l) for l in range(1, 2001)]
    formula = sp.Add(*((l + 1) * z**2 for l, z in enumerate(tokens)))
    assert numeric_function(tokens, [formula])(np.ones(2000))[0] == 2000 * 2001 / 2


@pytest.mark.parametrize("name", ["__import__('os').abort()", "x y", "lambda", "a0", "t1", "exp", "\n", "0"])
def test_names_never_reach_the_interpreter(name):
    odd = sp.Symbol(name, real=True)
    other = sp.Symbol("t1x", real=True)
    f = [odd, other], [sp.exp(odd) * other + He(3, odd)]
    assert numeric_function(*f)([0, 7])[0] == 7
    assert scalar_function(*f)(0.0, 7.0) == (7.0,)
    with pytest.raises(NoClosedForm, match="no numerical form"):
        numeric_function([odd], [sp.Function(name)(odd)])


def test_what_has_no_number():
    with pytest.raises(NoClosedForm, match="DiracDelta"):
        numeric_function([x], [sp.DiracDelta(x)])
    with pytest.raises(NoClosedForm, match="Integral"):
        numeric_function([x], [sp.Integral(sp.exp(-(m**2) * x), (m, 0, 1))])
    with pytest.raises(DomainError, match="not a real number"):
        numeric_function([x], [x * sp.sqrt(-2)])
    with pytest.raises(SieSymError, match="--param a=VALUE --param b=VALUE"):
        numeric_function([x], [x * sp.Symbol("b") + sp.Symbol("a")])
    with pytest.raises(NoClosedForm, match="token index"):
        numeric_function([x], [sp.Sum(TOKENS[i / 2], (i, 2, 2))])


def test_pickles_as_formulas():
    f = numeric_function(Z[:2], [relu(Z[0]) + sp.erfi(Z[1])])
    again = pickle.loads(pickle.dumps(f))
    assert again([0.5, 0.25]) == f([0.5, 0.25]) == 0.5 + special.erfi(0.25)
    loss = pickle.loads(pickle.dumps(NumericLoss(m**2 * eps, (m, eps))))
    assert loss.value(2, 3) == 12


def test_numba_compiles_the_scalar_functions():
    numba = pytest.importorskip("numba")
    formulas = [f for f, _ in PEERS] + [softmax(2, *Z[:3]), sp.Sum(He(i, TOKENS[i]), (i, 1, 4))]
    plain = scalar_function(Z, formulas, vector=True)
    point = np.array([0.3, -1.2, 0.7, 2.0])
    assert numba.njit(plain)(point) == pytest.approx(plain(point), rel=1e-14)


# -- the sign product


def by_quadrature(h: float, k: float, rho: float) -> float:
    """int phi(a - h) sign(a) erf((k + rho (a - h)) / sqrt(2 (1 - rho^2))) da, to 20 digits."""
    ctx = mpmath.MPContext()
    ctx.dps = 25
    h, k, rho = (ctx.mpf(v) for v in (h, k, rho))
    scale = ctx.sqrt(2 * (1 - rho**2))

    def integrand(a):
        return ctx.npdf(a - h) * ctx.sign(a) * ctx.erf((k + rho * (a - h)) / scale)

    # split at the kink in a and around the steep rise of the erf
    centre = h - k / rho if rho else h
    width = scale / abs(rho) if rho else 1
    cuts = sorted(
        {
            h - 11,
            h + 11,
            ctx.mpf(0),
            *(c for c in (centre - 5 * width, centre, centre + 5 * width) if abs(c - h) < 11),
        }
    )
    return float(ctx.quad(integrand, cuts))


@pytest.mark.parametrize("h", [-1.3, 0.0, 0.4])
@pytest.mark.parametrize("k", [-2.0, 0.0, 0.4, 1e-7])
@pytest.mark.parametrize("rho", [-0.95, 0.3, 0.999])
def test_sign_product_by_quadrature(h, k, rho):
    assert float(sign_product(h, k, rho)) == pytest.approx(by_quadrature(h, k, rho), abs=1e-13)


def test_sign_product_limits():
    h = np.linspace(-2, 2, 9)
    k = h[::-1] + 0.3
    # rho = 1: A - h = B - k, so the signs differ exactly when -A' lies between h and k
    expected = 1 - 2 * np.abs(special.ndtr(h) - special.ndtr(k))
    np.testing.assert_allclose(sign_product(h, k, 1.0), expected, atol=1e-14)
    np.testing.assert_allclose(sign_product(h, h, 1.0), 1, atol=1e-14)
    np.testing.assert_allclose(sign_product(h, -k, -1.0), -expected, atol=1e-14)
    np.testing.assert_allclose(sign_product(h, -h, -1.0), -1, atol=1e-14)
    np.testing.assert_allclose(sign_product(0, 0, [-1, 0.5, 1]), [-1, 1 / 3, 1], atol=1e-15)
    assert np.isnan(sign_product(0.1, 0.2, 1.1))


def test_sign_product_inside_formulas_follows_its_own_derivative():
    """Integrating Plackett's formula from rho = 0 is a route that shares nothing with Owen's function."""
    r = sp.Symbol("r", real=True)
    formula = SignProduct(sp.Rational(2, 5), eps, r)
    slope = scalar_function([r, eps], [sp.diff(formula, r)])
    rise, _ = integrate.quad(lambda v: slope(v, -0.7)[0], 0, 0.8, epsabs=1e-14)
    start = math.erf(0.4 / math.sqrt(2)) * math.erf(-0.7 / math.sqrt(2))
    assert scalar_function([r, eps], [formula])(0.8, -0.7)[0] == pytest.approx(start + rise, abs=1e-13)
    assert numeric_function([r, eps], [formula])([0.8, -0.7])[0] == pytest.approx(start + rise, abs=1e-13)


# -- losses


def test_loss_shapes_and_derivatives():
    """Theory section 9: linear attention, L = 2, C = (1, 1/2); derivatives by hand."""
    u = 3 * eps / 2
    loss = NumericLoss(4 - 4 * m**2 + (u**4 + 12 * u**2 + 12) / 4, (m, eps))
    ms, es = np.linspace(-0.5, 0.5, 3)[:, None], np.linspace(0, 0.5, 4)
    assert loss.value(ms, es).shape == (3, 4)
    assert loss.gradient(ms, es).shape == (2, 3, 4)
    assert loss.hessian(ms, es).shape == (2, 2, 3, 4)
    assert loss.value(0, 0) == 7
    np.testing.assert_allclose(loss.gradient(1, 0.5), [-8, 1.5 * (0.75**3 + 6 * 0.75)], rtol=1e-15)
    np.testing.assert_allclose(loss.hessian(1, 0.5), [[-8, 0], [0, 2.25 * (3 * 0.75**2 + 6)]], rtol=1e-15)
    assert isinstance(loss, LossFunction)
    with pytest.raises(SieSymError, match="1 statistics given"):
        loss.value(0.5)


def test_constant_loss_has_the_shape_of_its_arguments():
    loss = NumericLoss(sp.Integer(5), (m, eps))
    assert loss.value(np.zeros((2, 3)), 0).tolist() == [[5.0] * 3] * 2
    assert loss.hessian(np.zeros(2), 0).shape == (2, 2, 2)


def test_free_parameters_are_named():
    with pytest.raises(SieSymError, match=r"depends on a besides m: .*--param a=VALUE"):
        NumericLoss(m * sp.Symbol("a"), (m,))


def test_numeric_loss_accepts_formulas_and_numerical_losses():
    exact = SimpleNamespace(expression=m**2, statistics=(m,))
    assert numeric_loss(exact).value(3) == 9
    numerical = numeric_loss(exact)
    assert numeric_loss(numerical) is numerical
    methods = {name: getattr(numerical, name) for name in ("statistics", "value", "gradient", "hessian")}
    spectral = SimpleNamespace(**methods)
    assert numeric_loss(spectral) is spectral
    with pytest.raises(SieSymError, match="int is not a loss"):
        numeric_loss(3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=2, max_size=2), st.integers(0, 6), st.integers(0, 6))
def test_derivatives_agree_with_differences(point, k, n):
    loss = NumericLoss(He(k, m) * sp.tanh(eps) + sp.erf(m * eps) + He(n, m + eps), (m, eps))
    step = 1e-5
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        above, below = (np.array(point) + s * shift for s in (1, -1))
        slope = (loss.value(*above) - loss.value(*below)) / (2 * step)
        bend = (loss.gradient(*above) - loss.gradient(*below)) / (2 * step)
        np.testing.assert_allclose(loss.gradient(*point)[axis], slope, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(loss.hessian(*point)[axis], bend, rtol=1e-5, atol=1e-4)
