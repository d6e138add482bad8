r"""Figures of the dynamics: SGD over many replicas with the ODE's prediction, and tied against untied networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import SieSymError
from sie_sym.flow import gradient_flow_batch
from sie_sym.flows.drift import Variance
from sie_sym.numeric import FloatArray
from sie_sym.plot import FAINT, INK, POSITIONAL, SEMANTIC, require_matplotlib, save
from sie_sym.recovery import RecoveryTimes, common_classes, drift_function, recovery_times
from sie_sym.simulation.chain import recovery_form
from sie_sym.simulation.fields import Fields
from sie_sym.simulation.replicas import SGDResult
from sie_sym.target import Target
from sie_sym.typesetting.latex_printer import printed
from sie_sym.untied import NetworkLoss, tied_loss, untied_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_STARTS = 64
"""The ODE of an untied network, one start after another, is integrated from those of this many replicas."""
_COLUMNS = 6
"""The most overlaps that one panel shows."""
_TIED, _UNTIED = SEMANTIC, POSITIONAL[0]


@dataclass(frozen=True, eq=False)
class Prediction:
    """ODE trajectories from the starts of replicas: `steps` (T,), `paths` (T, columns, starts), and what they are."""

    steps: FloatArray
    paths: FloatArray
    name: str


def flow_prediction(
    found: SGDResult, loss: Any, variance: Variance | None = None, gram: ArrayLike | None = None
) -> Prediction:
    """The flow at the run's learning rate from the starts of its replicas (arXiv:2506.02651, eq. 11 and 28).

    `loss` and `gram` are as in `gradient_flow`; V of one sample is divided by the batch size.  Without `variance` it
    is the gradient flow, the limit of small rates, and is named so.  Raises `SieSymError` for a run on the unsquared
    loss, whose flow is another one.
    """
    _require_squared(found)
    settings = found.settings
    starts = _starts(found)
    time, rate = float(found.time[-1]), 0.0 if variance is None else settings.rate / settings.batch
    flow = gradient_flow_batch(loss, starts, time, rate=rate, variance=variance, gram=gram, rtol=1e-9)
    return Prediction(_steps(flow.t, found), np.moveaxis(flow.states, 0, -1), _name(variance is not None))


def network_prediction(found: SGDResult, loss: NetworkLoss, noise: bool = True) -> Prediction:
    """The same for an untied network, whose statistics are one overlap a token (Prop. 2)."""
    from scipy.integrate import solve_ivp

    _require_squared(found)
    settings = found.settings
    field = drift_function(loss, settings.rate / settings.batch if noise else 0.0)
    t = np.linspace(0.0, float(found.time[-1]), 200)
    paths = []
    for start in _starts(found)[:_STARTS]:
        solved = solve_ivp(field, (0.0, t[-1]), start, method="LSODA", t_eval=t, rtol=1e-9, atol=1e-12)
        if not solved.success:
            raise SieSymError(f"the integration of the untied network fails: {solved.message}")
        paths.append(solved.y.T)
    return Prediction(_steps(t, found), np.stack(paths, axis=-1), _name(noise))


def _require_squared(found: SGDResult) -> None:
    if found.settings.loss != "squared":
        raise SieSymError("the ODE is that of the squared loss, and this run descends the unsquared one")


def _name(noise: bool) -> str:
    return "ODE" if noise else "gradient flow"


def _starts(found: SGDResult) -> FloatArray:
    """The starts of the replicas kept, (n, columns); one if all start alike."""
    starts: FloatArray = np.ascontiguousarray(found.paths[0].T)
    return starts[:1] if (starts == starts[0]).all() else starts


def _steps(t: FloatArray, found: SGDResult) -> FloatArray:
    return np.asarray(t * (found.settings.dimension / found.settings.rate))


# ---- SGD ---------------------------------------------------------------------------------------


def plot_sgd(
    found: SGDResult,
    path: str | Path,
    prediction: Prediction | None = None,
    statistics: Sequence[sp.Symbol] = (),
    fields: Fields | None = None,
) -> Path:
    """Draw a run of SGD to `path` (.png, .svg or .pdf): each overlap and their norm against the steps.

    Bands are quantiles over the replicas whose trajectories the result keeps, 10 to 90 and 25 to 75 percent, around
    the median; the ODE's prediction is dashed (its 10, 50 and 90 percent where starts are random).  The norm is the
    |(e, m)| of weak recovery if the run's `fields` are given, else |(m, eps)|, the same for orthonormal columns of C;
    it has the recovery threshold and the median recovery step, if there is one.

    Raises `SieSymError` for other extensions and files that cannot be written, `MissingExtra` without matplotlib.
    """
    return save(lambda: sgd_figure(found, prediction, statistics, fields), path)


def sgd_figure(
    found: SGDResult,
    prediction: Prediction | None = None,
    statistics: Sequence[sp.Symbol] = (),
    fields: Fields | None = None,
) -> Figure:
    """The matplotlib figure of `plot_sgd`, not yet drawn."""
    require_matplotlib()
    from matplotlib.figure import Figure

    columns = found.paths.shape[1]
    names = [f"${printed(s)}$" for s in statistics] or [f"overlap {i + 1}" for i in range(columns)]
    untied = found.m_mean.ndim == 2
    several = columns <= _COLUMNS
    figure = Figure(figsize=(7.4, 6.2) if several else (7.4, 4.0), layout="constrained")
    grid = figure.subplots(2 if several else 1, 1, sharex=True, squeeze=False)[:, 0]
    if several:
        for i, name in enumerate(names):
            _bands(grid[0], found, found.paths[:, i], _colour(i, untied), name)
            if prediction is not None:
                _predicted(grid[0], prediction, prediction.paths[:, i], prediction.name if i == 0 else None)
        grid[0].axhline(0, color=FAINT, lw=0.6, zorder=0)
        grid[0].set_ylabel("overlaps")
        grid[0].tick_params(labelbottom=False)
    _draw_norm(grid[-1], found, prediction, fields)
    settings = found.settings
    lost = f", {found.diverged} diverged and left out" if found.diverged else ""
    kept = found.paths.shape[2]
    whom = "the replicas" if kept == settings.runs else f"the first {kept} replicas"
    grid[0].set_title(
        rf"$d = {_power(settings.dimension)}$, $\gamma = {settings.rate:g}$, {settings.runs} replicas{lost}"
        f"\nline: median; bands: 50% and 80% of {whom}",
        loc="left",
    )
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, handlelength=1.8, columnspacing=1.5
    )
    return figure


def _colour(i: int, untied: bool) -> str:
    colours = (SEMANTIC, *POSITIONAL, INK)
    return colours[i % len(colours)] if untied or i else SEMANTIC


def _power(dimension: int) -> str:
    exponent = round(math.log10(dimension))
    return f"10^{{{exponent}}}" if dimension == 10**exponent and exponent > 3 else str(dimension)


def _bands(axes: Axes, found: SGDResult, values: FloatArray, colour: str, name: str) -> None:
    low, lower, middle, upper, high = _quantiles(values)
    axes.fill_between(found.steps, low, high, color=colour, alpha=0.16, lw=0)
    axes.fill_between(found.steps, lower, upper, color=colour, alpha=0.28, lw=0)
    axes.plot(found.steps, middle, color=colour, lw=1.8, label=name)


def _predicted(axes: Axes, prediction: Prediction, values: FloatArray, name: str | None) -> None:
    spread = _quantiles(values)
    style: Any = {"color": INK, "ls": (0, (4, 2)), "zorder": 4}
    axes.plot(prediction.steps, spread[2], lw=1.3, label=name, **style)
    if values.shape[1] > 1:
        for outer in (spread[0], spread[4]):
            axes.plot(prediction.steps, outer, lw=0.7, **style)


def _quantiles(values: FloatArray) -> FloatArray:
    """(5, T) over the replicas that have not diverged."""
    finite = np.isfinite(values).all(axis=0)
    if not finite.any():
        return np.full((len(QUANTILES), len(values)), np.nan)
    return np.asarray(np.quantile(values[:, finite], QUANTILES, axis=1))


def _draw_norm(axes: Axes, found: SGDResult, prediction: Prediction | None, fields: Fields | None) -> None:
    untied, columns = found.m_mean.ndim == 2, found.paths.shape[1]
    form = np.eye(columns) / columns if untied else np.eye(columns) if fields is None else recovery_form(fields)

    def norm(paths: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(np.einsum("tin,ij,tjn->tn", paths, form, paths)))

    name = r"$|(m, \varepsilon)|$" if fields is None else r"$|(\mathbf{e}, m)|$"
    if untied or columns == 1:
        name = r"$|\mathbf{m}| / \sqrt{L}$" if untied else "$|m|$"
    _bands(axes, found, norm(found.paths), "#4a4a4a", name)
    if prediction is not None:
        _predicted(axes, prediction, norm(prediction.paths), prediction.name)
    if found.settings.threshold is not None:
        axes.axhline(found.settings.threshold, color="#2e7d32", lw=1.1, label=rf"$\eta = {found.settings.threshold:g}$")
    if found.recovery_step_median is not None:
        step = found.recovery_step_median
        axes.axvline(step, color="#2e7d32", lw=1.1, ls=":", label=f"median recovery: step {step:.7g}")
    axes.set(ylabel=name, xlabel="steps", xlim=(0, max(int(found.steps[-1]), 1)))
    axes.set_ylim(bottom=0)


# ---- tied against untied -----------------------------------------------------------------------


def plot_gain(target: Target, activation: sp.Expr, path: str | Path, **options: Any) -> Path:
    """Draw the flows of a tied and an untied network to `path` (.png, .svg or .pdf); see `gain_figure`."""
    return save(lambda: gain_figure(target, activation, **options), path)


def gain_figure(
    target: Target,
    activation: sp.Expr,
    *,
    start: str | ArrayLike = "all",
    overlap: float = 1e-3,
    eta: float = 0.1,
    predicted: str = "",
) -> Figure:
    """|m| of the tied and |m_vec|/sqrt(L) of the untied network against t = gamma * step / d, at rates that tend to 0.

    Both start at `overlap` (see `recovery_times`) and are marked where they cross eta, weak recovery (Prop. 2, Def. 1).
    `predicted` is a remark for the title, as the gain of Thm 2.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    times = recovery_times(target, activation, start=start, overlap=overlap, eta=eta)
    vector = np.array(times.start)
    tied = tied_loss(target, activation)
    untied = untied_loss(target, activation, common_classes(target, vector))
    finite = [time for time in (times.tied, times.untied) if math.isfinite(time)]
    horizon = 1.35 * max(finite, default=0.0) or 10.0
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for name, loss, when, colour in (
        ("tied: $|m|$", tied, times.tied, _TIED),
        (r"untied: $|\mathbf{m}| / \sqrt{L}$", untied, times.untied, _UNTIED),
    ):
        begin = [overlap] if loss.tied else [float(vector[members[0] - 1]) for members in loss.classes]
        t, size = _size(loss, begin, horizon)
        axes.plot(t, size, color=colour, lw=2, label=f"{name}, {_when(when)}")
        if math.isfinite(when):
            axes.plot([when], [eta], "o", ms=7, mfc="white", mec=colour, mew=1.8, zorder=5)
            axes.axvline(when, color=colour, lw=0.9, ls=":", zorder=0)
    axes.axhline(eta, color=INK, lw=0.9, ls=(0, (4, 2)), label=rf"weak recovery, $\eta = {eta:g}$")
    axes.set(yscale="log", xlabel=r"$t = \gamma \cdot \mathrm{step} / d$", ylabel="overlap", xlim=(0, horizon))
    axes.set_ylim(top=1.4)
    axes.set_title(f"{_ratio(times)}{predicted}", loc="left")
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.8)
    return figure


def _when(time: float) -> str:
    return f"recovers at $t = {time:.4g}$" if math.isfinite(time) else "never recovers"


def _ratio(times: RecoveryTimes) -> str:
    ratio = times.time_ratio
    if math.isnan(ratio):
        return "neither network recovers"
    if math.isinf(times.untied):
        return "the untied network never recovers"
    if math.isinf(times.tied):
        return "the tied network never recovers"
    return rf"$t_\mathrm{{untied}} / t_\mathrm{{tied}} = {ratio:.4g}$"


def _size(loss: NetworkLoss, start: Sequence[float], horizon: float) -> tuple[FloatArray, FloatArray]:
    """t and |m| (tied) or |m_vec|/sqrt(L) (untied) along the flow."""
    from scipy.integrate import solve_ivp

    field: Callable[[float, Any], Any] = drift_function(loss)
    t = np.linspace(0.0, horizon, 600)
    smallest = float(np.abs(start).min())
    solved = solve_ivp(field, (0.0, horizon), start, method="LSODA", t_eval=t, rtol=1e-10, atol=1e-9 * smallest)
    if not solved.success:
        raise SieSymError(f"the integration to t = {horizon:g} fails: {solved.message}")
    weights = np.array([1.0] if loss.tied else [len(members) / loss.tokens for members in loss.classes])
    return t, np.sqrt((weights[:, None] * solved.y**2).sum(axis=0))


__all__ = [
    "Prediction",
    "flow_prediction",
    "gain_figure",
    "network_prediction",
    "plot_gain",
    "plot_sgd",
    "sgd_figure",
]
