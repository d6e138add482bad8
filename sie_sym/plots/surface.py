r"""The surface R(m, eps) over the disk m^2 + eps^2 <= 1: its contours with the flow that descends it, and its shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.numeric import FloatArray, LossFunction, numeric_loss
from sie_sym.phases.disk_minima import Minimum, minima
from sie_sym.plot import (
    FAINT,
    INK,
    PATH,
    SEMANTIC,
    SHADES,
    draw_contours,
    draw_curvatures,
    frame_disk,
    polar_grid,
    require_matplotlib,
    save,
)
from sie_sym.typesetting.latex_printer import printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_surface(loss: Any, path: str | Path) -> Path:
    r"""Draw a loss to `path` (.png, .svg or .pdf).

    With one positional overlap: the contour lines of R on the disk with the streamlines of the gradient flow
    ds/dt = -(1 - s s^T) grad R, the principal directions of the Hessian at 0 (downhill drawn, uphill dashed) and the
    minima, and the surface in three dimensions.  Without: R(m) and its minima.

    Raises `SieSymError` for several positional overlaps and as `plot_flow` does.
    """
    return save(lambda: surface_figure(loss), path)


def surface_figure(loss: Any, title: str = "") -> Figure:
    """The matplotlib figure of `plot_surface`, not yet drawn."""
    require_matplotlib()
    from matplotlib.figure import Figure

    numbers = numeric_loss(loss)
    if len(numbers.statistics) > 2:
        raise SieSymError(
            f"the loss has {len(numbers.statistics) - 1} positional overlaps: a surface is drawn over (m, eps), "
            "so pass one encoding column"
        )
    if len(numbers.statistics) == 1:
        figure = Figure(figsize=(6.0, 4.2), layout="constrained")
        draw_curve(figure.add_subplot(), numbers)
    else:
        figure = Figure(figsize=(11.4, 5.2), layout="constrained")
        grid = figure.add_gridspec(1, 2, width_ratios=[1, 1.05])
        disk = figure.add_subplot(grid[0])
        draw_surface_map(figure, disk, numbers)
        draw_relief(figure.add_subplot(grid[1], projection="3d"), numbers)
        handles, labels = disk.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=1.8, columnspacing=1.6)
    if title:
        figure.suptitle(title)
    return figure


def draw_surface_map(figure: Figure, axes: Axes, loss: LossFunction, *, bar: bool = True) -> list[Minimum]:
    """Contours, streamlines, curvatures at 0 and minima on the disk; returns the minima."""
    draw_contours(figure, axes, loss, bar=bar)
    draw_streamlines(axes, loss)
    draw_curvatures(axes, loss)
    found = minima(loss)
    draw_minima(axes, found)
    frame_disk(axes, loss.statistics)
    return found


def draw_streamlines(axes: Axes, loss: LossFunction) -> None:
    """The lines of ds/dt = -(1 - s s^T) grad R."""
    x = np.linspace(-1, 1, 81)
    eps, m = np.meshgrid(x, x)
    inside = m**2 + eps**2 < 0.995
    velocity = np.full((2, *m.shape), np.nan)
    slope = np.asarray(loss.gradient(m[inside], eps[inside]), dtype=float)
    radial = m[inside] * slope[0] + eps[inside] * slope[1]
    velocity[:, inside] = -slope + radial * np.stack([m[inside], eps[inside]])
    speed = np.hypot(*velocity)
    if not np.nanmax(speed, initial=0.0) > 0:
        return
    axes.streamplot(
        eps, m, velocity[1], velocity[0],
        color=INK, density=0.85, linewidth=0.55, arrowsize=0.7, broken_streamlines=True, zorder=2,
    )  # fmt: skip


def draw_minima(axes: Axes, found: list[Minimum]) -> None:
    """The minima: filled for the lowest value, open for the others."""
    lowest = min((minimum.value for minimum in found), default=0.0)
    best = [x for x in found if x.value <= lowest + 1e-9 * max(1.0, abs(lowest))]
    others = [x for x in found if x not in best]
    for group, face, name in ((best, PATH, "global minimum"), (others, "white", "local minimum")):
        if group:
            axes.plot(
                [x.eps for x in group], [x.m for x in group], "*", ms=14, mfc=face, mec=PATH, mew=1.3, zorder=6,
                clip_on=False, linestyle="none", label=f"{name}: $R = {group[0].value:.6g}$",
            )  # fmt: skip


def draw_relief(axes: Any, loss: LossFunction) -> None:
    """The surface over the disk, with its contour lines on the floor."""
    m, eps = polar_grid(160, 60)
    values = np.array(np.broadcast_to(loss.value(m, eps), m.shape))
    low, high = float(values.min()), float(values.max())
    height = max(high - low, 1e-12 * max(1.0, abs(high)))
    axes.plot_surface(eps, m, values, cmap=SHADES, rcount=60, ccount=120, linewidth=0, antialiased=False, vmax=high)
    axes.plot(eps[-1], m[-1], values[-1], color=INK, lw=1.0)
    if high - low > 1e-12 * max(abs(high), 1):
        axes.contour(eps, m, values, levels=12, cmap=SHADES, zdir="z", offset=low - 0.45 * height, linewidths=0.8)
    axes.set_zlim(low - 0.45 * height, high)
    names = [f"${printed(s)}$" for s in loss.statistics]
    axes.set(xlabel=names[1], ylabel=names[0], zlabel="$R$", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    places = max(0, 1 - math.floor(math.log10(height)))  # enough to tell neighbouring ticks apart
    axes.zaxis.set_major_formatter(lambda value, _: f"{value:.{places}f}")
    axes.zaxis.set_major_locator(_Ticks(low, high))
    axes.view_init(elev=30, azim=-58)
    axes.set_box_aspect((1, 1, 0.72), zoom=0.92)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_facecolor("white")
        axis.pane.set_edgecolor("#dddddd")
        axis._axinfo["grid"].update(color="#e6e6e6", linewidth=0.5)


def _Ticks(low: float, high: float) -> Any:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    ticks = MaxNLocator(4).tick_values(low, high)
    return FixedLocator([t for t in ticks if low - 1e-12 <= t <= high + 1e-12])


def draw_curve(axes: Axes, loss: LossFunction) -> None:
    """R(m) on [-1, 1], its minima and the curvature at 0."""
    m: FloatArray = np.linspace(-1, 1, 801)
    values = np.array(np.broadcast_to(loss.value(m), m.shape))
    axes.plot(m, values, color=SEMANTIC, lw=2)
    rises = np.append(values[1:] > values[:-1], True)
    falls = np.insert(values[1:] < values[:-1], 0, True)
    wells = np.flatnonzero(rises & falls)
    if len(wells):
        axes.plot(m[wells], values[wells], "*", ms=13, color=PATH, clip_on=False, label="minima", zorder=5)
        axes.legend()
    axes.axvline(0, color=FAINT, lw=0.6, zorder=0)
    symbol: sp.Symbol = loss.statistics[0]
    axes.set(xlabel=f"${printed(symbol)}$  (semantic)", ylabel="$R$", xlim=(-1, 1))
    shown = (float(np.asarray(f(0.0), dtype=float).ravel()[0]) for f in (loss.gradient, loss.hessian))
    rounding = 1e-12 * float(np.ptp(values))
    slope, curvature = (0.0 if abs(x) <= rounding else x for x in shown)
    axes.set_title(f"at 0: slope {slope:.4g}, curvature {curvature:.4g}", loc="left")


__all__ = [
    "draw_curve",
    "draw_minima",
    "draw_relief",
    "draw_streamlines",
    "draw_surface_map",
    "plot_surface",
    "surface_figure",
]
