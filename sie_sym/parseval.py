r"""Inner products of L^2(N(0, I)) from the transforms of two functions (Parseval; theory section 2).

<h, h'> = E h h' = sum_k <C_k(h), C_k(h')> / k!,      <C_k(h), C_k(h')> / k! = sum_{|b| = k} C_b(h) C_b(h') / b!
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import sympy as sp

from sie_sym.errors import NoClosedForm
from sie_sym.functions import token
from sie_sym.hermite import inner_product
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.integrals.symmetry import orthogonal_tensors
from sie_sym.linear_forms import Direction
from sie_sym.polynomial import Polynomial
from sie_sym.transforms.composite_transform import ProductTransform, SumTransform
from sie_sym.transforms.coupled_transform import CoupledTransform
from sie_sym.transforms.integral import Integral
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.transform import Point, PolynomialTransform, RidgeTransform, Transform
from sie_sym.transforms.weighted_ridge import WeightedRidgeTransform
from sie_sym.weierstrass import weierstrass_transform


def contraction(left: Transform, right: Transform, k: int) -> sp.Expr:
    r"""<C_k(h), C_k(h')> / k!, the order-k part of E h h'.

    A ridge f(<a, z>) has C_k = c_k a^{(x) k}, so only the other side's series along a is needed; sums are bilinear,
    and parts without a common token meet at order 0 alone.  Nothing else is written out entry by entry.

    >>> z1, z2 = token(1), token(2)
    >>> contraction(weierstrass_transform(z1 * z2), weierstrass_transform((z1 + z2)**2), 2)
    2
    """
    if k == 0:
        return sp.expand(left.coefficient(()) * right.coefficient(()))
    if not left.tokens & right.tokens:
        return sp.Integer(0)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, RidgeTransform):
            value = one.series(k)[k]
            if value == 0:
                return sp.Integer(0)
            return sp.expand(value * _along(other, dict(one.direction), k) / math.factorial(k), exact=True)
    if isinstance(left, SumTransform) or isinstance(right, SumTransform):
        a, b = (side.parts if isinstance(side, SumTransform) else (side,) for side in (left, right))
        return sp.expand(sp.Add(*(contraction(a[i], b[j], k) for i, j in _overlapping(a, b))))
    return sp.expand(inner_product(left.derivatives(k), right.derivatives(k)))


def _along(transform: Transform, direction: Point, k: int) -> sp.Expr:
    """<C_k, v^{(x) k}>."""
    if isinstance(transform, RidgeTransform):
        return transform.series(k)[k] * sp.expand(transform.form(direction)) ** k
    return transform.along(direction, k)[k]


def _overlapping(left: Sequence[Transform], right: Sequence[Transform]) -> Iterator[tuple[int, int]]:
    """The numbers of the parts that share a token."""
    readers: dict[int, list[int]] = {}
    for number, part in enumerate(right):
        for l in part.tokens:
            readers.setdefault(l, []).append(number)
    for i, part in enumerate(left):
        yield from ((i, j) for j in sorted({n for l in part.tokens for n in readers.get(l, ())}))


def unseen(left: Transform, right: Transform, functions: tuple[sp.Expr, sp.Expr]) -> str | None:
    """Why <C_k(h), C_k(h')> = 0 for all k >= 1, or None: a symmetry, or a ridge along which the other side is constant.

    The second is App. E.4: z1 - z2 and a function of z1 + z2.

    >>> h, other = sp.erf(token(1) - 3 * token(2)), sp.exp(3 * token(1) + token(2))
    >>> unseen(weierstrass_transform(h), weierstrass_transform(other), (h, other))
    'one function reads a linear form along which the transform of the other is constant'
    """
    reason = orthogonal_tensors(*functions)
    if reason is not None:
        return reason
    for one, other in ((left, right), (right, left)):
        if isinstance(one, RidgeTransform):
            x = sp.Dummy("x", real=True)
            line = other.expression({l: c * x for l, c in one.direction})
            if decide_zero(sp.diff(line, x)) is True:
                return "one function reads a linear form along which the transform of the other is constant"
    return None


def last_common_order(left: Transform, right: Transform, functions: tuple[sp.Expr, sp.Expr]) -> int | None:
    """The order beyond which all <C_k(h), C_k(h')> are proved to vanish, None if there may be infinitely many."""
    degrees = [side.degree for side in (left, right) if side.degree is not None]
    if degrees:
        return min(degrees)
    return None if unseen(left, right, functions) is None else 0


def function_of(transform: Transform) -> sp.Expr:
    """h itself, the inverse Weierstrass transform of G h."""
    match transform:
        case PolynomialTransform(smoothed):
            return smoothed.smoothed(sp.Integer(-1)).expression([token(l) for l in smoothed.labels])
        case SumTransform(parts):
            return sp.Add(*(function_of(part) for part in parts))
        case ProductTransform(parts):
            return sp.Mul(*(function_of(part) for part in parts))
        case CoupledTransform(smoothed, labels):
            return smoothed.function([token(l) for l in labels])
        case WeightedRidgeTransform(weight, ridge):
            return function_of(weight) * function_of(ridge)
        case RidgeTransform(direction, profile):
            argument = sp.Add(*(c * token(l) for l, c in direction))
            if not isinstance(profile, Polynomial):
                return profile.function([argument])
            plain = profile.smoothed(-_norm(direction))
            return plain.expression([argument] * len(profile.labels))
    raise TypeError(f"no inverse is known for {type(transform).__name__}")


def _norm(direction: Direction) -> sp.Expr:
    return sp.expand(sp.Add(*(c**2 for _, c in direction)))


def second_moment(transform: Transform, shift: Point | None = None) -> sp.Expr:
    """E h^2, an integral where h^2 leaves the closed class; `shift` as in `weierstrass_transform`.

    Polynomials by Parseval; products factorise; in a sum only the parts that share tokens are correlated.

    >>> second_moment(weierstrass_transform(sp.Abs(token(1))))
    1
    """
    match transform:
        case ProductTransform(parts):
            return sp.expand(sp.Mul(*(second_moment(part, shift) for part in parts)))
        case SumTransform(parts):
            means = [part.coefficient(()) for part in parts]
            covariances = [
                (1 if i == j else 2) * (_mixed_moment(parts[i], parts[j], shift) - means[i] * means[j])
                for i, j in _overlapping(parts, parts)
                if i <= j
            ]
            return sp.expand(sp.Add(*means) ** 2 + sp.Add(*covariances))
    if transform.degree is not None:
        orders = range(transform.degree + 1)
        return sp.expand(sp.Add(*(contraction(transform, transform, k) for k in orders)))
    match transform:
        case WeightedRidgeTransform():
            return weierstrass_transform(function_of(transform) ** 2, shift).coefficient(())
        case RidgeTransform(_, (Smoothed() | Integral()) as smoothed) | CoupledTransform(smoothed, _):
            try:
                return smoothed.second_moment()
            except NoClosedForm:
                return weierstrass_transform(function_of(transform) ** 2, shift).coefficient(())
    raise TypeError(f"no second moment is known for {type(transform).__name__}")


def _mixed_moment(left: Transform, right: Transform, shift: Point | None) -> sp.Expr:
    """E h h'."""
    if left is right:
        return second_moment(left, shift)
    degrees = [side.degree for side in (left, right) if side.degree is not None]
    if degrees:
        return sp.expand(sp.Add(*(contraction(left, right, k) for k in range(min(degrees) + 1))))
    return weierstrass_transform(function_of(left) * function_of(right), shift).coefficient(())
