"""The tools that judge LaTeX reject what is wrong: a judge that accepts everything proves nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import find_tool

Katex = Callable[[Sequence[str]], list[str]]
Pdflatex = Callable[[str], Path]

GOOD = r"R(m) = 4 - 4 m^{2} + \frac{1}{4}\left(\left(\frac{3 \epsilon}{2}\right)^{4} + 12\right)"


def document(body: str) -> str:
    return rf"\documentclass{{article}}\usepackage{{amsmath,amssymb}}\begin{{document}}{body}\end{{document}}"


def test_katex_accepts_a_good_formula(katex: Katex) -> None:
    assert katex([GOOD, r"\mathbb{E}\left[\mathrm{He}_{4}(z_1)\right]"]) == []


@pytest.mark.parametrize(
    "bad",
    [
        r"\frac{1}{2",  # unbalanced
        r"\unheardof{1}",  # not a command
        r"\input{/etc/hostname}",  # TeX would read a file
        r"a % b",  # the rest of the line is a comment without a line end
        r"\href{javascript:alert(1)}{x}",  # refused only by trust: false
        "α ∈ ℝ é",  # Unicode that strict mode refuses
    ],
)
def test_katex_reports_a_bad_formula(katex: Katex, bad: str) -> None:
    (error,) = katex([GOOD, bad, GOOD])
    assert error.startswith(bad + ": ")


def test_pdflatex_compiles_a_good_document(pdflatex: Pdflatex) -> None:
    assert pdflatex(document(rf"\[{GOOD}\]")).read_bytes().startswith(b"%PDF")


def test_pdflatex_raises_for_an_undefined_command(pdflatex: Pdflatex) -> None:
    with pytest.raises(AssertionError, match="Undefined control sequence"):
        pdflatex(document(r"\[\unheardof\]"))


def test_pdflatex_does_not_answer_with_the_page_of_an_earlier_document(pdflatex: Pdflatex) -> None:
    pdflatex(document("A page."))
    with pytest.raises(AssertionError, match="pdflatex"):
        pdflatex(document(""))


def test_pdflatex_runs_no_program(pdflatex: Pdflatex) -> None:
    pdf = pdflatex(document(r"\immediate\write18{touch escaped}A page."))
    assert not (pdf.parent / "escaped").exists()


def test_chromium_is_a_program(chromium: str) -> None:
    run = subprocess.run([chromium, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert "chrom" in run.stdout.lower()


def test_a_missing_tool_skips_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIE_SYM_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not installed: get it somewhere"):
        find_tool(["no-such-tool"], "get it somewhere")


def test_a_missing_tool_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIE_SYM_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is not installed: get it somewhere"):
        find_tool(["no-such-tool"], "get it somewhere")
