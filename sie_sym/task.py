"""One task of a sweep: plain data (formula texts and numbers) that any process can turn into a row of results.

Functions do not travel: a task carries the texts of its formulas, and the process that runs it parses, derives and
compiles them once for all its tasks with the same formulas.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from sie_sym.errors import SieSymError
from sie_sym.paper_targets import nearest
from sie_sym.problem import Formulas, Problem

Plain = str | int | float | bool
Row = dict[str, Any]

_REQUIRED = {"flow": ("start", "time"), "sgd": ("dimension", "rate", "steps")}
SETTINGS: dict[str, dict[str, type]] = {
    "sie": {},
    "hessian": {"order": int},
    "flow": {
        "start": str, "time": float, "rate": float, "recovery": float, "samples": int, "order": int, "method": str,
    },
    "sgd": {
        "dimension": int, "rate": float, "steps": int, "runs": int, "seed": int, "batch": int, "loss": str,
        "start": str, "record": int, "threshold": float, "block": int, "engine": str, "ends": bool,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is asked (`kind`: sie, hessian, flow or sgd) of which formulas, with which settings (name, value).

    | kind | settings (required ones first) | result |
    |---|---|---|
    | `sie` | none, and no model | exponent, evidence, strata, sample complexity |
    | `hessian` | `order` of truncation | gradient, Hessian, indices at initialization |
    | `flow` | `start` ("m=.01,eps=.3"), `time`; `rate`, `recovery`, `samples` (2), `order`, `method` | the trajectory |
    | `sgd` | `dimension`, `rate`, `steps`; `runs` (1), `seed` (0), `batch`, `loss`, `start`, `record` (2),
      `threshold`, `block`, `engine`, `ends` | means and deviations over replicas; with `ends` their last overlaps |

    `method` is "exact" (from the closed form) or "tabulated" (by quadrature of g and phi, up to five tokens:
    for softmax attention).  The loss of a flow is called R in its row, and the overlaps by their names.

    Two tasks with the same data have the same `id`, in any process.  Raises `SieSymError` for an unknown kind or
    setting, a missing one and a value that is not a plain number or text; formulas are read when the task runs.

    >>> task = Task("sie", Formulas("z1*z2"))
    >>> task == Task.from_data(task.data), task.id
    (True, 'aa610d139fd22284')
    """

    kind: str
    formulas: Formulas
    settings: tuple[tuple[str, Plain], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in SETTINGS:
            raise SieSymError(f"unknown kind of task {self.kind!r}: choose {', '.join(SETTINGS)}")
        if (self.formulas.model is None) != (self.kind == "sie"):
            raise SieSymError(
                "a sie task reads the target only: leave the model out"
                if self.kind == "sie"
                else f"a {self.kind} task needs a model: pass model=linear-attention, tied, ... or a formula"
            )
        known, given = SETTINGS[self.kind], dict(self.settings)
        for name in given:
            if name not in known:
                close = nearest(name, known) or "none"
                raise SieSymError(f"a {self.kind} task has no setting {name!r}: choose {close}")
        missing = [name for name in _REQUIRED.get(self.kind, ()) if name not in given]
        if missing:
            raise SieSymError(f"a {self.kind} task needs {', '.join(missing)}: give each a value")
        ordered = ((name, _as(kind, name, given[name])) for name, kind in known.items() if name in given)
        object.__setattr__(self, "settings", tuple(ordered))

    @property
    def data(self) -> dict[str, Any]:
        """The task as JSON, what was left out left out."""
        return {"kind": self.kind, **self.formulas.data, **({"settings": dict(self.settings)} if self.settings else {})}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Task:
        """The inverse of `data`."""
        rest = dict(data)
        kind, settings = rest.pop("kind", None), rest.pop("settings", {})
        return cls(kind, Formulas(**rest), tuple(settings.items()))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON."""
        text = json.dumps(self.data, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).digest()

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return self.digest.hex()[:16]

    @property
    def seed(self) -> int:
        """The seed of the task's random draws: of its `seed` setting and of all its data, nothing else."""
        words = np.frombuffer(self.digest, dtype="<u4")
        chosen = dict(self.settings).get("seed", 0)
        sequence = np.random.SeedSequence(int(chosen), spawn_key=tuple(map(int, words)))
        return int(sequence.generate_state(1, np.uint64)[0])


def _as(kind: type, name: str, value: Any) -> Plain:
    """A value as the plain type of its setting, so that 1, 1.0 and numpy's 1.0 are one task."""
    value = value.item() if isinstance(value, np.generic) else value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {str: isinstance(value, str), bool: isinstance(value, bool), float: number, int: number}[kind]
    if not fits or (number and not math.isfinite(value)) or (kind is int and value != int(value)):
        wanted = {str: "a text", bool: "True or False", float: "a finite number", int: "an integer"}[kind]
        raise SieSymError(f"the setting {name} is {value!r}: give {wanted}")
    if kind is str:
        return str(value).strip()
    return bool(value) if kind is bool else kind(value) + 0  # + 0: there is one zero


def grid(kind: str, **axes: Any) -> list[Task]:
    """All tasks of one kind over some axes, the last one fastest.

    An axis is a field of `Formulas` (target, tokens, model, activation, reduction, encoding, inject), a setting of
    the kind, or `parameters={name: values}`, each of which is an axis of its own.  A text or a number is one value;
    anything else is gone through.  Grids add up as lists.  Let what is drawn or started (seed, dimension, start) come
    after what is derived (target, model, parameters): workers keep the formulas of the last tasks.

    >>> tasks = grid("sie", target="z1*z2 + a*He(4, z1)", parameters={"a": [0, 0.5]})
    >>> [task.data for task in tasks][1]
    {'kind': 'sie', 'target': 'z1*z2 + a*He(4, z1)', 'parameters': {'a': '0.5'}}
    """
    texts = {field.name for field in fields(Formulas)} - {"parameters"}
    spans: dict[tuple[str, str], list[Any]] = {}
    for name, values in axes.items():
        if name == "parameters":
            spans |= {("parameter", parameter): _axis(parameter, v) for parameter, v in values.items()}
        else:
            spans["text" if name in texts else "setting", name] = _axis(name, values)
    tasks = []
    for point in itertools.product(*spans.values()):
        chosen: dict[str, dict[str, Any]] = {"text": {}, "parameter": {}, "setting": {}}
        for (group, name), value in zip(spans, point, strict=True):
            chosen[group][name] = value
        if "target" not in chosen["text"]:
            raise SieSymError("a grid needs a target: pass target=FORMULA or a list of them")
        settings = tuple((name, value) for name, value in chosen["setting"].items() if value is not None)
        tasks.append(Task(kind, Formulas(**chosen["text"], parameters=chosen["parameter"]), settings))
    return tasks


def _axis(name: str, values: Any) -> list[Any]:
    if values is None or isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        return [values]
    found = list(values)
    if not found:
        raise SieSymError(f"the axis {name} is empty: give it a value or more")
    return found


# ---- running -----------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _problem(formulas: Formulas) -> Problem:
    """What this process has derived and compiled for some formulas."""
    return Problem(formulas)


def run_task(task: Task) -> Row:
    """The row of a task: `id`, `task` (its data), `status` ok or error, and `result` or `error` (type, message).

    Whatever goes wrong is told in the row; depends on the task alone, not on where or when it runs.

    >>> run_task(Task("sie", Formulas("z1*z2")))["result"]["sie"]
    2
    """
    row: Row = {"id": task.id, "task": task.data}
    try:
        result = _plain(_RUNNERS[task.kind](_problem(task.formulas), task, dict(task.settings)))
    except Exception as error:  # one task must not end the others, whatever it died of
        return row | {"status": "error", "error": {"type": type(error).__name__, "message": str(error)}}
    return row | {"status": "ok", "result": result}


def _plain(value: Any) -> Any:
    """JSON of nested lists and arrays; nan and infinities, which JSON lacks, become null."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run_sie(problem: Problem, task: Task, settings: dict[str, Any]) -> Row:
    from sie_sym.exponents import information_exponent

    found = information_exponent(problem.target)
    samples = found.samples
    return {
        "sie": found.exponent,
        "evidence": found.evidence.value,
        "strata": [{"sie": stratum.exponent, "when": stratum.when} for stratum in found.strata],
        "samples": None if samples is None else {"proved": samples.proved, "sharp": samples.sharp},
        "reasons": found.reasons,
    }


def _run_hessian(problem: Problem, task: Task, settings: dict[str, Any]) -> Row:
    from sie_sym.integrals.enclosure import enclose
    from sie_sym.landscape import landscape

    found = landscape(problem.loss(settings.get("order")))
    rows = [list(found.hessian.row(i)) for i in range(found.hessian.rows)]
    free = any(entry.free_symbols for entry in found.hessian)
    values = None if free else [[float(enclose(entry).mid()) for entry in row] for row in rows]
    direction = found.escape.direction
    return {
        "statistics": [str(s) for s in found.statistics],
        "gradient": [str(slope) for slope in found.gradient],
        "hessian": [[str(entry) for entry in row] for row in rows],
        "hessian_values": values,
        "curvatures": None if values is None else np.linalg.eigvalsh(np.array(values)),
        "flatness_index": found.flatness_index,
        "escape_index": found.escape.order,
        "escape_direction": None if direction is None else [str(entry) for entry in direction],
        "escapes": found.escape.kind,
        "visible_exponent": found.visible.exponent,
        "evidence": found.evidence.value,
    }


def _run_flow(problem: Problem, task: Task, settings: dict[str, Any]) -> Row:
    from sie_sym.flow import gradient_flow

    method, rate = settings.get("method", "exact"), settings.get("rate", 0.0)
    if method not in ("exact", "tabulated"):
        raise SieSymError(f"unknown method {method!r}: choose exact or tabulated")
    order, tabulated = settings.get("order"), method == "tabulated"
    noise = None
    if rate > 0:
        noise = problem.tabulated_noise if tabulated else problem.noise(order)
    flow = gradient_flow(
        problem.tabulated_loss if tabulated else problem.loss_function(order),
        problem.start(settings["start"]),
        settings["time"],
        rate=rate,
        variance=noise,
        recovery=settings.get("recovery"),
        encoding=problem.model.encoding,
        samples=settings.get("samples", 2),
    )
    columns = {str(s): flow.states[:, i] for i, s in enumerate(flow.statistics)}
    return {"t": flow.t, **columns, "R": flow.losses, "ended": flow.ended, "recovery_time": flow.recovery_time}


def _run_sgd(problem: Problem, task: Task, settings: dict[str, Any]) -> Row:
    from sie_sym.sgd import SGDSettings, run_sgd

    engine, ends = settings.pop("engine", "numpy"), settings.pop("ends", False)
    start = settings.pop("start", None)
    begin = None if start is None else problem.start(start)
    chosen = {"runs": 1, "record": 2} | settings | {"seed": task.seed, "start": begin}
    found = run_sgd(problem.fields, SGDSettings(**chosen), engine)
    names = ("steps", "m_mean", "m_std", "eps_mean", "eps_std", "recovered", "recovery_step_median", "diverged")
    last = {"m": found.m, "eps": found.eps, "recovery_step": found.recovery_step} if ends else {}
    return {name: getattr(found, name) for name in names} | last


_RUNNERS = {"sie": _run_sie, "hessian": _run_hessian, "flow": _run_flow, "sgd": _run_sgd}

__all__ = ["Formulas", "Row", "Task", "grid", "run_task"]
