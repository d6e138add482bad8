"""The command `derive`: what the pages derive (exit code 1 where a page does not come out as declared)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sie_sym.errors import SieSymError

if TYPE_CHECKING:
    from sie_sym.commands.output import Answer, Row
    from sie_sym.ledger import Entry


@click.command(short_help="Derive the paper's results, and print the ledger.")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("--list", "only_list", is_flag=True, help="Only list the pages.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Pages at once (default: one a core).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--latex", "document", type=click.Path(dir_okay=False), metavar="FILE",
              help="Write the ledger to FILE as well, a LaTeX document: .tex.")  # fmt: skip
@click.pass_context
def derive(
    ctx: click.Context, names: tuple[str, ...], only_list: bool, workers: int | None, as_json: bool,
    document: str | None,
) -> None:  # fmt: skip
    """Run the pages of the paper's results (default: all) and print each claim with its verdict.

    A verdict is proved, refuted, confirmed numerically, or undecided; a page declares what it expects, and the exit
    code is 1 where a claim comes out otherwise.  A page that fails is told, and the others go on.

    \b
    Example: sie-sym derive hermite_expansion lemma_5 --latex ledger.tex
    """
    from sie_sym.commands.output import Answer, emit
    from sie_sym.ledger import load_page, page_names, run_pages

    if document is not None:
        _check_document(document)
    if only_list:
        pages = [load_page(name).PAGE for name in names or page_names()]
        data = {"pages": [{"name": p.name, "source": p.source, "title": p.title} for p in pages]}
        emit(Answer(data, [(p.name, f"{p.source}: {p.title}") for p in pages]), as_json, False, None)
        return
    terminal = sys.stderr.isatty()
    entries = run_pages(names or None, workers or os.cpu_count() or 1, _show if terminal else None)
    if terminal:
        click.echo("\r\x1b[K", err=True, nl=False)
    if document is not None:
        from sie_sym.files import write_atomically
        from sie_sym.typesetting.claims import ledger_document

        write_atomically(document, ledger_document(entries))
    emit(ledger_answer(entries), as_json, False, None)
    if not all(entry.as_declared for entry in entries):
        ctx.exit(1)


def _show(done: int, total: int, name: str) -> None:
    click.echo(f"\r\x1b[K{done}/{total} {name}", err=True, nl=False)


def _check_document(document: str) -> None:
    """A file that cannot be written is told before minutes of work."""
    path = Path(document)
    if path.suffix != ".tex":
        raise SieSymError(f"cannot write {document}: unknown extension {path.suffix!r}; choose .tex")
    if not path.parent.is_dir():
        raise SieSymError(f"cannot write {document}: the folder {path.parent} is not there; make it, or choose another")


def ledger_answer(entries: list[Entry]) -> Answer:
    """The table of claims, page by page."""
    from sie_sym.commands.output import Answer
    from sie_sym.typesetting.claims import verdict_text

    claims = [
        {
            "page": entry.page.name,
            "source": entry.claim.source,
            "statement": entry.claim.statement,
            "verdict": entry.claim.verdict.value,
            "evidence": entry.claim.evidence.value,
            "expected": entry.expected,
            "as_declared": entry.as_declared,
            "route": entry.claim.route,
            "formulas": {label: str(formula) for label, formula in entry.claim.formulas},
        }
        for entry in entries
    ]
    rows: list[Row] = []
    page = None
    for entry in entries:
        if entry.page.name != page:
            page = entry.page.name
            rows.append((page, f"{entry.page.source}: {entry.page.title}"))
        claim = entry.claim
        lines = [f"[{claim.source}] {claim.statement}", f"({claim.evidence.value}) {claim.route}"]
        lines += [f"{label} = {formula}" for label, formula in claim.formulas]
        rows.append((f"  {verdict_text(entry)}", lines))
    different = sum(not entry.as_declared for entry in entries)
    summary = f"{len(entries)} claims, all as declared"
    rows.append(("ledger", f"{len(entries)} claims, {different} not as declared" if different else summary))
    return Answer({"claims": claims}, rows)


__all__ = ["derive", "ledger_answer"]
