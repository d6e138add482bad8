r"""Where a formula is defined: the signs that a real expression can be shown to take.

An expression is abstracted to the set of signs it may take, a subset of {-1, 0, 1}; the rules are sound, so a
sign outside the set is proved not to occur.  Three-valued SymPy assumptions are not asked: on nested formulas
they cost exponential time, and on constants that vanish they may start a minimal polynomial.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from zlib import crc32

import sympy as sp

from sie_sym.functions import He, Phi, RealFunction, gelu, relu, sigmoid, softmax, softplus

Signs = frozenset[int]
Ranges = Mapping[sp.Symbol, range]

ANY: Signs = frozenset({-1, 0, 1})
POSITIVE: Signs = frozenset({1})
NONNEGATIVE: Signs = frozenset({0, 1})
_ODD_INCREASING = (sp.sinh, sp.tanh, sp.erf, sp.sign, gelu)
_EVERYWHERE_POSITIVE = (sp.exp, sp.cosh, sigmoid, softmax, Phi, softplus)


def constant_value(constant: sp.Expr) -> sp.Expr | None:
    """A Float of about 15 right digits, the exact Rational, or None where evaluation does not decide.

    >>> constant_value(sp.sqrt(2) + sp.sqrt(3) - sp.sqrt(5 + 2 * sp.sqrt(6))) is None
    True
    """
    if constant.is_Rational:
        return constant
    value = constant.evalf(15, maxn=60)
    # SymPy marks a value without a single right digit by a precision of one bit; our own nodes know no such mark.
    undecided = not value.is_Float or value._prec == 1
    if undecided or (constant.has(RealFunction) and abs(value) < sp.Rational(1, 10**6)):
        return None
    return value


def signs(expression: sp.Expr, ranges: Ranges) -> Signs:
    """The signs an expression may take, its tokens and parameters real, its bound indices in `ranges`.

    >>> from sie_sym.functions import token
    >>> sorted(signs(1 + token(1) ** 2, {})), sorted(signs(token(1), {}))
    ([1], [-1, 0, 1])
    """
    if expression.is_Rational:
        return frozenset({int(expression.p > 0) - int(expression.p < 0)})
    possible = _structural_signs(expression, ranges)
    if len(possible) > 1 and not expression.free_symbols and not expression.has(sp.Sum, sp.Product):
        value = constant_value(expression)
        if value is not None:
            return frozenset({int(bool(value > 0)) - int(bool(value < 0))})
    return possible


def _structural_signs(expression: sp.Expr, ranges: Ranges) -> Signs:
    arguments = expression.args
    if isinstance(expression, sp.Symbol):
        span = ranges.get(expression)
        return ANY if span is None else integer_signs(span[0], span[-1])
    if isinstance(expression, _EVERYWHERE_POSITIVE):
        return POSITIVE
    if isinstance(expression, (sp.Add, sp.Mul)):
        combine = _sum if isinstance(expression, sp.Add) else _product
        possible = signs(arguments[0], ranges)
        for argument in arguments[1:]:
            possible = combine(possible, signs(argument, ranges))
        return possible
    if isinstance(expression, sp.Pow):
        return _power(expression, ranges)
    if isinstance(expression, (sp.Sum, sp.Product)):
        inner = {**ranges, **{i: range(int(low), int(high) + 1) for i, low, high in expression.limits}}
        possible = signs(expression.function, inner)
        combine = _sum if isinstance(expression, sp.Sum) else _product
        return possible | combine(possible, possible)
    if isinstance(expression, (sp.Max, sp.Min)):
        choose = max if isinstance(expression, sp.Max) else min
        return frozenset(map(choose, product(*(signs(argument, ranges) for argument in arguments))))
    if isinstance(expression, sp.log):
        return signs(arguments[0] - 1, ranges)
    if isinstance(expression, He):
        value = None if expression.free_symbols else _polynomial_value(expression)
        if value is not None:
            return frozenset({int(value > 0) - int(value < 0)})
        return POSITIVE if arguments[0] == 0 else ANY
    if isinstance(expression, (sp.Abs, relu, sp.Heaviside, *_ODD_INCREASING)):
        inside = signs(arguments[0], ranges)
        if isinstance(expression, sp.Abs):
            return frozenset(map(abs, inside))
        if isinstance(expression, relu):
            return frozenset(max(sign, 0) for sign in inside)
        if isinstance(expression, sp.Heaviside):
            return frozenset(int(sign >= 0) for sign in inside)
        return inside
    return ANY


def integer_signs(low: int, high: int) -> Signs:
    """The signs of the integers from low to high."""
    return frozenset(sign for sign, met in ((-1, low < 0), (0, low <= 0 <= high), (1, high > 0)) if met)


def _sum(left: Signs, right: Signs) -> Signs:
    """Opposite signs may cancel; otherwise the non-zero sign wins."""
    possible: set[int] = set()
    for a, b in product(left, right):
        possible |= ANY if a * b < 0 else {a or b}
    return frozenset(possible)


def _product(left: Signs, right: Signs) -> Signs:
    return frozenset(a * b for a, b in product(left, right))


def _power(power: sp.Pow, ranges: Ranges) -> Signs:
    base, exponent = signs(power.base, ranges), power.exp
    if exponent.is_Integer:
        even = exponent % 2 == 0
        return frozenset(sign**2 if even else sign for sign in base if sign or exponent > 0)
    if base == POSITIVE:
        return POSITIVE
    # A root of a negative number has been refused before; 0 ** (non-integer constant) is 0.
    return NONNEGATIVE if base <= NONNEGATIVE and not exponent.free_symbols else ANY


def nonzero_almost_everywhere(expression: sp.Expr, ranges: Ranges) -> bool:
    """True only if the zeros are proved to have measure zero (for generic parameters).

    A polynomial that does not vanish at one point vanishes on a null set only.

    >>> from sie_sym.functions import relu, token
    >>> nonzero_almost_everywhere(abs(token(1)), {}), nonzero_almost_everywhere(relu(token(1)), {})
    (True, False)
    """
    possible = signs(expression, ranges)
    if 0 not in possible:
        return True
    if isinstance(expression, (sp.Mul, sp.Abs)):
        return all(nonzero_almost_everywhere(argument, ranges) for argument in expression.args)
    if isinstance(expression, sp.Pow) and not expression.exp.free_symbols:
        return nonzero_almost_everywhere(expression.base, ranges)
    if isinstance(expression, sp.Add) and possible == NONNEGATIVE:
        signed = all(signs(term, ranges) <= NONNEGATIVE for term in expression.args)
        return signed and any(nonzero_almost_everywhere(term, ranges) for term in expression.args)
    return bool(_polynomial_value(expression))


def _polynomial_value(expression: sp.Expr) -> Fraction | None:
    """A polynomial's value at one fixed rational point; None for anything else."""
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    if isinstance(expression, sp.Symbol) and not expression.is_integer:
        # Any point does, as long as different names mostly get different coordinates.
        return Fraction(crc32(expression.name.encode()) % 9973 + 1, 7)
    if isinstance(expression, sp.Pow):
        base = _polynomial_value(expression.base)
        if base is None or not (expression.exp.is_Integer and expression.exp > 0):
            return None
        return base ** int(expression.exp)
    if isinstance(expression, (sp.Add, sp.Mul)):
        values = [_polynomial_value(argument) for argument in expression.args]
        total = Fraction(int(isinstance(expression, sp.Mul)))
        for value in values:
            if value is None:
                return None
            total = total * value if isinstance(expression, sp.Mul) else total + value
        return total
    if isinstance(expression, He) and expression.args[0].is_Integer:
        point = _polynomial_value(expression.args[1])
        if point is None:
            return None
        previous, current = Fraction(0), Fraction(1)
        for n in range(int(expression.args[0])):
            previous, current = current, point * current - n * previous
        return current
    return None
