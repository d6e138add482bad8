r"""The critical points of R along the rim of the positional-semantic model, for all targets at once.

On the rim R is a polynomial in t = m^2 = 1 - eps^2 (`positional_semantic`), linear in the weights (1, 1-omega, omega p)
of the target; T = 2 dR/dt.  At one a it is affine in omega, so that each t is a critical point at one omega: the corner
conditions of arXiv:2506.02651, App. F, are the ends t = 0 and 1 of the curve omega(t), and a minimum between the
corners exists at every omega through which the curve goes down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sie_sym.phases.positional_semantic import ORDER, mixture, rim_values
from sie_sym.quadratures.quadrature import Array


@dataclass(frozen=True, eq=False)
class Rim:
    """4 n, -8 P and -8 f on a uniform grid of t in [0, 1], and T of each: `value` and `slope`, shape (3, n + 1)."""

    value: Array
    slope: Array

    @classmethod
    def of(cls, intervals: int, order: int = ORDER) -> Rim:
        """The grid of that many intervals."""
        t = np.linspace(0, 1, intervals + 1)
        return cls(rim_values(t, 0, order), 2 * rim_values(t, 1, order))

    def minima(self, weights: Array, slope: Array) -> tuple[NDArray[np.int64], Array]:
        """Targets (rows of `weights`, T in those of `slope`) with a minimum between two nodes, and R at each."""
        rises = slope > 0
        turns = rises[:, 1:] > rises[:, :-1]
        place, j = np.divmod(np.flatnonzero(turns), turns.shape[1])  # far faster than nonzero
        before, after = slope[place, j], slope[place, j + 1]
        # T is linear up to O(h^2): R falls by its area before the zero
        fall = before**2 / (4 * (after - before) * (slope.shape[1] - 1))
        return place, np.einsum("pi,ip->p", weights[place], self.value[:, j]) - fall

    def displaced(self, a: Array, omegas: Array) -> NDArray[np.bool_]:
        """Whether there is a minimum between the corners, for all a and omega: shape (len(a), len(omegas)).

        Between two nodes T turns from negative to positive for an interval of omega, whose ends are values of
        omega(t); where the curve turns around the vertex of a parabola is the end.
        """
        start, end = (mixture(a, omega) @ self.slope for omega in (0.0, 1.0))
        slope = end - start  # T = start + omega slope
        with np.errstate(divide="ignore", invalid="ignore"):
            root = -start / slope
            bend = root[:, :-2] - 2 * root[:, 1:-1] + root[:, 2:]
            vertex = root[:, 1:-1] - (root[:, 2:] - root[:, :-2]) ** 2 / (8 * bend)
        turns = (root[:, :-2] > root[:, 1:-1]) != (root[:, 1:-1] > root[:, 2:])
        same = np.sign(slope)
        turns &= (same[:, :-2] == same[:, 1:-1]) & (same[:, 1:-1] == same[:, 2:])
        root[:, 1:-1] = np.where(turns, vertex, root[:, 1:-1])
        up, down = slope > 0, slope < 0
        low = np.maximum(np.where(down[:, :-1], root[:, :-1], -np.inf), np.where(up[:, 1:], root[:, 1:], -np.inf))
        high = np.minimum(np.where(up[:, :-1], root[:, :-1], np.inf), np.where(down[:, 1:], root[:, 1:], np.inf))
        row, j = np.nonzero(low < high)
        order = np.argsort(omegas)
        changes = np.zeros((len(a), len(omegas) + 1), dtype=np.int64)
        for ends, sign in ((low, 1), (high, -1)):
            np.add.at(changes, (row, np.searchsorted(omegas[order], ends[row, j])), sign)
        found = np.empty((len(a), len(omegas)), dtype=bool)
        found[:, order] = changes.cumsum(axis=1)[:, :-1] > 0
        return found


__all__ = ["Rim"]
