"""The command `derive`: pages at once and in order, pages that fail, its table, its JSON and its LaTeX document."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import sympy as sp
from click.testing import CliRunner

import derivations
from sie_sym.cli import main
from sie_sym.derivation import Page
from sie_sym.errors import SieSymError
from sie_sym.ledger import Entry, load_page, run_page, run_pages
from sie_sym.typesetting.claims import claim_formulas, claim_pieces, claim_text, ledger_document

Katex = Callable[[Sequence[str]], list[str]]
Pdflatex = Callable[[str], Path]

FAST = ("sie_examples", "quadrature_thresholds")

PAGE_FILE = '''"""{doc}"""
import os
from sie_sym.derivation import Page
PAGE = Page("{name}", "Thm 1, eq. 2", "a page that {doc}")
EXPECTED = ("proved", "undecided")
def derive():
    {body}
    return [PAGE.claim("1 + 1 = 2", True, "counting"), PAGE.claim("open_x", None, "nobody knows")]
'''


@pytest.fixture
def extra_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Pages beside those of the package, in the order fails, good, does_not_load, dies."""
    bodies = {"fails": "raise ZeroDivisionError('nothing below')", "good": "pass", "dies": "os._exit(7)"}
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(PAGE_FILE.format(doc=name, name=name, body=body))
    (tmp_path / "does_not_load.py").write_text("import no_such_module\n")
    monkeypatch.setattr(derivations, "__path__", [*derivations.__path__, str(tmp_path)])
    # Workers started afresh find the pages in the package's own folder only: this one has both.
    package = tmp_path / "path" / "derivations"
    package.mkdir(parents=True)
    folders = [str(folder) for folder in derivations.__path__]
    package.joinpath("__init__.py").write_text(f"ORDER = ()\n__path__ = {folders!r}\n")
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    for name in (*bodies, "does_not_load"):
        monkeypatch.delitem(sys.modules, f"derivations.{name}", raising=False)
    return ("fails", "good", "does_not_load", "dies")


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["derive", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_failing_page_is_told_and_the_others_go_on(extra_pages: tuple[str, ...]) -> None:
    entries = run_pages(extra_pages[:3])
    assert [entry.page.name for entry in entries] == ["fails", "good", "good", "does_not_load"]
    assert [entry.as_declared for entry in entries] == [False, True, True, False]
    failed, _, _, missing = (entry.claim for entry in entries)
    assert failed.verdict.value == failed.evidence.value == "undecided"
    assert failed.route == "the page failed: ZeroDivisionError: nothing below (fails.py, line 7)"
    assert "does not load: ModuleNotFoundError: No module named 'no_such_module'" in missing.route


def test_an_undecided_failure_is_not_what_a_page_declares(extra_pages: tuple[str, ...]) -> None:
    module = load_page("fails")
    module.EXPECTED = ("undecided",)  # type: ignore[attr-defined]
    assert [entry.as_declared for entry in run_pages(["fails"])] == [False]


@pytest.mark.slow
def test_processes_give_what_one_process_gives_in_the_same_order() -> None:
    seen: list[tuple[int, int]] = []
    entries = run_pages(FAST, workers=2, progress=lambda done, total, _: seen.append((done, total)))
    assert entries == [entry for name in FAST for entry in run_page(name)]
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_a_page_whose_process_dies_takes_no_other_with_it(extra_pages: tuple[str, ...]) -> None:
    entries = run_pages(["dies", "good", "fails"], workers=2)
    assert [entry.page.name for entry in entries] == ["dies", "good", "good", "fails"]
    assert "its process died" in entries[0].claim.route
    assert [entry.failed for entry in entries] == [True, False, False, True]


def test_the_command_exits_1_and_shows_the_failure(extra_pages: tuple[str, ...]) -> None:
    code, out, err = invoke("fails", "good", "--workers", "1")
    assert code == 1
    assert "undecided (declared: proved, undecided)" in out
    assert "ZeroDivisionError: nothing below" in out
    assert "3 claims, 1 not as declared" in out
    assert err == ""


def test_a_page_that_does_not_load_is_one_line_in_the_list(extra_pages: tuple[str, ...]) -> None:
    code, out, err = invoke("--list")
    assert (code, out) == (2, "")
    assert err.startswith("sie-sym: the page does_not_load does not load: ModuleNotFoundError")
    assert err.count("\n") == 1


def test_json_has_the_documented_keys_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    code, out, err = invoke("quadrature_thresholds", "--json", "--latex", str(tmp_path / "a.tex"))
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert list(data) == ["claims"]
    for claim in data["claims"]:
        assert {"page", "source", "statement", "verdict", "evidence"} <= set(claim)
        assert claim["as_declared"] is True
    assert (tmp_path / "a.tex").read_text().startswith(r"\documentclass")
    assert os.listdir(tmp_path) == ["a.tex"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latex", "ledger.pdf"], "cannot write ledger.pdf: unknown extension '.pdf'; choose .tex"),
        (["--latex", "no/such/folder/x.tex"], "the folder no/such/folder is not there"),
        (["lema_5"], "did you mean lemma_5"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_told_before_any_page_runs(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a page ran")

    monkeypatch.setattr("sie_sym.ledger.run_page", never)
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_progress_only_where_stderr_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("sie_examples")[2] == ""
    shown: list[str] = []
    monkeypatch.setattr("sie_sym.commands.derive.sys.stderr.isatty", lambda: True, raising=False)
    show = "sie_sym.commands.derive._show"
    monkeypatch.setattr(show, lambda done, total, name: shown.append(f"{done}/{total} {name}"))

    class Terminal:
        def isatty(self) -> bool:
            return True

    class System:
        stderr = Terminal()

    monkeypatch.setattr("sie_sym.commands.derive.sys", System)
    assert invoke("sie_examples")[0] == 0
    assert shown == ["1/1 sie_examples"]


# ---- the ledger in LaTeX --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "latex"),
    [
        ("d^{s/2-1}/(s-2) for s >= 3", r"$d^{s/2-1}$/(s-2) for s $\ge$ 3"),
        ("|m|^{K+1} sqrt(tail)", r"$\vert$m$\vert^{K+1} \sqrt{\mathrm{tail}}$"),
        ("||C_s||_op", r"$\Vert C_{s} \Vert_{\mathrm{op}}$"),
        ("E g(z*) sigma(u)", r"E g($z^{\star}$) $\sigma$(u)"),
        ("He_{k_l}(z_l)", r"$\mathrm{He}_{k_{l}}$($z_{l}$)"),
        ("<C_k(g), C_k(phi)> = 0, R < 0 -> 1", r"$\langle C_{k}$(g), $C_{k}$($\phi$)$\rangle$ = 0, R $<$ 0 $\to$ 1"),
        ("z1 z2^2", r"$z_{1} z_{2}^{2}$"),
        ("d^2R/(d eps d m)", r"$d^{2}$R/(d $\varepsilon$ d m)"),
        ("the page closed_form_loss", r"the page closed\_form\_loss"),
        ("figure_3 and trace^2", r"figure\_3 and $\mathrm{trace}^{2}$"),
        ("50% of $x & # x^_ {", r"50\% of \$x \& \# x\textasciicircum{}\_ \{"),
        ("2*m and a * b", "2*m and a * b"),
    ],
)  # fmt: skip
def test_mathematics_in_a_claim_is_set_as_such(statement: str, latex: str) -> None:
    assert claim_text(statement) == latex


def test_no_word_of_a_claim_is_lost() -> None:
    pieces = claim_pieces("the exponents stated for @he3 3 and @fig2 4, SIE(sum_l z_l) = 1")
    assert [piece.text for piece in pieces] == [
        "the exponents stated for @he3 3 and @fig2 4, SIE(", r"\sum_{l} z_{l}", ") = 1",
    ]  # fmt: skip


def inline(document: str) -> list[str]:
    r"""The inline formulas of a document; \$ is a character."""
    return re.findall(r"(?<!\\)\$(.+?)(?<!\\)\$", document)


@pytest.fixture
def nasty(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Claims whose texts and formulas have everything that TeX could stumble over."""
    page = Page("p", r"Thm 1 & eq. 2_3 \input{x}", "100% of {x} ~ $y$ # ^ _")
    x, rho = sp.symbols("x_max rho", real=True)
    claim = page.claim(
        r"a_1^2 & 50% of {x} < $y$ # ~ \input{/etc/x} | -> != ^^ __ z*_l w* x_{y_{z}} sqrt(a b) sqrt sqrt( <>",
        True,
        "C_(2,0) = |<C_s, v^{(x) s}>|; S^2/L = (S/sqrt L)^2 \\",
        formulas={
            "H_ee/2 at a = 7/10 & 50%": x**2 / rho,
            "M": sp.Matrix([[1, x], [rho, 2]]),
            "holds": sp.Eq(x, rho),
            "long": sp.Add(*(x**k / (k + 1) for k in range(1, 60))),
        },
    )
    return [Entry(page, claim, "refuted")]


def test_a_nasty_ledger_compiles(nasty: list[Entry], pdflatex: Pdflatex, katex: Katex) -> None:
    document = ledger_document(nasty)
    assert "proved (declared: refuted)" in document
    pdflatex(document)
    assert katex([*claim_formulas(nasty[0]), *inline(document)]) == []


def test_the_document_says_what_the_ledger_says() -> None:
    document = ledger_document(run_page("quadrature_thresholds") + run_page("linear_attention_is_tied"))
    assert document.count(r"\section{") == 2
    assert document.count(r"\item[{") == 8
    assert "8 claims, all as declared." in document
    assert r"\[" + "\n" + r"\text{R} = " not in document.replace(r"\begin{aligned} ", "")
    assert r"arXiv:2506.02651, Def. 2, App. G.1" in document


def test_modules_are_pages(extra_pages: tuple[str, ...]) -> None:
    assert isinstance(load_page("good"), ModuleType)
    with pytest.raises(SieSymError, match="the page does_not_load does not load"):
        load_page("does_not_load")
