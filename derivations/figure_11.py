r"""Fig. 11 of arXiv:2506.02651: targets that a tied network never learns, g = z_1 - z_2 and (z_1^2 - z_2^2)/sqrt 2.

Claim: S_s = <C_s, 1^{(x) s}> = 0, so that the tied network has no drift but that of its noise, -(gamma/2) V m, and
stays at m = O(1/sqrt d), while the untied one learns the two tokens (App. E.4): z_1 - z_2 with overlaps of opposite
signs; of (z_1^2 - z_2^2)/sqrt 2 relu (c_2 > 0) lets m_1 grow and takes m_2 to 0.

Settings: relu, d = 1000, lr = gamma = 0.005, start overlap 1/sqrt d in every token, threshold 2/sqrt(1000); z_1 - z_2
with L = 2, 5, 10 and T = 1e5, the squares with L = 2 and T = 1e6 (at T = 1e5 their overlap has grown by a third only).

Measured: 48 replicas, seeds 11 and 12, `python -m derivations.figure_11`: from m = 0.0326 the tied overlap ends at
0.031, 0.031, 0.033 +- 0.0005 (L = 2, 5, 10; Prop. 2: 0.0324) and 0.030 +- 0.002 for the squares (0.0303), none and 4%
of the replicas ever past the threshold, the latter a fluctuation; untied (m_1, m_2) ends at (0.368, -0.310),
(0.250, -0.188), (0.188, -0.125) and (0.459, 0.004), all recovered, within 2% of Prop. 2 for m_1.  Confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derivations.figure_frame import command, draw_path
from derivations.figure_runs import Arrivals, Settings, Tell, ignore, run_all

SOURCE = "arXiv:2506.02651, Fig. 11"


@dataclass(frozen=True)
class Pathologies:
    """Settings of z_1 - z_2 and of the difference of squares; every run has `most` steps."""

    difference: Settings
    squares: Settings


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Tied and untied runs at each L, of z_1 - z_2 and of the difference of squares."""

    difference: tuple[tuple[Arrivals, Arrivals], ...]
    squares: tuple[tuple[Arrivals, Arrivals], ...]


PAPER = Pathologies(
    Settings((2, 5, 10), 1000, 5e-3, 48, 11, 100_000, least=100_000),
    Settings((2,), 1000, 5e-3, 48, 12, 1_000_000, least=1_000_000),
)
QUICK = Pathologies(
    Settings((2, 5), 100, 0.02, 100, 11, 3000, least=3000, threshold=0.2, engine="numpy"),
    Settings((2,), 100, 0.02, 100, 12, 8000, least=8000, threshold=0.2, engine="numpy"),
)


def simulate(settings: Pathologies = PAPER, tell: Tell = ignore) -> Outcomes:
    """Both targets, both networks."""

    def both(target: str, chosen: Settings) -> tuple[tuple[Arrivals, Arrivals], ...]:
        sides = [
            run_all([chosen.case(target, L, untied) for L in chosen.tokens], chosen, tell, 50 * untied)
            for untied in (False, True)
        ]
        return tuple(zip(*sides, strict=True))

    return Outcomes(both("difference", settings.difference), both("square-difference", settings.squares))


def table(result: Outcomes) -> str:
    """The overlaps at the end."""
    lines = ["target, L: tied m (Prop. 2), recovered; untied m_1, m_2 (Prop. 2), recovered"]
    for tied, untied in (*result.difference, *result.squares):
        ends = ", ".join(f"{untied.mean[-1, l]:.4f} ({untied.predicted_path[-1, l]:.4f})" for l in (0, 1))
        lines.append(
            f"{tied.case.target}, {tied.case.tokens}: {tied.mean[-1]:.4f} +- {tied.deviation[-1]:.4f} "
            f"({tied.predicted_path[-1]:.4f}), {tied.recovered:.2f}; {ends}, {untied.recovered:.2f}"
        )
    return "\n".join(lines)


def draw(result: Outcomes) -> Any:
    """The overlaps along the steps."""
    from matplotlib.figure import Figure

    from sie_sym.plot import FAINT, POSITIONAL, SEMANTIC

    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    panels = zip(
        figure.subplots(1, 2), (result.difference, result.squares),
        ("$g = z_1 - z_2$", r"$g = (z_1^2 - z_2^2)/\sqrt{2}$"), strict=True,
    )  # fmt: skip
    for axes, runs, name in panels:
        for (tied, untied), alpha in zip(runs, (1.0, 0.55, 0.3), strict=False):
            for arrivals, colour, label, column in (
                (untied, POSITIONAL[0], "untied $m_1$", 0),
                (untied, POSITIONAL[1], "untied $m_2$", 1),
                (tied, SEMANTIC, "tied $m$", None),
            ):
                draw_path(axes, arrivals, colour, label if alpha == 1 else "_", column, alpha)
        axes.axhline(0, color=FAINT, lw=0.6, zorder=0)
        axes.set(xlabel="step", ylabel="overlap")
        tokens = [f"{tied.case.tokens}" for tied, _ in runs]
        paler = " (paler the larger)" if len(tokens) > 1 else ""
        axes.set_title(f"{name},  $L = {', '.join(tokens)}${paler}", loc="left")
        axes.legend(loc="upper left")
    case = result.difference[0][0].case
    figure.suptitle(
        rf"relu,  $d = {case.dimension}$,  $\gamma = {case.rate:g}$; dashed: Prop. 2; bands: $\pm$ one deviation",
        fontsize=11,
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_11 [--quick] [--output FILE]`."""
    return command("figure_11", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
