"""Models as texts, on the command line and in sweeps: linear maps and projections of attention, injected scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner

from sie_sym.audits.remedies import reduced
from sie_sym.cli import main
from sie_sym.errors import FormulaError, SieSymError
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.model import Model, softmax_attention
from sie_sym.model_text import ModelText
from sie_sym.numeric import numeric_function
from sie_sym.problem import Formulas, Problem

PAIR = ("-g", "He(2,z1) + He(2,z2)")
SOFTMAX = ("--model", "softmax-attention", "--encoding", "1,-1")
TRACE = "linear:[[1,0,0,1]]"


def answer(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


# ---- reductions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("trace", TRACE),
        ("mean-trace", "linear:[[1/sqrt(2),0,0,1/sqrt(2)]]"),
        ("projection:1,2;0,1/3", "linear:[[0,1/3,0,2/3]]"),  # a_i b_j, row by row
        ("identity", "linear:[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"),
    ],
)
def test_a_reduction_as_a_linear_map(left: str, right: str) -> None:
    one, other = (ModelText("softmax-attention", reduction=text).model(2).components for text in (left, right))
    assert [sp.expand(a - b) for a, b in zip(one, other, strict=True)] == [0] * len(one)


@pytest.mark.parametrize(
    "command",
    [
        ("hessian",),
        ("loss", "--at", "m=.3,eps=.2"),
        ("sgd", "--dimension", "100", "--rate", ".01", "--steps", "50", "--seed", "3"),
        ("flow", "--start", "m=.1,eps=.1", "--time", "1", "--samples", "3"),
    ],
    ids=lambda command: command[0],
)
def test_the_trace_as_a_linear_map_in_every_command(command: tuple[str, ...]) -> None:
    one, other = (answer(*command, *PAIR, *SOFTMAX, "--reduction", text) for text in ("trace", TRACE))
    assert one == other


def test_parameters_of_a_reduction_get_values() -> None:
    options = ("--reduction", "projection:a,0;0,b", "--param", "a=1/2", "--param", "b=.5")
    given = answer("loss", *PAIR, *SOFTMAX, *options, "--at", "m=0,eps=0")
    assert given == answer("loss", *PAIR, *SOFTMAX, "--reduction", "linear:[[0,1/4,0,0]]", "--at", "m=0,eps=0")
    # R(0, 0) = E g^2 + E S_12^2/16, E g = 0, S_12 = 1 - S_11; E S_11 = 1 - sqrt(2)/4 (theory section 9)
    assert 4 + (2**-1.5) ** 2 / 16 < given["value"] < 4 + 2**-1.5 / 16
    assert "--param c does not occur" in refused("loss", *PAIR, *SOFTMAX, *options, "--param", "c=1")


def test_every_map_against_its_definition() -> None:
    """phi(z) by numpy, from the attention matrix written down again."""
    z = np.array([0.3, -1.1, 0.7])
    scores = np.exp(np.outer(z, z))
    attention = scores / scores.sum(axis=1, keepdims=True)
    a, b = np.array([1.0, -2.0, 0.5]), np.array([0.0, 3.0, 1.0])
    rows = np.arange(18).reshape(2, 9) - 7.0
    written = ",".join(f"[{','.join(str(int(x)) for x in row)}]" for row in rows)
    for text, expected in (
        ("projection:1,-2,1/2;0,3,1", [a @ attention @ b]),
        (f"linear:[{written}]", rows @ attention.ravel()),
    ):
        model = ModelText("softmax-attention", reduction=text).model(3)
        assert values(model, z) == pytest.approx(expected, rel=1e-13)


def values(model: Model, z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    symbols = [token(l) for l in range(1, model.tokens + 1)]
    return np.asarray(numeric_function(symbols, list(model.components))(z[:, None])).ravel()


# ---- the injection -----------------------------------------------------------------------------


def test_scores_against_their_definition() -> None:
    """softmax_rows(z z^T + c c^T) by numpy, three tokens."""
    z, c = np.array([0.3, -1.1, 0.7]), np.array([1.0, 0.5, -2.0])
    scores = np.exp(np.outer(z, z) + np.outer(c, c))
    model = ModelText("softmax-attention", inject="scores:1,1/2,-2").model(3)
    assert values(model, z) == pytest.approx((scores / scores.sum(axis=1, keepdims=True)).ravel(), rel=1e-13)
    assert model.scores == (1, sp.Rational(1, 2), -2)
    assert model.injection == ()


def test_only_the_shifted_fields_have_odd_tensors() -> None:
    """App. D: softmax(z z^T + c c^T) is even in z; softmax((z + c)(z + c)^T) is not."""
    texts = (ModelText("softmax-attention", reduction="trace", inject=inject) for inject in ("1,0", "scores:1,0"))
    odd = {text.inject: HermiteExpansion.of(text.model(2).components, 2) for text in texts}
    assert odd["1,0"].vanishes(1)[0] is False
    assert [odd["scores:1,0"].vanishes(k)[0] for k in (1, 3, 5, 7)] == [True] * 4


@pytest.mark.parametrize(("inject", "visible"), [("1,0", 1), ("scores:1,0", None)])
def test_what_an_injected_model_sees_of_a_linear_target(inject: str, visible: int | None) -> None:
    found = answer("hessian", "-g", "z1 + z2", "--model", "softmax-attention", "--reduction", "trace",
                   "--inject", inject)  # fmt: skip
    assert found["visible_exponent"] == visible


def test_scores_are_the_model_written_by_hand() -> None:
    by_hand = "exp(z1^2+1)/(exp(z1^2+1) + exp(z1*z2)) + exp(z2^2)/(exp(z2^2) + exp(z1*z2))"
    point = ("loss", *PAIR, "--encoding", "1,-1", "--at", "m=.3,eps=.2")
    named = ("--model", "softmax-attention", "--reduction", "trace")
    value = answer(*point, *named, "--inject", "scores:1,0")["value"]
    assert value == pytest.approx(answer(*point, "--model", by_hand)["value"], abs=1e-10)
    assert abs(value - answer(*point, *named)["value"]) > 1e-3


def test_the_other_trace_keeps_the_scores() -> None:
    trace, mean = (softmax_attention(2, name, scores=[1, 0]) for name in ("trace", "mean-trace"))
    assert reduced(trace, "mean-trace") == mean


def test_latex_tells_the_scores() -> None:
    text = CliRunner().invoke(main, ["loss", *PAIR, *SOFTMAX, "--reduction", "trace", "--inject", "scores:1,0",
                                     "--latex", "--order", "0"]).stdout  # fmt: skip
    assert r"z z^\top + c c^\top" in text


# ---- sweeps ------------------------------------------------------------------------------------


def test_a_sweep_over_reductions(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    axis = "reduction=trace|linear:[[1,0,0,1]]|projection:1,0;1,0"
    numbers = [part for name in ("dimension=50", "rate=.01", "steps=5") for part in ("--set", name)]
    options = (*PAIR, *SOFTMAX, "--inject", "scores:1,0", *numbers, "--over", axis, "--workers", "1")
    result = CliRunner().invoke(main, ["sweep", "sgd", *options, "-o", str(output)])
    assert result.exit_code == 0, result.output
    _, *rows = map(json.loads, output.read_text().splitlines())
    assert [row["status"] for row in rows] == ["ok"] * 3
    given = [{name: row["task"][name] for name in ("model", "reduction", "inject")} for row in rows]
    models = {text["reduction"]: Problem(Formulas("z1*z2", **text)).model for text in given}
    assert models["trace"].components == models[TRACE].components
    assert models["projection:1,0;1,0"].components != models[TRACE].components


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--reduction", "sum"), "'sum' is unknown: choose identity, trace, mean-trace, projection:1,0;0,1"),
        (("--reduction", "linear"), "'linear' is unknown"),
        (("--reduction", "linear:[[1,0,0]]"), "reduction of shape (1, 3): give k x 4"),
        (("--reduction", "linear:[1,0,0,1]"), "reduction of shape (4, 1): give k x 4"),
        (("--reduction", "linear:3"), "'3' is no matrix of numbers: write e.g. linear:[[1,0,0,1]]"),
        (("--reduction", "linear:[[z1,0,0,1]]"), "no matrix of numbers"),
        (("--reduction", "linear:[[1,0],[0]]"), "rows of lengths 2, 1"),
        (("--reduction", "linear:"), "empty"),
        (("--reduction", "projection:1,2"), "has 1 vectors: a projection a^T S b needs two, separated by ;"),
        (("--reduction", "projection:1,2;1,2;3,4"), "has 3 vectors"),
        (("--reduction", "projection:1,2,3;1,2"), "a projection of 3 and 2 entries: give two vectors of 2"),
        (("--reduction", "projection:1,;1,2"), "--reduction '1,' has an empty entry"),
        (("--reduction", "projection:z1,1;1,2"), "--reduction entry 'z1' is not a number"),
        (("--reduction", "linear:[[1,0,0,1],[0,1,1,0]]"), "1 outputs and the model 2"),
        (("--inject", "scores:1"), "scores (1) has 1 entries but the model has 2 tokens"),
        (("--inject", "scores:"), "--inject '' has an empty entry"),
        (("--inject", "score:1,0"), "'score:1,0' is unknown: write 1,0 for phi(z + c), or scores:1,0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_texts(options: tuple[str, ...], says: str) -> None:
    assert says in refused("loss", *PAIR, *SOFTMAX, *options)


def test_texts_of_another_model() -> None:
    tied = ("--model", "tied", "--activation", "relu")
    assert "--inject scores:1,0 does not apply to --model tied: it belongs to softmax-attention" in refused(
        "loss", *PAIR, *tied, "--inject", "scores:1,0"
    )
    assert "--reduction linear:[[1]] does not apply to --model tied" in refused(
        "loss", *PAIR, *tied, "--reduction", "linear:[[1]]"
    )
    with pytest.raises(SieSymError, match="the reduction trace does not apply to the model z1: it belongs to softmax"):
        ModelText("z1", reduction="trace").model(1)


def test_scores_in_python() -> None:
    with pytest.raises(FormulaError, match=r"scores \(1, 2, 3\) has 3 entries but the model has 2 tokens"):
        softmax_attention(2, "trace", scores=[1, 2, 3])
    assert softmax_attention(2, "trace", scores=[0, 0]).components == softmax_attention(2, "trace").components
