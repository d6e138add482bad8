r"""Prop. 1, Lemma 1 and Fig. 1: the flatness at initialization is the exponent, and an encoding can only lower it.

Claims (arXiv:2506.02651, Prop. 1, Lemma 1, Fig. 1): kappa = min{k >= 1: grad^k R(0) != 0} is, without encoding,
min{j >= 1: <C_j(g), C_j(phi)> != 0}, which is SIE(g) for a rich model; an encoding P can only lower it.  Refuted: that
it is SIE(g) for every model (App. E.4: z1 - z2 and a tied phi).
"""

from __future__ import annotations

import sympy as sp

from derivations.closed_form_loss import polynomial
from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import information_exponent
from sie_sym.functions import He, token
from sie_sym.hermite import inner_product
from sie_sym.landscape import landscape
from sie_sym.losses.numerical_loss import tabulated_loss
from sie_sym.model import ACTIVATION_VARIABLE, formula_model, linear_attention, softmax_attention, tied_network
from sie_sym.numerical_landscape import NumericalLandscape, numerical_landscape
from sie_sym.paper_targets import named_target
from sie_sym.population_loss import population_loss
from sie_sym.target import Target

PAGE = Page("flatness_and_lemma_1", "Prop. 1, Lemma 1, Fig. 1", "the flatness index, with and without an encoding")
EXPECTED = ("proved", "proved", "refuted", "proved", "confirmed numerically", "confirmed numerically")

z = token(1), token(2)
u = ACTIVATION_VARIABLE


def derive() -> list[Claim]:
    """The proposition, where it fails, the lemma, and the figure."""
    return [_derivatives(), _rich(), _every_model(), _lemma(), _figure_order_2(), _figure_order_4()]


def _derivatives() -> Claim:
    g, phi = polynomial("p", z, 3), polynomial("q", z, 3)
    loss = population_loss(Target.of(g, 2), formula_model(phi, 2))
    (m,) = loss.statistics
    sides = [HermiteExpansion.of((h,), 2) for h in (g, phi)]
    differences = []
    for k in range(1, 4):
        left, right = (side.tensors(k)[0] for side in sides)
        tensors = -2 * sp.factorial(k) * inner_product(left, right)
        differences.append(sp.expand(sp.diff(loss.expression, m, k).subs(m, 0) - tensors))
    return PAGE.claim(
        "without encoding d^k R/dm^k (0) = -2 <C_k(g), C_k(phi)>, so kappa is the first order where it is not zero",
        all_zero(differences),
        "every pair of cubic functions of two tokens, symbolic coefficients; the page closed_form_loss "
        "derives R from moments",
        source="Prop. 1",
    )


def _rich() -> Claim:
    found = []
    activation = sp.Add(*(He(k, u).expand(func=True) for k in range(1, 7)))  # every c_k = k!: rich for separable sums
    for name in ("sum", "he2", "he3", "he4", "fig2", "product"):
        target = named_target(name)
        kappa = landscape(population_loss(target, tied_network(target.tokens, activation))).flatness_index
        found.append(kappa == information_exponent(target).exponent)
    return PAGE.claim(
        "kappa = SIE(g) for @sum, @he2, @he3, @he4, @fig2, @product and a tied network with all c_k != 0",
        all(found),
        "the derivatives of R at 0 against the exponent of the target alone",
        source="Prop. 1",
    )


def _every_model() -> Claim:
    activation = sp.Add(*(He(k, u).expand(func=True) for k in range(1, 4)))
    targets = named_target("difference"), named_target("square-difference")
    seen = [landscape(population_loss(target, tied_network(2, activation))) for target in targets]
    return PAGE.claim(
        "kappa = SIE(g) for every model without encoding",
        any(found.flatness_index is not None for found in seen),
        "z1 - z2 and z1^2 - z2^2 with a tied network: R does not depend on m at all (<C_j(g), 1^j> = 0)",
        source="Prop. 1, App. E.4",
    )


def _lemma() -> Claim:
    k = sp.symbols("k1 k2", real=True)
    g, phi = polynomial("p", z, 3), polynomial("q", z, 3)
    plain = formula_model(phi, 2)
    with_p, without = (population_loss(Target.of(g, 2), model) for model in (plain.with_encoding([k]), plain))
    _, eps = with_p.statistics
    unchanged = all_zero([sp.expand(with_p.expression.subs(eps, 0) - without.expression)])
    # With R(m, 0) unchanged the derivatives in m are those without P: a non-zero one stays, others may join it.
    lowered = landscape(population_loss(named_target("he4"), linear_attention(2).with_encoding([[1, 1]])))
    return PAGE.claim(
        "an encoding can only lower kappa: R(m, eps = 0) is the loss without it",
        bool(unchanged) and lowered.flatness_index == 2,
        "e = C eps = 0 there; every pair of cubic functions and every encoding of two tokens, symbolic; He_4 + He_4 "
        "with linear attention has kappa = 2 with C = (1, 1), none without",
        source="Lemma 1",
    )


def _numbers(name: str, encoded: bool) -> NumericalLandscape:
    model = softmax_attention(2, "trace")
    model = model.with_encoding([[1, -1]]) if encoded else model
    return numerical_landscape(tabulated_loss(named_target(name), model))


def _figure_order_2() -> Claim:
    plain, encoded = _numbers("he2", False), _numbers("he2", True)
    expected = [[-1.1278271103, 0.0], [0.0, 2.0760082143]]
    worst = abs(encoded.hessian - expected).max()
    return PAGE.claim(
        "Fig. 1, He_2 + He_2: order 2; with the encoding H = diag(H_mm, H_ee) = diag(-1.12783, 2.07601)",
        plain.flatness_index == 2 and encoded.escape.kind == "semantic" and worst < 1e-9,
        f"tables of softmax attention on grids against independent values: {worst:.0e}",
        source="Fig. 1",
        evidence=Evidence.NUMERICAL,
    )


def _figure_order_4() -> Claim:
    plain, encoded = _numbers("he4", False), _numbers("he4", True)
    h = encoded.hessian
    return PAGE.claim(
        "Fig. 1, He_4 + He_4: order 4; with the encoding H = diag(0, H_ee), H_ee = 2.07601 > 0",
        plain.flatness_index == 4 and abs(h[1, 1] - 2.0760082143) < 1e-9 and abs(h[0]).max() < 1e-9,
        "the same tables; H_mm = 0 because g has no second-order tensor",
        source="Fig. 1",
        evidence=Evidence.NUMERICAL,
    )
