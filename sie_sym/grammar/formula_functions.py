r"""The functions of the formula grammar, and its sums and products over a range of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from keyword import iskeyword
from typing import NoReturn

import sympy as sp

from sie_sym.functions import TOKENS, He, Phi, gelu, relu, sigmoid, softmax, softplus, token_index
from sie_sym.grammar.domain import NONNEGATIVE, POSITIVE, constant_value, nonzero_almost_everywhere
from sie_sym.grammar.formula import (
    MAX_ARGUMENT,
    MAX_EXPONENT,
    MAX_RANGE,
    Builder,
    Value,
    joined,
    shown,
)

MAX_HERMITE = 200
"""k of He(k, x)."""
MAX_EXTREMA = 32
"""Uses of min and max."""
MAX_SCORES = 32
"""n of softmax(k, x1, .., xn)."""

_ELEMENTARY: dict[str, Callable[..., sp.Expr]] = {
    "exp": sp.exp, "sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "sinh": sp.sinh, "cosh": sp.cosh,
    "tanh": sp.tanh, "erf": sp.erf, "Phi": Phi, "sigmoid": sigmoid, "softplus": softplus, "gelu": gelu,
    "relu": relu, "log": sp.log, "abs": sp.Abs, "sign": sp.sign, "step": sp.Heaviside,
}  # fmt: skip
_SIGN_DEPENDENT = {"log", "abs", "sign", "step", "relu"}
_GROWS_WITH_ARGUMENT = {"log", "abs", "relu", "gelu", "softplus"}
FUNCTIONS = frozenset({*_ELEMENTARY, "He", "he", "softmax", "sqrt", "min", "max", "sum", "prod"})
"""Every function name of the grammar."""
_ARGUMENTS = {"min": (2, 8), "max": (2, 8), "He": (2, 2), "he": (2, 2), "softmax": (3, 1 + MAX_SCORES)}
_SOFTMAX = "softmax(k, x1, .., xn), its k-th entry"
_FOREIGN = {
    "Heaviside": "step", "theta": "step", "ln": "log", "Abs": "abs", "Max": "max", "Min": "min", "Sum": "sum",
    "Hermite": "He", "hermite": "He", "product": "prod", "Product": "prod", "ReLU": "relu",
    "logistic": "sigmoid", "normcdf": "Phi", "sgn": "sign", "pow": "x**y", "cot": "cos(x)/sin(x)", "sech": "1/cosh(x)",
}  # fmt: skip


class FormulaBuilder(Builder):
    """The builder of both grammars."""

    def __init__(self, text: str, activation: bool = False) -> None:
        super().__init__(text, activation)
        self._extrema = 0

    def name(self, name: str, position: int) -> Value:
        """A token, a bound index, pi, u, or a real parameter; functions need arguments."""
        if name in FUNCTIONS:
            self.fail(f"{name} is a function", f"write {name}(..) with its arguments", position)
        return super().name(name, position)

    # ---- functions --------------------------------------------------------------------------------

    def call(self, name: str, arguments: Sequence[Value], position: int) -> Value:
        """A function of the grammar; sum and prod are built by `structured`."""
        if name not in FUNCTIONS or name in ("sum", "prod"):
            self.unknown_function(name, position)
        low, high = _ARGUMENTS.get(name, (1, 1))
        if not low <= len(arguments) <= high:
            usage = {"He": "He(k, x)", "he": "he(k, x)", "min": "min(x, y)", "max": "max(x, y)", "softmax": _SOFTMAX}
            wanted = f"{low}" if low == high else f"{low} to {high}"
            what = f"{name} takes {wanted} argument(s), not {len(arguments)}"
            self.fail(what, f"write {usage.get(name, f'{name}(x)')}", position)
        if name in ("He", "he"):
            order, argument = arguments
            return self._hermite(name, order, argument, position)
        if name == "softmax":
            return self._softmax(arguments[0], arguments[1:], position)
        if name == "sqrt":
            return self.power(arguments[0], Value(sp.Rational(1, 2)), position)
        if name in ("min", "max"):
            return self._extremum(name, arguments, position)
        (argument,) = arguments
        self._check_argument(name, argument, position)
        expr = _ELEMENTARY[name](argument.expr)
        degree = argument.degree if name in _GROWS_WITH_ARGUMENT else min(argument.degree, 1)
        structured = degree - min(degree, argument.explicit)
        return self.bounded(
            replace(
                argument,
                expr=expr,
                explicit=degree - structured,
                structured=structured,
                composition=argument.composition + 1,
            ),
            position,
        )

    def unknown_function(self, name: str, position: int) -> NoReturn:
        """Raise, with the nearest name of the grammar."""
        close = [_FOREIGN[name]] if name in _FOREIGN else get_close_matches(name, FUNCTIONS, 1)
        remedy = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(FUNCTIONS))}"
        self.fail(f"unknown function {name[:20]}", f"{remedy} (a product is written with *)", position)

    def _hermite(self, name: str, k: Value, x: Value, position: int) -> Value:
        span = self.affine_range(k.expr)
        if span is None or not 0 <= span[0] <= span[1] <= MAX_HERMITE:
            what = f"the order {shown(k.expr)} of {name} is not an integer from 0 to {MAX_HERMITE}"
            self.fail(what, f"write {name}(k, x), e.g. {name}(2, z1)", position)
        expr = He(k.expr, x.expr)
        if name == "he":
            expr /= sp.sqrt(sp.factorial(k.expr))
        value = replace(
            x,
            expr=expr,
            explicit=span[1] * x.explicit,
            structured=span[1] * x.structured,
            parameter=span[1] * x.parameter,
            composition=x.composition + 1,
            constant=x.constant and k.constant,
        )
        return self.bounded(value, position)

    def _softmax(self, k: Value, scores: Sequence[Value], position: int) -> Value:
        """exp(x_k) / sum_j exp(x_j), bounded by 1."""
        if not (k.expr.is_Integer and 1 <= k.expr <= len(scores)):
            what = f"the entry {shown(k.expr)} of softmax is not an integer from 1 to {len(scores)}"
            self.fail(what, f"write {_SOFTMAX}, e.g. softmax(1, z1, z2)", position)
        for score in scores:
            self._check_argument("softmax", score, position)
        value = joined(softmax(k.expr, *(score.expr for score in scores)), scores, max)
        explicit, structured = min(value.explicit, 1), 0 if value.explicit else min(value.structured, 1)
        value = replace(value, explicit=explicit, structured=structured, composition=value.composition + 1)
        return self.bounded(value, position)

    def _extremum(self, name: str, arguments: Sequence[Value], position: int) -> Value:
        self._extrema += 1
        if self._extrema > MAX_EXTREMA:
            self.fail(f"more than {MAX_EXTREMA} uses of min and max", "use fewer", position)
        node = sp.Max if name == "max" else sp.Min
        # To compare irrational constants SymPy may compute a minimal polynomial: those stay as written.
        plain = not any(argument.expr.has(sp.Pow, sp.Function, sp.pi) for argument in arguments if argument.constant)
        expr = node(*(argument.expr for argument in arguments), evaluate=plain)
        value = joined(expr, arguments, max)
        return self.bounded(replace(value, composition=value.composition + 1), position)

    def _check_argument(self, name: str, argument: Value, position: int) -> None:
        shown = str(argument.expr)[:40]
        if argument.constant:
            value = constant_value(argument.expr)
            if name in _SIGN_DEPENDENT and len(self.signs(argument)) > 1:
                what = f"the sign of the constant {shown} is not decided"
                self.fail(what, "simplify the constant", position)
            if name not in _SIGN_DEPENDENT and value is not None and abs(value) > MAX_ARGUMENT:
                what = f"the argument {shown} of {name} exceeds {MAX_ARGUMENT}"
                self.fail(what, "use smaller numbers", position)
        if name == "exp":
            self._check_logarithms(argument, position)
        if name == "tan" and argument.varies:
            remedy = "tan has poles: use tanh, or sin and cos"
            self.undefined(f"tan({shown}) is not square-integrable", remedy, position)
        if name == "log":
            possible = self.signs(argument)
            if argument.varies:
                if not (possible <= NONNEGATIVE and nonzero_almost_everywhere(argument.expr, self.ranges)):
                    what = f"{shown} could not be shown to be positive and log is only defined there"
                    self.undefined(what, "use log(abs(x)) or log(1 + x^2)", position)
            elif not possible & POSITIVE or (self.known(argument) and possible != POSITIVE):
                self.fail(f"log({shown}) of a number that is not positive", "use a positive number", position)

    def _check_logarithms(self, argument: Value, position: int) -> None:
        """exp(n log x) is evaluated to x**n, so n is an exponent."""
        for term in sp.Add.make_args(argument.expr):
            if not term.has(sp.log):
                continue
            if any(abs(number) > MAX_EXPONENT for number in term.atoms(sp.Rational)):
                self.fail("the exponent is too large", f"keep exponents below {MAX_EXPONENT}", position)

    # ---- sums and products over a range -----------------------------------------------------------

    @contextmanager
    def bound(self, name: str, low: Value, high: Value, position: int) -> Iterator[sp.Symbol]:
        """An index running from low to high, both included, inside the body of a sum or product."""
        for what, end in (("lower", low), ("upper", high)):
            if not end.expr.is_Integer:
                problem = f"the {what} bound {str(end.expr)[:30]} is not an integer"
                self.fail(problem, "write the numbers, e.g. sum(l, 1, 10, z[l])", position)
        if name in self.indices:
            self.fail(f"{name} is already an index", "use another name", position)
        reserved = name in FUNCTIONS or name in ("pi", "z") or iskeyword(name) or name.startswith("_")
        if reserved or "__" in name or (name[0] == "z" and name[1:2].isdigit()) or (self.activation and name == "u"):
            self.fail(f"{name} cannot be an index", "use another name, e.g. l", position)
        first, last = int(low.expr), int(high.expr)
        if last < first:
            what = f"the range from {shown(first)} to {shown(last)} is empty"
            self.fail(what, "write the lower bound first", position)
        size = last - first + 1
        for span in self.ranges.values():
            size *= len(span)
        if size > MAX_RANGE or max(abs(first), abs(last)) > MAX_RANGE:
            what = f"the range from {shown(first)} to {shown(last)} is too long"
            self.fail(what, f"at most {MAX_RANGE} terms, nested ranges counted together", position)
        index = sp.Symbol(name, integer=True)
        self.indices[name] = index
        self.ranges[index] = range(first, last + 1)
        yield index
        del self.indices[name], self.ranges[index]

    def structured(self, kind: str, index: sp.Symbol, body: Value, position: int) -> Value:
        """The unexpanded sum or product of `body` over the bound `index`; call inside `bound`."""
        # What it read may have cancelled: z[l] - z[l].
        varies = body.varies and (self.activation or any(map(_is_token, body.expr.free_symbols)))
        if not varies:
            what = f"the body {str(body.expr)[:30]} of {kind} reads no token"
            self.fail(what, "write its value as a number, or use z[l] in it", position)
        span = self.ranges[index]
        limits = (index, span[0], span[-1])
        if kind == "sum":
            return self.bounded(replace(body, expr=sp.Sum(body.expr, limits)), position)
        value = replace(
            body,
            expr=sp.Product(body.expr, limits),
            explicit=0,
            structured=len(span) * body.degree,
            parameter=len(span) * body.parameter,
        )
        return self.bounded(value, position)


def _is_token(symbol: sp.Basic) -> bool:
    return symbol == TOKENS.label or token_index(symbol) is not None
