r"""Smooth signs S_s(<a, x> + b) with S_s(y) = E sign(y + sqrt(s) W) = erf(y / sqrt(2 s)), and their products.

S_0 is sign itself.  A product of sharp signs along one direction is a combination of single ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import NoClosedForm
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.linear_forms import multiple_of, ratio


@dataclass(frozen=True)
class SmoothSign:
    """S_s(<a, x> + b); a sharp sign (s = 0) has its direction scaled by `direction_of`."""

    direction: tuple[sp.Expr, ...]
    offset: sp.Expr
    noise: sp.Expr


def merge_signs(atoms: Iterable[SmoothSign]) -> dict[tuple[SmoothSign, ...], sp.Expr]:
    """A product of smooth signs as a combination of products without two parallel sharp ones.

    sign(x - a) sign(x - b) = 1 - sign(b - a) (sign(x - a) - sign(x - b)) and sign^2 = 1, almost everywhere.
    """
    result: dict[tuple[SmoothSign, ...], sp.Expr] = {(): sp.Integer(1)}
    for atom in atoms:
        after: dict[tuple[SmoothSign, ...], sp.Expr] = {}
        for signs, factor in result.items():
            for product, weight in _times(signs, atom).items():
                after[product] = after.get(product, sp.Integer(0)) + factor * weight
        result = {signs: factor for signs, factor in after.items() if factor != 0}
    return result


def _times(signs: tuple[SmoothSign, ...], atom: SmoothSign) -> dict[tuple[SmoothSign, ...], sp.Expr]:
    twin = None
    if atom.noise == 0:
        slopes = {i: c for i, c in enumerate(atom.direction) if c != 0}
        for other in (s for s in signs if s.noise == 0):
            line = tuple((i, c) for i, c in enumerate(other.direction) if c != 0)
            factor = multiple_of(slopes, line)
            if factor is not None:
                twin, atom = other, SmoothSign(other.direction, ratio(atom.offset, factor), sp.Integer(0))
                break
    if twin is None:
        return {ordered((*signs, atom)): sp.Integer(1)}
    orientation = sp.sign(factor)
    others = tuple(s for s in signs if s is not twin)
    gap = sp.expand(atom.offset - twin.offset)  # threshold of the twin minus threshold of the atom
    if gap.free_symbols:
        side = sp.sign(gap)
    elif (decided := decide_sign(gap)) is not None:
        side = sp.Integer(decided)
    else:
        raise NoClosedForm(f"cannot order the thresholds {-twin.offset} and {-atom.offset}")
    if side == 0:
        return {others: orientation}
    with_atom, with_twin = ordered((*others, atom)), ordered((*others, twin))
    return {others: orientation, with_atom: -orientation * side, with_twin: orientation * side}


def ordered(signs: Iterable[SmoothSign]) -> tuple[SmoothSign, ...]:
    """The signs in the one order that makes equal products equal."""
    return tuple(sorted(signs, key=repr))
