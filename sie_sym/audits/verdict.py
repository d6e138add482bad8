"""What an audit answers: a verdict with its counterexample and the routes that support it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from sie_sym.audits.claims import Claim
from sie_sym.audits.routes import Route
from sie_sym.evidence import Evidence
from sie_sym.quadratures.measure import Measured

PROVED, REFUTED, UNDECIDED = "proved", "refuted", "undecided"


@dataclass(frozen=True)
class Counterexample:
    """A rational point (overlaps and parameters; empty for a number) and both sides there, in disjoint balls."""

    point: Mapping[sp.Symbol, sp.Expr]
    ours: Measured
    claimed: Measured


@dataclass(frozen=True)
class Verdict:
    """What is known of a claim.

    `verdict` is proved, refuted or undecided; `difference` is ours - claimed, exact (None for exponents, and where our
    side is not known); `remedy` names the change of convention that would make a refuted claim right, None if none is
    known; `routes` are the independent ways asked and what each said; `evidence` is what the verdict is worth.
    """

    claim: Claim
    verdict: str
    ours: sp.Expr | None
    claimed: sp.Expr
    difference: sp.Expr | None
    counterexample: Counterexample | None
    remedy: str | None
    reason: str
    evidence: Evidence
    routes: tuple[Route, ...]

    @classmethod
    def of(cls, claim: Claim, verdict: str, claimed: sp.Expr, reason: str) -> Verdict:
        """A verdict of which nothing else is known."""
        return cls(claim, verdict, None, claimed, None, None, None, reason, Evidence.UNDECIDED, ())


def at_point(point: Mapping[sp.Symbol, sp.Expr]) -> str:
    """`` at m = 1/2`` for a message, nothing for no symbols."""
    values = ", ".join(f"{s} = {v}" for s, v in point.items())
    return f" at {values}" if values else ""


__all__ = ["PROVED", "REFUTED", "UNDECIDED", "Counterexample", "Verdict", "at_point"]
