r"""SymPy expressions as LaTeX in this project's notation: tokens z_{1}, overlaps m and \varepsilon, names of any kind.

What is written is plain amsmath in ASCII; it reads the same in KaTeX's strict mode.  `parse_latex` reads the formula of
a target back as the same expression: no two names are alike to it, and nothing is written that it refuses as ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter

from sie_sym.functions import TOKENS, token_index
from sie_sym.grammar.latex_lexemes import FUNCTION_LETTERS, NAMED

_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)
_NAME = re.compile(r"(?P<base>[A-Za-z]+)(?:(?P<digits>[0-9]+)|_(?P<word>[A-Za-z0-9]+))?")
# Upright these are functions.
_FUNCTIONS = frozenset({*NAMED, "pi"})
_LETTERS = "|".join(sorted(letter if len(letter) == 1 else rf"\\{letter}" for letter in FUNCTION_LETTERS))
_LETTERS += r"|\\mathrm\{varphi\}"
_PRODUCT = re.compile(rf"(?<![A-Za-z\\])((?:{_LETTERS})(?:_\{{(?:[0-9]+|\\mathrm\{{[A-Za-z0-9]+\}})\}})?) (\\left[(])")
_LATEX_NAME = re.compile(r"[A-Za-z]_\{[0-9]+\}")
_LINE = 150
"""Characters of LaTeX in one line of a formula, about a line of A4."""


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


def symbol_name(name: str) -> str:
    r"""The LaTeX of a parameter: Greek by name, trailing digits as a subscript, long names upright.

    x1 is x_{1} and x_1 is x_{\mathrm{1}}, which `parse_latex` tells apart; it reads \mathit{sin} as a parameter.

    >>> symbol_name("omega"), symbol_name("eps2"), symbol_name("a_max"), symbol_name("rate")
    ('\\omega', '\\varepsilon_{2}', 'a_{\\mathrm{max}}', '\\mathrm{rate}')
    """
    if _LATEX_NAME.fullmatch(name):
        return name  # the bound variables of expectations
    if name.endswith("'"):  # a derivative of a constant, n_0''
        return symbol_name(name.rstrip("'")) + name[len(name.rstrip("'")) :]
    if name == "lambda_":
        return r"\lambda"  # lambda is a reserved word of the formula grammar
    match = _NAME.fullmatch(name)
    if match is None or (match["base"] == "z" and match["word"]):  # z_{1} is a token
        return rf"\mathrm{{{_escaped(name)}}}"
    base = match["base"]
    if base in _FUNCTIONS:
        letter = rf"\mathit{{{base}}}"
    elif base == "eps":
        letter = r"\varepsilon"
    elif _GREEK.fullmatch(base):
        letter = "\\" + base
    elif base == "e":
        letter = r"\mathsf{e}"  # a parameter, not the base of exp
    else:
        letter = base if len(base) == 1 else rf"\mathrm{{{base}}}"
    if match["digits"]:
        return f"{letter}_{{{match['digits']}}}"
    return f"{letter}_{{\\mathrm{{{match['word']}}}}}" if match["word"] else letter


class Printer(LatexPrinter):
    """SymPy's printer with this project's names; tokens are written with `letter`."""

    def __init__(self, letter: str = "z") -> None:
        super().__init__({"mul_symbol": None, "fold_short_frac": False})
        self.letter = letter

    def _print_Symbol(self, expr: sp.Symbol, style: str = "plain") -> str:
        position = token_index(expr)
        return f"{self.letter}_{{{position}}}" if position is not None else symbol_name(expr.name)

    def _print_Dummy(self, expr: sp.Dummy) -> str:
        return self._print_Symbol(expr)

    def _print_Indexed(self, expr: sp.Indexed) -> str:
        letter = self.letter if expr.base == TOKENS else symbol_name(str(expr.base))
        return f"{letter}_{{{', '.join(self.doprint(index) for index in expr.indices)}}}"

    def _print(self, expr: sp.Basic, **kwargs: Any) -> str:
        # e alone could be a parameter; SymPy's constants print themselves, past any method here.
        text: str = "e^{1}" if expr is sp.E else super()._print(expr, **kwargs)
        return text

    def _print_Mul(self, expr: sp.Mul) -> str:
        # f (x + 1) could be a function of x + 1.
        return _PRODUCT.sub(r"\1 \\cdot \2", super()._print_Mul(expr))

    def _print_Sum(self, expr: sp.Sum) -> str:
        return self._print_structured(r"\sum", expr)

    def _print_Product(self, expr: sp.Product) -> str:
        return self._print_structured(r"\prod", expr)

    def _print_structured(self, sign: str, expr: sp.Sum | sp.Product) -> str:
        """One sign an index, the outermost first; a body that starts with a minus in parentheses, as a sum is."""
        signs = [
            f"{sign}_{{{self._print(index)}={self._print(low)}}}^{{{self._print(high)}}}"
            for index, low, high in reversed(expr.limits)
        ]
        body = self._print(expr.function)
        if expr.function.is_Add or body.startswith("-"):
            body = rf"\left({body}\right)"
        return " ".join([*signs, body])

    def _print_Heaviside(self, expr: sp.Heaviside, exp: str | None = None) -> str:
        # Its powers are itself, but for its value 1/2 on a set of measure zero.
        text = rf"\mathbf{{1}}\left[{self.doprint(expr.args[0])} > 0\right]"
        return text if exp is None else f"{text}^{{{exp}}}"


def printed(expression: sp.Basic, letter: str = "z") -> str:
    r"""One expression.

    >>> printed(sp.Symbol("z12", real=True) ** 2 / sp.Symbol("eps", real=True))
    '\\frac{z_{12}^{2}}{\\varepsilon}'
    """
    text: str = Printer(letter).doprint(expression)
    return text


def matrix(rows: Sequence[Sequence[sp.Expr]], letter: str = "z") -> str:
    r"""Rows of expressions in parentheses.

    >>> print(matrix([[sp.Integer(1), sp.Integer(0)]]))
    \begin{pmatrix} 1 & 0 \end{pmatrix}
    """
    lines = [" & ".join(printed(entry, letter) for entry in row) for row in rows]
    return r"\begin{pmatrix} " + r" \\ ".join(lines) + r" \end{pmatrix}"


def display(left: str, expression: sp.Expr, *, letter: str = "z", relation: str = "=", suffix: str = "") -> str:
    r"""`left = expression`, a long sum broken into lines between its terms.

    >>> display("R(m)", 4 - 4 * sp.Symbol("m") ** 2)
    'R(m) = 4 - 4 m^{2}'
    """
    whole = printed(expression, letter)
    if len(whole) <= _LINE or not isinstance(expression, sp.Add):
        return f"{left} {relation} {whole}{suffix}"
    lines: list[str] = []
    for term in Printer(letter)._as_ordered_terms(expression):
        text = printed(term, letter)
        signed = text if text.startswith("-") else f"+ {text}"
        if lines and len(lines[-1]) + len(signed) <= _LINE:
            lines[-1] += f" {signed}"
        else:
            lines.append(signed if lines else text)
    lines[-1] += suffix
    return rf"\begin{{aligned}} {left} {relation}{{}} & " + " \\\\\n& {} ".join(lines) + r" \end{aligned}"


_TEXT: dict[str, str] = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''",
}  # fmt: skip
_ARROWS = {"->": r"$\to$", "<-": r"$\leftarrow$", ">=": r"$\ge$", "<=": r"$\le$", "!=": r"$\ne$"}


def as_text(plain: str, *, math: bool = True) -> str:
    r"""Plain text with the characters that TeX would read as commands escaped; `math` allows $...$ for arrows.

    >>> as_text("even under z -> -z"), as_text("a_1 < 2", math=False)
    ('even under z $\\to$ -z', 'a\\_1 \\textless{} 2')
    """
    pieces = []
    for part in re.split(r"(->|<-|>=|<=|!=)", plain) if math else [plain]:
        pieces.append(_ARROWS.get(part) or "".join(_TEXT.get(c, c) for c in part))
    return "".join(pieces)


def plain_text(text: str) -> str:
    r"""What `as_text` was given.

    >>> plain_text(as_text("even under z -> -z, a_1 < 2"))
    'even under z -> -z, a_1 < 2'
    """
    plain = {tex: character for character, tex in {**_TEXT, **_ARROWS}.items()}
    return re.sub("|".join(map(re.escape, plain)), lambda match: plain[match[0]], text)


__all__ = ["Printer", "as_text", "display", "matrix", "plain_text", "printed", "symbol_name"]
