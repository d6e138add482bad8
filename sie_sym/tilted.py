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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import sympy as sp

from sie_sym.enclosure import decide_sign, decide_zero
from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, SignProduct, gelu, hermite_polynomial, relu
from sie_sym.linear_forms import direction_of, multiple_of, ratio

TERM_BUDGET = 3000
"""The largest number of terms that a normal form may have."""


@dataclass(frozen=True)
class SmoothSign:
    """S_s(<a, x> + b); a sharp sign (s = 0) has its direction scaled by `direction_of`."""

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


MOST_SHARED_VARIABLES = 4
"""Beyond, each coefficient is computed in its own variables instead of from moments that all coefficients share."""
MOST_FACTORED_TERMS, MOST_FACTORED_SYMBOLS = 40, 8
"""Beyond, the argument of a sign is not factored: it takes long."""

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
            if int(e.args[0]) < 0:
                raise DomainError(f"{e} is not defined: the degree of a Hermite polynomial is 0, 1, 2, ...")
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
        """max_i x_i = sum_i x_i prod_{j != i} step(x_i - x_j) for affine x_i; other arguments two at a time."""
        side = 1 if isinstance(e, sp.Max) else -1
        if all(self.affine(x) is not None for x in e.args):
            half = sp.Rational(1, 2)
            terms = []
            for x in e.args:
                gaps = (self.sign(side * (x - y)) for y in e.args if y is not x)
                steps = (scale(half, add([self.constant(sp.Integer(1)), gap])) for gap in gaps)
                terms.append(reduce(self.product, steps, self.read(x)))
            return add(terms)
        first, *rest = e.args
        other = rest[0] if len(rest) == 1 else e.func(*rest)
        gap = self.read(sp.Abs(sp.expand(first - other)))
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
        """The product of the signs of the factors: affine, of one sign, or a piecewise polynomial in one variable."""
        if argument.is_positive:
            return self.constant(sp.Integer(1))
        if self.affine(argument) is not None:
            return self.smooth_sign(argument, sp.Integer(0))
        result = self.constant(sp.Integer(1))
        for factor in sp.Mul.make_args(factored(argument)):
            base, exponent = factor.as_base_exp()
            if exponent.is_Integer and int(exponent) > 0:
                if int(exponent) % 2 == 0 and base.is_real and vanishes_on_null_set(base):
                    continue
                factor, repeats = base, 2 - int(exponent) % 2
            else:
                repeats = 1
            if not factor.has(*self.variables):
                result = scale(sp.sign(factor) ** repeats, result)
            elif factor.is_positive or (factor.is_nonnegative and vanishes_on_null_set(factor)):
                continue
            else:
                atom = self.factor_sign(factor)
                for _ in range(repeats):
                    result = self.product(result, atom)
        return result

    def factor_sign(self, factor: sp.Expr) -> NormalForm:
        if self.affine(factor) is not None:
            return self.smooth_sign(factor, sp.Integer(0))
        present = [i for i, x in enumerate(self.variables) if factor.has(x)]
        if len(present) == 1:
            with suppress(NoClosedForm):
                return self.piecewise_sign(factor, present[0])
        raise NoClosedForm(
            f"no closed form is known for the Gaussian smoothing of sign({factor}): "
            f"{factor} is neither affine nor of one sign"
        )

    def piecewise_sign(self, function: sp.Expr, position: int) -> NormalForm:
        """The sign of a piecewise polynomial of one variable: constant between its breaks and roots."""
        x = self.variables[position]
        pieces: dict[sp.Expr | None, list[sp.Expr]] = {None: []}
        for shape, c in self.read(function).items():
            smooth = any(s.noise != 0 for s in shape.signs)
            if len(shape.signs) > 1 or smooth or any((*shape.quadratic, *shape.linear)):
                raise NoClosedForm(f"{function} is not piecewise polynomial")
            threshold = -shape.signs[0].offset if shape.signs else None
            pieces.setdefault(threshold, []).append(c * x ** shape.powers[position])
        always = sp.Add(*pieces.pop(None))
        jumps = [(c, sp.Add(*terms)) for c, terms in pieces.items()]
        breaks = ascending(c for c, _ in jumps)
        levels: list[int] = []
        points: list[sp.Expr] = []
        for left, right in itertools.pairwise([None, *breaks, None]):
            middle = _between(left, right)
            piece = sp.expand(always + sp.Add(*(sp.sign(middle - c) * terms for c, terms in jumps)))
            inside = [r for r in real_roots(piece, x) if _is_inside(r, left, right)]
            for a, b in itertools.pairwise([left, *inside, right]):
                level = decide_sign(sp.expand(piece.subs(x, _between(a, b))))
                if level is None:
                    raise NoClosedForm(f"the sign of {piece} at {_between(a, b)} is undecided")
                levels.append(level)
                points += [b] if b is not None else []
        result = [self.constant(sp.Rational(levels[0] + levels[-1], 2))]
        for point, (before, after) in zip(points, itertools.pairwise(levels), strict=True):
            result.append(scale(sp.Rational(after - before, 2), self.smooth_sign(x - point, sp.Integer(0))))
        return add(result)

    def smooth_sign(self, argument: sp.Expr, noise: sp.Expr) -> NormalForm:
        """S_noise(argument), argument affine."""
        form = self.affine(argument)
        if form is None:
            raise NoClosedForm(f"no closed form is known: the argument {argument} is not affine in the tokens")
        slope, offset = form
        slopes = {i: c for i, c in enumerate(slope) if c != 0}
        if not slopes:
            value = sp.sign(offset) if noise == 0 else sp.erf(offset / sp.sqrt(2 * noise))
            return self.constant(value)
        factor: sp.Expr = sp.Integer(1)
        if noise == 0:
            direction = dict(direction_of(slopes))
            factor = ratio(slopes[min(slopes)], direction[min(slopes)])
            slope = tuple(direction.get(i, sp.Integer(0)) for i in range(self.size))
            offset = ratio(offset, factor)
        atom = SmoothSign(slope, sp.expand(offset), noise)
        return {Shape(self.blank.powers, self.blank.quadratic, self.blank.linear, (atom,)): sp.sign(factor)}

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


def merge_signs(atoms: Iterable[SmoothSign]) -> dict[tuple[SmoothSign, ...], sp.Expr]:
    """A product of smooth signs as a combination of products without two parallel sharp ones.

    sign(x - a) sign(x - b) = 1 - sign(b - a) (sign(x - a) - sign(x - b)) and sign^2 = 1, almost everywhere.
    """
    result: dict[tuple[SmoothSign, ...], sp.Expr] = {(): sp.Integer(1)}
    for atom in atoms:
        after: dict[tuple[SmoothSign, ...], sp.Expr] = {}
        for signs, factor in result.items():
            for product, weight in _times(signs, atom).items():
                after[product] = after.get(product, sp.Integer(0)) + factor * weight
        result = {signs: factor for signs, factor in after.items() if factor != 0}
    return result


def _times(signs: tuple[SmoothSign, ...], atom: SmoothSign) -> dict[tuple[SmoothSign, ...], sp.Expr]:
    twin = None
    if atom.noise == 0:
        slopes = {i: c for i, c in enumerate(atom.direction) if c != 0}
        for other in (s for s in signs if s.noise == 0):
            line = tuple((i, c) for i, c in enumerate(other.direction) if c != 0)
            factor = multiple_of(slopes, line)
            if factor is not None:
                twin, atom = other, SmoothSign(other.direction, ratio(atom.offset, factor), sp.Integer(0))
                break
    if twin is None:
        return {_ordered((*signs, atom)): sp.Integer(1)}
    orientation = sp.sign(factor)
    others = tuple(s for s in signs if s is not twin)
    gap = sp.expand(atom.offset - twin.offset)  # threshold of the twin minus threshold of the atom
    if gap.free_symbols:
        side = sp.sign(gap)
    elif (decided := decide_sign(gap)) is not None:
        side = sp.Integer(decided)
    else:
        raise NoClosedForm(f"cannot order the thresholds {-twin.offset} and {-atom.offset}")
    if side == 0:
        return {others: orientation}
    with_atom, with_twin = _ordered((*others, atom)), _ordered((*others, twin))
    return {others: orientation, with_atom: -orientation * side, with_twin: orientation * side}


def _ordered(signs: Iterable[SmoothSign]) -> tuple[SmoothSign, ...]:
    return tuple(sorted(signs, key=repr))


_ANALYTIC = (sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.erf, He, Phi, gelu)


def factored(e: sp.Expr) -> sp.Expr:
    """The factors of a polynomial, or of an expression that is one in |x|, relu(x), ...; a large one as it stands."""
    many = isinstance(e, sp.Add) and (len(e.args) > MOST_FACTORED_TERMS or len(e.free_symbols) > MOST_FACTORED_SYMBOLS)
    return e if many or not isinstance(e, (sp.Add, sp.Mul, sp.Pow)) else sp.factor(e)


def vanishes_on_null_set(e: sp.Expr) -> bool:
    """Whether a function that is not identically zero vanishes only on a null set: analytic, or |.| or sign of such.

    >>> x = sp.Symbol("x", real=True)
    >>> vanishes_on_null_set(sp.Abs(x**2 - 1)), vanishes_on_null_set(relu(x))
    (True, False)
    """
    if e.is_Symbol or e.is_number:
        return e != 0
    if isinstance(e, (sp.Add, *_ANALYTIC)):
        return all(_is_analytic(argument) for argument in e.args)
    if isinstance(e, sp.Mul):
        return all(vanishes_on_null_set(argument) for argument in e.args)
    if isinstance(e, (sp.Abs, sp.sign)) or (isinstance(e, sp.Pow) and e.exp.is_Integer and int(e.exp) > 0):
        return vanishes_on_null_set(e.args[0])
    return False


def _is_analytic(e: sp.Expr) -> bool:
    power = isinstance(e, sp.Pow) and bool(e.exp.is_Integer) and int(e.exp) >= 0
    composite = power or isinstance(e, (sp.Add, sp.Mul, *_ANALYTIC))
    return e.is_Symbol or e.is_number or (composite and all(map(_is_analytic, e.args)))


def real_roots(polynomial: sp.Expr, x: sp.Symbol) -> list[sp.Expr]:
    """The distinct real roots, ascending, of a polynomial whose factors are linear or quadratic.

    Raises `NoClosedForm` for a factor of higher degree or with parameters.
    """
    roots: list[sp.Expr] = []
    if polynomial.free_symbols - {x}:
        raise NoClosedForm(f"the roots of {polynomial} depend on parameters")
    for factor in sp.Mul.make_args(sp.factor(polynomial)):
        coefficients = sp.Poly(factor.as_base_exp()[0], x).all_coeffs()
        if len(coefficients) == 2:
            roots.append(ratio(-coefficients[1], coefficients[0]))
        elif len(coefficients) == 3:
            a, b, c = coefficients
            discriminant = decide_sign(sp.expand(b**2 - 4 * a * c))
            if discriminant is None or discriminant >= 0:
                root = sp.sqrt(sp.expand(b**2 - 4 * a * c))
                roots += [sp.expand((-b - root) / (2 * a)), sp.expand((-b + root) / (2 * a))]
        elif len(coefficients) > 3:
            raise NoClosedForm(f"the roots of {factor} have no simple form")
    return ascending(roots)


def ascending(numbers: Iterable[sp.Expr]) -> list[sp.Expr]:
    """Distinct constants in order.  Raises `NoClosedForm` if two of them cannot be compared."""
    result: list[sp.Expr] = []
    for number in numbers:
        position = 0
        for other in result:
            side = decide_sign(number - other)
            if side is None:
                raise NoClosedForm(f"cannot order {number} and {other}")
            if side == 0:
                break
            position += side > 0
        else:
            result.insert(position, number)
    return result


def _between(left: sp.Expr | None, right: sp.Expr | None) -> sp.Expr:
    """A point of an open interval, None for an infinite end."""
    if left is None:
        return sp.Integer(0) if right is None else right - 1
    return left + 1 if right is None else (left + right) / 2


def _is_inside(point: sp.Expr, left: sp.Expr | None, right: sp.Expr | None) -> bool:
    sides = [decide_sign(point - left)] if left is not None else []
    sides += [decide_sign(right - point)] if right is not None else []
    if None in sides:
        raise NoClosedForm(f"cannot place the root {point}")
    return all(side == 1 for side in sides)


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
        return (sp.eye(self._size) / self.variance - 2 * self.quadratic).inv().applyfunc(_lowest_terms)

    def mean(self, at: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """mu = Sigma (t/v + l)."""
        if not any(self.shape.quadratic):
            return tuple(t + self.variance * b for t, b in zip(at, self.shape.linear, strict=True))
        pull = (self.covariance / self.variance).applyfunc(_lowest_terms)
        shift = (self.covariance * sp.Matrix(self.shape.linear)).applyfunc(_lowest_terms)
        return tuple(
            sp.Add(*(pull[i, j] * t for j, t in enumerate(at)), shift[i]) for i in range(self._size)
        )

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
            self.coefficient
            * sp.Add(*(math.comb(k, j) * outer[k - j] * rate**j * inner[j] for j in range(k + 1)))
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
    signs = _ordered(SmoothSign(s.direction, -s.offset, s.noise) for s in shape.signs)
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
    return {
        n - 2 * j: math.comb(n, 2 * j) * sp.factorial2(2 * j - 1) * (-variance) ** j for j in range(n // 2 + 1)
    }


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
        square = Smoothed.of_form(_Reader(self.variables).product(form, form), self.variables, self.variance)
        return square.expression([sp.Integer(0)] * len(self.variables))
