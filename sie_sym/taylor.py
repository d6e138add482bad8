r"""The Taylor expansion of a function of the overlaps at 0, and polynomials in them with exact coefficients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import evidence_of
from sie_sym.integrals.enclosure import decide_zero

MAX_ORDER = 12
"""Taylor orders of a function that is no polynomial are examined up to here."""

Powers = tuple[int, ...]
Form = dict[Powers, sp.Expr]
"""A polynomial by the exponents of its monomials."""


class Taylor:
    """The derivatives of an expression at 0, by order, each computed once and 0 where it is proved to be 0."""

    def __init__(self, expression: sp.Expr, variables: Sequence[sp.Symbol], known_to: int | None = None) -> None:
        self.variables = tuple(variables)
        self.size = len(self.variables)
        self._polynomial = expression.is_polynomial(*variables)
        if self._polynomial:
            self._coefficients = dict(sp.Poly(expression, *variables).terms())
        self._partials: dict[Powers, sp.Expr] = {(0,) * self.size: expression}
        self._values: dict[Powers, sp.Expr] = {}
        # A loss cut at order K in m is known to that order alone, whatever the degree of what is left.
        limits = [known_to, None if self._polynomial else MAX_ORDER]
        bounds = [limit for limit in limits if limit is not None]
        self.exact = not bounds
        self.last = min(bounds) if bounds else max(map(sum, self._coefficients), default=0)

    @property
    def evidence(self) -> Evidence:
        """What the derivatives computed so far are worth."""
        return evidence_of(self._values.values())

    def derivative(self, *variables: int) -> sp.Expr:
        """The derivative at 0 in the variables of the given numbers, a number for each differentiation."""
        return self._at_zero(tuple(variables.count(i) for i in range(self.size)))

    def _at_zero(self, powers: Powers) -> sp.Expr:
        if sum(powers) > self.last and not self.exact:
            raise TruncationError(f"the loss is known to degree {self.last} at 0: pass a larger order")
        if powers not in self._values:
            if self._polynomial:
                value = self._coefficients.get(powers, sp.Integer(0)) * math.prod(map(math.factorial, powers))
            else:
                value = sp.expand(self._partial(powers).subs(dict.fromkeys(self.variables, 0)))
            self._values[powers] = sp.Integer(0) if decide_zero(value) is True else value
        return self._values[powers]

    def _partial(self, powers: Powers) -> sp.Expr:
        if powers not in self._partials:
            last = max(i for i, n in enumerate(powers) if n)
            lower = tuple(n - (i == last) for i, n in enumerate(powers))
            expression = self._partial(lower)
            if powers[last] == 1:  # the variables before it are done with: of a series in m one power is left
                expression = expression.subs(dict.fromkeys(self.variables[:last], 0))
            self._partials[powers] = sp.diff(expression, self.variables[last])
        return self._partials[powers]

    def hessian(self) -> sp.ImmutableDenseMatrix:
        """The second derivatives."""
        return sp.ImmutableDenseMatrix(self.size, self.size, lambda i, j: self.derivative(int(i), int(j)))

    def form(self, k: int) -> dict[Powers, sp.Expr]:
        """The homogeneous part of degree k, by exponents, without the coefficients proved to be zero."""
        values = {p: self._at_zero(p) for p in itertools.product(range(k + 1), repeat=self.size) if sum(p) == k}
        return {p: value / math.prod(map(math.factorial, p)) for p, value in values.items() if value != 0}

    def lowest_order(self) -> tuple[int | None, Evidence]:
        """The lowest k >= 1 with a non-zero form; UNDECIDED where an undecided coefficient comes before it."""
        for k in range(1, self.last + 1):
            form = self.form(k)
            if form:
                proved = any(decide_zero(c) is False for c in form.values())
                return (k, Evidence.EXACT) if proved else (None, Evidence.UNDECIDED)
        return None, Evidence.EXACT


def by_powers(expression: sp.Expr, symbols: Sequence[sp.Symbol]) -> Form:
    """The coefficients of an expanded polynomial; SymPy's own would bring fractions of exponentials to one.

    >>> x = sp.Symbol("x")
    >>> by_powers(3 * x**2 - sp.pi * x**2, [x])
    {(2,): 3 - pi}
    """
    terms = []
    for term in sp.Add.make_args(expression):
        constant, monomial = term.as_independent(*symbols, as_Add=False)
        degrees = monomial.as_powers_dict()
        terms.append((tuple(int(degrees.get(x, 0)) for x in symbols), constant))
    return gathered(terms)


def gathered(terms: Iterable[tuple[Powers, sp.Expr]]) -> Form:
    """The sum of terms, its coefficients expanded, without those that are visibly zero."""
    total: dict[Powers, list[sp.Expr]] = {}
    for powers, c in terms:
        total.setdefault(powers, []).append(c)
    expanded = {powers: sp.expand(sp.Add(*constants)) for powers, constants in total.items()}
    return {powers: c for powers, c in expanded.items() if c != 0}


def times(left: Form, right: Form, order: int | None) -> Form:
    """The product of two polynomials, up to an order if one is given."""
    return gathered(
        (tuple(map(sum, zip(p, q, strict=True))), a * b)
        for (p, a), (q, b) in itertools.product(left.items(), right.items())
        if order is None or sum(p) + sum(q) <= order
    )
