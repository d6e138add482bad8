"""SGD where w* and the encoding directions are not orthogonal (App. F.3): path by path, in law, and where it ends."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy import stats
from test_sgd import project_tied

from sie_sym.cli import main
from sie_sym.errors import FormulaError, SieSymError
from sie_sym.flow import gradient_flow
from sie_sym.functions import He, token
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import formula_model, linear_attention, softmax_attention
from sie_sym.numerical_noise import tabulated_noise
from sie_sym.paper_targets import named_target
from sie_sym.phase_diagram import aligned_alternative
from sie_sym.sgd import SGDSettings, plain_sgd, plain_step, run_sgd
from sie_sym.simulation.chain import StepConstants, numpy_advance, recovery_norm, tied_step
from sie_sym.simulation.chain_compiled import numba_advance
from sie_sym.simulation.checkpoint import fingerprint
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.simulation.replicas import Engine
from sie_sym.target import Target

Array = NDArray[np.float64]
Z1, Z2, Z3 = token(1), token(2), token(3)
SOFTMAX = softmax_attention(2).with_encoding([[1, -1]])
THREE = [[1.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 1.0]]


def smooth_target(omega: float) -> Target:
    """App. F.3: softmax_rows(v v^T), v = z* + omega (1, -1)."""
    target = named_target("positional-semantic-smooth")
    return Target(tuple(c.subs(sp.Symbol("omega", real=True), sp.Rational(str(omega))) for c in target.components), 2)


@cache  # one compilation for all tests
def smooth(omega: float) -> Fields:
    return fields_of(smooth_target(omega), SOFTMAX, gram=[[1, omega], [omega, 1]])


CASES = {
    "F.3": smooth(0.6),
    "linear attention": fields_of(
        Target.of(He(2, Z1) + He(2, Z2)),
        linear_attention(2).with_encoding([[1, sp.Rational(1, 2)], [0, 2]]),
        gram=THREE,
    ),
    "three tokens": fields_of(
        Target.of(Z1 * Z2 + Z3),
        formula_model(Z1 * Z2 + sp.tanh(Z3), 3).with_encoding([[1, 0, -1], [0, 1, 2]]),
        gram=THREE,
    ),
}


def directions(gram: Array, dimension: int, rng: np.random.Generator) -> Array:
    """Rows of Gram matrix d `gram`: its symmetric square root times a random orthogonal frame."""
    values, vectors = np.linalg.eigh(gram)
    frame = np.linalg.qr(rng.standard_normal((dimension, len(gram))))[0].T * np.sqrt(dimension)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T @ frame)


def gram_schmidt(rows: Array) -> Array:
    """Orthogonal rows of squared length d, w* first."""
    found: list[Array] = []
    for row in rows:
        for q in found:
            row = row - (row @ q) / (q @ q) * q
        found.append(row * np.sqrt(rows.shape[1] / (row @ row)))
    return np.array(found)


@pytest.mark.parametrize("loss", ["squared", "frobenius"])
@pytest.mark.parametrize(("batch", "dimension"), [(1, 6), (3, 50), (1, 1000)])
@pytest.mark.parametrize("name", CASES)
def test_a_path_of_the_chain_is_a_path_of_sgd(name: str, dimension: int, batch: int, loss: str) -> None:
    """Twelve steps of SGD on the d weights, and the chain fed with the projections of the same samples."""
    fields = CASES[name]
    rng = np.random.default_rng(dimension + batch)
    rows = directions(fields.gram, dimension, rng)
    assert rows @ rows.T / dimension == pytest.approx(fields.gram, abs=1e-12)
    q = gram_schmidt(rows)
    w = rng.standard_normal(dimension) + rng.uniform(0.2, 1, len(rows)) @ rows
    w *= np.sqrt(dimension / (w @ w))
    sigma = q @ w / dimension
    m, eps = sigma[:1, None].copy(), sigma[1:, None].copy()
    rate = 0.05 * dimension
    constants = StepConstants(rate / dimension / batch, batch, loss == "frobenius", np.inf)
    moved = 0.0
    for _ in range(12):
        sample = rng.standard_normal((batch, fields.tokens, dimension)) / np.sqrt(dimension)
        inputs = sample + fields.encoding @ rows[1:] / dimension
        goals = fields.target(np.ascontiguousarray((sample @ rows[0]).T))
        delta, error = fields.response(goals, fields.read((inputs @ w).T))
        delta = delta / (2 * np.sqrt(error)) if loss == "frobenius" else delta
        delta = np.repeat(delta / np.sqrt(fields.tokens), fields.tokens, axis=0) if fields.summed else delta
        normals, lengths = project_tied(fields, w, q, sample, delta)
        new = plain_step(fields, w, rows, sample, rate, loss)
        tied_step(fields, constants, m, eps, normals, lengths)
        moved += float(np.abs(rows @ (new - w) / dimension).max())
        w = new
        state = np.concatenate((m, eps))
        assert fields.basis @ state == pytest.approx((rows @ w / dimension)[:, None], abs=1e-12)
        e = fields.encoding @ rows[1:] @ w / dimension
        assert recovery_norm(fields, m, eps)[0] == pytest.approx(e @ e + (rows[0] @ w / dimension) ** 2, rel=1e-11)
    assert moved > 1e-2


@pytest.mark.parametrize("name", ["F.3", "linear attention"])
def test_machine_code_runs_the_same_chain(name: str) -> None:
    pytest.importorskip("numba")
    fields, runs, steps = CASES[name], 5, 30
    rng = np.random.default_rng(2)
    rows = (fields.tokens + fields.inputs) * 2 + fields.rank
    normals, lengths = rng.standard_normal((steps, rows, runs)), rng.chisquare(40, (steps, 1, runs))
    start = np.full((1, runs), 0.2), np.full((fields.rank, runs), 0.1)
    size = float(recovery_norm(fields, *start)[0])
    recovered = []
    for threshold in size * np.geomspace(1.001, 1.5, 12):
        constants = StepConstants(0.01 if name == "F.3" else 0.001, 2, False, threshold)
        ends = []
        for advance in (numpy_advance(fields, constants), numba_advance(fields, constants)):
            m, eps = start[0].copy(), start[1].copy()
            recovery = np.full(runs, -1, dtype=np.int64)
            advance(m, eps, recovery, normals, lengths, 0)
            ends.append((np.concatenate((m, eps)), recovery))
        assert ends[0][0] == pytest.approx(ends[1][0], abs=1e-12)
        assert (ends[0][1] == ends[1][1]).all()
        assert np.abs(ends[0][0][0] - 0.2).min() > 1e-4
        recovered += ends[0][1].tolist()
    assert len(set(recovered)) > 5  # at many different steps


def test_the_chain_equals_sgd_in_law() -> None:
    fields, start = CASES["F.3"], (0.5, 0.6)
    plain = plain_sgd(fields, SGDSettings(8, 2.0, 8, 600, seed=11, start=start, record=2))
    fast = run_sgd(fields, SGDSettings(8, 2.0, 8, 6000, seed=12, start=start, record=2))
    assert stats.ks_2samp(plain.m, fast.m).pvalue > 1e-3
    assert stats.ks_2samp(plain.eps[:, 0], fast.eps[:, 0]).pvalue > 1e-3
    # negative control: with orthogonal directions the law is another
    other = fields_of(smooth_target(0.6), SOFTMAX)
    wrong = run_sgd(other, SGDSettings(8, 2.0, 8, 6000, seed=12, start=start, record=2))
    assert min(stats.ks_2samp(plain.m, wrong.m).pvalue, stats.ks_2samp(plain.eps[:, 0], wrong.eps[:, 0]).pvalue) < 1e-8


@pytest.mark.parametrize(("omega", "engine"), [(0.3, "numpy"), (0.6, "numba")])
def test_sgd_of_f3_ends_at_the_global_minimum(omega: float, engine: Engine) -> None:
    """(m, eps) = (1, omega), where R = 0 and SGD stands still; or its mirror image, softmax(z z^T) being even."""
    if engine == "numba":
        pytest.importorskip("numba")
    # at rate 3 the noise, which vanishes at the minimum, still drives SGD away from it
    settings = SGDSettings(30, 1.5, 8000, 64, seed=5, threshold=0.9)
    found = run_sgd(smooth(omega), settings, engine)
    sign = np.sign(found.m)
    assert found.m * sign == pytest.approx(np.ones(64), abs=1e-6)
    assert found.eps[:, 0] * sign == pytest.approx(np.full(64, omega), abs=1e-6)
    assert found.recovered == 1.0
    assert 0 < np.count_nonzero(sign > 0) < 64


def test_sgd_of_f3_follows_its_flow() -> None:
    omega, start, rate = 0.5, (0.3, 0.4), 0.5
    target = smooth_target(omega)
    loss, noise = tabulated_loss(target, SOFTMAX), tabulated_noise(target, SOFTMAX)
    by_page, gram = aligned_alternative(omega)  # the loss of section 8, made another way
    assert float(loss.value(*start)) == pytest.approx(float(by_page.value(*start)), abs=1e-9)
    flow = gradient_flow(loss, start, 10.0, rate=rate, variance=noise, gram=gram, samples=2)
    free = gradient_flow(loss, start, 10.0, rate=rate, variance=noise, samples=2)
    found = run_sgd(smooth(omega), SGDSettings(200, rate, 4000, 200, seed=7, start=start, record=2))
    mean = np.array([found.m_mean[-1], found.eps_mean[-1, 0]])
    error = np.array([found.m_std[-1], found.eps_std[-1, 0]]) / np.sqrt(200)
    assert (np.abs(mean - flow.states[-1]) < 4 * error + 2 / 200).all()
    assert np.abs(free.states[-1] - flow.states[-1]).max() > 3 * (4 * error + 2 / 200).max()


def test_random_starts_are_uniform_on_the_sphere() -> None:
    fields = CASES["three tokens"]
    found = run_sgd(fields, SGDSettings(9, 0.1, 0, 20_000, seed=3))
    states = np.column_stack((found.m, found.eps))
    covariance = states.T @ states / len(states)
    assert covariance * 9 == pytest.approx(fields.gram, abs=0.05)  # E s s^T = Gamma / d
    square = np.einsum("ni,ij,nj->n", states, np.linalg.inv(fields.gram), states)
    assert stats.kstest(square, stats.beta(1.5, 3).cdf).pvalue > 1e-3


def test_fixed_starts_and_moments_are_those_of_the_overlaps() -> None:
    fields = CASES["linear attention"]
    found = run_sgd(fields, SGDSettings(100, 0.01, 50, 30, seed=3, start=(0.3, 0.2, -0.1), block=8, record=2))
    assert found.m_mean[0] == pytest.approx(0.3)
    assert found.eps_mean[0] == pytest.approx([0.2, -0.1])
    assert found.eps_mean[-1] == pytest.approx(found.eps.mean(axis=0))
    assert found.eps_std[-1] == pytest.approx(found.eps.std(axis=0))
    run_sgd(CASES["F.3"], SGDSettings(100, 0.01, 1, 2, seed=3, start=(1.0, 0.6)))  # w = w*, on the boundary
    with pytest.raises(SieSymError, match=r"s\^T Gamma"):
        run_sgd(CASES["F.3"], SGDSettings(100, 0.01, 1, 2, seed=3, start=(0.8, -0.5)))  # inside the unit ball


@pytest.mark.parametrize(
    "gram",
    [
        [[1, 1], [1, 1]],
        [[1, 0.5], [0.4, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[2, 0], [0, 1]],
        [[1, 0], [0, np.nan]],
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram: object) -> None:
    with pytest.raises(FormulaError, match="positive definite and 2 x 2"):
        fields_of(smooth_target(0.5), SOFTMAX, gram=gram)  # type: ignore[arg-type]


def test_checkpoints_know_the_gram_matrix() -> None:
    one, other = (fields_of(smooth_target(0.5), SOFTMAX, gram=[[1, w], [w, 1]]) for w in (0.5, 0.4))
    assert fingerprint(one, (), "numpy") != fingerprint(other, (), "numpy")


# ---- commands ----------------------------------------------------------------------------------

COMMAND = (
    "-g", "@positional-semantic-smooth", "--param", "omega=.6", "--model", "softmax-attention", "--encoding", "1,-1",
)  # fmt: skip
GRAM = ("--gram", "1,.6;.6,1")


def test_the_commands_flow_and_sgd_take_a_gram_matrix() -> None:
    start = ("--start", "m=.3,eps=.3", "--json")
    flow = CliRunner().invoke(main, ["flow", *COMMAND, *GRAM, *start, "--time", "500", "--rate", ".5"])
    assert flow.exit_code == 0, flow.output
    found = json.loads(flow.stdout)
    assert (found["m"][-1], found["eps"][-1]) == pytest.approx((1, 0.6), abs=1e-5)
    assert found["gram"] == [[1.0, 0.6], [0.6, 1.0]]
    straight = json.loads(CliRunner().invoke(main, ["flow", *COMMAND, *start, "--time", "500"]).stdout)
    assert abs(straight["eps"][-1] - 0.6) > 1e-2  # with Gamma = 1 it ends elsewhere
    settings = ("--dimension", "30", "--rate", "1.5", "--steps", "4000", "--runs", "4", "--record", "2")
    sgd = CliRunner().invoke(main, ["sgd", *COMMAND, *GRAM, *start, *settings])
    assert sgd.exit_code == 0, sgd.output
    found = json.loads(sgd.stdout)
    assert (abs(found["m_mean"][-1]), abs(found["eps_mean"][-1])) == pytest.approx((1, 0.6), abs=1e-4)


@pytest.mark.parametrize(
    ("gram", "start", "message"),
    [
        ("1,.6;.6", "m=1,eps=.6", "not square"),
        ("1,2;2,1", "m=.1,eps=.1", "positive definite"),
        ("1,.6;.6,1", "m=1,eps=-.6", "lie"),
        ("1,x;x,1", "m=.1,eps=.1", "x"),
        ("1", "m=.1,eps=.1", "positive definite"),
    ],
)
@pytest.mark.parametrize(
    "command", [("flow", "--time", "1"), ("sgd", "--dimension", "30", "--rate", ".1", "--steps", "5")]
)
def test_bad_gram_matrices_are_told_in_one_line(command: tuple[str, ...], gram: str, start: str, message: str) -> None:
    result = CliRunner().invoke(main, [*command, *COMMAND, "--gram", gram, "--start", start])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
