"""exp(s Laplacian/2) of polynomials against Gaussian moments, against He_k and against SymPy's own polynomials."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sie_sym.errors import TruncationError
from sie_sym.functions import He, token, token_index
from sie_sym.polynomial import TERM_BUDGET, Polynomial, expanded_size, is_polynomial

z1, z2, z3 = Z = tuple(token(l) for l in (1, 2, 3))
LABELS = {z: l for l, z in enumerate(Z, start=1)}
SYMBOLS = frozenset(Z)
a, b = sp.symbols("a b", real=True)
R = sp.Rational

COEFFICIENTS = st.fractions(min_value=-5, max_value=5, max_denominator=7)
TERMS = st.dictionaries(st.tuples(*[st.integers(0, 4)] * 3), COEFFICIENTS, max_size=6)


def from_terms(terms: dict[tuple[int, ...], Fraction]) -> sp.Expr:
    return sp.Add(
        *(R(c.numerator, c.denominator) * sp.Mul(*(z**n for z, n in zip(Z, p, strict=True))) for p, c in terms.items())
    )


def moments(expression: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """E p(t + sqrt(s) Z) monomial by monomial: E Z^n = (n - 1)!! for even n."""
    s, noise = variance, sp.symbols("x1:4")
    shifted = sp.Poly(expression.subs({z: z + x for z, x in zip(Z, noise, strict=True)}, simultaneous=True), *noise)
    total = sp.Integer(0)
    for powers, c in shifted.terms():
        if all(n % 2 == 0 for n in powers):
            total += c * math.prod(sp.factorial2(n - 1) * s ** (n // 2) for n in powers)
    return sp.expand(total)


def at_tokens(p: Polynomial) -> sp.Expr:
    return sp.expand(p.expression([token(l) for l in p.labels]))


@settings(max_examples=25)
@given(TERMS, st.sampled_from([R(1), R(9, 4)]))
def test_the_transform_is_the_gaussian_mean(terms: dict[tuple[int, ...], Fraction], variance: sp.Rational) -> None:
    p = from_terms(terms)
    smoothed = Polynomial.of(p, LABELS).smoothed(variance)
    assert at_tokens(smoothed) == moments(p, variance)
    assert at_tokens(smoothed.smoothed(-variance)) == sp.expand(p)


@settings(max_examples=25)
@given(TERMS)
def test_reading_term_by_term_or_by_expansion_is_the_same(terms: dict[tuple[int, ...], Fraction]) -> None:
    p = from_terms(terms)
    direct = Polynomial.of_monomials(p, token_index)
    assert direct is not None
    assert direct == Polynomial.of(p, LABELS)
    factored = sp.factor(p)
    assert at_tokens(Polynomial.of(factored, LABELS)) == sp.expand(p)


@pytest.mark.parametrize(
    "p", [z1 + a, (z1 + z2) ** 2, z1 * (z2 + 1), z1 / z2, sp.sqrt(z1), sp.pi * z1, He(2, z1), 2**z1]
)
def test_only_sums_of_monomials_are_read_term_by_term(p: sp.Expr) -> None:
    assert Polynomial.of_monomials(p, token_index) is None


def test_constants_and_zero() -> None:
    for value in (sp.Integer(0), R(-3, 4)):
        for p in (Polynomial.of(value, LABELS), Polynomial.of_monomials(value, token_index)):
            assert p is not None
            assert p.labels == ()
            assert p.degree == 0
            assert at_tokens(p.smoothed()) == value
            assert p.coefficient([]) == value
    cancelled = Polynomial.of((z1 + 1) ** 2 - z1**2 - 2 * z1 - 1, LABELS)
    assert at_tokens(cancelled) == 0
    assert cancelled.degree == 0
    assert cancelled.homogeneous(2) == {}


@pytest.mark.parametrize("k", range(8))
@pytest.mark.parametrize("s", [R(1), R(1, 3), a**2 + 1])
def test_hermite_polynomials_of_variance_s_smooth_to_monomials(k: int, s: sp.Expr) -> None:
    pairings = (math.comb(k, 2 * j) * sp.factorial2(2 * j - 1) for j in range(k // 2 + 1))
    p = sp.expand(sum(n * (-s) ** j * z1 ** (k - 2 * j) for j, n in enumerate(pairings)))
    smoothed = Polynomial.of(p, LABELS, s).smoothed(s)
    assert at_tokens(smoothed) == z1**k
    if s == 1:
        assert at_tokens(Polynomial.of(He(sp.Integer(k), z1), LABELS)) == p


def test_parameters_and_irrational_constants_are_exact() -> None:
    p = (a * z1 + sp.sqrt(2) * z2 + 1 / b) ** 3
    assert at_tokens(Polynomial.of(p, LABELS).smoothed()) == moments(p, sp.Integer(1))
    q = (sp.sqrt(2) * z1 - z1 * sp.sqrt(2)) + sp.sqrt(3) * z2**2
    assert Polynomial.of(q, LABELS).homogeneous(2) == {((2, 2),): sp.sqrt(3)}
    cancelling = (sp.sqrt(2) * z1) ** 2 - 2 * z1**2 + z2  # zero only after sqrt(2)^2 = 2
    assert Polynomial.of(cancelling, LABELS).degree == 1


def test_coefficients_by_degree() -> None:
    p = Polynomial.of(3 * z1**2 * z3 - z2**3 / 2 + z1 + 7, LABELS)
    assert p.degree == 3
    assert p.homogeneous(3) == {((1, 2), (3, 1)): 3, ((2, 3),): R(-1, 2)}
    assert p.homogeneous(1) == {((1, 1),): 1}
    assert p.homogeneous(0) == {(): 7}
    assert p.homogeneous(4) == p.homogeneous(2) == {}
    assert p.coefficient(((1, 2), (3, 1))) == 3
    assert p.coefficient(((2, 1),)) == 0
    with_parameter = Polynomial.of(a * z1**2 + a**2 * z1**2 - z2, LABELS)
    assert with_parameter.coefficient(((1, 2),)) == a**2 + a
    assert with_parameter.homogeneous(2) == {((1, 2),): a**2 + a}


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ((1 + z1) ** 3 * He(2, z1 * z2), True),
        (a * z1 + sp.exp(b), True),
        (z1**a, False),
        (1 / z1, False),
        (He(-1, z1), False),
        (He(a, z1), False),
        (sp.Abs(z1), False),
    ],
)
def test_what_is_a_polynomial(expression: sp.Expr, verdict: bool) -> None:
    assert is_polynomial(expression, SYMBOLS) is verdict


@pytest.mark.parametrize(
    "p", [(1 + z1 + z2) ** 4, (z1 + z2) * (z1 - z3) ** 2 + z1, He(5, z1 + z2), He(2, z1 * z2 + z3) ** 2]
)
def test_the_size_is_an_upper_bound(p: sp.Expr) -> None:
    assert expanded_size(p, SYMBOLS) >= len(sp.Poly(p.expand(func=True), *Z).terms())


def test_the_term_budget() -> None:
    tokens = [token(l) for l in range(1, 31)]
    p = sp.Mul(*(1 + z for z in tokens))
    assert expanded_size(p, frozenset(tokens)) == 2**30 > TERM_BUDGET
    with pytest.raises(TruncationError, match="more than 200000 terms"):
        Polynomial.of(p, {z: l for l, z in enumerate(tokens, start=1)})


def test_parseval() -> None:
    """sum_alpha C_alpha^2/alpha! = E p^2, the moments again the independent route."""
    p = (z1 + 2 * z2 * z3) ** 3 - z1 * z2
    smoothed = Polynomial.of(p, LABELS).smoothed()
    total = sum(
        c**2 * math.prod(math.factorial(n) for _, n in alpha)
        for k in range(smoothed.degree + 1)
        for alpha, c in smoothed.homogeneous(k).items()
    )
    assert total == moments(sp.expand(p**2), sp.Integer(1)).subs(dict.fromkeys(Z, 0))


def test_long_sums_keep_all_their_terms() -> None:
    powers = [p for p in itertools.product(range(8), repeat=3) if sum(p) <= 7]
    p = sp.Add(*(a * (n + 1) * sp.Mul(*(z**k for z, k in zip(Z, q, strict=True))) for n, q in enumerate(powers)))
    graded = Polynomial.of(p, LABELS)
    assert {alpha: c for k in range(8) for alpha, c in graded.homogeneous(k).items()} == {
        tuple((l, k) for l, k in enumerate(q, start=1) if k): a * (n + 1) for n, q in enumerate(powers)
    }
