"""The command `report`: all that can be derived of a target, and of a model on it, as one page."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click
from click.core import ParameterSource

from sie_sym.commands.options import optional_model_options, target_options


@click.command(short_help="All of it as one self-contained page.")
@target_options
@optional_model_options
@click.option("--start", metavar="POINT",
              help="Where the flow starts (default: 0.01 in each, on the side of an odd escape).")  # fmt: skip
@click.option("--recovery", type=click.FloatRange(0, 1, min_open=True), default=0.1, show_default=True, metavar="ETA",
              help="Weak recovery is |(e, m)| >= ETA, e = C eps.")  # fmt: skip
@click.option("--coefficients", type=click.IntRange(0, 64), metavar="K",
              help="Last order of the table of coefficients (default: the SIE, between 4 and 8).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object: what the page has.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="FILE.html", help="The page.")
@click.pass_context
def report(
    ctx: click.Context, /, start: str | None, recovery: float, coefficients: int | None, output: str, as_json: bool,
    **texts: Any,
) -> None:  # fmt: skip
    """Write one page of HTML that needs no network: formulas with their LaTeX, proofs, tables, figures.

    Without --model it is about the target alone.  What cannot be computed is there with the reason.

    \b
    Example: sie-sym report --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 -o page.html
    """
    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.commands.output import Answer, Row, emit
    from sie_sym.commands.report_sections import Report
    from sie_sym.files import write_atomically
    from sie_sym.plot import require_matplotlib
    from sie_sym.report import Page, Section, check_report_path

    check_report_path(output)
    untied = (texts["model_text"] or "").strip() == "untied"
    question = NumericalQuestion(**{**texts, **({"model_text": "tied"} if untied else {})})
    if question.model_text is not None:
        require_matplotlib()
    made: list[Section] = []
    # What is wrong with the question itself is an error, not a page that says so.
    found = Report(question, start, recovery, coefficients, untied)
    found.require_readable()
    terminal = sys.stderr.isatty()
    for title, make in found.sections():
        if terminal:
            click.echo(f"\r\x1b[K{title}", err=True, nl=False)
        made.append(make())
    if terminal:
        click.echo("\r\x1b[K", err=True, nl=False)
    model = "" if question.model_text is None else f", model {texts['model_text'].strip()}"
    page = Page(f"Target {question.target_text.strip()}{model}", tuple(made), tuple(found.summary), command_line(ctx))
    write_atomically(output, page.html())
    labels = [{"title": s.title, "evidence": None if s.evidence is None else s.evidence.value,
               "missing": s.notes[0] if s.missing else None} for s in made]  # fmt: skip
    rows: list[Row] = [("page", output)]
    for s in made:
        known = s.notes[0] if s.missing else "" if s.evidence is None else s.evidence.value
        rows.append((s.title, known))
    emit(Answer({"file": output, "sections": labels}, rows), as_json, False, None)


def command_line(ctx: click.Context) -> str:
    """The command that was given, with its options as they were given, for a POSIX shell."""
    words = ["sie-sym", ctx.info_name or ""]
    for option in ctx.command.params:
        if option.name is None or ctx.get_parameter_source(option.name) is not ParameterSource.COMMANDLINE:
            continue
        value = ctx.params[option.name]
        name = max(option.opts, key=len)
        for each in value if isinstance(value, tuple) else (value,):
            if each is True:
                words.append(name)
            else:
                # A value that starts with a minus must not look like an option.
                words += [f"{name}={each}"] if str(each).startswith("-") else [name, str(each)]
    return shlex.join(words)


__all__ = ["command_line", "report"]
