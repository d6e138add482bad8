r"""The sequence information exponent (Def. 2), its strata in the parameters, and the sample complexity (Thm 1).

SIE(g) = min{ j >= 1 : C_j(g) != 0 }, the order of vanishing of G g(t) - G g(0) at t = 0; for several outputs the
minimum over them; L = 1 gives the information exponent of single-index models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy as sp

from sie_sym.enclosure import decide_zero
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.hermite import Tensor
from sie_sym.target import Target

MAX_ORDER = 64
"""Orders are tried up to here; beyond, a non-polynomial target whose tensors all vanish stays undecided."""


@dataclass(frozen=True)
class SampleComplexity:
    """Samples to weak recovery as functions of d (Thm 1): what the proof gives, and the sharp rate."""

    proved: str
    sharp: str


def sample_complexity(exponent: int) -> SampleComplexity:
    """d for SIE 1, d log^2 d proved and d log d sharp for 2, d^{SIE-1} above (Thm 1, up to constants in L).

    >>> sample_complexity(2)
    SampleComplexity(proved='d log(d)^2', sharp='d log(d)')
    """
    if exponent == 1:
        return SampleComplexity("d", "d")
    if exponent == 2:
        return SampleComplexity("d log(d)^2", "d log(d)")
    return SampleComplexity(f"d^{exponent - 1}", f"d^{exponent - 1}")


@dataclass(frozen=True)
class Stratum:
    """A set of parameter values with one exponent; `exponent` is None where there is none or it stays open."""

    exponent: int | None
    when: str
    note: str = ""


@dataclass(frozen=True)
class InformationExponent:
    """The SIE of a target with its proof.

    `exponent` is None for a constant target and where no proof was found (`evidence` tells which); `reasons` has one
    line an order; `strata` lists the generic value first, then the parameter sets where it differs.
    """

    target: Target
    expansion: HermiteExpansion
    exponent: int | None
    evidence: Evidence
    reasons: tuple[str, ...]
    strata: tuple[Stratum, ...] = field(default=())

    def leading_tensors(self) -> tuple[Tensor, ...]:
        """C_SIE of every component, empty if there is no exponent.  Raises `TruncationError` if it is too long."""
        return () if self.exponent is None else self.expansion.tensors(self.exponent)

    @property
    def samples(self) -> SampleComplexity | None:
        """The sample complexity of weak recovery."""
        return None if self.exponent is None else sample_complexity(self.exponent)


def information_exponent(target: Target) -> InformationExponent:
    """The sequence information exponent of a target, by increasing order, with evidence.

    Raises `NoClosedForm` where the target has no transform and `DomainError` where it is not square-integrable.

    >>> from sie_sym.functions import He, token
    >>> information_exponent(Target.of(He(1, token(1)) * He(4, token(2)))).exponent
    5
    """
    found = _generic(target)
    if target.parameters and found.exponent is not None:
        strata = tuple(_strata(found, ""))
        return InformationExponent(target, found.expansion, found.exponent, found.evidence, found.reasons, strata)
    return found


def _generic(target: Target) -> InformationExponent:
    expansion = HermiteExpansion.of(target.components, target.tokens)
    reasons: list[str] = []
    last = expansion.degree if expansion.degree is not None else MAX_ORDER
    for k in range(1, last + 1):
        vanishes, reason = expansion.vanishes(k)
        if vanishes is False:
            reasons.append(f"order {k}: not zero")
            return InformationExponent(target, expansion, k, Evidence.EXACT, tuple(reasons))
        if vanishes is None:
            reasons.append(f"order {k}: {reason}")
            return InformationExponent(target, expansion, None, Evidence.UNDECIDED, tuple(reasons))
        reasons.append(f"order {k}: zero, {reason}")
    if expansion.degree is not None:
        reasons.append("the target is constant: no order is non-zero, there is no exponent")
        return InformationExponent(target, expansion, None, Evidence.EXACT, tuple(reasons))
    reasons.append(f"all orders up to {MAX_ORDER} vanish; the target is not seen to be constant")
    return InformationExponent(target, expansion, None, Evidence.UNDECIDED, tuple(reasons))


def _strata(found: InformationExponent, prefix: str) -> list[Stratum]:
    """The strata of a family: its generic exponent off the zero set of the leading tensor, then that set's own."""
    if found.exponent is None or not found.target.parameters:
        note = "" if found.evidence is Evidence.EXACT and found.exponent else found.reasons[-1]
        return [Stratum(found.exponent, prefix or "always", note)]
    entries = [value for tensor in found.leading_tensors() for value in tensor.values()]
    solutions = _common_zeros(entries, found.target.parameters)
    if solutions is None:
        equations = " and ".join(f"{entry} = 0" for entry in dict.fromkeys(entries[:4]))
        generic = Stratum(found.exponent, _join(prefix, f"not ({equations})"))
        return [generic, Stratum(None, _join(prefix, equations), f"above {found.exponent}, not resolved")]
    conditions = [", ".join(f"{p} = {value}" for p, value in solution.items()) for solution in solutions]
    excluded = " and ".join(
        f"{next(iter(s))} != {next(iter(s.values()))}" if len(s) == 1 else f"not ({text})"
        for s, text in zip(solutions, conditions, strict=True)
    )
    result = [Stratum(found.exponent, _join(prefix, excluded) or "always")]
    for solution, condition in zip(solutions, conditions, strict=True):
        special = _generic(found.target.substitute(solution))
        result += _strata(special, _join(prefix, condition))
    return result


def _join(prefix: str, condition: str) -> str:
    return f"{prefix} and {condition}" if prefix and condition else prefix or condition


def _common_zeros(entries: list[sp.Expr], parameters: tuple[sp.Symbol, ...]) -> list[dict[sp.Symbol, sp.Expr]] | None:
    """The real parameter sets where all entries vanish, [] if none, None if they cannot be solved for."""
    equations: dict[sp.Expr, None] = {}
    for entry in entries:
        numerator = sp.factor(sp.numer(sp.together(entry)))
        factors = [f for f in sp.Mul.make_args(numerator) if f.free_symbols and not f.is_positive]
        reduced = sp.Mul(*(sp.Mul(*f.as_base_exp()[:1]) for f in factors))
        if not factors:
            return []
        equations[reduced] = None
    present = [p for p in parameters if any(e.has(p) for e in equations)]
    if not all(e.is_polynomial(*present) for e in equations):
        return None
    try:
        solutions = sp.solve(list(equations), present, dict=True)
    except NotImplementedError:
        return None
    real = [s for s in solutions if all(value.is_real is not False for value in s.values())]
    if any(value.has(sp.CRootOf) for s in real for value in s.values()):
        return None
    return [s for s in real if all(decide_zero(e.subs(s)) is not False for e in entries)]
