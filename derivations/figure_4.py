r"""Fig. 4 of arXiv:2506.02651: the phase diagram of positional against semantic attention.

Claim: over a in [0.7, 1] and omega in [0.4, 1] there are six regions, by the global minimum of R, the direction of the
escape from the start, and whether the other minimum exists.

Settings: section 4 and App. F, L = 2, Red = identity, C = (1, -1),
target (1 - omega) softmax_rows(z z^T) + omega softmax_rows(a^2 [[1, -1], [-1, 1]]).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sie_sym.phase_diagram import phase_boundaries, phase_labels

SOURCE = "arXiv:2506.02651, Fig. 4"
EXAMPLES = ((1.0, 0.67, "Fig. 5"), (0.76, 0.95, "Fig. 13"))


def check(size: int = 200) -> dict[str, Any]:
    """The share of the picture of every region, the boundaries at a = 1, and the dynamics boundary at two other a."""
    found = phase_labels(np.linspace(0.7, 1, size), np.linspace(0.4, 1, size))
    shares = np.bincount(found.labels.ravel(), minlength=len(found.names)) / found.labels.size
    names = ("dynamics", "semantic_minimum", "positional_minimum", "global_minimum")
    return {
        "shares": dict(zip(found.names, shares.tolist(), strict=True)),
        "boundaries": {name: float(getattr(phase_boundaries(1.0), name)) for name in names},
        "dynamics": {a: float(phase_boundaries(a).dynamics) for a in (0.76, 0.9)},
        "examples": [str(found.names[int(phase_labels([a], [omega]).labels[0, 0])]) for a, omega, _ in EXAMPLES],
    }


def figure(path: str | Path) -> Path:
    """The regions, with the settings of Figs. 5 and 13 marked."""
    from sie_sym.plot import save
    from sie_sym.plots.phases import phases_figure

    return save(lambda: phases_figure(points=EXAMPLES), path)


if __name__ == "__main__":
    print(check())
    print(figure("figure_4.png"))
