"""R(m, eps) of the positional-semantic model on a 200 x 200 grid against 4-dimensional quadrature.

The paper's method (App. G.1) is the tensor Gauss-Hermite rule of 17 nodes in (z*_1, z*_2, h_1, h_2), z = m z* +
sqrt(1-m^2) h + e: |t(z*) - s(z)|^2 at its 17^4 nodes, for each point.  It is written here in numpy twice: as it stands,
and as well as we can (the target evaluated once on its own 17^2 nodes, the softmax of two tokens as a sigmoid).  Some
points are timed and extrapolated to the 40 000 of the grid.  The set-up of the tables is part of our time.  Then what
changes once they are there: (omega, a) within the family, and targets outside of it (a warmer softmax, four smooth
functions, with a parity each or without, a matrix of quartic polynomials), from the function of the target to the loss
on the grid, and to its value at one point.
The errors are those against `value` at order 120, other nodes for targets outside of the family.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.comparison import Growth, Row, Section, best, deviation
from sie_sym.losses.loss_family import positional_semantic_family, positional_semantic_loss, target_loss
from sie_sym.losses.model_table import model_table
from sie_sym.quadratures.spectral import softmax_matrix

Array = np.ndarray[Any, np.dtype[np.float64]]
OMEGA, SIDE = 0.67, 200
NODES = 17


def positional(a: float) -> Array:
    """A = softmax_rows(a^2 [[1, -1], [-1, 1]])."""
    p = 1 / (1 + math.exp(-2 * a * a))
    return np.array([[p, 1 - p], [1 - p, p]])


class TunedGaussHermite:
    """The loss by the tensor rule, the target evaluated once and the softmax of two tokens as a sigmoid."""

    def __init__(self, omega: float = OMEGA, a: float = 1.0) -> None:
        x, w = np.polynomial.hermite_e.hermegauss(NODES)
        w = w / w.sum()
        self.z_star = np.array(np.meshgrid(x, x, indexing="ij")).reshape(2, -1, 1)
        self.h = np.array(np.meshgrid(x, x, indexing="ij")).reshape(2, 1, -1)
        self.weight = np.outer(w, w).ravel()
        self.target = (1 - omega) * softmax_matrix(self.z_star[:, :, 0]) + omega * positional(a)[:, :, None]

    def value(self, m: float, eps: float) -> float:
        shift = np.array([eps, -eps]).reshape(2, 1, 1)
        z = m * self.z_star + math.sqrt(1 - m * m) * self.h + shift
        model = softmax_matrix(z.reshape(2, -1)).reshape(2, 2, *z.shape[1:])
        squares = ((self.target[..., None] - model) ** 2).sum(axis=(0, 1))
        return float(self.weight @ squares @ self.weight)


class GaussHermite:
    """The same rule as it is described: the integrand at every node of the four-dimensional grid."""

    def __init__(self, omega: float = OMEGA, a: float = 1.0) -> None:
        x, w = np.polynomial.hermite_e.hermegauss(NODES)
        self.omega, self.constant = omega, positional(a)[:, :, None]
        self.nodes = np.array(np.meshgrid(x, x, x, x, indexing="ij")).reshape(4, -1)
        weights = np.array(np.meshgrid(w, w, w, w, indexing="ij")).reshape(4, -1)
        self.weight = weights.prod(axis=0) / w.sum() ** 4

    @staticmethod
    def attention(z: Array) -> Array:
        scores = z[:, None] * z[None, :]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def value(self, m: float, eps: float) -> float:
        z_star, h = self.nodes[:2], self.nodes[2:]
        z = m * z_star + math.sqrt(1 - m * m) * h + np.array([[eps], [-eps]])
        target = (1 - self.omega) * self.attention(z_star) + self.omega * self.constant
        return float(self.weight @ ((target - self.attention(z)) ** 2).sum(axis=(0, 1)))


PAPER, TUNED = f"{NODES}^4 Gauss-Hermite, as described", f"{NODES}^4 Gauss-Hermite, tuned"
RULES: dict[str, type[GaussHermite] | type[TunedGaussHermite]] = {PAPER: GaussHermite, TUNED: TunedGaussHermite}


def warmer(z: Array) -> Array:
    return softmax_matrix(math.sqrt(0.7) * z)


def smooth(z: Array) -> Array:
    return np.stack([np.tanh(z[0]), np.sin(z[1]), np.cos(z[0] - 2 * z[1]), np.exp(-(z[1] ** 2))])


def lopsided(z: Array) -> Array:
    gate = 1 / (1 + np.exp(-z[0] * z[1] - 0.2))
    return np.stack([np.tanh(z[0] + 0.3), gate, np.exp(z[1] / 5 - z[0] ** 2 / 3), np.cos(z[0] - 2 * z[1] + 1)])


def quartic(z: Array) -> Array:
    return np.stack([z[0] ** 4, z[0] * z[1] ** 2, z[0] * z[1], 1 + z[1]])


OUTSIDE: dict[str, tuple[Callable[[Array], Array], int | None]] = {
    "target softmax(0.7 z z^T)": (warmer, None),
    "target of four smooth functions": (smooth, None),
    "target of four smooth functions without parity": (lopsided, None),
    "target of four polynomials of degree 4": (quartic, 4),
}


def fresh_table() -> None:
    positional_semantic_family.cache_clear()
    positional_semantic_family()


def section(quick: bool) -> Section:
    repeat, number = (1, 2) if quick else (7, 10)
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (number, 2))
    m, eps = np.linspace(-0.99, 0.99, SIDE)[:, None], np.linspace(-1, 1, SIDE)[None, :]
    table = model_table(softmax_matrix, [[1.0], [-1.0]])
    loss = positional_semantic_loss(OMEGA)
    rules = {name: rule() for name, rule in RULES.items()}
    tasks: dict[str, Callable[[], Any]] = {
        name: lambda rule=rule: [rule.value(*point) for point in points]  # type: ignore[misc]
        for name, rule in rules.items()
    }
    tasks |= {
        "set-up": fresh_table,
        "grid": lambda: loss.value(m, eps),
        "another": lambda: positional_semantic_loss(0.5, 0.9).value(m, eps),
    }
    for name, (target, degree) in OUTSIDE.items():
        tasks[name] = lambda g=target, d=degree: target_loss(g, table, degree=d).value(m, eps)  # type: ignore[misc]
        tasks[f"point, {name}"] = lambda g=target, d=degree: target_loss(g, table, degree=d).value(0.5, 0.3)  # type: ignore[misc]
    found = best(tasks, repeat)

    p = positional(1.0)[0, 0]
    finer_family = positional_semantic_family(order=120)
    finer = model_table(softmax_matrix, [[1.0], [-1.0]], order=120, nodes=200)
    reference = finer_family.at([1 - OMEGA, OMEGA * (2 * p - 1), OMEGA * (1 - p)])
    error = deviation(found["grid"].value, reference.value(m, eps))
    rows = []
    set_up, grid = found["set-up"].seconds, found["grid"].seconds
    for name in rules:
        whole = found[name].seconds / number * SIDE**2
        theirs = deviation(found[name].value, reference.value(*points.T))
        rows += [
            Row(
                "200 x 200 grid of R, set-up included",
                name,
                set_up + grid,
                whole,
                error,
                theirs,
                1e4 if name == PAPER else None,
            ),
            Row("200 x 200 grid of R, tables at hand", name, grid, whole, error, theirs),
        ]
    whole = found[PAPER].seconds / number * SIDE**2
    rows.append(Row("the same for another (omega, a)", PAPER, found["another"].seconds, whole))
    for name, (target, degree) in OUTSIDE.items():
        other = target_loss(target, finer, degree=degree, nodes=None if degree else 320)
        apart_by = deviation(found[name].value, other.value(m, eps))
        rows.append(Row(f"the same for a {name}", PAPER, found[name].seconds, whole, apart_by))
    return Section(
        "The loss on a grid",
        "R(m, eps) of the positional-semantic model (softmax, L = 2, omega = 0.67, a = 1) at 40 000 points. The "
        f"quadrature is timed at {number} points and extrapolated. Errors: largest deviation from order 120, ours on "
        "the grid, theirs at the timed points. Targets outside of the family cost the quadrature the same.",
        tuple(rows),
        growths(quick),
        tuple(
            f"To R at one point, {name}, tables at hand: {1e3 * found[f'point, {name}'].seconds:.2f} ms."
            for name in OUTSIDE
        ),
    )


def growths(quick: bool) -> tuple[Growth, ...]:
    """Seconds as the order of the expansion and the number of points grow."""
    orders = (20, 40) if quick else (20, 40, 80, 160)
    points = (10**3, 10**4) if quick else (10**3, 10**4, 10**5)
    loss, draw = positional_semantic_loss(OMEGA), np.random.default_rng(0)
    scattered = {n: draw.uniform(-0.7, 0.7, (2, n)) for n in points}
    set_ups: dict[str, Callable[[], Any]] = {
        str(k): lambda k=k: model_table(softmax_matrix, [[1.0], [-1.0]], order=k)  # type: ignore[misc]
        for k in orders
    }
    values: dict[str, Callable[[], Any]] = {
        str(n): lambda z=z: loss.value(*z)  # type: ignore[misc]
        for n, z in scattered.items()
    }
    repeat = 1 if quick else 5
    return tuple(
        Growth(task, size, sizes, tuple(one.seconds for one in best(tasks, repeat).values()))
        for task, size, sizes, tasks in (
            ("tables of softmax attention, L = 2", "order K", orders, set_ups),
            ("R at scattered points", "points", points, values),
        )
    )
