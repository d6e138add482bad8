"""The command `derive`: what the pages derive (exit code 1 where a page does not come out as declared)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sie_sym.cli_output import Answer, Row
    from sie_sym.ledger import Entry


@click.command(short_help="Derive the paper's results, and print the ledger.")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("--list", "only_list", is_flag=True, help="Only list the pages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def derive(ctx: click.Context, names: tuple[str, ...], only_list: bool, as_json: bool) -> None:
    """Run the pages of the paper's results (default: all) and print each claim with its verdict.

    A verdict is proved, refuted, confirmed numerically, or undecided; a page declares what it expects, and the exit
    code is 1 where a claim comes out otherwise.

    \b
    Example: sie-sym derive hermite_expansion lemma_5
    """
    from sie_sym.cli_output import Answer, emit
    from sie_sym.ledger import load_page, page_names, run_page

    chosen = names or page_names()
    pages = [load_page(name).PAGE for name in chosen]
    if only_list:
        data = {"pages": [{"name": p.name, "source": p.source, "title": p.title} for p in pages]}
        emit(Answer(data, [(p.name, f"{p.source}: {p.title}") for p in pages]), as_json, False, None)
        return
    entries: list[Entry] = []
    terminal = sys.stderr.isatty()
    for number, name in enumerate(chosen, start=1):
        if terminal:
            click.echo(f"\r\x1b[K{number}/{len(chosen)} {name}", err=True, nl=False)
        entries += run_page(name)
    if terminal:
        click.echo("\r\x1b[K", err=True, nl=False)
    emit(ledger_answer(entries), as_json, False, None)
    if not all(entry.as_declared for entry in entries):
        ctx.exit(1)


def ledger_answer(entries: list[Entry]) -> Answer:
    """The table of claims, page by page."""
    from sie_sym.cli_output import Answer

    claims = [
        {
            "page": entry.page.name,
            "source": entry.claim.source,
            "statement": entry.claim.statement,
            "verdict": entry.claim.verdict.value,
            "evidence": entry.claim.evidence.value,
            "expected": entry.expected,
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
        verdict = claim.verdict.value if entry.as_declared else f"{claim.verdict.value} (declared: {entry.expected})"
        lines = [f"[{claim.source}] {claim.statement}", f"({claim.evidence.value}) {claim.route}"]
        rows.append((f"  {verdict}", [*lines, *(f"{label} = {formula}" for label, formula in claim.formulas)]))
    different = sum(not entry.as_declared for entry in entries)
    summary = f"{len(entries)} claims, all as declared"
    rows.append(("ledger", f"{len(entries)} claims, {different} not as declared" if different else summary))
    return Answer({"claims": claims}, rows)


__all__ = ["derive", "ledger_answer"]
