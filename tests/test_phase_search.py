"""The search of the disk behind the labels: against values of R all over the disk, and at the edges of the phases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sie_sym.losses.loss_family import positional_semantic_loss
from sie_sym.phase_diagram import phase_boundaries, phase_labels
from sie_sym.phase_regions import phase_line
from sie_sym.phases.disk_minima import minima
from sie_sym.phases.phase_search import DiskMinima, interior_margin, search


def at(a: float, *omegas: float) -> DiskMinima:
    p = 1 / (1 + math.exp(-2 * a * a))
    return search(np.array([[1.0, 1 - omega, omega * p] for omega in omegas]))


def brute_force(a: float, omega: float) -> tuple[bool, bool, bool]:
    """Which minima a fine polar grid of the quarter disk shows: semantic corner, positional corner, another place."""
    angle, radius = np.linspace(0, math.pi / 2, 721)[:, None], np.linspace(0, 1, 401)[None, :]
    loss = positional_semantic_loss(omega, a)
    padded = np.pad(loss.value(radius * np.sin(angle), radius * np.cos(angle)), 1, mode="reflect")
    padded[:, -1] = np.inf  # beyond the rim
    centre = padded[1:-1, 1:-1]
    lowest = np.ones(centre.shape, dtype=bool)
    for i, j in ((0, 1), (2, 1), (1, 0), (1, 2)):
        lowest &= centre < padded[i : i + centre.shape[0], j : j + centre.shape[1]]
    assert not lowest[:, 1:-1].any()
    places = np.flatnonzero(lowest[:, -1])
    return 720 in places, 0 in places, bool(((places > 0) & (places < 720)).any())


@pytest.mark.parametrize(
    ("a", "omega"),
    [
        (1.0, 0.3),
        (1.0, 0.67),
        (1.0, 0.8),
        (1.0, 0.9),
        (0.76, 0.95),
        (0.76, 0.98),
        (0.76, 0.9703),
        (0.735, 0.997),
        (0.4, 0.9),
    ],
)
def test_minima_are_those_of_a_grid_of_the_disk(a: float, omega: float) -> None:
    found = at(a, omega)
    assert found.complete.all()
    assert (found.semantic[0], found.corner[0], found.displaced[0]) == brute_force(a, omega)


def test_which_minimum_is_lower_and_by_how_much() -> None:
    # a = 0.76, omega = 0.9703: the displaced minimum is the lower one, at 0.9690 the semantic corner
    for a, omega in ((0.76, 0.9703), (0.76, 0.9690), (0.76, 0.98), (1.0, 0.7), (1.0, 0.75)):
        loss = positional_semantic_loss(omega, a)
        others = [x.value for x in minima(loss) if abs(x.m) < 0.999]
        # R(0, 1) is truncated at another order
        expected = float(loss.value(1.0, 0.0)) - min(others)
        assert at(a, omega).lead[0] == pytest.approx(expected, abs=2 * float(loss.error(1.0, 0.0)) + 1e-9)
    assert at(1.0, 0.3).lead[0] == -math.inf


@pytest.mark.parametrize("a", [0.8, 0.9, 1.0])
def test_the_minima_change_at_the_closed_form_boundaries(a: float) -> None:
    boundaries = phase_boundaries(a)
    step = 2e-4
    semantic, positional = float(boundaries.semantic_minimum), float(boundaries.positional_minimum)
    found = at(a, semantic - step, semantic + step, positional - step, positional + step)
    assert found.complete.all()
    assert found.semantic.tolist() == [True, False, True, True]
    assert found.corner.tolist() == [True, True, False, True]
    dynamics, swap = float(boundaries.dynamics), float(boundaries.global_minimum)
    found = at(a, dynamics - 1e-9, dynamics + 1e-9, swap - 1e-6, swap + 1e-6)
    assert (np.sign(found.escape[:2]) == [-1, 1]).all()
    assert (np.sign(found.lead[2:]) == [-1, 1]).all()


def test_a_pair_of_minima_is_born_on_the_rim() -> None:
    # where the displaced minimum of a = 0.76 appears no corner changes: two zeros of the slope merge there
    corners = [float(getattr(phase_boundaries(0.76), name)) for name in ("semantic_minimum", "positional_minimum")]
    line = phase_line(0.76)
    (birth,) = [
        later.low
        for earlier, later in zip(line.regions, line.regions[1:], strict=False)
        if later.low < min(corners) and not later.name.startswith("unique") and earlier.name.startswith("unique")
    ]
    found = at(0.76, birth - 1e-5, birth + 1e-5)
    assert found.complete.all()
    assert found.displaced.tolist() == [False, True]
    assert found.semantic.all()
    assert not found.corner.any()
    # where the slope first reaches 0, in the table of the whole matrix
    t = np.linspace(0.4, 0.6, 20001)
    m, eps = np.sqrt(t), np.sqrt(1 - t)
    for omega, sign in ((birth - 3e-9, -1), (birth + 3e-9, 1)):
        gradient = positional_semantic_loss(omega, 0.76).gradient(m, eps)
        assert np.sign((gradient[0] / m - gradient[1] / eps).max()) == sign


@pytest.mark.parametrize(
    ("a", "omega"), [(0.7679598662207358, 0.9496666666666667), (0.7701672240802676, 0.9433333333333334)]
)
def test_a_minimum_that_has_just_been_born_is_not_missed(a: float, omega: float) -> None:
    # its two zeros of the slope lie closer together than the nodes of the first grid; minima(loss) does not see all
    found = at(a, omega)
    assert found.complete.all()
    assert found.displaced.all()
    assert found.semantic.all()
    t = np.linspace(0.05, 0.3, 20001)
    rim = positional_semantic_loss(omega, a).value(np.sqrt(t), np.sqrt(1 - t))
    assert ((rim[1:-1] < rim[:-2]) & (rim[1:-1] < rim[2:])).sum() == 1


def test_doubt_is_admitted() -> None:
    # on the boundary itself the sign at the corner lies within the error of the derivative
    boundary = float(phase_boundaries(0.9).semantic_minimum)
    assert at(0.9, boundary, boundary - 1e-3).complete.tolist() == [False, True]


def test_nothing_lies_inside() -> None:
    # D at the start is -R_mm = 2 kappa of theory section 9, at the positional corner it is smaller
    assert 0.02 < interior_margin() < 2 * 0.2205023378
    loss = positional_semantic_loss(0.0)
    assert float(-loss.hessian(0.0, 0.0)[0, 0]) == pytest.approx(2 * 0.2205023378, abs=1e-9)
    m, eps = np.random.default_rng(0).uniform(0, 1, (2, 4000))
    inside = m**2 + eps**2 <= 1
    slopes = -loss.gradient(m[inside], eps[inside])[0] / m[inside]
    assert slopes.min() > interior_margin()


@pytest.mark.slow
def test_every_label_near_the_fold_is_confirmed() -> None:
    labels = phase_labels(np.linspace(0.72, 0.78, 200), np.linspace(0.9, 1, 201), search=True)
    assert labels.confirmed is not None
    assert labels.confirmed.all()
    assert labels.displaced.sum() > 3000
    wide = phase_labels(np.linspace(0.05, 3, 100), np.linspace(0, 1, 101), search=True)
    assert wide.confirmed is not None
    assert wide.confirmed.all()
