r"""The population loss as a float64 function of (m, eps), for every target and model.

A loss in closed form is evaluated as it stands; one that keeps Gaussian expectations (softmax, tanh, ...) is tabulated
once from the functions g and phi themselves (`loss_family`), by another route than its symbolic form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import FormulaError, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.linear_forms import written_out
from sie_sym.loss_family import spectral_loss, target_loss
from sie_sym.model import Model
from sie_sym.model_table import ModelTable, model_table
from sie_sym.numeric import LossFunction, NumericFunction, numeric_function, numeric_loss
from sie_sym.population_loss import PopulationLoss, require_compatible
from sie_sym.quadrature import DEFAULT_NODES, Array
from sie_sym.spectral_loss import SpectralLoss
from sie_sym.target import Target
from sie_sym.transform import Transform


@dataclass(frozen=True, eq=False)
class NumericalLoss:
    """R(m, eps_1, ...) tabulated, with its gradient and Hessian; `statistics` names the arguments.

    Methods take numbers or arrays that broadcast, within the ball m^2 + |eps|^2 <= 1.  `error` bounds (truncation) and
    estimates (grids) the error of `value`.
    """

    statistics: tuple[sp.Symbol, ...]
    table: SpectralLoss

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
        return self.table.error(m, *eps)


def tabulated_loss(target: Target, model: Model, order: int | None = None) -> NumericalLoss:
    """The loss of a target and a model from their functions alone, up to 5 tokens.

    Raises `FormulaError` if parameters are left free or target and model do not fit together, `TruncationError` for
    more tokens and when the table would not fit into memory.

    >>> from sie_sym.functions import He
    >>> from sie_sym.model import linear_attention
    >>> loss = tabulated_loss(Target.of(He(2, token(1)) + He(2, token(2))), linear_attention(2))
    >>> round(float(loss.value(0.5)), 10)    # 7 - 4 m^2
    6.0
    """
    require_tabulated(target, model)
    degree = polynomial_degree(target)
    table = _model_table(model, degree if order is None else order)
    loss = target_loss(_function(target.components, target.tokens), table, degree=degree)
    return NumericalLoss(model.statistics, _uncut(loss, degree))


def require_tabulated(target: Target, model: Model) -> None:
    """Refuse what no table can hold; errors: see `tabulated_loss`."""
    require_compatible(target, model)
    if model.tokens > max(DEFAULT_NODES):
        raise TruncationError(
            f"a loss of {model.tokens} tokens: tables reach {max(DEFAULT_NODES)}; for more, estimate coefficients with "
            "`hermite_coefficients` (a confidence interval) or simulate SGD"
        )
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
    return _uncut(spectral_loss(left, right, _encoding(model), order=order, nodes=nodes, degree=degree), degree)


@lru_cache(maxsize=1)
def _model_table(model: Model, order: int | None) -> ModelTable:
    """What the losses of all targets share, kept for the next one; it may take a good part of the memory."""
    return model_table(_function(model.components, model.tokens), _encoding(model), order=order)


def _encoding(model: Model) -> Array:
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
