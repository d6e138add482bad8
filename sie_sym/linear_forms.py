r"""Linear forms <a, z> in the tokens, and the recognition of ridge functions f(<a, z>)."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.functions import TOKENS, token, token_index

Direction = tuple[tuple[int, sp.Expr], ...]
"""The non-zero entries (token, a_l) of a linear form, tokens increasing, scaled by `direction_of`."""

UNROLL_BUDGET = 100_000
"""The longest structured sum or product that is written out term by term."""


def unroll(node: sp.Sum | sp.Product) -> list[sp.Expr]:
    """The bodies of a structured sum or product for each value of its index.

    >>> l = sp.Symbol("l", integer=True)
    >>> unroll(sp.Sum(TOKENS[l]**2, (l, 1, 3)))
    [z1**2, z2**2, z3**2]
    """
    (index, low, high), *outer = node.limits[::-1]
    body = node.func(node.function, *outer[::-1]) if outer else node.function
    span = range(int(low), int(high) + 1)
    if len(span) > UNROLL_BUDGET:
        raise TruncationError(f"{node} has more than {UNROLL_BUDGET} terms")
    if body.has(sp.Sum, sp.Product):  # whose own indices subs respects, and xreplace, much faster, does not
        return [_with_tokens(body.subs(index, sp.Integer(position))) for position in span]
    inside = [e for e in body.atoms(sp.Indexed) if e.base == TOKENS]
    # token by token from their places, so that no TOKENS[l] is built to be replaced again
    places = [index_values(e.indices[0], index, span) for e in inside]
    if not all(place.is_Integer for row in places for place in row):
        return [_with_tokens(body.xreplace({index: sp.Integer(position)})) for position in span]
    tokens = [[token(int(place)) for place in row] for row in places]
    return [
        body.xreplace({index: sp.Integer(position), **{e: row[n] for e, row in zip(inside, tokens, strict=True)}})
        for n, position in enumerate(span)
    ]


def index_values(index: sp.Expr, symbol: sp.Symbol, span: range) -> list[sp.Expr]:
    """The values of a token's index for each value of one of its symbols.

    >>> l = sp.Symbol("l", integer=True)
    >>> index_values(2 * l + 1, l, range(3))
    [1, 3, 5]
    """
    slope = index.coeff(symbol)
    offset = index - slope * symbol
    if slope.is_Integer and offset.is_Integer:
        return [sp.Integer(int(slope) * position + int(offset)) for position in span]
    return [index.xreplace({symbol: sp.Integer(position)}) for position in span]


def _with_tokens(placed: sp.Expr) -> sp.Expr:
    """The tokens z[l] whose index has become a number turned into token symbols."""
    tokens = {
        node: token(int(node.indices[0]))
        for node in placed.atoms(sp.Indexed)
        if node.base == TOKENS and node.indices[0].is_Integer
    }
    return placed.xreplace(tokens)


def written_out(expression: sp.Expr) -> sp.Expr:
    """An expression with its structured sums and products written term by term.

    >>> l = sp.Symbol("l", integer=True)
    >>> written_out(1 + sp.Product(1 + TOKENS[l], (l, 1, 2)))
    (z1 + 1)*(z2 + 1) + 1
    """
    if isinstance(expression, (sp.Sum, sp.Product)):
        combine = sp.Add if isinstance(expression, sp.Sum) else sp.Mul
        return combine(*(written_out(body) for body in unroll(expression)))
    if not expression.has(sp.Sum, sp.Product):
        return expression
    return expression.func(*(written_out(argument) for argument in expression.args))


def affine_form(expression: sp.Expr) -> tuple[dict[int, sp.Expr], sp.Expr] | None:
    """(a, b) with expression = sum_l a_l z_l + b when it is visibly affine in the tokens, else None.

    >>> affine_form(2 * token(1) - token(3) + 5)
    ({1: 2, 3: -1}, 5)
    """
    position = token_index(expression)
    if position is not None:
        return {position: sp.Integer(1)}, sp.Integer(0)
    if not has_tokens(expression):
        return {}, expression
    if isinstance(expression, (sp.Add, sp.Sum)):
        if isinstance(expression, sp.Sum):
            slots = {e: token(1) for e in expression.function.atoms(sp.Indexed)}
            if affine_form(expression.function.xreplace(slots)) is None:
                return None  # seen from one body, before all are written out
        terms = unroll(expression) if isinstance(expression, sp.Sum) else expression.args
        slopes: dict[int, list[sp.Expr]] = {}
        offsets: list[sp.Expr] = []
        for term in terms:
            form = affine_form(term)
            if form is None:
                return None
            offsets.append(form[1])
            for l, c in form[0].items():
                slopes.setdefault(l, []).append(c)
        # Expanded, so that a slope that cancels, (1 + b) a - a - a b, is seen to be no slope.
        total = {l: parts[0] if len(parts) == 1 else sp.expand(sp.Add(*parts)) for l, parts in slopes.items()}
        return {l: total[l] for l in sorted(total) if total[l] != 0}, sp.Add(*offsets)
    if isinstance(expression, sp.Mul):
        factors = [factor for factor in expression.args if has_tokens(factor)]
        if len(factors) == 1 and (form := affine_form(factors[0])) is not None:
            scale = sp.expand(sp.Mul(*(factor for factor in expression.args if factor is not factors[0])))
            if scale == 0:
                return {}, sp.Integer(0)
            return {l: c * scale for l, c in form[0].items()}, form[1] * scale
    return None


def has_tokens(expression: sp.Basic) -> bool:
    """Whether any token occurs, structured ones included."""
    if expression.is_Rational:
        return False
    return any(token_index(s) is not None or s == TOKENS.label for s in expression.free_symbols)


def direction_of(slopes: Mapping[int, sp.Expr]) -> Direction:
    """The direction of a linear form: scaled so that its first entry is 1, unless that divides by a parameter.

    Dividing a z1 + b z2 by a would lose the case a = 0, so only common factors are divided out; a z1 + a z2 has the
    direction of z1 + z2, and a z1 that of z1: what is divided out is a factor of the argument.

    >>> a = sp.Symbol("a", real=True)
    >>> direction_of({1: sp.Integer(2), 2: a}), direction_of({1: a, 2: sp.Integer(2)}), direction_of({1: a, 2: 2 * a})
    (((1, 1), (2, a/2)), ((1, a), (2, 2)), ((1, 1), (2, 2)))
    """
    lead = slopes[min(slopes)]
    ratios = tuple((l, ratio(slopes[l], lead)) for l in sorted(slopes))
    if lead.free_symbols and any(c.free_symbols for _, c in ratios):
        common = sp.gcd_list([sp.expand(c) for c in slopes.values()])
        common = -common if (lead / common).could_extract_minus_sign() else common
        return tuple((l, ratio(slopes[l], common)) for l in sorted(slopes))
    return ratios


def ratio(numerator: sp.Expr, denominator: sp.Expr) -> sp.Expr:
    """A quotient in lowest terms.

    >>> a = sp.Symbol("a", real=True)
    >>> ratio(a**2 - 1, a + 1), ratio(sp.Integer(1), 1 + sp.sqrt(2))
    (a - 1, -1 + sqrt(2))
    """
    quotient = numerator / denominator
    if quotient.is_Rational:
        return quotient
    if quotient.free_symbols:
        return sp.expand(sp.cancel(quotient))
    return sp.expand(sp.radsimp(quotient))


def multiple_of(slopes: Mapping[int, sp.Expr], direction: Direction) -> sp.Expr | None:
    """The c with slopes = c * direction, None if they are not (visibly) parallel.

    >>> multiple_of({1: sp.Integer(2), 3: sp.Integer(-4)}, ((1, sp.Integer(1)), (3, sp.Integer(-2))))
    2
    """
    if len(slopes) != len(direction) or slopes.keys() != {l for l, _ in direction}:
        return None
    first, lead = direction[0]
    if any(sp.expand(slopes[l] * lead - c * slopes[first]) != 0 for l, c in direction[1:]):
        return None
    return ratio(slopes[first], lead)


def dot(left: Direction, right: Direction) -> sp.Expr:
    """<a, b>."""
    entries = dict(right)
    return sp.expand(sp.Add(*(c * entries[l] for l, c in left if l in entries)))


class _Ridge:
    """Collects the one linear form an expression depends on, and rewrites the expression in it."""

    def __init__(self, variable: sp.Symbol) -> None:
        self.variable = variable
        self.direction: Direction | None = None

    def rewrite(self, e: sp.Expr) -> sp.Expr | None:
        """e in terms of the variable u = <a, z>, None if a second direction occurs."""
        if not has_tokens(e):
            return e
        form = affine_form(e)
        if form is not None:
            return self.along(*form)
        if isinstance(e, sp.Add):
            affine = [t for t in e.args if affine_form(t) is not None]
            parts = [self.rewrite(sp.Add(*affine))] if affine else []
            parts += [self.rewrite(t) for t in e.args if t not in affine]
            return None if None in parts else sp.Add(*parts)
        if isinstance(e, (sp.Sum, sp.Product)):
            return None
        arguments: list[sp.Expr] = []
        for argument in e.args:
            rewritten = self.rewrite(argument)
            if rewritten is None:
                return None
            arguments.append(rewritten)
        return e.func(*arguments)

    def along(self, slopes: dict[int, sp.Expr], offset: sp.Expr) -> sp.Expr | None:
        if not slopes:
            return offset
        if self.direction is None:
            self.direction = direction_of(slopes)
            first, lead = self.direction[0]
            return ratio(slopes[first], lead) * self.variable + offset
        multiple = multiple_of(slopes, self.direction)
        return None if multiple is None else multiple * self.variable + offset


def as_ridge(expression: sp.Expr, variable: sp.Symbol) -> tuple[Direction, sp.Expr] | None:
    """(a, f) with expression = f(<a, z>), f written in the given variable; None if it is no visible ridge.

    >>> u = sp.Symbol("u", real=True)
    >>> as_ridge((token(1) + token(2))**3 - 6*(token(1) + token(2)), u)
    (((1, 1), (2, 1)), u**3 - 6*u)
    """
    reader = _Ridge(variable)
    profile = reader.rewrite(expression)
    if profile is None or reader.direction is None:
        return None
    return reader.direction, profile
