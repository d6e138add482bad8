r"""Orthogonally decomposable (odeco) symmetric tensors (arXiv:2506.02651, Thm 2, Lemma 4).

A symmetric tensor T of order k is odeco if T = sum_i lambda_i v_i^{(x) k} with orthonormal v_i; it is iff all its
blocks on disjoint tokens are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from sie_sym.errors import SieSymError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.hermite import MultiIndex, Tensor, contract, monomial, multi_indices, multinomial, multiply, order
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.enclosure import all_true, decide_sign, decide_zero, enclose
from sie_sym.linear_forms import Direction
from sie_sym.polynomial import rational
from sie_sym.tensors.eigenvalues import eigenvectors
from sie_sym.tensors.symmetric_tensor import (
    Rows,
    blocks,
    commensurable,
    index_rows,
    tensor_order,
    tokens_of_tensor,
    without_zeros,
)

ODECO_BUDGET = 3_000_000
"""The most products of entries that one odeco test forms."""
_EXACT_TOKENS = 8
"""The largest block whose decomposition is tried in exact numbers."""
_TRIALS = 3


def is_odeco(tensor: Tensor) -> bool | None:
    r"""Whether a symmetric tensor is orthogonally decomposable; None if an entry can be proved neither zero nor not.

    True for order <= 2 (spectral theorem).  Above, iff the contraction W_{IJ} = sum_r T_{I r} T_{J r}, I and J of
    order k - 1, is symmetric in all 2k - 2 indices: then it depends on the multiset of I and J only.  With parameters:
    identically in them.  Raises `TruncationError` for blocks with too many entries.

    >>> is_odeco({((1, 3),): sp.Integer(6), ((2, 3),): sp.Integer(1)}), is_odeco({((1, 2), (2, 1)): sp.Integer(1)})
    (True, False)
    """
    tensor = without_zeros(tensor)
    if not tensor or tensor_order(tensor) <= 2:
        return True
    return all_true(
        (len(block) == 1 and len(next(iter(block))) == 1) or block_is_odeco(block) for block in blocks(tensor)
    )


def block_is_odeco(block: Tensor) -> bool | None:
    """`is_odeco` for one block of order >= 3 without zero entries."""
    rows = index_rows(block)
    work = sum(len(row) ** 2 for row in rows.values())
    if work > ODECO_BUDGET:
        raise TruncationError(
            f"the odeco test of a tensor of order {tensor_order(block)} on {len(rows)} tokens needs {work} products, "
            f"more than {ODECO_BUDGET}: give the target as a sum over disjoint tokens or as a function of one form"
        )
    scaled = commensurable(block)
    if scaled is not None:
        return _symmetric_contraction(rows, scaled[1], lambda x: bool(x == 0))
    if not any(value.free_symbols for value in block.values()):
        # Balls first: most tensors that are not odeco are refuted without algebra.
        with working_precision(128):
            balls = {alpha: enclose(value) for alpha, value in block.items()}
            if _symmetric_contraction(rows, balls, lambda x: None if x.contains(0) else False) is False:
                return False
    return _symmetric_contraction(rows, block, decide_zero)


_Pair = tuple[MultiIndex, MultiIndex]


def _symmetric_contraction(
    rows: Rows, entries: Mapping[MultiIndex, Any], vanishes: Callable[[Any], bool | None]
) -> bool | None:
    """Whether W depends on the sum of its two multi-indices only, over any ring of entries."""
    products: dict[_Pair, list[_Pair]] = {}
    for row in rows.values():
        for (left, a), (right, b) in itertools.combinations_with_replacement(row, 2):
            products.setdefault((left, right) if left <= right else (right, left), []).append((a, b))
    groups: dict[MultiIndex, list[_Pair]] = {}
    for pair in products:
        groups.setdefault(multiply(*pair), []).append(pair)
    return all_true(map(vanishes, _differences(groups, products, entries)))


def _differences(
    groups: dict[MultiIndex, list[_Pair]], products: dict[_Pair, list[_Pair]], entries: Mapping[MultiIndex, Any]
) -> Iterator[Any]:
    """What is zero iff W depends on the sums alone."""
    for total, pairs in groups.items():
        values = []
        for pair in pairs:
            (a, b), *more = products[pair]
            value = entries[a] * entries[b]
            for a, b in more:
                value += entries[a] * entries[b]
            values.append(value)
        yield from (value - values[0] for value in values[1:])
        if len(pairs) < _splits(total):
            yield values[0]  # a split that shares no index r contracts to zero


def _splits(total: MultiIndex) -> int:
    """The number of unordered pairs of multi-indices of equal order with a given sum."""
    half = order(total) // 2
    ways = [1] + [0] * half
    for _, n in total:
        ways = [sum(ways[j - c] for c in range(min(n, j) + 1)) for j in range(half + 1)]
    even = all(n % 2 == 0 for _, n in total)
    return (ways[half] + even) // 2


# -- the decomposition


@dataclass(frozen=True)
class OdecoDecomposition:
    """T = sum_i weights[i] vectors[i]^{(x) k}, the vectors orthonormal, by their non-zero coordinates.

    `evidence` is `exact` if the sum was verified by algebra (`residual` is then 0), else `numerical`, and `residual` is
    the largest error of an entry.
    """

    order: int
    weights: tuple[sp.Expr, ...]
    vectors: tuple[Direction, ...]
    residual: float
    evidence: Evidence


def odeco_decomposition(tensor: Tensor) -> OdecoDecomposition:
    """The orthogonal decomposition of an odeco tensor, exact where the vectors have rational or quadratic coordinates.

    The vectors are the eigenvectors of the matrix <T, w^{(x) k-2}> for a generic w.  Raises `SieSymError` for a tensor
    that is not odeco or not known to be.

    >>> found = odeco_decomposition({((1, 1), (2, 1)): sp.Integer(3)})
    >>> found.weights, found.vectors[0]
    ((3, -3), ((1, sqrt(2)/2), (2, sqrt(2)/2)))
    """
    tensor = without_zeros(tensor)
    k = tensor_order(tensor)
    if is_odeco(tensor) is not True:
        raise SieSymError(f"a tensor of order {k} that is not orthogonally decomposable has no such decomposition")
    pairs: list[tuple[sp.Expr, Direction]] = []
    residual = 0.0
    for block in [tensor] if k == 1 else blocks(tensor):
        found = _decomposed_exactly(block, k)
        if found is None:
            found, error = _decomposed_numerically(block, k)
            residual = max(residual, error)
        pairs += found
    weights, vectors = tuple(w for w, _ in pairs), tuple(v for _, v in pairs)
    return OdecoDecomposition(k, weights, vectors, residual, Evidence.NUMERICAL if residual else Evidence.EXACT)


def _slice(block: Tensor, labels: list[int], trial: int) -> sp.Matrix:
    """<T, w^{(x) k-2}> at w = (2, 3, 5, ...) or, in later trials, at larger primes: generic, though not surely."""
    w = {l: sp.Integer(sp.prime(i + trial * (len(labels) + 1))) for i, l in enumerate(labels, start=1)}
    parts: dict[tuple[int, int], Tensor] = {}
    for alpha, value in block.items():
        for i, j in itertools.combinations_with_replacement(range(len(labels)), 2):
            rest = dict(alpha)
            for l in (labels[i], labels[j]):
                rest[l] = rest.get(l, 0) - 1
            if min(rest.values()) >= 0:
                parts.setdefault((i, j), {})[tuple((l, n) for l, n in sorted(rest.items()) if n)] = value
    matrix = sp.zeros(len(labels), len(labels))
    for (i, j), part in parts.items():
        matrix[i, j] = matrix[j, i] = contract(part, w)
    return matrix


def _decomposed_exactly(block: Tensor, k: int) -> list[tuple[sp.Expr, Direction]] | None:
    labels = tokens_of_tensor(block)
    if len(labels) == 1:
        return [(next(iter(block.values())), ((labels[0], sp.Integer(1)),))]
    if k == 1:
        norm = sp.sqrt(sp.expand(sp.Add(*(value**2 for value in block.values()))))
        return [(norm, tuple((alpha[0][0], value / norm) for alpha, value in sorted(block.items())))]
    scaled = commensurable(block)
    if scaled is None or len(labels) > _EXACT_TOKENS:
        return None
    factor, ratios = scaled
    plain = {alpha: rational(q) for alpha, q in ratios.items()}
    for trial in range(_TRIALS):
        pairs: list[tuple[sp.Expr, Direction]] = []
        for vector in eigenvectors(_slice(plain, labels, trial)) or []:
            sign = decide_sign(next(x for x in vector if x != 0))
            length = sign * sp.sqrt(sp.radsimp(sp.expand(sp.Add(*(x**2 for x in vector)))))
            unit = {l: sp.radsimp(x / length) for l, x in zip(labels, vector, strict=True) if x != 0}
            weight = sp.radsimp(contract(plain, unit))
            if decide_zero(weight) is not True:
                pairs.append((weight, tuple(unit.items())))
        rebuilt = _rebuilt(pairs, labels, k)
        if all(decide_zero(value - plain.get(alpha, sp.Integer(0))) is True for alpha, value in rebuilt.items()):
            return [(factor * weight, direction) for weight, direction in pairs]
    return None


def _rebuilt(pairs: list[tuple[sp.Expr, Direction]], labels: list[int], k: int) -> Tensor:
    """sum_i lambda_i v_i^{(x) k}."""
    total: Tensor = {}
    for alpha in multi_indices(labels, k):
        terms = []
        for weight, vector in pairs:
            entries = dict(vector)
            if entries.keys() >= {l for l, _ in alpha}:
                terms.append(weight * monomial(entries, alpha))
        total[alpha] = sp.Add(*terms)
    return total


def _decomposed_numerically(block: Tensor, k: int) -> tuple[list[tuple[sp.Expr, Direction]], float]:
    labels = tokens_of_tensor(block)
    values = {alpha: float(enclose(value).mid()) for alpha, value in block.items()}
    trials = (_float_trial(block, values, labels, k, trial) for trial in range(_TRIALS))
    return min(trials, key=lambda found: found[1])


def _float_trial(
    block: Tensor, values: dict[MultiIndex, float], labels: list[int], k: int, trial: int
) -> tuple[list[tuple[sp.Expr, Direction]], float]:
    """The eigenvectors in floats, and the largest error of an entry."""
    matrix = np.array([[float(enclose(x).mid()) for x in row] for row in _slice(block, labels, trial).tolist()])
    kept: list[tuple[float, dict[int, float]]] = []
    size = max(abs(value) for value in values.values())
    for vector in np.linalg.eigh(matrix)[1].T:
        entries = dict(zip(labels, vector.tolist(), strict=True))
        weight = sum(multinomial(a) * value * math.prod(entries[l] ** n for l, n in a) for a, value in values.items())
        # What is left of a null vector: the error says what this drops.
        if abs(weight) > 1e-12 * size:
            kept.append((weight, entries))
    error = 2.0**-52 * size
    for alpha in multi_indices(labels, k):
        rebuilt = sum(weight * math.prod(entries[l] ** n for l, n in alpha) for weight, entries in kept)
        error = max(error, abs(rebuilt - values.get(alpha, 0.0)))
    pairs = [(sp.Float(w), tuple((l, sp.Float(x)) for l, x in entries.items())) for w, entries in kept]
    return pairs, error


__all__ = ["OdecoDecomposition", "block_is_odeco", "is_odeco", "odeco_decomposition"]
