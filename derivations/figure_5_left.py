r"""Fig. 5, left, of arXiv:2506.02651: the global minimum is semantic, the dynamics goes positional.

Claim: at a = 1 and omega = 0.67 the steepest direction at initialization is positional although the global minimum of R
is the semantic one, so that most trajectories from a random start end at the wrong minimum.

Settings: the positional-semantic model of section 4; gradient flow from starts of length 1/sqrt d, d = 1000.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from sie_sym.flow import FlowBatch, gradient_flow_batch
from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.numeric import FloatArray
from sie_sym.paper_targets import named_target
from sie_sym.phase_diagram import region
from sie_sym.phases.disk_minima import minima
from sie_sym.target import Target

SOURCE = "arXiv:2506.02651, Fig. 5 (left)"
SCALE, WEIGHT, DIMENSION, TIME = 1.0, 0.67, 1000, 120.0


def target(scale: float, weight: float) -> Target:
    """The mixture at numbers a and omega."""
    values = {sp.Symbol("a", real=True): sp.Float(scale, 17), sp.Symbol("omega", real=True): sp.Float(weight, 17)}
    return named_target("@positional-semantic").substitute(values)


def loss(scale: float = SCALE, weight: float = WEIGHT) -> NumericalLoss:
    """R(m, eps) of the mixture under softmax attention with C = (1, -1)."""
    return tabulated_loss(target(scale, weight), softmax_attention(2).with_encoding([[1, -1]]))


def starts(count: int) -> FloatArray:
    """Points (m, eps) around the circle of radius 1/sqrt d, none of them on an axis."""
    angle = 2 * np.pi * (np.arange(count) + 0.5) / count
    return np.stack([np.sin(angle), np.cos(angle)], axis=1) / np.sqrt(DIMENSION)


def flows(count: int) -> FlowBatch:
    """The gradient flow from each start."""
    return gradient_flow_batch(loss(), starts(count), TIME, samples=400)


def check(count: int = 128) -> dict[str, Any]:
    """The curvatures at 0, the minima, R at three points, and the share of the directions that ends positional."""
    table = loss()
    ends = flows(count).states[:, -1]
    hessian = table.hessian(0.0, 0.0)
    return {
        "region": region(SCALE, WEIGHT),
        "curvatures": (float(hessian[0, 0]), float(hessian[1, 1])),
        "minima": [(abs(round(x.m, 6)), abs(round(x.eps, 6)), x.value) for x in minima(table)],
        "values": [float(table.value(m, eps)) for m, eps in ((0, 0), (0.5, 0.3), (0.8, 0.5))],
        "positional": float(np.mean(np.abs(ends[:, 1]) > np.abs(ends[:, 0]))),
        "distance": float(np.abs(np.hypot(ends[:, 0], ends[:, 1]) - 1).max()),
    }


def figure(path: str | Path) -> Path:
    """The surface with trajectories: orange ones end at the positional minimum, blue ones at the semantic."""
    from sie_sym.plot import POSITIONAL, SEMANTIC, draw_contours, draw_curvatures, frame_disk, save
    from sie_sym.plots.surface import draw_minima, draw_relief

    def draw() -> Any:
        from matplotlib.figure import Figure

        table = loss()
        drawing = Figure(figsize=(11.4, 5.6), layout="constrained")
        grid = drawing.add_gridspec(1, 2, width_ratios=[1, 1.05])
        axes = drawing.add_subplot(grid[0])
        draw_contours(drawing, axes, table)
        draw_curvatures(axes, table)
        drawn: set[str] = set()
        for path_ in flows(32).states:
            semantic = abs(path_[-1, 0]) > abs(path_[-1, 1])
            name = "flow to the semantic minimum" if semantic else "flow to the positional minimum"
            colour = SEMANTIC if semantic else POSITIONAL[0]
            axes.plot(path_[:, 1], path_[:, 0], color=colour, lw=1.5, zorder=4, label=None if name in drawn else name)
            drawn.add(name)
        draw_minima(axes, minima(table))
        frame_disk(axes, table.statistics)
        draw_relief(drawing.add_subplot(grid[1], projection="3d"), table)
        drawing.suptitle(rf"$a = {SCALE:g}$, $\omega = {WEIGHT:g}$: {region(SCALE, WEIGHT)}")
        drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=1.8)
        return drawing

    return save(draw, path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_5_left.png"))
