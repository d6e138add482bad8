r"""The real roots of polynomials with linear and quadratic factors, and the intervals between them, exactly."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from sie_sym.errors import NoClosedForm
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.linear_forms import ratio


def real_roots(polynomial: sp.Expr, x: sp.Symbol) -> list[sp.Expr]:
    """The distinct real roots, ascending, of a polynomial whose factors are linear or quadratic.

    Raises `NoClosedForm` for a factor of higher degree or with parameters.
    """
    roots: list[sp.Expr] = []
    if polynomial.free_symbols - {x}:
        raise NoClosedForm(f"the roots of {polynomial} depend on parameters")
    for factor in sp.Mul.make_args(sp.factor(polynomial)):
        coefficients = sp.Poly(factor.as_base_exp()[0], x).all_coeffs()
        if len(coefficients) == 2:
            roots.append(ratio(-coefficients[1], coefficients[0]))
        elif len(coefficients) == 3:
            a, b, c = coefficients
            discriminant = decide_sign(sp.expand(b**2 - 4 * a * c))
            if discriminant is None or discriminant >= 0:
                root = sp.sqrt(sp.expand(b**2 - 4 * a * c))
                roots += [sp.expand((-b - root) / (2 * a)), sp.expand((-b + root) / (2 * a))]
        elif len(coefficients) > 3:
            raise NoClosedForm(f"the roots of {factor} have no simple form")
    return ascending(roots)


def ascending(numbers: Iterable[sp.Expr]) -> list[sp.Expr]:
    """Distinct constants in order.  Raises `NoClosedForm` if two of them cannot be compared."""
    result: list[sp.Expr] = []
    for number in numbers:
        position = 0
        for other in result:
            side = decide_sign(number - other)
            if side is None:
                raise NoClosedForm(f"cannot order {number} and {other}")
            if side == 0:
                break
            position += side > 0
        else:
            result.insert(position, number)
    return result


def between(left: sp.Expr | None, right: sp.Expr | None) -> sp.Expr:
    """A point of an open interval, None for an infinite end."""
    if left is None:
        return sp.Integer(0) if right is None else right - 1
    return left + 1 if right is None else (left + right) / 2


def is_inside(point: sp.Expr, left: sp.Expr | None, right: sp.Expr | None) -> bool:
    """Whether a point lies in an open interval.  Raises `NoClosedForm` if it cannot be decided."""
    sides = [decide_sign(point - left)] if left is not None else []
    sides += [decide_sign(right - point)] if right is not None else []
    if None in sides:
        raise NoClosedForm(f"cannot place the root {point}")
    return all(side == 1 for side in sides)
