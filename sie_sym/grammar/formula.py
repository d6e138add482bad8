r"""Checked construction of formulas: every node is built within a budget and inside its domain of definition.

Both grammars (`parse`, `parse_latex`) build their result here, node by node, and nothing else of SymPy is
reachable from a text.  SymPy evaluates while it constructs (9**9**9 is computed, not represented), so each
size is bounded before the constructor is called.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import NoReturn

import sympy as sp

from sie_sym.errors import DomainError, FormulaError
from sie_sym.functions import TOKENS, token
from sie_sym.grammar.domain import NONNEGATIVE, POSITIVE, Signs, constant_value, integer_signs, signs

MAX_LENGTH = 20_000
"""Characters of a formula."""
MAX_NODES = 5_000
"""Names, numbers and operations of a formula."""
MAX_NESTING = 50
"""Parentheses inside parentheses."""
MAX_COMPOSITION = 16
"""Functions, roots and reciprocals inside one another; SymPy's assumptions cost exponential time in it."""
MAX_DIGITS = 1_000
"""Digits of a number, written or resulting."""
MAX_EXPONENT = 1_000
"""Size of a constant exponent."""
MAX_ARGUMENT = 2_000
"""Size of a constant argument of exp, sin, ...; exp(n log 2) is a number of n binary digits."""
MAX_HERMITE = 200
"""k of He(k, x)."""
MAX_DEGREE = 200
"""Total degree reached by explicit powers, products and He."""
MAX_STRUCTURED_DEGREE = 1_000
"""Total degree counting products over a range, which no computation of ours expands; degree in parameters."""
MAX_RANGE = 100_000
"""Index values of nested sums and products together, and the largest token."""
MAX_EXTREMA = 32
"""Uses of min and max."""


@dataclass(frozen=True)
class Value:
    """A subexpression with upper bounds of its degrees; `varies` with the tokens (or with u)."""

    expr: sp.Expr
    explicit: int = 0
    structured: int = 0
    parameter: int = 0
    composition: int = 0
    varies: bool = False
    constant: bool = True

    @property
    def degree(self) -> int:
        """An upper bound of the total degree in the tokens."""
        return self.explicit + self.structured


def joined(expr: sp.Expr, parts: Sequence[Value], degree: Callable[[Iterator[int]], int]) -> Value:
    """The bounds of a sum (degree = max) or of a product (degree = sum)."""
    return Value(
        expr,
        degree(part.explicit for part in parts),
        degree(part.structured for part in parts),
        degree(part.parameter for part in parts),
        max(part.composition for part in parts),
        any(part.varies for part in parts),
        all(part.constant for part in parts),
    )


class Builder:
    """Builds one formula from `text`; positions are 0-based offsets, columns in messages are 1-based."""

    def __init__(self, text: str, activation: bool = False) -> None:
        self.text = text
        self.activation = activation
        self.indices: dict[str, sp.Symbol] = {}
        self.ranges: dict[sp.Symbol, range] = {}
        self._nodes = self._depth = 0
        if len(text) > MAX_LENGTH:
            self.fail(f"{len(text)} characters exceed {MAX_LENGTH}", "write a shorter formula", 0)

    # ---- errors -----------------------------------------------------------------------------------

    def _located(self, what: str, remedy: str, position: int) -> str:
        start, end = max(position - 20, 0), position + 20
        extract = "".join(c if c.isprintable() else " " for c in self.text[start:end])
        extract = "..." * (start > 0) + extract + "..." * (end < len(self.text))
        return f"formula '{extract}', column {position + 1}: {what}: {remedy}"

    def fail(self, what: str, remedy: str, position: int) -> NoReturn:
        """Raise the `FormulaError` that says what is wrong, where, and what to write instead."""
        raise FormulaError(self._located(what, remedy, position), position)

    def undefined(self, what: str, remedy: str, position: int) -> NoReturn:
        """Raise the `DomainError` of a function that leaves its domain, or may."""
        raise DomainError(self._located(what, remedy, position))

    # ---- budgets ----------------------------------------------------------------------------------

    @contextmanager
    def nested(self, position: int) -> Iterator[None]:
        """One more level of parentheses or of right-associative operators."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            self.fail(f"more than {MAX_NESTING} levels of nesting", "write a flatter formula", position)
        yield
        self._depth -= 1

    def bounded(self, value: Value, position: int) -> Value:
        """The value itself, if it keeps within every budget."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.fail(f"more than {MAX_NODES} operations", "use sum(l, 1, L, ..) or prod(..)", position)
        if value.explicit > MAX_DEGREE or value.degree > MAX_STRUCTURED_DEGREE:
            limit = MAX_DEGREE if value.explicit > MAX_DEGREE else MAX_STRUCTURED_DEGREE
            self.fail(f"degree {shown(value.degree)} exceeds {limit}", "lower the degree", position)
        if value.parameter > MAX_STRUCTURED_DEGREE:
            remedy = "lower the degree"
            self.fail(f"a degree in parameters above {MAX_STRUCTURED_DEGREE}", remedy, position)
        if value.composition > MAX_COMPOSITION:
            what = f"more than {MAX_COMPOSITION} functions, roots or reciprocals inside one another"
            self.fail(what, "write a flatter formula", position)
        if digits_of(value.expr.as_coeff_Mul()[0]) > MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} digits", "use smaller numbers", position)
        if value.expr in (sp.zoo, sp.oo, -sp.oo, sp.nan):
            self.fail("the value is not finite", "avoid division by zero and log(0)", position)
        return value

    # ---- leaves -----------------------------------------------------------------------------------

    def number(self, digits: str, exponent: str, position: int) -> Value:
        """A decimal as the exact rational: `digits` may hold one point, `exponent` is the part after e."""
        whole, _, decimals = digits.partition(".")
        power = exponent.lstrip("+-").lstrip("0")
        # The length comes first: converting a long text is what has to be avoided.
        if len(digits) > MAX_DIGITS or len(power) > 4 or int(power or 0) > MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} digits", "use a shorter number", position)
        value = sp.Rational(int(whole + decimals), 10 ** len(decimals))
        scale = sp.Integer(10) ** int(power or 0)
        return self.bounded(Value(value / scale if exponent.startswith("-") else value * scale), position)

    def name(self, name: str, position: int) -> Value:
        """A token, a bound index, pi, u, or a real parameter."""
        if name in self.indices:
            return self.bounded(Value(self.indices[name], constant=False), position)
        if name == "pi":
            return self.bounded(Value(sp.pi), position)
        if name == "z":
            self.fail("z alone is not a token", "write z1, z2, ..., or z[l] inside sum or prod", position)
        if name[0] == "z" and name[1:2].isdigit():
            return self.token(name[1:], position)
        if iskeyword(name):
            self.fail(f"{name} is a reserved word", f"rename the parameter, e.g. {name}_", position)
        if name.startswith("_") or "__" in name:
            self.fail(f"{name[:20]} is not a name", "start with a letter, use single underscores", position)
        symbol = sp.Symbol(name, real=True)
        if self.activation and name == "u":
            return self.bounded(Value(symbol, explicit=1, varies=True, constant=False), position)
        return self.bounded(Value(symbol, parameter=1, constant=False), position)

    def token(self, index: str, position: int) -> Value:
        """The token z_index; `index` is the text after z."""
        if self.activation:
            self.fail(f"an activation is a function of u, not of z{index[:10]}", "write it in u", position)
        if not index.isdigit() or index[0] == "0":
            remedy = "tokens are z1, z2, ...; write products with *"
            if joined_product := re.fullmatch(r"([1-9]\d*)(z[1-9]\d*)", index[:20]):
                remedy += f", e.g. z{joined_product[1]}*{joined_product[2]}"
            self.fail(f"z{index[:20]} is not a token", remedy, position)
        if len(index) > len(str(MAX_RANGE)) or int(index) > MAX_RANGE:
            self.fail(f"token z{index[:20]}", f"the largest token is z{MAX_RANGE}", position)
        symbol = token(int(index))
        return self.bounded(Value(symbol, explicit=1, varies=True, constant=False), position)

    def indexed_token(self, index: Value, position: int) -> Value:
        """The token z[index], the index an affine integer expression of bound indices."""
        if index.expr.is_Integer:
            return self.token(str(index.expr) if digits_of(index.expr) < 20 else "9" * 20, position)
        if self.activation:
            self.token("[..]", position)
        span = self.affine_range(index.expr)
        if span is None:
            what = f"the token index {str(index.expr)[:30]} is not an integer combination of bound indices"
            self.fail(what, "bind it, e.g. sum(l, 1, 10, z[l])", position)
        if span[0] < 1 or span[1] > MAX_RANGE:
            what = f"the token index {index.expr} runs from {shown(span[0])} to {shown(span[1])}"
            self.fail(what, f"keep it between 1 and {MAX_RANGE}", position)
        return self.bounded(Value(TOKENS[index.expr], explicit=1, varies=True, constant=False), position)

    def affine_range(self, expr: sp.Expr) -> tuple[int, int] | None:
        """Bounds of the values of c_0 + sum_i c_i l_i with integers c and bound indices l_i, or None."""
        low = high = 0
        if expr.is_Integer:
            return int(expr), int(expr)
        for monomial, coefficient in expr.as_coefficients_dict().items():
            if not coefficient.is_Integer or not (monomial == 1 or monomial in self.ranges):
                return None
            span = (1, 1) if monomial == 1 else (self.ranges[monomial][0], self.ranges[monomial][-1])
            ends = sorted(int(coefficient) * end for end in span)
            low, high = low + ends[0], high + ends[1]
        return low, high

    # ---- sums and products ------------------------------------------------------------------------

    def add(self, terms: Sequence[Value], position: int) -> Value:
        """A sum; a constant part that cannot be told from zero is refused."""
        if len(terms) == 1:
            return terms[0]
        self._check_total_digits(terms, position)
        expr = sp.Add(*(term.expr for term in terms))
        constants = [term for term in sp.Add.make_args(expr) if not term.is_Rational and not term.free_symbols]
        if constants:
            constant = sp.Add(expr.as_coeff_Add()[0], *constants)
            if 0 in signs(constant, {}):
                self.fail("the constants cannot be told from zero", "simplify them by hand", position)
        return self.bounded(joined(expr, terms, max), position)

    def multiply(self, factors: Sequence[Value], position: int) -> Value:
        """A product."""
        if len(factors) == 1:
            return factors[0]
        self._check_total_digits(factors, position)
        return self.bounded(joined(sp.Mul(*(f.expr for f in factors)), factors, sum), position)

    def negate(self, value: Value) -> Value:
        """-x."""
        return replace(value, expr=-value.expr)

    def _check_total_digits(self, parts: Sequence[Value], position: int) -> None:
        if sum(digits_of(part.expr) for part in parts) > 20 * MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} digits", "use smaller numbers", position)

    # ---- powers -----------------------------------------------------------------------------------

    def signs(self, value: Value) -> Signs:
        """The signs the value may take, over the ranges of the bound indices."""
        span = self.affine_range(value.expr) if self.ranges else None
        return signs(value.expr, self.ranges) if span is None else integer_signs(*span)

    def known(self, value: Value) -> bool:
        """Whether the value reads bound indices at most, so that an undecided sign is a defect."""
        return value.constant or value.expr.free_symbols <= self.ranges.keys()

    def reciprocal(self, value: Value, position: int) -> Value:
        """1/x."""
        return self.power(value, Value(sp.Integer(-1)), position)

    def power(self, base: Value, exponent: Value, position: int) -> Value:
        """base**exponent, where it is real and finite."""
        e = exponent.expr
        span = self.affine_range(e)
        # Numbers inside an exponent are exponents once a parameter gets a value.
        if any(abs(number) > MAX_EXPONENT for number in e.atoms(sp.Rational)):
            self.fail("the exponent is too large", f"keep exponents below {MAX_EXPONENT}", position)
        size = 1
        if span is not None:
            size = max(map(abs, span))
        elif exponent.constant:
            number = constant_value(e)
            if number is None or abs(number) > MAX_EXPONENT:
                what = "the exponent is too large or cannot be told from zero"
                self.fail(what, f"keep exponents below {MAX_EXPONENT}", position)
            size = math.ceil(abs(number))
        degrees = [size * d for d in (base.explicit, base.structured, base.parameter)]
        largest = max((digits_of(number) for number in base.expr.atoms(sp.Rational)), default=0.0)
        if size > 1 and size * largest > MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} digits", "use smaller numbers", position)
        natural = span is not None and span[0] >= 0
        if not natural:
            self._check_power(base, exponent, span is not None, position)
        value = Value(
            sp.Pow(base.expr, e),
            max(degrees[0], exponent.degree),
            degrees[1],
            max(degrees[2], exponent.parameter),
            max(base.composition, exponent.composition) + (0 if natural else 1),
            base.varies or exponent.varies,
            base.constant and exponent.constant,
        )
        return self.bounded(value, position)

    def _check_power(self, base: Value, exponent: Value, integer: bool, position: int) -> None:
        possible = self.signs(base)
        text = str(base.expr)[:40]
        if integer:
            if possible == {0}:
                self.fail("division by zero", "the denominator is identically 0", position)
            if 0 in possible and base.varies:
                remedy = "use a denominator bounded away from 0, e.g. 1/(1 + z1^2)"
                self.undefined(f"{text} could not be shown to be non-zero", remedy, position)
            if 0 in possible and self.known(base):
                self.fail(f"{text} could not be shown to be non-zero", "keep denominators away from 0", position)
            return
        power = self.signs(exponent)
        wanted = NONNEGATIVE if exponent.constant and power == POSITIVE else POSITIVE
        if possible <= wanted:
            return
        adjective = "non-negative" if wanted == NONNEGATIVE else "positive"
        if base.varies or exponent.varies:
            what = f"{text} could not be shown to be {adjective}, as a non-integer power requires"
            remedy = "use sqrt(abs(x)), sqrt(1 + x^2) or sign(x)*abs(x)^(1/3)"
            self.undefined(what, remedy, position)
        if self.known(base) or not possible & wanted:
            what = f"a non-integer power of {text}, which is not {adjective}, is not real"
            self.fail(what, "use a real formula", position)

    # ---- the result -------------------------------------------------------------------------------

    def finish(self, value: Value) -> sp.Expr:
        """The expression, known to be real and finite."""
        if value.expr.has(sp.I, sp.zoo, sp.nan, sp.oo, -sp.oo):
            self.fail("the value is not real and finite", "avoid roots of negative numbers and division by 0", 0)
        return value.expr

    def matrix(self, rows: Sequence[Sequence[Value]], position: int) -> sp.ImmutableDenseMatrix:
        """A matrix of finished entries; every row has the same length."""
        if len({len(row) for row in rows}) > 1:
            lengths = ", ".join(str(len(row)) for row in rows[:8])
            self.fail(f"rows of lengths {lengths}", "give every row the same number of entries", position)
        return sp.ImmutableDenseMatrix([[self.finish(entry) for entry in row] for row in rows])


def digits_of(number: sp.Expr) -> float:
    """The decimal logarithm of the larger of numerator and denominator of a Rational, 0 for anything else."""
    return math.log10(max(abs(int(number.p)), int(number.q))) if number.is_Rational else 0.0


def shown(value: object) -> str:
    """A value for a message; long integers are not converted to text."""
    if isinstance(value, sp.Expr) and value.is_Rational:
        return str(value) if digits_of(value) < 30 else f"a number of {digits_of(value):.0f} digits"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 100 else f"about 2^{value.bit_length() - 1}"
    return str(value)[:30]
