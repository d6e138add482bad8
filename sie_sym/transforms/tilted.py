r"""The Gaussian mean of one term of the closed class, by tilting.

A term c * x^n * exp(x^T Q x + l.x) * prod_i S_{s_i}(<a_i, x> + b_i) of `normal_form` has, under x ~ N(t, v I), the mean

    c * tilt(t) * [mu + Sigma d/dmu]^n  prod over uncorrelated groups of  E prod_i S_i,

where Sigma = (I/v - 2Q)^{-1}, mu = Sigma (t/v + l), tilt = sqrt(det Sigma / v^N) exp(mu^T Sigma^{-1} mu/2 - |t|^2/(2v))
(Gaussian tilting), the bracket is Stein's rule, and the sign expectations are erf (one) or `SignProduct` (two).
It exists iff I/v - 2Q is positive definite; the function is square-integrable iff I/v - 4Q is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.errors import NoClosedForm
from sie_sym.functions import SignProduct
from sie_sym.integrals.enclosure import decide_sign, decide_zero
from sie_sym.linear_forms import ratio
from sie_sym.transforms.normal_form import Shape
from sie_sym.transforms.smooth_sign import SmoothSign


def positive_definite(matrix: sp.Matrix) -> tuple[bool, tuple[sp.Expr, ...]]:
    """Whether the real part of a symmetric matrix is positive definite, up to minors that parameters decide.

    Returns (False, ()) or (True, the minors that must be positive).
    """
    conditions: list[sp.Expr] = []
    real = matrix.applyfunc(sp.re) if matrix.has(sp.I) else matrix
    for n in range(1, real.rows + 1):
        minor = sp.expand(real[:n, :n].det())
        if minor.free_symbols:
            conditions.append(minor)
        elif decide_sign(minor) != 1:
            return False, ()
    return True, tuple(conditions)


@dataclass(frozen=True)
class SmoothedTerm:
    """The mean of one term under N(t, v I): its data after Gaussian tilting."""

    shape: Shape
    coefficient: sp.Expr
    variance: sp.Expr

    @property
    def _size(self) -> int:
        return len(self.shape.powers)

    @cached_property
    def quadratic(self) -> sp.Matrix:
        """Q."""
        return sp.Matrix(self._size, self._size, list(self.shape.quadratic))

    @cached_property
    def covariance(self) -> sp.Matrix:
        """Sigma = (I/v - 2Q)^{-1}."""
        if not any(self.shape.quadratic):
            return sp.eye(self._size) * self.variance
        return (sp.eye(self._size) / self.variance - 2 * self.quadratic).inv().applyfunc(lowest_terms)

    def mean(self, at: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """mu = Sigma (t/v + l)."""
        if not any(self.shape.quadratic):
            return tuple(t + self.variance * b for t, b in zip(at, self.shape.linear, strict=True))
        pull = (self.covariance / self.variance).applyfunc(lowest_terms)
        shift = (self.covariance * sp.Matrix(self.shape.linear)).applyfunc(lowest_terms)
        return tuple(sp.Add(*(pull[i, j] * t for j, t in enumerate(at)), shift[i]) for i in range(self._size))

    def tilt_exponent(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """(t/v + l)^T Sigma (t/v + l)/2 - |t|^2/(2v) = t^T Q Sigma t/v + t^T Sigma l/v + l^T Sigma l/2."""
        slope = sp.Matrix(self.shape.linear)
        if not any(self.shape.quadratic):
            squares = sp.Add(*(sp.expand(b**2) for b in slope))
            return sp.Add(*(b * t for b, t in zip(slope, at, strict=True))) + sp.expand(squares * self.variance / 2)
        curvature = (self.quadratic * self.covariance / self.variance).applyfunc(lowest_terms)
        pull = (self.covariance * slope / self.variance).applyfunc(lowest_terms)
        constant = lowest_terms((slope.T * self.covariance * slope)[0] / 2)
        pairs = itertools.product(range(self._size), repeat=2)
        return sp.Add(
            *(curvature[i, j] * at[i] * at[j] for i, j in pairs),
            *(b * t for b, t in zip(pull, at, strict=True)),
            constant,
        )

    @cached_property
    def pivots(self) -> tuple[sp.Expr, ...]:
        """The pivots of I - 2vQ: their real parts are positive, so its root determinant is their roots' product."""
        remainder, found = sp.eye(self._size) - 2 * self.variance * self.quadratic, []
        while remainder.rows:
            pivot = lowest_terms(remainder[0, 0])
            found.append(pivot)
            remainder = (remainder[1:, 1:] - remainder[1:, :1] * remainder[:1, 1:] / pivot).applyfunc(lowest_terms)
        return tuple(found)

    @cached_property
    def volume(self) -> sp.Expr:
        """The modulus of sqrt(det Sigma / v^N)."""
        if not any(self.shape.quadratic):
            return sp.Integer(1)
        if not self.quadratic.has(sp.I):
            return 1 / sp.sqrt(lowest_terms(sp.Mul(*self.pivots)))
        squares = (sp.expand(re**2 + im**2) for re, im in map(re_im, self.pivots))
        return sp.expand(sp.Mul(*squares)) ** sp.Rational(-1, 4)

    @cached_property
    def phase(self) -> sp.Expr:
        """The argument of sqrt(det Sigma / v^N)."""
        parts = (re_im(pivot) for pivot in self.pivots) if self.quadratic.has(sp.I) else ()
        return sp.Add(*(-sp.atan(im / re) / 2 for re, im in parts))

    def tilt(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """E exp(x^T Q x + l.x), the factor of the module docstring."""
        return self.volume * sp.exp(sp.expand(self.tilt_exponent(at) + sp.I * self.phase))

    @cached_property
    def groups(self) -> tuple[tuple[SmoothSign, ...], ...]:
        """The smooth signs in uncorrelated groups of one or two."""
        groups: list[list[SmoothSign]] = []
        for atom in self.shape.signs:
            linked = [g for g in groups if any(decide_zero(self._covariance(atom, b)) is not True for b in g)]
            groups = [g for g in groups if g not in linked] + [[atom, *itertools.chain(*linked)]]
        for group in groups:
            complex_tilt = any(entry.has(sp.I) for entry in (*self.shape.quadratic, *self.shape.linear))
            if len(group) > 2 or (len(group) == 2 and complex_tilt):
                names = ", ".join(f"sign of {_form_text(a)}" for a in group)
                raise NoClosedForm(f"no closed form is known for the product of {names}")
        return tuple(tuple(group) for group in groups)

    def _covariance(self, a: SmoothSign, b: SmoothSign) -> sp.Expr:
        """The covariance of the fields of two signs (their noises are independent, also for equal signs)."""
        if not any(self.shape.quadratic):
            shared = (x * y for x, y in zip(a.direction, b.direction, strict=True) if x != 0 and y != 0)
            return sp.expand(self.variance * sp.Add(*shared))
        return sp.expand((sp.Matrix([a.direction]) * self.covariance * sp.Matrix([b.direction]).T)[0])

    def _spread(self, a: SmoothSign) -> sp.Expr:
        """The standard deviation of the field of one sign, its noise included."""
        return sp.sqrt(sp.expand(self._covariance(a, a) + a.noise))

    def sign_mean(self, mu: Sequence[sp.Expr]) -> sp.Expr:
        """E prod_i S_i under N(mu, Sigma)."""
        result = sp.Integer(1)
        for group in self.groups:
            means = [sp.Add(*(a * x for a, x in zip(s.direction, mu, strict=True))) + s.offset for s in group]
            if len(group) == 1:
                variance = self._covariance(group[0], group[0]) + group[0].noise
                result *= sp.erf(means[0] / sp.sqrt(sp.expand(2 * variance)))
            else:
                first, second = group
                correlation = self._covariance(first, second) / (self._spread(first) * self._spread(second))
                scaled = (mean / self._spread(s) for mean, s in zip(means, group, strict=True))
                result *= SignProduct(*scaled, correlation)
        return result

    def derivatives(self, order: int) -> list[sp.Expr]:
        """d^k/dt^k of the mean at t = 0 for k = 0..order, one variable and at most one sign: series, multiplied."""
        (n,), variance = self.shape.powers, self.covariance[0, 0]
        (start,) = self.mean([sp.Integer(0)])
        inner = self._sign_derivatives(start, order + n)
        # Each step is expanded: left as they are, the terms would double from step to step.
        for _ in range(n):  # Stein: E[x f] = (mu + Sigma d/dmu) E f
            inner = [
                sp.expand(start * inner[k] + (k * inner[k - 1] if k else 0) + variance * inner[k + 1], exact=True)
                for k in range(len(inner) - 1)
            ]
        rate = sp.expand(variance / self.variance)  # d mu / dt
        scale = self.coefficient * self.tilt([sp.Integer(0)])
        curvature = sp.expand((rate - 1) / self.variance)
        slope = sp.expand(rate * self.shape.linear[0])
        if curvature == 0 == slope:
            return [scale * rate**k * inner[k] for k in range(order + 1)]
        outer = [sp.Integer(1)]
        for k in range(order):
            outer.append(sp.expand(slope * outer[k] + (k * curvature * outer[k - 1] if k else 0)))
        return [
            scale * sp.Add(*(math.comb(k, j) * outer[k - j] * rate**j * inner[j] for j in range(k + 1)))
            for k in range(order + 1)
        ]

    def _sign_derivatives(self, mu: sp.Expr, order: int) -> list[sp.Expr]:
        if not self.shape.signs:
            return [sp.Integer(1), *[sp.Integer(0)] * order]
        (atom,) = self.shape.signs
        (slope,) = atom.direction
        spread = self._spread(atom)
        at = sp.expand((slope * mu + atom.offset) / spread)
        density = sp.exp(sp.expand(-(at**2) / 2)) / sp.sqrt(2 * sp.pi)
        previous, current = sp.Integer(0), sp.Integer(1)  # He_{k-1}(at)
        values = [sp.erf(at / sp.sqrt(2))]
        for k in range(order):
            values.append(2 * (-1) ** k * current * density * (slope / spread) ** (k + 1))
            previous, current = current, sp.expand(at * current - k * previous)
        return values


def _form_text(atom: SmoothSign) -> str:
    parts = (f"{c}*x{i}" for i, c in enumerate(atom.direction, start=1) if c != 0)
    return f"({' + '.join(parts)} + {atom.offset})"


def lowest_terms(entry: sp.Expr) -> sp.Expr:
    """A fraction in lowest terms, a complex one as re + i im."""
    if not entry.has(sp.I):
        return ratio(*entry.as_numer_denom())
    return sp.expand(entry, complex=True)


def re_im(entry: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The real and the imaginary part."""
    entry = sp.expand(entry, complex=True)
    imaginary = entry.coeff(sp.I)
    return sp.expand(entry - sp.I * imaginary), imaginary


def real_part(expression: sp.Expr) -> sp.Expr:
    """An expression known to be real, with its cancelling imaginary parts removed.

    >>> t = sp.Symbol("t", real=True)
    >>> real_part(sp.exp(sp.I * t) / 2 + sp.exp(-sp.I * t) / 2)
    cos(t)
    """
    if not expression.has(sp.I):
        return expression
    return sp.expand(sp.re(sp.expand(expression, complex=True)))
