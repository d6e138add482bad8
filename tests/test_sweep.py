"""Sweeps: rows that depend on the task alone, and a file that survives kills, breaks and mistakes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import hear_ctrl_c, unavailable
from hypothesis import given
from hypothesis import strategies as st

from sie_sym import sweep
from sie_sym.errors import FormulaError, MissingExtra, SieSymError
from sie_sym.functions import He, token
from sie_sym.model import linear_attention
from sie_sym.problem import Formulas, Problem
from sie_sym.sgd import SGDSettings, run_sgd
from sie_sym.simulation.fields import fields_of
from sie_sym.sweep import Summary, dask_executor, read_rows, run_sweep
from sie_sym.target import Target
from sie_sym.task import Task, grid, run_task

PAIR = "He(2,z1) + He(2,z2)"
LINEAR = {"target": PAIR, "model": "linear-attention"}


def random_tasks(count: int = 12, steps: int = 20) -> list[Task]:
    """Short runs of SGD: every row depends on its seed."""
    return grid("sgd", **LINEAR, dimension=100, rate=0.01, steps=steps, runs=3, seed=range(count), ends=True)


def canonical(path: Path) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in read_rows(path))


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, pool: Executor) -> Path:
    """The file of `random_tasks()`, run without interruption."""
    path = tmp_path_factory.mktemp("reference") / "rows.jsonl"
    assert run_sweep(random_tasks(), path, pool) == Summary(12, 0, 0)
    return path


# ---- tasks -------------------------------------------------------------------------------------


def test_the_last_axis_is_the_fastest_and_ids_are_stable() -> None:
    tasks = grid(
        "sgd", **LINEAR, parameters={}, dimension=[100, 1000], rate=np.array([0.1, 0.2]), steps=10, seed=range(2)
    )
    points = [tuple(task.data["settings"][name] for name in ("dimension", "rate", "seed")) for task in tasks]
    assert points == [(d, r, s) for d in (100, 1000) for r in (0.1, 0.2) for s in (0, 1)]
    assert len({task.id for task in tasks}) == 8
    again = grid("sgd", **LINEAR, dimension=[1e2, 1e3], rate=[0.1, 0.2], steps=10.0, seed=np.arange(2))
    assert [task.id for task in again] == [task.id for task in tasks]


def test_parameters_are_axes_and_equal_numbers_are_one_value() -> None:
    tasks = grid("sie", target="a*z1 + b*z1*z2", parameters={"a": [0, 1], "b": np.linspace(0, 1, 3)})
    values = [task.data["parameters"] for task in tasks]
    assert values == [{"a": a, "b": b} for a in ("0", "1") for b in ("0", "0.5", "1")]
    assert Formulas("a*z1", parameters={"a": 1.0}) == Formulas("a*z1 ", parameters={"a": np.float64(1)})


def test_a_task_is_plain_data_and_carries_no_function() -> None:
    task = random_tasks(1)[0]
    run_task(task)
    assert Task.from_data(json.loads(json.dumps(task.data))) == task
    assert pickle.loads(pickle.dumps(task)) == task
    assert b"sympy" not in pickle.dumps(task)
    assert len(pickle.dumps(task)) < 2000


def test_the_id_is_that_of_the_text() -> None:
    text = (
        b'{"kind":"flow","model":"tied","parameters":{"a":"0.1","b":"1"},'
        b'"settings":{"start":"m=1","time":2.0},"target":"z"}'
    )
    formulas = Formulas("z", model="tied", parameters={"b": 1, "a": 0.1})
    task = Task("flow", formulas, (("time", 2), ("start", " m=1")))
    assert task.id == hashlib.sha256(text).hexdigest()[:16]


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("unknown kind of task 'sieve': choose sie", lambda: grid("sieve", target="z1")),
        ("needs a target", lambda: grid("sie")),
        ("the axis seed is empty", lambda: grid("sgd", **LINEAR, dimension=9, rate=1, steps=1, seed=[])),
        ("leave the model out", lambda: grid("sie", **LINEAR)),
        ("a hessian task needs a model", lambda: grid("hessian", target="z1")),
        ("no setting 'sede': choose seed", lambda: grid("sgd", **LINEAR, dimension=9, rate=1, steps=1, sede=1)),
        ("needs dimension, steps", lambda: grid("sgd", **LINEAR, rate=1)),
        ("dimension is 9.5: give an integer", lambda: grid("sgd", **LINEAR, dimension=9.5, rate=1, steps=1)),
        ("rate is nan: give a finite", lambda: grid("sgd", **LINEAR, dimension=9, rate=math.nan, steps=1)),
        ("ends is 1: give True", lambda: grid("sgd", **LINEAR, dimension=9, rate=1, steps=1, ends=1)),
        ("start is 0.1: give a text", lambda: grid("flow", **LINEAR, start=0.1, time=1)),
        ("target is 3: give a text", lambda: grid("sie", target=3)),
        ("tokens is 0: give", lambda: grid("sie", target="z1", tokens=0)),
        ("parameter a is None", lambda: grid("sie", target="a*z1", parameters={"a": None})),
    ],
)
def test_a_task_refuses(message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(SieSymError, match=message):
        make()


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_seeds_are_those_of_seed_sequence(first: int, second: int) -> None:
    tasks = [random_tasks(1)[0], *grid("sgd", **LINEAR, dimension=100, rate=0.01, steps=2, seed={first, second})]
    words = [tuple(np.frombuffer(task.digest, "<u4").tolist()) for task in tasks]
    chosen = [dict(task.settings)["seed"] for task in tasks]
    sequences = [np.random.SeedSequence(int(s), spawn_key=w) for s, w in zip(chosen, words, strict=True)]
    assert [task.seed for task in tasks] == [int(s.generate_state(1, np.uint64)[0]) for s in sequences]
    assert len({task.seed for task in tasks}) == len(tasks)


# ---- rows --------------------------------------------------------------------------------------


def result(task: Task) -> dict[str, Any]:
    row = json.loads(json.dumps(run_task(task), allow_nan=False))
    assert row["status"] == "ok", row
    return dict(row["result"])


def test_sie_rows() -> None:
    # theory section 3: fig. 2 has SIE 4; a = 0 turns a z1 + z1 z2 from SIE 1 to SIE 2
    assert result(Task("sie", Formulas("@fig2")))["sie"] == 4
    found = [result(t)["sie"] for t in grid("sie", target="a*z1 + z1*z2", parameters={"a": [0, "sqrt(2)/3"]})]
    assert found == [2, 1]
    free = result(Task("sie", Formulas("a*z1 + z1*z2")))
    assert {(s["sie"], s["when"]) for s in free["strata"]} == {(1, "a != 0"), (2, "a = 0")}


def test_hessian_row() -> None:
    # theory section 9: R = 7 - 4 m^2 without encoding
    found = result(Task("hessian", Formulas(**LINEAR)))
    assert (found["hessian"], found["hessian_values"], found["curvatures"]) == ([["-8"]], [[-8.0]], [-8.0])
    assert (found["escapes"], found["flatness_index"], found["evidence"]) == ("semantic", 2, "exact")
    assert result(Task("hessian", Formulas("a*He(2,z1)", model="z1^2")))["hessian_values"] is None


@pytest.mark.parametrize("method", ["exact", "tabulated"])
def test_flow_row_is_the_solution(method: str) -> None:
    # R = 7 - 4 m^2: dm/dt = 8 m (1 - m^2), a Bernoulli equation for 1/m^2
    (task,) = grid("flow", **LINEAR, start="m=1/100", time=0.4, method=method)
    found = result(task)
    grown = 0.01 * math.exp(8 * 0.4)
    assert found["m"] == pytest.approx([0.01, grown / math.sqrt(1 - 1e-4 + grown**2)], rel=1e-7)
    assert (found["t"], found["ended"], found["recovery_time"]) == ([0.0, 0.4], "time", None)


def test_flow_row_with_a_rate_reads_the_noise() -> None:
    (task,) = grid("flow", target="z1", model="z1", start="m=1/2", time=0.3, rate=0.2, samples=3)
    # V = 4 E (z* - z)^2 = 8 (1 - m), R = 2 - 2 m: dm/dt = 2 (1 - m^2) - (0.2/2) 8 (1 - m) m, by Euler steps
    m, steps = 0.5, 300_000
    for _ in range(steps):
        m += 0.3 / steps * (2 * (1 - m**2) - 0.8 * (1 - m) * m)
    assert result(task)["m"][-1] == pytest.approx(m, abs=1e-5)


def test_flow_row_of_softmax_attention() -> None:
    # theory section 8: R(eps = 0.3, m = 0.5) at a = 1, omega = 0.67
    (task,) = grid(
        "flow", target="@positional-semantic", model="softmax-attention", encoding="1,-1",
        parameters={"omega": 0.67, "a": 1}, start="eps=.3,m=.5", time=1e-3, method="tabulated",
    )  # fmt: skip
    assert result(task)["R"][0] == pytest.approx(0.2388290940, abs=1e-9)


def test_sgd_row_is_the_run_with_the_task_s_seed() -> None:
    task = random_tasks(1)[0]
    z1, z2 = token(1), token(2)
    fields = fields_of(Target.of(He(2, z1) + He(2, z2)), linear_attention(2))
    run = run_sgd(fields, SGDSettings(100, 0.01, 20, 3, task.seed, record=2))
    found = result(task)
    assert found["m"] == run.m.tolist()
    assert found["m_mean"] == run.m_mean.tolist()
    assert (found["steps"], found["eps"], found["diverged"], found["recovered"]) == ([0, 20], [[], [], []], 0, None)


def test_sgd_row_of_an_untied_network_with_parameters() -> None:
    (task,) = grid(
        "sgd", target="z1 - b*z2", model="untied", activation="tanh(k*u)", parameters={"b": 1, "k": 2},
        dimension=50, rate=0.01, steps=0, start="m2=-.1,m1=0.2", ends=True,
    )  # fmt: skip
    assert result(task)["m"] == [[0.2, -0.1]]


def test_nan_becomes_null() -> None:
    (task,) = grid("sgd", target="exp(900*z1)", model="z1", dimension=9, rate=1, steps=50, runs=2, start="m=0.9")
    with pytest.warns(RuntimeWarning, match="diverged"):
        found = result(task)
    assert (found["diverged"], found["m_mean"][-1]) == (2, None)


def test_formulas_are_compiled_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Formulas] = []

    class Counted(Problem):
        def __init__(self, formulas: Formulas) -> None:
            made.append(formulas)
            super().__init__(formulas)

    monkeypatch.setattr("sie_sym.task.Problem", Counted)
    tasks = grid(
        "sgd", target="z1 + c*z2", model="linear-attention", parameters={"c": [0.123, 0.456]},
        dimension=[50, 60], rate=0.1, steps=1, seed=range(3),
    )  # fmt: skip
    assert {run_task(task)["status"] for task in tasks} == {"ok"}
    assert [dict(formulas.parameters)["c"] for formulas in made] == ["0.123", "0.456"]


@pytest.mark.parametrize(
    ("message", "formulas", "kind"),
    [
        ("parameter omga does not occur in the formulas: the parameters are omega",
         {"target": "omega*z1", "parameters": {"omga": 1}}, "sie"),
        ("not a real number at a = 0", {"target": "z1/a", "parameters": {"a": 0}}, "sie"),
        ("activation relu does not apply to the model linear-attention: it belongs to tied or untied",
         LINEAR | {"activation": "relu"}, "hessian"),
        ("reduction trace does not apply to the model linear-attention: it belongs to softmax-attention",
         LINEAR | {"reduction": "trace"}, "hessian"),
        ("the model tied needs the activation: relu", {"target": "z1", "model": "tied"}, "hessian"),
        ("encoding entry 'z1' is not a number", LINEAR | {"encoding": "z1,1"}, "hessian"),
        ("overlap a token: sgd tasks", {"target": "z1", "model": "untied", "activation": "relu"}, "hessian"),
    ],
)  # fmt: skip
def test_formulas_that_do_not_fit_are_told_in_the_row(message: str, formulas: dict[str, Any], kind: str) -> None:
    row = run_task(Task(kind, Formulas(**formulas)))
    assert row["status"] == "error"
    assert message in row["error"]["message"]


@pytest.mark.parametrize(
    ("message", "start"),
    [
        ("gives m: the statistics are m, eps", "m=.1"),
        ("gives m, eps, mu: the statistics are m, eps", "m=.1,eps=.1,mu=0"),
        ("not NAME=VALUE once for each of m, eps", "m=.1,m=.1"),
        ("not NAME=VALUE once", ".1,.2"),
    ],
)
def test_starts_that_do_not_fit(message: str, start: str) -> None:
    with pytest.raises(FormulaError, match=message):
        Problem(Formulas(**LINEAR, encoding="1,-1")).start(start)


# ---- the sweep ---------------------------------------------------------------------------------


def test_errors_of_one_task_do_not_end_the_others(tmp_path: Path, pool: Executor) -> None:
    targets = ["z1*z2", "z1 +", "erf(z1", "1/z1", "He(3,z1)", "(" * 5000, "@nothing"]
    assert run_sweep(grid("sie", target=targets), tmp_path / "rows", pool) == Summary(done=2, skipped=0, failed=5)
    rows = read_rows(tmp_path / "rows")
    assert sorted(row["result"]["sie"] for row in rows if row["status"] == "ok") == [2, 3]
    errors = {row["task"]["target"]: row["error"] for row in rows if row["status"] == "error"}
    assert set(errors) == {"z1 +", "erf(z1", "1/z1", "(" * 5000, "@nothing"}
    assert errors["1/z1"]["type"] == "DomainError"
    assert "did you mean" in errors["@nothing"]["message"]


def test_failed_tasks_run_again_only_on_request(
    tmp_path: Path, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tasks = tmp_path / "rows", grid("sie", target=["z1", "z1*z2", "z1*z2*z3"])

    def fails(task: Task) -> dict[str, Any]:
        if task.formulas.target == "z1*z2":
            raise OSError("out of luck")
        return run_task(task)

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run_task", fails)
        assert run_sweep(tasks, path, pool) == Summary(2, 0, 1)
    (error,) = (row["error"] for row in read_rows(path) if row["status"] == "error")
    assert error == {"type": "OSError", "message": "out of luck"}
    before = path.read_bytes()
    assert run_sweep(tasks, path, pool) == Summary(0, 3, 0)
    assert path.read_bytes() == before
    assert run_sweep(tasks, path, pool, retry_failed=True) == Summary(1, 2, 0)
    assert sorted(row["result"]["sie"] for row in read_rows(path)) == [1, 2, 3]
    assert run_sweep(tasks, path, pool, retry_failed=True) == Summary(0, 3, 0)
    assert os.listdir(tmp_path) == ["rows"]


def test_rows_depend_neither_on_the_order_nor_on_the_executor(tmp_path: Path, reference: Path) -> None:
    tasks = random_tasks()
    with ThreadPoolExecutor(1) as one:
        run_sweep(tasks[::-1], tmp_path / "threads", one, in_flight=1)
    assert run_sweep(tasks, tmp_path / "processes", workers=2) == Summary(12, 0, 0)
    assert canonical(tmp_path / "threads") == canonical(tmp_path / "processes") == canonical(reference)
    assert len({json.dumps(row["result"]) for row in read_rows(reference)}) == 12
    assert [row["task"]["settings"]["seed"] for row in read_rows(tmp_path / "threads")] == list(range(11, -1, -1))


def test_tasks_in_flight_are_bounded(tmp_path: Path) -> None:
    class Watching(ThreadPoolExecutor):
        submitted = finished = most = 0

        def submit(self, *arguments: Any, **named: Any) -> Future[Any]:  # type: ignore[override]
            self.submitted += 1
            self.most = max(self.most, self.submitted - self.finished)
            return super().submit(*arguments, **named)

    seen: list[tuple[int, int]] = []
    with Watching(2) as pool:

        def progress(finished: int, tasks: int) -> None:
            pool.finished = finished
            seen.append((finished, tasks))

        run_sweep(random_tasks(), tmp_path / "rows", pool, progress=progress, in_flight=3)
    assert pool.most == 3
    assert [finished for finished, _ in seen] == sorted({finished for finished, _ in seen})
    assert seen[-1] == (12, 12)


# ---- interruptions -----------------------------------------------------------------------------


@given(data=st.data())
def test_a_file_cut_anywhere_is_completed(
    data: st.DataObject, reference: Path, pool: Executor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = reference.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("cut") / "rows"
    path.write_bytes(whole[:cut])
    there = max(0, whole[:cut].count(b"\n") - 1)
    if whole[:cut].count(b"\n"):
        assert len(read_rows(path)) == there
    assert run_sweep(random_tasks(), path, pool) == Summary(12 - there, there, 0)
    assert canonical(path) == canonical(reference)
    assert path.read_bytes().startswith(whole[: whole[:cut].rfind(b"\n") + 1])


def test_ctrl_c_leaves_the_file_whole(tmp_path: Path, reference: Path, pool: Executor) -> None:
    def stop(finished: int, tasks: int) -> None:
        if finished >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(random_tasks(), tmp_path / "rows", pool, progress=stop, in_flight=2)
    there = len(read_rows(tmp_path / "rows"))
    assert 3 <= there < 12
    assert run_sweep(random_tasks(), tmp_path / "rows", pool) == Summary(12 - there, there, 0)
    assert canonical(tmp_path / "rows") == canonical(reference)


def test_workers_that_die_leave_the_file_whole(tmp_path: Path, reference: Path, pool: Executor) -> None:
    before = set(multiprocessing.active_children())

    def kill(finished: int, tasks: int) -> None:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()

    with pytest.raises(SieSymError, match=r"workers died .* out of memory .* run the same sweep again"):
        run_sweep(random_tasks(), tmp_path / "rows", workers=2, progress=kill, in_flight=2)
    there = len(read_rows(tmp_path / "rows"))
    assert 1 <= there < 12
    assert run_sweep(random_tasks(), tmp_path / "rows", pool) == Summary(12 - there, there, 0)
    assert canonical(tmp_path / "rows") == canonical(reference)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_sweep import random_tasks, run_sweep
if __name__ == "__main__":
    print(run_sweep(random_tasks({count}, {steps}), {path!r}, workers=2))
"""


@pytest.fixture
def start_script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start_script(path, count, steps)`: a script that sweeps `random_tasks`, in a session of its own."""
    script, started = tmp_path / "script.py", []

    def start(path: Path, count: int, steps: int) -> subprocess.Popen[str]:
        script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), count=count, steps=steps, path=str(path)))
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, str(script)]
        started.append(
            subprocess.Popen(command, **streams, text=True, start_new_session=True, preexec_fn=hear_ctrl_c)
        )
        return started[-1]

    yield start
    for run in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def members(session: int) -> list[int]:
    """The processes of a session that have not ended (zombies have)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc lists the processes of a session")


@pytest.mark.slow
@needs_proc
def test_a_sweep_killed_at_random_moments_goes_on(
    tmp_path: Path, pool: Executor, start_script: Callable[..., subprocess.Popen[str]]
) -> None:
    count, steps = 40, 300
    path, moments = tmp_path / "rows", random.Random(5)
    for kill in range(4):
        before = path.read_bytes() if path.exists() else b""
        run = start_script(path, count, steps)
        size = len(before) + 200
        wait_until(lambda size=size: path.exists() and path.stat().st_size > size)
        time.sleep(moments.uniform(0, 0.1))
        os.kill(run.pid, signal.SIGKILL)
        run.communicate(timeout=20)
        # The workers notice and end: nothing writes or computes after its sweep.
        wait_until(lambda session=run.pid: not members(session), 20)
        assert path.read_bytes()[: before.rfind(b"\n") + 1] == before[: before.rfind(b"\n") + 1]
        assert run.returncode == -signal.SIGKILL, f"kill {kill} came too late to test anything"
    run = start_script(path, count, steps)
    output, errors = run.communicate(timeout=120)
    assert (run.returncode, errors) == (0, "")
    done, skipped, failed = (int(part.partition("=")[2].rstrip(")\n")) for part in output.split(","))
    assert (done + skipped, failed) == (count, 0)
    assert skipped >= 4
    run_sweep(random_tasks(count, steps), tmp_path / "whole", pool)
    assert canonical(path) == canonical(tmp_path / "whole")


@pytest.mark.slow
@needs_proc
def test_ctrl_c_ends_long_tasks_and_their_processes(
    tmp_path: Path, start_script: Callable[..., subprocess.Popen[str]]
) -> None:
    path = tmp_path / "rows"
    run = start_script(path, 4, 10**9)
    wait_until(lambda: path.exists() and len(members(run.pid)) >= 3)
    time.sleep(2)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    wait_until(lambda: not members(run.pid), 20)
    assert read_rows(path) == []


# ---- mistakes ----------------------------------------------------------------------------------


def test_another_grid_is_refused(tmp_path: Path, pool: Executor) -> None:
    path = tmp_path / "rows"
    run_sweep(grid("sie", target=["z1", "z2"]), path, pool)
    before = path.read_bytes()
    for targets in (["z1"], ["z1", "z2", "z3"], ["z1", "z3"]):
        with pytest.raises(SieSymError, match=r"holds another grid \(of 2 tasks, not these \d\): choose another file"):
            run_sweep(grid("sie", target=targets), path, pool)
    assert path.read_bytes() == before
    assert run_sweep(grid("sie", target=["z2", "z1"]), path, pool) == Summary(0, 2, 0)


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"sweep": 99}\n', b"[1]\n", b"\xff\n"])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, pool: Executor, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(SieSymError, match="is not the file of a sweep"):
        run_sweep(grid("sie", target="z1"), path, pool)
    with pytest.raises(SieSymError, match="is not the file of a sweep"):
        read_rows(path)
    assert path.read_bytes() == content


def test_a_damaged_line_is_named(tmp_path: Path, reference: Path, pool: Executor) -> None:
    lines = reference.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:20] + b"\n"
    (tmp_path / "rows").write_bytes(b"".join(lines))
    with pytest.raises(SieSymError, match=r"line 4 of .* is damaged: delete it"):
        run_sweep(random_tasks(), tmp_path / "rows", pool)
    (tmp_path / "rows").write_bytes(b"".join(lines[:3] + lines[4:]))
    assert run_sweep(random_tasks(), tmp_path / "rows", pool) == Summary(1, 11, 0)
    assert canonical(tmp_path / "rows") == canonical(reference)


def test_two_sweeps_do_not_write_one_file(tmp_path: Path, pool: Executor) -> None:
    path, tasks, refused = tmp_path / "rows", random_tasks(4), []

    def second(finished: int, total: int) -> None:
        with pytest.raises(SieSymError, match="another sweep is writing") as caught:
            run_sweep(tasks, path, pool)
        refused.append(caught)

    assert run_sweep(tasks, path, pool, progress=second) == Summary(4, 0, 0)
    assert refused


def test_a_full_disk_is_told_and_survived(tmp_path: Path, reference: Path, pool: Executor) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes stand for a full disk")
    path, limits = tmp_path / "rows", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (reference.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(SieSymError, match=r"cannot write .*(bytes fitted|file too large).*then resume"):
            run_sweep(random_tasks(), path, pool)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not path.read_bytes().endswith(b"\n")
    there = len(read_rows(path))
    assert run_sweep(random_tasks(), path, pool) == Summary(12 - there, there, 0)
    assert canonical(path) == canonical(reference)


def test_other_mistakes(tmp_path: Path, pool: Executor) -> None:
    tasks = grid("sie", target="z1")
    with pytest.raises(SieSymError, match=r"1 tasks are given twice.*z1"):
        run_sweep([*tasks, *tasks], tmp_path / "rows", pool)
    with pytest.raises(SieSymError, match="workers = 2: give 1 or more, and none beside an executor"):
        run_sweep(tasks, tmp_path / "rows", pool, workers=2)
    with pytest.raises(SieSymError, match="in_flight = 0"):
        run_sweep(tasks, tmp_path / "rows", pool, in_flight=0)
    with pytest.raises(SieSymError, match=r"cannot write .*: no such file or directory"):
        run_sweep(tasks, tmp_path / "nowhere" / "rows", pool)
    with pytest.raises(SieSymError, match="is not a file that rows can be read back from"):
        run_sweep(tasks, os.devnull, pool)
    with pytest.raises(SieSymError, match=r"cannot read .*: no such file"):
        read_rows(tmp_path / "rows")
    assert os.listdir(tmp_path) == []


# ---- a cluster ---------------------------------------------------------------------------------


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"dask.distributed is not installed: pip install 'sie-sym\[parallel\]'"):
        dask_executor().__enter__()


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_rows(tmp_path: Path, reference: Path) -> None:
    try:
        from distributed import LocalCluster
    except ImportError:
        unavailable("dask.distributed", "pip install 'dask[distributed]'")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        bad = grid("sie", target="z1 +")
        with dask_executor(cluster.scheduler_address) as pool:

            def stop(finished: int, tasks: int) -> None:
                if finished >= 3:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                run_sweep(random_tasks() + bad, tmp_path / "rows", pool, progress=stop, in_flight=2)
        there = len(read_rows(tmp_path / "rows"))
        assert 3 <= there < 13
        with dask_executor(cluster.scheduler_address) as pool:
            assert run_sweep(random_tasks() + bad, tmp_path / "rows", pool) == Summary(12 - there, there, 1)
    rows = [json.dumps(row, sort_keys=True) for row in read_rows(tmp_path / "rows") if row["status"] == "ok"]
    assert sorted(rows) == canonical(reference)
