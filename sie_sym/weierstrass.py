r"""The Weierstrass transform (G h)(t) = E h(t + Z), Z ~ N(0, I): the generating function of all Hermite tensors.

C_alpha(h) = E[h(Z) He_alpha(Z)] = d^alpha (G h)(0) (theory section 2; arXiv:2506.02651, Thm 3), so a transform is
an object that knows its derivatives at 0.  Five structures, tried in this order, none of which is ever expanded:

- ridge: h(z) = f(<a, z>) has (G h)(t) = (G_{|a|^2} f)(<a, t>), one-dimensional;
- polynomial: exp(Laplacian/2) as a terminating series, in flint;
- sum: linear;
- product over mutually orthogonal sets of linear forms: independent Gaussians, so the transform factorises;
- polynomial times a ridge: a finite sum over the derivatives of both (`weighted_ridge`).

What remains couples several tokens and is read as a `smoothed.Smoothed` closed form.  A function without one stays an
`integral.Integral`: the same structure over unevaluated Gaussian expectations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import sympy as sp

from sie_sym.components import connected_components
from sie_sym.errors import DomainError, NoClosedForm
from sie_sym.functions import TOKENS, relu, token, token_index
from sie_sym.integrals.enclosure import decide_zero
from sie_sym.linear_forms import Direction, as_ridge, dot, has_tokens, unroll, written_out
from sie_sym.polynomial import Polynomial, expanded_size, is_polynomial
from sie_sym.target import tokens_of
from sie_sym.transforms.composite_transform import ProductTransform, SumTransform
from sie_sym.transforms.coupled_transform import CoupledTransform
from sie_sym.transforms.integral import Integral
from sie_sym.transforms.normal_form import factored, vanishes_on_null_set
from sie_sym.transforms.smoothed import Smoothed
from sie_sym.transforms.transform import Point, PolynomialTransform, RidgeTransform, Transform
from sie_sym.transforms.weighted_ridge import WeightedRidgeTransform

POLYNOMIAL_BUDGET = 20_000
"""Up to this many terms a polynomial that is no ridge is expanded in flint; beyond, its structure must carry it."""
DISTRIBUTION_BUDGET = 2_000
"""The largest number of terms that a product of sums of non-polynomials is distributed to."""
COUPLED_BUDGET = 32
"""The largest number of tokens that one non-factorising closed form may couple."""

_PROFILE = sp.Symbol("_u", real=True)


def weierstrass_transform(expression: sp.Expr, shift: Point | None = None) -> Transform:
    """(G h)(t) = E h(t + Z), Z ~ N(0, I), for an expression h in the tokens (theory section 2).

    `shift` says that the expression is h(z + e), with e_l by token: integrals then keep e as a mean.
    Where no rule gives a closed form the transform keeps integrals (`is_closed` is then False).  Raises `DomainError`
    where no mean exists and `NoClosedForm` where not even integrability is seen (naming the part).

    >>> z1, z2 = token(1), token(2)
    >>> weierstrass_transform(sp.sign(z1) * z2**2).expression()
    (z2**2 + 1)*erf(sqrt(2)*z1/2)
    """
    moved = {l: e for l, e in (shift or {}).items() if e != 0}
    monomials = Polynomial.of_monomials(expression, token_index)
    if (
        monomials is not None
        and len(monomials.labels) > 1
        and monomials.degree > 1
        and _smooths_small(expression, monomials.degree)
    ):
        return PolynomialTransform(monomials.smoothed())
    expression = _plain_constants(expression)
    indices = tokens_of(expression)
    if not indices:
        return PolynomialTransform(Polynomial.of(written_out(expression), {}))
    ridge = as_ridge(expression, _PROFILE)
    if ridge is not None:
        return _ridge_transform(*ridge, moved)
    symbols = frozenset(token(l) for l in indices)
    if _small_polynomial(expression, symbols):
        return PolynomialTransform(Polynomial.of(expression, {token(l): l for l in indices}).smoothed())
    if isinstance(expression, (sp.Sum, sp.Product)):
        return _structured(expression, moved)
    if isinstance(expression, sp.Add):
        small = [term for term in expression.args if _small_polynomial(term, symbols)]
        rest = [term for term in expression.args if term not in small]
        return _merge_sum(weierstrass_transform(part, moved) for part in (*_bundles(small, symbols), *rest))
    if (split := _split(expression)) is not None:
        return weierstrass_transform(split, moved)
    if isinstance(expression, sp.Mul):
        groups = _orthogonal_groups(expression)
        if len(groups) > 1:
            return ProductTransform(tuple(weierstrass_transform(group, moved) for group in groups))
    if expression.has(sp.Sum, sp.Product):
        return weierstrass_transform(written_out(expression), moved)
    if (weighted := _weighted_ridge(expression, symbols, moved)) is not None:
        return weighted
    terms = _distributed(expression, symbols)
    if len(terms) > 1:
        return weierstrass_transform(sp.Add(*terms), moved)
    return _coupled(expression, sorted(indices), moved)


def _plain_constants(e: sp.Expr) -> sp.Expr:
    """Sums and products over an index that read no token, written out."""
    if not e.has(sp.Sum, sp.Product):
        return e
    nodes = (node for node in e.atoms(sp.Sum, sp.Product) if not has_tokens(node))
    bounded = (node for node in nodes if all(n.is_Integer for _, *ends in node.limits for n in ends))
    return e.xreplace({node: written_out(node) for node in bounded})


def _bundles(terms: Iterable[sp.Expr], symbols: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """Polynomials gathered into few sums, each within the budget."""
    bundles: list[list[sp.Expr]] = []
    room = 0
    for term in terms:
        size = expanded_size(term, symbols)
        if size > room:
            bundles.append([])
            room = POLYNOMIAL_BUDGET
        bundles[-1].append(term)
        room -= size
    return [sp.Add(*bundle) for bundle in bundles]


def _ridge_transform(direction: Direction, profile: sp.Expr, shift: Point) -> RidgeTransform:
    variance = dot(direction, direction)
    if is_polynomial(profile, frozenset([_PROFILE])):
        polynomial = Polynomial.of(profile, {_PROFILE: 0}, variance)
        return RidgeTransform(direction, polynomial.smoothed(variance))
    try:
        try:
            return RidgeTransform(direction, Smoothed.of(profile, [_PROFILE], variance))
        except NoClosedForm:
            moved = sp.expand(sp.Add(*(c * shift[l] for l, c in direction if l in shift)))
            return RidgeTransform(direction, Integral.of(profile, [_PROFILE], variance, [moved]))
    except (NoClosedForm, DomainError) as error:
        form = str(sp.Add(*(c * token(l) for l, c in direction)))
        form = form if form.isalnum() else f"({form})"
        raise type(error)(re.sub(rf"\b{_PROFILE.name}\b", form, str(error))) from None


def _weighted_ridge(e: sp.Expr, symbols: frozenset[sp.Symbol], shift: Point) -> WeightedRidgeTransform | None:
    """A polynomial times a function of one linear form."""
    weights = [factor for factor in sp.Mul.make_args(e) if _small_polynomial(factor, symbols)]
    ridge = as_ridge(sp.Mul(*(factor for factor in sp.Mul.make_args(e) if factor not in weights)), _PROFILE)
    weight = sp.Mul(*weights)
    if ridge is None or not has_tokens(weight) or not _small_polynomial(weight, symbols):
        return None
    polynomial = Polynomial.of(weight, {s: l for s in symbols if (l := token_index(s)) is not None})
    return WeightedRidgeTransform(PolynomialTransform(polynomial.smoothed()), _ridge_transform(*ridge, shift))


def _small_polynomial(expression: sp.Expr, symbols: frozenset[sp.Symbol]) -> bool:
    if expression.has(sp.Sum, sp.Product) or not is_polynomial(expression, symbols):
        return False
    return expanded_size(expression, symbols) <= POLYNOMIAL_BUDGET and _smooths_small(expression)


def _smooths_small(expression: sp.Expr, degree: int | None = None) -> bool:
    """Whether each monomial stays within the budget when smoothed: z1^2 z2^2 ... z40^2 becomes 2^40 terms."""
    if degree is not None and 2 ** (degree // 2) <= POLYNOMIAL_BUDGET:
        return True
    for term in sp.Add.make_args(expression):
        powers = (f.exp for f in sp.Mul.make_args(term) if f.is_Pow and f.exp.is_Integer and int(f.exp) > 1)
        if math.prod(int(n) // 2 + 1 for n in powers) > POLYNOMIAL_BUDGET:
            return False
    return True


def _structured(node: sp.Sum | sp.Product, shift: Point) -> Transform:
    """A sum or product over tokens; a body that reads z[l] alone is transformed once, for all l."""
    body = _common_body(node)
    if body is not None and not shift:
        (index, low, high), general = node.limits[0], weierstrass_transform(body)
        if isinstance(general, RidgeTransform):
            parts: tuple[Transform, ...] = tuple(
                replace(general, direction=((l, sp.Integer(1)),)) for l in range(int(low), int(high) + 1)
            )
            pattern = (index, low, high, general.expression().xreplace({token(1): TOKENS[index]}))
            return SumTransform(parts, pattern) if isinstance(node, sp.Sum) else ProductTransform(parts, pattern)
    bodies = unroll(node)
    if isinstance(node, sp.Product):
        return weierstrass_transform(sp.Mul(*bodies), shift)
    return _merge_sum(weierstrass_transform(part, shift) for part in bodies)


def _common_body(node: sp.Sum | sp.Product) -> sp.Expr | None:
    """The body as a function of token 1 if it reads its own token z[l] alone and the same way for all l."""
    (index, *_), *outer = node.limits
    reads = {entry for entry in node.function.atoms(sp.Indexed) if entry.base == TOKENS}
    body = node.function.xreplace({TOKENS[index]: token(1)})
    explicit = any(token_index(s) is not None for s in node.function.free_symbols)
    return None if outer or explicit or reads != {TOKENS[index]} or body.has(index) else body


def _merge_sum(parts: Iterable[Transform]) -> Transform:
    flat: list[Transform] = []
    for part in parts:
        if isinstance(part, SumTransform) and part.pattern is None:
            flat.extend(part.parts)
        else:
            flat.append(part)
    return SumTransform(tuple(flat))


def _split(e: sp.Expr) -> sp.Expr | None:
    """Rewrite a function of a product, or the exponential of a sum, as a product of functions of fewer tokens."""
    if isinstance(e, sp.Pow) and e.exp.is_Integer and int(e.exp) > 0:
        if isinstance(e.base, sp.Mul):
            return sp.Mul(*(factor**e.exp for factor in e.base.args))
        if isinstance(e.base, sp.Abs) and int(e.exp) % 2 == 0:
            return e.base.args[0] ** e.exp
        inner = _split(e.base)
        return None if inner is None else inner**e.exp
    if isinstance(e, sp.Mul):
        pieces = [_split(factor) for factor in e.args]
        if all(piece is None for piece in pieces):
            return None
        return sp.Mul(*(old if new is None else new for old, new in zip(e.args, pieces, strict=True)))
    if isinstance(e, sp.exp):
        groups = connected_components(sp.Add.make_args(sp.expand(e.args[0])), tokens_of)
        if len(groups) > 1:
            return sp.Mul(*(sp.exp(sp.Add(*group), evaluate=False) for group in groups), evaluate=False)
        return None
    half = sp.Rational(1, 2)
    if not e.args or not has_tokens(e) or isinstance(e, (sp.Sum, sp.Product)):
        return None
    x = e.args[0]
    if isinstance(e, (sp.sign, sp.Abs)):
        factors = sp.Mul.make_args(factored(x))
        if len(factors) > 1:
            return sp.Mul(*(_sign_of(f) if isinstance(e, sp.sign) else sp.Abs(f) for f in factors))
        return None
    if isinstance(x, sp.Mul) and len(_orthogonal_groups(x)) > 1:
        if isinstance(e, sp.Heaviside):
            return half + sp.sign(x) / 2
        if isinstance(e, relu):
            return x / 2 + sp.Abs(x) / 2
    return None


def _sign_of(factor: sp.Expr) -> sp.Expr:
    base, exponent = factor.as_base_exp()
    if exponent.is_Integer and int(exponent) > 0 and base.is_real:
        if int(exponent) % 2:
            return sp.sign(base)
        return sp.Integer(1) if vanishes_on_null_set(base) else sp.sign(base) ** 2
    return sp.sign(factor)


def _span(factor: sp.Expr) -> tuple[Direction, ...]:
    ridge = as_ridge(factor, _PROFILE)
    if ridge is not None:
        return (ridge[0],)
    return tuple(((l, sp.Integer(1)),) for l in sorted(tokens_of(factor)))


def _orthogonal_groups(product: sp.Mul) -> list[sp.Expr]:
    """The factors of a product, grouped so that the groups read mutually orthogonal linear forms."""
    factors: list[sp.Expr] = []
    for factor in product.args:
        others = frozenset().union(*(tokens_of(f) for f in product.args if f is not factor))
        if isinstance(factor, sp.Product) and others & tokens_of(factor):
            factors.extend(unroll(factor))
        else:
            factors.append(factor)
    constants = [factor for factor in factors if not has_tokens(factor)]
    readers: dict[int, set[int]] = {}  # token -> groups; orthogonal groups may share one (z1 + z2 and z1 - z2)
    groups: dict[int, tuple[list[Direction], list[sp.Expr]]] = {}
    for number, factor in enumerate(f for f in factors if has_tokens(f)):
        spans, members = list(_span(factor)), [factor]
        for label in sorted({label for a in spans for l, _ in a for label in readers.get(l, ())}):
            if any(decide_zero(dot(a, b)) is not True for a in spans for b in groups[label][0]):
                old_spans, old_members = groups.pop(label)
                spans += old_spans
                members += old_members
        groups[number] = (spans, members)
        for l in {l for a in spans for l, _ in a}:
            readers[l] = {label for label in readers.get(l, set()) if label in groups} | {number}
    products = [sp.Mul(*members) for _, members in groups.values()]
    if constants and products:
        products[0] *= sp.Mul(*constants)
    return products


def _distributed(e: sp.Expr, symbols: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """The terms of a product of sums, so that each term couples fewer tokens; polynomials are left as they are.

    [e] itself where nothing is to be distributed or there would be more than `DISTRIBUTION_BUDGET` terms.
    """
    terms, number = [sp.Integer(1)], 1
    for factor in sp.Mul.make_args(e):
        base, exponent = factor.as_base_exp()
        repeated = int(exponent) if exponent.is_Integer and int(exponent) > 0 else 1
        base = base if repeated > 1 else factor
        sums = isinstance(base, sp.Add) and not is_polynomial(base, symbols)
        number *= math.comb(len(base.args) + repeated - 1, repeated) if sums else 1
        if number > DISTRIBUTION_BUDGET:
            return [e]
        power = sp.Add.make_args(sp.expand_multinomial(factor, deep=False)) if sums else [factor]
        terms = [term * part for term in terms for part in power]
    return list(sp.Add.make_args(sp.Add(*terms)))


def _coupled(expression: sp.Expr, labels: Sequence[int], shift: Point) -> Transform:
    if len(labels) > COUPLED_BUDGET:
        raise NoClosedForm(
            f"no rule gives the Weierstrass transform of a function that couples {len(labels)} tokens: "
            "it is neither a polynomial of moderate size, nor a function of one linear form, nor a product"
        )
    variables = [token(l) for l in labels]
    try:
        return CoupledTransform(Smoothed.of(expression, variables), tuple(labels))
    except NoClosedForm:
        moved = [shift.get(l, sp.Integer(0)) for l in labels]
        return CoupledTransform(Integral.of(expression, variables, shift=moved), tuple(labels))
