r"""One step of the exact reduced SGD chain, vectorised over replicas (theory section 6; arXiv:2506.02651, App. C).

The overlaps (m, eps) of spherical SGD with orthonormal directions (`Fields.basis` makes them so) form a Markov chain of
their own: a step needs the projections of the fresh sample on w*, on u_1..u_r and on the rest of w, and the length of
what is left, a chi^2 with d - 2 - r degrees.  Nothing of size d is ever drawn.  Fewer normals than the (2 + r) L of the
textbook recipe suffice, in law:

- w = m w* + rho t with rho^2 = 1 - m^2 and t the direction (eps, q)/rho in the span of (u_1..u_r, rest);
  delta depends on the sample only through its projections on w* and t, so the r directions orthogonal to t
  see the isotropic vector |delta| xi, xi ~ N(0, I_r), whatever L is.  A Householder reflection carries them
  back to (u, rest).
- if phi reads u = sum_l z_l / sqrt L alone, one projection on t for all tokens replaces L of them.

The length N^2 = 1 + x is found through x, never as a sum near 1, and the update is added as
m + (dm + (m + dm) (1/N - 1)): increments of order gamma/d keep full relative precision until they meet m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sie_sym.simulation.fields import Array, Fields

_TINY = 1e-300


@dataclass(frozen=True)
class StepConstants:
    """What a step needs besides the state: rate/(d B), B, the loss, and the weak-recovery threshold (or inf)."""

    gain: float
    batch: int
    frobenius: bool
    threshold_squared: float


class Advance(Protocol):
    """Moves a block of R replicas by S steps, in place, and notes the first step at which each one recovers."""

    def __call__(
        self, m: Array, eps: Array, recovery: NDArray[np.int64], normals: Array, lengths: Array, step: int
    ) -> None:
        """`m` (c, R), `eps` (r, R), `normals` (S, rows, R), `lengths` (S, c, R) of chi^2, c = L if untied else 1."""


def normal_rows(fields: Fields, batch: int) -> int:
    """How many standard normals a step draws for each replica."""
    if fields.untied:
        return 2 * fields.tokens * batch
    return (fields.tokens + fields.inputs) * batch + fields.rank


def chains(fields: Fields) -> int:
    """c: the number of coupled chains, L for an untied network, else 1."""
    return fields.tokens if fields.untied else 1


def recovery_form(fields: Fields) -> Array:
    r"""The matrix M of |(e, m)|^2 = sigma^T M sigma, e = C eps (Def. 1), (1 + r, 1 + r)."""
    form = fields.frame_encoding.T @ fields.frame_encoding
    form[0, 0] += 1.0
    return np.asarray(form)


def recovery_norm(fields: Fields, m: Array, eps: Array) -> Array:
    r"""|(e, m)|^2 (Def. 1); |m_vec|^2 / L when untied."""
    if fields.untied:
        return np.asarray((m * m).sum(axis=0) / fields.tokens)
    sigma = np.concatenate((m, eps))
    return np.asarray(np.einsum("iR,ij,jR->R", sigma, recovery_form(fields), sigma))


def numpy_advance(fields: Fields, constants: StepConstants) -> Advance:
    """The chain as numpy operations on whole blocks."""
    move = untied_step if fields.untied else tied_step

    def advance(m: Array, eps: Array, recovery: NDArray[np.int64], normals: Array, lengths: Array, step: int) -> None:
        with np.errstate(all="ignore"):  # a diverging replica becomes nan, which the caller counts
            for normal, length in zip(normals, lengths, strict=True):
                move(fields, constants, m, eps, normal, length)
                step += 1
                if constants.threshold_squared < np.inf:
                    norm = recovery_norm(fields, m, eps)
                    recovery[(norm >= constants.threshold_squared) & (recovery < 0)] = step

    return advance


def tied_step(fields: Fields, constants: StepConstants, m: Array, eps: Array, normals: Array, lengths: Array) -> None:
    """One step of (m, eps), in place; rows of `normals`: a (L, B), projections on t (n, B), xi (r)."""
    tokens, inputs, batch, rank = fields.tokens, fields.inputs, constants.batch, fields.rank
    runs = m.shape[1]
    a = normals[: tokens * batch].reshape(tokens, batch * runs)
    h = normals[tokens * batch : (tokens + inputs) * batch].reshape(inputs, batch, runs)
    xi = normals[(tokens + inputs) * batch :]
    overlap = m[0]
    rho = _complement(overlap)
    alpha = fields.read(a).reshape(inputs, batch, runs)
    encoding = fields.read(fields.frame_encoding)  # (n, 1 + r): what the model reads of each direction
    if encoding[:, 0].any():
        alpha = alpha + encoding[:, :1, None]  # the model's part along w*, which z* does not have
    z = rho * h
    z += overlap * alpha
    columns = encoding[:, 1:]
    if rank:
        z += (columns @ eps)[:, None, :]
    delta = _slopes(fields, constants, a, z.reshape(inputs, batch * runs)).reshape(inputs, batch, runs)
    along_target, along_weight, square = _total(delta * alpha), _total(delta * h), _total(delta * delta)
    g = constants.gain
    shift = overlap * along_target
    shift += rho * along_weight
    growth = square * lengths[0]
    growth += along_target * along_target
    growth += along_weight * along_weight
    if rank:
        pull = columns.T @ delta.sum(axis=1) if batch > 1 else columns.T @ delta[:, 0]
        # the part of (u_1.., rest) that delta sees lies along t; the reflection brings the rest back to the u_i
        nu = eps / rho
        np.clip(nu, -1.0, 1.0, out=nu)
        moves = np.sqrt(square) * xi
        tilt = _total(nu * moves)
        tilt /= 1.0 + _complement(nu)
        np.subtract(along_weight, tilt, out=tilt)
        growth += _total(moves * moves)
        nu *= tilt
        moves += nu
        shift += _total(eps * pull)
        growth += _total((2.0 * moves + pull) * pull)
        moves += pull
    growth *= g
    growth -= 2.0 * shift
    growth *= g
    shrink = _inverse_length(growth)
    _renormalise(overlap, along_target, -g, shrink)
    if rank:
        _renormalise(eps, moves, -g, shrink)


def untied_step(fields: Fields, constants: StepConstants, m: Array, eps: Array, normals: Array, lengths: Array) -> None:
    """One step of (m_1, ..., m_L), in place; rows of `normals`: a (L, B), then the projections on t_l (L, B)."""
    tokens, batch, runs = fields.tokens, constants.batch, m.shape[1]
    a, h = normals.reshape(2, tokens, batch, runs)
    rho = np.sqrt(np.maximum(1.0 - m * m, _TINY))  # one a token
    z = m[:, None, :] * a
    z += rho[:, None, :] * h
    read = fields.read(z).reshape(fields.inputs, batch * runs)
    delta = _slopes(fields, constants, a.reshape(tokens, batch * runs), read)
    delta = delta.reshape(fields.inputs, batch, runs)
    if fields.summed:
        delta = np.broadcast_to(delta / np.sqrt(tokens), a.shape)
    along_target = (delta * a).sum(axis=1)
    along_weight = (delta * h).sum(axis=1)
    square = (delta * delta).sum(axis=1)
    g = constants.gain
    growth = along_target * along_target + along_weight * along_weight + square * lengths
    shrink = _inverse_length(g * (g * growth - 2.0 * (m * along_target + rho * along_weight)))
    _renormalise(m, along_target, -g, shrink)


def _slopes(fields: Fields, constants: StepConstants, a: Array, z: Array) -> Array:
    """delta of the chosen loss: -2 <g - phi, d phi> for the squared norm, -<g - phi, d phi>/|g - phi| else."""
    delta, loss = fields.response(fields.target(a), z)
    if constants.frobenius:
        # At a perfect fit the norm has a kink; 0 is a subgradient there.
        delta = delta * np.where(loss > 0.0, 0.5 / np.sqrt(loss), np.where(loss == 0.0, 0.0, np.nan))
    return delta


def _total(values: Array) -> Array:
    """The sum over all axes but the last."""
    if values.size == values.shape[-1]:
        return values.reshape(-1)
    return np.asarray(values.reshape(-1, values.shape[-1]).sum(axis=0))


def _complement(direction: Array) -> Array:
    """sqrt(1 - |direction|^2), summed over all axes but the last; never exactly 0."""
    square = _total(direction * direction)
    np.subtract(1.0, square, out=square)
    np.maximum(square, _TINY, out=square)
    return np.asarray(np.sqrt(square, out=square))


def _inverse_length(x: Array) -> Array:
    """1/sqrt(1 + x) - 1 without cancellation at small x."""
    length = x + 1.0
    np.sqrt(length, out=length)
    scale = length + 1.0
    scale *= length
    return np.asarray(np.divide(-x, scale, out=scale))


def _renormalise(state: Array, gradient: Array, gain: float, shrink: Array) -> None:
    """State s becomes (s + c)/N, c = gain gradient, as s + (c + (s + c) (1/N - 1))."""
    change = gain * gradient
    moved = state + change
    moved *= shrink
    moved += change
    state += moved
