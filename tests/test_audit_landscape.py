"""Claims about indices, curvatures, lists and crossings: what is proved, what is refuted, what is refused."""

from __future__ import annotations

import pytest
import sympy as sp

import sie_sym.audits.landscape as audited
from sie_sym.audit import Conventions, Verdict, check
from sie_sym.audits.claims import parse_claim
from sie_sym.audits.landscape import lowest_eigenvalue_sign
from sie_sym.audits.routes import Route
from sie_sym.errors import FormulaError
from sie_sym.evidence import Evidence
from sie_sym.model import Model, formula_model, linear_attention, softmax_attention, tied_network
from sie_sym.paper_targets import named_target
from sie_sym.parse import parse_formula
from sie_sym.target import Target
from sie_sym.untied import untied_loss


def target(text: str) -> Target:
    return Target.of(parse_formula(text))


HE2 = target("He(2,z1) + He(2,z2)")
ENCODED = linear_attention(2).with_encoding([[sp.Integer(1), sp.Rational(1, 2)]])
RELU = parse_formula("relu(u)", variables="u")


# ---- the flatness index and the escape -----------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "formula", "model", "verdict"),
    [
        # README and theory section 9: H = diag(-8, 27/2).
        ("kappa = 2", "He(2,z1) + He(2,z2)", ENCODED, "proved"),
        ("kappa = 4", "He(2,z1) + He(2,z2)", ENCODED, "refuted"),
        ("escape = 2", "He(2,z1) + He(2,z2)", ENCODED, "proved"),
        ("escapes = semantic", "He(2,z1) + He(2,z2)", ENCODED, "proved"),
        ("escapes != semantic", "He(2,z1) + He(2,z2)", ENCODED, "refuted"),
        ("lambda_min = -8", "He(2,z1) + He(2,z2)", ENCODED, "proved"),
        ("lambda_min > -8", "He(2,z1) + He(2,z2)", ENCODED, "refuted"),
        ("lambda_min >= -8", "He(2,z1) + He(2,z2)", ENCODED, "proved"),
        # Lemma 1: R is even in m here, H_eps,eps = 27/2 the only curvature, upwards; He_4 is invisible to u^2.
        ("kappa = 2", "He(4,z1) + He(4,z2)", ENCODED, "proved"),
        ("escape <= 6", "He(4,z1) + He(4,z2)", ENCODED, "refuted"),
        # Prop. 1: the order of the target.
        ("kappa = 3", "He(3,z1)", tied_network(1, RELU + parse_formula("u^3", variables="u")), "proved"),
        ("kappa <= 2", "He(3,z1)", tied_network(1, RELU + parse_formula("u^3", variables="u")), "refuted"),
        ("kappa != 1", "z1 + a*z1*z2", tied_network(2, RELU), "refuted"),
    ],
)
def test_indices(claim: str, formula: str, model: Model, verdict: str) -> None:
    found = check(claim, target(formula), model)
    assert found.verdict == verdict, found.reason
    assert False not in [route.agrees for route in found.routes]


@pytest.mark.parametrize("name", ["difference", "square-difference"])
def test_a_target_that_a_tied_network_never_sees_has_no_finite_index(name: str) -> None:
    # App. E.4: R is constant for the tied network, and the untied one sees the order of the target.
    hidden = named_target(name)
    tied = check("kappa = 1", hidden, tied_network(2, RELU))
    assert (tied.verdict, tied.ours, tied.counterexample) == ("refuted", sp.oo, None)
    assert check("kappa > 6", hidden, tied_network(2, RELU)).verdict == "proved"
    order = {"difference": 1, "square-difference": 2}[name]
    assert check(f"kappa = {order}", hidden, untied_loss(hidden, RELU)).verdict == "proved"


def test_an_index_beyond_what_was_examined_is_open() -> None:
    far = formula_model(parse_formula("He(8,z1)"), 1)
    found = check("kappa = 8", target("He(8,z1)"), far)
    assert (found.verdict, found.evidence) == ("undecided", Evidence.UNDECIDED)
    assert "higher orders were not examined" in found.reason


def test_our_own_routes_may_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audited, "quadrature", lambda mean, ours: Route("quadrature", "DISAGREES", False, 1.0, 0.0))
    for claim in ("kappa = 2", "lambda_min < 0"):
        found = check(claim, HE2, ENCODED)
        assert (found.verdict, found.evidence) == ("undecided", Evidence.UNDECIDED)
        assert "DISAGREE" in found.reason


@pytest.mark.parametrize(
    ("rows", "sign"),
    [
        ([[1, 2], [2, 1]], -1),  # eigenvalues 3 and -1
        ([[2, 1], [1, 2]], 1),
        ([[1, 1], [1, 1]], 0),
        ([[0, 0], [0, 0]], 0),
        ([[2, -1, 0], [-1, 2, -1], [0, -1, 2]], 1),  # 2 - sqrt 2 > 0
        ([[1, -1, 0], [-1, 1, -1], [0, -1, 1]], -1),  # 1 - sqrt 2 < 0
        ([["sqrt(2)", 1], [1, "1/sqrt(2)"]], 0),
    ],
)
def test_the_sign_of_the_lowest_eigenvalue(rows: list[list[int | str]], sign: int) -> None:
    entries = [[parse_formula(str(entry)) for entry in row] for row in rows]
    assert lowest_eigenvalue_sign(sp.Matrix(entries)) == sign


# ---- lists and outputs ---------------------------------------------------------------------------

PAIR = target("[z1^2 + z1, z1*z2]")


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("C[2,0] = [2, 0]", "proved"),
        ("C[1,1] = [[0, 1]]", "proved"),
        ("C[2,0] = [1, 0]", "refuted"),
        ("C[1,1;2] = 1", "proved"),
        ("C[1,1;1] = 1", "refuted"),
        ("C[1,0;1] ~ 1.0", "proved"),
        ("sie = 1", "proved"),
    ],
)
def test_claims_about_several_outputs(claim: str, verdict: str) -> None:
    found = check(claim, PAIR)
    assert found.verdict == verdict, found.reason
    assert Verdict is type(found)


def test_lists_over_the_overlaps() -> None:
    m, eps = ENCODED.statistics
    assert check("H = [[-8, 0], [0, 27/2]]", HE2, ENCODED).difference == sp.zeros(2)
    assert check("G = [0, 0]", HE2, ENCODED).verdict == "proved"
    # Theory section 9: R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4.
    found = check("dR = [-8*m, 81*eps^3/16 + 13*eps]", HE2, ENCODED)
    assert found.verdict == "refuted"
    assert found.reason.startswith("in its entry dR[eps]: ")
    assert found.counterexample is not None
    assert {eps} <= set(found.counterexample.point) <= {m, eps}
    assert check("dR = [-8*m, 81*eps^3/16 + 27*eps/2]", HE2, ENCODED).verdict == "proved"
    right = "[-R_m + m*(m*R_m + eps*R_eps), -R_eps + eps*(m*R_m + eps*R_eps)]"
    assert check(f"drift = {right}", HE2, ENCODED).verdict == "proved"
    latex = r"H = \begin{pmatrix} -8 & 0 \\ 0 & 27/2 \end{pmatrix}"
    assert check(latex, HE2, ENCODED, latex=True).verdict == "proved"


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"\kappa = 2", "kappa = 2"),
        (r"\lambda_{\min} < 0", "lambda_min < 0"),
        (r"\omega_{c} \approx 0.641", "omega_c ~ 0.641"),
    ],
)
def test_latex_names(latex: str, plain: str) -> None:
    left, right = parse_claim(latex, latex=True), parse_claim(plain)
    assert (left.quantity, left.relation, left.formula) == (right.quantity, right.relation, right.formula)


# ---- what is cut ---------------------------------------------------------------------------------


def test_a_drift_of_any_loss_needs_no_closed_form() -> None:
    # The arc-cosine kernel is an infinite series in m, cut: the printed update is refuted at m = 0, where it is exact.
    model = tied_network(1, RELU).with_encoding([[sp.Integer(1)]])
    printed = check("drift[m] = -R_m + m*R_m + eps*R_eps", target("relu(z1)"), model)
    assert printed.verdict == "refuted", printed.reason
    assert printed.counterexample is not None
    assert printed.counterexample.point[model.semantic] == 0
    right = check("drift[m] = -R_m + m*(m*R_m + eps*R_eps) - gamma/2*V*m", target("relu(z1)"), model)
    assert (right.verdict, right.difference) == ("proved", 0)


# ---- omega_c -------------------------------------------------------------------------------------


def test_a_crossing_of_polynomials_is_exact() -> None:
    # H_mm = -8 (1 - omega), H_eps,eps = C^T (C_2(phi^2) - 2 C_0(g) C_2(phi)) C: phi = (z1 + z2)^2/2, C = (1, 1),
    # phi^2 = u^4 of variance 1 each: d^2/d eps^2 of E (u + sqrt 2 eps)^4 = 24, and of E (u + sqrt 2 eps)^2 is 4.
    model = linear_attention(2).with_encoding([[sp.Integer(1), sp.Integer(1)]])
    mixed = target("(1 - omega)*(He(2,z1) + He(2,z2)) + omega*5")
    # 24 - 8*5 omega = -8 (1 - omega) at omega = 2/3.
    assert check("omega_c = 2/3", mixed, model).verdict == "proved"
    found = check("omega_c = 0.66", mixed, model)
    assert found.verdict == "refuted"
    assert found.counterexample is not None
    assert found.counterexample.ours.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("claim", "formula", "model", "said"),
    [
        ("omega_c = 1/2", "z1 + z2", ENCODED, "one free parameter"),
        ("omega_c = 1/2", "omega^2*z1 + z2", ENCODED, "affine in omega"),
        ("omega_c = 1/2", "omega*z1 + z2", linear_attention(2), "--encoding"),
        ("omega_c = q", "omega*z1 + z2", ENCODED, "reads q"),
        ("omega_c = 1/2", "omega*He(2,z1) - omega*He(2,z2)", ENCODED, "no omega_c"),
        ("kappa = 1/2", "z1", ENCODED, "integer"),
        ("escapes = sideways", "z1 + z2", ENCODED, "semantic, positional, mixed"),
        ("escapes < semantic", "z1 + z2", ENCODED, "no kind of escape"),
        ("loss = [1, 2]", "z1 + z2", ENCODED, "a list"),
        ("H[m,m] = [1, 2]", "z1 + z2", ENCODED, "without indices"),
        ("H = [1, 2]", "z1 + z2", ENCODED, "2 x 2"),
        ("H != [[1, 2], [2, 1]]", "z1 + z2", ENCODED, "a list"),
        ("C[1,0;2] = 1", "z1 + z2", ENCODED, "1 outputs"),
        ("C[1,0;x] = 1", "z1 + z2", ENCODED, "counted from 1"),
        ("C[1,0;0] = 1", "z1 + z2", ENCODED, "counted from 1"),
        ("C[1,0] = [1, 2, 3]", "z1 + z2", ENCODED, "one number"),
        ("H[m;1] = 1", "z1 + z2", ENCODED, "has the output"),
    ],
)
def test_what_is_refused(claim: str, formula: str, model: Model, said: str) -> None:
    with pytest.raises(FormulaError, match=said):
        check(claim, target(formula), model)


def test_what_else_is_refused() -> None:
    with pytest.raises(FormulaError, match="needs a model"):
        check("kappa = 1", HE2)
    with pytest.raises(FormulaError, match="untied"):
        check("escape = 1", HE2, untied_loss(HE2, parse_formula("u^2", variables="u")))
    with pytest.raises(FormulaError, match="unsquared norm"):
        check("loss = 1", HE2, ENCODED, conventions=Conventions(norm="frobenius"))
    with pytest.raises(FormulaError, match="norm convention"):
        Conventions(norm="nuclear")
    with pytest.raises(FormulaError, match="2 outputs"):
        check("C[2,0] = 0", PAIR)
    assert softmax_attention(2, "trace").reduction == "trace"
