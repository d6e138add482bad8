r"""The phase diagram of the positional-semantic model (arXiv:2506.02651, section 4, Fig. 4 and App. F), L =
2.

Target (1-omega) softmax_rows(z z^T) + omega A, A = softmax_rows(a^2 [[1,-1],[-1,1]]), model softmax, C = (1,
-1). `phase_boundaries` evaluates the transitions in omega (`phase_formulas` has them as expressions), `region` and
`phase_labels` name the phases.  Two things go beyond the corner conditions of the paper: the rim is searched for minima
that have left their corner (`rim`), and a search of the whole disk confirms each label (`phase_search`); `minima` finds
those of a single loss.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sie_sym.errors import DomainError
from sie_sym.losses.loss_family import spectral_loss
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.phases.affine_landscape import AffineLandscape, PhaseBoundaries
from sie_sym.phases.disk_minima import Minimum, minima
from sie_sym.phases.phase_search import search as search_disk
from sie_sym.phases.positional_semantic import corner_table, mixture, positional_weight
from sie_sym.phases.rim import Rim
from sie_sym.quadratures.quadrature import Array
from sie_sym.quadratures.spectral import softmax_matrix

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


def positional_semantic_landscape(a: float) -> AffineLandscape:
    """The landscape quantities of the positional-semantic model as functions of omega (theory section 8).

    Those of R - 4 E|t|^2, t the target of one output in `positional_semantic`.  Raises `DomainError` unless a > 0.
    """
    return corner_table().along([1.0, 0.0], [0.0, float(positional_weight(a))])


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

    The corners are decided by Gaussian integrals at the corners; a positional minimum away from its corner by the
    derivative of R at the nodes of `rim` intervals of the quarter circle.  `search` finds every label again without
    either: from tables of another order and on other grids, where the zeros of the derivative are counted between the
    nodes, after a check that there is no minimum inside (`phase_search`), and from the Hessian of the tabulated loss at
    the start.  What bounds the functions between the nodes, max|T''| above all, is estimated from their values at
    nodes: the evidence is `numerical`, strong but no proof.  Raises `DomainError` unless a is positive.
    """
    a_values, omegas = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (a_grid, omega_grid))
    weights = mixture(a_values[:, None], omegas)
    # The signs themselves, not their roots: below a = 0.55 a condition changes the side on which it holds.
    semantic_out, semantic_across, corner_out, corner_across, lead, escape = np.moveaxis(weights @ _conditions(), -1, 0)
    is_semantic = (semantic_out <= 0) & (semantic_across > 0)
    at_corner = (corner_out <= 0) & (corner_across > 0)
    nodes = _rim(rim)
    displaced = nodes.displaced(a_values, omegas)
    place, bottom = nodes.minima(weights[displaced], weights[displaced] @ nodes.slope)
    lowest = np.full(int(displaced.sum()), np.inf)
    np.minimum.at(lowest, place, bottom)
    semantic_wins = lead < 0  # a minimum next to a corner that is none lies lower than the corner
    semantic_wins[displaced] &= lowest >= weights[displaced] @ corner_table().form("semantic_loss")
    labels = _label(is_semantic, at_corner | displaced, semantic_wins, escape < 0)
    if not search:
        return PhaseLabels(labels, displaced)
    found = search_disk(weights.reshape(-1, 3))
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


@functools.lru_cache(maxsize=1)
def _conditions() -> Array:
    """The corner conditions and the escape from the start as linear forms of (1, 1-omega, omega p), in columns."""
    form = corner_table().form
    return np.stack(
        [
            form("semantic_radial"),
            form("semantic_curvature") - form("semantic_radial"),
            form("positional_radial"),
            form("positional_curvature") - form("positional_radial"),
            form("semantic_loss") - form("positional_loss"),
            form("hessian_mm") - form("hessian_ee"),
        ],
        axis=1,
    )


_rim = functools.lru_cache(maxsize=4)(Rim.of)


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
    "REGIONS",
    "Minimum",
    "PhaseBoundaries",
    "PhaseLabels",
    "aligned_alternative",
    "minima",
    "phase_boundaries",
    "phase_labels",
    "positional_semantic_landscape",
    "region",
]
