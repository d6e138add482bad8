"""What Thm 1 by simulation and its figure share: the series of SGD runs, their predictions and the laws fitted to them.

SGD is the exact reduced chain of `sie_sym.sgd`, the prediction the flow of Prop. 2 (arXiv:2506.02651) at the same rate.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import NormalDist

import sympy as sp

from derivations.figure_runs import Tell, ignore
from sie_sym.functions import He, relu, token
from sie_sym.model import ACTIVATION_VARIABLE, tied_network
from sie_sym.recovery import recovery_time
from sie_sym.scaling import HittingTime, Law, ScalingFit, fit, hitting_time
from sie_sym.sgd import SGDSettings
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine
from sie_sym.target import Target
from sie_sym.untied import NetworkLoss, tied_loss

ETA, SEED, CAP, BLOCK = 0.5, 1, 1.5, 32
"""The threshold, the seed, the steps run as a multiple of the predicted median, and the replicas that compiled code
takes at once (few, so that two threads share the longest runs)."""
ENGINE: Engine = "numba" if importlib.util.find_spec("numba") else "numpy"

u, z1, z2 = ACTIVATION_VARIABLE, token(1), token(2)


@dataclass(frozen=True)
class Series:
    """One curve: a target and a tied network of two tokens, the rate gamma = `rate`/tau_eta, or `rate` if constant.

    `law` has one free exponent, whose value in the theorem is `exponent`; its offset is that of the gradient flow from
    m_0 = d^{-1/2} to eta.  `start` is m_0 sqrt d, or None for uniform starts on the sphere.
    """

    name: str
    sie: int
    target: Target
    activation: sp.Expr
    rate: float
    law: Law
    exponent: float
    constant: bool = False
    start: float | None = 1.0

    @cached_property
    def loss(self) -> NetworkLoss:
        """R(m), and with it the drift and the noise V(m), in closed form."""
        return tied_loss(self.target, self.activation)

    @cached_property
    def fields(self) -> Fields:
        """What SGD reads: the formulas of g and phi, and not the loss."""
        return fields_of(self.target, tied_network(2, self.activation))

    def rate_at(self, dimension: int) -> float:
        """gamma, by the tau_eta of the gradient flow."""
        return self.rate if self.constant else self.rate / recovery_time(self.loss, [dimension**-0.5], ETA)

    def predicted(self, dimension: int) -> float:
        """The hitting step of the flow at the rate of `rate_at` (Prop. 2): nothing in it is fitted.

        Uniform starts have the median |m_0| of N(0, 1/d).
        """
        start = NormalDist().inv_cdf(0.75) if self.start is None else self.start
        rate = self.rate_at(dimension)
        return dimension / rate * recovery_time(self.loss, [start * dimension**-0.5], ETA, rate=rate)


# Gradient flows to eta = 1/2: atanh eta - atanh m_0 (s = 1), log(eta/sqrt(1 - eta^2)) - log m_0 (s = 2), and
# 1/m_0 - (1/eta - atanh eta) (s = 3), each over alpha and up to O(m_0) beside the terms shown.
_FIRST = Law(None, c=-1 / math.atanh(ETA))
_SECOND = Law(1, p=None, b=math.log(ETA**2 / (1 - ETA**2)))
_THIRD = Law(None, c=math.atanh(ETA) - 1 / ETA)
_PAIR = Target.of(2 * He(2, z1) + 2 * He(2, z2))

SERIES = (
    Series("SIE 1", 1, Target.of((z1 + z2) / sp.sqrt(2)), relu(u), 0.1, _FIRST, 1),
    Series("SIE 2, constant rate", 2, _PAIR, u**2, 0.006, _SECOND, 1, constant=True),
    Series("SIE 2, rate c/tau", 2, _PAIR, u**2, 0.001, _SECOND, 2),
    Series("SIE 3", 3, Target.of((He(2, z1) * z2 + z1 * He(2, z2)) / 2), He(3, u) / 20, 0.3, _THIRD, 2),
)
UNIFORM = replace(
    SERIES[1],
    name="SIE 2, uniform start",
    start=None,
    law=replace(_SECOND, b=math.log(ETA**2 / (1 - ETA**2)) - 2 * math.log(NormalDist().inv_cdf(0.75))),
)


@dataclass(frozen=True)
class Settings:
    """Dimensions of each series, and replicas: as many as cost `work` replica-steps, a power of two in `runs`."""

    dimensions: dict[str, tuple[int, ...]]
    work: float
    runs: tuple[int, int]
    seconds: float = math.inf


def _dimensions(first: float, last: float, per_decade: int) -> tuple[int, ...]:
    count = round((math.log10(last) - math.log10(first)) * per_decade) + 1
    return tuple(round(first * 10 ** (i / per_decade)) for i in range(count))


_COMPILED = Settings(
    {
        "SIE 1": (100, 1000, 10_000, 100_000),
        "SIE 2, constant rate": (100, 1000, 10_000),
        "SIE 2, rate c/tau": (100, 1000, 10_000),
        "SIE 3": (50, 100, 200, 300),
    },
    1e7,
    (64, 512),
)
_PLAIN = Settings(  # a decade fewer of d
    {
        "SIE 1": (100, 1000, 10_000),
        "SIE 2, constant rate": (100, 300, 1000),
        "SIE 2, rate c/tau": (100, 300, 1000),
        "SIE 3": (25, 50, 100),
    },
    2e7,
    (128, 512),
)
QUICK = _COMPILED if ENGINE == "numba" else _PLAIN
PAPER = Settings(
    {
        "SIE 1": _dimensions(1e2, 1e7, 2),
        "SIE 2, constant rate": _dimensions(1e2, 1e6, 2),
        "SIE 2, rate c/tau": _dimensions(1e2, 1e6, 2),
        "SIE 3": _dimensions(1e2, 1e4, 4),
        "SIE 2, uniform start": _dimensions(1e2, 1e5, 2),
    },
    2e8,
    (32, 512),
    600.0,
)


@dataclass(frozen=True)
class Point:
    """A simulated median and the predicted one."""

    hit: HittingTime
    predicted: float

    @property
    def ratio(self) -> float:
        """Simulated over predicted."""
        return self.hit.steps / self.predicted


Points = dict[str, list[Point]]


def _jobs(settings: Settings) -> Iterator[tuple[float, Series, int, int, float]]:
    """Replica-steps, series, dimension, replicas and the predicted median of each simulation."""
    for series in (*SERIES, UNIFORM):
        for dimension in settings.dimensions.get(series.name, ()):
            predicted = series.predicted(dimension)
            least, most = settings.runs
            runs = min(most, max(least, 1 << max(int(settings.work / (CAP * predicted)), 1).bit_length() - 1))
            yield CAP * predicted * runs, series, dimension, runs, predicted


def simulate(settings: Settings, tell: Tell = ignore, engine: Engine = ENGINE, workers: int = 2) -> Points:
    """The medians of all simulations that fit in the time, the cheapest first; `tell` hears of those left out, too."""
    begin, pace, points = time.monotonic(), 0.0, Points()
    for cost, series, dimension, runs, predicted in sorted(_jobs(settings), key=lambda job: job[0]):
        left, before = settings.seconds - (time.monotonic() - begin), time.monotonic()
        if pace * cost > left:
            tell(f"{series.name}, d = {dimension}: left out, {pace * cost:.0f} s for {left:.0f} s left")
            continue
        start = None if series.start is None else (series.start * dimension**-0.5,)
        rate = series.rate_at(dimension)
        steps, block = math.ceil(CAP * predicted), BLOCK if engine == "numba" else None
        chain = SGDSettings(dimension, rate, steps, runs, SEED, start=start, record=2, threshold=ETA, block=block)
        found = Point(hitting_time(series.fields, chain, engine, workers), predicted)
        points.setdefault(series.name, []).append(found)
        pace = (time.monotonic() - before) / cost
        tell(row(series.name, found))
    return {name: sorted(found, key=lambda point: point.hit.dimension) for name, found in points.items()}


def row(name: str, point: Point) -> str:
    """A line of the table."""
    hit = point.hit
    return (
        f"{name:21} {hit.dimension:9d} {hit.rate:9.3g} {hit.runs:5d} {hit.recovered:6.2f} {hit.steps:12.5g} "
        f"{hit.error:7.3f} {point.predicted:12.5g} {point.ratio:7.3f}"
    )


def exponent(series: Series, points: Iterable[Point]) -> tuple[ScalingFit, ScalingFit]:
    """The fitted exponent of the law of a series, and that of the predictions, with the same weights."""
    hits = [point.hit for point in points]
    predictions = [replace(point.hit, steps=point.predicted) for point in points]
    return fit(series.law, hits), fit(series.law, predictions)


def rivals(points: Iterable[Point]) -> list[ScalingFit]:
    """The laws with two parameters for SIE 2, the best by AIC first."""
    hits = [point.hit for point in points]
    laws = (Law(1, p=1, b=None), Law(1, p=2, b=None), Law(None))
    return sorted((fit(law, hits) for law in laws), key=lambda found: found.aic)


@lru_cache(maxsize=1)
def quick() -> Points:
    """The simulations of the page: some 20 s on two cores with numba, and a decade fewer of d without."""
    return simulate(QUICK)
