r"""One Gaussian expectation for all that differ by the names of their tokens only.

E[h(Z + t) He_alpha(Z)] does not change when tokens are renamed together with t and alpha, nor softmax when its scores
are listed in another order: the entries of softmax(z z^T) have few different coefficients, however many tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import sympy as sp

from sie_sym.functions import softmax, token

Coordinate: TypeAlias = tuple[sp.Symbol, sp.Expr, int]
"""A token, its mean and the degree of its Hermite weight."""
_Means: TypeAlias = tuple[tuple[sp.Symbol, sp.Expr], ...]

_THIS, _OTHER = sp.Symbol("_a", real=True), sp.Symbol("_b", real=True)


def representative(h: sp.Expr, coordinates: Sequence[Coordinate]) -> tuple[sp.Expr, tuple[Coordinate, ...]]:
    """The same expectation under names z1, z2, ... that depend on what the tokens do, not on what they are called.

    Expectations with the same answer are equal; the converse is not promised (ties between tokens are not explored).

    >>> z = [token(l) for l in (1, 2, 3)]
    >>> def entry(i):
    ...     h = softmax(i + 1, *(z[i] * other for other in z))
    ...     return representative(h, [(s, sp.Integer(0), 2 * (s == z[i])) for s in z])
    >>> entry(0) == entry(2), entry(0)[0]
    (True, softmax(1, z1**2, z1*z2, z1*z3))
    """
    arranged, means, groups = _arranged(h, tuple((s, mean) for s, mean, _ in coordinates))
    weights = [{s: w for s, _, w in coordinates}[s] for s, _ in means]
    for group in groups:
        for place, weight in zip(group, sorted((weights[l] for l in group), reverse=True), strict=True):
            weights[place] = weight
    return arranged, tuple((token(l + 1), mean, weights[l]) for l, (_, mean) in enumerate(means))


@lru_cache(maxsize=1024)
def _arranged(h: sp.Expr, means: _Means) -> tuple[sp.Expr, _Means, tuple[tuple[int, ...], ...]]:
    """h renamed, the tokens in their new order with their means, and the places of those that may be exchanged."""
    tokens = [symbol for symbol, _ in means]

    def part(pair: tuple[sp.Symbol, sp.Expr]) -> tuple[str, str]:
        alone = h.xreplace({other: _THIS if other == pair[0] else _OTHER for other in tokens})
        return str(pair[1]), str(_listed(alone))

    ordered = sorted(means, key=part)
    arranged = _listed(h.xreplace({s: token(l) for l, (s, _) in enumerate(ordered, start=1)}))
    groups: list[list[int]] = [[0]]
    for l, (one, other) in enumerate(itertools.pairwise(ordered), start=1):
        swapped = arranged.xreplace({token(l): token(l + 1), token(l + 1): token(l)})
        if one[1] == other[1] and _listed(swapped) == arranged:
            groups[-1].append(l)
        else:
            groups.append([l])
    return arranged, tuple(ordered), tuple(map(tuple, groups))


def _listed(expression: sp.Expr) -> sp.Expr:
    """Every softmax with its own score first, the others sorted."""

    def listed(k: sp.Integer, *scores: sp.Expr) -> sp.Expr:
        own = scores[int(k) - 1]
        return softmax(sp.Integer(1), own, *sorted([*scores[: int(k) - 1], *scores[int(k) :]], key=str))

    return expression.replace(softmax, listed)


__all__ = ["Coordinate", "representative"]
