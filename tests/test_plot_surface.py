"""The pictures of losses and phases show what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

from sie_sym.errors import DomainError, SieSymError
from sie_sym.model import linear_attention
from sie_sym.numeric import NumericLoss
from sie_sym.phase_diagram import REGIONS, phase_labels
from sie_sym.phases.disk_minima import minima
from sie_sym.plot import contour_levels, polar_grid
from sie_sym.plots.phases import COLOURS, phases_figure, plot_phases
from sie_sym.plots.surface import plot_surface, surface_figure
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

pytest.importorskip("matplotlib")

M, EPS = sp.symbols("m eps", real=True)
SADDLE = NumericLoss(3 - M**2 + 2 * EPS**2, (M, EPS))
TWO_WELLS = NumericLoss(-(M**2) - (EPS**2) * sp.Rational(3, 2) + M**2 * EPS**2 * 3, (M, EPS))


def lines(loss: Any) -> dict[str, Any]:
    return {str(line.get_label()): line for line in surface_figure(loss).axes[0].get_lines()}


def test_the_minima_of_a_closed_form() -> None:
    # 3 - m^2 + 2 eps^2: lowest at m = +-1; inside, a bowl
    found = minima(SADDLE)
    assert sorted((round(x.m, 9), abs(round(x.eps, 9))) for x in found) == [(-1, 0), (1, 0)]
    assert [x.value for x in found] == pytest.approx([2, 2], abs=1e-14)
    assert all(x.on_rim and 0 < x.error < 1e-14 for x in found)
    (bowl,) = minima(NumericLoss((M - sp.Rational(1, 4)) ** 2 + (EPS + sp.Rational(1, 3)) ** 2, (M, EPS)))
    assert (bowl.m, bowl.eps) == pytest.approx((0.25, -1 / 3), abs=1e-9)
    assert not bowl.on_rim


def test_the_minima_need_a_disk() -> None:
    with pytest.raises(DomainError, match="0 encoding columns"):
        minima(NumericLoss(-(M**2), (M,)))


def test_the_stars_are_the_minima() -> None:
    drawn = lines(TWO_WELLS)
    (best,) = (line for label, line in drawn.items() if label.startswith("global minimum"))
    (other,) = (line for label, line in drawn.items() if label.startswith("local minimum"))
    assert sorted(map(abs, np.round(best.get_xdata(), 6))) == [1, 1]  # eps = +-1: R = -3/2
    assert "-1.5" in best.get_label()
    assert sorted(map(abs, np.round(other.get_ydata(), 6))) == [1, 1]  # m = +-1: R = -1
    assert best.get_markerfacecolor() != other.get_markerfacecolor()


def test_the_steepest_direction_is_told_apart() -> None:
    drawn = {label: line for label, line in lines(TWO_WELLS).items() if label.startswith("curvature")}
    steepest, second = sorted(drawn.values(), key=lambda line: -line.get_linewidth())
    assert "-3" in steepest.get_label()
    assert np.ptp(np.asarray(steepest.get_ydata())) < 1e-12 < np.ptp(np.asarray(steepest.get_xdata()))
    assert "-2" in second.get_label()
    assert (steepest.get_linestyle(), second.get_linestyle()) == ("-", "-.")


def test_the_curve_of_one_overlap() -> None:
    # R = 1 - m^2 + m: minima at both ends, slope 1, curvature -2
    (axes,) = surface_figure(NumericLoss(1 - M**2 + M, (M,))).axes
    assert "slope 1, curvature -2" in axes.get_title(loc="left")
    wells = next(line for line in axes.get_lines() if line.get_label() == "minima")
    assert list(wells.get_xdata()) == [-1, 1]


def test_the_levels_are_quantiles_of_area() -> None:
    m, eps = polar_grid()
    levels = contour_levels(m**2 + eps**2)
    assert levels is not None
    # the area inside of radius r is r^2, so the levels of r^2 are even
    assert np.abs(np.diff(levels) - 1 / 21).max() < 0.02
    assert contour_levels(np.full(m.shape, 3.0)) is None


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_formats(tmp_path: Path, kind: str) -> None:
    magic = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    for draw in (lambda path: plot_surface(SADDLE, path), plot_phases):
        path = draw(tmp_path / f"figure.{kind}")
        assert path.read_bytes().startswith(magic)


def test_the_same_loss_gives_the_same_file(tmp_path: Path) -> None:
    first, second = (plot_surface(SADDLE, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second


def test_a_flat_loss_is_drawn(tmp_path: Path) -> None:
    target = Target.of(sp.Symbol("z1", real=True) - sp.Symbol("z2", real=True))
    flat = population_loss(target, linear_attention(2).with_encoding([[sp.Integer(1), sp.Integer(-1)]]))
    assert flat.expression.is_number
    assert minima(NumericLoss(flat.expression, flat.statistics)) == []
    assert plot_surface(flat, tmp_path / "flat.png").exists()


def test_two_columns_have_no_surface(tmp_path: Path) -> None:
    first, second = sp.symbols("eps1 eps2", real=True)
    with pytest.raises(SieSymError, match="2 positional overlaps"):
        plot_surface(NumericLoss(M + first * second, (M, first, second)), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_phases_are_coloured_and_named() -> None:
    size = 60
    figure = phases_figure(mark=0.76, points=((1.0, 0.67, "here"),), size=size)
    (axes,) = figure.axes
    (mesh,) = axes.collections
    a, omega = np.linspace(0.7, 1, size), np.linspace(0.4, 1, size)
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(size, size), phase_labels(a, omega).labels.T)
    texts = {text.get_text().replace("\n", " ") for text in axes.texts}
    assert texts >= {*REGIONS, "here"}
    assert "$a = 0.76$" in texts
    assert len(COLOURS) == len(set(COLOURS)) == 6


def test_the_boundaries_run_between_the_regions() -> None:
    (axes,) = phases_figure(size=20).axes
    drawn = {str(line.get_label()): line for line in axes.get_lines()}
    (dynamics,) = (line for label, line in drawn.items() if label.startswith("dynamics"))
    assert float(np.asarray(dynamics.get_ydata())[-1]) == pytest.approx(0.6409626179, abs=1e-9)  # theory section 9
    assert len(figure_legend(axes)) == 4


def figure_legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.figure.legends[0].get_texts()]
