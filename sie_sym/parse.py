r"""Formula text in the Python-like grammar -> SymPy, without `eval`: a recursive-descent parser of its own.

    formula    = matrix | expression
    matrix     = "[" row {"," row} "]"            row = "[" expression {"," expression} "]" | expression
    expression = term {("+" | "-") term}
    term       = unary {("*" | "/") unary}
    unary      = {"+" | "-"} power
    power      = atom [("^" | "**") unary]        right-associative; -z1^2 is -(z1^2)
    atom       = number | name | "z" "[" index "]" | name "(" expression {"," expression} ")"
               | ("sum" | "prod") "(" name "," low "," high "," body ")" | "(" expression ")"

Tokens are z1, z2, ... (z[l] with l bound by sum or prod); decimals are exact rationals; any name that is
neither a function nor `pi` is a real parameter, so that e, i, E, I, S, N, beta and Z1 are parameters.
"""

from __future__ import annotations

import re
import unicodedata
from keyword import iskeyword
from typing import Literal, NamedTuple, NoReturn

import sympy as sp

from sie_sym.errors import DomainError, FormulaError
from sie_sym.grammar.formula import Value
from sie_sym.grammar.formula_functions import FUNCTIONS, FormulaBuilder
from sie_sym.grammar.recursive_descent import RecursiveDescent, read_formula


class Lexeme(NamedTuple):
    """A piece of text: kind is number, name, or the operator itself, and end for the end."""

    kind: str
    text: str
    position: int


_LEXEME = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|[-+*/^()\[\],])",
    re.ASCII,
)
_REFUSED = {
    "'": ("strings are not allowed", "write a formula"),
    '"': ("strings are not allowed", "write a formula"),
    ".": ("attributes are not allowed", "write a number as 0.5, a product with *"),
    "=": ("= is not part of a formula", "write one side only"),
    "<": ("comparisons are not allowed", "write step(x) for 1[x > 0]"),
    ">": ("comparisons are not allowed", "write step(x) for 1[x > 0]"),
    "!": ("factorials and ! are not allowed", "write the number"),
    "%": ("% is not an operator of the grammar", "use + - * / ^"),
    "@": ("@ is not an operator of the grammar", "@NAME alone names a target of the paper"),
    ";": ("one formula at a time", "remove the semicolon"),
    "|": ("| is not an operator of the grammar", "write abs(x)"),
    "\\": ("a backslash is LaTeX", "read LaTeX with parse_latex (--from-latex)"),
    "{": ("braces are LaTeX", "use parentheses, or parse_latex (--from-latex)"),
    "}": ("braces are LaTeX", "use parentheses, or parse_latex (--from-latex)"),
    "#": ("comments are not allowed", "write the formula alone"),
}
_SPELLED = {
    "π": "pi", "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "⋆": "*", "²": "^2", "³": "^3",
    "√": "sqrt(..)", "∑": "sum(..)", "∏": "prod(..)", "Φ": "Phi",
}  # fmt: skip


def _character_remedy(character: str) -> str:
    plain = _SPELLED.get(character) or unicodedata.normalize("NFKC", character)
    if not plain.isascii():
        words = unicodedata.name(character, "").split()
        plain = words[-1].lower() if words[:1] == ["GREEK"] else ""
    return f"write {plain}" if plain else "use ASCII letters, e.g. beta"


def _lexemes(builder: FormulaBuilder) -> list[Lexeme]:
    text, found, position = builder.text, [], 0
    while position < len(text):
        match = _LEXEME.match(text, position)
        if match is None:
            character = text[position]
            if not character.isascii():
                what = f"{character!a} is not ASCII"
                builder.fail(what, _character_remedy(character), position)
            what, remedy = _REFUSED.get(character, (f"unexpected character {character!a}", "remove it"))
            builder.fail(what, remedy, position)
        if match.lastgroup != "space":
            piece = match.group()
            kind = match.lastgroup if match.lastgroup in ("number", "name") else piece.replace("**", "^")
            found.append(Lexeme(str(kind), piece, position))
        position = match.end()
    found.append(Lexeme("end", "", len(text)))
    return found


class _Parser(RecursiveDescent[Lexeme]):
    """One method per rule of the grammar."""

    example = "He(2, z1) + z1*z2"
    balance = "balance the parentheses; separate factors by *"

    def __init__(self, text: str, activation: bool) -> None:
        builder = FormulaBuilder(text, activation)
        super().__init__(builder, _lexemes(builder))

    def expect(self, kind: str, remedy: str) -> None:
        if not self.accepts(kind):
            self.unexpected(f"expected {kind!r}", remedy)

    def unexpected(self, what: str, remedy: str) -> NoReturn:
        """The lexeme at the head does not fit; forgotten operators are what happens most."""
        head, previous = self.head, self.previous if self.next else None
        if head.kind in ("number", "name", "(", "[") and previous and previous.kind in ("number", "name", ")", "]"):
            if head.kind == "[" and previous.kind == "name":
                remedy = "only z can be indexed, as in sum(l, 1, 10, z[l])"
                self.builder.fail(f"{previous.text[:20]}[..] is not allowed", remedy, head.position)
            if (previous.kind, previous.text[:1], head.text[:1]) == ("name", "z", "."):
                self.builder.fail("z1.5 is not a token", "tokens are z1, z2, ...", previous.position)
            if iskeyword(head.text) or iskeyword(previous.text):
                word = head if iskeyword(head.text) else previous
                self.builder.fail(f"{word.text} is not part of the grammar", "write a formula", word.position)
            if previous.kind == "number" and head.text in ("j", "J"):
                self.builder.fail("imaginary numbers are not allowed", "write 1*j for a parameter", head.position)
            between = f"write {_short(previous)}*{_short(head)}"
            self.builder.fail(f"no operator before {_short(head)}", between, head.position)
        found = f"found {_short(head)}" if head.kind != "end" else "the formula ends"
        self.builder.fail(f"{what}, {found}", remedy, head.position)

    # ---- the rules --------------------------------------------------------------------------------

    def starts_matrix(self) -> bool:
        return self.head.kind == "["

    def matrix(self) -> sp.ImmutableDenseMatrix:
        start = self.take()
        if self.builder.activation:
            self.builder.fail("an activation is a scalar", "write a formula in u", start.position)
        nested = self.head.kind == "["
        rows = []
        while True:
            if nested and self.head.kind != "[":
                remedy = "write [[a, b], [c, d]] or [a, b]"
                self.builder.fail("a row is missing its brackets", remedy, self.head.position)
            if nested:
                self.take()
            rows.append(self.row(nested))
            if not (nested and self.accepts(",")):
                break
        if nested:
            self.expect("]", "close the matrix")
        self.end()
        return self.builder.matrix(rows if nested else [[entry] for entry in rows[0]], start.position)

    def row(self, nested: bool) -> list[Value]:
        if self.head.kind == "]":
            self.builder.fail("an empty list", "write at least one entry", self.head.position)
        entries = []
        while True:
            if self.head.kind == "[":
                what = "a list inside a row" if nested else "lists and scalars are mixed"
                self.builder.fail(what, "write [[a, b], [c, d]] or [a, b]", self.head.position)
            entries.append(self.expression())
            if not self.accepts(","):
                break
        self.expect("]", "close the list")
        return entries

    def expression(self) -> Value:
        start = self.head.position
        terms = [self.term()]
        while self.head.kind in ("+", "-"):
            negative = self.take().kind == "-"
            term = self.term()
            terms.append(self.builder.negate(term) if negative else term)
        return self.builder.add(terms, start)

    def term(self) -> Value:
        start = self.head.position
        factors = [self.unary()]
        while self.head.kind in ("*", "/"):
            operator = self.take()
            if self.head.kind == operator.kind == "/":
                self.builder.fail("// is not an operator of the grammar", "use + - * / ^", operator.position)
            factor = self.unary()
            factors.append(self.builder.reciprocal(factor, operator.position) if operator.kind == "/" else factor)
        return self.builder.multiply(factors, start)

    def unary(self) -> Value:
        negative = False
        while self.head.kind in ("+", "-"):
            negative ^= self.take().kind == "-"
        value = self.power()
        return self.builder.negate(value) if negative else value

    def power(self) -> Value:
        base = self.atom()
        if self.head.kind != "^":
            return base
        operator = self.take()
        with self.builder.nested(operator.position):
            exponent = self.unary()
        return self.builder.power(base, exponent, operator.position)

    def atom(self) -> Value:
        head = self.head
        if head.kind == "number":
            digits, _, exponent = self.take().text.lower().partition("e")
            return self.builder.number(digits, exponent, head.position)
        if head.kind == "(":
            self.take()
            with self.builder.nested(head.position):
                value = self.expression()
            self.expect(")", "close the parenthesis")
            return value
        if head.kind == "name":
            return self.named()
        if head.kind == "[":
            self.builder.fail("a list inside a formula", "a matrix target is one whole list", head.position)
        if head.kind == "*":
            self.builder.fail("* has no left factor", "arguments cannot be starred", head.position)
        self.unexpected("expected a number, a name or a parenthesis", "complete or balance the formula")

    def named(self) -> Value:
        name = self.take()
        if name.text == "z" and self.accepts("["):
            with self.builder.nested(name.position):
                index = self.expression()
            self.expect("]", "close the index")
            return self.builder.indexed_token(index, name.position)
        if self.head.kind == "number" and self.head.text[0] == "." and name.text[0] == "z":
            self.unexpected("", "")
        if self.head.kind != "(":
            return self.builder.name(name.text, name.position)
        if name.text in ("sum", "prod"):
            self.take()
            return self.structured(name)
        if name.text not in FUNCTIONS:
            self.builder.unknown_function(name.text, name.position)
        self.take()
        arguments = []
        with self.builder.nested(name.position):
            while self.head.kind != ")":
                arguments.append(self.expression())
                if not self.accepts(","):
                    break
        self.expect(")", "close the arguments")
        return self.builder.call(name.text, arguments, name.position)

    def structured(self, kind: Lexeme) -> Value:
        usage = f"write {kind.text}(l, 1, 10, z[l])"
        index = self.take()
        if index.kind != "name":
            self.builder.fail(f"{kind.text} needs an index name first", usage, index.position)
        self.expect(",", usage)
        with self.builder.nested(kind.position):
            low = self.expression()
            self.expect(",", usage)
            high = self.expression()
            self.expect(",", usage)
            with self.builder.bound(index.text, low, high, index.position) as symbol:
                value = self.builder.structured(kind.text, symbol, self.expression(), kind.position)
        self.expect(")", usage)
        return value


def _short(lexeme: Lexeme) -> str:
    return lexeme.text if len(lexeme.text) <= 20 else f"{lexeme.text[:17]}..."


def parse_formula(text: str, *, variables: Literal["tokens", "u"] = "tokens") -> sp.Expr | sp.ImmutableDenseMatrix:
    r"""The expression (or matrix; a list is a column) that a formula text means, never more than it says.

    With `variables="tokens"` the variables are z1, z2, ...; with "u" it is the single u of an activation.
    Functions: He(k, x), he(k, x) = He(k, x)/sqrt(k!), softmax(k, x1, .., xn) = exp(x_k)/sum_j exp(x_j), exp, log,
    sin, cos, tan, sinh, cosh, tanh, sqrt, abs, sign, step, relu, erf, Phi, sigmoid, softplus, gelu, min, max, and
    sum(l, 1, 10, ..), prod(l, 2, 30, ..), which stay unevaluated (`sympy.Sum`, `sympy.Product`) over an integer index
    l with the tokens `TOKENS[l]`.

    Raises `FormulaError` for text outside the grammar or beyond its budgets, and `DomainError` for a function
    whose argument could not be shown to stay in its domain (log, roots, reciprocals, tan).

    >>> parse_formula("z1 * prod(l, 2, 30, 1 + z[l]) + 0.5*He(2, z1)")
    z1*Product(z[l] + 1, (l, 2, 30)) + He(2, z1)/2
    """
    if variables not in ("tokens", "u"):
        raise FormulaError(f"unknown variables {variables!r}: choose tokens or u")
    return read_formula(text, lambda text: _Parser(text, variables == "u"))


def parse_number(text: str) -> sp.Expr:
    """A real number: a decimal as an exact rational, or a formula without names such as sqrt(2)/3 or pi/4.

    Raises `FormulaError` for anything else.

    >>> parse_number("0.1"), parse_number("-sqrt(2)/3")
    (1/10, -sqrt(2)/3)
    """
    try:
        value = parse_formula(text)
    except DomainError as error:
        raise FormulaError(str(error)) from None
    if isinstance(value, sp.MatrixBase):
        raise FormulaError(f"{text.strip()[:40]!r} is a list: write one number")
    if value.free_symbols:
        names = ", ".join(sorted(map(str, value.free_symbols))[:5])
        raise FormulaError(f"{text.strip()[:40]!r} is not a number, it contains {names}: write e.g. 0.3 or sqrt(2)/3")
    if not value.is_Rational and not value.evalf(15, maxn=60).is_Float:
        raise FormulaError(f"{text.strip()[:40]!r} is not evaluated as a number: write e.g. 0.3 or sqrt(2)/3")
    return value
