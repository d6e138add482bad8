r"""Functions with an elementary Gaussian smoothing, in one normal form.

The closed class is spanned by the terms

    c * x^n * exp(x^T Q x + l.x) * prod_i S_{s_i}(<a_i, x> + b_i),
    S_s(y) = E sign(y + sqrt(s) W) = erf(y / sqrt(2 s)),

with S_0 = sign.  Indeed step, |x|, relu, min and max are polynomials times signs, erf(x) = S_{1/2}(x),
Phi(x) = (1 + S_1(x))/2, and sin, cos, sinh, cosh are exponentials (l complex).  Under x ~ N(t, v I) a term has the mean

    c * tilt(t) * [mu + Sigma d/dmu]^n  prod over uncorrelated groups of  E prod_i S_i,

where Sigma = (I/v - 2Q)^{-1}, mu = Sigma (t/v + l), tilt = sqrt(det Sigma / v^N) exp(mu^T Sigma^{-1} mu/2 - |t|^2/(2v))
(Gaussian tilting), the bracket is Stein's rule, and the sign expectations are erf (one) or `SignProduct` (two).
It exists iff I/v - 2Q is positive definite; the function is square-integrable iff I/v - 4Q is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from sie_sym.enclosure import decide_sign, decide_zero
from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import SignProduct
from sie_sym.linear_forms import ratio
from sie_sym.normal_form import (
    MOST_SHARED_VARIABLES,
    NormalForm,
    Reader,
    Shape,
    SmoothSign,
    add,
    normal_form,
    ordered,
    scale,
)


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
        return (sp.eye(self._size) / self.variance - 2 * self.quadratic).inv().applyfunc(_lowest_terms)

    def mean(self, at: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """mu = Sigma (t/v + l)."""
        if not any(self.shape.quadratic):
            return tuple(t + self.variance * b for t, b in zip(at, self.shape.linear, strict=True))
        pull = (self.covariance / self.variance).applyfunc(_lowest_terms)
        shift = (self.covariance * sp.Matrix(self.shape.linear)).applyfunc(_lowest_terms)
        return tuple(sp.Add(*(pull[i, j] * t for j, t in enumerate(at)), shift[i]) for i in range(self._size))

    def tilt_exponent(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """(t/v + l)^T Sigma (t/v + l)/2 - |t|^2/(2v) = t^T Q Sigma t/v + t^T Sigma l/v + l^T Sigma l/2."""
        slope = sp.Matrix(self.shape.linear)
        if not any(self.shape.quadratic):
            squares = sp.Add(*(sp.expand(b**2) for b in slope))
            return sp.Add(*(b * t for b, t in zip(slope, at, strict=True))) + sp.expand(squares * self.variance / 2)
        curvature = (self.quadratic * self.covariance / self.variance).applyfunc(_lowest_terms)
        pull = (self.covariance * slope / self.variance).applyfunc(_lowest_terms)
        constant = _lowest_terms((slope.T * self.covariance * slope)[0] / 2)
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
            pivot = _lowest_terms(remainder[0, 0])
            found.append(pivot)
            remainder = (remainder[1:, 1:] - remainder[1:, :1] * remainder[:1, 1:] / pivot).applyfunc(_lowest_terms)
        return tuple(found)

    @cached_property
    def volume(self) -> sp.Expr:
        """The modulus of sqrt(det Sigma / v^N)."""
        if not any(self.shape.quadratic):
            return sp.Integer(1)
        if not self.quadratic.has(sp.I):
            return 1 / sp.sqrt(_lowest_terms(sp.Mul(*self.pivots)))
        squares = (sp.expand(re**2 + im**2) for re, im in map(_re_im, self.pivots))
        return sp.expand(sp.Mul(*squares)) ** sp.Rational(-1, 4)

    @cached_property
    def phase(self) -> sp.Expr:
        """The argument of sqrt(det Sigma / v^N)."""
        parts = (_re_im(pivot) for pivot in self.pivots) if self.quadratic.has(sp.I) else ()
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
        for _ in range(n):  # Stein: E[x f] = (mu + Sigma d/dmu) E f
            inner = [
                start * inner[k] + (k * inner[k - 1] if k else 0) + variance * inner[k + 1]
                for k in range(len(inner) - 1)
            ]
        rate = sp.expand(variance / self.variance)  # d mu / dt
        outer = [self.tilt([sp.Integer(0)])]
        curvature = sp.expand((rate - 1) / self.variance)
        slope = sp.expand(rate * self.shape.linear[0])
        for k in range(order):
            outer.append(slope * outer[k] + (k * curvature * outer[k - 1] if k else 0))
        if curvature == 0 == slope:
            return [self.coefficient * outer[0] * rate**k * inner[k] for k in range(order + 1)]
        return [
            self.coefficient * sp.Add(*(math.comb(k, j) * outer[k - j] * rate**j * inner[j] for j in range(k + 1)))
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


def _sign_function(atom: SmoothSign, at: Sequence[sp.Expr]) -> sp.Expr:
    argument = sp.Add(*(a * x for a, x in zip(atom.direction, at, strict=True))) + atom.offset
    return sp.sign(argument) if atom.noise == 0 else sp.erf(argument / sp.sqrt(2 * atom.noise))


def _quadratic_text(shape: Shape, variables: Sequence[sp.Symbol]) -> sp.Expr:
    n = len(variables)
    return sp.Add(*(shape.quadratic[n * i + j] * variables[i] * variables[j] for i in range(n) for j in range(n)))


def _form_text(atom: SmoothSign) -> str:
    parts = (f"{c}*x{i}" for i, c in enumerate(atom.direction, start=1) if c != 0)
    return f"({' + '.join(parts)} + {atom.offset})"


def _lowest_terms(entry: sp.Expr) -> sp.Expr:
    if not entry.has(sp.I):
        return ratio(*entry.as_numer_denom())
    return sp.expand(entry, complex=True)


def _re_im(entry: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
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


def _reflect(shape: Shape, c: sp.Expr) -> NormalForm:
    """A term of h(-x)."""
    signs = ordered(SmoothSign(s.direction, -s.offset, s.noise) for s in shape.signs)
    flips = sum(shape.powers) + len(signs)
    return {Shape(shape.powers, shape.quadratic, tuple(-b for b in shape.linear), signs): (-1) ** flips * c}


def _conjugate(shape: Shape) -> Shape:
    mirror = {sp.I: -sp.I}
    return replace(
        shape,
        quadratic=tuple(q.xreplace(mirror) for q in shape.quadratic),
        linear=tuple(b.xreplace(mirror) for b in shape.linear),
    )


def _hermite_coefficients(n: int, variance: sp.Expr) -> dict[int, sp.Expr]:
    """He_n(x; v) = sum_m w_m x^m."""
    return {n - 2 * j: math.comb(n, 2 * j) * sp.factorial2(2 * j - 1) * (-variance) ** j for j in range(n // 2 + 1)}


def _degree(form: NormalForm) -> int | None:
    if any(any((*shape.quadratic, *shape.linear)) or shape.signs for shape in form):
        return None
    return max((sum(shape.powers) for shape in form), default=-1)


Part = tuple[sp.Expr, sp.Expr]
"""(exponent, function): exp(exponent) * function, the function a product of erf and SignProduct."""


class _Family:
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
            growth, angle = _re_im(tilt + exponent.xreplace(here))
            re, im = _re_im(polynomial.xreplace(here))
            cos, sin, f = sp.cos(angle), sp.sin(angle), function.xreplace(here)
            mirror = f.xreplace({sp.I: -sp.I})
            value = (re * cos - im * sin) * (f + mirror)
            if f != mirror:
                value += sp.I * (re * sin + im * cos) * (f - mirror)
            total.append(sp.exp(growth) * value)
        return self.geometry.volume * sp.Add(*total)


@dataclass(frozen=True)
class Smoothed:
    """G_v h for h in the closed class, in N variables: the sum of its smoothed terms."""

    terms: tuple[SmoothedTerm, ...]
    variables: tuple[sp.Symbol, ...]
    conditions: tuple[sp.Expr, ...]
    square_integrable: bool
    variance: sp.Expr = sp.Integer(1)

    @classmethod
    def of(cls, expression: sp.Expr, variables: Sequence[sp.Symbol], variance: sp.Expr = sp.Integer(1)) -> Smoothed:
        """Read and smooth an expression.

        `conditions` lists what must be positive for the mean to exist when parameters decide it.
        Raises `NoClosedForm` outside the closed class, `DomainError` when the mean does not exist.
        """
        return cls.of_form(normal_form(expression, variables), variables, variance)

    @classmethod
    def of_form(cls, form: NormalForm, variables: Sequence[sp.Symbol], variance: sp.Expr) -> Smoothed:
        """Smooth a normal form (see `of`)."""
        terms = tuple(SmoothedTerm(shape, c, variance) for shape, c in form.items())
        identity = sp.eye(len(variables)) / variance
        conditions: set[sp.Expr] = set()
        square_integrable = True
        for term in terms:
            term.groups  # noqa: B018 - raises NoClosedForm now rather than at the first evaluation
            if not any(term.shape.quadratic):
                continue
            exists, needed = positive_definite(identity - 2 * term.quadratic)
            if not exists:
                raise DomainError(
                    f"exp({_quadratic_text(term.shape, variables)}) has no mean under the Gaussian measure: "
                    "exp(x^T Q x) needs I - 2Q positive definite (and I - 4Q for a finite second moment)"
                )
            conditions.update(needed)
            stronger, needed = positive_definite(identity - 4 * term.quadratic)
            square_integrable = square_integrable and stronger
            conditions.update(needed)
        ordered = tuple(sorted(conditions, key=str))
        return cls(terms, tuple(variables), ordered, square_integrable, variance)

    @cached_property
    def _families(self) -> list[tuple[_Family, dict[tuple[int, ...], sp.Expr], bool]]:
        """Families with their coefficients; a complex one, marked so, stands for its conjugate too."""
        gathered: dict[Shape, dict[tuple[int, ...], sp.Expr]] = {}
        for term in self.terms:
            shape = replace(term.shape, powers=(0,) * len(self.variables))
            gathered.setdefault(shape, {})[term.shape.powers] = term.coefficient
        families, done = [], set()
        for shape, coefficients in gathered.items():
            if shape in done:
                continue
            mirror = _conjugate(shape)
            done.add(mirror)
            if mirror == shape:  # h is real, hence so are the coefficients
                coefficients = {n: real_part(c) for n, c in coefficients.items()}
            families.append((_Family(SmoothedTerm(shape, sp.Integer(1), self.variance)), coefficients, mirror != shape))
        return families

    def expression(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """G_v h (t) in closed form."""
        return sp.Add(
            *(
                family.doubled_real_part(coefficients, at) if conjugate else family.real_value(coefficients, at)
                for family, coefficients, conjugate in self._families
            )
        )

    def coefficient(self, powers: Mapping[int, int]) -> sp.Expr:
        """d^alpha G_v h (0) = E h(x) He_alpha(x; v) / v^|alpha|, alpha by position 1..N, by moments of each family."""
        factors = [(l - 1, _hermite_coefficients(n, self.variance)) for l, n in powers.items() if n]
        total, origin = [], [sp.Integer(0)] * len(self.variables)
        for family, coefficients, conjugate in self._families:
            for part, monomials in self._by_support(family, coefficients, {i for i, _ in factors}):
                weighted = monomials
                for i, hermite in factors:
                    raised: dict[tuple[int, ...], list[sp.Expr]] = {}
                    for old, c in weighted.items():
                        for m, weight in hermite.items():
                            raised.setdefault((*old[:i], old[i] + m, *old[i + 1 :]), []).append(c * weight)
                    weighted = {new: sp.Add(*terms) for new, terms in raised.items()}
                mean = part.doubled_real_part if conjugate else part.real_value
                total.append(mean(weighted, origin))
        return sp.expand(sp.Add(*total) / self.variance ** sum(powers.values()), power_exp=False)

    def _by_support(
        self, family: _Family, coefficients: dict[tuple[int, ...], sp.Expr], raised: set[int]
    ) -> Iterator[tuple[_Family, dict[tuple[int, ...], sp.Expr]]]:
        """In many uncorrelated variables: the monomials by the variables they raise, the others frozen."""
        size = len(self.variables)
        if size <= MOST_SHARED_VARIABLES or any(family.geometry.shape.quadratic):
            yield family, coefficients
            return
        supports: dict[frozenset[int], dict[tuple[int, ...], sp.Expr]] = {}
        for powers, c in coefficients.items():
            support = frozenset(i for i, n in enumerate(powers) if n)
            supports.setdefault(support, {})[powers] = c
        for support, monomials in supports.items():
            yield _Family(family.geometry, frozenset(range(size)) - support - raised), monomials

    @cached_property
    def is_constant(self) -> bool:
        """Whether h itself is constant."""
        return all(
            not any((*t.shape.powers, *t.shape.quadratic, *t.shape.linear)) and not t.shape.signs for t in self.terms
        )

    @cached_property
    def parity_degrees(self) -> tuple[int | None, int | None]:
        """The degrees of the even and the odd part of h, None for a part that is no polynomial (-1 if zero).

        Beyond it all tensors of even (odd) order vanish.
        """
        halves = {t.shape: t.coefficient / 2 for t in self.terms}
        reflected = add(_reflect(shape, c) for shape, c in halves.items())
        return tuple(_degree(add([halves, scale(side, reflected)])) for side in (1, -1))  # type: ignore[return-value]

    def derivatives(self, order: int) -> list[sp.Expr]:
        """d^k/dt^k G_v h (0), k = 0..order, for one variable."""
        plain = all(len(t.shape.signs) < 2 and _conjugate(t.shape) == t.shape for t in self.terms)
        if not plain:
            return [self.coefficient({1: k}) for k in range(order + 1)]
        columns = [t.derivatives(order) for t in self.terms]
        return [sp.expand(real_part(sp.Add(*(column[k] for column in columns)))) for k in range(order + 1)]

    def function(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """h itself at x = `at`, from its normal form."""
        values = []
        for term in self.terms:
            shape, n = term.shape, len(at)
            exponent = sp.Add(
                *(shape.quadratic[n * i + j] * at[i] * at[j] for i in range(n) for j in range(n)),
                *(b * x for b, x in zip(shape.linear, at, strict=True)),
            )
            signs = sp.Mul(*(_sign_function(s, at) for s in shape.signs))
            monomial = sp.Mul(*(x**k for x, k in zip(at, shape.powers, strict=True)))
            values.append(term.coefficient * monomial * sp.exp(exponent) * signs)
        return real_part(sp.Add(*values))

    def second_moment(self) -> sp.Expr:
        """E h^2 under N(0, v I).  Raises `DomainError` if it is infinite, `NoClosedForm` outside the class."""
        form = {term.shape: term.coefficient for term in self.terms}
        square = Smoothed.of_form(Reader(self.variables).product(form, form), self.variables, self.variance)
        return square.expression([sp.Integer(0)] * len(self.variables))
