r"""The landscape at initialization (Prop. 1, Lemma 1): R(s) near s = (m, eps) = 0.

The flatness index kappa is the lowest order k >= 1 of a non-zero derivative tensor of R at 0.  It does not say whether
SGD escapes at that order: the escape index is the lowest order at which some direction decreases R.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.digits import shown
from sie_sym.escape import Escape, escape_from_zero
from sie_sym.evidence import Evidence, weakest
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.parseval import contraction, last_common_order, unseen
from sie_sym.population_loss import PopulationLoss
from sie_sym.taylor import MAX_ORDER, Taylor
from sie_sym.weierstrass import weierstrass_transform


@dataclass(frozen=True)
class Visibility:
    """The lowest j >= 1 with <C_j(g), C_j(phi)> != 0: the SIE if phi is rich enough (arXiv:2506.02651, Prop. 1).

    `exponent` is None where the model never sees the target (`proved`) or did not up to the order checked.
    """

    exponent: int | None
    proved: bool
    reason: str


@dataclass(frozen=True)
class Landscape:
    """Gradient, Hessian and indices of a population loss at (m, eps) = 0 (arXiv:2506.02651, Prop. 1, Lemma 1).

    `flatness_index` is None when R is constant as far as it is known; `visible` compares with the SIE (richness).
    """

    loss: PopulationLoss
    gradient: tuple[sp.Expr, ...]
    hessian: sp.ImmutableDenseMatrix
    flatness_index: int | None
    escape: Escape
    visible: Visibility
    evidence: Evidence

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """(m, eps_1, ..., eps_r), the order of all vectors and matrices."""
        return self.loss.statistics

    @cached_property
    def eigenvalues(self) -> tuple[sp.Expr, ...]:
        """The curvatures, with multiplicity, exact."""
        found = self.hessian.eigenvals()
        return tuple(itertools.chain(*([value] * count for value, count in found.items())))


def landscape(loss: PopulationLoss) -> Landscape:
    """The landscape of a loss at initialization, (m, eps) = 0 (arXiv:2506.02651, Prop. 1, Lemma 1; theory section 5).

    The flatness index is min{ k >= 1 : grad^k R(0) != 0 }, the escape index the lowest order at which R decreases.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import linear_attention
    >>> from sie_sym.population_loss import population_loss
    >>> from sie_sym.target import Target
    >>> result = landscape(population_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2)))
    >>> result.hessian, result.flatness_index, result.escape.kind
    (Matrix([[-8]]), 2, 'semantic')
    """
    taylor = Taylor(loss.expression, loss.statistics, loss.order)
    gradient = tuple(taylor.derivative(i) for i in range(taylor.size))
    kappa, evidence = taylor.lowest_order()
    visible = visibility(loss)
    if not loss.model.positional and visible.exponent is None and visible.proved:
        escape = Escape.none(visible.reason)
    else:
        # R reads eps through e = C eps alone: it is constant along the null space of C.
        null_space = loss.model.encoding.nullspace(iszerofunc=decide_zero) if loss.model.positional else []
        escape = escape_from_zero(taylor, [(sp.Integer(0), *vector) for vector in null_space])
    # Derivatives at 0 up to the truncation order are those of the exact loss: the neglected powers of m are higher.
    hessian = taylor.hessian()
    evidence = weakest([evidence, taylor.evidence])
    return Landscape(loss, gradient, hessian, kappa, escape, visible, evidence)


def visibility(loss: PopulationLoss) -> Visibility:
    """The order at which the model without encoding sees the target (the richness check of Prop. 1).

    Proved absent when one side is a polynomial whose orders are exhausted, when a symmetry tells g and phi apart, or
    when phi reads one linear form along which G g is constant (App. E.4: g = z1 - z2 or z1^2 - z2^2, a tied phi).
    """
    functions = list(zip(loss.target.components, loss.model.components, strict=True))
    pairs = [(weierstrass_transform(g), weierstrass_transform(phi)) for g, phi in functions]
    reasons = [unseen(*pair, both) for pair, both in zip(pairs, functions, strict=True)]
    if None not in reasons:
        return Visibility(None, True, "; ".join(dict.fromkeys(filter(None, reasons))))
    limits = [last_common_order(*pair, both) for pair, both in zip(pairs, functions, strict=True)]
    complete = None not in limits
    last = max(limit for limit in limits if limit is not None) if complete else MAX_ORDER
    for j in range(1, last + 1):
        value = sp.expand(sp.Add(*(contraction(g, phi, j) for g, phi in pairs)))
        zero = decide_zero(value)
        if zero is False:
            return Visibility(j, True, f"<C_{j}(g), C_{j}(phi)> = {shown(sp.factorial(j) * value)}, not zero")
        if zero is None:
            return Visibility(None, False, f"<C_{j}(g), C_{j}(phi)> could not be decided")
    if complete:
        return Visibility(None, True, f"<C_j(g), C_j(phi)> = 0 up to order {last}, where a polynomial side ends")
    return Visibility(None, False, f"<C_j(g), C_j(phi)> = 0 up to order {last}; higher orders were not examined")
