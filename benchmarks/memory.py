"""The peak memory of the largest things that the examples ask for, each in a process of its own.

A child inherits the peak of the process that starts it, so that a small process stands in between and reads
`resource.getrusage(RUSAGE_CHILDREN)`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass

from benchmarks.comparison import ROOT

LIMIT = 2**30
"""Bytes: no operation of the examples needs more, and what would is refused."""

_BETWEEN = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-c", sys.argv[1]]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""

_COMMANDS = """
import shlex
from sie_sym.cli import main
for line in {lines!r}:
    if main(shlex.split(line), standalone_mode=False) not in (None, 0, 1):
        raise SystemExit(line)
"""


@dataclass(frozen=True)
class Peak:
    """The largest resident set of a process, in bytes, and what it wrote to stderr."""

    task: str
    bytes: int
    messages: str


def commands(*lines: str) -> str:
    """The source that runs lines of `sie-sym`, without the word, in one process."""
    return _COMMANDS.format(lines=list(lines))


_README = re.findall(r"^    \$ sie-sym (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
CASES = {
    "the commands of the README": commands(*_README),
    "R on a 200 x 200 grid, softmax attention, L = 2": """
import numpy as np
from sie_sym.losses.loss_family import positional_semantic_loss
loss = positional_semantic_loss(0.67)
point = np.linspace(-0.99, 0.99, 200)[:, None], np.linspace(-1, 1, 200)[None, :]
loss.value(*point), loss.gradient(*point), loss.hessian(*point), loss.error(*point)
""",
    "phase diagram of 200 x 200 pixels, searched": """
import numpy as np
from sie_sym.phase_diagram import phase_labels
phase_labels(np.linspace(0.7, 1, 200), np.linspace(0.4, 1, 200), search=True)
""",
    "Hermite coefficients, L = 3, order 60, shifts streamed": """
import numpy as np
from sie_sym.losses.loss_family import spectral_loss
g = lambda z: np.tanh(z[:1] + z[1:2] * z[2:])
loss = spectral_loss(g, lambda z: np.tanh(z.sum(axis=0, keepdims=True)), [[1.0, 0], [0, 1], [-1, 0]], order=60)
loss.value(0.3, 0.2, 0.1)
""",
    "1000 flows": """
import numpy as np, sympy as sp
from sie_sym.flow import gradient_flow_batch
from sie_sym.numeric import NumericLoss
m, eps = sp.symbols("m eps", real=True)
starts = np.random.default_rng(0).normal(size=(1000, 2)) * 0.03
gradient_flow_batch(NumericLoss(4 - 4 * m**2 + (81 * eps**4 / 16 + 27 * eps**2 + 12) / 4, (m, eps)), starts, 1.2)
""",
    "SGD with 8192 replicas": """
from sie_sym import SGDSettings, Target, fields_of, linear_attention, parse_formula, run_sgd
fields = fields_of(Target.of(parse_formula("He(2,z1) + He(2,z2)")), linear_attention(2).with_encoding([[1, 2]]))
run_sgd(fields, SGDSettings(1000, 0.01, 200, 8192, seed=1), workers=2)
""",
    "expand (z1+..+z6)^8, all 3003 coefficients": commands("expand -g '(z1+z2+z3+z4+z5+z6)^8' --order 8 --json"),
    "sum(l,1,1000,He(4,z[l])): exponent and tensors": commands(
        "sie -g 'sum(l,1,1000,He(4,z[l]))' --json", "expand -g 'sum(l,1,1000,He(4,z[l]))' --order 4 --json"
    ),
    "z1*prod(l,2,30,1+z[l]): exponent and tensors to order 3": commands(
        "sie -g 'z1*prod(l,2,30,1+z[l])' --json", "expand -g 'z1*prod(l,2,30,1+z[l])' --order 3 --json"
    ),
}


def peak(task: str, source: str) -> Peak:
    """Run Python `source` in a fresh process.  Raises `RuntimeError` if it fails."""
    run = subprocess.run(
        [sys.executable, "-c", _BETWEEN, source], cwd=ROOT, env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"{task}: {run.stderr.strip()}")
    return Peak(task, int(run.stdout.splitlines()[-1]), run.stderr)


def peaks() -> list[Peak]:
    """All cases, one after the other."""
    return [peak(task, source) for task, source in CASES.items()]
