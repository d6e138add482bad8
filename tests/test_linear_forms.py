"""Linear forms and ridge functions: recognised exactly when they are, and never divided by a parameter."""

from __future__ import annotations

import time

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from sie_sym.errors import TruncationError
from sie_sym.exponents import information_exponent
from sie_sym.functions import TOKENS, He, relu, token
from sie_sym.linear_forms import (
    affine_form,
    as_ridge,
    direction_of,
    dot,
    has_tokens,
    multiple_of,
    ratio,
    unroll,
    written_out,
)
from sie_sym.target import Target

z1, z2, z3 = (token(l) for l in (1, 2, 3))
a, b = sp.symbols("a b", real=True)
u = sp.Symbol("u", real=True)
i, j, l = sp.symbols("i j l", integer=True)
R = sp.Rational


@pytest.mark.parametrize(
    ("expression", "slopes", "offset"),
    [
        (z1, {1: 1}, 0),
        (sp.Integer(3), {}, 3),
        (2 * (z1 - z2) / 3 + a, {1: R(2, 3), 2: R(-2, 3)}, a),
        (a * (z1 + b), {1: a}, a * b),
        (sp.Sum(TOKENS[l], (l, 1, 3)) - z2, {1: 1, 3: 1}, 0),
        (sp.Sum(l * TOKENS[l], (l, 1, 2)) / 2, {1: R(1, 2), 2: 1}, 0),
        # slopes that cancel are no slopes
        (a * (1 + b) * z1 - a * z1 - a * b * z1 + z2, {2: 1}, 0),
        (sp.Add(z1, sp.Mul(-1, z1, evaluate=False), evaluate=False), {}, 0),
    ],
)
def test_affine_forms(expression: sp.Expr, slopes: dict[int, sp.Expr], offset: sp.Expr) -> None:
    form = affine_form(expression)
    assert form is not None
    assert form[0] == slopes
    assert sp.expand(form[1] - offset) == 0
    assert list(form[0]) == sorted(form[0])  # the same order whatever the hash seed


@pytest.mark.parametrize("expression", [z1 * z2, z1**2, sp.Abs(z1), relu(z1) + z2, 1 / z1])
def test_what_is_not_affine(expression: sp.Expr) -> None:
    assert affine_form(expression) is None


@pytest.mark.parametrize(
    ("slopes", "direction"),
    [
        ({1: sp.Integer(-2), 3: sp.Integer(4)}, ((1, 1), (3, -2))),
        ({1: a, 2: 2 * a}, ((1, 1), (2, 2))),  # the parameter is a common factor
        ({1: a, 2: b}, ((1, a), (2, b))),  # dividing would lose a = 0
        ({1: a * b, 2: a}, ((1, b), (2, 1))),
        ({2: a}, ((2, 1),)),
        ({1: sp.Integer(1) + sp.sqrt(2), 2: sp.Integer(1)}, ((1, 1), (2, sp.sqrt(2) - 1))),
    ],
)
def test_directions(slopes: dict[int, sp.Expr], direction: tuple[tuple[int, sp.Expr], ...]) -> None:
    found = direction_of(slopes)
    assert [l for l, _ in found] == [l for l, _ in direction]
    assert all(sp.expand(x - y) == 0 for (_, x), (_, y) in zip(found, direction, strict=True))
    assert multiple_of(slopes, found) is not None


def test_parallel_forms() -> None:
    direction = direction_of({1: a, 2: b})
    assert multiple_of({1: 2 * a, 2: 2 * b}, direction) == 2
    assert multiple_of({1: a, 2: -b}, direction) is None
    assert multiple_of({1: a}, direction) is None
    assert multiple_of({1: a, 3: b}, direction) is None


def test_ratios_are_in_lowest_terms() -> None:
    assert ratio(sp.Integer(6), sp.Integer(4)) == R(3, 2)
    assert ratio((a + b) ** 2, a + b) == a + b
    assert ratio(sp.Integer(1), sp.sqrt(3) - 1) == sp.Rational(1, 2) + sp.sqrt(3) / 2


@pytest.mark.parametrize(
    ("expression", "direction", "profile"),
    [
        (relu(z1 + z2) * (z1 + z2 - 1), ((1, 1), (2, 1)), relu(u) * (u - 1)),
        (sp.exp(2 * z1 - z3) + z1 - z3 / 2, ((1, 1), (3, R(-1, 2))), sp.exp(2 * u) + u),
        (He(3, (z1 - z2) / 2), ((1, 1), (2, -1)), He(3, u / 2)),
        (sp.Sum(TOKENS[l], (l, 1, 2)) ** 2, ((1, 1), (2, 1)), u**2),
        (sp.sign(-3 * z2 + a), ((2, 1),), sp.sign(-3 * u + a)),
        (sp.cos(a * z1 + b * z2) * sp.sin(2 * b * z2 + 2 * a * z1), ((1, a), (2, b)), sp.cos(u) * sp.sin(2 * u)),
    ],
)
def test_ridges(expression: sp.Expr, direction: tuple[tuple[int, sp.Expr], ...], profile: sp.Expr) -> None:
    assert as_ridge(expression, u) == (direction, profile)


@pytest.mark.parametrize(
    "expression",
    [
        z1 * z2,
        relu(z1 + z2) * z1,
        sp.Abs(z1) + z2,
        sp.Sum(TOKENS[l] ** 2, (l, 1, 2)),
        sp.Integer(5),
        z1 - z1,
        relu(a * z1 + b * z2) * (b * z1 + a * z2),
    ],
)
def test_what_is_no_ridge(expression: sp.Expr) -> None:
    assert as_ridge(expression, u) is None


@given(st.lists(st.integers(-4, 4), min_size=3, max_size=3).filter(any), st.integers(-3, 3), st.integers(1, 4))
def test_a_ridge_is_the_function_again(slopes: list[int], offset: int, scale: int) -> None:
    form = sum((c * token(n) for n, c in enumerate(slopes, start=1)), sp.Integer(0))
    expression = relu(scale * form + offset) + 2 * form
    direction, profile = as_ridge(expression, u)  # type: ignore[misc]
    assert direction[0][1] == 1
    argument = sp.Add(*(c * token(n) for n, c in direction))
    point = dict(zip((z1, z2, z3), (R(1, 3), R(-2, 7), R(5, 11)), strict=True))

    def value(e: sp.Expr) -> sp.Expr:
        return e.subs(point).replace(relu, lambda x: sp.Max(x, 0))

    assert value(profile.subs(u, argument)) == value(expression)


def test_structured_sums_and_products_are_written_out() -> None:
    assert unroll(sp.Sum(l * TOKENS[l + 1], (l, 1, 2))) == [token(2), 2 * token(3)]
    assert written_out(sp.Sum(sp.Product(TOKENS[i] + j, (i, 1, 2)), (j, 0, 1))) == z1 * z2 + (z1 + 1) * (z2 + 1)
    assert written_out(sp.Sum(TOKENS[l], (l, 3, 2))) == 0
    assert written_out(sp.Product(TOKENS[l], (l, 3, 2))) == 1
    triangle = sp.Sum(TOKENS[i] * TOKENS[j], (j, 1, i), (i, 1, 2))
    assert sp.expand(written_out(triangle)) == z1**2 + z1 * z2 + z2**2
    with pytest.raises(TruncationError, match="more than 100000 terms"):
        unroll(sp.Sum(TOKENS[l], (l, 1, 10**9)))


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (TOKENS[2 * l - 1] * TOKENS[2 * l], [z1 * z2, z3 * token(4)]),
        (TOKENS[l**2] + l, [z1 + 1, token(4) + 2]),
        (TOKENS[i + l], [TOKENS[i + 1], TOKENS[i + 2]]),  # of an outer sum
        (TOKENS[3 - l] ** l, [z2, z1**2]),
        (z3 + l, [z3 + 1, z3 + 2]),
    ],
)
def test_the_places_of_tokens(body: sp.Expr, written: list[sp.Expr]) -> None:
    assert unroll(sp.Sum(body, (l, 1, 2))) == written


def test_a_long_sum_takes_linear_time() -> None:
    start = time.process_time()
    found = information_exponent(Target.of(sp.Sum(TOKENS[l], (l, 1, 60_000))))
    (tensor,) = found.leading_tensors()
    assert len(tensor) == 60_000
    assert set(tensor.values()) == {sp.Integer(1)}
    assert time.process_time() - start < 15  # quadratic: minutes


def test_tokens_and_dot_products() -> None:
    assert has_tokens(TOKENS[l] + a)
    assert not has_tokens(a + l)
    assert dot(((1, a), (2, sp.Integer(1))), ((2, b), (3, a))) == b
