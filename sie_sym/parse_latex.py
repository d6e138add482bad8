r"""Formula text in LaTeX -> SymPy: a small grammar of its own that refuses what it does not know.

    expression = ["+" | "-"] term {("+" | "-") term}
    term       = factor {["\cdot" | "\times" | "*" | "/"] factor}
    factor     = ["-"] atom ["^" exponent]
    atom       = number | name | token | "\frac" group group | "\sqrt" ["[" n "]"] group | "|" expression "|"
               | function ["_" k] ["^" n] argument | ("\sum" | "\prod") "_{l=1}^{L}" term | delimited expression

Tokens are z_1, z_{12} or z_{\star,1}; z_12 is refused because LaTeX typesets it as z_1 followed by 2.  The body
of a sum reaches to the next + or -.  e^{x} is the exponential.  Letters that stand side by side are refused
(write a b for the product, \mathrm{rate} for one name); a parameter's numeric subscript joins its name
(\beta_1 is beta1), a letter subscript follows an underscore (\omega_c is omega_c), \lambda is lambda_.  Arguments
without braces are one digit or letter: \frac43 is 4/3, and \frac123 is refused.
"""

from __future__ import annotations

import sympy as sp

from sie_sym.grammar.formula import Value
from sie_sym.grammar.latex_display import formula_part
from sie_sym.grammar.latex_functions import FunctionReader
from sie_sym.grammar.latex_lexemes import (
    CLOSING,
    COMMANDS,
    DECORATIONS,
    ENDING,
    FRACTIONS,
    INDICATORS,
    PRODUCT,
    UPRIGHT,
    length_is_a_limit,
)
from sie_sym.grammar.recursive_descent import read_formula


class _Parser(FunctionReader):
    """One method per rule of the grammar."""

    def __init__(self, text: str, tokens: int | None) -> None:
        super().__init__(text)
        self.length = tokens if length_is_a_limit(self.lexemes) else None

    # ---- the rules --------------------------------------------------------------------------------

    def starts_matrix(self) -> bool:
        return any(self.follows(*start, r"\begin") for start in ((), ("[",), ("(",)))

    def matrix(self) -> sp.ImmutableDenseMatrix:
        start = self.head.position
        closing = CLOSING[self.take().kind] if self.head.kind != r"\begin" else None
        self.expect(r"\begin", r"write \begin{pmatrix} .. \end{pmatrix}")
        environment = self.word()
        if environment not in ("matrix", "pmatrix", "bmatrix"):
            self.builder.fail(f"unknown environment {environment}", "use pmatrix or bmatrix", start)
        rows = [[self.expression()]]
        while not self.accepts(r"\end"):
            if self.accepts("&"):
                rows[-1].append(self.expression())
                continue
            self.expect(r"\\", r"separate entries by & and rows by \\")
            if self.head.kind != r"\end":
                rows.append([self.expression()])
        if self.word() != environment:
            self.builder.fail(f"{environment} is not closed", rf"write \end{{{environment}}}", start)
        if closing:
            self.expect(closing, "close the delimiter")
        self.end()
        return self.builder.matrix(rows, start)

    def expression(self, factors: list[Value] | None = None) -> Value:
        """A sum, the factors of its first term read before if given."""
        start = self.head.position
        negative = not factors and self.head.kind in ("+", "-") and self.take().kind == "-"
        terms: list[Value] = []
        while True:
            term = self.builder.multiply(factors, start) if factors and not terms else self.term()
            terms.append(self.builder.negate(term) if negative else term)
            if self.head.kind not in ("+", "-"):
                return self.builder.add(terms, start)
            negative = self.take().kind == "-"

    def term(self) -> Value:
        start = self.head.position
        return self.builder.multiply(self.factors(), start)

    def factors(self) -> list[Value]:
        factors = [self.factor()]
        divided = False
        while True:
            head = self.head
            if self.accepts(*PRODUCT):
                divided = False
                factors.append(self.signed_factor())
            elif self.accepts("/"):
                if divided:
                    self.builder.fail("a/b/c is ambiguous", r"write \frac{a}{b c}", head.position)
                divided = True
                factors.append(self.builder.reciprocal(self.signed_factor(), head.position))
            elif self.starts_factor():
                self.check_juxtaposition(divided)
                factors.append(self.factor())
            else:
                return factors

    def starts_factor(self) -> bool:
        kind = self.head.kind
        if kind == "|":
            return self.bars == 0
        return kind in ("number", "letter", "(", "[", "{") or (kind[0] == "\\" and kind not in ENDING)

    def check_juxtaposition(self, divided: bool) -> None:
        """What LaTeX typesets as a product, where a reader could see something else."""
        head, previous = self.head, self.previous
        if divided:
            remedy = r"write \frac{1}{2} z_1 or \frac{1}{2 z_1}"
            self.builder.fail("a/b c is ambiguous", remedy, head.position)
        if head.kind == "number":
            what = f"the number {head.text[:20]} follows a factor"
            self.builder.fail(what, r"put numbers first or write \cdot; z_12 is z_{12}", head.position)
        if head.kind == previous.kind == "letter" and not head.spaced:
            what = f"{previous.text}{head.text} could be one name or a product"
            self.builder.fail(what, rf"write {previous.text} {head.text} or \mathrm{{name}}", head.position)

    def signed_factor(self) -> Value:
        if self.accepts("-"):
            return self.builder.negate(self.factor())
        return self.factor()

    def factor(self) -> Value:
        base = self.atom()
        while self.head.kind == "^":
            position = self.take().position
            base = self.builder.power(base, self.script(), position)
            if self.head.kind == "^":
                self.builder.fail("a double superscript", "write {x^2}^3 with braces", self.head.position)
        return base

    def script(self) -> Value:
        """The argument of ^, _, \\frac: a group, or one character."""
        if self.head.kind == "{":
            return self.group("{", "}")
        if self.head.kind == "number" and len(self.head.text) > 1:
            text = self.head.text
            what, remedy = f"LaTeX reads only the first digit of {text[:20]}", f"write {{{text[:20]}}}"
            self.builder.fail(what, remedy, self.head.position)
        if self.head.kind in ("number", "letter") or self.head.greek or self.head.kind == r"\pi":
            return self.atom(scripts=False)
        self.unexpected("expected a group", "write {..}")

    def part(self) -> list[Value]:
        """A numerator or denominator in factors: the product 2 (x + 1) on its own would be distributed by SymPy."""
        opening = self.head
        if opening.kind != "{":
            return [self.script()]
        self.take()
        with self.inside(opening.position):
            found = [] if self.head.kind in ("+", "-") else self.factors()
            if not found or self.head.kind in ("+", "-"):
                found = [self.expression(found)]
        self.expect("}", "balance the delimiters")
        return found

    def atom(self, scripts: bool = True) -> Value:
        head = self.head
        if head.kind == "number":
            return self.builder.number(self.take().text, "", head.position)
        if head.kind in ("|", r"\lvert"):
            return self.absolute()
        if head.kind in ("(", "[", r"\{"):
            return self.group(head.kind, CLOSING[head.kind])
        if head.kind == "{":
            return self.braced()
        if head.kind in FRACTIONS:
            self.take()
            numerator = self.part()
            denominator = [self.builder.reciprocal(factor, head.position) for factor in self.part()]
            return self.builder.multiply([*numerator, *denominator], head.position)
        if head.kind == r"\sqrt":
            return self.root()
        if head.kind in (r"\sum", r"\prod"):
            return self.structured()
        if head.kind in COMMANDS:
            self.take()
            return self.applied(COMMANDS[head.kind], head)
        if head.kind in INDICATORS and (self.follows("number", offset=1) or self.follows("{", "number", "}", offset=1)):
            return self.indicator()
        if head.kind == "letter" or head.greek or head.kind in UPRIGHT | DECORATIONS | {r"\pi"}:
            return self.named(scripts)
        self.unexpected("expected a factor", "complete or balance the formula")

    def braced(self) -> Value:
        r"""{..}, where {z}_{l} is a token."""
        if self.follows("letter", "}", "_", offset=1) and self.lexemes[self.next + 1].text == "z":
            self.next += 3
            return self.token(self.lexemes[self.next - 2])
        return self.group("{", "}")

    def root(self) -> Value:
        position = self.take().position
        if self.head.kind != "[":
            return self.builder.call("sqrt", [self.script()], position)
        order = self.group("[", "]")
        return self.builder.power(self.script(), self.builder.reciprocal(order, position), position)


def counts_tokens(text: str) -> bool:
    r"""Whether the letter L means the number of tokens in a formula: it is the limit of a sum or product.

    >>> counts_tokens(r"\frac{1}{L} \sum_{l=1}^{L} z_l"), counts_tokens("L z_1")
    (True, False)
    """
    return _Parser(formula_part(text), 1).length is not None


def parse_latex(text: str, *, tokens: int | None = None) -> sp.Expr | sp.ImmutableDenseMatrix:
    r"""The expression or matrix that a LaTeX formula means; `tokens` is the value of L in \sum_{l=1}^{L}.

    Every other L of such a formula is that number, too; where no limit reads L it is a parameter.  The formula may be a
    display as `latex` writes it for a target: delimiters, comment lines, g(z) = and the alignment of a long sum are
    passed over.

    Raises `FormulaError` for commands outside the grammar, for what could be read in two ways, and beyond the
    budgets of `sie_sym.grammar.formula`; `DomainError` as `sie_sym.parse.parse_formula`.

    >>> parse_latex(r"\mathrm{He}_4(z_1) + \frac{1}{2}\sin(z_{\star,1}) z_2")
    z2*sin(z1)/2 + He(4, z1)
    """
    return read_formula(text, lambda text: _Parser(formula_part(text), tokens))
