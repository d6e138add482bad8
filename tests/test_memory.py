"""No operation of the examples needs more than 1 GiB, and what would is refused with its limit named."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.memory import CASES, LIMIT, peak

REFUSED = """
import sys
from sie_sym import SieSymError
try:
    {statement}
except SieSymError as error:
    print(error, file=sys.stderr)
else:
    raise SystemExit("not refused")
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", CASES)
def test_the_examples_fit(task: str) -> None:
    assert peak(task, CASES[task]).bytes < LIMIT


def test_the_peak_is_that_of_the_task_and_not_of_the_test() -> None:
    own = bytearray(200 * 2**20)
    own[::4096] = b"x" * len(own[::4096])
    idle, busy = peak("idle", "pass"), peak("busy", "x = b'x' * (150 * 2**20)")
    assert idle.bytes < 100 * 2**20
    assert 150 * 2**20 <= busy.bytes < 250 * 2**20


def test_a_task_that_fails_has_no_peak() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        peak("broken", "1/0")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "from sie_sym import parse_formula, weierstrass_transform\n"
            "    weierstrass_transform(parse_formula('tanh(sum(l, 1, 30, z[l]))')).derivatives(13)",
            "the order-13 Hermite tensor of a function of 30 tokens has more than 200000 entries: ask for single",
        ),
        (
            "from sie_sym import parse_formula, weierstrass_transform\n"
            "    weierstrass_transform(parse_formula('z1*prod(l, 2, 30, 1 + z[l])')).derivatives(12)",
            "the order-12 Hermite tensor of a product has more than 200000 entries: ask for single coefficients",
        ),
        (
            "from sie_sym.quadratures.spectral import hermite_coefficients\n"
            "    hermite_coefficients(lambda z: z[:1], 5, 40)",
            "coefficients (5 tokens to order 40) would need 2.6 GiB (limit 1 GiB): lower the order",
        ),
        (
            "from sie_sym.losses.model_table import model_table\n"
            "    model_table(lambda z: z[:1], [[1.0], [0.0], [-1.0]], order=10, nodes=2000)",
            "grid nodes would need",
        ),
    ],
    ids=["tensor", "product", "coefficients", "nodes"],
)  # fmt: skip
def test_what_would_not_fit_is_refused(statement: str, message: str) -> None:
    found = peak("refused", REFUSED.format(statement=statement))
    assert message in found.messages
    assert found.bytes < LIMIT / 4


def test_the_command_refuses_in_one_line_with_exit_code_2() -> None:
    formula = "(1+z1+z2+z3+z4+z5+z6+z7+z8)^30*abs(z1*z2)"
    command = [sys.executable, "-m", "sie_sym", "sie", "-g", formula]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 2
    assert re.fullmatch("sie-sym: .*more than 2000 terms: split the function into a sum\n", run.stderr)
