r"""Multi-indices and symmetric tensors of the Hermite basis He_alpha(z) = prod_l He_{alpha_l}(z_l).

A multi-index is sparse: the sorted pairs (token, exponent) with positive exponents, () for alpha = 0.  A symmetric
tensor of order k is the mapping from the multi-indices of order k to its entries, C_{i1..ik} = C_{alpha(i1..ik)}
(arXiv:2506.02651, Thm 3 and Lemma 2); what is not in the mapping is zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sympy as sp

MultiIndex = tuple[tuple[int, int], ...]
Tensor = dict[MultiIndex, sp.Expr]


def sparse(exponents: Sequence[int]) -> MultiIndex:
    """The multi-index of a dense list of exponents, first token first.

    >>> sparse([1, 0, 4])
    ((1, 1), (3, 4))
    """
    return tuple((l, n) for l, n in enumerate(exponents, start=1) if n)


def dense(alpha: MultiIndex, tokens: int) -> list[int]:
    """The exponents of tokens 1..L.

    >>> dense(((1, 1), (3, 4)), 4)
    [1, 0, 4, 0]
    """
    exponents = dict(alpha)
    return [exponents.get(l, 0) for l in range(1, tokens + 1)]


def order(alpha: MultiIndex) -> int:
    """|alpha| = sum_l alpha_l."""
    return sum(n for _, n in alpha)


def factorial(alpha: MultiIndex) -> int:
    """alpha! = prod_l alpha_l!."""
    return math.prod(math.factorial(n) for _, n in alpha)


def multinomial(alpha: MultiIndex) -> int:
    """|alpha|!/alpha!, the entries of a symmetric tensor that are its entry at alpha.

    >>> multinomial(((1, 2), (2, 1)))
    3
    """
    return math.factorial(order(alpha)) // factorial(alpha)


def monomial(point: Mapping[int, sp.Expr], alpha: MultiIndex) -> sp.Expr:
    """v^alpha = prod_l v_l^{alpha_l}, v by its coordinates.

    >>> monomial({1: sp.Symbol("x"), 4: sp.Integer(3)}, ((1, 2), (4, 1)))
    3*x**2
    """
    return sp.Mul(*(point[l] ** n for l, n in alpha))


def multiply(alpha: MultiIndex, beta: MultiIndex) -> MultiIndex:
    """alpha + beta, the exponents of the product of two monomials.

    >>> multiply(((1, 1),), ((1, 2), (2, 1)))
    ((1, 3), (2, 1))
    """
    total = dict(alpha)
    for l, n in beta:
        total[l] = total.get(l, 0) + n
    return tuple(sorted(total.items()))


def multi_indices(tokens: Iterable[int], k: int) -> Iterator[MultiIndex]:
    """All multi-indices of order k on some tokens.

    >>> list(multi_indices([1, 2], 2))
    [((1, 2),), ((1, 1), (2, 1)), ((2, 2),)]
    """
    for chosen in itertools.combinations_with_replacement(sorted(tokens), k):
        yield tuple((l, len(list(same))) for l, same in itertools.groupby(chosen))


def inner_product(left: Mapping[MultiIndex, sp.Expr], right: Mapping[MultiIndex, sp.Expr]) -> sp.Expr:
    r"""sum_alpha A_alpha B_alpha / alpha!: the L^2(N(0, I)) product of two parts of equal orders (Parseval).

    It is (1/k!) of the full contraction of two order-k tensors.
    """
    shared = left.keys() & right.keys()
    return sp.Add(*(left[alpha] * right[alpha] / factorial(alpha) for alpha in shared))


def contract(tensor: Mapping[MultiIndex, sp.Expr], direction: Mapping[int, sp.Expr]) -> sp.Expr:
    """<T, v^{(x) k}> = sum_alpha k!/alpha! T_alpha v^alpha at v given by its non-zero coordinates.

    >>> contract({((1, 1), (2, 1)): sp.Integer(1)}, {1: sp.Integer(3), 2: sp.Integer(5)})
    30
    """
    terms = []
    for alpha, value in tensor.items():
        if direction.keys() >= {l for l, _ in alpha}:
            terms.append(multinomial(alpha) * value * monomial(direction, alpha))
    return sp.expand(sp.Add(*terms))
