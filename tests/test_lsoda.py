"""One trajectory until an event: ds/dt = 1 + s^2 from 0 is s = tan t."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sie_sym.errors import SieSymError
from sie_sym.flows.lsoda import FIXED_POINT, RECOVERY, TIME, sampled, until
from sie_sym.numeric import FloatArray


def tangent(t: float, s: FloatArray) -> FloatArray:
    return 1 + s * s


def above(threshold: float) -> Callable[[FloatArray], float]:
    return lambda s: float(s[0]) - threshold


def test_until_an_event_the_end_or_rest() -> None:
    t, s, ended = until(tangent, np.zeros(1), 1.5, above(1.0), 1e-11, 1e-14)
    assert (ended, t) == (RECOVERY, pytest.approx(math.pi / 4, rel=1e-10))
    assert s[0] == pytest.approx(1, rel=1e-9)
    t, s, ended = until(tangent, np.zeros(1), 0.5, above(1.0), 1e-11, 1e-14)
    assert (t, ended, s[0]) == (0.5, TIME, pytest.approx(math.tan(0.5), rel=1e-9))
    t, s, ended = until(tangent, np.zeros(1), 0.5, above(1.0), 1e-11, 1e-14, lambda t, s: s[0] > 0.1)
    assert ended == FIXED_POINT
    assert s[0] == pytest.approx(math.tan(t), rel=1e-9)


def test_states_at_given_times() -> None:
    t = np.linspace(0, 1.2, 7)
    np.testing.assert_allclose(sampled(tangent, np.zeros(1), t, 1e-11, 1e-14)[:, 0], np.tan(t), rtol=1e-9)


def test_a_pole_is_an_error() -> None:
    with np.errstate(all="ignore"), pytest.raises(SieSymError, match=r"at t = 1\.57"):
        until(tangent, np.zeros(1), 2.0, above(math.inf), 1e-11, 1e-14)
