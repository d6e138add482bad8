r"""The minima of R on the disk, for the targets of a family at once: nothing is left between the points of the search.

The targets are those of the positional-semantic model (arXiv:2506.02651, section 4 and App. F): softmax and constants,
against softmax, where R is even in m and in eps.  Two facts reduce the disk to numbers that can be counted.

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

from sie_sym.loss_family import positional_semantic_family
from sie_sym.quadrature import Array
from sie_sym.spectral_loss import SpectralLoss

Flags = NDArray[np.bool_]

_LEVELS = (64, 2048, 32768)
"""Intervals of the rim: each grid takes the targets that the one before does not decide."""
_BLOCK = 4096
"""Targets at once on the first grid."""
_ORDERS = (80, 120)
_SAFETY = 1.5
"""Second differences on the fine grid times this bound the second derivative between its nodes."""


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
class _Rim:
    """Three functions whose combinations are R up to a constant, on a uniform grid of t in [0, 1].

    `value` (3, n + 1); `slope` and its `error`, those of T; `bend` (3, n) bounds |T''| on each interval.
    """

    value: Array
    slope: Array
    error: Array
    bend: Array


def search(weights: Array) -> DiskMinima:
    """The minima for targets with `weights` (P, 3) >= 0 of the three functions: 1, 1 - omega, omega (2p - 1).

    >>> found = search(np.array([[1.0, 0.7, 0.3 * 0.76159]]))       # a = 1, omega = 0.3: unique semantic
    >>> found.semantic, found.corner, found.displaced, found.complete
    (array([ True]), array([False]), array([False]), array([ True]))
    """
    flags, lead = np.zeros((4, len(weights)), dtype=bool), np.zeros(len(weights))
    left = np.arange(len(weights))
    for level, intervals in enumerate(_LEVELS):
        block = _BLOCK * _LEVELS[0] // intervals
        for start in range(0, len(left), block):
            place = left[start : start + block]
            flags[:, place], lead[place] = _scan(_rim(intervals), weights[place])
        # a minimum between the corners is also located better on the second grid
        left = np.flatnonzero(~flags[3] | flags[2]) if level == 0 else np.flatnonzero(~flags[3])
    semantic, corner, displaced, complete = flags
    return DiskMinima(semantic, corner, displaced, lead, weights @ _escapes(), complete & (interior_margin() > 0))


def _scan(rim: _Rim, weights: Array) -> tuple[Flags, Array]:
    """`semantic`, `corner`, `displaced` and `complete` of `DiskMinima`, and `lead`, from one grid of the rim."""
    step = 1 / rim.bend.shape[1]
    slope, error, room = weights @ rim.slope, weights @ rim.error, step**2 * (weights @ rim.bend)
    rises = slope > 0
    size = np.abs(slope) - error
    no_pair = (rises[:, 1:] == rises[:, :-1]) & (np.minimum(size[:, 1:], size[:, :-1]) > room / 8)
    monotone = np.abs(np.diff(slope, axis=1)) - error[:, 1:] - error[:, :-1] > room
    complete = (no_pair | monotone).all(axis=1) & (size[:, 0] > 0) & (size[:, -1] > 0)
    semantic, corner = ~rises[:, -1], rises[:, 0]
    lowest = np.where(corner, weights @ rim.value[:, 0], np.inf)
    place, j = np.nonzero(~rises[:, :-1] & rises[:, 1:])
    displaced = np.zeros(len(weights), dtype=bool)
    displaced[place] = True
    before, after = slope[place, j], slope[place, j + 1]
    # T is linear up to O(h^2): R falls by its area before the zero
    bottom = np.einsum("pi,ip->p", weights[place], rim.value[:, j]) - step * before**2 / (4 * (after - before))
    np.minimum.at(lowest, place, bottom)
    return np.stack([semantic, corner, displaced, complete]), weights @ rim.value[:, -1] - lowest


def _basis(order: int = _ORDERS[-1]) -> list[SpectralLoss]:
    """The losses of the targets 0, softmax and the identity matrix."""
    family = positional_semantic_family(order)
    return [family.at(target) for target in ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])]


def _functions(values: list[Array]) -> Array:
    """From a quantity of the three losses to that of the three functions of `search`: the model's part comes once."""
    return np.array([values[0], values[1] - values[0], values[2] - values[0]])


@functools.lru_cache(maxsize=1)
def _escapes() -> Array:
    hessians = [loss.hessian(0.0, 0.0) for loss in _basis()]
    return _functions([hessian[0, 0] - hessian[1, 1] for hessian in hessians])


@functools.lru_cache(maxsize=3)
def _rim(intervals: int) -> _Rim:
    number = max(intervals, _LEVELS[1])
    t = np.linspace(0, 1, number + 1)
    m, eps = np.sqrt(t), np.sqrt(1 - t)
    value = _functions([loss.value(m, eps) - loss.target_norm2 for loss in _basis()])
    rough, slope = (_functions([_rim_slope(loss, m, eps) for loss in _basis(order)]) for order in _ORDERS)
    # what the shorter sum over k leaves out exceeds what the longer one does
    error = np.abs(slope - rough) + 1e-11
    second = np.abs(np.diff(slope, 2, axis=1)) * number**2
    # |T''| at the ends of each interval and at the nodes next to them
    padded = np.pad(second, ((0, 0), (2, 2)), mode="edge")
    bend = _SAFETY * np.max([padded[:, i : i + number] for i in range(4)], axis=0)
    every = number // intervals
    return _Rim(value[:, ::every], slope[:, ::every], error[:, ::every], bend.reshape(3, intervals, every).max(axis=2))


def _rim_slope(loss: SpectralLoss, m: Array, eps: Array) -> Array:
    """R_m/m - R_eps/eps along the rim; at m = 0 and eps = 0 the quotients are second derivatives."""
    gradient = loss.gradient(m[1:-1], eps[1:-1])
    first, last = loss.gradient(0.0, 1.0), loss.gradient(1.0, 0.0)
    start = loss.hessian(0.0, 1.0)[0, 0] - first[1]
    end = last[0] - loss.hessian(1.0, 0.0)[1, 1]
    return np.concatenate([[start], gradient[0] / m[1:-1] - gradient[1] / eps[1:-1], [end]])


@functools.lru_cache(maxsize=1)
def interior_margin(intervals: int = 256) -> float:
    """A lower bound of D = -R_m/m on the disk for the target softmax, less what may hide between the nodes.

    On a uniform grid of (m, eps) >= 0 (R is even); h^2/8 (|D_mm| + |D_ee|) bounds the error of interpolation.
    """
    x = np.linspace(0, 1, intervals + 1)
    loss = _basis()[1]
    values = np.empty((len(x), len(x)))
    values[1:] = -loss.gradient(x[1:, None], x[None, :])[0] / x[1:, None]
    values[0] = -loss.hessian(np.zeros(1), x)[0, 0]
    near = np.add.outer(x**2, x**2) <= (1 + 2 / intervals) ** 2
    bends = [np.abs(np.diff(values, 2, axis=axis)) for axis in (0, 1)]
    both = bends[0][:, 1:-1] + bends[1][1:-1]
    return float(values[near].min() - _SAFETY * both[near[1:-1, 1:-1]].max() / 8)


__all__ = ["DiskMinima", "interior_margin", "search"]
