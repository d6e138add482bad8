"""The transitions as expressions: against the tables, against theory section 9, against integrals in balls."""

import numpy as np
import pytest
import sympy as sp

from sie_sym.functions import sigmoid, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.losses.loss_family import positional_semantic_loss
from sie_sym.phase_diagram import phase_boundaries
from sie_sym.phase_formulas import OMEGA, SCALE, boundary_formulas, trapping_scale
from sie_sym.quadratures.measure import measure

NAMES = ("dynamics", "semantic_minimum", "positional_minimum", "global_minimum")


@pytest.mark.parametrize("name", NAMES)
def test_formulas_agree_with_the_landscape(name):
    # the formulas use exact values (E S_11 = 1 - sqrt2/4, ...) where the landscape integrates numerically
    formula = boundary_formulas()[name]
    for a in (0.77, 0.83, 1.0, 1.3):
        assert formula.value(a) == pytest.approx(getattr(phase_boundaries(a), name).value, abs=1e-11)
    assert isinstance(formula.condition, sp.Gt)
    assert formula.condition.lhs.has(OMEGA)
    assert sp.cancel(formula.condition.lhs.subs(OMEGA, formula.solution)) == 0
    assert formula.latex.startswith(r"\omega = \frac{")
    assert all(sp.latex(c.symbol) in formula.latex and c.definition in formula.latex for c in formula.constants)
    assert formula.solution.free_symbols == {SCALE} | {c.symbol for c in formula.constants}


def test_dynamics_formula_is_the_one_of_the_theory():
    alpha, kappa = sp.symbols("alpha kappa", real=True)
    p = sp.Symbol("p")
    solution = boundary_formulas()["dynamics"].solution
    (sigmoid_value,) = [f for f in solution.atoms(sp.Function) if f.free_symbols == {SCALE}]
    b = sp.sqrt(2) * (p - 1 + sp.sqrt(2) / 4)
    assert sp.simplify(solution.subs(sigmoid_value, p) - (alpha + kappa) / (kappa + b)) == 0


def test_trapping_scale():
    # theory section 10.4: at omega = 1 the Hessian has no negative eigenvalue for a below about 0.7244
    a = float(trapping_scale())
    assert a == pytest.approx(0.7244, abs=5e-5)
    for shift in (-1e-4, 1e-4):
        eigenvalues = np.linalg.eigvalsh(positional_semantic_loss(1.0, a + shift).hessian(0.0, 0.0))
        assert (eigenvalues[0] < -1e-6) == (shift > 0)


@pytest.mark.slow
def test_constants_are_those_of_ball_arithmetic():
    # rows of softmax: |s|^2 = 2 S_11^2 + 2 (1 - S_11)^2 on average, and S_11(. + c) is even as a pair of tokens
    x, y = token(1), token(2)
    here, there = sigmoid(x * (x - y)), sigmoid((x + 1) * (x - y + 2))
    slope = here * (1 - here)
    E = GaussianExpectation
    c20 = sp.sqrt(2) / 8
    c11 = E(here, {}, {1: 1, 2: 1})
    expected = {
        "n_1": 4 * E(there**2) - 4 * E(there) + 2,
        "n_1'": 4 * E(there**2 * (x - y)) - 4 * E(there * (x - y)),
        "f_1'": E(there * (x - y)),
        "J": 2 * E((2 * here - 1) * slope * ((1 - 2 * here) * (3 * x - y) ** 2 + 4)),
        "kappa": 8 * (c20**2 / 2 + (c20 + 2 * c11) ** 2 / 2 + c11**2),
    }
    known = {str(c.symbol): c for formula in boundary_formulas().values() for c in formula.constants}
    for name, expression in expected.items():
        found = measure(expression)
        assert found.error < 1e-8, name  # enclosed
        assert abs(known[name].value - found.value) <= known[name].error, name
        assert known[name].error < 2e-11
