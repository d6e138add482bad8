"""Gaussian expectations in plain text: E[tanh(Z1 + eps)*He(2, Z1)], as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

import sympy as sp
from sympy.printing.str import StrPrinter

from sie_sym.functions import He, token_index
from sie_sym.gaussian import GaussianExpectation

EXPLANATION = "E[..] is the mean over independent standard normals Z1, Z2, .."


class _PlainPrinter(StrPrinter):
    """SymPy's printer, for which an expectation is the mean of a function of named normals."""

    def _print_GaussianExpectation(self, node: GaussianExpectation) -> str:
        # the tokens of a node are bound, those of its means are not
        normals = {s: sp.Symbol(f"Z{token_index(s)}", real=True) for s in node.tokens}
        body = node.integrand.xreplace({s: normals[s] + mean for s, mean, _ in node.coordinates})
        weights = (He(weight, normals[s]) if weight > 1 else normals[s] for s, _, weight in node.coordinates if weight)
        return f"E[{self._print(sp.Mul(*sp.Mul.make_args(body), *weights, evaluate=False))}]"


def plain(expression: sp.Expr) -> str:
    """An expression as plain text, its Gaussian expectations as E[..] over independent standard normals Z1, Z2, ...

    Python syntax otherwise; `str` keeps the exact nodes.

    >>> t, z1 = sp.Symbol("t", real=True), sp.Symbol("z1", real=True)
    >>> plain(2 * GaussianExpectation(sp.tanh(z1), {z1: t}, {1: 2}))
    '2*E[tanh(Z1 + t)*He(2, Z1)]'
    """
    text: str = _PlainPrinter().doprint(expression)
    return text


class PlainText:
    """Texts in which parts of some expressions occur as SymPy prints them, with the expectations written as by `plain`.

    Expressions of thousands of expectations are printed once, and only if a text has one.
    """

    def __init__(self, expressions: Iterable[sp.Basic]) -> None:
        self._expressions = tuple(expressions)

    @cached_property
    def _written(self) -> dict[str, str]:
        nodes = {node for expression in self._expressions for node in expression.atoms(GaussianExpectation)}
        return {str(node): plain(node) for node in nodes}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # the outer one of two nodes that begin alike is the longer
        return re.compile("|".join(re.escape(text) for text in sorted(self._written, key=len, reverse=True)))

    def __call__(self, text: str) -> str:
        """One of these texts."""
        if GaussianExpectation.__name__ not in text or not self._written:
            return text
        return self._pattern.sub(lambda found: self._written[found[0]], text)


__all__ = ["EXPLANATION", "PlainText", "plain"]
