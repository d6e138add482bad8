r"""Ball arithmetic on SymPy expressions: complex balls in, a complex ball that contains the value out.

An expression is compiled once to a list of steps (equal subexpressions are one step, constant ones are
evaluated at once) and run on balls.  The `analytic` flag is the one of `flint.acb.integral`, see `ball_functions`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import flint
import sympy as sp
from flint import acb

from sie_sym.integrals.ball_functions import NOT_ANALYTIC, rule

BallFunction = Callable[[Sequence[acb], bool], acb]
"""Balls of the variables, and the analytic flag, to a ball of the value."""

_PRECISION_LOCK = threading.RLock()


@contextlib.contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """flint works at `bits` bits inside the block.

    flint's precision is shared by all threads, so blocks of different threads exclude one another: interleaved,
    one would restore the other's precision.  A ball computed elsewhere meanwhile has another width, never a
    false content.
    """
    with _PRECISION_LOCK, flint.ctx.workprec(bits):
        yield


def evaluate(expression: sp.Expr, values: Mapping[sp.Symbol, acb], analytic: bool = False) -> acb:
    """The ball of an expression at balls of its symbols, at the current flint precision.

    With `analytic` the answer is nan unless the expression is analytic on the balls.
    Raises `NoClosedForm` for a function without ball arithmetic or a symbol without a value.

    >>> x = sp.Symbol("x", real=True)
    >>> evaluate(sp.sign(x - 3), {x: acb(5)})
    1.00000000000000
    """
    return compile_ball(expression, tuple(values))(tuple(values.values()), analytic)


def compile_ball(expression: sp.Expr, variables: Sequence[sp.Symbol]) -> BallFunction:
    """The expression as a function of balls of `variables`; constants are rounded at the precision of this call."""
    return _Compiler(variables).compile(expression)


_Step = tuple[Callable[..., acb], tuple[int, ...]]


class _Compiler:
    def __init__(self, variables: Sequence[sp.Symbol]) -> None:
        self.arity = len(variables)
        self.slots: dict[sp.Basic, int] = {symbol: slot for slot, symbol in enumerate(variables)}
        self.steps: list[_Step] = []
        self.constants: dict[int, acb] = {}

    def compile(self, expression: sp.Expr) -> BallFunction:
        result = self.slot(sp.sympify(expression, strict=True))
        size = self.arity + len(self.steps)
        constants, steps = dict(self.constants), list(enumerate(self.steps, start=self.arity))
        program = [(slot, *step) for slot, step in steps if slot not in constants]

        def run(values: Sequence[acb], analytic: bool) -> acb:
            balls: list[acb] = [*values, *[NOT_ANALYTIC] * (size - len(values))]
            for slot, ball in constants.items():
                balls[slot] = ball
            for slot, function, inputs in program:
                balls[slot] = function(analytic, *[balls[i] for i in inputs])
            return balls[result]

        return run

    def slot(self, node: sp.Basic) -> int:
        known = self.slots.get(node)
        if known is None and isinstance(node, (sp.Sum, sp.Product)):
            known = self.slots[node] = self.slot(node.doit())
        if known is None:
            function, arguments = rule(node)
            inputs = tuple(self.slot(argument) for argument in arguments)
            known = self.arity + len(self.steps)
            self.steps.append((function, inputs))
            if all(i in self.constants for i in inputs):
                self.constants[known] = function(False, *(self.constants[i] for i in inputs))
            self.slots[node] = known
        return known


__all__ = ["NOT_ANALYTIC", "BallFunction", "compile_ball", "evaluate", "working_precision"]
