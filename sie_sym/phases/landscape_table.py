r"""Every landscape quantity of `affine_landscape` as a linear form of the target: few Gaussian integrals on one grid.

R is linear in the target but for E|t|^2, and its derivatives at the start and at the corners (eps, m) = (0, 1), (1, 0)
need no more than coefficients of degree 2 of phi, |phi|^2 and t with mean 0 or c, and integrals of t against
derivatives of phi.  On smooth functions the trapezoidal rule has them all to rounding, from the values of each function
at the same nodes; a grid of another step and range has the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.phases.affine_landscape import QUANTITIES, AffineLandscape, AffineQuantity
from sie_sym.quadratures.quadrature import Array, NumericFunction, checked, density

Derivatives = Callable[[Array], tuple[Array, Array, Array]]
"""z, (L, N), to N phi = z.grad phi - Laplacian phi, (c.grad) phi and (c.grad)^2 phi, each (k, N)."""

_FINE = {1: (400, 12.5), 2: (124, 9.4), 3: (80, 9.0)}
"""Nodes a token and the half-width of the grid."""
_FOURIER = {1: (600, 12.5), 2: (256, 12.5), 3: (96, 12.5)}
"""Those where derivatives are taken on the grid: sqrt(density) must vanish at its ends."""
_COARSER = 1.07
"""The step of the grid that checks, in steps of the first; Fourier derivatives need more nodes."""


@dataclass(frozen=True, eq=False)
class LandscapeTable:
    """`linear` @ weights + `constant` are the quantities of the target sum_i weights_i t_i, `errors` those of each.

    Rows in the order of the fields of `AffineLandscape`; columns are the targets of the family.  A quantity is accurate
    to its error times max(1, sum_i |weights_i|).
    """

    linear: Array
    constant: Array
    errors: Array

    def along(self, start: ArrayLike, end: ArrayLike) -> AffineLandscape:
        """The landscape from the target sum_i start_i t_i (omega = 0) to sum_i end_i t_i (omega = 1)."""
        first, last = (np.asarray(w, dtype=float) for w in (start, end))
        size = max(1.0, float(np.abs(first).sum()), float(np.abs(last).sum()))
        ends = (self.constant + self.linear @ first).tolist(), (self.constant + self.linear @ last).tolist()
        return AffineLandscape(*map(AffineQuantity, *ends, (size * self.errors).tolist()))

    def form(self, name: str) -> Array:
        """The quantity of that name as a linear form of (1, weights)."""
        row = list(QUANTITIES).index(name)
        return np.concatenate([self.constant[row : row + 1], self.linear[row]])


def affine_landscape(
    start: NumericFunction, end: NumericFunction, model: NumericFunction, encoding: Sequence[float]
) -> AffineLandscape:
    """The landscape of t = (1-omega) start + omega end for any numeric functions (L, N) -> (k, N), L <= 3."""
    return landscape_table([start, end], model, encoding).along([1.0, 0.0], [0.0, 1.0])


def landscape_table(
    targets: Sequence[NumericFunction],
    model: NumericFunction,
    encoding: Sequence[float],
    *,
    derivatives: Derivatives | None = None,
    even: bool = False,
) -> LandscapeTable:
    """The table of a family of smooth targets for a model phi with one encoding column c (L <= 3 tokens).

    `derivatives` of phi, if they are known, save the Fourier transforms that find them on the grid; `even` promises
    that z -> -z changes no function, and halves the work.  Raises `DomainError` for other encodings, and where a
    function is not finite or not even.

    >>> table = landscape_table([lambda z: z**2], lambda z: z**2, [1.0])     # R = ... - 4 m^2 - 2 (1 + eps^2) + ...
    >>> table.linear[:3, 0].round(9)
    array([-8., -0., -4.])
    """
    c = np.asarray(encoding, dtype=float)
    tokens = len(c)
    if c.ndim != 1 or not 1 <= tokens <= 3:
        raise DomainError(f"encoding {encoding}: give one column, with one number for each of at most 3 tokens")
    functions = {f: checked(f, tokens, None, "even" if even else None) for f in (model, *targets)}
    goals, phi = [functions[target] for target in targets], functions[model]
    fine, coarse = (_forms(goals, phi, c, derivatives, even, coarser) for coarser in (1.0, _COARSER))
    size = max(1.0, float(np.abs(fine).max()))
    errors = 2 * np.abs(fine - coarse).max(axis=1) + 16 * np.finfo(float).eps * size
    return LandscapeTable(fine[:, 1:], fine[:, 0], errors)


def _forms(
    goals: Sequence[NumericFunction],
    phi: NumericFunction,
    c: Array,
    derivatives: Derivatives | None,
    even: bool,
    coarser: float,
) -> Array:
    """The constant and the linear part of every quantity on one grid, shape (11, 1 + n)."""
    tokens, n = len(c), len(goals)
    z, weight, axes = _grid(tokens, *_FINE[tokens], coarser, even)
    values = phi(z)
    k = len(values)
    rows = np.empty((k * (1 + n) + 1, z.shape[1]))
    rows[:k] = values
    np.einsum("kn,kn->n", values, values, out=rows[k])
    for row, goal in zip(rows[k + 1 :].reshape(n, k, -1), goals, strict=True):
        found = values if goal is phi else goal(z)
        if len(found) != k:
            raise DomainError(f"a target has {len(found)} outputs and the model {k}: they must agree")
        row[:] = found
    # C_0, C_1, C_2 of phi, its square and the targets, with mean 0 and with mean c
    here, there = _tensors(rows, axes, c, even)
    rows *= weight
    targets = rows[k + 1 :].reshape(n, -1)
    if derivatives is None:
        corner = _by_fourier(goals, phi, c, coarser)
    else:
        corner = np.stack([targets @ np.ravel(derivative) for derivative in derivatives(z)])
        corner[1] *= not even  # (c.grad) phi is odd
    model, square = ([tensor[:k] for tensor in here], [tensor[k] for tensor in here])
    shifted, shifted_square = ([tensor[:k] for tensor in there], [tensor[k] for tensor in there])
    t0, t1, t2 = (tensor[k + 1 :].reshape(n, *tensor[:k].shape) for tensor in here)
    linear = [
        -2 * np.tensordot(t2, model[2], axes=3),
        -2 * np.tensordot(t1, model[2] @ c, axes=2),
        -2 * t0 @ (model[2] @ c @ c),
        *(-2 * corner),
        -2 * targets @ values.ravel(),
        -2 * t0 @ (shifted[1] @ c),
        -2 * np.tensordot(t1, shifted[1], axes=2),
        -2 * np.tensordot(t2, shifted[2], axes=3),
        -2 * t0 @ shifted[0],
    ]
    slope, bend = square[1] @ c, square[2] @ c @ c
    constant = [0, 0, bend, 0, slope, bend, square[0], shifted_square[1] @ c, 0, 0, shifted_square[0]]
    return np.column_stack([np.array(constant, dtype=float), np.array(linear)])


def _grid(tokens: int, nodes: int, half_width: float, coarser: float, even: bool) -> tuple[Array, Array, list[Array]]:
    """The points (L, N) of a tensor grid, half of it for `even` functions, their weights density step^L, the axes."""
    half = int(nodes / coarser / 2)
    # the coarser grid is a little shorter as well: what is cut off shows in the difference
    step = half_width * (1 - 0.2 * (coarser - 1)) / half
    axis = np.asarray(step * (np.arange(-half, half) + 0.5), dtype=np.float64)
    axes = [axis[half:] if even and l == 0 else axis for l in range(tokens)]
    weight: Array = np.full(1, 2.0 if even else 1.0)
    for x in axes:
        weight = np.multiply.outer(weight, density(x) * step).ravel()
    z = np.empty((tokens, *map(len, axes)))
    for l, x in enumerate(axes):
        z[l] = x.reshape([-1 if j == l else 1 for j in range(tokens)])
    return z.reshape(tokens, -1), weight, axes


def _tensors(values: Array, axes: Sequence[Array], c: Array, even: bool) -> list[list[Array]]:
    """The Hermite tensors C_0, C_1, C_2 of functions on the grid for the means 0 and c, the function first.

    The other half of the grid of an even function adds those for the means 0 and -c, but for the sign of C_1.
    """
    tokens = len(c)
    means = np.stack([0 * c, c, -c] if even else [0 * c, c])
    found = values
    for x, shifts in zip(reversed(axes), reversed(means.T), strict=True):  # the last axis becomes the first one
        y = x - shifts[:, None]
        weights = density(y) * (x[1] - x[0]) * np.stack([np.ones_like(y), y, y * y - 1])
        found = found.reshape(-1, len(x)) @ weights.reshape(-1, len(x)).T
        found = np.moveaxis(found.reshape(len(values), -1, 3 * len(means)), -1, 1)
    found = found.reshape(len(values), *[3, len(means)] * tokens)
    unit = np.eye(tokens, dtype=int)
    places = tuple(0 * unit[0]), tuple(unit.T), tuple(np.moveaxis(unit[:, None] + unit[None, :], -1, 0))

    def at(mean: int, degree: int) -> Array:
        one = found[(slice(None), *(slice(None), mean) * tokens)]
        return np.asarray(one[(slice(None), *places[degree])])

    return [
        [at(mean, k) + ((-1) ** k * at(mirror, k) if even else 0) for k in range(3)]
        for mean, mirror in ((0, 0), (1, -1))
    ]


def _by_fourier(goals: Sequence[NumericFunction], phi: NumericFunction, c: Array, coarser: float) -> Array:
    r"""E grad t . grad phi, E t . (c.d) phi and E t . (c.d)^2 phi for every target, without derivatives of phi.

    The Hermite series converges too slowly at m = 1, so derivatives are taken on the grid (Fourier interpolation of
    phi sqrt(density), which vanishes at the ends).
    """
    tokens = len(c)
    z, weight, axes = _grid(tokens, *_FOURIER[tokens], coarser, False)
    count, step = len(axes[0]), axes[0][1] - axes[0][0]
    root = np.sqrt(weight)
    frequency = 2 * np.pi * np.fft.rfftfreq(count, step)
    if count % 2 == 0:
        frequency[-1] = 0  # so that the derivative is real

    def derivative(values: Array, l: int) -> Array:
        """The representative sqrt(density) d_l h of the derivative, from sqrt(density) h."""
        box = values.reshape(len(values), *[count] * tokens)
        shape = [-1 if j == l + 1 else 1 for j in range(tokens + 1)]
        hat = np.fft.rfft(box, axis=l + 1) * (1j * frequency).reshape(shape)
        return np.asarray(np.fft.irfft(hat, count, axis=l + 1).reshape(values.shape) + 0.5 * z[l] * values)

    values = phi(z) * root
    gradient = [derivative(values, l) for l in range(tokens)]
    along = sum((c[l] * gradient[l] for l in range(tokens)), np.zeros_like(values))
    twice = sum((c[l] * derivative(along, l) for l in range(tokens)), np.zeros_like(values))
    # z_l - d_l is the adjoint of d_l: no target is differentiated
    number = sum((z[l] * g - derivative(g, l) for l, g in enumerate(gradient)), np.zeros_like(values))
    goals_here = np.stack([goal(z) * root for goal in goals])
    return np.stack([np.tensordot(goals_here, f, axes=2) for f in (number, along, twice)])


__all__ = ["Derivatives", "LandscapeTable", "affine_landscape", "landscape_table"]
