"""What a result is worth: the four labels that every coefficient, exponent, Hessian entry and loss carries."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Evidence(enum.StrEnum):
    """How a value is known, strongest first.

    >>> weakest([Evidence.EXACT, Evidence.NUMERICAL, Evidence.ENCLOSED])
    <Evidence.NUMERICAL: 'numerical'>
    """

    EXACT = "exact"
    """Algebra or a symmetry proves it."""
    ENCLOSED = "enclosed"
    """A ball-arithmetic interval contains it; non-zero is proved when 0 is outside."""
    NUMERICAL = "numerical"
    """A value with an error estimate that two independent computations support."""
    UNDECIDED = "undecided"
    """Not known; the result says what is missing."""


_STRENGTH = list(Evidence)


def weakest(labels: Iterable[Evidence]) -> Evidence:
    """The label of a result made of several parts: the weakest decides (`exact` for no parts)."""
    return max(labels, key=_STRENGTH.index, default=Evidence.EXACT)
