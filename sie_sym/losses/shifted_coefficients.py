r"""The Hermite coefficients C_beta(phi(. + e)) of a model at a tensor grid of shifts e, from phi on one uniform grid.

In coordinates along and across the encoding a shift touches only the first few of them: phi is evaluated once and
integrated over the others, and a shift moves the Hermite functions (`model_table`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import DomainError
from sie_sym.quadratures.quadrature import (
    Array,
    NumericFunction,
    density,
    normalised_hermite,
    refuse_memory,
    uniform_grid,
)


@dataclass(frozen=True, eq=False)
class ShiftedCoefficients:
    """C_beta(phi(. + e)) at a tensor grid of shifts, computed whenever they are iterated over.

    `values` (x_1, ..., x_r, k, j_{r+1}, ..., j_L) are those of phi, already integrated over the unshifted coordinates;
    `weights`, (order + 1, shifts, x_i), are those of the shifted ones.  `norm2` is E|phi(. + e)|^2; `checks` are rows
    that come after the others.
    """

    values: Array
    weights: tuple[Array, ...]
    columns: NDArray[np.int64]
    norm2: Array
    checks: Array | None = None

    @property
    def floats(self) -> int:
        """The size of all rows together."""
        return math.prod((int(w.shape[1]) for w in self.weights), start=len(self.columns))

    def some(self, places: Sequence[slice]) -> ShiftedCoefficients:
        """Those at some of the shifts."""
        chosen = tuple(w[:, place] for w, place in zip(self.weights, places, strict=True))
        return replace(self, weights=chosen, norm2=self.norm2[tuple(places)])

    def __iter__(self) -> Iterator[Array]:
        """Arrays (shifts, columns), together in the order of the grid of shifts."""
        if self.weights:
            yield from self._visit(self.values, 0)
        else:
            yield self.values.reshape(1, -1)[:, self.columns]
        if self.checks is not None:
            yield self.checks

    def _visit(self, part: Array, axis: int) -> Iterator[Array]:
        weight = self.weights[axis]
        if axis + 1 == len(self.weights):
            moved = np.moveaxis(np.tensordot(part, weight, axes=(0, 2)), -1, 0)
            yield moved.reshape(len(moved), -1)[:, self.columns]
            return
        for i in range(weight.shape[1]):
            yield from self._visit(np.tensordot(part, weight[:, i], axes=(0, 1)), axis + 1)


@dataclass(frozen=True, eq=False)
class MeanCoefficients:
    """The mean of `ShiftedCoefficients` over several grids, computed whenever it is iterated over."""

    parts: tuple[ShiftedCoefficients, ...]
    checks: Array | None = None

    @property
    def floats(self) -> int:
        """The size of all rows together."""
        return self.parts[0].floats

    @property
    def norm2(self) -> Array:
        """The mean of E|phi(. + e)|^2."""
        return np.asarray(np.mean([part.norm2 for part in self.parts], axis=0))

    def __iter__(self) -> Iterator[Array]:
        """Arrays (shifts, columns), as those of each part."""
        for blocks in zip(*self.parts, strict=True):
            yield sum(blocks[1:], blocks[0]) / len(blocks)
        if self.checks is not None:
            yield self.checks


@dataclass(frozen=True, eq=False)
class ModelGrid:
    """phi on a grid wide enough for all shifts: integrated over the unshifted coordinates, as `ShiftedCoefficients`."""

    values: Array
    square: Array
    moving: tuple[Array, ...]
    order: int
    step: float
    even: bool

    @classmethod
    def of(
        cls,
        phi: NumericFunction,
        tokens: int,
        order: int,
        half_width: float,
        step: float,
        offsets: tuple[float, ...],
        sigma: Array,
    ) -> ModelGrid:
        """phi is evaluated once; `even` says that phi(-z) = phi(z) on the grid, up to rounding."""
        rank = len(sigma)
        moving = tuple(uniform_grid(half_width + float(s), step, o) for s, o in zip(sigma, offsets, strict=False))
        fixed = [uniform_grid(half_width, step, o) for o in offsets[rank:]]
        weights = [normalised_hermite(order, x, step * density(x)) for x in fixed]
        axes = [*moving, *fixed]
        size = math.prod(len(x) for x in axes)
        outputs = len(phi(np.zeros((tokens, 1))))
        refuse_memory(4 * outputs * size, f"the model on {size} grid nodes", "pass fewer nodes")
        points = np.array(np.meshgrid(*axes, indexing="ij")).reshape(tokens, -1)
        values = np.asarray(phi(points), dtype=float)
        if not np.isfinite(values).all():
            raise DomainError("the model is not finite everywhere on the grid: it must be defined on all of R^L")
        even = float(np.abs(values - values[:, ::-1]).max()) < 1e-14 * float(np.abs(values).max())
        square = np.einsum("kn,kn->n", values, values).reshape([len(x) for x in axes])
        values = np.moveaxis(values.reshape(outputs, *square.shape), 0, rank)
        for l, weight in enumerate(weights, start=1):
            values = np.tensordot(values, weight, axes=(rank + 1, 1))
            square = square @ weights[-l][0]
        return cls(values, square, moving, order, step, even)

    def shifted(self, shifts: Sequence[Array], columns: NDArray[np.int64]) -> ShiftedCoefficients:
        """The coefficients at a tensor grid of shifts of the first coordinates."""
        distances = [x - s[:, None] for x, s in zip(self.moving, shifts, strict=True)]
        weights = tuple(normalised_hermite(self.order, x, self.step * density(x)) for x in distances)
        norm2 = self.square
        for weight in weights:
            norm2 = np.tensordot(norm2, weight[0], axes=(0, 1))
        return ShiftedCoefficients(self.values, weights, columns, norm2)


__all__ = ["MeanCoefficients", "ModelGrid", "ShiftedCoefficients"]
