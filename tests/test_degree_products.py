"""Products degree by degree against sums written out; outputs that span less; targets seen through their span alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from independent import Array

from sie_sym.errors import DomainError
from sie_sym.losses.degree_products import DegreePairs, DegreeProducts
from sie_sym.losses.loss_family import target_loss
from sie_sym.losses.model_table import ModelTable, model_table
from sie_sym.quadratures.hermite_grid import hermite_grid, spanned_coefficients
from sie_sym.quadratures.quadrature import total_degree
from sie_sym.quadratures.spectral import softmax_matrix


@pytest.fixture(scope="module")
def attention() -> ModelTable:
    return model_table(softmax_matrix, [[1.0], [-1.0]])


def kept(rows: Array, count: int, order: int, tokens: int) -> DegreeProducts:
    """Rows (number, k, order + 1, ...) in two parts, their columns in a shuffled order."""
    flat = rows.reshape(len(rows), -1)
    allowed = np.flatnonzero(np.tile(total_degree(tokens, order).ravel() <= order, rows.shape[1]))
    places = np.random.default_rng(0).permutation(allowed)
    parts = [flat[:2, places], flat[2:, places]]
    return DegreeProducts.of(parts, count, places, rows.shape[1], DegreePairs.of(tokens, order))


def by_hand(coefficients: Array, rows: Array, order: int, tokens: int) -> Array:
    degree = total_degree(tokens, order)
    terms = np.einsum("nk...,rk...->nr...", coefficients, rows)
    return np.stack([terms[..., degree == k].sum(axis=-1) for k in range(order + 1)], axis=-1)


@pytest.mark.parametrize(("tokens", "order"), [(1, 0), (1, 5), (2, 0), (2, 1), (2, 6), (2, 7), (3, 4)])
def test_products_are_the_sums_over_each_degree(tokens: int, order: int) -> None:
    random = np.random.default_rng(order)
    rows, targets = (random.standard_normal((n, 3, *[order + 1] * tokens)) for n in (5, 2))
    found = kept(rows, 4, order, tokens)
    assert found.basis.shape == (3, 3)
    np.testing.assert_allclose(found.products(targets), by_hand(targets, rows, order, tokens), atol=1e-12)


def test_outputs_that_span_less_are_fewer() -> None:
    # phi_3 = 1 - phi_1, phi_4 = 2 + phi_1 + phi_2; the last row is a difference of two, without the constants
    random, order = np.random.default_rng(3), 6
    two = random.standard_normal((5, 2, order + 1, order + 1))
    rows = np.concatenate([two, -two[:, :1], two[:, :1] + two[:, 1:]], axis=1)
    rows[:4, 2, 0, 0] += 1
    rows[:4, 3, 0, 0] += 2
    found, targets = kept(rows, 4, order, 2), random.standard_normal((2, 4, order + 1, order + 1))
    assert found.basis.shape == (4, 2)
    np.testing.assert_allclose(found.basis.T @ found.offset, 0, atol=1e-14)
    expected = by_hand(targets, rows, order, 2)
    np.testing.assert_allclose(found.products(targets), expected, atol=1e-12)
    reduced = np.einsum("kj,nk...->nj...", found.basis, targets)
    np.testing.assert_allclose(found.products(reduced, targets[..., 0, 0]), expected, atol=1e-12)


def test_attention_of_two_tokens_has_two_outputs(attention: ModelTable) -> None:
    # the rows of a softmax sum to 1
    assert attention.basis is not None
    assert attention.basis.shape == (4, 2)
    sums = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])
    np.testing.assert_allclose(sums @ attention.basis, 0, atol=1e-12)
    assert model_table(lambda z: np.stack([np.tanh(z[0]), np.sin(z[0])]), [[1.0]], order=8).basis is None


def unlike(z: Array) -> Array:
    """No parity, and much across the span of attention."""
    return np.stack([np.tanh(z[0] + 0.3), np.cos(z[0] - 2 * z[1] + 1), 2 + np.exp(-(z[0] ** 2) / 3 + z[1] / 5), z[1]])


@pytest.mark.parametrize(
    "target",
    [
        unlike,
        lambda z: np.sin(z[0] + 0.4 * z[1]) * np.array([[1.0], [2.0], [-1.0], [0.5]]),
        lambda z: np.cos(z[0] * 0.7) * np.array([[1.0], [2.0], [-1.0], [0.5]]) + 1,
        lambda z: softmax_matrix(math.sqrt(0.7) * z),
        lambda z: np.stack([z[0] ** 4, z[0] * z[1] ** 2, z[0] * z[1], 1 + z[1]]),
        lambda z: np.tanh(z[0] * z[1]) * np.ones((4, 1)),
        lambda z: np.ones((4, z.shape[1])),
    ],
)
def test_errors_of_targets_seen_through_the_span(attention: ModelTable, target) -> None:  # type: ignore[no-untyped-def]
    """Against all the outputs on grids of 400 nodes a token."""
    m, eps = np.random.default_rng(8).uniform(-0.99, 0.99, (2, 200))
    loss, fine = target_loss(target, attention), target_loss(target, attention, nodes=400)
    both = 2 * (np.polynomial.polynomial.polyval(np.abs(m), loss.overlap_error) + loss.norm_error)
    assert (np.abs(loss.value(m, eps) - fine.value(m, eps)) <= both).all()
    assert both.max() < 1e-8
    # what is across the span does not count as cut off
    assert loss.target_tail <= fine.target_tail + fine.norm_error


def test_moments_and_coefficients_in_closed_form() -> None:
    basis = np.array([[1.0, 0.0], [0.0, 0.6], [0.0, 0.8]])
    found, moments = spanned_coefficients(
        lambda z: np.stack([np.cos(z[0] - z[1]), np.exp(0.3 * z[0]), 1 + z[1]]), 2, 8, basis
    )
    size = math.exp(0.045)
    assert found.coefficient((1, 0)) == pytest.approx([0, 0.6 * 0.3 * size], abs=1e-10)
    assert found.coefficient((1, 1))[0] == pytest.approx(math.exp(-1), abs=1e-10)
    assert moments.mean == pytest.approx([math.exp(-1), size, 1], abs=1e-10)
    assert moments.norm2 == pytest.approx((1 + math.exp(-4)) / 2 + math.exp(0.18) + 2, abs=1e-10)
    assert found.norm2 == pytest.approx(
        (1 + math.exp(-4)) / 2 + 0.36 * math.exp(0.18) + 0.64 * 2 + 2 * 0.48 * size, abs=1e-10
    )
    assert moments.norm2_error < 1e-12
    odd, moments = spanned_coefficients(lambda z: np.stack([np.sin(z[0]), z[1], z[0]]), 2, 4, basis)
    assert "2 uniform grids" in odd.method  # half a grid has another mean
    assert not moments.mean.any()


def test_kinks_across_the_span_are_seen() -> None:
    # |z| is across: its mean must still come with an honest error, and sin z with its coefficients
    basis = np.array([[1.0], [0.0]])
    found, moments = spanned_coefficients(lambda z: np.concatenate([np.sin(z), np.abs(z)]), 1, 6, basis)
    assert abs(moments.mean[1] - math.sqrt(2 / math.pi)) <= found.errors[0]
    assert abs(float(found.coefficient((1,))[0]) - math.exp(-0.5)) <= found.error
    assert found.errors[1:].max() < 1e-10
    with pytest.raises(DomainError, match=r"\[2, 3\] outputs"):
        spanned_coefficients(lambda z: np.concatenate([z, z, z]), 1, 2, basis)


def test_roughness_tells_sharp_functions_from_smooth_ones() -> None:
    grid = hermite_grid(2, 80, 9.7, 0.27)
    smooth, sharp = (grid.roughness(np.tanh(scale * grid.points[:1] + 0.3 * grid.points[1:])) for scale in (0.8, 4.0))
    assert smooth < 1e-7 < 1e-4 < sharp


def test_a_few_points_and_many_are_evaluated_alike(attention: ModelTable) -> None:
    loss = target_loss(unlike, attention)
    m, eps = np.random.default_rng(9).uniform(-1, 1, (2, 500))
    one_by_one = [float(loss.value(a, b)) for a, b in zip(m, eps, strict=True)]
    np.testing.assert_allclose(loss.value(m, eps), one_by_one, atol=1e-13)
    at_ends = loss.value([1.0, -1.0, 0.0], [-1.0, 1.0, 0.0])
    np.testing.assert_allclose(at_ends, [loss.value(*p) for p in ((1, -1), (-1, 1), (0, 0))], atol=1e-13)
