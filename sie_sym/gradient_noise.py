r"""The gradient noise V(s) of a finite learning rate (theory section 6; arXiv:2506.02651, Assumption 2, eq. 11 and 28).

    V(s) = E sum_l delta_l^2,      delta_l = -2 <g(z*) - phi(z), d_l phi(z)>,

enters the high-dimensional limit as ds/dt = -(Gamma - s s^T) grad R(s) - (gamma/2) V(s) s.  Expanded in products of a
function of z* and a function of z, each mean is a pairing
E a(z*) b(z) = sum_k m^k <C_k(a), C_k(b_e)> / k!, as in the loss.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import DomainError, SieSymError
from sie_sym.functions import token
from sie_sym.integrals.enclosure import decide_sign
from sie_sym.landscape import Landscape
from sie_sym.linear_forms import written_out
from sie_sym.parseval import contraction, second_moment
from sie_sym.population_loss import DEFAULT_ORDER, PopulationLoss
from sie_sym.transforms.transform import require_square_integrable
from sie_sym.weierstrass import weierstrass_transform


@dataclass(frozen=True)
class GradientNoise:
    """V in the statistics of a loss (eq. 11); `order` is None for an exact V, else the last power of m kept.

    `bound` is then a rigorous bound on its error (0 for an exact V).
    """

    expression: sp.Expr
    statistics: tuple[sp.Symbol, ...]
    order: int | None
    bound: sp.Expr


def gradient_noise(loss: PopulationLoss, order: int = DEFAULT_ORDER) -> GradientNoise:
    """V(s) = E sum_l delta_l^2, delta the gradient of |g - phi|^2 in z (arXiv:2506.02651, eq. 11), of a loss.

    Raises `DomainError` for a phi with jumps, whose gradient has no finite variance, and `NoClosedForm` where a
    product leaves the closed class.

    >>> from sie_sym.model import linear_attention
    >>> from sie_sym.population_loss import population_loss
    >>> from sie_sym.target import Target
    >>> gradient_noise(population_loss(Target.of(token(1)), linear_attention(1))).expression
    32*m**2 + 256
    """
    model, m = loss.model, loss.model.semantic
    targets = [written_out(component) for component in loss.target.components]
    shift = {token(l): token(l) + e for l, e in enumerate(model.shift, start=1) if e != 0}
    phis = [written_out(component) for component in model.components]
    means: list[_Pairing] = []
    slopes = [[sp.diff(phi, token(l)) for l in range(1, model.tokens + 1)] for phi in phis]
    if any(slope.has(sp.DiracDelta) for row in slopes for slope in row):
        raise DomainError(f"phi = {phis[0]} jumps: its gradient has no finite variance, SGD is not defined for it")
    for c, d in itertools.combinations_with_replacement(range(len(phis)), 2):
        weight = 1 if c == d else 2
        # Tokens with the same product of slopes are counted, not computed again.
        products: dict[sp.Expr, int] = {}
        for a, b in zip(slopes[c], slopes[d], strict=True):
            product = sp.expand(a * b) if (a * b).is_polynomial() else a * b
            products[product] = products.get(product, 0) + weight
        for product, count in products.items():
            for a, b in (
                (targets[c] * targets[d], product),
                (-targets[c], phis[d] * product),
                (-targets[d], phis[c] * product),
                (sp.Integer(1), phis[c] * phis[d] * product),
            ):
                means.append(_pair(4 * count * a, b.subs(shift, simultaneous=True), m, order))
    expression = sp.Add(*(pairing.value for pairing in means))
    if expression.is_polynomial(*loss.statistics):
        expression = sp.expand(expression)
    exact = all(pairing.bound == 0 for pairing in means)
    return GradientNoise(
        expression, loss.statistics, None if exact else order, sp.Add(*(pairing.bound for pairing in means))
    )


@dataclass(frozen=True)
class _Pairing:
    value: sp.Expr
    bound: sp.Expr


def _pair(a: sp.Expr, b: sp.Expr, m: sp.Symbol, order: int) -> _Pairing:
    """E a(z*) b(z), z* and z with correlation m token by token."""
    left, right = weierstrass_transform(a), weierstrass_transform(b)
    degrees = [side.degree for side in (left, right) if side.degree is not None]
    last = min(degrees) if degrees else order
    value = sp.Add(*(m**k * contraction(left, right, k) for k in range(last + 1)))
    if degrees:
        return _Pairing(value, sp.Integer(0))
    require_square_integrable(a, left)
    require_square_integrable(b, right)
    tails = [
        second_moment(side) - sp.Add(*(contraction(side, side, k) for k in range(last + 1))) for side in (left, right)
    ]
    return _Pairing(value, sp.Abs(m) ** (last + 1) * sp.sqrt(sp.Abs(tails[0])) * sp.sqrt(sp.Abs(tails[1])))


def stability_rate(landscape: Landscape, noise: GradientNoise) -> sp.Expr:
    """gamma_max = -2 lambda / V(0), lambda the lowest curvature at 0: above it SGD does not leave the start.

    At linear order ds/dt = -(lambda + gamma V(0)/2) s along the escape direction.  Raises `SieSymError` unless the
    landscape escapes at order 2.
    """
    if landscape.escape.order != 2:
        raise SieSymError(
            f"the largest useful rate is linear stability's, for escape at order 2; here the order is "
            f"{landscape.escape.order}: integrate the flow with a rate instead"
        )
    direction = sp.Matrix(landscape.escape.direction)
    curvature = (direction.T * landscape.hessian * direction)[0]
    at_start = noise.expression.subs(dict.fromkeys(noise.statistics, sp.Integer(0)))
    if not at_start.free_symbols and decide_sign(at_start) == 0:
        return sp.oo
    return sp.expand(-2 * curvature / at_start)
