r"""The words of the LaTeX grammar: its lexemes, the commands it knows, and a cursor over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from sie_sym.grammar.formula_functions import FUNCTIONS, FormulaBuilder
from sie_sym.grammar.recursive_descent import RecursiveDescent


class Lexeme(NamedTuple):
    r"""A piece of text: kind is number, letter, command, end, or the character itself; `spaced` after a space."""

    kind: str
    text: str
    position: int
    spaced: bool

    @property
    def greek(self) -> bool:
        """Whether it is the command of a Greek letter."""
        return self.kind[0] == "\\" and self.kind[1:] in GREEK


_LEXEME = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:! ]|\\q?quad(?![A-Za-z])|\\(?:big|Big|bigg|Bigg)[lrm]?(?![A-Za-z]))+)"
    r"|(?P<left>\\(?:left|right)(?![A-Za-z])\s*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<command>\\(?:[A-Za-z]+|[{}|\\_]))"
    r"|(?P<operator>[-+*/^_(){}\[\]|,=&<>])",
    re.ASCII,
)
COMMANDS = {
    **{rf"\{name}": name for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min")},
    r"\ln": "log",
    r"\Phi": "Phi",
}
NAMED = {name: name for name in FUNCTIONS - {"sum", "prod"}} | {"sgn": "sign", "ReLU": "relu", "ln": "log"}
GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "varrho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Psi", "Omega",
})  # fmt: skip
DECORATIONS = frozenset({r"\mathbf", r"\boldsymbol", r"\bm", r"\vec", r"\mathit"})
UPRIGHT = frozenset({r"\mathrm", r"\operatorname", r"\text", r"\mathsf"})
INDICATORS = frozenset({r"\mathbf", r"\mathbb", r"\mathds"})
FRACTIONS = frozenset({r"\frac", r"\dfrac", r"\tfrac"})
STARS = frozenset({r"\star", r"\ast", "*"})
CLOSING = {"(": ")", "[": "]", r"\{": r"\}", r"\lvert": r"\rvert"}
PRODUCT = frozenset({r"\cdot", r"\times", "*"})
# Conventionally functions: reading sigma(z_1) as a product would be silently wrong.
FUNCTION_LETTERS = frozenset({"f", "g", "h", "H", "sigma", "phi", "varphi", "psi", "theta", "Theta"})
ENDING = frozenset({r"\}", r"\rvert", r"\\", r"\end", r"\_"}) | PRODUCT
KNOWN = (
    UPRIGHT
    | DECORATIONS
    | INDICATORS
    | ENDING
    | STARS
    | COMMANDS.keys()
    | {rf"\{letter}" for letter in GREEK}
    | FRACTIONS
    | {r"\sqrt", r"\sum", r"\prod", r"\begin", r"\{", r"\lvert", r"\pi", r"\limits"}
)


def _lexemes(builder: FormulaBuilder) -> list[Lexeme]:
    found: list[Lexeme] = []
    text, position, spaced = builder.text, 0, False
    while position < len(text):
        match = _LEXEME.match(text, position)
        if match is None:
            remedy = "write a command such as \\beta" if not text[position].isascii() else "remove it"
            builder.fail(f"unexpected character {text[position]!a}", remedy, position)
        kind, piece = str(match.lastgroup), match.group()
        if kind == "number" and len(piece) > 1 and found and found[-1].kind in FRACTIONS:
            # The arguments of \frac are single digits where they are not braced.
            if len(piece) > 2 or not piece.isdigit():
                what = rf"{found[-1].kind}{piece[:20]} is \frac{{{piece[0]}}}{{{piece[1]}}} followed by {piece[2:20]}"
                split = rf"\frac{{{piece[:-1]}}}{{{piece[-1]}}} or \frac{{{piece[0]}}}{{{piece[1]}}} \cdot {piece[2:]}"
                remedy = f"write {split}" if piece.isdigit() and len(piece) < 9 else r"write \frac{..}{..}"
                builder.fail(what, remedy, position)
            found += [Lexeme("number", piece[0], position, spaced), Lexeme("number", piece[1], position + 1, False)]
        elif kind not in ("space", "left"):
            # A space after a letters-only command ends its name and says nothing.
            kind = kind if kind in ("number", "letter") else piece
            found.append(Lexeme(kind, piece, position, spaced))
        # \left and \right change the size of a delimiter, nothing else.
        spaced = kind == "space" or (kind == "left" and spaced)
        position = match.end()
    found.append(Lexeme("end", "", len(text), spaced))
    return found


_INSIDE = r"((?:[^{}]|\{[^{}]*\})*)"
_LIMITS = re.compile(rf"\\(?:sum|prod) (?:\\limits )?_ \{{ [^{{}}=]*={_INSIDE}\}} \^ (?:(\w) |\{{{_INSIDE}\}})")


def length_is_a_limit(lexemes: Sequence[Lexeme]) -> bool:
    r"""Whether a limit of some sum or product reads L, so that L is the number of tokens: \sum_{l=1}^{L}."""
    words = " ".join(lexeme.text for lexeme in lexemes)
    return any("L" in " ".join(filter(None, limits.groups())).split() for limits in _LIMITS.finditer(words))


class Cursor(RecursiveDescent[Lexeme]):
    """The lexemes of one formula, and the place reached in them."""

    example = r"\mathrm{He}_2(z_1) + z_1 z_2"
    balance = "balance the delimiters"

    def __init__(self, text: str) -> None:
        builder = FormulaBuilder(text)
        super().__init__(builder, _lexemes(builder))

    def follows(self, *kinds: str, offset: int = 0) -> bool:
        """Whether the next lexemes are of these kinds."""
        start = self.next + offset
        return [lexeme.kind for lexeme in self.lexemes[start : start + len(kinds)]] == list(kinds)

    def expect(self, kind: str, remedy: str) -> None:
        """Read one lexeme of this kind, or fail."""
        if not self.accepts(kind):
            self.unexpected(f"expected {kind}", remedy)

    def unexpected(self, what: str, remedy: str) -> NoReturn:
        """Fail at the next lexeme."""
        head = self.head
        if head.kind[0] == "\\" and head.kind not in KNOWN:
            what, remedy = f"unknown command {head.text[:20]}", "use the commands of the grammar, or \\cdot"
            self.builder.fail(what, remedy, head.position)
        found = f"found {head.text[:20]}" if head.kind != "end" else "the formula ends"
        self.builder.fail(f"{what}, {found}", remedy, head.position)
