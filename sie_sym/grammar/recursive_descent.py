r"""Recursive descent: what the parsers of the two grammars share, a place in the lexemes and the frame of a formula."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.grammar.formula import Value
from sie_sym.grammar.formula_functions import FormulaBuilder


class Piece(Protocol):
    """What is read of a lexeme: its kind (end for the end), its text, and where it stands."""

    @property
    def kind(self) -> str:
        """number, end, ..., or the character itself."""

    @property
    def text(self) -> str:
        """As it was written."""

    @property
    def position(self) -> int:
        """Its first character."""


L = TypeVar("L", bound=Piece)


class RecursiveDescent(ABC, Generic[L]):
    """The lexemes of one formula, the place reached in them, and the rules for a whole formula."""

    example: str
    """A formula, for whom wrote none."""
    balance: str
    """The remedy for text that is left over."""

    def __init__(self, builder: FormulaBuilder, lexemes: Sequence[L]) -> None:
        self.builder = builder
        self.lexemes = lexemes
        self.next = 0

    @property
    def head(self) -> L:
        """The lexeme to read next."""
        return self.lexemes[self.next]

    @property
    def previous(self) -> L:
        """The lexeme read last."""
        return self.lexemes[max(self.next - 1, 0)]

    def take(self) -> L:
        """Read one lexeme."""
        self.next += 1
        return self.lexemes[self.next - 1]

    def accepts(self, *kinds: str) -> bool:
        """Read the next lexeme if it is of one of these kinds."""
        if self.head.kind in kinds:
            self.next += 1
            return True
        return False

    @abstractmethod
    def unexpected(self, what: str, remedy: str) -> NoReturn:
        """Fail at the next lexeme."""

    @abstractmethod
    def starts_matrix(self) -> bool:
        """Whether the formula is a matrix or a list."""

    @abstractmethod
    def matrix(self) -> sp.ImmutableDenseMatrix:
        """A matrix, which is a whole formula."""

    @abstractmethod
    def expression(self) -> Value:
        """A sum."""

    def formula(self) -> sp.Expr | sp.ImmutableDenseMatrix:
        """The whole text."""
        if self.head.kind == "end":
            self.builder.fail("the formula is empty", f"write e.g. {self.example}", 0)
        if self.starts_matrix():
            return self.matrix()
        value = self.expression()
        self.end()
        return self.builder.finish(value)

    def end(self) -> None:
        """Fail unless everything is read."""
        if self.head.kind != "end":
            self.unexpected("expected the end", self.balance)


def read_formula(text: str, parser: Callable[[str], RecursiveDescent[L]]) -> sp.Expr | sp.ImmutableDenseMatrix:
    """The formula of a text.  Raises `FormulaError`, also for what is no text and for too deep a nesting."""
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a text, not {type(text).__name__}: pass a str")
    try:
        return parser(text).formula()
    except RecursionError:
        raise FormulaError("the formula is nested too deeply: write a flatter one") from None
