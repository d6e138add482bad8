r"""Ratios of exponentials as softmax: exp(x_k) / sum_j exp(x_j).

Lemma.  Let D = sum_j c_j exp(x_j) with c_j > 0.  D is positive, and for every k and every integer n > 0
D^{-n} = (c_k exp(x_k))^{-n} softmax_k(x_1 + log c_1, ..., x_N + log c_N)^n.
Proof: c_j exp(x_j) = exp(x_j + log c_j), and softmax_k = c_k exp(x_k) / D by definition.

So exp(n x_k) D^{-n} is bounded by c_k^{-n}, although D may come near 0.  And where all x_j are affine in the tokens,
D^{-n} is exp(-n x_k) times a bounded function for any k, of which all Gaussian moments are finite.
"""

from __future__ import annotations

import itertools
import math
from typing import TypeAlias

import sympy as sp

from sie_sym.functions import softmax
from sie_sym.linear_forms import affine_form, has_tokens, written_out

_MOST_SCORES = 32
_MOST_CHOICES = 256
_Terms: TypeAlias = dict[sp.Expr, sp.Rational]


def softmax_form(expression: sp.Expr) -> sp.Expr:
    """The same function, every product of exponentials and such D^{-n} written as softmax, sigmoid if D has two terms.

    Only where the exponentials cancel or their exponents are affine in the tokens; a D of three or more terms with a
    constant one, bounded as it is, stays.

    >>> from sie_sym.functions import token
    >>> x, y = token(1) ** 2, token(1) * token(2)
    >>> softmax_form(sp.exp(x) / (sp.exp(x) + sp.exp(y))), softmax_form(1 / (1 + sp.exp(y - x)))
    (sigmoid(z1*(z1 - z2)), sigmoid(z1*(z1 - z2)))
    >>> softmax_form(sp.exp(token(3)) / (sp.exp(token(1)) + sp.exp(token(2))))
    exp(-z1 + z3)*sigmoid(z1 - z2)
    """
    if not expression.has(sp.exp):
        return expression
    # The product first: in exp(x)/(1 + exp(x)) its factor 1/(1 + exp(x)) alone would do, too.
    expression = _product(expression)
    inside = tuple(map(softmax_form, expression.args))
    return expression if inside == expression.args else expression.func(*inside)


def _product(expression: sp.Expr) -> sp.Expr:
    """The same for the factors of one product."""
    factors = sp.Mul.make_args(expression)
    sums = {f: terms for f in factors if (terms := _terms(f)) is not None}
    if not sums or math.prod(map(len, sums.values())) > _MOST_CHOICES:
        return expression
    others = [f for f in factors if f not in sums and not isinstance(f, sp.exp)]
    exponent = sp.Add(*(f.args[0] for f in factors if isinstance(f, sp.exp)))
    for scores in itertools.product(*sums.values()):
        rest = sp.expand(exponent + sp.Add(*(f.exp * x for f, x in zip(sums, scores, strict=True))))
        if rest == 0:
            return sp.Mul(*others, *(_entry(f, sums[f], x) for f, x in zip(sums, scores, strict=True)))
    if all(affine_form(x) is not None for x in (exponent, *itertools.chain(*sums.values()))):
        scores = tuple(sp.Integer(0) if sp.Integer(0) in terms else next(iter(terms)) for terms in sums.values())
        rest = exponent + sp.Add(*(f.exp * x for f, x in zip(sums, scores, strict=True)))
        return sp.Mul(*others, sp.exp(rest), *(_entry(f, sums[f], x) for f, x in zip(sums, scores, strict=True)))
    return expression


def _entry(inverse: sp.Pow, terms: _Terms, score: sp.Expr) -> sp.Expr:
    """exp(n x_k) D^{-n} by the lemma."""
    entry = softmax(sp.Integer([*terms].index(score) + 1), *(x + sp.log(c) for x, c in terms.items()))
    return (entry / terms[score]) ** -inverse.exp


def _terms(factor: sp.Expr) -> _Terms | None:
    """{x_j: c_j} of D^{-n}, D a sum of c_j exp(x_j) with rational c_j > 0; None for anything else."""
    if not (isinstance(factor, sp.Pow) and factor.exp.is_Integer and factor.exp < 0 and has_tokens(factor)):
        return None
    spans = [int(high) - int(low) for s in factor.atoms(sp.Sum) for _, low, high in s.limits]
    if sum(spans) > _MOST_SCORES or factor.has(sp.Product):
        return None
    found: dict[sp.Expr, sp.Rational] = {}
    for term in sp.Add.make_args(written_out(factor.base)):
        c, rest = term.as_coeff_Mul()
        if not (c.is_Rational and c > 0 and (rest == 1 or isinstance(rest, sp.exp))):
            return None
        score = sp.Integer(0) if rest == 1 else rest.args[0]
        found[score] = found.get(score, sp.Integer(0)) + c
    bounded = sp.Integer(0) in found and len(found) > 2
    return found if 1 < len(found) <= _MOST_SCORES and not bounded else None


__all__ = ["softmax_form"]
