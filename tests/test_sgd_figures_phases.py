"""Figs. 5 (right), 12, 13 and App. F.3 by quick runs: where SGD ends, beside predictions that fit nothing."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from derivations import figure_5_right, figure_12, figure_13, figure_f3
from derivations.figure_5_right import Runs, Transition, probit_fit, semantic_probability, start_scales

pytest.importorskip("numba")

MODULES = {"figure_5_right": figure_5_right, "figure_12": figure_12, "figure_13": figure_13, "figure_f3": figure_f3}


@cache  # one simulation for all tests
def quick(name: str) -> Any:
    return MODULES[name].simulate(MODULES[name].QUICK)


# ---- the pieces ------------------------------------------------------------------------------------


def test_the_omegas_are_the_41_of_the_paper() -> None:
    assert len(figure_5_right.OMEGAS) == 41
    assert np.all(np.diff(figure_5_right.OMEGAS) > 0)
    random, zero = figure_5_right.PAPER.series
    assert (random.dimension, random.steps, random.runs, zero.start) == (1000, 300_000, 64, "zero")
    assert figure_12.PAPER.runs.series[0] == Runs(100, 300_000, 25, 120)
    assert (figure_13.PAPER.dimension, figure_13.PAPER.steps, figure_13.PAPER.rate) == (1000, 10**8, 0.05)


def test_the_probit_fit_finds_what_was_put_in() -> None:
    omegas = np.linspace(0.4, 0.9, 11)
    (centre, width), errors = probit_fit(list(omegas), ndtr((0.63 - omegas) / 0.07), 64)
    assert (centre, width) == pytest.approx((0.63, 0.07), abs=1e-5)
    assert probit_fit([0.5, 0.7], np.array([1.0, 0.0]), 64)[1].tolist() == [np.inf, np.inf]
    # the errors against the scatter of fits to binomial samples
    samples = np.random.default_rng(0).binomial(64, ndtr((0.63 - omegas) / 0.07), (60, 11)) / 64
    scatter = np.std([probit_fit(list(omegas), sample, 64)[0] for sample in samples], axis=0)
    assert scatter == pytest.approx(errors, rel=0.35)


def test_wilsons_interval() -> None:
    # Wilson 1927: p = 0 of n gives [0, z^2/(n + z^2)]; p = 1/2 is symmetric
    found = Transition(Runs(100, 1, 64, 1, (0.1, 0.2)), 1.0, np.array([0.0, 0.5]), np.zeros(2), np.ones(2))
    low, high = found.interval()
    assert (low[0], high[0]) == pytest.approx((0.0, 1 / 65), abs=1e-12)
    assert low[1] + high[1] == pytest.approx(1.0)


def test_boundaries_of_both_losses() -> None:
    # theory section 10, finding 6: near 0.628
    assert figure_5_right.unsquared_boundary() == pytest.approx(0.628, abs=1e-3)


def test_without_time_to_grow_starts_decide() -> None:
    # isotropic starts that do not move: half of them have |m| > |eps|
    assert semantic_probability(1.0, 0.3, 0.05, 1000, 1e-3, "random") == pytest.approx(0.5, abs=1e-3)


def test_the_prediction_in_the_linear_regime() -> None:
    # P = (2/pi) arctan(sigma_m/sigma_eps), independent Gaussians; d = 1e9 is linear for t = 15
    omega, rate, time = 0.58, 0.05, 15.0
    m, eps = start_scales(1.0, omega, rate, 10**9, time, "zero")
    hessian = figure_5_right.loss(1.0, omega).hessian(0.0, 0.0)
    ratio = m / eps * np.exp((hessian[1, 1] - hessian[0, 0]) * time)
    expected = 2 / np.pi * np.arctan(ratio)
    assert semantic_probability(1.0, omega, rate, 10**9, time, "zero") == pytest.approx(expected, abs=2e-3)


def test_turning_times() -> None:
    t = np.arange(4.0)
    never = [[0.1, 0.2], [0.1, 0.8], [0.2, 0.9], [0.3, 0.9]]
    turns = [[0.3, 0.2], [0.1, -0.8], [-0.9, 0.1], [1.0, 0.0]]
    semantic = [[0.3, 0.2], [0.5, 0.1], [0.9, 0.1], [1.0, 0.0]]
    found = figure_13.turning_times(t, np.array([never, turns, semantic]))
    assert found[:2].tolist() == [np.inf, 2.0]
    assert np.isnan(found[2])


# ---- the figures -----------------------------------------------------------------------------------


# Their simulations are shared, and take seconds each.
slow = pytest.mark.slow


def near(found: Transition) -> None:
    """Fractions within four binomial deviations of the prediction, and a hundredth."""
    spread = np.sqrt(found.predicted * (1 - found.predicted) / found.runs.runs)
    assert np.all(np.abs(found.semantic - found.predicted) < 4 * spread + 0.01)


@slow
def test_the_noise_at_the_start_is_that_of_sgd() -> None:
    # from (0, 0) the overlaps walk: after n steps their variances are n (gamma/d)^2 D, to 2.2% by 4096 replicas
    omega, steps, d, rate = 0.58, 200, 1000, 0.05
    m, eps = figure_5_right.ends(figure_5_right.QUICK, Runs(d, steps, 4096, 3, start="zero"), omega)
    strengths = np.array([m.var(), eps.var()]) / (steps * (rate / d) ** 2)
    assert strengths == pytest.approx(figure_5_right.noise(1.0, omega)[:2], rel=0.09)


@slow
def test_figure_5_right() -> None:
    random, zero = quick("figure_5_right")
    for found in (random, zero):
        near(found)
        assert np.all(np.diff(found.semantic) < 0)
        assert found.semantic[0] > 0.5 > found.semantic[-1]
    # noise alone is stronger in eps than in m
    assert np.all(zero.predicted < random.predicted)


@slow
def test_figure_12() -> None:
    result = quick("figure_12")
    for found in result.series:
        near(found)
    dimensions, widths, errors = result.measured()
    assert dimensions.tolist() == [10.0, 100.0]
    assert widths[0] - widths[1] > 3 * np.hypot(*errors)
    assert result.widths[0] == pytest.approx(widths[0], abs=4 * float(errors[0]))
    assert result.widths[1] < widths[1]  # that of d = 1000


@slow
def test_figure_13() -> None:
    result = quick("figure_13")
    turns = result.turns(result.runs)
    first = ~np.isnan(turns)
    assert first.sum() >= 2  # a start with little eps goes to the semantic minimum at once
    assert np.all(np.abs(result.runs[:, -1, 0]) > 0.9)
    assert np.all(np.abs(result.runs[:, -1, 1]) < 0.2)
    assert np.all(turns[first] > 100)
    # lingers at the saddle of the flow at this rate, inside of that of the flow without noise, not at (1, 0)
    plain, slowed = result.saddles
    assert 0.6 < slowed < plain < 0.85
    assert np.abs(result.runs[first, :, 1]).max(axis=1) == pytest.approx(slowed, abs=0.1)


@slow
def test_figure_f3() -> None:
    result = quick("figure_f3")
    # the target is the model at (1, omega): no noise is left there
    assert result.distance(result.runs).max() < 1e-3
    assert result.distance(result.flows).max() < 1e-6
    parts = result.components(result.runs)[:, 0]
    assert parts == pytest.approx(np.array([[0.8, 0.6]]), abs=1e-3)


@slow
@pytest.mark.parametrize("name", MODULES)
def test_a_figure_is_drawn(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from sie_sym.plot import save

    path = save(lambda: MODULES[name].draw(quick(name)), tmp_path / f"{name}.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 30_000
    assert len(MODULES[name].table(quick(name)).splitlines()) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_its_source_and_settings(name: str) -> None:
    module = importlib.import_module(f"derivations.{name}")
    text = module.__doc__ or ""
    assert "arXiv:2506.02651" in text
    assert "Claim: " in text
    assert "Settings" in text
    assert module.SOURCE.startswith("arXiv:2506.02651, ")


@slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    result = quick("figure_f3")
    monkeypatch.setattr(figure_f3, "simulate", lambda settings, tell: result)
    path = tmp_path / "f3.png"
    assert figure_f3.main(["--quick", "--output", str(path)]) == 0
    assert path.exists()
    assert "omega" in capsys.readouterr().out
    assert figure_f3.main(["--output", str(tmp_path / "f3.bmp")]) == 2
