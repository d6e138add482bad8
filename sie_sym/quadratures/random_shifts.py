r"""Uniform grids at random places: an unbiased mean and its confidence interval, for functions with kinks and jumps.

At a jump J of h, or J' of its slope, between two nodes of step s the trapezoidal rule errs by up to s |J|/2 or
s^2 |J'|/12, times the weight there, with a sign that depends on the place of the kink between the nodes.  Two grids, or
two kinks on one grid, can agree by accident.  The mean over all places of the grid is the integral itself, so that
grids at random places are independent unbiased estimates, and how they scatter tells the error of their mean
(Student's t).
"""

from __future__ import annotations

import numpy as np

from sie_sym.quadratures.quadrature import Array, NumericFunction

SHIFTS = 8
"""Grids of which the mean is taken."""
_STUDENT = 5.4079
"""99.9% two-sided quantile of Student's t with SHIFTS - 1 degrees of freedom."""
_BINOMIAL = (1.0, -4.0, 6.0, -4.0, 1.0)
_POINTS, _REACH = 1024, 6.0
_ROUNDING = 1e-11


def random_grids(tokens: int, seed: int) -> list[tuple[float, float, tuple[float, ...]]]:
    """(step, range, offsets in steps along the axes) of each grid, relative to the finest and largest.

    Other ranges, because what lies beyond a range scatters too.  Other steps, because grids of one step scatter rarely,
    but then far, where two jumps are a whole number of steps apart.
    """
    share = np.linspace(0, 1, SHIFTS)
    offsets = np.random.default_rng(seed).uniform(size=(SHIFTS, tokens))
    return [
        (1 + 0.3 * float(s), 1 - 0.03 * float(s), tuple(map(float, row))) for s, row in zip(share, offsets, strict=True)
    ]


def half_width(deviations: Array) -> Array:
    """The 99.9% confidence half-width of the means, from the deviations of the grids (first axis)."""
    return np.asarray(_STUDENT * np.sqrt(np.square(deviations).sum(axis=0) / (SHIFTS * (SHIFTS - 1))))


def has_kinks(function: NumericFunction, tokens: int) -> bool:
    """Whether h: (L, N) -> (k, N) or one of its first three derivatives jumps, as seen on some random lines.

    Halving the step divides the fourth differences of a smooth function by 16, those at a jump of the j-th derivative
    by 2^j.

    >>> has_kinks(lambda z: np.abs(z[:1] - z[1:]), 2), has_kinks(lambda z: np.tanh(3 * z[:1] * z[1:]), 2)
    (True, False)
    """
    generator = np.random.default_rng(4)
    origin, direction = generator.standard_normal((2, tokens, 2 * tokens, 1))
    direction /= np.sqrt((direction**2).sum(axis=0))
    points = origin + direction * np.linspace(-_REACH, _REACH, _POINTS)
    weight = np.exp(-np.square(points).sum(axis=0) / 4)
    values = np.asarray(function(points.reshape(tokens, -1)), dtype=float).reshape(-1, *points.shape[1:])

    def largest(stride: int) -> Array:
        ends = [slice(j * stride, _POINTS - (4 - j) * stride) for j in range(5)]
        total = sum((b * values[..., end] for b, end in zip(_BINOMIAL, ends, strict=True)), np.zeros(1))
        return np.asarray((np.abs(total) * weight[:, ends[2]]).max(axis=(1, 2)))

    fine, coarse = largest(1), largest(2)
    size = np.abs(values * weight).max(axis=(1, 2))
    return bool(((fine > _ROUNDING * size) & (coarse < 12 * fine)).any())


__all__ = ["SHIFTS", "half_width", "has_kinks", "random_grids"]
