r"""The target: a sequence single-index model y = g(X w*), g: R^L -> R^k (arXiv:2506.02651, Def. 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.functions import TOKENS, token_index
from sie_sym.linear_forms import index_values
from sie_sym.softmax_form import softmax_form


def tokens_of(expression: sp.Basic) -> frozenset[int]:
    """The indices of the tokens that an expression reads, those of its structured sums and products included.

    >>> from sie_sym.functions import token
    >>> sorted(tokens_of(token(1) * token(3)))
    [1, 3]
    """
    found: set[int] = set()
    pending: list[tuple[sp.Basic, tuple[tuple[sp.Symbol, range], ...]]] = [(expression, ())]
    while pending:
        node, scope = pending.pop()
        if isinstance(node, (sp.Sum, sp.Product)):
            for symbol, low, high in node.limits:
                scope = (*scope, (symbol, range(int(low), int(high) + 1)))
            pending.append((node.function, scope))
        elif isinstance(node, sp.Indexed) and node.base == TOKENS:
            (index,) = node.indices
            found |= _index_values(index, scope)
        elif (position := token_index(node)) is not None:
            found.add(position)
        else:
            pending.extend((argument, scope) for argument in node.args)
    return frozenset(found)


def _index_values(index: sp.Expr, scope: tuple[tuple[sp.Symbol, range], ...]) -> set[int]:
    values = {index}
    for symbol, span in scope:
        if index.has(symbol):
            values = {place for value in values for place in index_values(value, symbol, span)}
    return {int(value) for value in values}


def parameters_of(expressions: Iterable[sp.Basic]) -> tuple[sp.Symbol, ...]:
    """The real parameters (neither tokens nor bound indices) of some expressions, by name."""
    free = {s for e in expressions for s in e.free_symbols if isinstance(s, sp.Symbol)}
    return tuple(sorted((s for s in free if token_index(s) is None and s != TOKENS.label), key=str))


@dataclass(frozen=True)
class Target:
    r"""A link g: R^L -> R^k, read at z* = X w* whose entries are independent standard normals.

    `components` are its k scalar outputs (row-major for a matrix of the given `shape`; `()` for a scalar), SymPy
    expressions in z1..zL and real parameters; sums and products over tokens stay `sympy.Sum`/`sympy.Product`.

    >>> from sie_sym.functions import token
    >>> Target.of(token(1) * token(2)).tokens
    2
    """

    components: tuple[sp.Expr, ...]
    tokens: int
    shape: tuple[int, ...] = ()
    name: str | None = None

    @classmethod
    def of(cls, formula: sp.Expr | sp.MatrixBase, tokens: int | None = None, name: str | None = None) -> Target:
        """The target of a SymPy expression or matrix; `tokens` defaults to the largest token that occurs.

        Ratios of exponentials are written as softmax (`softmax_form`).
        Raises `FormulaError` when the formula reads a token beyond `tokens`.
        """
        if isinstance(formula, sp.MatrixBase):
            components = tuple(softmax_form(sp.sympify(entry, strict=True)) for entry in formula)
            shape: tuple[int, ...] = (formula.rows, formula.cols) if formula.cols > 1 else (formula.rows,)
        else:
            components, shape = (softmax_form(sp.sympify(formula, strict=True)),), ()
        largest = max((max(tokens_of(c), default=0) for c in components), default=0)
        if tokens is None:
            tokens = max(largest, 1)
        elif tokens < max(largest, 1):
            raise FormulaError(
                f"the target reads token z{largest} but the sequence has {tokens} tokens: "
                f"pass --tokens {max(largest, 1)} or more"
            )
        return cls(components, tokens, shape, name)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The real parameters, by name."""
        return parameters_of(self.components)

    def substitute(self, values: Mapping[sp.Symbol, sp.Expr]) -> Target:
        """The target with parameters replaced by values."""
        return Target(tuple(c.subs(values) for c in self.components), self.tokens, self.shape, self.name)
