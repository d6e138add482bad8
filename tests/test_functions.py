"""The named functions: their numerical values, and their LaTeX as a power."""

from __future__ import annotations

import math

import mpmath
import pytest
import sympy as sp

from sie_sym.functions import He, Phi, gelu, relu, sigmoid, softmax, softplus, token

ROOT2 = sp.sqrt(2)


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        (Phi(-30), mpmath.ncdf(-30)),
        (gelu(-ROOT2), -math.sqrt(2) * mpmath.ncdf(-math.sqrt(2))),
        (sigmoid(-300), 1 / (1 + mpmath.exp(300))),
        (softplus(-100), mpmath.log1p(mpmath.exp(-100))),
        (softplus(3), mpmath.log1p(mpmath.exp(3))),
        (relu(-ROOT2), 0),
        (relu(ROOT2), math.sqrt(2)),
        # He_3(x) = x^3 - 3x; He_k(x) = 2^(-k/2) H_k(x / sqrt 2), so He_200(sqrt 2) = 2^(-100) H_200(1)
        (He(3, ROOT2), -math.sqrt(2)),
        (He(200, ROOT2), mpmath.hermite(200, 1) / mpmath.mpf(2) ** 100),
        (softmax(3, 1, 2, 3), 1 / (1 + mpmath.exp(-1) + mpmath.exp(-2))),
        (He(2, 1), 0),
        (1 + relu(3) * He(2, 2), 10),
    ],
)
def test_constants_evaluate(constant: sp.Expr, value: float) -> None:
    evaluated = constant.evalf(15)
    assert evaluated.is_Float or evaluated == 0
    assert mpmath.mpf(str(evaluated)) == pytest.approx(mpmath.mpf(value), rel=1e-13)


@pytest.mark.parametrize("expression", [relu(token(1)), He(2, token(1)), Phi(token(1) + 1), softmax(1, 1, 2, token(3))])
def test_what_does_not_evaluate_stays(expression: sp.Expr) -> None:
    assert expression.evalf(15).func is expression.func


@pytest.mark.parametrize("function", [relu, Phi, gelu, sigmoid, softplus])
def test_powers_print(function: type[sp.Function]) -> None:
    name = r"\Phi" if function is Phi else rf"\mathrm{{{function.__name__}}}"
    assert sp.latex(function(token(1)) ** 2) == rf"{name}\left(z_{{1}}\right)^{{2}}"
