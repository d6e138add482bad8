"""What the command `hessian` answers, proved or numerical."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sie_sym.commands.output import Answer, Row, target_rows

if TYPE_CHECKING:
    from sie_sym.commands.numbers import NumericalQuestion
    from sie_sym.landscape import Landscape
    from sie_sym.numerical_landscape import NumericalLandscape


def landscape_answer(question: NumericalQuestion) -> Answer:
    """The command `hessian`."""
    from sie_sym.landscape import Landscape
    from sie_sym.typesetting.plain_printer import PlainText

    found = question.landscape()
    gradient, hessian, more = _exact(found) if isinstance(found, Landscape) else _numerical(found)
    told, table = gradient, hessian
    if isinstance(found, Landscape):
        in_plain_text = PlainText(found.hessian)
        table = [[in_plain_text(entry) for entry in row] for row in hessian]
    elif found.loss.replicates:
        told, table = _sampled(found)
    escape, visible = found.escape, found.visible
    direction = None if escape.direction is None else [_entry(c) for c in escape.direction]
    note = _visibility_note(question, found)
    reasons = [f"escape: {escape.reason}", f"visible exponent: {visible.reason}", *([note] if note else [])]
    data = {
        "statistics": [str(s) for s in found.statistics],
        "gradient": gradient,
        "hessian": hessian,
        **more,
        "flatness_index": found.flatness_index,
        "escape_index": escape.order,
        "escape_direction": direction,
        "escapes": escape.kind,
        "visible_exponent": visible.exponent,
        "evidence": found.evidence.value,
        "reasons": reasons,
    }
    widths = [max(len(row[j]) for row in table) for j in range(len(table))]
    if escape.order is not None:
        along = "direction undecided" if direction is None else f"{escape.kind}, along ({', '.join(direction)})"
        leaves = f"{escape.order}, {along}: {escape.reason}"
    else:
        leaves = f"{'none' if escape.proved else 'undecided'}: {escape.reason}"
    seen = ("none" if visible.proved else "undecided") if visible.exponent is None else str(visible.exponent)
    rows: list[Row] = [
        *target_rows(question.target),
        ("statistics", f"({', '.join(map(str, found.statistics))})"),
        ("gradient", f"({', '.join(told)})"),
        ("Hessian", ["[ " + "  ".join(e.rjust(w) for e, w in zip(row, widths, strict=True)) + " ]" for row in table]),
        ("flatness index", "none" if found.flatness_index is None else str(found.flatness_index)),
        ("escape index", leaves),
        ("visible exponent", [f"{seen}: {visible.reason}", *([note] if note else [])]),
        ("evidence", found.evidence.value),
    ]
    return Answer(data, rows, (found,), [*found.hessian, *found.gradient] if isinstance(found, Landscape) else ())


Parts = tuple[list[str], list[list[str]], dict[str, Any]]


def _entry(entry: Any) -> str:
    from sie_sym.digits import shown

    return shown(entry)


def _exact(found: Landscape) -> Parts:
    """Entries by digits where they keep integrals, and then as they are, too."""
    entries = [list(found.hessian.row(i)) for i in range(found.hessian.rows)]
    hessian = [[_entry(e) for e in row] for row in entries]
    exact = [[str(e) for e in row] for row in entries]
    return [_entry(e) for e in found.gradient], hessian, {} if exact == hessian else {"hessian_exact": exact}


def _numerical(found: NumericalLandscape) -> Parts:
    """Entries to the digits that their errors leave, those of samples to some more: their error stands beside them."""
    from sie_sym.digits import decimal

    def text(value: float, error: float) -> str:
        return decimal(value, error / 1000 if found.loss.replicates else error) if abs(value) > error else "0"

    gradient = [text(*pair) for pair in zip(found.gradient, found.gradient_error, strict=True)]
    rows = zip(found.hessian, found.hessian_error, strict=True)
    hessian = [[text(*pair) for pair in zip(*row, strict=True)] for row in rows]
    errors = {"gradient_error": found.gradient_error.tolist(), "hessian_error": found.hessian_error.tolist()}
    return gradient, hessian, errors


def _sampled(found: NumericalLandscape) -> tuple[list[str], list[list[str]]]:
    """Gradient and Hessian with their confidence half-widths; what is 0 in every sample is 0."""
    from sie_sym.digits import plus_minus

    def text(value: float, error: float) -> str:
        return "0" if value == error == 0 else plus_minus(value, error)

    gradient = [text(*pair) for pair in zip(found.gradient, found.gradient_error, strict=True)]
    rows = zip(found.hessian, found.hessian_error, strict=True)
    return gradient, [[text(*pair) for pair in zip(*row, strict=True)] for row in rows]


def _visibility_note(question: NumericalQuestion, found: Landscape | NumericalLandscape) -> str | None:
    """What the exponent of the target says that the model does not see (Prop. 1 needs a rich model)."""
    from sie_sym.errors import NoClosedForm
    from sie_sym.exponents import information_exponent

    try:
        exponent = information_exponent(question.target).exponent
    except NoClosedForm:
        return None
    seen = found.visible
    if exponent is None or seen.exponent == exponent or (seen.exponent is None and not seen.proved):
        return None
    if seen.exponent is None:
        return f"the target has SIE {exponent}, but this model never sees it (Prop. 1 needs a richer phi)"
    return f"the target has SIE {exponent}, but this model sees it only at order {seen.exponent} (Prop. 1)"


__all__ = ["landscape_answer"]
