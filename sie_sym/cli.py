"""The command line `sie-sym`, also `python -m sie_sym`.

Exit code 0, 1 for a failed check, 2 for bad input with one line on stderr; 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from sie_sym.commands.answer import emit
from sie_sym.commands.check import check
from sie_sym.commands.derive import derive
from sie_sym.commands.dynamics import gain, gram_matrix, gram_option, sgd
from sie_sym.commands.options import Question, model_options, output_options, point, target_options
from sie_sym.commands.report import report
from sie_sym.commands.sweep import sweep
from sie_sym.errors import SieSymError

BAD_INPUT = 2
INTERRUPTED = 130


class Commands(click.Group):
    """A group whose errors are one line on stderr, never a traceback."""

    def main(self, args: Any = None, prog_name: Any = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """As click's, with this project's exit codes."""
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "sie-sym"
            _fail(f"{_one_line(error.format_message())} (see {where} --help)", BAD_INPUT)
        except click.ClickException as error:
            _fail(_one_line(error.format_message()), BAD_INPUT)
        except SieSymError as error:
            _fail(_one_line(str(error)), BAD_INPUT)
        except (RecursionError, MemoryError) as error:
            _fail(f"the formulas are too large ({type(error).__name__}): write smaller ones", BAD_INPUT)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", INTERRUPTED)
        except BrokenPipeError:
            _discard_output()
            sys.exit(0)
        except OSError as error:
            _discard_output()
            _fail(f"cannot write the output: {(error.strerror or str(error)).lower()}", BAD_INPUT)

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> click.Context:
        """As click's, which would end `--help` into a closed pipe with exit code 1."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            _discard_output()
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """As click's, which would end a closed pipe with exit code 1 and Ctrl-C with an empty line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except BrokenPipeError:
            _discard_output()
            ctx.exit(0)


def _discard_output() -> None:
    """The reader has gone, or the disk is full: nothing may be written at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _fail(message: str, code: int) -> None:
    click.echo(f"sie-sym: {message}", err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sie-sym", prog_name="sie-sym")
def main() -> None:
    """Symbolic derivations for sequence single-index models and single-layer attention (arXiv:2506.02651).

    \b
    Formulas: tokens z1, z2, ...; + - * / ^; He(k, x) (probabilists'), he(k, x) = He/sqrt(k!); exp log sin cos tan
    sinh cosh tanh sqrt abs sign step relu erf Phi sigmoid softplus gelu min max pi; softmax(k, x1, .., xn), its k-th
    entry; sum(l, 1, 100, He(2, z[l])), prod(l, 2, 30, 1 + z[l]); [[..],[..]] for matrices; any other name is a real
    parameter; decimals are exact.
    @NAME is a target of the paper: sie-sym targets.

    \b
    Example: sie-sym sie -g "4/3 + He(4,z1) + 2*He(4,z2)"
    """


@main.command(short_help="The exponent of a target, its proof and strata.")
@target_options
@output_options
def sie(as_json: bool, as_latex: bool, output: str | None, **texts: Any) -> None:
    """The sequence information exponent of a target (Def. 2), its proof, and its strata in the parameters.

    \b
    Example: sie-sym sie -g "He(1,z1)*He(4,z2) + He(2,z3)*He(2,z4)"
    """
    from sie_sym.commands.expansion import exponent_answer
    from sie_sym.exponents import information_exponent

    emit(exponent_answer(information_exponent(Question(**texts).target)), as_json, as_latex, output)


@main.command(short_help="The Hermite coefficients of a target.")
@target_options
@click.option("--order", type=click.IntRange(0, 64), default=4, show_default=True, metavar="K", help="Largest |alpha|.")
@output_options
def expand(order: int, as_json: bool, as_latex: bool, output: str | None, **texts: Any) -> None:
    """The Hermite coefficients C_alpha = E[g He_alpha] that are not zero, and the transform G g they come from.

    \b
    Example: sie-sym expand -g "relu(z1)*z2" --order 3
    """
    from sie_sym.commands.expansion import expansion_answer
    from sie_sym.expansion import HermiteExpansion

    target = Question(**texts).target
    expansion = HermiteExpansion.of(target.components, target.tokens)
    emit(expansion_answer(target, expansion, order), as_json, as_latex, output)


@main.command(short_help="The population loss in closed form, or its value.")
@target_options
@model_options
@click.option("--at", metavar="POINT", help="Evaluate at m=.3,eps=.2 (all statistics).")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it: .png, .svg or .pdf.")
@output_options
def loss(
    at: str | None, plot: str | None, as_json: bool, as_latex: bool, output: str | None, **texts: Any
) -> None:  # fmt: skip
    """The population loss R(m, eps) = E |g(z*) - phi(z)|^2 in closed form (eq. 9), its value at a point, its picture.

    \b
    Example: sie-sym loss --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,-1 --at m=.3,eps=.2
    """
    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.commands.output import loss_answer

    question = NumericalQuestion(**texts)
    if plot is not None:
        from sie_sym.plot import check_path
        from sie_sym.plots.surface import plot_surface

        check_path(plot)
        plot_surface(question.numbers, plot)
    where = None if at is None else point(at, question.model.statistics, "--at")
    emit(loss_answer(question, where, plot is not None), as_json, as_latex, output)


@main.command(short_help="The landscape at initialization.")
@target_options
@model_options
@output_options
def hessian(as_json: bool, as_latex: bool, output: str | None, **texts: Any) -> None:
    """The landscape at initialization: gradient, Hessian, flatness and escape index, visibility (Prop. 1).

    \b
    Example: sie-sym hessian --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2
    """
    from sie_sym.commands.landscape import landscape_answer
    from sie_sym.commands.numbers import NumericalQuestion

    emit(landscape_answer(NumericalQuestion(**texts)), as_json, as_latex, output)


@main.command(short_help="Integrate the flow of the overlaps from a start.")
@target_options
@model_options
@click.option("--start", required=True, metavar="POINT", help="Where the flow starts: m=.01,eps=.01.")
@click.option("--time", "horizon", type=float, required=True, metavar="T", help="How long, in t = gamma * step / d.")
@click.option("--rate", type=float, default=0.0, metavar="GAMMA", help="Learning rate (default: 0, gradient flow).")
@gram_option
@click.option("--recovery", type=float, metavar="ETA", help="Stop at weak recovery, |(e, m)| >= ETA, e = C eps.")
@click.option("--samples", type=click.IntRange(2, 100_000), default=200, show_default=True, help="Times reported.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it: .png, .svg or .pdf.")
@output_options
def flow(
    start: str, horizon: float, rate: float, gram: str | None, recovery: float | None, samples: int, plot: str | None,
    as_json: bool, as_latex: bool, output: str | None, **texts: Any,
) -> None:  # fmt: skip
    """Integrate ds/dt = -(1 - s s^T) grad R - (gamma/2) V s from a start, s = (m, eps) (eq. 11 and 28).

    With --gram Gamma in the place of 1 (App. F.3).

    \b
    Example: sie-sym flow --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 \\
                 --start m=.01,eps=.3 --time 2 --plot flow.png
    """
    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.commands.output import flow_answer
    from sie_sym.flow import gradient_flow
    from sie_sym.sampled_flow import flow_errors

    if plot is not None:
        from sie_sym.plot import check_path

        check_path(plot)
    question = NumericalQuestion(**texts)
    question.require_numbers()
    states = [
        float(value) for value in point(start, question.model.statistics, "--start", in_ball=gram is None).values()
    ]
    numbers = question.numbers
    variance = question.noise if rate > 0 else None
    matrix = gram_matrix(gram)
    result = gradient_flow(
        numbers, states, horizon, rate=rate, variance=variance, gram=matrix, recovery=recovery,
        encoding=question.model.encoding, samples=samples,
    )  # fmt: skip
    if plot is not None:
        from sie_sym.plot import plot_flow

        plot_flow(result, numbers, plot, disk=gram is None)
    errors = flow_errors(result, numbers, rate=rate, variance=variance, gram=matrix)
    emit(flow_answer(result, question, rate, matrix, errors), as_json, as_latex, output)


@main.command("phase-diagram", short_help="The phases of the positional-semantic model.")
@click.option("--a", "scale", default="1", show_default=True, metavar="A", help="The positional scale a > 0.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw Fig. 4: .png, .svg or .pdf.")
@output_options
def phases(scale: str, plot: str | None, as_json: bool, as_latex: bool, output: str | None) -> None:
    """The phases of the positional-semantic model along omega in [0, 1] (section 4, Fig. 4, App. F).

    The target mixes semantic and positional attention with the weight omega, see @positional-semantic.

    \b
    Example: sie-sym phase-diagram --a 0.76
    """
    from sie_sym.commands.output import phases_answer
    from sie_sym.parse import parse_number
    from sie_sym.phase_regions import phase_line

    if plot is not None:
        from sie_sym.plot import check_path
        from sie_sym.plots.phases import plot_phases

        check_path(plot)
    found = phase_line(float(parse_number(scale)))
    if plot is not None:
        plot_phases(plot, mark=found.a)
    emit(phases_answer(found), as_json, as_latex, output)


@main.command(short_help="The targets of the paper by name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def targets(as_json: bool) -> None:
    """The targets of the paper that have a name.

    \b
    Example: sie-sym targets; sie-sym sie -g @fig2
    """
    from sie_sym.commands.output import targets_answer
    from sie_sym.paper_targets import named_targets

    emit(targets_answer(named_targets()), as_json, False, None)


for command in (sgd, gain, check, sweep, derive, report):
    main.add_command(command)

__all__ = ["main"]
