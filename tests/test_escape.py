"""The escape from 0 of small functions, decided by hand or by numerical minimisation on small circles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sie_sym.errors import TruncationError
from sie_sym.escape import Escape, escape_from_zero
from sie_sym.evidence import Evidence
from sie_sym.taylor import Taylor

M, E, F = sp.symbols("m eps1 eps2", real=True)
A = sp.Symbol("a", real=True)


def escape_of(expression: sp.Expr, *variables: sp.Symbol, known_to: int | None = None) -> Escape:
    return escape_from_zero(Taylor(expression, variables or (M, E), known_to))


@pytest.mark.parametrize(
    ("expression", "order", "direction"),
    [
        (E**2 + 4 * E * M**2 + M**4, 4, (1, 0)),  # on the valley eps = -2 m^2 the function is -3 m^4
        (E**2 - M**2, 2, (1, 0)),
        (-(E**2) - 4 * M**2, 2, (1, 0)),  # the steepest curvature
        (E**2 + E * M**2 / 2 - M**5, 4, (1, 0)),  # valley: -m^4/16
        (E**2 + M**5, 5, (-1, 0)),
        ((E - M**2) ** 2 - E**3, 6, (1, 0)),  # the reduced function starts beyond the degree 4
        (E**2 * (1 + M) - 2 * E * M**2 + M**4 - M**5, 6, (1, 0)),  # at E = M^2/(1 + M): -M^6/(1 + M)
        (M - 2 * E, 1, (-1 / math.sqrt(5), 2 / math.sqrt(5))),
        (M**4 + E**4 - 3 * M**2 * E**2, 4, (math.sqrt(0.5), math.sqrt(0.5))),
        (M * E, 2, (math.sqrt(0.5), -math.sqrt(0.5))),
        (sp.cos(M) - 1 + E**2 - M**3, 2, (1, 0)),
    ],
    ids=str,
)
def test_descents(expression: sp.Expr, order: int, direction: tuple[float, float]) -> None:
    escape = escape_of(expression)
    assert (escape.order, escape.proved) == (order, True)
    assert escape.direction is not None
    found = [float(x) for x in escape.direction]
    assert max(abs(a - b) for a, b in zip(found, direction, strict=True)) < 0.02 or np.allclose(
        found, [-x for x in direction], atol=0.02
    )
    assert math.hypot(*found) == pytest.approx(1)
    assert escape.kind == ("mixed" if all(found) else "semantic" if found[0] else "positional")


@pytest.mark.parametrize(
    ("expression", "variables", "reason"),
    [
        (E**2 + E * M**2 + M**4, (M, E), "positive definite"),  # on the valley 3/4 m^4
        (M**2 + M * E + E**2, (M, E), "Hessian is positive definite"),
        (M**4, (M,), "positive definite"),
        (M**4 + E**4 + M**3 * E / 2, (M, E), "positive definite"),
        ((E - M**2) ** 2, (M, E), "valley of minima"),
        ((E - M**2) ** 2 + E**3, (M, E), "positive definite"),
        (M**2 + M * (E**2 + F**2) + E**4 + F**4, (M, E, F), "positive definite"),  # two flat directions
        ((M - E) ** 2 + (M - E) ** 4, (M, E), "valley of minima"),
        (sp.Integer(3), (M,), "R is constant"),
        (sp.exp(M) - 1 - M - M**2 / 2 - M**3 / 6, (M,), "positive definite"),
    ],
    ids=str,
)
def test_minima(expression: sp.Expr, variables: tuple[sp.Symbol, ...], reason: str) -> None:
    escape = escape_of(expression, *variables)
    assert (escape.order, escape.direction, escape.kind, escape.proved) == (None, None, None, True)
    assert reason in escape.reason


@pytest.mark.parametrize(
    ("expression", "variables", "reason"),
    [
        (A * M**2, (M,), "parameters decide"),
        (M**2 + A * E**4, (M, E), "parameters decide"),
        ((M - E / 3) ** 4, (M, E), "stay open"),  # a multiple root: a double zero is not a descent
        (sp.exp(M**14) - 1, (M,), "flat up to order 12"),
    ],
    ids=str,
)
def test_open_questions(expression: sp.Expr, variables: tuple[sp.Symbol, ...], reason: str) -> None:
    escape = escape_of(expression, *variables)
    assert (escape.order, escape.proved) == (None, False)
    assert reason in escape.reason


def test_several_flat_directions() -> None:
    escape = escape_of(M**2 + 3 * M * (E**2 + F**2) + E**4 + F**4, M, E, F)
    assert (escape.order, escape.kind) == (4, "positional")


def test_silent_directions_are_no_flat_directions() -> None:
    """R reads e = eps1 + eps2 alone, so that it is constant along (0, 1, -1)."""
    function = Taylor(M**2 + (E + F) ** 4, (M, E, F))
    assert not escape_from_zero(function).proved
    silent = [(sp.Integer(0), sp.Integer(1), sp.Integer(-1))]
    escape = escape_from_zero(function, silent)
    assert (escape.order, escape.proved) == (None, True)
    assert escape_from_zero(Taylor(M**2 + (E + F) ** 2, (M, E, F)), silent).proved


def test_curvatures_that_are_no_square_roots() -> None:
    hessian = sp.Matrix([[1, -1, sp.Rational(3, 2)], [-1, -1, -1], [sp.Rational(3, 2), -1, -1]])
    s = sp.Matrix([M, E, F])
    escape = escape_of((s.T * hessian * s)[0], M, E, F)
    values, vectors = np.linalg.eigh(np.array(2 * hessian, dtype=float))
    assert escape.order == 2
    assert escape.direction is not None
    assert abs(np.dot([float(x) for x in escape.direction], vectors[:, 0])) == pytest.approx(1)
    assert f"curvature {values[0]:.8f}"[:-2] in escape.reason


def test_a_cut_function_is_known_to_its_order_only() -> None:
    cut = Taylor(M**2 + E**3, (M, E), 2)
    assert (cut.last, cut.exact) == (2, False)
    assert escape_from_zero(cut).reason == "R is flat along the flat directions up to order 2"
    with pytest.raises(TruncationError, match="known to degree 2"):
        cut.derivative(0, 0, 1)


def test_derivatives_against_differentiation() -> None:
    h = sp.exp(M * E) * sp.cos(M + 2 * E) + M**3
    taylor = Taylor(h, (M, E))
    zero = {M: 0, E: 0}
    assert taylor.derivative(0, 1, 1) == sp.diff(h, M, E, E).subs(zero)
    assert taylor.hessian() == sp.hessian(h, (M, E)).subs(zero)
    assert taylor.lowest_order() == (2, Evidence.EXACT)


def test_zeros_are_proved_zeros() -> None:
    """sqrt(6) - sqrt(2) sqrt(3 + 0) written so that nothing cancels by itself."""
    hidden = sp.sqrt(5 + 2 * sp.sqrt(6)) - sp.sqrt(2) - sp.sqrt(3)
    taylor = Taylor(hidden * M + M**2, (M,))
    assert hidden != 0
    assert taylor.derivative(0) == 0
    assert taylor.lowest_order() == (2, Evidence.EXACT)


def _lowest_on_circle(function: sp.Expr, radius: float) -> float:
    angles = np.linspace(0, 2 * math.pi, 2881)
    values = sp.lambdify((M, E), function, "numpy")(radius * np.cos(angles), radius * np.sin(angles))
    return float(np.min(values))


@settings(max_examples=60)
@given(
    st.tuples(*[st.integers(-2, 2)] * 3),
    st.tuples(*[st.integers(-2, 2)] * 4),
    st.tuples(*[st.integers(-2, 2)] * 5),
)
def test_verdicts_against_small_circles(quadratic: tuple, cubic: tuple, quartic: tuple) -> None:
    """A proved escape goes down near 0, a proved minimum does not."""
    forms = (quadratic, cubic, quartic)
    function = sp.Add(*(c * M ** (k - i) * E**i for k, form in enumerate(forms, start=2) for i, c in enumerate(form)))
    escape = escape_of(function)
    if not escape.proved or function == 0:
        return
    lowest = _lowest_on_circle(function, 0.02)
    if escape.order is None:
        assert lowest > -1e-9 * 0.02
    elif escape.order <= 4:
        assert lowest < 0


@settings(max_examples=40)
@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6))
def test_quadratic_forms_against_numpy(entries: list[int]) -> None:
    a, b, c, d, e, f = entries
    matrix = sp.Matrix([[a, b, c], [b, d, e], [c, e, f]])
    s = sp.Matrix([M, E, F])
    escape = escape_of(sp.expand((s.T * matrix * s)[0]), M, E, F)
    lowest = np.linalg.eigvalsh(np.array(matrix, dtype=float))[0]
    assert escape.proved
    assert (escape.order == 2) == (lowest < -1e-9)
    if escape.order == 2:
        assert escape.direction is not None
        v = np.array([float(x) for x in escape.direction])
        assert v @ np.array(matrix, dtype=float) @ v == pytest.approx(lowest, abs=1e-9)
