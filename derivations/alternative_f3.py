r"""App. F.3: an alternative positional-semantic target whose global minimum moves smoothly, without transition.

Claims (arXiv:2506.02651, App. F.3): target softmax_rows(v v^T), v = z* + omega c, with
w* = sqrt(1 - omega^2) w_s + omega u, so that Gamma = [[1, omega], [omega, 1]]; the global minimum is w = w*,
(m, eps) = (1, omega), for every omega.
"""

from __future__ import annotations

import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.functions import token
from sie_sym.model import softmax_attention
from sie_sym.paper_targets import named_target
from sie_sym.phase_diagram import aligned_alternative, minima

PAGE = Page("alternative_f3", "App. F.3", "the alternative without a transition")
EXPECTED = ("proved", "proved", "confirmed numerically")

omega, m, eps = sp.symbols("omega m eps", real=True)


def derive() -> list[Claim]:
    """The domain, the minimum, and a search of the whole domain."""
    return [_domain(), _minimum(), _search()]


def _domain() -> Claim:
    # overlaps/d in the orthonormal frame (w_s, u): w* = (sqrt(1 - omega^2), omega), u = (0, 1)
    star, u = sp.Matrix([sp.sqrt(1 - omega**2), omega]), sp.Matrix([0, 1])
    frame = sp.Matrix.hstack(star, u)
    gram = frame.T * frame
    expected = sp.Matrix([[1, omega], [omega, 1]])
    # |w|^2/d = 1 restricts s = frame^T w to s^T Gamma^{-1} s <= 1; s = (1, omega) is w = w*, on its boundary.
    s = sp.Matrix([1, omega])
    form = (s.T * expected.inv() * s)[0]
    return PAGE.claim(
        "Gamma = [[1, omega], [omega, 1]]; (m, eps) = (1, omega) lies on the boundary s^T Gamma^{-1} s = 1, at w = w*",
        all_zero([*(gram - expected), sp.cancel(form - 1), *(frame.T * star - s)]),
        "the Gram matrix of (w*, u)/d, symbolic omega",
        formulas={"Gamma": sp.ImmutableMatrix(expected)},
    )


def _minimum() -> Claim:
    target = named_target("positional-semantic-smooth")
    model = softmax_attention(2, "identity")
    # At w = w*: X w = z*, and P w = C eps = omega (1, -1): the fields of model and target are the same.
    at_star = {token(1): token(1) + omega, token(2): token(2) - omega}
    differences = [
        phi.subs(at_star, simultaneous=True) - g for phi, g in zip(model.components, target.components, strict=True)
    ]
    return PAGE.claim(
        "R(1, omega) = 0: the global minimum is (m, eps) = (1, omega), for every omega",
        all_zero(differences),
        "model and target are the same function there, and R >= 0; symbolic omega",
    )


def _search() -> Claim:
    worst, vanishes = 0.0, True
    for value in (0.1, 0.4, 0.6, 0.8):
        loss, gram = aligned_alternative(value)
        found = minima(loss, gram, resolution=48)
        sign = 1 if found[0].m > 0 else -1  # R(-s) = R(s): softmax(z z^T) is even
        worst = max(worst, abs(sign * found[0].m - 1), abs(sign * found[0].eps - value))
        vanishes = vanishes and abs(found[0].value) <= found[0].error < 1e-7
    return PAGE.claim(
        "the global minimum moves smoothly from semantic to positional as omega grows",
        worst < 1e-6 and vanishes,
        f"a search of the whole domain at omega = 0.1, 0.4, 0.6, 0.8 finds R = 0 at (1, omega) to {worst:.0e}",
        evidence=Evidence.NUMERICAL,
    )
