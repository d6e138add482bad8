r"""Tokens and the named functions of the formula grammar that SymPy lacks, as unevaluated real nodes.

Tokens are the symbols z1, z2, ... (`token(l)`); inside a `sympy.Sum` or `sympy.Product` over tokens the
l-th one is `TOKENS[l]`.  The nodes print, differentiate and expand; their Gaussian transforms are the
business of `weierstrass`.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from mpmath.libmp import prec_to_dps

TOKENS = sp.IndexedBase("z", real=True)
"""`TOKENS[l]` is the l-th token where l is the index of a structured sum or product."""


def token(index: int) -> sp.Symbol:
    """The symbol z_index (1-based) of one token's local field.

    >>> token(3)
    z3
    """
    return sp.Symbol(f"z{index}", real=True)


def token_index(symbol: sp.Basic) -> int | None:
    """The 1-based index of a token symbol, None for any other object.

    >>> token_index(token(12)), token_index(sp.Symbol("w", real=True))
    (12, None)
    """
    if isinstance(symbol, sp.Symbol) and symbol.is_real:
        name = symbol.name
        if name[:1] == "z" and name[1:].isdigit() and name[1] != "0":
            return int(name[1:])
    return None


def _raised(text: str, exp: str | None) -> str:
    """SymPy's LaTeX printer hands the exponent of a power of a function down to the function."""
    return text if exp is None else f"{text}^{{{exp}}}"


class RealFunction(sp.Function):
    """A named function of real arguments with real values."""

    def _eval_is_real(self) -> bool | None:
        return all(argument.is_real for argument in self.args) or None

    def _definition(self) -> sp.Expr | None:
        """The function in terms of SymPy's own, for numerical evaluation only."""
        return None

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        definition = self._definition() if self.is_number else None
        if definition is None:
            return super()._eval_evalf(prec)
        value = definition.evalf(prec_to_dps(prec) + 5)
        return value.evalf(prec_to_dps(prec)) if value.is_Float or value.is_Rational else None


_MOST_EVALUATED = 100  # the digits of He_k(p/q) grow like k log q


class He(RealFunction):
    r"""Probabilists' Hermite polynomial He_k(x): He_0 = 1, He_1 = x, He_{k+1} = x He_k - k He_{k-1}.

    >>> He(4, token(1)).expand(func=True)
    z1**4 - 6*z1**2 + 3
    """

    nargs = 2

    @classmethod
    def eval(cls, k: sp.Expr, x: sp.Expr) -> sp.Expr | None:
        """The value at a rational point: an unevaluated zero would have to be proved wherever it goes."""
        if k.is_Integer and 0 <= int(k) <= _MOST_EVALUATED and x.is_Rational:
            return hermite_polynomial(int(k), x)
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """d He_k(x)/dx = k He_{k-1}(x)."""
        k, x = self.args
        if argindex != 2:
            raise sp.ArgumentIndexError(self, argindex)
        return k * He(k - 1, x) if k != 0 else sp.Integer(0)

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        k, x = self.args
        if not (self.is_number and k.is_Integer):
            return None
        # Where the recurrence cancels, |x| < 2 sqrt k, its terms stay below 2^(10 k).
        dps = prec_to_dps(prec)
        x = x if x.is_Rational else x.evalf(dps + 20 + 3 * int(k))
        if not (x.is_Rational or x.is_Float):
            return None
        previous, current = sp.Integer(0), sp.Integer(1)
        for n in range(int(k)):
            previous, current = current, x * current - n * previous
        return current.evalf(dps)

    def _eval_expand_func(self, **hints: Any) -> sp.Expr:
        k, x = self.args
        return hermite_polynomial(int(k), x) if k.is_Integer else self

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        k, x = self.args
        return _raised(rf"\mathrm{{He}}_{{{printer.doprint(k)}}}\left({printer.doprint(x)}\right)", exp)


def hermite_polynomial(k: int, x: sp.Expr, variance: sp.Expr = sp.Integer(1)) -> sp.Expr:
    r"""He_k(x; s) = s^{k/2} He_k(x / sqrt s), expanded: the Hermite polynomial of variance s.

    >>> hermite_polynomial(2, token(1), sp.Symbol("s"))
    -s + z1**2
    """
    previous, current = sp.Integer(0), sp.Integer(1)
    for n in range(k):
        previous, current = current, sp.expand(x * current - n * variance * previous)
    return current


class relu(RealFunction):
    """max(x, 0)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The step function (1/2 at 0)."""
        return sp.Heaviside(self.args[0])

    def _definition(self) -> sp.Expr:
        return sp.Max(self.args[0], 0)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _raised(rf"\mathrm{{relu}}\left({printer.doprint(self.args[0])}\right)", exp)


class Phi(RealFunction):
    """The standard normal distribution function."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The standard normal density."""
        return sp.exp(-(self.args[0] ** 2) / 2) / sp.sqrt(2 * sp.pi)

    def _definition(self) -> sp.Expr:
        return sp.erfc(-self.args[0] / sp.sqrt(2)) / 2

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _raised(rf"\Phi\left({printer.doprint(self.args[0])}\right)", exp)


class gelu(RealFunction):
    """x Phi(x)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Phi(x) + x phi(x)."""
        x = self.args[0]
        return Phi(x) + x * sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)

    def _definition(self) -> sp.Expr:
        return self.args[0] * Phi(self.args[0])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _raised(rf"\mathrm{{gelu}}\left({printer.doprint(self.args[0])}\right)", exp)


class sigmoid(RealFunction):
    """1 / (1 + exp(-x))."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """sigmoid (1 - sigmoid)."""
        return self * (1 - self)

    def _definition(self) -> sp.Expr:
        return 1 / (1 + sp.exp(-self.args[0]))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _raised(rf"\mathrm{{sigmoid}}\left({printer.doprint(self.args[0])}\right)", exp)


class softplus(RealFunction):
    """log(1 + exp(x))."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The sigmoid."""
        return sigmoid(self.args[0])

    def _definition(self) -> sp.Expr:
        # log(1 + y) = 2 artanh(y / (2 + y)): SymPy evaluates log(1 + exp(-100)) to 0.
        x = self.args[0]
        small = sp.exp(-sp.Abs(x))
        return sp.Max(x, 0) + 2 * sp.atanh(small / (2 + small))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _raised(rf"\mathrm{{softplus}}\left({printer.doprint(self.args[0])}\right)", exp)


class SignProduct(RealFunction):
    r"""E sign(A) sign(B) for (A, B) Gaussian, means (h, k), unit variances, correlation rho.

    Not elementary unless h = k = 0, where it is (2/pi) arcsin(rho) (Sheppard), or rho = 0, where it is
    erf(h/sqrt 2) erf(k/sqrt 2).  Both partial derivatives are elementary: conditioning on A = 0,
    d/dh = 2 phi(h) erf((k - rho h) / sqrt(2 (1 - rho^2))), and d/drho = 4 phi_2(h, k; rho) (Plackett).
    """

    nargs = 3

    @classmethod
    def eval(cls, h: sp.Expr, k: sp.Expr, rho: sp.Expr) -> sp.Expr | None:
        """The two elementary cases."""
        if rho == 0:
            return sp.erf(h / sp.sqrt(2)) * sp.erf(k / sp.sqrt(2))
        if h == 0 and k == 0:
            return 2 * sp.asin(rho) / sp.pi
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The elementary derivatives of the class docstring."""
        h, k, rho = self.args
        if argindex == 3:
            quadratic = (h**2 - 2 * rho * h * k + k**2) / (2 * (1 - rho**2))
            return 2 * sp.exp(-quadratic) / (sp.pi * sp.sqrt(1 - rho**2))
        if argindex == 2:
            h, k = k, h
        density = sp.exp(-(h**2) / 2) / sp.sqrt(2 * sp.pi)
        return 2 * density * sp.erf((k - rho * h) / sp.sqrt(2 * (1 - rho**2)))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        h, k, rho = (printer.doprint(argument) for argument in self.args)
        return _raised(rf"\mathrm{{S}}\left({h}, {k}; {rho}\right)", exp)


class softmax(RealFunction):
    r"""softmax(k, x_1, ..., x_n) = exp(x_k) / sum_j exp(x_j); two arguments give the sigmoid of a difference.

    >>> softmax(1, token(1)**2, token(1)*token(2))
    sigmoid(z1*(z1 - z2))
    """

    @classmethod
    def eval(cls, k: sp.Integer, *scores: sp.Expr) -> sp.Expr | None:
        """The elementary cases n = 1, 2."""
        if len(scores) == 1:
            return sp.Integer(1)
        if len(scores) == 2:
            return sigmoid(sp.factor_terms(scores[int(k) - 1] - scores[2 - int(k)]))
        return None

    def _definition(self) -> sp.Expr:
        k, *scores = self.args
        return 1 / sp.Add(*(sp.exp(x - scores[int(k) - 1]) for x in scores))

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """S_k (delta_kj - S_j)."""
        k, *scores = self.args
        other = softmax(sp.Integer(argindex - 1), *scores)
        return self * (sp.Integer(int(k == argindex - 1)) - other)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        k, *scores = (printer.doprint(argument) for argument in self.args)
        return _raised(rf"\mathrm{{softmax}}_{{{k}}}\left({', '.join(scores)}\right)", exp)
