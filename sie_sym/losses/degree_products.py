r"""The inner products sum_{|beta|=k} C_beta(g).C_beta(phi_i)/beta! of any g with many phi_i, for every k <= K at once.

The coefficients of the phi_i are kept, the degrees k and K - k side by side: for two tokens they have together the same
number of multi-indices for every k, so that one batch of matrix products does it all.  Where the values of the phi_i
span fewer dimensions than they have outputs (each row of a softmax sums to 1), only those are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sie_sym.quadratures.quadrature import Array, total_degree

_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class DegreePairs:
    """The multi-indices |beta| <= K in pairs of degrees k and K - k, padded to a rectangle.

    `places` (pairs, w) are flat places in {0..K}^L, `slots` (pairs, 2, w) says which of them belong to k, or to K - k.
    """

    tokens: int
    order: int
    places: NDArray[np.intp]
    slots: Array

    @classmethod
    def of(cls, tokens: int, order: int) -> DegreePairs:
        """The pairs k = 0, ..., K/2; the last one is K/2 alone where K is even."""
        degree = total_degree(tokens, order).ravel()
        members = [np.flatnonzero(degree == k) for k in range(order + 1)]
        pairs = [(members[k], members[order - k] if 2 * k < order else members[k][:0]) for k in range(order // 2 + 1)]
        places = np.zeros((len(pairs), max(len(low) + len(high) for low, high in pairs)), dtype=np.intp)
        slots = np.zeros((len(pairs), 2, places.shape[1]))
        for row, slot, (low, high) in zip(places, slots, pairs, strict=True):
            row[: len(low) + len(high)] = np.concatenate([low, high])
            slot[0, : len(low)] = slot[1, len(low) : len(low) + len(high)] = 1.0
        return cls(tokens, order, places, slots)

    @property
    def padding(self) -> float:
        """How many places there are for each multi-index."""
        return self.places.size / float(self.slots.sum())


@dataclass(frozen=True, eq=False)
class DegreeProducts:
    """The coefficients of phi_i = offset + basis psi_i, and of differences basis delta_i of some of them.

    `basis` is (k, j), `offset` (k,) orthogonal to it; `rows` (pairs, number, j w) are the coefficients of the psi_i, of
    which there are `count`, then of the delta_i.
    """

    pairs: DegreePairs
    basis: Array
    offset: Array
    count: int
    rows: Array

    @classmethod
    def of(
        cls, parts: list[Array], count: int, places: NDArray[np.int64], outputs: int, pairs: DegreePairs
    ) -> DegreeProducts:
        """From arrays (number, columns), which are dropped one by one; the columns stand at `places` of (k, ...)."""
        columns = np.zeros((outputs, (pairs.order + 1) ** pairs.tokens), dtype=np.intp)
        columns.ravel()[places] = np.arange(len(places))
        chosen, used = columns[:, pairs.places], pairs.slots.sum(axis=1)
        mean = parts[0][0, columns[:, 0]]
        basis = _span(parts, count, chosen, used, mean)
        rows = np.empty((len(used), sum(map(len, parts)), basis.shape[1] * used.shape[1]))
        start = 0
        while parts:
            part = parts.pop(0)
            values = np.tensordot(basis, part[:, chosen] * used, axes=(0, 1))  # (j, number, pairs, w)
            rows[:, start : start + len(part)] = values.transpose(2, 1, 0, 3).reshape(len(rows), len(part), -1)
            start += len(part)
        return cls(pairs, basis, mean - basis @ (basis.T @ mean), count, rows)

    def products(self, coefficients: Array, means: Array | None = None) -> Array:
        """Those of n functions g, (n, k, order + 1, ...), with all rows in each degree: (n, number, order + 1).

        With the `means` E g, (n, k), the coefficients are those of basis^T g, (n, j, order + 1, ...).
        """
        n, outputs = coefficients.shape[:2]
        pairs, width = self.pairs.places.shape
        flat = coefficients.reshape(n, outputs, -1)
        weights = flat.take(self.pairs.places.ravel(), axis=2)
        if means is None:
            weights, means = self.basis.T @ weights, flat[:, :, 0]
        weights = weights.reshape(n, -1, pairs, width).transpose(2, 0, 1, 3)
        slotted = (weights[:, None] * self.pairs.slots[:, :, None, None]).reshape(pairs, 2 * n, -1)
        found = (slotted @ self.rows.transpose(0, 2, 1)).reshape(pairs, 2, n, -1)
        products = np.empty((n, found.shape[-1], self.pairs.order + 1))
        products[..., :pairs] = found[:, 0].transpose(1, 2, 0)
        products[..., pairs:] = found[: self.pairs.order + 1 - pairs, 1].transpose(1, 2, 0)[..., ::-1]
        products[:, : self.count, 0] += (means @ self.offset)[:, None]
        return products


def _span(parts: list[Array], count: int, chosen: NDArray[np.intp], used: Array, mean: Array) -> Array:
    """An orthonormal basis (k, j) of what the outputs of all rows span, up to rounding, the constant `mean` apart.

    Random combinations of the coefficients of each row span it with probability 1.
    """
    outputs = len(mean)
    if outputs == 1:
        return np.eye(1)
    random = np.random.default_rng(6).standard_normal((used.size, outputs + 4)) * used.reshape(-1, 1)
    sketch, number = [], 0
    for part in parts:
        values = part[:, chosen].reshape(len(part), outputs, -1)
        values[: max(count - number, 0), :, 0] -= mean
        number += len(part)
        sketch.append(values @ random)
    found = np.concatenate(sketch).transpose(1, 0, 2).reshape(outputs, -1)
    vectors, sizes, _ = np.linalg.svd(found, full_matrices=False)
    rank = max(1, int((sizes > _ROUNDING * sizes[0]).sum()))
    return np.asarray(vectors[:, :rank]) if rank < outputs else np.eye(outputs)


__all__ = ["DegreePairs", "DegreeProducts"]
