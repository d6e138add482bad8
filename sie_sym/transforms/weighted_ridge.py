r"""The transform of a polynomial times a ridge function, h(z) = p(z) f(<a, z>).

G(p q)(t) = sum_gamma d^gamma (G p)(t) d^gamma (G q)(t) / gamma! holds for all p and q (it is exp(d_s . d_t) at s = t,
Mehler's formula at full correlation).  The derivatives of a ridge lie along a, so that with r = G_{|a|^2} f

    G h(t) = sum_k P_k(t) r^{(k)}(<a, t>),      P_k = (a . d)^k (G p) / k!,

a sum that ends at the degree of p, and every C_alpha(h) is a combination of the numbers r^{(k)}(0).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.hermite import MultiIndex, Tensor, factorial, monomial, order
from sie_sym.transforms.composite_transform import CompositeTransform
from sie_sym.transforms.coupled_transform import EntrywiseTransform
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.transform import Point, PolynomialTransform, RidgeTransform, Transform


@dataclass(frozen=True)
class WeightedRidgeTransform(CompositeTransform, EntrywiseTransform):
    """G of p(z) f(<a, z>); `weight` is G p and `ridge` that of f(<a, z>)."""

    weight: PolynomialTransform
    ridge: RidgeTransform

    @property
    def parts(self) -> tuple[Transform, ...]:  # type: ignore[override]
        """Polynomials do not change what the ridge decides."""
        return self.weight, self.ridge

    @property
    def degree(self) -> int | None:
        """None: a polynomial ridge would be a polynomial."""
        return None

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """d^beta P_k(0) by k = 0..deg p and beta: the sum of a^gamma C_{beta+gamma}(p) / gamma! over |gamma| = k."""
        slopes = dict(self.ridge.direction)
        degree = self.weight.degree
        gathered: list[dict[MultiIndex, list[sp.Expr]]] = [{} for _ in range(degree + 1)]
        for delta, c in itertools.chain(*(self.weight.derivatives(k).items() for k in range(degree + 1))):
            for gamma in _below(delta):
                if slopes.keys() >= {l for l, _ in gamma}:
                    value = c * monomial(slopes, gamma) / factorial(gamma)
                    gathered[order(gamma)].setdefault(_minus(delta, gamma), []).append(value)
        return tuple({beta: sp.expand(sp.Add(*terms)) for beta, terms in entries.items()} for entries in gathered)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """sum_k P_k(t) r^{(k)}(<a, t>)."""
        u = sp.Dummy("u", real=True)
        (label, slope), *_ = self.ridge.direction
        profile, total = self.ridge.expression({label: u / slope}), []
        for entries in self.weights:
            monomials = (c * sp.Mul(*(self.at(at, l) ** n for l, n in b)) / factorial(b) for b, c in entries.items())
            total.append(sp.Add(*monomials) * profile.subs(u, self.ridge.form(at)))
            profile = sp.diff(profile, u)
        return sp.Add(*total)

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """sum_k sum_{beta <= alpha} binom(alpha, beta) d^beta P_k(0) a^{alpha-beta} r^{(k + |alpha - beta|)}(0)."""
        slopes = dict(self.ridge.direction)
        series = self.ridge.series(order(alpha) + len(self.weights) - 1)
        terms = []
        for (k, entries), beta in itertools.product(enumerate(self.weights), list(_below(alpha))):
            rest = _minus(alpha, beta)
            if beta in entries and slopes.keys() >= {l for l, _ in rest}:
                ways = factorial(alpha) // (factorial(beta) * factorial(rest))
                along = monomial(slopes, rest)
                terms.append(ways * entries[beta] * along * series[k + order(rest)])
        return sp.expand(sp.Add(*terms))

    def vanishes(self, k: int) -> bool | None:
        """By parity beyond a degree (p even or odd, and a part of f that is a polynomial), or entry by entry."""
        parities = {order(delta) % 2 for entries in self.weights[:1] for delta in entries}
        if len(parities) == 1 and isinstance(self.ridge.profile, Smoothed):
            degree = self.ridge.profile.parity_degrees[(k - parities.pop()) % 2]
            if degree is not None and (degree < 0 or k > degree + self.weight.degree):
                return True
        return super().vanishes(k)

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """The product rule for P_i(x v) r^{(i)}(x <a, v>), derivatives in x."""
        projection = sp.expand(self.ridge.form(direction))
        series = self.ridge.series(k + len(self.weights) - 1)
        total: list[list[sp.Expr]] = [[] for _ in range(k + 1)]
        for i, entries in enumerate(self.weights):
            for beta, c in entries.items():
                j = order(beta)
                monomial = c * sp.Mul(*(direction.get(l, sp.Integer(0)) ** n for l, n in beta)) / factorial(beta)
                for n in range(j, k + 1):
                    total[n].append(monomial * math.perm(n, j) * projection ** (n - j) * series[i + n - j])
        return [sp.expand(sp.Add(*terms)) for terms in total]


def _below(alpha: MultiIndex) -> Iterator[MultiIndex]:
    """All beta <= alpha."""
    for powers in itertools.product(*(range(n + 1) for _, n in alpha)):
        yield tuple((l, n) for (l, _), n in zip(alpha, powers, strict=True) if n)


def _minus(alpha: MultiIndex, beta: MultiIndex) -> MultiIndex:
    """alpha - beta for beta <= alpha."""
    powers = dict(beta)
    return tuple((l, n - powers.get(l, 0)) for l, n in alpha if n > powers.get(l, 0))
