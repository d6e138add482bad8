r"""From exact expressions to float64 functions: the only place where formulas become numbers in bulk.

Inputs are cast to float64 first (int64 overflows silently: He_12(50)), constants take the shape of the input,
and what is made here travels between processes as its formulas.  The code is written by `codegen`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from sie_sym.compilation.codegen import compile_function, refuse_free
from sie_sym.compilation.owen import sign_product
from sie_sym.errors import SieSymError

FloatArray = NDArray[np.float64]


class NumericFunction:
    """A float64 function of arrays, made by `numeric_function`; it pickles as its formulas."""

    def __init__(self, symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> None:
        self.symbols = tuple(symbols)
        self.expressions = tuple(sp.sympify(e, strict=True) for e in expressions)
        self.write: Callable[[FloatArray, FloatArray], None]
        """As a call, but to `out`, (points, out), unchecked and with numpy's warnings left on: for inner loops."""
        self.write = compile_function(self.symbols, self.expressions, scalar=False)

    def __call__(self, values: ArrayLike) -> FloatArray:
        """Evaluate at `values` of shape (n_symbols, ...); the result has shape (n_expressions, ...)."""
        points = _as_float(values)
        if points.shape[:1] != (len(self.symbols),):
            raise SieSymError(
                f"values of shape {points.shape} for the {len(self.symbols)} symbols "
                f"({', '.join(map(str, self.symbols))}): the first axis has one entry a symbol"
            )
        result = np.empty((len(self.expressions), *points.shape[1:]))
        with np.errstate(all="ignore"):
            self.write(points, result)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        return NumericFunction, (self.symbols, self.expressions)


def _as_float(values: ArrayLike) -> FloatArray:
    points = np.asarray(values)
    if points.dtype.kind == "c":
        raise SieSymError(f"complex values of shape {points.shape}: the functions are real")
    try:
        return points.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise SieSymError(f"{values!r} is not an array of numbers: {error}") from None


def numeric_function(symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> NumericFunction:
    """The expressions as one float64 function: (n_symbols, ...) in, (n_expressions, ...) out.

    Integers are cast first, constants are broadcast, nan stays nan, no numpy warning escapes.  Every token
    that a structured sum reads must be among the symbols.  Raises `SieSymError` for other free symbols,
    `NoClosedForm` for nodes without numerical form (an unevaluated expectation, a `DiracDelta`).

    >>> z = sp.Symbol("z1", real=True)
    >>> numeric_function([z], [z**2 - 1, sp.Integer(7)])([[0, 1, 2]])
    array([[-1.,  0.,  3.],
           [ 7.,  7.,  7.]])
    """
    return NumericFunction(symbols, expressions)


def scalar_function(
    symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr], *, vector: bool = False
) -> Callable[..., tuple[float, ...]]:
    """The expressions as a plain Python function of floats returning a tuple of floats, on `math` alone.

    With `vector` it takes one indexable `x` of length n_symbols instead of n_symbols arguments.  `numba.njit`
    compiles it (unless `erfi` or `SignProduct` occurs).  As in `math`, a division by zero or a value outside
    the domain raises.  It does not pickle: send the expressions.

    >>> m = sp.Symbol("m", real=True)
    >>> scalar_function([m], [4 - 4 * m**2, sp.Max(-m, 0)])(0.5)
    (3.0, 0.0)
    """
    formulas = [sp.sympify(e, strict=True) for e in expressions]
    return compile_function(tuple(symbols), formulas, scalar=True, vector=vector)


@runtime_checkable
class LossFunction(Protocol):
    """What flows, landscapes and sweeps ask of a loss: numbers over the statistics (m, eps_1, ..., eps_r)."""

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """The 1 + r symbols."""

    def value(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """R, of the broadcast shape of the arguments."""

    def gradient(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """The 1 + r derivatives along the first axis."""

    def hessian(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """The second derivatives along the first two axes."""


class NumericLoss:
    """R(m, eps) and its derivatives as float64 functions, from an exact expression in the statistics.

    Differentiated as given, never expanded; each order is compiled when first asked for.

    >>> m = sp.Symbol("m", real=True)
    >>> loss = NumericLoss(4 - 4 * m**2, (m,))
    >>> loss.value([0, 1]), loss.gradient(0.5), loss.hessian(0.5)
    (array([4., 0.]), array([-4.]), array([[-8.]]))
    """

    def __init__(self, expression: sp.Expr, statistics: Sequence[sp.Symbol]) -> None:
        self.expression = sp.sympify(expression, strict=True)
        self.statistics = tuple(statistics)
        free = self.expression.free_symbols - set(self.statistics)
        if free:
            refuse_free(free, self.statistics)

    @cached_property
    def gradient_expressions(self) -> tuple[sp.Expr, ...]:
        """dR/dm, dR/deps_1, ..., factored as SymPy differentiates."""
        return tuple(sp.diff(self.expression, s) for s in self.statistics)

    @cached_property
    def _value(self) -> NumericFunction:
        return NumericFunction(self.statistics, [self.expression])

    @cached_property
    def _gradient(self) -> NumericFunction:
        return NumericFunction(self.statistics, self.gradient_expressions)

    @cached_property
    def _hessian(self) -> NumericFunction:
        entries = [sp.diff(row, s) for row in self.gradient_expressions for s in self.statistics]
        return NumericFunction(self.statistics, entries)

    def _points(self, statistics: tuple[ArrayLike, ...]) -> FloatArray:
        if len(statistics) != len(self.statistics):
            raise SieSymError(
                f"{len(statistics)} statistics given, the loss reads {len(self.statistics)}: "
                f"({', '.join(map(str, self.statistics))})"
            )
        return np.stack(np.broadcast_arrays(*map(_as_float, statistics)))

    def value(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """R(m, eps), of the broadcast shape of the arguments."""
        return np.asarray(self._value(self._points((m, *eps)))[0])

    def gradient(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """(dR/dm, dR/deps_1, ...), shape (1 + r, ...)."""
        return self._gradient(self._points((m, *eps)))

    def hessian(self, m: ArrayLike, *eps: ArrayLike) -> FloatArray:
        """The second derivatives, shape (1 + r, 1 + r, ...)."""
        n = len(self.statistics)
        flat = self._hessian(self._points((m, *eps)))
        return flat.reshape(n, n, *flat.shape[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        return NumericLoss, (self.expression, self.statistics)


def numeric_loss(loss: Any) -> LossFunction:
    """The numbers of a loss: of its exact `expression` in its `statistics`, or itself if it is numerical."""
    if isinstance(getattr(loss, "expression", None), sp.Expr):
        return loss if isinstance(loss, NumericLoss) else NumericLoss(loss.expression, loss.statistics)
    if isinstance(loss, LossFunction):
        return loss
    raise SieSymError(
        f"{type(loss).__name__} is not a loss: pass one with `expression` and `statistics`, "
        "or with `statistics`, `value`, `gradient` and `hessian`"
    )


__all__ = [
    "FloatArray",
    "LossFunction",
    "NumericFunction",
    "NumericLoss",
    "numeric_function",
    "numeric_loss",
    "scalar_function",
    "sign_product",
]
