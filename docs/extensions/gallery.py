"""The directive `gallery`: the pages of `derivations`, run when the site is built, with their claims and figures.

A page that does not come out as it declares fails the build.  The directive also leaves the ledger beside the site, as
a LaTeX document (`ledger.tex`).
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import derivations
from sie_sym.files import write_atomically
from sie_sym.ledger import Entry, load_page, run_pages
from sie_sym.sweep import local_processes
from sie_sym.typesetting.claims import claim_formulas, claim_pieces, ledger_document, verdict_text

LEDGER = "ledger.tex"


def typeset_text(text: str) -> list[nodes.Node]:
    """A text with its mathematics; what stands between backticks is code."""
    found: list[nodes.Node] = []
    for number, part in enumerate(text.split("`")):
        if number % 2:
            found.append(nodes.literal("", part))
        else:
            pieces = claim_pieces(part)
            found += [nodes.math(p.text, p.text) if p.mathematics else nodes.Text(p.text) for p in pieces]
    return found


def paragraphs(module: ModuleType) -> list[nodes.Node]:
    """The docstring of a module; indented blocks as they stand."""
    found: list[nodes.Node] = []
    for part in re.split(r"\n\s*\n", inspect.getdoc(module) or ""):
        if part.startswith(" "):
            found.append(nodes.literal_block(part, inspect.cleandoc(part), language="text"))
        else:
            found.append(nodes.paragraph("", "", *typeset_text(" ".join(part.split()))))
    return found


def section(title: str, name: str, *content: nodes.Node) -> nodes.section:
    """A section with an anchor."""
    return nodes.section("", nodes.title("", "", *typeset_text(title)), *content, ids=[name.replace("_", "-")])


def claim(entry: Entry) -> nodes.list_item:
    """One claim: verdict, statement, formulas, and how it is known."""
    found = entry.claim
    verdict = verdict_text(entry)
    badge = nodes.inline(verdict, verdict, classes=["verdict", verdict.split()[0]])
    head = nodes.paragraph("", "", badge, nodes.Text(" "), *typeset_text(found.statement))
    formulas = [nodes.math_block(text, text, nowrap=False, number=None) for text in claim_formulas(entry)]
    how = nodes.emphasis("", f"{found.evidence.value}, {found.source}: ")
    return nodes.list_item("", head, *formulas, nodes.paragraph("", "", how, *typeset_text(found.route)))


def figure_modules() -> list[ModuleType]:
    """The modules that draw a figure of the paper (not what they share)."""
    names = [m.name for m in pkgutil.iter_modules(derivations.__path__) if m.name.startswith("figure_")]
    modules = [importlib.import_module(f"derivations.{name}") for name in names]
    return sorted((m for m in modules if hasattr(m, "SOURCE")), key=_order)


def draw(name: str, path: Path) -> None:
    """Draw one figure; runs in a process of its own."""
    importlib.import_module(f"derivations.{name}").figure(path)


def _order(module: ModuleType) -> tuple[bool, int, str]:
    number = re.search(r"Figs?\. ([0-9]+)", module.SOURCE)
    return number is None, int(number[1]) if number else 0, module.__name__


class Gallery(SphinxDirective):
    """The whole ledger, a section a page, then the figures."""

    def run(self) -> list[nodes.Node]:
        """Derive, draw, and lay out."""
        entries = run_pages(workers=os.cpu_count() or 1)
        wrong = [entry for entry in entries if not entry.as_declared]
        if wrong:
            told = "; ".join(f"{e.page.name}: {e.claim.statement}: {verdict_text(e)}, {e.claim.route}" for e in wrong)
            raise self.error(f"{len(wrong)} claims do not come out as declared: {told}")
        write_atomically(Path(self.env.app.outdir, LEDGER), ledger_document(entries))
        pages: list[nodes.Node] = [
            section(page.title[:1].upper() + page.title[1:], page.name, *self._page(load_page(page.name), list(group)))
            for page, group in groupby(entries, key=lambda entry: entry.page)
        ]
        self._draw_all()
        figures = [section(m.SOURCE, m.__name__.rpartition(".")[2], *self._figure(m)) for m in figure_modules()]
        return [*self._summary(entries), *pages, section("Figures of the paper", "figures", *figures)]

    def _summary(self, entries: Iterable[Entry]) -> list[nodes.Node]:
        verdicts = [entry.claim.verdict.value for entry in entries]
        counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
        link = nodes.reference("", LEDGER, refuri=LEDGER)
        text = f"{len(verdicts)} claims: {', '.join(counts)}. The same as a LaTeX document: "
        return [nodes.paragraph("", "", nodes.Text(text), link, nodes.Text("."))]

    def _page(self, module: ModuleType, entries: list[Entry]) -> list[nodes.Node]:
        source = nodes.paragraph("", f"arXiv:2506.02651, {module.PAGE.source}", classes=["source"])
        run = nodes.literal_block("", f"$ sie-sym derive {module.PAGE.name}", language="console")
        return [source, *paragraphs(module), nodes.bullet_list("", *map(claim, entries), classes=["claims"]), run]

    def _figure(self, module: ModuleType) -> list[nodes.Node]:
        name = module.__name__.rpartition(".")[2]
        command = nodes.literal_block("", f"$ python -m {module.__name__}", language="console")
        found = [*paragraphs(module), command]
        uri = self._picture(module, name)
        if uri is None:
            note = "Its simulation takes long; the command draws it."
            return [*found, nodes.paragraph("", note)]
        return [nodes.image(uri=uri, alt=f"{module.SOURCE}, drawn by {name}", width="100%"), *found]

    def _picture(self, module: ModuleType, name: str) -> str | None:
        """The picture of a long simulation as it is kept, another one drawn now."""
        kept = Path(self.env.srcdir, "figures", f"{name}.png")
        if kept.is_file():
            return f"/figures/{name}.png"
        drawn = Path(self.env.srcdir, "_build", "figures", f"{name}.png")
        return f"/_build/figures/{name}.png" if drawn.is_file() else None

    def _draw_all(self) -> None:
        """The pictures that are not kept and quick to draw, on all cores."""
        folder = Path(self.env.srcdir, "_build", "figures")
        folder.mkdir(parents=True, exist_ok=True)
        kept = {path.stem for path in Path(self.env.srcdir, "figures").glob("*.png")}
        names = [m.__name__.rpartition(".")[2] for m in figure_modules() if hasattr(m, "figure")]
        todo = [name for name in names if name not in kept]
        with local_processes(min(os.cpu_count() or 1, max(len(todo), 1))) as pool:
            list(pool.map(draw, todo, [folder / f"{name}.png" for name in todo]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": False}
