r"""The error of a flow whose loss is sampled: the flows of the samples' own losses.

Each scrambling of the quasi-Monte Carlo points has its own smooth loss (`sampled_table`), and so its own flow from the
same start; how these scatter is the error of the flow of the mean loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sie_sym.flow import Flow
from sie_sym.flows.drift import Drift
from sie_sym.flows.lsoda import sampled
from sie_sym.losses.numerical_loss import NumericalLoss
from sie_sym.losses.spectral_loss import SpectralLoss
from sie_sym.numeric import FloatArray
from sie_sym.numerical_noise import NumericalNoise
from sie_sym.quadratures.scrambled_sobol import confidence

_RTOL = 1e-9


@dataclass(frozen=True)
class FlowErrors:
    """The errors of `Flow.states` (n, 1 + r) and `Flow.losses` (n,), time by time."""

    states: FloatArray
    losses: FloatArray


def flow_errors(
    flow: Flow, loss: Any, *, rate: float = 0.0, variance: Any = None, gram: ArrayLike | None = None
) -> FlowErrors | None:
    """The errors of a flow of `gradient_flow`, called with the same loss, rate, variance and gram.

    99.9% confidence half-widths over the replicates of a sampled loss, plus by how much their mean differs from the
    flow of the mean loss.  Where powers of m are cut off, plus what the bound on all of them does as one more power of
    either sign, an estimate.  None for losses without replicates, whose errors are those of the integration.
    """
    if not isinstance(loss, NumericalLoss) or not loss.replicates:
        return None
    start, t = flow.states[0], flow.t
    moduli = np.abs(start[start != 0])
    absolute = _RTOL * 1e-2 * float(moduli.min(initial=1.0))

    def along(table: SpectralLoss, noise: Any) -> FloatArray:
        own = replace(loss, table=table, replicates=())
        field = Drift(own, rate, noise, gram).scalar_field()
        states = start[None] if len(t) == 1 else sampled(field, start, t, _RTOL, absolute)
        return np.column_stack([states, own.value(*states.T)])

    noises = [variance] * len(loss.replicates)
    if isinstance(variance, NumericalNoise) and variance.replicates:
        noises = [replace(variance, table=table, replicates=()) for table in variance.replicates]
    central = np.column_stack([flow.states, flow.losses])
    found = np.stack([along(table, noise) for table, noise in zip(loss.replicates, noises, strict=True)]) - central
    errors = confidence(found) + np.abs(found.mean(axis=0))
    if loss.table.target_tail:
        cut = [along(_with_one_more_power(loss.table, sign, flow.states), variance) for sign in (-1.0, 1.0)]
        errors += np.abs(np.array(cut) - central).max(axis=0)
    return FlowErrors(errors[:, :-1], errors[:, -1])


def _with_one_more_power(table: SpectralLoss, sign: float, states: FloatArray) -> SpectralLoss:
    """With sign B m^{K+1} added to E g.phi, B m^{K+1} the bound on all beyond m^K (the largest along the states)."""
    sampled_exactly = replace(table, overlap_error=np.zeros(1), norm_error=0.0)
    bound = float(sampled_exactly.pairing_error(np.ones(len(states)), *states.T[1:]).max())
    power = np.zeros((*table.overlap.shape[:-1], 1))
    power.flat[0] = sign * bound
    return replace(table, order=table.order + 1, overlap=np.concatenate([table.overlap, power], axis=-1))


__all__ = ["FlowErrors", "flow_errors"]
