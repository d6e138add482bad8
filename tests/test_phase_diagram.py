"""The phase diagram of the positional-semantic model: theory section 9, direct quadrature, searches of the
disk."""

import math
import subprocess
import sys
import time

import numpy as np
import pytest

from sie_sym.errors import DomainError
from sie_sym.losses.loss_family import positional_semantic_loss, spectral_loss
from sie_sym.phase_diagram import (
    REGIONS,
    aligned_alternative,
    minima,
    phase_boundaries,
    phase_labels,
    positional_semantic_landscape,
    region,
)


@pytest.mark.parametrize(
    ("a", "name", "expected"),
    [  # theory section 9
        (1.0, "dynamics", 0.6409626179),
        (0.9, "dynamics", 0.7266098347),
        (0.76, "dynamics", 0.9267089012),
        (1.0, "semantic_minimum", 0.8416054039),
        (1.0, "positional_minimum", 0.5082142374),
        (1.0, "global_minimum", 0.7376068293),
        (0.76, "semantic_minimum", 0.9741152997),
        (0.76, "positional_minimum", 0.9863689694),
    ],
)
def test_boundaries_to_ten_digits(a, name, expected):
    boundary = getattr(phase_boundaries(a), name)
    assert boundary.value == pytest.approx(expected, abs=6e-11)
    assert boundary.error < 6e-11


def test_dynamics_boundary_is_the_closed_form():
    # omega_c = (alpha + kappa)/(kappa + b(a)), numbers of theory section 9
    for a in (0.72, 0.8, 0.95, 1.0):
        b = math.sqrt(2) * (1 / (1 + math.exp(-2 * a * a)) - 1 + math.sqrt(2) / 4)
        expected = (0.1332602813 + 0.2205023378) / (0.2205023378 + b)
        assert float(phase_boundaries(a).dynamics) == pytest.approx(expected, abs=1e-9)


def test_landscape_against_the_loss_at_the_corners():
    # the loss is a truncated sum over k, the landscape is not: they agree within the bound of the sum
    omega, a = 0.45, 0.87
    landscape, loss = positional_semantic_landscape(a), positional_semantic_loss(omega, a)
    hessian, corner = loss.hessian(0.0, 0.0), loss.hessian(0.0, 1.0)
    assert landscape.hessian_mm.at(omega) == pytest.approx(hessian[0, 0], abs=1e-10)
    assert landscape.hessian_ee.at(omega) == pytest.approx(hessian[1, 1], abs=1e-10)
    assert landscape.positional_radial.at(omega) == pytest.approx(loss.gradient(0.0, 1.0)[1], abs=1e-10)
    assert landscape.positional_curvature.at(omega) == pytest.approx(corner[0, 0], abs=1e-10)
    # rows of softmax: E|softmax target|^2 = 4 E t^2 - 4 E t + 2, E t = (1-omega) (1 - sqrt2/4) + omega sigmoid(2 a^2)
    mean = (1 - omega) * (1 - math.sqrt(2) / 4) + omega / (1 + math.exp(-2 * a * a))
    for quantity, m, eps in ((landscape.semantic_loss, 1.0, 0.0), (landscape.positional_loss, 0.0, 1.0)):
        found = float(loss.value(m, eps)) - (loss.target_norm2 + 4 * mean - 2)
        assert abs(quantity.at(omega) - found) <= loss.error(m, eps)
    # at m = 1 the derivative of the sum converges slowly (its terms are k a_k)
    assert landscape.semantic_radial.at(omega) == pytest.approx(loss.gradient(1.0, 0.0)[0], abs=1e-5)
    assert landscape.semantic_curvature.at(omega) == pytest.approx(loss.hessian(1.0, 0.0)[1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("a", "omega", "name"),
    [
        (1.0, 0.67, "global semantic, positional dynamics"),  # Fig. 5
        (0.76, 0.95, "unique semantic, misaligned dynamics"),  # Fig. 13
        (1.0, 0.3, "unique semantic"),
        (1.0, 0.6, "global semantic"),
        (1.0, 0.8, "global positional"),
        (1.0, 0.9, "unique positional"),
    ],
)
def test_regions_and_the_minima_behind_them(a, omega, name):
    assert region(a, omega) == name
    found = minima(positional_semantic_loss(omega, a))
    semantic = [x for x in found if abs(x.m) > 1 - 1e-6]
    positional = [x for x in found if abs(x.eps) > 1 - 1e-6]
    assert len(found) == len(semantic) + len(positional)
    assert bool(semantic) == (name != "unique positional")
    assert bool(positional) == (not name.startswith("unique semantic"))
    assert (abs(found[0].m) > 0.5) == (
        "positional" not in name or "positional dynamics" in name or "unique semantic" in name
    )
    assert all(x.on_rim for x in found)
    hessian = positional_semantic_loss(omega, a).hessian(0.0, 0.0)
    expects_positional = name in {
        "unique positional",
        "global positional",
        "global semantic, positional dynamics",
        "unique semantic, misaligned dynamics",
    }
    assert (hessian[1, 1] < hessian[0, 0]) == expects_positional


def test_a_positional_minimum_can_leave_its_corner():
    # neither corner condition sees it: at a = 0.76 the two corners alone would leave omega = 0.98 without a
    # minimum
    boundaries = phase_boundaries(0.76)
    assert boundaries.semantic_minimum.value < 0.98 < boundaries.positional_minimum.value
    (only,) = {(round(abs(x.m), 6), round(abs(x.eps), 6)) for x in minima(positional_semantic_loss(0.98, 0.76))}
    assert only == (0.265031, 0.96424)
    loss = positional_semantic_loss(0.98, 0.76)
    angle = np.linspace(0, math.pi / 2, 20001)
    best = angle[np.argmin(loss.value(np.sin(angle), np.cos(angle)))]
    assert math.sin(best) == pytest.approx(only[0], abs=1e-4)
    assert region(0.76, 0.98) == "unique positional"
    # the global minimum changes side before the two corners have the same loss
    assert boundaries.global_minimum.value > 0.9703
    assert region(0.76, 0.9703) == "global positional"
    assert region(0.76, 0.9690) == "global semantic, positional dynamics"
    labels = phase_labels([0.76, 1.0], [0.95, 0.98])
    assert labels.displaced.tolist() == [[False, True], [False, False]]


def test_whole_figure_in_less_than_a_second_and_confirmed_by_a_search():
    a, omega = np.linspace(0.7, 1, 200), np.linspace(0.4, 1, 200)
    phase_labels(a[:2], omega[:2], search=True)  # set-up
    start = time.process_time()
    picture = phase_labels(a, omega, search=True)
    elapsed = time.process_time() - start
    assert elapsed < 2  # about 0.03 s; both cores may count, and the machine may be busy
    assert picture.labels.shape == (200, 200)
    assert set(np.unique(picture.labels)) == set(range(6))
    assert picture.names == REGIONS
    assert picture.confirmed is not None
    assert picture.confirmed.all()
    assert phase_labels(a[:2], omega[:2]).confirmed is None
    for i, j in ((0, 0), (150, 20), (60, 190), (199, 90)):
        assert REGIONS[picture.labels[i, j]] == region(a[i], omega[j])


@pytest.mark.parametrize("omega", [0.0, 0.35, 0.8])
def test_aligned_alternative_has_its_minimum_at_the_teacher(omega):
    # App. F.3: w = w*, (m, eps) = (1, omega), where R = 0
    loss, gram = aligned_alternative(omega)
    found = minima(loss, gram)
    assert {(round(x.m, 4), round(x.eps, 4)) for x in found} == {(1.0, omega), (-1.0, -omega)}
    assert all(abs(x.value) <= x.error < 1e-6 for x in found)
    np.testing.assert_array_equal(gram, [[1, omega], [omega, 1]])


def test_minima_in_the_interior_of_the_disk():
    # g = -0.4 z^2 and phi(z) = z^2 + 0.2 z: phi(z + eps) = He_2 + (2 eps + 0.2) He_1 + 1 + eps^2 + 0.2 eps,
    # so
    # R = 0.48 + 0.8 c + 1.6 m^2 + c^2 + (2 eps + 0.2)^2 + 2 with c = 1 + eps^2 + 0.2 eps, minimal at m = 0,
    # eps = -0.1
    loss = spectral_loss(lambda z: -0.4 * z[:1] ** 2, lambda z: z[:1] ** 2 + 0.2 * z[:1], [[1.0]], order=4)
    (only,) = minima(loss)
    assert (only.m, only.eps) == (pytest.approx(0, abs=1e-9), pytest.approx(-0.1, abs=1e-9))
    assert only.value == pytest.approx(2.48 + 0.8 * 0.99 + 0.99**2, abs=1e-10)
    assert not only.on_rim


def test_a_picture_needs_no_sympy():
    code = "import sys, sie_sym.phase_regions as p; p.phase_line(1.0); print('sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_refusals():
    with pytest.raises(DomainError, match=r"omega = 1\.2"):
        region(1.0, 1.2)
    with pytest.raises(DomainError, match="a = -1"):
        phase_boundaries(-1.0)
    with pytest.raises(DomainError, match="one column"):
        minima(spectral_loss(lambda z: z[:1], lambda z: z[:1], np.eye(2), order=2))
    with pytest.raises(DomainError, match="positive definite"):
        minima(positional_semantic_loss(0.5), [[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(DomainError, match="0 <= omega < 1"):
        aligned_alternative(1.0)


@pytest.mark.parametrize("a", [0.3, 0.5, 0.54, 0.56, 0.7])
@pytest.mark.parametrize("omega", [0.2, 0.5, 0.9])
def test_a_weak_positional_part_has_no_positional_minimum(a, omega):
    # the condition of the positional corner changes the side of its root on which it holds, near a = 0.55
    found = minima(positional_semantic_loss(omega, a))
    assert all(abs(minimum.m) > 0.999 for minimum in found)
    assert region(a, omega) == "unique semantic"
