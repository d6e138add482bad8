r"""The landscape of targets t = (1-omega) t_0 + omega t_1: derivatives at the start and at the two corners.

Up to E|t|^2 the loss is linear in t, so each of its derivatives is affine in omega, and every transition in
omega is a ratio of Gaussian integrals (arXiv:2506.02651, section 4 and App. F; C one column c, R even in m
and in eps):

- dynamics: H_mm = H_ee at the start (semantic escape below, positional above);
- the semantic point (eps, m) = (0, 1) is a local minimum on the disk iff R_m <= 0 and R_ee - R_m > 0 there;
- the positional point (1, 0): iff R_e <= 0 and R_mm - R_e > 0 there;
- the corner with the lower loss changes where R(0, 1) = R(1, 0) (the omega^2 terms, those of E|t|^2, cancel).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.quadrature import Array, NumericFunction, density
from sie_sym.spectral import SpectralExpansion, hermite_coefficients

QUANTITIES = {
    "hessian_mm": r"-4 \sum_{|b|=2} \langle C_b(t), C_b(\phi) \rangle / b!",
    "hessian_me": r"-2 \sum_l \langle C_l(t), C_{lc}(\phi) \rangle",
    "hessian_ee": r"C_{cc}(|\phi|^2) - 2 \langle C_0(t), C_{cc}(\phi) \rangle",
    "semantic_radial": r"-2\, \mathbb{E} \sum_l \langle \partial_l t, \partial_l \phi \rangle",
    "semantic_across": r"C_c(|\phi|^2) - 2\, \mathbb{E} \langle t, (c \cdot \partial) \phi \rangle",
    "semantic_curvature": r"C_{cc}(|\phi|^2) - 2\, \mathbb{E} \langle t, (c \cdot \partial)^2 \phi \rangle",
    "semantic_loss": r"\mathbb{E} |\phi|^2 - 2\, \mathbb{E} \langle t, \phi \rangle",
    "positional_radial": r"C_c(|\phi_c|^2) - 2 \langle C_0(t), C_c(\phi_c) \rangle",
    "positional_across": r"-2 \sum_l \langle C_l(t), C_l(\phi_c) \rangle",
    "positional_curvature": r"-4 \sum_{|b|=2} \langle C_b(t), C_b(\phi_c) \rangle / b!",
    "positional_loss": r"\mathbb{E} |\phi_c|^2 - 2 \langle C_0(t), C_0(\phi_c) \rangle",
}
"""LaTeX of every quantity for a target t, phi_c(z) = phi(z + c): with t = (1-omega) t_0 + omega t_1 affine in
omega."""


@dataclass(frozen=True)
class Boundary:
    """A value of omega with an error estimate (outside [0, 1]: there is no such transition)."""

    value: float
    error: float

    evidence = Evidence.NUMERICAL

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class AffineQuantity:
    """(1-omega) start + omega end, each end with an absolute error below `error`."""

    start: float
    end: float
    error: float

    def at(self, omega: ArrayLike) -> Array:
        """The value at omega."""
        weight = np.asarray(omega, dtype=float)
        return np.asarray((1 - weight) * self.start + weight * self.end)

    def __sub__(self, other: AffineQuantity) -> AffineQuantity:
        return AffineQuantity(self.start - other.start, self.end - other.end, self.error + other.error)

    def expression(self, omega: sp.Symbol) -> sp.Expr:
        """The quantity as an expression in omega (the ends as floats; `QUANTITIES` has their definitions)."""
        return (1 - omega) * sp.Float(self.start, 17) + omega * sp.Float(self.end, 17)

    def root(self) -> Boundary:
        """omega = start/(start - end), where the quantity vanishes; infinite if it does not depend on
        omega."""
        slope = self.start - self.end
        if abs(slope) <= 2 * self.error:
            return Boundary(math.inf, math.inf)
        omega = self.start / slope
        return Boundary(omega, (abs(1 - omega) + abs(omega)) * self.error / abs(slope))


@dataclass(frozen=True)
class AffineLandscape:
    r"""The landscape quantities of t = (1-omega) t_0 + omega t_1, each affine in omega (statistics m, eps).

    `hessian_mm`, `hessian_me`, `hessian_ee` at the start; `semantic_*` at (eps, m) = (0, 1), `positional_*`
    at (1, 0): first derivatives along and across the radius, the second derivative across, and R without
    E|t|^2.
    """

    hessian_mm: AffineQuantity
    hessian_me: AffineQuantity
    hessian_ee: AffineQuantity
    semantic_radial: AffineQuantity
    semantic_across: AffineQuantity
    semantic_curvature: AffineQuantity
    semantic_loss: AffineQuantity
    positional_radial: AffineQuantity
    positional_across: AffineQuantity
    positional_curvature: AffineQuantity
    positional_loss: AffineQuantity

    def boundaries(self) -> PhaseBoundaries:
        """The four transitions; `DomainError` if a corner is no critical point of R on the circle."""
        for name, quantity in (
            ("the mixed derivative R_{m eps} at the start", self.hessian_me),
            ("the derivative of R along the circle at (eps, m) = (0, 1)", self.semantic_across),
            ("the derivative of R along the circle at (eps, m) = (1, 0)", self.positional_across),
        ):
            size = max(abs(quantity.start), abs(quantity.end))
            if size > 10 * quantity.error + 1e-11:
                raise DomainError(
                    f"{name} is {size:.3g}, not 0: the corners are not the extremes of this family; "
                    "find its minima with minima(loss)"
                )
        stable = (self.positional_curvature - self.positional_radial).root()
        inward = self.positional_radial.root()
        return PhaseBoundaries(
            dynamics=(self.hessian_mm - self.hessian_ee).root(),
            semantic_minimum=(self.semantic_curvature - self.semantic_radial).root(),
            # both conditions hold above their roots, so the later one decides
            positional_minimum=max(stable, inward, key=float) if math.isfinite(inward.value) else stable,
            global_minimum=(self.semantic_loss - self.positional_loss).root(),
        )


@dataclass(frozen=True)
class PhaseBoundaries:
    """The transitions in omega: semantic escape, semantic minimum and semantic global minimum exist below
    theirs, the positional minimum exists above its own.
    """

    dynamics: Boundary
    semantic_minimum: Boundary
    positional_minimum: Boundary
    global_minimum: Boundary


@dataclass(frozen=True, eq=False)
class LandscapeTable:
    """Every landscape quantity as a linear form of the target: rows of `linear`, plus `constant` from the
    model.

    Rows in the order of the fields of `AffineLandscape`; columns are the targets of the family.
    """

    linear: Array
    constant: Array
    errors: Array

    def along(self, start: ArrayLike, end: ArrayLike) -> AffineLandscape:
        """The landscape from the target sum_i start_i t_i (omega = 0) to sum_i end_i t_i (omega = 1)."""
        first, last = (np.asarray(w, dtype=float) for w in (start, end))
        size = max(1.0, float(np.abs(first).sum()), float(np.abs(last).sum()))
        values = zip(self.constant + self.linear @ first, self.constant + self.linear @ last, self.errors, strict=True)
        return AffineLandscape(*(AffineQuantity(float(a), float(b), float(size * e)) for a, b, e in values))


def affine_landscape(
    start: NumericFunction, end: NumericFunction, model: NumericFunction, encoding: Sequence[float]
) -> AffineLandscape:
    """The landscape of t = (1-omega) start + omega end for any numeric functions (L, N) -> (k, N), L <= 3."""
    return landscape_table([start, end], model, encoding).along([1.0, 0.0], [0.0, 1.0])


def landscape_table(
    targets: Sequence[NumericFunction], model: NumericFunction, encoding: Sequence[float]
) -> LandscapeTable:
    """The table of a family of smooth targets for a model with one encoding column c (L <= 3 tokens)."""
    c = np.asarray(encoding, dtype=float)
    tokens = len(c)
    if c.ndim != 1 or not 1 <= tokens <= 3:
        raise DomainError(f"encoding {encoding}: give one column, with one number for each of at most 3 tokens")
    nodes = {1: 400, 2: 180, 3: 80}[tokens]

    def expand(h: Callable[[Array], Array]) -> SpectralExpansion:
        return hermite_coefficients(h, tokens, 2, nodes=nodes)

    def shifted(z: Array) -> Array:
        return np.reshape(model(z + c[:, None]), (-1, z.shape[1]))

    def product(left: Array, right: Array) -> Array:
        flat = [np.reshape(values, (-1, values.shape[-1])) for values in (left, right)]
        return np.asarray(np.einsum("kn,kn->n", *flat))[None]

    here, there = expand(model), expand(shifted)
    here2, there2 = expand(lambda z: product(model(z), model(z))), expand(lambda z: product(shifted(z), shifted(z)))
    goals = [expand(t) for t in targets]
    inner = [expand(lambda z, t=t: product(t(z), model(z))) for t in targets]  # type: ignore[misc]
    gradient, slope, curvature, corner_error = _corner_forms(targets, model, c)

    def zeroth(h: SpectralExpansion) -> Array:
        return _tensor(h, 0)

    def first(h: SpectralExpansion) -> Array:
        return np.asarray(_tensor(h, 1) @ c)

    def second(h: SpectralExpansion) -> Array:
        return np.asarray(_tensor(h, 2) @ c @ c)

    linear = np.array(
        [
            [-2 * np.sum(_tensor(t, 2) * _tensor(here, 2)) for t in goals],
            [-2 * np.sum(_tensor(t, 1) * (_tensor(here, 2) @ c)) for t in goals],
            [-2 * zeroth(t) @ second(here) for t in goals],
            list(-2 * gradient),
            list(-2 * slope),
            list(-2 * curvature),
            [-2 * float(t.coefficients.ravel()[0]) for t in inner],
            [-2 * zeroth(t) @ first(there) for t in goals],
            [-2 * np.sum(_tensor(t, 1) * _tensor(there, 1)) for t in goals],
            [-2 * np.sum(_tensor(t, 2) * _tensor(there, 2)) for t in goals],
            [-2 * zeroth(t) @ zeroth(there) for t in goals],
        ]
    )
    n0, n0_slope, n0_curvature = (float(f(here2)[0]) for f in (zeroth, first, second))
    n1, n1_slope = (float(f(there2)[0]) for f in (zeroth, first))
    constant = np.array([0, 0, n0_curvature, 0, n0_slope, n0_curvature, n0, n1_slope, 0, 0, n1], dtype=float)
    quadrature = sum(e.error for e in (here, there, here2, there2, *goals, *inner))
    scale = 8 * (1 + float(c @ c)) * (1 + max(math.sqrt(e.norm2) for e in (here, there, *goals)))
    errors = np.full(11, scale * quadrature)
    errors[3:6] += 2 * corner_error
    return LandscapeTable(linear, constant, errors)


def _tensor(h: SpectralExpansion, order: int) -> Array:
    """The Hermite tensor C_order(h), order <= 2, with the output as first index."""
    tokens = h.tokens
    unit = np.eye(tokens, dtype=int)
    if order == 0:
        return h.coefficient((0,) * tokens)
    if order == 1:
        return np.stack([h.coefficient(tuple(unit[l])) for l in range(tokens)], axis=-1)
    rows = [[h.coefficient(tuple(unit[l] + unit[j])) for j in range(tokens)] for l in range(tokens)]
    return np.moveaxis(np.array(rows), -1, 0)


def _corner_forms(
    targets: Sequence[NumericFunction], model: NumericFunction, c: Array
) -> tuple[Array, Array, Array, float]:
    r"""E grad t . grad phi, E t . (c.d) phi and E t . (c.d)^2 phi for every target: the derivatives of R at m
    = 1.

    The Hermite series converges too slowly there, so derivatives are taken on the grid (Fourier interpolation
    of h sqrt(density), which vanishes at the ends); the error is twice the difference between two grids.
    """
    nodes = {1: 600, 2: 256, 3: 96}[len(c)]
    fine, coarse = (
        _corner_forms_on_grid(targets, model, c, n, T) for n, T in ((nodes, 12.5), (int(nodes / 1.08), 12.2))
    )
    error = 2 * max(float(np.abs(a - b).max()) for a, b in zip(fine, coarse, strict=True))
    return (*fine, error + 1e-13)


def _corner_forms_on_grid(
    targets: Sequence[NumericFunction], model: NumericFunction, c: Array, nodes: int, half_width: float
) -> tuple[Array, Array, Array]:
    tokens = len(c)
    step = 2 * half_width / nodes
    x = step * (np.arange(nodes) + 0.5) - half_width
    z = np.array(np.meshgrid(*[x] * tokens, indexing="ij"))
    root = np.sqrt(np.prod(density(z), axis=0) * step**tokens)
    frequency = 2 * np.pi * np.fft.rfftfreq(nodes, step)
    if nodes % 2 == 0:
        frequency[-1] = 0  # so that the derivative is real

    def weighted(h: NumericFunction) -> Array:
        return np.asarray(np.reshape(h(z.reshape(tokens, -1)), (-1, *root.shape)) * root)

    def derivative(values: Array, l: int) -> Array:
        """The representative sqrt(density) d_l h of the derivative, from sqrt(density) h."""
        shape = [1] * (tokens + 1)
        shape[l + 1] = len(frequency)
        hat = np.fft.rfft(values, axis=l + 1) * (1j * frequency).reshape(shape)
        return np.asarray(np.fft.irfft(hat, nodes, axis=l + 1) + 0.5 * z[l] * values)

    phi = weighted(model)
    gradient = [derivative(phi, l) for l in range(tokens)]
    along = sum((c[l] * gradient[l] for l in range(tokens)), np.zeros_like(phi))
    twice = sum((c[l] * derivative(along, l) for l in range(tokens)), np.zeros_like(phi))
    # z_l - d_l is the adjoint of d_l: no target is differentiated
    dirichlet = sum((z[l] * g - derivative(g, l) for l, g in enumerate(gradient)), np.zeros_like(phi))
    goals = np.stack([weighted(target).ravel() for target in targets])
    return goals @ dirichlet.ravel(), goals @ along.ravel(), goals @ twice.ravel()
