r"""Tied and untied networks: population loss, gradient noise and drift (arXiv:2506.02651, Lemma 5, Prop. 2, App. C).

The untied network sigma((1/sqrt L) sum_l <W_l, x_l>) has the overlaps m_l = <W_l, w*>/d, the tied one has all m_l = m.
With c_k = E sigma(u) He_k(u) and C_k the Hermite tensors of g,

    R(m_1, .., m_L) = E g^2 + E sigma^2 - 2 sum_k c_k L^{-k/2} <C_k, m_vec^{(x) k}> / k!,
    V(m_1, .., m_L) = 4 E (sigma(u) - g)^2 sigma'(u)^2
                    = 4 sum_k L^{-k/2} ( p_k <C_k(g^2), m_vec^{(x) k}> - 2 q_k <C_k(g), m_vec^{(x) k}> ) / k!  + 4 r,

p_k, q_k the coefficients of sigma'^2 and sigma sigma'^2, r = E sigma^2 sigma'^2.  In time t = gamma * step / d

    untied:  dm_l/dt = -(1 - m_l^2) dR/dm_l - (gamma/2) (V/L) m_l,
    tied:    dm/dt   = -(1 - m^2) dR/dm     - (gamma/2) V m.

The paper prints the loss without L^{-k/2}, and the untied drift without the factor k of the derivative.  Its code keeps
the norm of the whole vector (W_1, .., W_L) instead of the norm of every W_l: then (sphere = "whole")
dm_l/dt = -dR/dm_l + m_l sum_j m_j dR/dm_j / L - (gamma/2) (V/L) m_l.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import DomainError, FormulaError, SieSymError, TruncationError
from sie_sym.functions import token
from sie_sym.linear_forms import has_tokens
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.parseval import contraction, second_moment
from sie_sym.population_loss import DEFAULT_ORDER
from sie_sym.target import Target
from sie_sym.tensors.independent_sum import IndependentSum
from sie_sym.transforms.transform import Transform, require_square_integrable
from sie_sym.weierstrass import weierstrass_transform

STATISTICS_BUDGET = 40
"""The most overlaps that one formula is written in."""

Classes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class NetworkLoss:
    """R of a tied or an untied network in its overlaps, with what its drift needs.

    `classes[i]` are the tokens that share the overlap `statistics[i]` (all of them if tied).  `order` is None for an
    exact loss, else the last k kept, and `bound` is then a proved bound on its error while all |m_l| <= 1.
    """

    expression: sp.Expr
    statistics: tuple[sp.Symbol, ...]
    classes: tuple[tuple[int, ...], ...]
    tied: bool
    target: Target
    activation: sp.Expr
    order: int | None
    bound: sp.Expr

    @property
    def tokens(self) -> int:
        """L."""
        return self.target.tokens

    @property
    def point(self) -> dict[int, sp.Expr]:
        """m_vec by its coordinates."""
        return {l: s for s, members in zip(self.statistics, self.classes, strict=True) for l in members}

    def noise(self, order: int = DEFAULT_ORDER) -> sp.Expr:
        """V in the statistics, exact if g or sigma is a polynomial, else cut after m^order.

        Raises `DomainError` for an activation with jumps and `NoClosedForm` where a square leaves the closed class:
        `start_noise` asks for less.
        """
        g = IndependentSum.of(self.target)
        squared, mixed, constant = _activation_products(self.activation)
        doubled = None if g.degree is None else 2 * g.degree
        last, _ = _last([doubled, squared.degree], order)
        value = _pairing(_coefficients(squared, last), g.square_series(self.point, last), self.tokens)
        last, _ = _last([g.degree, mixed.degree], order)
        value -= 2 * _pairing(_coefficients(mixed, last), g.series(self.point, last), self.tokens)
        return sp.expand(4 * (value + constant))

    def start_noise(self) -> sp.Expr:
        """V at m = 0: the constant that decides linear stability."""
        g = IndependentSum.of(self.target)
        squared, mixed, constant = _activation_products(self.activation)
        return sp.expand(4 * (_start(squared) * g.second_moment() - 2 * _start(mixed) * g.mean + constant))

    def drift(
        self, rate: sp.Expr = sp.Integer(0), noise: sp.Expr = sp.Integer(0), sphere: str = "token"
    ) -> tuple[sp.Expr, ...]:
        """d statistics / dt at learning rate gamma with V = `noise` (Prop. 2).

        `sphere` is "token" if every |W_l| is kept (the paper), "whole" if |(W_1, .., W_L)| is (its code).
        """
        if sphere not in ("token", "whole"):
            raise SieSymError(f"unknown sphere {sphere!r}: choose token (every |W_l| fixed) or whole (their sum fixed)")
        slopes = [sp.diff(self.expression, s) for s in self.statistics]
        share = sp.Integer(1) if self.tied else sp.Integer(self.tokens)
        pull = sp.Add(*(s * slope for s, slope in zip(self.statistics, slopes, strict=True))) / share
        drifts = []
        for s, slope, members in zip(self.statistics, slopes, self.classes, strict=True):
            own = slope if self.tied else slope / len(members)
            descent = s * pull - own if sphere == "whole" else -(1 - s**2) * own
            drifts.append(descent - rate * noise * s / (2 * share))
        return tuple(drifts)


def untied_loss(
    target: Target, activation: sp.Expr, classes: Classes | None = None, order: int = DEFAULT_ORDER
) -> NetworkLoss:
    """R of the untied network in m1..mL, or in one overlap a class of tokens (arXiv:2506.02651, Lemma 5).

    Classes must partition the tokens and the target be symmetric under exchanges within each: a start with equal
    overlaps there then keeps them equal.  Raises `SieSymError` otherwise, `TruncationError` for more than 40 overlaps.

    >>> z1, z2 = token(1), token(2)
    >>> untied_loss(Target.of(z1 - z2), ACTIVATION_VARIABLE).expression
    -sqrt(2)*m1 + sqrt(2)*m2 + 3
    """
    groups = tuple(map(tuple, classes)) if classes is not None else tuple((l,) for l in range(1, target.tokens + 1))
    if sorted(itertools.chain(*groups)) != list(range(1, target.tokens + 1)):
        raise SieSymError(f"classes {groups} do not partition the tokens 1..{target.tokens}")
    summands = IndependentSum.of(target)
    for members in groups:
        if any(not summands.exchangeable(members[0], other) for other in members[1:]):
            raise SieSymError(
                f"the target is not seen to be symmetric in the tokens {members}: give a class to each of them"
            )
    if len(groups) > STATISTICS_BUDGET:
        raise TruncationError(
            f"{len(groups)} different overlaps are more than the {STATISTICS_BUDGET} that a formula is written in: "
            "start with equal overlaps on equivalent tokens"
        )
    names = [f"m{members[0]}" for members in groups]
    return _loss(target, activation, tuple(sp.Symbol(name, real=True) for name in names), groups, False, order)


def tied_loss(target: Target, activation: sp.Expr, order: int = DEFAULT_ORDER) -> NetworkLoss:
    """R of the tied network in m: the untied one at equal overlaps (arXiv:2506.02651, Lemma 5).

    >>> z1, z2 = token(1), token(2)
    >>> tied_loss(Target.of(z1 - z2), ACTIVATION_VARIABLE).expression
    3
    """
    everything = (tuple(range(1, target.tokens + 1)),)
    return _loss(target, activation, (sp.Symbol("m", real=True),), everything, True, order)


# -- the series in m_vec


def _activation_transform(formula: sp.Expr) -> Transform:
    free = formula.free_symbols - {ACTIVATION_VARIABLE}
    if any(has_tokens(symbol) for symbol in free):
        raise FormulaError(f"the activation {formula} reads a token: write it in the variable {ACTIVATION_VARIABLE}")
    transform = weierstrass_transform(formula.subs(ACTIVATION_VARIABLE, token(1)))
    require_square_integrable(formula, transform)
    return transform


def _coefficients(transform: Transform, k: int) -> list[sp.Expr]:
    """c_0..c_k of a function of one variable."""
    return transform.along({1: sp.Integer(1)}, k)


def _start(transform: Transform) -> sp.Expr:
    return transform.coefficient(())


def _last(degrees: Sequence[int | None], order: int) -> tuple[int, bool]:
    """The last order of a pairing, and whether nothing is cut."""
    known = [degree for degree in degrees if degree is not None]
    return (min(known), True) if known else (order, False)


def _loss(
    target: Target,
    activation: sp.Expr,
    statistics: tuple[sp.Symbol, ...],
    classes: tuple[tuple[int, ...], ...],
    tied: bool,
    order: int,
) -> NetworkLoss:
    g, sigma = IndependentSum.of(target), _activation_transform(activation)
    clash = set(target.parameters) & set(statistics)
    if clash:
        raise FormulaError(
            f"the parameter {', '.join(map(str, clash))} of the target is the name of an overlap: rename it"
        )
    point = {l: s for s, members in zip(statistics, classes, strict=True) for l in members}
    last, exact = _last([g.degree, sigma.degree], order)
    norms = g.second_moment(), second_moment(sigma)
    pairing = _pairing(_coefficients(sigma, last), g.series(point, last), target.tokens)
    bound = sp.Integer(0)
    if not exact:
        tails, weighted = [], [(g.transforms[part], count) for part, count in g.counts.items()]
        for norm, transforms in zip(norms, (weighted, [(sigma, 1)]), strict=True):
            kept = [count * contraction(t, t, k) for t, count in transforms for k in range(1, last + 1)]
            tails.append(norm - sp.Add(*kept))
        means = g.mean, _start(sigma)
        tails = [tail - mean**2 for tail, mean in zip(tails, means, strict=True)]
        bound = 2 * sp.sqrt(sp.Max(0, tails[0])) * sp.sqrt(sp.Max(0, tails[1]))
    expression = sp.expand(sp.Add(*norms) - 2 * pairing)
    return NetworkLoss(
        expression, statistics, classes, tied, target, activation, None if exact else last, sp.expand(bound)
    )


def _pairing(coefficients: list[sp.Expr], series: list[sp.Expr], tokens: int) -> sp.Expr:
    """E a(z*) b(u) = sum_k b_k L^{-k/2} <C_k(a), m_vec^{(x) k}> / k!."""
    return sp.Add(
        *(
            b * a / (sp.sqrt(tokens) ** k * math.factorial(k))
            for k, (b, a) in enumerate(zip(coefficients, series, strict=True))
        )
    )


def _activation_products(activation: sp.Expr) -> tuple[Transform, Transform, sp.Expr]:
    """G sigma'^2, G sigma sigma'^2 and E sigma^2 sigma'^2."""
    slope = sp.diff(activation, ACTIVATION_VARIABLE)
    if slope.has(sp.DiracDelta):
        raise DomainError(f"the activation {activation} jumps: its gradient has no finite variance")
    products = [activation**n * slope**2 for n in range(3)]
    squared, mixed, whole = (_activation_transform(sp.expand(product)) for product in products)
    return squared, mixed, _start(whole)


__all__ = ["NetworkLoss", "tied_loss", "untied_loss"]
