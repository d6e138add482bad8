r"""Exact algebra that proves an expression to be zero.

The expression becomes a polynomial with rational coefficients in generators taken as independent: primes with
fractional exponents, pi, symbols, exp of each term of an exponent, erf(..), inverses and roots of sums, and so on.
Only identities valid wherever the expression is defined are used, so that a vanishing polynomial is a proof; a
non-vanishing one proves nothing.  What is left of an algebraic number (nested radicals) is settled by the separation
bound of Burnikel, Funke, Mehlhorn, Schirra and Schmitt: too small to be non-zero is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from fractions import Fraction

import sympy as sp
from flint import arb

from sie_sym.balls import evaluate, working_precision
from sie_sym.functions import He, Phi, SignProduct, gelu, hermite_polynomial, relu, sigmoid, softmax, softplus

Monomial = tuple[tuple[int, Fraction], ...]
Polynomial = dict[Monomial, Fraction]

_MOST_TERMS = 4000
_MOST_PRODUCTS = 400_000
_MOST_BITS = 20_000
_HALF = Fraction(1, 2)


class _TooLargeError(Exception):
    """The proof would cost more than its budget."""


def vanishes_identically(expression: sp.Expr) -> bool:
    """True when exact algebra proves the expression to be zero wherever it is defined; False proves nothing.

    >>> a = sp.Symbol("a", real=True)
    >>> vanishes_identically(1 / (1 + a) - (1 - a) / (1 - a**2)), vanishes_identically(a)
    (True, False)
    """
    algebra = _Algebra()
    try:
        return algebra.proves_zero(algebra.clear(algebra.convert(sp.sympify(expression, strict=True))))
    except (_TooLargeError, RecursionError, ZeroDivisionError):
        return False


def _constant(value: Fraction | int) -> Polynomial:
    return {(): Fraction(value)} if value else {}


def _fraction(number: sp.Rational) -> Fraction:
    return Fraction(int(number.p), int(number.q))


class _Algebra:
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
        index = self.keys.setdefault(key, len(self.expressions))
        if index == len(self.expressions):
            self.expressions.append(expression)
        return index

    def variable(self, key: Hashable, expression: sp.Expr, exponent: Fraction = Fraction(1)) -> Polynomial:
        return {((self.generator(key, expression), exponent),): Fraction(1)}

    def add(self, *terms: Polynomial) -> Polynomial:
        total: Polynomial = {}
        for term in terms:
            for monomial, coefficient in term.items():
                value = total.get(monomial, 0) + coefficient
                if value:
                    total[monomial] = value
                else:
                    total.pop(monomial, None)
        return total

    def scale(self, factor: Fraction | int, polynomial: Polynomial) -> Polynomial:
        return {m: factor * c for m, c in polynomial.items()} if factor else {}

    def multiply(self, left: Polynomial, right: Polynomial) -> Polynomial:
        self.cost += len(left) * len(right)
        if self.cost > _MOST_PRODUCTS:
            raise _TooLargeError
        total: Polynomial = {}
        for m, a in left.items():
            for n, b in right.items():
                product = self.monomial_product(m, n, a * b) if m and n else {m or n: a * b}
                total = self._accumulate(total, product)
        if len(total) > _MOST_TERMS:
            raise _TooLargeError
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
            _constant(content ** int(exponent)) if exponent.denominator == 1 else self.rational_power(content, exponent)
        )
        index = self.generator(("sum", frozenset(body.items())), self.rebuild(body))
        self.bodies[index] = body
        return self.multiply(outside, self.normalise({index: exponent}, Fraction(1)))

    def _whole_power(self, base: Polynomial, exponent: int) -> Polynomial:
        result, square = _constant(1), base
        while exponent:
            if exponent & 1:
                result = self.multiply(result, square)
            exponent >>= 1
            if exponent:
                square = self.multiply(square, square)
        return result

    def is_positive(self, index: int) -> bool:
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

    # --- conversion -----------------------------------------------------------------------------------------------

    def convert(self, node: sp.Expr) -> Polynomial:
        if isinstance(node, sp.Rational):
            return _constant(_fraction(node))
        if isinstance(node, sp.Float):
            return _constant(_fraction(sp.Rational(node)))
        if isinstance(node, sp.Add):
            return self.add(*map(self.convert, node.args))
        if isinstance(node, sp.Mul):
            product = _constant(1)
            for factor in node.args:
                product = self.multiply(product, self.convert(factor))
            return product
        if node is sp.I:
            return self.minus_one(_HALF)
        if node is sp.E:
            return self.exponential(_constant(1))
        if isinstance(node, sp.Pow):
            base, exponent = node.args
            if exponent.is_Rational:
                return self.power(self.convert(base), _fraction(exponent))
            # The principal power: b^e = exp(e log b).
            return self.exponential(self.multiply(self.convert(exponent), self.logarithm(self.convert(base))))
        rewriting = _REWRITINGS.get(node.func)
        if rewriting is not None:
            return self.convert(rewriting(*node.args))
        rule = _RULES.get(node.func)
        if rule is not None:
            return rule(self, node)
        if isinstance(node, sp.Function):
            return self.opaque(node.func, *map(self.convert, node.args))
        return self.variable(("node", node), node)

    def opaque(self, function: Callable[..., sp.Expr], *arguments: Polynomial) -> Polynomial:
        key = (function, *(frozenset(a.items()) for a in arguments))
        return self.variable(key, function(*map(self.rebuild, arguments)))

    def rebuild(self, polynomial: Polynomial) -> sp.Expr:
        return sp.Add(
            *(
                sp.Mul(
                    sp.Rational(c.numerator, c.denominator),
                    *(self.expressions[i] ** sp.Rational(e.numerator, e.denominator) for i, e in m),
                )
                for m, c in polynomial.items()
            )
        )

    def exponential(self, argument: Polynomial) -> Polynomial:
        """exp of a sum as the product of exp(term)^coefficient; exp(i pi r) = (-1)^r; exp(r log x) = x^r."""
        product = _constant(1)
        turn = None
        if any(len(m) == 2 for m in argument):
            turn = next(iter(self.multiply(self.minus_one(_HALF), self.convert(sp.pi))))
        for monomial, coefficient in argument.items():
            if monomial == turn:
                factor = self.minus_one(coefficient)
            else:
                expression = sp.exp(self.rebuild({monomial: Fraction(1)}))
                factor = self.variable(("exp", monomial), expression, coefficient)
                if len(monomial) == 1 and monomial[0][1] == 1:
                    inner = self.expressions[monomial[0][0]]
                    if isinstance(inner, sp.log):
                        factor = self.power(self.convert(inner.args[0]), coefficient)
            product = self.multiply(product, factor)
        return product

    def logarithm(self, argument: Polynomial) -> Polynomial:
        """log(c x) = log c + log x for rational c > 0, log c over the primes."""
        if not argument:
            raise ZeroDivisionError
        if len(argument) > 1:
            return self.opaque(sp.log, argument)
        ((monomial, coefficient),) = argument.items()
        rest = {monomial: Fraction(1 if coefficient > 0 else -1)}
        total = {} if rest == _constant(1) else self.opaque(sp.log, rest)
        for number, sign in ((abs(coefficient).numerator, 1), (abs(coefficient).denominator, -1)):
            for prime, multiplicity in sp.factorint(number, limit=10_000).items():
                log = self.variable(("log", int(prime)), sp.log(sp.Integer(prime)))
                total = self.add(total, self.scale(sign * multiplicity, log))
        return total

    def orient(self, polynomial: Polynomial) -> tuple[int, Polynomial]:
        """The sign s that makes s * polynomial lead with a positive coefficient, and that polynomial."""
        if polynomial and polynomial[min(polynomial)] < 0:
            return -1, self.scale(-1, polynomial)
        return 1, polynomial

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
                raise _TooLargeError
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
        if index in self.bodies:
            return all(self.is_algebraic(i) for m in self.bodies[index] for i, _ in m)
        return index in self.integers

    def algebraic_zero(self, number: Polynomial) -> bool:
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


# --- identities of the named functions --------------------------------------------------------------------------------


def _odd(algebra: _Algebra, node: sp.Expr) -> Polynomial:
    sign, argument = algebra.orient(algebra.convert(node.args[0]))
    return algebra.scale(sign, algebra.opaque(node.func, argument)) if argument else {}


def _abs(algebra: _Algebra, node: sp.Expr) -> Polynomial:
    _, argument = algebra.orient(algebra.convert(node.args[0]))
    if not argument:
        return {}
    result = algebra.opaque(sp.Abs, argument)
    if node.args[0].is_real:
        ((((index, _),), _),) = result.items()
        algebra.squares[index] = algebra.multiply(argument, argument)
    return result


def _sign(algebra: _Algebra, node: sp.Expr) -> Polynomial:
    result = _odd(algebra, node)
    if node.args[0].is_real:
        algebra.signs.update(index for monomial in result for index, _ in monomial)
    return result


def _softplus(algebra: _Algebra, node: sp.Expr) -> Polynomial:
    sign, argument = algebra.orient(algebra.convert(node.args[0]))
    result = algebra.opaque(softplus, argument)
    return result if sign > 0 else algebra.add(result, algebra.scale(-1, argument))


def _sign_product(algebra: _Algebra, node: sp.Expr) -> Polynomial:
    h, k, rho = map(algebra.convert, node.args)
    first, h = algebra.orient(h)
    second, k = algebra.orient(k)
    h, k = sorted((h, k), key=lambda p: sorted(p.items()))
    rho = algebra.scale(first * second, rho)
    return algebra.scale(first * second, algebra.opaque(SignProduct, h, k, rho))


def _hermite(k: sp.Expr, x: sp.Expr) -> sp.Expr:
    if not k.is_Integer or k < 0:
        return sp.Dummy()
    return hermite_polynomial(int(k), x)


def _largest(sign: int) -> Callable[..., sp.Expr]:
    def fold(*arguments: sp.Expr) -> sp.Expr:
        first, *rest = sorted(arguments, key=sp.default_sort_key)
        for other in rest:
            first = (first + other + sign * sp.Abs(first - other)) / 2
        return first

    return fold


_REWRITINGS: dict[type[sp.Basic], Callable[..., sp.Expr]] = {
    sp.sinh: lambda x: (sp.exp(x) - sp.exp(-x)) / 2,
    sp.cosh: lambda x: (sp.exp(x) + sp.exp(-x)) / 2,
    sp.tanh: lambda x: 1 - 2 / (sp.exp(2 * x) + 1),
    sp.sin: lambda x: (sp.exp(sp.I * x) - sp.exp(-sp.I * x)) / (2 * sp.I),
    sp.cos: lambda x: (sp.exp(sp.I * x) + sp.exp(-sp.I * x)) / 2,
    sp.tan: lambda x: -sp.I + 2 * sp.I / (sp.exp(2 * sp.I * x) + 1),
    sp.erfc: lambda x: 1 - sp.erf(x),
    sp.erfi: lambda x: -sp.I * sp.erf(sp.I * x, evaluate=False),
    sp.acos: lambda x: sp.pi / 2 - sp.asin(x),
    sp.Max: _largest(1),
    sp.Min: _largest(-1),
    Phi: lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2,
    gelu: lambda x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2,
    relu: lambda x: (x + sp.Abs(x)) / 2,
    sigmoid: lambda x: 1 / (1 + sp.exp(-x)),
    softmax: lambda k, *x: sp.exp(x[int(k) - 1]) / sp.Add(*map(sp.exp, x)),
    He: _hermite,
}

_RULES: dict[type[sp.Basic], Callable[[_Algebra, sp.Expr], Polynomial]] = {
    sp.exp: lambda algebra, node: algebra.exponential(algebra.convert(node.args[0])),
    sp.log: lambda algebra, node: algebra.logarithm(algebra.convert(node.args[0])),
    sp.erf: _odd,
    sp.asin: _odd,
    sp.atan: _odd,
    sp.Abs: _abs,
    sp.sign: _sign,
    softplus: _softplus,
    SignProduct: _sign_product,
}
