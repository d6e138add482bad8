r"""Polynomials with rational exponents in related generators, and when exact algebra proves one to be zero.

The coefficients are rational, the generators taken as independent: primes with fractional exponents, symbols, named
functions, and the inverses and roots of sums, whose whole powers are multiplied out.  Only relations valid wherever
the expression is defined are used, so that a vanishing polynomial is a proof; a non-vanishing one proves nothing.
What is left of an algebraic number (nested radicals) is settled by the separation bound of Burnikel, Funke, Mehlhorn,
Schirra and Schmitt: too small to be non-zero is zero.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from fractions import Fraction

import sympy as sp
from flint import arb

from sie_sym.integrals.balls import evaluate, working_precision

Monomial = tuple[tuple[int, Fraction], ...]
Polynomial = dict[Monomial, Fraction]

_MOST_TERMS = 4000
_MOST_PRODUCTS = 400_000
_MOST_BITS = 20_000
HALF = Fraction(1, 2)


class TooLargeError(Exception):
    """The proof would cost more than its budget."""


def constant(value: Fraction | int) -> Polynomial:
    """A rational number as a polynomial."""
    return {(): Fraction(value)} if value else {}


class PuiseuxAlgebra:
    """The generators met so far and the arithmetic of polynomials in them."""

    def __init__(self) -> None:
        self.keys: dict[Hashable, int] = {}
        self.expressions: list[sp.Expr] = []
        self.bodies: dict[int, Polynomial] = {}
        """The sum that a root-or-inverse generator stands for."""
        self.integers: dict[int, int] = {}
        """-1 and the primes: their whole powers are rational."""
        self.squares: dict[int, Polynomial] = {}
        """Generators |x| of real x: their squares are known."""
        self.signs: set[int] = set()
        self.cost = 0

    # --- arithmetic -----------------------------------------------------------------------------------------------

    def generator(self, key: Hashable, expression: sp.Expr) -> int:
        """The number of a generator, a new one for a new key."""
        index = self.keys.setdefault(key, len(self.expressions))
        if index == len(self.expressions):
            self.expressions.append(expression)
        return index

    def variable(self, key: Hashable, expression: sp.Expr, exponent: Fraction = Fraction(1)) -> Polynomial:
        """A power of one generator."""
        return {((self.generator(key, expression), exponent),): Fraction(1)}

    def add(self, *terms: Polynomial) -> Polynomial:
        """The sum."""
        total: Polynomial = {}
        for term in terms:
            total = self._accumulate(total, term)
        return total

    def scale(self, factor: Fraction | int, polynomial: Polynomial) -> Polynomial:
        """A rational multiple."""
        return {m: factor * c for m, c in polynomial.items()} if factor else {}

    def multiply(self, left: Polynomial, right: Polynomial) -> Polynomial:
        """The product, within the budget."""
        self.cost += len(left) * len(right)
        if self.cost > _MOST_PRODUCTS:
            raise TooLargeError
        total: Polynomial = {}
        for m, a in left.items():
            for n, b in right.items():
                product = self.monomial_product(m, n, a * b) if m and n else {m or n: a * b}
                total = self._accumulate(total, product)
        if len(total) > _MOST_TERMS:
            raise TooLargeError
        return total

    @staticmethod
    def _accumulate(total: Polynomial, part: Polynomial) -> Polynomial:
        for monomial, coefficient in part.items():
            value = total.get(monomial, 0) + coefficient
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
        return total

    def monomial_product(self, left: Monomial, right: Monomial, coefficient: Fraction) -> Polynomial:
        """The product of two monomials."""
        exponents = dict(left)
        for index, exponent in right:
            exponents[index] = exponents.get(index, Fraction(0)) + exponent
        return self.normalise(exponents, coefficient)

    def normalise(self, exponents: dict[int, Fraction], coefficient: Fraction) -> Polynomial:
        """The relations: whole powers of integers and of sums are multiplied out, |x|^2 = x^2, sign^3 = sign."""
        expanded: list[Polynomial] = []
        for index, exponent in list(exponents.items()):
            whole = math.floor(exponent)
            if index in self.integers and whole:
                coefficient *= Fraction(self.integers[index]) ** whole
                exponents[index] = exponent - whole
            elif index in self.bodies and whole >= 1:
                expanded.append(self.power(self.bodies[index], Fraction(whole)))
                exponents[index] = exponent - whole
            elif index in self.squares and exponent >= 2:
                expanded.append(self.power(self.squares[index], Fraction(int(exponent) // 2)))
                exponents[index] = exponent - 2 * (int(exponent) // 2)
            elif index in self.signs and exponent > 2:
                exponents[index] = Fraction(2 - int(exponent) % 2)
        monomial = tuple(sorted((i, e) for i, e in exponents.items() if e))
        result: Polynomial = {monomial: coefficient} if coefficient else {}
        for factor in expanded:
            result = self.multiply(result, factor)
        return result

    def power(self, base: Polynomial, exponent: Fraction) -> Polynomial:
        """The principal power; a root or inverse of a sum is a generator of its own."""
        if exponent.denominator == 1 and exponent >= 0:
            return self._whole_power(base, int(exponent))
        if not base:
            raise ZeroDivisionError
        if len(base) == 1:
            ((monomial, coefficient),) = base.items()
            if exponent.denominator == 1:
                exponents = {i: e * exponent for i, e in monomial}
                return self.normalise(exponents, coefficient ** int(exponent))
            if coefficient > 0 and all(self.is_positive(i) for i, _ in monomial):
                radical = self.rational_power(coefficient, exponent)
                rest = self.normalise({i: e * exponent for i, e in monomial}, Fraction(1))
                return self.multiply(radical, rest)
            if not monomial:
                return self.multiply(self.rational_power(-coefficient, exponent), self.minus_one(exponent))
        content = Fraction(
            math.gcd(*(c.numerator for c in base.values())), math.lcm(*(c.denominator for c in base.values()))
        )
        if exponent.denominator == 1 and base[min(base)] < 0:
            content = -content
        body = self.scale(1 / content, base)
        outside = (
            constant(content ** int(exponent)) if exponent.denominator == 1 else self.rational_power(content, exponent)
        )
        index = self.generator(("sum", frozenset(body.items())), self.rebuild(body))
        self.bodies[index] = body
        return self.multiply(outside, self.normalise({index: exponent}, Fraction(1)))

    def _whole_power(self, base: Polynomial, exponent: int) -> Polynomial:
        result, square = constant(1), base
        while exponent:
            if exponent & 1:
                result = self.multiply(result, square)
            exponent >>= 1
            if exponent:
                square = self.multiply(square, square)
        return result

    def is_positive(self, index: int) -> bool:
        """Whether a generator is known to be positive."""
        # Only what assumptions give by structure: SymPy also answers from float evaluations.
        known = (sp.Symbol, sp.NumberSymbol, sp.exp)
        expression = self.expressions[index]
        return self.integers.get(index, 0) > 0 or (isinstance(expression, known) and bool(expression.is_positive))

    def rational_power(self, value: Fraction, exponent: Fraction) -> Polynomial:
        """A positive rational to a rational power, over the primes."""
        exponents: dict[int, Fraction] = {}
        for number, sign in ((value.numerator, 1), (value.denominator, -1)):
            # A large factor left whole is a generator like any other: the proof stays valid.
            for prime, multiplicity in sp.factorint(number, limit=10_000).items():
                index = self.generator(("integer", int(prime)), sp.Integer(prime))
                self.integers[index] = int(prime)
                exponents[index] = exponents.get(index, Fraction(0)) + sign * multiplicity * exponent
        return self.normalise(exponents, Fraction(1))

    def minus_one(self, exponent: Fraction) -> Polynomial:
        """(-1)^r = exp(i pi r)."""
        index = self.generator(("integer", -1), sp.Integer(-1))
        self.integers[index] = -1
        return self.normalise({index: exponent}, Fraction(1))

    def orient(self, polynomial: Polynomial) -> tuple[int, Polynomial]:
        """The sign s that makes s * polynomial lead with a positive coefficient, and that polynomial."""
        if polynomial and polynomial[min(polynomial)] < 0:
            return -1, self.scale(-1, polynomial)
        return 1, polynomial

    def rebuild(self, polynomial: Polynomial) -> sp.Expr:
        """The polynomial as an expression."""
        return sp.Add(
            *(
                sp.Mul(
                    sp.Rational(c.numerator, c.denominator),
                    *(self.expressions[i] ** sp.Rational(e.numerator, e.denominator) for i, e in m),
                )
                for m, c in polynomial.items()
            )
        )

    # --- the proof ------------------------------------------------------------------------------------------------

    def clear(self, polynomial: Polynomial) -> Polynomial:
        """Multiplied by the denominators: a sum that stands in one is not zero where the expression is defined."""
        while True:
            lowest: dict[int, Fraction] = {}
            for monomial in polynomial:
                for index, exponent in monomial:
                    if index in self.bodies and exponent < 0:
                        lowest[index] = min(lowest.get(index, Fraction(0)), exponent)
            if not lowest:
                return polynomial
            # The outermost sums first: their bodies may hold the others.
            index = max(lowest)
            shift = ((index, Fraction(math.ceil(-lowest[index]))),)
            parts = [self.monomial_product(m, shift, c) for m, c in polynomial.items()]
            self.cost += len(parts)
            if self.cost > _MOST_PRODUCTS:
                raise TooLargeError
            polynomial = self.add(*parts)

    def proves_zero(self, polynomial: Polynomial) -> bool:
        """Each coefficient over the algebraic numbers is zero."""
        groups: dict[Monomial, Polynomial] = {}
        for monomial, coefficient in polynomial.items():
            outer = tuple((i, e) for i, e in monomial if not self.is_algebraic(i))
            inner = tuple((i, e) for i, e in monomial if self.is_algebraic(i))
            groups.setdefault(outer, {})[inner] = coefficient
        return all(self.algebraic_zero(group) for group in groups.values())

    def is_algebraic(self, index: int) -> bool:
        """Whether a generator is an algebraic number."""
        if index in self.bodies:
            return all(self.is_algebraic(i) for m in self.bodies[index] for i, _ in m)
        return index in self.integers

    def algebraic_zero(self, number: Polynomial) -> bool:
        """Whether an algebraic number is proved to be zero."""
        roots: dict[int, int] = {}
        upper, lower = self.separation(number, roots)
        degree = math.prod(roots.values())
        if degree == 1 or all(self.integers.get(i, 0) > 0 for i in roots):
            # Distinct radical monomials of primes are linearly independent over the rationals (Besicovitch).
            return not number
        bits = (degree - 1) * upper + lower
        if bits > _MOST_BITS:
            return False
        with working_precision(bits + upper + 64):
            ball = evaluate(self.rebuild(number), {})
            return bool(ball.is_finite() and abs(ball).upper() < arb(2) ** -bits)

    def separation(self, number: Polynomial, roots: dict[int, int]) -> tuple[int, int]:
        """log2 of bounds on all conjugates of algebraic integers A and B with number = A/B; collects the degrees."""
        upper, lower = 0, 0
        for position, (monomial, coefficient) in enumerate(number.items()):
            a, b = abs(coefficient.numerator).bit_length(), coefficient.denominator.bit_length()
            for index, exponent in monomial:
                if index in self.integers:
                    c, d = abs(self.integers[index]).bit_length(), 0
                else:
                    c, d = self.separation(self.bodies[index], roots)
                k = exponent.denominator
                roots[index] = math.lcm(roots.get(index, 1), k)
                if k > 1:
                    c, d = (-(-(c + (k - 1) * d) // k), d) if c >= d else (c, -(-((k - 1) * c + d) // k))
                if exponent < 0:
                    c, d = d, c
                a, b = a + abs(exponent.numerator) * c, b + abs(exponent.numerator) * d
            upper, lower = (max(upper + b, lower + a) + 1, lower + b) if position else (a, b)
        return upper, lower
