"""Scrambled points: their law, and how often the confidence interval of a mean fails."""

from __future__ import annotations

import math

import numpy as np

from sie_sym.quadratures.scrambled_sobol import SCRAMBLINGS, confidence, normal_points


def test_the_points_are_standard_normal() -> None:
    z = normal_points(7, 14, np.random.default_rng(3))
    assert z.shape == (7, 2**14)
    assert np.abs(z.mean(axis=1)).max() < 1e-3
    assert np.abs(z @ z.T / 2**14 - np.eye(7)).max() < 5e-3
    assert np.abs((z**4).mean(axis=1) - 3).max() < 0.02  # E z^4 = 3


def test_scramblings_differ_and_a_seed_repeats() -> None:
    one, two = (normal_points(6, 6, g) for g in np.random.default_rng(0).spawn(2))
    assert np.abs(one - two).max() > 1
    again = normal_points(6, 6, np.random.default_rng(0).spawn(2)[0])
    assert (one == again).all()


def test_the_half_width_is_a_multiple_of_the_standard_error() -> None:
    draws = np.random.default_rng(1).standard_normal((SCRAMBLINGS, 3))
    standard_error = np.sqrt(((draws - draws.mean(axis=0)) ** 2).sum(axis=0) / (SCRAMBLINGS - 1) / SCRAMBLINGS)
    np.testing.assert_allclose(confidence(draws) / standard_error, 6.5)


def test_intervals_contain_known_means_and_are_not_wasteful() -> None:
    """E cos(sum z) = exp(-L/2), E z1^2 (sum z)^2 = L + 2: deviations in units of the half-width."""
    found = []
    for seed in range(40):
        means = []
        for generator in np.random.default_rng(seed).spawn(SCRAMBLINGS):
            z = normal_points(6, 8, generator)
            total = z.sum(axis=0)
            means.append([np.cos(total).mean(), (z[0] ** 2 * total**2).mean()])
        estimates = np.array(means)
        found.append((estimates.mean(axis=0) - [math.exp(-3), 8.0]) / confidence(estimates))
    deviations = np.array(found)
    assert np.abs(deviations).max() < 1
    # a normal error with 15 degrees of freedom has the deviation sqrt(15/13)/6.5 = 0.165
    assert ((deviations.std(axis=0) > 0.12) & (deviations.std(axis=0) < 0.23)).all()
