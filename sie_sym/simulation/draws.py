"""The random draws of a block of replicas, by numpy: one stream of normals and one of chi^2 lengths."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from sie_sym.simulation.fields import Array


class Draws(Protocol):
    """Normals and lengths of consecutive steps; `state` (JSON) brings the draws back to where they stood."""

    state: list[Any]

    def fill(self, step: int, normals: Array, lengths: Array) -> None:
        """Normals (S, rows, R) and chi^2 (S, c, R) for the S steps from `step` on."""


def stream(seed: int, block: int, part: int) -> np.random.Generator:
    """The random stream of one part of one block, independent of all others (`numpy.random.SeedSequence`)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(block, part))))


class StreamDraws:
    """Two streams a block: then how many steps are drawn at once does not change either."""

    def __init__(self, seed: int, block: int, shape: float) -> None:
        self.normals, self.lengths, self.shape = stream(seed, block, 0), stream(seed, block, 1), shape

    def fill(self, step: int, normals: Array, lengths: Array) -> None:
        """The next draws, in order of the steps; chi^2 with 2 `shape` degrees is twice a Gamma variate."""
        self.normals.standard_normal(out=normals)
        self.lengths.standard_gamma(self.shape, out=lengths)
        lengths *= 2.0

    @property
    def state(self) -> list[Any]:
        """The states of the two bit generators."""
        return [self.normals.bit_generator.state, self.lengths.bit_generator.state]

    @state.setter
    def state(self, value: list[Any]) -> None:
        for generator, state in zip((self.normals, self.lengths), value, strict=True):
            words = np.array(state["state"]["state"], dtype=np.uint64)
            generator.bit_generator.state = state | {"state": {"state": words}}
