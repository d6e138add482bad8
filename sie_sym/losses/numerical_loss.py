r"""The population loss as a float64 function of (m, eps), for every target and model.

A loss in closed form is evaluated as it stands; one that keeps Gaussian expectations (softmax, tanh, ...) is tabulated
once from the functions g and phi themselves, by another route than its symbolic form: on grids up to 5 tokens
(`loss_family`), by randomised quasi-Monte Carlo beyond (`sampled_table`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import FormulaError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.linear_forms import written_out
from sie_sym.losses.loss_family import spectral_loss, target_loss
from sie_sym.losses.model_table import ModelTable, model_table
from sie_sym.losses.sampled_table import sampled_tables
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.model import Model
from sie_sym.numeric import LossFunction, NumericFunction, numeric_function, numeric_loss
from sie_sym.population_loss import PopulationLoss, require_compatible
from sie_sym.quadratures.quadrature import DEFAULT_NODES, Array
from sie_sym.quadratures.scrambled_sobol import confidence
from sie_sym.target import Target
from sie_sym.transforms.transform import Transform

MOST_GRID_TOKENS = max(DEFAULT_NODES)
"""Tables of more tokens are sampled."""


@dataclass(frozen=True, eq=False)
class NumericalLoss:
    """R(m, eps_1, ...) tabulated, with its gradient and Hessian; `statistics` names the arguments.

    Methods take numbers or arrays that broadcast, within the ball m^2 + |eps|^2 <= 1.  `error` bounds (truncation) and
    estimates (grids; 99.9% confidence of samples) the error of `value`.  A sampled table is the mean of `replicates`,
    independent ones whose scatter is the error of all that is made of it; tables of grids have none.
    """

    statistics: tuple[sp.Symbol, ...]
    table: SpectralLoss
    replicates: tuple[SpectralLoss, ...] = ()

    evidence = Evidence.NUMERICAL

    def value(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """R."""
        return self.table.value(m, *eps)

    def gradient(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """(R_m, R_eps1, ...), shape (1 + r, ...)."""
        return self.table.gradient(m, *eps)

    def hessian(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """The second derivatives, shape (1 + r, 1 + r, ...)."""
        return self.table.hessian(m, *eps)

    def error(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """The error of `value`."""
        return replicated_error(
            self.table, self.replicates, lambda table: table.error(m, *eps), lambda table: table.value(m, *eps)
        )


def replicated_error(
    table: SpectralLoss,
    replicates: tuple[SpectralLoss, ...],
    error: Callable[[SpectralLoss], Array],
    value: Callable[[SpectralLoss], Array],
) -> Array:
    """The error of what a table says: by its own account, with replicates what they scatter and what is cut off."""
    if not replicates:
        return error(table)
    cut = error(replace(table, overlap_error=np.zeros(1), norm_error=0.0))
    return cut + confidence(np.stack([value(each) for each in replicates]))


def tabulated_loss(target: Target, model: Model, order: int | None = None) -> NumericalLoss:
    """The loss of a target and a model from their functions alone, sampled from 6 tokens on.

    Raises `FormulaError` if parameters are left free or target and model do not fit together, `TruncationError` when
    the table would not fit into memory or its samples take minutes.

    >>> from sie_sym.functions import He
    >>> from sie_sym.model import linear_attention
    >>> loss = tabulated_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2))
    >>> round(float(loss.value(0.5)), 10)    # 7 - 4 m^2
    6.0
    """
    require_tabulated(target, model)
    if model.tokens > MOST_GRID_TOKENS:
        return NumericalLoss(model.statistics, *_sampled(target, model, order))
    degree = polynomial_degree(target)
    table = _model_table(model, degree if order is None else order)
    loss = target_loss(_function(target.components, target.tokens), table, degree=degree)
    return NumericalLoss(model.statistics, _uncut(loss, degree))


def require_tabulated(target: Target, model: Model) -> None:
    """Refuse what no table can hold; errors: see `tabulated_loss`."""
    require_compatible(target, model)
    left = sorted({str(p) for p in (*target.parameters, *model.parameters)})
    if left:
        raise FormulaError(f"{', '.join(left)} left free where numbers are needed: pass --param NAME=VALUE")


def table_of(
    left: Callable[[Array], Array],
    right: Callable[[Array], Array],
    model: Model,
    degree: int | None,
    order: int | None,
    nodes: int | None = None,
) -> SpectralLoss:
    """The table of a function of z* against one of z; `degree` is that of a polynomial `left`."""
    order = degree if order is None else order
    return _uncut(spectral_loss(left, right, encoding_matrix(model), order=order, nodes=nodes, degree=degree), degree)


@lru_cache(maxsize=2)
def _sampled(target: Target, model: Model, order: int | None) -> tuple[SpectralLoss, tuple[SpectralLoss, ...]]:
    """Kept, as the samples take seconds."""
    phi = _function(model.components, model.tokens)
    return sampled_tables(target.components, phi, encoding_matrix(model), order=order)


@lru_cache(maxsize=1)
def _model_table(model: Model, order: int | None) -> ModelTable:
    """What the losses of all targets share, kept for the next one; it may take a good part of the memory."""
    return model_table(_function(model.components, model.tokens), encoding_matrix(model), order=order)


def encoding_matrix(model: Model) -> Array:
    """C as floats, (L, r)."""
    return np.array(model.encoding.tolist(), dtype=float).reshape(model.tokens, model.encoding.cols)


def _uncut(table: SpectralLoss, degree: int | None) -> SpectralLoss:
    """Nothing of a polynomial is cut off, whatever rounding left."""
    return table if degree is None or table.order < degree else replace(table, target_tail=0.0)


def loss_function(loss: Any) -> LossFunction:
    """A loss as numbers: a population loss that keeps expectations as its table, any other as `numeric_loss` reads it.

    >>> from sie_sym.model import softmax_attention
    >>> from sie_sym.population_loss import population_loss
    >>> loss = population_loss(Target.of(token(1) * token(2)), softmax_attention(2, "trace"))
    >>> type(loss_function(loss)).__name__
    'NumericalLoss'
    """
    if isinstance(loss, PopulationLoss) and loss.expression.has(GaussianExpectation):
        return tabulated_loss(loss.target, loss.model)
    return numeric_loss(loss)


def _function(components: tuple[sp.Expr, ...], tokens: int) -> NumericFunction:
    symbols = [token(l) for l in range(1, tokens + 1)]
    return numeric_function(symbols, [written_out(component) for component in components])


def polynomial_degree(target: Target) -> int | None:
    """The degree of a polynomial target, None for others."""
    transforms: tuple[Transform, ...] = HermiteExpansion.of(target.components, target.tokens).transforms
    degrees = [transform.degree for transform in transforms]
    return None if None in degrees else max((d for d in degrees if d is not None), default=0)
