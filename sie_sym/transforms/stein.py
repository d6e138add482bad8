r"""Stein's rule: the moments of a tilted Gaussian, for all monomials of a family at once.

E x_i f = (mu_i + sum_j Sigma_ij d/dmu_j) E f under N(mu, Sigma), so that the mean of every monomial times one
exponential and one product of signs follows from the mean of the signs alone (`tilted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sympy as sp

from sie_sym.functions import SignProduct
from sie_sym.transforms.tilted import SmoothedTerm, re_im

Part = tuple[sp.Expr, sp.Expr]
"""(exponent, function): exp(exponent) * function, the function a product of erf and SignProduct."""
Powers = tuple[int, ...]
Polynomial = dict[Powers, sp.Expr]
"""A polynomial in the means by the powers of its monomials."""


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
        one = (0,) * len(self.mu)
        self.moments: dict[Powers, dict[Part, Polynomial]] = {
            one: {(sp.Integer(0), geometry.sign_mean(self.mu)): {one: sp.Integer(1)}}
        }
        self.forms: dict[sp.Expr, sp.Expr] = {}
        """Expanded exponent -> the first way it was written, usually a negative square."""
        self.rules: dict[tuple[Part, int], tuple[Polynomial, tuple[tuple[Part, Polynomial], ...]]] = {}
        """The slopes of exponents and functions met so far."""

    def moment(self, powers: Powers) -> dict[Part, Polynomial]:
        """E x^n prod S under N(mu, Sigma), by Stein's rule: the polynomials in mu that multiply each part."""
        if powers not in self.moments:
            i = next(i for i, n in enumerate(powers) if n)
            lower = self.moment(_moved(powers, i, -1))
            sums: dict[Part, dict[Powers, list[sp.Expr]]] = {}
            for part, polynomial in lower.items():
                _gather(sums, part, self._times_mean(polynomial, i))
                for j in self.free:
                    pull = self.geometry.covariance[i, j] if any(self.geometry.shape.quadratic) else None
                    pull = pull if pull is not None else (self.geometry.variance if i == j else sp.Integer(0))
                    if pull != 0:
                        for other, slope in self.slope(part, polynomial, j):
                            _gather(sums, other, slope, pull)
            total = {part: {n: _sum(terms) for n, terms in entries.items()} for part, entries in sums.items()}
            kept = {part: {n: c for n, c in entries.items() if c != 0} for part, entries in total.items()}
            self.moments[powers] = {part: entries for part, entries in kept.items() if entries}
        return self.moments[powers]

    def _times_mean(self, polynomial: Polynomial, i: int) -> Polynomial:
        if i not in self.free:
            return {n: self.mu[i] * c for n, c in polynomial.items()}
        return {_moved(n, i, 1): c for n, c in polynomial.items()}

    def slope(self, part: Part, polynomial: Polynomial, j: int) -> Iterator[tuple[Part, Polynomial]]:
        """d/dmu_j of polynomial * exp(exponent) * function."""
        if (part, j) not in self.rules:
            others = ((other, self._read(c)) for other, c in self.function_slope(part, self.free[j]))
            self.rules[part, j] = self._read(sp.diff(part[0], self.free[j])), tuple(others)
        growth, slopes = self.rules[part, j]
        yield part, {_moved(n, j, -1): n[j] * c for n, c in polynomial.items() if n[j]}
        for other, factor in ((part, growth), *slopes):
            for m, weight in factor.items():
                yield other, {tuple(map(sum, zip(n, m, strict=True))): c * weight for n, c in polynomial.items()}

    def _read(self, expression: sp.Expr) -> Polynomial:
        """The coefficients of a polynomial in the free means."""
        found: dict[Powers, list[sp.Expr]] = {}
        for term in sp.Add.make_args(sp.expand_mul(expression)):
            constant, monomial = term.as_independent(*self.free.values(), as_Add=False)
            degrees = monomial.as_powers_dict()
            found.setdefault(tuple(int(degrees.get(x, 0)) for x in self.mu), []).append(constant)
        return {n: c for n, terms in found.items() if (c := sp.Add(*terms)) != 0}

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

    def parts(self, coefficients: Mapping[Powers, sp.Expr]) -> dict[Part, sp.Expr]:
        """sum_n c_n E x^n prod S, by parts."""
        sums: dict[Part, dict[Powers, list[sp.Expr]]] = {}
        for powers, c in coefficients.items():
            for part, polynomial in self.moment(powers).items():
                _gather(sums, part, polynomial, c)
        return {
            part: sp.expand_mul(
                sp.Add(*(sp.Add(*terms) * sp.Mul(*map(sp.Pow, self.mu, n)) for n, terms in entries.items()))
            )
            for part, entries in sums.items()
        }

    def real_value(self, coefficients: Mapping[Powers, sp.Expr], at: Sequence[sp.Expr]) -> sp.Expr:
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

    def doubled_real_part(self, coefficients: Mapping[Powers, sp.Expr], at: Sequence[sp.Expr]) -> sp.Expr:
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


def _moved(powers: Powers, i: int, by: int) -> Powers:
    return (*powers[:i], powers[i] + by, *powers[i + 1 :])


def _gather(
    sums: dict[Part, dict[Powers, list[sp.Expr]]], part: Part, polynomial: Polynomial, factor: sp.Expr = sp.Integer(1)
) -> None:
    """Note factor * polynomial as a summand of a part."""
    entries = sums.setdefault(part, {})
    for n, c in polynomial.items():
        entries.setdefault(n, []).append(factor * c)


def _sum(terms: Sequence[sp.Expr]) -> sp.Expr:
    total = sp.Add(*terms)
    return total if total.is_Rational else sp.expand_mul(total)
