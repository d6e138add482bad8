r"""The targets of arXiv:2506.02651 and of its code by name: `@NAME` where a formula is asked for.

A target is a formula text in the grammar of `parse`, in which `L` stands for the number of tokens, or, where the
formula is a softmax over L tokens, a constructor.  The number of tokens defaults to that of the paper's experiment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.functions import softmax, token
from sie_sym.model import attention_matrix
from sie_sym.parse import parse_formula
from sie_sym.target import Target

Formula: TypeAlias = sp.Expr | sp.MatrixBase


@dataclass(frozen=True)
class NamedTarget:
    """One target of the paper.

    `formula` is a text in z1..zL in which `L` is the number of tokens (display only if `build` makes the target);
    `least` is the smallest number of tokens, `tokens` the default, and `fixed` says that no other is possible.
    """

    name: str
    formula: str
    source: str
    description: str
    tokens: int = 2
    least: int = 1
    fixed: bool = False
    build: Callable[[int], Formula] | None = None

    def expression(self, tokens: int) -> Formula:
        """The target on `tokens` tokens, as SymPy.  Raises `FormulaError` if that number does not fit."""
        if tokens < self.least or (self.fixed and tokens != self.tokens):
            wanted = f"exactly {self.tokens}" if self.fixed else f"{self.least} or more"
            raise FormulaError(f"@{self.name} has {wanted} tokens, not {tokens}: pass --tokens {self.tokens}")
        if self.build is not None:
            return self.build(tokens)
        return parse_formula(re.sub(r"\bL\b", str(tokens), self.formula))


def softmax_rows(scores: sp.MatrixBase) -> sp.ImmutableDenseMatrix:
    """The softmax of every row of a matrix of scores.

    >>> softmax_rows(sp.Matrix([[token(1), 0]]))
    Matrix([[sigmoid(z1), sigmoid(-z1)]])
    """
    rows, columns = scores.shape
    return sp.ImmutableDenseMatrix(
        rows, columns, lambda i, j: softmax(sp.Integer(j + 1), *(scores[i, k] for k in range(columns)))
    )


def _positional_semantic(_: int) -> sp.Matrix:
    omega, a = sp.Symbol("omega", real=True), sp.Symbol("a", real=True)
    positional = softmax_rows(a**2 * sp.Matrix([[1, -1], [-1, 1]]))
    return (1 - omega) * attention_matrix(2) + omega * positional


def _aligned(_: int) -> sp.Matrix:
    omega = sp.Symbol("omega", real=True)
    v = sp.Matrix([token(1) + omega, token(2) - omega])
    return softmax_rows(v * v.T)


_NAMED = (
    NamedTarget("sum", "sum(l, 1, L, z[l])", "Def. 2; Fig. 6", "the sum of the tokens, SIE 1"),
    NamedTarget("mean", "sum(l, 1, L, z[l])/sqrt(L)", "Figs. 8, 9", "the normalised sum, SIE 1"),
    NamedTarget("product", "z1*z2", "Def. 2", "two tokens multiplied, SIE 2", least=2),
    NamedTarget(
        "hermite-pairs", "He(1,z1)*He(4,z2) + He(2,z3)*He(2,z4)", "Def. 2", "SIE 4, not 5", tokens=4, least=4
    ),
    NamedTarget(
        "hermite-product", "He(1,z1)*He(2,z2)*He(3,z3)", "Def. 2", "a product of He_k, SIE sum k = 6", tokens=3, least=3
    ),
    NamedTarget("he2", "sum(l, 1, L, He(2, z[l]))", "Fig. 1", "He_2 of every token, SIE 2"),
    NamedTarget("he3", "sum(l, 1, L, He(3, z[l]))", "Fig. 6", "He_3 of every token, SIE 3"),
    NamedTarget("he4", "sum(l, 1, L, He(4, z[l]))", "Fig. 1", "He_4 of every token, SIE 4"),
    NamedTarget("fig2", "4/3 + He(4,z1) + 2*He(4,z2)", "Fig. 2", "unequal He_4 with a mean, SIE 4", least=2),
    NamedTarget(
        "he2-normalized", "sum(l, 1, L, He(2, z[l]))/sqrt(2)", "Figs. 3, 7, 10", "He_2 of every token / sqrt 2, SIE 2"
    ),
    NamedTarget("difference", "z1 - z2", "Fig. 11; App. E.4", "SIE 1, invisible to tied models", least=2),
    NamedTarget(
        "square-difference", "(z1^2 - z2^2)/sqrt(2)", "Fig. 11; App. E.4", "SIE 2, invisible to tied models", least=2
    ),
    NamedTarget("staircase-2", "z1 + z1*z2", "staircases", "a chain of orders 1, 2; SIE 1", least=2),
    NamedTarget(
        "staircase-3", "z1 + z1*z2 + z1*z2*z3", "staircases", "a chain of orders 1, 2, 3; SIE 1", tokens=3, least=3
    ),
    NamedTarget(
        "staircase", "z1*prod(l, 2, L, 1 + z[l])", "staircases", "all chains on z1, SIE 1", tokens=3, least=2
    ),
    NamedTarget("sign-product", "sign(z1*z2*z3)", "official code", "no polynomial, SIE 3", tokens=3, least=3),
    NamedTarget(
        "attention", "softmax_rows(z z^T)", "eq. (1); App. A", "the attention matrix, tied keys and queries",
        build=attention_matrix,
    ),
    NamedTarget(
        "attention-trace", "trace softmax_rows(z z^T)", "eq. (1); Figs. 1, 2, 6", "the trace of the attention matrix",
        build=lambda tokens: attention_matrix(tokens).trace(),
    ),
    NamedTarget(
        "positional-semantic",
        "(1 - omega) softmax_rows(z z^T) + omega softmax_rows([[a^2, -a^2], [-a^2, a^2]])",
        "section 4; App. F; Figs. 4, 5, 12, 13",
        "a mixture of semantic and positional attention; parameters omega and a",
        fixed=True,
        build=_positional_semantic,
    ),
    NamedTarget(
        "positional-semantic-smooth",
        "softmax_rows(v v^T), v = (z1 + omega, z2 - omega)",
        "App. F.3",
        "the alternative without transition; parameter omega",
        fixed=True,
        build=_aligned,
    ),
)  # fmt: skip


def named_targets() -> tuple[NamedTarget, ...]:
    """All named targets, in the order of the paper."""
    return _NAMED


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choices that a mistyped word may have meant, else all of them, as a text."""
    known = list(choices)
    return ", ".join(difflib.get_close_matches(word, known, n=3, cutoff=0.5) or known)


def named_target(name: str, tokens: int | None = None) -> Target:
    """The target called `name` (a leading @ is ignored) on `tokens` tokens (default: the paper's).

    Raises `FormulaError` for an unknown name, with the nearest ones, and for a number of tokens that does not fit.

    >>> named_target("@product").components
    (z1*z2,)
    """
    wanted = name.strip().removeprefix("@")
    found = next((entry for entry in _NAMED if entry.name == wanted), None)
    if found is None:
        close = nearest(wanted, (entry.name for entry in _NAMED))
        raise FormulaError(f"unknown target @{wanted[:60]}: did you mean {close}? (sie-sym targets lists all)")
    count = found.tokens if tokens is None else tokens
    return Target.of(found.expression(count), count, f"@{found.name}")


__all__ = ["NamedTarget", "named_target", "named_targets", "nearest", "softmax_rows"]
