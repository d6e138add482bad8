r"""The landscape at initialization (Prop. 1, Lemma 1): R(s) near s = (m, eps) = 0.

The flatness index kappa is the lowest order k >= 1 of a non-zero derivative tensor of R at 0.  It does not say whether
SGD escapes at that order: the escape index is the lowest order at which some direction decreases R.  Directions in
which the lowest form is flat are followed to higher orders on the curve that minimises over the others
(Lyapunov-Schmidt), so that a valley bent into the flat direction is seen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.enclosure import decide_sign, decide_zero
from sie_sym.errors import TruncationError
from sie_sym.evidence import Evidence
from sie_sym.parseval import contraction
from sie_sym.population_loss import PopulationLoss
from sie_sym.weierstrass import RidgeTransform, Transform, weierstrass_transform

MAX_ORDER = 12
"""Taylor orders of a non-polynomial loss are examined up to here."""


@dataclass(frozen=True)
class Escape:
    """How R decreases from 0: the order, a direction (one entry a statistic), and its kind.

    `order` is None if no decreasing direction exists up to the order examined; `proved` tells whether that is a proof.
    """

    order: int | None
    direction: tuple[sp.Expr, ...] | None
    kind: str | None
    proved: bool
    reason: str


@dataclass(frozen=True)
class Visibility:
    """The lowest j >= 1 with <C_j(g), C_j(phi)> != 0 (P = 0): the SIE when phi is rich enough.

    `exponent` is None where the model never sees the target (`proved`) or did not up to the order checked.
    """

    exponent: int | None
    proved: bool
    reason: str


@dataclass(frozen=True)
class Landscape:
    """Gradient, Hessian and indices of a population loss at initialization.

    `flatness_index` is None when R is constant as far as it is known; `visible` compares with the SIE (richness).
    """

    loss: PopulationLoss
    gradient: tuple[sp.Expr, ...]
    hessian: sp.ImmutableDenseMatrix
    flatness_index: int | None
    escape: Escape
    visible: Visibility
    evidence: Evidence

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """(m, eps_1, ..., eps_r), the order of all vectors and matrices."""
        return self.loss.statistics

    @cached_property
    def eigenvalues(self) -> tuple[sp.Expr, ...]:
        """The curvatures, with multiplicity, exact."""
        found = self.hessian.eigenvals()
        return tuple(itertools.chain(*([value] * count for value, count in found.items())))


def landscape(loss: PopulationLoss) -> Landscape:
    """The landscape of a loss at initialization.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import linear_attention
    >>> from sie_sym.population_loss import population_loss
    >>> from sie_sym.target import Target
    >>> result = landscape(population_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2)))
    >>> result.hessian, result.flatness_index, result.escape.kind
    (Matrix([[-8]]), 2, 'semantic')
    """
    taylor = Taylor(loss.expression, loss.statistics, loss.order)
    gradient = tuple(taylor.derivative(_unit(i, len(loss.statistics))) for i in range(len(loss.statistics)))
    size = len(loss.statistics)
    hessian = sp.ImmutableDenseMatrix(size, size, lambda i, j: taylor.derivative(_sum(_unit(i, size), _unit(j, size))))
    kappa = next((k for k in range(1, taylor.last + 1) if taylor.form(k) != 0), None)
    visible = visibility(loss)
    escape = _escape(taylor, kappa, size)
    if kappa is None and not loss.model.positional and visible.exponent is None and visible.proved:
        escape = Escape(None, None, None, True, visible.reason)
    # Derivatives at 0 up to the truncation order are those of the exact loss: the neglected powers of m are higher.
    return Landscape(loss, gradient, hessian, kappa, escape, visible, Evidence.EXACT)


def _unit(i: int, size: int) -> tuple[int, ...]:
    return tuple(int(i == j) for j in range(size))


def _sum(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


class Taylor:
    """The derivatives of an expression at 0, by order, each computed once."""

    def __init__(self, expression: sp.Expr, variables: Sequence[sp.Symbol], known_to: int | None) -> None:
        self.variables = tuple(variables)
        self.polynomial = expression.is_polynomial(*variables)
        if self.polynomial:
            self._coefficients = dict(sp.Poly(expression, *variables).terms())
            degree = max((sum(powers) for powers in self._coefficients), default=0)
        self._cache: dict[tuple[int, ...], sp.Expr] = {(0,) * len(self.variables): expression}
        # A loss cut at order K in m is known to that order alone, whatever the degree of what is left.
        limits = [known_to if known_to is not None else None, None if self.polynomial else MAX_ORDER]
        bounds = [limit for limit in limits if limit is not None]
        self.exact = not bounds
        self.last = min(bounds) if bounds else degree

    def derivative(self, powers: tuple[int, ...]) -> sp.Expr:
        """One mixed derivative at 0."""
        if sum(powers) > self.last and not self.exact:
            raise TruncationError(f"the loss is known to degree {self.last} at 0: pass a larger order")
        if self.polynomial:
            return self._coefficients.get(powers, sp.Integer(0)) * math.prod(map(math.factorial, powers))
        return sp.expand(self._partial(powers).subs(dict.fromkeys(self.variables, 0)))

    def _partial(self, powers: tuple[int, ...]) -> sp.Expr:
        if powers not in self._cache:
            last = max(i for i, n in enumerate(powers) if n)
            lower = tuple(n - (i == last) for i, n in enumerate(powers))
            self._cache[powers] = sp.diff(self._partial(lower), self.variables[last])
        return self._cache[powers]

    def form(self, k: int) -> sp.Expr:
        """The homogeneous part of degree k, its coefficients proved non-zero where they are kept."""
        terms = []
        for powers in itertools.product(range(k + 1), repeat=len(self.variables)):
            if sum(powers) != k:
                continue
            value = self.derivative(powers)
            if decide_zero(value) is not True:
                monomial = sp.Mul(*(x**n for x, n in zip(self.variables, powers, strict=True)))
                terms.append(value * monomial / math.prod(map(math.factorial, powers)))
        return sp.Add(*terms)


def _escape(taylor: Taylor, kappa: int | None, size: int) -> Escape:
    if kappa is None:
        known = "R is constant" if taylor.exact else f"R is flat up to order {taylor.last}"
        return Escape(None, None, None, taylor.exact, known)
    form = taylor.form(kappa)
    if form.free_symbols - set(taylor.variables):
        return Escape(None, None, None, False, "parameters decide: give them values")
    if kappa == 2:
        return _escape_quadratic(taylor, size)
    if kappa == 1:
        steepest = _normalised([-taylor.derivative(_unit(i, size)) for i in range(size)])
        return Escape(1, steepest, _kind(steepest), True, "the gradient is not zero")
    direction = _descent(form, taylor.variables)
    if direction is not None:
        return Escape(kappa, direction, _kind(direction), True, f"the order-{kappa} form decreases")
    if size == 1:
        return Escape(None, None, None, True, f"R increases at order {kappa}: a strict local minimum")
    return Escape(None, None, None, False, f"the order-{kappa} form is non-negative; its flat directions stay open")


def _escape_quadratic(taylor: Taylor, size: int) -> Escape:
    hessian = sp.Matrix(size, size, lambda i, j: taylor.derivative(_sum(_unit(i, size), _unit(j, size))))
    lowest: tuple[sp.Expr, sp.Matrix] | None = None
    flat: list[sp.Matrix] = []
    for value, _, vectors in hessian.eigenvects():
        sign = decide_sign(value)
        if sign is None:
            return Escape(None, None, None, False, f"the sign of the curvature {value} is undecided")
        if sign == 0:
            flat += vectors
        elif sign < 0 and (lowest is None or decide_sign(value - lowest[0]) == -1):
            lowest = (value, vectors[0])
    if lowest is not None:
        direction = _normalised(list(lowest[1]))
        return Escape(2, direction, _kind(direction), True, f"curvature {lowest[0]} < 0")
    if not flat:
        return Escape(None, None, None, True, "the Hessian is positive definite: a strict local minimum")
    if len(flat) > 1:
        return Escape(None, None, None, False, "several flat directions besides positive curvature stay open")
    direction = _normalised(list(flat[0]))
    for order in sorted({min(4, taylor.last), min(6, taylor.last), taylor.last}):
        escape = _escape_along_valley(taylor, hessian, direction, order)
        if escape.proved:
            break
    return escape


def _escape_along_valley(taylor: Taylor, hessian: sp.Matrix, flat: tuple[sp.Expr, ...], order: int) -> Escape:
    """One flat direction v: R on the curve x v + y(x), y minimising over the curved directions, up to an order."""
    x = sp.Dummy("x", real=True)
    size = len(flat)
    basis = [list(vector) for vector in sp.Matrix([list(flat)]).nullspace()]
    y = [sp.Dummy(f"y{i}", real=True) for i in range(len(basis))]
    point = [sp.expand(flat[i] * x + sp.Add(*(b[i] * v for b, v in zip(basis, y, strict=True)))) for i in range(size)]
    series = sp.Add(*(taylor.form(k) for k in range(2, order + 1)))
    series = sp.expand(series.subs(dict(zip(taylor.variables, point, strict=True)), simultaneous=True))
    curvature = sp.Matrix(basis) * hessian * sp.Matrix(basis).T if basis else sp.Matrix(0, 0, [])
    curve = [sp.Integer(0)] * len(y)
    for _ in range(order if basis else 0):
        # Newton steps y <- y - (curvature)^{-1} dR/dy each gain an order in x.
        slopes = sp.Matrix([sp.diff(series, v).subs(dict(zip(y, curve, strict=True)), simultaneous=True) for v in y])
        step = curvature.inv() * slopes
        updated = [_truncated(c - s, x, order) for c, s in zip(curve, step, strict=True)]
        if updated == curve:
            break
        curve = updated
    reduced = _truncated(series.subs(dict(zip(y, curve, strict=True)), simultaneous=True), x, order)
    for k in range(2, order + 1):
        value = reduced.coeff(x, k)
        if decide_zero(value) is True:
            continue
        sign = decide_sign(value)
        if k % 2 or sign == -1:
            direction = flat if sign == -1 else tuple(-entry for entry in flat)
            return Escape(k, direction, _kind(direction), True, f"R decreases at order {k} along the flat direction")
        if sign == 1:
            return Escape(None, None, None, True, f"R increases at order {k} along the flat direction: a minimum")
        break
    # A curve of minima of an exact polynomial: R never decreases along it.
    return Escape(None, None, None, False, f"R is flat along the flat direction up to order {order}")


def _truncated(expression: sp.Expr, x: sp.Symbol, order: int) -> sp.Expr:
    expanded = sp.expand(expression)
    return sp.Add(*(expanded.coeff(x, k) * x**k for k in range(order + 1)))


def _descent(form: sp.Expr, variables: Sequence[sp.Symbol]) -> tuple[sp.Expr, ...] | None:
    """A direction in which a homogeneous form is negative, exact for up to two variables; None if there is none.

    On a line through the directions a form is a univariate polynomial, whose sign changes only at its real roots.
    """
    size = len(variables)
    if size > 2:
        for candidate in itertools.product((-1, 0, 1), repeat=size):
            if decide_sign(form.subs(dict(zip(variables, candidate, strict=True)))) == -1:
                return _normalised([sp.Integer(c) for c in candidate])
        return None
    points = [[sp.Integer(side * c) for c in _unit(i, size)] for i in range(size) for side in (1, -1)]
    if size == 2:
        slope = sp.Dummy("slope", real=True)
        line = sp.Poly(sp.expand(form.subs({variables[0]: 1, variables[1]: slope})), slope)
        roots = sorted(float(r) for r in map(sp.re, line.nroots(n=15)))
        tests = [r - 1 for r in roots[:1]] + [(a + b) / 2 for a, b in itertools.pairwise(roots)]
        tests += [r + 1 for r in roots[-1:]]
        for test in tests:
            ratio = sp.Rational(test).limit_denominator(10**6)
            points += [[sp.Integer(1), ratio], [sp.Integer(-1), -ratio]]
    best: tuple[float, list[sp.Expr]] | None = None
    for v in points:
        value = form.subs(dict(zip(variables, v, strict=True)))
        if decide_sign(value) == -1:
            scaled = float(value) / float(sum(c**2 for c in v)) ** (sp.Poly(form, *variables).total_degree() / 2)
            if best is None or scaled < best[0]:
                best = (scaled, v)
    return None if best is None else _normalised(best[1])


def _normalised(vector: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    norm = sp.sqrt(sp.Add(*(c**2 for c in vector)))
    scaled = tuple(sp.radsimp(c / norm) for c in vector)
    return scaled


def _kind(direction: Sequence[sp.Expr]) -> str:
    semantic = decide_zero(direction[0]) is not True
    positional = any(decide_zero(c) is not True for c in direction[1:])
    if semantic and positional:
        return "mixed"
    return "semantic" if semantic else "positional"


def visibility(loss: PopulationLoss) -> Visibility:
    """The order at which the model without encoding sees the target (the richness check of Prop. 1).

    Proved absent when one side is a polynomial whose orders are exhausted, or when phi reads one linear form along
    which G g is constant (App. E.4: g = z1 - z2 or z1^2 - z2^2 and a tied phi).
    """
    pairs = [
        (weierstrass_transform(g), weierstrass_transform(phi))
        for g, phi in zip(loss.target.components, loss.model.components, strict=True)
    ]
    limits = [_joint_degree(g, phi) for g, phi in pairs]
    finite = [limit for limit in limits if limit is not None]
    complete = len(finite) == len(limits)
    last = max(finite) if complete else MAX_ORDER
    if all(_constant_along(g, phi) for g, phi in pairs):
        return Visibility(None, True, "G g is constant along the model's linear form: no order is ever seen")
    for j in range(1, last + 1):
        value = sp.expand(sp.Add(*(contraction(g, phi, j) for g, phi in pairs)))
        zero = decide_zero(value)
        if zero is False:
            return Visibility(j, True, f"<C_{j}(g), C_{j}(phi)> = {sp.factorial(j) * value}, not zero")
        if zero is None:
            return Visibility(None, False, f"<C_{j}(g), C_{j}(phi)> could not be decided")
    if complete:
        return Visibility(None, True, f"<C_j(g), C_j(phi)> = 0 up to order {last}, where a polynomial side ends")
    return Visibility(None, False, f"<C_j(g), C_j(phi)> = 0 up to order {last}; higher orders were not examined")


def _joint_degree(g: Transform, phi: Transform) -> int | None:
    degrees = [t.degree for t in (g, phi) if t.degree is not None]
    return min(degrees) if degrees else None


def _constant_along(g: Transform, phi: Transform) -> bool:
    if not isinstance(phi, RidgeTransform):
        return False
    x = sp.Dummy("x", real=True)
    line = g.expression({l: c * x for l, c in phi.direction})
    return decide_zero(sp.diff(line, x)) is True
