"""Flows of sampled losses against flows of closed forms and of tables on grids."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from sie_sym.flow import gradient_flow
from sie_sym.functions import TOKENS, He, token
from sie_sym.gradient_noise import gradient_noise
from sie_sym.losses import numerical_loss as numerical_loss_module
from sie_sym.losses.numerical_loss import NumericalLoss, encoding_matrix, tabulated_loss
from sie_sym.losses.sampled_table import sampled_tables
from sie_sym.model import attention_matrix, linear_attention, softmax_attention
from sie_sym.numeric import numeric_function
from sie_sym.numerical_noise import tabulated_noise
from sie_sym.population_loss import population_loss
from sie_sym.quadratures import sampled_coefficients
from sie_sym.sampled_flow import flow_errors
from sie_sym.target import Target

L = sp.Symbol("l", integer=True)


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^11 points a scrambling."""
    monkeypatch.setattr(sampled_coefficients, "_MOST", 11)
    numerical_loss_module._sampled.cache_clear()


def squares(tokens: int) -> Target:
    return Target.of(sp.Sum(He(2, TOKENS[L]), (L, 1, tokens)), tokens)


@pytest.mark.parametrize("rate", [0.0, 0.002])
def test_the_closed_form_of_linear_attention(rate: float) -> None:
    model = linear_attention(6).with_encoding([[1, -1, 0, 1, 0, 0]])
    exact = population_loss(squares(6), model)
    noise = gradient_noise(exact) if rate else None
    truth = gradient_flow(exact, [0.1, 0.2], 0.5, rate=rate, variance=noise, samples=9)
    loss = tabulated_loss(squares(6), model)
    assert loss.replicates
    variance = tabulated_noise(squares(6), model) if rate else None
    found = gradient_flow(loss, [0.1, 0.2], 0.5, rate=rate, variance=variance, samples=9)
    errors = flow_errors(found, loss, rate=rate, variance=variance)
    assert errors is not None
    assert (errors.states[0] == 0).all()
    assert (np.abs(found.states - truth.states) <= errors.states + 1e-9).all()
    assert (np.abs(found.losses - truth.losses) <= errors.losses + 1e-9).all()
    assert errors.states.max() < 0.1
    assert (truth.states[-1, 0] - 0.1) > 10 * errors.states[-1, 0]


def test_a_target_that_is_cut_off_has_wider_errors() -> None:
    """Softmax attention on itself, 4 tokens: the flow of the grids' table to order 10 within those of order 2 and 4."""
    target = Target.of(attention_matrix(4).trace(), 4)
    model = softmax_attention(4, "trace")
    truth = gradient_flow(tabulated_loss(target, model), [0.1], 12.0, samples=7)
    phi = numeric_function([token(l) for l in range(1, 5)], list(model.components))
    widths = []
    for order in (2, 4):
        tables = sampled_tables(target.components, phi, encoding_matrix(model), order=order)
        loss = NumericalLoss(model.statistics, *tables)
        found = gradient_flow(loss, [0.1], 12.0, samples=7)
        errors = flow_errors(found, loss)
        assert errors is not None
        assert len(found.t) == len(truth.t)
        assert (np.abs(found.states - truth.states) <= errors.states).all()
        assert (np.abs(found.losses - truth.losses) <= errors.losses + 1e-12).all()
        widths.append(errors.losses.max())
    assert widths[1] < widths[0]


def test_losses_of_grids_have_no_such_errors() -> None:
    loss = tabulated_loss(Target.of(He(2, token(1)), 2), softmax_attention(2, "trace"))
    assert flow_errors(gradient_flow(loss, [0.1], 0.1, samples=3), loss) is None


def test_a_flow_that_does_not_start() -> None:
    """m = 0 is a fixed point: one state, known exactly; R is not."""
    loss = tabulated_loss(squares(6), softmax_attention(6, "trace"))
    found = gradient_flow(loss, [0.0], 1.0)
    errors = flow_errors(found, loss)
    assert errors is not None
    assert errors.states.tolist() == [[0.0]]
    assert 0 < errors.losses[0] < 0.01
