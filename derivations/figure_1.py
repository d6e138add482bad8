r"""Fig. 1 of arXiv:2506.02651: a positional encoding changes the landscape of softmax attention at initialization.

Claim: for g = He_2(z_1) + He_2(z_2) and g = He_4(z_1) + He_4(z_2) the loss of softmax attention without encoding starts
at order 2 and 4 in the semantic overlap m; with the opposite encoding C = (1, -1) the Hessian in (m, eps) becomes
diag(H_mm < 0, H_ee > 0) and diag(0, H_ee > 0): the encoding is no help, its direction goes uphill.

What comes out: so it does.  For He_4 the order is 4, but m^4 has a positive coefficient: C_4(phi) has the other sign
than C_4(g), and this phi does not learn that g at all.

Settings: L = 2, phi = trace softmax_rows(z z^T).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.numerical_landscape import NumericalLandscape, numerical_landscape
from sie_sym.paper_targets import named_target

SOURCE = "arXiv:2506.02651, Fig. 1"
TARGETS = ("@he2", "@he4")


def loss(target: str, encoded: bool) -> NumericalLoss:
    """R of one target, without or with the encoding."""
    model = softmax_attention(2, "trace")
    return tabulated_loss(named_target(target), model.with_encoding([[1, -1]]) if encoded else model)


def landscapes() -> dict[tuple[str, bool], NumericalLandscape]:
    """The landscape at 0 by target and encoding."""
    return {(target, encoded): numerical_landscape(loss(target, encoded)) for target in TARGETS for encoded in (0, 1)}


def check() -> dict[str, Any]:
    """The order of R in m without encoding, and the Hessian with it, in (m, eps)."""
    found = landscapes()
    return {
        "orders": [found[target, False].flatness_index for target in TARGETS],
        "hessians": [found[target, True].hessian.tolist() for target in TARGETS],
        "errors": [found[target, True].hessian_error.tolist() for target in TARGETS],
    }


def figure(path: str | Path) -> Path:
    """R(m) without encoding on the left, R(m, eps) with it on the right; one row a target."""
    from sie_sym.plot import SEMANTIC, save
    from sie_sym.plots.surface import draw_surface_map

    def draw() -> Any:
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(9.6, 9.4), layout="constrained")
        grid = drawing.add_gridspec(2, 2, width_ratios=[1, 1.25])
        m = np.linspace(-1, 1, 401)
        for row, (target, name, order) in enumerate(zip(TARGETS, ("2", "4"), check()["orders"], strict=True)):
            formula = rf"$g = \mathrm{{He}}_{name}(z_1) + \mathrm{{He}}_{name}(z_2)$"
            axes = drawing.add_subplot(grid[row, 0])
            axes.plot(m, loss(target, False).value(m), color=SEMANTIC, lw=2)
            axes.axvline(0, color="#8a8a8a", lw=0.6, zorder=0)
            axes.set(xlabel="$m$  (semantic)", ylabel="$R$", xlim=(-1, 1))
            axes.set_title(f"{formula}\nno encoding: order {order}", loc="left")
            disk = drawing.add_subplot(grid[row, 1])
            draw_surface_map(drawing, disk, loss(target, True))
            disk.set_title("$C = (1, -1)$", loc="left")
            disk.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=9, handlelength=1.6)
        return drawing

    return save(draw, path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_1.png"))
