r"""The operator norm of a symmetric tensor (arXiv:2506.02651, Thm 2), and the eigenvalues that give it.

    ||T||_op = max_{|v| = 1} |<T, v^{(x) k}>|,      <T, v^{(x) k}> = sum_{|b| = k} k!/b! T_b v^b

For k >= 2 the norm of a tensor is the largest norm of its blocks on disjoint tokens.  For an odeco T the matrix
M_ij = sum_J T_{iJ} T_{jJ} is sum_i lambda_i^2 v_i v_i^T, so that ||T||_op = |M|^{1/2}: an eigenvalue problem.  In
general |M|^{1/2} is an upper bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import flint
import sympy as sp
from flint import arb

from sie_sym.balls import working_precision
from sie_sym.enclosure import decide_sign, enclose
from sie_sym.errors import NoClosedForm, TruncationError
from sie_sym.evidence import Evidence
from sie_sym.functions import token, token_index
from sie_sym.hermite import MultiIndex, Tensor, factorial, order
from sie_sym.linear_forms import Direction, affine_form, direction_of, dot
from sie_sym.sphere_maximum import Form, Interval, extreme_eigenvalues, largest_found, sphere_maximum
from sie_sym.symmetric_tensor import (
    block_is_odeco,
    blocks,
    commensurable,
    index_rows,
    matrix_of,
    odeco_decomposition,
    rational_or_quadratic_roots,
    tensor_order,
    tokens_of_tensor,
    without_zeros,
)

_BITS = 128
_EXACT_EIGENVALUES = 48
"""The largest rational matrix whose characteristic polynomial is factored."""
_FACTOR_TOKENS, _FACTOR_TERMS = 8, 200
"""The largest form that is factored."""


@dataclass(frozen=True)
class CertifiedValue:
    """A number by its exact `value` or, without one, by a proved interval.

    `lower` and `upper` are None only if the value depends on parameters.  `method` says what was used.
    """

    value: sp.Expr | None
    lower: float | None
    upper: float | None
    evidence: Evidence
    method: str

    @classmethod
    def exact(cls, value: sp.Expr, method: str) -> CertifiedValue:
        """A number known as an expression."""
        if value.free_symbols:
            return cls(value, None, None, Evidence.EXACT, method)
        return cls(value, *_interval(enclose(value)), Evidence.EXACT, method)

    @classmethod
    def between(cls, bounds: Interval, method: str) -> CertifiedValue:
        """A number known by an interval."""
        return cls(None, *bounds, Evidence.ENCLOSED, method)

    def scaled(self, factor: sp.Expr) -> CertifiedValue:
        """The norm of factor * T, if this is the norm of T."""
        if factor in (1, -1):
            return self
        if self.value is not None:
            return CertifiedValue.exact(sp.Abs(factor) * self.value, self.method)
        low, high = _interval(enclose(sp.Abs(factor)))
        lower, upper = self.bounds
        return CertifiedValue.between(
            (math.nextafter(low * lower, 0), math.nextafter(high * upper, math.inf)), self.method
        )

    def times(self, other: CertifiedValue) -> CertifiedValue:
        """The product of two numbers >= 0."""
        if self.value is not None and other.value is not None:
            return CertifiedValue.exact(sp.expand(self.value * other.value), self.method)
        (low, high), (lower, upper) = self.bounds, other.bounds
        return CertifiedValue.between(
            (math.nextafter(low * lower, 0), math.nextafter(high * upper, math.inf)), self.method
        )

    @property
    def bounds(self) -> Interval:
        """(lower, upper).  Raises `NoClosedForm` if they depend on parameters."""
        if self.lower is None or self.upper is None:
            raise NoClosedForm(f"{self.value} depends on parameters: its bounds are known at given values only")
        return self.lower, self.upper


def _interval(ball: arb) -> Interval:
    return math.nextafter(float(ball.lower()), -math.inf), math.nextafter(float(ball.upper()), math.inf)


OperatorNorm: TypeAlias = CertifiedValue


def operator_norm(tensor: Tensor) -> OperatorNorm:
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
    return largest_norm([_block_norm(dict(block)) for block in distinct])


def _renamed(block: Tensor) -> tuple[tuple[MultiIndex, sp.Expr], ...]:
    """The block on tokens 1, 2, ...: equal ones are computed once."""
    name = {l: i for i, l in enumerate(tokens_of_tensor(block), start=1)}
    return tuple(sorted(((tuple((name[l], n) for l, n in a), v) for a, v in block.items()), key=lambda item: item[0]))


def largest_norm(norms: Iterable[CertifiedValue]) -> CertifiedValue:
    """The largest of some norms, exact if it can be told which one it is."""
    norms = list(norms)
    best = norms[0]
    for other in norms[1:]:
        if best.value is not None and other.value is not None:
            difference = other.value - best.value
            if difference.free_symbols:
                best = CertifiedValue.exact(sp.Max(best.value, other.value), "largest block")
            elif decide_sign(difference) == 1:
                best = other
            continue
        (low, high), (other_low, other_high) = best.bounds, other.bounds
        if other_low >= high:
            best = other
        elif low < other_high:
            best = CertifiedValue.between((max(low, other_low), max(high, other_high)), "largest block")
    return best


def _block_norm(block: Tensor) -> CertifiedValue:
    k = tensor_order(block)
    if len(block) == 1:
        ((alpha, value),) = block.items()
        size = sp.Mul(*(sp.Rational(n, k) ** sp.Rational(n, 2) for _, n in alpha))
        return CertifiedValue.exact(
            sp.Abs(value) * sp.Integer(math.factorial(k) // factorial(alpha)) * size, "monomial"
        )
    scaled = commensurable(block)
    if scaled is not None:
        factor, ratios = scaled
        plain = {alpha: sp.Rational(int(q.p), int(q.q)) for alpha, q in ratios.items()}
        return _connected_norm(plain, k).scaled(factor)
    return _connected_norm(block, k)


def _connected_norm(block: Tensor, k: int) -> CertifiedValue:
    if k == 2:
        low, high = symmetric_spectrum(block)
        return largest_norm([_modulus(low), _modulus(high)])
    if (product := _product_norm(block, k)) is not None:
        return product
    try:
        odeco = block_is_odeco(block)
    except TruncationError:
        odeco = None
    if odeco:
        largest = symmetric_spectrum(_gram(block))[1]
        if largest.value is not None:
            return CertifiedValue.exact(sp.sqrt(largest.value), "odeco: the largest |lambda|")
        return CertifiedValue.between(_root(largest), "odeco: the largest |lambda|, enclosed")
    if any(value.free_symbols for value in block.values()):
        raise NoClosedForm(
            f"the operator norm of a tensor of order {k} with parameters that is not odeco has no closed form: set them"
        )
    with working_precision(_BITS):
        weights = {a: enclose(v) * (math.factorial(k) // factorial(a)) for a, v in block.items()}
    form = Form.of(weights, tokens_of_tensor(block))
    upper = _root(symmetric_spectrum(_gram(block))[1])[1]
    return CertifiedValue.between(sphere_maximum(form, upper), "flattening and branch and bound on the sphere")


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
    low, high = _interval(enclose(weight))
    for norm, _ in norms:
        lower, upper = norm.bounds
        low, high = math.nextafter(low * lower, 0.0), math.nextafter(high * upper, math.inf)
    return CertifiedValue.between((low, high), "product of orthogonal forms, enclosed")


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


def _gram(block: Tensor) -> Tensor:
    """M_ij = sum_J T_{iJ} T_{jJ} over the (k-1)-tuples J, as a symmetric tensor of order 2."""
    columns: dict[MultiIndex, list[tuple[int, sp.Expr]]] = {}
    for r, row in index_rows(block).items():
        for rest, alpha in row:
            columns.setdefault(rest, []).append((r, block[alpha]))
    entries: dict[MultiIndex, list[sp.Expr]] = {}
    for rest, column in columns.items():
        weight = math.factorial(order(rest)) // factorial(rest)
        for (i, x), (j, y) in itertools.combinations_with_replacement(sorted(column, key=lambda item: item[0]), 2):
            entries.setdefault(((i, 2),) if i == j else ((i, 1), (j, 1)), []).append(weight * x * y)
    return {alpha: sp.expand(sp.Add(*values)) for alpha, values in entries.items()}


def symmetric_spectrum(tensor: Tensor) -> tuple[CertifiedValue, CertifiedValue]:
    """The smallest and the largest eigenvalue of an order-2 tensor, on the tokens that occur.

    Their `value` is exact where it is a rational or a quadratic number.

    >>> symmetric_spectrum({((1, 1), (2, 1)): sp.Integer(1)})[0].value
    -1
    """
    matrix = matrix_of(tensor)
    n = matrix.rows
    if n <= 2:
        a, d, b = matrix[0, 0], matrix[-1, -1], matrix[0, 1] if n == 2 else sp.Integer(0)
        gap = sp.sqrt(sp.expand((a - d) ** 2 + 4 * b**2))
        return CertifiedValue.exact((a + d - gap) / 2, "2 x 2"), CertifiedValue.exact((a + d + gap) / 2, "2 x 2")
    if n <= _EXACT_EIGENVALUES and all(value.is_Rational for value in tensor.values()):
        return _rational_spectrum(matrix)
    if any(value.free_symbols for value in tensor.values()):
        raise NoClosedForm(f"the eigenvalues of a {n} x {n} matrix with parameters have no closed form: set them")
    with working_precision(_BITS):
        zero = arb(0)
        balls = [[enclose(matrix[i, j]) if matrix[i, j] != 0 else zero for j in range(n)] for i in range(n)]
    ends = extreme_eigenvalues(balls)
    if ends is None:
        raise TruncationError(f"the eigenvalues of a {n} x {n} matrix are not enclosed: it is too large")
    low, high = (CertifiedValue(None, *end, Evidence.ENCLOSED, "enclosed eigenvalue") for end in ends)
    return low, high


def _rational_spectrum(matrix: sp.Matrix) -> tuple[CertifiedValue, CertifiedValue]:
    n = matrix.rows
    characteristic = flint.fmpq_mat(n, n, [flint.fmpq(int(x.p), int(x.q)) for x in matrix]).charpoly()
    roots: list[tuple[arb, sp.Expr | None]] = []
    with working_precision(_BITS):
        for part, _ in characteristic.factor()[1]:
            exact = rational_or_quadratic_roots(
                [sp.Rational(int(c.p), int(c.q)) for c in map(flint.fmpq, part.coeffs())]
            )
            if exact is None:
                isolated: list[Any] = part.complex_roots()  # pairs (ball, multiplicity)
                roots += [(ball.real, None) for ball, _ in isolated]
            else:
                roots += [(enclose(root, _BITS), root) for root in exact]
        low = max(roots, key=lambda root: float(-root[0].mid()))
        high = max(roots, key=lambda root: float(root[0].mid()))
        # Distinct factors have distinct roots: balls that overlap would only cost the closed form.
        sure = [all(not end[0].overlaps(other[0]) for other in roots if other is not end) for end in (low, high)]
    ends = []
    for (ball, value), alone in zip((low, high), sure, strict=True):
        if value is not None and alone:
            ends.append(CertifiedValue.exact(value, "exact eigenvalue"))
        else:
            ends.append(CertifiedValue(None, *_interval(ball), Evidence.ENCLOSED, "enclosed eigenvalue"))
    return ends[0], ends[1]


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
    return largest_norm([zero, *(_directed_block_norm(dict(block), sign) for block in distinct)])


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
            return largest_norm([CertifiedValue.exact(w, "odeco: the largest lambda of that sign") for w in signed])
    with working_precision(_BITS):
        weights = {a: enclose(v) * (math.factorial(k) // factorial(a)) for a, v in block.items()}
    found, _ = largest_found(Form.of(weights, tokens_of_tensor(block)), sign)
    return CertifiedValue.between(
        (max(found, 0.0), norm.bounds[1]), "a direction found, and the operator norm above it"
    )
