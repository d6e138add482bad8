r"""Writes SymPy expressions as Python functions of numpy arrays or of floats; used by `numeric` alone.

One writer turns SymPy trees into straight-line Python, once for numpy arrays and once for floats and `math`
(which numba compiles).  It writes every identifier itself, so that no name of a user's symbol reaches the
interpreter; shared subexpressions are computed once; sums and products over tokens stay loops.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.logic.boolalg import BooleanFunction

from sie_sym.compilation.function_code import FUNCTIONS
from sie_sym.compilation.owen import sign_product
from sie_sym.compilation.straight_line import StraightLine
from sie_sym.errors import DomainError, NoClosedForm, SieSymError
from sie_sym.functions import TOKENS, SignProduct, token_index
from sie_sym.target import tokens_of

_NAMED = ["exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc"]
_NAMED += ["asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh"]
_ELEMENTARY = [*_NAMED, "sqrt", "pow", "fabs", "log1p"]
_NUMPY_NAMES = {"pow": "power"} | {f: f.replace("a", "arc", 1) for f in _ELEMENTARY if f[0] == "a"}
_CODE_OF = {getattr(sp, name): name for name in _NAMED} | {sp.erfi: "erfi", SignProduct: "sign_product"}
_RELATIONS = {
    sp.Eq: "==",
    sp.Ne: "!=",
    sp.StrictLessThan: "<",
    sp.LessThan: "<=",
    sp.StrictGreaterThan: ">",
    sp.GreaterThan: ">=",
}
_LONGEST_INLINE = 300


def _namespace(scalar: bool) -> dict[str, Any]:
    from scipy import special

    names: dict[str, Any] = {"inf": math.inf, "nan": math.nan, "range": range, "float": float}
    names["__builtins__"] = {}
    if scalar:
        names |= {name: getattr(math, name) for name in _ELEMENTARY}
        names["erfi"] = lambda x: float(special.erfi(x))
        names["sign_product"] = lambda h, k, rho: float(sign_product(h, k, rho))
    else:
        for name in _ELEMENTARY:
            names[name] = getattr(np, _NUMPY_NAMES.get(name, name), None) or getattr(special, name)
        names |= {"erfi": special.erfi, "sign_product": sign_product, "where": np.where}
        names |= {f: getattr(np, f) for f in ("add", "subtract", "logical_and", "logical_or", "logical_not")}
    return names


class _Writer(StraightLine):
    """Writes the body of one function; `emit` returns code for a node and stores what is used twice."""

    def __init__(self, symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr], scalar: bool) -> None:
        super().__init__(scalar)
        self.inputs = {symbol: position for position, symbol in enumerate(symbols)}
        self.scopes[0] |= {s: f"a{p}" for s, p in self.inputs.items()}
        self.indices: dict[sp.Basic, str] = {}
        self.columns = {l: p for s, p in self.inputs.items() if (l := token_index(s)) is not None}
        self.structured = False
        self.negated: dict[str, str] = {}
        self.uses: Counter[sp.Basic] = Counter()
        self.constant: dict[sp.Basic, bool] = {}
        self.bound: set[sp.Basic] = set()
        for expression in expressions:
            self.uses[expression] += 1
            self._survey(expression)
        # an integral's own variable is among the surveyed symbols, but not free
        free = {s for s in self.constant if isinstance(s, sp.Symbol)} - set(self.inputs) - self.bound
        missing = free & {s for e in expressions for s in e.free_symbols} if free else free
        if missing:
            refuse_free(missing, list(self.inputs))

    def _survey(self, node: sp.Basic) -> bool:
        """Count the uses of every distinct node below this one, and find the constant ones."""
        if node in self.constant:
            return self.constant[node]
        children = node.args
        if isinstance(node, (sp.Sum, sp.Product)):
            if not self.bound & node.free_symbols:
                self.structured = True
                absent = _tokens_read(node) - set(self.columns)
                if absent:
                    refuse_free({sp.Symbol(f"z{l}") for l in absent}, list(self.inputs))
            self.bound |= {limit[0] for limit in node.limits}
            children = (node.function, *(end for limit in node.limits for end in limit[1:]))
        elif isinstance(node, sp.Indexed):
            children = node.indices
        flags = []
        for child in children:
            self.uses[child] += 1
            flags.append(self._survey(child))
        known = type(node) in _CODE_OF and not isinstance(node, SignProduct)
        known = known or isinstance(node, (sp.Number, sp.NumberSymbol, type(sp.I), sp.Add, sp.Mul, sp.Pow))
        self.constant[node] = all(flags) and known
        return self.constant[node]

    # -- expressions

    def emit(self, node: sp.Basic) -> str:
        if self.constant.get(node, False):
            return _literal(node)
        if node in self.indices:
            return f"float({self.indices[node]})"
        known = self.lookup(node)
        if known is not None:
            return known
        code = self.translate(node)
        if self.uses[node] > 1 or len(code) > _LONGEST_INLINE:
            return self.store(code, node)
        return code

    def atom(self, node: sp.Basic) -> str:
        """As `emit`, but a name or a number, cheap to repeat."""
        code = self.emit(node)
        return code if self.constant.get(node, False) else self.store(code, node)

    def translate(self, node: sp.Basic) -> str:
        if isinstance(node, sp.Add):
            return self.chain([self.emit(a) for a in node.args], " + ")
        if isinstance(node, sp.Mul):
            return self.product(node)
        if isinstance(node, sp.Pow):
            return self.power(node.base, node.exp)
        if type(node) in _CODE_OF:
            return f"{_CODE_OF[type(node)]}({', '.join(self.emit(a) for a in node.args)})"
        if isinstance(node, (sp.Sum, sp.Product)):
            return self.reduction(node, list(node.limits))
        if isinstance(node, sp.Indexed) and node.base == TOKENS:
            (index,) = node.indices
            if index.is_Integer:
                return f"a{self.columns[int(index)]}"
            offsets = {p - l for l, p in self.columns.items()}
            where = self.integer(index)
            return f"x[{where} + ({offsets.pop()})]" if len(offsets) == 1 else f"x[columns[{where}]]"
        if isinstance(node, sp.Piecewise):
            return self.piecewise(list(node.args))
        function = FUNCTIONS.get(type(node))
        if function is None:
            name = type(node).__name__ if not isinstance(node, sp.Symbol) else node.name
            raise NoClosedForm(f"{name} in {_short(node)} has no numerical form: evaluate it first")
        return function(self, *node.args)

    def chain(self, codes: list[str], operator: str) -> str:
        # long sums overflow the parser's stack when written as one expression
        while len(codes) > 2 and sum(map(len, codes)) > _LONGEST_INLINE:
            taken, length = 0, 0
            while taken < 2 or (taken < len(codes) and length + len(codes[taken]) < _LONGEST_INLINE):
                length += len(codes[taken])
                taken += 1
            codes = [self.store(self.joined(codes[:taken], operator)), *codes[taken:]]
        return codes[0] if len(codes) == 1 else self.joined(codes, operator)

    def joined(self, codes: list[str], operator: str) -> str:
        """One expression; a negated term is subtracted, which saves an array."""
        negated = self.negated if operator == " + " else {}
        rest = [f" - {negated[code]}" if code in negated else f"{operator}{code}" for code in codes[1:]]
        return f"({codes[0]}{''.join(rest)})"

    def product(self, node: sp.Mul) -> str:
        above: list[str] = []
        below: list[str] = []
        for factor in node.args:
            divides = isinstance(factor, sp.Pow) and factor.exp.is_Rational and factor.exp < 0
            if divides and self.uses[factor] < 2:
                below.append(self.power(factor.base, -factor.exp))
            else:
                above.append(self.emit(factor))
        sign = ""
        if above and above[0] in ("-1.0", "(-1.0)") and len(above) > 1:
            sign, above = "-", above[1:]
        top = self.chain(above, " * ") if above else "1.0"
        code = f"{top} / {self.chain(below, ' * ')}" if below else top
        if sign:
            self.negated[f"(-{code})"] = f"({code})"
        return f"({sign}{code})"

    def power(self, base: sp.Basic, exponent: sp.Basic) -> str:
        if exponent.is_Integer:
            n = int(exponent)
            return f"(1.0 / {self.whole_power(base, -n)})" if n < 0 else self.whole_power(base, n)
        if exponent.is_Rational and exponent.q == 2:
            root = sp.sqrt(base) if not isinstance(base, (sp.Pow, sp.Mul)) else None
            key = root if root is not None else ("sqrt", base)
            code = self.lookup(key) or self.store(f"sqrt({self.emit(base)})", key)
            odd = self.raised(code, abs(exponent.p))
            return odd if exponent.p > 0 else f"(1.0 / {odd})"
        return f"pow({self.emit(base)}, {self.emit(exponent)})"

    def whole_power(self, base: sp.Basic, n: int) -> str:
        return self.emit(base) if n == 1 else self.raised(self.atom(base), n)

    def raised(self, code: str, n: int) -> str:
        """code ** n by repeated squaring, each power once."""
        if n == 1:
            return code
        known = self.lookup((code, n))
        if known is None:
            half = self.raised(code, n // 2 if n % 2 == 0 else n - 1)
            known = self.store(f"{half} * {half if n % 2 == 0 else code}", (code, n))
        return known

    def integer(self, node: sp.Basic) -> str:
        """Integer code for indices and limits of structured sums."""
        if node.is_Integer:
            return f"({int(node)})"
        if node in self.indices:
            return self.indices[node]
        if isinstance(node, (sp.Add, sp.Mul)):
            return "(" + (" + " if node.is_Add else " * ").join(self.integer(a) for a in node.args) + ")"
        raise NoClosedForm(f"the token index {_short(node)} is not an integer known to the formula")

    def reduction(self, node: sp.Sum | sp.Product, limits: list[Any]) -> str:
        if not limits:
            return self.emit(node.function)
        symbol, low, high = limits[-1]
        total, index = self.fresh(), f"l{len(self.indices)}_{self.fresh()}"
        add = isinstance(node, sp.Sum)
        self.line(f"{total} = {'0.0' if add else '1.0'}")
        with self.block(f"for {index} in range({self.integer(low)}, {self.integer(high)} + 1):"):
            outer = self.indices.get(symbol)
            self.indices[symbol] = index
            body = self.reduction(node, limits[:-1])
            # not in place: the first array must not be shared with an input
            self.line(f"{total} = {total} {'+' if add else '*'} {body}")
            if outer is None:
                del self.indices[symbol]
            else:
                self.indices[symbol] = outer
        return total

    def row(self, number: int, node: sp.Basic) -> None:
        """Write a value to a row of `out`; the last term of a sum is added in place."""
        if isinstance(node, sp.Add) and self.uses[node] == 1 and not self.constant[node]:
            *terms, last = map(self.emit, node.args)
            operation, last = ("subtract", self.negated[last]) if last in self.negated else ("add", last)
            self.line(f"{operation}({self.chain(terms, ' + ')}, {last}, out[{number}, ...])")
        else:
            self.line(f"out[{number}] = {self.emit(node)}")

    # -- conditions

    def condition(self, node: sp.Basic) -> str:
        if node in (sp.true, sp.false):
            return str(bool(node))
        if type(node) in _RELATIONS:
            return f"({self.emit(node.args[0])} {_RELATIONS[type(node)]} {self.emit(node.args[1])})"
        if isinstance(node, BooleanFunction) and isinstance(node, (sp.And, sp.Or, sp.Not)):
            word = {sp.And: "and", sp.Or: "or", sp.Not: "not"}[type(node)]
            parts = [self.condition(a) for a in node.args]
            if self.scalar:
                return f"(not {parts[0]})" if word == "not" else "(" + f" {word} ".join(parts) + ")"
            code = parts[0]
            for part in parts[1:]:
                code = f"logical_{word}({code}, {part})"
            return f"logical_not({code})" if word == "not" else code
        raise NoClosedForm(f"the condition {_short(node)} has no numerical form")

    def piecewise(self, pieces: list[Any]) -> str:
        if not pieces:
            return "nan"
        (value, when), *rest = pieces
        if when == sp.true:
            return self.emit(value)
        test = self.condition(when)
        if not self.scalar:
            return f"where({test}, {self.emit(value)}, {self.piecewise(rest)})"
        # a branch not taken is not evaluated: math.log and 1/x raise where numpy is silent
        result = self.fresh()
        with self.block(f"if {test}:"):
            self.line(f"{result} = {self.emit(value)}")
        with self.block("else:"):
            self.line(f"{result} = {self.piecewise(rest)}")
        return result


def _tokens_read(node: sp.Basic) -> frozenset[int]:
    try:
        return tokens_of(node)
    except TypeError:  # a limit that depends on another index (k < l): enumerate the outer one
        parts: list[sp.Basic] = list(node.args)
        if isinstance(node, (sp.Sum, sp.Product)):
            *inner, (symbol, low, high) = node.limits
            body = node.func(node.function, *inner) if inner else node.function
            parts = [body.subs(symbol, value) for value in range(int(low), int(high) + 1)]
        return frozenset().union(*map(_tokens_read, parts))


def _short(node: sp.Basic) -> str:
    text = str(node)
    return text if len(text) < 80 else text[:77] + "..."


def _literal(node: sp.Basic) -> str:
    value = node if isinstance(node, sp.Rational) else node.evalf(20)
    if value.is_extended_real is False or not isinstance(value, sp.Number):
        raise DomainError(f"the constant {_short(node)} is not a real number: check the formula's domain")
    text = repr(float(value))
    return f"({text})" if text.startswith("-") else text


def refuse_free(missing: set[Any], inputs: Sequence[sp.Symbol]) -> None:
    """Raise `SieSymError` naming the symbols without a value and the option that gives one."""
    names = sorted(str(s) for s in missing)
    given = ", ".join(map(str, inputs)) or "no symbol"
    remedy = " ".join(f"--param {n}=VALUE" for n in names)
    raise SieSymError(
        f"the formula depends on {', '.join(names)} besides {given}: give a value, {remedy} "
        "(in Python: substitute before asking for numbers)"
    )


def compile_function(
    symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr], scalar: bool, vector: bool = True
) -> Callable[..., Any]:
    """A Python function of the symbols, or of one indexable argument `x` if `vector`.

    `scalar` code runs on floats and `math`, evaluates only the branch taken, compiles under numba and returns the tuple
    of values; the other takes numpy arrays x and out, and writes a value to each row of `out`.  Neither sees builtins
    or a name that the caller chose.
    """
    writer = _Writer(symbols, expressions, scalar)
    if scalar:
        writer.line(f"return ({''.join([f'{writer.emit(e)}, ' for e in expressions])})")
    else:
        for number, expression in enumerate(expressions):
            writer.row(number, expression)
        writer.line("return")
    used = {s for s in writer.inputs if s in writer.constant}
    if writer.structured:
        used |= {s for s in writer.inputs if token_index(s) is not None}
    arguments = ", ".join(f"a{p}" for p in range(len(symbols))) if not vector else "x" if scalar else "x, out"
    head = [f"def generated({arguments}):"]
    if vector:
        head += [f"    a{writer.inputs[s]} = x[{writer.inputs[s]}]" for s in used]
    elif writer.structured:
        head.append(f"    x = ({arguments},)")
    namespace = _namespace(scalar)
    largest = max(writer.columns, default=0)
    namespace["columns"] = tuple(writer.columns.get(l, 0) for l in range(largest + 1))
    exec(compile("\n".join([*head, *writer.lines]), "<sie_sym.numeric>", "exec"), namespace)
    function: Callable[..., Any] = namespace["generated"]
    return function
