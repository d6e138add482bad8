"""How the figures of SGD runs are drawn, and the command that each of them is."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from derivations.figure_runs import Arrivals, FloatArray, GainCurve, Tell
from sie_sym.errors import SieSymError
from sie_sym.files import write_atomically

S = TypeVar("S")
R = TypeVar("R")


def draw_gain(axes: Any, curve: GainCurve, colour: str, name: str = "SGD", law: str = "Prop. 2") -> None:
    """Measured gains with their standard errors over the prediction."""
    reached = np.isfinite(curve.gain)
    axes.plot(curve.tokens, np.where(np.isfinite(curve.predicted), curve.predicted, np.nan), color=colour, lw=1.4,
              label=law, zorder=2)  # fmt: skip
    axes.errorbar(
        curve.tokens[reached], curve.gain[reached], curve.error[reached], fmt="o", ms=5, color=colour, mfc="white",
        mew=1.4, capsize=2, label=name, zorder=3,
    )  # fmt: skip


def _round(value: float) -> str:
    """0.5, 20, 5000 as they are, 20k and 5M beyond."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"


def logarithmic(axes: Any, tokens: Iterable[float], ylabel: str = "gain (ratio of steps)") -> None:
    """Logarithmic axes with ticks at the L that were run, and at round values."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log", xlabel="$L$ (tokens)", ylabel=ylabel)
    ticks = list(tokens)
    axes.set_xticks(ticks, [f"{L:g}" for L in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: _round(value))
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_path(
    axes: Any, arrivals: Arrivals, colour: str, label: str, column: int | None = None, alpha: float = 1.0
) -> None:
    """Mean overlap +- one deviation of the replicas as a band; the prediction dashed over it."""
    from sie_sym.plot import INK

    untied = arrivals.case.untied
    pick: Callable[[FloatArray], FloatArray] = (
        (lambda a: a.mean(axis=1) if column is None else a[:, column]) if untied else (lambda a: a)
    )
    mean, deviation, predicted = map(pick, (arrivals.mean, arrivals.deviation, arrivals.predicted_path))
    axes.fill_between(arrivals.path_steps, mean - deviation, mean + deviation, color=colour, alpha=0.25 * alpha, lw=0)
    axes.plot(arrivals.path_steps, mean, color=colour, lw=2, alpha=alpha, label=label)
    axes.plot(arrivals.path_steps, predicted, color=INK, lw=1, ls=(0, (4, 2)), zorder=4)
    axes.xaxis.set_major_formatter(lambda value, _: _round(value))


def write(draw: Callable[[], Any], path: str | Path) -> Path:
    """Save a figure; a PNG with the 160 colours that a line drawing needs, a third of the size."""
    from sie_sym.plot import save

    written = save(draw, path)
    if written.suffix.lower() == ".png":
        from PIL import Image

        buffer = io.BytesIO()
        with Image.open(written) as picture:
            picture.convert("RGB").quantize(160, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        write_atomically(written, buffer.getvalue())
    return written


def command(
    name: str,
    simulate: Callable[[S, Tell], R],
    draw: Callable[[R], Any],
    table: Callable[[R], str],
    settings: tuple[S, S],
    arguments: Sequence[str] | None = None,
) -> int:
    """Simulate with the paper's settings, or quick ones; print the numbers and write the picture."""
    from sie_sym.plot import check_path

    parser = argparse.ArgumentParser(prog=f"python -m derivations.{name}")
    parser.add_argument("--quick", action="store_true", help="few replicas at a small d: seconds instead of minutes")
    parser.add_argument(
        "--output", default=f"{name}.png", help="the picture: .png, .svg or .pdf (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    paper, quick = settings
    try:
        check_path(chosen.output)
        result = simulate(quick if chosen.quick else paper, lambda text: print(text, file=sys.stderr, flush=True))
        print(table(result))
        print(write(lambda: draw(result), chosen.output))
    except SieSymError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def draw_equal_rates(result: GainCurve, name: str) -> Any:
    """Figs. 7 and 8: overlaps on the way to weak recovery, and the gain against L."""
    from matplotlib.figure import Figure

    from sie_sym.plot import FAINT, POSITIONAL, SEMANTIC

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = len(result.tokens) // 2
    draw_path(left, result.faster[shown], SEMANTIC, "tied")
    draw_path(left, result.slower[shown], POSITIONAL[0], "untied")
    case = result.faster[shown].case
    left.axhline(case.threshold, color=FAINT, lw=0.8, ls=":")
    left.set(xlabel="step", ylabel=r"$m$,  mean of $m_\ell$", xscale="log")
    left.set_xlim(left=max(1, result.faster[shown].path_steps[1]))
    left.set_title(f"$L = {case.tokens}$; dashed: Prop. 2; dotted: weak recovery", loc="left")
    left.legend(loc="upper left")
    draw_gain(right, result, SEMANTIC)
    logarithmic(right, result.tokens)
    slope, error = result.exponent()
    right.set_title(rf"gain $\sim L^{{{slope:.3f} \pm {error:.3f}}}$", loc="left")
    right.legend(loc="upper left")
    figure.suptitle(
        rf"{name},  relu,  $d = {case.dimension}$,  $\gamma = {case.rate:g}$;  {result.effort}", fontsize=11
    )
    return figure
