r"""The gradient noise V(s) as a float64 function of (m, eps), for every target and model.

With delta_l = -2 <g(z*) - phi(z), d_l phi(z)> and h_l = <phi, d_l phi>,

    V = E sum_l delta_l^2 = 4 E sum_l (h_l^2 - 2 <g, d_l phi> h_l + <g, d_l phi>^2) = 4 E G(z*) . F(z),
    G = (1, g_c, g_c g_c'),    F = sum_l (h_l^2, -2 h_l d_l phi_c, d_l phi_c d_l phi_c')

(theory section 6; arXiv:2506.02651, Assumption 2, eq. 11 and 28): one Mehler pairing of a function of z* with a
function of z, which is what the table of a loss holds (`spectral_loss`), with its error.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from sie_sym.errors import DomainError, NoClosedForm, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.gradient_noise import GradientNoise, gradient_noise
from sie_sym.linear_forms import written_out
from sie_sym.losses.numerical_loss import (
    MOST_GRID_TOKENS,
    encoding_matrix,
    polynomial_degree,
    replicated_error,
    require_tabulated,
    table_of,
)
from sie_sym.losses.sampled_table import sampled_tables
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.model import Model
from sie_sym.numeric import numeric_function
from sie_sym.numerical_landscape import NumericalLandscape
from sie_sym.population_loss import DEFAULT_ORDER, PopulationLoss
from sie_sym.quadratures.measure import measure
from sie_sym.quadratures.quadrature import Array
from sie_sym.target import Target


@dataclass(frozen=True, eq=False)
class NumericalNoise:
    """V(m, eps_1, ...) tabulated; `statistics` names the arguments, within the ball m^2 + |eps|^2 <= 1.

    `table` pairs G with F; `replicates` are those of a sampled one, as in `NumericalLoss`.  A value is callable, so
    that it can be the `variance` of a flow.
    """

    statistics: tuple[sp.Symbol, ...]
    table: SpectralLoss
    replicates: tuple[SpectralLoss, ...] = ()

    evidence = Evidence.NUMERICAL

    def value(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """V, of the broadcast shape of the arguments."""
        return 4 * self.table.pairing(m, *eps)

    __call__ = value

    def error(self, m: ArrayLike, *eps: ArrayLike) -> Array:
        """The error of `value`: a bound for the truncation in m, estimates for grids and samples."""
        return 4 * replicated_error(
            self.table, self.replicates, lambda t: t.pairing_error(m, *eps), lambda t: t.pairing(m, *eps)
        )


def tabulated_noise(target: Target, model: Model, order: int | None = None) -> NumericalNoise:
    """V of a target and a model from their functions alone, sampled from 6 tokens on.

    A polynomial target of degree D needs order 2 D and nothing is cut off.  Raises as `tabulated_loss`, and
    `DomainError` for a phi with jumps, whose gradient has no finite variance.

    >>> from sie_sym.model import linear_attention
    >>> noise = tabulated_noise(Target.of(token(1)), linear_attention(1))
    >>> round(float(noise.value(0.5)), 8)    # 256 + 32 m^2
    264.0
    """
    require_tabulated(target, model)
    symbols = [token(l) for l in range(1, model.tokens + 1)]
    goals = [written_out(component) for component in target.components]
    phis = [written_out(component) for component in model.components]
    slopes = [sp.diff(phi, symbol) for symbol in symbols for phi in phis]
    if any(slope.has(sp.DiracDelta) for slope in slopes):
        raise DomainError(f"phi = {phis[0]} jumps: its gradient has no finite variance, SGD is not defined for it")
    pairs = list(itertools.combinations_with_replacement(range(len(phis)), 2))
    g, phi = numeric_function(symbols, goals), numeric_function(symbols, [*phis, *slopes])

    def left(z: Array) -> Array:
        y = g(z)
        return np.concatenate((np.ones_like(y[:1]), y, [y[c] * y[d] for c, d in pairs]))

    def right(z: Array) -> Array:
        rows = phi(z).reshape(1 + model.tokens, len(phis), -1)  # phi, then d_l phi for each token
        value, slope = rows[0], rows[1:]
        h = np.einsum("kn,lkn->ln", value, slope)
        squares = [np.einsum("ln,ln->n", slope[:, c], slope[:, d]) * (1 if c == d else 2) for c, d in pairs]
        return np.concatenate((np.einsum("ln,ln->n", h, h)[None], -2 * np.einsum("ln,lkn->kn", h, slope), squares))

    if model.tokens > MOST_GRID_TOKENS:
        paired = [sp.Integer(1), *goals, *(goals[c] * goals[d] for c, d in pairs)]
        return NumericalNoise(model.statistics, *sampled_tables(paired, right, encoding_matrix(model), order=order))
    degree = polynomial_degree(target)
    degree = None if degree is None else 2 * degree
    return NumericalNoise(model.statistics, table_of(left, right, model, degree, order))


def noise_function(loss: PopulationLoss, order: int = DEFAULT_ORDER) -> GradientNoise | NumericalNoise:
    """V of a population loss: its closed form, and a table where it has none.

    Beyond 5 tokens, which no grid reaches, integrals that do not depend on the statistics become their digits.

    >>> from sie_sym.model import softmax_attention
    >>> from sie_sym.population_loss import population_loss
    >>> loss = population_loss(Target.of(token(1) * token(2)), softmax_attention(2, "trace"))
    >>> type(noise_function(loss)).__name__
    'NumericalNoise'
    """
    reach = loss.model.tokens <= MOST_GRID_TOKENS
    if reach and loss.expression.has(GaussianExpectation):
        return tabulated_noise(loss.target, loss.model)
    try:
        noise = gradient_noise(loss, order)
    except NoClosedForm:
        return tabulated_noise(loss.target, loss.model)
    nodes = noise.expression.atoms(GaussianExpectation)
    if not nodes:
        return noise
    if reach or any(node.free_symbols for node in nodes):
        return tabulated_noise(loss.target, loss.model)
    digits = {node: sp.Float(measure(node).value, 17) for node in nodes}
    return replace(noise, expression=noise.expression.xreplace(digits))


def numerical_stability_rate(landscape: NumericalLandscape, noise: NumericalNoise) -> tuple[float, float]:
    """gamma_max = -2 lambda / V(0) and its error, lambda the lowest curvature at 0; see `stability_rate`.

    Raises `SieSymError` unless the landscape escapes at order 2.
    """
    escape = landscape.escape
    if escape.order != 2 or escape.direction is None:
        raise SieSymError(
            f"the largest useful rate is linear stability's, for escape at order 2; here the order is {escape.order}: "
            "integrate the flow with a rate instead"
        )
    direction = np.array([float(entry) for entry in escape.direction])
    curvature = float(direction @ landscape.hessian @ direction)
    uncertain = float(np.abs(direction) @ landscape.hessian_error @ np.abs(direction))
    start = np.zeros(len(noise.statistics))
    strength, error = float(noise.value(*start)), float(noise.error(*start))
    if strength <= error:
        return np.inf, 0.0
    rate = -2 * curvature / strength
    return rate, rate * (uncertain / abs(curvature) + error / strength)


__all__ = ["NumericalNoise", "noise_function", "numerical_stability_rate", "tabulated_noise"]
