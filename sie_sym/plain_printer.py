"""Gaussian expectations in plain text: E[tanh(Z1 + eps)*He(2, Z1)], as people write them."""

from __future__ import annotations

from collections.abc import Iterable

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


def in_plain_text(text: str, expressions: Iterable[sp.Basic]) -> str:
    """A text in which parts of some expressions occur as SymPy prints them, its expectations written as by `plain`."""
    if GaussianExpectation.__name__ not in text:
        return text
    nodes = {node for expression in expressions for node in expression.atoms(GaussianExpectation)}
    for node in sorted(nodes, key=str, reverse=True):
        text = text.replace(str(node), plain(node))
    return text


__all__ = ["EXPLANATION", "in_plain_text", "plain"]
