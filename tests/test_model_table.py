"""A model's table and what every new target costs: against closed forms, other grids, and with the table streamed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from independent import Array

from sie_sym.errors import DomainError, TruncationError
from sie_sym.losses import model_table as module
from sie_sym.losses.degree_products import DegreePairs, DegreeProducts
from sie_sym.losses.loss_family import family_of, loss_family, spectral_loss, target_loss
from sie_sym.losses.model_table import ModelTable, model_table, remainder
from sie_sym.quadratures.spectral import softmax_matrix

OPPOSITE = [[1.0], [-1.0]]


@pytest.fixture(scope="module")
def attention() -> ModelTable:
    return model_table(softmax_matrix, OPPOSITE)


@pytest.fixture(scope="module")
def finer() -> ModelTable:
    """Other nodes and a longer sum: a converged value by another grid."""
    return model_table(softmax_matrix, OPPOSITE, order=120, nodes=200)


def waves(z: Array) -> Array:
    return np.stack([np.tanh(z[0]), np.sin(z[1]), np.cos(z[0] - z[1]), np.exp(-(z[1] ** 2))])


def products(z: Array) -> Array:
    return np.stack([z[0] ** 4, z[0] * z[1] ** 2, z[0] * z[1], 1 + z[1]])


@pytest.mark.parametrize(
    ("target", "degree", "goal"),
    [
        (softmax_matrix, None, 1e-8),
        (waves, None, 1e-8),
        (products, 4, 1e-8),
        # sharper than the model: more of them lies beyond order 80, and the bound says so
        (lambda z: softmax_matrix(1.3 * z), None, 1e-7),
        (lambda z: np.tanh(z[0] * z[1]) * np.ones((4, 1)), None, 1e-6),
    ],
)
def test_targets_outside_of_any_family(attention, finer, target, degree, goal):
    m, eps = np.linspace(-0.99, 0.99, 40)[:, None], np.linspace(-1, 1, 41)[None, :]
    loss = target_loss(target, attention, degree=degree)
    converged = target_loss(target, finer, degree=degree, nodes=None if degree else 320)
    difference = np.abs(loss.value(m, eps) - converged.value(m, eps))
    assert (difference <= loss.error(m, eps)).all()
    assert difference.max() < goal
    assert np.polynomial.polynomial.polyval(0.99, loss.overlap_error) + loss.norm_error < 1e-9


def test_the_whole_family_of_the_paper_is_below_1e_minus_8(attention):
    # omega = 0 is the worst of all (omega, a): the target's tail is proportional to 1 - omega
    loss = target_loss(softmax_matrix, attention)
    assert loss.order == 80
    assert loss.error(np.linspace(-0.99, 0.99, 41)[:, None], np.linspace(-1, 1, 41)[None, :]).max() < 1e-8


def test_a_product_in_closed_form():
    # g = exp(z1), phi = sin(z1 + z2), C = (1, 1/2), s = 3 eps/2: E g(z*) phi(z) = e^{1/2} e^{-1} sin(m + s)
    table = model_table(lambda z: np.sin(z[:1] + z[1:]), [[1.0], [0.5]])
    loss = target_loss(lambda z: np.exp(z[:1]), table)
    m, eps = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 11))
    s = 1.5 * eps
    expected = math.e**2 - 2 * math.exp(-0.5) * np.sin(m + s) + (1 - math.exp(-4) * np.cos(2 * s)) / 2
    np.testing.assert_allclose(loss.value(m, eps), expected, atol=1e-9)
    assert (np.abs(loss.value(m, eps) - expected) <= loss.error(m, eps)).all()


def test_odd_and_mixed_models_have_no_mirror_image():
    # phi = z1^3 + z2 is odd and even in nothing: E phi(z + e) (z*_1)^k by hand, C = (1, 0)
    table = model_table(lambda z: z[:1] ** 3 + z[1:], [[1.0], [0.0]], order=6)
    assert not table.layout.even
    loss = target_loss(lambda z: z[:1] + z[1:], table, degree=1)
    for m, eps in ((0.3, 0.4), (-0.8, -0.5)):
        # C_(1,0) of (z1 + eps)^3 is 3 (1 + eps^2)
        norm = 15 + 45 * eps**2 + 15 * eps**4 + eps**6 + 1
        assert loss.value(m, eps) == pytest.approx(2 - 2 * m * (3 * (1 + eps**2) + 1) + norm, abs=1e-10)


@pytest.mark.parametrize("encoding", [np.zeros((2, 0)), [[1.0], [0.5]], [[0.3, 1.0], [-1.0, 0.4]]])
def test_a_table_too_large_to_keep_is_computed_again(monkeypatch, encoding):
    def model(z: Array) -> Array:
        return np.stack([np.tanh(z[0] + 0.5 * z[1]), np.cos(z[0] * 0.7)])

    def target(z: Array) -> Array:
        return np.stack([z[0] * z[1], np.sin(z[1])])

    kept = target_loss(target, model_table(model, encoding, order=12, nodes=60))
    monkeypatch.setattr(module, "MEMORY_LIMIT", 0)
    table = model_table(model, encoding, order=12, nodes=60)
    assert not isinstance(table.rows, list)
    again = target_loss(target, table)
    np.testing.assert_allclose(again.overlap, kept.overlap, atol=1e-14)
    np.testing.assert_allclose(again.overlap_error, kept.overlap_error, atol=1e-14)
    np.testing.assert_allclose(again.model_tail, kept.model_tail, atol=1e-13)


def test_one_table_gives_families_too(attention):
    weights = [0.4, 0.2, -0.3]
    targets, constants = [softmax_matrix, waves], [np.eye(2).ravel()]
    shared = family_of(targets, attention, constants=constants).at(weights)
    own = loss_family(targets, softmax_matrix, OPPOSITE, constants=constants).at(weights)
    single = target_loss(
        lambda z: 0.4 * softmax_matrix(z).reshape(4, -1) + 0.2 * waves(z) - 0.3 * np.eye(2).reshape(4, 1), attention
    )
    m, eps = np.random.default_rng(1).uniform(-1, 1, (2, 30))
    np.testing.assert_allclose(shared.value(m, eps), own.value(m, eps), atol=1e-13)
    np.testing.assert_allclose(shared.value(m, eps), single.value(m, eps), atol=1e-10)


def test_a_sharper_model_gets_more_nodes():
    sharp = model_table(lambda z: softmax_matrix(2.2 * z), OPPOSITE, order=20)
    default = model_table(lambda z: softmax_matrix(2.2 * z), OPPOSITE, order=20, nodes=128)
    assert default.error > 1e-8
    assert sharp.error < 1e-9
    loss = target_loss(products, sharp, degree=4)
    fine = spectral_loss(products, lambda z: softmax_matrix(2.2 * z), OPPOSITE, order=20, nodes=640, degree=4)
    m, eps = np.random.default_rng(4).uniform(-1, 1, (2, 50))
    assert (np.abs(loss.value(m, eps) - fine.value(m, eps)) <= loss.error(m, eps)).all()


@pytest.mark.parametrize("nodes", [20, 26, 34, 44])
def test_errors_of_a_coarse_table_are_seen(finer, nodes):
    # the target is exact (a polynomial by its rule): all that differs is the quadrature of the model
    m, eps = np.linspace(-1, 1, 21)[:, None], np.linspace(-1, 1, 31)[None, :]
    coarse = model_table(softmax_matrix, OPPOSITE, order=4, nodes=nodes)
    loss, fine = (target_loss(products, table, degree=4) for table in (coarse, finer))
    difference = np.abs(loss.value(m, eps) - fine.value(m, eps)).max(axis=1)
    assert difference.max() > 1e-9
    assert (difference <= loss.error(m, eps).max(axis=1)).all()
    overlaps = np.abs(loss.overlap[..., :5].sum(axis=0) - fine.overlap[..., :5].sum(axis=0))
    assert (overlaps <= loss.overlap_error).all()


def test_refusals(attention):
    with pytest.raises(DomainError, match=r"\[1, 4\] outputs"):
        target_loss(lambda z: z[:1], attention)
    with pytest.raises(DomainError, match="not finite"):
        target_loss(lambda z: np.where(z[:1] < 3, z[:1], np.nan) * np.ones((4, 1)), attention)
    with pytest.raises(DomainError, match="model is not finite"):
        model_table(lambda z: np.where(np.abs(z[:1]) < 12, z[:1], np.inf), [[1.0]])
    with pytest.raises(TruncationError, match="lower the order"):
        model_table(lambda z: z[:1], [[1.0]] * 5, order=40)
    with pytest.raises(DomainError, match="encoding of shape"):
        model_table(lambda z: z[:1], [1.0])


def test_a_kinked_model_in_closed_form():
    """g = He_2, phi = |z|, C = 1: E|Z + e| has the second derivative 2 phi(e), so R = 3 + e^2 - 4 m^2 phi(e)."""
    table = model_table(np.abs, [[1.0]])
    assert table.kinks
    assert table.layout.even
    # the error of a kink jumps from node to node: more nodes of the overlaps would interpolate it
    assert table.layout.nodes[0] < 100
    loss = target_loss(lambda z: z**2 - 1, table, degree=2)
    m, eps = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 11))
    expected = 3 + eps**2 - 4 * m**2 * np.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi)
    assert (np.abs(loss.value(m, eps) - expected) <= loss.error(m, eps)).all()
    assert loss.error(m, eps).max() < 1e-3


def test_what_is_kept_fits_into_memory_with_its_padding(monkeypatch):
    def table(limit: float) -> ModelTable:
        monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
        return model_table(lambda z: np.sin(z[:1] + z[1:]), [[1.0], [0.5]], order=12, nodes=40)

    padding = DegreePairs.of(2, 12).padding
    assert padding > 1.05
    needed = 8 * table(0).rows.floats * padding
    assert not isinstance(table(0.99 * needed).rows, DegreeProducts)
    assert isinstance(table(1.01 * needed).rows, DegreeProducts)


def test_the_remainder_is_the_largest_of_the_last_two_along_each_axis():
    for place, expected in (
        ((0, 4, 1, 2), 3),
        ((0, 5, 0, 0), 3),
        ((0, 1, 3, 0), 3),
        ((0, 2, 4, 1), 3),
        ((0, 3, 2, 2), 0),
    ):
        series = np.zeros((1, 6, 5, 3))
        series[place] = -3
        assert remainder(series, 2).tolist() == [expected]
    assert remainder(np.ones((2, 3)), 0).tolist() == [0, 0]
