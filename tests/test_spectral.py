"""Numeric Hermite coefficients and shifted expectations against closed forms, theory section 9, mpmath, Monte Carlo."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from sie_sym.errors import DomainError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.quadratures.quadrature import normalised_hermite
from sie_sym.quadratures.shifted_expectation import shifted_expectation
from sie_sym.quadratures.spectral import hermite_coefficients, softmax_matrix


def trace(z):
    return softmax_matrix(z)[[0, 1], [0, 1]].sum(axis=0)


def _softmax_rows(z):
    expected = np.exp(z[:, None] * z[None])
    return expected / expected.sum(axis=1, keepdims=True)


def test_softmax_matrix_is_the_row_softmax_of_the_outer_product():
    z = np.random.default_rng(0).standard_normal((3, 7))
    np.testing.assert_allclose(softmax_matrix(z), _softmax_rows(z), rtol=1e-13)
    np.testing.assert_allclose(softmax_matrix(z[:2]), _softmax_rows(z[:2]), rtol=1e-12)
    for tokens in (2, 3):
        extreme = softmax_matrix(np.array([[800.0], [-900.0], [1.0]][:tokens]))
        assert np.isfinite(extreme).all()
        assert extreme[0, 0, 0] == 1.0


@pytest.mark.parametrize("order", [5, 60, 400])
def test_normalised_hermite_is_orthonormal(order):
    x = np.linspace(-50, 50, 4001)
    table = normalised_hermite(order, x, np.exp(-(x**2) / 4) * math.sqrt((x[1] - x[0]) / math.sqrt(2 * math.pi)))
    np.testing.assert_allclose(table @ table.T, np.eye(order + 1), atol=1e-11)


def test_polynomial_is_exact_beyond_its_degree():
    # z1^3 z2 = (He_3 + 3 He_1)(z1) He_1(z2)
    h = hermite_coefficients(lambda z: z[0] ** 3 * z[1], 2, 6)
    assert h.coefficient((3, 1))[0] == pytest.approx(6, abs=1e-12)
    assert h.coefficient((1, 1))[0] == pytest.approx(3, abs=1e-12)
    assert h.norm2 == pytest.approx(15, abs=1e-12)  # E z^6
    assert h.tail < 1e-12
    rest = h.coefficients.copy()
    rest[0, 3, 1] = rest[0, 1, 1] = 0
    assert np.abs(rest).max() < 1e-12
    assert h.error < 1e-12
    assert h.evidence is Evidence.NUMERICAL


def test_erf_has_its_closed_form_coefficients():
    # G erf(a .)(u) = erf(a u / sqrt(1 + 2 a^2)) (theory section 2); C_k is its k-th derivative at 0
    a = 0.8
    with mpmath.workdps(30):
        series = mpmath.taylor(lambda u: mpmath.erf(a * u / mpmath.sqrt(1 + 2 * mpmath.mpf(a) ** 2)), 0, 9)
        expected = [float(c * mpmath.factorial(k)) for k, c in enumerate(series)]
    h = hermite_coefficients(lambda z: erf(a * z), 1, 9)
    found = [h.coefficient((k,))[0] for k in range(10)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    # Parseval in closed form: E erf(a Z)^2 = (2/pi) asin(2 a^2/(1 + 2 a^2))
    assert h.norm2 == pytest.approx(2 / math.pi * math.asin(2 * a * a / (1 + 2 * a * a)), abs=1e-13)


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_exponential_ridge(a, b):
    # G exp(a z1 + b z2) = exp(a t1 + b t2 + (a^2 + b^2)/2)
    h = hermite_coefficients(lambda z: np.exp(a * z[0] + b * z[1]), 2, 3)
    scale = math.exp((a * a + b * b) / 2)
    assert h.coefficient((2, 1))[0] == pytest.approx(a * a * b * scale, abs=1e-9)
    assert h.norm2 == pytest.approx(scale**4, rel=1e-10)


def test_trace_softmax_reference_values():
    # theory section 9
    h = hermite_coefficients(trace, 2, 4)
    square = hermite_coefficients(lambda z: trace(z) ** 2, 2, 2)
    expected = {
        (0, 0): 2 - 1 / math.sqrt(2),
        (2, 0): 0.1409783888,
        (1, 1): -0.2125750018,
        (4, 0): -0.2402565161,  # see the next test
        (2, 2): -0.0800855054,
        (3, 1): 0.1450367848,
    }
    for alpha, value in expected.items():
        assert h.coefficient(alpha)[0] == pytest.approx(value, abs=1e-10)  # ten digits, cut
    assert h.norm2 == pytest.approx(1.7549968537, abs=6e-11)

    def along_c(k):  # C_cc = C_11 - 2 C_12 + C_22 for c = (1, -1)
        return k.coefficient((2, 0))[0] - 2 * k.coefficient((1, 1))[0] + k.coefficient((0, 2))[0]

    assert along_c(h) == pytest.approx(1 / math.sqrt(2), abs=1e-12)
    assert along_c(square) == pytest.approx(2.0760082143, abs=6e-11)
    # Fig. 1: g = He_2(z1) + He_2(z2)
    assert -4 * (2 * 2 * h.coefficient((2, 0))[0]) / 2 == pytest.approx(-1.1278271103, abs=6e-11)
    # Fig. 2: E g = 4/3; Red = trace, and trace/sqrt(L), the official code's
    assert along_c(square) - 2 * 4 / 3 * along_c(h) == pytest.approx(0.1903901311, abs=6e-11)
    assert along_c(square) / 2 - 2 * 4 / 3 * along_c(h) / math.sqrt(2) == pytest.approx(-0.2953, abs=5e-5)


def test_trace_softmax_by_gauss_legendre_panels():
    edges, (node, weight) = np.linspace(-11, 11, 45), np.polynomial.legendre.leggauss(40)
    x = (edges[:-1, None] + (edges[1] - edges[0]) * (1 + node) / 2).ravel()
    w = np.tile(weight * (edges[1] - edges[0]) / 2, 44) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    values = trace(np.stack(np.meshgrid(x, x, indexing="ij")))
    h = hermite_coefficients(trace, 2, 4)
    fourth = np.einsum("i,j,ij->", w * (x**4 - 6 * x**2 + 3), w, values)
    assert h.coefficient((4, 0))[0] == pytest.approx(fourth, abs=1e-12)
    assert h.coefficient((2, 2))[0] == pytest.approx(
        np.einsum("i,j,ij->", w * (x**2 - 1), w * (x**2 - 1), values), abs=1e-12
    )


def test_softmax_closed_forms_and_the_value_without_one():
    h = hermite_coefficients(softmax_matrix, 2, 2, outputs=4)
    assert h.coefficient((0, 0))[0] == pytest.approx(1 - math.sqrt(2) / 4, abs=1e-14)
    assert h.coefficient((2, 0))[0] == pytest.approx(math.sqrt(2) / 8, abs=1e-13)
    assert h.coefficient((1, 1))[0] == pytest.approx(-0.1062875009, abs=6e-11)
    assert h.error < 1e-12
    assert np.abs(h.coefficients[:, 1, 0]).max() < 1e-15  # softmax is even


def test_the_error_estimate_covers_the_error_of_softmax():
    fine = hermite_coefficients(softmax_matrix, 2, 12, nodes=260).coefficients
    for nodes in (20, 30, 45, 60, 80):
        coarse = hermite_coefficients(softmax_matrix, 2, 12, nodes=nodes)
        difference = np.abs(coarse.coefficients - fine)
        assert difference.max() <= coarse.error
        for degree in (0, 2, 6, 12):  # and degree by degree
            on_degree = [difference[:, i, degree - i].max() for i in range(degree + 1)]
            assert max(on_degree) <= coarse.errors[degree]
    assert hermite_coefficients(softmax_matrix, 2, 12, nodes=45).error < 1e-3


@pytest.mark.parametrize(
    ("function", "k", "expected"),
    [
        (np.abs, 2, math.sqrt(2 / math.pi)),
        # relu(x - c): d/du of (u-c) Phi(u-c) + varphi(u-c) at 0 is Phi(-c)
        (lambda z: np.maximum(z - 0.3, 0), 1, 0.5 * math.erfc(0.3 / math.sqrt(2))),
        (lambda z: np.maximum(z + 0.777, 0), 1, 0.5 * math.erfc(-0.777 / math.sqrt(2))),
        # theory section 10.7: the quadrature must not hide its own error behind a threshold
        (lambda z: np.abs(z) - 0.5 * math.sqrt(2 / math.pi) * (z * z - 1), 2, 0.0),
    ],
)
def test_kinks_are_reported_in_the_error(function, k, expected):
    h = hermite_coefficients(function, 1, 4)
    assert abs(h.coefficient((k,))[0] - expected) <= h.error * math.sqrt(math.factorial(k))
    assert h.error > 1e-5


def test_mpmath_agrees_on_a_coefficient_without_closed_form():
    def inner(x):  # over z1 by its own rule, so that only the outer integral is a quadrature of many points
        return mpmath.quad(lambda y: mpmath.tanh(x * y + x / 2) * mpmath.npdf(y), [-8, 0, 8], maxdegree=4)

    weight = mpmath.quad(lambda x: inner(x) * (x**3 - 3 * x) * mpmath.npdf(x), [-8, 0, 8], maxdegree=4)
    h = hermite_coefficients(lambda z: np.tanh(z[0] * z[1] + z[0] / 2), 2, 4)
    assert h.coefficient((3, 0))[0] == pytest.approx(float(weight), abs=1e-7)


def test_parity_halves_the_work_and_changes_nothing():
    plain = hermite_coefficients(softmax_matrix, 2, 10)
    halved = hermite_coefficients(softmax_matrix, 2, 10, parity="even")
    np.testing.assert_allclose(plain.coefficients, halved.coefficients, atol=1e-14)
    assert halved.norm2 == pytest.approx(plain.norm2, abs=1e-14)
    odd = hermite_coefficients(lambda z: np.tanh(z[0] - 2 * z[1]), 2, 3, parity="odd")
    assert odd.coefficient((1, 0))[0] == pytest.approx(
        hermite_coefficients(lambda z: np.tanh(z[0] - 2 * z[1]), 2, 3).coefficient((1, 0))[0], abs=1e-13
    )
    with pytest.raises(DomainError, match="not even under"):
        hermite_coefficients(lambda z: z[0] ** 3, 1, 3, parity="even")


def _monte_carlo(function, tokens, alphas, samples=200_000, seed=5):
    z = np.random.default_rng(seed).standard_normal((tokens, samples))
    values = function(z)
    table = normalised_hermite(max(max(a) for a in alphas), z)
    for alpha in alphas:
        weighted = values * np.prod([table[a, l] for l, a in enumerate(alpha)], axis=0)
        yield weighted.mean(), weighted.std() / math.sqrt(samples)


@pytest.mark.parametrize("tokens", [3, 4, 5, 6, 8])
def test_many_tokens_against_monte_carlo(tokens):
    h = hermite_coefficients(
        softmax_matrix, tokens, 2, nodes={5: 14}.get(tokens, 2**10 if tokens > 5 else None), parity="even"
    )
    alphas = [(0,) * tokens, (2, *[0] * (tokens - 1)), (1, 1, *[0] * (tokens - 2))]
    first = _monte_carlo(lambda z: softmax_matrix(z)[0, 0], tokens, alphas)
    for alpha, (mean, deviation) in zip(alphas, first, strict=True):
        assert abs(h.coefficients[(0, *alpha)] - mean) <= 5 * deviation + h.error
    # rows of softmax sum to one, so does their expectation
    matrix = h.coefficient((0,) * tokens).reshape(tokens, tokens)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-4 if tokens < 6 else 1e-10)


def test_sobol_confidence_interval_covers_a_closed_form():
    # C_{e1 + e2} of exp(mean): G = exp(mean(t) + 1/(2 L)), second derivative at 0: exp(1/(2 L))/L^2
    tokens = 7
    expected = math.exp(1 / (2 * tokens)) / tokens**2
    for seed in range(4):
        h = hermite_coefficients(lambda z: np.exp(z.mean(axis=0)), tokens, 2, nodes=256, seed=seed)
        assert abs(h.coefficient((1, 1, 0, 0, 0, 0, 0))[0] - expected) <= h.error
        assert 0 < h.error < 0.02
    assert "99.9%" in h.method
    again = hermite_coefficients(lambda z: np.exp(z.mean(axis=0)), tokens, 2, nodes=256, seed=3)
    assert np.array_equal(again.coefficients, h.coefficients)


def test_shifted_expectation_against_closed_forms():
    # G (1[z1 > 0] smoothed as Phi) is Phi((t)/sqrt 2); G z1 z2^2 = t1 (t2^2 + 1)
    rng = np.random.default_rng(3)
    means = rng.uniform(-3, 3, (40, 2))
    result = shifted_expectation(lambda z: np.stack([erf(z[0]), z[0] * z[1] ** 2]), means)
    np.testing.assert_allclose(result.values[:, 0], erf(means[:, 0] / math.sqrt(3)), atol=1e-12)
    np.testing.assert_allclose(result.values[:, 1], means[:, 0] * (means[:, 1] ** 2 + 1), atol=1e-11)
    assert result.error < 1e-10


@pytest.mark.parametrize("tokens", [1, 3, 4])
def test_shifted_expectation_for_other_numbers_of_tokens(tokens):
    means = np.random.default_rng(4).uniform(-1, 1, (3, tokens))
    result = shifted_expectation(lambda z: np.cos(z.sum(axis=0)), means)
    expected = math.exp(-tokens / 2) * np.cos(means.sum(axis=1))
    assert np.abs(result.values[:, 0] - expected).max() <= result.error
    assert result.error < 1e-4


def test_shifted_softmax_is_the_zeroth_coefficient_of_the_shifted_function():
    e = np.array([0.7, -0.4])
    direct = hermite_coefficients(lambda z: softmax_matrix(z + e[:, None]), 2, 0).coefficients.ravel()
    np.testing.assert_allclose(shifted_expectation(softmax_matrix, [e]).values[0], direct, atol=1e-13)


def test_refusals_name_what_is_wrong():
    h = hermite_coefficients(softmax_matrix, 2, 4)
    with pytest.raises(TruncationError, match="known to degree 4: pass order=6"):
        h.coefficient((6, 0))
    with pytest.raises(DomainError, match="2 integers"):
        h.coefficient((1,))
    with pytest.raises(TruncationError, match=r"GiB \(limit 1 GiB\)"):
        hermite_coefficients(softmax_matrix, 5, 60)
    with pytest.raises(TruncationError, match="one slice"):
        hermite_coefficients(softmax_matrix, 4, 2, nodes=400)
    with pytest.raises(DomainError, match="not finite at z"):
        hermite_coefficients(lambda z: np.where(z > 1, np.inf, z), 1, 2)
    with pytest.raises(DomainError, match="square-integrable"):
        hermite_coefficients(lambda z: np.exp(z * z / 4), 1, 2)
    with pytest.raises(DomainError, match="4 outputs, not the 3"):
        hermite_coefficients(softmax_matrix, 2, 2, outputs=3)
    with pytest.raises(DomainError, match="a constant must be broadcast"):
        hermite_coefficients(lambda z: np.ones(1), 2, 2)
    with pytest.raises(DomainError, match="at least one token"):
        hermite_coefficients(softmax_matrix, 0, 2)


@pytest.mark.slow
def test_three_tokens_to_order_sixty_stay_within_memory():
    import tracemalloc

    tracemalloc.start()
    h = hermite_coefficients(softmax_matrix, 3, 60, nodes=100, parity="even")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**30
    assert 0 < h.tail < 1e-6
    assert h.error < 1e-8
