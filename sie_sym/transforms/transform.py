r"""Weierstrass transforms as objects that know their derivatives at 0, by structure.

(G h)(t) = E h(t + Z) is the exponential generating function of the Hermite tensors of h, C_alpha(h) = d^alpha (G h)(0)
(theory section 2; arXiv:2506.02651, Thm 3).  Polynomials and ridges f(<a, z>) answer here, sums and products in
`composite_transform`, coupled functions in `coupled_transform`, none by expanding; `weierstrass` recognises them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy as sp

from sie_sym.errors import DomainError, TruncationError
from sie_sym.functions import token
from sie_sym.hermite import MultiIndex, Tensor, factorial, monomial, multi_indices, order
from sie_sym.integrals.enclosure import all_zero, decide_zero
from sie_sym.linear_forms import Direction
from sie_sym.polynomial import Polynomial
from sie_sym.transforms.integral import Integral
from sie_sym.transforms.smoothed import Smoothed

TENSOR_BUDGET = 200_000
"""The largest number of entries of one Hermite tensor that is written out."""

Point = Mapping[int, sp.Expr]
"""A point t of R^L by its non-zero coordinates."""


class Transform(ABC):
    """(G h)(t) = E h(t + Z), the exponential generating function of the Hermite tensors of h (theory section 2)."""

    @property
    @abstractmethod
    def tokens(self) -> frozenset[int]:
        """The tokens that h reads."""

    @property
    @abstractmethod
    def conditions(self) -> tuple[sp.Expr, ...]:
        """What must be positive for the transform to exist, when parameters decide it."""

    @property
    @abstractmethod
    def square_integrable(self) -> bool:
        """Whether E h^2 is proved to be finite, up to the conditions."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether G h has a closed form; it keeps Gaussian integrals otherwise."""

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
        return all_zero(self.derivatives(k).values())

    def coefficient(self, alpha: MultiIndex) -> sp.Expr:
        """C_alpha(h), zero where alpha reads a token that h does not."""
        return self.entry(alpha) if {l for l, _ in alpha} <= self.tokens else sp.Integer(0)

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """C_alpha(h) at a multi-index of the tokens of h."""
        return self.derivatives(order(alpha)).get(alpha, sp.Integer(0))

    def at(self, point: Point | None, index: int) -> sp.Expr:
        """The coordinate t_index."""
        return token(index) if point is None else point.get(index, sp.Integer(0))


class LeafTransform(Transform):
    """A transform by one smoothed function, its `profile`, which decides what there is to know of it."""

    profile: Polynomial | Smoothed | Integral

    @property
    def conditions(self) -> tuple[sp.Expr, ...]:
        """Those of the profile."""
        return () if isinstance(self.profile, Polynomial) else self.profile.conditions

    @property
    def square_integrable(self) -> bool:
        """That of the profile."""
        return isinstance(self.profile, Polynomial) or self.profile.square_integrable

    @property
    def is_closed(self) -> bool:
        """Whether the profile is no integral."""
        return not isinstance(self.profile, Integral)

    @property
    def degree(self) -> int | None:
        """The degree of a polynomial; outside of them only constants have one."""
        if isinstance(self.profile, Polynomial):
            return self.profile.degree
        return 0 if self.profile.is_constant else None


@dataclass(frozen=True)
class PolynomialTransform(LeafTransform):
    """G of a polynomial, held in flint."""

    profile: Polynomial

    @property
    def tokens(self) -> frozenset[int]:
        """The tokens that occur."""
        return frozenset(self.profile.labels)

    @property
    def degree(self) -> int:
        """The degree of the polynomial."""
        return self.profile.degree

    def expression(self, at: Point | None = None) -> sp.Expr:
        """The expanded polynomial at t."""
        return self.profile.expression([self.at(at, l) for l in self.profile.labels])

    def vanishes(self, k: int) -> bool | None:
        """Whether there is no term of degree k."""
        present = self.profile.has_degree(k)
        return super().vanishes(k) if present is None else not present

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """alpha! times the coefficient of t^alpha."""
        return self.profile.coefficient(alpha) * factorial(alpha)

    def derivatives(self, k: int) -> Tensor:
        """alpha! times the coefficients of degree k."""
        return {alpha: c * factorial(alpha) for alpha, c in self.profile.homogeneous(k).items()}

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """k! times the homogeneous parts at v."""
        v = {l: direction.get(l, sp.Integer(0)) for l in self.profile.labels}
        parts = (self.profile.homogeneous(j).items() for j in range(k + 1))
        values = (sp.Add(*(c * monomial(v, alpha) for alpha, c in part)) for part in parts)
        return [math.factorial(j) * sp.expand(value) for j, value in enumerate(values)]


@dataclass(frozen=True)
class RidgeTransform(LeafTransform):
    """G of f(<a, z>): (G_{|a|^2} f)(<a, t>), f a polynomial or in the closed class."""

    direction: Direction
    profile: Polynomial | Smoothed | Integral
    _series: list[sp.Expr] = field(default_factory=list, compare=False)

    @property
    def tokens(self) -> frozenset[int]:
        """The support of a."""
        return frozenset(l for l, _ in self.direction)

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
                values = self.profile.derivatives(max(k, 3 * len(self._series) // 2))
            self._series[:] = values
        return self._series[: k + 1]

    def vanishes(self, k: int) -> bool | None:
        """The tensor is c_k a^{(x) k}, a not zero."""
        return decide_zero(self.series(k)[k])

    def derivatives(self, k: int) -> Tensor:
        """c_k a^{(x) k}.  Raises `TruncationError` beyond the tensor budget."""
        tokens = len(self.direction)
        require_budget(k, math.comb(tokens + k - 1, k), f"a function of {tokens} tokens")
        c, slopes = self.series(k)[k], dict(self.direction)
        return {} if c == 0 else {alpha: _power(c, slopes, alpha) for alpha in multi_indices(self.tokens, k)}

    def entry(self, alpha: MultiIndex) -> sp.Expr:
        """c_{|alpha|} a^alpha."""
        return _power(self.series(order(alpha))[order(alpha)], dict(self.direction), alpha)

    def along(self, direction: Point, k: int) -> list[sp.Expr]:
        """c_j <a, v>^j."""
        projection = sp.expand(self.form(direction))
        return [sp.expand(c * projection**j) for j, c in enumerate(self.series(k))]


def _power(c: sp.Expr, slopes: Point, alpha: MultiIndex) -> sp.Expr:
    """c a^alpha."""
    value = c * monomial(slopes, alpha)
    return value if value.is_Rational else sp.expand(value)


def largest_degree(transforms: Iterable[Transform]) -> int | None:
    """The largest degree, None if some transform is no polynomial."""
    degrees = [transform.degree for transform in transforms]
    return None if None in degrees else max((d for d in degrees if d is not None), default=0)


def require_budget(k: int, entries: int, function: str) -> None:
    """Raise `TruncationError` if an order-k tensor of a function may have too many entries to write out."""
    if entries > TENSOR_BUDGET:
        raise TruncationError(
            f"the order-{k} Hermite tensor of {function} has more than {TENSOR_BUDGET} entries: "
            "ask for single coefficients"
        )


def require_square_integrable(expression: sp.Expr, transform: Transform) -> None:
    """Raise `DomainError` unless E h^2 is finite, as a target or a model must have."""
    if not transform.square_integrable:
        raise DomainError(
            f"{expression} is not square-integrable under the Gaussian measure: "
            "exp(x^T Q x) needs I - 4Q positive definite"
        )
