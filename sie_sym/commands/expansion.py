"""What `sie` and `expand` answer about a target: its exponent and its Hermite coefficients.

Nothing is cut silently: what is too long to print is left out whole, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sie_sym.commands.answer import Answer, Row, target_rows
from sie_sym.errors import SieSymError, TruncationError

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.evidence import Evidence
    from sie_sym.expansion import HermiteExpansion
    from sie_sym.exponents import InformationExponent
    from sie_sym.hermite import MultiIndex
    from sie_sym.target import Target

_TEXT_ROWS = 40


def exponent_answer(found: InformationExponent) -> Answer:
    """The command `sie`."""
    from sie_sym.typesetting.tables import leading_entries

    entries: dict[str, str | list[str]] = {}
    marked: dict[str, str | list[str]] = {}
    errors: dict[str, Any] = {}
    omitted = None
    values: list[sp.Expr] = []
    try:
        table = leading_entries(found)
        values = [value for row in table.values() for value in row]
        errors = _errors(table, found.target.tokens)
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
        **errors,
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
    return Answer(data, [*rows, *_when(conditions)], (found,), values)


def expansion_answer(target: Target, expansion: HermiteExpansion, order: int) -> Answer:
    """The command `expand`."""
    from sie_sym.gaussian import evidence_of
    from sie_sym.typesetting.tables import Coefficients

    table, omitted = Coefficients(expansion, order), None
    entries: dict[str, str | list[str]] = {}
    errors: dict[str, Any] = {}
    values: list[sp.Expr] = []
    evidence = evidence_of(values)
    try:
        entries = _entries(table.entries, target.tokens)
        errors = _errors(table.entries, target.tokens)
        values = [value for row in table.entries.values() for value in row]
        evidence = evidence_of(values)
    except TruncationError as error:
        omitted = str(error)
    transforms = [transform.expression() for transform in expansion.transforms]
    data = {
        "coefficients": entries,
        **errors,
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
    return Answer(data, [*rows, *_when(expansion.conditions)], (table,), [*transforms, *values])


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


def _errors(table: Mapping[MultiIndex, Sequence[sp.Expr]], tokens: int) -> dict[str, Any]:
    """{"error": {"[1, 4]": error}} of the entries that are known numerically, nothing where there are none.

    An entry of several outputs has a list; 0 stands beside what is exact, None beside what cannot be evaluated.
    """
    from sie_sym.evidence import Evidence
    from sie_sym.gaussian import evidence_of
    from sie_sym.hermite import dense
    from sie_sym.quadratures.measure import measure

    def error(value: sp.Expr) -> float | None:
        try:
            return measure(value).error if evidence_of([value]) is Evidence.NUMERICAL else 0.0
        except SieSymError:
            return None

    numerical = {alpha: row for alpha, row in table.items() if evidence_of(row) is Evidence.NUMERICAL}
    found = {str(dense(alpha, tokens)): [error(value) for value in row] for alpha, row in numerical.items()}
    return {"error": {key: row[0] if len(row) == 1 else row for key, row in found.items()}} if found else {}


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


__all__ = ["expansion_answer", "exponent_answer"]
