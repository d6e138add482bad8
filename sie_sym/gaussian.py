r"""Gaussian expectations without closed form, as unevaluated nodes with proved enclosures.

E[h(Z + t) He_alpha(Z)], Z ~ N(0, I): with t = 0 the Hermite coefficient C_alpha(h), and as a function of t the
derivative d^alpha (G h)(t) of the Weierstrass transform (theory section 2), so that the class is closed under d/dt,
kinks of h included.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import acb, arb

from sie_sym.errors import NoClosedForm
from sie_sym.evidence import Evidence
from sie_sym.functions import He, token, token_index
from sie_sym.integrals.balls import NOT_ANALYTIC, evaluate, working_precision
from sie_sym.integrals.gaussian_enclosure import GUARD_BITS, Coordinate, bits_below_one, enclose_constant, enclose_node
from sie_sym.integrals.gaussian_rules import (
    canonical,
    centred_value,
    coordinates_of,
    independent_factors,
    index_of,
    moment,
)
from sie_sym.linear_forms import as_ridge, written_out

_RIDGE = sp.Symbol("_u", real=True)
_EXTRA_PRECISION = ((0.0, 0.25), (0.0, 3.0, 12.0))
"""What `evalf` adds, in units of the precision asked for, against cancellation: two tokens, and one."""
_RULE_PRECISION = (4096, 48)
"""Bits of a node inside a larger expression: one token, and two, where more takes seconds."""
ENCLOSED_TOKENS = 2
"""Nodes that couple more tokens than this have a numerical value only."""


class GaussianExpectation(sp.Expr):
    r"""E[h(Z + t) He_alpha(Z)], Z ~ N(0, I_L), unevaluated; the tokens z1, z2, ... of h are bound.

    `GaussianExpectation(h, {z1: t1}, {1: 2})` has mean t1 in token 1 (0 in the others) and weight He_2(Z_1); the
    arguments of the node are h and the triples (token, mean, weight).  The constructor applies exact rules only, so
    it may answer with another expression: linearity in a sum, constant factors, independence of factors that share
    no token, moments of monomials, orthogonality (a weighted token that h does not read gives 0), sign symmetries,
    the logistic identities (`logistic`), the irrelevance of the tokens' names, and
    h = f(<a, z>), which is one-dimensional: C_alpha = prod (a_l/|a|)^alpha_l E[f(|a| U + <a, t>) He_|alpha|(U)].

    h must be of at most exponential growth for all this to exist; enclosures prove it (`growth`).
    Raises `FormulaError` for a weight that is no non-negative integer.

    >>> z1, t = token(1), sp.Symbol("t", real=True)
    >>> node = GaussianExpectation(sp.tanh(z1), {z1: t})
    >>> node.diff(t), node.free_symbols
    (GaussianExpectation(tanh(z1), ((z1, t, 1),)), {t})
    """

    is_commutative = True

    def __new__(
        cls,
        h: sp.Expr,
        shifts: Mapping[sp.Symbol, sp.Expr] | sp.Tuple | None = None,
        weights: Mapping[int, int] | None = None,
    ) -> sp.Expr:
        """The node, or what the exact rules make of it."""
        h = written_out(sp.sympify(h, strict=True))
        return _build(cls, h, coordinates_of(h, shifts, weights or {}))

    @classmethod
    def _node(cls, h: sp.Expr, coordinates: Iterable[Coordinate]) -> sp.Expr:
        """What is left after the exact rules that look at the whole integrand, in one canonical form."""
        return _canonical_node(h, tuple(coordinates))

    @property
    def integrand(self) -> sp.Expr:
        """h, in tokens."""
        return self.args[0]

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The triples (token, mean, weight) of the tokens of h."""
        return tuple((symbol, mean, int(weight)) for symbol, mean, weight in self.args[1])

    @property
    def tokens(self) -> tuple[sp.Symbol, ...]:
        """The bound tokens."""
        return tuple(symbol for symbol, _, _ in self.coordinates)

    @property
    def means(self) -> dict[sp.Symbol, sp.Expr]:
        """Token to mean."""
        return {symbol: mean for symbol, mean, _ in self.coordinates}

    @property
    def weights(self) -> dict[int, int]:
        """Token index to the degree of its Hermite weight, zeros left out."""
        return {index_of(symbol): weight for symbol, _, weight in self.coordinates if weight}

    @property
    def bound_symbols(self) -> list[sp.Symbol]:
        """The tokens: nothing outside can see them."""
        return list(self.tokens)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The free symbols of the integrand."""
        return tuple(sorted(self.integrand.free_symbols - set(self.tokens), key=str))

    @property
    def free_symbols(self) -> set[sp.Basic]:
        """Those of the means and the parameters of h, not the tokens."""
        return set(self.parameters).union(*(mean.free_symbols for _, mean, _ in self.coordinates))

    is_number = False
    """SymPy evaluates what calls itself a number whenever it orders or prints terms: too dear here."""

    def _eval_is_real(self) -> bool | None:
        return True if self.integrand.is_real else None

    def _eval_derivative(self, symbol: sp.Symbol) -> sp.Expr:
        r"""d/dt_l raises alpha_l by one (Stein); parameters are differentiated under the integral.

        Raises `NoClosedForm` when h jumps where the parameter moves the jump.
        """
        terms = []
        for position, (_, mean, _) in enumerate(self.coordinates):
            slope = mean.diff(symbol)
            if slope != 0:
                raised = [(s, m, w + (i == position)) for i, (s, m, w) in enumerate(self.coordinates)]
                terms.append(slope * type(self)._node(self.integrand, raised))
        if symbol in self.parameters:
            inside = self.integrand.diff(symbol)
            if inside.has(sp.DiracDelta, sp.Derivative):
                raise NoClosedForm(
                    f"{self.integrand} jumps where {symbol} says: write the jump as a mean, 1[z > c] with mean -c"
                )
            terms.append(_build(type(self), inside, self.coordinates))
        return sp.Add(*terms)

    def _eval_subs(self, old: sp.Basic, new: sp.Basic) -> sp.Basic:
        return self._replaced(lambda e: e.subs(old, new), {old}, new.free_symbols)

    def _xreplace(self, rule: Mapping[sp.Basic, sp.Basic]) -> tuple[sp.Basic, bool]:
        if not isinstance(rule, Mapping):  # a predicate of SymPy's own; nodes are left alone
            return self, False
        if self in rule:
            return rule[self], True
        new: set[sp.Basic] = set().union(*(value.free_symbols for value in rule.values()))
        result = self._replaced(lambda e: e.xreplace(rule), set(rule), new)
        return result, result != self

    def _replaced(self, replace: Callable[[sp.Expr], sp.Expr], old: set[sp.Basic], new: set[sp.Basic]) -> sp.Expr:
        """Means are replaced freely; the integrand only where its tokens are neither met nor captured."""
        h, coordinates = self.integrand, list(self.coordinates)
        touched = any(h.has(o) and not (o.free_symbols & set(self.tokens)) for o in old)
        if touched or any(o.free_symbols & set(self.tokens) for o in old):
            # Rename the tokens apart, replace, and come back under the first free token names.
            hidden = {symbol: sp.Dummy(real=True) for symbol in self.tokens}
            h = replace(h.xreplace(hidden)) if touched else h.xreplace(hidden)
            taken = {index_of(s) for s in new if token_index(s) is not None} if touched else set()
            free = (token(i) for i in itertools.count(1) if i not in taken)
            fresh = {s: s if index_of(s) not in taken else None for s in self.tokens}
            used = {s for s in fresh.values() if s is not None}
            for symbol, name in fresh.items():
                if name is None:
                    fresh[symbol] = next(s for s in free if s not in used)
                    used.add(fresh[symbol])
            h = h.xreplace({hidden[s]: fresh[s] for s in self.tokens})
            coordinates = [(fresh[s], m, w) for s, m, w in coordinates]
        return _build(type(self), h, [(s, replace(m), w) for s, m, w in coordinates])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        standard = {s: sp.Symbol(f"Z_{{{index_of(s)}}}", real=True) for s in self.tokens}
        body = self.integrand.xreplace({s: standard[s] + mean for s, mean, _ in self.coordinates})
        factors = [printer.parenthesize(body, sp.printing.precedence.PRECEDENCE["Mul"])]
        factors += [printer.doprint(He(w, standard[s])) for s, _, w in self.coordinates if w]
        text = rf"\mathbb{{E}}_{{Z\sim\mathcal{{N}}(0,I)}}\left[{' '.join(factors)}\right]"
        return text if exp is None else rf"{text}^{{{exp}}}"

    def enclosure_rule(self) -> tuple[Callable[..., acb], Sequence[sp.Expr]]:
        """How `balls` evaluates the node: from balls of its means and parameters."""
        parameters = self.parameters
        arguments = [*(mean for _, mean, _ in self.coordinates), *parameters]

        def value(analytic: bool, *balls: acb) -> acb:
            if analytic or not all(ball.imag.is_zero() for ball in balls):
                return NOT_ANALYTIC
            bits = min(_current_precision() - GUARD_BITS, _RULE_PRECISION[len(self.tokens) > 1])
            if not self.free_symbols:
                return acb(enclose_constant(self, bits))
            means = [ball.real for ball in balls[: len(self.tokens)]]
            values = dict(zip(parameters, balls[len(self.tokens) :], strict=True))
            return acb(enclose_node(self, means, values, bits))

        return value, arguments

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        """The middle of a ball, with as many bits as the ball proves; unevaluated when it proves none."""
        if self.free_symbols:
            return None
        below = bits_below_one(self) if len(self.tokens) == 1 else 0
        for extra in _EXTRA_PRECISION[len(self.tokens) == 1]:
            ball = enclose_constant(self, prec + 8 + below + int(extra * prec), below)
            if ball.rel_accuracy_bits() >= prec:
                break
        known = min(prec, int(ball.rel_accuracy_bits()))
        if known < 1:
            return None
        mantissa, exponent = map(int, ball.mid().man_exp())
        return sp.Float((int(mantissa < 0), abs(mantissa), exponent, abs(mantissa).bit_length()), precision=known)


def _current_precision() -> int:
    return int(arb(1).exp().rel_accuracy_bits())


@lru_cache(maxsize=4096)
def _canonical_node(h: sp.Expr, coordinates: tuple[Coordinate, ...]) -> sp.Expr:
    # Factored arguments: equal nodes are found equal, and z1 (z1 - z2) gives tighter balls than z1^2 - z1 z2.
    h = h.replace(lambda e: isinstance(e, sp.Function), lambda e: e.func(*map(sp.factor_terms, e.args)))
    centred = tuple((s, weight) for s, mean, weight in coordinates if mean == 0)
    closed = centred_value(h, centred, len(centred) == len(coordinates))
    if closed is not None:
        return closed
    h, renamed = canonical(h, coordinates)
    triples = (sp.Tuple(symbol, mean, sp.Integer(weight)) for symbol, mean, weight in renamed)
    return sp.Expr.__new__(GaussianExpectation, h, sp.Tuple(*triples))


def _build(cls: type[GaussianExpectation], h: sp.Expr, coordinates: Sequence[Coordinate]) -> sp.Expr:
    """The exact rules of the class docstring."""
    if isinstance(h, sp.Add):
        return sp.Add(*(_build(cls, term, coordinates) for term in h.args))
    symbols = {symbol for symbol, _, _ in coordinates}
    if any(weight and not h.has(symbol) for symbol, _, weight in coordinates):
        return sp.Integer(0)
    coordinates = [c for c in coordinates if h.has(c[0])]
    if not coordinates:
        return h
    if isinstance(h, sp.Mul) and (groups := independent_factors(h, symbols)) is not None:
        return sp.Mul(*(_build(cls, factor, [c for c in coordinates if factor.has(c[0])]) for factor in groups))
    if len(coordinates) == 1:
        ((symbol, mean, weight),) = coordinates
        base, power = h.as_base_exp()
        if base == symbol and power.is_Integer and power > 0:
            return moment(int(power), mean, weight)
        return cls._node(h, coordinates)
    ridge = as_ridge(h, _RIDGE)
    if ridge is not None:
        return _ridge(cls, *ridge, coordinates)
    return cls._node(h, coordinates)


def _ridge(
    cls: type[GaussianExpectation],
    direction: Sequence[tuple[int, sp.Expr]],
    profile: sp.Expr,
    coordinates: Sequence[Coordinate],
) -> sp.Expr:
    length = sp.sqrt(sp.Add(*(a**2 for _, a in direction)))
    slopes = {token(l): a / length for l, a in direction}
    factor = sp.Mul(*(slopes[s] ** w for s, _, w in coordinates))
    mean = sp.Add(*(slopes[s] * m for s, m, _ in coordinates))
    weight = sum(w for _, _, w in coordinates)
    first = token(1)
    return factor * _build(cls, profile.xreplace({_RIDGE: length * first}), [(first, mean, weight)])


def enclose_expectation(
    h: sp.Expr,
    alpha: Mapping[int, int] | None = None,
    means: Mapping[int, sp.Expr] | None = None,
    precision: int = 40,
) -> arb:
    r"""A ball that contains E[h(Z + t) He_alpha(Z)], its width aimed at 2^-precision (absolute).

    `alpha` and `means` go from the token index to the degree and to t_l.  Up to two tokens may be coupled.  In one
    token kinks cost nothing; in two, kinks that do not run along an axis leave the ball wide (but true).

    Raises `NoClosedForm` for free parameters, more than two coupled tokens or a growth that no rule bounds,
    `DomainError` when integrability is not proved.

    >>> ball = enclose_expectation(sp.tanh(token(1)), {1: 1})
    >>> 0.6057 < ball < 0.6058
    True
    """
    shifts = {token(l): mean for l, mean in (means or {}).items()}
    expression = GaussianExpectation(h, shifts, alpha)
    if expression.free_symbols:
        names = ", ".join(sorted(map(str, expression.free_symbols)))
        raise NoClosedForm(f"{expression} depends on {names}: substitute values before enclosing")
    # The nodes at the precision asked for: inside an expression they keep to what is quick.
    nodes = {node: sp.Dummy(real=True) for node in expression.atoms(GaussianExpectation)}
    balls = {dummy: acb(enclose_constant(node, precision)) for node, dummy in nodes.items()}
    with working_precision(precision + GUARD_BITS):
        return evaluate(expression.xreplace(nodes), balls).real


def evidence_of(expressions: Iterable[sp.Expr]) -> Evidence:
    """What values made of these expressions are worth: exact without integrals, else what its nodes allow.

    >>> evidence_of([sp.sqrt(2), sp.erf(1)])
    <Evidence.EXACT: 'exact'>
    """
    nodes = {node for e in expressions for node in e.atoms(GaussianExpectation)}
    if not nodes:
        return Evidence.EXACT
    enclosed = all(len(node.tokens) <= ENCLOSED_TOKENS for node in nodes)
    return Evidence.ENCLOSED if enclosed else Evidence.NUMERICAL


__all__ = ["GaussianExpectation", "enclose_expectation", "evidence_of"]
