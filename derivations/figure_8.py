r"""Fig. 8 of arXiv:2506.02651: at equal rates a tied network recovers L times sooner, g = sum_l z_l / sqrt L.

Claim: both networks with relu at the same learning rate; the ratio of their steps to weak recovery is L (Thm 2, s = 1).

Settings: d = 1000, lr = gamma = 0.015, start overlap 1/sqrt d in every token, threshold 2/sqrt(1000), L = 1, 2, 5, 8,
10, 15, 25, 32, T = 1e5 (a run ends at 1.5 times the recovery that Prop. 2 predicts).

Measured: 64 replicas, seed 8, `python -m derivations.figure_8`: gain 1.02 +- 0.02, 2.00 +- 0.02, 5.07 +- 0.07,
7.97 +- 0.07, 9.90 +- 0.09, 15.05 +- 0.11, 24.74 +- 0.22, 32.14 +- 0.29, that is L^(0.994 +- 0.004) (standard errors of
medians); steps within 1.4% of Prop. 2.  Confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivations.figure_frame import command, draw_equal_rates
from derivations.figure_runs import GainCurve, Settings, Tell, equal_rates, ignore

SOURCE = "arXiv:2506.02651, Fig. 8"
TARGET, NAME = "mean", r"$g = \sum_\ell z_\ell/\sqrt{L}$"
PAPER = Settings((1, 2, 5, 8, 10, 15, 25, 32), 1000, 0.015, 64, 8, 100_000)
QUICK = Settings((1, 6), 100, 0.03, 400, 8, 10_000, threshold=0.2, engine="numpy")


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> GainCurve:
    """Both networks at every L, at one rate."""
    return equal_rates(TARGET, settings, tell)


def draw(result: GainCurve) -> Any:
    """Overlaps on the way to weak recovery, and the gain against L."""
    return draw_equal_rates(result, NAME)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_8 [--quick] [--output FILE]`."""
    return command("figure_8", simulate, draw, GainCurve.table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
