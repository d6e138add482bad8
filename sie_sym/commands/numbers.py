"""The numbers behind a question: the loss as functions of (m, eps), its value at a point, its landscape.

A closed form is evaluated as it stands.  Where the loss keeps Gaussian integrals, those over one token are enclosed
at once; over two, enclosures take seconds and decide signs, while values come from a table; over more there are only
tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sie_sym.commands.options import Question

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.gradient_noise import GradientNoise
    from sie_sym.landscape import Landscape
    from sie_sym.losses.numerical_loss import NumericalLoss
    from sie_sym.numeric import LossFunction
    from sie_sym.numerical_landscape import NumericalLandscape
    from sie_sym.numerical_noise import NumericalNoise

MOST_TABULATED = 5
"""Losses that keep integrals have their numbers from tables up to this many tokens."""


@dataclass(frozen=True)
class NumericalQuestion(Question):
    """A target and a model whose loss is asked for in numbers."""

    @cached_property
    def coupled(self) -> int:
        """The most tokens that an integral without closed form couples in the target or in the model, 0 without any."""
        from sie_sym.gaussian import GaussianExpectation
        from sie_sym.weierstrass import weierstrass_transform

        components = (*self.target.components, *self.model.components)
        transforms = [weierstrass_transform(component) for component in components]
        open_ones = (transform.expression() for transform in transforms if not transform.is_closed)
        nodes = (node for expression in open_ones for node in expression.atoms(GaussianExpectation))
        return max((len(node.tokens) for node in nodes), default=0)

    @cached_property
    def degree(self) -> int | None:
        """The degree of a polynomial target."""
        from sie_sym.expansion import HermiteExpansion

        return HermiteExpansion.of(self.target.components, self.target.tokens).degree

    @cached_property
    def table(self) -> NumericalLoss:
        """The loss as a table over (m, eps), of g and phi on grids or, with many tokens, at random points."""
        from sie_sym.losses.numerical_loss import tabulated_loss

        self.require_numbers()
        return tabulated_loss(self.target, self.model)

    @cached_property
    def numbers(self) -> LossFunction:
        """The loss as float64 functions: its closed form, a table where it keeps integrals, else their digits."""
        from sie_sym.gaussian import GaussianExpectation
        from sie_sym.numeric import NumericLoss, numeric_loss
        from sie_sym.quadratures.measure import measure

        self.require_numbers()
        if self.coupled > 1 or (self.coupled and self.target.tokens <= MOST_TABULATED):
            return self.table
        nodes = self.loss.expression.atoms(GaussianExpectation)
        if not nodes:
            return numeric_loss(self.loss)
        if self.target.tokens <= MOST_TABULATED or any(node.free_symbols for node in nodes):
            return self.table
        import sympy as sp

        digits = {node: sp.Float(measure(node).value, 17) for node in nodes}
        return NumericLoss(self.loss.expression.xreplace(digits), self.loss.statistics)

    def value(self, at: Mapping[sp.Symbol, sp.Expr]) -> tuple[float, float, bool]:
        """R at a point, a bound or an estimate of its error, and whether it is a proved bound."""
        from sie_sym.gaussian import GaussianExpectation
        from sie_sym.losses.sampled_loss import sampled_loss

        self.require_numbers()
        tabulated = self.coupled > 2 or (self.coupled == 2 and self.target.tokens <= MOST_TABULATED)
        if not tabulated:
            nodes = self.loss.expression.atoms(GaussianExpectation)
            tabulated = any(len(node.tokens) > 1 for node in nodes) and self.target.tokens <= MOST_TABULATED
        if self.coupled > 2 and self.target.tokens > MOST_TABULATED and self.degree is None:
            return *sampled_loss(self.target, self.model, at), False
        if not tabulated:
            return *self.loss.value(at), True
        # Enclosures of integrals over two tokens take seconds each; over more there are none.
        where = [float(value) for value in at.values()]
        return float(self.table.value(*where)), float(self.table.error(*where)), False

    @cached_property
    def noise(self) -> GradientNoise | NumericalNoise:
        """V(m, eps) of a finite learning rate: its closed form, a table where it has none."""
        from sie_sym.numerical_noise import noise_function, tabulated_noise

        # with integrals over several tokens the closed form of the loss takes long and would not be used
        return tabulated_noise(self.target, self.model) if self.coupled > 1 else noise_function(self.loss)

    @cached_property
    def gamma_max(self) -> float | None:
        """The largest useful rate by linear stability; None where the start is not left at order 2."""
        from sie_sym.errors import SieSymError
        from sie_sym.gradient_noise import GradientNoise, stability_rate
        from sie_sym.integrals.enclosure import enclose
        from sie_sym.landscape import landscape
        from sie_sym.numerical_landscape import numerical_landscape
        from sie_sym.numerical_noise import numerical_stability_rate

        try:
            if isinstance(self.noise, GradientNoise):
                found = float(enclose(stability_rate(landscape(self.loss), self.noise)).mid())
            else:
                found = numerical_stability_rate(numerical_landscape(self.table), self.noise)[0]
        except SieSymError:
            return None
        return found if math.isfinite(found) else None

    def landscape(self) -> Landscape | NumericalLandscape:
        """The landscape at initialization, proved where its integrals couple at most two tokens."""
        from sie_sym.gaussian import ENCLOSED_TOKENS, GaussianExpectation
        from sie_sym.landscape import landscape
        from sie_sym.losses.numerical_loss import tabulated_loss
        from sie_sym.numerical_landscape import numerical_landscape
        from sie_sym.population_loss import population_loss

        if self.coupled > ENCLOSED_TOKENS:
            self.require_numbers()
            if self.degree is None and self.target.tokens > MOST_TABULATED:
                # Low powers of m need few coefficients, which more points can then serve.
                low = numerical_landscape(tabulated_loss(self.target, self.model, 2))
                if low.escape.proved:
                    return low
            return numerical_landscape(self.table)
        if self.coupled > 1 and self.order is None:
            # A few powers of m decide most escapes, and each more is a table of integrals.
            found = landscape(population_loss(self.target, self.model, 2))
            if found.escape.proved:
                return found
        nodes = self.loss.expression.atoms(GaussianExpectation)
        if any(len(node.tokens) > ENCLOSED_TOKENS for node in nodes) and self.target.tokens <= MOST_TABULATED:
            return numerical_landscape(self.table)
        return landscape(self.loss)


__all__ = ["NumericalQuestion"]
