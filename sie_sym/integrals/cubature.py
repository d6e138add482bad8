r"""Rigorous integrals of ball functions: an interval through flint, a rectangle by certified Gauss products.

On a cell with half-widths r, s the n x m Gauss-Legendre product differs from the integral by at most
4 r s (e(M_1, n, rho_1) + e(M_2, m, rho_2)) / 2 with e(M, n, rho) = (64/15) M rho^(-2n) / (1 - rho^(-2)), where M_1
bounds |f| for x in the Bernstein ellipse of parameter rho_1 and y real in the cell, and M_2 likewise with x and y
exchanged.  For one variable: f = sum a_k T_k with |a_k| <= 2 M rho^(-k); the rule is exact up to k = 2n - 1, odd k
vanish, and |I(T_k) - Q(T_k)| <= 2/(k^2 - 1) + 2 <= 32/15 for even k >= 4 (so n >= 2).  One ball evaluation proves
M; it fails where f is not analytic, and the cell is then split.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import flint
from flint import acb, arb, fmpq

from sie_sym.integrals.balls import BallFunction


@dataclass(frozen=True)
class Integrand:
    """A function of the plane times a weight on each axis: the weights are evaluated once a node, not once a pair."""

    core: BallFunction
    weights: tuple[Callable[[acb], acb], ...]

    def __call__(self, z: Sequence[acb], analytic: bool) -> acb:
        """Core times weights."""
        value = self.core(z, analytic)
        for weight, coordinate in zip(self.weights, z, strict=True):
            value = value * weight(coordinate)
        return value


_RHO = (2.0, 3.0, 4.5, 7.0, 11.0, 18.0)


def integrate_interval(f: BallFunction, low: fmpq, high: fmpq, tolerance: arb) -> acb:
    """An enclosure of the integral of f over [low, high], at the current flint precision."""
    ends = acb(arb(low)), acb(arb(high))
    return acb.integral(lambda x, flag: f((x,), flag), *ends, rel_tol=tolerance, abs_tol=tolerance)


@dataclass(frozen=True)
class _Side:
    """One side [low, high] of a cell."""

    low: fmpq
    high: fmpq

    @property
    def width(self) -> fmpq:
        return self.high - self.low

    def real(self) -> acb:
        return acb(arb(self.low).union(arb(self.high)))

    def ellipse(self, rho: float) -> acb:
        """A complex box around the Bernstein ellipse of parameter rho."""
        half = arb(self.width) / 2
        big, small = half * (rho + 1 / rho) / 2, half * (rho - 1 / rho) / 2
        # rho is a dyadic float or rounded once: its inverse is off by an ulp, which the factor covers.
        slack = 1 + arb(2) ** -40
        center = arb((self.low + self.high) / 2)
        return acb(center + arb(0, (big * slack).upper()), arb(0, (small * slack).upper()))

    def halves(self) -> tuple[_Side, _Side]:
        middle = (self.low + self.high) / 2
        return _Side(self.low, middle), _Side(middle, self.high)

    def nodes(self, n: int) -> list[tuple[acb, arb]]:
        center, half = arb((self.low + self.high) / 2), arb(self.width) / 2
        return [(acb(center + half * x), half * w) for x, w in _gauss(n, flint.ctx.prec)]


@lru_cache(maxsize=256)
def _gauss(n: int, precision: int) -> list[tuple[arb, arb]]:
    return [arb.legendre_p_root(n, k, weight=True) for k in range(n)]


def _pieces(low: fmpq, high: fmpq) -> list[_Side]:
    """Sides of length at most 2: longer cells are never certified, so that trying them is lost time."""
    count = max(1, math.ceil(float(arb(high - low)) / 2))
    step = (high - low) / count
    return [_Side(low + i * step, low + (i + 1) * step) for i in range(count)]


@dataclass(frozen=True)
class _Rule:
    """Certified degrees of a cell (None: no ellipse certified) and its proved error."""

    degree: int
    error: arb


def _certify(f: BallFunction, sides: tuple[_Side, _Side], axis: int, share: arb) -> _Rule | None:
    """The smallest n whose proved error along one axis stays below `share`."""
    area = arb(sides[0].width) * arb(sides[1].width)
    best: _Rule | None = None
    for rho in _RHO:
        box = [side.real() for side in sides]
        box[axis] = sides[axis].ellipse(rho)
        value = f(box, True)
        if not value.is_finite():
            break
        r = arb(rho)
        scale = arb(64) / 15 * arb(value.abs_upper()) * area / 2 / (1 - 1 / (r * r))
        excess = scale / share
        degree = 2
        if excess > 1:
            degree = max(2, math.ceil(float((excess.log() / (2 * r.log())).upper())))
        if best is None or degree < best.degree:
            best = _Rule(degree, (scale * r ** (-2 * degree)).upper())
    return best


def integrate_rectangle(
    f: Integrand,
    box: tuple[tuple[fmpq, fmpq], tuple[fmpq, fmpq]],
    tolerance: arb,
    cells: int = 4000,
) -> acb:
    """An enclosure of the integral of f over a rectangle, at the current flint precision.

    After `cells` cells what is left is bounded by its supremum, so the answer is always true, but wide where f has
    a kink inside the rectangle.
    """
    degree_limit = 12 + flint.ctx.prec // 4
    total = acb(0)
    area = arb(fmpq(1))
    for low, high in box:
        area *= arb(high - low)
    order = itertools.count()
    # Largest supremum times area first: when the budget ends, what is left is least.
    heap: list[tuple[float, int, tuple[_Side, _Side], acb]] = []

    def push(sides: tuple[_Side, _Side]) -> acb:
        size = arb(sides[0].width) * arb(sides[1].width)
        crude = f([side.real() for side in sides], False) * acb(size)
        if crude.is_finite() and arb(crude.abs_upper()) < tolerance * size / area:
            return crude
        radius = float(arb(crude.abs_upper()).upper()) if crude.is_finite() else math.inf
        heapq.heappush(heap, (-radius, next(order), sides, crude))
        return acb(0)

    for sides in itertools.product(_pieces(*box[0]), _pieces(*box[1])):
        total += push(sides)
    for _ in range(cells):
        if not heap:
            return total
        _, _, sides, _ = heapq.heappop(heap)
        share = tolerance * arb(sides[0].width) * arb(sides[1].width) / area / 2
        rules = [_certify(f, sides, axis, share) for axis in (0, 1)]
        degrees = [rule.degree if rule else math.inf for rule in rules]
        if max(degrees) <= degree_limit and rules[0] and rules[1]:
            total += _product_rule(f, sides, rules[0].degree, rules[1].degree)
            bound = (rules[0].error + rules[1].error).upper()
            total += acb(arb(0, bound), arb(0, bound))
            continue
        worst = 0 if degrees[0] > degrees[1] or (degrees[0] == degrees[1] and _wider(sides)) else 1
        for half in sides[worst].halves():
            total += push((half, sides[1]) if worst == 0 else (sides[0], half))
    for _, _, _, crude in heap:
        total += crude
    return total


def _wider(sides: tuple[_Side, _Side]) -> bool:
    return bool(sides[0].width >= sides[1].width)


def _product_rule(f: Integrand, sides: tuple[_Side, _Side], n: int, m: int) -> acb:
    rows, columns = (
        [(z, weight(z) * w) for z, w in side.nodes(k)] for weight, side, k in zip(f.weights, sides, (n, m), strict=True)
    )
    total = acb(0)
    for x, outer in rows:
        row = acb(0)
        for y, inner in columns:
            row += f.core((x, y), False) * inner
        total += row * outer
    return total
