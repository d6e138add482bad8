r"""SGD at any dimension: the exact reduced chain over many replicas, and the d-dimensional SGD it equals in law.

One-pass spherical SGD, w <- w - gamma grad |y - f_w(X)|^2 (no factor 1/2; averaged over a batch), then
|w|^2 = d (arXiv:2506.02651, Assumption 2 and App. C).  Time is t = gamma step / d.  Replicas run in blocks
of fixed size, each with its own random draws, so that results depend on the seed, the engine and `block`,
but not on the number of workers, on checkpoints, or on how often progress is reported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from threading import Event

import numpy as np

from sie_sym.errors import SieSymError
from sie_sym.simulation.chain import Advance, chains, normal_rows, numpy_advance, recovery_norm
from sie_sym.simulation.chain_compiled import numba_advance
from sie_sym.simulation.checkpoint import fingerprint, load, save
from sie_sym.simulation.fields import Array, Fields
from sie_sym.simulation.replicas import (
    Block,
    Engine,
    SGDResult,
    SGDSettings,
    block_size,
    new_block,
    step_constants,
    summary,
    whole,
)

__all__ = ["SGDResult", "SGDSettings", "plain_sgd", "plain_step", "run_sgd"]

_WORTH_A_STOP = 1 << 24  # normals between two stops of all workers, a fraction of a second
_STEPS_TO_A_STOP = 20_000  # a second or so of few replicas: what a checkpoint waits for
_MOST_STOPS = 1_000_000
_DRAWS = 1 << 16  # normals drawn at once: they stay in the second-level cache


def run_sgd(
    fields: Fields,
    settings: SGDSettings,
    engine: Engine = "numpy",
    workers: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> SGDResult:
    r"""Replicas of SGD through their overlaps alone, exact in law at any d; O(L) a step (theory section 6).

    `workers` threads share the blocks.  `checkpoint` names a file that is rewritten at most every
    `checkpoint_seconds` and at the end; if it exists the run continues from it, to the same bits as without
    the interruption.  `progress(step, steps)` is called every 20 000 steps or more often, and at the
    recorded steps; what it raises stops the run.

    Precision: an overlap x moves by increments of order gamma/d, each rounded at 1e-16 |x| without bias.
    Where gamma/d is itself below 1e-16 an overlap of order one stands still: take a larger rate.

    Raises `SieSymError` for a start outside the ball, d < r + 3, or the checkpoint of another run;
    `MissingExtra` without numba for engine "numba".  Warns (`RuntimeWarning`) when replicas diverged.

    >>> fields = Fields.of_callables(1, lambda z: z, lambda z: z, lambda z: np.ones((1, *z.shape)))
    >>> result = run_sgd(fields, SGDSettings(10**9, 0.1, 3, 50, seed=1, start=(0.5,), record=2))
    >>> bool(abs(result.m_mean[-1] - 0.5) < 1e-8)  # three steps move m by about 3 gamma/d
    True
    """
    workers = whole("workers", workers, 1)
    constants = step_constants(fields, settings)
    if engine not in ("numpy", "numba"):
        raise SieSymError(f"unknown engine {engine!r}: choose numpy or numba")
    advance = (numba_advance if engine == "numba" else numpy_advance)(fields, constants)
    blocks = [
        new_block(fields, settings, index, engine) for index in range(-(-settings.runs // block_size(fields, settings)))
    ]
    recorded = settings.recorded_steps
    positions = {int(step): position for position, step in enumerate(recorded)}
    work = settings.steps * settings.runs * normal_rows(fields, settings.batch)
    parts = max(1, min(100, work // _WORTH_A_STOP), min(_MOST_STOPS, settings.steps // _STEPS_TO_A_STOP))
    stops = np.unique(np.concatenate((recorded, np.linspace(0, settings.steps, parts + 1).astype(np.int64))))
    step = 0
    path = Path(checkpoint) if checkpoint is not None else None
    identity = fingerprint(fields, astuple(settings), engine) if path else ""
    if path and not path.absolute().parent.is_dir():
        raise SieSymError(f"the checkpoint {path} lies in no existing directory: create it first")
    if path and path.exists():
        step = load(path, identity, blocks)
    else:
        for block in blocks:
            block.note(0)
    saved = time.monotonic()
    ended = Event()
    with ThreadPoolExecutor(workers) as pool, _set_at_the_end(ended):
        for stop in map(int, stops[stops > step]):
            first, count = step, stop - step

            def go(block: Block, first: int = first, count: int = count) -> None:
                _run_block(fields, settings, advance, block, first, count, ended)

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
    return summary(fields, settings, blocks)


@contextmanager
def _set_at_the_end(event: Event) -> Iterator[None]:
    """The pool waits for its threads, also on Ctrl-C: they watch this event."""
    try:
        yield
    finally:
        event.set()


def _run_block(
    fields: Fields, settings: SGDSettings, advance: Advance, block: Block, step: int, count: int, ended: Event
) -> None:
    # Draws are consumed in the order of the steps: how many are made at once changes nothing.
    rows, columns, runs = normal_rows(fields, settings.batch), chains(fields), block.m.shape[1]
    chunk = max(1, min(count, _DRAWS // (rows * runs)))
    normals, lengths = np.empty((chunk, rows, runs)), np.empty((chunk, columns, runs))
    for start in range(0, count, chunk):
        if ended.is_set():
            return
        size = min(chunk, count - start)
        block.draws.fill(step + start, normals[:size], lengths[:size])
        advance(block.m, block.eps, block.recovery, normals[:size], lengths[:size], step + start)


def plain_step(
    fields: Fields, weights: Array, frame: Array, sample: Array, rate: float, loss: str = "squared"
) -> Array:
    r"""One step of SGD on the weights themselves: w (d,), or W (L, d) when untied; returns the new weights.

    `frame` holds w*, u_1, ..., u_r as rows (1 + r, d), of Gram matrix d `fields.gram`; `sample` is the
    batch X, (B, L, d), entries N(0, 1/d).  Only `fields` is shared with the reduced chain.
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

    The directions (w*, u_1, ..., u_r) are random, of the Gram matrix of the fields; the result is like `run_sgd`'s.
    """
    step_constants(fields, settings)
    dimension, rank, columns = settings.dimension, fields.rank, chains(fields)
    block = new_block(fields, replace(settings, block=settings.runs), 0, "numpy")
    recorded = {int(step): position for position, step in enumerate(settings.recorded_steps)}
    paths = np.empty((len(recorded), columns + rank, settings.runs))
    for run in range(settings.runs):
        rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(run, 3)))
        frame = np.linalg.qr(rng.standard_normal((dimension, 1 + rank)))[0].T * np.sqrt(dimension)
        directions = fields.basis @ frame  # w*, u_1, ..., u_r; the frame is orthogonal
        start = np.concatenate((block.m[:, run : run + 1], np.broadcast_to(block.eps[:, run], (columns, rank))), 1)
        weights = start @ frame
        rest = rng.standard_normal((columns, dimension))
        rest -= rest @ frame.T @ frame / dimension
        room = np.maximum(dimension - (weights**2).sum(axis=1, keepdims=True), 0.0)
        weights += rest * np.sqrt(room / (rest**2).sum(axis=1, keepdims=True))
        weights = weights if fields.untied else weights[0]
        for step in range(settings.steps + 1):
            if step:
                sample = rng.standard_normal((settings.batch, fields.tokens, dimension)) / np.sqrt(dimension)
                weights = plain_step(fields, weights, directions, sample, settings.rate, settings.loss)
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
    return summary(fields, settings, [block])
