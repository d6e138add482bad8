r"""Symmetric tensors by their entries: contraction with a direction, and the blocks on disjoint tokens.

A symmetric tensor T of order k is a form of degree k,

    <T, v^{(x) k}> = sum_{|b| = k} k!/b! T_b v^b,

with the entries T_b of `hermite.Tensor`.
"""

from __future__ import annotations

import itertools

import flint
import sympy as sp

from sie_sym.components import connected_components
from sie_sym.errors import SieSymError
from sie_sym.hermite import MultiIndex, Tensor, contract, multinomial, order
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.linear_forms import ratio
from sie_sym.polynomial import flint_rational

Rows = dict[int, list[tuple[MultiIndex, MultiIndex]]]
"""For each r the pairs (I, I + e_r) with a non-zero entry."""


def contract_all_ones(tensor: Tensor) -> sp.Expr:
    """S_k = <T, 1^{(x) k}> = sum_b k!/b! T_b, what a tied network sees of T (theory section 7).

    >>> contract_all_ones({((1, 2),): sp.Integer(2), ((2, 2),): sp.Integer(2)})
    4
    """
    return contract(tensor, {l: sp.Integer(1) for l in tokens_of_tensor(tensor)})


def tokens_of_tensor(tensor: Tensor) -> list[int]:
    """The tokens that occur, increasing."""
    return sorted({l for alpha in tensor for l, _ in alpha})


def tensor_order(tensor: Tensor) -> int:
    """k.  Raises `SieSymError` for an empty tensor and for entries of several orders."""
    orders = {order(alpha) for alpha in tensor}
    if len(orders) != 1 or 0 in orders:
        raise SieSymError(f"a tensor with entries of orders {sorted(orders)}: give the entries of one order k >= 1")
    return orders.pop()


def without_zeros(tensor: Tensor) -> Tensor:
    """The tensor without the entries that are proved to be zero, with Python's integers for exponents."""
    return {
        tuple((l, int(n)) for l, n in alpha): sp.sympify(value, strict=True)
        for alpha, value in tensor.items()
        if decide_zero(value) is not True
    }


def blocks(tensor: Tensor) -> list[Tensor]:
    """The connected parts: entries that share a token belong together.

    >>> blocks({((1, 3),): sp.Integer(6), ((2, 1), (3, 2)): sp.Integer(1)})
    [{((1, 3),): 6}, {((2, 1), (3, 2)): 1}]
    """
    parts = connected_components(tensor, lambda alpha: (l for l, _ in alpha))
    return [{alpha: tensor[alpha] for alpha in part} for part in parts]


def index_rows(tensor: Tensor) -> Rows:
    """For each r the pairs (I, I + e_r) with a non-zero entry."""
    rows: Rows = {}
    for alpha in tensor:
        for r, n in alpha:
            rest = tuple((l, c - (l == r)) for l, c in alpha if l != r or n > 1)
            rows.setdefault(r, []).append((rest, alpha))
    return rows


def commensurable(tensor: Tensor) -> tuple[sp.Expr, dict[MultiIndex, flint.fmpq]] | None:
    """(c, R) with T = c R and R rational, if the entries are commensurable."""
    lead = next(iter(tensor.values()))
    ratios = {}
    for alpha, value in tensor.items():
        quotient = sp.Integer(1) if value == lead else ratio(value, lead)
        if not quotient.is_Rational:
            return None
        ratios[alpha] = flint_rational(quotient)
    return lead, ratios


def matrix_of(tensor: Tensor) -> sp.Matrix:
    """The matrix of an order-2 tensor on the tokens that occur."""
    labels = tokens_of_tensor(tensor)
    index = {l: i for i, l in enumerate(labels)}
    matrix = sp.zeros(len(labels), len(labels))
    for alpha, value in tensor.items():
        i, j = (index[l] for l, n in alpha for _ in range(n))
        matrix[i, j] = matrix[j, i] = value
    return matrix


def gram(block: Tensor) -> Tensor:
    """M_ij = sum_J T_{iJ} T_{jJ} over the (k-1)-tuples J, as a symmetric tensor of order 2."""
    columns: dict[MultiIndex, list[tuple[int, sp.Expr]]] = {}
    for r, row in index_rows(block).items():
        for rest, alpha in row:
            columns.setdefault(rest, []).append((r, block[alpha]))
    entries: dict[MultiIndex, list[sp.Expr]] = {}
    for rest, column in columns.items():
        weight = multinomial(rest)
        for (i, x), (j, y) in itertools.combinations_with_replacement(sorted(column, key=lambda item: item[0]), 2):
            entries.setdefault(((i, 2),) if i == j else ((i, 1), (j, 1)), []).append(weight * x * y)
    return {alpha: sp.expand(sp.Add(*values)) for alpha, values in entries.items()}
