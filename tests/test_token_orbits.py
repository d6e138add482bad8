"""Expectations that differ by the names of their tokens only."""

from __future__ import annotations

import itertools

import pytest
import sympy as sp
from independent import coefficient_by_quadrature

from sie_sym.functions import softmax, token
from sie_sym.quadratures.token_orbits import Coordinate, representative

Z = [token(l) for l in range(1, 5)]


def row(i: int, j: int, tokens: int) -> sp.Expr:
    """S_ij of softmax(z z^T)."""
    return softmax(sp.Integer(j + 1), *(Z[i] * Z[l] for l in range(tokens)))


def plain(weights: tuple[int, ...]) -> list[Coordinate]:
    return [(z, sp.Integer(0), w) for z, w in zip(Z, weights, strict=False)]


def test_diagonal_entries_have_one_representative_an_orbit() -> None:
    found = {
        representative(row(i, i, 4), plain(weights))
        for i in range(4)
        for weights in itertools.product(range(3), repeat=4)
        if sum(weights) == 2
    }
    # of degree 2: on the own token, on another, on both, on two others
    assert len(found) == 4


@pytest.mark.parametrize(
    ("h", "weights"), [(row(1, 1, 3), (0, 2, 2)), (row(2, 0, 3), (1, 0, 1)), (row(0, 2, 3), (0, 4, 0))]
)
def test_the_value_stays(h: sp.Expr, weights: tuple[int, ...]) -> None:
    renamed, coordinates = representative(h, plain(weights))
    # softmax by its definition: quadrature knows exp only
    written = [e.replace(softmax, lambda k, *x: sp.exp(x[int(k) - 1]) / sp.Add(*map(sp.exp, x))) for e in (h, renamed)]
    before = coefficient_by_quadrature(written[0], weights, nodes=40)
    after = coefficient_by_quadrature(written[1], [w for _, _, w in coordinates], nodes=40)
    assert after == pytest.approx(before, abs=1e-12)


def test_tokens_that_do_different_things_are_kept_apart() -> None:
    h = row(0, 0, 3) * Z[1] ** 2
    one, two = (representative(h, plain(weights)) for weights in ((0, 2, 0), (0, 0, 2)))
    assert one != two
    # means tell tokens apart as well
    shifted = [(Z[0], sp.Integer(0), 0), (Z[1], sp.Rational(1, 2), 2), (Z[2], sp.Integer(0), 0)]
    other = [(Z[0], sp.Integer(0), 0), (Z[1], sp.Rational(1, 2), 0), (Z[2], sp.Integer(0), 2)]
    assert representative(row(0, 0, 3), shifted) != representative(row(0, 0, 3), other)


def test_a_cycle_is_no_full_symmetry() -> None:
    """z1 z2 + z2 z3 + z3 z4 + z4 z1 looks the same to each token, but neighbours are not opposite tokens."""
    cycle = sp.tanh(sum((Z[l] * Z[(l + 1) % 4] for l in range(4)), sp.Integer(0)))
    neighbours = coefficient_by_quadrature(cycle, (1, 1, 0, 0), nodes=20)
    opposite = coefficient_by_quadrature(cycle, (1, 0, 1, 0), nodes=20)
    assert abs(neighbours - opposite) > 0.1
    assert representative(cycle, plain((1, 1, 0, 0))) != representative(cycle, plain((1, 0, 1, 0)))
