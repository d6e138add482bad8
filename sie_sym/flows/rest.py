"""When a flow rests: each statistic is still beside the local rate of relaxation, or decays far below its start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.numeric import FloatArray

_STILL = 1e-9
"""A statistic is still when its relative rate is this fraction of the local rate of relaxation."""


class Rest:
    """Decides whether trajectories from `start` (1 + r, ...) rest for good before `time`; `velocity` is ds/dt at s."""

    def __init__(self, velocity: Callable[[FloatArray], ArrayLike], start: FloatArray, time: float) -> None:
        self.velocity = velocity
        self.time = time
        self.negligible = 1e-10 * np.where(start == 0, 1.0, np.abs(start)).min(axis=0)

    def __call__(self, t: float, s: FloatArray) -> bool:
        """Whether all of `s` (1 + r, ...) rests at time t."""
        velocity = np.asarray(self.velocity(s))
        size, speed = np.abs(s), np.abs(velocity)
        with np.errstate(over="ignore"):  # of the rate of a statistic that is almost 0
            rates = np.divide(speed, size, out=np.where(speed > 0, np.inf, 0.0), where=size > 0)
        decays = ((s * velocity < 0) | (velocity == 0)) & (size <= self.negligible)
        if not np.all(decays | (rates < np.inf)):
            return False
        # a tiny statistic that grows is an escape, however slow (SIE >= 3), if the time left suffices
        grows = (s * velocity > 0) & (size < 1e-2) & (rates * (self.time - t) >= 1e-3)
        if np.any(grows & ~decays):
            return False
        return bool(np.all(decays | (rates <= _STILL * self._relaxation(s, velocity))))

    def _relaxation(self, s: FloatArray, velocity: FloatArray) -> FloatArray:
        """The largest entry of the Jacobian, by differences taken towards the inside of the ball."""
        entries = []
        for j in range(len(s)):
            h = np.where(s[j] > 0, -1e-7, 1e-7)
            moved = s.copy()
            moved[j] += h
            entries.append(np.abs((np.asarray(self.velocity(moved)) - velocity) / h).max(axis=0))
        return np.asarray(np.max(entries, axis=0))
