"""What happens when things go wrong: killed runs, full disks, missing extras, closed pipes.

Everywhere: one clear line, exit code 2 (130 for ctrl-C), nothing half-written, and long work goes on to the same bits.
Sweeps are in test_sweep.py, damaged and foreign checkpoints in test_sgd.py.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

PAIR = ("-g", "He(2,z1) + He(2,z2)", "--model", "linear-attention", "--encoding", "1,1/2")
SGD = ("sgd", *PAIR, "--dimension", "1e3", "--rate", ".01", "--steps", "2000", "--start", "m=.3,eps=.1")


def shell(*arguments: str, cwd: Path = ROOT, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sie_sym", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
                          env=environment, **options)  # type: ignore[call-overload,no-any-return]  # fmt: skip


# ---- killed ------------------------------------------------------------------------------------

RUN = """
import sys
from sie_sym import SGDSettings, Target, fields_of, linear_attention, parse_formula, run_sgd
target = Target.of(parse_formula("He(2,z1) + He(2,z2)"))
settings = SGDSettings(dimension=1000, rate=0.01, steps=160_000, runs=2, seed=3, start=(0.3,), record=7)
result = run_sgd(fields_of(target, linear_attention(2)), settings, checkpoint=sys.argv[1] or None,
                 checkpoint_seconds=0.0, workers=2)
print((result.m.tobytes() + result.m_mean.tobytes()).hex())
"""


@pytest.mark.slow
def test_an_sgd_run_killed_at_random_moments_ends_on_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN]
    reference = subprocess.run([*command, ""], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    file, rng, killed, seen = tmp_path / "run.npz", random.Random(1), 0, 0
    for _ in range(4):
        process = subprocess.Popen([*command, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        while process.poll() is None and (not file.exists() or file.stat().st_mtime_ns == seen):
            time.sleep(0.01)  # until it has saved something new
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        seen = file.stat().st_mtime_ns
    done = subprocess.run([*command, str(file)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert killed >= 2
    assert file.exists()
    assert done.stdout == reference


# ---- files that cannot be written ---------------------------------------------------------------

WRITERS = {
    "loss --plot": ("loss", *PAIR, "--plot", "{}.png"),
    "flow --plot": ("flow", *PAIR, "--start", "m=.1,eps=.1", "--time", "1", "--plot", "{}.svg"),
    "phase-diagram --plot": ("phase-diagram", "--plot", "{}.png"),
    "sgd --checkpoint": (*SGD, "--checkpoint", "{}.npz"),
    "sgd -o": (*SGD, "-o", "{}.json"),
    "sie -o": ("sie", "-g", "z1", "-o", "{}.json"),
    "report": ("report", "-g", "z1", "-o", "{}.html"),
    "derive --latex": ("derive", "sie_examples", "--latex", "{}.tex"),
    "sweep": ("sweep", "sie", "-g", "z1", "-o", "{}.jsonl"),
}


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr or done.stdout[-500:]
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("sie-sym: ")
    return done.stderr


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_not_there(name: str, tmp_path: Path) -> None:
    done = shell(*(part.format(tmp_path / "nowhere" / "file") for part in WRITERS[name]))
    assert "nowhere" in told(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    """Files may not grow beyond no bytes at all: every write fails as on a full disk."""
    arguments = [part.format(tmp_path / "file") for part in WRITERS[name]]
    path = next(Path(a) for a in arguments if a.startswith(str(tmp_path)))
    if name not in ("sweep", "sgd --checkpoint"):  # those read what is there
        path.write_text("before")

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = shell(*arguments, preexec_fn=full)
    assert path.name in told(done)
    expected = {} if name in ("sweep", "sgd --checkpoint") else {path.name: "before"}
    assert {p.name: p.read_text() for p in tmp_path.iterdir() if p.stat().st_size} == expected


# ---- extras --------------------------------------------------------------------------------------

EXTRAS = {
    "matplotlib": ("plot", ("loss", *PAIR, "--plot", "x.png")),
    "jinja2": ("report", ("report", "-g", "z1", "-o", "x.html")),
    "latex2mathml": ("report", ("report", "-g", "z1", "-o", "x.html")),
    "numba": ("fast", (*SGD, "--engine", "numba")),
    "distributed": ("parallel", ("sweep", "sie", "-g", "z1", "-o", "x.jsonl", "--scheduler", "tcp://127.0.0.1:1")),
}


@pytest.mark.parametrize("module", EXTRAS)
def test_a_missing_extra_is_named_with_its_command(module: str, tmp_path: Path) -> None:
    extra, arguments = EXTRAS[module]
    program = f"import sys; sys.modules[{module!r}] = None\nfrom sie_sym.cli import main; main({list(arguments)!r})"
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f"pip install 'sie-sym[{extra}]'" in told(done)
    assert list(tmp_path.iterdir()) == []


# ---- pipes ---------------------------------------------------------------------------------------

TALKERS = {
    "sie": ("sie", "-g", "He(4,z1)"),
    "expand": ("expand", "-g", "sum(l, 1, 100, He(2, z[l]))", "--json"),
    "hessian": ("hessian", *PAIR),
    "gain": ("gain", "-g", "He(2,z1) + He(2,z2)", "--activation", "relu"),
    "sgd": SGD,
    "targets": ("targets",),
    "check": ("check", "-g", "He(2,z1)", "--claim", "sie = 2"),
    "help": ("--help",),
}


@pytest.mark.parametrize("name", TALKERS)
def test_a_reader_that_leaves_early_is_no_error(name: str) -> None:
    command = [sys.executable, "-m", "sie_sym", *TALKERS[name]]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # before the first word
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=120), errors) == (0, "")


def test_a_full_stdout_is_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "sie_sym", "sie", "-g", "z1", "--json"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr


def test_json_is_one_object_even_when_work_is_long() -> None:
    done = shell(*SGD, "--json")
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""
