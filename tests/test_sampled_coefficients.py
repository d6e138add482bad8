"""Sampled Hermite coefficients against grids, closed forms and identities of softmax."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from sie_sym.errors import DomainError, TruncationError
from sie_sym.quadratures.sampled_coefficients import (
    HermiteBasis,
    indices_of_degree,
    indices_up_to,
    parity_seen,
    points_within,
    sampled_coefficients,
)
from sie_sym.quadratures.scrambled_sobol import confidence
from sie_sym.quadratures.spectral import hermite_coefficients, softmax_matrix


def entries(z: np.ndarray) -> np.ndarray:
    """S_11, S_12 and S_23."""
    return softmax_matrix(z)[[0, 0, 1], [0, 1, 2]]


def test_the_basis_is_a_product_of_hermite_polynomials() -> None:
    alphas = indices_up_to(5, 4)
    z = np.random.default_rng(0).standard_normal((5, 7))
    one = [special.eval_hermitenorm(n, z) / math.sqrt(math.factorial(n)) for n in range(5)]
    expected = [np.prod([one[n][l] for l, n in enumerate(alpha)], axis=0) for alpha in alphas]
    np.testing.assert_allclose(HermiteBasis(alphas)(z), expected, rtol=1e-12, atol=1e-12)
    assert len(alphas) == math.comb(9, 4)
    assert len(indices_of_degree(5, 4)) == math.comb(8, 4)


@pytest.mark.parametrize("tokens", [4, 5])
def test_intervals_contain_the_grids_values_and_their_errors_are_of_that_size(tokens: int) -> None:
    grid = hermite_coefficients(entries, tokens, 4)
    alphas = indices_up_to(tokens, 4, parity=1)
    found = sampled_coefficients(entries, alphas, log2=10, seed=5)
    exact = np.stack([grid.coefficients[(slice(None), *alpha)] for alpha in alphas], axis=1)
    deviation = (found.coefficients.mean(axis=0) - exact) / (found.errors + grid.error)
    assert deviation.size >= 138
    assert np.abs(deviation).max() < 1
    assert 0.12 < np.sqrt((deviation**2).mean()) < 0.23  # sqrt(15/13)/6.5 = 0.165 for normal errors
    assert abs(found.norm2.mean() - grid.norm2) < confidence(found.norm2) + grid.norm2_error


def test_rows_of_softmax_sum_to_one_in_every_sample() -> None:
    found = sampled_coefficients(lambda z: softmax_matrix(z)[2], indices_up_to(7, 2), log2=8)
    total = found.coefficients.sum(axis=1)
    # C_0(1) = 1; the others see that the points' own means of he_alpha are centred by a constant that sums to 1, too
    np.testing.assert_allclose(total[:, 0], 1, atol=1e-12)
    assert np.abs(total[:, 1:]).max() < 1e-12


def test_six_tokens_against_plain_monte_carlo() -> None:
    z = np.random.default_rng(11).standard_normal((6, 400_000))
    scores = np.exp(z[0] * z - np.max(z[0] * z, axis=0))
    s11 = scores[0] / scores.sum(axis=0)
    alphas = np.array([[0] * 6, [2, 0, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]])
    found = sampled_coefficients(lambda y: softmax_matrix(y)[0, :1], alphas, log2=13)
    for column, alpha in enumerate(alphas):
        factors = [special.eval_hermitenorm(n, x) / math.sqrt(math.factorial(n)) for n, x in zip(alpha, z, strict=True)]
        draws = s11 * np.prod(factors, axis=0)
        noise = draws.std() / math.sqrt(draws.size)
        assert abs(found.coefficients[:, 0, column].mean() - draws.mean()) < 4.5 * noise + found.errors[0, column]
        assert found.errors[0, column] < 2e-3


def test_sizes_are_not_biased_by_squares_of_noise() -> None:
    """The norms of the parts of S_11, from few points: the squares of the estimates are too large on average."""
    grid = hermite_coefficients(lambda z: softmax_matrix(z)[0, :1], 3, 4)
    exact = float((grid.coefficients**2).sum())
    alphas, differences = indices_up_to(3, 4, parity=1), []
    for seed in range(30):
        found = sampled_coefficients(lambda z: softmax_matrix(z)[0, :1], alphas, log2=4, seed=seed)
        sizes, tail = found.sizes()
        plain = float((found.coefficients.mean(axis=0) ** 2).sum())
        differences.append([sizes.sum() - exact, plain - exact])
        assert grid.norm2 - exact < tail
    mean, biased = np.mean(differences, axis=0)
    noise = np.std(differences, axis=0)[0] / math.sqrt(30)
    assert abs(mean) < 3 * noise
    assert biased > 3 * noise


def test_parity_is_seen() -> None:
    assert parity_seen(lambda z: softmax_matrix(z)[0], 6) == 1
    assert parity_seen(lambda z: np.tanh(z[:1] * z[1:2] * z[2:3]), 6) == -1
    assert parity_seen(lambda z: z[:1] + z[1:2] ** 2, 6) is None


def test_refusals() -> None:
    with pytest.raises(TruncationError, match=r"would take minutes: give fewer tokens"):
        points_within(1e8, "this")
    assert points_within(1e5, "this") == 10
    assert points_within(1.0, "this") == 16
    with np.errstate(divide="ignore"), pytest.raises(DomainError, match="not finite at z"):
        sampled_coefficients(lambda z: np.log(np.maximum(z[:1], 0)), indices_up_to(6, 1), log2=6)
