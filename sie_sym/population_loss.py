r"""The population loss R(e, m) = E |g(z*) - phi(z)|^2 in closed form (theory section 4; arXiv:2506.02651, eq. 9).

    R = E |g|^2 - 2 sum_k m^k a_k(e) + E |phi_e|^2,      a_k(e) = <C_k(g), C_k(phi_e)> / k!,      phi_e(z) = phi(z + e)

with e = C eps.  There is no factor 1/2 (the official code has one).  The sum is finite where,
output by output, g or phi is a polynomial or they are proved uncorrelated; otherwise it is cut at `order` and the
neglected part is bounded by Parseval and Cauchy-Schwarz,

    |error of R| <= 2 |m|^{K+1} sqrt(tail_K(g) tail_K(phi_e)),   tail_K(h) = E |h|^2 - sum_{k<=K} <C_k(h), C_k(h)> / k!.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.evidence import Evidence, weakest
from sie_sym.expansion import HermiteExpansion
from sie_sym.gaussian import evidence_of
from sie_sym.integrals.enclosure import enclose
from sie_sym.model import Model
from sie_sym.parseval import contraction, last_common_order, second_moment
from sie_sym.target import Target
from sie_sym.transforms.transform import Point, Transform

DEFAULT_ORDER = 12
"""Where an infinite sum over m is cut unless the caller says otherwise."""


@dataclass(frozen=True)
class PopulationLoss:
    """R in the sufficient statistics (m, eps_1, ..., eps_r), with its building blocks (arXiv:2506.02651, eq. 9).

    `overlaps[k]` is a_k(e); `order` is None for an exact loss, else the last power of m kept, and `bound` is then the
    rigorous bound on the error as an expression in the statistics (0 for an exact loss).
    """

    expression: sp.Expr
    statistics: tuple[sp.Symbol, ...]
    target: Target
    model: Model
    target_norm: sp.Expr
    model_norm: sp.Expr
    overlaps: tuple[sp.Expr, ...]
    order: int | None
    bound: sp.Expr
    evidence: Evidence

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters left free, by name."""
        free = self.expression.free_symbols - set(self.statistics)
        return tuple(sorted((s for s in free if isinstance(s, sp.Symbol)), key=str))

    def at(self, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
        """R with statistics or parameters replaced, exact."""
        return self.expression.subs(dict(values))

    def value(self, values: Mapping[sp.Symbol, sp.Expr]) -> tuple[float, float]:
        """(R, bound on its error) as floats at a point.

        Raises `FormulaError` if a statistic or a parameter is left free.
        """
        point = self.at(values)
        left = sorted(map(str, point.free_symbols))
        if left:
            raise FormulaError(f"the loss still depends on {', '.join(left)}: give a value to each")
        ball = enclose(point)
        tail = enclose(self.bound.subs(dict(values)))
        return float(ball.mid()), float(ball.rad()) + max(0.0, float(tail.upper()))


def population_loss(target: Target, model: Model, order: int = DEFAULT_ORDER) -> PopulationLoss:
    """R(e, m) = E |g(z*) - phi(z)|^2, without a factor 1/2 (arXiv:2506.02651, eq. 9), exact where both sides are.

    Raises `FormulaError` when their numbers of tokens or outputs differ, `NoClosedForm` where no rule applies and
    `DomainError` where a moment is infinite.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import linear_attention
    >>> population_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2)).expression
    7 - 4*m**2
    """
    require_compatible(target, model)
    shift = {l: e for l, e in enumerate(model.shift, start=1) if e != 0}
    g = HermiteExpansion.of(target.components, target.tokens)
    phi = HermiteExpansion.of(model.components, model.tokens, shift)
    pairs = list(zip(g.transforms, phi.transforms, strict=True))
    functions = zip(target.components, phi.functions, strict=True)
    limits = [last_common_order(a, b, pair) for (a, b), pair in zip(pairs, functions, strict=True)]
    exact = None not in limits
    last = max((order if limit is None else limit for limit in limits), default=0)
    # The highest order first: the series of both sides are then computed once, to that order.
    overlaps = tuple(
        sp.expand(
            sp.Add(*(contraction(*pair, k) for pair, n in zip(pairs, limits, strict=True) if n is None or k <= n)),
            exact=True,
        )
        for k in range(last, -1, -1)
    )[::-1]
    target_norm = sp.Add(*(second_moment(t) for t in g.transforms))
    model_norm = sp.Add(*(second_moment(t, shift) for t in phi.transforms))
    m = model.semantic
    expression = sp.Add(target_norm, model_norm, *(-2 * m**k * a for k, a in enumerate(overlaps)))
    if target_norm.is_polynomial(*model.statistics) and expression.is_polynomial(*model.statistics):
        expression = sp.expand(expression)
    bound = sp.Integer(0)
    if not exact:
        cut = [pair for pair, limit in zip(pairs, limits, strict=True) if limit is None]
        # Tails are not negative; |tail| says so where rounding would not.
        tails = [
            sp.Abs(sp.Add(*(_tail(transform, last, moved) for transform in side)))
            for side, moved in zip(zip(*cut, strict=True), (None, shift), strict=True)
        ]
        bound = 2 * sp.Abs(m) ** (last + 1) * sp.Mul(*map(sp.sqrt, tails))
    return PopulationLoss(
        expression,
        model.statistics,
        target,
        model,
        target_norm,
        model_norm,
        overlaps,
        None if exact else last,
        bound,
        weakest([Evidence.EXACT if exact else Evidence.ENCLOSED, evidence_of([expression, bound])]),
    )


def _tail(transform: Transform, last: int, shift: Point | None) -> sp.Expr:
    return sp.Add(second_moment(transform, shift), *(-contraction(transform, transform, k) for k in range(last + 1)))


def require_compatible(target: Target, model: Model) -> None:
    """Raise `FormulaError` unless target and model agree in tokens, outputs and names."""
    if target.tokens != model.tokens:
        raise FormulaError(
            f"the target has {target.tokens} tokens and the model {model.tokens}: give both the same number"
        )
    if len(target.components) != len(model.components):
        raise FormulaError(
            f"the target has {len(target.components)} outputs and the model {len(model.components)}: they must match "
            "(choose another --reduction, or a target of that shape)"
        )
    clash = {*target.parameters, *model.parameters} & set(model.statistics)
    if clash:
        raise FormulaError(f"the parameter {', '.join(sorted(map(str, clash)))} is the name of an overlap: rename it")
