"""The loss of many tokens by quasi-Monte Carlo, against losses in closed form, which share nothing with it."""

from __future__ import annotations

import json

import pytest
import sympy as sp
from click.testing import CliRunner

from sie_sym.cli import main
from sie_sym.errors import DomainError, FormulaError
from sie_sym.functions import TOKENS, He, relu
from sie_sym.model import ACTIVATION_VARIABLE, linear_attention, tied_network
from sie_sym.population_loss import population_loss
from sie_sym.sampled_loss import sampled_loss
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


def test_softmax_attention_over_seven_tokens() -> None:
    """R(0) = E g^2 + E phi^2 - 2 E g E phi = 14 + E phi^2, and R(.5) - R(0) = -2 (1/4) <C_2(g), C_2(phi)>/2."""
    command = ["loss", "--model", "softmax-attention", "--reduction", "trace", "-g", "sum(l,1,7,He(2,z[l]))", "--json"]
    for at in ("m=0", "m=.5"):
        result = CliRunner().invoke(main, [*command, "--at", at])
        found = json.loads(result.stdout)
        assert found["evidence"] == "numerical"
        # at most the trace of 7 rows, each entry below 1
        assert 14 < found["value"] < 14 + 49
        assert found["error"] < 0.2
