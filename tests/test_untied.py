"""Untied networks: loss and noise against cubature with token-wise overlaps, drift against the exact reduced SGD."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp

from sie_sym.errors import DomainError, FormulaError, SieSymError, TruncationError
from sie_sym.functions import TOKENS, He, relu, token
from sie_sym.gradient_noise import gradient_noise
from sie_sym.model import ACTIVATION_VARIABLE, tied_network
from sie_sym.numeric import numeric_function
from sie_sym.population_loss import population_loss
from sie_sym.target import Target
from sie_sym.tensors.independent_sum import equivalent_tokens
from sie_sym.untied import NetworkLoss, tied_loss, untied_loss

z1, z2, z3 = (token(i) for i in range(1, 4))
l = sp.Symbol("l", integer=True)
u = ACTIVATION_VARIABLE
Function = Callable[[np.ndarray], np.ndarray]


def he(k: int, tokens: int) -> sp.Expr:
    return sp.Sum(He(k, TOKENS[l]), (l, 1, tokens))


def gaussian_mean(
    integrand: Callable[[np.ndarray, np.ndarray], np.ndarray], overlaps: list[float], nodes: int
) -> float:
    """E integrand(z*, u): Gauss-Hermite over z* and over the part of u that is independent of z*.

    u = sum_l (m_l z*_l + sqrt(1 - m_l^2) h_l) / sqrt L, so given z* it is normal.
    """
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    tokens = len(overlaps)
    spread = math.sqrt(sum(1 - m * m for m in overlaps) / tokens)
    total = 0.0
    for position in itertools.product(range(nodes), repeat=tokens):
        z = x[list(position)]
        field = float(np.dot(z, overlaps)) / math.sqrt(tokens) + spread * x
        weight = float(np.prod(w[list(position)]))
        total += weight * float(w @ integrand(np.repeat(z[:, None], nodes, axis=1), field))
    return total


def functions(target: Target, activation: sp.Expr) -> tuple[Function, Function, Function]:
    g = numeric_function([token(i) for i in range(1, target.tokens + 1)], target.components)
    sigma = numeric_function([u], [activation])
    slope = numeric_function([u], [sp.diff(activation, u)])
    return (lambda z: g(z)[0]), (lambda x: sigma(x[None, :])[0]), (lambda x: slope(x[None, :])[0])


SMOOTH = [
    (Target.of(z1 * z2 + He(2, z1) - z2), u**2 + u / 2, 12),
    (Target.of(He(3, z1) + 2 * z1 * z2), u**3 - u, 12),
    (Target.of(z1 * z2 * z3 + z3), u + He(3, u).expand(func=True), 9),
    (Target.of(z1**2 - z2 + sp.Rational(1, 3)), sp.exp(u / 2), 30),
    (Target.of(sp.cos(z1) + z2), u**2, 24),
]


@pytest.mark.parametrize(("target", "activation", "nodes"), SMOOTH)
def test_loss_and_noise_are_the_gaussian_means(target: Target, activation: sp.Expr, nodes: int) -> None:
    overlaps = [0.3, -0.5, 0.7][: target.tokens]
    loss = untied_loss(target, activation)
    point = dict(zip(loss.statistics, overlaps, strict=True))
    g, sigma, slope = functions(target, activation)
    assert (loss.order, loss.bound) == (None, 0)
    mean = gaussian_mean(lambda z, x: (g(z) - sigma(x)) ** 2, overlaps, nodes)
    assert float(loss.expression.subs(point)) == pytest.approx(mean, rel=1e-9)
    noise = gaussian_mean(lambda z, x: 4 * (g(z) - sigma(x)) ** 2 * slope(x) ** 2, overlaps, nodes)
    value = loss.noise()
    # exp is no polynomial: V for it pairs with g^2, of degree 4, and is exact as well.
    assert float(value.subs(point)) == pytest.approx(noise, rel=1e-9)
    start = dict.fromkeys(loss.statistics, 0)
    assert float(loss.start_noise()) == pytest.approx(float(value.subs(start)), rel=1e-12)


def test_a_truncated_loss_keeps_its_bound() -> None:
    target, activation = Target.of(sp.cos(z1) + sp.sin(z2)), sp.cos(u) + sp.sin(u)
    overlaps = [0.9, 0.8]
    g, sigma, _ = functions(target, activation)
    mean = gaussian_mean(lambda z, x: (g(z) - sigma(x)) ** 2, overlaps, 30)
    for order in (2, 4, 8):
        loss = untied_loss(target, activation, order=order)
        value = float(loss.expression.subs(dict(zip(loss.statistics, overlaps, strict=True))))
        assert loss.order == order
        assert 1e-9 < abs(value - mean) <= float(loss.bound)


@pytest.mark.parametrize(
    ("target", "activation"),
    [
        (Target.of(he(2, 5) / sp.sqrt(2)), relu(u)),
        (Target.of(z1 * z2 + z3), relu(u)),
        (Target.of(z1 - z2, 4), relu(u)),
        (Target.of(He(3, z1 + z2)), u**3),
    ],
)
def test_the_tied_case_is_the_population_loss_of_the_model(target: Target, activation: sp.Expr) -> None:
    # Another route: the closed form in phi = sigma(sum z / sqrt L), theory section 4 and 6.
    loss = tied_loss(target, activation)
    known = population_loss(target, tied_network(target.tokens, activation))
    assert sp.expand(loss.expression - known.expression) == 0
    assert sp.expand(loss.noise() - gradient_noise(known).expression) == 0


def test_lemma_5_at_its_simplest() -> None:
    # sigma = u^2, g = He_2(z1) + He_2(z2): 4 - 4 m^2 + (E u^4 = 3), theory section 9 with eps = 0: 7 - 4 m^2.
    m1, m2 = sp.symbols("m1 m2", real=True)
    target = Target.of(he(2, 2))
    assert tied_loss(target, u**2).expression == 7 - 4 * sp.Symbol("m", real=True) ** 2
    assert untied_loss(target, u**2).expression == 7 - 2 * m1**2 - 2 * m2**2


def test_equal_overlaps_reduce_to_one_statistic() -> None:
    target = Target.of(z1 * z2 * z3 + z1 + z2 + z3)
    m = sp.Symbol("m1", real=True)
    full, reduced = untied_loss(target, u**3), untied_loss(target, u**3, [[1, 2, 3]])
    equal = dict.fromkeys(full.statistics, m)
    assert sp.expand(full.expression.subs(equal) - reduced.expression) == 0
    assert sp.expand(full.noise().subs(equal) - reduced.noise()) == 0
    gamma = sp.Rational(1, 10)
    for sphere in ("token", "whole"):
        whole = full.drift(gamma, full.noise(), sphere)
        small = reduced.drift(gamma, reduced.noise(), sphere)
        assert [sp.expand(d.subs(equal) - small[0]) for d in whole] == [0, 0, 0]


def test_two_hundred_tokens_take_one_statistic() -> None:
    target = Target.of(he(2, 200) / sp.sqrt(2))
    assert equivalent_tokens(target) == [list(range(1, 201))]
    loss = untied_loss(target, relu(u), equivalent_tokens(target))
    (m,) = loss.statistics
    # E g^2 = 200, E relu^2 = 1/2, c_2 = 1/sqrt(2 pi), S_2 = 200 sqrt 2: -2 c_2 S_2 / (2 L) = -1/sqrt(pi).
    assert sp.expand(loss.expression - (200 + sp.Rational(1, 2) - m**2 / sp.sqrt(sp.pi))) == 0
    # V(0) = 4 (E g^2 / 2 + E relu^2): step^2 = step, relu^2 step = relu^2.
    assert loss.start_noise() == 402


def test_equivalent_tokens() -> None:
    assert equivalent_tokens(Target.of(z1 * z3 + z2, 4)) == [[1, 3], [2], [4]]
    assert equivalent_tokens(Target.of(z1 - z2)) == [[1], [2]]
    assert equivalent_tokens(Target.of(He(3, z1 + z2 + 2 * z3))) == [[1, 2], [3]]
    assert equivalent_tokens(Target.of(He(2, z1) + 3, 3)) == [[1], [2, 3]]


# -- Prop. 2


@pytest.mark.parametrize("activation", [u**2 + u, relu(u)])
def test_drift_by_finite_differences(activation: sp.Expr) -> None:
    target = Target.of(z1 * z2 + He(2, z1) + z3 / 2)
    loss = untied_loss(target, activation)
    overlaps, step, gamma = np.array([0.2, -0.4, 0.6]), 1e-5, 0.05
    value = numeric_function(loss.statistics, [loss.expression, loss.noise()])
    slopes = []
    for i in range(3):
        ahead, behind = overlaps.copy(), overlaps.copy()
        ahead[i] += step
        behind[i] -= step
        slopes.append((value(ahead)[0] - value(behind)[0]) / (2 * step))
    noise = value(overlaps)[1]
    drift = numeric_function(loss.statistics, loss.drift(sp.Float(gamma), loss.noise()))(overlaps)
    expected = -(1 - overlaps**2) * slopes - gamma / 2 * noise / 3 * overlaps
    assert drift == pytest.approx(expected, abs=1e-8)
    whole = numeric_function(loss.statistics, loss.drift(sphere="whole"))(overlaps)
    assert whole == pytest.approx(-np.array(slopes) + overlaps * (overlaps @ slopes) / 3, abs=1e-8)


def test_drift_as_printed_with_its_corrections() -> None:
    # Prop. 2: (1 - m_l^2) 2 sum_k c_k L^{-k/2} / (k-1)! [C_k(m, .., m, .)]_l for sigma = u^2 + u, g = z1 z2 + z1:
    # c_1 = 1, c_2 = 2; C_1 = (1, 0), C_2 = [[0, 1], [1, 0]].
    loss = untied_loss(Target.of(z1 * z2 + z1), u**2 + u)
    m1, m2 = loss.statistics
    first, second = loss.drift()
    assert sp.expand(first - (1 - m1**2) * (sp.sqrt(2) + 2 * m2)) == 0
    assert sp.expand(second - (1 - m2**2) * 2 * m1) == 0


def chain(
    target: Target, activation: sp.Expr, start: list[float], gamma: float, d: int, steps: int, replicas: int
) -> np.ndarray:
    """The untied SGD by its exact reduction: per token m_l and q_l along w* and along the rest of W_l.

    W_l <- W_l - gamma delta x_l with delta = 2 (sigma - g) sigma' / sqrt L, then |W_l|^2 = d (theory section 6).
    """
    rng = np.random.default_rng(7)
    tokens = target.tokens
    g, sigma, slope = functions(target, activation)
    m = np.tile(np.array(start)[:, None], replicas)
    for _ in range(steps):
        a, h = rng.standard_normal((2, tokens, replicas))
        q = np.sqrt(1 - m**2)
        x = (m * a + q * h).sum(axis=0) / math.sqrt(tokens)
        delta = 2 * (sigma(x) - g(a)) * slope(x) / math.sqrt(tokens)
        moved, rest = m - gamma / d * delta * a, q - gamma / d * delta * h
        tail = (gamma / d * delta) ** 2 * rng.chisquare(d - 2, (tokens, replicas))
        m = moved / np.sqrt(moved**2 + rest**2 + tail)
    return m


def integrated(loss: NetworkLoss, start: list[float], gamma: float, time: float) -> np.ndarray:
    from scipy.integrate import solve_ivp

    fields = numeric_function(loss.statistics, loss.drift(sp.Float(gamma), loss.noise()))
    return np.asarray(solve_ivp(lambda t, s: fields(s), (0, time), start, rtol=1e-9, atol=1e-10).y[:, -1])


def test_the_drift_is_that_of_sgd() -> None:
    # g = z1 + z2/2 + He_2(z1)/2, gamma far beyond the gradient flow: without V/L the overlaps would end 0.2 away.
    target, activation = Target.of(z1 + z2 / 2 + He(2, z1) / 2), u + u**2 / 4
    d, gamma, time, replicas = 3000, 0.4, 0.6, 256
    start = [0.1, -0.1]
    m = chain(target, activation, start, gamma, d, round(time * d / gamma), replicas)
    loss = untied_loss(target, activation)
    expected = integrated(loss, start, gamma, time)
    error = m.std(axis=1) / math.sqrt(replicas)
    assert np.abs(m.mean(axis=1) - expected).max() < 4 * error.max() + 5e-3
    assert np.abs(integrated(loss, start, 0.0, time) - expected).max() > 0.1


# -- what is refused


def test_errors() -> None:
    target = Target.of(z1 - z2)
    with pytest.raises(SieSymError, match="2 outputs"):
        tied_loss(Target.of(sp.Matrix([z1, z2])), u)
    with pytest.raises(SieSymError, match="partition"):
        untied_loss(target, u, [[1]])
    with pytest.raises(SieSymError, match=r"symmetric in the tokens \(1, 2\)"):
        untied_loss(target, u, [[1, 2]])
    with pytest.raises(TruncationError, match="60 different overlaps"):
        untied_loss(Target.of(he(2, 60)), u**2)
    with pytest.raises(SieSymError, match="unknown sphere"):
        untied_loss(target, u).drift(sphere="all")
    with pytest.raises(FormulaError, match="reads a token"):
        tied_loss(target, u * z1)
    with pytest.raises(FormulaError, match="name of an overlap"):
        tied_loss(Target.of(sp.Symbol("m", real=True) * z1), u)
    with pytest.raises(DomainError, match="jumps"):
        untied_loss(target, sp.sign(u)).noise()
