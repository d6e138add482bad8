r"""Fig. 3 of arXiv:2506.02651: the gain at the largest rates, g = sum_l He_2(z_l) / sqrt 2, for three choices of rates.

Claim: "the gain grows as L^2" at the largest admissible rates (Thm 2).  By Prop. 2 with k = tied/untied rate, the gain
in steps is k L as long as the noise is small, so the choice decides:

- official settings: gamma = 2e-4 sqrt L tied (`learning_rate_scaling_with_L: sqrt`) and 2e-4 untied, both more than
  150 times below the limits: L^{3/2};
- each network at one fraction of the rate where its own drift stops, 2 r/V tied and 2 r L/V untied, r the growth at
  m = 0, V = 2 L + 2: with r_untied = r_tied/L both limits are the same number, and the gain is rho^2/L = L;
- gamma = c/t_recovery of Thm 2, that is gamma_tied = gamma and gamma_untied = gamma/L: L^2, less what the noise takes
  from the tied network, whose limit falls as 1/L for this target (E g^2 = L).

Settings: d = 1000, start overlap 1/sqrt d, threshold 2/sqrt(1000), relu, L = 1, 2, 3, 4, 5, 6, 8, 10 (of 1..10); a run
ends at 1.15 to 1.5 times the recovery that Prop. 2 predicts (at most T = 2.5e7; at the official rates 3e7, since the
untied network needs 2.9e7 steps at L = 10).

Measured: 4 to 32 untied, 16 to 96 tied replicas, seeds 3, 31, 32, `python -m derivations.figure_3`; slopes over all L:

- official rates: L^(1.492 +- 0.017), Prop. 2 1.498 (30.9 +- 0.9 at L = 10): not L^2;
- a tenth of each limit: L^(0.993 +- 0.059), Prop. 2 1.000 (9.6 +- 0.8 at L = 10): not L^2;
- rates 0.01 and 0.01/L: L^(1.941 +- 0.044), Prop. 2 1.961 (95 +- 7 at L = 10, 91 by Prop. 2): L^2 confirmed, as the
  law of gamma ~ 1/t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derivations.figure_frame import command, draw_gain, logarithmic
from derivations.figure_runs import Case, GainCurve, Settings, Tell, gain_curve, ignore
from sie_sym.recovery import critical_rate

SOURCE = "arXiv:2506.02651, Fig. 3"
TARGET = "he2-normalized"
_TOKENS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Rates:
    """Settings of the three choices; the rate of `limits` is a fraction of each network's own largest one."""

    official: Settings
    limits: Settings
    inverse: Settings


@dataclass(frozen=True)
class Gains:
    """The gain for the three choices of rates."""

    official: GainCurve
    limits: GainCurve
    inverse: GainCurve

    @property
    def curves(self) -> tuple[tuple[GainCurve, str], ...]:
        """With the power of L that each should follow."""
        return (self.official, "3/2"), (self.limits, "1"), (self.inverse, "2")


PAPER = Rates(
    Settings(_TOKENS, 1000, 2e-4, 4, 3, 30_000_000, reach=1.15, faster_runs=16),
    Settings(_TOKENS, 1000, 0.1, 32, 31, 25_000_000, reach=1.5, faster_runs=96),
    Settings(_TOKENS, 1000, 0.01, 8, 32, 25_000_000, reach=1.4, faster_runs=96),
)
QUICK = Rates(
    Settings((1, 3), 40, 0.02, 300, 3, 60_000, reach=1.7, threshold=0.3, engine="numpy"),
    Settings((1, 3), 40, 0.1, 300, 31, 60_000, reach=1.7, threshold=0.3, engine="numpy"),
    Settings((1, 3), 40, 0.03, 300, 32, 60_000, reach=1.5, threshold=0.3, engine="numpy"),
)


def simulate(settings: Rates = PAPER, tell: Tell = ignore) -> Gains:
    """The gains of the three choices."""

    def pair(chosen: Settings, tokens: int, tied: float, untied: float) -> tuple[Case, Case]:
        return chosen.case(TARGET, tokens, False, tied), chosen.case(TARGET, tokens, True, untied)

    official, limits, inverse = settings.official, settings.limits, settings.inverse
    return Gains(
        gain_curve(
            "official rates",
            [pair(official, L, official.rate * L**0.5, official.rate) for L in official.tokens], official, tell,
        ),
        gain_curve(
            "equal fractions of the limits",
            [pair(limits, L, *(limits.rate * limit for limit in largest_rates(limits, L))) for L in limits.tokens],
            limits, tell,
        ),
        gain_curve(
            "rates ~ 1/t", [pair(inverse, L, inverse.rate, inverse.rate / L) for L in inverse.tokens], inverse, tell
        ),
    )  # fmt: skip


def largest_rates(settings: Settings, tokens: int) -> tuple[float, float]:
    """The rates, tied and untied, at which the drift of Prop. 2 stops between the start and the threshold."""
    cases = [settings.case(TARGET, tokens, untied) for untied in (False, True)]
    tied, untied = (critical_rate(case.loss, case.start, case.threshold) for case in cases)
    return tied, untied


def table(result: Gains) -> str:
    """The three tables."""
    return "\n".join(curve.table() for curve, _ in result.curves)


def draw(result: Gains) -> Any:
    """Steps to weak recovery at the official rates, and the three gains."""
    from matplotlib.figure import Figure

    from sie_sym.plot import POSITIONAL, SEMANTIC

    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    official = result.official
    for side, colour, kind in ((official.faster, SEMANTIC, "tied"), (official.slower, POSITIONAL[0], "untied")):
        left.plot(official.tokens, [run.predicted for run in side], color=colour, lw=1.4)
        left.plot(
            official.tokens, [run.median for run in side], "o", ms=5, mfc="white", mew=1.4, color=colour, label=kind
        )
    logarithmic(left, official.tokens, "steps to weak recovery")
    left.set_title("official rates; lines: Prop. 2", loc="left")
    left.legend(loc="upper left")
    for (curve, power), colour in zip(result.curves, (SEMANTIC, *POSITIONAL), strict=False):
        slope, error = curve.exponent()
        name = rf"{curve.label}: $L^{{{slope:.2f} \pm {error:.2f}}}$ (law: $L^{{{power}}}$)"
        draw_gain(right, curve, colour, name, "_")
    logarithmic(right, official.tokens)
    right.set_ylim(top=3 * max(curve.gain.max() for curve, _ in result.curves))
    right.legend(loc="upper left", fontsize=8.5)
    figure.suptitle(
        rf"$g = \sum_\ell \mathrm{{He}}_2(z_\ell)/\sqrt{{2}}$,  relu,  $d = {official.faster[0].case.dimension}$;  "
        rf"official rates: {official.effort}",
        fontsize=11,
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_3 [--quick] [--output FILE]`."""
    return command("figure_3", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
