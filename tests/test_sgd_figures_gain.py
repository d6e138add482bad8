"""SGD of tied and untied networks comes out as the figures say: Figs. 3, 7 to 11 and the staircases, at a small d."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derivations import figure_3, figure_7, figure_8, figure_9, figure_10, figure_11, figure_staircases
from derivations.figure_frame import write
from derivations.figure_runs import OFFICIAL_THRESHOLD, RELU, Arrivals, Case, GainCurve, Settings, run_all
from derivations.gains_by_simulation import agrees, quick
from sie_sym.gain import activation_coefficient
from sie_sym.untied import tied_loss

NAMES = ("figure_3", "figure_7", "figure_8", "figure_9", "figure_10", "figure_11", "figure_staircases")


def page(name: str) -> ModuleType:
    return importlib.import_module(f"derivations.{name}")


# ---- what is run ----------------------------------------------------------------------------------


def test_the_papers_settings() -> None:
    # the rows of the figures in the paper: d, learning rate, L
    def row(settings: Settings) -> tuple[int, float, tuple[int, ...]]:
        return settings.dimension, settings.rate, settings.tokens

    assert row(figure_3.PAPER.official)[:2] == (1000, 2e-4)
    assert set(row(figure_3.PAPER.official)[2]) <= set(range(1, 11))
    assert row(figure_7.PAPER) == (3000, 5e-3, (1, 2, 5, 10, 15, 20))
    assert row(figure_8.PAPER) == (1000, 1.5e-2, (1, 2, 5, 8, 10, 15, 25, 32))
    assert row(figure_9.PAPER) == (3000, 5e-2, (1, *range(10, 201, 10)))
    assert row(figure_10.PAPER) == (1000, 5e-4, tuple(range(3, 10)))
    assert row(figure_11.PAPER.difference) == (1000, 5e-3, (2, 5, 10))
    assert figure_11.PAPER.difference.most == 100_000
    assert row(figure_staircases.PAPER)[:2] == (1000, 1.5e-3)
    assert pytest.approx(2 / math.sqrt(1000)) == OFFICIAL_THRESHOLD


def test_the_start_is_the_official_one() -> None:
    # w = (1 - o) u + o w*, u orthogonal to w*, normalised, o = 1/sqrt d
    u, star = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    w = (1 - 0.1) * u + 0.1 * star
    assert Case("mean", 2, True, 100, 0.1).start == pytest.approx(w[1] / np.linalg.norm(w))


def test_predictions_at_a_small_rate_are_those_by_hand() -> None:
    # g = sum He_2/sqrt 2, relu: c_2 = 1/sqrt(2 pi), tied dm/dt = 2 sqrt 2 c_2 m (1 - m^2): separable
    case = Case("he2-normalized", 4, False, 1000, 1e-9)
    rate = 2 * math.sqrt(2) / math.sqrt(2 * math.pi)
    logit = [math.log(x / math.sqrt(1 - x * x)) for x in (case.start, case.threshold)]
    assert case.predicted_steps() * 1e-9 / 1000 == pytest.approx((logit[1] - logit[0]) / rate, rel=1e-6)
    # g = sum z/sqrt L, relu: c_1 = 1/2, untied dm_l/dt = (1 - m^2)/L
    case = Case("mean", 5, True, 1000, 1e-9)
    expected = 5 * (math.atanh(case.threshold) - math.atanh(case.start))
    assert case.predicted_steps() * 1e-9 / 1000 == pytest.approx(expected, rel=1e-6)


def test_the_largest_rates_of_both_networks_are_the_same() -> None:
    # V(0) = 4 E (sigma - g)^2 sigma'^2 = 2 L + 2; limits 2 r/V tied and 2 (r/L) L/V untied, at small m
    chosen = replace(figure_3.PAPER.limits, threshold=1e-3, dimension=10**7)
    tied, untied = figure_3.largest_rates(chosen, 6)
    assert tied == pytest.approx(untied, rel=1e-9)
    assert tied == pytest.approx(2 * (2 / math.sqrt(math.pi)) / (2 * 6 + 2), rel=1e-4)


def test_a_run_is_as_long_as_settings_say() -> None:
    settings = Settings((1,), 100, 0.1, 2, 0, most=500, reach=1.5, least=20)
    assert [settings.steps(predicted) for predicted in (1.0, 100.0, 1e6, math.inf)] == [20, 150, 500, 500]


def test_a_run_repeats_and_the_seed_matters() -> None:
    settings = replace(figure_8.QUICK, runs=20)
    first, again, other = (run_all([settings.case("mean", 2, True)], settings, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first.recovery, again.recovery)
    assert not np.array_equal(first.recovery, other.recovery)


# ---- the numbers of a curve -----------------------------------------------------------------------


def arrivals(tokens: int, untied: bool, steps: float, spread: float = 0.01) -> Arrivals:
    recovery = steps * (1 + spread * np.linspace(-1, 1, 101))
    draws = np.random.default_rng(tokens).integers(0, 101, (400, 101))
    none = np.zeros(0)
    return Arrivals(
        Case("mean", tokens, untied, 100, 0.1), 10**6, recovery, none.astype(np.int64), none, none, steps, none,
        np.median(recovery[draws], axis=1),
    )  # fmt: skip


def test_the_exponent_of_a_power_law() -> None:
    tokens = (1, 2, 4, 8)
    curve = GainCurve(
        "law", tuple(arrivals(L, False, 100) for L in tokens), tuple(arrivals(L, True, 100 * L**1.5) for L in tokens)
    )
    slope, error = curve.exponent()
    assert slope == pytest.approx(1.5, abs=1e-12)
    assert curve.predicted_exponent() == pytest.approx(1.5, abs=1e-12)
    assert 0 < error < 0.01
    # standard error of the median of a uniform law on +-1%: 0.01/sqrt(101), and of a ratio sqrt 2 times that
    assert curve.error[0] == pytest.approx(0.01 * math.sqrt(2 / 101), rel=0.2)


def test_never_is_infinite() -> None:
    lost = replace(arrivals(3, True, 100), recovery=np.full(101, np.inf), resampled=np.full(400, np.inf))
    curve = GainCurve("lost", (arrivals(1, False, 100), arrivals(3, False, 100)), (arrivals(1, True, 100), lost))
    assert curve.gain[1] == math.inf
    assert lost.recovered == 0
    assert math.isnan(curve.error[1])
    assert "inf" in curve.table()


# ---- the figures ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_figure_7_the_gain_at_equal_rates_is_L() -> None:
    curve = quick("figure_7")
    assert agrees(curve, 0, 1.0)
    assert agrees(curve, -1, 3.0)
    assert not agrees(curve, -1, 9.0)
    assert curve.predicted == pytest.approx([1, 3], rel=1e-6)


@pytest.mark.slow
def test_figure_8_the_gain_at_equal_rates_is_L() -> None:
    curve = quick("figure_8")
    assert agrees(curve, 0, 1.0)
    assert abs(curve.gain[-1] - 6) < 4 * curve.error[-1] + 0.02 * 6  # linear growth: fluctuations hardly help
    assert curve.error[-1] < 0.2


@pytest.mark.slow
def test_figure_3_the_rates_decide_the_power() -> None:
    found = quick("figure_3")
    for curve, power in ((found.official, 1.5), (found.limits, 1.0), (found.inverse, 2.0)):
        assert agrees(curve)
        others = {1.0, 1.5, 2.0} - {power}
        assert agrees(curve, with_gain=3.0**power)
        assert not any(agrees(curve, with_gain=3.0**other) for other in others)
        assert curve.predicted[0] == pytest.approx(1, rel=1e-9)
    # the noise takes more from the tied network, whose rate is the larger one
    assert found.inverse.predicted[-1] < 9


@pytest.mark.slow
def test_figure_9_the_untied_network_stops_recovering() -> None:
    curve = quick("figure_9")
    assert [untied.recovered for untied in curve.slower] == [1, 1, 0]
    assert all(tied.recovered > 0.5 for tied in curve.faster)
    assert math.isinf(curve.predicted[-1])
    # where the drift stops: (1 - m^2)/L = (gamma/2) (4 - 4 m) m at the tied rate 0.4, or (1 + m)/L = 0.8 m
    last = curve.slower[-1]
    m = 1 / (0.8 * last.case.tokens - 1)
    assert last.predicted_length[-1] == pytest.approx(m, rel=2e-3)
    # 1/d of fluctuations, for each of the L directions
    assert last.length[-1] ** 2 == pytest.approx(m * m + 1 / last.case.dimension, rel=0.1)


@pytest.mark.slow
def test_figure_10_attention_gains_by_another_constant() -> None:
    found = quick("figure_10")
    assert agrees(found.tied)
    assert agrees(found.attention)
    assert found.tied.predicted == pytest.approx([3, 5], rel=1e-6)
    assert found.ratio()[0] > 3
    assert found.attention.gain[1] > 1.3 * found.attention.gain[0]
    # kappa, independently: plain softmax by numpy, 1e6 samples, gave 0.19804 +- 0.0016 and 0.24150 +- 0.0018
    for known, expected in zip(found.constants, (0.19804, 0.24150), strict=True):
        assert abs(known.kappa - expected) < 4 * math.hypot(known.kappa_error, 0.0018)


def test_the_constants_of_attention_are_those_of_two_tokens() -> None:
    # theory section 9: C_(2,0) of the trace at L = 2 is 0.1409783888; kappa = E g phi = 2 C_(2,0)/sqrt 2/sqrt 2
    known = figure_10.attention_constants(2, 200_000)
    assert abs(known.kappa - 0.1409783888) < 4 * known.kappa_error
    assert known.kappa_error < 0.004
    # separation of variables against the same equation stepped by hand
    case = Case("he2-normalized", 2, False, 100, 1e-3, threshold=0.2)
    m, steps = case.start, 0
    while m < case.threshold:
        m += 1e-3 / 100 * (4 * known.kappa * m * (1 - m * m) - 5e-4 * known.noise * m)
        steps += 1
    assert known.steps(case) == pytest.approx(steps, rel=1e-4)
    assert known.path(case, np.array([0.0, float(steps)])) == pytest.approx([case.start, 0.2], rel=1e-4)
    assert math.isinf(known.steps(replace(case, rate=10.0)))


@pytest.mark.slow
def test_figure_11_the_tied_network_never_learns() -> None:
    found = quick("figure_11")
    for tied, untied in (*found.difference, *found.squares):
        error = tied.deviation[-1] / math.sqrt(len(tied.recovery))
        assert abs(tied.mean[-1] - tied.predicted_path[-1]) < 4 * error
        assert tied.predicted_path[-1] < tied.case.start  # noise alone
        assert math.isinf(tied.predicted)
        assert untied.mean[-1, 0] > 2 * untied.case.start
        errors = untied.deviation[-1] / math.sqrt(len(untied.recovery))
        assert (np.abs(untied.mean[-1] - untied.predicted_path[-1]) < 4 * errors + 0.02).all()
    for _, untied in found.difference:
        assert untied.mean[-1, 1] < -untied.case.start
        assert np.abs(untied.mean[-1, 2:] - untied.case.start).max(initial=0) < 0.05  # the other tokens are not learnt
    assert 0 < found.squares[0][1].mean[-1, 1] < found.squares[0][1].case.start


@pytest.mark.slow
def test_staircases_are_climbed_in_order_as_far_as_the_activation_goes() -> None:
    found = quick("figure_staircases")
    for number, run in enumerate(found.runs):
        errors = run.deviation[-1] / math.sqrt(len(run.recovery))
        assert (np.abs(run.mean[-1] - run.predicted_path[-1]) < 4 * errors + 0.02).all()
        learnt = found.learnt(number)
        assert learnt[0] < learnt[1] < math.inf
    assert found.learnt(1)[2] == math.inf
    assert found.runs[1].mean[-1, 2] < found.runs[1].case.start
    assert found.runs[2].mean[-1, 2] > 1.1 * found.runs[2].case.start


def test_relu_has_no_third_order_and_a_shift_gives_one() -> None:
    # c_3 = E sigma'' He_1 = b phi(b) for relu(u - b)
    assert activation_coefficient(RELU, 3) == 0
    shifted = float(activation_coefficient(figure_staircases.SHIFTED, 3))
    assert shifted == pytest.approx(0.5 * math.exp(-1 / 8) / math.sqrt(2 * math.pi))


# ---- pictures and the command ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_drawn(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = write(lambda: page(name).draw(quick(name)), tmp_path / f"{name}.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 15_000 < path.stat().st_size < 120_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_its_source_and_settings(name: str) -> None:
    text = page(name).__doc__ or ""
    assert all(word in text for word in ("Claim: ", "Settings: ", "Measured: ", "seed"))
    assert page(name).SOURCE.startswith("arXiv:2506.02651, ")


def test_the_command_prints_the_numbers_and_writes_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figure_8, "QUICK", replace(figure_8.QUICK, runs=20, tokens=(1, 2)))
    path = tmp_path / "small.svg"
    assert figure_8.main(["--quick", "--output", str(path)]) == 0
    printed = capsys.readouterr()
    assert "equal rates" in printed.out
    assert "L = 2, untied" in printed.err
    assert path.read_text().lstrip().startswith("<?xml")


def test_the_command_rejects_an_unknown_format(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert figure_8.main(["--quick", "--output", "gain.gif"]) == 2
    assert "unknown extension '.gif'" in capsys.readouterr().err


def test_the_tied_network_has_no_signal_on_a_difference() -> None:
    case = Case("difference", 2, False, 1000, 0.01)
    assert tied_loss(case.loss.target, case.activation).drift()[0] == 0
    assert math.isinf(case.predicted_steps())
