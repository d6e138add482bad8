r"""Fig. 6 of arXiv:2506.02651: odd targets become learnable when the encoding is injected.

Claim: softmax attention is even in z, so that for g = z_1 + z_2 and g = He_3(z_1) + He_3(z_2) R is even in m: every
odd tensor of phi vanishes and nothing is seen.  With the injected encoding phi(z + c) of App. D the orders 1 and 3
are seen.

App. D displays softmax(z z^T + c c^T), which is even in z as well; the substitution stated there gives
softmax((z + c)(z + c)^T), which is what this page uses.

Settings: L = 2, phi = trace softmax_rows(z z^T), c = (1, 0).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.numerical_landscape import numerical_landscape
from sie_sym.paper_targets import named_target

SOURCE = "arXiv:2506.02651, Fig. 6 and App. D"
TARGETS = {"@sum": r"$g = z_1 + z_2$", "@he3": r"$g = \mathrm{He}_3(z_1) + \mathrm{He}_3(z_2)$"}
SHIFT = (1, 0)


def loss(target: str, injected: bool) -> NumericalLoss:
    """R(m) of one target, without or with injection."""
    model = softmax_attention(2, "trace")
    return tabulated_loss(named_target(target), model.with_injection(SHIFT) if injected else model)


def check() -> dict[str, Any]:
    """For each target: the largest odd part and the range of R without injection, and the order seen with it."""
    m = np.linspace(0, 1, 101)
    result: dict[str, Any] = {}
    for target in TARGETS:
        plain, injected = (loss(target, used) for used in (False, True))
        seen = numerical_landscape(injected)
        result[target] = {
            "odd_part": float(np.abs(plain.value(m) - plain.value(-m)).max()),
            "range": float(np.ptp(plain.value(m))),
            "visible": numerical_landscape(plain).visible.exponent,
            "visible_injected": seen.visible.exponent,
            "escape_injected": seen.escape.order,
        }
    return result


def figure(path: str | Path) -> Path:
    """R(m) - R(0) without and with injection."""
    from sie_sym.plot import FAINT, SEMANTIC, save

    def draw() -> Any:
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(9.6, 4.2), layout="constrained")
        m = np.linspace(-1, 1, 401)
        numbers = check()
        for axes, (target, name) in zip(drawing.subplots(1, 2), TARGETS.items(), strict=True):
            order = numbers[target]["visible_injected"]
            for injected, colour, text in (
                (False, FAINT, "no injection: flat"),
                (True, SEMANTIC, f"$c = {SHIFT}$: order {order}"),
            ):
                table = loss(target, injected)
                axes.plot(m, table.value(m) - table.value(0.0), color=colour, lw=2.2, label=text)
            axes.axvline(0, color=FAINT, lw=0.6, zorder=0)
            axes.set(xlabel="$m$  (semantic)", ylabel="$R(m) - R(0)$", xlim=(-1, 1))
            axes.set_title(name, loc="left")
            axes.legend(loc="upper left")
        return drawing

    return save(draw, path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_6.png"))
