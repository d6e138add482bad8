"""The stacked Runge-Kutta method: what it integrates exactly, and tan t up to its pole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sie_sym.errors import SieSymError
from sie_sym.flows.dormand_prince import DormandPrince
from sie_sym.numeric import FloatArray


def power(degree: int) -> DormandPrince:
    """s = (t, x) with dx/dt = degree t^(degree - 1), from (0, 0) and (1, 1), in one step to t = 1."""

    def field(s: FloatArray, out: FloatArray) -> None:
        out[0], out[1] = 1.0, degree * s[0] ** (degree - 1)

    solver = DormandPrince(field, np.array([[0.0, 1.0], [0.0, 1.0]]), 1.0, 1e-6, np.full(2, 1e6))
    solver._proposed = 1.0
    solver.step()
    assert (solver.t_old, solver.t) == (0.0, 1.0)
    return solver


@pytest.mark.parametrize("degree", range(1, 10))
def test_a_step_is_exact_to_order_8_and_its_interpolant_to_order_7(degree: int) -> None:
    """On dx/dt = p(t) a method of order q is a quadrature exact to degree q - 1: x = t^q is exact, t^(q + 1) is not."""
    solver = power(degree)
    ends = solver.state[1] / [1, 2**degree] - 1
    assert (np.abs(ends).max() < 1e-14) == (degree <= 8)
    t = np.array([0.0, 0.1, 0.5, 0.77, 1.0])
    states = np.empty((5, 2, 2))
    solver.sample(t, states)
    np.testing.assert_allclose(states[:, 0].T, [t, 1 + t], atol=1e-14)
    inside = states[:, 1, 1] / (1 + t) ** degree - 1
    assert (np.abs(inside).max() < 1e-13) == (degree <= 7)
    second = solver.arcs(np.array([False, True]))
    np.testing.assert_allclose(second.at(np.array([0.5]))[:, 0], states[2, :, 1], rtol=1e-14)


def tangent(s: FloatArray, out: FloatArray) -> None:
    out[:] = 1 + s * s


def test_adaptive_steps_follow_every_start() -> None:
    starts = np.array([[0.0, -3.0, 1e-8, 1.0]])
    solver = DormandPrince(tangent, starts, 0.7, 1e-12, np.full(4, 1e-20))
    while solver.t < 0.7:
        solver.step()
        np.testing.assert_allclose(solver.state, np.tan(solver.t + np.arctan(starts)), rtol=1e-11)
        states = np.empty((1, 1, 4))
        t = (solver.t_old + 2 * solver.t) / 3
        solver.sample(np.array([t]), states)
        np.testing.assert_allclose(states[0], np.tan(t + np.arctan(starts)), rtol=1e-11)


def test_steps_that_meet_a_peak_are_taken_back() -> None:
    """s = (t, x), dx/dt = w/((t - 1/2)^2 + w^2): x = arctan((t - 1/2)/w) + arctan(1/(2 w)), almost a jump."""
    width = 1e-3

    def peak(s: FloatArray, out: FloatArray) -> None:
        out[0], out[1] = 1.0, width / ((s[0] - 0.5) ** 2 + width**2)

    solver = DormandPrince(peak, np.zeros((2, 1)), 1.0, 1e-10, np.full(1, 1e-10))
    while solver.t < 1:
        solver.step()
        expected = math.atan((solver.t - 0.5) / width) + math.atan(0.5 / width)
        assert solver.state[1, 0] == pytest.approx(expected, abs=1e-10)


def test_no_step_leads_past_a_pole() -> None:
    solver = DormandPrince(tangent, np.zeros((1, 2)), 2.0, 1e-9, np.full(2, 1e-12))

    def steps() -> None:
        while True:
            solver.step()

    with pytest.raises(SieSymError, match=r"2 starts fails at t = 1\.57"):
        steps()
    assert solver.t == pytest.approx(math.pi / 2, rel=1e-6)
