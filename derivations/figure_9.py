r"""Fig. 9 of arXiv:2506.02651: at L times the rate of the tied network the untied one stops recovering.

Claim: g = sum_l z_l / sqrt L, relu, rates gamma tied and L gamma untied.  The noise of Prop. 2, -(L gamma/2) (V/L) m,
does not shrink with L while the drift 1/L does: |m_vec|/sqrt L stops where (1 - m^2)/L = (gamma/2) V(m) m, V = 4 - 4 m,
which is below the threshold from some L on, and the gain diverges there.

Settings: d = 3000, lr = gamma = 0.05 tied and 0.05 L untied, start overlap 1/sqrt d, threshold 2/sqrt(1000), L = 1, 10,
20, .., 200; every run has 3e4 steps (T = 1e4 in the official settings, too short to tell slow from never).

Measured: 24 replicas, seed 9, `python -m derivations.figure_9`: gain 1.01 +- 0.01 at L = 1, 1.63 +- 0.02 at 100,
2.63 +- 0.06 at 150, 4.30 +- 0.15 at 170; from L = 180 on fewer than half recover (0.29 at 180, none at 190 and 200).
Prop. 2 diverges at L = (1 + m)/(2 gamma m) = 168, m the threshold: SGD goes on to 170 because |m_vec|/sqrt L also has
the 1/d of its fluctuations, with which its end agrees (0.0557 at L = 200, Prop. 2 0.0526, with 1/d 0.0557).  Confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from derivations.figure_frame import command, draw_gain
from derivations.figure_runs import FloatArray, GainCurve, Settings, Tell, ignore, run_all

SOURCE = "arXiv:2506.02651, Fig. 9"
PAPER = Settings((1, *range(10, 201, 10)), 3000, 0.05, 24, 9, 30_000, least=30_000)
QUICK = Settings((1, 3, 40), 250, 0.4, 100, 9, 1500, least=1500, threshold=2 / 250**0.5, engine="numpy")


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> GainCurve:
    """The tied network at one rate, the untied one at L times that rate."""
    tied = [settings.case("mean", L, False) for L in settings.tokens]
    untied = [settings.case("mean", L, True, settings.rate * L) for L in settings.tokens]
    brief = replace(settings, least=0)
    return GainCurve("gamma and L gamma", run_all(tied, brief, tell), run_all(untied, settings, tell, 50))


def plateau(result: GainCurve) -> FloatArray:
    """Rows: L, the |m_vec|/sqrt L at which the untied networks end, and Prop. 2's, with 1/d for its L directions."""
    ends = [(untied.length[-1], untied.predicted_length[-1]) for untied in result.slower]
    return np.column_stack((result.tokens, np.array(ends)))


def table(result: GainCurve) -> str:
    """Gains, ends and the fraction of untied replicas that recovered."""
    lines = [result.table(power=False), "   L   |m_vec|/sqrt L at the end (Prop. 2), recovered"]
    for (L, end, predicted), untied in zip(plateau(result), result.slower, strict=True):
        lines.append(f"{L:4.0f} {end:.4f} ({predicted:.4f}) {untied.recovered:.2f}")
    return "\n".join(lines)


def draw(result: GainCurve) -> Any:
    """Where the untied overlaps end, and the gain."""
    from matplotlib.figure import Figure

    from sie_sym.plot import FAINT, POSITIONAL, SEMANTIC

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    case = result.faster[0].case
    tokens, ends, predicted = plateau(result).T
    left.plot(tokens, predicted, color=POSITIONAL[0], lw=1.4, label="Prop. 2")
    noisy = np.sqrt(predicted**2 + 1 / case.dimension)
    left.plot(tokens, noisy, color=POSITIONAL[0], lw=1.2, ls=":", label="Prop. 2, and $1/d$ of noise")
    left.plot(tokens, ends, "o", ms=5, color=POSITIONAL[0], mfc="white", mew=1.4, label="SGD, at the end")
    left.axhline(case.threshold, color=FAINT, lw=0.8, ls="--", label="weak recovery")
    left.set(xlabel="$L$ (tokens)", ylabel=r"$|m_{\mathrm{vec}}|/\sqrt{L}$, untied", yscale="log")
    left.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    left.minorticks_off()
    left.legend(loc="upper right")
    draw_gain(right, result, SEMANTIC, f"SGD, {len(result.faster[0].recovery)} replicas")
    right.set(xlabel="$L$ (tokens)", ylabel="gain (ratio of steps)")
    right.set_xlim(0, 1.03 * tokens[-1])
    right.set_ylim(0, 1.1 * result.gain[np.isfinite(result.gain)].max())
    never = [untied.case.tokens for untied in result.slower if not np.isfinite(untied.median)]
    if never:
        right.axvspan(min(never), 1.03 * tokens[-1], color=FAINT, alpha=0.2, lw=0)
        right.set_title(f"grey: fewer than half recover, from $L = {min(never)}$ on", loc="left")
    right.legend(loc="upper left")
    figure.suptitle(
        rf"$g = \sum_\ell z_\ell/\sqrt{{L}}$,  relu,  $d = {case.dimension}$,  $\gamma = {case.rate:g}$ tied, "
        rf"${case.rate:g}\,L$ untied,  ${result.slower[0].steps}$ steps",
        fontsize=11,
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_9 [--quick] [--output FILE]`."""
    return command("figure_9", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
