"""Operator norms against numerical optimisation over the sphere, and the certified bounds behind them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from hypothesis import given, settings
from scipy.optimize import minimize
from test_symmetric_tensor import dense_array, tensor_of, tensors

from sie_sym.errors import NoClosedForm, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.functions import He, token
from sie_sym.hermite import Tensor, factorial, order
from sie_sym.tensors.certified_value import CertifiedValue, largest
from sie_sym.tensors.eigenvalues import extreme_eigenvalues, symmetric_spectrum
from sie_sym.tensors.operator_norm import directed_norm, operator_norm
from sie_sym.tensors.sphere_maximum import Form, sphere_maximum

z1, z2, z3, z4, z5 = (token(l) for l in range(1, 6))


def searched(tensor: Tensor, tokens: int, sign: int = 0, starts: int = 6) -> float:
    """max |<T, v^k>| (or of sign <T, v^k>) over the sphere by scipy from many starts: a lower bound."""
    terms = [
        (float(value) * math.factorial(order(a)) / factorial(a), {l: int(n) for l, n in a})
        for a, value in tensor.items()
        if value != 0
    ]

    def loss(v: np.ndarray, s: int) -> float:
        v = v / np.linalg.norm(v)
        return -s * sum(w * math.prod(v[l - 1] ** n for l, n in a.items()) for w, a in terms)

    rng = np.random.default_rng(1)
    best = 0.0
    for start, s in itertools.product(rng.standard_normal((starts, tokens)), (sign,) if sign else (1, -1)):
        best = max(best, -float(minimize(loss, start, args=(s,), tol=1e-12).fun))
    return best


@pytest.mark.parametrize(
    ("function", "k", "value"),
    [
        (3 * z1 - 4 * z2, 1, 5),
        (z1 * z2, 2, 1),
        (He(2, z1) - 3 * He(2, z2), 2, 6),
        (z1 * z2 + z2 * z3 + z1 * z3, 2, 2),
        (z1**2 + z1 * z2, 2, 1 + sp.sqrt(2)),
        # Monomials: k!/b! C_b prod (b_l/k)^{b_l/2}; with all b_l = 1, k! k^{-k/2}.
        (z1 * z2 * z3, 3, 6 / sp.sqrt(27)),
        (z1 * z2 * z3 * z4, 4, sp.Rational(24, 16)),
        (He(1, z1) * He(4, z2), 5, 24 * 5 * sp.sqrt(sp.Rational(1, 5)) * sp.Rational(4, 5) ** 2),
        # Rank one: |c| |a|^k.
        (He(3, z1 + z2 + z3), 3, 6 * sp.sqrt(27)),
        # Odeco: the largest |lambda|.
        (He(3, (z1 + z2) / sp.sqrt(2)) - 2 * He(3, (z1 - z2) / sp.sqrt(2)), 3, 12),
        (sp.sqrt(2) * He(4, z1) - He(4, z2) / 3, 4, 24 * sp.sqrt(2)),
        # Products of forms in orthogonal variables.
        (z1 * z2 * z3 + z2 * z3 * z4, 3, 6 * sp.sqrt(2) / sp.sqrt(27)),
        ((z1 - z2) * (z1 + z2) * z3, 3, 12 / sp.sqrt(27)),
    ],
)
def test_exact_norms(function: sp.Expr, k: int, value: sp.Expr) -> None:
    tensor = tensor_of(function, k)
    norm = operator_norm(tensor)
    assert norm.evidence is Evidence.EXACT
    assert norm.value is not None
    assert sp.expand(norm.value - value) == 0
    assert searched(tensor, 4) == pytest.approx(float(value), rel=1e-6)
    low, high = norm.bounds
    assert low <= float(value) <= high


@pytest.mark.parametrize(
    ("function", "k", "tokens"),
    [
        (z1**3 + z1 * z2 * z3 + z2 * z3 * z4, 3, 4),
        (z1 * z2 * (z1 + z2), 3, 2),
        (z1**4 - z1**2 * z2**2 + z2 * z3**3, 4, 3),
        (sp.sqrt(2) * z1 * z2 * z3 + sp.pi * z1**3 / 3, 3, 3),
        (z1 * z2 * z3 + z3 * z4 * z5 + z5**3 / 3, 3, 5),
    ],
)
def test_enclosed_norms_are_narrow_and_contain_the_optimum(function: sp.Expr, k: int, tokens: int) -> None:
    tensor = tensor_of(function, k)
    norm = operator_norm(tensor)
    low, high = norm.bounds
    assert (norm.value, norm.evidence) == (None, Evidence.ENCLOSED)
    assert high - low < 2e-7 * high
    assert searched(tensor, tokens, starts=12) == pytest.approx(low, rel=1e-6)


@given(tensors())
@settings(max_examples=15)
def test_norms_are_bounds(case: tuple[Tensor, int]) -> None:
    tensor, tokens = case
    low, high = operator_norm(tensor).bounds
    best = searched(tensor, tokens)
    assert best <= high * (1 + 1e-9)
    assert low <= best * (1 + 1e-6)
    # The flattening to a vector and a matrix is an upper bound, and |<T, u^k>| a lower one.
    array = dense_array(tensor, tokens)
    assert low <= np.linalg.norm(array.reshape(tokens, -1), 2) * (1 + 1e-12)
    assert high >= abs(array.sum()) / tokens ** (array.ndim / 2) * (1 - 1e-12)


def test_norms_that_are_not_isolated_maxima_keep_an_honest_width() -> None:
    # |v|^4: every unit vector is a maximiser.
    tensor: Tensor = {((1, 4),): sp.Integer(3), ((1, 2), (2, 2)): sp.Integer(1), ((2, 4),): sp.Integer(3)}
    low, high = operator_norm(tensor).bounds
    assert low <= 3 <= high
    assert high - low < 1e-5


def test_many_tokens_without_structure_give_valid_bounds() -> None:
    tensor: Tensor = {((l, 1), (l + 1, 1), (l + 2, 1)): sp.Integer(1) for l in range(1, 21)}
    low, high = operator_norm(tensor).bounds
    assert searched(tensor, 22, starts=1) <= high
    assert 1.9 < low < high


def test_eigenvalues_of_a_large_matrix_are_enclosed() -> None:
    # The path with n vertices has the largest eigenvalue 2 cos(pi / (n + 1)).
    tensor: Tensor = {((l, 1), (l + 1, 1)): sp.Integer(1) for l in range(1, 61)}
    low, high = operator_norm(tensor).bounds
    assert low <= 2 * math.cos(math.pi / 62) <= high
    assert high - low < 1e-10


def test_the_eigenvalue_interval_holds_for_balls() -> None:
    wide = [[arb(2, 0.01), arb(1)], [arb(1), arb(2)]]
    (a, b), (c, d) = extreme_eigenvalues(wide) or ((0.0, 0.0), (0.0, 0.0))
    assert a <= 1 - 0.005 <= 1 + 0.005 <= b
    assert c <= 3 - 0.005 <= 3 + 0.005 <= d
    assert extreme_eigenvalues([[arb(0)] * 401] * 401) is None


def test_parameters() -> None:
    a = sp.Symbol("a", real=True)
    norm = operator_norm(tensor_of(a * z1 * z2 * z3, 3))
    assert norm.value == 2 * sp.sqrt(3) * sp.Abs(a) / 3
    with pytest.raises(NoClosedForm, match="depends on parameters"):
        _ = norm.bounds
    both = operator_norm(tensor_of(a * He(3, z1) + He(3, z2), 3)).value
    assert both is not None
    assert both.subs(a, -2) == 12
    assert both.subs(a, 0) == 6
    with pytest.raises(NoClosedForm, match="not odeco"):
        operator_norm(tensor_of(a * He(3, z1) + z1 * z2 * z3, 3))


def test_zero_and_mixed_tensors() -> None:
    assert operator_norm({}).value == 0
    assert operator_norm({((1, 2),): sp.Integer(0)}).value == 0
    with pytest.raises(SieSymError, match="orders"):
        operator_norm({((1, 2),): sp.Integer(1), ((1, 3),): sp.Integer(1)})


def test_directed_norms() -> None:
    tensor = tensor_of(2 * z1**2 + 2 * z2**2 - 3 * z3**2, 2)
    assert (directed_norm(tensor, 1).value, directed_norm(tensor, -1).value) == (4, 6)
    negative = tensor_of(-(z1**2) - z2**2, 2)
    assert directed_norm(negative, 1).value == 0
    quartic = tensor_of(He(4, (z1 + z2) / sp.sqrt(2)) - 2 * He(4, (z1 - z2) / sp.sqrt(2)), 4)
    assert (directed_norm(quartic, 1).value, directed_norm(quartic, -1).value) == (24, 48)
    mixed = tensor_of(z1**4 - z1**2 * z2**2 + z2 * z1**3, 4)
    for sign in (1, -1):
        low, high = directed_norm(mixed, sign).bounds
        assert low <= searched(mixed, 2, sign) * (1 + 1e-9)
        assert searched(mixed, 2, sign) <= high
        assert low == pytest.approx(searched(mixed, 2, sign), rel=1e-6)


def test_the_spectrum_of_a_matrix_with_irrational_entries() -> None:
    low, high = symmetric_spectrum(tensor_of(sp.sqrt(2) * z1 * z2 + z2 * z3 + sp.pi * z1 * z3, 2))
    matrix = np.array([[0, math.sqrt(2), math.pi], [math.sqrt(2), 0, 1], [math.pi, 1, 0]])
    expected = np.linalg.eigvalsh(matrix)
    assert low.bounds[0] <= expected[0] + 1e-13
    assert high.bounds[1] >= expected[-1] - 1e-13
    assert high.bounds[1] - high.bounds[0] < 1e-12


def test_largest_of_exact_and_enclosed() -> None:
    exact = CertifiedValue.exact(sp.Integer(2), "")
    assert largest([exact, CertifiedValue.between((0.5, 1.5), "")]) is exact
    merged = largest([exact, CertifiedValue.between((1.5, 2.5), "")])
    assert (merged.value, merged.bounds[1]) == (None, 2.5)
    assert merged.bounds[0] == pytest.approx(2)


def test_riesz_pruning_never_loses_the_maximum() -> None:
    # Re (x + i y)^9 = cos(9 t) on the circle: 18 maximisers, each as sharp as a form of degree 9 can be.
    x, y = sp.symbols("x y")
    parts = [(-1) ** (j // 2) * sp.binomial(9, j) * x ** (9 - j) * y**j for j in range(0, 10, 2)]
    polynomial = sp.Poly(sp.Add(*parts), x, y)
    weights = {tuple((i + 1, n) for i, n in enumerate(powers) if n): arb(int(c)) for powers, c in polynomial.terms()}
    low, high = sphere_maximum(Form.of(weights, [1, 2]), 1e6)
    assert low <= 1 <= high
    assert high - low < 1e-9
