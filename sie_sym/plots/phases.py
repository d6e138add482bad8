r"""The phase diagram of the positional-semantic model (arXiv:2506.02651, Fig. 4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sie_sym.numeric import FloatArray
from sie_sym.phase_diagram import REGIONS, PhaseLabels, phase_boundaries, phase_labels
from sie_sym.plot import FAINT, INK, PATH, require_matplotlib, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blues where the lower minimum is semantic, oranges where it is positional; the two failures stand out by hue.
COLOURS = ("#f0a35e", "#f7cf9f", "#c98bb9", "#7fc7b2", "#9fc3e6", "#4f86c0")
_LINES = {
    "dynamics": ("-", "dynamics: $H_{mm} = H_{\\varepsilon\\varepsilon}$"),
    "semantic_minimum": ("--", "semantic minimum ends"),
    "positional_minimum": (":", "positional minimum in its corner begins"),
    "global_minimum": ("-.", "$R(0, 1) = R(1, 0)$"),
}
SIZE = 200
_TEXT: Any = {"fontsize": 9.5, "color": INK}


def plot_phases(path: str | Path, *, mark: float | None = None) -> Path:
    """Draw the phases over a in [0.7, 1] and omega in [0.4, 1] to `path` (.png, .svg or .pdf).

    `mark` draws a line at one a.  Raises as `plot_flow` does.
    """
    return save(lambda: phases_figure(mark=mark), path)


def phases_figure(
    *, mark: float | None = None, points: tuple[tuple[float, float, str], ...] = (), size: int = SIZE
) -> Figure:
    """The matplotlib figure of `plot_phases`; `points` are (a, omega, name) to be marked."""
    require_matplotlib()
    from matplotlib.figure import Figure

    a, omega = np.linspace(0.7, 1, size), np.linspace(0.4, 1, size)
    figure = Figure(figsize=(8.2, 6.2), layout="constrained")
    axes = figure.add_subplot()
    draw_phases(axes, a, omega, phase_labels(a, omega))
    _draw_boundaries(axes, a)
    for x, y, name in points:
        axes.plot(x, y, "o", ms=7, color=PATH, mec="white", mew=1.2, zorder=6, clip_on=False)
        offset, side = ((-10, -4), "right") if x > 0.9 else ((4, -18), "left")
        axes.annotate(name, (x, y), offset, textcoords="offset points", ha=side, bbox=_halo(), zorder=7, **_TEXT)
    if mark is not None and 0.7 <= mark <= 1:
        axes.axvline(mark, color=PATH, lw=1.2, zorder=4)
        axes.annotate(f"$a = {mark:g}$", (mark, 0.4), (-4, 6), textcoords="offset points", ha="right", color=PATH)
    axes.set(xlabel="$a$  (positional scale)", ylabel=r"$\omega$  (positional weight)", xlim=(0.7, 1), ylim=(0.4, 1))
    axes.set_title("Positional-semantic attention: minima of $R$ and the dynamics from the start", loc="left")
    figure.legend(loc="outside lower center", ncols=2, handlelength=2.6, columnspacing=2.0)
    return figure


def _halo() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75}


def draw_phases(axes: Axes, a: FloatArray, omega: FloatArray, found: PhaseLabels) -> None:
    """The regions in colour, each with its name where it is widest."""
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(COLOURS)
    axes.pcolormesh(a, omega, found.labels.T, cmap=colours, vmin=-0.5, vmax=5.5, shading="nearest", rasterized=True)
    for label, name in enumerate(REGIONS):
        mask = found.labels == label
        place = _widest(mask)
        if place is None:
            continue
        i, j, width = place
        box = {"boxstyle": "round,pad=0.2", "fc": COLOURS[label], "ec": "none"}
        if width > 0.12 and len(name) < 20:
            axes.annotate(name, (a[i], omega[j]), ha="center", va="center", bbox=box, zorder=5, **_TEXT)
        elif mask.any(axis=1).sum() > 0.5 * len(a):
            _along_band(axes, a, omega, mask, name)
        else:  # too narrow for its name
            text = name.replace(", ", ",\n")
            where = (float(a[i]) + 0.015, float(omega[j]) - 0.15)
            line = {"arrowstyle": "-", "color": INK, "lw": 0.7}
            axes.annotate(
                text,
                (a[i], omega[j]),
                where,
                ha="center",
                va="center",
                arrowprops=line,
                bbox=_halo(),
                zorder=5,
                **_TEXT,
            )


def _along_band(axes: Axes, a: FloatArray, omega: FloatArray, mask: Any, name: str) -> None:
    """A name that follows a long region, where it is wide."""
    columns = np.flatnonzero(mask.any(axis=1))
    middle = np.array([omega[mask[i]].mean() for i in columns])
    n = int(0.75 * len(columns))
    reach = max(1, len(columns) // 8)
    before, after = max(0, n - reach), min(len(columns) - 1, n + reach)
    slope = (middle[after] - middle[before]) / (a[columns[after]] - a[columns[before]])
    axes.text(
        a[columns[n]], middle[n], name, rotation=float(np.degrees(np.arctan(slope))), transform_rotates_text=True,
        rotation_mode="anchor", ha="center", va="center", zorder=5, **_TEXT,
    )  # fmt: skip


def _widest(mask: Any) -> tuple[int, int, float] | None:
    """The middle of a region (the centre of its largest inscribed square) and that square's side, in grid units."""
    from scipy.ndimage import distance_transform_cdt

    if not mask.any():
        return None
    depth = distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    i, j = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(i), int(j), float(2 * depth[i, j] / max(mask.shape))


def _draw_boundaries(axes: Axes, a: FloatArray) -> None:
    fine = np.linspace(a[0], a[-1], 241)
    found = [phase_boundaries(float(x)) for x in fine]
    for name, (style, text) in _LINES.items():
        axes.plot(fine, [float(getattr(b, name)) for b in found], style, color=INK, lw=1.5, label=text, zorder=3)
    axes.grid(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
        axes.spines[side].set_color(FAINT)


__all__ = ["COLOURS", "draw_phases", "phases_figure", "plot_phases"]
