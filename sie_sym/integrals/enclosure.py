r"""Rigorous values of constant expressions, and what they decide: is it zero, and which sign has it.

`True` and `False` are proofs: zero by exact algebra (`vanishing`), non-zero by a ball that excludes 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import sympy as sp
from flint import acb, arb

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.integrals.balls import BallFunction, compile_ball, evaluate, working_precision
from sie_sym.integrals.vanishing import vanishes_identically

DECISION_PRECISIONS = (32, 64, 256, 1024)
"""Bits tried in turn until a ball excludes 0."""

_GUARD_BITS = 16


def enclose(expression: sp.Expr, precision: int = 128) -> arb:
    r"""A real ball that contains the value of a real constant, computed with at least `precision` bits.

    Its width may be larger than 2^-precision: cancellation costs bits.  Raises `NoClosedForm` when symbols are left
    or a function has no ball arithmetic, `DomainError` when the value is not real, or not finite as far as eight
    times the precision can tell.

    >>> enclose(3 * sp.Rational(1, 3) + sp.pi) > enclose(sp.Rational(414, 100))
    True
    """
    expression = sp.sympify(expression, strict=True)
    for bits in (precision, 2 * precision, 4 * precision, 8 * precision):
        with working_precision(bits + _GUARD_BITS):
            ball = evaluate(expression, {})
        if ball.is_finite():
            break
    else:
        raise DomainError(
            f"{expression} has no finite enclosure at {8 * precision} bits: a pole, or it needs more precision"
        )
    if not ball.imag.contains(0):
        raise DomainError(f"{expression} is not real: only real constants have a real enclosure")
    return ball.real


def _excludes_zero(ball: acb) -> bool:
    return ball.is_finite() and not ball.contains(acb(0))


def decide_zero(expression: sp.Expr) -> bool | None:
    r"""True: proved to be zero.  False: proved not to be.  None: neither.

    Zero is proved by exact algebra, non-zero by a ball excluding 0 at 32, 64, 256 or 1024 bits.  With free symbols
    (real parameters) the question is whether the expression is zero identically, and non-zero is proved at one rational
    point that respects the symbols' assumptions: it may still vanish at others.

    >>> decide_zero(sp.sqrt(6) - sp.sqrt(2) * sp.sqrt(3)), decide_zero(sp.pi - sp.Rational(355, 113))
    (True, False)
    """
    expression = sp.sympify(expression, strict=True)
    if expression.is_Rational:
        return bool(expression.p == 0)
    symbols = sorted(expression.free_symbols, key=str)
    try:
        if not symbols:
            return _decide_constant(expression)
        return _decide_family(expression, symbols)
    except NoClosedForm:
        # No ball arithmetic for some node: the algebra may still cancel it.
        return True if vanishes_identically(expression) else None


def all_true(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether all verdicts are True, up to the first that is False; None if none is False and some are open.

    >>> all_true([True, None]), all_true([None, False]), all_true([])
    (None, False, True)
    """
    undecided = False
    for verdict in verdicts:
        if verdict is False:
            return False
        undecided = undecided or verdict is None
    return None if undecided else True


def all_zero(values: Iterable[sp.Expr]) -> bool | None:
    """Whether all values are zero, proved, up to the first that is not; None if it cannot be decided.

    >>> x = sp.Symbol("x", real=True)
    >>> all_zero([(x + 1) ** 2 - x**2 - 2 * x - 1]), all_zero([x])
    (True, False)
    """
    return all_true(map(decide_zero, values))


def _decide_constant(expression: sp.Expr) -> bool | None:
    for precision in DECISION_PRECISIONS:
        with working_precision(precision):
            if _excludes_zero(evaluate(expression, {})):
                return False
        if precision == DECISION_PRECISIONS[0] and vanishes_identically(expression):
            return True
    return None


_POINTS = tuple(sp.Rational(p, q) for p, q in ((2, 7), (3, 11), (5, 13), (4, 17), (7, 19), (8, 23)))


def _sample(symbol: sp.Symbol, rank: int, attempt: int) -> sp.Rational:
    """A rational value of a real parameter: inside (-1, 1) at first, where the overlaps live, then outside."""
    value = _POINTS[(rank + attempt) % len(_POINTS)] + (attempt // 2) * (rank + 1)
    if symbol.is_integer:
        value = sp.Integer(rank + attempt + 1)
    return -value if symbol.is_negative or (attempt % 2 and not symbol.is_nonnegative) else value


def _decide_family(expression: sp.Expr, symbols: list[sp.Symbol]) -> bool | None:
    program: BallFunction | None = None
    for attempt, precision in itertools.product(range(4), DECISION_PRECISIONS[:-1]):
        with working_precision(precision):
            values = [evaluate(_sample(symbol, rank, attempt), {}) for rank, symbol in enumerate(symbols)]
            program = compile_ball(expression, symbols)
            ball = program(values, False)
            if _excludes_zero(ball) and ball.imag.contains(0):
                return False
        if attempt == 0 and precision == DECISION_PRECISIONS[0] and vanishes_identically(expression):
            return True
    return None


def decide_sign(expression: sp.Expr) -> int | None:
    """The proved sign (-1, 0, 1) of a real constant, None when undecided.

    Raises `NoClosedForm` when symbols are left and `DomainError` when the constant is not real.

    >>> decide_sign(sp.exp(sp.pi) - sp.pi**sp.E), decide_sign(sp.sqrt(2) * sp.sqrt(3) - sp.sqrt(6))
    (1, 0)
    """
    expression = sp.sympify(expression, strict=True)
    if expression.is_Rational:
        return int(expression.p > 0) - int(expression.p < 0)
    if expression.free_symbols:
        raise NoClosedForm(f"{expression} has free symbols: its sign is decided at given values only")
    for precision in DECISION_PRECISIONS:
        ball = enclose(expression, precision)
        if not ball.contains(0):
            return 1 if ball > 0 else -1
        if precision == DECISION_PRECISIONS[0] and vanishes_identically(expression):
            return 0
    return None


__all__ = ["DECISION_PRECISIONS", "all_true", "all_zero", "decide_sign", "decide_zero", "enclose"]
