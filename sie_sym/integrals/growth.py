r"""Proved bounds on the growth of a function of the tokens, and on what a Gaussian integral leaves outside a box.

|h(z)| <= sum of terms c prod_l |z_l|^k_l exp(a_l |z_l| + b_l z_l^2), found by recursion over the expression
(|tanh| <= 1, |softplus(x)| <= log 2 + |x|, ...).  Every b_l < 1/2 proves that E|h| is finite, and the tail follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
from flint import acb, arb

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, Phi, gelu, relu, sigmoid, softmax, softplus, token_index
from sie_sym.integrals.balls import evaluate
from sie_sym.linear_forms import has_tokens

_BOUNDED: dict[type[sp.Basic], int] = {
    function: 1 for function in (sigmoid, sp.tanh, sp.erf, Phi, sp.sin, sp.cos, sp.sign, softmax)
}
_BOUNDED |= {sp.atan: 2, sp.erfc: 2}
_NON_NEGATIVE = (sp.exp, sp.Abs, sigmoid, Phi, softplus, relu, softmax, sp.erfc)
_LARGEST_BOX = 400
ZERO = arb(0)


@dataclass(frozen=True)
class Factor:
    """|z|^degree exp(linear |z| + quadratic z^2) of one token."""

    degree: int = 0
    linear: arb = ZERO
    quadratic: arb = ZERO

    def __mul__(self, other: Factor) -> Factor:
        return Factor(
            self.degree + other.degree,
            (self.linear + other.linear).upper(),
            (self.quadratic + other.quadratic).upper(),
        )


@dataclass(frozen=True)
class Term:
    """A non-negative constant times factors of single tokens."""

    size: arb
    factors: Mapping[sp.Symbol, Factor]

    def __mul__(self, other: Term) -> Term:
        factors = dict(self.factors)
        for symbol, factor in other.factors.items():
            factors[symbol] = factors.get(symbol, Factor()) * factor
        return Term(self.size * other.size, factors)

    def shape(self) -> tuple[tuple[sp.Symbol, int], ...] | None:
        """The degrees of a term without exponentials: such terms are collected."""
        if all(f.linear == 0 and f.quadratic == 0 for f in self.factors.values()):
            return tuple(sorted(((s, f.degree) for s, f in self.factors.items() if f.degree), key=str))
        return None


Bound = list[Term]
"""A sum of terms that |h| does not exceed."""


def _number(size: arb | int) -> Bound:
    return [Term(arb(size), {})]


def tokens_in(expression: sp.Basic) -> list[sp.Symbol]:
    """The token symbols of an expression, by index."""
    return sorted((s for s in expression.free_symbols if token_index(s) is not None), key=lambda s: token_index(s) or 0)


def _sum(*bounds: Bound) -> Bound:
    collected: dict[tuple[tuple[sp.Symbol, int], ...], Term] = {}
    others: Bound = []
    for term in (term for bound in bounds for term in bound):
        shape = term.shape()
        if shape is None:
            others.append(term)
        elif shape in collected:
            collected[shape] = Term(collected[shape].size + term.size, term.factors)
        else:
            collected[shape] = term
    return [*collected.values(), *others]


def _product(*bounds: Bound) -> Bound:
    result = _number(1)
    for bound in bounds:
        result = _sum([left * right for left in result for right in bound])
        if len(result) > 2000:
            raise NoClosedForm("the growth bound has more than 2000 terms: split the function into a sum")
    return result


class GrowthReader:
    """Bounds functions of the tokens whose parameters have the given balls as values."""

    def __init__(self, values: Mapping[sp.Symbol, acb]) -> None:
        self.values = values

    def magnitude(self, constant: sp.Expr) -> arb:
        """An upper bound on the modulus of a constant."""
        ball = evaluate(constant, self.values)
        if not ball.is_finite():
            raise DomainError(f"{constant} has no finite value")
        return arb(ball.abs_upper()).upper()

    def growth(self, h: sp.Expr) -> Bound:
        """A bound on |h| for real tokens, at the current flint precision.

        Raises `NoClosedForm` where no rule bounds a subexpression.
        """
        if not has_tokens(h):
            return _number(self.magnitude(h))
        if token_index(h) is not None:
            return [Term(arb(1), {h: Factor(1)})]
        if isinstance(h, sp.Add):
            return _sum(*map(self.growth, h.args))
        if isinstance(h, sp.Mul):
            return _product(*map(self.growth, h.args))
        if isinstance(h, sp.Pow) and h.exp.is_Rational:
            return self.power(h.base, h.exp)
        if isinstance(h, He):
            return self.growth(h.expand(func=True))
        if isinstance(h, sp.exp):
            return self.exponential(h.args[0])
        if isinstance(h, (sp.sinh, sp.cosh)):
            return _sum(self.growth(sp.exp(h.args[0])), self.growth(sp.exp(-h.args[0])))
        if all(argument.is_real for argument in h.args):
            if h.func in _BOUNDED:
                return _number(_BOUNDED[h.func])
            if isinstance(h, sp.Heaviside):
                return _sum(_number(1), self.growth(h.args[1]))
            if isinstance(h, (relu, sp.Abs, gelu)):
                return self.growth(h.args[0])
            if isinstance(h, softplus):
                return _sum(_number(arb(2).log().upper()), self.growth(h.args[0]))
            if isinstance(h, (sp.Max, sp.Min)):
                return _sum(*map(self.growth, h.args))
            if isinstance(h, sp.log):
                least = self.lower_bound(h.args[0])
                if least is not None and least > 0:
                    return _sum(_number(abs(least.log()).upper()), self.growth(h.args[0]))
        raise NoClosedForm(f"no bound on the growth of {h} is known: an enclosure of its expectation needs one")

    def power(self, base: sp.Expr, exponent: sp.Rational) -> Bound:
        """A bound on |base|^exponent."""
        if exponent < 0:
            least = self.lower_bound(base)
            if least is None or not least > 0:
                raise NoClosedForm(
                    f"no positive lower bound of {base} is known, which the growth of its inverse needs: "
                    "divide by what stays away from 0, or write softmax(k, x1, .., xn) if that is meant"
                )
            return _number((least.lower() ** evaluate(exponent, {}).real).upper())
        bound = self.growth(base)
        if not exponent.is_Integer:
            # |x|^r <= (1 + |x|)^ceil(r)
            bound = _sum(_number(1), bound)
        return _product(*[bound] * math.ceil(exponent))

    def exponential(self, exponent: sp.Expr) -> Bound:
        """A bound on exp(exponent): its terms are bounded above one by one, by c + sum a |z| + b z^2."""
        constant = arb(0)
        factors: dict[sp.Symbol, Factor] = {}
        for term in sp.Add.make_args(sp.expand(exponent)):
            least = self.lower_bound(-term)
            signed = self.pure_square(term)
            if signed is not None:
                symbol, coefficient = signed
                factors[symbol] = factors.get(symbol, Factor()) * Factor(quadratic=coefficient)
            elif least is not None and least >= 0:
                constant -= least
            else:
                for part in self.growth(term):
                    shape = part.shape()
                    if shape is None or sum(degree for _, degree in shape) > 2:
                        raise NoClosedForm(f"exp({exponent}) is not bounded by exp of a quadratic form")
                    constant += part.size if not shape else 0
                    for symbol, degree in shape:
                        if len(shape) == 2:
                            factor = Factor(quadratic=part.size / 2)  # 2 |x y| <= x^2 + y^2
                        else:
                            factor = Factor(linear=part.size) if degree == 1 else Factor(quadratic=part.size)
                        factors[symbol] = factors.get(symbol, Factor()) * factor
        return [Term(constant.exp().upper(), factors)]

    def pure_square(self, term: sp.Expr) -> tuple[sp.Symbol, arb] | None:
        """(z, b) for a term b z^2 with a constant b of either sign."""
        coefficient, rest = term.as_independent(*tokens_in(term), as_Add=False)
        if isinstance(rest, sp.Pow) and rest.exp == 2 and token_index(rest.base) is not None:
            return rest.base, evaluate(coefficient, self.values).real.upper()
        return None

    def lower_bound(self, e: sp.Expr) -> arb | None:
        """A number that a real expression in real tokens never falls below, None if no rule gives one."""
        if not has_tokens(e):
            ball = evaluate(e, self.values)
            return ball.real.lower() if ball.imag.is_zero() else None
        if isinstance(e, sp.Add):
            parts = [self.lower_bound(term) for term in e.args]
            return sum((p for p in parts if p is not None), arb(0)) if None not in parts else None
        if isinstance(e, sp.Mul):
            parts = [self.lower_bound(factor) for factor in e.args]
            if all(part is not None and part >= 0 for part in parts):
                return math.prod((p for p in parts if p is not None), start=arb(1))
        elif all(argument.is_real for argument in e.args):
            if isinstance(e, sp.Pow) and e.exp.is_Integer and e.exp > 0:
                least = arb(0) if e.exp % 2 == 0 else self.lower_bound(e.base)
                return least if least is not None and least >= 0 else None
            if isinstance(e, sp.cosh):
                return arb(1)
            if isinstance(e, _NON_NEGATIVE):
                return arb(0)
        try:
            bound = self.growth(e)
        except NoClosedForm:
            return None
        return -bound[0].size if len(bound) == 1 and bound[0].shape() == () else None


# --- what lies outside the box ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OneToken:
    r"""G(x) = 2 phi(x) (x + |t|)^k exp(a (x + |t|) + b (x + |t|)^2) sum_j |he_j| x^j: half-line bound of one token."""

    factor: Factor
    mean: arb
    hermite: Sequence[int]

    def density(self, x: arb) -> arb:
        y = x + self.mean
        # |x - |t|| <= |Z + t| <= x + |t| for |Z| = x: the side that bounds exp(b (Z + t)^2) from above.
        b = self.factor.quadratic
        square = y * y if b >= 0 else (x - self.mean) ** 2
        polynomial = sum((c * x**j for j, c in enumerate(self.hermite) if c), arb(0))
        exponent = self.factor.linear * y + b * square - x * x / 2
        return 2 * y**self.factor.degree * polynomial * exponent.exp() / (2 * arb.pi()).sqrt()

    def beyond(self, radius: int) -> arb:
        """The integral of G from `radius` on: G(radius) / d where (log G)' <= -d there; infinite if not d > 0."""
        b = self.factor.quadratic
        slope = (
            arb(self.factor.degree + len(self.hermite) - 1) / radius
            + self.factor.linear
            + 2 * abs(b) * self.mean
            - (1 - 2 * b) * radius
        )
        if not (slope < 0 and b < arb("0.5")):
            return arb.pos_inf()
        return (self.density(arb(radius)) / -slope).upper()

    def total(self, radius: int) -> arb:
        """A bound on the integral of G over the half-line: its supremum on each unit interval, and the rest."""
        pieces = (self.density(arb(n) + arb("0.5", "0.5")).upper() for n in range(radius))
        return sum(pieces, self.beyond(radius)).upper()


_LARGEST_PARAMETER = 1000
"""Free parameters are taken to lie within this bound when integrability is proved."""


def require_integrable(h: sp.Expr) -> None:
    """Raise unless E|h(Z)| < infinity is proved, for all parameters within +-1000, at the current flint precision.

    `DomainError` when the growth found is too fast, `NoClosedForm` when no rule bounds h.
    """
    parameters = {s: acb(arb(0, _LARGEST_PARAMETER)) for s in h.free_symbols if token_index(s) is None}
    _require_light_tails(h, GrowthReader(parameters).growth(h))


def is_integrable(h: sp.Expr) -> bool:
    """Whether `require_integrable` finds a proof."""
    try:
        require_integrable(h)
    except (NoClosedForm, DomainError):
        return False
    return True


def _require_light_tails(h: sp.Expr, bound: Bound) -> None:
    for term in bound:
        for symbol, factor in term.factors.items():
            if not factor.quadratic < arb("0.5"):
                raise DomainError(
                    f"{h} is not proved integrable: its bound grows like exp({factor.quadratic} {symbol}^2), "
                    "and the Gaussian density allows coefficients below 1/2"
                )


def _hermite_magnitudes(order: int) -> list[int]:
    coefficients = sp.Poly(He(order, sp.Symbol("x")).expand(func=True), sp.Symbol("x")).all_coeffs()[::-1]
    return [abs(int(c)) for c in coefficients]


def truncation(
    h: sp.Expr,
    weights: Mapping[sp.Symbol, int],
    means: Mapping[sp.Symbol, arb],
    tolerance: arb,
    parameters: Mapping[sp.Symbol, acb] | None = None,
) -> tuple[int, arb]:
    r"""(R, bound): E|h(Z + t) He_alpha(Z)| outside the box |Z_l| <= R is below `bound` <= tolerance.

    Raises `DomainError` when the growth found does not prove integrability.
    """
    bound = GrowthReader(parameters or {}).growth(h)
    _require_light_tails(h, bound)
    hermite = {symbol: _hermite_magnitudes(weights.get(symbol, 0)) for symbol in means}
    radius = 6
    while radius <= _LARGEST_BOX:
        outside = sum((_outside(term, means, hermite, radius) for term in bound), arb(0))
        if outside < tolerance:
            return radius, outside.upper()
        radius += 1 if radius < 24 else radius // 12
    raise DomainError(f"the tail of {h} at means {list(means.values())} is too heavy to be cut off")


def _outside(
    term: Term, means: Mapping[sp.Symbol, arb], hermite: Mapping[sp.Symbol, Sequence[int]], radius: int
) -> arb:
    tokens = [
        _OneToken(term.factors.get(symbol, Factor()), abs(mean).upper(), hermite[symbol])
        for symbol, mean in means.items()
    ]
    tails = [one.beyond(radius) for one in tokens]
    if not all(tail.is_finite() for tail in tails):
        return arb.pos_inf()
    if len(tokens) == 1:
        return term.size * tails[0]
    totals = [one.total(radius) for one in tokens]
    missing: list[arb] = [tail * math.prod(totals[:i] + totals[i + 1 :], start=arb(1)) for i, tail in enumerate(tails)]
    return term.size * sum(missing, arb(0))


__all__ = ["Bound", "Factor", "GrowthReader", "Term", "truncation"]
