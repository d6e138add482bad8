r"""SGD at any dimension: the exact reduced chain over many replicas, and the d-dimensional SGD it equals in law.

One-pass spherical SGD, w <- w - gamma grad |y - f_w(X)|^2 (no factor 1/2; averaged over a batch), then |w|^2 = d
(arXiv:2506.02651, Assumption 2 and App. C).  Time is t = gamma step / d.  Replicas run in blocks of fixed size, each
with its own random draws, so that results depend on the seed, the engine and `block`, but not on the number of
workers, on checkpoints, or on how often progress is reported.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sie_sym.chain import Advance, StepConstants, chains, normal_rows, numpy_advance, recovery_norm
from sie_sym.chain_compiled import numba_advance
from sie_sym.checkpoint import fingerprint, load, save
from sie_sym.draws import Draws, StreamDraws, stream
from sie_sym.draws_compiled import CounterDraws
from sie_sym.errors import SieSymError
from sie_sym.fields import Array, Fields

Engine = Literal["numpy", "numba"]
_LARGEST_DIMENSION = 10**15
_DRAWS = 1 << 16  # normals drawn at once: they stay in the second-level cache


@dataclass(frozen=True)
class SGDSettings:
    r"""What is run: `runs` replicas of `steps` steps at learning rate `rate` (gamma) in dimension `dimension` (d).

    `loss` is "squared", |y - f|^2, or "frobenius", |y - f|.  `start` is (m, eps_1, ..., eps_r), (m_1, ..., m_L) or
    one m for all when untied, or None: uniform on the sphere, each overlap about N(0, 1/d).  `record` times, equally
    spaced and including both ends, are reported.  `threshold` is the eta of weak recovery (Def. 1).

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
    block: int = 2048

    def __post_init__(self) -> None:
        for name, least in (
            ("dimension", 3), ("steps", 0), ("runs", 1), ("seed", 0), ("batch", 1), ("record", 2), ("block", 1)
        ):  # fmt: skip
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if self.dimension > _LARGEST_DIMENSION:
            raise SieSymError(
                f"dimension {self.dimension} is beyond 10^15: updates of order rate/d would be lost to float64 rounding; "
                "choose a smaller dimension, or integrate the flow"
            )
        for name in ("rate", "threshold"):
            value = getattr(self, name)
            if not (value is None and name == "threshold" or math.isfinite(value) and value > 0):
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

    `m_mean`, `m_std` (T,), or (T, L) when untied; `eps_mean`, `eps_std` (T, r); standard deviations of the population
    of replicas (no n - 1).  `m` (runs,) or (runs, L) and `eps` (runs, r) are the final states.  `recovery_step` (runs,)
    is the first step with |(e, m)| >= threshold (|m_vec| >= threshold sqrt L when untied), -1 if never;
    `recovered` the fraction that did, `recovery_step_median` over all replicas, None unless more than half did; both
    None without a threshold.  `diverged` replicas ended as nan and are left out of the means from then on.
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

    @property
    def time(self) -> Array:
        """t = gamma step / d at the recorded steps."""
        return self.settings.rate / self.settings.dimension * self.steps


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

    def note(self, position: int) -> None:
        states = np.concatenate((self.m, self.eps))
        states = states[:, np.isfinite(states).all(axis=0)]
        self.count[position] = states.shape[1]
        if states.shape[1]:
            mean = states.mean(axis=1)
            self.mean[position] = mean
            self.scatter[position] = ((states - mean[:, None]) ** 2).sum(axis=1)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        names = ("m", "eps", "recovery", "count", "mean", "scatter")
        return {name: getattr(self, name) for name in names}


def run_sgd(
    fields: Fields,
    settings: SGDSettings,
    engine: Engine = "numpy",
    workers: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> SGDResult:
    r"""Replicas of SGD through their overlaps alone, exact in law at any d; O(L) a step whatever d is.

    `workers` threads share the blocks.  `checkpoint` names a file that is rewritten at most every
    `checkpoint_seconds` and at the end; if it exists the run continues from it, to the same bits as without the
    interruption.  `progress(step, steps)` is called about a hundred times; what it raises stops the run.

    Precision: an overlap x moves by increments of order gamma/d; float64 rounds each at 1e-16 |x|, unbiased.

    Raises `SieSymError` for a start outside the ball, d < r + 3, or the checkpoint of another run; `MissingExtra`
    without numba for engine "numba".  Warns (`RuntimeWarning`) when replicas diverged.

    >>> fields = Fields.of_callables(1, lambda z: z, lambda z: z, lambda z: np.ones((1, *z.shape)))
    >>> result = run_sgd(fields, SGDSettings(10**9, 0.1, 3, 50, seed=1, start=(0.5,), record=2))
    >>> bool(abs(result.m_mean[-1] - 0.5) < 1e-8)  # three steps move m by about 3 gamma/d
    True
    """
    workers = _whole("workers", workers, 1)
    constants = _constants(fields, settings)
    if engine not in ("numpy", "numba"):
        raise SieSymError(f"unknown engine {engine!r}: choose numpy or numba")
    advance = (numba_advance if engine == "numba" else numpy_advance)(fields, constants)
    blocks = [
        _new_block(fields, settings, index, engine) for index in range(-(-settings.runs // settings.block))
    ]
    recorded = settings.recorded_steps
    positions = {int(step): position for position, step in enumerate(recorded)}
    stops = np.unique(np.concatenate((recorded, np.linspace(0, settings.steps, 101).astype(np.int64))))
    step = 0
    path = Path(checkpoint) if checkpoint is not None else None
    identity = fingerprint(fields, astuple(settings), engine) if path else ""
    if path and path.exists():
        step = load(path, identity, blocks)
    else:
        for block in blocks:
            block.note(0)
    saved = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        for stop in map(int, stops[stops > step]):
            first, count = step, stop - step

            def go(block: Block, first: int = first, count: int = count) -> None:
                _run_block(fields, settings, advance, block, first, count)

            list(pool.map(go, blocks))
            step = stop
            if step in positions:
                for block in blocks:
                    block.note(positions[step])
            if path and (step == settings.steps or time.monotonic() - saved >= checkpoint_seconds):
                save(path, identity, step, blocks)
                saved = time.monotonic()
            if progress is not None:
                progress(step, settings.steps)
    return _result(fields, settings, blocks)


def _run_block(
    fields: Fields, settings: SGDSettings, advance: Advance, block: Block, step: int, count: int
) -> None:
    # Draws are consumed in the order of the steps: how many are made at once changes nothing.
    rows, columns, runs = normal_rows(fields, settings.batch), chains(fields), block.m.shape[1]
    chunk = max(1, min(count, _DRAWS // (rows * runs)))
    normals, lengths = np.empty((chunk, rows, runs)), np.empty((chunk, columns, runs))
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        block.draws.fill(step + start, normals[:size], lengths[:size])
        advance(block.m, block.eps, block.recovery, normals[:size], lengths[:size], step + start)


def _new_block(fields: Fields, settings: SGDSettings, index: int, engine: Engine) -> Block:
    runs = min(settings.block, settings.runs - index * settings.block)
    rank, columns = fields.rank, chains(fields)
    shape = 0.5 * (settings.dimension - 2 - rank)
    draws: Draws = (
        CounterDraws(settings.seed, index * settings.block, shape)
        if engine == "numba"
        else StreamDraws(settings.seed, index, shape)
    )
    if settings.start is not None:
        m = np.repeat(np.array(settings.start[: len(settings.start) - rank])[:, None], runs, axis=1)
        if fields.untied and m.shape[0] == 1:
            m = np.repeat(m, columns, axis=0)
        eps = np.repeat(np.array(settings.start[len(settings.start) - rank :])[:, None], runs, axis=1)
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
    return Block(m, eps, recovery, draws, count, moments[0], moments[1])


def _constants(fields: Fields, settings: SGDSettings) -> StepConstants:
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
        length = max(map(abs, start)) if fields.untied else math.hypot(*start)
        if length > 1.0:
            raise SieSymError(f"start {start} has length {length}: overlaps lie in the unit ball")
    threshold = math.inf if settings.threshold is None else settings.threshold**2
    gain = settings.rate / (float(settings.dimension) * settings.batch)
    return StepConstants(gain, settings.batch, settings.loss == "frobenius", threshold)


def _result(fields: Fields, settings: SGDSettings, blocks: list[Block]) -> SGDResult:
    count = np.array([block.count for block in blocks])[:, :, None]
    means = np.where(count > 0, np.array([block.mean for block in blocks]), 0.0)
    scatters = np.where(count > 0, np.array([block.scatter for block in blocks]), 0.0)
    with np.errstate(invalid="ignore"):  # every replica diverged: 0/0, nan
        total = count.sum(axis=0)
        mean = (count * means).sum(axis=0) / total
        spread = scatters.sum(axis=0) + (count * (means - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(spread / total)
    columns = chains(fields)
    m = np.concatenate([block.m for block in blocks], axis=1)
    eps = np.concatenate([block.eps for block in blocks], axis=1)
    diverged = int((~np.isfinite(np.concatenate((m, eps))).all(axis=0)).sum())
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
    )


def _whole(name: str, value: Any, least: int) -> int:
    """An integer, or a float that is one (1e9), at least `least`."""
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        raise SieSymError(f"{name} is {value!r}: choose an integer") from None
    if whole != value or whole < least:
        raise SieSymError(f"{name} is {value}: choose an integer of at least {least}")
    return whole


def plain_step(
    fields: Fields, weights: Array, frame: Array, sample: Array, rate: float, loss: str = "squared"
) -> Array:
    r"""One step of SGD on the weights themselves: w (d,), or W (L, d) when untied; returns the new weights.

    `frame` holds w*, u_1, ..., u_r as rows (1 + r, d), orthogonal and of squared length d; `sample` is the batch X,
    (B, L, d), entries N(0, 1/d).  Only `fields` is shared with the reduced chain.
    """
    dimension = weights.shape[-1]
    inputs = sample + fields.encoding @ frame[1:] / dimension
    z = np.einsum("bld,ld->lb" if fields.untied else "bld,d->lb", inputs, weights)
    goals = fields.target(np.ascontiguousarray((sample @ frame[0]).T))
    delta, error = fields.response(goals, fields.read(z))
    if loss == "frobenius":
        delta = np.divide(delta, 2 * np.sqrt(error), out=np.zeros_like(delta), where=error > 0)
    if fields.summed:
        delta = np.repeat(delta / np.sqrt(fields.tokens), fields.tokens, axis=0)
    gradient = np.einsum("lb,bld->ld" if fields.untied else "lb,bld->d", delta, inputs) / len(sample)
    moved = weights - rate * gradient
    return np.asarray(moved * np.sqrt(dimension / (moved**2).sum(axis=-1, keepdims=True)))


def plain_sgd(fields: Fields, settings: SGDSettings) -> SGDResult:
    """SGD on d-dimensional weights, one replica after another: slow, and what `run_sgd` must equal in law.

    The frame (w*, u_1, ..., u_r) is random; the result has the same fields as `run_sgd`'s.
    """
    _constants(fields, settings)
    dimension, rank, columns = settings.dimension, fields.rank, chains(fields)
    block = _new_block(fields, SGDSettings(**{**settings.__dict__, "block": settings.runs}), 0, "numpy")
    recorded = {int(step): position for position, step in enumerate(settings.recorded_steps)}
    paths = np.empty((len(recorded), columns + rank, settings.runs))
    for run in range(settings.runs):
        rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(run, 3)))
        frame = np.linalg.qr(rng.standard_normal((dimension, 1 + rank)))[0].T * np.sqrt(dimension)
        start = np.concatenate(
            (block.m[:, run : run + 1], np.broadcast_to(block.eps[:, run], (columns, rank))), 1
        )
        weights = start @ frame
        rest = rng.standard_normal((columns, dimension))
        rest -= rest @ frame.T @ frame / dimension
        room = np.maximum(dimension - (weights**2).sum(axis=1, keepdims=True), 0.0)
        weights += rest * np.sqrt(room / (rest**2).sum(axis=1, keepdims=True))
        weights = weights if fields.untied else weights[0]
        for step in range(settings.steps + 1):
            if step:
                sample = rng.standard_normal((settings.batch, fields.tokens, dimension)) / np.sqrt(dimension)
                weights = plain_step(fields, weights, frame, sample, settings.rate, settings.loss)
            overlaps = np.atleast_2d(weights) @ frame.T / dimension
            state = np.concatenate((overlaps[:, 0], overlaps[0, 1:]))
            if step in recorded:
                paths[recorded[step], :, run] = state
            if settings.threshold is not None and block.recovery[run] < 0:
                norm = recovery_norm(fields, state[:columns, None], state[columns:, None])[0]
                block.recovery[run] = step if norm >= settings.threshold**2 else -1
    for position, states in enumerate(paths):
        block.m, block.eps = states[:columns], states[columns:]
        block.note(position)
    return _result(fields, settings, [block])
