"""Models: the formulas of the paper, encodings and injections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from independent import numeric

from sie_sym.errors import FormulaError
from sie_sym.functions import TOKENS, token
from sie_sym.model import (
    ACTIVATION_VARIABLE,
    Model,
    attention_matrix,
    formula_model,
    linear_attention,
    softmax_attention,
    tied_network,
)

U = ACTIVATION_VARIABLE
Z1, Z2 = token(1), token(2)
EPS = sp.Symbol("eps", real=True)


def test_linear_attention_is_the_mean_of_all_products() -> None:
    """Eq. 12: (1/L) sum_ij z_i z_j."""
    z = [token(l) for l in range(1, 4)]
    (phi,) = linear_attention(3).components
    assert sp.expand(phi - sum(a * b for a in z for b in z) / 3) == 0


def test_tied_network_reads_the_normalised_sum() -> None:
    (phi,) = tied_network(4, sp.tanh(U)).components
    value = phi.subs({token(l): sp.Rational(l, 2) for l in range(1, 5)})
    assert sp.N(value) == pytest.approx(float(np.tanh(2.5)), abs=1e-12)


def test_softmax_attention_against_numpy() -> None:
    z = np.array([0.3, -1.2, 0.7])
    scores = np.outer(z, z)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    values = [float(entry.subs({token(i + 1): z[i] for i in range(3)}).rewrite(sp.exp)) for entry in _plain(3)]
    assert np.reshape(values, (3, 3)) == pytest.approx(expected, abs=1e-12)
    assert softmax_attention(3, "trace").components[0] == attention_matrix(3).trace()
    assert softmax_attention(3, "mean-trace").components[0] == attention_matrix(3).trace() / sp.sqrt(3)
    assert len(softmax_attention(3).components) == 9
    with pytest.raises(FormulaError, match="identity, trace or mean-trace"):
        softmax_attention(2, "maximum")


def _plain(tokens: int) -> list[sp.Expr]:
    """The attention matrix with softmax(k, ...) replaced by its definition."""
    result = []
    for entry in attention_matrix(tokens):
        k, *scores = entry.args
        result.append(sp.exp(scores[int(k) - 1]) / sp.Add(*map(sp.exp, scores)))
    return result


def test_statistics_and_shift() -> None:
    model = linear_attention(2)
    assert model.statistics == (sp.Symbol("m", real=True),)
    assert model.shift == (0, 0)
    one = model.with_encoding([[1, sp.Rational(1, 2)]])
    assert one.statistics == (sp.Symbol("m", real=True), EPS)
    assert one.shift == (EPS, EPS / 2)
    two = model.with_encoding([[1, 0], [1, -1]])
    first, second = two.positional
    assert [str(s) for s in two.positional] == ["eps1", "eps2"]
    assert two.shift == (first + second, -second)


def test_wrong_lengths() -> None:
    with pytest.raises(FormulaError, match="3 entries but the model has 2"):
        linear_attention(2).with_encoding([[1, 2, 3]])
    with pytest.raises(FormulaError, match=r"injection .* has 1 entries"):
        linear_attention(2).with_injection([1])
    with pytest.raises(FormulaError, match="reads token z2 but the sequence has 1"):
        formula_model(Z1 * Z2, 1)


def test_injections_add_up() -> None:
    once = tied_network(2, sp.exp(U)).with_injection([3, 1])
    twice = tied_network(2, sp.exp(U)).with_injection([1, 1]).with_injection([2, 0])
    assert twice.injection == once.injection == (3, 1)
    assert sp.expand(sp.log(twice.components[0]) - sp.log(once.components[0]), force=True).simplify() == 0


def test_injection_reaches_sums_over_tokens() -> None:
    index = sp.Symbol("l", integer=True)
    model = formula_model(sp.Sum(TOKENS[index] ** 2, (index, 1, 2)), 2).with_injection([1, 2])
    assert sp.expand(model.components[0] - (Z1 + 1) ** 2 - (Z2 + 2) ** 2) == 0


@pytest.mark.parametrize("build", ["encoding", "injection", "formula"])
def test_strings_are_never_run(build: str, tmp_path: Path) -> None:
    written = tmp_path / "written"
    text = f"open({str(written)!r}, 'w')"
    calls = {
        "encoding": lambda: linear_attention(1).with_encoding([[text]]),
        "injection": lambda: linear_attention(1).with_injection([text]),
        "formula": lambda: formula_model(text, 1),
    }
    with pytest.raises((sp.SympifyError, TypeError)):
        calls[build]()
    assert not written.exists()


def test_parameters_of_phi_and_of_the_encoding() -> None:
    a, b = sp.symbols("a b", real=True)
    model: Model = tied_network(2, sp.erf(b * U)).with_encoding([[a, 1]])
    assert model.parameters == (a, b)


def test_independent_evaluator_agrees_with_the_definition() -> None:
    """The evaluator of the other tests, on a function known by hand: (1/2)(1 + 2)^2."""
    assert numeric(linear_attention(2).components, 2)(np.array([[1.0], [2.0]]))[0, 0] == pytest.approx(4.5)
