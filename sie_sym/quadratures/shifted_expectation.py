r"""The Weierstrass transform (G h)(e) = E h(Z + e) of numeric functions at many shifts, with an error estimate.

h is evaluated once, on uniform grids wide enough for every shift; grids of different step, offset and range give the
error (theory section 2; `spectral` has the Hermite coefficients, the derivatives of G h at 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.evidence import Evidence
from sie_sym.quadratures.quadrature import (
    DEFAULT_NODES,
    GRIDS,
    Array,
    NumericFunction,
    checked,
    density,
    grid_range,
    refuse_memory,
    uniform_grid,
)
from sie_sym.quadratures.random_shifts import half_width as confidence
from sie_sym.quadratures.random_shifts import has_kinks, random_grids
from sie_sym.quadratures.spectral import BLOCK, SMOOTH, hermite_coefficients


@dataclass(frozen=True, eq=False)
class ShiftedExpectation:
    """E h(Z + e) for P shifts e: `values` of shape (P, k), and the estimated largest absolute `error`."""

    values: Array
    error: float
    method: str

    evidence = Evidence.NUMERICAL


def shifted_expectation(
    function: NumericFunction, means: ArrayLike, *, nodes: int | None = None, seed: int = 0
) -> ShiftedExpectation:
    r"""The Weierstrass transform (G h)(e) = E h(e + Z) at many points e (array of shape (P, L)).

    Up to 3 tokens h is evaluated once, on a grid wide enough for every shift; beyond, once for each shift.

    >>> shifted_expectation(lambda z: np.cos(z[:1]), [[0.0], [np.pi]]).values.ravel() * np.exp(0.5)
    array([ 1., -1.])
    """
    shifts = np.atleast_2d(np.asarray(means, dtype=float))
    tokens = shifts.shape[1]
    if tokens > 3:
        parts = [
            hermite_coefficients(lambda z, e=e: function(z + e[:, None]), tokens, 0, nodes=nodes, seed=seed)  # type: ignore[misc]
            for e in shifts
        ]
        values = np.stack([part.coefficients.reshape(-1) for part in parts])
        return ShiftedExpectation(values, max(part.error for part in parts), parts[0].method)
    function = checked(function, tokens, None, None)
    number = nodes or DEFAULT_NODES[tokens]
    half_width = grid_range(number, 0)
    results = [
        _transform_on_grid(function, shifts, reach * half_width, coarser * 2 * half_width / number, (offset,) * tokens)
        for coarser, reach, offset in GRIDS[: 3 if tokens <= 2 else 2]
    ]
    value = results[0]
    error = 2 * max(float(np.abs(other - value).max()) for other in results[1:])
    # Symmetric grids agree where the value is 0: what rounding leaves there is relative to E |h|, not to the value.
    sample = np.random.default_rng(seed).standard_normal((tokens, 256))
    size = max(float(np.abs(function(sample + e[:, None])).mean()) for e in shifts[[0, -1]])
    rounding = 16 * np.finfo(float).eps * max(size, float(np.abs(value).max()))
    method = f"{len(results)} uniform grids of about {number} nodes a token"
    if error > SMOOTH * size and has_kinks(lambda z: function(z + shifts[:1].T), tokens):
        values = np.stack(
            [
                _transform_on_grid(function, shifts, reach * half_width, coarser * 2 * half_width / number, offsets)
                for coarser, reach, offsets in random_grids(tokens, 1)
            ]
        )
        value = values.mean(axis=0)
        error = float(confidence(values - value).max())
        method = f"{len(values)} uniform grids of about {number} nodes a token at random places, 99.9% confidence"
    return ShiftedExpectation(value, error + rounding, method)


def _transform_on_grid(
    function: NumericFunction, shifts: Array, half_width: float, step: float, offsets: tuple[float, ...]
) -> Array:
    axes, weights = [], []
    for column, offset in zip(shifts.T, offsets, strict=True):
        centre = step * round((column.max() + column.min()) / (2 * step))
        reach = half_width + float(np.abs(column - centre).max())
        x = uniform_grid(reach, step, offset) + centre
        axes.append(x)
        weights.append(step * density(x[None, :] - column[:, None]))
    rest = np.meshgrid(*axes[1:], indexing="ij")
    slice_size = math.prod(len(x) for x in axes[1:])
    outputs = len(function(np.zeros((len(axes), 1))))
    refuse_memory(
        3 * slice_size * outputs,
        f"one slice of {slice_size} nodes",
        "ask for shifts that lie closer together",
    )
    rows = max(1, BLOCK // (slice_size * max(outputs, 1)))
    total = np.zeros((len(shifts), outputs))
    for start in range(0, len(axes[0]), rows):
        here = axes[0][start : start + rows]
        points = np.empty((len(axes), len(here), slice_size))
        points[0] = here[:, None]
        for l, axis in enumerate(rest, start=1):
            points[l] = axis.reshape(1, -1)
        values = function(points.reshape(len(axes), -1)).reshape(outputs, *[len(here)], *[len(x) for x in axes[1:]])
        part = np.tensordot(weights[0][:, start : start + rows], values, axes=(1, 1))  # (P, k, x_2, ...)
        for weight in weights[1:]:
            part = np.einsum("pkx...,px->pk...", part, weight)
        total += part
    return total


__all__ = ["ShiftedExpectation", "shifted_expectation"]
