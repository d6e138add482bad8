r"""The population loss at one point for any number of tokens, by randomised quasi-Monte Carlo.

R(m, e) = E |g(z*) - phi(m z* + sqrt(1 - m^2) h + e)|^2 is one Gaussian expectation in the 2L normals (z*, h), which
scrambled Sobol sequences average with a confidence interval; tables of Hermite coefficients end at a few tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import sympy as sp

from sie_sym.errors import DomainError
from sie_sym.functions import token
from sie_sym.model import Model
from sie_sym.numeric import numeric_function
from sie_sym.population_loss import require_compatible
from sie_sym.quadratures.quadrature import DEFAULT_NODES, Array
from sie_sym.quadratures.spectral import hermite_coefficients
from sie_sym.target import Target


def sampled_loss(target: Target, model: Model, at: Mapping[sp.Symbol, sp.Expr], seed: int = 0) -> tuple[float, float]:
    """(R, the half-width of its 99.9% confidence interval) at a point without free symbols; the norm is squared.

    Raises `FormulaError` where target and model do not fit, `DomainError` for |m| > 1 and for few tokens, which
    `tabulated_loss` serves to many more digits.

    >>> from sie_sym.functions import TOKENS
    >>> from sie_sym.model import linear_attention
    >>> l = sp.Symbol("l", integer=True)
    >>> model = linear_attention(6)
    >>> value, error = sampled_loss(Target.of(sp.Sum(TOKENS[l]**2, (l, 1, 6))), model, {model.semantic: sp.Integer(1)})
    >>> abs(value - 35) < error < 3    # the square of a chi^2 with 5 degrees of freedom: 10 + 5^2
    True
    """
    require_compatible(target, model)
    tokens = target.tokens
    if 2 * tokens <= max(DEFAULT_NODES):
        raise DomainError(f"{tokens} tokens: ask tabulated_loss, which knows many more digits")
    m = float(sp.sympify(at.get(model.semantic, 0), strict=True))
    if not abs(m) <= 1:
        raise DomainError(f"m = {m:g}: an overlap lies in [-1, 1]")
    others = {s: at.get(s, sp.Integer(0)) for s in model.statistics}
    shift = np.array([[float(sp.sympify(e, strict=True).subs(others))] for e in model.shift])
    symbols = [token(l) for l in range(1, tokens + 1)]
    g, phi = (numeric_function(symbols, list(side.components)) for side in (target, model))

    def squares(normals: Array) -> Array:
        goals, rest = normals[:tokens], normals[tokens:]
        difference = g(goals) - phi(m * goals + math.sqrt(1 - m * m) * rest + shift)
        return np.asarray(np.sum(difference**2, axis=0, keepdims=True))

    found = hermite_coefficients(squares, 2 * tokens, 0, seed=seed)
    return float(found.coefficients.ravel()[0]), found.error


__all__ = ["sampled_loss"]
