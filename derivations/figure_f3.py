r"""App. F.3 of arXiv:2506.02651: the alternative target, whose solution moves from semantic to positional smoothly.

Claim: for the target softmax_rows(v v^T), v = z* + omega c, w* = sqrt(1 - omega^2) w_s + omega u, the global minimum
is (m, eps) = (1, omega) for every omega, and what is learned turns from semantic to positional without transition.

Settings (the paper gives none): squared loss, d = 1000, gamma = 0.2, 3e5 steps (t = 60), random starts, 48 independent
replicas at each of 9 omegas; SGD is the reduced chain with the Gram matrix Gamma = [[1, omega], [omega, 1]], the flow
beside it starts where the replicas might.

Measured: seed 23, `python -m derivations.figure_f3` (2 minutes): all 432 replicas and all flows end at +-(1, omega), to
1e-8: the target is the model there, and no noise is left.  Confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from derivations.figure_5_right import MODEL, FloatArray
from derivations.figure_frame import command
from derivations.figure_runs import Tell, ignore
from sie_sym.flow import gradient_flow_batch
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.paper_targets import named_target
from sie_sym.phase_diagram import phase_boundaries
from sie_sym.sgd import SGDSettings, run_sgd
from sie_sym.simulation.fields import fields_of
from sie_sym.simulation.replicas import Engine
from sie_sym.target import Target

SOURCE = "arXiv:2506.02651, App. F.3"


@dataclass(frozen=True)
class Settings:
    """What is run at each omega; `flows` is the number of starts of the flow."""

    dimension: int
    steps: int
    runs: int
    seed: int
    omegas: tuple[float, ...]
    rate: float = 0.2
    flows: int = 8
    engine: Engine = "numba"


PAPER = Settings(1000, 300_000, 48, 23, (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9))
QUICK = Settings(50, 20_000, 64, 23, (0.6,))


@dataclass(frozen=True, eq=False)
class Result:
    """Ends (m, eps), the sign such that m > 0, of replicas (omegas, runs, 2) and of flows (omegas, starts, 2)."""

    settings: Settings
    runs: FloatArray
    flows: FloatArray

    def distance(self, ends: FloatArray) -> FloatArray:
        """|(m, eps) - (1, omega)| at each omega, (omegas, n)."""
        minimum = np.stack([np.ones(len(self.settings.omegas)), self.settings.omegas], axis=-1)
        return np.asarray(np.linalg.norm(ends - minimum[:, None], axis=-1))

    def components(self, ends: FloatArray) -> FloatArray:
        """(<w, w_s>, <w, u>)/d: the parts of w along the semantic direction and the positional one."""
        omega = np.asarray(self.settings.omegas)[:, None]
        m, eps = np.moveaxis(ends, -1, 0)
        return np.stack([(m - omega * eps) / np.sqrt(1 - omega**2), eps], axis=-1)


def target(omega: float) -> Target:
    """softmax_rows(v v^T) at a number omega."""
    return named_target("positional-semantic-smooth").substitute({sp.Symbol("omega", real=True): sp.Float(omega, 17)})


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> Result:
    """SGD and the flow at every omega."""
    runs, flows = [], []
    generator = np.random.default_rng(settings.seed)
    for number, omega in enumerate(settings.omegas):
        tell(f"omega = {omega:g}")
        gram = np.array([[1.0, omega], [omega, 1.0]])
        told = SGDSettings(
            settings.dimension, settings.rate, settings.steps, settings.runs, 1000 * settings.seed + number, record=2,
            block=-(-settings.runs // 2),
        )  # fmt: skip
        result = run_sgd(fields_of(target(omega), MODEL, gram=gram), told, settings.engine, workers=2)
        runs.append(_signed(np.stack([result.m, result.eps[:, 0]], axis=-1)))
        starts = generator.multivariate_normal(np.zeros(2), gram / settings.dimension, settings.flows)
        time = settings.rate * settings.steps / settings.dimension
        ends = gradient_flow_batch(
            tabulated_loss(target(omega), MODEL), starts, time, gram=gram, samples=2, rtol=1e-8
        ).states[:, -1]  # fmt: skip
        flows.append(_signed(ends))
    return Result(settings, np.array(runs), np.array(flows))


def _signed(ends: FloatArray) -> FloatArray:
    """softmax(z z^T) does not see the sign of w: that with m > 0."""
    return np.asarray(ends * np.where(ends[:, :1] < 0, -1.0, 1.0))


def draw(result: Result) -> Any:
    """The overlaps against omega, and what is learned on the quarter circle."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    from sie_sym.plot import FAINT, INK, POSITIONAL, SEMANTIC

    settings = result.settings
    omegas = np.asarray(settings.omegas)
    drawing = Figure(figsize=(10.2, 4.7), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=[1.2, 1])
    line = np.linspace(0, 1, 2)
    left.plot(line, np.ones(2), color=SEMANTIC, lw=1.3, label=r"minimum, $m = 1$")
    left.plot(line, line, color=POSITIONAL[0], lw=1.3, label=r"minimum, $\epsilon = \omega$")
    for column, colour, name in ((0, SEMANTIC, "$m$"), (1, POSITIONAL[0], r"$\epsilon$")):
        middle, spread = result.runs[..., column].mean(axis=1), result.runs[..., column].std(axis=1)
        left.errorbar(omegas, middle, spread, fmt="o", ms=6, color=colour, mfc="white", mew=1.4, capsize=2.5,
                      label=f"SGD, {name}", zorder=3)  # fmt: skip
        left.plot(omegas, np.median(result.flows[..., column], axis=1), "x", ms=5, color=INK, zorder=4,
                  label="flow" if column else None)  # fmt: skip
    swap = float(phase_boundaries(1.0).global_minimum)
    left.plot([0, swap, swap, 1], [0, 0, 1, 1], color=FAINT, ls=":", lw=1.3, zorder=1,
              label=r"$\epsilon$ of section 4's minimum, $a = 1$")  # fmt: skip
    left.set(xlabel=r"$\omega$", ylabel="overlaps with $w_*$ and with $u$", xlim=(-0.02, 1.02), ylim=(-0.05, 1.08))
    left.set_title(
        rf"$d = {settings.dimension}$, $\gamma = {settings.rate:g}$, {settings.steps:,} steps, {settings.runs} runs",
        loc="left",
    )
    right.add_patch(Circle((0, 0), 1, fill=False, color=FAINT, lw=1))
    shown = result.components(result.runs)
    points = right.scatter(
        shown[..., 1].ravel(), shown[..., 0].ravel(), c=np.repeat(omegas, settings.runs), s=26, cmap="viridis",
        edgecolors="white", linewidths=0.4, zorder=3, clip_on=False,
    )  # fmt: skip
    right.set_aspect("equal")
    right.set(xlim=(-0.03, 1.06), ylim=(-0.03, 1.06), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    right.set(xlabel="part of $w$ along $u$ (positional)", ylabel="part of $w$ along $w_s$ (semantic)")
    right.set_title("every run's end", loc="left")
    drawing.colorbar(points, ax=right, shrink=0.8, label=r"$\omega$")
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=1.8)
    return drawing


def table(result: Result) -> str:
    """The ends at each omega."""
    lines = [" omega     m          eps        farthest run, farthest flow from (1, omega)"]
    farthest = result.distance(result.runs).max(axis=1), result.distance(result.flows).max(axis=1)
    for omega, runs, run, flow in zip(result.settings.omegas, result.runs, *farthest, strict=True):
        (m, eps), (m_std, eps_std) = runs.mean(axis=0), runs.std(axis=0)
        lines.append(f"{omega:6.2f} {m:.4f}+-{m_std:.4f} {eps:.4f}+-{eps_std:.4f} {run:.4f} {flow:.1e}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_f3 [--quick] [--output FILE]`."""
    return command("figure_f3", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
