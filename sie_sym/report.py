"""A report: one page of HTML that needs nothing else, no network, no font, no script.

A page is made of sections: formulas (as MathML, with their LaTeX to copy), tables, figures (as SVG), a proof in steps,
and the evidence of all of it.  `section(result)` makes one of any result that has LaTeX; what cannot be computed is a
section that says why.  jinja2 and latex2mathml are extras: `pip install 'sie-sym[report]'`.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.files import write_atomically
from sie_sym.latex import latex, typeset
from sie_sym.pages.mathml import mathml, require_latex2mathml

SUFFIXES = (".html", ".htm")
MEANINGS = {
    Evidence.EXACT: "algebra or a symmetry proves it",
    Evidence.ENCLOSED: "a ball-arithmetic interval contains it; non-zero is proved when 0 is outside",
    Evidence.NUMERICAL: "a value with an error estimate that two independent computations support",
    Evidence.UNDECIDED: "not known; the text says what is missing",
}
_PACKAGES = ("sie-sym", "sympy", "mpmath", "python-flint", "numpy", "scipy", "matplotlib", "latex2mathml", "jinja2")


@dataclass(frozen=True)
class Formula:
    """A displayed formula in LaTeX."""

    latex: str

    @cached_property
    def mathml(self) -> str | None:
        """The same as MathML, None where it cannot be."""
        return self._converted[0]

    @cached_property
    def refusal(self) -> str | None:
        """Why it cannot be shown as MathML."""
        return self._converted[1]

    @cached_property
    def _converted(self) -> tuple[str | None, str | None]:
        try:
            return mathml(self.latex), None
        except MissingExtra:
            raise
        except SieSymError as error:
            return None, str(error)


Cell = str | Formula | Evidence


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; `latex` is what one copies, `note` what is left out."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    latex: str = ""
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure as an `<svg>` element, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page; `evidence` is None where nothing is claimed."""

    title: str
    evidence: Evidence | None = None
    notes: tuple[str, ...] = ()
    formulas: tuple[Formula, ...] = ()
    steps: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    conventions: tuple[str, ...] = ()
    missing: bool = False

    @property
    def anchor(self) -> str:
        """An identifier for links within the page."""
        return "".join(c if c.isalnum() and c.isascii() else "-" for c in self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """The whole: `summary` rows are (what, value, evidence), `command` makes it again."""

    title: str
    sections: tuple[Section, ...]
    summary: tuple[tuple[str, str, Evidence | None], ...] = ()
    command: str = ""
    versions: tuple[tuple[str, str], ...] = field(default_factory=lambda: versions())

    @property
    def conventions(self) -> list[str]:
        """Those of all sections, each once."""
        return list(dict.fromkeys(line for section in self.sections for line in section.conventions))

    def html(self) -> str:
        """The page.  Raises `MissingExtra` without jinja2 or latex2mathml."""
        require_report()
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        )
        # What is not escaped: the elements that this package made, out of escaped texts.
        environment.filters["element"] = Markup
        environment.filters["words"] = readable
        environment.tests["formula"] = lambda cell: isinstance(cell, Formula)
        environment.tests["label"] = lambda cell: isinstance(cell, Evidence)
        template = environment.from_string(resources.files("sie_sym").joinpath("report.html").read_text("utf-8"))
        return template.render(page=self, meanings=MEANINGS)


def readable(text: str) -> str:
    """Plain ASCII text with its arrows and relations as characters.

    >>> readable("even under z -> -z")
    'even under z \u2192 -z'
    """
    for ascii_sign, sign in (("->", "\u2192"), ("<=", "\u2264"), (">=", "\u2265"), ("!=", "\u2260")):
        text = text.replace(ascii_sign, sign)
    return text


def versions() -> tuple[tuple[str, str], ...]:
    """Python and the packages that computed the page, with their versions."""
    found = [("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def require_report() -> None:
    """Raise `MissingExtra` without jinja2 or latex2mathml."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtra("report", "jinja2") from None
    require_latex2mathml()


def check_report_path(path: str | Path) -> None:
    """Raise `SieSymError` unless the file can be and is a page by its name, `MissingExtra` without an extra.

    A page takes seconds to compute: better to know before.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in SUFFIXES:
        raise SieSymError(f"cannot write {path}: unknown extension {suffix!r}; a report is {' or '.join(SUFFIXES)}")
    if not Path(path).absolute().parent.is_dir():
        raise SieSymError(f"cannot write {path}: there is no such folder; choose another file, or make it")
    require_report()


def section(result: object, title: str | None = None, **parts: Any) -> Section:
    """A section with the formulas, steps and conventions of a result; `parts` are further fields of it.

    >>> from sie_sym.functions import token
    >>> from sie_sym.target import Target
    >>> section(Target.of(token(1) * token(2))).formulas
    (Formula(latex='g(z) = z_{1} z_{2}'),)
    """
    found = typeset(result)
    evidence = parts.pop("evidence", getattr(result, "evidence", None))
    return Section(
        title or found.title.removesuffix(f" ({evidence})"),
        evidence,
        formulas=tuple(map(Formula, found.formulas)),
        steps=found.remarks,
        conventions=found.conventions,
        **parts,
    )


def missing(title: str, reason: object) -> Section:
    """A section that says why it is empty."""
    return Section(title, notes=(f"Not computed: {reason}",), missing=True)


def report(results: Iterable[object], path: str | Path, title: str = "sie-sym report") -> Path:
    """Write the page of some results (or sections) to an .html file.

    Raises `SieSymError` for other extensions and files that cannot be written, `MissingExtra` without an extra.
    """
    check_report_path(path)
    sections = tuple(result if isinstance(result, Section) else section(result) for result in results)
    return write_atomically(path, Page(title, sections).html())


def source(results: Sequence[object]) -> str:
    """The LaTeX of some results, to copy."""
    return "\n".join(map(latex, results))


__all__ = [
    "Drawing", "Evidence", "Formula", "Page", "Section", "Table", "check_report_path", "missing", "report", "section",
    "source", "versions",
]  # fmt: skip
