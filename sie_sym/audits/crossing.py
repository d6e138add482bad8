r"""Claims about omega_c: where the two curvatures at initialization are equal (section 4, Fig. 4; App. F.1).

For a target affine in a parameter, with D = H_mm - H_epseps affine in it, too,

    omega_c = D(0) / (D(0) - D(1)),

a ratio of Gaussian integrals, enclosed.  The official code trains on the unsquared norm E |g - phi|, for which D is not
affine: there omega_c is found by quadrature on two grids, and its verdict is numerical.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.optimize import brentq

from sie_sym.audits.claims import Claim
from sie_sym.audits.conventions import Conventions
from sie_sym.audits.routes import Route
from sie_sym.audits.signs import HOLDS, is_zero, measured
from sie_sym.audits.subject import Subject
from sie_sym.audits.verdict import PROVED, REFUTED, UNDECIDED, Counterexample, Verdict
from sie_sym.digits import with_error
from sie_sym.errors import FormulaError
from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.measure import Measured

Array = NDArray[np.float64]

_HALF_WIDTH = 5.5
_GRIDS = (31, 39, 47)
"""Nodes an axis: sums over (z*, z) of two tokens have the fourth power of it as terms."""
_NAMES = {"squared": "the squared norm E |g - phi|^2", "frobenius": "the unsquared norm E |g - phi|"}


def check_crossing(claim: Claim, subject: Subject, conventions: Conventions) -> Verdict:
    """Audit `omega_c relation number` for a target of two tokens affine in one free parameter.

    Raises `FormulaError` for another target or model.
    """
    problem = _Problem(claim, subject)
    claimed = claim.formula
    if claimed.free_symbols:
        raise FormulaError(f"omega_c is a number but the claim reads {', '.join(map(str, claimed.free_symbols))}")
    norm = conventions.norm
    ours = problem.crossing(norm)
    holds = _holds(claim, ours, problem)
    routes = problem.routes(norm)
    blank = replace(Verdict.of(claim, UNDECIDED, claimed, ""), routes=routes, evidence=ours.evidence)
    where = f"{problem.parameter}_c = {_number(ours)} for {_NAMES[norm]}"
    if any(route.agrees is False for route in routes):
        return replace(blank, reason=f"OUR OWN ROUTES DISAGREE about {where}: please report this")
    if holds is None:
        return replace(blank, reason=f"{where}: too close to what is claimed to tell")
    if holds:
        return replace(blank, verdict=PROVED, reason=where)
    other = "frobenius" if norm == "squared" else "squared"
    remedy = _NAMES[other] if _holds(claim, problem.crossing(other), problem) else None
    reason = f"{where}, not {claim.relation} {sp.Float(claimed, 8)}" + (f"; right with {remedy}" if remedy else "")
    example = Counterexample({}, ours, Measured(float(claimed), 0.0, Evidence.EXACT))
    return replace(blank, verdict=REFUTED, reason=reason, remedy=remedy, counterexample=example)


def _holds(claim: Claim, ours: Measured, problem: _Problem) -> bool | None:
    """Whether a number known up to its error is as claimed, None if the error is too large to tell."""
    gap = ours.value - float(claim.formula)
    if claim.relation == "~" and claim.digit is not None:
        # Cut away from 0 by less than a digit, or rounded by half of one.
        outward, digit = (gap if claim.formula >= 0 else -gap), float(claim.digit)
        ends = (-digit / 2, digit)
        if any(abs(outward - end) <= ours.error for end in ends):
            return None
        return ends[0] < outward < ends[1]
    relation = "=" if claim.relation == "~" else claim.relation
    if abs(gap) <= ours.error:
        exact = ours.evidence is not Evidence.NUMERICAL and is_zero(problem.exact - claim.formula) is True
        return HOLDS[relation](0) if exact else None
    return HOLDS[relation](1 if gap > 0 else -1)


@dataclass(frozen=True)
class _Problem:
    claim: Claim
    subject: Subject

    def __post_init__(self) -> None:
        model, target = self.subject.require_model("omega_c"), self.subject.target
        if len(self.subject.parameters) != 1:
            names = ", ".join(map(str, self.subject.parameters)) or "none"
            raise FormulaError(f"omega_c needs one free parameter, here they are {names}: give the others a value")
        if len(model.statistics) != 2 or model.tokens != 2:
            raise FormulaError("omega_c needs two tokens and one column of positions: --tokens 2 --encoding 1,-1")
        if any(sp.expand(sp.diff(g, self.parameter, 2)) != 0 for g in target.components):
            raise FormulaError(f"omega_c needs a target that is affine in {self.parameter}")

    @property
    def parameter(self) -> sp.Symbol:
        """omega."""
        return self.subject.parameters[0]

    # ---- the squared norm: a ratio of integrals ---------------------------------------------------

    @cached_property
    def exact(self) -> sp.Expr:
        """D(0) / (D(0) - D(1))."""
        at = [
            sp.expand((self.subject.derivative_at_zero((0, 0)).value - self.subject.derivative_at_zero((1, 1)).value)
                      .subs(self.parameter, value)) for value in (0, 1)
        ]  # fmt: skip
        if is_zero(at[0] - at[1]) is True:
            raise FormulaError("the two curvatures differ by the same at every parameter: there is no omega_c")
        return at[0] / (at[0] - at[1])

    def crossing(self, norm: str) -> Measured:
        """omega_c: enclosed, or for the unsquared norm to the accuracy of the grids."""
        return self._enclosed if norm == "squared" else self._summed(1)

    @cached_property
    def _enclosed(self) -> Measured:
        return measured(self.exact)

    # ---- either norm: sums over the plane of z* and that of z --------------------------------------

    def _summed(self, power: int) -> Measured:
        roots = [_root(self._difference(nodes, power)) for nodes in _GRIDS]
        return Measured(roots[-1], 5 * (max(roots) - min(roots)) + 1e-9, Evidence.NUMERICAL)

    def routes(self, norm: str) -> tuple[Route, ...]:
        """What integrals and sums over four variables say; the sums for one norm are checked by those for the other."""
        exact, sums = self._enclosed, self._summed(2)
        agrees = abs(exact.value - sums.value) <= exact.error + sums.error
        said = f"{'agrees' if agrees else 'DISAGREES'}: {_number(sums)} ({_GRIDS[-1]}^4 nodes)"
        if norm == "squared":
            first = Route("enclosed integrals", _number(exact), True, exact.value, exact.error)
            return (first, Route("quadrature", said, agrees, sums.value, sums.error))
        found = self._summed(1)
        first = Route("quadrature", f"{_number(found)} ({_GRIDS[-1]}^4 nodes)", True, found.value)
        said += f", enclosed integrals {_number(exact)}"
        return (first, Route("the same sums for the squared norm", said, agrees, sums.value, sums.error))

    def _difference(self, nodes: int, power: int) -> Callable[[float], float]:
        r"""omega -> H_mm - H_epseps of E |g - phi|^power.

        With p the normal density d_m^2 R(0) = sum_{|b| = 2} 2!/b! E f He_b(z*) He_b(z), f = |g(z*) - phi(z)|^power,
        and d_eps^2 R(0) = E f ((c.z)^2 - |c|^2).
        """
        model, target = self.subject.require_model("omega_c"), self.subject.target
        axis = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, nodes)
        density = np.exp(-axis * axis / 2)
        weights = np.outer(density, density).ravel() / density.sum() ** 2
        grid = np.stack([part.ravel() for part in np.meshgrid(axis, axis, indexing="ij")])
        kept = weights > 1e-9 * weights.max()
        grid, weights = grid[:, kept], weights[kept]
        z = [token(1), token(2)]
        phi = numeric_function(z, list(model.components))(grid)
        ends = [numeric_function(z, [g.subs(self.parameter, end) for g in target.components])(grid) for end in (0, 1)]
        x, y = grid
        second = x * x - 1, np.sqrt(2) * x * y, y * y - 1
        c = np.array([float(entry) for entry in model.encoding])
        across = (c @ grid) ** 2 - c @ c

        def difference(omega: float) -> float:
            g = (1 - omega) * ends[0] + omega * ends[1]
            # |g|^2 - 2 <g, phi> + |phi|^2 as one product of matrices
            values = np.maximum((g * g).sum(axis=0)[:, None] - 2 * g.T @ phi + (phi * phi).sum(axis=0), 0.0)
            values = values if power == 2 else np.sqrt(values)
            in_m = sum(float((weights * h) @ values @ (weights * h)) for h in second)
            return in_m - float(weights @ values @ (weights * across))

        return difference


def _number(known: Measured) -> str:
    return with_error(known.value, known.error)


def _root(difference: Callable[[float], float]) -> float:
    """The zero on [0, 1]."""
    if difference(0.0) * difference(1.0) > 0:
        raise FormulaError("the two curvatures are equal at no parameter in [0, 1]: there is no omega_c")
    return float(brentq(difference, 0.0, 1.0, xtol=1e-10))


__all__ = ["check_crossing"]
