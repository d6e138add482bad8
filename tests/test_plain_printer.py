"""Expectations as plain text: read back and integrated, they are the expectations; the JSON keeps the exact strings."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner

from sie_sym.cli import main
from sie_sym.functions import sigmoid, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.numeric import numeric_function
from sie_sym.parse import parse_formula
from sie_sym.quadratures.measure import measure
from sie_sym.typesetting.plain_printer import EXPLANATION, PlainText, plain

z1, z2 = token(1), token(2)
a, eps = sp.symbols("a eps", real=True)
R = sp.Rational

NODES = [
    (GaussianExpectation(sp.tanh(z1) * z1), "E[Z1*tanh(Z1)]"),
    (GaussianExpectation(sp.tanh(z1), {z1: eps}, {1: 2}) ** 2, "E[tanh(Z1 + eps)*He(2, Z1)]**2"),
    (GaussianExpectation(sp.tanh(z1), {z1: z1}), "E[tanh(Z1 + z1)]"),
    (
        a - GaussianExpectation(sigmoid(z1 * (z1 - z2)), {}, {1: 1, 2: 1}) / 2,
        "a - E[Z1*Z2*sigmoid(Z1*(Z1 - Z2))]/2",
    ),
    (sp.sqrt(a) + 1, "sqrt(a) + 1"),
]


@pytest.mark.parametrize(("expression", "text"), NODES, ids=[text for _, text in NODES])
def test_plain(expression: sp.Expr, text: str) -> None:
    assert plain(expression) == text
    assert PlainText([expression])(f"x = {expression}; y = ({expression})") == f"x = {text}; y = ({text})"


@pytest.mark.parametrize(
    "node",
    [
        GaussianExpectation(sp.tanh(z1), {z1: R(1, 3)}, {1: 3}),
        GaussianExpectation(sigmoid(z1 * (z1 - z2)) ** 2, {z1: R(1, 2), z2: -1}, {1: 1, 2: 2}),
    ],
)
def test_the_text_means_the_expectation(node: sp.Expr) -> None:
    """What stands in E[..] is parsed and integrated by a trapezoid rule."""
    inside = re.fullmatch(r"E\[(.*)\]", plain(node))
    assert inside is not None
    function = numeric_function((z1, z2), [parse_formula(inside[1].replace("Z", "z"))])
    x = np.arange(-9, 9, 1 / 16)
    first, second = (axis.ravel() for axis in np.meshgrid(x, x, indexing="ij"))
    weight = np.exp(-(first**2 + second**2) / 2) / (2 * np.pi) / 16**2
    value = float((np.asarray(function(np.array([first, second]))).ravel() * weight).sum())
    assert measure(node).value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "key", "line"),
    [
        (("loss", "--model", "linear-attention", "-g", "tanh(z1) + z1*z2", "--encoding", "1,0"), "loss",
         "- 2*eps*m*E[Z1*tanh(Z1)] - 2*m**2 + E[tanh(Z1)**2] + 4"),
        (("sie", "-g", "tanh(z1)*z1 + a*z1^2"), "tensor", "a = -E[Z1*tanh(Z1)*He(2, Z1)]/2"),
        (("expand", "-g", "tanh(z1)*z1 + a*z1^2"), "transform", "a*(z1**2 + 1) + E[(Z1 + z1)*tanh(Z1 + z1)]"),
        (("hessian", "--model", "linear-attention", "-g", "a*tanh(z1) + z1*z2", "--encoding", "1,0"), "hessian",
         "[                  -4  -2*a*E[Z1*tanh(Z1)] ]"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_text_and_json(arguments: tuple[str, ...], key: str, line: str) -> None:
    text = CliRunner().invoke(main, list(arguments)).stdout
    assert line in text
    assert "GaussianExpectation" not in text
    assert text.count(EXPLANATION) == 1
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert "GaussianExpectation(" in json.dumps(found[key])
    assert "E[" not in json.dumps(found)


def test_no_explanation_without_integrals() -> None:
    assert EXPLANATION not in CliRunner().invoke(main, ["expand", "-g", "z1^2"]).stdout
