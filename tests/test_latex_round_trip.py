"""What this package writes as LaTeX it reads back as the same expression; the paper's notations are read as meant."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache

import pytest
import sympy as sp
from random_targets import RandomTarget

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import TOKENS, He, softplus, token
from sie_sym.grammar.latex_lexemes import FUNCTION_LETTERS, GREEK, NAMED
from sie_sym.latex import latex
from sie_sym.latex_tables import parse_latex_coefficients
from sie_sym.paper_targets import named_targets
from sie_sym.parse import parse_formula
from sie_sym.parse_latex import parse_latex
from sie_sym.target import Target
from sie_sym.typesetting.latex_printer import printed
from sie_sym.typesetting.tables import Coefficients

TARGETS = 500
FIRST_SEED = 20250602


@cache
def random_targets() -> tuple[tuple[str, sp.Expr | sp.MatrixBase], ...]:
    """The first targets of the seeded generator that the formula grammar accepts, with what it reads."""
    found: list[tuple[str, sp.Expr | sp.MatrixBase]] = []
    seed = FIRST_SEED
    while len(found) < TARGETS:
        text = RandomTarget(seed).text()
        seed += 1
        try:
            found.append((text, parse_formula(text)))
        except SieSymError:
            assert seed - FIRST_SEED < TARGETS + 50, "the generator leaves the grammar too often"
    return tuple(found)


def test_the_generator_covers_the_grammar() -> None:
    joined = " ".join(text for text, _ in random_targets())
    seen = Counter(name for name in NAMED.keys() - {"sgn", "ReLU", "ln", "tan"} if f"{name}(" in joined)
    assert seen.keys() == NAMED.keys() - {"sgn", "ReLU", "ln", "tan"}
    assert all(text in joined for text in ("sum(l", "prod(k", "z[l+1]", "[[", "pi", "lambda_", "(1/3)", ".5"))
    assert sum(isinstance(e, sp.MatrixBase) for _, e in random_targets()) > 20


def canonical(expression: sp.Basic) -> sp.Basic:
    """SymPy leaves a product -1 (x + y) in some of the functions that it evaluates, and distributes it in any other."""
    return expression.xreplace({n: sp.Mul(*n.args) for n in expression.atoms(sp.Mul) if sp.Mul(*n.args) != n})


def test_random_targets_are_read_back() -> None:
    """The whole export of a target, comment lines and display included."""
    different = [
        text
        for text, expression in random_targets()
        if (found := parse_latex(latex(Target.of(expression)))) != expression and found != canonical(expression)
    ]
    assert different == []


@pytest.mark.parametrize(
    "formula",
    [
        "e*z1 + exp(1)*z2 + exp(z1) + e2 + E*z2",
        "f*(z1 + 1) + sigma*(z1 + z2)^2*(z1 - 1) + phi_1*(z1 - z2) + H*(z1 + 2)",
        "x1*z1 + x_1*z2 + x_a*z1^2 + x1a + a_b_c + a_1_b + a1_b",
        "z_1*z1 + Z1*z2 + z_a*z12 + zeta",
        "sin_1*z1 + ln*z2 + relu_2*z1 + Phi2 + pi_1*pi*z1 + He4 + max_a + sgn + sum_1",
        "lambda_*z1 + lambda_2*z2 + lambda2 + lambda_c",
        "eps*z1 + epsilon*z2 + varepsilon*z1^2 + eps_1 + vartheta + omicron",
        "step(z1 - a) + step(z1)^2 + step(-z2)*step(1 - z1*z2) - step(a*z1 + 1/2)",
        "sum(l, 1, 4, -z[l]) - prod(l, 1, 3, -2*z[l]) + sum(l, 1, 3, sum(k, 1, 2, -z[l]*z[k+1] - 1))",
        "z1*sum(l, 2, 5, z[l])*exp(z1) + prod(l, 2, 3, z[l])^2/sqrt(2*pi) - sum(beta, 1, 3, z[beta])*z1",
        "[[1, z1], [e*f*(z1 + 1), step(z2)]]",
        "[z1*z2]",
        "max(z1, max(z2, sqrt(2)), pi) - min(z1, min(z2, 0))",
        "2^z1 + (1 + z1^2)^(-3/2) + abs(z1)^(1/3) + he(5, z1)/sqrt(3)",
        " + ".join(f"{k}*z{k}^2/7" for k in range(1, 40)),
        "0*z1 + 3/4",
    ],
)
def test_what_could_be_taken_for_something_else(formula: str) -> None:
    expression = parse_formula(formula)
    assert parse_latex(latex(Target.of(expression))) == expression


def test_a_body_whose_tokens_cancel_reads_none() -> None:
    for text in ("sum(l, 1, 3, z[l] - z[l])", "prod(l, 1, 3, a + z1 - z1)"):
        with pytest.raises(FormulaError, match="reads no token"):
            parse_formula(text)


@pytest.mark.parametrize("name", [*sorted(GREEK - {"varepsilon", "lambda"}), *sorted(FUNCTION_LETTERS - GREEK)])
def test_letters_times_a_sum_are_products(name: str) -> None:
    expression = parse_formula(f"{name}*(1 + z1) + {name}_1*(2 + z1) + {name}1*(3 + z1)")
    assert parse_latex(printed(expression)) == expression


def test_the_paper_targets_are_read_back() -> None:
    read = 0
    for entry in named_targets():
        expression = entry.expression(entry.tokens)
        assert parse_latex(latex(Target.of(expression, entry.tokens))) == expression
        read += 1
    assert read >= 20


FORMULAS = (
    "4/3 + He(4,z1) + 2*He(4,z2)",
    "z1*prod(l, 2, 4, 1 + z[l]) - z12",
    "a*z1 + (omega_c - x_1)*He(3, z2)^2/sqrt(2)",
    "exp(z1 - z2/3)*cos(2*z1)",
    "abs(z1)*z2 + relu(z2) + step(z1 - 1/2)",
    "[z1*z2, He(2, z1)]",
    "sum(l, 1, 12, he(2, z[l]))",
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_coefficients_are_read_back(formula: str) -> None:
    target = Target.of(parse_formula(formula))
    table = Coefficients(HermiteExpansion.of(target.components, target.tokens), 4)
    assert table.entries
    assert parse_latex_coefficients(latex(table)) == table.entries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "no coefficient in 'nothing'"),
        (r"C_{(a,0)} = 1", r"column 1: '\(a,0\)' is not a multi-index"),
        (r"C_{(1,0)} = \mathbb{E}\left[Z_1\right]", r"expected a factor, found \\mathbb"),
    ],
)
def test_tables_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_latex_coefficients(text)


# ---- notations of the paper -------------------------------------------------------------------------

Z1, Z2, Z3 = token(1), token(2), token(3)
L = sp.Symbol("l", integer=True)


def real(name: str) -> sp.Symbol:
    return sp.Symbol(name, real=True)


NOTATIONS = {
    r"z_{\star,1} z_{\star,2}": Z1 * Z2,
    r"\mathbf{z}_{\star,1} + \vec{z}_2 + \boldsymbol{z}_{3}": Z1 + Z2 + Z3,
    r"\mathrm{He}_4(z_1)": He(4, Z1),
    r"\operatorname{He}_{1}(z_{\star,1})\,\operatorname{He}_{4}(z_{\star,2})": He(1, Z1) * He(4, Z2),
    r"\frac{4}{3} + \mathrm{He}_4(z_{\star,1}) + 2\,\mathrm{He}_4(z_{\star,2})": sp.Rational(4, 3)
    + He(4, Z1)
    + 2 * He(4, Z2),
    r"\sum_{l=1}^L z_{\star,l}": sp.Sum(TOKENS[L], (L, 1, 5)),
    r"\frac{1}{\sqrt{L}} \sum_{l=1}^L z_{\star,l}".replace(r"\sqrt{L}", r"\sqrt{5}"): sp.Sum(TOKENS[L], (L, 1, 5))
    / sp.sqrt(5),
    r"z_{\star,1} \prod_{l=2}^{L} \left(1 + z_{\star,l}\right)": Z1 * sp.Product(1 + TOKENS[L], (L, 2, 5)),
    r"\frac{1}{\sqrt{2}} \left( z_{\star,1}^2 - z_{\star,2}^2 \right)": (Z1**2 - Z2**2) / sp.sqrt(2),
    r"\operatorname{sign}\left(z_1 \cdot z_2 \cdot z_3\right)": sp.sign(Z1 * Z2 * Z3),
    r"\mathbf{1}[z_1 > 0]": sp.Heaviside(Z1),
    r"\mathbb{1}_{z_1 > 1/2} + \mathbf 1_{\{z_1 < z_2\}}": sp.Heaviside(Z1 - sp.Rational(1, 2))
    + sp.Heaviside(Z2 - Z1),
    r"\log\left(1 + e^{z_1^2}\right)": sp.log(1 + sp.exp(Z1**2)),
    r"g(z_{\star}) = z_1 z_2": Z1 * Z2,
    r"\[ \varphi(\mathbf{z}) = \operatorname{softplus}(z_1) \]": softplus(Z1),
    r"\varepsilon z_1 + \varepsilon_{2} z_2": real("eps") * Z1 + real("eps2") * Z2,
    r"\omega_\mathrm{c} z_1 + x_{\mathrm{1}} + x_1 + \mathrm{a\_b}": real("omega_c") * Z1
    + real("x_1")
    + real("x1")
    + real("a_b"),
    "% Target\n% more % of it\n\\[\n\\begin{aligned} g(z) ={} & z_1 \\\\\n& {} + z_2 \\end{aligned}\n\\]": Z1 + Z2,
}


@pytest.mark.parametrize("text", NOTATIONS)
def test_notations_of_the_paper(text: str) -> None:
    assert parse_latex(text, tokens=5) == NOTATIONS[text]


REJECTED = {
    r"\langle z_1, z_2 \rangle": (0, r"unknown command \\langle"),
    r"z_1 + \lVert z \rVert": (6, r"unknown command \\lVert"),
    r"\mathbb{E}[z_1]": (0, r"found \\mathbb"),
    r"\int z_1 \, dz": (0, r"unknown command \\int"),
    r"\partial_1 z_1": (0, r"unknown command \\partial"),
    r"z_1^\top z_2": (4, r"unknown command \\top"),
    r"\hat{z}_1": (0, r"unknown command \\hat"),
    r"\mathbf{1}[z_1 \ge 0]": (15, r"unknown command \\ge"),
    r"\mathbf{1}[z_1]": (14, "expected < or >"),
    r"\mathbf{1} z_1": (11, "expected a condition"),
    r"\mathbf{1}[0 < z_1 < 1]": (19, r"expected \]"),
    r"\mathbf{1}_{z_1 > 0": (19, "expected }"),
    r"z_1 > 0": (4, "expected the end, found >"),
    r"\sum_{l \in [L]} z_l": (8, r"unknown command \\in"),
    r"\sum_{l=1}^{d} z_l": (6, "upper bound d is not an integer"),
    r"\mathrm{argmax}(z_1)": (0, "could be a function or a product"),
    r"\begin{aligned} z_1 & 2 \end{aligned} z_2": (0, "unknown environment aligned"),
    r"\begin{cases} z_1 \end{cases}": (0, "unknown environment cases"),
    r"a = b = z_1": (2, "expected the end, found ="),
    r"g(z) = h(z) = z_1": (7, r"could be a function or a product"),
    r"\[ z_1 \] \[ z_2 \]": (None, "unexpected character"),
    r"z_1 % a comment inside": (4, "unexpected character '%'"),
    r"x_{\mathrm{}} z_1": (12, "an empty subscript"),
    r"\mathrm{a\_\_b} z_1": (0, "single underscores"),
    r"\_ z_1": (0, "expected a factor"),
    r"z_{\mathrm{a}}": (0, "not an integer combination"),
    r"\def\x{1}\x": (0, r"unknown command \\def"),
    r"\csname end\endcsname": (0, r"unknown command \\csname"),
    "^^5c": (0, "expected a factor"),
    r"\begin{aligned}" * 1300: (0, "unknown environment aligned"),
    r"\mathbf{1}[" * 1800: (None, "nesting"),
    "g(z) = " * 2000: (7, "function or a product"),
    "%" * 19_999: (0, "the formula is empty"),
    "% \n" * 6000: (0, "the formula is empty"),
    r"\begin{aligned}" + r"{}\\&" * 3900: (0, "unknown environment aligned"),
    "z_1 + " * 3334: (0, "20004 characters exceed 20000"),
}


@pytest.mark.parametrize("text", REJECTED, ids=lambda text: text[:30])
def test_the_rest_is_rejected_with_its_place_and_reason(text: str) -> None:
    position, reason = REJECTED[text]
    start = time.process_time()
    with pytest.raises(FormulaError, match=reason) as caught:
        parse_latex(text)
    assert time.process_time() - start < 0.5
    assert caught.value.position is not None
    assert position is None or caught.value.position == position
    assert f"column {caught.value.position + 1}: " in str(caught.value)
