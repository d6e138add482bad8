"""The directive `commands` (the help of every command) and the public names of `sie_sym` for autodoc.

Docstrings are plain text in the project's notation, no markup: they are shown as they are read.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sie_sym
from sie_sym.cli import main

NAMES = "<!-- public names -->"
BENCHMARKS = "<!-- benchmarks -->"


class Commands(SphinxDirective):
    """A section a command, with its help as `sie-sym COMMAND --help` prints it."""

    def run(self) -> list[nodes.Node]:
        """Ask click."""
        found: list[nodes.Node] = [nodes.literal_block("", self._help(main, "sie-sym"), language="text")]
        for name, command in sorted(main.commands.items()):
            text = self._help(command, f"sie-sym {name}")
            block = nodes.literal_block("", text, language="text")
            found.append(nodes.section("", nodes.title("", f"sie-sym {name}"), block, ids=[f"sie-sym-{name}"]))
        return found

    def _help(self, command: click.Command, name: str) -> str:
        settings = {**main.context_settings, "terminal_width": 110}
        return click.Context(command, info_name=name, **settings).get_help()


def add_generated(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the generated parts where a page asks for them."""
    source[0] = source[0].replace(NAMES, _public_names())
    exists = Path(app.srcdir, "benchmarks.md").is_file()
    source[0] = source[0].replace(BENCHMARKS, "benchmarks" if exists else "")


def _public_names() -> str:
    """A section a home module, an autodoc directive a name."""
    parts = []
    for module, names in sie_sym._HOMES.items():
        parts.append(f"## sie_sym.{module}\n\n```{{eval-rst}}\n.. currentmodule:: sie_sym\n")
        parts += [f".. {_directive(getattr(sie_sym, name))}:: {name}\n{_options(name)}" for name in names.split()]
        parts.append("```\n")
    return "\n".join(parts)


def _directive(thing: object) -> str:
    if inspect.isclass(thing):
        return "autoexception" if issubclass(thing, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(thing) else "autodata"


def _options(name: str) -> str:
    return "   :no-value:\n" if _directive(getattr(sie_sym, name)) == "autodata" else ""


def as_read(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A docstring's plain text as reStructuredText that shows the same: examples and indented blocks literally."""
    text = "\n".join(lines).strip("\n")
    lines[:] = []
    for part in re.split(r"\n\s*\n", text):
        first = part.lstrip("\n")
        if first.startswith(">>> "):
            lines.extend([*part.splitlines(), ""])
        elif first.startswith(" "):
            lines.extend(["::", "", *(f"    {line}" for line in part.splitlines()), ""])
        elif re.match(r"[-*] ", first):
            items = re.split(r"\n(?=[-*] )", part)
            lines.extend([f"- {_escaped(' '.join(item[2:].split()))}" for item in items] + [""])
        else:
            lines.extend([_escaped(" ".join(part.split())), ""])


def _escaped(text: str) -> str:
    """`code` as code, everything else as it stands."""
    pieces = re.split(r"`+([^`]+)`+", text)
    return "".join(
        rf"\ ``{piece}``\ " if number % 2 else re.sub(r"([\\*|_`<>:])", r"\\\1", piece)
        for number, piece in enumerate(pieces)
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the hooks."""
    app.add_directive("commands", Commands)
    app.connect("source-read", add_generated)
    app.connect("autodoc-process-docstring", as_read)
    return {"parallel_read_safe": False}
