"""Exact numbers as texts; those without an elementary form by their digits, where nobody wants to read an integral."""

from __future__ import annotations

import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import GaussianExpectation
from sie_sym.measure import measure

SHOWN_DIGITS = 12
_GRID_ROUNDING = 1e-13


def shown(expression: sp.Expr) -> str:
    """The number as it is, or to the digits that are known (at most 12) if it keeps Gaussian integrals.

    Free symbols, and integrals that no grid reaches, stay as they are.

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
    # The digits of a proved value are those of grids that agree with the proof, right up to their rounding.
    if measured.sign is not None and measured.evidence is Evidence.ENCLOSED:
        return decimal(measured.value, min(measured.error, _GRID_ROUNDING))
    return decimal(measured.value, measured.error)


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
    """How many leading digits of a value an error leaves, between 1 and 12.

    >>> known_digits(2.5, 1e-4), known_digits(2.5, 0.0)
    (5, 12)
    """
    if error == 0 or abs(value) >= error * 10.0**SHOWN_DIGITS:
        return SHOWN_DIGITS
    return max(1, len(str(int(abs(value) / error))))


__all__ = ["decimal", "known_digits", "shown"]
