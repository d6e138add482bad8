"""Claims by a list, entry by entry: a Hermite coefficient of several outputs, a gradient, a Hessian, a drift."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from sie_sym.audits.claims import Claim
from sie_sym.audits.subject import Subject
from sie_sym.audits.verdict import PROVED, REFUTED, UNDECIDED, Verdict
from sie_sym.errors import FormulaError
from sie_sym.evidence import weakest


def entries(claim: Claim, subject: Subject) -> list[Claim]:
    """The claims that a list makes: over the outputs of the target for C, else over the overlaps.

    Raises `FormulaError` for a list of another shape.
    """
    rows, columns = claim.formula.shape
    if claim.quantity == "C":
        places = subject.places()
        wanted = subject.target.shape
        claims = [replace(claim, output=place) for place in places]
    else:
        subject.require_model(claim.quantity)
        if claim.indices:
            raise FormulaError(f"{claim.shown} is one number: write {claim.quantity} = [..] without indices")
        names = [str(s) for s in subject.statistics]
        wanted = (len(names),) * (2 if claim.quantity == "H" else 1)
        claims = [replace(claim, indices=place) for place in itertools.product(names, repeat=len(wanted))]
    # A vector may be written as a row or as a column.
    shapes = {wanted} if len(wanted) == 2 else {(*wanted, 1), (1, *wanted)}
    if (rows, columns) not in shapes:
        expected = " x ".join(map(str, wanted)) or "one number"
        raise FormulaError(
            f"{claim.shown} has the shape {expected} here, the list {rows} x {columns}: write all entries"
        )
    return [replace(one, formula=entry) for one, entry in zip(claims, claim.formula, strict=True)]


def combined(claim: Claim, verdicts: Sequence[Verdict]) -> Verdict:
    """Proved if every entry is; refuted, or else open, by the first entry that is."""
    for kind in (REFUTED, UNDECIDED):
        if found := next((v for v in verdicts if v.verdict == kind), None):
            return replace(found, claim=claim, reason=f"in its entry {found.claim.shown}: {found.reason}")
    reason = f"proved entry by entry ({len(verdicts)}): {verdicts[0].reason}"
    shape = claim.formula.shape
    return replace(
        verdicts[0],
        claim=claim,
        verdict=PROVED,
        reason=reason,
        ours=sp.ImmutableDenseMatrix(*shape, [v.ours for v in verdicts]),
        claimed=sp.ImmutableDenseMatrix(*shape, [v.claimed for v in verdicts]),
        difference=sp.ImmutableDenseMatrix(*shape, [v.difference for v in verdicts]),
        evidence=weakest([v.evidence for v in verdicts]),
    )


__all__ = ["combined", "entries"]
