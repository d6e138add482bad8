r"""The functions of complex balls that SymPy's nodes stand for.

The first argument of each is the `analytic` flag of `flint.acb.integral`: when it is True the answer is nan where the
function is not analytic on its ball, without which integrals are enclosed falsely.  A kinked function of a real
argument is extended to complex balls by its two analytic pieces, split along Re = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp
from flint import acb, arb, fmpq

from sie_sym.errors import NoClosedForm
from sie_sym.functions import He, Phi, SignProduct, gelu, relu, sigmoid, softmax, softplus
from sie_sym.polynomial import flint_rational

Rule = tuple[Callable[..., acb], Sequence[sp.Basic]]

NOT_ANALYTIC = acb(arb.nan(), arb.nan())
"""What a function answers on a ball where it is not analytic, if asked to be."""


def rule(node: sp.Basic) -> Rule:
    """The ball function of a node and the subexpressions it reads.

    Raises `NoClosedForm` for a function without ball arithmetic and for a symbol, which has no value of its own.
    """
    if isinstance(node, sp.Rational):
        return _constant(acb(flint_rational(node))), ()
    if isinstance(node, sp.Float):
        return rule(sp.Rational(node))
    if isinstance(node, sp.Pow):
        return _power_rule(node)
    if isinstance(node, He):
        degree, argument = node.args
        if degree.is_Integer and degree >= 0:
            return _hermite(int(degree)), (argument,)
    if isinstance(node, softmax):
        index, *scores = node.args
        if index.is_Integer and 1 <= index <= len(scores):
            return _softmax(int(index)), scores
    if isinstance(node, sp.Heaviside):
        return _heaviside, node.args
    if isinstance(node, (sp.Abs, sp.sign)) and node.args[0].is_real is not True:
        return (_modulus if isinstance(node, sp.Abs) else _direction), node.args
    function = _FUNCTIONS.get(node.func)
    if function is not None:
        return function, node.args
    own = getattr(node, "enclosure_rule", None)
    if own is not None:
        known: Rule = own()
        return known
    if isinstance(node, sp.Symbol):
        raise NoClosedForm(f"the symbol {node} has no value: substitute a number for it before enclosing")
    raise NoClosedForm(f"{node} has no ball arithmetic ({node.func.__name__}): rewrite it with the known functions")


def _constant(ball: acb) -> Callable[..., acb]:
    return lambda analytic: ball


# --- powers -------------------------------------------------------------------------------------------------------


def _power_rule(node: sp.Pow) -> Rule:
    base, exponent = node.args
    if exponent.is_Integer:
        return _whole_power(int(exponent)), (base,)
    if exponent.is_Rational:
        if exponent.q == 2:
            whole = acb(int(exponent.p))
            return (lambda analytic, x: x.sqrt(analytic=analytic).pow(whole)), (base,)
        ratio = flint_rational(exponent)
        return (lambda analytic, x: _rational_power(analytic, x, ratio)), (base,)
    return _general_power, (base, exponent)


def _whole_power(exponent: int) -> Callable[..., acb]:
    power = acb(exponent)
    if exponent % 2 or exponent <= 0:
        return lambda analytic, x: x.pow(power)

    def even(analytic: bool, x: acb) -> acb:
        # (0 +- r)^2 is in [0, r^2]; centred arithmetic would answer 0 +- r^2.
        if x.imag.is_zero() and x.real.contains(0) and not x.is_zero():
            return acb(arb(0).union(arb(x.abs_upper()) ** exponent))
        return x.pow(power)

    return even


def _rational_power(analytic: bool, x: acb, ratio: fmpq) -> acb:
    if analytic or not x.contains(acb(0)) or ratio < 0 or x.is_zero():
        return x.pow(acb(ratio), analytic=analytic)
    largest = arb(x.abs_upper()).upper() ** arb(ratio)
    ball = arb(0, largest.upper())
    return acb(ball, ball)


def _general_power(analytic: bool, x: acb, y: acb) -> acb:
    return x.pow(y, analytic=analytic)


# --- functions of a complex variable with cuts ----------------------------------------------------------------------


def _off_real_cut(x: acb) -> bool:
    """x stays away from (-oo, -1] and [1, oo)."""
    return not x.imag.contains(0) or bool(abs(x.real) < 1)


def _guarded(function: Callable[[acb], acb], allowed: Callable[[acb], bool]) -> Callable[..., acb]:
    def guarded(analytic: bool, x: acb) -> acb:
        return function(x) if not analytic or allowed(x) else NOT_ANALYTIC

    return guarded


def _off_imaginary_cut(x: acb) -> bool:
    """x stays away from the imaginary axis beyond -i and i."""
    return not x.real.contains(0) or bool(abs(x.imag) < 1)


def _log(analytic: bool, x: acb) -> acb:
    return x.log(analytic=analytic)


def _softplus(analytic: bool, x: acb) -> acb:
    """log(1 + e^x), as x + log(1 + e^-x) where e^x is large: the same branch for |Im x| < pi."""
    if x.real.mid() > 0 and abs(x.imag) < 3:
        return x + (1 + (-x).exp()).log(analytic=analytic)
    return (1 + x.exp()).log(analytic=analytic)


# --- kinked functions of a real variable -----------------------------------------------------------------------------


def _abs(analytic: bool, x: acb) -> acb:
    return x.real_abs(analytic=analytic)


def _sgn(analytic: bool, x: acb) -> acb:
    return x.real_sgn(analytic=analytic)


def _modulus(analytic: bool, x: acb) -> acb:
    if x.imag.is_zero():
        return x.real_abs(analytic=analytic)
    return NOT_ANALYTIC if analytic else acb(abs(x))


def _direction(analytic: bool, x: acb) -> acb:
    if x.imag.is_zero():
        return x.real_sgn(analytic=analytic)
    if analytic:
        return NOT_ANALYTIC
    unit = arb(0, 1)
    return acb(unit, unit) if x.contains(acb(0)) else x / acb(abs(x))


def _heaviside(analytic: bool, x: acb, at_zero: acb) -> acb:
    if x.is_zero() and not analytic:
        return at_zero
    step = x.real_heaviside(analytic=analytic)
    return step if analytic or not x.contains(acb(0)) else step.union(at_zero)


def _fold(method: str) -> Callable[..., acb]:
    combine = getattr(acb, method)

    def fold(analytic: bool, first: acb, *rest: acb) -> acb:
        for other in rest:
            first = combine(first, other, analytic=analytic)
        return first

    return fold


def _relu(analytic: bool, x: acb) -> acb:
    # A Python 0 instead of acb(0) crashes flint 0.9.
    return x.real_max(acb(0), analytic=analytic)


# --- sums, products and the named functions -------------------------------------------------------------------------


def _add(analytic: bool, first: acb, *rest: acb) -> acb:
    for term in rest:
        first = first + term
    return first


def _mul(analytic: bool, first: acb, *rest: acb) -> acb:
    for factor in rest:
        first = first * factor
    return first


def _hermite(degree: int) -> Callable[..., acb]:
    def hermite(analytic: bool, x: acb) -> acb:
        previous, current = acb(0), acb(1)
        for n in range(degree):
            previous, current = current, x * current - n * previous
        return current

    return hermite


def _sigmoid(analytic: bool, x: acb) -> acb:
    """1/(1 + e^-x) or e^x/(1 + e^x): the one whose exponential is small keeps wide balls narrow."""
    if x.real.mid() < 0:
        small = x.exp()
        return small / (1 + small)
    return 1 / (1 + (-x).exp())


def _softmax(index: int) -> Callable[..., acb]:
    def share(analytic: bool, *scores: acb) -> acb:
        # Any reference is right; the largest keeps the exponentials small.
        reference = max(range(len(scores)), key=lambda j: float(scores[j].real.mid()))
        exponentials = [
            acb(1) if j == reference else (score - scores[reference]).exp() for j, score in enumerate(scores)
        ]
        return exponentials[index - 1] / sum(exponentials, acb(0))

    return share


def _phi(analytic: bool, x: acb) -> acb:
    return (-x / acb(2).sqrt()).erfc() / 2


def _gelu(analytic: bool, x: acb) -> acb:
    return x * _phi(analytic, x)


def _sign_product(analytic: bool, h: acb, k: acb, rho: acb) -> acb:
    r"""Plackett: d/drho E sign A sign B = 4 phi_2(h, k; rho), integrated from rho = 0 with rho = sin t."""
    if (rho - 1).is_zero():
        return 1 - 2 * (_phi(analytic, h) - _phi(analytic, k)).real_abs(analytic=analytic)
    if (rho + 1).is_zero():
        return -_sign_product(analytic, h, -k, acb(1))
    if not bool(abs(rho.real) < 1):
        return NOT_ANALYTIC

    def density(t: acb, _: bool) -> acb:
        sine, cosine = t.sin_cos()
        return (-(h * h + k * k - 2 * h * k * sine) / (2 * cosine * cosine)).exp()

    root = acb(2).sqrt()
    independent = (h / root).erf() * (k / root).erf()
    return independent + 2 * acb.integral(density, 0, rho.asin()) / arb.pi()


_FUNCTIONS: dict[type[sp.Basic], Callable[..., acb]] = {
    sp.Add: _add,
    sp.Mul: _mul,
    type(sp.pi): lambda analytic: acb(arb.pi()),
    type(sp.E): lambda analytic: acb(arb(1).exp()),
    type(sp.I): lambda analytic: acb(0, 1),
    sp.exp: lambda analytic, x: x.exp(),
    sp.sin: lambda analytic, x: x.sin(),
    sp.cos: lambda analytic, x: x.cos(),
    sp.tan: lambda analytic, x: x.tan(),
    sp.sinh: lambda analytic, x: x.sinh(),
    sp.cosh: lambda analytic, x: x.cosh(),
    sp.tanh: lambda analytic, x: x.tanh(),
    sp.erf: lambda analytic, x: x.erf(),
    sp.erfi: lambda analytic, x: x.erfi(),
    sp.erfc: lambda analytic, x: x.erfc(),
    sp.log: _log,
    sp.asin: _guarded(acb.asin, _off_real_cut),
    sp.acos: _guarded(acb.acos, _off_real_cut),
    sp.atan: _guarded(acb.atan, _off_imaginary_cut),
    sp.Abs: _abs,
    sp.sign: _sgn,
    sp.Max: _fold("real_max"),
    sp.Min: _fold("real_min"),
    relu: _relu,
    Phi: _phi,
    gelu: _gelu,
    sigmoid: _sigmoid,
    softplus: _softplus,
    SignProduct: _sign_product,
}


__all__ = ["NOT_ANALYTIC", "Rule", "rule"]
