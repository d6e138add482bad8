r"""What the LaTeX grammar reads between delimiters, and what comes with it.

Groups, absolute values, functions with scripts and arguments, indicators, sums and products over tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from sie_sym.grammar.formula import Value
from sie_sym.grammar.latex_lexemes import CLOSING, Lexeme
from sie_sym.grammar.latex_names import LENGTH, NameReader

_SUBSCRIPTED = {"He": "_2(z_1)", "he": "_2(z_1)", "softmax": "_1(z_1, z_2)"}
"""The functions of an order or an entry, with an example."""


class FunctionReader(NameReader):
    """The rules of the grammar that open something and close it again."""

    bars = 0
    """How many | are open in the innermost group: inside, a | closes."""

    @abstractmethod
    def term(self) -> Value:
        """A product."""

    @abstractmethod
    def factor(self) -> Value:
        """An atom with its exponent."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Whether a factor follows."""

    @contextmanager
    def inside(self, position: int, bars: int = 0) -> Iterator[None]:
        """Between delimiters: one more level, where `bars` | are open and none of those outside."""
        outside, self.bars = self.bars, bars
        with self.builder.nested(position):
            yield
        self.bars = outside

    def group(self, opening: str, closing: str) -> Value:
        """A sum between two delimiters."""
        position = self.head.position
        self.expect(opening, f"write {opening}..{closing}")
        with self.inside(position):
            value = self.expression()
        self.expect(closing, "balance the delimiters")
        return value

    def absolute(self) -> Value:
        r"""|x| or \lvert x \rvert."""
        opening = self.take()
        closing = CLOSING.get(opening.kind, "|")
        with self.inside(opening.position, bars=int(closing == "|")):
            value = self.expression()
        self.expect(closing, "close the absolute value")
        return self.builder.call("abs", [value], opening.position)

    def indicator(self) -> Value:
        r"""\mathbf{1}[x > y] or \mathbf{1}_{x > y}: the step of x - y."""
        head = self.take()
        self.script()
        subscript = self.accepts("_")
        opening = self.head
        if opening.kind not in ("[", "{", "(", r"\{"):
            self.unexpected("expected a condition", r"write \mathbf{1}[z_1 > 0]")
        closing = "}" if opening.kind == "{" else CLOSING[opening.kind]
        self.take()
        braced = subscript and self.accepts(r"\{")
        with self.inside(opening.position):
            left = self.expression()
            if self.head.kind not in ("<", ">"):
                self.unexpected("expected < or >", r"write \mathbf{1}[z_1 > 0]")
            greater = self.take().kind == ">"
            right = self.expression()
        if braced:
            self.expect(r"\}", "balance the delimiters")
        self.expect(closing, "balance the delimiters")
        terms = [left, self.builder.negate(right)] if greater else [right, self.builder.negate(left)]
        terms = [term for term in terms if term.expr != 0] or terms[:1]
        return self.builder.call("step", [self.builder.add(terms, opening.position)], head.position)

    def applied(self, name: str, head: Lexeme) -> Value:
        r"""A function with its argument: \sin(z_1)z_2 is sin(z_1) z_2, \sin z_1 takes one factor."""
        order: Value | None = None
        exponent: tuple[Value, int] | None = None
        while self.head.kind in ("_", "^"):
            script = self.take()
            if script.kind == "_" and name in _SUBSCRIPTED and order is None:
                order = self.script()
            elif script.kind == "^" and exponent is None:
                exponent = self.script(), script.position
            else:
                self.builder.fail(f"{name} takes no such script", f"write {name}(..)", script.position)
        if exponent and not (exponent[0].expr.is_Integer and exponent[0].expr > 0):
            remedy = "write 1/f(x), or the inverse function by name"
            self.builder.fail(f"{name}^n with n not a positive integer", remedy, exponent[1])
        if name in _SUBSCRIPTED and order is None:
            remedy = rf"write \mathrm{{{name}}}{_SUBSCRIPTED[name]}"
            self.builder.fail(f"{name} without its {'entry' if name == 'softmax' else 'order'}", remedy, head.position)
        value = self.builder.call(name, [*([order] if order else []), *self.arguments(name)], head.position)
        return self.builder.power(value, *exponent) if exponent else value

    def arguments(self, name: str) -> list[Value]:
        """The arguments in parentheses, or one group or factor, whose end must be clear."""
        opening = self.head
        braced = self.follows("{", "(")
        if opening.kind == "(" or braced:
            self.next += 1 + braced
            with self.inside(opening.position):
                found = [self.expression()]
                while self.accepts(","):
                    found.append(self.expression())
            self.expect(")", "close the arguments")
            if braced:
                self.expect("}", "close the argument in the same braces")
            return found
        if opening.kind == "{":
            found = [self.group("{", "}")]
        else:
            with self.builder.nested(opening.position):
                found = [self.factor()]
        if self.starts_factor() or self.head.kind == "/":
            remedy = f"write {name}(x) y or {name}(x y)"
            self.builder.fail(f"where the argument of {name} ends is ambiguous", remedy, self.head.position)
        return found

    def structured(self) -> Value:
        r"""\sum_{l=1}^{L} or \prod_{l=1}^{L} of a term."""
        head = self.take()
        kind = head.text[1:]
        usage = rf"write \{kind}_{{l=1}}^{{10}} z_l"
        self.accepts(r"\limits")
        for opening in ("_", "{"):
            self.expect(opening, usage)
        index = self.take()
        if index.kind != "letter" and not index.greek:
            self.builder.fail(f"{kind} needs an index", usage, index.position)
        self.expect("=", usage)
        low = self.expression()
        for closing in ("}", "^"):
            self.expect(closing, usage)
        high = self.upper_bound()
        with self.builder.nested(head.position):
            name = index.text.lstrip("\\")
            with self.builder.bound(name, low, high, index.position) as symbol:
                return self.builder.structured(kind, symbol, self.term(), head.position)

    def upper_bound(self) -> Value:
        """The last index, a number once L is known."""
        position = self.head.position
        bound = self.script()
        if LENGTH in bound.expr.free_symbols:
            remedy = "write it as a number, or give the number of tokens"
            self.builder.fail("the number L of tokens is unknown", remedy, position)
        return bound


__all__ = ["FunctionReader"]
