r"""Tied against untied networks: what the untied one loses (arXiv:2506.02651, section 3, Thm 2, App. C and E).

With s = SIE(g) and C_s its Hermite tensor, near the start dm/dt = alpha m^{s-1}, where

    tied:    alpha = 2 c_s L^{-s/2} S_s / (s-1)!,         S_s = <C_s, 1^{(x) s}>,
    untied:  alpha = 2 c_s L^{-s/2} ||C_s||_op / (s-1)!   along the leading direction,

and c_s = E sigma(u) He_s(u).  Weak recovery is |m| >= eta, and |m_vec| >= eta sqrt(L) untied.  The ratio of the two
times at equal learning rates is rho = |S_s| / ||C_s||_op, times sqrt(L) if s = 1; with the rates gamma ~ 1/t of Thm 2
the ratio of the numbers of steps is rho^2.  The noise of Prop. 2, -(gamma/2) V m tied and -(gamma/2) (V/L) m_l untied,
lets the untied network take a rate gamma ~ L/t instead, and with both at that limit the ratio is rho^2/L.

The paper prints Lemma 5 without the factor L^{-k/2} (and, for its C_k = E[f H_k]/k!, without k!), and the untied drift
of Prop. 2 without the factor k of the derivative; both cancel in rho.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import NoClosedForm, SieSymError
from sie_sym.evidence import Evidence, weakest
from sie_sym.exponents import InformationExponent, information_exponent
from sie_sym.functions import token
from sie_sym.integrals.enclosure import decide_sign, decide_zero
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.target import Target
from sie_sym.tensors.certified_value import CertifiedValue
from sie_sym.tensors.leading_tensor import LeadingTensor
from sie_sym.weierstrass import weierstrass_transform

_ORDERS_TRIED = 12


@dataclass(frozen=True)
class Gain:
    """How many times longer an untied network needs than a tied one, to leading order in d.

    `contraction` is S_s, `activation_coefficient` c_s, `operator_norm` ||C_s||_op; `odeco` is None if undecided.
    `rho` and the gains are exact numbers or intervals: `gain_equal_rate` at equal learning rates, `gain_optimal_rate`
    with gamma ~ 1/t for both networks (Thm 2: a lower bound up to constants, sharp if C_s is odeco),
    `gain_stability_limit` with each at the same fraction of the rate where its own drift stops growing.  They are those
    of rho, unless s is even and the untied network leaves along a direction where <C_s, v^{(x) s}> has the sign of c_s:
    ||C_s||_op is then replaced by the largest value of that sign.  They are 0 if the tied network does not escape at
    order s and the untied one does, and None if neither does or it is open.

    `visible` is c_s != 0 and S_s != 0; `tied_escapes`, `untied_escapes` also ask for the sign, which matters for even
    s: m = 0 attracts if c_s S_s < 0.  `tied_exponent` is the first order with c_k S_k != 0, None if there is none up to
    the degree of g or sigma (or, if neither is a polynomial, to s + 12).
    """

    target: Target
    activation: sp.Expr
    sie: int
    contraction: sp.Expr
    activation_coefficient: sp.Expr
    operator_norm: CertifiedValue
    odeco: bool | None
    rho: CertifiedValue
    gain_equal_rate: CertifiedValue | None
    gain_optimal_rate: CertifiedValue | None
    gain_stability_limit: CertifiedValue | None
    visible: bool | None
    tied_escapes: bool | None
    untied_escapes: bool | None
    tied_exponent: int | None
    reason: str
    evidence: Evidence

    @property
    def largest_possible(self) -> int:
        """L^{max(s, 2)}: no gain at the rates gamma ~ 1/t is larger."""
        return int(self.target.tokens ** max(self.sie, 2))

    @property
    def parameter_counting(self) -> int:
        """L^{max(s - 1, 1)}: the ratio of the sample complexities d^{max(s-1, 1)} at dimensions L d and d."""
        return int(self.target.tokens ** max(self.sie - 1, 1))


def activation_coefficient(activation: sp.Expr, k: int) -> sp.Expr:
    """c_k = E sigma(u) He_k(u).

    >>> from sie_sym.functions import relu
    >>> activation_coefficient(relu(ACTIVATION_VARIABLE), 2)
    sqrt(2)/(2*sqrt(pi))
    """
    transform = weierstrass_transform(activation.subs(ACTIVATION_VARIABLE, token(1)))
    return transform.coefficient(((1, k),) if k else ())


def gain(target: Target, activation: sp.Expr) -> Gain:
    """The gain of a tied over an untied network with activation sigma(u) for a scalar target.

    Raises `SieSymError` for vector targets and targets without a proved exponent, `NoClosedForm` where the norm depends
    on parameters without a formula, `TruncationError` for tensors that are too large and have no structure.

    >>> from sie_sym.functions import He, relu
    >>> found = gain(Target.of(He(2, token(1)) + He(2, token(2)) + He(2, token(3))), relu(ACTIVATION_VARIABLE))
    >>> found.gain_equal_rate.value, found.gain_optimal_rate.value, found.parameter_counting
    (3, 9, 3)
    """
    if len(target.components) != 1:
        raise SieSymError(
            f"the target has {len(target.components)} outputs: tied and untied networks have one, give a scalar target"
        )
    exponent = information_exponent(target)
    s = exponent.exponent
    if s is None:
        raise SieSymError(f"the target has no proved information exponent ({exponent.reasons[-1]}): there is no gain")
    transform = exponent.expansion.transforms[0]
    tensor = LeadingTensor.of(transform, s)
    coefficient = activation_coefficient(activation, s)
    contraction = transform.along({l: sp.Integer(1) for l in transform.tokens}, s)[s]
    norm = tensor.operator_norm()
    odeco = tensor.is_odeco()
    size = sp.Abs(contraction) * (sp.sqrt(target.tokens) if s == 1 else 1)
    rho = _quotient(size, norm)
    sees, mute = _three_valued(coefficient), _three_valued(contraction)
    tied = _escapes(s, coefficient * contraction, sees, mute)
    leading = _leading(tensor, coefficient, norm)
    untied = _untied_escapes(s, sees, leading)
    equal = rho if leading in (None, norm) or not tied else _quotient(size, leading)
    gains = _gains(equal, target.tokens, tied, untied)
    return Gain(
        target,
        activation,
        s,
        contraction,
        coefficient,
        norm,
        odeco,
        rho,
        *gains,
        visible=None if None in (sees, mute) and False not in (sees, mute) else bool(sees and mute),
        tied_escapes=tied,
        untied_escapes=untied,
        tied_exponent=_tied_exponent(exponent, activation),
        reason=_reason(s, sees, mute, tied, untied),
        evidence=weakest([exponent.evidence, norm.evidence]),
    )


def _three_valued(value: sp.Expr) -> bool | None:
    """Whether a number is proved not to be zero."""
    zero = decide_zero(value)
    return None if zero is None else not zero


def _escapes(s: int, product: sp.Expr, sees: bool | None, mute: bool | None) -> bool | None:
    if sees is False or mute is False:
        return False
    if s % 2 == 1:
        # s = 1 moves m through 0 in the direction of alpha; for odd s >= 3 the starts with alpha m > 0 escape.
        return None if None in (sees, mute) else True
    if product.free_symbols:
        return None
    sign = decide_sign(product)
    return None if sign is None else sign == 1


def _leading(tensor: LeadingTensor, coefficient: sp.Expr, norm: CertifiedValue) -> CertifiedValue | None:
    """max_{|v| = 1} sign(c_s) <C_s, v^{(x) s}>, the norm itself where it is attained with that sign."""
    if tensor.order % 2 == 1:
        return norm
    try:
        sign = decide_sign(coefficient)
        directed = tensor.directed_norm(sign) if sign else None
        if directed is None or directed.value == norm.value:
            return norm if sign else None
        return directed if directed.bounds[1] < norm.bounds[1] or norm.value is None else norm
    except NoClosedForm:
        return None


def _untied_escapes(s: int, sees: bool | None, leading: CertifiedValue | None) -> bool | None:
    if not sees:
        return sees
    if s % 2 == 1:
        return True
    if leading is None:
        return None
    if leading.value is not None:
        sign = None if leading.value.free_symbols else decide_sign(leading.value)
        return None if sign is None else sign == 1
    return True if leading.bounds[0] > 0 else None


def _quotient(size: sp.Expr, norm: CertifiedValue) -> CertifiedValue:
    if norm.value is not None:
        return CertifiedValue.exact(sp.radsimp(size / norm.value), norm.method)
    low, high = CertifiedValue.exact(size, "").bounds
    lower, upper = norm.bounds
    return CertifiedValue.between((low / upper * (1 - 1e-15), high / lower * (1 + 1e-15)), norm.method)


def _gains(
    rho: CertifiedValue, tokens: int, tied: bool | None, untied: bool | None
) -> tuple[CertifiedValue | None, CertifiedValue | None, CertifiedValue | None]:
    if tied is None or not (tied or untied):
        return None, None, None
    if not tied:
        nothing = CertifiedValue.exact(sp.Integer(0), "the tied network does not escape")
        return nothing, nothing, nothing
    square = rho.times(rho)
    return rho, square, square.scaled(sp.Rational(1, tokens))


def _tied_exponent(exponent: InformationExponent, activation: sp.Expr) -> int | None:
    """The first order at which the tied network sees the target: c_k != 0 and S_k != 0."""
    transform = exponent.expansion.transforms[0]
    smooth = weierstrass_transform(activation.subs(ACTIVATION_VARIABLE, token(1)))
    degrees = [side.degree for side in (transform, smooth) if side.degree is not None]
    last = min([*degrees, exponent.exponent + _ORDERS_TRIED if not degrees and exponent.exponent else 10**9])
    contractions = transform.along({l: sp.Integer(1) for l in transform.tokens}, last)
    for k in range(1, last + 1):
        if decide_zero(contractions[k]) is True:
            continue
        coefficient = smooth.coefficient(((1, k),))
        if decide_zero(coefficient * contractions[k]) is not True:
            return k
    return None


def _reason(s: int, sees: bool | None, mute: bool | None, tied: bool | None, untied: bool | None) -> str:
    if sees is False:
        return f"c_{s} = 0: the activation has no order {s}, neither network sees it"
    if mute is False:
        return f"S_{s} = 0: the tied network does not see order {s}"
    if None in (sees, mute):
        return f"whether c_{s} S_{s} = 0 is open"
    if tied is None:
        return f"c_{s} S_{s} is not zero; its sign, which decides the escape for even {s}, depends on parameters"
    if not tied:
        other = "the untied one escapes" if untied else "whether the untied one does is open"
        if untied is False:
            other = "nor does the untied one"
        return (
            f"c_{s} S_{s} < 0, {s} even: m = 0 attracts, the tied network sees order {s} but does not escape; {other}"
        )
    if s % 2 == 1 and s > 1:
        return f"c_{s} S_{s} != 0; with {s} odd the starts with c_{s} S_{s} m > 0 escape, the others are drawn to m = 0"
    return f"c_{s} S_{s} is not zero" if s == 1 else f"c_{s} S_{s} > 0"


__all__ = ["Gain", "activation_coefficient", "gain"]
