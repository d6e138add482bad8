"""Routes to Gaussian expectations that share nothing with the closed forms: tensor quadrature and Monte Carlo.

Functions are turned into numpy by SymPy's printer and scipy's special functions, not by the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy import special

from sie_sym.functions import token
from sie_sym.model import Model
from sie_sym.target import Target

Array = NDArray[np.float64]

_MODULES = [
    {
        "He": lambda k, x: special.eval_hermitenorm(int(k), x),
        "relu": lambda x: np.maximum(x, 0.0),
        "Phi": special.ndtr,
        "gelu": lambda x: x * special.ndtr(x),
        "sigmoid": special.expit,
        "softplus": lambda x: np.logaddexp(0.0, x),
        "erf": special.erf,
        "Heaviside": lambda x, half=0.5: np.heaviside(x, half),
        "Max": lambda *x: np.maximum.reduce(np.broadcast_arrays(*x)),
    },
    "numpy",
]


def numeric(expressions: Sequence[sp.Expr], tokens: int) -> Callable[[Array], Array]:
    """(L, N) points to (k, N) values."""
    symbols = [token(l) for l in range(1, tokens + 1)]
    functions = [sp.lambdify(symbols, expression, modules=_MODULES) for expression in expressions]

    def evaluate(points: Array) -> Array:
        shape = points.shape[1:]
        return np.stack([np.broadcast_to(np.asarray(f(*points), dtype=float), shape) for f in functions])

    return evaluate


def hermite_grid(dimension: int, nodes: int) -> tuple[Array, Array]:
    """Gauss-Hermite points (dimension, N) and weights (N,) of the standard normal law."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / math.sqrt(2 * math.pi)
    points = np.stack([axis.ravel() for axis in np.meshgrid(*[x] * dimension, indexing="ij")])
    weights = np.prod([axis.ravel() for axis in np.meshgrid(*[w] * dimension, indexing="ij")], axis=0)
    return points, weights


def mean_by_quadrature(expression: sp.Expr, tokens: int, nodes: int = 60) -> float:
    """E h(Z) for smooth h."""
    points, weights = hermite_grid(tokens, nodes)
    return float(numeric([expression], tokens)(points)[0] @ weights)


def coefficient_by_quadrature(expression: sp.Expr, alpha: Sequence[int], nodes: int = 60) -> float:
    """E h(Z) He_alpha(Z) for smooth h."""
    points, weights = hermite_grid(len(alpha), nodes)
    basis = np.prod([special.eval_hermitenorm(n, x) for n, x in zip(alpha, points, strict=True)], axis=0)
    return float((numeric([expression], len(alpha))(points)[0] * basis) @ weights)


def _fields(model: Model, at: Mapping[sp.Symbol, float], a: Array, xi: Array) -> Array:
    m = float(at[model.semantic])
    e = np.array([float(sp.sympify(entry, strict=True).subs(dict(at))) for entry in model.shift])
    return m * a + math.sqrt(1 - m * m) * xi + e[:, None]


def loss_samples(target: Target, model: Model, at: Mapping[sp.Symbol, float], a: Array, xi: Array) -> Array:
    """|g(z*) - phi(z)|^2 at z* = a, z = m a + sqrt(1 - m^2) xi + e."""
    g, phi = numeric(target.components, target.tokens), numeric(model.components, model.tokens)
    return np.sum((g(a) - phi(_fields(model, at, a, xi))) ** 2, axis=0)


def loss_by_quadrature(target: Target, model: Model, at: Mapping[sp.Symbol, float], nodes: int = 30) -> float:
    """R by a tensor rule in the 2L normals: smooth functions only."""
    points, weights = hermite_grid(2 * model.tokens, nodes)
    a, xi = points[: model.tokens], points[model.tokens :]
    return float(loss_samples(target, model, at, a, xi) @ weights)


def draws(tokens: int, samples: int, seed: int) -> tuple[Array, Array]:
    """Independent normals for z* and for the rest of z."""
    both = np.random.default_rng(seed).standard_normal((2, tokens, samples))
    return both[0], both[1]


def mean_and_error(values: Array) -> tuple[float, float]:
    """Sample mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(values.size))


def loss_by_monte_carlo(
    target: Target, model: Model, at: Mapping[sp.Symbol, float], samples: int = 400_000, seed: int = 0
) -> tuple[float, float]:
    """(R, its standard error)."""
    return mean_and_error(loss_samples(target, model, at, *draws(model.tokens, samples, seed)))


def noise_samples(target: Target, model: Model, at: Mapping[sp.Symbol, float], a: Array, xi: Array) -> Array:
    """sum_l delta_l^2 with the slopes of phi by central differences."""
    g, phi = numeric(target.components, target.tokens), numeric(model.components, model.tokens)
    z = _fields(model, at, a, xi)
    residual = g(a) - phi(z)
    total = np.zeros(z.shape[1])
    step = 1e-4
    for l in range(model.tokens):
        shift = np.zeros((model.tokens, 1))
        shift[l] = step
        slope = (phi(z + shift) - phi(z - shift)) / (2 * step)
        total += (2 * np.sum(residual * slope, axis=0)) ** 2
    return total
