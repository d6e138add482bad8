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

    from sie_sym.expansion import HermiteExpansion
    from sie_sym.exponents import InformationExponent
    from sie_sym.flow import Flow
    from sie_sym.hermite import MultiIndex
    from sie_sym.landscape import Landscape
    from sie_sym.paper_targets import NamedTarget
    from sie_sym.population_loss import PopulationLoss
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


def _unevaluated(entry: Any) -> bool:
    """Whether an entry contains a Gaussian expectation without elementary form."""
    import sympy as sp

    return any(type(node).__name__ == "GaussianExpectation" for node in sp.preorder_traversal(entry))


def _number(entry: Any) -> str:
    """An exact number as it is; one without elementary form by its digits."""
    if _unevaluated(entry) and not entry.free_symbols:
        return str(entry.evalf(_DIGITS))
    return str(entry)


def _components(values: Sequence[Any]) -> str | list[str]:
    """One string for a scalar, a list for several outputs."""
    texts = [_number(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def _entries(table: Mapping[MultiIndex, Sequence[sp.Expr]], tokens: int) -> dict[str, str | list[str]]:
    """{"[1, 4]": value} in dense multi-indices."""
    from sie_sym.hermite import dense

    return {str(dense(alpha, tokens)): _components(values) for alpha, values in table.items()}


def _target_rows(target: Target) -> list[Row]:
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
    omitted = None
    try:
        entries = _entries(leading_entries(found), found.target.tokens)
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
        *_target_rows(found.target),
        ("SIE", f"{'none' if found.exponent is None else found.exponent}  ({found.evidence.value})"),
        ("proof", found.reasons),
    ]
    if found.exponent is not None:
        rows.append((f"C_{found.exponent}", _listed(entries, omitted)))
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
    from sie_sym.evidence import Evidence
    from sie_sym.tables import Coefficients

    table, omitted = Coefficients(expansion, order), None
    entries: dict[str, str | list[str]] = {}
    try:
        entries = _entries(table.entries, target.tokens)
    except TruncationError as error:
        omitted = str(error)
    transforms = [transform.expression() for transform in expansion.transforms]
    data = {
        "coefficients": entries,
        **({"coefficients_omitted": omitted} if omitted else {}),
        "transform": _components(transforms),
        "evidence": Evidence.EXACT.value,
        "order": order,
        **_about(target, expansion.conditions),
    }
    zeros = [] if omitted else [f"all others to order {order} are zero"]
    rows: list[Row] = [
        *_target_rows(target),
        ("G g(z)", [str(transform) for transform in transforms]),
        ("C_alpha", [*_listed(entries, omitted), *zeros]),
        ("evidence", Evidence.EXACT.value),
    ]
    return Answer(data, [*rows, *_when(expansion.conditions)], (table,))


def require_numbers(loss: PopulationLoss) -> None:
    if loss.parameters:
        names = ", ".join(map(str, loss.parameters))
        values = " ".join(f"--param {p}=0.5" for p in loss.parameters)
        raise SieSymError(f"the loss depends on the parameter {names}, a number is needed: pass {values}")


def loss_answer(loss: PopulationLoss, at: Mapping[sp.Symbol, sp.Expr] | None) -> Answer:
    """The command `loss`."""
    value = error = None
    if at is not None:
        require_numbers(loss)
        value, error = loss.value(at)
        error += math.ulp(value)
    data = {
        "loss": str(loss.expression),
        "statistics": [str(s) for s in loss.statistics],
        "value": value,
        "error": error,
        "evidence": loss.evidence.value,
        "order": loss.order,
        "bound": str(loss.bound),
        "parameters": [str(p) for p in loss.parameters],
    }
    rows: list[Row] = [
        *_target_rows(loss.target),
        ("phi(z)", [str(component) for component in loss.model.components]),
        (f"R({', '.join(map(str, loss.statistics))})", str(loss.expression)),
    ]
    if at is not None:
        where = ", ".join(f"{s} = {v}" for s, v in at.items())
        rows.append((f"R at {where}", f"{value!r} +- {error:.1e}"))
    if loss.order is not None:
        rows.append(("|error| <=", f"{loss.bound}  (powers of m above {loss.order} are left out)"))
    return Answer(data, [*rows, ("evidence", loss.evidence.value)], (loss,))


def landscape_answer(found: Landscape) -> Answer:
    """The command `hessian`."""
    escape, visible = found.escape, found.visible
    entries = [list(found.hessian.row(i)) for i in range(found.hessian.rows)]
    hessian = [[_number(entry) for entry in row] for row in entries]
    direction = None if escape.direction is None else [_number(c) for c in escape.direction]
    note = _visibility_note(found)
    reasons = [f"escape: {escape.reason}", f"visible exponent: {visible.reason}", *([note] if note else [])]
    data = {
        "statistics": [str(s) for s in found.statistics],
        "gradient": [_number(slope) for slope in found.gradient],
        "hessian": hessian,
        **(
            {"hessian_exact": [[str(e) for e in row] for row in entries]}
            if any(map(_unevaluated, found.hessian))
            else {}
        ),
        "flatness_index": found.flatness_index,
        "escape_index": escape.order,
        "escape_direction": direction,
        "escapes": escape.kind,
        "visible_exponent": visible.exponent,
        "evidence": found.evidence.value,
        "reasons": reasons,
    }
    widths = [max(len(row[j]) for row in hessian) for j in range(len(hessian))]
    if escape.order is not None and direction is not None:
        leaves = f"{escape.order}, {escape.kind}, along ({', '.join(direction)}): {escape.reason}"
    else:
        leaves = f"{'none' if escape.proved else 'undecided'}: {escape.reason}"
    seen = ("none" if visible.proved else "undecided") if visible.exponent is None else str(visible.exponent)
    rows: list[Row] = [
        *_target_rows(found.loss.target),
        ("statistics", f"({', '.join(map(str, found.statistics))})"),
        ("gradient", f"({', '.join(data['gradient'])})"),  # type: ignore[arg-type]
        ("Hessian", ["[ " + "  ".join(e.rjust(w) for e, w in zip(row, widths, strict=True)) + " ]" for row in hessian]),
        ("flatness index", "none" if found.flatness_index is None else str(found.flatness_index)),
        ("escape index", leaves),
        ("visible exponent", [f"{seen}: {visible.reason}", *([note] if note else [])]),
        ("evidence", found.evidence.value),
    ]
    return Answer(data, rows, (found,))


def _visibility_note(found: Landscape) -> str | None:
    """What the exponent of the target says that the model does not see (Prop. 1 needs a rich model)."""
    from sie_sym.errors import NoClosedForm
    from sie_sym.exponents import information_exponent

    try:
        exponent = information_exponent(found.loss.target).exponent
    except NoClosedForm:
        return None
    seen = found.visible
    if exponent is None or seen.exponent == exponent or (seen.exponent is None and not seen.proved):
        return None
    if seen.exponent is None:
        return f"the target has SIE {exponent}, but this model never sees it (Prop. 1 needs a richer phi)"
    return f"the target has SIE {exponent}, but this model sees it only at order {seen.exponent} (Prop. 1)"


def flow_answer(flow: Flow, loss: PopulationLoss, rate: float) -> Answer:
    """The command `flow`."""
    from sie_sym.latex import FlowEquation

    columns = {str(s): flow.states[:, i].tolist() for i, s in enumerate(flow.statistics)}
    data = {
        "t": flow.t.tolist(),
        **columns,
        **({} if len(columns) > 1 else {"eps": None}),
        "ended": flow.ended,
        "recovery_time": flow.recovery_time,
        "loss": flow.losses.tolist(),
        "rate": rate,
    }
    picks = sorted({round(i * (len(flow.t) - 1) / 10) for i in range(11)})
    table = [["t", *columns, "R"]]
    table += [[f"{flow.t[i]:.6g}", *(f"{c[i]:.6g}" for c in columns.values()), f"{flow.losses[i]:.6g}"] for i in picks]
    widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
    rows: list[Row] = [*_target_rows(loss.target), ("flow", lines)]
    rows.append(("ended", f"{flow.ended} at t = {flow.t[-1]:.6g}  (t = gamma * step / d)"))
    return Answer(data, rows, (FlowEquation(loss, flow, rate),))


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
    "landscape_answer",
    "loss_answer",
    "targets_answer",
]
