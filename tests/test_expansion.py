"""Hermite expansions: coefficients, their evidence, and tables."""

from __future__ import annotations

import itertools

import pytest
import sympy as sp
from independent import coefficient_by_quadrature

from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import He, gelu, token
from sie_sym.hermite import sparse

Z1, Z2, Z3 = token(1), token(2), token(3)
SMOOTH = [
    sp.sin(Z1 + Z2 / 2),
    sp.exp(Z1 / 2) * Z2**2,
    sp.erf(Z1) * Z2 + Z1 * Z2,
    gelu(Z1 - Z2) + 1,
    He(3, Z1) * He(1, Z2) - (Z1 + Z2) ** 4,
]


@pytest.mark.parametrize("expression", SMOOTH, ids=str)
def test_coefficients_against_quadrature(expression: sp.Expr) -> None:
    expansion = HermiteExpansion.of((expression,), 2)
    for alpha in itertools.product(range(4), repeat=2):
        (found,) = expansion.coefficient(sparse(alpha))
        assert float(found.value) == pytest.approx(coefficient_by_quadrature(expression, alpha), abs=1e-9)
        assert found.evidence is Evidence.EXACT


def test_symmetry_is_the_reason_where_it_is_one() -> None:
    (found,) = HermiteExpansion.of((sp.sin(Z1) * Z2,), 2).coefficient(((1, 1),))
    assert found.value == 0
    assert "even under z -> -z" in found.reason


def test_vanishing_orders() -> None:
    expansion = HermiteExpansion.of((sp.sign(Z1 * Z2), He(4, Z1)), 2)
    assert [expansion.vanishes(k)[0] for k in range(5)] == [True, True, False, True, False]
    assert expansion.vanishes(3)[1] == "the function is even under z -> -z"
    assert HermiteExpansion.of((sp.sign(Z1 * Z2) * Z3,), 3).vanishes(1) == (
        True,
        "the function is odd in each of z1, z2, z3",
    )


def test_table_lists_what_is_not_zero() -> None:
    table = HermiteExpansion.of((He(2, Z1) * Z2 + 3, Z3), 3).table(3)
    assert table == {(): (3, 0), ((3, 1),): (0, 1), ((1, 2), (2, 1)): (2, 0)}
    assert list(table) == [(), ((3, 1),), ((1, 2), (2, 1))]


def test_the_table_rebuilds_a_polynomial() -> None:
    """sum_alpha C_alpha / alpha! He_alpha (Thm 3)."""
    h = (1 + Z1 - 2 * Z2) ** 3 * Z1
    rebuilt = sum(
        values[0] * sp.Mul(*(He(n, token(l)) / sp.factorial(n) for l, n in alpha))
        for alpha, values in HermiteExpansion.of((h,), 2).table(4).items()
    )
    assert sp.expand(rebuilt.expand(func=True) - h) == 0


def test_degree() -> None:
    assert HermiteExpansion.of((Z1**2, Z1 * Z2**3), 2).degree == 4
    assert HermiteExpansion.of((Z1**2, sp.sin(Z1)), 2).degree is None
    assert HermiteExpansion.of((), 2).degree == 0


def test_conditions_of_parameters() -> None:
    w = sp.Symbol("w", real=True)
    expansion = HermiteExpansion.of((sp.exp(w * Z1**2),), 1)
    assert set(expansion.conditions) == {1 - 2 * w, 1 - 4 * w}
    with pytest.raises(DomainError, match="not square-integrable"):
        HermiteExpansion.of((Z1, sp.exp(Z1**2 * sp.Rational(2, 5))), 1)


def test_a_shift_adds_to_the_argument() -> None:
    """h(z + e) = exp((z1 + 1/2)/3) z2^2: E exp(Z/3) Z = exp(1/18)/3 and exp(1/6 + 1/18) = exp(2/9)."""
    expansion = HermiteExpansion.of((sp.exp(Z1 / 3) * Z2**2,), 2, {1: sp.Rational(1, 2)})
    assert expansion.coefficient(((1, 1),))[0].value == sp.exp(sp.Rational(2, 9)) / 3
    assert sp.expand(expansion.functions[0].subs({Z1: 1, Z2: 2}) - 4 * sp.exp(sp.Rational(1, 2))) == 0


def test_reasons_tell_closed_forms_from_integrals() -> None:
    closed, integral, forbidden = HermiteExpansion.of((sp.erf(Z1), sp.tanh(Z1), sp.cos(Z1)), 1).coefficient(((1, 1),))
    assert (closed.evidence, closed.reason) == (Evidence.EXACT, "closed form")
    assert (integral.evidence, integral.reason) == (Evidence.ENCLOSED, "a Gaussian integral")
    assert (forbidden.value, forbidden.evidence) == (0, Evidence.EXACT)


def test_reasons_of_vanishing_orders() -> None:
    """He_4(z1) + z2 has the orders 1 and 4 only, and no symmetry."""
    expansion = HermiteExpansion.of((He(4, Z1) + Z2,), 2)
    zero, some = (True, "every coefficient is exactly zero"), (False, "a coefficient is not zero")
    assert [expansion.vanishes(k) for k in range(6)] == [zero, some, zero, zero, some, zero]
    both = HermiteExpansion.of((sp.cos(Z1), He(4, Z1) + Z2, sp.cos(Z2)), 2)
    assert both.vanishes(3) == (True, "the function is even under z -> -z; every coefficient is exactly zero")


def test_what_three_coupled_tokens_leave_open_is_not_called_zero() -> None:
    """log(1 + (z1 z2 z3)^2) has positive mean and C_(2,0,0), but no enclosure reaches three tokens."""
    hard = sp.log(1 + (Z1 * Z2 * Z3) ** 2)
    undecided = (None, "a coefficient could be proved neither zero nor non-zero")
    expansion = HermiteExpansion.of((hard,), 3)
    assert [expansion.vanishes(k)[0] for k in range(4)] == [None, True, None, True]
    assert expansion.vanishes(2) == undecided
    # The open component decides over those that vanish, and a proved non-zero over it, in either order.
    for functions in ((hard, He(4, Z1)), (He(4, Z1), hard)):
        assert HermiteExpansion.of(functions, 3).vanishes(2) == undecided
    for functions in ((hard, Z1**2), (Z1**2, hard)):
        assert HermiteExpansion.of(functions, 3).vanishes(2)[0] is False
    assert HermiteExpansion.of((hard,), 3).coefficient(((1, 2),))[0].evidence is Evidence.NUMERICAL


def test_table_ends_at_its_order_and_goes_by_order_then_token() -> None:
    """z1^2 z2 - 3 z2 + z2^3 = He_2(z1) He_1(z2) + He_3(z2) + z2."""
    h = Z1**2 * Z2 - 3 * Z2 + Z2**3
    rows = [(((2, 1),), (1,)), (((1, 2), (2, 1)), (2,)), (((2, 3),), (6,))]
    assert list(HermiteExpansion.of((h,), 2).table(3).items()) == rows
    assert list(HermiteExpansion.of((h,), 2).table(2).items()) == rows[:1]
    assert list(HermiteExpansion.of((Z3 + Z1 + Z2,), 3).table(1)) == [((1, 1),), ((2, 1),), ((3, 1),)]
