"""Multi-indices, Hermite polynomials and the Parseval sum, against NumPy's tables and Gauss-Hermite rules."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from sie_sym.functions import He, hermite_polynomial, token
from sie_sym.hermite import dense, factorial, inner_product, multi_indices, multiply, order, sparse

EXPONENTS = st.lists(st.integers(0, 5), min_size=1, max_size=5)


@given(EXPONENTS)
def test_sparse_and_dense_are_inverse(exponents: list[int]) -> None:
    alpha = sparse(exponents)
    assert all(n > 0 for _, n in alpha)
    assert dense(alpha, len(exponents)) == exponents
    assert order(alpha) == sum(exponents)
    assert factorial(alpha) == math.prod(math.factorial(n) for n in exponents)


@given(EXPONENTS, EXPONENTS)
def test_multiplying_adds_exponents(left: list[int], right: list[int]) -> None:
    total = [a + b for a, b in itertools.zip_longest(left, right, fillvalue=0)]
    assert multiply(sparse(left), sparse(right)) == sparse(total)


@pytest.mark.parametrize(("tokens", "k"), [(1, 0), (1, 4), (3, 0), (3, 2), (4, 5)])
def test_multi_indices_are_all_of_them_once(tokens: int, k: int) -> None:
    labels = range(2, 2 + tokens)
    found = list(multi_indices(labels, k))
    assert len(found) == len(set(found)) == math.comb(tokens + k - 1, k)
    assert all(order(alpha) == k and {l for l, _ in alpha} <= set(labels) for alpha in found)
    assert all(list(alpha) == sorted(alpha) for alpha in found)


def test_no_multi_index_without_tokens() -> None:
    assert list(multi_indices([], 2)) == []
    assert list(multi_indices([], 0)) == [()]


@pytest.mark.parametrize("k", range(9))
def test_hermite_polynomials_agree_with_numpy(k: int) -> None:
    x = sp.Symbol("x", real=True)
    ours = sp.Poly(hermite_polynomial(k, x), x)
    theirs = np.polynomial.hermite_e.herme2poly([0] * k + [1])
    assert [float(c) for c in reversed(ours.all_coeffs())] == list(theirs)
    assert sp.expand(He(sp.Integer(k), x).expand(func=True) - ours.as_expr()) == 0


def test_hermite_polynomials_of_a_variance_are_orthogonal() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    x, s = sp.Symbol("x", real=True), sp.Rational(9, 4)
    values = [np.array([float(hermite_polynomial(k, sp.Float(1.5 * n), s)) for n in nodes]) for k in range(5)]
    gram = np.array([[weights @ (a * b) for a in values] for b in values]) / math.sqrt(2 * math.pi)
    assert gram == pytest.approx(np.diag([math.factorial(k) * 2.25**k for k in range(5)]), abs=1e-9)
    assert hermite_polynomial(3, x, sp.Integer(1)) == x**3 - 3 * x


def test_the_derivative_lowers_the_degree() -> None:
    z = token(1)
    assert sp.diff(He(4, 2 * z), z) == 8 * He(3, 2 * z)
    assert sp.diff(He(0, z), z) == 0


def test_inner_product_is_the_contraction_over_k_factorial() -> None:
    """Against the full sum over i1..ik of two symmetric tensors of order 3 on 2 tokens."""
    left = {sparse([3, 0]): sp.Integer(2), sparse([2, 1]): sp.Integer(-1), sparse([0, 3]): sp.Integer(7)}
    right = {sparse([3, 0]): sp.Integer(5), sparse([2, 1]): sp.Integer(3), sparse([1, 2]): sp.Integer(11)}

    def entry(tensor: dict[tuple[tuple[int, int], ...], sp.Integer], indices: tuple[int, ...]) -> int:
        return int(tensor.get(sparse([indices.count(1), indices.count(2)]), 0))

    full = sum(entry(left, i) * entry(right, i) for i in itertools.product((1, 2), repeat=3))
    assert inner_product(left, right) == sp.Rational(full, 6)
    assert inner_product(left, {}) == 0
