r"""Numbers for a claim's quantity from the functions g and phi alone: quadrature and Monte Carlo.

Nothing here reads a closed form.  With z* = a and z = m a + sqrt(1 - m^2) h + e, a and h standard normal,
R(s) = E F, F = |g(a) - phi(z)|^2, and its derivatives are score means: with p the density of z given a,

    d_I R(s) = E F(a, z) (d_I p / p)(a, z; s),

where |g(a)|^2 may be left out of F because it does not depend on s.  Kinks of phi are never differentiated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from sie_sym.audits.claims import Claim
from sie_sym.audits.conventions import Conventions
from sie_sym.audits.subject import RATE, Subject
from sie_sym.digits import with_error
from sie_sym.functions import He, relu, token
from sie_sym.linear_forms import written_out
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.measure import Measured
from sie_sym.target import tokens_of
from sie_sym.transforms.transform import largest_degree
from sie_sym.weierstrass import weierstrass_transform

Array = NDArray[np.float64]
Point = Mapping[sp.Symbol, sp.Expr]

NODES_BUDGET = 1_700_000
"""The most nodes of a quadrature grid."""
SAMPLES = 2**17
"""Draws of a Monte Carlo route; fewer when there are many tokens."""
SEED = 20250602
_NUMBERS_BUDGET = 2**24
_CHUNK = 2**17
_COARSEST = 20
_JUMPING = (sp.sign, sp.Heaviside, sp.Piecewise)
_KINKED = (sp.Abs, *_JUMPING, sp.Max, sp.Min, relu)
_SMALL = 0.25
"""An agreement says something where its error is smaller than this share of the value; any less would let through what
an audit is for, a missing term or a wrong factor."""
_DOUBT = 3.0
"""A difference of so many estimated errors is one; a quadrature's estimate is no bound."""


@dataclass(frozen=True)
class Route:
    """What one independent route says of our value: `agrees` is None where it cannot tell."""

    name: str
    said: str
    agrees: bool | None
    value: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Mean:
    """E F(X), X standard normal in `dimension` variables: F maps (dimension, N) to (N,).

    `degree` bounds the degree of F if it is a polynomial, else None; `kinked` says that F may have kinks or jumps,
    `jumping` that it may have jumps.
    """

    dimension: int
    integrand: Callable[[Array], Array]
    degree: int | None
    kinked: bool
    jumping: bool = False


def mean_of(subject: Subject, claim: Claim, conventions: Conventions, point: Point) -> Mean:
    """The mean that a claim's quantity is at a point: the values of the overlaps and of the parameters."""
    if claim.quantity == "C":
        return _coefficient(subject, claim, conventions, point)
    return _Fields(subject, point).mean(claim, float(conventions.loss_factor))


def directional_mean(subject: Subject, direction: Sequence[float], order: int) -> Mean:
    """The derivative of a given order of R at 0 along a direction, as a mean."""
    fields = _Fields(subject, dict.fromkeys(subject.statistics, sp.Integer(0)))
    weight = sp.Add(
        *(
            sp.Mul(*(sp.Float(direction[i]) for i in numbers)) * fields.score(numbers)
            for numbers in itertools.product([i for i, v in enumerate(direction) if v], repeat=order)
        )
    )
    return fields.weighted(weight, order)


def _coefficient(subject: Subject, claim: Claim, conventions: Conventions, point: Point) -> Mean:
    g, alpha = subject.output(claim), subject.multi_index(claim)
    read = sorted(tokens_of(g) | {l for l, _ in alpha})
    weight = sp.Mul(*(He(n, token(l)) for l, n in alpha))
    evaluate = numeric_function([token(l) for l in read], [g.subs(point), weight])
    scale = float(conventions.of_coefficient(alpha))
    degree = weierstrass_transform(g).degree
    total = None if degree is None else degree + sum(n for _, n in alpha)

    def integrand(x: Array) -> Array:
        values, weights = evaluate(x)
        return np.asarray(scale * values * weights)

    return Mean(len(read), integrand, total, g.has(*_KINKED), g.has(*_JUMPING))


class _Fields:
    """g, phi and the score of their joint law at one point."""

    def __init__(self, subject: Subject, point: Point) -> None:
        self.subject, self.point = subject, point
        model = subject.require_model("the loss")
        L = model.tokens
        self.tokens = L
        self.z = [token(l) for l in range(1, L + 1)]
        self.a = [sp.Symbol(f"_a{l}", real=True) for l in range(1, L + 1)]
        self.components = [c.subs(point) for c in model.components]
        self.targets = [c.subs(point) for c in subject.target.components]
        network = subject.network
        overlaps = [model.semantic] * L if network is None else [network.point[l] for l in range(1, L + 1)]
        shifts = model.shift
        self.m = np.array([float(m.subs(point)) for m in overlaps])[:, None]
        self.e = np.array([float(sp.sympify(e, strict=True).subs(point)) for e in shifts])[:, None]
        self.log_density = sp.Add(
            *(
                -sp.log(1 - m**2) / 2 - (z - e - m * a) ** 2 / (2 * (1 - m**2))
                for m, e, a, z in zip(overlaps, shifts, self.a, self.z, strict=True)
            )
        )
        self.degree = largest_degree(map(weierstrass_transform, (*subject.target.components, *model.components)))
        self.kinked, self.jumping = (
            any(c.has(*kinds) for c in (*self.targets, *self.components)) for kinds in (_KINKED, _JUMPING)
        )

    def score(self, numbers: Sequence[int]) -> sp.Expr:
        """d_I p / p at symbolic overlaps."""
        weight = sp.Integer(1)
        for i in numbers:
            s = self.subject.statistics[i]
            weight = sp.diff(weight, s) + weight * sp.diff(self.log_density, s)
        return weight

    def mean(self, claim: Claim, factor: float) -> Mean:
        """The mean of a claim about the loss, with R multiplied by `factor`."""
        numbers = self.subject.numbers(claim)
        weight, order, noise = sp.Integer(0), len(numbers), 0.0
        if claim.quantity == "drift":
            weight = self._drift_weight(numbers[0])
            if RATE in claim.formula.free_symbols:
                share = self.tokens if self.subject.network is not None and not self.subject.network.tied else 1
                s = self.subject.statistics[numbers[0]]
                noise = -(factor**2) * float((RATE * s).subs(self.point)) / (2 * share)
        elif claim.quantity in ("dR", "G", "H"):
            weight = self.score(numbers)
        elif claim.quantity == "V":
            noise = factor**2
        return self.weighted(weight, order, factor, noise, factor if claim.quantity == "loss" else 0.0)

    def weighted(
        self, weight: sp.Expr, order: int, factor: float = 1.0, noise: float = 0.0, whole: float = 0.0
    ) -> Mean:
        """The mean of factor (|phi|^2 - 2 <g, phi>) weight + noise sum_l delta_l^2 + whole |g - phi|^2."""
        target = numeric_function(self.a, [c.xreplace(dict(zip(self.z, self.a, strict=True))) for c in self._plain()])
        phi = numeric_function(self.z, self.components)
        slopes = numeric_function(self.z, [sp.diff(c, z) for z in self.z for c in self.components] if noise else [])
        weights = numeric_function([*self.a, *self.z], [weight.subs(self.point)])
        spread = np.sqrt(np.maximum(0.0, 1 - self.m**2))

        def integrand(x: Array) -> Array:
            a = x[: self.tokens]
            z = self.m * a + spread * x[self.tokens :] + self.e
            g, f = target(a), phi(z)
            total = whole * np.sum((g - f) ** 2, axis=0)
            if weight != 0:
                total = total + factor * np.sum(f * (f - 2 * g), axis=0) * weights(np.concatenate([a, z]))[0]
            if noise:
                slope = slopes(z).reshape(self.tokens, len(f), -1)
                total = total + noise * np.sum((2 * np.sum((g - f) * slope, axis=1)) ** 2, axis=0)
            return np.asarray(total)

        degree = None
        if self.degree is not None:
            degree = max(2 * self.degree + 2 * order, 4 * self.degree if noise else 0)
        # the slopes in V and in the noise of a drift jump where phi has a kink
        return Mean(2 * self.tokens, integrand, degree, self.kinked, self.jumping or bool(noise and self.kinked))

    def _plain(self) -> list[sp.Expr]:
        """g with its structured sums and products written out, so that its tokens can be renamed."""
        return [written_out(c) for c in self.targets]

    def _drift_weight(self, number: int) -> sp.Expr:
        statistics, network = self.subject.statistics, self.subject.network
        s = statistics[number]
        if network is not None:
            return -(1 - s**2) * self.score([number]) / (1 if network.tied else len(network.classes[number]))
        pull = sp.Add(*(x * self.score([i]) for i, x in enumerate(statistics)))
        return -self.score([number]) + s * pull


# ---- quadrature -----------------------------------------------------------------------------------


def _rules(mean: Mean) -> list[tuple[Array, Array]]:
    """One-dimensional rules (nodes, weights): two of Gauss-Hermite for polynomials, which they integrate exactly, else
    three trapezoidal ones; [] where the grid would be too large or too coarse.

    The second has another range, and both have other steps: rules of nearly the same step have nearly the same error.
    """
    largest = int(NODES_BUDGET ** (1 / mean.dimension) + 1e-9)
    if mean.degree is not None:
        exact = mean.degree // 2 + 1
        if exact + 1 > min(largest, 150):
            return []
        rules = []
        for n in (exact, min(exact + 3, largest)):
            x, w = np.polynomial.hermite_e.hermegauss(n)
            rules.append((x, w / math.sqrt(2 * math.pi)))
        return rules
    n = min(largest, 400)
    if n < _COARSEST:
        return []
    rules = []
    widest = 7.5 if n < 60 else 12.0
    for count, reach in ((n, widest), (n - n // 5, 0.9 * widest), (n - n // 4, widest)):
        x = np.linspace(-reach, reach, count)
        rules.append((x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])))
    return rules


def _grid(x: Array, w: Array, dimension: int) -> Iterator[tuple[Array, Array]]:
    """The product rule in pieces: nodes (dimension, N) and weights (N,)."""
    total = len(x) ** dimension
    for start in range(0, total, _CHUNK):
        indices = np.unravel_index(np.arange(start, min(start + _CHUNK, total)), (len(x),) * dimension)
        yield np.stack([x[i] for i in indices]), np.prod([w[i] for i in indices], axis=0)


def quadrature(mean: Mean, ours: float) -> Route:
    """Our value against a product rule; coarser rules tell the error."""
    rules = _rules(mean)
    if not rules:
        return Route("quadrature", f"silent: {mean.dimension} variables are too many for a grid", None)
    values, scale = [], 0.0
    for x, w in reversed(rules):  # the finest is the last
        value = scale = 0.0
        for nodes, weights in _grid(x, w, mean.dimension):
            terms = mean.integrand(nodes) * weights
            value, scale = value + float(terms.sum()), scale + float(np.abs(terms).sum())
        values.append(value)
    error = max(_DOUBT * abs(values[-1] - values[-2]), 1.5 * abs(values[-1] - values[0])) + 1e-10 * scale
    if mean.kinked:
        step = float(rules[0][0][1] - rules[0][0][0])
        error += (step / 2 if mean.jumping else step**2) * scale
    how = f"{len(rules[0][0])}^{mean.dimension} nodes"
    return _judged("quadrature", values[-1], error, scale, ours, how, 1.0 if mean.degree is not None else _DOUBT)


def monte_carlo(mean: Mean, ours: float) -> Route:
    """Our value against seeded draws, within 5 standard errors."""
    count = min(SAMPLES, _NUMBERS_BUDGET // max(1, mean.dimension))
    generator = np.random.default_rng(SEED)
    values = np.concatenate(
        [
            mean.integrand(generator.standard_normal((mean.dimension, min(_CHUNK // 8, count - start))))
            for start in range(0, count, _CHUNK // 8)
        ]
    )
    centred = (values - values.mean()) ** 2
    # One draw that carries the variance: the standard error is not to be trusted.
    if centred.sum() > 0 and centred.max() > 0.05 * centred.sum():
        return Route("Monte Carlo", "silent: the distribution has heavy tails", None, float(values.mean()))
    value, scale = float(values.mean()), float(np.abs(values).mean())
    error = 5 * float(values.std()) / math.sqrt(count) + 1e-12 * scale
    return _judged("Monte Carlo", value, error, scale, ours, f"{count} draws, seed {SEED}")


def _judged(name: str, value: float, error: float, scale: float, ours: float, how: str, doubt: float = 1.0) -> Route:
    """What a value says of ours: nothing where its error is not small against what matters.

    For an agreement that is our value, or the mean of |F| where ours is 0; for a disagreement the difference itself,
    which counts from `doubt` errors on.
    """
    if not (math.isfinite(value) and math.isfinite(error)) or error > 0.2 * scale:
        return Route(name, f"silent: {value:.6g} +- {error:.2g} is too coarse ({how})", None, value, error)
    difference = abs(value - ours) - 1e-12 * abs(ours)
    agrees = difference <= error
    matters = abs(ours) if abs(ours) > 1e-12 * scale else scale
    if (agrees and error > _SMALL * matters) or error < difference <= doubt * error:
        said = f"cannot tell: {value:.6g} +- {error:.2g} ({how}) is too coarse"
        return Route(name, said, None, value, error)
    verb = "agrees" if agrees else "DISAGREES"
    return Route(name, f"{verb}: {value:.10g} +- {error:.2g} ({how})", agrees, value, error)


def compared(route: Route, ours: Measured) -> Route:
    """The route beside our value, which is itself known up to its error only, cut or enclosed."""
    if route.value is None or route.error is None:
        return route
    said = f"{route.said}, ours is {with_error(ours.value, ours.error)}"
    if route.agrees is False and abs(route.value - ours.value) <= route.error + ours.error:
        return replace(route, agrees=True, said=said.replace("DISAGREES", "agrees"))
    return replace(route, said=said)


__all__ = ["Mean", "Route", "compared", "directional_mean", "mean_of", "monte_carlo", "quadrature"]
