r"""The ledger in LaTeX: a section a page, and every claim with its verdict, its route and the formulas it keeps.

Claims are plain text in the notation of the field (`C_alpha`, `d^{s/2-1}`, `sum_l He_2(z_l)`); what is certainly
mathematics in them is set as such, the rest stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from sie_sym.grammar.latex_lexemes import NAMED
from sie_sym.ledger import Entry
from sie_sym.typesetting.latex_printer import as_text, display, symbol_name
from sie_sym.typesetting.typeset import document, node_conventions

_BRACED = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_SCRIPT = rf"(?:{_BRACED}|\([^()]*\)|-?[0-9]+|-?[A-Za-z][A-Za-z0-9]*)"
_SCRIPTS = rf"(?P<scripts>(?:_{_SCRIPT})?(?:\^{_SCRIPT})?)"
_MATHEMATICS = re.compile(
    r"(?P<relation>->|<=|>=|!=|<|>|~|\+-)"
    r"|(?P<root>(?<![A-Za-z])sqrt ?(?:\([^()]*\)|[A-Za-z0-9]+))"
    rf"|(?P<base>\|\|?|(?<![A-Za-z0-9_^@])(?:z[0-9]+|[A-Za-z]+)|(?<=[0-9])|\)|\]){_SCRIPTS}(?P<star>\*(?![\w(]))?"
)
_SIGNS = {
    "->": r"\to", "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "<": "<", ">": ">", "~": r"\sim", "+-": r"\pm",
    "|": r"\vert", "||": r"\Vert",
}  # fmt: skip
_LETTERS = frozenset({
    "alpha", "beta", "gamma", "delta", "eps", "eta", "theta", "kappa", "lambda", "mu", "rho", "sigma", "tau", "phi",
    "omega", "Gamma", "Phi", "Omega",
})  # fmt: skip
_OPERATORS = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min", "log": r"\log"}
# In a script or under a root: what is left after names and numbers.
_PLAIN = re.compile(r"[-+/*=,.;:()\[\]'! ]+")
_NAME = re.compile(rf"(?P<name>[A-Za-z]+)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<script>[_^])(?P<value>{_SCRIPT})")


class Piece(NamedTuple):
    """A part of a claim: LaTeX of a formula, or plain text."""

    mathematics: bool
    text: str


def claim_pieces(statement: str) -> list[Piece]:
    r"""A claim's text cut where mathematics begins and ends.

    >>> claim_pieces("gain L^2")
    [Piece(mathematics=False, text='gain '), Piece(mathematics=True, text='L^{2}')]
    """
    pieces: list[Piece] = []
    position = 0
    for match in _MATHEMATICS.finditer(statement):
        formula = _formula(match)
        if formula is None:
            continue
        between = statement[position : match.start()]
        position = match.end()
        if not between.strip() and pieces:
            pieces[-1] = Piece(True, f"{pieces[-1].text} {formula}")
            continue
        if between:
            pieces.append(Piece(False, between))
        pieces.append(Piece(True, formula))
    return [*pieces, *([Piece(False, statement[position:])] if position < len(statement) else [])]


def claim_text(statement: str) -> str:
    r"""A claim as LaTeX text.

    >>> claim_text("C_alpha(h) is d^alpha (G h)(0)")
    '$C_{\\alpha}$(h) is $d^{\\alpha}$ (G h)(0)'
    """
    return "".join(f"${p.text}$" if p.mathematics else as_text(p.text, math=False) for p in claim_pieces(statement))


def _formula(match: re.Match[str]) -> str | None:
    """The LaTeX of one match, None for a word that is only a word."""
    text = match.group()
    if match["relation"]:
        before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
        if text == "<" and after.strip() and not before.strip(" (|"):
            return r"\langle"
        return r"\rangle" if text == ">" and before.strip() else _SIGNS[text]
    if match["root"]:
        inside = _inside(text[4:].strip().removeprefix("(").removesuffix(")"))
        return None if inside is None else rf"\sqrt{{{inside}}}"
    base, scripts, star = match["base"], match["scripts"], match["star"]
    certain = base in _LETTERS or base in ("|", "||") or (base[:1] == "z" and base[1:].isdigit())
    # The name of a page or figure: closed_form_loss, figure_3.
    if match.string.startswith("_", match.end()) or (len(base) > 5 and scripts.startswith("_")):
        return None
    if not (scripts or certain or (star and base in ("z", "w"))):
        return None
    found = _inside(scripts)
    if found is None or (star and (base not in ("z", "w") or "^" in found)):
        return None
    left = _SIGNS.get(base) or (_name(base) if base[:1].isalpha() else base or "{}")
    return left + found + (r"^{\star}" if star else "")


def _name(word: str) -> str:
    if word[0] == "z" and word[1:].isdigit():
        return f"z_{{{word[1:]}}}"
    return _OPERATORS.get(word) or (rf"\mathrm{{{word}}}" if word in NAMED else symbol_name(word))


def _inside(text: str) -> str | None:
    """Names, numbers, scripts and signs; None for anything else."""
    found, position, scripts = "", 0, ""
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            plain = _PLAIN.match(text, position)
            if plain is None:
                return None
            found += plain.group()
            position, scripts = plain.end(), ""
            continue
        if match["script"]:
            inner = match["value"]
            inner = inner[1:-1] if inner[0] == "{" else inner
            value = _inside(inner)
            if value is None or match["script"] in scripts:
                return None
            scripts += match["script"]
            found += f"{match['script']}{{{value}}}"
        else:
            scripts = ""
            found += match["number"] or _name(match["name"])
        position = match.end()
    return found


def claim_formulas(entry: Entry) -> tuple[str, ...]:
    """The formulas that a claim keeps, `label = expression`."""
    return tuple(display(_label(label), formula) for label, formula in entry.claim.formulas)


def _label(label: str) -> str:
    """A label in a formula: its words as text."""
    pieces = claim_pieces(label)
    return "".join(p.text if p.mathematics else rf"\text{{{as_text(p.text, math=False)}}}" for p in pieces)


def verdict_text(entry: Entry) -> str:
    """The verdict, and what the page declares where that is something else."""
    verdict = entry.claim.verdict.value
    return verdict if entry.as_declared else f"{verdict} (declared: {entry.expected or 'nothing'})"


def _section(entries: Sequence[Entry]) -> str:
    page = entries[0].page
    title = claim_text(page.title[:1].upper() + page.title[1:])
    lines = [rf"\section{{{title}}}", rf"\noindent arXiv:2506.02651, {as_text(page.source)}"]
    lines.append(r"\begin{description}")
    for entry in entries:
        claim = entry.claim
        lines.append(rf"\item[{{{as_text(verdict_text(entry))}}}] {claim_text(claim.statement)}")
        lines += [line for formula in claim_formulas(entry) for line in (r"\[", formula, r"\]")]
        how = f"{claim.evidence.value}; {claim.source}"
        lines.append(rf"\par\emph{{{as_text(how)}:}} {claim_text(claim.route)}")
    return "\n".join([*lines, r"\end{description}"])


def ledger_document(entries: Iterable[Entry], title: str = "The ledger of claims") -> str:
    """A whole LaTeX document, ready for pdflatex: what the functions mean, then a section a page."""
    found = list(entries)
    different = sum(not entry.as_declared for entry in found)
    summary = f"{len(found)} claims, {different or 'all'} {'not ' if different else ''}as declared."
    conventions = node_conventions(formula for entry in found for _, formula in entry.claim.formulas)
    notes = [r"\begin{itemize}", *(rf"\item {as_text(line)}" for line in conventions), r"\end{itemize}"]
    head = "\n".join([rf"\noindent {summary}", *(notes if conventions else [])])
    pages = groupby(found, key=lambda entry: entry.page.name)
    return document([head, *(_section(list(group)) for _, group in pages)], title)


__all__ = ["Piece", "claim_formulas", "claim_pieces", "claim_text", "ledger_document", "verdict_text"]
