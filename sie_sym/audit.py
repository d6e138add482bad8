r"""The auditor: is a claimed formula right, and by which independent routes do we say so.

An equality is proved when the exact difference is zero, refuted at a rational point where both values are enclosed in
disjoint balls.  Neither is said of a loss, a derivative, a drift or a coefficient unless a route that shares nothing
with the closed forms (quadrature or Monte Carlo over g and phi themselves) supports our side; a route that contradicts
it leaves the claim undecided, loudly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp

from sie_sym.audits.claims import GAINS, INDICES, Claim, parse_claim
from sie_sym.audits.conventions import Conventions
from sie_sym.audits.crossing import check_crossing
from sie_sym.audits.entries import combined, entries
from sie_sym.audits.exponents import check_exponent
from sie_sym.audits.landscape import check_landscape
from sie_sym.audits.remedies import reduced, remedy_of
from sie_sym.audits.routes import Route, compared, mean_of, monte_carlo, quadrature
from sie_sym.audits.signs import Domain, Point, ball_sign, counterexample, decimals, is_zero, measured, proves
from sie_sym.audits.subject import RATE, Quantity, Subject
from sie_sym.audits.verdict import PROVED, REFUTED, UNDECIDED, Counterexample, Verdict, at_point
from sie_sym.digits import plus_minus, with_error
from sie_sym.errors import FormulaError, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.gaussian import GaussianExpectation, evidence_of
from sie_sym.model import Model
from sie_sym.population_loss import DEFAULT_ORDER
from sie_sym.quadratures.measure import Measured
from sie_sym.target import Target
from sie_sym.untied import NetworkLoss
from sie_sym.weierstrass import weierstrass_transform

OURS = Conventions()
_MOST_ALIKE = 4
EXACT_ROUTE = "exact algebra"
"""Remedies that do the same are named up to this number."""


def check(
    claim: str,
    target: Target,
    model: Model | NetworkLoss | None = None,
    *,
    conventions: Conventions = OURS,
    latex: bool = False,
    order: int = DEFAULT_ORDER,
    values: Mapping[sp.Symbol, sp.Expr] | None = None,
) -> Verdict:
    """Audit a claim (`audits.claims` has its grammar) about a target and a model, or an untied network's loss.

    Inequalities hold on the whole domain (|m| <= 1, m^2 + |eps|^2 <= 1, all real parameters); `!=` says that two sides
    are not identically equal; `~` that our value rounds to a decimal or is cut to it.  Infinite sums are cut at
    `order` with their bound; parameters that the claim reads have the `values` that target and model were given.
    Raises `FormulaError` for what is no claim, and where the toolkit's own functions raise.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import linear_attention
    >>> g = Target.of(He(2, token(1)) + He(2, token(2)))
    >>> found = check("loss = 7 - 8*m^2", g, linear_attention(2))
    >>> found.verdict, found.difference, found.remedy
    ('refuted', 4*m**2, 'L^{-k/2}')
    """
    parsed = parse_claim(claim, latex=latex, tokens=target.tokens)
    if values:
        parsed = replace(parsed, formula=parsed.formula.subs(values))
        if parsed.formula.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
            raise FormulaError(f"the claim {claim.strip()[:60]!r} is no real number at the parameters given")
    if isinstance(model, Model):
        model = reduced(model, conventions.reduction)
    subject = Subject(target, model, order)
    if parsed.quantity == "sie":
        return check_exponent(parsed, subject.claimed(parsed, conventions), target)
    if parsed.quantity in INDICES:
        return check_landscape(parsed, subject, conventions)
    if parsed.quantity == "omega_c":
        return check_crossing(parsed, subject, conventions)
    if conventions.norm != "squared":
        raise FormulaError(f"the unsquared norm is audited in claims about omega_c, not about {parsed.quantity}")
    if parsed.listed:
        return combined(parsed, [_formula(entry, subject, conventions) for entry in entries(parsed, subject)])
    return _formula(parsed, subject, conventions)


def _formula(claim: Claim, subject: Subject, conventions: Conventions) -> Verdict:
    """A claim that is one formula: where a sum over m is cut, first at m = 0, where it is not."""
    if claim.quantity in ("drift", "dR") and subject.network is None and claim.at is None:
        lowest = Subject(subject.target, subject.model, max(1, claim.indices.count("m")))
        if lowest.is_cut:
            early = _Audit(claim, lowest, conventions).at_vanishing_overlap()
            if early is not None:
                return early
    return _Audit(claim, subject, conventions).formula()


class _Audit:
    """One claim about one subject."""

    def __init__(self, claim: Claim, subject: Subject, conventions: Conventions) -> None:
        self.claim, self.subject, self.conventions = claim, subject, conventions
        self.claimed = subject.claimed(claim, conventions)

    def verdict(self, verdict: str, reason: str, **known: object) -> Verdict:
        """A verdict with what else is known."""
        return replace(Verdict.of(self.claim, verdict, self.claimed, reason), **known)  # type: ignore[arg-type]

    # ---- formulas ---------------------------------------------------------------------------------

    def formula(self) -> Verdict:
        """Everything but exponents."""
        self._refuse_names()
        found = self.subject.quantity(self.claim, self.conventions)
        difference = found.value - self.claimed
        if not difference.has(GaussianExpectation) or not difference.free_symbols:
            difference = sp.expand(difference)
        if self.claim.relation == "~":
            return self._to_the_digits(found, difference)
        point = counterexample_point = self._failing(found, difference)
        how = None if point is not None else self._proof(found, difference)
        if point is None:
            point = self._generic_point(difference)
        routes = self._routes(found, self._completed(point, difference))
        known = {"ours": found.value, "difference": difference, "routes": routes}
        objection = self._objection(routes, point)
        if objection and "DISAGREE" in objection:
            return self.verdict(UNDECIDED, objection, **known)
        if counterexample_point is None and how is None:
            return self.verdict(UNDECIDED, self._open(found, difference), **known)
        if objection:
            return self.verdict(UNDECIDED, f"{objection} ({how or 'a counterexample is known'})", **known)
        if counterexample_point is None:
            evidence = Evidence.ENCLOSED if how and "balls" in how else evidence_of([difference])
            return self.verdict(PROVED, f"proved by {how}", evidence=evidence, **known)
        return self._refuted(found, difference, counterexample_point, known)

    def at_vanishing_overlap(self) -> Verdict | None:
        """A drift or a derivative of a cut loss: exact at m = 0, where only the powers kept are read.

        None where nothing is decided there.
        """
        self._refuse_names()
        claim, origin = self.claim, {self.subject.statistics[0]: sp.Integer(0)}
        formal = self.subject.drift_of_any_loss(claim)
        gap = None if formal is None else sp.factor(formal - claim.formula)
        known: dict[str, object] = {} if formal is None else {"ours": formal, "difference": gap}
        same = gap == 0
        if same:
            claim = replace(claim, formula=claim.formula.subs(RATE, 0))
        if claim.relation != "=" or RATE in claim.formula.free_symbols:
            return None
        audit = _Audit(claim, self.subject, self.conventions)
        found = audit.subject.quantity(claim, self.conventions)
        difference = found.value.subs(origin) - audit.claimed.subs(origin)
        points = (point | origin for point in audit._domain(difference).axis_points())
        # The first point will do where the two sides are the same: there our routes have their say.
        point = next((point for point in points if same or ball_sign(difference.subs(point))), None)
        if point is None:
            return None
        known["routes"] = routes = audit._routes(replace(found, bound=sp.Integer(0)), point)
        if objection := audit._objection(routes, point):
            return audit.verdict(UNDECIDED, objection, **known)
        if same:
            how = "proved by exact algebra: both sides are the same for every loss and noise"
            return self.verdict(PROVED, how, evidence=Evidence.EXACT, **known)
        refuted = audit._refuted(replace(found, bound=None), difference, point, known)
        return refuted if formal is None else replace(refuted, reason=f"{refuted.reason}; the drift is {formal}")

    def _refuse_names(self) -> None:
        fixed = self.claim.quantity in ("C", "G", "H", *GAINS) or self.claim.at is not None
        read = sorted(map(str, self.claimed.free_symbols & set(self.subject.statistics)))
        if fixed and read:
            where = "at a point" if self.claim.at else "not a function of the overlaps"
            remedy = "write dR[m] = .. for a derivative as a function" if self.claim.quantity in "GH" else "drop it"
            raise FormulaError(f"{self.claim.shown} is {where} but the claim reads {', '.join(read)}: {remedy}")

    def _domain(self, difference: sp.Expr) -> Domain:
        """Where the claim is meant to hold."""
        components = [*self.subject.target.components]
        if self.subject.model is not None:
            components += self.subject.model.components
        rate = [RATE] if RATE in self.claim.formula.free_symbols - set(self.subject.parameters) else []
        conditions: tuple[sp.Expr, ...] = ()
        if self.subject.parameters:
            conditions = tuple(dict.fromkeys(c for h in components for c in weierstrass_transform(h).conditions))
        cube = self.subject.network is not None
        return Domain(self.subject.statistics, (*self.subject.parameters, *rate), conditions, cube)

    def _failing(self, found: Quantity, difference: sp.Expr) -> Point | None:
        """A point that refutes the claim."""
        relation = self.claim.relation
        if relation == "!=":
            vanishes = found.bound == 0 and is_zero(difference) is True
            return next(self._domain(difference).points(), {}) if vanishes else None
        if found.bound is None or (relation == "=" and found.bound == 0 and is_zero(difference) is True):
            return None
        return counterexample(difference, found.bound, relation, self._domain(difference))

    def _proof(self, found: Quantity, difference: sp.Expr) -> str | None:
        """How the claim is proved, None if it is not."""
        relation, domain = self.claim.relation, self._domain(difference)
        if found.bound is None:
            return None
        if relation == "=":
            return "exact algebra: the difference is zero" if found.bound == 0 and is_zero(difference) else None
        if relation == "!=":
            apart = counterexample(difference, found.bound, "=", domain)
            return None if apart is None else f"both values{at_point(apart)}"
        return proves(difference, found.bound, relation, domain)

    def _generic_point(self, difference: sp.Expr) -> Point:
        domain = self._domain(difference)
        return next(domain.axis_points() if difference.has(GaussianExpectation) else domain.points(), {})

    def _completed(self, point: Mapping[sp.Symbol, sp.Expr], difference: sp.Expr) -> Point:
        """The point with a value for every overlap and parameter, those of the claim's own point first."""
        total = self._generic_point(difference) | dict.fromkeys(self.subject.statistics, sp.Integer(0)) | dict(point)
        if self.claim.at is not None:
            total |= dict(zip(self.subject.statistics, self.claim.at, strict=True))
        if self.claim.quantity in ("G", "H"):
            total |= dict.fromkeys(self.subject.statistics, sp.Integer(0))
        return total

    def _to_the_digits(self, found: Quantity, difference: sp.Expr) -> Verdict:
        if self.claim.digit is None or difference.free_symbols:
            raise FormulaError(
                f"{self.claim.shown} ~ {self.claim.formula}: ~ compares an exact number with a decimal, "
                "as in H[m,m] ~ -1.1278; write = for formulas"
            )
        routes = self._routes(found, self._completed({}, difference))
        known = {"ours": found.value, "difference": difference, "routes": routes}
        right = None if found.bound is None else decimals(difference, self.claimed, self.claim.digit, found.bound)
        if objection := self._objection(routes, {}):
            return self.verdict(UNDECIDED, objection, **known)
        if right is None:
            return self.verdict(
                UNDECIDED,
                "the last digit written is finer than our value: raise the order, or write fewer digits",
                **known,
            )
        if right:
            reason = "our value rounds to, or is cut to, the decimal written"
            return self.verdict(PROVED, reason, evidence=Evidence.ENCLOSED, **known)
        return self._refuted(found, difference, {}, known)

    def _refuted(self, found: Quantity, difference: sp.Expr, point: Point, known: Mapping[str, object]) -> Verdict:
        # What cancels in the difference is still read by the two sides.
        read = found.value.free_symbols | self.claimed.free_symbols
        point = {s: v for s, v in self._completed(point, difference).items() if s in read}
        bound = sp.Integer(0) if found.bound is None else found.bound.subs(point)
        ours, claimed = self._sides(found.value.subs(point), bound, self.claimed.subs(point))
        example = Counterexample(point, ours, claimed)
        remedies = remedy_of(self.claim, self.subject, self.conventions, found, point)
        remedy = remedies[0] if remedies else None
        words = {"=": "differs from", "~": "is not within a digit of"}
        relation = words.get(self.claim.relation, f"is not {self.claim.relation}")
        sides = [with_error(side.value, side.error) for side in (ours, claimed)]
        reason = f"{self.claim.shown} = {sides[0]} {relation} {sides[1]}{at_point(example.point)}"
        if self.claim.relation == "!=":
            where = " at every point" if read & set(self.subject.statistics) else ""
            reason = f"{self.claim.shown} is equal to {self.claim.formula}{where}"
        if remedy:
            reason += f"; right with {remedy}"
            if 1 < len(remedies) <= _MOST_ALIKE:
                reason += f" (indistinguishable here from {', '.join(remedies[1:])})"
        evidence = Evidence.ENCLOSED if ours.evidence is not Evidence.EXACT else Evidence.EXACT
        return self.verdict(REFUTED, reason, counterexample=example, remedy=remedy, evidence=evidence, **known)

    def _sides(self, ours: sp.Expr, bound: sp.Expr, claimed: sp.Expr) -> tuple[Measured, Measured]:
        """Both sides, as finely as it takes to see them apart where they are."""
        sides = measured(ours, bound), measured(claimed)
        meet = abs(sides[0].value - sides[1].value) <= sides[0].error + sides[1].error
        if meet and self.claim.relation != "!=":
            sides = measured(ours, bound, finely=True), measured(claimed, finely=True)
        return sides

    def _open(self, found: Quantity, difference: sp.Expr) -> str:
        """Why nothing is proved."""
        if found.bound is None:
            return "our value is an infinite sum cut without a bound: give a polynomial target or model"
        if found.bound != 0:
            if self.claim.relation not in ("=", "!="):
                return (
                    "no counterexample was found, and our value is an infinite sum, cut: no proof on the whole domain"
                )
            return "our value is an infinite sum, cut: the difference is within the proved bound; raise the order"
        if evidence_of([difference]) is Evidence.NUMERICAL:
            value = measured(found.value) if not found.value.free_symbols else None
            shown = "" if value is None else f" ({plus_minus(value.value, value.error)})"
            return f"our value is known numerically only{shown}"
        if difference.free_symbols and self.claim.relation not in ("=", "!="):
            return "no counterexample was found and no exact proof applies on the whole domain"
        return "the difference could be proved neither zero nor non-zero"

    # ---- independent routes -----------------------------------------------------------------------

    def _routes(self, found: Quantity, point: Point) -> tuple[Route, ...]:
        """Our value again at one point."""
        names = {Evidence.ENCLOSED: "enclosed integrals", Evidence.NUMERICAL: "numerical integrals"}
        name = names.get(evidence_of([found.value]), EXACT_ROUTE)
        bound = None if found.bound is None else found.bound.subs(point)
        try:
            ours = measured(found.value.subs(point), bound or sp.Integer(0))
        except SieSymError as error:
            return (Route(name, f"silent: {error}", None),)
        first = Route(name, f"{with_error(ours.value, ours.error)}{at_point(point)}", True, ours.value, ours.error)
        if self.claim.quantity in GAINS or bound is None:
            return (first,)
        try:
            mean = mean_of(self.subject, self.claim, self.conventions, point)
        except SieSymError as error:
            return (first, Route("quadrature", f"silent: {error}", None))
        independent = [route(mean, ours.value) for route in (quadrature, monte_carlo)]
        return (first, *(compared(route, ours) for route in independent))

    def _objection(self, routes: tuple[Route, ...], point: Point) -> str | None:
        """Why our own side is not to be trusted."""
        against = [route.name for route in routes if route.agrees is False]
        if against:
            where = at_point(point)
            return f"OUR OWN ROUTES DISAGREE: {' and '.join(against)} contradict our value{where}; please report this"
        # A proof by exact algebra stands alone where quadrature and draws are too coarse; integrals need a second one.
        # A gain is a ratio of tensors, no mean that could be drawn.
        alone = self.claim.quantity in GAINS or (routes[0].name == EXACT_ROUTE and routes[0].agrees is True)
        if sum(route.agrees is True for route in routes) < 2 and not alone:
            return "only one route decides: no independent one can tell here"
        return None


__all__ = ["Conventions", "Counterexample", "Route", "Verdict", "check"]
