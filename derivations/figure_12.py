r"""Fig. 12 of arXiv:2506.02651: Fig. 5 (right) at d = 100, and how the transition sharpens with d.

Claim: at d = 100 the fraction of runs that end semantic falls more smoothly than at larger d.

Settings: a = 1, d = 100, lr = gamma = 0.05, 3e5 steps (t = 150: the runs are at rest), 41 omegas, 25 independent
replicas each, random starts; the rest as in `figure_5_right`.  Widths: P = Phi((centre - omega)/width) fitted to runs
at equal t = 60 (1200 d steps) for d = 30, 100, 300 and 1000 at 12 omegas; the prediction reaches to d = 1e6.

Why: near 0 the overlaps grow at rates lambda_m and lambda_eps, so that |m/eps| is multiplied by
d^{(lambda_m - lambda_eps)/(2 lambda)} until they are of order one: 1/width is linear in log d.

Measured: seeds 120 to 124, `python -m derivations.figure_12` (6 minutes of two cores, no cap needed).  The paper's
runs: half semantic at omega = 0.658 +- 0.004 (flow 0.661), width 0.049 +- 0.004 (0.046).  At equal t = 60 the width is
0.058 +- 0.002, 0.051 +- 0.002, 0.047 +- 0.003, 0.043 +- 0.003 for d = 30, 100, 300, 1000 (flow 0.057, 0.049, 0.043,
0.038), and the half point moves from 0.665 to 0.651 +- 0.003.  Confirmed at equal t.  At the equal 3e5 steps of
Figs. 5 and 12 it is the other way round: d = 1000 (t = 15) has width 0.100 +- 0.004, twice that of d = 100 (t = 150).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.figure_5_right import (
    FloatArray,
    Runs,
    Settings,
    Transition,
    draw_boundaries,
    draw_transition,
    probit_fit,
    semantic_probability,
)
from derivations.figure_5_right import simulate as simulate_series
from derivations.figure_frame import command
from derivations.figure_runs import Tell, ignore

SOURCE = "arXiv:2506.02651, Fig. 12"
WIDTHS = (0.5, 0.54, 0.58, 0.6, 0.62, 0.64, 0.66, 0.68, 0.7, 0.72, 0.76, 0.8)
QUICK_WIDTHS = (0.58, 0.7)


@dataclass(frozen=True)
class Sharpening:
    """The series of one figure, the first of which is drawn against omega, and the d of the predicted widths."""

    runs: Settings
    dimensions: tuple[int, ...]
    omegas: tuple[float, ...]
    time: float


PAPER = Sharpening(
    Settings(
        (
            Runs(100, 300_000, 25, 120),
            Runs(30, 36_000, 256, 121, WIDTHS),
            Runs(100, 120_000, 256, 122, WIDTHS),
            Runs(300, 360_000, 64, 123, WIDTHS),
            Runs(1000, 1_200_000, 64, 124, WIDTHS),
        )
    ),
    (30, 100, 300, 1000, 10_000, 100_000, 1_000_000),
    WIDTHS,
    150.0,
)
QUICK = Sharpening(
    Settings((Runs(100, 80_000, 25, 120, QUICK_WIDTHS), Runs(10, 8_000, 1000, 121, QUICK_WIDTHS),
              Runs(100, 80_000, 256, 122, QUICK_WIDTHS))),
    (10, 1000),
    QUICK_WIDTHS,
    40.0,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Result:
    """The transitions, the first as in the paper, and the widths that the flow predicts at some d."""

    series: tuple[Transition, ...]
    dimensions: tuple[int, ...]
    widths: FloatArray

    def measured(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """d, width and its standard error of the runs at equal t."""
        fits = [found.fit() for found in self.series[1:]]
        dimensions = [found.runs.dimension for found in self.series[1:]]
        return np.array(dimensions, float), np.array([f[0][1] for f in fits]), np.array([f[1][1] for f in fits])


def simulate(settings: Sharpening = PAPER, tell: Tell = ignore) -> Result:
    """All series, then the predicted widths."""
    series = simulate_series(settings.runs, tell)
    scale, rate = settings.runs.scale, settings.runs.rate
    widths = []
    for d in settings.dimensions:
        tell(f"predicted width at d = {d}")
        shares = [semantic_probability(scale, omega, rate, d, settings.time, "random") for omega in settings.omegas]
        widths.append(probit_fit(settings.omegas, np.array(shares), 64)[0][1])
    return Result(series, settings.dimensions, np.array(widths))


def draw(result: Result) -> Any:
    """The paper's runs beside the largest d, and 1/width against d."""
    from matplotlib.figure import Figure

    from sie_sym.plot import INK, POSITIONAL, SEMANTIC

    drawing = Figure(figsize=(10.2, 5.0), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=[1.35, 1])
    first, *_, last = result.series
    for found, colour, marker in ((first, POSITIONAL[0], "s"), (last, SEMANTIC, "o")):
        runs = found.runs
        label = rf"SGD, $d = {runs.dimension}$, $t = {found.time:g}$, {runs.runs} runs a point"
        draw_transition(left, found, colour, label, marker)
    draw_boundaries(left, 1.0)
    left.set_title(r"$a = 1$, $\gamma = 0.05$, random starts; lines: flow, no fit", loc="left")
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=2.2)
    dimensions, widths, errors = result.measured()
    right.plot(result.dimensions, 1 / result.widths, color=INK, lw=1.4, label="flow at rest, no fit", zorder=2)
    laws = [1 / found.predicted_fit()[1] for found in result.series[1:]]
    right.plot(dimensions, laws, "--", color=INK, lw=1.2, label=f"flow at $t = {last.time:g}$", zorder=2)
    right.errorbar(
        dimensions, 1 / widths, errors / widths**2, fmt="o", ms=5, color=SEMANTIC, mfc="white", mew=1.3, capsize=2,
        label=f"SGD at $t = {last.time:g}$", zorder=3,
    )  # fmt: skip
    right.set(xscale="log", xlabel="$d$", ylabel="sharpness, 1/width in $\\omega$", ylim=(0, None))
    right.set_title("the transition sharpens like $\\log d$", loc="left")
    right.legend(loc="upper left")
    return drawing


def table(result: Result) -> str:
    """The numbers of every series and the widths."""
    predicted = ", ".join(f"{d:g}: {width:.4f}" for d, width in zip(result.dimensions, result.widths, strict=True))
    measured = ", ".join("{:g}: {:.4f} +- {:.4f}".format(*row) for row in zip(*result.measured(), strict=True))
    return "\n".join([*map(str, result.series), f"width by d, predicted at rest: {predicted}", f"measured: {measured}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_12 [--quick] [--output FILE]`."""
    return command("figure_12", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
