"""A scalar target as a constant and summands that share no token: its symmetry and its moments, part by part."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.components import connected_components
from sie_sym.errors import SieSymError
from sie_sym.functions import token
from sie_sym.linear_forms import has_tokens, written_out
from sie_sym.parseval import second_moment
from sie_sym.target import Target, tokens_of
from sie_sym.transforms.transform import Transform, largest_degree, require_square_integrable
from sie_sym.weierstrass import weierstrass_transform


@dataclass(frozen=True)
class IndependentSum:
    """g = constant + the distinct values of `part_of`, which maps a token to the summand that reads it.

    Parts that differ in the names of their tokens alone have one transform, computed once.
    """

    constant: sp.Expr
    part_of: Mapping[int, sp.Expr]

    @classmethod
    def of(cls, target: Target) -> IndependentSum:
        """The finest sum that is seen.  Raises `SieSymError` for a target with several outputs."""
        if len(target.components) != 1:
            raise SieSymError(
                f"the target has {len(target.components)} outputs: "
                "tied and untied networks have one, give a scalar target"
            )
        constants, part_of = [], {}
        terms = [(term, tokens_of(term)) for term in _terms(target.components[0])]
        for group in connected_components(terms, lambda item: item[1]):
            part = sp.Add(*(term for term, _ in group))
            tokens = frozenset().union(*(tokens for _, tokens in group))
            part_of.update(dict.fromkeys(tokens, part))
            if not tokens:
                constants.append(part)
        return cls(sp.Add(*constants), part_of)

    def exchangeable(self, first: int, second: int) -> bool:
        """Whether exchanging two tokens maps the summands that read them onto themselves."""
        if first == second:
            return True
        swap = {token(first): token(second), token(second): token(first)}
        touched = {self.part_of[l] for l in (first, second) if l in self.part_of}
        return {part.xreplace(swap) for part in touched} == touched

    @cached_property
    def parts(self) -> list[tuple[sp.Expr, tuple[int, ...]]]:
        """The summands, each written in tokens 1, 2, ..., with the tokens that these stand for."""
        found = []
        for part in dict.fromkeys(self.part_of.values()):
            labels = tuple(sorted(tokens_of(part)))
            names = {token(old): token(new) for new, old in enumerate(labels, start=1)}
            found.append((part.xreplace(names), labels))
        return found

    @cached_property
    def counts(self) -> Counter[sp.Expr]:
        """How many summands are each of the parts."""
        return Counter(part for part, _ in self.parts)

    @cached_property
    def transforms(self) -> dict[sp.Expr, Transform]:
        """Those of the parts."""
        found = {part: weierstrass_transform(part) for part in self.counts}
        for part, transform in found.items():
            require_square_integrable(part, transform)
        return found

    @cached_property
    def squares(self) -> dict[sp.Expr, Transform]:
        """Those of the squares of the parts."""
        return {part: weierstrass_transform(part**2) for part in self.transforms}

    @property
    def degree(self) -> int | None:
        """The degree of g, None if it is not a polynomial."""
        return largest_degree(self.transforms.values())

    @property
    def mean(self) -> sp.Expr:
        """E g."""
        return self.series({}, 0)[0]

    def second_moment(self) -> sp.Expr:
        """E g^2."""
        mean, variance = self.constant, sp.Integer(0)
        for part, count in self.counts.items():
            own = self.transforms[part].coefficient(())
            mean += count * own
            variance += count * (second_moment(self.transforms[part]) - own**2)
        return sp.expand(mean**2 + variance)

    def series(self, point: Mapping[int, sp.Expr], k: int) -> list[sp.Expr]:
        """<C_j(g), v^{(x) j}>, j = 0..k, at v given by its non-zero coordinates."""
        total = [[self.constant], *([] for _ in range(k))]
        for (part, values), count in self._seen(point).items():
            for terms, value in zip(total, _along(self.transforms[part], values, k), strict=True):
                terms.append(count * value)
        return [sp.expand(sp.Add(*terms)) for terms in total]

    def square_series(self, point: Mapping[int, sp.Expr], k: int) -> list[sp.Expr]:
        """<C_j(g^2), v^{(x) j}>, j = 0..k: the transform of a product of independent parts factorises."""
        whole = self.series(point, k)
        total = _product(whole, whole)
        for (part, values), count in self._seen(point).items():
            own = _along(self.transforms[part], values, k)
            square = _along(self.squares[part], values, k)
            cross = _product(own, own)
            total = [t + count * (s - c) for t, s, c in zip(total, square, cross, strict=True)]
        return [sp.expand(value) for value in total]

    def _seen(self, point: Mapping[int, sp.Expr]) -> Counter[tuple[sp.Expr, tuple[sp.Expr, ...]]]:
        return Counter((part, tuple(point.get(l, sp.Integer(0)) for l in labels)) for part, labels in self.parts)


def equivalent_tokens(target: Target) -> list[list[int]]:
    """The tokens in classes whose exchanges are seen to leave the target as it is.

    >>> z1, z2, z3 = token(1), token(2), token(3)
    >>> equivalent_tokens(Target.of(z1 * z3 + z2))
    [[1, 3], [2]]
    """
    parts = IndependentSum.of(target)
    classes: list[list[int]] = []
    for l in range(1, target.tokens + 1):
        home = next((members for members in classes if parts.exchangeable(members[0], l)), None)
        if home is None:
            classes.append([l])
        else:
            home.append(l)
    return classes


def _terms(expression: sp.Expr) -> tuple[sp.Expr, ...]:
    """The summands of a function, also of a constant times a sum."""
    written = written_out(expression)
    if isinstance(written, sp.Mul):
        constants = [factor for factor in written.args if not has_tokens(factor)]
        rest = [factor for factor in written.args if has_tokens(factor)]
        if len(rest) == 1 and isinstance(rest[0], sp.Add):
            written = sp.Add(*(sp.Mul(*constants, term) for term in rest[0].args))
    terms: tuple[sp.Expr, ...] = sp.Add.make_args(written)
    return terms


def _along(transform: Transform, values: tuple[sp.Expr, ...], k: int) -> list[sp.Expr]:
    return transform.along(dict(enumerate(values, start=1)), k)


def _product(left: list[sp.Expr], right: list[sp.Expr]) -> list[sp.Expr]:
    """The product of two exponential generating functions."""
    return [
        sp.expand(sp.Add(*(math.comb(n, j) * left[j] * right[n - j] for j in range(n + 1)))) for n in range(len(left))
    ]


__all__ = ["IndependentSum", "equivalent_tokens"]
