"""Hermite coefficients as tables that are short enough to print, or an error that says how long they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import InformationExponent
from sie_sym.hermite import MultiIndex, Tensor, dense

LONGEST_TABLE = 20_000
"""The largest number of exponents (entries times tokens) that a printed table may have."""

Rows = dict[MultiIndex, tuple[sp.Expr, ...]]
"""One row a multi-index, one value a component."""


def _rows(tensors: tuple[Tensor, ...], tokens: int) -> Rows:
    present = sorted(set().union(*tensors), key=lambda alpha: [-n for n in dense(alpha, tokens)])
    return {alpha: tuple(tensor.get(alpha, sp.Integer(0)) for tensor in tensors) for alpha in present}


def leading_entries(found: InformationExponent) -> Rows:
    """C_SIE of every component, {} if there is none.  Raises `TruncationError` if it is too long to print."""
    tensors, tokens = found.leading_tensors(), found.target.tokens
    size = len(set().union(*tensors))
    if size * tokens > LONGEST_TABLE:
        raise TruncationError(
            f"the leading tensor has {size} entries of {tokens} tokens, too many to print: ask for some in Python"
        )
    return _rows(tensors, tokens)


@dataclass(frozen=True)
class Coefficients:
    """The Hermite coefficients of an expansion up to an order, as a table to print.

    >>> from sie_sym.functions import token
    >>> Coefficients(HermiteExpansion.of((token(1) ** 2,), 1), 2).entries
    {(): (1,), ((1, 2),): (2,)}
    """

    expansion: HermiteExpansion
    order: int

    @cached_property
    def entries(self) -> Rows:
        """The coefficients that are not zero, by order, one value a component.

        Raises `TruncationError` as soon as they are too many to print.
        """
        tokens = self.expansion.tokens
        rows: Rows = {}
        for k in range(self.order + 1):
            rows |= _rows(self.expansion.tensors(k), tokens)
            if len(rows) * tokens > LONGEST_TABLE:
                raise TruncationError(
                    f"there are {len(rows)} coefficients of {tokens} tokens up to order {k}, too many to print: "
                    f"pass an order below {k}, or ask for single ones in Python"
                )
        return rows


__all__ = ["LONGEST_TABLE", "Coefficients", "leading_entries"]
