r"""Eigenvalues of symmetric matrices: exact where they are rational or quadratic numbers, enclosed otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flint
import numpy as np
import sympy as sp
from flint import arb, arb_mat

from sie_sym.errors import NoClosedForm, TruncationError
from sie_sym.hermite import Tensor
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.enclosure import decide_zero, enclose
from sie_sym.polynomial import flint_rational, rational
from sie_sym.tensors.certified_value import CertifiedValue, Interval, interval_of
from sie_sym.tensors.symmetric_tensor import matrix_of

_BITS = 128
_MATRIX_BUDGET = 400
"""The largest symmetric matrix whose eigenvalues are enclosed."""
_EXACT_EIGENVALUES = 48
"""The largest rational matrix whose characteristic polynomial is factored."""


def symmetric_spectrum(tensor: Tensor) -> tuple[CertifiedValue, CertifiedValue]:
    """The smallest and the largest eigenvalue of an order-2 tensor, on the tokens that occur.

    Their `value` is exact where it is a rational or a quadratic number.

    >>> symmetric_spectrum({((1, 1), (2, 1)): sp.Integer(1)})[0].value
    -1
    """
    matrix = matrix_of(tensor)
    n = matrix.rows
    if n <= 2:
        a, d, b = matrix[0, 0], matrix[-1, -1], matrix[0, 1] if n == 2 else sp.Integer(0)
        gap = sp.sqrt(sp.expand((a - d) ** 2 + 4 * b**2))
        return CertifiedValue.exact((a + d - gap) / 2, "2 x 2"), CertifiedValue.exact((a + d + gap) / 2, "2 x 2")
    if n <= _EXACT_EIGENVALUES and all(value.is_Rational for value in tensor.values()):
        return _rational_spectrum(matrix)
    if any(value.free_symbols for value in tensor.values()):
        raise NoClosedForm(f"the eigenvalues of a {n} x {n} matrix with parameters have no closed form: set them")
    with working_precision(_BITS):
        zero = arb(0)
        balls = [[enclose(matrix[i, j]) if matrix[i, j] != 0 else zero for j in range(n)] for i in range(n)]
    ends = extreme_eigenvalues(balls)
    if ends is None:
        raise TruncationError(f"the eigenvalues of a {n} x {n} matrix are not enclosed: it is too large")
    low, high = (CertifiedValue.between(end, "enclosed eigenvalue") for end in ends)
    return low, high


def _rational_spectrum(matrix: sp.Matrix) -> tuple[CertifiedValue, CertifiedValue]:
    roots: list[tuple[arb, sp.Expr | None]] = []
    with working_precision(_BITS):
        for part, _ in _characteristic_factors(matrix):
            exact = _rational_or_quadratic_roots(part)
            if exact is None:
                isolated: list[Any] = part.complex_roots()  # pairs (ball, multiplicity)
                roots += [(ball.real, None) for ball, _ in isolated]
            else:
                roots += [(enclose(root, _BITS), root) for root in exact]
        low = max(roots, key=lambda root: float(-root[0].mid()))
        high = max(roots, key=lambda root: float(root[0].mid()))
        # Distinct factors have distinct roots: balls that overlap would only cost the closed form.
        sure = [all(not end[0].overlaps(other[0]) for other in roots if other is not end) for end in (low, high)]
    ends = []
    for (ball, value), alone in zip((low, high), sure, strict=True):
        if value is not None and alone:
            ends.append(CertifiedValue.exact(value, "exact eigenvalue"))
        else:
            ends.append(CertifiedValue.between(interval_of(ball), "enclosed eigenvalue"))
    return ends[0], ends[1]


def eigenvectors(matrix: sp.Matrix) -> list[sp.Matrix] | None:
    """Orthogonal eigenvectors of a rational symmetric matrix, None if some are beyond quadratic numbers."""
    n = matrix.rows
    vectors: list[sp.Matrix] = []
    for part, multiplicity in _characteristic_factors(matrix):
        for root in _rational_or_quadratic_roots(part) or ():
            shifted = matrix - root * sp.eye(n)
            kernel = shifted.nullspace(iszerofunc=lambda x: decide_zero(x))
            if len(kernel) != multiplicity:
                return None
            vectors += sp.GramSchmidt([vector.applyfunc(sp.radsimp) for vector in kernel])
    return vectors if len(vectors) == n else None


def _characteristic_factors(matrix: sp.Matrix) -> list[tuple[flint.fmpq_poly, int]]:
    """The irreducible factors of the characteristic polynomial of a rational matrix, with multiplicities."""
    n = matrix.rows
    entries = [flint_rational(x) for x in matrix]
    factors: list[tuple[flint.fmpq_poly, int]] = flint.fmpq_mat(n, n, entries).charpoly().factor()[1]
    return factors


def _rational_or_quadratic_roots(part: flint.fmpq_poly) -> list[sp.Expr] | None:
    """The roots, increasing, of an irreducible polynomial of degree 1 or 2; None above."""
    coefficients = [rational(flint.fmpq(c)) for c in part.coeffs()]
    if len(coefficients) == 2:
        return [-coefficients[0] / coefficients[1]]
    if len(coefficients) == 3:
        c, b, a = coefficients
        gap = sp.sqrt(b**2 - 4 * a * c) / abs(2 * a)
        return [-b / (2 * a) - gap, -b / (2 * a) + gap]
    return None


def extreme_eigenvalues(matrix: Sequence[Sequence[arb]]) -> tuple[Interval, Interval] | None:
    """Intervals with the smallest and with the largest eigenvalue of a symmetric matrix; None if it is too large.

    With A = Q D Q^T + E for approximate eigenvectors Q and |Q^T Q - I| <= eta: an eigenvalue of A is within |E| of one
    of Q D Q^T (Weyl), which is one of D up to a factor in [1 - eta, 1 + eta] (Ostrowski).

    >>> low, high = extreme_eigenvalues([[arb(2), arb(1)], [arb(1), arb(2)]])
    >>> low[0] <= 1 <= low[1], high[0] <= 3 <= high[1], high[1] - high[0] < 1e-12
    (True, True, True)
    """
    n = len(matrix)
    if n > _MATRIX_BUDGET:
        return None
    with working_precision(_BITS):
        a = arb_mat([list(row) for row in matrix])
        middle = np.array([[float(x.mid()) for x in row] for row in matrix])
        values, vectors = np.linalg.eigh((middle + middle.T) / 2)
        q = arb_mat(vectors.tolist())
        d = arb_mat([[arb(values[i]) if i == j else arb(0) for j in range(n)] for i in range(n)])
        identity = arb_mat([[arb(int(i == j)) for j in range(n)] for i in range(n)])
        error = _frobenius(a - q * d * q.transpose())
        eta = _frobenius(q.transpose() * q - identity)
        ends = [
            (interval_of(x - abs(x) * eta - error)[0], interval_of(x + abs(x) * eta + error)[1])
            for x in (arb(float(values[0])), arb(float(values[-1])))
        ]
    return ends[0], ends[1]


def _frobenius(matrix: arb_mat) -> arb:
    # Of the upper ends: the square of a ball around 0 may reach below 0, where there is no root.
    return sum((x.abs_upper() ** 2 for x in matrix.entries()), arb(0)).sqrt().upper()


__all__ = ["eigenvectors", "extreme_eigenvalues", "symmetric_spectrum"]
