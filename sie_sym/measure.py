"""The float value of a constant expression with its error: enclosed where ball arithmetic reaches, else numerical.

`GaussianExpectation` nodes of one and two tokens are enclosed; with more they are integrated on two or more grids
(`spectral`), whose difference is the error estimate.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from flint import acb, arb

from sie_sym.balls import evaluate, working_precision
from sie_sym.enclosure import decide_zero, enclose
from sie_sym.errors import DomainError, FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.functions import He
from sie_sym.gaussian import ENCLOSED_TOKENS, GaussianExpectation, evidence_of
from sie_sym.numeric import numeric_function
from sie_sym.spectral import shifted_expectation

ENCLOSED_BITS = 32
"""Bits asked of an enclosure; a two-token integral takes half a second for them."""
_BITS = 53
_SMALLEST = math.nextafter(0.0, 1.0)


@dataclass(frozen=True)
class Measured:
    """A value, an absolute bound (`exact`, `enclosed`) or estimate (`numerical`) of its error, and which of these.

    An enclosed value has more right digits than its proved error says: they come from grids that agree with the proof.
    """

    value: float
    error: float
    evidence: Evidence

    @property
    def sign(self) -> int | None:
        """The sign, None if 0 lies within the error."""
        return int(np.sign(self.value)) if abs(self.value) > self.error else None


def measure(expression: sp.Expr) -> Measured:
    """The value of an expression without free symbols.

    A value that underflows is not 0: its error is at least the smallest positive float.  Raises `FormulaError` if
    symbols are left free.

    >>> measure(sp.sqrt(2)).evidence
    <Evidence.EXACT: 'exact'>
    """
    expression = sp.sympify(expression, strict=True)
    if expression.free_symbols:
        names = ", ".join(sorted(map(str, expression.free_symbols)))
        raise FormulaError(f"{names} left free where a number is needed: pass --param NAME=VALUE or a point")
    evidence = evidence_of([expression])
    if evidence is Evidence.EXACT:
        ball = enclose(expression, _BITS + 11)
        value = float(ball.mid())
        error = float(ball.rad()) + abs(value) * 2.0**-_BITS
        if not ball.is_zero() and abs(value) < sys.float_info.min:  # rounded to a multiple of the smallest float
            error += _SMALLEST
        return Measured(value, error, evidence)
    grids = _ball(expression, _grid_value)
    value = float(grids.mid())
    if evidence is Evidence.NUMERICAL:
        return Measured(value, float(grids.rad()), evidence)
    # The proof is a coarse ball (seconds buy digits there), the digits come from the grids, and each checks the other.
    proof = enclose(expression, ENCLOSED_BITS)
    if not proof.overlaps(grids):
        raise SieSymError(f"two computations of {expression} disagree: {proof} and {grids}; please report this")
    return Measured(value, float((abs(proof - value)).upper()), evidence)


def sign_of(expression: sp.Expr) -> tuple[int | None, Evidence]:
    """The sign of a constant with its evidence; None (`undecided`) where neither a proof nor the numbers tell.

    >>> sign_of(1 - sp.sqrt(2))
    (-1, <Evidence.EXACT: 'exact'>)
    """
    evidence = evidence_of([expression])
    if evidence is not Evidence.NUMERICAL and decide_zero(expression) is True:
        return 0, Evidence.EXACT
    try:
        measured = measure(expression)
    except DomainError:
        return None, Evidence.UNDECIDED
    return (measured.sign, evidence) if measured.sign is not None else (None, Evidence.UNDECIDED)


def _ball(expression: sp.Expr, node_value: Callable[[GaussianExpectation], arb]) -> arb:
    nodes = sorted(expression.atoms(GaussianExpectation), key=str)
    values = {sp.Dummy(real=True): node_value(node) for node in nodes}
    named = dict(zip(nodes, values, strict=True))
    with working_precision(2 * _BITS):
        return evaluate(expression.xreplace(named), {name: acb(ball) for name, ball in values.items()}).real


@lru_cache(maxsize=4096)
def _grid_value(node: GaussianExpectation) -> arb:
    """The value of a node on grids, with their error estimate."""
    weight = sp.Mul(*(He(w, s) for s, _, w in node.coordinates if w))
    shifted = node.integrand.xreplace({s: s + mean for s, mean, _ in node.coordinates})
    function = numeric_function(node.tokens, [shifted * weight])
    found = shifted_expectation(function, np.zeros((1, len(node.tokens))))
    if len(node.tokens) <= ENCLOSED_TOKENS and found.error > 1e-8 * max(1.0, abs(float(found.values[0, 0]))):
        return enclose(node, _BITS)  # kinks: grids converge slowly there
    return arb(float(found.values[0, 0]), found.error)
