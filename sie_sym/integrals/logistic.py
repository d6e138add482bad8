r"""Exact Gaussian moments of logistic functions of a product: sigmoid(z_i (z_i - z_j)), the softmax of two tokens.

Lemma.  Let (x, v) be centred jointly Gaussian with precision matrix ((P, -lam), (-lam, S)): the density is
q(x, v) e^{lam x v} with q even in x and in v.  Put w = lam x v, so that sigmoid(w) = 1/2 + tanh(w/2)/2.  Then

1. a + b odd:       E[x^a v^b tanh(w/2)] = 0;
2. a and b even:    E[x^a v^b tanh(w/2)] = E[x^a v^b] - int q x^a v^b;
3. a and b odd:     E[x^a v^b tanh(w/2)] = E[x^a v^b] - J_ab,   J_ab = int q x^a v^b tanh(w/2);
4. for all A, B:    P J_{A+2,B} = S J_{A,B+2} + (A - B) J_{A,B}.

Proof.  1: the integrand is odd under (x, v) -> (-x, -v), which leaves w alone.  2: averaged over v -> -v the factor
e^w tanh(w/2) becomes sinh(w) tanh(w/2) = cosh(w) - 1, and int q x^a v^b cosh(w) = E[x^a v^b].  3: it becomes
cosh(w) tanh(w/2) = sinh(w) - tanh(w/2), and int q x^a v^b sinh(w) = E[x^a v^b].  4: x d/dx - v d/dv annihilates
functions of w, and its integral against anything decaying is 0: apply it to q x^A v^B.

The class.  int q x^a v^b is elementary (x and v are independent under q, of variances 1/P and 1/S, and
int q = sqrt(1 - rho^2)).  So a weight W(x, v) has an exact moment when the part of W odd in x and in v is a combination
of P x^{A+2} v^B - S x^A v^{B+2} - (A - B) x^A v^B, A and B odd; rule 4 decides it, by reducing every J to J_{1,b}.
In particular every W even in v.  For x = z_i, v = z_i - z_j: P = 2, S = lam = 1 and W = z_i z_j = x^2 - x v is not in
the class: C_(1,1) = -0.1062875009 stays an integral.  J depends on a, b, P, S, lam only, so it may also cancel between
the sigmoids of one function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from sie_sym.functions import He, sigmoid, token, token_index
from sie_sym.integrals.vanishing import vanishes_identically
from sie_sym.linear_forms import has_tokens, written_out

_X, _V = sp.Symbol("_x", real=True), sp.Symbol("_v", real=True)


@dataclass(frozen=True)
class _Pair:
    """Linear forms x, v in two tokens with sigmoid argument `sign` * lam x v, and tokens as forms in x and v."""

    inverse: Mapping[sp.Symbol, sp.Expr]
    sign: int
    lam: sp.Rational
    precision_x: sp.Rational
    precision_v: sp.Rational

    @property
    def key(self) -> tuple[sp.Rational, ...]:
        """What the integrals J depend on."""
        return self.precision_x, self.precision_v, self.lam

    @property
    def mass(self) -> sp.Expr:
        """The integral of q: sqrt(1 - rho^2)."""
        return sp.sqrt(1 - self.lam**2 / (self.precision_x * self.precision_v))


def logistic_moment(h: sp.Expr, weight: sp.Expr = sp.Integer(1)) -> sp.Expr | None:
    r"""E[h(Z) weight(Z)], Z ~ N(0, I), exactly, where the lemma of the module proves it; None otherwise.

    h is a combination, with polynomial coefficients, of sigmoid(w) or tanh(w/2) with w = lam x v as in the lemma (x, v
    linear forms in two tokens with rational entries), and of polynomials; `weight` is a polynomial in the tokens.

    >>> z1, z2 = token(1), token(2)
    >>> logistic_moment(sigmoid(z1 * (z1 - z2)))
    1 - sqrt(2)/4
    """
    product = sp.expand(written_out(h) * written_out(weight).expand(func=True), func=True)
    value: list[sp.Expr] = []
    integrals: dict[tuple[sp.Expr, ...], list[sp.Expr]] = {}
    for node, coefficient in _logistic_terms(product).items():
        if (symbols := _tokens(coefficient)) and not coefficient.is_polynomial(*symbols):
            return None
        if node is None:
            value.append(_gaussian_moment(coefficient))
            continue
        pair = _pair(node.args[0])
        if pair is None:
            return None
        value.append(_gaussian_moment(coefficient) / 2)
        for (a, b), c in _in_pair(coefficient, pair).items():
            if (a + b) % 2:
                continue
            total = c * _moment_of_product(a, b, pair)
            c = pair.sign * c
            value.append(pair.sign * total / 2)
            if a % 2 == 0:
                value.append(-c * pair.mass * _moment(a, pair.precision_x) * _moment(b, pair.precision_v) / 2)
            else:
                for degree, reduced in _reduced(a, b, pair).items():
                    integrals.setdefault((*pair.key, sp.Integer(degree)), []).append(c * reduced)
    if not all(vanishes_identically(sp.Add(*parts)) for parts in integrals.values()):
        return None
    return sp.expand(sp.Add(*value))


def logistic_coefficient(h: sp.Expr, alpha: Mapping[int, int]) -> sp.Expr | None:
    r"""C_alpha(h) = E[h(Z) He_alpha(Z)] exactly where `logistic_moment` proves it, else None.

    `alpha` goes from the token index to the degree.

    >>> z1, z2 = token(1), token(2)
    >>> logistic_coefficient(sigmoid(z1 * (z1 - z2)), {1: 2})
    sqrt(2)/8
    >>> logistic_coefficient(sigmoid(z1 * (z1 - z2)), {1: 1, 2: 1}) is None
    True
    """
    return logistic_moment(h, sp.Mul(*(He(k, token(l)).expand(func=True) for l, k in alpha.items())))


def _tokens(expression: sp.Expr) -> list[sp.Symbol]:
    return sorted((s for s in expression.free_symbols if token_index(s) is not None), key=str)


def _logistic_terms(expanded: sp.Expr) -> dict[sp.Expr | None, sp.Expr]:
    """The expanded sum as {sigmoid or None: what multiplies it}; a term of another kind stays with None."""
    terms: dict[sp.Expr | None, sp.Expr] = {}

    def add(node: sp.Expr | None, coefficient: sp.Expr) -> None:
        terms[node] = terms.get(node, sp.Integer(0)) + coefficient

    for term in sp.Add.make_args(expanded):
        logistic = [f for f in sp.Mul.make_args(term) if isinstance(f, (sigmoid, sp.tanh)) and has_tokens(f)]
        if len(logistic) != 1:
            add(None, term)
            continue
        (node,) = logistic
        rest = sp.Mul(*(f for f in sp.Mul.make_args(term) if f is not node))
        if isinstance(node, sp.tanh):
            # tanh(u) = 2 sigmoid(2u) - 1
            add(sigmoid(sp.expand(2 * node.args[0])), 2 * rest)
            add(None, -rest)
        else:
            add(sigmoid(sp.expand(node.args[0])), rest)
    return terms


def _pair(argument: sp.Expr) -> _Pair | None:
    """The lemma's forms for a sigmoid's argument; None if it is no product of two forms of the right correlation."""
    symbols = _tokens(argument)
    if len(symbols) != 2 or argument.free_symbols != set(symbols):
        return None
    polynomial = sp.Poly(argument, *symbols)
    rational = all(c.is_Rational for c in polynomial.coeffs())
    if not (rational and polynomial.is_homogeneous and polynomial.total_degree() == 2):
        return None
    scale, factors = polynomial.factor_list()
    forms = [form for form, multiplicity in factors for _ in range(multiplicity)]
    if len(forms) != 2:
        return None
    x, v = (sp.Matrix([[form.coeff_monomial(s) for s in symbols]]) for form in forms)
    # One orientation of the pair, so that equal integrals J of different sigmoids have equal keys.
    if x.dot(x) > v.dot(v):
        x, v = v, x
    if x.dot(v) < 0:
        v, scale = -v, -scale
    variance_x, variance_v, covariance = x.dot(x), v.dot(v), x.dot(v)
    determinant = variance_x * variance_v - covariance**2
    if determinant == 0 or covariance == 0:
        return None
    lam = covariance / determinant
    if scale not in (lam, -lam):
        return None
    back = sp.Matrix([list(x), list(v)]).inv() * sp.Matrix([_X, _V])
    return _Pair(
        dict(zip(symbols, back, strict=True)),
        1 if scale == lam else -1,
        lam,
        variance_v / determinant,
        variance_x / determinant,
    )


def _in_pair(coefficient: sp.Expr, pair: _Pair) -> dict[tuple[int, int], sp.Expr]:
    """The polynomial in x and v, the independent tokens integrated out."""
    others = [s for s in _tokens(coefficient) if s not in pair.inverse]
    rewritten = sp.Poly(sp.expand(coefficient.xreplace(dict(pair.inverse))), _X, _V, *others)
    result: dict[tuple[int, int], sp.Expr] = {}
    for (a, b, *degrees), c in rewritten.terms():
        factor = sp.Mul(*(_moment(k, sp.Integer(1)) for k in degrees))
        result[a, b] = result.get((a, b), sp.Integer(0)) + c * factor
    return result


def _moment(k: int, precision: sp.Rational) -> sp.Rational:
    """E X^k of a centred Gaussian: (k - 1)!! precision^(-k/2), 0 for odd k."""
    return sp.Integer(0) if k % 2 else sp.Integer(math.prod(range(1, k, 2))) / precision ** (k // 2)


def _moment_of_product(a: int, b: int, pair: _Pair) -> sp.Expr:
    """E[x^a v^b] under the joint law."""
    determinant = pair.precision_x * pair.precision_v - pair.lam**2
    variance_x, covariance = pair.precision_v / determinant, pair.lam / determinant
    # v = slope x + r with r independent of x, of precision S.
    slope = covariance / variance_x
    return sp.Add(
        *(
            math.comb(b, j) * slope**j * _moment(b - j, pair.precision_v) * _moment(a + j, 1 / variance_x)
            for j in range(b + 1)
        )
    )


def _gaussian_moment(polynomial: sp.Expr) -> sp.Expr:
    symbols = _tokens(polynomial)
    if not symbols:
        return polynomial
    return sp.Add(
        *(
            c * sp.Mul(*(_moment(k, sp.Integer(1)) for k in degrees))
            for degrees, c in sp.Poly(polynomial, *symbols).terms()
        )
    )


def _reduced(a: int, b: int, pair: _Pair) -> dict[int, sp.Expr]:
    """J_ab (a, b odd) as a combination of J_{1,c}: rule 4 of the lemma; goes from c to its coefficient."""
    result: dict[int, sp.Expr] = {}
    pending: dict[tuple[int, int], sp.Expr] = {(a, b): sp.Integer(1)}
    while pending:
        (a, b), c = pending.popitem()
        if a == 1:
            result[b] = result.get(b, sp.Integer(0)) + c
            continue
        for target, ratio in (
            ((a - 2, b + 2), pair.precision_v / pair.precision_x),
            ((a - 2, b), sp.Integer(a - 2 - b) / pair.precision_x),
        ):
            pending[target] = pending.get(target, sp.Integer(0)) + c * ratio
    return result


__all__ = ["logistic_coefficient", "logistic_moment"]
