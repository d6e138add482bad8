r"""The phase diagram of the positional-semantic model (arXiv:2506.02651, section 4, Fig. 4 and App. F), L =
2.

Target (1-omega) softmax_rows(z z^T) + omega A, A = softmax_rows(a^2 [[1,-1],[-1,1]]), model softmax, C = (1,
-1). `boundary_formulas` derives the transitions in omega as expressions, `phase_boundaries` evaluates them,
`region` and `phase_labels` name the phases.  Two things go beyond the corner conditions of the paper: the rim
is searched for minima that have left their corner, and a search of the whole disk, from other quantities,
confirms each label (`phase_search`); `minima` finds those of a single loss.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from sie_sym.affine_landscape import (
    AffineLandscape,
    Boundary,
    LandscapeTable,
    PhaseBoundaries,
    affine_landscape,
    landscape_table,
)
from sie_sym.disk_minima import Minimum, minima
from sie_sym.errors import DomainError
from sie_sym.functions import sigmoid
from sie_sym.loss_family import positional_semantic_family, spectral_loss
from sie_sym.phase_search import search as search_disk
from sie_sym.quadrature import Array, NumericFunction
from sie_sym.spectral import softmax_matrix
from sie_sym.spectral_loss import SpectralLoss

REGIONS = (
    "unique positional",
    "global positional",
    "global semantic, positional dynamics",
    "unique semantic, misaligned dynamics",
    "global semantic",
    "unique semantic",
)
"""The six regions of Fig. 4.  "Positional" is the minimum on the positional side: for a below about 0.8 it
leaves the corner (eps, m) = (1, 0) along the rim before it disappears, where the paper's corner conditions
alone would see none."""


def _target_weights(a: float) -> tuple[list[float], list[float]]:
    """softmax and A = (2p-1) identity + (1-p) ones in the basis (softmax, identity, ones), p = sigmoid(2
    a^2)."""
    p = 1 / (1 + math.exp(-2 * a * a))
    return [1.0, 0.0, 0.0], [0.0, 2 * p - 1, 1 - p]


@functools.lru_cache(maxsize=1)
def _positional_semantic_table() -> LandscapeTable:
    def constant(matrix: Array) -> NumericFunction:
        return lambda z: np.broadcast_to(matrix.reshape(4, 1), (4, z.shape[1]))

    return landscape_table(
        [softmax_matrix, constant(np.eye(2)), constant(np.ones((2, 2)))], softmax_matrix, [1.0, -1.0]
    )


def positional_semantic_landscape(a: float) -> AffineLandscape:
    """The landscape quantities of the positional-semantic model as functions of omega (theory section 8)."""
    if not a > 0:
        raise DomainError(f"a = {a}: the positional scale must be positive")
    return _positional_semantic_table().along(*_target_weights(a))


def phase_boundaries(a: float) -> PhaseBoundaries:
    r"""The four transitions of the positional-semantic model (Fig. 4) at one value of a.

    >>> round(float(phase_boundaries(1.0).dynamics), 10)
    0.6409626179
    """
    return positional_semantic_landscape(a).boundaries()


def region(a: float, omega: float) -> str:
    """The name of the phase of the positional-semantic model at (a, omega), one of `REGIONS`.

    >>> region(1.0, 0.67), region(0.76, 0.95)
    ('global semantic, positional dynamics', 'unique semantic, misaligned dynamics')
    """
    if not 0 <= omega <= 1:
        raise DomainError(f"omega = {omega}: the mixture weight lies in [0, 1]")
    return REGIONS[int(phase_labels([a], [omega]).labels[0, 0])]


@dataclass(frozen=True, eq=False)
class PhaseLabels:
    """`names[labels[i, j]]` is the phase at (a_i, omega_j).

    `displaced` marks pixels whose positional minimum lies on the rim away from (eps, m) = (1, 0);
    `confirmed`, if a search was asked for, those where it finds the same label and the same displacement.
    """

    labels: NDArray[np.int64]
    displaced: NDArray[np.bool_]
    names: tuple[str, ...] = REGIONS
    confirmed: NDArray[np.bool_] | None = None


def phase_labels(a_grid: ArrayLike, omega_grid: ArrayLike, *, rim: int = 192, search: bool = False) -> PhaseLabels:
    """The phase at every (a, omega) of a grid (Fig. 4).

    The corners are decided by the closed-form boundaries; a positional minimum away from its corner by the
    values of R at `rim` points of the quarter circle.  `search` finds every label again without either: from
    the sign of the derivative of R along the rim, whose zeros are counted between the nodes of a grid, after a
    check on another grid that there is no minimum inside (`phase_search`), and from the Hessian of the
    tabulated loss at the start.  What bounds the functions between the nodes, max|T''| above all, is estimated
    from their differences: the evidence is `numerical`, strong but no proof.  Raises `DomainError` unless a is
    positive.
    """
    a_values, omegas = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (a_grid, omega_grid))
    landscapes = [positional_semantic_landscape(float(a)) for a in a_values]
    # The signs themselves, not their roots: below a = 0.55 a condition changes the side on which it holds.
    is_semantic, at_corner, corner_wins, escapes_semantic = (
        np.array([condition(found, omegas) for found in landscapes])
        for condition in (_semantic_minimum, _positional_minimum, _semantic_is_lower, _semantic_escape)
    )
    basis = _rim_values(rim)
    weights = [_mixture(float(a), omegas) for a in a_values]
    displaced, displaced_wins = np.zeros((2, *is_semantic.shape), dtype=bool)
    for i, mixture in enumerate(weights):
        values = mixture @ basis
        lowest = np.where(_local_minima(values), values, np.inf)[:, :-1].min(axis=1)
        displaced[i] = np.isfinite(lowest) & ~at_corner[i]
        displaced_wins[i] = displaced[i] & (lowest < values[:, -1])
    semantic_wins = np.where(at_corner, corner_wins, ~displaced_wins)
    labels = _label(is_semantic, at_corner | displaced, semantic_wins, escapes_semantic)
    if not search:
        return PhaseLabels(labels, displaced)
    found = search_disk(np.concatenate(weights))
    again = _label(found.semantic, found.corner | found.displaced, found.lead < 0, found.escape < 0)
    same = (again == labels.ravel()) & (found.displaced == displaced.ravel()) & found.complete
    return PhaseLabels(labels, displaced, confirmed=same.reshape(labels.shape))


def _label(
    is_semantic: NDArray[np.bool_],
    is_positional: NDArray[np.bool_],
    semantic_wins: NDArray[np.bool_],
    escapes_semantic: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The places in `REGIONS`, from which minima there are, which of them is lower, and where SGD escapes."""
    return np.select(
        [
            is_positional & ~is_semantic,
            is_positional & ~semantic_wins,
            is_positional & ~escapes_semantic,
            ~is_positional & ~escapes_semantic,
            is_positional,
        ],
        list(range(5)),
        default=5,
    )


def _semantic_minimum(found: AffineLandscape, omegas: Array) -> NDArray[np.bool_]:
    curvature = found.semantic_curvature - found.semantic_radial
    return np.asarray((found.semantic_radial.at(omegas) <= 0) & (curvature.at(omegas) > 0))


def _positional_minimum(found: AffineLandscape, omegas: Array) -> NDArray[np.bool_]:
    curvature = found.positional_curvature - found.positional_radial
    return np.asarray((found.positional_radial.at(omegas) <= 0) & (curvature.at(omegas) > 0))


def _semantic_is_lower(found: AffineLandscape, omegas: Array) -> NDArray[np.bool_]:
    return np.asarray((found.semantic_loss - found.positional_loss).at(omegas) < 0)


def _semantic_escape(found: AffineLandscape, omegas: Array) -> NDArray[np.bool_]:
    return np.asarray((found.hessian_mm - found.hessian_ee).at(omegas) < 0)


def _mixture(a: float, omegas: Array) -> Array:
    """The weights of the three functions of `phase_search` for each omega, shape (len(omegas), 3)."""
    p = 1 / (1 + math.exp(-2 * a * a))
    return np.stack([np.ones_like(omegas), 1 - omegas, omegas * (2 * p - 1)], axis=1)


@functools.lru_cache(maxsize=8)
def _rim_values(points: int) -> Array:
    """Three functions on the quarter circle, from the positional to the semantic corner, whose combinations are
    R up to a constant.
    """
    angle = np.linspace(0, np.pi / 2, points)
    m, eps = np.sin(angle), np.cos(angle)
    family = positional_semantic_family()
    model_only = family.at([0.0, 0.0, 0.0]).value(m, eps)
    softmax, diagonal = family.at([1.0, 0.0, 0.0]), family.at([0.0, 1.0, 0.0])
    of_targets = [loss.value(m, eps) - loss.target_norm2 - model_only for loss in (softmax, diagonal)]
    return np.stack([model_only, *of_targets])


def _local_minima(values: Array) -> NDArray[np.bool_]:
    """Entries of rows below their neighbours (R is even: the ends of the quarter reflect)."""
    result = np.ones(values.shape, dtype=bool)
    rises = values[:, 1:] > values[:, :-1]
    result[:, :-1] &= rises
    result[:, 1:] &= ~rises
    return result


@dataclass(frozen=True)
class GaussianConstant:
    """A Gaussian integral that occurs in a boundary: its symbol, definition (LaTeX), value and error."""

    symbol: sp.Symbol
    definition: str
    value: float
    error: float


@dataclass(frozen=True)
class BoundaryFormula:
    """A transition: the `condition` on omega for the phase, `solution` = omega there, both in `constants` and
    a."""

    name: str
    condition: sp.Rel
    solution: sp.Expr
    constants: tuple[GaussianConstant, ...]

    def value(self, a: float) -> float:
        """The solution at a number a."""
        numbers = {constant.symbol: constant.value for constant in self.constants}
        exact = self.solution.subs(SCALE, a).replace(sigmoid, lambda x: 1 / (1 + sp.exp(-x)))
        return float(exact.subs(numbers))

    @property
    def latex(self) -> str:
        """`omega = solution`, then the definitions of its constants."""
        lines = [rf"\omega = {sp.latex(self.solution)}"]
        lines += [rf"{sp.latex(c.symbol)} = {c.definition} \approx {c.value:.10g}" for c in self.constants]
        return r" \\ ".join(lines)


OMEGA, SCALE = sp.Symbol("omega", real=True), sp.Symbol("a", positive=True)
"""The mixture weight and the positional scale of `boundary_formulas`."""


def _constants() -> dict[str, GaussianConstant]:
    """The integrals that have no closed form; f(e) = E S_11(Z + e c), n(e) = E|s(Z + e c)|^2 in the
    definitions."""
    table = _positional_semantic_table()
    linear, constant, error = table.linear, table.constant, float(table.errors.max())
    entries = [
        ("kappa", "kappa", r"2 \sum_{|b|=2} |C_b(s)|^2 / b!", -linear[0, 0] / 2),
        (
            "alpha",
            "alpha",
            r"\tfrac12 C_{cc}(|s|^2) - \langle C_0(s), C_{cc}(s) \rangle",
            (constant[2] + linear[2, 0]) / 2,
        ),
        ("n2", "n_0''", r"C_{cc}(|s|^2)", constant[2]),
        ("D", "D", r"\mathbb{E} \sum_l |\partial_l s(Z)|^2", -linear[3, 0] / 2),
        ("J", "J", r"\mathbb{E} \langle s(Z), (c \cdot \partial)^2 s(Z) \rangle", -linear[5, 0] / 2),
        ("n0", "n_0", r"\mathbb{E} |s(Z)|^2", constant[6]),
        ("n1", "n_1", r"\mathbb{E} |s(Z+c)|^2", constant[10]),
        ("slope", "n_1'", r"C_c(|s(\cdot + c)|^2)", constant[7]),
        ("f1", "f_1", r"\mathbb{E} S_{11}(Z+c)", -linear[10, 1] / 4),
        ("f1_slope", "f_1'", r"C_c(S_{11}(\cdot + c))", -linear[7, 1] / 4),
        (
            "kappa1",
            "kappa_1",
            r"2 \sum_{|b|=2} \langle C_b(s), C_b(s(\cdot + c)) \rangle / b!",
            -linear[9, 0] / 2,
        ),
    ]
    return {
        key: GaussianConstant(sp.Symbol(symbol, real=True), definition, float(value), error)
        for key, symbol, definition, value in entries
    }


@functools.lru_cache(maxsize=1)
def boundary_formulas() -> dict[str, BoundaryFormula]:
    r"""The four transitions as expressions in omega, a and Gaussian integrals, solved for omega.

    With p = sigmoid(2 a^2), E S_11 = f_0 = 1 - sqrt2/4 and C_cc(S_11) = sqrt2/4 exactly (theory section 9),
    and <A, s> = 2 (1-p) + (2p-1)(S_11 + S_22), E S_11(Z + e c) = E S_22(Z + e c) by symmetry.  The dynamics
    boundary is omega_c = (alpha + kappa)/(kappa + b(a)), b(a) = sqrt2 (p - f_0).  R_m <= 0 always holds at the semantic
    corner; at the positional one R_mm <= 0 for omega <= 1, so that R_mm - R_e > 0 implies R_e <= 0.

    >>> boundary_formulas()["dynamics"].solution.free_symbols == {sp.Symbol("alpha", real=True),
    ...     sp.Symbol("kappa", real=True), SCALE}
    True
    """
    known = _constants()
    x = {key: constant.symbol for key, constant in known.items()}
    p, f0, f2 = sigmoid(2 * SCALE**2), 1 - sp.sqrt(2) / 4, sp.sqrt(2) / 4
    mix = (1 - OMEGA) * (2 * f0 - 1) + OMEGA * (2 * p - 1)
    # each quantity is positive exactly where the phase named by its key exists
    quantities = {
        "dynamics": (x["alpha"] - OMEGA * sp.sqrt(2) * (p - f0)) + x["kappa"] * (1 - OMEGA),
        "semantic_minimum": x["n2"]
        - 2 * (1 - OMEGA) * x["J"]
        - 4 * OMEGA * (2 * p - 1) * f2
        + 2 * (1 - OMEGA) * x["D"],
        "positional_minimum": 4 * x["f1_slope"] * mix - x["slope"] - 2 * (1 - OMEGA) * x["kappa1"],
        "global_minimum": x["n1"]
        - x["n0"]
        + 2 * (1 - OMEGA) * (x["n0"] - 2 * (1 - f0) - 2 * (2 * f0 - 1) * x["f1"])
        + 4 * OMEGA * (2 * p - 1) * (f0 - x["f1"]),
    }
    formulas = {}
    for name, quantity in quantities.items():
        start = sp.expand(quantity.subs(OMEGA, 0))
        end = sp.expand(quantity.subs(OMEGA, 1))
        solution = sp.cancel(start / (start - end))
        used = tuple(c for c in known.values() if c.symbol in solution.free_symbols)
        formulas[name] = BoundaryFormula(name, sp.Gt(quantity, 0), solution, used)
    return formulas


def trapping_scale() -> Boundary:
    r"""The a below which the start is a minimum at omega = 1: b(a) = alpha, so H has no negative eigenvalue.

    App. F.1 says that the Hessian always has one; at omega = 1 H_mm = 0 and H_ee/2 = alpha - b(a).

    >>> round(float(trapping_scale()), 4)
    0.7244
    """
    alpha = _constants()["alpha"]
    p = 1 - math.sqrt(2) / 4 + alpha.value / math.sqrt(2)
    a = math.sqrt(math.log(p / (1 - p)) / 2)
    return Boundary(a, alpha.error / (math.sqrt(2) * 4 * a * p * (1 - p)))


def aligned_alternative(omega: float) -> tuple[SpectralLoss, Array]:
    r"""The model of App. F.3, without transition: target softmax_rows(v v^T), v = z* + omega c, w* =
    sqrt(1-omega^2) w_s + omega u.  Returns R and Gamma = [[1, omega], [omega, 1]]; the global minimum R = 0
    is at (m, eps) = (1, omega).
    """
    if not 0 <= omega < 1:
        raise DomainError(f"omega = {omega}: w* has the positional part omega u, 0 <= omega < 1")
    shift = omega * np.array([[1.0], [-1.0]])
    loss = spectral_loss(lambda z: softmax_matrix(z + shift), softmax_matrix, [[1.0], [-1.0]])
    return loss, np.array([[1.0, omega], [omega, 1.0]])


__all__ = [
    "OMEGA",
    "REGIONS",
    "SCALE",
    "AffineLandscape",
    "Boundary",
    "BoundaryFormula",
    "GaussianConstant",
    "LandscapeTable",
    "Minimum",
    "PhaseBoundaries",
    "PhaseLabels",
    "affine_landscape",
    "aligned_alternative",
    "boundary_formulas",
    "landscape_table",
    "minima",
    "phase_boundaries",
    "phase_labels",
    "positional_semantic_landscape",
    "region",
    "trapping_scale",
]
