"""Targets: what they read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.functions import TOKENS, token
from sie_sym.target import Target, parameters_of, tokens_of

L = sp.Symbol("l", integer=True)
K = sp.Symbol("k", integer=True)
W = sp.Symbol("w", real=True)
Z1, Z2, Z3 = token(1), token(2), token(3)


@pytest.mark.parametrize(
    ("expression", "tokens"),
    [
        (sp.Integer(3), set()),
        (Z1 * W, {1}),
        (sp.Sum(TOKENS[L], (L, 2, 5)), {2, 3, 4, 5}),
        (Z1 * sp.Product(1 + TOKENS[2 * L], (L, 1, 3)), {1, 2, 4, 6}),
        (sp.Sum(sp.Sum(TOKENS[L + K], (K, 0, 1)), (L, 1, 3)), {1, 2, 3, 4}),
        (sp.Sum(TOKENS[L] * TOKENS[K], (K, 1, 2), (L, 4, 5)), {1, 2, 4, 5}),
        (sp.Sum(TOKENS[3] * L, (L, 1, 2)), {3}),
    ],
)
def test_tokens_of(expression: sp.Expr, tokens: set[int]) -> None:
    assert tokens_of(expression) == tokens


def test_parameters_are_neither_tokens_nor_bound_indices() -> None:
    assert parameters_of([sp.Sum(W * TOKENS[L] ** L, (L, 1, 3)) + Z1]) == (W,)
    assert Target.of(sp.Symbol("b", real=True) * Z1 + W).parameters == (sp.Symbol("b", real=True), W)


def test_shapes_and_default_tokens() -> None:
    assert Target.of(Z1 * Z3).tokens == 3
    assert Target.of(sp.Integer(1)).tokens == 1
    assert Target.of(Z1, tokens=4).tokens == 4
    assert Target.of(Z1).shape == ()
    assert Target.of(sp.Matrix([Z1, Z2])).shape == (2,)
    matrix = Target.of(sp.Matrix([[Z1, Z2], [1, Z3]]))
    assert matrix.shape == (2, 2)
    assert matrix.components == (Z1, Z2, 1, Z3)


def test_too_few_tokens() -> None:
    with pytest.raises(FormulaError, match="reads token z3 but the sequence has 2"):
        Target.of(Z1 * Z3, tokens=2)
    with pytest.raises(FormulaError, match="1 or more"):
        Target.of(sp.Integer(1), tokens=0)


def test_strings_are_never_run(tmp_path: Path) -> None:
    written = tmp_path / "written"
    text = f"open({str(written)!r}, 'w')"
    with pytest.raises((sp.SympifyError, TypeError)):
        Target.of(text)  # type: ignore[arg-type]
    assert not written.exists()


def test_substitute_keeps_everything_else() -> None:
    target = Target.of(W * Z1 + Z2, name="family")
    assert target.substitute({W: sp.Integer(2)}) == Target((2 * Z1 + Z2,), 2, (), "family")
