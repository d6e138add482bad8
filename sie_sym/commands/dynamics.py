"""The commands that simulate and compare networks: `sgd` and `gain`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sie_sym.commands.options import (
    ACTIVATIONS,
    Question,
    assignments,
    output_options,
    point,
    simulated_model_options,
    split,
    target_options,
)
from sie_sym.commands.output import Answer, Row, emit, target_rows
from sie_sym.errors import FormulaError, SieSymError

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.gain import Gain
    from sie_sym.model import Model
    from sie_sym.plots.dynamics import Prediction
    from sie_sym.simulation.replicas import SGDResult
    from sie_sym.tensors.operator_norm import CertifiedValue

_SHOWN_STEPS = 11

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
file_option = click.option(
    "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE",
    help="Write the result to FILE as well: .json or .txt.",
)  # fmt: skip
plot_option = click.option(
    "--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it: .png, .svg or .pdf."
)

gram_option = click.option(
    "--gram", metavar="ROWS", help="Gram matrix of (w*, u_1, ...)/d where they are not orthogonal (F.3): 1,.6;.6,1."
)


def gram_matrix(text: str | None) -> list[list[float]] | None:
    """The rows of --gram."""
    from sie_sym.parse import parse_number

    if text is None:
        return None
    rows = [[float(parse_number(entry)) for entry in split(row, ",")] for row in text.split(";")]
    if any(len(row) != len(rows) for row in rows):
        raise FormulaError(f"--gram {text[:60]!r} is not square: write a row for w* and one for each encoding column")
    return rows


def emit_plain(answer: Answer, as_json: bool, output: str | None) -> None:
    """As `emit`, for results that are numbers and have no LaTeX of their own."""
    if output is not None and Path(output).suffix not in (".json", ".txt"):
        raise SieSymError(f"cannot write {output}: this result is written as .json or .txt")
    emit(answer, as_json, False, output)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A line on stderr that counts up, ten times a second at most; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.1 or done == total:
            last = now
            click.echo(f"\r{what} {done} of {total} ({100 * done // max(total, 1)}%)\x1b[K", err=True, nl=False)

    try:
        yield show
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)


# ---- sgd ---------------------------------------------------------------------------------------


@click.command(short_help="Run SGD at any dimension, many replicas at once.")
@target_options
@simulated_model_options
@click.option("--dimension", type=float, required=True, metavar="D", help="Dimension d of the tokens: up to 1e15.")
@click.option("--rate", type=float, required=True, metavar="GAMMA", help="Learning rate gamma.")
@click.option("--steps", type=float, required=True, metavar="N", help="Steps; time is t = gamma * step / d.")
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, metavar="R", help="Replicas.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Of all random draws.")
@click.option("--start", metavar="POINT", help="m=.3,eps=0; untied also m1=.3,m2=0 (default: random on the sphere).")
@gram_option
@click.option("--loss", type=click.Choice(["squared", "frobenius"]), default="squared", show_default=True,
              help="|y - f|^2 or |y - f|.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, metavar="B", help="Samples a step.")
@click.option("--threshold", type=float, metavar="ETA", help="Count weak recovery, |(e, m)| >= ETA, e = C eps.")
@click.option("--record", type=click.IntRange(2, 100_000), default=101, show_default=True, help="Steps reported.")
@click.option("--engine", type=click.Choice(["numpy", "numba"]), default="numpy", show_default=True,
              help="numba compiles, for long runs.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), metavar="W", help="Threads (default: one a core).")
@click.option("--checkpoint", type=click.Path(dir_okay=False), metavar="FILE",
              help="Saved every minute; the same call goes on from it.")  # fmt: skip
@plot_option
@json_option
@file_option
def sgd(
    dimension: float, rate: float, steps: float, runs: int, seed: int, start: str | None, gram: str | None,
    loss: str, batch: int, threshold: float | None, record: int, engine: str, workers: int | None,
    checkpoint: str | None, plot: str | None, as_json: bool, output: str | None, **texts: Any,
) -> None:  # fmt: skip
    """Run one-pass spherical SGD through its overlaps, which is exact in law at any d (App. C).

    Means and deviations over the replicas; the same seed gives the same numbers with any number of workers.  The
    figure has the quantiles of the replicas, and over them what the ODE predicts.

    \b
    Example: sie-sym sgd --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 \\
                 --dimension 1e3 --rate .01 --steps 5e4 --runs 10 --seed 1 --start m=.3,eps=.1
    """
    from sie_sym.sgd import SGDSettings, run_sgd
    from sie_sym.simulation.fields import fields_of

    if plot is not None:
        from sie_sym.plot import check_path

        check_path(plot)
    question, model = simulated(texts)
    question.require_numbers()
    settings = SGDSettings(
        dimension, rate, steps, runs, seed, batch=batch, loss=loss,  # type: ignore[arg-type]
        start=None if start is None else _start(start, model, gram is None), record=record, threshold=threshold,
    )  # fmt: skip
    fields = fields_of(question.target, model, gram=gram_matrix(gram) or ())
    with progress("step") as show, warnings.catch_warnings():
        # That replicas diverged is part of the answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = run_sgd(fields, settings, engine, workers or os.cpu_count() or 1, checkpoint, show)  # type: ignore[arg-type]
    answer = sgd_answer(found, question, model)
    if plot is not None:
        from sie_sym.plots.dynamics import plot_sgd

        prediction, words = predicted(found, texts, question, model, gram_matrix(gram))
        plot_sgd(found, plot, prediction, overlaps(model), fields)
        answer = replace(answer, data={**answer.data, "prediction": words}, rows=[*answer.rows, ("prediction", words)])
    emit_plain(answer, as_json, output)


def predicted(
    found: SGDResult, texts: Mapping[str, Any], question: Question, model: Model, gram: list[list[float]] | None = None
) -> tuple[Prediction | None, str]:  # fmt: skip
    """The ODE's trajectories for a run, and what they are, or why there are none."""
    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.plots.dynamics import flow_prediction, network_prediction
    from sie_sym.untied import untied_loss

    try:
        if model.family == "untied":
            assert model.activation is not None
            ode = network_prediction(found, untied_loss(question.target, model.activation))
        else:
            numbers = NumericalQuestion(**texts)
            ode = flow_prediction(found, numbers.numbers, numbers.noise, gram)
    except SieSymError as error:
        return None, f"not drawn: {error}"
    return ode, f"{ode.name}, drawn dashed"


def overlaps(model: Model) -> list[sp.Symbol]:
    """The columns of a run's trajectories: one m, or one a token, then the positional overlaps."""
    import sympy as sp

    tokens = range(1, model.tokens + 1)
    semantic = [sp.Symbol(f"m{l}", real=True) for l in tokens] if model.family == "untied" else [model.semantic]
    return [*semantic, *model.positional]


def simulated(texts: Mapping[str, Any]) -> tuple[Question, Model]:
    """The question and its model, in which `untied` is a model, too."""
    untied = (texts["model_text"] or "").strip() == "untied"
    question = Question(**{**texts, **({"model_text": "tied"} if untied else {})})
    if untied and question.encoding is not None:
        raise SieSymError(f"--encoding {question.encoding[:60]} does not apply to --model untied: it has none")
    return question, replace(question.model, family="untied") if untied else question.model


def _start(text: str, model: Model, in_ball: bool) -> tuple[float, ...]:
    if model.family == "untied" and not re.match(r"\s*m\s*=", text):
        values = assignments(split(text, ","), "--start")
        names = [f"m{l}" for l in range(1, model.tokens + 1)]
        if sorted(values) != sorted(names):
            raise FormulaError(f"--start gives {', '.join(values)}: an untied network has {', '.join(names)}, or one m")
        return tuple(float(values[name]) for name in names)
    return tuple(float(value) for value in point(text, model.statistics, "--start", in_ball=in_ball).values())


def _finite(values: Any) -> Any:
    """Nested lists without nan, which JSON lacks."""
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return values if values == values else None


def sgd_answer(found: SGDResult, question: Question, model: Model) -> Answer:
    """The command `sgd`; one encoding direction gives numbers a step, several give lists of numbers."""
    rank = found.eps.shape[1]
    mean, deviation = found.eps_mean, found.eps_std
    if rank == 1:
        mean, deviation = mean[:, 0], deviation[:, 0]
    data = {
        "steps": found.steps.tolist(),
        "t": found.time.tolist(),
        "m_mean": _finite(found.m_mean.tolist()),
        "m_std": _finite(found.m_std.tolist()),
        "eps_mean": _finite(mean.tolist()) if rank else None,
        "eps_std": _finite(deviation.tolist()) if rank else None,
        "recovered": found.recovered,
        "recovery_step_median": found.recovery_step_median,
        "diverged": found.diverged,
        "runs": found.settings.runs,
    }
    names = [str(s) for s in overlaps(model)]
    count = len(found.steps)
    means = [found.m_mean.reshape(count, -1), found.eps_mean]
    deviations = [found.m_std.reshape(count, -1), found.eps_std]
    picks = sorted({round(i * (count - 1) / (_SHOWN_STEPS - 1)) for i in range(_SHOWN_STEPS)})
    table = [["step", "t", *names]]
    for i in picks:
        pairs = zip([*means[0][i], *means[1][i]], [*deviations[0][i], *deviations[1][i]], strict=True)
        table.append([str(found.steps[i]), f"{found.time[i]:.5g}", *(f"{a:.5f} +- {b:.5f}" for a, b in pairs)])
    widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
    rows: list[Row] = [*target_rows(question.target), ("overlaps", lines)]
    rows.append(("replicas", f"{found.settings.runs}: mean +- standard deviation  (t = gamma * step / d)"))
    if found.recovered is not None:
        median = found.recovery_step_median
        when = "half of them do not within these steps" if median is None else f"median step {median:.6g}"
        rows.append(("recovered", f"{100 * found.recovered:.4g}% reach {found.settings.threshold:g}: {when}"))
    if found.diverged:
        rows.append(("diverged", f"{found.diverged} ended as nan and are left out: lower --rate"))
    return Answer(data, rows)


# ---- gain --------------------------------------------------------------------------------------


@click.command(short_help="Tied against untied networks.")
@target_options
@click.option("--activation", required=True, metavar="NAME|FORMULA", help=f"{', '.join(ACTIVATIONS)}, or sigma(u).")
@plot_option
@output_options
def gain(
    activation: str, plot: str | None, as_json: bool, as_latex: bool, output: str | None, **texts: Any
) -> None:  # fmt: skip
    """How many times longer an untied network needs than a tied one to recover the target (Thm 2).

    The gains are 0 where only the untied network escapes, and null where neither does or it is open.  The figure has
    the flows of both networks (Prop. 2) from overlaps 0.001 on every token, and when they recover.

    \b
    Example: sie-sym gain --activation relu -g "sum(l, 1, 5, He(2, z[l]))"
    """
    from sie_sym.gain import gain as compare

    if plot is not None:
        from sie_sym.plot import check_path

        check_path(plot)
    question = Question(**texts, model_text="tied", activation=activation)
    sigma = question.model.activation
    assert sigma is not None
    found = compare(question.target, sigma)
    if plot is not None:
        from sie_sym.plots.dynamics import plot_gain

        plot_gain(question.target, sigma, plot, predicted=f" (Thm 2: {_number(found.gain_equal_rate)})")
    emit(gain_answer(found, question), as_json, as_latex, output)


_GAINS = {
    "gain_equal_rate": "at equal learning rates",
    "gain_optimal_rate": "with the rates ~ 1/t of Thm 2",
    "gain_stability_limit": "with both rates at the limit of stability",
}


def gain_answer(found: Gain, question: Question) -> Answer:
    """The command `gain`; what is known by an interval only is null, its interval under `bounds`."""
    from sie_sym.digits import shown

    values: dict[str, CertifiedValue | None] = {"operator_norm": found.operator_norm, "rho": found.rho}
    values |= {name: getattr(found, name) for name in _GAINS}
    exact = {name: _exact(value) for name, value in values.items()}
    bounds = {name: [value.lower, value.upper] for name, value in values.items() if value and value.value is None}
    data = {
        "sie": found.sie,
        "contraction": str(found.contraction),
        "activation_coefficient": shown(found.activation_coefficient),
        **exact,
        "odeco": found.odeco,
        "visible": found.visible,
        "tied_escapes": found.tied_escapes,
        "untied_escapes": found.untied_escapes,
        "tied_exponent": found.tied_exponent,
        "bounds": bounds,
        "parameter_counting": found.parameter_counting,
        "reason": found.reason,
        "evidence": found.evidence.value,
    }
    s, yes = found.sie, {True: "yes", False: "no", None: "undecided"}
    rows: list[Row] = [
        *target_rows(found.target),
        ("sigma(u)", str(found.activation)),
        ("SIE", str(s)),
        (f"S_{s}", f"{found.contraction}  (the tied network sees the sum of the entries of C_{s})"),
        (f"c_{s}", f"{shown(found.activation_coefficient)}  (E sigma(u) He({s}, u))"),
        (f"||C_{s}||_op", f"{_number(found.operator_norm)}  (odeco: {yes[found.odeco]})"),
        ("gain", [f"{_number(values[name])}  {words}" for name, words in _GAINS.items()]),
        ("visible", f"{yes[found.visible]}: {found.reason}"),
        ("evidence", found.evidence.value),
    ]
    return Answer(data, rows, (found,))


def _exact(value: CertifiedValue | None) -> str | None:
    return None if value is None or value.value is None else str(value.value)


def _number(value: CertifiedValue | None) -> str:
    from sie_sym.digits import outwards

    if value is None:
        return "none"
    return str(value.value) if value.value is not None else "between {} and {}".format(*outwards(*value.bounds))


__all__ = [
    "emit_plain",
    "file_option",
    "gain",
    "gram_matrix",
    "gram_option",
    "json_option",
    "progress",
    "sgd",
    "simulated",
]
