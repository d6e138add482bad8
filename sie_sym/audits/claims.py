r"""What a claim says: `quantity relation formula`, in formula text or LaTeX.

    loss = 4 - 4*m^2        R(m, eps) = ..        loss(3/5, 1/2) = ..    the loss, or its value at a point
    dR[m,eps] = ..          G[m] = ..             H[eps,eps] < 0         its derivatives; G, H at initialization
    drift[m] = ..           V = ..                sie = 4                the flow, its noise, the exponent
    C[2,0] = ..             rho = ..              gain = ..              a Hermite coefficient, tied against untied
    kappa = 2               escape = 2            escapes = semantic     flatness and escape index, and the kind
    lambda_min < 0          omega_c ~ 0.641                              the lowest curvature, where H[m,m] = H[eps,eps]
    C[1,0;2] = ..           C[1,0] = [1, 0]       H = [[-8, 0], [0, 27/2]]   one output of a vector target; lists

The relations are = != < <= > >= and ~ ("to the digits written").  `gain` is the ratio of the numbers of steps (Thm 2).
A list claims the equality of all its entries: those of C over the outputs, of G, dR, drift and H over the overlaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.parse import parse_formula, parse_number
from sie_sym.parse_latex import parse_latex
from sie_sym.target import tokens_of

GAINS = {
    "gain": "gain_optimal_rate",
    "gain_equal_rate": "gain_equal_rate",
    "gain_optimal_rate": "gain_optimal_rate",
    "gain_stability_limit": "gain_stability_limit",
    "rho": "rho",
    "contraction": "contraction",
    "operator_norm": "operator_norm",
}
"""Quantity name -> attribute of `gain.Gain`."""
INDICES = ("kappa", "escape", "escapes", "lambda_min")
"""What the landscape at initialization has beside its derivatives."""
_SYNONYMS = {
    "R": "loss", "SIE": "sie", "D": "dR", "flatness_index": "kappa", "escape_index": "escape", "min_eigenvalue":
    "lambda_min", "lambdamin": "lambda_min", "omegac": "omega_c",
} | {
    name: name for name in ("loss", "sie", "C", "H", "G", "dR", "drift", "V", "omega_c", *INDICES, *GAINS)
}  # fmt: skip
LISTED = ("C", "G", "H", "dR", "drift")
"""What may be claimed by a list."""
_INDEXED = {"C": "C[2,0]", "H": "H[m,m]", "G": "G[m]", "dR": "dR[m]", "drift": "drift[m]"}
_RELATION = re.compile(r"<=|>=|!=|~=|==|=|<|>|~")
_SAME = {"==": "=", "~=": "~"}
_SPELLED = {"≤": "<=", "≥": ">=", "≠": "!=", "≈": "~"}
_LEFT = re.compile(r"\s*([A-Za-z_]+)\s*(?:\[([^\[\]]*)\])?\s*(?:\((.*)\))?\s*", re.ASCII | re.DOTALL)
_OVERLAP = re.compile(r"(?:eps|m)\d*", re.ASCII)
_LATEX_RELATIONS = {
    r"\\(?:leqslant|leq|le)(?![A-Za-z])": "<=",
    r"\\(?:geqslant|geq|ge)(?![A-Za-z])": ">=",
    r"\\(?:neq|ne)(?![A-Za-z])": "!=",
    r"\\(?:approx|simeq)(?![A-Za-z])": "~",
    r"\\lt(?![A-Za-z])": "<",
    r"\\gt(?![A-Za-z])": ">",
}


@dataclass(frozen=True)
class Claim:
    """`quantity[indices;output](at) relation formula`.

    `indices` are the integers of C[2,0] or the names of overlaps; `output` the place of one output of a vector or
    matrix target, from 1; `at` the point of loss(3/5, 1/2) or None; `digit` is one unit of the last digit of a plain
    decimal on the right, else None.  A list on the right makes `formula` a matrix.
    """

    text: str
    quantity: str
    indices: tuple[str, ...]
    at: tuple[sp.Expr, ...] | None
    relation: str
    formula: sp.Expr
    digit: sp.Rational | None = None
    output: tuple[int, ...] = ()

    @property
    def shown(self) -> str:
        """The left-hand side."""
        point = f"({', '.join(map(str, self.at))})" if self.at else ""
        inside = ",".join(self.indices) + (f";{','.join(map(str, self.output))}" if self.output else "")
        return self.quantity + (f"[{inside}]" if inside else "") + point

    @property
    def listed(self) -> bool:
        """Whether the right-hand side is a list."""
        return isinstance(self.formula, sp.MatrixBase)


def parse_claim(text: str, *, latex: bool = False, tokens: int | None = None) -> Claim:
    r"""The claim that a text makes; the overlaps m, eps, eps1, .. and parameters are real symbols on its right.

    `tokens` is the value of L in LaTeX sums.  Raises `FormulaError` for what is no claim, and where `parse_formula` or
    `parse_latex` do.

    >>> parse_claim("H[eps, eps] < 0").indices
    ('eps', 'eps')
    >>> parse_claim(r"R(m, \varepsilon) = 4 - 4 m^2", latex=True).formula
    4 - 4*m**2
    """
    if not isinstance(text, str):
        raise FormulaError(f"a claim is a text, not {type(text).__name__}: pass a str")
    plain = text
    for character, relation in _SPELLED.items():
        plain = plain.replace(character, f" {relation} ")
    if latex:
        plain = _undelimited(plain)
        # The & of an alignment, not those of a matrix.
        plain = plain if r"\begin" in plain else plain.replace("&", " ")
        for pattern, relation in _LATEX_RELATIONS.items():
            plain = re.sub(pattern, f" {relation} ", plain)
    parts = _RELATION.split(plain)
    relations = _RELATION.findall(plain)
    # The lower limit of a sum has an = sign of its own.
    if latex and len(relations) > 1:
        parts, relations = [parts[0], plain.split(relations[0], 1)[1]], relations[:1]
        if _RELATION.search(re.sub(r"_\s*\{[^{}]*\}", "", parts[1])):
            _fail(text, "has more than one relation", "make one claim at a time")
    if not relations:
        _fail(text, "has no relation", "write e.g. loss = 4 - 4*m^2, sie = 4, H[eps,eps] < 0")
    if len(relations) > 1:
        _fail(text, "has more than one relation", "make one claim at a time")
    left, right = parts
    if not right.strip():
        _fail(text, "has nothing on its right", "write e.g. loss = 4 - 4*m^2")
    formula, relation = _right_side(right, latex, tokens), _SAME.get(relations[0], relations[0])
    listed = isinstance(formula, sp.MatrixBase)
    quantity, indices, output, at = _left_side(text, _plain_left(left) if latex else left, listed)
    if listed and (quantity not in LISTED or relation != "=" or output):
        _fail(text, "has a list on its right", f"claim one entry at a time: lists belong to {', '.join(LISTED)} and =")
    if read := [l for entry in (formula if listed else [formula]) for l in tokens_of(entry)]:
        _fail(text, f"reads the token z{min(read)} on its right", "claims are about overlaps and parameters")
    return Claim(text.strip(), quantity, indices, at, relation, formula, _digit(right), output)


def _fail(text: str, what: str, remedy: str) -> NoReturn:
    raise FormulaError(f"the claim {' '.join(text.split())[:60]!r} {what}: {remedy}")


def _left_side(
    text: str, left: str, listed: bool
) -> tuple[str, tuple[str, ...], tuple[int, ...], tuple[sp.Expr, ...] | None]:
    match = _LEFT.fullmatch(left)
    quantity = _SYNONYMS.get(match[1]) if match else None
    if match is None or quantity is None:
        known = "loss, dR[m], G[m], H[m,eps], drift[m], V, sie, C[2,0], kappa, escape, lambda_min, omega_c, gain, rho"
        shown = left.strip()[:30]
        what = f"is about {shown!r}, which is no quantity" if shown else "has nothing on its left"
        _fail(text, what, f"choose {known}")
    inside, _, place = (match[2] or "").partition(";")
    output = _output(text, quantity, place) if place or (match[2] or "").endswith(";") else ()
    whole = listed and quantity != "C" and match[2] is None
    indices = () if whole else _indices(text, quantity, None if match[2] is None else inside)
    at = None
    if match[3] is not None:
        if quantity not in ("loss", "dR", "drift", "V"):
            _fail(text, f"gives arguments to {quantity}", "only loss, dR, drift and V have a point: loss(1/2, 1/3)")
        arguments = [part.strip() for part in match[3].split(",")]
        if not all(_OVERLAP.fullmatch(argument) for argument in arguments):
            at = tuple(parse_number(argument) for argument in arguments)
    return quantity, indices, output, at


def _output(text: str, quantity: str, place: str) -> tuple[int, ...]:
    entries = place.split(",")
    if quantity != "C" or not all(re.fullmatch(r"\s*[1-9]\d{0,2}\s*", entry, re.ASCII) for entry in entries):
        remedy = "write C[2,0;1] or C[2,0;1,2], outputs are counted from 1"
        _fail(text, f"has the output {place.strip()[:20]!r}", remedy)
    return tuple(int(entry) for entry in entries)


def _indices(text: str, quantity: str, inside: str | None) -> tuple[str, ...]:
    if (inside is not None) != (quantity in _INDEXED):
        usage = _INDEXED.get(quantity, quantity)
        _fail(text, f"{'lacks' if inside is None else 'has'} indices of {quantity}", f"write {usage}")
    if inside is None:
        return ()
    entries = tuple(part.strip() for part in inside.split(","))
    pattern = re.compile(r"\d{1,3}", re.ASCII) if quantity == "C" else _OVERLAP
    for entry in entries:
        if not pattern.fullmatch(entry):
            wanted = "degrees, one a token" if quantity == "C" else "overlaps: m, eps, eps1, .."
            remedy = f"the indices of {quantity} are {wanted}, as in {_INDEXED[quantity]}"
            _fail(text, f"has the index {entry[:20]!r}", remedy)
    wanted_count = {"G": 1, "drift": 1, "H": 2}.get(quantity)
    if wanted_count is not None and len(entries) != wanted_count:
        _fail(text, f"has {len(entries)} indices of {quantity}", f"write {_INDEXED[quantity]}")
    return entries


def _right_side(right: str, latex: bool, tokens: int | None) -> sp.Expr | sp.MatrixBase:
    if not latex:
        return parse_formula(right)
    right = re.sub(r"_\s*(?:\{\s*\\(?:var)?epsilon\s*\}|\\(?:var)?epsilon(?![A-Za-z]))", r"_{eps}", right)
    return parse_latex(re.sub(r"\\(?:var)?epsilon(?![A-Za-z])", r"\\mathrm{eps}", right), tokens=tokens)


def _digit(right: str) -> sp.Rational | None:
    match = re.fullmatch(r"\s*[-+]?\s*\d*\.(\d+)\s*", right, re.ASCII)
    return sp.Rational(1, 10 ** len(match[1])) if match else None


# ---- LaTeX ------------------------------------------------------------------------------------


def _undelimited(text: str) -> str:
    text = text.strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            return text[len(opening) : -len(closing)]
    return text


_REWRITINGS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\\left(?![A-Za-z])|\\right(?![A-Za-z])|\\[,;:! ]|~", " "),
    (r"\\(?:mathrm|operatorname|text|mathcal|mathbf|mathsf)\s*\{\s*([A-Za-z]+)\s*\}", r"\1"),
    (r"\\(?:var)?epsilon(?![A-Za-z])", " eps "),
    (r"\\rho(?![A-Za-z])", "rho"),
    (r"\\kappa(?![A-Za-z])", "kappa"),
    (r"\\lambda\s*_\s*\{?\s*\\min(?![A-Za-z])\s*\}?", "lambdamin"),
    (r"\\omega\s*_\s*(?:\{\s*c\s*\}|c(?![A-Za-z]))", "omegac"),
    (r"\b(eps|m)\s*_\s*(?:\{\s*(\d+)\s*\}|(\d))", lambda found: found[1] + (found[2] or found[3])),
    (
        r"\\dot\s*\{?\s*((?:eps|m)\d*)\s*\}?(?:\s*_\s*\{?\s*(\d+)\s*\}?)?",
        lambda found: f"drift[{found[1]}{found[2] or ''}]",
    ),
    (r"\\d?frac\s*\{\s*d\s*((?:eps|m)\d*)\s*\}\s*\{\s*d\s*t\s*\}", r"drift[\1]"),
    (r"([A-Za-z]+)\s*_\s*(?:\{([^{}]*)\}|([A-Za-z0-9]+))", lambda found: _subscript(found[1], found[2] or found[3])),
)


def _plain_left(left: str) -> str:
    r"""`H_{\varepsilon\varepsilon}` as H[eps,eps], `C_{2,0}` as C[2,0], `\mathrm{SIE}` as SIE."""
    for pattern, replacement in _REWRITINGS:
        left = re.sub(pattern, replacement, left)
    return left


def _subscript(name: str, inside: str) -> str:
    if name == "C":
        return f"C[{inside}]"
    overlaps = ",".join(_OVERLAP.findall(inside))
    # What is no overlap is kept, so that the message shows it.
    sound = not re.sub(r"[\s,]", "", _OVERLAP.sub("", inside))
    return f"{'dR' if name == 'R' else name}[{overlaps if sound else inside}]"


__all__ = ["GAINS", "Claim", "parse_claim"]
