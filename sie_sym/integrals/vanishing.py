r"""Exact algebra that proves an expression to be zero.

The expression becomes a polynomial with rational exponents (`puiseux`) in generators taken as independent: primes, pi,
symbols, exp of each term of an exponent, erf(..), inverses and roots of sums, and so on.  Only identities valid
wherever the expression is defined are used, so that a vanishing polynomial is a proof; a non-vanishing one proves
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import sympy as sp

from sie_sym.functions import He, Phi, SignProduct, gelu, hermite_polynomial, relu, sigmoid, softmax, softplus
from sie_sym.integrals.puiseux import HALF, Polynomial, PuiseuxAlgebra, TooLargeError, constant


def vanishes_identically(expression: sp.Expr) -> bool:
    """True when exact algebra proves the expression to be zero wherever it is defined; False proves nothing.

    >>> a = sp.Symbol("a", real=True)
    >>> vanishes_identically(1 / (1 + a) - (1 - a) / (1 - a**2)), vanishes_identically(a)
    (True, False)
    """
    algebra = _Reader()
    try:
        return algebra.proves_zero(algebra.clear(algebra.convert(sp.sympify(expression, strict=True))))
    except (TooLargeError, RecursionError, ZeroDivisionError):
        return False


def _fraction(number: sp.Rational) -> Fraction:
    return Fraction(int(number.p), int(number.q))


class _Reader(PuiseuxAlgebra):
    """Converts expressions to polynomials."""

    def convert(self, node: sp.Expr) -> Polynomial:
        if isinstance(node, sp.Rational):
            return constant(_fraction(node))
        if isinstance(node, sp.Float):
            return constant(_fraction(sp.Rational(node)))
        if isinstance(node, sp.Add):
            return self.add(*map(self.convert, node.args))
        if isinstance(node, sp.Mul):
            product = constant(1)
            for factor in node.args:
                product = self.multiply(product, self.convert(factor))
            return product
        if node is sp.I:
            return self.minus_one(HALF)
        if node is sp.E:
            return self.exponential(constant(1))
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

    def exponential(self, argument: Polynomial) -> Polynomial:
        """exp of a sum as the product of exp(term)^coefficient; exp(i pi r) = (-1)^r; exp(r log x) = x^r."""
        product = constant(1)
        turn = None
        if any(len(m) == 2 for m in argument):
            turn = next(iter(self.multiply(self.minus_one(HALF), self.convert(sp.pi))))
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
        total = {} if rest == constant(1) else self.opaque(sp.log, rest)
        for number, sign in ((abs(coefficient).numerator, 1), (abs(coefficient).denominator, -1)):
            for prime, multiplicity in sp.factorint(number, limit=10_000).items():
                log = self.variable(("log", int(prime)), sp.log(sp.Integer(prime)))
                total = self.add(total, self.scale(sign * multiplicity, log))
        return total


# --- identities of the named functions --------------------------------------------------------------------------------


def _odd(algebra: _Reader, node: sp.Expr) -> Polynomial:
    sign, argument = algebra.orient(algebra.convert(node.args[0]))
    return algebra.scale(sign, algebra.opaque(node.func, argument)) if argument else {}


def _abs(algebra: _Reader, node: sp.Expr) -> Polynomial:
    _, argument = algebra.orient(algebra.convert(node.args[0]))
    if not argument:
        return {}
    result = algebra.opaque(sp.Abs, argument)
    if node.args[0].is_real:
        ((((index, _),), _),) = result.items()
        algebra.squares[index] = algebra.multiply(argument, argument)
    return result


def _sign(algebra: _Reader, node: sp.Expr) -> Polynomial:
    result = _odd(algebra, node)
    if node.args[0].is_real:
        algebra.signs.update(index for monomial in result for index, _ in monomial)
    return result


def _softplus(algebra: _Reader, node: sp.Expr) -> Polynomial:
    sign, argument = algebra.orient(algebra.convert(node.args[0]))
    result = algebra.opaque(softplus, argument)
    return result if sign > 0 else algebra.add(result, algebra.scale(-1, argument))


def _sign_product(algebra: _Reader, node: sp.Expr) -> Polynomial:
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

_RULES: dict[type[sp.Basic], Callable[[_Reader, sp.Expr], Polynomial]] = {
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
