r"""The phases of the positional-semantic model along omega in [0, 1] at one value of a: a vertical line of Fig. 4."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sie_sym.errors import DomainError
from sie_sym.evidence import Evidence
from sie_sym.phase_diagram import phase_boundaries, phase_labels

_SAMPLES = 64
_RIM = 2048
_RESOLUTION = 1e-11


@dataclass(frozen=True)
class Stretch:
    """An interval of omega in one phase, named as in `phase_diagram.REGIONS`."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class PhaseLine:
    """The transitions in omega at one a, and the phases between 0 and 1 in their order.

    `boundaries` has the keys dynamics, semantic_minimum, positional_minimum and global_minimum: where each closed-form
    condition changes (outside [0, 1]: nowhere; infinite: it does not depend on omega), accurate to `error`.  An end of
    a stretch that is none of them is where the positional minimum disappears on the rim, away from its corner, or where
    it has the loss of the semantic corner; both are located on a grid of the rim, to about 1e-9.
    """

    a: float
    boundaries: Mapping[str, float]
    regions: tuple[Stretch, ...]
    error: float

    evidence = Evidence.NUMERICAL


def phase_line(a: float) -> PhaseLine:
    """The phases at the positional scale a > 0 (arXiv:2506.02651, section 4 and App. F).

    Raises `DomainError` unless a is positive and finite.

    >>> [stretch.name for stretch in phase_line(1.0).regions][:2]
    ['unique semantic', 'global semantic']
    """
    if not 0 < a < math.inf:
        raise DomainError(f"a = {a}: the positional scale is a positive number")
    found = phase_boundaries(a)
    names = ("dynamics", "semantic_minimum", "positional_minimum", "global_minimum")
    transitions = {name: getattr(found, name) for name in names}
    cuts = sorted({0.0, 1.0, *(float(t) for t in transitions.values() if 0 < float(t) < 1)})
    stretches: list[Stretch] = []

    def label(omega: float) -> str:
        return _names(a, [omega])[0]

    for low, high in itertools.pairwise(cuts):
        # Between two transitions only the disappearance of a minimum on the rim may change the phase.
        omegas = low + (high - low) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        phases = _names(a, omegas.tolist())
        edges = [low, *(_change(label, omegas[i], omegas[i + 1]) for i in _changes(phases)), high]
        kinds = [phases[0], *(phases[i + 1] for i in _changes(phases))]
        for kind, (start, end) in zip(kinds, itertools.pairwise(edges), strict=True):
            if stretches and stretches[-1].name == kind:
                stretches[-1] = Stretch(kind, stretches[-1].low, end)
            else:
                stretches.append(Stretch(kind, start, end))
    errors = [t.error for t in transitions.values() if math.isfinite(t.error)]
    return PhaseLine(a, {name: float(t) for name, t in transitions.items()}, tuple(stretches), max(errors, default=0.0))


def _names(a: float, omegas: list[float]) -> list[str]:
    found = phase_labels([a], omegas, rim=_RIM)
    return [found.names[label] for label in found.labels[0]]


def _changes(phases: list[str]) -> list[int]:
    return [i for i in range(len(phases) - 1) if phases[i] != phases[i + 1]]


def _change(label: Callable[[float], str], low: float, high: float) -> float:
    """Where the label changes, by bisection."""
    first = label(low)
    while high - low > _RESOLUTION:
        middle = (low + high) / 2
        low, high = (middle, high) if label(middle) == first else (low, middle)
    return float((low + high) / 2)


__all__ = ["PhaseLine", "Stretch", "phase_line"]
