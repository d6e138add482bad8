"""The named targets have the exponents that the paper states (Def. 2, figures) and the shapes of their models."""

from __future__ import annotations

import math

import pytest
import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.exponents import information_exponent
from sie_sym.functions import He, sigmoid, token
from sie_sym.model import softmax_attention
from sie_sym.paper_targets import named_target, named_targets, nearest, softmax_rows

# Def. 2 states those of sum, product, hermite-pairs and hermite-product; figures 1, 2 and 6 the orders of he2 to he4;
# a linear term gives 1 (staircases, mean, difference); C_(2,0) = sqrt 2 for square-difference; sign(z1 z2 z3) is odd
# in every token and C_(1,1,1) = (2/pi)^{3/2}.
EXPONENTS = {
    "sum": 1,
    "mean": 1,
    "product": 2,
    "hermite-pairs": 4,
    "hermite-product": 6,
    "he2": 2,
    "he3": 3,
    "he4": 4,
    "fig2": 4,
    "he2-normalized": 2,
    "difference": 1,
    "square-difference": 2,
    "staircase-2": 1,
    "staircase-3": 1,
    "staircase": 1,
    "sign-product": 3,
}
# Even in z, with C_(2,0) = 0.14 for the trace (theory of the softmax, L = 2); a mixture of an even target with a
# constant one keeps order 2 unless omega = 1; shifting by omega (1, -1) breaks the even symmetry.
ATTENTION = {"attention": 2, "attention-trace": 2, "positional-semantic": 2, "positional-semantic-smooth": 1}
Z1, Z2 = token(1), token(2)


def test_every_named_target_is_tested() -> None:
    assert {entry.name for entry in named_targets()} == EXPONENTS.keys() | ATTENTION.keys()


@pytest.mark.parametrize(("name", "exponent"), EXPONENTS.items())
def test_exponent(name: str, exponent: int) -> None:
    found = information_exponent(named_target(name))
    assert (found.exponent, found.evidence) == (exponent, "exact")


def test_leading_coefficient_of_the_sign_product() -> None:
    tensor = information_exponent(named_target("sign-product")).leading_tensors()[0]
    assert tensor.keys() == {((1, 1), (2, 1), (3, 1))}
    assert float(tensor[(1, 1), (2, 1), (3, 1)]) == pytest.approx((2 / math.pi) ** 1.5, rel=1e-15)


@pytest.mark.parametrize("entry", named_targets(), ids=lambda entry: entry.name)
def test_default_tokens_and_name(entry: object) -> None:
    target = named_target(entry.name)  # type: ignore[attr-defined]
    assert (target.tokens, target.name) == (entry.tokens, f"@{entry.name}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("tokens", [1, 2, 5, 10])
def test_the_number_of_tokens_fills_the_formula(tokens: int) -> None:
    (mean,) = named_target("@mean", tokens).components
    assert mean.doit().subs({sp.IndexedBase("z", real=True)[l]: 1 for l in range(1, tokens + 1)}) == sp.sqrt(tokens)


def test_fig2_is_the_formula_of_the_paper() -> None:
    (g,) = named_target("fig2").components
    assert sp.expand((g - (sp.Rational(4, 3) + He(4, Z1) + 2 * He(4, Z2))).expand(func=True)) == 0


def test_attention_is_the_softmax_model() -> None:
    assert named_target("attention", 3).components == softmax_attention(3).components
    assert named_target("attention").shape == (2, 2)
    assert named_target("attention-trace", 3).components == softmax_attention(3, "trace").components


def numbers(name: str, **values: object) -> list[float]:
    substitution = {sp.Symbol(key, real=True): sp.sympify(value, strict=True) for key, value in values.items()}
    at = [c.subs(substitution).replace(sigmoid, lambda x: 1 / (1 + sp.exp(-x))) for c in named_target(name).components]
    return [float(value) for value in at]


def test_positional_semantic_mixes_two_attention_matrices() -> None:
    # By hand: row 1 of softmax_rows(z z^T) at z = (1, 2) is softmax(1, 2), row 2 is softmax(2, 4); the positional
    # rows at a^2 = 1/2 are softmax(1/2, -1/2) and its reverse.
    mixed = numbers("positional-semantic", z1=1, z2=2, a=1 / sp.sqrt(2), omega=sp.Rational(1, 4))
    semantic = [1 / (1 + math.e), math.e / (1 + math.e), 1 / (1 + math.e**2), math.e**2 / (1 + math.e**2)]
    p = math.e / (1 + math.e)
    expected = [0.75 * s + 0.25 * q for s, q in zip(semantic, [p, 1 - p, 1 - p, p], strict=True)]
    assert mixed == pytest.approx(expected, rel=1e-14)


def test_the_smooth_alternative_shifts_the_tokens() -> None:
    # v = z + omega (1, -1): at z = (1, 2), omega = 1/2 it is (3/2, 3/2), so every score is the same.
    assert numbers("positional-semantic-smooth", z1=1, z2=2, omega=sp.Rational(1, 2)) == [0.5] * 4
    unshifted = numbers("positional-semantic-smooth", z1=1, z2=2, omega=0)
    assert unshifted == pytest.approx(numbers("attention", z1=1, z2=2), rel=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "exponent"), ATTENTION.items())
def test_exponents_of_attention(name: str, exponent: int) -> None:
    target = named_target(name)
    values = {sp.Symbol("omega", real=True): sp.Rational(1, 2), sp.Symbol("a", real=True): sp.Integer(1)}
    found = information_exponent(target.substitute(values))
    assert found.exponent == exponent
    assert found.evidence in ("exact", "enclosed")


def test_softmax_rows_keeps_rows_apart() -> None:
    rows = [[Z1, 2 * Z2, sp.Integer(1)], [sp.Integer(0), Z1 * Z2, Z2]]
    matrix = softmax_rows(sp.Matrix(rows))
    assert [[matrix[i, j].args for j in range(3)] for i in range(2)] == [
        [(j + 1, *row) for j in range(3)] for row in rows
    ]


def test_unknown_names_list_the_nearest() -> None:
    with pytest.raises(FormulaError, match=r"@positional-semantics: did you mean positional-semantic, "):
        named_target("@positional-semantics")
    with pytest.raises(FormulaError, match=r"@nothing: .*hermite-pairs"):
        named_target("nothing")


@pytest.mark.parametrize(
    ("name", "tokens", "message"),
    [("positional-semantic", 3, "exactly 2 tokens, not 3"), ("product", 1, "2 or more tokens, not 1")],
)
def test_numbers_of_tokens_that_do_not_fit(name: str, tokens: int, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        named_target(name, tokens)


def test_nearest_falls_back_to_all() -> None:
    assert nearest("relo", ["relu", "erf"]) == "relu"
    assert nearest("xyzzy", ["relu", "erf"]) == "relu, erf"
