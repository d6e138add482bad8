"""Landscapes of affine families: against polynomials, analytic derivatives, and one route against the other."""

import math

import numpy as np
import pytest

from sie_sym.errors import DomainError
from sie_sym.phase_diagram import positional_semantic_landscape
from sie_sym.phase_formulas import OMEGA
from sie_sym.phases.affine_landscape import QUANTITIES, AffineQuantity
from sie_sym.phases.landscape_table import affine_landscape, landscape_table
from sie_sym.phases.positional_semantic import ENCODING, attention, corner_table, one
from sie_sym.quadratures.shifted_expectation import shifted_expectation
from sie_sym.quadratures.spectral import softmax_matrix


def test_gradient_form_at_the_semantic_corner_by_analytic_derivatives():
    # S_11 = sigmoid(x(x-y)): E |grad s|^2 = 4 E [S (1-S)]^2 ((2x-y)^2 + x^2) by the symmetries of s
    def squared(z):
        x, y = z
        s = softmax_matrix(z)[0, 0]
        return (4 * (s * (1 - s)) ** 2 * ((2 * x - y) ** 2 + x**2))[None]

    expected = shifted_expectation(squared, [[0.0, 0.0]], nodes=200).values[0, 0]
    assert positional_semantic_landscape(1.0).semantic_radial.start == pytest.approx(-2 * expected, abs=1e-11)


def test_any_affine_family():
    # phi = z1^2 + z2^2, t from 2 (z1^2 + z2^2) to 2 z1^2 + 6, C = (1, 1): everything is a polynomial
    landscape = affine_landscape(
        lambda z: 2 * (z[:1] ** 2 + z[1:] ** 2),
        lambda z: 2 * z[:1] ** 2 + 6,
        lambda z: z[:1] ** 2 + z[1:] ** 2,
        [1.0, 1.0],
    )
    # R = E|t|^2 - 2 [E t (2 + 2 eps^2) + m^2 E(t - Et) phi] + 4 eps^4 + 16 eps^2 + 8
    for omega in (0.0, 0.3, 1.0):
        mean, overlap = 4 * (1 - omega) + 8 * omega, 8 * (1 - omega) + 4 * omega
        assert landscape.hessian_mm.at(omega) == pytest.approx(-4 * overlap, abs=1e-9)
        assert landscape.hessian_ee.at(omega) == pytest.approx(32 - 8 * mean, abs=1e-9)
        assert landscape.semantic_radial.at(omega) == pytest.approx(-4 * overlap, abs=1e-8)
        assert landscape.semantic_curvature.at(omega) == pytest.approx(32 - 8 * mean, abs=1e-8)
        assert landscape.positional_radial.at(omega) == pytest.approx(48 - 8 * mean, abs=1e-9)
        assert landscape.positional_curvature.at(omega) == pytest.approx(-4 * overlap, abs=1e-9)
        swap = -2 * (2 * mean + overlap) + 8 - (-2 * 4 * mean + 28)
        found = landscape.semantic_loss.at(omega) - landscape.positional_loss.at(omega)
        assert found == pytest.approx(swap, abs=1e-9)
    # -32 + 16 omega = 32 - 8 (4 + 4 omega): omega = 2/3
    boundaries = landscape.boundaries()
    assert boundaries.dynamics.value == pytest.approx(2 / 3, abs=1e-9)
    # 4 mean - 2 overlap = 20: 16 (1-omega) + 32 omega - 16 (1-omega) - 8 omega = 20
    assert boundaries.global_minimum.value == pytest.approx(20 / 24, abs=1e-9)
    assert set(QUANTITIES) == set(landscape.__dataclass_fields__)
    assert float(landscape.hessian_ee.expression(OMEGA).subs(OMEGA, 0.5)) == pytest.approx(-16, abs=1e-9)


def test_a_family_whose_corners_are_not_critical_is_refused():
    landscape = affine_landscape(
        lambda z: z[:1], lambda z: z[:1] ** 2, lambda z: np.sin(z[:1]) + 0.3 * z[:1] ** 2, [1.0]
    )
    with pytest.raises(DomainError, match=r"minima\(loss\)"):
        landscape.boundaries()
    with pytest.raises(DomainError, match="at most 3 tokens"):
        affine_landscape(lambda z: z[:1], lambda z: z[:1], lambda z: z[:1], [1.0] * 4)
    assert AffineQuantity(1.0, 1.0, 1e-12).root().value == math.inf


def test_one_token_in_closed_form():
    # t = phi = cos: C_k of cos(. + 1) are e^(-1/2) cos(1 + k pi/2), and 2 cos^2 z = 1 + cos 2 z
    found = landscape_table([lambda z: np.cos(z)], lambda z: np.cos(z), [1.0]).along([1.0], [0.5])
    e1, e2 = math.exp(-1), math.exp(-2)
    expected = {
        "hessian_mm": -2 * e1,
        "hessian_me": 0,
        "hessian_ee": 2 * e1 - 2 * e2,
        "semantic_radial": e2 - 1,
        "semantic_across": 0,
        "semantic_curvature": 1 - e2,
        "semantic_loss": -(1 + e2) / 2,
        "positional_radial": 2 * e1 * math.sin(1) - e2 * math.sin(2),
        "positional_across": 0,
        "positional_curvature": -2 * e1 * math.cos(1),
        "positional_loss": (1 + e2 * math.cos(2)) / 2 - 2 * e1 * math.cos(1),
    }
    for name, value in expected.items():
        quantity = getattr(found, name)
        assert quantity.start == pytest.approx(value, abs=1e-12), name
        assert quantity.error < 1e-11
    # the target enters linearly: half of it leaves the constant from phi alone
    assert found.hessian_ee.end == pytest.approx(e1 - 2 * e2, abs=1e-12)


def test_three_tokens():
    # phi = s^2, s = z1 + z2 + z3 of variance 3, t = z1^2, c = (1, 0, 0): E (s+e)^4 = e^4 + 18 e^2 + 27
    def derivatives(z):
        s = z.sum(axis=0, keepdims=True)
        return 2 * s**2 - 6, 2 * s, np.full_like(s, 2.0)

    def square(z):
        return z.sum(axis=0, keepdims=True) ** 2

    for even in (True, False):
        table = landscape_table([lambda z: z[:1] ** 2], square, [1.0, 0.0, 0.0], derivatives=derivatives, even=even)
        found = table.constant + table.linear[:, 0]
        np.testing.assert_allclose(found, [-8, 0, 32, -8, 0, 32, 17, 36, 0, -8, 38], atol=1e-10)


def test_derivatives_and_parity_that_are_given_change_nothing_but_the_time():
    given = corner_table()
    found = landscape_table([attention, one], attention, ENCODING)
    errors = 4 * found.errors + given.errors
    assert (np.abs(4 * found.linear - given.linear) <= errors[:, None]).all()
    assert (np.abs(4 * found.constant - given.constant) <= errors).all()
    assert errors.max() < 3e-11
    whole = landscape_table([attention, one], attention, ENCODING, derivatives=lambda z: (attention(z),) * 3)
    half = landscape_table([attention, one], attention, ENCODING, derivatives=lambda z: (attention(z),) * 3, even=True)
    np.testing.assert_allclose(np.delete(whole.linear, 4, 0), np.delete(half.linear, 4, 0), atol=1e-12)
    np.testing.assert_allclose(half.linear[4], 0, atol=0)  # (c.grad) phi is odd where phi is even


def test_the_errors_are_those_of_the_grid():
    # (1 + z^2/s)^-1 has its poles at i sqrt(s): closer to the axis the grid sees less, and says so
    errors = []
    for s in (0.02, 0.2, 2.0):
        function = lambda z, s=s: 1 / (1 + z**2 / s)  # noqa: E731
        coarse = landscape_table([function], function, [1.0], even=True)
        fine = shifted_expectation(lambda z, f=function: f(z) ** 2, [[0.0], [1.0]], nodes=6000).values[:, 0]
        for row, value in ((6, fine[0]), (10, fine[1])):
            assert abs(coarse.constant[row] - value) <= coarse.errors[row]
        errors.append(coarse.errors[6])
    assert errors[0] > 1e3 * errors[1] >= errors[2]


def test_functions_that_do_not_fit_are_refused():
    with pytest.raises(DomainError, match="2 outputs and the model 1"):
        landscape_table([lambda z: np.stack([z[0], z[0]])], lambda z: z[:1], [1.0])
    with pytest.raises(DomainError, match="not even"):
        landscape_table([lambda z: z[:1]], lambda z: z[:1] ** 2, [1.0], even=True)
    with pytest.raises(DomainError, match="not finite"):
        landscape_table([lambda z: np.where(z < 6, z, np.inf)], lambda z: z, [1.0])
