"""A short burst of the attack on the readers, and the proof that it would notice."""

from __future__ import annotations

import os
import sys
import time

import pytest
from attack_parsers import READERS, Reader, attack

from sie_sym.errors import FormulaError


@pytest.mark.parametrize("name", READERS)
def test_nothing_but_documented_errors(name: str) -> None:
    tally = attack(name, 4000, seed=0)
    assert sum(tally.values()) == 4000
    assert tally["read"] > 800, "too few strings are well formed for the attack to reach what lies behind the grammar"
    assert tally["FormulaError"] > 1000


@pytest.mark.parametrize(
    ("read", "noticed"),
    [
        (lambda text: 1 / 0, "ZeroDivisionError"),
        (lambda text: os.system("true"), "ran"),
        (lambda text: compile("1", "<string>", "eval"), "ran|isinstance"),
        (lambda text: time.sleep(0) or [i for i in range(10**9)], "TooSlow"),
        (lambda text: sys.exit(), "SystemExit"),
        (lambda text: float("nan"), "isinstance"),
    ],
)
def test_the_attack_notices(read: object, noticed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "broken", Reader(read, ["z1"], ["z1"]))  # type: ignore[arg-type]
    monkeypatch.setattr("attack_parsers.SECONDS", 0.1)
    with pytest.raises(AssertionError):
        attack("broken", 1, seed=0)


def test_errors_of_several_lines_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str) -> object:
        raise FormulaError("two\nlines")

    monkeypatch.setitem(READERS, "broken", Reader(read, ["z1"], ["z1"]))
    with pytest.raises(AssertionError, match="several lines"):
        attack("broken", 1, seed=0)
