r"""The chain of `chain` for numba: the same draws, one replica at a time in machine code.

The normals come from numpy's generators in both engines, so the two agree replica by replica to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sie_sym.chain import Advance, StepConstants
from sie_sym.errors import MissingExtra, NoClosedForm
from sie_sym.fields import Array, Fields

_TINY = 1e-300


def numba_advance(fields: Fields, constants: StepConstants) -> Advance:
    """The compiled chain; a first call takes seconds, the same fields never compile twice.

    Raises `MissingExtra` without numba, and `NoClosedForm` for fields that have no scalar form.
    """
    if fields.scalar_target is None or fields.scalar_response is None:
        raise NoClosedForm(
            "the numba engine needs scalar forms of g and phi but these fields are plain array functions: "
            "build them with fields_of from formulas, or use engine='numpy'"
        )
    make = _untied_kernel if fields.untied else _tied_kernel
    kernel = make(fields.scalar_target, fields.scalar_response, fields.tokens, fields.inputs, constants.batch)
    columns = np.ascontiguousarray(fields.read(fields.encoding))
    gram = fields.encoding.T @ fields.encoding

    def advance(
        m: Array, eps: Array, recovery: NDArray[np.int64], normals: Array, lengths: Array, step: int
    ) -> None:
        kernel(
            m,
            eps,
            recovery,
            normals,
            lengths,
            step,
            columns,
            gram,
            constants.gain,
            constants.frobenius,
            constants.threshold_squared,
        )

    return advance


def _numba() -> Any:
    try:
        import numba
    except ImportError:
        raise MissingExtra("fast", "numba") from None
    return numba


def _compiled(numba: Any, function: Callable[..., Any]) -> Any:
    # error_model: 1/0 is inf, as in numpy, and a diverging replica is counted by the caller
    return numba.njit(nogil=True, error_model="numpy")(function)


@lru_cache(maxsize=32)
def _tied_kernel(
    scalar_target: Callable[..., Any], scalar_response: Callable[..., Any], tokens: int, inputs: int, batch: int
) -> Any:
    numba = _numba()
    target, response = _compiled(numba, scalar_target), _compiled(numba, scalar_response)
    summed = inputs != tokens
    scale = 1.0 / math.sqrt(tokens)

    def kernel(
        m: Array,
        eps: Array,
        recovery: NDArray[np.int64],
        normals: Array,
        lengths: Array,
        step: int,
        columns: Array,
        gram: Array,
        gain: float,
        frobenius: bool,
        threshold: float,
    ) -> None:
        rank, runs = eps.shape
        a, alpha = np.empty(tokens), np.empty(inputs)
        e, pull, nu = np.empty(inputs), np.empty(rank), np.empty(rank)
        outputs = len(target(a))
        read = np.empty(outputs + inputs)
        for s in range(normals.shape[0]):
            for run in range(runs):
                overlap = m[0, run]
                rho = math.sqrt(max(1.0 - overlap * overlap, _TINY))
                for j in range(inputs):
                    e[j] = 0.0
                    for i in range(rank):
                        e[j] += columns[j, i] * eps[i, run]
                for i in range(rank):
                    pull[i] = 0.0
                along_target, along_weight, square = 0.0, 0.0, 0.0
                for b in range(batch):
                    for l in range(tokens):
                        a[l] = normals[s, l * batch + b, run]
                    if summed:
                        total = 0.0
                        for l in range(tokens):
                            total += a[l]
                        alpha[0] = total * scale
                    else:
                        for l in range(tokens):
                            alpha[l] = a[l]
                    goals = target(a)
                    for k in range(outputs):
                        read[k] = goals[k]
                    for j in range(inputs):
                        h = normals[s, (tokens + j) * batch + b, run]
                        read[outputs + j] = overlap * alpha[j] + rho * h + e[j]
                    answer = response(read)
                    factor = 1.0
                    if frobenius:
                        loss = answer[inputs]
                        factor = 0.0 if loss == 0.0 else 0.5 / math.sqrt(loss)
                    for j in range(inputs):
                        delta = answer[j] * factor
                        along_target += delta * alpha[j]
                        along_weight += delta * normals[s, (tokens + j) * batch + b, run]
                        square += delta * delta
                        for i in range(rank):
                            pull[i] += columns[j, i] * delta
                shift = overlap * along_target + rho * along_weight
                growth = along_target**2 + along_weight**2 + square * lengths[s, 0, run]
                length = math.sqrt(square)
                first = (tokens + inputs) * batch
                inner, cosine = 0.0, 1.0
                for i in range(rank):
                    nu[i] = max(-1.0, min(1.0, eps[i, run] / rho))
                    inner += nu[i] * (length * normals[s, first + i, run])
                    cosine -= nu[i] * nu[i]
                tilt = along_weight - inner / (1.0 + math.sqrt(max(cosine, 0.0)))
                for i in range(rank):
                    xi = normals[s, first + i, run]
                    sideways = nu[i] * tilt + length * xi
                    shift += eps[i, run] * pull[i]
                    growth += square * xi * xi + (2.0 * sideways + pull[i]) * pull[i]
                    nu[i] = sideways + pull[i]
                x = gain * (gain * growth - 2.0 * shift)
                root = math.sqrt(1.0 + x)
                shrink = -x / (root * (1.0 + root))
                change = -gain * along_target
                overlap += change + (overlap + change) * shrink
                m[0, run] = overlap
                norm = overlap * overlap
                for i in range(rank):
                    change = -gain * nu[i]
                    eps[i, run] += change + (eps[i, run] + change) * shrink
                if threshold < math.inf and recovery[run] < 0:
                    for i in range(rank):
                        for j in range(rank):
                            norm += eps[i, run] * gram[i, j] * eps[j, run]
                    if norm >= threshold:
                        recovery[run] = step + s + 1

    return _compiled(numba, kernel)


@lru_cache(maxsize=32)
def _untied_kernel(
    scalar_target: Callable[..., Any], scalar_response: Callable[..., Any], tokens: int, inputs: int, batch: int
) -> Any:
    numba = _numba()
    target, response = _compiled(numba, scalar_target), _compiled(numba, scalar_response)
    summed = inputs != tokens
    scale = 1.0 / math.sqrt(tokens)

    def kernel(
        m: Array,
        eps: Array,
        recovery: NDArray[np.int64],
        normals: Array,
        lengths: Array,
        step: int,
        columns: Array,
        gram: Array,
        gain: float,
        frobenius: bool,
        threshold: float,
    ) -> None:
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

    return _compiled(numba, kernel)
