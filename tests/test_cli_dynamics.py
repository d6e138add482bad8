"""The commands sgd, gain and sweep: JSON keys, exit codes, streams, and numbers by other routes."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import answer, refusal, run
from conftest import ROOT, hear_ctrl_c

import sie_sym.commands.options
import sie_sym.problem
import sie_sym.sweep
from sie_sym.commands.dynamics import progress
from sie_sym.commands.sweep import sweep_tasks
from sie_sym.errors import SieSymError
from sie_sym.sweep import Summary, grid, read_rows

PAIR = ("-g", "He(2,z1) + He(2,z2)")
ENCODED = (*PAIR, "--model", "linear-attention", "--encoding", "1,1/2")
SHORT = ("--dimension", "1e3", "--rate", ".01", "--steps", "40", "--runs", "20", "--seed", "3")


# ---- sgd ---------------------------------------------------------------------------------------


def test_sgd_follows_the_flow() -> None:
    # Another route: the ODE (eq. 28) from the closed form, which SGD never reads; O(1/d) apart, and 64 replicas.
    start = ("--start", "m=.3,eps=.1")
    flow = answer("flow", *ENCODED, *start, "--time", ".02", "--rate", ".01", "--samples", "2")
    sgd = answer("sgd", *ENCODED, *start, "--dimension", "1000", "--rate", ".01", "--steps", "2000", "--runs", "64",
                 "--record", "3")  # fmt: skip
    assert sgd["steps"] == [0, 1000, 2000]
    assert sgd["t"] == pytest.approx([0, 0.01, 0.02])
    assert (sgd["m_mean"][0], sgd["eps_mean"][0]) == pytest.approx((0.3, 0.1))
    for name in ("m", "eps"):
        error = sgd[f"{name}_std"][-1] / 8
        assert abs(sgd[f"{name}_mean"][-1] - flow[name][-1]) < 5 * error + 1e-3
        assert abs(flow[name][-1] - flow[name][0]) > 3 * (5 * error + 1e-3)


def test_sgd_keys_and_no_threshold() -> None:
    found = answer("sgd", *ENCODED, *SHORT)
    keys = "steps t m_mean m_std eps_mean eps_std recovered recovery_step_median diverged runs"
    assert set(found) == set(keys.split())
    assert found["recovered"] is found["recovery_step_median"] is None
    assert (found["diverged"], found["runs"]) == (0, 20)


def test_sgd_does_not_depend_on_workers(tmp_path: Path) -> None:
    one = answer("sgd", *ENCODED, *SHORT, "--workers", "1")
    file = tmp_path / "answer.json"
    assert answer("sgd", *ENCODED, *SHORT, "--workers", "3", "-o", str(file)) == one
    assert json.loads(file.read_text()) == one
    assert answer("sgd", *ENCODED, *SHORT[:-1], "4") != one


def test_sgd_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    saved = ("--checkpoint", str(tmp_path / "run.npz"))
    first = answer("sgd", *ENCODED, *SHORT, *saved)
    assert answer("sgd", *ENCODED, *SHORT, *saved) == first
    assert "belongs to another run" in refusal("sgd", *ENCODED, *SHORT, "--rate", ".02", *saved)


def test_sgd_counts_recovery() -> None:
    found = answer("sgd", *ENCODED, *SHORT, "--start", "m=.6,eps=0", "--threshold", ".5")
    assert (found["recovered"], found["recovery_step_median"]) == (1.0, 0.0)
    never = run("sgd", *ENCODED, *SHORT, "--start", "m=.1,eps=0", "--threshold", ".9")
    assert "0% reach 0.9: half of them do not within these steps" in never


def test_sgd_of_an_untied_network() -> None:
    network = (*PAIR, "--model", "untied", "--activation", "square", *SHORT, "--record", "2")
    found = answer("sgd", *network, "--start", "m1=.1,m2=.2")
    assert found["m_mean"][0] == pytest.approx([0.1, 0.2])
    assert np.shape(found["m_std"]) == (2, 2)
    assert found["eps_mean"] is found["eps_std"] is None
    assert answer("sgd", *network, "--start", "m=.1")["m_mean"][0] == pytest.approx([0.1, 0.1])
    assert "m1, m2, or one m" in refusal("sgd", *network, "--start", "m1=.1")


def test_sgd_several_encoding_directions() -> None:
    found = answer("sgd", *PAIR, "--model", "linear-attention", "--encoding", "1,0;0,1", *SHORT, "--record", "2",
                   "--start", "m=0,eps1=.1,eps2=.2")  # fmt: skip
    assert found["eps_mean"][0] == pytest.approx([0.1, 0.2])


def test_sgd_tells_of_replicas_that_diverged() -> None:
    wild = ("-g", "z1", "--model", "z1^9", "--dimension", "10", "--rate", "1e300", "--steps", "3", "--runs", "4")
    found = answer("sgd", *wild)
    assert found["diverged"] == 4
    assert found["m_mean"][-1] is None
    assert "4 ended as nan" in run("sgd", *wild)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", "m=.9,eps=.9"), "outside the unit ball"),
        (("--start", "m=.9"), "--start leaves out eps"),
        (("--threshold", "-1"), "threshold is -1"),
        (("--dimension", "2.5"), "dimension is 2.5"),
        (("--rate", "0"), "rate is 0"),
        (("--target", "a*z1 + z2"), "parameter a"),
        (("--model", "untied", "--activation", "relu"), "--encoding 1,1/2 does not apply to --model untied"),
        (("--model", "tied"), "needs --activation"),
        (("-o", "sgd.tex"), ".json or .txt"),
        (("--checkpoint", "nowhere/run.npz"), "no existing directory"),
    ],
)
def test_sgd_refuses(options: tuple[str, ...], said: str) -> None:
    assert said in refusal("sgd", *ENCODED, *SHORT, *options)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child process")
def test_ctrl_c_ends_a_run_of_hours_at_once(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    source = (
        "import sie_sym.sgd as sgd\n"
        "run = sgd._run_block\n"
        "def announced(*arguments):\n    print('running', flush=True)\n    run(*arguments)\n"
        "sgd._run_block = announced\n"
        "from sie_sym.cli import main\nimport sys\nmain(sys.argv[1:])"
    )
    hours = ("--dimension", "1e6", "--rate", ".01", "--steps", "1e9", "--runs", "50", "--checkpoint", str(file))
    call = [sys.executable, "-c", source, "sgd", *ENCODED, *hours]
    process = subprocess.Popen(call, cwd=ROOT, stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "sie-sym: interrupted\n")


def test_progress_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("step") as show:
            assert (show is not None) == stream.isatty()
            if show is not None:
                show(1, 4)
                show(2, 4)  # within a tenth of a second: not drawn
                show(4, 4)
        written = stream.getvalue()
        assert ("step 4 of 4 (100%)" in written) == stream.isatty()
        assert "step 2 of 4" not in written


# ---- gain --------------------------------------------------------------------------------------


def test_gain_of_a_sum() -> None:
    # By hand: C_2 = 2 I, S_2 = 2 L, norm 2, so rho = L; Thm 2 squares it, the limit of stability divides by L.
    found = answer("gain", "--activation", "relu", "-g", "sum(l, 1, 5, He(2, z[l]))")
    assert (found["sie"], found["contraction"], found["operator_norm"]) == (2, "10", "2")
    assert (found["gain_equal_rate"], found["gain_optimal_rate"], found["gain_stability_limit"]) == ("5", "25", "5")
    assert (found["odeco"], found["visible"], found["bounds"], found["evidence"]) == (True, True, {}, "exact")
    assert "25  with the rates ~ 1/t of Thm 2" in run("gain", "--activation", "relu", "-g", "sum(l,1,5,He(2,z[l]))")


def test_gain_of_what_the_tied_network_cannot_see() -> None:
    found = answer("gain", "--activation", "relu", "-g", "He(2,z1) - He(2,z2)")
    assert (found["contraction"], found["visible"], found["gain_equal_rate"]) == ("0", False, "0")


def test_gain_by_intervals() -> None:
    # A cubic without structure: <C_3, v^{(x) 3}> is 6 times the leading form of g, here at random unit vectors.
    found = answer("gain", "--activation", "He(3,u)", "-g", "z1*z2*z3 + He(2,z1)*z2 + He(3,z3)/7 + He(2,z2)*z3/3")
    assert found["operator_norm"] is None
    low, high = found["bounds"]["operator_norm"]
    rng = np.random.default_rng(1)
    v = rng.standard_normal((3, 200_000))
    x, y, z = v / np.linalg.norm(v, axis=0)
    largest = 6 * np.abs(x * y * z + x**2 * y + z**3 / 7 + y**2 * z / 3).max()
    assert low * 0.999 < largest <= high
    assert found["contraction"] == "104/7"  # 6 (1 + 1 + 1/7 + 1/3), at v = (1, 1, 1)
    assert "between" in run("gain", "--activation", "He(3,u)", "-g", "z1*z2*z3 + He(2,z1)*z2 + He(3,z3)/7")


def test_gain_gives_parameters_of_the_activation_their_values() -> None:
    found = answer("gain", "--activation", "k*u", "--param", "k=3", "-g", "z1 + z2")
    assert found["activation_coefficient"] == "3"
    assert "does not occur" in refusal("gain", "--activation", "k*u", "--param", "q=3", "-g", "z1 + z2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--activation", "relu", "-g", "[[z1],[z2]]"), "2 outputs"),
        (("--activation", "relu", "-g", "1"), "no proved information exponent"),
        (("--activation", "rellu", "-g", "z1"), "did you mean relu"),
        (("-g", "z1"), "--activation"),
    ],
)
def test_gain_refuses(arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal("gain", *arguments)


# ---- sweep -------------------------------------------------------------------------------------


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Stands for a dask cluster: the addresses asked for; its tasks run in this process."""
    asked: list[str | None] = []

    @contextlib.contextmanager
    def threads(address: str | None = None) -> Iterator[Executor]:
        asked.append(address)
        with ThreadPoolExecutor(1) as pool:
            yield pool

    monkeypatch.setattr(sie_sym.sweep, "dask_executor", threads)
    return asked


def test_sweep_resumes_and_retries(tmp_path: Path, cluster: list[str | None]) -> None:
    file = str(tmp_path / "sie.jsonl")
    call = ("sweep", "sie", "--over", "target=z1*z2|He(3,z1)|z1*z", "-o", file, "--scheduler", "tcp://there:8786")
    found = answer(*call, code=1)
    assert found == {"tasks": 3, "done": 2, "skipped": 0, "failed": 1, "failed_rows": 1, "file": file}
    assert cluster == ["tcp://there:8786"]
    rows = {row["task"]["target"]: row for row in read_rows(file)}
    assert rows["z1*z2"]["result"]["sie"] == 2
    assert rows["He(3,z1)"]["result"]["sie"] == 3
    shown = run(*call, code=1)
    assert "3: 0 done, 0 failed, 3 had their rows before" in shown
    assert "FormulaError: formula 'z1*z'" in shown
    assert answer(*call, "--retry-failed", code=1)["failed"] == 1


def test_sweep_on_this_machine(tmp_path: Path) -> None:
    file = str(tmp_path / "sgd.jsonl")
    found = answer("sweep", "sgd", *ENCODED, "--set", "rate=1/100", "--set", "steps=20", "--over", "dimension=1e3,1e6",
                   "-o", file, "--workers", "1")  # fmt: skip
    assert (found["done"], found["failed"]) == (2, 0)
    assert {row["task"]["settings"]["dimension"] for row in read_rows(file)} == {1000, 10**6}


def options(**texts: str) -> dict[str, str | None]:
    names = ("target", "tokens", "model", "activation", "reduction", "encoding", "inject")
    return {name: texts.get(name) for name in names}


def test_sweep_options_are_a_grid() -> None:
    texts = options(target="z1*z2 + a*He(4,z1)", model="linear-attention")
    found = sweep_tasks(
        "flow",
        texts,
        [],
        ["time=1", "samples=2.0"],
        ["start=m=.1,eps=0|m=.2,eps=0", "a=0,1/2", "encoding=1,1|1,-1", "rate=0,.01"],
    )
    expected = grid(
        "flow",
        target="z1*z2 + a*He(4,z1)",
        model="linear-attention",
        encoding=["1,1", "1,-1"],
        parameters={"a": ["0", "1/2"]},
        time=1,
        samples=2,
        start=["m=.1,eps=0", "m=.2,eps=0"],
        rate=[0, 0.01],
    )
    assert found == expected
    assert len(found) == 16


def test_sweeps_know_the_activations_of_the_other_commands() -> None:
    assert sie_sym.problem.ACTIVATIONS == sie_sym.commands.options.ACTIVATIONS


def test_sweep_ranges() -> None:
    settings = ["dimension=1e3", "rate=.1", "steps=1", "ends=true"]
    texts = options(target="z1", model="tied", activation="tanh(k*u)")
    found = sweep_tasks("sgd", texts, ["k=2"], settings, ["seed=0..99", "tokens=1,2"])
    assert {dict(task.settings)["seed"] for task in found} == set(range(100))
    assert {(task.formulas.tokens, dict(task.settings)["ends"]) for task in found} == {(1, True), (2, True)}


@pytest.mark.parametrize(
    ("fixed", "settings", "axes", "said"),
    [
        ([], [], ["b=1,2"], "b is neither a parameter nor a setting of flow: choose a, start"),
        (["b=1"], [], [], "b is neither a parameter"),
        ([], ["rate"], [], "--set 'rate' is not NAME=VALUE"),
        ([], [], ["rate="], "--over 'rate=' is not NAME=VALUE"),
        ([], [], ["rate=1,,2"], "empty value"),
        ([], ["rate=1"], ["rate=1,2"], "given a value elsewhere"),
        ([], ["rate=1", "rate=2"], [], "gives a name twice"),
        ([], ["speed=1"], [], "no setting 'speed'"),
        ([], ["rate=fast"], [], "give a finite number"),
        ([], [], ["samples=9..2"], "is no range"),
        ([], [], ["rate=0..9999", "recovery=0..9999"], "at most"),
    ],
)
def test_sweep_refuses(fixed: list[str], settings: list[str], axes: list[str], said: str) -> None:
    texts = options(target="z1 + a*z2", model="linear-attention")
    with pytest.raises(SieSymError) as caught:
        sweep_tasks("flow", texts, fixed, ["time=1", "start=m=.1", *settings], axes)
    assert said in str(caught.value)


def test_sweep_bad_input_is_one_line(tmp_path: Path) -> None:
    file = str(tmp_path / "rows.jsonl")
    assert "needs a target" in refusal("sweep", "sie", "-o", file)
    assert "z alone is not a token" in refusal("sweep", "sie", "-g", "z", "-o", file)
    assert "needs a model" in refusal("sweep", "hessian", "-g", "z1", "-o", file)
    assert not Path(file).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child process")
def test_sweep_ctrl_c_is_130_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    call = [sys.executable, "-m", "sie_sym", "sweep", "sgd", *ENCODED, "--set", "rate=.01", "--set", "dimension=1e3",
            "--over", "steps=10,1e8", "-o", str(file), "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(call, cwd=ROOT, stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c)
    deadline = time.monotonic() + 60
    while not (file.exists() and len(file.read_text().splitlines()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "sie-sym: interrupted\n")
    tasks = grid("sgd", target=ENCODED[1], model="linear-attention", encoding="1,1/2", rate=0.01, dimension=1000,
                 steps=[10, 10**8])  # fmt: skip
    assert [row["id"] for row in read_rows(file)] == [tasks[0].id]
    # The same options are the same grid: the file is taken for it.
    assert sie_sym.sweep.run_sweep(tasks, file, Refusing()) == Summary(0, 1, 1)


class Refusing(Executor):
    """Says of every task that it failed."""

    def submit(self, *arguments: Any, **named: Any) -> Any:
        from concurrent.futures import Future

        future: Future[Any] = Future()
        future.set_exception(RuntimeError("not here"))
        return future
