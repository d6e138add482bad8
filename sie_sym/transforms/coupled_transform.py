r"""The Weierstrass transform of a function that couples its tokens, entry by entry of its Hermite tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import sympy as sp

from sie_sym.hermite import MultiIndex, Tensor, contract, multi_indices
from sie_sym.integrals.enclosure import all_zero
from sie_sym.transforms.integral import Integral
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.transform import LeafTransform, Point, Transform, require_budget

LINE_BUDGET = 500
"""Up to this many coefficients of one order a series along a line is put together from them."""


class EntrywiseTransform(Transform):
    """A transform that writes a Hermite tensor out by computing each of its entries."""

    def derivatives(self, k: int) -> Tensor:
        """All entries of order k.  Raises `TruncationError` beyond the tensor budget."""
        tokens = len(self.tokens)
        require_budget(k, math.comb(tokens + k - 1, k), f"a function that couples {tokens} tokens")
        entries = ((alpha, self.coefficient(alpha)) for alpha in multi_indices(self.tokens, k))
        return {alpha: value for alpha, value in entries if value != 0}


@dataclass(frozen=True)
class CoupledTransform(LeafTransform, EntrywiseTransform):
    """A function of several tokens without further structure."""

    profile: Smoothed | Integral
    labels: tuple[int, ...]
    _cache: dict[MultiIndex, sp.Expr] = field(default_factory=dict, compare=False)

    @property
    def tokens(self) -> frozenset[int]:
        """The coupled tokens."""
        return frozenset(self.labels)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The closed form."""
        return self.profile.expression([self.at(at, l) for l in self.labels])

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """d^alpha (G h)(0)."""
        if alpha not in self._cache:
            powers = dict(alpha)
            by_position = {i: powers[l] for i, l in enumerate(self.labels, start=1) if l in powers}
            self._cache[alpha] = self.profile.coefficient(by_position)
        return self._cache[alpha]

    def vanishes(self, k: int) -> bool | None:
        """True by parity, or entry by entry up to the first that is not zero."""
        degree = self.profile.parity_degrees[k % 2]
        if degree is not None and degree < k:
            return True
        return all_zero(self.coefficient(alpha) for alpha in multi_indices(self.labels, k))

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """By the coefficients, or the derivatives of the restriction to the line where there are too many."""
        few = math.comb(len(direction.keys() & self.tokens) + k - 1, k) <= LINE_BUDGET
        if few or isinstance(self.profile, Integral):
            return [self._directional(direction, j) for j in range(k + 1)]
        x = sp.Dummy("x", real=True)
        line = self.expression({l: x * direction.get(l, sp.Integer(0)) for l in self.labels})
        values = []
        for _ in range(k + 1):
            values.append(sp.expand(line.subs(x, 0)))
            line = sp.diff(line, x)
        return values

    def _directional(self, direction: Point, k: int) -> sp.Expr:
        """<C_k, v^{(x) k}> from the entries on the tokens of v."""
        v = {l: direction[l] for l in self.labels if direction.get(l, 0) != 0}
        return contract({alpha: self.coefficient(alpha) for alpha in multi_indices(v, k)}, v)
