"""The directives `run` and `python`: an example is executed when the site is built, and its real output is shown.

    ```{run}                            ```{python}
    $ sie-sym sie -g "z1*z2"            import sie_sym
    ```                                 sie_sym.parse_formula("z1^2")
                                        ```

An example that fails, exits with another code than `:exit:` (default 0) or shows a path of this machine fails the
build.  Commands of one page share a folder, statements of one page their names; `:image: FILE` shows a file that was
made.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TIME_LIMIT = 120
"""Seconds for one command."""


class Example(SphinxDirective):
    """What both directives share."""

    has_content = True
    language = ""

    @property
    def folder(self) -> Path:
        """Where the examples of this page run; its pictures stay there for the builder to copy."""
        folder = Path(self.env.srcdir, "_build", "run", self.env.docname)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def shown(self, text: str) -> nodes.Node:
        """A block with the example and its output."""
        for place in (self.env.srcdir, Path(self.env.srcdir).parent, Path.home(), Path(sys.prefix)):
            if str(place) in text and str(place) != "/":
                raise self.error(f"the output names a path of this machine: {text[:200]}")
        # The lexer of consoles takes % and > for prompts.
        language = "text" if self.language == "console" and re.search(r"^[%>#]", text, re.MULTILINE) else self.language
        block = nodes.literal_block(text, text, language=language)
        self.set_source_info(block)
        return block


class Run(Example):
    """Shell commands, each after a dollar; a line that ends with a backslash goes on."""

    option_spec: ClassVar[dict[str, Any]] = {"exit": directives.nonnegative_int, "image": directives.unchanged}
    language = "console"

    def run(self) -> list[nodes.Node]:
        """Execute, and show commands with their output."""
        commands = re.split(r"^\$ ", "\n".join(self.content), flags=re.MULTILINE)
        if commands[0].strip() or len(commands) < 2:
            raise self.error("an example of the shell starts with a dollar and a blank")
        lines: list[str] = []
        for number, command in enumerate(commands[1:], start=2):
            last = number == len(commands)
            lines += [f"$ {command.rstrip()}", *self._output(command, self.options.get("exit", 0) if last else 0)]
        found: list[nodes.Node] = [self.shown("\n".join(lines))]
        if image := self.options.get("image"):
            if not (self.folder / image).is_file():
                raise self.error(f"the example made no file {image}")
            uri = f"/_build/run/{self.env.docname}/{image}"
            found.append(nodes.image(uri=uri, alt=f"What the example drew: {image}", width="90%"))
        return found

    def _output(self, command: str, wanted: int) -> list[str]:
        scripts = sysconfig.get_path("scripts")
        environment = {
            **os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}", "COLUMNS": "110",
            "NO_COLOR": "1", "MPLBACKEND": "Agg", "PYTHONWARNINGS": "error::DeprecationWarning:sie_sym",
        }  # fmt: skip
        try:
            run = subprocess.run(
                ["bash", "-c", command], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise self.error(f"{command.strip()!r} took more than {TIME_LIMIT} s") from None
        output = run.stdout + run.stderr
        if run.returncode != wanted:
            raise self.error(f"{command.strip()!r} exited with {run.returncode}, not {wanted}: {output[-500:]}")
        return output.rstrip().splitlines()


class Python(Example):
    """Statements; the value of an expression is shown as at the prompt."""

    language = "pycon"

    def run(self) -> list[nodes.Node]:
        """Execute in the names of this page, and show statements with their output."""
        source = "\n".join(self.content)
        names = self.env.temp_data.setdefault("python_names", {"__name__": "__main__"})
        lines: list[str] = []
        for statement in ast.parse(source).body:
            first, *rest = (ast.get_source_segment(source, statement) or "").splitlines()
            lines += [f">>> {first}", *(f"... {line}" for line in rest)]
            lines += self._output(statement, names)
        return [self.shown("\n".join(lines))]

    def _output(self, statement: ast.stmt, names: dict[str, Any]) -> list[str]:
        expression = isinstance(statement, ast.Expr)
        tree: Any = ast.Interactive([statement]) if expression else ast.Module([statement], [])
        code = compile(tree, "<example>", "single" if expression else "exec")
        output, before = io.StringIO(), Path.cwd()
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(output):
                exec(code, names)
        except Exception as error:
            told = "".join(traceback.format_exception_only(error))
            raise self.error(f"{ast.unparse(statement)[:200]!r} raised {told}") from None
        finally:
            os.chdir(before)
        return output.getvalue().rstrip().splitlines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("run", Run)
    app.add_directive("python", Python)
    return {"parallel_read_safe": False}
