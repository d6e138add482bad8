"""Landscapes from numbers: the proved landscape where there is one, theory section 9, and functions made for a case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sie_sym.errors import TruncationError
from sie_sym.evidence import Evidence
from sie_sym.landscape import landscape
from sie_sym.losses.loss_family import spectral_loss
from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import Model, formula_model, linear_attention, softmax_attention
from sie_sym.numerical_landscape import NumericalLandscape, numerical_landscape
from sie_sym.parse import parse_formula
from sie_sym.population_loss import population_loss
from sie_sym.target import Target


def of(target: str, model: Model, tokens: int = 2) -> NumericalLandscape:
    return numerical_landscape(tabulated_loss(Target.of(parse_formula(target), tokens), model))


def softmax(tokens: int = 2, reduction: str = "trace", *columns: list[Any]) -> Model:
    return softmax_attention(tokens, reduction).with_encoding(columns)


PAIR = "He(2,z1) + He(2,z2)"

CASES = {
    "linear attention": (PAIR, linear_attention(2).with_encoding([[1, parse_formula("1/2")]])),
    "two columns": (PAIR, linear_attention(2).with_encoding([[1, parse_formula("1/2")], [0, 1]])),
    "parallel columns": (PAIR, linear_attention(2).with_encoding([[1, 2], [2, 4]])),
    "order one": ("z1 + z2 + z1*z2", formula_model(parse_formula("(1 + z1)*(1 + z2)"), 2).with_encoding([[1, -1]])),
    "order three": ("He(3,z1)", formula_model(parse_formula("He(3,z1) + z2^2"), 2)),
    "order four": ("He(4,z1)", formula_model(parse_formula("He(4,z1)"), 2)),
    # R = 4 - 4 m^2 eps + 2 eps^2 + q m^4, q = -48 b c: on the valley eps = m^2 it is 4 + (q - 2) m^4
    "a bending valley": ("He(2,z1)", formula_model(parse_formula("He(2,z1)*z2"), 2).with_encoding([[0, 1]])),
    "a valley that bends enough": (
        "He(2,z1) - He(4,z1)/60",
        formula_model(parse_formula("He(2,z1)*z2 + He(4,z1)"), 2).with_encoding([[0, 1]]),
    ),
    "a valley that bends too little": (
        "He(2,z1) - He(4,z1)/16",
        formula_model(parse_formula("He(2,z1)*z2 + He(4,z1)"), 2).with_encoding([[0, 1]]),
    ),
    "a valley that bends first": (
        "He(2,z1) - He(6,z1)",
        formula_model(parse_formula("He(2,z1)*z2 + He(6,z1)"), 2).with_encoding([[0, 1]]),
    ),
    "a strict minimum": ("-He(2,z1)", formula_model(parse_formula("z1^2"), 2).with_encoding([[1, 0]])),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_proved_landscape(case: str) -> None:
    target, model = CASES[case]
    found = of(target, model)
    proved = landscape(population_loss(Target.of(parse_formula(target), 2), model))
    np.testing.assert_allclose(found.gradient, [float(x) for x in proved.gradient], atol=1e-9)
    np.testing.assert_allclose(found.hessian, np.array(proved.hessian.tolist(), dtype=float), atol=1e-9)
    assert found.flatness_index == proved.flatness_index
    assert (found.escape.order, found.escape.kind) == (proved.escape.order, proved.escape.kind)
    assert found.visible.exponent == proved.visible.exponent
    assert found.evidence is Evidence.NUMERICAL
    if proved.escape.direction is not None:
        here, there = ([float(x) for x in e.direction or ()] for e in (found.escape, proved.escape))
        assert abs(np.dot(here, there)) == pytest.approx(1, abs=1e-9)


def test_the_valleys_bend() -> None:
    reasons = [of(*CASES[case]).escape.reason for case in CASES if "bend" in case]
    falls = ["R falls as -2 m^4", "R falls as -1.2 m^4", "R rises as 1 m^4", "R falls as -2 m^4"]
    assert [fall in reason for fall, reason in zip(falls, reasons, strict=True)] == [True] * 4


@pytest.mark.parametrize("case", CASES)
def test_the_errors_cover_the_truth(case: str) -> None:
    target, model = CASES[case]
    found = of(target, model)
    proved = landscape(population_loss(Target.of(parse_formula(target), 2), model))
    slopes, curvatures = [float(x) for x in proved.gradient], np.array(proved.hessian.tolist(), dtype=float)
    assert (np.abs(found.gradient - slopes) <= found.gradient_error + 1e-13).all()
    assert (np.abs(found.hessian - curvatures) <= found.hessian_error + 1e-13).all()
    assert found.hessian_error.max() < 1e-6


def test_softmax() -> None:
    # theory section 9
    found = of(PAIR, softmax(2, "trace", [1, -1]))
    assert found.hessian[0, 0] == pytest.approx(-1.1278271103, abs=1e-10)
    assert found.hessian[1, 1] == pytest.approx(2.0760082143, abs=1e-10)
    assert found.escape.kind == "semantic"
    target = "4/3 + He(4,z1) + 2*He(4,z2)"
    uphill, downhill = (of(target, softmax(2, reduction, [1, -1])) for reduction in ("trace", "mean-trace"))
    assert uphill.hessian[1, 1] == pytest.approx(0.1903901311, abs=1e-10)
    assert downhill.hessian[1, 1] == pytest.approx(-0.2953, abs=5e-5)
    assert (uphill.escape.kind, downhill.escape.kind) == (None, "positional")
    assert uphill.escape.proved
    assert "rises" in uphill.escape.reason


def test_three_tokens_by_monte_carlo() -> None:
    # H_mm = -4 sum_{|b|=2} <C_b(g), C_b(phi)>/b! with C_2(g) = 2 I: -4 E phi (sum_l He_2(z_l))
    found = of("He(2,z1) + He(2,z2) + He(2,z3)", softmax(3, "trace", [1, -1, 0]), 3)
    z = np.random.default_rng(5).standard_normal((3, 400_000))
    scores = np.einsum("in,jn->ijn", z, z)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    trace = np.einsum("iin->n", weights)
    sample = -4 * trace * (z**2 - 1).sum(axis=0)
    value, spread = sample.mean(), sample.std() / np.sqrt(z.shape[1])
    assert abs(found.hessian[0, 0] - value) < 4 * spread
    # H_ee in the direction c = (1, -1, 0): C_cc(phi^2), as E g = 0
    c = z[0] - z[1]
    sample = trace**2 * (c**2 - 2)
    assert abs(found.hessian[1, 1] - sample.mean()) < 4 * sample.std() / np.sqrt(z.shape[1])
    assert found.hessian_error[0, 0] < 1e-6
    assert (found.escape.kind, found.escape.order, found.evidence) == ("semantic", 2, Evidence.NUMERICAL)


@pytest.mark.parametrize("tokens", [2, 3, 4])
def test_what_is_flat_within_its_error_is_undecided(tokens: int) -> None:
    # phi is even: R is constant, but numbers cannot prove it, and their rounding is no slope
    found = of("z1 + z2", softmax(tokens, "trace"), tokens)
    assert found.evidence is Evidence.UNDECIDED
    assert found.escape.order is None
    assert not found.escape.proved
    assert found.flatness_index is None
    assert found.visible.exponent is None
    assert "within its error" in found.escape.reason


def test_a_flat_positional_direction_is_undecided() -> None:
    # R = E g^2 - 2 m^3 a_3 + ..., and phi does not depend on eps to second order: z_1^3 in the mean only
    found = of("He(4,z1)", formula_model(parse_formula("He(4,z1)"), 2).with_encoding([[0, 1]]))
    assert found.escape.order is None
    assert not found.escape.proved
    assert "a direction other than m" in found.escape.reason


def test_a_table_too_short_for_the_hessian_says_so() -> None:
    table = spectral_loss(lambda z: np.tanh(z[:1]), lambda z: np.tanh(z[:1]), np.zeros((1, 0)), order=1)
    loss = NumericalLoss(linear_attention(1).statistics, table)
    with pytest.raises(TruncationError, match="pass order=2"):
        numerical_landscape(loss)
