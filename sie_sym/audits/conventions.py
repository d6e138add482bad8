r"""Conventions of a formula, and the smallest change of convention that would make a wrong one right.

Ours (theory sections 1, 2, 4): He_k probabilists' and not normalised, C_alpha = E g He_alpha without 1/alpha!,
R = E |g - phi|^2 without 1/2, Red = trace.  The official code has R/2 and calls trace/sqrt(L) the trace; Lemma 5 of
arXiv:2506.02651 prints C_k = E[f H_k]/k! and drops the factor L^{-k/2}.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.hermite import MultiIndex, factorial, order

HERMITE = ("He", "he")
COEFFICIENT = ("1", "1/k!", "1/alpha!")
REDUCTIONS = ("trace", "mean-trace")
NORMS = ("squared", "frobenius")


@dataclass(frozen=True)
class Conventions:
    """How the claim is meant.

    `hermite`: He_k, or he_k = He_k/sqrt(k!); `coefficient`: what multiplies E g He_alpha in C_alpha, k = |alpha|;
    `loss_factor`: R = factor E |g - phi|^2; `reduction`: what the claim calls the trace of softmax attention (None: the
    model as it is); `norm`: R = E |g - phi|^2, or E |g - phi| as the official code has it (Fig. 5).

    >>> Conventions(hermite="he").of_coefficient(((1, 2),))
    sqrt(2)/2
    """

    hermite: str = "He"
    coefficient: str = "1"
    loss_factor: sp.Rational = sp.Integer(1)
    reduction: str | None = None
    norm: str = "squared"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("hermite", self.hermite, HERMITE),
            ("coefficient", self.coefficient, COEFFICIENT),
            ("reduction", self.reduction, (None, *REDUCTIONS)),
            ("norm", self.norm, NORMS),
        ):
            if value not in choices:
                raise FormulaError(f"unknown {name} convention {value!r}: choose {', '.join(filter(None, choices))}")
        object.__setattr__(self, "loss_factor", sp.sympify(self.loss_factor, strict=True))
        if not (self.loss_factor.is_Rational and self.loss_factor > 0):
            raise FormulaError(f"the loss factor {self.loss_factor} is not a positive rational: choose 1 or 1/2")

    def of_coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """The claimed C_alpha over E g He_alpha."""
        weight = {"1": sp.Integer(1), "1/k!": sp.Rational(1, math.factorial(order(alpha))),
                  "1/alpha!": sp.Rational(1, factorial(alpha))}[self.coefficient]  # fmt: skip
        return weight / sp.sqrt(factorial(alpha)) if self.hermite == "he" else weight


@dataclass(frozen=True)
class Shape:
    """How a claimed formula falls into terms of orders k.

    `power` is the order of a formula that is one number; with `statistics` the order of a term is its degree in them
    plus `raised`, after division by `envelope` (a drift is (1 - m^2) times a sum over k of m^{k-1}).
    """

    tokens: int
    power: int | None = None
    alpha: MultiIndex = ()
    statistics: tuple[sp.Symbol, ...] = ()
    raised: int = 0
    envelope: sp.Expr = sp.Integer(1)

    def scaled(self, formula: sp.Expr, factor: Callable[[int], sp.Expr]) -> sp.Expr | None:
        """The formula with its terms of order k multiplied by factor(k); None if it has no such terms."""
        if self.power is not None:
            return formula * factor(self.power)
        if not self.statistics or not formula.is_polynomial(*self.statistics):
            return None
        polynomial = sp.Poly(formula, *self.statistics)
        if self.envelope != 1:
            polynomial, rest = sp.div(polynomial, sp.Poly(self.envelope, *self.statistics))
            if not rest.is_zero:
                return None
        terms = [
            c * factor(sum(n) + self.raised) * sp.Mul(*(s**k for s, k in zip(self.statistics, n, strict=True)))
            for n, c in polynomial.terms()
        ]
        return self.envelope * sp.Add(*terms)


Change = Callable[[sp.Expr, Shape], sp.Expr | None]


def _by_order(factor: Callable[[int, int], sp.Expr]) -> Change:
    """factor(k, L) for the terms of order k >= 1."""
    return lambda formula, shape: shape.scaled(formula, lambda k: factor(k, shape.tokens) if k else sp.Integer(1))


def _by_index(factor: Callable[[int], sp.Expr]) -> Change:
    return lambda formula, shape: formula * factor(factorial(shape.alpha)) if shape.alpha else None


# Each family is one decision about conventions; a remedy takes at most one change of each.
_FAMILIES: tuple[tuple[tuple[str, Change], ...], ...] = (
    (
        ("factor 1/2", lambda formula, shape: formula / 2),
        ("factor 2", lambda formula, shape: 2 * formula),
        ("factor 1/4", lambda formula, shape: formula / 4),
        ("factor 4", lambda formula, shape: 4 * formula),
    ),
    (
        ("L^{-k/2}", _by_order(lambda k, L: sp.Integer(L) ** sp.Rational(-k, 2))),
        ("L^{k/2}", _by_order(lambda k, L: sp.Integer(L) ** sp.Rational(k, 2))),
    ),
    (
        ("k!", _by_order(lambda k, L: sp.factorial(k))),
        ("1/k!", _by_order(lambda k, L: 1 / sp.factorial(k))),
        ("k!^2", _by_order(lambda k, L: sp.factorial(k) ** 2)),
        ("sqrt(k!)", _by_order(lambda k, L: sp.sqrt(sp.factorial(k)))),
        ("1/sqrt(k!)", _by_order(lambda k, L: 1 / sp.sqrt(sp.factorial(k)))),
        ("alpha!", _by_index(lambda n: sp.Integer(n))),
        ("1/alpha!", _by_index(lambda n: sp.Rational(1, n))),
        ("sqrt(alpha!)", _by_index(lambda n: sp.sqrt(n))),
        ("1/sqrt(alpha!)", _by_index(lambda n: 1 / sp.sqrt(n))),
        ("k", _by_order(lambda k, L: sp.Integer(k))),
        ("1/k", _by_order(lambda k, L: sp.Rational(1, k))),
    ),
    (
        ("1/sqrt(L)", lambda formula, shape: formula / sp.sqrt(shape.tokens)),
        ("sqrt(L)", lambda formula, shape: formula * sp.sqrt(shape.tokens)),
    ),
    (("sign", lambda formula, shape: -formula),),
)


def remedies(formula: sp.Expr, shape: Shape, right: Callable[[sp.Expr], bool], changes: int = 2) -> tuple[str, ...]:
    """The smallest changes after which `right` holds: all single ones, else all pairs.

    A single number is met by many pairs: for it only single changes are tried.

    >>> m = sp.Symbol("m", real=True)
    >>> remedies(7 - 8 * m**2, Shape(2, statistics=(m,)), lambda e: e == 7 - 4 * m**2)
    ('L^{-k/2}', '1/k!', '1/k')
    """
    for count in range(1, 1 + (changes if shape.power is None else 1)):
        found = [name for name, changed in _changed(formula, shape, count) if right(changed)]
        if found:
            return tuple(found)
    return ()


def _changed(formula: sp.Expr, shape: Shape, count: int) -> Iterator[tuple[str, sp.Expr]]:
    seen: set[sp.Expr] = {formula}
    for families in itertools.combinations(_FAMILIES, count):
        for steps in itertools.product(*families):
            value = _applied(formula, shape, [change for _, change in steps])
            # Changes that do the same (k! and k on a term of order 2) are all named: each is an explanation.
            if value is not None and (count == 1 or value not in seen):
                seen.add(value)
                yield " and ".join(name for name, _ in steps), value


def _applied(formula: sp.Expr, shape: Shape, changes: Sequence[Change]) -> sp.Expr | None:
    value: sp.Expr | None = formula
    for change in changes:
        if value is not None:
            value = change(value, shape)
    return None if value is None or value == formula else sp.expand(value)


__all__ = ["Conventions", "Shape", "remedies"]
