"""The exported LaTeX compiles, passes KaTeX, states its conventions and says what the results say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sympy as sp

import sie_sym
from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import information_exponent
from sie_sym.flow import gradient_flow
from sie_sym.functions import SignProduct, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.gradient_noise import gradient_noise
from sie_sym.landscape import landscape
from sie_sym.latex import FlowEquation, latex, latex_document, typeset
from sie_sym.model import ACTIVATION_VARIABLE, linear_attention, softmax_attention, tied_network
from sie_sym.paper_targets import named_target, named_targets
from sie_sym.parse import parse_formula
from sie_sym.population_loss import population_loss
from sie_sym.target import Target
from sie_sym.typesetting.latex_printer import Printer, as_text, display, printed, symbol_name
from sie_sym.typesetting.tables import Coefficients

Katex = Callable[[Sequence[str]], list[str]]
Pdflatex = Callable[[str], Path]

FORMULAS = (
    "4/3 + He(4,z1) + 2*He(4,z2)",
    "a*z1 + (a-b)*He(3,z2)^2",
    "sum(l, 1, 5, He(2, z[l]))/sqrt(2) + prod(l, 2, 4, 1 + z[l])",
    "sign(z1*z2*z3)",
    "relu(z1)*z2 + abs(z2) - step(z1 - 1/2) + max(z1, z2)",
    "exp(z1 - z2/3)*cos(2*z1) + erf(z1) + Phi(z2 + a_max)",
    "gelu(z1) + z1^12*omega2 + rate*eps3 + long_name_x + e*z2",
    "[[z1*z2, He(2,z1)], [sign(z2), alpha]]",
)


def target(formula: str) -> Target:
    return Target.of(parse_formula(formula))


def results() -> list[object]:
    g = target("He(2,z1) + He(2,z2)")
    half = sp.Rational(1, 2)
    loss = population_loss(g, linear_attention(2).with_encoding([[1, half]]))
    two = population_loss(g, linear_attention(2).with_encoding([[1, half], [0, 1]]).with_injection([1, -half]))
    relu = population_loss(target("z1 + He(2,z2)"), tied_network(2, parse_formula("relu(u)", variables="u")))  # type: ignore[arg-type]
    cut = population_loss(target("sign(z1)"), tied_network(1, sp.sign(ACTIVATION_VARIABLE)), order=3)
    flow = gradient_flow(loss, [0.01, 0.1], 1.0)
    invisible = population_loss(target("4/3 + He(4,z1) + 2*He(4,z2)"), linear_attention(2))
    return [
        *(target(formula) for formula in FORMULAS),
        *(information_exponent(target(formula)) for formula in FORMULAS[:5]),
        *(information_exponent(target(formula)) for formula in ("7", "a*z1 + b*He(2,z1)", "(a^2-1)*z1 + z1^4")),
        *(HermiteExpansion.of(target(formula).components, 5) for formula in FORMULAS[:4]),
        *(Coefficients(HermiteExpansion.of(target(f).components, 5), 4) for f in (*FORMULAS[:4], FORMULAS[-1])),
        *(loss, two, relu, cut, invisible, loss.model, two.model, softmax_attention(3), softmax_attention(2, "trace")),
        *(landscape(each) for each in (loss, two, relu, cut, invisible)),
        *(gradient_noise(loss), flow, FlowEquation(loss, flow), FlowEquation(loss, flow, 1e-5)),
        *Evidence,
        *(named_target(entry.name) for entry in named_targets()),
    ]


@pytest.fixture(scope="module")
def all_results() -> list[object]:
    return results()


def test_every_formula_passes_katex(katex: Katex, all_results: list[object]) -> None:
    assert katex([formula for result in all_results for formula in typeset(result).formulas]) == []


def test_the_document_compiles(pdflatex: Pdflatex, all_results: list[object]) -> None:
    assert pdflatex(latex_document(all_results)).read_bytes().startswith(b"%PDF")


def test_the_source_to_paste_compiles(pdflatex: Pdflatex, all_results: list[object]) -> None:
    preamble = r"\documentclass{article}\usepackage{amsmath,amssymb}\begin{document}"
    pdflatex("\n".join([preamble, *(latex(result) for result in all_results), r"\end{document}"]))


def test_comment_lines_are_comments_and_the_rest_is_ascii(all_results: list[object]) -> None:
    for result in all_results:
        text = latex(result)
        assert text.isascii()
        head, _, body = text.partition(r"\[")
        assert head
        assert all(line.startswith("% ") for line in head.splitlines())
        assert not any(line.startswith("%") for line in body.splitlines())


def test_the_loss_says_its_conventions_and_its_formula() -> None:
    # R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4, theory section 9
    g = target("He(2,z1) + He(2,z2)")
    text = latex(population_loss(g, linear_attention(2).with_encoding([[1, sp.Rational(1, 2)]])))
    assert r"R(m, \varepsilon) = \frac{81 \varepsilon^{4}}{64} + \frac{27 \varepsilon^{2}}{4} - 4 m^{2} + 7" in text
    assert "without a factor 1/2 (arXiv:2506.02651, eq. 9)" in text
    assert r"C = \begin{pmatrix} 1 \\ \frac{1}{2} \end{pmatrix}" in text
    assert r"\sum_{k \ge 0} \frac{m^k}{k!}" in text


def test_a_cut_loss_states_its_bound() -> None:
    cut = population_loss(target("sign(z1)"), tied_network(1, sp.sign(ACTIVATION_VARIABLE)), order=3)
    text = latex(cut)
    assert "powers of m above 3 left out (enclosed)" in text
    assert r"\lvert \text{error of } R \rvert \le" in text


def test_the_exponent_enumerates_its_proof() -> None:
    text = latex(information_exponent(target("4/3 + He(4,z1) + 2*He(4,z2)")))
    assert r"\min\{ j \ge 1 : C_j(g) \ne 0 \} = 4" in text
    assert r"C_{(4,0)} &= 24" in text
    assert r"C_{(0,4)} &= 48" in text
    assert text.count(r"\item order ") == 4
    assert r"n = O_L\left(d^{3}\right)" in text


def test_strata_are_cases() -> None:
    # (a^2 - 1) z1 + z1^4 - 6 z1^2: without z1 the order-2 part 6 (z1^2 - 1) - 6 z1^2 is gone, so the order is 4
    text = latex(information_exponent(target("(a^2-1)*z1 + z1^4 - 6*z1^2")))
    cases = text[text.index(r"\begin{cases}") : text.index(r"\end{cases}")]
    assert cases.count(r"4 & \text{a = ") == 2
    assert cases.startswith(r"\begin{cases}1 & \text{")


def test_the_flow_is_written_out() -> None:
    # m' = -(1 - m^2) R_m + m eps R_eps with R_m = -8 m, R_eps = 81 eps^3/16 + 27 eps/2 (by hand)
    loss = population_loss(target("He(2,z1) + He(2,z2)"), linear_attention(2).with_encoding([[1, sp.Rational(1, 2)]]))
    flow = gradient_flow(loss, [1e-5, 0.1], 0.1)
    text = latex(FlowEquation(loss, flow, 0.25))
    assert (
        r"\dot{m} = - 8 m^{3} + m \left(\frac{81 \varepsilon^{4}}{16} + \frac{27 \varepsilon^{2}}{2} + 8\right)" in text
    )
    assert r"- \frac{\gamma}{2} V\, \varepsilon" in text
    assert r"\gamma = 0.25" in text
    assert r"s(0) = (1 \cdot 10^{-5}, 0.1)" in text
    assert r"V\, \varepsilon" not in latex(FlowEquation(loss, flow))


def test_the_nodes_that_occur_are_defined() -> None:
    h, rho = sp.symbols("h rho", real=True)
    text = latex(Target.of(SignProduct(h, 1, rho) + sie_sym.sigmoid(token(1))))
    assert "% S(h, k; rho) = E sign(A) sign(B)" in text
    assert "% sigmoid(x) = 1 / (1 + exp(-x))." in text
    assert "softplus" not in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("z", "z"), ("m", "m"), ("eps", r"\varepsilon"), ("eps12", r"\varepsilon_{12}"), ("omega", r"\omega"),
        ("Gamma_2", r"\Gamma_{\mathrm{2}}"), ("a1", "a_{1}"), ("bar", r"\mathrm{bar}"), ("xhat", r"\mathrm{xhat}"),
        ("a_b_c", r"\mathrm{a\_b\_c}"), ("e", r"\mathsf{e}"), ("rate_max", r"\mathrm{rate}_{\mathrm{max}}"),
    ],
)  # fmt: skip
def test_names(name: str, expected: str) -> None:
    assert symbol_name(name) == expected


def test_every_name_passes_katex(katex: Katex) -> None:
    names = [
        "alpha",
        "Omega",
        "omicron",
        "a_b_c",
        "x_",
        "bar",
        "hat_y",
        "a_1_b",
        "A0",
        "beta12",
        "epsilon",
        "e",
        "Upsilon",
    ]
    assert katex([printed(sp.Symbol(name, real=True) ** 2) for name in names]) == []


def test_tokens_and_indexed_tokens_take_the_letter() -> None:
    expression = parse_formula("sum(l, 1, 3, z[l]^2) + z12")
    assert Printer("t").doprint(expression) == r"t_{12} + \sum_{l=1}^{3} t_{l}^{2}"


def test_expectations_without_elementary_form(katex: Katex) -> None:
    z1, z2, eps = token(1), token(2), sp.Symbol("eps", real=True)
    one = GaussianExpectation(sp.tanh(z1) ** 2, {z1: eps}, {1: 2})
    two = GaussianExpectation(sie_sym.sigmoid(z1 * (z1 - z2)), {z1: eps})
    texts = [printed(one), printed(two**2 / 3), printed(-two * eps)]
    assert katex(texts) == []
    assert r"\mathrm{He}_{2}\left(Z_{1}\right)" in texts[0]
    assert r"\varepsilon" in texts[1]
    assert "% E[...]: expectation over independent standard normals" in latex(Target.of(one))


def test_long_sums_are_broken_between_terms(katex: Katex) -> None:
    m = sp.Symbol("m", real=True)
    text = display("R(m)", sp.Add(*((-1) ** k * sp.Rational(k + 1, 7) * m**k for k in range(40))))
    assert text.count(r"\\") >= 3
    assert text.count("m^{") == 38
    assert katex([text]) == []


def test_text_is_escaped(pdflatex: Pdflatex) -> None:
    nasty = r"a_1^2 & 50% of {x} < $y$ # ~ \input{/etc/hostname} | -> != \"quoted\""
    pdflatex(rf"\documentclass{{article}}\begin{{document}}{as_text(nasty)}\end{{document}}")


def test_notebooks_show_formulas() -> None:
    text = target("z1*z2")._repr_latex_()  # type: ignore[attr-defined]
    assert text == "$$\ng(z) = z_{1} z_{2}\n$$"
    assert information_exponent(target("z1"))._repr_latex_().startswith("$$")  # type: ignore[attr-defined]


def test_a_public_name_brings_the_notebook_formulas() -> None:
    assert hasattr(sie_sym.Target, "_repr_latex_")


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(SieSymError, match="no LaTeX is defined for int"):
        latex(3)
