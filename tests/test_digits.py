"""Numbers as texts: no digit that their error does not leave."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sie_sym.audit import check
from sie_sym.cli import main
from sie_sym.digits import decimal, known_digits, outwards, plus_minus, shown, with_error
from sie_sym.gain import gain
from sie_sym.latex import latex
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.parse import parse_formula
from sie_sym.target import Target
from sie_sym.weierstrass import weierstrass_transform

# E z tanh(z), z standard normal, by mpmath.quad of tanh(z) z exp(-z^2/2)/sqrt(2 pi)
TANH = "0.60570550960215882558"
magnitudes = st.floats(1e-200, 1e200)


@given(magnitudes, st.floats(1e-20, 10))
def test_value_and_error_cover_the_true_interval(value: float, share: float) -> None:
    error = max(value * share, 1e-250)
    centre, radius = map(Fraction, plus_minus(value, error).split(" +- "))
    assert centre - radius <= Fraction(value) - Fraction(error)
    assert centre + radius >= Fraction(value) + Fraction(error)


@given(magnitudes, st.floats(1e-13, 0.1))
def test_the_last_digit_known_is_right_up_to_one_unit(value: float, share: float) -> None:
    digits = known_digits(value, value * share)
    unit = Fraction(10) ** (int(f"{value:e}".partition("e")[2]) + 1 - digits)
    # logarithms and products are rounded: a power of ten is met up to that
    assert Fraction(value * share) <= unit * (1 + Fraction(1, 10**9)) or digits == 12


@given(st.floats(-1e9, 1e9, allow_subnormal=False), st.floats(0, 1e9, allow_subnormal=False))
def test_intervals_are_rounded_outwards(lower: float, width: float) -> None:
    low, high = map(Fraction, outwards(lower, lower + width))
    assert low <= Fraction(lower)
    assert high >= Fraction(lower + width)


def test_an_error_is_shown_unless_ten_digits_are_known() -> None:
    assert with_error(2 / 3, 1e-16) == "0.6666666667"
    assert with_error(2 / 3, 1e-9) == "0.6666666667 +- 1.1e-09"
    assert (with_error(0.0, 0.0), with_error(float("inf"), 1.0)) == ("0", "inf")
    assert plus_minus(float("inf"), 1.0) == "inf +- 1.0"


@pytest.mark.parametrize("claim", ["C[1] = 0.6057", "C[1] > 0.6058", "C[1] ~ 0.7"])
def test_enclosed_values_are_printed_with_their_radius(claim: str) -> None:
    found = check(claim, Target.of(parse_formula("tanh(z1)")))
    said = found.routes[0].said
    # A finer ball of the same integral may be known from before: then ten digits are all known, and no radius is shown.
    value, _, radius = said.partition(" +- ")
    assert abs(Fraction(value) - Fraction(TANH)) <= Fraction(radius or "5.1e-11") < Fraction("1e-8")
    assert all(f"ours is {said}" in route.said for route in found.routes[1:])
    assert said in found.reason


def test_sides_that_need_it_are_enclosed_finely() -> None:
    example = check("C[1] = 0.605705509607", Target.of(parse_formula("tanh(z1)"))).counterexample
    assert example is not None
    assert abs(example.ours.value - example.claimed.value) > example.ours.error + example.claimed.error


def test_a_gain_known_by_an_interval_is_rounded_outwards() -> None:
    # no orthogonal decomposition: the norm is an interval, here narrower than ten digits tell
    found = gain(
        Target.of(parse_formula("z1^2*z2 - z2 + z1*z2*z3 + 2*He(3,z1)")), ACTIVATION_VARIABLE**3 + ACTIVATION_VARIABLE
    )
    bounds = found.operator_norm.bounds
    low, high = outwards(*bounds)
    assert Fraction(low) <= Fraction(bounds[0]) <= Fraction(bounds[1]) <= Fraction(high)
    assert low != high
    result = CliRunner().invoke(main, ["gain", "--activation", "u^3+u", "-g", str(found.target.components[0])])
    assert f"between {low} and {high}  (odeco" in result.stdout
    assert rf"\in [{low}, {high}]" in latex(found)


def test_a_cancelled_coefficient_is_shown_with_its_error() -> None:
    # the difference, 1.6e-13, is near the rounding of the grids
    target = Target.of(parse_formula("tanh(z1) - 0.605705509602*z1"))
    value = weierstrass_transform(target.components[0]).coefficient(((1, 1),))
    centre, error = map(Fraction, shown(value).split(" +- "))
    assert abs(centre - (Fraction(TANH) - Fraction("0.605705509602"))) <= error
    assert shown(sp.Rational(1, 10**13)) == "1/10000000000000"
    assert decimal(2.0, 1e-13) == "2.00000000000"
