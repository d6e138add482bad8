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
from sie_sym.evidence import Evidence
from sie_sym.integrals.enclosure import decide_sign, decide_zero, enclose
from sie_sym.taylor import MAX_ORDER, Form, Powers, Taylor, by_powers, gathered, times

_RATIO = 6
_ANGLES = 720

Vector = tuple[sp.Expr, ...]


@dataclass(frozen=True)
class Escape:
    """How R decreases from 0 (theory section 5): order, a direction of unit length (one entry a statistic), and kind.

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

    def series(self, order: int) -> Form:
        """R - R(0) up to an order in the coordinates (x, y)."""
        forms = (item for k in range(2, order + 1) for item in self.taylor.form(k).items())
        monomials = (c * sp.Mul(*(s**n for s, n in zip(self.point, p, strict=True))) for p, c in forms)
        return by_powers(sp.expand(sp.Add(*monomials)), [*self.x, *self.y])

    def escape(self) -> Escape:
        series = self.series(self.order)
        if any(c.free_symbols for c in series.values()):
            return Escape.undecided("parameters decide: give them values")
        curve = self._curve(series)
        reduced = self._on(series, curve, self.order)
        for k in range(2, self.order + 1):
            terms = {powers: c for powers, c in reduced.items() if sum(powers) == k}
            zeros = {powers: decide_zero(c) for powers, c in terms.items()}
            if None in zeros.values():
                return Escape.undecided(f"a coefficient of order {k} along the flat directions is undecided")
            form = {powers: c for powers, c in terms.items() if not zeros[powers]}
            if form:
                return self._decide(form, k)
        if self.taylor.exact and self._is_exact(curve):
            return Escape.none("R is constant along a valley of minima")
        return Escape.undecided(f"R is flat along the flat directions up to order {self.order}")

    def _curve(self, series: Form) -> list[Form]:
        """Newton steps y <- y - curvature^{-1} dR/dy from y = 0 gain an order in x each."""
        curve: list[Form] = [{} for _ in self.y]
        # By cofactors: SymPy's elimination evaluates and simplifies entries to choose its pivots.
        adjugate = self.curvature.adjugate(method="laplace") if self.y else self.curvature
        inverse = adjugate / self.curvature.det(method="laplace")
        slopes = [self._slope(series, j) for j in range(len(self.y))]
        for _ in range(self.order):
            pulls = [self._on(slope, curve, self.order) for slope in slopes]
            updated = []
            for i, old in enumerate(curve):
                steps = ((p, -inverse[i, j] * c) for j, pull in enumerate(pulls) for p, c in pull.items())
                updated.append(gathered([*old.items(), *steps]))
            if updated == curve:
                break
            curve = updated
        return curve

    def _slope(self, series: Form, j: int) -> Form:
        """dR/dy_j."""
        position = len(self.x) + j
        return {
            (*powers[:position], powers[position] - 1, *powers[position + 1 :]): powers[position] * c
            for powers, c in series.items()
            if powers[position]
        }

    def _on(self, series: Form, curve: Sequence[Form], order: int | None) -> Form:
        """A series in (x, y) on y = y(x), up to an order in x if one is given."""
        size = len(self.x)
        powers_of: dict[tuple[int, int], Form] = {}

        def power(j: int, n: int) -> Form:
            if (j, n) not in powers_of:
                powers_of[j, n] = {(0,) * size: sp.Integer(1)} if n == 0 else times(power(j, n - 1), curve[j], order)
            return powers_of[j, n]

        terms: list[tuple[Powers, sp.Expr]] = []
        for powers, c in series.items():
            product: Form = {powers[:size]: c}
            for j, n in enumerate(powers[size:]):
                product = times(product, power(j, n), order) if n else product
            terms += product.items()
        return gathered(terms)

    def _is_exact(self, curve: Sequence[Form]) -> bool:
        """Whether R - R(0) and its slopes in y vanish identically on the curve, for a polynomial R."""
        whole = self.series(self.taylor.last)
        residuals = [self._on(e, curve, None) for e in (whole, *(self._slope(whole, j) for j in range(len(self.y))))]
        return all(decide_zero(c) is True for residual in residuals for c in residual.values())

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
