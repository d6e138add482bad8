"""Flows against solutions by hand, against mpmath and DOP853, and against the laws they cannot break."""

from __future__ import annotations

import math
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from sie_sym.errors import SieSymError
from sie_sym.flow import gradient_flow, gradient_flow_batch, weak_recovery_time
from sie_sym.numeric import NumericLoss

m, eps = sp.symbols("m eps", real=True)
u = 3 * eps / 2

LINEAR = NumericLoss(7 - 4 * m**2, (m,))
"""Theory section 9 at P = 0: linear attention, L = 2, g = He_2(z1) + He_2(z2); dm/dt = 8 m (1 - m^2)."""
TWO = NumericLoss(4 - 4 * m**2 + (u**4 + 12 * u**2 + 12) / 4, (m, eps))
"""Theory section 9: the same with C = (1, 1/2)."""
CUBIC = NumericLoss(-(m**3) / 3, (m,))
"""SIE 3: dm/dt = (1 - m^2) m^2."""


def tilted(c: float) -> NumericLoss:
    """R = -2 c m (SIE 1): m = tanh(2 c t + artanh m0)."""
    return NumericLoss(-2 * sp.nsimplify(c) * m, (m,))


@pytest.mark.parametrize("m0", [1e-8, 1e-3, -0.2, 0.9])
def test_quadratic_loss_by_the_logistic_solution(m0):
    """m^2/(1 - m^2) grows as e^{16 t}."""
    flow = gradient_flow(LINEAR, [m0], 2.0)
    odds = m0**2 / (1 - m0**2) * np.exp(16 * flow.t)
    exact = math.copysign(1, m0) * np.sqrt(odds / (1 + odds))
    np.testing.assert_allclose(flow.states[:, 0], exact, rtol=1e-9)
    np.testing.assert_allclose(flow.losses, 7 - 4 * exact**2, rtol=0, atol=1e-8)
    assert flow.states.shape == (200, 1)
    assert flow.statistics == (m,)


@pytest.mark.parametrize(("c", "m0"), [(1, 0.0), (0.5, -0.9), (-2, 0.3)])
def test_linear_loss_by_the_hyperbolic_tangent(c, m0):
    flow = gradient_flow(tilted(c), [m0], 1.5, samples=30)
    np.testing.assert_allclose(flow.states[:, 0], np.tanh(2 * c * flow.t + math.atanh(m0)), rtol=0, atol=1e-9)
    assert flow.ended == "time"
    assert flow.t[-1] == 1.5


@pytest.mark.parametrize("m0", [1e-2, 1e-4])
def test_escape_time_of_a_cubic_loss(m0):
    """int dm / (m^2 (1 - m^2)) = -1/m + artanh m."""
    expected = 1 / m0 - 2 + math.atanh(0.5) - math.atanh(m0)
    assert weak_recovery_time(CUBIC, [m0], 0.5, 2 / m0) == pytest.approx(expected, rel=1e-9)
    flow = gradient_flow(CUBIC, [m0], 2 / m0, recovery=("m", 0.5))
    assert flow.ended == "weak recovery"
    assert flow.t[-1] == flow.recovery_time == pytest.approx(expected, rel=1e-9)
    assert flow.states[-1, 0] == pytest.approx(0.5, rel=1e-8)


def test_two_statistics_against_mpmath():
    """Reference: Taylor series steps of mpmath at 20 digits of the two equations written by hand."""
    ctx = mpmath.MPContext()
    ctx.dps = 20

    def field(t, s):
        a, e = s
        r_m, r_e = -8 * a, ctx.mpf(3) / 2 * ((3 * e / 2) ** 3 + 6 * (3 * e / 2))
        pull = a * r_m + e * r_e
        return [pull * a - r_m, pull * e - r_e]

    solution = ctx.odefun(field, 0, [ctx.mpf("0.05"), ctx.mpf("0.3")], tol=ctx.mpf(10) ** -15)
    flow = gradient_flow(TWO, [0.05, 0.3], 0.6, samples=5)
    expected = [[float(v) for v in solution(t)] for t in flow.t]
    np.testing.assert_allclose(flow.states, expected, rtol=1e-9)


@pytest.mark.parametrize("case", ["rate", "gram"])
def test_finite_rate_and_gram_matrix_against_dop853(case):
    """Reference: the vector field written by hand with numpy, DOP853 at 1e-13."""
    gram = np.array([[1.0, 0.6], [0.6, 1.0]]) if case == "gram" else np.eye(2)
    rate = 0.02 if case == "rate" else 0.0

    def field(t, s):
        slope = np.array([-8 * s[0], 1.5 * ((1.5 * s[1]) ** 3 + 9 * s[1])])
        return -(gram - np.outer(s, s)) @ slope - rate / 2 * (30 + s[0] ** 2 * 5) * s

    start = [0.1, 0.25]
    exact = integrate.solve_ivp(field, (0, 0.8), start, method="DOP853", rtol=1e-13, atol=1e-15, dense_output=True)
    noise = {"rate": rate, "variance": 30 + 5 * m**2} if case == "rate" else {"gram": gram}
    flow = gradient_flow(TWO, start, 0.8, samples=9, **noise)
    np.testing.assert_allclose(flow.states, exact.sol(flow.t).T, rtol=1e-9, atol=1e-10)
    batch = gradient_flow_batch(TWO, [start, [0.0, 0.1]], 0.8, samples=9, **noise)
    np.testing.assert_allclose(batch.states[0], exact.sol(batch.t).T, rtol=1e-9, atol=1e-10)
    assert case == "rate" or batch.states[1, -1, 0] != 0
    if case == "rate":
        by_callable = gradient_flow(TWO, start, 0.8, samples=9, rate=rate, variance=lambda a, e: 30 + 5 * a**2)
        np.testing.assert_allclose(by_callable.states, flow.states, rtol=1e-12)


def test_noise_bounds_the_useful_rate():
    """Theory section 6: lambda = -8 at the origin, so gamma_max = 16 / V(0); around it m decays or grows."""
    for rate, final in ((1.05 * 16 / 40, 0), (0.95 * 16 / 40, 1)):
        flow = gradient_flow(LINEAR, [1e-3], 0.5, rate=rate, variance=40.0)
        assert (abs(flow.states[-1, 0]) > 1e-3) == bool(final)


# -- endings


@pytest.mark.parametrize("start", [[0.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
def test_a_fixed_start_ends_at_once(start):
    flow = gradient_flow(TWO, start, 1e9)
    assert flow.ended == "fixed point"
    assert flow.t.tolist() == [0.0]
    assert flow.states.tolist() == [start]
    batch = gradient_flow_batch(TWO, [start, start], 1e9, samples=3)
    assert batch.states[1].tolist() == [start] * 3


def test_long_horizons_end_at_the_fixed_point():
    flow = gradient_flow(TWO, [1e-9, 0.5], 1e8)
    assert flow.ended == "fixed point"
    assert flow.t[-1] < 20
    np.testing.assert_allclose(flow.states[-1], [1, 0], rtol=0, atol=1e-8)
    assert np.abs(flow.states).max() <= 1 + 1e-9


def test_decay_to_the_origin_is_a_fixed_point_and_slow_escape_is_not():
    flow = gradient_flow(NumericLoss(m**2 / 2, (m,)), [0.3], 1e6)
    assert flow.ended == "fixed point"
    assert abs(flow.states[-1, 0]) < 1e-9
    # the fast statistic decays at rate 1, the slow one needs t = 1e4
    slow = NumericLoss(eps**2 / 2 - m**3 / 3, (m, eps))
    flow = gradient_flow(slow, [1e-4, 0.1], 1e5, recovery=("m", 0.5))
    assert flow.ended == "weak recovery"
    assert flow.recovery_time == pytest.approx(1e4, rel=0.1)
    # SIE 4 from m = 1e-5, dm/dt = m^3 beside a relaxation at rate 1: escape near 1 / (2 m^2)
    slower = NumericLoss(eps**2 / 2 - m**4 / 4, (m, eps))
    assert weak_recovery_time(slower, [1e-5, 0.0], ("m", 0.5), 1e10) == pytest.approx(5e9, rel=1e-3)
    assert gradient_flow(slower, [1e-5, 0.0], 1e10).states[-1, 0] > 0.9


def test_a_start_on_an_axis_can_leave_zero():
    assert gradient_flow(tilted(1), [0.0], 1.0).states[-1, 0] == pytest.approx(math.tanh(2), abs=1e-9)


def test_recovery_before_the_start_never_and_by_statistic():
    assert weak_recovery_time(LINEAR, [0.5], 0.3, 1.0) == 0
    assert weak_recovery_time(LINEAR, [1e-6], 0.5, 0.1) == math.inf
    assert weak_recovery_time(LINEAR, [0.0], 0.5, 0.1) == math.inf
    # |s| starts above the threshold, m below: log(50)/8 to leading order
    assert weak_recovery_time(TWO, [0.01, 0.6], 0.5, 5.0) == 0
    assert 0.3 < weak_recovery_time(TWO, [0.01, 0.6], ("m", 0.5), 5.0) < 1
    assert weak_recovery_time(TWO, [0.01, 0.6], (m, 0.5), 5.0) == weak_recovery_time(TWO, [0.01, 0.6], ("m", 0.5), 5.0)


def test_recovery_is_that_of_the_positional_means():
    """Def. 1 reads e = C eps: with R = -eps from 0, eps = tanh t and |(e, m)| = 5 tanh t for C = (3, 4)."""
    loss, encoding = NumericLoss(-eps, (m, eps)), [[3], [4]]
    expected = math.atanh(0.1)
    assert weak_recovery_time(loss, [0, 0], 0.5, 9.0, encoding=encoding) == pytest.approx(expected, rel=1e-9)
    assert weak_recovery_time(loss, [0, 0], 0.5, 9.0) == pytest.approx(math.atanh(0.5), rel=1e-9)
    assert weak_recovery_time(loss, [0, 0], ("eps", 0.5), 9.0, encoding=encoding) == pytest.approx(math.atanh(0.5))
    batch = gradient_flow_batch(loss, [[0, 0], [0, 0.2]], 1.0, recovery=0.5, encoding=encoding, samples=2)
    np.testing.assert_allclose(batch.recovery_times, [expected, 0], rtol=1e-9)
    # orthonormal columns change nothing
    turned = np.array([[3], [4]]) / 5
    assert weak_recovery_time(loss, [0, 0], 0.5, 9.0, encoding=turned) == pytest.approx(math.atanh(0.5), rel=1e-9)


def test_loss_with_infinite_slope_on_the_sphere():
    """R = -arcsin(m): dm/dt = sqrt(1 - m^2), so m = sin t until it reaches 1 at pi/2."""
    arc = NumericLoss(-sp.asin(m), (m,))
    flow = gradient_flow(arc, [0.0], 1.4)
    np.testing.assert_allclose(flow.states[:, 0], np.sin(flow.t), rtol=0, atol=1e-9)


def test_a_loss_that_is_undefined_outside_the_ball():
    """dm/dt = 8 m (1 - m^2): trial points past m = 1 are the integrator's own, and no reason to fail."""

    def gradient(a):
        if np.any(np.abs(a) > 1):
            raise SieSymError("outside")
        return np.stack([-8 * np.asarray(a)])

    loss = numerical(lambda a: 7 - 4 * np.asarray(a) ** 2, gradient)
    start = 0.999
    odds = start**2 / (1 - start**2) * math.exp(16 * 3)
    assert gradient_flow(loss, [start], 3.0).states[-1, 0] == pytest.approx(math.sqrt(odds / (1 + odds)))
    batch = gradient_flow_batch(loss, [[start], [1.0], [-1.0]], 3.0)
    np.testing.assert_allclose(batch.states[:, -1, 0], [1, 1, -1])


# -- batches


def test_batch_agrees_with_single_flows_and_with_the_logistic_solution():
    starts = np.random.default_rng(3).normal(size=(40, 2)) * 0.1
    batch = gradient_flow_batch(TWO, starts, 1.0, recovery=("m", 0.5), samples=50)
    assert batch.states.shape == (40, 50, 2)
    assert batch.losses.shape == (40, 50)
    for j in range(0, 40, 8):
        single = gradient_flow(TWO, starts[j], 1.0, samples=50)
        np.testing.assert_allclose(batch.states[j], single.states, rtol=0, atol=2e-9)
        time = weak_recovery_time(TWO, starts[j], ("m", 0.5), 1.0)
        assert batch.recovery_times[j] == pytest.approx(time, rel=1e-8)
    assert np.isnan(gradient_flow_batch(LINEAR, [[1e-9]], 0.1, recovery=0.5, samples=2).recovery_times).all()
    assert gradient_flow_batch(LINEAR, [[0.6]], 0.1, recovery=0.5, samples=2).recovery_times[0] == 0


def test_each_start_of_a_batch_is_as_accurate_as_alone():
    """Starts that escape at other times, a fixed point among them; the logistic solution of LINEAR."""
    starts = np.array([1e-9, 1e-5, 0.3, 0.0, -0.99])[:, None]
    batch = gradient_flow_batch(LINEAR, starts, 2.0, recovery=0.9)
    odds = starts**2 / (1 - starts**2) * np.exp(16 * batch.t)
    np.testing.assert_allclose(batch.states[..., 0], np.sign(starts) * np.sqrt(odds / (1 + odds)), rtol=2e-10)
    with np.errstate(divide="ignore"):
        expected = np.log(0.81 / 0.19 * (1 - starts**2) / starts**2)[:, 0] / 16
    expected[[3, 4]] = math.nan, 0
    np.testing.assert_allclose(batch.recovery_times, np.where(expected > 2, math.nan, expected), rtol=2e-10)


def test_one_start_among_many_at_rest_is_as_accurate_as_alone():
    starts = np.zeros((2000, 1))
    starts[7] = 1e-3
    batch = gradient_flow_batch(LINEAR, starts, 1.0, samples=50)
    odds = 1e-6 / (1 - 1e-6) * np.exp(16 * batch.t)
    np.testing.assert_allclose(batch.states[7, :, 0], np.sqrt(odds / (1 + odds)), rtol=0, atol=2e-11)


def test_a_batch_is_integrated_in_parts(monkeypatch):
    starts = np.random.default_rng(4).normal(size=(7, 2)) * 0.1
    whole = gradient_flow_batch(TWO, starts, 0.7, recovery=0.3, samples=20)
    monkeypatch.setattr("sie_sym.flow._TOGETHER", 6)
    parts = gradient_flow_batch(TWO, starts, 0.7, recovery=0.3, samples=20)
    np.testing.assert_allclose(parts.states, whole.states, rtol=0, atol=1e-10)
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=0, atol=1e-9)
    np.testing.assert_allclose(parts.recovery_times, whole.recovery_times, rtol=1e-9)
    assert np.isfinite(whole.recovery_times).all()


def test_batch_rests_at_fixed_points_for_long_horizons():
    batch = gradient_flow_batch(LINEAR, [[0.1], [-1e-6], [0.0]], 1e6, samples=11)
    np.testing.assert_allclose(batch.states[:, -1, 0], [1, -1, 0], rtol=0, atol=1e-8)


# -- numerical losses, and the flow's own checks


def numerical(value, gradient):
    return SimpleNamespace(statistics=(m,), value=value, gradient=gradient, hessian=lambda a: np.full((1, 1), -8.0))


def test_numerical_losses_flow_like_formulas():
    loss = numerical(lambda a: 7 - 4 * np.asarray(a) ** 2, lambda a: np.stack([-8 * np.asarray(a)]))
    exact = gradient_flow(LINEAR, [0.01], 1.0)
    np.testing.assert_allclose(gradient_flow(loss, [0.01], 1.0).states, exact.states, rtol=1e-9)
    batch = gradient_flow_batch(loss, [[0.01], [0.2]], 1.0, samples=200)
    np.testing.assert_allclose(batch.states[0], exact.states, rtol=1e-8)


def test_a_gradient_of_another_loss_is_found_out():
    liar = numerical(lambda a: 7 + 4 * np.asarray(a) ** 2, lambda a: np.stack([-8 * np.asarray(a)]))
    with pytest.raises(SieSymError, match=r"the loss increases by .* along its own gradient flow"):
        gradient_flow(liar, [0.01], 1.0)
    with pytest.raises(SieSymError, match="the loss increases"):
        gradient_flow_batch(liar, [[0.01], [0.2]], 1.0)


def test_a_negative_variance_leaves_the_ball():
    with pytest.raises(SieSymError, match="left the ball"):
        gradient_flow(LINEAR, [0.5], 0.2, rate=1.0, variance=-30.0)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([0.1, math.nan], "not finite"),
        ([0.8, 0.7], r"\(m, eps\) = \(0.8, 0.7\) lies outside the ball: its squared norm is 1.13"),
        ([0.1], "1 numbers for the 2 statistics"),
        (0.1, "1 numbers for the 2 statistics"),
        (["a", "b"], "not made of numbers"),
        ([[0.1, 0.1]], "use gradient_flow_batch"),
    ],
)
def test_bad_starts(start, message):
    with pytest.raises(SieSymError, match=message):
        gradient_flow(TWO, start, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": -1.0}, "time -1.0"),
        ({"time": math.inf}, "finite horizon"),
        ({"samples": 1}, "1 samples"),
        ({"rate": -0.1}, "learning rate -0.1"),
        ({"rate": 0.1}, "pass variance=V"),
        ({"rtol": 1e-3}, "rtol = 0.001"),
        ({"recovery": 0.0}, "threshold 0.0"),
        ({"recovery": ("q", 0.5)}, "weak recovery of q"),
        ({"gram": [[1, 2], [2, 1]]}, "positive definite"),
        ({"gram": [[1]]}, "2 x 2"),
        ({"recovery": 0.5, "encoding": [[1, 2]]}, r"encoding of shape \(1, 2\) for 1 positional"),
        ({"recovery": 0.5, "encoding": [[math.inf]]}, "finite row"),
        ({"rate": 1.0, "variance": sp.Symbol("q")}, "--param q=VALUE"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(SieSymError, match=message):
        gradient_flow(TWO, [0.1, 0.1], **{"time": 1.0, **options})


def test_bad_batches():
    with pytest.raises(SieSymError, match=r"starts of shape \(2,\)"):
        gradient_flow_batch(TWO, [0.1, 0.1], 1.0)
    with pytest.raises(SieSymError, match="outside the ball"):
        gradient_flow_batch(TWO, [[0.1, 0.1], [1, 1]], 1.0)


def test_the_gram_matrix_shapes_the_domain():
    gram = [[1.0, 0.8], [0.8, 1.0]]
    with pytest.raises(SieSymError, match="outside the ball"):
        gradient_flow(TWO, [0.5, -0.5], 1.0, gram=gram)
    assert gradient_flow(TWO, [0.9, 0.9], 0.1, gram=gram).ended == "time"


# -- laws


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=9, max_size=9),
    st.floats(0.05, 1.0),
    st.floats(0, 2 * math.pi),
    st.floats(-0.8, 0.8),
)
def test_every_polynomial_loss_decreases_inside_its_domain(coefficients, radius, angle, omega):
    """dR/dt = -grad R (Gamma - s s^T) grad R <= 0; s^T Gamma^{-1} s <= 1 and its boundary are invariant."""
    terms = [m**i * eps**j for i in range(3) for j in range(3)]
    loss = NumericLoss(sum(c * term for c, term in zip(coefficients, terms, strict=True)), (m, eps))
    gram = np.array([[1, omega], [omega, 1]])
    start = np.linalg.cholesky(gram) @ (radius * (1 - 1e-14) * np.array([math.cos(angle), math.sin(angle)]))
    flow = gradient_flow(loss, start, 1.0, gram=gram, samples=20)
    norms = np.einsum("ti,ij,tj->t", flow.states, np.linalg.inv(gram), flow.states)
    assert norms.max() <= 1 + 1e-9
    assert np.diff(flow.losses).max(initial=0) <= 1e-9
    if radius == 1.0:
        np.testing.assert_allclose(norms, 1, rtol=0, atol=1e-6)
