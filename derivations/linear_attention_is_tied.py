r"""App. A, eq. 12 to 16: attention with tied keys and queries; linear attention is a tied network.

Claims (arXiv:2506.02651, App. A): with one head of width 1, W_Q = W_K = w and identity values the scores are
(X w)(X w)^T = z z^T, so attention is softmax_rows(z z^T) (eq. 1); without softmax, reduced by Red(A) = (1/L) sum A_ij,
it is (1/L) (sum_l z_l)^2 = sigma((1/sqrt L) sum_l z_l) with sigma(u) = u^2 (eq. 12 to 14).
"""

from __future__ import annotations

import numpy as np
import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.model import ACTIVATION_VARIABLE, attention_matrix, linear_attention, tied_network
from sie_sym.numeric import numeric_function
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

PAGE = Page("linear_attention_is_tied", "App. A, eq. 12-16", "linear attention is a tied network with sigma(u) = u^2")
EXPECTED = ("proved", "confirmed numerically", "proved", "proved")


def derive() -> list[Claim]:
    """From keys and queries to the tied network, and its loss."""
    return [_scores(), _softmax(), _linear(), _losses()]


def _scores() -> Claim:
    differences = []
    for tokens, dimension in ((2, 3), (3, 4)):
        X = sp.Matrix(tokens, dimension, lambda i, j: sp.Symbol(f"x{i}{j}", real=True))
        w = sp.Matrix(dimension, 1, lambda i, _: sp.Symbol(f"w{i}", real=True))
        z = X * w
        differences += list((X * w) * (X * w).T - z * z.T) + list((X * w * w.T * X.T - z * z.T).expand())
    return PAGE.claim(
        "with W_Q = W_K = w the scores X W_Q W_K^T X^T are z z^T, z = X w",
        all_zero(differences),
        "matrix algebra with symbolic X and w (2 tokens in dimension 3, 3 in dimension 4)",
    )


def _softmax() -> Claim:
    generator = np.random.default_rng(1)
    worst = 0.0
    for tokens in (2, 3, 4):
        z = generator.standard_normal((tokens, 500))
        symbols = [token(l) for l in range(1, tokens + 1)]
        ours = numeric_function(symbols, list(attention_matrix(tokens)))(z)
        weights = np.exp(z[:, None] * z[None, :])
        direct = (weights / weights.sum(axis=1, keepdims=True)).reshape(tokens**2, -1)
        worst = max(worst, float(np.abs(ours - direct).max()))
    return PAGE.claim(
        "the attention model is softmax of the rows of z z^T (eq. 1)",
        worst < 1e-13,
        f"its 500 values at seeded points against exp(z_i z_j)/sum_k exp(z_i z_k), L = 2, 3, 4: {worst:.0e}",
        source="eq. 1, App. A",
        evidence=Evidence.NUMERICAL,
    )


def _linear() -> Claim:
    L, S = sp.Symbol("L", positive=True), sp.Symbol("S", real=True)
    differences = [S * S / L - (S / sp.sqrt(L)) ** 2]  # sum_ij z_i z_j = S^2, S = sum_l z_l, for every L
    for tokens in range(1, 9):
        z = [token(l) for l in range(1, tokens + 1)]
        reduced = sp.Add(*(a * b for a in z for b in z)) / tokens
        (linear,), (tied,) = (
            linear_attention(tokens).components,
            tied_network(tokens, ACTIVATION_VARIABLE**2).components,
        )
        differences += [sp.expand(linear - reduced), sp.expand(tied - reduced)]
    return PAGE.claim(
        "(1/L) sum_ij (z z^T)_ij = sigma((1/sqrt L) sum_l z_l) with sigma(u) = u^2",
        all_zero(differences),
        "S^2/L = (S/sqrt L)^2 for symbolic L; the package's two models and the double sum written out for L = 1..8",
    )


def _losses() -> Claim:
    coefficients = sp.symbols("p0:4", real=True)
    k = sp.symbols("k1:3", real=True)
    z1, z2 = token(1), token(2)
    target = Target.of(sp.Add(*(c * t for c, t in zip(coefficients, (z1, z1 * z2, z1**2, z2**3), strict=True))))
    losses = [
        population_loss(target, model.with_encoding([k])).expression
        for model in (linear_attention(2), tied_network(2, ACTIVATION_VARIABLE**2))
    ]
    m, eps = sp.symbols("m eps", real=True)
    x, r = sp.symbols("x1 x2", real=True), sp.Symbol("r", real=True)  # z = m z* + r x + k eps, r = sqrt(1 - m^2)
    total = m * (z1 + z2) + r * (x[0] + x[1]) + (k[0] + k[1]) * eps
    square = sp.expand((target.components[0] - total**2 / 2) ** 2)
    direct = sp.rem(gaussian_mean(square, (z1, z2, *x)), r**2 + m**2 - 1, r)
    return PAGE.claim(
        "linear attention and the tied network with sigma(u) = u^2 have the same population loss, encoding included",
        all_zero([losses[0] - losses[1], sp.expand(losses[0] - direct)]),
        "a target and an encoding with symbolic coefficients; the expectation over z* and x by the moments (k-1)!!",
        formulas={"R": sp.collect(sp.expand(losses[0]), m)},
    )
