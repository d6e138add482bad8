"""Coefficients on kept grids against closed forms and against `hermite_coefficients`; what they leave to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from independent import Array

from sie_sym.errors import DomainError
from sie_sym.quadratures.hermite_grid import hermite_grid, parity_of, smooth_coefficients, spanned_coefficients
from sie_sym.quadratures.spectral import hermite_coefficients, softmax_matrix


def test_closed_forms():
    # C_alpha(exp(i (a z1 + b z2))) = (i a)^alpha1 (i b)^alpha2 e^{-(a^2+b^2)/2}
    found = smooth_coefficients(lambda z: np.stack([np.cos(z[0] - 0.5 * z[1]), np.sin(z[0] - 0.5 * z[1])]), 2, 12)
    size = math.exp(-0.625)
    assert found.coefficient((2, 1)) == pytest.approx([0, 0.5 * size], abs=1e-10)
    assert found.coefficient((3, 1)) == pytest.approx([-0.5 * size, 0], abs=1e-10)
    assert found.norm2 == pytest.approx(1.0, abs=1e-12)
    one = smooth_coefficients(lambda z: np.exp(0.3 * z[:1]), 1, 9)
    assert one.coefficient((5,)) == pytest.approx([0.3**5 * math.exp(0.045)], abs=1e-11)
    assert "2 uniform grids" in found.method
    assert "2 uniform grids" in one.method


@pytest.mark.parametrize(
    ("function", "tokens"),
    [
        (lambda z: softmax_matrix(z).reshape(4, -1), 2),
        (lambda z: softmax_matrix(1.5 * z).reshape(4, -1), 2),
        (lambda z: np.tanh(z[:1] * z[1:]), 2),
        (lambda z: np.stack([np.tanh(z[0] + z[1]), z[0] * np.exp(-(z[1] ** 2))]), 2),
        (lambda z: np.stack([np.tanh(2 * z[0]), np.cos(z[0])]), 1),
    ],
)
def test_errors_cover_the_difference_from_a_finer_grid(function, tokens):
    found = smooth_coefficients(function, tokens, 60)
    fine = hermite_coefficients(function, tokens, 60, nodes=600 if tokens == 2 else 3000)
    difference = np.abs(found.coefficients - fine.coefficients).max(axis=0)
    degree = np.add.outer(np.arange(61), np.arange(61)) if tokens == 2 else np.arange(61)
    for k in range(61):
        assert difference[degree == k].max() <= found.errors[k] + fine.errors[k]
    assert abs(found.norm2 - fine.norm2) <= found.norm2_error + fine.norm2_error
    assert found.error <= 1e-10 * math.sqrt(found.norm2)


@pytest.mark.parametrize(("function", "parity"), [(np.cos, 0), (np.sin, 1)])
def test_the_other_parity_is_zero(function, parity):
    found = smooth_coefficients(lambda z: function(z[:1] + 0.3 * z[1:]), 2, 10)
    degree = np.add.outer(np.arange(11), np.arange(11))
    assert not found.coefficients[0][degree % 2 != parity].any()
    assert found.coefficients[0][(degree % 2 == parity) & (degree <= 10)].all()


def test_a_parity_that_holds_almost_everywhere_is_not_one():
    # even but for a small bump at one place
    def bump(z: Array) -> Array:
        return np.cos(z[:1]) + 1e-3 * np.exp(-4 * ((z[:1] - 1) ** 2 + (z[1:] + 2) ** 2))

    found = smooth_coefficients(bump, 2, 10)
    # the bump is a Gaussian of variance s^2 = 1/8: times the density one of mean (1, -2)/(1 + s^2)
    s2 = 1 / 8
    mass = 1e-3 * s2 / (1 + s2) * math.exp(-(1 + 4) / (2 * (1 + s2)))
    assert found.coefficient((1, 0)) == pytest.approx([mass / (1 + s2)], abs=1e-10)
    assert found.coefficient((0, 1)) == pytest.approx([-2 * mass / (1 + s2)], abs=1e-10)


def test_kinks_and_refusals_are_left_to_the_general_rule():
    kink = smooth_coefficients(lambda z: np.abs(z[:1]), 1, 6)
    assert abs(float(kink.coefficient((0,))[0]) - math.sqrt(2 / math.pi)) <= kink.error
    assert "8 uniform grids of about 1600 nodes a token at random places" in kink.method
    with pytest.raises(DomainError, match="not finite"):
        smooth_coefficients(lambda z: np.where(z[:1] < 3, z[:1], np.nan), 2, 4)
    with pytest.raises(DomainError, match="last axis must stay"):
        smooth_coefficients(lambda z: np.ones((1, 1)), 2, 4)
    with pytest.raises(DomainError, match="too large far out"):
        smooth_coefficients(lambda z: np.exp(0.3 * z[:1] ** 2), 1, 4)
    three = smooth_coefficients(lambda z: z[:1] * z[1:2] * z[2:], 3, 3)
    assert three.coefficient((1, 1, 1)) == pytest.approx([1.0], abs=1e-10)


def test_half_a_grid_is_enough_for_a_parity():
    grid = hermite_grid(2, 8, 10.0, 0.15)
    values = np.cos(grid.points[:1] - grid.points[1:])
    half = grid.points.shape[1] // 2
    assert (grid.points[0, half:] > 0).all()
    np.testing.assert_allclose(grid.points[:, ::-1], -grid.points, atol=1e-14)
    whole, part = grid.coefficients(values), grid.coefficients(values[:, half:])
    even = np.add.outer(np.arange(9), np.arange(9)) % 2 == 0
    np.testing.assert_allclose(part[0][even], whole[0][even], atol=1e-14)
    np.testing.assert_allclose(grid.norms(values[:, half:]), grid.norms(values), atol=1e-14)


def test_a_parity_is_seen():
    assert parity_of(lambda z: np.cos(z[:1] - z[1:]), 2) == "even"
    assert parity_of(lambda z: np.concatenate([np.sin(z[:1]), z[1:] ** 3]), 2) == "odd"
    assert parity_of(lambda z: np.exp(z[:1]), 1) is None
    assert parity_of(lambda z: np.concatenate([np.cos(z), np.sin(z)]), 1) is None
    assert parity_of(lambda z: np.cos(z[:1]), 3) is None  # no grid would find out


def test_errors_scale_with_the_function():
    """By a power of two nothing is rounded: every error and norm is that of h, scaled."""
    h, scaled = (smooth_coefficients(lambda z, c=c: c * np.cos(z[:1] + 0.3 * z[1:]), 2, 8) for c in (1.0, 1024.0))
    assert scaled.norm2 == 1024**2 * h.norm2
    assert scaled.norm2_error == 1024**2 * h.norm2_error > 0
    np.testing.assert_array_equal(scaled.errors, 1024 * h.errors)


def test_outputs_with_kinks_along_a_basis():
    """(|z|, z, 1 - |z|) along (1, 0, -1)/sqrt 2 and (0, 1, 0): E|Z| = sqrt(2/pi), C_2(|z|) = 2 phi(0)."""
    basis = np.array([[1.0, 0.0], [0.0, math.sqrt(2)], [-1.0, 0.0]]) / math.sqrt(2)
    found, moments = spanned_coefficients(lambda z: np.concatenate([np.abs(z), z, 1 - np.abs(z)]), 1, 4, basis)
    mean, second = math.sqrt(2 / math.pi), 2 / math.sqrt(2 * math.pi)
    assert "random places" in found.method
    assert np.abs(moments.mean - [mean, 0, 1 - mean]).max() <= found.errors[0]
    assert abs(moments.norm2 - (4 - 2 * mean)) <= moments.norm2_error + 1e-12
    for k, expected in ((0, [(2 * mean - 1) / math.sqrt(2), 0]), (1, [0, 1]), (2, [second * math.sqrt(2), 0])):
        assert np.abs(found.coefficient((k,)) - expected).max() <= math.sqrt(math.factorial(k)) * found.errors[k]
    # what the basis does not see is in the error of degree 0 alone
    found, moments = spanned_coefficients(lambda z: np.concatenate([np.abs(z), z]), 1, 4, np.array([[0.0], [1.0]]))
    assert abs(moments.mean[0] - mean) <= found.errors[0] < 1e-3
    assert found.errors[1:].max() < 1e-9 < found.errors[0]
    with pytest.raises(DomainError, match=r"\[2, 3\] outputs"):
        spanned_coefficients(lambda z: np.concatenate([np.abs(z), z]), 1, 4, basis)
