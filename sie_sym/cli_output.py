"""What the commands answer: each result as JSON (the public keys of the command line), as text, and as LaTeX.

Exact numbers are strings ("4 - 4*m**2"), values are floats.  Nothing is cut silently: what is too long to print is
left out whole, and the answer says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sie_sym.errors import SieSymError, TruncationError

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.cli_numbers import NumericalQuestion
    from sie_sym.evidence import Evidence
    from sie_sym.expansion import HermiteExpansion
    from sie_sym.exponents import InformationExponent
    from sie_sym.flow import Flow
    from sie_sym.hermite import MultiIndex
    from sie_sym.paper_targets import NamedTarget
    from sie_sym.phase_regions import PhaseLine
    from sie_sym.target import Target

_TEXT_ROWS = 40
_DIGITS = 12

Row = tuple[str, str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """A result in its three forms; `results` are what the LaTeX shows."""

    data: Mapping[str, Any]
    rows: Sequence[Row]
    results: Sequence[object] = field(default=())

    def json(self) -> str:
        """One JSON object."""
        return json.dumps(self.data, allow_nan=False)

    def text(self, styled: bool = False) -> str:
        """A label and its lines, aligned; labels are bold where `styled`."""
        width = max((len(label) for label, _ in self.rows), default=0)
        lines = []
        for label, value in self.rows:
            values = [value] if isinstance(value, str) else list(value)
            for number, line in enumerate(values):
                shown = (label if number == 0 else "").ljust(width)
                lines.append(f"{click.style(shown, bold=True) if styled else shown}  {line}".rstrip())
        return "\n".join(lines)

    def latex(self) -> str:
        """The formulas, with their conventions in comment lines."""
        from sie_sym.latex import latex

        return "\n".join(latex(result) for result in self.results)

    def write(self, path: str) -> None:
        """The answer as a file: a LaTeX document, JSON or text by its extension."""
        from sie_sym.files import write_atomically

        kind = Path(path).suffix
        if kind == ".tex":
            from sie_sym.latex import latex_document

            content = latex_document(self.results)
        elif kind == ".json":
            content = self.json() + "\n"
        elif kind == ".txt":
            content = self.text() + "\n"
        else:
            raise SieSymError(f"cannot write {path}: unknown extension {kind!r}; choose .tex, .json or .txt")
        write_atomically(path, content)


def emit(answer: Answer, as_json: bool, as_latex: bool, output: str | None) -> None:
    """Write to the file asked for, then to standard output."""
    if as_json and as_latex:
        raise SieSymError("--json and --latex exclude each other: choose one (and -o FILE.tex for a document)")
    if output is not None:
        answer.write(output)
    if as_json:
        click.echo(answer.json())
    elif as_latex:
        click.echo(answer.latex())
    else:
        click.echo(answer.text(styled=True))


# ---- pieces ------------------------------------------------------------------------------------


def _components(values: Sequence[Any]) -> str | list[str]:
    """One string for a scalar, a list for several outputs."""
    from sie_sym.digits import shown

    texts = [shown(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def _entries(table: Mapping[MultiIndex, Sequence[sp.Expr]], tokens: int) -> dict[str, str | list[str]]:
    """{"[1, 4]": value} in dense multi-indices."""
    from sie_sym.hermite import dense

    return {str(dense(alpha, tokens)): _components(values) for alpha, values in table.items()}


def _marked(
    entries: Mapping[str, str | list[str]], table: Mapping[MultiIndex, Sequence[sp.Expr]], known: Evidence
) -> dict[str, str | list[str]]:
    """The entries, those shown as decimals marked where they are worth less than the answer's own label."""
    from sie_sym.evidence import weakest
    from sie_sym.gaussian import evidence_of

    def mark(text: str, value: sp.Expr) -> str:
        own = evidence_of([value])
        return f"{text}  ({own.value})" if text != str(value) and weakest([own, known]) is not known else text

    marked: dict[str, str | list[str]] = {}
    for (alpha, texts), values in zip(entries.items(), table.values(), strict=True):
        listed = [texts] if isinstance(texts, str) else texts
        marked[alpha] = [mark(text, value) for text, value in zip(listed, values, strict=True)]
    return marked


def target_rows(target: Target) -> list[Row]:
    name = f"g {target.name}" if target.name else "g(z)"
    return [(name, [str(component) for component in target.components])]


def _listed(entries: Mapping[str, str | list[str]], omitted: str | None) -> list[str]:
    lines = [f"{alpha}: {value if isinstance(value, str) else ', '.join(value)}" for alpha, value in entries.items()]
    if len(lines) > _TEXT_ROWS:
        lines = [*lines[:_TEXT_ROWS], f"... and {len(lines) - _TEXT_ROWS} more (--json prints all)"]
    return [*lines, *([omitted] if omitted else [])]


def _about(target: Target, conditions: Sequence[sp.Expr]) -> dict[str, Any]:
    return {
        "tokens": target.tokens,
        "parameters": [str(p) for p in target.parameters],
        "conditions": [f"{condition} > 0" for condition in conditions],
    }


def _when(conditions: Sequence[sp.Expr]) -> list[Row]:
    return [("valid where", [f"{condition} > 0" for condition in conditions])] if conditions else []


# ---- the answers -------------------------------------------------------------------------------


def exponent_answer(found: InformationExponent) -> Answer:
    """The command `sie`."""
    from sie_sym.tables import leading_entries

    entries: dict[str, str | list[str]] = {}
    marked: dict[str, str | list[str]] = {}
    omitted = None
    try:
        table = leading_entries(found)
        entries = _entries(table, found.target.tokens)
        marked = _marked(entries, table, found.evidence)
    except TruncationError as error:
        omitted = str(error)
    strata = [{"sie": s.exponent, "when": s.when, **({"note": s.note} if s.note else {})} for s in found.strata]
    samples = found.samples
    conditions = found.expansion.conditions
    data = {
        "sie": found.exponent,
        "evidence": found.evidence.value,
        "tensor": entries,
        **({"tensor_omitted": omitted} if omitted else {}),
        "strata": strata or [{"sie": found.exponent, "when": "always"}],
        "samples": None if samples is None else {"proved": samples.proved, "sharp": samples.sharp},
        "reasons": list(found.reasons),
        **_about(found.target, conditions),
    }
    rows: list[Row] = [
        *target_rows(found.target),
        ("SIE", f"{'none' if found.exponent is None else found.exponent}  ({found.evidence.value})"),
        ("proof", found.reasons),
    ]
    if found.exponent is not None:
        rows.append((f"C_{found.exponent}", _listed(marked, omitted)))
    if found.strata:
        lines = [f"{'none' if s['sie'] is None else s['sie']}: {s['when']}" for s in strata]
        notes = [f" ({s['note']})" if "note" in s else "" for s in strata]
        rows.append(("strata", [line + note for line, note in zip(lines, notes, strict=True)]))
    if samples is not None:
        rates = samples.proved if samples.proved == samples.sharp else f"{samples.proved} proved, {samples.sharp} sharp"
        rows.append(("samples", f"{rates}  (up to constants, Thm 1)"))
    return Answer(data, [*rows, *_when(conditions)], (found,))


def expansion_answer(target: Target, expansion: HermiteExpansion, order: int) -> Answer:
    """The command `expand`."""
    from sie_sym.gaussian import evidence_of
    from sie_sym.tables import Coefficients

    table, omitted = Coefficients(expansion, order), None
    entries: dict[str, str | list[str]] = {}
    evidence = evidence_of(())
    try:
        entries = _entries(table.entries, target.tokens)
        evidence = evidence_of(value for row in table.entries.values() for value in row)
    except TruncationError as error:
        omitted = str(error)
    transforms = [transform.expression() for transform in expansion.transforms]
    data = {
        "coefficients": entries,
        **({"coefficients_omitted": omitted} if omitted else {}),
        "transform": _components(transforms),
        "evidence": evidence.value,
        "order": order,
        **_about(target, expansion.conditions),
    }
    zeros = [] if omitted else [f"all others to order {order} are zero"]
    rows: list[Row] = [
        *target_rows(target),
        ("G g(z)", [str(transform) for transform in transforms]),
        ("C_alpha", [*_listed(entries, omitted), *zeros]),
        ("evidence", evidence.value),
    ]
    return Answer(data, [*rows, *_when(expansion.conditions)], (table,))


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
    return Answer(data, [*rows, ("evidence", evidence.value)], () if loss is None else (loss,))


def flow_answer(
    flow: Flow, question: NumericalQuestion, rate: float, gram: Sequence[Sequence[float]] | None = None
) -> Answer:
    """The command `flow`: its equations where they have a closed form."""
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
    picks = sorted({round(i * (len(flow.t) - 1) / 10) for i in range(11)})
    table = [["t", *columns, "R"]]
    table += [[f"{flow.t[i]:.6g}", *(f"{c[i]:.6g}" for c in columns.values()), f"{flow.losses[i]:.6g}"] for i in picks]
    widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
    rows: list[Row] = [*target_rows(question.target), ("flow", lines)]
    rows.append(("ended", f"{flow.ended} at t = {flow.t[-1]:.6g}  (t = gamma * step / d)"))
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
    rows: list[Row] = [
        ("a", f"{found.a:g}"),
        ("omega at", lines),
        ("regions", [f"{r.low:.6f} to {r.high:.6f}  {r.name}" for r in found.regions]),
        ("evidence", f"{found.evidence.value}, boundaries to {found.error:.0e}"),
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
    "emit",
    "expansion_answer",
    "exponent_answer",
    "flow_answer",
    "loss_answer",
    "phases_answer",
    "targets_answer",
]
