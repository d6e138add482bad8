"""The error that a table states covers the truth: losses and noises, smooth and kinked, at random points of the disk.

The truth is quadrature of the definition in the plane of (u*, u), split along every kink (`differential`), or a closed
form of `population_loss`, or the joint density of (z*, z) token by token on uniform grids: no Hermite series anywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import sympy as sp
from differential import split_grid
from independent import Array, numeric

from sie_sym.functions import He, relu, sigmoid, softplus, token
from sie_sym.landscape import landscape
from sie_sym.losses.numerical_loss import loss_function, tabulated_loss
from sie_sym.model import ACTIVATION_VARIABLE as U
from sie_sym.model import Model, attention_matrix, formula_model, linear_attention, softmax_attention, tied_network
from sie_sym.numeric import NumericLoss
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.numerical_noise import tabulated_noise
from sie_sym.population_loss import population_loss
from sie_sym.quadratures.random_shifts import has_kinks
from sie_sym.target import Target

Z1, Z2, Z3 = token(1), token(2), token(3)
R = sp.Rational
Point = tuple[float, float]


def disk(count: int = 50, rim: float = 0.99) -> list[Point]:
    """Random points (m, eps) of the disk, |m| up to `rim`."""
    generator = np.random.default_rng(20250602)
    radius, angle = np.sqrt(generator.uniform(size=count)), generator.uniform(0, 2 * math.pi, count)
    return [(rim * r * math.cos(t), r * math.sin(t)) for r, t in zip(radius, angle, strict=True)]


@functools.cache
def compiled(formula: sp.Expr) -> Callable[[Array], Array]:
    """A function of u at points (1, N)."""
    return numeric([formula.subs(U, Z1)], 1)


@dataclass(frozen=True)
class Ridge:
    """g and phi of one variable each, u* and u + shift, with the places of their kinks."""

    target: sp.Expr
    model: sp.Expr
    target_kinks: tuple[float, ...] = ()
    model_kinks: tuple[float, ...] = ()

    def truth(self, m: float, shift: float) -> tuple[float, float]:
        """R and V (nan where phi jumps), u = m u* + sqrt(1 - m^2) h + shift."""
        q = math.sqrt(1 - m * m)
        lines = [(1.0, 0.0, c) for c in self.target_kinks] + [(m, q, c - shift) for c in self.model_kinks]
        plane = split_grid(tuple(lines), nodes=24)
        points, weights = plane.points, plane.weights
        u = (m * points[0] + q * points[1] + shift)[None]
        g, phi = compiled(self.target)(points[:1])[0], compiled(self.model)(u)[0]
        if self.jumps:
            return float(weights @ (g - phi) ** 2), math.nan
        slope = compiled(sp.diff(self.model, U))(u)[0]
        return float(weights @ (g - phi) ** 2), float(weights @ (2 * (g - phi) * slope) ** 2)

    @property
    def jumps(self) -> bool:
        """Then SGD is not defined, and there is no V."""
        return bool(sp.diff(self.model, U).has(sp.DiracDelta))


SMOOTH = {
    "tanh, tanh": Ridge(sp.tanh(U), sp.tanh(U)),
    "tanh 2u, sigmoid": Ridge(sp.tanh(2 * U), sigmoid(U)),
    "softplus, tanh": Ridge(softplus(U), sp.tanh(U + R(1, 2))),
    "erf, softplus": Ridge(sp.erf(U), softplus(2 * U)),
}
KINKED = {
    "relu, relu": Ridge(relu(U), relu(U), (0.0,), (0.0,)),
    "tanh, relu": Ridge(sp.tanh(U), relu(U - R(1, 3)), (), (1 / 3,)),
    "relu, tanh": Ridge(relu(U - R(3, 10)), sp.tanh(U), (0.3,), ()),
    "abs, softplus": Ridge(sp.Abs(U - R(1, 2)), softplus(U), (0.5,), ()),
    "sign, abs": Ridge(sp.sign(U - R(1, 5)), sp.Abs(U), (0.2,), (0.0,)),
    "step, relu": Ridge(sp.Heaviside(U + R(1, 4)), relu(U), (-0.25,), (0.0,)),
    "window, sigmoid": Ridge(sp.Heaviside(U + R(7, 10)) - sp.Heaviside(U - R(7, 10)), sigmoid(U), (-0.7, 0.7), ()),
    "He_2, squared relu": Ridge(U**2 - 1, relu(U) ** 2, (), (0.0,)),
    "He_3, abs": Ridge(U**3 - 3 * U, sp.Abs(U - R(1, 10)), (), (0.1,)),
    "tanh, sign": Ridge(sp.tanh(U), sp.sign(U - R(1, 10)), (), (0.1,)),
    "sign, sign": Ridge(sp.sign(U), sp.sign(U), (0.0,), (0.0,)),
    "He_1, step": Ridge(U, sp.Heaviside(U - R(1, 4)), (), (0.25,)),
    "relu, step": Ridge(relu(U), sp.Heaviside(U), (0.0,), (0.0,)),
}
ENCODINGS = {1: [[1]], 2: [[1], [R(1, 2)]], 3: [[1], [0], [R(1, 2)]]}


def network(ridge: Ridge, tokens: int) -> tuple[Target, Model, float]:
    """g(sum z*/sqrt L), phi of the same form, and the shift of its variable at eps = 1."""
    along = sp.Add(*map(token, range(1, tokens + 1))) / sp.sqrt(tokens)
    column = [row[0] for row in ENCODINGS[tokens]]
    model = tied_network(tokens, ridge.model).with_encoding([column])
    return Target.of(ridge.target.subs(U, along), tokens), model, float(sum(column)) / math.sqrt(tokens)


def covered(found: Array, truth: Array, error: Array, rounding: float) -> Array:
    """Which errors are covered; `rounding` is that of the reference."""
    return np.asarray(np.abs(found - truth) <= error + rounding * (1 + np.abs(truth)))


def checked(ridge: Ridge, tokens: int, count: int = 50) -> tuple[float, float]:
    """Asserts that the errors of R and V cover the truth; the largest errors stated."""
    target, model, shift = network(ridge, tokens)
    points = disk(count)
    truth = np.array([ridge.truth(m, shift * eps) for m, eps in points])
    m, eps = np.array(points).T
    loss = tabulated_loss(target, model)
    assert covered(loss.value(m, eps), truth[:, 0], loss.error(m, eps), 1e-13).all()
    if ridge.jumps:
        return float(loss.error(m, eps).max()), 0.0
    noise = tabulated_noise(target, model)
    assert covered(noise.value(m, eps), truth[:, 1], noise.error(m, eps), 1e-13).all()
    return float(loss.error(m, eps).max()), float(noise.error(m, eps).max())


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("tokens", [1, 2])
def test_smooth_networks(name: str, tokens: int) -> None:
    assert max(checked(SMOOTH[name], tokens)) < 1e-8


@pytest.mark.parametrize(("tokens", "name"), [(1, name) for name in KINKED])
def test_kinked_networks_of_one_token(name: str, tokens: int) -> None:
    loss, noise = checked(KINKED[name], tokens)
    # no alibi: the losses are of order 1, their V up to 20
    assert loss < 0.05
    assert noise < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", KINKED)
def test_kinked_networks_of_two_tokens(name: str) -> None:
    loss, noise = checked(KINKED[name], 2)
    assert loss < 0.06
    assert noise < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh 2u, sigmoid", "He_3, abs"])
def test_networks_of_three_tokens(name: str) -> None:
    loss, noise = checked({**SMOOTH, **KINKED}[name], 3)
    assert loss < 0.02
    assert noise < 0.2


# ---- other routes: closed forms, sums over the tokens, softmax -------------------------------------------------------

PAIR = Target.of(He(2, Z1) + He(2, Z2))
CLOSED = {
    "relu": (PAIR, tied_network(2, relu(U)).with_encoding([[1, R(1, 2)]])),
    "abs": (Target.of(Z1 + Z1 * Z2), tied_network(2, sp.Abs(U - R(1, 3))).with_encoding([[1, -1], [1, 1]])),
    "sign": (Target.of(He(3, Z1) + Z2), tied_network(2, sp.sign(U + R(1, 10))).with_encoding([[1, 0]])),
    "erf": (Target.of(Z1 * Z2 + Z1), tied_network(2, sp.erf(U)).with_encoding([[1, 1]])),
    "step of each token": (
        Target.of(Z1 + He(3, Z2)),
        formula_model(sp.Heaviside(Z1) + sp.Heaviside(Z2 - R(1, 5)), 2).with_encoding([[1, -1]]),
    ),
    "squared sum": (PAIR, linear_attention(2).with_encoding([[1, R(1, 2)]])),
    "squared sum, three tokens": (Target.of(Z1 * Z2 + Z3), linear_attention(3).with_encoding([[1, 0, -1]])),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name: str) -> None:
    target, model = CLOSED[name]
    exact = loss_function(population_loss(target, model))
    assert isinstance(exact, NumericLoss)
    m, eps = np.array(disk()).T
    others = [0 * m] * (len(model.statistics) - 2)
    table = tabulated_loss(target, model)
    assert covered(
        table.value(m, eps, *others), exact.value(m, eps, *others), table.error(m, eps, *others), 1e-12
    ).all()


@pytest.mark.parametrize("name", CLOSED)
def test_derivatives_at_the_start(name: str) -> None:
    """The landscape of a table states errors too; its exact side is that of the closed form."""
    target, model = CLOSED[name]
    exact, found = landscape(population_loss(target, model)), numerical_landscape(tabulated_loss(target, model))
    gradient, hessian = (
        np.array(sp.Matrix(x).evalf(20).tolist(), dtype=float) for x in (exact.gradient, exact.hessian)
    )
    assert covered(found.gradient, gradient.ravel(), found.gradient_error, 1e-12).all()
    assert covered(found.hessian, hessian, found.hessian_error, 1e-12).all()


def test_jumps_of_a_window_whose_edges_lie_alike_on_a_grid() -> None:
    """1[|z| < c] against z^2 - 1, R = P - 2 E g phi + 2: whatever c, both edges are hit or missed together."""
    for c in (0.35, 0.5, 0.7, 1.0):
        window = sp.Heaviside(Z1 + R(str(c))) - sp.Heaviside(Z1 - R(str(c)))
        loss = tabulated_loss(Target.of(He(2, Z1)), formula_model(window, 1))
        inside, edge = math.erf(c / math.sqrt(2)), math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
        for m in (0.0, 0.5, 0.9):
            truth = inside + 2 + 4 * m * m * c * edge  # E He_2 1[|z| < c] = -2 c density(c)
            assert abs(float(loss.value(m)) - truth) <= float(loss.error(m)) < 0.02


def attention(z: Array) -> Array:
    """softmax_rows(z z^T), (L, ...) to (L, L, ...)."""
    scores = z[:, None] * z[None]
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


REDUCTIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda s: s.reshape(4, *s.shape[2:]),
    "trace": lambda s: (s[0, 0] + s[1, 1])[None],
    "mean-trace": lambda s: (s[0, 0] + s[1, 1])[None] / math.sqrt(2),
}


def softmax_truth(reduction: str, m: float, eps: float) -> float:
    """R of Red softmax(z z^T) against itself, C = (1, -1), from the joint density of (z*, z) token by token."""
    step, red = 0.125, REDUCTIONS[reduction]
    x, y = np.arange(-72, 73) * step, np.arange(-80, 81) * step
    weight = step * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    sigma = math.sqrt(1 - m * m)
    g, far = (red(attention(np.stack(np.meshgrid(u, u, indexing="ij")))) for u in (x, y))
    first, second = (
        step * np.exp(-(((y[None] - m * x[:, None] - e) / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * sigma)
        for e in (eps, -eps)
    )
    phi = red(attention(np.stack(np.meshgrid(x + eps, x - eps, indexing="ij"))))
    return float(weight @ (g**2 - 2 * g * (first @ far @ second.T) + phi**2).sum(axis=0) @ weight)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_softmax_attention(reduction: str) -> None:
    """|m| <= 0.97: beyond, the joint density is too narrow for the grid of the reference."""
    matrix = attention_matrix(2)
    output = {"identity": matrix, "trace": matrix.trace(), "mean-trace": matrix.trace() / sp.sqrt(2)}[reduction]
    loss = tabulated_loss(Target.of(output, 2), softmax_attention(2, reduction).with_encoding([[1, -1]]))
    for m, eps in disk(rim=0.97):
        truth = softmax_truth(reduction, m, eps)
        assert covered(loss.value(m, eps), np.array(truth), loss.error(m, eps), 1e-13)
        assert float(loss.error(m, eps)) < 1e-8


@pytest.mark.slow
def test_softmax_attention_of_three_tokens() -> None:
    """Against a polynomial, so that nothing is cut off: another table, of more nodes."""
    target = Target.of(He(2, Z1) + Z2 * Z3)
    model = softmax_attention(3, "trace").with_encoding([[1, 0, -1]])
    loss = tabulated_loss(target, model)
    m, eps = np.array(disk()).T
    z = np.linspace(-7.5, 7.5, 110)
    weight = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    W = weight[:, None, None] * weight[:, None] * weight
    for place in range(5):
        points = np.stack(np.meshgrid(*(z + float(eps[place]) * c for c in (1, 0, -1)), indexing="ij"))
        phi = np.einsum("llabc->abc", attention(points))
        # E[g(z*) | z] = m^2 g(z - e)
        x1, x2, x3 = np.meshgrid(z, z, z, indexing="ij")
        goal = m[place] ** 2 * (x1**2 - 1 + x2 * x3)
        truth = 3 + float((W * (phi**2 - 2 * goal * phi)).sum())
        assert covered(loss.value(m[place], eps[place]), np.array(truth), loss.error(m[place], eps[place]), 1e-13)


# ---- the search for kinks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.sign(z[:1] - 0.2),
        lambda z: np.abs(z[:1] - z[-1:] + 0.1) * z[:1] ** 2,
        lambda z: np.maximum(z.sum(axis=0, keepdims=True), 0) ** 2,
        lambda z: np.stack([z[0], np.tanh(z[-1]), np.maximum(z[0], z[-1] - 0.3)]),
    ],
)
@pytest.mark.parametrize("tokens", [2, 3, 5])
def test_kinks_are_seen(function: Callable[[Array], Array], tokens: int) -> None:
    assert has_kinks(function, tokens)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z[:1] ** 6 - z[-1:] ** 3,
        lambda z: np.ones_like(z[:1]),
        lambda z: np.zeros_like(z[:1]),
        lambda z: np.tanh(5 * z[:1]),
        lambda z: np.exp(z.sum(axis=0, keepdims=True)),
        lambda z: attention(2 * z).reshape(-1, z.shape[1]),
    ],
)
@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_smooth_functions_have_none(function: Callable[[Array], Array], tokens: int) -> None:
    assert not has_kinks(function, tokens)
