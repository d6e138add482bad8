"""Why a refuted claim may have been made: the smallest change of convention after which it holds.

Beside the factors of `conventions` these are the reduction of softmax attention, the learning rates that a gain
compares, and a decimal meant to its last digit.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from sie_sym.audits.claims import GAINS, Claim
from sie_sym.audits.conventions import REDUCTIONS, Conventions, remedies
from sie_sym.audits.signs import HOLDS, Point, ball_sign, decimals, is_zero
from sie_sym.audits.subject import Quantity, Subject
from sie_sym.errors import FormulaError
from sie_sym.model import Model, softmax_attention

_RATES = {
    "gain_equal_rate": "equal learning rates",
    "gain_optimal_rate": "the rates gamma ~ 1/t of Thm 2",
    "gain_stability_limit": "both rates at the limit of stability",
}


def reduced(model: Model, reduction: str | None) -> Model:
    """Softmax attention with the other reduction to a number; `None` leaves a model as it is.

    Raises `FormulaError` for a model that is not reduced by its trace.

    >>> reduced(softmax_attention(2, "trace"), "mean-trace").reduction
    'mean-trace'
    """
    if reduction is None or reduction == model.reduction:
        return model
    if model.reduction not in REDUCTIONS:
        raise FormulaError(f"the reduction convention {reduction} belongs to a softmax model reduced by its trace")
    plain = softmax_attention(model.tokens, reduction, model.scores)
    components = (plain.with_injection(model.injection) if model.injection else plain).components
    return replace(model, components=components, reduction=reduction)


def other_reduction(model: Model | None) -> tuple[Model, str] | None:
    """The model with the other trace, and what that is called; None for other models."""
    if model is None or model.reduction not in REDUCTIONS:
        return None
    (other,) = set(REDUCTIONS) - {model.reduction}
    return reduced(model, other), "trace/sqrt(L) (mean-trace)" if other == "mean-trace" else "the plain trace"


def remedy_of(
    claim: Claim, subject: Subject, conventions: Conventions, found: Quantity, point: Point
) -> tuple[str, ...]:
    """The smallest changes of convention that make a refuted claim hold, the simplest first."""
    claimed = subject.claimed(claim, conventions)
    if claim.relation == "!=":
        return ()
    names: list[str] = []
    if found.bound == 0 and claim.relation in ("=", "~"):
        names += remedies(claimed, found.shape, lambda changed: _holds(claim, found.value, changed, point))
    names += _with_other_reduction(claim, subject, conventions, claimed)
    names += _with_other_rates(claim, subject, claimed)
    digit = claim.digit if claim.relation == "=" and not names else None
    if digit is not None and decimals(found.value - claimed, claimed, digit):
        names = ["~ instead of = (the decimal is right to its last digit)"]
    if claim.quantity == "C":  # whose conventions are those of He_k, not of the loss
        names.sort(key=lambda name: "!" not in name)
    return tuple(names)


def _holds(claim: Claim, ours: sp.Expr, claimed: sp.Expr, point: Point) -> bool:
    difference = sp.expand(ours - claimed)
    if claim.digit is not None and claim.relation == "~":
        return decimals(difference, claimed, claim.digit) is True
    # A point is cheaper than a proof, and refutes nearly all.
    if ball_sign(difference.subs(point)) is not None:
        return False
    return is_zero(difference) is True


def _with_other_reduction(claim: Claim, subject: Subject, conventions: Conventions, claimed: sp.Expr) -> list[str]:
    other = other_reduction(subject.model)
    if other is None or claim.quantity == "C":
        return []
    model, name = other
    found = Subject(subject.target, model, subject.order).quantity(claim, replace(conventions, reduction=None))
    difference = sp.expand(found.value - claimed)
    if difference.free_symbols or found.bound != 0:
        return []
    if claim.relation == "=":
        return [name] if is_zero(difference) else []
    if claim.relation == "~":
        return [name] if claim.digit and decimals(difference, claimed, claim.digit) else []
    sign = ball_sign(difference)
    return [name] if sign is not None and HOLDS[claim.relation](sign) else []


def _with_other_rates(claim: Claim, subject: Subject, claimed: sp.Expr) -> list[str]:
    if claim.quantity not in GAINS or GAINS[claim.quantity] not in _RATES or claim.relation != "=":
        return []
    others = [name for name in _RATES if name != GAINS[claim.quantity]]
    return [_RATES[name] for name in others if is_zero(subject.gain(name).value - claimed)]


__all__ = ["other_reduction", "reduced", "remedy_of"]
