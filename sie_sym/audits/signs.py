r"""Proofs about a difference D(s): is it zero, and which sign has it, on the domain of the overlaps.

Everything here is a proof or no answer: exact algebra, exact root counting, balls.  Counterexamples are rational.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import sympy as sp
from flint import acb, arb

from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import GaussianExpectation, evidence_of
from sie_sym.grammar.domain import signs
from sie_sym.integrals.balls import compile_ball, working_precision
from sie_sym.integrals.enclosure import decide_sign, decide_zero, enclose
from sie_sym.integrals.vanishing import vanishes_identically
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.measure import ENCLOSED_BITS, Measured, measure

Point = dict[sp.Symbol, sp.Expr]

HOLDS: dict[str, Callable[[int], bool]] = {
    "=": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}
"""Whether D relation 0, by the sign of D."""

_PLAIN_BITS = (64, 256)
_INTEGRAL_BITS = (12, 40)
_BOXES = 1500
_GRID = 9
_PARAMETERS = tuple(sp.Rational(p, q) for p, q in ((1, 3), (2, 5), (1, 7), (-1, 3), (3, 2), (-5, 4), (2, 1), (-1, 10)))
# Pythagorean first: sqrt(1 - m^2) is then rational.
_OVERLAPS = tuple(sp.Rational(p, q) for p, q in ((3, 5), (0, 1), (-1, 3), (1, 2), (2, 7), (-3, 5), (4, 5), (1, 10)))


def bits_for(expression: sp.Expr) -> tuple[int, ...]:
    """The precisions tried: two-token integrals take seconds beyond some 40 bits."""
    return _INTEGRAL_BITS if expression.has(GaussianExpectation) else _PLAIN_BITS


def is_zero(expression: sp.Expr) -> bool | None:
    """Whether an expression vanishes identically; False only where one rational point proves it."""
    if not expression.has(GaussianExpectation):
        return decide_zero(expression)
    expression = sp.expand(expression)
    if vanishes_identically(expression):
        return True
    if expression.free_symbols or evidence_of([expression]) is Evidence.NUMERICAL:
        return None
    return False if ball_sign(expression) else None


def ball_sign(expression: sp.Expr, bound: sp.Expr = sp.Integer(0)) -> int | None:
    """The sign of a constant known up to +-`bound` from a ball that excludes 0, None if none does."""
    if evidence_of([expression]) is Evidence.NUMERICAL:
        return None
    for bits in bits_for(expression):
        try:
            ball = widened(expression, bound, bits)
        except SieSymError:
            return None
        if not ball.contains(0):
            return 1 if ball > 0 else -1
    return None


def widened(expression: sp.Expr, bound: sp.Expr, bits: int) -> arb:
    """A ball around everything within `bound` of a constant."""
    ball = enclose(expression, bits)
    return ball if bound == 0 else ball + arb(0, enclose(bound, bits).abs_upper())


def measured(expression: sp.Expr, bound: sp.Expr = sp.Integer(0), *, finely: bool = False) -> Measured:
    """A constant with its error, enclosed to the digits that cost no more than its sign; `finely` to all of them."""
    if evidence_of([expression]) is Evidence.NUMERICAL:
        return measure(expression)
    coarse = ENCLOSED_BITS if expression.has(GaussianExpectation) else _PLAIN_BITS[0]
    ball = widened(expression, bound, bits_for(expression)[-1] if finely else coarse)
    value = float(ball.mid())
    evidence = Evidence.ENCLOSED if bound != 0 or expression.has(GaussianExpectation) else Evidence.EXACT
    return Measured(value, float(ball.rad()) + abs(value) * 2.0**-53, evidence)


# ---- points -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Domain:
    """Overlaps in the unit ball (or, `cube`, in [-1, 1] each), parameters where `conditions` are positive."""

    overlaps: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]
    conditions: tuple[sp.Expr, ...] = ()
    cube: bool = False

    def points(self) -> Iterator[Point]:
        """A few dozen rational points inside, generic ones first."""
        count = len(self.overlaps)
        for attempt in range(24):
            values = [_OVERLAPS[(attempt + 3 * i) % len(_OVERLAPS)] for i in range(count)]
            point: Point = dict(zip(self.overlaps, values, strict=True))
            for i, p in enumerate(self.parameters):
                point[p] = _PARAMETERS[(attempt + i) % len(_PARAMETERS)]
            if self.inside(point):
                yield point

    def axis_points(self) -> Iterator[Point]:
        """The origin and points on the axes, where the integrals of a loss are few and most of its terms vanish."""
        origin = next(self.points(), {}) | dict.fromkeys(self.overlaps, sp.Integer(0))
        yield origin
        for s in reversed(self.overlaps):
            yield origin | {s: sp.Rational(3, 5)}

    def inside(self, point: Point) -> bool:
        """Whether a point is proved to lie inside."""
        squares = [point[s] ** 2 for s in self.overlaps]
        if any((x > 1) == sp.true for x in squares) or (not self.cube and (sp.Add(*squares) > 1) == sp.true):
            return False
        return all(decide_sign(condition.subs(point)) == 1 for condition in self.conditions)

    def grid(self) -> Iterator[Point]:
        """Rational points of a grid, the boundary included."""
        steps = _GRID if len(self.overlaps) <= 3 else 3
        axis = [sp.Rational(2 * i, steps - 1) - 1 for i in range(steps)]
        for values in itertools.product(axis, repeat=min(len(self.overlaps), 6)):
            padded = (*values, *([sp.Integer(0)] * (len(self.overlaps) - len(values))))
            for shift in range(4 if self.parameters else 1):
                point = dict(zip(self.overlaps, padded, strict=True))
                point |= {p: _PARAMETERS[(shift + i) % len(_PARAMETERS)] for i, p in enumerate(self.parameters)}
                if self.inside(point):
                    yield point


def counterexample(difference: sp.Expr, bound: sp.Expr, relation: str, domain: Domain) -> Point | None:
    """A rational point where D relation 0 is proved to fail, |D - difference| <= bound."""
    for point in _candidates(difference, relation, domain):
        here, slack = difference.subs(point), bound.subs(point)
        sign = ball_sign(here, slack)
        if sign is None and slack == 0 and relation in ("<", ">") and is_zero(here) is True:
            sign = 0
        if sign is not None and not HOLDS[relation](sign):
            return point
    return None


def _candidates(difference: sp.Expr, relation: str, domain: Domain) -> Iterator[Point]:
    if not difference.free_symbols:
        yield {}
        return
    free = Domain(
        tuple(s for s in domain.overlaps if difference.has(s)) or domain.overlaps,
        domain.parameters,
        domain.conditions,
        domain.cube,
    )
    full = dict.fromkeys(domain.overlaps, sp.Integer(0))
    if difference.has(GaussianExpectation):
        yield from (full | point for point in domain.axis_points())
        return
    yield from (full | point for point in free.points())
    if relation in ("=", "!="):
        return
    points = list(free.grid())
    if not points:
        return
    symbols = list(points[0])
    try:
        values = numeric_function(symbols, [difference])(
            np.array([[float(point[s]) for point in points] for s in symbols])
        )[0]
    except SieSymError:
        return
    wanted = -values if relation in (">", ">=") else values
    for i in np.argsort(-np.nan_to_num(wanted, nan=-np.inf))[:8]:
        yield full | points[int(i)]


# ---- proofs of inequalities -----------------------------------------------------------------------


def proves(difference: sp.Expr, bound: sp.Expr, relation: str, domain: Domain) -> str | None:
    """How `D relation 0` is proved on the whole domain, None if it is not; the relation is one of < <= > >=."""
    if not difference.free_symbols and not bound.free_symbols:
        sign = 0 if bound == 0 and is_zero(difference) else ball_sign(difference, bound)
        return "its sign" if sign is not None and HOLDS[relation](sign) else None
    upward = relation in (">", ">=")
    positive = difference if upward else -difference
    strict = relation in (">", "<")
    if bound != 0:
        own = (positive - bound).free_symbols <= set(domain.overlaps)
        return "balls that cover the domain" if own and _by_boxes(positive - bound, domain) else None
    possible = signs(sp.expand(positive), {})
    if -1 not in possible and not (strict and 0 in possible):
        return "the signs of its terms"
    if set(difference.free_symbols) <= set(domain.overlaps):
        if _by_roots(positive, strict):
            return "counting its roots exactly"
        if strict and _by_boxes(positive, domain):
            return "balls that cover the domain"
    return None


def _by_roots(positive: sp.Expr, strict: bool) -> bool:
    """A polynomial in one overlap with rational coefficients on [-1, 1]."""
    free = sorted(positive.free_symbols, key=str)
    if len(free) != 1 or not positive.is_polynomial(*free):
        return False
    polynomial = sp.Poly(positive, *free)
    if not all(c.is_Rational for c in polynomial.coeffs()):
        return False
    if strict:
        return polynomial.count_roots(-1, 1) == 0 and bool(polynomial.eval(0) > 0)
    inside = sp.Rational(1, 10**6 + 3)
    odd = [factor for factor, n in polynomial.sqf_list()[1] if n % 2]
    # A change of sign inside is a root of odd multiplicity; ends may be roots.
    changes = sum(factor.count_roots(-1, 1) - sum(factor.eval(end) == 0 for end in (-1, 1)) for factor in odd)
    return changes == 0 and bool(polynomial.eval(inside) > 0)


def _by_boxes(positive: sp.Expr, domain: Domain) -> bool:
    """Branch and bound: D > 0 on every box that meets the domain."""
    if positive.has(GaussianExpectation):
        return False
    try:
        with working_precision(64):
            return _covered(positive, domain)
    except SieSymError:
        return False


def _covered(positive: sp.Expr, domain: Domain) -> bool:
    program = compile_ball(positive, domain.overlaps)
    boxes: deque[tuple[tuple[float, float], ...]] = deque([((-1.0, 1.0),) * len(domain.overlaps)])
    for _ in range(_BOXES):
        if not boxes:
            return True
        box = boxes.popleft()
        # Sides are dyadic: the arithmetic of the corners is exact.
        nearest = sum(0.0 if low <= 0 <= high else min(abs(low), abs(high)) ** 2 for low, high in box)
        if nearest > 1 and not domain.cube:
            continue
        value = program([acb(arb(low).union(arb(high))) for low, high in box], False)
        if value.is_finite() and value.real > 0:
            continue
        i = max(range(len(box)), key=lambda j: box[j][1] - box[j][0])
        low, high = box[i]
        middle = (low + high) / 2
        boxes.extend((*box[:i], half, *box[i + 1 :]) for half in ((low, middle), (middle, high)))
    return False


def decimals(difference: sp.Expr, claimed: sp.Expr, digit: sp.Rational, bound: sp.Expr = sp.Integer(0)) -> bool | None:
    """Whether ours = claimed + D rounds to the decimal claimed, or is cut to it; `digit` is one unit of its last."""
    if difference.free_symbols:
        return None
    # In the direction away from 0 a whole unit may have been cut, towards 0 half a unit was rounded at most.
    outward = -difference if claimed < 0 else difference
    ends = [ball_sign(outward + digit / 2, bound), ball_sign(outward - digit, bound)]
    if ends[0] == -1 or ends[1] == 1:
        return False
    if bound == 0 and ends[0] is None and is_zero(outward + digit / 2):
        ends[0] = 1
    if bound == 0 and ends[1] is None and is_zero(outward - digit):
        return False
    return None if None in ends else True


__all__ = [
    "HOLDS",
    "Domain",
    "Point",
    "ball_sign",
    "counterexample",
    "decimals",
    "is_zero",
    "measured",
    "proves",
]
