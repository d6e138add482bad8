"""What the commands `loss`, `flow`, `phase-diagram` and `targets` answer.

Exact numbers are strings ("4 - 4*m**2"), values are floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sie_sym.commands.answer import Answer, Row, emit, target_rows

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.flow import Flow
    from sie_sym.paper_targets import NamedTarget
    from sie_sym.phase_regions import PhaseLine
    from sie_sym.sampled_flow import FlowErrors

_DIGITS = 12


def loss_answer(question: NumericalQuestion, at: Mapping[sp.Symbol, sp.Expr] | None, drawn: bool = False) -> Answer:
    """The command `loss`.

    An infinite sum of integrals over several tokens takes long to write out and nobody to read: a value or a picture
    comes without it unless an --order is asked for, and says so.
    """
    from sie_sym.evidence import Evidence, weakest

    value = error = None
    omitted = None
    if (at is not None or drawn) and question.coupled > 1 and question.degree is None and question.order is None:
        omitted = f"an infinite sum of integrals over {question.coupled} tokens: --order 12 writes its start out"
    loss = None if omitted else question.loss
    evidence = Evidence.NUMERICAL if loss is None else loss.evidence
    if at is not None:
        value, error, proved = question.value(at)
        error += math.ulp(value)
        evidence = evidence if proved else weakest([evidence, Evidence.NUMERICAL])
    statistics = question.model.statistics
    data = {
        "loss": None if loss is None else str(loss.expression),
        **({"loss_omitted": omitted} if omitted else {}),
        "statistics": [str(s) for s in statistics],
        "value": value,
        "error": error,
        "evidence": evidence.value,
        "order": None if loss is None else loss.order,
        "bound": None if loss is None else str(loss.bound),
        "parameters": [] if loss is None else [str(p) for p in loss.parameters],
    }
    rows: list[Row] = [
        *target_rows(question.target),
        ("phi(z)", [str(component) for component in question.model.components]),
        (f"R({', '.join(map(str, statistics))})", str(loss.expression) if loss is not None else omitted or ""),
    ]
    if at is not None:
        where = ", ".join(f"{s} = {v}" for s, v in at.items())
        rows.append((f"R at {where}", f"{value!r} +- {error:.1e}"))
    if loss is not None and loss.order is not None:
        rows.append(("|error| <=", f"{loss.bound}  (powers of m above {loss.order} are left out)"))
    expressions = () if loss is None else (loss.expression, loss.bound)
    return Answer(data, [*rows, ("evidence", evidence.value)], () if loss is None else (loss,), expressions)


def flow_answer(
    flow: Flow,
    question: NumericalQuestion,
    rate: float,
    gram: Sequence[Sequence[float]] | None = None,
    errors: FlowErrors | None = None,
) -> Answer:
    """The command `flow`: its equations where they have a closed form, the errors of a sampled one."""
    from sie_sym.digits import plus_minus
    from sie_sym.latex import FlowEquation

    results = (flow,) if question.coupled > 1 or gram is not None else (FlowEquation(question.loss, flow, rate),)
    limit = question.gamma_max if rate and gram is None else None
    columns = {str(s): flow.states[:, i].tolist() for i, s in enumerate(flow.statistics)}
    data = {
        "t": flow.t.tolist(),
        **columns,
        **({} if len(columns) > 1 else {"eps": None}),
        "ended": flow.ended,
        "recovery_time": flow.recovery_time,
        "loss": flow.losses.tolist(),
        "rate": rate,
        **({"gamma_max": limit} if rate else {}),
        **({} if gram is None else {"gram": gram}),
    }
    known = [[f"{x:.6g}" for x in row] for row in zip(*columns.values(), flow.losses, strict=True)]
    if errors is not None:
        radii = dict(zip([*columns, "loss"], [*errors.states.T.tolist(), errors.losses.tolist()], strict=True))
        data |= {"error": radii, "evidence": "numerical"}
        listed = [*columns.values(), flow.losses]
        pairs = [[*zip(c, r, strict=True)] for c, r in zip(listed, radii.values(), strict=True)]
        known = [[plus_minus(float(x), r) if r else f"{x:.6g}" for x, r in row] for row in zip(*pairs, strict=True)]
    picks = sorted({round(i * (len(flow.t) - 1) / 10) for i in range(11)})
    table = [["t", *columns, "R"], *([f"{flow.t[i]:.6g}", *known[i]] for i in picks)]
    widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
    rows: list[Row] = [*target_rows(question.target), ("flow", lines)]
    rows.append(("ended", f"{flow.ended} at t = {flow.t[-1]:.6g}  (t = gamma * step / d)"))
    if errors is not None:
        rows.append(("evidence", "numerical: a sampled loss, +- 99.9% confidence"))
    if limit is not None:
        rows.append(("gamma_max", f"{limit:.6g}: above this rate the start is stable (linear stability)"))
    return Answer(data, rows, results)


def phases_answer(found: PhaseLine) -> Answer:
    """The command `phase-diagram`."""
    boundaries = {name: _boundary(value) for name, value in found.boundaries.items()}
    regions = [
        {"name": r.name, "omega": [round(r.low, _DIGITS - 2), round(r.high, _DIGITS - 2)]} for r in found.regions
    ]
    data = {
        "a": found.a,
        "boundaries": boundaries,
        "regions": regions,
        "evidence": found.evidence.value,
        "error": found.error,
    }
    lines = [f"{name.replace('_', ' '):20}{_told(v)}" for name, v in boundaries.items()]
    edges = {round(v, 6) for v in boundaries.values() if v is not None}
    if any(round(r.low, 6) not in {0.0, *edges} for r in found.regions):
        lines.append("of the minima at (1, 0) and (0, 1); other changes below: one that left its corner along the rim")
    accuracy = "the digits shown" if found.error < 5e-11 else f"{found.error:.0e}"
    rows: list[Row] = [
        ("a", f"{found.a:g}"),
        ("omega at", lines),
        ("regions", [f"{r.low:.6f} to {r.high:.6f}  {r.name}" for r in found.regions]),
        ("evidence", f"{found.evidence.value}, boundaries to {accuracy}"),
    ]
    return Answer(data, rows, (found,))


def _told(boundary: float | None) -> str:
    if boundary is None:
        return "none"
    return f"{boundary:.10f}" + ("" if 0 <= boundary <= 1 else "  (outside of [0, 1]: no transition)")


def _boundary(value: float) -> float | None:
    return round(value, _DIGITS - 2) if math.isfinite(value) else None


def targets_answer(targets: Sequence[NamedTarget]) -> Answer:
    """The command `targets`."""
    keys = ("formula", "tokens", "source", "description")
    data = {"targets": [{"name": f"@{t.name}", **{key: getattr(t, key) for key in keys}} for t in targets]}
    rows: list[Row] = [(f"@{t.name}", [t.formula, f"L = {t.tokens}; {t.source}: {t.description}"]) for t in targets]
    return Answer(data, rows)


__all__ = [
    "Answer",
    "Row",
    "emit",
    "flow_answer",
    "loss_answer",
    "phases_answer",
    "target_rows",
    "targets_answer",
]
