r"""The operator norm of a symmetric tensor (arXiv:2506.02651, Thm 2).

    ||T||_op = max_{|v| = 1} |<T, v^{(x) k}>|,      <T, v^{(x) k}> = sum_{|b| = k} k!/b! T_b v^b

For k >= 2 the norm of a tensor is the largest norm of its blocks on disjoint tokens.  For an odeco T the matrix
M_ij = sum_J T_{iJ} T_{jJ} is sum_i lambda_i^2 v_i v_i^T, so that ||T||_op = |M|^{1/2}: an eigenvalue problem.  In
general |M|^{1/2} is an upper bound.
"""

from __future__ import annotations

import math

import sympy as sp

from sie_sym.errors import NoClosedForm, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.functions import token, token_index
from sie_sym.hermite import MultiIndex, Tensor, factorial, multinomial
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.enclosure import decide_sign, enclose
from sie_sym.linear_forms import Direction, affine_form, direction_of, dot
from sie_sym.polynomial import rational
from sie_sym.tensors.certified_value import CertifiedValue, Interval, interval_of, largest, product
from sie_sym.tensors.eigenvalues import symmetric_spectrum
from sie_sym.tensors.odeco import block_is_odeco, odeco_decomposition
from sie_sym.tensors.sphere_maximum import Form, largest_found, sphere_maximum
from sie_sym.tensors.symmetric_tensor import blocks, commensurable, gram, tensor_order, tokens_of_tensor, without_zeros

_BITS = 128
_FACTOR_TOKENS, _FACTOR_TERMS = 8, 200
"""The largest form that is factored."""


def operator_norm(tensor: Tensor) -> CertifiedValue:
    r"""||T||_op = max_{|v| = 1} |<T, v^{(x) k}>|.

    Exact for order 1 (|T|) and order 2 (the largest |eigenvalue|, where it has a closed form), for odeco tensors
    (max |lambda_i|), for monomials, |c| k!/b! prod_l (b_l/k)^{b_l/2} for the entry c at b, and for products of forms in
    mutually orthogonal variables, prod_j N_j (k_j/k)^{k_j/2}; otherwise a proved interval, narrow up to 6 tokens.
    With parameters: exact, or `NoClosedForm`.  Raises `SieSymError` for entries of several orders.

    >>> operator_norm({((1, 1), (2, 1), (3, 1)): sp.Integer(1)}).value
    2*sqrt(3)/3
    """
    tensor = without_zeros(tensor)
    if not tensor:
        return CertifiedValue.exact(sp.Integer(0), "zero tensor")
    if tensor_order(tensor) == 1:
        return CertifiedValue.exact(sp.sqrt(sp.expand(sp.Add(*(v**2 for v in tensor.values())))), "Euclidean norm")
    distinct = {_renamed(block): None for block in blocks(tensor)}
    return largest([_block_norm(dict(block)) for block in distinct])


def _renamed(block: Tensor) -> tuple[tuple[MultiIndex, sp.Expr], ...]:
    """The block on tokens 1, 2, ...: equal ones are computed once."""
    name = {l: i for i, l in enumerate(tokens_of_tensor(block), start=1)}
    return tuple(sorted(((tuple((name[l], n) for l, n in a), v) for a, v in block.items()), key=lambda item: item[0]))


def _block_norm(block: Tensor) -> CertifiedValue:
    k = tensor_order(block)
    if len(block) == 1:
        ((alpha, value),) = block.items()
        size = sp.Mul(*(sp.Rational(n, k) ** sp.Rational(n, 2) for _, n in alpha))
        return CertifiedValue.exact(sp.Abs(value) * sp.Integer(multinomial(alpha)) * size, "monomial")
    scaled = commensurable(block)
    if scaled is not None:
        factor, ratios = scaled
        plain = {alpha: rational(q) for alpha, q in ratios.items()}
        return _connected_norm(plain, k).scaled(factor)
    return _connected_norm(block, k)


def _connected_norm(block: Tensor, k: int) -> CertifiedValue:
    if k == 2:
        low, high = symmetric_spectrum(block)
        return largest([_modulus(low), _modulus(high)])
    if (factored := _product_norm(block, k)) is not None:
        return factored
    try:
        odeco = block_is_odeco(block)
    except TruncationError:
        odeco = None
    if odeco:
        square = symmetric_spectrum(gram(block))[1]
        if square.value is not None:
            return CertifiedValue.exact(sp.sqrt(square.value), "odeco: the largest |lambda|")
        return CertifiedValue.between(_root(square), "odeco: the largest |lambda|, enclosed")
    if any(value.free_symbols for value in block.values()):
        raise NoClosedForm(
            f"the operator norm of a tensor of order {k} with parameters that is not odeco has no closed form: set them"
        )
    upper = _root(symmetric_spectrum(gram(block))[1])[1]
    return CertifiedValue.between(
        sphere_maximum(_form(block, k), upper), "flattening and branch and bound on the sphere"
    )


def _form(block: Tensor, k: int) -> Form:
    with working_precision(_BITS):
        weights = {a: enclose(v) * multinomial(a) for a, v in block.items()}
    return Form.of(weights, tokens_of_tensor(block))


def _product_norm(block: Tensor, k: int) -> CertifiedValue | None:
    """The norm of a form that factors over mutually orthogonal sets of variables, None if it does not.

    With |v_j| = r_j in the j-th set, prod_j N_j r_j^{k_j} is largest at r_j^2 = k_j/k.
    """
    labels = tokens_of_tensor(block)
    rational = all(value.is_Rational for value in block.values())
    if not rational or len(labels) > _FACTOR_TOKENS or len(block) > _FACTOR_TERMS:
        return None
    symbols = [token(l) for l in labels]
    terms = [value / factorial(a) * sp.Mul(*(token(l) ** n for l, n in a)) for a, value in block.items()]
    constant, factors = sp.factor_list(math.factorial(k) * sp.Add(*terms), *symbols)
    groups: list[tuple[list[Direction], sp.Expr]] = []
    for part, power in factors:
        spans, form = _span(part), part**power
        linked = [group for group in groups if any(dot(a, b) != 0 for a in spans for b in group[0])]
        groups = [group for group in groups if group not in linked]
        groups.append((spans + [a for group in linked for a in group[0]], form * sp.Mul(*(g[1] for g in linked))))
    if len(groups) == 1 and (len(factors) > 1 or sp.Poly(factors[0][0], *symbols).total_degree() > 1):
        return None
    norms = []
    for _, form in groups:
        degree = sp.Poly(form, *symbols).total_degree()
        norms.append((_power_norm(form, symbols), sp.Rational(degree, k) ** sp.Rational(degree, 2)))
    weight = sp.Abs(constant) * sp.Mul(*(size for _, size in norms))
    if all(norm.value is not None for norm, _ in norms):
        return CertifiedValue.exact(weight * sp.Mul(*(norm.value for norm, _ in norms)), "product of orthogonal forms")
    bounds = interval_of(enclose(weight))
    for norm, _ in norms:
        bounds = product(bounds, norm.bounds)
    return CertifiedValue.between(bounds, "product of orthogonal forms, enclosed")


def _span(form: sp.Expr) -> list[Direction]:
    """Directions that span the variables of a factor."""
    affine = affine_form(form)
    if affine is not None:
        return [direction_of(affine[0])]
    positions = (token_index(symbol) for symbol in form.free_symbols)
    return [((l, sp.Integer(1)),) for l in sorted(l for l in positions if l is not None)]


def _power_norm(form: sp.Expr, symbols: list[sp.Symbol]) -> CertifiedValue:
    """The norm of one orthogonal group: |a|^n for <a, v>^n, else that of its tensor."""
    base, exponent = form.as_base_exp()
    affine = affine_form(base)
    if affine is not None and exponent.is_Integer:
        length = sp.Add(*(slope**2 for slope in affine[0].values()))
        return CertifiedValue.exact(length ** (exponent / 2), "rank one")
    tensor: Tensor = {}
    polynomial = sp.Poly(form, *symbols)
    degree = polynomial.total_degree()
    for powers, coefficient in polynomial.terms():
        alpha = tuple((token_index(x) or 0, n) for x, n in zip(symbols, powers, strict=True) if n)
        tensor[alpha] = coefficient * sp.Rational(factorial(alpha), math.factorial(degree))
    return operator_norm(tensor)


def _modulus(eigenvalue: CertifiedValue) -> CertifiedValue:
    if eigenvalue.value is not None:
        return CertifiedValue.exact(sp.Abs(eigenvalue.value), eigenvalue.method)
    lower, upper = eigenvalue.bounds
    low, high = sorted((abs(lower), abs(upper)))
    return CertifiedValue.between((0.0 if lower <= 0 <= upper else low, high), eigenvalue.method)


def _root(norm: CertifiedValue) -> Interval:
    lower, upper = (math.sqrt(max(end, 0.0)) for end in norm.bounds)
    return math.nextafter(lower, 0.0), math.nextafter(upper, math.inf)


def directed_norm(tensor: Tensor, sign: int) -> CertifiedValue:
    """max(0, max_{|v| = 1} sign <T, v^{(x) k}>): for an odd order the operator norm, for an even one possibly less.

    It is exact for order 2, for tensors on one token a block and for monomials; otherwise an interval.

    >>> tensor = {((1, 2),): sp.Integer(2), ((2, 2),): sp.Integer(-4)}
    >>> directed_norm(tensor, 1).value, directed_norm(tensor, -1).value
    (2, 4)
    """
    tensor = without_zeros(tensor)
    if not tensor or tensor_order(tensor) % 2 == 1:
        return operator_norm(tensor)
    zero = CertifiedValue.exact(sp.Integer(0), "no direction of that sign")
    distinct = {_renamed(block): None for block in blocks(tensor)}
    return largest([zero, *(_directed_block_norm(dict(block), sign) for block in distinct)])


def _directed_block_norm(block: Tensor, sign: int) -> CertifiedValue:
    k = tensor_order(block)
    if len(block) == 1:
        ((alpha, value),) = block.items()
        if any(n % 2 for _, n in alpha) or decide_sign(value) == sign:
            return _block_norm(block)
        return CertifiedValue.exact(sp.Integer(0), "monomial of the other sign")
    if k == 2:
        low, high = symmetric_spectrum(block)
        if sign == 1:
            return high
        if low.value is not None:
            return CertifiedValue.exact(-low.value, low.method)
        lower, upper = low.bounds
        return CertifiedValue.between((-upper, -lower), low.method)
    norm = _block_norm(block)
    if block_is_odeco(block):
        decomposition = odeco_decomposition(block)
        if decomposition.evidence is Evidence.EXACT:
            signed = [
                sp.Integer(0),
                *(w for w in (sign * weight for weight in decomposition.weights) if decide_sign(w) == 1),
            ]
            return largest([CertifiedValue.exact(w, "odeco: the largest lambda of that sign") for w in signed])
    found, _ = largest_found(_form(block, k), sign)
    return CertifiedValue.between(
        (max(found, 0.0), norm.bounds[1]), "a direction found, and the operator norm above it"
    )


__all__ = ["CertifiedValue", "directed_norm", "operator_norm"]
