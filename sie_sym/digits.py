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
    '0.788588980840'
    """
    expression = sp.sympify(expression, strict=True)
    if expression.free_symbols or not expression.has(GaussianExpectation):
        return str(expression)
    try:
        measured = measure(expression)
    except SieSymError:
        return str(expression)
    if measured.sign is None:
        return f"0 +- {measured.error:.1e}"
    # The digits of a proved value are those of grids that agree with the proof, right up to their rounding.
    error = min(measured.error, _GRID_ROUNDING) if measured.evidence is Evidence.ENCLOSED else measured.error
    # Fixed width: trailing zeros are digits too.  What the error leaves open is not shown.
    return f"{measured.value:#.{known_digits(measured.value, error)}g}"


def known_digits(value: float, error: float) -> int:
    """How many leading digits of a value an error leaves, between 1 and 12.

    >>> known_digits(2.5, 1e-4), known_digits(2.5, 0.0)
    (5, 12)
    """
    if error == 0 or abs(value) >= error * 10.0**SHOWN_DIGITS:
        return SHOWN_DIGITS
    return max(1, len(str(int(abs(value) / error))))


__all__ = ["known_digits", "shown"]
