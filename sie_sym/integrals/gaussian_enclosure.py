r"""Proved enclosures of Gaussian expectations E[h(Z + t) He_alpha(Z)] in one and two tokens, by ball arithmetic.

The box is cut at the kinks of h, each piece integrated with a proved remainder (`cubature`), and what lies outside
bounded by the growth of h (`growth`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import sympy as sp
from flint import acb, arb, fmpq

from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import He, token, token_index
from sie_sym.integrals.balls import BallFunction, compile_ball, evaluate, working_precision
from sie_sym.integrals.cubature import Integrand, integrate_interval, integrate_rectangle
from sie_sym.integrals.growth import truncation
from sie_sym.integrals.kinks import branch, breaks, intervals
from sie_sym.integrals.symmetry import parity

_SMALLEST_EXPONENT = 4096
GUARD_BITS = 16
"""What is computed beyond the precision asked for."""

Coordinate = tuple[sp.Symbol, sp.Expr, int]
"""A token, its mean t_l and its Hermite weight alpha_l."""


class Expectation(Hashable, Protocol):
    """What is read of a `GaussianExpectation`."""

    @property
    def integrand(self) -> sp.Expr:
        """h, in tokens."""

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The triples (token, mean, weight)."""

    @property
    def tokens(self) -> tuple[sp.Symbol, ...]:
        """The bound tokens."""


_COARSEST_PRECISION = 30
"""Two-token integrals are computed at least this well, so that one ball serves most questions."""


def enclose_constant(node: Expectation, bits: int, below: int = 0) -> arb:
    """The node to within about 2^-bits, where its integrand is about 2^-below at most; the finest ball is kept."""
    if len(node.tokens) > 1:
        bits = max(bits, _COARSEST_PRECISION)
    finest = _finest_balls(node)
    if bits not in finest and (better := [b for b in finest if b > bits]):
        return finest[min(better)]
    if bits not in finest:
        finest[bits] = _enclose_afresh(node, bits, below)
    return finest[bits]


@lru_cache(maxsize=1024)
def _finest_balls(node: Expectation) -> dict[int, arb]:
    """The balls computed so far, by bits."""
    return {}


def _enclose_afresh(node: Expectation, bits: int, below: int) -> arb:
    with working_precision(bits - below + 2 * GUARD_BITS):
        means = [evaluate(mean, {}).real for _, mean, _ in node.coordinates]
        return enclose_node(node, means, {}, bits)


def enclose_node(node: Expectation, means: Sequence[arb], values: Mapping[sp.Symbol, acb], precision: int) -> arb:
    """The node to within about 2^-precision, from balls of its means and the values of its parameters."""
    tokens = node.tokens
    if len(tokens) > 2:
        raise NoClosedForm(
            f"{node} couples {len(tokens)} tokens: enclosures reach two, `spectral` gives a numerical value"
        )
    tolerance = arb(2) ** -precision
    weights = {s: w for s, _, w in node.coordinates}
    radius, outside = truncation(node.integrand, weights, dict(zip(tokens, means, strict=True)), tolerance / 2, values)
    shift = {s: sp.Dummy(real=True) for s in tokens}
    moved = {s: s + shift[s] for s, mean in zip(tokens, means, strict=True) if not mean.is_zero()}
    densities = tuple(_weighted_density(weights[s]) for s in tokens)
    fixed = [*map(acb, means), *values.values()]
    even = _even_axes(node, means)
    axes = [
        intervals(breaks(node.integrand, s, mean, values), fmpq(0 if s in even else -radius), fmpq(radius))
        for s, mean in zip(tokens, means, strict=True)
    ]
    copies = 2 ** len(even)
    total = acb(0)
    share = tolerance / copies / math.prod(map(len, axes))
    for region in itertools.product(*axes):
        thin = any(side.thin for side in region)
        sides = {s: (side, mean) for s, side, mean in zip(tokens, region, means, strict=True)}
        h = node.integrand if thin else branch(node.integrand, sides, values)
        program = compile_ball(h.xreplace(moved), (*tokens, *shift.values(), *values))

        def core(z: Sequence[acb], analytic: bool, program: BallFunction = program) -> acb:
            return program((*z, *fixed), analytic)

        integrand = Integrand(core, densities)
        if thin:
            part = integrand([acb(arb(s.low).union(arb(s.high))) for s in region], False)
            part *= math.prod((arb(s.high - s.low) for s in region), start=arb(1))
        elif len(region) == 1:
            part = integrate_interval(integrand, region[0].low, region[0].high, share)
        else:
            first, second = region
            part = integrate_rectangle(integrand, ((first.low, first.high), (second.low, second.high)), share)
        total += part
    if not total.is_finite():
        raise DomainError(f"{node} has no finite enclosure: no ball bounds {node.integrand} inside the box")
    if not total.imag.contains(0):
        raise DomainError(f"{node} is not real: {node.integrand} leaves the reals, as a root of a negative number does")
    return arb(copies) * total.real + arb(0, outside)


def _even_axes(node: Expectation, means: Sequence[arb]) -> list[sp.Symbol]:
    """Tokens of which the half-axis Z >= 0 is enough: the integrand is even in each, or in all of them together."""
    centred = {s: weight for (s, _, weight), mean in zip(node.coordinates, means, strict=True) if mean.is_zero()}

    def is_even(symbols: Sequence[sp.Symbol]) -> bool:
        flipped = frozenset(index for s in symbols if (index := token_index(s)) is not None)
        weight = sum(centred[s] for s in symbols)
        return parity(node.integrand, flipped) == (-1 if weight % 2 else 1)

    alone = [s for s in centred if is_even([s])]
    return alone or [s for s in node.tokens[:1] if len(centred) == len(node.tokens) and is_even(node.tokens)]


def _weighted_density(degree: int) -> Callable[[acb], acb]:
    """He_degree(Z) times the normal density, as an entire ball function."""
    z = token(1)
    program = compile_ball(He(degree, z) * sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi), (z,))
    return lambda ball: program((ball,), True)


def bits_below_one(node: Expectation) -> int:
    """About -log2 of the largest value of a one-token integrand, in a box wide enough to hold its peak."""
    ((symbol, mean, weight),) = node.coordinates
    bits = 64
    with working_precision(64):
        center = evaluate(mean, {}).real
        program = compile_ball(node.integrand.xreplace({symbol: symbol + mean}), (symbol,))
        density = _weighted_density(weight)
        while bits < _SMALLEST_EXPONENT:
            radius, _ = truncation(node.integrand, {symbol: weight}, {symbol: center}, arb(2) ** -bits)
            pieces = (acb((2 * arb(k) + 1) / 8 + arb(0, 0.125)) for k in range(-4 * radius, 4 * radius))
            values = [program((piece,), False) * density(piece) for piece in pieces]
            if not all(value.is_finite() for value in values):
                return 0
            largest = max((arb(value.abs_upper()).upper() for value in values), key=lambda v: v.mid())
            if largest > arb(2) ** -(bits // 2):
                return max(0, -int(float(largest.log() / arb(2).log())))
            bits *= 2
    return bits
