"""The command line as tests call it: what it prints, its JSON object, or the one line of a refusal."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner

from sie_sym.cli import main


def run(*arguments: str, code: int = 0) -> str:
    """Stdout of a call that says nothing on stderr."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return result.stdout


def answer(*arguments: str, code: int = 0) -> dict[str, Any]:
    """The one JSON object on stdout."""
    (line,) = run(*arguments, "--json", code=code).splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def refusal(*arguments: str) -> str:
    """The one line on stderr of bad input."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("sie-sym: ")
    return line
