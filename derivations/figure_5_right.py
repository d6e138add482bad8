r"""Fig. 5, right, of arXiv:2506.02651: how often SGD ends semantic, against omega.

Claim: at a = 1 the fraction of runs that end semantic drops from 1 to 0 around the boundary of the dynamics, while the
global minimum is semantic up to omega = 0.738: between the two most runs end at the wrong minimum.

Settings: d = 1000, lr = gamma = 0.05, 3e5 steps (t = gamma step/d = 15), 41 omegas, 64 runs each.  The official code
minimises |t - s|_F, unsquared and without a factor 1/2 (that stands in the loss it reports only), on inputs N(0, 1/d)
with |w|^2 = d: its learning rate is gamma.  Its 8 data seeds x 8 starts share their data; here all 64 replicas of the
reduced chain are independent.  A run counts as semantic if it ends with |m| > |eps|.

The official configuration asks for overlap 0 and takes u orthogonal to w* and to the first w: its runs start at
(m, eps) = (0, 0), and the noise of SGD decides.  A random start has overlaps N(0, 1/d).  Both are run.

The prediction fits nothing.  It is the flow of the unsquared loss at rate gamma (`frobenius_loss`), V taken at 0, from
Gaussian starts of variance (1 + n_x)/d (random) or n_x/d (zero): near 0 an overlap x that grows at rate lambda_x also
sums up noise, as if it had started with the variance

    n_x/d,   n_x = gamma D_x (1 - exp(-2 lambda_x t))/(2 lambda_x),   D_x = E (d/gamma * step of x at 0)^2,

t no longer than log(d)/(2 lambda) for the larger rate lambda.

Measured: seeds 50 and 51, `python -m derivations.figure_5_right` (5 minutes of two cores, no cap needed).  P falls
from 1 to 0; random starts: half semantic at omega = 0.626 +- 0.004 (flow 0.630), width 0.100 +- 0.004 (0.088); zero
starts: 0.597 +- 0.004 (0.600), width 0.113 +- 0.004 (0.106).  At omega = 0.67 14 and 17 of 64 runs end semantic.
Confirmed.  But after 3e5 steps most runs are not at rest: at omega = 0.67 the median |(m, eps)| is 0.47 (0.08 to 0.10
from zero, near the boundary), and what is counted is which overlap leads.  Around the flow chi^2 is 28 on 41 points for
zero starts, and 80 for random ones, from the tails; 512 more runs at omega = 0.46 (0.035 +- 0.008 positional, flow
0.031) do not repeat that excess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr

from derivations.figure_5_left import target
from derivations.figure_frame import command
from derivations.figure_runs import Tell, ignore
from sie_sym.flow import gradient_flow_batch
from sie_sym.frobenius_loss import frobenius_loss
from sie_sym.losses.numerical_loss import NumericalLoss
from sie_sym.model import softmax_attention
from sie_sym.phase_diagram import phase_boundaries
from sie_sym.sgd import SGDSettings, run_sgd
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine

SOURCE = "arXiv:2506.02651, Fig. 5 (right)"
MODEL = softmax_attention(2).with_encoding([[1, -1]])
OMEGAS = (
    0.0, 0.1, 0.2, 0.3, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.58, 0.59, 0.6, 0.61, 0.62, 0.63, 0.64,
    0.65, 0.66, 0.67, 0.68, 0.69, 0.7, 0.72, 0.74, 0.76, 0.78, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.92, 0.94, 0.96,
    0.98, 1.0,
)  # fmt: skip

FloatArray: TypeAlias = NDArray[np.float64]
Start: TypeAlias = Literal["random", "zero"]


@dataclass(frozen=True)
class Runs:
    """`runs` independent replicas at every omega: overlaps N(0, 1/d) at the start, or zero."""

    dimension: int
    steps: int
    runs: int
    seed: int
    omegas: tuple[float, ...] = OMEGAS
    start: Start = "random"


@dataclass(frozen=True)
class Settings:
    """What is run at one a and one learning rate."""

    series: tuple[Runs, ...]
    scale: float = 1.0
    rate: float = 0.05
    engine: Engine = "numba"


PAPER = Settings((Runs(1000, 300_000, 64, 50), Runs(1000, 300_000, 64, 51, start="zero")))
QUICK = Settings((Runs(100, 40_000, 64, 50, (0.58, 0.7)), Runs(100, 40_000, 64, 51, (0.58, 0.7), "zero")))


@dataclass(frozen=True, eq=False)
class Transition:
    """The fraction of semantic ends at each omega, its prediction, and the median length |(m, eps)| of the ends."""

    runs: Runs
    time: float
    semantic: FloatArray
    predicted: FloatArray
    length: FloatArray

    def interval(self, z: float = 1.0) -> FloatArray:
        """Wilson's binomial interval of z standard deviations, (2, omegas)."""
        p, n = self.semantic, self.runs.runs
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return np.stack([middle - half, middle + half])

    def fit(self) -> tuple[FloatArray, FloatArray]:
        """Centre and width of P = Phi((centre - omega)/width) of highest likelihood, and their standard errors."""
        return probit_fit(self.runs.omegas, self.semantic, self.runs.runs)

    def predicted_fit(self) -> FloatArray:
        """The same for the prediction."""
        return probit_fit(self.runs.omegas, self.predicted, self.runs.runs)[0]

    def __str__(self) -> str:
        runs, (found, error), law = self.runs, self.fit(), self.predicted_fit()
        lines = [
            f"d = {runs.dimension}, {runs.steps} steps (t = {self.time:g}), {runs.runs} runs, start {runs.start}: half "
            f"semantic at omega = {found[0]:.4f} +- {error[0]:.4f} (predicted {law[0]:.4f}), width {found[1]:.4f} +- "
            f"{error[1]:.4f} (predicted {law[1]:.4f})",
            " omega  semantic  predicted  |(m, eps)|",
        ]
        for row in zip(runs.omegas, self.semantic, self.predicted, self.length, strict=True):
            lines.append("{:6.2f} {:9.3f} {:10.3f} {:11.3f}".format(*row))
        return "\n".join(lines)


def probit_fit(omegas: Sequence[float], share: FloatArray, runs: int) -> tuple[FloatArray, FloatArray]:
    """(centre, width) of P = Phi((centre - omega)/width) of highest likelihood, and their standard errors."""
    x = np.asarray(omegas)

    def cost(parameters: FloatArray) -> float:
        u = (parameters[0] - x) / np.exp(parameters[1])
        return -runs * float(np.sum(share * log_ndtr(u) + (1 - share) * log_ndtr(-u)))

    found = minimize(cost, [0.65, np.log(0.05)], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    width = float(np.exp(found[1]))
    u = (found[0] - x) / width
    # the Fisher information n phi^2/(Phi (1 - Phi)) of u, carried to (centre, width)
    weight = runs * np.exp(-u * u - np.log(2 * np.pi) - log_ndtr(u) - log_ndtr(-u))
    slopes = np.stack([np.ones_like(u), -u]) / width
    information = (slopes * weight) @ slopes.T
    # too few fractions strictly between 0 and 1 leave the width open
    known = np.linalg.cond(information) < 1e12
    errors = np.sqrt(np.diag(np.linalg.inv(information))) if known else np.full(2, np.inf)
    return np.array([found[0], width]), errors


# -- the prediction


@lru_cache(maxsize=64)
def fields(scale: float, omega: float) -> Fields:
    """What SGD reads."""
    return fields_of(target(scale, omega), MODEL)


@lru_cache(maxsize=64)
def loss(scale: float, omega: float) -> NumericalLoss:
    """E |t(z*) - s(z)|_F."""
    return frobenius_loss(target(scale, omega), MODEL, order=24, nodes=36)


@lru_cache(maxsize=8)
def unsquared_boundary(scale: float = 1.0) -> float:
    """Where the curvatures of the unsquared loss in m and in eps agree."""

    def difference(omega: float) -> float:
        hessian = loss(scale, omega).hessian(0.0, 0.0)
        return float(hessian[0, 0] - hessian[1, 1])

    return float(brentq(difference, 0.55, 0.7, xtol=1e-4))


@lru_cache(maxsize=64)
def noise(scale: float, omega: float, samples: int = 100_000) -> tuple[float, float, float]:
    """(D_m, D_eps, V) at (m, eps) = 0, from seeded samples."""
    own = fields(scale, omega)
    stars, z = np.random.default_rng(7).standard_normal((2, 2, samples))
    delta, square = own.response(own.target(stars), z)
    delta = delta / (2 * np.sqrt(square))
    V = float(np.mean(np.sum(delta**2, axis=0)))
    along = own.encoding.T @ delta
    return float(np.mean(np.sum(delta * stars, axis=0) ** 2)), V + float(np.mean(along**2)), V


def start_scales(scale: float, omega: float, rate: float, dimension: int, time: float, start: Start) -> FloatArray:
    """sqrt(d) times the deviations of m and eps at the start, the noise of the run included.

    Noise counts until the faster overlap is of order one, log(d)/(2 lambda).
    """
    *strengths, V = noise(scale, omega)
    growth = -np.diag(loss(scale, omega).hessian(0.0, 0.0)) - rate / 2 * V
    time = min(time, float(np.log(dimension) / (2 * growth.max())))
    summed = rate * np.array(strengths) * -np.expm1(-2 * growth * time) / (2 * growth)
    return np.asarray(np.sqrt((1.0 if start == "random" else 0.0) + summed))


def semantic_probability(
    scale: float, omega: float, rate: float, dimension: int, time: float, start: Start, angles: int = 24, radii: int = 6
) -> float:
    """P(|m| > |eps| at `time`): the flow from starts on circles that carry equal shares of the probability."""
    scales = start_scales(scale, omega, rate, dimension, time, start)
    turn = (np.arange(angles) + 0.5) / angles
    # a uniform point of the sphere in d dimensions: m^2 + eps^2 exceeds x with probability (1 - x)^((d - 2)/2)
    radius = np.sqrt(-np.expm1(np.log1p(-(np.arange(radii) + 0.5) / radii) * 2 / (dimension - 2)))
    circle = np.stack([np.sin(turn * np.pi / 2), np.cos(turn * np.pi / 2)], axis=-1)
    starts = (radius[:, None, None] * scales * circle).reshape(-1, 2)
    *_, V = noise(scale, omega)
    ends = gradient_flow_batch(loss(scale, omega), starts, time, rate=rate, variance=V, samples=2, rtol=1e-6)
    ratio = np.diff(np.log(np.abs(ends.states[:, -1, ::-1])), axis=-1).reshape(radii, angles)
    return float(np.mean([1 - _crossing(np.log(np.tan(turn * np.pi / 2)), row) for row in ratio]))


def _crossing(x: FloatArray, y: FloatArray) -> float:
    """The share of the quarter circle before log |m/eps| = y crosses 0; x = log |m/eps| at the start, both rising.

    Beyond its ends y goes on with slope 1, as in the linear regime.
    """
    x, y = (np.concatenate(([v[0] - 50], v, [v[-1] + 50])) for v in (x, y))
    i = int(np.argmax(y > 0))
    at = x[i] - y[i] * (x[i] - x[i - 1]) / (y[i] - y[i - 1])
    return float(np.arctan(np.exp(at)) * 2 / np.pi)


# -- the simulation


def simulate(settings: Settings = PAPER, tell: Tell = ignore) -> tuple[Transition, ...]:
    """Every series at every omega, and the prediction; one omega after another, whose machine code serves them all."""
    shares: list[list[float]] = [[] for _ in settings.series]
    lengths: list[list[float]] = [[] for _ in settings.series]
    for omega in sorted({omega for runs in settings.series for omega in runs.omegas}):
        tell(f"omega = {omega:g}")
        for runs, share, length in zip(settings.series, shares, lengths, strict=True):
            if omega in runs.omegas:
                m, eps = ends(settings, runs, omega)
                share.append(float(np.mean(np.abs(m) > np.abs(eps))))
                length.append(float(np.median(np.hypot(m, eps))))
    found = []
    for runs, share, length in zip(settings.series, shares, lengths, strict=True):
        tell(f"prediction for d = {runs.dimension}, start {runs.start}")
        time = settings.rate * runs.steps / runs.dimension
        predicted = [
            semantic_probability(settings.scale, omega, settings.rate, runs.dimension, time, runs.start)
            for omega in runs.omegas
        ]
        found.append(Transition(runs, time, np.array(share), np.array(predicted), np.array(length)))
    return tuple(found)


def ends(settings: Settings, runs: Runs, omega: float) -> tuple[FloatArray, FloatArray]:
    """m and eps of every replica after the last step."""
    told = SGDSettings(
        runs.dimension, settings.rate, runs.steps, runs.runs, 1000 * runs.seed + round(100 * omega), loss="frobenius",
        record=2, start=(0.0, 0.0) if runs.start == "zero" else None, block=-(-runs.runs // 2),
    )  # fmt: skip
    result = run_sgd(fields(settings.scale, omega), told, settings.engine, workers=2)
    return result.m, result.eps[:, 0]


# -- the picture


def draw_transition(axes: Any, found: Transition, colour: str, label: str, marker: str = "o") -> None:
    """Fractions with their binomial errors over the prediction."""
    omegas, (low, high) = found.runs.omegas, found.interval()
    bars = np.abs(np.stack([found.semantic - low, high - found.semantic]))
    axes.plot(omegas, found.predicted, color=colour, lw=1.5, zorder=2)
    axes.errorbar(
        omegas, found.semantic, bars, fmt=marker, ms=4, color=colour, mfc="white", mew=1.2, elinewidth=0.9, capsize=1.5,
        label=label, zorder=3,
    )  # fmt: skip


def draw_boundaries(axes: Any, scale: float) -> None:
    """Boundaries of the dynamics for both losses, and the swap of the global minimum."""
    from sie_sym.plot import FAINT, INK

    exact = phase_boundaries(scale)
    for value, style, colour, name in (
        (unsquared_boundary(scale), "--", INK, "equal curvatures, $|t - s|_F$"),
        (float(exact.dynamics), ":", INK, "equal curvatures, $|t - s|_F^2$"),
        (float(exact.global_minimum), "-.", FAINT, "global minimum swaps, $|t - s|_F^2$"),
    ):
        axes.axvline(value, color=colour, ls=style, lw=1.1, zorder=1, label=f"{name}: {value:.3f}")
    axes.set(xlabel=r"$\omega$", ylabel="fraction of runs that end semantic", ylim=(-0.04, 1.04))


def draw(result: tuple[Transition, ...]) -> Any:
    """Random starts and zero starts."""
    from matplotlib.figure import Figure

    from sie_sym.plot import POSITIONAL, SEMANTIC

    drawing = Figure(figsize=(7.6, 5.4), layout="constrained")
    axes = drawing.add_subplot()
    names: dict[Start, tuple[str, str, str]] = {
        "random": (SEMANTIC, r"SGD, start $\mathcal{N}(0, 1/d)$", "o"),
        "zero": (POSITIONAL[0], "SGD, start $(0, 0)$ (official configuration)", "s"),
    }
    for found in result:
        colour, label, marker = names[found.runs.start]
        draw_transition(axes, found, colour, label, marker)
    draw_boundaries(axes, 1.0)
    runs = result[0].runs
    what = rf"$a = 1$, $d = {runs.dimension}$, $\gamma = 0.05$, {runs.steps:,} steps, {runs.runs} runs a point"
    axes.set_title(f"{what}; lines: flow, no fit", loc="left")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=2.2)
    return drawing


def table(result: tuple[Transition, ...]) -> str:
    """The numbers of every series."""
    return "\n".join([*map(str, result), f"boundary of the unsquared loss: {unsquared_boundary():.4f}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m derivations.figure_5_right [--quick] [--output FILE]`."""
    return command("figure_5_right", simulate, draw, table, (PAPER, QUICK), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
