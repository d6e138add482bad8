r"""The escape from a critical point: the lowest order at which some direction decreases an analytic function, decided
by exact signs.

One rule covers every order (the splitting lemma, Lyapunov-Schmidt).  Where the Hessian has no negative eigenvalue, the
function is, in suitable coordinates, a positive quadratic form in the curved directions plus a reduced function r(x)
of the flat ones, its minimum over the curved directions; the lowest form of r decides.  So a valley that bends into
the flat directions is seen, and a vanishing Hessian is the case in which all directions are flat.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import mpmath
import sympy as sp

from sie_sym.digits import shown
from sie_sym.enclosure import decide_sign, decide_zero, enclose
from sie_sym.errors import TruncationError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import evidence_of

MAX_ORDER = 12
"""Taylor orders of a function that is no polynomial are examined up to here."""

_RATIO = 6
_ANGLES = 720

Vector = tuple[sp.Expr, ...]
Powers = tuple[int, ...]


@dataclass(frozen=True)
class Escape:
    """How R decreases from 0: the order, a direction of unit length (one entry a statistic), and its kind.

    `order` is None if no decreasing direction exists up to the order examined; `proved` tells whether that is a proof,
    and `evidence` what the proof rests on.
    """

    order: int | None
    direction: Vector | None
    kind: str | None
    proved: bool
    reason: str
    evidence: Evidence = Evidence.EXACT

    @classmethod
    def along(cls, direction: Iterable[sp.Expr], order: int, reason: str) -> Escape:
        """A proved descent, its direction normalised; the first statistic is the semantic one."""
        entries = [sp.Integer(0) if decide_zero(entry) is True else entry for entry in direction]
        present = [entry for entry in entries if entry != 0]
        norm = sp.sqrt(sp.Add(*(entry**2 for entry in present)))
        if len(present) == 1:  # +-1 without the root of an integral's square
            norm = present[0] * (decide_sign(present[0]) or 1)
        kinds = {"semantic": entries[0] != 0, "positional": any(entry != 0 for entry in entries[1:])}
        kind = "mixed" if all(kinds.values()) else next(name for name, present in kinds.items() if present)
        return cls(order, tuple(entry / norm for entry in entries), kind, True, reason)

    @classmethod
    def none(cls, reason: str) -> Escape:
        """A proof that R does not decrease."""
        return cls(None, None, None, True, reason)

    @classmethod
    def undecided(cls, reason: str) -> Escape:
        """No proof either way."""
        return cls(None, None, None, False, reason, Evidence.UNDECIDED)


class Taylor:
    """The derivatives of an expression at 0, by order, each computed once and 0 where it is proved to be 0."""

    def __init__(self, expression: sp.Expr, variables: Sequence[sp.Symbol], known_to: int | None = None) -> None:
        self.variables = tuple(variables)
        self.size = len(self.variables)
        self._polynomial = expression.is_polynomial(*variables)
        if self._polynomial:
            self._coefficients = dict(sp.Poly(expression, *variables).terms())
        self._partials: dict[Powers, sp.Expr] = {(0,) * self.size: expression}
        self._values: dict[Powers, sp.Expr] = {}
        # A loss cut at order K in m is known to that order alone, whatever the degree of what is left.
        limits = [known_to, None if self._polynomial else MAX_ORDER]
        bounds = [limit for limit in limits if limit is not None]
        self.exact = not bounds
        self.last = min(bounds) if bounds else max(map(sum, self._coefficients), default=0)

    @property
    def evidence(self) -> Evidence:
        """What the derivatives computed so far are worth."""
        return evidence_of(self._values.values())

    def derivative(self, *variables: int) -> sp.Expr:
        """The derivative at 0 in the variables of the given numbers, a number for each differentiation."""
        return self._at_zero(tuple(variables.count(i) for i in range(self.size)))

    def _at_zero(self, powers: Powers) -> sp.Expr:
        if sum(powers) > self.last and not self.exact:
            raise TruncationError(f"the loss is known to degree {self.last} at 0: pass a larger order")
        if powers not in self._values:
            if self._polynomial:
                value = self._coefficients.get(powers, sp.Integer(0)) * math.prod(map(math.factorial, powers))
            else:
                value = sp.expand(self._partial(powers).subs(dict.fromkeys(self.variables, 0)))
            self._values[powers] = sp.Integer(0) if decide_zero(value) is True else value
        return self._values[powers]

    def _partial(self, powers: Powers) -> sp.Expr:
        if powers not in self._partials:
            last = max(i for i, n in enumerate(powers) if n)
            lower = tuple(n - (i == last) for i, n in enumerate(powers))
            self._partials[powers] = sp.diff(self._partial(lower), self.variables[last])
        return self._partials[powers]

    def hessian(self) -> sp.ImmutableDenseMatrix:
        """The second derivatives."""
        return sp.ImmutableDenseMatrix(self.size, self.size, lambda i, j: self.derivative(int(i), int(j)))

    def form(self, k: int) -> dict[Powers, sp.Expr]:
        """The homogeneous part of degree k, by exponents, without the coefficients proved to be zero."""
        values = {p: self._at_zero(p) for p in itertools.product(range(k + 1), repeat=self.size) if sum(p) == k}
        return {p: value / math.prod(map(math.factorial, p)) for p, value in values.items() if value != 0}

    def lowest_order(self) -> tuple[int | None, Evidence]:
        """The lowest k >= 1 with a non-zero form; UNDECIDED where an undecided coefficient comes before it."""
        for k in range(1, self.last + 1):
            form = self.form(k)
            if form:
                proved = any(decide_zero(c) is False for c in form.values())
                return (k, Evidence.EXACT) if proved else (None, Evidence.UNDECIDED)
        return None, Evidence.EXACT


def escape_from_zero(taylor: Taylor, silent: Sequence[Vector] = ()) -> Escape:
    """The escape from 0 of a function that is constant along the `silent` directions.

    >>> m, eps = sp.symbols("m eps", real=True)
    >>> escape = escape_from_zero(Taylor(eps**2 + 4 * eps * m**2 + m**4, (m, eps)))
    >>> escape.order, escape.kind
    (4, 'semantic')
    """
    found = _escape_from_zero(taylor, silent)
    return replace(found, evidence=taylor.evidence) if found.proved else found


def _escape_from_zero(taylor: Taylor, silent: Sequence[Vector]) -> Escape:
    kappa, evidence = taylor.lowest_order()
    if evidence is Evidence.UNDECIDED:
        return Escape.undecided("a derivative at 0 could be proved neither zero nor non-zero")
    if kappa is None:
        flat_to = f"R is flat up to order {taylor.last}"
        return Escape.none("R is constant") if taylor.exact else Escape.undecided(flat_to)
    if any(c.free_symbols for c in taylor.form(kappa).values()):
        return Escape.undecided("parameters decide: give them values")
    if kappa == 1:
        return Escape.along([-taylor.derivative(i) for i in range(taylor.size)], 1, "the gradient is not zero")
    hessian = taylor.hessian()
    signs = _signs_of_symmetric_functions(hessian)
    if None in signs:
        return Escape.undecided("the signs of the curvatures are undecided")
    if -1 in signs:
        value, direction = _lowest_curvature(hessian)
        return Escape.along(direction, 2, f"curvature {shown(value)} < 0")
    null_space = [tuple(v) for v in hessian.nullspace(iszerofunc=decide_zero)]
    flat = _orthogonal_part(null_space, silent)
    if not flat:
        return Escape.none("the Hessian is positive definite: a strict local minimum")
    curved = [tuple(v) for v in _rows(null_space, taylor.size).nullspace(iszerofunc=decide_zero)]
    # The reduced function of a polynomial is a series that may start beyond the polynomial's degree.
    top = max(taylor.last, MAX_ORDER) if taylor.exact else taylor.last
    for order in sorted({min(max(4, kappa), top), min(max(6, kappa), top), top}):
        escape = _Valley(taylor, hessian, flat, curved, order).escape()
        if escape.proved:
            break
    return escape


def _rows(vectors: Sequence[Vector], width: int) -> sp.Matrix:
    return sp.Matrix(len(vectors), width, lambda i, j: vectors[i][j])


def _signs_of_symmetric_functions(hessian: sp.Matrix) -> list[int | None]:
    """The signs of e_1, ..., e_n of the eigenvalues; as these are real, none is negative iff no e_k is."""
    # As sums of principal minors by expansion: SymPy's charpoly orders and simplifies entries it cannot compare.
    minors = (
        sp.Add(*(hessian.extract(rows, rows).det(method="laplace") for rows in map(list, subsets)))
        for subsets in (itertools.combinations(range(hessian.rows), k) for k in range(1, hessian.rows + 1))
    )
    return [decide_sign(sp.expand(minor)) for minor in minors]


def _lowest_curvature(hessian: sp.Matrix) -> tuple[sp.Expr, Vector]:
    """The lowest eigenvalue and its vector, in square roots if possible, else to 12 digits."""
    found: list[tuple[sp.Expr, Vector]] = []
    for indices in hessian.connected_components():
        value, entries = _lowest_of_block(hessian.extract(indices, indices))
        full = dict(zip(indices, entries, strict=True))
        found.append((value, tuple(full.get(i, sp.Integer(0)) for i in range(hessian.rows))))
    return min(found, key=lambda pair: _float(pair[0]))


def _lowest_of_block(block: sp.Matrix) -> tuple[sp.Expr, Vector]:
    if block.rows == 1:
        return block[0, 0], (sp.Integer(1),)
    if block.rows == 2:
        a, b, c = block[0, 0], block[0, 1], block[1, 1]
        value = (a + c - sp.sqrt(sp.expand((a - c) ** 2 + 4 * b**2))) / 2
        return value, (b, value - a)
    if all(entry.is_Rational for entry in block):
        factors = [factor for factor, _ in block.charpoly(sp.Dummy("x")).factor_list()[1]]
        if all(factor.degree() <= 2 for factor in factors):
            value = min((root for factor in factors for root in sp.roots(factor)), key=_float)
            kernel = (block - value * sp.eye(block.rows)).nullspace(iszerofunc=decide_zero)
            return value, tuple(kernel[0])
    context = mpmath.MPContext()
    context.dps = 30
    numbers = context.matrix(block.rows, block.cols)
    for i, j in itertools.product(range(block.rows), repeat=2):
        numbers[i, j] = context.mpf(str(sp.N(block[i, j], 30)))
    values, vectors = context.eigsy(numbers)
    digits = [context.nstr(number, 12) for number in (values[0], *vectors[:, 0])]
    value, *vector = (sp.Float(text, 12) for text in digits)
    return value, tuple(vector)


def _orthogonal_part(vectors: Sequence[Vector], silent: Sequence[Vector]) -> list[Vector]:
    """A basis of the part of span(vectors) that is orthogonal to the silent directions, which lie in it."""
    if not vectors or not silent:
        return list(vectors)
    basis = _rows(vectors, len(vectors[0]))
    gram = (_rows(silent, basis.cols) * basis.T).applyfunc(sp.expand)
    return [tuple((w.T * basis).applyfunc(sp.expand)) for w in gram.nullspace(iszerofunc=decide_zero)]


class _Valley:
    """R on the surface s = sum_i x_i flat_i + sum_j y_j(x) curved_j, y minimising, as a series in x up to an order."""

    def __init__(
        self, taylor: Taylor, hessian: sp.Matrix, flat: Sequence[Vector], curved: Sequence[Vector], order: int
    ) -> None:
        self.taylor, self.flat, self.order = taylor, flat, order
        self.x = [sp.Dummy(f"x{i}", real=True) for i in range(len(flat))]
        self.y = [sp.Dummy(f"y{i}", real=True) for i in range(len(curved))]
        basis = _rows([*flat, *curved], taylor.size)
        self.point = [sp.expand(entry) for entry in sp.Matrix([[*self.x, *self.y]]) * basis]
        rows = _rows(curved, taylor.size)
        self.curvature = rows * hessian * rows.T

    def series(self, order: int) -> sp.Expr:
        """R - R(0) up to an order in the coordinates (x, y)."""
        forms = (item for k in range(2, order + 1) for item in self.taylor.form(k).items())
        monomials = (c * sp.Mul(*(s**n for s, n in zip(self.point, p, strict=True))) for p, c in forms)
        return sp.expand(sp.Add(*monomials))

    def escape(self) -> Escape:
        series = self.series(self.order)
        if series.free_symbols - {*self.x, *self.y}:
            return Escape.undecided("parameters decide: give them values")
        curve = self._curve(series)
        reduced = sp.Poly(self._on(series, curve), *self.x)
        for k in range(2, self.order + 1):
            terms = {powers: c for powers, c in reduced.terms() if sum(powers) == k}
            zeros = {powers: decide_zero(c) for powers, c in terms.items()}
            if None in zeros.values():
                return Escape.undecided(f"a coefficient of order {k} along the flat directions is undecided")
            form = {powers: c for powers, c in terms.items() if not zeros[powers]}
            if form:
                return self._decide(form, k)
        if self.taylor.exact and self._is_exact(curve):
            return Escape.none("R is constant along a valley of minima")
        return Escape.undecided(f"R is flat along the flat directions up to order {self.order}")

    def _curve(self, series: sp.Expr) -> list[sp.Expr]:
        """Newton steps y <- y - curvature^{-1} dR/dy from y = 0 gain an order in x each."""
        curve = [sp.Integer(0)] * len(self.y)
        # By cofactors: SymPy's elimination evaluates and simplifies entries to choose its pivots.
        adjugate = self.curvature.adjugate(method="laplace") if self.y else self.curvature
        inverse = adjugate / self.curvature.det(method="laplace")
        slopes = [sp.diff(series, y) for y in self.y]
        for _ in range(self.order):
            step = inverse * sp.Matrix([self._on(slope, curve) for slope in slopes])
            updated = [self._truncated(c - s) for c, s in zip(curve, step, strict=True)]
            if updated == curve:
                break
            curve = updated
        return curve

    def _on(self, expression: sp.Expr, curve: Sequence[sp.Expr]) -> sp.Expr:
        return sp.expand(expression.subs(dict(zip(self.y, curve, strict=True)), simultaneous=True))

    def _truncated(self, expression: sp.Expr) -> sp.Expr:
        terms = sp.Poly(sp.expand(expression), *self.x).terms()
        monomials = ((sp.Mul(*(x**n for x, n in zip(self.x, p, strict=True))), p) for p, _ in terms)
        kept = zip((c for _, c in terms), monomials, strict=True)
        return sp.Add(*(c * monomial for c, (monomial, p) in kept if sum(p) <= self.order))

    def _is_exact(self, curve: Sequence[sp.Expr]) -> bool:
        """Whether R - R(0) and its slopes in y vanish identically on the curve, for a polynomial R."""
        whole = self.series(self.taylor.last)
        residuals = [self._on(e, curve) for e in (whole, *(sp.diff(whole, y) for y in self.y))]
        return all(decide_zero(c) is True for e in residuals for c in sp.Poly(e, *self.x).coeffs())

    def _decide(self, form: Mapping[Powers, sp.Expr], k: int) -> Escape:
        name = f"the order-{k} form" + (" along the flat directions" if self.y else "")
        found = _descent(form, len(self.x))
        if found is not None:
            direction = (sp.Matrix([found]) * _rows(self.flat, self.taylor.size)).applyfunc(sp.expand)
            return Escape.along(direction, k, f"{name} decreases")
        if _is_positive_definite(form, len(self.x)):
            return Escape.none(f"{name} is positive definite: a strict local minimum")
        return Escape.undecided(f"{name} is not seen to decrease; directions in which it vanishes stay open")


def _float(constant: sp.Expr) -> float:
    return float(enclose(constant, 32).mid())


def _value(form: Mapping[Powers, sp.Expr], at: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*(c * sp.Mul(*(x**n for x, n in zip(at, powers, strict=True))) for powers, c in form.items()))


def _descent(form: Mapping[Powers, sp.Expr], size: int) -> Vector | None:
    """A direction in which a form is proved negative, about the steepest of those tried; None if none is."""
    degree = sum(next(iter(form)))
    numbers = {powers: _float(c) for powers, c in form.items()}

    def steepness(v: Vector) -> float:
        at = [float(x) for x in v]
        value = sum(c * math.prod(x**n for x, n in zip(at, powers, strict=True)) for powers, c in numbers.items())
        return value / math.hypot(*at) ** degree

    candidates = [tuple(map(sp.Integer, v)) for v in itertools.product((1, 0, -1), repeat=size) if any(v)]
    if size == 2:
        pairs = itertools.product(range(-_RATIO, _RATIO + 1), repeat=2)
        primitive = sorted((p for p in pairs if math.gcd(*p) == 1), key=lambda p: max(map(abs, p)))
        angles = (2 * math.pi * i / _ANGLES for i in range(_ANGLES))
        candidates += [tuple(map(sp.Integer, p)) for p in primitive]
        candidates += [(_near(math.cos(angle)), _near(math.sin(angle))) for angle in angles]
    slopes = [steepness(v) for v in candidates]
    # The first, and so the simplest, of the directions that are about as steep as the steepest.
    chosen = candidates[next(i for i, slope in enumerate(slopes) if slope <= min(slopes) + abs(min(slopes)) / 50)]
    return chosen if decide_sign(_value(form, chosen)) == -1 else None


def _near(number: float) -> sp.Rational:
    return sp.Rational(number).limit_denominator(1000)


def _is_positive_definite(form: Mapping[Powers, sp.Expr], size: int) -> bool:
    """Proved for even monomials with positive coefficients and all pure powers; for rational forms of two variables."""
    degree = sum(next(iter(form)))
    pure = {tuple(degree * int(i == j) for j in range(size)) for i in range(size)}
    if not pure <= form.keys() or any(decide_sign(form[powers]) != 1 for powers in pure):
        return False
    if all(n % 2 == 0 for powers in form for n in powers) and all(decide_sign(c) == 1 for c in form.values()):
        return True
    if size != 2 or not all(c.is_Rational for c in form.values()):
        return False
    slope = sp.Dummy("slope")
    return bool(sp.Poly(_value(form, (sp.Integer(1), slope)), slope).count_roots() == 0)
