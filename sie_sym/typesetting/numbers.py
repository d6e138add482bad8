r"""LaTeX of the results known by numbers: landscapes with error estimates, and the phase diagram of section 4."""

from __future__ import annotations

import sympy as sp

from sie_sym.digits import decimal
from sie_sym.escape import Escape
from sie_sym.landscape import Visibility
from sie_sym.numerical_landscape import NumericalLandscape
from sie_sym.phase_formulas import OMEGA, SCALE, GaussianConstant, boundary_formulas
from sie_sym.phase_regions import PhaseLine
from sie_sym.typesetting.latex_printer import matrix, printed
from sie_sym.typesetting.typeset import LOSS, NODES, SETTING, Typeset, typeset


def escape_formulas(escape: Escape, visible: Visibility) -> list[str]:
    """The direction of the escape and the visible exponent."""
    formulas = []
    if escape.order is not None and escape.direction is not None:
        formulas.append(
            rf"\text{{escape at order }} {escape.order} \text{{ along }} v = {matrix([[c] for c in escape.direction])}"
        )
    if visible.exponent is not None:
        formulas.append(rf"\min\{{ j \ge 1 : \langle C_j(g), C_j(\varphi) \rangle \ne 0 \}} = {visible.exponent}")
    return formulas


def escape_remarks(escape: Escape, visible: Visibility) -> tuple[str, ...]:
    """Why."""
    return (
        f"Escape ({escape.kind or ('none' if escape.proved else 'undecided')}): {escape.reason}.",
        f"Visibility of the target without encoding: {visible.reason}.",
    )


@typeset.register
def _(found: NumericalLandscape) -> Typeset:
    names = ", ".join(map(printed, found.statistics))
    slopes = [[_decimal(*pair)] for pair in zip(found.gradient, found.gradient_error, strict=True)]
    rows = [
        [_decimal(*pair) for pair in zip(*row, strict=True)]
        for row in zip(found.hessian, found.hessian_error, strict=True)
    ]
    kappa = r"\infty" if found.flatness_index is None else str(found.flatness_index)
    worst = max(float(found.gradient_error.max()), float(found.hessian_error.max()))
    return Typeset(
        f"Landscape at initialization ({found.evidence.value}, entries to {worst:.0e} or better)",
        (
            LOSS,
            SETTING,
            "kappa: flatness index (arXiv:2506.02651, Prop. 1 and Lemma 1).",
            "Entries are decimals to the digits known; 0 stands for what is within its error.",
        ),
        (
            rf"\nabla R(0) = {_matrix(slopes)}, \qquad s = ({names})",
            rf"\nabla^2 R(0) = {_matrix(rows)}",
            rf"\kappa = \min\{{ k \ge 1 : \nabla^k R(0) \ne 0 \}} = {kappa}",
            *escape_formulas(found.escape, found.visible),
        ),
        escape_remarks(found.escape, found.visible),
    )


def _decimal(value: float, error: float) -> str:
    text = decimal(value, error) if abs(value) > error else "0"
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _matrix(rows: list[list[str]]) -> str:
    return r"\begin{pmatrix} " + r" \\ ".join(" & ".join(row) for row in rows) + r" \end{pmatrix}"


@typeset.register
def _(found: PhaseLine) -> Typeset:
    formulas: list[str] = []
    constants: dict[sp.Symbol, GaussianConstant] = {}
    for name, formula in boundary_formulas().items():
        value = found.boundaries[name]
        size = rf" \approx {value:.10f} \quad (a = {found.a:g})" if abs(value) < float("inf") else ""
        formulas.append(rf"{printed(OMEGA)}_{{\text{{{name.replace('_', ' ')}}}}} = {printed(formula.solution)}{size}")
        constants |= {c.symbol: c for c in formula.constants}
    known = [rf"{printed(c.symbol)} &= {c.definition} \approx {c.value:.10g}" for c in constants.values()]
    stretches = [rf"{s.low:.6f} < {printed(OMEGA)} < {s.high:.6f} &: \text{{{s.name}}}" for s in found.regions]
    return Typeset(
        f"Phases of the positional-semantic model at a = {found.a:g} ({found.evidence.value})",
        (
            "arXiv:2506.02651, section 4, Fig. 4 and App. F: L = 2, c = (1, -1), s(z) = softmax_rows(z z^T),",
            "S_11 = s(z)_11, target (1 - omega) s(z*) + omega softmax_rows(a^2 [[1, -1], [-1, 1]]).",
            "dynamics: H_mm = H_ee at the start; semantic (positional) minimum: the corner (eps, m) = (0, 1) ((1, 0))",
            "turns into or stops being a minimum on the disk; global minimum: R(0, 1) = R(1, 0).",
            NODES["sigmoid"],
            f"{SCALE}: the positional scale.",
        ),
        (
            *formulas,
            r"\begin{aligned}" + " \\\\\n".join(known) + r"\end{aligned}",
            r"\begin{aligned}" + " \\\\\n".join(stretches) + r"\end{aligned}",
        ),
    )


__all__ = ["escape_formulas", "escape_remarks"]
