r"""Weak recovery of tied and untied networks: the drifts of Prop. 2, integrated (arXiv:2506.02651, Def. 1, App. C).

Weak recovery is |m| >= eta for the tied network and |m_vec| >= eta sqrt(L) for the untied one.  Times are in units
t = gamma * step / d: the number of steps is d t / gamma.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import SieSymError
from sie_sym.exponents import information_exponent
from sie_sym.flows.lsoda import RECOVERY, until
from sie_sym.gain import activation_coefficient
from sie_sym.gaussian import GaussianExpectation
from sie_sym.hermite import factorial
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.enclosure import decide_sign, enclose
from sie_sym.numeric import FloatArray, scalar_function
from sie_sym.target import Target
from sie_sym.tensors.independent_sum import equivalent_tokens
from sie_sym.tensors.leading_tensor import LeadingTensor
from sie_sym.tensors.sphere_maximum import Form, largest_found
from sie_sym.tensors.symmetric_tensor import tokens_of_tensor
from sie_sym.untied import NetworkLoss, tied_loss, untied_loss


@dataclass(frozen=True)
class RecoveryTimes:
    """The times to weak recovery of both networks (inf: never), at their rates; `start` is the untied m_vec at 0."""

    tied: float
    untied: float
    rates: tuple[float, float]
    start: tuple[float, ...]

    @property
    def time_ratio(self) -> float:
        """t_untied / t_tied: the gain in steps if both rates are equal."""
        return _ratio(self.untied, self.tied)

    @property
    def step_ratio(self) -> float:
        """(t_untied / gamma_untied) / (t_tied / gamma_tied)."""
        tied, untied = self.rates
        return _ratio(self.untied, self.tied) * _ratio(tied, untied)


def _ratio(numerator: float, denominator: float) -> float:
    if math.isinf(denominator):
        return math.nan if math.isinf(numerator) else 0.0
    if denominator == 0:
        return 1.0 if numerator == 0 else math.inf
    return numerator / denominator


def recovery_times(
    target: Target,
    activation: sp.Expr,
    *,
    start: str | ArrayLike = "all",
    overlap: float = 1e-3,
    eta: float = 0.1,
    rate: float | tuple[float, float] = 0.0,
    noise: str = "exact",
    sphere: str = "token",
    time: float | None = None,
    seed: int = 0,
    rtol: float = 1e-10,
) -> RecoveryTimes:
    r"""The weak recovery times of the tied network from m = `overlap` and of the untied one.

    `start` of the untied network: "all" (m_l = overlap for every token), "leading" (m_vec = overlap * v, v the unit
    vector with the largest c_s <C_s, v^{(x) s}>), "random" (m_l = overlap * N(0, 1), seeded), or the L numbers.
    `rate` is gamma for both or (tied, untied); its noise term is V(m), "exact", or V(0), "start".  `sphere`: see
    `NetworkLoss.drift`.  `time` is the longest time integrated (default: from the drift at the start, generous).

    Raises `SieSymError` for bad arguments and when `time` is too short to tell.

    >>> from sie_sym.functions import He, token
    >>> from sie_sym.model import ACTIVATION_VARIABLE
    >>> target = Target.of(He(2, token(1)) + He(2, token(2)) + He(2, token(3)))
    >>> round(recovery_times(target, ACTIVATION_VARIABLE**2).time_ratio, 6)
    3.0
    """
    rates = rate if isinstance(rate, tuple) else (rate, rate)
    if not all(math.isfinite(gamma) and gamma >= 0 for gamma in rates):
        raise SieSymError(f"learning rates {rates}: give finite numbers >= 0")
    if not 0 < overlap < 1 or not 0 < eta <= 1:
        raise SieSymError(f"overlap {overlap} and threshold {eta}: give numbers in (0, 1)")
    vector = start_vector(target, activation, start, overlap, seed)
    tied = tied_loss(target, activation)
    untied = untied_loss(target, activation, common_classes(target, vector))
    own = [float(vector[members[0] - 1]) for members in untied.classes]
    times = [
        recovery_time(loss, point, eta, rate=gamma, noise=noise, sphere=sphere, time=time, rtol=rtol)
        for loss, point, gamma in ((tied, [overlap], rates[0]), (untied, own, rates[1]))
    ]
    return RecoveryTimes(times[0], times[1], rates, tuple(map(float, vector)))


def start_vector(
    target: Target, activation: sp.Expr, start: str | ArrayLike, overlap: float, seed: int = 0
) -> FloatArray:
    """m_vec at time 0, shape (L,): see `recovery_times`."""
    if isinstance(start, str):
        if start == "all":
            return np.full(target.tokens, overlap)
        if start == "random":
            return np.asarray(overlap * np.random.default_rng(seed).standard_normal(target.tokens))
        if start == "leading":
            return overlap * leading_direction(target, activation)
        raise SieSymError(f"unknown start {start!r}: choose all, leading, random or give {target.tokens} overlaps")
    vector = np.asarray(start, dtype=np.float64)
    if vector.shape != (target.tokens,) or not (np.abs(vector) <= 1).all():
        raise SieSymError(f"start of shape {vector.shape}: give {target.tokens} overlaps in [-1, 1], one a token")
    return vector


def leading_direction(target: Target, activation: sp.Expr) -> FloatArray:
    """The unit vector v in R^L with the largest c_s <C_s, v^{(x) s}>, s the SIE; spread over all tokens if one is.

    >>> from sie_sym.functions import token
    >>> from sie_sym.model import ACTIVATION_VARIABLE
    >>> leading_direction(Target.of(3 * token(1) - 4 * token(2)), ACTIVATION_VARIABLE)
    array([ 0.6, -0.8])
    """
    found = information_exponent(target)
    s = found.exponent
    if s is None or len(target.components) != 1:
        raise SieSymError("no leading direction: the target is not scalar or has no proved information exponent")
    coefficient = activation_coefficient(activation, s)
    sign = decide_sign(coefficient)
    if not sign:
        raise SieSymError(f"no leading direction: c_{s} = {coefficient} is not proved to be non-zero")
    tensor = LeadingTensor.of(found.expansion.transforms[0], s)
    v = np.zeros(target.tokens)
    if tensor.ridges:
        strength = [
            float(enclose(sp.Abs(c)).mid())
            * float(enclose(sp.Add(*(x**2 for _, x in a))).mid()) ** (s / 2)
            * (s % 2 == 1 or decide_sign(c) == sign)
            for c, a in tensor.ridges
        ]
        c, direction = tensor.ridges[int(np.argmax(strength))]
        flip = sign * (decide_sign(c) or 1) if s % 2 == 1 else 1
        if len(tensor.ridges) > 1 and s == 2 and len(set(strength)) == 1:
            # An eigenspace: its vector closest to (1, .., 1) is spread over the tokens.
            for _, a in tensor.ridges:
                entries = {l: float(enclose(x).mid()) for l, x in a}
                share = sum(entries.values()) / sum(x * x for x in entries.values())
                for l, x in entries.items():
                    v[l - 1] += share * x
        if not v.any():
            for l, x in direction:
                v[l - 1] = flip * float(enclose(x).mid())
        return v / np.linalg.norm(v)
    labels = tokens_of_tensor(tensor.entries)
    if s == 1:
        for ((l, _),), value in tensor.entries.items():
            v[l - 1] = sign * float(enclose(value).mid())
        return v / np.linalg.norm(v)
    with working_precision(128):
        weights = {
            a: enclose(value) * (sign * math.factorial(s) // factorial(a)) for a, value in tensor.entries.items()
        }
    best = largest_found(Form.of(weights, labels), 1)[1]
    v[[l - 1 for l in labels]] = best
    return v


def common_classes(target: Target, vector: FloatArray) -> list[list[int]]:
    """Equivalent tokens with equal overlaps, up to the rounding of the start."""
    classes = []
    for members in equivalent_tokens(target):
        groups: dict[float, list[int]] = {}
        for l in members:
            groups.setdefault(float(f"{vector[l - 1]:.11e}"), []).append(l)
        classes += list(groups.values())
    return sorted(classes)


def drift_function(
    loss: NetworkLoss, rate: float = 0.0, noise: str = "exact", sphere: str = "token"
) -> Callable[[float, Any], Any]:
    """The right-hand side (t, statistics) -> d statistics / dt on floats.  `noise` is "exact" or "start"."""
    if noise not in ("exact", "start"):
        raise SieSymError(f"unknown noise {noise!r}: choose exact, V(m), or start, V(0)")
    variance = sp.Integer(0) if rate == 0 else loss.noise() if noise == "exact" else loss.start_noise()
    terms = [loss.expression, variance]
    free = set().union(*(term.free_symbols for term in terms)) - set(loss.statistics)
    if free:
        raise SieSymError(f"the drift still depends on {', '.join(sorted(map(str, free)))}: give values")
    drifts = [_evaluated(drift) for drift in loss.drift(sp.Float(rate), _evaluated(variance), sphere)]
    fields = scalar_function(loss.statistics, drifts)
    return lambda t, state: fields(*state)


def _evaluated(expression: sp.Expr) -> sp.Expr:
    """The constants that are Gaussian integrals without closed form (tanh, softplus, ...), as floats."""
    integrals = expression.atoms(GaussianExpectation)
    return expression.xreplace({integral: sp.Float(float(enclose(integral, 64).mid())) for integral in integrals})


def recovery_time(
    loss: NetworkLoss,
    start: Sequence[float],
    eta: float,
    *,
    rate: float = 0.0,
    noise: str = "exact",
    sphere: str = "token",
    time: float | None = None,
    rtol: float = 1e-10,
) -> float:
    """The first t with |m| >= eta (tied) or |m_vec| >= eta sqrt(L) (untied); inf if the drift never gets there.

    `start` has one number a statistic.  Raises `SieSymError` if after `time` the overlap is still growing.
    """
    field = drift_function(loss, rate, noise, sphere)
    sizes = np.array([1.0] if loss.tied else [float(len(members)) for members in loss.classes])
    threshold = eta if loss.tied else eta * math.sqrt(loss.tokens)

    def excess(state: FloatArray) -> float:
        return float(np.sqrt((sizes * state**2).sum())) - threshold

    state = np.array(start, dtype=np.float64)
    if excess(state) >= 0:
        return 0.0
    speed = float(np.abs(field(0.0, state.tolist())).max())
    if speed == 0:
        return math.inf
    horizon = _horizon(field, state, speed) if time is None else time
    smallest = float(np.abs(state[state != 0]).min(initial=1.0))
    end, state, ended = until(field, state, horizon, excess, rtol, max(1e-3 * rtol * smallest, 1e-140))
    if ended == RECOVERY:
        return end
    velocity = np.asarray(field(end, state.tolist()))
    growth = float((sizes * state * velocity).sum()) / max(float((sizes * state**2).sum()), 1e-300)
    if growth * end > 1e-3 and (state != 0).any() and float(np.abs(velocity).max()) * end > 1e-9:
        raise SieSymError(f"no weak recovery up to t = {end:g}, but the overlaps still grow: pass a longer time")
    return math.inf


def _horizon(field: Callable[[float, Any], Any], state: FloatArray, speed: float) -> float:
    """A generous multiple of the time to order 1: 1, m0 log(1/m0) or m0 over the speed at m0, for s = 1, 2, >= 3."""
    doubled = float(np.abs(field(0.0, (2 * state).tolist())).max())
    size = float(np.abs(state).max())
    return 1e4 * (1.0 if doubled < 1.5 * speed else size * (1 + math.log(1 / size))) / speed


def critical_rate(loss: NetworkLoss, start: float, eta: float, noise: str = "exact") -> float:
    """The learning rate at which a drift with one statistic first stops between `start` and the threshold.

    Below it weak recovery happens from `start`, at and above it never: min over m in [start, eta] of
    2 (drift at rate 0) / (m V(m)), times L for the untied network.  0 if the drift without noise already stops.
    """
    if len(loss.statistics) != 1:
        raise SieSymError(
            f"{len(loss.statistics)} statistics: a critical rate is that of one; start with equal overlaps"
        )
    if not 0 < start < eta <= 1:
        raise SieSymError(f"start {start} and threshold {eta}: give 0 < start < eta <= 1")
    (m,) = loss.statistics
    variance = loss.noise() if noise == "exact" else loss.start_noise()
    share = 1 if loss.tied else loss.tokens
    limit = scalar_function([m], [_evaluated(2 * share * loss.drift()[0] / m), _evaluated(variance)])

    def rate(x: float) -> float:
        speed, spread = limit(x)
        return speed / spread if spread > 0 else math.inf

    from scipy.optimize import minimize_scalar

    grid = np.geomspace(start, eta, 400)
    values = np.array([rate(float(x)) for x in grid])
    best = int(values.argmin())
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(rate, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    return max(0.0, min(float(values[best]), float(refined.fun)))


__all__ = [
    "RecoveryTimes",
    "common_classes",
    "critical_rate",
    "drift_function",
    "leading_direction",
    "recovery_time",
    "recovery_times",
    "start_vector",
]
