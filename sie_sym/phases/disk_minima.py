r"""All local minima of a population loss on the domain of its statistics (m, eps), by a search of the whole
disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.quadratures.quadrature import Array

if TYPE_CHECKING:
    from sie_sym.numeric import LossFunction


@dataclass(frozen=True)
class Minimum:
    """A local minimum of R on the domain: its place, value (with error), and whether it lies on the rim."""

    m: float
    eps: float
    value: float
    error: float
    on_rim: bool


def minima(loss: LossFunction | SpectralLoss, gram: ArrayLike | None = None, *, resolution: int = 96) -> list[Minimum]:
    r"""All local minima of R on s^T Gamma^{-1} s <= 1, s = (m, eps), lowest first (one encoding column).

    A polar grid of `resolution` x 4 `resolution` points (Gamma = identity: the disk) finds the basins; Newton
    steps inside or along the rim finish.  Minima closer together than the grid's step are not told apart, and a
    valley along which R is constant is none.
    `loss` is a table or any function of (m, eps) with its derivatives (then `error` is that of rounding).  Raises
    `DomainError` for other numbers of encoding columns or a Gamma that is not positive definite.

    >>> from sie_sym.losses.loss_family import positional_semantic_loss
    >>> [(abs(round(x.m, 6)), abs(round(x.eps, 6))) for x in minima(positional_semantic_loss(0.3))]
    [(1.0, 0.0), (1.0, 0.0)]
    """
    columns = loss.encoding.shape[1] if isinstance(loss, SpectralLoss) else len(loss.statistics) - 1
    if columns != 1:
        raise DomainError(f"the loss has {columns} encoding columns: minima searches a disk (one column)")
    try:
        root = np.linalg.cholesky(np.eye(2) if gram is None else np.asarray(gram, dtype=float))
    except np.linalg.LinAlgError as error:
        raise DomainError(f"Gamma = {gram!r} is not positive definite") from error
    angle = 2 * np.pi * np.arange(4 * resolution) / (4 * resolution)
    radius = np.linspace(1, 0, resolution + 1)[:-1]
    points = radius * np.stack([np.cos(angle), np.sin(angle)])[..., None]
    values = _at(loss.value, root, points)
    if float(np.ptp(values)) <= 1e-13 * float(np.abs(values).max()):
        return []  # constant: no point is lower than another
    lower = np.ones(values.shape, dtype=bool)
    for step in (1, -1):
        lower &= values <= np.roll(values, step, axis=0)
    lower[:, 1:] &= values[:, 1:] <= values[:, :-1]
    lower[:, :-1] &= values[:, :-1] <= values[:, 1:]
    # at the centre of the polar grid: a minimum there shows up as none or many of the innermost points
    starts = [points[:, i, j] for i, j in np.argwhere(lower)]
    if float(_at(loss.value, root, np.zeros(2))) <= values[:, -1].min():
        starts.append(np.zeros(2))
    found: list[Minimum] = []
    for start in starts:
        y, on_rim = _descend(loss, root, start)
        if y is None:
            continue
        m, eps = (float(x) for x in np.clip(root @ y, -1, 1))
        if all(math.hypot(m - other.m, eps - other.eps) > 1e-5 for other in found):
            value = float(loss.value(m, eps))
            estimate = getattr(loss, "error", None)
            found.append(Minimum(m, eps, value, float(estimate(m, eps)) if estimate else 4 * math.ulp(value), on_rim))
    return sorted(found, key=lambda minimum: minimum.value)


def _at(function: Callable[..., Array], root: Array, y: Array) -> Array:
    """A function of (m, eps) at s = root y (clipped: rounding may leave the domain by an ulp)."""
    m, eps = np.clip(np.tensordot(root, y, axes=1), -1.0, 1.0)
    return function(m, eps)


def _descend(loss: LossFunction | SpectralLoss, root: Array, start: Array) -> tuple[Array | None, bool]:
    """The critical point that Newton steps on the closed unit disk reach from `start`; None if it is no
    minimum."""
    y = start
    on_rim = float(np.linalg.norm(y)) > 1 - 1e-9
    for _ in range(60):
        slope = root.T @ _at(loss.gradient, root, y)
        curvature = root.T @ _at(loss.hessian, root, y) @ root
        if on_rim and float(slope @ y) <= 1e-12:
            along = np.array([-y[1], y[0]])
            second = float(along @ curvature @ along - slope @ y)
            first = float(along @ slope)
            if abs(first) < 1e-14:
                return (y if second > 0 else None), True
            turn = np.clip(-first / abs(second), -0.05, 0.05) if second else -math.copysign(0.05, first)
            y = math.cos(turn) * y + math.sin(turn) * along
            if abs(turn) < 1e-12:
                return (y if second > 0 else None), True
            continue
        eigenvalues, vectors = np.linalg.eigh(curvature)
        scaled = vectors.T @ slope / np.maximum(np.abs(eigenvalues), 1e-12)
        move = -vectors @ scaled
        move *= min(1.0, 0.05 / max(float(np.linalg.norm(move)), 1e-300))
        y = y + move
        on_rim = float(np.linalg.norm(y)) >= 1
        if on_rim:
            y = y / np.linalg.norm(y)
        elif float(np.linalg.norm(move)) < 1e-12:
            return (y if eigenvalues[0] > 0 else None), False
    return None, on_rim
