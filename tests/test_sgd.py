"""The reduced chain against the d-dimensional SGD, against theory section 6, and against its own promises."""

from __future__ import annotations

import itertools
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from sie_sym import sgd
from sie_sym.errors import DomainError, FormulaError, MissingExtra, NoClosedForm, SieSymError
from sie_sym.functions import TOKENS, He, relu, token
from sie_sym.model import (
    ACTIVATION_VARIABLE,
    Model,
    attention_matrix,
    formula_model,
    linear_attention,
    softmax_attention,
    tied_network,
)
from sie_sym.sgd import SGDSettings, plain_sgd, plain_step, run_sgd
from sie_sym.simulation import chain, chain_compiled, checkpoint
from sie_sym.simulation.chain import StepConstants, tied_step, untied_step
from sie_sym.simulation.chain_compiled import numba_advance
from sie_sym.simulation.draws import StreamDraws
from sie_sym.simulation.draws_compiled import CounterDraws, counter_kernels
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine, block_size
from sie_sym.target import Target

Array = NDArray[np.float64]
U = ACTIVATION_VARIABLE
Z1, Z2, Z3 = token(1), token(2), token(3)
HERMITE_PAIR = Target.of(He(2, Z1) + He(2, Z2))


def quadratic(columns: list[list[object]] | None = None) -> Fields:
    """g = He2 + He2 and linear attention, L = 2: the example of theory section 9."""
    model = linear_attention(2)
    return fields_of(HERMITE_PAIR, model.with_encoding(columns) if columns else model)


CASES = {
    "linear attention, two directions": quadratic([[1, sp.Rational(1, 2)], [0, 2]]),
    "softmax attention": fields_of(Target.of(attention_matrix(2)), softmax_attention(2).with_encoding([[1, -1]])),
    "formula, three tokens": fields_of(
        Target.of(Z1 * Z2 + Z3),
        formula_model(Z1 * Z2 + sp.tanh(Z3), 3).with_encoding([[1, 0, -1], [0, 1, 2], [1, 1, 1]]),
    ),
    "tied, no encoding": fields_of(Target.of(Z1 + Z1 * Z2), tied_network(2, sp.tanh(U))),
    "untied": fields_of(Target.of(He(2, Z1) + Z2 * Z3), tied_network(3, U**2 + U), untied=True),
    "untied, not a ridge": fields_of(Target.of(Z1 * Z2), formula_model(Z1 * sp.sin(Z2), 2), untied=True),
}


def random_weights(fields: Fields, dimension: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """A random frame (w*, u_1..u_r) and weights with overlaps of order 0.3."""
    rank, columns = fields.rank, fields.tokens if fields.untied else 1
    frame = np.linalg.qr(rng.standard_normal((dimension, 1 + rank)))[0].T * np.sqrt(dimension)
    weights = rng.standard_normal((columns, dimension)) / np.sqrt(dimension)
    weights += rng.uniform(-1, 1, (columns, 1 + rank)) @ frame / np.sqrt(dimension)
    weights *= np.sqrt(dimension / (weights**2).sum(axis=1, keepdims=True))
    return frame, weights if fields.untied else weights[0]


def project_tied(fields: Fields, w: Array, frame: Array, sample: Array, delta: Array) -> tuple[Array, Array]:
    """The draws that the chain would have made for this sample: a, projections on t, xi; and the chi^2.

    The reflection that takes (1, 0, ..., 0) -> t is the documented one: v = last + t, t in the basis (u_1.., rest).
    """
    dimension, rank = len(w), fields.rank
    overlaps = frame @ w / dimension
    rest = w - overlaps @ frame
    q = np.sqrt((rest**2).sum() / dimension)
    basis = np.vstack((frame[1:], rest / q))
    t = np.append(overlaps[1:], q) / np.sqrt(1 - overlaps[0] ** 2)
    a = (sample @ frame[0]).T
    h = fields.read((sample @ (t @ basis)).T)
    total = np.einsum("lb,bld->d", delta, sample)
    v = t + np.append(np.zeros(rank), 1.0)
    reflected = basis @ total
    reflected = reflected - 2 * v * (v @ reflected) / (v @ v)
    size = np.sqrt((delta**2).sum())
    left = total - (total @ np.vstack((frame[:1], basis)).T) @ np.vstack((frame[:1], basis)) / dimension
    chi = (left**2).sum() * dimension / size**2
    return np.concatenate((a.ravel(), h.ravel(), reflected[:rank] / size))[:, None], np.array([[chi]])


@pytest.mark.parametrize("loss", ["squared", "frobenius"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dimension", [6, 50, 1000])
@pytest.mark.parametrize("name", [name for name in CASES if "untied" not in name])
def test_one_step_is_the_projected_step(name: str, dimension: int, batch: int, loss: str) -> None:
    fields = CASES[name]
    rng = np.random.default_rng(dimension + batch)
    frame, w = random_weights(fields, dimension, rng)
    sample = rng.standard_normal((batch, fields.tokens, dimension)) / np.sqrt(dimension)
    rate = 0.5 * dimension  # increments of order one: a wrong second-order term is visible
    moved = plain_step(fields, w, frame, sample, rate, loss)

    def stepped(state: np.ndarray, normals: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        constants = StepConstants(rate / dimension / batch, batch, loss == "frobenius", np.inf)
        m, eps = state[:1, None].copy(), state[1:, None].copy()
        tied_step(fields, constants, m, eps, normals, lengths)
        return m, eps

    # delta again, by central differences of the loss in z: what `response` must be the gradient of
    z = ((sample + fields.encoding @ frame[1:] / dimension) @ w).T
    delta = differences(fields, (sample @ frame[0]).T, z, loss)
    normals, lengths = project_tied(fields, w, frame, sample, delta)
    state = frame @ w / dimension
    m, eps = stepped(state, normals, lengths)
    # the draws inherit the error of the differences (1e-9); with the module's own delta the identity is exact
    expected = frame @ moved / dimension
    assert np.append(m, eps) == pytest.approx(expected, abs=1e-7)
    assert np.abs(expected - state).max() > 1e-3

    goals = fields.target(np.ascontiguousarray((sample @ frame[0]).T))
    exact, error = fields.response(goals, fields.read(z))
    exact = exact / (2 * np.sqrt(error)) if loss == "frobenius" else exact
    exact = np.repeat(exact / np.sqrt(fields.tokens), fields.tokens, axis=0) if fields.summed else exact
    assert exact == pytest.approx(delta, rel=1e-5, abs=1e-6)
    normals, lengths = project_tied(fields, w, frame, sample, exact)
    m, eps = stepped(state, normals, lengths)
    assert np.append(m, eps) == pytest.approx(expected, abs=1e-12)


def differences(fields: Fields, a: Array, z: Array, loss: str) -> Array:
    goals = fields.target(np.ascontiguousarray(a))
    result = np.empty_like(z)
    for l in range(len(z)):
        step = np.zeros_like(z)
        step[l] = 1e-6
        values = [fields.response(goals, fields.read(z + sign * step))[1] for sign in (1, -1)]
        if loss == "frobenius":
            values = [np.sqrt(v) for v in values]
        result[l] = (values[0] - values[1]) / 2e-6
    return result


@pytest.mark.parametrize("loss", ["squared", "frobenius"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dimension", [5, 50, 1000])
@pytest.mark.parametrize("name", [name for name in CASES if "untied" in name])
def test_one_untied_step_is_the_projected_step(name: str, dimension: int, batch: int, loss: str) -> None:
    fields = CASES[name]
    tokens = fields.tokens
    rng = np.random.default_rng(dimension + batch)
    frame, weights = random_weights(fields, dimension, rng)
    sample = rng.standard_normal((batch, tokens, dimension)) / np.sqrt(dimension)
    rate = 0.5 * dimension
    expected = plain_step(fields, weights, frame, sample, rate, loss) @ frame[0] / dimension

    m = weights @ frame[0] / dimension
    rest = weights - m[:, None] * frame[0]
    rest *= np.sqrt(dimension / (rest**2).sum(axis=1, keepdims=True))
    a, h = (sample @ frame[0]).T, np.einsum("bld,ld->lb", sample, rest)
    z = np.einsum("bld,ld->lb", sample, weights)
    delta, error = fields.response(fields.target(np.ascontiguousarray(a)), fields.read(z))
    delta = delta / (2 * np.sqrt(error)) if loss == "frobenius" else delta
    delta = np.repeat(delta / np.sqrt(tokens), tokens, axis=0) if fields.summed else delta
    assert delta == pytest.approx(differences(fields, a, z, loss), rel=1e-5, abs=1e-6)
    left = np.einsum("lb,bld->ld", delta, sample)
    left -= np.outer(left @ frame[0], frame[0]) / dimension
    left -= (left * rest).sum(axis=1, keepdims=True) * rest / dimension
    lengths = ((left**2).sum(axis=1) * dimension / (delta**2).sum(axis=1))[:, None]
    state = m[:, None].copy()
    normals = np.concatenate((a.ravel(), h.ravel()))[:, None]
    constants = StepConstants(rate / dimension / batch, batch, loss == "frobenius", np.inf)
    untied_step(fields, constants, state, np.empty((0, 1)), normals, lengths)
    assert state[:, 0] == pytest.approx(expected, abs=1e-12)
    assert np.abs(expected - m).max() > 1e-3


def textbook_step(fields: Fields, m: Array, eps: Array, gain: float, dimension: int, rng: np.random.Generator) -> Array:
    """Theory section 6 word for word: (2 + r) L normals, q carried, divide by N."""
    rank, runs = fields.rank, m.size
    a, h = rng.standard_normal((2, fields.tokens, runs))
    b = rng.standard_normal((rank, fields.tokens, runs))
    q = np.sqrt(1 - m**2 - (eps**2).sum(axis=0))
    z = m * a + (eps[:, None] * b).sum(axis=0) + q * h + fields.encoding @ eps
    delta, _ = fields.response(fields.target(a), fields.read(z))
    delta = np.repeat(delta / np.sqrt(fields.tokens), fields.tokens, axis=0) if fields.summed else delta
    new_m = m - gain * (delta * a).sum(axis=0)
    new_eps = eps - gain * (delta * (b + fields.encoding.T[:, :, None])).sum(axis=1)
    new_q = q - gain * (delta * h).sum(axis=0)
    chi = rng.chisquare(dimension - 2 - rank, runs)
    length = np.sqrt(new_m**2 + (new_eps**2).sum(axis=0) + new_q**2 + gain**2 * (delta**2).sum(axis=0) * chi)
    return np.asarray(np.vstack((new_m, new_eps)) / length)


@pytest.mark.parametrize("dimension", [5, 12])  # 5: one degree of freedom is left
def test_few_draws_have_the_law_of_the_textbook_recipe(dimension: int) -> None:
    fields, runs = quadratic([[1, sp.Rational(1, 2)], [0, 1]]), 20000
    state = np.array([0.3, 0.4, -0.2])
    settings = SGDSettings(dimension, 0.6, 1, runs, seed=5, start=tuple(state), record=2)
    result = run_sgd(fields, settings)
    rng = np.random.default_rng(6)
    book = textbook_step(
        fields, np.full(runs, 0.3), np.repeat(state[1:, None], runs, 1), 0.6 / dimension, dimension, rng
    )
    ours = np.vstack((result.m, result.eps.T))
    # means, all pairwise products (the joint law), and the marginals
    for x, y in zip(ours, book, strict=True):
        assert stats.ks_2samp(x, y).pvalue > 1e-3
    direction = np.array([0.5, -1.0, 1.3])
    assert stats.ks_2samp(direction @ ours, direction @ book).pvalue > 1e-3


@pytest.mark.parametrize(("name", "dimension"), [("tied", 8), ("tied", 30), ("untied", 8)])
def test_the_chain_equals_sgd_in_law(name: str, dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = quadratic([[1, sp.Rational(1, 2)]]) if name == "tied" else CASES["untied"]
    start = (0.6, 0.3) if name == "tied" else (0.6,)
    rate = 0.25 if name == "tied" else 0.4
    plain = plain_sgd(fields, SGDSettings(dimension, rate, 6, 600, seed=11, start=start, record=2))
    settings = SGDSettings(dimension, rate, 6, 6000, seed=12, start=start, record=2)

    def pvalue() -> float:
        fast = run_sgd(fields, settings)
        if name == "untied":
            return min(stats.ks_2samp(np.abs(plain.m[:, l]), np.abs(fast.m[:, l])).pvalue for l in range(3))
        return min(stats.ks_2samp(plain.m, fast.m).pvalue, stats.ks_2samp(plain.eps[:, 0], fast.eps[:, 0]).pvalue)

    assert pvalue() > 1e-3
    # negative control: without the noise orthogonal to everything the law is visibly another
    fill = StreamDraws.fill
    monkeypatch.setattr(StreamDraws, "fill", lambda draws, step, x, y: (fill(draws, step, x, y), y.fill(0.0)))
    assert pvalue() < 1e-8


def test_random_start_is_uniform_on_the_sphere() -> None:
    fields, dimension = quadratic([[1, -1], [1, 1]]), 9
    result = run_sgd(fields, SGDSettings(dimension, 0.1, 0, 20000, seed=3))
    # the squared length of 3 coordinates of a uniform point is Beta(3/2, (d - 3)/2)
    square = result.m**2 + (result.eps**2).sum(axis=1)
    assert stats.kstest(square, stats.beta(1.5, (dimension - 3) / 2).cdf).pvalue > 1e-3
    assert stats.kstest(result.m**2, stats.beta(0.5, (dimension - 1) / 2).cdf).pvalue > 1e-3
    untied = run_sgd(CASES["untied"], SGDSettings(dimension, 0.1, 0, 20000, seed=3))
    assert untied.m.shape == (20000, 3)
    for column in untied.m.T:
        assert stats.kstest(column**2, stats.beta(0.5, (dimension - 1) / 2).cdf).pvalue > 1e-3


def test_noise_strength_of_the_worked_example() -> None:
    # 8 Gauss-Hermite nodes integrate these polynomials exactly
    fields = quadratic([[1, sp.Rational(1, 2)]])
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    grid = np.array(list(itertools.product(nodes, repeat=4))).T
    measure = np.array(list(itertools.product(weights, repeat=4))).prod(axis=1) / (2 * np.pi) ** 2
    a, h = grid[:2], grid[2:]
    z = 0.3 * a + np.sqrt(1 - 0.09) * h + np.array([[0.25], [0.125]])
    delta, _ = fields.response(fields.target(a), fields.read(z))
    assert float(measure @ (delta**2).sum(axis=0)) == pytest.approx(float(exact_noise_strength()), rel=1e-12)


def exact_noise_strength() -> sp.Rational:
    """V(0.3, 0.25), theory section 9, by moments: 1097226929/3276800 = 334.847 (Monte Carlo: 335.2 +- 0.3).

    delta_l = -2 (g - u^2) sqrt2 u at u = (z1 + z2)/sqrt2, and g = A^2 + D^2 - 2 in the rotated coordinates
    A, D = (z*_1 +- z*_2)/sqrt2, so V = 16 E (g - u^2)^2 u^2.
    """
    A, D, H = sp.symbols("A D H")
    m, shift = sp.Rational(3, 10), sp.Rational(3, 8) / sp.sqrt(2)
    u = shift + m * A + sp.sqrt(1 - m**2) * H
    terms = sp.Poly(sp.expand(16 * (A**2 + D**2 - 2 - u**2) ** 2 * u**2), A, D, H).terms()

    def moment(k: int) -> sp.Expr:
        return sp.Integer(0) if k % 2 else sp.factorial2(max(k - 1, 1))

    return sp.Rational(sp.expand(sum(c * moment(i) * moment(j) * moment(k) for (i, j, k), c in terms)))


@pytest.mark.parametrize("rate", [0.002, 1.0])
def test_mean_step_is_the_finite_rate_flow(rate: float) -> None:
    # ds/dt = -(1 - s s^T) grad R - (gamma/2) V s; R and V from theory section 9, t = gamma step/d
    m, eps, runs, dimension = 0.3, 0.25, 200_000, 10**7
    gradient = np.array([-8 * m, (4 * 1.5**4 * eps**3 + 24 * 1.5**2 * eps) / 4])
    state = np.array([m, eps])
    flow = -(np.eye(2) - np.outer(state, state)) @ gradient - rate / 2 * float(exact_noise_strength()) * state
    fields = quadratic([[1, sp.Rational(1, 2)]])
    result = run_sgd(fields, SGDSettings(dimension, rate, 1, runs, seed=8, start=(m, eps), record=2))
    moves = np.vstack((result.m - m, result.eps[:, 0] - eps)) * dimension / rate
    error = moves.std(axis=1) / np.sqrt(runs)
    assert np.all(np.abs(moves.mean(axis=1) - flow) < 5 * error)
    assert np.all(np.abs(flow) > 10 * error)  # the test sees the drift


def test_untied_mean_step_is_the_drift_of_proposition_2() -> None:
    # sigma = u^2, g = He2(z1) + He2(z2): c_2 = 2, C_2 = 2 I;
    # dm_l/dt = (1 - m_l^2) 2 (c_2/L) 2 m_l - (gamma/2) (V/L) m_l
    fields = fields_of(HERMITE_PAIR, tied_network(2, U**2), untied=True)
    m, rate, runs, dimension = np.array([0.3, -0.5]), 0.1, 400_000, 10**7
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    grid = np.array(list(itertools.product(nodes, repeat=4))).T
    measure = np.array(list(itertools.product(weights, repeat=4))).prod(axis=1) / (2 * np.pi) ** 2
    u = (m @ grid[:2] + np.sqrt(1 - m**2) @ grid[2:]) / np.sqrt(2)
    goal = (grid[:2] ** 2 - 1).sum(axis=0)
    noise = float(measure @ (4 * (u**2 - goal) ** 2 * (2 * u) ** 2))
    flow = (1 - m**2) * 2 * 2 / 2 * 2 * m - rate / 2 * noise / 2 * m
    result = run_sgd(fields, SGDSettings(dimension, rate, 1, runs, seed=8, start=tuple(m), record=2))
    moves = (result.m - m).T * dimension / rate
    error = moves.std(axis=1) / np.sqrt(runs)
    assert np.all(np.abs(moves.mean(axis=1) - flow) < 5 * error)
    assert np.all(np.abs(flow) > 10 * error)


def test_tiny_updates_keep_their_relative_precision() -> None:
    # at d = 10^12 and m = 10^-6 a step moves m by about 10^-12: against the same step in extended precision
    fields = Fields.of_callables(1, lambda z: z, lambda z: z, lambda z: np.ones((1, *z.shape)))
    m, gain = 1e-6, 1e-12
    state = np.array([[m]])
    a, h, chi = 0.7, -1.3, 1e12
    tied_step(
        fields,
        StepConstants(gain, 1, False, np.inf),
        state,
        np.empty((0, 1)),
        np.array([[a], [h]]),
        np.array([[chi]]),
    )
    big = sp.Float
    q = sp.sqrt(1 - big(m, 50) ** 2)
    delta = -2 * (big(a, 50) - (big(m, 50) * a + q * h))
    parts = [big(m, 50) - gain * delta * a, q - gain * delta * h]
    length = sp.sqrt(parts[0] ** 2 + parts[1] ** 2 + (gain * delta) ** 2 * chi)
    change = float(parts[0] / length - big(m, 50))
    assert abs(change) < 1e-11
    assert float(state[0, 0]) - m == pytest.approx(change, rel=1e-9)


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_do_not_change_a_bit(workers: int) -> None:
    fields = CASES["linear attention, two directions"]
    settings = SGDSettings(100, 0.05, 40, 70, seed=4, batch=2, threshold=0.4, block=16)
    one, many = run_sgd(fields, settings), run_sgd(fields, settings, workers=workers)
    for name in ("m", "eps", "m_mean", "m_std", "eps_mean", "eps_std", "recovery_step", "paths"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    other = run_sgd(fields, SGDSettings(100, 0.05, 40, 70, seed=5, batch=2, threshold=0.4, block=16))
    assert not np.isin(one.m, other.m).any()
    assert len(np.unique(one.m)) == 70  # no two replicas share a stream


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_drawing_fewer_steps_at_once_does_not_change_a_bit(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "numba":
        pytest.importorskip("numba")
    fields = CASES["linear attention, two directions"]
    settings = SGDSettings(60, 0.1, 40, 25, seed=4, threshold=0.5, record=2)
    whole = run_sgd(fields, settings, engine)
    monkeypatch.setattr(sgd, "_DRAWS", 1)
    single = run_sgd(fields, settings, engine)
    assert whole.recovery_step.max() > 1
    for name in ("m", "eps", "recovery_step"):
        assert np.array_equal(getattr(whole, name), getattr(single, name))


def test_recorded_moments_are_those_of_all_replicas() -> None:
    fields = quadratic([[1, -1]])
    settings = SGDSettings(1000, 0.1, 20, 45, seed=4, block=10, record=3)
    result = run_sgd(fields, settings)
    assert list(result.steps) == [0, 10, 20]
    assert result.time == pytest.approx([0, 1e-3, 2e-3])
    assert result.m_mean[-1] == pytest.approx(result.m.mean())
    assert result.m_std[-1] == pytest.approx(result.m.std())
    assert result.eps_mean[-1] == pytest.approx(result.eps.mean(axis=0))
    assert result.eps_std[-1] == pytest.approx(result.eps.std(axis=0))
    half = run_sgd(fields, SGDSettings(1000, 0.1, 10, 45, seed=4, block=10, record=2))
    assert result.m_mean[1] == pytest.approx(half.m.mean())


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_a_resumed_run_gives_the_same_bits(engine: Engine, tmp_path: Path) -> None:
    if engine == "numba":
        pytest.importorskip("numba")
    fields, path = CASES["linear attention, two directions"], tmp_path / "run.npz"
    settings = SGDSettings(60, 0.1, 50, 25, seed=4, threshold=0.5, block=10, record=6)

    def stop(step: int, steps: int) -> None:
        if step >= 23:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_sgd(fields, settings, engine, checkpoint=path, progress=stop, checkpoint_seconds=0)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
    seen: list[int] = []
    resumed = run_sgd(fields, settings, engine, workers=2, checkpoint=path, progress=lambda s, _: seen.append(s))
    assert seen == [40, 50]  # it had stopped after saving at 30
    whole = run_sgd(fields, settings, engine)
    for name in ("m", "eps", "m_mean", "m_std", "eps_mean", "eps_std", "recovery_step", "paths"):
        assert np.array_equal(getattr(resumed, name), getattr(whole, name))
    again = run_sgd(fields, settings, engine, checkpoint=path)  # complete: nothing left to do
    assert np.array_equal(again.m, whole.m)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    fields = quadratic([[1, -1]])
    settings = SGDSettings(60, 0.1, 5, 8, seed=4)
    run_sgd(fields, settings, checkpoint=path)
    before = path.read_bytes()
    others = [
        (fields, SGDSettings(60, 0.1, 5, 8, seed=5)),
        (fields, SGDSettings(60, 0.1, 6, 8, seed=4)),
        (fields, SGDSettings(60, 0.1, 5, 8, seed=4, loss="frobenius")),
        (quadratic([[1, 1]]), settings),
        (fields_of(Target.of(He(2, Z1) - He(2, Z2)), linear_attention(2).with_encoding([[1, -1]])), settings),
    ]
    for other, changed in others:
        with pytest.raises(SieSymError, match="belongs to another run"):
            run_sgd(other, changed, checkpoint=path)
    with pytest.raises(SieSymError, match="no existing directory"):
        run_sgd(fields, settings, checkpoint=tmp_path / "none" / "run.npz")
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(SieSymError, match="cannot be read"):
        run_sgd(fields, settings, checkpoint=path)


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(SieSymError, match="disk full"):
        checkpoint.save(path, "x", 0, [])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_weak_recovery_is_the_first_step_above_threshold() -> None:
    fields = quadratic([[1, -1]])  # |(e, m)|^2 = m^2 + 2 eps^2
    settings = SGDSettings(30, 0.2, 40, 30, seed=9, start=(0.2, 0.1), threshold=0.35, record=41)
    result = run_sgd(fields, settings)
    assert result.recovered is not None
    assert 0 < result.recovered < 1
    paths = []
    for steps in range(41):
        state = run_sgd(fields, SGDSettings(30, 0.2, steps, 30, seed=9, start=(0.2, 0.1), record=2))
        paths.append(np.sqrt(state.m**2 + 2 * state.eps[:, 0] ** 2) >= 0.35)
    above = np.array(paths)
    expected = np.where(above.any(axis=0), above.argmax(axis=0), -1)
    assert np.array_equal(result.recovery_step, expected)
    assert result.recovered == pytest.approx(float((expected >= 0).mean()))
    ranked = np.sort(np.where(expected >= 0, expected, np.inf))
    assert result.recovery_step_median == pytest.approx((ranked[14] + ranked[15]) / 2)

    none = run_sgd(fields, SGDSettings(30, 1e-9, 3, 9, seed=1, start=(0.1, 0.1), threshold=0.9))
    assert none.recovered == 0.0
    assert none.recovery_step_median is None
    at_once = run_sgd(fields, SGDSettings(30, 1e-9, 3, 9, seed=1, start=(0.3, 0.2), threshold=0.35))
    assert np.all(at_once.recovery_step == 0)
    assert run_sgd(fields, SGDSettings(30, 0.1, 1, 2, seed=1)).recovered is None
    untied = fields_of(HERMITE_PAIR, tied_network(2, U**2), untied=True)  # |m_vec| >= eta sqrt L
    for eta, step in ((0.49, 0), (0.51, -1)):
        found = run_sgd(untied, SGDSettings(9, 1e-9, 1, 2, seed=1, start=(0.7, 0.1), threshold=eta))
        assert np.all(found.recovery_step == step)  # (0.49 + 0.01)/2 = 0.25


def test_a_large_batch_follows_the_gradient_flow() -> None:
    # L = 1, g = phi = z^2 = He2 + 1: R = 4 - 4 m^2, dm/dt = 8 m (1 - m^2), m^2/(1 - m^2) = e^{16 t} m0^2/(1 - m0^2)
    fields = fields_of(Target.of(Z1**2), formula_model(Z1**2, 1))
    settings = SGDSettings(1000, 0.5, 400, 16, seed=1, start=(0.1,), batch=500, record=2)
    result = run_sgd(fields, settings)
    ratio = math.exp(16 * result.time[-1]) * 0.01 / 0.99
    assert result.m.mean() == pytest.approx(math.sqrt(ratio / (1 + ratio)), abs=0.03)


@pytest.mark.parametrize("name", CASES)
def test_numba_and_numpy_agree_replica_by_replica(name: str) -> None:
    pytest.importorskip("numba")
    fields, rng = CASES[name], np.random.default_rng(1)
    start = run_sgd(fields, SGDSettings(40, 1.0, 0, 20, seed=2))
    for frobenius, batch in ((False, 1), (True, 3)):
        m, eps = np.atleast_2d(start.m.T).copy(), start.eps.T.copy()
        threshold = np.median(chain.recovery_norm(fields, m, eps))
        constants = StepConstants(0.02 / batch, batch, frobenius, float(threshold))
        normals = rng.standard_normal((15, chain.normal_rows(fields, batch), 20))
        lengths = rng.chisquare(36, (15, len(m), 20))
        ends = []
        for advance in (chain.numpy_advance(fields, constants), numba_advance(fields, constants)):
            state = m.copy(), eps.copy(), np.full(20, -1, dtype=np.int64)
            advance(*state, normals, lengths, 7)
            ends.append(state)
        for ours, theirs in zip(*ends, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-10)
        assert ends[0][2].max() >= 8
        assert np.abs(ends[0][0] - m).max() > 1e-2


def test_both_engines_have_one_law() -> None:
    pytest.importorskip("numba")
    fields = CASES["linear attention, two directions"]
    settings = SGDSettings(9, 0.3, 5, 6000, seed=2, start=(0.3, 0.4, 0.1), threshold=0.9, record=2)
    a, b = run_sgd(fields, settings), run_sgd(fields, settings, "numba", workers=2)
    for x, y in ((a.m, b.m), *zip(a.eps.T, b.eps.T, strict=True)):
        assert stats.ks_2samp(x, y).pvalue > 1e-3
    assert a.recovered == pytest.approx(b.recovered, abs=5 * math.sqrt(0.5 / 6000))
    blocks = run_sgd(fields, SGDSettings(9, 0.3, 5, 600, seed=2, start=(0.3, 0.4, 0.1), block=77), "numba")
    assert np.array_equal(blocks.m, b.m[:600])  # counters know nothing of blocks


def test_philox_gives_the_published_words() -> None:
    # known answers of Random123 (Salmon et al. 2011), philox4x32
    pytest.importorskip("numba")
    philox = counter_kernels().philox
    for words, answer in (
        ([0] * 6 + [7], (0x0D893F645F6FB709, 0x4F730A484F121F81)),
        ([0] * 6 + [10], (0xE169C58D6627E8D5, 0x9B00DBD8BC57AC4C)),
        ([0xFFFFFFFF] * 6 + [10], (0x41C83B0E408F276D, 0x6D5451FDA20BC7C6)),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0, 10],
            (0x94FDCCEBD16CFE09, 0x24126EA15001E420),
        ),
    ):
        assert tuple(philox(*map(np.uint64, words))) == answer


def test_box_muller_is_accurate() -> None:
    pytest.importorskip("numba")
    pair = counter_kernels().normal_pair
    rng = np.random.default_rng(3)
    words = rng.integers(0, 2**64, (300, 2), dtype=np.uint64)
    words[:3, 0] = 0, 2**64 - 1, 2**63
    for first, second in words:
        u = 1 - (int(first) >> 12) / 2**52
        angle = ((int(second) >> 12) / 2**52 - 0.5) * math.pi / 2 - (int(second) & 1) * math.pi / 2
        angle += math.pi * ((int(second) >> 1) & 1)
        radius = math.sqrt(-2 * math.log(u))
        expected = (radius * math.cos(angle), radius * math.sin(angle))
        assert pair(first, second) == pytest.approx(expected, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("degrees", [2, 3, 40])
def test_lengths_are_accepted_with_the_exact_probability(degrees: int) -> None:
    # Marsaglia and Tsang, every acceptance decided by the formula itself, without shortcuts
    pytest.importorskip("numba")
    kernels, count, u = counter_kernels(), 20000, np.uint64
    normals, lengths = np.empty((1, 0, count)), np.empty((1, 1, count))
    draws = CounterDraws(1, 0, degrees / 2)
    draws.fill(9, normals, lengths)
    k0, k1 = draws.key & u(0xFFFFFFFF), draws.key >> u(32)
    d = degrees / 2 - 1 / 3
    rejected = 0
    for run in range(count):
        slot = 1 << 24
        while True:
            x, y = kernels.normal_pair(*map(u, kernels.philox(u(run), u(slot), u(9), u(0), k0, k1, 7)))
            v = (1 + x / math.sqrt(9 * d)) ** 3
            if v > 0 and math.erfc(abs(y) / math.sqrt(2)) > 1 - math.exp(x**2 / 2 + d * (1 - v + math.log(v))):
                break
            slot, rejected = slot + 1, rejected + 1
        assert lengths[0, 0, run] == pytest.approx(2 * d * v, rel=1e-12)
    assert rejected > 5


@pytest.mark.parametrize("degrees", [1, 2, 3, 6, 97, 10**6, 10**12])
def test_counter_draws_have_their_laws(degrees: int) -> None:
    pytest.importorskip("numba")
    normals, lengths = np.empty((40, 5, 500)), np.empty((40, 2, 500))
    CounterDraws(8, 3, degrees / 2).fill(11, normals, lengths)
    assert stats.kstest(lengths.ravel(), stats.chi2(degrees).cdf).pvalue > 1e-3
    rows: Array = np.concatenate((normals, lengths), axis=1).transpose(1, 0, 2).reshape(7, -1)
    assert all(stats.kstest(row, "norm").pvalue > 1e-3 for row in rows[:5])
    rows[5:] -= rows[5:].mean(axis=1, keepdims=True)
    off = np.asarray(np.corrcoef(np.concatenate((rows, rows[:5] ** 2 - 1))))[np.triu_indices(12, 1)]
    assert np.abs(off).max() < 5 / math.sqrt(rows.shape[1])
    # a later step, a later replica: the same numbers whoever asks
    again, more = np.empty((1, 5, 100)), np.empty((1, 2, 100))
    CounterDraws(8, 3 + 50, degrees / 2).fill(11 + 6, again, more)
    assert np.array_equal(again[0], normals[6, :, 50:150])
    assert np.array_equal(more[0], lengths[6, :, 50:150])


def test_numba_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    chain_compiled._kernel.cache_clear()
    counter_kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"numba is not installed: pip install 'sie-sym\[fast\]'"):
        run_sgd(quadratic(), SGDSettings(10, 0.1, 1, 1, seed=0), engine="numba")


def test_plain_callables_equal_formulas() -> None:
    by_hand = Fields.of_callables(
        2,
        lambda z: (z[:1] ** 2 + z[1:] ** 2) - 2,
        lambda z: z.sum(axis=0, keepdims=True) ** 2 / 2,
        lambda z: np.repeat(z.sum(axis=0)[None, None], 2, axis=1),
        encoding=[1, 0.5],
    )
    symbolic = fields_of(HERMITE_PAIR, formula_model((Z1 + Z2) ** 2 / 2, 2).with_encoding([[1, sp.Rational(1, 2)]]))
    settings = SGDSettings(50, 0.1, 10, 9, seed=2)
    assert run_sgd(by_hand, settings).m == pytest.approx(run_sgd(symbolic, settings).m, abs=1e-12)
    with pytest.raises(NoClosedForm, match="fields_of"):
        run_sgd(by_hand, settings, engine="numba")


def test_functions_without_machine_code_are_named() -> None:
    pytest.importorskip("numba")
    fields = fields_of(Target.of(sp.erfi(Z1)), formula_model(Z1**2, 1))
    settings = SGDSettings(50, 0.1, 2, 3, seed=2)
    assert run_sgd(fields, settings).diverged == 0
    with pytest.raises(NoClosedForm, match="use engine='numpy'"):
        run_sgd(fields, settings, engine="numba")


def test_summed_and_per_token_draws_have_the_same_law() -> None:
    per_token = fields_of(HERMITE_PAIR, formula_model((Z1 + Z2) ** 2 / 2, 2).with_encoding([[1, -2]]))
    summed = fields_of(HERMITE_PAIR, linear_attention(2).with_encoding([[1, -2]]))
    assert summed.summed
    assert not per_token.summed
    settings = SGDSettings(10, 0.2, 4, 8000, seed=2, start=(0.3, 0.4), record=2)
    a = run_sgd(summed, settings)
    b = run_sgd(per_token, SGDSettings(10, 0.2, 4, 8000, seed=3, start=(0.3, 0.4), record=2))
    assert stats.ks_2samp(a.m, b.m).pvalue > 1e-3
    assert stats.ks_2samp(a.eps[:, 0], b.eps[:, 0]).pvalue > 1e-3


def test_an_injection_moves_the_argument_of_a_tied_network() -> None:
    fields = fields_of(Target.of(Z1 * Z2), tied_network(2, sp.tanh(U)).with_injection([1, sp.Rational(1, 2)]))
    z, y = np.array([[0.2], [-0.7]]), np.array([[0.4]])
    u = (0.2 - 0.7 + 1.5) / math.sqrt(2)
    slope = -2 * (0.4 - math.tanh(u)) * (1 - math.tanh(u) ** 2) / math.sqrt(2)
    delta, loss = fields.response(y, z)
    assert delta[:, 0] == pytest.approx([slope, slope])
    assert loss[0] == pytest.approx((0.4 - math.tanh(u)) ** 2)


def test_long_sequences_stay_cheap() -> None:
    l = sp.Symbol("l", integer=True)
    tokens = 300
    target = Target.of(sp.Sum(He(2, TOKENS[l]), (l, 1, tokens)))
    fields = fields_of(target, tied_network(tokens, U**2))
    assert chain.normal_rows(fields, 1) == tokens + 1
    assert block_size(fields, SGDSettings(100, 1, 1, 1, seed=1)) == 128  # 301 x 128 numbers a step
    result = run_sgd(fields, SGDSettings(10**6, 1e-3, 3, 4, seed=1))
    assert np.all(np.isfinite(result.m))
    structured = formula_model(sp.Sum(TOKENS[l] ** 2 * l, (l, 1, 3)), 3)
    delta, _ = fields_of(Target.of(Z1 * Z2 * Z3), structured).response(np.array([[1.0]]), np.array([[1.0], [2], [3]]))
    assert delta[:, 0] == pytest.approx(-2 * (1 - 36) * np.array([2, 8, 18]))  # 1 + 2 4 + 3 9 = 36


def test_divergence_is_reported() -> None:
    fields = Fields.of_callables(
        1, lambda z: np.where(z > 1.5, np.nan, z), lambda z: z, lambda z: np.ones((1, *z.shape))
    )
    settings = SGDSettings(100, 0.1, 10, 200, seed=1, start=(0.5,), record=2)
    with pytest.warns(RuntimeWarning, match="of 200 replicas diverged"):
        result = run_sgd(fields, settings)
    assert result.diverged == int(np.isnan(result.m).sum())
    assert 0 < result.diverged < 200
    assert result.m_mean[-1] == pytest.approx(np.nanmean(result.m))
    with pytest.warns(RuntimeWarning, match="200 of 200"):
        lost = run_sgd(fields, SGDSettings(100, 0.1, 400, 200, seed=1, start=(0.5,), record=2))
    assert np.isnan(lost.m_mean[-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 3}, "dimension 3 leaves no room"),
        ({"dimension": 2.5}, "dimension is 2.5"),
        ({"dimension": "ten"}, "dimension is 'ten'"),
        ({"dimension": math.inf}, "dimension is inf"),
        ({"dimension": 10**17}, "beyond 10"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": math.nan}, "rate is nan"),
        ({"rate": math.inf}, "rate is inf"),
        ({"steps": -1}, "steps is -1"),
        ({"runs": 0}, "runs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"record": 1}, "record is 1"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"loss": "absolute"}, "unknown loss 'absolute'"),
        ({"start": (0.9, 0.9)}, "unit ball"),
        ({"start": (0.1,)}, "has 1 entries: give 2"),
        ({"start": (math.nan, 0.1)}, "not finite"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"dimension": 10, "rate": 0.1, "steps": 2, "runs": 2, "seed": 0}
    with pytest.raises(SieSymError, match=message):
        run_sgd(quadratic([[1, -1]]), SGDSettings(**(good | change)))  # type: ignore[arg-type]


def test_other_bad_input_is_refused() -> None:
    settings = SGDSettings(10, 0.1, 1, 1, seed=0)
    with pytest.raises(SieSymError, match="workers is 0"):
        run_sgd(quadratic(), settings, workers=0)
    with pytest.raises(SieSymError, match="unknown engine"):
        run_sgd(quadratic(), settings, engine="torch")  # type: ignore[arg-type]
    with pytest.raises(SieSymError, match="give 1 or 3"):
        run_sgd(CASES["untied"], SGDSettings(10, 0.1, 1, 1, seed=0, start=(0.1, 0.2)))
    with pytest.raises(FormulaError, match="2 tokens and the model 3"):
        fields_of(HERMITE_PAIR, linear_attention(3))
    with pytest.raises(FormulaError, match="1 outputs and the model 4"):
        fields_of(HERMITE_PAIR, softmax_attention(2))
    with pytest.raises(FormulaError, match="omega has no value"):
        fields_of(Target.of(Z1 * Z2 * sp.Symbol("omega", real=True)), linear_attention(2))
    with pytest.raises(DomainError, match="jumps"):
        fields_of(HERMITE_PAIR, tied_network(2, sp.sign(U)))
    with pytest.raises(FormulaError, match="no positional encoding"):
        fields_of(HERMITE_PAIR, linear_attention(2).with_encoding([[1, -1]]), untied=True)
    with pytest.raises(FormulaError, match="encoding has shape"):
        Fields.of_callables(2, lambda z: z, lambda z: z, lambda z: z, encoding=[1, 2, 3])


def test_parameters_take_values() -> None:
    omega = sp.Symbol("omega", real=True)
    model = Model((omega * Z1,), 1, "formula", sp.ImmutableDenseMatrix([[omega]]))
    fields = fields_of(Target.of(omega * Z1), model, {omega: sp.Rational(1, 2)})
    assert fields.encoding == pytest.approx(np.array([[0.5]]))
    delta, _ = fields.response(np.array([[2.0]]), np.array([[3.0]]))
    assert delta[0, 0] == pytest.approx(-2 * (2 - 1.5) * 0.5)


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    st.integers(5, 10**12),
    st.floats(1e-6, 1e6),
    st.integers(0, 2**63),
    st.sampled_from(sorted(name for name in CASES if name != "formula, three tokens")),
)
def test_overlaps_never_leave_the_ball(dimension: int, rate: float, seed: int, name: str) -> None:
    result = run_sgd(CASES[name], SGDSettings(dimension, rate, 5, 4, seed=seed))
    if CASES[name].untied:
        assert np.all(np.abs(result.m) <= 1 + 1e-12)
    else:
        assert np.all(result.m**2 + (result.eps**2).sum(axis=1) <= 1 + 1e-12)


def test_relu_networks_run() -> None:
    fields = fields_of(Target.of(relu(Z1) + relu(Z2)), tied_network(2, relu(U)))
    delta, _ = fields.response(np.array([[1.0, 1.0]]), np.array([[2.0, -2.0]]))
    assert delta[0] == pytest.approx([2.0, 0.0])
    assert run_sgd(fields, SGDSettings(1000, 0.1, 5, 5, seed=1)).diverged == 0


def test_fields_given_by_hand_have_plain_defaults() -> None:
    fields = Fields(3, lambda z: z[:1], lambda y, z: (z, y[0]))
    assert (fields.summed, fields.untied, fields.rank, fields.inputs, fields.orthonormal) == (False, False, 0, 3, True)
    assert fields.encoding.shape == (3, 0)
    assert np.array_equal(fields.gram, np.eye(1))
    assert (fields.scalar_target, fields.scalar_response) == (None, None)


@pytest.mark.parametrize(
    ("given", "columns"), [((), np.zeros((2, 0))), ([1, 0.5], [[1], [0.5]]), ([[1, 0], [0.5, 2]], [[1, 0], [0.5, 2]])]
)
def test_the_encoding_of_callables_is_one_column_or_several(given: object, columns: object) -> None:
    fields = Fields.of_callables(2, lambda z: z, lambda z: z, lambda z: z, encoding=given)
    assert np.array_equal(fields.encoding, np.asarray(columns))
    assert (fields.untied, fields.summed) == (False, False)


def test_a_checkpoint_is_written_when_it_is_time_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, path = quadratic(), tmp_path / "run.npz"
    settings = SGDSettings(60, 0.1, 20, 3, seed=4, record=5)
    clock = itertools.count(1000, 10)  # every look at it takes ten seconds
    monkeypatch.setattr(sgd, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for seconds, expected in ((25, [False, False, True, True]), (500, [False, False, False, True])):
        written: list[bool] = []
        path.unlink(missing_ok=True)
        run_sgd(
            fields,
            settings,
            checkpoint=path,
            progress=lambda *_, written=written: written.append(path.exists()),
            checkpoint_seconds=seconds,
        )
        assert written == expected
    seen: list[int] = []
    run_sgd(fields, settings, checkpoint=path, progress=lambda step, _: seen.append(step))
    assert seen == []  # complete: no step is made again


def test_the_unsquared_loss_stands_still_at_a_perfect_fit() -> None:
    """|g - phi| has a kink there, with 0 among its subgradients; what is not a number stays visible."""
    constants = StepConstants(0.01, 1, True, np.inf)
    normals, lengths = np.array([[0.7], [-1.3]]), np.array([[5.0]])
    fit = Fields.of_callables(1, lambda z: z, lambda z: z, lambda z: np.ones((1, *z.shape)))
    lost = Fields.of_callables(1, lambda z: z * np.nan, lambda z: z, lambda z: np.ones((1, *z.shape)))
    for fields, start, end in ((fit, 1.0, 1.0), (lost, 0.5, np.nan)):
        m = np.array([[start]])
        with np.errstate(all="ignore"):
            tied_step(fields, constants, m, np.empty((0, 1)), normals, lengths)
        assert m[0, 0] == pytest.approx(end, abs=1e-15, nan_ok=True)


def test_the_plain_step_stands_still_at_a_perfect_fit() -> None:
    fit = Fields.of_callables(1, lambda z: z, lambda z: z, lambda z: np.ones((1, *z.shape)))
    frame = np.array([[2.0, 0.0, 0.0, 0.0]])
    sample = np.array([[[0.3, -0.2, 0.5, 0.1]]])
    with np.errstate(all="ignore"):
        assert np.array_equal(plain_step(fit, frame[0], frame, sample, 0.5, "frobenius"), frame[0])


def test_plain_sgd_notes_the_first_step_above_the_threshold() -> None:
    """The draws of a replica do not depend on how many steps follow, so that shorter runs show its path."""
    fields = quadratic([[1, -1]])  # |(e, m)|^2 = m^2 + 2 eps^2
    found = plain_sgd(fields, SGDSettings(12, 0.3, 8, 12, seed=3, start=(0.3, 0.1), threshold=0.5))
    above = []
    for steps in range(9):
        state = plain_sgd(fields, SGDSettings(12, 0.3, steps, 12, seed=3, start=(0.3, 0.1)))
        above.append(np.sqrt(state.m**2 + 2 * state.eps[:, 0] ** 2) >= 0.5)
    expected = np.where(np.any(above, axis=0), np.argmax(above, axis=0), -1)
    assert np.array_equal(found.recovery_step, expected)
    assert len(set(expected)) > 2


def test_a_run_that_fails_stops_its_other_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of two replicas breaks at once; that of one must not go on to the next stop, 10 000 steps on."""
    made: list[int] = []

    def target(z: Array) -> Array:
        if z.shape[-1] == 2:
            raise Interrupted
        made.append(1)
        return z

    monkeypatch.setattr(sgd, "_DRAWS", 1)
    fields = Fields.of_callables(1, target, lambda z: z, lambda z: np.ones((1, *z.shape)))
    with pytest.raises(Interrupted):
        run_sgd(fields, SGDSettings(100, 0.1, 10_000, 3, seed=1, block=2, record=2), workers=2)
    assert len(made) < 10_000
