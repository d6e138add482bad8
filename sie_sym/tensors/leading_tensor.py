r"""The Hermite tensor C_k of a transform by its structure: rank-one parts that are never written out, or entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import TruncationError
from sie_sym.hermite import Tensor
from sie_sym.integrals.enclosure import decide_sign, decide_zero
from sie_sym.linear_forms import Direction, dot
from sie_sym.tensors.certified_value import CertifiedValue, largest
from sie_sym.tensors.odeco import is_odeco
from sie_sym.tensors.operator_norm import directed_norm, operator_norm
from sie_sym.transforms.composite_transform import SumTransform
from sie_sym.transforms.transform import RidgeTransform, Transform


@dataclass(frozen=True)
class LeadingTensor:
    """C_k as a sum of orthogonal parts: rank-one parts c a^{(x) k}, which are never written out, and entries.

    The directions of `ridges` are orthogonal to one another and have no token in common with `entries`.
    """

    order: int
    ridges: tuple[tuple[sp.Expr, Direction], ...]
    entries: Tensor

    @classmethod
    def of(cls, transform: Transform, k: int) -> LeadingTensor:
        """The order-k tensor of a transform.

        Raises `TruncationError` if it is neither short nor a sum of functions of orthogonal linear forms.
        """
        parts = [part for part in _parts(transform) if part.vanishes(k) is not True]
        ridges = [part for part in parts if isinstance(part, RidgeTransform)]
        if len(ridges) == len(parts) and k > 1 and _orthogonal([ridge.direction for ridge in ridges]):
            return cls(k, tuple((ridge.series(k)[k], ridge.direction) for ridge in ridges), {})
        if len(parts) == 1:
            return cls(k, (), parts[0].derivatives(k))
        return cls(k, (), SumTransform(tuple(parts)).derivatives(k))

    def operator_norm(self) -> CertifiedValue:
        """||C_k||_op, by structure or from the entries."""
        norms = [CertifiedValue.exact(sp.Abs(c) * length, "rank one") for c, length in self._lengths()]
        return largest(norms) if norms else operator_norm(self.entries)

    def directed_norm(self, sign: int) -> CertifiedValue:
        """max(0, max_{|v| = 1} sign <C_k, v^{(x) k}>)."""
        if not self.ridges:
            return directed_norm(self.entries, sign)
        zero = CertifiedValue.exact(sp.Integer(0), "no direction of that sign")
        norms = [
            CertifiedValue.exact(sp.Abs(c) * length, "rank one")
            for c, length in self._lengths()
            if self.order % 2 == 1 or decide_sign(c) == sign
        ]
        return largest([zero, *norms])

    def _lengths(self) -> dict[tuple[sp.Expr, sp.Expr], None]:
        """(c, |a|^k) of the rank-one parts, each value once."""
        half = sp.Rational(self.order, 2)
        return dict.fromkeys((c, dot(a, a) ** half) for c, a in self.ridges)

    def is_odeco(self) -> bool | None:
        """Whether C_k is orthogonally decomposable; None if it is undecided or too long to test."""
        if self.ridges:
            return True
        try:
            return is_odeco(self.entries)
        except TruncationError:
            return None


def _parts(transform: Transform) -> Iterator[Transform]:
    if isinstance(transform, SumTransform):
        for part in transform.parts:
            yield from _parts(part)
    else:
        yield transform


def _orthogonal(directions: list[Direction]) -> bool:
    """Whether some directions are mutually orthogonal."""
    readers: dict[int, list[int]] = {}
    for number, direction in enumerate(directions):
        for other in {n for l, _ in direction for n in readers.get(l, ())}:
            if decide_zero(dot(direction, directions[other])) is not True:
                return False
        for l, _ in direction:
            readers.setdefault(l, []).append(number)
    return True


__all__ = ["LeadingTensor"]
