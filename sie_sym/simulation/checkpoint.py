"""Checkpoints of long runs: one file that is either the old state or the new one, and knows which run it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sie_sym.errors import SieSymError
from sie_sym.files import write_atomically
from sie_sym.simulation.draws import Draws
from sie_sym.simulation.fields import Fields

_FORMAT = 2


class Saved(Protocol):
    """What is saved of a block of replicas: its arrays, by name, and where its random draws stand."""

    draws: Draws

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays themselves: loading fills them in place."""


def fingerprint(fields: Fields, settings: tuple[object, ...], engine: str) -> str:
    """A digest of everything that decides the numbers; functions are known by their values at fixed points."""
    points = np.random.Generator(np.random.PCG64(0)).standard_normal((fields.tokens + fields.inputs, 8))
    goals = fields.target(points[: fields.tokens])
    delta, loss = fields.response(goals, points[fields.tokens :])
    text = json.dumps([_FORMAT, engine, *settings, fields.summed, fields.untied])
    digest = hashlib.sha256(text.encode())
    for values in (fields.encoding, goals, delta, loss, *(() if fields.orthonormal else (fields.gram,))):
        digest.update(np.array2string(np.asarray(values), precision=9, threshold=10**9).encode())
    return digest.hexdigest()


def save(path: Path, identity: str, step: int, blocks: Sequence[Saved]) -> None:
    """Write the file whole or not at all: a run killed while saving leaves the previous checkpoint.

    Raises `SieSymError` when it cannot be written.
    """
    arrays = {f"{name}{i}": array for i, block in enumerate(blocks) for name, array in block.arrays.items()}
    draws = [block.draws.state for block in blocks]
    header = json.dumps({"identity": identity, "step": step, "draws": draws}, default=np.ndarray.tolist)
    content = io.BytesIO()
    np.savez(content, header=np.array(header), allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())


def load(path: Path, identity: str, blocks: Sequence[Saved]) -> int:
    """Fill the blocks from the file and return the step reached; raises `SieSymError` for a damaged or foreign file."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            header = json.loads(str(data["header"]))
            if header["identity"] != identity:
                raise SieSymError(
                    f"the checkpoint {path} belongs to another run (its settings, functions or engine differ): "
                    "name another file, or delete it to start again"
                )
            for i, (block, state) in enumerate(zip(blocks, header["draws"], strict=True)):
                for name, array in block.arrays.items():
                    array[...] = data[f"{name}{i}"]
                block.draws.state = state
            return int(header["step"])
    except SieSymError:
        raise
    except Exception as error:  # zip, JSON and numpy each have their own way to say that a file is damaged
        raise SieSymError(f"the checkpoint {path} cannot be read ({error}): delete it to start again") from error
