r"""Stein's rule: the moments of a tilted Gaussian, for all monomials of a family at once.

E x_i f = (mu_i + sum_j Sigma_ij d/dmu_j) E f under N(mu, Sigma), so that the mean of every monomial times one
exponential and one product of signs follows from the mean of the signs alone (`tilted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sympy as sp

from sie_sym.functions import SignProduct
from sie_sym.tilted import SmoothedTerm, re_im

Part = tuple[sp.Expr, sp.Expr]
"""(exponent, function): exp(exponent) * function, the function a product of erf and SignProduct."""


class Family:
    """The terms that differ in their powers alone: a polynomial times one exponential and one product of signs.

    Variables that no power raises may be `frozen` at t = 0 where Sigma is diagonal: no derivative in them is needed.
    """

    def __init__(self, geometry: SmoothedTerm, frozen: frozenset[int] = frozenset()) -> None:
        self.geometry = geometry
        start = geometry.mean([sp.Integer(0)] * len(geometry.shape.powers)) if frozen else ()
        self.mu = tuple(
            start[i] if i in frozen else sp.Dummy(f"mu{i}", real=True) for i in range(len(geometry.shape.powers))
        )
        self.free = {i: x for i, x in enumerate(self.mu) if i not in frozen}
        self.moments: dict[tuple[int, ...], dict[Part, sp.Expr]] = {
            (0,) * len(self.mu): {(sp.Integer(0), geometry.sign_mean(self.mu)): sp.Integer(1)}
        }
        self.forms: dict[sp.Expr, sp.Expr] = {}
        """Expanded exponent -> the first way it was written, usually a negative square."""
        self.rules: dict[tuple[Part, sp.Symbol], tuple[sp.Expr, tuple[tuple[Part, sp.Expr], ...]]] = {}
        """The slopes of exponents and functions met so far."""

    def moment(self, powers: tuple[int, ...]) -> dict[Part, sp.Expr]:
        """E x^n prod S under N(mu, Sigma), by Stein's rule: the polynomials in mu that multiply each part."""
        if powers not in self.moments:
            i = next(i for i, n in enumerate(powers) if n)
            lower = self.moment((*powers[:i], powers[i] - 1, *powers[i + 1 :]))
            sums: dict[Part, list[sp.Expr]] = {}
            for part, polynomial in lower.items():
                sums.setdefault(part, []).append(self.mu[i] * polynomial)
                for j, x in self.free.items():
                    pull = self.geometry.covariance[i, j] if any(self.geometry.shape.quadratic) else None
                    pull = pull if pull is not None else (self.geometry.variance if i == j else sp.Integer(0))
                    if pull != 0:
                        for other, slope in self.slope(part, polynomial, x):
                            sums.setdefault(other, []).append(pull * slope)
            total = {part: sp.expand_mul(sp.Add(*terms)) for part, terms in sums.items()}
            self.moments[powers] = {part: polynomial for part, polynomial in total.items() if polynomial != 0}
        return self.moments[powers]

    def slope(self, part: Part, polynomial: sp.Expr, x: sp.Symbol) -> Iterator[tuple[Part, sp.Expr]]:
        """d/dx of polynomial * exp(exponent) * function."""
        if (part, x) not in self.rules:
            self.rules[part, x] = sp.diff(part[0], x), tuple(self.function_slope(part, x))
        growth, others = self.rules[part, x]
        own = sp.diff(polynomial, x) + polynomial * growth
        if own != 0:
            yield part, own
        for other, coefficient in others:
            yield other, polynomial * coefficient

    def function_slope(self, part: Part, x: sp.Symbol) -> Iterator[tuple[Part, sp.Expr]]:
        """exp(exponent) * d/dx function."""
        exponent, function = part
        if not function.has(x):
            return
        for term in sp.Add.make_args(sp.expand_mul(sp.diff(function, x))):
            coefficient, new_exponent, new_function = sp.Integer(1), exponent, sp.Integer(1)
            for factor in sp.Mul.make_args(term):
                if isinstance(factor, sp.exp):
                    new_exponent += factor.args[0]
                elif factor.has(sp.erf, SignProduct):
                    new_function *= factor
                else:
                    coefficient *= factor
            new_exponent = self.forms.setdefault(sp.expand(new_exponent), new_exponent)
            yield (new_exponent, new_function), coefficient

    def parts(self, coefficients: Mapping[tuple[int, ...], sp.Expr]) -> dict[Part, sp.Expr]:
        """sum_n c_n E x^n prod S, by parts."""
        sums: dict[Part, list[sp.Expr]] = {}
        for powers, c in coefficients.items():
            for part, polynomial in self.moment(powers).items():
                sums.setdefault(part, []).append(c * polynomial)
        return {part: sp.expand_mul(sp.Add(*terms)) for part, terms in sums.items()}

    def real_value(self, coefficients: Mapping[tuple[int, ...], sp.Expr], at: Sequence[sp.Expr]) -> sp.Expr:
        """The mean where everything is real."""
        means = self.geometry.mean(at)
        here = {x: means[i] for i, x in self.free.items()}
        tilt = self.geometry.tilt_exponent(at)
        return self.geometry.volume * sp.Add(
            *(
                polynomial.xreplace(here) * sp.exp(tilt + exponent.xreplace(here)) * function.xreplace(here)
                for (exponent, function), polynomial in self.parts(coefficients).items()
            )
        )

    def doubled_real_part(self, coefficients: Mapping[tuple[int, ...], sp.Expr], at: Sequence[sp.Expr]) -> sp.Expr:
        """Twice the real part of the mean: the family and its conjugate together."""
        means = self.geometry.mean(at)
        here = {x: means[i] for i, x in self.free.items()}
        values = list(coefficients.values())
        turns = [tuple(f for f in sp.Mul.make_args(c) if isinstance(f, sp.exp)) for c in values]
        turn = turns[0] if all(other == turns[0] for other in turns) else ()
        reduced = {n: c / sp.Mul(*turn) for n, c in coefficients.items()}
        tilt = self.geometry.tilt_exponent(at) + sp.Add(*(f.args[0] for f in turn)) + sp.I * self.geometry.phase
        total = []
        for (exponent, function), polynomial in self.parts(reduced).items():
            growth, angle = re_im(tilt + exponent.xreplace(here))
            re, im = re_im(polynomial.xreplace(here))
            cos, sin, f = sp.cos(angle), sp.sin(angle), function.xreplace(here)
            mirror = f.xreplace({sp.I: -sp.I})
            value = (re * cos - im * sin) * (f + mirror)
            if f != mirror:
                value += sp.I * (re * sin + im * cos) * (f - mirror)
            total.append(sp.exp(growth) * value)
        return self.geometry.volume * sp.Add(*total)
