"""The pages of the paper's results: each verdict is the declared one, cites its source, and is told by the command."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import sympy as sp
from click.testing import CliRunner
from conftest import ROOT

import derivations
from sie_sym.cli import main
from sie_sym.derivation import Claim, Page, Verdict, all_zero, gaussian_mean
from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.ledger import load_page, page_names, run_page, run_pages

PAGES = page_names()
SLOW = {"gains_by_simulation", "semantic_or_positional_by_simulation", "theorem_1_simulation"}
CITATION = re.compile(r"arXiv:2506\.02651, (eq\.|Thm|Lemma|Def\.|Prop\.|App\.|section|Fig|Assumption)")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in PAGES]
)
def test_a_page_comes_out_as_declared(name: str) -> None:
    entries = run_page(name)
    assert [entry.claim.verdict.value for entry in entries] == list(load_page(name).EXPECTED)
    for entry in entries:
        claim = entry.claim
        assert entry.page.name == name
        assert all((claim.statement, claim.source, claim.route))
        assert (claim.verdict is Verdict.UNDECIDED) == (claim.evidence is Evidence.UNDECIDED)
        if claim.verdict is Verdict.PROVED:
            assert claim.evidence in (Evidence.EXACT, Evidence.ENCLOSED)
        assert all(label and isinstance(formula, sp.Basic) for label, formula in claim.formulas)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_cites_its_source(name: str) -> None:
    module = load_page(name)
    assert module.__doc__ is not None
    assert CITATION.search(module.__doc__)
    assert all((module.PAGE.title, module.PAGE.source))
    assert module.EXPECTED


def test_every_file_of_the_folder_is_a_page_in_order_or_a_figure() -> None:
    files = {path.stem for path in (ROOT / "derivations").glob("*.py")} - {"__init__"}
    assert {name for name in files if not name.startswith("figure_")} == set(PAGES) == set(derivations.ORDER)
    assert list(PAGES) == list(derivations.ORDER)


# ---- the machinery --------------------------------------------------------------------------------


def test_verdicts_follow_from_what_holds_and_its_evidence() -> None:
    page = Page("p", "Thm 1", "title")
    numerical = Evidence.NUMERICAL
    found = [
        page.claim("s", holds, "r", evidence=e) for holds in (True, False, None) for e in (Evidence.EXACT, numerical)
    ]
    assert [claim.verdict.value for claim in found] == [
        "proved", "confirmed numerically", "refuted", "refuted", "undecided", "undecided",
    ]  # fmt: skip
    assert [claim.evidence.value for claim in found[4:]] == ["undecided"] * 2


def test_all_zero_tells_unknown_from_non_zero() -> None:
    x = sp.Symbol("x", real=True)
    assert all_zero([sp.Integer(0), sp.cos(x) ** 2 + sp.sin(x) ** 2 - 1]) is not False
    assert all_zero([sp.Integer(0), sp.Integer(1)]) is False
    assert all_zero([]) is True


def test_gaussian_means_are_the_known_moments() -> None:
    x, y, c = sp.symbols("x y c", real=True)
    assert gaussian_mean(sp.expand((c * x + y) ** 4), (x, y)) == sp.expand(3 * (1 + c**2) ** 2)  # 3 variance^2
    assert gaussian_mean(x**3 * y**2, (x, y)) == 0


def test_a_page_notices_a_wrong_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the paper's slip (no L^{-k/2}) built into the package, Lemma 5 comes out otherwise."""
    untied = importlib.import_module("sie_sym.untied")
    right = untied._pairing
    monkeypatch.setattr(untied, "_pairing", lambda coefficients, series, tokens: right(coefficients, series, 1))
    found = [entry.claim.verdict.value for entry in run_page("lemma_5") if not entry.as_declared]
    assert found == ["refuted", "undecided"]


@pytest.fixture
def false_page(monkeypatch: pytest.MonkeyPatch) -> str:
    """The page `quadrature_thresholds` made to declare something else, and to derive it at once."""
    module = importlib.import_module("derivations.quadrature_thresholds")
    claim = module.PAGE.claim("2 = 3", False, "counting")
    monkeypatch.setattr(module, "derive", lambda: [claim])
    monkeypatch.setattr(module, "EXPECTED", ("proved",))
    return "quadrature_thresholds"


def test_a_page_that_comes_out_otherwise_exits_1_and_says_so(false_page: str) -> None:
    assert not run_page(false_page)[0].as_declared
    result = CliRunner().invoke(main, ["derive", false_page])
    assert result.exit_code == 1
    assert "refuted (declared: proved)" in result.output
    assert "1 not as declared" in result.output


def test_an_undeclared_claim_is_not_as_declared(false_page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module: ModuleType = load_page(false_page)
    monkeypatch.setattr(module, "EXPECTED", ())
    (entry,) = run_page(false_page)
    assert entry.expected is None
    assert not entry.as_declared


def test_a_page_must_make_the_claims_it_declares(false_page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_page(false_page), "EXPECTED", ("refuted", "proved"))
    with pytest.raises(SieSymError, match="declares 2 verdicts but makes 1 claims"):
        run_page(false_page)


def test_the_command_gives_json_with_the_documented_keys() -> None:
    result = CliRunner().invoke(main, ["derive", "sie_examples", "--json"])
    assert result.exit_code == 0
    claims = json.loads(result.output)["claims"]
    assert len(claims) == 7
    assert all({"page", "source", "statement", "verdict", "evidence"} <= set(claim) for claim in claims)
    assert {claim["page"] for claim in claims} == {"sie_examples"}
    assert claims[0]["statement"] == "SIE(sum_l z_l) = 1"
    assert claims[0]["verdict"] == "proved"


def test_the_command_prints_a_table() -> None:
    result = CliRunner().invoke(main, ["derive", "linear_attention_is_tied"])
    assert result.exit_code == 0
    assert "App. A, eq. 12-16" in result.output
    assert "4 claims, all as declared" in result.output


def test_the_command_lists_the_pages() -> None:
    result = CliRunner().invoke(main, ["derive", "--list", "--json"])
    assert [page["name"] for page in json.loads(result.output)["pages"]] == list(PAGES)


def test_an_unknown_page_is_named_with_the_nearest() -> None:
    with pytest.raises(SieSymError, match=r"unknown page 'lema_5': did you mean .*lemma_5"):
        run_pages(["lema_5"])
    with pytest.raises(SieSymError, match=r"unknown page 'nosuch': sie-sym derive --list lists all$"):
        run_pages(["nosuch"])
    result = CliRunner().invoke(main, ["derive", "lema_5"])
    assert result.exit_code == 2


def test_claims_are_values() -> None:
    claim = Claim("s", "Thm 1", Verdict.PROVED, Evidence.EXACT, "r")
    assert replace(claim, statement="t") != claim
    assert Path(derivations.__file__).parent.name == "derivations"
