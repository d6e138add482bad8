r"""Thm 1 by simulation: the number of SGD steps to weak recovery against d, for SIE 1, 2 and 3.

Claims (arXiv:2506.02651, Thm 1; Def. 1): one-pass SGD at a rate gamma = c/tau_eta recovers after n ~ d tau_eta^2
samples: d for SIE 1, d log^2 d for SIE 2, d^2 for SIE 3; at a constant small rate SIE 2 costs d log d (the sharp rate
of the author's later text).

What comes out: so it does, and the flow of Prop. 2 at the same rate predicts the medians, nothing fitted. Both laws of
SIE 2 are right, each at its rate; since a constant rate below the stability limit recovers, here in fewer steps from
d = 620 on, d log d is the cost of SIE 2 and d log^2 d that of the rate in the proof. The start m_0 = d^{-1/2} is
seen at all these d: a bare power fitted to SIE 3 gives 2.098 +- 0.018, the law with the flow's offset 2.007 +- 0.018.

Settings: tied networks of two tokens, eta = 1/2, m_0 = d^{-1/2} (and uniform starts, at constant rate). SIE 1: relu,
g = (z1 + z2)/sqrt 2, c = 0.1; SIE 2: linear attention, g = 2 He_2(z1) + 2 He_2(z2), gamma = 0.006 or c = 0.001; SIE 3:
activation He_3/20, g = (He_2(z1) z2 + z1 He_2(z2))/2, c = 0.3. Replicas are run for 1.5 times the predicted median.

Measured by `python -m derivations.theorem_1_simulation --full`, seed 1, numba, at most 10 minutes (on two cores shared
with other work: d log^2 d ends at 1e5 and SIE 3 at 1778 for that reason):

    series                        d  replicas      median n   +- %    flow's n
    SIE 1                       100       512           222   1.05      224.85
    SIE 1                       316       512           846   0.40      842.81
    SIE 1                      1000       512        2934.5   0.29      2917.4
    SIE 1                      3162       512        9700.5   0.13      9684.3
    SIE 1                     10000       512         31456   0.08       31460
    SIE 1                     31623       512    1.0094e+05   0.05  1.0098e+05
    SIE 1                    100000       256    3.2185e+05   0.03    3.22e+05
    SIE 1                    316228       128    1.0234e+06   0.03   1.023e+06
    SIE 1                   1000000        32     3.243e+06   0.03  3.2435e+06
    SIE 1                   3162278        32    1.0272e+07   0.02  1.0272e+07
    SIE 1                  10000000        32     3.251e+07   0.01   3.251e+07
    SIE 2, constant rate        100       512        2005.5   1.06      2017.1
    SIE 2, constant rate        316       512          8323   1.05        8475
    SIE 2, constant rate       1000       512         33151   0.66       33448
    SIE 2, constant rate       3162       512    1.2658e+05   0.65  1.2668e+05
    SIE 2, constant rate      10000       256    4.6542e+05   0.74  4.6676e+05
    SIE 2, constant rate      31623        64    1.6773e+06   1.01  1.6851e+06
    SIE 2, constant rate     100000        32    6.0465e+06   1.75  5.9899e+06
    SIE 2, constant rate     316228        32    2.0901e+07   1.54  2.1032e+07
    SIE 2, rate c/tau           100       512        1399.5   1.49      1401.7
    SIE 2, rate c/tau           316       512          7394   0.98      7512.2
    SIE 2, rate c/tau          1000       512         35914   0.72       36114
    SIE 2, rate c/tau          3162       512    1.6165e+05   0.42  1.6135e+05
    SIE 2, rate c/tau         10000       128    6.8134e+05   0.75   6.853e+05
    SIE 2, rate c/tau         31623        32    2.8111e+06   1.39  2.8024e+06
    SIE 2, rate c/tau        100000        32     1.124e+07   0.80   1.113e+07
    SIE 3                       100       512         63134   2.31       60914
    SIE 3                       178       512    2.1353e+05   1.74  2.1085e+05
    SIE 3                       316       128    7.1132e+05   3.29  7.0718e+05
    SIE 3                       562        32    2.4721e+06  10.55  2.3394e+06
    SIE 3                      1000        32    7.8383e+06  11.02  7.6524e+06
    SIE 3                      1778        32    2.6334e+07   5.36  2.4776e+07
    SIE 2, uniform start        100       512        2507.5   2.33      2472.7
    SIE 2, uniform start        316       512        9909.5   2.01      9907.5
    SIE 2, uniform start       1000       512         37923   1.36       37974
    SIE 2, uniform start       3162       512    1.4111e+05   1.22  1.4098e+05
    SIE 2, uniform start      10000       256    5.1643e+05   1.15  5.1199e+05
    SIE 2, uniform start      31623        64    1.7528e+06   4.63  1.8281e+06
    SIE 2, uniform start     100000        32    6.1065e+06   3.73  6.4421e+06

Fits to these (A is fitted; offsets are those of the gradient flow; "flow": the same fit to the last column):

    SIE 1             A d^q (1 - 1.82/sqrt d)^2     q = 0.9997 +- 0.00005   flow 0.9997
    SIE 2, constant   A d (log d - 1.099)^p         p = 1.009  +- 0.011     flow 0.999
    SIE 2, c/tau      A d (log d - 1.099)^p         p = 1.930  +- 0.011     flow 1.912 (2 as gamma -> 0)
    SIE 2, uniform    A d (log d - 0.311)^p         p = 0.981  +- 0.028     flow 0.998
    SIE 3             A d^q (1 - 1.451/sqrt d)^2    q = 2.007  +- 0.018     flow 2.003

    two parameters, AIC:   A d (log d + b)   A d (log d + b)^2   A d^q
    SIE 2, constant               6.1               85.8          335.8
    SIE 2, c/tau                992.1                7.5          847.4
    SIE 2, uniform                7.4               16.1           38.3
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import NormalDist

import sympy as sp

from sie_sym.derivation import Claim, Page
from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.fields import Fields, fields_of
from sie_sym.functions import He, relu, token
from sie_sym.model import ACTIVATION_VARIABLE, tied_network
from sie_sym.plot import check_path
from sie_sym.recovery import recovery_time
from sie_sym.replicas import Engine
from sie_sym.scaling import HittingTime, Law, ScalingFit, fit, hitting_time
from sie_sym.sgd import SGDSettings
from sie_sym.target import Target
from sie_sym.untied import NetworkLoss, tied_loss

PAGE = Page("theorem_1_simulation", "Thm 1", "the sample complexity by simulation")
EXPECTED = ("confirmed numerically",) * 5
ETA, SEED, CAP, BLOCK = 0.5, 1, 1.5, 32
"""The threshold, the seed, the steps run as a multiple of the predicted median, and the replicas that compiled code
takes at once (few, so that two threads share the longest runs)."""
FLOOR = 0.005
"""What finite d leaves of an exponent beside its statistical error (SIE 1, whose error is smaller)."""

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


QUICK = Settings(
    {
        "SIE 1": (100, 1000, 10_000, 100_000),
        "SIE 2, constant rate": (100, 1000, 10_000),
        "SIE 2, rate c/tau": (100, 1000, 10_000),
        "SIE 3": (50, 100, 200, 300),
    },
    1e7,
    (64, 512),
)
PLAIN = Settings(  # the same without numba
    {
        "SIE 1": (100, 1000, 10_000),
        "SIE 2, constant rate": (100, 300, 1000),
        "SIE 2, rate c/tau": (100, 300, 1000),
        "SIE 3": (25, 50, 100),
    },
    2e7,
    (128, 512),
)
FULL = Settings(
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


def simulate(
    settings: Settings, engine: Engine, workers: int = 2, report: Callable[[str], None] = lambda line: None
) -> Points:
    """The medians of all simulations that fit in the time, the cheapest first; `report` is told of those left out."""
    begin, pace, points = time.monotonic(), 0.0, Points()
    for cost, series, dimension, runs, predicted in sorted(_jobs(settings), key=lambda job: job[0]):
        left, before = settings.seconds - (time.monotonic() - begin), time.monotonic()
        if pace * cost > left:
            report(f"{series.name}, d = {dimension}: left out, {pace * cost:.0f} s for {left:.0f} s left")
            continue
        start = None if series.start is None else (series.start * dimension**-0.5,)
        rate = series.rate_at(dimension)
        steps, block = math.ceil(CAP * predicted), BLOCK if engine == "numba" else None
        chain = SGDSettings(dimension, rate, steps, runs, SEED, start=start, record=2, threshold=ETA, block=block)
        found = Point(hitting_time(series.fields, chain, engine, workers), predicted)
        points.setdefault(series.name, []).append(found)
        pace = (time.monotonic() - before) / cost
        report(row(series.name, found))
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


def _engine() -> Engine:
    return "numba" if importlib.util.find_spec("numba") else "numpy"


@lru_cache(maxsize=1)
def quick() -> Points:
    """The simulations of the page: some 20 s on two cores with numba, and a decade fewer of d without."""
    engine = _engine()
    return simulate(QUICK if engine == "numba" else PLAIN, engine)


def derive() -> list[Claim]:
    """The exponents of the four series, and the medians against the flow."""
    points = quick()
    return [*(_growth(series, points[series.name]) for series in SERIES), _prediction(points)]


_NAMES = {
    "SIE 1": "SIE 1: n grows as d",
    "SIE 2, constant rate": "SIE 2 at a constant rate below the stability limit: n grows as d log d",
    "SIE 2, rate c/tau": "SIE 2 at the rate c/tau ~ 1/log d: n grows as d log^2 d",
    "SIE 3": "SIE 3: n grows as d^2",
}


def _growth(series: Series, points: list[Point]) -> Claim:
    """The exponent agrees with that of the flow at these d within 4 standard errors, and that one with the theorem's.

    The flow's differs from the limit by the terms of relative order gamma V(0)/alpha and 1/d: at most 0.15 (SIE 2 at
    c/tau, where gamma V(0)/(2 alpha) falls with 1/log d, from 0.14 at d = 100); SIE 2's two laws lie 1 apart.
    """
    found, flow = exponent(series, points)
    (value,), (error,), (limit,) = found.values, found.errors, flow.values
    holds = abs(value - limit) <= 4 * error + FLOOR and abs(limit - series.exponent) <= 0.15
    route = f"medians at d = {points[0].hit.dimension} to {points[-1].hit.dimension:g}, fitted by {found.law}: "
    route += f"{found.law.free[0]} = {value:.3f} +- {error:.3f}; the flow at the same d: {limit:.3f}"
    if series.sie == 2:
        best, *others = rivals(points)
        holds = holds and best.law.p == series.exponent
        route += f"; by AIC {best.law}, " + " and ".join(f"{x.law} behind by {x.aic - best.aic:.1f}" for x in others)
    return PAGE.claim(_NAMES[series.name], holds, route, evidence=Evidence.NUMERICAL)


def _prediction(points: Points) -> Claim:
    """A median of replicas is that of the flow up to the second order of their spread: 5 % beyond 4 standard errors."""
    every = [point for found in points.values() for point in found]
    excess = max(abs(math.log(point.ratio)) - 4 * point.hit.error for point in every)
    worst = max(abs(point.ratio - 1) for point in every)
    return PAGE.claim(
        "the flow of Prop. 2 at the same rate predicts every median, nothing fitted",
        excess <= 0.05,
        f"{len(every)} medians: off by at most {worst:.1%}",
        evidence=Evidence.NUMERICAL,
    )


def main() -> None:
    """Simulate, print the table and the fits, and keep them: see the docstring of the page."""
    parser = argparse.ArgumentParser(description=PAGE.title)
    parser.add_argument("--full", action="store_true", help="d up to 1e7, for at most --minutes")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the medians to this file")
    parser.add_argument("--figure", type=Path, help="draw them to this file (.png, .svg, .pdf)")
    given = parser.parse_args()
    for path in filter(None, (given.json, given.figure)):  # before minutes of work
        if not path.absolute().parent.is_dir():
            parser.error(f"{path} lies in no existing directory: create it first")
    try:
        if given.figure:
            check_path(given.figure)
    except SieSymError as error:
        parser.error(str(error))
    engine = _engine()
    settings = replace(FULL, seconds=60 * given.minutes) if given.full else QUICK if engine == "numba" else PLAIN
    print(f"{'series':21} {'d':>9} {'gamma':>9} {'runs':>5} {'recov.':>6} {'median n':>12} {'+-log n':>7}", end=" ")
    print(f"{'flow':>12} {'ratio':>7}")
    points = simulate(settings, engine, given.workers, lambda line: print(line, flush=True))
    for series in (*SERIES, UNIFORM):
        if len(points.get(series.name, ())) > 3:
            print(f"\n{series.name}")
            fits = [*exponent(series, points[series.name]), *(rivals(points[series.name]) if series.sie == 2 else ())]
            for label, found in zip(("", "flow: ", *[""] * 3), fits, strict=False):
                print(f"  {label}{found}")
    if given.json:
        given.json.write_text(json.dumps({name: list(map(asdict, found)) for name, found in points.items()}, indent=1))
    if given.figure:
        from derivations.figure_theorem_1 import figure

        print(figure(given.figure, points))


if __name__ == "__main__":
    main()
