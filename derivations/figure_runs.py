r"""What Figs. 3, 7, 8, 9, 10, 11 and the staircases share: SGD of tied and untied networks beside Prop. 2.

SGD is the exact reduced chain of `sie_sym.sgd`, the curve over it the drift of Prop. 2 (arXiv:2506.02651) integrated
from the same start, nothing fitted.  gamma is the learning rate of the official code as it stands: its training loss
is (y - f)^2 (the factor 1/2 is in the loss it reports only), w <- w - lr grad, |w|^2 = d.  Every |W_l| of an untied
network is kept, as in Prop. 2; the code keeps the norm of all of them together.

The official start "overlap o" is m_l = o / sqrt((1-o)^2 + o^2) for every token, o = 1/sqrt d; its threshold of weak
recovery is 2/sqrt(1000): |m| tied, |m_vec|/sqrt L untied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from sie_sym.functions import relu
from sie_sym.model import ACTIVATION_VARIABLE, tied_network
from sie_sym.paper_targets import named_target
from sie_sym.recovery import drift_function, recovery_time
from sie_sym.sgd import SGDSettings, run_sgd
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine
from sie_sym.tensors.independent_sum import equivalent_tokens
from sie_sym.untied import NetworkLoss, tied_loss, untied_loss

RELU = relu(ACTIVATION_VARIABLE)
OFFICIAL_THRESHOLD = 2 / 1000**0.5
_RESAMPLES = 1000

FloatArray = NDArray[np.float64]
Tell = Callable[[str], None]


def ignore(text: str) -> None:
    """What `simulate` tells of its progress, by default."""


@dataclass(frozen=True)
class Case:
    """One network on a target of the paper by its name: what is run, and what Prop. 2 says of it."""

    target: str
    tokens: int
    untied: bool
    dimension: int
    rate: float
    activation: sp.Expr = RELU
    threshold: float = OFFICIAL_THRESHOLD

    @property
    def kind(self) -> str:
        """Tied or untied."""
        return "untied" if self.untied else "tied"

    @property
    def start(self) -> float:
        """Every overlap at step 0."""
        overlap = self.dimension**-0.5
        return float(overlap / np.hypot(1 - overlap, overlap))

    @cached_property
    def loss(self) -> NetworkLoss:
        """Lemma 5."""
        target = named_target(self.target, self.tokens)
        if self.untied:
            return untied_loss(target, self.activation, equivalent_tokens(target))
        return tied_loss(target, self.activation)

    def fields(self) -> Fields:
        """What the simulation reads: target and activation, and not the loss."""
        model = tied_network(self.tokens, self.activation)
        return fields_of(named_target(self.target, self.tokens), model, untied=self.untied)

    def predicted_steps(self) -> float:
        """Steps to weak recovery by Prop. 2; inf if its drift never gets there."""
        start = [self.start] * len(self.loss.statistics)
        return recovery_time(self.loss, start, self.threshold, rate=self.rate) * self.dimension / self.rate

    def predicted_path(self, steps: FloatArray) -> FloatArray:
        """m (T,), or (T, L) untied, by Prop. 2 at these steps."""
        from scipy.integrate import solve_ivp

        times = np.asarray(steps) * (self.rate / self.dimension)
        start = [self.start] * len(self.loss.statistics)
        drift = drift_function(self.loss, self.rate)
        solved = solve_ivp(drift, (0.0, times[-1]), start, "LSODA", times, rtol=1e-9, atol=1e-12)
        if not self.untied:
            return np.asarray(solved.y[0])
        path = np.empty((len(times), self.tokens))
        for values, members in zip(solved.y, self.loss.classes, strict=True):
            path[:, [l - 1 for l in members]] = values[:, None]
        return path


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Replicas of one case: recovery steps (inf: not within `steps`), the overlaps' mean and deviation, the prediction.

    `path_steps` (T,); `mean`, `deviation` and `predicted_path` (T,), or (T, L) untied.
    """

    case: Case
    steps: int
    recovery: FloatArray
    path_steps: NDArray[np.int64]
    mean: FloatArray
    deviation: FloatArray
    predicted: float
    predicted_path: FloatArray
    resampled: FloatArray = field(repr=False)

    @property
    def median(self) -> float:
        """Of the recovery steps; inf if at most half of the replicas recovered."""
        return float(np.median(self.recovery))

    @property
    def error(self) -> float:
        """The standard error of the median, from resampled replicas."""
        finite = self.resampled[np.isfinite(self.resampled)]
        return float(finite.std()) if np.isfinite(self.median) and len(finite) else np.nan

    @property
    def recovered(self) -> float:
        """The fraction of the replicas."""
        return float(np.isfinite(self.recovery).mean())

    @property
    def length(self) -> FloatArray:
        """|m|, or |m_vec|/sqrt L untied, root mean square over the replicas, at `path_steps`."""
        squares = self.mean**2 + self.deviation**2
        return np.asarray(np.sqrt(squares.mean(axis=1) if self.case.untied else squares))

    @property
    def predicted_length(self) -> FloatArray:
        """The same by Prop. 2."""
        squares = self.predicted_path**2
        return np.asarray(np.sqrt(squares.mean(axis=1) if self.case.untied else squares))


def run_case(
    case: Case, *, runs: int, seed: int, steps: int, engine: Engine, predicted: float | None = None, record: int = 61
) -> Arrivals:
    """`runs` replicas of `steps` steps, and the prediction beside them."""
    return run_fields(
        case.fields(), case, runs=runs, seed=seed, steps=steps, engine=engine, record=record,
        predicted=case.predicted_steps() if predicted is None else predicted, path=case.predicted_path,
    )  # fmt: skip


def run_fields(
    fields: Fields,
    case: Case,
    *,
    runs: int,
    seed: int,
    steps: int,
    engine: Engine,
    record: int,
    predicted: float,
    path: Callable[[FloatArray], FloatArray],
) -> Arrivals:
    """As `run_case`, for any model that `fields` reads, with the prediction given."""
    settings = SGDSettings(
        case.dimension, case.rate, steps, runs, seed, start=(case.start,), record=record, threshold=case.threshold,
        block=-(-runs // 2) if engine == "numba" else runs,
    )  # fmt: skip
    result = run_sgd(fields, settings, engine, workers=2 if engine == "numba" else 1)
    recovery = np.where(result.recovery_step < 0, np.inf, result.recovery_step)
    draws = np.random.default_rng(seed).integers(0, runs, (_RESAMPLES, runs))
    return Arrivals(
        case, steps, recovery, result.steps, result.m_mean, result.m_std, predicted,
        path(result.steps.astype(np.float64)), np.median(recovery[draws], axis=1),
    )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """L, d, learning rate, replicas and seed of one figure.

    A network runs for `reach` times its predicted recovery and at least `least` and at most `most` steps (the paper's
    T, or less where the time is capped); where none is predicted it runs for `most`.  The faster network of a pair,
    which costs little and decides the error of the gain, may have more replicas, `faster_runs`; `slower_seed` is
    added to the seeds of the slower one.
    """

    tokens: tuple[int, ...]
    dimension: int
    rate: float
    runs: int
    seed: int
    most: int
    reach: float = 1.5
    least: int = 0
    threshold: float = OFFICIAL_THRESHOLD
    engine: Engine = "numba"
    faster_runs: int | None = None
    slower_seed: int = 50

    def case(
        self, target: str, tokens: int, untied: bool, rate: float | None = None, activation: sp.Expr = RELU
    ) -> Case:
        """One network at these settings, at their rate unless another is given."""
        rate = self.rate if rate is None else rate
        return Case(target, tokens, untied, self.dimension, rate, activation, self.threshold)

    def steps(self, predicted: float) -> int:
        """How long to run."""
        return int(max(self.least, min(self.most, np.ceil(self.reach * predicted))))


@dataclass(frozen=True, eq=False)
class GainCurve:
    """The gain, the ratio of the median recovery steps of a slower and a faster network, against L."""

    label: str
    faster: tuple[Arrivals, ...]
    slower: tuple[Arrivals, ...]

    @property
    def tokens(self) -> FloatArray:
        """L."""
        return np.array([arrivals.case.tokens for arrivals in self.faster], dtype=np.float64)

    @property
    def gain(self) -> FloatArray:
        """Measured; inf where the slower network does not recover."""
        return np.array([slow.median / fast.median for fast, slow in zip(self.faster, self.slower, strict=True)])

    @property
    def error(self) -> FloatArray:
        """Standard errors of the gains; nan where a gain is infinite."""
        pairs = zip(self.faster, self.slower, strict=True)
        relative = np.array([np.hypot(slow.error / slow.median, fast.error / fast.median) for fast, slow in pairs])
        with np.errstate(invalid="ignore"):
            return np.asarray(self.gain * relative)

    @property
    def predicted(self) -> FloatArray:
        """The gain by Prop. 2."""
        return np.array([slow.predicted / fast.predicted for fast, slow in zip(self.faster, self.slower, strict=True)])

    @property
    def effort(self) -> str:
        """Replicas and the longest run, for captions."""
        fast, slow = len(self.faster[0].recovery), len(self.slower[0].recovery)
        replicas = f"{fast} and {slow}" if fast != slow else f"{slow}"
        return f"{replicas} replicas, at most {max(run.steps for run in (*self.faster, *self.slower)):.2g} steps"

    def exponent(self) -> tuple[float, float]:
        """The least-squares slope of log gain against log L, and its standard error from resampled replicas."""
        usable = np.isfinite(self.gain)
        L = np.log(self.tokens[usable])
        design = L - L.mean()
        fast, slow = (
            np.log([arrivals.resampled for arrivals, use in zip(side, usable, strict=True) if use])
            for side in (self.faster, self.slower)
        )
        with np.errstate(invalid="ignore"):
            slopes = design @ (slow - fast) / (design @ design)
        slope = float(design @ np.log(self.gain[usable]) / (design @ design))
        return slope, float(slopes[np.isfinite(slopes)].std())

    def predicted_exponent(self) -> float:
        """The same slope of the prediction, over the same L."""
        usable = np.isfinite(self.gain) & np.isfinite(self.predicted)
        return float(np.polyfit(np.log(self.tokens[usable]), np.log(self.predicted[usable]), 1)[0])

    def table(self, power: bool = True) -> str:
        """The numbers, one L a line, and the power of L."""
        lines = [f"{self.label}\n   L   gain +- error  (Prop. 2)   steps of the faster and of the slower network"]
        for L, gain, error, predicted, fast, slow in zip(
            self.tokens, self.gain, self.error, self.predicted, self.faster, self.slower, strict=True
        ):
            lines.append(
                f"{L:4.0f} {gain:8.3f} +- {error:.3f} ({predicted:.3f})   {fast.median:.4g} ({fast.predicted:.4g})  "
                f"{slow.median:.4g} ({slow.predicted:.4g})  recovered {fast.recovered:.2f} {slow.recovered:.2f}"
            )
        if power and np.isfinite(self.gain).sum() > 2:
            slope, error = self.exponent()
            lines.append(f"gain ~ L^({slope:.3f} +- {error:.3f}), Prop. 2: {self.predicted_exponent():.3f}")
        return "\n".join(lines)


def run_all(cases: Sequence[Case], settings: Settings, tell: Tell = ignore, seed: int = 0) -> tuple[Arrivals, ...]:
    """Run cases at these settings; `seed` is added to theirs."""
    found = []
    for number, case in enumerate(cases):
        predicted = case.predicted_steps()
        steps = settings.steps(predicted)
        tell(f"{case.target}, L = {case.tokens}, {case.kind}, gamma = {case.rate:.3g}: {steps} steps")
        found.append(
            run_case(
                case, runs=settings.runs, seed=settings.seed + seed + 100 * number, steps=steps,
                engine=settings.engine, predicted=predicted,
            )
        )  # fmt: skip
    return tuple(found)


def gain_curve(
    label: str, pairs: Sequence[tuple[Case, Case]], settings: Settings, tell: Tell = ignore, seed: int = 0
) -> GainCurve:
    """Run pairs of a faster and a slower network."""
    faster, slower = zip(*pairs, strict=True)
    cheap = settings if settings.faster_runs is None else replace(settings, runs=settings.faster_runs)
    return GainCurve(
        label, run_all(faster, cheap, tell, seed), run_all(slower, settings, tell, seed + settings.slower_seed)
    )


def equal_rates(target: str, settings: Settings, tell: Tell = ignore) -> GainCurve:
    """The gain of tied over untied networks at one rate."""
    pairs = [(settings.case(target, L, False), settings.case(target, L, True)) for L in settings.tokens]
    return gain_curve("equal rates", pairs, settings, tell)
