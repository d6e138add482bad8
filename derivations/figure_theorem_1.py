r"""Thm 1 of arXiv:2506.02651 as a figure: the median number of SGD steps to weak recovery against d.

Claim: d for SIE 1, d log d at a constant rate or d log^2 d at the rate c/tau for SIE 2, d^2 for SIE 3.

What comes out: so it does, on the lines of the flow of Prop. 2, in which nothing is fitted.

Settings: those of the page `theorem_1_simulation`; its command draws it too: `--full --figure FILE`, in ten minutes
(the picture kept beside the documentation). Alone, this module draws the quick run of the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.theorem_1_simulation import ETA, SERIES, UNIFORM, Point, Points, quick
from sie_sym.plot import FAINT, INK, SEMANTIC, save
from sie_sym.scaling import HittingTime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "arXiv:2506.02651, Thm 1"
_MARKS = {
    "SIE 1": ("o", "#4b8b3b", r"SIE 1"),
    "SIE 2, constant rate": ("s", SEMANTIC, r"SIE 2, constant $\gamma$"),
    "SIE 2, rate c/tau": ("D", "#a63d8f", r"SIE 2, $\gamma = c/\tau_\eta$"),
    "SIE 2, uniform start": ("v", "#7a6a00", r"SIE 2, constant $\gamma$, uniform start"),
    "SIE 3": ("^", "#d9730d", r"SIE 3"),
}


def figure(path: str | Path, points: Points | None = None) -> Path:
    """Medians with two standard errors over the flow's lines, and n/d against log d for SIE 2."""
    found = quick() if points is None else points

    def draw() -> Any:
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(10.2, 4.8), layout="constrained")
        left, right = drawing.subplots(1, 2, width_ratios=[1.25, 1])
        _draw_steps(left, found)
        _draw_logarithms(right, found)
        return drawing

    return save(draw, path)


def _lines(axes: Axes, found: Points, name: str, divide: bool) -> None:
    series = next(s for s in (*SERIES, UNIFORM) if s.name == name)
    mark, colour, label = _MARKS[name]
    hits = [point.hit for point in found[name]]
    d = np.array([hit.dimension for hit in hits], dtype=float)
    n = np.array([hit.steps for hit in hits]) / (d if divide else 1)
    spread = 2 * np.array([hit.error for hit in hits])
    errors = [n * (1 - np.exp(-spread)), n * (np.exp(spread) - 1)]
    grid = np.geomspace(d[0], d[-1], 20)
    flow = np.array([series.predicted(int(x)) / (x if divide else 1) for x in grid])
    axes.plot(grid, flow, color=colour, lw=1.3, zorder=2)
    style: Any = {"fmt": mark, "ms": 5.5, "mfc": "white", "mec": colour, "ecolor": colour, "mew": 1.4}
    axes.errorbar(d, n, errors, **style, label=label, zorder=3)


def _draw_steps(axes: Axes, found: Points) -> None:
    for name in _MARKS:
        if name in found and "uniform" not in name:
            _lines(axes, found, name, divide=False)
    axes.set(xscale="log", yscale="log", xlabel="$d$", ylabel="median steps to weak recovery, $n$")
    low, high = axes.get_xlim()
    _slope(axes, (1e4, 3e3), 1, 1.3, "$d$")
    _slope(axes, (2e2, 2e6), 2, 0.9, "$d^2$")
    axes.set_xlim(low, high)
    axes.set_title(rf"median step with $|m| \geq {ETA:g}$; lines: the flow of Prop. 2, not fitted", loc="left")
    axes.legend(loc="lower right")


def _slope(axes: Axes, corner: tuple[float, float], power: int, decades: float, label: str) -> None:
    """A straight reference of the given power."""
    x = corner[0] * np.array([1.0, 10**decades])
    y = corner[1] * (x / x[0]) ** power
    axes.plot(x, y, ":", color=INK, lw=1.2)
    axes.annotate(label, (x[0], y[0]), (-3, 0), textcoords="offset points", color=INK, ha="right", va="center")


def _draw_logarithms(axes: Axes, found: Points) -> None:
    for name in _MARKS:
        if name in found and name.startswith("SIE 2"):
            _lines(axes, found, name, divide=True)
    axes.set(xscale="log", xlabel="$d$", ylabel="$n/d$")
    axes.set_ylim(bottom=0)
    axes.set_title(r"SIE 2: $n/d$ is straight in $\log d$ at constant $\gamma$, bent at $c/\tau_\eta$", loc="left")
    axes.grid(axis="y", color=FAINT, alpha=0.25, lw=0.6)
    axes.legend(loc="upper left")


def read(path: str | Path) -> Points:
    """The medians that the page's command wrote with `--json`."""
    stored = json.loads(Path(path).read_text())
    return {
        name: [Point(HittingTime(**point["hit"]), point["predicted"]) for point in points]
        for name, points in stored.items()
    }


if __name__ == "__main__":
    print(figure("figure_theorem_1.png", read(sys.argv[1]) if len(sys.argv) > 1 else None))
