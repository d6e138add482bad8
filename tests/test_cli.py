"""The command line keeps its contract: names, JSON keys, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
from click.testing import CliRunner
from command_line import answer, run
from conftest import ROOT, hear_ctrl_c

import sie_sym
from sie_sym.cli import main
from sie_sym.commands.options import split

LINEAR = ("--model", "linear-attention")
PAIR = ("-g", "He(2,z1) + He(2,z2)")
ENCODED = (*PAIR, *LINEAR, "--encoding", "1,1/2")


def shell(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sie_sym", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **options)


def same(text: str, expected: str) -> bool:
    m, eps = sp.symbols("m eps", real=True)
    here = {"m": m, "eps": eps}
    return bool(sp.expand(sp.parse_expr(text, here) - sp.parse_expr(expected, here)) == 0)


# ---- sie ---------------------------------------------------------------------------------------


def test_sie_of_fig2() -> None:
    # By hand: C_(4,0) = 4!, C_(0,4) = 2 * 4!; Thm 1 for exponent 4.
    found = answer("sie", "-g", "4/3 + He(4,z1) + 2*He(4,z2)")
    assert found["sie"] == 4
    assert found["evidence"] == "exact"
    assert found["tensor"] == {"[4, 0]": "24", "[0, 4]": "48"}
    assert found["strata"] == [{"sie": 4, "when": "always"}]
    assert found["samples"] == {"proved": "d^3", "sharp": "d^3"}
    assert len(found["reasons"]) == 4
    assert (found["tokens"], found["parameters"], found["conditions"]) == (2, [], [])


def test_sie_two_has_two_rates() -> None:
    assert answer("sie", "-g", "z1*z2")["samples"] == {"proved": "d log(d)^2", "sharp": "d log(d)"}


def test_sie_is_null_for_a_constant() -> None:
    found = answer("sie", "-g", "7/3")
    assert found["sie"] is None
    assert found["samples"] is None
    assert found["tensor"] == {}
    assert "constant" in found["reasons"][-1]


def test_sie_has_strata_and_parameters() -> None:
    found = answer("sie", "-g", "a*z1 + He(4,z2)")
    assert found["parameters"] == ["a"]
    assert found["strata"] == [{"sie": 1, "when": "a != 0"}, {"sie": 4, "when": "a = 0"}]
    assert answer("sie", "-g", "a*z1 + He(4,z2)", "--param", "a=0")["sie"] == 4
    assert answer("sie", "-g", "a*z1 + He(4,z2)", "--param", "a=1e-300")["sie"] == 1


def test_sie_of_several_outputs() -> None:
    found = answer("sie", "-g", "[z1*z2, He(2,z1) + 1]")
    assert found["sie"] == 2
    assert found["tensor"] == {"[2, 0]": ["0", "2"], "[1, 1]": ["1", "0"]}


def test_a_long_tensor_is_omitted_with_the_reason() -> None:
    found = answer("sie", "-g", "sum(l, 1, 300, He(2, z[l]))")
    assert found["sie"] == 2
    assert found["tensor"] == {}
    assert "300 entries of 300 tokens" in found["tensor_omitted"]
    assert "tensor_omitted" not in answer("sie", "-g", "sum(l, 1, 100, He(2, z[l]))")


def test_an_expensive_tensor_is_omitted_with_the_reason() -> None:
    found = answer("sie", "-g", "He(8, sum(l, 1, 40, z[l])/sqrt(40))")
    assert found["sie"] == 8
    assert "tensor_omitted" in found


def test_conditions_on_parameters_are_said() -> None:
    # E exp(2 b z^2) is finite iff 4 b < 1
    found = answer("sie", "-g", "exp(b*z1^2)")
    assert found["sie"] == 2
    b = sp.Symbol("b")
    (condition,) = (sp.parse_expr(c.removesuffix(" > 0")) for c in found["conditions"][-1:])
    assert condition.subs(b, sp.Rational(1, 5)) > 0 > condition.subs(b, sp.Rational(3, 4))


def test_sie_of_names_tokens_and_latex() -> None:
    assert answer("sie", "-g", "@hermite-pairs")["sie"] == 4
    assert answer("sie", "-g", "@he2", "--tokens", "5")["tokens"] == 5
    assert answer("sie", "-g", "z1", "--tokens", "3")["tensor"] == {"[1, 0, 0]": "1"}
    latex = r"\frac{4}{3} + \mathrm{He}_4(z_1) + 2 \mathrm{He}_4(z_2)"
    assert answer("sie", "--from-latex", "-g", latex)["tensor"] == {"[4, 0]": "24", "[0, 4]": "48"}


MEAN = r"\frac{1}{\sqrt{L}}\sum_{i=1}^L z_i"


def test_the_upper_limit_of_a_sum_is_every_l() -> None:
    latex = ("--tokens", "3", "--from-latex", "-g", MEAN)
    for command in (("sie",), ("gain", "--activation", "relu")):
        named = answer(*command, "--tokens", "3", "-g", "@mean")
        for parameters in ((), ("--param", "L=3")):
            assert answer(*command, *latex, *parameters) == named
    # The model and a claim of the same command mean the same number.
    model = ("--model", r"\frac{1}{\sqrt L} z_1")
    said = run("check", *latex, *model, "--claim", r"C_{1,0,0} = \frac{1}{\sqrt{L}}")
    assert "sqrt(3)*z1/3" in said
    assert "proved by exact algebra" in said
    result = CliRunner().invoke(main, ["sie", *latex, "--param", "L=4"])
    assert result.exit_code == 2
    assert "--param L=4, but the limit L of a sum is --tokens 3" in result.output


def test_formulas_may_start_with_a_minus() -> None:
    assert answer("sie", "-g", "-z1^2")["tensor"] == {"[2]": "-2"}
    assert answer("sie", "--target", "-z1^2")["tensor"] == {"[2]": "-2"}


# ---- expand ------------------------------------------------------------------------------------


def test_expand() -> None:
    # relu(z1) z2 by hand: E relu = 1/sqrt(2 pi), C_1(relu) = 1/2, C_2(relu) = 1/sqrt(2 pi), C_3 = 0
    found = answer("expand", "-g", "relu(z1)*z2", "--order", "4")
    values = {alpha: float(sp.parse_expr(value)) for alpha, value in found["coefficients"].items()}
    density = (2 * sp.pi) ** sp.Rational(-1, 2)
    assert values == pytest.approx({"[0, 1]": float(density), "[1, 1]": 0.5, "[2, 1]": float(density)}, rel=1e-14)
    assert found["evidence"] == "exact"
    assert "erf" in found["transform"]


def test_expand_of_a_polynomial() -> None:
    found = answer("expand", "-g", "z1^2*z2", "--order", "3")
    assert found["coefficients"] == {"[0, 1]": "1", "[2, 1]": "2"}
    assert same(found["transform"].replace("z1", "m").replace("z2", "eps"), "eps*m**2 + eps")


def test_expand_of_too_much_says_so() -> None:
    found = answer("expand", "-g", "prod(l, 1, 40, 1 + z[l] + z[l]^2)", "--order", "8")
    assert found["coefficients"] == {}
    assert "up to order 2" in found["coefficients_omitted"]


# ---- loss --------------------------------------------------------------------------------------


def test_loss() -> None:
    # theory section 9: R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4
    found = answer("loss", *ENCODED)
    assert same(found["loss"], "4 - 4*m**2 + ((3*eps/2)**4 + 12*(3*eps/2)**2 + 12)/4")
    assert found["statistics"] == ["m", "eps"]
    assert (found["value"], found["error"], found["order"], found["bound"]) == (None, None, None, "0")
    assert found["evidence"] == "exact"


def test_loss_at_a_point() -> None:
    found = answer("loss", *ENCODED, "--at", "m=.3,eps=.25")
    x = Fraction(3, 8)
    exact = 4 - 4 * Fraction(9, 100) + (x**4 + 12 * x**2 + 12) / 4
    assert abs(Fraction(found["value"]) - exact) <= Fraction(found["error"]) < Fraction(1, 10**14)
    assert answer("loss", *PAIR, *LINEAR, "--at", "m=0.1")["value"] == pytest.approx(7 - 0.04, rel=1e-15)


def test_a_model_formula_is_the_named_model() -> None:
    for formula in ("(z1 + z2)^2/2", "sum(l, 1, 2, z[l])^2/2", "sum(l, 1, 2, z[l]*(z1 + z2))/2"):
        written = answer("loss", *PAIR, "--model", formula, "--encoding", "1,1/2", "--inject", "1/3,-2")
        named = answer("loss", *ENCODED, "--inject", "1/3,-2")
        assert same(written["loss"], named["loss"])
    tied = answer("loss", *PAIR, "--model", "tied", "--activation", "square", "--encoding", "1,1/2")
    assert tied["loss"] == answer("loss", *ENCODED)["loss"]


def test_injection_is_a_constant_encoding() -> None:
    injected = answer("loss", *PAIR, *LINEAR, "--inject", "1,1/2")["loss"]
    encoded = answer("loss", *ENCODED)["loss"]
    assert same(injected, str(sp.parse_expr(encoded).subs("eps", 1)))


def test_several_encoding_columns() -> None:
    found = answer("loss", *PAIR, *LINEAR, "--encoding", "1,1/2;0,1")
    assert found["statistics"] == ["m", "eps1", "eps2"]
    one = sp.parse_expr(found["loss"]).subs("eps2", 0)
    assert sp.expand(one - sp.parse_expr(answer("loss", *ENCODED)["loss"]).subs("eps", sp.Symbol("eps1"))) == 0


def test_a_longer_model_lengthens_the_sequence() -> None:
    assert same(answer("loss", "-g", "z1", "--model", "z1 + z2")["loss"], "1 - 2*m + 2")


def test_parameters_of_target_model_and_encoding() -> None:
    found = answer("loss", "-g", "b*z1", "--model", "c*z1", "--encoding", "k")
    assert found["parameters"] == ["b", "c", "k"]
    values = ("--param", "b=2", "--param", "c=3", "--param", "k=1/3")
    # E (2 z* - 3 (z + eps/3))^2 = 4 - 12 m + 9 + eps^2
    assert same(
        answer("loss", "-g", "b*z1", "--model", "c*z1", "--encoding", "k", *values)["loss"], "13 - 12*m + eps**2"
    )


def test_a_truncated_loss_bounds_its_error() -> None:
    # E (sign z* - sign z)^2 = 2 - (4/pi) arcsin m (Sheppard)
    arguments = ("loss", "-g", "sign(z1)", "--model", "sign(z1)", "--at", "m=.5")
    exact = float(2 - 4 / sp.pi * sp.asin(sp.Rational(1, 2)))
    errors = []
    for order in (1, 3, 7):
        found = answer(*arguments, "--order", str(order))
        assert found["order"] == order
        assert found["bound"] != "0"
        assert abs(found["value"] - exact) <= found["error"]
        errors.append(found["error"])
    assert errors == sorted(errors, reverse=True)


# ---- hessian -----------------------------------------------------------------------------------


def test_hessian() -> None:
    found = answer("hessian", *ENCODED)
    assert found["statistics"] == ["m", "eps"]
    assert found["gradient"] == ["0", "0"]
    assert found["hessian"] == [["-8", "0"], ["0", "27/2"]]
    assert (found["flatness_index"], found["escape_index"], found["escapes"]) == (2, 2, "semantic")
    assert found["escape_direction"] in (["1", "0"], ["-1", "0"])
    assert (found["visible_exponent"], found["evidence"]) == (2, "exact")


def test_an_invisible_target_is_said_to_be() -> None:
    found = answer("hessian", "-g", "@fig2", *LINEAR)
    assert found["visible_exponent"] is None
    assert found["escapes"] is None
    assert any("the target has SIE 4, but this model never sees it" in reason for reason in found["reasons"])
    assert "the target has SIE 4, but this model never sees it" in run("hessian", "-g", "@fig2", *LINEAR)
    assert "never sees" not in run("hessian", *PAIR, *LINEAR)


def test_the_difference_is_invisible_to_tied_networks() -> None:  # App. E.4
    found = answer("hessian", "-g", "@difference", "--model", "tied", "--activation", "relu")
    assert (found["visible_exponent"], found["flatness_index"]) == (None, None)


# ---- flow --------------------------------------------------------------------------------------


def test_flow() -> None:
    found = answer("flow", *ENCODED, "--start", "m=.01,eps=.1", "--time", "0.5", "--samples", "11")
    assert len(found["t"]) == len(found["m"]) == len(found["eps"]) == 11
    assert found["t"][0] == 0
    assert found["t"][-1] == 0.5
    assert (found["m"][0], found["eps"][0]) == (0.01, 0.1)
    assert found["m"][-1] > 0.1 > abs(found["eps"][-1])
    assert found["ended"] == "time"


def test_flow_of_a_logistic_law() -> None:
    # R = 7 - 4 m^2 without encoding: m' = 8 m (1 - m^2), so m^2/(1 - m^2) grows as e^{16 t}.
    found = answer("flow", *PAIR, *LINEAR, "--start", "m=.01", "--time", "0.4", "--samples", "5")
    odds = [m**2 / (1 - m**2) for m in found["m"]]
    expected = [odds[0] * float(sp.exp(16 * t)) for t in found["t"]]
    assert odds == pytest.approx(expected, rel=1e-7)
    assert found["eps"] is None


def test_flow_ends_at_weak_recovery() -> None:
    arguments = ("flow", *PAIR, *LINEAR, "--start", "m=.01", "--time", "5")
    found = answer(*arguments, "--recovery", "0.5")
    assert found["ended"] == "weak recovery"
    # odds 1/3 over odds 1e-4/(1 - 1e-4)
    assert found["recovery_time"] == pytest.approx(float(sp.log((1 / 3) / (1e-4 / (1 - 1e-4)))) / 16, rel=1e-7)
    assert answer(*arguments)["ended"] == "fixed point"


def test_weak_recovery_is_that_of_the_positional_means() -> None:
    # g = 1, phi = z1 + z2, C = (3, 4): R = 3 - 14 eps + 49 eps^2, |(e, m)| = 5 eps, so eps = 1/10 at the threshold 1/2;
    # t = int_0^(1/10) d eps / ((1 - eps^2)(14 - 98 eps)) by quadrature
    arguments = ("--model", "z1 + z2", "-g", "1", "--encoding", "3,4", "--start", "m=0,eps=0", "--time", "1")
    found = answer("flow", *arguments, "--recovery", "0.5")
    assert found["recovery_time"] == pytest.approx(0.01233972932598694, rel=1e-8)
    assert found["eps"][-1] == pytest.approx(0.1, rel=1e-8)


def test_a_learning_rate_slows_the_flow() -> None:
    arguments = ("flow", *PAIR, *LINEAR, "--start", "m=.01", "--time", "0.3")
    slow = answer(*arguments, "--rate", "0.01")
    assert slow["m"][-1] < answer(*arguments)["m"][-1]
    assert slow["rate"] == 0.01


def test_flow_of_a_loss_without_elementary_form() -> None:
    # tanh, g = z1, L = 1: R_m = -2 c_1, c_1 = E tanh(Z) Z = E sech(Z)^2 = 0.605706 (trapezoid rule), so
    # m' = 2 c_1 (1 - m^2): m = tanh(2 c_1 t) from 0.
    z = [i / 100 for i in range(-1000, 1001)]
    c = sum(math.exp(-(x**2) / 2) / math.cosh(x) ** 2 for x in z) / 100 / math.sqrt(2 * math.pi)
    arguments = ("-g", "z1", "--model", "tied", "--activation", "tanh", "--start", "m=0", "--time", "0.7")
    found = answer("flow", *arguments, "--samples", "3")
    assert found["m"] == pytest.approx([math.tanh(2 * c * t) for t in found["t"]], rel=1e-9)


def test_flow_with_several_columns() -> None:
    arguments = ("flow", *PAIR, *LINEAR, "--encoding", "1,1/2;0,1", "--start", "m=.1,eps2=.2,eps1=.3", "--time", "1")
    found = answer(*arguments)
    assert (found["eps1"][0], found["eps2"][0]) == (0.3, 0.2)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_flow_is_drawn(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"flow.{kind}"
    answer("flow", *ENCODED, "--start", "m=.01,eps=.1", "--time", "0.5", "--plot", str(path))
    assert path.stat().st_size > 10_000


# ---- forms of the answers ----------------------------------------------------------------------

COMMANDS = {
    "sie": ("sie", "-g", "a*z1 + He(4,z2)"),
    "expand": ("expand", "-g", "relu(z1)*z2"),
    "loss": ("loss", *ENCODED),
    "hessian": ("hessian", *ENCODED),
    "flow": ("flow", *ENCODED, "--start", "m=.01,eps=.1", "--time", "0.5"),
}
KEYS = {
    "sie": {"sie", "evidence", "tensor", "strata", "samples"},
    "expand": {"coefficients", "transform", "evidence"},
    "loss": {"loss", "statistics", "value", "error", "evidence"},
    "hessian": {
        "statistics", "gradient", "hessian", "flatness_index", "escape_index", "escape_direction", "escapes",
        "visible_exponent", "evidence",
    },
    "flow": {"t", "m", "eps", "ended"},
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_the_public_keys(name: str) -> None:
    assert answer(*COMMANDS[name]).keys() >= KEYS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_latex(name: str, katex: Any) -> None:
    text = run(*COMMANDS[name], "--latex")
    assert text.startswith("% ")
    formulas = re.findall(r"^\\\[\n(.*?)\n\\\]$", text, flags=re.DOTALL | re.MULTILINE)
    assert formulas
    assert katex(formulas) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_text_is_plain(name: str) -> None:
    text = run(*COMMANDS[name])
    assert "\x1b" not in text
    assert "g(z)" in text


def test_output_files(tmp_path: Path, pdflatex: Any) -> None:
    for kind in ("tex", "json", "txt"):
        shown = run(*COMMANDS["sie"], "-o", str(tmp_path / f"sie.{kind}"))
        assert shown == run(*COMMANDS["sie"])
    assert (tmp_path / "sie.txt").read_text() == shown
    assert json.loads((tmp_path / "sie.json").read_text()) == answer(*COMMANDS["sie"])
    pdflatex((tmp_path / "sie.tex").read_text())


def test_targets_are_listed() -> None:
    text = run("targets")
    listed = answer("targets")["targets"]
    assert "@positional-semantic" in {entry["name"] for entry in listed}
    assert all(entry["name"] in text and entry["formula"] in text for entry in listed)


def test_every_command_has_an_example_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import shlex

    for name in main.commands:
        text = " ".join(run(name, "--help").split())
        example = text[text.index("Example: ") + len("Example: ") : text.index("Options:")]
        for command in example.replace("\\ ", "").split(";" if ";" in example.split('"')[0] else "\0"):
            words = shlex.split(command)
            assert words[:2] == ["sie-sym", words[1]]
            run(*words[1:])


def test_split_respects_parentheses() -> None:
    assert split("max(1,2),[3,4],5", ",") == ["max(1,2)", "[3,4]", "5"]
    assert split("1,2;3,4", ";") == ["1,2", "3,4"]


# ---- the process -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["sie", "--help"], ["flow", "--help"], ["--version"]])
def test_help_does_not_wait_for_sympy(arguments: list[str]) -> None:
    source = (
        "import sys\nfrom sie_sym.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'sympy' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, check=True, timeout=60)


def test_sie_waits_for_neither_scipy_nor_matplotlib() -> None:
    source = (
        "import sys\nfrom sie_sym.cli import main\n"
        "try:\n    main(['sie', '-g', 'z1*z2'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'scipy' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, check=True, timeout=60)


def test_as_a_module() -> None:
    done = shell("sie", "-g", "z1*z2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sie"] == 2
    failed = shell("sie", "-g", "foo(z1)")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("sie-sym: ")
    assert failed.stderr.count("\n") == 1


def test_results_do_not_depend_on_the_hash_seed() -> None:
    outputs = {
        shell("hessian", *ENCODED, "--json", env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_closed_stdout_is_no_error() -> None:
    command = [sys.executable, "-m", "sie_sym", "expand", "-g", "sum(l, 1, 100, He(2, z[l]))", "--json"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_leaves_no_traceback() -> None:
    source = (
        "import sys, time, sie_sym.commands.options as options\n"
        "def wait(self):\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "options.Question.target = property(wait)\n"
        "from sie_sym.cli import main\nmain(['sie', '-g', 'z1'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "sie-sym: interrupted\n"


# ---- the public names --------------------------------------------------------------------------


def test_public_names_resolve_and_nothing_else_does() -> None:
    for name in sie_sym.__all__:
        assert getattr(sie_sym, name) is not None
    assert dir(sie_sym) == sie_sym.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sie_sym.nothing


def test_names_that_are_modules_too_are_the_functions_whoever_imports_first() -> None:
    source = (
        "import sie_sym, sys\nassert 'sympy' not in sys.modules\n"
        "import sie_sym.landscape, sie_sym.latex, sie_sym.population_loss\n"
        "from sie_sym import landscape, latex, population_loss\n"
        "assert callable(landscape) and callable(latex) and callable(population_loss)\n"
        "assert sie_sym.Target._repr_latex_"
    )
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, check=True, timeout=60)


def test_the_version_is_the_package_s() -> None:
    from importlib.metadata import version

    assert sie_sym.__version__ == version("sie-sym")
    assert sie_sym.__version__ in run("--version")


def test_decimals_in_an_exact_answer_are_marked() -> None:
    # two entries of the order-2 tensor are integrals without a closed form, the order itself is exact
    arguments = ("sie", "-g", "sigmoid(z1*(z1-z2))")
    shown = CliRunner().invoke(main, arguments).stdout
    assert "SIE      2  (exact)" in shown
    assert "[2, 0]: sqrt(2)/8\n" in shown
    assert "[1, 1]: -0.106287500903  (enclosed)\n" in shown
    assert answer(*arguments)["tensor"]["[1, 1]"] == "-0.106287500903"
