"""SGD, its finite-rate ODE and the gradient flow: how far apart they are, measured, for four models.

The page `derivations.three_levels` measures; here the same with more replicas and dimensions, and its pieces by hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from derivations import three_levels
from derivations.three_levels import Case, Ensemble, cases, ensemble, linear_noise, rate_ratio, recovery
from sie_sym.numeric import FloatArray

CASES = {case.name: case for case in cases()}
LINEAR = CASES["linear attention"]
FULL = (100, 300, 800)


@pytest.fixture(scope="module", params=CASES)
def measured(request: pytest.FixtureRequest) -> tuple[Case, Ensemble]:
    case = CASES[request.param]
    return case, ensemble(case, FULL, 600)


# ---- finite rate against gradient flow ---------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_twice_the_rate_is_twice_the_difference(name: str) -> None:
    assert rate_ratio(CASES[name]) == pytest.approx(2, abs=0.01)


def linear_attention_noise(m: float) -> float:
    """V = 16 E (g - u^2)^2 u^2, g = A^2 + D^2 - 2, u = m A + sqrt(1 - m^2) H: by Gauss-Hermite, exact at 8 nodes."""
    x, w = np.polynomial.hermite_e.hermegauss(8)
    A, D, H = np.meshgrid(x, x, x, indexing="ij")
    weights = w[:, None, None] * w[None, :, None] * w[None, None, :] / (2 * math.pi) ** 1.5
    u = m * A + math.sqrt(1 - m * m) * H
    return float((16 * (A**2 + D**2 - 2 - u**2) ** 2 * u**2 * weights).sum())


def test_the_ode_of_linear_attention_by_hand() -> None:
    """dm/dt = 8 m (1 - m^2) - (gamma/2) V m (theory section 9), integrated by DOP853; the flow by its solution."""

    def field(t: float, s: FloatArray) -> list[float]:
        m = float(s[0])
        return [8 * m * (1 - m * m) - LINEAR.rate / 2 * linear_attention_noise(m) * m]

    expected = integrate.solve_ivp(field, (0, LINEAR.time), [0.3], method="DOP853", rtol=1e-11, atol=1e-12).y[0, -1]
    assert LINEAR.ode(LINEAR.rate) == pytest.approx(expected, rel=1e-8)
    odds = 0.09 / 0.91 * math.exp(16 * LINEAR.time)
    assert LINEAR.ode(0.0) == pytest.approx(math.sqrt(odds / (1 + odds)), rel=1e-8)


# ---- SGD against the ODE -----------------------------------------------------------------------


@pytest.mark.slow
def test_fluctuations_shrink_as_the_root_of_the_dimension(measured: tuple[Case, Ensemble]) -> None:
    slope, error = measured[1].slopes()
    assert (error < 0.03).all()
    assert (np.abs(slope + 0.5) < 3 * error + 0.02).all()  # 0.02: the next order, 1/d at d = 100


@pytest.mark.slow
def test_fluctuations_have_the_size_of_linear_noise(measured: tuple[Case, Ensemble]) -> None:
    case, found = measured
    predicted, error = linear_noise(case, 9, 100_000)
    deviations = found.deviations[-1] * math.sqrt(FULL[-1])
    uncertain = np.hypot(found.uncertainties[-1], error)
    assert (uncertain < 0.06).all()
    assert (np.abs(deviations / predicted - 1) < 3 * uncertain + 0.02).all()


@pytest.mark.slow
def test_the_mean_of_sgd_is_the_ode_and_not_the_flow(measured: tuple[Case, Ensemble]) -> None:
    case, found = measured
    limit, flow = case.ode(case.rate), case.ode(0.0)
    for d, mean, error in zip(FULL, found.means, found.errors, strict=True):
        assert (np.abs(mean - limit) < 4 * error + 4 / d).all()
    mean, error = found.extrapolated()
    assert (np.abs(mean - limit) < 4 * error).all()
    assert np.abs(found.means[-1] - flow)[0] > 10 * (found.errors[-1][0] + 1 / FULL[-1])


def test_the_linear_noise_of_a_single_step_is_that_of_the_moments() -> None:
    """At s = 0: D = Var sum_l delta_l a_l = 16 E (g - u^2)^2 u^2 A^2 = 240, by (k - 1)!!, u independent of z* there.

    16 E g^2 A^2 = 192 (E He_2^2 A^2 = 10, E He_2(D)^2 = 2), 16 E u^6 = 240, -32 E g A^2 E u^4 = -192; the mean is 0.
    """
    covariance, error = LINEAR.step_covariance((0.0,), 0.01, 400_000, 1)
    assert error < 0.03
    assert covariance[0, 0] == pytest.approx(240, rel=4 * error)
    assert float(LINEAR.noise(0.0)) == pytest.approx(linear_attention_noise(0.0))


# ---- weak recovery -----------------------------------------------------------------------------

# the fraction of gamma_max, d, and how long the flow needs
SETTINGS = {
    "linear attention": (0.6, 150, 0.7),
    "tied relu": (0.5, 150, 6.0),
    "softmax, trace": (0.5, 150, 4.5),
    "positional-semantic": (0.4, 300, 24.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_recovery_times_are_those_of_widened_starts(name: str) -> None:
    fraction, dimension, time = SETTINGS[name]
    found = recovery(CASES[name], fraction, dimension, 400, time)
    assert np.isfinite(found.sgd).mean() > 0.95
    plain, widened = found.p_values
    assert widened > 1e-2
    # the noise is as large as the start: SGD is earlier by log(widening)/2 growth times
    assert found.widening > 1.3
    assert np.median(found.sgd) < np.median(found.plain)
    assert plain < 1e-2


@pytest.mark.slow
def test_at_small_rates_the_starts_decide() -> None:
    found = recovery(LINEAR, 0.08, 100, 400, 0.7)
    assert found.widening < 1.1
    assert min(found.p_values) > 1e-2
    # starts twice as wide, log(2)/8 earlier (at the rate 8 - gamma V(0)/2, about), would be seen
    assert stats.ks_2samp(found.sgd, found.plain - math.log(2) / 8).pvalue < 1e-6


def test_recovery_times_of_the_ode_by_the_logistic_solution() -> None:
    """Without rate, linear attention: m^2/(1 - m^2) = m0^2/(1 - m0^2) e^{16 t} reaches 1/3 at m = 1/2."""
    starts = np.array([[0.01], [-0.1], [0.6], [0.0]])
    times = three_levels._ode_times(LINEAR, 0.0, starts, 1.0, 0.5)
    expected = [math.log((1 / 3) * (1 - s * s) / (s * s)) / 16 for s in (0.01, 0.1)]
    assert times[:2] == pytest.approx(expected, abs=1e-4)
    assert times[2] == 0.0
    assert times[3] == math.inf


def test_the_slope_is_that_of_a_power_law() -> None:
    rng = np.random.default_rng(0)
    dimensions = (50, 200, 800)
    deviations = np.array([[d**-0.3, 2 * d**-0.7] for d in dimensions]) * np.exp(0.01 * rng.standard_normal((3, 2)))
    found = Ensemble(dimensions, deviations, deviations, deviations, np.full((3, 2), 0.01))
    slope, error = found.slopes()
    assert slope == pytest.approx([-0.3, -0.7], abs=0.02)
    assert error == pytest.approx([0.01 / (math.sqrt(2) * math.log(4))] * 2)  # at log d = x, x +- log 4
    exact = Ensemble((50, 100), np.array([[1 + 2 / 50], [1 + 2 / 100]]), np.zeros((2, 1)), deviations, deviations)
    assert exact.extrapolated()[0] == pytest.approx([1.0])
