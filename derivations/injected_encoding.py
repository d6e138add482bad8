r"""App. D: an encoding injected along w makes targets of odd exponent learnable; the displayed model does not.

Claims (arXiv:2506.02651, App. D and Fig. 6): the encoding P_l = c_l w / sqrt d turns softmax(z z^T) into a model with
odd Hermite tensors.  Substituting it gives softmax((z + c)(z + c)^T).  The displayed softmax(z z^T + c c^T) is even in
z: all its odd tensors vanish, and it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import token
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.paper_targets import named_target, softmax_rows
from sie_sym.quadratures.measure import measure

PAGE = Page("injected_encoding", "App. D", "an injected encoding breaks the even symmetry")
EXPECTED = ("proved", "proved", "refuted", "proved", "confirmed numerically")

c1, c2 = sp.symbols("c1 c2", real=True)
z = sp.Matrix([token(1), token(2)])
C = sp.Matrix([c1, c2])


def derive() -> list[Claim]:
    """The model that follows from the encoding, the displayed one, and what each can see."""
    return [_substituted(), _displayed_is_even(), _displayed_has_odd(), _injected_has_odd(), _figure_6()]


def _substituted() -> Claim:
    injected = softmax_attention(2, "identity").with_injection([c1, c2])
    expected = softmax_rows((z + C) * (z + C).T)
    dimension = 3
    X = sp.Matrix(2, dimension, lambda i, j: sp.Symbol(f"x{i}{j}", real=True))
    w = sp.Matrix(dimension, 1, lambda i, _: sp.Symbol(f"w{i}", real=True))
    # rows P_l = c_l w/|w|^2, so that P w = c
    fields = (X + C * w.T / (w.T * w)[0]) * w - (X * w + C)
    return PAGE.claim(
        "the encoding P_l = c_l w / sqrt d gives the model softmax((z + c)(z + c)^T)",
        bool(all_zero(map(sp.cancel, fields))) and _same(injected.components, tuple(expected)),
        "matrix algebra, (X + P) w = z + c; the package's model is that matrix, symbolic c",
    )


def _same(left: Sequence[sp.Expr], right: Sequence[sp.Expr]) -> bool:
    """Whether two lists of sigmoids have equal arguments, as polynomials."""
    pairs = list(zip(left, right, strict=True))
    same_names = all(a.func == b.func for a, b in pairs)
    return same_names and all(all_zero([sp.expand(a.args[0] - b.args[0])]) is True for a, b in pairs)


def _displayed_is_even() -> Claim:
    displayed = softmax_rows(z * z.T + C * C.T)
    flipped = displayed.subs({token(1): -token(1), token(2): -token(2)}, simultaneous=True)
    expansion = HermiteExpansion.of(tuple(displayed), 2)
    verdicts = [expansion.vanishes(k) for k in (1, 3, 5, 7, 9)]
    return PAGE.claim(
        "all odd Hermite tensors of the displayed model softmax(z z^T + c c^T) vanish",
        bool(all_zero(displayed - flipped)) and all(verdict is True for verdict, _ in verdicts),
        f"z -> -z leaves every entry as it is; {verdicts[0][1]}",
    )


def _displayed_has_odd() -> Claim:
    displayed = HermiteExpansion.of(tuple(softmax_rows(z * z.T + C * C.T)), 2)
    return PAGE.claim(
        "the displayed model of App. D, softmax(z z^T + c c^T), sees targets of odd exponent",
        not all(displayed.vanishes(k)[0] is True for k in (1, 3, 5, 7, 9)),
        "<C_j(g), C_j(phi)> = 0 for every odd j, whatever c",
    )


def _injected_has_odd() -> Claim:
    model = softmax_attention(2, "trace").with_injection([sp.Integer(1), sp.Integer(0)])
    expansion = HermiteExpansion.of(model.components, 2)
    found = measure(expansion.coefficient(((1, 1),))[0].value)
    return PAGE.claim(
        "trace softmax((z + c)(z + c)^T), c = (1, 0), has a first-order tensor",
        found.sign is not None and found.sign != 0,
        f"C_(1,0) = {found.value:.10f} +- {found.error:.0e}, a ball that excludes 0",
        evidence=found.evidence,
    )


def _figure_6() -> Claim:
    plain = softmax_attention(2, "trace")
    injected = plain.with_injection([sp.Integer(1), sp.Integer(0)])
    orders = {}
    for name in ("sum", "he3"):
        for label, model in (("without", plain), ("with", injected)):
            landscape = numerical_landscape(tabulated_loss(named_target(name, 2), model))
            orders[name, label] = landscape.visible.exponent
    expected = {("sum", "without"): None, ("sum", "with"): 1, ("he3", "without"): None, ("he3", "with"): 3}
    return PAGE.claim(
        "Fig. 6: z1 + z2 and He_3 + He_3 are invisible to softmax attention without an injection, and seen at orders 1 "
        "and 3 with c = (1, 0)",
        orders == expected,
        "tables of g and phi on quadrature grids",
        source="Fig. 6, App. D",
        evidence=Evidence.NUMERICAL,
    )
