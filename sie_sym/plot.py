r"""Figures of the results: the flow of the overlaps over the landscape it descends.

matplotlib is an extra (`pip install 'sie-sym[plot]'`), imported when a figure is drawn; figures are objects of their
own, without pyplot and its global state.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.files import write_atomically
from sie_sym.flow import Flow
from sie_sym.numeric import FloatArray, LossFunction, numeric_loss
from sie_sym.typesetting.latex_printer import printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Blue for the semantic overlap, orange and its relatives for the positional ones: distinct to colour-blind eyes.
SEMANTIC, POSITIONAL = "#0b5fa5", ("#d9730d", "#a63d8f", "#4b8b3b", "#7a6a00")
INK, FAINT = "#222222", "#8a8a8a"
PATH, SHADES = "#c1121f", "YlGnBu_r"
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "mathtext.fontset": "cm",
    "svg.hashsalt": "sie-sym",
    "legend.frameon": False,
}


def check_path(path: str | Path) -> str:
    """The format of a figure's file by its extension: png, svg or pdf.

    Raises `SieSymError` for another extension and `MissingExtra` without matplotlib.

    >>> check_path("flow.svg")
    'svg'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise SieSymError(f"cannot draw {path}: unknown extension {suffix!r}; choose {', '.join(FORMATS)}")
    require_matplotlib()
    return suffix[1:]


def require_matplotlib() -> None:
    """Raise `MissingExtra` without matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("plot", "matplotlib") from None


def plot_flow(flow: Flow, loss: Any, path: str | Path, *, disk: bool = True) -> Path:
    r"""Draw a flow to `path` (.png, .svg or .pdf): the overlaps and R along t = gamma * step / d.

    With one positional overlap a third panel shows the trajectory in the disk m^2 + eps^2 <= 1 over the contour lines
    of R, with the principal directions of the Hessian at 0: downhill ones drawn, uphill ones dashed; not so without
    `disk` (another Gram matrix has another domain).

    Raises `SieSymError` for other extensions and files that cannot be written, `MissingExtra` without matplotlib.
    """
    return save(lambda: flow_figure(flow, loss, disk=disk), path)


def save(draw: Callable[[], Figure], path: str | Path) -> Path:
    """Draw a figure in this project's style and write it to `path`, in the format of its extension."""
    kind = check_path(path)
    return write_atomically(path, rendered(draw, kind))


def rendered(draw: Callable[[], Figure], kind: str, dpi: int = 200) -> bytes:
    """A figure in this project's style as a png, svg or pdf; the same figure gives the same bytes."""
    require_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with matplotlib.rc_context(_STYLE):
        figure = draw()
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        # No date inside: the same result gives the same file.
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def flow_figure(flow: Flow, loss: Any, *, disk: bool = True) -> Figure:
    """The matplotlib figure of `plot_flow`, not yet drawn; without its third panel unless `disk`."""
    require_matplotlib()
    from matplotlib.figure import Figure

    numbers = numeric_loss(loss)
    disk = disk and len(flow.statistics) == 2
    figure = Figure(figsize=(10.2, 4.6) if disk else (6.0, 4.8), layout="constrained")
    grid = figure.add_gridspec(2, 2 if disk else 1, width_ratios=[1, 1.02] if disk else [1], height_ratios=[1.35, 1])
    overlaps = figure.add_subplot(grid[0, 0])
    descent = figure.add_subplot(grid[1, 0], sharex=overlaps)
    _draw_overlaps(overlaps, flow)
    _draw_descent(descent, flow)
    if disk:
        _draw_disk(figure, figure.add_subplot(grid[:, 1]), flow, numbers)
    return figure


def _draw_overlaps(axes: Axes, flow: Flow) -> None:
    colours = (SEMANTIC, *POSITIONAL)
    for i, symbol in enumerate(flow.statistics):
        colour = colours[0] if i == 0 else POSITIONAL[(i - 1) % len(POSITIONAL)]
        style = "-" if i <= len(POSITIONAL) else "--"
        axes.plot(flow.t, flow.states[:, i], style, color=colour, lw=2, label=f"${printed(symbol)}$")
    low, high = float(flow.states.min()), float(flow.states.max())
    margin = 0.06 * max(high - low, 1e-3)
    axes.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)
    axes.axhline(0, color=FAINT, lw=0.6, zorder=0)
    axes.set_ylabel("overlaps")
    axes.tick_params(labelbottom=False)
    when = "" if flow.recovery_time is None else f" at $t = {flow.recovery_time:.4g}$"
    axes.set_title(f"ended: {flow.ended}{when}", loc="left")
    axes.legend(loc="best", ncols=min(3, len(flow.statistics)), handlelength=1.6)


def _draw_descent(axes: Axes, flow: Flow) -> None:
    axes.plot(flow.t, flow.losses, color=INK, lw=1.6)
    axes.set_ylabel("$R$")
    axes.set_xlabel(r"$t = \gamma \cdot \mathrm{step} / d$")
    axes.ticklabel_format(axis="y", useOffset=False)
    if len(flow.t) > 1:
        axes.set_xlim(float(flow.t[0]), float(flow.t[-1]))


def _draw_disk(figure: Figure, axes: Axes, flow: Flow, loss: LossFunction) -> None:
    draw_contours(figure, axes, loss)
    draw_curvatures(axes, loss)
    path = flow.states
    axes.plot(path[:, 1], path[:, 0], color=PATH, lw=2.2, solid_capstyle="round", label="flow", zorder=4)
    axes.plot(*path[0, ::-1], "o", ms=6, mfc="white", mec=PATH, mew=1.6, label="start", zorder=5)
    axes.plot(*path[-1, ::-1], "o", ms=7, color=PATH, label="end", zorder=5)
    frame_disk(axes, flow.statistics)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper right", ncols=5, handlelength=1.6, columnspacing=1.3
    )


def polar_grid(angles: int = 240, radii: int = 120) -> tuple[FloatArray, FloatArray]:
    """(m, eps) on the unit disk, shape (radii + 1, angles + 1)."""
    angle, radius = np.linspace(0, 2 * np.pi, angles + 1), np.linspace(0, 1, radii + 1)[:, None]
    return radius * np.sin(angle), radius * np.cos(angle)


def contour_levels(values: FloatArray, count: int = 22) -> FloatArray | None:
    """Levels of R on `polar_grid`, None if it is flat: quantiles of area, so that a rim does not hide the middle."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(abs(high), 1):
        return None
    weights = np.arange(len(values)) * 60 // max(1, len(values) - 1) + 1
    sample = np.sort(np.repeat(values, weights, axis=0).ravel())
    levels = np.unique(np.quantile(sample, np.linspace(0, 1, count)))
    return np.asarray(levels[np.insert(np.diff(levels) > 1e-9 * (high - low), 0, True)])


def draw_contours(figure: Figure, axes: Axes, loss: LossFunction, *, bar: bool = True) -> None:
    """The contour lines of R(m, eps) on the disk, eps to the right and m upwards."""
    from matplotlib.colors import BoundaryNorm

    m, eps = polar_grid()
    values = np.array(np.broadcast_to(loss.value(m, eps), m.shape))
    levels = contour_levels(values)
    if levels is None:
        return
    # One shade a band, whatever its height.
    shades = BoundaryNorm(levels, 256)
    filled = axes.contourf(eps, m, values, levels=levels, cmap=SHADES, norm=shades, alpha=0.8)
    axes.contour(eps, m, values, levels=levels, colors="white", linewidths=0.5)
    if bar:
        shown = figure.colorbar(filled, ax=axes, shrink=0.85, pad=0.03, ticks=levels[:: max(1, len(levels) // 7)])
        shown.ax.set_title("$R$", pad=6)
        # Digits enough to tell neighbouring ticks apart.
        places = max(0, 1 - math.floor(math.log10(float(np.median(np.diff(shown.get_ticks()))))))
        shown.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.{places}f}")
        shown.outline.set_visible(False)


def frame_disk(axes: Axes, statistics: Sequence[sp.Symbol]) -> None:
    """The rim, the axes and their names."""
    from matplotlib.patches import Circle

    axes.add_patch(Circle((0, 0), 1, fill=False, color=FAINT, lw=1))
    axes.set_aspect("equal")
    axes.set(xlim=(-1.06, 1.06), ylim=(-1.06, 1.06), xticks=[-1, -0.5, 0, 0.5, 1], yticks=[-1, -0.5, 0, 0.5, 1])
    positional, semantic = f"${printed(statistics[1])}$", f"${printed(statistics[0])}$"
    axes.set(xlabel=f"{positional}  (positional)", ylabel=f"{semantic}  (semantic)")
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def draw_curvatures(axes: Axes, loss: LossFunction) -> None:
    """The principal directions of the Hessian at 0: the steepest descent bold, another dash-dotted, uphill dashed.

    Flat ones are left out.
    """
    hessian: FloatArray = np.asarray(loss.hessian(0.0, 0.0), dtype=float).reshape(2, 2)
    curvatures, directions = np.linalg.eigh(hessian)
    scale = float(np.abs(curvatures).max())
    for rank, (curvature, (m, eps)) in enumerate(zip(curvatures, directions.T, strict=True)):
        if scale == 0 or abs(curvature) < 1e-9 * scale:
            continue
        style: Any = (0, (2, 2)) if curvature > 0 else "-" if rank == 0 else "-."
        axes.plot(
            [-0.42 * eps, 0.42 * eps], [-0.42 * m, 0.42 * m], linestyle=style,
            color=INK, lw=2.4 if style == "-" else 1.6, zorder=3, label=f"curvature ${curvature:+.3g}$ at 0",
        )  # fmt: skip


__all__ = [
    "FAINT",
    "INK",
    "PATH",
    "POSITIONAL",
    "SEMANTIC",
    "SHADES",
    "check_path",
    "contour_levels",
    "draw_contours",
    "draw_curvatures",
    "flow_figure",
    "frame_disk",
    "plot_flow",
    "polar_grid",
    "rendered",
    "require_matplotlib",
    "save",
]
