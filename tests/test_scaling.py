"""Medians of hitting times and the laws fitted to them: known distributions, known laws, and the flow of Prop. 2."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from derivations import figure_theorem_1, theorem_1_simulation
from derivations.figure_theorem_1_runs import (
    SERIES,
    UNIFORM,
    Point,
    Points,
    Series,
    Settings,
    exponent,
    rivals,
    simulate,
)
from sie_sym.errors import SieSymError
from sie_sym.functions import token
from sie_sym.model import ACTIVATION_VARIABLE, tied_network
from sie_sym.scaling import HittingTime, Law, fit, hitting_time, median
from sie_sym.sgd import SGDSettings
from sie_sym.simulation.fields import fields_of
from sie_sym.target import Target

DIMENSIONS = [100, 1000, 10**4, 10**5, 10**6]
LINEAR = fields_of(Target.of(token(1)), tied_network(1, ACTIVATION_VARIABLE))


def hits(law: Law, values: list[float], error: float = 0.01, noise: float = 0.0, seed: int = 0) -> list[HittingTime]:
    """Medians 3 times the law, disturbed by `noise` standard errors."""
    rng = np.random.default_rng(seed)
    log_d = np.log(DIMENSIONS)
    logs = math.log(3.0) + law.log_shape(log_d, values) + noise * error * rng.standard_normal(len(log_d))
    return [
        HittingTime(d, 0.1, float(n), error, 1.0, 100, 10**9) for d, n in zip(DIMENSIONS, np.exp(logs), strict=True)
    ]


@pytest.mark.parametrize(
    ("law", "values"),
    [
        (Law(None), [2.5]),
        (Law(1, p=None), [2.0]),
        (Law(1, p=None, b=None), [1.5, -2.0]),
        (Law(None, c=None), [2.0, -1.4]),
        (Law(2, c=0.5), []),
    ],
    ids=str,
)
def test_a_law_is_found_again(law: Law, values: list[float]) -> None:
    found = fit(law, hits(law, values))
    assert found.values == pytest.approx(values, abs=1e-5)
    assert math.exp(found.log_prefactor) == pytest.approx(3.0, rel=1e-4)
    assert found.chi_squared < 1e-8
    assert found.degrees == len(DIMENSIONS) - 1 - len(values)
    assert found.aic == pytest.approx(2 * (1 + len(values)), abs=1e-7)


def test_the_laws_are_what_they_say() -> None:
    d = np.array([50.0])
    shape = Law(1.5, p=2, b=-1, c=-2).log_shape(np.log(d), [])
    assert math.exp(shape[0]) == pytest.approx(50**1.5 * (math.log(50) - 1) ** 2 * (1 - 2 / math.sqrt(50)) ** 2)
    assert str(Law(2, p=None, b=None, c=-1.25)) == "A d^2 (log d + b)^p (1 - 1.25/sqrt d)^2"


def test_errors_are_those_of_repeated_experiments() -> None:
    # 400 synthetic experiments: the scatter of the fitted power, its stated error, and chi^2 = degrees on average.
    fits = [fit(Law(None), hits(Law(None), [2.0], 0.05, 1.0, seed)) for seed in range(400)]
    powers = np.array([found.values[0] for found in fits])
    assert powers.std() == pytest.approx(fits[0].errors[0], rel=0.15)  # 4 standard errors of a deviation of 400
    # the textbook formula of a weighted straight line: sigma / sqrt(sum (x - mean)^2)
    x = np.log(DIMENSIONS)
    assert fits[0].errors[0] == pytest.approx(0.05 / math.sqrt(((x - x.mean()) ** 2).sum()), rel=1e-6)
    assert np.mean([found.chi_squared for found in fits]) == pytest.approx(3, rel=0.17)
    assert abs(powers.mean() - 2) < 4 * fits[0].errors[0] / 20


def test_aic_prefers_the_law_that_made_the_medians() -> None:
    for power in (1, 2):
        points = [Point(hit, hit.steps) for hit in hits(Law(1, p=power, b=-1.1), [], 0.01, 1.0)]
        best, second, _ = rivals(points)
        assert best.law == Law(1, p=power, b=None)
        assert second.aic - best.aic > 20


@pytest.mark.parametrize("runs", [32, 129])
def test_the_error_of_a_median(runs: int) -> None:
    # log-normal times: the median's logarithm has the law of the median of normals, here by Monte Carlo
    samples = np.random.default_rng(1).standard_normal((4000, runs))
    scatter = float(np.median(samples, axis=1).std())
    errors = [median(np.exp(sample))[1] for sample in samples[:400]]
    # the bootstrap errs on the safe side by a few 1/sqrt(runs): by a tenth at 32 replicas
    assert 0.97 < np.sqrt(np.mean(np.square(errors))) / scatter < 1.15
    assert math.log(median(np.exp(samples[0]))[0]) == pytest.approx(float(np.median(samples[0])), abs=0.05)


def test_the_error_of_a_median_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(2)
    times = rng.exponential(size=41)
    resampled = np.median(np.log(times[rng.integers(0, 41, (20_000, 41))]), axis=1)
    assert median(times)[1] == pytest.approx(resampled.std(), rel=0.03)


def test_replicas_that_never_recover_count_as_late() -> None:
    times = np.random.default_rng(3).exponential(size=200)
    cut = np.where(times > np.quantile(times, 0.75), np.inf, times)
    assert median(cut) == pytest.approx(median(times), rel=1e-3)
    with pytest.raises(SieSymError, match="of which 120 are infinite: run longer"):
        median([1.0] * 80 + [math.inf] * 120)


def test_hitting_times_are_those_of_the_flow() -> None:
    # g = z, phi = z: dm/dt = 2 (1 - m^2) - (gamma/2B) V m, V = 4 E (z* - z)^2 = 8 (1 - m), gamma/B = 0.1
    hit = hitting_time(LINEAR, SGDSettings(20_000, 2.0, 4000, 16, seed=1, start=(0.0,), threshold=0.5, batch=20))
    expected = (math.log(2) + math.log(1.4)) / 3.6
    assert hit.time == pytest.approx(expected, rel=0.02)
    assert (hit.recovered, hit.runs, hit.cap) == (1.0, 16, 4000)


def test_errors() -> None:
    with pytest.raises(SieSymError, match="needs a threshold"):
        hitting_time(LINEAR, SGDSettings(100, 0.1, 10, 8, seed=1))
    with pytest.raises(SieSymError, match="of which 16 are infinite"):
        hitting_time(LINEAR, SGDSettings(10**6, 0.1, 10, 16, seed=1, start=(0.0,), threshold=0.5))
    with pytest.raises(SieSymError, match="8 or more times above 0"):
        median([1.0, 2.0])
    with pytest.raises(SieSymError, match="above 0"):
        median([0.0] * 9)
    with pytest.raises(SieSymError, match="give 3 or more"):
        fit(Law(None), hits(Law(None), [1.0])[:2])
    with pytest.raises(SieSymError, match="no spread"):
        fit(Law(None), hits(Law(None), [1.0], error=0.0))


# ---- the page on Thm 1: what it simulates and how it decides (its verdicts: test_derivations) -------------


def test_predictions_are_the_closed_forms_of_the_flows() -> None:
    # tau of dm/dt = alpha (1 - m^2) m^{s-1} from d^{-1/2} to 1/2, alpha = 1, 16, 18/(20 sqrt 2): by hand
    m0, first, second, third = 0.01, SERIES[0], SERIES[2], SERIES[3]
    assert first.rate / first.rate_at(10**4) == pytest.approx(math.atanh(0.5) - math.atanh(m0), rel=1e-8)
    logarithm = math.log(0.5 / math.sqrt(0.75)) - math.log(m0 / math.sqrt(1 - m0**2))
    assert second.rate / second.rate_at(10**4) == pytest.approx(logarithm / 16, rel=1e-8)
    poles = (1 / m0 - math.atanh(m0)) - (2 - math.atanh(0.5))
    assert third.rate / third.rate_at(10**4) == pytest.approx(poles * 20 * math.sqrt(2) / 18, rel=1e-8)
    assert SERIES[1].rate_at(10**4) == SERIES[1].rate_at(10**6) == SERIES[1].rate
    # a smaller median start takes longer, by log(1/0.6745) over the growth rate at that gamma
    later = UNIFORM.predicted(10**6) / SERIES[1].predicted(10**6)
    assert 1 < later < 1.1


@pytest.mark.parametrize("series", [*SERIES, UNIFORM], ids=lambda series: series.name)
def test_the_laws_of_the_page_are_those_of_its_flows(series: Series) -> None:
    # at vanishing rate the law with the offset of the gradient flow holds up to O(1/d) in every series
    slow = replace(series, rate=1e-7)
    points = []
    for d in (10**4, 10**5, 10**6, 10**7):
        hit = HittingTime(d, slow.rate_at(d), slow.predicted(d), 0.01, 1.0, 100, 10**9)
        points.append(Point(hit, hit.steps))
    assert exponent(slow, points)[0].values[0] == pytest.approx(slow.exponent, abs=2e-3)


def test_the_page_refutes_what_is_not_so() -> None:
    """Medians of another law, or off the flow, are refused; those of the flow are not."""
    page = theorem_1_simulation
    for series in SERIES:
        flow, other = [], []
        for d in (100, 1000, 10**4):
            hit = HittingTime(d, 0.1, series.predicted(d), 0.02, 1.0, 64, 10**9)
            flow.append(Point(hit, hit.steps))
            other.append(Point(replace(hit, steps=hit.steps * (d / 100) ** 0.1), hit.steps))
        verdicts = [page._growth(series, points).verdict.value for points in (flow, other)]
        assert verdicts == ["confirmed numerically", "refuted"]
        verdicts = [page._prediction({series.name: points}).verdict.value for points in (flow, other)]
        assert verdicts == ["confirmed numerically", "refuted"]


@pytest.mark.slow
def test_the_page_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer and smaller d: each median is still that of the flow, within 4 standard errors and 5 %."""
    lines: list[str] = []
    settings = Settings({series.name: (50, 100) for series in SERIES[:3]} | {"SIE 3": (25,)}, 2e6, (128, 256))
    points = simulate(settings, lines.append, "numpy", 1)
    assert [len(points[series.name]) for series in SERIES] == [2, 2, 2, 1]
    assert len(lines) == 7
    for found in points.values():
        for point in found:
            assert abs(math.log(point.ratio)) < 4 * point.hit.error + 0.05


def test_what_does_not_fit_in_the_time_is_left_out_and_told() -> None:
    lines: list[str] = []
    settings = Settings({"SIE 1": (20, 10**9)}, 1e4, (16, 16), seconds=5.0)
    points = simulate(settings, lines.append, "numpy", 1)
    assert [point.hit.dimension for point in points["SIE 1"]] == [20]
    assert "left out" in lines[1]


def of_the_flow() -> Points:
    """Medians that are those of the flow."""
    points = Points()
    for series in SERIES:
        found = [HittingTime(d, 0.1, series.predicted(d), 0.05, 1.0, 64, 9) for d in (100, 1000, 10**4, 10**5)]
        points[series.name] = [Point(hit, hit.steps) for hit in found]
    return points


def test_the_table_has_the_medians_and_their_fits() -> None:
    text = figure_theorem_1.table(of_the_flow())
    assert sum(line.endswith("   1.000") for line in text.splitlines()) == 4 * len(SERIES)  # medians over the flow's
    assert text.count("  flow: ") == len(SERIES)
    assert text.count("A d (log d") == 2 * 2 + 2 * 2  # both series of SIE 2: the law, that of the flow, two rivals


def test_the_figure_is_drawn_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figure_theorem_1, "simulate", lambda settings, tell: of_the_flow())
    path = tmp_path / "figure.png"
    assert figure_theorem_1.main(["--output", str(path)]) == 0
    assert path.stat().st_size > 40_000
