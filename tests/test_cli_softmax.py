"""Softmax attention and activations without closed form through the command line, and the phase diagram."""

from __future__ import annotations

import itertools
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from command_line import answer, refusal, run

from sie_sym.losses import numerical_loss
from sie_sym.quadratures import sampled_coefficients

SOFTMAX = ("--model", "softmax-attention")
TRACE = (*SOFTMAX, "--reduction", "trace")
PAIR = ("-g", "He(2,z1) + He(2,z2)")
OPPOSITE = ("--encoding", "1,-1")
MIXTURE = ("-g", "@positional-semantic", "--param", "omega=.67", "--param", "a=1", *SOFTMAX, *OPPOSITE)


def normal_grid(points: int = 400, reach: float = 10.0) -> tuple[Any, Any, Any]:
    """Two standard normals on a grid, and their weights: the trapezoid rule."""
    x = np.linspace(-reach, reach, points)
    z1, z2 = np.meshgrid(x, x, indexing="ij")
    return z1, z2, np.exp(-(z1**2 + z2**2) / 2) * (x[1] - x[0]) ** 2 / (2 * math.pi)


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"), [("0,0", 0.2635041518), ("0.5,0.3", 0.2388290940), ("0.8,0.5", 0.2074632174)]
)
def test_the_mixture_at_the_points_of_the_theory(at: str, expected: float) -> None:  # theory section 9
    m, eps = at.split(",")
    found = answer("loss", *MIXTURE, "--at", f"m={m},eps={eps}")
    assert found["value"] == pytest.approx(expected, abs=2e-10)
    assert found["error"] < 1e-8
    assert found["evidence"] == "numerical"
    assert found["loss"] is None
    assert "--order" in found["loss_omitted"]


def test_the_closed_form_is_written_where_it_is_finite() -> None:
    found = answer("loss", *PAIR, *TRACE, *OPPOSITE, "--at", "m=.3,eps=.2")
    assert "m**2" in found["loss"]
    assert "loss_omitted" not in found
    # by a trapezoid rule: E g^2 = 4, E phi^2, and -2 m^2 <C_2(g), C_2(phi_e)>/2 = -2 m^2 E phi_e (He_2 + He_2)
    z1, z2, weight = normal_grid()
    x, y = z1 + 0.2, z2 - 0.2
    phi = 1 / (1 + np.exp(-x * (x - y))) + 1 / (1 + np.exp(-y * (y - x)))
    overlap = float((weight * phi * (z1**2 + z2**2 - 2)).sum())
    expected = 4 + float((weight * phi**2).sum()) - 2 * 0.09 * overlap
    assert abs(found["value"] - expected) <= found["error"] + 1e-12
    assert found["error"] < 1e-8


def test_a_value_comes_at_once() -> None:
    begin = time.perf_counter()
    answer("loss", *MIXTURE, "--at", "m=.3,eps=.2")
    assert time.perf_counter() - begin < 30  # the closed form takes minutes


def test_one_token_integrals_are_proved() -> None:
    arguments = ("loss", "-g", "z1", "--model", "tied", "--activation", "tanh", "--at", "m=.5")
    found = answer(*arguments)
    assert found["evidence"] == "enclosed"
    x = np.linspace(-12, 12, 4001)
    weight = np.exp(-(x**2) / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    expected = 1 + float((weight * np.tanh(x) ** 2).sum()) - float((weight * np.tanh(x) * x).sum())
    assert abs(found["value"] - expected) <= found["error"] + 5e-14
    sigmoid = answer("loss", "-g", "z1", "--model", "tied", "--activation", "sigmoid", "--at", "m=0")
    # E sigma^2 = 1/2 - E sigma' = ... by the same rule
    expected = 1 + float((weight / (1 + np.exp(-x)) ** 2).sum())
    assert abs(sigmoid["value"] - expected) <= sigmoid["error"] + 5e-14  # rounding of the sum


def test_three_tokens() -> None:
    found = answer("loss", "-g", "@attention", "--tokens", "3", *SOFTMAX, "--encoding", "1,-1,0", "--at", "m=1,eps=0")
    # the target is the model: R(1, 0) = 0
    assert abs(found["value"]) <= found["error"]


# ---- landscapes --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_hessian_of_softmax_is_proved() -> None:
    found = answer("hessian", *PAIR, *TRACE, *OPPOSITE)
    hessian = [[float(entry) for entry in row] for row in found["hessian"]]
    assert hessian[0] == pytest.approx([-1.1278271103, 0], abs=1e-10)  # theory section 9
    assert hessian[1] == pytest.approx([0, 2.0760082143], abs=1e-10)
    assert (found["evidence"], found["escapes"], found["escape_index"]) == ("enclosed", "semantic", 2)
    assert found["escape_direction"] == ["1", "0"]
    assert not any("GaussianExpectation" in reason for reason in found["reasons"])
    assert "GaussianExpectation" in found["hessian_exact"][0][0]


@pytest.mark.slow
def test_the_reduction_decides_figure_2() -> None:
    found = {
        reduction: answer("hessian", "-g", "@fig2", *SOFTMAX, "--reduction", reduction, *OPPOSITE)
        for reduction in ("trace", "mean-trace")
    }
    # theory section 9
    assert float(found["trace"]["hessian"][1][1]) == pytest.approx(0.1903901311, abs=1e-10)
    assert float(found["mean-trace"]["hessian"][1][1]) == pytest.approx(-0.2953, abs=5e-5)
    assert (found["trace"]["escapes"], found["mean-trace"]["escapes"]) == (None, "positional")
    assert found["trace"]["visible_exponent"] == 4


@pytest.mark.slow
def test_the_start_of_the_mixture_is_positional() -> None:
    found = answer("hessian", *MIXTURE)
    hessian = [[float(entry) for entry in row] for row in found["hessian"]]
    # H_mm = -4 (1 - omega) K; H_ee = 2 (alpha - omega b(1)), theory sections 8 and 9
    b = math.sqrt(2) * (1 / (1 + math.exp(-2)) - 1 + math.sqrt(2) / 4)
    assert hessian[0][0] == pytest.approx(-4 * 0.33 * 0.1102511689, abs=1e-9)
    assert hessian[1][1] == pytest.approx(2 * (0.1332602813 - 0.67 * b), abs=1e-9)
    assert hessian[0][1] == hessian[1][0] == 0
    assert (found["escapes"], found["evidence"]) == ("positional", "enclosed")


def test_three_tokens_are_numerical() -> None:
    found = answer("hessian", "-g", "@he2", "--tokens", "3", *TRACE, "--encoding", "1,-1,0")
    assert found["evidence"] == "numerical"
    assert (found["escapes"], found["escape_index"], found["flatness_index"]) == ("semantic", 2, 2)
    assert found["visible_exponent"] == 2
    assert found["gradient"] == ["0", "0"]
    assert found["hessian"][0][1] == "0"
    errors = found["hessian_error"]
    curvature = float(found["hessian"][0][0])
    assert 0 < errors[0][0] < 1e-6
    assert curvature < 0
    assert "+-" in found["reasons"][0]
    text = run("hessian", "-g", "@he2", "--tokens", "3", *TRACE, "--encoding", "1,-1,0")
    assert "numerical" in text
    assert found["hessian"][0][0] in text


def test_injection_makes_odd_targets_visible() -> None:  # Fig. 6
    found = answer("hessian", "-g", "z1 + z2 + z3", *TRACE, "--inject", "1,0,0")
    assert (found["visible_exponent"], found["escape_index"]) == (1, 1)
    found = answer("hessian", "-g", "z1 + z2 + z3", *TRACE)
    assert (found["visible_exponent"], found["escape_index"], found["evidence"]) == (None, None, "undecided")


def test_a_direction_of_an_integral_is_one() -> None:
    found = answer("hessian", "-g", "z1", "--model", "tied", "--activation", "tanh")
    assert found["escape_direction"] == ["1"]
    assert found["evidence"] == "enclosed"


# ---- exponents ---------------------------------------------------------------------------------


def test_the_exponent_of_three_token_attention_is_numerical() -> None:
    found = answer("sie", "-g", "@attention-trace", "--tokens", "3")
    assert (found["sie"], found["evidence"]) == (2, "numerical")
    assert found["reasons"][0].startswith("order 1: zero")
    value, error = map(float, re.findall(r"= (\S+) \+- (\S+)", found["reasons"][1])[0])
    assert 0 < error < abs(value)
    # C_(2,0,0) of the trace by Monte Carlo
    z = np.random.default_rng(3).standard_normal((3, 400_000))
    weights = np.exp(np.einsum("in,jn->ijn", z, z) - (z**2).max(axis=0))
    trace = np.einsum("iin->n", weights / weights.sum(axis=1, keepdims=True))
    sample = trace * (z[0] ** 2 - 1)
    assert abs(float(found["tensor"]["[2, 0, 0]"]) - sample.mean()) < 4 * sample.std() / 632
    assert float(found["tensor"]["[2, 0, 0]"]) == pytest.approx(value, abs=2 * error + 1e-8)


def test_the_coefficients_of_three_tokens_are_numerical() -> None:
    found = answer("expand", "-g", "@attention-trace", "--tokens", "3", "--order", "2")
    assert found["evidence"] == "numerical"
    assert set(found["coefficients"]) >= {"[0, 0, 0]", "[2, 0, 0]", "[1, 1, 0]"}


def test_the_coefficients_of_two_tokens_are_those_of_the_theory() -> None:  # section 9
    found = answer("expand", "-g", "@attention-trace", "--order", "2")
    values = {alpha: float(sp.parse_expr(value)) for alpha, value in found["coefficients"].items()}
    expected = {"[0, 0]": 2 - 1 / math.sqrt(2), "[2, 0]": 0.1409783888, "[1, 1]": -0.2125750018, "[0, 2]": 0.1409783888}
    assert values == pytest.approx(expected, abs=1e-10)
    assert found["evidence"] == "enclosed"


# ---- flows -------------------------------------------------------------------------------------


def test_a_flow_of_softmax_starts_at_its_linear_rates() -> None:
    found = answer("flow", *PAIR, *TRACE, *OPPOSITE, "--start", "m=.001,eps=.001", "--time", ".2", "--samples", "3")
    # m' = -H_mm m, eps' = -H_ee eps near 0 (theory section 9)
    assert math.log(found["m"][1] / 0.001) == pytest.approx(0.1 * 1.1278271103, rel=1e-4)
    assert math.log(found["eps"][1] / 0.001) == pytest.approx(-0.1 * 2.0760082143, rel=1e-4)
    assert found["loss"] == sorted(found["loss"], reverse=True)


def test_a_flow_of_the_mixture_ends_positional() -> None:
    found = answer("flow", *MIXTURE, "--start", "m=.03,eps=.03", "--time", "120")
    assert found["eps"][-1] == pytest.approx(1, abs=1e-3)
    assert found["m"][-1] == pytest.approx(0, abs=2e-2)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_flow_with_an_activation_and_encoding(activation: str) -> None:
    arguments = ("-g", "z1 + z2", "--model", "tied", "--activation", activation, "--encoding", "1,0")
    found = answer("flow", *arguments, "--start", "m=0,eps=.1", "--time", "1")
    assert found["m"][-1] > 0.3
    assert abs(found["eps"][-1]) < 0.2


def test_ten_tokens_of_a_tied_network_need_no_table() -> None:
    arguments = ("-g", "sum(l, 1, 10, z[l])/sqrt(10)", "--model", "tied", "--activation", "tanh")
    found = answer("flow", *arguments, "--start", "m=0", "--time", ".7", "--samples", "3")
    # as for one token: m = tanh(2 c_1 t), c_1 = E tanh(Z) Z
    x = np.linspace(-12, 12, 4001)
    c = float((np.exp(-(x**2) / 2) * x * np.tanh(x)).sum() * (x[1] - x[0])) / math.sqrt(2 * math.pi)
    assert found["m"] == pytest.approx([math.tanh(2 * c * t) for t in found["t"]], rel=1e-8)


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^10 points a scrambling."""
    monkeypatch.setattr(sampled_coefficients, "_MOST", 10)
    numerical_loss._sampled.cache_clear()


@pytest.mark.usefixtures("few_points")
def test_the_landscape_of_six_tokens_has_errors() -> None:
    command = ("hessian", "-g", "@he2", "--tokens", "6", *TRACE, "--encoding", "1,-1,0,0,0,0")
    found = answer(*command)
    # -4 E[g phi] and E[phi^2 ((z1 - z2)^2 - 2)] by 300,000 plain draws: see test_sampled_table
    values, errors = [[float(e) for e in row] for row in found["hessian"]], found["hessian_error"]
    assert abs(values[0][0] + 3.50) < errors[0][0] + 0.02
    assert abs(values[1][1] - 1.376) < errors[1][1] + 0.03
    assert (values[0][1], errors[0][1]) == (0, 0)
    assert (found["escape_index"], found["escapes"], found["evidence"]) == (2, "semantic", "numerical")
    assert re.search(r"\[ -3\.\d+ \+- 0\.\d+ +0 \]", run(*command))


@pytest.mark.usefixtures("few_points")
def test_the_flow_of_six_tokens_has_errors() -> None:
    command = ("flow", "-g", "@he2", "--tokens", "6", *TRACE, "--start", "m=.1", "--time", "1", "--samples", "3")
    found = answer(*command)
    assert found["evidence"] == "numerical"
    assert found["error"]["m"][0] == 0
    # dm/dt = (1 - m^2) |H_mm| m: m^2/(1 - m^2) grows as exp(2 |H_mm| t); H_mm as above
    ratio = 0.1**2 / (1 - 0.1**2) * math.exp(2 * 3.50)
    assert abs(found["m"][-1] - math.sqrt(ratio / (1 + ratio))) < found["error"]["m"][-1] + 0.002
    assert len(found["error"]["loss"]) == len(found["t"])
    assert re.search(r" 0\.9\d+ \+- \d", run(*command))


def test_what_would_take_minutes_is_refused_in_one_line() -> None:
    columns = "1,-1,0,0,0,0;0,0,1,-1,0,0;0,0,0,0,1,-1"
    for command in (("flow", "--start", "m=.1,eps1=0,eps2=0,eps3=0", "--time", "1"), ("hessian",)):
        message = refusal(*command, "-g", "@he2", "--tokens", "6", *TRACE, "--encoding", columns)
        assert "would take minutes" in message
        assert "run SGD" in message


def test_parameters_need_values() -> None:
    arguments = ("-g", "@positional-semantic", *SOFTMAX, *OPPOSITE)
    for command in (("flow", "--start", "m=.1,eps=.1", "--time", "1"), ("loss", "--at", "m=.1,eps=.1")):
        assert "--param a=0.5" in refusal(*command, *arguments)


@pytest.mark.usefixtures("few_points")
def test_a_rate_where_the_noise_is_sampled() -> None:
    arguments = ("flow", "-g", "z1*z6", "--model", "tied", "--activation", "tanh(u)^2", "--encoding", "1,0,0,0,0,0")
    found = answer(*arguments, "--start", "m=.1,eps=.1", "--time", "1", "--rate", ".01", "--samples", "3")
    plain = answer(*arguments, "--start", "m=.1,eps=.1", "--time", "1", "--samples", "3")
    assert found["gamma_max"] > 0.01
    # the noise pulls towards 0
    assert found["m"][-1] < plain["m"][-1]
    assert max(found["error"]["m"]) < 0.01


# ---- the phase diagram -------------------------------------------------------------------------


def test_phase_diagram() -> None:
    # theory section 9
    found = answer("phase-diagram")
    assert found["a"] == 1
    assert found["boundaries"] == {
        "dynamics": 0.6409626179,
        "semantic_minimum": 0.8416054039,
        "positional_minimum": 0.5082142374,
        "global_minimum": 0.7376068293,
    }
    assert [region["name"] for region in found["regions"]] == [
        "unique semantic",
        "global semantic",
        "global semantic, positional dynamics",
        "global positional",
        "unique positional",
    ]
    ends = [region["omega"] for region in found["regions"]]
    assert ends[0][0] == 0
    assert ends[-1][1] == 1
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    assert [end[1] for end in ends[:-1]] == sorted(found["boundaries"].values())


def test_phase_diagram_of_figure_13() -> None:
    found = answer("phase-diagram", "--a", "sqrt(.5776)")
    assert found["boundaries"]["dynamics"] == 0.9267089012
    assert found["boundaries"]["semantic_minimum"] == 0.9741152997
    assert found["boundaries"]["positional_minimum"] == 0.9863689694
    at = next(region["name"] for region in found["regions"] if region["omega"][0] < 0.95 < region["omega"][1])
    assert at == "unique semantic, misaligned dynamics"


@pytest.mark.parametrize("a", ["0", "-1", "z1", "1e400"])
def test_a_scale_that_is_none(a: str) -> None:
    refusal("phase-diagram", "--a", a)


def test_phase_diagram_as_text_and_latex(katex: Any, tmp_path: Path, pdflatex: Any) -> None:
    assert "left its corner along the rim" in run("phase-diagram", "--a", "0.76")
    assert run("phase-diagram", "--a", "0.72").count("outside of [0, 1]: no transition") == 4
    text = run("phase-diagram", "--a", "0.9")
    assert "0.7266098347" in text  # theory section 9
    latex = run("phase-diagram", "-o", str(tmp_path / "phases.tex"), "--latex")
    formulas = re.findall(r"^\\\[\n(.*?)\n\\\]$", latex, flags=re.DOTALL | re.MULTILINE)
    assert len(formulas) == 6
    assert katex(formulas) == []
    assert "0.6409626179" in formulas[0]
    pdflatex((tmp_path / "phases.tex").read_text())


def test_latex_of_a_numerical_landscape(katex: Any) -> None:
    latex = run("hessian", "-g", "@he2", "--tokens", "3", *TRACE, "--encoding", "1,-1,0", "--latex")
    formulas = re.findall(r"^\\\[\n(.*?)\n\\\]$", latex, flags=re.DOTALL | re.MULTILINE)
    assert len(formulas) == 5
    assert katex(formulas) == []
    assert "(numerical" in latex


# ---- pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_loss_is_drawn(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"loss.{kind}"
    run("loss", *MIXTURE, "--plot", str(path))
    assert path.stat().st_size > 50_000


def test_the_phase_diagram_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "phases.png"
    run("phase-diagram", "--a", ".76", "--plot", str(path))
    assert path.stat().st_size > 50_000


def test_pictures_of_several_columns_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("loss", *PAIR, "--model", "linear-attention", "--encoding", "1,0;0,1")
    assert "one encoding column" in refusal(*arguments, "--plot", str(tmp_path / "loss.png"))
    assert list(tmp_path.iterdir()) == []
