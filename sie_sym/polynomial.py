r"""Polynomials in the tokens, exact in flint: conversion from SymPy and the Weierstrass transform exp(s Laplacian/2).

Coefficients live in Q[constants]: every token-free subexpression that is not rational (a parameter, sqrt(2), 1/pi)
becomes an extra generator, so that the arithmetic on terms never leaves flint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import flint
import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.functions import He

TERM_BUDGET = 200_000
"""The largest number of terms that a polynomial may be expanded to."""

_ONE = flint.fmpq(1)


def is_polynomial(expression: sp.Expr, symbols: frozenset[sp.Symbol]) -> bool:
    """Whether an expression is built from some symbols by +, *, non-negative integer powers and He_k alone.

    >>> z = sp.Symbol("z1", real=True)
    >>> is_polynomial((1 + z)**3 * He(2, z), frozenset([z])), is_polynomial(sp.exp(z), frozenset([z]))
    (True, False)
    """
    if expression in symbols or not expression.has(*symbols):
        return True
    if isinstance(expression, (sp.Add, sp.Mul)):
        return all(is_polynomial(argument, symbols) for argument in expression.args)
    if isinstance(expression, sp.Pow):
        base, exponent = expression.args
        return bool(exponent.is_Integer) and int(exponent) >= 0 and is_polynomial(base, symbols)
    if isinstance(expression, He):
        k, x = expression.args
        return bool(k.is_Integer) and int(k) >= 0 and is_polynomial(x, symbols)
    return False


def expanded_size(expression: sp.Expr, symbols: frozenset[sp.Symbol]) -> int:
    """An upper bound on the number of terms of the expanded polynomial.

    >>> a, b = sp.symbols("z1 z2", real=True)
    >>> expanded_size((1 + a + b)**2, frozenset([a, b]))
    6
    """
    if expression in symbols or not expression.has(*symbols):
        return 1
    if isinstance(expression, sp.Add):
        return sum(expanded_size(argument, symbols) for argument in expression.args)
    if isinstance(expression, sp.Mul):
        return math.prod(expanded_size(argument, symbols) for argument in expression.args)
    if isinstance(expression, sp.Pow):
        base, exponent = expanded_size(expression.base, symbols), int(expression.exp)
        return math.comb(base + exponent - 1, exponent)
    terms = expanded_size(expression.args[1], symbols)  # He_k of a polynomial
    degree = int(expression.args[0])
    return sum(math.comb(terms + n - 1, n) for n in range(degree % 2, degree + 1, 2))


def rational(value: flint.fmpq) -> sp.Rational:
    """The SymPy rational of a flint one (whatever SymPy's ground types are)."""
    return sp.Rational(int(value.p), int(value.q))


def flint_rational(number: sp.Rational) -> flint.fmpq:
    """The flint rational of a SymPy one."""
    return flint.fmpq(int(number.p), int(number.q))


@dataclass(frozen=True)
class Polynomial:
    """sum_alpha c_alpha prod_l x_l^{alpha_l}: a flint polynomial in labelled variables and constants.

    `labels` name the first generators (token indices), `constants` are the SymPy values of the others.
    """

    labels: tuple[int, ...]
    constants: tuple[sp.Expr, ...]
    value: flint.fmpq_mpoly

    @classmethod
    def of(cls, expression: sp.Expr, variables: Mapping[sp.Symbol, int], *extra: sp.Expr) -> Polynomial:
        """Expand a polynomial expression whose variables carry the given labels.

        `extra` constants get generators too.  Raises `TruncationError` beyond the term budget.
        """
        present = {s: l for s, l in variables.items() if expression.has(s)}
        symbols = frozenset(present)
        if expanded_size(expression, symbols) > TERM_BUDGET:
            raise TruncationError(
                f"the polynomial expands to more than {TERM_BUDGET} terms: write it as sums or products over "
                "disjoint tokens, or as a function of one linear form, which are never expanded"
            )
        ordered = sorted(present, key=present.__getitem__)
        constants: dict[sp.Expr, int] = {}
        for part in (expression, *extra):
            _collect_constants(part, symbols, constants)
        names = [f"x{i}" for i in range(len(ordered))] + [f"c{i}" for i in range(len(constants))]
        context = flint.fmpq_mpoly_ctx.get(names or ["x"], "degrevlex")
        generators: dict[sp.Expr, flint.fmpq_mpoly] = {s: context.gen(i) for i, s in enumerate(ordered)}
        generators.update({c: context.gen(len(ordered) + i) for c, i in constants.items()})
        value = _convert(expression, generators, context)
        return cls(tuple(present[s] for s in ordered), tuple(constants), value)

    @classmethod
    def of_monomials(cls, expression: sp.Expr, label: Callable[[sp.Basic], int | None]) -> Polynomial | None:
        """The polynomial of a sum of monomials with rational coefficients, read term by term; None for anything else.

        `label` gives the label of a variable and None for other symbols.
        """
        labels: dict[sp.Symbol, int] = {}
        read: dict[sp.Basic, tuple[int, int]] = {}  # a factor x^n, met again and again -> (label of x, n)
        terms: list[tuple[flint.fmpq, list[tuple[int, int]]]] = []
        for term in sp.Add.make_args(expression):
            coefficient, powers = _ONE, []
            for factor in term.args if term.is_Mul else (term,):
                power = read.get(factor)
                if power is None:
                    if factor.is_Rational:
                        coefficient = factor
                        continue
                    base, exponent = factor.args if factor.is_Pow else (factor, sp.Integer(1))
                    number = label(base)
                    if number is None or not (exponent.is_Integer and int(exponent) > 0):
                        return None
                    labels[base] = number
                    power = read[factor] = (number, int(exponent))
                powers.append(power)
            terms.append((coefficient if coefficient is _ONE else flint_rational(coefficient), powers))
        ordered = sorted(labels.values())
        place = {number: i for i, number in enumerate(ordered)}
        entries = {}
        for coefficient, powers in terms:
            exponents = [0] * max(len(ordered), 1)
            for number, n in powers:
                exponents[place[number]] += n
            entries[tuple(exponents)] = coefficient
        context = flint.fmpq_mpoly_ctx.get([f"x{i}" for i in range(len(ordered))] or ["x"], "degrevlex")
        return cls(tuple(ordered), (), context.from_dict(entries))

    def smoothed(self, variance: sp.Expr = sp.Integer(1)) -> Polynomial:
        """G_s p = exp(s Laplacian / 2) p, variable by variable; its constants must hold those of s."""
        context = self.value.context()
        known = {c: context.gen(len(self.labels) + i) for i, c in enumerate(self.constants)}
        half = _convert(variance / 2, known, context)
        value = self.value
        for variable in range(len(self.labels)):
            term, n = value, 0
            while not term.is_zero():
                n += 1
                term = half * term.derivative(variable).derivative(variable) * flint.fmpq(1, n)
                value += term
        return Polynomial(self.labels, self.constants, value)

    @cached_property
    def _graded(self) -> dict[int, dict[tuple[int, ...], sp.Expr]]:
        graded: dict[int, dict[tuple[int, ...], list[sp.Expr]]] = {}
        width = len(self.labels)
        for exponents, coefficient in self.value.to_dict().items():
            powers = tuple(int(n) for n in exponents[:width])
            factor = sp.Mul(*(c ** int(n) for c, n in zip(self.constants, exponents[width:], strict=False) if n))
            graded.setdefault(sum(powers), {}).setdefault(powers, []).append(rational(coefficient) * factor)
        return {
            degree: {
                powers: sp.expand(sp.Add(*terms)) if self.constants else terms[0]
                for powers, terms in part.items()
            }
            for degree, part in graded.items()
        }

    def homogeneous(self, degree: int) -> dict[tuple[tuple[int, int], ...], sp.Expr]:
        """The coefficients of the monomials of one degree, by sparse exponents (label, power)."""
        return {
            tuple((l, int(n)) for l, n in zip(self.labels, powers, strict=True) if n): coefficient
            for powers, coefficient in self._part(degree).items()
            if coefficient != 0
        }

    def coefficient(self, alpha: Iterable[tuple[int, int]]) -> sp.Expr:
        """The coefficient of one monomial, given by sparse exponents (label, power) of its own variables."""
        exponents = dict(alpha)
        powers = tuple(exponents.get(l, 0) for l in self.labels)
        if self.constants or not self.labels:
            return self._graded.get(sum(powers), {}).get(powers, sp.Integer(0))
        return rational(self.value[powers])

    def _part(self, degree: int) -> Mapping[tuple[int, ...], sp.Expr]:
        if self.constants or "_graded" in self.__dict__:
            return self._graded.get(degree, {})
        # In degrevlex the terms come by falling degree: low degrees are read from the end, without the rest.
        return {powers: rational(self.value.coefficient(position)) for position, powers in self._positions(degree)}

    def _positions(self, degree: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        for position in range(len(self.value) - 1, -1, -1):
            powers = self.value.monomial(position)[: len(self.labels)]
            total = sum(powers)
            if total > degree:
                return
            if total == degree:
                yield position, powers

    def has_degree(self, degree: int) -> bool | None:
        """Whether there is a term of some degree; None where constants leave it open."""
        if self.constants:
            return None
        return next(self._positions(degree), None) is not None

    @property
    def degree(self) -> int:
        """The total degree in the labelled variables (0 for the zero polynomial)."""
        if not self.constants:
            return max(int(self.value.total_degree()), 0) if self.labels else 0
        return max((d for d, part in self._graded.items() if any(c != 0 for c in part.values())), default=0)

    def expression(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """The polynomial with its labelled variables, in order, replaced by expressions."""
        return sp.Add(
            *(
                coefficient * sp.Mul(*(x**n for x, n in zip(at, powers, strict=True) if n))
                for part in self._graded.values()
                for powers, coefficient in part.items()
            )
        )


def _collect_constants(
    expression: sp.Expr, symbols: frozenset[sp.Symbol], constants: dict[sp.Expr, int]
) -> None:
    if expression.is_Rational or expression in symbols:
        return
    composite = isinstance(expression, (sp.Add, sp.Mul)) or (
        isinstance(expression, sp.Pow) and expression.exp.is_Integer and int(expression.exp) > 0
    )
    if composite or (isinstance(expression, He) and expression.has(*symbols)):
        for argument in expression.args:
            _collect_constants(argument, symbols, constants)
    else:
        constants.setdefault(expression, len(constants))


def _convert(
    expression: sp.Expr, generators: Mapping[sp.Expr, flint.fmpq_mpoly], context: flint.fmpq_mpoly_ctx
) -> flint.fmpq_mpoly:
    if expression in generators:
        return generators[expression]
    if expression.is_Rational:
        return context.constant(flint_rational(expression))
    if isinstance(expression, sp.Add):
        return _convert_sum(expression, generators, context)
    if isinstance(expression, sp.Mul):
        product = context.constant(1)
        for argument in expression.args:
            product = product * _convert(argument, generators, context)
        return product
    if isinstance(expression, sp.Pow):
        return _convert(expression.base, generators, context) ** int(expression.exp)
    x = _convert(expression.args[1], generators, context)
    previous, current = context.constant(0), context.constant(1)
    for n in range(int(expression.args[0])):
        previous, current = current, x * current - n * previous
    return current


def _convert_sum(
    expression: sp.Add, generators: Mapping[sp.Expr, flint.fmpq_mpoly], context: flint.fmpq_mpoly_ctx
) -> flint.fmpq_mpoly:
    # Halving keeps the cost of a long sum linear up to a logarithm; flint copies a polynomial at each addition.
    parts = [_convert(argument, generators, context) for argument in expression.args]
    while len(parts) > 1:
        pairs = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + (parts[-1:] if len(parts) % 2 else [])
    return parts[0]
