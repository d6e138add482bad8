r"""Smoothed functions without an elementary form: `smoothed.Smoothed` over `GaussianExpectation` nodes.

(G_v h)(t) = E h(t + sqrt(v) Z) and C_alpha(h) = E[h(Z) He_alpha(Z)] stay integrals that print, differentiate and
enclose; what is exact after all (zeros by symmetry, the logistic identities) the nodes find themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.errors import DomainError
from sie_sym.functions import sigmoid, token
from sie_sym.gaussian import GaussianExpectation
from sie_sym.integrals.balls import working_precision
from sie_sym.integrals.growth import require_integrable
from sie_sym.integrals.symmetry import parity


@dataclass(frozen=True)
class Integral:
    """G_v h for h outside the closed class; h is written in the tokens z1..zN, which stand for its N variables."""

    integrand: sp.Expr
    size: int
    variance: sp.Expr
    shift: tuple[sp.Expr, ...]
    conditions: tuple[sp.Expr, ...] = ()
    is_constant = False

    @classmethod
    def of(
        cls,
        expression: sp.Expr,
        variables: Sequence[sp.Symbol],
        variance: sp.Expr = sp.Integer(1),
        shift: Sequence[sp.Expr] = (),
    ) -> Integral:
        """The smoothed function of some variables.

        `shift` says that the expression is h(x + e): e is then kept as a mean, outside the integrand, where it can
        be differentiated.  Raises `DomainError` when E |h| is not proved finite.
        """
        means = tuple(shift) or (sp.Integer(0),) * len(variables)
        back = {x: token(l) - e for l, (x, e) in enumerate(zip(variables, means, strict=True), start=1)}
        result = cls(expression.subs(back, simultaneous=True), len(variables), variance, means)
        result._require_integrable(result.integrand)
        return result

    @property
    def _scale(self) -> sp.Expr:
        return sp.sqrt(self.variance)

    @cached_property
    def _standard(self) -> sp.Expr:
        """h(sqrt(v) z)."""
        return self.integrand.xreplace({token(l): self._scale * token(l) for l in range(1, self.size + 1)})

    def _require_integrable(self, h: sp.Expr) -> None:
        with working_precision(64):
            require_integrable(h.xreplace({token(l): self._scale * token(l) for l in range(1, self.size + 1)}))

    @cached_property
    def square_integrable(self) -> bool:
        """Whether E h^2 < infinity is proved from the growth of h."""
        try:
            self._require_integrable(self.integrand**2)
        except DomainError:
            return False
        return True

    @cached_property
    def parity_degrees(self) -> tuple[int | None, int | None]:
        """The degrees of the even and of the odd part of h, None for a part that is no polynomial (-1 if zero)."""
        if any(self.shift):
            return None, None
        centred = self.integrand.replace(sigmoid, lambda x: sp.Rational(1, 2) + sp.tanh(x / 2) / 2)
        constant, rest = centred.as_independent(*(token(l) for l in range(1, self.size + 1)), as_Add=True)
        side = parity(rest)
        if side == 1:
            return None, -1
        if side == -1:
            return (-1 if constant == 0 else 0), None
        return None, None

    def expression(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """E h(t + e + sqrt(v) Z), a node in t."""
        return self._node(at, {})

    def _node(self, at: Sequence[sp.Expr], weights: Mapping[int, int]) -> sp.Expr:
        means = {token(l): (t + e) / self._scale for l, (t, e) in enumerate(zip(at, self.shift, strict=True), start=1)}
        return GaussianExpectation(self._standard, means, weights)

    def coefficient(self, powers: Mapping[int, int]) -> sp.Expr:
        """d^alpha (G_v h)(0), alpha by position 1..N: exact where the node's rules say so."""
        k = sum(powers.values())
        degree = self.parity_degrees[k % 2]
        if degree is not None and degree < k:
            return sp.Integer(0)
        origin = [sp.Integer(0)] * self.size
        return self._node(origin, {l: n for l, n in powers.items() if n}) / self._scale**k

    def derivatives(self, order: int) -> list[sp.Expr]:
        """d^k/dt^k (G_v h)(0), k = 0..order, for one variable."""
        return [self.coefficient({1: k}) for k in range(order + 1)]

    def function(self, at: Sequence[sp.Expr]) -> sp.Expr:
        """The function itself, h(x + e), at x = `at`."""
        moved = {token(l): x + e for l, (x, e) in enumerate(zip(at, self.shift, strict=True), start=1)}
        return self.integrand.subs(moved, simultaneous=True)

    def second_moment(self) -> sp.Expr:
        """E h^2 under N(e, v I)."""
        square = Integral(sp.expand(self.integrand**2, deep=False), self.size, self.variance, self.shift)
        return square.expression([sp.Integer(0)] * self.size)
