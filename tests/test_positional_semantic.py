"""One output in place of four: against the loss of the whole matrix, on the disk and on its rim."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sie_sym.errors import DomainError
from sie_sym.losses.loss_family import positional_semantic_loss
from sie_sym.phases.positional_semantic import (
    attention,
    attention_derivatives,
    attention_family,
    mixture,
    positional_weight,
    rim_values,
    three_functions,
    three_losses,
)
from sie_sym.quadratures.spectral import softmax_matrix

CASES = [(1.0, 0.67), (0.76, 0.95), (0.3, 0.2)]


@pytest.mark.parametrize(("a", "omega"), CASES)
def test_the_loss_is_four_times_that_of_one_output(a: float, omega: float) -> None:
    m, eps = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 50))
    whole = positional_semantic_loss(omega, a)
    one = attention_family().at([1 - omega, omega * float(positional_weight(a))])
    np.testing.assert_allclose(4 * one.value(m, eps), whole.value(m, eps), atol=1e-12)
    functions = mixture(a, omega) @ three_functions([loss.value(m, eps) - loss.target_norm2 for loss in three_losses()])
    np.testing.assert_allclose(functions + 4 * one.target_norm2, whole.value(m, eps), atol=1e-12)


@pytest.mark.parametrize(("a", "omega"), CASES)
def test_the_rim_is_a_polynomial(a: float, omega: float) -> None:
    t = np.linspace(0, 1, 34)[1:-1]
    m, eps = np.sqrt(t), np.sqrt(1 - t)
    whole, weights = positional_semantic_loss(omega, a), mixture(a, omega)
    values = weights @ rim_values(t)
    np.testing.assert_allclose(values - values[0], whole.value(m, eps) - whole.value(m[0], eps[0]), atol=1e-12)
    gradient = whole.gradient(m, eps)
    np.testing.assert_allclose(2 * weights @ rim_values(t, 1), gradient[0] / m - gradient[1] / eps, atol=1e-10)
    step = 1e-4
    third = (weights @ (rim_values(t + step, 2) - rim_values(t - step, 2))) / (2 * step)
    np.testing.assert_allclose(weights @ rim_values(t, 3), third, rtol=1e-4, atol=1e-4)


def test_attention_and_its_derivatives() -> None:
    z = np.random.default_rng(1).standard_normal((2, 40))
    np.testing.assert_allclose(attention(z)[0], softmax_matrix(z)[0, 0], rtol=1e-14)
    assert attention(np.array([[40.0, -40.0], [-40.0, 40.0]])).tolist() == [[1.0, 1.0]]
    h, c = 1e-4, np.array([[1.0], [-1.0]])
    number, along, twice = attention_derivatives(z)
    there, here, back = (attention(z + s * h * c) for s in (1, 0, -1))
    np.testing.assert_allclose(along, (there - back) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(twice, (there - 2 * here + back) / h**2, atol=1e-6)
    expected = np.zeros((1, 40))
    for l in range(2):
        unit = h * np.eye(2)[:, l : l + 1]
        there, back = attention(z + unit), attention(z - unit)
        expected += z[l] * (there - back) / (2 * h) - (there - 2 * here + back) / h**2
    np.testing.assert_allclose(number, expected, atol=1e-6)


def test_weights() -> None:
    assert mixture([[0.5], [1.0]], [0.0, 0.3, 1.0]).shape == (2, 3, 3)
    np.testing.assert_allclose(mixture(0.7, 0.25), [1, 0.75, 0.25 / (1 + math.exp(-0.98))], rtol=1e-15)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(DomainError, match="must be positive"):
            positional_weight([1.0, wrong])
