r"""LaTeX of the gain of a tied over an untied network (arXiv:2506.02651, Thm 2)."""

from __future__ import annotations

from sie_sym.digits import outwards
from sie_sym.gain import Gain
from sie_sym.tensors.certified_value import CertifiedValue
from sie_sym.typesetting.latex_printer import display, printed
from sie_sym.typesetting.typeset import HERMITE, TENSOR, Typeset, node_conventions, typeset

_RATES = {
    "gain_equal_rate": r"\text{at equal learning rates}",
    "gain_optimal_rate": r"\text{at the rates } \gamma \sim 1/t",
    "gain_stability_limit": r"\text{at the limits of stability}",
}


def _value(value: CertifiedValue | None) -> str:
    """An equation's right side: the exact value, its interval, or that there is none."""
    if value is None:
        return r"\text{: none}"
    if value.value is not None:
        return f"= {printed(value.value)}"
    lower, upper = (r"\infty" if end == "inf" else end for end in outwards(*value.bounds))
    return rf"\in [{lower}, {upper}]"


@typeset.register
def _(found: Gain) -> Typeset:
    s = found.sie
    gains = [rf"n_{{\text{{untied}}}} / n_{{\text{{tied}}}} &{_value(getattr(found, name))} \quad {words}"
             for name, words in _RATES.items()]  # fmt: skip
    return Typeset(
        f"Gain of a tied over an untied network ({found.evidence.value})",
        (
            TENSOR,
            "S_s: sum of the entries of C_s; c_s = E sigma(u) He_s(u); s = SIE (arXiv:2506.02651, Thm 2, App. E).",
            "n: steps to weak recovery, to leading order in d; gamma: learning rate; t = gamma * step / d.",
            *dict.fromkeys((HERMITE, *node_conventions([*found.target.components, found.activation]))),
        ),
        (
            *typeset(found.target).formulas,
            display(r"\sigma(u)", found.activation),
            rf"s = \mathrm{{SIE}}(g) = {s}, \qquad S_{{{s}}} = {printed(found.contraction)}, \qquad "
            rf"c_{{{s}}} = {printed(found.activation_coefficient)}",
            rf"\lVert C_{{{s}}} \rVert_{{\mathrm{{op}}}} {_value(found.operator_norm)}, "
            rf"\qquad \rho {_value(found.rho)}",
            r"\begin{aligned}" + " \\\\\n".join(gains) + r"\end{aligned}",
        ),
        (f"Visible to the tied network: {found.reason}.",),
    )


__all__: list[str] = []
