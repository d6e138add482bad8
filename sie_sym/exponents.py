r"""The sequence information exponent (Def. 2), its strata in the parameters, and the sample complexity (Thm 1).

SIE(g) = min{ j >= 1 : C_j(g) != 0 }, the order of vanishing of G g(t) - G g(0) at t = 0; for several outputs the
minimum over them; L = 1 gives the information exponent of single-index models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sympy as sp

from sie_sym.digits import plus_minus
from sie_sym.errors import SieSymError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.gaussian import evidence_of
from sie_sym.hermite import Tensor, dense
from sie_sym.integrals.enclosure import decide_sign, decide_zero
from sie_sym.quadratures.measure import Measured, measure
from sie_sym.target import Target

MAX_ORDER = 64
"""Orders are tried up to here; beyond, a non-polynomial target whose tensors all vanish stays undecided."""

_MEASURED_ZEROS = 4
"""So many orders may be zero within the error of their numbers, not proved, before the answer is undecided."""
_DENSE_TOKENS = 12


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
    """Parameter values, `when`, that share an exponent; it is None where there is none or it stays open."""

    exponent: int | None
    when: str
    note: str = ""


@dataclass(frozen=True)
class InformationExponent:
    """The SIE of a target with its proof (arXiv:2506.02651, Def. 2).

    `exponent` is None for a constant target and where neither proofs nor numbers decide (`evidence` tells which); a
    `numerical` one rests on coefficients that exceed the estimate of their error, or lie within it below the exponent;
    `reasons` has one line an order; `strata` lists the generic value first, then the parameter sets where it differs.
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
    """SIE(g) = min{ j >= 1 : C_j(g) != 0 }, C_j = E g(Z) He_j(Z) the order-j Hermite tensor (arXiv:2506.02651, Def. 2).

    Of several outputs the least one; orders are tried from 1 on, and each verdict carries its evidence.

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
    measured = 0
    last = expansion.degree if expansion.degree is not None else MAX_ORDER
    for k in range(1, last + 1):
        vanishes, reason = expansion.vanishes(k)
        if vanishes is False:
            reasons.append(f"order {k}: not zero")
            evidence = Evidence.NUMERICAL if measured else _evidence(expansion, k)
            return InformationExponent(target, expansion, k, evidence, tuple(reasons))
        if vanishes is None:
            seen, reason = _measured(expansion, k, reason)
            reasons.append(f"order {k}: {reason}")
            if seen:
                return InformationExponent(target, expansion, k, Evidence.NUMERICAL, tuple(reasons))
            measured += 1
            if seen is None or measured > _MEASURED_ZEROS:
                return InformationExponent(target, expansion, None, Evidence.UNDECIDED, tuple(reasons))
            continue
        reasons.append(f"order {k}: zero, {reason}")
    if expansion.degree is not None:
        reasons.append("the target is constant: no order is non-zero, there is no exponent")
        return InformationExponent(target, expansion, None, Evidence.EXACT, tuple(reasons))
    reasons.append(f"all orders up to {MAX_ORDER} vanish; the target is not seen to be constant")
    return InformationExponent(target, expansion, None, Evidence.UNDECIDED, tuple(reasons))


def _measured(expansion: HermiteExpansion, k: int, reason: str) -> tuple[bool | None, str]:
    """Whether a coefficient of order k is seen to be non-zero (None: it cannot be measured), and the largest seen."""
    largest: Measured | None = None
    try:
        for transform in expansion.transforms:
            for alpha, entry in transform.derivatives(k).items():
                found = measure(entry)
                if found.sign:
                    place = list(dense(alpha, expansion.tokens)) if expansion.tokens <= _DENSE_TOKENS else dict(alpha)
                    return True, f"not zero numerically, C_{place} = {plus_minus(found.value, found.error)}"
                if largest is None or found.error > largest.error:
                    largest = found
    except SieSymError:
        return None, reason
    if largest is None:
        return None, reason
    return False, f"zero numerically, every coefficient within its error, at most {largest.error:.1e}"


def _evidence(expansion: HermiteExpansion, k: int) -> Evidence:
    """What proves that C_k is not zero: algebra on one entry, or balls around Gaussian integrals."""
    for transform in expansion.transforms:
        if transform.is_closed:
            if transform.vanishes(k) is False:
                return Evidence.EXACT
            continue
        try:
            entries = transform.derivatives(k).values()
        except TruncationError:
            continue
        if any(decide_zero(entry) is False for entry in entries if evidence_of([entry]) is Evidence.EXACT):
            return Evidence.EXACT
    return Evidence.ENCLOSED


def _strata(found: InformationExponent, prefix: str) -> list[Stratum]:
    """The strata of a family: its generic exponent off the zero set of the leading tensor, then that set's own."""
    if found.exponent is None or not found.target.parameters:
        note = "" if found.exponent else found.reasons[-1]
        return [Stratum(found.exponent, prefix or "always", note)]
    entries = [value for tensor in found.leading_tensors() for value in tensor.values()]
    zeros = _common_zeros(entries, {})
    conditions = [", ".join(f"{p} = {s[p]}" for p in sorted(s, key=str)) for s in zeros.solved]
    excluded = [
        text.replace(" = ", " != ") if len(solution) == 1 else f"not ({text})"
        for solution, text in zip(zeros.solved, conditions, strict=True)
    ]
    unresolved = [" and ".join(f"{equation} = 0" for equation in system) for system in zeros.unresolved]
    excluded += [f"not ({text})" for text in unresolved]
    result = [Stratum(found.exponent, _join(prefix, " and ".join(excluded)) or "always")]
    for solution, condition in zip(zeros.solved, conditions, strict=True):
        inside = _join(prefix, condition)
        try:
            result += _strata(_generic(found.target.substitute(solution)), inside)
        except SieSymError as error:
            result.append(Stratum(None, inside, str(error)))
    result += [Stratum(None, _join(prefix, text), f"above {found.exponent}, not resolved") for text in unresolved]
    return result


def _join(prefix: str, condition: str) -> str:
    return f"{prefix} and {condition}" if prefix and condition else prefix or condition


@dataclass(frozen=True)
class _Zeros:
    """The real common zeros of some entries: the sets solved for, and systems of equations left as they are."""

    solved: tuple[Mapping[sp.Symbol, sp.Expr], ...] = ()
    unresolved: tuple[tuple[sp.Expr, ...], ...] = ()


def _common_zeros(entries: Sequence[sp.Expr], known: Mapping[sp.Symbol, sp.Expr]) -> _Zeros:
    """Eliminate one parameter at a time: the common zeros of f1 f2 and the rest are those of f1 and of f2 with it."""
    systems: dict[tuple[sp.Expr, ...], None] = {}
    for entry in entries:
        numerator = sp.factor(sp.numer(sp.together(entry)))
        if not numerator.free_symbols and decide_zero(numerator) is True:
            continue
        factors = [_base(f) for f in sp.Mul.make_args(numerator) if _may_vanish(f)]
        if not factors:
            return _Zeros()
        systems[tuple(dict.fromkeys(factors))] = None
    if not systems:
        return _Zeros((known,))
    first, *others = sorted(systems, key=lambda factors: max((len(f.free_symbols), sp.count_ops(f)) for f in factors))
    rest = [sp.Mul(*factors) for factors in others]
    solved: list[Mapping[sp.Symbol, sp.Expr]] = []
    unresolved: list[tuple[sp.Expr, ...]] = []
    for factor in first:
        branches = _branches(factor)
        if branches is None:
            unresolved.append((*(p - value for p, value in known.items()), factor, *rest))
            continue
        for values, equations in branches:
            total = {p: sp.expand(value.subs(values)) for p, value in known.items()} | values
            found = _common_zeros([*equations, *(e.subs(values) for e in rest)], total)
            solved += [solution for solution in found.solved if solution not in solved]
            unresolved += found.unresolved
    return _Zeros(tuple(solved), tuple(unresolved))


def _may_vanish(factor: sp.Expr) -> bool:
    return not factor.is_positive if factor.free_symbols else decide_zero(factor) is None


def _base(factor: sp.Expr) -> sp.Expr:
    base, exponent = factor.as_base_exp()
    return base if exponent.is_positive else factor


_Branch = tuple[dict[sp.Symbol, sp.Expr], tuple[sp.Expr, ...]]


def _branches(f: sp.Expr) -> list[_Branch] | None:
    """f = 0, f irreducible, as alternatives (a parameter's value, further equations); None if it cannot be solved."""
    parameters = sorted(f.free_symbols, key=str)
    if not parameters or not f.is_polynomial(*parameters):
        return None
    linear = [p for p in parameters if sp.degree(f, p) == 1]
    if linear:
        p = min(linear, key=lambda p: bool(sp.Poly(f, p).LC().free_symbols))
        slope, offset = sp.Poly(f, p).all_coeffs()
        value = sp.cancel(-offset / slope) if slope.free_symbols else sp.expand(sp.radsimp(-offset / slope))
        # p = -offset/slope speaks of slope != 0 only.
        return [({p: value}, ())] + ([({}, (slope, offset))] if slope.free_symbols else [])
    if len(parameters) > 1:
        return None
    (p,) = parameters
    polynomial = sp.Poly(f, p)
    if polynomial.degree() == 2:
        a, b, c = polynomial.all_coeffs()
        discriminant = sp.expand(b**2 - 4 * a * c)
        match decide_sign(discriminant):
            case -1:
                return []
            case 0:
                return [({p: sp.radsimp(-b / (2 * a))}, ())]
            case 1:
                return [({p: sp.radsimp((s * sp.sqrt(discriminant) - b) / (2 * a))}, ()) for s in (-1, 1)]
    if all(c.is_Rational for c in polynomial.all_coeffs()) and polynomial.count_roots() == 0:
        return []
    return None
