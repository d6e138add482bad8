r"""Our side of a claim: its quantity in exact form, from the closed forms of the toolkit.

Derivatives at initialization come from the Hermite coefficients alone (theory section 4),

    d_m^j d_e^alpha R(0) = [j = 0] C_alpha(|phi|^2) - 2 sum_{|b| = j} j!/b! <C_b(g), C_{alpha + b}(phi)>,

which needs no loss in closed form, and for softmax integrals is far cheaper than differentiating one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from sie_sym.audits.claims import GAINS, Claim
from sie_sym.audits.conventions import Conventions, Shape
from sie_sym.errors import FormulaError, NoClosedForm, SieSymError
from sie_sym.gain import gain
from sie_sym.gradient_noise import gradient_noise
from sie_sym.hermite import MultiIndex, factorial, multi_indices, multiply, sparse
from sie_sym.model import Model, tied_network
from sie_sym.population_loss import DEFAULT_ORDER, PopulationLoss, population_loss
from sie_sym.target import Target
from sie_sym.transforms.transform import Transform
from sie_sym.untied import NetworkLoss
from sie_sym.weierstrass import weierstrass_transform

DIRECTIONS_BUDGET = 400
"""Up to this many products of token directions a derivative in the positional overlaps is summed from coefficients."""

RATE = sp.Symbol("gamma", real=True)
NOISE = sp.Symbol("V", real=True)
LENGTH = sp.Symbol("L", real=True)


@dataclass(frozen=True)
class Quantity:
    """Our value, with a proved bound on its error (0 if exact), and how the claimed formula falls into orders."""

    value: sp.Expr
    shape: Shape
    bound: sp.Expr | None = sp.Integer(0)
    """None: the value is cut and its error is not bounded."""


class Subject:
    """A target with a model (tied to one w), with an untied network's loss, or alone."""

    def __init__(self, target: Target, model: Model | NetworkLoss | None, order: int = DEFAULT_ORDER) -> None:
        self.target, self.order = target, order
        self.network = model if isinstance(model, NetworkLoss) else None
        self.model = tied_network(target.tokens, model.activation) if isinstance(model, NetworkLoss) else model
        if self.network is not None and self.network.target != target:
            raise FormulaError("the network's loss belongs to another target: build it from the target of the claim")

    # ---- names ------------------------------------------------------------------------------------

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """The overlaps."""
        if self.network is not None:
            return self.network.statistics
        return self.model.statistics if self.model is not None else ()

    @cached_property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters of target and model."""
        found = {*self.target.parameters, *(self.model.parameters if self.model is not None else ())}
        return tuple(sorted(found, key=str))

    def require_model(self, quantity: str) -> Model:
        """The model.  Raises `FormulaError` without one."""
        if self.model is None:
            raise FormulaError(f"a claim about {quantity} needs a model: give --model")
        return self.model

    def numbers(self, claim: Claim) -> tuple[int, ...]:
        """The overlaps that a claim's indices name, by position."""
        names = [str(s) for s in self.statistics]
        for name in claim.indices:
            if name not in names:
                hint = "; --encoding gives positional ones" if name.startswith("eps") and len(names) == 1 else ""
                raise FormulaError(f"{claim.shown}: {name} is no overlap here, they are {', '.join(names)}{hint}")
        return tuple(names.index(name) for name in claim.indices)

    def claimed(self, claim: Claim, conventions: Conventions) -> sp.Expr:
        """The right-hand side: L is the number of tokens, R and R_m the loss and its derivatives, V the noise.

        Raises `FormulaError` for a name that means nothing here.
        """
        known = {*self.parameters, *self.statistics}
        formula, values = claim.formula, {}
        for symbol in sorted(formula.free_symbols - known, key=str):
            values[symbol] = self._meaning(symbol, claim, conventions.loss_factor)
        return formula.xreplace(values)

    def _meaning(self, symbol: sp.Symbol, claim: Claim, factor: sp.Expr) -> sp.Expr:
        dynamical = claim.quantity in ("drift", "V")
        if symbol == LENGTH:
            return sp.Integer(self.target.tokens)
        if symbol == RATE and dynamical:
            return symbol
        if symbol == NOISE and claim.quantity == "drift":
            return factor**2 * self.noise.value
        slopes = {f"R_{s}": s for s in self.statistics}
        if symbol.name == "R" and self.statistics:
            return factor * self.loss.value
        if symbol.name in slopes:
            return factor * sp.diff(self.loss.value, slopes[symbol.name])
        allowed = [str(s) for s in (*self.statistics, *self.parameters, LENGTH)]
        raise FormulaError(f"the claim reads {symbol}, which is not defined: its names are {', '.join(allowed)}")

    # ---- values -----------------------------------------------------------------------------------

    @cached_property
    def _loss(self) -> PopulationLoss | NetworkLoss:
        if self.network is not None:
            return self.network
        return population_loss(self.target, self.require_model("the loss"), self.order)

    @cached_property
    def loss(self) -> Quantity:
        """R in the overlaps."""
        statistics = self.statistics if self.network is not None else self.statistics[:1]
        return Quantity(self._loss.expression, Shape(self.target.tokens, statistics=statistics), self._loss.bound)

    @cached_property
    def noise(self) -> Quantity:
        """V in the overlaps."""
        shape = Shape(self.target.tokens, statistics=self.loss.shape.statistics)
        if self.network is not None:
            exact = self.network.order is None
            return Quantity(self.network.noise(self.order), shape, sp.Integer(0) if exact else None)
        loss = self._loss
        assert isinstance(loss, PopulationLoss)
        found = gradient_noise(loss, self.order)
        return Quantity(found.expression, shape, found.bound)

    def _cut(self) -> sp.Expr | None:
        """The error of what is derived from the loss."""
        return sp.Integer(0) if self._loss.order is None else None

    def derivative(self, numbers: Sequence[int]) -> Quantity:
        """A derivative of R as a function of the overlaps."""
        value = sp.diff(self.loss.value, *(self.statistics[i] for i in numbers))
        shape = replace(self.loss.shape, raised=self._semantic(numbers))
        return Quantity(value, shape, self._cut())

    def _semantic(self, numbers: Sequence[int]) -> int:
        return len(numbers) if self.network is not None else sum(i == 0 for i in numbers)

    def derivative_at_zero(self, numbers: Sequence[int]) -> Quantity:
        """A derivative of R at initialization."""
        shape = Shape(self.target.tokens, power=self._semantic(numbers) or len(numbers))
        if self.network is not None:
            if self.network.order is not None and len(numbers) > self.network.order:
                raise SieSymError(f"the loss is known to order {self.network.order}: pass a larger order")
            value = sp.diff(self.loss.value, *(self.statistics[i] for i in numbers))
            return Quantity(sp.expand(value.subs(dict.fromkeys(self.statistics, 0))), shape)
        return Quantity(self._from_coefficients(numbers), shape)

    def _from_coefficients(self, numbers: Sequence[int]) -> sp.Expr:
        model = self.require_model("the loss")
        if len(model.components) != len(self.target.components) or model.tokens != self.target.tokens:
            population_loss(self.target, model)  # says what does not fit
        j = sum(i == 0 for i in numbers)
        columns = [i - 1 for i in numbers if i]
        support = [[l for l in range(model.tokens) if model.encoding[l, c] != 0] for c in columns]
        if math.prod(map(len, support)) > DIRECTIONS_BUDGET:
            value = sp.diff(self.loss.value, *(self.statistics[i] for i in numbers))
            return sp.expand(value.subs(dict.fromkeys(self.statistics, 0)))
        weights: dict[MultiIndex, sp.Expr] = {}
        for tokens in itertools.product(*support):
            alpha: MultiIndex = ()
            weight = sp.Integer(1)
            for l, column in zip(tokens, columns, strict=True):
                alpha, weight = multiply(alpha, ((l + 1, 1),)), weight * model.encoding[l, column]
            weights[alpha] = weights.get(alpha, sp.Integer(0)) + weight
        return sp.expand(sp.Add(*(weight * self._token_derivative(j, alpha) for alpha, weight in weights.items())))

    @cached_property
    def _transforms(self) -> tuple[tuple[Transform, Transform], ...]:
        model = self.require_model("the loss")
        pairs = zip(self.target.components, model.components, strict=True)
        return tuple((weierstrass_transform(g), weierstrass_transform(phi)) for g, phi in pairs)

    @cached_property
    def _square(self) -> Transform:
        components = self.require_model("the loss").components
        return weierstrass_transform(sp.Add(*(sp.expand(phi**2) for phi in components)))

    def _token_derivative(self, j: int, alpha: MultiIndex) -> sp.Expr:
        terms = []
        for g, phi in self._transforms:
            for beta in multi_indices(g.tokens, j):
                c = g.coefficient(beta)
                if c != 0:
                    count = sp.Rational(math.factorial(j), factorial(beta))
                    terms.append(count * c * phi.coefficient(multiply(alpha, beta)))
        return (self._square.coefficient(alpha) if j == 0 else sp.Integer(0)) - 2 * sp.Add(*terms)

    @property
    def is_cut(self) -> bool:
        """Whether R is an infinite sum in m, cut."""
        return self._loss.order is not None

    def drift_of_any_loss(self, claim: Claim) -> sp.Expr | None:
        """The drift of Assumption 2 in R_m, R_eps and V as they stand, where a claim is written in them."""
        s = self.statistics
        slopes = [sp.Symbol(f"R_{x}", real=True) for x in s]
        if claim.quantity != "drift" or self.network is not None or not claim.formula.free_symbols & set(slopes):
            return None
        (number,) = self.numbers(claim)
        rate = RATE if RATE in claim.formula.free_symbols else sp.Integer(0)
        pull = sp.Add(*(x * slope for x, slope in zip(s, slopes, strict=True)))
        return -slopes[number] + s[number] * pull - rate * NOISE * s[number] / 2

    def drift(self, number: int, rate: sp.Expr, loss_factor: sp.Expr) -> Quantity:
        """One component of -(Gamma - s s^T) grad R - (gamma/2) V s, with R and sqrt(V) multiplied by `loss_factor`."""
        noise = loss_factor**2 * self.noise.value if rate != 0 else sp.Integer(0)
        one = Shape(self.target.tokens)
        if self.network is not None:
            scaled = replace(self.network, expression=loss_factor * self.network.expression)
            s = self.statistics[number]
            shape = replace(one, statistics=self.statistics, raised=1, envelope=1 - s**2)
            return Quantity(scaled.drift(rate, noise)[number], shape, self._cut())
        loss, s = self.loss.value, self.statistics
        slopes = [loss_factor * sp.diff(loss, x) for x in s]
        pull = sp.Add(*(x * slope for x, slope in zip(s, slopes, strict=True)))
        shape = replace(one, statistics=s[:1], raised=1, envelope=1 - s[0] ** 2) if len(s) == 1 else one
        return Quantity(-slopes[number] + s[number] * pull - rate * noise * s[number] / 2, shape, self._cut())

    def multi_index(self, claim: Claim) -> MultiIndex:
        """alpha of C[alpha]."""
        degrees = [int(entry) for entry in claim.indices]
        if len(degrees) != self.target.tokens:
            raise FormulaError(
                f"{claim.shown} has {len(degrees)} degrees but the target has {self.target.tokens} tokens: "
                "give one a token"
            )
        return sparse(degrees)

    def places(self) -> list[tuple[int, ...]]:
        """The outputs of the target, counted from 1: (i,) of a vector, (i, j) of a matrix, () of a number."""
        return list(itertools.product(*(range(1, n + 1) for n in self.target.shape)))

    def output(self, claim: Claim) -> sp.Expr:
        """The output of the target that a claim about C is about."""
        places = self.places()
        if claim.output not in places:
            example = ",".join("1" * len(self.target.shape))
            remedy = f"write C[..;{example}] or a list on the right" if example else "leave out what follows the ;"
            raise FormulaError(
                f"{claim.shown}: the target has {len(places)} outputs of shape {self.target.shape}: {remedy}"
            )
        return self.target.components[places.index(claim.output)]

    def coefficient(self, claim: Claim, conventions: Conventions) -> Quantity:
        """C_alpha(g)."""
        alpha = self.multi_index(claim)
        value = weierstrass_transform(self.output(claim)).coefficient(alpha)
        shape = Shape(self.target.tokens, power=sum(n for _, n in alpha), alpha=alpha)
        return Quantity(sp.expand(conventions.of_coefficient(alpha) * value), shape)

    def gain(self, name: str) -> Quantity:
        """A number of the comparison of tied and untied networks."""
        activation = self.model.activation if self.model is not None else None
        if activation is None:
            raise FormulaError(f"a claim about {name} needs an activation: give --model tied --activation sigma")
        found = getattr(gain(self.target, activation), GAINS[name])
        value = found if isinstance(found, sp.Expr) else getattr(found, "value", None)
        if value is None:
            raise NoClosedForm(f"{name} is not known exactly here: sie-sym gain gives an interval")
        return Quantity(value, Shape(self.target.tokens, power=1))

    def quantity(self, claim: Claim, conventions: Conventions) -> Quantity:
        """What the claim is about, in the claim's conventions."""
        if claim.quantity == "C":
            return self.coefficient(claim, conventions)
        if claim.quantity in GAINS:
            return self.gain(claim.quantity)
        self.require_model(claim.quantity)
        numbers, factor = self.numbers(claim), conventions.loss_factor
        if claim.quantity == "drift":
            found = self.drift(numbers[0], RATE if RATE in claim.formula.free_symbols else sp.Integer(0), factor)
        else:
            found = {
                "loss": lambda: self.loss,
                "dR": lambda: self.derivative(numbers),
                "G": lambda: self.derivative_at_zero(numbers),
                "H": lambda: self.derivative_at_zero(numbers),
                "V": lambda: self.noise,
            }[claim.quantity]()
            scale = factor**2 if claim.quantity == "V" else factor
            bound = None if found.bound is None else scale * found.bound
            found = replace(found, value=scale * found.value if scale != 1 else found.value, bound=bound)
        if claim.at is None:
            return found
        if len(claim.at) != len(self.statistics):
            raise FormulaError(f"{claim.shown} is given {len(claim.at)} numbers for {len(self.statistics)} overlaps")
        point = dict(zip(self.statistics, claim.at, strict=True))
        if not self.inside(point):
            raise FormulaError(f"{claim.shown} is outside the domain: overlaps have m^2 + |eps|^2 <= 1")
        shape = Shape(self.target.tokens, power=0)
        return Quantity(found.value.subs(point), shape, None if found.bound is None else found.bound.subs(point))

    def inside(self, point: dict[sp.Symbol, sp.Expr]) -> bool:
        """Whether a point lies in the domain: the unit ball, or a cube for one overlap a token."""
        squares = [point[s] ** 2 for s in self.statistics]
        return all((x > 1) is not sp.true for x in squares) and (
            self.network is not None or (sp.Add(*squares) > 1) is not sp.true
        )


__all__ = ["Quantity", "Subject"]
