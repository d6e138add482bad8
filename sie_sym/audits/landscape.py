"""Claims about the start: the flatness index, the escape from it, and the lowest curvature (Prop. 1, Lemma 1, F.1).

kappa is the lowest order k >= 1 of a non-zero derivative of R at 0, each derivative from Hermite coefficients alone;
the escape index is the lowest order at which some direction decreases R; lambda_min is the lowest eigenvalue of the
Hessian.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import sympy as sp

from sie_sym.audits.claims import Claim
from sie_sym.audits.conventions import Conventions
from sie_sym.audits.remedies import other_reduction
from sie_sym.audits.routes import Route, compared, directional_mean, mean_of, monte_carlo, quadrature
from sie_sym.audits.signs import HOLDS, Domain, ball_sign, is_zero, measured
from sie_sym.audits.subject import Subject
from sie_sym.audits.verdict import PROVED, REFUTED, UNDECIDED, Counterexample, Verdict, at_point
from sie_sym.digits import with_error
from sie_sym.errors import FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.landscape import Landscape, landscape, visibility
from sie_sym.population_loss import population_loss
from sie_sym.quadratures.measure import Measured

LAST_ORDER = 6
"""Derivatives of R at 0 are searched up to this order."""
_ROUNDING = 1e-13
"""Of eigenvalues in floats, relative to the largest."""
KINDS = ("semantic", "positional", "mixed")


def check_landscape(claim: Claim, subject: Subject, conventions: Conventions) -> Verdict:
    """Audit kappa, escape, escapes or lambda_min.

    Raises `FormulaError` for what these cannot be compared with, and where the toolkit's own functions raise.
    """
    subject.require_model(claim.quantity)
    if claim.quantity == "escapes":
        return _kind(claim, subject)
    claimed = subject.claimed(claim, conventions)
    if claim.quantity == "lambda_min":
        return _lowest_curvature(claim, claimed, subject, conventions)
    if not claimed.is_Integer:
        said = f"the claim {claim.shown} {claim.relation} {claimed}"
        raise FormulaError(f"{said} needs an integer on its right: write e.g. {claim.quantity} = 2")
    verdict = _flatness if claim.quantity == "kappa" else _escape
    return verdict(claim, claimed, subject)


def _index(claim: Claim, claimed: sp.Expr, index: int | None, why: str, evidence: Evidence, routes: tuple[Route, ...]
           ) -> Verdict:  # fmt: skip
    """The verdict about an integer that is known; None is infinite: it never comes."""
    blank = replace(Verdict.of(claim, UNDECIDED, claimed, ""), routes=routes, evidence=evidence)
    if any(route.agrees is False for route in routes):
        return replace(blank, reason=f"OUR OWN ROUTES DISAGREE about the order-{index} derivative: please report this",
                       evidence=Evidence.UNDECIDED)  # fmt: skip
    relation = "=" if claim.relation == "~" else claim.relation
    holds = HOLDS[relation](1 if index is None else int(sp.sign(index - claimed)))
    ours = sp.oo if index is None else sp.Integer(index)
    reason = f"{claim.shown} is {'infinite' if index is None else index}: {why}"
    if holds:
        return replace(blank, verdict=PROVED, ours=ours, reason=reason)
    example = None
    if index is not None:
        example = Counterexample(
            {}, Measured(float(index), 0.0, evidence), Measured(float(claimed), 0.0, Evidence.EXACT)
        )
    return replace(blank, verdict=REFUTED, ours=ours, reason=reason, counterexample=example)


# ---- kappa ----------------------------------------------------------------------------------------


def _flatness(claim: Claim, claimed: sp.Expr, subject: Subject) -> Verdict:
    never = _never(subject)
    if never is not None:
        return _index(claim, claimed, None, never, Evidence.EXACT, (Route("exact algebra", never, True),))
    names = [str(s) for s in subject.statistics]
    for k in range(1, LAST_ORDER + 1):
        for numbers in itertools.combinations_with_replacement(range(len(names)), k):
            value = subject.derivative_at_zero(numbers).value
            zero = is_zero(value)
            if zero is None:
                where = f"the derivative of R at 0 in {', '.join(names[i] for i in numbers)}"
                return Verdict.of(claim, UNDECIDED, claimed, f"{where} could be proved neither zero nor non-zero")
            if not zero:
                routes = _derivative_routes(claim, subject, numbers, value)
                shown = f"d^{k} R(0) in {', '.join(names[i] for i in numbers)}"
                known = None if value.free_symbols else measured(value)
                number = "" if known is None else f" = {with_error(known.value, known.error)}"
                evidence = Evidence.EXACT if known is None else known.evidence
                why = f"all derivatives of lower order vanish and {shown}{number} does not"
                return _index(claim, claimed, k, why, evidence, routes)
    reason = f"all derivatives of R at 0 vanish up to order {LAST_ORDER}; higher orders were not examined"
    return Verdict.of(claim, UNDECIDED, claimed, reason)


def _never(subject: Subject) -> str | None:
    """Why R is constant in the overlaps, or None."""
    if subject.network is not None:
        exact = subject.network.order is None
        return "R is constant" if exact and not subject.loss.value.has(*subject.statistics) else None
    model = subject.require_model("kappa")
    if model.positional:
        return None
    seen = visibility(population_loss(subject.target, model, 1))
    return seen.reason if seen.exponent is None and seen.proved else None


def _derivative_routes(
    claim: Claim, subject: Subject, numbers: tuple[int, ...], value: sp.Expr
) -> tuple[Route, ...]:
    """The leading derivative again, by quadrature and Monte Carlo of the functions themselves."""
    if value.free_symbols:
        return (Route("exact algebra", f"the derivative is {value}", True),)
    ours = measured(value)
    first = Route("Hermite coefficients", with_error(ours.value, ours.error), True, ours.value, ours.error)
    names = tuple(str(subject.statistics[i]) for i in numbers)
    try:
        derivative = replace(claim, quantity="dR", indices=names)
        mean = mean_of(subject, derivative, Conventions(), dict.fromkeys(subject.statistics, sp.Integer(0)))
    except SieSymError as error:
        return (first, Route("quadrature", f"silent: {error}", None))
    return (first, *(compared(route(mean, ours.value), ours) for route in (quadrature, monte_carlo)))


# ---- escape ---------------------------------------------------------------------------------------


def _found(subject: Subject) -> Landscape:
    """The landscape; a few powers of m decide most escapes, and for softmax each more is a table of integrals."""
    if subject.network is not None:
        raise FormulaError("the escape of an untied network is not audited: give --model tied, or claim kappa or H")
    model = subject.require_model("escape")
    low = landscape(population_loss(subject.target, model, 2))
    return low if low.escape.proved else landscape(population_loss(subject.target, model, min(subject.order, 4)))


def _escape_routes(subject: Subject, found: Landscape) -> tuple[Route, ...]:
    escape = found.escape
    first = Route("exact algebra" if found.evidence is Evidence.EXACT else "enclosed integrals", escape.reason, True)
    if escape.order is None or escape.direction is None or subject.parameters:
        return (first,)
    mean = directional_mean(subject, [float(c) for c in escape.direction], escape.order)
    seen = quadrature(mean, 0.0), monte_carlo(mean, 0.0)
    return (first, *(_downhill(route, escape.order) for route in seen))


def _downhill(route: Route, order: int) -> Route:
    """A route about the derivative along the escape: does it see a descent."""
    if route.value is None or route.error is None or route.agrees is None:
        return route
    said = f"the derivative of order {order} along the escape is {route.value:.8g} +- {route.error:.2g}"
    if abs(route.value) <= route.error:
        # A valley that bends has no slope along its tangent.
        return replace(route, agrees=None, said=f"silent: {said}")
    return replace(route, agrees=True if route.value < 0 else None, said=said)


def _escape(claim: Claim, claimed: sp.Expr, subject: Subject) -> Verdict:
    found = _found(subject)
    if not found.escape.proved:
        return Verdict.of(claim, UNDECIDED, claimed, f"the escape is not proved: {found.escape.reason}")
    escape = found.escape
    why = f"{escape.kind}, {escape.reason}" if escape.order else f"R does not decrease from 0: {escape.reason}"
    verdict = _index(claim, claimed, escape.order, why, found.evidence, _escape_routes(subject, found))
    return _with_remedy(verdict, subject)


def _with_remedy(verdict: Verdict, subject: Subject) -> Verdict:
    """The other trace, where a refuted claim about the escape holds with it."""
    other = other_reduction(subject.model)
    if verdict.verdict != REFUTED or other is None:
        return verdict
    model, name = other
    escape = landscape(population_loss(subject.target, model, 2)).escape
    if not escape.proved or escape.order is None:
        return verdict
    relation = "=" if verdict.claim.relation == "~" else verdict.claim.relation
    if not HOLDS[relation](int(sp.sign(escape.order - verdict.claimed))):
        return verdict
    return replace(verdict, remedy=name, reason=f"{verdict.reason}; right with {name}")


def _kind(claim: Claim, subject: Subject) -> Verdict:
    word = str(claim.formula)
    if word not in KINDS or claim.relation not in ("=", "!="):
        raise FormulaError(f"escapes {claim.relation} {word} is no kind of escape: choose {', '.join(KINDS)}")
    found = _found(subject)
    blank = Verdict.of(claim, UNDECIDED, claim.formula, f"the escape is not proved: {found.escape.reason}")
    if not found.escape.proved:
        return blank
    routes = _escape_routes(subject, found)
    holds = (found.escape.kind == word) == (claim.relation == "=")
    kind = f"the escape is {found.escape.kind}" if found.escape.kind else "there is no escape"
    reason = f"{kind}: {found.escape.reason}"
    return replace(blank, verdict=PROVED if holds else REFUTED, reason=reason, routes=routes, evidence=found.evidence)


# ---- lambda_min -----------------------------------------------------------------------------------


def _lowest_curvature(claim: Claim, claimed: sp.Expr, subject: Subject, conventions: Conventions) -> Verdict:
    n = len(subject.statistics)
    factor = conventions.loss_factor
    rows = [[factor * subject.derivative_at_zero((i, j)).value for j in range(i + 1)] for i in range(n)]
    hessian = sp.ImmutableDenseMatrix(n, n, lambda i, j: rows[max(i, j)][min(i, j)])
    shifted = hessian - claimed * sp.eye(n)
    blank = Verdict.of(claim, UNDECIDED, claimed, "the signs of the principal minors of H are not all known")
    relation = "=" if claim.relation == "~" else claim.relation
    points: list[dict[sp.Symbol, sp.Expr]] = [{}]
    if shifted.free_symbols:
        points = list(Domain((), subject.parameters).points())
    for point in points:
        sign = lowest_eigenvalue_sign(shifted.subs(point))
        if sign is None or (HOLDS[relation](sign) and shifted.free_symbols):
            continue
        routes = _entry_routes(claim, subject, conventions, hessian, point)
        if any(route.agrees is False for route in routes):
            return replace(blank, reason="OUR OWN ROUTES DISAGREE about the Hessian: please report this", routes=routes)
        spectrum = _spectrum(hessian.subs(point))
        shown = ", ".join(with_error(known.value, known.error) for known in spectrum)
        reason = f"the curvatures at initialization are {shown}{at_point(point)}"
        exact = all(measured(entry).evidence is Evidence.EXACT for entry in shifted.subs(point))
        known = replace(blank, routes=routes, reason=reason, evidence=Evidence.EXACT if exact else Evidence.ENCLOSED)
        if HOLDS[relation](sign):
            return replace(known, verdict=PROVED)
        example = Counterexample(point, replace(spectrum[0], evidence=known.evidence), measured(claimed.subs(point)))
        return replace(known, verdict=REFUTED, counterexample=example)
    if shifted.free_symbols:
        return replace(blank, reason="no counterexample among the parameters tried, and no proof for all of them")
    return blank


def lowest_eigenvalue_sign(matrix: sp.Matrix) -> int | None:
    """The sign of the lowest eigenvalue of a symmetric matrix of constants, None if it is not proved.

    The elementary symmetric functions of the eigenvalues are sums of principal minors: all positive for a positive
    lowest eigenvalue, none negative for one that vanishes.

    >>> [lowest_eigenvalue_sign(sp.diag(1, c)) for c in (-1, 0, 1)], lowest_eigenvalue_sign(sp.ones(2))
    ([-1, 0, 1], 0)
    """
    n = matrix.rows
    signs: list[int | None] = []
    for k in range(1, n + 1):
        minors = (matrix.extract(list(rows), list(rows)).det() for rows in itertools.combinations(range(n), k))
        total = sp.expand(sp.Add(*minors))
        signs.append(0 if is_zero(total) is True else ball_sign(total))
    if -1 in signs or any(is_negative(matrix[i, i]) for i in range(n)):
        return -1
    if None in signs:
        return None
    return 1 if 0 not in signs else 0


def is_negative(value: sp.Expr) -> bool:
    """Whether a constant is proved negative: on the diagonal it is seen before a minor of integrals is."""
    return ball_sign(value) == -1


def _spectrum(hessian: sp.Matrix) -> list[Measured]:
    """The eigenvalues, ascending; one moves by no more than the Frobenius norm of the errors of the entries (Weyl)."""
    entries = [measured(entry) for entry in hessian]
    if hessian.is_diagonal():
        return sorted((entries[i] for i in range(0, len(entries), hessian.rows + 1)), key=lambda known: known.value)
    values = np.linalg.eigvalsh(np.array([known.value for known in entries]).reshape(hessian.shape))
    error = float(np.linalg.norm([known.error for known in entries])) + _ROUNDING * float(np.abs(values).max())
    return [Measured(float(value), error, Evidence.ENCLOSED) for value in values]


def _entry_routes(
    claim: Claim, subject: Subject, conventions: Conventions, hessian: sp.Matrix, point: dict[sp.Symbol, sp.Expr]
) -> tuple[Route, ...]:
    """The diagonal of the Hessian again."""
    routes: list[Route] = []
    start = dict.fromkeys(subject.statistics, sp.Integer(0)) | point
    for i, s in enumerate(subject.statistics[:3]):
        ours = measured(hessian[i, i].subs(point))
        name = "exact algebra" if ours.evidence is Evidence.EXACT else "enclosed integrals"
        routes.append(Route(name, f"H[{s},{s}] = {with_error(ours.value, ours.error)}", True, ours.value, ours.error))
        try:
            mean = mean_of(subject, replace(claim, quantity="H", indices=(str(s), str(s))), conventions, start)
        except SieSymError as error:
            routes.append(Route("quadrature", f"silent: {error}", None))
            continue
        found = compared(quadrature(mean, ours.value), ours)
        routes.append(replace(found, said=f"H[{s},{s}] {found.said}"))
    return tuple(routes)


__all__ = ["check_landscape", "lowest_eigenvalue_sign"]
