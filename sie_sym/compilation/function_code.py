r"""Straight-line code for the named functions: He_k, softmax, relu, max, ... without overflow and with nan kept.

He_k runs its three-term recurrence (expanded He_60 is off by 1e4 at |z| = 8); logistic functions and softmax take
exponentials of numbers that are not positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import sympy as sp

from sie_sym.compilation.straight_line import StraightLine
from sie_sym.functions import He, Phi, gelu, relu, sigmoid, softmax, softplus


def _hermite(writer: StraightLine, k: sp.Basic, x: sp.Basic) -> str:
    argument = writer.atom(x)
    if k.is_Integer and 0 <= int(k) <= 12:
        rows = ["1.0", argument]
        for degree in range(2, int(k) + 1):
            key = ("He", degree, argument)
            step = f"{argument} * {rows[-1]} - {float(degree - 1)} * {rows[-2]}"
            rows.append(writer.lookup(key) or writer.store(step, key))
        return rows[int(k)]
    before, current, n = writer.fresh(), writer.fresh(), "n" + writer.fresh()
    writer.line(f"{before} = 0.0")
    writer.line(f"{current} = 1.0")
    with writer.block(f"for {n} in range({writer.integer(k)}):"):
        writer.line(f"{before}, {current} = {current}, {argument} * {current} - {n} * {before}")
    return current


def _relu(writer: StraightLine, x: sp.Basic) -> str:
    code = writer.atom(x)
    return writer.choose(f"{code} <= 0.0", "0.0", code)


def _Phi(writer: StraightLine, x: sp.Basic) -> str:
    return f"(0.5 * erfc({-math.sqrt(0.5)!r} * {writer.emit(x)}))"


def _gelu(writer: StraightLine, x: sp.Basic) -> str:
    return f"({writer.atom(x)} * {_Phi(writer, x)})"


def _sigmoid(writer: StraightLine, x: sp.Basic) -> str:
    code = writer.atom(x)
    small = writer.store(f"exp(-fabs({code}))", ("exp-abs", code))
    return f"({writer.choose(f'{code} >= 0.0', '1.0', small)} / (1.0 + {small}))"


def _softplus(writer: StraightLine, x: sp.Basic) -> str:
    code = writer.atom(x)
    small = writer.store(f"exp(-fabs({code}))", ("exp-abs", code))
    return f"({writer.choose(f'{code} <= 0.0', '0.0', code)} + log1p({small}))"


def _softmax(writer: StraightLine, k: sp.Basic, *scores: sp.Basic) -> str:
    key = ("softmax", scores)
    weights = [writer.lookup((*key, j)) for j in range(len(scores))]
    total = writer.lookup(key)
    if total is None:
        codes = [writer.atom(s) for s in scores]
        largest = codes[0]
        for code in codes[1:]:
            largest = writer.store(writer.choose(f"{code} > {largest}", code, largest))
        weights = [writer.store(f"exp({c} - {largest})", (*key, j)) for j, c in enumerate(codes)]
        total = writer.store(" + ".join(str(w) for w in weights), key)
    return f"({weights[int(k) - 1]} / {total})"


def _heaviside(writer: StraightLine, x: sp.Basic, at_zero: sp.Basic = sp.Rational(1, 2)) -> str:
    code = writer.atom(x)
    # the last resort is x itself: nan stays nan
    last = writer.choose(f"{code} == 0.0", writer.emit(at_zero), code)
    return writer.choose(f"{code} > 0.0", "1.0", writer.choose(f"{code} < 0.0", "0.0", last))


def _sign(writer: StraightLine, x: sp.Basic) -> str:
    code = writer.atom(x)
    return writer.choose(f"{code} > 0.0", "1.0", writer.choose(f"{code} < 0.0", "(-1.0)", code))


def _absolute(writer: StraightLine, x: sp.Basic) -> str:
    return f"fabs({writer.emit(x)})"


def _extreme(writer: StraightLine, comparison: str, *arguments: sp.Basic) -> str:
    code = writer.atom(arguments[0])
    for other in arguments[1:]:
        b = writer.atom(other)
        equal_or_nan = writer.choose(f"{b} == {code}", code, f"({code} + {b})")
        choice = writer.choose(f"{b} {comparison} {code}", b, equal_or_nan)
        code = writer.store(writer.choose(f"{code} {comparison} {b}", code, choice))
    return code


def _maximum(writer: StraightLine, *arguments: sp.Basic) -> str:
    return _extreme(writer, ">", *arguments)


def _minimum(writer: StraightLine, *arguments: sp.Basic) -> str:
    return _extreme(writer, "<", *arguments)


def _kronecker(writer: StraightLine, i: sp.Basic, j: sp.Basic, *_: sp.Basic) -> str:
    return f"(1.0 if {writer.integer(i)} == {writer.integer(j)} else 0.0)"


FUNCTIONS: dict[type, Callable[..., str]] = {
    He: _hermite,
    relu: _relu,
    Phi: _Phi,
    gelu: _gelu,
    sigmoid: _sigmoid,
    softplus: _softplus,
    softmax: _softmax,
    sp.Heaviside: _heaviside,
    sp.sign: _sign,
    sp.Abs: _absolute,
    sp.Max: _maximum,
    sp.Min: _minimum,
    sp.KroneckerDelta: _kronecker,
}
"""The code for a call: the writer, then the arguments."""
