r"""Certified bounds of max |f| of a homogeneous f on the sphere.

A great circle turns a form f of degree k into a trigonometric polynomial of degree k.  If its modulus is largest, N,
at angle 0, then it is at least N cos(k t) at the angles |t| <= pi/k (M. Riesz).  So a cell of angular radius t around
a centre c can contain a maximiser only if |f(c)| >= N cos(k t): cells that cannot are dropped, and the largest
|f(c)| / cos(k t) of those that are left bounds N from above.  Near an isolated maximiser the number of cells stays
the same while they shrink.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flint import arb
from numpy.typing import NDArray

from sie_sym.hermite import MultiIndex
from sie_sym.tensors.certified_value import Interval, interval_of

FloatArray = NDArray[np.float64]

_CELLS = 60_000
"""The most cells that are alive at once."""
_COORDINATES = 6
"""The largest sphere that is cut into cells: beyond, only the eigenvalue bound is used."""
_STARTS, _CLIMBS = 24, 200


@dataclass(frozen=True)
class Form:
    """f(v) = sum_t weights[t] prod_j v[slots[t, j]] in floats; `error` bounds what that costs where all |v_i| <= 1."""

    slots: NDArray[np.intp]
    weights: FloatArray
    coordinates: int
    error: float

    @classmethod
    def of(cls, coefficients: Mapping[MultiIndex, arb], labels: Sequence[int]) -> Form:
        """The form sum_alpha w_alpha v^alpha, coordinate i standing for token labels[i]."""
        position = {l: i for i, l in enumerate(labels)}
        slots = np.array([[position[l] for l, n in alpha for _ in range(n)] for alpha in coefficients], dtype=np.intp)
        weights = np.array([float(w.mid()) for w in coefficients.values()])
        terms, k = slots.shape
        rounding = sum(interval_of(abs(w - arb(float(w.mid()))))[1] for w in coefficients.values())
        # One rounding a product and a sum; twice that, for the constant factors that are not counted.
        error = 2 * (terms + 2 * k + 8) * 2.0**-53 * float(np.abs(weights).sum()) + 2 * rounding
        return cls(slots, weights, len(labels), error)

    @property
    def degree(self) -> int:
        """k."""
        return int(self.slots.shape[1])

    def __call__(self, points: FloatArray) -> FloatArray:
        """f at points (N, n)."""
        values = np.empty(len(points))
        size = max(1, 2_000_000 // self.slots.size)
        for start in range(0, len(points), size):
            block = points[start : start + size]
            values[start : start + size] = block[:, self.slots].prod(axis=2) @ self.weights
        return values

    def gradients(self, points: FloatArray) -> FloatArray:
        """The gradients at points (N, n)."""
        factors = points[:, self.slots]
        gradients = np.zeros_like(points)
        for j in range(self.degree):
            others = np.delete(factors, j, axis=2).prod(axis=2) * self.weights
            np.add.at(gradients.T, self.slots[:, j], others.T)
        return gradients

    def normalised(self, points: FloatArray) -> FloatArray:
        """f(v) / |v|^k, as floats."""
        return np.asarray(self(points) / np.linalg.norm(points, axis=1) ** self.degree)

    def climb(self, points: FloatArray, signs: FloatArray) -> FloatArray:
        """Unit vectors (N, n) where signs * f is locally large, by the shifted power method."""
        v = points / np.linalg.norm(points, axis=1, keepdims=True)
        # A shift of this size makes sign * f + shift |v|^k convex, and the iteration monotone.
        shift = (self.degree - 1) * float(np.linalg.norm(self.weights))
        for _ in range(_CLIMBS):
            step = signs[:, None] * self.gradients(v) / self.degree + shift * v
            moved = step / np.linalg.norm(step, axis=1, keepdims=True)
            still = np.abs(moved - v).max() < 1e-15
            v = moved
            if still:
                break
        return np.asarray(v)


def largest_found(form: Form, sign: int = 0) -> tuple[float, FloatArray]:
    """(a proved lower bound of max |f| on the sphere, the unit vector where it was found), by climbing.

    With sign = +1 or -1: of max sign * f instead.
    """
    n = form.coordinates
    rng = np.random.default_rng(20250602)
    # The sphere that is cut into cells needs no good start.
    count = 2 if n <= _COORDINATES else _STARTS
    starts = np.concatenate([np.ones((1, n)), np.eye(n)[:count], rng.standard_normal((count, n))])
    signs = np.repeat([float(sign)] if sign else [1.0, -1.0], len(starts))
    found = form.climb(np.tile(starts, (1 if sign else 2, 1)), signs)
    reached = signs * form.normalised(found)
    best = int(reached.argmax())
    return float(reached[best] - 1e-14 * abs(reached[best])) - 2 * form.error, found[best]


def sphere_maximum(form: Form, upper: float, tolerance: float = 1e-10) -> Interval:
    """An interval that contains max |f| over the unit sphere; `upper` is a bound known before.

    `tolerance` is relative; it is not reached when the maximisers are not isolated or there are too many coordinates,
    and the interval then says so by its width.

    >>> tensor = {((1, 1), (2, 1), (3, 1)): arb(6)}
    >>> low, high = sphere_maximum(Form.of(tensor, [1, 2, 3]), 6.0)
    >>> bool(low <= 6 / 3**1.5 <= high), high - low < 1e-9
    (True, True)
    """
    lower, _ = largest_found(form)
    lower = max(lower, 0.0)
    if 1 < form.coordinates <= _COORDINATES:
        lower, upper = _refine(form, lower, upper, tolerance)
    return lower, upper


def _refine(form: Form, lower: float, upper: float, tolerance: float) -> Interval:
    """Branch and bound on the faces v_i = 1, |v_j| <= 1 of the cube, which every line through 0 meets."""
    n, k = form.coordinates, form.degree
    cells = np.eye(n)
    faces = np.arange(n)
    half = 1.0
    offsets = np.array(np.meshgrid(*[(-0.5, 0.5)] * (n - 1), indexing="ij")).reshape(n - 1, -1).T
    while len(cells) * len(offsets) <= _CELLS and upper - lower > tolerance * upper:
        moves = np.zeros((len(cells), len(offsets), n))
        for face in range(n):
            inside = np.insert(offsets, face, 0.0, axis=1)
            moves[faces == face] = inside * half
        cells = (cells[:, None, :] + moves).reshape(-1, n)
        faces = np.repeat(faces, len(offsets))
        half /= 2
        lengths = np.linalg.norm(cells, axis=1)
        angles = np.arcsin(np.minimum(1.0, half * math.sqrt(n - 1) / lengths)) * (1 + 1e-12) + 1e-15
        values = np.abs(form(cells)) / lengths**k * (1 + 1e-13) + form.error
        lower = max(lower, float(values.max()) * (1 - 4e-13) - 3 * form.error)
        cosines = np.where(k * angles < math.pi / 2, np.cos(np.minimum(k * angles, math.pi / 2)), 0.0) * (1 - 1e-14)
        alive = values >= lower * cosines
        cells, faces = cells[alive], faces[alive]
        values, cosines = values[alive], cosines[alive]
        if cosines.min() > 0:
            upper = min(upper, float((values / cosines).max()) * (1 + 1e-14))
    return float(lower), float(max(upper, lower))


__all__ = ["Form", "largest_found", "sphere_maximum"]
