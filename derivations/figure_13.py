r"""Fig. 13 of arXiv:2506.02651: SGD goes positional, lingers where there is no minimum, and ends semantic.

Claim: at a = 0.76 (a^2 = 0.5776) and omega = 0.95, "unique semantic, misaligned dynamics", SGD starts positional,
lingers near (eps, m) = (1, 0) and turns to the semantic minimum.

Settings: d = 1000, lr = gamma = 0.05, 1e8 steps (t = 5000), the unsquared loss |t - s|_F (lr = gamma, see
`figure_5_right`); 8 independent replicas from random starts (the official configuration has 5 data seeds x 4 starts).
Over them: the flow of the unsquared loss at the same rate, with its noise V, from the same starts; nothing fitted.
`figure_13_flow` has the flow of the squared loss without noise.

Measured: seed 13, `python -m derivations.figure_13` (4 minutes of one core, no cap needed): of 8 runs 7 have
|eps| > 1/2 first, turn (|m| = |eps|) at t = 195, 218, 495, 668, 738, 842, 930 and end at |m| = 0.961 (flow 0.962,
which the finite rate keeps below 1); the eighth starts semantic.  Turning times of the flow: 662 to 2102 from the same
starts; 365, 700, 1192 (10, 50, 90%) from Gaussian starts that hold the noise.  The runs linger at |eps| = 0.72, the
saddle of the flow at this rate (0.789 at rate 0, 0.876 for the squared loss), not at (1, 0).  Confirmed, but for where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from derivations.figure_5_left import target
from derivations.figure_5_right import MODEL, FloatArray, fields, loss, start_scales
from derivations.figure_13_flow import SCALE, WEIGHT
from derivations.figure_frame import command
from derivations.figure_runs import Tell, ignore
from sie_sym.flow import gradient_flow_batch
from sie_sym.frobenius_loss import frobenius_noise
from sie_sym.numerical_noise import NumericalNoise
from sie_sym.sgd import SGDSettings, run_sgd
from sie_sym.simulation.replicas import Engine

SOURCE = "arXiv:2506.02651, Fig. 13"
A, OMEGA = float(SCALE), float(WEIGHT)


@dataclass(frozen=True)
class Settings:
    """What is run; `drawn` starts give the predicted distribution of turning times."""

    dimension: int
    steps: int
    runs: int
    seed: int
    rate: float = 0.05
    record: int = 2001
    drawn: int = 96
    engine: Engine = "numba"


PAPER = Settings(1000, 100_000_000, 8, 13)
QUICK = Settings(100, 2_400_000, 3, 13, record=601, drawn=24)


@dataclass(frozen=True, eq=False)
class Result:
    """Overlaps of each run, and of the flow from its start, (runs, T, 2), columns (m, eps), at times `t` (T,).

    `saddles` are the places on the axis m = 0 where the flow of the unsquared loss rests, at rate 0 and at that of the
    runs; `drawn_turns` the turning times of the flow from Gaussian starts that hold the noise of the run.
    """

    settings: Settings
    t: FloatArray
    runs: FloatArray
    flows: FloatArray
    saddles: tuple[float, float]
    drawn_turns: FloatArray

    def turns(self, paths: FloatArray) -> FloatArray:
        """When |m| first exceeds |eps| after |eps| > 1/2: inf if never; nan for a path that was never positional."""
        return turning_times(self.t, paths)


def turning_times(t: FloatArray, paths: FloatArray) -> FloatArray:
    """The first time with |m| > |eps| once |eps| has exceeded 1/2, (runs,); inf without, nan if |eps| never did."""
    m, eps = np.abs(np.moveaxis(paths, -1, 0))
    was = np.maximum.accumulate(eps > 0.5, axis=1)
    turned = was & (m > eps)
    found = np.where(turned.any(axis=1), t[turned.argmax(axis=1)], np.inf)
    return np.where(was.any(axis=1), found, np.nan)


def rest(noise: NumericalNoise | None, rate: float) -> float:
    """eps > 0 on the axis m = 0 where -(1 - eps^2) R_eps - (rate/2) V eps = 0."""
    table = loss(A, OMEGA)

    def drift(eps: float) -> float:
        pull = (1 - eps * eps) * float(table.gradient(0.0, eps)[1])
        return pull if noise is None else pull + rate / 2 * float(noise.value(0.0, eps)) * eps

    return float(brentq(drift, 0.3, 0.99))


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> Result:
    """One run after another, and the flows."""
    paths = []
    for run in range(settings.runs):
        tell(f"run {run + 1} of {settings.runs}")
        told = SGDSettings(
            settings.dimension, settings.rate, settings.steps, 1, 1000 * settings.seed + run, loss="frobenius",
            record=settings.record,
        )  # fmt: skip
        result = run_sgd(fields(A, OMEGA), told, settings.engine)
        paths.append(np.stack([result.m_mean, result.eps_mean[:, 0]], axis=-1))
    runs, t = np.array(paths), result.time
    tell("flows")
    noise = frobenius_noise(target(A, OMEGA), MODEL, order=24)

    def flow(starts: FloatArray) -> FloatArray:
        return gradient_flow_batch(
            loss(A, OMEGA), starts, float(t[-1]), rate=settings.rate, variance=noise.value, samples=len(t), rtol=1e-6
        ).states

    scales = start_scales(A, OMEGA, settings.rate, settings.dimension, float(t[-1]), "random")
    normals = np.random.default_rng(settings.seed).standard_normal((settings.drawn, 2))
    drawn = normals * scales / np.sqrt(settings.dimension)
    return Result(
        settings, t, runs, flow(runs[:, 0]), (rest(None, 0.0), rest(noise, settings.rate)),
        turning_times(t, flow(drawn)),
    )  # fmt: skip


def draw(result: Result) -> Any:
    """The overlaps of the median run over its flow, those of the others, and all of them on the disk."""
    from matplotlib.figure import Figure

    from sie_sym.plot import FAINT, INK, POSITIONAL, SEMANTIC, draw_contours, frame_disk

    drawing = Figure(figsize=(11.0, 4.9), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=[1.35, 1])
    steps = result.t * result.settings.dimension / result.settings.rate
    turns = result.turns(result.runs)
    shown = int(np.argsort(np.where(np.isnan(turns), np.inf, turns))[(np.isfinite(turns).sum() - 1) // 2])
    for run, path in enumerate(result.runs):
        chosen = run == shown
        for column, colour, name in ((1, POSITIONAL[0], r"$|\epsilon|$"), (0, SEMANTIC, "$|m|$")):
            label = f"SGD, {name}" if chosen else None
            size, shade = (1.4, 1.0) if chosen else (0.6, 0.25)
            values = np.abs(path[:, column])
            left.plot(steps, values, color=colour, lw=size, alpha=shade, label=label, zorder=2 + chosen)
    for column, label in ((0, "flow from the same start"), (1, None)):
        left.plot(steps, np.abs(result.flows[shown, :, column]), "--", color=INK, lw=1.2, label=label, zorder=4)
    left.axhline(result.saddles[1], color=FAINT, lw=0.8, ls=":", label="saddle of the flow at this rate")
    shares = turns / result.t[-1]
    last = float(np.max(shares, where=np.isfinite(shares), initial=0.0)) or 1.0
    left.set(xlabel="step", ylabel="overlaps", ylim=(-0.02, 1.05), xlim=(0, min(2 * last, 1.0) * steps[-1]))
    left.set_title(
        rf"$a = {A:g}$, $\omega = {OMEGA:g}$, $d = {result.settings.dimension}$, $\gamma = {result.settings.rate:g}$; "
        f"run to {steps[-1]:.1e} steps", loc="left",
    )  # fmt: skip
    draw_contours(drawing, right, loss(A, OMEGA))
    for path in np.abs(result.runs):
        right.plot(path[:, 1], path[:, 0], color=POSITIONAL[1], lw=0.7, alpha=0.8, zorder=4)
    right.plot(*np.abs(result.flows[shown, :, ::-1]).T, "--", color=INK, lw=1.4, zorder=5)
    right.plot(result.saddles[1], 0, "x", color=INK, ms=8, mew=2, zorder=6)
    frame_disk(right, loss(A, OMEGA).statistics)
    right.set(xlim=(-0.03, 1.06), ylim=(-0.03, 1.06), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    right.set_title(r"$|m|$ against $|\epsilon|$; contours of $E\,|t - s|_F$", loc="left")
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=2)
    return drawing


def table(result: Result) -> str:
    """Turning times, saddles and ends."""
    drawn = result.drawn_turns[~np.isnan(result.drawn_turns)]
    early, middle, late = np.quantile(drawn, [0.1, 0.5, 0.9], method="nearest")
    lines = [
        "saddle on the axis m = 0 at eps = {:.4f}, at the rate of the runs {:.4f}".format(*result.saddles),
        f"turning time of the flow from starts with noise: 10, 50, 90% at t = {early:.0f}, {middle:.0f}, {late:.0f} "
        f"({len(drawn)} of {len(result.drawn_turns)} positional first)",
        " run   |eps| at most   turns at t   flow turns at t   end |m|  |eps|   flow's end |m|",
    ]
    found, law = result.turns(result.runs), result.turns(result.flows)
    for run, (path, flow) in enumerate(zip(np.abs(result.runs), np.abs(result.flows), strict=True)):
        lines.append(
            f"{run:4d} {path[:, 1].max():14.3f} {found[run]:12.0f} {law[run]:15.0f} {path[-1, 0]:10.3f} "
            f"{path[-1, 1]:6.3f} {flow[-1, 0]:15.3f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_13 [--quick] [--output FILE]`."""
    return command("figure_13", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
