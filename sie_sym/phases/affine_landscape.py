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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.quadratures.quadrature import Array

if TYPE_CHECKING:
    import sympy as sp

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
        import sympy as sp

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


__all__ = ["QUANTITIES", "AffineLandscape", "AffineQuantity", "Boundary", "PhaseBoundaries"]
