"""Exact numbers as texts; those without an elementary form by their digits, where nobody wants to read an integral."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Context, Decimal

import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import GaussianExpectation
from sie_sym.quadratures.measure import measure

SHOWN_DIGITS = 12
_FEWEST = 7
_TEN = 1e-12
_GRID_ROUNDING = 1e-13


def shown(expression: sp.Expr) -> str:
    """The number as it is, or to the digits that are known (at most 12) if it keeps Gaussian integrals.

    With fewer than seven known digits, as of samples or after a cancellation, it is shown with its error.  Free
    symbols, and integrals that no grid reaches, stay as they are.

    >>> shown(sp.sqrt(2))
    'sqrt(2)'
    >>> shown(2 * GaussianExpectation(sp.tanh(sp.Symbol("z1", real=True)) ** 2))
    '0.788588980796'
    """
    expression = sp.sympify(expression, strict=True)
    if expression.free_symbols or not expression.has(GaussianExpectation):
        return str(expression)
    try:
        measured = measure(expression)
    except SieSymError:
        return str(expression)
    value, error = measured.value, measured.error
    # The digits of a proved value are those of grids that agree with the proof, right up to their rounding.
    if measured.sign is not None and measured.evidence is Evidence.ENCLOSED:
        error = min(error, _GRID_ROUNDING)
    few = abs(value) > error and known_digits(value, error) < _FEWEST
    return plus_minus(value, error) if few else decimal(value, error)


def decimal(value: float, error: float) -> str:
    """A float to the digits that its error leaves; 0 if it is within the error.

    >>> decimal(-0.295329226, 1e-7), decimal(0.0, 1e-9), decimal(0.0, 0.0)
    ('-0.2953292', '0 +- 1.0e-09', '0')
    """
    if value == 0 and error == 0:
        return "0"
    if abs(value) <= error:
        return f"0 +- {error:.1e}"
    # Trailing zeros are digits too.
    return f"{value:#.{known_digits(value, error)}g}"


def known_digits(value: float, error: float) -> int:
    """How many leading digits of a value an error leaves, between 1 and 12: the last is right up to one unit.

    >>> known_digits(2.5, 1e-4), known_digits(0.6, 2e-8), known_digits(2.5, 0.0)
    (5, 7, 12)
    """
    if error == 0 or abs(value) >= error * 10.0**SHOWN_DIGITS:
        return SHOWN_DIGITS
    return max(1, math.floor(math.log10(abs(value))) + 1 - math.ceil(math.log10(error)))


def with_error(value: float, error: float) -> str:
    """A float known up to an error: to ten digits if they are all known, else value +- error.

    >>> with_error(0.60570552785, 1.83e-8), with_error(0.25, 1e-17)
    ('0.605705528 +- 1.9e-08', '0.25')
    """
    return plus_minus(value, error) if error > _TEN * abs(value) else f"{value:.10g}"


def plus_minus(value: float, error: float) -> str:
    """value +- error, the error to two digits, rounded up so as to cover the rounding of the value.

    >>> plus_minus(2.04e-13, 1e-13), plus_minus(1e-9, 2e-8), plus_minus(5.5465, 0.1512)
    ('2.0e-13 +- 1.1e-13', '0 +- 2.2e-08', '5.55 +- 0.16')
    """
    if not (math.isfinite(value) and math.isfinite(error)):
        return f"{value} +- {error}"
    error = max(error, math.ulp(value))
    unit = Decimal(1).scaleb(Decimal(error).adjusted() - 1)
    centre = Decimal(0) if abs(value) <= error else Decimal(value).quantize(unit)
    away = Context(prec=28, rounding=ROUND_UP)
    radius = away.add(Decimal(error), abs(away.subtract(Decimal(value), centre)))
    return f"{centre:g} +- {float(Context(prec=2, rounding=ROUND_UP).plus(radius)):.2g}"


def outwards(lower: float, upper: float) -> tuple[str, str]:
    """The ends of an interval to ten digits, rounded so that it is not made smaller.

    >>> outwards(12.489567345, 12.489567346), outwards(2.0, float("inf"))
    (('12.48956734', '12.48956735'), ('2', 'inf'))
    """
    ends = ((lower, ROUND_FLOOR), (upper, ROUND_CEILING))
    low, high = (float(Context(prec=10, rounding=rounding).create_decimal(end)) for end, rounding in ends)
    return f"{low:.10g}", f"{high:.10g}"


__all__ = ["decimal", "known_digits", "outwards", "plus_minus", "shown", "with_error"]
