r"""Figs. 5 (right) and 12: semantic or positional, by simulation of the SGD of the official code.

Claims (arXiv:2506.02651, Figs. 5 and 12; a = 1, lr = 0.05, the unsquared loss |t - s|_F): at omega = 0.67 most runs end
positional although the global minimum is semantic; the fraction that ends semantic falls through 1/2 near the boundary
of the dynamics, for this loss 0.628; the fall is the sharper the larger d is.

The runs are those of `figure_5_right` and `figure_12`, at two omegas and with fewer replicas; their docstrings have
the outcome of the full ones.  numba makes this a matter of seconds; without it, of minutes.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from derivations.figure_5_right import Runs, Settings, Transition, loss, simulate
from sie_sym.derivation import Claim, Page
from sie_sym.evidence import Evidence
from sie_sym.simulation.replicas import Engine

PAGE = Page(
    "semantic_or_positional_by_simulation", "Fig. 5 (right), Fig. 12", "where SGD ends: semantic or positional"
)
EXPECTED = (*["confirmed numerically"] * 3, "refuted", "confirmed numerically")

OMEGA, BOUNDARY = 0.67, 0.628
SERIES = (Runs(1000, 300_000, 64, 1, (0.58, OMEGA)), Runs(100, 80_000, 160, 2, (0.58, OMEGA)),
          Runs(10, 8_000, 640, 3, (0.58, OMEGA)))  # fmt: skip


@lru_cache(maxsize=1)
def runs() -> tuple[Transition, ...]:
    """The official d = 1000 and 3e5 steps (t = 15), and d = 100 and d = 10 until they are at rest (t = 40)."""
    engine: Engine = "numba" if importlib.util.find_spec("numba") else "numpy"
    return simulate(Settings(SERIES, engine=engine))


def derive() -> list[Claim]:
    """The four statements, and the agreement with the flow."""
    official, hundred, ten = runs()
    return [_most(official), _half(official), _sharper(hundred, ten), _at_rest(official), _agreement()]


def _most(found: Transition) -> Claim:
    table, count = loss(1.0, OMEGA), found.runs.runs
    semantic = round(float(found.semantic[-1]) * count)
    # one-sided: as few as this under a fair coin
    chance = float(binom.cdf(semantic, count, 0.5))
    values = float(table.value(1.0, 0.0)), float(table.value(0.0, 1.0))
    return PAGE.claim(
        "at omega = 0.67 most runs end positional although the global minimum is semantic",
        chance < 0.01 and values[0] < values[1],
        f"{count - semantic} of {count} runs at d = 1000 (a fair coin: {chance:.0e}); E |t - s|_F is {values[0]:.4f} "
        f"at (m, eps) = (1, 0), {values[1]:.4f} at (0, 1)",
        source="Fig. 5",
        evidence=Evidence.NUMERICAL,
    )


def _half(found: Transition) -> Claim:
    (centre, _), (error, _) = found.fit()
    return PAGE.claim(
        "the fraction that ends semantic falls through 1/2 near omega = 0.628, where the curvatures of the unsquared "
        "loss agree (d = 1000, 3e5 steps)",
        bool(abs(centre - BOUNDARY) < 3 * error and error < 0.02),
        f"a fitted normal distribution function is 1/2 at {centre:.3f} +- {error:.3f}",
        source="Fig. 5 (right)",
        evidence=Evidence.NUMERICAL,
    )


def _sharper(hundred: Transition, ten: Transition) -> Claim:
    (_, narrow), (_, error) = hundred.fit()
    (_, wide), (_, other) = ten.fit()
    return PAGE.claim(
        "the transition sharpens with d at equal t = gamma step/d",
        bool(wide - narrow > 3 * np.hypot(error, other)),
        f"runs at rest: width {wide:.3f} +- {other:.3f} at d = 10, {narrow:.3f} +- {error:.3f} at d = 100",
        source="Fig. 12",
        evidence=Evidence.NUMERICAL,
    )


def _at_rest(found: Transition) -> Claim:
    return PAGE.claim(
        "after the 3e5 steps of Fig. 5 (right) the runs at d = 1000 are at rest",
        bool(found.length[-1] > 0.9),
        f"at omega = 0.67 the median |(m, eps)| is {found.length[-1]:.2f}; minima have length 1",
        source="Fig. 5 (right)",
        evidence=Evidence.NUMERICAL,
    )


def _agreement() -> Claim:
    scores = [
        abs(p - law) / np.sqrt(law * (1 - law) / found.runs.runs)
        for found in runs()
        for p, law in zip(found.semantic, found.predicted, strict=True)
    ]
    return PAGE.claim(
        "the flow of the unsquared loss from starts N(0, 1/d), widened by the noise of the run, gives these fractions",
        max(scores) < 3.5,
        f"nothing fitted; d = 10, 100 and 1000: at most {max(scores):.1f} binomial standard deviations away",
        source="Fig. 5 (right), Fig. 12",
        evidence=Evidence.NUMERICAL,
    )
