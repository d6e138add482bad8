r"""The staircases of the official settings: orders are learnt one after another, as far as the activation has them.

Claim: g = z_1 + z_1 z_2, z_1 + z_1 z_2 + z_1 z_2 z_3 and z_1 prod_l (1 + z_l) have SIE 1: m_1 grows at once, and every
further order is driven by the overlaps learnt before it (dm_2/dt ~ c_2 m_1, dm_3/dt ~ c_3 m_1 m_2), without the
plateau of its own exponent.

What comes out: with relu the third step is missing, because c_3 = E relu(u) He_3(u) = 0: order 3 of g is not in
Lemma 5, m_3 of z_1 + z_1 z_2 + z_1 z_2 z_3 only decays, and z_1 (1 + z_2)(1 + z_3) learns m_2 = m_3 from order 2.  With
relu(u - 1/2), c_3 = varphi(1/2)/2 > 0, the third order follows the second.

Settings: untied network (one overlap a token), d = 1000, lr = gamma = 1.5e-3, start overlap 1/sqrt d in every token,
T = 1.3e6 in the official settings and here 1e7 (t = 15), which shows the later steps; there g has a factor sqrt L.

Measured: 16 replicas, seed 13, `python -m derivations.figure_staircases`: |m_l| passes 0.3 (mean, to 5e4 steps) at
3.0e5 and 1.0e6; 3.5e5, 1.35e6 and never (m_3 ends at 0.033, where it started); with relu(u - 1/2) 5.5e5, 1.75e6 and
5.6e6; for the product 3.5e5 and 1.35e6 twice.  Prop. 2 gives the same recorded steps but one (5.65e6).  The order of
the steps is confirmed, and that relu stops at the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from derivations.figure_frame import command, draw_path
from derivations.figure_runs import RELU, Arrivals, Case, Settings, Tell, ignore, run_case
from sie_sym.functions import relu
from sie_sym.model import ACTIVATION_VARIABLE

SOURCE = "arXiv:2506.02651, official settings (staircases)"
SHIFTED = relu(ACTIVATION_VARIABLE - sp.Rational(1, 2))
LEVEL = 0.3
"""An overlap counts as learnt when its mean over the replicas passes this size."""
CHAINS = (
    ("staircase-2", 2, RELU, "$z_1 + z_1 z_2$, relu$(u)$"),
    ("staircase-3", 3, RELU, "$z_1 + z_1 z_2 + z_1 z_2 z_3$, relu$(u)$"),
    ("staircase-3", 3, SHIFTED, "$z_1 + z_1 z_2 + z_1 z_2 z_3$, relu$(u - 1/2)$"),
    ("staircase", 3, RELU, "$z_1 (1 + z_2)(1 + z_3)$, relu$(u)$: $m_2 = m_3$"),
)
PAPER = Settings((), 1000, 1.5e-3, 16, 13, 10_000_000)
QUICK = Settings((), 40, 0.03, 100, 13, 5000, engine="numpy")


@dataclass(frozen=True, eq=False)
class Chains:
    """The runs of `CHAINS`."""

    runs: tuple[Arrivals, ...]

    def learnt(self, number: int, predicted: bool = False) -> tuple[float, ...]:
        """The first recorded step at which each m_l is past `LEVEL`, inf if none."""
        run = self.runs[number]
        path = run.predicted_path if predicted else run.mean
        return tuple(
            float(run.path_steps[np.argmax(past)]) if past.any() else float("inf") for past in (np.abs(path) >= LEVEL).T
        )


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> Chains:
    """The untied network on every staircase."""
    runs = []
    for number, (target, tokens, activation, name) in enumerate(CHAINS):
        tell(f"{name}: {settings.most} steps")
        case = Case(target, tokens, True, settings.dimension, settings.rate, activation, settings.threshold)
        runs.append(
            run_case(
                case, runs=settings.runs, seed=settings.seed + number, steps=settings.most, engine=settings.engine,
                predicted=float("nan"), record=201,
            )
        )  # fmt: skip
    return Chains(tuple(runs))


def table(result: Chains) -> str:
    """When each overlap is learnt, and where it ends."""
    lines = [f"steps to |mean m_l| = {LEVEL} (Prop. 2), and m_l at the end (Prop. 2)"]
    for number, (run, (*_, name)) in enumerate(zip(result.runs, CHAINS, strict=True)):
        times = ", ".join(
            f"{a:.3g} ({b:.3g})" for a, b in zip(result.learnt(number), result.learnt(number, True), strict=True)
        )
        ends = ", ".join(f"{a:.3f} ({b:.3f})" for a, b in zip(run.mean[-1], run.predicted_path[-1], strict=True))
        lines.append(f"{name}: {times}; {ends}")
    return "\n".join(lines)


def draw(result: Chains) -> Any:
    """The overlaps of every chain."""
    from matplotlib.figure import Figure

    from sie_sym.plot import FAINT, POSITIONAL, SEMANTIC

    figure = Figure(figsize=(9.0, 6.2), layout="constrained")
    for axes, run, (_, tokens, _, name) in zip(figure.subplots(2, 2).flat, result.runs, CHAINS, strict=True):
        for column, colour in zip(range(tokens), (SEMANTIC, *POSITIONAL), strict=False):
            draw_path(axes, run, colour, f"$m_{column + 1}$", column)
        axes.axhline(0, color=FAINT, lw=0.6, zorder=0)
        axes.set(xlabel="step", ylabel="overlap", ylim=(-0.08, 1.04))
        axes.set_title(name, loc="left")
        handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]))
    case = result.runs[0].case
    figure.suptitle(
        rf"untied,  $d = {case.dimension}$,  $\gamma = {case.rate:g}$; dashed: Prop. 2; bands: $\pm$ one deviation, "
        rf"{len(result.runs[0].recovery)} replicas",
        fontsize=11,
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_staircases [--quick] [--output FILE]`."""
    return command("figure_staircases", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
