r"""Symmetries of a function of the tokens, and the Hermite coefficients they prove to vanish (theory section 3).

If h(.., -z_l, ..) = s h for the tokens l of a set F, then C_alpha(h) = 0 unless (-1)^{sum_{l in F} alpha_l} = s.
If h changes sign when two tokens are exchanged and h' does not, then <C_k(h), C_k(h')> = 0 for all k.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import sympy as sp

from sie_sym.functions import TOKENS, He, sigmoid, token, token_index
from sie_sym.hermite import MultiIndex
from sie_sym.linear_forms import has_tokens
from sie_sym.target import tokens_of

MANY_TOKENS = 12
"""Beyond, symmetries in single tokens and pairs of them are not looked for."""

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
    if not has_tokens(expression):
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
        if one != -1:
            return one
        return None if outer else _sign((int(high) - int(low) + 1) % 2)
    inner = [parity(argument, flipped) for argument in expression.args]
    if all(p == 1 for p in inner):
        return 1
    if isinstance(expression, sp.Pow) and expression.exp.is_Integer and inner[0] == -1:
        return _sign(int(expression.exp) % 2)
    if isinstance(expression, He) and expression.args[0].is_Integer and inner[1] == -1:
        return _sign(int(expression.args[0]) % 2)
    if len(inner) == 1 and inner[0] == -1:
        if isinstance(expression, _ODD):
            return -1
        if isinstance(expression, _EVEN):
            return 1
    return None


def _sign(odd: int) -> int:
    return -1 if odd else 1


def _product(parities: list[int | None]) -> int | None:
    total = 1
    for p in parities:
        if p is None:
            return None
        total *= p
    return total


@dataclass(frozen=True)
class Symmetries:
    """The sign symmetries of a function without its additive constant, which only C_0 sees.

    `overall` is its parity under z -> -z, `single` its parity in each token it reads; None or absent where there is
    none.  `constant` is the additive constant.
    """

    overall: int | None
    single: dict[int, int]
    constant: sp.Expr

    @classmethod
    def of(cls, expression: sp.Expr) -> Symmetries:
        """Find them.  sigmoid(x) is read as 1/2 + tanh(x/2)/2."""
        centred = expression.replace(sigmoid, lambda x: sp.Rational(1, 2) + sp.tanh(x / 2) / 2)
        terms = sp.Add.make_args(centred)
        moving = sp.Add(*(term for term in terms if has_tokens(term)))
        constant = sp.Add(*(term for term in terms if not has_tokens(term)))
        tokens = tokens_of(expression)
        single: dict[int, int] = {}
        if len(tokens) <= MANY_TOKENS:
            found = ((l, parity(moving, frozenset([l]))) for l in sorted(tokens))
            single = {l: p for l, p in found if p is not None}
        return cls(parity(moving), single, constant)

    def forbids(self, alpha: MultiIndex) -> str | None:
        """Why C_alpha is zero by symmetry, or None."""
        if not alpha and self.constant != 0:
            return None
        powers = dict(alpha)
        if self.overall is not None and (-1) ** sum(powers.values()) != self.overall:
            return f"the function is {_word(self.overall)} under z -> -z"
        for l, p in self.single.items():
            if (-1) ** powers.get(l, 0) != p:
                return f"the function is {_word(p)} in z{l}"
        return None

    def forbids_order(self, k: int) -> str | None:
        """Why the whole order-k tensor is zero by symmetry, or None."""
        if k == 0 and self.constant != 0:
            return None
        if self.overall is not None and (-1) ** k != self.overall:
            return f"the function is {_word(self.overall)} under z -> -z"
        odd = [l for l, p in self.single.items() if p == -1]
        if k < len(odd):
            names = ", ".join(f"z{l}" for l in odd)
            return f"the function is odd in each of {names}"
        return None


def _word(sign: int) -> str:
    return "even" if sign == 1 else "odd"


def orthogonal_tensors(left: sp.Expr, right: sp.Expr) -> str | None:
    """Why <C_k(h), C_k(h')> = 0 for all k >= 1: a sign flip or an exchange of tokens tells the functions apart.

    >>> orthogonal_tensors(token(1)**2 - token(2)**2, sp.exp(token(1) + token(2)))
    'exchanging z1 and z2 changes the sign of one function and not of the other'
    """
    a, b = Symmetries.of(left), Symmetries.of(right)
    if a.overall is not None and b.overall == -a.overall:
        return "one function is even and the other odd under z -> -z"
    reads = (tokens_of(left), tokens_of(right))
    for l in sorted(reads[0] | reads[1]):
        # A function is even in the tokens that it does not read.
        signs = [s.single.get(l) if l in tokens else 1 for s, tokens in zip((a, b), reads, strict=True)]
        if sorted(filter(None, signs)) == [-1, 1]:
            return f"one function is even and the other odd in z{l}"
    for one, other in ((left, right), (right, left)):
        pair = antisymmetric_pair(one)
        if pair is not None and _exchanged(other, *pair, sign=-1):
            return f"exchanging z{pair[0]} and z{pair[1]} changes the sign of one function and not of the other"
    return None


def antisymmetric_pair(expression: sp.Expr) -> tuple[int, int] | None:
    """Two tokens whose exchange changes the sign of the function, or None if none is seen.

    >>> antisymmetric_pair(token(1)**2 - token(2)**2)
    (1, 2)
    """
    present = sorted(tokens_of(expression))
    if len(present) > MANY_TOKENS or expression.has(sp.Indexed):
        return None
    pairs = itertools.combinations(present, 2)
    return next((pair for pair in pairs if _exchanged(expression, *pair, sign=1)), None)


def _exchanged(expression: sp.Expr, i: int, j: int, sign: int) -> bool:
    """Whether h(exchanged) + sign h = 0 is visible after expansion."""
    if expression.has(sp.Indexed):
        return False
    swapped = expression.xreplace({token(i): token(j), token(j): token(i)})
    return bool(sp.expand(swapped + sign * expression) == 0)
