"""The gain of tied over untied networks: the statements of theory section 7, and the bounds that no target breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sie_sym.errors import NoClosedForm, SieSymError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.functions import TOKENS, He, relu, token
from sie_sym.gain import Gain, activation_coefficient, gain
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.target import Target
from sie_sym.tensors.leading_tensor import LeadingTensor
from sie_sym.tensors.operator_norm import operator_norm
from sie_sym.weierstrass import weierstrass_transform

z1, z2, z3, z4 = (token(l) for l in range(1, 5))
l = sp.Symbol("l", integer=True)
u = ACTIVATION_VARIABLE


def he(k: int, tokens: int) -> sp.Expr:
    return sp.Sum(He(k, TOKENS[l]), (l, 1, tokens))


def mean(tokens: int) -> sp.Expr:
    return sp.Sum(TOKENS[l], (l, 1, tokens)) / sp.sqrt(tokens)


def values(found: Gain) -> tuple[sp.Expr | None, ...]:
    gains = (found.gain_equal_rate, found.gain_optimal_rate, found.gain_stability_limit)
    return tuple(None if g is None else g.value for g in gains)


@pytest.mark.parametrize("tokens", [1, 2, 10, 1000])
def test_sum_of_he2(tokens: int) -> None:
    # theory section 7: C_2 = 2 I, rho = L (Fig. 7), L^2 with gamma ~ 1/t (Fig. 3).
    found = gain(Target.of(he(2, tokens)), relu(u))
    assert (found.sie, found.contraction, found.operator_norm.value, found.odeco) == (2, 2 * tokens, 2, True)
    assert values(found) == (tokens, tokens**2, tokens)
    assert (found.visible, found.tied_escapes, found.untied_escapes, found.tied_exponent) == (True, True, True, 2)
    assert (found.largest_possible, found.parameter_counting) == (tokens**2, tokens)
    assert found.evidence is Evidence.EXACT


@pytest.mark.parametrize("tokens", [2, 200])
def test_normalised_sum(tokens: int) -> None:
    # theory section 7: rho = L (Fig. 8), sqrt(L) of which is the factor for s = 1.
    found = gain(Target.of(mean(tokens)), relu(u))
    assert (found.sie, found.operator_norm.value) == (1, 1)
    assert sp.expand(found.contraction - sp.sqrt(tokens)) == 0
    assert values(found) == (tokens, tokens**2, tokens)


@pytest.mark.parametrize("target", [z1 - z2, (z1**2 - z2**2) / sp.sqrt(2), sp.erf(z1) - sp.erf(z2)])
def test_what_a_tied_network_never_sees(target: sp.Expr) -> None:
    # theory section 7 and Fig. 11: S_s = 0, gain 0; no other order is visible either.
    found = gain(Target.of(target), relu(u))
    assert (found.contraction, found.visible, found.tied_exponent) == (0, False, None)
    assert (found.tied_escapes, found.untied_escapes) == (False, True)
    assert values(found) == (0, 0, 0)
    assert "S_" in found.reason


def test_a_later_order_may_be_visible() -> None:
    found = gain(Target.of(z1 - z2 + He(2, z3)), relu(u))
    assert (found.sie, found.visible, found.tied_exponent) == (1, False, 2)


def test_an_activation_without_the_order_shows_it_to_nobody() -> None:
    # relu has no odd coefficient beyond the first: c_3 = 0.
    found = gain(Target.of(z1 * z2 * z3), relu(u))
    assert (found.activation_coefficient, found.visible, found.untied_escapes) == (0, False, False)
    assert values(found) == (None, None, None)
    assert "c_3 = 0" in found.reason


def test_even_order_of_the_wrong_sign_is_seen_and_does_not_escape() -> None:
    # C_2 = diag(2, -4), c_2 > 0: S_2 = -2 pulls m to 0, while token 1 alone grows.
    found = gain(Target.of(z1**2 - 2 * z2**2), relu(u))
    assert (found.visible, found.tied_escapes, found.untied_escapes) == (True, False, True)
    assert (found.rho.value, *values(found)) == (sp.Rational(1, 2), 0, 0, 0)
    assert "does not escape; the untied one escapes" in found.reason
    neither = gain(Target.of(-(z1**2)), u**2)
    assert (neither.tied_escapes, neither.untied_escapes, values(neither)) == (False, False, (None, None, None))
    # The other sign of sigma turns it round.
    assert gain(Target.of(-(z1**2)), -(u**2)).tied_escapes is True


def test_the_untied_network_leaves_along_a_direction_of_the_right_sign() -> None:
    # C_2 = diag(4, 4, -6), S = 2: the norm is 6, but only eigenvalue 4 grows.
    found = gain(Target.of(2 * z1**2 + 2 * z2**2 - 3 * z3**2), relu(u))
    assert (found.operator_norm.value, found.rho.value) == (6, sp.Rational(1, 3))
    assert values(found) == (sp.Rational(1, 2), sp.Rational(1, 4), sp.Rational(1, 12))


@pytest.mark.parametrize("s", [1, 2, 3, 4])
def test_a_ridge_along_all_tokens_reaches_the_largest_gain(s: int) -> None:
    # S_s = L^{s/2} |C|: theory section 7, 0 <= gain <= L^{s v 2}.
    found = gain(Target.of(He(s, mean(200))), sp.exp(u))
    assert found.gain_optimal_rate is not None
    assert found.gain_optimal_rate.value == found.largest_possible == 200 ** max(s, 2)
    assert found.parameter_counting == 200 ** max(s - 1, 1)


@given(st.lists(st.integers(-2, 2), min_size=6, max_size=6), st.sampled_from([1, 2, 3]))
@settings(max_examples=30)
def test_no_gain_beyond_the_bound(numbers: list[int], s: int) -> None:
    monomials = {1: [z1, z2, z3], 2: [z1 * z2, He(2, z1), z2 * z3, He(2, z3), z1 * z3], 3: [z1 * z2 * z3, He(3, z1)]}
    target = sum((n * part for n, part in zip(numbers, monomials[s], strict=False)), sp.Integer(0))
    if target == 0:
        return
    found = gain(Target.of(target, 3), sp.exp(u))
    assert found.sie == s
    low, high = found.rho.bounds
    assert -1e-300 <= low <= high
    assert high**2 <= found.largest_possible * (1 + 1e-6)


def test_a_tensor_that_is_not_odeco_has_a_certified_interval() -> None:
    found = gain(Target.of(z1**3 - 3 * z1 + z1 * z2 * z3 + z2 * z3 * z4), sp.exp(u))
    assert (found.odeco, found.operator_norm.value, found.evidence) == (False, None, Evidence.ENCLOSED)
    low, high = found.rho.bounds
    # S_3 = 6 + 6 + 6; the norm by the search of test_operator_norm.
    assert low <= 18 / found.operator_norm.bounds[0] <= high * (1 + 1e-9)
    assert high - low < 1e-6


def test_scalar_targets_with_an_exponent_only() -> None:
    with pytest.raises(SieSymError, match="2 outputs"):
        gain(Target.of(sp.Matrix([z1, z2])), relu(u))
    with pytest.raises(SieSymError, match="no proved information exponent"):
        gain(Target.of(sp.Integer(3)), relu(u))


def test_parameters() -> None:
    a = sp.Symbol("a", real=True)
    odd = gain(Target.of(a * z1 + z2), u + u**2)
    assert odd.gain_equal_rate is not None
    assert odd.gain_equal_rate.value is not None
    assert float(odd.gain_equal_rate.value.subs(a, 2)) == pytest.approx(math.sqrt(2) * 3 / math.sqrt(5))
    even = gain(Target.of(a * z1 * z2), u**2)
    assert (even.rho.value, even.tied_escapes, values(even)) == (2, None, (None, None, None))
    assert "sign" in even.reason
    with pytest.raises(NoClosedForm, match="set them"):
        gain(Target.of(a * z1 * z2 * z3 + He(3, z1)), sp.exp(u))


@pytest.mark.parametrize(
    ("k", "expected"), [(0, 1 / math.sqrt(2 * math.pi)), (1, 0.5), (2, 1 / math.sqrt(2 * math.pi))]
)
def test_relu_coefficients(k: int, expected: float) -> None:
    # E relu(u) He_k(u) by a Riemann sum on the half line.
    grid = np.linspace(0, 12, 400_001)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    polynomial = [np.ones_like(grid), grid, grid**2 - 1][k]
    assert float((grid * polynomial * density).sum()) * (grid[1] - grid[0]) == pytest.approx(expected, abs=1e-8)
    assert float(activation_coefficient(relu(u), k)) == pytest.approx(expected, abs=1e-12)


def test_structure_replaces_entries() -> None:
    ridge = LeadingTensor.of(weierstrass_transform(He(3, mean(200))), 3)
    assert (len(ridge.ridges), ridge.entries, ridge.is_odeco()) == (1, {}, True)
    pair = weierstrass_transform(sp.erf(z1 + z2) - 2 * sp.erf(z1 - z2))
    tensor = LeadingTensor.of(pair, 3)
    assert len(tensor.ridges) == 2
    by_entries = operator_norm(pair.derivatives(3)).value
    by_structure = tensor.operator_norm().value
    assert by_entries is not None
    assert by_structure is not None
    assert sp.expand(by_entries - by_structure) == 0


def test_directions_that_are_not_orthogonal_are_written_out() -> None:
    tensor = LeadingTensor.of(weierstrass_transform(sp.erf(z1 + z2) + sp.erf(z1)), 3)
    assert tensor.ridges == ()
    assert tensor.is_odeco() is False


def test_many_tokens_without_structure_are_refused_clearly() -> None:
    two = He(3, mean(200)) + sp.Sum(l * TOKENS[l], (l, 1, 200)) ** 3
    with pytest.raises(TruncationError, match="entries"):
        LeadingTensor.of(weierstrass_transform(two), 3)
