"""Symmetric tensors: contraction, blocks, and the odeco test against dense arrays."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import sie_sym.tensors.odeco as module
from sie_sym.errors import SieSymError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.functions import He, token
from sie_sym.hermite import Tensor, factorial, multi_indices
from sie_sym.tensors.odeco import is_odeco, odeco_decomposition
from sie_sym.tensors.symmetric_tensor import blocks, contract, contract_all_ones, tensor_order
from sie_sym.weierstrass import weierstrass_transform

z1, z2, z3, z4 = (token(l) for l in range(1, 5))


def tensor_of(function: sp.Expr, k: int) -> Tensor:
    return weierstrass_transform(function).derivatives(k)


def dense_array(tensor: Tensor, tokens: int) -> np.ndarray:
    """C[i1, .., ik] entry by entry, as floats."""
    k = tensor_order(tensor)
    array = np.zeros((tokens,) * k)
    for position in itertools.product(range(tokens), repeat=k):
        alpha = tuple((i + 1, position.count(i)) for i in range(tokens) if position.count(i))
        array[position] = float(tensor.get(alpha, 0))
    return array


def dense_is_odeco(array: np.ndarray) -> bool:
    """The criterion of theory section 7, over all permutations of the indices of one contraction."""
    contracted = np.tensordot(array, array, axes=([-1], [0]))
    return all(
        np.allclose(contracted, contracted.transpose(order), atol=1e-9 * np.abs(array).max() ** 2)
        for order in itertools.permutations(range(contracted.ndim))
    )


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Tensor, int]:
    tokens, k = draw(st.sampled_from([(2, 3), (3, 3), (2, 4)]))
    indices = list(multi_indices(range(1, tokens + 1), k))
    values = draw(st.lists(st.integers(-2, 2), min_size=len(indices), max_size=len(indices)))
    tensor = {a: sp.Integer(v) for a, v in zip(indices, values, strict=True) if v}
    return (tensor or {indices[0]: sp.Integer(1)}), tokens


@given(tensors())
@settings(max_examples=40)
def test_contraction_is_the_dense_one(case: tuple[Tensor, int]) -> None:
    tensor, tokens = case
    array = dense_array(tensor, tokens)
    value: np.ndarray = array
    for _ in range(array.ndim):
        value = value @ np.array([1.0, -2.0, 0.5][:tokens])
    v = dict(zip(range(1, 4), (sp.Integer(1), sp.Integer(-2), sp.Rational(1, 2)), strict=True))
    assert float(contract(tensor, v)) == pytest.approx(float(value), abs=1e-9)
    assert float(contract_all_ones(tensor)) == pytest.approx(array.sum(), abs=1e-9)


@given(tensors())
@settings(max_examples=60)
def test_odeco_is_the_dense_criterion(case: tuple[Tensor, int]) -> None:
    tensor, tokens = case
    assert is_odeco(tensor) == dense_is_odeco(dense_array(tensor, tokens))


@given(st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.sampled_from([3, 4]), st.integers(0, 5))
@settings(max_examples=30)
def test_rotated_diagonals_are_odeco_and_lose_it_when_disturbed(weights: list[int], k: int, place: int) -> None:
    # The columns of 1/3 [[1, 2, 2], [2, 1, -2], [2, -2, 1]] are orthonormal.
    columns = np.array([[1, 2, 2], [2, 1, -2], [2, -2, 1]])
    tensor: Tensor = {}
    for alpha in multi_indices([1, 2, 3], k):
        tensor[alpha] = (
            sp.Add(
                *(
                    w * sp.Integer(math.prod(int(c[l - 1]) ** n for l, n in alpha))
                    for w, c in zip(weights, columns, strict=True)
                )
            )
            / sp.Integer(3) ** k
        )
    assert is_odeco(tensor) is True
    if any(weights):
        found = odeco_decomposition(tensor)
        assert sorted(map(abs, found.weights)) == sorted(abs(w) for w in weights if w)
    alpha = list(multi_indices([1, 2, 3], k))[place]
    disturbed = {**tensor, alpha: tensor[alpha] + sp.Rational(1, 7)}
    assert is_odeco(disturbed) == dense_is_odeco(dense_array(disturbed, 3))


@pytest.mark.parametrize(
    ("function", "k", "expected"),
    [
        (z1 * z2 * z3, 3, False),
        (z1 * z2 * z3 * z4, 4, False),
        (z1**2 * z2, 3, False),
        (He(3, z1) + 5 * He(3, z2) - He(3, z4), 3, True),
        (He(4, z1) + z2 * z3 * z4 * z1, 4, False),
        (He(3, (z1 + z2) / sp.sqrt(2)) + sp.sqrt(3) * He(3, (z1 - z2) / sp.sqrt(2)), 3, True),
        (He(3, z1) + He(3, (z1 + z2) / sp.sqrt(2)), 3, False),
        (sp.sqrt(2) * He(3, z1) + z1**2 * z2, 3, False),
        (z1 * z2 - 7 * z3**2, 2, True),
        (z1 - z2, 1, True),
    ],
)
def test_known_cases(function: sp.Expr, k: int, expected: bool) -> None:
    assert is_odeco(tensor_of(function, k)) is expected


def test_odeco_with_parameters_is_identical_in_them() -> None:
    a = sp.Symbol("a", real=True)
    assert is_odeco(tensor_of(a * He(3, z1) + a**2 * He(3, z2), 3)) is True
    assert is_odeco(tensor_of(a * z1 * z2 * z3 + He(3, z1), 3)) is False
    zero_in_disguise = sp.expand((a + 1) ** 2) - (a + 1) ** 2
    tensor: Tensor = {((1, 3),): sp.Integer(1), ((1, 2), (2, 1)): zero_in_disguise}
    assert is_odeco(tensor) is True


def test_blocks_partition_the_entries() -> None:
    tensor = tensor_of(z1 * z2 + z2 * z4 + z3**2, 2)
    parts = blocks(tensor)
    assert sorted(len(part) for part in parts) == [1, 2]
    assert {a: v for part in parts for a, v in part.items()} == tensor


@pytest.mark.parametrize(
    ("function", "k"),
    [
        (3 * z1 - 4 * z2, 1),
        (z1 * z2 + z3**2, 2),
        (z1**2 + z1 * z2, 2),
        (He(3, (2 * z1 + z2) / sp.sqrt(5)) - 4 * He(3, (z1 - 2 * z2) / sp.sqrt(5)), 3),
        (sp.sqrt(2) * He(4, z1 + z2) + sp.pi * He(4, z3), 4),
    ],
)
def test_decompositions_are_exact_orthonormal_and_sum_up(function: sp.Expr, k: int) -> None:
    tensor = tensor_of(function, k)
    found = odeco_decomposition(tensor)
    assert (found.evidence, found.residual) == (Evidence.EXACT, 0.0)
    vectors = np.array([[float(dict(v).get(l, 0)) for l in range(1, 4)] for v in found.vectors])
    assert np.allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-14)
    weights = [float(w) for w in found.weights]
    for alpha in multi_indices([1, 2, 3], k):
        powers = np.prod([vectors[:, l - 1] ** n for l, n in alpha], axis=0)
        assert float(weights @ powers) == pytest.approx(float(tensor.get(alpha, 0)), abs=1e-12)


def test_a_decomposition_beyond_quadratic_numbers_is_numerical_with_its_residual() -> None:
    found = odeco_decomposition(tensor_of(z1 * z2 + z2 * z3 + z3 * z4 + z1**2, 2))
    assert found.evidence is Evidence.NUMERICAL
    assert 0 < found.residual < 1e-12
    # The characteristic polynomial of [[2,1,0,0],[1,0,1,0],[0,1,0,1],[0,0,1,0]], by numpy.
    matrix = np.diag([2.0, 0, 0, 0]) + np.diag([1.0] * 3, 1) + np.diag([1.0] * 3, -1)
    assert sorted(map(float, found.weights)) == pytest.approx(sorted(np.linalg.eigvalsh(matrix)))


def test_what_is_not_odeco_has_no_decomposition() -> None:
    with pytest.raises(SieSymError, match="not orthogonally decomposable"):
        odeco_decomposition(tensor_of(z1 * z2 * z3, 3))


def test_mixed_orders_and_empty_tensors_are_refused() -> None:
    mixed: Tensor = {((1, 1),): sp.Integer(1), ((1, 2),): sp.Integer(1)}
    with pytest.raises(SieSymError, match=r"orders \[1, 2\]"):
        is_odeco(mixed)
    with pytest.raises(SieSymError, match=r"orders \[\]"):
        tensor_order({})
    assert contract_all_ones({}) == 0
    assert is_odeco({}) is True


def test_a_long_tensor_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ODECO_BUDGET", 10)
    with pytest.raises(TruncationError, match=r"order 3 on 2 tokens.*more than 10"):
        is_odeco(tensor_of(He(3, z1 + 2 * z2) + He(3, z1), 3))


def test_a_thousand_tokens_are_a_thousand_blocks() -> None:
    tensor: Tensor = {((l, 3),): sp.Integer(6) for l in range(1, 1001)}
    assert is_odeco(tensor) is True
    assert contract_all_ones(tensor) == 6000


def test_entries_follow_the_convention_of_the_hermite_tensor() -> None:
    # <C_3, v^3> = sum 3!/b! C_b v^b for He_3(z1 + 2 z2) (variance 5, so its leading form is 6 (v1 + 2 v2)^3).
    tensor = tensor_of((z1 + 2 * z2) ** 3, 3)
    assert tensor[((1, 1), (2, 2))] == 24
    assert factorial(((1, 1), (2, 2))) == 2
    assert contract(tensor, {1: sp.Integer(1), 2: sp.Integer(1)}) == 6 * 27
