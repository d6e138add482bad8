r"""Functions with an elementary Gaussian smoothing, in one normal form.

The closed class is spanned by the terms

    c * x^n * exp(x^T Q x + l.x) * prod_i S_{s_i}(<a_i, x> + b_i),    S_s(y) = E sign(y + sqrt(s) W) = erf(y / sqrt(2 s)),

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import sympy as sp

from sie_sym.enclosure import decide_sign, decide_zero
from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, SignProduct, gelu, hermite_polynomial, relu

TERM_BUDGET = 3000
"""The largest number of terms that a normal form may have."""


@dataclass(frozen=True)
class SmoothSign:
    """S_s(<a, x> + b), scaled so that the first non-zero entry of a is 1."""

    direction: tuple[sp.Expr, ...]
    offset: sp.Expr
    noise: sp.Expr


@dataclass(frozen=True)
class Shape:
    """A term without its coefficient: powers n, quadratic form Q (rows), linear form l, smooth signs."""

    powers: tuple[int, ...]
    quadratic: tuple[sp.Expr, ...]
    linear: tuple[sp.Expr, ...]
    signs: tuple[SmoothSign, ...] = ()


NormalForm = dict[Shape, sp.Expr]


class _Reader:
    """Rewrites an expression in some variables as a normal form."""

    def __init__(self, variables: Sequence[sp.Symbol]) -> None:
        self.variables = tuple(variables)
        self.size = len(self.variables)
        zero = sp.Integer(0)
        self.blank = Shape((0,) * self.size, (zero,) * self.size**2, (zero,) * self.size)

    def constant(self, value: sp.Expr) -> NormalForm:
        return {self.blank: value} if value != 0 else {}

    def read(self, e: sp.Expr) -> NormalForm:
        """The normal form of e.  Raises `NoClosedForm`, naming the part that has none."""
        if not e.has(*self.variables):
            return self.constant(e)
        if e in self.variables:
            powers = tuple(int(e == x) for x in self.variables)
            return {Shape(powers, self.blank.quadratic, self.blank.linear): sp.Integer(1)}
        if isinstance(e, sp.Add):
            return add(self.read(argument) for argument in e.args)
        if isinstance(e, sp.Mul):
            return reduce(self.product, (self.read(argument) for argument in e.args))
        if isinstance(e, sp.Pow) and e.exp.is_Integer and int(e.exp) > 0:
            return self.power(e.base, int(e.exp))
        if isinstance(e, sp.exp):
            return self.exponential(e.args[0])
        if isinstance(e, He) and e.args[0].is_Integer:
            return self.read(sp.expand(hermite_polynomial(int(e.args[0]), e.args[1])))
        return self.function(e)

    def function(self, e: sp.Expr) -> NormalForm:
        """The functions of one argument that reduce to signs and exponentials."""
        half, i = sp.Rational(1, 2), sp.I
        if isinstance(e, (sp.Max, sp.Min)):
            return self.extremum(e)
        if len(e.args) == 1 or isinstance(e, sp.Heaviside):
            x = e.args[0]
            match e:
                case sp.Abs():
                    return self.product(self.read(x), self.sign(x))
                case sp.sign():
                    return self.sign(x)
                case sp.Heaviside():
                    return add([self.constant(half), scale(half, self.sign(x))])
                case relu():
                    return scale(half, add([self.read(x), self.product(self.read(x), self.sign(x))]))
                case sp.erf():
                    return self.smooth_sign(x, half)
                case Phi():
                    return add([self.constant(half), scale(half, self.smooth_sign(x, sp.Integer(1)))])
                case gelu():
                    return self.product(self.read(x), self.read(Phi(x)))
                case sp.cos():
                    return scale(half, add([self.exponential(i * x), self.exponential(-i * x)]))
                case sp.sin():
                    return scale(-i * half, add([self.exponential(i * x), scale(-1, self.exponential(-i * x))]))
                case sp.cosh():
                    return scale(half, add([self.exponential(x), self.exponential(-x)]))
                case sp.sinh():
                    return scale(half, add([self.exponential(x), scale(-1, self.exponential(-x))]))
        raise NoClosedForm(f"no closed form is known for the Gaussian smoothing of {e}")

    def extremum(self, e: sp.Expr) -> NormalForm:
        first, *rest = e.args
        other = rest[0] if len(rest) == 1 else e.func(*rest)
        gap = self.read(sp.Abs(sp.expand(first - other)))
        side = 1 if isinstance(e, sp.Max) else -1
        return scale(sp.Rational(1, 2), add([self.read(first), self.read(other), scale(side, gap)]))

    def affine(self, e: sp.Expr) -> tuple[tuple[sp.Expr, ...], sp.Expr] | None:
        """(a, b) with e = <a, x> + b, or None."""
        e = sp.expand(e)
        slope = tuple(e.coeff(x, 1) for x in self.variables)
        offset = sp.expand(e - sp.Add(*(c * x for c, x in zip(slope, self.variables, strict=True))))
        if any(part.has(*self.variables) for part in (*slope, offset)):
            return None
        return slope, offset

    def sign(self, argument: sp.Expr) -> NormalForm:
        """sign of a product of affine and definite factors is the product of their signs."""
        if argument.is_positive:
            return self.constant(sp.Integer(1))
        if self.affine(argument) is not None:
            return self.smooth_sign(argument, sp.Integer(0))
        factored = sp.factor(argument)
        result = self.constant(sp.Integer(1))
        for factor in sp.Mul.make_args(factored):
            base, exponent = factor.as_base_exp()
            if exponent.is_Integer and int(exponent) % 2 == 0 and base.is_real:
                continue
            if exponent.is_Integer and int(exponent) > 0:
                factor = base
            if not factor.has(*self.variables):
                result = scale(sp.sign(factor), result)
            elif isinstance(factor, sp.Abs) or factor.is_positive or factor.is_nonnegative:
                continue
            elif self.affine(factor) is not None:
                result = self.product(result, self.smooth_sign(factor, sp.Integer(0)))
            else:
                raise NoClosedForm(
                    f"no closed form is known for the Gaussian smoothing of sign({argument}): "
                    f"{factor} is neither affine nor of one sign"
                )
        return result

    def smooth_sign(self, argument: sp.Expr, noise: sp.Expr) -> NormalForm:
        """S_noise(argument), argument affine."""
        form = self.affine(argument)
        if form is None:
            raise NoClosedForm(f"no closed form is known: the argument {argument} is not affine in the tokens")
        slope, offset = form
        lead = next((c for c in slope if c != 0), None)
        if lead is None:
            value = sp.sign(offset) if noise == 0 else sp.erf(offset / sp.sqrt(2 * noise))
            return self.constant(value)
        direction = tuple(sp.expand(c / lead) for c in slope)
        atom = SmoothSign(direction, sp.expand(offset / lead), sp.expand(noise / lead**2))
        return {Shape(self.blank.powers, self.blank.quadratic, self.blank.linear, (atom,)): sp.sign(lead)}

    def exponential(self, argument: sp.Expr) -> NormalForm:
        """exp of a polynomial of degree at most two."""
        e, n = sp.expand(argument), self.size
        quadratic = [sp.diff(e, x, y) / 2 for x in self.variables for y in self.variables]
        if any(entry.has(*self.variables) for entry in quadratic):
            raise NoClosedForm(f"no closed form is known for exp({argument}): the exponent is not quadratic")
        at_zero = dict.fromkeys(self.variables, sp.Integer(0))
        linear = tuple(sp.diff(e, x).subs(at_zero) for x in self.variables)
        shape = Shape((0,) * n, tuple(map(sp.expand, quadratic)), linear)
        return {shape: sp.exp(e.subs(at_zero))}

    def power(self, base: sp.Expr, exponent: int) -> NormalForm:
        if isinstance(base, sp.Abs) and exponent % 2 == 0:
            base = base.args[0]
        square, result = self.read(base), self.constant(sp.Integer(1))
        while exponent:
            if exponent % 2:
                result = self.product(result, square)
            exponent //= 2
            if exponent:
                square = self.product(square, square)
        return result

    def product(self, left: NormalForm, right: NormalForm) -> NormalForm:
        """Multiply, merging parallel signs."""
        if len(left) * len(right) > TERM_BUDGET:
            raise NoClosedForm(f"the product expands to more than {TERM_BUDGET} terms")
        parts: list[NormalForm] = []
        for (p, c), (q, d) in itertools.product(left.items(), right.items()):
            shape = Shape(
                tuple(map(int.__add__, p.powers, q.powers)),
                tuple(a + b for a, b in zip(p.quadratic, q.quadratic, strict=True)),
                tuple(a + b for a, b in zip(p.linear, q.linear, strict=True)),
            )
            for signs, sign in merge_signs((*p.signs, *q.signs)).items():
                parts.append({Shape(shape.powers, shape.quadratic, shape.linear, signs): c * d * sign})
        return add(parts)


def merge_signs(atoms: Iterable[SmoothSign]) -> dict[tuple[SmoothSign, ...], int]:
    """A product of smooth signs as a combination of products without two parallel sharp ones.

    Thresholds c1 < c2 obey sign(x - c1) sign(x - c2) = 1 - sign(x - c1) + sign(x - c2), and sign^2 = 1 almost surely.
    """
    result: dict[tuple[SmoothSign, ...], int] = {(): 1}
    for atom in atoms:
        after: dict[tuple[SmoothSign, ...], int] = {}
        for signs, factor in result.items():
            for product, weight in _times(signs, atom).items():
                after[product] = after.get(product, 0) + factor * weight
        result = {signs: factor for signs, factor in after.items() if factor}
    return result


def _times(signs: tuple[SmoothSign, ...], atom: SmoothSign) -> dict[tuple[SmoothSign, ...], int]:
    twin = next((s for s in signs if s.direction == atom.direction and s.noise == atom.noise == 0), None)
    if twin is None:
        return {tuple(sorted((*signs, atom), key=repr)): 1}
    others = tuple(s for s in signs if s is not twin)
    gap = decide_sign(atom.offset - twin.offset)
    if gap is None:
        raise NoClosedForm(f"cannot order the thresholds {-twin.offset} and {-atom.offset}: fix their parameters")
    if gap == 0:
        return {others: 1}
    low, high = (atom, twin) if gap > 0 else (twin, atom)  # the larger offset has the lower threshold
    first, second = (tuple(sorted((*others, s), key=repr)) for s in (low, high))
    return {others: 1, first: -1, second: 1}


def add(forms: Iterable[NormalForm]) -> NormalForm:
    """The sum of normal forms, like terms collected."""
    gathered: dict[Shape, list[sp.Expr]] = {}
    for form in forms:
        for shape, c in form.items():
            gathered.setdefault(shape, []).append(c)
    total = {shape: terms[0] if len(terms) == 1 else sp.expand(sp.Add(*terms)) for shape, terms in gathered.items()}
    return {shape: c for shape, c in total.items() if c != 0}


def scale(factor: sp.Expr | int, form: NormalForm) -> NormalForm:
    """A normal form times a constant."""
    return {shape: factor * c for shape, c in form.items() if factor != 0}


def normal_form(expression: sp.Expr, variables: Sequence[sp.Symbol]) -> NormalForm:
    """Rewrite an expression in the closed class of the module docstring.

    Raises `NoClosedForm` outside the class.

    >>> x = sp.Symbol("x", real=True)
    >>> [(shape.powers, c) for shape, c in normal_form(relu(x), [x]).items()]
    [((1,), 1/2), ((1,), 1/2)]
    """
    return _Reader(variables).read(expression)


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
        return (sp.eye(self._size) / self.variance - 2 * self.quadratic).inv()

    def mean(self, at: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """mu = Sigma (t/v + l)."""
        drift = sp.Matrix([t / self.variance + b for t, b in zip(at, self.shape.linear, strict=True)])
        return tuple(sp.expand(entry) for entry in self.covariance * drift)

    def tilt(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """E exp(x^T Q x + l.x), the factor of the module docstring."""
        if not any(self.shape.quadratic) and not any(self.shape.linear):
            return sp.Integer(1)
        drift = sp.Matrix([t / self.variance + b for t, b in zip(at, self.shape.linear, strict=True)])
        exponent = (drift.T * self.covariance * drift)[0] / 2 - sp.Add(*(t**2 for t in at)) / (2 * self.variance)
        volume = sp.sqrt(self.covariance.det() / self.variance**self._size)
        return volume * sp.exp(sp.expand(exponent))

    @cached_property
    def groups(self) -> tuple[tuple[SmoothSign, ...], ...]:
        """The smooth signs in uncorrelated groups of one or two."""
        groups: list[list[SmoothSign]] = []
        for atom in self.shape.signs:
            linked = [g for g in groups if any(decide_zero(self._covariance(atom, b)) is not True for b in g)]
            groups = [g for g in groups if g not in linked] + [[atom, *itertools.chain(*linked)]]
        for group in groups:
            complex_tilt = any(entry.has(sp.I) for entry in self.shape.linear)
            if len(group) > 2 or (len(group) == 2 and complex_tilt):
                names = ", ".join(f"sign of {_form_text(a)}" for a in group)
                raise NoClosedForm(f"no closed form is known for the product of {names}")
        return tuple(tuple(group) for group in groups)

    def _covariance(self, a: SmoothSign, b: SmoothSign) -> sp.Expr:
        """The covariance of the fields of two signs (their noises are independent, also for equal signs)."""
        return sp.expand((sp.Matrix([a.direction]) * self.covariance * sp.Matrix([b.direction]).T)[0])

    def _spread(self, a: SmoothSign) -> sp.Expr:
        """The standard deviation of the field of one sign, its noise included."""
        return sp.sqrt(sp.expand(self._covariance(a, a) + a.noise))

    def sign_mean(self, mu: Sequence[sp.Expr]) -> sp.Expr:
        """E prod_i S_i under N(mu, Sigma)."""
        result = sp.Integer(1)
        for group in self.groups:
            scaled = [
                (sp.Add(*(a * x for a, x in zip(s.direction, mu, strict=True))) + s.offset) / self._spread(s)
                for s in group
            ]
            if len(group) == 1:
                result *= sp.erf(scaled[0] / sp.sqrt(2))
            else:
                first, second = group
                correlation = self._covariance(first, second) / (self._spread(first) * self._spread(second))
                result *= SignProduct(*scaled, correlation)
        return result

    def expression(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """The mean under N(t, v I) as a closed form in t."""
        mu = [sp.Dummy(f"mu{i}", real=True) for i in range(self._size)]
        inner = self.sign_mean(mu)
        for i, n in enumerate(self.shape.powers):
            for _ in range(n):
                drift = sp.Add(*(self.covariance[i, j] * sp.diff(inner, x) for j, x in enumerate(mu)))
                inner = sp.expand(mu[i] * inner + drift)
        inner = inner.subs(dict(zip(mu, self.mean(at), strict=True)), simultaneous=True)
        return self.coefficient * self.tilt(at) * inner

    def derivatives(self, order: int) -> list[sp.Expr]:
        """d^k/dt^k of the mean at t = 0 for k = 0..order, one variable: Taylor series of each factor, multiplied."""
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
            self.coefficient
            * sp.Add(*(math.comb(k, j) * outer[k - j] * rate**j * inner[j] for j in range(k + 1)))
            for k in range(order + 1)
        ]

    def _sign_derivatives(self, mu: sp.Expr, order: int) -> list[sp.Expr]:
        if not self.shape.signs:
            return [sp.Integer(1), *[sp.Integer(0)] * order]
        if len(self.shape.signs) > 1:
            x = sp.Dummy("mu", real=True)
            values = [self.sign_mean([x])]
            for _ in range(order):
                values.append(sp.diff(values[-1], x))
            return [value.subs(x, mu) for value in values]
        (atom,) = self.shape.signs
        spread = self._spread(atom)
        at = sp.expand((mu + atom.offset) / spread)
        density = sp.exp(sp.expand(-(at**2) / 2)) / sp.sqrt(2 * sp.pi)
        previous, current = sp.Integer(0), sp.Integer(1)  # He_{k-1}(at)
        values = [sp.erf(at / sp.sqrt(2))]
        for k in range(order):
            values.append(2 * (-1) ** k * current * density / spread ** (k + 1))
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


def real_part(expression: sp.Expr) -> sp.Expr:
    """An expression known to be real, with its cancelling imaginary parts removed.

    >>> t = sp.Symbol("t", real=True)
    >>> real_part(sp.exp(sp.I * t) / 2 + sp.exp(-sp.I * t) / 2)
    cos(t)
    """
    if not expression.has(sp.I):
        return expression
    return sp.expand(sp.re(sp.expand(expression, complex=True)))


@dataclass(frozen=True)
class Smoothed:
    """G_v h for h in the closed class, in N variables: the sum of its smoothed terms."""

    terms: tuple[SmoothedTerm, ...]
    variables: tuple[sp.Symbol, ...]
    conditions: tuple[sp.Expr, ...]
    square_integrable: bool
    variance: sp.Expr = sp.Integer(1)

    @classmethod
    def of(
        cls, expression: sp.Expr, variables: Sequence[sp.Symbol], variance: sp.Expr = sp.Integer(1)
    ) -> Smoothed:
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

    def expression(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """G_v h (t) in closed form."""
        return real_part(sp.Add(*(term.expression(at) for term in self.terms)))

    @cached_property
    def is_constant(self) -> bool:
        """Whether h itself is constant."""
        return all(
            not any((*t.shape.powers, *t.shape.quadratic, *t.shape.linear)) and not t.shape.signs for t in self.terms
        )

    def derivatives(self, order: int) -> list[sp.Expr]:
        """d^k/dt^k G_v h (0), k = 0..order, for one variable."""
        columns: Mapping[int, list[sp.Expr]] = {i: t.derivatives(order) for i, t in enumerate(self.terms)}
        return [
            real_part(sp.expand(sp.Add(*(column[k] for column in columns.values())))) for k in range(order + 1)
        ]

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
        square = Smoothed.of_form(_Reader(self.variables).product(form, form), self.variables, self.variance)
        return square.expression([sp.Integer(0)] * len(self.variables))
