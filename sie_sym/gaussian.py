r"""Gaussian expectations without closed form, as unevaluated nodes with proved enclosures.

E[h(Z + t) He_alpha(Z)], Z ~ N(0, I): with t = 0 the Hermite coefficient C_alpha(h), and as a function of t the
derivative d^alpha (G h)(t) of the Weierstrass transform (theory section 2), so that the class is closed under d/dt,
kinks of h included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import acb, arb, fmpq

from sie_sym.balls import NOT_ANALYTIC, BallFunction, compile_ball, evaluate, working_precision
from sie_sym.cubature import Integrand, integrate_interval, integrate_rectangle
from sie_sym.errors import DomainError, FormulaError, NoClosedForm
from sie_sym.evidence import Evidence
from sie_sym.functions import He, token, token_index
from sie_sym.growth import is_integrable, tokens_in, truncation
from sie_sym.kinks import branch, breaks, intervals
from sie_sym.linear_forms import as_ridge, written_out
from sie_sym.logistic import logistic_coefficient
from sie_sym.symmetry import parity

_RIDGE = sp.Symbol("_u", real=True)
_EXTRA_PRECISION = ((0.0, 0.25), (0.0, 3.0, 12.0))
"""What `evalf` adds, in units of the precision asked for, against cancellation: two tokens, and one."""
_SMALLEST_EXPONENT = 4096
_RULE_PRECISION = (4096, 48)
"""Bits of a node inside a larger expression: one token, and two, where more takes seconds."""
_GUARD_BITS = 16
ENCLOSED_TOKENS = 2
"""Nodes that couple more tokens than this have a numerical value only."""

Coordinate = tuple[sp.Symbol, sp.Expr, int]
"""A token, its mean t_l and its Hermite weight alpha_l."""


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
        return _build(cls, h, _coordinates(h, shifts, weights or {}))

    @classmethod
    def _node(cls, h: sp.Expr, coordinates: Iterable[Coordinate]) -> sp.Expr:
        """What is left after the exact rules that look at the whole integrand, in one canonical form."""
        # Factored arguments: equal nodes are found equal, and z1 (z1 - z2) gives tighter balls than z1^2 - z1 z2.
        h = h.replace(lambda e: isinstance(e, sp.Function), lambda e: e.func(*map(sp.factor_terms, e.args)))
        coordinates = list(coordinates)
        centred = tuple((s, weight) for s, mean, weight in coordinates if mean == 0)
        closed = _centred_value(h, centred, len(centred) == len(coordinates))
        if closed is not None:
            return closed
        h, coordinates = _canonical(h, coordinates)
        triples = (sp.Tuple(symbol, mean, sp.Integer(weight)) for symbol, mean, weight in coordinates)
        return sp.Expr.__new__(cls, h, sp.Tuple(*triples))

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
        return {_index(symbol): weight for symbol, _, weight in self.coordinates if weight}

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
            taken = {_index(s) for s in new if token_index(s) is not None} if touched else set()
            free = (token(i) for i in itertools.count(1) if i not in taken)
            fresh = {s: s if _index(s) not in taken else None for s in self.tokens}
            used = {s for s in fresh.values() if s is not None}
            for symbol, name in fresh.items():
                if name is None:
                    fresh[symbol] = next(s for s in free if s not in used)
                    used.add(fresh[symbol])
            h = h.xreplace({hidden[s]: fresh[s] for s in self.tokens})
            coordinates = [(fresh[s], m, w) for s, m, w in coordinates]
        return _build(type(self), h, [(s, replace(m), w) for s, m, w in coordinates], bound=True)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        standard = {s: sp.Symbol(f"Z_{{{_index(s)}}}", real=True) for s in self.tokens}
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
            bits = min(_current_precision() - _GUARD_BITS, _RULE_PRECISION[len(self.tokens) > 1])
            if not self.free_symbols:
                return acb(_enclose_constant(self, bits))
            means = [ball.real for ball in balls[: len(self.tokens)]]
            values = dict(zip(parameters, balls[len(self.tokens) :], strict=True))
            return acb(_enclose_node(self, means, values, bits))

        return value, arguments

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        """The middle of a ball, with as many bits as the ball proves; unevaluated when it proves none."""
        if self.free_symbols:
            return None
        below = _bits_below_one(self) if len(self.tokens) == 1 else 0
        for extra in _EXTRA_PRECISION[len(self.tokens) == 1]:
            ball = _enclose_constant(self, prec + 8 + below + int(extra * prec), below)
            if ball.rel_accuracy_bits() >= prec:
                break
        known = min(prec, int(ball.rel_accuracy_bits()))
        if known < 1:
            return None
        mantissa, exponent = map(int, ball.mid().man_exp())
        return sp.Float((int(mantissa < 0), abs(mantissa), exponent, abs(mantissa).bit_length()), precision=known)



def _index(symbol: sp.Symbol) -> int:
    position = token_index(symbol)
    if position is None:
        raise FormulaError(f"{symbol} is no token: expectations run over z1, z2, ...")
    return position


def _current_precision() -> int:
    return int(arb(1).exp().rel_accuracy_bits())


# --- the exact rules ----------------------------------------------------------------------------------------------


def _coordinates(
    h: sp.Expr, shifts: Mapping[sp.Symbol, sp.Expr] | sp.Tuple | None, weights: Mapping[int, int]
) -> list[Coordinate]:
    means: dict[sp.Symbol, sp.Expr] = {}
    degrees = {token(l): k for l, k in weights.items()}
    if isinstance(shifts, (sp.Tuple, tuple)):
        for symbol, mean, *weight in shifts:
            means[symbol] = mean
            degrees[symbol] = int(weight[0]) if weight else degrees.get(symbol, 0)
    else:
        means = {symbol: sp.sympify(mean, strict=True) for symbol, mean in (shifts or {}).items()}
    for symbol, k in degrees.items():
        if k != int(k) or k < 0:
            raise FormulaError(f"the weight {k} of {symbol} is no degree: give an integer >= 0")
    symbols = set(tokens_in(h)) | set(means) | set(degrees)
    return [(s, means.get(s, sp.Integer(0)), int(degrees.get(s, 0))) for s in sorted(symbols, key=_index)]


@lru_cache(maxsize=4096)
def _centred_value(h: sp.Expr, weights: tuple[tuple[sp.Symbol, int], ...], complete: bool) -> sp.Expr | None:
    """0 where a sign symmetry of h in centred tokens and their weights disagree, or a logistic closed form."""
    degrees = {_index(s): weight for s, weight in weights}
    for flipped in (frozenset(degrees), *(frozenset([l]) for l in degrees)):
        side = parity(h, flipped)
        if side is not None and side != (-1) ** sum(degrees[l] for l in flipped) and _is_integrable(h):
            return sp.Integer(0)
    return logistic_coefficient(h, {l: k for l, k in degrees.items() if k}) if complete else None


def _is_integrable(h: sp.Expr) -> bool:
    with working_precision(64):
        return is_integrable(h)


_PERMUTED_TOKENS = 3
"""Up to this many tokens, nodes that differ by their names or order are made equal."""


def _canonical(h: sp.Expr, coordinates: Sequence[Coordinate]) -> tuple[sp.Expr, list[Coordinate]]:
    """The bound tokens renamed, the first free names in the order that sorts first: an expectation has no names."""
    bound = {symbol for symbol, _, _ in coordinates}
    free = {token_index(s) for s in h.free_symbols - bound}
    places = [token(l) for l in range(1, len(coordinates) + len(free) + 1) if l not in free]
    orders = itertools.permutations(coordinates) if len(coordinates) <= _PERMUTED_TOKENS else [tuple(coordinates)]
    forms = []
    for ordered in orders:
        names = {symbol: place for (symbol, _, _), place in zip(ordered, places, strict=False)}
        renamed = h.xreplace(names)
        forms.append((renamed, [(names[s], mean, weight) for s, mean, weight in ordered]))
    return min(forms, key=lambda form: str(form)) if len(forms) > 1 else forms[0]


def _build(
    cls: type[GaussianExpectation], h: sp.Expr, coordinates: Sequence[Coordinate], bound: bool = False
) -> sp.Expr:
    """The exact rules of the class docstring."""
    if isinstance(h, sp.Add):
        return sp.Add(*(_build(cls, term, coordinates) for term in h.args))
    symbols = {symbol for symbol, _, _ in coordinates}
    if any(weight and not h.has(symbol) for symbol, _, weight in coordinates):
        return sp.Integer(0)
    coordinates = [c for c in coordinates if h.has(c[0])]
    if not coordinates:
        return h
    if isinstance(h, sp.Mul) and (groups := _independent_factors(h, symbols)) is not None:
        return sp.Mul(*(_build(cls, factor, [c for c in coordinates if factor.has(c[0])]) for factor in groups))
    if len(coordinates) == 1:
        ((symbol, mean, weight),) = coordinates
        base, power = h.as_base_exp()
        if base == symbol and power.is_Integer and power > 0:
            return _moment(int(power), mean, weight)
        return cls._node(h, coordinates)
    ridge = as_ridge(h, _RIDGE)
    if ridge is not None:
        return _ridge(cls, *ridge, coordinates)
    return cls._node(h, coordinates)


def _independent_factors(h: sp.Mul, symbols: set[sp.Symbol]) -> list[sp.Expr] | None:
    """The factors of a product grouped so that no two groups share a token; None for one group."""
    groups: list[tuple[set[sp.Symbol], list[sp.Expr]]] = []
    for factor in h.args:
        read, members = factor.free_symbols & symbols, [factor]
        apart = []
        for group in groups:
            if group[0] & read or (not group[0] and not read):
                read, members = read | group[0], group[1] + members
            else:
                apart.append(group)
        groups = [*apart, (read, members)]
    return [sp.Mul(*members) for _, members in groups] if len(groups) > 1 else None


def _moment(k: int, mean: sp.Expr, weight: int) -> sp.Expr:
    """E[(Z + t)^k He_a(Z)] = k!/(k-a)! E (Z + t)^(k-a)."""
    n = k - weight
    if n < 0:
        return sp.Integer(0)
    moments = (math.comb(n, 2 * j) * math.prod(range(1, 2 * j, 2)) * mean ** (n - 2 * j) for j in range(n // 2 + 1))
    return math.perm(k, weight) * sp.Add(*moments)


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


# --- enclosures ---------------------------------------------------------------------------------------------------


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
    balls = {dummy: acb(_enclose_constant(node, precision)) for node, dummy in nodes.items()}
    with working_precision(precision + _GUARD_BITS):
        return evaluate(expression.xreplace(nodes), balls).real


_COARSEST_PRECISION = 30
"""Two-token integrals are computed at least this well, so that one ball serves most questions."""


def _enclose_constant(node: GaussianExpectation, bits: int, below: int = 0) -> arb:
    """The node to within about 2^-bits, where its integrand is about 2^-below at most; the finest ball is kept."""
    if len(node.tokens) > 1:
        bits = max(bits, _COARSEST_PRECISION)
    finest = _finest_balls(node)
    if bits not in finest and (better := [b for b in finest if b > bits]):
        return finest[min(better)]
    if bits not in finest:
        finest[bits] = _enclose_afresh(node, bits, below)
    return finest[bits]


@lru_cache(maxsize=1024)
def _finest_balls(node: GaussianExpectation) -> dict[int, arb]:
    """The balls computed so far, by bits."""
    return {}


def _enclose_afresh(node: GaussianExpectation, bits: int, below: int) -> arb:
    with working_precision(bits - below + 2 * _GUARD_BITS):
        means = [evaluate(mean, {}).real for _, mean, _ in node.coordinates]
        return _enclose_node(node, means, {}, bits)


def _enclose_node(
    node: GaussianExpectation, means: Sequence[arb], values: Mapping[sp.Symbol, acb], precision: int
) -> arb:
    tokens = node.tokens
    if len(tokens) > 2:
        raise NoClosedForm(
            f"{node} couples {len(tokens)} tokens: enclosures reach two, `spectral` gives a numerical value"
        )
    tolerance = arb(2) ** -precision
    weights = {s: w for s, _, w in node.coordinates}
    radius, outside = truncation(node.integrand, weights, dict(zip(tokens, means, strict=True)), tolerance / 2, values)
    shift = {s: sp.Dummy(real=True) for s in tokens}
    densities = tuple(_weighted_density(weights[s]) for s in tokens)
    fixed = [*map(acb, means), *values.values()]
    axes = [
        intervals(breaks(node.integrand, s, mean, values), fmpq(-radius), fmpq(radius))
        for s, mean in zip(tokens, means, strict=True)
    ]
    total = arb(0, outside)
    share = tolerance / math.prod(map(len, axes))
    for region in itertools.product(*axes):
        thin = any(side.thin for side in region)
        sides = {s: (side, mean) for s, side, mean in zip(tokens, region, means, strict=True)}
        h = node.integrand if thin else branch(node.integrand, sides, values)
        shifted = h.xreplace({s: s + shift[s] for s in tokens})
        program = compile_ball(shifted, (*tokens, *shift.values(), *values))

        def core(z: Sequence[acb], analytic: bool, program: BallFunction = program) -> acb:
            return program((*z, *fixed), analytic)

        integrand = Integrand(core, densities)
        if thin:
            part = integrand([acb(arb(s.low).union(arb(s.high))) for s in region], False)
            part *= math.prod((arb(s.high - s.low) for s in region), start=arb(1))
        elif len(region) == 1:
            part = integrate_interval(integrand, region[0].low, region[0].high, share)
        else:
            first, second = region
            part = integrate_rectangle(integrand, ((first.low, first.high), (second.low, second.high)), share)
        total += part.real
    if not total.is_finite():
        raise DomainError(f"{node} has no finite enclosure: {node.integrand} is unbounded inside the box")
    return total


def _weighted_density(degree: int) -> Callable[[acb], acb]:
    """He_degree(Z) times the normal density, as an entire ball function."""
    z = token(1)
    program = compile_ball(He(degree, z) * sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi), (z,))
    return lambda ball: program((ball,), True)


def _bits_below_one(node: GaussianExpectation) -> int:
    """About -log2 of the largest value of a one-token integrand, in a box wide enough to hold its peak."""
    ((symbol, mean, weight),) = node.coordinates
    bits = 64
    with working_precision(64):
        center = evaluate(mean, {}).real
        program = compile_ball(node.integrand.xreplace({symbol: symbol + mean}), (symbol,))
        density = _weighted_density(weight)
        while bits < _SMALLEST_EXPONENT:
            radius, _ = truncation(node.integrand, {symbol: weight}, {symbol: center}, arb(2) ** -bits)
            pieces = (acb((2 * arb(k) + 1) / 8 + arb(0, 0.125)) for k in range(-4 * radius, 4 * radius))
            values = [program((piece,), False) * density(piece) for piece in pieces]
            if not all(value.is_finite() for value in values):
                return 0
            largest = max((arb(value.abs_upper()).upper() for value in values), key=lambda v: v.mid())
            if largest > arb(2) ** -(bits // 2):
                return max(0, -int(float(largest.log() / arb(2).log())))
            bits *= 2
    return bits


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
