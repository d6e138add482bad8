r"""The names of the LaTeX grammar: tokens z_l, parameters with their subscripts, the exponential e^x.

A parameter's numeric subscript joins its name (\beta_1 is beta1), a letter subscript follows an underscore (\omega_c
is omega_c), \lambda is lambda_.  z_12 is refused because LaTeX typesets it as z_1 followed by 2.
"""

from __future__ import annotations

from abc import abstractmethod

import sympy as sp

from sie_sym.grammar.formula import Value
from sie_sym.grammar.latex_lexemes import (
    DECORATIONS,
    FUNCTION_LETTERS,
    NAMED,
    STARS,
    UPRIGHT,
    Cursor,
    Lexeme,
)

LENGTH = sp.Symbol("L", real=True)
"""The parameter L of formulas in which no limit reads it."""
_SPELLED = {r"\varepsilon": "eps"}


class NameReader(Cursor):
    """The rules of the grammar that read a name."""

    length: int | None = None
    """What the letter L means wherever it stands; None where it is a parameter like any other."""

    @abstractmethod
    def script(self) -> Value:
        r"""The argument of ^, _, \frac: a group, or one character."""

    @abstractmethod
    def applied(self, name: str, head: Lexeme) -> Value:
        """A function with its argument."""

    def word(self) -> str:
        r"""The letters and digits of {name}, or one Greek letter as in {\beta}."""
        self.expect("{", "write {name}")
        letters = self.take().text if self.head.greek else ""
        while not letters.startswith("\\") and self.head.kind in ("letter", "number", r"\_"):
            letters += self.take().text.lstrip("\\")
        self.expect("}", "write {name} in letters and digits")
        return letters

    def named(self, scripts: bool) -> Value:
        """A name, its function or the token it starts; a parameter has no subscript where `scripts` is false."""
        head = self.take()
        name = head.text
        if head.kind in UPRIGHT | DECORATIONS:
            name = self.take().text if self.head.kind != "{" else self.word()
        name = _SPELLED.get(name, name).lstrip("\\")
        if head.kind in UPRIGHT and name in NAMED:
            return self.applied(NAMED[name], head)
        if name == "pi" and head.kind == r"\pi":
            return self.builder.name("pi", head.position)
        if name in ("e", "z") and head.kind == "letter" and not scripts and self.head.kind in ("_", "^"):
            script = name + self.head.kind
            self.builder.fail(f"LaTeX reads only the {name} of {script}", f"write {{{script}{{..}}}}", head.position)
        if name == "e" and head.kind in ("letter", r"\mathrm"):
            return self.exponential(head)
        if not name.replace("_", ""):
            self.builder.fail("an empty name", r"write e.g. \mathrm{rate}", head.position)
        if name == "z":
            return self.token(head)
        if name in self.builder.indices:
            return self.builder.name(name, head.position)
        return self.parameter(name, head, scripts)

    def exponential(self, head: Lexeme) -> Value:
        """e^x; e alone is refused."""
        if self.head.kind != "^":
            remedy = r"write e^{x} for the exponential, another letter for a parameter"
            self.builder.fail("e alone is ambiguous", remedy, head.position)
        self.take()
        return self.builder.call("exp", [self.script()], head.position)

    def parameter(self, name: str, head: Lexeme, scripts: bool) -> Value:
        """A parameter with its subscript."""
        letter = name
        subscript = self.subscript() if scripts and self.accepts("_") else ""
        name += subscript
        if name == "lambda":
            name = "lambda_"
        if self.head.kind in ("(", r"\{") and scripts and (letter in FUNCTION_LETTERS or not self.head.spaced):
            remedy = rf"write {head.text} \cdot (..) for a product, \operatorname{{..}} for a function"
            self.builder.fail(f"{name}(..) could be a function or a product", remedy, head.position)
        if self.length is not None and name == LENGTH.name:
            return self.builder.number(str(self.length), "", head.position)
        return self.builder.name(name, head.position)

    def subscript(self) -> str:
        r"""What a parameter's subscript adds to its name: digits themselves, _ and the letters, _ and \mathrm{..}."""
        upright = self.head.kind in UPRIGHT or (self.head.kind == "{" and self.lexemes[self.next + 1].kind in UPRIGHT)
        if upright:
            braced = self.accepts("{")
            self.take()
            found = self.word()
            if braced:
                self.expect("}", "close the subscript")
        elif self.head.kind == "{":
            found = self.word()
        else:
            if self.head.kind == "number" and len(self.head.text) > 1:
                self.script()
            if self.head.kind not in ("number", "letter"):
                self.unexpected("expected a subscript", "write _1 or _{ab}")
            found = self.take().text
        if not found:
            self.builder.fail("an empty subscript", "write x_1 or x_{ab}, or leave it out", self.previous.position)
        found = found.lstrip("\\")
        return found if found.isdigit() and not upright else f"_{found}"

    def token(self, head: Lexeme) -> Value:
        """z with its subscript; a star on it (the target's local field) changes nothing."""
        self.skip_star()
        if not self.accepts("_"):
            self.builder.fail("z alone is not a token", "write z_1, z_2, ..", head.position)
        if self.head.kind == "number" and len(self.head.text) > 1:
            text = self.head.text
            what, remedy = f"z_{text[:20]} is z_{text[0]} followed by {text[1:20]}", f"write z_{{{text[:20]}}}"
            self.builder.fail(what, remedy, head.position)
        if self.head.kind != "{":
            value = self.builder.indexed_token(self.script(), head.position)
        else:
            position = self.take().position
            if self.accepts(*STARS):
                self.accepts(",")
            with self.builder.nested(position):
                value = self.builder.indexed_token(self.expression(), head.position)
            self.expect("}", "close the subscript")
        self.skip_star()
        if self.head.kind == "number" and not self.head.spaced:
            remedy = r"put numbers first, or brace the subscript"
            self.builder.fail(f"a number follows z_{value.expr}"[:40], remedy, self.head.position)
        return value

    def skip_star(self) -> None:
        """Pass over a star as superscript."""
        for star in STARS:
            for script in (("^", star), ("^", "{", star, "}")):
                if self.follows(*script):
                    self.next += len(script)
                    return
