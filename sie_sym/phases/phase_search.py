r"""The minima of R on the disk, for the targets of a family at once: nothing is left between the points of the search.

The targets are those of the positional-semantic model (arXiv:2506.02651, section 4 and App. F), softmax and constants
against softmax, where R is even in m and in eps (`positional_semantic`).  Two facts reduce the disk to numbers that can
be counted.

- Inside: D = -R_m/m > 0 on the whole disk for the target softmax (`interior_margin`), and constants do not feel m.  So
  R falls with |m| along every chord eps = const: for omega < 1 no minimum lies inside, and a minimum along the rim is
  one on the disk.  (At omega = 1 R does not depend on m: the minima are chords, which end on the rim.)
- On the rim: with t = m^2 = 1 - eps^2, 2 dR/dt = T(t) = R_m/m - R_eps/eps, and the corners t = 0 and 1 are minima where
  T > 0 and T < 0.  Between nodes at a distance h no zero of T hides where |T| > h^2/8 max|T''| at both ends, and just
  one where T is monotone, |Delta T| > h^2 max|T''|.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sie_sym.phases.positional_semantic import rim_values, three_functions, three_losses
from sie_sym.phases.rim import Rim
from sie_sym.quadratures.quadrature import Array

Flags = NDArray[np.bool_]

_LEVELS = (64, 2048, 32768)
"""Intervals of the rim: each grid takes the targets that the one before does not decide."""
_BLOCK = 1024
"""Targets at once on the first grid: their temporary arrays stay in the cache."""
_ORDERS = (80, 120)
_SAFETY = 1.5
"""What |T''| between the nodes may exceed those at the nodes of the fine grid by."""


@dataclass(frozen=True, eq=False)
class DiskMinima:
    """What the minima on the disk are, for each target.

    `semantic`: (eps, m) = (0, 1) is one; `corner`: (1, 0) is; `displaced`: there is one between them; `lead` is R at
    the semantic corner minus the lowest of the others (-infinite: there is none); `complete`: no minimum was missed,
    and no sign is in doubt.  `escape` is R_mm - R_epseps at the start, negative where SGD escapes along m.
    """

    semantic: Flags
    corner: Flags
    displaced: Flags
    lead: Array
    escape: Array
    complete: Flags


@dataclass(frozen=True, eq=False)
class _Bounds:
    """What is known of T on a grid of the rim: the `error` of each of the three functions at its nodes, (3, n + 1), and
    `bend`, (3, n), which bounds |T''| on each interval.
    """

    rim: Rim
    error: Array
    bend: Array


def search(weights: Array) -> DiskMinima:
    """The minima for targets with `weights` (P, 3) >= 0 of the three functions: 1, 1 - omega, omega p.

    >>> found = search(np.array([[1.0, 0.7, 0.3 * 0.88080]]))       # a = 1, omega = 0.3: unique semantic
    >>> found.semantic, found.corner, found.displaced, found.complete
    (array([ True]), array([False]), array([False]), array([ True]))
    """
    flags, lead = np.zeros((4, len(weights)), dtype=bool), np.zeros(len(weights))
    left = np.arange(len(weights))
    for level, intervals in enumerate(_LEVELS):
        block = max(1, _BLOCK * _LEVELS[0] // intervals)
        for start in range(0, len(left), block):
            place = left[start : start + block]
            flags[:, place], lead[place] = _scan(_bounds(intervals), weights[place])
        # a minimum between the corners is also located better on the second grid
        left = np.flatnonzero(~flags[3] | flags[2]) if level == 0 else np.flatnonzero(~flags[3])
        if not left.size:
            break
    semantic, corner, displaced, complete = flags
    return DiskMinima(semantic, corner, displaced, lead, weights @ _escapes(), complete & (interior_margin() > 0))


def _scan(bounds: _Bounds, weights: Array) -> tuple[Flags, Array]:
    """`semantic`, `corner`, `displaced` and `complete` of `DiskMinima`, and `lead`, from one grid of the rim."""
    rim, step = bounds.rim, 1 / bounds.bend.shape[1]
    slope = weights @ rim.slope
    rises = slope > 0
    # one bound for all targets of the block: that of the largest weights
    largest = weights.max(axis=0)
    error, room = largest @ bounds.error, step**2 * (largest @ bounds.bend)
    around = np.maximum(np.append(room, 0), np.append(0, room)) / 8
    clear = np.abs(slope) > error + around
    no_pair = (rises[:, 1:] == rises[:, :-1]) & clear[:, 1:] & clear[:, :-1]
    place, j = np.divmod(np.flatnonzero(~no_pair), no_pair.shape[1])  # far faster than nonzero
    monotone = np.abs(slope[place, j + 1] - slope[place, j]) - error[j + 1] - error[j] > room[j]
    complete = (np.abs(slope[:, 0]) > error[0]) & (np.abs(slope[:, -1]) > error[-1])
    complete[place[~monotone]] = False
    corner, semantic = rises[:, 0], ~rises[:, -1]
    lowest = np.where(corner, weights @ rim.value[:, 0], np.inf)
    place, bottom = rim.minima(weights, slope)
    displaced = np.zeros(len(weights), dtype=bool)
    displaced[place] = True
    np.minimum.at(lowest, place, bottom)
    return np.stack([semantic, corner, displaced, complete]), weights @ rim.value[:, -1] - lowest


@functools.lru_cache(maxsize=1)
def _escapes() -> Array:
    hessians = [loss.hessian(0.0, 0.0) for loss in three_losses(_ORDERS[-1])]
    return three_functions([hessian[0, 0] - hessian[1, 1] for hessian in hessians])


@functools.lru_cache(maxsize=3)
def _bounds(intervals: int) -> _Bounds:
    number = max(intervals, _LEVELS[1])
    t = np.linspace(0, 1, number + 1)
    rim = Rim.of(number, _ORDERS[-1])
    # what the shorter sum over k leaves out exceeds what the longer one does; rounding grows with the derivative
    error = np.abs(rim.slope - 2 * rim_values(t, 1, _ORDERS[0])) + 1e-9
    second = np.abs(2 * rim_values(t, 3, _ORDERS[-1]))
    # |T''| at the ends of each interval and at the nodes next to them
    padded = np.pad(second, ((0, 0), (1, 1)), mode="edge")
    bend = _SAFETY * np.max([padded[:, i : i + number] for i in range(4)], axis=0)
    every = number // intervals
    nodes = Rim(rim.value[:, ::every], rim.slope[:, ::every])
    return _Bounds(nodes, error[:, ::every], bend.reshape(3, intervals, every).max(axis=2))


@functools.lru_cache(maxsize=1)
def interior_margin(intervals: int = 256) -> float:
    """A lower bound of D = -R_m/m on the disk for the target softmax, less what may hide between the nodes.

    On a uniform grid of (m, eps) >= 0 (R is even); h^2/8 (|D_mm| + |D_ee|) bounds the error of interpolation.
    """
    x = np.linspace(0, 1, intervals + 1)
    loss = three_losses(_ORDERS[-1])[1]
    values = np.empty((len(x), len(x)))
    values[1:] = -4 * loss.gradient(x[1:, None], x[None, :])[0] / x[1:, None]
    values[0] = -4 * loss.hessian(np.zeros(1), x)[0, 0]
    near = np.add.outer(x**2, x**2) <= (1 + 2 / intervals) ** 2
    bends = [np.abs(np.diff(values, 2, axis=axis)) for axis in (0, 1)]
    both = bends[0][:, 1:-1] + bends[1][1:-1]
    return float(values[near].min() - _SAFETY * both[near[1:-1, 1:-1]].max() / 8)


__all__ = ["DiskMinima", "interior_margin", "search"]
