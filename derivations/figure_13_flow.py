r"""Fig. 13 of arXiv:2506.02651, its flow: positional first, semantic in the end.

Claim: at a = 0.76 (a^2 = 0.5776) and omega = 0.95, in the region "unique semantic, misaligned dynamics", the dynamics
starts positional, lingers near (eps, m) = (1, 0), which is no minimum, and turns to the semantic minimum.

What comes out: so it does.  The place where it lingers is a saddle of R on the axis m = 0 inside the disk, at
eps = 0.876, not the corner (1, 0) itself.

Settings: the positional-semantic model of section 4; gradient flow from eps = 1/sqrt d, m = eps/10, d = 1000: the
smaller m, the longer the stay (the paper shows SGD at rate 0.05 over 1e8 steps, t = 5000).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from sie_sym.flow import Flow, gradient_flow
from sie_sym.losses.numerical_loss import NumericalLoss, tabulated_loss
from sie_sym.model import softmax_attention
from sie_sym.paper_targets import named_target
from sie_sym.phase_diagram import region

SOURCE = "arXiv:2506.02651, Fig. 13"
SCALE, WEIGHT, DIMENSION, TIME = sp.Rational(19, 25), sp.Rational(19, 20), 1000, 1200.0


def loss() -> NumericalLoss:
    """R(m, eps) at a = 0.76, omega = 0.95."""
    values = {sp.Symbol("a", real=True): SCALE, sp.Symbol("omega", real=True): WEIGHT}
    target = named_target("@positional-semantic").substitute(values)
    return tabulated_loss(target, softmax_attention(2).with_encoding([[1, -1]]))


def flow() -> Flow:
    """The gradient flow from eps = 1/sqrt d, m = eps/10."""
    return gradient_flow(loss(), [0.1 * DIMENSION**-0.5, DIMENSION**-0.5], TIME, samples=2001)


def check() -> dict[str, Any]:
    """The phase, the growth at the start, the saddle, the share of the time within 0.1 of it, the peak and the end."""
    from scipy.optimize import brentq

    table, result = loss(), flow()
    m, eps = result.states.T
    saddle = float(brentq(lambda x: float(table.gradient(0.0, x)[1]), 0.5, 0.99))
    peak = int(np.argmax(eps))
    return {
        "region": region(float(SCALE), float(WEIGHT)),
        "growth": (float(np.log(m[1] / m[0]) / result.t[1]), float(np.log(eps[1] / eps[0]) / result.t[1])),
        "saddle": saddle,
        "saddle_curvatures": [float(table.hessian(0.0, saddle)[i, i]) for i in (0, 1)],
        "lingers": float(np.mean(np.hypot(m, eps - saddle) < 0.1)),
        "peak": (float(m[peak]), float(eps[peak]), float(result.t[peak])),
        "end": (float(m[-1]), float(eps[-1])),
    }


def figure(path: str | Path) -> Path:
    """The overlaps, R, and the trajectory on the disk."""
    from sie_sym.plot import flow_figure, save

    def draw() -> Any:
        drawing = flow_figure(flow(), loss())
        drawing.suptitle(rf"$a = {float(SCALE):g}$, $\omega = {float(WEIGHT):g}$", x=0.09)
        return drawing

    return save(draw, path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_13_flow.png"))
