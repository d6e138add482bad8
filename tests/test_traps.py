"""Where the libraries below give silently wrong answers, ours are right: one test for each known trap.

Each docstring says what the library answers.  SymPy's `integrate` and `stats` are never asked here, nor by the package
(see `test_nothing_integrates_symbolically`); expected values are classical closed forms or quadrature split at the
kinks by mpmath.  Traps of quadrature (5, 11 to 14) are in test_gaussian.py and test_enclosure.py under their numbers.
"""

from __future__ import annotations

import ast
import math
import os
import subprocess
import sys
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import sympy as sp
from conftest import ROOT

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.functions import He, token
from sie_sym.numeric import numeric_function
from sie_sym.parse import parse_formula
from sie_sym.parse_latex import parse_latex
from sie_sym.quadratures.measure import measure
from sie_sym.weierstrass import weierstrass_transform

C = mpmath.MPContext()


def mean(text: str, **parameters: sp.Expr) -> float:
    """E g(Z) with the parameters set after the derivation."""
    closed = weierstrass_transform(parse_formula(text)).coefficient(())
    measured = measure(closed.subs({sp.Symbol(name, real=True): value for name, value in parameters.items()}))
    assert measured.error < 1e-8
    return measured.value


def split(f: Callable[[mpmath.mpf], mpmath.mpf], *kinks: float) -> float:
    """E f(Z) of one token, split at the kinks."""
    return float(C.quad(lambda x: f(x) * C.npdf(x), [-12, *kinks, 12]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max(z1*z2, 0)", 1 / math.pi),  # E |Z1 Z2| / 2 = (2/pi)/2
        ("min(z1*z2, 0)", -1 / math.pi),
        # (Z1 (Z2 + 1))^+ has mean E|Z1| E|Z2 + 1| / 2, and E|Z2 + 1| is the folded normal's
        ("max(z1*z2 + z1, 0)", math.sqrt(2 / math.pi) * split(lambda x: abs(x + 1), -1) / 2),
        ("step(z1*z2)*z1*z2", 1 / math.pi),
    ],
)
def test_trap_1_piecewise_expectations(text: str, expected: float) -> None:
    """sympy.stats.E answers 0 for the first two and for the Piecewise form of the first."""
    assert mean(text) == pytest.approx(expected, rel=1e-12)


def test_trap_2_a_root_of_a_modulus() -> None:
    """sympy.integrate answers -0.168345 i at b = -3/7."""
    expected = split(lambda x: x * C.sqrt(abs(C.mpf(-3) / 7 - x)), -3 / 7)
    assert expected == pytest.approx(0.168345, abs=1e-6)
    assert mean("z1*sqrt(abs(-3/7 - z1))") == pytest.approx(expected, abs=1e-10)


def test_trap_3_a_parameter_set_to_zero_afterwards() -> None:
    """SymPy's integral of |z - b| becomes nan at b = 0."""
    assert mean("abs(z1 - b)", b=sp.Integer(0)) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-14)


def test_trap_4_a_modulus_with_many_kinks() -> None:
    """SymPy halves the integral of |sin x cos x| over a period."""
    expected = split(lambda x: abs(C.sin(x) * C.cos(x)), *(math.pi / 2 * k for k in range(-7, 8)))
    assert mean("abs(sin(z1)*cos(z1))") == pytest.approx(expected, abs=1e-10)


def test_trap_6_zeros_are_not_left_to_simplify() -> None:
    """`simplify` and `.equals` answer wrongly, `is_zero` is None; `Float(2.0) == 2` is False: decimals are exact."""
    assert parse_formula("2.0*z1 - 2*z1") == 0
    assert parse_formula("0.1 + 0.2 - 0.3") == 0
    with pytest.raises(FormulaError, match="cannot be told from zero"):  # it is 0: never taken for a non-zero
        parse_formula("He(2, z1) + (sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2))*z1")


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("ground", ["python", "flint"])
def test_traps_6_and_15_hash_seed_and_ground_types_change_nothing(seed: str, ground: str) -> None:
    """Five targets: the same words whatever the hash seed and SymPy's ground types."""
    program = (
        "from sie_sym import Target, information_exponent, parse_formula\n"
        "for text in ('abs(z1) - sqrt(2/pi)*(z1^2 - 1)/2', 'tanh(z1)*He(2,z2)', '(1-w)*He(2,z1) + w*He(4,z1)',\n"
        "             'relu(z1 + z2) - z1/2 - z2/2', 'sign(z1*z2*z3)'):\n"
        "    found = information_exponent(Target.of(parse_formula(text)))\n"
        "    print(found.exponent, found.evidence.value, [(s.exponent, s.when) for s in found.strata])\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "SYMPY_GROUND_TYPES": ground}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert [line.split()[:2] for line in run.stdout.splitlines()] == [
        ["4", "exact"],
        ["3", "enclosed"],
        ["2", "exact"],
        ["2", "exact"],
        ["3", "exact"],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("erf(z1)^2", 2 / math.pi * math.asin(2 / 3)),
        ("max(z1, z2, 0)", (1 + math.sqrt(2)) / (2 * math.sqrt(math.pi))),
        # E relu relu at correlation 1/2: the arc-cosine kernel, (sin t + (pi - t) cos t) / (2 pi) with t = pi/3
        ("relu(z1)*relu(z1/2 + sqrt(3)/2*z2)", (math.sqrt(3) / 2 + math.pi / 3) / (2 * math.pi)),
        ("softplus(z1)", split(lambda x: C.log(1 + C.exp(x)))),
    ],
)
def test_sympy_hangs_or_raises_here(text: str, expected: float) -> None:
    """Over 60 s or an exception in sympy.stats and sympy.integrate."""
    assert mean(text) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "closed"),
    [("erf(z1 - b)", lambda b: -math.erf(b / math.sqrt(3))), ("(z1^2-1)*sign(z1-b)", lambda b: 2 * b * C.npdf(b))],
)
def test_sympy_leaves_these_unevaluated_or_raises_a_type_error(text: str, closed: Callable[[float], float]) -> None:
    for b in (sp.Rational(-1, 3), sp.Rational(5, 4)):
        assert mean(text, b=b) == pytest.approx(float(closed(float(b))), rel=1e-13)


def test_nothing_integrates_symbolically() -> None:
    """`integrate`, `sympy.stats`, `Integral.doit` and `simplify` are no step of anything in the package."""
    forbidden = {"integrate", "stats", "simplify", "nsimplify", "posify", "parse_expr", "lambdify"}
    for path in (ROOT / "sie_sym").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            assert name not in forbidden, f"{path.name}:{getattr(node, 'lineno', 0)} uses {name}"


@pytest.mark.parametrize(
    "text",
    [
        "He(64,He(64,He(64,z1)))",
        "9**9**9",
        "factorial(10**7)",
        "(" * 5000 + "z1" + ")" * 5000,
        "z1**" * 400 + "2",
        "__import__('os').system('true')",
        "z1.__class__",
        "(lambda: z1)()",
    ],
)
def test_trap_7_bombs_and_code_are_refused(text: str) -> None:
    """`sympify` and `parse_expr` run the last ones and hang or raise MemoryError, RecursionError on the others."""
    with pytest.raises(SieSymError) as caught:
        parse_formula(text)
    assert len(str(caught.value)) < 500


def test_trap_7_one_letter_names_are_parameters() -> None:
    """beta, gamma, zeta, S, N, E, I, Q, O, C are SymPy objects to `sympify`."""
    for name in ("beta", "gamma", "zeta", "S", "N", "E", "I", "Q", "O", "C"):
        assert parse_formula(f"{name}*z1") == sp.Symbol(name, real=True) * token(1)


def test_trap_7_the_caret_is_a_power() -> None:
    assert parse_formula("-z1^2") == -(token(1) ** 2)
    assert parse_formula("2^3^2") == 512


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r"\operatorname{erf}(z_1)", sp.erf(token(1))),
        (r"\sin(z_1) z_2", sp.sin(token(1)) * token(2)),
        ("z_{12}", token(12)),
    ],
)
def test_trap_8_latex_that_sympy_misreads(text: str, meaning: sp.Expr) -> None:
    """SymPy's readers give products of letters, sin(z_1 z_2) and 2 z_1."""
    assert parse_latex(text) == meaning


@pytest.mark.parametrize("text", [r"\input{z_1}", "z_12", "erf(z_1)", r"\unknown z_1"])
def test_trap_8_latex_that_could_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        parse_latex(text)


def test_trap_9_compiled_formulas() -> None:
    """lambdify: integer arrays overflow, constants lose the shape, Heaviside(nan) is 1.0, 1/z is evaluated at z = 0."""
    z = token(1)
    he12 = float(sp.hermite_prob_poly(12, 50))
    assert numeric_function([z], [He(12, z)])(np.array([[50]]))[0, 0] == pytest.approx(he12, rel=1e-13)
    assert numeric_function([z], [sp.Integer(3)])(np.zeros((1, 4))).shape == (1, 4)
    assert np.isnan(numeric_function([z], [sp.Heaviside(z)])(np.array([[np.nan]]))).all()


def test_trap_10_the_recurrence_is_stable() -> None:
    """The expanded He_60 in floats is off by 1e4 at |z| = 8; `sympy.hermite` would be the physicists'."""
    z = token(1)
    exact = float(sp.hermite_prob_poly(60, 8))
    assert numeric_function([z], [He(60, z)])(np.array([[8.0]]))[0, 0] == pytest.approx(exact, rel=1e-11)


def test_trap_17_a_formula_may_start_with_a_minus() -> None:
    """argparse exits 2 on `-g -z1^2`; `--help` imports neither SymPy nor SciPy."""
    run = subprocess.run([sys.executable, "-m", "sie_sym", "sie", "-g", "-z1^2"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "2  (exact)" in run.stdout
    program = "import sys; from sie_sym.cli import main; print([m for m in ('sympy', 'scipy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
