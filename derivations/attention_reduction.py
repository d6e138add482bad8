r"""App. A: from one head of attention on Gaussian tokens to functions of L numbers.

Claims (arXiv:2506.02651, App. A, eq. 1): one head has the scores X W_Q W_K^T X^T.  With keys and queries tied to one
direction, W_Q = W_K = w, they are z z^T, z = X w in R^L, for every L and d; with identity values the model is the
attention matrix softmax_rows(z z^T), reduced by a linear map Red.  The entries of z are independent standard normals
for X_{li} ~ N(0, 1/d) and |w|^2 = d, so that d has left the model.  The matrix is even in z, carries a permutation of
the tokens to its rows and columns, and has rows that sum to 1; Red and the Hermite tensors commute.
"""

from __future__ import annotations

import itertools

import numpy as np
import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.model import attention_matrix, linear_attention, softmax_attention
from sie_sym.numeric import numeric_function
from sie_sym.quadratures.spectral import hermite_coefficients
from sie_sym.weierstrass import weierstrass_transform

PAGE = Page("attention_reduction", "App. A, eq. 1", "attention with tied keys and queries, as a function of z = X w")
EXPECTED = ("proved", "proved", "proved", "proved", "proved", "confirmed numerically")

L, d = sp.symbols("L d", integer=True, positive=True)


def derive() -> list[Claim]:
    """Scores, fields, symmetries, rows, reductions."""
    return [_scores(), _fields(), _symmetries(), _rows(), _reductions(), _by_sampling()]


def _scores() -> Claim:
    X, w = sp.MatrixSymbol("X", L, d), sp.MatrixSymbol("w", d, 1)
    scores = X * w * w.T * X.T
    generic = (scores - (X * w) * (X * w).T).doit()
    differences = []
    for tokens, dimension in ((2, 3), (3, 2), (1, 4)):
        explicit = sp.Matrix(tokens, dimension, lambda a, b: sp.Symbol(f"x{a}{b}", real=True))
        direction = sp.Matrix(dimension, 1, lambda a, _: sp.Symbol(f"w{a}", real=True))
        z = explicit * direction
        differences += list((explicit * direction * direction.T * explicit.T - z * z.T).expand())
    return PAGE.claim(
        "X W_Q W_K^T X^T = z z^T with z = X w, for W_Q = W_K = w",
        generic == sp.ZeroMatrix(L, L) and all_zero(differences) is True,
        "matrices of symbolic sizes L x d; written out for (L, d) = (2, 3), (3, 2), (1, 4)",
        formulas={"scores": scores},
    )


def _fields() -> Claim:
    # E exp(sum_l t_l z_l) = prod_l prod_i E exp(t_l w_i X_li) = prod_l exp(t_l^2 sum_i w_i^2/(2 d)), for every d.
    t, w, x = sp.symbols("t w x", real=True)
    one = weierstrass_transform(sp.exp(t * w * x / sp.sqrt(d)).subs(x, token(1))).expression({})
    logarithm = sp.expand_log(sp.log(one), force=True)
    squares = sp.Symbol("N", positive=True)  # sum_i w_i^2, for which w_i^2 stands in the sum over i
    total = logarithm.subs(w**2, squares).subs(squares, d)
    explicit = sp.symbols("w1:5", real=True)
    four = sp.Add(*(logarithm.subs(w, entry) for entry in explicit)) - t**2 * sp.Add(*(e**2 for e in explicit)) / 2 / d
    return PAGE.claim(
        "the entries of z = X w are independent N(0, 1), for X_li ~ N(0, 1/d) and |w|^2 = d, for every d",
        all_zero([total - t**2 / 2, sp.expand(four)]),
        "the moment generating function: one factor exp(t_l^2 w_i^2/(2 d)) for each entry of X, so exp(t_l^2/2) for "
        "each token at symbolic d; the sum over i written out for four coordinates",
        formulas={"E exp(t z_l)": sp.exp(total)},
    )


def _symmetries() -> Claim:
    differences = []
    for tokens in (2, 3):
        matrix = attention_matrix(tokens)
        z = [token(l) for l in range(1, tokens + 1)]
        flipped = matrix.subs({x: -x for x in z}, simultaneous=True)
        differences += list(matrix - flipped)
        for order in itertools.permutations(range(tokens)):
            moved = matrix.subs({z[l]: z[order[l]] for l in range(tokens)}, simultaneous=True)
            differences += [
                _written_out(moved[a, b]) - _written_out(matrix[order[a], order[b]])
                for a, b in itertools.product(range(tokens), repeat=2)
            ]
    return PAGE.claim(
        "softmax(z z^T) is even under z -> -z, and a permutation of the tokens permutes its rows and columns",
        all(decide_zero(difference) is True for difference in differences),
        "entry by entry for L = 2 and 3, every permutation; so its odd tensors vanish (page injected_encoding)",
    )


def _written_out(entry: sp.Expr) -> sp.Expr:
    """An entry as a ratio of exponentials, in which the order of the scores does not matter."""
    return entry.rewrite(sp.exp)


def _rows() -> Claim:
    scores = sp.symbols("a1:5", real=True)
    differences = []
    for tokens in (2, 3, 4):
        weights = [sp.exp(a) for a in scores[:tokens]]
        differences.append(sp.cancel(sp.Add(*(w / sp.Add(*weights) for w in weights)) - 1))
    # trace/sqrt(L), identity and linear attention are linear maps of the matrix
    z = [token(l) for l in (1, 2, 3)]
    pairs = sp.Add(*(a * b for a in z for b in z)) / 3
    (linear,) = linear_attention(3).components
    differences.append(sp.expand(linear - pairs))
    trace, mean = softmax_attention(2, "trace").components[0], softmax_attention(2, "mean-trace").components[0]
    differences.append(sp.expand(mean * sp.sqrt(2) - trace))
    return PAGE.claim(
        "the rows of softmax(z z^T) sum to 1; without softmax the sum of all scores over L is linear attention, and "
        "the code's trace is the trace over sqrt(L)",
        all_zero(differences),
        "ratios of exponentials, L = 2, 3, 4; the package's models",
    )


def _reductions() -> Claim:
    # C_alpha is linear: Red(C_alpha(S)) = C_alpha(Red(S)), here with a symbolic Red.
    weights = sp.symbols("r1:5", real=True)
    matrix = attention_matrix(2)
    whole = sp.Add(*(r * entry for r, entry in zip(weights, matrix, strict=True)))
    reduced, entries = HermiteExpansion.of((whole,), 2), HermiteExpansion.of(tuple(matrix), 2)
    differences = []
    for alpha in (((1, 2),), ((1, 1), (2, 1)), ((2, 2),), ((1, 1), (2, 3))):
        left = reduced.coefficient(alpha)[0].value
        right = sp.Add(*(r * c.value for r, c in zip(weights, entries.coefficient(alpha), strict=True)))
        differences.append(sp.expand(_joined(left) - _joined(right)))
    return PAGE.claim(
        "the tensors of Red(softmax(z z^T)) are Red of its tensors, for every linear map Red",
        all_zero(differences),
        "the package's coefficients (2,0), (1,1), (0,2), (1,3) for a symbolic Red, combinations of Gaussian integrals",
    )


def _joined(value: sp.Expr) -> sp.Expr:
    """A combination of integrals, each split over the terms of its integrand."""
    def split(node: sp.Expr) -> sp.Expr:
        terms = sp.Add.make_args(sp.expand(node.args[0]))
        return sp.Add(*(_pulled(term, node) for term in terms))

    return sp.expand(value.replace(lambda e: isinstance(e, GaussianExpectation), split))


def _pulled(term: sp.Expr, node: sp.Expr) -> sp.Expr:
    tokens = {token(1), token(2)}
    constant, rest = term.as_independent(*tokens)
    return constant * node.func(rest, *node.args[1:])


def _by_sampling() -> Claim:
    generator = np.random.default_rng(7)
    dimension, tokens, samples = 5, 2, 200_000
    w = generator.standard_normal(dimension)
    w *= np.sqrt(dimension) / np.linalg.norm(w)
    X = generator.standard_normal((samples, tokens, dimension)) / np.sqrt(dimension)
    scores = np.einsum("nld,d,e,nke->nlk", X, w, w, X)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    head = weights / weights.sum(axis=2, keepdims=True)
    z = X @ w
    values = head[:, 0, 0] * (z[:, 0] ** 2 - 1)
    table = hermite_coefficients(numeric_function((token(1), token(2)), [attention_matrix(2)[0, 0]]), 2, 2)
    exact = float(table.coefficient((2, 0))[0])
    error = float(values.std() / np.sqrt(samples))
    return PAGE.claim(
        "C_(2,0) of the entry (1, 1) of a head sampled in dimension 5 is sqrt2/8, that of a function of z alone",
        abs(values.mean() - exact) < 4 * error and abs(exact - np.sqrt(2) / 8) < 1e-10,
        f"seeded Monte Carlo of X and w: {values.mean():.5f} +- {error:.5f}, quadrature over z {exact:.10f}",
        evidence=Evidence.NUMERICAL,
    )
