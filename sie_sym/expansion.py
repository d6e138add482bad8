r"""The Hermite expansion of a vector-valued function of the tokens: coefficients on demand, with their evidence.

h = sum_alpha C_alpha / alpha! He_alpha, C_alpha(h) = E[h(Z) He_alpha(Z)] (arXiv:2506.02651, Thm 3; the paper's
normalised He / sqrt(k!) coefficients are C_alpha / sqrt(alpha!)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.gaussian import evidence_of
from sie_sym.hermite import MultiIndex, Tensor, dense
from sie_sym.integrals.symmetry import Symmetries
from sie_sym.transforms.transform import Transform, largest_degree, require_square_integrable
from sie_sym.weierstrass import weierstrass_transform


@dataclass(frozen=True)
class Coefficient:
    """One C_alpha(h) = E h(Z) He_alpha(Z): its value, what it is worth, and why (arXiv:2506.02651, Thm 3)."""

    value: sp.Expr
    evidence: Evidence
    reason: str


@dataclass(frozen=True)
class HermiteExpansion:
    """h = sum_alpha C_alpha/alpha! He_alpha for each component of a function R^L -> R^k (arXiv:2506.02651, Thm 3).

    >>> from sie_sym.functions import He, token
    >>> HermiteExpansion.of((He(2, token(1)) * token(2),), 2).coefficient(((1, 2), (2, 1)))[0].value
    2
    """

    functions: tuple[sp.Expr, ...]
    tokens: int
    transforms: tuple[Transform, ...]

    @classmethod
    def of(
        cls, functions: tuple[sp.Expr, ...], tokens: int, shift: Mapping[int, sp.Expr] | None = None
    ) -> HermiteExpansion:
        """Transform every component, after moving it to h(z + e) for a `shift` e given by token.

        Raises `DomainError` for functions that are not square-integrable and `NoClosedForm` where that is not seen.
        """
        if shift:
            moved = {token(l): token(l) + e for l, e in shift.items()}
            functions = tuple(function.subs(moved, simultaneous=True) for function in functions)
        transforms = tuple(weierstrass_transform(function, shift) for function in functions)
        for function, transform in zip(functions, transforms, strict=True):
            require_square_integrable(function, transform)
        return cls(functions, tokens, transforms)

    @cached_property
    def symmetries(self) -> tuple[Symmetries, ...]:
        """The sign symmetries of each component."""
        return tuple(Symmetries.of(function) for function in self.functions)

    @property
    def degree(self) -> int | None:
        """The largest degree of a polynomial function, None if some component is not a polynomial."""
        return largest_degree(self.transforms)

    @property
    def conditions(self) -> tuple[sp.Expr, ...]:
        """What must be positive for the expansion to exist, when parameters decide it."""
        return tuple(dict.fromkeys(c for transform in self.transforms for c in transform.conditions))

    def coefficient(self, alpha: MultiIndex) -> tuple[Coefficient, ...]:
        """C_alpha of every component."""
        return tuple(self._coefficient(number, alpha) for number in range(len(self.functions)))

    def _coefficient(self, number: int, alpha: MultiIndex) -> Coefficient:
        reason = self.symmetries[number].forbids(alpha)
        if reason is not None:
            return Coefficient(sp.Integer(0), Evidence.EXACT, reason)
        value = self.transforms[number].coefficient(alpha)
        evidence = evidence_of([value])
        reason = "closed form" if evidence is Evidence.EXACT else "a Gaussian integral"
        return Coefficient(value, evidence, reason)

    def tensors(self, k: int) -> tuple[Tensor, ...]:
        """The order-k Hermite tensor of every component."""
        return tuple(transform.derivatives(k) for transform in self.transforms)

    def vanishes(self, k: int) -> tuple[bool | None, str]:
        """Whether all order-k tensors are zero (None: undecided), and why."""
        verdicts: list[tuple[bool | None, str]] = []
        for transform, symmetries in zip(self.transforms, self.symmetries, strict=True):
            reason = symmetries.forbids_order(k)
            if reason is not None:
                verdicts.append((True, reason))
                continue
            verdict = transform.vanishes(k)
            if verdict is False:
                return False, "a coefficient is not zero"
            verdicts.append((verdict, "every coefficient is exactly zero"))
        if any(verdict is None for verdict, _ in verdicts):
            return None, "a coefficient could be proved neither zero nor non-zero"
        return True, "; ".join(dict.fromkeys(reason for _, reason in verdicts))

    def table(self, order: int) -> dict[MultiIndex, tuple[sp.Expr, ...]]:
        """All non-zero C_alpha with |alpha| <= order, by order, one value a component."""
        rows: dict[MultiIndex, tuple[sp.Expr, ...]] = {}
        for k in range(order + 1):
            tensors = self.tensors(k)
            found = set().union(*tensors)
            if not found:
                continue
            present = sorted(found, key=lambda alpha: [-n for n in dense(alpha, self.tokens)])
            for alpha in present:
                rows[alpha] = tuple(tensor.get(alpha, sp.Integer(0)) for tensor in tensors)
        return rows
