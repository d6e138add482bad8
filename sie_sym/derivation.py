"""Pages that derive a result of the paper and say how it comes out (the files of `derivations`).

A page is a module with a `PAGE`, a function `derive() -> list[Claim]` and the verdicts it declares, `EXPECTED`: a page
whose claims come out otherwise has found a mistake, in the paper, in this package or in itself.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

from sie_sym.evidence import Evidence
from sie_sym.integrals.enclosure import all_zero


class Verdict(enum.StrEnum):
    """How a claim comes out."""

    PROVED = "proved"
    REFUTED = "refuted"
    CONFIRMED = "confirmed numerically"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, or one that contradicts it, with its verdict.

    `source` is the equation, theorem or figure; `route` says how the verdict was reached and which independent route
    agrees; `formulas` are the labelled results.
    """

    statement: str
    source: str
    verdict: Verdict
    evidence: Evidence
    route: str
    formulas: tuple[tuple[str, sp.Basic], ...] = ()


@dataclass(frozen=True)
class Page:
    """A result of the paper: the page's name (that of its module), the place in arXiv:2506.02651, and a title."""

    name: str
    source: str
    title: str

    def claim(
        self,
        statement: str,
        holds: bool | None,
        route: str,
        *,
        evidence: Evidence = Evidence.EXACT,
        source: str | None = None,
        formulas: Mapping[str, sp.Basic] | None = None,
    ) -> Claim:
        """A claim that holds, does not, or is open (None).

        What holds is proved by exact or enclosed evidence and confirmed by numerical evidence.

        >>> Page("p", "Thm 1", "a page").claim("1 = 1", True, "algebra").verdict
        <Verdict.PROVED: 'proved'>
        """
        if holds is None:
            verdict, evidence = Verdict.UNDECIDED, Evidence.UNDECIDED
        elif not holds:
            verdict = Verdict.REFUTED
        else:
            proof = evidence in (Evidence.EXACT, Evidence.ENCLOSED)
            verdict = Verdict.PROVED if proof else Verdict.CONFIRMED
        return Claim(statement, source or self.source, verdict, evidence, route, tuple((formulas or {}).items()))


def gaussian_mean(polynomial: sp.Expr, variables: Iterable[sp.Symbol]) -> sp.Expr:
    """E p(Z) for independent standard normal variables, by the moments (k - 1)!! alone: the direct route of the pages.

    >>> x, y = sp.symbols("x y", real=True)
    >>> gaussian_mean(x**4 * (y + 1) ** 2, (x, y))
    6
    """
    terms = sp.Poly(polynomial, *variables).terms()
    return sp.expand(
        sp.Add(*(c * sp.prod(0 if k % 2 else sp.factorial2(k - 1) for k in degrees) for degrees, c in terms))
    )


__all__ = ["Claim", "Page", "Verdict", "all_zero", "gaussian_mean"]
