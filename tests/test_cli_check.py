"""The command check: verdicts, exit codes, conventions, and what it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import refusal

from sie_sym.cli import main

PAIR = ("-g", "He(2,z1) + He(2,z2)")
LINEAR = (*PAIR, "--model", "linear-attention")
ENCODED = (*LINEAR, "--encoding", "1,1/2")
CODES = {"proved": 0, "refuted": 1, "undecided": 1}


def check(*arguments: str) -> dict[str, Any]:
    """The JSON object, whose verdict the exit code tells."""
    result = CliRunner().invoke(main, ["check", *arguments, "--json"])
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert result.exit_code == CODES[found["verdict"]]
    return found


@pytest.mark.parametrize(
    ("arguments", "claim", "verdict"),
    [
        # R = 7 - 4 m^2 by hand: E g^2 = 4, E phi^2 = 3, E g phi = 2 m^2.
        (LINEAR, "loss = 7 - 4*m^2", "proved"),
        (LINEAR, "R(1/2) = 6", "proved"),
        (LINEAR, "loss = 7 - 4*m^2 + 1/1000*m^4", "refuted"),
        ((*LINEAR, "--loss-factor", "1/2"), "loss = 7/2 - 2*m^2", "proved"),
        ((*LINEAR, "--loss-factor", ".5"), "loss = 7 - 4*m^2", "refuted"),
        # With eps: phi = (sqrt(2) u + 3 eps/2)^2/2, so that the Hessian is diag(-8, 27/2).
        (ENCODED, "H[m,m] = -8", "proved"),
        (ENCODED, "H[eps,eps] < 0", "refuted"),
        (ENCODED, "H[eps,eps] ~ 13.5", "proved"),
        (PAIR, "sie = 2", "proved"),
        (PAIR, "sie = 4", "refuted"),
        # C_(2,0) = E He_2^2 = 2, normalised or divided otherwise.
        (PAIR, "C[2,0] = 2", "proved"),
        ((*PAIR, "--he-normalised"), "C[2,0] = sqrt(2)", "proved"),
        ((*PAIR, "--coefficient-factor", "1/k!"), "C[2,0] = 1", "proved"),
        ((*PAIR, "--coefficient-factor", "1/alpha!"), "C[2,0] = 2", "refuted"),
        (("-g", "He(2,z1) + a*He(2,z2)"), "C[0,2] = 2*a", "proved"),
        (("-g", "He(2,z1) + a*He(2,z2)", "--param", "a=3"), "C[0,2] = 2*a", "proved"),
        # The untied network with square reads m1 and m2 apart: E g (z1 + z2)^2/2 = m1^2 + m2^2.
        ((*PAIR, "--model", "untied", "--activation", "square"), "loss = 7 - 2*m1^2 - 2*m2^2", "proved"),
        ((*PAIR, "--model", "tied", "--activation", "relu"), "gain = 4", "proved"),
        # Indices and lists; App. E.4 for what a tied network never sees.
        (ENCODED, "kappa = 2", "proved"),
        (ENCODED, "escapes = positional", "refuted"),
        (ENCODED, "lambda_min = -8", "proved"),
        (ENCODED, "H = [[-8, 0], [0, 27/2]]", "proved"),
        (("-g", "@difference", "--model", "tied", "--activation", "relu"), "kappa = 1", "refuted"),
        (("-g", "@difference", "--model", "untied", "--activation", "relu"), "kappa = 1", "proved"),
        (("-g", "[z1, z1*z2]"), "C[1,1] = [0, 1]", "proved"),
        (("-g", "[z1, z1*z2]"), "C[1,1;2] = 0", "refuted"),
    ],
)
def test_verdicts(arguments: tuple[str, ...], claim: str, verdict: str) -> None:
    found = check(*arguments, "--claim", claim)
    assert found["verdict"] == verdict, found["reason"]
    assert found["claim"] == claim


def test_a_refuted_claim_tells_where_and_the_remedy() -> None:
    found = check(*LINEAR, "--claim", "loss = 7/2 - 2*m^2")
    assert found["difference"] == "7/2 - 2*m**2"
    assert found["remedy"] == "factor 2"
    example = found["counterexample"]
    m = float(Fraction(example["at"]["m"]))
    assert example["ours"] == pytest.approx(7 - 4 * m**2)
    assert example["claimed"] == pytest.approx(3.5 - 2 * m**2)
    assert [(route["name"], route["agrees"]) for route in found["routes"]] == [
        ("exact algebra", True),
        ("quadrature", True),
        ("Monte Carlo", True),
    ]


def test_a_proved_claim_has_no_counterexample() -> None:
    found = check(*LINEAR, "--claim", "loss = 7 - 4*m^2")
    assert (found["difference"], found["counterexample"], found["remedy"]) == ("0", None, None)
    assert found["evidence"] == "exact"


def test_an_undecided_claim_is_a_failed_check() -> None:
    # The arc-cosine kernel is an infinite series in m: its derivative is cut without a bound.
    found = check("-g", "relu(z1)", "--model", "tied", "--activation", "relu", "--claim", "dR[m] = -1/2")
    assert (found["verdict"], found["evidence"]) == ("undecided", "undecided")
    assert "cut without a bound" in found["reason"]
    assert found["counterexample"] is None


def test_the_order_cuts_an_untied_loss_too() -> None:
    # E relu^2 = 1/2 twice, and E z1 relu(u) = m1 / (2 sqrt(2)) is all that He_1 sees: R(0) = 1 + 1/2.
    network = ("-g", "z1", "--tokens", "2", "--model", "untied", "--activation", "relu")
    assert check(*network, "--order", "1", "--claim", "loss = 3/2 - m1/sqrt(2)")["verdict"] == "proved"
    relu = ("-g", "relu(z1)", "--model", "untied", "--activation", "relu")
    found = check(*relu, "--order", "1", "--claim", "loss = 1 - 1/pi - m1/2")
    assert (found["ours"], found["verdict"]) == (found["claimed"], "undecided")


def test_latex_claims() -> None:
    arguments = ("-g", r"\mathrm{He}_2(z_1) + \mathrm{He}_2(z_2)", "--from-latex", "--model", "linear-attention")
    assert check(*arguments, "--claim", r"$R(m) = 7 - 4 m^{2}$")["verdict"] == "proved"
    # E (z*_1 z*_2)^2 + E (z_1 z_2)^2/4 - E z*_1 z*_2 z_1 z_2 = 1 + 1/4 - m^2; the model is LaTeX, too.
    every = ("-g", "z_1 z_2", "--from-latex", "--model", r"\frac{z_1 z_2}{2}")
    assert check(*every, "--claim", r"R(m) = \frac{5}{4} - m^2")["verdict"] == "proved"
    helped = CliRunner().invoke(main, ["check", "--help"]).stdout
    assert "With --from-latex target, model and claim are all LaTeX." in helped


def test_text_and_file(tmp_path: Path) -> None:
    file = tmp_path / "verdict.txt"
    result = CliRunner().invoke(main, ["check", *LINEAR, "--claim", "loss = 7 - 8*m^2", "-o", str(file)])
    assert result.exit_code == 1
    assert "refuted: loss = 5.56 differs from 4.12 at m = 3/5; right with L^{-k/2} (indistin" in result.stdout
    assert "right with L^{-k/2} (indistinguishable here from 1/k!, 1/k)\n" in result.stdout
    assert "ours - claimed  4*m**2" in result.stdout
    assert file.read_text() == result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*PAIR, "--claim", "loss = 1"), "needs a model"),
        ((*PAIR, "--claim", "weight = 1"), "no quantity"),
        ((*PAIR, "--claim", "sie 4"), "has no relation"),
        ((*PAIR, "--claim", "sie = 4", "--he-normalised"), "--he-normalised does not apply to a claim about sie"),
        ((*LINEAR, "--claim", "loss = 4", "--coefficient-factor", "1/k!"), "--coefficient-factor does not apply"),
        ((*PAIR, "--claim", "C[2,0] = 1", "--loss-factor", "1/2"), "--loss-factor does not apply"),
        ((*LINEAR, "--claim", "loss = 1", "--loss-factor", "-1"), "not a positive rational"),
        ((*LINEAR, "--claim", "loss = 1", "--loss", "frobenius"), "--loss does not apply to a claim about loss"),
        ((*LINEAR, "--claim", "omega_c = 1/2"), "one free parameter"),
        (("-g", "[z1, z2]", "--claim", "C[1,0] = 1"), "2 outputs"),
        ((*PAIR, "--claim", "sie = 2", "--encoding", "1,1"), "--encoding 1,1 belongs to a model"),
        ((*LINEAR, "--claim", "loss = q*m"), "reads q"),
        (("-g", "z1+a*z2", "--param", "a=0", "--claim", "C[1,0] = 1/a"), "no real number"),
        ((*PAIR, "--claim", "sie = 2", "-o", "x.tex"), ".json or .txt"),
        ((*PAIR,), "--claim"),
    ],
)
def test_refuses(arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal("check", *arguments)
