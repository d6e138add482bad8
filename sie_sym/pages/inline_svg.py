"""Figures as SVG inside a page: no file beside it, no identifier of one that another one has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sie_sym.flow import Flow
from sie_sym.numeric import LossFunction
from sie_sym.plot import PATH, rendered, require_matplotlib
from sie_sym.plots.surface import draw_relief, draw_surface_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS = 110
"""Dots an inch of what is drawn as an image: surfaces of thousands of faces."""


def inline_svg(draw: Callable[[], Figure], name: str) -> str:
    """An `<svg>` element whose identifiers all start with `name`; texts are outlines, so that no font is needed."""
    text = rendered(draw, "svg", _DOTS).decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    return re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", text).strip()


def map_figure(loss: LossFunction, flow: Flow | None) -> Figure:
    """The contours of R(m, eps) with the lines of the flow, one trajectory and the minima."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 6.1), layout="constrained")
    axes = figure.add_subplot()
    draw_surface_map(figure, axes, loss)
    if flow is not None:
        path = flow.states
        axes.plot(path[:, 1], path[:, 0], color=PATH, lw=2.2, solid_capstyle="round", label="flow", zorder=4)
        axes.plot(*path[0, ::-1], "o", ms=6, mfc="white", mec=PATH, mew=1.6, label="start", zorder=5)
        axes.plot(*path[-1, ::-1], "o", ms=7, color=PATH, label="end", zorder=5)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=1.8, columnspacing=1.6)
    return figure


def relief_figure(loss: LossFunction) -> Figure:
    """The surface R(m, eps) over the disk, its faces as one image."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.9), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    draw_relief(axes, loss)
    for faces in axes.collections:
        faces.set_rasterized(True)
    return figure


__all__ = ["inline_svg", "map_figure", "relief_figure"]
