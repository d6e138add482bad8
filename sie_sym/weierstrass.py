r"""The Weierstrass transform (G h)(t) = E h(t + Z), Z ~ N(0, I): the generating function of all Hermite tensors.

C_alpha(h) = E[h(Z) He_alpha(Z)] = d^alpha (G h)(0) (theory section 2; arXiv:2506.02651, Thm 3), so a transform is
an object that knows its derivatives at 0.  Four structures, tried in this order, none of which is ever expanded:

- ridge: h(z) = f(<a, z>) has (G h)(t) = (G_{|a|^2} f)(<a, t>), one-dimensional;
- polynomial: exp(Laplacian/2) as a terminating series, in flint;
- sum: linear;
- product over mutually orthogonal sets of linear forms: independent Gaussians, so the transform factorises.

What remains couples several tokens and is read as a `tilted.Smoothed` closed form.  A function without one stays an
`integral.Integral`: the same structure over unevaluated Gaussian expectations.
"""

from __future__ import annotations

import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import sympy as sp

from sie_sym.enclosure import decide_zero
from sie_sym.errors import DomainError, NoClosedForm, TruncationError
from sie_sym.functions import TOKENS, relu, token, token_index
from sie_sym.hermite import MultiIndex, Tensor, factorial, multi_indices, multiply, order
from sie_sym.integral import Integral
from sie_sym.linear_forms import Direction, as_ridge, dot, has_tokens, unroll, written_out
from sie_sym.polynomial import Polynomial, expanded_size, is_polynomial
from sie_sym.target import tokens_of
from sie_sym.tilted import Smoothed, factored, vanishes_on_null_set

POLYNOMIAL_BUDGET = 20_000
"""Up to this many terms a polynomial that is no ridge is expanded in flint; beyond, its structure must carry it."""
TENSOR_BUDGET = 200_000
"""The largest number of entries of one Hermite tensor that is written out."""
DISTRIBUTION_BUDGET = 2_000
"""The largest number of terms that a product of sums of non-polynomials is distributed to."""
LINE_BUDGET = 500
"""Up to this many coefficients of one order a series along a line is put together from them."""
COUPLED_BUDGET = 32
"""The largest number of tokens that one non-factorising closed form may couple."""

_PROFILE = sp.Symbol("_u", real=True)

Point = Mapping[int, sp.Expr]
"""A point t of R^L by its non-zero coordinates."""


class Transform(ABC):
    """G h, seen as the exponential generating function of the Hermite tensors of h."""

    tokens: frozenset[int]
    conditions: tuple[sp.Expr, ...] = ()
    """What must be positive for the transform to exist, when parameters decide it."""
    square_integrable: bool = True

    @property
    @abstractmethod
    def degree(self) -> int | None:
        """The degree of G h if it is a polynomial (it is then the degree of h), else None."""

    @abstractmethod
    def expression(self, at: Point | None = None) -> sp.Expr:
        """(G h)(t) in closed form; by default t_l is the symbol of token l."""

    @abstractmethod
    def derivatives(self, k: int) -> Tensor:
        """The order-k Hermite tensor: all non-zero C_alpha, |alpha| = k."""

    @abstractmethod
    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """<C_j, v^{(x) j}> for j = 0..k: the derivatives of x -> (G h)(x v) at 0."""

    def vanishes(self, k: int) -> bool | None:
        """Whether the order-k tensor is zero, proved; None if it cannot be decided."""
        undecided = False
        for value in self.derivatives(k).values():
            zero = decide_zero(value)
            if zero is False:
                return False
            undecided = undecided or zero is None
        return None if undecided else True

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """C_alpha(h)."""
        if not {l for l, _ in alpha} <= self.tokens:
            return sp.Integer(0)
        return self.derivatives(order(alpha)).get(alpha, sp.Integer(0))

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether G h has a closed form; it keeps Gaussian integrals otherwise."""

    def at(self, point: Point | None, index: int) -> sp.Expr:
        """The coordinate t_index."""
        return token(index) if point is None else point.get(index, sp.Integer(0))


@dataclass(frozen=True)
class PolynomialTransform(Transform):
    """G of a polynomial, held in flint."""

    smoothed: Polynomial

    @property
    def tokens(self) -> frozenset[int]:  # type: ignore[override]
        """The tokens that occur."""
        return frozenset(self.smoothed.labels)

    @property
    def degree(self) -> int:
        """The degree of the polynomial."""
        return self.smoothed.degree

    @property
    def is_closed(self) -> bool:
        """Always."""
        return True

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The expanded polynomial at t."""
        return self.smoothed.expression([self.at(at, l) for l in self.smoothed.labels])

    def vanishes(self, k: int) -> bool | None:
        """Whether there is no term of degree k."""
        present = self.smoothed.has_degree(k)
        return super().vanishes(k) if present is None else not present

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """alpha! times the coefficient of t^alpha."""
        if not {l for l, _ in alpha} <= self.tokens:
            return sp.Integer(0)
        return self.smoothed.coefficient(alpha) * factorial(alpha)

    def derivatives(self, k: int) -> Tensor:
        """alpha! times the coefficients of degree k."""
        return {alpha: c * factorial(alpha) for alpha, c in self.smoothed.homogeneous(k).items()}

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """k! times the homogeneous parts at v."""
        v = {l: direction.get(l, sp.Integer(0)) for l in self.smoothed.labels}
        return [
            math.factorial(j)
            * sp.expand(
                sp.Add(
                    *(
                        c * sp.Mul(*(v[l] ** n for l, n in alpha))
                        for alpha, c in self.smoothed.homogeneous(j).items()
                    )
                )
            )
            for j in range(k + 1)
        ]


@dataclass(frozen=True)
class RidgeTransform(Transform):
    """G of f(<a, z>): (G_{|a|^2} f)(<a, t>), f a polynomial or in the closed class."""

    direction: Direction
    profile: Polynomial | Smoothed | Integral
    _series: list[sp.Expr] = field(default_factory=list, compare=False)

    @property
    def tokens(self) -> frozenset[int]:  # type: ignore[override]
        """The support of a."""
        return frozenset(l for l, _ in self.direction)

    @property
    def conditions(self) -> tuple[sp.Expr, ...]:  # type: ignore[override]
        """Those of the profile."""
        return () if isinstance(self.profile, Polynomial) else self.profile.conditions

    @property
    def square_integrable(self) -> bool:  # type: ignore[override]
        """That of the profile."""
        return isinstance(self.profile, Polynomial) or self.profile.square_integrable

    @property
    def degree(self) -> int | None:
        """The degree of f if it is a polynomial."""
        if isinstance(self.profile, Polynomial):
            return self.profile.degree
        return 0 if self.profile.is_constant else None

    @property
    def is_closed(self) -> bool:
        """Whether the profile is."""
        return not isinstance(self.profile, Integral)

    def form(self, at: Point | None) -> sp.Expr:
        """<a, t>."""
        return sp.Add(*(c * self.at(at, l) for l, c in self.direction))

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The smoothed profile at <a, t>."""
        if isinstance(self.profile, Polynomial):
            return self.profile.expression([self.form(at)] * len(self.profile.labels))
        variable = sp.Dummy("u", real=True)
        return self.profile.expression([variable]).subs(variable, self.form(at))

    def series(self, k: int) -> list[sp.Expr]:
        """c_j = d^j/du^j (G_{|a|^2} f)(0), j = 0..k."""
        if len(self._series) <= k:
            if isinstance(self.profile, Polynomial):
                values = [
                    math.factorial(j) * next(iter(self.profile.homogeneous(j).values()), sp.Integer(0))
                    for j in range(k + 1)
                ]
            else:
                values = self.profile.derivatives(max(k, 2 * len(self._series)))
            self._series[:] = values
        return self._series[: k + 1]

    def vanishes(self, k: int) -> bool | None:
        """The tensor is c_k a^{(x) k}, a not zero."""
        return decide_zero(self.series(k)[k])

    def derivatives(self, k: int) -> Tensor:
        """c_k a^{(x) k}.  Raises `TruncationError` beyond the tensor budget."""
        if math.comb(len(self.direction) + k - 1, k) > TENSOR_BUDGET:
            raise TruncationError(
                f"the order-{k} Hermite tensor of a function of {len(self.direction)} tokens has more than "
                f"{TENSOR_BUDGET} entries: ask for single coefficients"
            )
        if self.series(k)[k] == 0:
            return {}
        return {alpha: self.coefficient(alpha) for alpha in multi_indices(self.tokens, k)}

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """c_{|alpha|} a^alpha."""
        slopes = dict(self.direction)
        if not slopes.keys() >= {l for l, _ in alpha}:
            return sp.Integer(0)
        return sp.expand(self.series(order(alpha))[order(alpha)] * sp.Mul(*(slopes[l] ** n for l, n in alpha)))

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """c_j <a, v>^j."""
        projection = sp.expand(self.form(direction))
        return [sp.expand(c * projection**j) for j, c in enumerate(self.series(k))]


@dataclass(frozen=True)
class SumTransform(Transform):
    """A sum of transforms; `pattern` keeps sum_l body(z_l) symbolic: (index, low, high, transform in z[l])."""

    parts: tuple[Transform, ...]
    pattern: tuple[sp.Symbol, sp.Integer, sp.Integer, sp.Expr] | None = None

    @cached_property
    def tokens(self) -> frozenset[int]:  # type: ignore[override]
        """The union."""
        return frozenset().union(*(part.tokens for part in self.parts))

    @cached_property
    def conditions(self) -> tuple[sp.Expr, ...]:  # type: ignore[override]
        """The union."""
        return tuple(dict.fromkeys(c for part in self.parts for c in part.conditions))

    @property
    def square_integrable(self) -> bool:  # type: ignore[override]
        """All parts (growths are not expected to cancel)."""
        return all(part.square_integrable for part in self.parts)

    @property
    def is_closed(self) -> bool:
        """All parts."""
        return all(part.is_closed for part in self.parts)

    @cached_property
    def degree(self) -> int | None:
        """The largest, an upper bound if leading terms cancel."""
        degrees = [part.degree for part in self.parts]
        return None if None in degrees else max((d for d in degrees if d is not None), default=0)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The sum, kept as a `sympy.Sum` over the tokens where it was one and t is generic."""
        if at is None and self.pattern is not None:
            index, low, high, body = self.pattern
            return sp.Sum(body, (index, low, high))
        return sp.Add(*(part.expression(at) for part in self.parts))

    def derivatives(self, k: int) -> Tensor:
        """Entrywise sum."""
        return _gather(item for part in self.parts for item in part.derivatives(k).items())

    def vanishes(self, k: int) -> bool | None:
        """Parts without a common token cannot cancel for k >= 1; the others are added up."""
        if k == 0:
            return decide_zero(self.coefficient(()))
        verdicts: list[bool | None] = []
        for cluster in self._clusters:
            verdict = cluster[0].vanishes(k) if len(cluster) == 1 else Transform.vanishes(SumTransform(cluster), k)
            if verdict is False:
                return False
            verdicts.append(verdict)
        return None if None in verdicts else True

    @cached_property
    def _clusters(self) -> list[tuple[Transform, ...]]:
        # Union by tokens, linear in the number of parts.
        owner: dict[int, int] = {}
        members: dict[int, list[Transform]] = {}
        for number, part in enumerate(self.parts):
            touched = sorted({owner[l] for l in part.tokens if l in owner})
            merged = [part, *itertools.chain(*(members.pop(label) for label in touched))]
            members[number] = merged
            for l in part.tokens if not touched else frozenset().union(*(p.tokens for p in merged)):
                owner[l] = number
        return [tuple(cluster) for cluster in members.values()]

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """Sum of coefficients."""
        return sp.expand(sp.Add(*(part.coefficient(alpha) for part in self.parts)))

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """Sum of series."""
        series = [part.along(direction, k) for part in self.parts]
        return [sp.expand(sp.Add(*(s[j] for s in series))) for j in range(k + 1)]


@dataclass(frozen=True)
class ProductTransform(Transform):
    """A product of transforms in mutually orthogonal variables; `pattern` as for sums."""

    parts: tuple[Transform, ...]
    pattern: tuple[sp.Symbol, sp.Integer, sp.Integer, sp.Expr] | None = None

    @cached_property
    def tokens(self) -> frozenset[int]:  # type: ignore[override]
        """The union."""
        return frozenset().union(*(part.tokens for part in self.parts))

    @cached_property
    def conditions(self) -> tuple[sp.Expr, ...]:  # type: ignore[override]
        """The union."""
        return tuple(dict.fromkeys(c for part in self.parts for c in part.conditions))

    @property
    def square_integrable(self) -> bool:  # type: ignore[override]
        """All factors."""
        return all(part.square_integrable for part in self.parts)

    @property
    def is_closed(self) -> bool:
        """All parts."""
        return all(part.is_closed for part in self.parts)

    @cached_property
    def degree(self) -> int | None:
        """The sum."""
        degrees = [part.degree for part in self.parts]
        return None if None in degrees else sum(d for d in degrees if d is not None)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The product, kept as a `sympy.Product` where it was one and t is generic."""
        if at is None and self.pattern is not None:
            index, low, high, body = self.pattern
            return sp.Product(body, (index, low, high))
        return sp.Mul(*(part.expression(at) for part in self.parts))

    def vanishes(self, k: int) -> bool | None:
        """Orders add: the parts of different orders (j_1, ..., j_n) are independent, so nothing cancels.

        Order k is non-zero iff some j_1 + ... + j_n = k has no vanishing factor.
        """
        sure, possible = {0}, {0}
        for part in self.parts:
            verdicts = {j: part.vanishes(j) for j in range(k + 1)}
            present = {j for j, v in verdicts.items() if v is False}
            open_ = {j for j, v in verdicts.items() if v is not True}
            sure = {a + j for a in sure for j in present if a + j <= k}
            possible = {a + j for a in possible for j in open_ if a + j <= k}
        if k in sure:
            return False
        return None if k in possible else True

    def derivatives(self, k: int) -> Tensor:
        """The order-k part of the product of generating functions."""
        parts = [[part.derivatives(j) for j in range(k + 1)] for part in self.parts]
        counts = [1] + [0] * k
        for factors in parts:  # at most: orthogonal forms may share tokens
            sizes = [len(tensor) for tensor in factors]
            counts = [sum(counts[n - j] * sizes[j] for j in range(n + 1)) for n in range(k + 1)]
        if counts[k] > TENSOR_BUDGET:
            raise TruncationError(
                f"the order-{k} Hermite tensor of a product has more than {TENSOR_BUDGET} entries: "
                "ask for single coefficients"
            )
        graded: list[Tensor] = [{(): sp.Integer(1)}]
        for factors in parts:
            product: list[list[tuple[MultiIndex, sp.Expr]]] = [[] for _ in range(k + 1)]
            for (i, left), (j, right) in itertools.product(enumerate(graded), enumerate(factors)):
                if i + j <= k:
                    product[i + j] += [
                        (multiply(a, b), x * y * sp.Rational(factorial(multiply(a, b)), factorial(a) * factorial(b)))
                        for (a, x), (b, y) in itertools.product(left.items(), right.items())
                    ]
            graded = [_gather(entries) for entries in product]
        return graded[k] if k < len(graded) else {}

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """The product of the factors' coefficients where the tokens are disjoint."""
        if sum(len(part.tokens) for part in self.parts) != len(self.tokens):
            return super().coefficient(alpha)
        if not {l for l, _ in alpha} <= self.tokens:
            return sp.Integer(0)
        return sp.expand(
            sp.Mul(*(part.coefficient(tuple(p for p in alpha if p[0] in part.tokens)) for part in self.parts))
        )

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """The product of the series."""
        total = [sp.Integer(1)] + [sp.Integer(0)] * k
        for part in self.parts:
            series = part.along(direction, k)
            total = [
                sp.expand(sp.Add(*(math.comb(n, j) * total[n - j] * series[j] for j in range(n + 1))))
                for n in range(k + 1)
            ]
        return total


@dataclass(frozen=True)
class CoupledTransform(Transform):
    """A function of several tokens without further structure."""

    smoothed: Smoothed | Integral
    labels: tuple[int, ...]
    _cache: dict[MultiIndex, sp.Expr] = field(default_factory=dict, compare=False)

    @property
    def tokens(self) -> frozenset[int]:  # type: ignore[override]
        """The coupled tokens."""
        return frozenset(self.labels)

    @property
    def conditions(self) -> tuple[sp.Expr, ...]:  # type: ignore[override]
        """Those of the closed form."""
        return self.smoothed.conditions

    @property
    def square_integrable(self) -> bool:  # type: ignore[override]
        """That of the closed form."""
        return self.smoothed.square_integrable

    @property
    def degree(self) -> int | None:
        """0 for a constant, else not a polynomial."""
        return 0 if self.smoothed.is_constant else None

    @property
    def is_closed(self) -> bool:
        """Whether the smoothed function is."""
        return not isinstance(self.smoothed, Integral)

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The closed form."""
        return self.smoothed.expression([self.at(at, l) for l in self.labels])

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """d^alpha (G h)(0)."""
        if not {l for l, _ in alpha} <= self.tokens:
            return sp.Integer(0)
        if alpha not in self._cache:
            powers = dict(alpha)
            by_position = {i: powers[l] for i, l in enumerate(self.labels, start=1) if l in powers}
            self._cache[alpha] = self.smoothed.coefficient(by_position)
        return self._cache[alpha]

    def vanishes(self, k: int) -> bool | None:
        """True by parity, or entry by entry up to the first that is not zero."""
        degree = self.smoothed.parity_degrees[k % 2]
        if degree is not None and degree < k:
            return True
        undecided = False
        for alpha in multi_indices(self.labels, k):
            zero = decide_zero(self.coefficient(alpha))
            if zero is False:
                return False
            undecided = undecided or zero is None
        return None if undecided else True

    def derivatives(self, k: int) -> Tensor:
        """All entries of order k."""
        if math.comb(len(self.labels) + k - 1, k) > TENSOR_BUDGET:
            raise TruncationError(
                f"the order-{k} Hermite tensor of a function that couples {len(self.labels)} tokens has more than "
                f"{TENSOR_BUDGET} entries: ask for single coefficients"
            )
        entries = ((alpha, self.coefficient(alpha)) for alpha in multi_indices(self.labels, k))
        return {alpha: value for alpha, value in entries if value != 0}

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """By the coefficients, or the derivatives of the restriction to the line where there are too many."""
        few = math.comb(len(direction.keys() & self.tokens) + k - 1, k) <= LINE_BUDGET
        if few or isinstance(self.smoothed, Integral):
            return [self._directional(direction, j) for j in range(k + 1)]
        x = sp.Dummy("x", real=True)
        line = self.expression({l: x * direction.get(l, sp.Integer(0)) for l in self.labels})
        values = []
        for _ in range(k + 1):
            values.append(sp.expand(line.subs(x, 0)))
            line = sp.diff(line, x)
        return values

    def _directional(self, direction: Point, k: int) -> sp.Expr:
        """<C_k, v^{(x) k}> = sum_alpha k!/alpha! C_alpha v^alpha."""
        v = {l: direction[l] for l in self.labels if direction.get(l, 0) != 0}
        terms = (
            math.factorial(k) // factorial(alpha) * self.coefficient(alpha) * sp.Mul(*(v[l] ** n for l, n in alpha))
            for alpha in multi_indices(v, k)
        )
        return sp.expand(sp.Add(*terms))


def _gather(entries: Iterable[tuple[MultiIndex, sp.Expr]]) -> Tensor:
    gathered: dict[MultiIndex, list[sp.Expr]] = {}
    for alpha, value in entries:
        gathered.setdefault(alpha, []).append(value)
    total = {a: values[0] if len(values) == 1 else sp.expand(sp.Add(*values)) for a, values in gathered.items()}
    return {alpha: value for alpha, value in total.items() if value != 0}


def weierstrass_transform(expression: sp.Expr, shift: Point | None = None) -> Transform:
    """G h for an expression h in the tokens.

    `shift` says that the expression is h(z + e), with e_l by token: integrals then keep e as a mean.
    Where no rule gives a closed form the transform keeps integrals (`is_closed` is then False).  Raises `DomainError`
    where no mean exists and `NoClosedForm` where not even integrability is seen (naming the part).

    >>> z1, z2 = token(1), token(2)
    >>> weierstrass_transform(sp.sign(z1) * z2**2).expression()
    (z2**2 + 1)*erf(sqrt(2)*z1/2)
    """
    moved = {l: e for l, e in (shift or {}).items() if e != 0}
    monomials = Polynomial.of_monomials(expression, token_index)
    if monomials is not None and len(monomials.labels) > 1 and monomials.degree > 1:
        return PolynomialTransform(monomials.smoothed())
    expression = _plain_constants(expression)
    indices = tokens_of(expression)
    if not indices:
        return PolynomialTransform(Polynomial.of(written_out(expression), {}))
    ridge = as_ridge(expression, _PROFILE)
    if ridge is not None:
        return _ridge_transform(*ridge, moved)
    symbols = frozenset(token(l) for l in indices)
    if _small_polynomial(expression, symbols):
        return PolynomialTransform(Polynomial.of(expression, {token(l): l for l in indices}).smoothed())
    if isinstance(expression, (sp.Sum, sp.Product)):
        return _structured(expression, moved)
    if isinstance(expression, sp.Add):
        small = [term for term in expression.args if _small_polynomial(term, symbols)]
        rest = [term for term in expression.args if term not in small]
        return _merge_sum(weierstrass_transform(part, moved) for part in (*_bundles(small, symbols), *rest))
    if (split := _split(expression)) is not None:
        return weierstrass_transform(split, moved)
    if isinstance(expression, sp.Mul):
        groups = _orthogonal_groups(expression)
        if len(groups) > 1:
            return ProductTransform(tuple(weierstrass_transform(group, moved) for group in groups))
    if expression.has(sp.Sum, sp.Product):
        return weierstrass_transform(written_out(expression), moved)
    terms = _distributed(expression, symbols)
    if len(terms) > 1:
        return weierstrass_transform(sp.Add(*terms), moved)
    return _coupled(expression, sorted(indices), moved)


def _plain_constants(e: sp.Expr) -> sp.Expr:
    """Sums and products over an index that read no token, written out."""
    if not e.has(sp.Sum, sp.Product):
        return e
    nodes = (node for node in e.atoms(sp.Sum, sp.Product) if not has_tokens(node))
    bounded = (node for node in nodes if all(n.is_Integer for _, *ends in node.limits for n in ends))
    return e.xreplace({node: written_out(node) for node in bounded})


def _bundles(terms: Iterable[sp.Expr], symbols: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """Polynomials gathered into few sums, each within the budget."""
    bundles: list[list[sp.Expr]] = []
    room = 0
    for term in terms:
        size = expanded_size(term, symbols)
        if size > room:
            bundles.append([])
            room = POLYNOMIAL_BUDGET
        bundles[-1].append(term)
        room -= size
    return [sp.Add(*bundle) for bundle in bundles]


def _ridge_transform(direction: Direction, profile: sp.Expr, shift: Point) -> RidgeTransform:
    variance = dot(direction, direction)
    if is_polynomial(profile, frozenset([_PROFILE])):
        polynomial = Polynomial.of(profile, {_PROFILE: 0}, variance)
        return RidgeTransform(direction, polynomial.smoothed(variance))
    try:
        try:
            return RidgeTransform(direction, Smoothed.of(profile, [_PROFILE], variance))
        except NoClosedForm:
            moved = sp.expand(sp.Add(*(c * shift[l] for l, c in direction if l in shift)))
            return RidgeTransform(direction, Integral.of(profile, [_PROFILE], variance, [moved]))
    except (NoClosedForm, DomainError) as error:
        form = str(sp.Add(*(c * token(l) for l, c in direction)))
        form = form if form.isalnum() else f"({form})"
        raise type(error)(re.sub(rf"\b{_PROFILE.name}\b", form, str(error))) from None


def _small_polynomial(expression: sp.Expr, symbols: frozenset[sp.Symbol]) -> bool:
    if expression.has(sp.Sum, sp.Product) or not is_polynomial(expression, symbols):
        return False
    return expanded_size(expression, symbols) <= POLYNOMIAL_BUDGET


def _structured(node: sp.Sum | sp.Product, shift: Point) -> Transform:
    """A sum or product over tokens; a body that reads z[l] alone is transformed once, for all l."""
    body = _common_body(node)
    if body is not None and not shift:
        (index, low, high), general = node.limits[0], weierstrass_transform(body)
        if isinstance(general, RidgeTransform):
            parts: tuple[Transform, ...] = tuple(
                replace(general, direction=((l, sp.Integer(1)),)) for l in range(int(low), int(high) + 1)
            )
            pattern = (index, low, high, general.expression().xreplace({token(1): TOKENS[index]}))
            return SumTransform(parts, pattern) if isinstance(node, sp.Sum) else ProductTransform(parts, pattern)
    bodies = unroll(node)
    if isinstance(node, sp.Product):
        return weierstrass_transform(sp.Mul(*bodies), shift)
    return _merge_sum(weierstrass_transform(part, shift) for part in bodies)


def _common_body(node: sp.Sum | sp.Product) -> sp.Expr | None:
    """The body as a function of token 1 if it reads its own token z[l] alone and the same way for all l."""
    (index, *_), *outer = node.limits
    reads = {entry for entry in node.function.atoms(sp.Indexed) if entry.base == TOKENS}
    body = node.function.xreplace({TOKENS[index]: token(1)})
    explicit = any(token_index(s) is not None for s in node.function.free_symbols)
    return None if outer or explicit or reads != {TOKENS[index]} or body.has(index) else body


def _merge_sum(parts: Iterable[Transform]) -> Transform:
    flat: list[Transform] = []
    for part in parts:
        if isinstance(part, SumTransform) and part.pattern is None:
            flat.extend(part.parts)
        else:
            flat.append(part)
    return SumTransform(tuple(flat))


def _split(e: sp.Expr) -> sp.Expr | None:
    """Rewrite a function of a product, or the exponential of a sum, as a product of functions of fewer tokens."""
    if isinstance(e, sp.Pow) and e.exp.is_Integer and int(e.exp) > 0:
        if isinstance(e.base, sp.Mul):
            return sp.Mul(*(factor**e.exp for factor in e.base.args))
        if isinstance(e.base, sp.Abs) and int(e.exp) % 2 == 0:
            return e.base.args[0] ** e.exp
        inner = _split(e.base)
        return None if inner is None else inner**e.exp
    if isinstance(e, sp.Mul):
        pieces = [_split(factor) for factor in e.args]
        if all(piece is None for piece in pieces):
            return None
        return sp.Mul(*(old if new is None else new for old, new in zip(e.args, pieces, strict=True)))
    if isinstance(e, sp.exp):
        terms = sp.Add.make_args(sp.expand(e.args[0]))
        groups = _clusters([(tokens_of(term), term) for term in terms])
        if len(groups) > 1:
            return sp.Mul(*(sp.exp(sp.Add(*group), evaluate=False) for group in groups), evaluate=False)
        return None
    half = sp.Rational(1, 2)
    if not e.args or not has_tokens(e) or isinstance(e, (sp.Sum, sp.Product)):
        return None
    x = e.args[0]
    if isinstance(e, (sp.sign, sp.Abs)):
        factors = sp.Mul.make_args(factored(x))
        if len(factors) > 1:
            return sp.Mul(*(_sign_of(f) if isinstance(e, sp.sign) else sp.Abs(f) for f in factors))
        return None
    if isinstance(x, sp.Mul) and len(_orthogonal_groups(x)) > 1:
        if isinstance(e, sp.Heaviside):
            return half + sp.sign(x) / 2
        if isinstance(e, relu):
            return x / 2 + sp.Abs(x) / 2
    return None


def _sign_of(factor: sp.Expr) -> sp.Expr:
    base, exponent = factor.as_base_exp()
    if exponent.is_Integer and int(exponent) > 0 and base.is_real:
        if int(exponent) % 2:
            return sp.sign(base)
        return sp.Integer(1) if vanishes_on_null_set(base) else sp.sign(base) ** 2
    return sp.sign(factor)


def _clusters(items: Sequence[tuple[frozenset[int], sp.Expr]]) -> list[list[sp.Expr]]:
    groups: list[tuple[frozenset[int], list[sp.Expr]]] = []
    for tokens, item in items:
        linked = [group for group in groups if group[0] & tokens]
        groups = [group for group in groups if group not in linked]
        merged = frozenset(tokens).union(*(group[0] for group in linked))
        groups.append((merged, [item, *itertools.chain(*(group[1] for group in linked))]))
    return [group[1] for group in groups]


def _span(factor: sp.Expr) -> tuple[Direction, ...]:
    ridge = as_ridge(factor, _PROFILE)
    if ridge is not None:
        return (ridge[0],)
    return tuple(((l, sp.Integer(1)),) for l in sorted(tokens_of(factor)))


def _orthogonal_groups(product: sp.Mul) -> list[sp.Expr]:
    """The factors of a product, grouped so that the groups read mutually orthogonal linear forms."""
    factors: list[sp.Expr] = []
    for factor in product.args:
        others = frozenset().union(*(tokens_of(f) for f in product.args if f is not factor))
        if isinstance(factor, sp.Product) and others & tokens_of(factor):
            factors.extend(unroll(factor))
        else:
            factors.append(factor)
    constants = [factor for factor in factors if not has_tokens(factor)]
    readers: dict[int, set[int]] = {}  # token -> groups; orthogonal groups may share one (z1 + z2 and z1 - z2)
    groups: dict[int, tuple[list[Direction], list[sp.Expr]]] = {}
    for number, factor in enumerate(f for f in factors if has_tokens(f)):
        spans, members = list(_span(factor)), [factor]
        for label in sorted({label for a in spans for l, _ in a for label in readers.get(l, ())}):
            if any(decide_zero(dot(a, b)) is not True for a in spans for b in groups[label][0]):
                old_spans, old_members = groups.pop(label)
                spans += old_spans
                members += old_members
        groups[number] = (spans, members)
        for l in {l for a in spans for l, _ in a}:
            readers[l] = {label for label in readers.get(l, set()) if label in groups} | {number}
    products = [sp.Mul(*members) for _, members in groups.values()]
    if constants and products:
        products[0] *= sp.Mul(*constants)
    return products


def _distributed(e: sp.Expr, symbols: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """The terms of a product of sums, so that each term couples fewer tokens; polynomials are left as they are.

    [e] itself where nothing is to be distributed or there would be more than `DISTRIBUTION_BUDGET` terms.
    """
    terms, number = [sp.Integer(1)], 1
    for factor in sp.Mul.make_args(e):
        base, exponent = factor.as_base_exp()
        repeated = int(exponent) if exponent.is_Integer and int(exponent) > 0 else 1
        base = base if repeated > 1 else factor
        sums = isinstance(base, sp.Add) and not is_polynomial(base, symbols)
        number *= math.comb(len(base.args) + repeated - 1, repeated) if sums else 1
        if number > DISTRIBUTION_BUDGET:
            return [e]
        power = sp.Add.make_args(sp.expand_multinomial(factor, deep=False)) if sums else [factor]
        terms = [term * part for term in terms for part in power]
    return list(sp.Add.make_args(sp.Add(*terms)))


def _coupled(expression: sp.Expr, labels: Sequence[int], shift: Point) -> Transform:
    if len(labels) > COUPLED_BUDGET:
        raise NoClosedForm(
            f"no rule gives the Weierstrass transform of a function that couples {len(labels)} tokens: "
            "it is neither a polynomial of moderate size, nor a function of one linear form, nor a product"
        )
    variables = [token(l) for l in labels]
    try:
        return CoupledTransform(Smoothed.of(expression, variables), tuple(labels))
    except NoClosedForm:
        moved = [shift.get(l, sp.Integer(0)) for l in labels]
        return CoupledTransform(Integral.of(expression, variables, shift=moved), tuple(labels))


def require_square_integrable(expression: sp.Expr, transform: Transform) -> None:
    """Raise `DomainError` unless E h^2 is finite, as a target or a model must have."""
    if not transform.square_integrable:
        raise DomainError(
            f"{expression} is not square-integrable under the Gaussian measure: "
            "exp(x^T Q x) needs I - 4Q positive definite"
        )


__all__ = [
    "CoupledTransform",
    "PolynomialTransform",
    "ProductTransform",
    "RidgeTransform",
    "SumTransform",
    "Transform",
    "require_square_integrable",
    "weierstrass_transform",
]
