r"""Weierstrass transforms of sums, and of products over orthogonal variables, from those of their parts.

G is linear, and it factorises over functions of mutually orthogonal linear forms (theory section 2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.components import connected_components
from sie_sym.hermite import MultiIndex, Tensor, factorial, multiply
from sie_sym.integrals.enclosure import all_true, decide_zero
from sie_sym.transforms.transform import Point, Transform, largest_degree, require_budget


class CompositeTransform(Transform):
    """A transform made of others, its `parts`, which decide what there is to know of it."""

    parts: tuple[Transform, ...]

    @cached_property
    def tokens(self) -> frozenset[int]:
        """The union."""
        return frozenset().union(*(part.tokens for part in self.parts))

    @cached_property
    def conditions(self) -> tuple[sp.Expr, ...]:
        """The union."""
        return tuple(dict.fromkeys(c for part in self.parts for c in part.conditions))

    @property
    def square_integrable(self) -> bool:
        """All parts (growths are not expected to cancel)."""
        return all(part.square_integrable for part in self.parts)

    @property
    def is_closed(self) -> bool:
        """All parts."""
        return all(part.is_closed for part in self.parts)


@dataclass(frozen=True)
class _OverTokens(CompositeTransform):
    """A sum or product; `pattern` keeps one over tokens symbolic: (index, low, high, body)."""

    parts: tuple[Transform, ...]
    pattern: tuple[sp.Symbol, sp.Integer, sp.Integer, sp.Expr] | None = None


@dataclass(frozen=True)
class SumTransform(_OverTokens):
    """A sum of transforms."""

    @cached_property
    def degree(self) -> int | None:
        """The largest, an upper bound if leading terms cancel."""
        return largest_degree(self.parts)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The sum, kept as a `sympy.Sum` over the tokens where it was one and t is generic."""
        if at is None and self.pattern is not None:
            index, low, high, body = self.pattern
            return sp.Sum(body, (index, low, high))
        return sp.Add(*(part.expression(at) for part in self.parts))

    def derivatives(self, k: int) -> Tensor:
        """Entrywise sum."""
        return _gather(item for part in self.parts for item in part.derivatives(k).items())

    def vanishes(self, k: int) -> bool | None:
        """Parts without a common token cannot cancel for k >= 1; the others are added up."""
        if k == 0:
            return decide_zero(self.coefficient(()))
        return all_true(
            cluster[0].vanishes(k) if len(cluster) == 1 else Transform.vanishes(SumTransform(cluster), k)
            for cluster in self._clusters
        )

    @cached_property
    def _clusters(self) -> list[tuple[Transform, ...]]:
        return [tuple(part) for part in connected_components(self.parts, lambda part: part.tokens)]

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """Sum of coefficients."""
        return sp.expand(sp.Add(*(part.coefficient(alpha) for part in self.parts)))

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """Sum of series."""
        series = [part.along(direction, k) for part in self.parts]
        return [sp.expand(sp.Add(*(s[j] for s in series))) for j in range(k + 1)]


@dataclass(frozen=True)
class ProductTransform(_OverTokens):
    """A product of transforms in mutually orthogonal variables."""

    @cached_property
    def _factors(self) -> tuple[Transform, ...]:
        """The parts, with the factors of a part that is a product in its place."""
        inner = (part._factors if isinstance(part, ProductTransform) else (part,) for part in self.parts)
        return tuple(itertools.chain.from_iterable(inner))

    @cached_property
    def degree(self) -> int | None:
        """The sum."""
        degrees = [part.degree for part in self.parts]
        return None if None in degrees else sum(d for d in degrees if d is not None)

    @cached_property
    def _verdicts(self) -> list[list[bool | None]]:
        """Which orders of each part vanish, so far as anybody asked."""
        return [[] for _ in self.parts]

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The product, kept as a `sympy.Product` where it was one and t is generic."""
        if at is None and self.pattern is not None:
            index, low, high, body = self.pattern
            return sp.Product(body, (index, low, high))
        return sp.Mul(*(part.expression(at) for part in self.parts))

    def vanishes(self, k: int) -> bool | None:
        """Orders add: the parts of different orders (j_1, ..., j_n) are independent, so nothing cancels.

        Order k is non-zero iff some j_1 + ... + j_n = k has no vanishing factor.
        """
        sure, possible = {0}, {0}
        for part, known in zip(self.parts, self._verdicts, strict=True):
            last = k if part.degree is None else min(k, part.degree)
            known += [part.vanishes(j) for j in range(len(known), last + 1)]
            present = {j for j, v in enumerate(known[: k + 1]) if v is False}
            open_ = {j for j, v in enumerate(known[: k + 1]) if v is not True}
            sure = {a + j for a in sure for j in present if a + j <= k}
            possible = {a + j for a in possible for j in open_ if a + j <= k}
        if k in sure:
            return False
        return None if k in possible else True

    def derivatives(self, k: int) -> Tensor:
        """The order-k part of the product of generating functions."""
        parts = [[part.derivatives(j) for j in range(k + 1)] for part in self._factors]
        counts = [1] + [0] * k
        for factors in parts:  # at most: orthogonal forms may share tokens
            sizes = [len(tensor) for tensor in factors]
            counts = [sum(counts[n - j] * sizes[j] for j in range(n + 1)) for n in range(k + 1)]
        require_budget(k, counts[k], "a product")
        orders = [[j for j, tensor in enumerate(factors) if tensor] or [k + 1] for factors in parts]
        graded: list[Tensor] = [{(): sp.Integer(1)}]
        for number, factors in enumerate(parts):
            # orders from which the factors left do not come to k are not formed
            low, high = (sum(end(found) for found in orders[number + 1 :]) for end in (min, max))
            product: list[list[tuple[MultiIndex, sp.Expr]]] = [[] for _ in range(k + 1)]
            for (i, left), (j, right) in itertools.product(enumerate(graded), enumerate(factors)):
                if i + j + low <= k <= i + j + high:
                    product[i + j] += [
                        (multiply(a, b), x * y * sp.Rational(factorial(multiply(a, b)), factorial(a) * factorial(b)))
                        for (a, x), (b, y) in itertools.product(left.items(), right.items())
                    ]
            graded = [_gather(entries) for entries in product]
        return graded[k] if k < len(graded) else {}

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """The product of the factors' coefficients where the tokens are disjoint."""
        if sum(len(part.tokens) for part in self.parts) != len(self.tokens):
            return super().entry(alpha)
        return sp.expand(
            sp.Mul(*(part.coefficient(tuple(p for p in alpha if p[0] in part.tokens)) for part in self.parts))
        )

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """The product of the series."""
        total = [sp.Integer(1)] + [sp.Integer(0)] * k
        for part in self.parts:
            series = part.along(direction, k)
            total = [
                sp.expand(sp.Add(*(math.comb(n, j) * total[n - j] * series[j] for j in range(n + 1))))
                for n in range(k + 1)
            ]
        return total


def _gather(entries: Iterable[tuple[MultiIndex, sp.Expr]]) -> Tensor:
    gathered: dict[MultiIndex, list[sp.Expr]] = {}
    for alpha, value in entries:
        gathered.setdefault(alpha, []).append(value)
    total = {a: values[0] if len(values) == 1 else sp.expand(sp.Add(*values)) for a, values in gathered.items()}
    return {alpha: value for alpha, value in total.items() if value != 0}
