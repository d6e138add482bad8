r"""Exact rules for Gaussian expectations: symmetry, moments, independence, and names that do not matter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.functions import token, token_index
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.gaussian_enclosure import Coordinate
from sie_sym.integrals.growth import is_integrable, tokens_in
from sie_sym.integrals.logistic import logistic_coefficient
from sie_sym.integrals.symmetry import parity


def index_of(symbol: sp.Symbol) -> int:
    """l of the token z_l.  Raises `FormulaError` for another symbol."""
    position = token_index(symbol)
    if position is None:
        raise FormulaError(f"{symbol} is no token: expectations run over z1, z2, ...")
    return position


def coordinates_of(
    h: sp.Expr, shifts: Mapping[sp.Symbol, sp.Expr] | sp.Tuple | None, weights: Mapping[int, int]
) -> list[Coordinate]:
    """The tokens of h, of the shifts and of the weights, with their means and weights."""
    means: dict[sp.Symbol, sp.Expr] = {}
    degrees = {token(l): k for l, k in weights.items()}
    if isinstance(shifts, (sp.Tuple, tuple)):
        for symbol, mean, *weight in shifts:
            means[symbol] = mean
            degrees[symbol] = int(weight[0]) if weight else degrees.get(symbol, 0)
    else:
        means = {symbol: sp.sympify(mean, strict=True) for symbol, mean in (shifts or {}).items()}
    for symbol, k in degrees.items():
        if k != int(k) or k < 0:
            raise FormulaError(f"the weight {k} of {symbol} is no degree: give an integer >= 0")
    symbols = set(tokens_in(h)) | set(means) | set(degrees)
    return [(s, means.get(s, sp.Integer(0)), int(degrees.get(s, 0))) for s in sorted(symbols, key=index_of)]


@lru_cache(maxsize=4096)
def centred_value(h: sp.Expr, weights: tuple[tuple[sp.Symbol, int], ...], complete: bool) -> sp.Expr | None:
    """0 where a sign symmetry of h in centred tokens and their weights disagree, or a logistic closed form."""
    degrees = {index_of(s): weight for s, weight in weights}
    for flipped in (frozenset(degrees), *(frozenset([l]) for l in degrees)):
        side = parity(h, flipped)
        if side is not None and side != (-1) ** sum(degrees[l] for l in flipped) and _is_integrable(h):
            return sp.Integer(0)
    return logistic_coefficient(h, {l: k for l, k in degrees.items() if k}) if complete else None


def _is_integrable(h: sp.Expr) -> bool:
    with working_precision(64):
        return is_integrable(h)


_PERMUTED_TOKENS = 3
"""Up to this many tokens, nodes that differ by their names or order are made equal."""


def canonical(h: sp.Expr, coordinates: Sequence[Coordinate]) -> tuple[sp.Expr, list[Coordinate]]:
    """The bound tokens renamed, the first free names in the order that sorts first: an expectation has no names."""
    bound = {symbol for symbol, _, _ in coordinates}
    free = {token_index(s) for s in h.free_symbols - bound}
    places = [token(l) for l in range(1, len(coordinates) + len(free) + 1) if l not in free]
    orders = itertools.permutations(coordinates) if len(coordinates) <= _PERMUTED_TOKENS else [tuple(coordinates)]
    forms = []
    for ordered in orders:
        names = {symbol: place for (symbol, _, _), place in zip(ordered, places, strict=False)}
        renamed = h.xreplace(names)
        forms.append((renamed, [(names[s], mean, weight) for s, mean, weight in ordered]))
    return min(forms, key=lambda form: str(form)) if len(forms) > 1 else forms[0]


def independent_factors(h: sp.Mul, symbols: set[sp.Symbol]) -> list[sp.Expr] | None:
    """The factors of a product grouped so that no two groups share a token; None for one group."""
    groups: list[tuple[set[sp.Symbol], list[sp.Expr]]] = []
    for factor in h.args:
        read, members = factor.free_symbols & symbols, [factor]
        apart = []
        for group in groups:
            if group[0] & read or (not group[0] and not read):
                read, members = read | group[0], group[1] + members
            else:
                apart.append(group)
        groups = [*apart, (read, members)]
    return [sp.Mul(*members) for _, members in groups] if len(groups) > 1 else None


def moment(k: int, mean: sp.Expr, weight: int) -> sp.Expr:
    """E[(Z + t)^k He_a(Z)] = k!/(k-a)! E (Z + t)^(k-a)."""
    n = k - weight
    if n < 0:
        return sp.Integer(0)
    moments = (math.comb(n, 2 * j) * math.prod(range(1, 2 * j, 2)) * mean ** (n - 2 * j) for j in range(n // 2 + 1))
    return math.perm(k, weight) * sp.Add(*moments)
