r"""The smoothing G_v h of a function in the closed class: E h(x), x ~ N(t, v I), as a function of t.

h is a sum of the terms of `normal_form`, each with the mean that `tilted` gives; terms that differ in their powers
alone share their moments (`stein`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from sie_sym.errors import DomainError
from sie_sym.transforms.normal_form import MOST_SHARED_VARIABLES, NormalForm, Reader, Shape, add, normal_form, scale
from sie_sym.transforms.smooth_sign import SmoothSign, ordered
from sie_sym.transforms.stein import Family
from sie_sym.transforms.tilted import SmoothedTerm, positive_definite, real_part


def _sign_function(atom: SmoothSign, at: Sequence[sp.Expr]) -> sp.Expr:
    argument = sp.Add(*(a * x for a, x in zip(atom.direction, at, strict=True))) + atom.offset
    return sp.sign(argument) if atom.noise == 0 else sp.erf(argument / sp.sqrt(2 * atom.noise))


def _quadratic_text(shape: Shape, variables: Sequence[sp.Symbol]) -> sp.Expr:
    n = len(variables)
    return sp.Add(*(shape.quadratic[n * i + j] * variables[i] * variables[j] for i in range(n) for j in range(n)))


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
    def _families(self) -> list[tuple[Family, dict[tuple[int, ...], sp.Expr], bool]]:
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
            families.append((Family(SmoothedTerm(shape, sp.Integer(1), self.variance)), coefficients, mirror != shape))
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
        self, family: Family, coefficients: dict[tuple[int, ...], sp.Expr], raised: set[int]
    ) -> Iterator[tuple[Family, dict[tuple[int, ...], sp.Expr]]]:
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
            yield Family(family.geometry, frozenset(range(size)) - support - raised), monomials

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
        totals = (real_part(sp.Add(*(column[k] for column in columns))) for k in range(order + 1))
        return [sp.expand(total, exact=True) for total in totals]

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
