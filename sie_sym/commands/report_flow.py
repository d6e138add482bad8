"""The dynamics of a report: the flow from a small start, when it recovers the target, and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import sympy as sp

from sie_sym.commands.numbers import NumericalQuestion
from sie_sym.escape import Escape
from sie_sym.evidence import Evidence
from sie_sym.flow import TIME, Flow, gradient_flow
from sie_sym.latex import FlowEquation
from sie_sym.pages.inline_svg import inline_svg, map_figure, relief_figure
from sie_sym.plot import flow_figure
from sie_sym.plots.surface import surface_figure
from sie_sym.report import Cell, Drawing, Section, Table, section

SMALL = sp.Rational(1, 100)
_LONGEST_TIME = 1e7
_SHOWN_TIME = 1e3
"""How much is drawn of a flow that recovers nothing."""


def small_start(statistics: Sequence[sp.Symbol], escape: Escape | None) -> dict[sp.Symbol, sp.Expr]:
    """0.01 in every statistic; where the escape is of odd order, on its side, as the other side is not left.

    >>> small_start([sp.Symbol("m")], None)
    {m: 1/100}
    """
    if escape is None or escape.order is None or escape.direction is None or escape.order % 2 == 0:
        return dict.fromkeys(statistics, SMALL)
    sides = [-SMALL if (entry < 0) == sp.true else SMALL for entry in escape.direction]
    return dict(zip(statistics, sides, strict=True))


def flow_section(
    question: NumericalQuestion, at: Mapping[sp.Symbol, sp.Expr], eta: float
) -> tuple[Section, str]:  # fmt: skip
    """The section of the gradient flow from a start, and when it has |(e, m)| >= eta, e = C eps (Def. 1), in words."""
    numbers, start = question.numbers, [float(value) for value in at.values()]
    encoding = question.model.encoding
    escape = gradient_flow(numbers, start, _LONGEST_TIME, recovery=eta, encoding=encoding, samples=2)
    horizon = min(float(escape.t[-1]), _SHOWN_TIME) if escape.recovery_time is None else 2.5 * escape.recovery_time
    flow = gradient_flow(numbers, start, horizon or 1.0, samples=400)
    where = ", ".join(f"{s} = {v}" for s, v in at.items())
    equation = flow if question.coupled > 1 else FlowEquation(question.loss, flow, 0.0)
    made = section(equation, "Dynamics", evidence=Evidence.NUMERICAL)
    made = replace(
        made,
        notes=("Gradient flow is the limit of SGD for small learning rates; it is integrated by LSODA with relative "
               "tolerance 1e-11.",),
        formulas=tuple(formula for formula in made.formulas if not formula.latex.startswith("s(0)")),
        tables=(Table(("flow", ""), _rows(escape, flow, where, eta)),),
        drawings=tuple(_drawings(question, flow)),
    )  # fmt: skip
    return made, f"{_recovery(escape)}, from {where}"


def _recovery(escape: Flow) -> str:
    if escape.recovery_time is not None:
        return f"t = {escape.recovery_time:.8g}"
    if escape.ended == TIME:
        return f"not before t = {escape.t[-1]:.6g}"
    return f"never: the flow ends at a {escape.ended}"


def _rows(escape: Flow, flow: Flow, where: str, eta: float) -> tuple[tuple[Cell, ...], ...]:
    end = ", ".join(f"{s} = {v:.6g}" for s, v in zip(flow.statistics, flow.states[-1], strict=True))
    steps = "" if escape.recovery_time is None else ": n = d t / gamma steps at a small rate gamma"
    size = "|m|" if len(flow.statistics) == 1 else "|(e, m)|"
    rows: tuple[tuple[Cell, ...], ...] = (
        ("start", where),
        (f"weak recovery, {size} >= {eta:g}", f"{_recovery(escape)}{steps}"),
        (f"state at t = {flow.t[-1]:.6g}", f"{end}, R = {flow.losses[-1]:.8g}"),
    )
    return rows if flow.ended == TIME else (*rows, ("ended by", flow.ended))


def _drawings(question: NumericalQuestion, flow: Flow) -> Iterator[Drawing]:
    numbers, rank = question.numbers, len(question.model.positional)
    yield Drawing(
        inline_svg(lambda: flow_figure(flow, numbers, disk=False), "flow"),
        "The overlaps and the loss along the gradient flow, in time t = gamma * step / d.",
    )
    if rank == 0:
        yield Drawing(inline_svg(lambda: surface_figure(numbers), "curve"), "The loss R(m) and its minima.")
    elif rank == 1:
        yield Drawing(
            inline_svg(lambda: map_figure(numbers, flow), "map"),
            "The loss over the disk m^2 + eps^2 <= 1 with the lines of the gradient flow, the trajectory, the minima, "
            "and the principal directions of the Hessian at 0.",
        )
        yield Drawing(inline_svg(lambda: relief_figure(numbers), "relief"), "The surface R(m, eps).")


__all__ = ["flow_section", "small_start"]
