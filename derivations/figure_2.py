r"""Fig. 2 of arXiv:2506.02651: a positional encoding that makes a target of order 4 visible at order 2.

Claim: for g = 4/3 + He_4(z_1) + 2 He_4(z_2) softmax attention escapes at order 4 without encoding and at order 2, along
the positional direction, with C = (1, -1).

What comes out: the order is 2 with either reduction, but the sign of the curvature depends on it.
With phi = trace softmax_rows(z z^T) it is H_ee = +0.19, uphill: no faster escape.  With the trace divided by sqrt L,
which the official code calls trace, H_ee = -0.2953, and the claim holds.

Settings: L = 2; H_ee = C_cc(|phi|^2) - 2 E g C_cc(phi), E g = 4/3 (section 5 of the theory: order-2 tensors).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.paper_targets import named_target

SOURCE = "arXiv:2506.02651, Fig. 2"
REDUCTIONS = {"trace": "trace", "mean-trace": r"trace $/\sqrt{L}$"}


def loss(reduction: str, encoded: bool = True) -> NumericalLoss:
    """R for one reduction, with or without the encoding."""
    model = softmax_attention(2, reduction)
    return tabulated_loss(named_target("@fig2"), model.with_encoding([[1, -1]]) if encoded else model)


def check() -> dict[str, Any]:
    """For each reduction: the order without encoding; the order, H_ee and the direction of the escape with it."""
    result: dict[str, Any] = {}
    for reduction in REDUCTIONS:
        plain, encoded = (numerical_landscape(loss(reduction, used)) for used in (False, True))
        result[reduction] = {
            "order": plain.flatness_index,
            "order_encoded": encoded.flatness_index,
            "curvature": float(encoded.hessian[1, 1]),
            "escapes": encoded.escape.kind,
        }
    return result


def figure(path: str | Path) -> Path:
    """R(m, eps) for the two reductions."""
    from sie_sym.plot import save
    from sie_sym.plots.surface import draw_surface_map

    def draw() -> Any:
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(11.6, 6.0), layout="constrained")
        numbers = check()
        for axes, (reduction, name) in zip(drawing.subplots(1, 2), REDUCTIONS.items(), strict=True):
            draw_surface_map(drawing, axes, loss(reduction))
            curvature = numbers[reduction]["curvature"]
            axes.set_title(rf"{name}: $H_{{\varepsilon\varepsilon}} = {curvature:+.4f}$", loc="left")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=9, handlelength=1.6)
        drawing.suptitle(r"$g = \frac{4}{3} + \mathrm{He}_4(z_1) + 2\,\mathrm{He}_4(z_2)$, $C = (1, -1)$")
        return drawing

    return save(draw, path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_2.png"))
