"""The figures of SGD and of networks: bands are quantiles of the replicas, lines the solutions of their equations."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner

from sie_sym.cli import main
from sie_sym.errors import SieSymError
from sie_sym.flow import gradient_flow
from sie_sym.gradient_noise import gradient_noise
from sie_sym.model import ACTIVATION_VARIABLE, Model, linear_attention, tied_network
from sie_sym.parse import parse_formula
from sie_sym.plots.dynamics import (
    flow_prediction,
    gain_figure,
    network_prediction,
    plot_gain,
    plot_sgd,
    sgd_figure,
)
from sie_sym.population_loss import PopulationLoss, population_loss
from sie_sym.sgd import SGDResult, SGDSettings, run_sgd
from sie_sym.simulation.fields import fields_of
from sie_sym.target import Target
from sie_sym.untied import untied_loss

pytest.importorskip("matplotlib")

SQUARE = ACTIVATION_VARIABLE**2
M, EPS = sp.symbols("m eps", real=True)


def he2(tokens: int) -> Target:
    return Target.of(parse_formula(f"sum(l, 1, {tokens}, He(2, z[l]))"))


def encoded() -> Model:
    return linear_attention(2).with_encoding([[sp.Integer(1), sp.Rational(1, 2)]])


def loss_of(model: Model) -> PopulationLoss:
    return population_loss(he2(2), model)


def sgd(model: Model, *, untied: bool = False, **settings: Any) -> SGDResult:
    given = {"dimension": 300, "rate": 0.01, "steps": 200, "runs": 40, "seed": 5, "record": 6, **settings}
    return run_sgd(fields_of(he2(2), replace(model, family="untied") if untied else model), SGDSettings(**given))


def logistic(t: Any, start: float, rate: float) -> Any:
    """m(t) of dm/dt = rate m (1 - m^2)."""
    return 1 / np.sqrt(1 + (1 / start**2 - 1) * np.exp(-2 * rate * np.asarray(t)))


# ---- the replicas' trajectories ----------------------------------------------------------------


def test_the_trajectories_kept_are_those_of_the_replicas() -> None:
    found = sgd(encoded(), start=(0.3, 0.1))
    assert found.paths.shape == (6, 2, 40)
    np.testing.assert_array_equal(found.paths[-1], [found.m, found.eps[:, 0]])
    np.testing.assert_allclose(found.paths[:, 0].mean(axis=1), found.m_mean, rtol=1e-12)
    np.testing.assert_allclose(found.paths[:, 1].std(axis=1), found.eps_std[:, 0], rtol=1e-9, atol=1e-15)
    assert (found.paths[0] == [[0.3], [0.1]]).all()


def test_the_first_replicas_are_kept_whatever_the_blocks() -> None:
    found = sgd(linear_attention(2), runs=700, steps=3, record=2, block=300)
    assert found.paths.shape == (2, 1, 512)
    np.testing.assert_array_equal(found.paths[-1, 0], found.m[:512])


def test_many_recorded_steps_keep_fewer_trajectories() -> None:
    found = sgd(linear_attention(2), runs=400, steps=9999, record=10_000, dimension=1e15)
    assert found.paths.shape == (10_000, 1, 200)  # two million numbers


# ---- what the ODE predicts ---------------------------------------------------------------------


def test_without_noise_the_prediction_is_the_solved_gradient_flow() -> None:
    # R = 7 - 4 m^2 (theory section 9 at eps = 0), so that dm/dt = 8 m (1 - m^2).
    found = sgd(linear_attention(2), start=(0.2,), steps=9000)
    prediction = flow_prediction(found, loss_of(linear_attention(2)))
    assert prediction.name == "gradient flow"
    assert prediction.paths.shape == (200, 1, 1)
    t = prediction.steps * 0.01 / 300
    assert t[-1] == pytest.approx(0.3)
    np.testing.assert_allclose(prediction.paths[:, 0, 0], logistic(t, 0.2, 8.0), rtol=1e-7)


def test_the_noise_term_is_what_sgd_shows() -> None:
    found = sgd(linear_attention(2), start=(0.5,), rate=0.03, steps=3000, runs=300)
    loss = loss_of(linear_attention(2))
    plain, noisy = flow_prediction(found, loss), flow_prediction(found, loss, gradient_noise(loss))
    spread = 5 * found.m_std[-1] / math.sqrt(300)
    # dt of a step is 1e-4: what the ODE leaves out at d = 300 is smaller than the statistical tolerance.
    assert abs(noisy.paths[-1, 0, 0] - found.m_mean[-1]) < spread
    assert abs(plain.paths[-1, 0, 0] - found.m_mean[-1]) > 5 * spread


def test_a_batch_divides_the_noise() -> None:
    found = sgd(encoded(), start=(0.3, 0.1), batch=4, rate=0.02)
    loss = loss_of(encoded())
    noise = gradient_noise(loss)
    prediction = flow_prediction(found, loss, noise)
    flow = gradient_flow(loss, [0.3, 0.1], float(found.time[-1]), rate=0.02 / 4, variance=noise)
    np.testing.assert_allclose(prediction.paths[-1, :, 0], flow.states[-1], rtol=1e-6)


def test_random_starts_are_followed_one_by_one() -> None:
    found = sgd(linear_attention(2), runs=12)
    prediction = flow_prediction(found, loss_of(linear_attention(2)))
    np.testing.assert_array_equal(prediction.paths[0], found.paths[0])
    t = float(found.time[-1])
    starts = found.paths[0, 0]
    np.testing.assert_allclose(
        prediction.paths[-1, 0], [math.copysign(logistic(t, abs(m), 8.0), m) for m in starts], rtol=1e-6
    )


def test_an_untied_network_has_an_overlap_a_token() -> None:
    # c_2 = 2, C_2 = 2 I (theory section 7): dm_l/dt = (1 - m_l^2) 2 c_2 L^{-1} 2 m_l = 4 m_l (1 - m_l^2) at L = 2.
    found = sgd(tied_network(2, SQUARE), untied=True, start=(0.3, 0.1))
    prediction = network_prediction(found, untied_loss(he2(2), SQUARE), noise=False)
    t = prediction.steps * 0.01 / 300
    np.testing.assert_allclose(prediction.paths[:, 0, 0], logistic(t, 0.3, 4.0), rtol=1e-7)
    np.testing.assert_allclose(prediction.paths[:, 1, 0], logistic(t, 0.1, 4.0), rtol=1e-7)
    assert sgd_figure(found, prediction).axes[1].get_ylabel() == r"$|\mathbf{m}| / \sqrt{L}$"


def test_the_unsquared_loss_has_another_ode() -> None:
    found = sgd(linear_attention(2), loss="frobenius", start=(0.3,))
    with pytest.raises(SieSymError, match="that of the squared loss"):
        flow_prediction(found, loss_of(linear_attention(2)))


# ---- the figure of SGD -------------------------------------------------------------------------


def test_bands_and_lines_are_quantiles_of_the_replicas() -> None:
    found = sgd(encoded(), start=(0.3, 0.1), threshold=0.2)
    prediction = flow_prediction(found, loss_of(encoded()))
    overlaps, norm = sgd_figure(found, prediction, [M, EPS]).axes
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for axes in (overlaps, norm) for line in axes.lines}
    np.testing.assert_allclose(lines["$m$"], np.c_[found.steps, np.median(found.paths[:, 0], axis=1)])
    np.testing.assert_allclose(lines[r"$\varepsilon$"][:, 1], np.median(found.paths[:, 1], axis=1))
    length = np.hypot(found.paths[:, 0], found.paths[:, 1])
    np.testing.assert_allclose(lines[r"$|(m, \varepsilon)|$"][:, 1], np.median(length, axis=1))
    np.testing.assert_allclose(lines["gradient flow"][:, 0], prediction.steps)
    outer = overlaps.collections[0].get_paths()[0].vertices
    low, high = np.quantile(found.paths[:, 0], [0.1, 0.9], axis=1)
    assert np.asarray(outer)[:, 1].max() == pytest.approx(high.max())
    assert np.asarray(outer)[:, 1].min() == pytest.approx(low.min())
    assert lines[r"$\eta = 0.2$"][0, 1] == 0.2
    assert found.recovery_step_median == 0.0  # |(0.3, 0.1)| is above it from the start
    assert "steps" in norm.get_xlabel()
    assert "40 replicas" in overlaps.get_title(loc="left")


def test_the_norm_of_a_run_is_that_of_weak_recovery() -> None:
    # |(e, m)|^2 = m^2 + |C|^2 eps^2 (Def. 1), and eta is crossed at the step that the run reports.
    model = encoded()
    assert model.encoding is not None
    found = sgd(model, start=(0.1, 0.1), threshold=0.5)
    axes = sgd_figure(found, fields=fields_of(he2(2), model)).axes[1]
    assert axes.get_ylabel() == r"$|(\mathbf{e}, m)|$"
    drawn = np.asarray(axes.lines[0].get_ydata())
    length = np.array([float(sum(c**2 for c in model.encoding))])
    expected = np.sqrt(found.paths[:, 0] ** 2 + length * found.paths[:, 1] ** 2)
    np.testing.assert_allclose(drawn, np.median(expected, axis=1))


def test_replicas_that_diverged_are_left_out_and_counted() -> None:
    with pytest.warns(RuntimeWarning, match="diverged"):
        found = sgd(linear_attention(2), start=(0.5,), rate=1e200, steps=100)
    assert found.diverged == 40
    figure = sgd_figure(found)
    assert "40 diverged" in figure.axes[0].get_title(loc="left")


def test_more_overlaps_than_a_panel_holds_leave_their_norm() -> None:
    target = he2(8)
    model = replace(tied_network(8, SQUARE), family="untied")
    found = run_sgd(fields_of(target, model), SGDSettings(300, 0.01, 20, 4, seed=1, record=3))
    (axes,) = sgd_figure(found).axes
    assert axes.get_ylabel() == r"$|\mathbf{m}| / \sqrt{L}$"


MAGIC = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", MAGIC)
def test_formats(tmp_path: Path, kind: str) -> None:
    found = sgd(linear_attention(2), steps=10, runs=4)
    assert plot_sgd(found, tmp_path / f"a.{kind}").read_bytes().startswith(MAGIC[kind])
    assert plot_gain(he2(2), SQUARE, tmp_path / f"b.{kind}").read_bytes().startswith(MAGIC[kind])


# ---- tied against untied -----------------------------------------------------------------------


def test_the_recovery_times_are_marked_on_the_trajectories() -> None:
    # tied: dm/dt = 2 c_2 L^{-1} S_2 m (1 - m^2) = 8 m (1 - m^2), S_2 = 2 L; untied: L times slower (theory section 7).
    axes = gain_figure(he2(3), SQUARE).axes[0]
    exact = math.log((1e-2 / (1 - 1e-2)) / (1e-6 / (1 - 1e-6))) / 16
    marks = [np.asarray(line.get_xydata())[0] for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks, [[exact, 0.1], [3 * exact, 0.1]], rtol=1e-7)
    curves = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 100]
    for curve, rate in zip(curves, (8.0, 8.0 / 3), strict=True):
        t, size = np.asarray(curve.get_xydata()).T
        np.testing.assert_allclose(size, logistic(t, 1e-3, rate), rtol=1e-6)
    assert "= 3$" in axes.get_title(loc="left")


def test_a_network_that_never_recovers_is_drawn_as_such() -> None:
    # App. E.4: S_1 = 0 for z1 - z2, the tied network stays where it is.
    axes = gain_figure(Target.of(parse_formula("z1 - z2")), parse_formula("relu(u)", variables="u")).axes[0]
    tied = next(line for line in axes.lines if str(line.get_label()).startswith("tied"))
    np.testing.assert_allclose(np.asarray(tied.get_ydata()), 1e-3, rtol=1e-9)
    assert "never recovers" in str(tied.get_label())
    assert axes.get_title(loc="left") == "the tied network never recovers"


def test_neither_network_recovers_what_the_activation_does_not_see() -> None:
    axes = gain_figure(Target.of(parse_formula("He(3,z1) + He(3,z2)")), SQUARE).axes[0]
    assert axes.get_title(loc="left") == "neither network recovers"


# ---- the commands ------------------------------------------------------------------------------

SGD = ("sgd", "-g", "He(2,z1) + He(2,z2)", "--model", "linear-attention", "--dimension", "1e3", "--rate", ".01",
       "--steps", "40", "--runs", "5", "--seed", "3")  # fmt: skip
GAIN = ("gain", "-g", "He(2,z1) + He(2,z2)", "--activation", "relu")


def answer(*arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", [SGD, GAIN], ids=["sgd", "gain"])
def test_a_figure_changes_no_number(tmp_path: Path, command: Sequence[str]) -> None:
    plain, drawn = answer(*command), answer(*command, "--plot", str(tmp_path / "a.svg"))
    assert (tmp_path / "a.svg").stat().st_size > 5000
    assert drawn.pop("prediction", None) == ("ODE, drawn dashed" if command is SGD else None)
    assert plain == drawn


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--loss", "frobenius"), "not drawn: the ODE is that of the squared loss"),
        (("--encoding", "1,-1", "--start", "m=.3,eps=.1", "--batch", "2"), "ODE, drawn dashed"),
    ],
)
def test_sgd_says_what_is_drawn_over_it(tmp_path: Path, extra: Sequence[str], said: str) -> None:
    assert answer(*SGD, *extra, "--plot", str(tmp_path / "a.png"))["prediction"].startswith(said)


def test_an_untied_run_is_drawn(tmp_path: Path) -> None:
    untied = [*SGD, "--activation", "relu", "--plot", str(tmp_path / "a.pdf")]
    untied[untied.index("linear-attention")] = "untied"
    assert answer(*untied)["prediction"] == "ODE, drawn dashed"


@pytest.mark.parametrize("command", [SGD, GAIN], ids=["sgd", "gain"])
@pytest.mark.parametrize(
    ("name", "message"),
    [("a.gif", "unknown extension '.gif'; choose .png, .svg, .pdf"), ("none/a.png", "no such file or directory")],
)
def test_a_figure_that_cannot_be_written(tmp_path: Path, command: Sequence[str], name: str, message: str) -> None:
    result = CliRunner().invoke(main, [*command, "--plot", str(tmp_path / name)])
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("sie-sym: cannot ")
    assert message in line
    assert list(tmp_path.iterdir()) == []
