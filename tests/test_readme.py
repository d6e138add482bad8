"""What README.md shows is what happens."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner
from conftest import ROOT

from sie_sym.cli import main
from sie_sym.sweep import grid, run_task

README = ROOT / "README.md"


def shown_commands() -> Iterator[tuple[str, str]]:
    """(command, output) of the indented blocks that start with a dollar."""
    for block in re.findall(r"(?:^    .*\n)+", README.read_text(), flags=re.MULTILINE):
        lines = [line[4:] for line in block.splitlines()]
        if lines[0].startswith("$ sie-sym"):
            yield lines[0][2:], "\n".join(lines[1:])


def test_the_readme_shows_commands() -> None:
    assert len(list(shown_commands())) == 5


@pytest.mark.parametrize(("command", "output"), [*shown_commands()])
def test_a_shown_command_prints_what_is_shown(command: str, output: str) -> None:
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    # A claim that does not hold is a failed check.
    assert result.exit_code == int("refuted" in output), result.output
    assert result.stdout.rstrip() == output


def test_the_shown_python_runs() -> None:
    failures, attempted = doctest.testfile(str(README), module_relative=False)
    assert (failures, attempted) == (0, 4)


def test_the_shown_sweep_is_a_grid() -> None:
    """All but its run, which needs a cluster."""
    block = README.read_text().partition("    from sie_sym.sweep import")[2].partition("    if __name__")[0]
    tasks = eval(block.partition("tasks = ")[2], {"grid": grid})
    assert len(tasks) == 30
    assert "result" in run_task(replace(tasks[0], settings=(*tasks[0].settings, ("steps", 5))))


def test_every_command_is_named() -> None:
    text = README.read_text()
    assert [name for name in main.commands if f"`{name}`" not in text and f"sie-sym {name}" not in text] == []
