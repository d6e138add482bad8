"""Claims about the sequence information exponent."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from sie_sym.audits.claims import Claim
from sie_sym.audits.conventions import Conventions
from sie_sym.audits.routes import Route, compared, mean_of, monte_carlo, quadrature
from sie_sym.audits.signs import HOLDS, measured
from sie_sym.audits.subject import Subject
from sie_sym.audits.verdict import PROVED, REFUTED, UNDECIDED, Counterexample, Verdict
from sie_sym.errors import FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.exponents import information_exponent
from sie_sym.hermite import dense
from sie_sym.quadratures.measure import Measured
from sie_sym.target import Target
from sie_sym.weierstrass import weierstrass_transform


def check_exponent(claim: Claim, claimed: sp.Expr, target: Target) -> Verdict:
    """Audit `sie relation integer` (for generic parameters).

    Raises `FormulaError` for anything but an integer, and where `information_exponent` raises.
    """
    if not claimed.is_Integer:
        raise FormulaError(
            f"the claim sie {claim.relation} {claimed} needs an integer on its right: write e.g. sie = 4"
        )
    found = information_exponent(target)
    s, value = found.exponent, int(claimed)
    if s is None:
        return Verdict.of(claim, UNDECIDED, claimed, f"the exponent is not known: {found.reasons[-1]}")
    routes = (Route("exact algebra", "; ".join(found.reasons), True, float(s)), *_leading_route(claim, target, s))
    blank = replace(Verdict.of(claim, UNDECIDED, claimed, ""), ours=sp.Integer(s), routes=routes)
    if any(route.agrees is False for route in routes):
        return replace(blank, reason=f"OUR OWN ROUTES DISAGREE about the order-{s} coefficient: please report this")
    blank = replace(blank, evidence=found.evidence)
    generic = " for generic parameters" if target.parameters else ""
    if HOLDS["=" if claim.relation == "~" else claim.relation](s - value):
        return replace(blank, verdict=PROVED, reason=f"the exponent is {s}{generic}: {found.reasons[-1]}")
    why = next((r for r in found.reasons if r.startswith(f"order {value}:")), found.reasons[-1])
    wrong = {"=": "", "~": "", "!=": "different from "}.get(claim.relation, f"{claim.relation} ")
    sides = Measured(float(s), 0.0, found.evidence), Measured(float(value), 0.0, Evidence.EXACT)
    reason = f"the exponent is {s}{generic}, not {wrong}{value}: {why}"
    return replace(blank, verdict=REFUTED, reason=reason, counterexample=Counterexample({}, *sides))


def _leading_route(claim: Claim, target: Target, s: int) -> tuple[Route, ...]:
    """One leading coefficient again, by quadrature or Monte Carlo."""
    if len(target.components) != 1 or target.parameters:
        return ()
    try:
        alpha, value = next(iter(weierstrass_transform(target.components[0]).derivatives(s).items()))
        indices = tuple(map(str, dense(alpha, target.tokens)))
        mean = mean_of(Subject(target, None), replace(claim, quantity="C", indices=indices), Conventions(), {})
        ours = measured(value)
    except (SieSymError, StopIteration):
        return ()
    where = " ".join(f"{n} in z{l}" for l, n in alpha)
    for route in (quadrature(mean, ours.value), monte_carlo(mean, ours.value)):
        route = compared(route, ours)
        if route.agrees is not None:
            return (replace(route, said=f"the coefficient of degree {where} {route.said}"),)
    return ()


__all__ = ["check_exponent"]
