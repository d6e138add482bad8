r"""Builds the population losses of numeric targets and models, and of all linear combinations of some
targets.

R is bilinear in the target apart from E|g|^2 (theory section 4): a `LossFamily` holds the table of several
targets, and the loss of any linear combination of them, such as every (omega, a) of section 4 of the paper,
costs microseconds.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError
from sie_sym.losses.model_table import ModelTable, model_table
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.quadratures.gauss_hermite import HIGHEST_DEGREE, polynomial_coefficients
from sie_sym.quadratures.hermite_grid import parity_of, smooth_coefficients, spanned_coefficients
from sie_sym.quadratures.quadrature import Array, NumericFunction
from sie_sym.quadratures.spectral import SpectralExpansion, hermite_coefficients, softmax_matrix

_ROUNDING = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class LossFamily:
    r"""The losses of all linear combinations g = sum_i w_i g_i of n targets against one model, from one
    table.

    `gram` holds E g_i.g_j and `tails` its part beyond `order`; `overlaps[i]`, `overlap_errors[i]` are those
    of `SpectralLoss` for g_i.
    """

    encoding: Array
    frame: Array
    order: int
    gram: Array
    tails: Array
    overlaps: Array
    model_norm2: Array
    model_tail: Array
    overlap_errors: Array
    norm_error: float

    def at(self, weights: ArrayLike) -> SpectralLoss:
        """The loss of the target sum_i w_i g_i (microseconds)."""
        w = np.asarray(weights, dtype=float)
        if w.shape != (len(self.gram),):
            raise DomainError(f"weights of shape {w.shape}: give {len(self.gram)} numbers, one a target of the family")
        size = max(1.0, float(np.abs(w).sum()) ** 2)
        norm2 = float(w @ self.gram @ w)
        return SpectralLoss(
            self.encoding,
            self.frame,
            self.order,
            norm2,
            # the difference of two floats; 0 is kept for targets of which nothing is cut off
            max(float(w @ self.tails @ w), _ROUNDING * norm2),
            (w @ self.overlaps.reshape(len(w), -1)).reshape(self.overlaps.shape[1:]),
            self.model_norm2,
            self.model_tail,
            np.abs(w) @ self.overlap_errors,
            size * self.norm_error,
        )


def spectral_loss(
    target: NumericFunction,
    model: NumericFunction,
    encoding: ArrayLike,
    *,
    order: int | None = None,
    nodes: int | None = None,
    degree: int | None = None,
) -> SpectralLoss:
    """The loss of numeric g and phi, (L, N) -> (k, N), with encoding C of shape (L, r); see `loss_family`."""
    return target_loss(target, model_table(model, encoding, order=order, nodes=nodes), nodes=nodes, degree=degree)


def target_loss(
    target: NumericFunction, table: ModelTable, *, nodes: int | None = None, degree: int | None = None
) -> SpectralLoss:
    """The loss of another target for a model whose table is at hand: under a millisecond for smooth ones, L <= 2.

    >>> table = model_table(lambda z: z[:1] ** 2, [[1.0]])
    >>> float(target_loss(lambda z: np.cos(z[:1]), table).value(0.5, 0.0).round(9))    # (1 + e^-2)/2 - 1.5 e^(-1/2) + 3
    2.657871652
    """
    function, basis = _rotated(target, table.rotation), table.basis
    if basis is None or nodes is not None or degree is not None:
        e = _expansion(function, table, nodes, degree)
        overlaps, errors = table.overlaps(e.coefficients[None])
        norm2, norm2_error = e.norm2, e.norm2_error
    else:  # what the model does not span has a mean and a norm
        e, moments = spanned_coefficients(function, len(table.encoding), table.order, basis)
        overlaps, errors = table.overlaps(e.coefficients[None], moments.mean[None])
        norm2, norm2_error = moments.norm2, max(e.norm2_error, moments.norm2_error)
    return SpectralLoss(
        table.encoding,
        table.frame,
        table.order,
        norm2,
        max(e.tail, _ROUNDING * norm2),
        overlaps[0],
        table.norm2,
        table.tail,
        errors[0] + table.weights * e.errors,
        norm2_error + table.norm_error,
    )


def loss_family(
    targets: Sequence[NumericFunction],
    model: NumericFunction,
    encoding: ArrayLike,
    *,
    constants: ArrayLike = (),
    order: int | None = None,
    nodes: int | None = None,
    degrees: Sequence[int | None] = (),
) -> LossFamily:
    """The family of some targets, (L, N) -> (k, N), for a numeric model; see `model_table` and `family_of`."""
    table = model_table(model, encoding, order=order, nodes=nodes)
    return family_of(targets, table, constants=constants, nodes=nodes, degrees=degrees)


def family_of(
    targets: Sequence[NumericFunction],
    table: ModelTable,
    *,
    constants: ArrayLike = (),
    nodes: int | None = None,
    degrees: Sequence[int | None] = (),
) -> LossFamily:
    r"""The losses of a family of targets for the model of a table.

    The family is `targets` followed by the constant targets `constants`, of shape (c, k), which cost nothing.
    `nodes` a token are those of `hermite_coefficients` (default: `smooth_coefficients` chooses); `degrees` says which
    targets are polynomials of what degree: theirs are the rules of `gauss_hermite`.  Raises `DomainError` if targets
    and model differ in their number of outputs.
    """
    tokens, K, k, n = len(table.encoding), table.order, table.outputs, len(targets)
    functions = [_rotated(target, table.rotation) for target in targets]
    vectors = np.reshape(np.asarray(constants, dtype=float), (-1, k))
    expansions = [
        _expansion(f, table, nodes, degree) for f, degree in zip(functions, degrees or [None] * n, strict=True)
    ]
    constant = np.zeros((len(vectors), k, *[K + 1] * tokens))
    constant.reshape(len(vectors), k, (K + 1) ** tokens)[:, :, 0] = vectors
    parts = [*(e.coefficients[None] for e in expansions), constant]
    coefficients = parts[0] if len(vectors) + n == 1 else np.concatenate(parts)
    gram, gram_error = _gram(functions, expansions, vectors, nodes)
    tails = np.zeros_like(gram)
    flat = coefficients[:n].reshape(n, -1)
    tails[:n, :n] = gram[:n, :n] - flat @ flat.T
    overlaps, overlap_errors = table.overlaps(coefficients)
    for row, expansion in zip(overlap_errors, expansions, strict=False):
        row += table.weights * expansion.errors
    return LossFamily(
        table.encoding,
        table.frame,
        K,
        gram,
        tails,
        overlaps,
        table.norm2,
        table.tail,
        overlap_errors,
        gram_error + table.norm_error,
    )


def _expansion(
    function: NumericFunction, table: ModelTable, nodes: int | None, degree: int | None
) -> SpectralExpansion:
    """The coefficients of a target in the coordinates of a table."""
    tokens, order = len(table.encoding), table.order
    if degree is not None and degree <= HIGHEST_DEGREE:
        found = polynomial_coefficients(function, tokens, order, degree)
    elif nodes is None:
        found = smooth_coefficients(function, tokens, order)
    else:
        found = hermite_coefficients(function, tokens, order, nodes=nodes, parity=parity_of(function, tokens))
    outputs = len(found.coefficients)
    if outputs != table.outputs:
        raise DomainError(f"targets and model have {sorted({outputs, table.outputs})} outputs: they must agree")
    return found


def _rotated(function: NumericFunction, rotation: Array) -> NumericFunction:
    return lambda y: np.reshape(function(rotation @ y), (-1, y.shape[1]))


def _gram(
    functions: Sequence[NumericFunction], expansions: Sequence[SpectralExpansion], vectors: Array, nodes: int | None
) -> tuple[Array, float]:
    """All inner products of the functions and the constant vectors, and the largest error of one."""
    n = len(functions)
    gram = np.zeros((n + len(vectors), n + len(vectors)))
    means = np.stack([e.coefficients.reshape(len(e.coefficients), -1)[:, 0] for e in expansions])
    gram[:n, n:] = means @ vectors.T
    gram[n:, :n] = gram[:n, n:].T
    gram[n:, n:] = vectors @ vectors.T
    error = max(e.norm2_error for e in expansions)
    error = max(
        error, max(float(e.errors[0]) for e in expansions) * float(np.abs(vectors).sum(axis=-1).max(initial=0.0))
    )
    for i, e in enumerate(expansions):
        gram[i, i] = e.norm2
    if n > 1:
        pairs = list(itertools.combinations(range(n), 2))

        def products(y: Array) -> Array:
            values = [f(y) for f in functions]
            return np.stack([np.einsum("kn,kn->n", values[i], values[j]) for i, j in pairs])

        inner = hermite_coefficients(products, expansions[0].tokens, 0, nodes=nodes)
        for (i, j), product in zip(pairs, inner.coefficients.reshape(-1), strict=True):
            gram[i, j] = gram[j, i] = product
        error = max(error, inner.error)
    return gram, error


@functools.lru_cache(maxsize=2)
def positional_semantic_family(order: int = 80) -> LossFamily:
    """The table of section 4 of the paper: targets softmax, identity, all ones; model softmax, L = 2, C = (1,
    -1)."""
    matrices = [np.eye(2).ravel(), np.ones(4)]
    return loss_family([softmax_matrix], softmax_matrix, [[1.0], [-1.0]], constants=matrices, order=order)


def positional_semantic_loss(omega: float, a: float = 1.0) -> SpectralLoss:
    r"""R(m, eps) for the target (1-omega) softmax(z z^T) + omega A, A = softmax_rows(a^2 [[1,-1],[-1,1]]).

    From one cached table: microseconds a call.  Source: arXiv:2506.02651, section 4 and App. F.

    >>> float(positional_semantic_loss(0.67).value(0.5, 0.3).round(9))
    0.238829094
    """
    p = 1 / (1 + math.exp(-2 * a * a))
    return positional_semantic_family().at([1 - omega, omega * (2 * p - 1), omega * (1 - p)])
