"""When a flow rests, on ds/dt = s (1 - s) of solutions by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sie_sym.flows.rest import Rest
from sie_sym.numeric import FloatArray


def logistic(s: FloatArray) -> FloatArray:
    return s * (1 - s)


@pytest.mark.parametrize(
    ("state", "rests"),
    [
        (0.0, True),
        (1.0, True),
        (1 - 1e-11, True),  # its relative rate 1e-11 is below 1e-9 of the relaxation rate 1
        (1 - 1e-7, False),
        (0.5, False),
        (1e-12, False),  # tiny, but growing at rate 1
        (1e-311, False),
    ],
)
def test_rest_of_the_logistic_equation(state: float, rests: bool) -> None:
    assert Rest(logistic, np.array([0.5]), 10.0)(0.0, np.array([state])) == rests


def test_a_statistic_that_is_almost_0_and_moves_does_not_rest() -> None:
    """Its relative rate 1/1e-311 overflows."""
    assert not Rest(np.ones_like, np.array([1e-311]), 10.0)(0.0, np.array([1e-311]))


def test_growth_needs_time_to_count() -> None:
    """ds/dt = s^3 grows at the rate s^2 = 1e-10: an escape if 1e7 units of time are left; beside a relaxation at 1."""

    def slow(s: FloatArray) -> FloatArray:
        return np.array([s[0] ** 3, -s[1]])

    state = np.array([1e-5, 0.0])
    assert not Rest(slow, state, 2e7)(0.0, state)
    assert Rest(slow, state, 2e6)(0.0, state)


def test_decay_rests_far_below_its_start_and_all_must_rest() -> None:
    def decay(s: FloatArray) -> FloatArray:
        return -s

    rests = Rest(decay, np.array([[0.3, 0.3]]), 100.0)
    assert rests(0.0, np.array([[1e-11, -1e-12]]))
    assert not rests(0.0, np.array([[1e-11, 1e-9]]))
