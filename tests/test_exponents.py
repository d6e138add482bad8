"""Information exponents: the worked examples of theory section 3, proofs of zero, strata."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import coefficient_by_quadrature

from sie_sym import exponents
from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.evidence import Evidence
from sie_sym.exponents import InformationExponent, information_exponent, sample_complexity
from sie_sym.functions import TOKENS, He, relu, sigmoid, token
from sie_sym.hermite import dense
from sie_sym.target import Target

Z1, Z2, Z3, Z4 = (token(l) for l in range(1, 5))
INDEX = sp.Symbol("l", integer=True)
ZL = TOKENS[INDEX]
W, A, B = sp.symbols("w a b", real=True)
HALF = sp.Rational(1, 2)
STEP = sp.Heaviside(Z1 - HALF)
STEP_MEAN = (1 - sp.erf(HALF / sp.sqrt(2))) / 2
STEP_SLOPE = sp.exp(-sp.Rational(1, 8)) / sp.sqrt(2 * sp.pi)


def exponent_of(expression: sp.Expr | sp.Matrix, tokens: int | None = None) -> InformationExponent:
    return information_exponent(Target.of(expression, tokens))


EXAMPLES = {
    # theory.md section 3 and the paper's figures
    "sum": (Z1 + Z2, 1),
    "product": (Z1 * Z2, 2),
    "figure-2": (sp.Rational(4, 3) + He(4, Z1) + 2 * He(4, Z2), 4),
    "definition-2": (He(1, Z1) * He(4, Z2) + He(2, Z3) * He(2, Z4), 4),
    "staircase": (Z1 + Z1 * Z2 + Z1 * Z2 * Z3, 1),
    "difference": (Z1 - Z2, 1),
    "squares": (Z1**2 - Z2**2, 2),
    "signs": (sp.sign(Z1 * Z2 * Z3), 3),
    # cancelled low orders: the coefficients are known in closed form
    "abs": (sp.Abs(Z1) - sp.sqrt(2 / sp.pi) / 2 * (Z1**2 - 1), 4),
    "relu": (relu(Z1) - Z1 / 2 - (Z1**2 - 1) / (2 * sp.sqrt(2 * sp.pi)), 4),
    "cube": ((Z1 + Z2) ** 3 - 6 * (Z1 + Z2), 3),
    "sines": (sp.sin(Z1) * sp.sin(Z2) * Z3, 3),
    "step": (STEP - STEP_MEAN - STEP_SLOPE * Z1, 2),
    "radicals": ((sp.sqrt(6) - sp.sqrt(2) * sp.sqrt(3)) * Z1 + He(2, Z1), 2),
    # structure that must not be expanded
    "thousand": (sp.Sum(He(4, ZL), (INDEX, 1, 1000)), 4),
    "staircase-40": (Z1 * sp.Product(1 + ZL, (INDEX, 2, 40)), 1),
    "power": (sp.Sum(ZL, (INDEX, 1, 12)) ** 8, 2),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_proved(name: str) -> None:
    expression, exponent = EXAMPLES[name]
    found = exponent_of(expression)
    assert (found.exponent, found.evidence) == (exponent, Evidence.EXACT)
    assert len(found.reasons) == exponent
    assert found.reasons[-1] == f"order {exponent}: not zero"


@pytest.mark.parametrize("powers", [(1,), (3,), (1, 4), (2, 2), (1, 1, 1), (3, 1, 2)])
def test_products_of_hermite_polynomials_add_up(powers: tuple[int, ...]) -> None:
    """Theory section 3: prod_l He_{k_l}(z_l) has SIE sum k_l."""
    product = sp.Mul(*(He(k, token(l)) for l, k in enumerate(powers, start=1)))
    found = exponent_of(product)
    assert found.exponent == sum(powers)
    (tensor,) = found.leading_tensors()
    # Its only entry is prod k_l!, as <He_j, He_k> = k! delta_jk.
    assert list(tensor.values()) == [math.prod(map(math.factorial, powers))]


@pytest.mark.parametrize("name", ["abs", "step"])
def test_quadrature_thresholds_are_no_proofs(name: str) -> None:
    """Theory section 10, item 7: Gauss-Hermite rules see coefficients that are not there."""
    expression, exponent = EXAMPLES[name]
    order, nodes, phantom = {"abs": (2, 17, 0.041), "step": (1, 100, -0.0235)}[name]
    seen = coefficient_by_quadrature(expression, [order], nodes)
    assert seen == pytest.approx(phantom, abs=5e-4)
    assert order < exponent
    assert exponent_of(expression).exponent == exponent


def test_vector_targets_take_the_minimum() -> None:
    assert exponent_of(sp.Matrix([He(3, Z1), He(2, Z1) * Z2, sp.Integer(1)])).exponent == 3
    assert exponent_of(sp.Matrix([[He(3, Z1), sp.sign(Z2)], [1, 2]])).exponent == 1


@pytest.mark.parametrize("expression", [sp.Integer(2), sp.sqrt(2) * W, sp.sin(Z1) ** 2 + sp.cos(Z1) ** 2, Z1 - Z1 + 1])
def test_constants_have_no_exponent(expression: sp.Expr) -> None:
    found = exponent_of(expression)
    assert (found.exponent, found.evidence, found.samples) == (None, Evidence.EXACT, None)
    assert found.leading_tensors() == ()
    assert "constant" in found.reasons[-1]


@pytest.mark.parametrize("expression", [sp.exp(Z1**2 / 3), sp.exp(Z1**2), sp.exp(Z1 * Z2 / 2) * Z1])
def test_not_square_integrable(expression: sp.Expr) -> None:
    with pytest.raises(DomainError, match="Gaussian measure"):
        exponent_of(expression)


def test_growth_that_nothing_bounds() -> None:
    with pytest.raises(NoClosedForm):
        exponent_of(sp.exp(sp.exp(Z1)))


@pytest.mark.parametrize(
    ("expression", "exponent"),
    [
        (sp.tanh(Z1) * Z2, 2),
        (sigmoid(Z1 * (Z1 - Z2)), 2),  # an entry of softmax attention: even, C_(2,0) = sqrt(2)/8 (theory section 9)
        (sp.log(1 + sigmoid(Z1) * Z2**2), 1),
    ],
)
def test_functions_without_a_closed_form(expression: sp.Expr, exponent: int) -> None:
    """Zeros by symmetry, the first non-zero by an enclosure."""
    assert exponent_of(expression).exponent == exponent


def test_sample_complexity_follows_the_theorem() -> None:
    """Thm 1."""
    assert [sample_complexity(s).proved for s in (1, 2, 3, 5)] == ["d", "d log(d)^2", "d^2", "d^4"]
    assert sample_complexity(2).sharp == "d log(d)"
    assert exponent_of(Z1).samples == sample_complexity(1)


def strata_of(expression: sp.Expr) -> list[tuple[int | None, str]]:
    return [(stratum.exponent, stratum.when) for stratum in exponent_of(expression).strata]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ((1 - W) * He(2, Z1) + W * He(4, Z1), [(2, "w != 1"), (4, "w = 1")]),
        (sp.sign(Z1 - W), [(1, "always")]),
        ((W**2 + 1) * Z1, [(1, "always")]),
        ((W**4 + 1) * Z1, [(1, "always")]),
        (A * Z1 + B * Z2 + He(2, Z3), [(1, "not (a = 0, b = 0)"), (2, "a = 0, b = 0")]),
        (
            (A - B) * He(2, Z1) + (A * B - 1) * He(3, Z2) + He(5, Z1),
            [(2, "a != b"), (3, "a = b and b != -1 and b != 1"), (5, "a = b and b = -1"), (5, "a = b and b = 1")],
        ),
        (
            (W**2 - sp.pi) * Z1 + He(2, Z1),
            [(1, "w != -sqrt(pi) and w != sqrt(pi)"), (2, "w = -sqrt(pi)"), (2, "w = sqrt(pi)")],
        ),
        ((W**2 - 2) * Z1 + (W - sp.sqrt(2)) * Z2 + W * He(3, Z1), [(1, "w != sqrt(2)"), (3, "w = sqrt(2)")]),
        ((A * B - 1) * Z1 + (A + B) * Z2 + He(3, Z1), [(1, "always")]),  # a = -b and a b = 1: no real solution
        (sp.sin(A * Z1), [(1, "a != 0"), (None, "a = 0")]),
    ],
)
def test_strata(expression: sp.Expr, expected: list[tuple[int | None, str]]) -> None:
    assert strata_of(expression) == expected


@pytest.mark.parametrize("equation", [W**5 - W - 1, W**3 + W + 1, W**3 - 3 * W + 1, sp.sin(W), sp.exp(W) - 2], ids=str)
def test_unsolved_strata_say_so(equation: sp.Expr) -> None:
    """A quintic has a real root that no radicals give; complex roots are no parameter values."""
    generic, special = exponent_of(equation * Z1 + He(3, Z1)).strata
    assert (generic.exponent, generic.when) == (1, f"not ({equation} = 0)")
    assert (special.exponent, special.when, special.note) == (None, f"{equation} = 0", "above 1, not resolved")


def test_an_unsolved_factor_does_not_hide_the_others() -> None:
    found = exponent_of(B * (A**5 - A - 1) * Z1 + He(2, Z1)).strata
    assert [(s.exponent, s.when) for s in found[1:]] == [(2, "b = 0"), (None, "a**5 - a - 1 = 0")]


def test_a_pole_of_a_solution_is_looked_at() -> None:
    """a b - c a - b = 0 is a = b/(b - c) only where b != c; there b = 0 is left."""
    c = sp.Symbol("c", real=True)
    found = exponent_of((A * B - c * A - B) * Z1 + He(2, Z1)).strata
    assert (2, "b = 0, c = 0") in [(s.exponent, s.when) for s in found]


@settings(max_examples=30)
@given(st.lists(st.integers(-2, 2), min_size=2, max_size=2), st.integers(-2, 2))
def test_strata_hold_at_their_points(roots: list[int], value: int) -> None:
    """The stratum of a parameter value gives the exponent of the target at that value."""
    family = (W - roots[0]) * Z1 + (W - roots[0]) * (W - roots[1]) * He(2, Z2) + He(3, Z1)
    strata = exponent_of(family).strata
    special = {s.when: s.exponent for s in strata[1:]}
    expected = special.get(f"w = {value}", strata[0].exponent)
    assert exponent_of(family.subs(W, value)).exponent == expected


SUMMANDS = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any), st.integers(1, 3)),
    min_size=1,
    max_size=4,
    unique_by=lambda item: tuple(item[0]),
)


@settings(max_examples=40)
@given(SUMMANDS, st.permutations([1, 2, 3]), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_exponent_of_sums_and_its_invariances(
    summands: list[tuple[list[int], int]], order: list[int], signs: tuple[int, int, int]
) -> None:
    """The lowest degree of a Hermite sum, whatever the order and the signs of the tokens."""

    def target(place: list[sp.Expr]) -> sp.Expr:
        return sp.Add(*(c * sp.Mul(*(He(k, z) for k, z in zip(p, place, strict=True))) for p, c in summands))

    expected = min(sum(powers) for powers, _ in summands)
    plain = [token(l) for l in (1, 2, 3)]
    moved = [s * token(l) for l, s in zip(order, signs, strict=True)]
    assert exponent_of(target(plain), 3).exponent == expected
    assert exponent_of(target(moved), 3).exponent == expected


NONPOLYNOMIAL = [
    sp.sign(Z1) * sp.Abs(Z2) + sp.cos(Z3),
    relu(Z1 + Z2) * Z3 - Z3 / sp.sqrt(sp.pi),
    sp.erf(Z1) * sp.sin(Z2 - Z3),
    sp.exp(Z1 / 2) * sp.Heaviside(Z2) + Z3**2,
]


@pytest.mark.parametrize("expression", NONPOLYNOMIAL, ids=str)
def test_invariances_without_polynomials(expression: sp.Expr) -> None:
    exponent = exponent_of(expression).exponent
    swapped = expression.xreplace({Z1: Z3, Z3: Z1})
    flipped = expression.subs({Z1: -Z1, Z2: -Z2}, simultaneous=True)
    assert exponent_of(swapped).exponent == exponent_of(flipped).exponent == exponent


def test_leading_tensor_against_quadrature() -> None:
    smooth = sp.sin(Z1) * sp.exp(Z2 / 3) - sp.exp(-sp.Rational(4, 9)) * Z1
    found = exponent_of(smooth)
    (tensor,) = found.leading_tensors()
    assert found.exponent == 2
    for alpha, value in tensor.items():
        assert float(value) == pytest.approx(coefficient_by_quadrature(smooth, dense(alpha, 2)), abs=1e-10)
    assert np.isclose(coefficient_by_quadrature(smooth, [1, 0]), 0, atol=1e-10)


# ---- what rests on numbers: three coupled tokens, which no enclosure reaches ----------------------


def thrice(u: sp.Expr) -> sp.Expr:
    """(d_1 - z_1)^3 u, of transform (-t_1)^3 G u: its lowest coefficient is C_(3,0,0) = -6 E u, and no rule says so."""
    for _ in range(3):
        u = sp.diff(u, Z1) - Z1 * u
    return u


def test_a_measured_coefficient_is_named() -> None:
    """E cos(z1 z2 z3) He_2(z1) = -E q^2 exp(-q^2/2) with q = z2 z3, which is -E Z^2 (1 + Z^2)^(-3/2)."""
    wave = sp.cos(Z1 * Z2 * Z3)
    found = exponent_of(wave)
    assert (found.exponent, found.evidence) == (2, Evidence.NUMERICAL)
    prefix = "order 2: not zero numerically, C_[2, 0, 0] = "
    assert found.reasons[1].startswith(prefix)
    value, error = map(float, found.reasons[1].removeprefix(prefix).split(" +- "))
    expected = -coefficient_by_quadrature(Z1**2 * (1 + Z1**2) ** sp.Rational(-3, 2), [0], 200)
    assert value == pytest.approx(expected, abs=1e-6)
    assert 0 < error < 1e-6
    # a long index is written sparsely
    assert "C_[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] = " in exponent_of(wave, 12).reasons[1]
    assert "C_{1: 2} = " in exponent_of(wave, 13).reasons[1]


def test_measured_zeros_are_passed_but_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """E cos(z1 z2 z3) = E exp(-z1^2 z2^2/2) = E (1 + Z^2)^(-1/2), so C_(3,0,0) = -4.7378."""
    target = thrice(sp.cos(Z1 * Z2 * Z3))
    monkeypatch.setattr(exponents, "_MEASURED_ZEROS", 1)
    found = exponent_of(target)
    assert (found.exponent, found.evidence) == (3, Evidence.NUMERICAL)
    assert found.reasons[0].startswith("order 1: zero numerically, every coefficient within its error, at most ")
    assert 0 < float(found.reasons[0].rsplit(" ", 1)[1]) < 1e-6
    assert found.reasons[1].startswith("order 2: zero, ")
    mean = coefficient_by_quadrature(1 / sp.sqrt(1 + Z1**2), [0], 200)
    assert float(found.reasons[2].split(" = ")[1].split(" ")[0]) == pytest.approx(-6 * mean, abs=1e-5)
    # A non-zero that algebra proves stays `numerical` where a lower order was only measured.
    proved = exponent_of(target + He(2, Z1))
    assert (proved.exponent, proved.evidence) == (2, Evidence.NUMERICAL)
    monkeypatch.setattr(exponents, "_MEASURED_ZEROS", 0)
    found = exponent_of(target)
    assert (found.exponent, found.evidence, len(found.reasons)) == (None, Evidence.UNDECIDED, 1)


def test_what_cannot_be_measured_is_undecided() -> None:
    """With a parameter free there is no number to measure."""
    found = exponent_of(sp.tanh(A * Z1 * Z2 * Z3))
    assert (found.exponent, found.evidence) == (None, Evidence.UNDECIDED)
    assert found.reasons[-1] == "order 3: a coefficient could be proved neither zero nor non-zero"
    assert found.strata == ()


def test_the_orders_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A polynomial up to its degree, whatever that is; the rest up to `MAX_ORDER`."""
    assert exponent_of(He(70, Z1)).exponent == 70
    assert exponent_of(sp.Integer(2)).reasons == ("the target is constant: no order is non-zero, there is no exponent",)
    signs = sp.sign(Z1 * Z2 * Z3)
    monkeypatch.setattr(exponents, "MAX_ORDER", 3)
    assert exponent_of(signs).exponent == 3
    monkeypatch.setattr(exponents, "MAX_ORDER", 2)
    found = exponent_of(signs)
    assert (found.exponent, found.evidence, len(found.reasons)) == (None, Evidence.UNDECIDED, 3)
    assert found.reasons[-1] == "all orders up to 2 vanish; the target is not seen to be constant"


def test_evidence_of_the_first_non_zero() -> None:
    """One component with algebra is enough; integrals alone are enclosed."""
    integral, algebra = sp.tanh(Z1), He(1, Z2)
    assert exponent_of(sp.Matrix([integral, algebra])).evidence is Evidence.EXACT
    assert exponent_of(sp.Matrix([integral, He(2, Z2)])).evidence is Evidence.ENCLOSED
    assert exponent_of(sp.Matrix([He(2, Z2), integral])).evidence is Evidence.ENCLOSED


def test_families_whose_zeros_need_a_second_look() -> None:
    """w^4 - w + 1 >= 1 - 3/4^(4/3) > 0 has no real zero; sqrt(a) and a vanish together; so do all powers."""
    assert strata_of((W**4 - W + 1) * Z1 + He(2, Z1)) == [(1, "always")]
    for power in (sp.sqrt(A), A**3, A ** sp.Rational(7, 3)):
        assert strata_of(power * Z1 + He(2, Z1)) == [(1, "a != 0"), (2, "a = 0")]
    assert strata_of(Z1 / (A - 1) ** 3 + He(2, Z1)) == [(1, "always")]


def test_strata_note_why_there_is_no_exponent() -> None:
    _, at_zero = exponent_of(sp.sin(A * Z1)).strata
    assert at_zero.note == "the target is constant: no order is non-zero, there is no exponent"
    assert [stratum.note for stratum in exponent_of(A * Z1 + He(2, Z1)).strata] == ["", ""]
