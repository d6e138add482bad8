"""The population loss on grids against brute-force quadrature, closed forms and the values of theory section 9."""

import math

import numpy as np
import pytest

from sie_sym.errors import DomainError, TruncationError
from sie_sym.losses.loss_family import loss_family, positional_semantic_family, positional_semantic_loss, spectral_loss
from sie_sym.quadratures.spectral import softmax_matrix

OPPOSITE = [[1.0], [-1.0]]


def brute_force(target, model, m, shift, nodes=56, half_width=8.0):
    """E |g(z*) - phi(m z* + sqrt(1 - m^2) h + e)|^2 for L = 2: 4-dimensional trapezoid (2-dimensional at |m| = 1)."""
    x, step = np.linspace(-half_width, half_width, nodes, retstep=True)
    w = step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    q = math.sqrt(max(0.0, 1 - m * m))
    if q == 0:
        fine = np.linspace(-half_width, half_width, 4 * nodes)
        w_fine = (fine[1] - fine[0]) * np.exp(-(fine**2) / 2) / math.sqrt(2 * math.pi)
        z = np.array(np.meshgrid(fine, fine, indexing="ij")).reshape(2, -1)
        difference = target(z) - model(m * z + np.reshape(shift, (2, 1)))
        return float(np.outer(w_fine, w_fine).ravel() @ (difference**2).sum(axis=0))
    z2, h1, h2 = np.array(np.meshgrid(x, x, x, indexing="ij")).reshape(3, -1)
    weight = np.einsum("a,b,c->abc", w, w, w).ravel()
    total = 0.0
    for z1, w1 in zip(x, w, strict=True):
        goal = target(np.stack([np.full(1, z1).repeat(nodes), x])).repeat(nodes * nodes, axis=1)
        answer = model(np.stack([m * z1 + q * h1 + shift[0], m * z2 + q * h2 + shift[1]]))
        total += w1 * float(weight @ ((goal - answer) ** 2).sum(axis=0))
    return total


def flat_softmax(z):
    return softmax_matrix(z).reshape(4, -1)


def mixture(omega, a):
    p = 1 / (1 + math.exp(-2 * a * a))
    constant = np.array([p, 1 - p, 1 - p, p])[:, None]
    return lambda z: (1 - omega) * flat_softmax(z) + omega * constant


@pytest.mark.parametrize(
    ("eps", "m", "expected"),
    # theory section 9; its last digits are those of a computation good to a few 1e-10
    [(0, 0, 0.2635041518), (0.3, 0.5, 0.2388290940), (0.5, 0.8, 0.2074632174)],
)
def test_reference_values(eps, m, expected):
    loss = positional_semantic_loss(0.67)
    assert loss.value(m, eps) == pytest.approx(expected, abs=2e-10)
    assert loss.error(m, eps) < 1e-11


def test_bound_covers_the_error_at_random_points():
    rng = np.random.default_rng(7)
    for _ in range(6):
        omega, a, m, eps = rng.uniform(0, 1), rng.uniform(0.7, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)
        loss = positional_semantic_loss(omega, a)
        exact = brute_force(mixture(omega, a), flat_softmax, m, (eps, -eps), nodes=44)
        assert abs(loss.value(m, eps) - exact) <= loss.error(m, eps) + 3e-8  # 44 nodes: about 1e-8


@pytest.mark.parametrize("eps", [0.0, 0.45, -1.0])
@pytest.mark.parametrize("m", [1.0, -1.0])
def test_bound_covers_the_truncation_at_full_overlap(m, eps):
    # there the sum over k converges slowest, and two dimensions are enough to know the truth
    exact = brute_force(mixture(0.3, 0.9), flat_softmax, m, (eps, -eps))
    for order in (10, 40, 72):
        loss = spectral_loss(mixture(0.3, 0.9), softmax_matrix, OPPOSITE, order=order)
        error = abs(float(loss.value(m, eps)) - exact)
        assert error <= loss.error(m, eps)
        if eps == 0:  # the bound is no gross overestimate: g and phi have proportional tails there
            assert loss.error(m, eps) < 1.2 * error + 1e-11


@pytest.mark.parametrize(("encoding", "eps"), [([[1.0], [0.5]], (0.6,)), ([[0.3, 1.0], [-1.0, 0.4]], (0.5, -0.7))])
def test_general_encodings_against_brute_force(encoding, eps):
    def target(z):
        return np.sin(z[:1] + 0.4 * z[1:]) * np.exp(-(z[1:] ** 2) / 4)

    def model(z):
        return np.cos(z[:1] - z[1:]) + z[1:] * np.sin(1.2 * z[:1])

    loss = spectral_loss(target, model, encoding, order=24, nodes=80)
    shift = np.array(encoding) @ eps
    for m in (0.0, 0.6):
        exact = brute_force(target, model, m, shift, nodes=50)
        assert abs(float(loss.value(m, *eps)) - exact) <= loss.error(m, *eps) + 1e-10
    assert loss.error(0.6, *eps) < 1e-8


def test_linear_attention_in_closed_form():
    # theory section 9: g = He_2(z1) + He_2(z2), phi = (z1 + z2)^2/2, C = (1, 1/2)
    loss = spectral_loss(
        lambda z: (z**2 - 1).sum(axis=0)[None], lambda z: (z.sum(axis=0) ** 2 / 2)[None], [[1.0], [0.5]], order=4
    )
    m, eps = np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 5))
    s = 1.5 * eps
    np.testing.assert_allclose(loss.value(m, eps), 4 - 4 * m**2 + (s**4 + 12 * s**2 + 12) / 4, atol=1e-10)
    gradient = loss.gradient(m, eps)
    np.testing.assert_allclose(gradient[0], -8 * m, atol=1e-9)
    np.testing.assert_allclose(gradient[1], 1.5 * (s**3 + 6 * s), atol=1e-9)
    hessian = loss.hessian(m, eps)
    np.testing.assert_allclose(hessian[1, 1], 1.5**2 * (3 * s**2 + 6), atol=1e-8)
    np.testing.assert_allclose(hessian[0, 1], 0, atol=1e-9)
    np.testing.assert_allclose(hessian[0, 0], -8, atol=1e-9)


def test_a_polynomial_target_makes_the_sum_finite():
    # g = z1 + z1 z2, phi = z1 + z3 + z1 z2: C_1, C_(1,1) of phi(. + e), e = (eps, eps, 0): 1 + eps and 1
    loss = spectral_loss(
        lambda z: (z[0] + z[0] * z[1])[None],
        lambda z: (z[0] + z[2] + z[0] * z[1])[None],
        [[1.0], [1.0], [0.0]],
        order=3,
    )
    for m, eps in ((0.4, 0.3), (-0.9, 0.2)):
        inner = m * (1 + eps) + m * m
        # phi(z + e) = (eps + eps^2) + z1 (1 + eps) + z2 eps + z3 + z1 z2
        norm = (eps + eps**2) ** 2 + (1 + eps) ** 2 + eps**2 + 1 + 1
        assert loss.value(m, eps) == pytest.approx(2 - 2 * inner + norm, abs=1e-8)
        assert abs(loss.value(m, eps) - (2 - 2 * inner + norm)) <= loss.error(m, eps)
        assert loss.gradient(m, eps)[0] == pytest.approx(-2 * (1 + eps + 2 * m), abs=1e-8)
        assert loss.hessian(m, eps)[0, 1] == pytest.approx(-2, abs=1e-8)


def test_without_encoding_and_with_a_zero_one():
    target, model = (lambda z: z[:1] ** 2), (lambda z: z[:1] ** 2 + z[:1])
    bare = spectral_loss(target, model, np.zeros((1, 0)), order=4)
    assert bare.value(0.5) == pytest.approx(3 - 2 * (1 + 2 * 0.25) + 4, abs=1e-10)
    assert bare.gradient([0.1, 0.2]).shape == (1, 2)
    flat = spectral_loss(target, model, np.zeros((1, 1)), order=4)
    np.testing.assert_allclose(flat.value([0.5, -0.5], [[0.1], [0.2], [0.3]]), np.full((3, 2), 4.0), atol=1e-10)
    assert flat.gradient(0.5, [0.1, 0.2]).shape == (2, 2)
    assert flat.error(0.5, [0.1, 0.2]).shape == (2,)


def test_derivatives_are_those_of_the_value():
    loss, h = positional_semantic_loss(0.6, 0.85), 1e-4
    m, eps = np.random.default_rng(2).uniform(-0.9, 0.9, (2, 9))
    by_m = (loss.value(m + h, eps) - loss.value(m - h, eps)) / (2 * h)
    by_eps = (loss.value(m, eps + h) - loss.value(m, eps - h)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(m, eps), [by_m, by_eps], atol=1e-7)
    columns = [(loss.gradient(m + h, eps) - loss.gradient(m - h, eps)) / (2 * h)]
    columns.append((loss.gradient(m, eps + h) - loss.gradient(m, eps - h)) / (2 * h))
    np.testing.assert_allclose(loss.hessian(m, eps), columns, atol=1e-6)


def test_every_way_of_broadcasting_agrees():
    loss = positional_semantic_loss(0.5)
    m, eps = np.linspace(-1, 1, 5), np.linspace(-0.9, 1, 4)
    grid = loss.value(m[:, None], eps[None, :])
    assert grid.shape == (5, 4)
    np.testing.assert_allclose(loss.value(m[None, :], eps[:, None]), grid.T, atol=1e-14)
    mm, ee = np.meshgrid(m, eps, indexing="ij")
    np.testing.assert_allclose(loss.value(mm, ee), grid, atol=1e-14)
    np.testing.assert_allclose(loss.value(m[:, None], ee), grid, atol=1e-14)
    np.testing.assert_allclose(loss.value(m, 0.3), [loss.value(x, 0.3) for x in m], atol=1e-14)
    assert np.ndim(loss.value(0.2, 0.1)) == 0


def test_a_family_is_bilinear_in_the_target():
    # section 4: re-evaluation at another (omega, a) from the table, against a table of its own
    direct = spectral_loss(mixture(0.37, 0.8), softmax_matrix, OPPOSITE)
    cached = positional_semantic_loss(0.37, 0.8)
    m, eps = np.random.default_rng(0).uniform(-1, 1, (2, 20))
    np.testing.assert_allclose(cached.value(m, eps), direct.value(m, eps), atol=1e-12)
    assert positional_semantic_family() is positional_semantic_family()
    assert (cached.error(m, eps) < 3e-8).all()


def test_hessian_of_the_positional_semantic_model_at_the_start():
    # theory section 9: alpha, kappa and b(a) of the closed-form boundary; H is diagonal
    for omega, a in ((0.2, 1.0), (0.9, 0.76)):
        hessian = positional_semantic_loss(omega, a).hessian(0.0, 0.0)
        b = math.sqrt(2) * (1 / (1 + math.exp(-2 * a * a)) - 1 + math.sqrt(2) / 4)
        assert hessian[0, 0] == pytest.approx(-2 * (1 - omega) * 0.2205023378, abs=2e-10)
        assert hessian[1, 1] == pytest.approx(2 * (0.1332602813 - omega * b), abs=2e-10)
        assert hessian[0, 1] == pytest.approx(0, abs=1e-12)


def test_refusals():
    loss = positional_semantic_loss(0.5)
    with pytest.raises(DomainError, match="1 positional overlaps but 0"):
        loss.value(0.5)
    with pytest.raises(DomainError, match=r"m = 1\.5"):
        loss.value([0.1, 1.5], 0.0)
    with pytest.raises(DomainError, match="nan"):
        loss.value(0.1, math.nan)
    with pytest.raises(DomainError, match="outputs: they must agree"):
        spectral_loss(lambda z: z, softmax_matrix, OPPOSITE)
    with pytest.raises(DomainError, match="encoding of shape"):
        spectral_loss(lambda z: z, lambda z: z, [1.0, -1.0])
    with pytest.raises(DomainError, match="give 3 numbers"):
        positional_semantic_family().at([1.0])
    with pytest.raises(TruncationError, match="GiB"):
        loss_family([lambda z: z[:1]], lambda z: z[:1], [[1.0]] * 5, order=40)


def test_three_tokens_against_monte_carlo():
    encoding, omega = np.array([[1.0], [0.0], [-1.0]]), 0.4

    def target(z):
        return (1 - omega) * softmax_matrix(z).reshape(9, -1) + omega / 3

    loss = spectral_loss(target, softmax_matrix, encoding, order=14, nodes=44)
    rng = np.random.default_rng(11)
    for m, eps in ((0.6, 0.5), (-0.3, -0.9)):
        z_star, h = rng.standard_normal((2, 3, 200_000))
        z = m * z_star + math.sqrt(1 - m * m) * h + encoding * eps
        squares = ((target(z_star) - softmax_matrix(z).reshape(9, -1)) ** 2).sum(axis=0)
        deviation = squares.std() / math.sqrt(squares.size)
        assert abs(float(loss.value(m, eps)) - squares.mean()) <= 4 * deviation + loss.error(m, eps)
        assert loss.error(m, eps) < 1e-5


def test_truncation_bound_is_attained_by_a_single_hermite_polynomial():
    # g = phi = He_5(z1): R = 240 - 240 m^5, and the order 4 knows nothing of it
    def he5(z):
        return z[:1] ** 5 - 10 * z[:1] ** 3 + 15 * z[:1]

    loss = spectral_loss(he5, he5, np.zeros((1, 0)), order=4)
    m = np.array([0.3, -0.8, 1.0])
    true_error = np.abs(loss.value(m) - (240 - 240 * m**5))
    np.testing.assert_allclose(true_error, 240 * np.abs(m) ** 5, rtol=1e-9)
    np.testing.assert_allclose(loss.error(m), true_error, rtol=1e-6)
    assert (loss.error(m) >= true_error * (1 - 1e-12)).all()


@pytest.mark.parametrize("nodes", [18, 24, 32, 44, 60])
def test_error_covers_coarse_quadrature(nodes):
    coarse = spectral_loss(mixture(0.3, 0.9), softmax_matrix, OPPOSITE, order=20, nodes=nodes)
    fine = spectral_loss(mixture(0.3, 0.9), softmax_matrix, OPPOSITE, order=20, nodes=200)
    m, eps = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 41))
    difference = np.abs(coarse.value(m, eps) - fine.value(m, eps))
    # the truncation is common to both and no part of the difference
    bare = 2 * (np.polynomial.polynomial.polyval(np.abs(m), coarse.overlap_error) + coarse.norm_error)
    assert (difference <= bare).all()
    at_start = np.abs(coarse.overlap[..., 2:5] - fine.overlap[..., 2:5]).max(axis=0)
    assert (at_start <= coarse.overlap_error[2:5]).all()
