"""Numbers known exactly or by a proved interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp
from flint import arb

from sie_sym.errors import NoClosedForm
from sie_sym.evidence import Evidence
from sie_sym.integrals.enclosure import decide_sign, enclose

Interval = tuple[float, float]


def interval_of(ball: arb) -> Interval:
    """Floats around a ball."""
    return math.nextafter(float(ball.lower()), -math.inf), math.nextafter(float(ball.upper()), math.inf)


def product(left: Interval, right: Interval) -> Interval:
    """An interval around the products of numbers >= 0."""
    return math.nextafter(left[0] * right[0], 0.0), math.nextafter(left[1] * right[1], math.inf)


@dataclass(frozen=True)
class CertifiedValue:
    """A number by its exact `value` or, without one, by a proved interval.

    `lower` and `upper` are None only if the value depends on parameters.  `method` says what was used.
    """

    value: sp.Expr | None
    lower: float | None
    upper: float | None
    evidence: Evidence
    method: str

    @classmethod
    def exact(cls, value: sp.Expr, method: str) -> CertifiedValue:
        """A number known as an expression."""
        if value.free_symbols:
            return cls(value, None, None, Evidence.EXACT, method)
        return cls(value, *interval_of(enclose(value)), Evidence.EXACT, method)

    @classmethod
    def between(cls, bounds: Interval, method: str) -> CertifiedValue:
        """A number known by an interval."""
        return cls(None, *bounds, Evidence.ENCLOSED, method)

    def scaled(self, factor: sp.Expr) -> CertifiedValue:
        """The norm of factor * T, if this is the norm of T."""
        if factor in (1, -1):
            return self
        if self.value is not None:
            return CertifiedValue.exact(sp.Abs(factor) * self.value, self.method)
        return CertifiedValue.between(product(interval_of(enclose(sp.Abs(factor))), self.bounds), self.method)

    def times(self, other: CertifiedValue) -> CertifiedValue:
        """The product of two numbers >= 0."""
        if self.value is not None and other.value is not None:
            return CertifiedValue.exact(sp.expand(self.value * other.value), self.method)
        return CertifiedValue.between(product(self.bounds, other.bounds), self.method)

    @property
    def bounds(self) -> Interval:
        """(lower, upper).  Raises `NoClosedForm` if they depend on parameters."""
        if self.lower is None or self.upper is None:
            raise NoClosedForm(f"{self.value} depends on parameters: its bounds are known at given values only")
        return self.lower, self.upper


def largest(values: Iterable[CertifiedValue]) -> CertifiedValue:
    """The largest of some numbers, exact if it can be told which one it is."""
    values = list(values)
    best = values[0]
    for other in values[1:]:
        if best.value is not None and other.value is not None:
            difference = other.value - best.value
            if difference.free_symbols:
                best = CertifiedValue.exact(sp.Max(best.value, other.value), "largest block")
            elif decide_sign(difference) == 1:
                best = other
            continue
        (low, high), (other_low, other_high) = best.bounds, other.bounds
        if other_low >= high:
            best = other
        elif low < other_high:
            best = CertifiedValue.between((max(low, other_low), max(high, other_high)), "largest block")
    return best


__all__ = ["CertifiedValue", "Interval", "interval_of", "largest", "product"]
