r"""The text of a Python function in straight-line code: its lines, its names, and what is already computed.

Code for floats chooses by `a if c else b` and runs on `math`; code for arrays by `where`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sympy as sp


class StraightLine(ABC):
    """The body of one function as it is written."""

    def __init__(self, scalar: bool) -> None:
        self.scalar = scalar
        self.lines: list[str] = []
        self.indent = 1
        self.count = 0
        self.scopes: list[dict[Any, str]] = [{}]

    @abstractmethod
    def emit(self, node: sp.Basic) -> str:
        """Code for an expression."""

    @abstractmethod
    def atom(self, node: sp.Basic) -> str:
        """As `emit`, but a name or a number, cheap to repeat."""

    @abstractmethod
    def integer(self, node: sp.Basic) -> str:
        """Integer code for indices and limits of structured sums."""

    def choose(self, condition: str, yes: str, no: str) -> str:
        """Code for one of two values."""
        return f"({yes} if {condition} else {no})" if self.scalar else f"where({condition}, {yes}, {no})"

    def line(self, text: str) -> None:
        """Write one line."""
        self.lines.append("    " * self.indent + text)

    def fresh(self) -> str:
        """A name not used before."""
        self.count += 1
        return f"t{self.count}"

    def store(self, code: str, key: Any = None) -> str:
        """The name of a value, remembered under a key."""
        if not code.isidentifier():
            name = self.fresh()
            self.line(f"{name} = {code}")
            code = name
        if key is not None:
            self.scopes[-1][key] = code
        return code

    def lookup(self, key: Any) -> str | None:
        """The name under which a value is already computed."""
        return next((scope[key] for scope in reversed(self.scopes) if key in scope), None)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """An indented block; what is computed inside is not reused after it."""
        self.line(head)
        self.indent += 1
        self.scopes.append({})
        yield
        self.scopes.pop()
        self.indent -= 1
