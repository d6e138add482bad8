"""Minima along the rim: against values of R on a fine rim, one target after the other."""

from __future__ import annotations

import numpy as np
import pytest

from sie_sym.losses.loss_family import positional_semantic_loss
from sie_sym.phase_diagram import phase_boundaries
from sie_sym.phases.disk_minima import minima
from sie_sym.phases.positional_semantic import mixture
from sie_sym.phases.rim import Rim

RIM = Rim.of(192)


@pytest.mark.parametrize(
    ("scales", "omegas"),
    [
        ([0.74, 0.76, 0.775], [0.999, 0.94, 0.97, 0.955, 0.985, 0.9, 1.0]),  # the fold; omega in no order
        ([0.3, 0.5, 0.54, 0.56, 0.6], [0.0, 0.5, 0.9, 1.0]),  # the derivative of T in omega changes its sign
        ([0.9, 1.0, 2.0], [0.1, 0.5, 0.7, 0.9]),
    ],
)
def test_displaced_minima_are_those_of_a_fine_rim(scales: list[float], omegas: list[float]) -> None:
    t = np.linspace(0, 1, 4001)
    found = RIM.displaced(np.array(scales), np.array(omegas))
    for i, a in enumerate(scales):
        for j, omega in enumerate(omegas):
            values = positional_semantic_loss(omega, a).value(np.sqrt(t), np.sqrt(1 - t))
            # the sum over k ends: what it leaves out makes ripples of 1e-9 next to t = 1
            inner = values[:3900]
            assert found[i, j] == ((inner[1:-1] < inner[:-2]) & (inner[1:-1] < inner[2:])).any(), (a, omega)


def test_the_side_of_the_curve_on_which_r_rises() -> None:
    # below a = 0.52 T falls with omega at small t: no minimum comes of it for omega in [0, 1], so look beyond
    scales, omegas = np.array([0.3, 0.45, 0.51, 0.7]), np.array([-300.0, -40.0, -7.0, -2.0, 1.4, 3.0, 50.0, 400.0])
    rises = mixture(scales[:, None], omegas) @ Rim.of(4096).slope > 0
    expected = (rises[..., 1:] > rises[..., :-1]).any(axis=-1)
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(RIM.displaced(scales, omegas), expected)


def test_a_minimum_appears_at_the_turning_point_of_the_curve() -> None:
    # located to 1e-9 on a grid 32 times finer; without the vertex of the parabola nodes would miss it by 1e-6
    fine = Rim.of(6144)

    def birth(rim: Rim) -> float:
        low, high = 0.9, float(phase_boundaries(0.76).positional_minimum) - 1e-3
        while high - low > 1e-12:
            middle = (low + high) / 2
            low, high = (low, middle) if rim.displaced(np.array([0.76]), np.array([middle]))[0, 0] else (middle, high)
        return high

    assert birth(RIM) == pytest.approx(birth(fine), abs=1e-8)


def test_the_value_of_a_displaced_minimum() -> None:
    for a, omega in ((0.76, 0.98), (0.76, 0.9703), (0.735, 0.997)):
        weights = mixture(a, omega)[None]
        place, bottom = RIM.minima(weights, weights @ RIM.slope)
        loss = positional_semantic_loss(omega, a)
        (value,) = {round(x.value, 12) for x in minima(loss) if 1e-3 < abs(x.m) < 0.999}
        start = float(loss.value(0.0, 1.0)) - float(weights[0] @ RIM.value[:, 0])  # 4 E|t|^2
        assert place.tolist() == [0]
        assert bottom[0] + start == pytest.approx(value, abs=2e-9)
