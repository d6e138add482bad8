"""The loss of many tokens by quasi-Monte Carlo, against losses in closed form, which share nothing with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner
from independent import mean_and_error

from sie_sym.cli import main
from sie_sym.errors import DomainError, FormulaError
from sie_sym.functions import TOKENS, He, relu
from sie_sym.losses.sampled_loss import sampled_loss
from sie_sym.model import ACTIVATION_VARIABLE, linear_attention, tied_network
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

L, HALF = sp.Symbol("l", integer=True), sp.Rational(1, 2)
SQUARES = Target.of(sp.Sum(He(2, TOKENS[L]), (L, 1, 7)))


@pytest.mark.parametrize(
    "model",
    [
        linear_attention(7).with_encoding([[1, -1, 0, 2, 0, 0, 1]]),
        tied_network(7, relu(ACTIVATION_VARIABLE)).with_encoding([[1] * 7]),
    ],
    ids=["linear", "relu"],
)
@pytest.mark.parametrize("point", [(0, 0), (HALF, -HALF), (sp.Rational(-4, 5), sp.Rational(3, 5))])
def test_the_interval_contains_the_closed_form(model: object, point: tuple[sp.Expr, sp.Expr]) -> None:
    loss = population_loss(SQUARES, model)  # type: ignore[arg-type]
    at = dict(zip(loss.statistics, map(sp.sympify, point), strict=True))
    exact, _ = loss.value(at)
    value, error = sampled_loss(SQUARES, model, at)  # type: ignore[arg-type]
    assert abs(value - exact) <= error
    assert error < 0.02 * exact


def test_refusals() -> None:
    m = linear_attention(7).semantic
    with pytest.raises(DomainError, match=r"\[-1, 1\]"):
        sampled_loss(SQUARES, linear_attention(7), {m: sp.Integer(2)})
    with pytest.raises(FormulaError, match="same number"):
        sampled_loss(SQUARES, linear_attention(6), {})
    with pytest.raises(DomainError, match="tabulated_loss"):
        sampled_loss(Target.of(He(2, TOKENS[1])), linear_attention(1), {})


@pytest.mark.parametrize("m", [0.0, 0.5])
def test_softmax_attention_over_seven_tokens(m: float) -> None:
    """Against seeded Monte Carlo of the definition, with softmax(z z^T) and its trace written out in numpy."""
    a, h = np.random.default_rng(7).standard_normal((2, 7, 100_000))
    z = m * a + np.sqrt(1 - m * m) * h
    scores = z[:, None] * z[None]
    rows = np.exp(scores - scores.max(axis=1, keepdims=True))
    trace = (np.einsum("iin->in", rows) / rows.sum(axis=1)).sum(axis=0)
    mean, deviation = mean_and_error(((a**2 - 1).sum(axis=0) - trace) ** 2)
    command = ["loss", "--model", "softmax-attention", "--reduction", "trace", "-g", "sum(l,1,7,He(2,z[l]))", "--json"]
    found = json.loads(CliRunner().invoke(main, [*command, "--at", f"m={m}"]).stdout)
    assert found["evidence"] == "numerical"
    assert abs(found["value"] - mean) < 5 * deviation + found["error"]
    assert found["error"] < 0.005 * mean
