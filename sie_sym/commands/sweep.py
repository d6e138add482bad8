"""The command `sweep`: a grid of tasks from options, run on this machine or on a cluster."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sie_sym.commands.dynamics import json_option, progress
from sie_sym.commands.options import ACTIVATIONS, INJECTION_HELP, MODELS, REDUCTION_HELP, split
from sie_sym.commands.output import Answer, Row, emit
from sie_sym.errors import FormulaError, SieSymError

if TYPE_CHECKING:
    from sie_sym.task import Task

KINDS = ("sie", "hessian", "flow", "sgd")
_MOST_TASKS = 10_000_000
_SHOWN_ERRORS = 3


@click.command(short_help="Many tasks on all cores, or on a cluster; resumes.")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-g", "--target", "target", metavar="FORMULA|@NAME", help="The target g(z1..zL).")
@click.option("--tokens", type=click.IntRange(1), metavar="L", help="Sequence length (default: largest token).")
@click.option("--model", metavar="NAME|FORMULA", help=f"{', '.join(MODELS)}, or phi(z1..zL).")
@click.option("--activation", metavar="NAME|FORMULA", help=f"{', '.join(ACTIVATIONS)}, or sigma(u).")
@click.option("--reduction", metavar="NAME|MAP", help=REDUCTION_HELP)
@click.option("--encoding", metavar="C", help="Positional encoding: 1,-1 (columns separated by ;).")
@click.option("--inject", metavar="C", help=INJECTION_HELP)
@click.option("--param", "fixed", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; repeatable.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A setting of all tasks: dimension, rate, steps, runs, start, time, ...; repeatable.")  # fmt: skip
@click.option("--over", "axes", multiple=True, metavar="NAME=V1,V2,..",
              help="An axis: a setting, a parameter or an option above; separate values that have commas by |, "
              "or give integers as 0..99; repeatable.")  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="JSON lines, a row a task; an existing one is continued.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), metavar="W", help="Processes (default: one a core).")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the dask cluster of tcp://HOST:8786.")
@click.option("--retry-failed", is_flag=True, help="Run the tasks again that failed before.")
@json_option
def sweep(
    kind: str, fixed: Sequence[str], settings: Sequence[str], axes: Sequence[str], output: str,
    workers: int | None, scheduler: str | None, retry_failed: bool, as_json: bool, **texts: Any,
) -> None:  # fmt: skip
    """Run a grid of tasks (sie, hessian, flow or sgd) and stream a row each to a file.

    Killed at any moment, the same call goes on where it stopped.  Exit code 1 if the file has rows of failed tasks.

    \b
    Example: sie-sym sweep sgd --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 -o fig.jsonl \\
                 --set rate=.01 --set steps=2e4 --set runs=10 --over dimension=1e3,1e6 --over seed=0..9
    """
    from sie_sym.sweep import dask_executor, read_rows, run_sweep

    tasks = sweep_tasks(kind, texts, fixed, settings, axes)
    with contextlib.ExitStack() as stack:
        executor = None if scheduler is None else stack.enter_context(dask_executor(scheduler))
        show = stack.enter_context(progress("task"))
        done = run_sweep(tasks, output, executor, workers, show, retry_failed=retry_failed)
    errors = [row["error"] for row in read_rows(output) if row["status"] == "error"]
    data = {
        "tasks": len(tasks),
        "done": done.done,
        "skipped": done.skipped,
        "failed": done.failed,
        "failed_rows": len(errors),
        "file": output,
    }
    rows: list[Row] = [
        ("tasks", f"{len(tasks)}: {done.done} done, {done.failed} failed, {done.skipped} had their rows before"),
        ("file", output),
    ]
    if errors:
        lines = [f"{error['type']}: {error['message']}" for error in errors[:_SHOWN_ERRORS]]
        rest = [f"... and {len(errors) - len(lines)} more"] if len(errors) > len(lines) else []
        rows.append(("failed rows", [*lines, *rest, "--retry-failed runs them again"]))
    emit(Answer(data, rows), as_json, False, None)
    if errors:
        click.get_current_context().exit(1)


def sweep_tasks(
    kind: str, texts: Mapping[str, Any], fixed: Sequence[str], settings: Sequence[str], axes: Sequence[str]
) -> list[Task]:
    """The grid that the options mean: formulas first, then parameters, then settings, which vary fastest."""
    from sie_sym.task import grid

    given: dict[str, Any] = {name: value for name, value in texts.items() if value is not None}
    parameters: dict[str, Any] = dict(_pair(text, "--param") for text in fixed)
    told: dict[str, Any] = {name: _value(value) for name, value in (_pair(text, "--set") for text in settings)}
    if len(parameters) < len(fixed) or len(told) < len(settings):
        raise SieSymError("--param or --set gives a name twice: give it one value, or several with --over")
    known = _setting_names(kind)
    for name, text in (_pair(text, "--over") for text in axes):
        home = given if name in texts else told if name in known else parameters
        if name in home:
            raise SieSymError(f"--over {name[:60]} is given a value elsewhere, too: leave one of them out")
        values = _axis_values(text, name)
        home[name] = values if home is parameters or (home is given and name != "tokens") else [*map(_value, values)]
    if "target" not in given:
        raise SieSymError("a sweep needs a target: pass -g FORMULA, or --over 'target=z1*z2|He(3,z1)'")
    count = 1
    for axis in (*given.values(), *parameters.values(), *told.values()):
        count *= len(axis) if isinstance(axis, list) else 1
    if count > _MOST_TASKS:
        raise SieSymError(f"the grid has {count} tasks: at most {_MOST_TASKS} fit in memory, run it in parts")
    tasks = grid(kind, **given, parameters=parameters, **told)
    if not any(isinstance(value, list) for value in given.values()):
        _read_formulas(tasks[0], parameters)
    return tasks


def _read_formulas(task: Task, parameters: Mapping[str, Any]) -> None:
    """Formulas that all tasks share are read once here, so that a slip is told at once and not once a task."""
    from sie_sym.problem import Problem

    problem = Problem(replace(task.formulas, parameters=()))
    present = {str(p) for p in problem.target.parameters}
    if task.formulas.model is not None:
        present |= {str(p) for p in problem.model.parameters}
    for name in parameters:
        if name not in present:
            known = ", ".join([*sorted(present), *_setting_names(task.kind)])
            raise FormulaError(f"{name[:60]} is neither a parameter nor a setting of {task.kind}: choose {known}")


def _setting_names(kind: str) -> tuple[str, ...]:
    from sie_sym.task import SETTINGS

    return tuple(SETTINGS[kind])


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise SieSymError(f"{option} {text[:60]!r} is not NAME=VALUE: write e.g. {option} rate=0.01")
    return name.strip(), value.strip()


def _axis_values(text: str, name: str) -> list[str]:
    span = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text, re.ASCII)
    if span:
        first, last = int(span[1]), int(span[2])
        if not 0 <= last - first < _MOST_TASKS:
            raise SieSymError(f"--over {name[:60]}={text[:60]} is no range: write e.g. {name[:60]}=0..99")
        return [str(value) for value in range(first, last + 1)]
    values = [value.strip() for value in split(text, "|" if "|" in text else ",")]
    if not all(values):
        raise SieSymError(f"--over {name[:60]} has an empty value: write NAME=V1,V2")
    return values


def _value(text: str) -> str | int | float | bool:
    """A setting as the plain value it means: a number where it is one."""
    from sie_sym.parse import parse_number

    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = parse_number(text)
    except FormulaError:
        return text
    return int(number) if number.is_Integer else float(number)


__all__ = ["sweep", "sweep_tasks"]
