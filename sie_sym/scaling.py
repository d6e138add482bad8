r"""How the number of SGD steps to weak recovery grows with d: medians over replicas, and the laws fitted to them.

Sample complexity (arXiv:2506.02651, Thm 1; Def. 1): one-pass SGD spends one sample a step, so that the median
hitting step of |(e, m)| >= eta is a number of samples.  It is compared with n ~ d, d log d, d log^2 d, d^{s-1} by
weighted least squares on log n, each median weighted by its own standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import SieSymError
from sie_sym.numeric import FloatArray
from sie_sym.sgd import run_sgd
from sie_sym.simulation.fields import Fields
from sie_sym.simulation.replicas import Engine, SGDSettings


@dataclass(frozen=True)
class HittingTime:
    """The median number of steps to weak recovery over `runs` replicas, and the standard error of its logarithm.

    `recovered` is the fraction that recovered within the `cap` steps that were run.
    """

    dimension: int
    rate: float
    steps: float
    error: float
    recovered: float
    runs: int
    cap: int

    @property
    def time(self) -> float:
        """t = gamma * step / d."""
        return self.steps * self.rate / self.dimension


def hitting_time(fields: Fields, settings: SGDSettings, engine: Engine = "numpy", workers: int = 1) -> HittingTime:
    """Run SGD and take the median of the recovery steps; `settings.threshold` is eta.

    Raises `SieSymError` without a threshold, or when too few replicas recover within `settings.steps`.

    >>> from sie_sym.functions import token
    >>> from sie_sym.simulation.fields import fields_of
    >>> from sie_sym.model import ACTIVATION_VARIABLE, tied_network
    >>> from sie_sym.target import Target
    >>> linear = fields_of(Target.of(token(1)), tied_network(1, ACTIVATION_VARIABLE))
    >>> hit = hitting_time(linear, SGDSettings(200, 0.02, 6000, 64, seed=1, start=(0.0,), threshold=0.5))
    >>> abs(hit.time - 0.2747) < 0.05, hit.recovered  # dm/dt = 2 (1 - m^2), up to the noise of a finite rate
    (True, 1.0)
    """
    if settings.threshold is None:
        raise SieSymError("a hitting time needs a threshold: pass SGDSettings(..., threshold=eta)")
    result = run_sgd(fields, settings, engine, workers)
    steps, error = median(np.where(result.recovery_step >= 0, result.recovery_step, np.inf))
    recovered = float(result.recovered or 0.0)
    return HittingTime(settings.dimension, settings.rate, steps, error, recovered, settings.runs, settings.steps)


def median(times: ArrayLike) -> tuple[float, float]:
    r"""The median of positive times and the standard error of its logarithm; inf stands for "not within the cap".

    The error is that of the bootstrap, without resampling: Maritz and Jarrett, JASA 73 (1978) 194: the bootstrap's
    median is the k-th smallest time with probability I(k/n) - I((k-1)/n), I the incomplete beta function of a
    median.  It errs on the safe side, by a tenth at 32 replicas.  Unrecovered replicas may have less than 1 % of that
    weight.

    >>> middle, error = median([10.0] * 8)
    >>> middle, error < 1e-12
    (10.0, True)
    """
    from scipy.special import betainc

    ordered = np.sort(np.asarray(times, dtype=np.float64))
    n, never = len(ordered), int(np.isinf(ordered).sum())
    if n < 8 or not (ordered > 0).all():
        raise SieSymError(f"a median of {n} times, the least {ordered[:1]}: give 8 or more times above 0")
    middle = (n + 1) / 2
    weights = np.diff(betainc(middle, n + 1 - middle, np.arange(n + 1) / n))
    if weights[n - never :].sum() > 0.01:
        raise SieSymError(f"the median of {n} times of which {never} are infinite: run longer or more replicas")
    logs = np.log(ordered[: n - never])
    weights = weights[: n - never] / weights[: n - never].sum()
    mean = float(weights @ logs)
    return float(np.median(ordered)), math.sqrt(float(weights @ (logs - mean) ** 2))


@dataclass(frozen=True)
class Law:
    r"""n = A d^q (log d + b)^p (1 + c / sqrt d)^2, where None stands for a parameter to be fitted; A always is.

    n ~ d tau^2 (Thm 1), and a start m_0 = d^{-1/2} shifts the logarithm in tau (s = 2) or corrects its power by the
    last factor (s = 1 and 3): tau ~ eta - m_0, log(eta/m_0), 1/m_0 - 1/eta.

    >>> str(Law(1, p=None)), str(Law(None)), str(Law(2, c=None)), str(Law(1, p=1, b=-1.5))
    ('A d log(d)^p', 'A d^q', 'A d^2 (1 + c/sqrt d)^2', 'A d (log d - 1.5)')
    """

    q: float | None
    p: float | None = 0
    b: float | None = 0
    c: float | None = 0

    @property
    def free(self) -> tuple[str, ...]:
        """The names of the parameters to fit, besides A."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is None)

    def log_shape(self, log_d: FloatArray, values: Sequence[float]) -> FloatArray:
        """log(n/A) with the values of the free parameters, in the order of `free`."""
        q, p, b, c = (getattr(Law(**{**vars(self), **dict(zip(self.free, values, strict=True))}), x) for x in "qpbc")
        return np.asarray(q * log_d + p * np.log(log_d + b) + 2 * np.log1p(c * np.exp(-log_d / 2)))

    def __str__(self) -> str:
        power = "d^q" if self.q is None else "d" if self.q == 1 else f"d^{self.q}"
        exponent = "^p" if self.p is None else "" if self.p == 1 else f"^{self.p}"
        base = "(log d + b)" if self.b is None else f"(log d {_signed(self.b)})"
        parts = ["A", power]
        if self.p != 0:
            parts.append(("log(d)" if self.b == 0 else base) + exponent)
        if self.c != 0:
            parts.append("(1 + c/sqrt d)^2" if self.c is None else f"(1 {_signed(self.c)}/sqrt d)^2")
        return " ".join(parts)


def _signed(x: float) -> str:
    return f"{'-' if x < 0 else '+'} {abs(x):.4g}"


@dataclass(frozen=True)
class ScalingFit:
    """A law fitted to medians: `values` and standard `errors` of its free parameters, and the weighted residuals.

    `residuals` are (log n - log law) in standard errors of the medians; `log_prefactor` is log A.
    """

    law: Law
    values: tuple[float, ...]
    errors: tuple[float, ...]
    log_prefactor: float
    residuals: tuple[float, ...]

    @property
    def chi_squared(self) -> float:
        """The sum of squared residuals; its expectation is `degrees` if the law holds."""
        return math.fsum(r * r for r in self.residuals)

    @property
    def degrees(self) -> int:
        """Degrees of freedom: medians less parameters, A included."""
        return len(self.residuals) - len(self.values) - 1

    @property
    def aic(self) -> float:
        """Akaike's criterion chi^2 + 2 k, k parameters, up to a constant common to all laws of one set of medians."""
        return self.chi_squared + 2 * (len(self.values) + 1)

    def __str__(self) -> str:
        found = [
            f"{name} = {value:.4f} +- {error:.4f}"
            for name, value, error in zip(self.law.free, self.values, self.errors, strict=True)
        ]
        quality = f"chi^2 = {self.chi_squared:.4g} on {self.degrees} degrees, AIC {self.aic:.4g}"
        return ", ".join([f"{self.law}: A = {math.exp(self.log_prefactor):.4g}", *found, quality])


def fit(law: Law, times: Sequence[HittingTime]) -> ScalingFit:
    r"""Weighted least squares of log n; the errors follow from those of the medians, which are taken as known.

    Raises `SieSymError` for fewer medians than parameters + 1, or a median without spread (error 0).

    >>> hits = [HittingTime(d, 0.1, 3.0 * d**1.5, 0.01, 1.0, 100, 10**9) for d in (100, 1000, 10000)]
    >>> round(fit(Law(None), hits).values[0], 6)
    1.5
    """
    from scipy.optimize import least_squares

    if len(times) < len(law.free) + 2:
        raise SieSymError(
            f"{len(times)} medians for {law}, of {len(law.free) + 1} parameters: give {len(law.free) + 2} or more"
        )
    table = np.array([[math.log(hit.dimension), math.log(hit.steps), hit.error] for hit in times])
    log_d, log_n, errors = table.T
    if not (errors > 0).all():
        raise SieSymError("a median has no spread: its replicas are too few, or all alike")
    # log d + b and 1 + c / sqrt d stay positive
    least = {"q": -math.inf, "p": -math.inf, "b": -float(log_d.min()), "c": -math.exp(float(log_d.min()) / 2)}
    start = {"q": 1.0, "p": 1.0, "b": 0.0, "c": 0.0}

    def excess(parameters: FloatArray) -> FloatArray:
        shape = law.log_shape(log_d, [float(x) for x in parameters[1:]])
        return np.asarray((log_n - parameters[0] - shape) / errors)

    first = [float(np.mean(log_n - log_d)), *(start[name] for name in law.free)]
    bounds = ([-math.inf, *(least[name] for name in law.free)], [math.inf] * len(first))
    found = least_squares(excess, first, bounds=bounds, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    slopes = np.asarray(found.jac)
    deviations = np.sqrt(np.diag(np.linalg.pinv(slopes.T @ slopes)))
    prefactor, *values = (float(x) for x in found.x)
    return ScalingFit(law, tuple(values), tuple(map(float, deviations[1:])), prefactor, tuple(map(float, found.fun)))


__all__ = ["HittingTime", "Law", "ScalingFit", "fit", "hitting_time", "median"]
