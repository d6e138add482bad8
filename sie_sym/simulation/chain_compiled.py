r"""The chain of `chain` in machine code, by numba: given the same draws it agrees replica by replica to rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import NoClosedForm
from sie_sym.simulation.chain import Advance, StepConstants, recovery_form
from sie_sym.simulation.draws_compiled import compiled, numba_or_missing
from sie_sym.simulation.fields import Array, Fields

_TINY = 1e-300


class _Constants(NamedTuple):
    """`StepConstants` in the order in which the kernels unpack them, with the encoding and the Gram matrix."""

    columns: Array
    gram: Array
    batch: int
    gain: float
    frobenius: bool
    threshold: float


def numba_advance(fields: Fields, constants: StepConstants) -> Advance:
    """The compiled chain; a first call takes seconds, the same fields never compile twice.

    Raises `MissingExtra` without numba, and `NoClosedForm` for fields without a scalar form that compiles.
    """
    if fields.scalar_target is None or fields.scalar_response is None:
        raise NoClosedForm(
            "the numba engine needs scalar forms of g and phi but these fields are plain array functions: "
            "build them with fields_of from formulas, or use engine='numpy'"
        )
    functions = fields.scalar_target, fields.scalar_response
    kernel = _kernel(fields.untied, *functions, fields.tokens, fields.inputs, fields.rank)
    fixed = _Constants(
        columns=np.ascontiguousarray(fields.read(fields.frame_encoding)),
        gram=recovery_form(fields),
        batch=constants.batch,
        gain=constants.gain,
        frobenius=constants.frobenius,
        threshold=constants.threshold_squared,
    )

    def advance(m: Array, eps: Array, recovery: NDArray[np.int64], normals: Array, lengths: Array, step: int) -> None:
        try:
            kernel(m, eps, recovery, normals, lengths, step, fixed)
        except numba_or_missing().core.errors.NumbaError as error:
            raise NoClosedForm(
                "numba cannot compile these functions (special functions beyond erf have no machine code): use "
                f"engine='numpy' ({str(error).splitlines()[0]})"
            ) from None

    return advance


@lru_cache(maxsize=32)
def _kernel(
    untied: bool,
    scalar_target: Callable[..., Any],
    scalar_response: Callable[..., Any],
    tokens: int,
    inputs: int,
    rank: int,
) -> Any:
    numba = numba_or_missing()
    chain = _untied_chain if untied else _tied_chain
    target, response = compiled(numba, scalar_target), compiled(numba, scalar_response)
    return compiled(numba, chain(target, response, tokens, inputs, rank))


def _tied_chain(target: Any, response: Any, tokens: int, inputs: int, rank: int) -> Callable[..., None]:
    summed = inputs != tokens
    scale = 1.0 / math.sqrt(tokens)

    def kernel(
        m: Array,
        eps: Array,
        recovery: NDArray[np.int64],
        normals: Array,
        lengths: Array,
        step: int,
        constants: _Constants,
    ) -> None:
        columns, gram, batch, gain, frobenius, threshold = constants
        runs = eps.shape[1]
        a = np.empty(tokens)
        outputs = len(target(a))
        read = np.empty(outputs + inputs)
        rho, shift, growth, square = np.empty(runs), np.empty(runs), np.empty(runs), np.empty(runs)
        along_target, along_weight, tilt = np.empty(runs), np.empty(runs), np.empty(runs)
        e, pull, nu = np.empty((inputs, runs)), np.empty((rank, runs)), np.empty((rank, runs))
        first = (tokens + inputs) * batch
        overlap = m[0]
        # Loops over replicas without calls are innermost: they become vector instructions.
        for s in range(normals.shape[0]):
            e[:] = 0.0
            pull[:] = 0.0
            for run in range(runs):
                rho[run] = math.sqrt(max(1.0 - overlap[run] * overlap[run], _TINY))
                along_target[run], along_weight[run], square[run] = 0.0, 0.0, 0.0
            for j in range(inputs):
                for i in range(rank):
                    for run in range(runs):
                        e[j, run] += columns[j, 1 + i] * eps[i, run]
            for b in range(batch):
                for run in range(runs):
                    for l in range(tokens):
                        a[l] = normals[s, l * batch + b, run]
                    goals = target(a)
                    for k in range(outputs):
                        read[k] = goals[k]
                    total = 0.0
                    if summed:
                        for l in range(tokens):
                            total += a[l]
                        total *= scale
                    for j in range(inputs):
                        alpha = columns[j, 0] + (total if summed else a[j])
                        h = normals[s, (tokens + j) * batch + b, run]
                        read[outputs + j] = overlap[run] * alpha + rho[run] * h + e[j, run]
                    answer = response(read)
                    factor = 1.0
                    if frobenius:
                        loss = answer[inputs]
                        factor = 0.0 if loss == 0.0 else 0.5 / math.sqrt(loss)
                    for j in range(inputs):
                        delta = answer[j] * factor
                        along_target[run] += delta * (columns[j, 0] + (total if summed else a[j]))
                        along_weight[run] += delta * normals[s, (tokens + j) * batch + b, run]
                        square[run] += delta * delta
                        for i in range(rank):
                            pull[i, run] += columns[j, 1 + i] * delta
            for run in range(runs):
                x, y = along_target[run], along_weight[run]
                shift[run] = overlap[run] * x + rho[run] * y
                growth[run] = x * x + y * y + square[run] * lengths[s, 0, run]
            if rank:
                for run in range(runs):
                    inner, cosine = 0.0, 1.0
                    size = math.sqrt(square[run])
                    for i in range(rank):
                        direction = max(-1.0, min(1.0, eps[i, run] / rho[run]))
                        inner += direction * (size * normals[s, first + i, run])
                        cosine -= direction * direction
                        nu[i, run] = direction
                    tilt[run] = along_weight[run] - inner / (1.0 + math.sqrt(max(cosine, 0.0)))
                for i in range(rank):
                    for run in range(runs):
                        xi = normals[s, first + i, run]
                        sideways = nu[i, run] * tilt[run] + math.sqrt(square[run]) * xi
                        shift[run] += eps[i, run] * pull[i, run]
                        growth[run] += square[run] * xi * xi + (2.0 * sideways + pull[i, run]) * pull[i, run]
                        nu[i, run] = sideways + pull[i, run]
            for run in range(runs):
                x = gain * (gain * growth[run] - 2.0 * shift[run])
                root = math.sqrt(1.0 + x)
                tilt[run] = -x / (root * (1.0 + root))
                change = -gain * along_target[run]
                overlap[run] += change + (overlap[run] + change) * tilt[run]
            for i in range(rank):
                for run in range(runs):
                    change = -gain * nu[i, run]
                    eps[i, run] += change + (eps[i, run] + change) * tilt[run]
            if threshold < math.inf:
                for run in range(runs):
                    if recovery[run] < 0:
                        norm = overlap[run] * gram[0, 0] * overlap[run]
                        for i in range(rank):
                            norm += 2.0 * overlap[run] * gram[0, 1 + i] * eps[i, run]
                            for j in range(rank):
                                norm += eps[i, run] * gram[1 + i, 1 + j] * eps[j, run]
                        if norm >= threshold:
                            recovery[run] = step + s + 1

    return kernel


def _untied_chain(target: Any, response: Any, tokens: int, inputs: int, rank: int) -> Callable[..., None]:
    summed = inputs != tokens
    scale = 1.0 / math.sqrt(tokens)

    def kernel(
        m: Array,
        eps: Array,
        recovery: NDArray[np.int64],
        normals: Array,
        lengths: Array,
        step: int,
        constants: _Constants,
    ) -> None:
        _, _, batch, gain, frobenius, threshold = constants
        runs = m.shape[1]
        a, h, rho = np.empty(tokens), np.empty(tokens), np.empty(tokens)
        along_target, along_weight, square = np.empty(tokens), np.empty(tokens), np.empty(tokens)
        outputs = len(target(a))
        read = np.empty(outputs + inputs)
        for s in range(normals.shape[0]):
            for run in range(runs):
                for l in range(tokens):
                    rho[l] = math.sqrt(max(1.0 - m[l, run] * m[l, run], _TINY))
                    along_target[l], along_weight[l], square[l] = 0.0, 0.0, 0.0
                for b in range(batch):
                    for l in range(tokens):
                        a[l] = normals[s, l * batch + b, run]
                        h[l] = normals[s, (tokens + l) * batch + b, run]
                    goals = target(a)
                    for k in range(outputs):
                        read[k] = goals[k]
                    if summed:
                        total = 0.0
                        for l in range(tokens):
                            total += m[l, run] * a[l] + rho[l] * h[l]
                        read[outputs] = total * scale
                    else:
                        for l in range(tokens):
                            read[outputs + l] = m[l, run] * a[l] + rho[l] * h[l]
                    answer = response(read)
                    factor = 1.0
                    if frobenius:
                        loss = answer[inputs]
                        factor = 0.0 if loss == 0.0 else 0.5 / math.sqrt(loss)
                    for l in range(tokens):
                        delta = factor * (answer[0] * scale if summed else answer[l])
                        along_target[l] += delta * a[l]
                        along_weight[l] += delta * h[l]
                        square[l] += delta * delta
                norm = 0.0
                for l in range(tokens):
                    growth = along_target[l] ** 2 + along_weight[l] ** 2 + square[l] * lengths[s, l, run]
                    shift = m[l, run] * along_target[l] + rho[l] * along_weight[l]
                    x = gain * (gain * growth - 2.0 * shift)
                    root = math.sqrt(1.0 + x)
                    shrink = -x / (root * (1.0 + root))
                    change = -gain * along_target[l]
                    m[l, run] += change + (m[l, run] + change) * shrink
                    norm += m[l, run] * m[l, run]
                if threshold < math.inf and recovery[run] < 0 and norm >= threshold * tokens:
                    recovery[run] = step + s + 1

    return kernel
