r"""The transitions of the positional-semantic model as expressions in omega, a and Gaussian integrals.

Source: arXiv:2506.02651, section 4 and App. F; `phase_diagram.phase_boundaries` has their values.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import sympy as sp

from sie_sym.functions import sigmoid
from sie_sym.phases.affine_landscape import QUANTITIES, Boundary
from sie_sym.phases.positional_semantic import corner_table

OMEGA, SCALE = sp.Symbol("omega", real=True), sp.Symbol("a", positive=True)
"""The mixture weight and the positional scale of `boundary_formulas`."""


@dataclass(frozen=True)
class GaussianConstant:
    """A Gaussian integral that occurs in a boundary: its symbol, definition (LaTeX), value and error."""

    symbol: sp.Symbol
    definition: str
    value: float
    error: float


@dataclass(frozen=True)
class BoundaryFormula:
    """A transition: the `condition` on omega for the phase, `solution` = omega there, both in `constants` and
    a."""

    name: str
    condition: sp.Rel
    solution: sp.Expr
    constants: tuple[GaussianConstant, ...]

    def value(self, a: float) -> float:
        """The solution at a number a."""
        numbers = {constant.symbol: constant.value for constant in self.constants}
        exact = self.solution.subs(SCALE, a).replace(sigmoid, lambda x: 1 / (1 + sp.exp(-x)))
        return float(exact.subs(numbers))

    @property
    def latex(self) -> str:
        """`omega = solution`, then the definitions of its constants."""
        lines = [rf"\omega = {sp.latex(self.solution)}"]
        lines += [rf"{sp.latex(c.symbol)} = {c.definition} \approx {c.value:.10g}" for c in self.constants]
        return r" \\ ".join(lines)


@functools.lru_cache(maxsize=1)
def _constants() -> dict[str, GaussianConstant]:
    """The integrals that have no closed form; f(e) = E S_11(Z + e c), n(e) = E|s(Z + e c)|^2 in the definitions.

    |s|^2 and <s, s'> are 4 S S' - 2 S - 2 S' + 2 on average, S = S_11 (`positional_semantic`).
    """
    table = corner_table()
    f0, f2 = 1 - math.sqrt(2) / 4, math.sqrt(2) / 4
    error = float(table.errors.max())
    of = {name: table.form(name) for name in QUANTITIES}
    f1, f1_slope = -of["positional_loss"][2] / 8, -of["positional_radial"][2] / 8
    entries = [
        ("kappa", "kappa", r"2 \sum_{|b|=2} |C_b(s)|^2 / b!", -of["hessian_mm"][1] / 2),
        (
            "alpha",
            "alpha",
            r"\tfrac12 C_{cc}(|s|^2) - \langle C_0(s), C_{cc}(s) \rangle",
            (of["hessian_ee"][0] + of["hessian_ee"][1]) / 2,
        ),
        ("n2", "n_0''", r"C_{cc}(|s|^2)", of["hessian_ee"][0] - 4 * f2),
        ("D", "D", r"\mathbb{E} \sum_l |\partial_l s(Z)|^2", -of["semantic_radial"][1] / 2),
        (
            "J",
            "J",
            r"\mathbb{E} \langle s(Z), (c \cdot \partial)^2 s(Z) \rangle",
            -of["semantic_curvature"][1] / 2 - 2 * f2,
        ),
        ("n0", "n_0", r"\mathbb{E} |s(Z)|^2", of["semantic_loss"][0] - 4 * f0 + 2),
        ("n1", "n_1", r"\mathbb{E} |s(Z+c)|^2", of["positional_loss"][0] - 4 * f1 + 2),
        ("slope", "n_1'", r"C_c(|s(\cdot + c)|^2)", of["positional_radial"][0] - 4 * f1_slope),
        ("f1", "f_1", r"\mathbb{E} S_{11}(Z+c)", f1),
        ("f1_slope", "f_1'", r"C_c(S_{11}(\cdot + c))", f1_slope),
        (
            "kappa1",
            "kappa_1",
            r"2 \sum_{|b|=2} \langle C_b(s), C_b(s(\cdot + c)) \rangle / b!",
            -of["positional_curvature"][1] / 2,
        ),
    ]
    return {
        key: GaussianConstant(sp.Symbol(symbol, real=True), definition, float(value), error)
        for key, symbol, definition, value in entries
    }


@functools.lru_cache(maxsize=1)
def boundary_formulas() -> dict[str, BoundaryFormula]:
    r"""The four transitions as expressions in omega, a and Gaussian integrals, solved for omega.

    With p = sigmoid(2 a^2), E S_11 = f_0 = 1 - sqrt2/4 and C_cc(S_11) = sqrt2/4 exactly (theory section 9),
    and <A, s> = 2 (1-p) + (2p-1)(S_11 + S_22), E S_11(Z + e c) = E S_22(Z + e c) by symmetry.  The dynamics
    boundary is omega_c = (alpha + kappa)/(kappa + b(a)), b(a) = sqrt2 (p - f_0).  R_m <= 0 always holds at the semantic
    corner; at the positional one R_mm <= 0 for omega <= 1, so that R_mm - R_e > 0 implies R_e <= 0.

    >>> boundary_formulas()["dynamics"].solution.free_symbols == {sp.Symbol("alpha", real=True),
    ...     sp.Symbol("kappa", real=True), SCALE}
    True
    """
    known = _constants()
    x = {key: constant.symbol for key, constant in known.items()}
    p, f0, f2 = sigmoid(2 * SCALE**2), 1 - sp.sqrt(2) / 4, sp.sqrt(2) / 4
    mix = (1 - OMEGA) * (2 * f0 - 1) + OMEGA * (2 * p - 1)
    # each quantity is positive exactly where the phase named by its key exists
    quantities = {
        "dynamics": (x["alpha"] - OMEGA * sp.sqrt(2) * (p - f0)) + x["kappa"] * (1 - OMEGA),
        "semantic_minimum": x["n2"]
        - 2 * (1 - OMEGA) * x["J"]
        - 4 * OMEGA * (2 * p - 1) * f2
        + 2 * (1 - OMEGA) * x["D"],
        "positional_minimum": 4 * x["f1_slope"] * mix - x["slope"] - 2 * (1 - OMEGA) * x["kappa1"],
        "global_minimum": x["n1"]
        - x["n0"]
        + 2 * (1 - OMEGA) * (x["n0"] - 2 * (1 - f0) - 2 * (2 * f0 - 1) * x["f1"])
        + 4 * OMEGA * (2 * p - 1) * (f0 - x["f1"]),
    }
    formulas = {}
    for name, quantity in quantities.items():
        start = sp.expand(quantity.subs(OMEGA, 0))
        end = sp.expand(quantity.subs(OMEGA, 1))
        solution = sp.cancel(start / (start - end))
        used = tuple(c for c in known.values() if c.symbol in solution.free_symbols)
        formulas[name] = BoundaryFormula(name, sp.Gt(quantity, 0), solution, used)
    return formulas


def trapping_scale() -> Boundary:
    r"""The a below which the start is a minimum at omega = 1: b(a) = alpha, so H has no negative eigenvalue.

    App. F.1 says that the Hessian always has one; at omega = 1 H_mm = 0 and H_ee/2 = alpha - b(a).

    >>> round(float(trapping_scale()), 4)
    0.7244
    """
    alpha = _constants()["alpha"]
    p = 1 - math.sqrt(2) / 4 + alpha.value / math.sqrt(2)
    a = math.sqrt(math.log(p / (1 - p)) / 2)
    return Boundary(a, alpha.error / (math.sqrt(2) * 4 * a * p * (1 - p)))


__all__ = [
    "OMEGA",
    "SCALE",
    "BoundaryFormula",
    "GaussianConstant",
    "boundary_formulas",
    "trapping_scale",
]
