r"""Symmetries of a function of the tokens, and the Hermite coefficients they prove to vanish (theory section 3).

If h(.., -z_l, ..) = s h for the tokens l of a set F, then C_alpha(h) = 0 unless (-1)^{sum_{l in F} alpha_l} = s.
If h changes sign when two tokens are exchanged, then every contraction of its tensors with 1^{(x) k} is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from sie_sym.functions import TOKENS, He, sigmoid, token, token_index
from sie_sym.hermite import MultiIndex
from sie_sym.target import tokens_of

_ODD = (sp.sin, sp.tan, sp.sinh, sp.tanh, sp.erf, sp.sign, sp.asin, sp.atan, sp.asinh)
_EVEN = (sp.cos, sp.cosh, sp.Abs)


def parity(expression: sp.Expr, flipped: frozenset[int] | None = None) -> int | None:
    """+1 or -1 if the function is even or odd under z_l -> -z_l for the given tokens (default: all), else None.

    Proved from the structure of the expression; None claims nothing.

    >>> parity(sp.tanh(token(1)) * token(2)**2), parity(sp.exp(token(1)))
    (-1, None)
    """
    position = token_index(expression)
    if position is not None:
        return -1 if flipped is None or position in flipped else 1
    if isinstance(expression, sp.Indexed) and expression.base == TOKENS:
        return -1 if flipped is None else None
    if not expression.args or not any(token_index(s) is not None or s == TOKENS.label for s in expression.free_symbols):
        return 1
    if isinstance(expression, sp.Add):
        parities = {parity(argument, flipped) for argument in expression.args}
        return parities.pop() if len(parities) == 1 else None
    if isinstance(expression, sp.Mul):
        return _product([parity(argument, flipped) for argument in expression.args])
    if isinstance(expression, sp.Sum):
        return parity(expression.function, flipped)
    if isinstance(expression, sp.Product):
        one = parity(expression.function, flipped)
        (_, low, high), *outer = expression.limits
        return one if one != -1 else (None if outer else (-1) ** (int(high) - int(low) + 1))
    inner = [parity(argument, flipped) for argument in expression.args]
    if all(p == 1 for p in inner):
        return 1
    if isinstance(expression, sp.Pow) and expression.exp.is_Integer and inner[0] == -1:
        return 1 if int(expression.exp) % 2 == 0 else -1
    if isinstance(expression, He) and expression.args[0].is_Integer and inner[1] == -1:
        return (-1) ** int(expression.args[0])
    if len(inner) == 1 and inner[0] == -1:
        if isinstance(expression, _ODD):
            return -1
        if isinstance(expression, _EVEN):
            return 1
    return None


def _product(parities: list[int | None]) -> int | None:
    total = 1
    for p in parities:
        if p is None:
            return None
        total *= p
    return total


@dataclass(frozen=True)
class Symmetries:
    """The sign symmetries of a function: overall parity and parity in each token, None where there is none."""

    overall: int | None
    single: dict[int, int]

    @classmethod
    def of(cls, expression: sp.Expr) -> Symmetries:
        """Find them.  A part sigmoid(x) = 1/2 + tanh(x/2)/2 is read as such; an additive constant counts as even."""
        centred = expression.replace(sigmoid, lambda x: sp.Rational(1, 2) + sp.tanh(x / 2) / 2)
        tokens = tokens_of(expression)
        constant, rest = centred.as_independent(*(token(l) for l in tokens), as_Add=True)
        overall = parity(rest) if not centred.has(TOKENS) else parity(centred)
        if overall == -1 and constant != 0:
            overall = None  # odd orders only, but for the mean: kept out so that the statement stays about h
        single = {}
        if len(tokens) <= 12 and not centred.has(sp.Indexed):
            for l in sorted(tokens):
                p = parity(centred, frozenset([l]))
                if p is not None:
                    single[l] = p
        return cls(overall, single)

    def forbids(self, alpha: MultiIndex) -> str | None:
        """Why C_alpha is zero by symmetry, or None."""
        powers = dict(alpha)
        if self.overall is not None and (-1) ** sum(powers.values()) != self.overall:
            return f"the function is {'even' if self.overall == 1 else 'odd'} under z -> -z"
        for l, p in self.single.items():
            if (-1) ** powers.get(l, 0) != p:
                return f"the function is {'even' if p == 1 else 'odd'} in z{l}"
        return None

    def forbids_order(self, k: int) -> str | None:
        """Why the whole order-k tensor is zero by symmetry, or None."""
        if self.overall is not None and (-1) ** k != self.overall:
            return f"the function is {'even' if self.overall == 1 else 'odd'} under z -> -z"
        odd = [l for l, p in self.single.items() if p == -1]
        if k < len(odd):
            names = ", ".join(f"z{l}" for l in odd)
            return f"the function is odd in each of {names}"
        return None


def antisymmetric_pair(expression: sp.Expr, tokens: int) -> tuple[int, int] | None:
    """Two tokens whose exchange changes the sign of the function, or None if none is seen.

    >>> antisymmetric_pair(token(1)**2 - token(2)**2, 2)
    (1, 2)
    """
    present = sorted(l for l in tokens_of(expression) if l <= tokens)
    if len(present) > 12 or expression.has(sp.Indexed):
        return None
    for i, first in enumerate(present):
        for second in present[i + 1 :]:
            swap = {token(first): token(second), token(second): token(first)}
            if sp.expand(expression.xreplace(swap) + expression) == 0:
                return first, second
    return None
