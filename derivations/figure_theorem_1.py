r"""Thm 1 of arXiv:2506.02651 as a figure: the median number of SGD steps to weak recovery against d.

Claim: d for SIE 1, d log d at a constant rate or d log^2 d at the rate c/tau for SIE 2, d^2 for SIE 3.

What comes out: so it does, on the lines of the flow of Prop. 2, in which nothing is fitted.

Settings: those of the page `theorem_1_simulation`, at d up to 1e7.

Measured: seed 1, numba, `python -m derivations.figure_theorem_1`, at most 10 minutes (on two cores shared with other
work: d log^2 d ends at 1e5 and SIE 3 at 1778 for that reason):

    series                        d  replicas      median n   +- %    flow's n
    SIE 1                       100       512           222   1.05      224.85
    SIE 1                       316       512           846   0.40      842.81
    SIE 1                      1000       512        2934.5   0.29      2917.4
    SIE 1                      3162       512        9700.5   0.13      9684.3
    SIE 1                     10000       512         31456   0.08       31460
    SIE 1                     31623       512    1.0094e+05   0.05  1.0098e+05
    SIE 1                    100000       256    3.2185e+05   0.03    3.22e+05
    SIE 1                    316228       128    1.0234e+06   0.03   1.023e+06
    SIE 1                   1000000        32     3.243e+06   0.03  3.2435e+06
    SIE 1                   3162278        32    1.0272e+07   0.02  1.0272e+07
    SIE 1                  10000000        32     3.251e+07   0.01   3.251e+07
    SIE 2, constant rate        100       512        2005.5   1.06      2017.1
    SIE 2, constant rate        316       512          8323   1.05        8475
    SIE 2, constant rate       1000       512         33151   0.66       33448
    SIE 2, constant rate       3162       512    1.2658e+05   0.65  1.2668e+05
    SIE 2, constant rate      10000       256    4.6542e+05   0.74  4.6676e+05
    SIE 2, constant rate      31623        64    1.6773e+06   1.01  1.6851e+06
    SIE 2, constant rate     100000        32    6.0465e+06   1.75  5.9899e+06
    SIE 2, constant rate     316228        32    2.0901e+07   1.54  2.1032e+07
    SIE 2, rate c/tau           100       512        1399.5   1.49      1401.7
    SIE 2, rate c/tau           316       512          7394   0.98      7512.2
    SIE 2, rate c/tau          1000       512         35914   0.72       36114
    SIE 2, rate c/tau          3162       512    1.6165e+05   0.42  1.6135e+05
    SIE 2, rate c/tau         10000       128    6.8134e+05   0.75   6.853e+05
    SIE 2, rate c/tau         31623        32    2.8111e+06   1.39  2.8024e+06
    SIE 2, rate c/tau        100000        32     1.124e+07   0.80   1.113e+07
    SIE 3                       100       512         63134   2.31       60914
    SIE 3                       178       512    2.1353e+05   1.74  2.1085e+05
    SIE 3                       316       128    7.1132e+05   3.29  7.0718e+05
    SIE 3                       562        32    2.4721e+06  10.55  2.3394e+06
    SIE 3                      1000        32    7.8383e+06  11.02  7.6524e+06
    SIE 3                      1778        32    2.6334e+07   5.36  2.4776e+07
    SIE 2, uniform start        100       512        2507.5   2.33      2472.7
    SIE 2, uniform start        316       512        9909.5   2.01      9907.5
    SIE 2, uniform start       1000       512         37923   1.36       37974
    SIE 2, uniform start       3162       512    1.4111e+05   1.22  1.4098e+05
    SIE 2, uniform start      10000       256    5.1643e+05   1.15  5.1199e+05
    SIE 2, uniform start      31623        64    1.7528e+06   4.63  1.8281e+06
    SIE 2, uniform start     100000        32    6.1065e+06   3.73  6.4421e+06

Fits to these (A is fitted; offsets are those of the gradient flow; "flow": the same fit to the last column):

    SIE 1             A d^q (1 - 1.82/sqrt d)^2     q = 0.9997 +- 0.00005   flow 0.9997
    SIE 2, constant   A d (log d - 1.099)^p         p = 1.009  +- 0.011     flow 0.999
    SIE 2, c/tau      A d (log d - 1.099)^p         p = 1.930  +- 0.011     flow 1.912 (2 as gamma -> 0)
    SIE 2, uniform    A d (log d - 0.311)^p         p = 0.981  +- 0.028     flow 0.998
    SIE 3             A d^q (1 - 1.451/sqrt d)^2    q = 2.007  +- 0.018     flow 2.003

    two parameters, AIC:   A d (log d + b)   A d (log d + b)^2   A d^q
    SIE 2, constant               6.1               85.8          335.8
    SIE 2, c/tau                992.1                7.5          847.4
    SIE 2, uniform                7.4               16.1           38.3
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figure_frame import command
from derivations.figure_theorem_1_runs import (
    ETA,
    PAPER,
    QUICK,
    SERIES,
    UNIFORM,
    Points,
    exponent,
    rivals,
    row,
    simulate,
)
from sie_sym.plot import FAINT, INK, SEMANTIC

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


def draw(found: Points) -> Any:
    """Medians with two standard errors over the flow's lines, and n/d against log d for SIE 2."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10.2, 4.8), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=[1.25, 1])
    _draw_steps(left, found)
    _draw_logarithms(right, found)
    return drawing


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


def table(points: Points) -> str:
    """The medians, and the fits to them."""
    lines = [
        f"{'series':21} {'d':>9} {'gamma':>9} {'runs':>5} {'recov.':>6} {'median n':>12} {'+-log n':>7} {'flow':>12} "
        f"{'ratio':>7}"
    ]
    lines += [row(name, point) for name, found in points.items() for point in found]
    for series in (*SERIES, UNIFORM):
        if len(points.get(series.name, ())) > 3:
            fits = [*exponent(series, points[series.name]), *(rivals(points[series.name]) if series.sie == 2 else ())]
            labels = ("", "flow: ", *[""] * 3)
            lines += ["", series.name, *(f"  {label}{found}" for label, found in zip(labels, fits, strict=False))]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_theorem_1 [--quick] [--output FILE]`."""
    return command("figure_theorem_1", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
