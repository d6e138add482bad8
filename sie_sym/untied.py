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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.errors import DomainError, FormulaError, SieSymError, TruncationError
from sie_sym.functions import token
from sie_sym.linear_forms import has_tokens, written_out
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.parseval import contraction, second_moment
from sie_sym.population_loss import DEFAULT_ORDER
from sie_sym.target import Target, tokens_of
from sie_sym.transform import Transform, require_square_integrable
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
        return _noise(self, order)

    def start_noise(self) -> sp.Expr:
        """V at m = 0: the constant that decides linear stability."""
        moments = _moments(self.target)
        squared, mixed, constant = _activation_products(self.activation)
        mean = moments.series({}, 0)[0]
        return sp.expand(4 * (_start(squared) * moments.second_moment() - 2 * _start(mixed) * mean + constant))

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
    """R of the untied network in m1..mL, or in one overlap a class of tokens.

    Classes must partition the tokens and the target be symmetric under exchanges within each: a start with equal
    overlaps there then keeps them equal.  Raises `SieSymError` otherwise, `TruncationError` for more than 40 overlaps.

    >>> z1, z2 = token(1), token(2)
    >>> untied_loss(Target.of(z1 - z2), ACTIVATION_VARIABLE).expression
    -sqrt(2)*m1 + sqrt(2)*m2 + 3
    """
    groups = tuple(map(tuple, classes)) if classes is not None else tuple((l,) for l in range(1, target.tokens + 1))
    if sorted(itertools.chain(*groups)) != list(range(1, target.tokens + 1)):
        raise SieSymError(f"classes {groups} do not partition the tokens 1..{target.tokens}")
    parts = _parts(_scalar(target))
    for members in groups:
        if any(not _exchangeable(parts, members[0], other) for other in members[1:]):
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
    """R of the tied network in m: the untied one at equal overlaps.

    >>> z1, z2 = token(1), token(2)
    >>> tied_loss(Target.of(z1 - z2), ACTIVATION_VARIABLE).expression
    3
    """
    everything = (tuple(range(1, target.tokens + 1)),)
    return _loss(target, activation, (sp.Symbol("m", real=True),), everything, True, order)


def equivalent_tokens(target: Target) -> list[list[int]]:
    """The tokens in classes whose exchanges are seen to leave the target as it is.

    >>> z1, z2, z3 = token(1), token(2), token(3)
    >>> equivalent_tokens(Target.of(z1 * z3 + z2))
    [[1, 3], [2]]
    """
    parts = _parts(_scalar(target))
    classes: list[list[int]] = []
    for l in range(1, target.tokens + 1):
        home = next((members for members in classes if _exchangeable(parts, members[0], l)), None)
        if home is None:
            classes.append([l])
        else:
            home.append(l)
    return classes


# -- the series in m_vec


def _scalar(target: Target) -> sp.Expr:
    if len(target.components) != 1:
        raise SieSymError(
            f"the target has {len(target.components)} outputs: tied and untied networks have one, give a scalar target"
        )
    return target.components[0]


_Parts = dict[int | None, list[sp.Expr]]
"""The summands that share no token, by one token of theirs and again by each: token -> its summand."""


def _parts(expression: sp.Expr) -> _Parts:
    """The independent summands of a function, listed under each of their tokens (the constant under None)."""
    written = written_out(expression)
    if isinstance(written, sp.Mul):
        constants = [factor for factor in written.args if not has_tokens(factor)]
        rest = [factor for factor in written.args if has_tokens(factor)]
        if len(rest) == 1 and isinstance(rest[0], sp.Add):
            written = sp.Add(*(sp.Mul(*constants, term) for term in rest[0].args))
    parts: dict[int | None, list[sp.Expr]] = {None: []}
    owner: dict[int, int] = {}
    members: dict[int, tuple[set[int], list[sp.Expr]]] = {}
    for number, term in enumerate(sp.Add.make_args(written)):
        tokens = set(tokens_of(term))
        if not tokens:
            parts[None].append(term)
            continue
        touched = sorted({owner[l] for l in tokens if l in owner})
        joined = [members.pop(label) for label in touched]
        everything = tokens.union(*(group[0] for group in joined))
        members[number] = everything, [*itertools.chain(*(group[1] for group in joined)), term]
        owner.update((l, number) for l in everything)
    for tokens, terms in members.values():
        part = sp.Add(*terms)
        for l in tokens:
            parts[l] = [part]
    return parts


def _exchangeable(parts: _Parts, first: int, second: int) -> bool:
    """Whether exchanging two tokens maps the summands that read them onto themselves."""
    if first == second:
        return True
    swap = {token(first): token(second), token(second): token(first)}
    touched = {*parts.get(first, []), *parts.get(second, [])}
    return {part.xreplace(swap) for part in touched} == touched


@dataclass(frozen=True)
class _Moments:
    """The series x -> (G g)(x v) and (G g^2)(x v) of a sum of independent parts, each part's computed once."""

    parts: tuple[tuple[sp.Expr, tuple[int, ...]], ...]
    constant: sp.Expr

    @cached_property
    def transforms(self) -> dict[sp.Expr, Transform]:
        """Those of the parts, on tokens 1, 2, ..."""
        found: dict[sp.Expr, Transform] = {}
        for part, _ in self.parts:
            if part not in found:
                found[part] = weierstrass_transform(part)
                require_square_integrable(part, found[part])
        return found

    @cached_property
    def squares(self) -> dict[sp.Expr, Transform]:
        """Those of the squares of the parts."""
        return {part: weierstrass_transform(part**2) for part in self.transforms}

    @property
    def degree(self) -> int | None:
        """The degree of g, None if it is not a polynomial."""
        degrees = [transform.degree for transform in self.transforms.values()]
        return None if None in degrees else max((d for d in degrees if d is not None), default=0)

    def second_moment(self) -> sp.Expr:
        """E g^2."""
        mean, variance = self.constant, sp.Integer(0)
        for part, count in Counter(part for part, _ in self.parts).items():
            own = self.transforms[part].coefficient(())
            mean += count * own
            variance += count * (second_moment(self.transforms[part]) - own**2)
        return sp.expand(mean**2 + variance)

    def _seen(self, point: Mapping[int, sp.Expr]) -> Counter[tuple[sp.Expr, tuple[sp.Expr, ...]]]:
        return Counter((part, tuple(point.get(l, sp.Integer(0)) for l in labels)) for part, labels in self.parts)

    def series(self, point: Mapping[int, sp.Expr], k: int) -> list[sp.Expr]:
        """<C_j(g), v^{(x) j}>, j = 0..k."""
        total = [[self.constant], *([] for _ in range(k))]
        for (part, values), count in self._seen(point).items():
            for terms, value in zip(total, _along(self.transforms[part], values, k), strict=True):
                terms.append(count * value)
        return [sp.expand(sp.Add(*terms)) for terms in total]

    def square_series(self, point: Mapping[int, sp.Expr], k: int) -> list[sp.Expr]:
        """<C_j(g^2), v^{(x) j}>, j = 0..k: the transform of a product of independent parts factorises."""
        whole = self.series(point, k)
        total = _product(whole, whole)
        for (part, values), count in self._seen(point).items():
            own = _along(self.transforms[part], values, k)
            square = _along(self.squares[part], values, k)
            cross = _product(own, own)
            total = [t + count * (s - c) for t, s, c in zip(total, square, cross, strict=True)]
        return [sp.expand(value) for value in total]


def _along(transform: Transform, values: tuple[sp.Expr, ...], k: int) -> list[sp.Expr]:
    series = transform.along(dict(enumerate(values, start=1)), k)
    return series[: k + 1]


def _product(left: list[sp.Expr], right: list[sp.Expr]) -> list[sp.Expr]:
    """The product of two exponential generating functions."""
    return [
        sp.expand(sp.Add(*(math.comb(n, j) * left[j] * right[n - j] for j in range(n + 1)))) for n in range(len(left))
    ]


def _moments(target: Target) -> _Moments:
    parts = _parts(_scalar(target))
    constant = sp.Add(*parts[None])
    placed: dict[tuple[int, ...], sp.Expr] = {}
    for l, (*_, part) in ((l, found) for l, found in parts.items() if l is not None):
        labels = tuple(sorted(tokens_of(part)))
        if labels[0] == l:
            names = {token(old): token(new) for new, old in enumerate(labels, start=1)}
            placed[labels] = part.xreplace(names)
    return _Moments(tuple((part, labels) for labels, part in placed.items()), constant)


def _activation_transform(formula: sp.Expr) -> Transform:
    free = formula.free_symbols - {ACTIVATION_VARIABLE}
    if any(has_tokens(symbol) for symbol in free):
        raise FormulaError(f"the activation {formula} reads a token: write it in the variable {ACTIVATION_VARIABLE}")
    transform = weierstrass_transform(formula.subs(ACTIVATION_VARIABLE, token(1)))
    require_square_integrable(formula, transform)
    return transform


def _coefficients(transform: Transform, k: int) -> list[sp.Expr]:
    """c_0..c_k of a function of one variable."""
    return _along(transform, (sp.Integer(1),), k)


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
    moments, sigma = _moments(target), _activation_transform(activation)
    clash = set(target.parameters) & set(statistics)
    if clash:
        raise FormulaError(
            f"the parameter {', '.join(map(str, clash))} of the target is the name of an overlap: rename it"
        )
    point = {l: s for s, members in zip(statistics, classes, strict=True) for l in members}
    last, exact = _last([moments.degree, sigma.degree], order)
    norms = moments.second_moment(), second_moment(sigma)
    pairing = _pairing(_coefficients(sigma, last), moments.series(point, last), target.tokens)
    bound = sp.Integer(0)
    if not exact:
        tails = []
        for norm, transforms in zip(norms, (list(_weighted(moments)), [(sigma, 1)]), strict=True):
            kept = [count * contraction(t, t, k) for t, count in transforms for k in range(1, last + 1)]
            tails.append(norm - sp.Add(*kept))
        means = moments.series({}, 0)[0], _start(sigma)
        tails = [tail - mean**2 for tail, mean in zip(tails, means, strict=True)]
        bound = 2 * sp.sqrt(sp.Max(0, tails[0])) * sp.sqrt(sp.Max(0, tails[1]))
    expression = sp.expand(sp.Add(*norms) - 2 * pairing)
    return NetworkLoss(
        expression, statistics, classes, tied, target, activation, None if exact else last, sp.expand(bound)
    )


def _weighted(moments: _Moments) -> list[tuple[Transform, int]]:
    counts = Counter(part for part, _ in moments.parts)
    return [(moments.transforms[part], count) for part, count in counts.items()]


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


def _noise(loss: NetworkLoss, order: int) -> sp.Expr:
    moments = _moments(loss.target)
    squared, mixed, constant = _activation_products(loss.activation)
    degree = moments.degree
    doubled = None if degree is None else 2 * degree
    last, _ = _last([doubled, squared.degree], order)
    value = _pairing(_coefficients(squared, last), moments.square_series(loss.point, last), loss.tokens)
    last, _ = _last([degree, mixed.degree], order)
    value -= 2 * _pairing(_coefficients(mixed, last), moments.series(loss.point, last), loss.tokens)
    return sp.expand(4 * (value + constant))


__all__ = ["NetworkLoss", "equivalent_tokens", "tied_loss", "untied_loss"]
