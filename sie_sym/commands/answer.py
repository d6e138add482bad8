"""A result of a command in its three forms: JSON (the public keys of the command line), text, and LaTeX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sie_sym.errors import SieSymError

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.target import Target

Row = tuple[str, str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """A result in its three forms; `results` are what the LaTeX shows.

    The text writes the Gaussian expectations of `expressions` as E[..]; the JSON keeps their exact strings.
    """

    data: Mapping[str, Any]
    rows: Sequence[Row]
    results: Sequence[object] = field(default=())
    expressions: Sequence[sp.Expr] = field(default=())

    def json(self) -> str:
        """One JSON object."""
        return json.dumps(self.data, allow_nan=False)

    def text(self, styled: bool = False) -> str:
        """A label and its lines, aligned; labels are bold where `styled`."""
        rows = self._plain_rows() if self.expressions else self.rows
        width = max((len(label) for label, _ in rows), default=0)
        lines = []
        for label, value in rows:
            values = [value] if isinstance(value, str) else list(value)
            for number, line in enumerate(values):
                shown = (label if number == 0 else "").ljust(width)
                lines.append(f"{click.style(shown, bold=True) if styled else shown}  {line}".rstrip())
        return "\n".join(lines)

    def _plain_rows(self) -> Sequence[Row]:
        """The rows with expectations as E[..], and one that says what they are."""
        from sie_sym.typesetting.plain_printer import EXPLANATION, PlainText

        in_plain_text = PlainText(self.expressions)
        rows: list[Row] = []
        for label, value in self.rows:
            lines = [value] if isinstance(value, str) else value
            rows.append((label, [in_plain_text(line) for line in lines]))
        # only tokens are indexed otherwise
        explained = any("E[" in line for _, lines in rows for line in lines)
        return [*rows, ("where", EXPLANATION)] if explained else rows

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


def target_rows(target: Target) -> list[Row]:
    """The target, one line a component."""
    name = f"g {target.name}" if target.name else "g(z)"
    return [(name, [str(component) for component in target.components])]


__all__ = ["Answer", "Row", "emit", "target_rows"]
