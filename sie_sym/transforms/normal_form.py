r"""The closed class of functions with an elementary Gaussian smoothing, as a normal form.

It is spanned by the terms

    c * x^n * exp(x^T Q x + l.x) * prod_i S_{s_i}(<a_i, x> + b_i),
    S_s(y) = E sign(y + sqrt(s) W) = erf(y / sqrt(2 s)),

with S_0 = sign.  Indeed step, |x|, relu, min and max are polynomials times signs, erf(x) = S_{1/2}(x),
Phi(x) = (1 + S_1(x))/2, and sin, cos, sinh, cosh are exponentials (l complex).  `tilted` smooths the terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce

import sympy as sp

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, gelu, hermite_polynomial, relu
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.linear_forms import direction_of, ratio
from sie_sym.transforms.real_roots import ascending, between, is_inside, real_roots
from sie_sym.transforms.smooth_sign import SmoothSign, merge_signs

TERM_BUDGET = 3000
"""The largest number of terms that a normal form may have."""


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


class Reader:
    """Rewrites an expression in some variables as a normal form."""

    def __init__(self, variables: Sequence[sp.Symbol]) -> None:
        self.variables = tuple(variables)
        self.size = len(self.variables)
        zero = sp.Integer(0)
        self.blank = Shape((0,) * self.size, (zero,) * self.size**2, (zero,) * self.size)

    def constant(self, value: sp.Expr) -> NormalForm:
        """The normal form of a constant."""
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
        """sign of one irreducible factor."""
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
            middle = between(left, right)
            piece = sp.expand(always + sp.Add(*(sp.sign(middle - c) * terms for c, terms in jumps)))
            inside = [r for r in real_roots(piece, x) if is_inside(r, left, right)]
            for a, b in itertools.pairwise([left, *inside, right]):
                level = decide_sign(sp.expand(piece.subs(x, between(a, b))))
                if level is None:
                    raise NoClosedForm(f"the sign of {piece} at {between(a, b)} is undecided")
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
        """base^exponent, exponent > 0."""
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
        return bool(e != 0)
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
    return Reader(variables).read(expression)
