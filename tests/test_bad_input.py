"""Bad input through the command line: exit code 2, one line on stderr that names what is wrong, nothing on stdout."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from command_line import refusal

LINEAR = ("--model", "linear-attention")
SLOWEST = 20.0
"""Seconds: a bomb takes minutes or all memory, a refusal on a busy machine does not."""


def refused(*arguments: str) -> str:
    """The line on stderr, short and soon."""
    begin = time.monotonic()
    line = refusal(*arguments)
    assert time.monotonic() - begin < SLOWEST
    assert len(line) < 600
    return line


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("foo(z1)", "unknown function foo"),
        ("He(2,z1", "')'"),
        ("z1)", "balance"),
        ("z1 z2", "no operator"),
        ("z0", "z0 is not a token"),
        ("z1.5", "z1.5 is not a token"),
        ("z[l]", "index l"),
        ("z[1.5]", "index"),
        ("1" * 10**6, "1000000 characters"),
        ("1" * 5000, "digits"),
        ("1e999999999", "digits"),
        ("9**9**9", "exponent"),
        ("z1^(10^9)", "exponent"),
        ("He(10^9, z1)", "He"),
        ("He(64,He(64,He(64,z1)))", "degree"),
        ("(" * 9000 + "z1" + ")" * 9000, "nest"),
        ("-" * 9000 + "z1)", "balance"),
        ("(" * 10**5, "characters"),
        ("z1.real", "attributes"),
        ("().__class__", "attributes"),
        ("__class__", "__class__"),
        ("__import__('os').system('true')", "strings"),
        ("lambda: z1", "':'"),
        ("'z1'", "strings"),
        ("[z1 for z1 in z2]", "for"),
        ("z1 = 2", "= is not"),
        ("z1 < 2", "comparisons"),
        ("z1\x00", r"\x00"),
        ("z1+é", "ASCII"),
        ("exp(z1^2)", "Gaussian"),
        ("exp(z1^2/3)", "square-integrable"),
        ("sqrt(-1)*z1", "real"),
        ("(-8)^(1/3)*z1", "real"),
        ("log(z1)", "log"),
        ("1/z1", "denominator"),
        ("sum(l, 1, 10^9, z[l])", "too long"),
        ("prod(l, 1, 10^9, z[l])", "too long"),
        ("@nope", "unknown target @nope"),
        ("@fig3", "did you mean fig2?"),
        ("@", "unknown target @:"),
    ],
    ids=lambda text: text[:24],
)
def test_target(formula: str, says: str) -> None:
    assert says in refused("sie", "-g", formula)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tokens", "2", "-g", "z3"), "reads token z3 but the sequence has 2 tokens"),
        (("--tokens", "0", "-g", "z1"), "--tokens"),
        (("--tokens", "many", "-g", "z1"), "--tokens"),
        (("--tokens", "3", "-g", "@positional-semantic"), "exactly 2 tokens"),
        (("--tokens", "1", "-g", "@product"), "2 or more"),
        (("-g", "a*z1", "--param", "a"), "--param 'a' is not NAME=VALUE"),
        (("-g", "a*z1", "--param", "a="), "is not NAME=VALUE"),
        (("-g", "a*z1", "--param", "=1"), "is not NAME=VALUE"),
        (("-g", "a*z1", "--param", "b=1"), "--param b does not occur in the formulas: its parameters are a"),
        (("-g", "z1", "--param", "b=1"), "there is no parameter"),
        (("-g", "a*z1", "--param", "a=1", "--param", "a=2"), "a twice"),
        (("-g", "a*z1", "--param", "a=x"), "--param a: 'x' is not a number"),
        (("-g", "a*z1", "--param", "a=z1"), "--param a"),
        (("-g", "a*z1", "--param", "a=nan"), "--param a"),
        (("-g", "z1/a", "--param", "a=0"), "not a real number at a = 0"),
        (("-g", r"\frac{z_1}{", "--from-latex"), "the formula ends"),
        (("-g", r"\input{x}", "--from-latex"), "input"),
        (("-g", "z1", "--json", "--latex"), "exclude each other"),
        (("-g", "z1", "-o", "result.doc"), "unknown extension '.doc'"),
        (("-g", "z1", "--colour"), "--colour"),
        ((), "--target"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_options_of_the_target(options: tuple[str, ...], says: str) -> None:
    assert says in refused("sie", *options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--model"),
        (("--model", "transformer"), "'transformer' reads no token: choose linear-attention"),
        (("--model", "linear-atention"), "choose linear-attention"),
        (("--model", ""), "empty"),
        (("--model", "z3", "--tokens", "2"), "the model reads token z3"),
        (("--model", "m*z1"), "m in the model is the name of an overlap"),
        (("--model", "exp(z1^2)"), "Gaussian"),
        (("--model", "[z1, z2]"), "1 outputs and the model 2"),
        (("--model", "softmax-attention"), "1 outputs and the model 4"),
        (("--model", "untied"), "one weight vector a token"),
        (("--model", "tied"), "--activation: relu, erf, square, identity, tanh"),
        (("--model", "tied", "--activation", "swish"), "'swish' does not read u"),
        (("--model", "tied", "--activation", "z1"), "z1"),
        (("--model", "tied", "--activation", "relu", "--reduction", "trace"), "--reduction trace does not apply"),
        ((*LINEAR, "--activation", "relu"), "--activation relu does not apply"),
        ((*LINEAR, "--encoding", "1"), "encoding column (1) has 1 entries but the model has 2 tokens"),
        ((*LINEAR, "--encoding", "1,2,3"), "has 3 entries but the model has 2 tokens"),
        ((*LINEAR, "--encoding", "1,-1;1"), "encoding column (1) has 1 entries"),
        ((*LINEAR, "--encoding", "1,"), "empty entry"),
        ((*LINEAR, "--encoding", ""), "empty entry"),
        ((*LINEAR, "--encoding", "z1,1"), "entry 'z1' is not a number"),
        ((*LINEAR, "--inject", "1"), "injection (1) has 1 entries but the model has 2 tokens"),
        ((*LINEAR, "--inject", "1,1/0"), "0"),
        ((*LINEAR, "--at", "m=.1,eps=.1"), "--encoding gives positional ones"),
        ((*LINEAR, "--at", "m=2"), "outside the unit ball"),
        ((*LINEAR, "--at", "m"), "--at 'm' is not NAME=VALUE"),
        (
            (*LINEAR, "--at", "m=.1", "-g", "a*z1 + z2"),
            "depends on the parameter a, a number is needed: pass --param a=",
        ),
        ((*LINEAR, "-g", "m*z1 + z2"), "m is the name of an overlap"),
        ((*LINEAR, "-g", "[z1, z2]"), "2 outputs and the model 1"),
        ((*LINEAR, "--order", "-1"), "--order"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_options_of_the_model(options: tuple[str, ...], says: str) -> None:
    assert says in refused("loss", "-g", "He(2,z1) + He(2,z2)", *options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--start", "m=inf"), "--start m"),
        (("--start", "m=nan"), "--start m"),
        (("--start", "m=1.01"), "outside the unit ball"),
        (("--start", "m=.8,eps=.7", "--encoding", "1,-1"), "outside the unit ball"),
        (("--start", "m=.1", "--encoding", "1,-1"), "leaves out eps"),
        (("--start", "m=.1,eps=0,eps=1", "--encoding", "1,-1"), "eps twice"),
        (("--start", "m=.1,x=1"), "--start x: the statistics are m"),
        (("--start", ""), "--start"),
        (("--start", "m=.1", "--time", "nan"), "time nan"),
        (("--start", "m=.1", "--time", "0"), "time 0"),
        (("--start", "m=.1", "--time", "soon"), "--time"),
        (("--start", "m=.1", "--rate", "-1"), "learning rate -1"),
        (("--start", "m=.1", "--rate", "inf"), "learning rate inf"),
        (("--start", "m=.1", "--recovery", "2"), "threshold 2"),
        (("--start", "m=.1", "-g", "a*He(2,z1) + z2"), "pass --param a="),
        (("--start", "m=.1", "--plot", "flow.gif"), "unknown extension '.gif'"),
        (("--start", "m=.1", "--plot", "missing/flow.png"), "cannot write missing/flow.png"),
        (("--start", "m=.1", "-o", "missing/flow.json"), "cannot write missing/flow.json"),
        ((), "--start"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_options_of_the_flow(
    options: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused("flow", "-g", "He(2,z1) + He(2,z2)", *LINEAR, "--time", "1", *options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_output(tmp_path: Path) -> None:
    assert "directory" in refused("sie", "-g", "z1", "-o", str(tmp_path))


def test_unknown_commands() -> None:
    assert "No such command 'sei'" in refused("sei")
    assert "'--jsn'" in refused("targets", "--jsn")
