"""What an SGD run is told, the replicas it moves, and what it reports of them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import SieSymError
from sie_sym.simulation.chain import StepConstants, chains, normal_rows, recovery_norm
from sie_sym.simulation.draws import Draws, StreamDraws, stream
from sie_sym.simulation.draws_compiled import CounterDraws
from sie_sym.simulation.fields import Array, Fields

Engine = Literal["numpy", "numba"]
_LARGEST_DIMENSION = 10**15
_KEPT, _KEPT_NUMBERS = 512, 2_000_000
"""Replicas, and numbers altogether, whose trajectories are kept."""


@dataclass(frozen=True)
class SGDSettings:
    r"""What is run: `runs` replicas of `steps` steps at learning rate `rate` (gamma) in dimension `dimension` (d).

    `loss` is "squared", |y - f|^2, or "frobenius", |y - f|.  `start` is (m, eps_1, ..., eps_r), (m_1, ...,
    m_L) or one m for all when untied, or None: uniform on the sphere, each overlap about N(0, 1/d).
    `record` times, equally spaced and including both ends, are reported.  `threshold` is the eta of weak
    recovery (Def. 1).  `block` is how many replicas share their random draws, by default as many as stay in
    the cache.

    Raises `SieSymError` for a value out of its domain.
    """

    dimension: int
    rate: float
    steps: int
    runs: int
    seed: int
    batch: int = 1
    loss: Literal["squared", "frobenius"] = "squared"
    start: tuple[float, ...] | None = None
    record: int = 101
    threshold: float | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("dimension", 3), ("steps", 0), ("runs", 1), ("seed", 0), ("batch", 1), ("record", 2), ("block", 1)
        ):  # fmt: skip
            if name == "block" and self.block is None:
                continue
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if self.dimension > _LARGEST_DIMENSION:
            raise SieSymError(
                f"dimension {self.dimension} is beyond 10^15: updates of order rate/d would be lost to float64 "
                "rounding; choose a smaller dimension, or integrate the flow"
            )
        for name in ("rate", "threshold"):
            value = getattr(self, name)
            if not ((value is None and name == "threshold") or (math.isfinite(value) and value > 0)):
                raise SieSymError(f"{name} is {value}: choose a finite number above 0")
        if self.loss not in ("squared", "frobenius"):
            raise SieSymError(f"unknown loss {self.loss!r}: choose squared or frobenius")
        if self.start is not None:
            start = tuple(float(value) for value in self.start)
            if not all(map(math.isfinite, start)):
                raise SieSymError(f"start {start} is not finite: give one number a statistic")
            object.__setattr__(self, "start", start)

    @property
    def recorded_steps(self) -> NDArray[np.int64]:
        """The steps at which means and deviations are recorded, 0 and `steps` among them."""
        return np.unique(np.round(np.linspace(0, self.steps, self.record)).astype(np.int64))


@dataclass(frozen=True, eq=False)
class SGDResult:
    r"""Statistics over replicas at the recorded steps (T of them), and each replica's end.

    `m_mean`, `m_std` (T,), or (T, L) when untied; `eps_mean`, `eps_std` (T, r); standard deviations of the
    population of replicas (no n - 1).  `m` (runs,) or (runs, L) and `eps` (runs, r) are the final states.
    `recovery_step` (runs,) is the first step with |(e, m)| >= threshold (|m_vec| >= threshold sqrt L when
    untied), -1 if never; `recovered` the fraction that did, `recovery_step_median` over all replicas, None
    unless more than half did; both None without a threshold.  `diverged` replicas ended as nan and are left
    out of the means from then on.  `paths` (T, columns of m and eps, kept) are the trajectories of the first
    replicas: 512 of them, or fewer if very many steps are recorded.
    """

    settings: SGDSettings
    steps: NDArray[np.int64]
    m_mean: Array
    m_std: Array
    eps_mean: Array
    eps_std: Array
    m: Array
    eps: Array
    recovery_step: NDArray[np.int64]
    recovered: float | None
    recovery_step_median: float | None
    diverged: int
    paths: Array

    @property
    def time(self) -> Array:
        """t = gamma step / d at the recorded steps."""
        return np.asarray(self.steps * (self.settings.rate / self.settings.dimension), dtype=np.float64)


@dataclass
class Block:
    """R replicas, their random draws, and the moments recorded so far: (T, c + r), over the finite replicas."""

    m: Array
    eps: Array
    recovery: NDArray[np.int64]
    draws: Draws
    count: Array
    mean: Array
    scatter: Array
    paths: Array
    basis: Array | None = None

    @property
    def overlaps(self) -> Array:
        """(m, eps), (c + r, R): `basis` times the state, which is in orthonormal directions (`Fields.basis`)."""
        states = np.concatenate((self.m, self.eps))
        return states if self.basis is None else np.asarray(self.basis @ states)

    def note(self, position: int) -> None:
        """Record the moments of the present states, and the states of the replicas kept, as the `position`-th."""
        states = self.overlaps
        self.paths[position] = states[:, : self.paths.shape[2]]
        states = states[:, np.isfinite(states).all(axis=0)]
        self.count[position] = states.shape[1]
        if states.shape[1]:
            mean = states.mean(axis=1)
            self.mean[position] = mean
            self.scatter[position] = ((states - mean[:, None]) ** 2).sum(axis=1)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that a checkpoint keeps besides the draws."""
        names = ("m", "eps", "recovery", "count", "mean", "scatter", "paths")
        return {name: getattr(self, name) for name in names}


def block_size(fields: Fields, settings: SGDSettings) -> int:
    """Replicas in a block: the one asked for, or a power of two whose draws of one step stay in the cache."""
    if settings.block is not None:
        return settings.block
    room = max(1, 65536 // normal_rows(fields, settings.batch))
    return max(64, min(2048, 1 << (room.bit_length() - 1)))


def new_block(fields: Fields, settings: SGDSettings, index: int, engine: Engine) -> Block:
    """The `index`-th block at its start: fixed, or uniform on the sphere."""
    size = block_size(fields, settings)
    runs = min(size, settings.runs - index * size)
    rank, columns = fields.rank, chains(fields)
    shape = 0.5 * (settings.dimension - 2 - rank)
    draws: Draws = (
        CounterDraws(settings.seed, index * size, shape)
        if engine == "numba"
        else StreamDraws(settings.seed, index, shape)
    )
    if settings.start is not None:
        begin_at = _orthonormal_start(fields, settings.start)
        m, eps = (np.repeat(part[:, None], runs, axis=1) for part in np.split(begin_at, [len(begin_at) - rank]))
        if fields.untied and m.shape[0] == 1:
            m = np.repeat(m, columns, axis=0)
    else:
        begin = stream(settings.seed, index, 2)
        states = begin.standard_normal((columns * (1 + rank), runs))
        rest = 2.0 * begin.standard_gamma(0.5 * (settings.dimension - 1 - rank), (columns, runs))
        # columns > 1 only without encoding: each row is then a chain of its own
        square = (states**2).reshape(columns, 1 + rank, runs).sum(axis=1)
        states /= np.repeat(np.sqrt(square + rest), 1 + rank, axis=0)
        m, eps = states[:columns].copy(), states[columns:].copy()
    recovery = np.full(runs, -1, dtype=np.int64)
    if settings.threshold is not None:
        recovery[recovery_norm(fields, m, eps) >= settings.threshold**2] = 0
    times = len(settings.recorded_steps)
    count, moments = np.zeros(times), np.full((2, times, columns + rank), np.nan)
    basis = None if fields.orthonormal else fields.basis
    kept = max(1, min(_KEPT, _KEPT_NUMBERS // (times * (columns + rank))))
    paths = np.full((times, columns + rank, max(0, min(runs, kept - index * size))), np.nan)
    return Block(m, eps, recovery, draws, count, moments[0], moments[1], paths, basis)


def _orthonormal_start(fields: Fields, start: tuple[float, ...]) -> Array:
    """sigma = A^{-1} (m, eps); overlaps of an untied network stay as they are."""
    point = np.array(start)
    return point if fields.orthonormal else np.asarray(np.linalg.solve(fields.basis, point))


def step_constants(fields: Fields, settings: SGDSettings) -> StepConstants:
    """The constants of a run; raises `SieSymError` where settings and fields do not fit each other."""
    rank = fields.rank
    if settings.dimension < rank + 3:
        raise SieSymError(
            f"dimension {settings.dimension} leaves no room beside the target and {rank} encoding direction(s): "
            f"choose {rank + 3} or more"
        )
    if settings.start is not None:
        start, wanted = settings.start, 1 + rank
        if len(start) not in ((1, fields.tokens) if fields.untied else (wanted,)):
            expected = f"1 or {fields.tokens}" if fields.untied else f"{wanted}"
            raise SieSymError(f"start {start} has {len(start)} entries: give {expected}, one a statistic")
        length = max(map(abs, start)) if fields.untied else math.hypot(*_orthonormal_start(fields, start))
        if length > 1.0 + (0.0 if fields.orthonormal else 1e-12):
            where = "the unit ball" if fields.orthonormal else "s^T Gamma^{-1} s <= 1, Gamma the Gram matrix"
            raise SieSymError(f"start {start} has length {length}: overlaps lie in {where}")
    threshold = math.inf if settings.threshold is None else settings.threshold**2
    gain = settings.rate / (float(settings.dimension) * settings.batch)
    return StepConstants(gain, settings.batch, settings.loss == "frobenius", threshold)


def summary(fields: Fields, settings: SGDSettings, blocks: list[Block]) -> SGDResult:
    """The blocks' moments and final states as one result, in the order of the blocks."""
    count = np.array([block.count for block in blocks])[:, :, None]
    means = np.where(count > 0, np.array([block.mean for block in blocks]), 0.0)
    scatters = np.where(count > 0, np.array([block.scatter for block in blocks]), 0.0)
    with np.errstate(invalid="ignore"):  # every replica diverged: 0/0, nan
        total = count.sum(axis=0)
        mean = (count * means).sum(axis=0) / total
        spread = scatters.sum(axis=0) + (count * (means - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(spread / total)
    columns = chains(fields)
    states = np.concatenate([block.overlaps for block in blocks], axis=1)
    m, eps = states[:columns], states[columns:]
    diverged = int((~np.isfinite(states).all(axis=0)).sum())
    if diverged:
        warnings.warn(
            f"{diverged} of {settings.runs} replicas diverged (nan): lower the rate {settings.rate}, or check "
            "that target and model are finite",
            RuntimeWarning,
            stacklevel=3,
        )
    recovery = np.concatenate([block.recovery for block in blocks])
    fraction = median = None
    if settings.threshold is not None:
        fraction = float((recovery >= 0).mean())
        middle = float(np.median(np.where(recovery >= 0, recovery, np.inf)))
        median = middle if math.isfinite(middle) else None
    m_mean, m_std = mean[:, :columns], deviation[:, :columns]
    if not fields.untied:
        m_mean, m_std, m = m_mean[:, 0], m_std[:, 0], m[:1]
    return SGDResult(
        settings,
        settings.recorded_steps,
        m_mean,
        m_std,
        mean[:, columns:],
        deviation[:, columns:],
        m.T if fields.untied else m[0],
        eps.T,
        recovery,
        fraction,
        median,
        diverged,
        np.concatenate([block.paths for block in blocks], axis=2),
    )


def whole(name: str, value: Any, least: int) -> int:
    """An integer, or a float that is one (1e9), at least `least`."""
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        raise SieSymError(f"{name} is {value!r}: choose an integer") from None
    if whole != value or whole < least:
        raise SieSymError(f"{name} is {value}: choose an integer of at least {least}")
    return whole
