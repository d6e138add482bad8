r"""Kinks that run along an axis: where |z1 - c|, sign((z1 - c) z2), max(z1, c), ... change their branch.

Between such places the function is replaced by its branch, which is analytic up to and across the edges, so that
quadrature is certified there without ever cutting towards a kink.  Other kinks stay: answers are then wide, not wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
from flint import acb, arb, fmpq

from sie_sym.functions import relu, token
from sie_sym.integrals.balls import evaluate
from sie_sym.linear_forms import affine_form, has_tokens

_KINKED = (sp.Abs, sp.sign, sp.Heaviside, relu)


@dataclass(frozen=True)
class Interval:
    """A piece of an axis; a thin one surrounds a kink whose place is no dyadic number."""

    low: fmpq
    high: fmpq
    thin: bool = False


def _rational(exact: arb) -> fmpq:
    mantissa, exponent = exact.man_exp()
    return fmpq(mantissa) * fmpq(2) ** int(exponent)


def intervals(places: Sequence[arb], low: fmpq, high: fmpq) -> list[Interval]:
    """[low, high] cut at the balls `places`, each of which becomes a thin interval unless it is exact."""
    found: list[Interval] = []
    inside = (b for b in places if b > arb(low) and b < arb(high))
    for b in sorted(inside, key=lambda b: float(b.mid())):
        left, right = _rational(b.lower()), _rational(b.upper())
        if left < low:  # a second ball of the same kink
            continue
        if low < left:
            found.append(Interval(low, left))
        if left < right:
            found.append(Interval(left, right, thin=True))
        low = right
    return [*found, Interval(low, high)]


def _axis_factors(argument: sp.Expr) -> list[tuple[sp.Symbol, sp.Expr]] | None:
    """(token, root) for each factor of a kink's argument when all are affine in one token, else None."""
    roots = []
    for factor in sp.Mul.make_args(sp.factor_terms(sp.expand(argument))):
        if not has_tokens(factor):
            continue
        form = affine_form(factor.base if isinstance(factor, sp.Pow) else factor)
        if form is None or len(form[0]) != 1:
            return None
        ((index, slope),) = form[0].items()
        roots.append((token(index), -form[1] / slope))
    return roots


def _switches(node: sp.Expr) -> list[sp.Expr]:
    """The arguments whose sign decides the branch of a kinked node."""
    if isinstance(node, _KINKED):
        return [node.args[0]]
    return [a - b for a, b in itertools.combinations(node.args, 2)]


def breaks(h: sp.Expr, symbol: sp.Symbol, mean: arb, values: Mapping[sp.Symbol, acb]) -> list[arb]:
    """Balls around the places where kinks of h cut the axis of one token, in the coordinate Z = z - t."""
    switches = {s for node in h.atoms(*_KINKED, sp.Max, sp.Min) for s in _switches(node)}
    roots = {root for s in switches for owner, root in _axis_factors(s) or () if owner == symbol}
    balls = (evaluate(root, values) for root in roots)
    return [ball.real - mean for ball in balls if ball.is_finite()]


def branch(h: sp.Expr, sides: Mapping[sp.Symbol, tuple[Interval, arb]], values: Mapping[sp.Symbol, acb]) -> sp.Expr:
    """h on a product of intervals (each with the mean of its token), without the kinks that miss the interior."""
    middle = {s: acb(arb((side.low + side.high) / 2) + mean) for s, (side, mean) in sides.items()}

    def sign(switch: sp.Expr) -> int:
        """The sign of a kink's argument on the whole region, 0 where it is not known."""
        roots = _axis_factors(switch)
        if roots is None:
            return 0
        for owner, root in roots:
            side, mean = sides[owner]
            place = evaluate(root, values).real - mean
            if not (place.upper() <= arb(side.low) or place.lower() >= arb(side.high)):
                return 0
        value = evaluate(switch, {**values, **middle}).real
        return 1 if value > 0 else -1 if value < 0 else 0

    def resolve(node: sp.Expr) -> sp.Expr:
        if isinstance(node, _KINKED):
            side = sign(node.args[0])
            if not side:
                return node
            if isinstance(node, sp.Abs):
                return side * node.args[0]
            if isinstance(node, relu):
                return node.args[0] if side > 0 else sp.Integer(0)
            return sp.Integer(side if isinstance(node, sp.sign) else side > 0)
        want = 1 if isinstance(node, sp.Max) else -1
        for chosen in node.args:
            if all(sign(chosen - other) == want for other in node.args if other != chosen):
                return chosen
        return node

    return h.replace(lambda node: isinstance(node, (*_KINKED, sp.Max, sp.Min)), resolve)


__all__ = ["Interval", "branch", "breaks", "intervals"]
