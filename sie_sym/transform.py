r"""Weierstrass transforms as objects that know their derivatives at 0, by structure.

(G h)(t) = E h(t + Z) is the exponential generating function of the Hermite tensors of h, C_alpha(h) = d^alpha (G h)(0)
(theory section 2; arXiv:2506.02651, Thm 3).  Polynomials, ridges f(<a, z>), sums, products over orthogonal variables
and coupled functions each answer in their own way, none by expanding; `weierstrass` recognises them.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import sympy as sp

from sie_sym.enclosure import decide_zero
from sie_sym.errors import DomainError, TruncationError
from sie_sym.functions import token
from sie_sym.hermite import MultiIndex, Tensor, factorial, multi_indices, multiply, order
from sie_sym.integral import Integral
from sie_sym.linear_forms import Direction
from sie_sym.polynomial import Polynomial
from sie_sym.smoothed import Smoothed

TENSOR_BUDGET = 200_000
"""The largest number of entries of one Hermite tensor that is written out."""
LINE_BUDGET = 500
"""Up to this many coefficients of one order a series along a line is put together from them."""

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
                    *(c * sp.Mul(*(v[l] ** n for l, n in alpha)) for alpha, c in self.smoothed.homogeneous(j).items())
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
class _Composite(Transform):
    """A transform made of others; `pattern` keeps a sum or product over tokens symbolic: (index, low, high, body)."""

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


@dataclass(frozen=True)
class SumTransform(_Composite):
    """A sum of transforms."""

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
class ProductTransform(_Composite):
    """A product of transforms in mutually orthogonal variables."""

    @cached_property
    def _factors(self) -> tuple[Transform, ...]:
        """The parts, with the factors of a part that is a product in its place."""
        inner = (part._factors if isinstance(part, ProductTransform) else (part,) for part in self.parts)
        return tuple(itertools.chain.from_iterable(inner))

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
        parts = [[part.derivatives(j) for j in range(k + 1)] for part in self._factors]
        counts = [1] + [0] * k
        for factors in parts:  # at most: orthogonal forms may share tokens
            sizes = [len(tensor) for tensor in factors]
            counts = [sum(counts[n - j] * sizes[j] for j in range(n + 1)) for n in range(k + 1)]
        if counts[k] > TENSOR_BUDGET:
            raise TruncationError(
                f"the order-{k} Hermite tensor of a product has more than {TENSOR_BUDGET} entries: "
                "ask for single coefficients"
            )
        orders = [[j for j, tensor in enumerate(factors) if tensor] or [k + 1] for factors in parts]
        graded: list[Tensor] = [{(): sp.Integer(1)}]
        for number, factors in enumerate(parts):
            # orders from which the factors left do not come to k are not formed
            low, high = (sum(end(found) for found in orders[number + 1 :]) for end in (min, max))
            product: list[list[tuple[MultiIndex, sp.Expr]]] = [[] for _ in range(k + 1)]
            for (i, left), (j, right) in itertools.product(enumerate(graded), enumerate(factors)):
                if i + j + low <= k <= i + j + high:
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


def require_square_integrable(expression: sp.Expr, transform: Transform) -> None:
    """Raise `DomainError` unless E h^2 is finite, as a target or a model must have."""
    if not transform.square_integrable:
        raise DomainError(
            f"{expression} is not square-integrable under the Gaussian measure: "
            "exp(x^T Q x) needs I - 4Q positive definite"
        )
