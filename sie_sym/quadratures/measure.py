"""The float value of a constant expression with its error: enclosed where ball arithmetic reaches, else numerical.

`GaussianExpectation` nodes of one and two tokens are enclosed; with more they are integrated on two or more grids
(`spectral`), whose difference is the error estimate, from 6 tokens on at scrambled Sobol points, with a confidence
interval (`sampled_coefficients`).  Nodes that differ by the names of their tokens are integrated once.
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

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.functions import He
from sie_sym.gaussian import ENCLOSED_TOKENS, GaussianExpectation, evidence_of
from sie_sym.integrals.balls import evaluate, working_precision
from sie_sym.integrals.enclosure import enclose
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.quadrature import DEFAULT_NODES, Array, NumericFunction
from sie_sym.quadratures.sampled_coefficients import indices_of_degree, sampled_coefficients
from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, confidence
from sie_sym.quadratures.shifted_expectation import shifted_expectation
from sie_sym.quadratures.spectral import SpectralExpansion, hermite_coefficients
from sie_sym.quadratures.token_orbits import Coordinate, representative

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


@lru_cache(maxsize=4096)
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
        return Measured(value, min(float(grids.rad()), _joint_error(expression)), evidence)
    # The proof is a coarse ball (seconds buy digits there), the digits come from the grids, and each checks the other.
    proof = enclose(expression, ENCLOSED_BITS)
    if not proof.overlaps(grids):
        raise SieSymError(f"two computations of {expression} disagree: {proof} and {grids}; please report this")
    return Measured(value, float((abs(proof - value)).upper()), evidence)


def _ball(expression: sp.Expr, node_value: Callable[[GaussianExpectation], arb]) -> arb:
    nodes = sorted(expression.atoms(GaussianExpectation), key=str)
    values = {sp.Dummy(real=True): node_value(node) for node in nodes}
    named = dict(zip(nodes, values, strict=True))
    with working_precision(2 * _BITS):
        return evaluate(expression.xreplace(named), {name: acb(ball) for name, ball in values.items()}).real


def _joint_error(expression: sp.Expr) -> float:
    """The error of a linear combination of nodes sampled at the same points, which partly cancel; else infinite."""
    names = {node: sp.Dummy(real=True) for node in sorted(expression.atoms(GaussianExpectation), key=str)}
    combination = expression.xreplace(names)
    together, apart = np.zeros(SCRAMBLINGS), 0.0
    for node, name in names.items():
        slope = combination.diff(name)
        if slope.free_symbols:
            return math.inf
        _, error, samples = _value(*representative(node.integrand, node.coordinates))
        if samples is None:
            apart += abs(float(slope)) * error
        else:
            together += float(slope) * samples
    return float(confidence(together)) + apart + 2.0**-_BITS * float(np.abs(together).max())


def _grid_value(node: GaussianExpectation) -> arb:
    """The value of a node on grids or, with many tokens, at random points, with their error estimate."""
    value, error, _ = _value(*representative(node.integrand, node.coordinates))
    if len(node.tokens) <= ENCLOSED_TOKENS and error > 1e-8 * max(1.0, abs(value)):
        return enclose(node, _BITS)  # kinks: grids converge slowly there
    return arb(value, error)


@lru_cache(maxsize=4096)
def _value(h: sp.Expr, coordinates: tuple[Coordinate, ...]) -> tuple[float, float, Array | None]:
    """A value, its error, and with many tokens its samples, one for each scrambling."""
    tokens = [symbol for symbol, _, _ in coordinates]
    alpha = tuple(weight for _, _, weight in coordinates)
    plain = tuple((s, mean, 0) for s, mean, _ in coordinates)
    if len(tokens) > max(DEFAULT_NODES):
        samples = _samples(h, plain, sum(alpha))[alpha]
        return float(samples.mean()), float(confidence(samples)), samples
    if len(tokens) > ENCLOSED_TOKENS:
        table = _table(h, plain, sum(alpha))
        scale = math.sqrt(math.prod(map(math.factorial, alpha)))
        return float(table.coefficient(alpha)[0]), scale * float(table.errors[-1]), None
    weight = sp.Mul(*(He(w, s) for s, w in zip(tokens, alpha, strict=True) if w))
    there = shifted_expectation(_function(h, plain, weight), np.zeros((1, len(tokens))))
    return float(there.values[0, 0]), there.error, None


def _function(h: sp.Expr, coordinates: tuple[Coordinate, ...], weight: sp.Expr = sp.Integer(1)) -> NumericFunction:
    """h(z + t) times a weight of z."""
    shifted = h.xreplace({s: s + mean for s, mean, _ in coordinates})
    return numeric_function([s for s, _, _ in coordinates], [shifted * weight])


@lru_cache(maxsize=64)
def _table(h: sp.Expr, coordinates: tuple[Coordinate, ...], degree: int) -> SpectralExpansion:
    """The coefficients up to a degree, whose grid is wide enough for them."""
    return hermite_coefficients(_function(h, coordinates), len(coordinates), degree)


@lru_cache(maxsize=64)
def _samples(h: sp.Expr, coordinates: tuple[Coordinate, ...], degree: int) -> dict[tuple[int, ...], Array]:
    """The samples of all C_alpha of a degree, each the mean over the exchangeable tokens, for a representative h."""
    alphas = indices_of_degree(len(coordinates), degree)
    coefficients = sampled_coefficients(_function(h, coordinates), alphas).coefficients[:, 0]
    orbits: dict[tuple[int, ...], list[Array]] = {}
    for alpha, samples in zip(alphas.tolist(), coefficients.T, strict=True):
        scale = math.sqrt(math.prod(map(math.factorial, alpha)))
        plain = [(s, mean, n) for (s, mean, _), n in zip(coordinates, alpha, strict=True)]
        orbits.setdefault(tuple(n for _, _, n in representative(h, plain)[1]), []).append(scale * samples)
    return {alpha: np.mean(samples, axis=0) for alpha, samples in orbits.items()}
