r"""App. G.1: exponents read from quadrature with a threshold are not proofs.

Claims (arXiv:2506.02651, Def. 2 and App. G.1): g = |z| - (1/2) sqrt(2/pi) (z^2 - 1) has SIE 4, and
g = 1[z > 1/2] - c_0 - c_1 z has SIE 2.  Refuted: that Gauss-Hermite quadrature, with 17 and with 100 nodes, shows it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.exponents import InformationExponent, information_exponent
from sie_sym.functions import token
from sie_sym.target import Target

PAGE = Page("quadrature_thresholds", "Def. 2, App. G.1", "thresholds on quadrature are not proofs")
EXPECTED = ("proved", "refuted", "proved", "refuted")

Array = NDArray[np.float64]

z = token(1)
THRESHOLD = 1e-3
"""Generous: coefficients above it would be believed."""


def derive() -> list[Claim]:
    """A kink that hides order 4, and a jump that hides order 2."""
    kink = sp.Abs(z) - sp.sqrt(2 / sp.pi) / 2 * (z**2 - 1)
    # c_0 = E 1[Z > 1/2] = (1 - erf(1/(2 sqrt 2)))/2 and c_1 = E Z 1[Z > 1/2] = density(1/2)
    mean = (1 - sp.erf(sp.sqrt(2) / 4)) / 2
    slope = sp.exp(-sp.Rational(1, 8)) / sp.sqrt(2 * sp.pi)
    jump = sp.Heaviside(z - sp.Rational(1, 2)) - mean - slope * z
    found = [information_exponent(Target.of(g)) for g in (kink, jump)]
    # By hand: E |Z| He_2 = sqrt(2/pi), and the subtracted part has C_2 = 2/2 of it; E |Z| He_4 = -sqrt(2/pi).
    fourth = _coefficient(found[0], 4) + sp.sqrt(2 / sp.pi)
    # E 1[Z > 1/2] He_2 = (1/2) density(1/2)
    second = _coefficient(found[1], 2) - slope / 2
    seen = _by_rule(lambda x: np.abs(x) - np.sqrt(2 / np.pi) / 2 * (x * x - 1), 2, 17)
    c0, c1 = float(mean), float(slope)
    seen_jump = _by_rule(lambda x: np.heaviside(x - 0.5, 0.5) - c0 - c1 * x, 1, 100)
    return [
        PAGE.claim(
            "SIE(|z| - (1/2) sqrt(2/pi) (z^2 - 1)) = 4",
            found[0].exponent == 4 and found[0].evidence is Evidence.EXACT and bool(all_zero([fourth])),
            "closed form of the transform of |z|; C_4 = -sqrt(2/pi) by hand. " + "; ".join(found[0].reasons),
        ),
        PAGE.claim(
            "Gauss-Hermite quadrature with 17 nodes sees no He_2 coefficient in it",
            abs(seen) < THRESHOLD,
            f"it sees C_2 = {seen:.3f} at the kink, and would say 2",
            source="App. G.1",
            evidence=Evidence.NUMERICAL,
        ),
        PAGE.claim(
            "SIE(1[z > 1/2] - c_0 - c_1 z) = 2",
            found[1].exponent == 2 and found[1].evidence is Evidence.EXACT and bool(all_zero([second])),
            "C_2 = exp(-1/8)/(2 sqrt(2 pi)) by hand. " + "; ".join(found[1].reasons),
        ),
        PAGE.claim(
            "Gauss-Hermite quadrature with 100 nodes sees no He_1 coefficient in it",
            abs(seen_jump) < THRESHOLD,
            f"it sees C_1 = {seen_jump:.4f} at the jump, and would say 1",
            source="App. G.1",
            evidence=Evidence.NUMERICAL,
        ),
    ]


def _coefficient(found: InformationExponent, k: int) -> sp.Expr:
    return found.expansion.coefficient(((1, k),))[0].value


def _by_rule(function: Callable[[Array], Array], k: int, nodes: int) -> float:
    """E[h He_k] by an n-point Gauss-Hermite rule."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    weight = np.polynomial.hermite_e.hermeval(x, [0] * k + [1])
    return float((w * function(x) * weight).sum() / np.sqrt(2 * np.pi))
